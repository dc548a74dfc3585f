//! Telnyx as a server: version 2 of its API, and callbacks signed with Ed25519.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signer as _, SigningKey};
use meari::clock::Timestamp;
use meari::config::CarrierSettings;
use serde_json::{Value, json};

use super::wire::{Forged, Reply, Seen, Sent, State, Vendor};

pub struct Telnyx;

const KEY: &str = "KEY0123";
/// What a message may have (schema of `POST /v2/messages`); anything else is a mistake of ours.
const MESSAGE_FIELDS: [&str; 13] = [
    "to",
    "from",
    "messaging_profile_id",
    "text",
    "media_urls",
    "subject",
    "type",
    "encoding",
    "auto_detect",
    "send_at",
    "use_profile_webhooks",
    "webhook_url",
    "webhook_failover_url",
];

fn key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

fn headers(key: &SigningKey, at: i64, body: &str) -> Vec<(String, String)> {
    let signature = BASE64.encode(key.sign(format!("{at}|{body}").as_bytes()).to_bytes());
    vec![("telnyx-timestamp".to_owned(), at.to_string()), ("telnyx-signature-ed25519".to_owned(), signature)]
}

fn problem(status: u16, code: &str, title: &str) -> Reply {
    Reply::json(status, json!({"errors": [{"code": code, "title": title, "detail": title}]}))
}

fn envelope(kind: &str, payload: Value) -> String {
    json!({
        "data": {"event_type": kind, "id": "0ccc7b54-4df3-4bca-a65a-3da1ecc777f0", "record_type": "event",
            "occurred_at": "2026-01-15T12:00:00.000Z", "payload": payload},
        "meta": {"attempt": 1, "delivered_to": "x"},
    })
    .to_string()
}

impl Telnyx {
    fn send(state: &mut State, seen: &Seen) -> Reply {
        let message = seen.json();
        let unknown = message.as_object().unwrap().keys().find(|k| !MESSAGE_FIELDS.contains(&k.as_str()));
        if let Some(field) = unknown {
            return problem(422, "10015", field);
        }
        let text = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
        if !text("to").starts_with('+') {
            return problem(422, "40310", "Invalid 'to' address");
        }
        // The type may be left out: the vendor takes it from the rest.
        if !matches!(text("type").as_str(), "" | "SMS" | "MMS") {
            return problem(422, "10015", "Invalid 'type'");
        }
        let media = message["media_urls"].as_array().cloned().unwrap_or_default();
        let sent = Sent {
            id: format!("40385f64-5717-4562-b3fc-{:012}", state.sent.len()),
            from: text("from"),
            to: text("to"),
            text: text("text"),
            media: media.iter().map(|url| url.as_str().unwrap().to_owned()).collect(),
            echo: text("webhook_url"),
            state: "queued".to_owned(),
            at: state.now,
        };
        let answer = json!({"data": {"id": sent.id, "record_type": "message", "direction": "outbound", "parts": 1,
            "to": [{"phone_number": sent.to, "status": "queued"}], "errors": [], "webhook_url": sent.echo}});
        state.take(sent);
        Reply::json(200, answer)
    }

    /// One MMS to a group (schema of `POST /v2/messages/group_mms`).
    fn send_group(state: &mut State, seen: &Seen) -> Reply {
        let message = seen.json();
        let known = ["to", "from", "text", "media_urls", "subject", "use_profile_webhooks", "webhook_url"];
        let unknown = message.as_object().unwrap().keys().find(|k| !known.contains(&k.as_str()));
        let to: Vec<&str> = message["to"].as_array().unwrap().iter().map(|to| to.as_str().unwrap()).collect();
        if unknown.is_some() || !(2..=8).contains(&to.len()) || to.iter().any(|to| !to.starts_with("+1")) {
            return problem(422, "10015", "Bad group");
        }
        let text = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
        let sent = Sent {
            id: format!("50385f64-5717-4562-b3fc-{:012}", state.sent.len()),
            from: text("from"),
            to: to.join(","),
            text: text("text"),
            media: Vec::new(),
            echo: text("webhook_url"),
            state: "queued".to_owned(),
            at: state.now,
        };
        let phones: Vec<Value> =
            to.iter().map(|to| json!({"phone_number": to, "status": "queued"})).collect();
        let answer = json!({"data": {"id": "a-record-of-one", "group_message_id": sent.id, "record_type": "message",
            "direction": "outbound", "type": "MMS", "to": phones, "errors": [], "webhook_url": sent.echo}});
        state.take(sent);
        Reply::json(200, answer)
    }

