//! Queries of `contacts`, and what the roster must know of accounts and handsets.

use std::collections::HashMap;

use diesel::prelude::*;

use super::contact::{Contact, ContactState, NumberState};
use super::messenger_card::CardPhoto;
use crate::clock::Timestamp;
use crate::db::Db;
use crate::each;
use crate::error::Result;
use crate::ids::{AccountId, AddressBookId, AppPasswordId, ContactId, ConversationId};
use crate::phone::E164;
use crate::schema::{
    account_photos, accounts, address_books, address_objects, address_tombstones, app_passwords,
    card_fetches, contacts, dav_properties, handsets, hidden_cards,
};

/// Rows in one statement: far below the parameter limits of both engines.
pub const CHUNK: usize = 1_000;

diesel::define_sql_function! {
    /// Small letters: all on PostgreSQL, those of ASCII on SQLite.
    fn lower(text: diesel::sql_types::Text) -> diesel::sql_types::Text;
}

diesel::define_sql_function! {
    /// The first that is there.
    fn coalesce(
        first: diesel::sql_types::Nullable<diesel::sql_types::Text>,
        second: diesel::sql_types::Text,
    ) -> diesel::sql_types::Text;
}

diesel::define_sql_function! {
    /// How many bytes.
    fn length(bytes: diesel::sql_types::Binary) -> diesel::sql_types::Integer;
}

/// What the roster must know of an account.
#[derive(Debug, Clone, Queryable)]
pub struct Person {
    /// The account.
    pub id: AccountId,
    /// Its handle.
    pub handle: String,
    /// Its own name.
    pub display_name: String,
}

/// Which contacts a list wants.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// How far they have come; all when absent.
    pub state: Option<ContactState>,
    /// Small letters that the name or the address must hold.
    pub text: Option<String>,
}

#[derive(AsChangeset)]
#[diesel(table_name = contacts)]
#[diesel(treat_none_as_null = true)]
struct Change<'a> {
    peer_contact_id: Option<ContactId>,
    display_name: &'a str,
    custom_name: Option<&'a str>,
    state: ContactState,
    direction: Option<super::contact::Direction>,
    number_state: NumberState,
    hidden_on_phone: bool,
    conversation_id: Option<ConversationId>,
    texts_stopped: bool,
    updated_at: Timestamp,
}

pub fn find(db: &mut Db, account: AccountId, id: ContactId) -> Result<Option<Contact>> {
    Ok(each!(db, |c| contacts::table
        .filter(contacts::account_id.eq(account))
        .filter(contacts::id.eq(id))
        .select(Contact::as_select())
        .first(c)
        .optional())?)
}

pub fn list_by_ids(db: &mut Db, account: AccountId, ids: &[ContactId]) -> Result<Vec<Contact>> {
    let mut found = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(CHUNK) {
        let rows: Vec<Contact> = each!(db, |c| contacts::table
            .filter(contacts::account_id.eq(account))
            .filter(contacts::id.eq_any(chunk))
            .select(Contact::as_select())
            .load(c))?;
        found.extend(rows);
    }
    Ok(found)
}

/// The account's rows about these addresses.
pub fn list_by_addresses(
    db: &mut Db,
    account: AccountId,
    network: &str,
    addresses: &[&str],
) -> Result<Vec<Contact>> {
    Ok(each!(db, |c| contacts::table
        .filter(contacts::account_id.eq(account))
        .filter(contacts::network.eq(network))
        .filter(contacts::address.eq_any(addresses))
        .select(Contact::as_select())
        .load(c))?)
}

/// The rows of these accounts about one address.
pub fn list_about(db: &mut Db, of: &[AccountId], network: &str, address: &str) -> Result<Vec<Contact>> {
    Ok(each!(db, |c| contacts::table
        .filter(contacts::account_id.eq_any(of))
        .filter(contacts::network.eq(network))
        .filter(contacts::address.eq(address))
        .select(Contact::as_select())
        .load(c))?)
}

