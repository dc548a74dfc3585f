//! Two vendors' own SDKs as signers of callbacks and as clients of the fakes that the stories use. Not run by default:
//! they have to be installed first (scripts/setup); `cargo test --test it peers -- --ignored`.

use std::process::Command;

use crate::support::app::noon;
use crate::support::database::TestDatabase;
use crate::support::wires::{API_KEY, APPLICATION, AUTH_ID, SECRET, Vendor};
use crate::vendors::World;

async fn told(vendor: Vendor) {
    let world = World::up(vendor, TestDatabase::sqlite()).await;
    let friends = world.friends().await;
    let (name, key) = match vendor {
        Vendor::Vonage => ("vonage", API_KEY),
        Vendor::Plivo => ("plivo", AUTH_ID),
    };
    let before = world.fake.sent().len();
    let here = env!("CARGO_MANIFEST_DIR");
    let mut peer = Command::new("python3");
    peer.arg(format!("{here}/tests/peers/vendors_sdk.py"))
        .args(["--vendor", name, "--key", key, "--secret", SECRET, "--application", APPLICATION])
        .args(["--door", &format!("{}/carriers/main/messages", world.app.url), "--api-base", &world.fake.url])
        .args(["--number", friends.number.trim_start_matches('+'), "--handset", "12025550101"])
        .args(["--private-key", &format!("{here}/tests/keys/application.pem")])
        .args(["--now", &(noon().0 / 1_000_000).to_string()]);
    let output = tokio::task::spawn_blocking(move || peer.output().unwrap()).await.unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    world.app.settle().await;
    assert!(friends.newest().await["text"].as_str().unwrap().starts_with("Signed by the SDK"));
    assert_eq!(world.fake.last().text, "From the SDK");
    assert_eq!(world.fake.sent().len(), before + 1);
    world.finish().await;
}

#[actix_web::test]
#[ignore = "needs the vendor's SDK"]
async fn vonages_sdk_is_content() {
    told(Vendor::Vonage).await;
}

#[actix_web::test]
#[ignore = "needs the vendor's SDK"]
async fn plivos_sdk_is_content() {
    told(Vendor::Plivo).await;
}
