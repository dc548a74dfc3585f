//! Conversations that are more than a list: messages that answer others, old ones that are found, faces of friends.

use serde_json::{Value, json};

use crate::support::app::Pair;
use crate::support::{Person, TestApp};

async fn friends(app: &TestApp) -> (Person, Person, String, String) {
    let (ann, ben) = (app.person("ann").await, app.person("ben").await);
    let (to_ben, to_ann) = ann.befriends(&ben).await;
    (ann, ben, to_ben, to_ann)
}

async fn says(person: &Person, contact: &str, body: Value) -> Value {
    let said = person.post(&format!("/v1/contacts/{contact}/messages"), body).await.expect(201);
    said.body
}

fn texts(page: &Value) -> Vec<String> {
    page["items"].as_array().unwrap().iter().map(|m| m["text"].as_str().unwrap().to_owned()).collect()
}

story! {
    async fn a_message_answers_another_one_and_both_see_which(app) {
        let (ann, ben, to_ben, to_ann) = friends(app).await;
        let asked = says(&ann, &to_ben, json!({ "text": "Dinner\nat eight?" })).await;
        says(&ann, &to_ben, json!({ "text": "Or at nine?" })).await;
        let answer = says(&ben, &to_ann, json!({ "text": "Yes", "reply_to": asked["id"], "client_id": "r-1" })).await;
        assert_eq!(answer["reply_to"], json!({
            "id": asked["id"], "sender": "meari:ann", "mine": false, "kind": "text", "text": "Dinner at eight?",
        }));
        let thread = format!("/v1/conversations/{}/messages", answer["conversation_id"].as_str().unwrap());
        let seen = ann.get(&thread).await.expect(200);
        assert_eq!(seen["items"][0]["reply_to"]["mine"], true);
        assert_eq!(seen["items"][1]["reply_to"], Value::Null);
        let event = ann.get("/v1/conversations").await.expect(200);
        assert_eq!(event["items"][0]["last_message"]["reply_to"]["text"], "Dinner at eight?");
        let again = json!({ "text": "Yes", "reply_to": asked["id"], "client_id": "r-1" });
        let again = ben.post(&format!("/v1/contacts/{to_ann}/messages"), again).await.expect(200);
        assert_eq!(again["reply_to"]["id"], asked["id"]);

        let cat = app.person("cat").await;
        let (to_cat, _) = ben.befriends(&cat).await;
        for odd in [answer["id"].clone(), json!("msg_01970000000070008000000000000000"), json!("x")] {
            let body = json!({ "text": "Yes", "reply_to": odd });
            ben.post(&format!("/v1/contacts/{to_cat}/messages"), body).await.refused(422, "unknown_message");
        }
    }

    async fn a_phone_sees_what_is_answered_when_it_costs_nothing(app) {
        let pair = app.alice_and_bob().await;
        let Pair { bob, phone, number, contact, .. } = &pair;
        app.phone_texts(phone, number, "Dinner at eight?").await;
        let chats = bob.get("/v1/conversations").await.expect(200);
        let asked = chats["items"][0]["last_message"]["id"].clone();
        let write = format!("/v1/contacts/{contact}/messages");
        let ask = json!({ "text": "Yes", "contact_id": contact, "reply_to": asked });
        let preview = bob.post("/v1/messages/preview", ask).await.expect(200);
        bob.post(&write, json!({ "text": "Yes", "reply_to": asked })).await.expect(201);
        app.settle().await;
        assert_eq!(app.last_text(phone), "> Dinner at eight?\nYes");
        assert_eq!(preview["text"], "> Dinner at eight?\nYes");
        let long = "x".repeat(150);
        bob.post(&write, json!({ "text": long, "reply_to": asked })).await.expect(201);
        app.settle().await;
        assert_eq!(app.last_text(phone), long);
        let ask = json!({ "text": long, "contact_id": contact, "reply_to": asked });
        let preview = bob.post("/v1/messages/preview", ask).await.expect(200);
        assert_eq!((preview["text"].as_str(), preview["segments"].as_u64()), (Some(long.as_str()), Some(1)));
    }

    async fn what_somebody_never_saw_is_not_quoted_to_him(app) {
        let (ann, ben, to_ben, to_ann) = friends(app).await;
        says(&ben, &to_ann, json!({ "text": "Hello" })).await;
        ann.post(&format!("/v1/contacts/{to_ben}/block"), json!({})).await.expect(200);
        let unheard = says(&ben, &to_ann, json!({ "text": "You never see this" })).await;
        ann.post(&format!("/v1/contacts/{to_ben}/unblock"), json!({})).await.expect(200);
        let answer = says(&ben, &to_ann, json!({ "text": "As I said", "reply_to": unheard["id"] })).await;
        assert_eq!(answer["reply_to"]["text"], "You never see this");
        let thread = format!("/v1/conversations/{}/messages", answer["conversation_id"].as_str().unwrap());
        let seen = ann.get(&thread).await.expect(200);
        assert_eq!((seen["items"][0]["text"].as_str(), &seen["items"][0]["reply_to"]), (Some("As I said"), &Value::Null));
    }

    async fn a_conversation_is_read_onward_from_a_message(app) {
        let (ann, ben, to_ben, _) = friends(app).await;
        let mut ids = Vec::new();
        for n in 1..=7 {
            ids.push(says(&ann, &to_ben, json!({ "text": n.to_string() })).await);
        }
        let thread = format!("/v1/conversations/{}/messages", ids[0]["conversation_id"].as_str().unwrap());
        let from = |n: usize| format!("{thread}?limit=3&from={}", ids[n]["id"].as_str().unwrap());
        let page = ben.get(&from(1)).await.expect(200);
        assert_eq!((texts(&page.body), &page["next"]), (vec!["4".into(), "3".into(), "2".into()], &ids[4]["id"]));
        let page = ben.get(&from(4)).await.expect(200);
        assert_eq!((texts(&page.body), &page["next"]), (vec!["7".into(), "6".into(), "5".into()], &Value::Null));
        ben.get(&format!("{thread}?from=nonsense")).await.expect(404);
    }

    async fn old_messages_are_found_by_their_words(app) {
        let (ann, ben, to_ben, to_ann) = friends(app).await;
        let cat = app.person("cat").await;
        let (to_cat, _) = ann.befriends(&cat).await;
        says(&ann, &to_cat, json!({ "text": "The café by the river" })).await;
        app.advance(std::time::Duration::from_secs(40 * 24 * 3600));
        let (ann, ben) = (ann.signs_in_again().await, ben.signs_in_again().await);
        let first = says(&ann, &to_ben, json!({ "text": "Am CAFÉ um acht, 안녕하세요" })).await;
        for n in 0..30 {
            says(&ben, &to_ann, json!({ "text": format!("cafe {n}") })).await;
        }
        let search = |query: &str| format!("/v1/messages/search?{query}");
        let found = ann.get(&search("q=cafe&limit=200")).await.expect(200);
        let found = texts(&found.body);
        assert_eq!((found.len(), found[0].as_str(), found[31].as_str()), (32, "cafe 29", "The café by the river"));
        assert_eq!(texts(&ann.get(&search("q=ACHT%20cafe")).await.expect(200).body), ["Am CAFÉ um acht, 안녕하세요"]);
        assert_eq!(texts(&ben.get(&search("q=%EB%85%95%ED%95%98")).await.expect(200).body).len(), 1, "inside of a word");
        assert_eq!(texts(&ann.get(&search("q=%25")).await.expect(200).body).len(), 0, "a percent sign is one");
        let only = format!("q=cafe&limit=200&conversation_id={}", first["conversation_id"].as_str().unwrap());
        assert_eq!(texts(&ann.get(&search(&only)).await.expect(200).body).len(), 31);
        let page = ann.get(&search("q=cafe&limit=20")).await.expect(200);
        let rest = format!("q=cafe&limit=20&after={}", page["next"].as_str().unwrap());
        let rest = ann.get(&search(&rest)).await.expect(200);
        assert_eq!((texts(&page.body).len(), texts(&rest.body).len(), &rest["next"]), (20, 12, &Value::Null));
    }

    async fn nobody_finds_what_is_not_his_nor_too_often(app) {
        let (ann, _, to_ben, _) = friends(app).await;
        let mallory = app.person("mallory").await;
        let said = says(&ann, &to_ben, json!({ "text": "our secret" })).await;
        let own = mallory.get("/v1/messages/search?q=secret").await.expect(200);
        assert_eq!(own["items"], json!([]));
        let theirs = format!("/v1/messages/search?q=secret&conversation_id={}", said["conversation_id"].as_str().unwrap());
        mallory.get(&theirs).await.refused(404, "not_found");
        for odd in ["q=", "q=a%20b%20c%20d%20e%20f%20g%20h%20i", &format!("q={}", "x".repeat(101))] {
            mallory.get(&format!("/v1/messages/search?{odd}")).await.refused(422, "bad_query");
        }
        mallory.get("/v1/messages/search").await.expect(422);
        for _ in 0..118 {
            mallory.get("/v1/messages/search?q=x").await.expect(200);
        }
        mallory.get("/v1/messages/search?q=x").await.refused(429, "too_many_searches");
    }

    async fn friends_see_a_photo_and_strangers_do_not(app) {
        let (ann, ben, to_ben, to_ann) = friends(app).await;
        let mallory = app.person("mallory").await;
        let contact = format!("/v1/contacts/{to_ann}");
        assert_eq!(ben.get(&contact).await.expect(200)["photo_url"], Value::Null);
        ben.get(&format!("{contact}/photo")).await.expect(404);
        let picture = b"\x89PNG\r\n\x1a\n rest".to_vec();
        let put = ann.http().put(format!("{}/v1/me/photo", app.url)).bearer_auth(ann.token.as_deref().unwrap());
        assert_eq!(put.body(picture.clone()).send().await.unwrap().status(), 204);

        let address = ben.get(&contact).await.expect(200)["photo_url"].as_str().unwrap().to_owned();
        let listed = ben.get("/v1/contacts").await.expect(200);
        assert_eq!(listed["items"][0]["photo_url"], address.as_str());
        let ask = |path: &str| ben.http().get(format!("{}{path}", app.url)).bearer_auth(ben.token.as_deref().unwrap());
        let photo = ask(&address).send().await.unwrap();
        assert_eq!(photo.headers()["content-type"], "image/png");
        assert_eq!(photo.headers()["cache-control"], "private, max-age=86400");
        let tag = photo.headers()["etag"].to_str().unwrap().to_owned();
        assert_eq!(photo.bytes().await.unwrap().as_ref(), picture);
        let plain = format!("{contact}/photo");
        let again = ask(&plain).header("if-none-match", &tag).send().await.unwrap();
        assert_eq!((again.status().as_u16(), again.headers()["cache-control"].to_str().unwrap()), (304, "private, no-cache"));

        mallory.get(&plain).await.expect(404);
        ann.post(&format!("/v1/contacts/{to_ben}/block"), json!({})).await.expect(200);
        ben.get(&plain).await.expect(404);
        assert_eq!(ben.get(&contact).await.expect(200)["photo_url"], Value::Null);
    }
}
