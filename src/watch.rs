//! How the carriers are: what all nodes counted, judged each minute; messages between our own numbers; carriers that an
//! operator has written off.

use std::collections::BTreeMap;
use std::time::Duration;

use diesel::prelude::*;
use diesel::upsert::excluded;

use crate::alarms;
use crate::carriers::health::{Health, LoopResult, Signs, Tally, judge};
use crate::clock::Timestamp;
use crate::db::Db;
use crate::each;
use crate::error::Result;
use crate::schema::{carrier_health, carrier_loops, carrier_tallies};

/// How often carriers are judged.
pub const EVERY: Duration = Duration::from_secs(60);
/// What a judgement looks at.
const RECENT: Duration = Duration::from_secs(600);
/// What is usual is learned from the time before that, so many times as long.
const USUAL_SPANS: u32 = 18;
/// How long a message between our own numbers may take.
pub const LOOP_WAIT: Duration = Duration::from_secs(300);
/// How far back such messages count.
const LOOPS_LOOKED_AT: i64 = 3;
/// What was counted is kept for this long.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// Microseconds in a minute.
const MINUTE: i64 = 60_000_000;

/// How a carrier is.
#[derive(Debug, Clone)]
pub struct CarrierState {
    /// Which.
    pub carrier_id: String,
    /// How it is.
    pub health: Health,
    /// Since when.
    pub since: Timestamp,
    /// Why, in a sentence; empty when it is well.
    pub why: String,
    /// Since when an operator has written it off.
    pub dead_since: Option<Timestamp>,
}

impl CarrierState {
    /// Whether what may leave elsewhere should.
    pub fn is_avoided(&self) -> bool {
        self.health == Health::Down || self.dead_since.is_some()
    }
}

type TallyRow = (i64, i64, i64, i64, i64, i64, i64, i64, i64);

fn to_tally(
    (accepted, refused, busy, broken, ours, delivered, undelivered, inbound, answer_ms): TallyRow,
) -> Tally {
    Tally { accepted, refused, busy, broken, ours, delivered, undelivered, inbound, answer_ms }
}

/// Adds what a node has counted.
pub fn note(db: &mut Db, now: Timestamp, tallies: &BTreeMap<String, Tally>) -> Result<()> {
    use carrier_tallies as t;
    for (carrier_id, tally) in tallies {
        each!(db, |c| diesel::insert_into(t::table)
            .values((
                t::carrier_id.eq(carrier_id),
                t::minute.eq(now.0.div_euclid(MINUTE)),
                t::accepted.eq(tally.accepted),
                t::refused.eq(tally.refused),
                t::busy.eq(tally.busy),
                t::broken.eq(tally.broken),
                t::ours.eq(tally.ours),
                t::delivered.eq(tally.delivered),
                t::undelivered.eq(tally.undelivered),
                t::inbound.eq(tally.inbound),
                t::answer_ms.eq(tally.answer_ms),
            ))
            .on_conflict((t::carrier_id, t::minute))
            .do_update()
            .set((
                t::accepted.eq(t::accepted + excluded(t::accepted)),
                t::refused.eq(t::refused + excluded(t::refused)),
                t::busy.eq(t::busy + excluded(t::busy)),
                t::broken.eq(t::broken + excluded(t::broken)),
                t::ours.eq(t::ours + excluded(t::ours)),
                t::delivered.eq(t::delivered + excluded(t::delivered)),
                t::undelivered.eq(t::undelivered + excluded(t::undelivered)),
                t::inbound.eq(t::inbound + excluded(t::inbound)),
                t::answer_ms.eq(t::answer_ms + excluded(t::answer_ms)),
            ))
            .execute(c))?;
    }
    Ok(())
}

fn sum(db: &mut Db, carrier_id: &str, from: Timestamp, until: Timestamp) -> Result<Tally> {
    use carrier_tallies as t;
    let rows: Vec<TallyRow> = each!(db, |c| t::table
        .filter(t::carrier_id.eq(carrier_id))
        .filter(t::minute.gt(from.0.div_euclid(MINUTE)))
        .filter(t::minute.le(until.0.div_euclid(MINUTE)))
        .select((
            t::accepted,
            t::refused,
            t::busy,
            t::broken,
            t::ours,
            t::delivered,
            t::undelivered,
            t::inbound,
            t::answer_ms,
        ))
        .load(c))?;
    Ok(rows.into_iter().map(to_tally).fold(Tally::default(), Tally::plus))
}

/// Judges a carrier; `tells`: whether it sends receipts. An alarm is raised when it gets worse.
pub fn judge_carrier(db: &mut Db, now: Timestamp, carrier_id: &str, tells: bool) -> Result<CarrierState> {
    let known = states(db)?.into_iter().find(|state| state.carrier_id == carrier_id);
    let before = known.as_ref().map_or(Health::Well, |state| state.health);
    let signs = Signs {
        recent: sum(db, carrier_id, now.minus(RECENT), now)?,
        usual: sum(db, carrier_id, now.minus(RECENT * (USUAL_SPANS + 1)), now.minus(RECENT))?,
        usual_spans: i64::from(USUAL_SPANS),
        tells,
        loops: loop_result(db, now, carrier_id)?,
        before,
    };
    let (health, why) = judge(&signs);
    if let Some(known) = known.filter(|known| known.health == health) {
        return Ok(known);
    }
    if health < before {
        let kind = if health == Health::Down { alarms::CARRIER_DOWN } else { alarms::CARRIER_DEGRADED };
        alarms::raise(db, now, kind, carrier_id, why)?;
    } else if before < health {
        tracing::info!(carrier = carrier_id, state = health.as_str(), "a carrier is better");
    }
    each!(db, |c| diesel::insert_into(carrier_health::table)
        .values((
            carrier_health::carrier_id.eq(carrier_id),
            carrier_health::state.eq(health.as_str()),
            carrier_health::since.eq(now),
            carrier_health::why.eq(why),
        ))
        .on_conflict(carrier_health::carrier_id)
        .do_update()
        .set((
            carrier_health::state.eq(health.as_str()),
            carrier_health::since.eq(now),
            carrier_health::why.eq(why),
        ))
        .execute(c))?;
    Ok(CarrierState {
        carrier_id: carrier_id.to_owned(),
        health,
        since: now,
        why: why.to_owned(),
        dead_since: None,
    })
}

