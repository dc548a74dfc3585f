//! Who is meant: (handset, our number) → contact, and how the other side is reached.
//!
//! The answer is a cache in front of a join over five tables; the writer drops an account's entries after the commit
//! of a change, before it answers, so a route is never older than what its user has seen.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use diesel::backend::Backend;
use diesel::dsl::sql;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::serialize::ToSql;
use diesel::sql_types::{Array, BigInt, Binary, Bool, HasSqlType, Nullable, Text};
use moka::sync::Cache;

use super::guard::{self, Guard};
use crate::clock::Timestamp;
use crate::db::{Conn, Db, Signal, Topics};
use crate::each;
use crate::error::Result;
use crate::ids::{AccountId, ContactId, ConversationId, HandsetId, NumberId};
use crate::numbers::NumberState;
use crate::phone::E164;
use crate::schema::{accounts, assignments, contacts, handsets, numbers};

/// Entries at most: a busy node's hour.
const ENTRIES_MAX: u64 = 200_000;
/// What another node changed is noticed after this at the latest, should its doorbell be lost.
const FRESH: Duration = Duration::from_secs(60);

/// How an account's contact reaches the account's handset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmsLine {
    /// Through which carrier.
    pub carrier_id: String,
    /// From which of our numbers.
    pub from: E164,
    /// To which handset.
    pub to: E164,
}

/// The two sides of a conversation, as seen from a handset's SMS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Whose handset it is.
    pub account: AccountId,
    /// Which handset.
    pub handset: HandsetId,
    /// Whom he wrote to, as he sees him.
    pub contact: ContactId,
    /// Where it is said.
    pub conversation: ConversationId,
    /// The other side.
    pub peer: AccountId,
    /// Whether the other side still wants to hear from him.
    pub open: bool,
    /// When the other side is a phone user too: how his phone is reached.
    pub onward: Option<SmsLine>,
    /// How texts of the handset come.
    pub guard: Guard,
    /// The number is no longer ours; it names whom it named last.
    pub retired: bool,
}

/// What (handset, number) means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// A contact.
    Contact(Box<Route>),
    /// A user dialled a number that names nobody for him.
    Nobody {
        /// Whose handset it is.
        account: AccountId,
        /// In which language to answer.
        locale: String,
    },
    /// The handset is no user's.
    Stranger,
    /// The sender is one of our own numbers: answering would make a loop.
    Ourselves,
    /// The number is not ours.
    NotOurs,
}

/// The states that partial indexes are for. Written out, for a bound value does not say that it is one of them.
const VERIFIED: &str = "handsets.state = 'verified'";
const ACTIVE: &str = "assignments.state = 'active' AND assignments.state <> 'past'";

/// Asks the database: one statement for what is by far the most frequent, a contact.
pub fn resolve(db: &mut Db, from: &E164, to: &E164) -> Result<Meaning> {
    match find_contact(db, from, to)? {
        Some(route) => Ok(Meaning::Contact(Box::new(route))),
        None => explain(db, from, to),
    }
}

/// One look at everything that a pair of numbers means. The states are written out: a partial index is of use only to
/// a statement that says for itself which part it wants.
#[derive(QueryId)]
struct FindPair {
    from: E164,
    to: E164,
}

impl<DB: Backend> QueryFragment<DB> for FindPair
where
    E164: ToSql<Text, DB>,
    DB: HasSqlType<Text>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.push_sql(
            "SELECT h.account_id, h.id, c.id, c.conversation_id, c.peer_account_id, c.state, p.id, p.state, \
             p.number_state, g.always, g.network, g.trusted_until, g.asked_at \
             FROM handsets h JOIN numbers n ON h.state = 'verified' AND h.number = ",
        );
        out.push_bind_param::<Text, _>(&self.from)?;
        out.push_sql(" AND n.number = ");
        out.push_bind_param::<Text, _>(&self.to)?;
        out.push_sql(
            " JOIN assignments a ON a.account_id = h.account_id AND a.number_id = n.id AND a.state <> 'past' \
               AND a.state = 'active' \
             JOIN contacts c ON c.account_id = a.account_id AND c.id = a.contact_id \
             JOIN contacts p ON p.account_id = c.peer_account_id AND p.id = c.peer_contact_id \
             LEFT JOIN handset_guards g ON g.account_id = h.account_id AND g.handset_id = h.id",
        );
        Ok(())
    }
}

