//! Other people's CardDAV clients against a running Meari. Not run by default: they have to be installed first
//! (docs/carddav.md says how); `cargo test --test it peers -- --ignored`.

use std::io::Write as _;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::support::TestApp;
use crate::support::dav::{card, device};
use crate::support::push::PushService;

/// Runs a script of tests/peers against a server where alice has a friend.
async fn run(program: &'static str, script: &str) {
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
        Command::new(program)
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
    run("python3", "vdirsyncer_peer.py").await;
}

#[actix_web::test]
#[ignore = "needs syncevolution"]
async fn syncevolution_syncs_both_ways() {
    run("python3", "syncevolution_peer.py").await;
}

#[actix_web::test]
#[ignore = "needs tsdav"]
async fn tsdav_finds_reads_writes_and_follows() {
    run("node", "tsdav_peer.mjs").await;
}

#[actix_web::test]
#[ignore = "needs litmus"]
async fn litmus_finds_no_fault_that_applies() {
    run("python3", "litmus_peer.py").await;
}

#[actix_web::test]
#[ignore = "needs http-ece and py-vapid"]
async fn others_can_read_our_pushes() {
    let app = TestApp::on_sqlite().await;
    let phone = device(&app.person("alice").await, "phone").await;
    let (book, service) = (phone.book("personal"), PushService::start());
    let me = service.subscribe("me");
    let body = me.register("<content-update/>", "");
    phone.send("POST", &book, &[("content-type", "text/xml")], body.as_bytes()).await.expect(204);
    phone.put(&format!("{book}1.vcf"), &card("u", "x", ""), &[]).await.expect(201);
    app.advance(std::time::Duration::from_secs(5));
    app.settle().await;
    let push = service.deliveries().pop().unwrap();
    let word = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let handed = serde_json::json!({
        "private_key": word(&me.secret.to_bytes()), "auth_secret": word(&me.auth), "body": word(&push.body),
        "authorization": push.header("authorization"),
    });
    let mut peer = Command::new("python3")
        .arg(format!("{}/tests/peers/webpush_peer.py", env!("CARGO_MANIFEST_DIR")))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    peer.stdin.take().unwrap().write_all(handed.to_string().as_bytes()).unwrap();
    let said = peer.wait_with_output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    assert_eq!(said.stdout, me.decrypt(&push));
    app.finish().await;
}