    /// What became of a group's message at one phone.
    pub fn group_receipt(sent: &Sent, phone: &str, word: &str) -> String {
        let status = |to: &str| if to == phone { word } else { "queued" };
        let phones: Vec<Value> =
            sent.to.split(',').map(|to| json!({"phone_number": to, "status": status(to)})).collect();
        let payload = json!({"record_type": "message", "direction": "outbound", "id": "a-record-of-one",
            "group_message_id": sent.id, "type": "MMS", "from": {"phone_number": sent.from}, "to": phones,
            "text": sent.text, "errors": [], "webhook_url": sent.echo});
        envelope("message.finalized", payload)
    }

    fn records(state: &State, seen: &Seen) -> Reply {
        assert_eq!(seen.asked("filter[record_type]"), "messaging");
        let record = |s: &Sent| {
            json!({"record_type": "message_detail_record", "uuid": s.id, "status": s.state, "direction": "outbound",
                "cli": s.from, "cld": s.to, "delivery_status_webhook_url": s.echo})
        };
        let found = state.between(seen.asked("filter[cli]"), seen.asked("filter[cld]"));
        let records: Vec<Value> = found.into_iter().map(record).collect();
        Reply::json(200, json!({"data": records, "meta": {"page_number": 1, "total_pages": 1}}))
    }

    fn order(state: &mut State, seen: &Seen) -> Reply {
        let order = |(reference, number): &(String, String)| {
            json!({"id": "f1486bae-f067-460c-ad43-73a92848f902", "customer_reference": reference, "status": "success",
                "phone_numbers": [{"id": "n", "phone_number": number, "status": "success"}]})
        };
        if seen.method == "GET" {
            let asked = seen.asked("filter[customer_reference]");
            let known: Vec<Value> = state.orders.iter().filter(|(r, _)| r == asked).map(order).collect();
            return Reply::json(200, json!({"data": known}));
        }
        let body = seen.json();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let made = (text(&body["customer_reference"]), text(&body["phone_numbers"][0]["phone_number"]));
        state.numbers.push(made.1.clone());
        let answer = order(&made);
        state.orders.push(made);
        Reply::json(200, json!({"data": answer}))
    }

    fn owned(state: &State, seen: &Seen) -> Reply {
        let asked = seen.asked("filter[phone_number]");
        let numbers = state.numbers.iter().enumerate().filter(|(_, n)| asked.is_empty() || *n == asked);
        let shown = |(n, number): (usize, &String)| {
            json!({"id": n.to_string(), "phone_number": number, "status": "active", "messaging_profile_id": "p",
                "connection_id": ""})
        };
        let data: Vec<Value> = numbers.map(shown).collect();
        Reply::json(200, json!({"data": data, "meta": {"page_number": 1, "total_pages": 1}}))
    }
}

impl Vendor for Telnyx {
    const ID: &'static str = "telnyx";

    fn settings(api_base: &str) -> CarrierSettings {
        let public = |n| BASE64.encode(key(n).verifying_key().to_bytes());
        let options = [
            ("api_key", KEY.to_owned()),
            ("public_key", public(1)),
            ("public_key_secondary", public(2)),
            ("messaging_profile_id", "740572b6-099c-44a1-89b9-6c92163bc68d".to_owned()),
            ("segments_per_minute", "0".to_owned()),
            ("number_segments_per_minute", "0".to_owned()),
        ];
        let options = options.into_iter().map(|(k, v)| (k.to_owned(), v.into())).collect();
        CarrierSettings {
            id: Self::ID.into(),
            kind: "telnyx".into(),
            api_base: Some(api_base.into()),
            options,
        }
    }

