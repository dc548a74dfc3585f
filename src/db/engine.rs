//! Opening connections to either engine, with the settings that make them durable and quick.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use diesel::Connection;
use diesel::connection::SimpleConnection;
use diesel::sqlite::SqliteConnection;
use diesel_async::AsyncPgConnection;
use diesel_async::async_connection_wrapper::{AsyncConnectionWrapper, BlockOn};
use tokio::runtime::Runtime;
use tokio_postgres::NoTls;
use tokio_postgres::config::SslMode;

use super::{Db, Engine, Hush, page_cache};
use crate::error::{Error, Result};

/// How long a connection waits for another one before it gives up.
pub(super) const BUSY_PATIENCE: Duration = Duration::from_secs(5);

/// PostgreSQL without libpq: tokio-postgres driven from synchronous code.
pub type PgConn = AsyncConnectionWrapper<AsyncPgConnection, Io>;

/// The concrete connection, for [`each!`](crate::each).
#[expect(clippy::large_enum_variant, reason = "there are a handful, and each lives as long as its thread")]
pub enum Conn {
    /// A file.
    Sqlite(SqliteConnection),
    /// A server.
    Pg(PgConn),
}

/// Where the database is and how to open it.
#[derive(Clone)]
pub(super) enum Target {
    Sqlite(PathBuf),
    Postgres(String),
}

/// Moves one connection's socket, on the thread that uses the connection: a round trip wakes nobody else. Between two
/// calls nothing moves.
#[derive(Clone)]
pub struct Io(Arc<OwnRuntime>);

/// Ends without waiting, so that it may end anywhere, also where nothing may block.
struct OwnRuntime(Option<Runtime>);

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

thread_local! {
    /// The runtime in which the connection lives that is about to be wrapped: a wrapper asks for its own without saying
    /// what for.
    static AT_HAND: RefCell<Option<Io>> = const { RefCell::new(None) };
}

impl Io {
    fn start() -> std::io::Result<Io> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Io(Arc::new(OwnRuntime(Some(runtime)))))
    }

    /// Lets the connection hear what came in since it was last used.
    pub(super) fn listen(&self) {
        // The first turn asks the system what came, the second one lets the connection read it.
        self.block_on(async {
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
        });
    }
}

impl BlockOn for Io {
    #[expect(clippy::expect_used, reason = "it is taken away by `drop` only")]
    fn block_on<F: Future>(&self, f: F) -> F::Output {
        self.0.0.as_ref().expect("a connection's runtime outlives it").block_on(f)
    }

    #[expect(
        clippy::expect_used,
        reason = "a thread without file descriptors could not have connected, either"
    )]
    fn get_runtime() -> Io {
        let at_hand = AT_HAND.with_borrow_mut(Option::take);
        at_hand.unwrap_or_else(|| Io::start().expect("a runtime for a connection"))
    }
}

/// What a connection is for; some settings differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Read,
    Write,
    Migrate,
    /// Writes SQLite's log home.
    Checkpoint,
}

impl Target {
    /// Reads a database address: `sqlite://PATH` or `postgres://…`.
    pub(super) fn parse(url: &str) -> Result<Target> {
        if let Some(path) = url.strip_prefix("sqlite://") {
            if path.is_empty() {
                return Err(Error::invalid("database_url", "no_path", "sqlite:// needs the path of a file."));
            }
            return Ok(Target::Sqlite(PathBuf::from(path)));
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Target::Postgres(url.to_owned()));
        }
        Err(Error::invalid(
            "database_url",
            "unknown_database",
            "The database address must begin with sqlite:// or postgres://.",
        ))
    }

    pub(super) fn engine(&self) -> Engine {
        match self {
            Target::Sqlite(_) => Engine::Sqlite,
            Target::Postgres(_) => Engine::Postgres,
        }
    }

    /// Opens a connection. Must be called, and the result dropped, on a database thread: the PostgreSQL side blocks.
    pub(super) fn open(&self, purpose: Purpose) -> Result<Db> {
        match self {
            Target::Sqlite(path) => {
                let conn = Conn::Sqlite(open_sqlite(path, purpose)?);
                Ok(Db { conn, io: None, gone: Arc::default(), signals: Vec::new(), hush: Hush::Nobody })
            }
            Target::Postgres(url) => {
                let (conn, io, gone) = open_postgres(url, purpose)?;
                Ok(Db { conn: Conn::Pg(conn), io: Some(io), gone, signals: Vec::new(), hush: Hush::Nobody })
            }
        }
    }
}

