//! Queries of `card_imports` and `card_import_rows`. No decisions.

use diesel::prelude::*;

use super::{CardImportState, DuplicateChoice, RowOutcome};
use crate::clock::Timestamp;
use crate::db::Db;
use crate::each;
use crate::error::Result;
use crate::ids::{AccountId, AddressBookId, CardImportId};
use crate::schema::{card_import_rows, card_imports};

/// Rows in one statement: fourteen parameters each.
const CHUNK: usize = 500;

/// One file on its way into a book.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = card_imports)]
#[diesel(treat_none_as_default_value = false)]
pub struct CardImport {
    /// Whose.
    pub account_id: AccountId,
    /// Which.
    pub id: CardImportId,
    /// Whose book it goes into.
    pub owner_id: AccountId,
    /// The book.
    pub book_id: AddressBookId,
    /// `vcard`, `google` or `outlook`.
    pub format: String,
    /// What the file was written in.
    pub charset: String,
    /// The country of its numbers.
    pub region: String,
    /// How far it has come.
    pub state: CardImportState,
    /// What happens to duplicates about which nothing else is said; known once it is applied.
    pub fallback: Option<DuplicateChoice>,
    /// Cards and faults together.
    pub row_count: i64,
    /// When it was uploaded.
    pub created_at: Timestamp,
}

/// One card of a file, or a fault.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = card_import_rows)]
#[diesel(treat_none_as_default_value = false)]
pub struct ImportRow {
    /// Whose.
    pub account_id: AccountId,
    /// Of which import.
    pub import_id: CardImportId,
    /// Its place, from 0.
    pub place: i32,
    /// Its line in the file, from 1.
    pub line: i32,
    /// The name on it.
    pub name: String,
    /// Why it is no card: a stable word.
    pub fault_code: Option<String>,
    /// Why it is no card: a sentence.
    pub fault_detail: Option<String>,
    /// The card of the book that is probably the same person's.
    pub duplicate_of: Option<String>,
    /// The earlier card of the file that probably is.
    pub duplicate_place: Option<i32>,
    /// What speaks for it, with commas.
    pub reasons: String,
    /// What the user has chosen for it.
    pub choice: Option<DuplicateChoice>,
    /// What became of it.
    pub outcome: Option<RowOutcome>,
    /// The card of the book that it is now.
    pub result_name: Option<String>,
    /// The card.
    pub body: Option<Vec<u8>>,
}

pub fn insert(db: &mut Db, import: &CardImport) -> Result<()> {
    each!(db, |c| diesel::insert_into(card_imports::table).values(import).execute(c))?;
    Ok(())
}

pub fn insert_rows(db: &mut Db, rows: &[ImportRow]) -> Result<()> {
    for part in rows.chunks(CHUNK) {
        each!(db, |c| diesel::insert_into(card_import_rows::table).values(part).execute(c))?;
    }
    Ok(())
}

pub fn find(db: &mut Db, account: AccountId, id: CardImportId) -> Result<Option<CardImport>> {
    Ok(each!(db, |c| card_imports::table
        .find((account, id))
        .select(CardImport::as_select())
        .first(c)
        .optional())?)
}

pub fn count(db: &mut Db, account: AccountId) -> Result<i64> {
    Ok(each!(db, |c| card_imports::table.filter(card_imports::account_id.eq(account)).count().get_result(c))?)
}

pub fn list_older(db: &mut Db, before: Timestamp, limit: i64) -> Result<Vec<(AccountId, CardImportId)>> {
    Ok(each!(db, |c| card_imports::table
        .filter(card_imports::created_at.lt(before))
        .order(card_imports::created_at.asc())
        .limit(limit)
        .select((card_imports::account_id, card_imports::id))
        .load(c))?)
}

pub fn set_state(
    db: &mut Db,
    account: AccountId,
    id: CardImportId,
    state: CardImportState,
    fallback: Option<DuplicateChoice>,
) -> Result<()> {
    each!(db, |c| diesel::update(card_imports::table.find((account, id)))
        .set((card_imports::state.eq(state), card_imports::fallback.eq(fallback)))
        .execute(c))?;
    Ok(())
}

pub fn set_choice(
    db: &mut Db,
    account: AccountId,
    id: CardImportId,
    places: &[i32],
    choice: DuplicateChoice,
) -> Result<usize> {
    let mut changed = 0;
    for part in places.chunks(CHUNK) {
        changed += each!(db, |c| diesel::update(card_import_rows::table)
            .filter(card_import_rows::account_id.eq(account))
            .filter(card_import_rows::import_id.eq(id))
            .filter(card_import_rows::place.eq_any(part))
            .set(card_import_rows::choice.eq(choice))
            .execute(c))?;
    }
    Ok(changed)
}

