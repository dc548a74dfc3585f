//! Numbers as goods: a reserve that is ordered within a budget, a number that goes to another carrier, one that nobody
//! hears from.

use std::time::Duration;

use meari::app::App;
use meari::config::{Settings, Wish};
use meari::db::Lane;
use meari::keys::Keys;
use meari::messaging::rounds;
use meari::money::{Currency, Money};
use meari::numbers::{Capabilities, Import};
use meari::phone::E164;
use meari::worker;
use serde_json::{Value, json};

use crate::support::app::ADMIN_TOKEN;
use crate::support::client::Client;
use crate::support::database::TestDatabase;
use crate::support::telnyx::Telnyx;
use crate::support::wire::{Act, Fake, Vendor as _};
use crate::support::{Person, TestApp};

const US: &str = "US";

/// A carrier that sells numbers, and another one.
struct Market {
    app: TestApp,
    main: Fake<Telnyx>,
    other: Fake<Telnyx>,
    operator: Client,
}

impl Market {
    async fn up(database: TestDatabase, budget: &str, dry_run: bool) -> Market {
        let (main, other): (Fake<Telnyx>, Fake<Telnyx>) = (Fake::up(), Fake::up());
        let carrier = |id: &str, fake: &Fake<Telnyx>| {
            let mut settings = Telnyx::settings(&fake.url);
            settings.id = id.to_owned();
            settings
        };
        let carriers = vec![carrier("main", &main), carrier("other", &other)];
        let budget = Money::parse(budget, Currency::parse("USD").unwrap());
        let app = TestApp::start(database, |s| {
            s.carriers = carriers;
            s.number_reserve = vec![Wish { region: US.to_owned(), spare: 2 }];
            s.number_reserve_carrier = Some("main".to_owned());
            s.number_reserve_budget = budget;
            s.number_reserve_dry_run = dry_run;
        })
        .await;
        main.state().callback_base = format!("{}/carriers/main", app.url);
        other.state().callback_base = format!("{}/carriers/other", app.url);
        let operator = app.stranger().with_token(ADMIN_TOKEN);
        Market { app, main, other, operator }
    }

    async fn round(&self) {
        self.app.advance(Duration::from_secs(3_600));
        rounds::look_after_numbers(&self.app.app).await.unwrap();
        self.work().await;
    }

    async fn work(&self) {
        let now = self.app.app.now();
        (self.main.state().now, self.other.state().now) = (now, now);
        worker::drain(&self.app.app).await;
    }

    async fn orders(&self) -> Vec<Value> {
        self.operator.get("/v1/admin/numbers/orders").await.expect(200)["items"].as_array().unwrap().clone()
    }

    async fn pool(&self) -> Vec<Value> {
        self.operator.get("/v1/admin/numbers").await.expect(200)["items"].as_array().unwrap().clone()
    }

    async fn finish(self) {
        self.app.finish().await;
        self.main.down().await;
        self.other.down().await;
    }
}

macro_rules! market_story {
    ($($name:ident($budget:literal, $dry:literal))+) => {
        $(mod $name {
            use super::*;

            #[actix_web::test]
            async fn on_sqlite() {
                let market = Market::up(TestDatabase::sqlite(), $budget, $dry).await;
                super::$name(&market).await;
                market.finish().await;
            }

            #[actix_web::test]
            async fn on_postgres() {
                let market = Market::up(TestDatabase::postgres(), $budget, $dry).await;
                super::$name(&market).await;
                market.finish().await;
            }
        })+
    };
}

market_story! {
    a_reserve_is_ordered_once_and_fills_the_pool("20.00", false)
    a_dry_run_says_what_it_would_order("20.00", true)
    what_a_dry_run_has_planned_is_ordered_afterwards("20.00", true)
    a_dry_run_ends_where_nothing_is_missing("20.00", true)
    a_dry_run_keeps_to_the_budget("2.00", true)
    what_was_refused_does_not_stand_in_the_way("20.00", false)
    a_budget_that_is_spent_raises_an_alarm("1.00", false)
    a_number_goes_to_another_carrier_and_everybody_keeps_it("0.00", false)
    stop_goes_with_a_number_that_changes_its_carrier("0.00", false)
    a_number_whose_messages_do_not_arrive_gets_no_new_contacts("0.00", false)
    an_operator_looks_for_numbers("0.00", true)
    a_number_is_ordered_once_whatever_breaks("0.00", true)
}

