//! Friends' photos: who may see whose, and since when it is what it is.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;

use super::contact::{Contact, ContactState};
use super::roster;
use crate::accounts::{self, Photo};
use crate::clock::Timestamp;
use crate::db::Db;
use crate::each;
use crate::error::{Error, Result};
use crate::ids::{AccountId, ContactId};
use crate::schema::{account_photos, contacts};

/// Rows of one query.
const CHUNK: usize = 500;

/// Which of these contacts have a photo to show, and since when. Like presence: friends see it, and who was blocked by
/// the other side does not.
pub(super) fn versions(db: &mut Db, rows: &[Contact]) -> Result<HashMap<ContactId, Timestamp>> {
    let friends = rows.iter().filter(|row| row.state == ContactState::Accepted);
    let pairs: Vec<(ContactId, AccountId, ContactId)> =
        friends.filter_map(|row| Some((row.id, row.peer_account_id?, row.peer_contact_id?))).collect();
    let mut found = HashMap::new();
    for chunk in pairs.chunks(CHUNK) {
        let of: Vec<AccountId> = chunk.iter().map(|(_, peer, _)| *peer).collect();
        let since: HashMap<AccountId, Timestamp> = list_versions(db, &of)?.into_iter().collect();
        if since.is_empty() {
            continue;
        }
        let shown: Vec<_> = chunk.iter().filter(|(_, peer, _)| since.contains_key(peer)).collect();
        let theirs: Vec<ContactId> = shown.iter().map(|(_, _, theirs)| *theirs).collect();
        let open: HashSet<ContactId> = list_accepted(db, &theirs)?.into_iter().collect();
        let seen = shown.into_iter().filter(|(_, _, theirs)| open.contains(theirs));
        found.extend(seen.filter_map(|(id, peer, _)| Some((*id, *since.get(peer)?))));
    }
    Ok(found)
}

/// The photo of a contact.
///
/// # Errors
///
/// `not_found` when there is none, or none for this account.
pub fn find(db: &mut Db, account: AccountId, id: ContactId) -> Result<Photo> {
    let row = roster::load(db, account, id)?;
    let none = || Error::not_found("photo");
    let peer = row.peer_account_id.ok_or_else(none)?;
    if versions(db, &[row])?.is_empty() {
        return Err(none());
    }
    accounts::find_photo(db, peer)?.ok_or_else(none)
}

fn list_versions(db: &mut Db, of: &[AccountId]) -> Result<Vec<(AccountId, Timestamp)>> {
    Ok(each!(db, |c| account_photos::table
        .filter(account_photos::account_id.eq_any(of))
        .select((account_photos::account_id, account_photos::updated_at))
        .load(c))?)
}

fn list_accepted(db: &mut Db, of: &[ContactId]) -> Result<Vec<ContactId>> {
    Ok(each!(db, |c| contacts::table
        .filter(contacts::id.eq_any(of))
        .filter(contacts::state.eq(ContactState::Accepted))
        .select(contacts::id)
        .load(c))?)
}
