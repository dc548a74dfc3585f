//! Callback JSON to our values: inbound messages and delivery receipts.

use serde::Deserialize;
use serde_json::Value;

use super::errors;
use crate::carriers::callback::{MEDIA_MAX, OTHERS_MAX};
use crate::carriers::{
    CallbackRequest, CarrierEvent, ConsentWord, DeliveryReceipt, InboundMedia, InboundSms, Origin,
    ParseError, ReceiptState, outgoing,
};
use crate::ids::OutboundSmsId;
use crate::net::Url;
use crate::phone::{E164, RemoteParty};

/// The name of our reference in the query of the status address.
pub(super) const REFERENCE: &str = "ref";
/// Ids are UUIDs.
const ID_CHARS_MAX: usize = 64;
/// Ten parts, four bytes each character and some more.
const TEXT_BYTES_MAX: usize = 8_192;
const MEDIA_URL_BYTES_MAX: usize = 2_048;

#[derive(Deserialize)]
struct Envelope {
    data: Event,
}

#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    event_type: String,
    #[serde(default)]
    payload: Value,
}

#[derive(Deserialize)]
struct Payload {
    id: String,
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    from: Option<Party>,
    #[serde(default)]
    to: Parties,
    #[serde(default)]
    cc: Option<Vec<Party>>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    media: Option<Vec<Media>>,
    #[serde(default)]
    parts: Option<u16>,
    #[serde(default)]
    errors: Option<Vec<Problem>>,
    #[serde(default)]
    autoresponse_type: Option<String>,
    #[serde(default)]
    webhook_url: Option<String>,
    #[serde(default)]
    group_message_id: Option<String>,
}

#[derive(Deserialize)]
struct Party {
    #[serde(default)]
    phone_number: Option<String>,
    #[serde(default)]
    status: Option<String>,
    /// The network, as its owner is called.
    #[serde(default)]
    carrier: Option<String>,
    /// `Wireless`, `VoIP`, …
    #[serde(default)]
    line_type: Option<String>,
}

impl Party {
    fn number(&self) -> &str {
        self.phone_number.as_deref().unwrap_or_default().trim()
    }
}

/// A list; a plain number in the newest models.
#[derive(Deserialize)]
#[serde(untagged)]
enum Parties {
    Many(Vec<Party>),
    One(String),
    None(()),
}

impl Default for Parties {
    fn default() -> Self {
        Parties::None(())
    }
}

impl Parties {
    fn into_list(self) -> Vec<Party> {
        match self {
            Parties::Many(list) => list,
            Parties::One(number) => {
                vec![Party { phone_number: Some(number), status: None, carrier: None, line_type: None }]
            }
            Parties::None(()) => Vec::new(),
        }
    }
}

#[derive(Deserialize)]
struct Media {
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    content_type: Option<String>,
}

/// `{"code":"40300","title":"Blocked due to STOP message","detail":"…"}`; the code is a text, and sometimes a number.
#[derive(Deserialize)]
pub(super) struct Problem {
    #[serde(default)]
    pub(super) code: Value,
    #[serde(default)]
    pub(super) title: Option<String>,
    #[serde(default)]
    pub(super) detail: Option<String>,
}

impl Problem {
    pub(super) fn code(&self) -> String {
        match &self.code {
            Value::String(code) => code.clone(),
            Value::Number(code) => code.to_string(),
            _ => String::new(),
        }
    }
}

fn is_id(id: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    !id.is_empty() && id.len() <= ID_CHARS_MAX && id.bytes().all(plain)
}

/// Reads a callback of either address. What we do not know says nothing to us.
pub(super) fn events(request: &CallbackRequest<'_>) -> Result<Vec<CarrierEvent>, ParseError> {
    let envelope: Envelope =
        serde_json::from_slice(request.body).map_err(|_| unreadable("the body is not an event"))?;
    let event = envelope.data;
    let payload = || -> Result<Payload, ParseError> {
        let payload: Payload =
            serde_json::from_value(event.payload).map_err(|_| unreadable("the payload is not a message"))?;
        if !is_id(&payload.id) {
            return Err(unreadable("payload.id is not an id"));
        }
        Ok(payload)
    };
    match event.event_type.as_str() {
        "message.received" => inbound(payload()?),
        "message.sent" | "message.finalized" | "message.read" => Ok(receipt(payload()?)),
        _ => Ok(Vec::new()),
    }
}

fn inbound(payload: Payload) -> Result<Vec<CarrierEvent>, ParseError> {
    // Other networks share the wire.
    if !matches!(payload.kind.as_deref(), None | Some("SMS" | "MMS")) {
        return Ok(Vec::new());
    }
    let from = payload.from.as_ref().ok_or_else(|| unreadable("from is missing"))?;
    let network = from.carrier.as_deref().unwrap_or_default();
    let network = Origin::network_named(network, from.line_type.as_deref().unwrap_or_default());
    let from = RemoteParty::parse(from.number());
    let receivers = payload.to.into_list();
    // Of the members of a group, ours is the one that the callback is about.
    let ours = receivers.iter().find(|party| party.status.as_deref() == Some("webhook_delivered"));
    let ours = ours.or(receivers.first()).ok_or_else(|| unreadable("to is missing"))?;
    let to = E164::parse(ours.number()).map_err(|_| unreadable("to is not a telephone number"))?;
    let everybody = receivers.iter().chain(payload.cc.iter().flatten());
    let mut others: Vec<E164> = everybody.filter_map(|party| E164::parse(party.number()).ok()).collect();
    others.retain(|number| *number != to && from.phone() != Some(number));
    others.sort();
    others.dedup();
    if others.len() > OTHERS_MAX {
        return Err(unreadable("the group is larger than any"));
    }
    let text = payload.text.unwrap_or_default();
    if text.len() > TEXT_BYTES_MAX {
        return Err(unreadable("the text is longer than any message"));
    }
    Ok(vec![CarrierEvent::Sms(InboundSms {
        carrier_message_id: payload.id,
        from,
        to,
        others,
        // PostgreSQL keeps no NUL, and no handset shows one.
        text: if text.contains('\0') { text.replace('\0', "") } else { text },
        media: media(payload.media.unwrap_or_default())?,
        segment_count: payload.parts.unwrap_or(1).max(1),
        consent: payload.autoresponse_type.as_deref().and_then(consent),
        origin: Origin { attestation: None, network },
    })])
}

