//! The same stories over every vendor's wire and on both databases: in, out, receipts, forgeries, bad days, numbers.

use std::sync::Arc;
use std::time::Duration;

use meari::carriers::{
    Carrier, Features, GroupToSend, NumberKind, NumberOrder, NumberQuery, OrderState, Registry, Retry,
    SmsToSend,
};
use meari::ids::OutboundSmsId;
use meari::net::{Net, Policy};
use meari::numbers::{Capabilities, Import};
use meari::phone::E164;
use meari::worker;
use serde_json::json;

use crate::support::app::{Pair, noon};
use crate::support::bandwidth::Bandwidth;
use crate::support::database::TestDatabase;
use crate::support::telnyx::Telnyx;
use crate::support::wire::{Act, Fake, Sent, Vendor};
use crate::support::{Person, TestApp};

const PHONE: &str = "+12025550101";

/// Alice has a phone and Bob a messenger; everything between them goes over this vendor's wire.
struct Line<V: Vendor> {
    app: TestApp,
    fake: Fake<V>,
    pair: Pair,
}

impl<V: Vendor> Line<V> {
    async fn up(database: TestDatabase) -> Line<V> {
        let fake: Fake<V> = Fake::up();
        let app = TestApp::start(database, |settings| {
            settings.carriers = vec![V::settings(&fake.url)];
        })
        .await;
        fake.state().callback_base = format!("{}/carriers/{}", app.url, V::ID);
        fake.state().now = app.app.now();
        let numbers = (0..10).map(|n| E164::parse(&format!("+12025550{}", 200 + n)).unwrap());
        let capabilities = Capabilities::parse("sms").unwrap();
        let import = |number| Import { number, carrier_id: V::ID.to_owned(), capabilities };
        let imports: Vec<Import> = numbers.map(import).collect();
        let now = app.app.now();
        let write = move |db: &mut meari::db::Db| meari::numbers::import(db, now, &imports);
        app.app.db.write(meari::db::Lane::Any, write).await.unwrap();
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        let phone = verified(&app, &fake, &alice).await;
        let (friend, contact) = alice.befriends(&bob).await;
        let shown = alice.get(&format!("/v1/contacts/{friend}")).await.expect(200);
        let number = shown["number"].as_str().expect("the friend has a number").to_owned();
        Line { app, fake, pair: Pair { alice, bob, phone, number, contact } }
    }

    /// What Bob sees of what was said, oldest first.
    async fn bob_reads(&self) -> Vec<String> {
        let list = self.pair.bob.get("/v1/conversations").await.expect(200);
        let Some(id) = list["items"][0]["id"].as_str() else { return Vec::new() };
        let thread = self.pair.bob.get(&format!("/v1/conversations/{id}/messages")).await.expect(200);
        let texts = thread["items"].as_array().unwrap().iter().rev();
        texts.map(|m| m["text"].as_str().unwrap().to_owned()).collect()
    }

    async fn phone_texts(&self, id: &str, text: &str) -> u16 {
        let body = V::inbound(id, PHONE, &self.pair.number, text);
        self.fake.tells("messages", &body, self.app.app.now()).await
    }

    async fn receipt(&self, sent: &Sent, word: &str) -> u16 {
        self.fake.tells("status", &V::receipt(sent, word), self.app.app.now()).await
    }

    fn last_sent(&self) -> Sent {
        self.fake.sent().pop().expect("something was sent")
    }

    async fn work(&self) {
        self.fake.state().now = self.app.app.now();
        worker::drain(&self.app.app).await;
    }

    async fn down(self) {
        self.app.finish().await;
        self.fake.down().await;
    }
}

async fn verified<V: Vendor>(app: &TestApp, fake: &Fake<V>, person: &Person) -> E164 {
    let asked = person.post("/v1/me/mobiles", json!({ "number": PHONE })).await.expect(201);
    worker::drain(&app.app).await;
    let text = fake.sent().pop().expect("the code was sent").text;
    let code: String = text.chars().filter(char::is_ascii_digit).collect();
    let path = format!("/v1/me/mobiles/{}/verify", asked["id"].as_str().unwrap());
    person.post(&path, json!({ "code": code })).await.expect(200);
    worker::drain(&app.app).await;
    E164::parse(PHONE).unwrap()
}

