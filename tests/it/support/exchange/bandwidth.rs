//! Bandwidth's calls: BXML documents, the Voice API, callbacks by Basic authentication, and media streams.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use meari::clock::Timestamp;
use meari::config::CarrierSettings;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::{Callback, Deed, Element, End, Exchange, Facts, Heard, ID, Wire, Word};
use crate::support::wire::{Pairs, Reply, Seen};

pub struct Bandwidth;

const ACCOUNT: &str = "5555555";
const MESSAGES: &str = "93de2206-9669-4e07-948d-329f4b722ee2";
pub const VOICE: &str = "7b1d4f0e-5f3c-4a3f-8a7e-329f4b722ee2";
const USER: &str = "meari";
const PASSWORD: &str = "a password for \"tests\" & more";
/// What a call may have (the vendor's SDK); anything else is a mistake of ours.
const FIELDS: [&str; 12] = [
    "applicationId",
    "from",
    "to",
    "answerUrl",
    "answerMethod",
    "disconnectUrl",
    "disconnectMethod",
    "username",
    "password",
    "callTimeout",
    "callbackTimeout",
    "tag",
];

fn basic(password: &str) -> (String, String) {
    ("authorization".to_owned(), format!("Basic {}", BASE64.encode(format!("{USER}:{password}"))))
}

fn call_id(call: &Facts) -> String {
    format!("c-{}", call.id)
}

fn posted(call: &Facts, url: String, kind: &str, more: Value, asks: bool) -> Callback {
    let direction = if call.is_incoming { "inbound" } else { "outbound" };
    let mut body = json!({"eventType": kind, "eventTime": "2026-01-15T12:00:00.000Z", "accountId": ACCOUNT,
        "applicationId": VOICE, "from": call.from, "to": call.to, "direction": direction, "callId": call_id(call),
        "callUrl": format!("https://voice.bandwidth.com/api/v2/accounts/{ACCOUNT}/calls/{}", call_id(call)),
        "startTime": "2026-01-15T12:00:00.000Z"});
    let tag = call.kept("tag");
    if !tag.is_empty() {
        body["tag"] = tag.into();
    }
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    let headers = vec![basic(PASSWORD)];
    Callback { url, content_type: "application/json", body: body.to_string(), headers, asks }
}

impl Bandwidth {
    fn dial(exchange: &Exchange, body: &Value) -> Reply {
        assert!(body.as_object().unwrap().keys().all(|key| FIELDS.contains(&key.as_str())), "{body}");
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        assert_eq!(
            (text("applicationId"), text("username"), text("password")),
            (VOICE.into(), USER.into(), PASSWORD.into())
        );
        let kept =
            [("answer", text("answerUrl")), ("disconnect", text("disconnectUrl")), ("tag", text("tag"))];
        let id = exchange.places(&text("from"), &text("to"), &kept, Vec::new());
        Reply::json(
            201,
            json!({"applicationId": VOICE, "accountId": ACCOUNT, "callId": format!("c-{id}"), "to": text("to"),
                "from": text("from"), "callUrl": "https://voice.bandwidth.com/x", "answerMethod": "POST",
                "answerUrl": text("answerUrl"), "disconnectMethod": "POST", "tag": text("tag")}),
        )
    }

    fn application(exchange: &Exchange, id: &str) -> Reply {
        let door = exchange.door();
        let addresses = if id == VOICE {
            format!(
                "<CallInitiatedCallbackUrl>{door}/voice</CallInitiatedCallbackUrl>\
                 <CallStatusCallbackUrl>{door}/call-status</CallStatusCallbackUrl>"
            )
        } else {
            format!(
                "<InboundCallbackUrl>{door}/messages</InboundCallbackUrl>\
                 <OutboundCallbackUrl>{door}/status</OutboundCallbackUrl>"
            )
        };
        Reply::xml(
            200,
            format!(
                "<ApplicationProvisioningResponse><Application><ApplicationId>{id}</ApplicationId><AppName>Bridge</AppName>\
                 {addresses}<CallbackCreds><UserId>{USER}</UserId></CallbackCreds></Application>\
                 </ApplicationProvisioningResponse>"
            ),
        )
    }
}

