//! Writing objects of address books: put, delete, copy and move, each checked and done in one transaction.

use super::books::{
    ACCOUNT_BYTES_MAX, AddressObject, BookSums, CardChanged, KeptProperty, OBJECTS_MAX, PRUNE_EVERY, SHARED,
    Standing, TOMBSTONES_KEPT, etag_of, prune_tombstones,
};
use super::card_friends::Wish;
use super::card_versions::{self, stored_version, version_seen};
use super::store::Person;
use super::vcard::{Card, Line, Version};
use super::{
    book_store as store, books, card_friends, hidden_cards, messenger_card, numbering, pushes, roster,
    sharing,
};
use crate::clock::Timestamp;
use crate::dav::EntityCondition;
use crate::db::{Db, News, Signal, Topics};
use crate::error::Result;
use crate::events;
use crate::ids::{AccountId, AddressBookId, ContactId};
use crate::numbers;

/// What became of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// It is done.
    Done {
        /// Whether there was nothing before.
        created: bool,
        /// The tag, when exactly what was sent is stored.
        etag: Option<String>,
        /// The counter now.
        seq: i64,
        /// Whether it has to do with a friend.
        bound: bool,
    },
    /// It is not done.
    Refused(Refusal),
}

/// Why a write is refused; nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such book or object.
    Missing,
    /// The state is not the one the client named.
    Changed,
    /// Another object of the book has that UID, or this one has another.
    UidConflict {
        /// Who.
        holder: String,
    },
    /// There is something at the target, and it may not be replaced.
    Exists,
    /// The book or the account is full.
    Full,
    /// It cannot be a card of the messenger's.
    NotACard,
    /// What is ours cannot be done away with.
    Protected,
}

/// What is written, and on which condition.
#[derive(Debug, Clone)]
pub struct Put<'a> {
    /// The object's name.
    pub name: &'a str,
    /// The exact bytes of a good vCard.
    pub body: &'a [u8],
    /// Their tag ([`etag_of`]).
    pub etag: &'a str,
    /// The UID as it compares.
    pub uid: &'a str,
    /// Whom it may mean.
    pub wish: Option<&'a Wish>,
    /// What must hold.
    pub condition: &'a EntityCondition,
}

/// Writes an object: exactly the bytes in a book of the user's own, merged when it is a friend's card that we keep.
pub fn put(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    book: AddressBookId,
    put: &Put<'_>,
) -> Result<Written> {
    let refused = |refusal| Ok(Written::Refused(refusal));
    let person = match put.wish {
        Some(wish) => person_meant(db, now, (account, book), put, wish)?,
        None => None,
    };
    let locked: Vec<AccountId> = person.iter().map(|p| p.id).chain([account]).collect();
    events::lock(db, &locked)?;
    let found = store::list_standing(db, account, book, put.name, put.uid)?;
    let before = found.iter().find(|o| o.name == put.name);
    let stood = match check(db, account, book, &found, put)? {
        Ok(stood) => stood,
        Err(refusal) => return refused(refusal),
    };
    if before.is_none()
        && let Some((book, contact)) = hidden_cards::contact_at(db, account, book, put.name)?
    {
        return hidden_cards::bring_back(db, now, &book, contact, put);
    }
    if let Some(before) = before.filter(|o| o.etag == put.etag) {
        // The same once more: nothing changes, no phone need be woken.
        let (etag, bound) = (Some(put.etag.to_owned()), before.contact_id.is_some());
        return Ok(Written::Done { created: false, etag, seq: before.seq, bound });
    }
    let existing = if before.is_some_and(|o| is_merged(o, put)) {
        store::find_object(db, account, book, put.name)?
    } else {
        None
    };
    let Some(Stays { contact, base, body }) = stays(db, now, account, put, existing.as_ref(), person)? else {
        return refused(Refusal::NotACard);
    };
    let seq = events::bump(db, account, 1)?;
    let object = AddressObject {
        account_id: account,
        book_id: book,
        name: put.name.to_owned(),
        uid: put.uid.to_owned(),
        // What is not as it was sent gets a tag that nobody has seen, so that whoever sent it reads it again.
        etag: if body == put.body { put.etag.to_owned() } else { marked_etag(&body, seq) },
        contact_id: contact,
        size_bytes: i32::try_from(body.len()).unwrap_or(i32::MAX),
        seq,
        created_at: before.map_or(now, |o| o.created_at),
        updated_at: now,
        body,
        base,
    };
    let written = write_object(db, now, before.map(|o| o.size_bytes), &object, Some(&stood))?;
    if stood.kind == SHARED {
        sharing::wake_members(db, account, book)?;
    }
    match object.contact_id.filter(|_| object.is_kept_by_us()) {
        Some(contact) => follow_name(db, now, contact, &object, put, written),
        None => Ok(if object.body == put.body { written } else { without_etag(written) }),
    }
}

