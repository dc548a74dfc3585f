//! The same calls over every vendor's wire: its call control, its callbacks and its media sockets, with a tone each way.
//! What the two databases make of calls is told in `calls`.

use std::time::Duration;

use meari::db::{Db, Lane};
use meari::numbers;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::app::Pair;
use crate::support::calling::{BROWSER_HZ, PHONE_HZ};
use crate::support::database::TestDatabase;
use crate::support::exchange::{Callback, End, Exchange, Facts, ID, Stage, Wire, Word};
use crate::support::{TestApp, eventually};

const PHONE: &str = "+12025550101";

/// A running Meari whose numbers are at one of the vendors, for calls.
pub struct Lines {
    pub app: TestApp,
    pub exchange: Exchange,
}

impl Lines {
    pub async fn up<W: Wire>() -> Lines {
        let exchange = Exchange::up::<W>();
        let carrier = W::settings(&exchange.url);
        let app = TestApp::start(TestDatabase::sqlite(), |settings| settings.carriers.push(carrier)).await;
        exchange.knows(&format!("{}/carriers/{ID}", app.url), &app.app.clock);
        Lines { app, exchange }
    }

    pub async fn finish(self) {
        self.exchange.down().await;
        self.app.finish().await;
    }

    /// Alice by her phone and Bob by his messenger; texts go their own way.
    pub async fn alice_and_bob(&self) -> Pair {
        let pair = self.app.alice_and_bob().await;
        self.app.settle().await;
        let port = |db: &mut Db| {
            for number in numbers::list_of_carrier(db, "sim", 100)? {
                numbers::port(db, number.id, ID)?;
            }
            Ok(())
        };
        self.app.app.db.write(Lane::Any, port).await.unwrap();
        pair
    }

    /// Waits until no call is open on either side.
    pub async fn are_quiet(&self) {
        eventually("the vendor's calls are over", async || {
            meari::worker::drain(&self.app.app).await;
            self.exchange.open_calls() == 0
        })
        .await;
        self.app.calls_are_over().await;
    }

    /// A call that this vendor could tell us of.
    fn unheard(&self, number: &str) -> Facts {
        Facts {
            id: "99999999-2222-4333-8444-000000000000".to_owned(),
            from: PHONE.to_owned(),
            to: number.to_owned(),
            is_incoming: true,
            stage: Stage::Ringing,
            said: Vec::new(),
            types: String::new(),
            kept: [].into(),
            sockets: Vec::new(),
        }
    }
}