async fn a_reserve_is_ordered_once_and_fills_the_pool(market: &Market) {
    market.round().await;
    let orders = market.orders().await;
    assert_eq!(
        (orders.len(), &orders[0]["state"], &orders[0]["cost"]),
        (1, &json!("done"), &json!("1.50 USD"))
    );
    assert_eq!(market.main.state().orders.len(), 1);
    let pool = market.pool().await;
    assert_eq!((pool.len(), &pool[0]["carrier"]), (1, &json!("main")));
    // The carrier has no other one to offer: what is offered again is not ordered again.
    market.round().await;
    let ordered = market.main.state().orders.len();
    assert_eq!((ordered, market.pool().await.len()), (1, 1));
}

async fn a_dry_run_says_what_it_would_order(market: &Market) {
    market.round().await;
    let orders = market.orders().await;
    assert_eq!((orders.len(), &orders[0]["state"]), (1, &json!("planned")));
    let ordered = market.main.state().orders.len();
    assert_eq!((ordered, market.pool().await.len()), (0, 0));
}

async fn what_a_dry_run_has_planned_is_ordered_afterwards(market: &Market) {
    market.round().await;
    market.round().await;
    let planned = market.orders().await;
    assert_eq!((planned.len(), &planned[0]["state"]), (1, &json!("planned")));
    let settings = Settings { number_reserve_dry_run: false, ..market.app.app.settings.clone() };
    let again = App::open(settings, market.app.app.clock.clone(), Keys::from_secret(&[7; 32])).unwrap();
    market.app.advance(Duration::from_secs(3_600));
    rounds::look_after_numbers(&again).await.unwrap();
    let orders = market.orders().await;
    assert_eq!((orders.len(), &orders[0]["state"]), (1, &json!("done")));
    assert_eq!(market.main.state().orders.len(), 1);
    let pool = market.pool().await;
    assert_eq!((pool.len(), &pool[0]["capabilities"]), (1, &json!(["sms", "mms", "voice"])));
    market.work().await;
}

async fn a_dry_run_ends_where_nothing_is_missing(market: &Market) {
    market.main.state().more_offers = 30;
    for _ in 0..3 {
        market.round().await;
        assert_eq!(market.orders().await.len(), 2, "two are missing, in whatever hour one looks");
    }
    let settings = Settings {
        number_reserve: vec![Wish { region: US.to_owned(), spare: 15 }],
        ..market.app.app.settings.clone()
    };
    let again = App::open(settings, market.app.app.clock.clone(), Keys::from_secret(&[7; 32])).unwrap();
    for wanted in [12, 13, 13] {
        market.app.advance(Duration::from_secs(3_600));
        rounds::look_after_numbers(&again).await.unwrap();
        assert_eq!(market.orders().await.len(), wanted, "ten an hour, and as many as 20.00 USD pay for");
    }
}

async fn a_dry_run_keeps_to_the_budget(market: &Market) {
    market.main.state().more_offers = 5;
    for _ in 0..2 {
        market.round().await;
        assert_eq!(market.orders().await.len(), 1);
    }
    let alarms = market.operator.get("/v1/admin/alarms").await.expect(200);
    assert_eq!(alarms["items"][0]["kind"], "reserve_short");
}

async fn what_was_refused_does_not_stand_in_the_way(market: &Market) {
    let no = json!({ "errors": [{ "code": "10015", "title": "Bad" }] }).to_string();
    market.main.will(Act::Refuse { status: 422, header: None, body: no });
    market.round().await;
    assert_eq!(market.orders().await[0]["state"], "refused");
    // The same one is offered again, and nothing else.
    market.round().await;
    assert_eq!((market.orders().await.len(), market.main.state().orders.len()), (1, 0));
    let alarms = market.operator.get("/v1/admin/alarms").await.expect(200);
    assert_eq!(alarms["items"][0]["kind"], "reserve_short");
    assert!(alarms["items"][0]["detail"].as_str().unwrap().contains("offers no number"), "{}", alarms.text);
    let asked = market
        .main
        .state()
        .seen
        .iter()
        .rev()
        .find(|seen| seen.path == "/v2/available_phone_numbers")
        .cloned();
    assert_eq!(asked.unwrap().asked("filter[limit]"), "50", "more than are missing");
}

