//! Queries of `numbers` and `assignments`.

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Binary, Text};

use super::forecast::Held;
use super::{Number, NumberState, Rested};
use crate::clock::Timestamp;
use crate::db::{Conn, Db};
use crate::each;
use crate::error::Result;
use crate::ids::{AccountId, AssignmentId, ContactId, NumberId};
use crate::phone::E164;
use crate::schema::{account_counters, assignments, numbers};

/// Rows in one statement: far below the parameter limits of both engines.
const CHUNK: usize = 1_000;

#[derive(Insertable)]
#[diesel(table_name = numbers)]
#[diesel(treat_none_as_default_value = false)]
pub struct NewNumber {
    pub id: NumberId,
    pub number: E164,
    pub region: String,
    pub area: String,
    pub carrier_id: String,
    pub capabilities: i32,
    pub state: &'static str,
    pub created_at: Timestamp,
}

#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = assignments)]
#[diesel(treat_none_as_default_value = false)]
pub struct NewAssignment {
    pub account_id: AccountId,
    pub id: AssignmentId,
    pub number_id: NumberId,
    pub contact_id: ContactId,
    pub state: &'static str,
    pub assigned_at: Timestamp,
}

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = assignments)]
pub struct AssignmentRow {
    pub id: AssignmentId,
    pub number_id: NumberId,
    pub contact_id: ContactId,
    pub state: String,
}

type NumberRow = (NumberId, E164, String, String, String, i32, String, Timestamp, Option<Timestamp>);

fn to_number(row: NumberRow) -> Number {
    let (id, number, region, area, carrier_id, capabilities, state, created_at, retired_at) = row;
    let state = NumberState::parse(&state);
    Number {
        id,
        number,
        region,
        area,
        carrier_id,
        capabilities: super::Capabilities(capabilities),
        state,
        created_at,
        retired_at,
    }
}

macro_rules! columns {
    () => {
        (
            numbers::id,
            numbers::number,
            numbers::region,
            numbers::area,
            numbers::carrier_id,
            numbers::capabilities,
            numbers::state,
            numbers::created_at,
            numbers::retired_at,
        )
    };
}

/// Takes the account's turn: until the transaction ends nobody else assigns for this account.
pub fn take_turn(db: &mut Db, account: AccountId) -> Result<()> {
    each!(db, |c| diesel::update(account_counters::table)
        .filter(account_counters::account_id.eq(account))
        .set(account_counters::number_turn.eq(account_counters::number_turn + 1))
        .execute(c))?;
    Ok(())
}

pub fn list_assignments(db: &mut Db, account: AccountId) -> Result<Vec<AssignmentRow>> {
    Ok(each!(db, |c| assignments::table
        .filter(assignments::account_id.eq(account))
        .select(AssignmentRow::as_select())
        .order(assignments::id.asc())
        .load(c))?)
}

pub fn list_pool(db: &mut Db, region: &str) -> Result<Vec<Number>> {
    let rows: Vec<NumberRow> = each!(db, |c| numbers::table
        .filter(numbers::region.eq(region))
        .filter(numbers::state.eq(NumberState::Available.as_str()))
        .select(columns!())
        .order(numbers::id.asc())
        .load(c))?;
    Ok(rows.into_iter().map(to_number).collect())
}

pub fn set_carrier(db: &mut Db, id: NumberId, carrier_id: &str) -> Result<()> {
    each!(db, |c| diesel::update(numbers::table)
        .filter(numbers::id.eq(id))
        .set(numbers::carrier_id.eq(carrier_id))
        .execute(c))?;
    Ok(())
}

pub fn list_of_carrier(db: &mut Db, carrier_id: &str, limit: i64) -> Result<Vec<Number>> {
    let rows: Vec<NumberRow> = each!(db, |c| numbers::table
        .filter(numbers::carrier_id.eq(carrier_id))
        .filter(numbers::state.ne(NumberState::Retired.as_str()))
        .select(columns!())
        .order(numbers::id.asc())
        .limit(limit)
        .load(c))?;
    Ok(rows.into_iter().map(to_number).collect())
}

