//! A message as the carrier holds it, and the resource that it shows of it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::behaviour::Behaviour;
use super::refusal;
use super::segments;
use crate::clock::Timestamp;
use crate::phone::E164;

/// The version of the carrier's API that paths and callbacks name.
pub const API_VERSION: &str = "2010-04-01";

/// Where a message stands, in the carrier's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Taken for a messaging service, which has not yet chosen a number.
    Accepted,
    /// Waits for its time.
    Scheduled,
    /// Waits for its turn.
    Queued,
    /// Handed to the telephone network.
    Sent,
    /// On the handset.
    Delivered,
    /// The handset's network gave up.
    Undelivered,
    /// Never left the carrier.
    Failed,
    /// Taken back before its time came.
    Canceled,
    /// An inbound message that arrived.
    Received,
}

impl Status {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Accepted => "accepted",
            Status::Scheduled => "scheduled",
            Status::Queued => "queued",
            Status::Sent => "sent",
            Status::Delivered => "delivered",
            Status::Undelivered => "undelivered",
            Status::Failed => "failed",
            Status::Canceled => "canceled",
            Status::Received => "received",
        }
    }

    /// Whether nothing more can follow.
    pub fn is_final(self) -> bool {
        match self {
            Status::Accepted | Status::Scheduled | Status::Queued | Status::Sent => false,
            Status::Delivered
            | Status::Undelivered
            | Status::Failed
            | Status::Canceled
            | Status::Received => true,
        }
    }
}

/// Which way a message goes, seen from the carrier's customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// A customer's program sends it.
    OutboundApi,
    /// A customer's answer to a callback sends it.
    OutboundReply,
    /// A phone sends it.
    Inbound,
}

impl Direction {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Direction::OutboundApi => "outbound-api",
            Direction::OutboundReply => "outbound-reply",
            Direction::Inbound => "inbound",
        }
    }
}

/// A picture or another file of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Media {
    /// Where it lies.
    pub url: String,
    /// What it is, like `image/jpeg`.
    #[serde(default = "unknown_type")]
    pub content_type: String,
}

fn unknown_type() -> String {
    "application/octet-stream".to_owned()
}

/// A message that passed through the carrier.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The carrier's id: `SM` or `MM` and 32 hex digits.
    pub sid: String,
    /// Which way it goes.
    pub direction: Direction,
    /// The sender.
    pub from: E164,
    /// The receiver.
    pub to: E164,
    /// What a person wrote, whole.
    pub body: String,
    /// Its files.
    pub media: Vec<Media>,
    /// Where it stands.
    pub status: Status,
    /// Why it did not arrive.
    pub error_code: Option<u32>,
    /// The messaging service it was sent through.
    pub service: Option<String>,
    /// Where receipts go.
    pub status_callback: Option<String>,
    /// When the carrier took it.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it left.
    pub sent_at: Option<Timestamp>,
    /// What the carrier does wrong with it.
    pub(super) behaviour: Arc<Behaviour>,
    /// The number of segments, kept when the text is taken away.
    pub(super) segment_count: u32,
}

/// What is needed to make a message.
pub(super) struct NewMessage {
    pub direction: Direction,
    pub from: E164,
    pub to: E164,
    pub body: String,
    pub media: Vec<Media>,
    pub status: Status,
    pub service: Option<String>,
    pub status_callback: Option<String>,
    pub behaviour: Arc<Behaviour>,
}

impl Message {
    pub(super) fn new(new: NewMessage, now: Timestamp) -> Self {
        Message {
            sid: new_sid(if new.media.is_empty() { "SM" } else { "MM" }),
            direction: new.direction,
            from: new.from,
            to: new.to,
            segment_count: segments::count(&new.body),
            body: new.body,
            media: new.media,
            status: new.status,
            error_code: None,
            service: new.service,
            status_callback: new.status_callback,
            created_at: now,
            updated_at: now,
            sent_at: None,
            behaviour: new.behaviour,
        }
    }

    /// The resource as the carrier's API shows it.
    pub fn resource(&self, account_sid: &str) -> Value {
        let uri = format!("/{API_VERSION}/Accounts/{account_sid}/Messages/{}", self.sid);
        // A messaging service chooses the sender only when the message's turn comes.
        let from = (!matches!(self.status, Status::Accepted | Status::Scheduled)).then(|| self.from.as_str());
        json!({
            "account_sid": account_sid,
            "api_version": API_VERSION,
            "body": self.body,
            "date_created": rfc2822(self.created_at),
            "date_sent": self.sent_at.map(rfc2822),
            "date_updated": rfc2822(self.updated_at),
            "direction": self.direction.as_str(),
            "error_code": self.error_code,
            "error_message": self.error_code.and_then(refusal::sentence),
            "from": from,
            "messaging_service_sid": self.service,
            "num_media": self.media.len().to_string(),
            "num_segments": self.segment_count.to_string(),
            "price": null,
            "price_unit": "USD",
            "sid": self.sid,
            "status": self.status.as_str(),
            "subresource_uris": { "media": format!("{uri}/Media.json") },
            "to": self.to.as_str(),
            "uri": format!("{uri}.json"),
        })
    }