/// Tells every story on every wire.
macro_rules! voice_story {
    ($($(#[$meta:meta])* async fn $name:ident($lines:ident) $body:block)+) => {
        $(mod $name {
            #[allow(unused_imports)]
            use super::*;
            async fn story($lines: &Lines) $body

            async fn told<W: Wire>() {
                let lines = Lines::up::<W>().await;
                story(&lines).await;
                lines.finish().await;
            }

            $(#[$meta])*
            #[actix_web::test]
            async fn telnyx() {
                told::<crate::support::exchange::telnyx::Telnyx>().await;
            }

            $(#[$meta])*
            #[actix_web::test]
            async fn vonage() {
                told::<crate::support::exchange::vonage::Vonage>().await;
            }

            $(#[$meta])*
            #[actix_web::test]
            async fn plivo() {
                told::<crate::support::exchange::plivo::Plivo>().await;
            }

            $(#[$meta])*
            #[actix_web::test]
            async fn bandwidth() {
                told::<crate::support::exchange::bandwidth::Bandwidth>().await;
            }
        })+
    };
}

voice_story! {
    async fn a_phone_calls_and_they_talk(lines) {
        let Pair { bob, number, .. } = lines.alice_and_bob().await;
        let app = &lines.app;
        let handset = lines.exchange.dials(PHONE, &number);
        let ringing = bob.call_is(app, &["ringing"]).await;
        assert_eq!((&ringing["direction"], &ringing["via"]), (&json!("incoming"), &json!("phone")));
        let tells = lines.app.app.carriers.get(ID).unwrap().kind() != "vonage";
        assert_eq!(ringing["attestation"], if tells { json!("A") } else { Value::Null });
        handset.ear.hears(440.0).await;
        let browser = bob.accepts(&ringing, BROWSER_HZ).await;
        handset.ear.hears(BROWSER_HZ).await;
        browser.ear.hears(PHONE_HZ).await;
        handset.presses('5');
        eventually("the key arrives once", async || browser.keys() == [5]).await;
        bob.to_call(&ringing, "mute", json!({ "on": true })).await.expect(200);
        handset.ear.clear();
        bob.to_call(&ringing, "digits", json!({ "digits": "1" })).await.expect(204);
        handset.ear.hears(697.0).await;
        bob.to_call(&ringing, "hang-up", json!({})).await.expect(200);
        assert_eq!(handset.is_over(app).await, End::Completed);
        lines.are_quiet().await;
        assert_eq!(bob.call_is(app, &["ended"]).await["end_reason"], "hung_up");
        let records = app.call_records().await;
        assert!(records.len() == 2 && records.iter().any(|r| r["route"] == ID), "{records:?}");
    }

    async fn who_gives_up_is_missed_and_who_hangs_up_is_heard(lines) {
        let Pair { bob, number, .. } = lines.alice_and_bob().await;
        let app = &lines.app;
        let handset = lines.exchange.dials(PHONE, &number);
        bob.call_is(app, &["ringing"]).await;
        handset.ear.hears(440.0).await;
        handset.ends(End::Completed);
        let over = bob.call_is(app, &["ended"]).await;
        assert_eq!((&over["end_reason"], &over["missed"]), (&json!("cancelled"), &json!(true)));
        lines.are_quiet().await;

        let handset = lines.exchange.dials(PHONE, &number);
        let ringing = bob.call_is(app, &["ringing"]).await;
        let browser = bob.accepts(&ringing, BROWSER_HZ).await;
        browser.ear.hears(PHONE_HZ).await;
        handset.ends(End::Completed);
        assert_eq!(bob.call_is(app, &["ended"]).await["end_reason"], "hung_up");
        lines.are_quiet().await;
    }

    async fn a_client_calls_a_phone_and_they_talk(lines) {
        let Pair { bob, number, contact, .. } = lines.alice_and_bob().await;
        let app = &lines.app;
        let (_, browser) = bob.calls(&contact, BROWSER_HZ).await;
        let handset = lines.exchange.rings(app, PHONE).await;
        assert_eq!(handset.facts().from, number, "the friend's number");
        browser.ear.hears(440.0).await;
        handset.answers();
        bob.call_is(app, &["in_progress"]).await;
        handset.ear.hears(BROWSER_HZ).await;
        browser.ear.hears(PHONE_HZ).await;
        handset.ends(End::Completed);
        let over = bob.call_is(app, &["ended"]).await;
        assert_eq!((&over["end_reason"], &over["missed"]), (&json!("hung_up"), &json!(false)));
        lines.are_quiet().await;
        assert_eq!(app.call_records().await.len(), 2);
    }

    async fn a_phone_that_is_busy_or_not_picked_up_says_so(lines) {
        let Pair { alice, bob, contact, .. } = lines.alice_and_bob().await;
        let app = &lines.app;
        // Her clients do not ring, so what her phone says is what comes of it.
        let phone_only = json!({ "do_not_disturb": false, "ring": "together", "voicemail": { "enabled": false } });
        alice.put("/v1/me/call-settings", phone_only).await.expect(200);
        for (end, cause) in [(End::Busy, "busy"), (End::Declined, "busy"), (End::NoAnswer, "no_answer")] {
            let (call, _browser) = bob.calls(&contact, BROWSER_HZ).await;
            let handset = lines.exchange.rings(app, PHONE).await;
            handset.ends(end);
            eventually("the phone's end is noted", async || {
                meari::worker::drain(&app.app).await;
                app.call_records().await.iter().any(|r| r["cause"] == cause && r["call_id"] == call["id"])
            })
            .await;
            bob.to_call(&call, "hang-up", json!({})).await;
            bob.call_is(app, &["ended"]).await;
            lines.are_quiet().await;
        }
    }

    async fn a_caller_who_leaves_does_not_let_the_phone_ring_on(lines) {
        let Pair { bob, contact, .. } = lines.alice_and_bob().await;
        let (call, browser) = bob.calls(&contact, BROWSER_HZ).await;
        let handset = lines.exchange.rings(&lines.app, PHONE).await;
        browser.ear.hears(440.0).await;
        bob.to_call(&call, "hang-up", json!({})).await.expect(200);
        assert_eq!(handset.is_over(&lines.app).await, End::Cancelled);
        lines.are_quiet().await;
        assert_eq!(bob.call_is(&lines.app, &["ended"]).await["end_reason"], "cancelled");
    }

    async fn nobody_answers_and_the_caller_leaves_a_message(lines) {
        let Pair { bob, number, .. } = lines.alice_and_bob().await;
        let app = &lines.app;
        let handset = lines.exchange.dials(PHONE, &number);
        bob.call_is(app, &["ringing"]).await;
        handset.ear.hears(440.0).await;
        app.advance(Duration::from_secs(26));
        bob.call_is(app, &["voicemail"]).await;
        eventually("the greeting is spoken", async || !handset.facts().said.is_empty()).await;
        assert_eq!(handset.facts().said, ["Bob cannot answer right now. Please speak after the beep."]);
        handset.ear.hears(1_000.0).await;
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        handset.ends(End::Completed);
        let over = bob.call_is(app, &["ended"]).await;
        assert_eq!((&over["end_reason"], &over["missed"]), (&json!("voicemail"), &json!(true)));
        lines.are_quiet().await;
        let url = format!("{}{}", app.url, over["voicemail"]["url"].as_str().unwrap());
        let wav = bob.http().get(url).bearer_auth(bob.token.as_deref().unwrap()).send().await.unwrap();
        let wav = wav.bytes().await.unwrap();
        assert!(crate::support::browser::best(&wav[58..], PHONE_HZ) > 0.2, "his voice is in it");
    }

    async fn forwarded_calls_show_the_friends_number(lines) {
        let Pair { alice, bob, number, contact, .. } = lines.alice_and_bob().await;
        let app = &lines.app;
        let forward = json!({ "forward_to": "+12025550109", "forward_when": "always", "voicemail": {} });
        alice.put("/v1/me/call-settings", forward).await.expect(200);
        let (call, browser) = bob.calls(&contact, BROWSER_HZ).await;
        let handset = lines.exchange.rings(app, "+12025550109").await;
        assert_eq!(handset.facts().from, number);
        handset.answers();
        bob.call_is(app, &["in_progress"]).await;
        browser.ear.hears(PHONE_HZ).await;
        bob.to_call(&call, "hang-up", json!({})).await.expect(200);
        assert_eq!(handset.is_over(app).await, End::Completed);
        lines.are_quiet().await;
    }

    async fn strangers_hear_why_and_who_is_blocked_nothing(lines) {
        let Pair { bob, number, contact, .. } = lines.alice_and_bob().await;
        let app = &lines.app;
        let stranger = lines.exchange.dials("+12025550150", &number);
        stranger.is_over(app).await;
        assert!(stranger.facts().said[0].contains("Meari member"), "{:?}", stranger.facts().said);
        bob.post(&format!("/v1/contacts/{contact}/block"), json!({})).await.expect(200);
        app.settle().await;
        let blocked = lines.exchange.dials(PHONE, &number);
        assert_eq!(blocked.is_over(app).await, End::Rejected);
        assert!(blocked.facts().said.is_empty());
        assert_eq!(bob.get("/v1/calls").await["items"], json!([]));
        lines.are_quiet().await;
    }

    async fn who_hides_his_number_says_who_he_is(lines) {
        let Pair { alice, bob, number, .. } = lines.alice_and_bob().await;
        let app = &lines.app;
        alice.put("/v1/me/call-settings/pin", json!({ "pin": "4711" })).await.expect(204);
        for typed in ["12025550101*9999", ""] {
            let handset = lines.exchange.dials_and_types("anonymous", &number, typed);
            handset.is_over(app).await;
            assert!(!handset.facts().said.is_empty());
        }
        let handset = lines.exchange.dials_and_types("anonymous", &number, "12025550101*4711");
        let ringing = bob.call_is(app, &["ringing"]).await;
        assert_eq!((&ringing["contact"]["address"], &ringing["attestation"]), (&json!("meari:alice"), &Value::Null));
        let browser = bob.accepts(&ringing, BROWSER_HZ).await;
        browser.ear.hears(PHONE_HZ).await;
        handset.ear.hears(BROWSER_HZ).await;
        bob.to_call(&ringing, "hang-up", json!({})).await.expect(200);
        lines.are_quiet().await;
    }

    async fn a_phone_is_asked_before_the_call_is_recorded(lines) {
        let Pair { bob, number, .. } = lines.alice_and_bob().await;
        let app = &lines.app;
        let handset = lines.exchange.dials_and_types(PHONE, &number, "1");
        let ringing = bob.call_is(app, &["ringing"]).await;
        let browser = bob.accepts(&ringing, BROWSER_HZ).await;
        browser.ear.hears(PHONE_HZ).await;
        bob.to_call(&ringing, "recording", json!({ "on": true })).await.expect(200);
        eventually("the phone has agreed", async || {
            meari::worker::drain(&app.app).await;
            bob.call_is(app, &["in_progress"]).await["recording"] == "on"
        })
        .await;
        assert!(handset.facts().said[0].contains("Bob"), "{:?}", handset.facts().said);
        handset.ear.clear();
        handset.ear.hears(BROWSER_HZ).await;
        bob.to_call(&ringing, "hang-up", json!({})).await.expect(200);
        lines.are_quiet().await;
    }

    async fn nothing_is_touched_without_a_good_signature(lines) {
        let Pair { bob, number, contact, .. } = lines.alice_and_bob().await;
        let app = &lines.app;
        let coming = lines.unheard(&number);
        let good = lines.exchange.callbacks(&coming, &Word::Incoming).pop().unwrap();
        refused(lines, &good).await;
        assert_eq!(bob.get("/v1/calls").await["items"], json!([]));

        let (_, browser) = bob.calls(&contact, BROWSER_HZ).await;
        let handset = lines.exchange.rings(app, PHONE).await;
        browser.ear.hears(440.0).await;
        let good = lines.exchange.callbacks(&handset.facts(), &Word::Ended(End::Busy)).pop().unwrap();
        refused(lines, &good).await;
        assert_eq!(bob.call_is(app, &["ringing"]).await["state"], "ringing", "nothing was touched");
        browser.closes();
        lines.are_quiet().await;
    }

    async fn the_doctor_learns_whether_calls_come_to_us(lines) {
        let carrier = lines.app.app.carriers.get(ID).unwrap();
        assert!(carrier.capabilities().voice && carrier.voice().is_some());
        assert_eq!(carrier.check_addresses(&lines.exchange.door()).await.unwrap(), Some(Vec::new()));
        let elsewhere = "https://elsewhere.example.org/carriers/lines";
        let wrong = carrier.check_addresses(elsewhere).await.unwrap().unwrap();
        assert!(wrong.iter().any(|line| line.contains(&format!("{elsewhere}/voice"))), "{wrong:?}");
    }

    async fn media_sockets_take_only_the_call_they_were_made_for(lines) {
        let Pair { bob, number, .. } = lines.alice_and_bob().await;
        let app = &lines.app;
        let handset = lines.exchange.dials(PHONE, &number);
        let ringing = bob.call_is(app, &["ringing"]).await;
        handset.ear.hears(440.0).await;
        let facts = handset.facts();
        let spent = facts.sockets[0].clone();
        assert_eq!(lines.exchange.opens(&facts, &spent, true).await.err(), Some(403), "good once");
        let unknown = format!("{}/media/{}", lines.exchange.door().replacen("http", "ws", 1), "A".repeat(32));
        assert_eq!(lines.exchange.opens(&facts, &unknown, true).await.err(), Some(403));

        bob.to_call(&ringing, "decline", json!({ "to_voicemail": false })).await.expect(200);
        lines.are_quiet().await;

        // A key that is good, and then the frames of another call, or none that says which call it is.
        let (hello, sound) = lines.exchange.frames(&lines.unheard(&number));
        for frames in [hello, vec![sound]] {
            let handset = lines.exchange.dials_without_sound(PHONE, &number);
            bob.call_is(app, &["ringing"]).await;
            eventually("the call has a socket", async || !handset.facts().sockets.is_empty()).await;
            let facts = handset.facts();
            let mut socket = lines.exchange.opens(&facts, &facts.sockets[0], true).await.unwrap();
            closes_after(&mut socket, frames).await;
            handset.ends(End::Completed);
            bob.call_is(app, &["ended"]).await;
            lines.are_quiet().await;
        }
    }
}

/// Every callback that is nearly this one is refused.
async fn refused(lines: &Lines, good: &Callback) {
    for (why, bad) in lines.exchange.forged(good) {
        let (status, _) = bad.call().await;
        assert!(status == 403 || (status == 401 && why == "nothing"), "{why}: {status}");
    }
}

async fn closes_after(socket: &mut crate::support::exchange::Socket, frames: Vec<Message>) {
    use futures_util::{SinkExt as _, StreamExt as _};
    for frame in frames {
        let _ = socket.send(frame).await;
    }
    loop {
        match tokio::time::timeout(Duration::from_secs(30), socket.next()).await.expect("it is closed") {
            None | Some(Err(_) | Ok(Message::Close(_))) => return,
            Some(Ok(_)) => {}
        }
    }
}