async fn a_phone_is_heard_once<V: Vendor>(line: &Line<V>) {
    for _ in 0..3 {
        assert_eq!(line.phone_texts("in-1", "Grüße ✓ & 한글").await, 200);
    }
    assert_eq!(line.bob_reads().await, ["Grüße ✓ & 한글"]);
}

async fn a_message_goes_out_and_receipts_in_any_order_end_the_same<V: Vendor>(line: &Line<V>) {
    let [sent_word, delivered, failed] = V::words();
    let said = line.pair.bob_writes("Fünf €").await;
    line.work().await;
    let sent = line.last_sent();
    assert_eq!((sent.from.as_str(), sent.to.as_str()), (line.pair.number.as_str(), PHONE));
    assert!(sent.text.ends_with("Fünf €"), "{}", sent.text);
    assert_eq!(line.pair.as_bob_sees(&said).await["state"], "sent");
    for word in [delivered, sent_word, delivered, sent_word] {
        assert_eq!(line.receipt(&sent, word).await, 200);
    }
    assert_eq!(line.pair.as_bob_sees(&said).await["state"], "delivered");
    let lost = line.pair.bob_writes("To nobody").await;
    line.work().await;
    assert_eq!(line.receipt(&line.last_sent(), failed).await, 200);
    assert_eq!(line.pair.as_bob_sees(&lost).await["state"], "undelivered");
}

async fn a_forged_callback_touches_nothing<V: Vendor>(line: &Line<V>) {
    let said = line.pair.bob_writes("Hello").await;
    line.work().await;
    let (sent, now) = (line.last_sent(), line.app.app.now());
    let inbound = V::inbound("in-1", PHONE, &line.pair.number, "I am not Alice");
    let receipt = V::receipt(&sent, V::words()[1]);
    for (door, genuine) in [("messages", &inbound), ("status", &receipt)] {
        for (why, headers, body) in V::forged(genuine, now) {
            assert_eq!(line.fake.calls(door, &body, headers).await, 403, "{why} at {door}");
        }
    }
    assert_eq!(line.bob_reads().await, ["Hello"]);
    assert_eq!(line.pair.as_bob_sees(&said).await["state"], "sent");
    // Nothing was claimed either: the genuine ones are news.
    assert_eq!(line.fake.tells("messages", &inbound, now).await, 200);
    assert_eq!(line.fake.tells("status", &receipt, now).await, 200);
    assert_eq!(line.bob_reads().await.len(), 2);
    assert_eq!(line.pair.as_bob_sees(&said).await["state"], "delivered");
}

async fn an_answer_that_was_lost_is_settled_by_asking<V: Vendor>(line: &Line<V>) {
    line.fake.will(Act::AcceptAndDrop);
    let before = line.fake.sent().len();
    let said = line.pair.bob_writes("Did it go?").await;
    line.work().await;
    assert_eq!(line.pair.as_bob_sees(&said).await["state"], "unknown");
    line.app.advance(Duration::from_secs(31));
    line.work().await;
    assert_eq!(line.pair.as_bob_sees(&said).await["state"], "sent");
    line.app.advance(Duration::from_secs(600));
    line.work().await;
    assert_eq!(line.fake.sent().len(), before + 1, "never sent again");
    assert_eq!(line.receipt(&line.last_sent(), V::words()[1]).await, 200);
    assert_eq!(line.pair.as_bob_sees(&said).await["state"], "delivered");
}

async fn an_answer_that_was_lost_is_settled_by_the_receipt<V: Vendor>(line: &Line<V>) {
    line.fake.will(Act::AcceptAndDrop);
    let said = line.pair.bob_writes("Did it go?").await;
    line.work().await;
    assert_eq!(line.receipt(&line.last_sent(), V::words()[1]).await, 200);
    assert_eq!(line.pair.as_bob_sees(&said).await["state"], "delivered", "it carries our own id");
    line.app.advance(Duration::from_secs(31));
    line.work().await;
}