async fn a_budget_that_is_spent_raises_an_alarm(market: &Market) {
    market.round().await;
    assert_eq!((market.orders().await.len(), market.main.state().orders.len()), (0, 0));
    let alarms = market.operator.get("/v1/admin/alarms").await.expect(200);
    assert_eq!(alarms["items"][0]["kind"], "reserve_short");
    assert!(alarms["items"][0]["detail"].as_str().unwrap().contains("budget"));
}

/// What a phone user has in these stories.
const PHONE: &str = "+12025550101";

/// A pool of three numbers, Alice with her phone proved, and Bob, who does not know her yet.
async fn a_phone_user_and_a_friend(market: &Market) -> (Person, Person) {
    let capabilities = Capabilities::parse("sms").unwrap();
    let number = |n: usize| E164::parse(&format!("+12025550{n:03}")).unwrap();
    let import = |n| Import { number: number(n), carrier_id: "main".to_owned(), capabilities };
    let imports: Vec<Import> = (200..203).map(import).collect();
    let now = market.app.app.now();
    let write = move |db: &mut meari::db::Db| meari::numbers::import(db, now, &imports);
    market.app.app.db.write(Lane::Any, write).await.unwrap();
    let (alice, bob) = (market.app.person("alice").await, market.app.person("bob").await);
    let asked = alice.post("/v1/me/mobiles", json!({ "number": PHONE })).await.expect(201);
    market.work().await;
    let text = market.main.sent().pop().unwrap().text;
    let code: String = text.chars().filter(char::is_ascii_digit).collect();
    let path = format!("/v1/me/mobiles/{}/verify", asked["id"].as_str().unwrap());
    alice.post(&path, json!({ "code": code })).await.expect(200);
    market.work().await;
    (alice, bob)
}

async fn a_number_goes_to_another_carrier_and_everybody_keeps_it(market: &Market) {
    let (alice, bob) = a_phone_user_and_a_friend(market).await;
    let (friend, contact) = alice.befriends(&bob).await;
    market.work().await;
    let shown = alice.get(&format!("/v1/contacts/{friend}")).await.expect(200)["number"].clone();
    // One message waits while the number goes over.
    bob.post(&format!("/v1/contacts/{contact}/messages"), json!({ "text": "Between two" })).await.expect(201);
    let pool = market.pool().await;
    let held = pool.iter().find(|n| n["number"] == shown).unwrap()["id"].as_str().unwrap().to_owned();
    let port = format!("/v1/admin/numbers/{held}/port");
    market.operator.post(&port, json!({ "carrier": "nobody" })).await.refused(422, "unknown_carrier");
    let ported = market.operator.post(&port, json!({ "carrier": "other" })).await.expect(200);
    assert_eq!((&ported["carrier"], &ported["number"]), (&json!("other"), &shown));
    market.work().await;
    let sent = market.other.sent().pop().expect("it left through the new carrier");
    assert_eq!(json!(sent.from), shown);
    assert_eq!(alice.get(&format!("/v1/contacts/{friend}")).await.expect(200)["number"], shown);
    // What a phone says to it comes in at the new carrier.
    let body = Telnyx::inbound("in-1", PHONE, shown.as_str().unwrap(), "Still here");
    assert_eq!(market.other.tells("messages", &body, market.app.app.now()).await, 200);
    let list = bob.get("/v1/conversations").await.expect(200);
    assert_eq!(list["items"][0]["last_message"]["text"], "Still here");
}

