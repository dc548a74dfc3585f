//! Simulated phones: a number, a power switch, an address book as synced, threads of messages, and what happened.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::calls::{PhoneCall, PhoneCallState};
use super::carddav_client::CardDavClient;
use super::message::Media;
use super::vcard::Card;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::phone::E164;

/// A thread keeps its newest messages only.
const THREAD_MESSAGES_MAX: usize = 1_000;
/// A phone keeps the threads that were used last.
const THREADS_MAX: usize = 1_000;
/// A page that was away for more events than this reads the phone anew.
const EVENTS_MAX: usize = 512;
/// Calls that a phone shows.
const CALLS_MAX: usize = 50;
/// The longest name of a phone, in characters.
const NAME_MAX: usize = 64;

/// Where a phone's address book lives.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardDavAccount {
    /// The server's address, or that of anything below it; discovery finds the rest.
    pub url: String,
    /// For HTTP Basic.
    pub username: String,
    /// For HTTP Basic.
    pub password: String,
}

/// The password stays out of logs.
impl std::fmt::Debug for CardDavAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CardDavAccount").field("url", &self.url).finish_non_exhaustive()
    }
}

/// A phone to be added.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPhone {
    /// Its number.
    pub number: E164,
    /// Whose it is, for people.
    #[serde(default)]
    pub name: Option<String>,
    /// Its address book.
    #[serde(default)]
    pub carddav: Option<CardDavAccount>,
}

/// The switch of a phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Power {
    /// In reach.
    On,
    /// Nothing arrives; the carrier reports an absent handset.
    Off,
}

/// A message as a phone shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PhoneMessage {
    /// Counts up on each phone.
    pub id: u64,
    /// Whether this phone wrote it.
    pub mine: bool,
    /// What was written.
    pub text: String,
    /// Its files.
    pub media: Vec<Media>,
    /// Where it stands.
    pub state: PhoneMessageState,
    /// When it was written or arrived.
    pub at: Timestamp,
}

/// Where a message on a phone stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PhoneMessageState {
    /// On its way into the network.
    Sending,
    /// Its receiver has it.
    Sent,
    /// Nobody took it.
    Failed,
    /// It came from somebody else.
    Received,
}

/// The messages with one number.
#[derive(Debug, Clone, Default)]
pub(super) struct Thread {
    pub messages: VecDeque<PhoneMessage>,
    pub last_at: Timestamp,
}

/// Something that happened on a phone, for its page.
#[derive(Debug, Clone)]
pub(super) struct PhoneEvent {
    pub id: u64,
    pub kind: &'static str,
    pub data: String,
}

/// A person in a phone's address book, with numbers in E.164 where they can be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PhoneContact {
    /// Stable while the card is the same: the address of the card.
    pub id: String,
    /// The name that the phone shows.
    pub name: String,
    /// The telephone numbers, the dialled form first.
    pub numbers: Vec<String>,
    /// The groups that the card names.
    pub categories: Vec<String>,
    /// Whether there is a picture.
    pub has_photo: bool,
}

/// A contact with its picture.
#[derive(Debug, Clone)]
pub(super) struct StoredContact {
    pub shown: PhoneContact,
    pub photo: Option<Arc<super::vcard::Photo>>,
}

/// How the last sync went.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SyncState {
    /// When the book was last known to be complete.
    pub synced_at: Option<Timestamp>,
    /// Why the last try did not succeed.
    pub error: Option<String>,
}

#[derive(Serialize)]
struct SyncedEvent {
    sync: SyncState,
    contact_count: usize,
    changed: bool,
}

/// One simulated phone.
pub(super) struct Phone {
    pub number: E164,
    pub name: String,
    pub account: Option<CardDavAccount>,
    pub power: Power,
    pub contacts: Vec<StoredContact>,
    pub names: BTreeMap<E164, usize>,
    pub sync: SyncState,
    /// Whether it syncs by itself.
    syncs: bool,
    /// One sync at a time; waits outside of the state's lock.
    pub client: Option<Arc<tokio::sync::Mutex<CardDavClient>>>,
    pub threads: BTreeMap<E164, Thread>,
    /// Newest last.
    pub calls: VecDeque<PhoneCall>,
    pub events: VecDeque<PhoneEvent>,
    /// The id of the newest event; those who listen wait for it to change.
    pub newest: watch::Sender<u64>,
    next_message: u64,
}

