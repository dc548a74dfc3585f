//! Group MMS: several phones and two of our members in one thread. The members see one conversation with everybody in it.

use meari::db::Lane;
use meari::numbers::{Capabilities, Import};
use meari::phone::E164;
use meari::worker;
use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::client::Person;
use crate::support::database::TestDatabase;
use crate::support::telnyx::Telnyx;
use crate::support::wire::{Act, Fake, Vendor as _};

const ALICE: &str = "+12025550101";
/// Somebody who is no user.
const OUTSIDER: &str = "+12025550177";

struct World {
    app: TestApp,
    fake: Fake<Telnyx>,
    alice: Person,
    bob: Person,
    carol: Person,
    /// Bob's and Carol's numbers on Alice's phone.
    bobs: String,
    carols: String,
}

impl World {
    async fn up(database: TestDatabase, able: &str) -> World {
        let fake: Fake<Telnyx> = Fake::up();
        let app = TestApp::start(database, |s| s.carriers = vec![Telnyx::settings(&fake.url)]).await;
        fake.state().callback_base = format!("{}/carriers/telnyx", app.url);
        let imports: Vec<Import> = (200..206)
            .map(|n| Import {
                number: E164::parse(&format!("+12025550{n}")).unwrap(),
                carrier_id: "telnyx".to_owned(),
                capabilities: Capabilities::parse(able).unwrap(),
            })
            .collect();
        let now = app.app.now();
        let write = move |db: &mut meari::db::Db| meari::numbers::import(db, now, &imports);
        app.app.db.write(Lane::Any, write).await.unwrap();
        let (alice, bob, carol) =
            (app.person("alice").await, app.person("bob").await, app.person("carol").await);
        let asked = alice.post("/v1/me/mobiles", json!({ "number": ALICE })).await.expect(201);
        worker::drain(&app.app).await;
        let code: String = fake.sent().pop().unwrap().text.chars().filter(char::is_ascii_digit).collect();
        let path = format!("/v1/me/mobiles/{}/verify", asked["id"].as_str().unwrap());
        alice.post(&path, json!({ "code": code })).await.expect(200);
        let mut numbers = Vec::new();
        for friend in [&bob, &carol] {
            let (contact, _) = alice.befriends(friend).await;
            worker::drain(&app.app).await;
            let shown = alice.get(&format!("/v1/contacts/{contact}")).await.expect(200);
            numbers.push(shown["number"].as_str().unwrap().to_owned());
        }
        bob.befriends(&carol).await;
        worker::drain(&app.app).await;
        let [bobs, carols] = <[String; 2]>::try_from(numbers).unwrap();
        World { app, fake, alice, bob, carol, bobs, carols }
    }

    /// The carrier hands a text of the group over, once for each of our numbers in it.
    async fn group_text(&self, id: &str, from: &str, text: &str) {
        for (n, to) in [&self.bobs, &self.carols].into_iter().enumerate() {
            let all = [ALICE, OUTSIDER, self.bobs.as_str(), self.carols.as_str()];
            let others: Vec<Value> = all
                .into_iter()
                .filter(|number| *number != from)
                .map(|number| {
                    let status = if number == to { "webhook_delivered" } else { "delivered" };
                    json!({ "phone_number": number, "status": status })
                })
                .collect();
            let body = Telnyx::inbound(&format!("{id}-{n}"), from, to, text);
            let mut body: Value = serde_json::from_str(&body).unwrap();
            body["data"]["payload"]["to"] = json!(others);
            body["data"]["payload"]["type"] = json!("MMS");
            let now = self.app.app.now();
            assert_eq!(self.fake.tells("messages", &body.to_string(), now).await, 200);
            assert_eq!(self.fake.tells("messages", &body.to_string(), now).await, 200, "said again");
        }
    }

    async fn finish(self) {
        worker::drain(&self.app.app).await;
        self.app.finish().await;
        self.fake.down().await;
    }
}

async fn groups(person: &Person) -> Vec<Value> {
    let all = person.get("/v1/conversations").await.expect(200);
    all["items"].as_array().unwrap().iter().filter(|c| c["group"].is_object()).cloned().collect()
}

