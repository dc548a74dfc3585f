//! Address books that several accounts use: a family's, a company's. One account owns the book; others are members,
//! who may read it or write in it too, by invitation.
//!
//! The cards and their counter stay with the owner, and so does the sync token: it names the book and the owner's
//! counter at its last change, for every member alike. A change wakes all members, whose books are read again. What
//! the book takes counts for the owner. No number of ours stands on a shared card: a number means a friend only from
//! the handset of the account that it was given to, and from another one it would mean somebody else.
//!
//! When the owner closes the book or his account, the book is gone for everybody, and all members are told.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::address::ContactAddress;
use super::books::{AddressBook, AddressObject, BOOKS_MAX, MESSENGER, PERSONAL, SHARED, list_or_open};
use super::contact::words;
use super::sharing_store::{self as store, BookMember};
use super::vcard::{Card, Line};
use super::{book_store, book_writes, books, card_friends, pushes, roster, store as roster_store};
use crate::accounts::limits::{self, Limit};
use crate::clock::Timestamp;
use crate::db::{Db, Signal, Topics};
use crate::error::{Error, Result};
use crate::events::{self, EventKind};
use crate::ids::{AccountId, AddressBookId, BookMemberId};

/// Members of one book at most, counting the invited: every change wakes all of them.
pub const MEMBERS_MAX: usize = 100;
/// Other people's books of one account at most, counting the invitations.
pub const SHARED_WITH_MAX: usize = 50;
/// Invitations by one account, known address or not: otherwise the refusal would tell them apart.
pub const INVITATIONS: Limit = Limit {
    name: "book_invitations",
    code: "too_many_invitations",
    max: 200,
    window: std::time::Duration::from_secs(24 * 3_600),
};

words! {
    /// What a member may do in a book.
    Access {
        /// Read its cards.
        Read = "read",
        /// Read and write its cards and its name.
        Write = "write",
    }
}

words! {
    /// Whether a member has answered.
    MemberState {
        /// Asked, and free to say no.
        Invited = "invited",
        /// In.
        Accepted = "accepted",
    }
}

/// What an account may do in a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// Everything.
    Owner,
    /// Read and write.
    Write,
    /// Read.
    Read,
}

impl From<Access> for Right {
    fn from(access: Access) -> Self {
        match access {
            Access::Read => Right::Read,
            Access::Write => Right::Write,
        }
    }
}

/// An address book as clients see it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BookView {
    /// `bok_…`
    #[schema(value_type = String)]
    pub id: AddressBookId,
    /// The last segment of its CardDAV address in the caller's home.
    pub address: String,
    /// The name to show.
    pub name: String,
    /// A sentence about it.
    pub description: String,
    /// `messenger` (kept by Meari), `personal` (the account's own), or `shared`.
    pub kind: String,
    /// What the caller may do in it.
    pub access: Right,
    /// `invited` until the caller has answered.
    pub state: MemberState,
    /// The owner's handle.
    pub owner: String,
    /// The caller's membership; absent when the book is the caller's own.
    #[schema(required, value_type = Option<String>)]
    pub membership_id: Option<BookMemberId>,
    /// How many others have access or are invited; told to the owner only.
    #[schema(required)]
    pub member_count: Option<i64>,
    /// How many cards are in it; zero while invited.
    pub card_count: i64,
    /// How many bytes they have, counted for the owner; zero while invited.
    pub size_bytes: i64,
    /// When it came to be.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// A member as the owner sees him.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct MemberView {
    /// `bkm_…`
    #[schema(value_type = String)]
    pub id: BookMemberId,
    /// The member's address: `meari:bob`.
    pub address: String,
    /// The member's own name.
    pub display_name: String,
    /// What he may do.
    pub access: Access,
    /// Whether he has answered.
    pub state: MemberState,
    /// When he was invited.
    #[schema(value_type = String, format = DateTime)]
    pub invited_at: Timestamp,
}

