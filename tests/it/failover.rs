//! A carrier fails: it is noticed, what may leave elsewhere does, what may not waits or moves, and the operator sees it.

use std::time::Duration;

use meari::config::CarrierSettings;
use meari::db::Lane;
use meari::messaging::outbox::{self, NewSms, Purpose};
use meari::messaging::rounds;
use meari::messaging::routes::SmsLine;
use meari::numbers::{Capabilities, Import};
use meari::phone::E164;
use meari::worker;
use serde_json::{Value, json};

use crate::support::app::ADMIN_TOKEN;
use crate::support::calling::eventually;
use crate::support::client::Client;
use crate::support::database::TestDatabase;
use crate::support::telnyx::Telnyx;
use crate::support::wire::{Act, Fake, Vendor as _};
use crate::support::{Person, TestApp};

/// Two carriers, the second one dearer.
struct Two {
    app: TestApp,
    main: Fake<Telnyx>,
    spare: Fake<Telnyx>,
    operator: Client,
}

fn refuses_us() -> Act {
    Act::Refuse { status: 401, header: None, body: "{}".to_owned() }
}

impl Two {
    async fn up(database: TestDatabase) -> Two {
        let (main, spare): (Fake<Telnyx>, Fake<Telnyx>) = (Fake::up(), Fake::up());
        let carrier = |id: &str, fake: &Fake<Telnyx>, price: &str| {
            let mut settings = Telnyx::settings(&fake.url);
            settings.id = id.to_owned();
            settings.options.insert("price_per_segment".to_owned(), price.into());
            settings
        };
        let carriers = vec![carrier("main", &main, "0.004 USD"), carrier("spare", &spare, "0.010 USD")];
        let app = TestApp::start(database, |s| {
            s.carriers = carriers;
            s.carrier_loop_minutes = 60;
            s.countries = vec!["US".to_owned()];
        })
        .await;
        main.state().callback_base = format!("{}/carriers/main", app.url);
        spare.state().callback_base = format!("{}/carriers/spare", app.url);
        let operator = app.stranger().with_token(ADMIN_TOKEN);
        Two { app, main, spare, operator }
    }

    async fn import(&self, carrier: &str, first: usize, count: usize) {
        let capabilities = Capabilities::parse("sms").unwrap();
        let number = |n: usize| E164::parse(&format!("+12025550{n:03}")).unwrap();
        let import = |n| Import { number: number(n), carrier_id: carrier.to_owned(), capabilities };
        let imports: Vec<Import> = (first..first + count).map(import).collect();
        let now = self.app.app.now();
        let write = move |db: &mut meari::db::Db| meari::numbers::import(db, now, &imports);
        self.app.app.db.write(Lane::Any, write).await.unwrap();
    }

    async fn work(&self) {
        let now = self.app.app.now();
        (self.main.state().now, self.spare.state().now) = (now, now);
        worker::drain(&self.app.app).await;
    }

    /// What every node does each minute.
    async fn round(&self) {
        rounds::watch_carriers(&self.app.app).await.unwrap();
        self.work().await;
    }

    /// What was counted so far is written down, and then is no longer recent.
    async fn some_time_later(&self) {
        self.round().await;
        self.round().await;
        self.app.advance(Duration::from_secs(700));
    }

    async fn carrier(&self, id: &str) -> Value {
        let all = self.operator.get("/v1/admin/carriers").await.expect(200);
        all["items"].as_array().unwrap().iter().find(|c| c["id"] == id).unwrap().clone()
    }

    async fn ask_code(&self, person: &Person, number: &str) -> Value {
        let asked = person.post("/v1/me/mobiles", json!({ "number": number })).await.expect(201);
        self.work().await;
        asked.body
    }

    async fn prove(&self, person: &Person, number: &str) {
        let asked = self.ask_code(person, number).await;
        let text = self.main.sent().pop().unwrap().text;
        let code: String = text.chars().filter(char::is_ascii_digit).collect();
        let path = format!("/v1/me/mobiles/{}/verify", asked["id"].as_str().unwrap());
        person.post(&path, json!({ "code": code })).await.expect(200);
        self.work().await;
    }

