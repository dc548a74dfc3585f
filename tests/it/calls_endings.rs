//! How a call ends, and how it does not: an account that is deleted, a network that is changed, a message that is left.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::app::Pair;
use crate::support::browser::Browser;
use crate::support::calling::{BROWSER_HZ, OTHER_HZ};
use crate::support::{TestApp, eventually};

async fn deletes_himself(person: &crate::support::Person) {
    let body = json!({ "password": crate::support::client::PASSWORD });
    person.call(reqwest::Method::DELETE, "/v1/me", Some(&body)).await.expect(204);
}

/// A minute and more goes by, and the node looks after its calls.
async fn sweeps(app: &TestApp) {
    app.advance(Duration::from_secs(61));
    app.edges.calls.look_after().await.unwrap();
    app.settle().await;
}

story! {
    async fn who_deletes_his_account_leaves_no_call_open(app) {
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        let carol = app.person("carol").await;
        let (to_bob, _) = alice.befriends(&bob).await;
        let (to_carol, _) = alice.befriends(&carol).await;
        let (call, here) = alice.calls(&to_bob, BROWSER_HZ).await;
        let ringing = bob.call_is(app, &["ringing"]).await;
        let there = bob.accepts(&ringing, OTHER_HZ).await;
        here.ear.hears(OTHER_HZ).await;
        there.ear.hears(BROWSER_HZ).await;
        alice.to_call(&call, "recording", json!({ "on": true })).await.expect(200);
        bob.to_call(&call, "recording/answer", json!({ "agree": true })).await.expect(200);

        deletes_himself(&bob).await;
        let over = alice.call_is(app, &["ended"]).await;
        assert_eq!((&over["end_reason"], &over["contact"]), (&json!("hung_up"), &Value::Null));
        app.calls_are_over().await;
        let left = app.app.db.read(move |db| meari::calls::sounds::recording(db, bob.id.parse().unwrap(), over["id"].as_str().unwrap().parse().unwrap())).await;
        assert!(left.unwrap().is_none(), "nothing is kept for who is gone");

        // She is not busy for ever, and can be called again.
        let (to_alice, _) = (carol.get("/v1/contacts").await["items"][0]["id"].as_str().unwrap().to_owned(), &to_carol);
        let (_, _browser) = carol.calls(&to_alice, BROWSER_HZ).await;
        let rings = alice.call_is(app, &["ringing"]).await;
        alice.to_call(&rings, "decline", json!({ "to_voicemail": false })).await.expect(200);
        app.calls_are_over().await;
    }

    async fn a_call_of_somebody_gone_keeps_no_other_open(app) {
        let Pair { alice, bob, contact, .. } = app.alice_and_bob().await;
        let carol = app.person("carol").await;
        let (to_carol, _) = bob.befriends(&carol).await;
        // As a service left it that did not know of erasing calls: the account is gone, its call is open.
        let (lost, _one) = bob.calls(&contact, BROWSER_HZ).await;
        let account = alice.id.parse().unwrap();
        app.app.db.write(account, move |db| meari::accounts::erase(db, account)).await.unwrap();
        let (other, _two) = bob.calls(&to_carol, BROWSER_HZ).await;
        let ended = async |call: &Value| bob.get(&format!("/v1/calls/{}", call["id"].as_str().unwrap())).await.expect(200)["state"] == "ended";
        assert!(!ended(&lost).await && !ended(&other).await);
        // Both are of a node that has died; the first cannot be told of in a conversation with nobody.
        app.advance(Duration::from_secs(120));
        let next = meari::calls::control::Switchboard::open(&app.app);
        next.look_after().await.unwrap();
        assert!(!ended(&lost).await && ended(&other).await);
        let now = app.app.now();
        app.app.db.write(account, move |db| meari::messaging::erase(db, now, account)).await.unwrap();
        next.look_after().await.unwrap();
        assert!(ended(&lost).await, "and goes with the conversation");
        sweeps(app).await;
        app.calls_are_over().await;
    }

    async fn a_network_that_is_away_for_seconds_ends_no_call(app) {
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        let (to_bob, _) = alice.befriends(&bob).await;
        let mut events = crate::live::open(app, &bob, None).await;
        let (call, here) = alice.calls(&to_bob, BROWSER_HZ).await;
        let ringing = bob.call_is(app, &["ringing"]).await;
        let there = bob.accepts(&ringing, OTHER_HZ).await;
        here.ear.hears(OTHER_HZ).await;
        there.ear.hears(BROWSER_HZ).await;

        // Bob leaves his house: no network for eight seconds, and then another one.
        let since = std::time::Instant::now();
        there.is_cut_off(Duration::from_secs(8));
        let mut told = json!(false);
        while told != true {
            let seen = alice.call_is(app, &["in_progress", "ended"]).await;
            assert_eq!(seen["state"], "in_progress", "it is not over");
            told = seen["wavering"].clone();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(since.elapsed() < Duration::from_secs(6), "the other side is told: {:?}", since.elapsed());
        assert_eq!(bob.call_is(app, &["in_progress"]).await["wavering"], false, "of the other side, not of one's own");
        let offer = there.changes_network();
        let answer = bob.to_call(&call, "restart", json!({ "offer": offer })).await.expect(200);
        assert!(since.elapsed() > Duration::from_secs(8));
        there.takes(answer["answer"].as_str().unwrap());
        here.ear.clear();
        there.ear.clear();
        here.ear.hears(OTHER_HZ).await;
        there.ear.hears(BROWSER_HZ).await;
        eventually("the line is as before", async || !alice.call_is(app, &["in_progress"]).await["wavering"].as_bool().unwrap()).await;

        // His events know of it by and by; they end nothing while he is heard.
        let last = crate::live::next_of(&mut events, "call.changed").await;
        assert_eq!(last["data"]["id"], call["id"]);
        drop(events);
        here.ear.clear();
        here.ear.hears(OTHER_HZ).await;
        assert_eq!(alice.call_is(app, &["in_progress", "ended"]).await["state"], "in_progress");

        // Away for good, and nobody knows whether it comes back: twenty seconds.
        let since = std::time::Instant::now();
        here.vanishes();
        let over = bob.call_is(app, &["ended"]).await;
        assert_eq!(over["end_reason"], "lost");
        assert!((Duration::from_secs(15)..Duration::from_secs(30)).contains(&since.elapsed()), "{:?}", since.elapsed());
        app.calls_are_over().await;
    }

    async fn a_move_that_fails_leaves_the_call_where_it_is(app) {
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        let (to_bob, _) = alice.befriends(&bob).await;
        let laptop = alice.signs_in_again().await;
        let (call, here) = alice.calls(&to_bob, BROWSER_HZ).await;
        let ringing = bob.call_is(app, &["ringing"]).await;
        let there = bob.accepts(&ringing, OTHER_HZ).await;
        here.ear.hears(OTHER_HZ).await;
        for offer in ["v=0", "nonsense", ""] {
            assert_eq!(laptop.to_call(&call, "move", json!({ "offer": offer })).await.status, 422);
        }
        let seen = alice.call_is(app, &["in_progress", "ended"]).await;
        assert_eq!((&seen["state"], &seen["here"]), (&json!("in_progress"), &json!(true)));
        here.ear.clear();
        there.ear.clear();
        here.ear.hears(OTHER_HZ).await;
        there.ear.hears(BROWSER_HZ).await;
        assert_eq!(app.call_records().await.len(), 0, "no end of it is over");
        let (moved, offer) = Browser::new(1_300.0);
        let answer = laptop.to_call(&call, "move", json!({ "offer": offer })).await.expect(200);
        moved.takes(answer["answer"].as_str().unwrap());
        there.ear.hears(1_300.0).await;
        bob.to_call(&call, "hang-up", json!({})).await.expect(200);
        // Nothing is opened for a call that is over.
        laptop.to_call(&call, "move", json!({ "offer": offer })).await.refused(409, "call_over");
        app.calls_are_over().await;
        eventually("every leg is closed", async || app.app.media.figures().legs == 0).await;
    }
}
