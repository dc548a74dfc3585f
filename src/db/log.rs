//! SQLite's write-ahead log, kept by two threads of its own so that the writer never waits for the disk.
//!
//! The writer commits into the log without syncing it and goes on with the next batch; the **syncer** makes what was
//! committed durable and only then tells listeners and answers callers. One sync serves every batch that was committed
//! before it began. What a reader saw may be a commit that is not durable yet, so its answer waits for the sync too:
//! nobody ever hears of something that a power cut could take back. The **checkpointer** writes the log home beside
//! the writer, and asks the writer only for the last few pages, when nobody else may append.
//!
//! Safe because SQLite itself, with `synchronous=NORMAL`, syncs the log before it writes pages home, the file before
//! it lets the log begin anew, and the first frame of a log that begins anew (<https://sqlite.org/wal.html>).

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::sql_types::Integer;

use super::engine::{BUSY_PATIENCE, Conn, Purpose, Target};
use super::{Db, Signal};
use crate::error::{Error, Result};

/// Batches that may be committed and not yet durable.
pub(super) const AHEAD_MAX: usize = 1;
/// Between two rounds of writing home: so many batches (a busy one is tens of pages) and at least this time, or a
/// longer time after which any will do.
const BATCHES: u64 = 50;
const BREATH: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(30);
/// Pages in the log above which it shall begin anew: 32 MiB. A short log is found through quickly.
const PAGES_MAX: i32 = 16_000;
/// A round that takes less leaves the writer a few hundred pages.
const QUICK: Duration = Duration::from_millis(12);
/// How long the writer waits for readers before the log begins anew.
const READERS_PATIENCE: Duration = Duration::from_millis(20);
/// Rounds in which the checkpointer tries to catch up with the writer.
const ROUNDS: usize = 6;

/// What is left to do when a batch is durable.
type Afterwards = Box<dyn FnOnce(Result<()>) + Send>;

/// A batch that the writer has committed, or a reader's answer that depends on one.
pub(super) struct Committed {
    /// The batch's place in the order of commits.
    pub batch: u64,
    /// Whether it comes from the writer, who may be [`AHEAD_MAX`] batches ahead.
    pub is_batch: bool,
    /// What follows from it, for listeners.
    pub signals: Vec<Signal>,
    /// Answers everybody.
    pub then: Afterwards,
}

/// How far the writer and the syncer are.
#[derive(Default)]
pub(super) struct Progress {
    begun: AtomicU64,
    durable: AtomicU64,
    /// The writer is asked to write the rest of the log home.
    finish: AtomicBool,
    /// Syncing failed once: what the kernel has dropped cannot be told any more, so nothing may be promised.
    broken: AtomicBool,
}

