//! What operators do over REST: numbers, accounts.

use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::app::ADMIN_TOKEN;
use crate::support::client::Client;

fn operator(app: &TestApp) -> Client {
    app.stranger().with_token(ADMIN_TOKEN)
}

/// The number that a friend has on somebody's phone.
async fn number_of(person: &Client, friend: &str) -> Value {
    person.get(&format!("/v1/contacts/{friend}")).await.expect(200)["number"].clone()
}

story! {
    async fn an_account_becomes_an_operators_and_an_ordinary_one_again(app) {
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        let operator = operator(app);
        alice.get("/v1/admin/accounts").await.refused(403, "not_an_admin");
        let path = format!("/v1/admin/accounts/{}", alice.id);
        assert_eq!(operator.get(&path).await.expect(200)["handle"], "alice");
        operator.patch(&path, json!({ "admin": true })).await.expect(200);
        let all = alice.get("/v1/admin/accounts?limit=1").await.expect(200);
        assert_eq!(all["items"][0]["handle"], "alice");
        let rest = alice.get(&format!("/v1/admin/accounts?after={}", all["next"].as_str().unwrap())).await;
        assert_eq!(rest.expect(200)["items"][0]["handle"], "bob");
        alice.patch(&path, json!({ "admin": false })).await.refused(409, "own_account");
        operator.patch(&path, json!({ "admin": false })).await.expect(200);
        alice.get("/v1/admin/accounts").await.refused(403, "not_an_admin");
        operator.delete(&format!("/v1/admin/accounts/{}", bob.id)).await.expect(204);
        bob.get("/v1/me").await.expect(401);
        operator.get(&format!("/v1/admin/accounts/{}", bob.id)).await.expect(404);
        app.settle().await;
    }

    async fn a_number_that_is_taken_away_is_replaced_and_comes_back_by_an_import(app) {
        app.pool(2).await;
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        let (friend, _) = alice.befriends(&bob).await;
        app.verify_mobile(&alice, "+12025550101").await;
        let before = number_of(&alice, &friend).await;
        let operator = operator(app);
        let numbers = operator.get("/v1/admin/numbers").await.expect(200);
        let of = |number: &Value| {
            let found = numbers["items"].as_array().unwrap().iter().find(|n| n["number"] == *number);
            found.unwrap()["id"].as_str().unwrap().to_owned()
        };
        let taken = of(&before);
        operator.delete(&format!("/v1/admin/numbers/{taken}")).await.expect(204);
        app.settle().await;
        let after = number_of(&alice, &friend).await;
        assert!(after.is_string() && after != before, "{after}");
        let back = json!({ "number": before, "carrier": "sim", "capabilities": ["sms"] });
        let imported = operator.post("/v1/admin/numbers", json!({ "numbers": [back] })).await.expect(201);
        assert_eq!((&imported["imported"], &imported["already"]), (&json!(1), &json!(0)));
        let usage = operator.get("/v1/admin/numbers/usage").await.expect(200);
        for state in ["available", "suspended"] {
            let count = json!({ "region": "US", "state": state, "count": 1 });
            assert!(usage["numbers"].as_array().unwrap().contains(&count), "one of the two ages: {}", usage["numbers"]);
        }
        app.settle().await;
        assert_eq!(number_of(&alice, &friend).await, after, "nobody's number changes twice");
    }

    async fn whoever_got_a_number_while_it_was_taken_away_gets_another(app) {
        let pair = app.alice_and_bob().await;
        let operator = operator(app);
        let numbers = operator.get("/v1/admin/numbers").await.expect(200);
        let held = numbers["items"].as_array().unwrap().iter().find(|n| n["number"] == pair.number.as_str());
        let held = held.unwrap()["id"].as_str().unwrap();
        // As if the assignment had been under way when the number was retired.
        let late = "UPDATE assignments SET state = 'active' WHERE state = 'past' AND contact_id NOT IN \
                    (SELECT contact_id FROM assignments WHERE state = 'active')";
        operator.delete(&format!("/v1/admin/numbers/{held}")).await.expect(204);
        app.app.db.write(meari::db::Lane::Any, move |db| db.execute_batch(late)).await.unwrap();
        app.settle().await;
        app.advance(std::time::Duration::from_secs(61));
        app.settle().await;
        let friends = pair.alice.get("/v1/contacts").await.expect(200);
        let number = friends["items"][0]["number"].as_str().expect("there is another");
        assert_ne!(number, pair.number);
    }

    async fn a_suspended_number_keeps_its_contacts_and_gets_no_more(app) {
        app.pool(1).await;
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        let (friend, _) = alice.befriends(&bob).await;
        let operator = operator(app);
        let numbers = operator.get("/v1/admin/numbers").await.expect(200);
        let path = format!("/v1/admin/numbers/{}", numbers["items"][0]["id"].as_str().unwrap());
        app.verify_mobile(&alice, "+12025550101").await;
        let suspended = operator.patch(&path, json!({ "state": "suspended" })).await.expect(200);
        assert_eq!(suspended["state"], "suspended");
        assert_eq!(number_of(&alice, &friend).await, suspended["number"]);
        let carol = app.person("carol").await;
        let (waiting, _) = alice.befriends(&carol).await;
        assert!(number_of(&alice, &waiting).await.is_null());
        operator.patch(&path, json!({ "state": "retired" })).await.refused(422, "bad_state");
        operator.patch(&path, json!({ "state": "available" })).await.expect(200);
        operator.delete(&path).await.expect(204);
        operator.patch(&path, json!({ "state": "available" })).await.refused(409, "number_retired");
        app.settle().await;
    }

    async fn a_number_that_comes_back_ages_before_it_is_given_again(app) {
        let pair = app.alice_and_bob().await;
        let operator = operator(app);
        let numbers = operator.get("/v1/admin/numbers").await.expect(200);
        let held = numbers["items"].as_array().unwrap().iter().find(|n| n["number"] == pair.number.as_str()).unwrap();
        operator.delete(&format!("/v1/admin/numbers/{}", held["id"].as_str().unwrap())).await.expect(204);
        app.settle().await;
        app.advance(std::time::Duration::from_secs(61));
        app.settle().await;
        let again = json!({ "numbers": [{ "number": pair.number, "carrier": "sim", "capabilities": ["sms"] }] });
        assert_eq!(operator.post("/v1/admin/numbers", again).await.expect(201)["imported"], 1);
        app.settle().await;
        let now = async || {
            let all = operator.get("/v1/admin/numbers").await.expect(200);
            all["items"].as_array().unwrap().iter().find(|n| n["number"] == pair.number.as_str()).unwrap().clone()
        };
        let aging = now().await;
        assert_eq!(aging["state"], "suspended");
        assert!(aging["retired_at"].is_string());
        app.advance(std::time::Duration::from_secs(44 * 24 * 3_600));
        meari::messaging::rounds::look_after_numbers(&app.app).await.unwrap();
        assert_eq!(now().await["state"], "suspended");
        app.advance(std::time::Duration::from_secs(24 * 3_600));
        meari::messaging::rounds::look_after_numbers(&app.app).await.unwrap();
        app.settle().await;
        let back = now().await;
        assert_eq!((&back["state"], back["retired_at"].is_null()), (&json!("available"), true));
    }

    async fn the_health_of_each_number_is_shown_by_pages(app) {
        let pair = app.alice_and_bob().await;
        let operator = operator(app);
        let delivered = |n: &Value| n["delivered"].as_i64().unwrap();
        let first = operator.get("/v1/admin/numbers/health?limit=100").await.expect(200);
        let first = first["items"].as_array().unwrap().iter().find(|n| n["number"] == pair.number.as_str());
        // The code that proved Alice's phone may have come from the same number.
        let before = first.map_or(0, delivered);
        pair.bob_writes("Arrives").await;
        app.settle().await;
        let filtered = meari::simulator::Behaviour {
            handset: meari::simulator::Handset::Filtered,
            ..Default::default()
        };
        app.carrier.set_behaviour(filtered).unwrap();
        pair.bob_writes("Does not").await;
        app.settle().await;
        let mut path = "/v1/admin/numbers/health?limit=3".to_owned();
        let mut all = Vec::new();
        loop {
            let page = operator.get(&path).await.expect(200);
            all.extend(page["items"].as_array().unwrap().clone());
            let Some(next) = page["next"].as_str() else { break };
            path = format!("/v1/admin/numbers/health?limit=3&after={next}");
        }
        assert_eq!(all.len(), 20);
        let mine = all.iter().find(|n| n["number"] == pair.number.as_str()).unwrap();
        assert_eq!((delivered(mine), &mine["undelivered"], &mine["blocked"]), (before + 1, &json!(1), &json!(1)));
        let rate = (before + 1) as f64 / (before + 2) as f64;
        assert!((mine["delivery_rate"].as_f64().unwrap() - rate).abs() < 0.01, "{mine}");
        assert_eq!(mine["unwell"], false);
        assert!(all.iter().any(|n| n["delivery_rate"].is_null()));
        operator.get("/v1/admin/numbers/health?days=91").await.refused(422, "out_of_range");
    }
}
