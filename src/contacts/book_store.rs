//! Queries of address books, their objects, tombstones and kept properties. No decisions.

use diesel::connection::DefaultLoadingMode;
use diesel::dsl::{exists, not, sql};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Integer, Nullable, Text};
use diesel::upsert::excluded;

use super::books::{
    AddressBook, AddressObject, BookSums, Change, Fetch, Glimpse, KeptProperty, ObjectText, READ_BYTES_MAX,
    Standing, Traits,
};
use crate::clock::Timestamp;
use crate::db::{Conn, Db, Keep};
use crate::error::{Error, Result};
use crate::ids::{AccountId, AddressBookId, ContactId};
use crate::schema::{address_books, address_objects, address_tombstones, card_fetches, dav_properties};
use crate::{each, written};

/// Rows of one statement at most: eleven parameters each must stay under the engines' limits.
const CHUNK: usize = 500;

pub fn list_books(db: &mut Db, account: AccountId) -> Result<Vec<AddressBook>> {
    Ok(each!(db, |c| address_books::table
        .filter(address_books::account_id.eq(account))
        .order(address_books::created_at.asc())
        .then_order_by(address_books::id.asc())
        .select(AddressBook::as_select())
        .load(c))?)
}

pub fn find_book(db: &mut Db, account: AccountId, book: AddressBookId) -> Result<Option<AddressBook>> {
    Ok(each!(db, |c| address_books::table
        .find((account, book))
        .select(AddressBook::as_select())
        .first(c)
        .optional())?)
}

/// All books of an account, as far as a write asks.
pub fn list_sums(db: &mut Db, account: AccountId) -> Result<Vec<BookSums>> {
    Ok(each!(db, |c| address_books::table
        .filter(address_books::account_id.eq(account))
        .select(BookSums::as_select())
        .load(c))?)
}

pub fn insert_book(db: &mut Db, book: &AddressBook) -> Result<()> {
    each!(db, |c| diesel::insert_into(address_books::table).values(book).execute(c))?;
    Ok(())
}

pub fn rename_book(db: &mut Db, book: &AddressBook) -> Result<()> {
    each!(db, |c| diesel::update(address_books::table.find((book.account_id, book.id)))
        .set((
            address_books::display_name.eq(&book.display_name),
            address_books::description.eq(&book.description),
        ))
        .execute(c))?;
    Ok(())
}

pub fn set_kind(db: &mut Db, account: AccountId, book: AddressBookId, kind: &str) -> Result<()> {
    each!(db, |c| diesel::update(address_books::table.find((account, book)))
        .set(address_books::kind.eq(kind))
        .execute(c))?;
    Ok(())
}

/// The objects of a book that stand for friends or name them.
pub fn list_bound(db: &mut Db, account: AccountId, book: AddressBookId) -> Result<Vec<AddressObject>> {
    Ok(each!(db, |c| address_objects::table
        .filter(address_objects::account_id.eq(account))
        .filter(address_objects::book_id.eq(book))
        .filter(address_objects::contact_id.is_not_null())
        .select(AddressObject::as_select())
        .load(c))?)
}

/// The cards of friends in a book: contact, name, counter.
pub fn list_cards(
    db: &mut Db,
    account: AccountId,
    book: AddressBookId,
) -> Result<Vec<(ContactId, String, i64)>> {
    let rows: Vec<(Option<ContactId>, String, i64)> = each!(db, |c| address_objects::table
        .filter(address_objects::account_id.eq(account))
        .filter(address_objects::book_id.eq(book))
        .filter(address_objects::contact_id.is_not_null())
        .select((address_objects::contact_id, address_objects::name, address_objects::seq))
        .load(c))?;
    Ok(rows.into_iter().filter_map(|(contact, name, seq)| Some((contact?, name, seq))).collect())
}

