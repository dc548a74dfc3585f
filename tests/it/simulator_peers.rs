//! The vendor's own SDK against the carrier simulator. Not run by default: it has to be installed first (scripts/setup);
//! `cargo test --test it peers -- --ignored`.

use std::process::Command;

use meari::simulator::{self, Settings, Simulator};

#[actix_web::test]
#[ignore = "needs the vendor's SDK"]
async fn the_vendors_sdk_is_content() {
    let settings = Settings::default();
    let (sid, token) = (settings.account_sid.clone(), settings.auth_token.clone());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = simulator::server(Simulator::new(settings), listener).unwrap();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/twilio_sdk.py");
    let mut peer = Command::new("python3");
    peer.arg(script).args(["--api-base", &url, "--sid", &sid, "--token", &token]);
    let output = tokio::task::spawn_blocking(move || peer.output().unwrap()).await.unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    handle.stop(false).await;
}