/// Bandwidth comes with the login that a verb names.
fn logs_in(element: &Element) {
    assert_eq!((element.get("username"), element.get("password")), (USER.to_owned(), PASSWORD.to_owned()));
}

impl Wire for Bandwidth {
    fn settings(base: &str) -> CarrierSettings {
        let options = [
            ("account_id", ACCOUNT),
            ("client_id", "c-1"),
            ("client_secret", "a secret for tests"),
            ("application_id", MESSAGES),
            ("voice_application_id", VOICE),
            ("callback_user", USER),
            ("callback_password", PASSWORD),
        ];
        let options = options.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned().into())).collect();
        CarrierSettings { id: ID.into(), kind: "bandwidth".into(), api_base: Some(base.into()), options }
    }

    fn serve(exchange: &Exchange, seen: &Seen) -> Reply {
        if seen.path == "/api/v1/oauth2/token" {
            return Reply::json(
                200,
                json!({"access_token": "t-1", "expires_in": 3_600, "token_type": "Bearer"}),
            );
        }
        if seen.header("authorization") != "Bearer t-1" {
            return Reply::json(401, json!({"type": "unauthorized"}));
        }
        let calls = format!("/api/v2/accounts/{ACCOUNT}/calls");
        let parts: Vec<&str> = seen.path.split('/').collect();
        if let ["", "api", "accounts", ACCOUNT, "applications", id] = parts.as_slice() {
            return Bandwidth::application(exchange, id);
        }
        match (seen.method.as_str(), seen.path.strip_prefix(calls.as_str())) {
            ("POST", Some("")) => Bandwidth::dial(exchange, &seen.json()),
            ("POST", Some(id)) => {
                assert_eq!(seen.json(), json!({"state": "completed"}));
                match exchange.hung_up(id.trim_start_matches("/c-")) {
                    true => Reply::json(200, Value::Null),
                    false => {
                        Reply::json(404, json!({"type": "validation", "description": "Call was not found"}))
                    }
                }
            }
            _ => Reply::json(404, json!({"type": "not-found"})),
        }
    }

    fn says(call: &Facts, word: &Word, door: &str, _now: Timestamp) -> Vec<Callback> {
        let nothing = json!({});
        match word {
            Word::Incoming => {
                let more = json!({"stirShaken": {"verstat": "Tn-Validation-Passed", "attestationIndicator": "A",
                    "originatingId": "x"}});
                vec![posted(call, format!("{door}/voice"), "initiate", more, true)]
            }
            Word::Answered => vec![posted(call, call.kept("answer"), "answer", nothing, true)],
            Word::Typed { url, digits } => {
                let more = json!({"digits": digits, "terminatingDigit": ""});
                vec![posted(call, url.clone(), "gather", more, true)]
            }
            Word::Next { url } => vec![posted(call, url.clone(), "redirect", nothing, true)],
            Word::Key(digit) => {
                let more = json!({"digit": digit.to_string()});
                vec![posted(call, call.kept("keys"), "dtmf", more, false)]
            }
            Word::Ringing | Word::Spoken | Word::SoundOver => Vec::new(),
            Word::Ended(end) => {
                let cause = match end {
                    End::Completed | End::Rejected => "hangup",
                    End::Busy => "busy",
                    End::Declined => "rejected",
                    End::NoAnswer => "timeout",
                    End::Cancelled => "cancel",
                };
                let kept = call.kept("disconnect");
                let url = if kept.is_empty() { format!("{door}/call-status") } else { kept };
                let more = json!({"cause": cause, "endTime": "2026-01-15T12:00:09.000Z"});
                vec![posted(call, url, "disconnect", more, false)]
            }
        }
    }

    fn forged(good: &Callback, _now: Timestamp) -> Vec<(&'static str, Callback)> {
        let with = |headers: Pairs| Callback { headers, ..good.clone() };
        let token = ("authorization".to_owned(), "Bearer x".to_owned());
        vec![
            ("a wrong password", with(vec![basic("a password for tests")])),
            ("another scheme", with(vec![token])),
            ("another application", Callback { body: good.body.replace(VOICE, MESSAGES), ..good.clone() }),
            ("a body of nobody", Callback { body: "{}".to_owned(), ..good.clone() }),
            ("nothing", with(Vec::new())),
        ]
    }

    fn reads(document: &str) -> Vec<Deed> {
        let mut deeds = Vec::new();
        for element in Element::read(document) {
            match element.name.as_str() {
                "SpeakSentence" => {
                    element.knows(&["gender", "locale"]);
                    deeds.push(Deed::Say(element.text.clone()));
                }
                "StartGather" => {
                    element.knows(&["dtmfUrl", "dtmfMethod", "username", "password"]);
                    logs_in(&element);
                    deeds.push(Deed::Keep("keys", element.get("dtmfUrl")));
                }
                "StartStream" => {
                    element.knows(&[
                        "name",
                        "mode",
                        "tracks",
                        "destination",
                        "destinationUsername",
                        "destinationPassword",
                    ]);
                    assert_eq!(element.get("mode"), "bidirectional");
                    assert_eq!(element.get("destinationPassword"), PASSWORD);
                    deeds.push(Deed::Sound(element.get("destination")));
                }
                // Without it the stream would not keep the document waiting.
                "StopStream" => assert_eq!(element.get("wait"), "true"),
                "StopGather" => {}
                "Gather" => {
                    element.knows(&[
                        "gatherUrl",
                        "gatherMethod",
                        "maxDigits",
                        "firstDigitTimeout",
                        "interDigitTimeout",
                        "terminatingDigits",
                        "username",
                        "password",
                    ]);
                    logs_in(&element);
                    deeds.push(Deed::Ask {
                        text: element.said("SpeakSentence"),
                        url: element.get("gatherUrl"),
                    });
                }
                "Redirect" => {
                    logs_in(&element);
                    deeds.push(Deed::GoTo(element.get("redirectUrl")));
                }
                "Hangup" => deeds.push(Deed::HangUp),
                other => panic!("{other} is no verb"),
            }
        }
        let waits = document.matches("<StartStream").count() == document.matches("<StopStream").count();
        assert!(waits, "a stream runs beside the document");
        deeds
    }

    fn upgrade(_call: &Facts, _url: &str) -> Pairs {
        vec![basic(PASSWORD)]
    }

    fn hello(call: &Facts) -> Vec<Message> {
        let start = json!({"eventType": "start", "metadata": {"accountId": ACCOUNT, "callId": call_id(call),
            "streamId": "s-1", "streamName": "sound",
            "tracks": [{"name": "inbound", "mediaFormat": {"encoding": "PCMU", "sampleRate": 8000}}]},
            "streamParams": {"call": call_id(call)}});
        vec![Message::text(start.to_string())]
    }

    fn speaks(_call: &Facts, number: u64, mulaw: &[u8]) -> Message {
        let frame = json!({"eventType": "media", "track": "inbound", "sequenceNumber": number + 1,
            "payload": BASE64.encode(mulaw)});
        Message::text(frame.to_string())
    }

    fn presses(_call: &Facts, _digit: char) -> Option<Message> {
        None
    }

    fn hears(_call: &Facts, message: &Message) -> Heard {
        let frame: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
        match frame["eventType"].as_str().unwrap() {
            "playAudio" => {
                assert_eq!(frame["media"]["contentType"], "audio/pcmu");
                Heard::Sound(BASE64.decode(frame["media"]["payload"].as_str().unwrap()).unwrap())
            }
            "clear" => Heard::Nothing,
            other => panic!("{other} is no frame"),
        }
    }

    fn good_bye(call: &Facts) -> Option<Message> {
        let stop = json!({"eventType": "stop", "metadata": {"accountId": ACCOUNT, "callId": call_id(call)}});
        Some(Message::text(stop.to_string()))
    }
}
