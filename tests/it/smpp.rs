//! A carrier that is connected by SMPP: both ways, long texts, receipts in every hand, and links that break. Nothing
//! is lost, and nothing that was acknowledged is sent twice.

use std::time::Duration;

use meari::app::App;
use meari::carriers::Carrier;
use meari::carriers::link::{EventSink as _, InboundPart, LinkEvent};
use meari::carriers::smpp::{Smpp, pdu};
use meari::config::{CarrierSettings, Settings};
use meari::db::Lane;
use meari::keys::Keys;
use meari::messaging::links::Links;
use meari::messaging::outbox::{self, NewSms, Purpose};
use meari::messaging::routes::SmsLine;
use meari::numbers::{Capabilities, Import};
use meari::phone::{E164, RemoteParty};
use meari::router::Edges;
use meari::worker;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::support::app::{ADMIN_TOKEN, TestApp};
use crate::support::calling::eventually;
use crate::support::client::Person;
use crate::support::database::TestDatabase;
use crate::support::smsc::{FIXTURES, Receipts, Smsc, Submitted, mobile_originated};

const CARRIER: &str = "smsc";
const PHONE: &str = "+12025550101";
/// A text of several parts.
const LONG: &str = "All work and no play. All work and no play. All work and no play. All work and no play. \
    All work and no play. All work and no play. All work and no play. All work and no play. \
    All work and no play. All work and no play. All work and no play. All work and no play. \
    All work and no play. All work and no play. All work and no play. All work and no play. \
    All work and no play. All work and no play. All work and no play. All work and no play. ";

/// A Meari whose only carrier is an SMSC.
struct Story {
    app: TestApp,
    smsc: Smsc,
    sessions: usize,
    stop: watch::Sender<bool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

/// Alice with a phone, and friends in the messenger.
struct People {
    alice: Person,
    friends: Vec<Friend>,
}

struct Friend {
    person: Person,
    /// Alice among his contacts.
    contact: String,
    /// His number on Alice's phone.
    number: String,
}

impl Story {
    async fn begin(database: TestDatabase, options: &[(&str, &str)]) -> Story {
        let smsc = Smsc::start().await;
        smsc.set(|faults| faults.stat = Some("DELIVRD"));
        let port = smsc.port.to_string();
        let good = [
            ("host", "127.0.0.1"),
            ("port", &port),
            ("system_id", "meari"),
            ("password", "secret"),
            ("response_timeout_seconds", "10"),
        ];
        let all =
            good.iter().chain(options).map(|(k, v)| ((*k).to_owned(), (*v).to_owned().into())).collect();
        let entry = CarrierSettings { id: CARRIER.into(), kind: "smpp".into(), api_base: None, options: all };
        let app = TestApp::start(database, |settings: &mut Settings| settings.carriers.push(entry)).await;
        let sessions = if options.iter().any(|(_, value)| value.contains('+')) { 2 } else { 1 };
        let mut story = Story { app, smsc, sessions, stop: watch::channel(false).0, tasks: Vec::new() };
        story.connect(&story.app.edges.clone());
        let capabilities = Capabilities::parse("sms").unwrap();
        let number = |n: usize| E164::parse(&format!("+12025550{:03}", 200 + n)).unwrap();
        let imports: Vec<Import> = (0..20)
            .map(|n| Import { number: number(n), carrier_id: CARRIER.to_owned(), capabilities })
            .collect();
        let now = story.app.app.now();
        let import = move |db: &mut meari::db::Db| meari::numbers::import(db, now, &imports);
        story.app.app.db.write(Lane::Any, import).await.unwrap();
        story
    }

    fn connect(&mut self, edges: &Edges) {
        let listening = worker::listen(edges.app.clone(), edges.arrivals.clone(), self.stop.subscribe());
        self.tasks.push(tokio::spawn(listening));
    }

    /// A text to a carrier that takes it and never says so: the message, and what the carrier was given.
    async fn write_into_silence(&self, friend: &Friend, text: &str) -> (Value, Vec<Submitted>) {
        let before = self.smsc.submitted().len();
        self.smsc.set(|faults| {
            faults.stat = None;
            faults.silent = true;
        });
        let said = friend.writes(text).await;
        worker::drain(&self.app.app).await;
        assert_eq!(friend.sees(&said).await["state"], "unknown");
        (said, self.smsc.submitted().split_off(before))
    }

    /// The process ends; what it held in memory is gone.
    async fn stop(&mut self) {
        self.stop.send_replace(true);
        for task in self.tasks.drain(..) {
            task.await.unwrap();
        }
        self.stop = watch::channel(false).0;
    }

