//! Vonage's calls: call control objects, the Voice API, signed webhooks, and sockets with linear sound.

use meari::clock::Timestamp;
use meari::config::CarrierSettings;
use meari::media::g711;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::{Callback, Deed, End, Exchange, Facts, Heard, ID, Stage, Wire, Word};
use crate::support::wire::{Pairs, Reply, Seen};
use crate::support::wires::{self, API_KEY, APPLICATION, PUBLIC, SECRET};

pub struct Vonage;

/// What an action may have (the vendor's SDK); anything else is a mistake of ours.
const FIELDS: [(&str, &[&str]); 4] = [
    ("talk", &["action", "text", "bargeIn", "loop", "level", "language", "style", "premium"]),
    (
        "connect",
        &[
            "action",
            "endpoint",
            "from",
            "randomFromNumber",
            "eventType",
            "timeout",
            "limit",
            "eventUrl",
            "eventMethod",
        ],
    ),
    ("input", &["action", "type", "dtmf", "speech", "eventUrl", "eventMethod"]),
    ("notify", &["action", "payload", "eventUrl", "eventMethod"]),
];

fn plain(number: &str) -> String {
    number.trim_start_matches('+').to_owned()
}

fn conversation(call: &Facts) -> String {
    format!("CON-{}", call.id)
}

fn posted(url: String, body: Value, asks: bool) -> Callback {
    let body = body.to_string();
    let headers = vec![("authorization".to_owned(), wires::bearer(SECRET, &wires::claims(&body)))];
    Callback { url, content_type: "application/json", body, headers, asks }
}

fn event(call: &Facts, status: &str, detail: &str) -> Value {
    let mut body = json!({"status": status, "uuid": call.id, "conversation_uuid": conversation(call),
        "from": plain(&call.from), "to": plain(&call.to), "timestamp": "2026-01-15T12:00:00.000Z",
        "direction": if call.is_incoming { "inbound" } else { "outbound" }});
    if !detail.is_empty() {
        body["detail"] = detail.into();
    }
    body
}

impl Vonage {
    fn dial(exchange: &Exchange, body: &Value) -> Reply {
        let known = [
            "to",
            "from",
            "answer_url",
            "answer_method",
            "event_url",
            "event_method",
            "ringing_timer",
            "length_timer",
        ];
        assert!(body.as_object().unwrap().keys().all(|key| known.contains(&key.as_str())), "{body}");
        assert_eq!((&body["answer_method"], &body["event_method"]), (&json!("POST"), &json!("POST")));
        assert!(
            body["ringing_timer"].as_u64().unwrap() <= 120 && body["length_timer"].as_u64().unwrap() <= 7_200
        );
        let number = |end: &Value| {
            assert_eq!(end["type"], "phone");
            format!("+{}", end["number"].as_str().unwrap())
        };
        let url = |name: &str| body[name][0].as_str().unwrap().to_owned();
        let kept = [("answer", url("answer_url")), ("event", url("event_url"))];
        let id = exchange.places(&number(&body["from"]), &number(&body["to"][0]), &kept, Vec::new());
        let conversation_uuid = format!("CON-{id}");
        Reply::json(
            201,
            json!({"uuid": id, "status": "started", "direction": "outbound", "conversation_uuid": conversation_uuid}),
        )
    }

    fn application(exchange: &Exchange) -> Value {
        let hook =
            |door: &str| json!({"address": format!("{}/{door}", exchange.door()), "http_method": "POST"});
        json!({"id": APPLICATION, "name": "Bridge", "keys": {"public_key": PUBLIC}, "capabilities": {
            "voice": {"webhooks": {"answer_url": hook("voice"), "event_url": hook("call-status")}, "signed_callbacks": true},
            "messages": {"webhooks": {"inbound_url": hook("messages"), "status_url": hook("status")}}}})
    }
}

