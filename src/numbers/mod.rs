//! The pool of virtual numbers and who holds which.
//!
//! A number names a contact only together with the account that dials it: the *pair* (account, number). While a pair
//! is active or resting nobody else of that account may have its number; other accounts may, at any time. That is the
//! constraint `assignments_pair`, and the reason why a small pool serves everybody. Rows of past pairs are kept, so
//! that a contact that comes back gets the number it had.
//!
//! Assigning is set-based: one read of what the account holds, one read of the pool, one insert, for one contact or
//! for a thousand. The account's turn (`account_counters.number_turn`) is taken first; it is the lock.

pub mod api;
pub mod assignment;
pub mod forecast;
pub mod orders;
pub mod plan;
pub mod reserve;
mod store;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::carriers::Features;
use crate::clock::Timestamp;
use crate::db::{Db, Signal};
use crate::error::{Error, Result};
use crate::ids::{AccountId, AssignmentId, ContactId, NumberId};
use crate::phone::E164;
use crate::watch;

use assignment::{Candidate, Choice, Want};

/// What a number can do, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities(pub i32);

impl Capabilities {
    /// Text messages.
    pub const SMS: Capabilities = Capabilities(1);
    /// Messages with pictures and files.
    pub const MMS: Capabilities = Capabilities(2);
    /// Calls.
    pub const VOICE: Capabilities = Capabilities(4);

    const NAMES: [(&'static str, Capabilities); 3] =
        [("sms", Capabilities::SMS), ("mms", Capabilities::MMS), ("voice", Capabilities::VOICE)];

    /// Whether all of `other` is in here.
    pub fn has(self, other: Capabilities) -> bool {
        self.0 & other.0 == other.0
    }

    /// Reads names separated by `+`, `|`, `;` or spaces: `sms+voice`.
    pub fn parse(text: &str) -> Result<Self> {
        let mut bits = 0;
        for word in text.split(['+', '|', ';', ' ']).filter(|w| !w.is_empty()) {
            let known = Capabilities::NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
            let Some((_, capability)) = known else {
                return Err(Error::invalid(
                    "capabilities",
                    "unknown_capability",
                    format!("{word} is not a capability; known are sms, mms and voice."),
                ));
            };
            bits |= capability.0;
        }
        if bits == 0 {
            return Err(Error::invalid(
                "capabilities",
                "no_capability",
                "Name at least one of sms, mms and voice.",
            ));
        }
        Ok(Capabilities(bits))
    }

    /// Of what a carrier says that a number can do.
    pub fn of(features: Features) -> Self {
        let able = [
            (features.sms, Capabilities::SMS),
            (features.mms, Capabilities::MMS),
            (features.voice, Capabilities::VOICE),
        ];
        Capabilities(able.into_iter().filter(|(is, _)| *is).fold(0, |all, (_, one)| all | one.0))
    }

    /// The same in a carrier's words.
    pub fn features(self) -> Features {
        let has = |one| self.has(one);
        Features { sms: has(Capabilities::SMS), mms: has(Capabilities::MMS), voice: has(Capabilities::VOICE) }
    }

    /// The names of what it can do.
    pub fn names(self) -> Vec<&'static str> {
        Capabilities::NAMES.iter().filter(|(_, c)| self.has(*c)).map(|(name, _)| *name).collect()
    }
}

/// Where a number stands in its life with us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberState {
    /// May be given to contacts.
    Available,
    /// Keeps its contacts, gets no new ones.
    Suspended,
    /// No longer ours.
    Retired,
}

impl NumberState {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            NumberState::Available => "available",
            NumberState::Suspended => "suspended",
            NumberState::Retired => "retired",
        }
    }

    fn parse(text: &str) -> Self {
        match text {
            "available" => NumberState::Available,
            "suspended" => NumberState::Suspended,
            _ => NumberState::Retired,
        }
    }
}

