//! Mobile numbers and e-mail addresses: a code proves them, guessing does not.

use std::time::Duration;

use serde_json::json;

story! {
    async fn a_code_by_sms_proves_a_mobile_and_gives_numbers(app) {
        app.pool(20).await;
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        let (friend, _) = alice.befriends(&bob).await;
        let contact = alice.get(&format!("/v1/contacts/{friend}")).await.expect(200);
        assert_eq!(contact["number_state"], "none");
        app.verify_mobile(&alice, "+12025550101").await;
        let contact = alice.get(&format!("/v1/contacts/{friend}")).await.expect(200);
        assert_eq!(contact["number_state"], "assigned");
        let me = alice.get("/v1/me").await.expect(200);
        assert_eq!(me["mobiles"][0]["number"], "+12025550101");
        assert_eq!(me["mobiles"][0]["state"], "verified");
    }

    async fn guessing_ends_after_a_few_tries_and_with_time(app) {
        app.pool(5).await;
        let alice = app.person("alice").await;
        let phone = app.phone("+12025550101");
        let asked = alice.post("/v1/me/mobiles", json!({ "number": "+1 (202) 555-0101" })).await.expect(201);
        assert_eq!((asked["number"].as_str(), asked["state"].as_str()), (Some("+12025550101"), Some("pending")));
        app.settle().await;
        let code: String = app.last_text(&phone).chars().filter(char::is_ascii_digit).collect();
        let wrong = if code == "000000" { "000001" } else { "000000" };
        let path = format!("/v1/me/mobiles/{}/verify", asked["id"].as_str().unwrap());
        for _ in 0..5 {
            alice.post(&path, json!({ "code": wrong })).await.refused(422, "wrong_code");
        }
        alice.post(&path, json!({ "code": code })).await.refused(422, "code_expired");

        alice.post("/v1/me/mobiles", json!({ "number": "+12025550101" })).await.expect(201);
        app.settle().await;
        let code: String = app.last_text(&phone).chars().filter(char::is_ascii_digit).collect();
        app.advance(Duration::from_secs(601));
        alice.post(&path, json!({ "code": code })).await.refused(422, "code_expired");
        assert_eq!(alice.get("/v1/me").await.expect(200)["mobiles"][0]["state"], "pending");
    }

    async fn codes_are_not_sent_without_end(app) {
        app.pool(5).await;
        let alice = app.person("alice").await;
        app.phone("+12025550101");
        for _ in 0..3 {
            alice.post("/v1/me/mobiles", json!({ "number": "+12025550101" })).await.expect(201);
        }
        alice.post("/v1/me/mobiles", json!({ "number": "+12025550101" })).await.refused(429, "too_many_codes");
        app.settle().await;
        alice.post("/v1/me/mobiles", json!({ "number": "12" })).await.refused(422, "invalid_number");
        alice.post("/v1/me/mobiles", json!({ "number": "+12025550200" })).await.refused(422, "invalid_number");
    }

    async fn a_stranger_gets_few_codes_and_few_guesses_whoever_asks(app) {
        app.pool(5).await;
        let phone = app.phone("+12025550101");
        let mut people = Vec::new();
        for name in ["ann", "ben", "cat"] {
            people.push(app.person(name).await);
        }
        let number = json!({ "number": "+12025550101" });
        let mut paths = Vec::new();
        for n in 0..12 {
            let asked = people[n % 3].post("/v1/me/mobiles", number.clone()).await.expect(201);
            assert_eq!(asked["code_sent"], n < 8, "{n}");
            assert!(asked["text_to"]["text"].is_string(), "the owner can prove it all the same");
            paths.push(format!("/v1/me/mobiles/{}/verify", asked["id"].as_str().unwrap()));
            if n % 3 == 2 {
                app.settle().await;
                app.advance(Duration::from_secs(1_210));
                for person in &mut people {
                    *person = person.signs_in_again().await;
                }
            }
        }
        let texts = app.carrier.phone(&phone).unwrap().threads.iter().map(|t| t.messages.len()).sum::<usize>();
        assert_eq!(texts, 8, "what is not sent costs nothing");
        // Ten guesses each, and no account has one more for this number.
        for (person, path) in people.iter().zip(&paths) {
            for _ in 0..10 {
                person.post(path, json!({ "code": "wrong" })).await.expect(422);
            }
        }
        for (person, path) in people.iter().zip(&paths) {
            person.post(path, json!({ "code": "wrong" })).await.refused(429, "too_many_checks");
        }
        app.phone("+12025550102");
        let own = people[0].post("/v1/me/mobiles", json!({ "number": "+12025550102" })).await.expect(201);
        let path = format!("/v1/me/mobiles/{}/verify", own["id"].as_str().unwrap());
        people[0].post(&path, json!({ "code": "wrong" })).await.expect(422);
        app.settle().await;
    }

    async fn whoever_has_the_phone_has_the_number(app) {
        app.pool(20).await;
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        let carol = app.person("carol").await;
        let (friend, _) = alice.befriends(&bob).await;
        app.verify_mobile(&alice, "+12025550101").await;
        let phone = meari::phone::E164::parse("+12025550101").unwrap();
        let asked = carol.post("/v1/me/mobiles", json!({ "number": phone.as_str() })).await.expect(201);
        app.settle().await;
        let code: String = app.last_text(&phone).chars().filter(char::is_ascii_digit).collect();
        let path = format!("/v1/me/mobiles/{}/verify", asked["id"].as_str().unwrap());
        carol.post(&path, json!({ "code": code })).await.expect(200);
        app.settle().await;
        assert_eq!(alice.get("/v1/me").await.expect(200)["mobiles"], json!([]));
        assert_eq!(alice.get(&format!("/v1/contacts/{friend}")).await.expect(200)["number_state"], "none");
    }

    async fn without_a_mobile_the_numbers_leave(app) {
        app.pool(20).await;
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        let (friend, _) = alice.befriends(&bob).await;
        app.verify_mobile(&alice, "+12025550101").await;
        let id = alice.get("/v1/me").await.expect(200)["mobiles"][0]["id"].as_str().unwrap().to_owned();
        alice.delete(&format!("/v1/me/mobiles/{id}")).await.expect(204);
        alice.delete(&format!("/v1/me/mobiles/{id}")).await.expect(404);
        assert_eq!(alice.get(&format!("/v1/contacts/{friend}")).await.expect(200)["number_state"], "none");
        app.settle().await;
    }

    async fn without_a_mail_server_no_address_is_taken(app) {
        let alice = app.person("alice").await;
        let asked = alice.post("/v1/me/emails", json!({ "address": "alice@example.org" })).await;
        asked.refused(503, "mail_not_configured");
        alice.post("/v1/me/emails", json!({ "address": "alice" })).await.refused(422, "invalid_email");
    }
}
