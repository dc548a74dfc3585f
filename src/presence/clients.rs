//! Clients that come and go on this node. Who has a socket open is known to the hub of events; here it becomes a sign
//! that all nodes see.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{GRACE, connected, disconnected, expire};
use crate::app::App;
use crate::db::{Db, Lane};
use crate::error::{Error, Result};
use crate::ids::AccountId;
use crate::queue::{self, Claimed};

/// The job that ends connections after their grace.
pub const SWEEP: &str = "presence.sweep";
/// How often [`keep`] and [`sweep`] should run on each node; well below half the life of a connection.
pub const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Accounts in one transaction.
const CHUNK: usize = 200;

/// The payload of [`SWEEP`]: there is nothing to say.
#[derive(Debug, Serialize, Deserialize)]
struct Sweep {}

/// A socket of the account was opened here (and is subscribed to the hub).
pub async fn opened(app: &App, account: AccountId) -> Result<()> {
    let now = app.now();
    app.db.write(account, move |db| connected(db, now, account)).await
}

/// A socket of the account was closed here (and has left the hub). While another one is open nothing changes.
pub async fn closed(app: &App, account: AccountId) -> Result<()> {
    if app.hub.is_watched(account) {
        return Ok(());
    }
    let now = app.now();
    let body = move |db: &mut Db| {
        disconnected(db, now, account)?;
        queue::enqueue_at(db, now, now.plus(GRACE), SWEEP, None, &Sweep {}).map(drop)
    };
    app.db.write(account, body).await
}

/// Touches everybody who is connected here.
pub async fn keep(app: &App) -> Result<()> {
    for chunk in app.hub.watched().chunks(CHUNK) {
        let (chunk, now) = (chunk.to_vec(), app.now());
        let touch = move |db: &mut Db| chunk.iter().try_for_each(|account| connected(db, now, *account));
        app.db.write(Lane::Any, touch).await?;
    }
    Ok(())
}

/// Ends connections that no node touches any more.
pub async fn sweep(app: &App) -> Result<()> {
    loop {
        let (now, limit) = (app.now(), i64::try_from(CHUNK).unwrap_or(i64::MAX));
        let due = app.db.read(move |db| super::store::list_expired(db, now, 1)).await?;
        if due.is_empty() {
            return Ok(());
        }
        if app.db.write(Lane::Any, move |db| expire(db, now, limit)).await? < CHUNK {
            return Ok(());
        }
    }
}

/// Runs one job of this slice.
pub async fn run(app: &App, job: &Claimed) -> Result<()> {
    match job.kind.as_str() {
        SWEEP => sweep(app).await,
        other => Err(Error::internal(format!("no job of presence is called {other}"))),
    }
}
