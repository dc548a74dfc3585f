//! How fast SMS leave, and whose turn it is.
//!
//! A carrier takes so many segments a minute from each number, within a campaign and altogether. Each of these is a
//! *gate*: a token bucket that is a row, so that all nodes share it and it holds whatever number of them there is. An
//! SMS goes through when its gates are open and nobody waits before it; otherwise its job is parked and waits its turn.
//!
//! Turns are fair: an SMS is stamped with the turn that its writer has reached at this gate (start-time fair queueing;
//! Goyal, Vin and Cheng, 1996), so one who sends ten thousand waits for himself and another one's single word goes next.
//! What somebody wrote and codes go before notices. The order within a conversation is the queue's (`order_key`): one of
//! its jobs is here at most.

use std::collections::VecDeque;
use std::time::Duration;

use diesel::prelude::*;

use crate::carriers::{CampaignDay, Rates};
use crate::clock::Timestamp;
use crate::db::{Conn, Db};
use crate::each;
use crate::error::Result;
use crate::ids::JobId;
use crate::phone::E164;
use crate::queue;
use crate::schema::{sms_gates, sms_waiting};

/// The gate of a whole carrier.
const ACCOUNT: &str = "";
/// The gate of its campaign.
const CAMPAIGN: &str = "*";
/// The count of a campaign's day: `full_at` is when the day began and `turn` how many segments have left on it.
const DAY: &str = "*day";
/// What may leave at once after a silence is the allowance of this part of a minute. The rest of the minute's allowance
/// follows evenly, so that nobody's word waits for a minute because somebody else was quick.
const BURST_PART: u32 = 6;
/// Rows of one number looked at in one go.
const HEADS: i64 = 16;
/// Gates that were not used for this long are forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(24 * 3600);

/// A token bucket, as an instant (the generic cell rate algorithm): until `full_at` the bucket fills up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// When it will be full.
    pub full_at: Timestamp,
    /// Segments a minute; `None`: no limit.
    pub per_minute: Option<u32>,
}

impl Bucket {
    fn step(self) -> Option<Duration> {
        self.per_minute.map(|rate| Duration::from_secs(60) / rate.max(1))
    }

    /// From when on a segment may leave.
    pub fn open_at(self) -> Timestamp {
        let Some(step) = self.step() else { return Timestamp(0) };
        let burst = (self.per_minute.unwrap_or(1) / BURST_PART).max(1);
        self.full_at.minus(step * (burst - 1))
    }

    /// Lets an SMS through. A long one goes as soon as there is room for its first segment; those after it wait longer.
    #[must_use]
    pub fn take(self, now: Timestamp, segments: u32) -> Bucket {
        let Some(step) = self.step() else { return self };
        Bucket { full_at: self.full_at.max(now).plus(step * segments), ..self }
    }
}

/// An SMS that wants to leave.
#[derive(Debug, Clone)]
pub struct Asks {
    /// The job that sends it, running.
    pub job: JobId,
    /// Through which carrier.
    pub carrier_id: String,
    /// From which of our numbers.
    pub number: E164,
    /// Whether it belongs to the carrier's campaign.
    pub in_campaign: bool,
    /// Lower ones go first.
    pub rank: i16,
    /// Who causes it.
    pub share: String,
    /// What it costs.
    pub segments: i16,
    /// The carrier does not answer: it waits its turn until [`release`] is told otherwise.
    pub is_stuck: bool,
}

/// Campaigns (10DLC) are about texts from a long code of the North American plan to a phone there.
pub fn is_in_campaign(from: &E164, to: &E164) -> bool {
    const TOLL_FREE: [&str; 7] = ["+1800", "+1833", "+1844", "+1855", "+1866", "+1877", "+1888"];
    let inside = |number: &E164| number.as_str().starts_with("+1");
    inside(from) && inside(to) && !TOLL_FREE.iter().any(|start| from.as_str().starts_with(start))
}

