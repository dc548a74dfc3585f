//! Address books and what is in them: the `messenger` book that Meari keeps, and the user's own.
//!
//! An object is the exact text that a client sent, an ETag over it, and the account's counter at its last change. The
//! counter is the sync token: what changed since is what stands higher, and what is gone has left a tombstone. Reads
//! that lead to a token take it in the same snapshot as the list, so that no change can fall between.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use diesel::prelude::*;

pub use super::book_writes::{Put, Refusal, Target, Written, delete, put, transfer};
pub use super::messenger_book::{
    Fetch, card_is_on_phone, note_fetches, object_name, put_messenger_card, put_messenger_cards,
    remove_messenger_card, remove_messenger_cards,
};
use super::{book_store as store, pushes, sharing};
use crate::clock::Timestamp;
use crate::db::{Db, Signal, Topics};
use crate::error::Result;
use crate::events;
use crate::ids::{AccountId, AddressBookId, ContactId};
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
/// Bytes of all kept properties of an account at most: they are for marks and colours, not for files.
pub const KEPT_BYTES_MAX: i64 = 8 * 1024 * 1024;
/// Bytes of whole objects that one read brings at most, beside the object with which it is full: two hundred cards with
/// small pictures come at once, and nobody's cards fill the memory.
pub const READ_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Objects that are asked for by name in one read at most.
pub const NAMES_MAX: usize = 200;
/// Tombstones kept for each book; phones that were away for longer list everything anew.
pub const TOMBSTONES_KEPT: i64 = 10_000;
/// How many deletions pass between two looks for tombstones that are too many.
pub(super) const PRUNE_EVERY: i64 = 512;

/// The address of the book that Meari keeps.
pub const MESSENGER: &str = "messenger";
/// The address of the book that every account begins with.
pub const PERSONAL: &str = "personal";

/// The kind of a book that several accounts use, now or in the past; see [`super::sharing`].
pub const SHARED: &str = "shared";

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
    /// [`MESSENGER`], [`PERSONAL`] or [`SHARED`].
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

    /// Whether others have, or had, access to it.
    pub fn is_shared(&self) -> bool {
        self.kind == SHARED
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
    /// The messenger contact it stands for, or that the user's own card names.
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
    /// What the messenger said last, for merging: the whole card, or on the user's own card the number.
    pub base: Option<Vec<u8>>,
}

impl AddressObject {
    /// Whether it is a friend's card that Meari keeps, and not one of the user's own. The name alone proves nothing: a
    /// copy of such a card may have it in another book. Only on a card of ours `base` is a whole card.
    pub fn is_kept_by_us(&self) -> bool {
        self.contact_id.is_some_and(|contact| object_name(contact) == self.name)
            && self.base.as_deref().is_some_and(|base| base.starts_with(b"BEGIN:VCARD"))
    }
}

/// What a write must know of an object that is there.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct Standing {
    /// The last segment of its address, decoded.
    pub name: String,
    /// The UID as it compares.
    pub uid: String,
    /// Its tag.
    pub etag: String,
    /// The messenger contact it stands for or names.
    pub contact_id: Option<ContactId>,
    /// Its size.
    pub size_bytes: i32,
    /// The counter at its last change.
    pub seq: i64,
    /// When it came to be.
    pub created_at: Timestamp,
    /// The beginning of the text, in which its version stands.
    pub head: Vec<u8>,
}

/// What is seen of a book and of one object, before it is known whether more is needed.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct Glimpse {
    /// The book's kind.
    pub book_kind: String,
    /// The object's tag; none when there is no object.
    pub etag: Option<String>,
    /// The messenger contact that the object stands for or names.
    pub contact_id: Option<ContactId>,
}