/// Whether more must be known of what is there: of a friend's card, and of what 3.0 may not have shown all of.
fn is_merged(before: &Standing, put: &Put<'_>) -> bool {
    let is_older =
        || version_seen(&before.head) != Some(Version::V3) && stored_version(put.body) == Version::V3;
    before.contact_id.is_some() || is_older()
}

/// Whom a card means that is about to be written. Nobody where an address is no wish of anybody's: on a card that several
/// accounts share, on one of ours, and on one that stays as it is.
fn person_meant(
    db: &mut Db,
    now: Timestamp,
    (account, book): (AccountId, AddressBookId),
    put: &Put<'_>,
    wish: &Wish,
) -> Result<Option<Person>> {
    let Some(glimpse) = store::find_glimpse(db, account, book, put.name)? else { return Ok(None) };
    match (glimpse.contact_id, glimpse.etag) {
        _ if glimpse.book_kind == SHARED => Ok(None),
        (None, Some(etag)) if etag == put.etag => Ok(None),
        (None, _) => card_friends::wished(db, now, account, wish),
        (Some(contact), _) => match store::find_object(db, account, book, put.name)? {
            Some(card) if card.is_kept_by_us() => Ok(None),
            Some(card) => card_friends::still_wished(db, now, account, wish, (&card.body, contact)),
            None => Ok(None),
        },
    }
}

/// What stands against a write, when this is there already; the book when nothing does.
fn check(
    db: &mut Db,
    account: AccountId,
    book: AddressBookId,
    found: &[Standing],
    put: &Put<'_>,
) -> Result<std::result::Result<BookSums, Refusal>> {
    let before = found.iter().find(|o| o.name == put.name);
    let mut books = store::list_sums(db, account)?;
    let used: i64 = books.iter().map(|b| b.size_bytes).sum();
    let Some(at) = books.iter().position(|b| b.id == book) else { return Ok(Err(Refusal::Missing)) };
    let stood = books.swap_remove(at);
    if put.condition.check(before.map(|o| o.etag.as_str())).is_err() {
        return Ok(Err(Refusal::Changed));
    }
    if let Some(holder) = found.iter().find(|o| o.uid == put.uid && o.name != put.name) {
        return Ok(Err(Refusal::UidConflict { holder: holder.name.clone() }));
    }
    if before.is_some_and(|o| o.uid != put.uid) {
        return Ok(Err(Refusal::UidConflict { holder: put.name.to_owned() }));
    }
    let grows =
        i64::try_from(put.body.len()).unwrap_or(i64::MAX) - before.map_or(0, |o| i64::from(o.size_bytes));
    let full = before.is_none() && stood.object_count >= OBJECTS_MAX
        || grows > 0 && used.saturating_add(grows) > ACCOUNT_BYTES_MAX;
    Ok(if full { Err(Refusal::Full) } else { Ok(stood) })
}

/// What is stored of a card.
struct Stays {
    /// The friend that it stands for or names.
    contact: Option<ContactId>,
    /// What we have put on it: the whole card of a friend, or the number on the user's own.
    base: Option<Vec<u8>>,
    /// The text to store.
    body: Vec<u8>,
}