/// A row of `sms_gates`.
#[derive(Debug, Clone, Queryable)]
struct Gate {
    gate: String,
    full_at: Timestamp,
    /// The turn that was served last.
    turn: i64,
    waiting: i64,
}

impl Gate {
    fn bucket(&self, rates: Rates) -> Bucket {
        let per_minute = match self.gate.as_str() {
            ACCOUNT => rates.account_per_minute,
            CAMPAIGN => rates.campaign_per_minute,
            _ => rates.number_per_minute,
        };
        Bucket { full_at: self.full_at, per_minute }
    }

    fn take(&mut self, rates: Rates, now: Timestamp, segments: u32) {
        self.full_at = self.bucket(rates).take(now, segments).full_at;
    }
}

/// A number's own limit does not count where a campaign's does.
fn number_bucket(gate: &Gate, rates: Rates, in_campaign: bool) -> Bucket {
    let bucket = gate.bucket(rates);
    let per_minute = bucket.per_minute.filter(|_| !(in_campaign && rates.campaign_per_minute.is_some()));
    Bucket { per_minute, ..bucket }
}

/// Asks whether an SMS may leave now. When not, its job is parked until [`release`] names it.
pub fn ask(db: &mut Db, now: Timestamp, rates: Rates, asks: &Asks) -> Result<bool> {
    let number = asks.number.as_str();
    let mut gates = Gates::lock(db, &asks.carrier_id, &[ACCOUNT, CAMPAIGN, DAY, number])?;
    let is_free = !asks.is_stuck
        && gates.are_open(rates, now, number, asks.in_campaign)
        && gates.get(number).waiting == 0
        && !others_could_go(db, &gates, rates, now)?;
    if is_free {
        gates.pass(rates, now, number, asks.in_campaign, asks.segments);
        gates.store(db)?;
        return Ok(true);
    }
    let turn = next_turn(db, asks, gates.get(number).turn)?;
    let carrier_turn = next_carrier_turn(db, asks, gates.get(ACCOUNT).turn)?;
    each!(db, |c| diesel::insert_into(sms_waiting::table)
        .values((
            sms_waiting::job_id.eq(asks.job),
            sms_waiting::carrier_id.eq(&asks.carrier_id),
            sms_waiting::number.eq(number),
            sms_waiting::in_campaign.eq(asks.in_campaign),
            sms_waiting::rank.eq(asks.rank),
            sms_waiting::share.eq(&asks.share),
            sms_waiting::segments.eq(asks.segments),
            sms_waiting::turn.eq(turn),
            sms_waiting::carrier_turn.eq(carrier_turn),
            sms_waiting::at.eq(now),
        ))
        .on_conflict_do_nothing()
        .execute(c))?;
    gates.change(number, |gate| gate.waiting += 1);
    gates.change(ACCOUNT, |gate| gate.waiting += 1);
    gates.store(db)?;
    queue::park(db, asks.job)?;
    Ok(false)
}

/// Whether somebody waits at the carrier whose own gates are open: he goes first.
fn others_could_go(db: &mut Db, gates: &Gates, rates: Rates, now: Timestamp) -> Result<bool> {
    if gates.get(ACCOUNT).waiting == 0 {
        return Ok(false);
    }
    let numbers = list_waited_at(db, &gates.carrier_id)?;
    if gates.is_campaign_open(rates, now) {
        return Ok(numbers.into_iter().any(|gate| gate.bucket(rates).open_at() <= now));
    }
    // Whoever waits for the campaign could not go. The others among them are looked for only where it is closed.
    let outside: Vec<String> = each!(db, |c| sms_waiting::table
        .filter(sms_waiting::carrier_id.eq(&gates.carrier_id))
        .filter(sms_waiting::in_campaign.eq(false))
        .select(sms_waiting::number)
        .distinct()
        .load(c))?;
    let open = |gate: &Gate| gate.bucket(rates).open_at() <= now && outside.contains(&gate.gate);
    Ok(numbers.iter().any(open))
}