/// A phone in a list.
#[derive(Debug, Clone, Serialize)]
pub struct PhoneSummary {
    /// Its number.
    pub number: E164,
    /// Whose it is.
    pub name: String,
    /// The switch.
    pub power: Power,
    /// Where its address book lives.
    pub carddav: Option<CardDavView>,
    /// How the last sync went.
    pub sync: SyncState,
    /// People in the address book.
    pub contact_count: usize,
}

/// What a phone shows.
#[derive(Debug, Clone, Serialize)]
pub struct PhoneView {
    /// Its number.
    pub number: E164,
    /// Whose it is.
    pub name: String,
    /// The switch.
    pub power: Power,
    /// Where its address book lives.
    pub carddav: Option<CardDavView>,
    /// How the last sync went.
    pub sync: SyncState,
    /// The address book as synced, by name.
    pub contacts: Vec<PhoneContact>,
    /// The newest thread first.
    pub threads: Vec<ThreadView>,
    /// Calls, newest last.
    pub calls: Vec<PhoneCall>,
    /// The newest event that this view contains: listen from here on.
    pub last_event: u64,
}

/// An address book's account without its password.
#[derive(Debug, Clone, Serialize)]
pub struct CardDavView {
    /// The server.
    pub url: String,
    /// Who signs in.
    pub username: String,
}

/// A thread as a phone shows it.
#[derive(Debug, Clone, Serialize)]
pub struct ThreadView {
    /// The number at the other end.
    pub party: E164,
    /// The name from the address book; none: the phone shows the bare number.
    pub name: Option<String>,
    /// The contact that the name comes from.
    pub contact_id: Option<String>,
    /// Oldest first.
    pub messages: Vec<PhoneMessage>,
}

impl Phone {
    pub fn new(new: NewPhone, client: Option<CardDavClient>) -> Result<Self> {
        let name = new.name.unwrap_or_default();
        if name.chars().count() > NAME_MAX {
            return Err(Error::invalid("name", "too_long", format!("At most {NAME_MAX} characters.")));
        }
        Ok(Phone {
            name: if name.trim().is_empty() { new.number.to_human() } else { name },
            number: new.number,
            account: new.carddav,
            power: Power::On,
            contacts: Vec::new(),
            names: BTreeMap::new(),
            sync: SyncState::default(),
            syncs: false,
            client: client.map(|client| Arc::new(tokio::sync::Mutex::new(client))),
            threads: BTreeMap::new(),
            calls: VecDeque::new(),
            events: VecDeque::new(),
            newest: watch::Sender::new(0),
            next_message: 1,
        })
    }

    /// Signs the phone in to another address book; nothing of the one before stays.
    pub fn set_account(&mut self, account: CardDavAccount, client: CardDavClient) {
        self.account = Some(account);
        self.client = Some(Arc::new(tokio::sync::Mutex::new(client)));
        self.sync = SyncState::default();
        self.contacts.clear();
        self.names.clear();
        self.tell_synced(true);
    }

    /// Whether the phone has an account and nobody has begun to sync it.
    pub fn begin_syncing(&mut self) -> bool {
        self.account.is_some() && !std::mem::replace(&mut self.syncs, true)
    }

    /// Puts a message into the thread with `party` and tells the page.
    pub fn add_message(&mut self, party: &E164, mut message: PhoneMessage) -> u64 {
        message.id = self.next_message;
        self.next_message += 1;
        let id = message.id;
        if !self.threads.contains_key(party) && self.threads.len() >= THREADS_MAX {
            let oldest =
                self.threads.iter().min_by_key(|(_, thread)| thread.last_at).map(|(party, _)| party.clone());
            oldest.map(|party| self.threads.remove(&party));
        }
        let thread = self.threads.entry(party.clone()).or_default();
        thread.last_at = message.at;
        thread.messages.push_back(message);
        if thread.messages.len() > THREAD_MESSAGES_MAX {
            thread.messages.pop_front();
        }
        self.tell_message(party, id);
        id
    }

