//! Vendors' own SDKs judge the fake carriers. Not run by default: they have to be installed first (scripts/setup);
//! `cargo test --test it peers -- --ignored`.

use std::io::Write as _;
use std::process::{Command, Stdio};

use meari::clock::Timestamp;
use serde_json::json;

use crate::support::app::noon;
use crate::support::bandwidth::Bandwidth;
use crate::support::telnyx::Telnyx;
use crate::support::wire::{Fake, Sent, Vendor};

fn sent(at: Timestamp) -> Sent {
    Sent {
        id: "40385f64-5717".to_owned(),
        from: "+12025550106".to_owned(),
        to: "+12025550101".to_owned(),
        text: "Hi ✓".to_owned(),
        media: Vec::new(),
        echo: "https://x.example.org/s?ref=1".to_owned(),
        state: "queued".to_owned(),
        at,
    }
}

/// A message and its receipts, as this vendor writes them.
fn bodies<V: Vendor>() -> Vec<String> {
    let inbound = V::inbound("7ee4241c-f127", "+12025550101", "+12025550106", "Grüße");
    let receipts = V::words().into_iter().map(|word| V::receipt(&sent(noon()), word));
    std::iter::once(inbound).chain(receipts).collect()
}

fn telnyx_callbacks(now: Timestamp) -> Vec<serde_json::Value> {
    let mut callbacks = Vec::new();
    for body in bodies::<Telnyx>() {
        for (why, headers, body) in Telnyx::forged(&body, now) {
            callbacks.push(json!({"why": why, "headers": headers, "body": body, "genuine": false}));
        }
        let headers = Telnyx::signed(&body, now);
        callbacks.push(json!({"why": "genuine", "headers": headers, "body": body, "genuine": true}));
    }
    callbacks
}

fn option(settings: &meari::config::CarrierSettings, key: &str) -> String {
    secrecy::ExposeSecret::expose_secret(&settings.options[key]).to_owned()
}

#[actix_web::test]
#[ignore = "needs the vendors' SDKs"]
async fn the_vendors_sdks_take_the_fakes_for_their_own() {
    let (telnyx, bandwidth): (Fake<Telnyx>, Fake<Bandwidth>) = (Fake::up(), Fake::up());
    telnyx.state().now = noon();
    bandwidth.state().now = noon();
    let at_telnyx = Telnyx::settings(&telnyx.url);
    let facts = json!({
        "telnyx": {
            "url": telnyx.url, "now": noon().unix_secs(), "callbacks": telnyx_callbacks(noon()),
            "public_key": option(&at_telnyx, "public_key"), "api_key": option(&at_telnyx, "api_key"),
        },
        "bandwidth": {
            "url": bandwidth.url, "callbacks": bodies::<Bandwidth>(),
            "application_id": option(&Bandwidth::settings(&bandwidth.url), "application_id"),
        },
    });
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/carrier_sdks.py");
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
    telnyx.down().await;
    bandwidth.down().await;
}
