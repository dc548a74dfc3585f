//! Telnyx' calls: Call Control commands and events of version 2, media streams in `rtp` mode.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signer as _, SigningKey};
use meari::clock::Timestamp;
use meari::config::CarrierSettings;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::{Callback, Deed, End, Exchange, Facts, Heard, ID, Wire, Word};
use crate::support::wire::{Pairs, Reply, Seen};

pub struct Telnyx;

pub const KEY: &str = "KEY0123";
pub const CONNECTION: &str = "1684641123236054244";
/// What a command may have (the vendor's SDK); anything else is a mistake of ours.
const FIELDS: [(&str, &[&str]); 6] = [
    ("answer", &["client_state", "command_id", "send_silence_when_idle"]),
    ("reject", &["cause", "client_state", "command_id"]),
    ("hangup", &["client_state", "command_id"]),
    ("speak", &["payload", "payload_type", "voice", "language", "client_state", "command_id"]),
    (
        "streaming_start",
        &[
            "stream_url",
            "stream_track",
            "stream_codec",
            "stream_bidirectional_mode",
            "stream_bidirectional_codec",
            "stream_bidirectional_target_legs",
            "client_state",
            "command_id",
        ],
    ),
    (
        "gather_using_speak",
        &[
            "payload",
            "payload_type",
            "voice",
            "language",
            "minimum_digits",
            "maximum_digits",
            "maximum_tries",
            "timeout_millis",
            "inter_digit_timeout_millis",
            "terminating_digit",
            "valid_digits",
            "client_state",
            "command_id",
        ],
    ),
];

fn key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

pub fn signed(key_number: u8, at: i64, body: &str) -> Pairs {
    let signature = BASE64.encode(key(key_number).sign(format!("{at}|{body}").as_bytes()).to_bytes());
    vec![("telnyx-timestamp".to_owned(), at.to_string()), ("telnyx-signature-ed25519".to_owned(), signature)]
}

pub fn public_key() -> String {
    BASE64.encode(key(1).verifying_key().to_bytes())
}

/// The id with what the vendor puts around it.
fn control_id(id: &str) -> String {
    format!("v3:{id}_x")
}

fn problem(status: u16, code: &str, title: &str) -> Reply {
    Reply::json(status, json!({"errors": [{"code": code, "title": title, "detail": title}]}))
}

impl Telnyx {
    fn dial(exchange: &Exchange, body: &Value) -> Reply {
        assert_eq!(body["connection_id"], CONNECTION);
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        assert!(
            body["timeout_secs"].as_u64().unwrap() >= 5
                && body["time_limit_secs"].as_u64().unwrap() <= 14_400
        );
        let kept = [("state", text("client_state")), ("webhook", text("webhook_url"))];
        let id = exchange.places(&text("from"), &text("to"), &kept, Vec::new());
        Reply::json(
            200,
            json!({"data": {"record_type": "call", "call_control_id": control_id(&id), "call_leg_id": id,
                "call_session_id": id, "is_alive": false}}),
        )
    }

    fn command(exchange: &Exchange, id: &str, action: &str, body: &Value) -> Reply {
        let (_, fields) = FIELDS.iter().find(|(name, _)| *name == action).expect(action);
        for (field, _) in body.as_object().unwrap() {
            assert!(fields.contains(&field.as_str()), "{action} has no {field}");
        }
        assert!(body["command_id"].as_str().is_some_and(|id| id.len() == 36));
        let over = |facts: &Facts| matches!(facts.stage, super::Stage::Ended(_));
        if exchange.facts(id).is_none_or(|facts| over(&facts)) {
            return problem(422, "90018", "Call has already ended");
        }
        if let Some(state) = body["client_state"].as_str() {
            exchange.keeps(id, "state", state);
        }
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        let deed = match action {
            "answer" => Deed::Answer,
            "reject" => Deed::Reject { busy: body["cause"] == "USER_BUSY" },
            "speak" => Deed::Say(text("payload")),
            "gather_using_speak" => Deed::Ask { text: text("payload"), url: String::new() },
            "streaming_start" => {
                let wanted = (body["stream_bidirectional_mode"].as_str(), body["stream_codec"].as_str());
                assert_eq!(wanted, (Some("rtp"), Some("PCMU")));
                Deed::Sound(text("stream_url"))
            }
            _ => {
                exchange.hung_up(id);
                return Reply::json(200, json!({"data": {"result": "ok"}}));
            }
        };
        exchange.told(id, vec![deed]);
        Reply::json(200, json!({"data": {"result": "ok"}}))
    }
}

