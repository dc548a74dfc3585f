//! Pushes for messages: a browser or app that is closed is woken when there is something to read.
//!
//! A push says how much there is to read; who wrote and what only when its device has asked for that. Whoever has a
//! client open anywhere gets none, and nobody in his quiet hours: then it waits for their end.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::{store, view};
use crate::accounts::{self, session};
use crate::app::App;
use crate::clock::Timestamp;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::ids::{AccountId, PushRegistrationId, SessionId};
use crate::keys::{Keys, Purpose};
use crate::presence::{self, GRACE};
use crate::push::{self, Message, NewRegistration, Registration, Rendered, Subject, Subscription, Urgency};
use crate::queue::{Claimed, Next};

/// What is registered for.
pub const KIND: &str = "messages";
/// A message has come.
const MESSAGE: i16 = 1;
/// The device may be told who wrote, and what. Never happens; only wanted.
const CONTENT: i16 = 2;

/// How long a registration lasts unless it is renewed: as long as a session.
const LIFE: Duration = session::LIFETIME;
/// How long a push waits for a device that is off.
const TTL: Duration = Duration::from_secs(24 * 3_600);
/// Characters of a message in a push; a lock screen shows fewer.
const TEXT_CHARS_MAX: usize = 300;

fn subject(account: AccountId) -> Subject {
    Subject { kind: KIND, owner: account, id: *account.as_bytes() }
}

/// A device that is woken for messages.
#[derive(Debug, Clone)]
pub struct Device {
    /// Names it.
    pub id: PushRegistrationId,
    /// By which session it registered.
    pub session: Option<SessionId>,
    /// Whether it may be told who wrote, and what.
    pub show_content: bool,
    /// Registered.
    pub created_at: Timestamp,
    /// Ends unless it is renewed.
    pub expires_at: Timestamp,
}

impl From<&Registration> for Device {
    fn from(r: &Registration) -> Self {
        Device {
            id: r.id,
            session: session_of(r),
            show_content: r.wants & CONTENT != 0,
            created_at: r.created_at,
            expires_at: r.expires_at,
        }
    }
}

fn session_of(registration: &Registration) -> Option<SessionId> {
    let bytes = <[u8; 16]>::try_from(registration.credential.as_deref()?).ok()?;
    Some(SessionId(uuid::Uuid::from_bytes(bytes)))
}

/// Registers a device, or renews it: there is one for each address of a push service.
pub fn register(
    db: &mut Db,
    now: Timestamp,
    (account, session): (AccountId, SessionId),
    subscription: Subscription,
    show_content: bool,
) -> Result<Device> {
    let new = NewRegistration {
        account,
        subject: subject(account),
        credential: Some(*session.as_bytes()),
        subscription,
        wants: if show_content { MESSAGE | CONTENT } else { MESSAGE },
        expires_at: now.plus(LIFE),
    };
    let id = push::register(db, now, &new)?.ok_or_else(|| {
        Error::conflict("too_many_push_subscriptions", "There are too many devices to wake already.")
    })?;
    find(db, now, account, id)
}

fn find(db: &mut Db, now: Timestamp, account: AccountId, id: PushRegistrationId) -> Result<Device> {
    let found = push::find(db, now, account, id)?.filter(|r| r.kind == KIND);
    found.as_ref().map(Device::from).ok_or_else(|| Error::not_found("push subscription"))
}

/// The devices of an account, oldest first.
pub fn list(db: &mut Db, now: Timestamp, account: AccountId) -> Result<Vec<Device>> {
    Ok(push::list(db, now, account, KIND)?.iter().map(Device::from).collect())
}

/// A device and where it is reached, for whoever has something else to tell it; `None` when the session is over by which
/// it registered.
pub fn reach(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    id: PushRegistrationId,
) -> Result<Option<(Device, Subscription)>> {
    let Some(found) = push::find(db, now, account, id)?.filter(|r| r.kind == KIND) else { return Ok(None) };
    let device = Device::from(&found);
    let Some(session) = device.session else { return Ok(None) };
    let open = session::find_open(db, now, account, session)?.is_some();
    Ok(open.then(|| (device, found.subscription())))
}

