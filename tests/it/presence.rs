//! Who can be reached, and how.

use std::time::Duration;

use diesel::prelude::*;
use meari::db::Db;
use meari::events::{self, EventKind};
use meari::ids::{AccountId, HandsetId};
use meari::presence;
use meari::schema::handsets;
use serde_json::{Value, json};

use crate::support::{Person, TestApp};

fn account_of(person: &Person) -> AccountId {
    person.id.parse().unwrap()
}

async fn handset_of(app: &TestApp, person: &Person) -> HandsetId {
    let account = account_of(person);
    let find = move |db: &mut Db| {
        Ok(meari::each!(db, |c| handsets::table
            .filter(handsets::account_id.eq(account))
            .select(handsets::id)
            .first(c))?)
    };
    app.app.db.read(find).await.unwrap()
}

async fn seen(person: &Person, contact: &str) -> Value {
    person.get(&format!("/v1/contacts/{contact}/presence")).await.expect(200).body
}

async fn news(app: &TestApp, person: &Person) -> usize {
    let account = account_of(person);
    let log = app.app.db.read(move |db| events::since(db, account, 0)).await.unwrap();
    log.iter().filter(|event| event.kind == EventKind::PresenceChanged).count()
}

/// Somebody opens a client; dropping what is answered closes it.
async fn opens(app: &TestApp, person: &Person) -> tokio::sync::watch::Receiver<i64> {
    let account = account_of(person);
    let rings = app.app.hub.subscribe(account).unwrap();
    presence::clients::opened(&app.app, account).await.unwrap();
    rings
}

async fn closes(app: &TestApp, person: &Person, rings: tokio::sync::watch::Receiver<i64>) {
    drop(rings);
    presence::clients::closed(&app.app, account_of(person)).await.unwrap();
}

