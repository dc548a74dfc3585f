//! Memory of the service: idle, and with many sockets.

use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt as _;
use meari::keys::Keys;

use crate::database::Place;
use crate::live::open_socket;
use crate::machine::{Memory, memory_of};
use crate::population::People;
use crate::report::{Report, Row};
use crate::server::{Server, secret_file};
use crate::{Options, Result};

const GOAL_IDLE_MIB: u64 = 40;
const GOAL_SOCKETS_MIB: u64 = 400;
/// Sockets that are being opened at the same time.
const AT_ONCE: usize = 100;

pub async fn idle(place: &Place, folder: &Path, report: &mut Report) -> Result<()> {
    let server = Server::meari(place, folder).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let memory = memory_of(server.pid());
    server.stop()?;
    report.add(row(place, "memory, idle".to_owned(), GOAL_IDLE_MIB, memory, String::new()));
    Ok(())
}

pub async fn sockets(
    options: &Options,
    place: &Place,
    folder: &Path,
    people: &People,
    report: &mut Report,
) -> Result<()> {
    let server = Server::meari(place, folder).await?;
    let keys = Keys::load_or_create(&secret_file(folder))?;
    let before = memory_of(server.pid());
    let begun = std::time::Instant::now();
    let mut open = Vec::new();
    let count = options.sockets.min(people.users);
    while open.len() < count {
        let next = open.len()..(open.len() + AT_ONCE).min(count);
        let opening = next.map(|friend| open_socket(&server, &keys, people, friend));
        for socket in futures_util::future::join_all(opening).await {
            let mut socket = socket?;
            // The greeting: from here on the socket is served.
            socket.next().await.ok_or("a socket closed at once")??;
            // It is read, so that it answers pings as any client does.
            open.push(tokio::spawn(async move { while let Some(Ok(_)) = socket.next().await {} }));
        }
    }
    let took = begun.elapsed();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let memory = memory_of(server.pid());
    let each = memory.anonymous.saturating_sub(before.anonymous) as f64 / count as f64;
    let remark = format!("opened in {took:.1?}; {each:.1} KiB a socket");
    report.add(row(place, format!("memory, {count} sockets"), GOAL_SOCKETS_MIB, memory, remark));
    if open.iter().any(tokio::task::JoinHandle::is_finished) {
        return Err("a socket was let go".into());
    }
    open.iter().for_each(tokio::task::JoinHandle::abort);
    server.stop()
}

fn row(place: &Place, what: String, goal: u64, memory: Memory, remark: String) -> Row {
    let mib = |kib: u64| kib as f64 / 1024.0;
    let space = if remark.is_empty() { "" } else { "; " };
    Row {
        engine: place.name(),
        what,
        goal: format!("< {goal} MiB"),
        measured: format!("{:.1} MiB", mib(memory.pss)),
        ceiling: String::new(),
        good: memory.pss < goal * 1024,
        remark: format!(
            "RSS {:.1}, anonymous {:.1} MiB{space}{remark}",
            mib(memory.rss),
            mib(memory.anonymous)
        ),
    }
}