async fn stop_goes_with_a_number_that_changes_its_carrier(market: &Market) {
    let (alice, bob) = a_phone_user_and_a_friend(market).await;
    let now = market.app.app.now();
    let (friend, contact) = alice.befriends(&bob).await;
    market.work().await;
    let shown = alice.get(&format!("/v1/contacts/{friend}")).await.expect(200)["number"].clone();
    let shown = shown.as_str().unwrap();
    // This carrier takes STOP for all of its numbers.
    let stop = Telnyx::inbound("stop", PHONE, shown, "STOP");
    assert_eq!(market.main.tells("messages", &stop, now).await, 200);
    let pool = market.pool().await;
    let held = pool.iter().find(|n| n["number"] == shown).unwrap()["id"].as_str().unwrap();
    let other = pool.iter().find(|n| n["number"] != shown).unwrap()["id"].as_str().unwrap();
    for id in [held, other] {
        let port = format!("/v1/admin/numbers/{id}/port");
        market.operator.post(&port, json!({ "carrier": "other" })).await.expect(200);
    }
    let log = market.operator.get("/v1/admin/consents").await.expect(200);
    let carried = &log["items"][1];
    assert_eq!((&carried["number"], &carried["source"]), (&json!(shown), &json!("carried")));
    assert_eq!(log["items"].as_array().unwrap().len(), 2, "she reaches nobody by the other number");
    let path = format!("/v1/contacts/{contact}/messages");
    let before = market.other.sent().len();
    bob.post(&path, json!({ "text": "Angry?" })).await.expect(201);
    market.work().await;
    assert_eq!(market.other.sent().len(), before);
    let start = Telnyx::inbound("start", PHONE, shown, "START");
    assert_eq!(market.other.tells("messages", &start, now).await, 200);
    bob.post(&path, json!({ "text": "Good" })).await.expect(201);
    market.work().await;
    assert!(market.other.sent().pop().unwrap().text.ends_with("Good"));
}

async fn an_operator_looks_for_numbers(market: &Market) {
    let path = "/v1/admin/carriers/other/available-numbers";
    for (query, code) in [
        ("region=USA", "bad_region"),
        ("region=US&area=2o2", "bad_digits"),
        ("region=US&kind=odd", "bad_kind"),
        ("region=US&limit=51", "out_of_range"),
        ("region=US&capabilities=fax", "unknown_capability"),
    ] {
        market.operator.get(&format!("{path}?{query}")).await.refused(422, code);
    }
    market
        .operator
        .get("/v1/admin/carriers/nobody/available-numbers?region=US")
        .await
        .refused(404, "not_found");
    let someone = market.app.person("someone").await;
    assert_eq!(someone.get(&format!("{path}?region=US")).await.status, 403);
    let offers = market.operator.get(&format!("{path}?region=us&area=303&contains=0142")).await.expect(200);
    let offer = &offers["items"][0];
    assert_eq!((offers["items"].as_array().unwrap().len(), &offer["number"]), (1, &json!("+13035550142")));
    assert_eq!((&offer["cost"], &offer["place"]), (&json!("1.50 USD"), &json!("WASHINGTON")));
    let none = market.operator.get(&format!("{path}?region=US&area=303&contains=99")).await.expect(200);
    assert_eq!(none["items"], json!([]));

    let order = json!({ "carrier": "other", "number": offer["number"], "capabilities": offer["capabilities"], "cost": offer["cost"] });
    let with = |name: &str, value: Value| {
        let mut body = order.clone();
        body[name] = value;
        body
    };
    let place = async |body: Value| market.operator.post("/v1/admin/numbers/orders", body).await;
    place(with("carrier", json!("nobody"))).await.refused(422, "unknown_carrier");
    place(with("number", json!("303"))).await.refused(422, "not_a_phone_number");
    place(with("cost", json!("cheap"))).await.refused(422, "bad_amount");
    place(with("capabilities", json!([]))).await.refused(422, "no_capability");
    assert_eq!(someone.post("/v1/admin/numbers/orders", order.clone()).await.status, 403);
}

