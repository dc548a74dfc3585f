//! Letters against a real mail server. Not run by default: it has to be installed first (scripts/setup);
//! `cargo test --test it peers -- --ignored`.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};

use crate::support::database::TestDatabase;
use crate::support::{Person, TestApp};

/// The mail server and what it took. It ends when its standard input is closed, with this value.
struct MailServer {
    _process: Child,
    said: BufReader<ChildStdout>,
    port: u16,
}

impl MailServer {
    fn start() -> MailServer {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/mail_server.py");
        let mut process = Command::new("python3")
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 could not be started");
        let mut said = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        let port = line.trim().parse().expect("the mail server says its port: is aiosmtpd installed?");
        MailServer { _process: process, said, port }
    }

    /// The next letter; waits for it.
    fn letter(&mut self) -> Value {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

/// The six digits that stand alone, and the link.
fn code_and_link(letter: &Value) -> (String, String) {
    let text = letter["text"].as_str().unwrap();
    let words = || text.split(|c: char| c.is_whitespace());
    let code = words().find(|w| w.len() == 6 && w.bytes().all(|b| b.is_ascii_digit())).expect("a code");
    let link = words().find(|w| w.contains("/verify/")).expect("a link");
    (code.to_owned(), link.to_owned())
}

async fn state(person: &Person) -> Vec<(String, String)> {
    let me = person.get("/v1/me").await.expect(200);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    me["emails"].as_array().unwrap().iter().map(|e| (text(&e["address"]), text(&e["state"]))).collect()
}

fn proved(address: &str) -> Vec<(String, String)> {
    vec![(address.to_owned(), "verified".to_owned())]
}

async fn story(database: TestDatabase) {
    let mut server = MailServer::start();
    let url = format!("smtp://127.0.0.1:{}", server.port);
    let app = TestApp::start(database, |settings| {
        settings.smtp_url = Some(SecretString::from(url));
        settings.mail_from = Some("Meari <hello@example.org>".to_owned());
    })
    .await;
    a_code_is_typed_in(&app, &mut server).await;
    a_link_is_followed(&app, &mut server).await;
    guesses_end(&app, &mut server).await;
    a_busy_server_is_asked_again(&app, &mut server).await;
    a_refused_letter_is_given_up(&app).await;
    app.finish().await;
}

async fn a_code_is_typed_in(app: &TestApp, server: &mut MailServer) {
    let alice = app.person("alice").await;
    let asked = alice.post("/v1/me/emails", json!({ "address": "Alice@Example.org" })).await.expect(201);
    assert_eq!(
        (asked["address"].as_str(), asked["state"].as_str()),
        (Some("alice@example.org"), Some("pending"))
    );
    app.settle().await;
    let letter = server.letter();
    assert_eq!(letter["to"], json!(["alice@example.org"]));
    assert_eq!(letter["subject"], "Verify your e-mail address");
    assert_eq!(letter["auto_submitted"], "auto-generated");
    let (code, _) = code_and_link(&letter);
    let path = format!("/v1/me/emails/{}/verify", asked["id"].as_str().unwrap());
    let done = alice.post(&path, json!({ "code": code })).await.expect(200);
    assert_eq!(done["state"], "verified");
    let login = json!({ "login": "ALICE@example.org", "password": crate::support::client::PASSWORD });
    app.stranger().post("/v1/sessions", login).await.expect(200);
}

async fn a_link_is_followed(app: &TestApp, server: &mut MailServer) {
    let bob = app.person("bob").await;
    bob.patch("/v1/me", json!({ "locale": "ko" })).await.expect(200);
    bob.post("/v1/me/emails", json!({ "address": "bob@example.org" })).await.expect(201);
    app.settle().await;
    let letter = server.letter();
    assert_eq!(letter["subject"], "이메일 주소를 인증해 주세요");
    let (_, link) = code_and_link(&letter);
    let http = reqwest::Client::new();
    let page = http.get(&link).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("인증하기") && page.contains("method=\"post\""), "{page}");
    assert_eq!(state(&bob).await[0].1, "pending", "programs that look into letters prove nothing");
    let page = http.post(&link).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("인증되었습니다"), "{page}");
    assert_eq!(state(&bob).await, proved("bob@example.org"));
}

async fn guesses_end(app: &TestApp, server: &mut MailServer) {
    let carol = app.person("carol").await;
    let asked = carol.post("/v1/me/emails", json!({ "address": "carol@example.org" })).await.expect(201);
    app.settle().await;
    let (code, link) = code_and_link(&server.letter());
    let path = format!("/v1/me/emails/{}/verify", asked["id"].as_str().unwrap());
    let wrong = if code == "000000" { "000001" } else { "000000" };
    for _ in 0..5 {
        carol.post(&path, json!({ "code": wrong })).await.refused(422, "wrong_code");
    }
    carol.post(&path, json!({ "code": code })).await.refused(422, "code_expired");
    reqwest::Client::new().post(&link).send().await.unwrap();
    assert_eq!(state(&carol).await[0].1, "pending", "the link is the same code");
    // Asked again, and yet again before the first letter left: only the newest code is mailed.
    for _ in 0..2 {
        carol.post("/v1/me/emails", json!({ "address": "carol@example.org" })).await.expect(201);
    }
    app.settle().await;
    let (code, _) = code_and_link(&server.letter());
    carol.post(&path, json!({ "code": code })).await.expect(200);
    carol
        .post("/v1/me/emails", json!({ "address": "carol@example.org" }))
        .await
        .refused(409, "already_verified");
}

async fn a_busy_server_is_asked_again(app: &TestApp, server: &mut MailServer) {
    let dave = app.person("dave").await;
    dave.post("/v1/me/emails", json!({ "address": "later@example.org" })).await.expect(201);
    app.settle().await;
    app.advance(Duration::from_secs(2));
    app.settle().await;
    assert_eq!(server.letter()["to"], json!(["later@example.org"]));
}

async fn a_refused_letter_is_given_up(app: &TestApp) {
    let erin = app.person("erin").await;
    erin.post("/v1/me/emails", json!({ "address": "refused@example.org" })).await.expect(201);
    app.settle().await;
    let counts = app.app.db.read(meari::queue::counts).await.unwrap();
    assert_eq!(counts, [("dead".to_owned(), 1)], "it stays for the operator");
}

#[actix_web::test]
#[ignore = "needs a mail server"]
async fn a_letter_proves_an_address_on_sqlite() {
    story(TestDatabase::sqlite()).await;
}

#[actix_web::test]
#[ignore = "needs a mail server"]
async fn a_letter_proves_an_address_on_postgres() {
    story(TestDatabase::postgres()).await;
}