impl Wire for Vonage {
    fn settings(base: &str) -> CarrierSettings {
        let options = [
            ("api_key", API_KEY),
            ("api_secret", "an api secret for tests"),
            ("application_id", APPLICATION),
            ("private_key", wires::PRIVATE),
            ("signature_secret", SECRET),
            ("numbers_api_base", base),
        ];
        let options = options.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned().into())).collect();
        CarrierSettings { id: ID.into(), kind: "vonage".into(), api_base: Some(base.into()), options }
    }

    fn serve(exchange: &Exchange, seen: &Seen) -> Reply {
        if seen.path == format!("/v2/applications/{APPLICATION}") {
            return Reply::json(200, Vonage::application(exchange));
        }
        if !wires::is_our_token(seen.header("authorization")) {
            return Reply::json(401, json!({"title": "Unauthorized"}));
        }
        match (seen.method.as_str(), seen.path.trim_start_matches("/v1/calls")) {
            ("POST", "") => Vonage::dial(exchange, &seen.json()),
            ("PUT", id) => {
                assert_eq!(seen.json(), json!({"action": "hangup"}));
                if exchange.hung_up(id.trim_start_matches('/')) {
                    Reply { status: 204, content_type: "application/json", body: String::new() }
                } else {
                    Reply::json(404, json!({"type": "NOT_FOUND", "title": "Not found"}))
                }
            }
            _ => Reply::json(404, json!({"title": "Not found"})),
        }
    }

    fn says(call: &Facts, word: &Word, door: &str, _now: Timestamp) -> Vec<Callback> {
        let kept = call.kept("event");
        let events = if kept.is_empty() { format!("{door}/call-status") } else { kept };
        let asked = json!({"uuid": call.id, "conversation_uuid": conversation(call), "from": plain(&call.from),
            "to": plain(&call.to), "region_url": "https://api-us-3.vonage.com"});
        match word {
            Word::Incoming => vec![
                posted(events, event(call, "started", ""), false),
                posted(format!("{door}/voice"), asked, true),
            ],
            Word::Ringing => vec![
                posted(events.clone(), event(call, "started", ""), false),
                posted(events, event(call, "ringing", ""), false),
            ],
            Word::Answered => vec![
                posted(events, event(call, "answered", ""), false),
                posted(call.kept("answer"), asked, true),
            ],
            Word::Spoken | Word::Key(_) => Vec::new(),
            Word::Typed { url, digits } => {
                let mut typed = asked;
                typed["dtmf"] = json!({"digits": digits, "timed_out": digits.is_empty()});
                vec![posted(url.clone(), typed, true)]
            }
            // The leg to the socket has events of its own.
            Word::SoundOver => {
                let mut over = event(call, "disconnected", "");
                over["uuid"] = "77777777-2222-4333-8444-000000000000".into();
                over["to"] = call.sockets.last().cloned().into();
                vec![posted(call.kept("sound"), over, false)]
            }
            Word::Next { url } => {
                let payload: Value = serde_json::from_str(&call.kept("payload")).unwrap();
                let body = json!({"conversation_uuid": conversation(call), "payload": payload,
                    "timestamp": "2026-01-15T12:00:00.000Z"});
                vec![posted(url.clone(), body, true)]
            }
            Word::Ended(end) => {
                let (status, detail) = match end {
                    End::Completed | End::Rejected => ("completed", ""),
                    End::Busy => ("busy", ""),
                    End::Declined => ("rejected", "declined"),
                    End::NoAnswer => ("timeout", ""),
                    End::Cancelled => ("cancelled", ""),
                };
                vec![posted(events, event(call, status, detail), false)]
            }
        }
    }

    fn forged(good: &Callback, now: Timestamp) -> Vec<(&'static str, Callback)> {
        let claims = wires::claims(&good.body);
        let with =
            |token: String| Callback { headers: vec![("authorization".to_owned(), token)], ..good.clone() };
        let claim = |name: &str, value: Value| {
            let mut claims = claims.clone();
            claims[name] = value;
            with(wires::bearer(SECRET, &claims))
        };
        let body = good.body.replacen("conversation", "conversatioN", 1);
        vec![
            ("another account's secret", with(wires::bearer("another secret", &claims))),
            ("an altered body", Callback { body, ..good.clone() }),
            ("a stale time", claim("iat", (now.unix_secs() - 400).into())),
            ("a time to come", claim("iat", (now.unix_secs() + 400).into())),
            ("another account", claim("api_key", "another".into())),
            ("another application", claim("application_id", "another".into())),
            ("no hash", claim("payload_hash", Value::Null)),
            ("nothing", Callback { headers: Vec::new(), ..good.clone() }),
        ]
    }

    fn reads(document: &str) -> Vec<Deed> {
        let Value::Array(actions) = serde_json::from_str(document).unwrap() else {
            panic!("an answer is a list of actions: {document}")
        };
        let mut deeds = Vec::new();
        let mut prompt = None;
        for action in actions {
            let name = action["action"].as_str().unwrap().to_owned();
            let (_, fields) = FIELDS.iter().find(|(known, _)| *known == name).expect(&name);
            for (field, _) in action.as_object().unwrap() {
                assert!(fields.contains(&field.as_str()), "{name} has no {field}");
            }
            let url = action["eventUrl"][0].as_str().unwrap_or_default().to_owned();
            match name.as_str() {
                "talk" if action["bargeIn"] == true => prompt = action["text"].as_str().map(str::to_owned),
                "talk" => deeds.push(Deed::Say(action["text"].as_str().unwrap().to_owned())),
                "input" => deeds.push(Deed::Ask { text: prompt.take().unwrap(), url }),
                "notify" => {
                    deeds.push(Deed::Keep("payload", action["payload"].to_string()));
                    deeds.push(Deed::GoTo(url));
                }
                _ => {
                    let endpoint = &action["endpoint"][0];
                    assert_eq!(endpoint["content-type"], "audio/l16;rate=8000");
                    deeds.push(Deed::Keep("headers", endpoint["headers"].to_string()));
                    deeds.push(Deed::Keep("sound", url));
                    deeds.push(Deed::Sound(endpoint["uri"].as_str().unwrap().to_owned()));
                }
            }
        }
        deeds
    }

    fn upgrade(_call: &Facts, _url: &str) -> Pairs {
        Vec::new()
    }

    fn hello(call: &Facts) -> Vec<Message> {
        let mut hello = json!({"event": "websocket:connected", "content-type": "audio/l16;rate=8000",
            "caller-id": plain(&call.from)});
        let headers: Value = serde_json::from_str(&call.kept("headers")).unwrap_or(json!({"call": call.id}));
        for (name, value) in headers.as_object().unwrap() {
            hello[name] = value.clone();
        }
        vec![Message::text(hello.to_string())]
    }

    fn speaks(_call: &Facts, _number: u64, mulaw: &[u8]) -> Message {
        let linear: Vec<u8> = mulaw.iter().flat_map(|code| g711::decode(*code).to_le_bytes()).collect();
        Message::binary(linear)
    }

    fn presses(_call: &Facts, digit: char) -> Option<Message> {
        let frame = json!({"event": "websocket:dtmf", "digit": digit.to_string(), "duration": 260});
        Some(Message::text(frame.to_string()))
    }

    fn hears(_call: &Facts, message: &Message) -> Heard {
        match message {
            Message::Binary(linear) => {
                assert_eq!(linear.len(), 320, "20 ms, neither more nor less");
                let sample = |pair: &[u8]| g711::encode(i16::from_le_bytes([pair[0], pair[1]]));
                Heard::Sound(linear.chunks(2).map(sample).collect())
            }
            Message::Text(text) => {
                let frame: Value = serde_json::from_str(text).unwrap();
                match frame["action"].as_str().unwrap() {
                    "notify" => {
                        let back = json!({"event": "websocket:notify", "payload": frame["payload"]});
                        Heard::Mark(Message::text(back.to_string()))
                    }
                    "clear" => Heard::Nothing,
                    other => panic!("{other} is no command"),
                }
            }
            _ => Heard::Nothing,
        }
    }

    fn good_bye(call: &Facts) -> Option<Message> {
        assert!(!matches!(call.stage, Stage::Ended(_)));
        None
    }
}
