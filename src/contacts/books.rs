//! Address books and what is in them: the `messenger` book that Meari keeps, and the user's own.
//!
//! An object is the exact text that a client sent, an ETag over it, and the account's counter at its last change. The
//! counter is the sync token: what changed since is what stands higher, and what is gone has left a tombstone. Reads
//! that lead to a token take it in the same snapshot as the list, so that no change can fall between.

use diesel::prelude::*;

use super::messenger_card::{self, MessengerCard, render_messenger_card};
use super::vcard::{self, Card};
use super::{book_store as store, numbering};
use crate::clock::Timestamp;
use crate::dav::EntityCondition;
use crate::db::{Db, Signal, Topics};
use crate::error::Result;
use crate::events;
use crate::ids::{AccountId, AddressBookId, AppPasswordId, ContactId};
use crate::schema::{address_books, address_objects};

/// Objects of one book at most: twice the largest address book met in the wild.
pub const OBJECTS_MAX: i64 = 25_000;
/// Bytes of all books of an account at most.
pub const ACCOUNT_BYTES_MAX: i64 = 512 * 1024 * 1024;
/// Books of one account at most.
pub const BOOKS_MAX: usize = 50;
/// Bytes of an object's name at most.
pub const NAME_MAX: usize = 255;
/// Kept properties of one resource at most, and bytes of one.
pub const PROPERTIES_MAX: usize = 100;
/// Bytes of one kept property at most.
pub const PROPERTY_BYTES_MAX: usize = 16 * 1024;
/// Tombstones kept for each book; phones that were away for longer list everything anew.
const TOMBSTONES_KEPT: i64 = 10_000;

/// The address of the book that Meari keeps.
pub const MESSENGER: &str = "messenger";
/// The address of the book that every account begins with.
pub const PERSONAL: &str = "personal";

/// An address book.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = address_books)]
pub struct AddressBook {
    /// Whose.
    pub account_id: AccountId,
    /// Which; a book made anew under the same address is another one.
    pub id: AddressBookId,
    /// The last segment of its address.
    pub slug: String,
    /// [`MESSENGER`] or [`PERSONAL`].
    pub kind: String,
    /// The name to show.
    pub display_name: String,
    /// A sentence about it.
    pub description: String,
    /// The account's counter at its last change.
    pub seq: i64,
    /// The oldest counter from which deletions are still known.
    pub floor_seq: i64,
    /// How many objects are in it.
    pub object_count: i64,
    /// How many bytes they have.
    pub size_bytes: i64,
    /// When it came to be.
    pub created_at: Timestamp,
}

impl AddressBook {
    /// Whether it is the one that Meari keeps.
    pub fn is_messenger(&self) -> bool {
        self.kind == MESSENGER
    }

    /// The state a client has that has seen everything.
    pub fn state(&self) -> SyncState {
        SyncState { seq: self.seq, base: self.seq }
    }
}

/// One stored resource.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = address_objects)]
#[diesel(treat_none_as_default_value = false)]
pub struct AddressObject {
    /// Whose.
    pub account_id: AccountId,
    /// In which book.
    pub book_id: AddressBookId,
    /// The last segment of its address, decoded.
    pub name: String,
    /// The UID as it compares.
    pub uid: String,
    /// The quoted tag of exactly these bytes.
    pub etag: String,
    /// The messenger contact it stands for.
    pub contact_id: Option<ContactId>,
    /// How large it is.
    pub size_bytes: i32,
    /// The account's counter at its last change.
    pub seq: i64,
    /// When it came to be.
    pub created_at: Timestamp,
    /// When it changed last.
    pub updated_at: Timestamp,
    /// The exact text.
    pub body: Vec<u8>,
    /// What the messenger said last, for merging.
    pub base: Option<Vec<u8>>,
}

