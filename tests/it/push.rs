//! A messenger that is closed is woken for messages: without their content, unless its owner wants it, not in his quiet
//! hours, and not when he is there.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::support::app::Pair;
use crate::support::push::{Delivery, PushService, Subscriber};
use crate::support::{Person, TestApp};

fn subscription(of: &Subscriber, show_content: bool) -> Value {
    json!({
        "endpoint": of.endpoint, "expirationTime": null,
        "keys": { "p256dh": of.p256dh(), "auth": of.auth_secret() }, "show_content": show_content,
    })
}

async fn subscribes(person: &Person, of: &Subscriber, show_content: bool) -> String {
    let answer = person.post("/v1/me/push-subscriptions", subscription(of, show_content)).await.expect(201);
    answer["id"].as_str().unwrap().to_owned()
}

async fn alice_writes(pair: &Pair, app: &TestApp, text: &str) {
    app.phone_texts(&pair.phone, &pair.number, text).await;
}

async fn later(app: &TestApp, service: &PushService, seconds: u64) -> Vec<Delivery> {
    app.advance(Duration::from_secs(seconds));
    app.settle().await;
    service.deliveries()
}

story! {
    async fn a_closed_messenger_is_woken_for_messages(app) {
        let pair = app.alice_and_bob().await;
        let service = PushService::start();
        let (plain, open) = (service.subscribe("plain"), service.subscribe("open"));
        subscribes(&pair.bob, &plain, false).await;
        subscribes(&pair.bob, &open, true).await;
        alice_writes(&pair, app, "Are you home?").await;
        alice_writes(&pair, app, "Hello?").await;
        assert!(service.deliveries().is_empty());
        let mut said = later(app, &service, 5).await;
        said.sort_by(|a, b| a.path.cmp(&b.path));
        assert_eq!(said.len(), 2);
        assert_eq!((said[1].header("urgency"), said[1].header("content-type")), ("high", "application/json"));
        assert_eq!(plain.json(&said[1]), json!({ "type": "messages", "unread": 2 }));
        let told = open.json(&said[0]);
        assert_eq!((&told["sender"], &told["text"]), (&json!("Alice"), &json!("Hello?")));
        assert_eq!(told["unread"], 2);
        // What was read elsewhere meanwhile wakes nobody.
        alice_writes(&pair, app, "Never mind").await;
        let conversation = told["conversation_id"].as_str().unwrap();
        let thread = pair.bob.get(&format!("/v1/conversations/{conversation}/messages")).await.expect(200);
        let path = format!("/v1/conversations/{conversation}/read");
        pair.bob.post(&path, json!({ "up_to": thread["items"][0]["id"] })).await.expect(204);
        assert!(later(app, &service, 30).await.is_empty());
    }

    async fn friends_who_write_in_the_messenger_wake_each_other(app) {
        let (bob, carol) = (app.person("bob").await, app.person("carol").await);
        let (contact, _) = carol.befriends(&bob).await;
        let service = PushService::start();
        let me = service.subscribe("bob");
        subscribes(&bob, &me, false).await;
        subscribes(&carol, &service.subscribe("carol"), false).await;
        carol.post(&format!("/v1/contacts/{contact}/messages"), json!({ "text": "Hi" })).await.expect(201);
        let said = later(app, &service, 5).await;
        assert_eq!(said.iter().map(|d| d.path.as_str()).collect::<Vec<_>>(), ["/bob"]);
        assert_eq!(me.json(&said[0])["unread"], 1);
    }

    async fn who_is_there_is_not_woken(app) {
        let pair = app.alice_and_bob().await;
        let service = PushService::start();
        subscribes(&pair.bob, &service.subscribe("me"), false).await;
        let response = pair.bob.http().get(format!("{}/v1/events", app.url))
            .bearer_auth(pair.bob.token.as_ref().unwrap())
            .header("accept", "text/event-stream").send().await.unwrap();
        let mut stream = response.bytes_stream();
        stream.next().await.unwrap().unwrap();
        alice_writes(&pair, app, "You see this").await;
        assert!(later(app, &service, 5).await.is_empty());
    }

    async fn quiet_hours_are_quiet(app) {
        let pair = app.alice_and_bob().await;
        let service = PushService::start();
        let me = service.subscribe("me");
        subscribes(&pair.bob, &me, false).await;
        // It is noon in UTC.
        let hours = json!({ "time_zone": "UTC", "quiet_hours": { "from": "11:00", "to": "13:30" } });
        pair.bob.patch("/v1/me", hours).await.expect(200);
        alice_writes(&pair, app, "One").await;
        assert!(later(app, &service, 60).await.is_empty());
        alice_writes(&pair, app, "Two").await;
        assert!(later(app, &service, 80 * 60).await.is_empty());
        let said = later(app, &service, 10 * 60).await;
        assert_eq!(said.len(), 1);
        assert_eq!(me.json(&said[0])["unread"], 2);
    }

    async fn devices_come_and_go(app) {
        let (bob, service) = (app.person("bob").await, PushService::start());
        let key = bob.get("/v1/me/push-key").await.expect(200);
        assert_eq!(key["public_key"].as_str().unwrap().len(), 87);
        let me = service.subscribe("me");
        let id = subscribes(&bob, &me, false).await;
        assert_eq!(subscribes(&bob, &me, true).await, id);
        let elsewhere = bob.signs_in_again().await;
        let other = subscribes(&elsewhere, &service.subscribe("other"), false).await;
        let list = bob.get("/v1/me/push-subscriptions").await.expect(200);
        let shown: Vec<(&Value, &Value, &Value)> = list["items"].as_array().unwrap().iter()
            .map(|d| (&d["id"], &d["current"], &d["show_content"])).collect();
        assert_eq!(shown, [(&json!(id), &json!(true), &json!(true)), (&json!(other), &json!(false), &json!(false))]);
        let taken_along = bob.get("/v1/me/export").await.expect(200);
        let kept = taken_along["account"]["push_registrations"].as_array().unwrap().iter();
        assert_eq!(kept.map(|r| &r["id"]).collect::<Vec<_>>(), [&json!(id), &json!(other)]);
        for (field, value) in [
            ("endpoint", json!("")),
            ("endpoint", json!("ftp://push.example.org/a")),
            ("keys", json!({ "p256dh": "AAAA", "auth": me.auth_secret() })),
            ("keys", json!({ "p256dh": me.p256dh(), "auth": "AAAA" })),
        ] {
            let mut body = subscription(&me, false);
            body[field] = value;
            bob.post("/v1/me/push-subscriptions", body).await.refused(422, "bad_push_subscription");
        }
        // It ends with its session.
        elsewhere.delete("/v1/sessions/current").await.expect(204);
        let list = bob.get("/v1/me/push-subscriptions").await.expect(200);
        assert_eq!(list["items"].as_array().unwrap().len(), 1);
        bob.delete(&format!("/v1/me/push-subscriptions/{id}")).await.expect(204);
        bob.delete(&format!("/v1/me/push-subscriptions/{id}")).await.refused(404, "not_found");
    }
}
