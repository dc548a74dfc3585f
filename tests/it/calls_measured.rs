//! How long it takes from the press on “answer” until both hear each other: the request itself, its commit, what follows
//! from that at the switchboard, ICE, DTLS and the first sound, on this machine. Not run by default:
//! `cargo test --release --test it calls_measured -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::TestApp;
use crate::support::browser::Browser;
use crate::support::calling::{BROWSER_HZ, OTHER_HZ};

/// Calls that are measured; the first ones, which start the engine, do not count.
const CALLS: usize = 40;
const FIRST: usize = 3;
/// What was asked of it.
const WANTED: Duration = Duration::from_millis(500);

/// From `accept` until both have heard the other.
async fn one(app: &TestApp) -> Vec<Duration> {
    let (alice, bob) = (app.person("alice").await, app.person("bob").await);
    let (to_bob, _) = alice.befriends(&bob).await;
    let mut took = Vec::new();
    for _ in 0..CALLS + FIRST {
        let (call, here) = alice.calls(&to_bob, BROWSER_HZ).await;
        let ringing = bob.call_is(app, &["ringing"]).await;
        here.ear.hears(440.0).await;
        here.ear.clear();
        let (there, offer) = Browser::new(OTHER_HZ);
        let since = Instant::now();
        let answer = bob.try_accept(&ringing, &offer).await.expect(200);
        there.takes(answer["answer"].as_str().unwrap());
        while !(here.ear.has(OTHER_HZ) && there.ear.has(BROWSER_HZ)) {
            assert!(since.elapsed() < Duration::from_secs(20), "they never hear each other");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        took.push(since.elapsed());
        bob.to_call(&call, "hang-up", json!({})).await.expect(200);
        app.calls_are_over().await;
        // So many calls in a minute are too many.
        app.advance(Duration::from_secs(10));
    }
    took.split_off(FIRST)
}

#[actix_web::test]
#[ignore = "measures, and wants a quiet machine"]
async fn from_the_answer_to_two_way_sound() {
    for (engine, app) in
        [("SQLite", TestApp::on_sqlite().await), ("PostgreSQL", TestApp::on_postgres().await)]
    {
        let mut took = one(&app).await;
        took.sort_unstable();
        let (p50, p95) = (took[CALLS / 2], took[CALLS * 95 / 100]);
        println!(
            "{engine}: {CALLS} calls, accept to two-way sound p50 {p50:?}, p95 {p95:?}, longest {:?}",
            took[CALLS - 1]
        );
        assert!(p95 < WANTED, "{engine}: {p95:?}");
        app.finish().await;
    }
}