/// One of our numbers.
#[derive(Debug, Clone)]
pub struct Number {
    /// Which.
    pub id: NumberId,
    /// What people dial.
    pub number: E164,
    /// ISO 3166 region.
    pub region: String,
    /// Area code, empty where the plan has none.
    pub area: String,
    /// Whose API it is reached through.
    pub carrier_id: String,
    /// What it can do.
    pub capabilities: Capabilities,
    /// Where it stands.
    pub state: NumberState,
    /// When it joined the pool.
    pub created_at: Timestamp,
    /// When it was taken out of service. One that came back ages until it is given to anybody again.
    pub retired_at: Option<Timestamp>,
}

/// A contact that should have a number.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Which contact of the account.
    pub contact: ContactId,
    /// What the contact is, the same for every account.
    pub identity: [u8; 16],
}

/// What came of a [`Wanted`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Which contact.
    pub contact: ContactId,
    /// Its number; `None` when the pool has run out for this account.
    pub number: Option<(NumberId, E164)>,
    /// The number that it had before, when another one was chosen for it just now.
    pub before: Option<Former>,
}

/// A number that a contact had, and when its account reached the contact by it, and nobody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Former {
    /// Which.
    pub number: NumberId,
    /// From when on.
    pub since: Timestamp,
    /// Until it was given to another contact of the account, if it was.
    pub until: Option<Timestamp>,
}

/// A number an SMS of our own can come from.
#[derive(Debug, Clone)]
pub struct Sender {
    /// Through which carrier.
    pub carrier_id: String,
    /// The number.
    pub number: E164,
}

/// A number as it arrives from an import.
#[derive(Debug, Clone)]
pub struct Import {
    /// The number.
    pub number: E164,
    /// Through which carrier it is reached.
    pub carrier_id: String,
    /// What it can do.
    pub capabilities: Capabilities,
}

/// What an account holds, by what it is to the one who assigns.
#[derive(Default)]
struct Held {
    active: HashMap<ContactId, NumberId>,
    resting: HashMap<ContactId, (AssignmentId, NumberId)>,
    past: HashMap<ContactId, NumberId>,
    /// Numbers that may not be given to another contact of this account.
    used: HashSet<NumberId>,
}

impl Held {
    fn sort(rows: &[store::AssignmentRow]) -> Held {
        let mut held = Held::default();
        for row in rows {
            match row.state.as_str() {
                "active" => drop(held.active.insert(row.contact_id, row.number_id)),
                "resting" => drop(held.resting.insert(row.contact_id, (row.id, row.number_id))),
                _ => drop(held.past.insert(row.contact_id, row.number_id)),
            }
            if row.state != "past" {
                held.used.insert(row.number_id);
            }
        }
        held
    }
}

/// When one number meant this contact, by the account's assignments of it in the order in which they were made.
fn former(rows: &[&store::AssignmentRow], contact: ContactId) -> Option<Former> {
    let mut found: Option<Former> = None;
    for row in rows {
        let at = row.id.made_at();
        found = match found {
            _ if row.contact_id != contact => found.map(|of| Former { until: of.until.or(Some(at)), ..of }),
            Some(of) if of.until.is_none() => Some(of),
            _ => Some(Former { number: row.number_id, since: at, until: None }),
        };
    }
    found
}

/// What contacts had before their fresh numbers, looked up without going through all the account has for each.
struct Replaced<'a> {
    by_number: HashMap<NumberId, Vec<&'a store::AssignmentRow>>,
    fresh: HashMap<ContactId, NumberId>,
}

impl<'a> Replaced<'a> {
    fn new(rows: &'a [store::AssignmentRow], fresh: &[store::NewAssignment]) -> Self {
        let mut by_number: HashMap<NumberId, Vec<&store::AssignmentRow>> = HashMap::new();
        for row in rows {
            by_number.entry(row.number_id).or_default().push(row);
        }
        Replaced { by_number, fresh: fresh.iter().map(|new| (new.contact_id, new.number_id)).collect() }
    }

    /// Who keeps his number, or gets back the one that rested, has nothing to take along.
    fn of(&self, contact: ContactId, before: NumberId) -> Option<Former> {
        let now = self.fresh.get(&contact)?;
        (*now != before).then(|| former(self.by_number.get(&before)?, contact))?
    }
}