impl Wire for Telnyx {
    fn settings(base: &str) -> CarrierSettings {
        let options = [
            ("api_key", KEY.to_owned()),
            ("public_key", public_key()),
            ("connection_id", CONNECTION.to_owned()),
        ];
        let options = options.into_iter().map(|(k, v)| (k.to_owned(), v.into())).collect();
        CarrierSettings { id: ID.into(), kind: "telnyx".into(), api_base: Some(base.into()), options }
    }

    fn serve(exchange: &Exchange, seen: &Seen) -> Reply {
        if seen.header("authorization") != format!("Bearer {KEY}") {
            return problem(401, "10009", "Authentication failed");
        }
        let parts: Vec<&str> = seen.path.trim_start_matches("/v2/").split('/').collect();
        match (seen.method.as_str(), parts.as_slice()) {
            ("POST", ["calls"]) => Telnyx::dial(exchange, &seen.json()),
            ("POST", ["calls", id, "actions", action]) => {
                let id = percent_encoding::percent_decode_str(id).decode_utf8().unwrap();
                let id = id.trim_start_matches("v3:").trim_end_matches("_x");
                Telnyx::command(exchange, id, action, &seen.json())
            }
            ("GET", ["call_control_applications", CONNECTION]) => {
                let url = format!("{}/voice", exchange.door());
                Reply::json(
                    200,
                    json!({"data": {"id": CONNECTION, "active": true, "webhook_event_url": url,
                        "webhook_api_version": "2"}}),
                )
            }
            _ => problem(404, "10005", "Resource not found"),
        }
    }

    fn says(call: &Facts, word: &Word, door: &str, now: Timestamp) -> Vec<Callback> {
        let direction = if call.is_incoming { "incoming" } else { "outgoing" };
        let (kind, more) = match word {
            Word::Incoming => (
                "call.initiated",
                json!({"state": "parked", "caller_id_name": "", "shaken_stir_attestation": "A",
                    "shaken_stir_validated": true}),
            ),
            Word::Ringing => ("call.initiated", json!({"state": "bridging"})),
            Word::Answered => ("call.answered", json!({"state": "answered"})),
            Word::Spoken => ("call.speak.ended", json!({"status": "completed"})),
            Word::Typed { digits, .. } => {
                let status = if digits.is_empty() { "timeout" } else { "valid" };
                ("call.gather.ended", json!({"digits": digits, "status": status}))
            }
            Word::SoundOver => ("streaming.stopped", json!({"stream_url": "wss://x.example.org"})),
            Word::Key(_) | Word::Next { .. } => return Vec::new(),
            Word::Ended(end) => {
                let cause = match end {
                    End::Completed | End::Rejected => "normal_clearing",
                    End::Busy => "user_busy",
                    End::Declined => "call_rejected",
                    End::NoAnswer => "timeout",
                    End::Cancelled => "originator_cancel",
                };
                ("call.hangup", json!({"state": "hangup", "hangup_cause": cause, "hangup_source": "unknown"}))
            }
        };
        let state = call.kept("state");
        let mut payload = json!({"call_control_id": control_id(&call.id), "call_leg_id": call.id,
            "call_session_id": call.id, "connection_id": CONNECTION, "direction": direction, "from": call.from,
            "to": call.to, "client_state": if state.is_empty() { Value::Null } else { state.into() },
            "start_time": "2026-01-15T12:00:00.000Z"});
        for (name, value) in more.as_object().unwrap() {
            payload[name] = value.clone();
        }
        let body = json!({
            "data": {"event_type": kind, "id": "0ccc7b54-4df3-4bca-a65a-3da1ecc777f0", "record_type": "event",
                "occurred_at": "2026-01-15T12:00:00.000000Z", "payload": payload},
            "meta": {"attempt": 1, "delivered_to": "https://x.example.org"},
        })
        .to_string();
        let webhook = call.kept("webhook");
        let url = if webhook.is_empty() { format!("{door}/voice") } else { webhook };
        let headers = signed(1, now.unix_secs(), &body);
        vec![Callback { url, content_type: "application/json", body, headers, asks: false }]
    }

