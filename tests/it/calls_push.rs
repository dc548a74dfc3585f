//! A browser that is closed is woken for a call: at once, only while it rings, and without a name unless its owner wants it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::Person;
use crate::support::app::Pair;
use crate::support::calling::BROWSER_HZ;
use crate::support::push::{PushService, Subscriber};

async fn subscribes(person: &Person, of: &Subscriber, show_content: bool) {
    let subscription = json!({
        "endpoint": of.endpoint, "expirationTime": null,
        "keys": { "p256dh": of.p256dh(), "auth": of.auth_secret() }, "show_content": show_content,
    });
    person.post("/v1/me/push-subscriptions", subscription).await.expect(201);
}

story! {
    async fn a_call_wakes_every_browser_and_so_does_the_missed_one(app) {
        let Pair { bob, phone, number, .. } = app.alice_and_bob().await;
        let service = PushService::start();
        let (plain, open) = (service.subscribe("plain"), service.subscribe("open"));
        subscribes(&bob, &plain, false).await;
        subscribes(&bob, &open, true).await;
        let handset = app.phone_dials(&phone, &number);
        let ringing = bob.call_is(app, &["ringing"]).await;
        app.settle().await;
        let mut rung = service.deliveries();
        rung.sort_by(|a, b| a.path.cmp(&b.path));
        assert_eq!(rung.len(), 2, "both, and no second passes before");
        assert_eq!((rung[1].header("urgency"), rung[1].header("ttl")), ("high", "25"));
        let said = json!({ "type": "call", "call_id": ringing["id"], "expires_at": ringing["expires_at"] });
        assert_eq!(plain.json(&rung[1]), said);
        assert_eq!(open.json(&rung[0])["sender"], "Alice");
        handset.hangs_up();
        bob.call_is(app, &["ended"]).await;
        app.advance(Duration::from_secs(5));
        app.settle().await;
        let mut missed = service.deliveries();
        missed.sort_by(|a, b| a.path.cmp(&b.path));
        assert_eq!(missed.len(), 2);
        assert_eq!(plain.json(&missed[1]), json!({ "type": "messages", "unread": 1, "kind": "call" }));
        let told = open.json(&missed[0]);
        assert_eq!((&told["sender"], &told["text"], &told["kind"]), (&json!("Alice"), &json!("Missed call"), &json!("call")));
        app.calls_are_over().await;
    }

    async fn nobody_is_woken_for_what_does_not_ring(app) {
        let Pair { bob, phone, number, .. } = app.alice_and_bob().await;
        let service = PushService::start();
        let me = service.subscribe("me");
        subscribes(&bob, &me, false).await;
        bob.put("/v1/me/call-settings", json!({ "do_not_disturb": true, "voicemail": { "enabled": false } })).await.expect(200);
        app.phone_dials(&phone, &number);
        bob.call_is(app, &["ended"]).await;
        app.settle().await;
        assert_eq!(service.deliveries().iter().filter(|d| me.json(d)["type"] == "call").count(), 0);
        bob.put("/v1/me/call-settings", json!({ "voicemail": {} })).await.expect(200);

        // Taken before the service was there: nobody is woken any more. And a device that is gone is forgotten.
        service.refuses(503, Some("2"));
        let again = app.phone_dials(&phone, &number);
        let ringing = bob.call_is(app, &["ringing"]).await;
        app.settle().await;
        let browser = bob.accepts(&ringing, BROWSER_HZ).await;
        again.ear.hears(BROWSER_HZ).await;
        app.advance(Duration::from_secs(5));
        app.settle().await;
        assert_eq!(service.deliveries().iter().filter(|d| me.json(d)["type"] == "call").count(), 0);
        bob.to_call(&ringing, "hang-up", json!({})).await.expect(200);
        drop(browser);
        app.calls_are_over().await;
        service.refuses(410, None);
        app.phone_dials(&phone, &number).is(meari::simulator::PhoneCallState::Talking).await;
        let last = bob.call_is(app, &["ringing"]).await;
        app.settle().await;
        assert_eq!(bob.get("/v1/me/push-subscriptions").await["items"], Value::Array(Vec::new()));
        bob.to_call(&last, "decline", json!({ "to_voicemail": false })).await.expect(200);
        app.calls_are_over().await;
    }
}
