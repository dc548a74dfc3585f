//! The threads that own the connections: a pool of readers, and write lanes with group commit.
//!
//! A lane takes whatever waits (at most [`BATCH_MAX`]), runs it all in one transaction, commits once, and only then
//! answers everybody. When one of them fails the whole batch is rolled back and run again in one transaction with a
//! savepoint around each, so that only the guilty one fails and the rest still shares one fsync. SQLite has one lane;
//! PostgreSQL has several, and an account always uses the same one, so that one account's changes never wait for each
//! other's locks.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, unbounded};
use tokio::sync::oneshot;

use super::engine::{Purpose, Target};
use super::log::{self, Committed, Progress};
use super::{Db, Engine, Signal, is_worth_retrying};
use crate::error::{Error, Result};
use crate::ids::AccountId;

/// Operations in one transaction at most: beyond this the fsync is already shared well and waiting only adds up.
const BATCH_MAX: usize = 256;
/// Waiting operations at most; more are refused, and carriers repeat what was refused.
const QUEUE_MAX: usize = 8_192;
/// A connection that nobody used for so long is looked at before it is used again.
const LOOK_AFTER: Duration = Duration::from_secs(1);
/// How often a transaction is run again after a serialization failure or deadlock.
const ATTEMPTS_MAX: u32 = 5;

/// How many threads of each kind.
#[derive(Debug, Clone)]
pub struct Options {
    /// Reading connections.
    pub readers: usize,
    /// Writing connections; SQLite always has one.
    pub lanes: usize,
}

impl Default for Options {
    fn default() -> Self {
        // Two lanes: one commits while the other one gathers. More would share the same requests out into smaller
        // batches, and the whole of a batch costs hardly more than one request.
        Options { readers: 4, lanes: 2 }
    }
}

/// Which write lane an operation takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// The account's own.
    Of(AccountId),
    /// Of an account that only its transaction will know; the same for the same number.
    Spread(u32),
    /// Touches no account.
    Any,
}

impl Lane {
    /// For what is known by a word only.
    pub fn of_word(word: &str) -> Lane {
        Lane::Spread(
            word.bytes().fold(0, |sum: u32, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte))),
        )
    }
}

impl From<AccountId> for Lane {
    fn from(account: AccountId) -> Self {
        Lane::Of(account)
    }
}

/// Something a lane runs, perhaps more than once, and answers once.
pub(super) trait WriteJob: Send {
    fn run(&mut self, db: &mut Db) -> Result<()>;
    fn finish(self: Box<Self>, outcome: Result<()>);
}

struct Closure<T, F> {
    body: F,
    value: Option<T>,
    reply: oneshot::Sender<Result<T>>,
}

impl<T, F> WriteJob for Closure<T, F>
where
    T: Send,
    F: FnMut(&mut Db) -> Result<T> + Send,
{
    fn run(&mut self, db: &mut Db) -> Result<()> {
        self.value = Some((self.body)(db)?);
        Ok(())
    }

    fn finish(self: Box<Self>, outcome: Result<()>) {
        let answer = match (outcome, self.value) {
            (Ok(()), Some(value)) => Ok(value),
            (Ok(()), None) => Err(Error::internal("a committed operation has no value")),
            (Err(error), _) => Err(error),
        };
        // The caller may have gone away; the work is done all the same.
        let _ = self.reply.send(answer);
    }
}

/// What sends a reading operation's answer, to be called when it may be given.
pub(super) type Reply = Box<dyn FnOnce() + Send>;
pub(super) type ReadJob = Box<dyn FnOnce(&mut Db) -> Reply + Send>;
type Listener = Box<dyn Fn(&[Signal]) + Send + Sync>;

/// Counters for `/metrics`.
#[derive(Debug, Default)]
pub struct Figures {
    /// Transactions committed.
    pub commits: AtomicU64,
    /// Operations in them.
    pub operations: AtomicU64,
    /// Batches that had to be run again.
    pub replays: AtomicU64,
    /// Operations waiting now.
    pub waiting: AtomicUsize,
}

