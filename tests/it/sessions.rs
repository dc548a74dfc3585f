//! Signing in, staying signed in, and being signed out.

use std::time::Duration;

use serde_json::json;

use crate::support::client::PASSWORD;

story! {
    async fn an_access_token_lasts_a_quarter_of_an_hour_and_a_refresh_token_once(app) {
        let alice = app.person("alice").await;
        app.advance(Duration::from_secs(15 * 60));
        alice.get("/v1/me").await.refused(401, "signed_out");

        let refresh = |token: &str| {
            let (client, body) = (app.stranger(), json!({ "refresh_token": token }));
            async move { client.post("/v1/sessions/refresh", body).await }
        };
        let next = refresh(&alice.refresh_token).await.expect(200);
        let again = app.stranger().with_token(next["access_token"].as_str().unwrap());
        again.get("/v1/me").await.expect(200);

        refresh(&alice.refresh_token).await.refused(401, "token_reused");
        again.get("/v1/me").await.refused(401, "signed_out");
        refresh(next["refresh_token"].as_str().unwrap()).await.refused(401, "session_over");
        refresh("ses_nonsense").await.refused(401, "session_over");
    }

    async fn an_answer_lost_on_its_way_is_told_again_to_who_named_the_attempt(app) {
        let alice = app.person("alice").await;
        let refresh = |token: &str, attempt: &str| {
            let (client, body) = (app.stranger(), json!({ "refresh_token": token, "attempt": attempt }));
            async move { client.post("/v1/sessions/refresh", body).await }
        };
        let (mine, another) = ("bXkgb3duIGF0dGVtcHQhIQ", "YW5vdGhlciBhdHRlbXB0IQ");
        let lost = refresh(&alice.refresh_token, mine).await.expect(200);
        let told_again = refresh(&alice.refresh_token, mine).await.expect(200);
        assert_eq!(lost["refresh_token"], told_again["refresh_token"]);

        let newest = refresh(told_again["refresh_token"].as_str().unwrap(), mine).await.expect(200);
        assert_ne!(newest["refresh_token"], told_again["refresh_token"], "one attempt serves for each token");
        let signed_in = app.stranger().with_token(newest["access_token"].as_str().unwrap());
        signed_in.get("/v1/me").await.expect(200);

        for bad in ["short", "bXkgb3duIGF0dGVtcHQh!!", &"x".repeat(87)] {
            refresh(newest["refresh_token"].as_str().unwrap(), bad).await.refused(422, "invalid_attempt");
        }
        refresh(told_again["refresh_token"].as_str().unwrap(), another).await.refused(401, "token_reused");
        signed_in.get("/v1/me").await.refused(401, "signed_out");
    }

    async fn an_attempt_is_of_no_use_once_the_next_token_was_used(app) {
        let alice = app.person("alice").await;
        let refresh = |token: &str| {
            let body = json!({ "refresh_token": token, "attempt": "bXkgb3duIGF0dGVtcHQhIQ" });
            let client = app.stranger();
            async move { client.post("/v1/sessions/refresh", body).await }
        };
        let second = refresh(&alice.refresh_token).await.expect(200);
        refresh(second["refresh_token"].as_str().unwrap()).await.expect(200);
        refresh(&alice.refresh_token).await.refused(401, "token_reused");
    }

    async fn wrong_logins_look_alike_and_become_too_many(app) {
        app.person("alice").await;
        let try_in = |login: &str, password: &str| {
            let (client, body) = (app.stranger(), json!({ "login": login, "password": password }));
            async move { client.post("/v1/sessions", body).await }
        };
        try_in("alice", PASSWORD).await.expect(200);
        let known = try_in("alice", "not the password").await.refused(401, "wrong_login");
        let unknown = try_in("nobody.here", "not the password").await.refused(401, "wrong_login");
        assert_eq!(known["detail"], unknown["detail"]);
        for _ in 0..8 {
            try_in("Alice ", "not the password").await.expect(401);
        }
        let limited = try_in("alice", "not the password").await.refused(429, "too_many_sign_ins");
        assert!(limited.headers.contains_key("retry-after"));
        app.advance(Duration::from_secs(31 * 60));
        try_in("alice", PASSWORD).await.expect(200);
    }

    async fn signing_out_works_at_once_here_and_elsewhere(app) {
        let first = app.person("alice").await;
        let login = json!({ "login": "alice", "password": PASSWORD });
        let second = app.stranger().post("/v1/sessions", login).await.expect(200);
        let second = app.stranger().with_token(second["access_token"].as_str().unwrap());
        second.get("/v1/me").await.expect(200);

        let sessions = first.get("/v1/sessions").await.expect(200);
        let items = sessions["items"].as_array().unwrap();
        assert_eq!(items.len(), 2);
        let other = items.iter().find(|s| s["current"] == false).unwrap()["id"].as_str().unwrap();
        first.delete(&format!("/v1/sessions/{other}")).await.expect(204);
        second.get("/v1/me").await.refused(401, "signed_out");

        first.delete("/v1/sessions/current").await.expect(204);
        first.get("/v1/me").await.refused(401, "signed_out");
    }

    async fn a_new_password_signs_everybody_else_out(app) {
        let alice = app.person("alice").await;
        let login = json!({ "login": "alice", "password": PASSWORD });
        let other = app.stranger().post("/v1/sessions", login.clone()).await.expect(200);
        let other = app.stranger().with_token(other["access_token"].as_str().unwrap());

        let wrong = json!({ "old_password": "not the password", "new_password": "another long one" });
        alice.put("/v1/me/password", wrong).await.refused(403, "wrong_password");
        let right = json!({ "old_password": PASSWORD, "new_password": "another long one" });
        alice.put("/v1/me/password", right).await.expect(204);
        alice.get("/v1/me").await.expect(200);
        other.get("/v1/me").await.refused(401, "signed_out");
        app.stranger().post("/v1/sessions", login).await.refused(401, "wrong_login");
    }
}

story! {
    async fn of_many_who_use_one_refresh_token_at_once_nobody_keeps_the_session(app) {
        let alice = app.person("alice").await;
        let body = json!({ "refresh_token": alice.refresh_token });
        let tries = (0..6).map(|_| {
            let (client, body) = (app.stranger(), body.clone());
            async move { client.post("/v1/sessions/refresh", body).await }
        });
        let answers = futures_util::future::join_all(tries).await;
        let good: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
        assert!(good.len() <= 1, "{} got new tokens", good.len());
        for answer in good {
            let next = app.stranger().with_token(answer["access_token"].as_str().unwrap());
            next.get("/v1/me").await.refused(401, "signed_out");
        }
    }
}
