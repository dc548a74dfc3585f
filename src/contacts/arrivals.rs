//! Proof of arrival: which phone or program has fetched how much of the messenger's book, and when.

use super::{book_store, books, roster, store};
use crate::accounts::app_passwords;
use crate::clock::Timestamp;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::ids::{AccountId, AppPasswordId, ContactId};

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

/// Whether a friend's card is on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The friend.
    pub contact: ContactId,
    /// The name by which the account shows him.
    pub display_name: String,
    /// When the device last fetched the card.
    pub fetched_at: Option<Timestamp>,
    /// Whether it has the card as it is now.
    pub is_current: bool,
}

/// The friends' cards and whether a device has them, in the order of the contacts; at most `limit` after one of them.
pub fn of_device(
    db: &mut Db,
    account: AccountId,
    device: AppPasswordId,
    after: Option<ContactId>,
    limit: usize,
) -> Result<Vec<Arrival>> {
    if !app_passwords::list(db, account)?.iter().any(|password| password.id == device) {
        return Err(Error::not_found("device"));
    }
    let Some(book) = books::list(db, account)?.into_iter().find(books::AddressBook::is_messenger) else {
        return Ok(Vec::new());
    };
    let fetched = store::list_fetches(db, account, device, book.id)?;
    let mut cards: Vec<(ContactId, String, i64)> = book_store::list_cards(db, account, book.id)?
        .into_iter()
        .filter(|(contact, name, _)| *name == books::object_name(*contact))
        .filter(|(contact, ..)| after.is_none_or(|after| *contact > after))
        .collect();
    cards.sort_by_key(|(contact, ..)| *contact);
    cards.truncate(limit);
    let ids: Vec<ContactId> = cards.iter().map(|(contact, ..)| *contact).collect();
    let views = roster::views(db, account, &ids)?;
    let to_arrival = |(contact, name, seq): (ContactId, String, i64)| {
        let view = views.iter().find(|view| view.id == contact)?;
        let fetch = fetched.get(&name);
        Some(Arrival {
            contact,
            display_name: view.display_name.clone(),
            fetched_at: fetch.map(|(_, at)| *at),
            is_current: fetch.is_some_and(|(handed, _)| *handed >= seq),
        })
    };
    Ok(cards.into_iter().filter_map(to_arrival).collect())
}