/// What is stored in the place of what is there; none when it cannot be a card of the messenger's.
fn stays(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    put: &Put<'_>,
    existing: Option<&AddressObject>,
    person: Option<Person>,
) -> Result<Option<Stays>> {
    let Some(kept) = existing.filter(|o| o.is_kept_by_us()) else {
        return own_card(db, now, account, put, existing, person).map(Some);
    };
    let ours = kept.base.clone().unwrap_or_default();
    let theirs = Card::parse(put.body).ok();
    let body = theirs.and_then(|theirs| merge(&ours, &theirs, &ours));
    Ok(body.map(|body| Stays { contact: kept.contact_id, base: kept.base.clone(), body }))
}

/// A card of the user's own, exactly as sent, with what 3.0 could not say of it; with the number on it when it names a
/// friend.
fn own_card(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    put: &Put<'_>,
    existing: Option<&AddressObject>,
    person: Option<Person>,
) -> Result<Stays> {
    let merged = existing.and_then(|o| card_versions::merge(&o.body, put.body));
    let text = merged.as_deref().unwrap_or(put.body);
    let as_sent = || Stays { contact: None, base: None, body: text.to_vec() };
    let Some(person) = person else { return Ok(as_sent()) };
    let known = existing.and_then(|o| o.contact_id);
    let named = match known {
        Some(contact) => {
            roster::load(db, account, contact).is_ok_and(|c| c.peer_account_id == Some(person.id))
        }
        None => false,
    };
    let contact = match known.filter(|_| named) {
        Some(contact) => contact,
        None => {
            let Some(wish) = put.wish else { return Ok(as_sent()) };
            match card_friends::befriend(db, now, account, person, wish)? {
                Some(contact) => contact,
                None => return Ok(as_sent()),
            }
        }
    };
    let number = numbers::numbers_of(db, account, &[contact])?.remove(&contact);
    let before = existing.and_then(|o| o.base.as_deref()).and_then(|b| std::str::from_utf8(b).ok());
    let body = card_friends::with_number(text, before, number.as_ref()).unwrap_or_else(|| text.to_vec());
    let base = number.map(|n| n.as_str().as_bytes().to_vec());
    Ok(Stays { contact: Some(contact), base, body })
}

/// A name that was changed on the phone is the account's name for the friend everywhere.
fn follow_name(
    db: &mut Db,
    now: Timestamp,
    contact: ContactId,
    object: &AddressObject,
    put: &Put<'_>,
    written: Written,
) -> Result<Written> {
    let name_in = |body: &[u8]| Card::parse(body).ok().and_then(|c| c.first("FN").map(Line::text_value));
    let ours = object.base.as_deref().and_then(name_in);
    let theirs = name_in(&object.body);
    let is_new = theirs.is_some() && theirs != ours;
    if let Some(name) = theirs.filter(|_| is_new).and_then(|n| roster::parse_name(&n).ok().flatten()) {
        roster::rename(db, now, object.account_id, contact, Some(name))?;
    }
    let stored = store::find_object(db, object.account_id, object.book_id, &object.name)?;
    let exact = stored.is_some_and(|o| o.body == put.body && o.etag == put.etag);
    Ok(if exact { written } else { without_etag(written) })
}

fn without_etag(written: Written) -> Written {
    match written {
        Written::Done { created, seq, bound, .. } => Written::Done { created, etag: None, seq, bound },
        refused @ Written::Refused(_) => refused,
    }
}

/// A tag for a text that differs from what was sent: new even when the text is what it was before.
pub(super) fn marked_etag(body: &[u8], seq: i64) -> String {
    let etag = etag_of(body);
    format!("{}-{seq}\"", etag.trim_end_matches('"'))
}

/// Inserts, or updates what had `before` bytes, and moves the book's counter and sums on. Who knows how the book stood
/// before has memories told what changed, in place of having them forget the book.
pub(super) fn write_object(
    db: &mut Db,
    now: Timestamp,
    before: Option<i32>,
    object: &AddressObject,
    stood: Option<&BookSums>,
) -> Result<Written> {
    let grows = i64::from(object.size_bytes) - before.map_or(0, i64::from);
    match before {
        None => store::insert_object(db, object)?,
        Some(_) => store::update_object(db, object)?,
    }
    let created = before.is_none();
    let (book, objects) = ((object.account_id, object.book_id), i64::from(created));
    let topics = match stood {
        Some(stood) => {
            db.signal(Signal::News(News::new(CardChanged::new(object, stood.seq, objects, grows))));
            Topics::CARDS
        }
        None => Topics::BOOKS,
    };
    pushes::touched(db, now, book, (object.seq, topics), (objects, grows), stood.map(|b| b.watched))?;
    let (etag, bound) = (Some(object.etag.clone()), object.contact_id.is_some());
    Ok(Written::Done { created, etag, seq: object.seq, bound })
}

