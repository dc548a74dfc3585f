//! The telephone side: what a carrier can do and what it tells us, in our words.
//!
//! A carrier turns bytes into values and values into bytes. It knows no table and no account, it never calls us, and
//! its vendor's words stay in its own directory. A callback is verified over its raw bytes before anything in it is
//! believed. No carrier sends exactly once, so a send that may have gone out says so ([`SendError::certain`]) and is
//! settled by [`Carrier::find`] or by a delivery receipt that carries our reference.
//!
//! How another one is added: `docs/adding-a-carrier.md`.

mod answers;
pub mod api;
pub mod bandwidth;
pub mod callback;
pub mod capabilities;
mod form;
pub mod goods;
pub mod health;
pub mod in_flight;
pub mod link;
pub mod outgoing;
pub mod plivo;
pub mod receipt;
pub mod registry;
pub mod smpp;
mod sound;
pub mod telnyx;
pub mod twilio;
pub mod voice;
pub mod vonage;

use std::sync::Arc;

use async_trait::async_trait;
use secrecy::SecretString;
use tokio::sync::watch;

pub use self::callback::{
    BadSignature, CallbackError, CallbackRequest, CarrierError, CarrierEvent, ConsentWord, DeliveryReceipt,
    Door, Headers, InboundMedia, InboundSms, Origin, ParseError,
};
pub use self::capabilities::{CampaignDay, Capabilities, Encoding, NumberTrade, Rates, StopScope};
pub use self::goods::{
    Features, NumberKind, NumberOrder, NumberQuery, OfferedNumber, OrderState, Ordered, OwnedNumber,
    OwnedNumbers,
};
use self::in_flight::Request;
pub use self::link::{EventSink, LinkEvent};
pub use self::outgoing::{Accepted, Found, GroupToSend, Retry, SendError, SentQuery, SmsToSend};
pub use self::receipt::ReceiptState;
pub use self::registry::Registry;
pub use self::voice::Voice;
pub use crate::config::CarrierSettings;
use crate::phone::E164;

/// With what a carrier's media is fetched.
pub enum MediaAccess {
    /// Anybody may fetch it.
    Open,
    /// HTTP Basic (RFC 7617).
    Basic {
        /// The user.
        user: String,
        /// His password.
        password: SecretString,
    },
    /// A bearer token (RFC 6750).
    Bearer(SecretString),
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
    ///
    /// A callback that grew old (where its signature has a time) is refused. One that comes twice within that time is
    /// not: a carrier may repeat what we answered with a 5xx, and every event is idempotent.
    fn verify(&self, request: &CallbackRequest<'_>) -> Result<(), BadSignature>;

    /// Reads a callback that was verified. Several events are in the order in which the carrier wrote them; nothing
    /// that concerns us is an empty list.
    fn parse(&self, door: Door, request: &CallbackRequest<'_>) -> Result<Vec<CarrierEvent>, ParseError>;

    /// Verifies, then reads. Adapters override it when the two can share work.
    fn receive(&self, door: Door, request: &CallbackRequest<'_>) -> Result<Vec<CarrierEvent>, CallbackError> {
        self.verify(request)?;
        Ok(self.parse(door, request)?)
    }

    /// The `WWW-Authenticate` of the 401 for a callback without credentials, for carriers that log in to us and may
    /// wait to be asked. `None`: 403 like every other bad signature.
    fn challenge(&self) -> Option<&'static str> {
        None
    }

    /// Content type and body of the 200 that says we have it.
    fn acknowledgement(&self, door: Door) -> (&'static str, &'static [u8]);

    /// With what a picture that came in is fetched. Credentials are for this one request to the carrier's own host,
    /// never for where it redirects to.
    async fn media_access(&self, _url: &str) -> Result<MediaAccess, SendError> {
        Ok(MediaAccess::Open)
    }

    /// Hands over one SMS or MMS.
    async fn send(&self, sms: &SmsToSend) -> Result<Accepted, SendError>;

    /// Hands over one SMS or MMS, and notes with `request` while an answer of the carrier is awaited. Adapters override it
    /// that let a send wait for a turn of ours first: that is no slowness of the carrier.
    async fn send_in_turn(&self, sms: &SmsToSend, request: &Request<'_>) -> Result<Accepted, SendError> {
        let _asked = request.asks();
        self.send(sms).await
    }

    /// Hands over one MMS to a group, within [`Capabilities::outbound_group_max`]. Every phone is a part of it with an id of
    /// its own ([`outgoing::part_id`]).
    async fn send_group(&self, _group: &GroupToSend) -> Result<Accepted, SendError> {
        Err(SendError::unsupported("send to a group"))
    }

    /// Settles a send that may have gone out: asks the carrier for a message with these ends, this text and this time.
    async fn find(&self, query: &SentQuery) -> Result<Found, SendError>;

    /// Asks whether the account works; the sentence is for the operator.
    async fn check(&self) -> Result<String, SendError>;

    /// Compares the addresses that are entered at the carrier with ours, `callback_base` being everything before
    /// `/messages`. Answers what is wrong, for the operator, or `None` when the carrier does not tell.
    async fn check_addresses(&self, _callback_base: &str) -> Result<Option<Vec<String>>, SendError> {
        Ok(None)
    }

    /// Whether addresses of ours are entered at the carrier at all; a carrier that we are connected to calls none.
    fn calls_our_addresses(&self) -> bool {
        true
    }

    /// Holds a connection of its own and hands `sink` what comes over it, until `stop` turns true. Carriers that call
    /// our addresses have none and return at once.
    async fn run(self: Arc<Self>, _sink: Arc<dyn EventSink>, _stop: watch::Receiver<bool>) {}

    /// How the octets of a [`link::InboundPart`] are read, for carriers that deliver long texts in parts.
    fn part_reader(&self) -> Option<fn(i32, &[u8]) -> String> {
        None
    }

    /// Calls, for carriers that do them.
    fn voice(&self) -> Option<&dyn Voice> {
        None
    }

    /// Shows numbers that can be had.
    async fn search_numbers(&self, _query: &NumberQuery) -> Result<Vec<OfferedNumber>, SendError> {
        Err(SendError::unsupported("be searched for numbers"))
    }

    /// Orders a number, or tells how far the same order is.
    async fn order_number(&self, _order: &NumberOrder) -> Result<Ordered, SendError> {
        Err(SendError::unsupported("be asked for numbers"))
    }

    /// Gives a number back; one that we no longer have is given back already. It cannot be undone.
    async fn release_number(&self, _number: &E164) -> Result<(), SendError> {
        Err(SendError::unsupported("take numbers back"))
    }

    /// Shows the numbers that we have, from the beginning or from where the last answer said.
    async fn list_numbers(&self, _next: Option<&str>) -> Result<OwnedNumbers, SendError> {
        Err(SendError::unsupported("list our numbers"))
    }
}
