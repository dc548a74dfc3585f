//! The REST API: send a message, look for one, look at the account.
//!
//! Our own id travels in the query of `webhook_url`. It comes back in the signed body of every receipt, and stands in
//! the detail records, so an unknown send is settled exactly.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{errors, parse};
use crate::carriers::{
    Accepted, Found, GroupToSend, ReceiptState, SendError, SentQuery, SmsToSend, answers, outgoing,
};
use crate::net::{Answer, Limits, Method, Net, Request};
use crate::phone::E164;

/// It answers in tenths of a second; later it is most likely lost.
const LIMITS: Limits = Limits { total: Duration::from_secs(15), answer_bytes_max: 1 << 20 };
/// A page of detail records; the newest come first, and two ends exchange few messages in between.
const PAGE_SIZE: &str = "50";

/// One account at the API.
pub(super) struct Api {
    pub(super) net: Net,
    /// Without a trailing slash and without the version.
    pub(super) base: String,
    pub(super) api_key: SecretString,
    /// The messaging profile that new numbers join.
    pub(super) profile: Option<String>,
    /// The voice connection that new numbers join.
    pub(super) connection: Option<String>,
}

/// What every answer is wrapped in.
#[derive(Deserialize)]
pub(super) struct Data<T> {
    pub(super) data: T,
}

#[derive(Serialize)]
struct NewMessage<'a> {
    from: &'a str,
    to: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    text: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    media_urls: &'a [String],
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_url: Option<String>,
    use_profile_webhooks: bool,
}

/// `POST /v2/messages/group_mms`.
#[derive(Serialize)]
struct NewGroupMessage<'a> {
    from: &'a str,
    to: Vec<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    text: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    media_urls: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_url: Option<String>,
    use_profile_webhooks: bool,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    id: String,
    /// The same for all that are told of one by one.
    #[serde(default)]
    group_message_id: Option<String>,
    #[serde(default)]
    parts: Option<u16>,
    #[serde(default)]
    to: Vec<Receiver>,
}

#[derive(Deserialize)]
struct Receiver {
    #[serde(default)]
    status: Option<String>,
}

#[derive(Deserialize)]
struct DetailRecord {
    #[serde(default)]
    uuid: Option<String>,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    delivery_status_webhook_url: Option<String>,
}

#[derive(Deserialize)]
struct Balance {
    #[serde(default)]
    balance: String,
    #[serde(default)]
    currency: String,
}

#[derive(Deserialize)]
struct Profile {
    #[serde(default)]
    enabled: Option<bool>,
    #[serde(default)]
    webhook_url: Option<String>,
    #[serde(default)]
    webhook_api_version: Option<String>,
}

/// Where receipts go, with our own id.
fn webhook_for(sms: &SmsToSend) -> Option<String> {
    let callback = &sms.status_callback;
    let mark = if callback.contains('?') { '&' } else { '?' };
    (!callback.is_empty()).then(|| format!("{callback}{mark}{}={}", parse::REFERENCE, sms.id))
}

impl Api {
    /// Begins a request to a path of version 2.
    pub(super) fn request(&self, method: Method, path: &str) -> Request {
        self.net
            .request(method, &format!("{}/v2{path}", self.base))
            .bearer_auth(self.api_key.expose_secret())
            .header("Accept", "application/json")
    }

    /// Sends a request and reads the answer.
    pub(super) async fn ask<T: DeserializeOwned>(&self, request: Request) -> Result<T, SendError> {
        let answer = self.ask_raw(request).await?;
        answer.json().map_err(|_| answers::unreadable(&answer))
    }

    /// Sends a request; every answer that is not a success is an error.
    pub(super) async fn ask_raw(&self, request: Request) -> Result<Answer, SendError> {
        let answer = request.send(LIMITS).await.map_err(|error| answers::from_net(&error))?;
        if answer.is_success() { Ok(answer) } else { Err(errors::from_answer(&answer)) }
    }