async fn a_busy_carrier_is_asked_again_when_it_said<V: Vendor>(line: &Line<V>) {
    let (body, header) = V::busy();
    line.fake.will(Act::Refuse { status: 429, header, body: body.clone() });
    line.fake.will(Act::Refuse { status: 429, header: None, body });
    let before = line.fake.sent().len();
    let said = line.pair.bob_writes("Patience").await;
    line.work().await;
    line.app.advance(Duration::from_secs(29));
    line.work().await;
    assert_eq!(line.fake.state().acts.len(), 1, "not before its time");
    assert_eq!(line.pair.as_bob_sees(&said).await["state"], "queued");
    for _ in 0..2 {
        line.app.advance(Duration::from_secs(60));
        line.work().await;
    }
    assert_eq!(line.fake.sent().len(), before + 1);
    assert_eq!(line.pair.as_bob_sees(&said).await["state"], "sent");
}

async fn a_slow_carrier_and_a_dead_one_are_told_apart<V: Vendor>(line: &Line<V>) {
    line.fake.will(Act::Slow(Duration::from_millis(300)));
    let said = line.pair.bob_writes("Slowly").await;
    line.work().await;
    assert_eq!(line.pair.as_bob_sees(&said).await["state"], "sent");
    line.fake.will(Act::Drop);
    let before = line.fake.sent().len();
    let lost = line.pair.bob_writes("Gone").await;
    line.work().await;
    // Whether it went out is not known here, and it is not sent again by itself.
    for _ in 0..10 {
        line.app.advance(Duration::from_secs(60));
        line.work().await;
    }
    assert_eq!(line.fake.sent().len(), before);
    assert_eq!(line.pair.as_bob_sees(&lost).await["state"], "unknown");
}

async fn a_receipt_that_comes_before_the_answer_is_kept<V: Vendor>(line: &Line<V>) {
    for blind in [false, true] {
        line.fake.will(Act::TellFirst { word: V::words()[1], blind });
        let said = line.pair.bob_writes("Quick").await;
        line.work().await;
        assert_eq!(line.pair.as_bob_sees(&said).await["state"], "delivered", "blind: {blind}");
    }
    // Of a message that nobody here knows: taken, and nothing comes of it.
    let stranger = Sent { id: "99999999".to_owned(), echo: String::new(), ..line.last_sent() };
    assert_eq!(line.receipt(&stranger, V::words()[1]).await, 200);
}

macro_rules! on_every_wire {
    ($($name:ident)+) => {
        $(mod $name {
            use super::*;

            async fn told<V: Vendor>(database: TestDatabase) {
                let line: Line<V> = Line::up(database).await;
                super::$name(&line).await;
                line.down().await;
            }

            #[actix_web::test]
            async fn telnyx_on_sqlite() {
                told::<Telnyx>(TestDatabase::sqlite()).await;
            }

            #[actix_web::test]
            async fn telnyx_on_postgres() {
                told::<Telnyx>(TestDatabase::postgres()).await;
            }

            #[actix_web::test]
            async fn bandwidth_on_sqlite() {
                told::<Bandwidth>(TestDatabase::sqlite()).await;
            }

            #[actix_web::test]
            async fn bandwidth_on_postgres() {
                told::<Bandwidth>(TestDatabase::postgres()).await;
            }
        })+
    };
}

on_every_wire! {
    a_phone_is_heard_once
    a_message_goes_out_and_receipts_in_any_order_end_the_same
    a_forged_callback_touches_nothing
    an_answer_that_was_lost_is_settled_by_asking
    an_answer_that_was_lost_is_settled_by_the_receipt
    a_busy_carrier_is_asked_again_when_it_said
    a_slow_carrier_and_a_dead_one_are_told_apart
    a_receipt_that_comes_before_the_answer_is_kept
}

fn adapter<V: Vendor>(fake: &Fake<V>) -> Arc<dyn Carrier> {
    fake.state().callback_base = format!("https://meari.example.org/carriers/{}", V::ID);
    fake.state().now = noon();
    let registry = Registry::build(&[V::settings(&fake.url)], &Net::new(Policy::Operator).unwrap()).unwrap();
    registry.get(V::ID).unwrap().clone()
}

