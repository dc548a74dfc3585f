//! The main job: a phone texts a messenger friend, and the friend answers.

use serde_json::json;

use meari::simulator::Outcome;

use crate::support::app::{CARRIER, Pair};

story! {
    async fn a_phone_texts_a_friend_and_the_friend_answers(app) {
        let Pair { bob, phone, number, contact, .. } = app.alice_and_bob().await;
        app.phone_texts(&phone, &number, "Are you home?").await;
        let chats = bob.get("/v1/conversations").await.expect(200);
        assert_eq!(chats["items"][0]["contact"]["address"], "meari:alice");
        assert_eq!(chats["items"][0]["unread"], 1);
        assert_eq!(chats["items"][0]["last_message"]["text"], "Are you home?");
        assert_eq!(chats["items"][0]["last_message"]["state"], "received");

        let said = bob
            .post(&format!("/v1/contacts/{contact}/messages"), json!({ "text": "In ten minutes", "client_id": "a-1" }))
            .await
            .expect(201);
        assert_eq!((said["state"].as_str(), said["via"].as_str()), (Some("queued"), Some("sms")));
        app.settle().await;
        assert_eq!(app.texts(&phone).pop().unwrap(), (number, "In ten minutes".to_owned()));
        let thread = format!("/v1/conversations/{}/messages", said["conversation_id"].as_str().unwrap());
        let messages = bob.get(&thread).await.expect(200);
        assert_eq!(messages["items"][0]["state"], "delivered");
        assert_eq!(messages["items"][0]["segments"], 1);
    }

    async fn the_same_callback_twice_is_one_message(app) {
        let Pair { bob, phone, number, .. } = app.alice_and_bob().await;
        let behaviour = meari::simulator::Behaviour { repeat_callbacks: 2, ..Default::default() };
        app.carrier.set_behaviour(behaviour).unwrap();

        app.phone_texts(&phone, &number, "Once").await;
        let told = app.carrier.callbacks().iter().filter(|c| c.url.ends_with(&format!("/carriers/{CARRIER}/messages"))).count();
        assert!(told >= 3, "the carrier repeated itself");
        let chats = bob.get("/v1/conversations").await.expect(200);
        assert_eq!(chats["items"][0]["unread"], 1);
        let thread = format!("/v1/conversations/{}/messages", chats["items"][0]["id"].as_str().unwrap());
        assert_eq!(bob.get(&thread).await["items"].as_array().unwrap().len(), 1);
    }

    async fn a_stranger_is_told_once_a_day_what_the_number_is(app) {
        app.pool(5).await;
        let stranger = app.phone("+12025550150");
        app.phone_texts(&stranger, "+12025550200", "Hello?").await;
        app.phone_texts(&stranger, "+12025550200", "Anybody?").await;
        assert_eq!(app.texts(&stranger).len(), 1);
        app.advance(std::time::Duration::from_secs(25 * 3600));
        app.phone_texts(&stranger, "+12025550200", "Hello again").await;
        assert_eq!(app.texts(&stranger).len(), 2);
    }

    async fn two_phone_users_reach_each_other_through_two_numbers(app) {
        app.pool(20).await;
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        let alices = app.verify_mobile(&alice, "+12025550101").await;
        let bobs = app.verify_mobile(&bob, "+12025550102").await;
        let (to_bob, to_alice) = alice.befriends(&bob).await;
        let bob_for_alice = alice.get(&format!("/v1/contacts/{to_bob}")).await["number"].as_str().unwrap().to_owned();
        let alice_for_bob = bob.get(&format!("/v1/contacts/{to_alice}")).await["number"].as_str().unwrap().to_owned();

        app.phone_texts(&alices, &bob_for_alice, "Hi Bob").await;
        let (from, text) = app.texts(&bobs).pop().unwrap();
        assert_eq!(from, alice_for_bob);
        assert!(text.ends_with("Hi Bob"));
        app.phone_texts(&bobs, &alice_for_bob, "Hi Alice").await;
        assert_eq!(app.texts(&alices).pop().unwrap(), (bob_for_alice, "Hi Alice".to_owned()));
        assert_eq!(app.texts(&bobs).len(), 2, "the code and one message: nothing came back round");
    }

    async fn phones_that_answer_each_other_by_themselves_come_to_an_end(app) {
        app.pool(20).await;
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        let phones = [app.verify_mobile(&alice, "+12025550101").await, app.verify_mobile(&bob, "+12025550102").await];
        let (to_bob, _) = alice.befriends(&bob).await;
        app.settle().await;
        let number = alice.get(&format!("/v1/contacts/{to_bob}")).await.expect(200)["number"].clone();
        app.phone_texts(&phones[0], number.as_str().unwrap(), "Are you there?").await;
        let mut answered = phones.each_ref().map(|phone| app.texts(phone).len() - 1);
        answered[0] += 1;
        let mut echoes = 0;
        loop {
            let before = echoes;
            for (phone, answered) in phones.iter().zip(&mut answered) {
                let texts = app.texts(phone);
                for (from, _) in texts.iter().skip(*answered) {
                    echoes += 1;
                    app.carrier.phone_texts(phone, &meari::phone::E164::parse(from).unwrap(), "I am away").unwrap();
                }
                *answered = texts.len();
                app.settle().await;
            }
            if echoes == before {
                break;
            }
            assert!(echoes < 400, "they would never end");
        }
        assert!(echoes >= 100, "{echoes}: they may talk for a while");
        let told = app.carrier.callbacks();
        assert!(told.iter().all(|callback| callback.outcome.is_taken()), "no callback is refused");
        let chats = alice.get("/v1/conversations").await.expect(200);
        let last = &chats["items"][0]["last_message"];
        assert_eq!((last["state"].as_str(), last["error"]["code"].as_str()), (Some("failed"), Some("too_many_sms")));
    }

    async fn what_cannot_be_stored_is_said_again(app) {
        let Pair { phone, number, .. } = app.alice_and_bob().await;
        let cut = move |db: &mut meari::db::Db| {
            db.execute_batch("DELETE FROM conversation_members")
        };
        app.app.db.write(meari::db::Lane::Any, cut).await.unwrap();
        // Whom the number names has a conversation that is not there, however often one looks.
        app.phone_texts(&phone, &number, "Still here?").await;
        let told = app.carrier.callbacks().pop().unwrap();
        assert_eq!(told.outcome, Outcome::Answered(503), "the carrier shall say it again");
    }

    async fn a_repeated_request_sends_nothing_twice(app) {
        let Pair { bob, phone, contact, .. } = app.alice_and_bob().await;
        let path = format!("/v1/contacts/{contact}/messages");
        let first = bob.post(&path, json!({ "text": "Once", "client_id": "same" })).await.expect(201);
        let again = bob.post(&path, json!({ "text": "Once", "client_id": "same" })).await.expect(200);
        assert_eq!(first["id"], again["id"]);
        app.settle().await;
        assert_eq!(app.texts(&phone).iter().filter(|(_, text)| text.ends_with("Once")).count(), 1);
    }

    async fn a_bad_signature_touches_nothing(app) {
        app.pool(5).await;
        let url = format!("{}/carriers/{CARRIER}/messages", app.url);
        let form = "MessageSid=SM1&From=%2B12025550101&To=%2B12025550200&Body=x&NumSegments=1&AccountSid=AC1";
        for signature in [None, Some("bm90IGl0"), Some("")] {
            let mut request = app.stranger().http().post(&url).body(form).header("content-type", "application/x-www-form-urlencoded");
            if let Some(signature) = signature {
                request = request.header("x-twilio-signature", signature);
            }
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 403);
            assert!(answer.text().await.unwrap().contains("bad_signature"));
        }
        assert_eq!(app.app.db.figures().operations.load(std::sync::atomic::Ordering::Relaxed), 1, "only the import wrote");
    }

    async fn a_mobile_is_proved_by_texting_us(app) {
        app.pool(20).await;
        let (alice, mallory) = (app.person("alice").await, app.person("mallory").await);
        let phone = app.phone("+12025550101");
        let asked = alice.post("/v1/me/mobiles", json!({ "number": phone.as_str() })).await.expect(201);
        let (to, words) = (asked["text_to"]["number"].as_str().unwrap(), asked["text_to"]["text"].as_str().unwrap());
        let elsewhere = app.phone("+12025550109");
        app.phone_texts(&elsewhere, to, words).await;
        assert_eq!(alice.get("/v1/me").await["mobiles"][0]["state"], "pending", "only from the mobile itself");
        app.phone_texts(&phone, to, &words.to_lowercase()).await;
        assert_eq!(alice.get("/v1/me").await["mobiles"][0]["state"], "verified");
        assert_eq!(mallory.get("/v1/me").await["mobiles"], json!([]));
    }
}
