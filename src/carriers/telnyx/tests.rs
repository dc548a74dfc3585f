//! Callbacks as documented, and everything that is nearly right.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signer as _, SigningKey};

use super::*;
use crate::carriers::{CallbackError, ConsentWord, DeliveryReceipt, InboundSms, ReceiptState};
use crate::clock::Timestamp;
use crate::ids::OutboundSmsId;
use crate::net::Policy;
use crate::phone::RemoteParty;

const AT: Timestamp = Timestamp(1_760_000_000_000_000);
const URL: &str = "https://meari.example.org/carriers/main/messages";

fn seed() -> [u8; 32] {
    std::array::from_fn(|n| n as u8)
}

fn carrier(options: &[(&str, &str)]) -> Result<Telnyx, String> {
    let options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect();
    let settings = CarrierSettings { id: "main".into(), kind: "telnyx".into(), api_base: None, options };
    Telnyx::new(&settings, Net::new(Policy::Operator).unwrap())
}

const PUBLIC: &str = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";

fn good() -> Telnyx {
    carrier(&[("api_key", "KEY1"), ("public_key", PUBLIC)]).unwrap()
}

fn verify(headers: &[(&str, &str)], body: &str, now: Timestamp) -> Result<(), BadSignature> {
    let headers: Vec<_> = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    good().verify(&CallbackRequest {
        method: "POST",
        url: URL,
        headers: &headers,
        body: body.as_bytes(),
        now,
    })
}

#[test]
fn the_vendors_vector_is_good_and_what_is_near_it_is_not() {
    const BODY: &str = r#"{"data":{"event_type":"message.received","id":"bf6307bd"}}"#;
    const SIGNATURE: &str =
        "B96d+Ak/hdDA1xotImVioyNJ1A8iJtbgsW9tUHcviJ26xFJf7ERKkn2GzMyYtHRhBerNW004HFNAt5zVH1hlCg==";
    let good = [("Telnyx-Timestamp", "1760000000"), ("Telnyx-Signature-Ed25519", SIGNATURE)];
    let secs = |n: i64| Timestamp(AT.0 + n * 1_000_000);
    assert_eq!(verify(&good, BODY, AT), Ok(()));
    assert_eq!(verify(&good, BODY, secs(300)), Ok(()));
    assert_eq!(verify(&good, BODY, secs(-300)), Ok(()));
    assert!(verify(&good, BODY, secs(301)).is_err() && verify(&good, BODY, secs(-301)).is_err());
    assert!(verify(&good, &BODY.replace("received", "receive?"), AT).is_err());
    let table: [[(&str, &str); 2]; 6] = [
        [("telnyx-timestamp", "1760000001"), good[1]],
        [("telnyx-timestamp", "+1760000000"), good[1]],
        [("telnyx-timestamp", "soon"), good[1]],
        [good[0], ("telnyx-signature-ed25519", "AAAA")],
        [good[0], ("telnyx-signature-ed25519", "not base64!")],
        [good[0], ("x", SIGNATURE)],
    ];
    for headers in table {
        assert!(verify(&headers, BODY, AT).is_err(), "{headers:?}");
    }
    assert!(verify(&good[1..], BODY, AT).is_err());
}

/// Signs a body and hands it to the carrier.
fn receive(door: Door, body: &serde_json::Value) -> Result<Vec<CarrierEvent>, CallbackError> {
    let body = body.to_string();
    let key = SigningKey::from_bytes(&seed());
    let signature = BASE64.encode(key.sign(format!("1760000000|{body}").as_bytes()).to_bytes());
    let headers = vec![
        ("telnyx-timestamp".to_owned(), "1760000000".to_owned()),
        ("telnyx-signature-ed25519".to_owned(), signature),
    ];
    let body = body.as_bytes();
    good().receive(door, &CallbackRequest { method: "POST", url: URL, headers: &headers, body, now: AT })
}

fn event(kind: &str, payload: serde_json::Value) -> serde_json::Value {
    serde_json::json!({
        "data": {"event_type": kind, "id": "bf6307bd", "record_type": "event", "payload": payload, "new": 1},
        "meta": {"attempt": 1},
    })
}