    async fn finish(self) {
        self.app.finish().await;
        self.main.down().await;
        self.spare.down().await;
    }
}

macro_rules! failover_story {
    ($($name:ident)+) => {
        $(mod $name {
            use super::*;

            #[actix_web::test]
            async fn on_sqlite() {
                let two = Two::up(TestDatabase::sqlite()).await;
                super::$name(&two).await;
                two.finish().await;
            }

            #[actix_web::test]
            async fn on_postgres() {
                let two = Two::up(TestDatabase::postgres()).await;
                super::$name(&two).await;
                two.finish().await;
            }
        })+
    };
}

failover_story! {
    codes_leave_by_another_carrier_while_theirs_is_down
    what_waits_for_a_carrier_that_is_written_off_leaves_from_the_new_number
    stop_goes_with_a_friend_whose_number_is_replaced
    a_carrier_that_does_not_answer_holds_nobody_else_up
    what_comes_in_at_a_carrier_that_was_down_is_not_lost
    connected_but_dead_is_found_by_messages_to_ourselves
    codes_are_not_pumped_into_a_range
    codes_go_to_countries_that_are_served_and_never_to_premium_numbers
    stop_is_not_carried_to_whom_it_was_not_said
}

async fn codes_leave_by_another_carrier_while_theirs_is_down(two: &Two) {
    two.import("spare", 300, 5).await;
    two.import("main", 200, 5).await;
    let (alice, bob) = (two.app.person("alice").await, two.app.person("bob").await);
    two.ask_code(&alice, "+12025550101").await;
    assert_eq!((two.main.sent().len(), two.spare.sent().len()), (1, 0), "the cheaper one");
    two.round().await;
    assert_eq!(two.carrier("main").await["state"], "well");
    two.some_time_later().await;
    two.main.state().always = Some(refuses_us());
    two.ask_code(&bob, "+12025550102").await;
    two.round().await;
    let seen = two.carrier("main").await;
    assert_eq!((&seen["state"], &seen["why"]), (&json!("down"), &json!("it refuses our account")));
    assert_eq!(two.carrier("spare").await["state"], "well");
    two.app.advance(Duration::from_secs(120));
    two.work().await;
    let by_spare = two.spare.sent();
    assert!(by_spare.iter().any(|sent| sent.to == "+12025550102"), "the code left by the other one");
    let metrics = reqwest::get(format!("{}/metrics", two.app.url)).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("meari_carrier_health{carrier=\"main\"} 0"), "{metrics}");
    assert!(metrics.contains("meari_alarms{kind=\"carrier_down\"} 1"), "{metrics}");

    let alarms = two.operator.get("/v1/admin/alarms").await.expect(200);
    let alarm = &alarms["items"][0];
    assert_eq!((&alarm["kind"], &alarm["subject"]), (&json!("carrier_down"), &json!("main")));
    let path = format!("/v1/admin/alarms/{}/acknowledge", alarm["id"].as_str().unwrap());
    two.operator.post(&path, json!({})).await.expect(200);
    assert_eq!(two.operator.get("/v1/admin/alarms").await["items"], json!([]));
    assert_eq!(two.operator.get("/v1/admin/alarms?state=all").await["items"].as_array().unwrap().len(), 1);
    two.operator.get("/v1/admin/alarms?state=old").await.refused(422, "bad_state");

    // It stays down until something went through it: a message to ourselves does.
    two.main.state().always = None;
    two.app.advance(Duration::from_secs(3_600));
    two.round().await;
    two.round().await;
    assert_eq!(two.carrier("main").await["state"], "well");
}

