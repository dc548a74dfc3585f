//! Who is friends with whom: asking, accepting, blocking, renaming, parting.
//!
//! Every operation that touches both sides takes both accounts' counters first (`events::lock`), so what it has read
//! is still true when it writes. A friend is never told of a block: the other row does not change.

use std::collections::HashMap;

use super::address::ContactAddress;
use super::contact::{Contact, ContactState, ContactView, Direction, NumberState};
use super::store::{self, Person};
use super::{books, card_import, conversation, hidden_cards, jobs, numbering, photos, sharing};
use crate::clock::Timestamp;
use crate::db::{Db, Topics};
use crate::error::{Error, Result};
use crate::events::{self, EventKind};
use crate::ids::{AccountId, ContactId, ConversationId};
use crate::numbers;
use crate::queue;

pub use super::store::Filter;

/// Contacts of one account at most, counting those who have only asked.
pub const CONTACTS_MAX: i64 = 20_000;
/// Characters of a name at most.
pub const NAME_CHARS_MAX: usize = 100;

/// Somebody to ask, and what to call him.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Who.
    pub person: Person,
    /// The asking account's own name for him.
    pub custom_name: Option<String>,
}

/// What came of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The contact is there now.
    Created(ContactId),
    /// It was there before.
    Already(ContactId),
    /// The asking account has blocked this person.
    Blocked,
    /// The account has as many contacts as it may.
    Full,
}

/// Who answers to an address; an error that says why nobody can be asked there.
pub fn resolve(db: &mut Db, me: AccountId, address: &ContactAddress) -> Result<Person> {
    address.require_available()?;
    let person = store::list_people(db, &[address.address.as_str()])?.into_iter().next();
    let person = person.ok_or_else(|| no_such_address(address))?;
    if person.id == me { Err(yourself()) } else { Ok(person) }
}

/// Nobody answers to the address.
pub(super) fn no_such_address(address: &ContactAddress) -> Error {
    Error::missing("no_such_address", format!("Nobody answers to {address}."))
}

pub(super) fn yourself() -> Error {
    Error::invalid("address", "yourself", "This is your own address.")
}

/// Reads a name that an account gives a friend; an empty one is none.
pub fn parse_name(text: &str) -> Result<Option<String>> {
    let name = text.trim();
    if name.chars().count() > NAME_CHARS_MAX || name.chars().any(char::is_control) {
        return Err(Error::invalid(
            "display_name",
            "invalid_name",
            "A name has at most 100 printable characters.",
        ));
    }
    Ok((!name.is_empty()).then(|| name.to_owned()))
}

/// Asks somebody to be a contact. When he has asked already, both are friends at once.
pub fn request(db: &mut Db, now: Timestamp, me: AccountId, asked: Asked) -> Result<Answer> {
    let answers = request_many(db, now, me, &[asked])?;
    answers.into_iter().next().ok_or_else(|| Error::internal("asking gave no answer"))
}

/// Asks many at once, at most a thousand; answers in their order.
pub fn request_many(db: &mut Db, now: Timestamp, me: AccountId, asked: &[Asked]) -> Result<Vec<Answer>> {
    let mut locked: Vec<AccountId> = asked.iter().map(|a| a.person.id).collect();
    locked.push(me);
    events::lock(db, &locked)?;
    let my = store::find_person(db, me)?.ok_or_else(|| Error::not_found("account"))?;
    let handles: Vec<&str> = asked.iter().map(|a| a.person.handle.as_str()).collect();
    let ids: Vec<AccountId> = asked.iter().map(|a| a.person.id).collect();
    let mine = store::list_by_addresses(db, me, MEARI, &handles)?;
    let theirs = store::list_about(db, &ids, MEARI, &my.handle)?;
    let room = CONTACTS_MAX - store::count(db, me)?;

    let mut round = Round {
        now,
        room,
        mine: mine.into_iter().map(|row| (row.address.clone(), row)).collect(),
        theirs: theirs.into_iter().map(|row| (row.account_id, row)).collect(),
        ..Round::default()
    };
    let answers = asked.iter().map(|one| round.ask(&my, one)).collect();
    round.write(db, &my)?;
    Ok(answers)
}

const MEARI: &str = super::address::Network::Meari.as_str();

