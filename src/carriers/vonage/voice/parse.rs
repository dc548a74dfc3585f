//! Answer and event webhooks to our values.

use serde::Deserialize;

use super::document::SOUND;
use crate::carriers::voice::{
    CallEnd, CallEvent, CallNews, CallWord, IncomingCall, NextStep, Progress, reference_of,
};
use crate::carriers::vonage::parse::{is_id, number};
use crate::carriers::{CallbackRequest, ParseError};
use crate::phone::RemoteParty;

/// Digits that somebody typed.
const DIGITS_MAX: usize = 64;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Event {
    uuid: Option<String>,
    call_uuid: Option<String>,
    from: Option<String>,
    to: Option<String>,
    status: Option<String>,
    detail: Option<String>,
    dtmf: Option<Dtmf>,
    payload: Option<Payload>,
}

/// Digits; their own field in an object, or, in older applications, the digits themselves.
#[derive(Deserialize)]
#[serde(untagged)]
enum Dtmf {
    Object {
        #[serde(default)]
        digits: Option<String>,
    },
    Digits(String),
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Payload {
    call: Option<String>,
}

fn unreadable(what: &str) -> ParseError {
    ParseError(what.to_owned())
}

/// Reads whatever comes to the addresses for calls.
pub(super) fn event(request: &CallbackRequest<'_>) -> Result<CallEvent, ParseError> {
    let event: Event =
        serde_json::from_slice(request.body).map_err(|_| unreadable("the body is not an event"))?;
    let (path, query) = request.url.split_once('?').unwrap_or((request.url, ""));
    if query.split('&').any(|pair| pair == SOUND) {
        return Ok(CallEvent::Nothing);
    }
    if path.ends_with("/call-status") {
        return news(request, event);
    }
    let noted = event.payload.and_then(|payload| payload.call);
    let carrier_call_id =
        event.uuid.or(noted).or(event.call_uuid).ok_or_else(|| unreadable("uuid is missing"))?;
    if !is_id(&carrier_call_id) {
        return Err(unreadable("uuid is not an id"));
    }
    if path.ends_with("/voice") {
        let to = event.to.as_deref().and_then(number);
        let to = to.ok_or_else(|| unreadable("to is not a telephone number"))?;
        let from = party(event.from.as_deref().unwrap_or_default());
        let (attestation, forwarded_from) = (None, None);
        return Ok(CallEvent::Incoming(IncomingCall {
            carrier_call_id,
            from,
            to,
            attestation,
            forwarded_from,
        }));
    }
    let digits = event.dtmf.and_then(|dtmf| match dtmf {
        Dtmf::Object { digits } => digits,
        Dtmf::Digits(digits) => Some(digits),
    });
    let key = |c: &char| c.is_ascii_digit() || matches!(c, '*' | '#');
    let digits = digits.map(|digits| digits.chars().filter(key).take(DIGITS_MAX).collect::<String>());
    let digits = digits.filter(|digits| !digits.is_empty());
    let reference = reference_of(request.url);
    Ok(CallEvent::Next(NextStep { carrier_call_id, reference, digits, asked_at: None }))
}

/// Who calls. Hidden ones come as words.
fn party(from: &str) -> RemoteParty {
    let from = from.trim();
    match from.to_ascii_lowercase().as_str() {
        "unknown" | "anonymous" | "private" | "restricted" | "unavailable" => RemoteParty::Hidden,
        _ => number(from).map_or_else(|| RemoteParty::parse(from), RemoteParty::Phone),
    }
}

fn news(request: &CallbackRequest<'_>, event: Event) -> Result<CallEvent, ParseError> {
    // The leg to a socket of ours, or what is not about a leg at all.
    let (Some(status), Some(carrier_call_id)) = (event.status, event.uuid) else {
        return Ok(CallEvent::Nothing);
    };
    if event.to.as_deref().is_some_and(|to| to.starts_with("ws")) {
        return Ok(CallEvent::Nothing);
    }
    if !is_id(&carrier_call_id) {
        return Err(unreadable("uuid is not an id"));
    }
    let detail = event.detail.unwrap_or_default();
    let what = match status.as_str() {
        "started" => CallWord::Progress(Progress::Dialling),
        "ringing" => CallWord::Progress(Progress::Ringing),
        "answered" => CallWord::Progress(Progress::Answered),
        "completed" => CallWord::Ended(CallEnd::Completed),
        "busy" => CallWord::Ended(CallEnd::Busy),
        "rejected" if matches!(detail.as_str(), "restricted" | "invalid_number") => {
            CallWord::Ended(CallEnd::Failed)
        }
        "rejected" => CallWord::Ended(CallEnd::Busy),
        "timeout" | "unanswered" => CallWord::Ended(CallEnd::NoAnswer),
        "cancelled" => CallWord::Ended(CallEnd::Cancelled),
        "failed" => CallWord::Ended(CallEnd::Failed),
        _ => return Ok(CallEvent::Nothing),
    };
    let reference = reference_of(request.url);
    Ok(CallEvent::News(CallNews { carrier_call_id, reference, sequence: None, what }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::ids::CallLegId;
    use serde_json::{Value, json};

    const UUID: &str = "aaaaaaaa-bbbb-cccc-dddd-0123456789ab";

    fn read(path: &str, body: &Value) -> Result<CallEvent, ParseError> {
        let headers: Vec<(String, String)> = Vec::new();
        let (url, body) = (format!("https://meari.example.org/carriers/a/{path}"), body.to_string());
        let (body, now) = (body.as_bytes(), Timestamp(0));
        event(&CallbackRequest { method: "POST", url: &url, headers: &headers, body, now })
    }

    #[test]
    fn a_call_comes_in() {
        let call = |from: &str| {
            json!({ "uuid": UUID, "conversation_uuid": "CON-1", "from": from, "to": "12025550200",
                "region_url": "https://api-us-3.vonage.com" })
        };
        let CallEvent::Incoming(read_call) = read("voice", &call("12025550101")).unwrap() else { panic!() };
        assert_eq!((read_call.carrier_call_id.as_str(), read_call.to.as_str()), (UUID, "+12025550200"));
        assert_eq!(read_call.from.phone().unwrap().as_str(), "+12025550101");
        for from in ["anonymous", "Unknown", "", "Private"] {
            let CallEvent::Incoming(hidden) = read("voice", &call(from)).unwrap() else { panic!() };
            assert_eq!(hidden.from, RemoteParty::Hidden, "{from}");
        }
        for bad in [
            json!({ "uuid": UUID, "to": "12" }),
            json!({ "to": "12025550200" }),
            json!([]),
            json!({ "uuid": "../x", "to": "12025550200" }),
        ] {
            assert!(read("voice", &bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn news_are_of_the_telephone_and_not_of_our_socket() {
        let leg = CallLegId::new(Timestamp(0));
        let table = [
            ("started", "", CallWord::Progress(Progress::Dialling)),
            ("ringing", "", CallWord::Progress(Progress::Ringing)),
            ("answered", "", CallWord::Progress(Progress::Answered)),
            ("completed", "", CallWord::Ended(CallEnd::Completed)),
            ("busy", "", CallWord::Ended(CallEnd::Busy)),
            ("rejected", "declined", CallWord::Ended(CallEnd::Busy)),
            ("rejected", "restricted", CallWord::Ended(CallEnd::Failed)),
            ("timeout", "", CallWord::Ended(CallEnd::NoAnswer)),
            ("unanswered", "unavailable", CallWord::Ended(CallEnd::NoAnswer)),
            ("cancelled", "", CallWord::Ended(CallEnd::Cancelled)),
            ("failed", "cannot_route", CallWord::Ended(CallEnd::Failed)),
        ];
        let path = format!("call-status?ref={leg}");
        for (status, detail, what) in table {
            let body = json!({ "uuid": UUID, "status": status, "detail": detail, "to": "12025550101" });
            let CallEvent::News(news) = read(&path, &body).unwrap() else { panic!("{status}") };
            assert_eq!((news.reference, news.what), (Some(leg), what), "{status}");
        }
        let of_socket = json!({ "uuid": UUID, "status": "completed", "to": "wss://meari.example.org/x" });
        let quiet = [of_socket.clone(), json!({ "uuid": UUID, "status": "human" }), json!({ "reason": "x" })];
        for body in quiet {
            assert_eq!(read(&path, &body).unwrap(), CallEvent::Nothing, "{body}");
        }
        assert_eq!(read(&format!("voice/{leg}/next?sound=1"), &of_socket).unwrap(), CallEvent::Nothing);
    }

    #[test]
    fn what_next_and_what_was_typed() {
        let leg = CallLegId::new(Timestamp(0));
        let table = [
            (json!({ "uuid": UUID, "conversation_uuid": "CON-1", "to": "12025550101" }), None),
            (json!({ "conversation_uuid": "CON-1", "payload": { "call": UUID } }), None),
            (json!({ "uuid": UUID, "dtmf": { "digits": "12*3x", "timed_out": false } }), Some("12*3")),
            (json!({ "uuid": UUID, "dtmf": "1", "timed_out": false }), Some("1")),
            (json!({ "uuid": UUID, "dtmf": { "digits": null, "timed_out": true } }), None),
        ];
        for (body, digits) in table {
            let CallEvent::Next(next) = read(&format!("voice/{leg}/next"), &body).unwrap() else { panic!() };
            assert_eq!((next.carrier_call_id.as_str(), next.reference), (UUID, Some(leg)));
            assert_eq!(next.digits.as_deref(), digits, "{body}");
        }
    }
}
