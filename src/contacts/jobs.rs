//! Work on the roster that does not fit into one transaction. Every job can run twice.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{card_import, card_mail, conversation, numbering, store};
use crate::app::App;
use crate::clock::Timestamp;
use crate::db::{Db, Lane};
use crate::error::{Error, Result};
use crate::ids::{AccountId, CardImportId, ContactId, ConversationId, NumberId};
use crate::numbers;
use crate::queue::{self, Claimed};

/// Numbers for contacts of one account that have none: [`GiveNumbers`].
pub const GIVE_NUMBERS: &str = "contacts.give_numbers";
/// The pool has grown: numbers for everybody who waits: [`FillWaiting`].
pub const FILL_WAITING: &str = "contacts.fill_waiting";
/// The rest of those who must learn of a new name: [`PeerChanged`].
pub const PEER_CHANGED: &str = "contacts.peer_changed";
/// What was said in conversations that nobody can read any more: [`PurgeConversations`].
pub const PURGE_CONVERSATIONS: &str = "contacts.purge_conversations";

/// A number was taken away: other ones for those who knew a contact by it: [`ReplaceNumbers`].
pub const REPLACE_NUMBERS: &str = "contacts.replace_numbers";

/// A second look at a number that was taken away: [`RetireLate`].
pub const RETIRE_LATE: &str = "contacts.retire_late";
/// When that look is taken: no transaction that began before the first one is still open then.
const RETIRE_LATE_AFTER: Duration = Duration::from_secs(60);

/// A carrier is written off: all its numbers are taken out of service: [`RetireCarrier`].
pub const RETIRE_CARRIER: &str = "contacts.retire_carrier";
/// Numbers taken out of service in one run of it.
const RETIRED_PER_RUN: i64 = 50;

/// A file of cards is written into its book: [`ApplyImport`].
pub const APPLY_IMPORT: &str = "contacts.apply_import";
/// Cards go to their owner by letter: [`card_mail::MailCards`].
pub const MAIL_CARDS: &str = "contacts.mail_cards";

/// All kinds this slice runs.
pub const KINDS: [&str; 9] = [
    GIVE_NUMBERS,
    FILL_WAITING,
    PEER_CHANGED,
    PURGE_CONVERSATIONS,
    REPLACE_NUMBERS,
    RETIRE_LATE,
    RETIRE_CARRIER,
    APPLY_IMPORT,
    MAIL_CARDS,
];

/// Accounts that get numbers in one run of [`FILL_WAITING`].
const ACCOUNTS_PER_RUN: i64 = 100;
/// Messages deleted in one transaction.
const MESSAGES_PER_RUN: i64 = 1_000;

/// Payload of [`GIVE_NUMBERS`].
#[derive(Debug, Serialize, Deserialize)]
pub struct GiveNumbers {
    /// Whose contacts.
    pub account: AccountId,
}

/// Payload of [`FILL_WAITING`].
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct FillWaiting {
    /// The last account that was served; `None` to begin.
    pub after: Option<AccountId>,
}

/// The pool has grown: contacts that wait for a number are served soon.
pub fn serve_waiting(db: &mut Db, now: Timestamp) -> Result<()> {
    queue::enqueue(db, now, FILL_WAITING, None, &FillWaiting::default()).map(drop)
}

/// Payload of [`PEER_CHANGED`].
#[derive(Debug, Serialize, Deserialize)]
pub struct PeerChanged {
    /// Who has changed.
    pub peer: AccountId,
    /// The last account that was told.
    pub after: AccountId,
}

/// Payload of [`PURGE_CONVERSATIONS`].
#[derive(Debug, Serialize, Deserialize)]
pub struct PurgeConversations {
    /// Closed conversations.
    pub conversations: Vec<ConversationId>,
}

/// Payload of [`REPLACE_NUMBERS`].
#[derive(Debug, Serialize, Deserialize)]
pub struct ReplaceNumbers {
    /// Whose contacts.
    pub account: AccountId,
    /// Which of them.
    pub contacts: Vec<ContactId>,
}

/// Payload of [`RETIRE_LATE`].
#[derive(Debug, Serialize, Deserialize)]
pub struct RetireLate {
    /// The number.
    pub number: NumberId,
}

/// Payload of [`RETIRE_CARRIER`].
#[derive(Debug, Serialize, Deserialize)]
pub struct RetireCarrier {
    /// Its id.
    pub carrier_id: String,
}

/// Some of a carrier's numbers, and the rest by the next job.
fn retire_carrier(db: &mut Db, now: Timestamp, job: &RetireCarrier) -> Result<()> {
    let numbers = numbers::list_of_carrier(db, &job.carrier_id, RETIRED_PER_RUN)?;
    for number in &numbers {
        retire_number(db, now, number.id)?;
    }
    if !numbers.is_empty() {
        queue::enqueue(db, now, RETIRE_CARRIER, None, job)?;
    }
    Ok(())
}