/// The numbers of a region that can be given to contacts.
fn candidates_of(db: &mut Db, region: &str) -> Result<(HashMap<NumberId, E164>, Vec<Candidate>)> {
    let (mut numbers, mut candidates) = (HashMap::new(), Vec::new());
    for (id, number, area, capabilities) in store::list_candidates(db, region)? {
        if Capabilities(capabilities).has(Capabilities::SMS) {
            candidates.push(Candidate { id, area });
            numbers.insert(id, number);
        }
    }
    Ok((numbers, candidates))
}

/// Gives each wanted contact a number local to `near`. A contact that has one already keeps it.
///
/// The caller writes contacts, cards and events in the same transaction and leaves the `ROUTES` signal.
pub fn assign(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    near: &E164,
    wanted: &[Wanted],
) -> Result<Vec<Outcome>> {
    store::take_turn(db, account)?;
    let region = near.region();
    let (numbers, candidates) = candidates_of(db, &region)?;
    let rows = store::list_assignments(db, account)?;
    let Held { mut active, resting, past, used } = Held::sort(&rows);
    let mut choice = Choice::new(&candidates, near.area(), |id| used.contains(&id));

    let mut back = Vec::new();
    let mut fresh = Vec::new();
    let mut chosen: Vec<(ContactId, Option<NumberId>)> = Vec::with_capacity(wanted.len());
    for want in wanted {
        let number = if let Some(number) = active.get(&want.contact) {
            Some(*number)
        } else if let Some((id, number)) = resting.get(&want.contact).filter(|(_, n)| numbers.contains_key(n))
        {
            back.push(*id);
            Some(*number)
        } else {
            let want_number = Want { identity: want.identity, previous: past.get(&want.contact).copied() };
            let number = choice.take(&want_number);
            if let Some(number_id) = number {
                fresh.push(store::NewAssignment {
                    account_id: account,
                    id: AssignmentId::new(now),
                    number_id,
                    contact_id: want.contact,
                    state: "active",
                    assigned_at: now,
                });
            }
            number
        };
        if let Some(number) = number {
            active.insert(want.contact, number);
        }
        chosen.push((want.contact, number));
    }
    store::reactivate(db, account, &back, now)?;
    if store::insert_assignments(db, &fresh)? != fresh.len() {
        // The turn makes this impossible; if it happens all the same, the whole transaction is run again.
        return Err(Error::unavailable("number_taken", "Somebody else took the number. Try again."));
    }
    let exhausted = chosen.iter().filter(|(_, number)| number.is_none()).count();
    if exhausted > 0 {
        tracing::error!(%region, pool = candidates.len(), waiting = exhausted, account.id = %account,
            "the pool of numbers has run out for an account: import more numbers of this region");
    }
    let replaced = Replaced::new(&rows, &fresh);
    let had = |contact: &ContactId| resting.get(contact).map(|(_, id)| *id).or(past.get(contact).copied());
    let to_outcome = |(contact, number): (ContactId, Option<NumberId>)| Outcome {
        contact,
        before: had(&contact).and_then(|before| replaced.of(contact, before)),
        number: number.and_then(|id| numbers.get(&id).map(|e164| (id, e164.clone()))),
    };
    Ok(chosen.into_iter().map(to_outcome).collect())
}

/// Lets the pairs of these contacts rest; nobody else of the account may have their numbers before `rest` is over.
pub fn release(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    contacts: &[ContactId],
    rest: Duration,
) -> Result<()> {
    store::rest(db, account, contacts, now, now.plus(rest))?;
    Ok(())
}

/// A pair whose rest is over, whom it named, and when it was released.
pub type Rested = (AccountId, AssignmentId, ContactId, Option<Timestamp>);

/// Pairs whose rest is over, at most `limit`. They are free once the phone has been seen to drop the card.
pub fn rested(db: &mut Db, now: Timestamp, limit: i64) -> Result<Vec<Rested>> {
    store::list_rested(db, now, limit)
}