/// An object with its text, and nothing that only a write needs.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = address_objects)]
pub struct ObjectText {
    /// The last segment of its address, decoded.
    pub name: String,
    /// Its tag.
    pub etag: String,
    /// The messenger contact it stands for or names.
    pub contact_id: Option<ContactId>,
    /// Its size.
    pub size_bytes: i32,
    /// The counter at its last change.
    pub seq: i64,
    /// When it came to be.
    pub created_at: Timestamp,
    /// When it changed last.
    pub updated_at: Timestamp,
    /// The exact text.
    pub body: Vec<u8>,
}

impl From<AddressObject> for ObjectText {
    fn from(o: AddressObject) -> Self {
        ObjectText {
            name: o.name,
            etag: o.etag,
            contact_id: o.contact_id,
            size_bytes: o.size_bytes,
            seq: o.seq,
            created_at: o.created_at,
            updated_at: o.updated_at,
            body: o.body,
        }
    }
}

/// What properties tell of an object.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = address_objects)]
pub struct Traits {
    /// Its tag.
    pub etag: String,
    /// Its size.
    pub size_bytes: i32,
    /// When it came to be.
    pub created_at: Timestamp,
    /// When it changed last.
    pub updated_at: Timestamp,
}

/// A book as far as a write asks.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = crate::schema::address_books)]
pub struct BookSums {
    /// Which.
    pub id: AddressBookId,
    /// Its kind.
    pub kind: String,
    /// Its counter.
    pub seq: i64,
    /// How many objects are in it.
    pub object_count: i64,
    /// Their bytes.
    pub size_bytes: i64,
    /// Whether somebody may want a push when it changes.
    pub watched: bool,
}

/// One line of a delta.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The counter at the change.
    pub seq: i64,
    /// Which object.
    pub name: String,
    /// The object as it is now; none when it is gone.
    pub object: Option<Traits>,
}

/// A card that was written, for memories of its book ([`News`](crate::db::News)).
#[derive(Debug, Clone)]
pub struct CardChanged {
    /// Whose book.
    pub account: AccountId,
    /// Which.
    pub book: AddressBookId,
    /// The book's counter before.
    pub last: i64,
    /// Objects more.
    pub objects: i64,
    /// Bytes more.
    pub bytes: i64,
    /// What became of it.
    pub change: Arc<Change>,
}

