//! Turns at a carrier that takes only so much: never quicker than it likes, nobody waits for somebody else's flood, what
//! was said first leaves first, and what people write goes before notices.

use std::time::Duration;

use meari::clock::Timestamp;
use meari::db::{Db, Lane};
use meari::ids::AccountId;
use meari::messaging::outbox::{self, NewSms, Purpose};
use meari::messaging::routes::SmsLine;
use meari::phone::E164;
use meari::worker;
use serde_json::json;

use crate::support::TestApp;
use crate::support::app::{ADMIN_TOKEN, noon};
use crate::support::database::TestDatabase;
use crate::support::telnyx::Telnyx;
use crate::support::wire::{Act, Fake, Vendor as _};

/// A carrier with limits, and an outbox in front of it.
struct Outbox {
    app: TestApp,
    fake: Fake<Telnyx>,
}

/// Some SMS of one writer.
struct Batch {
    by: u8,
    from: E164,
    purpose: Purpose,
    count: usize,
    text: &'static str,
}

fn ours(n: usize) -> E164 {
    E164::parse(&format!("+12025550{:03}", 200 + n)).unwrap()
}

fn batch(by: u8, count: usize, text: &'static str) -> Batch {
    Batch { by, from: ours(0), purpose: Purpose::Message, count, text }
}

fn account(n: u8) -> AccountId {
    AccountId(uuid::Uuid::from_bytes([n; 16]))
}

impl Outbox {
    async fn up(database: TestDatabase, rates: &[(&str, &str)]) -> Outbox {
        let fake: Fake<Telnyx> = Fake::up();
        let mut carrier = Telnyx::settings(&fake.url);
        carrier.options.extend(rates.iter().map(|(k, v)| ((*k).to_owned(), (*v).into())));
        let app = TestApp::start(database, |s| s.carriers = vec![carrier]).await;
        fake.state().callback_base = format!("{}/carriers/telnyx", app.url);
        Outbox { app, fake }
    }

    async fn write(&self, batch: Batch) {
        let now = self.app.app.now();
        let enqueue = move |db: &mut Db| {
            for n in 0..batch.count {
                let sms = NewSms {
                    account: None,
                    by: Some(account(batch.by)),
                    message: None,
                    purpose: batch.purpose,
                    order_key: format!("{}:{}:{}:{n}", batch.by, batch.from.as_str(), batch.text),
                    line: SmsLine {
                        carrier_id: "telnyx".to_owned(),
                        from: batch.from.clone(),
                        to: E164::parse(&format!("+1303{:07}", 5_000_000 + n)).unwrap(),
                    },
                    text: batch.text.to_owned(),
                };
                outbox::enqueue(db, now, &sms)?;
            }
            Ok(())
        };
        self.app.app.db.write(Lane::Any, enqueue).await.unwrap();
    }

    async fn work(&self) {
        self.fake.state().now = self.app.app.now();
        worker::drain(&self.app.app).await;
    }

    /// Lets time pass until a text has left; how long it took.
    async fn until_left(&self, text: &str) -> Duration {
        let start = self.app.app.now();
        for _ in 0..10_000 {
            self.work().await;
            if self.fake.state().sent.iter().rev().any(|sent| sent.text == text) {
                return self.app.app.now().since(start);
            }
            self.app.advance(Duration::from_millis(100));
        }
        panic!("{text} never left");
    }

    fn left(&self) -> Vec<(Timestamp, String, String)> {
        self.fake.state().sent.iter().map(|s| (s.at, s.from.clone(), s.text.clone())).collect()
    }

    async fn finish(self) {
        self.app.finish().await;
        self.fake.down().await;
    }
}

/// Tells each story on both databases.
macro_rules! outbox_story {
    ($($name:ident)+) => {
        $(mod $name {
            use super::*;

            #[actix_web::test]
            async fn on_sqlite() {
                super::$name(TestDatabase::sqlite()).await;
            }

            #[actix_web::test]
            async fn on_postgres() {
                super::$name(TestDatabase::postgres()).await;
            }
        })+
    };
}

outbox_story! {
    a_flood_of_ten_thousand_does_not_hold_up_anothers_single_word
    a_flood_through_many_numbers_has_one_share_of_the_carrier
    what_people_write_goes_before_notices
    numbers_and_campaigns_have_limits_of_their_own
    patience_with_a_busy_carrier_counts_from_its_first_refusal
    what_a_campaign_may_not_send_today_leaves_tomorrow
    a_campaign_whose_day_is_over_holds_up_nothing_else
    what_nobody_has_asked_for_waits_for_the_morning
}

