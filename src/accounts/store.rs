//! Every query of the tables of accounts, sessions, app passwords and limits; handsets and e-mails are in
//! `store_proofs.rs`.

use diesel::prelude::*;

use super::limits::Counter;
use super::session::Session;
use super::{Account, AppPassword, Photo, QuietHours};
use crate::clock::Timestamp;
use crate::db::{Db, OnConflict};
use crate::each;
use crate::error::{Error, Result};
use crate::ids::{AccountId, AppPasswordId, SessionId};
use crate::schema::{account_counters, account_events, account_photos, accounts, app_passwords};
use crate::schema::{emails, handsets, idempotency_keys, rate_limits, sessions};
use crate::texts::Locale;

type AccountRow = (AccountId, String, String, String, String, Option<i16>, Option<i16>, bool, Timestamp);

fn to_account(row: AccountRow) -> Account {
    let (id, handle, display_name, locale, time_zone, from, to, admin, created_at) = row;
    // We only ever store languages we speak; one of a newer version falls back to the default.
    let locale = Locale::parse(&locale).unwrap_or_default();
    let quiet_hours = from.zip(to).map(|(from, to)| QuietHours::from_minutes(from, to));
    Account { id, handle, display_name, locale, time_zone, quiet_hours, admin, created_at }
}

macro_rules! account_columns {
    () => {
        (
            accounts::id,
            accounts::handle,
            accounts::display_name,
            accounts::locale,
            accounts::time_zone,
            accounts::quiet_from,
            accounts::quiet_to,
            accounts::admin,
            accounts::created_at,
        )
    };
}

pub(super) fn insert_account(db: &mut Db, account: &Account, password_hash: &str) -> Result<()> {
    let quiet = account.quiet_hours;
    each!(db, |c| diesel::insert_into(accounts::table)
        .values((
            accounts::id.eq(account.id),
            accounts::handle.eq(&account.handle),
            accounts::display_name.eq(&account.display_name),
            accounts::password_hash.eq(password_hash),
            accounts::locale.eq(account.locale.as_str()),
            accounts::time_zone.eq(&account.time_zone),
            accounts::quiet_from.eq(quiet.map(|q| q.first_minute())),
            accounts::quiet_to.eq(quiet.map(|q| q.last_minute())),
            accounts::admin.eq(account.admin),
            accounts::created_at.eq(account.created_at),
        ))
        .execute(c)
        .on_unique_violation(|| Error::conflict("handle_taken", "This handle is taken.")))?;
    Ok(())
}

pub(super) fn find_account(db: &mut Db, id: AccountId) -> Result<Option<Account>> {
    let row: Option<AccountRow> = each!(db, |c| accounts::table
        .filter(accounts::id.eq(id))
        .select(account_columns!())
        .first(c)
        .optional())?;
    Ok(row.map(to_account))
}

pub(super) fn find_account_by_handle(db: &mut Db, handle: &str) -> Result<Option<Account>> {
    let row: Option<AccountRow> = each!(db, |c| accounts::table
        .filter(accounts::handle.eq(handle))
        .select(account_columns!())
        .first(c)
        .optional())?;
    Ok(row.map(to_account))
}

/// Accounts in the order of their ids.
pub(super) fn list_accounts(db: &mut Db, after: Option<AccountId>, limit: i64) -> Result<Vec<Account>> {
    let rows: Vec<AccountRow> = match after {
        Some(after) => each!(db, |c| accounts::table
            .filter(accounts::id.gt(after))
            .order(accounts::id.asc())
            .limit(limit)
            .select(account_columns!())
            .load(c))?,
        None => each!(db, |c| accounts::table
            .order(accounts::id.asc())
            .limit(limit)
            .select(account_columns!())
            .load(c))?,
    };
    Ok(rows.into_iter().map(to_account).collect())
}

pub(super) fn count_accounts(db: &mut Db) -> Result<i64> {
    Ok(each!(db, |c| accounts::table.count().get_result(c))?)
}

pub(super) fn find_account_id_by_email(db: &mut Db, address: &str) -> Result<Option<AccountId>> {
    Ok(each!(db, |c| emails::table
        .filter(emails::address.eq(address))
        .filter(diesel::dsl::sql::<diesel::sql_types::Bool>("emails.state = 'verified'"))
        .select(emails::account_id)
        .first(c)
        .optional())?)
}