pub fn list(
    db: &mut Db,
    account: AccountId,
    filter: &Filter,
    after: Option<ContactId>,
    limit: i64,
) -> Result<Vec<Contact>> {
    Ok(each!(db, |c| {
        let mut query = contacts::table
            .filter(contacts::account_id.eq(account))
            .order(contacts::id.asc())
            .limit(limit)
            .select(Contact::as_select())
            .into_boxed();
        if let Some(after) = after {
            query = query.filter(contacts::id.gt(after));
        }
        if let Some(state) = filter.state {
            query = query.filter(contacts::state.eq(state));
        }
        if let Some(text) = &filter.text {
            let pattern = like_pattern(text);
            let name = lower(coalesce(contacts::custom_name, contacts::display_name));
            query = query.filter(
                name.like(pattern.clone()).escape('\\').or(contacts::address.like(pattern).escape('\\')),
            );
        }
        query.load(c)
    })?)
}

/// `text` anywhere, with the signs that LIKE gives a meaning taken literally.
fn like_pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for letter in text.chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}

/// Accepted contacts, not hidden, that have no number yet; oldest first.
pub fn list_without_number(db: &mut Db, account: AccountId, limit: i64) -> Result<Vec<Contact>> {
    Ok(each!(db, |c| contacts::table
        .filter(contacts::account_id.eq(account))
        .filter(contacts::state.eq(ContactState::Accepted))
        .filter(contacts::hidden_on_phone.eq(false))
        .filter(contacts::number_state.ne(NumberState::Assigned))
        .order(contacts::id.asc())
        .limit(limit)
        .select(Contact::as_select())
        .load(c))?)
}

/// Contacts that have a number or wait for one.
pub fn list_with_number_state(
    db: &mut Db,
    account: AccountId,
    states: &[NumberState],
    limit: i64,
) -> Result<Vec<ContactId>> {
    Ok(each!(db, |c| contacts::table
        .filter(contacts::account_id.eq(account))
        .filter(contacts::number_state.eq_any(states))
        .order(contacts::id.asc())
        .limit(limit)
        .select(contacts::id)
        .load(c))?)
}

/// Accounts of which a contact waits for a number.
pub fn list_waiting_accounts(db: &mut Db, after: Option<AccountId>, limit: i64) -> Result<Vec<AccountId>> {
    Ok(each!(db, |c| {
        let mut query = contacts::table
            .filter(diesel::dsl::sql::<diesel::sql_types::Bool>("contacts.number_state = 'waiting'"))
            .select(contacts::account_id)
            .distinct()
            .order(contacts::account_id.asc())
            .limit(limit)
            .into_boxed();
        if let Some(after) = after {
            query = query.filter(contacts::account_id.gt(after));
        }
        query.load(c)
    })?)
}

/// Everybody's rows about an account that lives here, by the account that has the row.
pub fn list_about_peer(
    db: &mut Db,
    peer: AccountId,
    after: Option<AccountId>,
    limit: i64,
) -> Result<Vec<Contact>> {
    Ok(each!(db, |c| {
        let mut query = contacts::table
            .filter(contacts::peer_account_id.eq(peer))
            .order(contacts::account_id.asc())
            .limit(limit)
            .select(Contact::as_select())
            .into_boxed();
        if let Some(after) = after {
            query = query.filter(contacts::account_id.gt(after));
        }
        query.load(c)
    })?)
}

pub fn insert_many(db: &mut Db, rows: &[Contact]) -> Result<()> {
    for chunk in rows.chunks(CHUNK) {
        each!(db, |c| diesel::insert_into(contacts::table).values(chunk).execute(c))?;
    }
    Ok(())
}

/// Whom the account has blocked, of those who live here.
pub fn list_blocked(db: &mut Db, account: AccountId) -> Result<Vec<AccountId>> {
    let rows: Vec<Option<AccountId>> = each!(db, |c| contacts::table
        .filter(contacts::account_id.eq(account))
        .filter(contacts::state.eq(ContactState::Blocked))
        .select(contacts::peer_account_id)
        .load(c))?;
    Ok(rows.into_iter().flatten().collect())
}

