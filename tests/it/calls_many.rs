//! Many calls at once, with all the ways in which they end badly: either side hangs up at any moment, sockets drop, a
//! network is cut without a word, browsers die, the carrier's words come late, twice and in any order, clients leave in
//! the middle of a request, and now and then the whole service dies and another one starts on the same database. In the
//! end no call is stuck, no leg and no socket is left, and every leg has its record.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use meari::ids::CallId;
use meari::simulator::PhoneCallState;
use serde_json::{Value, json};

use crate::support::app::Pair;
use crate::support::browser::Browser;
use crate::support::calling::BROWSER_HZ;
use crate::support::database::TestDatabase;
use crate::support::line::{Line, Stream};
use crate::support::{Person, TestApp, eventually};

/// Who call each other, all at the same time.
const PAIRS: usize = 10;
/// An access token is good for a quarter of an hour.
const CALLS_A_SESSION: usize = 12;
/// A second passes for the service in so much of ours.
const SECOND: Duration = Duration::from_millis(100);
/// Whatever happened, a call is over by then; a browser that never comes is given up after half a minute.
const OVER_WITHIN: Duration = Duration::from_secs(60);

/// Numbers that look like chance and are the same each time.
struct Chance(Cell<u64>);

impl Chance {
    fn below(&self, limit: u64) -> u64 {
        let mut seed = self.0.get();
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        self.0.set(seed);
        seed % limit
    }

    fn one_in(&self, many: u64) -> bool {
        self.below(many) == 0
    }

    async fn moment(&self) {
        tokio::time::sleep(Duration::from_millis(self.below(60))).await;
    }
}

/// What must not be let go before a call is over: sockets until the end, and browsers, of which each is a thread, for a
/// few calls more.
#[derive(Default)]
struct Kept {
    streams: Vec<Stream>,
    browsers: Vec<Browser>,
}

/// Browsers of one pair that go on after their call.
const BROWSERS_KEPT: usize = 2;

struct Two<'a> {
    app: &'a TestApp,
    pair: &'a Pair,
    chance: &'a Chance,
    kept: &'a RefCell<Kept>,
}

/// The newest call of a person, as far as it matters here; read from the database, because it is asked for so often.
async fn newest(app: &TestApp, person: &Person) -> Value {
    let account = person.id.parse().unwrap();
    let read = move |db: &mut meari::db::Db| meari::calls::list(db, account, None, 1);
    match app.app.db.read(read).await.unwrap().first() {
        Some(call) => {
            json!({ "id": call.id, "state": call.machine().state, "reason": call.machine().reason })
        }
        None => Value::Null,
    }
}

