//! Calls: Plivo XML, the Call API, its callbacks and audio streams.
//!
//! Voice API, version 1; `<Stream>` with `bidirectional` and `keepCallAlive`, as of 2026.

mod document;
mod parse;
mod wire;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use self::wire::AudioStream;
use super::parse::is_id;
use super::send::Api;
use super::{Plivo, TOO_MANY, fields_of};
use crate::carriers::voice::{
    CallEvent, CallToMake, Document, HeldCall, MediaWire, Step, Voice, with_reference,
};
use crate::carriers::{BadSignature, CallbackRequest, Carrier as _, ParseError, SendError, answers};
use crate::net::Method;

#[derive(Serialize)]
struct NewCall<'a> {
    from: &'a str,
    to: &'a str,
    answer_url: &'a str,
    answer_method: &'static str,
    ring_url: &'a str,
    ring_method: &'static str,
    hangup_url: &'a str,
    hangup_method: &'static str,
    ring_timeout: u16,
    time_limit: u32,
}

/// One address gives one call; the API may also answer with a list.
#[derive(Deserialize)]
struct Fired {
    request_uuid: OneOrMany,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Application {
    answer_url: Option<String>,
    answer_method: Option<String>,
    hangup_url: Option<String>,
    hangup_method: Option<String>,
}

#[async_trait]
impl Voice for Plivo {
    fn parse_call(&self, request: &CallbackRequest<'_>) -> Result<CallEvent, ParseError> {
        let form = fields_of(request).ok_or_else(|| ParseError(TOO_MANY.to_owned()))?;
        parse::event(request, &form)
    }

    /// The upgrade is signed like any GET; whether over the scheme of sockets or the one of requests, the vendor does
    /// not say.
    fn verify_socket(&self, request: &CallbackRequest<'_>) -> Result<(), BadSignature> {
        self.verify(request).or_else(|_| {
            let url = request.url.replacen("ws", "http", 1);
            self.verify(&CallbackRequest {
                method: request.method,
                url: &url,
                headers: request.headers,
                body: request.body,
                now: request.now,
            })
        })
    }

    async fn carry_out(&self, _call: HeldCall<'_>, steps: &[Step]) -> Result<Document, SendError> {
        Ok(Document { content_type: "application/xml", body: document::render(steps) })
    }

    fn wire(&self) -> Box<dyn MediaWire> {
        Box::new(AudioStream::default())
    }

    async fn dial(&self, call: &CallToMake) -> Result<String, SendError> {
        let answer_url = call.next_address().unwrap_or_default();
        let status = with_reference(&call.status_callback, call.id);
        let body = NewCall {
            from: call.from.digits(),
            to: call.to.digits(),
            answer_url,
            answer_method: "POST",
            ring_url: &status,
            ring_method: "POST",
            hangup_url: &status,
            hangup_method: "POST",
            ring_timeout: call.ring_seconds,
            time_limit: call.seconds_max,
        };
        let answer = self.api.must(self.api.net.post(&self.api.url("Call/")).json(&body)).await?;
        let fired: Fired = answer.json().map_err(|_| answers::unreadable(&answer))?;
        let id = match fired.request_uuid {
            OneOrMany::One(id) => Some(id),
            OneOrMany::Many(ids) => ids.into_iter().next(),
        };
        id.filter(|id| is_id(id)).ok_or_else(|| answers::unreadable(&answer))
    }

    async fn hang_up(&self, carrier_call_id: &str) -> Result<(), SendError> {
        if !is_id(carrier_call_id) {
            return Err(answers::bad_call_id());
        }
        // What is not a call yet is a request for one; what is neither is over.
        for path in [format!("Call/{carrier_call_id}/"), format!("Request/{carrier_call_id}/")] {
            let request = self.api.net.request(Method::DELETE, &self.api.url(&path));
            match self.api.must(request).await {
                Ok(_) => return Ok(()),
                Err(error) if error.detail.starts_with("HTTP 404") => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Api {
    /// Compares the application's addresses for calls with ours.
    pub(super) async fn check_voice_addresses(
        &self,
        callback_base: &str,
    ) -> Result<Option<Vec<String>>, SendError> {
        let Some(app_id) = &self.app_id else { return Ok(None) };
        let answer = self.must(self.net.get(&self.url(&format!("Application/{app_id}/")))).await?;
        let found: Application = answer.json().map_err(|_| answers::unreadable(&answer))?;
        let fields = [
            ("answer", found.answer_url, found.answer_method, "voice"),
            ("hangup", found.hangup_url, found.hangup_method, "call-status"),
        ];
        let mut wrong = Vec::new();
        for (what, address, method, door) in fields {
            let wanted = format!("{callback_base}/{door}");
            if address.as_deref() != Some(wanted.as_str()) {
                wrong.push(format!("the application's {what} URL is not {wanted}"));
            } else if method.as_deref().is_some_and(|method| !method.eq_ignore_ascii_case("POST")) {
                wrong.push(format!("the application's {what} URL must be called by POST"));
            }
        }
        Ok(Some(wrong))
    }
}
