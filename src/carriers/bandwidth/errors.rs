//! What Bandwidth's error codes mean for us.
//!
//! Codes: “Messaging errors” of the vendor's guides. The first digit says whose fault it is (4 ours, 5 theirs), the
//! second where (7 and 6: in the next network).

use serde::Deserialize;

use crate::carriers::answers::{self, Class};
use crate::carriers::{CarrierError, ReceiptState, SendError};
use crate::net::Answer;

/// Code, our word, class. In ascending order.
const CODES: &[(u16, &str, Class)] = &[
    (4001, "carrier_refuses", Class::Never),
    (4301, "carrier_refuses", Class::Never),
    (4302, "bad_number", Class::Never),
    (4303, "bad_sender", Class::Never),
    (4350, "carrier_refuses", Class::Never),
    (4360, "expired", Class::Later),
    (4401, "carrier_refuses", Class::Never),
    (4403, "bad_sender", Class::Never),
    (4404, "sender_cannot_text", Class::Never),
    (4405, "bad_number", Class::Never),
    (4406, "bad_number", Class::Never),
    (4410, "bad_media", Class::Never),
    (4411, "bad_media", Class::Never),
    (4412, "bad_media", Class::Never),
    (4432, "region_not_enabled", Class::Never),
    (4434, "region_not_enabled", Class::Never),
    (4451, "carrier_account_inactive", Class::Ours),
    (4452, "carrier_account_inactive", Class::Ours),
    (4470, "filtered", Class::Never),
    (4481, "blocked", Class::Never),
    (4482, "blocked", Class::Never),
    (4492, "unroutable", Class::Never),
    (4493, "unroutable", Class::Never),
    (4700, "carrier_refuses", Class::Never),
    (4701, "carrier_busy", Class::Later),
    (4702, "handset_absent", Class::Absent),
    (4711, "carrier_refuses", Class::Never),
    (4712, "message_too_long", Class::Never),
    (4720, "handset_unknown", Class::Gone),
    (4721, "handset_unknown", Class::Gone),
    (4730, "undelivered", Class::Never),
    (4740, "bad_sender", Class::Never),
    (4750, "undelivered", Class::Never),
    (4751, "undelivered", Class::Never),
    (4752, "undelivered", Class::Never),
    (4753, "undelivered", Class::Never),
    (4770, "filtered", Class::Never),
    (4771, "filtered", Class::Never),
    (4772, "filtered", Class::Never),
    (4773, "sender_not_registered", Class::Never),
    (4774, "filtered", Class::Never),
    (4775, "opted_out", Class::OptedOut),
    (4780, "daily_cap", Class::Later),
    (4781, "carrier_busy", Class::Later),
    (4785, "carrier_busy", Class::Later),
    (4790, "sender_not_registered", Class::Never),
    (4791, "sender_not_registered", Class::Never),
    (4792, "sender_not_registered", Class::Never),
    (4793, "sender_not_registered", Class::Never),
    (4795, "sender_not_registered", Class::Never),
];

/// No receipt came in time, or nobody knows: the message left and may well have arrived.
const UNCONFIRMED: [u16; 3] = [5999, 9902, 9999];

/// The state of a failed message: those that the next network refused had left us.
pub(super) fn failed_state(code: u16) -> ReceiptState {
    match code {
        _ if UNCONFIRMED.contains(&code) => ReceiptState::Sent,
        4600..=4799 | 5600..=5799 => ReceiptState::Undelivered,
        _ => ReceiptState::Failed,
    }
}

/// Reads the error of a delivery receipt. What is not in the list: the carrier's and the network's faults pass, ours
/// do not.
pub(super) fn from_receipt(code: u16) -> CarrierError {
    let known = answers::look_up(CODES, code).or(match code {
        4000..=4999 => Some(("undelivered", Class::Never)),
        5000..=5999 => Some(("carrier_broken", Class::Later)),
        _ => None,
    });
    answers::receipt_error(&code.to_string(), known)
}

/// `{"type":"request-validation","description":"…","fieldErrors":[{"fieldName":"from","description":"…"}]}`
#[derive(Default, Deserialize)]
struct Problem {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default, rename = "fieldErrors")]
    fields: Option<Vec<Field>>,
}

#[derive(Deserialize)]
struct Field {
    #[serde(default, rename = "fieldName")]
    name: String,
    #[serde(default)]
    description: String,
}

/// Reads an answer that is not a success.
pub(super) fn from_answer(answer: &Answer) -> SendError {
    let problem: Problem = answer.json().unwrap_or_default();
    let field = problem.fields.unwrap_or_default().into_iter().next();
    let known = match (problem.kind.as_deref(), field.as_ref().map(|field| field.name.as_str())) {
        (Some("request-validation"), Some("to")) => Some(("bad_number", Class::Never)),
        (Some("request-validation"), Some("from")) => Some(("bad_sender", Class::Never)),
        (Some("request-validation"), Some("media")) => Some(("bad_media", Class::Never)),
        (Some("request-validation"), Some("applicationId")) => Some(("no_sender", Class::Ours)),
        _ => None,
    };
    let words = field.map(|field| field.description).or(problem.description);
    answers::refusal(answer, problem.kind.as_deref(), words.as_deref(), known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_order() {
        assert!(CODES.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn receipts_are_classified() {
        // code, state, our word, permanent, handset absent, opted out
        let table = [
            (4702, ReceiptState::Undelivered, "handset_absent", false, true, false),
            (4721, ReceiptState::Undelivered, "handset_unknown", true, true, false),
            (4770, ReceiptState::Undelivered, "filtered", true, false, false),
            (4775, ReceiptState::Undelivered, "opted_out", true, false, true),
            (4410, ReceiptState::Failed, "bad_media", true, false, false),
            (4999, ReceiptState::Failed, "undelivered", true, false, false),
            (5600, ReceiptState::Undelivered, "carrier_broken", false, false, false),
            (5100, ReceiptState::Failed, "carrier_broken", false, false, false),
            (9902, ReceiptState::Sent, "undelivered", false, false, false),
        ];
        for (code, state, word, permanent, absent, opted_out) in table {
            let error = from_receipt(code);
            let found = (failed_state(code), error.code.as_str(), error.permanent, error.handset_absent);
            assert_eq!((found, error.opted_out), ((state, word, permanent, absent), opted_out), "{code}");
        }
    }
}