    /// A message of this phone came further.
    pub fn set_message_state(&mut self, party: &E164, id: u64, state: PhoneMessageState) {
        let Some(thread) = self.threads.get_mut(party) else { return };
        let Some(message) = thread.messages.iter_mut().rev().find(|message| message.id == id) else { return };
        if message.state != state {
            message.state = state;
            self.tell_message(party, id);
        }
    }

    /// Takes over the address book of a sync; says whether anything changed.
    pub fn set_contacts(&mut self, cards: &[Card], region: &str) -> bool {
        let mut contacts: Vec<StoredContact> = cards.iter().map(|card| stored(card, region)).collect();
        contacts.sort_by(|a, b| {
            let key = |c: &StoredContact| (c.shown.name.to_lowercase(), c.shown.id.clone());
            key(a).cmp(&key(b))
        });
        let photos = |list: &[StoredContact]| list.iter().map(|c| c.photo.clone()).collect::<Vec<_>>();
        let same = contacts.len() == self.contacts.len()
            && contacts.iter().zip(&self.contacts).all(|(new, old)| new.shown == old.shown)
            && photos(&contacts) == photos(&self.contacts);
        if same {
            return false;
        }
        self.names.clear();
        for (at, contact) in contacts.iter().enumerate() {
            for number in contact.shown.numbers.iter().filter_map(|text| E164::parse(text).ok()) {
                self.names.entry(number).or_insert(at);
            }
        }
        self.contacts = contacts;
        true
    }

    /// The contact whose number this is.
    pub fn contact_of(&self, number: &E164) -> Option<&PhoneContact> {
        self.names.get(number).and_then(|at| self.contacts.get(*at)).map(|contact| &contact.shown)
    }

    /// Writes an event and wakes the pages.
    pub fn tell(&mut self, kind: &'static str, data: &impl Serialize) {
        let id = *self.newest.borrow() + 1;
        let data = serde_json::to_string(data).unwrap_or_default();
        self.events.push_back(PhoneEvent { id, kind, data });
        if self.events.len() > EVENTS_MAX {
            self.events.pop_front();
        }
        self.newest.send_replace(id);
    }

    /// Tells the page how a sync went; it reads the contacts anew when they changed.
    pub fn tell_synced(&mut self, changed: bool) {
        let data = SyncedEvent { sync: self.sync.clone(), contact_count: self.contacts.len(), changed };
        self.tell("synced", &data);
    }

    /// Switches the phone on or off and tells the page.
    pub fn set_power(&mut self, power: Power) {
        if self.power != power {
            self.power = power;
            self.tell("power", &power);
        }
    }

    fn tell_message(&mut self, party: &E164, id: u64) {
        let Some(thread) = self.threads.get(party) else { return };
        let Some(message) = thread.messages.iter().rev().find(|message| message.id == id) else { return };
        let view = self.thread_view(party, vec![message.clone()]);
        self.tell("message", &view);
    }

    /// The events after `cursor`; none when some of them are forgotten already.
    pub fn events_after(&self, cursor: u64) -> Option<Vec<PhoneEvent>> {
        let newest = *self.newest.borrow();
        let oldest = self.events.front().map_or(newest + 1, |event| event.id);
        if cursor > newest || cursor + 1 < oldest {
            return None;
        }
        Some(self.events.iter().filter(|event| event.id > cursor).cloned().collect())
    }

    fn thread_view(&self, party: &E164, messages: Vec<PhoneMessage>) -> ThreadView {
        let contact = self.contact_of(party);
        ThreadView {
            party: party.clone(),
            name: contact.map(|contact| contact.name.clone()),
            contact_id: contact.map(|contact| contact.id.clone()),
            messages,
        }
    }

    fn carddav_view(&self) -> Option<CardDavView> {
        let account = self.account.as_ref()?;
        Some(CardDavView { url: account.url.clone(), username: account.username.clone() })
    }

    /// The phone in a list.
    pub fn summary(&self) -> PhoneSummary {
        PhoneSummary {
            number: self.number.clone(),
            name: self.name.clone(),
            power: self.power,
            carddav: self.carddav_view(),
            sync: self.sync.clone(),
            contact_count: self.contacts.len(),
        }
    }

