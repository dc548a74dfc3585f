//! The messaging API: send a message, look for one, look at the application.
//!
//! There is no idempotency key, so our own id travels as `tag`, which every receipt repeats. The carrier keeps no text
//! and its list shows no tag, so looking goes by ends, time and length.

use std::time::Duration;

use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};

use super::access::Tokens;
use super::{errors, xml};
use crate::carriers::{
    Accepted, Found, GroupToSend, ReceiptState, SendError, SentQuery, SmsToSend, answers, outgoing,
};
use crate::net::{Answer, Limits, Method, Net, Request};
use crate::phone::E164;

/// It answers in tenths of a second; later it is most likely lost.
const LIMITS: Limits = Limits { total: Duration::from_secs(15), answer_bytes_max: 1 << 20 };
/// What a search shows at most; two ends exchange few messages between intent and question.
const FOUND_MAX: &str = "100";
/// The carrier's clock may be a little behind ours.
const CLOCK_SKEW: Duration = Duration::from_secs(3);

/// One account at the API.
pub(super) struct Api {
    pub(super) net: Net,
    /// Without a trailing slash.
    pub(super) messaging: String,
    /// Without a trailing slash.
    pub(super) dashboard: String,
    pub(super) tokens: Tokens,
    pub(super) account: String,
    pub(super) application: String,
    /// The sub-account that new numbers join.
    pub(super) site: Option<String>,
    /// The location that new numbers join.
    pub(super) peer: Option<String>,
}

#[derive(Serialize)]
struct NewMessage<'a> {
    #[serde(rename = "applicationId")]
    application: &'a str,
    from: &'a str,
    to: Vec<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    text: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    media: &'a [String],
    tag: String,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    id: String,
    #[serde(default, rename = "segmentCount")]
    segment_count: Option<u16>,
}

#[derive(Deserialize)]
struct MessageList {
    #[serde(default)]
    messages: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    #[serde(default, rename = "messageId")]
    id: String,
    #[serde(default, rename = "messageStatus")]
    status: Option<String>,
    #[serde(default, rename = "messageLength")]
    length: Option<usize>,
}

impl Listed {
    fn state(&self) -> ReceiptState {
        match self.status.as_deref() {
            Some("SENDING") => ReceiptState::Sending,
            Some("SENT") => ReceiptState::Sent,
            Some("DELIVERED") => ReceiptState::Delivered,
            Some("UNDELIVERED") => ReceiptState::Undelivered,
            Some("FAILED") => ReceiptState::Failed,
            _ => ReceiptState::Queued,
        }
    }
}

impl Api {
    /// Sends a request with the token; one that is refused is renewed once. A 401 is certain: nothing was done.
    pub(super) async fn ask(&self, request: impl Fn() -> Request) -> Result<Answer, SendError> {
        let mut token = self.tokens.current().await?;
        for attempt in 0..2 {
            let authorized = request().bearer_auth(token.expose_secret());
            let answer = authorized.send(LIMITS).await.map_err(|error| answers::from_net(&error))?;
            if answer.is_success() {
                return Ok(answer);
            }
            if answer.status != 401 || attempt > 0 {
                return Err(errors::from_answer(&answer));
            }
            token = self.tokens.instead_of(Some(&token)).await?;
        }
        Err(SendError::unsupported("be asked a third time"))
    }

    fn messages(&self, method: Method) -> Request {
        let url = format!("{}/api/v2/users/{}/messages", self.messaging, self.account);
        self.net.request(method, &url).header("Accept", "application/json")
    }

    /// Begins a request to the numbers API of the account.
    pub(super) fn dashboard(&self, method: Method, path: &str) -> Request {
        let url = format!("{}/api/accounts/{}{path}", self.dashboard, self.account);
        self.net.request(method, &url).header("Accept", "application/xml")
    }

    /// Hands over a message.
    pub(super) async fn send(&self, sms: &SmsToSend) -> Result<Accepted, SendError> {
        self.send_to(sms, vec![sms.to.as_str()]).await
    }