/// Writes what may change of a contact.
pub fn update(db: &mut Db, contact: &Contact) -> Result<()> {
    let change = Change {
        peer_contact_id: contact.peer_contact_id,
        display_name: &contact.display_name,
        custom_name: contact.custom_name.as_deref(),
        state: contact.state,
        direction: contact.direction,
        number_state: contact.number_state,
        hidden_on_phone: contact.hidden_on_phone,
        conversation_id: contact.conversation_id,
        texts_stopped: contact.texts_stopped,
        updated_at: contact.updated_at,
    };
    each!(db, |c| diesel::update(contacts::table)
        .filter(contacts::account_id.eq(contact.account_id))
        .filter(contacts::id.eq(contact.id))
        .set(&change)
        .execute(c))?;
    Ok(())
}

pub fn set_number_state(
    db: &mut Db,
    account: AccountId,
    ids: &[ContactId],
    state: NumberState,
    now: Timestamp,
) -> Result<()> {
    for chunk in ids.chunks(CHUNK) {
        each!(db, |c| diesel::update(contacts::table)
            .filter(contacts::account_id.eq(account))
            .filter(contacts::id.eq_any(chunk))
            .set((contacts::number_state.eq(state), contacts::updated_at.eq(now)))
            .execute(c))?;
    }
    Ok(())
}

/// The friend's own name, in these accounts' rows about him.
pub fn set_display_name(
    db: &mut Db,
    peer: AccountId,
    of: &[AccountId],
    name: &str,
    now: Timestamp,
) -> Result<()> {
    each!(db, |c| diesel::update(contacts::table)
        .filter(contacts::peer_account_id.eq(peer))
        .filter(contacts::account_id.eq_any(of))
        .set((contacts::display_name.eq(name), contacts::updated_at.eq(now)))
        .execute(c))?;
    Ok(())
}

/// Deletes contacts, with what was kept of their cards.
pub fn delete(db: &mut Db, account: AccountId, ids: &[ContactId]) -> Result<()> {
    for chunk in ids.chunks(CHUNK) {
        each!(db, |c| diesel::delete(hidden_cards::table)
            .filter(hidden_cards::account_id.eq(account))
            .filter(hidden_cards::contact_id.eq_any(chunk))
            .execute(c))?;
        each!(db, |c| diesel::delete(contacts::table)
            .filter(contacts::account_id.eq(account))
            .filter(contacts::id.eq_any(chunk))
            .execute(c))?;
    }
    Ok(())
}

/// Deletes all address books of an account, with everything that hangs on them.
pub fn delete_books(db: &mut Db, account: AccountId) -> Result<()> {
    each!(db, |c| diesel::delete(hidden_cards::table)
        .filter(hidden_cards::account_id.eq(account))
        .execute(c))?;
    each!(db, |c| diesel::delete(card_fetches::table)
        .filter(card_fetches::account_id.eq(account))
        .execute(c))?;
    each!(db, |c| diesel::delete(dav_properties::table)
        .filter(dav_properties::account_id.eq(account))
        .execute(c))?;
    each!(db, |c| diesel::delete(address_tombstones::table)
        .filter(address_tombstones::account_id.eq(account))
        .execute(c))?;
    each!(db, |c| diesel::delete(address_objects::table)
        .filter(address_objects::account_id.eq(account))
        .execute(c))?;
    each!(db, |c| diesel::delete(address_books::table)
        .filter(address_books::account_id.eq(account))
        .execute(c))?;
    Ok(())
}

pub fn count(db: &mut Db, account: AccountId) -> Result<i64> {
    Ok(each!(db, |c| contacts::table.filter(contacts::account_id.eq(account)).count().get_result(c))?)
}

pub fn find_person(db: &mut Db, id: AccountId) -> Result<Option<Person>> {
    Ok(each!(db, |c| accounts::table
        .filter(accounts::id.eq(id))
        .select((accounts::id, accounts::handle, accounts::display_name))
        .first::<Person>(c)
        .optional())?)
}

