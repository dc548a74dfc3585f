//! Which contacts have a number, and the cards that carry the numbers to the phone.
//!
//! An accepted contact has a number as long as the account has a verified mobile and does not hide the contact on the
//! phone. Without any verified mobile nobody can dial the numbers, so they are released and the cards leave the phone;
//! a second verified mobile keeps everything as it is.

use std::collections::BTreeMap;
use std::time::Duration;

use super::contact::{Contact, NumberState};
use super::messenger_card::{CardPhoto, MessengerCard};
use super::{book_store, books, jobs, roster, store};
use crate::accounts::mobiles;
use crate::clock::Timestamp;
use crate::consent;
use crate::db::{Db, Topics};
use crate::error::Result;
use crate::events::{self, EventKind};
use crate::ids::{AccountId, AssignmentId, ContactId, NumberId};
use crate::numbers::{self, Wanted};
use crate::phone::E164;
use crate::queue;

/// How long the number of a contact that is gone names nobody else for the account: old texts and missed calls on the
/// phone are answered for about that long.
pub const REST: Duration = Duration::from_secs(30 * 24 * 3600);

/// This long after its release a pair is free although some device never came to learn that the card is gone, and a
/// device that has not signed in for so long is not waited for: it is lost or broken.
pub const REST_MAX: Duration = Duration::from_secs(180 * 24 * 3600);

/// When a pair whose card lingers is looked at again.
const LINGER: Duration = Duration::from_secs(24 * 3600);

/// Cards rendered at once; with their photos they stay in memory until they are written.
const CARDS_AT_ONCE: usize = 200;
/// A larger photo stays off the cards: every friend's phone would fetch it with every change.
const CARD_PHOTO_BYTES_MAX: i32 = 128 * 1024;
/// The group under which phones show messenger friends.
const CATEGORY: &str = "Meari";

/// Friends told of one person's new name in one transaction; more are told by a job.
const TOLD_AT_ONCE: i64 = 200;

/// Gives these accepted contacts numbers and cards, when the account has a verified mobile; answers how many have one
/// now. The caller appends the events.
pub(super) fn assign_numbers(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    contacts: Vec<Contact>,
) -> Result<usize> {
    let Some(mobile) = store::find_verified_mobile(db, account)?.filter(|_| !contacts.is_empty()) else {
        return Ok(0);
    };
    let wanted: Vec<Wanted> =
        contacts.iter().map(|row| Wanted { contact: row.id, identity: row.identity() }).collect();
    let outcomes = numbers::assign(db, now, account, &mobile, &wanted)?;
    let (given, waiting): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(|o| o.number.is_some());
    let ids = |outcomes: &[numbers::Outcome]| outcomes.iter().map(|o| o.contact).collect::<Vec<ContactId>>();
    if !waiting.is_empty() {
        store::set_number_state(db, account, &ids(&waiting), NumberState::Waiting, now)?;
        // A card from before would go on naming a number that is somebody else's now.
        books::remove_messenger_cards(db, now, account, &ids(&waiting))?;
    }
    store::set_number_state(db, account, &ids(&given), NumberState::Assigned, now)?;
    carry_consent(db, now, account, &given)?;
    render_cards(db, now, account, &contacts)?;
    Ok(given.len())
}

/// Who said STOP to a contact's former number has said it to the contact, and so to its new number.
fn carry_consent(db: &mut Db, now: Timestamp, account: AccountId, given: &[numbers::Outcome]) -> Result<()> {
    let moved: Vec<(numbers::Former, NumberId)> =
        given.iter().filter_map(|o| Some((o.before?, o.number.as_ref()?.0))).collect();
    if moved.is_empty() {
        return Ok(());
    }
    let ids: Vec<NumberId> = moved.iter().flat_map(|(before, after)| [before.number, *after]).collect();
    let known: BTreeMap<NumberId, numbers::Number> =
        numbers::list_by_ids(db, &ids)?.into_iter().map(|number| (number.id, number)).collect();
    let handsets: Vec<E164> = mobiles::list(db, account)?.into_iter().map(|mobile| mobile.number).collect();
    for (former, after) in &moved {
        let (Some(before), Some(after)) = (known.get(&former.number), known.get(after)) else { continue };
        let from = consent::Line { number: &before.number, carrier_id: &before.carrier_id };
        let to = consent::Line { number: &after.number, carrier_id: &after.carrier_id };
        consent::carry_over(db, now, &handsets, (from, former.since, former.until), to)?;
    }
    Ok(())
}

