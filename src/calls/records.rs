//! Records of calls for the operator: one for each leg, with cause, times, codec, quality and route. Never who the people
//! are beyond their numbers, which are masked.

use super::view::CallQuality;
use super::{Leg, quality, store};
use crate::db::Db;
use crate::error::Result;
use crate::ids::CallLegId;

/// What is left of one end of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The leg.
    pub leg: Leg,
    /// Seconds from its answer to its end; none when it was never answered.
    pub seconds: Option<i64>,
    /// `pcmu` or `opus`, when anything was heard.
    pub codec: Option<String>,
    /// How good it was.
    pub quality: Option<CallQuality>,
    /// By which way: the carrier's id, or `browser`.
    pub route: String,
}

/// Legs that are over, or those that are not (`open`); newest first, older than `before`.
pub fn list(db: &mut Db, open: bool, before: Option<CallLegId>, limit: i64) -> Result<Vec<Record>> {
    let legs = store::list_records(db, open, before, limit)?;
    of(db, legs)
}

/// The records of one call.
pub fn of_call(db: &mut Db, call: crate::ids::CallId) -> Result<Vec<Record>> {
    let legs = store::list_legs(db, &[call])?;
    of(db, legs)
}

fn of(db: &mut Db, legs: Vec<Leg>) -> Result<Vec<Record>> {
    let ids: Vec<CallLegId> = legs.iter().map(|leg| leg.id).collect();
    let mut qualities = quality::of_legs(db, &ids)?;
    let record = |leg: Leg| {
        let (codec, quality) = qualities.remove(&leg.id).unzip();
        let seconds = leg
            .answered_at
            .zip(leg.ended_at)
            .map(|(from, to)| i64::try_from(to.since(from).as_secs()).unwrap_or(0));
        let route = leg.carrier_id.clone().unwrap_or_else(|| "browser".to_owned());
        Record { leg, seconds, codec, quality, route }
    };
    Ok(legs.into_iter().map(record).collect())
}