/// An object without its text.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = address_objects)]
pub struct Listed {
    /// The last segment of its address, decoded.
    pub name: String,
    /// Its tag.
    pub etag: String,
    /// Its size.
    pub size_bytes: i32,
    /// The counter at its last change.
    pub seq: i64,
    /// When it came to be.
    pub created_at: Timestamp,
    /// When it changed last.
    pub updated_at: Timestamp,
}

/// One line of a delta.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The counter at the change.
    pub seq: i64,
    /// Which object.
    pub name: String,
    /// The object as it is now; none when it is gone.
    pub object: Option<Listed>,
}

/// A property that a client set and that means nothing to us.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct KeptProperty {
    /// The object; empty for the book itself.
    pub name: String,
    /// `{namespace}local`.
    pub property: String,
    /// The whole element.
    pub value: String,
}

/// That a device has been handed a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// Whose.
    pub account: AccountId,
    /// Which device.
    pub app_password: AppPasswordId,
    /// The book.
    pub book: AddressBookId,
    /// The object.
    pub name: String,
    /// The counter of the object when it was handed out.
    pub seq: i64,
}

/// The state of a book as a client knows it; a sync token in two numbers.
///
/// `base` differs from `seq` only while a first listing is cut into pages: such a client has seen objects up to `seq`
/// of the book as it was at `base`, and needs deletions after `base` only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyncState {
    /// Everything up to here has been seen.
    pub seq: i64,
    /// Where the book stood when the listing began.
    pub base: i64,
}

/// What changed in a book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    /// In the order of the changes, each object once.
    pub changes: Vec<Change>,
    /// The state of a client that has them.
    pub state: SyncState,
    /// Whether there is more.
    pub truncated: bool,
}

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
    /// The exact bytes.
    pub body: &'a [u8],
    /// The same, read.
    pub card: &'a Card,
    /// What must hold.
    pub condition: &'a EntityCondition,
}

/// The tag of exactly these bytes, with its quotes.
pub fn etag_of(body: &[u8]) -> String {
    let hash = blake3::hash(body);
    let hex = hash.to_hex();
    format!("\"{}\"", hex.get(..24).unwrap_or(&hex))
}

/// The books of an account, the two it begins with first.
pub fn list(db: &mut Db, account: AccountId) -> Result<Vec<AddressBook>> {
    store::list_books(db, account)
}

/// The same; makes the first two when there are none.
pub fn list_or_open(db: &mut Db, now: Timestamp, account: AccountId) -> Result<Vec<AddressBook>> {
    let books = store::list_books(db, account)?;
    if books.iter().any(AddressBook::is_messenger) {
        return Ok(books);
    }
    let seq = events::bump(db, account, 2)?;
    for (kind, name, seq) in [(MESSENGER, "Meari", seq - 1), (PERSONAL, "Contacts", seq)] {
        store::insert_book(db, &new_book(account, now, kind, kind, name, seq))?;
    }
    ring(db, account, seq);
    store::list_books(db, account)
}

fn new_book(
    account: AccountId,
    now: Timestamp,
    slug: &str,
    kind: &str,
    display_name: &str,
    seq: i64,
) -> AddressBook {
    AddressBook {
        account_id: account,
        id: AddressBookId::new(now),
        slug: slug.to_owned(),
        kind: kind.to_owned(),
        display_name: display_name.to_owned(),
        description: String::new(),
        seq,
        floor_seq: seq,
        object_count: 0,
        size_bytes: 0,
        created_at: now,
    }
}

fn ring(db: &mut Db, account: AccountId, seq: i64) {
    db.signal(Signal::Account { account, seq, topics: Topics::BOOKS });
}

/// Makes a book of the user's own; refused when the address is taken or there are too many.
pub fn create_book(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    slug: &str,
    display_name: &str,
    description: &str,
) -> Result<Result<AddressBook, Refusal>> {
    let books = list_or_open(db, now, account)?;
    if books.iter().any(|b| b.slug == slug) {
        return Ok(Err(Refusal::Exists));
    }
    if books.len() >= BOOKS_MAX {
        return Ok(Err(Refusal::Full));
    }
    let seq = events::bump(db, account, 1)?;
    let mut book = new_book(account, now, slug, PERSONAL, display_name, seq);
    description.clone_into(&mut book.description);
    store::insert_book(db, &book)?;
    ring(db, account, seq);
    Ok(Ok(book))
}