impl Progress {
    /// The writer is about to commit a batch; answers its place.
    pub fn begin(&self) -> u64 {
        self.begun.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The batch that a reader may have seen, when it is not durable yet.
    pub fn pending(&self) -> Option<u64> {
        let begun = self.begun.load(Ordering::SeqCst);
        (self.durable.load(Ordering::SeqCst) < begun).then_some(begun)
    }

    /// Whether the writer shall write the rest of the log home now.
    pub fn is_finish_wanted(&self) -> bool {
        self.finish.swap(false, Ordering::AcqRel)
    }

    /// Whether nothing may be promised any more.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }
}

/// Makes commits durable, in their order, until the last sender is gone.
pub(super) fn sync_loop(
    path: &Path,
    progress: &Progress,
    commits: &Receiver<Committed>,
    ahead: &Receiver<()>,
    ticks: &Sender<()>,
    told: impl Fn(&[Signal]),
) {
    let mut log = Log { path: log_of(path), file: None };
    let mut waiting: Vec<Committed> = Vec::new();
    while let Ok(first) = commits.recv() {
        waiting.push(first);
        waiting.extend(commits.try_iter());
        make_durable(&mut log, progress, &waiting);
        for _ in waiting.iter().filter(|commit| commit.is_batch) {
            let _ = ahead.try_recv();
        }
        let _ = ticks.try_send(());
        for commit in take_settled(progress, &mut waiting) {
            let fate = if progress.is_broken() { Err(broken()) } else { Ok(()) };
            // Caches must be told before anybody is answered: who has his answer must not meet the old state.
            if fate.is_ok() && !commit.signals.is_empty() {
                told(&commit.signals);
            }
            (commit.then)(fate);
        }
    }
    // Without a writer nothing more becomes durable: who still waits saw a batch that was never handed over.
    for commit in waiting {
        (commit.then)(Err(broken()));
    }
}

/// Syncs what the writer has handed over. Only the writer's own word counts: a reader's answer names a batch that may
/// not be in the log yet, and a sync made too early says nothing of it.
fn make_durable(log: &mut Log, progress: &Progress, waiting: &[Committed]) {
    let Some(newest) = waiting.iter().filter(|commit| commit.is_batch).map(|commit| commit.batch).max()
    else {
        return;
    };
    match log.sync() {
        Ok(()) => {
            progress.durable.fetch_max(newest, Ordering::SeqCst);
        }
        Err(error) => {
            progress.broken.store(true, Ordering::Release);
            tracing::error!(reason = %error.report(), "the log could not be made durable; nothing more is stored");
        }
    }
}

/// Takes those whose fate is known, in their order, and leaves the readers' answers whose batch is still to come.
fn take_settled(progress: &Progress, waiting: &mut Vec<Committed>) -> Vec<Committed> {
    let durable = if progress.is_broken() { u64::MAX } else { progress.durable.load(Ordering::SeqCst) };
    waiting.extract_if(.., |commit| commit.batch <= durable).collect()
}

/// The answer to everybody once the disk has failed us.
pub(super) fn broken() -> Error {
    Error::unavailable("database_away", "The change could not be stored.")
}

fn log_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

/// The log's file. It exists from the first commit on and stays the same as long as anybody has the database open.
struct Log {
    path: PathBuf,
    file: Option<File>,
}

impl Log {
    fn sync(&mut self) -> Result<()> {
        if self.file.is_none() {
            match File::open(&self.path) {
                Ok(file) => self.file = Some(file),
                // A database whose first change is still to come.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(Error::caused("opening the write-ahead log", error)),
            }
        }
        self.file
            .as_ref()
            .map_or(Ok(()), |file| file.sync_data())
            .map_err(|error| Error::caused("syncing the write-ahead log", error))
    }
}

#[derive(QueryableByName)]
struct Round {
    #[diesel(sql_type = Integer)]
    log: i32,
}

/// How a round of writing home treats others.
#[derive(Clone, Copy)]
enum Manner {
    /// Makes nobody wait.
    Passive,
    /// Waits a moment for readers who still need the log, so that the next batch begins it anew.
    Restart,
}

/// Writes home what it can; answers how many pages are in the log.
fn checkpoint(db: &mut Db, manner: Manner) -> Result<i32> {
    let Conn::Sqlite(c) = db.conn() else { return Ok(0) };
    let round: Round = match manner {
        Manner::Passive => diesel::sql_query("PRAGMA wal_checkpoint(PASSIVE)").get_result(c)?,
        Manner::Restart => diesel::sql_query("PRAGMA wal_checkpoint(RESTART)").get_result(c)?,
    };
    Ok(round.log)
}

/// Writes the log of the database at `path` home, beside the writer, until `ticks` ends.
pub(super) fn checkpoint_loop(path: &Path, target: &Target, progress: &Arc<Progress>, ticks: &Receiver<()>) {
    // Closing any handle of a file takes away the locks that SQLite has on it in this process (fcntl(2)). So this one
    // stays open until the thread ends, which is after all other connections have gone, and its own goes before it.
    let (home, mut db) = match open_home(path, target) {
        Ok(both) => both,
        Err(error) => {
            tracing::error!(reason = %error.report(), "the log cannot be written home; it will grow");
            return;
        }
    };
    let (mut done, mut last) = (progress.begun.load(Ordering::Relaxed), Instant::now());
    loop {
        match ticks.recv_timeout(PATIENCE) {
            Ok(()) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let (begun, rested) = (progress.begun.load(Ordering::Relaxed), last.elapsed());
        let is_due = (begun - done >= BATCHES && rested >= BREATH) || rested >= PATIENCE;
        if begun == done || !is_due {
            continue;
        }
        if let Err(error) = catch_up(&mut db, &home, progress) {
            tracing::warn!(reason = %error.report(), "writing the log home failed; it is tried again");
        }
        (done, last) = (begun, Instant::now());
    }
}

fn open_home(path: &Path, target: &Target) -> Result<(File, Db)> {
    let db = target.open(Purpose::Checkpoint)?;
    let home = File::open(path).map_err(|error| Error::caused("opening the database's file", error))?;
    Ok((home, db))
}

fn catch_up(db: &mut Db, home: &File, progress: &Progress) -> Result<()> {
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let pages = checkpoint(db, Manner::Passive)?;
        // SQLite syncs the file only when the writer finishes: by then the disk must have little to do.
        home.sync_data().map_err(|error| Error::caused("syncing the database's file", error))?;
        if pages < PAGES_MAX {
            return Ok(());
        }
        // What came in meanwhile is what the writer will have to do, while everybody waits for him.
        if began.elapsed() < QUICK {
            break;
        }
    }
    // The log begins anew only when a writer finds all of it written home, and a writer that never rests never does.
    progress.finish.store(true, Ordering::Release);
    Ok(())
}

/// The writer's own part, when it was asked: the pages that came in since the checkpointer's last round, and the
/// restart of the log. A reader who needs the log for long must not hold the writer up: then it is asked again.
pub(super) fn finish(db: &mut Db) {
    let outcome = set_patience(db, READERS_PATIENCE)
        .and_then(|()| checkpoint(db, Manner::Restart))
        .map(|_| ())
        .and(set_patience(db, BUSY_PATIENCE));
    if let Err(error) = outcome {
        tracing::debug!(reason = %error.report(), "the rest of the log was not written home");
    }
}

fn set_patience(db: &mut Db, patience: Duration) -> Result<()> {
    let Conn::Sqlite(c) = db.conn() else { return Ok(()) };
    c.batch_execute(&format!("PRAGMA busy_timeout = {}", patience.as_millis()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn committed(batch: u64, is_batch: bool, answers: &Sender<u64>) -> Committed {
        let answers = answers.clone();
        let then = Box::new(move |fate: Result<()>| {
            fate.unwrap();
            answers.send(batch).unwrap();
        });
        Committed { batch, is_batch, signals: Vec::new(), then }
    }

    /// A log in an empty folder and one begun batch.
    fn begun() -> (Log, Progress) {
        let progress = Progress::default();
        progress.begin();
        (Log { path: PathBuf::from("/nonexistent/a.db-wal"), file: None }, progress)
    }

    #[test]
    fn a_reader_who_saw_a_batch_waits_until_the_writer_has_handed_it_over() {
        let (mut log, progress) = begun();
        let (answers, answered) = crossbeam_channel::unbounded();
        let mut waiting = vec![committed(1, false, &answers)];
        make_durable(&mut log, &progress, &waiting);
        assert!(take_settled(&progress, &mut waiting).is_empty());
        assert_eq!(progress.pending(), Some(1), "a reader's word made the batch durable");

        waiting.push(committed(1, true, &answers));
        make_durable(&mut log, &progress, &waiting);
        for commit in take_settled(&progress, &mut waiting) {
            (commit.then)(Ok(()));
        }
        assert!(waiting.is_empty());
        assert_eq!(progress.pending(), None);
        assert_eq!(answered.try_iter().collect::<Vec<_>>(), [1, 1]);
    }

    #[test]
    fn when_the_disk_fails_everybody_is_told() {
        let (_, progress) = begun();
        let (answers, _answered) = crossbeam_channel::unbounded();
        let mut waiting = vec![committed(1, false, &answers), committed(1, true, &answers)];
        let mut log = Log { path: PathBuf::from("/dev/null/a.db-wal"), file: None };
        make_durable(&mut log, &progress, &waiting);
        assert!(progress.is_broken());
        assert_eq!(take_settled(&progress, &mut waiting).len(), 2);
    }

    #[test]
    fn a_later_batch_keeps_nobody_waiting_for_an_earlier_one() {
        let (mut log, progress) = begun();
        progress.begin();
        let (answers, _answered) = crossbeam_channel::unbounded();
        let mut waiting =
            vec![committed(2, false, &answers), committed(1, false, &answers), committed(1, true, &answers)];
        make_durable(&mut log, &progress, &waiting);
        let settled: Vec<_> =
            take_settled(&progress, &mut waiting).iter().map(|commit| commit.batch).collect();
        assert_eq!((settled, waiting.len()), (vec![1, 1], 1));
    }
}
