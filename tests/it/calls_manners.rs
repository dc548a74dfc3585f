//! How somebody wants to be called: when, where, in which order; and what callers hear when it cannot be.

use std::time::Duration;

use meari::simulator::PhoneCallState;
use serde_json::{Value, json};

use crate::support::app::Pair;
use crate::support::browser::tone;
use crate::support::calling::BROWSER_HZ;
use crate::support::database::TestDatabase;
use crate::support::line::Line;
use crate::support::{Person, TestApp, eventually};

/// Whether a phone rings now.
async fn rings(app: &TestApp, phone: &meari::phone::E164) -> bool {
    app.settle().await;
    let calls = app.carrier.phone_call_list(phone).unwrap();
    calls.iter().any(|call| call.state == PhoneCallState::Ringing)
}

/// Waits until a phone rings: whoever rings it does so beside the queue.
async fn comes_to_ring(app: &TestApp, phone: &meari::phone::E164) {
    eventually("the phone rings", async || rings(app, phone).await).await;
}

async fn wants(person: &Person, settings: Value) {
    person.put("/v1/me/call-settings", settings).await.expect(200);
}

story! {
    async fn in_quiet_hours_nothing_rings_and_a_message_can_be_left(app) {
        let Pair { alice, bob, phone, number, contact } = app.alice_and_bob().await;
        // It is noon in UTC.
        let hours = json!({ "time_zone": "UTC", "quiet_hours": { "from": "11:00", "to": "13:30" } });
        for person in [&alice, &bob] {
            person.patch("/v1/me", hours.clone()).await.expect(200);
        }
        let line = Line::new(app, &phone, &number);
        assert!(line.comes_in().await.contains("Bob cannot answer right now"));
        assert_eq!(bob.call_is(app, &["voicemail", "ringing"]).await["state"], "voicemail");
        line.tells("completed").await;
        bob.call_is(app, &["ended"]).await;
        let (call, browser) = bob.calls(&contact, BROWSER_HZ).await;
        assert_eq!(call["state"], "voicemail", "her phone neither");
        assert!(!rings(app, &phone).await);
        bob.to_call(&call, "hang-up", json!({})).await.expect(200);
        drop(browser);
        app.calls_are_over().await;
        app.advance(Duration::from_secs(2 * 3_600));
        let bob = bob.signs_in_again().await;
        let after = app.phone_dials(&phone, &number);
        bob.call_is(app, &["ringing"]).await;
        after.hangs_up();
        bob.call_is(app, &["ended"]).await;
        app.calls_are_over().await;
    }

    async fn the_messenger_rings_first_and_then_the_phone(app) {
        let Pair { alice, bob, phone, contact, .. } = app.alice_and_bob().await;
        wants(&alice, json!({ "ring": "in_order", "voicemail": {} })).await;
        let _desk = crate::live::open(app, &alice, None).await;
        eventually("she is seen at her desk", async || {
            bob.get(&format!("/v1/contacts/{contact}")).await["presence"]["state"] == "available"
        })
        .await;
        let (call, _browser) = bob.calls(&contact, BROWSER_HZ).await;
        assert_eq!(alice.call_is(app, &["ringing"]).await["id"], call["id"]);
        assert!(!rings(app, &phone).await, "the desk alone");
        app.advance(Duration::from_secs(11));
        comes_to_ring(app, &phone).await;
        let handset = app.phone_rings(&phone).await;
        handset.answers();
        bob.call_is(app, &["in_progress"]).await;
        bob.to_call(&call, "hang-up", json!({})).await.expect(200);
        app.calls_are_over().await;
    }

    async fn who_does_not_answer_is_reached_elsewhere_and_sees_who_calls(app) {
        let Pair { alice, bob, phone, number, contact } = app.alice_and_bob().await;
        let other = app.phone("+12025550109");
        let forward = json!({ "forward_to": "+12025550109", "forward_when": "no_answer", "ring_seconds": 10, "voicemail": {} });
        wants(&alice, forward).await;
        let (call, _browser) = bob.calls(&contact, BROWSER_HZ).await;
        comes_to_ring(app, &phone).await;
        assert!(!rings(app, &other).await);
        app.advance(Duration::from_secs(11));
        let handset = app.phone_rings(&other).await;
        assert_eq!(handset.shows().with.as_str(), number, "the number under which she knows him");
        handset.answers();
        bob.call_is(app, &["in_progress"]).await;
        bob.to_call(&call, "hang-up", json!({})).await.expect(200);
        app.calls_are_over().await;
    }

    async fn who_talks_is_reached_elsewhere_or_is_busy(app) {
        let Pair { alice, bob, phone, number, .. } = app.alice_and_bob().await;
        let carol = app.person("carol").await;
        let (to_bob, _) = carol.befriends(&bob).await;
        wants(&bob, json!({ "voicemail": { "enabled": false } })).await;
        let (talk, here) = carol.calls(&to_bob, BROWSER_HZ).await;
        let ringing = bob.call_is(app, &["ringing"]).await;
        let there = bob.accepts(&ringing, 700.0).await;
        bob.call_is(app, &["in_progress"]).await;

        // A phone hears its own network's busy tone; a client is told.
        let line = Line::new(app, &phone, &number);
        assert!(line.comes_in().await.contains("<Reject reason=\"busy\"/>"));
        let missed = bob.call_is(app, &["ended"]).await;
        assert_eq!((&missed["end_reason"], &missed["missed"]), (&json!("busy"), &json!(true)));
        // Who hides his number was let in to be asked for it: then we let him hear it.
        alice.put("/v1/me/call-settings/pin", json!({ "pin": "4711" })).await.expect(204);
        let hidden = Line::named(app, "CA00000000000000000000000000000047", "anonymous", &number);
        let asked = hidden.comes_in().await;
        let steps = hidden.types(&asked, "12025550101*4711").await;
        assert!(steps.contains("<Stream") && steps.contains("<Hangup"), "{steps}");
        let socket = hidden.opens(&steps).await.expect("it is taken");
        socket.ear.hears(620.0).await;
        hidden.tells("completed").await;
        let contacts = alice.get("/v1/contacts").await.expect(200);
        let friend = contacts["items"][0]["id"].as_str().unwrap();
        let (refused, _browser) = alice.calls(friend, BROWSER_HZ).await;
        assert_eq!((&refused["state"], &refused["end_reason"]), (&json!("ended"), &json!("busy")));

        carol.to_call(&talk, "hang-up", json!({})).await.expect(200);
        app.calls_are_over().await;
        drop((here, there));

        // With his other phone he is reached while he talks.
        let phone_of_bob = app.verify_mobile(&bob, "+12025550107").await;
        let other = app.phone("+12025550109");
        wants(&bob, json!({ "forward_to": "+12025550109", "forward_when": "busy", "also_ring": [], "voicemail": {} })).await;
        let (_talk, here) = carol.calls(&to_bob, BROWSER_HZ).await;
        let ringing = bob.call_is(app, &["ringing"]).await;
        let _there = bob.accepts(&ringing, 700.0).await;
        bob.call_is(app, &["in_progress"]).await;
        here.ear.hears(700.0).await;
        assert!(!rings(app, &other).await, "his first call did not go there");
        let caller = app.phone_dials(&phone, &number);
        let handset = app.phone_rings(&other).await;
        assert!(!rings(app, &phone_of_bob).await);
        handset.answers();
        caller.ear.hears(440.0).await;
        caller.hangs_up();
        handset.is(PhoneCallState::Ended).await;
        here.closes();
        app.calls_are_over().await;
    }

    async fn who_is_let_in_hears_that_the_other_is_busy_before_he_is_hung_up(app) {
        let Pair { bob, phone, number, .. } = app.alice_and_bob().await;
        app.verify_mobile(&bob, "+12025550107").await;
        let other = app.phone("+12025550109");
        wants(&bob, json!({ "forward_to": "+12025550109", "forward_when": "always", "also_ring": [], "voicemail": { "enabled": false } })).await;
        let caller = app.phone_dials(&phone, &number);
        let handset = app.phone_rings(&other).await;
        caller.ear.hears(440.0).await;
        caller.ear.clear();
        handset.hangs_up();
        let missed = bob.call_is(app, &["ended"]).await;
        assert_eq!((&missed["end_reason"], &missed["missed"]), (&json!("busy"), &json!(true)));
        caller.ear.hears(620.0).await;
        assert_eq!(caller.shows().state, PhoneCallState::Talking, "he hears it before he is hung up");
        caller.is(PhoneCallState::Ended).await;
        app.calls_are_over().await;
    }

    async fn a_hidden_caller_guesses_five_times_and_no_more(app) {
        let Pair { alice, bob, number, .. } = app.alice_and_bob().await;
        alice.put("/v1/me/call-settings/pin", json!({ "pin": "4711" })).await.expect(204);
        let hidden = || Line::named(app, &format!("CA{:032x}", rand::random::<u128>()), "anonymous", &number);
        for _ in 0..5 {
            let line = hidden();
            let asked = line.comes_in().await;
            assert!(asked.contains("<Gather"), "{asked}");
            assert!(line.types(&asked, "12025550101*0000").await.contains("not right"));
        }
        let line = hidden();
        let asked = line.comes_in().await;
        assert!(line.types(&asked, "12025550101*4711").await.contains("not right"), "not even the right one");
        assert_eq!(bob.get("/v1/calls").await["items"], json!([]));
        app.advance(Duration::from_secs(3 * 3_600));
        let bob = bob.signs_in_again().await;
        let line = hidden();
        let asked = line.comes_in().await;
        assert!(line.types(&asked, "12025550101*4711").await.contains("<Stream"), "later it is good again");
        line.tells("completed").await;
        app.settle().await;
        assert_eq!(bob.call_is(app, &["ended"]).await["contact"]["address"], "meari:alice");
        // Nobody gets through by asking again and again.
        for _ in 0..40 {
            hidden().comes_in().await;
        }
        assert!(hidden().comes_in().await.contains("<Reject reason=\"busy\"/>"));
    }

    async fn help_and_costly_numbers_are_refused_with_the_reason(app) {
        let Pair { alice, .. } = app.alice_and_bob().await;
        for (typed, code, word) in [
            ("911", "emergency_number", "Call them from your phone itself"),
            ("+1 911", "emergency_number", "Emergency numbers are not dialled here"),
            ("+1 900 555 0123", "premium_number", "cost extra"),
            ("+44 7700 900123", "unexpected_destination", "countries in which you have a verified number"),
        ] {
            let refused = alice.put("/v1/me/call-settings", json!({ "forward_to": typed, "voicemail": {} })).await;
            let text = refused.text.clone();
            refused.refused(422, code);
            assert!(text.contains(word), "{typed}: {text}");
        }
        assert_eq!(alice.get("/v1/me/call-settings").await["forward_to"], json!(null));
    }
}