    /// Hands over a message to a group: several receivers are one group MMS and not one message for each.
    pub(super) async fn send_group(&self, group: &GroupToSend) -> Result<Accepted, SendError> {
        let accepted = self.send_to(&group.sms, group.phones().map(E164::as_str).collect()).await?;
        let carrier_message_id = outgoing::whole_id(&accepted.carrier_message_id, group.phones());
        Ok(Accepted { carrier_message_id, segment_count: None, ..accepted })
    }

    async fn send_to(&self, sms: &SmsToSend, to: Vec<&str>) -> Result<Accepted, SendError> {
        let message = NewMessage {
            application: &self.application,
            from: sms.from.as_str(),
            to,
            text: &sms.text,
            media: &sms.media_urls,
            tag: sms.id.to_string(),
        };
        let answer = self.ask(|| self.messages(Method::POST).json(&message)).await?;
        let sent: Message = answer.json().map_err(|_| answers::unreadable(&answer))?;
        if sent.id.is_empty() {
            return Err(answers::unreadable(&answer));
        }
        let segment_count = sent.segment_count.filter(|count| *count > 0);
        Ok(Accepted { carrier_message_id: sent.id, state: ReceiptState::Queued, segment_count })
    }

    /// Looks for a message by its ends, its time and the length of its text.
    pub(super) async fn find(&self, query: &SentQuery) -> Result<Found, SendError> {
        let since = query.not_before.minus(CLOCK_SKEW).to_rfc3339();
        let pairs = [
            ("sourceTn", query.from.as_str()),
            ("destinationTn", query.to.as_str()),
            ("messageDirection", "OUTBOUND"),
            ("fromDateTime", since.as_str()),
            ("limit", FOUND_MAX),
        ];
        let answer = self.ask(|| self.messages(Method::GET).query(&pairs)).await?;
        let list: MessageList = answer.json().map_err(|_| answers::unreadable(&answer))?;
        let length = query.text.chars().count();
        let fits = |listed: &Listed| !listed.id.is_empty() && listed.length.is_none_or(|l| l == length);
        let mut found = list.messages.into_iter().filter(fits);
        match (found.next(), found.next()) {
            (None, _) => Ok(Found::No),
            (Some(one), None) => Ok(Found::Sent { state: one.state(), carrier_message_id: one.id }),
            (Some(_), Some(_)) => Ok(Found::CannotTell),
        }
    }

    async fn application(&self) -> Result<Answer, SendError> {
        let path = format!("/applications/{}", self.application);
        self.ask(|| self.dashboard(Method::GET, &path)).await
    }

    /// Looks at the application.
    pub(super) async fn check(&self) -> Result<String, SendError> {
        let answer = self.application().await?;
        let name = xml::first(&answer.body, "AppName").unwrap_or_default();
        let name: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
        Ok(format!("the credential is good; the application is “{name}”"))
    }

    /// Compares the application's addresses with ours.
    pub(super) async fn check_addresses(
        &self,
        callback_base: &str,
    ) -> Result<Option<Vec<String>>, SendError> {
        let answer = self.application().await?;
        let mut wrong = Vec::new();
        let wanted = [
            ("InboundCallbackUrl", "inbound callback URL", "messages", "nothing comes in"),
            ("OutboundCallbackUrl", "outbound callback URL", "status", "no receipt comes"),
        ];
        for (element, name, door, result) in wanted {
            let address = format!("{callback_base}/{door}");
            if xml::first(&answer.body, element).as_deref() != Some(address.as_str()) {
                wrong.push(format!("the application's {name} is not {address}: {result}"));
            }
        }
        if !xml::all(&answer.body, "UserId").iter().any(|user| !user.is_empty()) {
            wrong.push(
                "the application's callbacks have no user name and password: all are refused".to_owned(),
            );
        }
        Ok(Some(wrong))
    }
}