fn open_sqlite(path: &Path, purpose: Purpose) -> Result<SqliteConnection> {
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)
            .map_err(|e| Error::caused(format!("making the folder {}", folder.display()), e))?;
    }
    page_cache::install();
    let mut conn = SqliteConnection::establish(&path.to_string_lossy()).map_err(away)?;
    // Memory is taken only as it is used. The writer's pages stay good from one transaction to the next; a reader must
    // forget all of its pages after every commit of the writer, so it is given little.
    let cache_kib = if purpose == Purpose::Write { 65_536 } else { 2_048 };
    // An answer to a carrier promises that the message outlives a power cut. The lane's commits are synced by a thread
    // of their own before anybody is answered (see `log`); all others sync themselves.
    let synchronous = if matches!(purpose, Purpose::Write | Purpose::Checkpoint) { "NORMAL" } else { "FULL" };
    let checkpoint_after = if purpose == Purpose::Write { 0 } else { 16_000 };
    // No memory map: SQLite takes a reader's whole map down after every commit, and the page faults that follow cost
    // more than reading does.
    // A change of a few bytes puts a whole page into the log, so pages are small. Counts when a database is made.
    let patience = BUSY_PATIENCE.as_millis();
    conn.batch_execute(&format!(
        "PRAGMA busy_timeout = {patience}; PRAGMA page_size = 2048; PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous}; \
         PRAGMA foreign_keys = ON; PRAGMA cache_size = -{cache_kib}; PRAGMA temp_store = MEMORY; \
         PRAGMA mmap_size = 0; PRAGMA wal_autocheckpoint = {checkpoint_after}; PRAGMA journal_size_limit = 134217728;"
    ))?;
    Ok(conn)
}

/// Opens a connection, with what moves it and a flag that turns true when the server has gone.
fn open_postgres(url: &str, purpose: Purpose) -> Result<(PgConn, Io, Arc<AtomicBool>)> {
    let mut config: tokio_postgres::Config = url.parse().map_err(away)?;
    config.connect_timeout(Duration::from_secs(5));
    config.tcp_user_timeout(Duration::from_secs(15));
    config.application_name("meari");
    let closed = Arc::new(AtomicBool::new(false));
    let gone = closed.clone();
    let io = Io::start()?;
    let client = io.block_on(async move {
        if config.get_ssl_mode() == SslMode::Require {
            let tls = tokio_postgres_rustls::MakeRustlsConnect::with_webpki_roots();
            let (client, connection) = config.connect(tls).await.map_err(away)?;
            tokio::spawn(watch(connection, gone));
            AsyncPgConnection::try_from(client).await.map_err(away)
        } else {
            let (client, connection) = config.connect(NoTls).await.map_err(away)?;
            tokio::spawn(watch(connection, gone));
            AsyncPgConnection::try_from(client).await.map_err(away)
        }
    })?;
    AT_HAND.set(Some(io.clone()));
    let mut conn = PgConn::from(client);
    let limits = match purpose {
        Purpose::Migrate => "SET statement_timeout = 0; SET lock_timeout = '60s';",
        Purpose::Read | Purpose::Checkpoint => {
            "SET statement_timeout = '15s'; SET idle_in_transaction_session_timeout = '30s'; SET jit = off;"
        }
        // The hot statement looks cheap to the planner each time, so it would be planned anew each time.
        Purpose::Write => {
            "SET statement_timeout = '15s'; SET lock_timeout = '5s'; SET idle_in_transaction_session_timeout = '10s'; \
             SET plan_cache_mode = force_generic_plan; SET jit = off;"
        }
    };
    conn.batch_execute(limits)?;
    Ok((conn, io, closed))
}

async fn watch<S, T>(connection: tokio_postgres::Connection<S, T>, gone: Arc<AtomicBool>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    if let Err(error) = connection.await {
        tracing::warn!(%error, "a connection to the database ended");
    }
    gone.store(true, Ordering::Relaxed);
}

fn away(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::unavailable("database_away", "The database cannot be reached.").with_source(error)
}
