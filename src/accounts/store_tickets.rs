//! Every query of tickets (for setting up phones, and those that are good once) and of idempotency keys.

use diesel::prelude::*;

use crate::clock::Timestamp;
use crate::db::Db;
use crate::each;
use crate::error::Result;
use crate::ids::{AccountId, AppPasswordId};
use crate::schema::{idempotency_keys, setup_tickets, spent_tickets};

/// A row, but for the hash by which it is found.
pub(super) struct SetupTicket {
    pub account: AccountId,
    pub app_password: AppPasswordId,
    pub veiled: Vec<u8>,
    pub expires_at: Timestamp,
}

pub(super) fn insert_setup(db: &mut Db, hash: &[u8; 32], ticket: &SetupTicket) -> Result<()> {
    each!(db, |c| diesel::insert_into(setup_tickets::table)
        .values((
            setup_tickets::ticket_hash.eq(hash.as_slice()),
            setup_tickets::account_id.eq(ticket.account),
            setup_tickets::app_password_id.eq(ticket.app_password),
            setup_tickets::veiled.eq(&ticket.veiled),
            setup_tickets::use_count.eq(0),
            setup_tickets::expires_at.eq(ticket.expires_at),
        ))
        .execute(c))?;
    Ok(())
}

pub(super) fn is_good(db: &mut Db, now: Timestamp, hash: &[u8; 32], uses_max: i32) -> Result<bool> {
    let found: Option<Timestamp> = each!(db, |c| setup_tickets::table
        .filter(setup_tickets::ticket_hash.eq(hash.as_slice()))
        .filter(setup_tickets::expires_at.gt(now))
        .filter(setup_tickets::use_count.lt(uses_max))
        .select(setup_tickets::expires_at)
        .first(c)
        .optional())?;
    Ok(found.is_some())
}

/// Counts a use and answers the row, as long as it is good.
pub(super) fn use_setup(
    db: &mut Db,
    now: Timestamp,
    hash: &[u8; 32],
    uses_max: i32,
) -> Result<Option<SetupTicket>> {
    let row: Option<(AccountId, AppPasswordId, Vec<u8>, Timestamp)> =
        each!(db, |c| diesel::update(setup_tickets::table)
            .filter(setup_tickets::ticket_hash.eq(hash.as_slice()))
            .filter(setup_tickets::expires_at.gt(now))
            .filter(setup_tickets::use_count.lt(uses_max))
            .set(setup_tickets::use_count.eq(setup_tickets::use_count + 1))
            .returning((
                setup_tickets::account_id,
                setup_tickets::app_password_id,
                setup_tickets::veiled,
                setup_tickets::expires_at,
            ))
            .get_result(c)
            .optional())?;
    Ok(row.map(|(account, app_password, veiled, expires_at)| SetupTicket {
        account,
        app_password,
        veiled,
        expires_at,
    }))
}

pub(super) fn insert_spent(db: &mut Db, nonce: &[u8; 16], expires_at: Timestamp) -> Result<bool> {
    let rows = each!(db, |c| diesel::insert_into(spent_tickets::table)
        .values((spent_tickets::nonce.eq(nonce.as_slice()), spent_tickets::expires_at.eq(expires_at)))
        .on_conflict_do_nothing()
        .execute(c))?;
    Ok(rows == 1)
}

pub(super) fn delete_expired(db: &mut Db, now: Timestamp, rows: i64) -> Result<()> {
    let setups: Vec<Vec<u8>> = each!(db, |c| setup_tickets::table
        .filter(setup_tickets::expires_at.le(now))
        .select(setup_tickets::ticket_hash)
        .limit(rows)
        .load(c))?;
    each!(db, |c| diesel::delete(setup_tickets::table)
        .filter(setup_tickets::ticket_hash.eq_any(&setups))
        .execute(c))?;
    let spent: Vec<Vec<u8>> = each!(db, |c| spent_tickets::table
        .filter(spent_tickets::expires_at.le(now))
        .select(spent_tickets::nonce)
        .limit(rows)
        .load(c))?;
    each!(db, |c| diesel::delete(spent_tickets::table)
        .filter(spent_tickets::nonce.eq_any(&spent))
        .execute(c))?;
    Ok(())
}

