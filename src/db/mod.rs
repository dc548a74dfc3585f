//! The database: SQLite or PostgreSQL behind the same code.
//!
//! A [`Db`] is one connection, and [`each!`](crate::each) compiles one query body for either engine. Operations are
//! plain synchronous functions over `&mut Db`: they cannot await the outside while they hold a transaction, because
//! the language does not let them. [`Database`] owns the threads: readers, and write lanes with group commit (see
//! `lanes`). What must happen after a commit (wake a socket, drop a cache entry, start a job) is a [`Signal`] that the
//! operation leaves on the connection; the lane hands the signals over once the commit is durable, and forgets them
//! when it is not.

mod engine;
mod hot;
mod hot_read;
mod kept;
mod lanes;
mod log;
mod migrate;
mod page_cache;
mod written;

use engine::Io;
pub use engine::{Conn, PgConn};
pub use hot::HotOperation;
pub use hot_read::HotRead;
pub use kept::Keep;
pub use lanes::{Database, Lane, Options};
pub use migrate::{down as migrate_down, pending as pending_migrations, up as migrate_up};

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::sqlite::SqliteConnection;
use diesel::{Connection, QueryResult};

use crate::error::{Error, Result};
use crate::ids::AccountId;

/// Which engine stands behind a [`Db`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// A file, no server.
    Sqlite,
    /// A server.
    Postgres,
}

/// What an account's change touches beside its event log; tells caches on every node what to forget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topics(pub u8);

impl Topics {
    /// New events only.
    pub const EVENTS: Topics = Topics(0);
    /// App passwords, sessions or the account itself: credentials must be read again.
    pub const DOORS: Topics = Topics(1);
    /// Handsets, contacts or assignments: who is meant by a pair must be read again.
    pub const ROUTES: Topics = Topics(2);
    /// An address book changed.
    pub const BOOKS: Topics = Topics(4);
    /// A card of an address book changed, and the [`News`] just before say how. Other nodes, which have no news, hear it
    /// as [`Topics::BOOKS`].
    pub const CARDS: Topics = Topics(8);

    /// Both.
    #[must_use]
    pub const fn and(self, other: Topics) -> Topics {
        Topics(self.0 | other.0)
    }

    /// Whether all of `other` is in here.
    pub const fn has(self, other: Topics) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What follows a commit. Left on the connection inside the transaction, handed over after it is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// An account changed: its counter stands at `seq` now.
    Account {
        /// Whose.
        account: AccountId,
        /// The counter after the change.
        seq: i64,
        /// What else was touched.
        topics: Topics,
    },
    /// There is work in the queue.
    Jobs,
    /// The pool of numbers changed.
    Pool,
    /// How something changed, for memories of this node that would otherwise have to forget it. Comes before the signal
    /// that tells of the same change.
    News(News),
}

/// What an operation says to a memory of its own domain.
#[derive(Clone)]
pub struct News(Arc<dyn Any + Send + Sync>);

impl News {
    /// Wraps it.
    pub fn new<T: Any + Send + Sync>(content: T) -> News {
        News(Arc::new(content))
    }

    /// The content, for whoever knows such.
    pub fn read<T: Any>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}

impl std::fmt::Debug for News {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("News")
    }
}

/// The very same.
impl PartialEq for News {
    fn eq(&self, other: &News) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for News {}

/// Who is not told of what an operation changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Hush {
    /// Everybody is told.
    #[default]
    Nobody,
    /// Nobody is told.
    Everybody,
    /// Everybody is told but these (the 16 bytes of their ids).
    These(Vec<[u8; 16]>),
}

/// One connection and the signals its transaction has left so far.
pub struct Db {
    conn: Conn,
    io: Option<Io>,
    gone: Arc<AtomicBool>,
    signals: Vec<Signal>,
    hush: Hush,
}

/// Runs one query body on whichever engine stands behind a [`Db`]: `each!(db, |c| table.load(c))`.
#[macro_export]
macro_rules! each {
    ($db:expr, |$c:ident| $body:expr) => {
        match $db.conn() {
            $crate::db::Conn::Sqlite($c) => $body,
            $crate::db::Conn::Pg($c) => $body,
        }
    };
}

impl Db {
    /// The connection, for [`each!`](crate::each).
    pub fn conn(&mut self) -> &mut Conn {
        &mut self.conn
    }

    /// Which engine this is. Only `db/` and hot statements may care.
    pub fn engine(&self) -> Engine {
        match self.conn {
            Conn::Sqlite(_) => Engine::Sqlite,
            Conn::Pg(_) => Engine::Postgres,
        }
    }

    /// Leaves a signal that is handed over after the commit.
    pub fn signal(&mut self, signal: Signal) {
        if self.signals.last() != Some(&signal) {
            self.signals.push(signal);
        }
    }

    /// Runs `body`, of which those in `hush` are not told by a push.
    pub fn hushed<T>(&mut self, hush: &Hush, body: impl FnOnce(&mut Db) -> Result<T>) -> Result<T> {
        let before = std::mem::replace(&mut self.hush, hush.clone());
        let outcome = body(self);
        self.hush = before;
        outcome
    }

    /// Whether this one is not told of what is changed now.
    pub fn is_hushed(&self, id: &[u8; 16]) -> bool {
        match &self.hush {
            Hush::Nobody => false,
            Hush::Everybody => true,
            Hush::These(ids) => ids.contains(id),
        }
    }

