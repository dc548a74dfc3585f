//! Callback fields to our values: inbound messages and delivery receipts.

use super::errors;
use crate::carriers::callback::MEDIA_MAX;
use crate::carriers::form::Form;
use crate::carriers::{
    CarrierEvent, ConsentWord, DeliveryReceipt, InboundMedia, InboundSms, Origin, ParseError, ReceiptState,
};
use crate::phone::{E164, RemoteParty};

/// The name of our reference in the query of the status address, which the signature covers.
pub(super) const REFERENCE: &str = "ref";
/// Plivo's ids are UUIDs.
const ID_CHARS_MAX: usize = 64;
/// Texts have at most 1,600 characters; four bytes each and some more.
const TEXT_BYTES_MAX: usize = 8_192;
const MEDIA_URL_BYTES_MAX: usize = 2_048;

/// A number in Plivo's form: digits without the plus.
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

/// Reads the fields that come to the messages address.
pub(super) fn inbound(form: &Form) -> Result<Vec<CarrierEvent>, ParseError> {
    let carrier_message_id = message_id(form)?;
    if form.filled("Status").is_some() && form.get("Text").is_none() {
        return Err(unreadable("a delivery receipt came to the address for messages; enter …/status for it"));
    }
    if form.filled("Type").is_some_and(|kind| kind != "sms" && kind != "mms") {
        // Other networks share the wire.
        return Ok(Vec::new());
    }
    let to = form.filled("To").ok_or_else(|| unreadable("To is missing"))?;
    let to = number(&to).ok_or_else(|| unreadable("To is not a telephone number"))?;
    let from = form.get("From").ok_or_else(|| unreadable("From is missing"))?;
    let text = form.get("Text").unwrap_or_default();
    if text.len() > TEXT_BYTES_MAX {
        return Err(unreadable("Text is longer than any message"));
    }
    Ok(vec![CarrierEvent::Sms(InboundSms {
        carrier_message_id,
        from: sender(&from),
        to,
        others: Vec::new(),
        // PostgreSQL keeps no NUL, and no handset shows one.
        text: if text.contains('\0') { text.replace('\0', "") } else { text.into_owned() },
        media: media(form)?,
        segment_count: form.get("Units").and_then(|n| n.parse().ok()).unwrap_or(1).max(1),
        origin: Origin::default(),
        consent: match form.filled("MessageIntent").as_deref() {
            Some("optout") => Some(ConsentWord::Stop),
            Some("optin") => Some(ConsentWord::Start),
            Some("help") => Some(ConsentWord::Help),
            _ => None,
        },
    })])
}

fn media(form: &Form) -> Result<Vec<InboundMedia>, ParseError> {
    let mut media = Vec::new();
    for n in 0..MEDIA_MAX {
        let Some(url) = form.filled(&format!("Media{n}")) else { continue };
        if !url.starts_with("https://") && !url.starts_with("http://") || url.len() > MEDIA_URL_BYTES_MAX {
            return Err(unreadable("a Media field is not an address"));
        }
        media.push(InboundMedia { url: url.into_owned(), content_type: None });
    }
    Ok(media)
}

/// Reads the fields that come to the status address; our reference stands in the address itself.
pub(super) fn receipt(query: &Form, form: &Form) -> Result<Vec<CarrierEvent>, ParseError> {
    let carrier_message_id = message_id(form)?;
    let status = form.filled("Status").ok_or_else(|| unreadable("Status is missing"))?;
    // Words that Plivo may add later say nothing to us.
    let Some(state) = state(&status) else { return Ok(Vec::new()) };
    let failed = matches!(state, ReceiptState::Failed | ReceiptState::Undelivered);
    let code = form.filled("ErrorCode").filter(|code| failed && !code.trim_start_matches('0').is_empty());
    Ok(vec![CarrierEvent::DeliveryReceipt(DeliveryReceipt {
        whole: None,
        carrier_message_id,
        reference: query.get(REFERENCE).and_then(|id| id.parse().ok()),
        state,
        error: code.map(|code| errors::from_receipt(&code)),
    })])
}

/// Plivo's word for a state; `None` for inbound and unknown words.
fn state(word: &str) -> Option<ReceiptState> {
    match word {
        "queued" => Some(ReceiptState::Queued),
        "sent" => Some(ReceiptState::Sent),
        "delivered" | "read" => Some(ReceiptState::Delivered),
        "undelivered" => Some(ReceiptState::Undelivered),
        "failed" | "rejected" => Some(ReceiptState::Failed),
        _ => None,
    }
}

