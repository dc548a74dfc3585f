//! Bringing the schema up. Two nodes that start together must not race: PostgreSQL is locked by an advisory lock
//! (diesel takes none), SQLite by its own write lock.

use diesel::connection::SimpleConnection;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::engine::{Conn, Purpose, Target};
use crate::error::{Error, Result};

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// Any number will do, as long as nobody else in the same database uses it.
const LOCK: i64 = 0x6d_6561_7269;

type MigrationError = Box<dyn std::error::Error + Send + Sync>;

fn with_connection<T: Send + 'static>(
    url: &str,
    run: impl FnOnce(&mut Conn) -> Result<T, MigrationError> + Send + 'static,
) -> Result<T> {
    let target = Target::parse(url)?;
    // A thread of its own: the PostgreSQL side blocks, which an async caller must not.
    let outcome = std::thread::spawn(move || {
        let mut db = target.open(Purpose::Migrate)?;
        run(db.conn()).map_err(|e| Error::caused("migrating the database", e))
    });
    outcome.join().map_err(|_| Error::internal("the migration thread panicked"))?
}

/// Runs what is pending and says the names.
pub fn up(url: &str) -> Result<Vec<String>> {
    with_connection(url, |conn| {
        let names = match conn {
            Conn::Sqlite(c) => {
                let names: Vec<String> =
                    c.run_pending_migrations(SQLITE)?.iter().map(ToString::to_string).collect();
                names
            }
            Conn::Pg(c) => {
                c.batch_execute(&format!("SELECT pg_advisory_lock({LOCK})"))?;
                let outcome: Result<Vec<String>, MigrationError> =
                    c.run_pending_migrations(POSTGRES).map(|v| v.iter().map(ToString::to_string).collect());
                c.batch_execute(&format!("SELECT pg_advisory_unlock({LOCK})"))?;
                outcome?
            }
        };
        Ok(names)
    })
}

/// Whether anything is pending, without changing anything.
pub fn pending(url: &str) -> Result<bool> {
    with_connection(url, |conn| match conn {
        Conn::Sqlite(c) => c.has_pending_migration(SQLITE),
        Conn::Pg(c) => c.has_pending_migration(POSTGRES),
    })
}

/// Takes everything back. All data is lost; for tests of the migrations.
pub fn down(url: &str) -> Result<()> {
    with_connection(url, |conn| match conn {
        Conn::Sqlite(c) => c.revert_all_migrations(SQLITE).map(|_| ()),
        Conn::Pg(c) => c.revert_all_migrations(POSTGRES).map(|_| ()),
    })
}
