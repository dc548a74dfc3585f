//! The PIN by which somebody proves on the telephone who he is: in a call from a phone that hides its number, or when a
//! text does not come the way his texts always do. It is set with the settings of calls.

use std::time::Duration;

use diesel::prelude::*;

use super::limits::{self, Limit};
use crate::clock::Timestamp;
use crate::db::Db;
use crate::each;
use crate::error::Result;
use crate::ids::AccountId;
use crate::keys::{Keys, Purpose, same};
use crate::schema::call_settings;

/// Guesses at PINs of one account: a phone in the hand of somebody else tries a few, a machine thousands.
const GUESSES: Limit =
    Limit { name: "call_pins", code: "too_many_attempts", max: 5, window: Duration::from_secs(3_600) };

/// What is stored in place of a PIN.
pub fn hash(keys: &Keys, account: AccountId, pin: &str) -> Vec<u8> {
    let mut text = account.as_bytes().to_vec();
    text.extend_from_slice(pin.as_bytes());
    keys.hash(Purpose::Verification, &text).to_vec()
}

fn find(db: &mut Db, account: AccountId) -> Result<Option<Vec<u8>>> {
    let found: Option<Option<Vec<u8>>> = each!(db, |c| call_settings::table
        .filter(call_settings::account_id.eq(account))
        .select(call_settings::pin_hash)
        .first(c)
        .optional())?;
    Ok(found.flatten())
}

/// Whether the account has a PIN.
pub fn is_set(db: &mut Db, account: AccountId) -> Result<bool> {
    Ok(find(db, account)?.is_some())
}

/// Whether a PIN is the account's. Every guess counts; after too many none is good.
pub fn check(db: &mut Db, now: Timestamp, keys: &Keys, account: AccountId, pin: &str) -> Result<bool> {
    if limits::try_take(db, now, &GUESSES, &account.to_string())?.is_some() {
        return Ok(false);
    }
    let wanted = find(db, account)?;
    Ok(wanted.is_some_and(|wanted| same(&wanted, &hash(keys, account, pin))))
}
