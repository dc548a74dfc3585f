//! From the carrier's announcement of a call to the ring in the friend's client.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use meari::keys::Keys;
use tokio_tungstenite::tungstenite::Message;

use crate::client::Requests;
use crate::database::Place;
use crate::machine::Load;
use crate::population::People;
use crate::report::{Report, Row, Times};
use crate::server::{Server, secret_file};
use crate::{Result, callbacks, client, live};

/// Calls a second: with two minutes each, 2,400 lines at once.
const RATE: u64 = 20;
/// Wanted at most, in milliseconds.
const GOAL_P50: f64 = 50.0;
/// Friends with an open client; each is called once.
const FRIENDS: usize = 200;

/// For each friend somebody who knows him and calls nobody else.
fn callers(people: &People) -> Vec<(usize, usize)> {
    let mut taken = HashSet::new();
    let free = |friend| people.pairs_of(friend).into_iter().find(|(user, _)| taken.insert(*user));
    (0..FRIENDS.min(people.users)).filter_map(free).collect()
}

pub async fn run(place: &Place, folder: &Path, people: &People, report: &mut Report) -> Result<()> {
    let calls = callers(people);
    let mut requests = Requests::default();
    for (n, (user, friend)) in calls.iter().enumerate() {
        requests.push(&callbacks::call(n, &people.handset(*user), &people.number_of(*user, *friend)));
    }
    let requests = Arc::new(requests);
    let time = Duration::from_secs(calls.len() as u64 / RATE);
    let nothing = Server::nothing(folder).await?;
    let mut ceiling =
        client::stream(nothing.address, requests.clone(), 0, 4, RATE, Duration::from_secs(2), |_, _| ())
            .await?;
    drop(nothing);

    let server = Server::meari(place, folder).await?;
    let keys = Keys::load_or_create(&secret_file(folder))?;
    let due: Arc<Mutex<Vec<Option<Instant>>>> = Arc::new(Mutex::new(vec![None; calls.len()]));
    let mut readers = Vec::new();
    for (n, (user, friend)) in calls.iter().enumerate() {
        let mut socket = live::open_socket(&server, &keys, people, people.friend_of(*user, *friend)).await?;
        let due = due.clone();
        readers.push(tokio::spawn(async move {
            while let Some(Ok(frame)) = socket.next().await {
                let (Message::Text(text), now) = (frame, Instant::now()) else { continue };
                if text.contains("call.changed")
                    && let Some(begun) = due.lock().unwrap()[n].take()
                {
                    return Some(now - begun);
                }
            }
            None
        }));
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let pids: Vec<u32> = [Some(server.pid()), place.server].into_iter().flatten().collect();
    let before = Load::now(&pids);
    let noted = due.clone();
    let outcome = client::stream(server.address, requests, 0, 4, RATE, time, move |n, at| {
        noted.lock().unwrap()[n] = Some(at);
    })
    .await?;
    let after = Load::now(&pids);
    tokio::time::sleep(Duration::from_secs(1)).await;
    server.stop()?;
    let mut times = Times::default();
    for reader in readers {
        if let Some(time) = reader.await? {
            times.add(time);
        }
    }
    let half = times.percentile(0.5);
    report.add(Row {
        engine: place.name(),
        what: format!("announced call to ring, {RATE}/s"),
        goal: format!("p50 < {GOAL_P50} ms"),
        measured: times.summary(),
        ceiling: ceiling.times.summary(),
        good: half < GOAL_P50 && times.count() == outcome.good(),
        remark: format!(
            "{} clients; {} of {} rang; others used {:.0} %",
            calls.len(),
            times.count(),
            outcome.good(),
            after.foreign_since(&before)
        ),
    });
    Ok(())
}
