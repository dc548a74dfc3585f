//! What we ask of a carrier: one message, what came of it, and how certain that is.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::ids::OutboundSmsId;
use crate::phone::E164;

use super::{CarrierError, ReceiptState};

/// One SMS on its way out, or one MMS when it has media.
#[derive(Clone, PartialEq, Eq)]
pub struct SmsToSend {
    /// Our id; comes back with every receipt.
    pub id: OutboundSmsId,
    /// Our number.
    pub from: E164,
    /// The handset.
    pub to: E164,
    /// The text, in the form in which it was counted; may be empty when there is media.
    pub text: String,
    /// Where the carrier fetches pictures and files, within [`super::Capabilities`]. Empty: an SMS.
    pub media_urls: Vec<String>,
    /// Where receipts shall go, without the reference. Empty: no receipts are wanted.
    pub status_callback: String,
}

/// Texts do not belong into logs.
impl std::fmt::Debug for SmsToSend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SmsToSend").field("id", &self.id).field("to", &self.to).finish_non_exhaustive()
    }
}

/// One MMS to several phones, who all see each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupToSend {
    /// To the first of them.
    pub sms: SmsToSend,
    /// The other phones.
    pub others: Vec<E164>,
}

impl GroupToSend {
    /// All phones that get it.
    pub fn phones(&self) -> impl Iterator<Item = &E164> {
        std::iter::once(&self.sms.to).chain(&self.others)
    }
}

/// What became of a group's message at one phone is told under this id, because the carrier has one for all.
pub fn part_id(carrier_message_id: &str, phone: &E164) -> String {
    format!("{carrier_message_id}-{}", phone.digits())
}

/// An error at one phone of a group says nothing about the one that the message is kept for.
pub fn of_one_in_group(error: CarrierError) -> CarrierError {
    CarrierError { handset_absent: false, opted_out: false, ..error }
}

/// All parts of a group's message, as [`Accepted::carrier_message_id`] has them.
pub fn whole_id<'a>(carrier_message_id: &str, phones: impl Iterator<Item = &'a E164>) -> String {
    phones.map(|phone| part_id(carrier_message_id, phone)).collect::<Vec<_>>().join(" ")
}

/// The carrier has the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The carrier's id; of a message whose parts have ids of their own, all of them with a space between.
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

impl SendError {
    /// The carrier, or its adapter, has no such thing; [`super::Capabilities`] said so.
    pub fn unsupported(what: &str) -> SendError {
        SendError {
            retry: Retry::Never,
            certain: true,
            code: UNSUPPORTED.to_owned(),
            whole_carrier: false,
            detail: format!("this kind of carrier cannot {what}"),
        }
    }

    /// Whether it is an [`SendError::unsupported`].
    pub fn is_unsupported(&self) -> bool {
        self.code == UNSUPPORTED
    }
}

/// The code of what a carrier cannot do.
const UNSUPPORTED: &str = "unsupported";

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