/// All of an account's.
pub(super) fn delete_setups_of(db: &mut Db, account: AccountId) -> Result<()> {
    each!(db, |c| diesel::delete(setup_tickets::table)
        .filter(setup_tickets::account_id.eq(account))
        .execute(c))?;
    Ok(())
}

/// A key, and what was answered; status 0 as long as nothing was.
pub(super) struct KeyRow {
    pub request_hash: Vec<u8>,
    pub status: i16,
    pub body: String,
    pub at: Timestamp,
}

/// Answers whether the key is new.
pub(super) fn insert_key(
    db: &mut Db,
    account: AccountId,
    key: &str,
    request_hash: &[u8; 32],
    now: Timestamp,
) -> Result<bool> {
    let rows = each!(db, |c| diesel::insert_into(idempotency_keys::table)
        .values((
            idempotency_keys::account_id.eq(account),
            idempotency_keys::idempotency_key.eq(key),
            idempotency_keys::request_hash.eq(request_hash.as_slice()),
            idempotency_keys::status.eq(0i16),
            idempotency_keys::body.eq(""),
            idempotency_keys::at.eq(now),
        ))
        .on_conflict_do_nothing()
        .execute(c))?;
    Ok(rows == 1)
}

pub(super) fn find_key(db: &mut Db, account: AccountId, key: &str) -> Result<Option<KeyRow>> {
    let row: Option<(Vec<u8>, i16, String, Timestamp)> = each!(db, |c| idempotency_keys::table
        .filter(idempotency_keys::account_id.eq(account))
        .filter(idempotency_keys::idempotency_key.eq(key))
        .select((
            idempotency_keys::request_hash,
            idempotency_keys::status,
            idempotency_keys::body,
            idempotency_keys::at,
        ))
        .first(c)
        .optional())?;
    Ok(row.map(|(request_hash, status, body, at)| KeyRow { request_hash, status, body, at }))
}

/// Takes a key from a request that died; answers whether nobody else did.
pub(super) fn take_key_over(
    db: &mut Db,
    account: AccountId,
    key: &str,
    before: Timestamp,
    now: Timestamp,
) -> Result<bool> {
    let rows = each!(db, |c| diesel::update(idempotency_keys::table)
        .filter(idempotency_keys::account_id.eq(account))
        .filter(idempotency_keys::idempotency_key.eq(key))
        .filter(idempotency_keys::status.eq(0i16))
        .filter(idempotency_keys::at.eq(before))
        .set(idempotency_keys::at.eq(now))
        .execute(c))?;
    Ok(rows == 1)
}

pub(super) fn keep_answer(db: &mut Db, account: AccountId, key: &str, status: i16, body: &str) -> Result<()> {
    each!(db, |c| diesel::update(idempotency_keys::table)
        .filter(idempotency_keys::account_id.eq(account))
        .filter(idempotency_keys::idempotency_key.eq(key))
        .set((idempotency_keys::status.eq(status), idempotency_keys::body.eq(body)))
        .execute(c))?;
    Ok(())
}

pub(super) fn free_key(db: &mut Db, account: AccountId, key: &str) -> Result<()> {
    each!(db, |c| diesel::delete(idempotency_keys::table)
        .filter(idempotency_keys::account_id.eq(account))
        .filter(idempotency_keys::idempotency_key.eq(key))
        .execute(c))?;
    Ok(())
}

pub(super) fn forget_key_before(db: &mut Db, account: AccountId, key: &str, before: Timestamp) -> Result<()> {
    each!(db, |c| diesel::delete(idempotency_keys::table)
        .filter(idempotency_keys::account_id.eq(account))
        .filter(idempotency_keys::idempotency_key.eq(key))
        .filter(idempotency_keys::at.lt(before))
        .execute(c))?;
    Ok(())
}

pub(super) fn delete_keys_before(db: &mut Db, before: Timestamp, rows: i64) -> Result<usize> {
    let old: Vec<(AccountId, String)> = each!(db, |c| idempotency_keys::table
        .filter(idempotency_keys::at.lt(before))
        .select((idempotency_keys::account_id, idempotency_keys::idempotency_key))
        .limit(rows)
        .load(c))?;
    for (account, key) in &old {
        forget_key_before(db, *account, key, before)?;
    }
    Ok(old.len())
}
