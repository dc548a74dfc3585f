//! Queued work: written in the transaction that causes it, run by `worker`, safe to run twice.
//!
//! Jobs with the same order key run one after the other, in the order they were enqueued; others run side by side.
//! A job that dies with its process is taken up again when its lease runs out.

use std::time::Duration;

use diesel::dsl::case_when;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Bool, Integer, Nullable, Text};
use serde::Serialize;

use crate::clock::Timestamp;
use crate::db::{Db, Engine, Keep, Signal};
use crate::each;
use crate::error::Result;
use crate::ids::JobId;
use crate::schema::jobs;

/// How long a claimed job may run before another worker takes it for dead.
pub const LEASE: Duration = Duration::from_secs(120);
/// Jobs that failed this often stay for the operator to look at.
pub const ATTEMPTS_MAX: i32 = 12;

/// A job that this worker may run now.
#[derive(Debug, Clone, QueryableByName)]
pub struct Claimed {
    /// The job.
    #[diesel(sql_type = Binary)]
    pub id: JobId,
    /// Which handler runs it.
    #[diesel(sql_type = Text)]
    pub kind: String,
    /// JSON for the handler.
    #[diesel(sql_type = Text)]
    pub payload: String,
    /// Earlier attempts.
    #[diesel(sql_type = Integer)]
    pub attempts: i32,
    /// What it may not overtake.
    #[diesel(sql_type = Nullable<Text>)]
    pub order_key: Option<String>,
    /// It waited for its turn ([`park`]) and has it now.
    #[diesel(sql_type = Bool)]
    pub granted: bool,
}

/// What a handler says when nothing went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// The job is done.
    Done,
    /// The job runs again at `at`; who waits behind it goes on waiting.
    Again {
        /// When.
        at: Timestamp,
        /// Why, for the operator.
        why: String,
    },
    /// The same, and it is no attempt: nothing was tried, or the handler counts for itself. [`ATTEMPTS_MAX`] is for what
    /// goes wrong, and whoever has waited for long has as many attempts left as before.
    Waits {
        /// Until when.
        until: Timestamp,
        /// For what, for the operator.
        why: String,
    },
    /// The handler has parked the job.
    Parked,
}

/// Enqueues work in the caller's transaction.
pub fn enqueue(
    db: &mut Db,
    now: Timestamp,
    kind: &'static str,
    order_key: Option<&str>,
    payload: &impl Serialize,
) -> Result<JobId> {
    enqueue_at(db, now, now, kind, order_key, payload)
}

/// Enqueues work that is not due before `run_at`.
pub fn enqueue_at(
    db: &mut Db,
    now: Timestamp,
    run_at: Timestamp,
    kind: &'static str,
    order_key: Option<&str>,
    payload: &impl Serialize,
) -> Result<JobId> {
    let id = JobId::new(now);
    let payload = serde_json::to_string(payload)?;
    each!(db, |c| diesel::insert_into(jobs::table)
        .values((
            jobs::id.eq(id),
            jobs::kind.eq(kind),
            jobs::order_key.eq(order_key),
            jobs::payload.eq(&payload),
            jobs::state.eq("ready"),
            jobs::run_at.eq(run_at),
            jobs::attempts.eq(0),
            jobs::created_at.eq(now),
        ))
        .execute(c))?;
    db.signal(Signal::Jobs);
    Ok(id)
}

/// Takes up to `limit` due jobs, none of which may overtake an earlier one of its order key.
pub fn claim(db: &mut Db, now: Timestamp, limit: i64) -> Result<Vec<Claimed>> {
    let locking = if db.engine() == Engine::Postgres { "FOR UPDATE SKIP LOCKED" } else { "" };
    let (p1, p2, p3) = if db.engine() == Engine::Postgres { ("$1", "$2", "$3") } else { ("?1", "?2", "?3") };
    let sql = format!(
        "UPDATE jobs SET state = 'running', locked_until = {p2}, attempts = attempts + 1 WHERE id IN (\
         SELECT id FROM jobs AS due WHERE ((state = 'ready' AND run_at <= {p1}) OR (state = 'running' AND locked_until < {p1})) \
         AND (order_key IS NULL OR NOT EXISTS (SELECT 1 FROM jobs AS earlier WHERE earlier.order_key = due.order_key \
         AND earlier.state <> 'dead' AND earlier.id < due.id)) \
         ORDER BY run_at LIMIT {p3} {locking}) \
         RETURNING id, kind, payload, attempts - 1 AS attempts, order_key, FALSE AS granted"
    );
    let query = diesel::sql_query(sql)
        .bind::<BigInt, _>(now)
        .bind::<BigInt, _>(now.plus(LEASE))
        .bind::<BigInt, _>(limit);
    Ok(each!(db, |c| query.load::<Claimed>(c))?)
}

/// Lays a running job aside until somebody calls [`claim_parked`]; who waits behind it goes on waiting.
pub fn park(db: &mut Db, id: JobId) -> Result<()> {
    each!(db, |c| diesel::update(jobs::table)
        .filter(jobs::id.eq(id))
        .set((jobs::state.eq("parked"), jobs::locked_until.eq(None::<Timestamp>)))
        .execute(c))?;
    Ok(())
}