/// One call of [`request_many`]: what is known, and what is to be written.
#[derive(Default)]
struct Round {
    now: Timestamp,
    room: i64,
    mine: HashMap<String, Contact>,
    theirs: HashMap<AccountId, Contact>,
    inserted: Vec<Contact>,
    updated: Vec<Contact>,
    opened: Vec<(ConversationId, [conversation::Member; 2])>,
    events: Vec<(AccountId, EventKind, Option<[u8; 16]>)>,
}

impl Round {
    /// Decides about one; touches no database.
    fn ask(&mut self, my: &Person, asked: &Asked) -> Answer {
        if let Some(mine) = self.mine.get(&asked.person.handle) {
            match (mine.state, mine.direction) {
                (ContactState::Blocked, _) => return Answer::Blocked,
                (ContactState::Requested, Some(Direction::Incoming)) => {
                    let mine = mine.clone();
                    return self.answer_request(mine, asked);
                }
                (ContactState::Accepted | ContactState::Requested, _) => return Answer::Already(mine.id),
            }
        }
        if self.room <= 0 {
            return Answer::Full;
        }
        self.room -= 1;
        let mut mine = new_contact(self.now, my.id, &asked.person, Direction::Outgoing);
        mine.custom_name.clone_from(&asked.custom_name);
        match self.theirs.get(&asked.person.id).cloned() {
            None => {
                let mut theirs = new_contact(self.now, asked.person.id, my, Direction::Incoming);
                mine.peer_contact_id = Some(theirs.id);
                theirs.peer_contact_id = Some(mine.id);
                self.note(EventKind::ContactCreated, &theirs);
                self.inserted.push(theirs);
            }
            // He has blocked this account, which must not learn of it: the request only waits until he unblocks.
            Some(mut theirs) => {
                mine.peer_contact_id = Some(theirs.id);
                theirs.peer_contact_id = Some(mine.id);
                theirs.direction = Some(Direction::Incoming);
                theirs.updated_at = self.now;
                self.updated.push(theirs);
            }
        }
        self.note(EventKind::ContactCreated, &mine);
        let id = mine.id;
        self.mine.insert(asked.person.handle.clone(), mine.clone());
        self.inserted.push(mine);
        Answer::Created(id)
    }

    /// The one asked has asked before: that is an answer.
    fn answer_request(&mut self, mut mine: Contact, asked: &Asked) -> Answer {
        if asked.custom_name.is_some() {
            mine.custom_name.clone_from(&asked.custom_name);
        }
        let Some(mut theirs) = self.theirs.get(&asked.person.id).cloned() else {
            return Answer::Already(mine.id);
        };
        self.opened.push(befriend(self.now, &mut mine, &mut theirs));
        self.note(EventKind::ContactUpdated, &mine);
        self.note(EventKind::ContactUpdated, &theirs);
        let id = mine.id;
        self.mine.insert(asked.person.handle.clone(), mine.clone());
        self.updated.extend([mine, theirs]);
        Answer::Created(id)
    }

    fn note(&mut self, kind: EventKind, contact: &Contact) {
        self.events.push((contact.account_id, kind, Some(*contact.id.as_bytes())));
    }

    fn write(self, db: &mut Db, my: &Person) -> Result<()> {
        store::insert_many(db, &self.inserted)?;
        for row in &self.updated {
            store::update(db, row)?;
        }
        if !self.opened.is_empty() {
            conversation::open(db, self.now, &self.opened)?;
            let (own, others): (Vec<_>, Vec<_>) = self
                .updated
                .into_iter()
                .filter(Contact::wants_number)
                .partition(|row| row.account_id == my.id);
            numbering::assign_numbers(db, self.now, my.id, own)?;
            for row in others {
                numbering::assign_numbers(db, self.now, row.account_id, vec![row])?;
            }
        }
        events::append_each(db, self.now, &self.events, Topics::ROUTES)
    }
}

fn new_contact(now: Timestamp, of: AccountId, about: &Person, direction: Direction) -> Contact {
    Contact {
        account_id: of,
        id: ContactId::new(now),
        network: MEARI.to_owned(),
        address: about.handle.clone(),
        peer_account_id: Some(about.id),
        peer_contact_id: None,
        display_name: about.display_name.clone(),
        custom_name: None,
        state: ContactState::Requested,
        direction: Some(direction),
        number_state: NumberState::None,
        hidden_on_phone: false,
        conversation_id: None,
        texts_stopped: false,
        created_at: now,
        updated_at: now,
    }
}

