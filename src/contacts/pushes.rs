//! Pushes for address books (WebDAV-Push, draft of bitfire): what can be watched, and what a push says.
//!
//! A phone watches a book for changes of its cards and of its name, the home for books that come and go, the principal
//! for its name. A push tells nothing but that, and the token to compare with; what has changed the phone asks itself.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::book_store as store;
use super::books::{self, AddressBook};
use super::carddav::sync_token;
use super::sharing;
use crate::accounts;
use crate::app::App;
use crate::clock::Timestamp;
use crate::dav::push::{PushMessage, Triggers};
use crate::db::{Db, Signal, Topics};
use crate::error::Result;
use crate::events;
use crate::ids::{AccountId, AddressBookId, AppPasswordId, PushRegistrationId};
use crate::keys::{Keys, Purpose};
use crate::push::{self, Message, NewRegistration, Registration, Rendered, Subject, Subscription, Urgency};
use crate::queue::{Claimed, Next};

/// An address book.
const BOOK: &str = "book";
/// The collection of an account's books.
const HOME: &str = "home";

/// Something in it has come, changed or gone.
const MEMBERS: i16 = 1;
/// It has other properties.
const PROPERTIES: i16 = 2;
/// It is gone itself.
const ITSELF: i16 = 4;

/// How long a push waits for a phone that is off. After that the phone has asked by itself.
const TTL: Duration = Duration::from_secs(24 * 3_600);

/// What a phone can watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watched {
    /// An address book.
    Book(AddressBookId),
    /// The account's home.
    Home,
    /// The account's principal.
    Principal,
}

impl Watched {
    fn subject(self, owner: AccountId) -> Subject {
        match self {
            Watched::Book(book) => Subject { kind: BOOK, owner, id: *book.0.as_bytes() },
            Watched::Home => Subject { kind: HOME, owner, id: *owner.as_bytes() },
            Watched::Principal => accounts::push_subject(owner),
        }
    }

    /// The name of it for pushes: the same for everybody who may see it, and nobody else can guess it.
    pub fn topic(self, keys: &Keys, owner: AccountId) -> String {
        topic(keys, &self.subject(owner))
    }

    /// What can be watched of it: how deep for its content, how deep for its properties.
    pub fn triggers(self) -> Triggers {
        let (content, property) = match self {
            Watched::Book(_) => (Some(1), Some(0)),
            Watched::Home => (Some(1), None),
            Watched::Principal => (None, Some(0)),
        };
        Triggers { content, property }
    }
}

fn topic(keys: &Keys, subject: &Subject) -> String {
    let mut name = subject.kind.as_bytes().to_vec();
    name.extend_from_slice(&subject.id);
    let hash = keys.hash(Purpose::PushTopic, &name);
    URL_SAFE_NO_PAD.encode(hash.get(..16).unwrap_or(&hash))
}

/// A phone's wish to be told.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Of what.
    pub watched: Watched,
    /// Whose that is.
    pub owner: AccountId,
    /// Which device wishes it.
    pub app_password: AppPasswordId,
    /// Where to.
    pub subscription: Subscription,
    /// Of which changes; not more than [`Watched::triggers`].
    pub triggers: Triggers,
    /// Until when.
    pub expires_at: Timestamp,
}

/// Registers a wish, or renews it. `None` when the account has too many.
pub fn register(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    wish: &Wish,
) -> Result<Option<PushRegistrationId>> {
    // A book that is written to in this moment must see the mark, or we the change.
    events::lock(db, &[wish.owner])?;
    let content = wish.triggers.content.map_or(0, |depth| if depth == 0 { ITSELF } else { ITSELF | MEMBERS });
    let new = NewRegistration {
        account,
        subject: wish.watched.subject(wish.owner),
        credential: Some(*wish.app_password.as_bytes()),
        subscription: wish.subscription.clone(),
        wants: content | wish.triggers.property.map_or(0, |_| PROPERTIES),
        expires_at: wish.expires_at,
    };
    let id = push::register(db, now, &new)?;
    if let (Some(_), Watched::Book(book)) = (id, wish.watched) {
        store::set_watched(db, wish.owner, book, true)?;
    }
    Ok(id)
}

/// Moves a book's counter and sums on and tells whoever waits for it, here (of `topics`) and by push.
pub(super) fn touched(
    db: &mut Db,
    now: Timestamp,
    (account, book): (AccountId, AddressBookId),
    (seq, topics): (i64, Topics),
    grows: (i64, i64),
    known: Option<bool>,
) -> Result<()> {
    if store::touch_book(db, (account, book), seq, grows, known)? {
        let subject = Watched::Book(book).subject(account);
        if !push::note(db, now, &subject, MEMBERS)? {
            store::set_watched(db, account, book, false)?;
        }
    }
    db.signal(Signal::Account { account, seq, topics });
    Ok(())
}

/// The book has another name or other properties.
pub(super) fn edited(db: &mut Db, now: Timestamp, account: AccountId, book: AddressBookId) -> Result<()> {
    push::note(db, now, &Watched::Book(book).subject(account), PROPERTIES).map(drop)
}

