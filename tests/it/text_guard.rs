//! Senders of SMS can be forged: a text that does not come the way its owner's texts always do waits for his word.

use std::time::Duration;

use meari::simulator::Behaviour;
use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::app::Pair;
use crate::support::client::Person;
use crate::support::database::TestDatabase;
use crate::support::telnyx::Telnyx;
use crate::support::wire::{Fake, Vendor as _};

const PIN: &str = "20481";

/// From now on the network says this of whoever texts.
fn the_network_says(app: &TestApp, verstat: &str) {
    let verstat = Some(verstat.to_owned());
    app.carrier.set_behaviour(Behaviour { verstat, ..Behaviour::default() }).unwrap();
}

/// What a person has got in her only conversation, oldest first.
async fn heard(person: &Person) -> Vec<String> {
    let chats = person.get("/v1/conversations").await.expect(200);
    let Some(id) = chats["items"][0]["id"].as_str() else { return Vec::new() };
    let thread = person.get(&format!("/v1/conversations/{id}/messages")).await.expect(200);
    let mut texts: Vec<String> =
        thread["items"].as_array().unwrap().iter().map(|m| m["text"].as_str().unwrap().to_owned()).collect();
    texts.reverse();
    texts
}

async fn waiting(person: &Person) -> Vec<Value> {
    person.get("/v1/me/text-guard").await.expect(200)["held"].as_array().unwrap().clone()
}

async fn set_pin(person: &Person) {
    person.put("/v1/me/call-settings/pin", json!({ "pin": PIN })).await.expect(204);
}