/// What choosing needs to know of a region's numbers, and no more.
pub fn list_candidates(db: &mut Db, region: &str) -> Result<Vec<(NumberId, E164, String, i32)>> {
    Ok(each!(db, |c| numbers::table
        .filter(numbers::region.eq(region))
        .filter(numbers::state.eq(NumberState::Available.as_str()))
        .select((numbers::id, numbers::number, numbers::area, numbers::capabilities))
        .order(numbers::id.asc())
        .load(c))?)
}

pub fn list_numbers(db: &mut Db, after: Option<NumberId>, limit: i64) -> Result<Vec<Number>> {
    let rows: Vec<NumberRow> = each!(db, |c| {
        let mut query = numbers::table.select(columns!()).order(numbers::id.asc()).limit(limit).into_boxed();
        if let Some(after) = after {
            query = query.filter(numbers::id.gt(after));
        }
        query.load(c)
    })?;
    Ok(rows.into_iter().map(to_number).collect())
}

pub fn find_by_id(db: &mut Db, id: NumberId) -> Result<Option<Number>> {
    let row: Option<NumberRow> =
        each!(db, |c| numbers::table.filter(numbers::id.eq(id)).select(columns!()).first(c).optional())?;
    Ok(row.map(to_number))
}

pub fn list_by_ids(db: &mut Db, ids: &[NumberId]) -> Result<Vec<Number>> {
    let mut found = Vec::new();
    for chunk in ids.chunks(500) {
        let rows: Vec<NumberRow> =
            each!(db, |c| numbers::table.filter(numbers::id.eq_any(chunk)).select(columns!()).load(c))?;
        found.extend(rows.into_iter().map(to_number));
    }
    Ok(found)
}

pub fn find_by_number(db: &mut Db, number: &E164) -> Result<Option<Number>> {
    let row: Option<NumberRow> = each!(db, |c| numbers::table
        .filter(numbers::number.eq(number))
        .select(columns!())
        .first(c)
        .optional())?;
    Ok(row.map(to_number))
}

/// Inserts numbers; those that exist are left alone. Answers how many are new.
pub fn insert_numbers(db: &mut Db, rows: &[NewNumber]) -> Result<usize> {
    let mut count = 0;
    for chunk in rows.chunks(CHUNK) {
        count += each!(db, |c| diesel::insert_into(numbers::table)
            .values(chunk)
            .on_conflict(numbers::number)
            .do_nothing()
            .execute(c))?;
    }
    Ok(count)
}

/// Takes retired numbers among these back, answers how many. They keep the time at which they were retired: until they
/// have aged they are suspended.
pub fn revive_numbers(db: &mut Db, rows: &[NewNumber]) -> Result<usize> {
    let mut count = 0;
    for chunk in rows.chunks(CHUNK) {
        let wanted: Vec<&E164> = chunk.iter().map(|row| &row.number).collect();
        let retired: Vec<E164> = each!(db, |c| numbers::table
            .filter(numbers::number.eq_any(&wanted))
            .filter(numbers::state.eq(NumberState::Retired.as_str()))
            .select(numbers::number)
            .load(c))?;
        for row in chunk.iter().filter(|row| retired.contains(&row.number)) {
            count += each!(db, |c| diesel::update(numbers::table)
                .filter(numbers::number.eq(&row.number))
                .set((
                    numbers::state.eq(NumberState::Suspended.as_str()),
                    numbers::carrier_id.eq(&row.carrier_id),
                    numbers::capabilities.eq(row.capabilities),
                ))
                .execute(c))?;
        }
    }
    Ok(count)
}

/// Lets numbers be given again that came back and were retired before `before`; answers how many.
pub fn end_ageing(db: &mut Db, before: Timestamp) -> Result<usize> {
    Ok(each!(db, |c| diesel::update(numbers::table)
        .filter(numbers::state.eq(NumberState::Suspended.as_str()))
        .filter(numbers::retired_at.le(before))
        .set((numbers::state.eq(NumberState::Available.as_str()), numbers::retired_at.eq(None::<Timestamp>),))
        .execute(c))?)
}

/// Inserts assignments of one account; a pair that somebody took meanwhile is left alone. Answers how many are new.
pub fn insert_assignments(db: &mut Db, rows: &[NewAssignment]) -> Result<usize> {
    let mut count = 0;
    for chunk in rows.chunks(CHUNK) {
        count += match db.conn() {
            Conn::Sqlite(c) => {
                diesel::insert_into(assignments::table).values(chunk).on_conflict_do_nothing().execute(c)?
            }
            Conn::Pg(c) => InsertBatch::of(chunk).execute(c)?,
        };
    }
    Ok(count)
}