    pub(crate) fn take_signals(&mut self) -> Vec<Signal> {
        std::mem::take(&mut self.signals)
    }

    fn signal_mark(&self) -> usize {
        self.signals.len()
    }

    fn forget_signals_after(&mut self, mark: usize) {
        self.signals.truncate(mark);
    }

    /// Whether the connection can be used for the next operation.
    pub(crate) fn is_healthy(&mut self) -> bool {
        let depth = match &mut self.conn {
            Conn::Sqlite(c) => {
                <AnsiTransactionManager as TransactionManager<SqliteConnection>>::transaction_manager_status_mut(c)
                    .transaction_depth()
            }
            Conn::Pg(c) => {
                if <PgConn as Connection>::TransactionManager::is_broken_transaction_manager(c) {
                    return false;
                }
                <PgConn as Connection>::TransactionManager::transaction_manager_status_mut(c).transaction_depth()
            }
        };
        matches!(depth, Ok(None)) && !self.gone.load(Ordering::Relaxed)
    }

    /// Whether the connection can be used after it was left alone for a while.
    pub(crate) fn is_still_healthy(&mut self) -> bool {
        if let Some(io) = &self.io {
            io.listen();
        }
        self.is_healthy()
    }

    /// Runs `body` in a write transaction; inside another one, in a savepoint. Rolled back when it returns an error.
    ///
    /// Lanes already hold a transaction for every operation, so this is for parts that may fail on their own.
    pub fn transaction<T>(&mut self, body: impl FnOnce(&mut Db) -> Result<T>) -> Result<T> {
        let mark = self.signal_mark();
        self.begin()?;
        match body(self) {
            Ok(value) => {
                self.commit()?;
                Ok(value)
            }
            Err(error) => {
                self.forget_signals_after(mark);
                self.rollback()?;
                Err(error)
            }
        }
    }

    /// Runs `body` on one consistent snapshot, read only.
    pub fn snapshot<T>(&mut self, body: impl FnOnce(&mut Db) -> Result<T>) -> Result<T> {
        self.begin_snapshot()?;
        let outcome = body(self);
        self.rollback()?;
        outcome
    }

    /// Runs a statement that is the same on both engines, without parameters.
    pub fn execute_batch(&mut self, sql: &str) -> Result<()> {
        each!(self, |c| c.batch_execute(sql))?;
        Ok(())
    }

    pub(crate) fn begin(&mut self) -> QueryResult<()> {
        match &mut self.conn {
            Conn::Sqlite(c) => {
                let depth = <AnsiTransactionManager as TransactionManager<SqliteConnection>>::transaction_manager_status_mut(c)
                    .transaction_depth()?;
                if depth.is_none() {
                    // IMMEDIATE: a deferred one that turns into a writer fails at once with BUSY, whatever the time-out.
                    AnsiTransactionManager::begin_transaction_sql(c, "BEGIN IMMEDIATE")
                } else {
                    AnsiTransactionManager::begin_transaction(c)
                }
            }
            Conn::Pg(c) => <PgConn as Connection>::TransactionManager::begin_transaction(c),
        }
    }

    fn begin_snapshot(&mut self) -> QueryResult<()> {
        match &mut self.conn {
            Conn::Sqlite(c) => AnsiTransactionManager::begin_transaction_sql(c, "BEGIN DEFERRED"),
            Conn::Pg(c) => {
                <PgConn as Connection>::TransactionManager::begin_transaction(c)?;
                c.batch_execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            }
        }
    }

    pub(crate) fn commit(&mut self) -> QueryResult<()> {
        match &mut self.conn {
            Conn::Sqlite(c) => AnsiTransactionManager::commit_transaction(c),
            Conn::Pg(c) => <PgConn as Connection>::TransactionManager::commit_transaction(c),
        }
    }

    pub(crate) fn rollback(&mut self) -> QueryResult<()> {
        match &mut self.conn {
            Conn::Sqlite(c) => AnsiTransactionManager::rollback_transaction(c),
            Conn::Pg(c) => <PgConn as Connection>::TransactionManager::rollback_transaction(c),
        }
    }
}

/// Whether the same transaction, run again, may succeed.
pub(crate) fn is_worth_retrying(error: &Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
    while let Some(current) = cause {
        if let Some(DieselError::DatabaseError(kind, info)) = current.downcast_ref::<DieselError>() {
            let message = info.message();
            return matches!(kind, DatabaseErrorKind::SerializationFailure)
                || message.contains("deadlock detected")
                || message.contains("database is locked");
        }
        cause = current.source();
    }
    false
}

impl From<DieselError> for Error {
    fn from(error: DieselError) -> Self {
        match &error {
            DieselError::DatabaseError(DatabaseErrorKind::ClosedConnection, _) => {
                Error::unavailable("database_away", "The database cannot be reached.").with_source(error)
            }
            _ => Error::caused("a query failed", error),
        }
    }
}

/// Turns a violated unique constraint into an answer at the place where it happens.
pub trait OnConflict<T> {
    /// When the statement violated any unique constraint, the error is `conflict()`.
    fn on_unique_violation(self, conflict: impl FnOnce() -> Error) -> Result<T>;
}

impl<T> OnConflict<T> for QueryResult<T> {
    fn on_unique_violation(self, conflict: impl FnOnce() -> Error) -> Result<T> {
        match self {
            Err(DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => Err(conflict()),
            other => Ok(other?),
        }
    }
}
