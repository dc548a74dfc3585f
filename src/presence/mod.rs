//! Who can be reached, and how.
//!
//! What is shown is never stored: it is decided on reading, from what is known (`signs`). Stored are only the signs
//! themselves: what somebody has chosen, until when a client of his counts as connected, when his phone was last heard
//! from and since when the network cannot find it. Friends that have a client open are told when the outcome changes;
//! others read it when they come. Quiet hours begin and end without a word: clients know the time themselves.

pub mod api;
pub mod clients;
mod signs;
mod store;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::Timestamp;
use crate::contacts::{self, ContactView, Filter};
use crate::db::{Db, Topics};
use crate::error::{Error, Result};
use crate::events::{self, EventKind};
use crate::ids::{AccountId, ContactId, HandsetId};

pub use signs::{CHOICE_LASTS, Choice, Phone, Presence, PresenceState, Signs, Via, decide, is_quiet};

/// Without a touch a client counts as connected for this long: a node that dies tells nobody.
pub const CONNECTION_LASTS: Duration = Duration::from_secs(300);
/// A client that comes back within this time was never gone: pages are loaded anew, trains go through tunnels.
pub const GRACE: Duration = Duration::from_secs(15);
/// A phone that was heard from this lately is not written down again: the hot path must not write each time.
pub const HEARD_EVERY: Duration = Duration::from_secs(60);
/// Characters of a note at most.
pub const NOTE_CHARS_MAX: usize = 140;
/// Friends that are told of one change; further ones see it when they read.
const WATCHERS_MAX: i64 = 1_000;

/// A contact as clients see it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = Contact)]
pub struct ContactWithPresence {
    /// The contact.
    #[serde(flatten)]
    pub contact: ContactView,
    /// Whether the friend can be reached; `offline` without details while they are not friends.
    pub presence: Presence,
}

/// Reads the words somebody says about his presence; empty ones are none.
pub fn parse_note(text: &str) -> Result<Option<String>> {
    let note = text.trim();
    if note.chars().count() > NOTE_CHARS_MAX || note.chars().any(char::is_control) {
        return Err(Error::invalid("note", "invalid_note", "A note has at most 140 printable characters."));
    }
    Ok((!note.is_empty()).then(|| note.to_owned()))
}

/// What these accounts show.
pub fn of_accounts(db: &mut Db, now: Timestamp, of: &[AccountId]) -> Result<HashMap<AccountId, Presence>> {
    if of.is_empty() {
        return Ok(HashMap::new());
    }
    let mut rows = store::list(db, of)?;
    let mut phones: HashMap<AccountId, Phone> = HashMap::new();
    for handset in store::list_handsets(db, of)? {
        let absent = handset.absent_since.is_some();
        let phone = phones.entry(handset.account_id).or_insert(Phone { heard_at: None, absent });
        phone.heard_at = phone.heard_at.max(handset.last_heard_at);
        phone.absent &= absent;
    }
    let hours = store::list_hours(db, of)?;
    let decide_one = |hours: store::Hours| {
        let row = rows.remove(&hours.account_id);
        let signs = Signs {
            active_at: row.as_ref().map(|r| r.updated_at),
            connected: row.as_ref().is_some_and(|r| r.connected_until.is_some_and(|until| until > now)),
            choice: row.map(|r| Choice { state: PresenceState::from_stored(&r.state), note: r.note }),
            phone: phones.get(&hours.account_id).copied(),
            quiet: is_quiet_now(now, &hours),
        };
        (hours.account_id, decide(now, &signs))
    };
    Ok(hours.into_iter().map(decide_one).collect())
}

fn is_quiet_now(now: Timestamp, hours: &store::Hours) -> bool {
    let minute = |stored: Option<i16>| stored.and_then(|m| u16::try_from(m).ok());
    match (minute(hours.from), minute(hours.to)) {
        (Some(from), Some(to)) => is_quiet(now.minute_of_day_in(&hours.time_zone), from, to),
        _ => false,
    }
}

/// What one account shows.
pub fn of_account(db: &mut Db, now: Timestamp, account: AccountId) -> Result<Presence> {
    Ok(of_accounts(db, now, &[account])?.remove(&account).unwrap_or(Presence::UNKNOWN))
}

