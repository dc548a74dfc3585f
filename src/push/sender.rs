//! Handing a message to a push service (RFC 8030), and what its answer means.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::encrypt::encrypt;
use super::vapid::Vapid;
use super::{Subscription, Urgency};
use crate::clock::Timestamp;
use crate::config::Settings;
use crate::error::Result;
use crate::ids::AccountId;
use crate::keys::Keys;
use crate::net::{Answer, Limits, Net, NetError, NetFault, Policy, Url};

/// Push services answer at once; one that does not must not hold us up.
const LIMITS: Limits = Limits { total: Duration::from_secs(10), answer_bytes_max: 16 * 1024 };
/// Pushes of one account on their way at the same time at most: its slow services delay nobody else.
const BUSY_PER_ACCOUNT: u8 = 3;
/// Pushes of everybody on their way at the same time at most; half of what a worker runs at once.
const BUSY_MAX: usize = 32;
/// The longest pause that a push service may ask for.
const PAUSE_MAX: Duration = Duration::from_secs(3_600);

/// One message for one subscription, before it is encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What it says.
    pub body: Vec<u8>,
    /// The media type of that.
    pub content_type: &'static str,
    /// How long the push service keeps it for a device that is away.
    pub ttl: Duration,
    /// Whether a device should wake for it.
    pub urgency: Urgency,
    /// A later one with the same word replaces it while it waits: at most 32 characters of base64url that tell nothing.
    pub topic: Option<String>,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The push service has it.
    Sent,
    /// The subscription is no more (RFC 8030 7.3), or is none that we may send to.
    Gone(String),
    /// Later; when the service said so, after that pause.
    Later(Option<Duration>, String),
    /// Not this message; perhaps the next.
    Refused(String),
    /// Too much is on its way already; nothing was tried.
    Busy,
}

/// Sends to push services. One for each process.
pub struct Sender {
    net: Net,
    vapid: Vapid,
    private_allowed: bool,
    busy: Mutex<HashMap<AccountId, u8>>,
}

impl Sender {
    /// A sender with the installation's own key.
    ///
    /// # Errors
    /// When the machine's TLS cannot be set up.
    pub fn new(settings: &Settings, keys: &Keys) -> Result<Sender> {
        let private_allowed = settings.push_to_private_addresses;
        let policy = if private_allowed { Policy::Operator } else { Policy::Public };
        let mail = settings.mail_from.as_ref().and_then(|from| from.parse::<lettre::message::Mailbox>().ok());
        let contact = match mail {
            Some(mailbox) => Some(format!("mailto:{}", mailbox.email)),
            None => Some(settings.public_url.clone()).filter(|url| url.starts_with("https://")),
        };
        Ok(Sender {
            net: Net::new(policy)?,
            vapid: Vapid::new(keys, contact),
            private_allowed,
            busy: Mutex::default(),
        })
    }

    /// The key that subscriptions are to be bound to.
    pub fn public_key(&self) -> &str {
        self.vapid.public_key()
    }

    /// Whether we would send to an address, as far as can be seen without asking a name server.
    pub fn accepts(&self, endpoint: &str) -> bool {
        let Ok(url) = Url::parse(endpoint) else { return false };
        let is_safe = url.scheme() == "https" || self.private_allowed && url.scheme() == "http";
        is_safe && self.net.allows(endpoint)
    }

    /// Encrypts and sends one message.
    pub async fn send(
        &self,
        now: Timestamp,
        account: AccountId,
        to: &Subscription,
        message: &Message,
    ) -> Outcome {
        let Ok(url) = Url::parse(&to.endpoint) else { return Outcome::Gone("no address".to_owned()) };
        if !self.accepts(&to.endpoint) {
            return Outcome::Gone("an address that we do not send to".to_owned());
        }
        let body = match encrypt(to, &message.body) {
            Ok(body) => body,
            Err(error) => return Outcome::Refused(error.report()),
        };
        let Some(_turn) = Turn::take(self, account) else { return Outcome::Busy };
        let origin = url.origin().ascii_serialization();
        let mut request = self
            .net
            .post(&to.endpoint)
            .header("ttl", &message.ttl.as_secs().to_string())
            .header("urgency", message.urgency.as_str())
            .header("content-encoding", "aes128gcm")
            .header("authorization", &self.vapid.authorization(now, &origin))
            .body(message.content_type, body);
        if let Some(topic) = &message.topic {
            request = request.header("topic", topic);
        }
        outcome_of(request.send(LIMITS).await)
    }
}

/// A place among the pushes on their way, given back when it is dropped.
struct Turn<'a> {
    sender: &'a Sender,
    account: AccountId,
}

impl<'a> Turn<'a> {
    fn take(sender: &'a Sender, account: AccountId) -> Option<Turn<'a>> {
        let mut busy = sender.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = busy.values().map(|n| usize::from(*n)).sum();
        let own = busy.entry(account).or_default();
        if all >= BUSY_MAX || *own >= BUSY_PER_ACCOUNT {
            return None;
        }
        *own += 1;
        Some(Turn { sender, account })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut busy = self.sender.busy.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = busy.get_mut(&self.account) {
            *own = own.saturating_sub(1);
        }
        busy.retain(|_, own| *own > 0);
    }
}

fn outcome_of(answer: Result<Answer, NetError>) -> Outcome {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) if error.fault == NetFault::Refused => return Outcome::Gone(error.detail),
        Err(error) => return Outcome::Later(None, error.to_string()),
    };
    let why = format!("the push service answered {}", answer.status);
    match answer.status {
        200..300 => Outcome::Sent,
        404 | 410 => Outcome::Gone(why),
        408 | 425 | 429 | 500.. => Outcome::Later(answer.retry_after().map(|p| p.min(PAUSE_MAX)), why),
        _ => Outcome::Refused(why),
    }
}