async fn a_number_is_ordered_once_whatever_breaks(market: &Market) {
    let able = json!(["sms", "mms", "voice"]);
    let order =
        json!({ "carrier": "other", "number": "+13035550142", "capabilities": able, "cost": "1.50 USD" });
    let with = |name: &str, value: Value| {
        let mut body = order.clone();
        body[name] = value;
        body
    };
    let place = async |body: Value| market.operator.post("/v1/admin/numbers/orders", body).await;
    // The carrier says no, and means it; then it takes the order, and its answer is lost.
    let no = json!({ "errors": [{ "code": "10015", "title": "Bad" }] }).to_string();
    market.other.will(Act::Refuse { status: 422, header: None, body: no });
    let refused = place(order.clone()).await.expect(201);
    assert_eq!((&refused["state"], refused["problem"].is_string()), (&json!("refused"), true));
    market.other.will(Act::AcceptAndDrop);
    let lost = place(order.clone()).await.expect(201);
    assert_eq!((&lost["state"], market.pool().await.len()), (&json!("unknown"), 0));
    assert_ne!(lost["reference"], refused["reference"]);
    // Asked again, by hand, it is there: ordered once.
    let done = place(order.clone()).await.expect(200);
    assert_eq!(
        (&done["state"], &done["reference"], &done["cost"]),
        (&json!("done"), &lost["reference"], &json!("1.50 USD"))
    );
    assert_eq!(place(order.clone()).await.expect(200)["state"], "done");
    assert_eq!(market.other.state().orders.len(), 1);
    let pool = market.pool().await;
    assert_eq!(
        (pool.len(), &pool[0]["carrier"], &pool[0]["capabilities"]),
        (1, &json!("other"), &json!(["sms", "mms", "voice"]))
    );
    place(with("carrier", json!("main"))).await.refused(409, "number_is_ours");

    // What nobody asks for again is asked for by the hourly round.
    let next = with("number", json!("+13035550143"));
    market.other.will(Act::AcceptAndDrop);
    assert_eq!(place(next).await.expect(201)["state"], "unknown");
    market.round().await;
    let ordered = market.other.state().orders.len();
    assert_eq!((ordered, market.pool().await.len()), (2, 2));
    let states: Vec<Value> = market
        .orders()
        .await
        .iter()
        .filter(|o| o["carrier"] == "other")
        .map(|o| o["state"].clone())
        .collect();
    assert_eq!(states.iter().filter(|state| **state == "done").count(), 2, "{states:?}");
    assert_eq!(states.len(), 3);
}

async fn a_number_whose_messages_do_not_arrive_gets_no_new_contacts(market: &Market) {
    let capabilities = Capabilities::parse("sms").unwrap();
    let number = E164::parse("+12025550200").unwrap();
    let imports = vec![Import { number: number.clone(), carrier_id: "main".to_owned(), capabilities }];
    let now = market.app.app.now();
    let sms = move |n: usize| meari::messaging::outbox::NewSms {
        account: None,
        by: None,
        message: None,
        purpose: meari::messaging::outbox::Purpose::Notice,
        order_key: format!("n:{n}"),
        line: meari::messaging::routes::SmsLine {
            carrier_id: "main".to_owned(),
            from: number.clone(),
            to: E164::parse(&format!("+1303555{:04}", 100 + n)).unwrap(),
        },
        text: "hello".to_owned(),
    };
    let write = move |db: &mut meari::db::Db| {
        meari::numbers::import(db, now, &imports)?;
        (0..30).try_for_each(|n| meari::messaging::outbox::enqueue(db, now, &sms(n)).map(drop))
    };
    market.app.app.db.write(Lane::Any, write).await.unwrap();
    market.work().await;
    for (n, sent) in market.main.sent().iter().enumerate() {
        let word = if n < 10 { "delivered" } else { "delivery_failed" };
        assert_eq!(
            market.main.tells("status", &Telnyx::receipt(sent, word), market.app.app.now()).await,
            200
        );
    }
    market.round().await;
    assert_eq!(market.pool().await[0]["state"], "suspended");
    let alarms = market.operator.get("/v1/admin/alarms").await.expect(200);
    let kinds: Vec<&str> =
        alarms["items"].as_array().unwrap().iter().map(|alarm| alarm["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"number_unwell"), "{kinds:?}");
}