/// Makes friends of two, in memory; a side that has blocked the other one stays blocked. Answers the conversation to
/// open.
fn befriend(
    now: Timestamp,
    mine: &mut Contact,
    theirs: &mut Contact,
) -> (ConversationId, [conversation::Member; 2]) {
    let conversation = ConversationId::new(now);
    for side in [&mut *mine, &mut *theirs] {
        if side.state == ContactState::Requested {
            side.state = ContactState::Accepted;
        }
        side.direction = None;
        side.conversation_id = Some(conversation);
        side.updated_at = now;
    }
    (conversation, [(mine.account_id, mine.id), (theirs.account_id, theirs.id)])
}

/// A contact and the friend's row about this account, both kept until the transaction ends.
fn load_both(db: &mut Db, account: AccountId, id: ContactId) -> Result<(Contact, Option<Contact>)> {
    let before = load(db, account, id)?;
    let mut locked = vec![account];
    locked.extend(before.peer_account_id);
    events::lock(db, &locked)?;
    let mine = load(db, account, id)?;
    let theirs = match (mine.peer_account_id, mine.peer_contact_id) {
        (Some(peer), Some(contact)) => store::find(db, peer, contact)?,
        _ => None,
    };
    Ok((mine, theirs))
}

/// A contact of the account.
pub fn load(db: &mut Db, account: AccountId, id: ContactId) -> Result<Contact> {
    store::find(db, account, id)?.ok_or_else(|| Error::not_found("contact"))
}

/// Says yes to a request.
pub fn accept(db: &mut Db, now: Timestamp, account: AccountId, id: ContactId) -> Result<()> {
    let (mut mine, theirs) = load_both(db, account, id)?;
    match (mine.state, mine.direction) {
        (ContactState::Accepted, _) => return Ok(()),
        (ContactState::Requested, Some(Direction::Incoming)) => {}
        (ContactState::Blocked, _) => {
            return Err(Error::conflict(
                "contact_blocked",
                "You have blocked this contact. Unblock it first.",
            ));
        }
        (ContactState::Requested, _) => {
            return Err(Error::conflict("not_asked", "You have asked; the other side has to accept."));
        }
    }
    let mut theirs =
        theirs.ok_or_else(|| Error::conflict("request_withdrawn", "The request is not open any more."))?;
    let opened = befriend(now, &mut mine, &mut theirs);
    conversation::open(db, now, &[opened])?;
    store::update(db, &mine)?;
    store::update(db, &theirs)?;
    tell(db, now, EventKind::ContactUpdated, &[&mine, &theirs])?;
    for side in [mine, theirs].into_iter().filter(Contact::wants_number) {
        numbering::assign_numbers(db, now, side.account_id, vec![side])?;
    }
    Ok(())
}

/// The friend has said by SMS that he wants no more of them, or wants them again. `id` is his contact: the one behind
/// the number that he texted; it is the other side that is told.
pub fn note_texts_stopped(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    id: ContactId,
    stopped: bool,
) -> Result<()> {
    let Some(theirs) = load_both(db, account, id)?.1 else { return Ok(()) };
    if theirs.texts_stopped == stopped {
        return Ok(());
    }
    let theirs = Contact { texts_stopped: stopped, updated_at: now, ..theirs };
    store::update(db, &theirs)?;
    tell(db, now, EventKind::ContactUpdated, &[&theirs])
}

/// Hears nothing more from a contact. Its number goes, its card leaves the phone; it is not told.
pub fn block(db: &mut Db, now: Timestamp, account: AccountId, id: ContactId) -> Result<()> {
    events::lock(db, &[account])?;
    let mut mine = load(db, account, id)?;
    if mine.state == ContactState::Blocked {
        return Ok(());
    }
    numbering::take_numbers(db, now, account, &[id])?;
    mine.state = ContactState::Blocked;
    mine.number_state = NumberState::None;
    mine.updated_at = now;
    store::update(db, &mine)?;
    tell(db, now, EventKind::ContactUpdated, &[&mine])
}

