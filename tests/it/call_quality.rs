//! How calls sounded: kept for the two, and for everybody in groups of many calls of many people.

use std::time::Duration;

use diesel::prelude::*;
use meari::db::{Db, Lane};
use meari::ids::{AccountId, CallId, CallLegId};
use meari::schema::call_quality;
use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::app::Pair;
use crate::support::calling::{BROWSER_HZ, OTHER_HZ, PHONE_HZ};

fn report() -> Value {
    json!({ "packets_received": 970, "packets_lost": 30, "jitter_ms": 12.0, "jitter_buffer_ms": 40.0,
        "concealed": 6_400, "samples": 160_000, "rtt_ms": 35.0, "local_network": "WiFi", "candidate_type": "host" })
}

/// Whose ends are kept as what: region, network and codec.
async fn kept(app: &TestApp, account: &str) -> Vec<(String, String, String)> {
    let account: AccountId = account.parse().unwrap();
    let read = move |db: &mut Db| {
        Ok(meari::each!(db, |c| call_quality::table
            .filter(call_quality::account_id.eq(account))
            .select((call_quality::region, call_quality::network, call_quality::codec))
            .load(c))?)
    };
    app.app.db.read(read).await.unwrap()
}

/// Calls of so many people each with so many, by a network.
async fn many(app: &TestApp, network: &'static str, people: usize, calls: usize) {
    let now = app.app.now();
    let write = move |db: &mut Db| {
        for _ in 0..people {
            let account = AccountId::new(now);
            for _ in 0..calls {
                meari::each!(db, |c| diesel::insert_into(call_quality::table)
                    .values((
                        call_quality::leg_id.eq(CallLegId::new(now)),
                        call_quality::call_id.eq(CallId::new(now)),
                        call_quality::at.eq(now),
                        call_quality::codec.eq("pcmu"),
                        call_quality::network.eq(network),
                        call_quality::region.eq("KR"),
                        call_quality::mos_hundredths.eq(400),
                        call_quality::loss_ppm.eq(0),
                        call_quality::jitter_ms.eq(4),
                        call_quality::account_id.eq(account),
                    ))
                    .execute(c))?;
            }
        }
        Ok(())
    };
    app.app.db.write(Lane::Any, write).await.unwrap();
}

story! {
    async fn an_end_counts_where_its_owner_is(app) {
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        alice.patch("/v1/me", json!({ "locale": "ko" })).await.expect(200);
        let (to_bob, _) = alice.befriends(&bob).await;
        bob.put("/v1/me/call-settings", json!({ "voicemail": { "enabled": false } })).await.expect(200);
        let (call, here) = alice.calls(&to_bob, BROWSER_HZ).await;
        let ringing = bob.call_is(app, &["ringing"]).await;
        let _there = bob.accepts(&ringing, OTHER_HZ).await;
        bob.call_is(app, &["in_progress"]).await;
        for person in [&alice, &bob] {
            person.to_call(&call, "quality", report()).await.expect(204);
        }
        alice.to_call(&call, "hang-up", json!({})).await.expect(200);
        app.calls_are_over().await;
        // What the client tells last does not change what was spoken.
        alice.to_call(&call, "quality", json!({ "local_network": "<b>mine</b>" })).await.expect(204);
        let word = |text: &str| text.to_owned();
        assert_eq!(kept(app, &alice.id).await, [(word("KR"), word("unknown"), word("opus"))]);
        assert_eq!(kept(app, &bob.id).await, [(word("ZZ"), word("wifi"), word("opus"))], "nobody knows where he is");
        drop(here);
    }

    async fn a_browser_is_not_where_the_phone_is(app) {
        let Pair { bob, phone, number, .. } = app.alice_and_bob().await;
        bob.patch("/v1/me", json!({ "locale": "ko" })).await.expect(200);
        let handset = app.phone_dials(&phone, &number);
        let ringing = bob.call_is(app, &["ringing"]).await;
        let browser = bob.accepts(&ringing, BROWSER_HZ).await;
        browser.ear.hears(PHONE_HZ).await;
        bob.to_call(&ringing, "quality", report()).await.expect(204);
        assert_eq!(kept(app, &bob.id).await, [("KR".to_owned(), "wifi".to_owned(), "pcmu".to_owned())]);
        handset.hangs_up();
        app.calls_are_over().await;
    }

    async fn what_is_measured_after_an_account_is_deleted_is_about_nobody(app) {
        let Pair { alice, bob, contact, .. } = app.alice_and_bob().await;
        let (call, browser) = bob.calls(&contact, BROWSER_HZ).await;
        let ringing = alice.call_is(app, &["ringing"]).await;
        let there = alice.accepts(&ringing, BROWSER_HZ).await;
        browser.ear.hears(BROWSER_HZ).await;
        there.ear.hears(BROWSER_HZ).await;
        let body = json!({ "password": crate::support::client::PASSWORD });
        bob.call(reqwest::Method::DELETE, "/v1/me", Some(&body)).await.expect(204);
        app.calls_are_over().await;
        // The node that had the sound says only now what it has measured.
        let id: CallId = call["id"].as_str().unwrap().parse().unwrap();
        let (now, his, hers): (_, AccountId, AccountId) = (app.app.now(), bob.id.parse().unwrap(), alice.id.parse().unwrap());
        let late = move |db: &mut meari::db::Db| {
            use meari::calls::quality::{Measured, keep};
            let measured = Measured { mos: 4.0, loss: 0.0, jitter_ms: 1.0, rtt_ms: None, network: None };
            let call = meari::calls::find(db, hers, id)?;
            for account in [his, hers] {
                let leg = meari::calls::browser_leg(db, &call, account)?.unwrap();
                keep(db, now, &call, &leg, &measured)?;
            }
            Ok(())
        };
        app.app.db.write(meari::db::Lane::Any, late).await.unwrap();
        assert_eq!(kept(app, &bob.id).await, []);
        assert_eq!(kept(app, &alice.id).await.len(), 1);
    }

    async fn what_a_client_tells_has_a_time_and_a_limit(app) {
        let Pair { bob, contact, .. } = app.alice_and_bob().await;
        let (call, _browser) = bob.calls(&contact, BROWSER_HZ).await;
        bob.to_call(&call, "hang-up", json!({})).await.expect(200);
        app.calls_are_over().await;
        for _ in 0..60 {
            bob.to_call(&call, "quality", report()).await.expect(204);
        }
        assert_eq!(bob.to_call(&call, "quality", report()).await.refused(429, "too_many_reports").status, 429);
        app.advance(Duration::from_secs(130));
        bob.to_call(&call, "quality", report()).await.refused(409, "call_over");
        app.settle().await;
    }

    async fn the_map_shows_many_calls_of_many_people(app) {
        let map = async || app.stranger().get("/v1/call-quality?region=kr").await.expect(200);
        let empty = map().await;
        assert_eq!((&empty["networks"], &empty["minimum_calls"], &empty["minimum_people"]), (&json!([]), &json!(20), &json!(5)));
        many(app, "wifi", 5, 4).await;
        many(app, "cellular", 4, 50).await;
        many(app, "ethernet", 5, 3).await;
        assert_eq!(map().await["networks"], json!([]), "it is made once a minute, however many ask");
        app.advance(Duration::from_secs(61));
        let shown = map().await;
        let networks: Vec<_> = shown["networks"].as_array().unwrap().iter().map(|of| (of["network"].clone(), of["calls"].clone())).collect();
        assert_eq!(networks, [(json!("wifi"), json!(20))]);
        assert_eq!(app.stranger().get("/v1/call-quality?region=US").await["networks"], json!([]));
    }
}
