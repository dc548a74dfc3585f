//! Calls: Call Control commands, their events, and media streams.
//!
//! Call Control of API version 2. A callback is answered with an empty 200; what a call shall do is said by requests.

mod parse;
mod state;
mod wire;

use std::fmt::Write as _;

use async_trait::async_trait;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use self::state::ClientState;
use self::wire::MediaStream;
use super::Telnyx;
use super::send::{Api, Data};
use crate::carriers::voice::{CallEvent, CallToMake, Document, HeldCall, MediaWire, Step, Voice};
use crate::carriers::{BadSignature, CallbackRequest, ParseError, SendError, answers};
use crate::net::Method;
use crate::texts::Locale;

/// Which voice speaks; Telnyx chooses one of the language.
const VOICE: &str = "female";
/// What is waited for the first key beside the pause between two keys: somebody who listens to the question.
const FIRST_KEY_SECONDS: u64 = 10;

/// A call as the API shows it.
#[derive(Deserialize)]
struct NewCall {
    #[serde(default)]
    call_control_id: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Application {
    active: Option<bool>,
    webhook_event_url: Option<String>,
    webhook_api_version: Option<String>,
}

fn language(locale: Locale) -> &'static str {
    match locale {
        Locale::En => "en-US",
        Locale::Ko => "ko-KR",
    }
}

/// The command for the first of some steps; the others travel with it. None when nothing is left to be said.
fn command(call: HeldCall<'_>, steps: &[Step]) -> Option<(&'static str, Value)> {
    let (first, rest) = steps.split_first()?;
    let state = || ClientState::steps(rest).encode();
    Some(match first {
        Step::Reject { busy } => {
            ("reject", json!({ "cause": if *busy { "USER_BUSY" } else { "CALL_REJECTED" } }))
        }
        Step::HangUp => ("hangup", json!({})),
        _ if call.is_new => {
            let state = ClientState::steps(steps).encode();
            ("answer", json!({ "send_silence_when_idle": true, "client_state": state }))
        }
        Step::Say { text, locale } => (
            "speak",
            json!({ "payload": text, "payload_type": "text", "voice": VOICE, "language": language(*locale),
                "client_state": state() }),
        ),
        Step::Pause { seconds } => (
            "speak",
            json!({ "payload": format!("<speak><break time=\"{seconds}s\"/></speak>"), "payload_type": "ssml",
                "voice": VOICE, "language": language(Locale::En), "client_state": state() }),
        ),
        Step::Sound { url } => (
            "streaming_start",
            json!({ "stream_url": url, "stream_track": "inbound_track", "stream_codec": "PCMU",
                "stream_bidirectional_mode": "rtp", "stream_bidirectional_codec": "PCMU",
                "stream_bidirectional_target_legs": "self", "client_state": state() }),
        ),
        Step::Ask { text, locale, url, digits_max, seconds } => {
            let asked = ClientState { asked_at: Some(url.clone()), ..ClientState::steps(rest) };
            let pause = u64::from(*seconds) * 1_000;
            (
                "gather_using_speak",
                json!({ "payload": text, "payload_type": "text", "voice": VOICE, "language": language(*locale),
                    "minimum_digits": 1, "maximum_digits": digits_max, "maximum_tries": 1,
                    "timeout_millis": pause.max(FIRST_KEY_SECONDS * 1_000), "inter_digit_timeout_millis": pause,
                    "terminating_digit": "#", "valid_digits": "0123456789*", "client_state": asked.encode() }),
            )
        }
        // It is asked by the event that ends the step before.
        Step::GoTo { .. } => return None,
    })
}

/// A name for a command that is the same when the same is said again: Telnyx carries it out once.
fn command_id(action: &str, body: &Value) -> String {
    let hash = Sha256::digest(format!("{action} {body}").as_bytes());
    let mut id = String::with_capacity(36);
    for (at, byte) in hash.iter().take(16).enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            id.push('-');
        }
        // Writing to a string cannot fail.
        let _ = write!(id, "{byte:02x}");
    }
    id
}