/// Takes a block back: the contact is again what it would be without.
pub fn unblock(db: &mut Db, now: Timestamp, account: AccountId, id: ContactId) -> Result<()> {
    let (mut mine, theirs) = load_both(db, account, id)?;
    if mine.state != ContactState::Blocked {
        return Ok(());
    }
    if theirs.is_none() {
        return Err(Error::conflict(
            "contact_gone",
            "This person has taken you off the list. Delete the contact to lift the block.",
        ));
    }
    mine.state = if mine.direction.is_some() { ContactState::Requested } else { ContactState::Accepted };
    mine.updated_at = now;
    store::update(db, &mine)?;
    tell(db, now, EventKind::ContactUpdated, &[&mine])?;
    if mine.wants_number() {
        numbering::assign_numbers(db, now, account, vec![mine])?;
    }
    Ok(())
}

/// Calls a contact by another name; `None` goes back to the friend's own.
pub fn rename(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    id: ContactId,
    custom_name: Option<String>,
) -> Result<()> {
    events::lock(db, &[account])?;
    let mut mine = load(db, account, id)?;
    if mine.custom_name == custom_name {
        return Ok(());
    }
    mine.custom_name = custom_name;
    mine.updated_at = now;
    store::update(db, &mine)?;
    tell(db, now, EventKind::ContactUpdated, &[&mine])?;
    numbering::render_cards(db, now, account, &[mine])
}

/// Parts from a contact, or declines a request. The friend's row goes too, with number and card, and what was said is
/// deleted. A friend who has blocked this account keeps the block.
pub fn remove(db: &mut Db, now: Timestamp, account: AccountId, id: ContactId) -> Result<()> {
    let (mine, theirs) = load_both(db, account, id)?;
    let mut members = vec![account];
    numbering::take_numbers(db, now, account, &[id])?;
    store::delete(db, account, &[id])?;
    let mut gone = vec![&mine];
    if let Some(theirs) = &theirs {
        members.push(theirs.account_id);
        if theirs.state == ContactState::Blocked {
            detach(db, now, theirs.clone())?;
        } else {
            numbering::take_numbers(db, now, theirs.account_id, &[theirs.id])?;
            store::delete(db, theirs.account_id, &[theirs.id])?;
            gone.push(theirs);
        }
    }
    if let Some(conversation) = mine.conversation_id {
        conversation::close(db, conversation, &members)?;
        queue::enqueue(
            db,
            now,
            jobs::PURGE_CONVERSATIONS,
            None,
            &jobs::PurgeConversations::one(conversation),
        )?;
    }
    tell(db, now, EventKind::ContactDeleted, &gone)
}

/// A blocked row whose other side is gone.
fn detach(db: &mut Db, now: Timestamp, mut row: Contact) -> Result<()> {
    row.peer_contact_id = None;
    row.conversation_id = None;
    row.direction = None;
    row.updated_at = now;
    store::update(db, &row)?;
    tell(db, now, EventKind::ContactUpdated, &[&row])
}

fn tell(db: &mut Db, now: Timestamp, kind: EventKind, rows: &[&Contact]) -> Result<()> {
    let events: Vec<_> = rows.iter().map(|row| (row.account_id, kind, Some(*row.id.as_bytes()))).collect();
    events::append_each(db, now, &events, Topics::ROUTES)
}

/// Whether `account` has blocked its contact: what comes from there is dropped, and the sender is not told.
pub fn is_blocked(db: &mut Db, account: AccountId, contact: ContactId) -> Result<bool> {
    Ok(store::find(db, account, contact)?.is_some_and(|row| row.state == ContactState::Blocked))
}

/// A page of contacts as clients see them, in the order of their ids.
pub fn list(
    db: &mut Db,
    account: AccountId,
    filter: &Filter,
    after: Option<ContactId>,
    limit: i64,
) -> Result<Vec<ContactView>> {
    let rows = store::list(db, account, filter, after, limit)?;
    with_numbers(db, account, rows)
}

/// These contacts as clients see them; those that are gone are left out.
pub fn views(db: &mut Db, account: AccountId, ids: &[ContactId]) -> Result<Vec<ContactView>> {
    let rows = store::list_by_ids(db, account, ids)?;
    with_numbers(db, account, rows)
}