/// Moves a book's counter on and keeps its sums; says whether anybody wants a push for it, which who has just read the
/// book knows.
pub fn touch_book(
    db: &mut Db,
    (account, book): (AccountId, AddressBookId),
    seq: i64,
    (objects, bytes): (i64, i64),
    known: Option<bool>,
) -> Result<bool> {
    let touched = address_books::table.find((account, book));
    let watched: Option<bool> = match db.conn() {
        // RETURNING makes SQLite build a table in memory each time; its one writer can simply look.
        Conn::Sqlite(c) => {
            TouchBook { seq, objects, bytes, account, book }.execute(c)?;
            match known {
                Some(watched) => Some(watched),
                None => touched.select(address_books::watched).first(c).optional()?,
            }
        }
        Conn::Pg(c) => diesel::update(touched)
            .set((
                address_books::seq.eq(seq),
                address_books::object_count.eq(address_books::object_count + objects),
                address_books::size_bytes.eq(address_books::size_bytes + bytes),
            ))
            .returning(address_books::watched)
            .kept()
            .get_result(c)
            .optional()?,
    };
    Ok(watched.unwrap_or(false))
}

written! {
    struct TouchBook {
        "UPDATE address_books SET seq = " seq: i64 => BigInt,
        ", object_count = object_count + " objects: i64 => BigInt,
        ", size_bytes = size_bytes + " bytes: i64 => BigInt,
        " WHERE account_id = " account: AccountId => Binary,
        " AND id = " book: AddressBookId => Binary,
    } ""
}

pub fn set_watched(db: &mut Db, account: AccountId, book: AddressBookId, watched: bool) -> Result<()> {
    each!(db, |c| diesel::update(address_books::table.find((account, book)))
        .set(address_books::watched.eq(watched))
        .execute(c))?;
    Ok(())
}

pub fn raise_floor(db: &mut Db, account: AccountId, book: AddressBookId, floor: i64) -> Result<()> {
    each!(db, |c| diesel::update(address_books::table.find((account, book)))
        .set(address_books::floor_seq.eq(floor))
        .execute(c))?;
    Ok(())
}

pub fn delete_book(db: &mut Db, account: AccountId, book: AddressBookId) -> Result<()> {
    each!(db, |c| diesel::delete(address_objects::table)
        .filter(address_objects::account_id.eq(account))
        .filter(address_objects::book_id.eq(book))
        .execute(c))?;
    each!(db, |c| diesel::delete(address_tombstones::table)
        .filter(address_tombstones::account_id.eq(account))
        .filter(address_tombstones::book_id.eq(book))
        .execute(c))?;
    each!(db, |c| diesel::delete(dav_properties::table)
        .filter(dav_properties::account_id.eq(account))
        .filter(dav_properties::book_id.eq(book))
        .execute(c))?;
    each!(db, |c| diesel::delete(card_fetches::table)
        .filter(card_fetches::account_id.eq(account))
        .filter(card_fetches::book_id.eq(book))
        .execute(c))?;
    each!(db, |c| diesel::delete(address_books::table.find((account, book))).execute(c))?;
    Ok(())
}

pub fn find_object(
    db: &mut Db,
    account: AccountId,
    book: AddressBookId,
    name: &str,
) -> Result<Option<AddressObject>> {
    Ok(each!(db, |c| address_objects::table
        .find((account, book, name))
        .select(AddressObject::as_select())
        .first(c)
        .optional())?)
}

diesel::define_sql_function! {
    /// A part of a text, counted from 1.
    fn substr(text: Binary, start: Integer, length: Integer) -> Binary;
}

/// Bytes of a card that are read for its version, which stands in the second line.
const HEAD_BYTES: i32 = 64;

