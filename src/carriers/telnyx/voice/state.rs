//! What travels with a call as `client_state` and comes back with every event on it: Telnyx takes one command at a time,
//! so the steps that are left are kept there. Events are signed, so what comes back is ours.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use crate::carriers::voice::Step;
use crate::ids::CallLegId;

/// A greeting of five hundred characters, twice over.
const STATE_BYTES_MAX: usize = 16_384;

/// What a call is to remember.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct ClientState {
    /// Our name for a call that we make.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub(super) reference: Option<CallLegId>,
    /// Where the digits go that it is asked for.
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    pub(super) asked_at: Option<String>,
    /// The steps that are left.
    #[serde(rename = "n", default, skip_serializing_if = "Vec::is_empty")]
    pub(super) next: Vec<Step>,
}

impl ClientState {
    /// Steps that are left.
    pub(super) fn steps(steps: &[Step]) -> ClientState {
        ClientState { next: steps.to_vec(), ..ClientState::default() }
    }

    pub(super) fn encode(&self) -> String {
        // Strings, lists and ids: writing them cannot fail.
        BASE64.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    /// What came back; nothing when it is not ours.
    pub(super) fn decode(text: &str) -> ClientState {
        if text.len() > STATE_BYTES_MAX {
            return ClientState::default();
        }
        let bytes = BASE64.decode(text).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::texts::Locale;

    #[test]
    fn what_goes_out_comes_back() {
        let state = ClientState {
            reference: Some(CallLegId::new(Timestamp(1))),
            asked_at: Some("https://meari.example.org/x".to_owned()),
            next: vec![
                Step::Say { text: "안녕 & hi".to_owned(), locale: Locale::Ko },
                Step::Sound { url: "wss://meari.example.org/carriers/a/media/t".to_owned() },
                Step::HangUp,
            ],
        };
        assert_eq!(ClientState::decode(&state.encode()), state);
        for strange in ["", "!", "aGVsbG8=", "bnVsbA==", "e30="] {
            assert_eq!(ClientState::decode(strange), ClientState::default(), "{strange}");
        }
    }
}
