//! Every operation of the document, signed out and as a stranger. A new one fails here until somebody has thought
//! about who may call it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::app::Pair;

/// Operations that nobody has to sign in for, and why that is right.
const OPEN: &[(&str, &str)] = &[
    ("post", "/v1/accounts"),                                 // signing up
    ("post", "/v1/sessions"),                                 // signing in
    ("post", "/v1/sessions/refresh"),                         // the token is in the body
    ("get", "/verify/{account}/{id}/{code}"),                 // the code is in the link
    ("post", "/verify/{account}/{id}/{code}"),                // likewise
    ("get", "/setup/{ticket}"),                               // the ticket is the credential
    ("get", "/setup/{ticket}/meari.mobileconfig"),            // likewise
    ("get", "/setup/{ticket}/qr.svg"),                        // likewise
    ("post", "/carriers/{carrier_id}/messages"),              // signed by the carrier
    ("post", "/carriers/{carrier_id}/status"),                // likewise
    ("post", "/carriers/{carrier_id}/voice"),                 // likewise
    ("post", "/carriers/{carrier_id}/call-status"),           // likewise
    ("post", "/carriers/{carrier_id}/voice/{leg_id}/next"),   // likewise
    ("post", "/carriers/{carrier_id}/voice/{number}/hidden"), // likewise
    ("get", "/carriers/{carrier_id}/media/{token}"),          // likewise, and the token is good once
    ("get", "/v1/call-quality"),                              // averages of many, for everybody
];

fn operations() -> Vec<(String, String)> {
    let document = serde_json::to_value(meari::router::openapi()).unwrap();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys().filter(|key| *key != "parameters") {
            all.push((method.clone(), path.clone()));
        }
    }
    all
}

fn method(name: &str) -> Method {
    name.to_uppercase().parse().unwrap()
}

/// Something that exists and belongs to Alice or Bob, for the `{id}` of a path.
async fn belongings(app: &TestApp, pair: &Pair) -> Vec<(&'static str, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let said = pair.bob_writes("Between us").await;
    let password = pair.alice.post("/v1/me/app-passwords", json!({ "label": "Phone" })).await.expect(201);
    let email = pair.alice.post("/v1/me/emails", json!({ "address": "alice@example.org" })).await;
    let sessions = pair.alice.get("/v1/sessions").await.expect(200);
    let device = crate::support::push::PushService::start().subscribe("bob");
    let subscription = json!({
        "endpoint": device.endpoint, "keys": { "p256dh": device.p256dh(), "auth": device.auth_secret() },
    });
    let subscription =
        text(&pair.bob.post("/v1/me/push-subscriptions", subscription).await.expect(201)["id"]);
    let picture = pair.alice.upload("", "text/plain", b"Mine alone".to_vec()).await.expect(201);
    let book = pair.alice.post("/v1/books", json!({ "name": "Family" })).await.expect(201);
    let invite = json!({ "address": "meari:bob", "access": "write" });
    let path = format!("/v1/books/{}/members", text(&book["id"]));
    let invited = pair.alice.post(&path, invite).await.expect(201);
    let import = upload(&pair.alice).await;
    let (call, voicemail) = crate::voicemails::left_by_bob(app, pair).await;
    vec![
        ("/v1/calls/", call),
        ("/v1/voicemails/", voicemail),
        ("/v1/media/", text(&picture["id"])),
        ("/v1/books/", text(&book["id"])),
        ("/v1/book-invitations/", text(&invited["id"])),
        ("/v1/imports/", import),
        ("/v1/me/devices/", text(&password["id"])),
        ("/v1/contacts/", pair.contact.clone()),
        ("/v1/conversations/", text(&said["conversation_id"])),
        ("/v1/messages/", text(&said["id"])),
        ("/v1/me/app-passwords/", text(&password["id"])),
        ("/v1/me/text-guard/", text(&pair.alice.get("/v1/me").await["mobiles"][0]["id"])),
        ("/v1/me/mobiles/", text(&pair.alice.get("/v1/me").await["mobiles"][0]["id"])),
        ("/v1/me/emails/", email["id"].as_str().unwrap_or("eml_01970000000070008000000000000000").to_owned()),
        ("/v1/me/push-subscriptions/", subscription),
        ("/v1/sessions/", text(&sessions["items"][0]["id"])),
    ]
}

/// An import of somebody's.
async fn upload(person: &crate::support::Person) -> String {
    let file = "BEGIN:VCARD\nVERSION:3.0\nFN:A\nEND:VCARD\n";
    let request = person.http().post(format!("{}/v1/imports", person.base)).body(file);
    let answer = request.bearer_auth(person.token.as_deref().unwrap()).send().await.unwrap();
    let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    body["id"].as_str().unwrap().to_owned()
}

