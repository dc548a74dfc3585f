//! A POST that is sent again with its `Idempotency-Key` does nothing again.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::app::ADMIN_TOKEN;
use crate::support::client::{Answer, Client};

/// Posts with a key.
async fn post(client: &Client, path: &str, key: &str, body: &Value) -> Answer {
    let request = client
        .http()
        .post(format!("{}{path}", client.base))
        .bearer_auth(client.token.clone().unwrap_or_default())
        .header("content-type", "application/json")
        .header("idempotency-key", key)
        .body(body.to_string());
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap();
    Answer { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::Null), text }
}

fn was_replayed(answer: &Answer) -> bool {
    answer.headers.get("idempotency-replayed").is_some_and(|v| v == "true")
}

story! {
    async fn the_same_request_is_answered_like_the_first_time(app) {
        let pair = app.alice_and_bob().await;
        let path = format!("/v1/contacts/{}/messages", pair.contact);
        let said = json!({ "text": "Only once" });
        let first = post(&pair.bob, &path, "\"8e03978e-40d5-43dd-bc93-6894a57f9324\"", &said).await.expect(201);
        assert!(!was_replayed(&first) && first["client_id"].is_null());
        let second = post(&pair.bob, &path, "8e03978e-40d5-43dd-bc93-6894a57f9324", &said).await.expect(201);
        assert!(was_replayed(&second));
        assert_eq!(first.text, second.text);
        app.settle().await;
        assert_eq!(app.texts(&pair.phone).iter().filter(|(_, text)| text.ends_with("Only once")).count(), 1);

        let other = json!({ "text": "Something else" });
        let key = "8e03978e-40d5-43dd-bc93-6894a57f9324";
        post(&pair.bob, &path, key, &other).await.refused(422, "idempotency_key_reused");
        post(&pair.bob, "/v1/me/app-passwords", key, &said).await.refused(422, "idempotency_key_reused");
        // Somebody else's key of the same name is another key.
        let made = post(&pair.alice, "/v1/me/app-passwords", key, &json!({ "label": "Phone" })).await.expect(201);
        let again = post(&pair.alice, "/v1/me/app-passwords", key, &json!({ "label": "Phone" })).await.expect(201);
        assert_eq!(made["password"], again["password"]);
        assert_eq!(pair.alice.get("/v1/me/app-passwords").await["items"].as_array().unwrap().len(), 1);
    }

    async fn a_refusal_is_not_kept_and_a_key_ends_after_a_day(app) {
        let alice = app.person("alice").await;
        let wrong = json!({ "label": "" });
        post(&alice, "/v1/me/app-passwords", "k1", &wrong).await.refused(422, "required");
        let right = json!({ "label": "Phone" });
        let first = post(&alice, "/v1/me/app-passwords", "k1", &right).await.expect(201);
        app.advance(Duration::from_secs(24 * 3600 + 61));
        let alice = alice.signs_in_again().await;
        meari::worker::sweep(&app.app).await.unwrap();
        let later = post(&alice, "/v1/me/app-passwords", "k1", &right).await.expect(201);
        assert_ne!(first["id"], later["id"]);
    }

    async fn two_at_once_do_it_once(app) {
        let alice = app.person("alice").await;
        let body = json!({ "label": "Phone" });
        let tries = (0..8).map(|_| post(&alice, "/v1/me/app-passwords", "same", &body));
        let answers = futures_util::future::join_all(tries).await;
        for answer in &answers {
            assert!(answer.status == 201 || answer.body["code"] == "request_in_progress", "{}", answer.text);
        }
        assert!(answers.iter().any(|answer| answer.status == 201));
        assert_eq!(alice.get("/v1/me/app-passwords").await["items"].as_array().unwrap().len(), 1);
    }

    async fn a_request_that_died_is_taken_over_after_a_minute(app) {
        let pair = app.alice_and_bob().await;
        let path = format!("/v1/contacts/{}/messages", pair.contact);
        let said = json!({ "text": "Through thick and thin" });
        post(&pair.bob, &path, "mine", &said).await.expect(201);
        // As if the process had died before it noted the answer.
        let forget = |db: &mut meari::db::Db| {
            db.execute_batch("UPDATE idempotency_keys SET status = 0, body = ''")
        };
        app.app.db.write(meari::db::Lane::Any, forget).await.unwrap();
        post(&pair.bob, &path, "mine", &said).await.refused(409, "request_in_progress");
        app.advance(Duration::from_secs(61));
        post(&pair.bob, &path, "mine", &said).await.expect(200);
        app.settle().await;
        let texts = app.texts(&pair.phone);
        assert_eq!(texts.iter().filter(|(_, text)| text.ends_with("thick and thin")).count(), 1);
    }

    async fn bad_keys_are_refused_and_strangers_are_told_to_sign_in(app) {
        let alice = app.person("alice").await;
        let body = json!({ "label": "Phone" });
        for key in ["\"\"", "two words", &"x".repeat(256)] {
            post(&alice, "/v1/me/app-passwords", key, &body).await.refused(422, "bad_idempotency_key");
        }
        post(&app.stranger(), "/v1/me/app-passwords", "k", &body).await.expect(401);
        let operator = app.stranger().with_token(ADMIN_TOKEN);
        let number = json!({ "number": "+12025550299", "carrier": "sim", "capabilities": ["sms"] });
        let numbers = json!({ "numbers": [number] });
        for _ in 0..2 {
            let answer = post(&operator, "/v1/admin/numbers", "n1", &numbers).await.expect(201);
            assert_eq!(answer["imported"], 1);
        }
        app.settle().await;
    }
}