/// Lets a resting pair rest until `until`.
pub fn rest_longer(db: &mut Db, account: AccountId, id: AssignmentId, until: Timestamp) -> Result<()> {
    store::rest_longer(db, account, id, until)
}

/// Frees pairs for the account; their history stays.
pub fn free(db: &mut Db, account: AccountId, ids: &[AssignmentId]) -> Result<()> {
    store::set_past(db, account, ids)
}

/// The active numbers of these contacts.
pub fn numbers_of(
    db: &mut Db,
    account: AccountId,
    contacts: &[ContactId],
) -> Result<HashMap<ContactId, E164>> {
    let rows = store::list_numbers_of(db, account, contacts)?;
    Ok(rows.into_iter().map(|(contact, _, number)| (contact, number)).collect())
}

/// A number for an SMS of our own (a code) to a handset of the account: of the handset's region, or of any when that has
/// none. Not one that names a contact for the account, as long as there is another: a code is not from a friend. Which
/// of them follows from the handset, so that not all codes leave from one number. Carriers that are down are passed over
/// as long as there is another one, and of the others the first of `cheapest_first` is taken, if any is named there.
pub fn sender_for(
    db: &mut Db,
    account: AccountId,
    handset: &E164,
    cheapest_first: &[String],
) -> Result<Option<Sender>> {
    let mut pool = store::list_pool(db, &handset.region())?;
    if pool.is_empty() {
        pool = store::list_numbers(db, None, 1_000)?;
    }
    pool.retain(|n| n.state == NumberState::Available && n.capabilities.has(Capabilities::SMS));
    let used = Held::sort(&store::list_assignments(db, account)?).used;
    let avoided = watch::avoided(db)?;
    if pool.iter().any(|n| !avoided.contains(&n.carrier_id)) {
        pool.retain(|n| !avoided.contains(&n.carrier_id));
    }
    if let Some(cheapest) = cheapest_first.iter().find(|id| pool.iter().any(|n| n.carrier_id == **id)) {
        pool.retain(|n| n.carrier_id == *cheapest);
    }
    if pool.iter().any(|n| !used.contains(&n.id)) {
        pool.retain(|n| !used.contains(&n.id));
    }
    let hash = blake3::hash(handset.as_str().as_bytes());
    let pick = hash.as_bytes().iter().take(4).fold(0usize, |sum, byte| (sum << 8) | usize::from(*byte));
    let place = pick.checked_rem(pool.len()).unwrap_or(0);
    Ok(pool.into_iter().nth(place).map(|n| Sender { carrier_id: n.carrier_id, number: n.number }))
}

/// Numbers of a carrier that are in service or suspended, oldest first.
pub fn list_of_carrier(db: &mut Db, carrier_id: &str, limit: i64) -> Result<Vec<Number>> {
    store::list_of_carrier(db, carrier_id, limit)
}

/// Our number behind these digits.
pub fn find(db: &mut Db, number: &E164) -> Result<Option<Number>> {
    store::find_by_number(db, number)
}

/// A page of the pool, oldest first.
pub fn list(db: &mut Db, after: Option<NumberId>, limit: i64) -> Result<Vec<Number>> {
    store::list_numbers(db, after, limit)
}

/// Adds numbers to the pool; answers how many are new. One that was retired is ours again, and is given to
/// nobody before [`end_ageing`] lets it. The caller enqueues the job that serves waiting contacts.
pub fn import(db: &mut Db, now: Timestamp, imports: &[Import]) -> Result<usize> {
    let to_row = |import: &Import| store::NewNumber {
        id: NumberId::new(now),
        number: import.number.clone(),
        region: import.number.region(),
        area: import.number.area().unwrap_or("").to_owned(),
        carrier_id: import.carrier_id.clone(),
        capabilities: import.capabilities.0,
        state: NumberState::Available.as_str(),
        created_at: now,
    };
    let rows: Vec<store::NewNumber> = imports.iter().map(to_row).collect();
    if let Some(row) = rows.iter().find(|row| row.region.is_empty()) {
        return Err(Error::invalid("number", "no_region", format!("{} belongs to no country.", row.number)));
    }
    let count = store::revive_numbers(db, &rows)? + store::insert_numbers(db, &rows)?;
    if count > 0 {
        db.signal(Signal::Pool);
    }
    Ok(count)
}