fn with_numbers(db: &mut Db, account: AccountId, rows: Vec<Contact>) -> Result<Vec<ContactView>> {
    let numbered = |row: &&Contact| row.number_state == NumberState::Assigned;
    let ids: Vec<ContactId> = rows.iter().filter(numbered).map(|row| row.id).collect();
    let mut held = if ids.is_empty() { HashMap::new() } else { numbers::numbers_of(db, account, &ids)? };
    let photos = photos::versions(db, &rows)?;
    let to_view = |row: Contact| {
        let number = held.remove(&row.id);
        let photo = photos.get(&row.id);
        let photo_url = photo.map(|at| format!("/v1/contacts/{}/photo?v={:x}", row.id, at.0));
        ContactView { photo_url, ..ContactView::new(row, number) }
    };
    Ok(rows.into_iter().map(to_view).collect())
}

/// Everything held of the account's contacts and address books, for its owner; cards as the texts they are.
pub fn export(db: &mut Db, account: AccountId) -> Result<serde_json::Value> {
    let contacts = list(db, account, &Filter::default(), None, i64::MAX)?;
    let mut exported = Vec::new();
    let granted = sharing::granted(db, account)?;
    for book in books::list(db, account)? {
        let members: Vec<_> = granted
            .iter()
            .filter(|(id, ..)| *id == book.id)
            .map(|(_, handle, access)| serde_json::json!({ "member": handle, "access": access }))
            .collect();
        let mut cards = Vec::new();
        for listed in books::list_objects(db, account, book.id)? {
            let object = books::find(db, account, book.id, &listed.name)?;
            cards.extend(object.map(|object| String::from_utf8_lossy(&object.body).into_owned()));
        }
        exported.push(serde_json::json!({ "name": book.display_name, "address": book.slug, "members": members, "cards": cards }));
    }
    let hidden: Vec<String> = hidden_cards::list(db, account)?
        .into_iter()
        .map(|card| String::from_utf8_lossy(&card.body).into_owned())
        .collect();
    // Cards in other people's books are theirs to give away.
    let shared: Vec<_> = sharing::shared_with(db, account)?
        .into_iter()
        .map(|s| serde_json::json!({ "name": s.book.display_name, "owner": s.owner, "access": s.access }))
        .collect();
    Ok(serde_json::json!({
        "contacts": contacts, "address_books": exported, "hidden_cards": hidden, "shared_with_me": shared,
    }))
}

/// Takes a closing account out of everybody's contacts, and deletes its own contacts and address books. What was said
/// is deleted by a job; the account's numbers are erased by their own slice. Books that it shares close for everybody.
pub fn erase(db: &mut Db, now: Timestamp, account: AccountId) -> Result<()> {
    sharing::erase(db, now, account)?;
    card_import::erase(db, account)?;
    loop {
        let about = store::list_about_peer(db, account, None, store::CHUNK as i64)?;
        let mut locked: Vec<AccountId> = about.iter().map(|row| row.account_id).collect();
        locked.push(account);
        events::lock(db, &locked)?;
        let mut closed = Vec::new();
        for row in &about {
            numbering::take_numbers(db, now, row.account_id, &[row.id])?;
            store::delete(db, row.account_id, &[row.id])?;
            if let Some(conversation) = row.conversation_id {
                conversation::close(db, conversation, &[account, row.account_id])?;
                closed.push(conversation);
            }
        }
        if !closed.is_empty() {
            let payload = jobs::PurgeConversations { conversations: closed };
            queue::enqueue(db, now, jobs::PURGE_CONVERSATIONS, None, &payload)?;
        }
        tell(db, now, EventKind::ContactDeleted, &about.iter().collect::<Vec<_>>())?;
        if about.len() < store::CHUNK {
            break;
        }
    }
    loop {
        let ids: Vec<ContactId> = store::list(db, account, &Filter::default(), None, store::CHUNK as i64)?
            .iter()
            .map(|c| c.id)
            .collect();
        store::delete(db, account, &ids)?;
        if ids.len() < store::CHUNK {
            return store::delete_books(db, account);
        }
    }
}
