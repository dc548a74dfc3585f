//! The carrier's wire on a good day: sending, receipts, receiving, numbers, lists.

use serde_json::Value;

use super::*;
use crate::simulator::signature::sign;

#[actix_web::test]
async fn a_message_is_accepted_sent_delivered_and_shown() {
    let world = World::start();
    let (status, message) = world.send(ALICE, "안녕 ✓").await;
    assert_eq!(status, 201, "{message}");
    assert_eq!(message["status"], "queued");
    assert_eq!(message["direction"], "outbound-api");
    let sid = message["sid"].as_str().unwrap().to_owned();
    assert!(sid.starts_with("SM") && sid.len() == 34);
    assert!(world.customer.take().is_empty(), "the first status is never called back");

    world.simulator.drain().await;
    let receipts = world.customer.take();
    let statuses: Vec<&str> = receipts.iter().map(|call| call.field("MessageStatus")).collect();
    assert_eq!(statuses, ["sent", "delivered"]);
    for receipt in &receipts {
        assert_eq!((receipt.method.as_str(), receipt.uri.as_str()), ("POST", "/status?id=msg_1"));
        assert_eq!(receipt.field("MessageSid"), sid);
        let url = format!("{}{}", world.customer.url, receipt.uri);
        assert_eq!(receipt.signature, sign(&world.simulator.settings().auth_token, &url, &receipt.form));
    }
    let (_, message) = world.call("GET", &format!("/Messages/{sid}.json"), &[]).await;
    assert_eq!(message["status"], "delivered");
    assert!(message["date_sent"].is_string());
    assert_eq!(world.texts(ALICE), ["안녕 ✓"]);
    assert_eq!(world.simulator.messages_sent().len(), 1);
}

#[actix_web::test]
async fn refusals_have_the_codes_of_the_vendor() {
    let world = World::start();
    let long = "a".repeat(1_601);
    let table: &[(&[(&str, &str)], u64)] = &[
        (&[], 21604),
        (&[("To", "12"), ("From", OURS), ("Body", "x")], 21211),
        (&[("To", ALICE), ("Body", "x")], 21603),
        (&[("To", ALICE), ("From", "nobody"), ("Body", "x")], 21212),
        (&[("To", ALICE), ("From", "+12025550199"), ("Body", "x")], 21606),
        (&[("To", ALICE), ("From", OURS)], 21602),
        (&[("To", ALICE), ("From", OURS), ("Body", &long)], 21617),
        (&[("To", ALICE), ("From", OURS), ("Body", "x"), ("StatusCallback", "nowhere")], 21609),
        (&[("To", OURS), ("From", OURS), ("Body", "x")], 21266),
        (&[("To", ALICE), ("MessagingServiceSid", "MG1"), ("Body", "x")], 21701),
        (&[("To", ALICE), ("From", OURS), ("Body", "x"), ("ScheduleType", "fixed")], 35118),
    ];
    for (form, code) in table {
        let (status, body) = world.call("POST", "/Messages.json", form).await;
        assert_eq!((status, body["code"].as_u64()), (400, Some(*code)), "{form:?}");
        assert_eq!(body["more_info"], format!("https://www.twilio.com/docs/errors/{code}"));
    }
    assert!(world.simulator.messages().is_empty());
    let (status, body) = world.call("GET", "/Messages/SM0.json", &[]).await;
    assert_eq!((status, body["code"].as_u64()), (404, Some(20404)));
    let (status, body) = world.call("GET", "/Calls.json", &[]).await;
    assert_eq!((status, body["code"].as_u64()), (404, Some(20404)));
}

#[actix_web::test]
async fn strangers_are_refused() {
    let world = World::start();
    let sid = world.simulator.settings().account_sid.clone();
    let url = world.api("/Messages.json");
    for request in [
        world.http.get(&url),
        world.http.get(&url).basic_auth(&sid, Some("wrong")),
        world.http.get(&url).bearer_auth("x"),
        world
            .http
            .get(url.replace(&sid, "AC0"))
            .basic_auth(&sid, Some(&world.simulator.settings().auth_token)),
    ] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 401);
        let body: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        assert_eq!(body["code"], 20003);
    }
}

