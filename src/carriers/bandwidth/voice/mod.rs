//! Calls: BXML documents, the Voice API, its callbacks and bidirectional media streams.
//!
//! Voice API, version 2. Callbacks are not signed, so every address in a document carries the user name and password with
//! which Bandwidth is to come, and so does the socket.

mod document;
mod parse;
mod wire;

use async_trait::async_trait;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use self::document::Login;
use self::wire::MediaStream;
use super::send::Api;
use super::{Bandwidth, xml};
use crate::carriers::voice::{CallEvent, CallToMake, Document, HeldCall, MediaWire, Step, Voice};
use crate::carriers::{BadSignature, CallbackRequest, ParseError, SendError, answers};
use crate::net::{Method, Request};

/// How long Bandwidth waits for a document.
const CALLBACK_SECONDS: u8 = 15;

/// What calls need beside what messages do.
pub(super) struct VoiceSettings {
    /// The Voice API without a trailing slash.
    pub(super) base: String,
    pub(super) application: String,
    /// With what Bandwidth comes to us.
    pub(super) user: String,
    pub(super) password: SecretString,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewCall<'a> {
    application_id: &'a str,
    from: &'a str,
    to: &'a str,
    answer_url: &'a str,
    answer_method: &'static str,
    disconnect_url: &'a str,
    disconnect_method: &'static str,
    username: &'a str,
    password: &'a str,
    call_timeout: u16,
    callback_timeout: u8,
    tag: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MadeCall {
    #[serde(default)]
    call_id: String,
}

impl Api {
    fn calls(&self, voice: &VoiceSettings, path: &str) -> Request {
        let url = format!("{}/api/v2/accounts/{}/calls{path}", voice.base, self.account);
        self.net.request(Method::POST, &url).header("Accept", "application/json")
    }

    /// Compares the voice application's addresses with ours.
    pub(super) async fn check_voice_addresses(
        &self,
        voice: &VoiceSettings,
        callback_base: &str,
    ) -> Result<Vec<String>, SendError> {
        let path = format!("/applications/{}", voice.application);
        let answer = self.ask(|| self.dashboard(Method::GET, &path)).await?;
        let mut wrong = Vec::new();
        let wanted = [
            ("CallInitiatedCallbackUrl", "call-initiated URL", "voice", "no calls come in"),
            ("CallStatusCallbackUrl", "call status URL", "call-status", "ends of calls are not heard"),
        ];
        for (element, name, door, result) in wanted {
            let address = format!("{callback_base}/{door}");
            if xml::first(&answer.body, element).as_deref() != Some(address.as_str()) {
                wrong.push(format!("the voice application's {name} is not {address}: {result}"));
            }
        }
        if !xml::all(&answer.body, "UserId").iter().any(|user| !user.is_empty()) {
            wrong.push(
                "the voice application's callbacks have no user name and password: all are refused"
                    .to_owned(),
            );
        }
        Ok(wrong)
    }
}

impl Bandwidth {
    fn calls(&self) -> Result<&VoiceSettings, SendError> {
        self.voice.as_ref().ok_or_else(|| answers::misconfigured("voice_application_id is not set"))
    }
}

#[async_trait]
impl Voice for Bandwidth {
    fn parse_call(&self, request: &CallbackRequest<'_>) -> Result<CallEvent, ParseError> {
        parse::event(request)
    }

    fn verify_socket(&self, request: &CallbackRequest<'_>) -> Result<(), BadSignature> {
        self.lock.verify_login(request)
    }

    async fn carry_out(&self, call: HeldCall<'_>, steps: &[Step]) -> Result<Document, SendError> {
        let voice = self.calls()?;
        let login = Login::new(&voice.user, &voice.password);
        let body = document::render(call.carrier_call_id, steps, &login);
        Ok(Document { content_type: "application/xml", body })
    }

    fn wire(&self) -> Box<dyn MediaWire> {
        Box::new(MediaStream::default())
    }

    async fn dial(&self, call: &CallToMake) -> Result<String, SendError> {
        let voice = self.calls()?;
        let answer_url = call.next_address().unwrap_or_default();
        let body = NewCall {
            application_id: &voice.application,
            from: call.from.as_str(),
            to: call.to.as_str(),
            answer_url,
            answer_method: "POST",
            disconnect_url: &call.status_callback,
            disconnect_method: "POST",
            username: &voice.user,
            password: secrecy::ExposeSecret::expose_secret(&voice.password),
            call_timeout: call.ring_seconds,
            callback_timeout: CALLBACK_SECONDS,
            tag: call.id.to_string(),
        };
        let answer = self.api.ask(|| self.api.calls(voice, "").json(&body)).await?;
        let made: MadeCall = answer.json().map_err(|_| answers::unreadable(&answer))?;
        if parse::is_id(&made.call_id) { Ok(made.call_id) } else { Err(answers::unreadable(&answer)) }
    }

    async fn hang_up(&self, carrier_call_id: &str) -> Result<(), SendError> {
        let voice = self.calls()?;
        if !parse::is_id(carrier_call_id) {
            return Err(answers::bad_call_id());
        }
        let path = format!("/{carrier_call_id}");
        let body = serde_json::json!({ "state": "completed" });
        match self.api.ask(|| self.api.calls(voice, &path).json(&body)).await {
            Ok(_) => Ok(()),
            // 404 and 409: it is over.
            Err(error) if ["HTTP 404", "HTTP 409"].iter().any(|gone| error.detail.starts_with(gone)) => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}
