//! Every query of what an account proves: handsets and e-mail addresses.

use diesel::prelude::*;

use super::emails::Email;
use super::mobiles::Mobile;
use super::proofs::{Pending, ProofState, busy};
use crate::clock::Timestamp;
use crate::db::{Db, OnConflict};
use crate::each;
use crate::error::Result;
use crate::ids::{AccountId, EmailId, HandsetId};
use crate::phone::E164;
use crate::schema::{emails, handsets};

pub(super) fn list_mobiles(db: &mut Db, account: AccountId) -> Result<Vec<Mobile>> {
    let rows: Vec<(HandsetId, E164, String)> = each!(db, |c| handsets::table
        .filter(handsets::account_id.eq(account))
        .order(handsets::id.asc())
        .select((handsets::id, handsets::number, handsets::state))
        .load(c))?;
    let to_mobile = |(id, number, state): (HandsetId, E164, String)| Mobile {
        id,
        number,
        state: ProofState::from_stored(&state),
    };
    Ok(rows.into_iter().map(to_mobile).collect())
}

pub(super) fn insert_mobile(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    id: HandsetId,
    number: &E164,
) -> Result<()> {
    each!(db, |c| diesel::insert_into(handsets::table)
        .values((
            handsets::account_id.eq(account),
            handsets::id.eq(id),
            handsets::number.eq(number),
            handsets::region.eq(number.region()),
            handsets::state.eq(ProofState::Pending.as_str()),
            handsets::code_attempts.eq(0),
            handsets::created_at.eq(now),
        ))
        .execute(c))?;
    Ok(())
}

pub(super) fn set_mobile_code(
    db: &mut Db,
    account: AccountId,
    id: HandsetId,
    (code_hash, word_hash): &([u8; 32], [u8; 32]),
    expires_at: Timestamp,
) -> Result<()> {
    each!(db, |c| diesel::update(handsets::table)
        .filter(handsets::account_id.eq(account))
        .filter(handsets::id.eq(id))
        .set((
            handsets::code_hash.eq(code_hash.as_slice()),
            handsets::text_hash.eq(word_hash.as_slice()),
            handsets::code_expires_at.eq(expires_at),
            handsets::code_attempts.eq(0),
        ))
        .execute(c))?;
    Ok(())
}

pub(super) fn find_mobile_code(db: &mut Db, account: AccountId, id: HandsetId) -> Result<Option<Pending>> {
    let row: Option<(Option<Vec<u8>>, Option<Timestamp>, i32)> = each!(db, |c| handsets::table
        .filter(handsets::account_id.eq(account))
        .filter(handsets::id.eq(id))
        .select((handsets::code_hash, handsets::code_expires_at, handsets::code_attempts))
        .first(c)
        .optional())?;
    Ok(row.map(|(hash, expires_at, attempts)| Pending { hash, expires_at, attempts }))
}

pub(super) fn count_mobile_attempt(db: &mut Db, account: AccountId, id: HandsetId) -> Result<()> {
    each!(db, |c| diesel::update(handsets::table)
        .filter(handsets::account_id.eq(account))
        .filter(handsets::id.eq(id))
        .set(handsets::code_attempts.eq(handsets::code_attempts + 1))
        .execute(c))?;
    Ok(())
}

/// Who holds the number verified.
pub(super) fn find_mobile_holder(db: &mut Db, number: &E164) -> Result<Option<(AccountId, HandsetId)>> {
    Ok(each!(db, |c| handsets::table
        .filter(handsets::number.eq(number))
        .filter(diesel::dsl::sql::<diesel::sql_types::Bool>("handsets.state = 'verified'"))
        .select((handsets::account_id, handsets::id))
        .first(c)
        .optional())?)
}

pub(super) fn verify_mobile(db: &mut Db, now: Timestamp, account: AccountId, id: HandsetId) -> Result<()> {
    each!(db, |c| diesel::update(handsets::table)
        .filter(handsets::account_id.eq(account))
        .filter(handsets::id.eq(id))
        .set((
            handsets::state.eq(ProofState::Verified.as_str()),
            handsets::verified_at.eq(now),
            handsets::code_hash.eq(None::<Vec<u8>>),
            handsets::text_hash.eq(None::<Vec<u8>>),
            handsets::code_expires_at.eq(None::<Timestamp>),
        ))
        .execute(c)
        .on_unique_violation(busy))?;
    Ok(())
}

pub(super) fn delete_mobile(db: &mut Db, account: AccountId, id: HandsetId) -> Result<bool> {
    let gone = each!(db, |c| diesel::delete(handsets::table)
        .filter(handsets::account_id.eq(account))
        .filter(handsets::id.eq(id))
        .execute(c))?;
    Ok(gone > 0)
}

pub(super) fn list_emails(db: &mut Db, account: AccountId) -> Result<Vec<Email>> {
    let rows: Vec<(EmailId, String, String, bool)> = each!(db, |c| emails::table
        .filter(emails::account_id.eq(account))
        .order(emails::id.asc())
        .select((emails::id, emails::address, emails::state, emails::is_findable))
        .load(c))?;
    let to_email = |(id, address, state, findable): (EmailId, String, String, bool)| Email {
        id,
        address,
        state: ProofState::from_stored(&state),
        findable,
    };
    Ok(rows.into_iter().map(to_email).collect())
}