/// Lets those numbers be given again that came back and have aged; answers how many. The caller serves who waits.
///
/// Phones and people remember a number for longer than we have had it: one that was retired and comes back must not name
/// somebody else at once.
pub fn end_ageing(db: &mut Db, now: Timestamp, ageing: Duration) -> Result<usize> {
    let count = store::end_ageing(db, now.minus(ageing))?;
    if count > 0 {
        db.signal(Signal::Pool);
    }
    Ok(count)
}

/// Takes a number out of service for good (the carrier took it away). Answers who held it: those contacts need
/// another one, which the caller arranges in the same transaction or by a job.
pub fn retire(db: &mut Db, now: Timestamp, id: NumberId) -> Result<Vec<(AccountId, ContactId)>> {
    let number = store::find_by_id(db, id)?.ok_or_else(|| Error::not_found("number"))?;
    if number.state == NumberState::Retired {
        return Ok(Vec::new());
    }
    store::set_state(db, id, NumberState::Retired, now)?;
    let holders = take_from_holders(db, id)?;
    db.signal(Signal::Pool);
    Ok(holders)
}

/// Numbers by their ids; unknown ones are left out.
pub fn list_by_ids(db: &mut Db, ids: &[NumberId]) -> Result<Vec<Number>> {
    store::list_by_ids(db, ids)
}

/// Stops giving a number to contacts, or starts again. Those who have it keep it.
pub fn suspend(db: &mut Db, now: Timestamp, id: NumberId, state: NumberState) -> Result<Number> {
    let number = store::find_by_id(db, id)?.ok_or_else(|| Error::not_found("number"))?;
    if number.state == NumberState::Retired || state == NumberState::Retired {
        return Err(Error::conflict("number_retired", "A retired number comes back by importing it again."));
    }
    store::set_state(db, id, state, now)?;
    db.signal(Signal::Pool);
    Ok(Number { state, ..number })
}

/// Another carrier has the number now (it was ported): whoever has it keeps it.
pub fn port(db: &mut Db, id: NumberId, carrier_id: &str) -> Result<Number> {
    let number = store::find_by_id(db, id)?.ok_or_else(|| Error::not_found("number"))?;
    if number.state == NumberState::Retired {
        return Err(Error::conflict("number_retired", "A retired number comes back by importing it again."));
    }
    store::set_carrier(db, id, carrier_id)?;
    db.signal(Signal::Pool);
    Ok(Number { carrier_id: carrier_id.to_owned(), ..number })
}

/// Whoever was given a number while it was being retired, by a transaction that had not seen it yet. To be asked for a
/// little after [`retire`]; the caller goes on as after that.
pub fn retire_late(db: &mut Db, id: NumberId) -> Result<Vec<(AccountId, ContactId)>> {
    match store::find_by_id(db, id)? {
        Some(number) if number.state == NumberState::Retired => take_from_holders(db, id),
        _ => Ok(Vec::new()),
    }
}

fn take_from_holders(db: &mut Db, id: NumberId) -> Result<Vec<(AccountId, ContactId)>> {
    let holders = store::list_holders(db, id)?;
    let mut by_account: HashMap<AccountId, Vec<AssignmentId>> = HashMap::new();
    for (account, assignment, _) in &holders {
        by_account.entry(*account).or_default().push(*assignment);
    }
    for (account, ids) in by_account {
        store::set_past(db, account, &ids)?;
    }
    Ok(holders.into_iter().map(|(account, _, contact)| (account, contact)).collect())
}

/// Numbers by region and state, for metrics and the operator: (region, state, count).
pub fn counts(db: &mut Db) -> Result<Vec<(String, String, i64)>> {
    store::counts(db)
}

/// The most pairs any account has in use or at rest.
pub fn largest_holding(db: &mut Db) -> Result<i64> {
    store::largest_holding(db)
}

