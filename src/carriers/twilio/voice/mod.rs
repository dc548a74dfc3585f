//! Calls: TwiML documents, Calls.json, call progress callbacks and Media Streams.
//!
//! Programmable Voice, API version 2010-04-01; Media Streams as of “Media Streams: WebSocket messages”.

mod document;
mod parse;
mod wire;

use async_trait::async_trait;
use serde::Deserialize;

use self::wire::MediaStream;
use super::{Twilio, fields_of};
use crate::carriers::voice::{CallEvent, CallToMake, Document, HeldCall, MediaWire, Step, Voice};
use crate::carriers::{BadSignature, CallbackRequest, Carrier as _, ParseError, SendError, answers};

/// “Call is not in-progress”: what is to be ended is over.
const NOT_IN_PROGRESS: &str = "21220";
/// What we want to hear of a call.
const EVENTS: [&str; 4] = ["initiated", "ringing", "answered", "completed"];

/// A call as the API shows it.
#[derive(Deserialize)]
struct CallResource {
    sid: String,
}

#[async_trait]
impl Voice for Twilio {
    fn parse_call(&self, request: &CallbackRequest<'_>) -> Result<CallEvent, ParseError> {
        let form = fields_of(request).ok_or_else(|| ParseError(super::TOO_MANY.to_owned()))?;
        parse::event(request, &form)
    }

    fn verify_socket(&self, request: &CallbackRequest<'_>) -> Result<(), BadSignature> {
        self.verify(request)
    }

    async fn carry_out(&self, _call: HeldCall<'_>, steps: &[Step]) -> Result<Document, SendError> {
        Ok(Document { content_type: "text/xml", body: document::render(steps) })
    }

    fn wire(&self) -> Box<dyn MediaWire> {
        Box::new(MediaStream::default())
    }

    async fn dial(&self, call: &CallToMake) -> Result<String, SendError> {
        let document = document::render(&call.steps);
        let mark = if call.status_callback.contains('?') { '&' } else { '?' };
        let callback = format!("{}{mark}{}={}", call.status_callback, super::parse::REFERENCE, call.id);
        let (timeout, limit) = (call.ring_seconds.to_string(), call.seconds_max.to_string());
        let mut form = vec![
            ("To", call.to.as_str()),
            ("From", call.from.as_str()),
            ("Twiml", document.as_str()),
            ("Timeout", timeout.as_str()),
            ("TimeLimit", limit.as_str()),
            ("StatusCallback", callback.as_str()),
        ];
        form.extend(EVENTS.map(|event| ("StatusCallbackEvent", event)));
        let answer = self.api.post(&format!("{}/Calls.json", self.api.account_path()), &form).await?;
        let made: CallResource = answer.json().map_err(|_| answers::unreadable(&answer))?;
        if made.sid.is_empty() { Err(answers::unreadable(&answer)) } else { Ok(made.sid) }
    }

    async fn hang_up(&self, carrier_call_id: &str) -> Result<(), SendError> {
        if !parse::is_id(carrier_call_id) {
            return Err(answers::bad_call_id());
        }
        let path = format!("{}/Calls/{carrier_call_id}.json", self.api.account_path());
        match self.api.post(&path, &[("Status", "completed")]).await {
            Ok(_) => Ok(()),
            Err(error) if error.detail.contains(NOT_IN_PROGRESS) || error.detail.starts_with("HTTP 404") => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}