impl Two<'_> {
    /// Waits a while for a state; false when the call goes another way.
    async fn comes_to(&self, states: &[&str]) -> Option<Value> {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(3) {
            let call = newest(self.app, &self.pair.bob).await;
            if states.iter().any(|state| call["state"] == *state) {
                return Some(call);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        None
    }

    /// A word of the carrier: now or later, once or twice.
    async fn told(&self, line: &Line, status: &'static str) {
        let late = Duration::from_millis(if self.chance.one_in(3) { self.chance.below(800) } else { 0 });
        let again = self.chance.one_in(4);
        let line = line.clone();
        let words = async move {
            tokio::time::sleep(late).await;
            line.tells(status).await;
            if again {
                line.tells(status).await;
            }
        };
        if late.is_zero() { words.await } else { drop(actix_web::rt::spawn(words)) }
    }

    /// The caller puts his phone down: the carrier tells it, and the socket ends, in either order, or one of them only.
    async fn phone_down(&self, line: &Line, stream: Stream) -> &'static str {
        match self.chance.below(4) {
            0 => {
                self.told(line, "completed").await;
                stream.stops();
                "phone, word and stop"
            }
            1 => {
                stream.stops();
                self.chance.moment().await;
                self.told(line, "completed").await;
                "phone, stop and word"
            }
            2 => {
                drop(stream);
                "phone, the socket breaks"
            }
            _ => {
                self.told(line, "completed").await;
                self.kept.borrow_mut().streams.push(stream);
                "phone, word and no end of the socket"
            }
        }
    }

    /// A phone calls through a carrier that does not keep to the rules.
    async fn comes_in(&self) -> &'static str {
        let Two { pair, chance, .. } = self;
        let line = Line::new(self.app, &pair.phone, &pair.number);
        let way = chance.below(16);
        if way == 0 {
            line.tells_as("completed", "9").await;
        }
        let mut document = line.comes_in().await;
        if chance.one_in(6) {
            document = line.comes_in().await;
        }
        match way {
            0 => return "gone before it came",
            1 => return "no socket and no word",
            2 => {
                self.told(&line, "completed").await;
                return "gone before the socket";
            }
            _ => {}
        }
        let Some(stream) = line.opens(&document).await else { return "refused" };
        chance.moment().await;
        if way == 3 {
            return self.phone_down(&line, stream).await;
        }
        let Some(ringing) = self.comes_to(&["ringing", "voicemail"]).await else {
            self.kept.borrow_mut().streams.push(stream);
            return "busy with the last one";
        };
        match way {
            4 => {
                pair.bob.to_call(&ringing, "decline", json!({ "to_voicemail": false })).await;
                self.kept.borrow_mut().streams.push(stream);
                "declined"
            }
            5 | 6 => {
                pair.bob.to_call(&ringing, "decline", json!({ "to_voicemail": true })).await;
                self.leaves_a_message(&line, &document, stream).await
            }
            7 => {
                // It rings out by itself.
                self.leaves_a_message(&line, &document, stream).await
            }
            8 if chance.one_in(4) => {
                stream.freezes();
                self.kept.borrow_mut().streams.push(stream);
                "the carrier is cut off"
            }
            _ => self.is_answered(&ringing, &line, stream).await,
        }
    }

    async fn leaves_a_message(&self, line: &Line, document: &str, stream: Stream) -> &'static str {
        // The carrier speaks the greeting, for which it must ask.
        let began = Instant::now();
        while !stream.is_over() && began.elapsed() < Duration::from_secs(4) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        if self.chance.one_in(4) {
            self.told(line, "completed").await;
            return "gone before the greeting";
        }
        if self.chance.one_in(6) {
            return "the carrier does not come back";
        }
        let greeting = line.goes_on(document).await;
        if self.chance.one_in(4) {
            self.told(line, "completed").await;
            return "gone during the greeting";
        }
        let Some(stream) = line.opens(&greeting).await else { return "no greeting" };
        tokio::time::sleep(Duration::from_millis(self.chance.below(2_500))).await;
        if self.chance.one_in(3) {
            stream.presses('#');
            self.kept.borrow_mut().streams.push(stream);
            return "a message and #";
        }
        self.phone_down(line, stream).await
    }

    /// Bob takes the call with a browser, or begins to.
    async fn is_answered(&self, ringing: &Value, line: &Line, stream: Stream) -> &'static str {
        let Two { pair, chance, .. } = self;
        let (browser, offer) = Browser::new(BROWSER_HZ);
        if chance.one_in(10) {
            let patience = Duration::from_millis(chance.below(15));
            let _ = tokio::time::timeout(patience, pair.bob.try_accept(ringing, &offer)).await;
            chance.moment().await;
            return self.phone_down(line, stream).await;
        }
        if chance.one_in(12) {
            pair.bob.try_accept(ringing, "v=0").await;
            self.kept.borrow_mut().streams.push(stream);
            return "an offer that is none";
        }
        let both = chance.one_in(8);
        let answer = if both {
            let (answer, ()) = tokio::join!(pair.bob.try_accept(ringing, &offer), line.tells("completed"));
            answer
        } else {
            pair.bob.try_accept(ringing, &offer).await
        };
        if answer.status != 200 {
            self.kept.borrow_mut().streams.push(stream);
            return "taken too late";
        }
        if chance.one_in(40) {
            self.kept.borrow_mut().browsers.push(browser);
            self.kept.borrow_mut().streams.push(stream);
            return "a browser that never comes";
        }
        browser.takes(answer["answer"].as_str().unwrap());
        if !chance.one_in(3) {
            self.comes_to(&["in_progress", "ended"]).await;
        }
        chance.moment().await;
        match chance.below(6) {
            0 => {
                self.kept.borrow_mut().browsers.push(browser);
                self.phone_down(line, stream).await
            }
            1 | 2 => {
                pair.bob.to_call(ringing, "hang-up", json!({})).await;
                self.kept.borrow_mut().streams.push(stream);
                browser.closes();
                "the client hangs up"
            }
            3 => {
                browser.closes();
                self.kept.borrow_mut().streams.push(stream);
                "the page is left"
            }
            4 => {
                browser.vanishes();
                self.kept.borrow_mut().streams.push(stream);
                "the browser dies"
            }
            _ => {
                self.kept.borrow_mut().browsers.push(browser);
                tokio::join!(
                    async { drop(pair.bob.to_call(ringing, "hang-up", json!({})).await) },
                    self.phone_down(line, stream)
                );
                "both at once"
            }
        }
    }

    /// Bob calls Alice on her phone.
    async fn goes_out(&self) -> &'static str {
        let Two { app, pair, chance, .. } = self;
        let (browser, offer) = Browser::new(BROWSER_HZ);
        let asked = json!({ "contact_id": pair.contact, "offer": offer });
        if chance.one_in(10) {
            let patience = Duration::from_millis(chance.below(15));
            let _ = tokio::time::timeout(patience, pair.bob.post("/v1/calls", asked)).await;
            browser.vanishes();
            return "the caller leaves while he asks";
        }
        let placed = pair.bob.post("/v1/calls", asked).await;
        if placed.status != 201 {
            return "not now";
        }
        let call = placed["call"].clone();
        browser.takes(placed["answer"].as_str().unwrap());
        if chance.one_in(4) {
            chance.moment().await;
            match chance.below(3) {
                0 => browser.closes(),
                1 => browser.vanishes(),
                _ => drop(pair.bob.to_call(&call, "hang-up", json!({})).await),
            }
            return "the caller gives up";
        }
        let began = Instant::now();
        let phone = loop {
            let calls = app.carrier.phone_call_list(&pair.phone).unwrap();
            let found = calls.into_iter().rev().find(|call| call.state == PhoneCallState::Ringing);
            if found.is_some() || began.elapsed() > Duration::from_secs(3) {
                break found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        self.kept.borrow_mut().browsers.push(browser);
        let Some(phone) = phone else { return "it did not ring" };
        match chance.below(4) {
            0 => {
                let _ = app.carrier.phone_hangs_up(&pair.phone, &phone.id);
                return "the phone declines";
            }
            1 => return "the phone is not there",
            _ => drop(app.carrier.phone_answers(&pair.phone, &phone.id)),
        }
        if !chance.one_in(3) {
            self.comes_to(&["in_progress", "ended"]).await;
        }
        chance.moment().await;
        match chance.below(3) {
            0 => drop(app.carrier.phone_hangs_up(&pair.phone, &phone.id)),
            1 => drop(pair.bob.to_call(&call, "hang-up", json!({})).await),
            _ => {
                let browser = self.kept.borrow_mut().browsers.pop();
                browser.into_iter().for_each(Browser::vanishes);
            }
        }
        "talked, and one of them left"
    }

    async fn one_call(&self) -> &'static str {
        if self.chance.below(4) == 0 { self.goes_out().await } else { self.comes_in().await }
    }
}

