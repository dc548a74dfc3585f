//! The messenger's own book: a friend's card is written when the messenger has news, merged with what the user made of
//! it on the phone, and it is known which device has which card.

use std::collections::HashMap;

use super::book_store as store;
use super::book_writes::{bury, marked_etag, merge, write_object};
use super::books::{AddressBook, AddressObject, etag_of, list_or_open};
use super::messenger_card::{MessengerCard, render_messenger_card};
use super::vcard::{self, Card};
use super::{card_friends, hidden_cards, pushes};
use crate::clock::Timestamp;
use crate::db::{Db, Topics};
use crate::error::{Error, Result};
use crate::events;
use crate::ids::{AccountId, AddressBookId, AppPasswordId, ContactId};
use crate::phone::E164;

/// That a device has been handed a card, or the list of what is in the book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// Whose.
    pub account: AccountId,
    /// Which device.
    pub app_password: AppPasswordId,
    /// The book.
    pub book: AddressBookId,
    /// The object; empty for the list of what is in the book.
    pub name: String,
    /// The counter of the object, or of the book, when it was handed out.
    pub seq: i64,
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
    events::lock(db, &[account])?;
    let Some(book) = list_or_open(db, now, account)?.into_iter().find(AddressBook::is_messenger) else {
        return Err(Error::internal("the messenger book could not be made"));
    };
    let names: Vec<String> = cards.iter().map(|(contact, _)| object_name(*contact)).collect();
    let wanted: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut before: HashMap<String, AddressObject> = store::list_by_names(db, account, book.id, &wanted)?
        .into_iter()
        .map(|o| (o.name.clone(), o))
        .collect();
    let (mut new, mut changed, mut bytes) = (Vec::new(), Vec::new(), 0i64);
    let returning: Vec<ContactId> = cards
        .iter()
        .map(|(contact, _)| *contact)
        .filter(|contact| !before.contains_key(&object_name(*contact)))
        .collect();
    let mut hidden = hidden_cards::take(db, account, &returning)?;
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
                let mut object = first_version(now, &book, name, *contact, card, ours);
                if let Some(hidden) = hidden.remove(contact) {
                    hidden.put_back_on(&mut object);
                }
                bytes += i64::from(object.size_bytes);
                new.push(object);
            }
        }
    }
    let numbers: Vec<(ContactId, Option<&E164>)> =
        cards.iter().map(|(id, card)| (*id, card.number.as_ref())).collect();
    number_own_cards(db, now, account, &numbers)?;
    if new.is_empty() && changed.is_empty() {
        return Ok(());
    }
    bury_copies(db, now, &book, &new)?;
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
    let objects = i64::try_from(new.len()).unwrap_or(0);
    pushes::touched(db, now, (account, book.id), (last, Topics::BOOKS), (objects, bytes), None)
}

/// A card of the user's own that has a friend's UID is an old copy of the friend's.
fn bury_copies(db: &mut Db, now: Timestamp, book: &AddressBook, new: &[AddressObject]) -> Result<()> {
    for object in new {
        if let Some(holder) = store::find_holder(db, book.account_id, book.id, &object.uid)?
            && let Some(copy) = store::find_object(db, book.account_id, book.id, &holder)?
        {
            bury(db, now, book.account_id, &copy)?;
        }
    }
    Ok(())
}

/// The name of a friend's card: the same for the life of the contact.
pub fn object_name(contact: ContactId) -> String {
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
    // What the user wrote at this address before it was ours has no base to be compared with.
    let base = object.base.as_deref().filter(|_| object.is_kept_by_us()).unwrap_or(&ours);
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
    now: Timestamp,
    account: AccountId,
    contacts: &[ContactId],
) -> Result<()> {
    let Some(book) = store::list_books(db, account)?.into_iter().find(AddressBook::is_messenger) else {
        return Ok(());
    };
    events::lock(db, &[account])?;
    let names: Vec<String> = contacts.iter().map(|c| object_name(*c)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for object in store::list_by_names(db, account, book.id, &names)? {
        bury(db, now, account, &object)?;
    }
    let numbers: Vec<(ContactId, Option<&E164>)> = contacts.iter().map(|id| (*id, None)).collect();
    number_own_cards(db, now, account, &numbers)
}

/// Puts the numbers of friends on the cards that the user wrote for them, or takes them off.
fn number_own_cards(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    numbers: &[(ContactId, Option<&E164>)],
) -> Result<()> {
    let contacts: Vec<ContactId> = numbers.iter().map(|(id, _)| *id).collect();
    let cards = store::list_by_contacts(db, account, &contacts)?;
    for own in cards.into_iter().filter(|o| !o.is_kept_by_us()) {
        let number = numbers.iter().find(|(id, _)| Some(*id) == own.contact_id).and_then(|(_, n)| *n);
        let before = own.base.as_deref().and_then(|b| std::str::from_utf8(b).ok());
        let Some(body) = card_friends::with_number(&own.body, before, number) else { continue };
        if body == own.body && before == number.map(E164::as_str) {
            continue;
        }
        let seq = events::bump(db, account, 1)?;
        let object = AddressObject {
            etag: marked_etag(&body, seq),
            size_bytes: i32::try_from(body.len()).unwrap_or(i32::MAX),
            seq,
            updated_at: now,
            base: number.map(|n| n.as_str().as_bytes().to_vec()),
            body,
            ..own.clone()
        };
        write_object(db, now, Some(own.size_bytes), &object, None)?;
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
