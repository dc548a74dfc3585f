//! Queries of `book_members`. No decisions.

use diesel::prelude::*;

use super::sharing::{Access, MemberState};
use super::store::Person;
use crate::clock::Timestamp;
use crate::db::Db;
use crate::each;
use crate::error::Result;
use crate::ids::{AccountId, AddressBookId, BookMemberId};
use crate::schema::{accounts, book_members};

/// Somebody's access to another's book.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = book_members)]
#[diesel(treat_none_as_default_value = false)]
pub struct BookMember {
    /// The owner.
    pub account_id: AccountId,
    /// The book.
    pub book_id: AddressBookId,
    /// The membership.
    pub id: BookMemberId,
    /// The member.
    pub member_id: AccountId,
    /// What he may do.
    pub access: Access,
    /// Whether he has answered.
    pub state: MemberState,
    /// The book's address in his home.
    pub slug: String,
    /// When he was invited.
    pub invited_at: Timestamp,
    /// When he said yes.
    pub answered_at: Option<Timestamp>,
}

pub fn insert(db: &mut Db, member: &BookMember) -> Result<()> {
    each!(db, |c| diesel::insert_into(book_members::table).values(member).execute(c))?;
    Ok(())
}

pub fn list_members(db: &mut Db, owner: AccountId, book: AddressBookId) -> Result<Vec<BookMember>> {
    Ok(each!(db, |c| book_members::table
        .filter(book_members::account_id.eq(owner))
        .filter(book_members::book_id.eq(book))
        .order(book_members::id.asc())
        .select(BookMember::as_select())
        .load(c))?)
}

/// All that an account has access to or is invited to, oldest first.
pub fn list_of_member(db: &mut Db, member: AccountId) -> Result<Vec<BookMember>> {
    Ok(each!(db, |c| book_members::table
        .filter(book_members::member_id.eq(member))
        .order(book_members::id.asc())
        .select(BookMember::as_select())
        .load(c))?)
}

pub fn find_of_member(
    db: &mut Db,
    owner: AccountId,
    book: AddressBookId,
    member: AccountId,
) -> Result<Option<BookMember>> {
    Ok(each!(db, |c| book_members::table
        .filter(book_members::account_id.eq(owner))
        .filter(book_members::book_id.eq(book))
        .filter(book_members::member_id.eq(member))
        .select(BookMember::as_select())
        .first(c)
        .optional())?)
}

/// The book of every membership that an account has given.
pub fn list_counts(db: &mut Db, owner: AccountId) -> Result<Vec<AddressBookId>> {
    Ok(each!(db, |c| book_members::table
        .filter(book_members::account_id.eq(owner))
        .select(book_members::book_id)
        .load(c))?)
}

/// Who has accepted access to the account's books: book, handle, access.
pub fn list_granted(db: &mut Db, owner: AccountId) -> Result<Vec<(AddressBookId, String, Access)>> {
    Ok(each!(db, |c| book_members::table
        .inner_join(accounts::table.on(accounts::id.eq(book_members::member_id)))
        .filter(book_members::account_id.eq(owner))
        .filter(book_members::state.eq(MemberState::Accepted))
        .order(book_members::id.asc())
        .select((book_members::book_id, accounts::handle, book_members::access))
        .load(c))?)
}

pub fn set_access(db: &mut Db, member: &BookMember, access: Access) -> Result<()> {
    each!(db, |c| diesel::update(book_members::table.find((member.account_id, member.book_id, member.id)))
        .set(book_members::access.eq(access))
        .execute(c))?;
    Ok(())
}

pub fn set_accepted(db: &mut Db, member: &BookMember, now: Timestamp) -> Result<()> {
    each!(db, |c| diesel::update(book_members::table.find((member.account_id, member.book_id, member.id)))
        .set((book_members::state.eq(MemberState::Accepted), book_members::answered_at.eq(now)))
        .execute(c))?;
    Ok(())
}

pub fn delete(db: &mut Db, member: &BookMember) -> Result<()> {
    let key = (member.account_id, member.book_id, member.id);
    each!(db, |c| diesel::delete(book_members::table.find(key)).execute(c))?;
    Ok(())
}

pub fn delete_members(db: &mut Db, owner: AccountId, book: AddressBookId) -> Result<()> {
    each!(db, |c| diesel::delete(book_members::table)
        .filter(book_members::account_id.eq(owner))
        .filter(book_members::book_id.eq(book))
        .execute(c))?;
    Ok(())
}

pub fn list_people(db: &mut Db, ids: &[AccountId]) -> Result<Vec<Person>> {
    Ok(each!(db, |c| accounts::table
        .filter(accounts::id.eq_any(ids))
        .select((accounts::id, accounts::handle, accounts::display_name))
        .load(c))?)
}
