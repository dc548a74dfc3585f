//! An hour each of a carrier that breaks, is busy, says nothing, or accepts and dies, and one in which it does all of it
//! at random, lies, repeats itself and speaks out of order: every message ends in exactly one right state, and none goes
//! out twice.

use std::collections::BTreeMap;
use std::time::Duration;

use meari::db::Lane;
use meari::ids::OutboundSmsId;
use meari::messaging::outbox::{self, NewSms, Purpose};
use meari::messaging::routes::SmsLine;
use meari::phone::E164;
use meari::worker;

use crate::support::TestApp;
use crate::support::database::TestDatabase;
use crate::support::telnyx::Telnyx;
use crate::support::wire::{Act, Fake, Vendor};

const MINUTE: Duration = Duration::from_secs(60);
/// Between two faults, so that those who wait for one do not meet the next.
const CALM_MINUTES: usize = 15;
/// After the last fault: the longest pause, and what is asked until the carrier is given up.
const AFTERMATH_MINUTES: usize = 150;

struct Run {
    app: TestApp,
    fake: Fake<Telnyx>,
    /// Every message and the hour in which it was written.
    messages: Vec<(OutboundSmsId, usize)>,
}

impl Run {
    async fn up(database: TestDatabase) -> Run {
        let fake: Fake<Telnyx> = Fake::up();
        let app = TestApp::start(database, |s| s.carriers = vec![Telnyx::settings(&fake.url)]).await;
        fake.state().callback_base = format!("{}/carriers/telnyx", app.url);
        Run { app, fake, messages: Vec::new() }
    }

    /// Queues messages to different handsets, each with an order of its own.
    async fn write(&mut self, count: usize, hour: usize) {
        let now = self.app.app.now();
        let first = self.messages.len();
        let sms = move |n: usize| NewSms {
            account: None,
            by: None,
            message: None,
            purpose: Purpose::Notice,
            order_key: format!("fault:{n}"),
            line: SmsLine {
                carrier_id: "telnyx".to_owned(),
                from: E164::parse("+12025550199").unwrap(),
                to: E164::parse(&format!("+1202{:07}", 5_000_000 + n)).unwrap(),
            },
            text: format!("message {n}"),
        };
        let write = move |db: &mut meari::db::Db| {
            (first..first + count).map(|n| outbox::enqueue(db, now, &sms(n))).collect::<Result<Vec<_>, _>>()
        };
        let ids = self.app.app.db.write(Lane::Any, write).await.unwrap();
        self.messages.extend(ids.into_iter().map(|id| (id, hour)));
    }

    async fn minutes(&self, count: usize) {
        for _ in 0..count {
            self.fake.state().now = self.app.app.now();
            worker::drain(&self.app.app).await;
            self.app.advance(MINUTE);
        }
    }

    async fn state(&self, id: OutboundSmsId) -> String {
        self.app.app.db.read(move |db| outbox::find(db, id)).await.unwrap().unwrap().state
    }
}

/// The mad hour; the others are numbered by their faults.
const MAD: usize = 4;
/// What the mad hour grows from.
const SEED: u64 = 0x6d65_6172_6900_0001;

/// SplitMix64: enough for a dice, the same on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % sides as u64).unwrap()
    }

    fn fault(&mut self) -> Act {
        let refuse = |status, body: String| Act::Refuse { status, header: None, body };
        match self.roll(9) {
            0 => refuse(500, String::new()),
            1 => refuse(429, Telnyx::busy().0),
            2 => Act::Drop,
            3 => Act::AcceptAndDrop,
            4 => Act::AcceptAndRefuse,
            5 => Act::TellFirst { word: "delivered", blind: false },
            6 => Act::TellFirst { word: "delivered", blind: true },
            7 => Act::TellFirst { word: "sent", blind: true },
            _ => Act::Slow(Duration::ZERO),
        }
    }
}

impl Run {
    /// Says things about the messages of the mad hour: true or not, again, and in any order.
    async fn gossip(&self, dice: &mut Dice) -> Vec<(String, &'static str)> {
        let first = self.messages.iter().position(|(_, hour)| *hour == MAD).unwrap();
        let number = |text: &str| text.trim_start_matches("message ").parse::<usize>().unwrap();
        let mut words = Vec::new();
        for sent in self.fake.sent().into_iter().filter(|sent| number(&sent.text) >= first) {
            for _ in 0..dice.roll(4) {
                words.push((sent.clone(), ["sent", "delivered", "delivery_failed"][dice.roll(3)]));
            }
        }
        for place in (1..words.len()).rev() {
            words.swap(place, dice.roll(place + 1));
        }
        for (sent, word) in &words {
            let now = self.app.app.now();
            for _ in 0..=dice.roll(2) {
                assert_eq!(self.fake.tells("status", &Telnyx::receipt(sent, word), now).await, 200);
            }
        }
        let told = words.into_iter().map(|(sent, word)| (sent.id, word));
        told.chain(self.fake.state().told.clone()).collect()
    }
}