fn inbound(changes: serde_json::Value) -> Result<Vec<CarrierEvent>, CallbackError> {
    let mut payload = serde_json::json!({
        "record_type": "message", "direction": "inbound", "id": "7ee4241c-f127", "type": "SMS",
        "from": {"phone_number": "+12025550101", "carrier": "X"},
        "to": [{"phone_number": "+12025550106", "status": "webhook_delivered"}], "cc": [],
        "text": "Hi ✓", "subject": null, "media": [], "parts": 2, "errors": [], "autoresponse_type": null,
    });
    payload.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    receive(Door::Messages, &event("message.received", payload))
}

fn sms(events: Result<Vec<CarrierEvent>, CallbackError>) -> InboundSms {
    match <[CarrierEvent; 1]>::try_from(events.unwrap()) {
        Ok([CarrierEvent::Sms(sms)]) => sms,
        other => panic!("{other:?}"),
    }
}

#[test]
fn inbound_messages_are_read() {
    let read = sms(inbound(serde_json::json!({})));
    assert_eq!(
        (read.carrier_message_id.as_str(), read.text.as_str(), read.segment_count),
        ("7ee4241c-f127", "Hi ✓", 2)
    );
    assert_eq!(read.from, RemoteParty::Phone(E164::parse("+12025550101").unwrap()));
    assert_eq!((read.to.as_str(), read.others.len(), read.consent), ("+12025550106", 0, None));
    let stop = sms(inbound(serde_json::json!({"autoresponse_type": "STOP", "parts": null, "text": null})));
    assert_eq!((stop.consent, stop.segment_count, stop.text.as_str()), (Some(ConsentWord::Stop), 1, ""));
    let group = sms(inbound(serde_json::json!({
        "type": "MMS",
        "to": [{"phone_number": "+12025550111", "status": "delivered"},
               {"phone_number": "+12025550106", "status": "webhook_delivered"}],
        "cc": [{"phone_number": "+12025550112"}, {"phone_number": "+12025550101"}],
        "media": [{"url": "https://x.example.org/a", "content_type": "image/jpeg", "size": null}, {"url": null}],
    })));
    assert_eq!(group.to.as_str(), "+12025550106");
    let others: Vec<_> = group.others.iter().map(E164::as_str).collect();
    assert_eq!((others, group.media.len()), (vec!["+12025550111", "+12025550112"], 1));
    assert_eq!(sms(inbound(serde_json::json!({"to": "+12025550106"}))).to.as_str(), "+12025550106");
}

#[test]
fn odd_messages_are_passed_over_or_refused() {
    assert_eq!(inbound(serde_json::json!({"type": "WHATSAPP"})), Ok(Vec::new()));
    assert_eq!(receive(Door::Messages, &event("message.dreamt", serde_json::json!({}))), Ok(Vec::new()));
    assert_eq!(receive(Door::Voice, &event("call.initiated", serde_json::json!({}))), Ok(Vec::new()));
    for changes in [
        serde_json::json!({"to": []}),
        serde_json::json!({"to": [{"phone_number": "12"}]}),
        serde_json::json!({"from": null}),
        serde_json::json!({"id": ""}),
        serde_json::json!({"id": "a'; drop"}),
        serde_json::json!({"text": "x".repeat(9_000)}),
        serde_json::json!({"media": [{"url": "file:///etc/passwd"}]}),
    ] {
        let found = inbound(changes.clone());
        assert!(matches!(found, Err(CallbackError::Unreadable(_))), "{changes}: {found:?}");
    }
    assert!(receive(Door::Messages, &serde_json::json!([])).is_err());
}

fn receipt(kind: &str, status: &str, more: serde_json::Value) -> Option<DeliveryReceipt> {
    let mut payload =
        serde_json::json!({"id": "m-1", "to": [{"phone_number": "+12025550101", "status": status}]});
    payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    match receive(Door::Status, &event(kind, payload)).unwrap().pop()? {
        CarrierEvent::DeliveryReceipt(receipt) => Some(receipt),
        other => panic!("{other:?}"),
    }
}