fn consent(word: &str) -> Option<ConsentWord> {
    match word.to_ascii_uppercase().as_str() {
        "STOP" | "OPT_OUT" => Some(ConsentWord::Stop),
        "START" | "OPT_IN" => Some(ConsentWord::Start),
        "HELP" | "INFO" => Some(ConsentWord::Help),
        _ => None,
    }
}

fn media(found: Vec<Media>) -> Result<Vec<InboundMedia>, ParseError> {
    let mut media = Vec::new();
    for item in found.into_iter().take(MEDIA_MAX) {
        let Some(url) = item.url.filter(|url| !url.is_empty()) else { continue };
        let web = url.starts_with("https://") || url.starts_with("http://");
        if !web || url.len() > MEDIA_URL_BYTES_MAX {
            return Err(unreadable("a media url is not an address"));
        }
        let content_type = item.content_type.map(|kind| kind.chars().take(128).collect());
        media.push(InboundMedia { url, content_type });
    }
    Ok(media)
}

/// What became of a message to a group, phone by phone. What is not known of a phone says nothing.
fn group_receipts(payload: Payload) -> Vec<CarrierEvent> {
    let id = payload.group_message_id.filter(|id| is_id(id)).unwrap_or(payload.id);
    let reference = payload.webhook_url.as_deref().and_then(reference);
    let problem = payload.errors.unwrap_or_default().into_iter().next();
    let receivers = payload.to.into_list();
    let phones: Vec<(E164, Option<ReceiptState>)> = receivers
        .iter()
        .filter_map(|party| {
            Some((E164::parse(party.number()).ok()?, party.status.as_deref().and_then(state)))
        })
        .collect();
    let whole = (phones.len() > 1).then(|| outgoing::whole_id(&id, phones.iter().map(|(phone, _)| phone)));
    let receipt = |(phone, state): &(E164, Option<ReceiptState>)| {
        let state = (*state)?;
        let failed = matches!(state, ReceiptState::Failed | ReceiptState::Undelivered);
        Some(CarrierEvent::DeliveryReceipt(DeliveryReceipt {
            carrier_message_id: outgoing::part_id(&id, phone),
            whole: whole.clone(),
            reference,
            state,
            error: problem
                .as_ref()
                .filter(|_| failed)
                .map(errors::from_receipt)
                .map(outgoing::of_one_in_group),
        }))
    };
    phones.iter().filter_map(receipt).collect()
}

fn receipt(payload: Payload) -> Vec<CarrierEvent> {
    let is_group = payload.group_message_id.as_deref().is_some_and(|id| !id.is_empty());
    if is_group || matches!(&payload.to, Parties::Many(list) if list.len() > 1) {
        return group_receipts(payload);
    }
    // Words that may be added later say nothing to us.
    let receivers = payload.to.into_list();
    let status = receivers.first().and_then(|party| party.status.as_deref());
    let Some(state) = status.and_then(state) else { return Vec::new() };
    let failed = matches!(state, ReceiptState::Failed | ReceiptState::Undelivered);
    let problems = payload.errors.unwrap_or_default();
    let error = match (status, problems.first()) {
        _ if !failed => None,
        (_, Some(problem)) => Some(errors::from_receipt(problem)),
        (Some("expired"), None) => Some(errors::expired()),
        _ => None,
    };
    vec![CarrierEvent::DeliveryReceipt(DeliveryReceipt {
        carrier_message_id: payload.id,
        whole: None,
        reference: payload.webhook_url.as_deref().and_then(reference),
        state,
        error,
    })]
}

/// Our reference from the address that we gave with the message. It is repeated in the body, which is signed.
pub(super) fn reference(url: &str) -> Option<OutboundSmsId> {
    let url = Url::parse(url).ok()?;
    let (_, id) = url.query_pairs().find(|(name, _)| name == REFERENCE)?;
    id.parse().ok()
}

/// Telnyx's word for a state.
pub(super) fn state(word: &str) -> Option<ReceiptState> {
    match word {
        "queued" => Some(ReceiptState::Queued),
        "sending" => Some(ReceiptState::Sending),
        // No network will say more.
        "sent" | "delivery_unconfirmed" => Some(ReceiptState::Sent),
        "delivered" | "read" => Some(ReceiptState::Delivered),
        "sending_failed" | "expired" => Some(ReceiptState::Failed),
        "delivery_failed" => Some(ReceiptState::Undelivered),
        _ => None,
    }
}

fn unreadable(what: &str) -> ParseError {
    ParseError(what.to_owned())
}