pub(super) fn insert_email(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    id: EmailId,
    address: &str,
) -> Result<()> {
    each!(db, |c| diesel::insert_into(emails::table)
        .values((
            emails::account_id.eq(account),
            emails::id.eq(id),
            emails::address.eq(address),
            emails::state.eq(ProofState::Pending.as_str()),
            emails::code_attempts.eq(0),
            emails::created_at.eq(now),
        ))
        .execute(c))?;
    Ok(())
}

pub(super) fn set_email_code(
    db: &mut Db,
    account: AccountId,
    id: EmailId,
    hash: &[u8; 32],
    expires_at: Timestamp,
) -> Result<()> {
    each!(db, |c| diesel::update(emails::table)
        .filter(emails::account_id.eq(account))
        .filter(emails::id.eq(id))
        .set((
            emails::code_hash.eq(hash.as_slice()),
            emails::code_expires_at.eq(expires_at),
            emails::code_attempts.eq(0),
        ))
        .execute(c))?;
    Ok(())
}

pub(super) fn find_email_code(db: &mut Db, account: AccountId, id: EmailId) -> Result<Option<Pending>> {
    let row: Option<(Option<Vec<u8>>, Option<Timestamp>, i32)> = each!(db, |c| emails::table
        .filter(emails::account_id.eq(account))
        .filter(emails::id.eq(id))
        .select((emails::code_hash, emails::code_expires_at, emails::code_attempts))
        .first(c)
        .optional())?;
    Ok(row.map(|(hash, expires_at, attempts)| Pending { hash, expires_at, attempts }))
}

pub(super) fn count_email_attempt(db: &mut Db, account: AccountId, id: EmailId) -> Result<()> {
    each!(db, |c| diesel::update(emails::table)
        .filter(emails::account_id.eq(account))
        .filter(emails::id.eq(id))
        .set(emails::code_attempts.eq(emails::code_attempts + 1))
        .execute(c))?;
    Ok(())
}

/// Who holds the address verified.
pub(super) fn find_email_holder(db: &mut Db, address: &str) -> Result<Option<(AccountId, EmailId)>> {
    Ok(each!(db, |c| emails::table
        .filter(emails::address.eq(address))
        .filter(diesel::dsl::sql::<diesel::sql_types::Bool>("emails.state = 'verified'"))
        .select((emails::account_id, emails::id))
        .first(c)
        .optional())?)
}

/// The address, who holds it verified, and whether he may be found by it.
pub(super) fn list_email_holders(
    db: &mut Db,
    addresses: &[String],
) -> Result<Vec<(String, AccountId, bool)>> {
    Ok(each!(db, |c| emails::table
        .filter(emails::address.eq_any(addresses))
        .filter(diesel::dsl::sql::<diesel::sql_types::Bool>("emails.state = 'verified'"))
        .select((emails::address, emails::account_id, emails::is_findable))
        .load(c))?)
}

pub(super) fn set_email_findable(db: &mut Db, account: AccountId, id: EmailId, findable: bool) -> Result<()> {
    each!(db, |c| diesel::update(emails::table)
        .filter(emails::account_id.eq(account))
        .filter(emails::id.eq(id))
        .set(emails::is_findable.eq(findable))
        .execute(c))?;
    Ok(())
}

pub(super) fn verify_email(db: &mut Db, now: Timestamp, account: AccountId, id: EmailId) -> Result<()> {
    each!(db, |c| diesel::update(emails::table)
        .filter(emails::account_id.eq(account))
        .filter(emails::id.eq(id))
        .set((
            emails::state.eq(ProofState::Verified.as_str()),
            emails::verified_at.eq(now),
            emails::code_hash.eq(None::<Vec<u8>>),
            emails::code_expires_at.eq(None::<Timestamp>),
        ))
        .execute(c)
        .on_unique_violation(busy))?;
    Ok(())
}

pub(super) fn delete_email(db: &mut Db, account: AccountId, id: EmailId) -> Result<bool> {
    let gone = each!(db, |c| diesel::delete(emails::table)
        .filter(emails::account_id.eq(account))
        .filter(emails::id.eq(id))
        .execute(c))?;
    Ok(gone > 0)
}

/// The pending mobile of this number whose word has this hash.
pub(super) fn find_mobile_by_word(
    db: &mut Db,
    now: Timestamp,
    hash: &[u8; 32],
    number: &E164,
) -> Result<Option<(AccountId, Mobile)>> {
    let row: Option<(AccountId, HandsetId)> = each!(db, |c| handsets::table
        .filter(handsets::text_hash.eq(hash.as_slice()))
        .filter(handsets::number.eq(number))
        .filter(handsets::state.eq(ProofState::Pending.as_str()))
        .filter(handsets::code_expires_at.gt(now))
        .select((handsets::account_id, handsets::id))
        .first(c)
        .optional())?;
    let to_mobile = |id| Mobile { id, number: number.clone(), state: ProofState::Pending };
    Ok(row.map(|(account, id)| (account, to_mobile(id))))
}