/// What these contacts show to the account. Who is not a friend, or has blocked the account, shows nothing.
pub fn of_contacts(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    ids: &[ContactId],
) -> Result<HashMap<ContactId, Presence>> {
    let mut shown = HashMap::with_capacity(ids.len());
    for chunk in ids.chunks(1_000) {
        let peers = store::list_peers(db, account, chunk)?;
        let of: Vec<AccountId> = peers.iter().map(|(_, peer)| *peer).collect();
        let blockers: HashSet<AccountId> = store::list_blockers(db, account, &of)?.into_iter().collect();
        let known = of_accounts(db, now, &of)?;
        shown.extend(
            peers
                .into_iter()
                .filter(|(_, peer)| !blockers.contains(peer))
                .filter_map(|(id, peer)| known.get(&peer).map(|presence| (id, presence.clone()))),
        );
    }
    Ok(shown)
}

/// What one contact shows to the account.
pub fn of_contact(db: &mut Db, now: Timestamp, account: AccountId, id: ContactId) -> Result<Presence> {
    contacts::load(db, account, id)?;
    Ok(of_contacts(db, now, account, &[id])?.remove(&id).unwrap_or(Presence::UNKNOWN))
}

/// These contacts as clients see them; those that are gone are left out.
pub fn contact_views(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    ids: &[ContactId],
) -> Result<Vec<ContactWithPresence>> {
    let views = contacts::views(db, account, ids)?;
    with_presence(db, now, account, views)
}

/// One contact as clients see it.
pub fn contact_view(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    id: ContactId,
) -> Result<ContactWithPresence> {
    let view = contact_views(db, now, account, &[id])?.into_iter().next();
    view.ok_or_else(|| Error::not_found("contact"))
}

/// A page of contacts as clients see them.
pub fn list_contact_views(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    filter: &Filter,
    page: (Option<ContactId>, i64),
) -> Result<Vec<ContactWithPresence>> {
    let views = contacts::list(db, account, filter, page.0, page.1)?;
    with_presence(db, now, account, views)
}

fn with_presence(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    views: Vec<ContactView>,
) -> Result<Vec<ContactWithPresence>> {
    let ids: Vec<ContactId> = views.iter().map(|view| view.id).collect();
    let mut shown = of_contacts(db, now, account, &ids)?;
    let join = |contact: ContactView| {
        let presence = shown.remove(&contact.id).unwrap_or(Presence::UNKNOWN);
        ContactWithPresence { contact, presence }
    };
    Ok(views.into_iter().map(join).collect())
}

/// Runs `change`, and tells the friends that have a client open when what the account shows is another thing then.
fn announcing(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    change: impl FnOnce(&mut Db) -> Result<()>,
) -> Result<Presence> {
    let before = of_account(db, now, account)?;
    change(db)?;
    let after = of_account(db, now, account)?;
    // Activity alone is no news.
    if (before.state, before.via, &before.note) != (after.state, after.via, &after.note) {
        announce(db, now, &[account])?;
    }
    Ok(after)
}

fn announce(db: &mut Db, now: Timestamp, accounts: &[AccountId]) -> Result<()> {
    let mut changes = Vec::new();
    for account in accounts {
        let watchers = store::list_watchers(db, *account, now, WATCHERS_MAX)?;
        if watchers.is_empty() {
            continue;
        }
        let others: Vec<AccountId> = watchers.iter().map(|(other, _)| *other).collect();
        let blocked: HashSet<AccountId> = store::list_blocked(db, *account, &others)?.into_iter().collect();
        let told = watchers.into_iter().filter(|(other, _)| !blocked.contains(other));
        changes.extend(told.map(|(other, id)| (other, EventKind::PresenceChanged, Some(*id.as_bytes()))));
    }
    events::append_each(db, now, &changes, Topics::EVENTS)
}

/// Somebody chooses what to show.
pub fn choose(db: &mut Db, now: Timestamp, account: AccountId, choice: &Choice) -> Result<Presence> {
    announcing(db, now, account, |db| {
        let connected_until = store::find(db, account)?.and_then(|row| row.connected_until);
        let row = store::Row {
            account_id: account,
            state: choice.state.as_str().to_owned(),
            note: choice.note.clone(),
            updated_at: now,
            connected_until,
        };
        store::upsert(db, &row)
    })
}

