//! Queries of `presence`, and what it must know of accounts, handsets and contacts.

use std::collections::HashMap;

use diesel::prelude::*;

use crate::clock::Timestamp;
use crate::db::{Conn, Db, Keep};
use crate::each;
use crate::error::Result;
use crate::ids::{AccountId, ContactId, HandsetId};
use crate::schema::{accounts, contacts, handsets, presence};

/// What is stored of somebody's presence.
#[derive(Debug, Clone, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = presence)]
#[diesel(treat_none_as_default_value = false)]
#[diesel(treat_none_as_null = true)]
pub struct Row {
    pub account_id: AccountId,
    pub state: String,
    pub note: Option<String>,
    /// When a client was last active.
    pub updated_at: Timestamp,
    /// Until when a client counts as connected.
    pub connected_until: Option<Timestamp>,
}

/// When somebody does not want to be disturbed.
#[derive(Debug, Clone, Queryable)]
pub struct Hours {
    pub account_id: AccountId,
    pub time_zone: String,
    /// Minutes of the day.
    pub from: Option<i16>,
    pub to: Option<i16>,
}

/// A verified mobile.
#[derive(Debug, Clone, Queryable)]
pub struct Handset {
    pub account_id: AccountId,
    pub id: HandsetId,
    pub last_heard_at: Option<Timestamp>,
    pub absent_since: Option<Timestamp>,
}

pub fn find(db: &mut Db, account: AccountId) -> Result<Option<Row>> {
    Ok(each!(db, |c| presence::table
        .filter(presence::account_id.eq(account))
        .select(Row::as_select())
        .first(c)
        .optional())?)
}

pub fn list(db: &mut Db, of: &[AccountId]) -> Result<HashMap<AccountId, Row>> {
    let rows: Vec<Row> = each!(db, |c| presence::table
        .filter(presence::account_id.eq_any(of))
        .select(Row::as_select())
        .load(c))?;
    Ok(rows.into_iter().map(|row| (row.account_id, row)).collect())
}

pub fn upsert(db: &mut Db, row: &Row) -> Result<()> {
    each!(db, |c| diesel::insert_into(presence::table)
        .values(row)
        .on_conflict(presence::account_id)
        .do_update()
        .set(row)
        .execute(c))?;
    Ok(())
}

/// Accounts that count as connected although they have not been touched in time.
pub fn list_expired(db: &mut Db, now: Timestamp, limit: i64) -> Result<Vec<AccountId>> {
    Ok(each!(db, |c| presence::table
        .filter(presence::connected_until.le(now))
        .order(presence::connected_until.asc())
        .limit(limit)
        .select(presence::account_id)
        .load(c))?)
}

/// Takes the connection of those that have not been touched in time; answers whose.
pub fn expire(db: &mut Db, now: Timestamp, accounts: &[AccountId]) -> Result<Vec<AccountId>> {
    Ok(each!(db, |c| diesel::update(presence::table)
        .filter(presence::account_id.eq_any(accounts))
        .filter(presence::connected_until.le(now))
        .set(presence::connected_until.eq(None::<Timestamp>))
        .returning(presence::account_id)
        .get_results(c))?)
}

pub fn delete(db: &mut Db, account: AccountId) -> Result<()> {
    each!(db, |c| diesel::delete(presence::table).filter(presence::account_id.eq(account)).execute(c))?;
    Ok(())
}

pub fn list_hours(db: &mut Db, of: &[AccountId]) -> Result<Vec<Hours>> {
    Ok(each!(db, |c| accounts::table
        .filter(accounts::id.eq_any(of))
        .select((accounts::id, accounts::time_zone, accounts::quiet_from, accounts::quiet_to))
        .load(c))?)
}

pub fn list_handsets(db: &mut Db, of: &[AccountId]) -> Result<Vec<Handset>> {
    Ok(each!(db, |c| handsets::table
        .filter(handsets::account_id.eq_any(of))
        .filter(handsets::state.eq("verified"))
        .select((handsets::account_id, handsets::id, handsets::last_heard_at, handsets::absent_since))
        .load(c))?)
}