struct Shared {
    engine: Engine,
    reads: Sender<ReadJob>,
    lanes: Vec<Sender<Box<dyn WriteJob>>>,
    listener: Arc<OnceLock<Listener>>,
    figures: Arc<Figures>,
    threads: std::sync::Mutex<Vec<JoinHandle<()>>>,
}

/// The database. Cheap to clone; the threads end when the last clone is dropped or [`Database::close`] is called.
#[derive(Clone)]
pub struct Database {
    shared: Arc<Shared>,
}

impl Database {
    /// Opens the connections. The schema must be up to date.
    pub fn open(url: &str, options: &Options) -> Result<Database> {
        let target = Target::parse(url)?;
        let listener: Arc<OnceLock<Listener>> = Arc::default();
        let figures: Arc<Figures> = Arc::default();
        let mut threads = Vec::new();
        let keeper = match &target {
            Target::Sqlite(path) => Some(Keeper::start(path, &target, &listener, &mut threads)?),
            Target::Postgres(_) => None,
        };

        let (reads, read_jobs) = bounded::<ReadJob>(QUEUE_MAX);
        for n in 0..options.readers.max(1) {
            let (target, jobs, keeper) = (target.clone(), read_jobs.clone(), keeper.clone());
            threads.push(spawn(format!("db-read-{n}"), move |ready| {
                read_loop(&target, &jobs, keeper.as_ref(), &ready);
            })?);
        }
        let lane_count = if target.engine() == Engine::Sqlite { 1 } else { options.lanes.max(1) };
        let mut lanes = Vec::new();
        for n in 0..lane_count {
            let (lane, jobs) = bounded::<Box<dyn WriteJob>>(QUEUE_MAX);
            let (target, listener, figures) = (target.clone(), listener.clone(), figures.clone());
            let keeper = keeper.clone();
            threads.push(spawn(format!("db-write-{n}"), move |ready| {
                let lane = WriteLane { target, listener, figures, keeper };
                lane.run(&jobs, &ready);
            })?);
            lanes.push(lane);
        }
        let shared = Shared {
            engine: target.engine(),
            reads,
            lanes,
            listener,
            figures,
            threads: std::sync::Mutex::new(threads),
        };
        Ok(Database { shared: Arc::new(shared) })
    }

    /// Which engine stands behind it.
    pub fn engine(&self) -> Engine {
        self.shared.engine
    }

    /// Counters for `/metrics`.
    pub fn figures(&self) -> &Figures {
        &self.shared.figures
    }

    /// Who is told after each commit. Set once, before the first write that matters.
    pub fn on_commit(&self, listener: impl Fn(&[Signal]) + Send + Sync + 'static) {
        let _ = self.shared.listener.set(Box::new(listener));
    }

