//! The same stories over two vendors' wires, on both databases: in, out, receipts, bad signatures, bad days, numbers.

use std::time::Duration;

use meari::carriers::{Features, NumberKind, NumberOrder, NumberQuery, OrderState, SendError};
use meari::db::Lane;
use meari::numbers::{Capabilities, Import};
use meari::phone::E164;
use serde_json::{Value, json};

use crate::support::database::TestDatabase;
use crate::support::wires::{self, Callback, Fake, Mood, Sent, Vendor};
use crate::support::{Person, TestApp};

const HANDSET: &str = "+12025550101";
const MAIN: &str = "main";

/// A running Meari whose numbers are at one of the vendors.
pub struct World {
    pub app: TestApp,
    pub fake: Fake,
}

/// Alice by her phone and Bob by his messenger.
pub struct Friends {
    pub bob: Person,
    /// Bob's number for Alice.
    pub number: String,
    /// Alice among Bob's contacts.
    pub contact: String,
}

impl World {
    pub async fn up(vendor: Vendor, database: TestDatabase) -> World {
        let fake = Fake::up(vendor);
        let carrier = fake.settings(MAIN);
        let app = TestApp::start(database, |settings| settings.carriers.push(carrier)).await;
        World { app, fake }
    }

    pub async fn finish(self) {
        self.fake.down().await;
        self.app.finish().await;
    }

    pub async fn friends(&self) -> Friends {
        let capabilities = Capabilities::parse("sms+voice").unwrap();
        let numbers = (0..20).map(|n| E164::parse(&format!("+12025550{:03}", 200 + n)).unwrap());
        let imports: Vec<Import> =
            numbers.map(|number| Import { number, carrier_id: MAIN.to_owned(), capabilities }).collect();
        let now = self.app.app.now();
        let import = move |db: &mut meari::db::Db| meari::numbers::import(db, now, &imports);
        self.app.app.db.write(Lane::Any, import).await.unwrap();
        let (alice, bob) = (self.app.person("alice").await, self.app.person("bob").await);
        let asked = alice.post("/v1/me/mobiles", json!({ "number": HANDSET })).await.expect(201);
        self.app.settle().await;
        let code: String = self.fake.last().text.chars().filter(char::is_ascii_digit).collect();
        let path = format!("/v1/me/mobiles/{}/verify", asked["id"].as_str().unwrap());
        alice.post(&path, json!({ "code": code })).await.expect(200);
        self.app.settle().await;
        let (friend, contact) = alice.befriends(&bob).await;
        self.app.settle().await;
        let shown = alice.get(&format!("/v1/contacts/{friend}")).await.expect(200);
        let number = shown["number"].as_str().expect("the friend has a number").to_owned();
        Friends { bob, number, contact }
    }

    fn door(&self, door: &str) -> String {
        format!("{}/carriers/{MAIN}/{door}", self.app.url)
    }

    pub async fn texts(&self, friends: &Friends, text: &str, media: &[String]) -> Callback {
        let callback = self.fake.inbound(&self.door("messages"), HANDSET, &friends.number, text, media);
        assert_eq!(callback.call().await, 200);
        self.app.settle().await;
        callback
    }

    /// What the carrier says when all went well, in its own word.
    fn status(&self, sent: &Sent, outcome: &str) -> Callback {
        let (word, code) = match (self.fake.vendor, outcome) {
            (Vendor::Vonage, "sent") => ("submitted", ""),
            (Vendor::Plivo, "sent") => ("sent", ""),
            (Vendor::Vonage, "absent") => ("undeliverable", "1180"),
            (Vendor::Plivo, "absent") => ("undelivered", "80"),
            (Vendor::Vonage, "stopped") => ("rejected", "1240"),
            (Vendor::Plivo, "stopped") => ("failed", "200"),
            (_, other) => (other, ""),
        };
        self.fake.status(sent, word, code)
    }
}

impl Friends {
    pub async fn bob_writes(&self, body: Value) -> Value {
        let path = format!("/v1/contacts/{}/messages", self.contact);
        self.bob.post(&path, body).await.expect(201).body
    }

    pub async fn thread(&self) -> Vec<Value> {
        let all = self.bob.get("/v1/conversations").await.expect(200);
        let path = format!("/v1/conversations/{}/messages", all["items"][0]["id"].as_str().unwrap());
        self.bob.get(&path).await.expect(200)["items"].as_array().unwrap().clone()
    }

    pub async fn newest(&self) -> Value {
        self.thread().await.remove(0)
    }
}

