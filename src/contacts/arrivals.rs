//! Proof of arrival: which phone or program has fetched how much of the messenger's book, and when.

use super::{books, store};
use crate::accounts::app_passwords;
use crate::clock::Timestamp;
use crate::db::Db;
use crate::error::Result;
use crate::ids::{AccountId, AppPasswordId};

/// One phone or program, known by its app password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its app password.
    pub app_password: AppPasswordId,
    /// What the owner calls it.
    pub label: String,
    /// What it calls itself.
    pub user_agent: Option<String>,
    /// When it last signed in, to five minutes.
    pub last_seen_at: Option<Timestamp>,
    /// When it last fetched something of the messenger's book.
    pub last_fetched_at: Option<Timestamp>,
    /// Cards that it has as they are now.
    pub cards_current: i64,
}

/// What an account's devices have fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrivals {
    /// The devices, oldest first.
    pub devices: Vec<Device>,
    /// Cards in the messenger's book.
    pub cards: i64,
}

/// Every device of an account with what it has fetched; one that never came is there too.
pub fn list(db: &mut Db, account: AccountId) -> Result<Arrivals> {
    let book = books::list(db, account)?.into_iter().find(books::AddressBook::is_messenger);
    let (last, current) = match &book {
        Some(book) => {
            (store::last_fetches(db, account, book.id)?, store::count_current_fetches(db, account, book.id)?)
        }
        None => Default::default(),
    };
    let devices = app_passwords::list(db, account)?.into_iter().map(|password| Device {
        last_fetched_at: last.get(&password.id).copied(),
        cards_current: current.get(&password.id).copied().unwrap_or_default(),
        app_password: password.id,
        label: password.label,
        user_agent: password.user_agent,
        last_seen_at: password.last_used_at,
    });
    Ok(Arrivals { devices: devices.collect(), cards: book.map_or(0, |book| book.object_count) })
}
