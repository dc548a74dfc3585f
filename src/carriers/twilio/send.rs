//! The REST API: send a message, look for one, look at the account.
//!
//! Programmable Messaging, `/2010-04-01/Accounts/{sid}/Messages.json`. There is no idempotency key, so our own id
//! travels in the address of the status callback and comes back with the first receipt.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::Value;

use super::{errors, parse};
use crate::carriers::{Accepted, Found, ReceiptState, Retry, SendError, SentQuery, SmsToSend, answers};
use crate::clock::Timestamp;
use crate::net::{Answer, Limits, Method, Net, Request};

/// Twilio answers in tenths of a second; later it is most likely lost.
const LIMITS: Limits = Limits { total: Duration::from_secs(15), answer_bytes_max: 512 << 10 };
/// A page of the list; the newest come first, and two ends exchange few messages between intent and question.
const PAGE_SIZE: &str = "50";
/// After so many pages we give up telling.
const PAGES_MAX: usize = 4;
/// The carrier's clock counts whole seconds and may be a little behind ours.
const CLOCK_SKEW: Duration = Duration::from_secs(3);

/// One account at the API.
pub(super) struct Api {
    pub(super) net: Net,
    /// Without a trailing slash.
    pub(super) base: String,
    pub(super) account_sid: String,
    /// The account's sid or an API key's.
    pub(super) user: String,
    pub(super) password: SecretString,
    /// Connection overrides for status callbacks (`rc=3&rp=5xx,ct,rt`), when the operator wants them.
    pub(super) overrides: Option<String>,
}

/// A message as the API shows it. Numbers come as texts, but nothing shall break when they do not.
#[derive(Deserialize)]
struct MessageResource {
    sid: String,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    num_segments: Value,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    date_created: Option<String>,
    #[serde(default)]
    direction: Option<String>,
}

impl MessageResource {
    fn state(&self) -> ReceiptState {
        self.status.as_deref().and_then(parse::state).unwrap_or(ReceiptState::Queued)
    }

    fn segment_count(&self) -> Option<u16> {
        let count = match &self.num_segments {
            Value::String(text) => text.parse().ok(),
            other => other.as_u64().and_then(|n| u16::try_from(n).ok()),
        };
        count.filter(|count| *count > 0)
    }

    fn created_at(&self) -> Option<Timestamp> {
        let at = jiff::fmt::rfc2822::parse(self.date_created.as_deref()?).ok()?;
        Some(Timestamp(at.timestamp().as_microsecond()))
    }

    /// Whether this is the message asked for. The carrier may drop spaces at the end.
    fn is_meant(&self, query: &SentQuery) -> bool {
        let outbound = self.direction.as_deref().is_none_or(|direction| direction.starts_with("outbound"));
        let text = self.body.as_deref().unwrap_or_default();
        outbound && text.trim_end() == query.text.trim_end()
    }
}

/// A page of messages.
#[derive(Deserialize)]
struct MessageList {
    #[serde(default)]
    messages: Vec<MessageResource>,
    #[serde(default)]
    next_page_uri: Option<String>,
}

#[derive(Deserialize)]
struct AccountResource {
    #[serde(default)]
    friendly_name: String,
    #[serde(default)]
    status: String,
}

impl Api {
    pub(super) fn account_path(&self) -> String {
        format!("/2010-04-01/Accounts/{}", self.account_sid)
    }

    fn authorized(&self, request: Request) -> Request {
        request.basic_auth(&self.user, self.password.expose_secret()).header("Accept", "application/json")
    }

    pub(super) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Answer, SendError> {
        let request = self.net.get(&format!("{}{path}", self.base));
        // Without pairs `query` would still leave a lone question mark.
        let request = if query.is_empty() { request } else { request.query(query) };
        let answer =
            self.authorized(request).send(LIMITS).await.map_err(|error| answers::from_net(&error))?;
        if answer.is_success() { Ok(answer) } else { Err(errors::from_answer(&answer)) }
    }

    pub(super) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Result<Answer, SendError> {
        let request = self.authorized(self.net.post(&format!("{}{path}", self.base))).form(form);
        let answer = request.send(LIMITS).await.map_err(|error| answers::from_net(&error))?;
        if answer.is_success() { Ok(answer) } else { Err(errors::from_answer(&answer)) }
    }