/// How each carrier is that was ever judged.
pub fn states(db: &mut Db) -> Result<Vec<CarrierState>> {
    type Row = (String, String, Timestamp, String, Option<Timestamp>);
    let rows: Vec<Row> = each!(db, |c| carrier_health::table
        .select((
            carrier_health::carrier_id,
            carrier_health::state,
            carrier_health::since,
            carrier_health::why,
            carrier_health::dead_since,
        ))
        .order(carrier_health::carrier_id.asc())
        .load(c))?;
    let to_state = |(carrier_id, state, since, why, dead_since): Row| CarrierState {
        carrier_id,
        health: Health::parse(&state),
        since,
        why,
        dead_since,
    };
    Ok(rows.into_iter().map(to_state).collect())
}

/// The carriers through which nothing should leave that may leave elsewhere.
pub fn avoided(db: &mut Db) -> Result<Vec<String>> {
    let all = states(db)?.into_iter().filter(CarrierState::is_avoided);
    Ok(all.map(|state| state.carrier_id).collect())
}

/// An operator writes a carrier off, or takes it on again.
pub fn write_off(db: &mut Db, now: Timestamp, carrier_id: &str, is_dead: bool) -> Result<()> {
    let dead_since = is_dead.then_some(now);
    each!(db, |c| diesel::insert_into(carrier_health::table)
        .values((
            carrier_health::carrier_id.eq(carrier_id),
            carrier_health::state.eq(Health::Well.as_str()),
            carrier_health::since.eq(now),
            carrier_health::why.eq(""),
            carrier_health::dead_since.eq(dead_since),
        ))
        .on_conflict(carrier_health::carrier_id)
        .do_update()
        .set(carrier_health::dead_since.eq(dead_since))
        .execute(c))?;
    Ok(())
}

/// A message to ourselves was queued; `word` is in it.
pub fn loop_sent(db: &mut Db, now: Timestamp, carrier_id: &str, word: &str) -> Result<()> {
    each!(db, |c| diesel::insert_into(carrier_loops::table)
        .values((
            carrier_loops::word.eq(word),
            carrier_loops::carrier_id.eq(carrier_id),
            carrier_loops::sent_at.eq(now),
        ))
        .on_conflict_do_nothing()
        .execute(c))?;
    Ok(())
}

/// A message from one of our numbers came in; answers whether it was one of these.
pub fn loop_arrived(db: &mut Db, now: Timestamp, word: &str) -> Result<bool> {
    let count = each!(db, |c| diesel::update(carrier_loops::table)
        .filter(carrier_loops::word.eq(word))
        .filter(carrier_loops::arrived_at.is_null())
        .set(carrier_loops::arrived_at.eq(Some(now)))
        .execute(c))?;
    Ok(count > 0)
}

/// The last message of a carrier to ourselves.
#[derive(Debug, Clone, Copy)]
pub struct Loop {
    /// When it was queued.
    pub sent_at: Timestamp,
    /// When it came.
    pub arrived_at: Option<Timestamp>,
}

fn list_loops(db: &mut Db, carrier_id: &str) -> Result<Vec<Loop>> {
    let rows: Vec<(Timestamp, Option<Timestamp>)> = each!(db, |c| carrier_loops::table
        .filter(carrier_loops::carrier_id.eq(carrier_id))
        .select((carrier_loops::sent_at, carrier_loops::arrived_at))
        .order(carrier_loops::sent_at.desc())
        .limit(LOOPS_LOOKED_AT)
        .load(c))?;
    Ok(rows.into_iter().map(|(sent_at, arrived_at)| Loop { sent_at, arrived_at }).collect())
}

/// The last one, whatever became of it.
pub fn last_loop(db: &mut Db, carrier_id: &str) -> Result<Option<Loop>> {
    Ok(list_loops(db, carrier_id)?.into_iter().next())
}

fn loop_result(db: &mut Db, now: Timestamp, carrier_id: &str) -> Result<LoopResult> {
    let mut lost = 0;
    for looped in list_loops(db, carrier_id)? {
        match looped.arrived_at {
            Some(_) if lost == 0 => return Ok(LoopResult::Arrived),
            Some(_) => break,
            None if now.since(looped.sent_at) >= LOOP_WAIT => lost += 1,
            // Still on its way.
            None => {}
        }
    }
    Ok(if lost == 0 { LoopResult::Untried } else { LoopResult::Lost(lost) })
}

/// Forgets what was counted long ago.
pub fn prune(db: &mut Db, now: Timestamp) -> Result<()> {
    let before = now.minus(KEPT);
    each!(db, |c| diesel::delete(carrier_tallies::table)
        .filter(carrier_tallies::minute.lt(before.0.div_euclid(MINUTE)))
        .execute(c))?;
    each!(db, |c| diesel::delete(carrier_loops::table).filter(carrier_loops::sent_at.lt(before)).execute(c))?;
    Ok(())
}