/// A book that somebody else shares with an account, as CardDAV needs it.
#[derive(Debug, Clone)]
pub struct SharedWith {
    /// The book, with its address in the member's home; its account is the owner's.
    pub book: AddressBook,
    /// What the member may do.
    pub access: Access,
    /// The owner's handle.
    pub owner: String,
}

fn no_such_book() -> Error {
    Error::not_found("address book")
}

/// The book, when it is the account's own.
fn load_own(db: &mut Db, account: AccountId, book: AddressBookId) -> Result<AddressBook> {
    if let Some(book) = book_store::find_book(db, account, book)? {
        return Ok(book);
    }
    let is_member = store::list_of_member(db, account)?
        .iter()
        .any(|m| m.book_id == book && m.state == MemberState::Accepted);
    Err(match is_member {
        true => Error::forbidden("not_the_owner", "Only the owner of this address book may do this."),
        false => no_such_book(),
    })
}

/// Changes the names of a book that the account owns or may write in.
pub fn rename(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    book: AddressBookId,
    edit: &books::PropertyEdit,
) -> Result<()> {
    let owner = owner_of(db, account, book)?;
    check_write(db, owner, book, account)?;
    match books::edit_properties(db, now, owner, book, "", edit)? {
        Ok(()) => {}
        Err(_) => return Err(no_such_book()),
    }
    let Some(book) = book_store::find_book(db, owner, book)? else { return Err(no_such_book()) };
    tell_all(db, now, &book)
}

/// Who owns a book that the account has.
pub fn owner_of(db: &mut Db, account: AccountId, book: AddressBookId) -> Result<AccountId> {
    if book_store::find_book(db, account, book)?.is_some() {
        return Ok(account);
    }
    let members = store::list_of_member(db, account)?;
    let found = members.into_iter().find(|m| m.book_id == book && m.state == MemberState::Accepted);
    found.map(|m| m.account_id).ok_or_else(no_such_book)
}

/// Refuses whoever has no access to a book (any more), for reads that trust what is in memory.
pub fn check_read(db: &mut Db, owner: AccountId, book: AddressBookId, reader: AccountId) -> Result<()> {
    if owner == reader {
        return Ok(());
    }
    let member = store::find_of_member(db, owner, book, reader)?;
    member.filter(|m| m.state == MemberState::Accepted).map(|_| ()).ok_or_else(no_such_book)
}

/// Refuses whoever may not write in a book; inside the transaction of the write.
pub fn check_write(db: &mut Db, owner: AccountId, book: AddressBookId, writer: AccountId) -> Result<()> {
    if owner == writer {
        return Ok(());
    }
    match store::find_of_member(db, owner, book, writer)? {
        Some(member) if member.state == MemberState::Accepted && member.access == Access::Write => Ok(()),
        Some(member) if member.state == MemberState::Accepted => {
            Err(Error::forbidden("read_only_book", "You may read this address book, not change it."))
        }
        _ => Err(no_such_book()),
    }
}

/// Invites whoever answers to an address to a book of the account's own; the member, who may have been one before.
pub fn invite(
    db: &mut Db,
    now: Timestamp,
    owner: AccountId,
    book: AddressBookId,
    address: &ContactAddress,
    access: Access,
) -> Result<MemberView> {
    let person = roster::resolve(db, owner, address)?;
    events::lock(db, &[owner, person.id])?;
    let book = load_own(db, owner, book)?;
    if book.slug == MESSENGER || book.slug == PERSONAL {
        return Err(Error::conflict(
            "book_not_shareable",
            "This address book is for one person only. Make another one and share that.",
        ));
    }
    let members = store::list_members(db, owner, book.id)?;
    if members.iter().any(|m| m.member_id == person.id) {
        return Err(Error::conflict("already_a_member", "This person has been invited already."));
    }
    if members.len() >= MEMBERS_MAX {
        return Err(Error::conflict("too_many_members", "An address book has at most 100 members."));
    }
    if store::list_of_member(db, person.id)?.len() >= SHARED_WITH_MAX {
        return Err(Error::conflict(
            "too_many_books",
            "This person has as many shared books as one may have.",
        ));
    }
    if !book.is_shared() {
        become_shared(db, now, &book)?;
    }
    let id = BookMemberId::new(now);
    let member = BookMember {
        account_id: owner,
        book_id: book.id,
        id,
        member_id: person.id,
        access,
        state: MemberState::Invited,
        slug: format!("{SHARED}-{}", id.0.simple()),
        invited_at: now,
        answered_at: None,
    };
    store::insert(db, &member)?;
    tell(db, now, &[owner, person.id], book.id)?;
    let mut views = views_of(db, vec![member])?;
    views.pop().ok_or_else(|| Error::internal("an invited person is gone"))
}