fn is_full(db: &mut Db, account: AccountId, grows: i64) -> Result<bool> {
    let used: i64 = store::list_books(db, account)?.iter().map(|b| b.size_bytes).sum();
    Ok(used.saturating_add(grows) > ACCOUNT_BYTES_MAX)
}

pub(super) fn merge(base: &[u8], theirs: &Card, ours: &[u8]) -> Option<Vec<u8>> {
    let (base, ours) = (std::str::from_utf8(base).ok()?, std::str::from_utf8(ours).ok()?);
    messenger_card::merge(base, theirs, ours).map(|card| card.render().into_bytes())
}

/// Takes an object away. A messenger friend's card is hidden from the phone by this; the friend stays a friend.
pub fn delete(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    book: AddressBookId,
    name: &str,
    condition: &EntityCondition,
) -> Result<Written> {
    events::lock(db, &[account])?;
    let existing = store::find_object(db, account, book, name)?;
    if condition.check(existing.as_ref().map(|o| o.etag.as_str())).is_err() {
        return Ok(Written::Refused(Refusal::Changed));
    }
    let Some(object) = existing else { return Ok(Written::Refused(Refusal::Missing)) };
    let seq = bury(db, now, account, &object)?;
    sharing::wake_members(db, account, book)?;
    if let Some(contact) = object.contact_id.filter(|_| object.is_kept_by_us()) {
        numbering::hide_on_phone(db, now, account, contact)?;
    }
    let bound = object.contact_id.is_some();
    Ok(Written::Done { created: false, etag: None, seq, bound })
}

/// Takes an object away and leaves a tombstone. What the user made of a friend's card is kept for its return.
pub(super) fn bury(db: &mut Db, now: Timestamp, account: AccountId, object: &AddressObject) -> Result<i64> {
    hidden_cards::keep(db, object)?;
    let seq = events::bump(db, account, 1)?;
    store::bury_object(db, account, object.book_id, &object.name, seq)?;
    let shrinks = -i64::from(object.size_bytes);
    pushes::touched(db, now, (account, object.book_id), (seq, Topics::BOOKS), (-1, shrinks), None)?;
    if seq % PRUNE_EVERY == 0 {
        prune_tombstones(db, account, TOMBSTONES_KEPT)?;
    }
    Ok(seq)
}

/// Where an object goes.
#[derive(Debug, Clone)]
pub struct Target<'a> {
    /// Whose book it is.
    pub account: AccountId,
    /// Into which book.
    pub book: AddressBookId,
    /// Under which name.
    pub name: &'a str,
    /// Whether what is there may be replaced (RFC 4918 10.6).
    pub overwrite: bool,
    /// Whether the source goes away.
    pub moves: bool,
}