    /// Runs `body` on a reading connection. For several statements that must agree, use [`Db::snapshot`] inside.
    pub async fn read<T: Send + 'static>(
        &self,
        body: impl FnOnce(&mut Db) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let job: ReadJob = Box::new(move |db| {
            let outcome = body(db);
            Box::new(move || drop(reply.send(outcome)))
        });
        self.submit_read(job)?;
        answer.await.map_err(|_| Error::internal("a reading operation panicked"))?
    }

    pub(super) fn submit_read(&self, job: ReadJob) -> Result<()> {
        self.shared.reads.try_send(job).map_err(|_| busy())
    }

    /// Runs `body` in the lane's next transaction and answers after the commit. It may be run more than once, so it
    /// must not change what it captured.
    pub async fn write<T: Send + 'static>(
        &self,
        lane: impl Into<Lane>,
        body: impl FnMut(&mut Db) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        self.submit(lane.into(), Box::new(Closure { body, value: None, reply }))?;
        answer.await.map_err(|_| Error::internal("a writing operation panicked"))?
    }

    pub(super) fn submit(&self, lane: Lane, job: Box<dyn WriteJob>) -> Result<()> {
        let lane = self.lane_index(lane);
        let sender = self.shared.lanes.get(lane).ok_or_else(|| Error::internal("no such lane"))?;
        self.shared.figures.waiting.fetch_add(1, Ordering::Relaxed);
        sender.try_send(job).map_err(|error| {
            self.shared.figures.waiting.fetch_sub(1, Ordering::Relaxed);
            match error {
                TrySendError::Full(_) => busy(),
                TrySendError::Disconnected(_) => Error::unavailable("stopping", "The service is stopping."),
            }
        })
    }

    pub(super) fn lane_index(&self, lane: Lane) -> usize {
        match lane {
            Lane::Any => 0,
            Lane::Spread(n) => n as usize % self.shared.lanes.len().max(1),
            Lane::Of(account) => {
                // The last bytes of a UUIDv7 are random.
                let tail =
                    account.as_bytes().iter().rev().take(4).fold(0u32, |n, b| (n << 8) | u32::from(*b));
                tail as usize % self.shared.lanes.len().max(1)
            }
        }
    }

    pub(super) fn lane_count(&self) -> usize {
        self.shared.lanes.len()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let (closed, _) = bounded(0);
        self.reads = closed;
        self.lanes.clear();
        // Lanes finish what they took; waiting for them makes a stop graceful. A thread of ours that drops the last
        // handle itself must not wait for threads that wait for it.
        let me = std::thread::current().id();
        if let Ok(mut threads) = self.threads.lock()
            && threads.iter().all(|thread| thread.thread().id() != me)
        {
            for thread in threads.drain(..) {
                let _ = thread.join();
            }
        }
    }
}

fn busy() -> Error {
    Error::unavailable("busy", "Too much is waiting to be stored. Try again in a moment.")
}

/// Starts a database thread and waits until its connection stands.
fn spawn(name: String, body: impl FnOnce(Sender<Result<()>>) + Send + 'static) -> Result<JoinHandle<()>> {
    let (ready, opened) = bounded(1);
    let thread = std::thread::Builder::new().name(name).stack_size(1 << 20).spawn(move || body(ready))?;
    opened.recv().map_err(|_| Error::internal("a database thread ended at once"))??;
    Ok(thread)
}

fn open_patiently(target: &Target, purpose: Purpose) -> Db {
    let mut pause = Duration::from_millis(50);
    loop {
        match target.open(purpose) {
            Ok(db) => return db,
            Err(error) => {
                tracing::warn!(reason = %error.report(), "the database cannot be reached; trying again");
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_secs(5));
            }
        }
    }
}

/// The way to the threads that keep SQLite's log.
#[derive(Clone)]
struct Keeper {
    progress: Arc<Progress>,
    commits: Sender<Committed>,
    /// Holds one for each batch that is not durable yet, and is full when the writer must wait.
    ahead: Sender<()>,
}

impl Keeper {
    fn start(
        path: &std::path::Path,
        target: &Target,
        listener: &Arc<OnceLock<Listener>>,
        threads: &mut Vec<JoinHandle<()>>,
    ) -> Result<Keeper> {
        let progress = Arc::<Progress>::default();
        // Bounded by what it answers: the readers' queue, and `ahead`.
        let (commits, committed) = unbounded();
        let (ahead, behind) = bounded(log::AHEAD_MAX);
        let (ticks, ticked) = bounded(1);
        let (log_of, listener, shared) = (path.to_owned(), listener.clone(), progress.clone());
        threads.push(spawn("db-sync".to_owned(), move |ready| {
            let _ = ready.send(Ok(()));
            log::sync_loop(&log_of, &shared, &committed, &behind, &ticks, |signals| tell(&listener, signals));
        })?);
        let (path, target, shared) = (path.to_owned(), target.clone(), progress.clone());
        threads.push(spawn("db-home".to_owned(), move |ready| {
            let _ = ready.send(Ok(()));
            log::checkpoint_loop(&path, &target, &shared, &ticked);
        })?);
        Ok(Keeper { progress, commits, ahead })
    }

