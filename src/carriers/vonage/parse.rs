//! Callbacks of the Messages API, version 1, to our values: inbound messages and status.

use serde::Deserialize;
use serde_json::Value;

use super::errors::{self, Problem};
use crate::carriers::callback::MEDIA_MAX;
use crate::carriers::{
    CarrierEvent, DeliveryReceipt, InboundMedia, InboundSms, Origin, ParseError, ReceiptState,
};
use crate::phone::{E164, RemoteParty};

/// Ids are UUIDs.
const ID_CHARS_MAX: usize = 64;
/// Texts have at most 3,200 characters; four bytes each and some more.
const TEXT_BYTES_MAX: usize = 16_384;
const MEDIA_URL_BYTES_MAX: usize = 2_048;

#[derive(Deserialize)]
struct Callback {
    #[serde(default)]
    channel: Option<String>,
    #[serde(default)]
    message_uuid: Option<String>,
    #[serde(default)]
    to: Value,
    #[serde(default)]
    from: Value,
    #[serde(default)]
    message_type: Option<String>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    image: Option<Resource>,
    #[serde(default)]
    audio: Option<Resource>,
    #[serde(default)]
    video: Option<Resource>,
    #[serde(default)]
    file: Option<Resource>,
    #[serde(default)]
    vcard: Option<Resource>,
    #[serde(default)]
    content: Vec<Resource>,
    #[serde(default)]
    sms: Sms,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    client_ref: Option<String>,
    #[serde(default)]
    error: Option<Problem>,
}

#[derive(Deserialize)]
struct Resource {
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    caption: Option<String>,
}

#[derive(Default, Deserialize)]
struct Sms {
    #[serde(default)]
    num_messages: Value,
}

/// A number in Vonage's form: digits without the plus.
pub(super) fn number(digits: &str) -> Option<E164> {
    let digits = digits.trim();
    E164::parse(digits).or_else(|_| E164::parse(&format!("+{digits}"))).ok()
}

/// A sender: a telephone, or a short code or name. Numbers of six digits and less are short codes.
fn sender(text: &str) -> RemoteParty {
    match number(text) {
        Some(number) if text.len() > 6 => RemoteParty::Phone(number),
        _ => RemoteParty::parse(text),
    }
}

fn read(body: &[u8]) -> Result<Callback, ParseError> {
    serde_json::from_slice(body).map_err(|error| ParseError(format!("the body is not a callback: {error}")))
}

fn end<'a>(value: &'a Value, name: &str) -> Result<&'a str, ParseError> {
    match value {
        Value::String(text) => Ok(text),
        Value::Object(_) => {
            Err(unreadable("the webhooks of the application must have version v1 of the Messages API"))
        }
        _ => Err(ParseError(format!("{name} is missing"))),
    }
}

/// Reads what comes to the messages address.
pub(super) fn inbound(body: &[u8]) -> Result<Vec<CarrierEvent>, ParseError> {
    let callback = read(body)?;
    if callback.status.is_some() && callback.message_type.is_none() {
        return Err(unreadable("a status came to the address for messages; enter …/status for it"));
    }
    if !matches!(callback.channel.as_deref(), Some("sms" | "mms")) {
        // Other networks share the wire.
        return Ok(Vec::new());
    }
    let to = number(end(&callback.to, "to")?).ok_or_else(|| unreadable("to is not a telephone number"))?;
    let from = sender(end(&callback.from, "from")?);
    let (media, captions) = media(&callback)?;
    let text = callback.text.unwrap_or_default();
    let text = std::iter::once(text).chain(captions).filter(|text| !text.is_empty());
    let text = text.collect::<Vec<_>>().join("\n");
    if text.len() > TEXT_BYTES_MAX {
        return Err(unreadable("text is longer than any message"));
    }
    let segments = match &callback.sms.num_messages {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64().and_then(|n| u16::try_from(n).ok()),
    };
    Ok(vec![CarrierEvent::Sms(InboundSms {
        carrier_message_id: message_id(callback.message_uuid)?,
        from,
        to,
        others: Vec::new(),
        // PostgreSQL keeps no NUL, and no handset shows one.
        text: text.replace('\0', ""),
        media,
        segment_count: segments.unwrap_or(1).max(1),
        // Words of consent come like every other text; the vendor acts on none of them where it passes them on.
        consent: None,
        origin: Origin::default(),
    })])
}