async fn said(person: &Person) -> Vec<(String, String)> {
    let id = groups(person).await[0]["id"].as_str().unwrap().to_owned();
    let thread = person.get(&format!("/v1/conversations/{id}/messages")).await.expect(200);
    let text = |value: &Value| value.as_str().unwrap_or("me").to_owned();
    let mut all: Vec<(String, String)> = thread["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| (text(&m["group_sender"]["name"]), text(&m["text"])))
        .collect();
    all.reverse();
    all
}

fn pair(a: &str, b: &str) -> (String, String) {
    (a.to_owned(), b.to_owned())
}

async fn a_group_is_one_conversation_for_each_member(world: &World) {
    world.group_text("one", ALICE, "Dinner at eight?").await;
    world.group_text("two", OUTSIDER, "I am in").await;
    let of_bob = groups(&world.bob).await;
    assert_eq!(of_bob.len(), 1, "whoever writes, it is the same group");
    let group = &of_bob[0];
    assert_eq!((&group["unread"], &group["group"]["sms"]), (&json!(2), &json!(2)));
    assert_eq!(group["group"]["reply"], "phones");
    let title = group["contact"]["display_name"].as_str().unwrap().to_owned();
    for name in ["Alice", "Carol", OUTSIDER] {
        assert!(title.to_lowercase().contains(&name.to_lowercase()), "{title} names {name}");
    }
    assert!(!title.to_lowercase().contains("bob"), "{title}");
    let me = group["group"]["participants"].as_array().unwrap().iter().find(|p| p["you"] == true).unwrap();
    assert_eq!(me["number"], world.bobs);
    let heard = said(&world.bob).await;
    assert_eq!(heard[0].1, "Dinner at eight?");
    assert_eq!(heard[1], pair(OUTSIDER, "I am in"));
    assert_eq!(said(&world.carol).await.len(), 2);
    // A text to him alone is not one to the group.
    let alone = Telnyx::inbound("alone", ALICE, &world.bobs, "Only you");
    assert_eq!(world.fake.tells("messages", &alone, world.app.app.now()).await, 200);
    assert_eq!(said(&world.bob).await.len(), 2);
    assert_eq!(world.bob.get("/v1/conversations").await.expect(200)["items"].as_array().unwrap().len(), 3);
}

async fn an_answer_goes_to_every_phone_and_to_our_other_members(world: &World) {
    world.group_text("one", ALICE, "Dinner at eight?").await;
    let before = world.fake.sent().len();
    let id = groups(&world.bob).await[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/conversations/{id}/messages");
    let asked = json!({ "text": "Gladly", "conversation_id": id });
    let cost = world.bob.post("/v1/messages/preview", asked.clone()).await.expect(200);
    assert_eq!((&cost["segments"], &cost["phones"], &cost["goes_as"]), (&json!(2), &json!(2), &json!("sms")));
    world.carol.post("/v1/messages/preview", asked).await.refused(404, "not_found");
    let draft = json!({ "text": "Gladly", "client_id": "g-1" });
    let answer = world.bob.post(&path, draft.clone()).await.expect(201);
    assert_eq!(
        (&answer["conversation_id"], &answer["segments"], &answer["mine"]),
        (&json!(id), &json!(2), &json!(true))
    );
    assert_eq!(world.bob.post(&path, draft).await.expect(200)["id"], answer["id"], "once");
    worker::drain(&world.app.app).await;
    let mut sent: Vec<(String, String, String)> =
        world.fake.sent().into_iter().skip(before).map(|s| (s.from, s.to, s.text)).collect();
    sent.sort();
    let sms = |to: &str| (world.bobs.clone(), to.to_owned(), "Gladly".to_owned());
    assert_eq!(sent, [sms(ALICE), sms(OUTSIDER)]);
    let of_carol = said(&world.carol).await;
    assert_eq!(of_carol.len(), 2);
    assert!(of_carol[1].0.to_lowercase().contains("bob") && of_carol[1].1 == "Gladly", "{of_carol:?}");
    assert_eq!(said(&world.bob).await.last().unwrap(), &pair("me", "Gladly"));

    // Who wrote it on the phone writes on there; files do not go.
    let of_alice = groups(&world.alice).await;
    assert_eq!(of_alice[0]["group"]["reply"], "none");
    let hers = format!("/v1/conversations/{}/messages", of_alice[0]["id"].as_str().unwrap());
    world.alice.post(&hers, json!({ "text": "x" })).await.refused(409, "group_on_phone");
    let picture = world.bob.upload("", "text/plain", b"x".to_vec()).await.expect(201);
    world.bob.post(&path, json!({ "text": "x", "media": [picture["id"]] })).await.refused(422, "group_media");
    // Friends no more: nothing comes, nothing goes, and what was said goes.
    let contact = groups(&world.bob).await[0]["contact"]["id"].as_str().unwrap().to_owned();
    world.bob.delete(&format!("/v1/contacts/{contact}")).await.expect(204);
    world.group_text("late", OUTSIDER, "Where are you?").await;
    assert_eq!(groups(&world.bob).await.len(), 0);
    assert_eq!(said(&world.carol).await.len(), 3);
    worker::sweep(&world.app.app).await.unwrap();
    worker::drain(&world.app.app).await;
    world.bob.get(&path).await.expect(404);
}

/// The state of the newest message of a group's member.
async fn state_of_answer(world: &World) -> Value {
    let id = groups(&world.bob).await[0]["id"].as_str().unwrap().to_owned();
    world.bob.get(&format!("/v1/conversations/{id}/messages")).await.expect(200)["items"][0]["state"].clone()
}

async fn where_the_carrier_can_an_answer_is_one_mms(world: &World) {
    world.group_text("one", ALICE, "Dinner at eight?").await;
    let before = world.fake.sent().len();
    let id = groups(&world.bob).await[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/conversations/{id}/messages");
    let preview = async || {
        let asked = json!({ "text": "Gladly", "conversation_id": id });
        world.bob.post("/v1/messages/preview", asked).await.expect(200)
    };
    let cost = preview().await;
    assert_eq!(
        (&cost["goes_as"], &cost["phones"], &cost["price"]),
        (&json!("group_mms"), &json!(2), &json!(null))
    );
    world.bob.post(&path, json!({ "text": "Gladly", "client_id": "g-1" })).await.expect(201);
    worker::drain(&world.app.app).await;
    let sent = world.fake.sent().split_off(before);
    assert_eq!(sent.len(), 1, "one for both phones");
    assert_eq!(
        (sent[0].from.as_str(), sent[0].to.as_str()),
        (world.bobs.as_str(), format!("{ALICE},{OUTSIDER}").as_str())
    );
    assert_eq!(said(&world.carol).await.last().unwrap().1, "Gladly", "our other member has it, too");
    assert_eq!(state_of_answer(world).await, "sent");
    let now = world.app.app.now();
    let tells = async |sent: &crate::support::wire::Sent, phone: &str, word: &str| {
        assert_eq!(world.fake.tells("status", &Telnyx::group_receipt(sent, phone, word), now).await, 200);
    };
    tells(&sent[0], OUTSIDER, "delivered").await;
    assert_eq!(state_of_answer(world).await, "sent", "not at all of them");
    tells(&sent[0], OUTSIDER, "delivered").await;
    tells(&sent[0], ALICE, "delivered").await;
    assert_eq!(state_of_answer(world).await, "delivered");

    // The answer is lost: never sent again, and the receipts say that it went out.
    world.fake.will(Act::AcceptAndDrop);
    world.bob.post(&path, json!({ "text": "See you", "client_id": "g-2" })).await.expect(201);
    worker::drain(&world.app.app).await;
    assert_eq!(state_of_answer(world).await, "unknown");
    let lost = world.fake.sent().split_off(before + 1);
    assert_eq!(lost.len(), 1);
    tells(&lost[0], ALICE, "delivered").await;
    assert_eq!(state_of_answer(world).await, "sent");
    tells(&lost[0], OUTSIDER, "delivery_failed").await;
    assert_eq!(state_of_answer(world).await, "undelivered", "one of them did not get it");
    worker::drain(&world.app.app).await;
    assert_eq!(world.fake.sent().len(), before + 2);

    // Who has said STOP is not written to, and a group cannot leave him out: then each phone gets its own.
    let stop = Telnyx::inbound("stop", ALICE, &world.bobs, "STOP");
    assert_eq!(world.fake.tells("messages", &stop, now).await, 200);
    assert_eq!(preview().await["goes_as"], "sms");
}

async fn who_says_stop_while_a_group_mms_waits_gets_nothing(world: &World) {
    world.group_text("one", ALICE, "Dinner at eight?").await;
    let id = groups(&world.bob).await[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/conversations/{id}/messages");
    let before = world.fake.sent().len();
    world.bob.post(&path, json!({ "text": "Gladly", "client_id": "g-1" })).await.expect(201);
    let stop = Telnyx::inbound("stop", OUTSIDER, &world.bobs, "STOP");
    assert_eq!(world.fake.tells("messages", &stop, world.app.app.now()).await, 200);
    worker::drain(&world.app.app).await;
    let sent = world.fake.sent().split_off(before);
    let ends: Vec<(&str, &str)> = sent.iter().map(|s| (s.to.as_str(), s.text.as_str())).collect();
    assert_eq!(ends, [(ALICE, "Gladly")], "the others get it, each for himself");
    assert_eq!(state_of_answer(world).await, "sent");
    world.app.advance(std::time::Duration::from_secs(3_600));
    worker::drain(&world.app.app).await;
    assert_eq!(world.fake.sent().len(), before + 1);
}

macro_rules! group_story {
    ($($name:ident($able:literal))+) => {
        $(mod $name {
            use super::*;

            #[actix_web::test]
            async fn on_sqlite() {
                let world = World::up(TestDatabase::sqlite(), $able).await;
                super::$name(&world).await;
                world.finish().await;
            }

            #[actix_web::test]
            async fn on_postgres() {
                let world = World::up(TestDatabase::postgres(), $able).await;
                super::$name(&world).await;
                world.finish().await;
            }
        })+
    };
}

group_story! {
    a_group_is_one_conversation_for_each_member("sms+mms")
    an_answer_goes_to_every_phone_and_to_our_other_members("sms")
    where_the_carrier_can_an_answer_is_one_mms("sms+mms")
    who_says_stop_while_a_group_mms_waits_gets_nothing("sms+mms")
}