/// After what the same writer already has waiting at the number, and never before the turn that is being served.
fn next_turn(db: &mut Db, asks: &Asks, served: i64) -> Result<i64> {
    let last: Option<(i64, i16)> = each!(db, |c| sms_waiting::table
        .filter(sms_waiting::carrier_id.eq(&asks.carrier_id))
        .filter(sms_waiting::number.eq(asks.number.as_str()))
        .filter(sms_waiting::rank.eq(asks.rank))
        .filter(sms_waiting::share.eq(&asks.share))
        .select((sms_waiting::turn, sms_waiting::segments))
        .order(sms_waiting::turn.desc())
        .first(c)
        .optional())?;
    Ok(last.map_or(served, |(turn, segments)| served.max(turn + i64::from(segments))))
}

/// The same among all numbers of the carrier.
fn next_carrier_turn(db: &mut Db, asks: &Asks, served: i64) -> Result<i64> {
    let last: Option<(i64, i16)> = each!(db, |c| sms_waiting::table
        .filter(sms_waiting::carrier_id.eq(&asks.carrier_id))
        .filter(sms_waiting::rank.eq(asks.rank))
        .filter(sms_waiting::share.eq(&asks.share))
        .select((sms_waiting::carrier_turn, sms_waiting::segments))
        .order(sms_waiting::carrier_turn.desc())
        .first(c)
        .optional())?;
    Ok(last.map_or(served, |(turn, segments)| served.max(turn + i64::from(segments))))
}

/// Who may go now, in their order, at most `room`; their jobs are to be claimed in the same transaction. `limited`: the
/// carriers with limits; who waits at another one, because there was a limit before, may go. `stuck`: carriers that do
/// not answer; nobody goes to them.
pub fn release(
    db: &mut Db,
    now: Timestamp,
    limited: &[(String, Rates)],
    stuck: &[String],
    room: usize,
) -> Result<Vec<JobId>> {
    let mut released = Vec::new();
    for carrier_id in list_waited_for(db)?.into_iter().filter(|id| !stuck.contains(id)) {
        let left = room.saturating_sub(released.len());
        if left > 0 {
            let rates =
                limited.iter().find(|(id, _)| *id == carrier_id).map_or(Rates::NONE, |(_, rates)| *rates);
            released.extend(release_of(db, now, &carrier_id, rates, left)?);
        }
    }
    Ok(released)
}

/// The carriers for which somebody waits.
fn list_waited_for(db: &mut Db) -> Result<Vec<String>> {
    Ok(each!(db, |c| sms_gates::table
        .filter(sms_gates::gate.eq(ACCOUNT))
        .filter(diesel::dsl::sql::<diesel::sql_types::Bool>("waiting > 0"))
        .select(sms_gates::carrier_id)
        .order(sms_gates::carrier_id.asc())
        .load(c))?)
}

/// Somebody who waits.
#[derive(Debug, Clone, Queryable)]
struct Waiting {
    job: JobId,
    number: String,
    in_campaign: bool,
    rank: i16,
    segments: i16,
    turn: i64,
    carrier_turn: i64,
}

