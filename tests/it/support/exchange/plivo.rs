//! Plivo's calls: XML documents, the Call API, callbacks with signature V3, and audio streams.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use meari::clock::Timestamp;
use meari::config::CarrierSettings;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio_tungstenite::tungstenite::Message;

use super::{Callback, Deed, Element, End, Exchange, Facts, Heard, ID, Wire, Word};
use crate::support::wire::{Pairs, Reply, Seen};
use crate::support::wires::{self, AUTH_ID, SECRET};

pub struct Plivo;

pub const APP_ID: &str = "10020030040050060";
const NONCE: &str = "0542956780446609";
/// What a call may have (the vendor's SDK); anything else is a mistake of ours.
const FIELDS: [&str; 10] = [
    "from",
    "to",
    "answer_url",
    "answer_method",
    "ring_url",
    "ring_method",
    "hangup_url",
    "hangup_method",
    "ring_timeout",
    "time_limit",
];

fn plain(number: &str) -> String {
    number.trim_start_matches('+').to_owned()
}

fn signature(secret: &str, url: &str, body: &str) -> Pairs {
    vec![
        ("x-plivo-signature-v3".to_owned(), wires::plivo_signature(secret, url, body, NONCE)),
        ("x-plivo-signature-v3-nonce".to_owned(), NONCE.to_owned()),
    ]
}

fn posted(call: &Facts, url: String, more: &[(&str, &str)], asks: bool) -> Callback {
    let direction = if call.is_incoming { "inbound" } else { "outbound" };
    let (from, to, request) = (plain(&call.from), plain(&call.to), format!("r-{}", call.id));
    let mut fields = vec![
        ("CallUUID", call.id.as_str()),
        ("From", &from),
        ("To", &to),
        ("Direction", direction),
        ("CallerName", "A & B"),
        ("SessionStart", "2026-01-15 12:00:00.000000"),
    ];
    if !call.is_incoming {
        fields.push(("RequestUUID", &request));
    }
    fields.extend_from_slice(more);
    let body = serde_urlencoded::to_string(&fields).unwrap();
    let headers = signature(SECRET, &url, &body);
    Callback { url, content_type: "application/x-www-form-urlencoded", body, headers, asks }
}

impl Plivo {
    fn dial(exchange: &Exchange, body: &Value) -> Reply {
        assert!(body.as_object().unwrap().keys().all(|key| FIELDS.contains(&key.as_str())), "{body}");
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        assert_eq!([text("answer_method"), text("ring_method"), text("hangup_method")], ["POST"; 3]);
        let kept =
            [("answer", text("answer_url")), ("ring", text("ring_url")), ("hangup", text("hangup_url"))];
        let (from, to) = (format!("+{}", text("from")), format!("+{}", text("to")));
        let id = exchange.places(&from, &to, &kept, Vec::new());
        let request = format!("r-{id}");
        Reply::json(201, json!({"message": "call fired", "request_uuid": request, "api_id": "x"}))
    }
}