/// What the account with the largest holding has and had in the last days, by region.
pub fn largest_holder(db: &mut Db, now: Timestamp) -> Result<Vec<(String, forecast::Held)>> {
    let Some(account) = store::largest_holder(db)? else { return Ok(Vec::new()) };
    let since = Timestamp(now.0 - forecast::DAYS * 24 * 3_600 * 1_000_000);
    store::list_held(db, account, since)
}

/// Forgets everything an account held.
pub fn erase(db: &mut Db, account: AccountId) -> Result<()> {
    store::erase(db, account)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_meant_a_contact_until_it_was_given_to_another() {
        let (one, other, number) =
            (ContactId::new(Timestamp(1)), ContactId::new(Timestamp(2)), NumberId::new(Timestamp(3)));
        let row = |seconds: i64, contact_id: ContactId| store::AssignmentRow {
            id: AssignmentId::new(Timestamp(seconds * 1_000_000)),
            number_id: number,
            contact_id,
            state: "past".to_owned(),
        };
        let at = |seconds: i64| Timestamp(seconds * 1_000_000);
        let since =
            |since: i64, until: Option<i64>| Some(Former { number, since: at(since), until: until.map(at) });
        let former = |rows: &[store::AssignmentRow], number: NumberId| {
            let fresh = store::NewAssignment {
                account_id: AccountId::new(Timestamp(5)),
                id: AssignmentId::new(Timestamp(6)),
                number_id: NumberId::new(Timestamp(7)),
                contact_id: one,
                state: "active",
                assigned_at: Timestamp(6),
            };
            Replaced::new(rows, &[fresh]).of(one, number)
        };
        assert_eq!(former(&[], number), None);
        assert_eq!(former(&[row(5, one)], number), since(5, None));
        let mut rows = vec![row(1, other), row(5, one), row(7, one), row(9, other), row(11, other)];
        assert_eq!(former(&rows, number), since(5, Some(9)));
        rows.push(row(13, one));
        assert_eq!(former(&rows, number), since(13, None));
        assert_eq!(former(&rows, NumberId::new(Timestamp(4))), None);
        // Nothing is taken along by who has no fresh number, or the same again.
        let none = Replaced::new(&rows, &[]);
        assert_eq!(none.of(one, number), None);
        let same = Replaced { fresh: HashMap::from([(one, number)]), ..none };
        assert_eq!(same.of(one, number), None);
    }

    #[test]
    fn a_thousand_replacements_are_told_as_one_by_one() {
        let contacts: Vec<ContactId> = (0..1_000).map(|n| ContactId::new(Timestamp(n))).collect();
        let numbers: Vec<NumberId> = (0..2_000).map(|n| NumberId::new(Timestamp(n))).collect();
        let rows: Vec<store::AssignmentRow> = contacts
            .iter()
            .zip(&numbers)
            .chain(contacts.iter().zip(numbers.iter().skip(1)).take(500))
            .enumerate()
            .map(|(n, (contact_id, number_id))| store::AssignmentRow {
                id: AssignmentId::new(Timestamp(n as i64 * 1_000_000)),
                number_id: *number_id,
                contact_id: *contact_id,
                state: "past".to_owned(),
            })
            .collect();
        let fresh = contacts.iter().copied().zip(numbers.iter().skip(1_000).copied()).collect();
        let all = Replaced { fresh, ..Replaced::new(&rows, &[]) };
        for (contact, before) in contacts.iter().zip(&numbers) {
            let alone: Vec<_> = rows.iter().filter(|row| row.number_id == *before).collect();
            let found = all.of(*contact, *before);
            assert!(found.is_some());
            assert_eq!(found, former(&alone, *contact));
        }
    }

    #[test]
    fn capabilities_are_read_as_people_write_them() {
        assert_eq!(Capabilities::parse("sms+voice").unwrap().names(), ["sms", "voice"]);
        assert_eq!(Capabilities::parse("SMS|MMS").unwrap(), Capabilities(3));
        assert_eq!(Capabilities::parse("fax").unwrap_err().code(), "unknown_capability");
        assert_eq!(Capabilities::parse("").unwrap_err().code(), "no_capability");
    }
}