/// Tells every story on both wires and both databases.
#[macro_export]
macro_rules! vendor_story {
    ($($(#[$meta:meta])* async fn $name:ident($world:ident) $body:block)+) => {
        $(mod $name {
            #[allow(unused_imports)]
            use super::*;
            use $crate::support::database::TestDatabase;
            use $crate::support::wires::Vendor;
            use $crate::vendors::World;
            async fn story($world: &World) $body

            async fn told(vendor: Vendor, database: TestDatabase) {
                let world = World::up(vendor, database).await;
                story(&world).await;
                world.finish().await;
            }

            $(#[$meta])*
            #[actix_web::test]
            async fn vonage_on_sqlite() {
                told(Vendor::Vonage, TestDatabase::sqlite()).await;
            }

            $(#[$meta])*
            #[actix_web::test]
            async fn vonage_on_postgres() {
                told(Vendor::Vonage, TestDatabase::postgres()).await;
            }

            $(#[$meta])*
            #[actix_web::test]
            async fn plivo_on_sqlite() {
                told(Vendor::Plivo, TestDatabase::sqlite()).await;
            }

            $(#[$meta])*
            #[actix_web::test]
            async fn plivo_on_postgres() {
                told(Vendor::Plivo, TestDatabase::postgres()).await;
            }
        })+
    };
}

vendor_story! {
    async fn a_text_comes_in_once_and_an_answer_goes_out(world) {
        let friends = world.friends().await;
        let callback = world.texts(&friends, "Grüße & 50% + 1 = ✓ 😀", &[]).await;
        assert_eq!(callback.call().await, 200, "said again, answered the same");
        let heard = friends.thread().await;
        assert_eq!(heard.len(), 1, "and kept once");
        assert_eq!(heard[0]["text"], "Grüße & 50% + 1 = ✓ 😀");
        friends.bob_writes(json!({ "text": "Fünf €" })).await;
        world.app.settle().await;
        let sent = world.fake.last();
        assert!(sent.text.ends_with("Fünf €"), "{}", sent.text);
        assert_eq!((sent.from, sent.to), (friends.number[1..].to_owned(), HANDSET[1..].to_owned()));
    }

    async fn receipts_in_any_order_and_twice_move_only_forward(world) {
        let friends = world.friends().await;
        friends.bob_writes(json!({ "text": "Round and round" })).await;
        world.app.settle().await;
        let sent = world.fake.last();
        assert_eq!(friends.newest().await["state"], "sent");
        for outcome in ["delivered", "sent", "delivered", "absent"] {
            assert_eq!(world.status(&sent, outcome).call().await, 200, "{outcome}");
        }
        assert_eq!(friends.newest().await["state"], "delivered");
        friends.bob_writes(json!({ "text": "Are you there?" })).await;
        world.app.settle().await;
        assert_eq!(world.status(&world.fake.last(), "absent").call().await, 200);
        let seen = friends.newest().await;
        assert_eq!((seen["state"].as_str(), seen["error"]["code"].as_str()), (Some("undelivered"), Some("handset_absent")));
        let stranger = Sent { id: "99999999-0000-4000-8000-000000000000".to_owned(), reference: String::new(), ..sent };
        let before = world.fake.sent().len();
        assert_eq!(world.status(&stranger, "delivered").call().await, 200, "of a message that we do not know");
        assert_eq!(world.fake.sent().len(), before);
    }

    async fn nothing_is_touched_without_a_good_signature(world) {
        let friends = world.friends().await;
        friends.bob_writes(json!({ "text": "Wait for it" })).await;
        world.app.settle().await;
        let text = world.fake.inbound(&world.door("messages"), HANDSET, &friends.number, "Forged", &[]);
        let receipt = world.status(&world.fake.last(), "delivered");
        for good in [text.clone(), receipt.clone()] {
            for bad in forgeries(&world.fake, &good) {
                assert_eq!(bad.call().await, 403, "{bad:?}");
            }
        }
        let thread = friends.thread().await;
        assert_eq!((thread.len(), &thread[0]["state"]), (1, &json!("sent")), "nothing was touched");
        assert_eq!((text.call().await, receipt.call().await), (200, 200), "the genuine ones are taken");
    }

    async fn keys_rotate_without_a_gap(world) {
        let friends = world.friends().await;
        *world.fake.secret.lock().unwrap() = wires::NEXT_SECRET.to_owned();
        world.texts(&friends, "With the new key", &[]).await;
        *world.fake.secret.lock().unwrap() = wires::SECRET.to_owned();
        world.texts(&friends, "With the old key", &[]).await;
        *world.fake.secret.lock().unwrap() = "another account's".to_owned();
        let foreign = world.fake.inbound(&world.door("messages"), HANDSET, &friends.number, "x", &[]);
        assert_eq!(foreign.call().await, 403);
        assert_eq!(friends.thread().await.len(), 2);
    }

    async fn a_busy_carrier_is_asked_again_when_it_said(world) {
        let friends = world.friends().await;
        let before = world.fake.sent().len();
        world.fake.next(Mood::Refuse { status: 429, code: 1000, retry_after: Some(30) });
        friends.bob_writes(json!({ "text": "Patience" })).await;
        world.app.settle().await;
        assert_eq!(friends.newest().await["state"], "queued");
        world.app.advance(Duration::from_secs(29));
        world.app.settle().await;
        assert_eq!(world.fake.sent().len(), before, "not before its time");
        // And then without a word on how long.
        world.fake.next(Mood::Refuse { status: 429, code: 1000, retry_after: None });
        world.app.advance(Duration::from_secs(60));
        world.app.settle().await;
        assert_eq!(friends.newest().await["state"], "queued");
        world.app.advance(Duration::from_secs(60));
        world.app.settle().await;
        assert_eq!((friends.newest().await["state"].as_str(), world.fake.sent().len()), (Some("sent"), before + 1));
    }

    async fn what_may_have_gone_out_is_never_sent_again_and_settled_by_its_receipt(world) {
        let friends = world.friends().await;
        for (mood, text) in [(Mood::DropAfterAccepting, "Did it go?"), (Mood::Mumble, "And this?")] {
            let before = world.fake.sent().len();
            world.fake.next(mood);
            friends.bob_writes(json!({ "text": text })).await;
            meari::worker::drain(&world.app.app).await;
            assert_eq!(friends.newest().await["state"], "unknown", "{text}");
            world.app.advance(Duration::from_secs(100));
            world.app.settle().await;
            assert_eq!(friends.newest().await["state"], "unknown", "the carrier cannot tell");
            assert_eq!(world.status(&world.fake.last(), "delivered").call().await, 200);
            assert_eq!(friends.newest().await["state"], "delivered", "the receipt carries our own id");
            assert_eq!(world.fake.sent().len(), before + 1, "never again");
        }
        world.app.advance(Duration::from_secs(7200));
        world.app.settle().await;
    }

    async fn a_receipt_that_comes_before_the_answer_is_kept(world) {
        let friends = world.friends().await;
        for blind in [false, true] {
            world.fake.next(Mood::TellFirst { word: "delivered", blind });
            friends.bob_writes(json!({ "text": "Quick" })).await;
            world.app.settle().await;
            assert_eq!(friends.newest().await["state"], "delivered", "blind: {blind}");
        }
    }

    async fn refusals_are_told_apart(world) {
        let friends = world.friends().await;
        world.fake.next(Mood::Refuse { status: 422, code: 1120, retry_after: None });
        friends.bob_writes(json!({ "text": "Never" })).await;
        world.app.settle().await;
        assert_eq!(friends.newest().await["state"], "failed");
        world.fake.next(Mood::Refuse { status: 401, code: 0, retry_after: None });
        friends.bob_writes(json!({ "text": "The operator will see to it" })).await;
        world.app.settle().await;
        assert_eq!(friends.newest().await["state"], "queued");
        world.app.advance(Duration::from_secs(120));
        world.app.settle().await;
        assert_eq!(friends.newest().await["state"], "sent");
        world.fake.next(Mood::Slow(Duration::from_millis(50)));
        friends.bob_writes(json!({ "text": "Slowly" })).await;
        world.app.settle().await;
        assert_eq!(friends.newest().await["state"], "sent");
        assert_eq!(world.status(&world.fake.last(), "stopped").call().await, 200);
        assert_eq!(friends.newest().await["error"]["code"], "opted_out");
    }

    async fn numbers_are_searched_ordered_listed_and_given_back(world) {
        let carrier = world.app.app.carriers.get(MAIN).unwrap();
        world.fake.offer("+12025550170");
        let features = Features { sms: true, mms: false, voice: true };
        let area = Some("202".to_owned());
        let query = NumberQuery { region: "US".to_owned(), kind: NumberKind::Local, area, features, limit: 5 };
        let found = carrier.search_numbers(&query).await.unwrap();
        let number = E164::parse("+12025550170").unwrap();
        assert_eq!(found.iter().map(|offer| &offer.number).collect::<Vec<_>>(), [&number]);
        assert!(found[0].features.cover(features) && found[0].monthly.is_some());
        let asked = world.fake.seen().pop().unwrap().query;
        assert!(asked.contains("202") && asked.contains("US"), "{asked}");
        let callback_base = format!("{}/carriers/{MAIN}", world.app.url);
        let order = NumberOrder { number: number.clone(), reference: "order-1".to_owned(), callback_base };
        for _ in 0..2 {
            assert_eq!(carrier.order_number(&order).await.unwrap().state, OrderState::Done);
        }
        let buys = world.fake.seen().into_iter().filter(|seen| {
            seen.path.ends_with("/buy") || (seen.method == "POST" && seen.path.contains("/PhoneNumber/"))
        });
        assert_eq!(buys.count(), 1, "the same order twice is one");
        let gone = NumberOrder { number: E164::parse("+12025550171").unwrap(), ..order };
        assert_eq!(carrier.order_number(&gone).await.unwrap().state, OrderState::Refused);
        let owned = carrier.list_numbers(None).await.unwrap();
        assert_eq!((owned.items.len(), owned.next), (1, None));
        carrier.release_number(&number).await.unwrap();
        carrier.release_number(&number).await.unwrap();
        assert_eq!(carrier.list_numbers(None).await.unwrap().items, []);
    }

    async fn the_doctor_learns_what_is_wrong(world) {
        let said = world.app.app.carriers.get(MAIN).unwrap().check().await.unwrap();
        assert!(said.contains("Bridge"), "{said}");
        let check = async |settings| -> SendError {
            let net = meari::net::Net::new(meari::net::Policy::Operator).unwrap();
            let registry = meari::carriers::Registry::build(&[settings], &net).unwrap();
            registry.iter().next().unwrap().check().await.unwrap_err()
        };
        let other = check(world.fake.settings("other")).await;
        assert!(other.whole_carrier && other.detail.contains("/carriers/other/messages"), "{other}");
        let mut wrong = world.fake.settings(MAIN);
        for key in ["api_secret", "auth_token"] {
            if let Some(value) = wrong.options.get_mut(key) {
                *value = "wrong".into();
            }
        }
        assert_eq!(check(wrong).await.code, "carrier_refuses_credentials");
    }
}

/// Everything that can be wrong with a signature of this wire.
fn forgeries(fake: &Fake, good: &Callback) -> Vec<Callback> {
    let with = |headers: Vec<(String, String)>| Callback { headers, ..good.clone() };
    let signed_by = |secret: &str| {
        let before = std::mem::replace(&mut *fake.secret.lock().unwrap(), secret.to_owned());
        let forged = fake.sign(&good.url, good.body.clone());
        *fake.secret.lock().unwrap() = before;
        forged
    };
    let mut all = vec![
        with(Vec::new()),
        signed_by("wrong"),
        signed_by(""),
        Callback { body: good.body.replace("2025550", "2025551"), ..good.clone() },
        Callback { body: String::new(), ..good.clone() },
    ];
    match fake.vendor {
        Vendor::Vonage => {
            let altered = |key: &str, value: Value| {
                let mut claims = wires::claims(&good.body);
                claims[key] = value;
                with(vec![("authorization".to_owned(), wires::bearer(wires::SECRET, &claims))])
            };
            let now = wires::claims("")["iat"].as_i64().unwrap();
            all.extend([
                altered("iat", (now - 400).into()),
                altered("iat", (now + 400).into()),
                altered("api_key", "another".into()),
                altered("application_id", "another".into()),
                altered("iss", "Another".into()),
                altered("payload_hash", Value::Null),
                altered("payload_hash", wires::claims("other")["payload_hash"].clone()),
            ]);
            let token = good.headers[0].1.clone();
            let unsigned = token.rsplit_once('.').unwrap().0.to_owned() + ".";
            let none = token.replacen(
                token.trim_start_matches("Bearer ").split('.').next().unwrap(),
                "eyJhbGciOiJub25lIn0",
                1,
            );
            all.extend([unsigned, none].map(|token| with(vec![("authorization".to_owned(), token)])));
        }
        Vendor::Plivo => {
            let (signature, nonce) = (good.headers[0].clone(), good.headers[1].clone());
            all.extend([
                with(vec![signature.clone()]),
                with(vec![nonce.clone()]),
                with(vec![signature.clone(), (nonce.0.clone(), "1".to_owned())]),
                with(vec![(signature.0.clone(), "AAAA".to_owned()), nonce.clone()]),
                Callback {
                    url: format!("{}{}x=1", good.url, if good.url.contains('?') { '&' } else { '?' }),
                    ..good.clone()
                },
                Callback { body: format!("{}&More=1", good.body), ..good.clone() },
            ]);
        }
    }
    all
}