    fn hand_over(&self, committed: Committed) {
        if committed.is_batch && self.ahead.send(()).is_err() {
            return (committed.then)(Err(log::broken()));
        }
        if let Err(unsent) = self.commits.send(committed) {
            (unsent.into_inner().then)(Err(log::broken()));
        }
    }
}

fn tell(listener: &OnceLock<Listener>, signals: &[Signal]) {
    if let Some(listener) = listener.get().filter(|_| !signals.is_empty()) {
        listener(signals);
    }
}

fn read_loop(target: &Target, jobs: &Receiver<ReadJob>, keeper: Option<&Keeper>, ready: &Sender<Result<()>>) {
    let mut db = match target.open(Purpose::Read) {
        Ok(db) => db,
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    let _ = ready.send(Ok(()));
    let mut used = Instant::now();
    while let Ok(job) = jobs.recv() {
        if used.elapsed() > LOOK_AFTER && !db.is_still_healthy() {
            db = open_patiently(target, Purpose::Read);
        }
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job(&mut db))) {
            Ok(reply) => answer_reader(keeper, reply),
            // A panic may have left a transaction open: a new connection is the only state we can be sure of.
            Err(_) => db = open_patiently(target, Purpose::Read),
        }
        if !db.is_healthy() {
            db = open_patiently(target, Purpose::Read);
        }
        used = Instant::now();
    }
}

/// Answers at once, or after the sync of what the reader may have seen.
fn answer_reader(keeper: Option<&Keeper>, reply: Reply) {
    match keeper.and_then(|keeper| Some((keeper, keeper.progress.pending()?))) {
        Some((keeper, batch)) => {
            keeper.hand_over(Committed {
                batch,
                is_batch: false,
                signals: Vec::new(),
                then: Box::new(move |_| reply()),
            });
        }
        None => reply(),
    }
}

struct WriteLane {
    target: Target,
    listener: Arc<OnceLock<Listener>>,
    figures: Arc<Figures>,
    /// For SQLite only: PostgreSQL answers a commit when it is durable.
    keeper: Option<Keeper>,
}

impl WriteLane {
    fn run(&self, jobs: &Receiver<Box<dyn WriteJob>>, ready: &Sender<Result<()>>) {
        let mut db = match self.target.open(Purpose::Write) {
            Ok(db) => db,
            Err(error) => {
                let _ = ready.send(Err(error));
                return;
            }
        };
        let _ = ready.send(Ok(()));
        let mut batch = Vec::with_capacity(BATCH_MAX);
        let mut used = Instant::now();
        while let Ok(first) = jobs.recv() {
            if used.elapsed() > LOOK_AFTER && !db.is_still_healthy() {
                db = open_patiently(&self.target, Purpose::Write);
            }
            batch.push(first);
            while batch.len() < BATCH_MAX {
                let Ok(next) = jobs.try_recv() else { break };
                batch.push(next);
            }
            self.figures.waiting.fetch_sub(batch.len(), Ordering::Relaxed);
            self.settle(&mut db, std::mem::take(&mut batch));
            if self.keeper.as_ref().is_some_and(|keeper| keeper.progress.is_finish_wanted()) {
                log::finish(&mut db);
            }
            if !db.is_healthy() {
                db = open_patiently(&self.target, Purpose::Write);
            }
            used = Instant::now();
        }
    }