pub(super) fn find_password_hash(db: &mut Db, id: AccountId) -> Result<Option<String>> {
    Ok(each!(db, |c| accounts::table
        .filter(accounts::id.eq(id))
        .select(accounts::password_hash)
        .first(c)
        .optional())?)
}

pub(super) fn update_password_hash(db: &mut Db, id: AccountId, hash: &str) -> Result<()> {
    each!(db, |c| diesel::update(accounts::table)
        .filter(accounts::id.eq(id))
        .set(accounts::password_hash.eq(hash))
        .execute(c))?;
    Ok(())
}

pub(super) fn update_account(db: &mut Db, account: &Account) -> Result<()> {
    let quiet = account.quiet_hours;
    let rows = each!(db, |c| diesel::update(accounts::table)
        .filter(accounts::id.eq(account.id))
        .set((
            accounts::display_name.eq(&account.display_name),
            accounts::locale.eq(account.locale.as_str()),
            accounts::time_zone.eq(&account.time_zone),
            accounts::quiet_from.eq(quiet.map(|q| q.first_minute())),
            accounts::quiet_to.eq(quiet.map(|q| q.last_minute())),
            accounts::admin.eq(account.admin),
        ))
        .execute(c))?;
    if rows == 0 { Err(Error::not_found("account")) } else { Ok(()) }
}

/// Every row of ours that names the account; the account itself last.
pub(super) fn delete_account(db: &mut Db, id: AccountId) -> Result<()> {
    each!(db, |c| diesel::delete(sessions::table).filter(sessions::account_id.eq(id)).execute(c))?;
    each!(db, |c| diesel::delete(app_passwords::table).filter(app_passwords::account_id.eq(id)).execute(c))?;
    each!(db, |c| diesel::delete(handsets::table).filter(handsets::account_id.eq(id)).execute(c))?;
    each!(db, |c| diesel::delete(emails::table).filter(emails::account_id.eq(id)).execute(c))?;
    each!(db, |c| diesel::delete(account_photos::table)
        .filter(account_photos::account_id.eq(id))
        .execute(c))?;
    each!(db, |c| diesel::delete(idempotency_keys::table)
        .filter(idempotency_keys::account_id.eq(id))
        .execute(c))?;
    each!(db, |c| diesel::delete(account_events::table)
        .filter(account_events::account_id.eq(id))
        .execute(c))?;
    each!(db, |c| diesel::delete(account_counters::table)
        .filter(account_counters::account_id.eq(id))
        .execute(c))?;
    let rows = each!(db, |c| diesel::delete(accounts::table).filter(accounts::id.eq(id)).execute(c))?;
    if rows == 0 { Err(Error::not_found("account")) } else { Ok(()) }
}

// Photos

pub(super) fn replace_photo(db: &mut Db, account: AccountId, photo: &Photo) -> Result<()> {
    each!(db, |c| diesel::insert_into(account_photos::table)
        .values((
            account_photos::account_id.eq(account),
            account_photos::content_type.eq(&photo.content_type),
            account_photos::body.eq(&photo.body),
            account_photos::updated_at.eq(photo.updated_at),
        ))
        .on_conflict(account_photos::account_id)
        .do_update()
        .set((
            account_photos::content_type.eq(&photo.content_type),
            account_photos::body.eq(&photo.body),
            account_photos::updated_at.eq(photo.updated_at),
        ))
        .execute(c))?;
    Ok(())
}

pub(super) fn find_photo(db: &mut Db, account: AccountId) -> Result<Option<Photo>> {
    let row: Option<(String, Vec<u8>, Timestamp)> = each!(db, |c| account_photos::table
        .filter(account_photos::account_id.eq(account))
        .select((account_photos::content_type, account_photos::body, account_photos::updated_at))
        .first(c)
        .optional())?;
    Ok(row.map(|(content_type, body, updated_at)| Photo { content_type, body, updated_at }))
}

pub(super) fn delete_photo(db: &mut Db, account: AccountId) -> Result<bool> {
    let rows = each!(db, |c| diesel::delete(account_photos::table)
        .filter(account_photos::account_id.eq(account))
        .execute(c))?;
    Ok(rows > 0)
}

// Sessions

type SessionRow = (SessionId, i32, Vec<u8>, String, Timestamp, Timestamp, Timestamp);

fn to_session(row: SessionRow) -> Session {
    let (id, generation, secret_hash, label, created_at, last_used_at, expires_at) = row;
    Session { id, generation, secret_hash, label, created_at, last_used_at, expires_at }
}

