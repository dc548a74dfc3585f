//! A running Meari for one story: its own database, a real server on a port of its own, a carrier that is a server
//! too, jobs that run when the story says so, and a clock that is moved by hand.

use std::time::Duration;

use meari::app::App;
use meari::clock::{Clock, Timestamp};
use meari::config::{CarrierSettings, Settings};
use meari::keys::Keys;
use meari::numbers::{Capabilities, Import};
use meari::phone::E164;
use meari::router::Edges;
use meari::simulator::{self, NewPhone, Simulator};
use meari::worker;
use secrecy::SecretString;
use serde_json::json;

use super::client::{Answer, Client, Person};
use super::database::TestDatabase;

/// The carrier's id in the settings.
pub const CARRIER: &str = "sim";
pub const ACCOUNT_SID: &str = "AC00000000000000000000000000000001";
pub const AUTH_TOKEN: &str = "an auth token for tests";
pub const ADMIN_TOKEN: &str = "an admin token for tests";

pub struct TestApp {
    pub app: App,
    pub edges: Edges,
    pub carrier: Simulator,
    pub url: String,
    handles: Vec<actix_web::dev::ServerHandle>,
    _folder: tempfile::TempDir,
    _database: TestDatabase,
}

/// Alice, her phone, Bob, and how they reach each other.
pub struct Pair {
    pub alice: Person,
    pub bob: Person,
    pub phone: E164,
    /// Bob's number in Alice's address book.
    pub number: String,
    /// Alice among Bob's contacts.
    pub contact: String,
}

impl Pair {
    /// Bob writes to Alice; answers the message.
    pub async fn bob_writes(&self, text: &str) -> Answer {
        let path = format!("/v1/contacts/{}/messages", self.contact);
        self.bob.post(&path, json!({ "text": text })).await.expect(201)
    }

    /// A message of theirs, as Bob sees it now.
    pub async fn as_bob_sees(&self, message: &Answer) -> serde_json::Value {
        let path = format!("/v1/conversations/{}/messages", message["conversation_id"].as_str().unwrap());
        let thread = self.bob.get(&path).await.expect(200);
        let found = thread["items"].as_array().unwrap().iter().find(|m| m["id"] == message["id"]);
        found.expect("the message is in the thread").clone()
    }
}

/// 2026-01-15 12:00 UTC, a Thursday.
pub fn noon() -> Timestamp {
    Timestamp::from_rfc3339("2026-01-15T12:00:00Z").unwrap()
}

impl TestApp {
    pub async fn on_sqlite() -> TestApp {
        TestApp::start(TestDatabase::sqlite(), |_| {}).await
    }

    pub async fn on_postgres() -> TestApp {
        TestApp::start(TestDatabase::postgres(), |_| {}).await
    }

    pub async fn start(database: TestDatabase, adjust: impl FnOnce(&mut Settings)) -> TestApp {
        show_log();
        let folder = tempfile::tempdir().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let carrier_listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let carrier_url = format!("http://{}", carrier_listener.local_addr().unwrap());
        let options = [("account_sid", ACCOUNT_SID), ("auth_token", AUTH_TOKEN)];
        let mut settings = Settings {
            listen: url.trim_start_matches("http://").to_owned(),
            public_url: url.clone(),
            database_url: database.url.clone(),
            secret_file: folder.path().join("secret.key"),
            media_dir: folder.path().join("media"),
            push_to_private_addresses: true,
            admin_token: Some(SecretString::from(ADMIN_TOKEN)),
            carriers: vec![CarrierSettings {
                id: CARRIER.to_owned(),
                kind: "simulator".to_owned(),
                api_base: Some(carrier_url.clone()),
                options: options.into_iter().map(|(k, v)| (k.to_owned(), SecretString::from(v))).collect(),
            }],
            ..Settings::default()
        };
        adjust(&mut settings);
        let clock = Clock::manual(noon());
        let app = App::open(settings, clock.clone(), Keys::from_secret(&[7; 32])).unwrap();
        let edges = Edges::open(&app);
        let carrier = simulator_for(&url, clock);

        let server = serve(&edges, listener);
        let carrier_server = simulator::server(carrier.clone(), carrier_listener).unwrap();
        let handles = vec![server, carrier_server.handle()];
        actix_web::rt::spawn(carrier_server);
        TestApp { app, edges, carrier, url, handles, _folder: folder, _database: database }
    }

    /// The service dies in the middle of everything, and another one starts on the same database at the same address.
    pub async fn dies_and_rises(mut self) -> TestApp {
        let server = self.handles.remove(0);
        server.stop(false).await;
        let (settings, clock) = (self.app.settings.clone(), self.app.clock.clone());
        drop((self.app, self.edges));
        let listener = std::net::TcpListener::bind(self.url.trim_start_matches("http://")).unwrap();
        let app = App::open(settings, clock, Keys::from_secret(&[7; 32])).unwrap();
        let edges = Edges::open(&app);
        self.handles.insert(0, serve(&edges, listener));
        TestApp { app, edges, ..self }
    }