/// Time passes: jobs run, the carrier delivers, and now and then somebody looks after the calls.
async fn time_passes(app: &TestApp) {
    for second in 0_u64.. {
        tokio::time::sleep(SECOND).await;
        app.advance(Duration::from_secs(1));
        meari::worker::drain(&app.app).await;
        app.carrier.drain().await;
        if second % 15 == 0 {
            app.edges.calls.look_after().await.unwrap();
        }
    }
}

async fn while_time_passes<T>(app: &TestApp, what: impl Future<Output = T>) -> T {
    tokio::select! {
        done = what => done,
        () = time_passes(app) => unreachable!("time has no end"),
    }
}

async fn people(app: &TestApp) -> Vec<Pair> {
    app.pool(20).await;
    let mut pairs = Vec::new();
    for n in 0..PAIRS {
        let (alice, bob) = (app.person(&format!("alice{n}")).await, app.person(&format!("bob{n}")).await);
        let phone = app.verify_mobile(&alice, &format!("+120255501{n:02}")).await;
        let (friend, contact) = alice.befriends(&bob).await;
        let shown = alice.get(&format!("/v1/contacts/{friend}")).await.expect(200);
        let number = shown["number"].as_str().unwrap().to_owned();
        let settings = json!({ "ring_seconds": 5, "voicemail": { "by_sms": false, "by_mail": false, "seconds_max": 10 } });
        bob.put("/v1/me/call-settings", settings.clone()).await.expect(200);
        alice.put("/v1/me/call-settings", settings).await.expect(200);
        pairs.push(Pair { alice, bob, phone, number, contact });
        app.advance(Duration::from_secs(3_600));
    }
    pairs
}