impl Query for FindPair {
    type SqlType =
        (Binary, Binary, Binary, Nullable<Binary>, Nullable<Binary>, Text, Binary, Text, Text, GuardType);
}

impl<C> RunQueryDsl<C> for FindPair {}

type GuardType = (Nullable<Bool>, Nullable<Text>, Nullable<BigInt>, Nullable<BigInt>);
type GuardRow = (Option<bool>, Option<String>, Option<Timestamp>, Option<Timestamp>);

fn to_guard((always, network, trusted_until, asked_at): GuardRow) -> Guard {
    Guard { always: always.unwrap_or(false), network, trusted_until, asked_at }
}

type PairRow = (
    AccountId,
    HandsetId,
    ContactId,
    Option<ConversationId>,
    Option<AccountId>,
    String,
    ContactId,
    String,
    String,
    GuardRow,
);

/// [`FindPair`] for many pairs at once; the first column says which of them a row belongs to.
#[derive(QueryId)]
struct FindPairs {
    from: Vec<String>,
    to: Vec<String>,
}

impl QueryFragment<Pg> for FindPairs {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "SELECT t.at, h.account_id, h.id, c.id, c.conversation_id, c.peer_account_id, c.state, p.id, p.state, \
             p.number_state, g.always, g.network, g.trusted_until, g.asked_at FROM unnest(",
        );
        out.push_bind_param::<Array<Text>, _>(&self.from)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.to)?;
        out.push_sql(
            ") WITH ORDINALITY AS t(handset, number, at) \
             JOIN handsets h ON h.state = 'verified' AND h.number = t.handset \
             JOIN numbers n ON n.number = t.number \
             JOIN assignments a ON a.account_id = h.account_id AND a.number_id = n.id AND a.state <> 'past' \
               AND a.state = 'active' \
             JOIN contacts c ON c.account_id = a.account_id AND c.id = a.contact_id \
             JOIN contacts p ON p.account_id = c.peer_account_id AND p.id = c.peer_contact_id \
             LEFT JOIN handset_guards g ON g.account_id = h.account_id AND g.handset_id = h.id",
        );
        Ok(())
    }
}

impl Query for FindPairs {
    type SqlType = (
        BigInt,
        Binary,
        Binary,
        Binary,
        Nullable<Binary>,
        Nullable<Binary>,
        Text,
        Binary,
        Text,
        Text,
        GuardType,
    );
}

impl<C> RunQueryDsl<C> for FindPairs {}

type PlacedPairRow = (
    i64,
    AccountId,
    HandsetId,
    ContactId,
    Option<ConversationId>,
    Option<AccountId>,
    String,
    ContactId,
    String,
    String,
    GuardRow,
);

/// What many pairs of (handset, our number) mean, each at its place. On PostgreSQL the contacts among them, which is
/// nearly all, are one statement.
pub fn resolve_many(db: &mut Db, pairs: &[(E164, E164)]) -> Result<Vec<Meaning>> {
    let found = find_contacts(db, pairs)?;
    let mut meanings = Vec::with_capacity(pairs.len());
    for ((from, to), route) in pairs.iter().zip(found) {
        meanings.push(match route {
            Some(route) => Meaning::Contact(Box::new(route)),
            None => explain(db, from, to)?,
        });
    }
    Ok(meanings)
}

/// The contacts that many pairs of (handset, our number) reach, each at its place. On PostgreSQL one statement.
pub fn find_contacts(db: &mut Db, pairs: &[(E164, E164)]) -> Result<Vec<Option<Route>>> {
    let rows: Vec<PlacedPairRow> = match db.conn() {
        Conn::Pg(c) if pairs.len() > 1 => {
            let (from, to) = pairs.iter().map(|(f, t)| (f.to_string(), t.to_string())).unzip();
            FindPairs { from, to }.load(c)?
        }
        _ => return pairs.iter().map(|(from, to)| find_contact(db, from, to)).collect(),
    };
    let mut found: Vec<Option<PairRow>> = pairs.iter().map(|_| None).collect();
    for (place, account, handset, contact, conversation, peer, state, theirs, peer_state, line, guard) in rows
    {
        let place = usize::try_from(place).unwrap_or_default().checked_sub(1);
        if let Some(free) = place.and_then(|place| found.get_mut(place)) {
            *free =
                Some((account, handset, contact, conversation, peer, state, theirs, peer_state, line, guard));
        }
    }
    found.into_iter().map(|row| route_of(db, row)).collect()
}