#[actix_web::test]
async fn a_phone_texts_us_and_learns_that_it_arrived() {
    let world = World::start();
    let sid = world.simulator.phone_texts(&number(ALICE), &number(OURS), "hi & bye").unwrap().unwrap();
    world.simulator.drain().await;
    let calls = world.customer.take();
    assert_eq!(calls.len(), 1);
    let call = &calls[0];
    assert_eq!(call.uri, "/carriers/sim/messages");
    for (name, value) in [
        ("MessageSid", sid.as_str()),
        ("SmsSid", &sid),
        ("Body", "hi & bye"),
        ("From", ALICE),
        ("To", OURS),
        ("NumMedia", "0"),
        ("NumSegments", "1"),
        ("FromCountry", "US"),
        ("SmsStatus", "received"),
    ] {
        assert_eq!(call.field(name), value, "{name}");
    }
    let url = format!("{}{}", world.customer.url, call.uri);
    assert_eq!(call.signature, sign(&world.simulator.settings().auth_token, &url, &call.form));
    let view = world.simulator.phone(&number(ALICE)).unwrap();
    assert_eq!(view.threads[0].messages[0].state, PhoneMessageState::Sent);
}

#[actix_web::test]
async fn a_refused_inbound_message_comes_once_more_and_is_the_same() {
    let world = World::start();
    world.customer.will_answer(503, "text/plain", "");
    world.simulator.phone_texts(&number(ALICE), &number(OURS), "one").unwrap();
    world.simulator.drain().await;
    let calls = world.customer.take();
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0].form, calls[1].form);
    assert_eq!(calls[0].token, calls[1].token);
    let outcomes: Vec<Outcome> = world.simulator.callbacks().into_iter().map(|call| call.outcome).collect();
    assert_eq!(outcomes, [Outcome::Answered(503), Outcome::Answered(204)]);

    world.customer.will_answer(500, "text/plain", "");
    world.customer.will_answer(500, "text/plain", "");
    world.simulator.phone_texts(&number(ALICE), &number(OURS), "two").unwrap();
    world.simulator.drain().await;
    assert_eq!(world.customer.take().len(), 2);
    let view = world.simulator.phone(&number(ALICE)).unwrap();
    assert_eq!(view.threads[0].messages[1].state, PhoneMessageState::Failed);
}

#[actix_web::test]
async fn an_answer_can_reply() {
    let world = World::start();
    world.customer.will_answer(200, "text/xml", "<Response><Message>pong</Message></Response>");
    world.simulator.phone_texts(&number(ALICE), &number(OURS), "ping").unwrap();
    world.simulator.drain().await;
    assert_eq!(world.texts(ALICE), ["ping", "pong"]);
    assert_eq!(world.simulator.messages_sent()[0].direction, Direction::OutboundReply);
}

#[actix_web::test]
async fn phones_text_one_another() {
    let world = World::start();
    assert_eq!(world.simulator.phone_texts(&number(ALICE), &number(DAVE), "hello").unwrap(), None);
    world.simulator.phone_texts(&number(ALICE), &number("+12025550109"), "anyone?").unwrap();
    world.simulator.drain().await;
    assert_eq!(world.texts(DAVE), ["hello"]);
    let view = world.simulator.phone(&number(ALICE)).unwrap();
    let mut states: Vec<(&str, PhoneMessageState)> =
        view.threads.iter().map(|thread| (thread.party.as_str(), thread.messages[0].state)).collect();
    states.sort_by_key(|(party, _)| *party);
    assert_eq!(states, [(DAVE, PhoneMessageState::Sent), ("+12025550109", PhoneMessageState::Failed)]);
}

#[actix_web::test]
async fn stop_is_heeded_until_start() {
    let world = World::start();
    let say = |word: &'static str| world.simulator.phone_texts(&number(ALICE), &number(OURS), word).unwrap();
    say("Stop");
    world.simulator.drain().await;
    assert_eq!(world.customer.take().len(), 1, "the customer hears of it too");
    assert_eq!(world.texts(ALICE).len(), 2, "and the phone gets an answer");
    let (status, body) = world.send(ALICE, "more").await;
    assert_eq!((status, body["code"].as_u64()), (400, Some(21610)));
    assert_eq!(world.send(DAVE, "more").await.0, 201, "others are not concerned");
    say("START");
    assert_eq!(world.send(ALICE, "again").await.0, 201);
}

