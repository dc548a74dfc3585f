//! Callbacks as documented, and everything that is nearly right.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;

use super::*;
use crate::carriers::{CallbackError, DeliveryReceipt, InboundSms, ReceiptState};
use crate::clock::Timestamp;
use crate::ids::OutboundSmsId;
use crate::net::Policy;

const AT: Timestamp = Timestamp(1_760_000_000_000_000);
const OPTIONS: [(&str, &str); 6] = [
    ("account_id", "5555555"),
    ("client_id", "c-1"),
    ("client_secret", "geheim"),
    ("application_id", "93de2206-9669"),
    ("callback_user", "meari"),
    ("callback_password", "pässword:1"),
];

fn carrier(changes: &[(&str, Option<&str>)]) -> Result<Bandwidth, String> {
    let mut options: Vec<(&str, &str)> = OPTIONS.to_vec();
    for (name, value) in changes {
        options.retain(|(other, _)| other != name);
        options.extend(value.map(|value| (*name, value)));
    }
    let options = options.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
    let settings = CarrierSettings { id: "main".into(), kind: "bandwidth".into(), api_base: None, options };
    Bandwidth::new(&settings, Net::new(Policy::Operator).unwrap())
}

fn receive(
    authorization: Option<&str>,
    body: &serde_json::Value,
) -> Result<Vec<CarrierEvent>, CallbackError> {
    let headers: Vec<_> =
        authorization.into_iter().map(|value| ("Authorization".to_owned(), value.to_owned())).collect();
    let body = body.to_string();
    let url = "https://meari.example.org/carriers/main/messages";
    let request = CallbackRequest { method: "POST", url, headers: &headers, body: body.as_bytes(), now: AT };
    carrier(&[("callback_password_secondary", Some("new"))]).unwrap().receive(Door::Messages, &request)
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", BASE64.encode(format!("{user}:{password}")))
}

fn heard(body: serde_json::Value) -> Result<Vec<CarrierEvent>, CallbackError> {
    receive(Some(&basic("meari", "pässword:1")), &body)
}

fn inbound(changes: serde_json::Value) -> serde_json::Value {
    let mut message = json!({
        "id": "14762070468292kw2fuqty55yp2b2", "owner": "+12025550106", "applicationId": "93de2206-9669",
        "time": "2025-01-06T15:43:34.000000Z", "segmentCount": 1, "direction": "in",
        "to": ["+12025550106"], "from": "+12025550101", "text": "Hey",
    });
    message.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    json!({"time": "x", "type": "message-received", "to": "+12025550106", "description": "d", "message": message})
}

fn status(kind: &str, more: serde_json::Value) -> serde_json::Value {
    let mut event = json!({"type": kind, "to": "+12025550101",
        "message": {"id": "m1", "applicationId": "93de2206-9669", "text": "", "to": ["+12025550101"]}});
    event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    event
}

fn sms(event: CarrierEvent) -> InboundSms {
    match event {
        CarrierEvent::Sms(sms) => sms,
        other => panic!("{other:?}"),
    }
}

fn receipt(event: CarrierEvent) -> DeliveryReceipt {
    match event {
        CarrierEvent::DeliveryReceipt(receipt) => receipt,
        other => panic!("{other:?}"),
    }
}

#[test]
fn credentials_are_compared_and_nothing_else_is_good() {
    let body = json!([inbound(json!({}))]);
    for good in
        [basic("meari", "pässword:1"), basic("meari", "new"), basic("meari", "new").replace("Basic", "basic")]
    {
        assert_eq!(receive(Some(&good), &body).map(|events| events.len()), Ok(1), "{good}");
    }
    let bad = [
        None,
        Some(basic("meari", "wrong")),
        Some(basic("Meari", "new")),
        Some(basic("meari:new", "")),
        Some("Basic".to_owned()),
        Some("Basic %%%".to_owned()),
        Some("Bearer abc".to_owned()),
    ];
    for bad in bad {
        let found = receive(bad.as_deref(), &body);
        assert!(matches!(found, Err(CallbackError::BadSignature(_))), "{bad:?}");
    }
    let elsewhere = heard(json!([inbound(json!({})), inbound(json!({"applicationId": "another"}))]));
    assert!(matches!(elsewhere, Err(CallbackError::BadSignature(_))), "another account's");
    assert!(matches!(heard(json!({})), Err(CallbackError::BadSignature(_))));
}

