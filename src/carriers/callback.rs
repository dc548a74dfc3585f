//! What a carrier tells us: a callback as it came, and the events in it.

use crate::clock::Timestamp;
use crate::ids::OutboundSmsId;
use crate::phone::{E164, RemoteParty};

use super::ReceiptState;

/// Which of our addresses a carrier called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Door {
    /// `/carriers/{id}/messages`: an SMS or MMS came in.
    Messages,
    /// `/carriers/{id}/status`: news of one that went out.
    Status,
    /// `/carriers/{id}/voice`: a call comes in.
    Voice,
    /// `/carriers/{id}/call-status`: news of a call.
    VoiceStatus,
}

/// The headers of a callback, whichever server received it.
pub trait Headers {
    /// The first value of a header; names are compared without case.
    fn get(&self, name: &str) -> Option<&str>;
}

impl Headers for Vec<(String, String)> {
    fn get(&self, name: &str) -> Option<&str> {
        let found = self.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// A callback as it reached us, unread.
pub struct CallbackRequest<'a> {
    /// The method, in capitals.
    pub method: &'a str,
    /// The whole address as the carrier sees it: the configured public URL, then path and raw query.
    pub url: &'a str,
    /// The headers.
    pub headers: &'a dyn Headers,
    /// The raw body.
    pub body: &'a [u8],
    /// When it came, for signatures that grow old.
    pub now: Timestamp,
}

/// A picture or file that came with a message. It lies at the carrier and may need the carrier's credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundMedia {
    /// Where it can be fetched.
    pub url: String,
    /// Its media type, as the carrier says.
    pub content_type: Option<String>,
}

/// An SMS or MMS from a telephone to one of our numbers, whole.
#[derive(Clone, PartialEq, Eq)]
pub struct InboundSms {
    /// The carrier's id; the same when the carrier repeats the callback.
    pub carrier_message_id: String,
    /// Who sent it.
    pub from: RemoteParty,
    /// Our number.
    pub to: E164,
    /// Who else got it: the other members of a group MMS, without `from` and `to`, sorted. Empty for everything else.
    pub others: Vec<E164>,
    /// The text, perhaps empty.
    pub text: String,
    /// Pictures and files, at most [`MEDIA_MAX`].
    pub media: Vec<InboundMedia>,
    /// What the carrier bills, at least 1.
    pub segment_count: u16,
    /// The carrier took it for a word of consent and has acted on it, so nobody must be answered twice.
    pub consent: Option<ConsentWord>,
    /// Where it comes from.
    pub origin: Origin,
}

/// What the network says of where a message comes from. Most carriers say nothing of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// Whether the sender's number is his: SHAKEN attestation `A`, `B` or `C`. One that was not verified is `C`.
    pub attestation: Option<char>,
    /// The sender's network and kind of line, in the carrier's words, in small letters.
    pub network: Option<String>,
}

/// Characters of a network's name at most.
const NETWORK_CHARS_MAX: usize = 80;

impl Origin {
    /// The name of a network, such that it can be compared; nothing when the carrier does not know it.
    pub fn network_named(name: &str, line_type: &str) -> Option<String> {
        let plain = |text: &str| text.trim().to_lowercase();
        let name = plain(name);
        if name.is_empty() || name == "unknown" {
            return None;
        }
        Some(format!("{name} {}", plain(line_type)).trim().chars().take(NETWORK_CHARS_MAX).collect())
    }
}

/// Pictures and files of one message at most; every carrier agrees on it.
pub const MEDIA_MAX: usize = 10;
/// Members of a group besides us and the sender at most; carriers deliver fewer.
pub const OTHERS_MAX: usize = 32;

/// What somebody said to a carrier about our messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsentWord {
    /// No more of them (STOP).
    Stop,
    /// Again, please (START).
    Start,
    /// What is this (HELP).
    Help,
}

/// Texts do not belong into logs.
impl std::fmt::Debug for InboundSms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InboundSms")
            .field("carrier_message_id", &self.carrier_message_id)
            .field("to", &self.to)
            .field("text_bytes", &self.text.len())
            .field("media", &self.media.len())
            .finish_non_exhaustive()
    }
}

/// Why a message did not arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarrierError {
    /// A stable word of ours (`opted_out`, `handset_absent`, `filtered`, …).
    pub code: String,
    /// The same to the same number will fail again.
    pub permanent: bool,
    /// The handset is switched off, out of reach or gone: news for presence.
    pub handset_absent: bool,
    /// The person has told the carrier that he wants no messages from this number.
    pub opted_out: bool,
    /// The carrier's own code, for the log and for questions to its support.
    pub carrier_code: String,
}

/// The telephone network's word on a message that we sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryReceipt {
    /// The carrier's id; of a message to a group, the part's that this is about.
    pub carrier_message_id: String,
    /// The ids of all parts, with a space between, when the carrier tells who else got it.
    pub whole: Option<String>,
    /// Our own id, which travelled with the callback's address. Comes even when the answer to the send never came.
    pub reference: Option<OutboundSmsId>,
    /// What is known now. Receipts come in any order: merge by [`ReceiptState::merge`].
    pub state: ReceiptState,
    /// Why not, when it failed.
    pub error: Option<CarrierError>,
}

/// One thing that a callback says. A callback may say several, or nothing that concerns us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CarrierEvent {
    /// A message came in.
    Sms(InboundSms),
    /// News of a message that went out.
    DeliveryReceipt(DeliveryReceipt),
}

/// Events in one callback at most; a carrier gathers a few, never this many.
pub const EVENTS_MAX: usize = 100;

/// A callback whose signature is not the carrier's. The reason is for the log, never for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("bad signature: {0}")]
pub struct BadSignature(pub &'static str);

/// A genuine callback that we cannot read. The text holds no user content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unreadable callback: {0}")]
pub struct ParseError(pub String);

/// Why a callback gave no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallbackError {
    /// Not from the carrier: 403.
    #[error(transparent)]
    BadSignature(#[from] BadSignature),
    /// From the carrier, but unreadable: 400.
    #[error(transparent)]
    Unreadable(#[from] ParseError),
}
