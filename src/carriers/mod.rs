//! The telephone side: what a carrier can do and what it tells us, in our words.
//!
//! A carrier turns bytes into values and values into bytes. It knows no table and no account, it never calls us, and
//! its vendor's words stay in its own directory. A callback is verified over its raw bytes before anything in it is
//! believed. No carrier sends exactly once, so a send that may have gone out says so ([`SendError::certain`]) and is
//! settled by [`Carrier::find`] or by a delivery receipt that carries our reference.

pub mod api;
mod form;
pub mod receipt;
pub mod registry;
pub mod twilio;

use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Timestamp;
pub use crate::config::CarrierSettings;
use crate::ids::OutboundSmsId;
use crate::phone::{E164, RemoteParty};

pub use self::receipt::ReceiptState;
pub use self::registry::Registry;

/// Which of our addresses a carrier called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Door {
    /// `/carriers/{id}/messages`: an SMS or MMS came in.
    Messages,
    /// `/carriers/{id}/status`: news of one that went out.
    Status,
    /// `/carriers/{id}/voice`: a call comes in.
    Voice,
    /// `/carriers/{id}/voice/status`: news of a call.
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
    /// The text, perhaps empty.
    pub text: String,
    /// Pictures and files, at most ten.
    pub media: Vec<InboundMedia>,
    /// What the carrier bills, at least 1.
    pub segment_count: u16,
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
    /// The carrier's id.
    pub carrier_message_id: String,
    /// Our own id, which travelled with the callback's address. Comes even when the answer to the send never came.
    pub reference: Option<OutboundSmsId>,
    /// What is known now. Receipts come in any order: merge by [`ReceiptState::merge`].
    pub state: ReceiptState,
    /// Why not, when it failed.
    pub error: Option<CarrierError>,
}

/// What a callback says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CarrierEvent {
    /// A message came in.
    Sms(InboundSms),
    /// News of a message that went out.
    DeliveryReceipt(DeliveryReceipt),
    /// Genuine, but nothing that concerns us.
    Ignored,
}

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

/// One SMS on its way out.
#[derive(Clone, PartialEq, Eq)]
pub struct SmsToSend {
    /// Our id; comes back with every receipt.
    pub id: OutboundSmsId,
    /// Our number.
    pub from: E164,
    /// The handset.
    pub to: E164,
    /// The text, in the form in which it was counted.
    pub text: String,
    /// Where receipts shall go, without the reference. Empty: no receipts are wanted.
    pub status_callback: String,
}

/// Texts do not belong into logs.
impl std::fmt::Debug for SmsToSend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SmsToSend").field("id", &self.id).field("to", &self.to).finish_non_exhaustive()
    }
}

/// The carrier has the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The carrier's id.
    pub carrier_message_id: String,
    /// What it says of it so far.
    pub state: ReceiptState,
    /// What it will bill, when it knows already. It may differ from our count.
    pub segment_count: Option<u16>,
}

/// When to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It would fail again.
    Never,
    /// After this time, as the carrier asked.
    After(Duration),
    /// Later and later.
    Backoff,
}

/// A request to the carrier that did not succeed. For jobs, not for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendError {
    /// When another try makes sense.
    pub retry: Retry,
    /// False: it may have gone out. Never send it again by itself; ask with [`Carrier::find`].
    pub certain: bool,
    /// A stable word of ours.
    pub code: String,
    /// Our account or settings are at fault, so every other message fails too: stop the sender and raise an alarm.
    pub whole_carrier: bool,
    /// What the carrier said, for the log.
    pub detail: String,
}

impl std::fmt::Display for SendError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sent = if self.certain { "not sent" } else { "perhaps sent" };
        write!(f, "{} ({sent}): {}", self.code, self.detail)
    }
}

impl std::error::Error for SendError {}

/// A send of which we do not know whether it happened.
#[derive(Clone, PartialEq, Eq)]
pub struct SentQuery {
    /// Our id.
    pub id: OutboundSmsId,
    /// Our number.
    pub from: E164,
    /// The handset.
    pub to: E164,
    /// The text.
    pub text: String,
    /// It cannot have been sent before.
    pub not_before: Timestamp,
}

/// What the carrier knows of a send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It went out.
    Sent {
        /// The carrier's id.
        carrier_message_id: String,
        /// What became of it.
        state: ReceiptState,
    },
    /// The carrier shows no such message. It may still appear within the next minutes.
    No,
    /// Several look the same, or the carrier cannot be asked.
    CannotTell,
}

/// What a carrier and its adapter can do, as data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Pictures and files reach us.
    pub inbound_media: bool,
    /// It tells what became of a message.
    pub delivery_receipts: bool,
    /// [`Carrier::find`] can tell more than [`Found::CannotTell`].
    pub settles_unknown: bool,
    /// Calls.
    pub voice: bool,
    /// The longest text it takes, in characters.
    pub text_chars_max: usize,
}

/// Who connects us to the telephone network. One value per configured account, shared by all.
#[async_trait]
pub trait Carrier: Send + Sync {
    /// The operator's name for it; a part of the callback addresses.
    fn id(&self) -> &str;

    /// Which wire it speaks.
    fn kind(&self) -> &'static str;

    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// Whether a callback comes from the carrier. Looks at raw bytes only and compares in constant time.
    fn verify(&self, request: &CallbackRequest<'_>) -> Result<(), BadSignature>;

    /// Reads a callback that was verified.
    fn parse(&self, door: Door, request: &CallbackRequest<'_>) -> Result<CarrierEvent, ParseError>;

    /// Verifies, then reads. Adapters override it when the two can share work.
    fn receive(&self, door: Door, request: &CallbackRequest<'_>) -> Result<CarrierEvent, CallbackError> {
        self.verify(request)?;
        Ok(self.parse(door, request)?)
    }

    /// Content type and body of the 200 that says we have it.
    fn acknowledgement(&self, door: Door) -> (&'static str, &'static [u8]);

    /// Hands over one SMS.
    async fn send(&self, sms: &SmsToSend) -> Result<Accepted, SendError>;

    /// Settles a send that may have gone out: asks the carrier for a message with these ends, this text and this time.
    async fn find(&self, query: &SentQuery) -> Result<Found, SendError>;

    /// Asks whether the account works; the sentence is for the operator.
    async fn check(&self) -> Result<String, SendError>;
}