#[test]
fn each_phone_of_a_group_is_told_of_by_itself() {
    let mut one = status("message-delivered", json!({}));
    one["message"]["to"] = json!(["+12025550101", "+12025550177"]);
    let mut other = status("message-failed", json!({"errorCode": 4702, "to": "+12025550177"}));
    other["message"]["to"] = one["message"]["to"].clone();
    let events = heard(json!([one, other])).unwrap();
    let [one, other] = <[CarrierEvent; 2]>::try_from(events).unwrap().map(receipt);
    assert_eq!((one.carrier_message_id.as_str(), one.state), ("m1-12025550101", ReceiptState::Delivered));
    assert_eq!(one.whole.as_deref(), Some("m1-12025550101 m1-12025550177"));
    assert_eq!((other.carrier_message_id.as_str(), &other.whole), ("m1-12025550177", &one.whole));
    assert!(other.error.is_some_and(|error| !error.opted_out && !error.handset_absent));
}

#[test]
fn a_list_is_read_in_its_order() {
    let id = OutboundSmsId::new(AT);
    let mut delivered = status("message-delivered", json!({}));
    delivered["message"]["tag"] = json!(id.to_string());
    let events = heard(json!([
        inbound(json!({"media": ["https://m.example.org/a.png", "https://m.example.org/0.smil"],
            "to": ["+12025550106", "+12025550112", "+12025550101"]})),
        delivered,
        status("message-failed", json!({"errorCode": 4702, "description": "x"})),
        status("message-failed", json!({"errorCode": 9902})),
        status("message-dreamt", json!({})),
    ]))
    .unwrap();
    let [first, second, third, fourth] = <[CarrierEvent; 4]>::try_from(events).unwrap();
    let first = sms(first);
    assert_eq!((first.to.as_str(), first.text.as_str(), first.media.len()), ("+12025550106", "Hey", 1));
    assert_eq!(first.others.iter().map(E164::as_str).collect::<Vec<_>>(), ["+12025550112"]);
    let second = receipt(second);
    assert_eq!((second.reference, second.state, second.error), (Some(id), ReceiptState::Delivered, None));
    let third = receipt(third);
    assert_eq!(third.state, ReceiptState::Undelivered);
    assert!(third.error.is_some_and(|error| error.handset_absent && error.carrier_code == "4702"));
    let fourth = receipt(fourth);
    assert_eq!((fourth.state, fourth.error), (ReceiptState::Sent, None), "no receipt in time says nothing");
}

#[test]
fn odd_events_are_refused_whole() {
    for changes in [
        json!({"id": ""}),
        json!({"id": "a b"}),
        json!({"owner": "12"}),
        json!({"from": null}),
        json!({"text": "x".repeat(9_000)}),
        json!({"media": ["file:///etc/passwd"]}),
    ] {
        let found = heard(json!([inbound(json!({})), inbound(changes.clone())]));
        assert!(matches!(found, Err(CallbackError::Unreadable(_))), "{changes}: {found:?}");
    }
    let many = vec![status("message-sent", json!({})); 101];
    assert!(matches!(heard(json!(many)), Err(CallbackError::Unreadable(_))));
}

#[test]
fn mistakes_in_the_settings_are_named() {
    let table: [(&str, Option<&str>, &str); 5] = [
        ("account_id", Some("u-abc"), "account_id must be the number"),
        ("client_secret", None, "client_secret is missing"),
        ("callback_password", None, "callback_password is missing"),
        ("site_id", Some("x"), "site_id must be the number"),
        ("user", Some("x"), "not a setting"),
    ];
    for (key, value, words) in table {
        let error = carrier(&[(key, value)]).err().unwrap();
        assert!(error.contains(words) && !error.contains("geheim"), "{error}");
    }
}