fn mms(text: &str) -> SmsToSend {
    SmsToSend {
        id: OutboundSmsId::new(noon()),
        from: E164::parse("+12025550106").unwrap(),
        to: E164::parse(PHONE).unwrap(),
        text: text.to_owned(),
        media_urls: vec!["https://meari.example.org/m/1.jpg".to_owned()],
        status_callback: "https://meari.example.org/carriers/x/status".to_owned(),
    }
}

async fn a_group_gets_one_mms<V: Vendor>() {
    let fake: Fake<V> = Fake::up();
    let carrier = adapter(&fake);
    assert!(carrier.capabilities().outbound_group_max >= 8);
    let sms = SmsToSend { media_urls: Vec::new(), ..mms("To all of you") };
    let others = vec![E164::parse("+12025550177").unwrap(), E164::parse("+12025550178").unwrap()];
    let accepted = carrier.send_group(&GroupToSend { sms, others }).await.unwrap();
    let sent = fake.sent();
    assert_eq!(sent.len(), 1, "one request for all");
    assert_eq!(
        (sent[0].to.as_str(), sent[0].text.as_str()),
        ("+12025550101,+12025550177,+12025550178", "To all of you")
    );
    let parts: Vec<String> =
        ["12025550101", "12025550177", "12025550178"].map(|to| format!("{}-{to}", sent[0].id)).into();
    assert_eq!(accepted.carrier_message_id, parts.join(" "), "each phone is a part of it");
    fake.will(Act::AcceptAndDrop);
    let group = GroupToSend { sms: mms("Lost"), others: vec![E164::parse("+12025550177").unwrap()] };
    assert!(!carrier.send_group(&group).await.unwrap_err().certain, "it may have gone out");
    fake.down().await;
}

#[actix_web::test]
async fn a_group_gets_one_mms_at_telnyx() {
    a_group_gets_one_mms::<Telnyx>().await;
}

#[actix_web::test]
async fn a_group_gets_one_mms_at_bandwidth() {
    a_group_gets_one_mms::<Bandwidth>().await;
}

async fn numbers_are_goods<V: Vendor>() {
    let fake: Fake<V> = Fake::up();
    let carrier = adapter(&fake);
    let able = carrier.capabilities().numbers;
    assert!(able.search && able.order && able.release && able.list);
    let features = Features { sms: true, mms: false, voice: true };
    let (region, area) = ("US".to_owned(), Some("202".to_owned()));
    let query = NumberQuery { region, kind: NumberKind::Local, area, features, limit: 5 };
    let offers = carrier.search_numbers(&query).await.unwrap();
    let offer = &offers[0];
    assert_eq!(offer.number.as_str(), "+12025550142");
    assert!(offers.iter().all(|offer| offer.features.cover(features)));
    let order = NumberOrder {
        number: offer.number.clone(),
        reference: "reserve-1".to_owned(),
        callback_base: "https://meari.example.org/carriers/x".to_owned(),
    };
    carrier.order_number(&order).await.unwrap();
    let again = carrier.order_number(&order).await.unwrap();
    assert_eq!(again.state, OrderState::Done);
    assert_eq!(fake.state().orders.len(), 1, "the same order twice is one");
    let ours = carrier.list_numbers(None).await.unwrap();
    assert_eq!(ours.items.iter().map(|n| n.number.as_str()).collect::<Vec<_>>(), ["+12025550142"]);
    assert_eq!(ours.next, None);
    carrier.release_number(&offer.number).await.unwrap();
    carrier.release_number(&offer.number).await.unwrap();
    assert_eq!(carrier.list_numbers(None).await.unwrap().items, []);
    fake.down().await;
}

#[actix_web::test]
async fn numbers_are_goods_at_telnyx() {
    numbers_are_goods::<Telnyx>().await;
}

#[actix_web::test]
async fn numbers_are_goods_at_bandwidth() {
    numbers_are_goods::<Bandwidth>().await;
}

