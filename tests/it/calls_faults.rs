//! What goes wrong around a call, one fault at a time: whatever it is, nobody rings for ever and nothing stays open.

use std::time::Duration;

use meari::simulator::PhoneCallState;
use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::app::Pair;
use crate::support::browser::Browser;
use crate::support::calling::{BROWSER_HZ, OTHER_HZ, PHONE_HZ};
use crate::support::line::Line;

async fn seconds(app: &TestApp, count: u64) {
    app.advance(Duration::from_secs(count));
    app.settle().await;
}

story! {
    async fn what_was_taken_without_sound_rings_again_and_has_an_end(app) {
        let Pair { bob, phone, number, .. } = app.alice_and_bob().await;
        bob.put("/v1/me/call-settings", json!({ "voicemail": { "enabled": false } })).await.expect(200);
        let line = Line::new(app, &phone, &number);
        let stream = line.opens(&line.comes_in().await).await.unwrap();
        stream.ear.hears(440.0).await;
        let ringing = bob.call_is(app, &["ringing"]).await;
        assert!(bob.try_accept(&ringing, "v=0").await.status >= 400);
        let again = bob.call_is(app, &["ringing"]).await;
        assert!(again["expires_at"].is_string(), "it rings for a time, not for ever: {again}");
        seconds(app, 21).await;
        assert_eq!(bob.call_is(app, &["ended"]).await["end_reason"], "no_answer");
        app.calls_are_over().await;
    }

    async fn who_goes_on_with_his_client_is_not_gone_with_his_phone(app) {
        let Pair { alice, bob, phone, number, .. } = app.alice_and_bob().await;
        let handset = app.phone_dials(&phone, &number);
        let ringing = bob.call_is(app, &["ringing"]).await;
        let there = bob.accepts(&ringing, BROWSER_HZ).await;
        handset.ear.hears(BROWSER_HZ).await;
        let (here, offer) = Browser::new(OTHER_HZ);
        let moved = alice.to_call(&ringing, "move", json!({ "offer": offer })).await.expect(200);
        here.takes(moved["answer"].as_str().unwrap());
        handset.is(PhoneCallState::Ended).await;
        app.settle().await;
        there.ear.clear();
        there.ear.hears(OTHER_HZ).await;
        here.ear.hears(BROWSER_HZ).await;
        assert_eq!(bob.call_is(app, &["in_progress", "ended"]).await["state"], "in_progress");
        bob.to_call(&ringing, "hang-up", json!({})).await.expect(200);
        app.calls_are_over().await;
    }

    async fn who_leaves_before_his_sound_is_there_leaves_no_call_behind(app) {
        let Pair { bob, phone, number, .. } = app.alice_and_bob().await;
        bob.put("/v1/me/call-settings", json!({ "do_not_disturb": true, "voicemail": {} })).await.expect(200);
        let line = Line::new(app, &phone, &number);
        assert!(line.comes_in().await.contains("cannot answer"), "the greeting is spoken at once");
        assert_eq!(bob.call_is(app, &["voicemail"]).await["state"], "voicemail");
        line.tells("completed").await;
        assert_eq!(bob.call_is(app, &["ended", "voicemail"]).await["end_reason"], "no_answer");

        // And the carrier's last word may come before its first.
        let overtaken = Line::new(app, &phone, &number);
        overtaken.tells_as("completed", "3").await;
        overtaken.comes_in().await;
        seconds(app, 11).await;
        seconds(app, 60).await;
        assert_eq!(bob.call_is(app, &["ended"]).await["missed"], true);
        app.calls_are_over().await;
    }

    async fn a_long_greeting_is_heard_to_its_end(app) {
        let Pair { bob, phone, number, .. } = app.alice_and_bob().await;
        bob.put("/v1/me/call-settings", json!({ "do_not_disturb": true, "voicemail": {} })).await.expect(200);
        let line = Line::new(app, &phone, &number);
        let document = line.comes_in().await;
        seconds(app, 11).await;
        seconds(app, 15).await;
        assert_eq!(bob.call_is(app, &["voicemail", "ended"]).await["state"], "voicemail", "the carrier still speaks");
        let stream = line.opens(&document).await.expect("its sound is taken after the greeting");
        stream.ear.hears(1_000.0).await;
        stream.stops();
        bob.call_is(app, &["ended"]).await;
        app.calls_are_over().await;
    }

    async fn a_phone_that_is_picked_up_without_sound_is_not_waited_for(app) {
        let Pair { bob, phone, contact, .. } = app.alice_and_bob().await;
        let (call, _browser) = bob.calls(&contact, BROWSER_HZ).await;
        let handset = app.phone_rings(&phone).await;
        let line = Line::named(app, &handset.id, "", "");
        line.tells_as("in-progress", "7").await;
        assert_eq!(bob.call_is(app, &["connecting", "ended"]).await["state"], "connecting");
        seconds(app, 11).await;
        let over = bob.call_is(app, &["ended"]).await;
        assert_eq!((&over["id"], &over["end_reason"]), (&call["id"], &json!("hung_up")));
        app.calls_are_over().await;
    }

    async fn words_of_the_carrier_come_late_twice_and_in_any_order(app) {
        let Pair { bob, phone, number, .. } = app.alice_and_bob().await;
        let line = Line::new(app, &phone, &number);
        let first = line.comes_in().await;
        let stream = line.opens(&line.comes_in().await).await.expect("announced twice is one call");
        assert!(line.opens(&first).await.is_none(), "with one socket");
        let ringing = bob.call_is(app, &["ringing"]).await;
        let browser = bob.accepts(&ringing, BROWSER_HZ).await;
        bob.call_is(app, &["in_progress"]).await;
        stream.ear.hears(BROWSER_HZ).await;
        browser.ear.hears(PHONE_HZ).await;
        line.tells_as("ringing", "0").await;
        line.tells_as("completed", "3").await;
        line.tells_as("in-progress", "1").await;
        line.tells_as("completed", "3").await;
        let over = bob.call_is(app, &["ended"]).await;
        assert_eq!(over["end_reason"], "hung_up");
        app.calls_are_over().await;
        assert!(stream.is_over());
        let calls = bob.get("/v1/calls").await.expect(200);
        assert_eq!(calls["items"].as_array().unwrap().len(), 1);
        assert_eq!(app.call_records().await.len(), 2);
        assert!(line.goes_on(&first).await.contains("<Hangup/>"), "whoever asks afterwards hears that it is over");
    }

    async fn a_socket_with_the_key_of_another_call_is_refused(app) {
        let Pair { bob, phone, number, .. } = app.alice_and_bob().await;
        let (mine, other) = (Line::new(app, &phone, &number), Line::new(app, &phone, &number));
        let document = mine.comes_in().await;
        let stream = mine.opens_as(&document, &other.sid).await.expect("a socket opens before it says whose it is");
        crate::support::eventually("it is closed when it does", async || stream.is_over()).await;
        assert!(mine.opens(&document).await.is_none(), "a key is good once");
        let over = bob.call_is(app, &["ended"]).await;
        assert_eq!(over["answered_at"], Value::Null);
        app.calls_are_over().await;
    }
}