/// Wakes a device no more.
pub fn unregister(db: &mut Db, now: Timestamp, account: AccountId, id: PushRegistrationId) -> Result<()> {
    find(db, now, account, id)?;
    push::unregister(db, now, account, id).map(drop)
}

/// Messages have come for these accounts. In the transaction that stores them.
pub(super) fn message_came(db: &mut Db, now: Timestamp, recipients: &[AccountId]) -> Result<()> {
    push::note_owners(db, now, KIND, recipients, MESSAGE)
}

/// Sends what is pending for one device.
pub async fn run(app: &App, job: &Claimed) -> Result<Next> {
    let keys = app.keys.clone();
    let render = move |db: &mut Db, now: Timestamp, registration: &Registration, _: i16| {
        rendered(db, now, &keys, registration)
    };
    push::deliver(&app.db, &app.push, &app.clock, job, render).await
}

fn rendered(db: &mut Db, now: Timestamp, keys: &Keys, registration: &Registration) -> Result<Rendered> {
    let account = registration.account_id;
    let open = match session_of(registration) {
        Some(id) => session::find_open(db, now, account, id)?.is_some(),
        None => false,
    };
    if !open {
        return Ok(Rendered::Forget);
    }
    if let Some(until) = presence::connected_until(db, account)?.filter(|until| *until > now) {
        // A client that has just gone is still believed to be there: whether it is, its grace will tell.
        let is_going = until <= now.plus(GRACE);
        return Ok(if is_going { Rendered::NotBefore(until) } else { Rendered::Nothing });
    }
    if let Some(end) = quiet_until(&accounts::load(db, account)?, now) {
        return Ok(Rendered::NotBefore(end));
    }
    let unread: Vec<_> =
        store::list_members(db, account)?.into_iter().filter(|m| m.unread_count > 0).collect();
    let Some(newest) = unread.iter().max_by_key(|m| (m.last_message_at, m.conversation_id)) else {
        return Ok(Rendered::Nothing);
    };
    let count: i64 = unread.iter().map(|m| m.unread_count).sum();
    let mut said = json!({ "type": "messages", "unread": count });
    let kinds = super::notes::of_messages(db, newest.last_message_id.as_slice())?;
    // A call that was missed, or a voicemail: for those who are told no more, too.
    if let (Some((kind, _)), Some(said)) = (kinds.into_values().next(), said.as_object_mut()) {
        said.insert("kind".to_owned(), json!(kind));
    }
    let shown = match registration.wants & CONTENT {
        0 => None,
        _ => view::conversations(db, account, Some(newest.conversation_id))?.pop(),
    };
    if let (Some(conversation), Some(said)) = (shown, said.as_object_mut()) {
        let text = conversation.last_message.filter(|m| !m.mine).map(|m| m.text);
        let text: Option<String> = text.map(|text| text.chars().take(TEXT_CHARS_MAX).collect());
        said.insert("conversation_id".to_owned(), json!(conversation.id));
        said.insert("sender".to_owned(), json!(conversation.contact.display_name));
        said.insert("text".to_owned(), json!(text));
    }
    let slot = keys.hash(Purpose::PushTopic, registration.id.as_bytes());
    Ok(Rendered::Message(Message {
        body: said.to_string().into_bytes(),
        content_type: "application/json",
        ttl: TTL,
        urgency: Urgency::High,
        // The newest says it all: of those that wait for a device only the last one need arrive.
        topic: Some(URL_SAFE_NO_PAD.encode(slot.get(..16).unwrap_or(&slot))),
    }))
}

/// When the quiet hours end in which `now` lies.
fn quiet_until(account: &accounts::Account, now: Timestamp) -> Option<Timestamp> {
    let minute = now.minute_of_day_in(&account.time_zone);
    let left = account.quiet_hours?.minutes_left(minute)?;
    Some(now.plus(Duration::from_secs(u64::from(left) * 60)))
}