pub fn list_people(db: &mut Db, handles: &[&str]) -> Result<Vec<Person>> {
    let mut found = Vec::with_capacity(handles.len());
    for chunk in handles.chunks(CHUNK) {
        let rows: Vec<Person> = each!(db, |c| accounts::table
            .filter(accounts::handle.eq_any(chunk))
            .select((accounts::id, accounts::handle, accounts::display_name))
            .load(c))?;
        found.extend(rows);
    }
    Ok(found)
}

/// Whether the account has accepted this one as a contact.
pub fn are_friends(db: &mut Db, account: AccountId, peer: AccountId) -> Result<bool> {
    Ok(each!(db, |c| diesel::select(diesel::dsl::exists(
        contacts::table
            .filter(contacts::account_id.eq(account))
            .filter(contacts::peer_account_id.eq(peer))
            .filter(contacts::state.eq(ContactState::Accepted))
    ))
    .get_result(c))?)
}

/// The account's first verified mobile: what its contacts' numbers should be local to.
pub fn find_verified_mobile(db: &mut Db, account: AccountId) -> Result<Option<E164>> {
    Ok(each!(db, |c| handsets::table
        .filter(handsets::account_id.eq(account))
        .filter(handsets::state.eq("verified"))
        .order(handsets::verified_at.asc())
        .select(handsets::number)
        .first(c)
        .optional())?)
}

/// Photos of these accounts that have at most `bytes_max` bytes.
pub fn list_photos(db: &mut Db, of: &[AccountId], bytes_max: i32) -> Result<HashMap<AccountId, CardPhoto>> {
    let rows: Vec<(AccountId, String, Vec<u8>)> = each!(db, |c| account_photos::table
        .filter(account_photos::account_id.eq_any(of))
        .filter(length(account_photos::body).le(bytes_max))
        .select((account_photos::account_id, account_photos::content_type, account_photos::body))
        .load(c))?;
    let to_photo = |(id, content_type, body)| (id, CardPhoto { content_type, body });
    Ok(rows.into_iter().map(to_photo).collect())
}

/// When each device last fetched something of a book.
pub fn last_fetches(
    db: &mut Db,
    account: AccountId,
    book: AddressBookId,
) -> Result<HashMap<AppPasswordId, Timestamp>> {
    let rows: Vec<(AppPasswordId, Option<Timestamp>)> = each!(db, |c| card_fetches::table
        .filter(card_fetches::account_id.eq(account))
        .filter(card_fetches::book_id.eq(book))
        .group_by(card_fetches::app_password_id)
        .select((card_fetches::app_password_id, diesel::dsl::max(card_fetches::at)))
        .load(c))?;
    Ok(rows.into_iter().filter_map(|(device, at)| Some((device, at?))).collect())
}

/// How many cards of a book each device has as they are now.
pub fn count_current_fetches(
    db: &mut Db,
    account: AccountId,
    book: AddressBookId,
) -> Result<HashMap<AppPasswordId, i64>> {
    let rows: Vec<(AppPasswordId, i64)> = each!(db, |c| card_fetches::table
        .inner_join(
            address_objects::table.on(address_objects::account_id
                .eq(card_fetches::account_id)
                .and(address_objects::book_id.eq(card_fetches::book_id))
                .and(address_objects::name.eq(card_fetches::name))
                .and(address_objects::seq.le(card_fetches::seq)))
        )
        .filter(card_fetches::account_id.eq(account))
        .filter(card_fetches::book_id.eq(book))
        .group_by(card_fetches::app_password_id)
        .select((card_fetches::app_password_id, diesel::dsl::count_star()))
        .load(c))?;
    Ok(rows.into_iter().collect())
}

/// What a device was handed of a book: by the object's name its counter, and when.
pub fn list_fetches(
    db: &mut Db,
    account: AccountId,
    device: AppPasswordId,
    book: AddressBookId,
) -> Result<HashMap<String, (i64, Timestamp)>> {
    let rows: Vec<(String, i64, Timestamp)> = each!(db, |c| card_fetches::table
        .filter(card_fetches::account_id.eq(account))
        .filter(card_fetches::app_password_id.eq(device))
        .filter(card_fetches::book_id.eq(book))
        .select((card_fetches::name, card_fetches::seq, card_fetches::at))
        .load(c))?;
    Ok(rows.into_iter().map(|(name, seq, at)| (name, (seq, at))).collect())
}