/// What has this name or this UID: at most two, and one that has both is there twice. A union and no `or`, for which
/// PostgreSQL goes through the whole book.
pub fn list_standing(
    db: &mut Db,
    account: AccountId,
    book: AddressBookId,
    name: &str,
    uid: &str,
) -> Result<Vec<Standing>> {
    let columns = (
        address_objects::name,
        address_objects::uid,
        address_objects::etag,
        address_objects::contact_id,
        address_objects::size_bytes,
        address_objects::seq,
        address_objects::created_at,
        substr(address_objects::body, 1, HEAD_BYTES),
    );
    let in_book = |()| {
        address_objects::table
            .filter(address_objects::account_id.eq(account))
            .filter(address_objects::book_id.eq(book))
    };
    Ok(each!(db, |c| in_book(())
        .filter(address_objects::name.eq(name))
        .select(columns)
        .union_all(in_book(()).filter(address_objects::uid.eq(uid)).select(columns))
        .load(c))?)
}

/// A glimpse of an object; none when there is no such book.
pub fn find_glimpse(
    db: &mut Db,
    account: AccountId,
    book: AddressBookId,
    name: &str,
) -> Result<Option<Glimpse>> {
    let of_book = address_objects::account_id
        .eq(address_books::account_id)
        .and(address_objects::book_id.eq(address_books::id))
        .and(address_objects::name.eq(name));
    Ok(each!(db, |c| address_books::table
        .left_join(address_objects::table.on(of_book))
        .filter(address_books::account_id.eq(account))
        .filter(address_books::id.eq(book))
        .select((
            address_books::kind,
            address_objects::etag.nullable(),
            address_objects::contact_id.nullable(),
        ))
        .first(c)
        .optional())?)
}

/// Who holds a UID.
pub fn find_holder(
    db: &mut Db,
    account: AccountId,
    book: AddressBookId,
    uid: &str,
) -> Result<Option<String>> {
    Ok(each!(db, |c| address_objects::table
        .filter(address_objects::account_id.eq(account))
        .filter(address_objects::book_id.eq(book))
        .filter(address_objects::uid.eq(uid))
        .select(address_objects::name)
        .first(c)
        .optional())?)
}

pub fn list_by_names(
    db: &mut Db,
    account: AccountId,
    book: AddressBookId,
    names: &[&str],
) -> Result<Vec<AddressObject>> {
    let mut rows = Vec::with_capacity(names.len());
    for part in names.chunks(CHUNK) {
        let mut found: Vec<AddressObject> = each!(db, |c| address_objects::table
            .filter(address_objects::account_id.eq(account))
            .filter(address_objects::book_id.eq(book))
            .filter(address_objects::name.eq_any(part.iter().copied()))
            .select(AddressObject::as_select())
            .load(c))?;
        rows.append(&mut found);
    }
    Ok(rows)
}

