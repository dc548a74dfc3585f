//! Rings by NATS, for many nodes: the database is spared, and SQLite's processes can ring each other.

use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event};
use futures_util::StreamExt;
use tokio::sync::{mpsc, watch};

use super::{CHANNEL, Line};

const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Keeps the line up until `stop` turns true. The client connects again by itself.
pub async fn run(line: Line, url: String, mut stop: watch::Receiver<bool>) {
    let mut pause = Duration::from_millis(100);
    loop {
        let ended = tokio::select! {
            ended = talk(&line, &url) => ended,
            _ = stop.changed() => return,
        };
        if let Err(error) = ended {
            tracing::warn!(%error, "NATS cannot be used; trying again");
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stop.changed() => return,
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

async fn talk(line: &Line, url: &str) -> Result<(), async_nats::Error> {
    let (connected, mut connections) = mpsc::channel(8);
    let options = ConnectOptions::new().name("meari doorbell").event_callback(move |event| {
        let connected = connected.clone();
        async move {
            if matches!(event, Event::Connected) {
                // A full channel means that a look is due anyway.
                let _ = connected.try_send(());
            }
        }
    });
    let client: Client = options.connect(url).await?;
    let mut rings = client.subscribe(CHANNEL).await?;
    client.flush().await?;
    line.mind_the_gap().await;
    loop {
        tokio::select! {
            ring = rings.next() => match ring {
                Some(ring) => line.hear(&String::from_utf8_lossy(&ring.payload)),
                None => return Err("the subscription has ended".into()),
            },
            Some(()) = connections.recv() => line.mind_the_gap().await,
            messages = line.next() => {
                for message in messages {
                    client.publish(CHANNEL, message.into()).await?;
                }
            }
        }
    }
}
