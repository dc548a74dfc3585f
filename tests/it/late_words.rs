//! Words that come before they are expected, or long after: a receipt before the answer to the send, a text to a number
//! that is no longer ours.

use std::time::Duration;

use meari::simulator::{Behaviour, signature};
use meari::worker;
use serde_json::json;

use crate::support::TestApp;
use crate::support::app::{ADMIN_TOKEN, AUTH_TOKEN, CARRIER, Pair};

/// A receipt that does not say which of our messages it is about.
async fn a_blind_receipt(app: &TestApp, sid: &str, status: &str) -> u16 {
    let url = format!("{}/carriers/{CARRIER}/status", app.url);
    let form = [("MessageSid", sid), ("MessageStatus", status), ("SmsSid", sid)];
    let params: Vec<(String, String)> =
        form.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let signature = signature::sign(AUTH_TOKEN, &url, &params);
    let request = app.stranger().http().post(&url).header("x-twilio-signature", signature).form(&form);
    request.send().await.unwrap().status().as_u16()
}

story! {
    async fn a_receipt_that_comes_before_the_answer_is_kept_and_matched(app) {
        let pair = app.alice_and_bob().await;
        let sent_before = app.carrier.messages_sent().len();
        app.carrier.set_behaviour(Behaviour { slow_ms: 700, ..Behaviour::default() }).unwrap();
        let message = pair.bob_writes("Quick").await;
        let early = async {
            let sid = loop {
                if let Some(sent) = app.carrier.messages_sent().get(sent_before) {
                    break sent.sid.clone();
                }
                tokio::task::yield_now().await;
            };
            assert_eq!(a_blind_receipt(app, &sid, "delivered").await, 200);
            pair.as_bob_sees(&message).await["state"].clone()
        };
        let (_, before) = tokio::join!(worker::drain(&app.app), early);
        assert_eq!(before, "queued", "nobody knows yet which message it is about");
        assert_eq!(pair.as_bob_sees(&message).await["state"], "delivered", "before anything else was told");
        app.settle().await;
        assert_eq!(pair.as_bob_sees(&message).await["state"], "delivered");
    }

    async fn a_text_to_a_number_that_is_no_longer_ours_arrives_and_names_the_new_one(app) {
        let Pair { alice, bob, phone, number, .. } = app.alice_and_bob().await;
        let operator = app.stranger().with_token(ADMIN_TOKEN);
        let all = operator.get("/v1/admin/numbers?limit=100").await.expect(200);
        let id = all["items"].as_array().unwrap().iter().find(|n| n["number"] == number.as_str()).unwrap()["id"].clone();
        operator.delete(&format!("/v1/admin/numbers/{}", id.as_str().unwrap())).await.expect(204);
        app.settle().await;
        app.advance(Duration::from_secs(120));
        app.settle().await;
        let friend = alice.get("/v1/contacts").await.expect(200)["items"][0].clone();
        let new = friend["number"].as_str().unwrap().to_owned();
        assert_ne!(new, number);

        let before = app.texts(&phone).len();
        app.phone_texts(&phone, &number, "Still there?").await;
        app.phone_texts(&phone, &number, "Hello?").await;
        let chats = bob.get("/v1/conversations").await.expect(200);
        assert_eq!((&chats["items"][0]["unread"], &chats["items"][0]["last_message"]["text"]), (&json!(2), &json!("Hello?")));
        let told = app.texts(&phone);
        assert_eq!(told.len(), before + 1, "told once a day");
        let (from, text) = told.last().unwrap();
        assert_eq!(from, &new);
        assert!(text.contains(&new) && text.contains("new number"), "{text}");

        // Who is a friend no more is not reached by an old number either, and his phone is told so.
        alice.delete(&format!("/v1/contacts/{}", friend["id"].as_str().unwrap())).await.expect(204);
        app.settle().await;
        app.phone_texts(&phone, &number, "Anybody?").await;
        assert!(app.last_text(&phone).contains("none of your contacts"), "{}", app.last_text(&phone));
        let stranger = app.phone("+12025550150");
        app.phone_texts(&stranger, &number, "Who is this?").await;
        assert!(app.last_text(&stranger).contains("Meari member"));
    }
}