/// From now on nothing of one account's alone stands on its cards: numbers go, and addresses on them ask nobody.
fn become_shared(db: &mut Db, now: Timestamp, book: &AddressBook) -> Result<()> {
    book_store::set_kind(db, book.account_id, book.id, SHARED)?;
    for bound in book_store::list_bound(db, book.account_id, book.id)? {
        let Some(body) = without_number(&bound) else { continue };
        let seq = events::bump(db, book.account_id, 1)?;
        let object = AddressObject {
            etag: book_writes::marked_etag(&body, seq),
            size_bytes: i32::try_from(body.len()).unwrap_or(i32::MAX),
            seq,
            updated_at: now,
            contact_id: None,
            base: None,
            body,
            ..bound.clone()
        };
        book_writes::write_object(db, now, Some(bound.size_bytes), &object, None)?;
    }
    Ok(())
}

/// A card's text without the number that we have put on it.
pub(super) fn without_number(object: &AddressObject) -> Option<Vec<u8>> {
    let base = object.base.as_deref().and_then(|b| std::str::from_utf8(b).ok());
    let number = match base {
        Some(text) if object.is_kept_by_us() => {
            Card::parse(text.as_bytes()).ok()?.first("TEL").map(Line::text_value)
        }
        other => other.map(str::to_owned),
    };
    card_friends::with_number(&object.body, number.as_deref(), None)
}

/// The members of a book of the account's own.
pub fn members(db: &mut Db, owner: AccountId, book: AddressBookId) -> Result<Vec<MemberView>> {
    let book = load_own(db, owner, book)?;
    let members = store::list_members(db, owner, book.id)?;
    views_of(db, members)
}

fn views_of(db: &mut Db, members: Vec<BookMember>) -> Result<Vec<MemberView>> {
    let ids: Vec<AccountId> = members.iter().map(|m| m.member_id).collect();
    let people = store::list_people(db, &ids)?;
    let to_view = |m: BookMember| {
        let person = people.iter().find(|p| p.id == m.member_id)?;
        Some(MemberView {
            id: m.id,
            address: format!("meari:{}", person.handle),
            display_name: person.display_name.clone(),
            access: m.access,
            state: m.state,
            invited_at: m.invited_at,
        })
    };
    Ok(members.into_iter().filter_map(to_view).collect())
}

/// Gives a member another access, or (with none) takes it away.
pub fn set_access(
    db: &mut Db,
    now: Timestamp,
    owner: AccountId,
    book: AddressBookId,
    member: BookMemberId,
    access: Option<Access>,
) -> Result<()> {
    let book = load_own(db, owner, book)?;
    let found = store::list_members(db, owner, book.id)?.into_iter().find(|m| m.id == member);
    let found = found.ok_or_else(|| Error::not_found("member"))?;
    events::lock(db, &[owner, found.member_id])?;
    match access {
        Some(access) => store::set_access(db, &found, access)?,
        None => {
            store::delete(db, &found)?;
            pushes::opened(db, now, found.member_id)?;
        }
    }
    tell(db, now, &[owner, found.member_id], book.id)
}