/// Takes a book of the user's own away with all that is in it.
pub fn delete_book(db: &mut Db, account: AccountId, book: AddressBookId) -> Result<Result<(), Refusal>> {
    let Some(book) = store::find_book(db, account, book)? else { return Ok(Err(Refusal::Missing)) };
    if book.slug == MESSENGER || book.slug == PERSONAL {
        return Ok(Err(Refusal::Protected));
    }
    store::delete_book(db, account, book.id)?;
    let seq = events::bump(db, account, 1)?;
    ring(db, account, seq);
    Ok(Ok(()))
}

/// Changes names and kept properties of a book or an object, all or nothing.
#[derive(Debug, Clone, Default)]
pub struct PropertyEdit {
    /// The book's new name.
    pub display_name: Option<String>,
    /// The book's new description.
    pub description: Option<String>,
    /// Kept properties: a name in Clark's notation and the element, or none to take it away.
    pub kept: Vec<(String, Option<String>)>,
}

/// Applies an edit to the book, or to the object `name` in it.
pub fn edit_properties(
    db: &mut Db,
    account: AccountId,
    book: AddressBookId,
    name: &str,
    edit: &PropertyEdit,
) -> Result<Result<(), Refusal>> {
    let Some(mut book) = store::find_book(db, account, book)? else { return Ok(Err(Refusal::Missing)) };
    if !name.is_empty() && store::find_object(db, account, book.id, name)?.is_none() {
        return Ok(Err(Refusal::Missing));
    }
    let mut kept = store::list_properties(db, account, book.id, Some(name))?;
    for (property, value) in &edit.kept {
        kept.retain(|k| k.property != *property);
        store::delete_property(db, account, book.id, name, property)?;
        if let Some(value) = value {
            let new =
                KeptProperty { name: name.to_owned(), property: property.clone(), value: value.clone() };
            store::insert_property(db, account, book.id, &new)?;
            kept.push(new);
        }
    }
    if kept.len() > PROPERTIES_MAX {
        return Err(crate::error::Error::conflict("too_many_properties", "There are too many properties."));
    }
    if edit.display_name.is_some() || edit.description.is_some() {
        if let Some(text) = &edit.display_name {
            book.display_name.clone_from(text);
        }
        if let Some(text) = &edit.description {
            book.description.clone_from(text);
        }
        store::rename_book(db, &book)?;
    }
    // The books' properties are answered from memory, which must be read again; no object has changed.
    let seq = events::newest(db, account)?;
    ring(db, account, seq);
    Ok(Ok(()))
}

/// Kept properties of a book and its objects; of one resource when `name` says which (empty: the book itself).
pub fn kept_properties(
    db: &mut Db,
    account: AccountId,
    book: AddressBookId,
    name: Option<&str>,
) -> Result<Vec<KeptProperty>> {
    store::list_properties(db, account, book, name)
}

/// One object with its text.
pub fn find(
    db: &mut Db,
    account: AccountId,
    book: AddressBookId,
    name: &str,
) -> Result<Option<AddressObject>> {
    store::find_object(db, account, book, name)
}

/// Several objects with their texts, in no order; what is not there is left out.
pub fn find_many(
    db: &mut Db,
    account: AccountId,
    book: AddressBookId,
    names: &[&str],
) -> Result<Vec<AddressObject>> {
    store::list_by_names(db, account, book, names)
}

/// Everything in a book, without texts.
pub fn list_objects(db: &mut Db, account: AccountId, book: AddressBookId) -> Result<Vec<Listed>> {
    store::list_objects(db, account, book, -1, OBJECTS_MAX)
}

