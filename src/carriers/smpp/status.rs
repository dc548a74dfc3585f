//! What a command_status means for a message of ours (SMPP 3.4 §5.1.3).

use std::time::Duration;

use crate::carriers::{Retry, SendError};

/// All is well.
pub const OK: u32 = 0x00;
/// A command they do not know.
pub const INVALID_COMMAND: u32 = 0x03;
/// Their queue is full.
pub const QUEUE_FULL: u32 = 0x14;
/// We are too quick.
pub const THROTTLED: u32 = 0x58;
/// Our own: we could not keep it, send it again (ESME_RX_T_APPN).
pub const TRY_AGAIN: u32 = 0x64;
/// Our own: it cannot be read, do not send it again (ESME_RX_P_APPN).
pub const UNREADABLE: u32 = 0x65;

/// How long a sender waits who was told twice that he is too quick.
const SLOW_DOWN: Duration = Duration::from_secs(5);

/// Whether the same submit may do better in a moment.
pub fn is_too_quick(status: u32) -> bool {
    matches!(status, QUEUE_FULL | THROTTLED)
}

/// A submit that was answered with a status other than 0: nothing went out.
pub fn refusal(status: u32) -> SendError {
    let (code, retry, whole_carrier) = match status {
        0x01 => ("message_too_long", Retry::Never, false),
        0x04 | 0x05 | 0x0d | 0x0e | 0x0f => ("carrier_misconfigured", Retry::Backoff, true),
        0x0a | 0x48 | 0x49 => ("bad_sender", Retry::Never, false),
        0x0b | 0x50 | 0x51 => ("bad_number", Retry::Never, false),
        0x08 | 0x45 => ("carrier_error", Retry::Backoff, false),
        QUEUE_FULL | THROTTLED => ("carrier_busy", Retry::After(SLOW_DOWN), false),
        0x64 => ("carrier_error", Retry::Backoff, false),
        _ => ("rejected", Retry::Never, false),
    };
    SendError {
        retry,
        certain: true,
        code: code.to_owned(),
        whole_carrier,
        detail: format!("the SMSC answered {}", name(status)),
    }
}

/// The link is away and nothing was written.
pub fn away(why: &str) -> SendError {
    SendError {
        retry: Retry::Backoff,
        certain: true,
        code: "carrier_away".to_owned(),
        whole_carrier: false,
        detail: why.to_owned(),
    }
}

/// We have too much to write, and this was not written.
pub fn busy(why: &str) -> SendError {
    SendError {
        retry: Retry::After(SLOW_DOWN),
        certain: true,
        code: "carrier_busy".to_owned(),
        whole_carrier: false,
        detail: why.to_owned(),
    }
}

/// Some parts of a text are out, and this is what became of another one.
pub fn partly_sent(error: &SendError) -> SendError {
    SendError {
        retry: Retry::Never,
        certain: false,
        code: "partly_sent".to_owned(),
        whole_carrier: error.whole_carrier,
        detail: format!("some of its parts are out; {}: {}", error.code, error.detail),
    }
}

/// It was written and no answer came.
pub fn unanswered(why: &str) -> SendError {
    SendError {
        retry: Retry::Never,
        certain: false,
        code: "timed_out".to_owned(),
        whole_carrier: false,
        detail: why.to_owned(),
    }
}

/// Why a bind was refused, for the operator.
pub fn bind_refusal(status: u32) -> String {
    let advice = match status {
        0x05 => {
            "already bound: another process uses this system_id, or the SMSC has not noticed yet that we left"
        }
        0x0d => "bind failed: check system_id, password, system_type, and that our address is allowed there",
        0x0e => "wrong password",
        0x0f => "unknown system_id",
        0x53 => "unknown system_type",
        0x04 => "this kind of bind is not allowed: try another value of `bind`",
        0x58 => "too many binds in a short time",
        _ => "the SMSC refused the bind",
    };
    format!("{advice} ({})", name(status))
}

/// The standard's name and number, for logs and questions to the carrier.
pub fn name(status: u32) -> String {
    let word = match status {
        0x00 => "ESME_ROK",
        0x01 => "ESME_RINVMSGLEN",
        0x02 => "ESME_RINVCMDLEN",
        0x03 => "ESME_RINVCMDID",
        0x04 => "ESME_RINVBNDSTS",
        0x05 => "ESME_RALYBND",
        0x08 => "ESME_RSYSERR",
        0x0a => "ESME_RINVSRCADR",
        0x0b => "ESME_RINVDSTADR",
        0x0c => "ESME_RINVMSGID",
        0x0d => "ESME_RBINDFAIL",
        0x0e => "ESME_RINVPASWD",
        0x0f => "ESME_RINVSYSID",
        0x14 => "ESME_RMSGQFUL",
        0x45 => "ESME_RSUBMITFAIL",
        0x53 => "ESME_RINVSYSTYP",
        0x58 => "ESME_RTHROTTLED",
        0x64 => "ESME_RX_T_APPN",
        0x65 => "ESME_RX_P_APPN",
        0x66 => "ESME_RX_R_APPN",
        0x67 => "ESME_RQUERYFAIL",
        _ => "status",
    };
    format!("{word} 0x{status:08x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_certain_and_says_when_to_try_again() {
        let table = [
            (0x0b, "bad_number", Retry::Never, false),
            (0x58, "carrier_busy", Retry::After(SLOW_DOWN), false),
            (0x14, "carrier_busy", Retry::After(SLOW_DOWN), false),
            (0x08, "carrier_error", Retry::Backoff, false),
            (0x0d, "carrier_misconfigured", Retry::Backoff, true),
            (0x4ff, "rejected", Retry::Never, false),
        ];
        for (status, code, retry, whole) in table {
            let error = refusal(status);
            assert_eq!(
                (error.code.as_str(), error.retry, error.whole_carrier),
                (code, retry, whole),
                "{status:x}"
            );
            assert!(error.certain);
        }
        assert!(!unanswered("").certain && away("").certain);
        assert!(bind_refusal(0x0e).contains("password"));
    }
}
