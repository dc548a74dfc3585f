//! Rings by PostgreSQL's LISTEN and NOTIFY, on a connection of their own.

use std::time::Duration;

use futures_util::future::poll_fn;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tokio_postgres::config::SslMode;
use tokio_postgres::{AsyncMessage, Client, Connection, NoTls};

use super::{CHANNEL, Line};

type Fault = Box<dyn std::error::Error + Send + Sync>;

const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Rings that were heard and not yet passed on; the server waits for us then.
const HEARD_MAX: usize = 1_024;

/// Keeps the line up until `stop` turns true.
pub async fn run(line: Line, mut stop: watch::Receiver<bool>) {
    let mut pause = PAUSE_MIN;
    loop {
        let ended = tokio::select! {
            ended = talk(&line, &mut pause) => ended,
            _ = stop.changed() => return,
        };
        if let Err(error) = ended {
            tracing::warn!(%error, "the doorbell's connection was lost; trying again");
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stop.changed() => return,
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Listens and rings until the connection ends.
async fn talk(line: &Line, pause: &mut Duration) -> Result<(), Fault> {
    let (client, mut heard) = connect(&line.app.settings.database_url).await?;
    client.batch_execute(&format!("LISTEN {CHANNEL}")).await?;
    *pause = PAUSE_MIN;
    // Listening first, then looking: nothing falls between the two.
    line.mind_the_gap().await;
    loop {
        tokio::select! {
            message = heard.recv() => match message {
                Some(message) => line.hear(&message),
                None => return Err("the server has closed it".into()),
            },
            messages = line.next() => {
                for message in messages {
                    client.execute("SELECT pg_notify($1, $2)", &[&CHANNEL, &message]).await?;
                }
            }
        }
    }
}

async fn connect(url: &str) -> Result<(Client, mpsc::Receiver<String>), Fault> {
    let mut config: tokio_postgres::Config = url.parse()?;
    config.connect_timeout(Duration::from_secs(5)).application_name("meari doorbell");
    config.keepalives_idle(Duration::from_secs(30));
    let (tell, heard) = mpsc::channel(HEARD_MAX);
    let client = if config.get_ssl_mode() == SslMode::Require {
        let tls = tokio_postgres_rustls::MakeRustlsConnect::with_webpki_roots();
        let (client, connection) = config.connect(tls).await?;
        tokio::spawn(drive(connection, tell));
        client
    } else {
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(drive(connection, tell));
        client
    };
    Ok((client, heard))
}

/// Moves the connection and hands over what arrives; the receiver sees the end when it ends.
async fn drive<S, T>(mut connection: Connection<S, T>, tell: mpsc::Sender<String>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
        if let AsyncMessage::Notification(ring) = message {
            // Nobody to tell means that the line was given up.
            if tell.send(ring.payload().to_owned()).await.is_err() {
                return;
            }
        }
    }
}