/// A body that would do, were it one's own.
fn body(path: &str, said: &str) -> Value {
    match path {
        "/v1/contacts/{id}/messages" | "/v1/conversations/{id}/messages" => json!({ "text": "Hi" }),
        "/v1/conversations/{id}/typing" => json!({ "typing": true }),
        "/v1/conversations/{id}/read" => json!({ "up_to": said }),
        "/v1/messages/{id}/reaction" => json!({ "emoji": "👍" }),
        "/v1/imports/{id}/apply" => json!({ "duplicates": "skip" }),
        "/v1/books/{id}/members" => json!({ "address": "meari:bob", "access": "read" }),
        "/v1/books/{id}/members/{member_id}" => json!({ "access": "read" }),
        "/v1/calls/{id}/accept"
        | "/v1/calls/{id}/listen"
        | "/v1/calls/{id}/restart"
        | "/v1/calls/{id}/move" => {
            json!({ "offer": "v=0" })
        }
        "/v1/calls/{id}/hold" | "/v1/calls/{id}/mute" | "/v1/calls/{id}/recording" => json!({ "on": true }),
        "/v1/calls/{id}/digits" => json!({ "digits": "1" }),
        "/v1/calls/{id}/recording/answer" => json!({ "agree": true }),
        "/v1/me/text-guard/{id}" => json!({ "ask": "always" }),
        "/v1/contacts/{id}" => json!({ "display_name": "Mine" }),
        "/v1/me/mobiles/{id}/verify" | "/v1/me/emails/{id}/verify" => json!({ "code": "123456" }),
        "/v1/me/emails/{id}" => json!({ "findable": true }),
        _ => json!({}),
    }
}

#[actix_web::test]
async fn nobody_gets_in_without_signing_in() {
    let app = TestApp::on_sqlite().await;
    let id = "con_01970000000070008000000000000000";
    for (verb, path) in operations() {
        if OPEN.contains(&(verb.as_str(), path.as_str())) {
            continue;
        }
        let concrete =
            path.replace("{id}", id).replace("{member_id}", "bkm_01970000000070008000000000000000");
        let answer = app.stranger().call(method(&verb), &concrete, Some(&json!({}))).await;
        assert_eq!(answer.status, 401, "{verb} {path} signed out: {}", answer.text);
        let forged = app
            .stranger()
            .with_token("eyJhbGciOiJub25lIn0.e30.")
            .call(method(&verb), &concrete, Some(&json!({})))
            .await;
        assert_eq!(forged.status, 401, "{verb} {path} with a forged token: {}", forged.text);
    }
    app.finish().await;
}

#[actix_web::test]
async fn what_belongs_to_others_is_not_there() {
    let app = TestApp::on_sqlite().await;
    let pair = app.alice_and_bob().await;
    let mallory = app.person("mallory").await;
    let belongings = belongings(&app, &pair).await;
    let mut tried = 0;
    for (verb, path) in operations() {
        if OPEN.contains(&(verb.as_str(), path.as_str())) {
            continue;
        }
        let Some((_, id)) =
            belongings.iter().find(|(prefix, _)| path.starts_with(&format!("{prefix}{{id}}")))
        else {
            assert!(
                !path.contains("{id}") || path.starts_with("/v1/admin/"),
                "{verb} {path}: whose is this?"
            );
            continue;
        };
        let wanted = body(&path, "msg_01970000000070008000000000000000");
        let answer = mallory
            .call(
                method(&verb),
                &path.replace("{id}", id).replace("{member_id}", "bkm_01970000000070008000000000000000"),
                Some(&wanted),
            )
            .await;
        assert_eq!(answer.status, 404, "{verb} {path} as a stranger: {}", answer.text);
        tried += 1;
    }
    assert!(tried >= 15, "only {tried} operations are about one thing of somebody's");
    app.settle().await;
    app.finish().await;
}

#[actix_web::test]
async fn operators_doors_are_closed_to_everybody_else() {
    let app = TestApp::on_sqlite().await;
    let mallory = app.person("mallory").await;
    let admin = operations().into_iter().filter(|(_, path)| path.starts_with("/v1/admin/"));
    for (verb, path) in admin {
        let concrete = path.replace("{id}", "num_01970000000070008000000000000000");
        let answer = mallory.call(method(&verb), &concrete, Some(&json!({}))).await;
        assert!([403, 404].contains(&answer.status), "{verb} {path} as anybody: {}", answer.text);
    }
    app.finish().await;
}