/// Assignments as columns: one statement that is prepared once, whatever the number of rows.
#[derive(QueryId)]
struct InsertBatch {
    accounts: Vec<Vec<u8>>,
    ids: Vec<Vec<u8>>,
    numbers: Vec<Vec<u8>>,
    contacts: Vec<Vec<u8>>,
    states: Vec<&'static str>,
    times: Vec<i64>,
}

impl InsertBatch {
    fn of(rows: &[NewAssignment]) -> InsertBatch {
        InsertBatch {
            accounts: rows.iter().map(|row| row.account_id.as_bytes().to_vec()).collect(),
            ids: rows.iter().map(|row| row.id.as_bytes().to_vec()).collect(),
            numbers: rows.iter().map(|row| row.number_id.as_bytes().to_vec()).collect(),
            contacts: rows.iter().map(|row| row.contact_id.as_bytes().to_vec()).collect(),
            states: rows.iter().map(|row| row.state).collect(),
            times: rows.iter().map(|row| row.assigned_at.0).collect(),
        }
    }
}

impl QueryFragment<Pg> for InsertBatch {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "INSERT INTO assignments (account_id, id, number_id, contact_id, state, assigned_at) SELECT * FROM unnest(",
        );
        for column in [&self.accounts, &self.ids, &self.numbers, &self.contacts] {
            out.push_bind_param::<Array<Binary>, _>(column)?;
            out.push_sql(", ");
        }
        out.push_bind_param::<Array<Text>, _>(&self.states)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.times)?;
        out.push_sql(") ON CONFLICT DO NOTHING");
        Ok(())
    }
}

impl<C> RunQueryDsl<C> for InsertBatch {}

pub fn reactivate(db: &mut Db, account: AccountId, ids: &[AssignmentId], now: Timestamp) -> Result<()> {
    for chunk in ids.chunks(CHUNK) {
        each!(db, |c| diesel::update(assignments::table)
            .filter(assignments::account_id.eq(account))
            .filter(assignments::id.eq_any(chunk))
            .set((
                assignments::state.eq("active"),
                assignments::assigned_at.eq(now),
                assignments::released_at.eq(None::<Timestamp>),
                assignments::rests_until.eq(None::<Timestamp>),
            ))
            .execute(c))?;
    }
    Ok(())
}

pub fn rest(
    db: &mut Db,
    account: AccountId,
    contacts: &[ContactId],
    now: Timestamp,
    until: Timestamp,
) -> Result<usize> {
    let mut count = 0;
    for chunk in contacts.chunks(CHUNK) {
        count += each!(db, |c| diesel::update(assignments::table)
            .filter(assignments::account_id.eq(account))
            .filter(assignments::contact_id.eq_any(chunk))
            .filter(assignments::state.eq("active"))
            .set((
                assignments::state.eq("resting"),
                assignments::released_at.eq(now),
                assignments::rests_until.eq(until),
            ))
            .execute(c))?;
    }
    Ok(count)
}

/// The state is written out: a partial index is of use only to a statement that says for itself which part it wants.
pub fn list_rested(db: &mut Db, now: Timestamp, limit: i64) -> Result<Vec<Rested>> {
    Ok(each!(db, |c| assignments::table
        .filter(diesel::dsl::sql::<diesel::sql_types::Bool>("assignments.state = 'resting'"))
        .filter(assignments::rests_until.le(now))
        .select(
            (assignments::account_id, assignments::id, assignments::contact_id, assignments::released_at,)
        )
        .limit(limit)
        .load(c))?)
}

pub fn rest_longer(db: &mut Db, account: AccountId, id: AssignmentId, until: Timestamp) -> Result<()> {
    each!(db, |c| diesel::update(assignments::table)
        .filter(assignments::account_id.eq(account))
        .filter(assignments::id.eq(id))
        .filter(assignments::state.eq("resting"))
        .set(assignments::rests_until.eq(until))
        .execute(c))?;
    Ok(())
}

pub fn set_past(db: &mut Db, account: AccountId, ids: &[AssignmentId]) -> Result<()> {
    for chunk in ids.chunks(CHUNK) {
        each!(db, |c| diesel::update(assignments::table)
            .filter(assignments::account_id.eq(account))
            .filter(assignments::id.eq_any(chunk))
            .set(assignments::state.eq("past"))
            .execute(c))?;
    }
    Ok(())
}

