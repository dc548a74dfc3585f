//! Every job and the loops that run them: one place where all of them can be seen.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::app::App;
use crate::carriers::Rates;
use crate::db::Lane;
use crate::error::{Error, Result};
use crate::messaging::arrivals::Arrivals;
use crate::messaging::links::Links;
use crate::queue::{self, Claimed, Next};
use crate::{accounts, attachments, calls, contacts, messaging, presence, push};

/// Jobs running at the same time at most.
const RUNNING_MAX: usize = 64;
/// Those beside them that wait for a carrier that does not answer.
const SLOW_MAX: usize = 256;
/// How long the worker sleeps when nothing rings.
const NAP: Duration = Duration::from_secs(1);
/// How often old rows are swept up.
const SWEEP_EVERY: Duration = Duration::from_secs(300);

/// Runs one job: the table of all kinds.
async fn run(app: &App, job: &Claimed) -> Result<Next> {
    match job.kind.as_str() {
        messaging::outbox::SEND_SMS => messaging::jobs::send_sms(app, job).await,
        messaging::outbox::SETTLE_SMS => messaging::jobs::settle_sms(app, job).await,
        messaging::guard::MAIL_CODE => messaging::jobs::mail_guard_code(app, job).await.map(|()| Next::Done),
        attachments::FETCH => messaging::fetch::run(app, job).await,
        kind if accounts::jobs::KINDS.contains(&kind) => {
            accounts::jobs::run(app, job).await.map(|()| Next::Done)
        }
        kind if contacts::jobs::KINDS.contains(&kind) => {
            contacts::jobs::run(app, job).await.map(|()| Next::Done)
        }
        push::SEND if push::payload(&job.payload)?.kind == messaging::pushes::KIND => {
            messaging::pushes::run(app, job).await
        }
        push::SEND => contacts::pushes::run(app, job).await,
        kind if calls::jobs::KINDS.contains(&kind) => calls::jobs::run(app, job).await,
        presence::clients::SWEEP => presence::clients::run(app, job).await.map(|()| Next::Done),
        kind => Err(Error::internal(format!("no handler for jobs of the kind {kind}"))),
    }
}

/// Runs a claimed job to its end and writes down what came of it.
async fn perform(app: App, job: Claimed) {
    let outcome = run(&app, &job).await;
    let (id, now, attempts) = (job.id, app.now(), job.attempts);
    let (kind, order_key) = (job.kind.clone(), job.order_key.clone());
    let written = app
        .db
        .write(Lane::Any, move |db| match &outcome {
            Ok(Next::Done) => queue::finish(db, id),
            Ok(Next::Again { at, why }) => queue::retry(db, id, *at, why),
            Ok(Next::Waits { until, why }) => queue::put_off(db, id, *until, why),
            Ok(Next::Parked) => Ok(()),
            Err(error) if error.is_retryable() && attempts + 1 < queue::ATTEMPTS_MAX => {
                queue::retry(db, id, now.plus(queue::backoff(attempts)), &error.report())
            }
            Err(error) => {
                tracing::error!(job.id = %id, job.kind = %kind, reason = %error.report(), "a job was given up");
                queue::give_up(db, id, &error.report())
            }
        })
        .await;
    if let Err(error) = written {
        // The lease runs out and the job is taken up again; every job can run twice.
        tracing::error!(job.id = %id, order = ?order_key, reason = %error.report(), "a job's outcome could not be stored");
    }
}

async fn claim(app: &App, room: usize) -> Vec<Claimed> {
    let now = app.now();
    let carriers: Vec<(String, Rates)> =
        app.carriers.limited(now).map(|(id, rates)| (id.to_owned(), rates)).collect();
    let stuck = app.in_flight.stuck();
    let claimed = app.db.write(Lane::Any, move |db| {
        // Those whose turn has come first: they have waited.
        let ids = messaging::pace::release(db, now, &carriers, &stuck, room)?;
        let mut jobs = queue::claim_parked(db, now, &ids)?;
        let limit = i64::try_from(room.saturating_sub(jobs.len())).unwrap_or(0);
        if limit > 0 {
            jobs.extend(queue::claim(db, now, limit)?);
        }
        Ok(jobs)
    });
    match claimed.await {
        Ok(jobs) => jobs,
        Err(error) => {
            tracing::warn!(reason = %error.report(), "no jobs could be claimed");
            Vec::new()
        }
    }
}

/// Runs jobs until `stop` turns true; then finishes what it took.
pub async fn work(app: App, mut stop: watch::Receiver<bool>) {
    let mut running: JoinSet<()> = JoinSet::new();
    while !*stop.borrow() {
        while running.try_join_next().is_some() {}
        // Whoever waits for a carrier that does not answer takes nobody's place.
        let counted = running.len().saturating_sub(app.in_flight.slow().min(SLOW_MAX));
        let room = RUNNING_MAX.saturating_sub(counted);
        let claimed = if room > 0 { claim(&app, room).await } else { Vec::new() };
        let idle = claimed.is_empty();
        for job in claimed {
            running.spawn(perform(app.clone(), job));
        }
        if idle {
            tokio::select! {
                () = app.jobs.notified() => {}
                () = tokio::time::sleep(NAP) => {}
                Some(_) = running.join_next(), if !running.is_empty() => {}
                _ = stop.changed() => {}
            }
        }
    }
    while running.join_next().await.is_some() {}
}