/// Up to `limit` objects with their texts whose counter is above `after`, lowest first.
pub fn page(
    db: &mut Db,
    account: AccountId,
    book: AddressBookId,
    after: i64,
    limit: i64,
) -> Result<Vec<AddressObject>> {
    store::page_after(db, account, book, after, limit)
}

/// What changed in a book since `since`, at most `limit` changes; `None` when that state is not (any more) known, or
/// there is no such book. Must run in a snapshot: the token and the changes belong together.
pub fn delta(
    db: &mut Db,
    account: AccountId,
    book: AddressBookId,
    since: Option<SyncState>,
    limit: Option<usize>,
) -> Result<Option<Delta>> {
    let Some(book) = store::find_book(db, account, book)? else { return Ok(None) };
    let ask = limit.and_then(|l| i64::try_from(l).ok()).map_or(i64::MAX, |l| l.saturating_add(1));
    let is_known = |s: &SyncState| {
        s.seq >= 0 && s.seq <= book.seq && s.base <= book.seq && s.seq.max(s.base) >= book.floor_seq
    };
    let from = match since {
        Some(state) if is_known(&state) => state,
        Some(_) => return Ok(None),
        None => SyncState { seq: 0, base: book.seq },
    };
    let live = store::list_objects(db, account, book.id, from.seq, ask)?;
    let mut changes: Vec<Change> =
        live.into_iter().map(|o| Change { seq: o.seq, name: o.name.clone(), object: Some(o) }).collect();
    if since.is_some() {
        changes.extend(store::list_tombstones(db, account, book.id, from.seq.max(from.base), ask)?);
        changes.sort_by_key(|c| c.seq);
    }
    let truncated = limit.is_some_and(|l| changes.len() > l);
    if let Some(limit) = limit {
        changes.truncate(limit);
    }
    let state = match changes.last() {
        Some(last) if truncated => SyncState { seq: last.seq, base: from.base.max(last.seq) },
        _ => book.state(),
    };
    // Gone twice, with a return between: the last one tells it all.
    let mut seen = std::collections::HashSet::new();
    let mut unique: Vec<Change> = changes.into_iter().rev().filter(|c| seen.insert(c.name.clone())).collect();
    unique.reverse();
    Ok(Some(Delta { changes: unique, state, truncated }))
}

/// Writes an object: exactly the bytes in a book of the user's own, merged in the messenger's.
pub fn put(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    book: AddressBookId,
    put: &Put<'_>,
) -> Result<Written> {
    let refused = |refusal| Ok(Written::Refused(refusal));
    let Some(book) = store::find_book(db, account, book)? else { return refused(Refusal::Missing) };
    let existing = store::find_object(db, account, book.id, put.name)?;
    if put.condition.check(existing.as_ref().map(|o| o.etag.as_str())).is_err() {
        return refused(Refusal::Changed);
    }
    let uid = put.card.uid();
    if let Some(holder) = store::find_holder(db, account, book.id, &uid)?.filter(|h| h != put.name) {
        return refused(Refusal::UidConflict { holder });
    }
    if existing.as_ref().is_some_and(|o| o.uid != uid) {
        return refused(Refusal::UidConflict { holder: put.name.to_owned() });
    }
    let merged = match existing.as_ref().and_then(|o| o.base.as_ref()) {
        Some(base) => match merge(base, put.card, base) {
            Some(body) => body,
            None => return refused(Refusal::NotACard),
        },
        None => put.body.to_vec(),
    };
    let grows = i64::try_from(merged.len()).unwrap_or(i64::MAX)
        - existing.as_ref().map_or(0, |o| i64::from(o.size_bytes));
    if existing.is_none() && book.object_count >= OBJECTS_MAX || grows > 0 && is_full(db, account, grows)? {
        return refused(Refusal::Full);
    }
    let etag = etag_of(&merged);
    let exact = merged == put.body;
    if let Some(before) = existing.as_ref().filter(|o| o.etag == etag) {
        // The same once more: nothing changes, no phone need be woken.
        let etag = exact.then_some(etag);
        return Ok(Written::Done { created: false, etag, seq: before.seq });
    }
    let seq = events::bump(db, account, 1)?;
    let created = existing.is_none();
    let object = AddressObject {
        account_id: account,
        book_id: book.id,
        name: put.name.to_owned(),
        uid,
        etag: etag.clone(),
        contact_id: existing.as_ref().and_then(|o| o.contact_id),
        size_bytes: i32::try_from(merged.len()).unwrap_or(i32::MAX),
        seq,
        created_at: existing.as_ref().map_or(now, |o| o.created_at),
        updated_at: now,
        body: merged,
        base: existing.and_then(|o| o.base),
    };
    if created {
        store::insert_objects(db, std::slice::from_ref(&object))?;
    } else {
        store::update_object(db, &object)?;
    }
    store::touch_book(db, account, book.id, seq, i64::from(created), grows)?;
    ring(db, account, seq);
    Ok(Written::Done { created, etag: exact.then_some(etag), seq })
}

