//! The words by which a phone opts out of a number and in again, as long-code carriers heed them by themselves.

/// A word that the carrier heeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// Nothing more from this number.
    Stop,
    /// Messages from this number again.
    Start,
    /// What can be done.
    Help,
}

/// The answer to [`Word::Stop`].
pub const STOPPED: &str = "You have successfully been unsubscribed. You will not receive any more messages from this \
                           number. Reply START to resubscribe.";
/// The answer to [`Word::Start`].
pub const STARTED: &str = "You have successfully been re-subscribed to messages from this number. Reply HELP for help. \
                           Reply STOP to unsubscribe. Msg&Data Rates May Apply.";
/// The answer to [`Word::Help`].
pub const HELP: &str = "Reply STOP to unsubscribe. Msg&Data Rates May Apply.";

/// The word, when `body` is nothing but one.
pub fn word(body: &str) -> Option<Word> {
    match body.trim().to_ascii_uppercase().as_str() {
        "STOP" | "STOPALL" | "UNSUBSCRIBE" | "CANCEL" | "END" | "QUIT" | "REVOKE" | "OPTOUT" => {
            Some(Word::Stop)
        }
        "START" | "YES" | "UNSTOP" => Some(Word::Start),
        "HELP" | "INFO" => Some(Word::Help),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_bare_word_counts() {
        assert_eq!(word(" stop "), Some(Word::Stop));
        assert_eq!(word("Start"), Some(Word::Start));
        assert_eq!(word("please stop"), None);
        assert_eq!(word(""), None);
    }
}
