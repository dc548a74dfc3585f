//! Callback JSON to our values: lists of inbound messages and delivery receipts.

use serde::Deserialize;
use serde_json::Value;

use super::errors;
use crate::carriers::callback::{EVENTS_MAX, MEDIA_MAX, OTHERS_MAX};
use crate::carriers::{
    CarrierEvent, DeliveryReceipt, InboundMedia, InboundSms, Origin, ParseError, ReceiptState, outgoing,
};
use crate::phone::{E164, RemoteParty};

const ID_CHARS_MAX: usize = 64;
/// 2,048 characters of four bytes each.
const TEXT_BYTES_MAX: usize = 8_192;
const MEDIA_URL_BYTES_MAX: usize = 4_096;

#[derive(Deserialize)]
struct Event {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    to: Option<String>,
    #[serde(default, rename = "errorCode")]
    error_code: Value,
    #[serde(default)]
    message: Option<Message>,
}

#[derive(Deserialize)]
struct Message {
    id: String,
    #[serde(default)]
    owner: Option<String>,
    #[serde(default)]
    to: Value,
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    tag: Option<String>,
    #[serde(default)]
    media: Option<Vec<String>>,
    #[serde(default, rename = "segmentCount")]
    segment_count: Option<u16>,
}

impl Message {
    /// Everybody it went to; a list, and a plain number in some products.
    fn receivers(&self) -> Vec<E164> {
        let one = |value: &Value| E164::parse(value.as_str()?.trim()).ok();
        match &self.to {
            Value::Array(list) => list.iter().filter_map(one).collect(),
            value => one(value).into_iter().collect(),
        }
    }
}

/// Reads a callback of either address, in its order. What we do not know says nothing to us.
pub(super) fn events(body: &[u8]) -> Result<Vec<CarrierEvent>, ParseError> {
    let events: Vec<Event> =
        serde_json::from_slice(body).map_err(|_| unreadable("the body is no list of events"))?;
    if events.len() > EVENTS_MAX {
        return Err(unreadable("too many events at once"));
    }
    let read = events.into_iter().map(event).collect::<Result<Vec<_>, _>>()?;
    Ok(read.into_iter().flatten().collect())
}

fn event(event: Event) -> Result<Option<CarrierEvent>, ParseError> {
    let state = match event.kind.as_str() {
        "message-received" => None,
        "message-sending" => Some(ReceiptState::Sending),
        "message-sent" => Some(ReceiptState::Sent),
        "message-delivered" | "message-read" => Some(ReceiptState::Delivered),
        "message-failed" => Some(ReceiptState::Failed),
        _ => return Ok(None),
    };
    let message = event.message.ok_or_else(|| unreadable("message is missing"))?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    if message.id.is_empty() || message.id.len() > ID_CHARS_MAX || !message.id.bytes().all(plain) {
        return Err(unreadable("message.id is not an id"));
    }
    let Some(state) = state else { return inbound(event.to, message).map(Some) };
    let code = match &event.error_code {
        Value::Number(code) => code.as_u64().and_then(|code| u16::try_from(code).ok()),
        Value::String(code) => code.parse().ok(),
        _ => None,
    };
    let (state, error) = match (state, code) {
        (ReceiptState::Failed, Some(code)) => {
            let state = errors::failed_state(code);
            (state, (state != ReceiptState::Sent).then(|| errors::from_receipt(code)))
        }
        (state, _) => (state, None),
    };
    // Of a group each phone is told of by itself, and the list says who all got it.
    let phones = message.receivers();
    let phone = event.to.as_deref().and_then(|to| E164::parse(to.trim()).ok());
    let error = if phones.len() > 1 { error.map(outgoing::of_one_in_group) } else { error };
    let (carrier_message_id, whole) = match phone.filter(|_| phones.len() > 1) {
        Some(phone) => {
            (outgoing::part_id(&message.id, &phone), Some(outgoing::whole_id(&message.id, phones.iter())))
        }
        None => (message.id, None),
    };
    Ok(Some(CarrierEvent::DeliveryReceipt(DeliveryReceipt {
        carrier_message_id,
        whole,
        reference: message.tag.and_then(|tag| tag.parse().ok()),
        state,
        error,
    })))
}

fn inbound(event_to: Option<String>, message: Message) -> Result<CarrierEvent, ParseError> {
    // Each of our numbers in a group gets a copy of its own; the owner is the one that this copy is for.
    let to =
        message.owner.as_deref().or(event_to.as_deref()).ok_or_else(|| unreadable("owner is missing"))?;
    let to = E164::parse(to.trim()).map_err(|_| unreadable("owner is not a telephone number"))?;
    let from = message.from.as_deref().ok_or_else(|| unreadable("from is missing"))?;
    let from = RemoteParty::parse(from);
    let mut others = message.receivers();
    others.retain(|number| *number != to && from.phone() != Some(number));
    others.sort();
    others.dedup();
    if others.len() > OTHERS_MAX {
        return Err(unreadable("the group is larger than any"));
    }
    let text = message.text.unwrap_or_default();
    if text.len() > TEXT_BYTES_MAX {
        return Err(unreadable("the text is longer than any message"));
    }
    Ok(CarrierEvent::Sms(InboundSms {
        carrier_message_id: message.id,
        from,
        to,
        others,
        // PostgreSQL keeps no NUL, and no handset shows one.
        text: if text.contains('\0') { text.replace('\0', "") } else { text },
        media: media(message.media.unwrap_or_default())?,
        segment_count: message.segment_count.unwrap_or(1).max(1),
        consent: None,
        origin: Origin::default(),
    }))
}

fn media(urls: Vec<String>) -> Result<Vec<InboundMedia>, ParseError> {
    // The layout of the slides (SMIL) is no picture.
    let is_layout =
        |url: &str| url.to_ascii_lowercase().ends_with(".smil") || url.to_ascii_lowercase().ends_with(".xml");
    let urls = urls.into_iter().filter(|url| !is_layout(url)).take(MEDIA_MAX);
    let read = |url: String| {
        let web = url.starts_with("https://") || url.starts_with("http://");
        if !web || url.len() > MEDIA_URL_BYTES_MAX {
            return Err(unreadable("a media address is not an address"));
        }
        Ok(InboundMedia { url, content_type: None })
    };
    urls.map(read).collect()
}

fn unreadable(what: &str) -> ParseError {
    ParseError(what.to_owned())
}
