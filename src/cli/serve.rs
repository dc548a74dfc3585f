//! `meari serve` and `meari worker`: production.

use std::path::Path;

use super::{Failure, Outcome, open, server, tls};
use crate::config::Settings;
use crate::{clock::Timestamp, telemetry};

/// Requests get this long to finish when the process is asked to stop.
const GRACE: std::time::Duration = std::time::Duration::from_secs(10);

pub async fn serve(config: Option<&Path>) -> Outcome {
    let settings = open::settings(config)?;
    telemetry::start(&settings);
    prepare(&settings)?;
    let tls = settings.tls.as_ref().map(tls::config).transpose()?;
    let listener = server::listen(&settings.listen)?;
    let address = listener.local_addr()?;
    let app = open::app(settings)?;
    if app.settings.calls_listen.is_some() {
        // A port that was asked for and is taken must be told now, not at the first call.
        app.media.address()?;
    }
    let mut running = server::Running::new(&app)?;
    running.serve_http(listener, tls, GRACE, |_| {})?;
    running.ring();
    if app.settings.run_worker {
        running.work();
    }
    let (database, carriers) = (format!("{:?}", app.db.engine()).to_lowercase(), app.settings.carriers.len());
    tracing::info!(
        listen = %address,
        public_url = %app.settings.public_url,
        database,
        carriers,
        worker = app.settings.run_worker,
        "Meari {} serves",
        env!("CARGO_PKG_VERSION")
    );
    drop(app);
    running.until_stopped().await
}

pub async fn work(config: Option<&Path>) -> Outcome {
    let settings = open::settings(config)?;
    telemetry::start(&settings);
    let app = open::app(settings)?;
    let mut running = server::Running::new(&app)?;
    running.ring();
    running.work();
    tracing::info!(started_at = %Timestamp::to_rfc3339(app.now()), "Meari {} works", env!("CARGO_PKG_VERSION"));
    drop(app);
    running.until_stopped().await
}

/// Migrates, and refuses what cannot work; says what will surprise.
fn prepare(settings: &Settings) -> Outcome {
    for name in open::migrate(settings)? {
        tracing::info!(migration = %name, "the schema was brought up");
    }
    std::fs::create_dir_all(&settings.media_dir).map_err(|error| {
        let problem = format!("media_dir {} cannot be made: {error}.", settings.media_dir.display());
        Failure::new(problem, "Name a folder that this user may write to.")
    })?;
    if settings.carriers.is_empty() {
        tracing::warn!(
            "no carrier is set: nobody can verify a mobile number and no SMS goes out or comes in"
        );
    }
    if settings.public_url.starts_with("http://") && !open::is_local(&settings.public_url) {
        tracing::warn!("public_url is not https: phones send passwords over it, and most refuse");
    }
    if !settings.run_worker && settings.database_url.starts_with("sqlite://") && settings.nats_url.is_none() {
        tracing::warn!("with SQLite and without nats_url, a worker elsewhere wakes sockets only every 30 s");
    }
    Ok(())
}