/// Runs the connections that carriers' adapters hold themselves, until `stop` turns true.
pub async fn listen(app: App, arrivals: Arc<Arrivals>, stop: watch::Receiver<bool>) {
    let links = Arc::new(Links::new(&app, &arrivals));
    let mut running: JoinSet<()> = JoinSet::new();
    for carrier in app.carriers.iter() {
        running.spawn(carrier.clone().run(links.clone(), stop.clone()));
        if carrier.part_reader().is_some() {
            running.spawn(links.clone().hand_over_regularly(carrier.id().to_owned(), stop.clone()));
        }
    }
    while running.join_next().await.is_some() {}
}

/// Runs due jobs until none is due; for tests and for the command line.
pub async fn drain(app: &App) -> usize {
    let mut count = 0;
    loop {
        let jobs = claim(app, RUNNING_MAX).await;
        if jobs.is_empty() {
            return count;
        }
        count += jobs.len();
        let mut running: JoinSet<()> = JoinSet::new();
        for job in jobs {
            running.spawn(perform(app.clone(), job));
        }
        while running.join_next().await.is_some() {}
    }
}

/// Sweeps up old rows now and then until `stop` turns true, and touches whoever is connected here.
pub async fn sweep_regularly(app: App, mut stop: watch::Receiver<bool>) {
    let mut tick = tokio::time::interval(SWEEP_EVERY);
    let mut touch = tokio::time::interval(presence::clients::SWEEP_EVERY);
    let mut watch = tokio::time::interval(crate::watch::EVERY);
    loop {
        tokio::select! {
            _ = touch.tick() => {
                let kept = presence::clients::keep(&app).await;
                if let Err(error) = kept.and(presence::clients::sweep(&app).await) {
                    tracing::warn!(reason = %error.report(), "who is connected could not be written down");
                }
            }
            _ = tick.tick() => {
                if let Err(error) = sweep(&app).await {
                    tracing::warn!(reason = %error.report(), "old rows could not be swept up");
                }
            }
            _ = watch.tick() => {
                let watched = messaging::rounds::watch_carriers(&app).await;
                if let Err(error) = watched.and(messaging::rounds::look_after_numbers(&app).await) {
                    tracing::warn!(reason = %error.report(), "the carriers could not be looked after");
                }
            }
            _ = stop.changed() => return,
        }
    }
}

/// Rows swept in one transaction: a few milliseconds of the lane.
const SWEEP_ROWS: i64 = 1_000;
/// How long events can be resumed from.
const EVENTS_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long a job that was given up stays for the operator to look at.
const JOBS_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long the record of an SMS that left is kept: carriers' last words come within days.
const SMS_KEPT: Duration = Duration::from_secs(90 * 24 * 3600);

/// How long a carrier's words are known, so that a repetition changes nothing: carriers repeat for hours, not weeks.
const CLAIMS_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// How often the older ones are looked for, by one of the nodes.
const CLAIMS_EVERY: Duration = Duration::from_secs(24 * 3600);

/// One round of sweeping: old events, counters, sessions, claims; pairs whose rest is over.
pub async fn sweep(app: &App) -> Result<()> {
    let now = app.now();
    app.db.write(Lane::Any, move |db| crate::events::prune(db, now.minus(EVENTS_KEPT), SWEEP_ROWS)).await?;
    app.db.write(Lane::Any, move |db| accounts::limits::prune(db, now, SWEEP_ROWS)).await?;
    app.db.write(Lane::Any, move |db| accounts::session::prune(db, now)).await?;
    app.db.write(Lane::Any, move |db| push::prune(db, now, SWEEP_ROWS)).await?;
    app.db.write(Lane::Any, move |db| accounts::setup_tickets::prune(db, now, SWEEP_ROWS)).await?;
    app.db.write(Lane::Any, move |db| accounts::idempotency::prune(db, now, SWEEP_ROWS)).await?;
    app.db.write(Lane::Any, move |db| queue::prune(db, now.minus(JOBS_KEPT), SWEEP_ROWS)).await?;
    app.db.write(Lane::Any, move |db| messaging::outbox::prune(db, now.minus(SMS_KEPT), SWEEP_ROWS)).await?;
    app.db.write(Lane::Any, move |db| messaging::pace::prune(db, now)).await?;
    app.db.write(Lane::Any, move |db| messaging::groups::prune(db, now, 100)).await?;
    app.db.write(Lane::Any, move |db| messaging::held::prune(db, now, SWEEP_ROWS)).await?;
    messaging::jobs::sweep_receipts(app).await?;
    app.db.write(Lane::Any, move |db| crate::watch::prune(db, now)).await?;
    app.db.write(Lane::Any, move |db| accounts::ranges::prune(db, now)).await?;
    app.db.write(Lane::Any, move |db| crate::alarms::prune(db, now.minus(SMS_KEPT), SWEEP_ROWS)).await?;
    app.db.write(Lane::Any, move |db| contacts::free_rested(db, now, SWEEP_ROWS)).await?;
    app.db.write(Lane::Any, move |db| calls::quality::prune(db, now)).await?;
    let kept = app.settings.call_sounds_kept();
    app.db.write(Lane::Any, move |db| calls::sounds::prune(db, now, kept, 100)).await?;
    app.db.write(Lane::Any, move |db| attachments::prune(db, now, SWEEP_ROWS)).await?;
    let today = move |db: &mut crate::db::Db| {
        accounts::limits::first_within(db, now, "forget_claims", "all", CLAIMS_EVERY)
    };
    if app.db.write(Lane::Any, today).await? {
        messaging::jobs::forget_claims(app, now.minus(CLAIMS_KEPT)).await?;
    }
    app.db.write(Lane::Any, move |db| contacts::card_import::prune(db, now, 100)).await?;
    Ok(())
}
