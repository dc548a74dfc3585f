//! Voice callbacks to our values. They are told apart by what they say, not by where they come to.

use serde::Deserialize;

use crate::carriers::voice::{CallEnd, CallEvent, CallNews, CallWord, IncomingCall, NextStep, reference_of};
use crate::carriers::{CallbackRequest, ParseError};
use crate::ids::CallLegId;
use crate::phone::{E164, RemoteParty};

/// Ids look like `c-95ac8d6e-1a31c52e-b38f-4198-93c1-51633ec68f8d`.
const ID_CHARS_MAX: usize = 128;
/// Digits that somebody typed.
const DIGITS_MAX: usize = 64;

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Event {
    event_type: String,
    call_id: String,
    from: Option<String>,
    to: Option<String>,
    tag: Option<String>,
    cause: Option<String>,
    digit: Option<String>,
    digits: Option<String>,
    diversion: Option<Diversion>,
    stir_shaken: Option<StirShaken>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Diversion {
    orig_to: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct StirShaken {
    verstat: Option<String>,
    attestation_indicator: Option<String>,
}

/// Whether a text can be an id of Bandwidth's.
pub(super) fn is_id(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    !text.is_empty() && text.len() <= ID_CHARS_MAX && text.bytes().all(plain)
}

fn unreadable(what: &str) -> ParseError {
    ParseError(what.to_owned())
}

/// Reads a callback.
pub(super) fn event(request: &CallbackRequest<'_>) -> Result<CallEvent, ParseError> {
    let event: Event =
        serde_json::from_slice(request.body).map_err(|_| unreadable("the body is not an event"))?;
    if !is_id(&event.call_id) {
        return Err(unreadable("callId is not an id"));
    }
    let tagged: Option<CallLegId> = event.tag.as_deref().and_then(|tag| tag.parse().ok());
    let reference = tagged.or_else(|| reference_of(request.url));
    let key = |c: &char| c.is_ascii_digit() || matches!(c, '*' | '#');
    let carrier_call_id = event.call_id.clone();
    Ok(match event.event_type.as_str() {
        "initiate" => CallEvent::Incoming(incoming(event)?),
        "answer" | "redirect" => {
            CallEvent::Next(NextStep { carrier_call_id, reference, ..NextStep::default() })
        }
        "gather" => {
            let digits: String =
                event.digits.unwrap_or_default().chars().filter(key).take(DIGITS_MAX).collect();
            let digits = Some(digits).filter(|digits| !digits.is_empty());
            CallEvent::Next(NextStep { carrier_call_id, reference, digits, asked_at: None })
        }
        "dtmf" => match event.digit.and_then(|digit| digit.chars().next()).filter(key) {
            Some(digit) => CallEvent::Key { carrier_call_id, digit },
            None => CallEvent::Nothing,
        },
        "disconnect" => {
            let what = CallWord::Ended(end(event.cause.as_deref().unwrap_or_default()));
            CallEvent::News(CallNews { carrier_call_id, reference, sequence: None, what })
        }
        _ => CallEvent::Nothing,
    })
}

fn incoming(event: Event) -> Result<IncomingCall, ParseError> {
    let to = event.to.unwrap_or_default();
    let to = E164::parse(to.trim()).map_err(|_| unreadable("to is not a telephone number"))?;
    let from = event.from.unwrap_or_default();
    let from = match from.trim().to_ascii_lowercase().as_str() {
        "unknown" | "unavailable" | "private" | "anonymous" | "restricted" => RemoteParty::Hidden,
        _ => RemoteParty::parse(&from),
    };
    let attestation = event.stir_shaken.and_then(|stir| {
        // “Tn-Validation-Passed-A” or without the grade.
        let passed = stir.verstat?.to_ascii_lowercase().starts_with("tn-validation-passed");
        let grade = stir.attestation_indicator?.chars().next()?.to_ascii_uppercase();
        (passed && matches!(grade, 'A' | 'B' | 'C')).then_some(grade)
    });
    let forwarded_from = event.diversion.and_then(|diversion| E164::parse(diversion.orig_to?.trim()).ok());
    Ok(IncomingCall { carrier_call_id: event.call_id, from, to, attestation, forwarded_from })
}

fn end(cause: &str) -> CallEnd {
    match cause {
        "hangup" => CallEnd::Completed,
        "busy" | "rejected" => CallEnd::Busy,
        "timeout" => CallEnd::NoAnswer,
        "cancel" => CallEnd::Cancelled,
        _ => CallEnd::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use serde_json::{Value, json};

    const CALL: &str = "c-95ac8d6e-1a31c52e-b38f-4198-93c1-51633ec68f8d";

    fn read(path: &str, mut body: Value) -> Result<CallEvent, ParseError> {
        if body.get("callId").is_none() {
            body["callId"] = CALL.into();
        }
        let headers: Vec<(String, String)> = Vec::new();
        let (url, body) = (format!("https://meari.example.org/carriers/a/{path}"), body.to_string());
        let (body, now) = (body.as_bytes(), Timestamp(0));
        event(&CallbackRequest { method: "POST", url: &url, headers: &headers, body, now })
    }

    #[test]
    fn a_call_comes_in() {
        let call = json!({ "eventType": "initiate", "from": "+12025550101", "to": "+12025550200",
            "direction": "inbound", "stirShaken": { "verstat": "Tn-Validation-Passed", "attestationIndicator": "A" },
            "diversion": { "origTo": "+12025550109", "reason": "unavailable" } });
        let CallEvent::Incoming(read_call) = read("voice", call.clone()).unwrap() else { panic!() };
        assert_eq!((read_call.attestation, read_call.carrier_call_id.as_str()), (Some('A'), CALL));
        assert_eq!(read_call.forwarded_from.unwrap().as_str(), "+12025550109");
        let with = |key: &str, value: Value| {
            let mut call = call.clone();
            call[key] = value;
            read("voice", call)
        };
        let failed = json!({ "verstat": "Tn-Validation-Failed", "attestationIndicator": "A" });
        let CallEvent::Incoming(unproved) = with("stirShaken", failed).unwrap() else { panic!() };
        assert_eq!(unproved.attestation, None);
        for from in ["anonymous", "Restricted", "", "UNAVAILABLE"] {
            let CallEvent::Incoming(hidden) = with("from", json!(from)).unwrap() else { panic!() };
            assert_eq!(hidden.from, RemoteParty::Hidden, "{from}");
        }
        for (key, value) in [("to", json!("12")), ("callId", json!("../x")), ("callId", json!(""))] {
            assert!(with(key, value).is_err(), "{key}");
        }
    }

    #[test]
    fn everything_else() {
        let leg = CallLegId::new(Timestamp(0));
        for (kind, digits, wanted) in [
            ("answer", None, None),
            ("redirect", None, None),
            ("gather", Some("12*3"), Some("12*3")),
            ("gather", Some(""), None),
        ] {
            let body = json!({ "eventType": kind, "digits": digits, "tag": leg.to_string() });
            let CallEvent::Next(next) = read("voice/x/next", body).unwrap() else { panic!("{kind}") };
            assert_eq!((next.reference, next.digits.as_deref()), (Some(leg), wanted), "{kind}");
        }
        let key =
            read(&format!("voice/{leg}/next?keys=1"), json!({ "eventType": "dtmf", "digit": "5" })).unwrap();
        assert_eq!(key, CallEvent::Key { carrier_call_id: CALL.to_owned(), digit: '5' });
        let table = [
            ("hangup", CallEnd::Completed),
            ("busy", CallEnd::Busy),
            ("rejected", CallEnd::Busy),
            ("timeout", CallEnd::NoAnswer),
            ("cancel", CallEnd::Cancelled),
            ("callback-error", CallEnd::Failed),
            ("unknown", CallEnd::Failed),
        ];
        for (cause, wanted) in table {
            let body = json!({ "eventType": "disconnect", "cause": cause, "tag": leg.to_string() });
            let CallEvent::News(news) = read("call-status", body).unwrap() else { panic!() };
            assert_eq!((news.reference, news.what), (Some(leg), CallWord::Ended(wanted)), "{cause}");
        }
        assert_eq!(
            read("call-status", json!({ "eventType": "mediaStreamStarted" })).unwrap(),
            CallEvent::Nothing
        );
    }
}
