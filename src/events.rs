//! The account event log: appended in the transaction of the change, woken after the commit, resumed by cursor.
//!
//! One counter per account, bumped in the transaction that changes something, is event id, cursor of sockets and
//! CardDAV sync token at once. A message for a native client is a row of its own and a row here, nothing more: the
//! log *is* the delivery. An operation that touches two accounts takes their counters in the order of their ids.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Binary, Integer, Nullable, SmallInt};
use tokio::sync::watch;

use crate::clock::Timestamp;
use crate::db::{Conn, Db, Keep, Signal, Topics};
use crate::error::{Error, Result};
use crate::ids::AccountId;
use crate::schema::{account_counters, account_events};
use crate::{each, written};

/// What happened, as clients see it. The numbers are stored: never reuse one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i16)]
pub enum EventKind {
    /// A message is there (`ref` is the message).
    MessageCreated = 1,
    /// A message's state moved (`ref` is the message).
    MessageUpdated = 2,
    /// Unread count or last message changed (`ref` is the conversation).
    ConversationUpdated = 3,
    /// A contact is there (`ref` is the contact).
    ContactCreated = 4,
    /// A contact's name, state or number changed (`ref` is the contact).
    ContactUpdated = 5,
    /// A contact is gone (`ref` is the contact).
    ContactDeleted = 6,
    /// A contact came or went (`ref` is the contact).
    PresenceChanged = 7,
    /// The account itself changed.
    AccountUpdated = 8,
    /// An address book's name or members changed, or it is gone (`ref` is the book). Cards are told by the sync token.
    BookChanged = 9,
    /// A call rings, is answered, held, over (`ref` is the call).
    CallChanged = 10,
}

impl EventKind {
    /// All of them, for tables and documents.
    pub const ALL: [EventKind; 10] = [
        EventKind::MessageCreated,
        EventKind::MessageUpdated,
        EventKind::ConversationUpdated,
        EventKind::ContactCreated,
        EventKind::ContactUpdated,
        EventKind::ContactDeleted,
        EventKind::PresenceChanged,
        EventKind::AccountUpdated,
        EventKind::BookChanged,
        EventKind::CallChanged,
    ];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            EventKind::MessageCreated => "message.created",
            EventKind::MessageUpdated => "message.updated",
            EventKind::ConversationUpdated => "conversation.updated",
            EventKind::ContactCreated => "contact.created",
            EventKind::ContactUpdated => "contact.updated",
            EventKind::ContactDeleted => "contact.deleted",
            EventKind::PresenceChanged => "presence.changed",
            EventKind::AccountUpdated => "account.updated",
            EventKind::BookChanged => "book.changed",
            EventKind::CallChanged => "call.changed",
        }
    }

    fn from_number(number: i16) -> Option<Self> {
        EventKind::ALL.into_iter().find(|kind| *kind as i16 == number)
    }
}

/// One row of the log.
#[derive(Debug, Clone)]
pub struct Event {
    /// The account's counter when it happened.
    pub seq: i64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: EventKind,
    /// The 16 bytes of what it is about.
    pub subject: Option<[u8; 16]>,
}

/// What happened to which thing (the 16 bytes of its id).
pub type Happening = (EventKind, Option<[u8; 16]>);

/// Rows read at once.
pub const PAGE_MAX: i64 = 500;

/// Rows in one statement: far below the parameter limits of both engines.
const CHUNK: usize = 1_000;

#[derive(Insertable)]
#[diesel(table_name = account_events)]
#[diesel(treat_none_as_default_value = false)]
struct NewEvent {
    account_id: AccountId,
    seq: i64,
    kind: i16,
    ref_id: Option<Vec<u8>>,
    at: Timestamp,
}

/// Gives a new account its counter.
pub fn open(db: &mut Db, account: AccountId) -> Result<()> {
    each!(db, |c| diesel::insert_into(account_counters::table)
        .values((
            account_counters::account_id.eq(account),
            account_counters::seq.eq(0i64),
            account_counters::floor_seq.eq(0i64),
            account_counters::number_turn.eq(0i64),
        ))
        .execute(c))?;
    Ok(())
}

/// Takes `count` places of the account's counter and answers the last one.
pub fn bump(db: &mut Db, account: AccountId, count: i64) -> Result<i64> {
    let row: Option<i64> = match db.conn() {
        // RETURNING makes SQLite build a table in memory each time; its one writer can simply look.
        Conn::Sqlite(c) => {
            let mine = account_counters::table.filter(account_counters::account_id.eq(account));
            let seq: Option<i64> = mine.select(account_counters::seq).first(c).optional()?;
            let next = seq.map(|seq| seq + count);
            if let Some(next) = next {
                SetSeq { next, account }.execute(c)?;
            }
            next
        }
        Conn::Pg(c) => diesel::update(account_counters::table)
            .filter(account_counters::account_id.eq(account))
            .set(account_counters::seq.eq(account_counters::seq + count))
            .returning(account_counters::seq)
            .kept()
            .get_result(c)
            .optional()?,
    };
    row.ok_or_else(|| Error::not_found("account"))
}