/// The devices of an account, and when each was heard of last.
struct Devices(HashMap<AppPasswordId, Timestamp>);

impl Devices {
    fn of(db: &mut Db, account: AccountId) -> Result<Devices> {
        let rows: Vec<(AppPasswordId, Option<Timestamp>, Timestamp)> = each!(db, |c| app_passwords::table
            .filter(app_passwords::account_id.eq(account))
            .select((app_passwords::id, app_passwords::last_used_at, app_passwords::created_at))
            .load(c))?;
        let heard =
            rows.into_iter().map(|(id, used, created)| (id, used.map_or(created, |at| at.max(created))));
        Ok(Devices(heard.collect()))
    }

    /// Whether a device that was handed something at `handed` may still be in use. One whose password was taken away
    /// shows what it has all the same.
    fn is_alive(&self, device: AppPasswordId, handed: Timestamp, alive: Timestamp) -> bool {
        *self.0.get(&device).unwrap_or(&handed) >= alive
    }
}

/// Whether a device has been handed an older revision of an object than `seq`, and none since.
pub fn has_older_card(
    db: &mut Db,
    account: AccountId,
    (book, name): (AddressBookId, &str),
    seq: i64,
    alive: Timestamp,
) -> Result<bool> {
    let handed: Vec<(AppPasswordId, Timestamp)> = each!(db, |c| card_fetches::table
        .filter(card_fetches::account_id.eq(account))
        .filter(card_fetches::book_id.eq(book))
        .filter(card_fetches::name.eq(name))
        .filter(card_fetches::seq.lt(seq))
        .select((card_fetches::app_password_id, card_fetches::at))
        .load(c))?;
    if handed.is_empty() {
        return Ok(false);
    }
    let devices = Devices::of(db, account)?;
    Ok(handed.into_iter().any(|(device, at)| devices.is_alive(device, at, alive)))
}

/// Whether a device may still have a card that is gone: it has been handed the card, ever, and has not listed that book
/// after the card's end.
pub fn gone_card_lingers(db: &mut Db, account: AccountId, name: &str, alive: Timestamp) -> Result<bool> {
    let mut handed: Vec<(AppPasswordId, AddressBookId, Timestamp)> = each!(db, |c| card_fetches::table
        .filter(card_fetches::account_id.eq(account))
        .filter(card_fetches::name.eq(name))
        .select((card_fetches::app_password_id, card_fetches::book_id, card_fetches::at))
        .load(c))?;
    if !handed.is_empty() {
        let devices = Devices::of(db, account)?;
        handed.retain(|(device, _, at)| devices.is_alive(*device, *at, alive));
    }
    for (device, book, _) in handed {
        let ended: Option<i64> = each!(db, |c| address_tombstones::table
            .filter(address_tombstones::account_id.eq(account))
            .filter(address_tombstones::book_id.eq(book))
            .filter(address_tombstones::name.eq(name))
            .select(diesel::dsl::max(address_tombstones::seq))
            .first(c))?;
        let handed: Option<i64> = each!(db, |c| card_fetches::table
            .filter(card_fetches::account_id.eq(account))
            .filter(card_fetches::app_password_id.eq(device))
            .filter(card_fetches::book_id.eq(book))
            // The empty name: the list of the book, as of that counter.
            .filter(card_fetches::name.eq(""))
            .select(diesel::dsl::max(card_fetches::seq))
            .first(c))?;
        // Without a tombstone the card's end is too long ago for us to know it.
        if ended.is_none_or(|ended| handed.is_none_or(|handed| handed < ended)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The state is written out, so that the partial index serves a plan that is made once for all values.
pub fn count_waiting(db: &mut Db) -> Result<i64> {
    Ok(each!(db, |c| contacts::table
        .filter(diesel::dsl::sql::<diesel::sql_types::Bool>("contacts.number_state = 'waiting'"))
        .count()
        .get_result(c))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_of_like_are_taken_literally() {
        assert_eq!(like_pattern("50%_a\\"), "%50\\%\\_a\\\\%");
    }
}
