//! Many calls with all the ways to end: none is stuck, no socket is left, and each end has its record.

use std::time::Duration;

use serde_json::json;

use crate::support::app::Pair;
use crate::support::calling::BROWSER_HZ;
use crate::support::eventually;
use crate::support::{Person, TestApp};

/// The next of a row of numbers below `below` that looks like chance and is the same each time.
fn next(random: &mut u64, below: u64) -> u64 {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    *random % below
}

/// One call that ends in one of the ways.
async fn one_call(app: &TestApp, pair: &Pair, bob: &Person, random: &mut u64) {
    let Pair { phone, number, .. } = pair;
    let before = bob.get("/v1/calls?limit=1").await.expect(200)["items"][0]["id"].clone();
    let handset = app.phone_dials(phone, number);
    let way = next(random, 8);
    if way == 0 {
        // At once, perhaps before the carrier has asked us anything.
        handset.hangs_up();
        return;
    }
    let mut ringing = before.clone();
    eventually("another call rings", async || {
        ringing = bob.get("/v1/calls?limit=1").await.expect(200)["items"][0].clone();
        ringing["id"] != before
    })
    .await;
    match way {
        1 => handset.hangs_up(),
        2 => drop(bob.to_call(&ringing, "decline", json!({ "to_voicemail": false })).await),
        3 => {
            handset.ear.hears(440.0).await;
            app.advance(Duration::from_secs(26));
            bob.call_is(app, &["voicemail", "ended"]).await;
            handset.hangs_up();
        }
        _ => {
            let browser = bob.accepts(&ringing, BROWSER_HZ).await;
            if next(random, 2) == 0 {
                bob.call_is(app, &["in_progress", "ended"]).await;
            }
            match way {
                4 => handset.hangs_up(),
                5 => drop(bob.to_call(&ringing, "hang-up", json!({})).await),
                6 => browser.closes(),
                _ => {
                    // Both at once.
                    handset.hangs_up();
                    bob.to_call(&ringing, "hang-up", json!({})).await;
                }
            }
        }
    }
}

async fn many_calls(app: &TestApp, count: usize) {
    let pair = app.alice_and_bob().await;
    let mut random = 88_172_645_463_325_252;
    for _ in 0..count {
        let bob = pair.bob.signs_in_again().await;
        one_call(app, &pair, &bob, &mut random).await;
        // Time passes: whatever one side has not said, the other finds out.
        eventually("the call is over on both sides", async || {
            app.advance(Duration::from_secs(1));
            app.settle().await;
            let open = bob.get("/v1/calls?limit=1").await.expect(200)["items"][0]["state"] != "ended";
            !open && app.carrier.open_calls() == 0 && app.edges.calls.live_count() == 0
        })
        .await;
        // Below the limits of one person.
        app.advance(Duration::from_secs(200));
    }
    let mut after = String::new();
    let mut calls = Vec::new();
    let bob = pair.bob.signs_in_again().await;
    loop {
        let page = bob.get(&format!("/v1/calls?limit=100{after}")).await.expect(200);
        calls.extend(page["items"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert!(calls.len() >= count / 2, "{} of {count} reached us", calls.len());
    assert!(calls.iter().all(|call| call["state"] == "ended" && call["end_reason"].is_string()));
    assert!(calls.iter().all(|call| call["end_reason"] != "lost"), "nothing had to be swept up");
    let read = |db: &mut meari::db::Db| meari::calls::records::list(db, None, 10_000);
    let records = app.app.db.read(read).await.unwrap();
    for call in &calls {
        let of = records.iter().filter(|record| record.leg.call.to_string() == call["id"].as_str().unwrap());
        let ended: Vec<_> = of.collect();
        assert!(!ended.is_empty() && ended.iter().all(|r| r.leg.cause.is_some() && r.leg.ended_at.is_some()));
    }
    assert_eq!(app.app.media.figures().legs, 0, "no socket is left");
}

story! {
    async fn twenty_calls_end_in_every_way(app) {
        many_calls(app, 20).await;
    }
}

#[actix_web::test]
#[ignore = "some minutes"]
async fn a_thousand_calls_end_in_every_way() {
    let app = TestApp::on_sqlite().await;
    many_calls(&app, 1_000).await;
    app.finish().await;
}