/// An invitation of the account's, not yet answered.
fn load_invitation(db: &mut Db, account: AccountId, id: BookMemberId) -> Result<BookMember> {
    let found = store::list_of_member(db, account)?.into_iter().find(|m| m.id == id);
    found.filter(|m| m.state == MemberState::Invited).ok_or_else(|| Error::not_found("invitation"))
}

/// Says yes to an invitation; the book is in the account's home from the commit on.
pub fn accept(db: &mut Db, now: Timestamp, account: AccountId, id: BookMemberId) -> Result<AddressBookId> {
    let invitation = load_invitation(db, account, id)?;
    events::lock(db, &[account, invitation.account_id])?;
    let invitation = load_invitation(db, account, id)?;
    let own = list_or_open(db, now, account)?.len();
    let shared = store::list_of_member(db, account)?;
    let shared = shared.iter().filter(|m| m.state == MemberState::Accepted).count();
    if own + shared >= BOOKS_MAX {
        return Err(Error::conflict(
            "too_many_books",
            "You have as many address books as an account may have.",
        ));
    }
    store::set_accepted(db, &invitation, now)?;
    pushes::opened(db, now, account)?;
    tell(db, now, &[account, invitation.account_id], invitation.book_id)?;
    Ok(invitation.book_id)
}

/// Says no to an invitation.
pub fn decline(db: &mut Db, now: Timestamp, account: AccountId, id: BookMemberId) -> Result<()> {
    let invitation = load_invitation(db, account, id)?;
    events::lock(db, &[account, invitation.account_id])?;
    store::delete(db, &invitation)?;
    tell(db, now, &[account, invitation.account_id], invitation.book_id)
}

/// Gives up access to somebody else's book.
pub fn leave(db: &mut Db, now: Timestamp, account: AccountId, book: AddressBookId) -> Result<()> {
    let found = store::list_of_member(db, account)?.into_iter().find(|m| m.book_id == book);
    let member = found.filter(|m| m.state == MemberState::Accepted).ok_or_else(no_such_book)?;
    events::lock(db, &[account, member.account_id])?;
    store::delete(db, &member)?;
    pushes::opened(db, now, account)?;
    tell(db, now, &[account, member.account_id], book)
}

/// Books that others share with the account and that it has accepted.
pub fn shared_with(db: &mut Db, account: AccountId) -> Result<Vec<SharedWith>> {
    let members = store::list_of_member(db, account)?;
    let mut found = Vec::new();
    for (member, mut book, owner) in with_books(db, members)? {
        if member.state == MemberState::Accepted {
            book.slug = member.slug;
            found.push(SharedWith { book, access: member.access, owner });
        }
    }
    Ok(found)
}

/// Who has access to the books of the account's own: book, handle, access.
pub fn granted(db: &mut Db, account: AccountId) -> Result<Vec<(AddressBookId, String, Access)>> {
    store::list_granted(db, account)
}

fn with_books(db: &mut Db, members: Vec<BookMember>) -> Result<Vec<(BookMember, AddressBook, String)>> {
    let owners: Vec<AccountId> = members.iter().map(|m| m.account_id).collect();
    let people = store::list_people(db, &owners)?;
    let mut found = Vec::with_capacity(members.len());
    for member in members {
        let Some(book) = book_store::find_book(db, member.account_id, member.book_id)? else { continue };
        let Some(owner) = people.iter().find(|p| p.id == member.account_id) else { continue };
        found.push((member, book, owner.handle.clone()));
    }
    Ok(found)
}

