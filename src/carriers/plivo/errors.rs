//! Plivo's codes. The API itself answers `{"error": "…"}` without a code, so there HTTP alone counts.
//!
//! Codes of receipts: <https://www.plivo.com/docs/messaging/troubleshooting/error-codes>; those from 300 on are from
//! reports of others and not confirmed by that page.

use serde::Deserialize;
use serde_json::Value;

use crate::carriers::answers::{self, Class};
use crate::carriers::{CarrierError, SendError};
use crate::net::Answer;

/// Code, our word, class. In ascending order.
const CODES: &[(u32, &str, Class)] = &[
    (10, "carrier_refuses", Class::Never),
    (20, "carrier_broken", Class::Later),
    (30, "filtered", Class::Never),
    (40, "bad_sender", Class::Never),
    (50, "bad_number", Class::Never),
    (60, "filtered", Class::Never),
    (70, "handset_unknown", Class::Gone),
    (80, "handset_absent", Class::Absent),
    (90, "unroutable", Class::Never),
    (100, "blocked", Class::Never),
    (110, "message_too_long", Class::Never),
    (200, "opted_out", Class::OptedOut),
    (201, "unroutable", Class::Never),
    (300, "carrier_queue_full", Class::Later),
    (420, "expired", Class::Later),
    (450, "region_not_enabled", Class::Never),
    (451, "region_not_enabled", Class::Never),
    (1000, "undelivered", Class::Later),
];

/// Reads the error of a delivery receipt.
pub(super) fn from_receipt(code: &str) -> CarrierError {
    answers::receipt_error(code, code.parse().ok().and_then(|code| answers::look_up(CODES, code)))
}

/// `{"api_id":"…","error":"…"}`; the error may be an object of fields.
#[derive(Default, Deserialize)]
struct Problem {
    #[serde(default)]
    error: Value,
}

/// Reads an answer that is not a success.
pub(super) fn from_answer(answer: &Answer) -> SendError {
    let problem: Problem = answer.json().unwrap_or_default();
    let said = match &problem.error {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    // Permission for a country is switched on in the console.
    let meaning = (answer.status == 403).then_some(("region_not_enabled", Class::Never));
    answers::refusal(answer, Some("none"), Some(&said), meaning)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::carriers::Retry;

    #[test]
    fn codes_are_in_order() {
        assert!(CODES.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn receipts_are_classified() {
        let table = [
            ("200", "opted_out", true, false, true),
            ("80", "handset_absent", false, true, false),
            ("70", "handset_unknown", true, true, false),
            ("30", "filtered", true, false, false),
            ("020", "carrier_broken", false, false, false),
            ("999", "undelivered", false, false, false),
            ("", "undelivered", false, false, false),
        ];
        for (code, word, permanent, absent, opted_out) in table {
            let found = from_receipt(code);
            let found = (found.code.as_str(), found.permanent, found.handset_absent, found.opted_out);
            assert_eq!(found, (word, permanent, absent, opted_out), "{code}");
        }
    }

    #[test]
    fn answers_say_what_went_wrong() {
        let answer = |status, body: &str| Answer {
            status,
            headers: reqwest::header::HeaderMap::new(),
            body: body.to_owned().into(),
        };
        let error = from_answer(&answer(400, r#"{"api_id":"x","error":"dst is not valid"}"#));
        assert_eq!((error.retry, error.certain), (Retry::Never, true));
        assert!(error.detail.contains("dst is not valid"));
        assert_eq!(from_answer(&answer(403, "{}")).code, "region_not_enabled");
        assert!(from_answer(&answer(401, "Could not verify")).whole_carrier);
        assert!(from_answer(&answer(400, r#"{"error":{"dst":["bad"]}}"#)).detail.contains("bad"));
    }
}