story! {
    async fn a_doubtful_text_waits_for_the_pin_and_then_goes_in_its_order(app) {
        let Pair { alice, bob, phone, number, .. } = app.alice_and_bob().await;
        set_pin(&alice).await;
        the_network_says(app, "TN-Validation-Passed-A");
        app.phone_texts(&phone, &number, "As always").await;
        the_network_says(app, "TN-Validation-Passed-C");
        app.phone_texts(&phone, &number, "One").await;
        app.phone_texts(&phone, &number, "Two").await;
        assert_eq!(heard(&bob).await, ["As always"]);
        let (from, asked) = app.texts(&phone).pop().unwrap();
        assert_eq!(from, number);
        assert!(asked.contains("Reply with your PIN"), "{asked}");
        assert_eq!(app.texts(&phone).len(), 2, "the code that proved the phone, and one question for two texts");
        let seen = alice.get("/v1/me/text-guard").await.expect(200);
        assert_eq!((&seen["mobiles"][0]["asked"], seen["held"].as_array().unwrap().len()), (&json!(true), 2));

        app.phone_texts(&phone, &number, "11111").await;
        assert!(app.last_text(&phone).contains("not right"));
        assert_eq!(heard(&bob).await, ["As always"]);
        app.phone_texts(&phone, &number, PIN).await;
        assert_eq!(heard(&bob).await, ["As always", "One", "Two"], "and nobody sees the PIN");
        assert_eq!(waiting(&alice).await.len(), 0);
        // For a while he is believed.
        app.phone_texts(&phone, &number, "Three").await;
        app.advance(Duration::from_secs(13 * 3_600));
        app.phone_texts(&phone, &number, "Four").await;
        let (alice, bob) = (alice.signs_in_again().await, bob.signs_in_again().await);
        assert_eq!(heard(&bob).await.len(), 4);
        assert_eq!(waiting(&alice).await[0]["text"], "Four");
    }

    async fn whatever_the_owner_releases_goes_on_to_the_other_phone(app) {
        let Pair { alice, phone, .. } = app.alice_and_bob().await;
        let carol = app.person("carol").await;
        let hers = app.verify_mobile(&carol, "+12025550103").await;
        let (friend, _) = alice.befriends(&carol).await;
        app.settle().await;
        let shown = alice.get(&format!("/v1/contacts/{friend}")).await.expect(200);
        let number = shown["number"].as_str().unwrap();
        the_network_says(app, "TN-Validation-Passed-C");
        for n in 0..95 {
            app.phone_texts(&phone, number, &format!("Text {n}")).await;
        }
        let held = waiting(&alice).await;
        let before = app.texts(&hers).len();
        assert_eq!((held.len(), before), (95, 1), "the code that proved her phone");
        let mine = json!({ "mobile_id": held[0]["mobile_id"], "mine": true });
        assert_eq!(alice.post("/v1/me/text-guard/decide", mine).await.expect(200)["count"], 95);
        for _ in 0..10 {
            app.settle().await;
            app.advance(Duration::from_secs(20));
        }
        app.settle().await;
        assert_eq!(app.texts(&hers).len(), before + 95, "none of them is one too many");
    }

    async fn guesses_end_and_whoever_is_signed_in_decides(app) {
        let Pair { alice, bob, phone, number, .. } = app.alice_and_bob().await;
        set_pin(&alice).await;
        the_network_says(app, "TN-Validation-Failed-A");
        app.phone_texts(&phone, &number, "Send money").await;
        for guess in ["0001", "0002", "0003", "0004", "0005", "0006", PIN] {
            app.phone_texts(&phone, &number, guess).await;
        }
        assert!(app.last_text(&phone).contains("too many wrong answers"));
        assert_eq!(app.texts(&phone).len(), 7, "a code, the question, five answers: no more, however many guesses");
        assert_eq!(heard(&bob).await, Vec::<String>::new());
        let other = json!({ "mobile_id": "mob_01970000000070008000000000000000", "mine": true });
        alice.post("/v1/me/text-guard/decide", other).await.expect(404);
        let mine = json!({ "mobile_id": waiting(&alice).await[0]["mobile_id"], "mine": true });
        assert_eq!(alice.post("/v1/me/text-guard/decide", mine).await.expect(200)["count"], 1);
        app.settle().await;
        assert_eq!(heard(&bob).await, ["Send money"]);
    }

    async fn texts_that_are_not_the_owners_are_deleted(app) {
        let Pair { alice, bob, phone, number, .. } = app.alice_and_bob().await;
        the_network_says(app, "TN-Validation-Passed-C");
        app.phone_texts(&phone, &number, "Send money").await;
        // Neither PIN nor mail: the phone itself is asked for a code.
        let asked = app.last_text(&phone);
        let code: String = asked.chars().filter(char::is_ascii_digit).collect();
        assert_eq!(code.len(), 6, "{asked}");
        app.phone_texts(&phone, &number, "No").await;
        assert_eq!((heard(&bob).await.len(), waiting(&alice).await.len()), (0, 0));
        app.advance(Duration::from_secs(60));
        app.phone_texts(&phone, &number, "Send money, quickly").await;
        app.phone_texts(&phone, &number, &code).await;
        assert_eq!(heard(&bob).await.len(), 0, "the code of an earlier question is no good");
        app.phone_texts(&phone, &number, "no").await;
        app.phone_texts(&phone, &number, "Send money").await;
        app.phone_texts(&phone, &number, "no").await;
        let before = app.texts(&phone).len();
        app.phone_texts(&phone, &number, "Send it").await;
        assert_eq!(app.texts(&phone).len(), before, "three questions a day: nobody makes us send more");
        assert_eq!(waiting(&alice).await.len(), 1, "and what comes waits all the same");
        app.advance(Duration::from_secs(8 * 24 * 3_600));
        meari::worker::sweep(&app.app).await.unwrap();
        let alice = alice.signs_in_again().await;
        assert_eq!(waiting(&alice).await.len(), 0, "for a week");
    }

    async fn the_owner_may_want_to_be_asked_always(app) {
        let Pair { alice, bob, phone, number, .. } = app.alice_and_bob().await;
        let seen = alice.get("/v1/me/text-guard").await.expect(200);
        assert_eq!(seen["mobiles"][0]["ask"], "in_doubt");
        let path = format!("/v1/me/text-guard/{}", seen["mobiles"][0]["id"].as_str().unwrap());
        let seen = alice.put(&path, json!({ "ask": "always" })).await.expect(200);
        assert_eq!(seen["mobiles"][0]["ask"], "always");
        app.phone_texts(&phone, &number, "It is me").await;
        assert_eq!(heard(&bob).await.len(), 0);
        let code: String = app.last_text(&phone).chars().filter(char::is_ascii_digit).collect();
        app.phone_texts(&phone, &number, &code).await;
        app.phone_texts(&phone, &number, "And again").await;
        assert_eq!(heard(&bob).await, ["It is me", "And again"]);
        alice.put(&path, json!({ "ask": "never" })).await.expect(422);
    }
}

