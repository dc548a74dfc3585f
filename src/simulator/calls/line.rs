//! What the carrier asks and tells its customer about one call: signed requests with a form.

use std::time::Duration;

use super::document::{self, Verb};
use super::session::Placing;
use crate::simulator::Simulator;
use crate::simulator::callback::{CallbackKind, CallbackRequest, Verb as Method};
use crate::simulator::message::{API_VERSION, Status, rfc2822};

/// Where news of a call go.
#[derive(Debug, Clone, Default)]
pub struct News {
    /// The customer's address, when he wants to hear.
    pub url: Option<String>,
    /// `initiated`, `ringing`, `answered`, `completed`.
    pub events: Vec<String>,
    sequence: u32,
}

impl News {
    pub fn new(url: Option<String>, events: Vec<String>) -> News {
        News { url, events, sequence: 0 }
    }
}

impl Simulator {
    fn call_params(&self, placing: &Placing, outbound: bool, status: &str) -> Vec<(String, String)> {
        let (from, to) =
            if outbound { (&placing.number, &placing.phone) } else { (&placing.phone, &placing.number) };
        let direction = if outbound { "outbound-api" } else { "inbound" };
        let mut params = vec![
            ("CallSid", placing.sid.clone()),
            ("AccountSid", self.settings().account_sid.clone()),
            ("From", from.as_str().to_owned()),
            ("To", to.as_str().to_owned()),
            ("Caller", from.as_str().to_owned()),
            ("Called", to.as_str().to_owned()),
            ("CallStatus", status.to_owned()),
            ("Direction", direction.to_owned()),
            ("ApiVersion", API_VERSION.to_owned()),
        ];
        if !outbound {
            params.push(("StirVerstat", "TN-Validation-Passed-A".to_owned()));
        }
        params.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    async fn request(&self, sid: &str, url: &str, params: Vec<(String, String)>) -> Option<(String, String)> {
        let request = CallbackRequest {
            kind: CallbackKind::Call,
            sid: sid.to_owned(),
            status: Status::Received,
            url: url.to_owned(),
            verb: Method::Post,
            params,
            token: uuid::Uuid::new_v4().to_string(),
            attempt: 1,
            retries: 0,
            fallback: None,
            origin: None,
        };
        let settings = self.settings();
        let answer =
            request.send(&self.inner.http, &settings.auth_token, settings.delays.callback_timeout).await;
        self.state().note_call(&request, &answer.outcome, settings.clock.now());
        answer.outcome.is_taken().then_some((answer.content_type, answer.body))
    }

    /// Asks the customer what to do with a call.
    pub(super) async fn ask(
        &self,
        placing: &Placing,
        outbound: bool,
        status: &str,
        url: &str,
        more: &[(&str, &str)],
    ) -> Option<Vec<Verb>> {
        let mut params = self.call_params(placing, outbound, status);
        params.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let (content_type, body) = self.request(&placing.sid, url, params).await?;
        document::read(&content_type, &body)
    }

    /// Tells the customer how far a call is, when he wants to hear it; `SequenceNumber` says in which order.
    pub(super) async fn announce_call(
        &self,
        placing: &Placing,
        outbound: bool,
        news: &mut News,
        event: &str,
        status: &str,
        duration: Option<Duration>,
    ) {
        let Some(url) = news.url.clone().filter(|_| news.events.iter().any(|wanted| wanted == event)) else {
            return;
        };
        let mut params = self.call_params(placing, outbound, status);
        params.push(("Timestamp".to_owned(), rfc2822(self.settings().clock.now())));
        params.push(("CallbackSource".to_owned(), "call-progress-events".to_owned()));
        params.push(("SequenceNumber".to_owned(), news.sequence.to_string()));
        if let Some(duration) = duration {
            params.push(("CallDuration".to_owned(), duration.as_secs().to_string()));
        }
        news.sequence += 1;
        self.request(&placing.sid, &url, params).await;
    }
}