fn message_id(form: &Form) -> Result<String, ParseError> {
    let id = form.filled("MessageUUID").ok_or_else(|| unreadable("MessageUUID is missing"))?;
    if is_id(&id) { Ok(id.into_owned()) } else { Err(unreadable("MessageUUID is not an id")) }
}

/// Whether a text can be one of Plivo's ids.
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

    fn form(text: &str) -> Form {
        Form::parse(text.as_bytes()).unwrap()
    }

    fn one_sms(text: &str) -> InboundSms {
        match inbound(&form(text)).unwrap().remove(0) {
            CarrierEvent::Sms(sms) => sms,
            other => panic!("{other:?}"),
        }
    }

    const ID: &str = "MessageUUID=0ee2a84e-0000-4000-8000-0123456789ab";

    #[test]
    fn an_inbound_message_is_read() {
        let sms =
            one_sms(&format!("{ID}&From=12025550101&To=12025550150&Text=Hi+%E2%9C%93&Type=sms&Units=2"));
        assert_eq!(sms.from, RemoteParty::Phone(E164::parse("+12025550101").unwrap()));
        assert_eq!((sms.to.as_str(), sms.text.as_str(), sms.segment_count), ("+12025550150", "Hi ✓", 2));
        assert_eq!(sms.carrier_message_id, "0ee2a84e-0000-4000-8000-0123456789ab");
        let sms = one_sms(&format!("{ID}&From=72345&To=%2B12025550150&Text=code"));
        assert_eq!(sms.from, RemoteParty::ShortCode("72345".to_owned()));
    }

    #[test]
    fn pictures_and_words_of_consent_are_read() {
        let sms = one_sms(&format!(
            "{ID}&From=12025550101&To=12025550150&Text=&Type=mms&Media0=https%3A%2F%2Fmedia.example.org%2F1&Media1=https%3A%2F%2Fmedia.example.org%2F2"
        ));
        let urls: Vec<&str> = sms.media.iter().map(|media| media.url.as_str()).collect();
        assert_eq!(urls, ["https://media.example.org/1", "https://media.example.org/2"]);
        let sms = one_sms(&format!("{ID}&From=12025550101&To=12025550150&Text=STOP&MessageIntent=optout"));
        assert_eq!(sms.consent, Some(ConsentWord::Stop));
    }

    #[test]
    fn odd_messages_are_refused_or_passed_over() {
        for text in [
            "From=12025550101&To=12025550150&Text=x",
            &format!("{ID}&From=12025550101&Text=x"),
            &format!("{ID}&From=12025550101&To=abc&Text=x"),
            &format!("{ID}&To=12025550150&Text=x"),
            &format!("{ID}&From=12025550101&To=12025550150&Status=sent"),
            &format!("{ID}&From=12025550101&To=12025550150&Media0=ftp%3A%2F%2Fx"),
            &format!("{ID}&From=12025550101&To=12025550150&Text={}", "x".repeat(9_000)),
            "MessageUUID=a%20b&From=12025550101&To=12025550150&Text=x",
        ] {
            assert!(inbound(&form(text)).is_err(), "{text}");
        }
        assert_eq!(inbound(&form(&format!("{ID}&Type=whatsapp"))).unwrap(), []);
    }

    #[test]
    fn receipts_are_read() {
        let id = OutboundSmsId::new(crate::clock::Timestamp(1));
        let query = form(&format!("ref={id}"));
        let table = [
            ("queued", "", Some(ReceiptState::Queued), None),
            ("sent", "&ErrorCode=000", Some(ReceiptState::Sent), None),
            ("delivered", "&ErrorCode=000", Some(ReceiptState::Delivered), None),
            ("undelivered", "&ErrorCode=80", Some(ReceiptState::Undelivered), Some("handset_absent")),
            ("failed", "&ErrorCode=200", Some(ReceiptState::Failed), Some("opted_out")),
            ("rejected", "", Some(ReceiptState::Failed), None),
            ("read", "", Some(ReceiptState::Delivered), None),
            ("dreaming", "", None, None),
        ];
        for (word, more, state, code) in table {
            let events = receipt(&query, &form(&format!("{ID}&Status={word}{more}"))).unwrap();
            let found = events.first().map(|event| match event {
                CarrierEvent::DeliveryReceipt(receipt) => {
                    assert_eq!(receipt.reference, Some(id));
                    (receipt.state, receipt.error.as_ref().map(|error| error.code.clone()))
                }
                other => panic!("{other:?}"),
            });
            assert_eq!(found.as_ref().map(|f| f.0), state, "{word}");
            assert_eq!(found.and_then(|f| f.1).as_deref(), code, "{word}");
        }
        assert!(receipt(&query, &form(ID)).is_err());
    }
}