macro_rules! session_columns {
    () => {
        (
            sessions::id,
            sessions::generation,
            sessions::secret_hash,
            sessions::label,
            sessions::created_at,
            sessions::last_used_at,
            sessions::expires_at,
        )
    };
}

pub(super) fn insert_session(db: &mut Db, account: AccountId, session: &Session) -> Result<()> {
    each!(db, |c| diesel::insert_into(sessions::table)
        .values((
            sessions::account_id.eq(account),
            sessions::id.eq(session.id),
            sessions::generation.eq(session.generation),
            sessions::secret_hash.eq(&session.secret_hash),
            sessions::label.eq(&session.label),
            sessions::created_at.eq(session.created_at),
            sessions::last_used_at.eq(session.last_used_at),
            sessions::expires_at.eq(session.expires_at),
        ))
        .execute(c))?;
    Ok(())
}

pub(super) fn find_session(db: &mut Db, account: AccountId, id: SessionId) -> Result<Option<Session>> {
    let row: Option<SessionRow> = each!(db, |c| sessions::table
        .filter(sessions::account_id.eq(account))
        .filter(sessions::id.eq(id))
        .select(session_columns!())
        .first(c)
        .optional())?;
    Ok(row.map(to_session))
}

pub(super) fn has_session(db: &mut Db, account: AccountId) -> Result<bool> {
    let one: Option<i32> = each!(db, |c| sessions::table
        .filter(sessions::account_id.eq(account))
        .select(sessions::generation)
        .limit(1)
        .first(c)
        .optional())?;
    Ok(one.is_some())
}

/// Oldest first.
pub(super) fn list_sessions(db: &mut Db, account: AccountId) -> Result<Vec<Session>> {
    let rows: Vec<SessionRow> = each!(db, |c| sessions::table
        .filter(sessions::account_id.eq(account))
        .order(sessions::id.asc())
        .select(session_columns!())
        .load(c))?;
    Ok(rows.into_iter().map(to_session).collect())
}

/// Replaces the secret of generation `generation`; `false` when somebody else did so first.
pub(super) fn rotate_session(
    db: &mut Db,
    account: AccountId,
    generation: i32,
    next: &Session,
) -> Result<bool> {
    let rows = each!(db, |c| diesel::update(sessions::table)
        .filter(sessions::account_id.eq(account))
        .filter(sessions::id.eq(next.id))
        .filter(sessions::generation.eq(generation))
        .set((
            sessions::generation.eq(next.generation),
            sessions::secret_hash.eq(&next.secret_hash),
            sessions::last_used_at.eq(next.last_used_at),
            sessions::expires_at.eq(next.expires_at),
        ))
        .execute(c))?;
    Ok(rows > 0)
}

pub(super) fn delete_session(db: &mut Db, account: AccountId, id: SessionId) -> Result<bool> {
    let rows = each!(db, |c| diesel::delete(sessions::table)
        .filter(sessions::account_id.eq(account))
        .filter(sessions::id.eq(id))
        .execute(c))?;
    Ok(rows > 0)
}

pub(super) fn delete_other_sessions(db: &mut Db, account: AccountId, but: Option<SessionId>) -> Result<()> {
    match but {
        Some(but) => each!(db, |c| diesel::delete(sessions::table)
            .filter(sessions::account_id.eq(account))
            .filter(sessions::id.ne(but))
            .execute(c))?,
        None => each!(db, |c| diesel::delete(sessions::table)
            .filter(sessions::account_id.eq(account))
            .execute(c))?,
    };
    Ok(())
}

pub(super) fn delete_expired_sessions(db: &mut Db, now: Timestamp) -> Result<usize> {
    Ok(each!(db, |c| diesel::delete(sessions::table).filter(sessions::expires_at.lt(now)).execute(c))?)
}

// App passwords

type AppPasswordRow = (AppPasswordId, String, Option<String>, Timestamp, Option<Timestamp>);

fn to_app_password(row: AppPasswordRow) -> AppPassword {
    let (id, label, user_agent, created_at, last_used_at) = row;
    AppPassword { id, label, user_agent, created_at, last_used_at }
}

pub(super) fn insert_app_password(
    db: &mut Db,
    account: AccountId,
    password: &AppPassword,
    secret_hash: &[u8; 32],
) -> Result<()> {
    each!(db, |c| diesel::insert_into(app_passwords::table)
        .values((
            app_passwords::account_id.eq(account),
            app_passwords::id.eq(password.id),
            app_passwords::label.eq(&password.label),
            app_passwords::secret_hash.eq(secret_hash.as_slice()),
            app_passwords::created_at.eq(password.created_at),
        ))
        .execute(c))?;
    Ok(())
}

