//! What the answers of a carrier's API mean for us, as far as all of them agree: HTTP statuses come before codes. A 5xx
//! may have been carried out whatever its code says, a 429 never was.

use std::time::Duration;

use super::{CarrierError, Retry, SendError};
use crate::net::{Answer, NetError, NetFault};

/// A pause that we are asked for is not believed beyond this.
const PAUSE_MAX: Duration = Duration::from_secs(3_600);
/// What is kept of the carrier's own words.
const DETAIL_CHARS_MAX: usize = 200;

/// What a code says about the next try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::carriers) enum Class {
    /// This message to this number will never work.
    Never,
    /// The same, because the person said STOP.
    OptedOut,
    /// The same, because there is no such handset.
    Gone,
    /// The handset is off or out of reach.
    Absent,
    /// Our account or number is at fault: every message fails.
    Ours,
    /// Too much or too busy; later it works.
    Later,
}

/// What is known of a code; `codes` are in ascending order.
pub(in crate::carriers) fn look_up<Code: Ord + Copy>(
    codes: &[(Code, &'static str, Class)],
    code: Code,
) -> Option<(&'static str, Class)> {
    let at = codes.binary_search_by_key(&code, |(code, _, _)| *code).ok()?;
    codes.get(at).map(|(_, word, class)| (*word, *class))
}

/// Settings that cannot work, found when they are used.
pub(in crate::carriers) fn misconfigured(detail: impl Into<String>) -> SendError {
    SendError {
        retry: Retry::Backoff,
        certain: true,
        code: "carrier_misconfigured".to_owned(),
        whole_carrier: true,
        detail: detail.into(),
    }
}

/// A call's id that cannot be one of the carrier's: it is not put into an address.
pub(in crate::carriers) fn bad_call_id() -> SendError {
    SendError {
        retry: Retry::Never,
        certain: true,
        code: "bad_call_id".to_owned(),
        whole_carrier: false,
        detail: "not an id of this carrier".to_owned(),
    }
}

/// The error of a delivery receipt. An unknown code is not permanent: nothing is known of it.
pub(in crate::carriers) fn receipt_error(code: &str, known: Option<(&str, Class)>) -> CarrierError {
    let (word, class) = known.unwrap_or(("undelivered", Class::Later));
    CarrierError {
        code: word.to_owned(),
        permanent: match class {
            Class::Never | Class::OptedOut | Class::Gone | Class::Ours => true,
            Class::Absent | Class::Later => false,
        },
        handset_absent: matches!(class, Class::Absent | Class::Gone),
        opted_out: class == Class::OptedOut,
        carrier_code: code.chars().filter(char::is_ascii_alphanumeric).take(16).collect(),
    }
}

/// An answer that is not a success; `code` and `message` are the carrier's own, `known` what we know of the code.
pub(in crate::carriers) fn refusal(
    answer: &Answer,
    code: Option<&str>,
    message: Option<&str>,
    known: Option<(&str, Class)>,
) -> SendError {
    let detail = match code {
        Some(code) => {
            let code: String = code.chars().filter(|c| !c.is_control()).take(32).collect();
            let message = message.unwrap_or_default().chars().filter(|c| !c.is_control());
            format!(
                "HTTP {}, code {code}: {}",
                answer.status,
                message.take(DETAIL_CHARS_MAX).collect::<String>()
            )
        }
        None => format!("HTTP {} without a code", answer.status),
    };
    let error = |code: &str, retry, certain, whole_carrier| SendError {
        retry,
        certain,
        code: code.to_owned(),
        whole_carrier,
        detail: detail.clone(),
    };
    let pause = pause_of(answer).map(Retry::After).unwrap_or(Retry::Backoff);
    match (answer.status, known) {
        // The answer of a machine in between, or of one that broke while it worked.
        (408 | 500.., _) => error("carrier_broken", pause, false, false),
        (429, _) => error("carrier_busy", pause, true, false),
        (_, Some((word, Class::Never | Class::OptedOut | Class::Gone | Class::Absent))) => {
            error(word, Retry::Never, true, false)
        }
        (_, Some((word, Class::Ours))) => error(word, Retry::Backoff, true, true),
        (_, Some((word, Class::Later))) => error(word, pause, true, false),
        (401 | 403, None) => error("carrier_refuses_credentials", Retry::Backoff, true, true),
        (404, None) => error("carrier_account_unknown", Retry::Backoff, true, true),
        (300..=399, None) => error("carrier_moved", Retry::Backoff, true, true),
        (_, None) => error("carrier_refuses", Retry::Never, true, false),
    }
}

/// How long the carrier asks us to wait: `Retry-After`, or `X-RateLimit-Reset` in seconds with a 429.
fn pause_of(answer: &Answer) -> Option<Duration> {
    let reset = || {
        let seconds = answer.header("x-ratelimit-reset").filter(|_| answer.status == 429)?;
        let seconds: f64 = seconds.trim().parse().ok()?;
        // A large number is a point in time, not a span.
        (0.0..=PAUSE_MAX.as_secs_f64()).contains(&seconds).then(|| Duration::from_secs_f64(seconds.ceil()))
    };
    answer.retry_after().or_else(reset).map(|pause| pause.min(PAUSE_MAX))
}

/// Reads the absence of an answer.
pub(in crate::carriers) fn from_net(error: &NetError) -> SendError {
    let (code, whole_carrier) = match error.fault {
        NetFault::Invalid | NetFault::Refused => ("carrier_address_unusable", true),
        NetFault::Connect => ("carrier_unreachable", false),
        NetFault::Timeout => ("carrier_timeout", false),
        NetFault::Broken | NetFault::TooLarge => ("carrier_broken", false),
    };
    SendError {
        retry: Retry::Backoff,
        certain: error.certain_not_sent,
        code: code.to_owned(),
        whole_carrier,
        detail: error.detail.chars().take(DETAIL_CHARS_MAX).collect(),
    }
}

/// A success that says nothing: the message went out under an id that we do not know.
pub(in crate::carriers) fn unreadable(answer: &Answer) -> SendError {
    SendError {
        retry: Retry::Backoff,
        certain: false,
        code: "carrier_unreadable".to_owned(),
        whole_carrier: false,
        detail: format!("HTTP {} with {} bytes that are no message", answer.status, answer.body.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_as_certain_as_the_network_knows() {
        let silence = |fault, certain_not_sent| {
            from_net(&NetError { fault, certain_not_sent, status: None, detail: String::new() })
        };
        assert!(silence(NetFault::Connect, true).certain);
        assert!(!silence(NetFault::Timeout, false).certain);
        assert!(!silence(NetFault::Broken, false).certain);
        assert!(silence(NetFault::Invalid, true).whole_carrier);
    }

    #[test]
    fn pauses_are_read_and_bounded() {
        let table: [(u16, &str, &str, Option<u64>); 6] = [
            (429, "retry-after", "7", Some(7)),
            (429, "retry-after", "99999", Some(3_600)),
            (429, "x-ratelimit-reset", "12", Some(12)),
            (429, "x-ratelimit-reset", "1760000000", None),
            (503, "x-ratelimit-reset", "12", None),
            (429, "retry-after", "soon", None),
        ];
        for (status, name, value, wanted) in table {
            let mut headers = reqwest::header::HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            let answer = Answer { status, headers, body: bytes::Bytes::new() };
            assert_eq!(pause_of(&answer), wanted.map(Duration::from_secs), "{status} {name}: {value}");
        }
    }
}