/// Waits until no call of these people is open, and says which is when one stays so.
async fn all_are_over(app: &TestApp, pairs: &[Pair]) {
    let began = Instant::now();
    loop {
        let mut open = Vec::new();
        for pair in pairs {
            let call = newest(app, &pair.bob).await;
            if !call.is_null() && call["state"] != "ended" {
                open.push(call);
            }
        }
        let legs = app.app.media.figures().legs;
        if open.is_empty() && legs == 0 && app.edges.calls.live_count() == 0 && app.carrier.open_calls() == 0
        {
            return;
        }
        let live = app.edges.calls.live_count();
        assert!(
            began.elapsed() < OVER_WITHIN,
            "{} calls are open ({live} live here, {legs} legs, {} at the carrier): {open:#?}",
            open.len(),
            app.carrier.open_calls()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Sockets of the service that somebody is, or was, connected to.
fn sockets(app: &TestApp) -> usize {
    let port: u16 = app.url.rsplit(':').next().unwrap().parse().unwrap();
    let here = format!(":{port:04X}");
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap_or_default();
    let columns = table.lines().skip(1).map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    // Established, or closed by the other side only.
    columns.filter(|c| c[1].ends_with(&here) && matches!(c[3], "01" | "08")).count()
}

async fn many_calls(mut app: TestApp, count: usize, lives: usize) {
    let mut pairs = people(&app).await;
    let ways = RefCell::<BTreeMap<&'static str, usize>>::default();
    for life in 0..lives {
        let all = pairs.iter_mut().enumerate().map(|(n, pair)| {
            let (app, ways) = (&app, &ways);
            async move {
                let kept = RefCell::<Kept>::default();
                let chance = Chance(Cell::new(88_172_645_463_325_252 ^ ((life * PAIRS + n) as u64) << 20));
                for number in 0..count / lives / PAIRS {
                    if number % CALLS_A_SESSION == 0 {
                        pair.bob = pair.bob.stays_signed_in().await;
                    }
                    let way = Two { app, pair, chance: &chance, kept: &kept }.one_call().await;
                    *ways.borrow_mut().entry(way).or_default() += 1;
                    // Most have an end before the next begins; some do not.
                    if !chance.one_in(5) {
                        is_over(app, pair).await;
                    }
                    let browsers = &mut kept.borrow_mut().browsers;
                    let surplus = browsers.len().saturating_sub(BROWSERS_KEPT);
                    browsers.drain(..surplus);
                }
                pair.bob = pair.bob.stays_signed_in().await;
                kept
            }
        });
        let kept = while_time_passes(&app, futures_util::future::join_all(all)).await;
        if life + 1 < lives {
            // In the middle of whatever is going on.
            app = app.dies_and_rises().await;
            drop(kept);
            while_time_passes(&app, all_are_over(&app, &pairs)).await;
        } else {
            while_time_passes(&app, all_are_over(&app, &pairs)).await;
            drop(kept);
        }
    }
    app.settle().await;
    assert!(ways.borrow().len() >= 15, "hardly anything happened: {:?}", ways.borrow());
    let records = every_leg_has_its_record(&app, &pairs).await;
    assert!(records >= count, "{records} records of {count} calls");
    drop(pairs);
    eventually("no socket is left", async || sockets(&app) == 0).await;
    app.finish().await;
}

/// Waits a little for the newest call of a pair to end.
async fn is_over(app: &TestApp, pair: &Pair) {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3) {
        let call = newest(app, &pair.bob).await;
        if call.is_null() || call["state"] == "ended" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Every call of these people is over, and so is each of its legs, with a cause; answers how many legs.
async fn every_leg_has_its_record(app: &TestApp, pairs: &[Pair]) -> usize {
    let mut count = 0;
    for pair in pairs {
        let bob = pair.bob.signs_in_again().await;
        let mut after = String::new();
        loop {
            let page = bob.get(&format!("/v1/calls?limit=100{after}")).await.expect(200);
            for call in page["items"].as_array().unwrap() {
                assert!(call["state"] == "ended" && call["end_reason"].is_string(), "{call}");
                let id: CallId = call["id"].as_str().unwrap().parse().unwrap();
                let read = move |db: &mut meari::db::Db| meari::calls::records::of_call(db, id);
                let legs = app.app.db.read(read).await.unwrap();
                assert!(!legs.is_empty(), "{call}");
                for record in &legs {
                    let leg = &record.leg;
                    assert!(leg.cause.is_some() && leg.ended_at.is_some(), "{call}: {leg:?}");
                }
                count += legs.len();
            }
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
    }
    count
}

#[actix_web::test]
async fn calls_end_in_every_way() {
    many_calls(TestApp::on_sqlite().await, 140, 2).await;
}

#[actix_web::test]
#[ignore = "a few minutes"]
async fn a_thousand_calls_end_in_every_way() {
    many_calls(TestApp::on_sqlite().await, 1_000, 4).await;
}

#[actix_web::test]
#[ignore = "a few minutes"]
async fn a_thousand_calls_end_in_every_way_on_postgres() {
    many_calls(TestApp::start(TestDatabase::postgres(), |_| {}).await, 1_000, 4).await;
}