impl Api {
    /// Gives a command to a call; one that is over needs none.
    async fn command(&self, call: &str, action: &str, mut body: Value) -> Result<(), SendError> {
        let id = command_id(action, &body);
        if let Some(fields) = body.as_object_mut() {
            fields.insert("command_id".to_owned(), id.into());
        }
        let call = utf8_percent_encode(call, NON_ALPHANUMERIC);
        let request = self.request(Method::POST, &format!("/calls/{call}/actions/{action}"));
        match self.ask_raw(request.json(&body)).await {
            Ok(_) => Ok(()),
            // 404 and 422: there is no such call any more, or it has done so already.
            Err(error) if ["HTTP 404", "HTTP 422"].iter().any(|gone| error.detail.starts_with(gone)) => {
                if action != "hangup" {
                    tracing::warn!(action, reason = %error, "a call is past that");
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Compares the voice application's address with ours.
    pub(super) async fn check_voice_addresses(&self, callback_base: &str) -> Result<Vec<String>, SendError> {
        let Some(connection) = &self.connection else { return Ok(Vec::new()) };
        let path = format!("/call_control_applications/{connection}");
        let found: Data<Application> = self.ask(self.request(Method::GET, &path)).await?;
        let (found, wanted) = (found.data, format!("{callback_base}/voice"));
        let mut wrong = Vec::new();
        if found.webhook_event_url.as_deref() != Some(wanted.as_str()) {
            wrong.push(format!("the voice application's webhook URL is not {wanted}: no calls come in"));
        }
        // Version 1 is what it begins with.
        if found.webhook_api_version.as_deref() != Some("2") {
            wrong.push("the voice application's webhook API version is not 2".to_owned());
        }
        if found.active == Some(false) {
            wrong.push("the voice application is switched off".to_owned());
        }
        Ok(wrong)
    }
}

#[async_trait]
impl Voice for Telnyx {
    fn parse_call(&self, request: &CallbackRequest<'_>) -> Result<CallEvent, ParseError> {
        parse::event(request.body)
    }

    /// The upgrade is not signed.
    fn verify_socket(&self, _request: &CallbackRequest<'_>) -> Result<(), BadSignature> {
        Ok(())
    }

    async fn carry_out(&self, call: HeldCall<'_>, steps: &[Step]) -> Result<Document, SendError> {
        if let Some((action, body)) = command(call, steps) {
            self.api.command(call.carrier_call_id, action, body).await?;
        }
        Ok(Document { content_type: "application/json", body: "{}".to_owned() })
    }

    fn wire(&self) -> Box<dyn MediaWire> {
        Box::new(MediaStream)
    }

    async fn dial(&self, call: &CallToMake) -> Result<String, SendError> {
        let Some(connection) = &self.api.connection else {
            return Err(answers::misconfigured("connection_id is not set: the voice application's id"));
        };
        let state = ClientState { reference: Some(call.id), ..ClientState::steps(&call.steps) };
        let body = json!({
            "connection_id": connection,
            "to": call.to.as_str(),
            "from": call.from.as_str(),
            "timeout_secs": call.ring_seconds,
            "time_limit_secs": call.seconds_max,
            "webhook_url": call.status_callback,
            "webhook_url_method": "POST",
            "send_silence_when_idle": true,
            "client_state": state.encode(),
            "command_id": call.id.0.to_string(),
        });
        let answer = self.api.ask_raw(self.api.request(Method::POST, "/calls").json(&body)).await?;
        let made: Data<NewCall> = answer.json().map_err(|_| answers::unreadable(&answer))?;
        if parse::is_id(&made.data.call_control_id) {
            Ok(made.data.call_control_id)
        } else {
            Err(answers::unreadable(&answer))
        }
    }

    async fn hang_up(&self, carrier_call_id: &str) -> Result<(), SendError> {
        self.api.command(carrier_call_id, "hangup", json!({})).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(is_new: bool, steps: &[Step]) -> Option<(&'static str, Value)> {
        command(HeldCall { carrier_call_id: "v3:a", is_new }, steps)
    }

    #[test]
    fn one_command_after_the_other() {
        let sound = Step::Sound { url: "wss://meari.example.org/carriers/a/media/t".to_owned() };
        let go = Step::GoTo { url: "https://meari.example.org/carriers/a/voice/l/next".to_owned() };
        let say = Step::Say { text: "Hi".to_owned(), locale: Locale::Ko };
        assert_eq!(said(true, &[]), None, "news");
        assert_eq!(said(true, &[Step::Reject { busy: true }]).unwrap().1, json!({ "cause": "USER_BUSY" }));
        let steps = [say, sound.clone(), go.clone()];
        let (action, body) = said(true, &steps).unwrap();
        assert_eq!(action, "answer");
        let left = ClientState::decode(body["client_state"].as_str().unwrap()).next;
        assert_eq!(left, steps);
        let (action, body) = said(false, &left).unwrap();
        assert_eq!((action, &body["language"]), ("speak", &json!("ko-KR")));
        let left = ClientState::decode(body["client_state"].as_str().unwrap()).next;
        assert_eq!(left, [sound, go.clone()]);
        let (action, body) = said(false, &left).unwrap();
        assert_eq!((action, &body["stream_bidirectional_mode"]), ("streaming_start", &json!("rtp")));
        assert_eq!(said(false, &[go]), None, "its turn comes by an event");
        assert_eq!(said(false, &[Step::HangUp]).unwrap().0, "hangup");
    }

    #[test]
    fn the_same_command_has_the_same_name() {
        let id = command_id("speak", &json!({ "a": 1 }));
        assert_eq!(id, command_id("speak", &json!({ "a": 1 })));
        assert_ne!(id, command_id("speak", &json!({ "a": 2 })));
        assert!(id.parse::<uuid::Uuid>().is_ok(), "{id}");
    }
}
