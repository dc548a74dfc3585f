//! Callback fields to our values: inbound messages and delivery receipts.

use super::errors;
use super::signature::query_of;
use crate::carriers::callback::MEDIA_MAX;
use crate::carriers::form::Form;
use crate::carriers::{
    CallbackRequest, CarrierEvent, ConsentWord, DeliveryReceipt, InboundMedia, InboundSms, Origin,
    ParseError, ReceiptState,
};
use crate::phone::{E164, RemoteParty};

/// The name of our reference in the query of the status address.
pub(super) const REFERENCE: &str = "ref";
/// Twilio's ids have 34 characters.
const ID_CHARS_MAX: usize = 64;
/// Twilio's texts have at most 1,600 characters; four bytes each and some more.
const TEXT_BYTES_MAX: usize = 8_192;
const MEDIA_URL_BYTES_MAX: usize = 2_048;

/// Reads the fields that come to the messages address.
pub(super) fn inbound(form: &Form) -> Result<Vec<CarrierEvent>, ParseError> {
    let carrier_message_id = message_id(form)?;
    let status = form.filled("SmsStatus");
    if !matches!(status.as_deref(), None | Some("received" | "receiving")) {
        return Err(unreadable("a delivery receipt came to the address for messages; enter …/status for it"));
    }
    let to = form.filled("To").ok_or_else(|| unreadable("To is missing"))?;
    let from = form.get("From").ok_or_else(|| unreadable("From is missing"))?;
    // `whatsapp:+…` and the like come from other networks that share the wire.
    if to.contains(':') || from.contains(':') {
        return Ok(Vec::new());
    }
    let to = E164::parse(to.trim()).map_err(|_| unreadable("To is not a telephone number"))?;
    let text = form.get("Body").unwrap_or_default();
    if text.len() > TEXT_BYTES_MAX {
        return Err(unreadable("Body is longer than any message"));
    }
    Ok(vec![CarrierEvent::Sms(InboundSms {
        carrier_message_id,
        from: RemoteParty::parse(&from),
        to,
        // Members of a group are not told; it is a conversation of two for us.
        others: Vec::new(),
        // PostgreSQL keeps no NUL, and no handset shows one.
        text: if text.contains('\0') { text.replace('\0', "") } else { text.into_owned() },
        media: media(form)?,
        segment_count: form.get("NumSegments").and_then(|n| n.parse().ok()).unwrap_or(1).max(1),
        consent: consent(form),
        origin: Origin { attestation: attestation(form), network: None },
    })])
}

/// Set when the account's own opt-out handling took the word and answered.
fn consent(form: &Form) -> Option<ConsentWord> {
    match form.filled("OptOutType")?.as_ref() {
        "STOP" => Some(ConsentWord::Stop),
        "START" => Some(ConsentWord::Start),
        "HELP" => Some(ConsentWord::Help),
        _ => None,
    }
}

/// The word that calls have; where it comes with a message, it says the same. What did not pass is nobody's word.
fn attestation(form: &Form) -> Option<char> {
    let word = form.filled("StirVerstat")?;
    match word.strip_prefix("TN-Validation-Passed-").and_then(|level| level.chars().next()) {
        Some(level @ 'A'..='C') => Some(level),
        _ if word.starts_with("TN-Validation-Failed") => Some('C'),
        _ => None,
    }
}

fn media(form: &Form) -> Result<Vec<InboundMedia>, ParseError> {
    let count: usize = form.get("NumMedia").and_then(|n| n.parse().ok()).unwrap_or(0);
    let mut media = Vec::new();
    for n in 0..count.min(MEDIA_MAX) {
        let Some(url) = form.filled(&format!("MediaUrl{n}")) else { continue };
        let web = url.starts_with("https://") || url.starts_with("http://");
        if !web || url.len() > MEDIA_URL_BYTES_MAX {
            return Err(unreadable("a MediaUrl is not an address"));
        }
        let content_type = form.filled(&format!("MediaContentType{n}"));
        let content_type = content_type.map(|kind| kind.chars().take(128).collect());
        media.push(InboundMedia { url: url.into_owned(), content_type });
    }
    Ok(media)
}

/// Reads the fields that come to the status address; our reference stands in the address itself.
pub(super) fn receipt(request: &CallbackRequest<'_>, form: &Form) -> Result<Vec<CarrierEvent>, ParseError> {
    let carrier_message_id = message_id(form)?;
    let status = form.filled("MessageStatus").or_else(|| form.filled("SmsStatus"));
    let status = status.ok_or_else(|| unreadable("MessageStatus is missing"))?;
    // Words that Twilio may add later say nothing to us.
    let Some(state) = state(&status) else { return Ok(Vec::new()) };
    let failed = matches!(state, ReceiptState::Failed | ReceiptState::Undelivered);
    let code = form.filled("ErrorCode").filter(|code| failed && code != "0");
    let query = Form::parse(query_of(request.url).as_bytes()).unwrap_or_else(Form::empty);
    Ok(vec![CarrierEvent::DeliveryReceipt(DeliveryReceipt {
        whole: None,
        carrier_message_id,
        reference: query.get(REFERENCE).and_then(|id| id.parse().ok()),
        state,
        error: code.map(|code| errors::from_receipt(&code)),
    })])
}

/// Twilio's word for a state; `None` for inbound and unknown words.
pub(super) fn state(word: &str) -> Option<ReceiptState> {
    match word {
        "accepted" | "scheduled" | "queued" => Some(ReceiptState::Queued),
        "sending" => Some(ReceiptState::Sending),
        "sent" | "partially_delivered" => Some(ReceiptState::Sent),
        "delivered" | "read" => Some(ReceiptState::Delivered),
        "undelivered" => Some(ReceiptState::Undelivered),
        "failed" | "canceled" => Some(ReceiptState::Failed),
        _ => None,
    }
}

fn message_id(form: &Form) -> Result<String, ParseError> {
    let id = ["MessageSid", "SmsSid"].into_iter().find_map(|name| form.filled(name));
    let id = id.ok_or_else(|| unreadable("MessageSid is missing"))?;
    let plain = id.len() <= ID_CHARS_MAX && id.bytes().all(|b| b.is_ascii_alphanumeric());
    if plain { Ok(id.into_owned()) } else { Err(unreadable("MessageSid is not an id")) }
}

fn unreadable(what: &str) -> ParseError {
    ParseError(what.to_owned())
}
