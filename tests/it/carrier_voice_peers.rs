//! Vendors' own SDKs judge our calls: the requests that we make, the documents that we answer, and the callbacks of the
//! fakes that the stories use. Not run by default: the SDKs have to be installed first (scripts/setup);
//! `cargo test --test it peers -- --ignored`.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::carrier_voice::Lines;
use crate::support::app::{Pair, noon};
use crate::support::calling::{BROWSER_HZ, PHONE_HZ};
use crate::support::exchange::{self, End, Exchange, Wire};
use crate::support::line::Line;
use crate::support::wires::SECRET;
use crate::support::{TestApp, eventually};

const PHONE: &str = "+12025550101";

/// Calls in which everything is said once.
async fn calls<W: Wire>() -> Exchange {
    let lines = Lines::up::<W>().await;
    let Pair { alice, bob, number, contact, .. } = lines.alice_and_bob().await;
    let (app, exchange) = (&lines.app, &lines.exchange);
    alice.put("/v1/me/call-settings/pin", json!({ "pin": "4711" })).await.expect(204);
    // A question, and a call that goes to voicemail with a greeting.
    let handset = exchange.dials_and_types("anonymous", &number, "12025550101*4711");
    bob.call_is(app, &["ringing"]).await;
    handset.ear.hears(440.0).await;
    app.advance(Duration::from_secs(26));
    eventually("the greeting is spoken", async || {
        meari::worker::drain(&app.app).await;
        handset.facts().said.len() == 2
    })
    .await;
    handset.ends(End::Completed);
    bob.call_is(app, &["ended"]).await;
    lines.are_quiet().await;
    // A call that rings in vain, and one in which they talk and a key is pressed.
    let (call, _browser) = bob.calls(&contact, BROWSER_HZ).await;
    exchange.rings(app, PHONE).await;
    bob.to_call(&call, "hang-up", json!({})).await.expect(200);
    lines.are_quiet().await;
    let (call, browser) = bob.calls(&contact, BROWSER_HZ).await;
    let handset = exchange.rings(app, PHONE).await;
    handset.answers();
    bob.call_is(app, &["in_progress"]).await;
    handset.ear.hears(BROWSER_HZ).await;
    browser.ear.hears(PHONE_HZ).await;
    handset.presses('5');
    eventually("the key arrives", async || browser.keys() == [5]).await;
    bob.to_call(&call, "hang-up", json!({})).await.expect(200);
    lines.are_quiet().await;
    // Who is blocked is turned away.
    bob.post(&format!("/v1/contacts/{contact}/block"), json!({})).await.expect(200);
    app.settle().await;
    exchange.dials(PHONE, &number).is_over(app).await;
    lines.are_quiet().await;
    let exchange = lines.exchange.clone();
    lines.finish().await;
    exchange
}

async fn judged<W: Wire>(vendor: &str) {
    let exchange = calls::<W>().await;
    let (callbacks, documents) = exchange.exchanged();
    let body = |text: &str| serde_json::from_str(text).unwrap_or(Value::Null);
    let requests: Vec<Value> = exchange
        .seen()
        .iter()
        .map(|seen| json!({ "method": seen.method, "path": seen.path, "body": body(&seen.body) }))
        .collect();
    let callbacks: Vec<Value> = callbacks
        .iter()
        .map(|callback| json!({ "url": callback.url, "headers": callback.headers, "body": callback.body }))
        .collect();
    let facts = json!({
        "vendor": vendor, "requests": requests, "callbacks": callbacks, "documents": documents, "secret": SECRET,
        "now": noon().unix_secs(), "public_key": exchange::telnyx::public_key(),
    });
    are_judged(facts).await;
}

async fn are_judged(facts: Value) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/voice_sdks.py");
    let mut peer = Command::new("python3");
    peer.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let judged = tokio::task::spawn_blocking(move || {
        let mut peer = peer.spawn().unwrap();
        peer.stdin.take().unwrap().write_all(facts.to_string().as_bytes()).unwrap();
        peer.wait_with_output().unwrap()
    });
    let output = judged.await.unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
}

/// Everything that we answer this vendor: its carrier is the one of all other stories.
#[actix_web::test]
#[ignore = "needs the vendor's SDK"]
async fn twilios_sdk_is_content() {
    let app = TestApp::on_sqlite().await;
    let Pair { alice, bob, phone, number, contact } = app.alice_and_bob().await;
    alice.put("/v1/me/call-settings/pin", json!({ "pin": "4711" })).await.expect(204);
    let mut documents = Vec::new();
    // Who hides his number is asked, once wrongly; a stranger is told something; a friend hears it ring.
    for typed in ["12025550101*0000", "12025550101*4711"] {
        let hidden = Line::named(&app, &format!("CA{:032x}", rand::random::<u128>()), "anonymous", &number);
        let asked = hidden.comes_in().await;
        documents.extend([hidden.types(&asked, typed).await, asked]);
        hidden.tells("completed").await;
    }
    documents.push(Line::new(&app, &app.phone("+12025550150"), &number).comes_in().await);
    let line = Line::new(&app, &phone, &number);
    let rings = line.comes_in().await;
    let stream = line.opens(&rings).await.unwrap();
    stream.ear.hears(440.0).await;
    // Nobody answers: the greeting, and the sound after it.
    bob.put("/v1/me/call-settings", json!({ "voicemail": { "greeting_text": "Tom & \"Bob\" <are> out" } }))
        .await
        .expect(200);
    let ringing = bob.call_is(&app, &["ringing"]).await;
    bob.to_call(&ringing, "decline", json!({ "to_voicemail": true })).await.expect(200);
    eventually("the carrier shall speak", async || stream.is_over()).await;
    documents.extend([line.goes_on(&rings).await, rings]);
    line.tells("completed").await;
    app.calls_are_over().await;
    bob.post(&format!("/v1/contacts/{contact}/block"), json!({})).await.expect(200);
    app.settle().await;
    documents.push(Line::new(&app, &phone, &number).comes_in().await);
    are_judged(json!({ "vendor": "twilio", "documents": documents })).await;
    app.finish().await;
}

#[actix_web::test]
#[ignore = "needs the vendor's SDK"]
async fn telnyxs_sdk_is_content() {
    judged::<exchange::telnyx::Telnyx>("telnyx").await;
}

#[actix_web::test]
#[ignore = "needs the vendor's SDK"]
async fn vonages_sdk_is_content() {
    judged::<exchange::vonage::Vonage>("vonage").await;
}

#[actix_web::test]
#[ignore = "needs the vendor's SDK"]
async fn plivos_sdk_is_content() {
    judged::<exchange::plivo::Plivo>("plivo").await;
}

#[actix_web::test]
#[ignore = "needs the vendor's SDK"]
async fn bandwidths_sdk_is_content() {
    judged::<exchange::bandwidth::Bandwidth>("bandwidth").await;
}