/// Read through as a whole: an index by number would cost every assignment a page of its own, and who holds a number is
/// asked only when it is taken out of service.
pub fn list_holders(db: &mut Db, number: NumberId) -> Result<Vec<(AccountId, AssignmentId, ContactId)>> {
    Ok(each!(db, |c| assignments::table
        .filter(assignments::number_id.eq(number))
        .filter(diesel::dsl::sql::<diesel::sql_types::Bool>(
            "assignments.state <> 'past' AND assignments.state = 'active'"
        ))
        .select((assignments::account_id, assignments::id, assignments::contact_id))
        .load(c))?)
}

pub fn set_state(db: &mut Db, number: NumberId, state: NumberState, now: Timestamp) -> Result<()> {
    let retired_at = (state == NumberState::Retired).then_some(now);
    each!(db, |c| diesel::update(numbers::table)
        .filter(numbers::id.eq(number))
        .set((numbers::state.eq(state.as_str()), numbers::retired_at.eq(retired_at)))
        .execute(c))?;
    Ok(())
}

pub fn list_numbers_of(
    db: &mut Db,
    account: AccountId,
    contacts: &[ContactId],
) -> Result<Vec<(ContactId, NumberId, E164)>> {
    let mut found = Vec::with_capacity(contacts.len());
    for chunk in contacts.chunks(CHUNK) {
        let rows: Vec<(ContactId, NumberId, E164)> = each!(db, |c| assignments::table
            .inner_join(numbers::table.on(numbers::id.eq(assignments::number_id)))
            .filter(assignments::account_id.eq(account))
            .filter(assignments::contact_id.eq_any(chunk))
            .filter(diesel::dsl::sql::<diesel::sql_types::Bool>("assignments.state = 'active'"))
            .select((assignments::contact_id, numbers::id, numbers::number))
            .load(c))?;
        found.extend(rows);
    }
    Ok(found)
}

pub fn counts(db: &mut Db) -> Result<Vec<(String, String, i64)>> {
    Ok(each!(db, |c| numbers::table
        .group_by((numbers::region, numbers::state))
        .select((numbers::region, numbers::state, diesel::dsl::count_star()))
        .load(c))?)
}

/// The account with the most pairs in use or at rest: what the pool must suffice for.
pub fn largest_holding(db: &mut Db) -> Result<i64> {
    let counts: Vec<i64> = each!(db, |c| assignments::table
        .filter(assignments::state.ne("past"))
        .group_by(assignments::account_id)
        .select(diesel::dsl::count_star())
        .order(diesel::dsl::count_star().desc())
        .limit(1)
        .load(c))?;
    Ok(counts.into_iter().next().unwrap_or(0))
}

pub fn largest_holder(db: &mut Db) -> Result<Option<AccountId>> {
    Ok(each!(db, |c| assignments::table
        .filter(assignments::state.ne("past"))
        .group_by(assignments::account_id)
        .select(assignments::account_id)
        .order(diesel::dsl::count_star().desc())
        .first(c)
        .optional())?)
}

/// What an account holds, or held at some time since, by region.
pub fn list_held(db: &mut Db, account: AccountId, since: Timestamp) -> Result<Vec<(String, Held)>> {
    type Row = (String, String, Timestamp, Option<Timestamp>, Option<Timestamp>);
    let rows: Vec<Row> = each!(db, |c| assignments::table
        .inner_join(numbers::table.on(numbers::id.eq(assignments::number_id)))
        .filter(assignments::account_id.eq(account))
        .filter(assignments::state.ne("past").or(assignments::rests_until.ge(since)))
        .select((
            numbers::region,
            assignments::state,
            assignments::assigned_at,
            assignments::released_at,
            assignments::rests_until,
        ))
        .load(c))?;
    let held = |(region, state, from, released, rests): Row| {
        let until = if state == "past" { rests.or(released) } else { None };
        (region, Held { from, until })
    };
    Ok(rows.into_iter().map(held).collect())
}

pub fn erase(db: &mut Db, account: AccountId) -> Result<()> {
    each!(db, |c| diesel::delete(assignments::table).filter(assignments::account_id.eq(account)).execute(c))?;
    Ok(())
}