fn release_of(
    db: &mut Db,
    now: Timestamp,
    carrier_id: &str,
    rates: Rates,
    room: usize,
) -> Result<Vec<JobId>> {
    let numbers: Vec<String> = list_waited_at(db, carrier_id)?.into_iter().map(|gate| gate.gate).collect();
    let names: Vec<&str> =
        [ACCOUNT, CAMPAIGN, DAY].into_iter().chain(numbers.iter().map(String::as_str)).collect();
    let mut gates = Gates::lock(db, carrier_id, &names)?;
    let mut queues: Vec<VecDeque<Waiting>> = Vec::new();
    for number in &numbers {
        // Side by side: who waits for the campaign's next day is in nobody's way.
        for in_campaign in [false, true] {
            queues.push(list_heads(db, carrier_id, number, in_campaign, None)?.into());
        }
    }
    let mut released = Vec::new();
    while released.len() < room {
        let may_go = |w: &Waiting| gates.are_open(rates, now, &w.number, w.in_campaign);
        let first = |queue: &VecDeque<Waiting>| {
            queue.front().filter(|w| may_go(w)).map(|w| (w.rank, w.carrier_turn, w.turn, w.job))
        };
        let best =
            queues.iter_mut().filter_map(|queue| Some((first(queue)?, queue))).min_by_key(|(key, _)| *key);
        let Some((_, queue)) = best else { break };
        let Some(next) = queue.pop_front() else { break };
        gates.pass(rates, now, &next.number, next.in_campaign, next.segments);
        gates.served(&next);
        if queue.is_empty() {
            queue.extend(list_heads(db, carrier_id, &next.number, next.in_campaign, Some(&next))?);
        }
        released.push(next.job);
    }
    each!(db, |c| diesel::delete(sms_waiting::table)
        .filter(sms_waiting::job_id.eq_any(&released))
        .execute(c))?;
    gates.store(db)?;
    Ok(released)
}

/// The next of a number, inside or outside of the campaign, in their order.
fn list_heads(
    db: &mut Db,
    carrier_id: &str,
    number: &str,
    in_campaign: bool,
    after: Option<&Waiting>,
) -> Result<Vec<Waiting>> {
    each!(db, |c| {
        let mut query = sms_waiting::table
            .filter(sms_waiting::carrier_id.eq(carrier_id))
            .filter(sms_waiting::number.eq(number))
            .filter(sms_waiting::in_campaign.eq(in_campaign))
            .select((
                sms_waiting::job_id,
                sms_waiting::number,
                sms_waiting::in_campaign,
                sms_waiting::rank,
                sms_waiting::segments,
                sms_waiting::turn,
                sms_waiting::carrier_turn,
            ))
            .order((sms_waiting::rank.asc(), sms_waiting::turn.asc(), sms_waiting::job_id.asc()))
            .limit(HEADS)
            .into_boxed();
        if let Some(after) = after {
            let later_turn = sms_waiting::turn.gt(after.turn);
            let same_turn = sms_waiting::turn.eq(after.turn).and(sms_waiting::job_id.gt(after.job));
            let same_rank = sms_waiting::rank.eq(after.rank).and(later_turn.or(same_turn));
            query = query.filter(sms_waiting::rank.gt(after.rank).or(same_rank));
        }
        Ok(query.load(c)?)
    })
}

/// The numbers of a carrier at which somebody waits.
fn list_waited_at(db: &mut Db, carrier_id: &str) -> Result<Vec<Gate>> {
    Ok(each!(db, |c| sms_gates::table
        .filter(sms_gates::carrier_id.eq(carrier_id))
        .filter(diesel::dsl::sql::<diesel::sql_types::Bool>("waiting > 0"))
        .filter(sms_gates::gate.ne(ACCOUNT))
        .select((sms_gates::gate, sms_gates::full_at, sms_gates::turn, sms_gates::waiting))
        .order(sms_gates::gate.asc())
        .load(c))?)
}

/// Gates of one carrier, read in order to change them.
struct Gates {
    carrier_id: String,
    rows: Vec<Gate>,
}

impl Gates {
    /// Reads them and keeps others off until the transaction ends. The carrier's own comes first, so that two who want
    /// several numbers do not wait for each other in a ring.
    fn lock(db: &mut Db, carrier_id: &str, names: &[&str]) -> Result<Gates> {
        let mut rows = Vec::with_capacity(names.len());
        for name in names {
            rows.push(find_gate(db, carrier_id, name)?);
        }
        Ok(Gates { carrier_id: carrier_id.to_owned(), rows })
    }

    fn find(&self, name: &str) -> Option<&Gate> {
        self.rows.iter().find(|row| row.gate == name)
    }