async fn a_flood_of_ten_thousand_does_not_hold_up_anothers_single_word(database: TestDatabase) {
    let outbox = Outbox::up(database, &[("number_segments_per_minute", "600")]).await;
    outbox.write(batch(1, 10_000, "flood")).await;
    outbox.work().await;
    assert_eq!(outbox.left().len(), 100, "a sixth of a minute at once");
    outbox.app.advance(Duration::from_secs(5));
    outbox.work().await;
    assert_eq!(outbox.left().len(), 150, "and then ten a second");
    outbox.write(batch(2, 1, "reply")).await;
    let waited = outbox.until_left("reply").await;
    assert!(waited <= Duration::from_millis(100), "it waited {waited:?}");
    outbox.write(batch(3, 2, "two of mine")).await;
    outbox.until_left("two of mine").await;
    for _ in 0..100 {
        outbox.app.advance(Duration::from_millis(100));
        outbox.work().await;
    }
    let left = outbox.left();
    let own = left.iter().filter(|(_, _, text)| text == "two of mine").count();
    assert_eq!(own, 2);
    for (start, _, _) in &left {
        let minute =
            left.iter().filter(|(at, _, _)| at >= start && at.since(*start) < Duration::from_secs(60));
        assert!(minute.count() <= 700);
    }
    outbox.finish().await;
}

async fn a_flood_through_many_numbers_has_one_share_of_the_carrier(database: TestDatabase) {
    let outbox = Outbox::up(database, &[("segments_per_minute", "60")]).await;
    for n in 0..20 {
        outbox.write(Batch { from: ours(n), ..batch(1, 10, "flood") }).await;
    }
    outbox.work().await;
    assert_eq!(outbox.left().len(), 10);
    outbox.write(Batch { from: ours(30), ..batch(2, 3, "mine") }).await;
    for _ in 0..6 {
        outbox.app.advance(Duration::from_secs(1));
        outbox.work().await;
    }
    let left = outbox.left();
    assert_eq!(left.len(), 16);
    let mine = left.iter().filter(|(_, _, text)| text == "mine").count();
    assert!(mine >= 2, "{mine} of six");
    outbox.finish().await;
}

async fn what_people_write_goes_before_notices(database: TestDatabase) {
    let outbox = Outbox::up(database, &[("number_segments_per_minute", "6")]).await;
    outbox.write(Batch { purpose: Purpose::Notice, ..batch(1, 5, "notice") }).await;
    outbox.work().await;
    outbox.write(batch(2, 2, "word")).await;
    outbox.write(Batch { purpose: Purpose::Verification, ..batch(3, 1, "code") }).await;
    outbox.work().await;
    for _ in 0..4 {
        outbox.app.advance(Duration::from_secs(10));
        outbox.work().await;
    }
    let texts: Vec<String> = outbox.left().into_iter().map(|(_, _, text)| text).collect();
    assert_eq!(texts, ["notice", "word", "code", "word", "notice"]);
    outbox.finish().await;
}

async fn numbers_and_campaigns_have_limits_of_their_own(database: TestDatabase) {
    let rates = [("number_segments_per_minute", "6"), ("campaign_segments_per_minute", "12")];
    let outbox = Outbox::up(database, &rates).await;
    // +1 to +1 belongs to the campaign, whatever the number; another country's number has a limit of its own.
    let abroad = E164::parse("+4915112345678").unwrap();
    for from in [ours(0), ours(1), abroad.clone()] {
        outbox.write(Batch { from, ..batch(1, 4, "hello") }).await;
    }
    outbox.work().await;
    for _ in 0..2 {
        outbox.app.advance(Duration::from_secs(10));
        outbox.work().await;
    }
    let left = outbox.left();
    let from_abroad = left.iter().filter(|(_, from, _)| from == abroad.as_str()).count();
    assert_eq!((from_abroad, left.len() - from_abroad), (3, 6), "{left:?}");
    outbox.finish().await;
}

async fn patience_with_a_busy_carrier_counts_from_its_first_refusal(database: TestDatabase) {
    let outbox = Outbox::up(database, &[("number_segments_per_minute", "6")]).await;
    // The second one waits five hours for its turn.
    outbox.write(batch(1, 1, "early")).await;
    outbox.work().await;
    outbox.write(batch(1, 1, "late")).await;
    outbox.work().await;
    outbox.app.advance(Duration::from_secs(5 * 3_600));
    let (body, header) = Telnyx::busy();
    outbox.fake.state().always = Some(Act::Refuse { status: 429, header, body });
    outbox.work().await;
    outbox.fake.state().always = None;
    outbox.app.advance(Duration::from_secs(60));
    outbox.work().await;
    assert_eq!(outbox.left().last().unwrap().2, "late", "it was not given up");
    assert!(outbox.app.app.now() > noon());
    outbox.finish().await;
}

