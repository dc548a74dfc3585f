//! Call Control events to our values.

use serde::Deserialize;

use super::state::ClientState;
use crate::carriers::ParseError;
use crate::carriers::voice::{
    CallEnd, CallEvent, CallNews, CallWord, IncomingCall, NextStep, Progress, Step,
};
use crate::phone::{E164, RemoteParty};

/// A `call_control_id` has some seventy characters.
const ID_CHARS_MAX: usize = 256;
/// Digits that somebody typed.
const DIGITS_MAX: usize = 64;

#[derive(Deserialize)]
struct Envelope {
    data: Event,
}

#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    event_type: String,
    #[serde(default)]
    payload: serde_json::Value,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Payload {
    call_control_id: String,
    client_state: Option<String>,
    direction: Option<String>,
    from: Option<String>,
    to: Option<String>,
    shaken_stir_attestation: Option<String>,
    shaken_stir_validated: Option<bool>,
    hangup_cause: Option<String>,
    digits: Option<String>,
}

/// Whether a text can be an id of Telnyx's (`v3:MdI91X4lWFEs7IgbBEOT9M4AigoY08M0WWZFISt1Yw2axZ_IiE4pqg`).
pub(super) fn is_id(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b":-_=+/.".contains(&b);
    !text.is_empty() && text.len() <= ID_CHARS_MAX && text.bytes().all(plain)
}

fn unreadable(what: &str) -> ParseError {
    ParseError(what.to_owned())
}

/// Reads an event, whichever address it came to: they are told apart by what they say.
pub(super) fn event(body: &[u8]) -> Result<CallEvent, ParseError> {
    let envelope: Envelope =
        serde_json::from_slice(body).map_err(|_| unreadable("the body is not an event"))?;
    let kind = envelope.data.event_type;
    if !(kind.starts_with("call.") || kind.starts_with("streaming.")) {
        return Ok(CallEvent::Nothing);
    }
    let payload: Payload =
        serde_json::from_value(envelope.data.payload).map_err(|_| unreadable("the payload is not a call"))?;
    let state = ClientState::decode(payload.client_state.as_deref().unwrap_or_default());
    let id = &payload.call_control_id;
    let known = || if is_id(id) { Ok(id.clone()) } else { Err(unreadable("call_control_id is not an id")) };
    let news = |what| {
        let reference = state.reference;
        Ok::<_, ParseError>(CallNews { carrier_call_id: known()?, reference, sequence: None, what })
    };
    Ok(match kind.as_str() {
        "call.initiated" if payload.direction.as_deref() == Some("incoming") => {
            CallEvent::Incoming(incoming(&payload, known()?)?)
        }
        // Telnyx does not say when the telephone begins to ring: it does from here on.
        "call.initiated" => CallEvent::News(news(CallWord::Progress(Progress::Ringing))?),
        "call.answered" => {
            let news = news(CallWord::Progress(Progress::Answered))?;
            go(known()?, Some(news), state)
        }
        "call.speak.ended" | "streaming.stopped" | "streaming.failed" => go(known()?, None, state),
        "call.gather.ended" => typed(known()?, payload.digits.as_deref().unwrap_or_default(), state),
        "call.hangup" => {
            CallEvent::News(news(CallWord::Ended(end(payload.hangup_cause.as_deref().unwrap_or_default())))?)
        }
        _ => CallEvent::Nothing,
    })
}

/// What comes after the step that has ended: the steps that are left, or the question what next.
fn go(carrier_call_id: String, news: Option<CallNews>, state: ClientState) -> CallEvent {
    match state.next.first() {
        Some(Step::GoTo { .. }) => {
            CallEvent::Next(NextStep { carrier_call_id, reference: state.reference, ..NextStep::default() })
        }
        Some(_) => CallEvent::Go { carrier_call_id, news, steps: state.next },
        // Without anything left it would hang in the air.
        None => CallEvent::Go { carrier_call_id, news, steps: vec![Step::HangUp] },
    }
}

fn typed(carrier_call_id: String, digits: &str, state: ClientState) -> CallEvent {
    let key = |c: &char| c.is_ascii_digit() || matches!(c, '*' | '#');
    let digits: String = digits.chars().filter(key).take(DIGITS_MAX).collect();
    if digits.is_empty() {
        return go(carrier_call_id, None, state);
    }
    let ClientState { reference, asked_at, .. } = state;
    CallEvent::Next(NextStep { carrier_call_id, reference, digits: Some(digits), asked_at })
}

fn incoming(payload: &Payload, carrier_call_id: String) -> Result<IncomingCall, ParseError> {
    let to = payload.to.as_deref().unwrap_or_default();
    let to = E164::parse(to.trim()).map_err(|_| unreadable("to is not a telephone number"))?;
    let from = payload.from.as_deref().unwrap_or_default().trim();
    let from = match from.trim_start_matches('+').to_ascii_lowercase().as_str() {
        "unknown" | "unavailable" | "private" | "anonymous" => RemoteParty::Hidden,
        _ => RemoteParty::parse(from),
    };
    let grade = payload.shaken_stir_attestation.as_deref().and_then(|grade| grade.trim().chars().next());
    let attestation =
        grade.filter(|grade| payload.shaken_stir_validated == Some(true) && matches!(grade, 'A' | 'B' | 'C'));
    Ok(IncomingCall { carrier_call_id, from, to, attestation, forwarded_from: None })
}