async fn pictures_go_out_and_the_doctor_is_content<V: Vendor>() {
    let fake: Fake<V> = Fake::up();
    let carrier = adapter(&fake);
    carrier.send(&mms("")).await.unwrap();
    let sent = fake.sent().pop().unwrap();
    assert_eq!((sent.media.as_slice(), sent.text.as_str()), (mms("").media_urls.as_slice(), ""));
    assert!(carrier.check().await.unwrap().contains("good"));
    let base = format!("https://meari.example.org/carriers/{}", V::ID);
    assert_eq!(carrier.check_addresses(&base).await.unwrap(), Some(Vec::new()));
    let wrong = carrier.check_addresses("https://elsewhere.example.org").await.unwrap().unwrap();
    assert!(!wrong.is_empty() && wrong.iter().all(|line| line.contains("elsewhere")), "{wrong:?}");
    fake.down().await;
}

#[actix_web::test]
async fn pictures_go_out_and_the_doctor_is_content_at_telnyx() {
    pictures_go_out_and_the_doctor_is_content::<Telnyx>().await;
}

#[actix_web::test]
async fn pictures_go_out_and_the_doctor_is_content_at_bandwidth() {
    pictures_go_out_and_the_doctor_is_content::<Bandwidth>().await;
}

#[actix_web::test]
async fn a_token_is_fetched_once_and_renewed_when_it_is_refused() {
    let fake: Fake<Bandwidth> = Fake::up();
    let carrier = adapter(&fake);
    let many = (0..8).map(|_| {
        let carrier = carrier.clone();
        async move { carrier.send(&mms("hi")).await.map(|_| ()) }
    });
    for outcome in futures_util::future::join_all(many).await {
        outcome.unwrap();
    }
    // One look at a time: both lock the fake.
    let tokens = fake.state().tokens;
    assert_eq!((tokens, fake.sent().len()), (1, 8));
    // Somebody else's new token makes ours void.
    fake.state().tokens = 7;
    carrier.send(&mms("hi")).await.unwrap();
    let tokens = fake.state().tokens;
    assert_eq!((tokens, fake.sent().len()), (8, 9));
    fake.down().await;
}

#[actix_web::test]
async fn callbacks_without_credentials_are_asked_for_them() {
    let line: Line<Bandwidth> = Line::up(TestDatabase::sqlite()).await;
    let body = Bandwidth::inbound("in-1", PHONE, &line.pair.number, "Hello");
    assert_eq!(line.fake.calls("messages", &body, Vec::new()).await, 401);
    assert_eq!(line.bob_reads().await, Vec::<String>::new());
    let next = Bandwidth::settings("").options;
    assert!(next.contains_key("callback_password_secondary"));
    assert_eq!(line.fake.tells("messages", &body, line.app.app.now()).await, 200);
    line.down().await;
}

#[actix_web::test]
async fn refusals_are_certain() {
    let fake: Fake<Telnyx> = Fake::up();
    let carrier = adapter(&fake);
    let refuse = |status, code: &str| Act::Refuse {
        status,
        header: None,
        body: json!({"errors": [{"code": code, "title": "t"}]}).to_string(),
    };
    let table = [
        (refuse(400, "40300"), "opted_out", Retry::Never, true, false),
        (refuse(422, "40310"), "bad_number", Retry::Never, true, false),
        (refuse(403, "20100"), "carrier_funds_spent", Retry::Backoff, true, true),
        (refuse(400, "40318"), "carrier_queue_full", Retry::Backoff, true, false),
        (refuse(500, "10007"), "carrier_broken", Retry::Backoff, false, false),
        (Act::Drop, "carrier_broken", Retry::Backoff, false, false),
    ];
    for (act, code, retry, certain, whole) in table {
        fake.will(act);
        let error = carrier.send(&mms("hi")).await.unwrap_err();
        let found = (error.code.as_str(), error.retry, error.certain, error.whole_carrier);
        assert_eq!(found, (code, retry, certain, whole), "{error}");
    }
    fake.down().await;
}
