//! What handsets and e-mail addresses have in common: a code of six digits that few guesses may try for a short time.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::keys::same;

/// How long a code is good: an SMS may take minutes, a pause for coffee should not matter.
pub const CODE_LIFETIME: Duration = Duration::from_secs(10 * 60);
/// Guesses at one code: a million codes and five guesses leave an attacker one chance in 200,000.
const GUESSES_MAX: i32 = 5;

/// Whether a number or address has been proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProofState {
    /// A code is on its way.
    Pending,
    /// It is the account's own.
    Verified,
}

impl ProofState {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            ProofState::Pending => "pending",
            ProofState::Verified => "verified",
        }
    }

    pub(super) fn from_stored(text: &str) -> Self {
        if text == "verified" { ProofState::Verified } else { ProofState::Pending }
    }
}

/// A code that was sent, as stored.
#[derive(Debug, Clone)]
pub struct Pending {
    /// The keyed hash of the code; none once it is used.
    pub hash: Option<Vec<u8>>,
    /// When it is worthless.
    pub expires_at: Option<Timestamp>,
    /// Guesses so far.
    pub attempts: i32,
}

/// Two accounts prove the same thing at the same moment.
pub(super) fn busy() -> Error {
    Error::conflict("proved_elsewhere", "Somebody else proves this at the same moment. Try again.")
}

/// What a guess came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guess {
    /// It is the code.
    Right,
    /// It is not.
    Wrong,
    /// There is no code any more, by time or by guesses.
    Over,
}

impl Pending {
    /// Judges a guess by its hash. The caller counts it.
    pub fn judge(&self, now: Timestamp, guess: &[u8; 32]) -> Guess {
        match (&self.hash, self.expires_at) {
            (Some(hash), Some(expires_at)) if now < expires_at && self.attempts < GUESSES_MAX => {
                if same(hash, guess) { Guess::Right } else { Guess::Wrong }
            }
            _ => Guess::Over,
        }
    }
}

impl Guess {
    /// What the guesser is told when it was not right. The guess has been counted and committed by then.
    pub fn refusal(self) -> Option<Error> {
        match self {
            Guess::Right => None,
            Guess::Wrong => Some(Error::invalid("code", "wrong_code", "That is not the code.")),
            Guess::Over => Some(Error::invalid(
                "code",
                "code_expired",
                "This code is not good any more. Ask for a new one.",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_good_for_a_while_and_a_few_guesses() {
        let at = Timestamp(1_000);
        let code =
            |attempts| Pending { hash: Some(vec![7; 32]), expires_at: Some(Timestamp(2_000)), attempts };
        assert_eq!(code(0).judge(at, &[7; 32]), Guess::Right);
        assert_eq!(code(4).judge(at, &[8; 32]), Guess::Wrong);
        assert_eq!(code(5).judge(at, &[7; 32]), Guess::Over);
        assert_eq!(code(0).judge(Timestamp(2_000), &[7; 32]), Guess::Over);
        let used = Pending { hash: None, ..code(0) };
        assert_eq!(used.judge(at, &[7; 32]), Guess::Over);
    }
}