/// Copies or moves an object, with its kept properties.
pub fn transfer(
    db: &mut Db,
    now: Timestamp,
    from: (AccountId, AddressBookId, &str),
    target: &Target<'_>,
    condition: &EntityCondition,
) -> Result<Written> {
    let refused = |refusal| Ok(Written::Refused(refusal));
    let account = target.account;
    events::lock(db, &[account, from.0])?;
    let Some(source) = store::find_object(db, from.0, from.1, from.2)? else {
        return refused(Refusal::Missing);
    };
    if condition.check(Some(&source.etag)).is_err() {
        return refused(Refusal::Changed);
    }
    let Some(book) = store::find_book(db, account, target.book)? else { return refused(Refusal::Missing) };
    let replaced = store::find_object(db, account, target.book, target.name)?;
    if let Some(refusal) = reason_against_transfer(db, &source, target, replaced.as_ref())? {
        return refused(refusal);
    }
    // A number of ours means the friend from one account's handset only.
    let leaves_home = book.is_shared() || account != source.account_id;
    let body = match leaves_home && source.contact_id.is_some() {
        true => sharing::without_number(&source).unwrap_or_else(|| source.body.clone()),
        false => source.body.clone(),
    };
    let grows = i64::try_from(body.len()).unwrap_or(i64::MAX)
        - replaced.as_ref().map_or(0, |o| i64::from(o.size_bytes));
    let full = replaced.is_none() && book.object_count >= OBJECTS_MAX;
    let stays_here = target.moves && account == source.account_id;
    if !stays_here && (full || grows > 0 && is_full(db, account, grows)?) {
        return refused(Refusal::Full);
    }
    let kept = store::list_properties(db, source.account_id, source.book_id, Some(&source.name))?;
    if !stays_here && !have_room_at(db, target, replaced.is_some(), &kept)? {
        return refused(Refusal::Full);
    }
    if target.moves {
        bury(db, now, source.account_id, &source)?;
        sharing::wake_members(db, source.account_id, source.book_id)?;
    }
    let seq = events::bump(db, account, 1)?;
    // The bond of a card of the user's own goes along; a copy of a card of ours is the user's own.
    let is_bound = !source.is_kept_by_us() && !leaves_home;
    let object = AddressObject {
        account_id: account,
        book_id: book.id,
        name: target.name.to_owned(),
        etag: if body == source.body { source.etag.clone() } else { etag_of(&body) },
        contact_id: source.contact_id.filter(|_| is_bound),
        base: source.base.clone().filter(|_| is_bound),
        size_bytes: i32::try_from(body.len()).unwrap_or(i32::MAX),
        body,
        seq,
        updated_at: now,
        created_at: now,
        ..source
    };
    let written = write_object(db, now, replaced.as_ref().map(|o| o.size_bytes), &object, None)?;
    sharing::wake_members(db, account, book.id)?;
    if replaced.is_some() {
        // As if it had been deleted first (RFC 4918 9.8.4, 9.9.3).
        store::delete_properties(db, account, book.id, target.name)?;
    }
    copy_properties(db, account, book.id, target.name, kept)?;
    Ok(written)
}

/// Whether these kept properties have room at the target, where what is replaced takes its own along.
fn have_room_at(db: &mut Db, target: &Target<'_>, replaces: bool, kept: &[KeptProperty]) -> Result<bool> {
    let goes = match replaces {
        true => store::list_properties(db, target.account, target.book, Some(target.name))?,
        false => Vec::new(),
    };
    books::have_room(db, target.account, books::bytes_of(kept) - books::bytes_of(&goes))
}

/// What stands against a copy or a move.
fn reason_against_transfer(
    db: &mut Db,
    source: &AddressObject,
    target: &Target<'_>,
    replaced: Option<&AddressObject>,
) -> Result<Option<Refusal>> {
    if target.moves && source.is_kept_by_us() {
        return Ok(Some(Refusal::Protected));
    }
    if replaced.is_some() && !target.overwrite {
        return Ok(Some(Refusal::Exists));
    }
    if replaced.is_some_and(AddressObject::is_kept_by_us) {
        return Ok(Some(Refusal::Protected));
    }
    let holder = store::find_holder(db, target.account, target.book, &source.uid)?;
    let leaves = |name: &str| target.moves && target.book == source.book_id && name == source.name;
    if let Some(holder) = holder.filter(|h| h != target.name && !leaves(h)) {
        return Ok(Some(Refusal::UidConflict { holder }));
    }
    // Replacing a card by another one changes its UID, which 6.3.2.1 forbids.
    let other = replaced.filter(|o| o.uid != source.uid);
    Ok(other.map(|o| Refusal::UidConflict { holder: o.name.clone() }))
}

fn copy_properties(
    db: &mut Db,
    account: AccountId,
    book: AddressBookId,
    name: &str,
    kept: Vec<KeptProperty>,
) -> Result<()> {
    for property in kept {
        let copy = KeptProperty { name: name.to_owned(), ..property };
        store::insert_property(db, account, book, &copy)?;
    }
    Ok(())
}