#[actix_web::test]
async fn numbers_are_found_rented_set_up_and_given_back() {
    let world = World::start();
    let (_, found) =
        world.call("GET", "/AvailablePhoneNumbers/US/Local.json?AreaCode=202&Contains=555015*", &[]).await;
    let found: Vec<&str> = found["available_phone_numbers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|number| number["phone_number"].as_str().unwrap())
        .collect();
    assert_eq!(found.len(), 9, "one of the ten is ours already");
    let sms_url = format!("{}/own?b=2", world.customer.url);
    let (status, rented) = world
        .call("POST", "/IncomingPhoneNumbers.json", &[("PhoneNumber", found[0]), ("SmsUrl", &sms_url)])
        .await;
    assert_eq!(status, 201, "{rented}");
    let (status, refused) =
        world.call("POST", "/IncomingPhoneNumbers.json", &[("PhoneNumber", found[0])]).await;
    assert_eq!((status, refused["code"].as_u64()), (400, Some(21422)));

    world.simulator.phone_texts(&number(ALICE), &number(found[0]), "hi").unwrap();
    world.simulator.drain().await;
    assert_eq!(world.customer.take()[0].uri, "/own?b=2");

    let path = format!("/IncomingPhoneNumbers/{}.json", rented["sid"].as_str().unwrap());
    let (_, changed) = world.call("POST", &path, &[("SmsMethod", "GET"), ("FriendlyName", "Pool 1")]).await;
    assert_eq!((&changed["sms_method"], &changed["sms_url"]), (&"GET".into(), &Value::from(sms_url)));
    world.simulator.phone_texts(&number(ALICE), &number(found[0]), "hi").unwrap();
    world.simulator.drain().await;
    let call = &world.customer.take()[0];
    assert!(call.method == "GET" && call.uri.contains("b=2&AccountSid="), "{}", call.uri);
    let url = format!("{}{}", world.customer.url, call.uri);
    assert_eq!(call.signature, sign(&world.simulator.settings().auth_token, &url, &[]));

    let (_, list) = world.call("GET", "/IncomingPhoneNumbers.json", &[]).await;
    assert_eq!(list["incoming_phone_numbers"].as_array().unwrap().len(), 2);
    assert_eq!(world.call("DELETE", &path, &[]).await.0, 204);
    assert_eq!(world.call("GET", &path, &[]).await.0, 404);
}

#[actix_web::test]
async fn lists_are_filtered_and_paged() {
    let world = World::start();
    for text in ["1", "2", "3"] {
        world.send(ALICE, text).await;
    }
    world.send(DAVE, "4").await;
    let mut next = format!("/Messages.json?To={}&PageSize=2", ALICE.replace('+', "%2B"));
    let mut seen = Vec::new();
    loop {
        let (_, page) = world.call("GET", &next, &[]).await;
        seen.extend(
            page["messages"].as_array().unwrap().iter().map(|m| m["body"].as_str().unwrap().to_owned()),
        );
        let Some(uri) = page["next_page_uri"].as_str() else { break };
        next = uri.split_once(&world.simulator.settings().account_sid).unwrap().1.to_owned();
    }
    assert_eq!(seen, ["3", "2", "1"]);
    let (_, none) = world.call("GET", "/Messages.json?DateSent%3C=2001-01-01", &[]).await;
    assert!(none["messages"].as_array().unwrap().is_empty());
    let (_, all) = world.call("GET", "/Messages.json?DateSent%3E=2001-01-01", &[]).await;
    assert_eq!(all["messages"].as_array().unwrap().len(), 4);
}

#[actix_web::test]
async fn a_message_is_redacted_and_deleted_when_it_is_complete() {
    let world = World::start();
    let (_, message) = world.send(ALICE, "secret").await;
    let path = format!("/Messages/{}.json", message["sid"].as_str().unwrap());
    let (status, body) = world.call("POST", &path, &[("Body", "")]).await;
    assert_eq!((status, body["code"].as_u64()), (409, Some(20009)));
    assert_eq!(world.call("DELETE", &path, &[]).await.0, 409);
    world.simulator.drain().await;
    let (_, redacted) = world.call("POST", &path, &[("Body", "")]).await;
    assert_eq!((&redacted["body"], &redacted["num_segments"]), (&"".into(), &"1".into()));
    assert_eq!(world.call("DELETE", &path, &[]).await.0, 204);
    assert_eq!(world.call("GET", &path, &[]).await.0, 404);
}

#[actix_web::test]
async fn a_scheduled_message_waits_and_can_be_taken_back() {
    let world = World::start();
    let service = format!("MG{}", "0".repeat(32));
    let at = world.simulator.settings().clock.now().plus(Duration::from_secs(3_600)).to_rfc3339();
    let form = [
        ("To", ALICE),
        ("MessagingServiceSid", service.as_str()),
        ("Body", "later"),
        ("ScheduleType", "fixed"),
        ("SendAt", &at),
    ];
    let (status, message) = world.call("POST", "/Messages.json", &form).await;
    assert_eq!((status, &message["status"], &message["from"]), (201, &"scheduled".into(), &Value::Null));
    assert_eq!(world.simulator.deliver_due().await, 0);
    let path = format!("/Messages/{}.json", message["sid"].as_str().unwrap());
    let (_, canceled) = world.call("POST", &path, &[("Status", "canceled")]).await;
    assert_eq!(canceled["status"], "canceled");
    world.simulator.drain().await;
    assert!(world.texts(ALICE).is_empty());

    let (_, message) = world.call("POST", "/Messages.json", &form[..3]).await;
    assert_eq!(message["status"], "accepted");
    world.simulator.drain().await;
    assert_eq!(world.texts(ALICE), ["later"]);
}
