//! The process is killed at random moments under load, twenty times: every callback that was answered 200 is there
//! once, and every reply left at most once.

use std::collections::HashMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use meari::app::App;
use meari::clock::Clock;
use meari::config::{CarrierSettings, Settings};
use meari::db::Lane;
use meari::keys::Keys;
use meari::phone::E164;
use meari::simulator::{self, NewPhone, Simulator};
use secrecy::SecretString;

use crate::support::app::{ACCOUNT_SID, AUTH_TOKEN, CARRIER};
use crate::support::client::{Client, Person};
use crate::support::database::TestDatabase;

const KILLS: usize = 20;

/// The service as a process of its own, on a port that stays the same.
struct Service {
    child: Child,
    config: std::path::PathBuf,
    url: String,
}

impl Service {
    fn spawn(config: &std::path::Path) -> Child {
        Command::new(env!("CARGO_BIN_EXE_meari"))
            .args(["serve", "--config"])
            .arg(config)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    async fn ready(&self) {
        let http = reqwest::Client::new();
        let until = Instant::now() + Duration::from_secs(60);
        while Instant::now() < until {
            if http.get(format!("{}/readyz", self.url)).send().await.is_ok_and(|a| a.status() == 200) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the service did not come up");
    }

    async fn kill_and_restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = Service::spawn(&self.config);
        self.ready().await;
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn carrier(callback_base: &str) -> (Simulator, std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let api = format!("http://{}", listener.local_addr().unwrap());
    let brief = Duration::from_millis(20);
    let settings = simulator::Settings {
        account_sid: ACCOUNT_SID.to_owned(),
        auth_token: AUTH_TOKEN.to_owned(),
        callback_base: Some(callback_base.to_owned()),
        delays: simulator::Delays { sent: brief, delivered: brief, ..simulator::Delays::default() },
        inbound_retries: 0,
        ..simulator::Settings::default()
    };
    (Simulator::new(settings), listener, api)
}

/// Posts one signed callback; true when it was answered 200.
async fn deliver(http: &reqwest::Client, url: &str, sid: &str, from: &str, to: &str) -> bool {
    let fields = [
        ("AccountSid", ACCOUNT_SID),
        ("ApiVersion", "2010-04-01"),
        ("Body", sid),
        ("From", from),
        ("MessageSid", sid),
        ("NumMedia", "0"),
        ("NumSegments", "1"),
        ("SmsStatus", "received"),
        ("To", to),
    ];
    let owned: Vec<(String, String)> = fields.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    let signature = simulator::signature::sign(AUTH_TOKEN, url, &owned);
    let answer = http
        .post(url)
        .header("x-twilio-signature", signature)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(serde_urlencoded::to_string(fields).unwrap())
        .send()
        .await;
    answer.is_ok_and(|answer| answer.status() == 200)
}

async fn prepare(settings: Settings, sim: &Simulator) {
    let app = App::open(settings, Clock::system(), Keys::from_secret(&[7; 32])).unwrap();
    let numbers: Vec<E164> =
        (0..10).map(|n| E164::parse(&format!("+12025550{}", 200 + n)).unwrap()).collect();
    for number in &numbers {
        sim.add_number(number.clone()).unwrap();
    }
    let capabilities = meari::numbers::Capabilities::parse("sms").unwrap();
    let imports: Vec<meari::numbers::Import> = numbers
        .into_iter()
        .map(|number| meari::numbers::Import { number, carrier_id: CARRIER.to_owned(), capabilities })
        .collect();
    let now = app.now();
    app.db.write(Lane::Any, move |db| meari::numbers::import(db, now, &imports)).await.unwrap();
}

/// Alice's phone, Bob's client, and the service between them.
struct World {
    service: Service,
    sim: Simulator,
    bob: Person,
    phone: E164,
    number: String,
    contact: String,
    _database: TestDatabase,
    _folder: tempfile::TempDir,
}

fn write_config(folder: &std::path::Path, url: &str, api: &str, database_url: &str) -> std::path::PathBuf {
    let config = folder.join("meari.toml");
    let text = format!(
        "listen = \"{}\"\npublic_url = \"{url}\"\ndatabase_url = \"{database_url}\"\nsecret_file = \"{}\"\n\
         media_dir = \"{}\"\n\n[[carriers]]\nid = \"{CARRIER}\"\nkind = \"simulator\"\napi_base = \"{api}\"\n\
         account_sid = \"{ACCOUNT_SID}\"\nauth_token = \"{AUTH_TOKEN}\"\n",
        url.trim_start_matches("http://"),
        folder.join("secret.key").display(),
        folder.join("media").display(),
    );
    std::fs::write(&config, text).unwrap();
    config
}

impl World {
    async fn start(database: TestDatabase) -> World {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("http://127.0.0.1:{}", free_port());
        let (sim, listener, api) = carrier(&format!("{url}/carriers/{CARRIER}"));
        actix_web::rt::spawn(simulator::server(sim.clone(), listener).unwrap());
        let options = [("account_sid", ACCOUNT_SID), ("auth_token", AUTH_TOKEN)];
        let carriers = vec![CarrierSettings {
            id: CARRIER.to_owned(),
            kind: "simulator".to_owned(),
            api_base: Some(api.clone()),
            options: options.map(|(k, v)| (k.to_owned(), SecretString::from(v))).into_iter().collect(),
        }];
        let settings = Settings { database_url: database.url.clone(), carriers, ..Settings::default() };
        prepare(settings, &sim).await;
        let config = write_config(folder.path(), &url, &api, &database.url);
        let service = Service { child: Service::spawn(&config), config, url: url.clone() };
        service.ready().await;
        let (alice, bob) = (Person::sign_up(&url, "alice").await, Person::sign_up(&url, "bob").await);
        let phone = prove_mobile(&sim, &alice).await;
        let (friend, contact) = alice.befriends(&bob).await;
        let shown = alice.get(&format!("/v1/contacts/{friend}")).await.expect(200);
        let number = shown["number"].as_str().unwrap().to_owned();
        World { service, sim, bob, phone, number, contact, _database: database, _folder: folder }
    }

    /// A dozen SMS and three replies at once, and the process dies in the middle of it. Answers what was answered 200,
    /// and which replies were accepted.
    async fn round(&mut self, round: usize, http: &reqwest::Client) -> (Vec<String>, Vec<String>) {
        let inbound = format!("{}/carriers/{CARRIER}/messages", self.service.url);
        let sids: Vec<String> = (0..12).map(|n| format!("SM{:032x}", round * 1_000 + n)).collect();
        let posts = sids.iter().map(|sid| deliver(http, &inbound, sid, self.phone.as_str(), &self.number));
        let replies =
            (0..3).map(|n| reply(self.bob.client.clone(), &self.contact, format!("reply {round} {n}")));
        let (posts, replies) =
            (futures_util::future::join_all(posts), futures_util::future::join_all(replies));
        let service = &mut self.service;
        let kill = async {
            // A little later each time.
            tokio::time::sleep(Duration::from_millis(3 + 7 * round as u64)).await;
            service.kill_and_restart().await;
        };
        let (posts, replies, ()) = futures_util::join!(posts, replies, kill);
        let answered = sids.into_iter().zip(posts).filter(|(_, ok)| *ok).map(|(sid, _)| sid).collect();
        (answered, replies.into_iter().flatten().collect())
    }
}

/// The mobile is proved by texting us: that needs no code to be read.
async fn prove_mobile(sim: &Simulator, alice: &Person) -> E164 {
    let phone = E164::parse("+12025550101").unwrap();
    sim.add_phone(NewPhone { number: phone.clone(), name: None, carddav: None }).unwrap();
    let asked =
        alice.post("/v1/me/mobiles", serde_json::json!({ "number": phone.as_str() })).await.expect(201);
    let to = E164::parse(asked["text_to"]["number"].as_str().unwrap()).unwrap();
    sim.phone_texts(&phone, &to, asked["text_to"]["text"].as_str().unwrap()).unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    while alice.get("/v1/me").await["mobiles"][0]["state"] != "verified" {
        assert!(Instant::now() < until, "the mobile was not proved");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    phone
}

/// The text, when it was accepted.
async fn reply(client: Client, contact: &str, text: String) -> Option<String> {
    let body = serde_json::json!({ "text": text, "client_id": text }).to_string();
    let request = client
        .http()
        .post(format!("{}/v1/contacts/{contact}/messages", client.base))
        .header("authorization", format!("Bearer {}", client.token.clone().unwrap()))
        .header("content-type", "application/json")
        .body(body);
    request.send().await.is_ok_and(|answer| answer.status() == 201).then_some(text)
}

#[actix_web::test]
async fn killed_twenty_times_it_loses_nothing_and_doubles_nothing_on_sqlite() {
    killed_twenty_times(TestDatabase::sqlite()).await;
}

#[actix_web::test]
async fn killed_twenty_times_it_loses_nothing_and_doubles_nothing_on_postgres() {
    killed_twenty_times(TestDatabase::postgres()).await;
}

async fn killed_twenty_times(database: TestDatabase) {
    let mut world = World::start(database).await;
    let http = reqwest::Client::new();
    let (mut answered, mut accepted) = (Vec::new(), Vec::new());
    for round in 0..KILLS {
        let (sids, replies) = world.round(round, &http).await;
        answered.extend(sids);
        accepted.extend(replies);
    }
    assert!(!answered.is_empty() && !accepted.is_empty(), "the load met the service at work");

    let stored = everything_said(&world.bob.client).await;
    let mut count: HashMap<&str, usize> = HashMap::new();
    for text in &stored {
        *count.entry(text.as_str()).or_default() += 1;
    }
    assert!(count.values().all(|n| *n == 1), "nothing is stored twice");
    for text in answered.iter().chain(&accepted) {
        assert_eq!(count.get(text.as_str()), Some(&1), "{text} was answered");
    }
    let mut left: HashMap<String, usize> = HashMap::new();
    for message in world.sim.messages_sent() {
        // The first ones introduce Bob by name.
        let words = message.body.split("reply ").nth(1).unwrap_or_default().to_owned();
        *left.entry(words).or_default() += 1;
    }
    left.remove("");
    let doubled: Vec<_> = left.iter().filter(|(_, n)| **n > 1).collect();
    assert!(doubled.is_empty(), "{doubled:?} left twice");
}

/// All texts of Bob's conversation, newest first.
async fn everything_said(bob: &Client) -> Vec<String> {
    let chats = bob.get("/v1/conversations").await.expect(200);
    let id = chats["items"][0]["id"].as_str().unwrap().to_owned();
    let (mut texts, mut after) = (Vec::new(), String::new());
    loop {
        let page = bob.get(&format!("/v1/conversations/{id}/messages?limit=200{after}")).await.expect(200);
        texts
            .extend(page["items"].as_array().unwrap().iter().map(|m| m["text"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return texts,
        }
    }
}