/// Takes a number out of service for good, and enqueues what follows for those who knew a contact by it.
pub fn retire_number(db: &mut Db, now: Timestamp, number: NumberId) -> Result<()> {
    let holders = numbers::retire(db, now, number)?;
    enqueue_replacements(db, now, &holders)?;
    let look_at = now.plus(RETIRE_LATE_AFTER);
    queue::enqueue_at(db, now, look_at, RETIRE_LATE, None, &RetireLate { number }).map(drop)
}

/// Payload of [`APPLY_IMPORT`].
#[derive(Debug, Serialize, Deserialize)]
pub struct ApplyImport {
    /// Whose import.
    pub account: AccountId,
    /// Which.
    pub id: CardImportId,
}

/// Enqueues what follows when a number is taken away, a job for each account that used it.
pub fn enqueue_replacements(db: &mut Db, now: Timestamp, holders: &[(AccountId, ContactId)]) -> Result<()> {
    let mut by_account: BTreeMap<AccountId, Vec<ContactId>> = BTreeMap::new();
    for (account, contact) in holders {
        by_account.entry(*account).or_default().push(*contact);
    }
    for (account, contacts) in by_account {
        queue::enqueue(db, now, REPLACE_NUMBERS, None, &ReplaceNumbers { account, contacts })?;
    }
    Ok(())
}

impl PurgeConversations {
    pub(super) fn one(conversation: ConversationId) -> Self {
        PurgeConversations { conversations: vec![conversation] }
    }
}

/// Runs one job of this slice.
pub async fn run(app: &App, job: &Claimed) -> Result<()> {
    match job.kind.as_str() {
        GIVE_NUMBERS => {
            let GiveNumbers { account } = serde_json::from_str(&job.payload)?;
            let now = app.now();
            app.db.write(account, move |db| numbering::give_numbers(db, now, account)).await?;
            Ok(())
        }
        FILL_WAITING => fill_waiting(app, serde_json::from_str(&job.payload)?).await,
        PEER_CHANGED => {
            let PeerChanged { peer, after } = serde_json::from_str(&job.payload)?;
            let now = app.now();
            app.db.write(peer, move |db| numbering::tell_of_peer(db, now, peer, Some(after))).await
        }
        REPLACE_NUMBERS => {
            let ReplaceNumbers { account, contacts } = serde_json::from_str(&job.payload)?;
            let now = app.now();
            app.db.write(account, move |db| numbering::replace_numbers(db, now, account, &contacts)).await
        }
        RETIRE_LATE => {
            let RetireLate { number } = serde_json::from_str(&job.payload)?;
            let now = app.now();
            let look = move |db: &mut Db| {
                let holders = numbers::retire_late(db, number)?;
                enqueue_replacements(db, now, &holders)
            };
            app.db.write(Lane::Any, look).await
        }
        RETIRE_CARRIER => {
            let (payload, now): (RetireCarrier, _) = (serde_json::from_str(&job.payload)?, app.now());
            app.db.write(Lane::Any, move |db| retire_carrier(db, now, &payload)).await
        }
        APPLY_IMPORT => {
            let ApplyImport { account, id } = serde_json::from_str(&job.payload)?;
            card_import::run(app, account, id).await
        }
        MAIL_CARDS => card_mail::run(app, job).await,
        PURGE_CONVERSATIONS => purge(app, serde_json::from_str(&job.payload)?).await,
        other => Err(Error::internal(format!("no job of the roster is called {other}"))),
    }
}

async fn fill_waiting(app: &App, FillWaiting { after }: FillWaiting) -> Result<()> {
    let accounts = app.db.read(move |db| store::list_waiting_accounts(db, after, ACCOUNTS_PER_RUN)).await?;
    for account in &accounts {
        let (account, now) = (*account, app.now());
        app.db.write(account, move |db| numbering::give_numbers(db, now, account)).await?;
    }
    if let Some(last) = accounts.last().filter(|_| accounts.len() as i64 >= ACCOUNTS_PER_RUN) {
        let (payload, now) = (FillWaiting { after: Some(*last) }, app.now());
        let enqueue = move |db: &mut crate::db::Db| queue::enqueue(db, now, FILL_WAITING, None, &payload);
        app.db.write(Lane::Any, enqueue).await?;
    }
    Ok(())
}

async fn purge(app: &App, PurgeConversations { conversations }: PurgeConversations) -> Result<()> {
    for id in conversations {
        while !app.db.write(Lane::Any, move |db| conversation::purge(db, id, MESSAGES_PER_RUN)).await? {}
    }
    Ok(())
}
