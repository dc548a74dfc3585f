//! Voice requests and call progress callbacks to our values.

use crate::carriers::form::Form;
use crate::carriers::twilio::parse::REFERENCE;
use crate::carriers::twilio::signature::query_of;
use crate::carriers::voice::{CallEnd, CallEvent, CallNews, CallWord, IncomingCall, NextStep, Progress};
use crate::carriers::{CallbackRequest, ParseError};
use crate::phone::{E164, RemoteParty};

/// Twilio's ids have 34 characters.
const ID_CHARS_MAX: usize = 64;
/// Digits that somebody typed.
const DIGITS_MAX: usize = 64;

/// Whether a text can be an id of Twilio's.
pub(super) fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= ID_CHARS_MAX && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

fn unreadable(what: &str) -> ParseError {
    ParseError(what.to_owned())
}

/// Reads whatever comes to the addresses for calls.
pub(super) fn event(request: &CallbackRequest<'_>, form: &Form) -> Result<CallEvent, ParseError> {
    let carrier_call_id =
        form.filled("CallSid").ok_or_else(|| unreadable("CallSid is missing"))?.into_owned();
    if !is_id(&carrier_call_id) {
        return Err(unreadable("CallSid is not an id"));
    }
    let path = request.url.split(['?', '#']).next().unwrap_or_default();
    if path.ends_with("/call-status") {
        return news(request, form, carrier_call_id).map(CallEvent::News);
    }
    if path.ends_with("/voice") {
        return incoming(form, carrier_call_id).map(CallEvent::Incoming);
    }
    let digits = form.filled("Digits").map(|digits| {
        digits.chars().filter(|c| c.is_ascii_digit() || matches!(c, '*' | '#')).take(DIGITS_MAX).collect()
    });
    Ok(CallEvent::Next(NextStep { carrier_call_id, digits, ..NextStep::default() }))
}

fn incoming(form: &Form, carrier_call_id: String) -> Result<IncomingCall, ParseError> {
    let to = form.filled("To").ok_or_else(|| unreadable("To is missing"))?;
    let to = E164::parse(to.trim()).map_err(|_| unreadable("To is not a telephone number"))?;
    let from = form.get("From").unwrap_or_default();
    // Hidden numbers come as words or as the digits that spell them: ANONYMOUS is 266696687 on the keys.
    let from = match from.trim() {
        "+266696687" | "+7378742833" | "+2562533" | "+8656696" | "+86282452253" => RemoteParty::Hidden,
        other => RemoteParty::parse(other),
    };
    let attestation = form.filled("StirVerstat").and_then(|word| {
        let grade = word.strip_prefix("TN-Validation-Passed-")?.chars().next()?;
        matches!(grade, 'A' | 'B' | 'C').then_some(grade)
    });
    let forwarded_from = form.filled("ForwardedFrom").and_then(|text| E164::parse(text.trim()).ok());
    Ok(IncomingCall { carrier_call_id, from, to, attestation, forwarded_from })
}

fn news(request: &CallbackRequest<'_>, form: &Form, carrier_call_id: String) -> Result<CallNews, ParseError> {
    let status = form.filled("CallStatus").ok_or_else(|| unreadable("CallStatus is missing"))?;
    let what = match status.as_ref() {
        "queued" | "initiated" => CallWord::Progress(Progress::Dialling),
        "ringing" => CallWord::Progress(Progress::Ringing),
        "in-progress" | "answered" => CallWord::Progress(Progress::Answered),
        "completed" => CallWord::Ended(CallEnd::Completed),
        "busy" => CallWord::Ended(CallEnd::Busy),
        "no-answer" => CallWord::Ended(CallEnd::NoAnswer),
        "canceled" => CallWord::Ended(CallEnd::Cancelled),
        "failed" => CallWord::Ended(CallEnd::Failed),
        _ => return Err(unreadable("CallStatus is not a word that we know")),
    };
    let query = Form::parse(query_of(request.url).as_bytes()).unwrap_or_else(Form::empty);
    Ok(CallNews {
        carrier_call_id,
        reference: query.get(REFERENCE).and_then(|id| id.parse().ok()),
        sequence: form.filled("SequenceNumber").and_then(|n| n.parse().ok()),
        what,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    fn read(path: &str, body: &str) -> Result<CallEvent, ParseError> {
        let headers: Vec<(String, String)> = Vec::new();
        let url = format!("https://meari.example.org/carriers/a/{path}");
        let request = CallbackRequest {
            method: "POST",
            url: &url,
            headers: &headers,
            body: body.as_bytes(),
            now: Timestamp(0),
        };
        event(&request, &Form::parse(body.as_bytes()).unwrap())
    }

    #[test]
    fn a_call_comes_in() {
        let body = "CallSid=CA01&From=%2B12025550101&To=%2B12025550200&CallStatus=ringing&StirVerstat=TN-Validation-Passed-A";
        let CallEvent::Incoming(call) = read("voice", body).unwrap() else { panic!() };
        assert_eq!((call.attestation, call.carrier_call_id.as_str()), (Some('A'), "CA01"));
        for (from, hidden) in
            [("anonymous", true), ("%2B266696687", true), ("", true), ("%2B12025550101", false)]
        {
            let body =
                format!("CallSid=CA01&From={from}&To=%2B12025550200&StirVerstat=TN-Validation-Failed-A");
            let CallEvent::Incoming(call) = read("voice", &body).unwrap() else { panic!() };
            assert_eq!(call.from == RemoteParty::Hidden, hidden, "{from}");
            assert_eq!(call.attestation, None);
        }
        for bad in ["From=x", "CallSid=CA01&To=12", "CallSid=..%2F&To=%2B12025550200", ""] {
            assert!(read("voice", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn news_and_digits_are_read() {
        let leg = crate::ids::CallLegId::new(Timestamp(0));
        let table = [
            ("ringing", CallWord::Progress(Progress::Ringing)),
            ("in-progress", CallWord::Progress(Progress::Answered)),
            ("busy", CallWord::Ended(CallEnd::Busy)),
            ("no-answer", CallWord::Ended(CallEnd::NoAnswer)),
            ("completed", CallWord::Ended(CallEnd::Completed)),
        ];
        for (status, what) in table {
            let body = format!("CallSid=CA01&CallStatus={status}&SequenceNumber=2");
            let news = read(&format!("call-status?ref={leg}"), &body).unwrap();
            let wanted = CallNews {
                carrier_call_id: "CA01".to_owned(),
                reference: Some(leg),
                sequence: Some(2),
                what,
            };
            assert_eq!(news, CallEvent::News(wanted));
        }
        assert!(read("call-status", "CallSid=CA01&CallStatus=dancing").is_err());
        let next = read(&format!("voice/{leg}/next"), "CallSid=CA01&Digits=12%2A34x").unwrap();
        let digits = Some("12*34".to_owned());
        let carrier_call_id = "CA01".to_owned();
        assert_eq!(next, CallEvent::Next(NextStep { carrier_call_id, digits, ..NextStep::default() }));
    }
}