fn is_full(db: &mut Db, account: AccountId, grows: i64) -> Result<bool> {
    let used: i64 = store::list_books(db, account)?.iter().map(|b| b.size_bytes).sum();
    Ok(used.saturating_add(grows) > ACCOUNT_BYTES_MAX)
}

fn merge(base: &[u8], theirs: &Card, ours: &[u8]) -> Option<Vec<u8>> {
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
    let existing = store::find_object(db, account, book, name)?;
    if condition.check(existing.as_ref().map(|o| o.etag.as_str())).is_err() {
        return Ok(Written::Refused(Refusal::Changed));
    }
    let Some(object) = existing else { return Ok(Written::Refused(Refusal::Missing)) };
    let seq = bury(db, account, &object)?;
    if let Some(contact) = object.contact_id {
        numbering::hide_on_phone(db, now, account, contact)?;
    }
    Ok(Written::Done { created: false, etag: None, seq })
}

fn bury(db: &mut Db, account: AccountId, object: &AddressObject) -> Result<i64> {
    let seq = events::bump(db, account, 1)?;
    store::bury_object(db, account, object.book_id, &object.name, seq)?;
    store::touch_book(db, account, object.book_id, seq, -1, -i64::from(object.size_bytes))?;
    ring(db, account, seq);
    Ok(seq)
}

/// Where an object goes.
#[derive(Debug, Clone)]
pub struct Target<'a> {
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
    account: AccountId,
    from: (AddressBookId, &str),
    target: &Target<'_>,
    condition: &EntityCondition,
) -> Result<Written> {
    let refused = |refusal| Ok(Written::Refused(refusal));
    let Some(source) = store::find_object(db, account, from.0, from.1)? else {
        return refused(Refusal::Missing);
    };
    if condition.check(Some(&source.etag)).is_err() {
        return refused(Refusal::Changed);
    }
    if target.moves && source.contact_id.is_some() {
        return refused(Refusal::Protected);
    }
    let Some(book) = store::find_book(db, account, target.book)? else { return refused(Refusal::Missing) };
    let replaced = store::find_object(db, account, target.book, target.name)?;
    if replaced.is_some() && !target.overwrite {
        return refused(Refusal::Exists);
    }
    if replaced.as_ref().is_some_and(|o| o.contact_id.is_some()) {
        return refused(Refusal::Protected);
    }
    let holder = store::find_holder(db, account, target.book, &source.uid)?;
    let leaves = |name: &str| target.moves && book.id == source.book_id && name == source.name;
    if let Some(holder) = holder.filter(|h| h != target.name && !leaves(h)) {
        return refused(Refusal::UidConflict { holder });
    }
    // Replacing a card by another one changes its UID, which 6.3.2.1 forbids.
    if let Some(other) = replaced.as_ref().filter(|o| o.uid != source.uid) {
        return refused(Refusal::UidConflict { holder: other.name.clone() });
    }
    let grows = i64::from(source.size_bytes) - replaced.as_ref().map_or(0, |o| i64::from(o.size_bytes));
    let full = replaced.is_none() && book.object_count >= OBJECTS_MAX;
    if !target.moves && (full || grows > 0 && is_full(db, account, grows)?) {
        return refused(Refusal::Full);
    }
    let kept = store::list_properties(db, account, source.book_id, Some(&source.name))?;
    if target.moves {
        bury(db, account, &source)?;
    }
    let seq = events::bump(db, account, 1)?;
    let created = replaced.is_none();
    let object = AddressObject {
        account_id: account,
        book_id: book.id,
        name: target.name.to_owned(),
        contact_id: None,
        base: None,
        seq,
        updated_at: now,
        created_at: now,
        ..source
    };
    if created {
        store::insert_objects(db, std::slice::from_ref(&object))?;
    } else {
        store::update_object(db, &object)?;
    }
    for property in kept {
        let copy = KeptProperty { name: target.name.to_owned(), ..property };
        store::delete_property(db, account, book.id, &copy.name, &copy.property)?;
        store::insert_property(db, account, book.id, &copy)?;
    }
    store::touch_book(db, account, book.id, seq, i64::from(created), grows)?;
    ring(db, account, seq);
    Ok(Written::Done { created, etag: Some(object.etag), seq })
}