    async fn people(&self, names: &[&str]) -> People {
        self.smsc.bound(self.sessions).await;
        let alice = self.app.person("alice").await;
        let asked = alice.post("/v1/me/mobiles", json!({ "number": PHONE })).await.expect(201);
        self.settle().await;
        let code: String =
            self.smsc.submitted().last().unwrap().text.chars().filter(char::is_ascii_digit).collect();
        let path = format!("/v1/me/mobiles/{}/verify", asked["id"].as_str().unwrap());
        alice.post(&path, json!({ "code": code })).await.expect(200);
        let mut friends = Vec::new();
        for name in names {
            let person = self.app.person(name).await;
            let (mine, contact) = alice.befriends(&person).await;
            let shown = alice.get(&format!("/v1/contacts/{mine}")).await.expect(200);
            let number = shown["number"].as_str().unwrap().to_owned();
            friends.push(Friend { person, contact, number });
        }
        self.settle().await;
        People { alice, friends }
    }

    /// Until nothing is due here and nothing is under way there.
    async fn settle(&self) {
        for _ in 0..50 {
            self.smsc.settled().await;
            let jobs = worker::drain(&self.app.app).await;
            if jobs == 0 {
                return;
            }
        }
        panic!("there is always something to do");
    }

    /// What was submitted since the story knew `before`.
    fn texts_since(&self, before: usize) -> Vec<String> {
        self.smsc.submitted().into_iter().skip(before).map(|one| one.text).collect()
    }

    async fn end(mut self) {
        self.stop().await;
        self.app.finish().await;
    }
}

impl Friend {
    async fn writes(&self, text: &str) -> Value {
        let path = format!("/v1/contacts/{}/messages", self.contact);
        self.person.post(&path, json!({ "text": text })).await.expect(201).body
    }

    /// A message of the conversation, as he sees it now.
    async fn sees(&self, message: &Value) -> Value {
        let path = format!("/v1/conversations/{}/messages", message["conversation_id"].as_str().unwrap());
        let thread = self.person.get(&path).await.expect(200);
        let found = thread["items"].as_array().unwrap().iter().find(|m| m["id"] == message["id"]);
        found.expect("the message is in the thread").clone()
    }