#[actix_web::test]
async fn a_call_is_joined_only_where_its_sound_is() {
    let mut app = TestApp::on_sqlite().await;
    let Pair { bob, phone, number, .. } = app.alice_and_bob().await;
    let (url, edges) = app.another_node();
    let elsewhere = crate::support::client::Client::new(&url).with_token(bob.token.as_deref().unwrap());
    let handset = app.phone_dials(&phone, &number);
    let ringing = bob.call_is(&app, &["ringing"]).await;
    handset.ear.hears(440.0).await;
    let path = |what: &str| format!("/v1/calls/{}/{what}", ringing["id"].as_str().unwrap());
    let (browser, offer) = Browser::new(BROWSER_HZ);
    let asked = json!({ "offer": offer });
    elsewhere.post(&path("accept"), asked.clone()).await.refused(503, "other_node");
    assert_eq!(
        bob.call_is(&app, &["ringing", "connecting", "ended"]).await["state"],
        "ringing",
        "it rings on"
    );
    let taken = bob.post(&path("accept"), asked.clone()).await.expect(200);
    browser.takes(taken["answer"].as_str().unwrap());
    handset.ear.hears(BROWSER_HZ).await;
    elsewhere.post(&path("restart"), asked.clone()).await.refused(503, "other_node");
    elsewhere.post(&path("move"), asked).await.refused(503, "other_node");
    elsewhere.post(&path("digits"), json!({ "digits": "1" })).await.refused(503, "other_node");
    // What needs no sound is done anywhere.
    assert_eq!(elsewhere.post(&path("mute"), json!({ "on": true })).await.expect(200)["muted"], true);
    elsewhere.post(&path("hang-up"), json!({})).await.expect(200);
    handset.is(PhoneCallState::Ended).await;
    app.calls_are_over().await;
    assert_eq!(edges.calls.live_count(), 0);
    app.finish().await;
}

#[actix_web::test]
async fn calls_of_a_node_that_died_are_ended_by_the_next() {
    let mut app = TestApp::on_sqlite().await;
    let Pair { bob, phone, number, .. } = app.alice_and_bob().await;
    let line = Line::new(&app, &phone, &number);
    let stream = line.opens(&line.comes_in().await).await.unwrap();
    let ringing = bob.call_is(&app, &["ringing"]).await;
    let browser = bob.accepts(&ringing, BROWSER_HZ).await;
    stream.ear.hears(BROWSER_HZ).await;
    app = app.dies_and_rises().await;
    let bob = bob.signs_in_again().await;
    assert_eq!(bob.call_is(&app, &["in_progress"]).await["id"], ringing["id"]);
    let (_other, offer) = Browser::new(OTHER_HZ);
    bob.to_call(&ringing, "restart", json!({ "offer": offer })).await.refused(409, "answered_elsewhere");
    bob.to_call(&ringing, "move", json!({ "offer": offer })).await.refused(503, "other_node");
    app.advance(Duration::from_secs(61));
    // Its node was only slow: it says that it lives after somebody has looked for the dead, and before he has ended any.
    let now = app.app.now();
    let late = move |db: &mut meari::db::Db| {
        let due = meari::calls::list_due(db, now)?;
        meari::calls::keep_alive(db, now, &due)?;
        Ok((due.len(), meari::calls::sweep(db, now, due[0])?))
    };
    assert_eq!(app.app.db.write(meari::db::Lane::Any, late).await.unwrap(), (1, false));
    assert_eq!(bob.call_is(&app, &["in_progress"]).await["id"], ringing["id"]);
    app.advance(Duration::from_secs(61));
    app.edges.calls.look_after().await.unwrap();
    app.settle().await;
    assert_eq!(bob.call_is(&app, &["ended"]).await["end_reason"], "lost");
    let records = app.call_records().await;
    assert!(records.len() == 2 && records.iter().all(|record| record["cause"] == "lost"), "{records:?}");
    drop((browser, stream));
    app.finish().await;
}
