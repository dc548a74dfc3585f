//! Tickets for setting up phones: what an app password's links carry in place of the password.
//!
//! The password is shown once and stored nowhere but as a hash. What a phone needs for its set-up waits for ten minutes
//! and a few uses, veiled by the ticket itself, of which only a hash is kept: neither the table nor, afterwards, a log
//! with the link opens anything. Any node can open it.

use std::time::Duration;

use super::{store, store_tickets};
use crate::clock::Timestamp;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::ids::{AccountId, AppPasswordId};
use crate::keys::{Keys, Purpose, random_token};

/// How long a ticket is good.
pub const LIFETIME: Duration = Duration::from_secs(600);
/// How often a ticket shows the password: phones load a profile twice, and people tap twice.
const USES_MAX: i32 = 6;

/// What a ticket opens.
#[derive(Clone)]
pub struct Opened {
    /// Whose phone it is.
    pub account: AccountId,
    /// Which app password.
    pub app_password: AppPasswordId,
    /// The app password itself.
    pub password: String,
}

/// Keeps an app password that was just made and answers the word that opens it.
pub fn issue(db: &mut Db, now: Timestamp, keys: &Keys, made: &Opened) -> Result<String> {
    let word = random_token();
    let mut veiled = made.password.clone().into_bytes();
    keys.veil(word.as_bytes(), &mut veiled);
    let row = store_tickets::SetupTicket {
        account: made.account,
        app_password: made.app_password,
        veiled,
        expires_at: now.plus(LIFETIME),
    };
    store_tickets::insert_setup(db, &hash(keys, &word), &row)?;
    Ok(word)
}

/// Whether the word opens something; counts as no use.
pub fn check(db: &mut Db, now: Timestamp, keys: &Keys, word: &str) -> Result<()> {
    if store_tickets::is_good(db, now, &hash(keys, word), USES_MAX)? { Ok(()) } else { Err(over()) }
}

/// What the word opens; counts as a use. Nothing any more once the app password is deleted.
pub fn open(db: &mut Db, now: Timestamp, keys: &Keys, word: &str) -> Result<Opened> {
    let row = store_tickets::use_setup(db, now, &hash(keys, word), USES_MAX)?.ok_or_else(over)?;
    if !store::list_app_passwords(db, row.account)?.iter().any(|held| held.id == row.app_password) {
        return Err(over());
    }
    let mut password = row.veiled;
    keys.veil(word.as_bytes(), &mut password);
    let password = String::from_utf8(password).map_err(|_| over())?;
    Ok(Opened { account: row.account, app_password: row.app_password, password })
}

/// Uses up a word that is good once, by its nonce; false when it was used before, on whichever node.
pub fn spend(db: &mut Db, nonce: &[u8; 16], expires_at: Timestamp) -> Result<bool> {
    store_tickets::insert_spent(db, nonce, expires_at)
}

/// Forgets what has expired, at most `rows` of each kind.
pub fn prune(db: &mut Db, now: Timestamp, rows: i64) -> Result<()> {
    store_tickets::delete_expired(db, now, rows)
}

fn hash(keys: &Keys, word: &str) -> [u8; 32] {
    let short: String = word.chars().take(64).collect();
    keys.hash(Purpose::Ticket, format!("setup {short}").as_bytes())
}

fn over() -> Error {
    Error::not_found("link any more; links for setting up a phone are good for ten minutes")
}
