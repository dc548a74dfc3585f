//! Signing up, one's own account, phones' passwords, and the end of an account.

use meari::config::Registration;
use serde_json::json;

use crate::support::TestApp;
use crate::support::app::ADMIN_TOKEN;
use crate::support::client::{Client, PASSWORD};
use crate::support::database::TestDatabase;

/// Asks like a phone does.
async fn phone_asks(app: &TestApp, username: &str, password: &str) -> reqwest::Response {
    let url = format!("{}/dav/", app.url);
    let method = reqwest::Method::from_bytes(b"PROPFIND").unwrap();
    let http = reqwest::Client::new();
    http.request(method, url).basic_auth(username, Some(password)).header("depth", "0").send().await.unwrap()
}

#[actix_web::test]
async fn an_invitation_opens_one_account() {
    let app = TestApp::start(TestDatabase::sqlite(), |s| s.registration = Registration::Invite).await;
    let body = |handle: &str, invite: &str| json!({ "handle": handle, "password": PASSWORD, "display_name": "X", "invite": invite });
    app.stranger().post("/v1/accounts", body("alice", "")).await.refused(422, "invite_needed");

    app.stranger().post("/v1/admin/invites", json!({})).await.expect(401);
    let operator = app.stranger().with_token(ADMIN_TOKEN);
    let invite = operator.post("/v1/admin/invites", json!({})).await.expect(201);
    let invite = invite["invite"].as_str().unwrap();
    app.stranger().post("/v1/accounts", body("alice", invite)).await.expect(201);
    app.stranger().post("/v1/accounts", body("bob", invite)).await.refused(409, "invite_spent");
    app.finish().await;
}