pub(super) fn list_app_passwords(db: &mut Db, account: AccountId) -> Result<Vec<AppPassword>> {
    let rows: Vec<AppPasswordRow> = each!(db, |c| app_passwords::table
        .filter(app_passwords::account_id.eq(account))
        .order(app_passwords::id.asc())
        .select((
            app_passwords::id,
            app_passwords::label,
            app_passwords::user_agent,
            app_passwords::created_at,
            app_passwords::last_used_at,
        ))
        .load(c))?;
    Ok(rows.into_iter().map(to_app_password).collect())
}

/// Account, app password, handle, and when it was last noted as used.
type AppPasswordOwner = (AccountId, AppPasswordId, String, Option<Timestamp>);

/// Whose app password this is.
pub(super) fn find_app_password_by_secret(
    db: &mut Db,
    secret_hash: &[u8; 32],
) -> Result<Option<AppPasswordOwner>> {
    Ok(each!(db, |c| app_passwords::table
        .inner_join(accounts::table.on(accounts::id.eq(app_passwords::account_id)))
        .filter(app_passwords::secret_hash.eq(secret_hash.as_slice()))
        .select((app_passwords::account_id, app_passwords::id, accounts::handle, app_passwords::last_used_at))
        .first(c)
        .optional())?)
}

pub(super) fn update_app_password_use(
    db: &mut Db,
    account: AccountId,
    id: AppPasswordId,
    now: Timestamp,
    user_agent: Option<&str>,
) -> Result<()> {
    each!(db, |c| diesel::update(app_passwords::table)
        .filter(app_passwords::account_id.eq(account))
        .filter(app_passwords::id.eq(id))
        .set((app_passwords::last_used_at.eq(now), app_passwords::user_agent.eq(user_agent)))
        .execute(c))?;
    Ok(())
}

pub(super) fn delete_app_password(db: &mut Db, account: AccountId, id: AppPasswordId) -> Result<bool> {
    let rows = each!(db, |c| diesel::delete(app_passwords::table)
        .filter(app_passwords::account_id.eq(account))
        .filter(app_passwords::id.eq(id))
        .execute(c))?;
    Ok(rows > 0)
}

// Limits

pub(super) fn find_counter(db: &mut Db, bucket: &str) -> Result<Option<Counter>> {
    let row: Option<(Timestamp, i64, i64)> = each!(db, |c| rate_limits::table
        .filter(rate_limits::bucket.eq(bucket))
        .select((rate_limits::window_at, rate_limits::count, rate_limits::previous_count))
        .first(c)
        .optional())?;
    Ok(row.map(|(window_at, count, previous_count)| Counter { window_at, count, previous_count }))
}

/// Stores `next` unless the row is no longer as `found` says; tells whether it was stored.
pub(super) fn replace_counter(
    db: &mut Db,
    bucket: &str,
    found: Option<Counter>,
    next: Counter,
) -> Result<bool> {
    let rows = match found {
        None => each!(db, |c| diesel::insert_into(rate_limits::table)
            .values((
                rate_limits::bucket.eq(bucket),
                rate_limits::window_at.eq(next.window_at),
                rate_limits::count.eq(next.count),
                rate_limits::previous_count.eq(next.previous_count),
            ))
            .on_conflict_do_nothing()
            .execute(c))?,
        Some(found) => each!(db, |c| diesel::update(rate_limits::table)
            .filter(rate_limits::bucket.eq(bucket))
            .filter(rate_limits::window_at.eq(found.window_at))
            .filter(rate_limits::count.eq(found.count))
            .set((
                rate_limits::window_at.eq(next.window_at),
                rate_limits::count.eq(next.count),
                rate_limits::previous_count.eq(next.previous_count),
            ))
            .execute(c))?,
    };
    Ok(rows > 0)
}

pub(super) fn delete_counters(db: &mut Db, before: Timestamp, rows: i64) -> Result<usize> {
    let old: Vec<String> = each!(db, |c| rate_limits::table
        .filter(rate_limits::window_at.lt(before))
        .select(rate_limits::bucket)
        .limit(rows)
        .load(c))?;
    Ok(each!(db, |c| diesel::delete(rate_limits::table)
        .filter(rate_limits::bucket.eq_any(&old))
        .filter(rate_limits::window_at.lt(before))
        .execute(c))?)
}