    /// The parameters of a receipt that reports `status`.
    pub(super) fn receipt_params(&self, account_sid: &str, status: Status) -> Vec<(String, String)> {
        let mut params = params(&[
            ("AccountSid", account_sid),
            ("ApiVersion", API_VERSION),
            ("From", self.from.as_str()),
            ("MessageSid", &self.sid),
            ("MessageStatus", status.as_str()),
            ("SmsSid", &self.sid),
            ("SmsStatus", status.as_str()),
            ("To", self.to.as_str()),
        ]);
        if let Some(service) = &self.service {
            params.push(("MessagingServiceSid".to_owned(), service.clone()));
        }
        if let (Some(code), Status::Undelivered | Status::Failed) = (self.error_code, status) {
            params.push(("ErrorCode".to_owned(), code.to_string()));
        }
        if matches!(status, Status::Delivered | Status::Undelivered) {
            params.push(("RawDlrDoneDate".to_owned(), done_date(self.updated_at)));
        }
        params
    }

    /// The parameters of the callback that hands an inbound message over.
    pub(super) fn inbound_params(&self, account_sid: &str) -> Vec<(String, String)> {
        let (from_region, to_region) = (self.from.region(), self.to.region());
        let (segments, media) = (self.segment_count.to_string(), self.media.len().to_string());
        let mut params = params(&[
            ("AccountSid", account_sid),
            ("ApiVersion", API_VERSION),
            ("Body", &self.body),
            ("From", self.from.as_str()),
            ("FromCity", ""),
            ("FromCountry", &from_region),
            ("FromState", ""),
            ("FromZip", ""),
            ("MessageSid", &self.sid),
            ("NumMedia", &media),
            ("NumSegments", &segments),
            ("SmsMessageSid", &self.sid),
            ("SmsSid", &self.sid),
            ("SmsStatus", "received"),
            ("To", self.to.as_str()),
            ("ToCity", ""),
            ("ToCountry", &to_region),
            ("ToState", ""),
            ("ToZip", ""),
        ]);
        if let Some(verstat) = &self.behaviour.verstat {
            params.push(("StirVerstat".to_owned(), verstat.clone()));
        }
        for (at, media) in self.media.iter().enumerate() {
            params.push((format!("MediaContentType{at}"), media.content_type.clone()));
            params.push((format!("MediaUrl{at}"), media.url.clone()));
        }
        params
    }
}

fn params(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A new id of the carrier: two letters for the kind and 32 hex digits.
///
/// Random even in tests: a carrier never gives an id twice, not even after a restart.
pub fn new_sid(kind: &str) -> String {
    format!("{kind}{}", Uuid::new_v4().simple())
}

/// Whether `text` looks like an id of the carrier of that kind.
pub fn is_sid(kind: &str, text: &str) -> bool {
    text.strip_prefix(kind).is_some_and(|hex| hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// `Thu, 24 Aug 2023 05:01:45 +0000`, the form of every date of the carrier's API.
pub fn rfc2822(at: Timestamp) -> String {
    let text = jiff::Timestamp::from_microsecond(at.0);
    text.map(|t| t.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()).unwrap_or_default()
}

/// `YYMMDDhhmm`, when a handset's network closed the case.
fn done_date(at: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(at.0).map(|t| t.strftime("%y%m%d%H%M").to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        let new = NewMessage {
            direction: Direction::OutboundApi,
            from: E164::parse("+12025550150").unwrap(),
            to: E164::parse("+12025550101").unwrap(),
            body: "안녕 ✓".to_owned(),
            media: Vec::new(),
            status: Status::Queued,
            service: None,
            status_callback: None,
            behaviour: Arc::default(),
        };
        Message::new(new, Timestamp::from_rfc3339("2023-08-24T05:01:45Z").unwrap())
    }

    #[test]
    fn the_resource_has_every_member_in_the_vendors_form() {
        let shown = message().resource("AC1");
        assert_eq!(shown["date_created"], "Thu, 24 Aug 2023 05:01:45 +0000");
        assert_eq!(shown["date_sent"], Value::Null);
        assert_eq!(shown["num_segments"], "1");
        assert_eq!(shown["num_media"], "0");
        assert_eq!(shown["direction"], "outbound-api");
        assert_eq!(shown["error_code"], Value::Null);
        assert_eq!(shown.as_object().unwrap().len(), 20);
    }

    #[test]
    fn a_failed_receipt_names_its_error() {
        let mut message = message();
        message.error_code = Some(30003);
        let params = message.receipt_params("AC1", Status::Undelivered);
        assert!(params.contains(&("ErrorCode".to_owned(), "30003".to_owned())));
        assert!(params.contains(&("RawDlrDoneDate".to_owned(), "2308240501".to_owned())));
        // The receipt of the step before knows nothing of it.
        let params = message.receipt_params("AC1", Status::Sent);
        assert!(params.iter().all(|(name, _)| name != "ErrorCode"));
    }

    #[test]
    fn an_inbound_message_is_handed_over_with_its_empty_fields() {
        let params = message().inbound_params("AC1");
        for name in ["ToCity", "FromZip", "FromState"] {
            assert!(params.contains(&(name.to_owned(), String::new())), "{name}");
        }
        assert!(params.contains(&("FromCountry".to_owned(), "US".to_owned())));
        assert_eq!(params.len(), 19);
    }
}