/// The contact that a user's handset reaches behind a number, as long as both sides have each other.
fn find_contact(db: &mut Db, from: &E164, to: &E164) -> Result<Option<Route>> {
    let query = FindPair { from: from.clone(), to: to.clone() };
    let row: Option<PairRow> = each!(db, |c| query.get_result(c).optional())?;
    route_of(db, row)
}

fn route_of(db: &mut Db, row: Option<PairRow>) -> Result<Option<Route>> {
    let Some((account, handset, contact, conversation, peer, state, theirs, peer_state, line, guard)) = row
    else {
        return Ok(None);
    };
    let (Some(conversation), Some(peer)) = (conversation, peer) else { return Ok(None) };
    let open = state == "accepted" && peer_state == "accepted";
    // Without a number on the other side there is no way on to its phone, if it has one.
    let onward = if open && line == "assigned" { sms_line(db, peer, theirs)? } else { None };
    let guard = to_guard(guard);
    Ok(Some(Route { account, handset, contact, conversation, peer, open, onward, guard, retired: false }))
}

/// Why a pair names no contact that can be written to, step by step.
fn explain(db: &mut Db, from: &E164, to: &E164) -> Result<Meaning> {
    let ours: Option<(NumberId, String)> = each!(db, |c| numbers::table
        .filter(numbers::number.eq(to))
        .select((numbers::id, numbers::state))
        .first(c)
        .optional())?;
    let Some((number, number_state)) = ours else { return Ok(Meaning::NotOurs) };
    let retired = number_state == NumberState::Retired.as_str();
    let holder: Option<(AccountId, HandsetId, String)> = each!(db, |c| handsets::table
        .inner_join(accounts::table.on(accounts::id.eq(handsets::account_id)))
        .filter(handsets::number.eq(from))
        .filter(sql::<Bool>(VERIFIED))
        .select((handsets::account_id, handsets::id, accounts::locale))
        .first(c)
        .optional())?;
    let Some((account, handset, locale)) = holder else {
        let looping: i64 =
            each!(db, |c| numbers::table.filter(numbers::number.eq(from)).count().get_result(c))?;
        return Ok(if looping > 0 { Meaning::Ourselves } else { Meaning::Stranger });
    };
    let pair = find_pair(db, account, number, retired)?;
    let Some((contact, Some(conversation), Some(peer), peer_contact, state)) = pair else {
        return Ok(Meaning::Nobody { account, locale });
    };
    let peer_state = match peer_contact {
        Some(peer_contact) => contact_state(db, peer, peer_contact)?,
        None => None,
    };
    let open = state == "accepted" && peer_state.as_deref() == Some("accepted");
    let onward = match peer_contact {
        Some(peer_contact) if open => sms_line(db, peer, peer_contact)?,
        _ => None,
    };
    let guard = guard::find(db, account, handset)?.0;
    let route = Route { account, handset, contact, conversation, peer, open, onward, guard, retired };
    Ok(Meaning::Contact(Box::new(route)))
}

type Named = (ContactId, Option<ConversationId>, Option<AccountId>, Option<ContactId>, String);

/// Whom a number names for an account. One that is no longer ours names whom it named last: phones remember numbers
/// longer than we have them, and a carrier that failed hands over what it has when it is back.
fn find_pair(db: &mut Db, account: AccountId, number: NumberId, retired: bool) -> Result<Option<Named>> {
    let which = if retired { "TRUE" } else { ACTIVE };
    Ok(each!(db, |c| assignments::table
        .inner_join(contacts::table.on(
            contacts::account_id.eq(assignments::account_id).and(contacts::id.eq(assignments::contact_id))
        ))
        .filter(assignments::account_id.eq(account))
        .filter(assignments::number_id.eq(number))
        .filter(sql::<Bool>(which))
        .select((
            contacts::id,
            contacts::conversation_id,
            contacts::peer_account_id,
            contacts::peer_contact_id,
            contacts::state,
        ))
        .order(assignments::assigned_at.desc())
        .first(c)
        .optional())?)
}

