//! Two nodes on one database: what one commits, the other hears of.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use meari::accounts::{self, Handle, NewAccount};
use meari::app::App;
use meari::clock::Clock;
use meari::config::Settings;
use meari::db::{Lane, Signal, Topics};
use meari::doorbell;
use meari::events::{self, EventKind};
use meari::ids::AccountId;
use meari::keys::Keys;
use tokio::sync::watch;

use crate::support::database::TestDatabase;

/// Nothing here takes longer, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(20);

struct Node {
    app: App,
    heard: Arc<Mutex<Vec<Signal>>>,
    _stop: watch::Sender<bool>,
}

fn node(url: &str, nats_url: Option<&str>) -> Node {
    let settings = Settings {
        database_url: url.to_owned(),
        nats_url: nats_url.map(str::to_owned),
        ..Settings::default()
    };
    let app = App::open(settings, Clock::system(), Keys::from_secret(&[7; 32])).unwrap();
    let heard: Arc<Mutex<Vec<Signal>>> = Arc::default();
    let note = heard.clone();
    app.on_signal(move |signal| note.lock().unwrap().push(signal.clone()));
    let (stop, stopping) = watch::channel(false);
    doorbell::start(&app, &stopping);
    Node { app, heard, _stop: stop }
}

async fn account(app: &App) -> AccountId {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let new = NewAccount {
        handle: Handle::parse(&format!("ring{}", COUNT.fetch_add(1, Ordering::Relaxed))).unwrap(),
        display_name: "Ring".to_owned(),
        password_hash: String::new(),
        locale: accounts::locale("en").unwrap(),
        time_zone: "UTC".to_owned(),
        admin: false,
    };
    let now = app.now();
    app.db.write(Lane::Any, move |db| accounts::create(db, now, &new)).await.unwrap().id
}

async fn change(app: &App, account: AccountId) -> i64 {
    let now = app.now();
    let append = move |db: &mut meari::db::Db| {
        events::append(db, now, account, EventKind::AccountUpdated, None, Topics::DOORS)
    };
    app.db.write(account, append).await.unwrap()
}

/// Changes the account on `from` until `to` has heard of it: the lines of both may still be on their way up.
async fn until_heard(from: &Node, to: &Node, account: AccountId) {
    let mut bell = to.app.hub.subscribe(account).unwrap();
    let heard = async {
        loop {
            change(&from.app, account).await;
            if let Ok(changed) = tokio::time::timeout(Duration::from_millis(200), bell.changed()).await {
                return changed.unwrap();
            }
        }
    };
    tokio::time::timeout(PATIENCE, heard).await.expect("the other node hears of it");
}

async fn a_ring_is_heard_once_and_only_elsewhere(a: &Node, b: &Node) {
    let account = account(&a.app).await;
    until_heard(a, b, account).await;
    until_heard(b, a, account).await;

    // Both lines are up now, so one change is one ring, with its topics, and no echo.
    let mut bell = b.app.hub.subscribe(account).unwrap();
    let seq = change(&a.app, account).await;
    tokio::time::timeout(PATIENCE, bell.wait_for(|newest| *newest >= seq)).await.unwrap().unwrap();
    let ring = Signal::Account { account, seq, topics: Topics::DOORS };
    let count = |node: &Node| node.heard.lock().unwrap().iter().filter(|s| **s == ring).count();
    assert_eq!(count(b), 1, "the other node heard it once");
    assert_eq!(count(a), 1, "this node heard its own commit and not its own ring");
}

#[actix_web::test]
async fn nodes_ring_each_other_through_postgres() {
    let database = TestDatabase::postgres();
    let (a, b) = (node(&database.url, None), node(&database.url, None));
    a_ring_is_heard_once_and_only_elsewhere(&a, &b).await;
}

#[actix_web::test]
async fn a_lost_line_comes_back_and_the_gap_is_looked_at() {
    let database = TestDatabase::postgres();
    let (a, b) = (node(&database.url, None), node(&database.url, None));
    let account = account(&a.app).await;
    until_heard(&a, &b, account).await;

    let mut bell = b.app.hub.subscribe(account).unwrap();
    a.app.db.write(Lane::Any, |db| {
        db.execute_batch("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'meari doorbell' AND datname = current_database()")
    }).await.unwrap();
    // Nobody listens now. No second change follows, so that only the look after the gap can tell.
    let seq = change(&a.app, account).await;
    tokio::time::timeout(PATIENCE, bell.wait_for(|newest| *newest >= seq)).await.unwrap().unwrap();
}

struct Nats {
    server: Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl Nats {
    async fn start() -> Nats {
        let folder = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Command::new("nats-server")
            .args(["-a", "127.0.0.1", "-p", &port.to_string()])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nats-server is not installed: run scripts/setup");
        let nats = Nats { server, url: format!("nats://127.0.0.1:{port}"), _folder: folder };
        let up = async {
            while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, up).await.expect("nats-server listens");
        nats
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[actix_web::test]
async fn nodes_ring_each_other_through_nats() {
    let (nats, database) = (Nats::start().await, TestDatabase::postgres());
    let (a, b) = (node(&database.url, Some(&nats.url)), node(&database.url, Some(&nats.url)));
    a_ring_is_heard_once_and_only_elsewhere(&a, &b).await;
}

#[actix_web::test]
async fn processes_on_one_sqlite_file_ring_each_other_through_nats() {
    let (nats, database) = (Nats::start().await, TestDatabase::sqlite());
    let (a, b) = (node(&database.url, Some(&nats.url)), node(&database.url, Some(&nats.url)));
    a_ring_is_heard_once_and_only_elsewhere(&a, &b).await;
}