    /// Hands over a message.
    pub(super) async fn send(&self, sms: &SmsToSend) -> Result<Accepted, SendError> {
        let webhook = webhook_for(sms);
        let message = NewMessage {
            from: sms.from.as_str(),
            to: sms.to.as_str(),
            text: &sms.text,
            media_urls: &sms.media_urls,
            kind: if sms.media_urls.is_empty() { "SMS" } else { "MMS" },
            use_profile_webhooks: webhook.is_some(),
            webhook_url: webhook,
        };
        // The vendor's SDK knows this header for messages; nothing relies on it.
        let request = self.request(Method::POST, "/messages").header("Idempotency-Key", &sms.id.to_string());
        let answer = self.ask_raw(request.json(&message)).await?;
        let sent: Data<Message> = answer.json().map_err(|_| answers::unreadable(&answer))?;
        if sent.data.id.is_empty() {
            return Err(answers::unreadable(&answer));
        }
        let status = sent.data.to.first().and_then(|receiver| receiver.status.as_deref());
        let state = status.and_then(parse::state).unwrap_or(ReceiptState::Queued);
        let segment_count = sent.data.parts.filter(|parts| *parts > 0);
        Ok(Accepted { carrier_message_id: sent.data.id, state, segment_count })
    }

    /// Hands over a message to a group.
    pub(super) async fn send_group(&self, group: &GroupToSend) -> Result<Accepted, SendError> {
        let sms = &group.sms;
        let webhook = webhook_for(sms);
        let message = NewGroupMessage {
            from: sms.from.as_str(),
            to: group.phones().map(E164::as_str).collect(),
            text: &sms.text,
            media_urls: &sms.media_urls,
            use_profile_webhooks: webhook.is_some(),
            webhook_url: webhook,
        };
        let request = self.request(Method::POST, "/messages/group_mms");
        let request = request.header("Idempotency-Key", &sms.id.to_string());
        let answer = self.ask_raw(request.json(&message)).await?;
        let sent: Data<Message> = answer.json().map_err(|_| answers::unreadable(&answer))?;
        let id = sent.data.group_message_id.filter(|id| !id.is_empty()).unwrap_or(sent.data.id);
        if id.is_empty() {
            return Err(answers::unreadable(&answer));
        }
        let carrier_message_id = outgoing::whole_id(&id, group.phones());
        Ok(Accepted { carrier_message_id, state: ReceiptState::Queued, segment_count: None })
    }

    /// Looks for a message among the detail records, by the address that we gave with it.
    pub(super) async fn find(&self, query: &SentQuery) -> Result<Found, SendError> {
        let request = self.request(Method::GET, "/detail_records").query(&[
            ("filter[record_type]", "messaging"),
            ("filter[direction]", "outbound"),
            ("filter[cli]", query.from.as_str()),
            ("filter[cld]", query.to.as_str()),
            ("sort", "-created_at"),
            ("page[size]", PAGE_SIZE),
        ]);
        let records: Data<Vec<DetailRecord>> = self.ask(request).await?;
        let is_ours = |record: &DetailRecord| {
            let url = record.delivery_status_webhook_url.as_deref();
            url.and_then(parse::reference) == Some(query.id)
        };
        let Some(record) = records.data.into_iter().find(is_ours) else { return Ok(Found::No) };
        let state = record.status.as_deref().and_then(parse::state).unwrap_or(ReceiptState::Queued);
        Ok(record
            .uuid
            .filter(|id| !id.is_empty())
            .map_or(Found::CannotTell, |carrier_message_id| Found::Sent { carrier_message_id, state }))
    }

    /// Looks at the account.
    pub(super) async fn check(&self) -> Result<String, SendError> {
        let balance: Data<Balance> = self.ask(self.request(Method::GET, "/balance")).await?;
        let plain = |text: &str| text.chars().filter(|c| c.is_ascii_graphic()).take(24).collect::<String>();
        Ok(format!(
            "the key is good; the balance is {} {}",
            plain(&balance.data.balance),
            plain(&balance.data.currency)
        ))
    }

    /// Compares the messaging profile's address with ours.
    pub(super) async fn check_addresses(
        &self,
        callback_base: &str,
    ) -> Result<Option<Vec<String>>, SendError> {
        let Some(profile) = &self.profile else { return Ok(None) };
        let path = format!("/messaging_profiles/{profile}");
        let profile: Data<Profile> = self.ask(self.request(Method::GET, &path)).await?;
        let (profile, wanted) = (profile.data, format!("{callback_base}/messages"));
        let mut wrong = Vec::new();
        if profile.webhook_url.as_deref() != Some(wanted.as_str()) {
            wrong.push(format!("the messaging profile's webhook URL is not {wanted}: nothing comes in"));
        }
        if profile.webhook_api_version.as_deref().is_some_and(|version| version != "2") {
            wrong.push("the messaging profile's webhook API version is not 2".to_owned());
        }
        if profile.enabled == Some(false) {
            wrong.push("the messaging profile is switched off".to_owned());
        }
        Ok(Some(wrong))
    }
}