    /// Another node of the same service: where it is, and its live calls.
    pub fn another_node(&mut self) -> (String, Edges) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let edges = Edges::open(&self.app);
        self.handles.push(serve(&edges, listener));
        (url, edges)
    }

    /// Runs jobs and the carrier's deliveries until nothing is due on either side.
    pub async fn settle(&self) {
        for _ in 0..50 {
            let jobs = worker::drain(&self.app).await;
            let deliveries = self.carrier.drain().await;
            if jobs == 0 && deliveries == 0 {
                return;
            }
        }
        panic!("jobs and deliveries cause each other without end");
    }

    pub fn advance(&self, by: Duration) {
        self.app.clock.advance(by);
    }

    /// Nobody is signed in.
    pub fn stranger(&self) -> Client {
        Client::new(&self.url)
    }

    /// Signs up over the front door.
    pub async fn person(&self, handle: &str) -> Person {
        Person::sign_up(&self.url, handle).await
    }

    /// `count` numbers +1 202 555 02xx in the pool, known to the carrier.
    pub async fn pool(&self, count: usize) {
        let numbers: Vec<E164> =
            (0..count).map(|n| E164::parse(&format!("+12025550{:03}", 200 + n)).unwrap()).collect();
        for number in &numbers {
            self.carrier.add_number(number.clone()).unwrap();
        }
        let capabilities = Capabilities::parse("sms+voice").unwrap();
        let imports: Vec<Import> = numbers
            .into_iter()
            .map(|number| Import { number, carrier_id: CARRIER.to_owned(), capabilities })
            .collect();
        let now = self.app.now();
        self.app
            .db
            .write(meari::db::Lane::Any, move |db| meari::numbers::import(db, now, &imports))
            .await
            .unwrap();
    }

    /// A telephone on the carrier.
    pub fn phone(&self, number: &str) -> E164 {
        let number = E164::parse(number).unwrap();
        let phone = NewPhone { number: number.clone(), name: None, carddav: None };
        self.carrier.add_phone(phone).unwrap();
        number
    }

    /// Gives a person a verified mobile: asks for a code, reads it on the phone, types it in.
    pub async fn verify_mobile(&self, person: &Person, number: &str) -> E164 {
        let phone = self.phone(number);
        let asked = person.post("/v1/me/mobiles", json!({ "number": number })).await.expect(201);
        self.settle().await;
        let text = self.last_text(&phone);
        let code: String = text.chars().filter(char::is_ascii_digit).collect();
        let path = format!("/v1/me/mobiles/{}/verify", asked["id"].as_str().unwrap());
        person.post(&path, json!({ "code": code })).await.expect(200);
        self.settle().await;
        phone
    }

    /// Alice has a phone and Bob a messenger, and they are friends.
    pub async fn alice_and_bob(&self) -> Pair {
        self.pool(20).await;
        let (alice, bob) = (self.person("alice").await, self.person("bob").await);
        let phone = self.verify_mobile(&alice, "+12025550101").await;
        let (friend, contact) = alice.befriends(&bob).await;
        let shown = alice.get(&format!("/v1/contacts/{friend}")).await.expect(200);
        let number = shown["number"].as_str().expect("the friend has a number").to_owned();
        Pair { alice, bob, phone, number, contact }
    }

    /// The last text that reached a phone.
    pub fn last_text(&self, phone: &E164) -> String {
        self.texts(phone).pop().map(|(_, text)| text).expect("a text arrived")
    }

    /// Texts that reached a phone, oldest first: (from, text).
    pub fn texts(&self, phone: &E164) -> Vec<(String, String)> {
        let mut all: Vec<_> = self
            .carrier
            .phone(phone)
            .unwrap()
            .threads
            .into_iter()
            .flat_map(|thread| {
                let party = thread.party.as_str().to_owned();
                thread.messages.into_iter().filter(|m| !m.mine).map(move |m| (m.id, party.clone(), m.text))
            })
            .collect();
        all.sort();
        all.into_iter().map(|(_, party, text)| (party, text)).collect()
    }

    /// Somebody types a text on a phone.
    pub async fn phone_texts(&self, phone: &E164, to: &str, text: &str) {
        self.carrier.phone_texts(phone, &E164::parse(to).unwrap(), text).unwrap();
        self.settle().await;
    }

    /// The end of the story: nothing may be left to do.
    pub async fn finish(self) {
        let left = worker::drain(&self.app).await;
        for handle in &self.handles {
            handle.stop(false).await;
        }
        assert_eq!(left, 0, "the story ended with work undone");
    }
}

fn serve(edges: &Edges, listener: std::net::TcpListener) -> actix_web::dev::ServerHandle {
    let edges = edges.clone();
    let server = actix_web::HttpServer::new(move || {
        let edges = edges.clone();
        actix_web::App::new()
            .wrap(actix_web::middleware::from_fn(meari::accounts::idempotency::once))
            .wrap(actix_web::middleware::from_fn(meari::http::with_request_id))
            .configure(move |cfg| edges.configure(cfg))
    })
    .workers(1)
    .keep_alive(std::time::Duration::from_secs(75))
    .disable_signals()
    .shutdown_timeout(1)
    .listen(listener)
    .unwrap()
    .run();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    handle
}

fn simulator_for(url: &str, clock: Clock) -> Simulator {
    Simulator::new(simulator::Settings {
        account_sid: ACCOUNT_SID.to_owned(),
        auth_token: AUTH_TOKEN.to_owned(),
        callback_base: Some(format!("{url}/carriers/{CARRIER}")),
        manual: true,
        clock,
        ..simulator::Settings::default()
    })
}

/// Shows what the service logs when `TEST_LOG` says of what, as in `TEST_LOG=meari=debug`.
fn show_log() {
    if let Ok(filter) = std::env::var("TEST_LOG") {
        let lines = tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::new(filter));
        let _ = lines.with_writer(std::io::stderr).try_init();
    }
}