    /// Everything the phone shows.
    pub fn view(&self) -> PhoneView {
        let mut threads: Vec<(&E164, &Thread)> = self.threads.iter().collect();
        threads.sort_by_key(|(_, thread)| std::cmp::Reverse(thread.last_at));
        PhoneView {
            number: self.number.clone(),
            name: self.name.clone(),
            power: self.power,
            carddav: self.carddav_view(),
            sync: self.sync.clone(),
            contacts: self.contacts.iter().map(|contact| contact.shown.clone()).collect(),
            threads: threads
                .into_iter()
                .map(|(party, thread)| self.thread_view(party, thread.messages.iter().cloned().collect()))
                .collect(),
            calls: self.calls.iter().cloned().collect(),
            last_event: *self.newest.borrow(),
        }
    }

    /// A call begins, and the page is told.
    pub fn add_call(&mut self, call: PhoneCall) {
        self.tell("call", &call);
        self.calls.push_back(call);
        if self.calls.len() > CALLS_MAX {
            self.calls.pop_front();
        }
    }

    /// Something happens to a call, and the page is told.
    pub fn change_call(&mut self, id: &str, change: impl FnOnce(&mut PhoneCall)) {
        let Some(call) = self.calls.iter_mut().rev().find(|call| call.id == id) else { return };
        change(call);
        let call = call.clone();
        self.tell("call", &call);
    }

    /// Whether somebody talks on it.
    pub fn is_talking(&self) -> bool {
        let busy = |call: &PhoneCall| {
            matches!(call.state, PhoneCallState::Talking | PhoneCallState::Dialling | PhoneCallState::Ringing)
        };
        self.calls.iter().any(busy)
    }
}

fn stored(card: &Card, region: &str) -> StoredContact {
    let numbers: Vec<String> = card
        .numbers
        .iter()
        .map(|text| match E164::parse_human(text, Some(region)) {
            Ok(number) => number.as_str().to_owned(),
            Err(_) => text.clone(),
        })
        .collect();
    let name =
        if card.name.is_empty() { numbers.first().cloned().unwrap_or_default() } else { card.name.clone() };
    let shown = PhoneContact {
        id: card.id.clone(),
        name,
        numbers,
        categories: card.categories.clone(),
        has_photo: card.photo.is_some(),
    };
    StoredContact { shown, photo: card.photo.clone() }
}

impl PhoneMessage {
    /// A message that is about to enter a thread; the phone gives it its id.
    pub(super) fn new(text: String, media: Vec<Media>, state: PhoneMessageState, at: Timestamp) -> Self {
        PhoneMessage { id: 0, mine: state != PhoneMessageState::Received, text, media, state, at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phone() -> Phone {
        let number = E164::parse("+12025550101").unwrap();
        Phone::new(NewPhone { number, name: Some("Alice".to_owned()), carddav: None }, None).unwrap()
    }

    fn card(id: &str, name: &str, number: &str) -> Card {
        Card {
            id: id.to_owned(),
            name: name.to_owned(),
            numbers: vec![number.to_owned()],
            categories: Vec::new(),
            photo: None,
        }
    }

    #[test]
    fn a_message_is_shown_under_the_name_in_the_book_and_else_under_the_number() {
        let mut phone = phone();
        let party = E164::parse("+12025550150").unwrap();
        let message =
            PhoneMessage::new("hi".to_owned(), Vec::new(), PhoneMessageState::Received, Timestamp(1));
        phone.add_message(&party, message);
        assert_eq!(phone.view().threads[0].name, None);
        assert!(phone.set_contacts(&[card("a", "Bob", "(202) 555-0150")], "US"));
        assert_eq!(phone.view().threads[0].name.as_deref(), Some("Bob"));
        assert!(!phone.set_contacts(&[card("a", "Bob", "(202) 555-0150")], "US"));
        assert!(phone.set_contacts(&[], "US"));
        assert_eq!(phone.view().threads[0].name, None);
    }

    #[test]
    fn events_resume_or_say_that_they_cannot() {
        let mut phone = phone();
        for n in 0..EVENTS_MAX + 10 {
            phone.tell("phone", &n);
        }
        let newest = *phone.newest.borrow();
        assert_eq!(phone.events_after(newest).unwrap().len(), 0);
        assert_eq!(phone.events_after(newest - 3).unwrap().len(), 3);
        assert_eq!(phone.events_after(10).unwrap().len(), EVENTS_MAX);
        assert!(phone.events_after(9).is_none());
        assert!(phone.events_after(newest + 1).is_none());
    }
}