fn contact_state(db: &mut Db, account: AccountId, contact: ContactId) -> Result<Option<String>> {
    Ok(each!(db, |c| contacts::table
        .filter(contacts::account_id.eq(account))
        .filter(contacts::id.eq(contact))
        .select(contacts::state)
        .first(c)
        .optional())?)
}

/// How `contact` reaches the handset of `account`, if the account has a verified one and the contact a number.
///
/// With several handsets the one that was heard from last counts.
pub fn sms_line(db: &mut Db, account: AccountId, contact: ContactId) -> Result<Option<SmsLine>> {
    let from: Option<(String, E164)> = each!(db, |c| assignments::table
        .inner_join(numbers::table.on(numbers::id.eq(assignments::number_id)))
        .filter(assignments::account_id.eq(account))
        .filter(assignments::contact_id.eq(contact))
        .filter(sql::<Bool>(ACTIVE))
        .select((numbers::carrier_id, numbers::number))
        .first(c)
        .optional())?;
    let Some((carrier_id, from)) = from else { return Ok(None) };
    let heard: Vec<(E164, Option<Timestamp>)> = each!(db, |c| handsets::table
        .filter(handsets::account_id.eq(account))
        .filter(sql::<Bool>(VERIFIED))
        .select((handsets::number, handsets::last_heard_at))
        .order(handsets::id.asc())
        .load(c))?;
    let latest = heard.into_iter().max_by_key(|(_, heard_at)| *heard_at);
    Ok(latest.map(|(to, _)| SmsLine { carrier_id, from, to }))
}

/// The account's verified handset of this number.
pub fn handset_of(db: &mut Db, account: AccountId, number: &E164) -> Result<Option<HandsetId>> {
    Ok(each!(db, |c| handsets::table
        .filter(handsets::account_id.eq(account))
        .filter(handsets::number.eq(number))
        .filter(sql::<Bool>(VERIFIED))
        .select(handsets::id)
        .first(c)
        .optional())?)
}

/// The cache in front of [`resolve`].
pub struct Routes {
    entries: Cache<(E164, E164), Route>,
    changes: AtomicU64,
}

impl Default for Routes {
    fn default() -> Self {
        let entries = Cache::builder()
            .max_capacity(ENTRIES_MAX)
            .time_to_live(FRESH)
            .support_invalidation_closures()
            .build();
        Routes { entries, changes: AtomicU64::new(0) }
    }
}

impl Routes {
    /// What is remembered of (handset, number).
    pub fn get(&self, from: &E164, to: &E164) -> Option<Route> {
        self.entries.get(&(from.clone(), to.clone()))
    }

    /// Take it before [`resolve`] and give it to [`Routes::put`].
    pub fn stamp(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Remembers a route, unless something changed since `stamp`: what was read before a commit must not outlive it.
    /// What names nobody is asked anew each time, as it is rare and must heal at once.
    pub fn put(&self, from: &E164, to: &E164, route: &Route, stamp: u64) {
        if self.stamp() == stamp {
            self.entries.insert((from.clone(), to.clone()), route.clone());
        }
    }

    /// Forgets one route that turned out to be stale.
    pub fn forget(&self, from: &E164, to: &E164) {
        self.entries.invalidate(&(from.clone(), to.clone()));
    }

    /// Drops what a commit made stale.
    pub fn hear(&self, signal: &Signal) {
        match signal {
            Signal::Account { account, topics, .. } if topics.has(Topics::ROUTES) => {
                let account = *account;
                self.changes.fetch_add(1, Ordering::AcqRel);
                // Refused only when closures are not supported, which the builder asked for.
                let _ = self
                    .entries
                    .invalidate_entries_if(move |_, route| route.account == account || route.peer == account);
            }
            Signal::Pool => {
                self.changes.fetch_add(1, Ordering::AcqRel);
                self.entries.invalidate_all();
            }
            Signal::Account { .. } | Signal::Jobs | Signal::News(_) => {}
        }
    }
}
