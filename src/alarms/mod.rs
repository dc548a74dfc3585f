//! What an operator should look at: raised by whoever notices, listed until somebody says that he has seen it.
//!
//! The same thing noticed again is counted on the alarm that is open; after it was acknowledged it opens a new one.

pub mod api;

use diesel::prelude::*;

use crate::clock::Timestamp;
use crate::db::Db;
use crate::each;
use crate::error::{Error, Result};
use crate::ids::AlarmId;
use crate::schema::alarms;

/// A carrier takes nothing any more.
pub const CARRIER_DOWN: &str = "carrier_down";
/// Something is wrong with a carrier.
pub const CARRIER_DEGRADED: &str = "carrier_degraded";
/// Codes are asked for to many numbers of one range, and hardly any is proved.
pub const CODES_PUMPED: &str = "codes_pumped";
/// Many messages of a number do not arrive, or are filtered.
pub const NUMBER_UNWELL: &str = "number_unwell";
/// The reserve of numbers cannot be kept.
pub const RESERVE_SHORT: &str = "reserve_short";

/// Characters of a detail at most.
const DETAIL_MAX: usize = 500;

/// One of them.
#[derive(Debug, Clone, Queryable)]
pub struct Alarm {
    /// Which.
    pub id: AlarmId,
    /// What sort.
    pub kind: String,
    /// About what: a carrier, a range of numbers, one of our numbers. Never a whole number of somebody else's.
    pub subject: String,
    /// A sentence.
    pub detail: String,
    /// How often it was noticed.
    pub count: i64,
    /// When it was noticed first.
    pub first_at: Timestamp,
    /// And last.
    pub last_at: Timestamp,
    /// When an operator said that he has seen it.
    pub acknowledged_at: Option<Timestamp>,
}

/// Raises an alarm, or counts it on the open one; answers whether it is new.
pub fn raise(db: &mut Db, now: Timestamp, kind: &str, subject: &str, detail: &str) -> Result<bool> {
    let detail: String = detail.chars().take(DETAIL_MAX).collect();
    let counted = each!(db, |c| diesel::update(alarms::table)
        .filter(alarms::kind.eq(kind))
        .filter(alarms::subject.eq(subject))
        .filter(alarms::acknowledged_at.is_null())
        .set((alarms::count.eq(alarms::count + 1), alarms::last_at.eq(now), alarms::detail.eq(&detail)))
        .execute(c))?;
    if counted > 0 {
        return Ok(false);
    }
    let new = each!(db, |c| diesel::insert_into(alarms::table)
        .values((
            alarms::id.eq(AlarmId::new(now)),
            alarms::kind.eq(kind),
            alarms::subject.eq(subject),
            alarms::detail.eq(&detail),
            alarms::count.eq(1_i64),
            alarms::first_at.eq(now),
            alarms::last_at.eq(now),
        ))
        .on_conflict_do_nothing()
        .execute(c))?;
    if new > 0 {
        tracing::error!(alarm = kind, subject, "{detail}");
    }
    Ok(new > 0)
}

/// Alarms, newest first, older than `before`; the open ones only, or all.
pub fn list(db: &mut Db, open: bool, before: Option<AlarmId>, limit: i64) -> Result<Vec<Alarm>> {
    each!(db, |c| {
        let mut query = alarms::table.order(alarms::id.desc()).limit(limit).into_boxed();
        if open {
            query = query.filter(alarms::acknowledged_at.is_null());
        }
        if let Some(before) = before {
            query = query.filter(alarms::id.lt(before));
        }
        Ok(query.load(c)?)
    })
}

/// How many are open, by kind.
pub fn counts(db: &mut Db) -> Result<Vec<(String, i64)>> {
    Ok(each!(db, |c| alarms::table
        .filter(alarms::acknowledged_at.is_null())
        .group_by(alarms::kind)
        .select((alarms::kind, diesel::dsl::count_star()))
        .load(c))?)
}

/// An operator has seen it. What follows from that, the caller knows.
pub fn acknowledge(db: &mut Db, now: Timestamp, id: AlarmId) -> Result<Alarm> {
    each!(db, |c| diesel::update(alarms::table)
        .filter(alarms::id.eq(id))
        .filter(alarms::acknowledged_at.is_null())
        .set(alarms::acknowledged_at.eq(Some(now)))
        .execute(c))?;
    let found: Option<Alarm> = each!(db, |c| alarms::table.filter(alarms::id.eq(id)).first(c).optional())?;
    found.ok_or_else(|| Error::not_found("alarm"))
}

/// Forgets alarms that were raised before `before`, at most `rows`.
pub fn prune(db: &mut Db, before: Timestamp, rows: i64) -> Result<usize> {
    let old: Vec<AlarmId> = each!(db, |c| alarms::table
        .filter(alarms::id.lt(AlarmId::floor(before)))
        .filter(alarms::acknowledged_at.is_not_null())
        .select(alarms::id)
        .limit(rows)
        .load(c))?;
    Ok(each!(db, |c| diesel::delete(alarms::table).filter(alarms::id.eq_any(&old)).execute(c))?)
}
