//! What Telnyx's error codes mean for us.
//!
//! Codes: “API errors” and “Messaging error codes” of the vendor's support centre, as of June 2026.

use serde::Deserialize;

use super::parse::Problem;
use crate::carriers::answers::{self, Class};
use crate::carriers::{CarrierError, SendError};
use crate::net::Answer;

/// Code, our word, class. In ascending order.
const CODES: &[(u32, &str, Class)] = &[
    (10001, "carrier_refuses_credentials", Class::Ours),
    (10002, "bad_number", Class::Never),
    (10004, "carrier_refuses", Class::Never),
    (10007, "carrier_broken", Class::Later),
    (10008, "carrier_broken", Class::Later),
    (10009, "carrier_refuses_credentials", Class::Ours),
    (10010, "carrier_refuses_access", Class::Ours),
    (10011, "carrier_busy", Class::Later),
    (10015, "carrier_refuses", Class::Never),
    (10016, "bad_number", Class::Never),
    (20002, "carrier_refuses_credentials", Class::Ours),
    (20006, "carrier_refuses_credentials", Class::Ours),
    (20012, "carrier_account_inactive", Class::Ours),
    (20013, "carrier_account_inactive", Class::Ours),
    (20014, "carrier_account_inactive", Class::Ours),
    (20015, "carrier_account_inactive", Class::Ours),
    (20016, "carrier_account_inactive", Class::Ours),
    (20017, "carrier_account_inactive", Class::Ours),
    (20100, "carrier_funds_spent", Class::Ours),
    (40001, "not_a_mobile", Class::Never),
    (40002, "filtered", Class::Later),
    (40003, "filtered", Class::Never),
    (40004, "undelivered", Class::Never),
    (40005, "expired", Class::Later),
    (40006, "carrier_busy", Class::Later),
    (40008, "handset_unknown", Class::Gone),
    (40009, "bad_media", Class::Never),
    (40010, "sender_not_registered", Class::Ours),
    (40011, "carrier_busy", Class::Later),
    (40012, "bad_number", Class::Never),
    (40013, "bad_sender", Class::Never),
    (40014, "expired", Class::Later),
    (40015, "filtered", Class::Never),
    (40016, "daily_cap", Class::Later),
    (40017, "sender_not_registered", Class::Never),
    (40018, "carrier_busy", Class::Later),
    (40100, "carrier_account_inactive", Class::Ours),
    (40150, "sender_not_registered", Class::Ours),
    (40151, "sender_not_registered", Class::Ours),
    (40300, "opted_out", Class::OptedOut),
    (40301, "unroutable", Class::Never),
    (40302, "message_too_long", Class::Never),
    (40304, "bad_sender", Class::Never),
    (40305, "bad_sender", Class::Ours),
    (40306, "sender_cannot_text", Class::Ours),
    (40308, "bad_sender", Class::Ours),
    (40309, "region_not_enabled", Class::Never),
    (40310, "bad_number", Class::Never),
    (40311, "carrier_account_inactive", Class::Ours),
    (40312, "carrier_account_inactive", Class::Ours),
    (40313, "no_sender", Class::Ours),
    (40314, "carrier_account_inactive", Class::Ours),
    (40315, "sender_cannot_text", Class::Ours),
    (40316, "text_missing", Class::Never),
    (40317, "bad_media", Class::Never),
    (40318, "carrier_queue_full", Class::Later),
    (40319, "bad_sender", Class::Never),
    (40320, "carrier_busy", Class::Later),
    (40321, "no_sender", Class::Ours),
    (40322, "filtered", Class::Never),
    (40328, "carrier_account_on_trial", Class::Ours),
    (40329, "sender_not_registered", Class::Ours),
];

fn look_up(code: &str) -> Option<(&'static str, Class)> {
    answers::look_up(CODES, code.parse().ok()?)
}

/// Reads the error of a delivery receipt. 40300 comes for other things too, so its title must speak of STOP.
pub(super) fn from_receipt(problem: &Problem) -> CarrierError {
    let code = problem.code();
    let words = || format!("{} {}", text(&problem.title), text(&problem.detail)).to_uppercase();
    let known = look_up(&code).map(|(word, class)| match class {
        Class::OptedOut if !words().contains("STOP") => ("blocked", Class::Never),
        class => (word, class),
    });
    answers::receipt_error(&code, known)
}

/// It waited too long for its turn.
pub(super) fn expired() -> CarrierError {
    answers::receipt_error("expired", Some(("expired", Class::Later)))
}

fn text(text: &Option<String>) -> &str {
    text.as_deref().unwrap_or_default()
}

/// `{"errors":[{"code":"40305","title":"…","detail":"…"}]}`
#[derive(Default, Deserialize)]
struct Problems {
    #[serde(default)]
    errors: Vec<Problem>,
}

/// Reads an answer that is not a success.
pub(super) fn from_answer(answer: &Answer) -> SendError {
    let problems: Problems = answer.json().unwrap_or_default();
    let Some(first) = problems.errors.first() else { return answers::refusal(answer, None, None, None) };
    let code = first.code();
    let message = format!("{} {}", text(&first.title), text(&first.detail));
    answers::refusal(answer, Some(&code), Some(message.trim()), look_up(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_order() {
        assert!(CODES.is_sorted_by(|a, b| a.0 < b.0));
    }
}