/// A client is connected (still). Writes only when half of what was known has run out.
pub fn connected(db: &mut Db, now: Timestamp, account: AccountId) -> Result<()> {
    let row = store::find(db, account)?;
    let fresh = now.plus(CONNECTION_LASTS / 2);
    if row.as_ref().and_then(|r| r.connected_until).is_some_and(|until| until > fresh) {
        return Ok(());
    }
    let known = row.as_ref().and_then(|r| r.connected_until).is_some_and(|until| until > now);
    let row = store::Row {
        account_id: account,
        state: row.as_ref().map_or_else(|| PresenceState::Available.as_str().to_owned(), |r| r.state.clone()),
        note: row.and_then(|r| r.note),
        updated_at: now,
        connected_until: Some(now.plus(CONNECTION_LASTS)),
    };
    if known {
        return store::upsert(db, &row);
    }
    announcing(db, now, account, |db| store::upsert(db, &row)).map(drop)
}

/// Until when a client of the account counts as connected.
pub fn connected_until(db: &mut Db, account: AccountId) -> Result<Option<Timestamp>> {
    Ok(store::find(db, account)?.and_then(|row| row.connected_until))
}

/// The last client of this node has gone. It still counts for [`GRACE`]; then [`expire`] tells the friends. A client
/// on another node is seen again when that node touches it next.
pub fn disconnected(db: &mut Db, now: Timestamp, account: AccountId) -> Result<()> {
    let Some(mut row) = store::find(db, account)? else { return Ok(()) };
    if row.connected_until.is_none() {
        return Ok(());
    }
    row.updated_at = now;
    row.connected_until = Some(now.plus(GRACE));
    store::upsert(db, &row)
}

/// Ends connections that nobody has touched in time, at most `limit`, and tells the friends; answers how many.
pub fn expire(db: &mut Db, now: Timestamp, limit: i64) -> Result<usize> {
    let due = store::list_expired(db, now, limit)?;
    if due.is_empty() {
        return Ok(0);
    }
    let ended = store::expire(db, now, &due)?;
    announce(db, now, &ended)?;
    Ok(ended.len())
}

/// A handset was heard from: it is there. Cheap when it was heard from a moment ago.
pub fn heard_from(db: &mut Db, now: Timestamp, account: AccountId, handset: HandsetId) -> Result<()> {
    heard_from_many(db, now, &[(account, handset)])
}

/// Many handsets were heard from: one statement, and two when there is something new.
pub fn heard_from_many(db: &mut Db, now: Timestamp, handsets: &[(AccountId, HandsetId)]) -> Result<()> {
    let of: Vec<AccountId> = handsets.iter().map(|(account, _)| *account).collect();
    let ids: Vec<HandsetId> = handsets.iter().map(|(_, id)| *id).collect();
    let news = store::list_unheard(db, &of, &ids, now.minus(HEARD_EVERY))?;
    if news.is_empty() {
        return Ok(());
    }
    let of: Vec<AccountId> = news.iter().map(|handset| handset.account_id).collect();
    let ids: Vec<HandsetId> = news.iter().map(|handset| handset.id).collect();
    store::set_heard(db, &of, &ids, now)?;
    let back: Vec<AccountId> =
        news.iter().filter(|h| h.absent_since.is_some()).map(|handset| handset.account_id).collect();
    announce(db, now, &back)
}

/// The network could not find a handset (switched off, out of reach).
pub fn absent(db: &mut Db, now: Timestamp, account: AccountId, handset: HandsetId) -> Result<()> {
    announcing(db, now, account, |db| store::set_absent(db, account, handset, now).map(drop)).map(drop)
}

/// A handset was reached by something of ours (a delivery receipt): it is not absent. Nothing was heard from it.
pub fn reached(db: &mut Db, now: Timestamp, account: AccountId, handset: HandsetId) -> Result<()> {
    if store::set_present(db, account, handset)? {
        announce(db, now, &[account])?;
    }
    Ok(())
}

/// Everything held of the account's presence, for its owner.
pub fn export(db: &mut Db, now: Timestamp, account: AccountId) -> Result<serde_json::Value> {
    Ok(serde_json::to_value(of_account(db, now, account)?)?)
}

/// Forgets what an account has shown.
pub fn erase(db: &mut Db, account: AccountId) -> Result<()> {
    store::delete(db, account)
}