/// Lets the contacts' pairs rest and takes their cards off the phone. The caller writes `number_state` and the events.
pub(super) fn take_numbers(db: &mut Db, now: Timestamp, account: AccountId, ids: &[ContactId]) -> Result<()> {
    numbers::release(db, now, account, ids, REST)?;
    books::remove_messenger_cards(db, now, account, ids)
}

/// Writes the cards of those contacts that have a number.
pub(super) fn render_cards(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    contacts: &[Contact],
) -> Result<()> {
    for chunk in contacts.chunks(CARDS_AT_ONCE) {
        let ids: Vec<ContactId> = chunk.iter().map(|row| row.id).collect();
        let mut held = numbers::numbers_of(db, account, &ids)?;
        if held.is_empty() {
            continue;
        }
        let peers: Vec<AccountId> = chunk.iter().filter_map(|row| row.peer_account_id).collect();
        let mut photos = store::list_photos(db, &peers, CARD_PHOTO_BYTES_MAX)?;
        let to_card = |row: &Contact| {
            let number = held.remove(&row.id)?;
            let photo = row.peer_account_id.and_then(|peer| photos.remove(&peer));
            Some((row.id, to_card(row, number, photo, now)))
        };
        let cards: Vec<(ContactId, MessengerCard)> = chunk.iter().filter_map(to_card).collect();
        books::put_messenger_cards(db, now, account, &cards)?;
    }
    Ok(())
}

fn to_card(row: &Contact, number: E164, photo: Option<CardPhoto>, now: Timestamp) -> MessengerCard {
    MessengerCard {
        uid: row.id.0.hyphenated().to_string(),
        display_name: row.shown_name().to_owned(),
        number: Some(number),
        address: row.full_address(),
        categories: vec![CATEGORY.to_owned()],
        photo,
        note: None,
        rev: now,
    }
}

/// Gives numbers to accepted contacts that have none, as far as the pool goes; answers how many. For after a mobile is
/// verified and after the pool has grown. What does not fit into one transaction follows by a job.
pub fn give_numbers(db: &mut Db, now: Timestamp, account: AccountId) -> Result<usize> {
    events::lock(db, &[account])?;
    let rows = store::list_without_number(db, account, store::CHUNK as i64)?;
    let ids: Vec<ContactId> = rows.iter().map(|row| row.id).collect();
    let given = assign_numbers(db, now, account, rows)?;
    if given > 0 {
        updated(db, now, account, &ids)?;
    }
    if given == store::CHUNK {
        enqueue_giving(db, now, account)?;
    }
    Ok(given)
}

fn enqueue_giving(db: &mut Db, now: Timestamp, account: AccountId) -> Result<()> {
    let order = format!("give_numbers:{account}");
    queue::enqueue(db, now, jobs::GIVE_NUMBERS, Some(&order), &jobs::GiveNumbers { account })?;
    Ok(())
}

/// Gives other numbers to contacts whose number is gone (the carrier took it away).
pub fn replace_numbers(db: &mut Db, now: Timestamp, account: AccountId, ids: &[ContactId]) -> Result<()> {
    events::lock(db, &[account])?;
    let mut rows = store::list_by_ids(db, account, ids)?;
    rows.retain(Contact::wants_number);
    let ids: Vec<ContactId> = rows.iter().map(|row| row.id).collect();
    assign_numbers(db, now, account, rows)?;
    updated(db, now, account, &ids)
}

/// Contacts of anybody that wait because the pool has run out.
pub fn count_waiting(db: &mut Db) -> Result<i64> {
    store::count_waiting(db)
}

/// A mobile was removed. While another verified one is left nothing changes; without any, the numbers rest and the
/// cards go, and the contacts get their old numbers back when a mobile is verified in time.
pub fn handset_removed(db: &mut Db, now: Timestamp, account: AccountId) -> Result<()> {
    events::lock(db, &[account])?;
    if store::find_verified_mobile(db, account)?.is_some() {
        return Ok(());
    }
    loop {
        let states = [NumberState::Assigned, NumberState::Waiting];
        let ids = store::list_with_number_state(db, account, &states, store::CHUNK as i64)?;
        take_numbers(db, now, account, &ids)?;
        store::set_number_state(db, account, &ids, NumberState::None, now)?;
        updated(db, now, account, &ids)?;
        if ids.len() < store::CHUNK {
            return Ok(());
        }
    }
}

