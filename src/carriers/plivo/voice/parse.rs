//! What comes to the addresses for calls, to our values.

use crate::carriers::form::Form;
use crate::carriers::plivo::parse::{is_id, number};
use crate::carriers::voice::{
    CallEnd, CallEvent, CallNews, CallWord, IncomingCall, NextStep, Progress, reference_of,
};
use crate::carriers::{CallbackRequest, ParseError};
use crate::phone::RemoteParty;

/// Digits that somebody typed.
const DIGITS_MAX: usize = 64;

fn unreadable(what: &str) -> ParseError {
    ParseError(what.to_owned())
}

/// Reads whatever comes to the addresses for calls.
pub(super) fn event(request: &CallbackRequest<'_>, form: &Form) -> Result<CallEvent, ParseError> {
    let path = request.url.split(['?', '#']).next().unwrap_or_default();
    let id = form.filled("CallUUID").or_else(|| form.filled("RequestUUID"));
    let carrier_call_id = id.ok_or_else(|| unreadable("CallUUID is missing"))?.into_owned();
    if !is_id(&carrier_call_id) {
        return Err(unreadable("CallUUID is not an id"));
    }
    // Without an address of its own the end of a call is told where it began.
    let is_end = form.get("Event").is_some_and(|event| event == "Hangup");
    if is_end || path.ends_with("/call-status") {
        return news(request, form, carrier_call_id);
    }
    if path.ends_with("/voice") {
        return incoming(form, carrier_call_id).map(CallEvent::Incoming);
    }
    let key = |c: &char| c.is_ascii_digit() || matches!(c, '*' | '#');
    let digits = form.filled("Digits");
    let digits = digits.map(|digits| digits.chars().filter(key).take(DIGITS_MAX).collect());
    let reference = reference_of(request.url);
    Ok(CallEvent::Next(NextStep { carrier_call_id, reference, digits, asked_at: None }))
}

fn incoming(form: &Form, carrier_call_id: String) -> Result<IncomingCall, ParseError> {
    let to = form.get("To").unwrap_or_default();
    let to = number(&to).ok_or_else(|| unreadable("To is not a telephone number"))?;
    let from = form.get("From").unwrap_or_default();
    let from = match from.trim().to_ascii_lowercase().as_str() {
        "unknown" | "anonymous" | "private" | "restricted" | "unavailable" => RemoteParty::Hidden,
        _ => number(&from).map_or_else(|| RemoteParty::parse(&from), RemoteParty::Phone),
    };
    // “Verified” is what came with the full attestation; of the others it does not say which they had.
    let attestation = form.get("STIRVerification").filter(|word| word == "Verified").map(|_| 'A');
    let forwarded_from = form.filled("ForwardedFrom").and_then(|from| number(&from));
    Ok(IncomingCall { carrier_call_id, from, to, attestation, forwarded_from })
}

fn news(
    request: &CallbackRequest<'_>,
    form: &Form,
    carrier_call_id: String,
) -> Result<CallEvent, ParseError> {
    let status = form.filled("CallStatus").ok_or_else(|| unreadable("CallStatus is missing"))?;
    let cause = form.get("HangupCause").unwrap_or_default().to_ascii_uppercase();
    let what = match status.as_ref() {
        "ringing" => CallWord::Progress(Progress::Ringing),
        "in-progress" => CallWord::Progress(Progress::Answered),
        "completed" => CallWord::Ended(CallEnd::Completed),
        "busy" => CallWord::Ended(CallEnd::Busy),
        "timeout" | "no-answer" => CallWord::Ended(CallEnd::NoAnswer),
        "cancel" | "canceled" | "cancelled" => CallWord::Ended(CallEnd::Cancelled),
        "failed" if cause.contains("REJECT") || cause.contains("BUSY") => CallWord::Ended(CallEnd::Busy),
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

    const UUID: &str = "aaaaaaaa-bbbb-cccc-dddd-0123456789ab";

    fn read(path: &str, body: &str) -> Result<CallEvent, ParseError> {
        let headers: Vec<(String, String)> = Vec::new();
        let url = format!("https://meari.example.org/carriers/a/{path}");
        let (body, now) = (body.as_bytes(), Timestamp(0));
        let request = CallbackRequest { method: "POST", url: &url, headers: &headers, body, now };
        event(&request, &Form::parse(body).unwrap())
    }

    #[test]
    fn a_call_comes_in() {
        let with = |from: &str, more: &str| {
            let body =
                format!("CallUUID={UUID}&From={from}&To=12025550200&CallStatus=ringing&Event=StartApp{more}");
            let CallEvent::Incoming(call) = read("voice", &body).unwrap() else { panic!() };
            call
        };
        let call = with("12025550101", "&STIRVerification=Verified");
        assert_eq!((call.attestation, call.to.as_str()), (Some('A'), "+12025550200"));
        assert_eq!(call.from.phone().unwrap().as_str(), "+12025550101");
        assert_eq!(with("12025550101", "&STIRVerification=Not+Verified").attestation, None);
        for from in ["anonymous", "Unknown", "", "Restricted"] {
            assert_eq!(with(from, "").from, RemoteParty::Hidden, "{from}");
        }
        for bad in ["From=x", "CallUUID=..%2F&To=12025550200", "CallUUID=a&To=12", ""] {
            assert!(read("voice", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn news_and_digits_are_read() {
        let leg = CallLegId::new(Timestamp(0));
        let table = [
            ("ringing", "", CallWord::Progress(Progress::Ringing)),
            ("in-progress", "", CallWord::Progress(Progress::Answered)),
            ("completed", "NORMAL_CLEARING", CallWord::Ended(CallEnd::Completed)),
            ("busy", "USER_BUSY", CallWord::Ended(CallEnd::Busy)),
            ("timeout", "ALLOTTED_TIMEOUT", CallWord::Ended(CallEnd::NoAnswer)),
            ("no-answer", "NO_ANSWER", CallWord::Ended(CallEnd::NoAnswer)),
            ("cancel", "ORIGINATOR_CANCEL", CallWord::Ended(CallEnd::Cancelled)),
            ("failed", "CALL_REJECTED", CallWord::Ended(CallEnd::Busy)),
            ("failed", "UNALLOCATED_NUMBER", CallWord::Ended(CallEnd::Failed)),
        ];
        for (status, cause, what) in table {
            let body = format!("CallUUID={UUID}&RequestUUID=r-1&CallStatus={status}&HangupCause={cause}");
            let CallEvent::News(news) = read(&format!("call-status?ref={leg}"), &body).unwrap() else {
                panic!()
            };
            assert_eq!((news.reference, news.what), (Some(leg), what), "{status} {cause}");
            assert_eq!(news.carrier_call_id, UUID);
        }
        let end = format!("CallUUID={UUID}&CallStatus=completed&Event=Hangup");
        assert!(matches!(read("voice", &end).unwrap(), CallEvent::News(_)), "told where it began");
        let asked = format!("CallUUID={UUID}&CallStatus=in-progress&Digits=12%2A34x&Event=Digits");
        let CallEvent::Next(next) = read(&format!("voice/{leg}/next"), &asked).unwrap() else { panic!() };
        assert_eq!((next.reference, next.digits.as_deref()), (Some(leg), Some("12*34")));
    }
}