impl Wire for Plivo {
    fn settings(base: &str) -> CarrierSettings {
        let options = [("auth_id", AUTH_ID), ("auth_token", SECRET), ("app_id", APP_ID)];
        let options = options.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned().into())).collect();
        CarrierSettings { id: ID.into(), kind: "plivo".into(), api_base: Some(base.into()), options }
    }

    fn serve(exchange: &Exchange, seen: &Seen) -> Reply {
        let basic = format!("Basic {}", BASE64.encode(format!("{AUTH_ID}:{SECRET}")));
        if seen.header("authorization") != basic {
            return Reply::json(401, json!({"error": "no"}));
        }
        let path = seen.path.trim_start_matches(&format!("/v1/Account/{AUTH_ID}/"));
        let parts: Vec<&str> = path.split('/').collect();
        match (seen.method.as_str(), parts.as_slice()) {
            ("POST", ["Call", ""]) => Plivo::dial(exchange, &seen.json()),
            // A request for a call is ended by its own name, a call by its.
            ("DELETE", ["Call", id, ""]) if exchange.hung_up(id) => {
                Reply { status: 204, content_type: "application/json", body: String::new() }
            }
            ("DELETE", ["Request", id, ""]) if exchange.hung_up(id.trim_start_matches("r-")) => {
                Reply { status: 204, content_type: "application/json", body: String::new() }
            }
            ("GET", ["Application", APP_ID, ""]) => Reply::json(
                200,
                json!({"app_name": "Bridge", "answer_url": format!("{}/voice", exchange.door()),
                    "answer_method": "POST", "hangup_url": format!("{}/call-status", exchange.door()),
                    "hangup_method": "POST", "message_url": format!("{}/messages", exchange.door()),
                    "message_method": "POST"}),
            ),
            _ => Reply::json(404, json!({"error": "not found"})),
        }
    }

    fn says(call: &Facts, word: &Word, door: &str, _now: Timestamp) -> Vec<Callback> {
        match word {
            Word::Incoming => {
                let more =
                    [("CallStatus", "ringing"), ("Event", "StartApp"), ("STIRVerification", "Verified")];
                vec![posted(call, format!("{door}/voice"), &more, true)]
            }
            Word::Ringing => {
                vec![posted(call, call.kept("ring"), &[("CallStatus", "ringing"), ("Event", "Ring")], false)]
            }
            Word::Answered => {
                let more = [("CallStatus", "in-progress"), ("Event", "StartApp")];
                vec![posted(call, call.kept("answer"), &more, true)]
            }
            Word::Typed { url, digits } if !digits.is_empty() => {
                let more =
                    [("CallStatus", "in-progress"), ("Digits", digits.as_str()), ("InputType", "dtmf")];
                vec![posted(call, url.clone(), &more, true)]
            }
            Word::Next { url } => {
                let more = [("CallStatus", "in-progress"), ("Event", "Redirect")];
                vec![posted(call, url.clone(), &more, true)]
            }
            Word::Spoken | Word::Typed { .. } | Word::SoundOver | Word::Key(_) => Vec::new(),
            Word::Ended(end) => {
                let (status, cause) = match end {
                    End::Completed | End::Rejected => ("completed", "NORMAL_CLEARING"),
                    End::Busy => ("busy", "USER_BUSY"),
                    End::Declined => ("failed", "CALL_REJECTED"),
                    End::NoAnswer => ("no-answer", "NO_ANSWER"),
                    End::Cancelled => ("cancel", "ORIGINATOR_CANCEL"),
                };
                let kept = call.kept("hangup");
                let url = if kept.is_empty() { format!("{door}/call-status") } else { kept };
                let more =
                    [("CallStatus", status), ("HangupCause", cause), ("Event", "Hangup"), ("Duration", "7")];
                vec![posted(call, url, &more, false)]
            }
        }
    }

    fn forged(good: &Callback, _now: Timestamp) -> Vec<(&'static str, Callback)> {
        let with = |headers: Pairs| Callback { headers, ..good.clone() };
        let mark = if good.url.contains('?') { '&' } else { '?' };
        vec![
            ("another account's token", with(signature("another token", &good.url, &good.body))),
            (
                "an altered body",
                Callback { body: good.body.replacen("CallUUID=1", "CallUUID=2", 1) + "&x=1", ..good.clone() },
            ),
            ("an altered address", Callback { url: format!("{}{mark}x=1", good.url), ..good.clone() }),
            (
                "another nonce",
                with(vec![good.headers[0].clone(), (good.headers[1].0.clone(), "1".to_owned())]),
            ),
            ("no nonce", with(good.headers[..1].to_vec())),
            ("no signature", with(good.headers[1..].to_vec())),
            ("nothing", with(Vec::new())),
        ]
    }

    fn reads(document: &str) -> Vec<Deed> {
        let deed = |element: &Element| match element.name.as_str() {
            "Speak" => {
                element.knows(&["voice", "language", "loop"]);
                Deed::Say(element.text.clone())
            }
            "Stream" => {
                element.knows(&[
                    "bidirectional",
                    "keepCallAlive",
                    "audioTrack",
                    "contentType",
                    "streamTimeout",
                ]);
                assert_eq!(
                    (element.get("bidirectional"), element.get("keepCallAlive")),
                    ("true".into(), "true".into())
                );
                assert_eq!(element.get("contentType"), "audio/x-mulaw;rate=8000");
                Deed::Sound(element.text.clone())
            }
            "GetInput" => {
                element.knows(&[
                    "action",
                    "method",
                    "inputType",
                    "executionTimeout",
                    "digitEndTimeout",
                    "finishOnKey",
                    "numDigits",
                    "redirect",
                ]);
                Deed::Ask { text: element.said("Speak"), url: element.get("action") }
            }
            "Redirect" => {
                assert_eq!(element.get("method"), "POST");
                Deed::GoTo(element.text.clone())
            }
            "Hangup" => match element.attributes.get("reason").map(String::as_str) {
                Some(reason) => Deed::Reject { busy: reason == "busy" },
                None => Deed::HangUp,
            },
            other => panic!("{other} is no element"),
        };
        Element::read(document).iter().map(deed).collect()
    }

    fn upgrade(_call: &Facts, url: &str) -> Pairs {
        let key: Hmac<Sha256> = Hmac::new_from_slice(SECRET.as_bytes()).unwrap();
        let signature = BASE64.encode(key.chain_update(format!("{url}.{NONCE}")).finalize().into_bytes());
        vec![
            ("x-plivo-signature-v3".to_owned(), signature),
            ("x-plivo-signature-v3-nonce".to_owned(), NONCE.to_owned()),
        ]
    }

    fn hello(call: &Facts) -> Vec<Message> {
        let start = json!({"sequenceNumber": 0, "event": "start", "start": {"callId": call.id, "streamId": "s-1",
            "accountId": "1", "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000}}, "extra_headers": "{}"});
        vec![Message::text(start.to_string())]
    }

    fn speaks(_call: &Facts, number: u64, mulaw: &[u8]) -> Message {
        let at = 1_700_000_000_000 + number * 20;
        let frame = json!({"sequenceNumber": number + 1, "streamId": "s-1", "event": "media", "media": {
            "track": "inbound", "timestamp": at.to_string(), "chunk": number + 1, "payload": BASE64.encode(mulaw)}});
        Message::text(frame.to_string())
    }

    fn presses(_call: &Facts, digit: char) -> Option<Message> {
        let frame = json!({"event": "dtmf", "streamId": "s-1", "sequenceNumber": 2,
            "dtmf": {"track": "inbound", "digit": digit.to_string(), "timestamp": "1700000000000"}});
        Some(Message::text(frame.to_string()))
    }

    fn hears(_call: &Facts, message: &Message) -> Heard {
        let frame: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
        match frame["event"].as_str().unwrap() {
            "playAudio" => {
                let media = &frame["media"];
                assert_eq!(
                    (&media["contentType"], &media["sampleRate"]),
                    (&json!("audio/x-mulaw"), &json!(8000))
                );
                Heard::Sound(BASE64.decode(media["payload"].as_str().unwrap()).unwrap())
            }
            "checkpoint" => {
                assert_eq!(frame["streamId"], "s-1");
                let back = json!({"event": "playedStream", "streamId": "s-1", "name": frame["name"]});
                Heard::Mark(Message::text(back.to_string()))
            }
            "clearAudio" => Heard::Nothing,
            other => panic!("{other} is no frame"),
        }
    }

    fn good_bye(_call: &Facts) -> Option<Message> {
        Some(Message::text(json!({"event": "stop", "streamId": "s-1", "reason": "hangup"}).to_string()))
    }
}
