//! Opening connections to either engine, with the settings that make them durable and quick.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use diesel::Connection;
use diesel::connection::SimpleConnection;
use diesel::sqlite::SqliteConnection;
use diesel_async::AsyncPgConnection;
use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;
use tokio::runtime::Runtime;
use tokio_postgres::NoTls;
use tokio_postgres::config::SslMode;

use super::{Db, Engine, Hush};
use crate::error::{Error, Result};

/// How long a connection waits for another one before it gives up.
pub(super) const BUSY_PATIENCE: Duration = Duration::from_secs(5);

/// PostgreSQL without libpq: tokio-postgres driven from synchronous code.
pub type PgConn = AsyncConnectionWrapper<AsyncPgConnection>;

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
    Postgres { url: String, io: Arc<Io> },
}

/// Moves the sockets of all connections. Ends without waiting, so that it may end anywhere, also where nothing may
/// block.
pub(super) struct Io(Option<Runtime>);

impl Io {
    fn runtime(&self) -> Result<&Runtime> {
        self.0.as_ref().ok_or_else(|| Error::internal("the connections' runtime has ended"))
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
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
            let io = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .thread_name("pg-io")
                .enable_all()
                .build()?;
            return Ok(Target::Postgres { url: url.to_owned(), io: Arc::new(Io(Some(io))) });
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
            Target::Postgres { .. } => Engine::Postgres,
        }
    }

    /// Opens a connection. Must be called, and the result dropped, on a database thread: the PostgreSQL side blocks.
    pub(super) fn open(&self, purpose: Purpose) -> Result<Db> {
        match self {
            Target::Sqlite(path) => {
                let conn = Conn::Sqlite(open_sqlite(path, purpose)?);
                Ok(Db { conn, gone: Arc::default(), signals: Vec::new(), hush: Hush::Nobody })
            }
            Target::Postgres { url, io } => {
                let (conn, gone) = open_postgres(url, io, purpose)?;
                Ok(Db { conn: Conn::Pg(conn), gone, signals: Vec::new(), hush: Hush::Nobody })
            }
        }
    }
}

fn open_sqlite(path: &Path, purpose: Purpose) -> Result<SqliteConnection> {
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)
            .map_err(|e| Error::caused(format!("making the folder {}", folder.display()), e))?;
    }
    let mut conn = SqliteConnection::establish(&path.to_string_lossy()).map_err(away)?;
    // Memory is taken only as it is used. The writer's pages stay good from one transaction to the next; a reader must
    // forget all of its pages after every commit of the writer, so it is given little.
    // The writer's share is bounded, too: after a page was split, SQLite goes through all of them at the commit.
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

/// Opens a connection and a flag that turns true when the server has gone.
fn open_postgres(url: &str, io: &Io, purpose: Purpose) -> Result<(PgConn, Arc<AtomicBool>)> {
    let mut config: tokio_postgres::Config = url.parse().map_err(away)?;
    config.connect_timeout(Duration::from_secs(5));
    config.tcp_user_timeout(Duration::from_secs(15));
    config.application_name("meari");
    let closed = Arc::new(AtomicBool::new(false));
    let gone = closed.clone();
    let runtime = io.runtime()?;
    let client = runtime.handle().block_on(async move {
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
    let guard = runtime.enter();
    let mut conn = PgConn::from(client);
    drop(guard);
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
    Ok((conn, closed))
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
