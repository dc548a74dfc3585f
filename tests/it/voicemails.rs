//! What happens when nobody answers, and how an account wants to be called.

use std::time::Duration;

use meari::calls::machine::Event;
use meari::db::Lane;
use meari::simulator::PhoneCallState;
use serde_json::json;

use crate::support::TestApp;
use crate::support::app::Pair;
use crate::support::browser::{Browser, tone};
use crate::support::calling::{BROWSER_HZ, PHONE_HZ};
use crate::support::eventually;

/// Bob has called Alice and left a message: the ids of call and voicemail.
pub async fn left_by_bob(app: &TestApp, pair: &Pair) -> (String, String) {
    let (_browser, offer) = Browser::new(BROWSER_HZ);
    let body = json!({ "contact_id": pair.contact, "offer": offer });
    let placed = pair.bob.post("/v1/calls", body).await.expect(201);
    let text = placed["call"]["id"].as_str().unwrap().to_owned();
    let (id, now) = (text.parse().unwrap(), app.app.now());
    let sound: Vec<u8> = (0..150).flat_map(|number| tone(PHONE_HZ, number)).collect();
    let keep = move |db: &mut meari::db::Db| {
        meari::calls::apply(db, now, id, Event::RingsOut)?;
        meari::calls::voicemail::keep(db, now, id, 3_000, sound.clone())
    };
    app.app.db.write(Lane::Any, keep).await.unwrap();
    app.calls_are_over().await;
    let seen = pair.alice.get(&format!("/v1/calls/{text}")).await.expect(200);
    (text, seen["voicemail"]["id"].as_str().unwrap().to_owned())
}