/// Rows that are still to be done, in their order.
pub fn list_open(db: &mut Db, account: AccountId, id: CardImportId, limit: i64) -> Result<Vec<ImportRow>> {
    Ok(each!(db, |c| card_import_rows::table
        .filter(card_import_rows::account_id.eq(account))
        .filter(card_import_rows::import_id.eq(id))
        .filter(card_import_rows::outcome.is_null())
        .order(card_import_rows::place.asc())
        .limit(limit)
        .select(ImportRow::as_select())
        .load(c))?)
}

/// What a list of rows shows: everything but the card.
pub type ShownRow = (
    i32,
    i32,
    String,
    (Option<String>, Option<String>),
    (Option<String>, Option<i32>, String),
    Option<DuplicateChoice>,
    Option<RowOutcome>,
);

pub fn list_rows(
    db: &mut Db,
    account: AccountId,
    id: CardImportId,
    only: super::RowsWanted,
    after: i32,
    limit: i64,
) -> Result<Vec<ShownRow>> {
    Ok(each!(db, |c| {
        let mut query = card_import_rows::table
            .filter(card_import_rows::account_id.eq(account))
            .filter(card_import_rows::import_id.eq(id))
            .filter(card_import_rows::place.gt(after))
            .order(card_import_rows::place.asc())
            .limit(limit)
            .select((
                card_import_rows::place,
                card_import_rows::line,
                card_import_rows::name,
                (card_import_rows::fault_code, card_import_rows::fault_detail),
                (
                    card_import_rows::duplicate_of,
                    card_import_rows::duplicate_place,
                    card_import_rows::reasons,
                ),
                card_import_rows::choice,
                card_import_rows::outcome,
            ))
            .into_boxed();
        match only {
            super::RowsWanted::All => {}
            super::RowsWanted::Problems => query = query.filter(card_import_rows::fault_code.is_not_null()),
            super::RowsWanted::Duplicates => query = query.filter(card_import_rows::reasons.ne("")),
        }
        query.load(c)
    })?)
}

/// How many rows have which outcome, and how many are duplicates.
pub fn tally(
    db: &mut Db,
    account: AccountId,
    id: CardImportId,
) -> Result<Vec<(Option<RowOutcome>, bool, i64)>> {
    let rows: Vec<(Option<RowOutcome>, i64)> = each!(db, |c| card_import_rows::table
        .filter(card_import_rows::account_id.eq(account))
        .filter(card_import_rows::import_id.eq(id))
        .filter(card_import_rows::reasons.ne(""))
        .group_by(card_import_rows::outcome)
        .select((card_import_rows::outcome, diesel::dsl::count_star()))
        .load(c))?;
    let others: Vec<(Option<RowOutcome>, i64)> = each!(db, |c| card_import_rows::table
        .filter(card_import_rows::account_id.eq(account))
        .filter(card_import_rows::import_id.eq(id))
        .filter(card_import_rows::reasons.eq(""))
        .group_by(card_import_rows::outcome)
        .select((card_import_rows::outcome, diesel::dsl::count_star()))
        .load(c))?;
    let duplicates = rows.into_iter().map(|(outcome, n)| (outcome, true, n));
    Ok(duplicates.chain(others.into_iter().map(|(outcome, n)| (outcome, false, n))).collect())
}

pub fn find_result(db: &mut Db, account: AccountId, id: CardImportId, place: i32) -> Result<Option<String>> {
    let name: Option<Option<String>> = each!(db, |c| card_import_rows::table
        .find((account, id, place))
        .select(card_import_rows::result_name)
        .first(c)
        .optional())?;
    Ok(name.flatten())
}

/// Writes down what became of a row; the card is not needed any more.
pub fn set_outcome(
    db: &mut Db,
    row: &ImportRow,
    outcome: RowOutcome,
    result_name: Option<&str>,
) -> Result<()> {
    let key = (row.account_id, row.import_id, row.place);
    each!(db, |c| diesel::update(card_import_rows::table.find(key))
        .set((
            card_import_rows::outcome.eq(outcome),
            card_import_rows::result_name.eq(result_name),
            card_import_rows::body.eq(None::<Vec<u8>>),
        ))
        .execute(c))?;
    Ok(())
}

pub fn delete(db: &mut Db, account: AccountId, id: CardImportId) -> Result<()> {
    each!(db, |c| diesel::delete(card_import_rows::table)
        .filter(card_import_rows::account_id.eq(account))
        .filter(card_import_rows::import_id.eq(id))
        .execute(c))?;
    each!(db, |c| diesel::delete(card_imports::table.find((account, id))).execute(c))?;
    Ok(())
}

pub fn delete_all(db: &mut Db, account: AccountId) -> Result<()> {
    each!(db, |c| diesel::delete(card_import_rows::table)
        .filter(card_import_rows::account_id.eq(account))
        .execute(c))?;
    each!(db, |c| diesel::delete(card_imports::table)
        .filter(card_imports::account_id.eq(account))
        .execute(c))?;
    Ok(())
}
