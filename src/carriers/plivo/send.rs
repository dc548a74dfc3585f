//! The Message API: send a message, look whether one exists, look at the account.
//!
//! `/v1/Account/{auth_id}/Message/`, JSON. There is no idempotency key, so our own id travels in the address of the
//! status callback, which the signature covers, and comes back with the first receipt.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{errors, parse};
use crate::carriers::answers;
use crate::carriers::{Accepted, Found, ReceiptState, Retry, SendError, SentQuery, SmsToSend};
use crate::clock::Timestamp;
use crate::net::{Answer, Limits, Net, Request};

/// Plivo answers in tenths of a second; later it is most likely lost.
const LIMITS: Limits = Limits { total: Duration::from_secs(15), answer_bytes_max: 512 << 10 };
/// The carrier's clock may be a little behind ours.
const CLOCK_SKEW: Duration = Duration::from_secs(3);

/// One account at the API.
pub(super) struct Api {
    pub(super) net: Net,
    /// Without a trailing slash.
    pub(super) base: String,
    pub(super) auth_id: String,
    pub(super) auth_token: SecretString,
    /// The application that numbers are bound to.
    pub(super) app_id: Option<String>,
}

#[derive(Serialize)]
struct NewMessage<'a> {
    src: &'a str,
    dst: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    text: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    media_urls: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'static str>,
}

#[derive(Deserialize)]
struct Sent {
    #[serde(default)]
    message_uuid: Value,
    #[serde(default)]
    invalid_number: Vec<String>,
}

impl Sent {
    /// The id; a list of one, though a bare text does no harm.
    fn id(&self) -> Option<&str> {
        let id = match &self.message_uuid {
            Value::Array(ids) => ids.first()?.as_str()?,
            other => other.as_str()?,
        };
        Some(id).filter(|id| parse::is_id(id))
    }
}

#[derive(Deserialize)]
struct MessageList {
    #[serde(default)]
    objects: Vec<Value>,
}

#[derive(Deserialize)]
struct Account {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Application {
    #[serde(default)]
    message_url: Option<String>,
    #[serde(default)]
    message_method: Option<String>,
}

impl Api {
    /// The address of something of the account; Plivo wants the slash at the end.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}/v1/Account/{}/{path}", self.base, self.auth_id)
    }

    fn authorized(&self, request: Request) -> Request {
        request.basic_auth(&self.auth_id, self.auth_token.expose_secret())
    }

    /// Sends a request and reads its answer, whatever its status.
    pub(super) async fn ask(&self, request: Request) -> Result<Answer, SendError> {
        self.authorized(request).send(LIMITS).await.map_err(|error| answers::from_net(&error))
    }

    /// Sends a request that must succeed.
    pub(super) async fn must(&self, request: Request) -> Result<Answer, SendError> {
        let answer = self.ask(request).await?;
        if answer.is_success() { Ok(answer) } else { Err(errors::from_answer(&answer)) }
    }

    /// Hands over one SMS or MMS.
    pub(super) async fn send(&self, sms: &SmsToSend) -> Result<Accepted, SendError> {
        let wanted = !sms.status_callback.is_empty();
        let message = NewMessage {
            src: sms.from.digits(),
            dst: sms.to.digits(),
            text: &sms.text,
            kind: if sms.media_urls.is_empty() { "sms" } else { "mms" },
            media_urls: &sms.media_urls,
            url: wanted.then(|| format!("{}?{}={}", sms.status_callback, parse::REFERENCE, sms.id)),
            method: wanted.then_some("POST"),
        };
        let answer = self.must(self.net.post(&self.url("Message/")).json(&message)).await?;
        let sent: Sent = answer.json().map_err(|_| answers::unreadable(&answer))?;
        let Some(id) = sent.id() else {
            if sent.invalid_number.is_empty() {
                return Err(answers::unreadable(&answer));
            }
            return Err(SendError {
                retry: Retry::Never,
                certain: true,
                code: "bad_number".to_owned(),
                whole_carrier: false,
                detail: "the carrier counts the number among the invalid ones".to_owned(),
            });
        };
        Ok(Accepted { carrier_message_id: id.to_owned(), state: ReceiptState::Queued, segment_count: None })
    }

    /// Looks for messages with these ends since that time. The list shows no texts, so one that is there may be
    /// another one of ours: only its absence says something.
    pub(super) async fn find(&self, query: &SentQuery) -> Result<Found, SendError> {
        let since = time_filter(query.not_before.minus(CLOCK_SKEW));
        let pairs = [
            ("message_direction", "outbound"),
            ("from_number", query.from.digits()),
            ("to_number", query.to.digits()),
            ("message_time__gte", since.as_str()),
            ("limit", "20"),
            ("offset", "0"),
        ];
        let answer = self.must(self.net.get(&self.url("Message/")).query(&pairs)).await?;
        let list: MessageList = answer.json().map_err(|_| answers::unreadable(&answer))?;
        Ok(if list.objects.is_empty() { Found::No } else { Found::CannotTell })
    }

    /// Looks at the account and, when one is set, at its application.
    pub(super) async fn check(&self, carrier_id: &str) -> Result<String, SendError> {
        let answer = self.must(self.net.get(&self.url(""))).await?;
        let account: Account = answer.json().map_err(|_| answers::unreadable(&answer))?;
        let name: String = account.name.chars().filter(|c| !c.is_control()).take(64).collect();
        let Some(app_id) = &self.app_id else {
            return Ok(format!(
                "the account “{name}” answers; set app_id to have its application checked too"
            ));
        };
        let answer = self.must(self.net.get(&self.url(&format!("Application/{app_id}/")))).await?;
        let application: Application = answer.json().map_err(|_| answers::unreadable(&answer))?;
        let url = application.message_url.unwrap_or_default();
        let wanted = format!("/carriers/{carrier_id}/messages");
        let post = application.message_method.is_none_or(|method| method.eq_ignore_ascii_case("POST"));
        if !url.ends_with(&wanted) || !post {
            let shown: String = url.chars().take(120).collect();
            return Err(answers::misconfigured(format!(
                "the application's message_url must be your public address with {wanted} and its method POST; it is \
                 “{shown}”"
            )));
        }
        Ok(format!("the account “{name}” answers, and its application sends messages to us"))
    }
}

/// `2026-01-15 12:00:00`, UTC.
fn time_filter(at: Timestamp) -> String {
    at.to_rfc3339().chars().take(19).map(|c| if c == 'T' { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_list_wants_them() {
        let at = Timestamp::from_rfc3339("2026-01-15T12:00:07.5Z").unwrap();
        assert_eq!(time_filter(at), "2026-01-15 12:00:07");
    }

    #[test]
    fn ids_are_read_from_lists_and_texts() {
        let id = |body: &str| serde_json::from_str::<Sent>(body).unwrap().id().map(str::to_owned);
        assert_eq!(id(r#"{"message_uuid":["a-1"]}"#).as_deref(), Some("a-1"));
        assert_eq!(id(r#"{"message_uuid":"a-1"}"#).as_deref(), Some("a-1"));
        assert_eq!(id(r#"{"message_uuid":[]}"#), None);
        assert_eq!(id(r#"{"message_uuid":["a b"]}"#), None);
        assert_eq!(id("{}"), None);
    }
}