#[test]
fn receipts_are_read_and_their_reference_is_the_signed_one() {
    let id = OutboundSmsId::new(AT);
    let more = serde_json::json!({"webhook_url": format!("https://meari.example.org/s?a=1&ref={id}")});
    let read = receipt("message.finalized", "delivered", more).unwrap();
    assert_eq!((read.reference, read.state, read.error), (Some(id), ReceiptState::Delivered, None));
    let stop = serde_json::json!({"errors": [{"code": "40300", "title": "Blocked due to STOP message"}]});
    let error = receipt("message.finalized", "delivery_failed", stop).unwrap().error.unwrap();
    assert!(error.opted_out && error.permanent && error.code == "opted_out");
    let other = serde_json::json!({"errors": [{"code": 40300, "title": "Blocked"}]});
    let error = receipt("message.finalized", "sending_failed", other).unwrap().error.unwrap();
    assert_eq!((error.opted_out, error.code.as_str()), (false, "blocked"));
    let table = [
        ("message.sent", "sent", Some(ReceiptState::Sent)),
        ("message.finalized", "delivery_unconfirmed", Some(ReceiptState::Sent)),
        ("message.finalized", "sending_failed", Some(ReceiptState::Failed)),
        ("message.finalized", "expired", Some(ReceiptState::Failed)),
        ("message.finalized", "delivery_failed", Some(ReceiptState::Undelivered)),
        ("message.finalized", "teleported", None),
    ];
    for (kind, status, wanted) in table {
        let found = receipt(kind, status, serde_json::json!({}));
        assert_eq!(found.map(|r| (r.state, r.reference)), wanted.map(|state| (state, None)), "{status}");
    }
}

#[test]
fn each_phone_of_a_group_is_a_part_of_its_message() {
    let payload = serde_json::json!({"id": "r-1", "group_message_id": "g-1", "to": [
        {"phone_number": "+12025550101", "status": "delivered"},
        {"phone_number": "+12025550177", "status": "delivery_failed"},
        {"phone_number": "+12025550178", "status": "unknown"}],
        "errors": [{"code": "40300", "title": "Blocked due to STOP message"}]});
    let events = receive(Door::Status, &event("message.finalized", payload)).unwrap();
    let read: Vec<_> = events
        .into_iter()
        .map(|event| match event {
            CarrierEvent::DeliveryReceipt(receipt) => receipt,
            other => panic!("{other:?}"),
        })
        .collect();
    let [one, other] = <[DeliveryReceipt; 2]>::try_from(read).unwrap();
    assert_eq!((one.carrier_message_id.as_str(), one.state), ("g-1-12025550101", ReceiptState::Delivered));
    assert_eq!(one.whole.as_deref(), Some("g-1-12025550101 g-1-12025550177 g-1-12025550178"));
    assert_eq!((one.error, other.state), (None, ReceiptState::Undelivered));
    assert!(!other.error.unwrap().opted_out, "it says nothing about the one that the message is kept for");
    let alone = serde_json::json!({"group_message_id": "g-1"});
    let alone = receipt("message.finalized", "delivered", alone).unwrap();
    assert_eq!((alone.carrier_message_id.as_str(), alone.whole), ("g-1-12025550101", None));
}

#[test]
fn mistakes_in_the_settings_are_named() {
    let table: [(&[(&str, &str)], &str); 4] = [
        (&[("public_key", PUBLIC)], "api_key is missing"),
        (&[("api_key", "KEY1")], "public_key is missing"),
        (&[("api_key", "KEY1"), ("public_key", "geheim")], "44 characters"),
        (&[("api_key", "KEY1"), ("public_key", PUBLIC), ("profile", "x")], "not a setting"),
    ];
    for (options, words) in table {
        let error = carrier(options).err().unwrap();
        assert!(error.contains(words) && !error.contains("geheim"), "{error}");
    }
}
