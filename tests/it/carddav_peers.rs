//! Other people's CardDAV clients against a running Meari. Not run by default: they have to be installed first
//! (docs/carddav.md says how); `cargo test --test it peers -- --ignored`.

use std::process::Command;

use crate::support::TestApp;
use crate::support::dav::device;

/// Runs a script of tests/peers against a server where alice has a friend.
async fn run(script: &str) {
    let app = TestApp::on_sqlite().await;
    app.pool(20).await;
    let (alice, bob) = (app.person("alice").await, app.person("bob").await);
    app.verify_mobile(&alice, "+12025550101").await;
    alice.befriends(&bob).await;
    app.settle().await;
    let device = device(&alice, "peer").await;
    let script = format!("{}/tests/peers/{script}", env!("CARGO_MANIFEST_DIR"));
    let (url, user, password) = (app.url.clone(), device.username, device.password);
    let output = tokio::task::spawn_blocking(move || {
        Command::new("python3")
            .arg(script)
            .args(["--base-url", &url, "--user", &user, "--password", &password])
            .output()
            .unwrap()
    })
    .await
    .unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    println!("{text}");
    app.finish().await;
}

#[actix_web::test]
#[ignore = "needs vdirsyncer"]
async fn vdirsyncer_syncs_both_ways() {
    run("vdirsyncer_peer.py").await;
}

#[actix_web::test]
#[ignore = "needs syncevolution"]
async fn syncevolution_syncs_both_ways() {
    run("syncevolution_peer.py").await;
}