written! {
    struct SetSeq {
        "UPDATE account_counters SET seq = " next: i64 => BigInt,
        " WHERE account_id = " account: AccountId => Binary,
    } ""
}

/// Accounts fall into so many parts; who begins to read waits for those that write for his part only.
const READER_PARTS: u8 = 64;
/// The name of these locks among PostgreSQL's advisory ones.
const READER_LOCKS: i32 = 0x4d45_4152;

fn reader_part(account: AccountId) -> i32 {
    // The end of an id is random; its beginning is the time.
    i32::from(account.as_bytes().last().map_or(0, |byte| byte % READER_PARTS))
}

/// Nobody of these begins to read his log (see [`await_writers`]) until the transaction ends. For batches that leave out
/// the logs nobody reads; to be taken before any counter.
pub fn hold_readers(db: &mut Db, accounts: impl Iterator<Item = AccountId>) -> Result<()> {
    let Conn::Pg(c) = db.conn() else { return Ok(()) };
    let mut parts: Vec<i32> = accounts.map(reader_part).collect();
    parts.sort_unstable();
    parts.dedup();
    let _: Vec<i64> = HoldReaders { parts }.load(c)?;
    Ok(())
}

/// Waits for batches that may leave out this account's log, and keeps new ones away until the transaction ends. To be
/// taken before the account's counter, by whoever begins to read.
pub fn await_writers(db: &mut Db, account: AccountId) -> Result<()> {
    let Conn::Pg(c) = db.conn() else { return Ok(()) };
    let _: Vec<i64> = AwaitWriters { part: reader_part(account) }.load(c)?;
    Ok(())
}

/// Locks in memory: no row is written for them, unlike those of `FOR UPDATE`.
#[derive(QueryId)]
struct HoldReaders {
    parts: Vec<i32>,
}

impl QueryFragment<Pg> for HoldReaders {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("SELECT count(pg_advisory_xact_lock_shared(");
        out.push_bind_param::<Integer, _>(&READER_LOCKS)?;
        out.push_sql(", part)) FROM unnest(");
        out.push_bind_param::<Array<Integer>, _>(&self.parts)?;
        out.push_sql(") AS part");
        Ok(())
    }
}

impl Query for HoldReaders {
    type SqlType = BigInt;
}

impl<C> RunQueryDsl<C> for HoldReaders {}

#[derive(QueryId)]
struct AwaitWriters {
    part: i32,
}

impl QueryFragment<Pg> for AwaitWriters {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("SELECT count(pg_advisory_xact_lock(");
        out.push_bind_param::<Integer, _>(&READER_LOCKS)?;
        out.push_sql(", ");
        out.push_bind_param::<Integer, _>(&self.part)?;
        out.push_sql("))");
        Ok(())
    }
}

impl Query for AwaitWriters {
    type SqlType = BigInt;
}

impl<C> RunQueryDsl<C> for AwaitWriters {}

/// Cursors of before lead nowhere from here on: the log was not written while nobody could read it.
pub fn begin_anew(db: &mut Db, account: AccountId) -> Result<()> {
    let seq = bump(db, account, 1)?;
    each!(db, |c| diesel::update(account_counters::table)
        .filter(account_counters::account_id.eq(account))
        .set(account_counters::floor_seq.eq(seq))
        .execute(c))?;
    Ok(())
}

/// Appends one event and answers its place. `topics` tells caches what else changed.
pub fn append(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    kind: EventKind,
    subject: Option<&[u8; 16]>,
    topics: Topics,
) -> Result<i64> {
    append_many(db, now, account, &[(kind, subject.copied())], topics)
}

/// Appends several events in their order and answers the last place.
pub fn append_many(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    events: &[Happening],
    topics: Topics,
) -> Result<i64> {
    let count = i64::try_from(events.len()).unwrap_or(0);
    let last = bump(db, account, count)?;
    if let [(kind, subject)] = events {
        let subject = subject.map(|s| s.to_vec());
        let append = AppendEvent { account, seq: last, kind: *kind as i16, subject, at: now };
        each!(db, |c| append.execute(c))?;
    } else {
        let rows: Vec<NewEvent> = (last - count + 1..)
            .zip(events)
            .map(|(seq, (kind, subject))| {
                let ref_id = subject.map(|s| s.to_vec());
                NewEvent { account_id: account, seq, kind: *kind as i16, ref_id, at: now }
            })
            .collect();
        for chunk in rows.chunks(CHUNK) {
            each!(db, |c| diesel::insert_into(account_events::table).values(chunk).execute(c))?;
        }
    }
    db.signal(Signal::Account { account, seq: last, topics });
    Ok(last)
}