async fn what_a_campaign_may_not_send_today_leaves_tomorrow(database: TestDatabase) {
    let outbox = Outbox::up(database, &[("campaign_segments_per_day", "3")]).await;
    outbox.write(batch(1, 5, "many")).await;
    outbox.work().await;
    assert_eq!(outbox.left().len(), 3);
    let operator = outbox.app.stranger().with_token(ADMIN_TOKEN);
    let carrier = operator.get("/v1/admin/carriers").await.expect(200)["items"][0].clone();
    let day = json!({ "segments": 3, "segments_max": 3, "until": "2026-01-16T08:00:00Z" });
    assert_eq!((&carrier["campaign_day"], &carrier["waiting"]), (&day, &json!(2)));
    // From abroad it is not the campaign's.
    let abroad = E164::parse("+442079460123").unwrap();
    outbox.write(Batch { from: abroad, ..batch(2, 1, "elsewhere") }).await;
    outbox.work().await;
    assert_eq!(outbox.left().last().unwrap().2, "elsewhere");
    // The day ends at midnight of the Pacific coast.
    outbox.app.advance(Duration::from_secs(19 * 3_600 + 3_500));
    outbox.work().await;
    assert_eq!(outbox.left().len(), 4);
    outbox.app.advance(Duration::from_secs(200));
    outbox.work().await;
    assert_eq!(outbox.left().len(), 6);
    let carrier = operator.get("/v1/admin/carriers").await.expect(200)["items"][0].clone();
    assert_eq!((&carrier["campaign_day"]["segments"], &carrier["waiting"]), (&json!(2), &json!(0)));
    outbox.finish().await;
}

async fn a_campaign_whose_day_is_over_holds_up_nothing_else(database: TestDatabase) {
    let outbox = Outbox::up(database, &[("campaign_segments_per_day", "1")]).await;
    outbox.write(batch(1, 3, "campaign")).await;
    outbox.work().await;
    assert_eq!(outbox.left().len(), 1);
    // From the number at which others wait for tomorrow, and from one at which nobody does.
    for (from, text) in [(ours(0), "to Seoul"), (ours(1), "to Busan")] {
        let now = outbox.app.app.now();
        let line =
            SmsLine { carrier_id: "telnyx".to_owned(), from, to: E164::parse("+821012345678").unwrap() };
        let sms = NewSms {
            account: None,
            by: Some(account(1)),
            message: None,
            purpose: Purpose::Message,
            order_key: text.to_owned(),
            line,
            text: text.to_owned(),
        };
        let enqueue = move |db: &mut Db| outbox::enqueue(db, now, &sms);
        outbox.app.app.db.write(Lane::Any, enqueue).await.unwrap();
        outbox.work().await;
        assert_eq!(outbox.left().last().unwrap().2, text);
    }
    outbox.finish().await;
}

async fn what_nobody_has_asked_for_waits_for_the_morning(database: TestDatabase) {
    let outbox = Outbox::up(database, &[]).await;
    let alice = outbox.app.person("alice").await;
    // Seven in the morning, where she is.
    let me = alice.patch("/v1/me", json!({ "time_zone": "America/New_York" })).await.expect(200);
    let account: AccountId = me["id"].as_str().unwrap().parse().unwrap();
    let write = async |purpose: Purpose, text: &'static str| {
        let now = outbox.app.app.now();
        let sms = NewSms {
            account: Some(account),
            by: None,
            message: None,
            purpose,
            order_key: text.to_owned(),
            line: SmsLine {
                carrier_id: "telnyx".to_owned(),
                from: ours(0),
                to: E164::parse("+12025550101").unwrap(),
            },
            text: text.to_owned(),
        };
        outbox.app.app.db.write(Lane::Any, move |db| outbox::enqueue(db, now, &sms)).await.unwrap();
        outbox.work().await;
    };
    write(Purpose::Unasked, "a voicemail").await;
    write(Purpose::Message, "from a friend").await;
    write(Purpose::Notice, "an answer").await;
    let texts = || outbox.left().into_iter().map(|(_, _, text)| text).collect::<Vec<_>>();
    assert_eq!(texts(), ["from a friend", "an answer"]);
    outbox.app.advance(Duration::from_secs(3_590));
    outbox.work().await;
    assert_eq!(texts().len(), 2);
    outbox.app.advance(Duration::from_secs(20));
    outbox.work().await;
    assert_eq!(texts().last().unwrap(), "a voicemail");
    // Her own quiet hours count in place of the night.
    let quiet = json!({ "quiet_hours": { "from": "08:00", "to": "09:00" } });
    alice.signs_in_again().await.patch("/v1/me", quiet).await.expect(200);
    write(Purpose::Unasked, "another").await;
    assert_eq!(texts().len(), 3);
    outbox.app.advance(Duration::from_secs(3_600));
    outbox.work().await;
    assert_eq!(texts().len(), 4);
    outbox.finish().await;
}