    fn get(&self, name: &str) -> Gate {
        let none = || Gate { gate: name.to_owned(), full_at: Timestamp(0), turn: 0, waiting: 0 };
        self.find(name).cloned().unwrap_or_else(none)
    }

    /// Changes one that was locked.
    fn change(&mut self, name: &str, change: impl FnOnce(&mut Gate)) {
        if let Some(gate) = self.rows.iter_mut().find(|row| row.gate == name) {
            change(gate);
        }
    }

    fn are_open(&self, rates: Rates, now: Timestamp, number: &str, in_campaign: bool) -> bool {
        let is_open = |gate: &str| self.find(gate).is_none_or(|gate| gate.bucket(rates).open_at() <= now);
        let number = self.find(number);
        is_open(ACCOUNT)
            && (!in_campaign || self.is_campaign_open(rates, now))
            && number.is_none_or(|gate| number_bucket(gate, rates, in_campaign).open_at() <= now)
    }

    fn is_campaign_open(&self, rates: Rates, now: Timestamp) -> bool {
        self.find(CAMPAIGN).is_none_or(|gate| gate.bucket(rates).open_at() <= now) && self.is_day_open(rates)
    }

    /// Whether the campaign may send more on this day.
    fn is_day_open(&self, rates: Rates) -> bool {
        let (Some(day), Some(gate)) = (rates.campaign_day, self.find(DAY)) else { return true };
        gate.full_at != day.from || gate.turn < i64::from(day.segments)
    }

    fn pass(&mut self, rates: Rates, now: Timestamp, number: &str, in_campaign: bool, segments: i16) {
        let segments = u32::try_from(segments).unwrap_or(1);
        self.change(ACCOUNT, |gate| gate.take(rates, now, segments));
        if in_campaign {
            self.change(CAMPAIGN, |gate| gate.take(rates, now, segments));
            if let Some(day) = rates.campaign_day {
                self.change(DAY, |gate| {
                    if gate.full_at != day.from {
                        (gate.full_at, gate.turn) = (day.from, 0);
                    }
                    gate.turn += i64::from(segments);
                });
            }
        }
        self.change(number, |gate| gate.take(rates, now, segments));
    }

    fn served(&mut self, waiting: &Waiting) {
        self.change(&waiting.number, |gate| {
            gate.turn = gate.turn.max(waiting.turn);
            gate.waiting = (gate.waiting - 1).max(0);
        });
        self.change(ACCOUNT, |gate| {
            gate.turn = gate.turn.max(waiting.carrier_turn);
            gate.waiting = (gate.waiting - 1).max(0);
        });
    }

    fn store(&self, db: &mut Db) -> Result<()> {
        for row in &self.rows {
            each!(db, |c| diesel::update(sms_gates::table)
                .filter(sms_gates::carrier_id.eq(&self.carrier_id))
                .filter(sms_gates::gate.eq(&row.gate))
                .set((
                    sms_gates::full_at.eq(row.full_at),
                    sms_gates::turn.eq(row.turn),
                    sms_gates::waiting.eq(row.waiting),
                ))
                .execute(c))?;
        }
        Ok(())
    }
}

fn find_gate(db: &mut Db, carrier_id: &str, name: &str) -> Result<Gate> {
    each!(db, |c| diesel::insert_into(sms_gates::table)
        .values((
            sms_gates::carrier_id.eq(carrier_id),
            sms_gates::gate.eq(name),
            sms_gates::full_at.eq(0_i64),
            sms_gates::turn.eq(0_i64),
            sms_gates::waiting.eq(0_i64),
        ))
        .on_conflict_do_nothing()
        .execute(c))?;
    macro_rules! gate {
        () => {
            sms_gates::table
                .filter(sms_gates::carrier_id.eq(carrier_id))
                .filter(sms_gates::gate.eq(name))
                .select((sms_gates::gate, sms_gates::full_at, sms_gates::turn, sms_gates::waiting))
        };
    }
    Ok(match db.conn() {
        Conn::Sqlite(c) => gate!().first(c)?,
        Conn::Pg(c) => gate!().for_update().first(c)?,
    })
}