story! {
    async fn a_handle_is_taken_once_and_everything_wrong_is_said_at_once(app) {
        let alice = app.person("alice").await;
        assert_eq!(alice.get("/v1/me").await.expect(200)["handle"], "alice");

        let again = json!({ "handle": "ALICE", "password": PASSWORD, "display_name": "Another" });
        app.stranger().post("/v1/accounts", again).await.refused(409, "handle_taken");
        let wrong = json!({ "handle": "a!", "password": "short", "display_name": "", "time_zone": "Mars/Base" });
        let answer = app.stranger().post("/v1/accounts", wrong).await.refused(422, "invalid_input");
        assert_eq!(answer["fields"].as_array().unwrap().len(), 4);
    }

    async fn an_account_changes_and_null_means_never_quiet(app) {
        let alice = app.person("alice").await;
        let changes = json!({
            "display_name": "앨리스", "locale": "ko-KR", "time_zone": "Asia/Seoul",
            "quiet_hours": { "from": "22:00", "to": "07:00" }
        });
        let changed = alice.patch("/v1/me", changes).await.expect(200);
        assert_eq!(changed["locale"], "ko");
        assert_eq!(changed["quiet_hours"]["from"], "22:00");

        let kept = alice.patch("/v1/me", json!({ "display_name": "Alice" })).await.expect(200);
        assert_eq!(kept["quiet_hours"]["to"], "07:00");
        let never = alice.patch("/v1/me", json!({ "quiet_hours": null })).await.expect(200);
        assert!(never["quiet_hours"].is_null());
        let bad = json!({ "locale": "fr", "time_zone": "Mars/Base" });
        assert_eq!(alice.patch("/v1/me", bad).await.expect(422)["fields"].as_array().unwrap().len(), 2);
    }

    async fn a_photo_is_what_its_first_bytes_say(app) {
        let alice = app.person("alice").await;
        let token = alice.token.clone().unwrap();
        let put = |body: Vec<u8>| {
            let request = alice.http().put(format!("{}/v1/me/photo", app.url)).bearer_auth(&token);
            async move { request.header("content-type", "image/jpeg").body(body).send().await.unwrap().status() }
        };
        assert_eq!(put(b"<svg onload=alert(1)>".to_vec()).await, 422);
        assert_eq!(put(vec![0xff; 1024 * 1024 + 1]).await, 422);
        assert_eq!(put(b"\x89PNG\r\n\x1a\n rest".to_vec()).await, 204);

        let get = alice.http().get(format!("{}/v1/me/photo", app.url)).bearer_auth(&token);
        let photo = get.try_clone().unwrap().send().await.unwrap();
        assert_eq!(photo.headers()["content-type"], "image/png");
        let tag = photo.headers()["etag"].to_str().unwrap().to_owned();
        assert_eq!(photo.bytes().await.unwrap().as_ref(), b"\x89PNG\r\n\x1a\n rest");
        assert_eq!(get.header("if-none-match", tag).send().await.unwrap().status(), 304);
        alice.delete("/v1/me/photo").await.expect(204);
        alice.get("/v1/me/photo").await.expect(404);
        app.settle().await;
    }

    async fn an_app_password_lets_a_phone_in_until_it_is_taken_back(app) {
        let alice = app.person("alice").await;
        let made = alice.post("/v1/me/app-passwords", json!({ "label": "My phone" })).await.expect(201);
        let (id, password) = (made["id"].as_str().unwrap(), made["password"].as_str().unwrap());

        assert_eq!(phone_asks(app, "alice", password).await.status(), 207);
        assert_eq!(phone_asks(app, "ALICE", &password.to_uppercase().replace('-', " ")).await.status(), 207);
        let refused = phone_asks(app, "bob", password).await;
        assert_eq!(refused.status(), 401);
        assert_eq!(refused.headers()["www-authenticate"], r#"Basic realm="Meari", charset="UTF-8""#);

        alice.delete(&format!("/v1/me/app-passwords/{id}")).await.expect(204);
        assert_eq!(phone_asks(app, "alice", password).await.status(), 401);
    }

    async fn guessing_is_slowed_down_but_the_owner_always_gets_in(app) {
        let alice = app.person("alice").await;
        let made = alice.post("/v1/me/app-passwords", json!({ "label": "My phone" })).await.expect(201);
        let password = made["password"].as_str().unwrap();
        let mut last = 0;
        for n in 0..25 {
            last = phone_asks(app, "alice", &format!("wrong-{n}")).await.status().as_u16();
        }
        assert_eq!(last, 429);
        assert_eq!(phone_asks(app, "alice", password).await.status(), 207);
    }

    async fn the_links_of_an_app_password_set_a_phone_up(app) {
        let alice = app.person("alice").await;
        let made = alice.post("/v1/me/app-passwords", json!({ "label": "My phone" })).await.expect(201);
        let get = |field: &str| {
            let url = made[field].as_str().unwrap().to_owned();
            async move { reqwest::get(url).await.unwrap() }
        };
        let profile = get("mobileconfig_url").await;
        assert_eq!(profile.headers()["content-type"], "application/x-apple-aspen-config");
        assert_eq!(profile.headers()["cache-control"], "no-store");
        let text = profile.text().await.unwrap();
        assert!(text.contains("com.apple.carddav.account") && text.contains(made["password"].as_str().unwrap()));
        let code = get("qr_svg_url").await;
        assert_eq!(code.headers()["content-type"], "image/svg+xml");
        assert!(!code.text().await.unwrap().contains(made["password"].as_str().unwrap()));
        app.stranger().get("/setup/nonsense").await.refused(404, "not_found");
    }

    async fn what_we_hold_can_be_taken_along_and_then_erased(app) {
        let pair = app.alice_and_bob().await;
        pair.bob_writes("Are you home?").await;
        app.settle().await;

        let archive = pair.alice.get("/v1/me/export").await.expect(200);
        assert_eq!(archive["account"]["account"]["mobiles"][0]["number"], "+12025550101");
        assert_eq!(archive["contacts"]["contacts"][0]["address"], "meari:bob");
        assert!(archive.text.contains("Are you home?"));
        assert!(!archive.text.contains("argon2"));

        let end = |password: &'static str| {
            let alice: Client = pair.alice.client.clone();
            async move { alice.call(reqwest::Method::DELETE, "/v1/me", Some(&json!({ "password": password }))).await }
        };
        end("not the password").await.refused(403, "wrong_password");
        end(PASSWORD).await.expect(204);
        app.settle().await;
        pair.alice.get("/v1/me").await.expect(401);
        let login = json!({ "login": "alice", "password": PASSWORD });
        app.stranger().post("/v1/sessions", login).await.refused(401, "wrong_login");
        assert_eq!(pair.bob.get("/v1/contacts").await.expect(200)["items"].as_array().unwrap().len(), 0);
        app.person("alice").await;
    }

    async fn what_is_no_mobile_and_what_is_ours_is_refused(app) {
        app.pool(2).await;
        let alice = app.person("alice").await;
        for number in ["", "hello", "12", "+12025550200"] {
            alice.post("/v1/me/mobiles", json!({ "number": number })).await.refused(422, "invalid_number");
        }
        alice.delete("/v1/me/mobiles/mob_00000000000000000000000000000000").await.expect(404);
    }

    async fn a_text_whose_sender_may_be_forged_takes_a_mobile_from_nobody(app) {
        app.pool(3).await;
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        let phone = app.verify_mobile(&alice, "+12025550101").await;
        let asked = bob.post("/v1/me/mobiles", json!({ "number": "+12025550101" })).await.expect(201);
        let word = &asked["text_to"];
        app.settle().await;
        app.phone_texts(&phone, word["number"].as_str().unwrap(), word["text"].as_str().unwrap()).await;
        assert_eq!(bob.get("/v1/me").await.expect(200)["mobiles"][0]["state"], "pending");
        assert_eq!(alice.get("/v1/me").await.expect(200)["mobiles"][0]["state"], "verified");
    }
}