/// Writes the card of a messenger friend; see [`put_messenger_cards`].
pub fn put_messenger_card(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    contact: ContactId,
    card: &MessengerCard,
) -> Result<()> {
    put_messenger_cards(db, now, account, &[(contact, card.clone())])
}

/// Writes the cards of messenger friends, in the caller's transaction. What the user changed on the phone is kept; a
/// card that says nothing new is not touched, so that no phone fetches it again.
pub fn put_messenger_cards(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    cards: &[(ContactId, MessengerCard)],
) -> Result<()> {
    if cards.is_empty() {
        return Ok(());
    }
    let Some(book) = list_or_open(db, now, account)?.into_iter().find(AddressBook::is_messenger) else {
        return Err(crate::error::Error::internal("the messenger book could not be made"));
    };
    let names: Vec<String> = cards.iter().map(|(contact, _)| object_name(*contact)).collect();
    let wanted: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut before: std::collections::HashMap<String, AddressObject> =
        store::list_by_names(db, account, book.id, &wanted)?
            .into_iter()
            .map(|o| (o.name.clone(), o))
            .collect();
    let (mut new, mut changed, mut bytes) = (Vec::new(), Vec::new(), 0i64);
    for ((contact, card), name) in cards.iter().zip(names) {
        let ours = render_messenger_card(card).into_bytes();
        match before.remove(&name) {
            Some(object) => {
                let size = i64::from(object.size_bytes);
                if let Some(object) = with_news(object, *contact, ours) {
                    bytes += i64::from(object.size_bytes) - size;
                    changed.push(object);
                }
            }
            None => {
                let object = first_version(now, &book, name, *contact, card, ours);
                bytes += i64::from(object.size_bytes);
                new.push(object);
            }
        }
    }
    if new.is_empty() && changed.is_empty() {
        return Ok(());
    }
    for object in &new {
        // A card of the user's own that has a friend's UID is an old copy of this one.
        if let Some(holder) = store::find_holder(db, account, book.id, &object.uid)?
            && let Some(copy) = store::find_object(db, account, book.id, &holder)?
        {
            bury(db, account, &copy)?;
        }
    }
    let count = i64::try_from(new.len() + changed.len()).unwrap_or(0);
    let last = events::bump(db, account, count)?;
    let mut seq = last - count;
    for object in new.iter_mut().chain(&mut changed) {
        seq += 1;
        object.seq = seq;
        object.updated_at = now;
    }
    store::insert_objects(db, &new)?;
    for object in &changed {
        store::update_object(db, object)?;
    }
    store::touch_book(db, account, book.id, last, i64::try_from(new.len()).unwrap_or(0), bytes)?;
    ring(db, account, last);
    Ok(())
}

