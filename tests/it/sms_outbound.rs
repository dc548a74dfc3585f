//! What a carrier can do wrong with a message of ours, and what becomes of it: never lost, never doubled, and the
//! writer knows.

use std::time::Duration;

use meari::simulator::Behaviour;
use meari::simulator::{AfterAccept, Handset, Refuse};

use crate::support::TestApp;
use crate::support::app::Pair;

/// How often a text reached Alice's phone.
fn arrivals(app: &TestApp, pair: &Pair, text: &str) -> usize {
    app.texts(&pair.phone).iter().filter(|(_, arrived)| arrived.ends_with(text)).count()
}

pub fn next(behaviour: Behaviour) -> Behaviour {
    Behaviour { times: Some(1), ..behaviour }
}

fn refuse(status: u16, code: u32, retry_after_secs: Option<u32>) -> Behaviour {
    next(Behaviour { refuse: Some(Refuse { status, code, retry_after_secs }), ..Behaviour::default() })
}

story! {
    async fn a_busy_carrier_is_asked_again_when_it_said(app) {
        let pair = app.alice_and_bob().await;
        app.carrier.set_behaviour(refuse(429, 20429, Some(30))).unwrap();
        let said = pair.bob_writes("Patience").await;
        app.settle().await;
        assert_eq!(pair.as_bob_sees(&said).await["state"], "queued");
        app.advance(Duration::from_secs(29));
        app.settle().await;
        assert_eq!(arrivals(app, &pair, "Patience"), 0, "not before its time");
        app.advance(Duration::from_secs(60));
        app.settle().await;
        assert_eq!(pair.as_bob_sees(&said).await["state"], "delivered");
        assert_eq!(arrivals(app, &pair, "Patience"), 1);
    }

    async fn what_was_said_first_arrives_first(app) {
        let pair = app.alice_and_bob().await;
        app.carrier.set_behaviour(refuse(429, 20429, Some(30))).unwrap();
        pair.bob_writes("one").await;
        pair.bob_writes("two").await;
        pair.bob_writes("three").await;
        app.settle().await;
        assert_eq!(arrivals(app, &pair, "two"), 0, "nobody overtakes in a conversation");
        app.advance(Duration::from_secs(120));
        app.settle().await;
        let texts: Vec<String> = app.texts(&pair.phone).into_iter().map(|(_, text)| text).collect();
        let words: Vec<&str> = texts.iter().skip(1).map(|t| t.split_whitespace().last().unwrap()).collect();
        assert_eq!(words, ["one", "two", "three"]);
    }

    async fn a_refusal_for_good_is_told_with_its_reason(app) {
        let pair = app.alice_and_bob().await;
        app.carrier.set_behaviour(refuse(400, 21614, None)).unwrap();
        let said = pair.bob_writes("To a landline").await;
        app.settle().await;
        let seen = pair.as_bob_sees(&said).await;
        assert_eq!(seen["state"], "failed");
        assert!(seen["error"]["detail"].as_str().is_some_and(|d| !d.is_empty()));
        app.advance(Duration::from_secs(3600));
        app.settle().await;
        assert_eq!(arrivals(app, &pair, "To a landline"), 0);
    }

    async fn an_answer_that_never_came_is_unknown_until_the_receipt_tells(app) {
        let pair = app.alice_and_bob().await;
        let behaviour = Behaviour { drop_answer: true, ..Behaviour::default() };
        app.carrier.set_behaviour(next(behaviour)).unwrap();
        let said = pair.bob_writes("Did it go?").await;
        meari::worker::drain(&app.app).await;
        assert_eq!(pair.as_bob_sees(&said).await["state"], "unknown");
        app.settle().await;
        assert_eq!(pair.as_bob_sees(&said).await["state"], "delivered", "the receipt carries our own id");
        app.advance(Duration::from_secs(3600));
        app.settle().await;
        assert_eq!(arrivals(app, &pair, "Did it go?"), 1, "never sent again");
    }

    async fn without_receipts_the_carrier_is_asked(app) {
        let pair = app.alice_and_bob().await;
        let behaviour =
            Behaviour { drop_answer: true, after_accept: AfterAccept::LoseReceipts, ..Behaviour::default() };
        app.carrier.set_behaviour(next(behaviour)).unwrap();
        let said = pair.bob_writes("Ask them").await;
        app.settle().await;
        assert_eq!(pair.as_bob_sees(&said).await["state"], "unknown");
        app.advance(Duration::from_secs(31));
        app.settle().await;
        assert_eq!(pair.as_bob_sees(&said).await["state"], "delivered");
        assert_eq!(arrivals(app, &pair, "Ask them"), 1);
    }

    async fn a_process_that_died_while_sending_does_not_send_again(app) {
        let mut pair = app.alice_and_bob().await;
        let said = pair.bob_writes("Interrupted").await;
        let now = app.app.now();
        // The process takes the job, commits its intent, and dies before the carrier hears of it.
        app.app
            .db
            .write(meari::db::Lane::Any, move |db| {
                let job = meari::queue::claim(db, now, 1)?.remove(0);
                let job: meari::messaging::outbox::SmsJob = serde_json::from_str(&job.payload)?;
                meari::messaging::outbox::begin_sending(db, now, job.sms)
            })
            .await
            .unwrap();
        app.advance(Duration::from_secs(300));
        app.settle().await;
        assert_eq!(pair.as_bob_sees(&said).await["state"], "unknown");
        for _ in 0..10 {
            app.advance(Duration::from_secs(3600));
            app.settle().await;
        }
        pair.bob = pair.bob.signs_in_again().await;
        assert_eq!(pair.as_bob_sees(&said).await["state"], "unknown");
        assert_eq!(arrivals(app, &pair, "Interrupted"), 0);
    }

    async fn a_lost_text_is_not_taken_for_a_later_one_with_the_same_words(app) {
        let mut pair = app.alice_and_bob().await;
        pair.bob_writes("It's me").await;
        app.settle().await;
        let lost = pair.bob_writes("Yes").await;
        let now = app.app.now();
        // The process dies after its intent and before the carrier hears of it.
        app.app
            .db
            .write(meari::db::Lane::Any, move |db| {
                let job = meari::queue::claim(db, now, 1)?.remove(0);
                let job: meari::messaging::outbox::SmsJob = serde_json::from_str(&job.payload)?;
                meari::messaging::outbox::begin_sending(db, now, job.sms)
            })
            .await
            .unwrap();
        let sent = pair.bob_writes("Yes").await;
        app.advance(Duration::from_secs(300));
        app.settle().await;
        for _ in 0..10 {
            app.advance(Duration::from_secs(3600));
            app.settle().await;
        }
        pair.bob = pair.bob.signs_in_again().await;
        assert_eq!(pair.as_bob_sees(&sent).await["state"], "delivered");
        assert_eq!(pair.as_bob_sees(&lost).await["state"], "unknown", "the carrier has only the other one");
        assert_eq!(arrivals(app, &pair, "Yes"), 1);
    }

    async fn a_message_waits_until_its_writer_has_a_number(app) {
        app.pool(1).await;
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        let (_, _) = alice.befriends(&bob).await;
        let phone = app.verify_mobile(&alice, "+12025550101").await;
        let carol = app.person("carol").await;
        let (_, contact) = alice.befriends(&carol).await;
        let path = format!("/v1/contacts/{contact}/messages");
        let mut said = Vec::new();
        for text in ["first", "second"] {
            said.push(carol.post(&path, serde_json::json!({ "text": text })).await.expect(201));
        }
        assert_eq!((&said[0]["state"], &said[0]["via"]), (&"queued".into(), &"sms".into()));
        app.settle().await;
        assert_eq!(app.texts(&phone).len(), 1, "only the code");
        app.pool(2).await;
        app.advance(Duration::from_secs(61));
        let fill = |db: &mut meari::db::Db| {
            let now = meari::clock::Timestamp(0);
            let job = meari::contacts::jobs::FillWaiting::default();
            meari::queue::enqueue(db, now, meari::contacts::jobs::FILL_WAITING, None, &job)
        };
        app.app.db.write(meari::db::Lane::Any, fill).await.unwrap();
        app.settle().await;
        app.advance(Duration::from_secs(61));
        app.settle().await;
        let texts: Vec<String> = app.texts(&phone).into_iter().skip(1).map(|(_, text)| text).collect();
        assert_eq!(texts.len(), 2, "{texts:?}");
        assert!(texts[0].contains("Carol") && texts[0].ends_with("first"));
        assert_eq!(texts[1], "second");
    }

    async fn a_message_that_waits_in_vain_fails_after_a_day(app) {
        app.pool(1).await;
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        alice.befriends(&bob).await;
        app.verify_mobile(&alice, "+12025550101").await;
        let carol = app.person("carol").await;
        let (_, contact) = alice.befriends(&carol).await;
        let said = serde_json::json!({ "text": "Hello?" });
        let said = carol.post(&format!("/v1/contacts/{contact}/messages"), said).await.expect(201);
        app.settle().await;
        app.advance(Duration::from_secs(24 * 3600));
        app.settle().await;
        let carol = carol.signs_in_again().await;
        let path = format!("/v1/conversations/{}/messages", said["conversation_id"].as_str().unwrap());
        let seen = carol.get(&path).await.expect(200)["items"][0].clone();
        assert_eq!((&seen["state"], &seen["error"]["code"]), (&"failed".into(), &"no_number".into()));
    }

    async fn nobody_pumps_texts_into_a_phone(app) {
        let pair = app.alice_and_bob().await;
        for n in 0..90 {
            pair.bob_writes(&format!("{n}")).await;
        }
        let path = format!("/v1/contacts/{}/messages", pair.contact);
        let more = pair.bob.post(&path, serde_json::json!({ "text": "more" })).await;
        more.refused(429, "too_many_sms");
        app.settle().await;
        assert_eq!(app.texts(&pair.phone).len(), 91);
    }

    async fn who_is_blocked_is_not_told_and_not_heard(app) {
        let pair = app.alice_and_bob().await;
        pair.bob_writes("Before").await;
        app.settle().await;
        let friend = pair.alice.get("/v1/contacts").await.expect(200)["items"][0].clone();
        let id = friend["id"].as_str().unwrap();
        pair.alice.post(&format!("/v1/contacts/{id}/block"), serde_json::json!({})).await.expect(200);
        for n in 0..3 {
            let said = pair.bob_writes(&format!("Unheard {n}")).await;
            assert_eq!(pair.as_bob_sees(&said).await["state"], "sent");
        }
        app.settle().await;
        assert_eq!(arrivals(app, &pair, "Unheard 0"), 0);
        let conversation = friend["conversation_id"].as_str().unwrap();
        let hers = pair.alice.get(&format!("/v1/conversations/{conversation}/messages?limit=2")).await.expect(200);
        assert_eq!(hers["items"].as_array().unwrap().len(), 1, "{}", hers.text);
        let shown = pair.alice.get("/v1/conversations").await.expect(200);
        assert!(!shown.text.contains("Unheard"), "{}", shown.text);
        assert!(!pair.alice.get("/v1/me/export").await.expect(200).text.contains("Unheard"));
    }

    async fn receipts_in_any_order_and_twice_never_move_a_state_back(app) {
        let pair = app.alice_and_bob().await;
        let behaviour = Behaviour { reorder_callbacks: true, repeat_callbacks: 3, ..Behaviour::default() };
        app.carrier.set_behaviour(behaviour).unwrap();
        let said = pair.bob_writes("Round and round").await;
        app.settle().await;
        assert_eq!(pair.as_bob_sees(&said).await["state"], "delivered");
        assert_eq!(arrivals(app, &pair, "Round and round"), 1);
    }

    async fn a_phone_that_is_off_shows_in_the_presence(app) {
        let pair = app.alice_and_bob().await;
        let presence = format!("/v1/contacts/{}/presence", pair.contact);
        let before = pair.bob.get(&presence).await.expect(200);
        assert_eq!((before["state"].as_str(), before["via"].as_str()), (Some("available"), Some("sms")));
        let behaviour = Behaviour { handset: Handset::Absent, ..Behaviour::default() };
        app.carrier.set_behaviour(next(behaviour)).unwrap();
        let said = pair.bob_writes("Are you there?").await;
        app.settle().await;
        let seen = pair.as_bob_sees(&said).await;
        assert_eq!(seen["state"], "undelivered");
        assert_eq!(pair.bob.get(&presence).await["state"], "away");
        app.phone_texts(&pair.phone, &pair.number, "Back again").await;
        assert_eq!(pair.bob.get(&presence).await["state"], "available");
    }

    async fn a_wrong_password_of_ours_keeps_messages_waiting(app) {
        let pair = app.alice_and_bob().await;
        app.carrier.set_behaviour(refuse(401, 20003, None)).unwrap();
        let said = pair.bob_writes("Patience, operator").await;
        app.settle().await;
        assert_eq!(pair.as_bob_sees(&said).await["state"], "queued");
        app.advance(Duration::from_secs(120));
        app.settle().await;
        assert_eq!(pair.as_bob_sees(&said).await["state"], "delivered");
    }

    async fn a_friend_whose_card_is_not_on_the_phone_is_introduced_once(app) {
        let pair = app.alice_and_bob().await;
        pair.bob_writes("Guess who").await;
        app.settle().await;
        let first = app.last_text(&pair.phone);
        assert!(first.contains("Bob") && first.ends_with("Guess who"), "{first}");
        pair.bob_writes("Me again").await;
        app.settle().await;
        assert_eq!(app.last_text(&pair.phone), "Me again");
    }

    async fn a_message_too_long_for_sms_is_refused_before_it_is_kept(app) {
        let pair = app.alice_and_bob().await;
        let path = format!("/v1/contacts/{}/messages", pair.contact);
        let long = serde_json::json!({ "text": "가".repeat(700) });
        pair.bob.post(&path, long).await.refused(422, "message_too_long");
        app.settle().await;
        assert_eq!(app.texts(&pair.phone).len(), 1, "only the code");
    }
}
