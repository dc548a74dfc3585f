//! Carriers that are connected for good: what they hand over without being asked, and to whom.
//!
//! Such a carrier is answered only after the sink has returned, so what it hands over is durable by then. Within
//! one sender the order is kept.

use async_trait::async_trait;

use super::{DeliveryReceipt, InboundSms};
use crate::error::Result;
use crate::phone::{E164, RemoteParty};

/// A session with the carrier, by number; a new one after each break.
pub type SessionNumber = u64;

/// A piece of a longer SMS.
#[derive(Clone)]
pub struct InboundPart {
    /// Who sent it.
    pub from: RemoteParty,
    /// Our number.
    pub to: E164,
    /// What ties the pieces together, for this sender and number.
    pub reference: u16,
    /// How many there are.
    pub total: u8,
    /// Which this is, from 1.
    pub number: u8,
    /// How `octets` are read, in the carrier's own terms.
    pub coding: i32,
    /// What it carries.
    pub octets: Vec<u8>,
    /// Reads the octets of all pieces, joined.
    pub read: fn(i32, &[u8]) -> String,
}

/// Texts do not belong into logs.
impl std::fmt::Debug for InboundPart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = (self.reference, self.number, self.total);
        f.debug_struct("InboundPart").field("to", &self.to).field("place", &place).finish_non_exhaustive()
    }
}

/// What a connected carrier says.
#[derive(Debug, Clone)]
pub enum LinkEvent {
    /// A session has begun: what the one before had not confirmed comes again.
    Bound,
    /// A whole SMS. Its `carrier_message_id` is a fingerprint: such carriers give no id, so whoever sends the same
    /// words twice sends the same fingerprint twice.
    Sms(InboundSms),
    /// A piece of one.
    Part(InboundPart),
    /// The network's word on a message of ours.
    Receipt {
        /// The word. It has no reference of ours.
        receipt: DeliveryReceipt,
        /// Our number and the handset, when the receipt says them.
        ends: Option<(E164, E164)>,
        /// How the message began, when the receipt says it.
        text_start: Option<String>,
    },
}

/// Takes what comes over a connection that a carrier's adapter holds itself.
#[async_trait]
pub trait EventSink: Send + Sync {
    /// Stores what was said. Returns when it is durable, or was before; the carrier is told only then.
    ///
    /// # Errors
    /// When it could not be kept: the carrier must say it again.
    async fn hear(&self, carrier_id: &str, session: SessionNumber, event: LinkEvent) -> Result<()>;
}