fn end(cause: &str) -> CallEnd {
    match cause {
        "normal_clearing" | "time_limit" => CallEnd::Completed,
        "user_busy" | "call_rejected" => CallEnd::Busy,
        "timeout" | "no_answer" => CallEnd::NoAnswer,
        "originator_cancel" => CallEnd::Cancelled,
        _ => CallEnd::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::ids::CallLegId;
    use serde_json::{Value, json};

    const CALL: &str = "v3:MdI91X4lWFEs7IgbBEOT9M4AigoY08M0WWZFISt1Yw2axZ_IiE4pqg";

    fn read(kind: &str, mut payload: Value) -> Result<CallEvent, ParseError> {
        if payload.get("call_control_id").is_none() {
            payload["call_control_id"] = CALL.into();
        }
        let body = json!({ "data": { "event_type": kind, "id": "0ccc7b54", "record_type": "event",
            "payload": payload } });
        event(body.to_string().as_bytes())
    }

    #[test]
    fn a_call_comes_in() {
        let call = json!({ "direction": "incoming", "state": "parked", "from": "+12025550101",
            "to": "+12025550200", "client_state": null, "shaken_stir_attestation": "A",
            "shaken_stir_validated": true });
        let CallEvent::Incoming(read_call) = read("call.initiated", call.clone()).unwrap() else { panic!() };
        assert_eq!((read_call.attestation, read_call.carrier_call_id.as_str()), (Some('A'), CALL));
        let with = |key: &str, value: Value| {
            let mut call = call.clone();
            call[key] = value;
            read("call.initiated", call)
        };
        let CallEvent::Incoming(unproved) = with("shaken_stir_validated", json!(false)).unwrap() else {
            panic!()
        };
        assert_eq!(unproved.attestation, None);
        for from in ["anonymous", "+anonymous", "Unknown", "", "Restricted"] {
            let CallEvent::Incoming(hidden) = with("from", json!(from)).unwrap() else { panic!() };
            assert_eq!(hidden.from, RemoteParty::Hidden, "{from}");
        }
        for (key, value) in [("to", json!("12")), ("to", json!(null)), ("call_control_id", json!("v3 x"))] {
            assert!(with(key, value).is_err(), "{key}");
        }
        assert!(event(b"[]").is_err());
        assert_eq!(read("message.received", json!({})).unwrap(), CallEvent::Nothing);
        assert_eq!(read("call.cost", json!({})).unwrap(), CallEvent::Nothing);
    }

    #[test]
    fn what_is_left_comes_back_with_the_events() {
        let reference = CallLegId::new(Timestamp(1));
        let url = "https://meari.example.org/carriers/a/voice/x/next".to_owned();
        let sound = Step::Sound { url: "wss://meari.example.org/carriers/a/media/t".to_owned() };
        let steps = vec![sound, Step::GoTo { url: url.clone() }];
        let state = ClientState { reference: Some(reference), ..ClientState::steps(&steps) };
        let answered = read("call.answered", json!({ "client_state": state.encode() })).unwrap();
        let CallEvent::Go { news: Some(news), steps: left, .. } = answered else { panic!() };
        assert_eq!((news.reference, left), (Some(reference), steps));
        let state = ClientState { reference: Some(reference), ..ClientState::steps(&[Step::GoTo { url }]) };
        for kind in ["streaming.stopped", "streaming.failed"] {
            let next = read(kind, json!({ "client_state": state.encode() })).unwrap();
            let CallEvent::Next(next) = next else { panic!() };
            assert_eq!((next.reference, next.digits), (Some(reference), None));
        }
        let CallEvent::Go { steps, .. } = read("call.speak.ended", json!({})).unwrap() else { panic!() };
        assert_eq!(steps, [Step::HangUp], "nothing is left");
        let asked = ClientState { asked_at: Some("https://x/hidden".to_owned()), ..ClientState::default() };
        let payload = json!({ "client_state": asked.encode(), "digits": "12*3x", "status": "valid" });
        let CallEvent::Next(next) = read("call.gather.ended", payload).unwrap() else { panic!() };
        assert_eq!(
            (next.digits.as_deref(), next.asked_at.as_deref()),
            (Some("12*3"), Some("https://x/hidden"))
        );
    }

    #[test]
    fn ends_are_told_apart() {
        let table = [
            ("normal_clearing", CallEnd::Completed),
            ("time_limit", CallEnd::Completed),
            ("user_busy", CallEnd::Busy),
            ("call_rejected", CallEnd::Busy),
            ("timeout", CallEnd::NoAnswer),
            ("no_answer", CallEnd::NoAnswer),
            ("originator_cancel", CallEnd::Cancelled),
            ("not_found", CallEnd::Failed),
            ("unspecified", CallEnd::Failed),
            ("", CallEnd::Failed),
        ];
        for (cause, wanted) in table {
            let payload = json!({ "hangup_cause": cause, "hangup_source": "callee" });
            let CallEvent::News(news) = read("call.hangup", payload).unwrap() else { panic!() };
            assert_eq!(news.what, CallWord::Ended(wanted), "{cause}");
        }
    }
}