/// The name of a friend's card: the same for the life of the contact.
pub(super) fn object_name(contact: ContactId) -> String {
    format!("{}.vcf", contact.0.simple())
}

fn first_version(
    now: Timestamp,
    book: &AddressBook,
    name: String,
    contact: ContactId,
    card: &MessengerCard,
    ours: Vec<u8>,
) -> AddressObject {
    AddressObject {
        account_id: book.account_id,
        book_id: book.id,
        name,
        uid: vcard::comparable_uid(&card.uid),
        etag: etag_of(&ours),
        contact_id: Some(contact),
        size_bytes: i32::try_from(ours.len()).unwrap_or(i32::MAX),
        seq: 0,
        created_at: now,
        updated_at: now,
        body: ours.clone(),
        base: Some(ours),
    }
}

/// The object with what the messenger says now merged in; none when that is nothing new.
fn with_news(mut object: AddressObject, contact: ContactId, ours: Vec<u8>) -> Option<AddressObject> {
    if object.base.as_deref().is_some_and(|base| same_but_rev(base, &ours)) {
        return None;
    }
    let theirs = Card::parse(&object.body).ok();
    let base = object.base.as_deref().unwrap_or(&ours);
    let merged = theirs.and_then(|theirs| merge(base, &theirs, &ours)).unwrap_or_else(|| ours.clone());
    object.etag = etag_of(&merged);
    object.size_bytes = i32::try_from(merged.len()).unwrap_or(i32::MAX);
    object.contact_id = Some(contact);
    object.body = merged;
    object.base = Some(ours);
    Some(object)
}

/// Whether two texts of ours differ in nothing but their time.
fn same_but_rev(a: &[u8], b: &[u8]) -> bool {
    let lines = |text| <[u8]>::split(text, |c| *c == b'\n').filter(|l: &&[u8]| !l.starts_with(b"REV:"));
    lines(a).eq(lines(b))
}

/// Takes the card of a messenger friend off the phone; see [`remove_messenger_cards`].
pub fn remove_messenger_card(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    contact: ContactId,
) -> Result<()> {
    remove_messenger_cards(db, now, account, &[contact])
}

/// Takes cards of messenger friends off the phone, in the caller's transaction. What is not there is no fault.
pub fn remove_messenger_cards(
    db: &mut Db,
    _now: Timestamp,
    account: AccountId,
    contacts: &[ContactId],
) -> Result<()> {
    let Some(book) = store::list_books(db, account)?.into_iter().find(AddressBook::is_messenger) else {
        return Ok(());
    };
    let names: Vec<String> = contacts.iter().map(|c| object_name(*c)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for object in store::list_by_names(db, account, book.id, &names)? {
        bury(db, account, &object)?;
    }
    Ok(())
}

/// Whether a device of the account has fetched the friend's card as it is now.
pub fn card_is_on_phone(db: &mut Db, account: AccountId, contact: ContactId) -> Result<bool> {
    for (book, name, seq) in store::list_of_contact(db, account, contact)? {
        if store::was_fetched(db, account, book, &name, seq)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Keeps that devices have been handed cards. Bumps no counter: nothing changed for anybody.
pub fn note_fetches(db: &mut Db, now: Timestamp, fetches: &[Fetch]) -> Result<()> {
    store::upsert_fetches(db, now, fetches)
}

/// Forgets all but the newest tombstones of an account's books; tokens from before are told to list anew.
pub fn prune_tombstones(db: &mut Db, account: AccountId) -> Result<()> {
    for book in store::list_books(db, account)? {
        if let Some(floor) = store::find_old_tombstone(db, account, book.id, TOMBSTONES_KEPT)? {
            store::delete_tombstones(db, account, book.id, floor)?;
            store::raise_floor(db, account, book.id, floor)?;
        }
    }
    Ok(())
}