/// What a message must be after everything that was said of it.
fn right_state(told: Option<&Vec<&str>>) -> &'static str {
    match told {
        Some(words) if words.contains(&"delivered") => "delivered",
        Some(words) if words.contains(&"delivery_failed") => "undelivered",
        _ => "sent",
    }
}

/// Each hour has `count` messages in three portions.
async fn five_bad_hours(database: TestDatabase, count: usize) {
    let mut run = Run::up(database).await;
    let (busy, _) = Telnyx::busy();
    let header = Some(("retry-after", "600"));
    let broken = Act::Refuse { status: 500, header: None, body: String::new() };
    let faults = [broken, Act::Refuse { status: 429, header, body: busy }, Act::Drop, Act::AcceptAndDrop];
    for (hour, fault) in faults.into_iter().enumerate() {
        run.fake.state().always = Some(fault);
        for _ in 0..3 {
            run.write(count / 3, hour).await;
            run.minutes(20).await;
        }
        run.fake.state().always = None;
        run.minutes(CALM_MINUTES).await;
    }
    let mut dice = Dice(SEED);
    for _ in 0..3 {
        run.fake.state().acts = (0..count / 3).map(|_| dice.fault()).collect();
        run.write(count / 3, MAD).await;
        run.minutes(20).await;
    }
    run.fake.state().acts.clear();
    run.minutes(AFTERMATH_MINUTES).await;
    let mut told: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (id, word) in run.gossip(&mut dice).await {
        told.entry(id).or_default().push(word);
    }

    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    let mut ids: BTreeMap<String, String> = BTreeMap::new();
    for sent in run.fake.sent() {
        *taken.entry(sent.text.clone()).or_default() += 1;
        ids.insert(sent.text, sent.id);
    }
    for (n, (id, hour)) in run.messages.iter().enumerate() {
        let (state, times) = (run.state(*id).await, taken.get(&format!("message {n}")).copied().unwrap_or(0));
        // What broke before it was taken stays open for the operator; nobody can know it.
        let wanted = match (*hour, ids.get(&format!("message {n}"))) {
            (0 | 2, _) | (MAD, None) => ("unknown", 0),
            (MAD, Some(sid)) => (right_state(told.get(sid)), 1),
            _ => ("sent", 1),
        };
        assert_eq!((state.as_str(), times), wanted, "message {n} of hour {hour}");
    }
    run.app.finish().await;
    run.fake.down().await;
}

#[actix_web::test]
async fn every_message_ends_in_one_right_state_on_sqlite() {
    five_bad_hours(TestDatabase::sqlite(), 300).await;
}

#[actix_web::test]
async fn every_message_ends_in_one_right_state_on_postgres() {
    five_bad_hours(TestDatabase::postgres(), 60).await;
}

#[actix_web::test]
#[ignore = "100,000 messages take a while: cargo test --release --test it carrier_faults -- --ignored"]
async fn every_one_of_100_000_messages_ends_in_one_right_state() {
    five_bad_hours(TestDatabase::sqlite(), 20_001).await;
}

/// For half an hour the carrier has too much to do. What waits for it is tried again and again, and that is no failure of
/// its job: whatever breaks here for a moment afterwards does not end it.
async fn waiting_for_a_carrier_uses_no_attempt_up(database: TestDatabase) {
    let mut run = Run::up(database).await;
    let (busy, _) = Telnyx::busy();
    run.fake.state().always =
        Some(Act::Refuse { status: 429, header: Some(("retry-after", "60")), body: busy });
    run.write(1, 0).await;
    run.minutes(30).await;
    assert!(run.fake.state().seen.len() >= 12, "it was tried often");
    let jobs = run.app.app.db.read(|db| meari::queue::list(db, None, None, 10)).await.unwrap();
    let seen: Vec<(&str, i32)> = jobs.iter().map(|job| (job.state.as_str(), job.attempts)).collect();
    assert_eq!(seen, [("ready", 0)]);
    run.fake.state().always = None;
    run.minutes(3).await;
    assert_eq!(run.state(run.messages[0].0).await, "sent");
    run.app.finish().await;
    run.fake.down().await;
}

#[actix_web::test]
async fn waiting_for_a_carrier_uses_no_attempt_up_on_sqlite() {
    waiting_for_a_carrier_uses_no_attempt_up(TestDatabase::sqlite()).await;
}

#[actix_web::test]
async fn waiting_for_a_carrier_uses_no_attempt_up_on_postgres() {
    waiting_for_a_carrier_uses_no_attempt_up(TestDatabase::postgres()).await;
}