impl CardChanged {
    pub(super) fn new(object: &AddressObject, last: i64, objects: i64, bytes: i64) -> CardChanged {
        let traits = Traits {
            etag: object.etag.clone(),
            size_bytes: object.size_bytes,
            created_at: object.created_at,
            updated_at: object.updated_at,
        };
        let change = Change { seq: object.seq, name: object.name.clone(), object: Some(traits) };
        let change = Arc::new(change);
        CardChanged { account: object.account_id, book: object.book_id, last, objects, bytes, change }
    }
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
    events::lock(db, &[account])?;
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

pub(super) fn ring(db: &mut Db, account: AccountId, seq: i64) {
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
    events::lock(db, &[account])?;
    let books = list_or_open(db, now, account)?;
    if books.iter().any(|b| b.slug == slug) || sharing::is_taken(db, account, slug)? {
        return Ok(Err(Refusal::Exists));
    }
    if books.len() >= BOOKS_MAX {
        return Ok(Err(Refusal::Full));
    }
    let seq = events::bump(db, account, 1)?;
    let mut book = new_book(account, now, slug, PERSONAL, display_name, seq);
    description.clone_into(&mut book.description);
    store::insert_book(db, &book)?;
    pushes::opened(db, now, account)?;
    ring(db, account, seq);
    Ok(Ok(book))
}

/// Takes a book of the user's own away with all that is in it.
pub fn delete_book(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    book: AddressBookId,
) -> Result<Result<(), Refusal>> {
    events::lock(db, &[account])?;
    let Some(book) = store::find_book(db, account, book)? else { return Ok(Err(Refusal::Missing)) };
    if book.slug == MESSENGER || book.slug == PERSONAL {
        return Ok(Err(Refusal::Protected));
    }
    if book.is_shared() {
        sharing::close(db, now, &book)?;
    }
    store::delete_book(db, account, book.id)?;
    pushes::closed(db, now, account, book.id)?;
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
    now: Timestamp,
    account: AccountId,
    book: AddressBookId,
    name: &str,
    edit: &PropertyEdit,
) -> Result<Result<(), Refusal>> {
    events::lock(db, &[account])?;
    let Some(mut book) = store::find_book(db, account, book)? else { return Ok(Err(Refusal::Missing)) };
    if !name.is_empty() && store::find_object(db, account, book.id, name)?.is_none() {
        return Ok(Err(Refusal::Missing));
    }
    let before = store::list_properties(db, account, book.id, Some(name))?;
    let mut after = before.clone();
    for (property, value) in &edit.kept {
        after.retain(|k| k.property != *property);
        after.extend(value.iter().map(|value| KeptProperty {
            name: name.to_owned(),
            property: property.clone(),
            value: value.clone(),
        }));
    }
    let grows = bytes_of(&after) - bytes_of(&before);
    if after.len() > PROPERTIES_MAX || !have_room(db, account, grows)? {
        return Ok(Err(Refusal::Full));
    }
    for (property, _) in &edit.kept {
        store::delete_property(db, account, book.id, name, property)?;
    }
    for new in after.iter().filter(|k| edit.kept.iter().any(|(property, _)| *property == k.property)) {
        store::insert_property(db, account, book.id, new)?;
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
    if name.is_empty() {
        pushes::edited(db, now, account, book.id)?;
    }
    // The books' properties are answered from memory, which must be read again; no object has changed.
    let seq = events::newest(db, account)?;
    ring(db, account, seq);
    sharing::wake_members(db, account, book.id)?;
    Ok(Ok(()))
}

/// Whether a book that is made may have all these properties.
pub fn have_room_for(db: &mut Db, account: AccountId, edit: &PropertyEdit) -> Result<bool> {
    let bytes = |(property, value): &(String, Option<String>)| {
        property.len() + value.as_ref().map_or(0, String::len) + store::PROPERTY_ROW_BYTES
    };
    let grows = i64::try_from(edit.kept.iter().map(bytes).sum::<usize>()).unwrap_or(i64::MAX);
    Ok(edit.kept.len() <= PROPERTIES_MAX && have_room(db, account, grows)?)
}

/// Whether an account's kept properties may grow by so many bytes.
pub(super) fn have_room(db: &mut Db, account: AccountId, grows: i64) -> Result<bool> {
    Ok(grows <= 0 || store::sum_properties(db, account)?.saturating_add(grows) <= KEPT_BYTES_MAX)
}

/// What kept properties count for.
pub(super) fn bytes_of(kept: &[KeptProperty]) -> i64 {
    let bytes =
        |k: &KeptProperty| k.name.len() + k.property.len() + k.value.len() + store::PROPERTY_ROW_BYTES;
    i64::try_from(kept.iter().map(bytes).sum::<usize>()).unwrap_or(i64::MAX)
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

/// Kept properties of these objects, by their names.
pub fn kept_properties_of(
    db: &mut Db,
    account: AccountId,
    book: AddressBookId,
    names: &[&str],
) -> Result<HashMap<String, Vec<KeptProperty>>> {
    let kept = match names.len() > NAMES_MAX {
        true => store::list_properties(db, account, book, None)?,
        false => store::list_properties_of(db, account, book, names)?,
    };
    let mut by_name: HashMap<String, Vec<KeptProperty>> = HashMap::new();
    for property in kept {
        by_name.entry(property.name.clone()).or_default().push(property);
    }
    Ok(by_name)
}

/// Kept properties of all books of an account themselves.
pub fn kept_properties_of_books(
    db: &mut Db,
    account: AccountId,
) -> Result<Vec<(AddressBookId, KeptProperty)>> {
    store::list_properties_of_books(db, account)
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

/// Hands over the objects with these names one by one, each with the place of its name, as far as they fit into one
/// read; whether these are all there are. At most [`NAMES_MAX`] names.
pub fn visit_some(
    db: &mut Db,
    account: AccountId,
    book: AddressBookId,
    names: &[&str],
    visit: impl FnMut(usize, ObjectText),
) -> Result<bool> {
    store::visit_by_names(db, account, book, names.get(..NAMES_MAX).unwrap_or(names), visit)
}

/// The same as a list.
pub fn find_some(
    db: &mut Db,
    account: AccountId,
    book: AddressBookId,
    names: &[&str],
) -> Result<(Vec<ObjectText>, bool)> {
    let mut found = Vec::new();
    let complete = visit_some(db, account, book, names, |_, object| found.push(object))?;
    Ok((found, complete))
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

/// Hands over the objects whose counters are above `after` and at most `until` one by one, in their order, as far as
/// they fit into one read; whether these are all there are.
pub fn visit_between(
    db: &mut Db,
    account: AccountId,
    book: AddressBookId,
    (after, until): (i64, i64),
    visit: impl FnMut(ObjectText),
) -> Result<bool> {
    store::visit_between(db, account, book, (after, until), visit)
}

/// Everything in a book, without texts.
pub fn list_objects(db: &mut Db, account: AccountId, book: AddressBookId) -> Result<Vec<Change>> {
    store::list_objects(db, account, book, -1, OBJECTS_MAX)
}

/// Up to `limit` objects with their texts whose counter is above `after`, lowest first; fewer when they are large, none
/// only when there are no more.
pub fn page(
    db: &mut Db,
    account: AccountId,
    book: AddressBookId,
    after: i64,
    limit: i64,
) -> Result<Vec<ObjectText>> {
    store::page_after(db, account, book, after, limit)
}

/// The same in the order of the names.
pub fn page_by_name(
    db: &mut Db,
    account: AccountId,
    book: AddressBookId,
    after: &str,
    limit: i64,
) -> Result<Vec<ObjectText>> {
    store::page_by_name(db, account, book, after, limit)
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
    match store::find_book(db, account, book)? {
        Some(book) => delta_of(db, &book, since, limit),
        None => Ok(None),
    }
}

/// The same for a book that was read in the same snapshot.
pub fn delta_of(
    db: &mut Db,
    book: &AddressBook,
    since: Option<SyncState>,
    limit: Option<usize>,
) -> Result<Option<Delta>> {
    let account = book.account_id;
    let ask = limit.and_then(|l| i64::try_from(l).ok()).map_or(i64::MAX, |l| l.saturating_add(1));
    let is_known = |s: &SyncState| {
        s.seq >= 0 && s.seq <= book.seq && s.base <= book.seq && s.seq.max(s.base) >= book.floor_seq
    };
    let from = match since {
        Some(state) if is_known(&state) => state,
        Some(_) => return Ok(None),
        None => SyncState { seq: 0, base: book.seq },
    };
    let mut changes = store::list_objects(db, account, book.id, from.seq, ask)?;
    let live = changes.len();
    if since.is_some() {
        changes.extend(store::list_tombstones(db, account, book.id, from.seq.max(from.base), ask)?);
    }
    let has_gone = changes.len() > live;
    if has_gone {
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
    if has_gone {
        // Gone twice, with a return between: the last one tells it all.
        let mut seen = HashSet::new();
        changes.reverse();
        changes.retain(|c| seen.insert(c.name.clone()));
        changes.reverse();
    }
    Ok(Some(Delta { changes, state, truncated }))
}

/// Forgets all but the newest `keep` tombstones of an account's books; tokens from before are told to list anew.
pub fn prune_tombstones(db: &mut Db, account: AccountId, keep: i64) -> Result<()> {
    for book in store::list_books(db, account)? {
        if let Some(floor) = store::find_old_tombstone(db, account, book.id, keep)? {
            store::delete_tombstones(db, account, book.id, floor)?;
            store::raise_floor(db, account, book.id, floor)?;
        }
    }
    Ok(())
}