    fn forged(good: &Callback, now: Timestamp) -> Vec<(&'static str, Callback)> {
        let at = now.unix_secs();
        let with = |headers: Pairs| Callback { headers, ..good.clone() };
        let body = good.body.replacen("occurred_at", "occurred_aT", 1);
        vec![
            ("another account's key", with(signed(9, at, &good.body))),
            ("an altered body", Callback { body, ..good.clone() }),
            ("a stale time", with(signed(1, at - 301, &good.body))),
            (
                "a replay with a new time",
                with(vec![("telnyx-timestamp".into(), (at + 1).to_string()), good.headers[1].clone()]),
            ),
            ("no signature", with(good.headers[..1].to_vec())),
            ("no time", with(good.headers[1..].to_vec())),
            ("nothing", with(Vec::new())),
        ]
    }

    fn reads(document: &str) -> Vec<Deed> {
        panic!("everything is said by commands: {document}")
    }

    fn upgrade(_call: &Facts, _url: &str) -> Pairs {
        Vec::new()
    }

    fn hello(call: &Facts) -> Vec<Message> {
        let start = json!({"event": "start", "sequence_number": "1", "stream_id": "32DE0DEA", "start": {
            "user_id": "3E6F", "call_control_id": control_id(&call.id), "call_session_id": call.id,
            "from": call.from, "to": call.to, "client_state": call.kept("state"), "custom_parameters": {},
            "media_format": {"encoding": "PCMU", "sample_rate": 8000, "channels": 1}}});
        vec![
            Message::text(json!({"event": "connected", "version": "1.0.0"}).to_string()),
            Message::text(start.to_string()),
        ]
    }

    fn speaks(_call: &Facts, number: u64, mulaw: &[u8]) -> Message {
        let frame = json!({"event": "media", "sequence_number": (number + 2).to_string(), "stream_id": "32DE0DEA",
            "media": {"track": "inbound", "chunk": (number + 1).to_string(), "timestamp": (number * 20).to_string(),
                "payload": BASE64.encode(mulaw)}});
        Message::text(frame.to_string())
    }

    fn presses(_call: &Facts, digit: char) -> Option<Message> {
        let frame = json!({"event": "dtmf", "stream_id": "32DE0DEA", "occurred_at": "2026-01-15T12:00:00Z",
            "sequence_number": "5", "dtmf": {"digit": digit.to_string()}});
        Some(Message::text(frame.to_string()))
    }

    fn hears(_call: &Facts, message: &Message) -> Heard {
        let frame: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
        match frame["event"].as_str().unwrap() {
            "media" => {
                assert_eq!(frame.as_object().unwrap().len(), 2);
                Heard::Sound(BASE64.decode(frame["media"]["payload"].as_str().unwrap()).unwrap())
            }
            "mark" => {
                let back = json!({"event": "mark", "sequence_number": "9", "stream_id": "32DE0DEA",
                    "mark": {"name": frame["mark"]["name"]}});
                Heard::Mark(Message::text(back.to_string()))
            }
            "clear" => Heard::Nothing,
            other => panic!("{other} is no frame"),
        }
    }

    fn good_bye(call: &Facts) -> Option<Message> {
        let stop = json!({"event": "stop", "sequence_number": "7", "stream_id": "32DE0DEA",
            "stop": {"user_id": "3E6F", "call_control_id": control_id(&call.id)}});
        Some(Message::text(stop.to_string()))
    }
}
