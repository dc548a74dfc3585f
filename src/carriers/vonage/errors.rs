//! Vonage's codes: RFC 9457 problems whose `type` ends in `#1110`, in answers and in status callbacks.
//!
//! Codes: <https://developer.vonage.com/en/api-errors/messages>.

use serde::Deserialize;
use serde_json::Value;

use crate::carriers::answers::{self, Class};
use crate::carriers::{CarrierError, SendError};
use crate::net::Answer;

/// Code, our word, class. In ascending order.
const CODES: &[(u32, &str, Class)] = &[
    (1000, "carrier_busy", Class::Later),
    (1010, "carrier_refuses", Class::Never),
    (1020, "carrier_refuses", Class::Never),
    (1021, "carrier_refuses", Class::Never),
    (1022, "carrier_refuses", Class::Never),
    (1030, "carrier_broken", Class::Later),
    (1040, "bad_number", Class::Never),
    (1050, "blocked", Class::Never),
    (1060, "carrier_account_inactive", Class::Ours),
    (1070, "carrier_account_without_credit", Class::Ours),
    (1080, "carrier_refuses_access", Class::Ours),
    (1090, "message_too_long", Class::Never),
    (1100, "carrier_broken", Class::Later),
    (1110, "carrier_refuses_credentials", Class::Ours),
    (1120, "bad_sender", Class::Never),
    (1130, "carrier_refuses", Class::Never),
    (1140, "carrier_refuses", Class::Never),
    (1150, "carrier_refuses", Class::Never),
    (1160, "carrier_account_on_trial", Class::Ours),
    (1170, "bad_number", Class::Never),
    (1180, "handset_absent", Class::Absent),
    (1190, "handset_unknown", Class::Gone),
    (1200, "unroutable", Class::Never),
    (1210, "filtered", Class::Never),
    (1220, "handset_absent", Class::Absent),
    (1230, "carrier_broken", Class::Later),
    (1240, "opted_out", Class::OptedOut),
    (1241, "carrier_busy", Class::Later),
    (1250, "unroutable", Class::Never),
    (1260, "unroutable", Class::Never),
    (1270, "blocked", Class::Never),
    (1280, "blocked", Class::Never),
    (1290, "blocked", Class::Later),
    (1300, "handset_unknown", Class::Gone),
    (1310, "not_a_mobile", Class::Never),
    (1320, "undelivered", Class::Later),
    (1330, "undelivered", Class::Later),
    (1340, "blocked", Class::Later),
    (1360, "expired", Class::Later),
];

/// A problem; `title` is a text or a number, and sometimes the code itself.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Problem {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    title: Value,
    #[serde(default)]
    detail: Option<String>,
}

impl Problem {
    /// The number after `#`, or the title when it is one.
    fn code(&self) -> Option<u32> {
        let from_type = self.kind.as_deref().and_then(|kind| kind.rsplit_once('#')?.1.parse().ok());
        from_type.or_else(|| match &self.title {
            Value::Number(number) => number.as_u64().and_then(|n| u32::try_from(n).ok()),
            Value::String(text) => text.parse().ok(),
            _ => None,
        })
    }
}

/// Reads the error of a status callback.
pub(super) fn from_receipt(problem: &Problem) -> CarrierError {
    let code = problem.code().map(|code| code.to_string()).unwrap_or_default();
    answers::receipt_error(&code, problem.code().and_then(|code| answers::look_up(CODES, code)))
}

/// Reads an answer that is not a success.
pub(super) fn from_answer(answer: &Answer) -> SendError {
    let problem: Problem = answer.json().unwrap_or_default();
    let code = problem.code().map(|code| code.to_string());
    let said = [problem.title.as_str(), problem.detail.as_deref()];
    let said = said.into_iter().flatten().collect::<Vec<_>>().join(": ");
    let without_credit = (answer.status == 402).then_some(("carrier_account_without_credit", Class::Ours));
    let known = problem.code().and_then(|code| answers::look_up(CODES, code)).or(without_credit);
    answers::refusal(answer, code.as_deref().or(Some("none")), Some(&said), known)
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
    fn codes_are_found_wherever_they_stand() {
        let table = [
            (r#"{"type":"https://developer.vonage.com/api-errors/messages#1120","title":"x"}"#, Some(1120)),
            (r#"{"type":"https://developer.vonage.com/api-errors#unauthorized","title":"1000"}"#, Some(1000)),
            (r#"{"title":1330}"#, Some(1330)),
            (r#"{"type":"about:blank","title":"Bad"}"#, None),
            ("{}", None),
        ];
        for (body, code) in table {
            assert_eq!(serde_json::from_str::<Problem>(body).unwrap().code(), code, "{body}");
        }
    }

    #[test]
    fn answers_are_classified() {
        let answer = |status, code: u32| Answer {
            status,
            headers: reqwest::header::HeaderMap::new(),
            body: format!(r#"{{"type":"https://developer.vonage.com/api-errors/messages#{code}"}}"#).into(),
        };
        let table = [
            (422, 1020, "carrier_refuses", Retry::Never, true, false),
            (422, 1120, "bad_sender", Retry::Never, true, false),
            (402, 1070, "carrier_account_without_credit", Retry::Backoff, true, true),
            (403, 1240, "opted_out", Retry::Never, true, false),
            (429, 1000, "carrier_busy", Retry::Backoff, true, false),
            (400, 1000, "carrier_busy", Retry::Backoff, true, false),
            (500, 1030, "carrier_broken", Retry::Backoff, false, false),
        ];
        for (status, code, word, retry, certain, whole_carrier) in table {
            let found = from_answer(&answer(status, code));
            let found = (found.code.as_str(), found.retry, found.certain, found.whole_carrier);
            assert_eq!(found, (word, retry, certain, whole_carrier), "{status} {code}");
        }
    }
}