async fn a_message_comes_by_mail(database: TestDatabase) {
    let (url, mut letters) = crate::card_files::mail_server().await;
    let app = TestApp::start(database, |settings| {
        settings.smtp_url = Some(secrecy::SecretString::from(url));
        settings.mail_from = Some("Meari <hello@example.org>".to_owned());
    })
    .await;
    let Pair { bob, phone, number, .. } = app.alice_and_bob().await;
    let email = bob.post("/v1/me/emails", json!({ "address": "bob@example.org" })).await.expect(201);
    app.settle().await;
    let letter = letters.recv().await.unwrap();
    let code = letter
        .split(|c: char| !c.is_ascii_alphanumeric())
        .find(|word| word.len() == 6 && word.bytes().all(|b| b.is_ascii_digit()));
    let verify = format!("/v1/me/emails/{}/verify", email["id"].as_str().unwrap());
    bob.post(&verify, json!({ "code": code.unwrap() })).await.expect(200);
    let sound: Vec<u8> = (0..100).flat_map(|frame| tone(440.0, frame)).collect();
    let line = Line::new(&app, &phone, &number);
    line.comes_in().await;
    let ringing = bob.call_is(&app, &["ringing"]).await;
    let id: meari::ids::CallId = ringing["id"].as_str().unwrap().parse().unwrap();
    let (now, wav) = (app.app.now(), meari::media::wav(&sound));
    let bytes = wav;
    let keep = move |db: &mut meari::db::Db| {
        meari::calls::apply(db, now, id, meari::calls::machine::Event::RingsOut)?;
        meari::calls::voicemail::keep(db, now, id, 2_000, sound.clone())
    };
    app.app.db.write(meari::db::Lane::Any, keep).await.unwrap();
    app.calls_are_over().await;
    let letter = letters.recv().await.unwrap();
    for wanted in ["To: bob@example.org", "Alice", "audio/wav", "voicemail.wav"] {
        assert!(letter.contains(wanted), "{wanted}: {letter}");
    }
    let packed: String = letter.split_whitespace().collect();
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &bytes);
    assert!(packed.contains(&encoded), "the whole recording is in it");
    app.finish().await;
}

#[actix_web::test]
async fn a_message_comes_by_mail_on_sqlite() {
    a_message_comes_by_mail(TestDatabase::sqlite()).await;
}

#[actix_web::test]
async fn a_message_comes_by_mail_on_postgres() {
    a_message_comes_by_mail(TestDatabase::postgres()).await;
}