/// Takes a contact off the phone: its pair rests and its card goes; they remain friends.
pub fn hide_on_phone(db: &mut Db, now: Timestamp, account: AccountId, id: ContactId) -> Result<()> {
    events::lock(db, &[account])?;
    let mut row = roster::load(db, account, id)?;
    if row.hidden_on_phone {
        return Ok(());
    }
    take_numbers(db, now, account, &[id])?;
    row.hidden_on_phone = true;
    row.number_state = NumberState::None;
    row.updated_at = now;
    store::update(db, &row)?;
    updated(db, now, account, &[id])
}

/// Puts a hidden contact back on the phone, with the number it had as long as that rests.
pub fn show_on_phone(db: &mut Db, now: Timestamp, account: AccountId, id: ContactId) -> Result<()> {
    events::lock(db, &[account])?;
    let mut row = roster::load(db, account, id)?;
    if !row.hidden_on_phone {
        return Ok(());
    }
    row.hidden_on_phone = false;
    row.updated_at = now;
    store::update(db, &row)?;
    if row.wants_number() {
        assign_numbers(db, now, account, vec![row])?;
    }
    updated(db, now, account, &[id])
}

/// Somebody has a new name or photo: those who know him see it, and their cards are written anew. The first few at
/// once, the others by a job.
pub fn peer_changed(db: &mut Db, now: Timestamp, peer: AccountId) -> Result<()> {
    tell_of_peer(db, now, peer, None)
}

pub(super) fn tell_of_peer(
    db: &mut Db,
    now: Timestamp,
    peer: AccountId,
    after: Option<AccountId>,
) -> Result<()> {
    let Some(person) = store::find_person(db, peer)? else { return Ok(()) };
    let mut rows = store::list_about_peer(db, peer, after, TOLD_AT_ONCE)?;
    let told: Vec<AccountId> = rows.iter().map(|row| row.account_id).collect();
    events::lock(db, &told)?;
    store::set_display_name(db, peer, &told, &person.display_name, now)?;
    for row in &mut rows {
        row.display_name.clone_from(&person.display_name);
        render_cards(db, now, row.account_id, std::slice::from_ref(row))?;
    }
    let changes: Vec<_> =
        rows.iter().map(|r| (r.account_id, EventKind::ContactUpdated, Some(*r.id.as_bytes()))).collect();
    events::append_each(db, now, &changes, Topics::EVENTS)?;
    if let Some(last) = told.last().filter(|_| told.len() as i64 >= TOLD_AT_ONCE) {
        let order = format!("peer_changed:{peer}");
        let payload = jobs::PeerChanged { peer, after: *last };
        queue::enqueue(db, now, jobs::PEER_CHANGED, Some(&order), &payload)?;
    }
    Ok(())
}

/// Frees pairs whose rest is over, at most `limit`; answers how many. Contacts that wait get the numbers. A pair goes on resting while a device may still
/// have the card: whoever dials the old number from there must not reach somebody else.
pub fn free_rested(db: &mut Db, now: Timestamp, limit: i64) -> Result<usize> {
    let mut by_account: BTreeMap<AccountId, Vec<AssignmentId>> = BTreeMap::new();
    for (account, assignment, contact, released_at) in numbers::rested(db, now, limit)? {
        let waits = released_at.is_none_or(|at| now.since(at) < REST_MAX);
        if waits && card_lingers(db, account, contact, now.minus(REST_MAX))? {
            numbers::rest_longer(db, account, assignment, now.plus(LINGER))?;
        } else {
            by_account.entry(account).or_default().push(assignment);
        }
    }
    let mut count = 0;
    for (account, ids) in by_account {
        numbers::free(db, account, &ids)?;
        count += ids.len();
        if !store::list_with_number_state(db, account, &[NumberState::Waiting], 1)?.is_empty() {
            enqueue_giving(db, now, account)?;
        }
    }
    Ok(count)
}

/// Whether a device may still show a contact's old number: on the card of ours that is gone, or on one of the user's own
/// that has been changed. Who has not signed in since `alive` does not count: it is lost or broken.
fn card_lingers(db: &mut Db, account: AccountId, contact: ContactId, alive: Timestamp) -> Result<bool> {
    let ours = books::object_name(contact);
    if store::gone_card_lingers(db, account, &ours, alive)? {
        return Ok(true);
    }
    for (book, name, seq) in book_store::list_of_contact(db, account, contact)? {
        if name != ours && store::has_older_card(db, account, (book, &name), seq, alive)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn updated(db: &mut Db, now: Timestamp, account: AccountId, ids: &[ContactId]) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let changes: Vec<_> = ids.iter().map(|id| (EventKind::ContactUpdated, Some(*id.as_bytes()))).collect();
    events::append_many(db, now, account, &changes, Topics::ROUTES)?;
    Ok(())
}