    /// What Alice wrote to him, oldest first.
    async fn heard(&self) -> Vec<String> {
        let chats = self.person.get("/v1/conversations").await.expect(200);
        let Some(id) = chats["items"][0]["id"].as_str() else { return Vec::new() };
        let thread = self.person.get(&format!("/v1/conversations/{id}/messages")).await.expect(200);
        let inbound = thread["items"].as_array().unwrap().iter().filter(|m| m["mine"] == false);
        let mut texts: Vec<String> = inbound.map(|m| m["text"].as_str().unwrap().to_owned()).collect();
        texts.reverse();
        texts
    }
}

/// Tells a story on both databases, with these settings of the carrier.
macro_rules! stories {
    ($($(#[$meta:meta])* async fn $name:ident($story:ident, $options:expr) $body:block)+) => {
        $(mod $name {
            use super::*;
            async fn story(#[allow(unused_mut)] mut $story: Story) { $body $story.end().await; }

            $(#[$meta])*
            #[actix_web::test]
            async fn on_sqlite() {
                story(Story::begin(TestDatabase::sqlite(), &$options).await).await;
            }

            $(#[$meta])*
            #[actix_web::test]
            async fn on_postgres() {
                story(Story::begin(TestDatabase::postgres(), &$options).await).await;
            }
        })+
    };
}

/// A part of a long text, as handsets send it.
fn part(number: &str, place: [u8; 3], text: &str) -> pdu::Message {
    let [reference, total, which] = place;
    let mut body = vec![5, 0, 3, reference, total, which];
    body.extend(text.bytes());
    mobile_originated(PHONE, number, &body, 0x40, 0)
}

stories! {
    async fn a_phone_and_a_friend_write_to_each_other(story, [("receipt_ids", "decimal")]) {
        story.smsc.set(|faults| faults.decimal = true);
        let people = story.people(&["bob"]).await;
        let bob = &people.friends[0];
        story.smsc.phone_says(PHONE, &bob.number, "Are you home?");
        story.settle().await;
        assert_eq!(bob.heard().await, ["Are you home?"]);
        assert!(story.smsc.answers().iter().all(|status| *status == 0));
        let said = bob.writes("In ten minutes").await;
        story.settle().await;
        let sent = story.smsc.submitted().pop().unwrap();
        assert_eq!((sent.from.as_str(), sent.to.as_str()), (&bob.number[1..], &PHONE[1..]));
        assert!(sent.text.ends_with("In ten minutes"));
        let seen = bob.sees(&said).await;
        assert_eq!((seen["state"].as_str(), seen["segments"].as_i64()), (Some("delivered"), Some(1)));
        assert_eq!(people.alice.get("/v1/conversations").await["items"][0]["unread"], 1);
    }

    async fn a_long_text_goes_out_in_parts_and_is_delivered_when_all_are(story, [("long_messages", "udh16")]) {
        let people = story.people(&["bob"]).await;
        let bob = &people.friends[0];
        bob.writes("Hello").await;
        story.settle().await;
        story.smsc.set(|faults| faults.stat = None);
        let before = story.smsc.submitted().len();
        let text = "All work and no play. ".repeat(20).trim().to_owned();
        let said = bob.writes(&text).await;
        story.settle().await;
        let parts = story.smsc.submitted().split_off(before);
        assert_eq!(parts.len(), 3);
        assert_eq!(parts.iter().map(|p| p.text.as_str()).collect::<String>(), text);
        assert_eq!(bob.sees(&said).await["segments"], 3);
        for (which, state) in [(2, "sent"), (0, "sent"), (1, "delivered")] {
            story.smsc.receipt(&parts[which], "DELIVRD");
            story.settle().await;
            assert_eq!(bob.sees(&said).await["state"], state, "after part {which}");
        }
    }

    async fn one_lost_part_is_a_lost_text(story, []) {
        let people = story.people(&["bob"]).await;
        let bob = &people.friends[0];
        story.smsc.set(|faults| faults.stat = None);
        let said = bob.writes(&"가나다라".repeat(40)).await;
        story.settle().await;
        let parts = story.smsc.submitted().split_off(1);
        assert_eq!(parts.len(), 3);
        story.smsc.receipt(&parts[0], "DELIVRD");
        story.smsc.receipt(&parts[1], "EXPIRED");
        story.settle().await;
        let seen = bob.sees(&said).await;
        assert_eq!((seen["state"].as_str(), seen["error"]["code"].as_str()), (Some("undelivered"), Some("handset_absent")));
    }

    async fn a_part_that_is_refused_for_now_goes_out_again_alone(story, []) {
        let people = story.people(&["bob"]).await;
        let bob = &people.friends[0];
        let before = story.smsc.submitted().len();
        story.smsc.set(|faults| faults.refuse_part = Some((3, 0x45, 2)));
        let text = "가나다라".repeat(40);
        let said = bob.writes(&text).await;
        story.settle().await;
        let parts = story.smsc.submitted().split_off(before);
        assert_eq!(parts.iter().map(|p| p.message.body[5]).collect::<Vec<u8>>(), [1, 2, 3]);
        assert!(parts.iter().map(|p| p.text.as_str()).collect::<String>().ends_with(&text));
        assert_eq!(bob.sees(&said).await["state"], "delivered", "the receipts of all parts are known");
    }

    async fn a_text_that_is_partly_out_never_begins_anew(story, []) {
        let people = story.people(&["bob"]).await;
        let bob = &people.friends[0];
        let before = story.smsc.submitted().len();
        story.smsc.set(|faults| {
            faults.stat = None;
            faults.refuse_part = Some((3, 0x45, usize::MAX));
        });
        let said = bob.writes(&"가나다라".repeat(40)).await;
        story.settle().await;
        assert_eq!(bob.sees(&said).await["state"], "unknown");
        story.smsc.set(|faults| faults.refuse_part = None);
        for _ in 0..4 {
            story.app.advance(Duration::from_secs(3_600));
            story.settle().await;
        }
        assert_eq!(story.smsc.submitted().len(), before + 2, "what is out is billed once");
    }

    async fn one_parts_receipt_does_not_deliver_an_unknown_text(story, [("response_timeout_seconds", "1")]) {
        let people = story.people(&["bob"]).await;
        let bob = &people.friends[0];
        let (said, parts) = story.write_into_silence(bob, LONG).await;
        assert_eq!(parts.len(), 4);
        for _ in 0..2 {
            story.smsc.receipt(&parts[0], "DELIVRD");
            story.settle().await;
            assert_eq!(bob.sees(&said).await["state"], "sent", "of the others nothing is known");
        }
        let (said, parts) = story.write_into_silence(bob, &format!("Again: {LONG}")).await;
        story.smsc.receipt(&parts[0], "UNDELIV");
        story.settle().await;
        assert_eq!(bob.sees(&said).await["state"], "undelivered");
    }

    async fn a_long_text_that_went_out_whole_has_one_receipt(story, [("long_messages", "payload"), ("response_timeout_seconds", "1")]) {
        let people = story.people(&["bob"]).await;
        let bob = &people.friends[0];
        let (said, whole) = story.write_into_silence(bob, LONG).await;
        assert_eq!(whole.len(), 1);
        story.smsc.receipt(&whole[0], "DELIVRD");
        story.settle().await;
        assert_eq!(bob.sees(&said).await["state"], "delivered", "there is no second one to come");
    }

    async fn who_waits_for_our_own_rate_does_not_make_the_carrier_look_silent(story, [("submits_per_second", "10")]) {
        story.smsc.bound(1).await;
        let now = story.app.app.now();
        let write = async |text: &'static str, which: std::ops::Range<usize>| {
            let sms = move |n: usize| NewSms {
                account: None,
                by: None,
                message: None,
                purpose: Purpose::Message,
                order_key: format!("rate:{n}"),
                line: SmsLine {
                    carrier_id: CARRIER.to_owned(),
                    from: E164::parse("+12025550200").unwrap(),
                    to: E164::parse(&format!("+1303555{n:04}")).unwrap(),
                },
                text: text.to_owned(),
            };
            let enqueue = move |db: &mut meari::db::Db| which.clone().try_for_each(|n| outbox::enqueue(db, now, &sms(n)).map(drop));
            story.app.app.db.write(Lane::Any, enqueue).await.unwrap();
        };
        write("Many", 0..60).await;
        let stop = watch::channel(false);
        let working = tokio::spawn(worker::work(story.app.app.clone(), stop.1));
        eventually("more than two seconds' worth has left", async || story.smsc.submitted().len() >= 30).await;
        assert_eq!(story.app.app.in_flight.stuck(), Vec::<String>::new(), "it answers at once");
        write("One more", 60..61).await;
        // Nobody moves the clock: whoever was put off would never leave.
        eventually("the one who came last leaves too", async || story.smsc.submitted().iter().any(|one| one.text == "One more")).await;
        stop.0.send_replace(true);
        working.await.unwrap();
    }

    async fn a_receipt_that_fits_several_settles_none_of_them(story, [("response_timeout_seconds", "1")]) {
        let people = story.people(&["bob"]).await;
        let bob = &people.friends[0];
        bob.writes("Hello").await;
        story.settle().await;
        story.smsc.set(|faults| {
            faults.stat = None;
            faults.silent = true;
        });
        let before = story.smsc.submitted().len();
        let mut said = Vec::new();
        for text in ["안녕하세요", "잘 지내요?", "Are you there?", "Are you there, or not?"] {
            said.push(bob.writes(text).await);
            worker::drain(&story.app.app).await;
        }
        let submitted = story.smsc.submitted().split_off(before);
        let states = async || {
            let mut states = Vec::new();
            for one in &said {
                states.push(bob.sees(one).await["state"].as_str().unwrap().to_owned());
            }
            states
        };
        for (which, text) in [(1, "????"), (3, "Are you there")] {
            let about = Submitted { text: text.to_owned(), ..submitted[which].clone() };
            story.smsc.receipt(&about, "DELIVRD");
            story.settle().await;
        }
        assert_eq!(states().await, ["unknown"; 4]);
        story.smsc.receipt(&submitted[3], "DELIVRD");
        story.settle().await;
        assert_eq!(states().await, ["unknown", "unknown", "unknown", "delivered"]);
    }

    async fn a_carrier_that_throttles_for_long_leaves_nothing_unknown(story, []) {
        let people = story.people(&["bob", "carol"]).await;
        let before = story.smsc.submitted().len();
        story.smsc.set(|faults| faults.refuse_all = Some(0x58));
        let mut said = Vec::new();
        for friend in &people.friends {
            said.push(friend.writes("Slowly then").await);
        }
        worker::drain(&story.app.app).await;
        for (friend, message) in people.friends.iter().zip(&said) {
            assert_eq!(friend.sees(message).await["state"], "queued");
        }
        story.smsc.set(|faults| faults.refuse_all = None);
        story.app.advance(Duration::from_secs(10));
        story.settle().await;
        assert_eq!(story.texts_since(before).len(), 2);
        for (friend, message) in people.friends.iter().zip(&said) {
            assert_eq!(friend.sees(message).await["state"], "delivered");
        }
    }

    async fn parts_that_come_over_two_links_at_once_are_whole_at_once(story, []) {
        let people = story.people(&["bob"]).await;
        let bob = &people.friends[0];
        let nodes = [(); 2].map(|()| Links::new(&story.app.app, &story.app.edges.arrivals));
        let texts = 40;
        let of = |reference: u16, number: u8| LinkEvent::Part(InboundPart {
            from: RemoteParty::parse(PHONE),
            to: E164::parse(&bob.number).unwrap(),
            reference,
            total: 2,
            number,
            coding: 1,
            octets: format!("{reference}/{number} ").into_bytes(),
            read: |_, octets| String::from_utf8_lossy(octets).into_owned(),
        });
        let all = (0..texts).flat_map(|text| [(text, 1, &nodes[0]), (text, 2, &nodes[1])]);
        let heard = all.map(|(text, number, node)| node.hear(CARRIER, 1, of(text, number)));
        for outcome in futures_util::future::join_all(heard).await {
            outcome.unwrap();
        }
        assert_eq!(bob.heard().await.len(), usize::from(texts));
    }

    async fn parts_come_in_any_order_and_twice(story, []) {
        let people = story.people(&["bob"]).await;
        let bob = &people.friends[0];
        story.smsc.deliver(part(&bob.number, [7, 3, 3], "three"));
        story.smsc.deliver(part(&bob.number, [7, 3, 1], "one "));
        story.smsc.deliver(part(&bob.number, [7, 3, 1], "one "));
        story.settle().await;
        assert_eq!(bob.heard().await, Vec::<String>::new(), "not before it is whole");
        story.smsc.deliver(part(&bob.number, [7, 3, 2], "two "));
        story.smsc.deliver(part(&bob.number, [7, 3, 2], "two "));
        story.settle().await;
        assert_eq!(bob.heard().await, ["one two three"]);
        // The same reference again, with other words: it is only eight bits wide.
        story.smsc.deliver(part(&bob.number, [7, 3, 1], "four "));
        story.smsc.deliver(part(&bob.number, [7, 3, 2], "five "));
        story.smsc.deliver(part(&bob.number, [7, 3, 3], "six"));
        story.settle().await;
        assert_eq!(bob.heard().await, ["one two three", "four five six"]);
    }

    async fn what_never_becomes_whole_is_handed_over_with_a_gap(story, []) {
        let people = story.people(&["bob"]).await;
        let bob = &people.friends[0];
        story.smsc.deliver(part(&bob.number, [9, 3, 1], "The key is "));
        story.smsc.deliver(part(&bob.number, [9, 3, 3], "the mat"));
        story.settle().await;
        story.app.advance(Duration::from_secs(16 * 60));
        let links = Links::new(&story.app.app, &story.app.edges.arrivals);
        for _ in 0..2 {
            links.hand_over_overdue(CARRIER).await.unwrap();
        }
        let bob = Friend { person: bob.person.signs_in_again().await, contact: String::new(), number: String::new() };
        assert_eq!(bob.heard().await, ["The key is […]the mat"]);
    }

    async fn receipts_of_every_hand_are_read(story, []) {
        let people = story.people(&["bob"]).await;
        let bob = &people.friends[0];
        for (receipts, stat, state) in [
            (Receipts::Text, "DELIVRD", "delivered"),
            (Receipts::Parameters, "DELIVRD", "delivered"),
            (Receipts::Parameters, "REJECTD", "failed"),
            (Receipts::Text, "UNDELIV", "undelivered"),
            (Receipts::Text, "ACCEPTD", "sent"),
            (Receipts::None, "DELIVRD", "sent"),
        ] {
            story.smsc.set(|faults| {
                faults.receipts = receipts;
                faults.stat = Some(stat);
                faults.twice = true;
                faults.receipt_first = stat == "DELIVRD";
            });
            let said = bob.writes("A word").await;
            story.settle().await;
            assert_eq!(bob.sees(&said).await["state"], state, "{receipts:?} {stat}");
        }
    }

    async fn too_quick_is_slowed_down_and_sent_once(story, []) {
        let people = story.people(&["bob"]).await;
        let bob = &people.friends[0];
        let before = story.smsc.submitted().len();
        story.smsc.set(|faults| faults.refuse.extend([0x58, 0x14, 0x58]));
        let said = bob.writes("Patience").await;
        story.settle().await;
        assert_eq!(story.texts_since(before).len(), 1);
        assert_eq!(bob.sees(&said).await["state"], "delivered");
        story.smsc.set(|faults| faults.refuse.push_back(0x0b));
        let said = bob.writes("To nowhere").await;
        story.settle().await;
        let seen = bob.sees(&said).await;
        assert_eq!((seen["state"].as_str(), seen["error"]["code"].as_str()), (Some("failed"), Some("bad_number")));
    }

    async fn a_link_that_breaks_mid_window_loses_nothing_and_doubles_nothing(story, [("window", "20")]) {
        let people = story.people(&["bob", "carol", "dave", "erin", "frank", "grace"]).await;
        let before = story.smsc.submitted().len();
        story.smsc.set(|faults| faults.drop_after = Some(3));
        let mut said = Vec::new();
        for friend in &people.friends {
            said.push(friend.writes(&format!("Only once, {}", friend.person.handle)).await);
        }
        worker::drain(&story.app.app).await;
        story.smsc.bound(1).await;
        // Those that had not left are sent again; those that may have arrived are not.
        for _ in 0..8 {
            story.app.advance(Duration::from_secs(20));
            story.settle().await;
        }
        let mut texts = story.texts_since(before);
        let sent = texts.len();
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), sent, "nothing goes out twice");
        // The receipts of what was taken and not answered come over the new link.
        for one in story.smsc.submitted().split_off(before) {
            story.smsc.receipt(&one, "DELIVRD");
        }
        story.settle().await;
        let mut states = Vec::new();
        for (friend, message) in people.friends.iter().zip(&said) {
            states.push(friend.sees(message).await["state"].as_str().unwrap().to_owned());
        }
        let arrived = states.iter().filter(|state| *state == "delivered").count();
        let open = states.iter().filter(|state| *state == "unknown").count();
        assert_eq!((arrived, arrived + open), (sent, said.len()), "{states:?}");
    }

    async fn an_answer_that_comes_too_late_settles_it(story, [("response_timeout_seconds", "1")]) {
        let people = story.people(&["bob"]).await;
        let bob = &people.friends[0];
        story.smsc.set(|faults| faults.silent = true);
        let said = bob.writes("Hello?").await;
        worker::drain(&story.app.app).await;
        story.smsc.settled().await;
        // The receipt was quicker than the answer that never came.
        story.app.advance(Duration::from_secs(31));
        story.settle().await;
        assert_eq!(bob.sees(&said).await["state"], "delivered");
        assert_eq!(story.smsc.submitted().iter().filter(|one| one.text.ends_with("Hello?")).count(), 1);
    }

    async fn what_was_stored_but_not_acknowledged_comes_again_and_is_one_message(story, []) {
        let people = story.people(&["bob"]).await;
        let bob = &people.friends[0];
        story.app.advance(Duration::from_secs(1));
        story.smsc.set(|faults| faults.lose_answers = 1);
        story.smsc.phone_says(PHONE, &bob.number, "Once");
        story.settle().await;
        assert_eq!(bob.heard().await, ["Once"]);
        // The same words said again are said again.
        story.smsc.phone_says(PHONE, &bob.number, "Once");
        story.settle().await;
        assert_eq!(bob.heard().await, ["Once", "Once"]);
    }

    async fn a_restart_loses_nothing_and_doubles_nothing(story, []) {
        let people = story.people(&["bob"]).await;
        let bob = &people.friends[0];
        story.app.advance(Duration::from_secs(1));
        story.smsc.deliver(part(&bob.number, [3, 2, 1], "First half, "));
        story.smsc.phone_says(PHONE, &bob.number, "Before");
        story.settle().await;
        story.smsc.set(|faults| faults.lose_answers = 1);
        story.smsc.phone_says(PHONE, &bob.number, "Unconfirmed");
        story.smsc.bound(0).await;
        story.stop().await;
        let queued = bob.writes("While you were away").await;
        story.smsc.phone_says(PHONE, &bob.number, "During");
        story.app.advance(Duration::from_secs(5));
        let secret = Keys::from_secret(&[7; 32]);
        let again = App::open(story.app.app.settings.clone(), story.app.app.clock.clone(), secret).unwrap();
        let edges = Edges::open(&again);
        story.connect(&edges);
        story.smsc.bound(1).await;
        story.smsc.deliver(part(&bob.number, [3, 2, 2], "second half"));
        story.smsc.settled().await;
        worker::drain(&again).await;
        story.smsc.settled().await;
        assert_eq!(bob.sees(&queued).await["state"], "delivered");
        let mut heard = bob.heard().await;
        heard.sort();
        assert_eq!(heard, ["Before", "During", "First half, second half", "Unconfirmed"]);
    }

    async fn without_a_link_messages_wait(story, []) {
        let people = story.people(&["bob"]).await;
        let bob = &people.friends[0];
        story.smsc.set(|faults| faults.bind_status = 0x0e);
        story.smsc.drop_links();
        story.smsc.bound(0).await;
        let said = bob.writes("Later then").await;
        worker::drain(&story.app.app).await;
        assert_eq!(bob.sees(&said).await["state"], "queued");
        let error = story.app.app.carriers.get(CARRIER).unwrap().check().await.unwrap_err();
        assert!(error.detail.contains("wrong password"), "{error}");
        story.smsc.set(|faults| faults.bind_status = 0);
        story.smsc.bound(1).await;
        story.app.advance(Duration::from_secs(60));
        story.settle().await;
        assert_eq!(bob.sees(&said).await["state"], "delivered");
    }

    async fn two_sessions_one_for_each_way(story, [("bind", "transmitter+receiver")]) {
        let people = story.people(&["bob"]).await;
        let bob = &people.friends[0];
        story.smsc.phone_says(PHONE, &bob.number, "Over there");
        story.settle().await;
        assert_eq!(bob.heard().await, ["Over there"]);
        let said = bob.writes("Over here").await;
        story.settle().await;
        assert_eq!(bob.sees(&said).await["state"], "delivered");
        let checked = story.app.app.carriers.get(CARRIER).unwrap().check().await.unwrap();
        assert!(checked.contains("1 sessions are bound"), "{checked}");
    }

    async fn stop_is_heeded_told_and_taken_back(story, []) {
        let people = story.people(&["bob", "carol"]).await;
        let (bob, carol) = (&people.friends[0], &people.friends[1]);
        story.smsc.phone_says(PHONE, &bob.number, " Stop. ");
        story.settle().await;
        let answer = story.smsc.submitted().pop().unwrap();
        assert_eq!(answer.from, bob.number[1..]);
        assert!(answer.text.contains("START"), "{}", answer.text);
        let seen = bob.person.get(&format!("/v1/contacts/{}", bob.contact)).await.expect(200);
        assert_eq!(seen["texts_stopped"], true);
        let before = story.smsc.submitted().len();
        let said = bob.writes("Are you angry?").await;
        let other = carol.writes("Hello from Carol").await;
        story.smsc.phone_says(PHONE, &bob.number, "stop");
        story.settle().await;
        let failed = bob.sees(&said).await;
        assert_eq!((failed["state"].as_str(), failed["error"]["code"].as_str()), (Some("failed"), Some("opted_out")));
        assert_eq!(carol.sees(&other).await["state"], "delivered", "only this friend is meant");
        assert_eq!(story.texts_since(before).len(), 1, "STOP is answered once");
        assert_eq!(bob.heard().await, ["Stop.", "stop"], "the friend reads it too");
        story.smsc.phone_says(PHONE, &bob.number, "START");
        story.settle().await;
        assert!(story.smsc.submitted().pop().unwrap().text.contains("STOP"));
        let said = bob.writes("Good to see you").await;
        story.settle().await;
        assert_eq!(bob.sees(&said).await["state"], "delivered");
        let seen = bob.person.get(&format!("/v1/contacts/{}", bob.contact)).await.expect(200);
        assert_eq!(seen["texts_stopped"], false);
    }

    async fn help_is_answered_once_a_day_and_yes_is_an_ordinary_word(story, []) {
        let people = story.people(&["bob"]).await;
        let bob = &people.friends[0];
        let before = story.smsc.submitted().len();
        for word in ["HELP", "yes", "info"] {
            story.smsc.phone_says(PHONE, &bob.number, word);
            story.settle().await;
        }
        assert_eq!(story.texts_since(before).len(), 1);
    }

    async fn the_log_of_consent_is_for_the_operator(story, []) {
        let people = story.people(&["bob"]).await;
        let bob = &people.friends[0];
        let units: Vec<u8> = "수신 거부".encode_utf16().flat_map(u16::to_be_bytes).collect();
        story.smsc.deliver(mobile_originated(PHONE, &bob.number, &units, 0, 8));
        story.settle().await;
        let admin = story.app.stranger().with_token(ADMIN_TOKEN);
        let log = admin.get("/v1/admin/consents?limit=5").await.expect(200);
        assert_eq!(log["items"][0]["word"], "stop");
        assert_eq!((log["items"][0]["keyword"].as_str(), log["items"][0]["handset"].as_str()), (Some("수신 거부"), Some(PHONE)));
        let word = json!({ "handset": PHONE, "number": bob.number, "word": "start" });
        assert_eq!(admin.post("/v1/admin/consents", word.clone()).await.expect(201)["changed"], true);
        assert_eq!(admin.post("/v1/admin/consents", word).await.expect(201)["changed"], false);
        let odd = json!({ "handset": PHONE, "number": "+12025559999", "word": "stop" });
        admin.post("/v1/admin/consents", odd).await.refused(404, "not_found");
        let odd = json!({ "handset": PHONE, "number": bob.number, "word": "perhaps" });
        admin.post("/v1/admin/consents", odd).await.refused(422, "unknown_word");
        let path = format!("/v1/admin/consents.csv?handset={}", PHONE.replace('+', "%2B"));
        let csv = admin.get(&path).await.expect(200).text;
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines.len(), 3, "{csv}");
        assert!(lines[0].starts_with("id,at,handset,number") && lines[2].contains(",start,operator,"), "{csv}");
        assert_eq!(admin.get("/v1/admin/consents?handset=%2B12025550199").await.expect(200)["items"], json!([]));
        people.alice.get("/v1/admin/consents.csv").await.expect(403);
    }

    async fn a_preview_says_what_will_be_sent_and_what_it_costs(story, [("price_per_segment", "0.0079 USD")]) {
        let people = story.people(&["bob"]).await;
        let bob = &people.friends[0];
        let ask = json!({ "text": "It’s “late” – really…", "contact_id": bob.contact });
        let seen = bob.person.post("/v1/messages/preview", ask).await.expect(200);
        assert_eq!((seen["encoding"].as_str(), seen["segments"].as_u64()), (Some("gsm7"), Some(1)));
        assert_eq!(seen["text"], "Bob here (via Meari): It's \"late\" - really...");
        assert_eq!(seen["replaced"].as_array().unwrap().len(), 5);
        assert_eq!(seen["price"], json!({ "amount": "0.0079", "currency": "USD" }));
        let ask = json!({ "text": "안".repeat(71) });
        let seen = bob.person.post("/v1/messages/preview", ask).await.expect(200);
        assert_eq!((seen["encoding"].as_str(), seen["price"]["amount"].as_str()), (Some("ucs2"), Some("0.0158")));
        bob.writes("Hello").await;
        let said = bob.writes("It’s late").await;
        story.settle().await;
        assert_eq!(story.smsc.submitted().pop().unwrap().text, "It's late");
        assert_eq!(bob.sees(&said).await["text"], "It’s late", "the chat keeps what was written");
        let admin = story.app.stranger().with_token(ADMIN_TOKEN);
        let traffic = admin.get("/v1/admin/traffic?hours=1").await.expect(200);
        let left = traffic["items"].as_array().unwrap().iter().filter(|item| item["cost"].is_object());
        let sums: Vec<(i64, &str)> =
            left.map(|item| (item["segments"].as_i64().unwrap(), item["cost"]["amount"].as_str().unwrap())).collect();
        assert!(!sums.is_empty(), "{}", traffic.text);
        for (segments, amount) in sums {
            assert!((amount.parse::<f64>().unwrap() - 0.0079 * segments as f64).abs() < 1e-9, "{segments}: {amount}");
        }
        let other = json!({ "text": "x", "contact_id": "con_01970000000070008000000000000000" });
        bob.person.post("/v1/messages/preview", other).await.refused(404, "not_found");
    }

    async fn reactions_go_both_ways(story, []) {
        let people = story.people(&["bob"]).await;
        let bob = &people.friends[0];
        bob.writes("Hello").await;
        let said = bob.writes("It’s at eight…").await;
        story.smsc.phone_says(PHONE, &bob.number, "See you!");
        story.settle().await;
        let tapback = |text: &str| {
            let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
            mobile_originated(PHONE, &bob.number, &units, 0, 8)
        };
        story.smsc.deliver(tapback("Loved “It's at eight...”"));
        story.settle().await;
        assert_eq!(bob.sees(&said).await["reactions"], json!([{ "emoji": "❤️", "mine": false }]));
        assert_eq!(bob.heard().await, ["See you!"], "it is no message");
        story.smsc.deliver(tapback("Removed a heart from “It's at eight...”"));
        story.smsc.deliver(tapback("Liked “Something else”"));
        story.settle().await;
        assert_eq!(bob.sees(&said).await["reactions"], json!([]));
        assert_eq!(bob.heard().await, ["See you!", "Liked “Something else”"], "what quotes nothing is a text");
        let chats = bob.person.get("/v1/conversations").await.expect(200);
        let id = chats["items"][0]["id"].as_str().unwrap();
        let thread = bob.person.get(&format!("/v1/conversations/{id}/messages")).await.expect(200);
        let heard = thread["items"].as_array().unwrap().iter().find(|m| m["text"] == "See you!").unwrap().clone();
        let path = format!("/v1/messages/{}/reaction", heard["id"].as_str().unwrap());
        let before = story.smsc.submitted().len();
        let seen = bob.person.put(&path, json!({ "emoji": "👍" })).await.expect(200);
        assert_eq!(seen["reactions"], json!([{ "emoji": "👍", "mine": true }]));
        bob.person.put(&path, json!({ "emoji": "👍" })).await.expect(200);
        bob.person.put(&path, json!({ "emoji": "ok" })).await.refused(422, "not_an_emoji");
        story.settle().await;
        assert_eq!(bob.person.delete(&path).await.expect(200)["reactions"], json!([]));
        story.settle().await;
        assert_eq!(story.texts_since(before), ["Liked “See you!”", "Removed a like from “See you!”"]);
    }
}

#[actix_web::test]
async fn a_link_over_tls_checks_whose_it_is() {
    let smsc = Smsc::start_tls().await;
    let port = smsc.port.to_string();
    let ca = format!("{FIXTURES}/cert.pem");
    let check = async |name: &str, ca: &str| {
        let mut options = vec![
            ("host", "127.0.0.1"),
            ("port", &port),
            ("system_id", "meari"),
            ("password", "secret"),
            ("tls", "yes"),
        ];
        options.push(("tls_server_name", name));
        if !ca.is_empty() {
            options.push(("tls_ca_file", ca));
        }
        let options = options.into_iter().map(|(k, v)| (k.to_owned(), v.into())).collect();
        let entry = CarrierSettings { id: CARRIER.into(), kind: "smpp".into(), api_base: None, options };
        Smpp::new(&entry).unwrap().check().await
    };
    assert!(check("smsc.example.org", &ca).await.unwrap().contains("takes us"));
    for (name, ca) in [("other.example.org", ca.as_str()), ("smsc.example.org", "")] {
        let error = check(name, ca).await.unwrap_err();
        assert!(error.detail.contains("TLS") && error.certain, "{error}");
    }
}