written! {
    struct AppendEvent {
        "INSERT INTO account_events (account_id, seq, kind, ref, at) VALUES (" account: AccountId => Binary,
        ", " seq: i64 => BigInt,
        ", " kind: i16 => SmallInt,
        ", " subject: Option<Vec<u8>> => Nullable<Binary>,
        ", " at: Timestamp => BigInt,
    } ")"
}

/// Appends events of many accounts, each account's in the order given. For changes that touch both sides of a
/// friendship, or a thousand of them: two statements where the accounts have one event each.
pub fn append_each(
    db: &mut Db,
    now: Timestamp,
    events: &[(AccountId, EventKind, Option<[u8; 16]>)],
    topics: Topics,
) -> Result<()> {
    let mut by_account: BTreeMap<AccountId, Vec<Happening>> = BTreeMap::new();
    for (account, kind, subject) in events {
        by_account.entry(*account).or_default().push((*kind, *subject));
    }
    let accounts: Vec<AccountId> = by_account.keys().copied().collect();
    lock(db, &accounts)?;
    let mut single = Vec::new();
    for (account, events) in by_account {
        match events.as_slice() {
            [(kind, subject)] => single.push((account, *kind, *subject)),
            several => drop(append_many(db, now, account, several, topics)?),
        }
    }
    for chunk in single.chunks(CHUNK) {
        append_one_each(db, now, chunk, topics)?;
    }
    Ok(())
}

fn append_one_each(
    db: &mut Db,
    now: Timestamp,
    events: &[(AccountId, EventKind, Option<[u8; 16]>)],
    topics: Topics,
) -> Result<()> {
    let accounts: Vec<AccountId> = events.iter().map(|(account, _, _)| *account).collect();
    let places: Vec<(AccountId, i64)> = each!(db, |c| diesel::update(account_counters::table)
        .filter(account_counters::account_id.eq_any(&accounts))
        .set(account_counters::seq.eq(account_counters::seq + 1))
        .returning((account_counters::account_id, account_counters::seq))
        .get_results(c))?;
    let places: HashMap<AccountId, i64> = places.into_iter().collect();
    let mut rows = Vec::with_capacity(events.len());
    for (account, kind, subject) in events {
        let seq = places.get(account).copied().ok_or_else(|| Error::not_found("account"))?;
        let ref_id = subject.map(|s| s.to_vec());
        rows.push(NewEvent { account_id: *account, seq, kind: *kind as i16, ref_id, at: now });
    }
    each!(db, |c| diesel::insert_into(account_events::table).values(&rows).execute(c))?;
    for row in &rows {
        db.signal(Signal::Account { account: row.account_id, seq: row.seq, topics });
    }
    Ok(())
}

/// Keeps these accounts' counters until the transaction ends, so that what is read now is still true when it is
/// changed. Taken in the order of the ids, so that two such operations cannot wait for each other.
pub fn lock(db: &mut Db, accounts: &[AccountId]) -> Result<()> {
    match db.conn() {
        // The one writer of SQLite is alone anyway.
        Conn::Sqlite(_) => Ok(()),
        Conn::Pg(c) => {
            let mut accounts = accounts.to_vec();
            accounts.sort_unstable();
            accounts.dedup();
            let _: Vec<AccountId> = account_counters::table
                .filter(account_counters::account_id.eq_any(&accounts))
                .order(account_counters::account_id.asc())
                .select(account_counters::account_id)
                .for_update()
                .load(c)?;
            Ok(())
        }
    }
}

/// The newest place of an account.
pub fn newest(db: &mut Db, account: AccountId) -> Result<i64> {
    let row: Option<i64> = each!(db, |c| account_counters::table
        .filter(account_counters::account_id.eq(account))
        .select(account_counters::seq)
        .first(c)
        .optional())?;
    row.ok_or_else(|| Error::not_found("account"))
}

/// The newest places of several accounts; those that are gone are left out.
pub fn newest_of(db: &mut Db, accounts: &[AccountId]) -> Result<Vec<(AccountId, i64)>> {
    Ok(each!(db, |c| account_counters::table
        .filter(account_counters::account_id.eq_any(accounts))
        .select((account_counters::account_id, account_counters::seq))
        .load(c))?)
}

