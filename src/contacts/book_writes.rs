//! Writing objects of address books: put, delete, copy and move, each checked and done in one transaction.

use super::books::{ACCOUNT_BYTES_MAX, AddressObject, KeptProperty, OBJECTS_MAX, etag_of, ring};
use super::vcard::Card;
use super::{book_store as store, messenger_card, numbering};
use crate::clock::Timestamp;
use crate::dav::EntityCondition;
use crate::db::Db;
use crate::error::Result;
use crate::events;
use crate::ids::{AccountId, AddressBookId};

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

/// Writes an object: exactly the bytes in a book of the user's own, merged in the messenger's.
pub fn put(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    book: AddressBookId,
    put: &Put<'_>,
) -> Result<Written> {
    let refused = |refusal| Ok(Written::Refused(refusal));
    events::lock(db, &[account])?;
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
    let seq = bury(db, account, &object)?;
    if let Some(contact) = object.contact_id {
        numbering::hide_on_phone(db, now, account, contact)?;
    }
    Ok(Written::Done { created: false, etag: None, seq })
}

pub(super) fn bury(db: &mut Db, account: AccountId, object: &AddressObject) -> Result<i64> {
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
    events::lock(db, &[account])?;
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
    copy_properties(db, account, book.id, target.name, kept)?;
    store::touch_book(db, account, book.id, seq, i64::from(created), grows)?;
    ring(db, account, seq);
    Ok(Written::Done { created, etag: Some(object.etag), seq })
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
        store::delete_property(db, account, book, &copy.name, &copy.property)?;
        store::insert_property(db, account, book, &copy)?;
    }
    Ok(())
}
