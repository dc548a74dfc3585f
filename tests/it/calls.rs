//! Dial a friend's number on any phone, and his client rings.

use meari::simulator::PhoneCallState;
use serde_json::{Value, json};

use crate::support::app::Pair;
use crate::support::browser::Browser;
use crate::support::calling::{BROWSER_HZ, OTHER_HZ, PHONE_HZ};
use crate::support::eventually;

story! {
    async fn a_phone_calls_a_friend_and_they_talk(app) {
        let Pair { bob, phone, number, .. } = app.alice_and_bob().await;
        let handset = app.phone_dials(&phone, &number);
        let ringing = bob.call_is(app, &["ringing"]).await;
        assert_eq!((&ringing["direction"], &ringing["via"]), (&json!("incoming"), &json!("phone")));
        assert_eq!(ringing["contact"]["address"], "meari:alice");
        assert_eq!(ringing["attestation"], "A");
        assert!(ringing["expires_at"].is_string() && ringing["here"] == false);
        handset.is(PhoneCallState::Talking).await;
        handset.ear.hears(440.0).await;

        let browser = bob.accepts(&ringing, BROWSER_HZ).await;
        let talking = bob.call_is(app, &["in_progress"]).await;
        assert!(talking["answered_at"].is_string() && talking["here"] == true);
        handset.ear.hears(BROWSER_HZ).await;
        browser.ear.hears(PHONE_HZ).await;
        let open = app.open_calls().await;
        assert_eq!(open.len(), 2, "both ends are seen by the operator: {open:?}");
        assert!(open.iter().all(|end| end["call_id"] == talking["id"] && end["ended_at"].is_null()));
        assert!(app.call_records().await.is_empty());

        let over = bob.to_call(&talking, "hang-up", json!({})).await.expect(200);
        assert_eq!((&over["state"], &over["end_reason"], &over["missed"]), (&json!("ended"), &json!("hung_up"), &json!(false)));
        assert_eq!(handset.is(PhoneCallState::Ended).await.reason.as_deref(), Some("completed"));
        app.calls_are_over().await;
        let records = app.call_records().await;
        assert_eq!(records.len(), 2, "a record for each end: {records:?}");
        assert!(app.open_calls().await.is_empty());
        assert!(records.iter().any(|r| r["route"] == "sim") && records.iter().any(|r| r["route"] == "browser"));
        let chats = bob.get("/v1/conversations").await.expect(200);
        let last = &chats["items"][0]["last_message"];
        assert_eq!((&last["kind"], &last["call"]["missed"], &chats["items"][0]["unread"]), (&json!("call"), &json!(false), &json!(0)));
    }

    async fn the_first_client_has_the_call_and_the_others_stop(app) {
        let Pair { bob, phone, number, .. } = app.alice_and_bob().await;
        let laptop = bob.signs_in_again().await;
        let handset = app.phone_dials(&phone, &number);
        let ringing = bob.call_is(app, &["ringing"]).await;
        let _browser = laptop.accepts(&ringing, BROWSER_HZ).await;
        let (_late, offer) = Browser::new(OTHER_HZ);
        bob.try_accept(&ringing, &offer).await.refused(409, "answered_elsewhere");
        let seen = bob.call_is(app, &["in_progress"]).await;
        assert_eq!(seen["here"], false, "another device of his talks");
        assert_eq!(laptop.call_is(app, &["in_progress"]).await["here"], true);
        handset.hangs_up();
        let over = bob.call_is(app, &["ended"]).await;
        assert_eq!((&over["end_reason"], &over["missed"]), (&json!("hung_up"), &json!(false)));
        bob.try_accept(&ringing, &offer).await.refused(409, "call_over");
        app.calls_are_over().await;
    }

    async fn who_gives_up_is_missed_and_who_is_declined_is_not(app) {
        let Pair { bob, phone, number, .. } = app.alice_and_bob().await;
        let handset = app.phone_dials(&phone, &number);
        bob.call_is(app, &["ringing"]).await;
        handset.hangs_up();
        let over = bob.call_is(app, &["ended"]).await;
        assert_eq!((&over["end_reason"], &over["missed"]), (&json!("cancelled"), &json!(true)));
        app.calls_are_over().await;
        assert_eq!(bob.get("/v1/conversations").await["items"][0]["unread"], 1);

        let again = app.phone_dials(&phone, &number);
        let ringing = bob.call_is(app, &["ringing"]).await;
        bob.to_call(&ringing, "decline", json!({ "to_voicemail": false })).await.expect(200);
        let over = bob.call_is(app, &["ended"]).await;
        assert_eq!((&over["end_reason"], &over["missed"]), (&json!("declined"), &json!(false)));
        again.is(PhoneCallState::Ended).await;
        app.calls_are_over().await;
    }

    async fn nobody_rings_for_strangers_and_wrong_numbers(app) {
        let Pair { phone, number, .. } = app.alice_and_bob().await;
        let stranger = app.phone("+12025550150");
        let call = app.phone_dials(&stranger, "+12025550200");
        assert!(call.is(PhoneCallState::Ended).await.spoken[0].contains("Meari member"));
        let nobodys = if number == "+12025550219" { "+12025550218" } else { "+12025550219" };
        let wrong = app.phone_dials(&phone, nobodys);
        assert!(wrong.is(PhoneCallState::Ended).await.spoken[0].contains("none of your contacts"));
        let nowhere = app.phone_dials(&phone, "+12025550299");
        assert_eq!(nowhere.is(PhoneCallState::Ended).await.reason.as_deref(), Some("failed"));
        assert!(app.call_records().await.is_empty());

        // Each such call is answered and costs: who does it again and again is turned away.
        let mut words = 0;
        while crate::support::line::Line::new(app, &stranger, "+12025550200").comes_in().await.contains("<Say") {
            words += 1;
        }
        assert_eq!(words, 9, "and the one before");
        assert!(crate::support::line::Line::new(app, &phone, nobodys).comes_in().await.contains("<Say"), "others are told");
        app.advance(std::time::Duration::from_secs(2 * 3_600));
        assert!(crate::support::line::Line::new(app, &stranger, "+12025550200").comes_in().await.contains("<Say"));
    }

    async fn who_is_blocked_does_not_ring_and_leaves_nothing(app) {
        let Pair { bob, phone, number, contact, .. } = app.alice_and_bob().await;
        bob.post(&format!("/v1/contacts/{contact}/block"), json!({})).await.expect(200);
        app.settle().await;
        let call = app.phone_dials(&phone, &number);
        let over = call.is(PhoneCallState::Ended).await;
        assert!(over.spoken.is_empty() && over.reason.as_deref() == Some("no-answer"), "{over:?}");
        assert_eq!(bob.get("/v1/calls").await["items"], json!([]));
    }

    async fn a_client_calls_a_phone_and_the_phone_shows_the_friend(app) {
        let Pair { bob, phone, number, contact, .. } = app.alice_and_bob().await;
        let (call, browser) = bob.calls(&contact, BROWSER_HZ).await;
        assert_eq!((&call["direction"], &call["state"], &call["via"]), (&json!("outgoing"), &json!("ringing"), &json!("phone")));
        let handset = app.phone_rings(&phone).await;
        assert_eq!(handset.shows().with.as_str(), number);
        browser.ear.hears(440.0).await;
        handset.answers();
        bob.call_is(app, &["in_progress"]).await;
        handset.ear.hears(BROWSER_HZ).await;
        browser.ear.hears(PHONE_HZ).await;
        handset.hangs_up();
        let over = bob.call_is(app, &["ended"]).await;
        assert_eq!((&over["end_reason"], &over["missed"]), (&json!("hung_up"), &json!(false)));
        app.calls_are_over().await;
        assert_eq!(app.call_records().await.len(), 2);
    }

    async fn a_phone_that_declines_or_is_off_ends_the_ringing(app) {
        let Pair { alice, bob, phone, contact, .. } = app.alice_and_bob().await;
        let quiet = json!({ "voicemail": { "enabled": false } });
        alice.put("/v1/me/call-settings", quiet).await.expect(200);
        let (call, _browser) = bob.calls(&contact, BROWSER_HZ).await;
        app.phone_rings(&phone).await.hangs_up();
        let declined = alice.call_is(app, &["ringing", "ended"]).await;
        assert_eq!(declined["id"], call["id"]);
        bob.to_call(&call, "hang-up", json!({})).await;
        bob.call_is(app, &["ended"]).await;
        app.calls_are_over().await;
    }

    async fn a_caller_who_leaves_does_not_let_the_phone_ring_on(app) {
        let Pair { bob, phone, contact, .. } = app.alice_and_bob().await;
        let (_, browser) = bob.calls(&contact, BROWSER_HZ).await;
        let handset = app.phone_rings(&phone).await;
        browser.ear.hears(440.0).await;
        browser.closes();
        assert_eq!(handset.is(PhoneCallState::Ended).await.reason.as_deref(), Some("canceled"));
        let over = bob.call_is(app, &["ended"]).await;
        assert_eq!(over["end_reason"], "cancelled");
        app.calls_are_over().await;
    }

    async fn two_messenger_users_talk(app) {
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        let (to_bob, _) = alice.befriends(&bob).await;
        let (call, here) = alice.calls(&to_bob, BROWSER_HZ).await;
        assert_eq!(call["via"], "chat");
        let ringing = bob.call_is(app, &["ringing"]).await;
        let there = bob.accepts(&ringing, OTHER_HZ).await;
        bob.call_is(app, &["in_progress"]).await;
        here.ear.hears(OTHER_HZ).await;
        there.ear.hears(BROWSER_HZ).await;
        there.presses(7);
        eventually("the key arrives once", async || here.keys() == [7]).await;
        alice.to_call(&call, "digits", json!({ "digits": "5#" })).await.expect(204);
        eventually("keys by request arrive", async || there.keys() == [5, 11]).await;
        alice.to_call(&call, "digits", json!({ "digits": "x" })).await.refused(422, "bad_digits");
        alice.to_call(&call, "hang-up", json!({})).await.expect(200);
        assert_eq!(bob.call_is(app, &["ended"]).await["end_reason"], "hung_up");
        app.calls_are_over().await;
    }

    async fn two_phone_users_talk_through_two_numbers(app) {
        app.pool(20).await;
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        let alices = app.verify_mobile(&alice, "+12025550101").await;
        let bobs = app.verify_mobile(&bob, "+12025550102").await;
        let (to_bob, to_alice) = alice.befriends(&bob).await;
        app.settle().await;
        let bob_for_alice = alice.get(&format!("/v1/contacts/{to_bob}")).await["number"].as_str().unwrap().to_owned();
        let alice_for_bob = bob.get(&format!("/v1/contacts/{to_alice}")).await["number"].as_str().unwrap().to_owned();
        let calling = app.phone_dials(&alices, &bob_for_alice);
        let called = app.phone_rings(&bobs).await;
        assert_eq!(called.shows().with.as_str(), alice_for_bob, "his own number for her");
        called.answers();
        bob.call_is(app, &["in_progress"]).await;
        calling.ear.hears(PHONE_HZ).await;
        called.ear.hears(PHONE_HZ).await;
        calling.presses("4");
        calling.hangs_up();
        called.is(PhoneCallState::Ended).await;
        app.calls_are_over().await;
        let records = app.call_records().await;
        assert!(records.len() == 2 && records.iter().all(|r| r["route"] == "sim"), "{records:?}");
    }

    async fn two_who_call_each_other_at_once_talk(app) {
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        let (to_bob, to_alice) = alice.befriends(&bob).await;
        let (first, here) = alice.calls(&to_bob, BROWSER_HZ).await;
        let (second, there) = bob.calls(&to_alice, OTHER_HZ).await;
        assert_eq!(first["id"], second["id"], "the first call is the one");
        bob.call_is(app, &["in_progress"]).await;
        here.ear.hears(OTHER_HZ).await;
        there.ear.hears(BROWSER_HZ).await;
        alice.to_call(&first, "hang-up", json!({})).await.expect(200);
        app.calls_are_over().await;
    }

    async fn hold_mute_another_device_and_another_network(app) {
        let Pair { bob, phone, number, .. } = app.alice_and_bob().await;
        let laptop = bob.signs_in_again().await;
        let handset = app.phone_dials(&phone, &number);
        let ringing = bob.call_is(app, &["ringing"]).await;
        let browser = bob.accepts(&ringing, BROWSER_HZ).await;
        handset.ear.hears(BROWSER_HZ).await;

        let held = bob.to_call(&ringing, "hold", json!({ "on": true })).await.expect(200);
        assert_eq!((&held["state"], &held["held"]), (&json!("held"), &json!(true)));
        handset.ear.clear();
        bob.to_call(&ringing, "hold", json!({ "on": false })).await.expect(200);
        handset.ear.hears(BROWSER_HZ).await;
        assert_eq!(bob.to_call(&ringing, "mute", json!({ "on": true })).await.expect(200)["muted"], true);
        bob.to_call(&ringing, "mute", json!({ "on": false })).await.expect(200);
        handset.ear.clear();
        handset.ear.hears(BROWSER_HZ).await;

        let offer = browser.changes_network();
        let restarted = bob.to_call(&ringing, "restart", json!({ "offer": offer })).await.expect(200);
        let ufrag = |sdp: &str| sdp.split("a=ice-ufrag:").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
        let answer = restarted["answer"].as_str().unwrap();
        assert_ne!(ufrag(answer), ufrag(&offer), "each side has new credentials");
        browser.takes(answer);
        // From another port than before, and both are heard from there.
        handset.ear.clear();
        browser.ear.clear();
        handset.ear.hears(BROWSER_HZ).await;
        browser.ear.hears(PHONE_HZ).await;
        assert_eq!(bob.call_is(app, &["in_progress", "ended"]).await["state"], "in_progress", "the same call");
        bob.to_call(&ringing, "restart", json!({ "offer": "" })).await.refused(422, "bad_offer");

        let (other, offer) = Browser::new(OTHER_HZ);
        let moved = laptop.to_call(&ringing, "move", json!({ "offer": offer })).await.expect(200);
        other.takes(moved["answer"].as_str().unwrap());
        handset.ear.hears(OTHER_HZ).await;
        assert_eq!(laptop.call_is(app, &["in_progress"]).await["here"], true);
        bob.to_call(&ringing, "restart", json!({ "offer": "v=0" })).await.refused(409, "answered_elsewhere");
        handset.hangs_up();
        bob.call_is(app, &["ended"]).await;
        app.calls_are_over().await;
        assert_eq!(app.call_records().await.len(), 3, "two clients and a phone");
    }

    async fn a_closed_tab_is_noticed(app) {
        let Pair { bob, phone, number, .. } = app.alice_and_bob().await;
        for killed in [false, true] {
            let events = crate::live::open(app, &bob, None).await;
            let handset = app.phone_dials(&phone, &number);
            let ringing = bob.call_is(app, &["ringing"]).await;
            let browser = bob.accepts(&ringing, BROWSER_HZ).await;
            handset.ear.hears(BROWSER_HZ).await;
            let since = std::time::Instant::now();
            // Left as pages are left, or killed without a word: then its events are read no more.
            if killed { browser.vanishes() } else { browser.closes() }
            drop(events);
            let over = bob.call_is(app, &["ended"]).await;
            assert_eq!(over["end_reason"], if killed { "lost" } else { "hung_up" });
            assert!(since.elapsed() < std::time::Duration::from_secs(6), "{:?}", since.elapsed());
            handset.is(PhoneCallState::Ended).await;
            app.calls_are_over().await;
        }
    }

    async fn media_sockets_take_only_the_call_they_were_made_for(app) {
        let Pair { bob, phone, number, .. } = app.alice_and_bob().await;
        let handset = app.phone_dials(&phone, &number);
        handset.is(PhoneCallState::Talking).await;
        let ringing = bob.call_is(app, &["ringing"]).await;
        let http = app.stranger();
        let url = format!("{}/carriers/sim/media/{}", app.url, "A".repeat(32));
        let unsigned = http.http().get(&url).send().await.unwrap();
        assert_eq!(unsigned.status(), 403);
        let socket = url.replacen("http", "ws", 1);
        let signature = meari::simulator::signature::sign(crate::support::app::AUTH_TOKEN, &socket, &[]);
        let unknown = http.http().get(&url).header("x-twilio-signature", signature).send().await.unwrap();
        assert_eq!(unknown.status(), 403, "a key that nobody was given");
        bob.to_call(&ringing, "decline", json!({ "to_voicemail": false })).await.expect(200);
        app.calls_are_over().await;
    }

    async fn a_call_that_nobody_takes_care_of_is_ended(app) {
        let Pair { bob, contact, .. } = app.alice_and_bob().await;
        let (call, _browser) = bob.calls(&contact, BROWSER_HZ).await;
        app.settle().await;
        app.advance(std::time::Duration::from_secs(30));
        app.edges.calls.look_after().await.unwrap();
        assert_ne!(bob.call_is(app, &["ringing", "voicemail", "ended"]).await["end_reason"], "lost", "its node lives");
        // Another node, that looks after none of the first one's calls.
        app.advance(std::time::Duration::from_secs(120));
        let other = meari::calls::control::Switchboard::open(&app.app);
        other.look_after().await.unwrap();
        let over = bob.call_is(app, &["ended"]).await;
        assert_eq!(over["id"], call["id"]);
        app.calls_are_over().await;
    }
}

story! {
    async fn events_tell_every_client_and_ringing_has_an_end(app) {
        let Pair { bob, phone, number, .. } = app.alice_and_bob().await;
        let mut live = crate::live::open(app, &bob, None).await;
        let handset = app.phone_dials(&phone, &number);
        let rings = crate::live::next_of(&mut live, "call.changed").await;
        assert_eq!((&rings["data"]["state"], &rings["data"]["direction"]), (&json!("ringing"), &json!("incoming")));
        assert!(rings["data"]["expires_at"].is_string());
        handset.hangs_up();
        let mut last = Value::Null;
        while last["data"]["state"] != "ended" {
            last = crate::live::next_of(&mut live, "call.changed").await;
        }
        assert_eq!(last["data"]["missed"], true);
        app.calls_are_over().await;
    }
}