async fn what_waits_for_a_carrier_that_is_written_off_leaves_from_the_new_number(two: &Two) {
    two.import("main", 200, 5).await;
    let (alice, bob) = (two.app.person("alice").await, two.app.person("bob").await);
    two.prove(&alice, "+12025550101").await;
    let (friend, contact) = alice.befriends(&bob).await;
    two.work().await;
    two.import("spare", 300, 5).await;
    two.main.state().always = Some(refuses_us());
    let path = format!("/v1/contacts/{contact}/messages");
    bob.post(&path, json!({ "text": "Are you there?" })).await.expect(201);
    two.work().await;
    let before = alice.get(&format!("/v1/contacts/{friend}")).await.expect(200)["number"].clone();
    two.operator.patch("/v1/admin/carriers/nobody", json!({ "dead": true })).await.expect(404);
    let dead = two.operator.patch("/v1/admin/carriers/main", json!({ "dead": true })).await.expect(200);
    assert!(dead["dead_since"].is_string());
    two.work().await;
    let after = alice.get(&format!("/v1/contacts/{friend}")).await.expect(200)["number"].clone();
    assert!(after.is_string() && after != before, "{after}");
    two.app.advance(Duration::from_secs(180));
    two.work().await;
    let sent = two.spare.sent().pop().expect("it left by the other one");
    assert_eq!((json!(sent.from), sent.to.as_str()), (after, "+12025550101"));
    assert!(sent.text.ends_with("Are you there?"), "{}", sent.text);
    let back = two.operator.patch("/v1/admin/carriers/main", json!({ "dead": false })).await.expect(200);
    assert!(back["dead_since"].is_null());
}