/// Of these handsets, those of which something new is known when they are heard from now: not heard from since
/// `stale`, or absent.
pub fn list_unheard(
    db: &mut Db,
    of: &[AccountId],
    handsets: &[HandsetId],
    stale: Timestamp,
) -> Result<Vec<Handset>> {
    Ok(each!(db, |c| handsets::table
        .filter(handsets::account_id.eq_any(of))
        .filter(handsets::id.eq_any(handsets))
        .filter(
            handsets::last_heard_at
                .is_null()
                .or(handsets::last_heard_at.lt(stale))
                .or(handsets::absent_since.is_not_null()),
        )
        .select((handsets::account_id, handsets::id, handsets::last_heard_at, handsets::absent_since))
        .load(c))?)
}

pub fn set_heard(db: &mut Db, of: &[AccountId], ids: &[HandsetId], now: Timestamp) -> Result<()> {
    macro_rules! query {
        () => {
            diesel::update(handsets::table)
                .filter(handsets::account_id.eq_any(of))
                .filter(handsets::id.eq_any(ids))
                .set((handsets::last_heard_at.eq(now), handsets::absent_since.eq(None::<Timestamp>)))
        };
    }
    match db.conn() {
        Conn::Sqlite(c) => query!().execute(c)?,
        // A list is one value there.
        Conn::Pg(c) => query!().kept().execute(c)?,
    };
    Ok(())
}

/// Answers whether it was not known yet.
pub fn set_absent(db: &mut Db, account: AccountId, id: HandsetId, now: Timestamp) -> Result<bool> {
    let changed = each!(db, |c| diesel::update(handsets::table)
        .filter(handsets::account_id.eq(account))
        .filter(handsets::id.eq(id))
        .filter(handsets::absent_since.is_null())
        .set(handsets::absent_since.eq(now))
        .execute(c))?;
    Ok(changed > 0)
}

/// Answers whether it was absent.
pub fn set_present(db: &mut Db, account: AccountId, id: HandsetId) -> Result<bool> {
    let changed = each!(db, |c| diesel::update(handsets::table)
        .filter(handsets::account_id.eq(account))
        .filter(handsets::id.eq(id))
        .filter(handsets::absent_since.is_not_null())
        .set(handsets::absent_since.eq(None::<Timestamp>))
        .execute(c))?;
    Ok(changed > 0)
}

/// Friends with a client connected now, and as which contact they see the account.
pub fn list_watchers(
    db: &mut Db,
    account: AccountId,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<(AccountId, ContactId)>> {
    Ok(each!(db, |c| contacts::table
        .inner_join(presence::table.on(presence::account_id.eq(contacts::account_id)))
        .filter(contacts::peer_account_id.eq(account))
        .filter(contacts::state.eq("accepted"))
        .filter(presence::connected_until.gt(now))
        .order(contacts::account_id.asc())
        .limit(limit)
        .select((contacts::account_id, contacts::id))
        .load(c))?)
}

/// The account's accepted contacts among these that live here.
pub fn list_peers(db: &mut Db, account: AccountId, ids: &[ContactId]) -> Result<Vec<(ContactId, AccountId)>> {
    let rows: Vec<(ContactId, Option<AccountId>)> = each!(db, |c| contacts::table
        .filter(contacts::account_id.eq(account))
        .filter(contacts::id.eq_any(ids))
        .filter(contacts::state.eq("accepted"))
        .filter(contacts::peer_account_id.is_not_null())
        .select((contacts::id, contacts::peer_account_id))
        .load(c))?;
    Ok(rows.into_iter().filter_map(|(id, peer)| peer.map(|peer| (id, peer))).collect())
}

/// Which of `others` have blocked the account.
pub fn list_blockers(db: &mut Db, account: AccountId, others: &[AccountId]) -> Result<Vec<AccountId>> {
    Ok(each!(db, |c| contacts::table
        .filter(contacts::account_id.eq_any(others))
        .filter(contacts::peer_account_id.eq(account))
        .filter(contacts::state.eq("blocked"))
        .select(contacts::account_id)
        .load(c))?)
}

/// Whom the account has blocked.
pub fn list_blocked(db: &mut Db, account: AccountId, others: &[AccountId]) -> Result<Vec<AccountId>> {
    let rows: Vec<Option<AccountId>> = each!(db, |c| contacts::table
        .filter(contacts::account_id.eq(account))
        .filter(contacts::peer_account_id.eq_any(others))
        .filter(contacts::state.eq("blocked"))
        .select(contacts::peer_account_id)
        .load(c))?;
    Ok(rows.into_iter().flatten().collect())
}
