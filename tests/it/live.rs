//! The live door: what happens reaches every client at once, and a client that comes back misses nothing.

use futures_util::{SinkExt as _, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::app::Pair;
use crate::support::database::TestDatabase;
use crate::support::{Person, TestApp, eventually};

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

/// Opens the door as a browser does: with a ticket.
pub async fn open(app: &TestApp, person: &Person, after: Option<i64>) -> Socket {
    let ticket = person.post("/v1/events/tickets", json!({})).await.expect(201);
    let after = after.map(|seq| format!("&after={seq}")).unwrap_or_default();
    let url = format!("ws{}/v1/events?ticket={}{after}", &app.url[4..], ticket["ticket"].as_str().unwrap());
    tokio_tungstenite::connect_async(url).await.unwrap().0
}

async fn next(socket: &mut Socket) -> Value {
    loop {
        let frame = tokio::time::timeout(std::time::Duration::from_secs(10), socket.next()).await;
        match frame.expect("a frame comes within ten seconds").unwrap().unwrap() {
            Message::Text(text) => return serde_json::from_str(&text).unwrap(),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("unexpected {other:?}"),
        }
    }
}

/// The next event of a type; others are passed over.
pub async fn next_of(socket: &mut Socket, kind: &str) -> Value {
    loop {
        let event = next(socket).await;
        if event["type"] == kind {
            return event;
        }
    }
}

/// A pulled cable: what was open stays open for the other side, and nobody answers.
#[actix_web::test]
async fn a_client_that_answers_no_ping_is_let_go() {
    let app = TestApp::start(TestDatabase::sqlite(), |settings| settings.live_ping_seconds = 1).await;
    let bob = app.person("bob").await;
    let alive = open(&app, &bob, None).await;
    let dead = open(&app, &bob, None).await;
    // The one is read, so that its pings are answered; the other is not.
    let reader = actix_web::rt::spawn(alive.for_each(|_| async {}));
    assert_eq!(app.edges.live.open_count(), 2);
    eventually("the dead one is let go", async || app.edges.live.open_count() == 1).await;
    assert!(!reader.is_finished(), "the one that answers stays");
    drop(dead);
    app.finish().await;
}

story! {
    async fn a_page_asks_whether_anybody_is_there(app) {
        let bob = app.person("bob").await;
        let mut socket = open(app, &bob, None).await;
        assert_eq!(next(&mut socket).await["type"], "hello");
        socket.send(Message::text("beat")).await.unwrap();
        assert_eq!(next(&mut socket).await, json!({ "type": "beat" }));
        socket.send(Message::text("something else")).await.unwrap();
        socket.send(Message::text("beat")).await.unwrap();
        assert_eq!(next(&mut socket).await, json!({ "type": "beat" }));
    }

    async fn who_types_is_seen_at_once_and_kept_nowhere(app) {
        let Pair { alice, bob, contact, .. } = app.alice_and_bob().await;
        let shown = bob.get(&format!("/v1/contacts/{contact}")).await.expect(200);
        let path = format!("/v1/conversations/{}/typing", shown["conversation_id"].as_str().unwrap());
        let mut hers = open(app, &alice, None).await;
        let hello = next(&mut hers).await;
        bob.post(&path, json!({ "typing": true })).await.expect(204);
        let event = next_of(&mut hers, "typing.changed").await;
        assert_eq!(event["data"]["typing"], true);
        assert_eq!(event["data"]["conversation_id"], shown["conversation_id"]);
        let friends = alice.get("/v1/contacts").await.expect(200);
        assert_eq!(event["data"]["contact_id"], friends["items"][0]["id"]);
        let again = open(app, &alice, hello["seq"].as_i64()).await;
        drop(again);

        for _ in 0..19 {
            bob.post(&path, json!({ "typing": true })).await.expect(204);
        }
        bob.post(&path, json!({ "typing": true })).await.refused(429, "too_many_signs");
        bob.post(&path, json!({ "typing": "yes" })).await.expect(422);
    }

    async fn who_is_blocked_is_not_seen_typing(app) {
        let Pair { alice, bob, contact, .. } = app.alice_and_bob().await;
        let shown = bob.get(&format!("/v1/contacts/{contact}")).await.expect(200);
        let path = format!("/v1/conversations/{}/typing", shown["conversation_id"].as_str().unwrap());
        let friends = alice.get("/v1/contacts").await.expect(200);
        let friend = friends["items"][0]["id"].as_str().unwrap();
        let mut hers = open(app, &alice, None).await;
        alice.post(&format!("/v1/contacts/{friend}/block"), json!({})).await.expect(200);
        bob.post(&path, json!({ "typing": true })).await.expect(204);
        alice.patch("/v1/me", json!({ "display_name": "A." })).await.expect(200);
        loop {
            let event = next(&mut hers).await;
            assert_ne!(event["type"], "typing.changed");
            if event["type"] == "account.updated" {
                break;
            }
        }
    }

    async fn a_client_that_is_signed_out_hears_no_more(app) {
        let bob = app.person("bob").await;
        let elsewhere = bob.signs_in_again().await;
        let mut socket = open(app, &bob, None).await;
        assert_eq!(next(&mut socket).await["type"], "hello");
        bob.delete("/v1/sessions/current").await.expect(204);
        let ended = tokio::time::timeout(std::time::Duration::from_secs(10), async {
            while let Some(Ok(frame)) = socket.next().await {
                assert!(!frame.is_text(), "nothing more is told");
            }
        });
        ended.await.expect("the door closes at once");
        elsewhere.get("/v1/me").await.expect(200);
    }

    async fn a_ticket_opens_the_door_once(app) {
        let bob = app.person("bob").await;
        let ticket = bob.post("/v1/events/tickets", json!({})).await.expect(201);
        let path = format!("/v1/events?ticket={}", ticket["ticket"].as_str().unwrap());
        let url = format!("ws{}{path}", &app.url[4..]);
        let first = tokio_tungstenite::connect_async(url.as_str()).await.unwrap().0;
        app.stranger().get(&path).await.refused(401, "bad_ticket");
        drop(first);
    }

    async fn every_client_of_the_friend_has_the_sms_at_once(app) {
        let Pair { bob, phone, number, .. } = app.alice_and_bob().await;
        let mut pc = open(app, &bob, None).await;
        let mut tablet = open(app, &bob, None).await;
        assert_eq!(next(&mut pc).await["type"], "hello");
        assert_eq!(next(&mut tablet).await["type"], "hello");

        app.phone_texts(&phone, &number, "Dinner?").await;
        for socket in [&mut pc, &mut tablet] {
            let event = next_of(socket, "message.created").await;
            assert_eq!(event["data"]["text"], "Dinner?");
            assert_eq!(event["data"]["sender"], "meari:alice");
            assert_eq!(event["data"]["mine"], false);
        }
    }

    async fn a_client_that_comes_back_has_neither_gap_nor_double(app) {
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        let (_, contact) = alice.befriends(&bob).await;
        let path = format!("/v1/contacts/{contact}/messages");
        let mut socket = open(app, &bob, None).await;
        let start = next(&mut socket).await["seq"].as_i64().unwrap();
        for n in 0..3 {
            bob.post(&path, json!({ "text": format!("before {n}") })).await.expect(201);
        }
        let seen = next_of(&mut socket, "message.created").await["seq"].as_i64().unwrap();
        drop(socket);
        for n in 0..700 {
            bob.post(&path, json!({ "text": format!("away {n}") })).await.expect(201);
        }
        let mut socket = open(app, &bob, Some(seen)).await;
        let mut events = Vec::new();
        while events.len() < 702 {
            let event = next(&mut socket).await;
            if event["type"] == "message.created" {
                events.push((event["seq"].as_i64().unwrap(), event["data"]["text"].as_str().unwrap().to_owned()));
            }
        }
        assert!(events.iter().all(|(seq, _)| *seq > seen && *seq > start));
        assert!(events.is_sorted_by(|a, b| a.0 < b.0), "each place once, in order");
        assert_eq!(events[0].1, "before 1");
        assert_eq!(events[701].1, "away 699");
    }

    async fn who_signs_in_again_misses_nothing_that_came_by_his_phone(app) {
        let Pair { alice, phone, number, .. } = app.alice_and_bob().await;
        let mut socket = open(app, &alice, None).await;
        let cursor = next(&mut socket).await["seq"].as_i64().unwrap();
        drop(socket);
        alice.delete("/v1/sessions/current").await.expect(204);
        app.phone_texts(&phone, &number, "While nobody was signed in").await;

        let alice = alice.signs_in_again().await;
        let list = alice.get("/v1/conversations").await.expect(200);
        assert_eq!(list["items"][0]["last_message"]["text"], "While nobody was signed in");
        let mut stale = open(app, &alice, Some(cursor)).await;
        assert_eq!(next(&mut stale).await["type"], "resync", "a cursor of before is not good any more");
        let mut socket = open(app, &alice, None).await;
        next(&mut socket).await;
        app.phone_texts(&phone, &number, "And now").await;
        assert_eq!(next_of(&mut socket, "message.created").await["data"]["text"], "And now");
    }

    async fn a_ticket_opens_the_door_once_and_not_for_long(app) {
        let bob = app.person("bob").await;
        let ticket = bob.post("/v1/events/tickets", json!({})).await.expect(201);
        let path = format!("/v1/events?ticket={}", ticket["ticket"].as_str().unwrap());
        let url = format!("ws{}{path}", &app.url[4..]);
        let _first = tokio_tungstenite::connect_async(&url).await.unwrap();
        app.stranger().get(&path).await.refused(401, "bad_ticket");
        let late = bob.post("/v1/events/tickets", json!({})).await.expect(201);
        app.advance(std::time::Duration::from_secs(31));
        app.stranger().get(&format!("/v1/events?ticket={}", late["ticket"].as_str().unwrap())).await.refused(401, "bad_ticket");
        app.stranger().get("/v1/events?ticket=nonsense").await.refused(401, "bad_ticket");
        app.stranger().get("/v1/events").await.expect(401);
    }

    async fn a_cursor_from_nowhere_is_told_to_read_everything_anew(app) {
        let bob = app.person("bob").await;
        let mut socket = open(app, &bob, Some(1_000_000)).await;
        assert_eq!(next(&mut socket).await["type"], "resync");
    }

    async fn reading_tells_the_writer(app) {
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        let (to_bob, _) = alice.befriends(&bob).await;
        let said = alice.post(&format!("/v1/contacts/{to_bob}/messages"), json!({ "text": "Read me" })).await.expect(201);
        let mut socket = open(app, &alice, None).await;
        next(&mut socket).await;
        let path = format!("/v1/conversations/{}/read", said["conversation_id"].as_str().unwrap());
        bob.post(&path, json!({ "up_to": said["id"] })).await.expect(204);
        let event = next_of(&mut socket, "message.updated").await;
        assert_eq!((event["data"]["id"].as_str(), event["data"]["state"].as_str()), (said["id"].as_str(), Some("read")));
        assert_eq!(bob.get("/v1/conversations").await["items"][0]["unread"], 0);
    }
}