/// Takes rows until their texts are [`READ_BYTES_MAX`]; the rest is never read. Whether these are all.
fn take_some<T>(
    rows: impl Iterator<Item = QueryResult<T>>,
    mut take: impl FnMut(T) -> usize,
) -> QueryResult<bool> {
    let mut bytes = 0;
    for row in rows {
        bytes += take(row?);
        if bytes >= READ_BYTES_MAX {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What [`ByNames`] answers of each object: the place of its name among those asked for, and the object.
type Placed = (BigInt, (Text, Text, Nullable<Binary>, Integer, BigInt, BigInt, BigInt, Binary));

written! {
    struct ByNames -> Placed {
        "SELECT w.key, o.name, o.etag, o.contact_id, o.size_bytes, o.seq, o.created_at, o.updated_at, o.body \
         FROM json_each(" names: String => Text,
        ") AS w CROSS JOIN address_objects AS o WHERE o.account_id = " account: AccountId => Binary,
        " AND o.book_id = " book: AddressBookId => Binary,
    } " AND o.name = w.value"
}

written! {
    struct ByNamesPg -> Placed {
        "SELECT w.place - 1, o.name, o.etag, o.contact_id, o.size_bytes, o.seq, o.created_at, o.updated_at, o.body \
         FROM unnest(" names: Vec<String> => Array<Text>,
        ") WITH ORDINALITY AS w (name, place) JOIN address_objects AS o ON o.name = w.name AND o.account_id = "
        account: AccountId => Binary,
        " AND o.book_id = " book: AddressBookId => Binary,
    } ""
}

/// Hands over the objects with these names one by one, each with the place of its name, as far as they fit into one
/// read; whether these are all there are. Nothing is kept of an object that was handed over.
pub fn visit_by_names(
    db: &mut Db,
    account: AccountId,
    book: AddressBookId,
    names: &[&str],
    mut visit: impl FnMut(usize, ObjectText),
) -> Result<bool> {
    if names.is_empty() {
        return Ok(true);
    }
    let take = |(place, object): (i64, ObjectText)| {
        let bytes = object.body.len();
        visit(usize::try_from(place).unwrap_or(usize::MAX), object);
        bytes
    };
    Ok(match db.conn() {
        Conn::Sqlite(c) => {
            // One text, so that the statement is the same for any number of names and stays prepared.
            let names =
                serde_json::to_string(names).map_err(|e| Error::caused("writing names as JSON", e))?;
            take_some(ByNames { names, account, book }.load_iter::<_, DefaultLoadingMode>(c)?, take)?
        }
        Conn::Pg(c) => {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            take_some(ByNamesPg { names, account, book }.load_iter::<_, DefaultLoadingMode>(c)?, take)?
        }
    })
}

/// A page of objects in the order of their counters, after `after`; a shorter one when they are large.
pub fn page_after(
    db: &mut Db,
    account: AccountId,
    book: AddressBookId,
    after: i64,
    limit: i64,
) -> Result<Vec<ObjectText>> {
    let mut page = Vec::new();
    let take = |object: ObjectText| {
        let bytes = object.body.len();
        page.push(object);
        bytes
    };
    each!(db, |c| take_some(
        address_objects::table
            .filter(address_objects::account_id.eq(account))
            .filter(address_objects::book_id.eq(book))
            .filter(address_objects::seq.gt(after))
            .order(address_objects::seq.asc())
            .limit(limit)
            .select(ObjectText::as_select())
            .load_iter::<ObjectText, DefaultLoadingMode>(c)?,
        take,
    ))?;
    Ok(page)
}

/// A page of objects in the order of their names, after `after`; a shorter one when they are large.
pub fn page_by_name(
    db: &mut Db,
    account: AccountId,
    book: AddressBookId,
    after: &str,
    limit: i64,
) -> Result<Vec<ObjectText>> {
    let mut page = Vec::new();
    let take = |object: ObjectText| {
        let bytes = object.body.len();
        page.push(object);
        bytes
    };
    each!(db, |c| take_some(
        address_objects::table
            .filter(address_objects::account_id.eq(account))
            .filter(address_objects::book_id.eq(book))
            .filter(address_objects::name.gt(after))
            .order(address_objects::name.asc())
            .limit(limit)
            .select(ObjectText::as_select())
            .load_iter::<ObjectText, DefaultLoadingMode>(c)?,
        take,
    ))?;
    Ok(page)
}

/// Hands over the objects whose counters are above `after` and at most `until` one by one, in their order, as far as
/// they fit into one read; whether these are all there are.
pub fn visit_between(
    db: &mut Db,
    account: AccountId,
    book: AddressBookId,
    (after, until): (i64, i64),
    mut visit: impl FnMut(ObjectText),
) -> Result<bool> {
    let take = |object: ObjectText| {
        let bytes = object.body.len();
        visit(object);
        bytes
    };
    Ok(each!(db, |c| take_some(
        address_objects::table
            .filter(address_objects::account_id.eq(account))
            .filter(address_objects::book_id.eq(book))
            .filter(address_objects::seq.gt(after))
            .filter(address_objects::seq.le(until))
            .order(address_objects::seq.asc())
            .select(ObjectText::as_select())
            .load_iter::<ObjectText, DefaultLoadingMode>(c)?,
        take,
    ))?)
}

/// What is in a book, in the order of the counters.
pub fn list_objects(
    db: &mut Db,
    account: AccountId,
    book: AddressBookId,
    after: i64,
    limit: i64,
) -> Result<Vec<Change>> {
    let to_change = |row: QueryResult<(i64, String, Traits)>| {
        row.map(|(seq, name, traits)| Change { seq, name, object: Some(traits) })
    };
    Ok(each!(db, |c| address_objects::table
        .filter(address_objects::account_id.eq(account))
        .filter(address_objects::book_id.eq(book))
        .filter(address_objects::seq.gt(after))
        .order(address_objects::seq.asc())
        .limit(limit)
        .select((address_objects::seq, address_objects::name, Traits::as_select()))
        .load_iter::<_, DefaultLoadingMode>(c)?
        .map(to_change)
        .collect::<QueryResult<Vec<Change>>>())?)
}

/// What is gone since `after` and has not come back.
pub fn list_tombstones(
    db: &mut Db,
    account: AccountId,
    book: AddressBookId,
    after: i64,
    limit: i64,
) -> Result<Vec<Change>> {
    let back = |_: ()| {
        address_objects::table
            .filter(address_objects::account_id.eq(address_tombstones::account_id))
            .filter(address_objects::book_id.eq(address_tombstones::book_id))
            .filter(address_objects::name.eq(address_tombstones::name))
            .select(address_objects::seq)
    };
    let rows: Vec<(i64, String)> = each!(db, |c| address_tombstones::table
        .filter(address_tombstones::account_id.eq(account))
        .filter(address_tombstones::book_id.eq(book))
        .filter(address_tombstones::seq.gt(after))
        .filter(not(exists(back(()))))
        .order(address_tombstones::seq.asc())
        .limit(limit)
        .select((address_tombstones::seq, address_tombstones::name))
        .load(c))?;
    Ok(rows.into_iter().map(|(seq, name)| Change { seq, name, object: None }).collect())
}

/// One row in a statement that stays prepared; a batch is prepared anew each time.
pub fn insert_object(db: &mut Db, object: &AddressObject) -> Result<()> {
    each!(db, |c| diesel::insert_into(address_objects::table).values(object).execute(c))?;
    Ok(())
}

pub fn insert_objects(db: &mut Db, objects: &[AddressObject]) -> Result<()> {
    for part in objects.chunks(CHUNK) {
        each!(db, |c| diesel::insert_into(address_objects::table).values(part).execute(c))?;
    }
    Ok(())
}

pub fn update_object(db: &mut Db, object: &AddressObject) -> Result<()> {
    let update = UpdateObject {
        uid: object.uid.clone(),
        etag: object.etag.clone(),
        contact: object.contact_id,
        size: object.size_bytes,
        seq: object.seq,
        updated_at: object.updated_at,
        body: object.body.clone(),
        base: object.base.clone(),
        account: object.account_id,
        book: object.book_id,
        name: object.name.clone(),
    };
    each!(db, |c| update.execute(c))?;
    Ok(())
}

written! {
    struct UpdateObject {
        "UPDATE address_objects SET uid = " uid: String => Text,
        ", etag = " etag: String => Text,
        ", contact_id = " contact: Option<ContactId> => Nullable<Binary>,
        ", size_bytes = " size: i32 => Integer,
        ", seq = " seq: i64 => BigInt,
        ", updated_at = " updated_at: Timestamp => BigInt,
        ", body = " body: Vec<u8> => Binary,
        ", base = " base: Option<Vec<u8>> => Nullable<Binary>,
        " WHERE account_id = " account: AccountId => Binary,
        " AND book_id = " book: AddressBookId => Binary,
        " AND name = " name: String => Text,
    } ""
}

/// Takes an object away and leaves a tombstone.
pub fn bury_object(db: &mut Db, account: AccountId, book: AddressBookId, name: &str, seq: i64) -> Result<()> {
    each!(db, |c| diesel::delete(address_objects::table.find((account, book, name))).execute(c))?;
    delete_properties(db, account, book, name)?;
    each!(db, |c| diesel::insert_into(address_tombstones::table)
        .values((
            address_tombstones::account_id.eq(account),
            address_tombstones::book_id.eq(book),
            address_tombstones::seq.eq(seq),
            address_tombstones::name.eq(name),
        ))
        .execute(c))?;
    Ok(())
}

/// The counter of the newest tombstone that is not among the last `keep`.
pub fn find_old_tombstone(
    db: &mut Db,
    account: AccountId,
    book: AddressBookId,
    keep: i64,
) -> Result<Option<i64>> {
    Ok(each!(db, |c| address_tombstones::table
        .filter(address_tombstones::account_id.eq(account))
        .filter(address_tombstones::book_id.eq(book))
        .order(address_tombstones::seq.desc())
        .offset(keep)
        .select(address_tombstones::seq)
        .first(c)
        .optional())?)
}

pub fn delete_tombstones(db: &mut Db, account: AccountId, book: AddressBookId, up_to: i64) -> Result<()> {
    each!(db, |c| diesel::delete(address_tombstones::table)
        .filter(address_tombstones::account_id.eq(account))
        .filter(address_tombstones::book_id.eq(book))
        .filter(address_tombstones::seq.le(up_to))
        .execute(c))?;
    Ok(())
}

/// The objects that stand for these contacts or name them.
pub fn list_by_contacts(
    db: &mut Db,
    account: AccountId,
    contacts: &[ContactId],
) -> Result<Vec<AddressObject>> {
    let mut rows = Vec::new();
    for part in contacts.chunks(CHUNK) {
        let mut found: Vec<AddressObject> = each!(db, |c| address_objects::table
            .filter(address_objects::account_id.eq(account))
            .filter(address_objects::contact_id.eq_any(part.iter().copied()))
            .select(AddressObject::as_select())
            .load(c))?;
        rows.append(&mut found);
    }
    Ok(rows)
}

/// The objects that stand for a contact: name and counter.
pub fn list_of_contact(
    db: &mut Db,
    account: AccountId,
    contact: ContactId,
) -> Result<Vec<(AddressBookId, String, i64)>> {
    Ok(each!(db, |c| address_objects::table
        .filter(address_objects::account_id.eq(account))
        .filter(address_objects::contact_id.eq(contact))
        .select((address_objects::book_id, address_objects::name, address_objects::seq))
        .load(c))?)
}

pub fn was_fetched(
    db: &mut Db,
    account: AccountId,
    book: AddressBookId,
    name: &str,
    seq: i64,
) -> Result<bool> {
    let row: Option<i64> = each!(db, |c| card_fetches::table
        .filter(card_fetches::account_id.eq(account))
        .filter(card_fetches::book_id.eq(book))
        .filter(card_fetches::name.eq(name))
        .filter(card_fetches::seq.ge(seq))
        .select(card_fetches::seq)
        .first(c)
        .optional())?;
    Ok(row.is_some())
}

/// What is told late, by another node or after a slow answer, says nothing new.
const LATER: &str = "CASE WHEN excluded.seq > card_fetches.seq THEN excluded.seq ELSE card_fetches.seq END";

pub fn upsert_fetches(db: &mut Db, now: Timestamp, fetches: &[Fetch]) -> Result<()> {
    for part in fetches.chunks(CHUNK) {
        let rows: Vec<_> = part
            .iter()
            .map(|f| {
                (
                    card_fetches::account_id.eq(f.account),
                    card_fetches::app_password_id.eq(f.app_password),
                    card_fetches::book_id.eq(f.book),
                    card_fetches::name.eq(f.name.as_str()),
                    card_fetches::seq.eq(f.seq),
                    card_fetches::at.eq(now),
                )
            })
            .collect();
        each!(db, |c| diesel::insert_into(card_fetches::table)
            .values(&rows)
            .on_conflict((
                card_fetches::account_id,
                card_fetches::app_password_id,
                card_fetches::book_id,
                card_fetches::name,
            ))
            .do_update()
            .set((
                card_fetches::seq.eq(sql::<BigInt>(LATER)),
                card_fetches::at.eq(excluded(card_fetches::at))
            ))
            .execute(c))?;
    }
    Ok(())
}

/// Kept properties of a book's objects and of the book itself; of one resource when `name` says which.
pub fn list_properties(
    db: &mut Db,
    account: AccountId,
    book: AddressBookId,
    name: Option<&str>,
) -> Result<Vec<KeptProperty>> {
    each!(db, |c| {
        let mut query = dav_properties::table
            .filter(dav_properties::account_id.eq(account))
            .filter(dav_properties::book_id.eq(book))
            .select((dav_properties::name, dav_properties::property, dav_properties::value))
            .into_boxed();
        if let Some(name) = name {
            query = query.filter(dav_properties::name.eq(name));
        }
        Ok(query.load(c)?)
    })
}

/// Kept properties of these objects of a book, at most [`CHUNK`] of them.
pub fn list_properties_of(
    db: &mut Db,
    account: AccountId,
    book: AddressBookId,
    names: &[&str],
) -> Result<Vec<KeptProperty>> {
    Ok(each!(db, |c| dav_properties::table
        .filter(dav_properties::account_id.eq(account))
        .filter(dav_properties::book_id.eq(book))
        .filter(dav_properties::name.eq_any(names.iter().copied()))
        .select((dav_properties::name, dav_properties::property, dav_properties::value))
        .load(c))?)
}

/// What a kept property takes beside its texts, so that many small ones count for something.
pub const PROPERTY_ROW_BYTES: usize = 100;

/// Bytes of all kept properties of an account, with [`PROPERTY_ROW_BYTES`] each.
pub fn sum_properties(db: &mut Db, account: AccountId) -> Result<i64> {
    let texts = |()| {
        diesel::dsl::sql::<Nullable<BigInt>>(
            "sum(octet_length(name) + octet_length(property) + octet_length(value))",
        )
    };
    let (sum, rows): (Option<i64>, i64) = each!(db, |c| dav_properties::table
        .filter(dav_properties::account_id.eq(account))
        .select((texts(()), diesel::dsl::count_star()))
        .first(c))?;
    let beside = rows.saturating_mul(i64::try_from(PROPERTY_ROW_BYTES).unwrap_or(0));
    Ok(sum.unwrap_or(0).saturating_add(beside))
}

pub fn list_properties_of_books(
    db: &mut Db,
    account: AccountId,
) -> Result<Vec<(AddressBookId, KeptProperty)>> {
    let rows: Vec<(AddressBookId, KeptProperty)> = each!(db, |c| dav_properties::table
        .filter(dav_properties::account_id.eq(account))
        .filter(dav_properties::name.eq(""))
        .select((
            dav_properties::book_id,
            (dav_properties::name, dav_properties::property, dav_properties::value),
        ))
        .load(c))?;
    Ok(rows)
}

/// All kept properties of one object.
pub fn delete_properties(db: &mut Db, account: AccountId, book: AddressBookId, name: &str) -> Result<()> {
    each!(db, |c| diesel::delete(dav_properties::table)
        .filter(dav_properties::account_id.eq(account))
        .filter(dav_properties::book_id.eq(book))
        .filter(dav_properties::name.eq(name))
        .execute(c))?;
    Ok(())
}

pub fn delete_property(
    db: &mut Db,
    account: AccountId,
    book: AddressBookId,
    name: &str,
    property: &str,
) -> Result<()> {
    each!(db, |c| diesel::delete(dav_properties::table.find((account, book, name, property))).execute(c))?;
    Ok(())
}

pub fn insert_property(
    db: &mut Db,
    account: AccountId,
    book: AddressBookId,
    kept: &KeptProperty,
) -> Result<()> {
    each!(db, |c| diesel::insert_into(dav_properties::table)
        .values((
            dav_properties::account_id.eq(account),
            dav_properties::book_id.eq(book),
            dav_properties::name.eq(&kept.name),
            dav_properties::property.eq(&kept.property),
            dav_properties::value.eq(&kept.value),
        ))
        .execute(c))?;
    Ok(())
}
