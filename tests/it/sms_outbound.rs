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