/// All books an account has: its own, others' that it has accepted, and with `invited` those it is invited to.
/// Whoever the account has blocked does not reach it with an invitation either.
pub fn views(db: &mut Db, account: AccountId) -> Result<Vec<BookView>> {
    let me = roster_store::find_person(db, account)?.ok_or_else(|| Error::not_found("account"))?;
    let granted = store::list_counts(db, account)?;
    let count = |id| granted.iter().filter(|g| **g == id).count();
    let own = books::list(db, account)?.into_iter().map(|book| {
        let members = i64::try_from(count(book.id)).unwrap_or(0);
        view(book, Right::Owner, MemberState::Accepted, me.handle.clone(), None, Some(members))
    });
    let mut views: Vec<BookView> = own.collect();
    let blocked = roster_store::list_blocked(db, account)?;
    let members = store::list_of_member(db, account)?;
    for (member, mut book, owner) in with_books(db, members)? {
        if member.state == MemberState::Invited {
            if blocked.contains(&member.account_id) {
                continue;
            }
            (book.object_count, book.size_bytes) = (0, 0);
        }
        book.slug = member.slug;
        views.push(view(book, member.access.into(), member.state, owner, Some(member.id), None));
    }
    Ok(views)
}

fn view(
    book: AddressBook,
    access: Right,
    state: MemberState,
    owner: String,
    membership_id: Option<BookMemberId>,
    member_count: Option<i64>,
) -> BookView {
    BookView {
        id: book.id,
        address: book.slug,
        name: book.display_name,
        description: book.description,
        kind: book.kind,
        access,
        state,
        owner,
        membership_id,
        member_count,
        card_count: book.object_count,
        size_bytes: book.size_bytes,
        created_at: book.created_at,
    }
}

/// Whether a book's address is a member's own word for another's book.
pub(super) fn is_taken(db: &mut Db, account: AccountId, slug: &str) -> Result<bool> {
    Ok(slug.starts_with(SHARED) && store::list_of_member(db, account)?.iter().any(|m| m.slug == slug))
}

/// Wakes the members of a book that has changed, if it has any: what they know of it must be read again.
pub(super) fn wake_members(db: &mut Db, owner: AccountId, book: AddressBookId) -> Result<()> {
    let members = store::list_members(db, owner, book)?;
    let accepted = members.iter().filter(|m| m.state == MemberState::Accepted);
    let members: Vec<AccountId> = accepted.map(|m| m.member_id).collect();
    if members.is_empty() {
        return Ok(());
    }
    for (account, seq) in events::newest_of(db, &members)? {
        db.signal(Signal::Account { account, seq, topics: Topics::BOOKS });
    }
    Ok(())
}

fn tell(db: &mut Db, now: Timestamp, accounts: &[AccountId], book: AddressBookId) -> Result<()> {
    let event = |account: &AccountId| (*account, EventKind::BookChanged, Some(*book.0.as_bytes()));
    let events: Vec<_> = accounts.iter().map(event).collect();
    events::append_each(db, now, &events, Topics::BOOKS)
}

/// Tells the owner and everybody who has or is offered access.
fn tell_all(db: &mut Db, now: Timestamp, book: &AddressBook) -> Result<()> {
    let members = store::list_members(db, book.account_id, book.id)?;
    let accounts: Vec<AccountId> = members.iter().map(|m| m.member_id).chain([book.account_id]).collect();
    tell(db, now, &accounts, book.id)
}

/// The book goes: so does everybody's access, and everybody is told.
pub(super) fn close(db: &mut Db, now: Timestamp, book: &AddressBook) -> Result<()> {
    tell_all(db, now, book)?;
    for member in store::list_members(db, book.account_id, book.id)? {
        pushes::opened(db, now, member.member_id)?;
    }
    store::delete_members(db, book.account_id, book.id)
}

/// An account goes: its shared books close, and it leaves those of others.
pub(super) fn erase(db: &mut Db, now: Timestamp, account: AccountId) -> Result<()> {
    for book in books::list(db, account)?.into_iter().filter(AddressBook::is_shared) {
        close(db, now, &book)?;
    }
    for member in store::list_of_member(db, account)? {
        store::delete(db, &member)?;
        tell(db, now, &[member.account_id], member.book_id)?;
    }
    Ok(())
}

/// Counts an invitation; refused beyond the limit.
pub fn count_invitation(db: &mut Db, now: Timestamp, account: AccountId) -> Result<()> {
    limits::take(db, now, &INVITATIONS, &account.to_string())
}
