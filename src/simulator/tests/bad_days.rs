//! Bad days on demand.

use std::io::{Read, Write};

use super::*;
use base64::Engine;

fn set(world: &World, behaviour: Behaviour) {
    world.simulator.set_behaviour(behaviour).unwrap();
}

#[actix_web::test]
async fn the_next_request_is_refused_and_the_one_after_is_not() {
    let world = World::start();
    let put = |body: &'static str| {
        world
            .http
            .put(format!("{}/behaviour", world.base))
            .header("Content-Type", "application/json")
            .body(body)
    };
    let answer = put(r#"{"times": 1, "refuse": {"status": 429, "code": 20429, "retry_after_secs": 7}}"#);
    assert_eq!(answer.send().await.unwrap().status(), 200);
    let answer = world.request("POST", "/Messages.json").form(&[("To", ALICE)]).send().await.unwrap();
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.headers()["Retry-After"], "7");
    assert!(answer.text().await.unwrap().contains("20429"));
    assert!(world.simulator.messages().is_empty());
    assert_eq!(world.send(ALICE, "x").await.0, 201);
    assert_eq!(put(r#"{"slow": 1}"#).send().await.unwrap().status(), 422);
    assert_eq!(put(r#"{"times": 0}"#).send().await.unwrap().status(), 422);
}

#[actix_web::test]
async fn a_dropped_answer_is_no_octet_at_all_and_the_message_arrives() {
    let world = World::start();
    set(&world, Behaviour { times: Some(1), drop_answer: true, ..Behaviour::default() });
    let settings = world.simulator.settings().clone();
    let address = world.base.strip_prefix("http://").unwrap().to_owned();
    let user = format!("{}:{}", settings.account_sid, settings.auth_token);
    let body =
        format!("To=%2B{}&From=%2B{}&Body=hi", ALICE.trim_start_matches('+'), OURS.trim_start_matches('+'));
    let request = format!(
        "POST /2010-04-01/Accounts/{}/Messages.json HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        settings.account_sid,
        base64::engine::general_purpose::STANDARD.encode(user),
        body.len()
    );
    let octets = web::block(move || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut octets = Vec::new();
        // A reset is an end too.
        let _ = stream.read_to_end(&mut octets);
        octets
    });
    assert_eq!(octets.await.unwrap(), b"");
    world.simulator.drain().await;
    assert_eq!(world.texts(ALICE), ["hi"]);
}

#[actix_web::test]
async fn receipts_get_lost_repeated_and_out_of_order() {
    let world = World::start();
    let table: [(Behaviour, &[&str]); 4] = [
        (Behaviour { after_accept: AfterAccept::LoseReceipts, ..Behaviour::default() }, &[]),
        (
            Behaviour { repeat_callbacks: 1, ..Behaviour::default() },
            &["sent", "sent", "delivered", "delivered"],
        ),
        (Behaviour { reorder_callbacks: true, ..Behaviour::default() }, &["delivered", "sent"]),
        (Behaviour { late_ms: 60_000, ..Behaviour::default() }, &["sent", "delivered"]),
    ];
    for (nth, (behaviour, wanted)) in table.into_iter().enumerate() {
        set(&world, Behaviour { times: Some(1), ..behaviour.clone() });
        world.send(ALICE, "x").await;
        world.simulator.drain().await;
        assert_eq!(world.customer.take_statuses(), wanted, "{behaviour:?}");
        assert_eq!(world.texts(ALICE).len(), nth + 1, "the message itself arrives");
    }
}

#[actix_web::test]
async fn a_carrier_that_dies_leaves_the_message_queued() {
    let world = World::start();
    set(&world, Behaviour { after_accept: AfterAccept::Die, ..Behaviour::default() });
    assert_eq!(world.send(ALICE, "x").await.0, 201);
    assert_eq!(world.simulator.drain().await, 0);
    assert_eq!(world.simulator.messages()[0].status, Status::Queued);
    assert!(world.texts(ALICE).is_empty());
}

#[actix_web::test]
async fn handsets_are_absent_unreachable_unknown_or_switched_off() {
    let world = World::start();
    let failures = || -> Vec<(String, String)> {
        let last = world.customer.take().pop().unwrap();
        vec![(last.field("MessageStatus").to_owned(), last.field("ErrorCode").to_owned())]
    };
    for (handset, code) in [(Handset::Absent, "30003"), (Handset::Unreachable, "30006")] {
        set(&world, Behaviour { times: Some(1), handset, ..Behaviour::default() });
        world.send(ALICE, "x").await;
        world.simulator.drain().await;
        assert_eq!(failures(), [("undelivered".to_owned(), code.to_owned())]);
    }
    world.send("+12025550109", "nobody has this number").await;
    world.simulator.drain().await;
    assert_eq!(failures(), [("undelivered".to_owned(), "30005".to_owned())]);
    world.simulator.set_power(&number(ALICE), Power::Off).unwrap();
    world.send(ALICE, "x").await;
    world.simulator.drain().await;
    assert_eq!(failures(), [("undelivered".to_owned(), "30003".to_owned())]);
    assert!(world.texts(ALICE).is_empty());
    assert!(world.simulator.phone_texts(&number(ALICE), &number(OURS), "x").is_err());
    let message = world.simulator.messages().pop().unwrap();
    assert_eq!((message.status, message.error_code), (Status::Undelivered, Some(30003)));
}

#[actix_web::test]
async fn inbound_messages_are_repeated_too() {
    let world = World::start();
    set(&world, Behaviour { repeat_callbacks: 2, ..Behaviour::default() });
    world.simulator.phone_texts(&number(ALICE), &number(OURS), "x").unwrap();
    world.simulator.drain().await;
    let calls = world.customer.take();
    assert_eq!(calls.len(), 3);
    assert!(calls.iter().all(|call| call.form == calls[0].form));
}