async fn stop_goes_with_a_friend_whose_number_is_replaced(two: &Two) {
    const PHONE: &str = "+12025550101";
    two.import("main", 200, 5).await;
    let (alice, bob) = (two.app.person("alice").await, two.app.person("bob").await);
    two.prove(&alice, PHONE).await;
    let (friend, contact) = alice.befriends(&bob).await;
    two.work().await;
    two.import("spare", 300, 5).await;
    let number = async || {
        let shown = alice.get(&format!("/v1/contacts/{friend}")).await.expect(200);
        shown["number"].as_str().unwrap().to_owned()
    };
    let path = format!("/v1/contacts/{contact}/messages");
    let write = async |text: &str| bob.post(&path, json!({ "text": text })).await.expect(201).body;
    let state = async |said: &Value| {
        let thread = format!("/v1/conversations/{}/messages", said["conversation_id"].as_str().unwrap());
        let thread = bob.get(&thread).await.expect(200);
        let found =
            thread["items"].as_array().unwrap().iter().find(|m| m["id"] == said["id"]).unwrap().clone();
        (found["state"].as_str().unwrap().to_owned(), found["error"]["code"].clone())
    };
    let opted_out = ("failed".to_owned(), json!("opted_out"));
    two.main.state().always = Some(refuses_us());
    let queued = write("Are you there?").await;
    two.work().await;
    let old = number().await;
    let stop = Telnyx::inbound("stop", PHONE, &old, "STOP");
    assert_eq!(two.main.tells("messages", &stop, two.app.app.now()).await, 200);
    two.operator.patch("/v1/admin/carriers/main", json!({ "dead": true })).await.expect(200);
    two.work().await;
    let new = number().await;
    assert_ne!(new, old);
    two.app.advance(Duration::from_secs(180));
    let fresh = write("And now?").await;
    two.work().await;
    assert_eq!((state(&queued).await, state(&fresh).await), (opted_out.clone(), opted_out));
    assert!(two.spare.sent().iter().all(|sent| sent.to != PHONE), "nothing goes to who said STOP");
    let log = two.operator.get("/v1/admin/consents").await.expect(200);
    let words: Vec<(&Value, &Value, &Value)> = log["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| (&line["number"], &line["word"], &line["source"]))
        .collect();
    assert_eq!(
        words,
        [(&json!(old), &json!("stop"), &json!("handset")), (&json!(new), &json!("stop"), &json!("carried"))]
    );
    // START to the new number is for the same friend.
    let stopped =
        async || bob.get(&format!("/v1/contacts/{contact}")).await.expect(200)["texts_stopped"].clone();
    assert_eq!(stopped().await, true);
    let start = Telnyx::inbound("start", PHONE, &new, "START");
    assert_eq!(two.spare.tells("messages", &start, two.app.app.now()).await, 200);
    two.work().await;
    assert_eq!(stopped().await, false);
    write("Good to see you").await;
    two.work().await;
    assert!(two.spare.sent().pop().unwrap().text.ends_with("Good to see you"));
    // Asked for once more, nothing is replaced, and START stays said.
    let (account, id) = (alice.id.parse().unwrap(), friend.parse().unwrap());
    let now = two.app.app.now();
    let again = move |db: &mut meari::db::Db| meari::contacts::replace_numbers(db, now, account, &[id]);
    two.app.app.db.write(account, again).await.unwrap();
    assert_eq!(number().await, new);
    assert_eq!(state(&write("Still here?").await).await.0, "queued");
    two.work().await;
    assert!(two.spare.sent().pop().unwrap().text.ends_with("Still here?"));
}

async fn stop_is_not_carried_to_whom_it_was_not_said(two: &Two) {
    const PHONE: &str = "+12025550101";
    two.import("main", 200, 1).await;
    let (alice, bob) = (two.app.person("alice").await, two.app.person("bob").await);
    two.prove(&alice, PHONE).await;
    let (to_bob, _) = alice.befriends(&bob).await;
    two.work().await;
    let bobs = format!("/v1/contacts/{to_bob}");
    let first = alice.get(&bobs).await.expect(200)["number"].as_str().unwrap().to_owned();
    // Bob's number rests, is free, and becomes Carol's, to whom Alice says STOP.
    alice.patch(&bobs, json!({ "hidden_on_phone": true })).await.expect(200);
    two.app.advance(meari::contacts::REST + Duration::from_secs(60));
    worker::sweep(&two.app.app).await.unwrap();
    let (alice, carol) = (alice.signs_in_again().await, two.app.person("carol").await);
    let (to_carol, _) = alice.befriends(&carol).await;
    two.work().await;
    let carols = format!("/v1/contacts/{to_carol}");
    assert_eq!(alice.get(&carols).await.expect(200)["number"], first.as_str());
    two.app.advance(Duration::from_secs(60));
    let stop = Telnyx::inbound("stop", PHONE, &first, "STOP");
    assert_eq!(two.main.tells("messages", &stop, two.app.app.now()).await, 200);
    two.work().await;
    // Bob comes back, with another number.
    two.import("spare", 300, 1).await;
    let shown = alice.patch(&bobs, json!({ "hidden_on_phone": false })).await.expect(200);
    assert_eq!(shown["number"], "+12025550300");
    two.work().await;
    let log = two.operator.get("/v1/admin/consents").await.expect(200);
    assert_eq!(log["items"].as_array().unwrap().len(), 1, "{}", log.text);
    let bob = bob.signs_in_again().await;
    let back = bob.get("/v1/contacts").await.expect(200)["items"][0]["id"].as_str().unwrap().to_owned();
    bob.post(&format!("/v1/contacts/{back}/messages"), json!({ "text": "Back again" })).await.expect(201);
    two.work().await;
    assert!(two.spare.sent().pop().unwrap().text.ends_with("Back again"));
}

async fn a_carrier_that_does_not_answer_holds_nobody_else_up(two: &Two) {
    two.main.state().always = Some(Act::Slow(Duration::from_secs(12)));
    let write = async |carrier: &str, count: usize| {
        let (now, carrier) = (two.app.app.now(), carrier.to_owned());
        let enqueue = move |db: &mut meari::db::Db| {
            for n in 0..count {
                let to = E164::parse(&format!("+1303555{n:04}")).unwrap();
                // Each from a number of its own, for a number has a limit.
                let from = E164::parse(&format!("+1202556{n:04}")).unwrap();
                let line = SmsLine { carrier_id: carrier.clone(), from, to };
                let sms = NewSms {
                    account: None,
                    by: None,
                    message: None,
                    purpose: Purpose::Message,
                    order_key: format!("{carrier}:{n}"),
                    line,
                    text: "Hello".to_owned(),
                };
                outbox::enqueue(db, now, &sms)?;
            }
            Ok(())
        };
        two.app.app.db.write(Lane::Any, enqueue).await.unwrap();
    };
    write("main", 100).await;
    two.app.advance(Duration::from_secs(1));
    write("spare", 1).await;
    let stop = tokio::sync::watch::channel(false);
    let begun = std::time::Instant::now();
    let working = tokio::spawn(worker::work(two.app.app.clone(), stop.1));
    eventually("the other carrier has its text", async || !two.spare.sent().is_empty()).await;
    working.abort();
    assert!(begun.elapsed() < Duration::from_secs(11), "it waited for nobody's answer");
}

/// A carrier that is connected for good, and its link is dead; another one, dearer.
async fn codes_leave_by_another_carrier_while_the_link_is_dead(database: TestDatabase) {
    let spare: Fake<Telnyx> = Fake::up();
    let options = [
        ("host", "127.0.0.1"),
        ("port", "1"),
        ("system_id", "meari"),
        ("password", "secret"),
        ("price_per_segment", "0.001 USD"),
    ];
    let options = options.into_iter().map(|(k, v)| (k.to_owned(), v.into())).collect();
    let link = CarrierSettings { id: "main".to_owned(), kind: "smpp".to_owned(), api_base: None, options };
    let mut other = Telnyx::settings(&spare.url);
    other.id = "spare".to_owned();
    other.options.insert("price_per_segment".to_owned(), "0.010 USD".into());
    let app = TestApp::start(database, |s| s.carriers = vec![link, other]).await;
    spare.state().callback_base = format!("{}/carriers/spare", app.url);
    let operator = app.stranger().with_token(ADMIN_TOKEN);
    let two = Two { app, main: Fake::up(), spare, operator };
    two.import("main", 200, 5).await;
    two.import("spare", 300, 5).await;
    for n in 0..8 {
        let person = two.app.person(&format!("person{n}")).await;
        person.post("/v1/me/mobiles", json!({ "number": format!("+1202555010{n}") })).await.expect(201);
    }
    two.work().await;
    assert_eq!(two.spare.sent().len(), 0);
    two.round().await;
    let seen = two.carrier("main").await;
    assert_eq!(
        (&seen["state"], &seen["why"]),
        (&json!("down"), &json!("more than half of the requests break"))
    );
    two.app.advance(Duration::from_secs(120));
    two.work().await;
    assert_eq!(two.spare.sent().len(), 8, "the codes left by the other one");
    two.finish().await;
}

mod codes_leave_by_another_carrier_while_a_link_is_dead {
    use super::*;

    #[actix_web::test]
    async fn on_sqlite() {
        super::codes_leave_by_another_carrier_while_the_link_is_dead(TestDatabase::sqlite()).await;
    }

    #[actix_web::test]
    async fn on_postgres() {
        super::codes_leave_by_another_carrier_while_the_link_is_dead(TestDatabase::postgres()).await;
    }
}

async fn what_comes_in_at_a_carrier_that_was_down_is_not_lost(two: &Two) {
    two.import("main", 200, 5).await;
    let (alice, bob) = (two.app.person("alice").await, two.app.person("bob").await);
    two.prove(&alice, "+12025550101").await;
    let (friend, _) = alice.befriends(&bob).await;
    two.work().await;
    let number = alice.get(&format!("/v1/contacts/{friend}")).await.expect(200)["number"].clone();
    two.some_time_later().await;
    two.main.state().always = Some(refuses_us());
    two.ask_code(&bob, "+12025550102").await;
    two.round().await;
    assert_eq!(two.carrier("main").await["state"], "down");
    // It comes back and says what it had kept.
    let body = Telnyx::inbound("in-1", "+12025550101", number.as_str().unwrap(), "From the dark");
    assert_eq!(two.main.tells("messages", &body, two.app.app.now()).await, 200);
    let list = bob.get("/v1/conversations").await.expect(200);
    assert_eq!(list["items"][0]["last_message"]["text"], "From the dark");
    two.app.advance(Duration::from_secs(5 * 3_600));
    two.work().await;
}

async fn connected_but_dead_is_found_by_messages_to_ourselves(two: &Two) {
    two.import("main", 200, 3).await;
    let come_back = async |two: &Two| {
        let sent = two.main.sent().pop().unwrap();
        let id = format!("loop-{}", two.main.sent().len());
        let body = Telnyx::inbound(&id, &sent.from, &sent.to, &sent.text);
        assert_eq!(two.main.tells("messages", &body, two.app.app.now()).await, 200);
    };
    two.round().await;
    assert_eq!(two.main.sent().len(), 1);
    two.round().await;
    assert_eq!(two.main.sent().len(), 1, "one an hour");
    come_back(two).await;
    assert!(two.carrier("main").await["last_loop"]["arrived_at"].is_string());
    for hour in 1..=2 {
        two.app.advance(Duration::from_secs(3_600));
        two.round().await;
        assert_eq!(two.main.sent().len(), hour + 1);
        two.app.advance(Duration::from_secs(301));
        two.round().await;
        let wanted = if hour == 2 { "down" } else { "well" };
        assert_eq!(two.carrier("main").await["state"], wanted);
    }
    assert_eq!(two.carrier("main").await["why"], "messages between our own numbers do not arrive");
    two.app.advance(Duration::from_secs(3_600));
    two.round().await;
    come_back(two).await;
    two.round().await;
    assert_eq!(two.carrier("main").await["state"], "well");
}

async fn codes_are_not_pumped_into_a_range(two: &Two) {
    two.import("main", 200, 5).await;
    let mut codes_sent = Vec::new();
    let mut last = json!(null);
    for person in ["ada", "ben", "cyd"] {
        let person = two.app.person(person).await;
        for _ in 0..4 {
            let number = format!("+13035550{:03}", 101 + codes_sent.len());
            last = two.ask_code(&person, &number).await;
            codes_sent.push(last["code_sent"] == true);
        }
    }
    assert_eq!(codes_sent.iter().filter(|sent| **sent).count(), 11, "{codes_sent:?}");
    assert_eq!(two.main.sent().len(), 11);
    assert!(last["text_to"]["number"].is_string(), "texting us is still a way");
    let alarms = two.operator.get("/v1/admin/alarms").await.expect(200);
    let alarm = &alarms["items"][0];
    assert_eq!((&alarm["kind"], &alarm["subject"]), (&json!("codes_pumped"), &json!("+1303555")));
    let elsewhere = two.app.person("dan").await;
    assert_eq!(two.ask_code(&elsewhere, "+12025550101").await["code_sent"], true, "another range");
    let path = format!("/v1/admin/alarms/{}/acknowledge", alarm["id"].as_str().unwrap());
    two.operator.post(&path, json!({})).await.expect(200);
    assert_eq!(two.ask_code(&elsewhere, "+13035550199").await["code_sent"], true, "the operator has looked");
}

async fn codes_go_to_countries_that_are_served_and_never_to_premium_numbers(two: &Two) {
    two.import("main", 200, 5).await;
    let alice = two.app.person("alice").await;
    let ask = async |number: &str| alice.post("/v1/me/mobiles", json!({ "number": number })).await;
    ask("+4915112345678").await.refused(422, "country_not_served");
    ask("+19005550101").await.refused(422, "premium_number");
    ask("+12025550101").await.expect(201);
    two.work().await;
    assert_eq!(two.main.sent().len(), 1);
}
