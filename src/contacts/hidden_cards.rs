//! What the user made of a friend's card while the friend is not on the phone: note, picture, groups, labels. It waits
//! here and comes back with the card, whoever took the card away: the user on the phone, the client, a mobile that is
//! gone.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::upsert::excluded;

use super::book_writes::{Put, Written, marked_etag, merge};
use super::books::{AddressBook, AddressObject, etag_of};
use super::contact::{Contact, ContactState};
use super::vcard::Card;
use super::{book_store, numbering, store};
use crate::clock::Timestamp;
use crate::db::Db;
use crate::each;
use crate::error::Result;
use crate::events;
use crate::ids::{AccountId, AddressBookId, ContactId};
use crate::schema::hidden_cards;

/// Bytes kept for one account at most: what comes beyond returns as the messenger says it.
const HIDDEN_BYTES_MAX: i64 = 64 * 1024 * 1024;
/// Contacts in one statement.
const CHUNK: usize = 500;

/// A card as it was when it left the phone.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = hidden_cards)]
pub struct HiddenCard {
    /// Whose.
    pub account_id: AccountId,
    /// The friend.
    pub contact_id: ContactId,
    /// Bytes of both texts.
    pub size_bytes: i64,
    /// What the messenger had said last; empty when it is not known any more.
    pub base: Vec<u8>,
    /// What the user had made of it.
    pub body: Vec<u8>,
}

impl HiddenCard {
    fn new(account_id: AccountId, contact_id: ContactId, base: Vec<u8>, body: Vec<u8>) -> Self {
        let size_bytes = i64::try_from(base.len() + body.len()).unwrap_or(i64::MAX);
        HiddenCard { account_id, contact_id, size_bytes, base, body }
    }

    /// Merges what the user had made of the card into a card that comes back.
    pub fn put_back_on(self, object: &mut AddressObject) {
        let ours = object.base.clone().unwrap_or_default();
        let base = if self.base.is_empty() { &ours } else { &self.base };
        let merged = Card::parse(&self.body).ok().and_then(|theirs| merge(base, &theirs, &ours));
        let Some(merged) = merged else { return };
        object.etag = etag_of(&merged);
        object.size_bytes = i32::try_from(merged.len()).unwrap_or(i32::MAX);
        object.body = merged;
    }
}

/// Keeps what the user made of a card that goes; nothing when it is as the messenger wrote it, or the user's own.
pub fn keep(db: &mut Db, object: &AddressObject) -> Result<()> {
    let (Some(contact), Some(base)) = (object.contact_id.filter(|_| object.is_kept_by_us()), &object.base)
    else {
        return Ok(());
    };
    if *base == object.body {
        return Ok(());
    }
    let card = HiddenCard::new(object.account_id, contact, base.clone(), object.body.clone());
    if size_of_all(db, object.account_id)?.saturating_add(card.size_bytes) > HIDDEN_BYTES_MAX {
        return Ok(());
    }
    upsert(db, &card)
}

/// Takes out what was kept of these friends' cards.
pub fn take(
    db: &mut Db,
    account: AccountId,
    contacts: &[ContactId],
) -> Result<HashMap<ContactId, HiddenCard>> {
    let mut found = HashMap::new();
    for chunk in contacts.chunks(CHUNK) {
        let rows: Vec<HiddenCard> = each!(db, |c| hidden_cards::table
            .filter(hidden_cards::account_id.eq(account))
            .filter(hidden_cards::contact_id.eq_any(chunk))
            .select(HiddenCard::as_select())
            .load(c))?;
        if rows.is_empty() {
            continue;
        }
        each!(db, |c| diesel::delete(hidden_cards::table)
            .filter(hidden_cards::account_id.eq(account))
            .filter(hidden_cards::contact_id.eq_any(chunk))
            .execute(c))?;
        found.extend(rows.into_iter().map(|row| (row.contact_id, row)));
    }
    Ok(found)
}

/// All that is kept of an account's friends, for its export.
pub fn list(db: &mut Db, account: AccountId) -> Result<Vec<HiddenCard>> {
    Ok(each!(db, |c| hidden_cards::table
        .filter(hidden_cards::account_id.eq(account))
        .order(hidden_cards::contact_id.asc())
        .select(HiddenCard::as_select())
        .load(c))?)
}

/// The hidden friend whose card would stand at `name` of a book, when that is the messenger's.
pub fn contact_at(
    db: &mut Db,
    account: AccountId,
    book: AddressBookId,
    name: &str,
) -> Result<Option<(AddressBook, Contact)>> {
    let hex = name.strip_suffix(".vcf").filter(|hex| hex.len() == 32);
    let Some(id) = hex.and_then(|hex| uuid::Uuid::try_parse(hex).ok()).map(ContactId) else {
        return Ok(None);
    };
    let contact = store::find(db, account, id)?;
    let hidden = contact.filter(|c| c.hidden_on_phone && c.state == ContactState::Accepted);
    let Some(contact) = hidden else { return Ok(None) };
    let book = book_store::find_book(db, account, book)?.filter(AddressBook::is_messenger);
    Ok(book.map(|book| (book, contact)))
}

/// A hidden friend's card is written again at its old address: the deletion is undone, with what the card says.
pub fn bring_back(
    db: &mut Db,
    now: Timestamp,
    book: &AddressBook,
    contact: Contact,
    put: &Put<'_>,
) -> Result<Written> {
    let account = book.account_id;
    let base =
        take(db, account, &[contact.id])?.remove(&contact.id).map(|kept| kept.base).unwrap_or_default();
    upsert(db, &HiddenCard::new(account, contact.id, base, put.body.to_vec()))?;
    numbering::show_on_phone(db, now, account, contact.id)?;
    let Some(mut object) = book_store::find_object(db, account, book.id, put.name)? else {
        // He waits for a number; the card comes with it.
        return Ok(Written::Done {
            created: true,
            etag: None,
            seq: events::newest(db, account)?,
            bound: true,
        });
    };
    if object.body == put.body {
        return Ok(Written::Done { created: true, etag: Some(object.etag), seq: object.seq, bound: true });
    }
    object.etag = marked_etag(&object.body, object.seq);
    book_store::update_object(db, &object)?;
    Ok(Written::Done { created: true, etag: None, seq: object.seq, bound: true })
}

fn upsert(db: &mut Db, card: &HiddenCard) -> Result<()> {
    each!(db, |c| diesel::insert_into(hidden_cards::table)
        .values(card)
        .on_conflict((hidden_cards::account_id, hidden_cards::contact_id))
        .do_update()
        .set((
            hidden_cards::size_bytes.eq(excluded(hidden_cards::size_bytes)),
            hidden_cards::base.eq(excluded(hidden_cards::base)),
            hidden_cards::body.eq(excluded(hidden_cards::body)),
        ))
        .execute(c))?;
    Ok(())
}

fn size_of_all(db: &mut Db, account: AccountId) -> Result<i64> {
    let sizes: Vec<i64> = each!(db, |c| hidden_cards::table
        .filter(hidden_cards::account_id.eq(account))
        .select(hidden_cards::size_bytes)
        .load(c))?;
    Ok(sizes.into_iter().fold(0, i64::saturating_add))
}