    fn answer(state: &mut State, seen: &Seen) -> Reply {
        if seen.header("authorization") != format!("Bearer {KEY}") {
            return problem(401, "10009", "Authentication failed");
        }
        match (seen.method.as_str(), seen.path.as_str()) {
            ("POST", "/v2/messages") => Telnyx::send(state, seen),
            ("POST", "/v2/messages/group_mms") => Telnyx::send_group(state, seen),
            ("GET", "/v2/detail_records") => Telnyx::records(state, seen),
            ("GET", "/v2/balance") => {
                Reply::json(200, json!({"data": {"balance": "300.00", "currency": "USD"}}))
            }
            ("GET", path) if path.starts_with("/v2/messaging_profiles/") => {
                let url = format!("{}/messages", state.callback_base);
                let profile = json!({"webhook_url": url, "webhook_api_version": "2", "enabled": true});
                Reply::json(200, json!({"data": profile}))
            }
            ("GET", "/v2/available_phone_numbers") => {
                let area =
                    Some(seen.asked("filter[national_destination_code]")).filter(|area| !area.is_empty());
                let area = area.unwrap_or("202");
                let features = json!([{"name": "sms"}, {"name": "mms"}, {"name": "voice"}]);
                let cost = json!({"monthly_cost": "1.00", "upfront_cost": "0.50", "currency": "USD"});
                let mut offers = vec![
                    json!({"phone_number": format!("+1{area}5550142"), "features": features, "cost_information": cost,
                        "region_information": [{"region_type": "location", "region_name": "WASHINGTON"}]}),
                    json!({"phone_number": format!("+1{area}5550143"), "features": [{"name": "voice"}]}),
                ];
                offers.extend((150..150 + state.more_offers).map(|n| {
                    json!({"phone_number": format!("+1{area}5550{n:03}"), "features": features, "cost_information": cost})
                }));
                Reply::json(200, json!({"data": offers}))
            }
            ("GET" | "POST", "/v2/number_orders") => Telnyx::order(state, seen),
            ("GET", "/v2/phone_numbers") => Telnyx::owned(state, seen),
            ("DELETE", path) => {
                let n: usize = path.trim_start_matches("/v2/phone_numbers/").parse().unwrap();
                state.numbers.remove(n);
                Reply::json(200, json!({"data": {}}))
            }
            _ => problem(404, "10005", "Resource not found"),
        }
    }

    fn sends(seen: &Seen) -> bool {
        seen.method == "POST"
            && matches!(seen.path.as_str(), "/v2/messages" | "/v2/messages/group_mms" | "/v2/number_orders")
    }

    fn inbound(id: &str, from: &str, to: &str, text: &str) -> String {
        let payload = json!({"record_type": "message", "direction": "inbound", "id": id, "type": "SMS",
            "from": {"phone_number": from, "carrier": "X", "line_type": "Wireless"},
            "to": [{"phone_number": to, "status": "webhook_delivered"}], "cc": [], "text": text, "media": [],
            "parts": 1, "errors": [], "subject": null});
        envelope("message.received", payload)
    }

    fn receipt(sent: &Sent, state: &str) -> String {
        let kind = if state == "sent" { "message.sent" } else { "message.finalized" };
        let payload = json!({"record_type": "message", "direction": "outbound", "id": sent.id, "type": "SMS",
            "from": {"phone_number": sent.from}, "to": [{"phone_number": sent.to, "status": state}],
            "text": sent.text, "errors": [], "webhook_url": sent.echo});
        envelope(kind, payload)
    }

    fn words() -> [&'static str; 3] {
        ["sent", "delivered", "delivery_failed"]
    }

    fn signed(body: &str, now: Timestamp) -> Vec<(String, String)> {
        headers(&key(1), now.unix_secs(), body)
    }

    fn forged(body: &str, now: Timestamp) -> Vec<Forged> {
        let at = now.unix_secs();
        let good = headers(&key(1), at, body);
        let altered = body.replacen("record_type", "record_tYpe", 1);
        vec![
            ("another account's key", headers(&key(9), at, body), body.to_owned()),
            ("an altered body", good.clone(), altered),
            ("a stale time", headers(&key(1), at - 301, body), body.to_owned()),
            (
                "a replay with a new time",
                vec![("telnyx-timestamp".into(), (at + 1).to_string()), good[1].clone()],
                body.to_owned(),
            ),
            ("no signature", good[..1].to_vec(), body.to_owned()),
            ("no time", good[1..].to_vec(), body.to_owned()),
            ("nothing", Vec::new(), body.to_owned()),
        ]
    }

    fn busy() -> (String, Option<(&'static str, &'static str)>) {
        let body = json!({"errors": [{"code": "10011", "title": "Too many requests"}]});
        (body.to_string(), Some(("x-ratelimit-reset", "30")))
    }
}
