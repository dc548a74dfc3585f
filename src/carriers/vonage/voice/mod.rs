//! Calls: call control objects, the Voice API's requests and events, and WebSocket endpoints.
//!
//! Voice API, version 1. A telephone's sound is a second leg of the same conversation, to a socket of ours, so events of
//! that leg come too and are left out.

mod document;
mod parse;
mod wire;

use async_trait::async_trait;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::json;

use self::wire::LinearSocket;
use super::{Vonage, parse::is_id, send::Api};
use crate::carriers::voice::{
    CallEvent, CallToMake, Document, HeldCall, MediaWire, Step, Voice, with_reference,
};
use crate::carriers::{BadSignature, CallbackRequest, ParseError, SendError, answers};
use crate::net::Method;

/// The longest call that the API takes (`length_timer`).
const SECONDS_MAX: u32 = 7_200;

#[derive(Deserialize)]
struct NewCall {
    #[serde(default)]
    uuid: String,
}

#[async_trait]
impl Voice for Vonage {
    fn parse_call(&self, request: &CallbackRequest<'_>) -> Result<CallEvent, ParseError> {
        parse::event(request)
    }

    /// The upgrade is not signed in a way that is documented; the first frame repeats the call's name.
    fn verify_socket(&self, _request: &CallbackRequest<'_>) -> Result<(), BadSignature> {
        Ok(())
    }

    async fn carry_out(&self, call: HeldCall<'_>, steps: &[Step]) -> Result<Document, SendError> {
        let body = document::render(call.carrier_call_id, steps);
        Ok(Document { content_type: "application/json", body })
    }

    fn wire(&self) -> Box<dyn MediaWire> {
        Box::new(LinearSocket::default())
    }

    async fn dial(&self, call: &CallToMake) -> Result<String, SendError> {
        let answer_url = call.next_address().unwrap_or_default();
        let token = self.api.token()?;
        let body = json!({
            "to": [{ "type": "phone", "number": call.to.digits() }],
            "from": { "type": "phone", "number": call.from.digits() },
            "answer_url": [answer_url],
            "answer_method": "POST",
            "event_url": [with_reference(&call.status_callback, call.id)],
            "event_method": "POST",
            "ringing_timer": call.ring_seconds.clamp(1, 120),
            "length_timer": call.seconds_max.min(SECONDS_MAX),
        });
        let request = self.api.net.post(&format!("{}/v1/calls", self.api.base));
        let answer = self.api.must(request.bearer_auth(token.expose_secret()).json(&body)).await?;
        let made: NewCall = answer.json().map_err(|_| answers::unreadable(&answer))?;
        if is_id(&made.uuid) { Ok(made.uuid) } else { Err(answers::unreadable(&answer)) }
    }

    async fn hang_up(&self, carrier_call_id: &str) -> Result<(), SendError> {
        if !is_id(carrier_call_id) {
            return Err(answers::bad_call_id());
        }
        let token = self.api.token()?;
        let url = format!("{}/v1/calls/{carrier_call_id}", self.api.base);
        let request = self.api.net.request(Method::PUT, &url).bearer_auth(token.expose_secret());
        match self.api.must(request.json(&json!({ "action": "hangup" }))).await {
            Ok(_) => Ok(()),
            // 400 and 404: it is over.
            Err(error) if ["HTTP 400", "HTTP 404"].iter().any(|gone| error.detail.starts_with(gone)) => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Application {
    capabilities: Capabilities,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Capabilities {
    voice: Option<VoiceCapability>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct VoiceCapability {
    webhooks: Webhooks,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Webhooks {
    answer_url: Webhook,
    event_url: Webhook,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Webhook {
    address: String,
    http_method: String,
}

impl Api {
    /// Compares the application's addresses for calls with ours.
    pub(super) async fn check_voice_addresses(&self, callback_base: &str) -> Result<Vec<String>, SendError> {
        let url = format!("{}/v2/applications/{}", self.base, self.application_id);
        let answer = self.must(self.basic(self.net.get(&url))).await?;
        let application: Application = answer.json().map_err(|_| answers::unreadable(&answer))?;
        let Some(voice) = application.capabilities.voice else {
            return Ok(vec![
                "the application has no Voice capability: no calls come in or go out".to_owned(),
            ]);
        };
        let Webhooks { answer_url, event_url } = voice.webhooks;
        let mut wrong = Vec::new();
        for (what, hook, door) in [("answer", answer_url, "voice"), ("event", event_url, "call-status")] {
            let wanted = format!("{callback_base}/{door}");
            if hook.address != wanted {
                wrong.push(format!("the application's {what} URL for calls is not {wanted}"));
            } else if !hook.http_method.eq_ignore_ascii_case("POST") {
                // What comes by GET has no body, so no signature covers it.
                wrong.push(format!("the application's {what} URL for calls must be called by POST"));
            }
        }
        Ok(wrong)
    }
}