/// The oldest cursor from which the log is still complete.
pub fn floor(db: &mut Db, account: AccountId) -> Result<i64> {
    let row: Option<i64> = each!(db, |c| account_counters::table
        .filter(account_counters::account_id.eq(account))
        .select(account_counters::floor_seq)
        .first(c)
        .optional())?;
    row.ok_or_else(|| Error::not_found("account"))
}

/// What happened after `after`, oldest first, at most [`PAGE_MAX`] rows.
pub fn since(db: &mut Db, account: AccountId, after: i64) -> Result<Vec<Event>> {
    let rows: Vec<(i64, Timestamp, i16, Option<Vec<u8>>)> = each!(db, |c| account_events::table
        .filter(account_events::account_id.eq(account))
        .filter(account_events::seq.gt(after))
        .order(account_events::seq.asc())
        .limit(PAGE_MAX)
        .select((account_events::seq, account_events::at, account_events::kind, account_events::ref_id))
        .load(c))?;
    let read = |(seq, at, kind, subject): (i64, Timestamp, i16, Option<Vec<u8>>)| {
        let subject = subject.and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
        // A kind from a newer version of the program: clients of this one could not read it anyway.
        EventKind::from_number(kind).map(|kind| Event { seq, at, kind, subject })
    };
    Ok(rows.into_iter().filter_map(read).collect())
}

/// Forgets events before `before`, at most `limit` rows, and raises the floors; answers how many went.
pub fn prune(db: &mut Db, before: Timestamp, limit: i64) -> Result<usize> {
    let old: Vec<(AccountId, i64)> = each!(db, |c| account_events::table
        .filter(account_events::at.lt(before))
        .select((account_events::account_id, account_events::seq))
        .limit(limit)
        .load(c))?;
    let mut floors: HashMap<AccountId, i64> = HashMap::new();
    for (account, seq) in &old {
        let floor = floors.entry(*account).or_insert(*seq);
        *floor = (*floor).max(*seq);
    }
    for (account, seq) in floors {
        each!(db, |c| diesel::delete(account_events::table)
            .filter(account_events::account_id.eq(account))
            .filter(account_events::seq.le(seq))
            .execute(c))?;
        each!(db, |c| diesel::update(account_counters::table)
            .filter(account_counters::account_id.eq(account))
            .filter(account_counters::floor_seq.lt(seq))
            .set(account_counters::floor_seq.eq(seq))
            .execute(c))?;
    }
    Ok(old.len())
}

/// Shards of the hub: enough that wakers hardly ever meet.
const SHARDS: usize = 64;

/// Who waits for which account on this node.
pub struct Hub {
    shards: Vec<Mutex<HashMap<AccountId, watch::Sender<i64>>>>,
}

impl Default for Hub {
    fn default() -> Self {
        Hub { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }
}

impl Hub {
    fn shard(
        &self,
        account: AccountId,
    ) -> Option<std::sync::MutexGuard<'_, HashMap<AccountId, watch::Sender<i64>>>> {
        let index = account.as_bytes().last().map_or(0, |b| usize::from(*b)) % SHARDS;
        self.shards.get(index).map(|s| s.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Waits for an account. Subscribe first, then read the log: what happens in between is not missed.
    pub fn subscribe(&self, account: AccountId) -> Option<watch::Receiver<i64>> {
        let mut shard = self.shard(account)?;
        Some(shard.entry(account).or_insert_with(|| watch::channel(0).0).subscribe())
    }

    /// Tells those who wait that the account's counter stands at `seq`.
    pub fn ring(&self, account: AccountId, seq: i64) {
        let Some(mut shard) = self.shard(account) else { return };
        let Some(sender) = shard.get(&account) else { return };
        if sender.is_closed() {
            shard.remove(&account);
        } else {
            sender.send_modify(|newest| *newest = (*newest).max(seq));
        }
    }

    /// Whether somebody waits for the account here.
    pub fn is_watched(&self, account: AccountId) -> bool {
        self.shard(account).is_some_and(|shard| shard.get(&account).is_some_and(|s| !s.is_closed()))
    }

    /// The accounts somebody waits for here, for the regular re-check.
    pub fn watched(&self) -> Vec<AccountId> {
        let lock = |shard: &Mutex<HashMap<AccountId, watch::Sender<i64>>>| {
            let mut shard = shard.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            shard.retain(|_, sender| !sender.is_closed());
            shard.keys().copied().collect::<Vec<_>>()
        };
        self.shards.iter().flat_map(lock).collect()
    }
}
