//! The doorbell between nodes: after a commit one node tells the others which accounts changed.
//!
//! A ring wakes sockets and drops cache entries, nothing more. The database is the truth: a lost ring costs the time
//! until the next look, which every node takes on its own every 30 seconds and after each gap. Rings are gathered for
//! a few milliseconds and sent by NATS when it is set, else by PostgreSQL's NOTIFY on a connection of its own: inside
//! the transaction it would halve the commit rate.

mod nats;
mod postgres;
mod ring;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::app::App;
use crate::db::{Engine, Signal};
use crate::error::Result;
use crate::events;
use ring::{Outbox, parse};

/// How long rings gather before they are sent: a chat does not notice, and a burst becomes one message.
const GATHER: Duration = Duration::from_millis(5);
/// How often a node looks for itself.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Accounts asked for in one query.
const LOOK_CHUNK: usize = 500;
/// The channel of NOTIFY and the subject in NATS.
const CHANNEL: &str = "meari_rings";

/// Starts the doorbell of this node. It ends when `stop` turns true.
pub fn start(app: &App, stop: &watch::Receiver<bool>) -> Vec<JoinHandle<()>> {
    let mut tasks = vec![tokio::spawn(look_regularly(app.clone(), stop.clone()))];
    let nats = app.settings.nats_url.clone();
    if nats.is_none() && app.db.engine() == Engine::Sqlite {
        // One process: there is nobody to ring.
        return tasks;
    }
    let outbox = Arc::new(Outbox::default());
    let gather = outbox.clone();
    app.on_local_signal(move |signal| gather.add(signal));
    let gather = outbox.clone();
    app.whispers.ring_by(move |whisper| gather.add_whisper(whisper));
    let line = Line { app: app.clone(), outbox, node: format!("{:016x}", rand::random::<u64>()) };
    tasks.push(match nats {
        Some(url) => tokio::spawn(nats::run(line, url, stop.clone())),
        None => tokio::spawn(postgres::run(line, stop.clone())),
    });
    tasks
}

/// What both ways of ringing need.
struct Line {
    app: App,
    outbox: Arc<Outbox>,
    node: String,
}

impl Line {
    /// Waits until something has changed here, gathers a moment, and answers what to send.
    async fn next(&self) -> Vec<String> {
        self.outbox.wait().await;
        tokio::time::sleep(GATHER).await;
        self.outbox.take(&self.node)
    }

    /// Somebody rang.
    fn hear(&self, message: &str) {
        let Some((node, signals)) = parse(message) else {
            tracing::debug!("a ring could not be read; another version may be running");
            return;
        };
        if node != self.node {
            for signal in signals {
                self.app.dispatch(&signal);
            }
            ring::whispers(message).for_each(|whisper| self.app.whispers.hear(&whisper));
        }
    }

    /// Rings may have been missed: looks for itself.
    async fn mind_the_gap(&self) {
        if let Err(error) = look(&self.app).await {
            tracing::warn!(reason = %error.report(), "what happened in the gap could not be read");
        }
    }
}

async fn look_regularly(app: App, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {
                if let Err(error) = look(&app).await {
                    tracing::warn!(reason = %error.report(), "counters could not be looked at");
                }
            }
            _ = stop.changed() => return,
        }
    }
}

/// Wakes whoever waits here for an account that has moved on, and the worker.
async fn look(app: &App) -> Result<()> {
    let watched = app.hub.watched();
    for chunk in watched.chunks(LOOK_CHUNK).map(<[_]>::to_vec) {
        for (account, seq) in app.db.read(move |db| events::newest_of(db, &chunk)).await? {
            app.hub.ring(account, seq);
        }
    }
    app.dispatch(&Signal::Jobs);
    Ok(())
}