    /// Deletes; what is gone already is deleted.
    pub(super) async fn delete(&self, path: &str) -> Result<(), SendError> {
        let request = self.authorized(self.net.request(Method::DELETE, &format!("{}{path}", self.base)));
        let answer = request.send(LIMITS).await.map_err(|error| answers::from_net(&error))?;
        if answer.is_success() || answer.status == 404 { Ok(()) } else { Err(errors::from_answer(&answer)) }
    }

    /// The status address with our reference, so that a receipt finds its message even when the answer to the send
    /// was lost.
    fn callback(&self, sms: &SmsToSend) -> String {
        let mark = if sms.status_callback.contains('?') { '&' } else { '?' };
        let mut callback = format!("{}{mark}{}={}", sms.status_callback, parse::REFERENCE, sms.id);
        if let Some(overrides) = &self.overrides {
            callback.push('#');
            callback.push_str(overrides);
        }
        callback
    }

    /// Hands over a message.
    pub(super) async fn send(&self, sms: &SmsToSend) -> Result<Accepted, SendError> {
        let callback = self.callback(sms);
        let mut form = vec![("To", sms.to.as_str()), ("From", sms.from.as_str())];
        if !sms.text.is_empty() || sms.media_urls.is_empty() {
            form.push(("Body", sms.text.as_str()));
        }
        form.extend(sms.media_urls.iter().map(|url| ("MediaUrl", url.as_str())));
        if !sms.status_callback.is_empty() {
            form.push(("StatusCallback", callback.as_str()));
        }
        let answer = self.post(&format!("{}/Messages.json", self.account_path()), &form).await?;
        let message: MessageResource = answer.json().map_err(|_| answers::unreadable(&answer))?;
        if message.sid.is_empty() {
            return Err(answers::unreadable(&answer));
        }
        let (state, segment_count) = (message.state(), message.segment_count());
        Ok(Accepted { carrier_message_id: message.sid, state, segment_count })
    }

    /// Looks for a message by its ends, its text and its time.
    pub(super) async fn find(&self, query: &SentQuery) -> Result<Found, SendError> {
        let list_path = format!("{}/Messages.json", self.account_path());
        // Without DateSent: a message that still waits has none, and it is the one that must not be missed.
        let pairs = [("To", query.to.as_str()), ("From", query.from.as_str()), ("PageSize", PAGE_SIZE)];
        let not_before = query.not_before.minus(CLOCK_SKEW);
        let mut answer = self.get(&list_path, &pairs).await?;
        let mut found: Option<MessageResource> = None;
        for _ in 0..PAGES_MAX {
            let page: MessageList = answer.json().map_err(|_| answers::unreadable(&answer))?;
            let mut past_the_time = false;
            for message in page.messages {
                if message.created_at().is_some_and(|at| at < not_before) {
                    past_the_time = true;
                } else if message.is_meant(query) && found.replace(message).is_some() {
                    return Ok(Found::CannotTell);
                }
            }
            let next = page.next_page_uri.filter(|uri| !past_the_time && uri.starts_with(&list_path));
            let Some(next) = next else {
                return Ok(found.map_or(Found::No, |message| {
                    let state = message.state();
                    Found::Sent { carrier_message_id: message.sid, state }
                }));
            };
            answer = self.get(&next, &[]).await?;
        }
        Ok(Found::CannotTell)
    }

    /// Looks at the account.
    pub(super) async fn check(&self) -> Result<String, SendError> {
        let answer = self.get(&format!("{}.json", self.account_path()), &[]).await?;
        let account: AccountResource = answer.json().map_err(|_| answers::unreadable(&answer))?;
        if account.status != "active" {
            return Err(SendError {
                retry: Retry::Backoff,
                certain: true,
                code: "carrier_account_inactive".to_owned(),
                whole_carrier: true,
                detail: format!("the account is {}", account.status.chars().take(32).collect::<String>()),
            });
        }
        let name: String = account.friendly_name.chars().filter(|c| !c.is_control()).take(64).collect();
        Ok(format!("the account “{name}” is active"))
    }
}