    /// Runs a batch to its end: commits it and has everybody answered when it is durable.
    fn settle(&self, db: &mut Db, mut batch: Vec<Box<dyn WriteJob>>) {
        let count = batch.len() as u64;
        let keeper = self.keeper.as_ref();
        let place = keeper.map_or(0, |keeper| keeper.progress.begin());
        let outcomes: Vec<Result<()>> = if keeper.is_some_and(|keeper| keeper.progress.is_broken()) {
            batch.iter().map(|_| Err(log::broken())).collect()
        } else {
            match attempt_together(db, &mut batch) {
                Ok(()) => batch.iter().map(|_| Ok(())).collect(),
                Err(error) if batch.len() == 1 && !is_worth_retrying(&error) => vec![Err(error)],
                Err(_) => {
                    self.figures.replays.fetch_add(1, Ordering::Relaxed);
                    attempt_apart(db, &mut batch)
                }
            }
        };
        self.figures.commits.fetch_add(1, Ordering::Relaxed);
        self.figures.operations.fetch_add(count, Ordering::Relaxed);
        let signals = db.take_signals();
        let Some(keeper) = keeper else {
            // Caches must be told before anybody is answered: who has his answer must not meet the old state.
            tell(&self.listener, &signals);
            return finish_all(batch, outcomes);
        };
        let then = move |fate: Result<()>| {
            let outcomes = match fate {
                Ok(()) => outcomes,
                Err(_) => batch.iter().map(|_| Err(log::broken())).collect(),
            };
            finish_all(batch, outcomes);
        };
        keeper.hand_over(Committed { batch: place, is_batch: true, signals, then: Box::new(then) });
    }
}

fn finish_all(batch: Vec<Box<dyn WriteJob>>, outcomes: Vec<Result<()>>) {
    for (job, outcome) in batch.into_iter().zip(outcomes) {
        job.finish(outcome);
    }
}

/// One transaction for all, without savepoints: the usual case.
fn attempt_together(db: &mut Db, batch: &mut [Box<dyn WriteJob>]) -> Result<()> {
    db.take_signals();
    db.begin()?;
    for job in batch.iter_mut() {
        if let Err(error) = guarded(job.as_mut(), db) {
            db.take_signals();
            db.rollback()?;
            return Err(error);
        }
    }
    db.commit().map_err(|error| {
        db.take_signals();
        let _ = db.rollback();
        error.into()
    })
}

/// One transaction with a savepoint around each, so that a failing operation takes nobody with it.
fn attempt_apart(db: &mut Db, batch: &mut [Box<dyn WriteJob>]) -> Vec<Result<()>> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        match try_apart(db, batch) {
            Ok(outcomes) => return outcomes,
            Err(error) if attempt < ATTEMPTS_MAX && is_worth_retrying(&error) => {
                let jitter = rand::random::<u64>() % 5;
                std::thread::sleep(Duration::from_millis(u64::from(attempt) * 2 + jitter));
            }
            Err(error) => {
                let report = error.report();
                tracing::error!(reason = %report, "a transaction failed for good");
                return batch
                    .iter()
                    .map(|_| {
                        Err(Error::unavailable("database_away", "The change could not be stored.")
                            .context(report.clone()))
                    })
                    .collect();
            }
        }
    }
}

fn try_apart(db: &mut Db, batch: &mut [Box<dyn WriteJob>]) -> Result<Vec<Result<()>>> {
    db.take_signals();
    db.begin()?;
    let mut outcomes = Vec::with_capacity(batch.len());
    for job in batch.iter_mut() {
        let outcome = db.transaction(|db| guarded(job.as_mut(), db));
        if let Err(error) = &outcome
            && is_worth_retrying(error)
        {
            db.take_signals();
            db.rollback()?;
            return Err(Error::caused("a conflict between transactions", error.report()));
        }
        outcomes.push(outcome);
    }
    if let Err(error) = db.commit() {
        db.take_signals();
        let _ = db.rollback();
        return Err(error.into());
    }
    Ok(outcomes)
}

/// Runs a job; a panic becomes an error, so that one operation cannot take the lane down.
fn guarded(job: &mut dyn WriteJob, db: &mut Db) -> Result<()> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job.run(db)))
        .unwrap_or_else(|_| Err(Error::internal("an operation panicked")))
}