story! {
    async fn who_has_only_a_phone_can_always_be_reached(app) {
        app.pool(3).await;
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        app.verify_mobile(&alice, "+12025550101").await;
        let (_, at_bob) = alice.befriends(&bob).await;
        let first = seen(&bob, &at_bob).await;
        assert_eq!((&first["state"], &first["via"], &first["quiet"]), (&json!("available"), &json!("sms"), &json!(false)));

        // Noon in London is nine in the evening in Seoul.
        let night = json!({ "time_zone": "Asia/Seoul", "quiet_hours": { "from": "20:00", "to": "07:00" } });
        alice.patch("/v1/me", night).await.expect(200);
        let asleep = seen(&bob, &at_bob).await;
        assert_eq!((&asleep["state"], &asleep["via"], &asleep["quiet"]), (&json!("busy"), &json!("sms"), &json!(true)));
        alice.patch("/v1/me", json!({ "quiet_hours": null })).await.expect(200);

        let (owner, handset, now) = (account_of(&alice), handset_of(app, &alice).await, app.app.now());
        app.app.db.write(owner, move |db| presence::heard_from(db, now, owner, handset)).await.unwrap();
        let heard = seen(&bob, &at_bob).await;
        assert_eq!(heard["last_active_at"], now.to_rfc3339());
        app.app.db.write(owner, move |db| presence::absent(db, now, owner, handset)).await.unwrap();
        let absent = seen(&bob, &at_bob).await;
        assert_eq!((&absent["state"], &absent["via"]), (&json!("away"), &json!("sms")));
        app.app.db.write(owner, move |db| presence::reached(db, now, owner, handset)).await.unwrap();
        assert_eq!(seen(&bob, &at_bob).await["state"], "available");
        let listed = bob.get(&format!("/v1/contacts/{at_bob}")).await.expect(200);
        assert_eq!(listed["presence"], seen(&bob, &at_bob).await);
    }

    async fn a_phone_that_writes_often_is_written_down_once_a_minute(app) {
        app.pool(3).await;
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        app.verify_mobile(&alice, "+12025550101").await;
        let (_, at_bob) = alice.befriends(&bob).await;
        let (owner, handset, first) = (account_of(&alice), handset_of(app, &alice).await, app.app.now());
        app.app.db.write(owner, move |db| presence::heard_from(db, first, owner, handset)).await.unwrap();
        let soon = first.plus(Duration::from_secs(59));
        app.app.db.write(owner, move |db| presence::heard_from(db, soon, owner, handset)).await.unwrap();
        assert_eq!(seen(&bob, &at_bob).await["last_active_at"], first.to_rfc3339());
        let later = first.plus(Duration::from_secs(61));
        app.app.db.write(owner, move |db| presence::heard_from(db, later, owner, handset)).await.unwrap();
        assert_eq!(seen(&bob, &at_bob).await["last_active_at"], later.to_rfc3339());
    }

    async fn friends_with_a_client_open_are_told(app) {
        let (alice, bob, carol) = (app.person("alice").await, app.person("bob").await, app.person("carol").await);
        let (at_alice, _) = alice.befriends(&bob).await;
        carol.befriends(&bob).await;
        let of_alice = opens(app, &alice).await;
        assert_eq!(seen(&alice, &at_alice).await["state"], "offline");

        let of_bob = opens(app, &bob).await;
        let here = seen(&alice, &at_alice).await;
        assert_eq!((&here["state"], &here["via"]), (&json!("available"), &json!("chat")));
        assert_eq!((news(app, &alice).await, news(app, &carol).await), (1, 0), "carol has no client open");

        bob.put("/v1/me/presence", json!({ "state": "busy", "note": "in a meeting" })).await.expect(200);
        let busy = seen(&alice, &at_alice).await;
        assert_eq!((&busy["state"], &busy["note"]), (&json!("busy"), &json!("in a meeting")));
        bob.put("/v1/me/presence", json!({ "state": "busy", "note": "in a meeting" })).await.expect(200);
        assert_eq!(news(app, &alice).await, 2, "what does not change is no news");

        // A page loaded anew is no news either; a client that stays away is.
        closes(app, &bob, of_bob).await;
        let of_bob = opens(app, &bob).await;
        app.advance(presence::GRACE + Duration::from_secs(1));
        app.settle().await;
        assert_eq!(news(app, &alice).await, 2);
        closes(app, &bob, of_bob).await;
        app.advance(presence::GRACE + Duration::from_secs(1));
        app.settle().await;
        assert_eq!(news(app, &alice).await, 3);
        let gone = seen(&alice, &at_alice).await;
        assert_eq!((&gone["state"], &gone["via"]), (&json!("offline"), &Value::Null));
        closes(app, &alice, of_alice).await;
        app.advance(presence::GRACE + Duration::from_secs(1));
        app.settle().await;
    }

    async fn a_node_that_dies_takes_its_clients_with_it(app) {
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        let (at_alice, _) = alice.befriends(&bob).await;
        let rings = opens(app, &bob).await;
        app.advance(presence::CONNECTION_LASTS - Duration::from_secs(60));
        presence::clients::keep(&app.app).await.unwrap();
        app.advance(Duration::from_secs(120));
        assert_eq!(seen(&alice, &at_alice).await["via"], "chat");
        app.advance(presence::CONNECTION_LASTS);
        presence::clients::sweep(&app.app).await.unwrap();
        assert_eq!(seen(&alice, &at_alice).await["state"], "offline");
        drop(rings);
    }

    async fn presence_is_for_friends(app) {
        app.pool(3).await;
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        app.verify_mobile(&bob, "+12025550101").await;
        let mine = alice.post("/v1/contacts", json!({ "address": "meari:bob" })).await.expect(201);
        let mine = mine["id"].as_str().unwrap();
        assert_eq!(seen(&alice, mine).await["state"], "offline");
        bob.get(&format!("/v1/contacts/{mine}/presence")).await.refused(404, "not_found");
        bob.put("/v1/me/presence", json!({ "state": "sleeping" })).await.expect(422);
        let long = "x".repeat(141);
        bob.put("/v1/me/presence", json!({ "state": "away", "note": long })).await.refused(422, "invalid_note");
        assert_eq!(bob.get("/v1/me/presence").await.expect(200)["via"], "sms");
        app.stranger().get("/v1/me/presence").await.expect(401);
    }
}