fn media(callback: &Callback) -> Result<(Vec<InboundMedia>, Vec<String>), ParseError> {
    let single = [&callback.image, &callback.audio, &callback.video, &callback.file, &callback.vcard];
    let all = single.into_iter().flatten().chain(&callback.content).take(MEDIA_MAX);
    let (mut media, mut captions) = (Vec::new(), Vec::new());
    for resource in all {
        captions.extend(resource.caption.clone());
        let Some(url) = &resource.url else { continue };
        if !url.starts_with("https://") && !url.starts_with("http://") || url.len() > MEDIA_URL_BYTES_MAX {
            return Err(unreadable("the url of a picture or file is not an address"));
        }
        media.push(InboundMedia { url: url.clone(), content_type: None });
    }
    Ok((media, captions))
}

/// Reads what comes to the status address. Our reference is in the body, which the signature covers; it does not cover
/// the address.
pub(super) fn receipt(body: &[u8]) -> Result<Vec<CarrierEvent>, ParseError> {
    let callback = read(body)?;
    let carrier_message_id = message_id(callback.message_uuid)?;
    let status = callback.status.ok_or_else(|| unreadable("status is missing"))?;
    let state = match status.as_str() {
        "submitted" => ReceiptState::Sent,
        "delivered" | "read" => ReceiptState::Delivered,
        "undeliverable" => ReceiptState::Undelivered,
        "rejected" => ReceiptState::Failed,
        // Words that Vonage may add later say nothing to us.
        _ => return Ok(Vec::new()),
    };
    let failed = matches!(state, ReceiptState::Failed | ReceiptState::Undelivered);
    Ok(vec![CarrierEvent::DeliveryReceipt(DeliveryReceipt {
        whole: None,
        carrier_message_id,
        reference: callback.client_ref.and_then(|id| id.parse().ok()),
        state,
        error: callback.error.filter(|_| failed).map(|problem| errors::from_receipt(&problem)),
    })])
}

fn message_id(id: Option<String>) -> Result<String, ParseError> {
    let id = id.ok_or_else(|| unreadable("message_uuid is missing"))?;
    if is_id(&id) { Ok(id) } else { Err(unreadable("message_uuid is not an id")) }
}

/// Whether a text can be one of Vonage's ids.
pub(super) fn is_id(id: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    !id.is_empty() && id.len() <= ID_CHARS_MAX && id.bytes().all(plain)
}