/// The wire of a carrier that says from which network a text comes.
async fn another_network_is_asked_about(database: TestDatabase) {
    let fake: Fake<Telnyx> = Fake::up();
    let app = TestApp::start(database, |s| s.carriers = vec![Telnyx::settings(&fake.url)]).await;
    fake.state().callback_base = format!("{}/carriers/telnyx", app.url);
    let now = app.app.now();
    let imports = vec![meari::numbers::Import {
        number: meari::phone::E164::parse("+12025550200").unwrap(),
        carrier_id: "telnyx".to_owned(),
        capabilities: meari::numbers::Capabilities::SMS,
    }];
    let write = move |db: &mut meari::db::Db| meari::numbers::import(db, now, &imports);
    app.app.db.write(meari::db::Lane::Any, write).await.unwrap();
    let (alice, bob) = (app.person("alice").await, app.person("bob").await);
    let asked = alice.post("/v1/me/mobiles", json!({ "number": "+12025550101" })).await.expect(201);
    meari::worker::drain(&app.app).await;
    let code: String = fake.sent().pop().unwrap().text.chars().filter(char::is_ascii_digit).collect();
    let path = format!("/v1/me/mobiles/{}/verify", asked["id"].as_str().unwrap());
    alice.post(&path, json!({ "code": code })).await.expect(200);
    alice.befriends(&bob).await;
    meari::worker::drain(&app.app).await;
    set_pin(&alice).await;
    let text = |id: &str, network: &str, text: &str| {
        Telnyx::inbound(id, "+12025550101", "+12025550200", text).replace("\"X\"", &format!("\"{network}\""))
    };
    for (id, network, words) in [
        ("a", "T-MOBILE USA, INC.", "First"),
        ("b", "T-Mobile USA, Inc. ", "Second"),
        ("c", "BULK VOICE", "Third"),
    ] {
        assert_eq!(fake.tells("messages", &text(id, network, words), now).await, 200);
    }
    assert_eq!(heard(&bob).await, ["First", "Second"]);
    assert_eq!(fake.tells("messages", &text("c", "BULK VOICE", "Third"), now).await, 200, "said again");
    assert_eq!(waiting(&alice).await.len(), 1);
    // The owner answers from where he always is. What he writes from there does not wait.
    assert_eq!(fake.tells("messages", &text("d", "T-MOBILE USA, INC.", "Meanwhile"), now).await, 200);
    assert_eq!(fake.tells("messages", &text("e", "T-MOBILE USA, INC.", PIN), now).await, 200);
    assert_eq!(heard(&bob).await, ["First", "Second", "Meanwhile", "Third"]);
    // He has moved to the other network.
    assert_eq!(fake.tells("messages", &text("f", "BULK VOICE", "Fourth"), now).await, 200);
    assert_eq!(heard(&bob).await.len(), 5);
    meari::worker::drain(&app.app).await;
    app.finish().await;
    fake.down().await;
}

#[actix_web::test]
async fn another_network_is_asked_about_on_sqlite() {
    another_network_is_asked_about(TestDatabase::sqlite()).await;
}

#[actix_web::test]
async fn another_network_is_asked_about_on_postgres() {
    another_network_is_asked_about(TestDatabase::postgres()).await;
}

#[actix_web::test]
async fn who_has_an_address_gets_the_code_there() {
    let (url, mut letters) = crate::card_files::mail_server().await;
    let app = TestApp::start(TestDatabase::sqlite(), |settings| {
        settings.smtp_url = Some(secrecy::SecretString::from(url));
        settings.mail_from = Some("Meari <hello@example.org>".to_owned());
    })
    .await;
    let Pair { alice, bob, phone, number, .. } = app.alice_and_bob().await;
    let asked = alice.post("/v1/me/emails", json!({ "address": "alice@example.org" })).await.expect(201);
    app.settle().await;
    let code_in = |letter: &str| -> String {
        let is_code = |w: &&str| w.len() == 6 && w.bytes().all(|b| b.is_ascii_digit());
        letter.split_whitespace().find(is_code).expect("a code").to_owned()
    };
    let code = code_in(&letters.recv().await.unwrap());
    let path = format!("/v1/me/emails/{}/verify", asked["id"].as_str().unwrap());
    alice.post(&path, json!({ "code": code })).await.expect(200);
    the_network_says(&app, "TN-Validation-Passed-C");
    app.phone_texts(&phone, &number, "Hi").await;
    let question = app.last_text(&phone);
    assert!(question.contains("in your mail") && !question.bytes().any(|b| b.is_ascii_digit()), "{question}");
    app.phone_texts(&phone, &number, &code_in(&letters.recv().await.unwrap())).await;
    assert_eq!(heard(&bob).await, ["Hi"]);
    app.finish().await;
}