/// Takes parked jobs whose turn has come, in the order of `ids`.
pub fn claim_parked(db: &mut Db, now: Timestamp, ids: &[JobId]) -> Result<Vec<Claimed>> {
    type Row = (JobId, String, String, i32, Option<String>);
    let mut claimed = Vec::with_capacity(ids.len());
    for id in ids {
        let row: Option<Row> = each!(db, |c| diesel::update(jobs::table)
            .filter(jobs::id.eq(id))
            .filter(jobs::state.eq("parked"))
            .set((jobs::state.eq("running"), jobs::locked_until.eq(Some(now.plus(LEASE)))))
            .returning((jobs::id, jobs::kind, jobs::payload, jobs::attempts, jobs::order_key))
            .kept()
            .get_result(c)
            .optional())?;
        claimed.extend(row.map(|(id, kind, payload, attempts, order_key)| Claimed {
            id,
            kind,
            payload,
            // The attempt that was laid aside is the one that goes on.
            attempts: attempts - 1,
            order_key,
            granted: true,
        }));
    }
    Ok(claimed)
}

/// The job is done and goes away; who waits behind it may run.
pub fn finish(db: &mut Db, id: JobId) -> Result<()> {
    each!(db, |c| diesel::delete(jobs::table).filter(jobs::id.eq(id)).execute(c))?;
    db.signal(Signal::Jobs);
    Ok(())
}

/// The job runs again at `run_at`.
pub fn retry(db: &mut Db, id: JobId, run_at: Timestamp, error: &str) -> Result<()> {
    wait(db, id, run_at, error, 0)
}

/// The job waits until `run_at`; the run that found out is no attempt.
pub fn put_off(db: &mut Db, id: JobId, run_at: Timestamp, why: &str) -> Result<()> {
    wait(db, id, run_at, why, 1)
}

/// The job waits until `run_at`, and so many of its attempts do not count.
fn wait(db: &mut Db, id: JobId, run_at: Timestamp, why: &str, uncounted: i32) -> Result<()> {
    let why: String = why.chars().take(500).collect();
    each!(db, |c| diesel::update(jobs::table)
        .filter(jobs::id.eq(id))
        .set((
            jobs::state.eq("ready"),
            jobs::run_at.eq(run_at),
            jobs::locked_until.eq(None::<Timestamp>),
            jobs::last_error.eq(&why),
            jobs::attempts
                .eq(case_when(jobs::attempts.ge(uncounted), jobs::attempts - uncounted).otherwise(0)),
        ))
        .kept()
        .execute(c))?;
    Ok(())
}

/// The job is given up; it stays for the operator and no longer holds up its order key.
pub fn give_up(db: &mut Db, id: JobId, error: &str) -> Result<()> {
    let error: String = error.chars().take(500).collect();
    each!(db, |c| diesel::update(jobs::table)
        .filter(jobs::id.eq(id))
        .set((jobs::state.eq("dead"), jobs::last_error.eq(&error)))
        .execute(c))?;
    db.signal(Signal::Jobs);
    Ok(())
}

/// Forgets jobs that were given up and enqueued before `before`, at most `rows`; answers how many.
pub fn prune(db: &mut Db, before: Timestamp, rows: i64) -> Result<usize> {
    let old: Vec<JobId> = each!(db, |c| jobs::table
        .filter(jobs::state.eq("dead"))
        .filter(jobs::id.lt(JobId::floor(before)))
        .select(jobs::id)
        .limit(rows)
        .load(c))?;
    Ok(each!(db, |c| diesel::delete(jobs::table).filter(jobs::id.eq_any(&old)).execute(c))?)
}

/// When the next job is due, if any waits.
pub fn next_due(db: &mut Db) -> Result<Option<Timestamp>> {
    Ok(each!(db, |c| jobs::table
        .filter(jobs::state.eq("ready"))
        .select(diesel::dsl::min(jobs::run_at))
        .first::<Option<Timestamp>>(c))?)
}

/// Jobs by state, for metrics: (state, count).
pub fn counts(db: &mut Db) -> Result<Vec<(String, i64)>> {
    Ok(each!(db, |c| jobs::table
        .group_by(jobs::state)
        .select((jobs::state, diesel::dsl::count_star()))
        .load(c))?)
}

/// A job as an operator sees it: without what it was told.
#[derive(Debug, Clone, Queryable)]
pub struct Listed {
    /// Which.
    pub id: JobId,
    /// What it does.
    pub kind: String,
    /// `ready`, `running`, `parked` or `dead`.
    pub state: String,
    /// How often it was tried.
    pub attempts: i32,
    /// When it is due.
    pub run_at: Timestamp,
    /// Why it failed the last time.
    pub last_error: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Jobs in a state, or all, newest first, older than `before`.
pub fn list(db: &mut Db, state: Option<&str>, before: Option<JobId>, limit: i64) -> Result<Vec<Listed>> {
    each!(db, |c| {
        let mut query = jobs::table
            .select((
                jobs::id,
                jobs::kind,
                jobs::state,
                jobs::attempts,
                jobs::run_at,
                jobs::last_error,
                jobs::created_at,
            ))
            .order(jobs::id.desc())
            .limit(limit)
            .into_boxed();
        if let Some(state) = state {
            query = query.filter(jobs::state.eq(state));
        }
        if let Some(before) = before {
            query = query.filter(jobs::id.lt(before));
        }
        Ok(query.load(c)?)
    })
}

/// How long to wait before attempt number `attempts + 1`: doubling from one second to ten minutes.
pub fn backoff(attempts: i32) -> Duration {
    let exponent = u32::try_from(attempts.clamp(0, 10)).unwrap_or(0);
    Duration::from_secs(1 << exponent).min(Duration::from_secs(600))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_doubles_and_ends_at_ten_minutes() {
        assert_eq!(backoff(0), Duration::from_secs(1));
        assert_eq!(backoff(3), Duration::from_secs(8));
        assert_eq!(backoff(40), Duration::from_secs(600));
        assert_eq!(backoff(-1), Duration::from_secs(1));
    }
}