story! {
    async fn nobody_answers_and_the_caller_leaves_a_message(app) {
        let Pair { alice, bob, phone, number, .. } = app.alice_and_bob().await;
        let handset = app.phone_dials(&phone, &number);
        bob.call_is(app, &["ringing"]).await;
        handset.is(PhoneCallState::Talking).await;
        handset.ear.hears(440.0).await;
        app.advance(Duration::from_secs(26));
        bob.call_is(app, &["voicemail"]).await;
        eventually("the greeting is spoken", async || !handset.shows().spoken.is_empty()).await;
        assert_eq!(handset.shows().spoken, ["Bob cannot answer right now. Please speak after the beep."]);
        // The beep, and then he has spoken long enough to be kept.
        handset.ear.hears(1_000.0).await;
        handset.ear.clear();
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        handset.presses("#");
        let over = bob.call_is(app, &["ended"]).await;
        assert_eq!((&over["end_reason"], &over["missed"]), (&json!("voicemail"), &json!(true)));
        handset.is(PhoneCallState::Ended).await;
        app.calls_are_over().await;

        let chats = bob.get("/v1/conversations").await.expect(200);
        let last = &chats["items"][0]["last_message"];
        assert_eq!((&last["kind"], &last["voicemail"]["listened"], &chats["items"][0]["unread"]), (&json!("voicemail"), &json!(false), &json!(1)));
        let path = last["voicemail"]["url"].as_str().unwrap();
        let request = || bob.http().get(format!("{}{path}", app.url)).bearer_auth(bob.token.as_deref().unwrap());
        let answer = request().send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "audio/wav");
        let wav = answer.bytes().await.unwrap();
        assert!(crate::support::browser::best(&wav[58..], PHONE_HZ) > 0.2, "his voice is in it");
        let part = request().header("range", "bytes=0-3").send().await.unwrap();
        assert_eq!((part.status().as_u16(), &part.bytes().await.unwrap()[..]), (206, &b"RIFF"[..]));
        assert_eq!(request().header("range", "bytes=99999999-").send().await.unwrap().status(), 416);

        let id = over["voicemail"]["id"].as_str().unwrap();
        bob.post(&format!("/v1/voicemails/{id}/listened"), json!({})).await.expect(204);
        assert_eq!(bob.get("/v1/conversations").await["items"][0]["last_message"]["voicemail"]["listened"], true);
        bob.delete(&format!("/v1/voicemails/{id}")).await.expect(204);
        bob.get(&format!("/v1/voicemails/{id}/audio")).await.refused(404, "not_found");
        let hers = alice.get("/v1/conversations").await.expect(200);
        assert_eq!(hers["items"][0]["last_message"]["voicemail"], json!(null), "she knows that it is there, and not more");
    }

    async fn who_says_nothing_after_the_beep_leaves_nothing(app) {
        let Pair { bob, phone, number, .. } = app.alice_and_bob().await;
        let handset = app.phone_dials(&phone, &number);
        let ringing = bob.call_is(app, &["ringing"]).await;
        bob.to_call(&ringing, "decline", json!({})).await.expect(200);
        bob.call_is(app, &["voicemail"]).await;
        handset.hangs_up();
        let over = bob.call_is(app, &["ended"]).await;
        assert_eq!(over["voicemail"], json!(null));
        app.calls_are_over().await;
    }

    async fn who_hears_the_greeting_may_still_be_answered(app) {
        let Pair { bob, phone, number, .. } = app.alice_and_bob().await;
        let handset = app.phone_dials(&phone, &number);
        bob.call_is(app, &["ringing"]).await;
        handset.ear.hears(440.0).await;
        app.advance(Duration::from_secs(26));
        let greeted = bob.call_is(app, &["voicemail"]).await;
        handset.ear.hears(1_000.0).await;
        let browser = bob.accepts(&greeted, 1_300.0).await;
        bob.call_is(app, &["in_progress"]).await;
        handset.ear.hears(1_300.0).await;
        browser.ear.hears(PHONE_HZ).await;
        bob.to_call(&greeted, "hang-up", json!({})).await.expect(200);
        app.calls_are_over().await;
        assert_eq!(bob.call_is(app, &["ended"]).await["voicemail"], json!(null));
    }

    async fn one_listens_while_a_message_is_left_and_takes_the_call(app) {
        let Pair { alice, bob, phone, number, .. } = app.alice_and_bob().await;
        let handset = app.phone_dials(&phone, &number);
        let ringing = bob.call_is(app, &["ringing"]).await;
        let (early, offer) = Browser::new(BROWSER_HZ);
        bob.to_call(&ringing, "listen", json!({ "offer": offer })).await.refused(409, "not_now");
        drop(early);
        handset.ear.hears(440.0).await;
        bob.to_call(&ringing, "decline", json!({ "to_voicemail": true })).await.expect(200);
        let left = bob.call_is(app, &["voicemail"]).await;
        assert_eq!(left["listening"], false);
        handset.ear.hears(1_000.0).await;

        bob.to_call(&left, "listen", json!({ "offer": "nonsense" })).await.refused(422, "offer_not_audio");
        assert_eq!(bob.call_is(app, &["voicemail"]).await["listening"], false);
        alice.to_call(&left, "listen", json!({ "offer": offer })).await.refused(409, "not_now");
        let listener = bob.listens(&left, 1_300.0).await;
        listener.ear.hears(PHONE_HZ).await;
        let seen = bob.get(&format!("/v1/calls/{}", left["id"].as_str().unwrap())).await;
        assert_eq!((&seen["state"], &seen["listening"], &seen["here"]), (&json!("voicemail"), &json!(true), &json!(true)));
        let hers = alice.call_is(app, &["voicemail"]).await;
        assert_eq!((&hers["listening"], &hers["session_id"]), (&json!(false), &json!(null)), "she is not told");
        handset.ear.clear();
        listener.ear.clear();
        listener.ear.hears(PHONE_HZ).await;
        assert!(!handset.ear.has(1_300.0), "she hears nothing of him");

        // He stops, and listens again: her message goes on.
        bob.to_call(&left, "hang-up", json!({})).await.expect(200);
        assert_eq!(bob.call_is(app, &["voicemail"]).await["listening"], false);
        bob.to_call(&left, "hang-up", json!({})).await.refused(409, "not_now");
        let again = bob.listens(&left, 1_300.0).await;
        again.ear.hears(PHONE_HZ).await;
        let talk = bob.accepts(&left, 700.0).await;
        bob.call_is(app, &["in_progress"]).await;
        handset.ear.hears(700.0).await;
        talk.ear.hears(PHONE_HZ).await;
        bob.to_call(&left, "hang-up", json!({})).await.expect(200);
        app.calls_are_over().await;
        let over = bob.call_is(app, &["ended"]).await;
        assert_eq!((&over["end_reason"], &over["voicemail"], &over["missed"]), (&json!("hung_up"), &json!(null), &json!(false)));
        let causes: Vec<_> = app.call_records().await.iter().filter(|leg| leg["kind"] == "browser").map(|leg| leg["cause"].clone()).collect();
        assert_eq!(causes.iter().filter(|cause| **cause == json!("listened")).count(), 3, "the one without an offer, too: {causes:?}");
    }

    async fn a_message_is_left_to_its_end_while_one_listens(app) {
        let Pair { bob, phone, number, .. } = app.alice_and_bob().await;
        let handset = app.phone_dials(&phone, &number);
        let ringing = bob.call_is(app, &["ringing"]).await;
        handset.ear.hears(440.0).await;
        bob.to_call(&ringing, "decline", json!({ "to_voicemail": true })).await.expect(200);
        let left = bob.call_is(app, &["voicemail"]).await;
        handset.ear.hears(1_000.0).await;
        let listener = bob.listens(&left, BROWSER_HZ).await;
        listener.ear.hears(PHONE_HZ).await;
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        handset.presses("#");
        let over = bob.call_is(app, &["ended"]).await;
        assert_eq!((&over["end_reason"], &over["listening"]), (&json!("voicemail"), &json!(false)));
        assert!(over["voicemail"]["seconds"].as_i64().unwrap() >= 1);
        app.calls_are_over().await;
    }

    async fn a_client_leaves_a_message_and_hangs_up(app) {
        let Pair { alice, bob, contact, .. } = app.alice_and_bob().await;
        for end in ["hang-up", "digits", "closes", "killed"] {
            let events = crate::live::open(app, &bob, None).await;
            let (call, browser) = bob.calls(&contact, BROWSER_HZ).await;
            bob.to_call(&call, "digits", json!({ "digits": "#" })).await.refused(409, "not_now");
            browser.ear.hears(440.0).await;
            let ringing = alice.call_is(app, &["ringing"]).await;
            alice.to_call(&ringing, "decline", json!({ "to_voicemail": true })).await.expect(200);
            bob.call_is(app, &["voicemail"]).await;
            browser.ear.hears(1_000.0).await;
            // The beep, and then he has spoken long enough to be kept.
            tokio::time::sleep(Duration::from_millis(2_500)).await;
            match end {
                "hang-up" => drop(bob.to_call(&call, "hang-up", json!({})).await.expect(200)),
                "digits" => {
                    bob.to_call(&call, "digits", json!({ "digits": "1" })).await.refused(409, "not_now");
                    bob.to_call(&call, "digits", json!({ "digits": "#" })).await.expect(204);
                }
                "closes" => browser.closes(),
                _ => {
                    browser.vanishes();
                    drop(events);
                }
            }
            let over = alice.call_is(app, &["ended"]).await;
            assert_eq!((&over["id"], &over["end_reason"]), (&call["id"], &json!("voicemail")), "{end}");
            let said = format!("{}{}", app.url, over["voicemail"]["url"].as_str().unwrap());
            let wav = alice.http().get(said).bearer_auth(alice.token.as_deref().unwrap()).send().await.unwrap().bytes().await.unwrap();
            assert!(crate::support::browser::best(&wav[58..], BROWSER_HZ) > 0.2, "his voice is in it");
            bob.to_call(&call, "hang-up", json!({})).await.refused(409, "call_over");
            app.calls_are_over().await;
        }
        // Who hangs up before the beep leaves nothing.
        let (call, browser) = bob.calls(&contact, BROWSER_HZ).await;
        browser.ear.hears(440.0).await;
        app.advance(Duration::from_secs(61));
        bob.call_is(app, &["voicemail"]).await;
        bob.to_call(&call, "hang-up", json!({})).await.expect(200);
        let over = alice.call_is(app, &["ended"]).await;
        assert_eq!((&over["end_reason"], &over["voicemail"]), (&json!("no_answer"), &json!(null)));
        app.calls_are_over().await;
    }

    async fn the_phone_is_told_of_a_voicemail(app) {
        let pair = app.alice_and_bob().await;
        let (_, id) = left_by_bob(app, &pair).await;
        assert_eq!(app.texts(&pair.phone).pop().unwrap(), (pair.number.clone(), "Voicemail from Bob (3 s). Listen to it in Meari.".to_owned()));
        pair.bob.get(&format!("/v1/voicemails/{id}/audio")).await.refused(404, "not_found");
    }

    async fn settings_decide_who_rings(app) {
        let Pair { alice, bob, phone, number, contact } = app.alice_and_bob().await;
        let first = bob.get("/v1/me/call-settings").await.expect(200);
        assert_eq!((&first["ring"], &first["do_not_disturb"], &first["voicemail"]["enabled"], &first["pin_set"]), (&json!("together"), &json!(false), &json!(true), &json!(false)));
        for (typed, code) in [("911", "emergency_number"), ("+1 900 555 0123", "premium_number"), ("abc", "not_a_phone_number")] {
            let body = json!({ "forward_to": typed, "voicemail": {} });
            bob.put("/v1/me/call-settings", body).await.refused(422, code);
        }
        bob.put("/v1/me/call-settings", json!({ "ring_seconds": 4, "voicemail": {} })).await.refused(422, "out_of_range");
        bob.put("/v1/me/call-settings/pin", json!({ "pin": "12" })).await.refused(422, "bad_pin");

        let quiet = json!({ "do_not_disturb": true, "voicemail": { "enabled": false } });
        bob.put("/v1/me/call-settings", quiet).await.expect(200);
        let handset = app.phone_dials(&phone, &number);
        handset.is(PhoneCallState::Ended).await;
        assert_eq!(bob.call_is(app, &["ended"]).await["end_reason"], "no_answer");
        app.calls_are_over().await;

        // Alice's calls go to her other phone, which shows the friend's number.
        let other = app.phone("+12025550109");
        let forward = json!({ "forward_to": "+12025550109", "forward_when": "always", "voicemail": {} });
        assert_eq!(alice.put("/v1/me/call-settings", forward).await.expect(200)["forward_to"], "+12025550109");
        let (call, _browser) = bob.calls(&contact, BROWSER_HZ).await;
        let rings = app.phone_rings(&other).await;
        assert_eq!(rings.shows().with.as_str(), number);
        rings.answers();
        bob.call_is(app, &["in_progress"]).await;
        bob.to_call(&call, "hang-up", json!({})).await.expect(200);
        app.calls_are_over().await;
    }

    async fn a_recorded_greeting_is_played(app) {
        let Pair { bob, phone, number, .. } = app.alice_and_bob().await;
        let sound: Vec<u8> = (0..50).flat_map(|frame| tone(1_500.0, frame)).collect();
        let put = |body: Vec<u8>| {
            bob.http().put(format!("{}/v1/me/call-settings/greeting", app.url)).bearer_auth(bob.token.as_deref().unwrap()).body(body)
        };
        assert_eq!(put(b"RIFF nonsense".to_vec()).send().await.unwrap().status(), 422);
        assert_eq!(put(meari::media::wav(&sound)).send().await.unwrap().status(), 204);
        assert_eq!(bob.get("/v1/me/call-settings").await["voicemail"]["greeting_recorded"], true);
        let handset = app.phone_dials(&phone, &number);
        bob.call_is(app, &["ringing"]).await;
        handset.is(PhoneCallState::Talking).await;
        handset.ear.hears(440.0).await;
        app.advance(Duration::from_secs(26));
        bob.call_is(app, &["voicemail"]).await;
        handset.ear.hears(1_500.0).await;
        assert!(handset.shows().spoken.is_empty(), "the carrier says nothing");
        handset.hangs_up();
        app.calls_are_over().await;
        assert_eq!(put(Vec::new()).send().await.unwrap().status(), 204);
        // A whole minute is taken, and not more.
        assert_eq!(put(meari::media::wav(&vec![0xff; 60 * 8_000])).send().await.unwrap().status(), 204);
        assert_eq!(put(meari::media::wav(&vec![0xff; 61 * 8_000])).send().await.unwrap().status(), 422);
    }

    async fn calls_are_forwarded_only_where_one_has_a_phone(app) {
        let Pair { alice, bob, contact, .. } = app.alice_and_bob().await;
        let to = |number: &str| json!({ "forward_to": number, "forward_when": "always", "voicemail": { "enabled": false } });
        bob.put("/v1/me/call-settings", to("+12025550109")).await.refused(422, "unexpected_destination");
        alice.put("/v1/me/call-settings", to("+821012345678")).await.refused(422, "unexpected_destination");
        // While one has the phone that stands for the country, and not any longer.
        app.phone("+12025550109");
        alice.put("/v1/me/call-settings", to("+12025550109")).await.expect(200);
        let mobile = alice.get("/v1/me").await["mobiles"][0]["id"].as_str().unwrap().to_owned();
        alice.delete(&format!("/v1/me/mobiles/{mobile}")).await.expect(204);
        let (_, _browser) = bob.calls(&contact, BROWSER_HZ).await;
        app.settle().await;
        assert!(app.carrier.phone_call_list(&meari::phone::E164::parse("+12025550109").unwrap()).unwrap().is_empty());
        let rings = alice.call_is(app, &["ringing"]).await;
        alice.to_call(&rings, "decline", json!({})).await.expect(200);
        app.calls_are_over().await;
    }

    async fn recording_needs_the_consent_of_both(app) {
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        let (to_bob, _) = alice.befriends(&bob).await;
        let (call, here) = alice.calls(&to_bob, BROWSER_HZ).await;
        let ringing = bob.call_is(app, &["ringing"]).await;
        let there = bob.accepts(&ringing, 700.0).await;
        here.ear.hears(700.0).await;
        alice.to_call(&call, "recording/answer", json!({ "agree": true })).await.refused(409, "not_now");
        alice.to_call(&call, "recording", json!({ "on": true })).await.expect(200);
        let asked = bob.call_is(app, &["in_progress"]).await;
        assert_eq!((&asked["recording"], &asked["recording_asked_of_me"]), (&json!("asked"), &json!(true)));
        let on = bob.to_call(&call, "recording/answer", json!({ "agree": true })).await.expect(200);
        assert_eq!(on["recording"], "on");
        there.ear.clear();
        there.ear.hears(BROWSER_HZ).await;
        bob.to_call(&call, "recording", json!({ "on": false })).await.expect(200);
        let path = format!("{}/v1/calls/{}/recording", app.url, call["id"].as_str().unwrap());
        eventually("both have the recording", async || {
            let mut both = true;
            for person in [&alice, &bob] {
                let answer = person.http().get(&path).bearer_auth(person.token.as_deref().unwrap()).send().await;
                both &= answer.unwrap().status() == 200;
            }
            both
        })
        .await;
        let path = format!("/v1/calls/{}/recording", call["id"].as_str().unwrap());
        let seen = bob.get("/v1/calls?limit=1").await.expect(200);
        assert_eq!(seen["items"][0]["recorded"]["url"], path.as_str(), "while they still talk, too");
        alice.to_call(&call, "hang-up", json!({})).await.expect(200);
        app.calls_are_over().await;
        for person in [&alice, &bob] {
            let chats = person.get("/v1/conversations").await.expect(200);
            assert_eq!(chats["items"][0]["last_message"]["call"]["recording"]["url"], path.as_str());
        }
    }

    async fn a_phone_is_asked_before_a_call_is_recorded(app) {
        let Pair { bob, phone, number, .. } = app.alice_and_bob().await;
        let handset = app.phone_dials(&phone, &number);
        let ringing = bob.call_is(app, &["ringing"]).await;
        let _browser = bob.accepts(&ringing, BROWSER_HZ).await;
        handset.ear.hears(BROWSER_HZ).await;
        bob.to_call(&ringing, "recording", json!({ "on": true })).await.expect(200);
        eventually("the phone is asked", async || handset.shows().spoken.iter().any(|said| said.contains("record this call"))).await;
        handset.presses("1");
        eventually("the phone has agreed", async || {
            bob.get("/v1/calls?limit=1").await["items"][0]["recording"] == "on"
        })
        .await;
        handset.ear.clear();
        handset.ear.hears(BROWSER_HZ).await;
        bob.to_call(&ringing, "hang-up", json!({})).await.expect(200);
        app.calls_are_over().await;
        eventually("what was recorded up to the end stands in the conversation", async || {
            bob.get("/v1/conversations").await["items"][0]["last_message"]["call"]["recording"]["url"].is_string()
        })
        .await;
    }

    async fn quality_is_kept_shown_and_hidden_in_the_crowd(app) {
        let Pair { bob, phone, number, .. } = app.alice_and_bob().await;
        let handset = app.phone_dials(&phone, &number);
        let ringing = bob.call_is(app, &["ringing"]).await;
        let browser = bob.accepts(&ringing, BROWSER_HZ).await;
        handset.ear.hears(BROWSER_HZ).await;
        let report = json!({ "packets_received": 970, "packets_lost": 30, "jitter_ms": 12.0, "jitter_buffer_ms": 40.0,
            "concealed": 6_400, "samples": 160_000, "rtt_ms": 35.0, "local_network": "wifi", "candidate_type": "host" });
        bob.to_call(&ringing, "quality", report).await.expect(204);
        bob.to_call(&ringing, "hang-up", json!({})).await.expect(200);
        app.calls_are_over().await;
        drop(browser);
        let over = bob.call_is(app, &["ended"]).await;
        assert!(over["quality"]["mos"].as_f64().unwrap() < 4.4 && over["quality"]["loss"].as_f64().unwrap() >= 0.03, "{over}");
        let map = app.stranger().get("/v1/call-quality?region=us").await.expect(200);
        assert_eq!((&map["networks"], &map["minimum_calls"]), (&json!([]), &json!(20)), "one call is nobody's business");
    }

    async fn who_is_screened_says_his_name_first(app) {
        let Pair { bob, phone, number, .. } = app.alice_and_bob().await;
        bob.put("/v1/me/call-settings", json!({ "screening": true, "voicemail": {} })).await.expect(200);
        let handset = app.phone_dials(&phone, &number);
        let ringing = bob.call_is(app, &["ringing"]).await;
        assert_eq!(ringing["screening"], json!({ "said_url": null }));
        let mut said = json!(null);
        eventually("the name is there", async || {
            said = bob.get(&format!("/v1/calls/{}", ringing["id"].as_str().unwrap())).await["screening"]["said_url"].clone();
            said.is_string()
        })
        .await;
        assert_eq!(handset.shows().spoken, ["Please say your name after the beep."]);
        let path = format!("{}{}", app.url, said.as_str().unwrap());
        let answer = bob.http().get(path).bearer_auth(bob.token.as_deref().unwrap()).send().await.unwrap();
        assert!(crate::support::browser::best(&answer.bytes().await.unwrap()[58..], PHONE_HZ) > 0.2);
        handset.ear.hears(440.0).await;
        handset.hangs_up();
        bob.call_is(app, &["ended"]).await;
        app.calls_are_over().await;
    }

    async fn who_hides_his_number_tells_it_with_a_pin(app) {
        let Pair { alice, bob, number, .. } = app.alice_and_bob().await;
        alice.put("/v1/me/call-settings/pin", json!({ "pin": "4711" })).await.expect(204);
        assert_eq!(alice.get("/v1/me/call-settings").await["pin_set"], true);
        let ask = |path: String, form: Vec<(String, String)>| {
            let url = format!("{}/carriers/sim/{path}", app.url);
            let signature = meari::simulator::signature::sign(crate::support::app::AUTH_TOKEN, &url, &form);
            app.stranger().http().post(&url).header("x-twilio-signature", signature).form(&form)
        };
        let pairs = |more: &[(&str, &str)]| {
            let mut form = vec![("CallSid".to_owned(), "CA00000000000000000000000000000007".to_owned())];
            form.extend(more.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
            form
        };
        let first = ask("voice".to_owned(), pairs(&[("From", "anonymous"), ("To", &number)])).send().await.unwrap();
        let asked = first.text().await.unwrap();
        assert!(asked.contains("<Gather") && asked.contains("/hidden\""), "{asked}");
        let path = format!("voice/{}/hidden", number.trim_start_matches('+'));
        let wrong = ask(path.clone(), pairs(&[("Digits", "12025550101*0000")])).send().await.unwrap();
        assert!(wrong.text().await.unwrap().contains("not right"));
        let good = ask(path, pairs(&[("Digits", "12025550101*4711")])).send().await.unwrap();
        assert!(good.text().await.unwrap().contains("<Stream"));
        let ringing = bob.call_is(app, &["ringing"]).await;
        assert_eq!(ringing["contact"]["address"], "meari:alice");
        bob.to_call(&ringing, "decline", json!({ "to_voicemail": false })).await.expect(200);
        app.settle().await;
    }
}
