//! From the carrier's callback to the friend's WebSocket.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use meari::accounts::tokens::AccessTokens;
use meari::clock::Clock;
use meari::keys::Keys;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::callbacks;
use crate::client;
use crate::database::Place;
use crate::machine::Load;
use crate::population::People;
use crate::report::{Report, Row, Times};
use crate::server::{Server, secret_file};
use crate::{Options, Result};

/// Callbacks a second.
const RATE: u64 = 500;
/// Wanted at most, in milliseconds.
const GOAL_P50: f64 = 2.0;
/// Friends with an open socket.
const SOCKETS: usize = 200;

pub type Socket = WebSocketStream<TcpStream>;

/// Opens a friend's socket; the token is made with the installation's key.
pub async fn open_socket(server: &Server, keys: &Keys, people: &People, friend: usize) -> Result<Socket> {
    let token = AccessTokens::new(keys).issue(
        Clock::system().now(),
        people.friend(friend),
        people.session(friend),
    )?;
    let mut request = format!("ws://{}/v1/events", server.address).into_client_request()?;
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse()?);
    let stream = TcpStream::connect(server.address).await?;
    stream.set_nodelay(true)?;
    let config = WebSocketConfig::default().read_buffer_size(2_048).write_buffer_size(0);
    let (socket, _) = tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await?;
    Ok(socket)
}

pub async fn run(
    options: &Options,
    place: &Place,
    folder: &Path,
    people: &People,
    report: &mut Report,
) -> Result<()> {
    let friends = SOCKETS.min(people.users);
    let pairs: Vec<(usize, usize)> = (0..friends).flat_map(|friend| people.pairs_of(friend)).collect();
    let count = (RATE * options.seconds) as usize;
    let requests = Arc::new(callbacks::make(people, 3, count, |random| pairs[random as usize % pairs.len()]));
    let warm = Arc::new(callbacks::make(people, 4, count, |random| pairs[random as usize % pairs.len()]));

    let nothing = Server::nothing(folder).await?;
    let mut ceiling =
        client::stream(nothing.address, warm.clone(), 0, 16, RATE, Duration::from_secs(3), |_, _| ()).await?;
    drop(nothing);

    let server = Server::meari(place, folder).await?;
    let keys = Keys::load_or_create(&secret_file(folder))?;
    let due: Arc<Mutex<Vec<Option<Instant>>>> = Arc::new(Mutex::new(vec![None; count]));
    let mut readers = Vec::new();
    for friend in 0..friends {
        let mut socket = open_socket(&server, &keys, people, friend).await?;
        let due = due.clone();
        readers.push(tokio::spawn(async move {
            let mut times = Times::default();
            while let Some(Ok(frame)) = socket.next().await {
                let (Message::Text(text), now) = (frame, Instant::now()) else { continue };
                if let Some(begun) = place_of(&text).and_then(|n| due.lock().unwrap().get_mut(n)?.take()) {
                    times.add(now - begun);
                }
            }
            times
        }));
    }
    client::stream(server.address, warm, 0, 16, RATE, Duration::from_secs(3), |_, _| ()).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let pids: Vec<u32> = [Some(server.pid()), place.server].into_iter().flatten().collect();
    let before = Load::now(&pids);
    let noted = due.clone();
    let outcome = client::stream(server.address, requests, 0, 16, RATE, options.time(), move |n, at| {
        noted.lock().unwrap()[n] = Some(at);
    })
    .await?;
    let after = Load::now(&pids);
    tokio::time::sleep(Duration::from_millis(500)).await;
    server.stop()?;
    let mut times = Times::default();
    for reader in readers {
        times.merge(reader.await?);
    }
    let half = times.percentile(0.5);
    report.add(Row {
        engine: place.name(),
        what: format!("callback to WebSocket, {RATE}/s"),
        goal: format!("p50 < {GOAL_P50} ms"),
        measured: times.summary(),
        ceiling: ceiling.times.summary(),
        good: half < GOAL_P50 && times.count() == outcome.good(),
        remark: format!(
            "{friends} sockets; {} of {} seen; others used {:.0} %",
            times.count(),
            outcome.good(),
            after.foreign_since(&before)
        ),
    });
    Ok(())
}

/// Which message a frame is about: its text begins with `m` and its place.
fn place_of(frame: &str) -> Option<usize> {
    let (_, text) = frame.split_once("\"text\":\"m")?;
    text.split(' ').next()?.parse().ok()
}