/// How many wait at each carrier, and since when the first of them does.
pub fn waiting(db: &mut Db) -> Result<Vec<(String, i64, Option<Timestamp>)>> {
    Ok(each!(db, |c| sms_waiting::table
        .group_by(sms_waiting::carrier_id)
        .select((sms_waiting::carrier_id, diesel::dsl::count_star(), diesel::dsl::min(sms_waiting::at),))
        .load(c))?)
}

/// Forgets the gates of numbers that have not been used for a day.
pub fn prune(db: &mut Db, now: Timestamp) -> Result<usize> {
    Ok(each!(db, |c| diesel::delete(sms_gates::table)
        .filter(sms_gates::waiting.eq(0))
        .filter(sms_gates::full_at.lt(now.minus(FORGET_AFTER)))
        .filter(sms_gates::gate.ne(ACCOUNT))
        .filter(sms_gates::gate.ne(DAY))
        .execute(c))?)
}

/// How many segments have left within a carrier's campaign since its day began.
pub fn left_today(db: &mut Db, carrier_id: &str, day: CampaignDay) -> Result<i64> {
    let found: Option<(Timestamp, i64)> = each!(db, |c| sms_gates::table
        .filter(sms_gates::carrier_id.eq(carrier_id))
        .filter(sms_gates::gate.eq(DAY))
        .select((sms_gates::full_at, sms_gates::turn))
        .first(c)
        .optional())?;
    Ok(found.filter(|(from, _)| *from == day.from).map_or(0, |(_, segments)| segments))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: i64 = 1_000_000;

    fn bucket(per_minute: u32) -> Bucket {
        Bucket { full_at: Timestamp(0), per_minute: Some(per_minute) }
    }

    #[test]
    fn a_sixth_of_a_minute_may_leave_at_once_and_the_rest_evenly() {
        let start = Timestamp(1_000 * SECOND);
        let mut line = bucket(60);
        for n in 0..10 {
            assert!(line.open_at() <= start, "{n}");
            line = line.take(start, 1);
        }
        assert_eq!(line.open_at(), Timestamp(start.0 + SECOND));
        let slow = bucket(6).take(start, 1);
        assert_eq!(slow.open_at(), Timestamp(start.0 + 10 * SECOND));
        let long = bucket(60).take(start, 12);
        assert_eq!(long.open_at(), Timestamp(start.0 + 3 * SECOND));
        let free = Bucket { full_at: Timestamp(0), per_minute: None };
        assert_eq!(free.take(start, 10_000).open_at(), Timestamp(0));
    }

    #[test]
    fn campaigns_are_north_american_long_codes() {
        let table = [
            ("+12025550199", "+12025550101", true),
            ("+18005550199", "+12025550101", false),
            ("+12025550199", "+4915112345678", false),
            ("+4915112345678", "+12025550101", false),
        ];
        for (from, to, wanted) in table {
            let number = |text| E164::parse(text).unwrap();
            assert_eq!(is_in_campaign(&number(from), &number(to)), wanted, "{from} to {to}");
        }
    }

    proptest! {
        #[test]
        fn no_minute_has_more_than_its_allowance_and_a_burst(
            rate in 1u32..200, pauses in proptest::collection::vec(0i64..20_000_000, 1..30)
        ) {
            let (mut line, mut now) = (bucket(rate), Timestamp(1_000 * SECOND));
            let mut left: Vec<i64> = Vec::new();
            for pause in pauses {
                now = Timestamp(now.0 + pause);
                while line.open_at() <= now {
                    line = line.take(now, 1);
                    left.push(now.0);
                }
            }
            for at in &left {
                let minute = left.iter().filter(|other| (*at..*at + 60 * SECOND).contains(other)).count();
                prop_assert!(minute <= (rate + rate / BURST_PART + 1) as usize, "{minute} of {rate}");
            }
        }
    }
}
