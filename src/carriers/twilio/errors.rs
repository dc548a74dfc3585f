//! What Twilio's error codes mean for us.
//!
//! Codes: <https://www.twilio.com/docs/api/errors>. HTTP statuses come before codes: a 5xx may have been carried out
//! whatever its code says, a 429 never was.

use crate::carriers::answers::{self, Class};
use crate::carriers::{CarrierError, SendError};
use crate::net::Answer;

/// Code, our word, class. In ascending order.
const CODES: &[(u32, &str, Class)] = &[
    (20003, "carrier_refuses_credentials", Class::Ours),
    (20005, "carrier_account_inactive", Class::Ours),
    (20006, "carrier_refuses_access", Class::Ours),
    (20404, "carrier_account_unknown", Class::Ours),
    (20429, "carrier_busy", Class::Later),
    (20500, "carrier_broken", Class::Later),
    (20503, "carrier_broken", Class::Later),
    (21211, "bad_number", Class::Never),
    (21212, "bad_sender", Class::Never),
    (21214, "bad_number", Class::Never),
    (21217, "bad_number", Class::Never),
    (21265, "bad_number", Class::Never),
    (21408, "region_not_enabled", Class::Never),
    (21601, "sender_cannot_text", Class::Never),
    (21602, "text_missing", Class::Never),
    (21603, "bad_sender", Class::Never),
    (21604, "bad_number", Class::Never),
    (21605, "message_too_long", Class::Never),
    (21606, "sender_cannot_text", Class::Never),
    (21608, "carrier_account_on_trial", Class::Ours),
    (21609, "bad_status_callback", Class::Ours),
    (21610, "opted_out", Class::OptedOut),
    (21611, "carrier_queue_full", Class::Later),
    (21612, "unroutable", Class::Never),
    (21614, "not_a_mobile", Class::Never),
    (21617, "message_too_long", Class::Never),
    (21619, "text_missing", Class::Never),
    (21620, "bad_media", Class::Never),
    (21623, "bad_media", Class::Never),
    (21703, "no_sender", Class::Ours),
    (30001, "carrier_queue_full", Class::Later),
    (30002, "carrier_account_inactive", Class::Ours),
    (30003, "handset_absent", Class::Absent),
    (30004, "blocked", Class::Never),
    (30005, "handset_unknown", Class::Gone),
    (30006, "not_a_mobile", Class::Never),
    (30007, "filtered", Class::Never),
    (30008, "undelivered", Class::Later),
    (30011, "bad_media", Class::Never),
    (30017, "carrier_busy", Class::Later),
    (30019, "bad_media", Class::Never),
    (30022, "carrier_busy", Class::Later),
    (30023, "daily_cap", Class::Later),
    (30024, "sender_not_registered", Class::Ours),
    (30027, "daily_cap", Class::Later),
    (30032, "sender_not_registered", Class::Never),
    (30034, "sender_not_registered", Class::Never),
    (30035, "sender_not_registered", Class::Ours),
    (30036, "expired", Class::Later),
    (30410, "carrier_busy", Class::Later),
];

/// Reads the error of a delivery receipt.
pub(super) fn from_receipt(code: &str) -> CarrierError {
    answers::receipt_error(code, code.parse().ok().and_then(|code| answers::look_up(CODES, code)))
}

/// `{"code":21211,"message":"…","more_info":"…","status":400}`
#[derive(Default, serde::Deserialize)]
struct Problem {
    code: Option<u32>,
    message: Option<String>,
}

/// Reads an answer that is not a success.
pub(super) fn from_answer(answer: &Answer) -> SendError {
    let problem: Problem = answer.json().unwrap_or_default();
    let code = problem.code.map(|code| code.to_string());
    answers::refusal(
        answer,
        code.as_deref(),
        problem.message.as_deref(),
        problem.code.and_then(|code| answers::look_up(CODES, code)),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::carriers::Retry;

    fn answer(status: u16, code: u32, retry_after: Option<&str>) -> Answer {
        let body = match code {
            0 => "<html>".to_owned(),
            code => format!(r#"{{"code":{code},"message":"m","more_info":"i","status":{status}}}"#),
        };
        let mut headers = reqwest::header::HeaderMap::new();
        if let Some(pause) = retry_after {
            headers.insert("retry-after", pause.parse().unwrap());
        }
        Answer { status, headers, body: body.into() }
    }

    #[test]
    fn codes_are_in_order() {
        assert!(CODES.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn answers_are_classified() {
        let after = |secs| Retry::After(Duration::from_secs(secs));
        // status, code, Retry-After, our word, retry, certain, whole carrier
        let table = [
            (400, 21211, None, "bad_number", Retry::Never, true, false),
            (400, 21610, None, "opted_out", Retry::Never, true, false),
            (400, 21617, None, "message_too_long", Retry::Never, true, false),
            (400, 29999, None, "carrier_refuses", Retry::Never, true, false),
            (400, 0, None, "carrier_refuses", Retry::Never, true, false),
            (401, 20003, None, "carrier_refuses_credentials", Retry::Backoff, true, true),
            (401, 0, None, "carrier_refuses_credentials", Retry::Backoff, true, true),
            (403, 20006, None, "carrier_refuses_access", Retry::Backoff, true, true),
            (404, 20404, None, "carrier_account_unknown", Retry::Backoff, true, true),
            (302, 0, None, "carrier_moved", Retry::Backoff, true, true),
            (400, 21611, None, "carrier_queue_full", Retry::Backoff, true, false),
            (429, 20429, None, "carrier_busy", Retry::Backoff, true, false),
            (429, 0, Some("7"), "carrier_busy", after(7), true, false),
            (429, 20429, Some("999999"), "carrier_busy", after(3600), true, false),
            (429, 20429, Some("Fri, 31 Dec 1999 23:59:59 GMT"), "carrier_busy", Retry::Backoff, true, false),
            (500, 20500, None, "carrier_broken", Retry::Backoff, false, false),
            (502, 0, None, "carrier_broken", Retry::Backoff, false, false),
            (503, 20503, Some("2"), "carrier_broken", after(2), false, false),
            (504, 0, None, "carrier_broken", Retry::Backoff, false, false),
            (408, 0, None, "carrier_broken", Retry::Backoff, false, false),
        ];
        for (status, code, retry_after, word, retry, certain, whole_carrier) in table {
            let found = from_answer(&answer(status, code, retry_after));
            assert_eq!(
                (found.code.as_str(), found.retry, found.certain, found.whole_carrier),
                (word, retry, certain, whole_carrier),
                "{status} {code}"
            );
        }
    }

    #[test]
    fn receipts_are_classified() {
        // code, our word, permanent, handset absent, opted out
        let table = [
            ("30003", "handset_absent", false, true, false),
            ("30005", "handset_unknown", true, true, false),
            ("30006", "not_a_mobile", true, false, false),
            ("30007", "filtered", true, false, false),
            ("30008", "undelivered", false, false, false),
            ("21610", "opted_out", true, false, true),
            ("39999", "undelivered", false, false, false),
            ("x'\"", "undelivered", false, false, false),
        ];
        for (code, word, permanent, handset_absent, opted_out) in table {
            let found = from_receipt(code);
            assert_eq!(
                (found.code.as_str(), found.permanent, found.handset_absent, found.opted_out),
                (word, permanent, handset_absent, opted_out),
                "{code}"
            );
        }
        assert_eq!(from_receipt("x'\"").carrier_code, "x");
    }
}