fn unreadable(what: &str) -> ParseError {
    ParseError(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::OutboundSmsId;

    fn one_sms(body: &str) -> InboundSms {
        match inbound(body.as_bytes()).unwrap().remove(0) {
            CarrierEvent::Sms(sms) => sms,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_inbound_message_is_read() {
        let sms = one_sms(
            r#"{"channel":"sms","message_uuid":"aaaa-1","to":"12025550150","from":"12025550101","message_type":"text",
            "timestamp":"2026-01-15T12:00:00.000Z","text":"Hello ✓","sms":{"num_messages":"2","keyword":"HELLO"},
            "usage":{"currency":"EUR","price":"0.0333"},"news":[1]}"#,
        );
        assert_eq!(sms.from, RemoteParty::Phone(E164::parse("+12025550101").unwrap()));
        assert_eq!((sms.to.as_str(), sms.text.as_str(), sms.segment_count), ("+12025550150", "Hello ✓", 2));
        let sms =
            one_sms(r#"{"channel":"sms","message_uuid":"a","to":"12025550150","from":"ACME","text":"x"}"#);
        assert_eq!(sms.from, RemoteParty::Alphanumeric("ACME".to_owned()));
    }

    #[test]
    fn pictures_are_read_with_their_captions() {
        let sms = one_sms(
            r#"{"channel":"mms","message_uuid":"a","to":"12025550150","from":"12025550101","message_type":"image",
            "image":{"url":"https://media.example.org/1","name":"1.jpg","caption":"Look"}}"#,
        );
        assert_eq!((sms.text.as_str(), sms.media.len()), ("Look", 1));
        let sms = one_sms(
            r#"{"channel":"mms","message_uuid":"a","to":"12025550150","from":"12025550101","message_type":"content",
            "content":[{"type":"image","url":"https://media.example.org/1"},{"type":"file","url":"https://media.example.org/2","caption":"two"}]}"#,
        );
        assert_eq!((sms.text.as_str(), sms.media.len()), ("two", 2));
    }

    #[test]
    fn odd_messages_are_refused_or_passed_over() {
        for body in [
            "",
            "[1]",
            r#"{"channel":"sms","to":"12025550150","from":"12025550101"}"#,
            r#"{"channel":"sms","message_uuid":"a b","to":"12025550150","from":"12025550101"}"#,
            r#"{"channel":"sms","message_uuid":"a","to":"me","from":"12025550101"}"#,
            r#"{"channel":"sms","message_uuid":"a","to":{"type":"sms","number":"1"},"from":{"number":"2"}}"#,
            r#"{"channel":"sms","message_uuid":"a","to":"12025550150"}"#,
            r#"{"channel":"sms","message_uuid":"a","to":"12025550150","from":"12025550101","status":"delivered"}"#,
            r#"{"channel":"mms","message_uuid":"a","to":"12025550150","from":"12025550101","image":{"url":"file:///x"}}"#,
        ] {
            assert!(inbound(body.as_bytes()).is_err(), "{body}");
        }
        assert_eq!(inbound(br#"{"channel":"whatsapp","message_uuid":"a"}"#).unwrap(), []);
    }

    #[test]
    fn receipts_are_read() {
        let id = OutboundSmsId::new(crate::clock::Timestamp(1));
        let absent =
            r#","error":{"type":"https://developer.vonage.com/api-errors/messages#1180","title":1180}"#;
        let table = [
            ("submitted", "", Some(ReceiptState::Sent), None),
            ("delivered", "", Some(ReceiptState::Delivered), None),
            ("read", "", Some(ReceiptState::Delivered), None),
            ("undeliverable", absent, Some(ReceiptState::Undelivered), Some("handset_absent")),
            ("rejected", r#","error":{"title":"1240"}"#, Some(ReceiptState::Failed), Some("opted_out")),
            ("rejected", "", Some(ReceiptState::Failed), None),
            ("dreaming", "", None, None),
        ];
        for (word, more, state, code) in table {
            let body = format!(r#"{{"message_uuid":"a-1","status":"{word}","client_ref":"{id}"{more}}}"#);
            let events = receipt(body.as_bytes()).unwrap();
            let found = events.first().map(|event| match event {
                CarrierEvent::DeliveryReceipt(receipt) => {
                    assert_eq!((receipt.reference, receipt.carrier_message_id.as_str()), (Some(id), "a-1"));
                    (receipt.state, receipt.error.as_ref().map(|error| error.code.clone()))
                }
                other => panic!("{other:?}"),
            });
            assert_eq!(found.as_ref().map(|f| f.0), state, "{word}");
            assert_eq!(found.and_then(|f| f.1).as_deref(), code, "{word}");
        }
        assert!(receipt(br#"{"message_uuid":"a"}"#).is_err() && receipt(br#"{"status":"sent"}"#).is_err());
    }
}