/// A book has come into an account's home, or one of somebody else's has left it.
pub(super) fn opened(db: &mut Db, now: Timestamp, account: AccountId) -> Result<()> {
    push::note(db, now, &Watched::Home.subject(account), MEMBERS).map(drop)
}

/// A book is gone.
pub(super) fn closed(db: &mut Db, now: Timestamp, account: AccountId, book: AddressBookId) -> Result<()> {
    push::note(db, now, &Watched::Book(book).subject(account), ITSELF)?;
    push::note(db, now, &Watched::Home.subject(account), MEMBERS).map(drop)
}

/// Sends what is pending for one registration.
pub async fn run(app: &App, job: &Claimed) -> Result<Next> {
    let keys = app.keys.clone();
    let render = move |db: &mut Db, _: Timestamp, registration: &Registration, happened: i16| {
        rendered(db, &keys, registration, happened)
    };
    push::deliver(&app.db, &app.push, &app.clock, job, render).await
}

fn rendered(db: &mut Db, keys: &Keys, registration: &Registration, happened: i16) -> Result<Rendered> {
    if !is_still_known(db, registration)? {
        return Ok(Rendered::Forget);
    }
    let (owner, id) = (registration.owner_id, registration.subject.as_slice());
    let Ok(id) = <[u8; 16]>::try_from(id) else { return Ok(Rendered::Forget) };
    let book = AddressBookId(uuid::Uuid::from_bytes(id));
    let (watched, state) = match registration.kind.as_str() {
        BOOK => (Watched::Book(book), store::find_book(db, owner, book)?),
        HOME => (Watched::Home, None),
        _ => (Watched::Principal, None),
    };
    let is_gone = watched == Watched::Book(book) && state.is_none();
    let token = state.as_ref().map(|book: &AddressBook| sync_token(book.id, book.state()));
    let message = PushMessage {
        topic: watched.topic(keys, owner),
        content: (happened & (MEMBERS | ITSELF) != 0).then_some(token),
        property: happened & PROPERTIES != 0,
    };
    let message = Message {
        body: message.render(),
        content_type: "application/xml; charset=\"UTF-8\"",
        ttl: TTL,
        urgency: Urgency::Normal,
        topic: Some(slot(keys, registration, happened)),
    };
    Ok(if is_gone { Rendered::Last(message) } else { Rendered::Message(message) })
}

/// Under this name a later push replaces one that still waits: only one that says the same and more lately.
fn slot(keys: &Keys, registration: &Registration, happened: i16) -> String {
    let mut name = registration.id.as_bytes().to_vec();
    name.extend_from_slice(&happened.to_be_bytes());
    let hash = keys.hash(Purpose::PushTopic, &name);
    URL_SAFE_NO_PAD.encode(hash.get(..16).unwrap_or(&hash))
}

/// Whether the device may still see what it watches.
fn is_still_known(db: &mut Db, registration: &Registration) -> Result<bool> {
    let credential = registration.credential.as_deref().and_then(|c| <[u8; 16]>::try_from(c).ok());
    let Some(device) = credential.map(|c| AppPasswordId(uuid::Uuid::from_bytes(c))) else { return Ok(false) };
    let (account, owner) = (registration.account_id, registration.owner_id);
    let book = <[u8; 16]>::try_from(registration.subject.as_slice()).ok();
    let may_see = match book.map(|id| AddressBookId(uuid::Uuid::from_bytes(id))) {
        _ if owner == account => true,
        // A book that is gone is told once more; a book that one may not see any more is not.
        Some(book) if registration.kind == BOOK => {
            store::find_book(db, owner, book)?.is_none()
                || sharing::check_read(db, owner, book, account).is_ok()
        }
        _ => false,
    };
    Ok(may_see && accounts::app_passwords::list(db, account)?.iter().any(|password| password.id == device))
}

/// Whether there is such a book, for who wants to watch it.
pub fn is_there(db: &mut Db, owner: AccountId, watched: Watched) -> Result<bool> {
    match watched {
        Watched::Book(book) => Ok(books::list(db, owner)?.iter().any(|b| b.id == book)),
        Watched::Home | Watched::Principal => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_differ_and_tell_nothing() {
        let keys = Keys::from_secret(&[7; 32]);
        let now = Timestamp(1_760_000_000_000_000);
        let (alice, book) = (AccountId::new(now), AddressBookId::new(now));
        let topics = [Watched::Book(book), Watched::Home, Watched::Principal].map(|w| w.topic(&keys, alice));
        assert!(topics.iter().all(|t| t.len() == 22));
        assert!(topics[0] != topics[1] && topics[1] != topics[2]);
        assert_eq!(topics[0], Watched::Book(book).topic(&keys, AccountId::new(now)));
        assert_ne!(topics[0], Watched::Book(book).topic(&Keys::from_secret(&[8; 32]), alice));
    }
}
