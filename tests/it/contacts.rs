//! Who is friends with whom, what it takes, and which number a friend has.

use std::collections::HashSet;
use std::time::Duration;

use meari::contacts::books;
use meari::db::Lane;
use meari::events::{self, Event};
use meari::ids::{AccountId, AppPasswordId, ContactId};
use meari::{accounts, contacts};
use serde_json::{Value, json};

use crate::support::{Person, TestApp};

async fn ask(person: &Person, handle: &str) -> Value {
    person.post("/v1/contacts", json!({ "address": format!("meari:{handle}") })).await.body
}

async fn all(person: &Person) -> Vec<Value> {
    person.get("/v1/contacts?limit=200").await.expect(200)["items"].as_array().unwrap().clone()
}

async fn contact(person: &Person, id: &str) -> Value {
    person.get(&format!("/v1/contacts/{id}")).await.expect(200).body
}

async fn act(person: &Person, id: &str, what: &str) -> Value {
    person.post(&format!("/v1/contacts/{id}/{what}"), json!({})).await.expect(200).body
}

fn account_of(person: &Person) -> AccountId {
    person.id.parse().unwrap()
}

async fn log(app: &TestApp, person: &Person) -> Vec<Event> {
    let account = account_of(person);
    app.app.db.read(move |db| events::since(db, account, 0)).await.unwrap()
}

/// Names of what happened to one contact, oldest first.
async fn history(app: &TestApp, person: &Person, id: &str) -> Vec<&'static str> {
    let id: ContactId = id.parse().unwrap();
    let about = |event: &&Event| event.subject.as_ref() == Some(id.as_bytes());
    log(app, person).await.iter().filter(about).map(|event| event.kind.name()).collect()
}

/// The texts of the cards that the person's phone would fetch.
async fn cards(app: &TestApp, person: &Person) -> Vec<String> {
    let account = account_of(person);
    let read = move |db: &mut meari::db::Db| {
        let mut found = Vec::new();
        for book in books::list(db, account)?.iter().filter(|book| book.is_messenger()) {
            for listed in books::list_objects(db, account, book.id)? {
                let object = books::find(db, account, book.id, &listed.name)?.unwrap();
                found.push(String::from_utf8(object.body).unwrap());
            }
        }
        Ok(found)
    };
    app.app.db.read(read).await.unwrap()
}

/// `count` accounts `p0`, `p1`, … that nobody signs in to.
async fn crowd(app: &TestApp, count: usize) {
    let now = app.app.now();
    let create = move |db: &mut meari::db::Db| {
        for n in 0..count {
            let new = accounts::NewAccount {
                handle: accounts::handle::Handle::parse(&format!("crowd{n}"))?,
                display_name: format!("Person {n}"),
                password_hash: String::new(),
                locale: accounts::locale("en")?,
                time_zone: "UTC".to_owned(),
                admin: false,
            };
            accounts::create(db, now, &new)?;
        }
        Ok(())
    };
    app.app.db.write(Lane::Any, create).await.unwrap();
}

story! {
    async fn a_friends_card_goes_to_the_phone_and_follows_him(app) {
        app.pool(3).await;
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        let (at_alice, _) = alice.befriends(&bob).await;
        assert!(cards(app, &alice).await.is_empty(), "nobody can dial");
        app.verify_mobile(&alice, "+12025550101").await;
        let number = contact(&alice, &at_alice).await["number"].as_str().unwrap().to_owned();
        let card = cards(app, &alice).await.remove(0);
        assert!(card.contains("FN:Bob\r\n") && card.contains(&number), "{card}");
        assert!(cards(app, &bob).await.is_empty(), "bob has no phone");

        bob.patch("/v1/me", json!({ "display_name": "Robert" })).await.expect(200);
        assert!(cards(app, &alice).await[0].contains("FN:Robert\r\n"));
        let path = format!("/v1/contacts/{at_alice}");
        alice.patch(&path, json!({ "display_name": "Bobby" })).await.expect(200);
        assert!(cards(app, &alice).await[0].contains("FN:Bobby\r\n"));

        alice.patch(&path, json!({ "hidden_on_phone": true })).await.expect(200);
        assert!(cards(app, &alice).await.is_empty());
        alice.patch(&path, json!({ "hidden_on_phone": false })).await.expect(200);
        assert!(cards(app, &alice).await[0].contains(&number));
        act(&alice, &at_alice, "block").await;
        assert!(cards(app, &alice).await.is_empty());
        act(&alice, &at_alice, "unblock").await;
        assert_eq!(cards(app, &alice).await.len(), 1);
        alice.delete(&path).await.expect(204);
        assert!(cards(app, &alice).await.is_empty());
        app.settle().await;
    }

    async fn two_people_become_friends(app) {
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        let mine = alice.post("/v1/contacts", json!({ "address": "meari:BOB", "display_name": "Bobby" })).await.expect(201);
        assert_eq!(mine["state"], "requested");
        assert_eq!(mine["direction"], "outgoing");
        assert_eq!(mine["display_name"], "Bobby");
        assert_eq!(mine["address"], "meari:bob");
        assert_eq!(mine["presence"]["state"], "offline");
        assert!(mine["number"].is_null() && mine["conversation_id"].is_null());

        let his = all(&bob).await.remove(0);
        assert_eq!((&his["state"], &his["direction"]), (&json!("requested"), &json!("incoming")));
        assert_eq!(his["display_name"], "Alice");
        let (mine, his) = (mine["id"].as_str().unwrap(), his["id"].as_str().unwrap());
        alice.post(&format!("/v1/contacts/{mine}/accept"), json!({})).await.refused(409, "not_asked");
        let accepted = act(&bob, his, "accept").await;
        assert_eq!(accepted["state"], "accepted");
        assert!(accepted["direction"].is_null());
        assert_eq!(act(&bob, his, "accept").await, accepted, "saying yes twice is saying yes");

        let seen = contact(&alice, mine).await;
        assert_eq!(seen["state"], "accepted");
        assert_eq!(seen["conversation_id"], accepted["conversation_id"]);
        assert!(accepted["conversation_id"].is_string());
        assert_eq!(seen["number_state"], "none", "nobody has a mobile");
        assert_eq!(history(app, &alice, mine).await, ["contact.created", "contact.updated"]);
        assert_eq!(history(app, &bob, his).await, ["contact.created", "contact.updated"]);

        bob.get(&format!("/v1/contacts/{mine}")).await.refused(404, "not_found");
        bob.get("/v1/contacts/nonsense").await.expect(404);
    }

    async fn asking_back_is_saying_yes(app) {
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        ask(&alice, "bob").await;
        let back = bob.post("/v1/contacts", json!({ "address": "meari:alice" })).await.expect(201);
        assert_eq!(back["state"], "accepted");
        assert_eq!(all(&alice).await[0]["state"], "accepted");
        // And asking once more changes nothing.
        let again = alice.post("/v1/contacts", json!({ "address": "meari:bob" })).await.expect(200);
        assert_eq!(again["state"], "accepted");
        assert_eq!(all(&alice).await.len(), 1);
    }

    async fn whom_one_cannot_ask(app) {
        let alice = app.person("alice").await;
        let try_one = |address: &str| alice.post("/v1/contacts", json!({ "address": address }));
        try_one("meari:nobody").await.refused(404, "no_such_address");
        try_one("meari:alice").await.refused(422, "yourself");
        try_one("bob").await.refused(422, "invalid_address");
        try_one("icq:12345").await.refused(422, "unknown_network");
        for address in ["xmpp:bob@example.org", "matrix:@bob:example.org", "bot:weather"] {
            try_one(address).await.refused(422, "network_not_available");
        }
        let long = "x".repeat(101);
        alice.post("/v1/contacts", json!({ "address": "meari:bob", "display_name": long })).await
            .refused(422, "invalid_name");
        assert!(all(&alice).await.is_empty());
        app.stranger().get("/v1/contacts").await.expect(401);
    }

    async fn a_friend_gets_a_number_on_the_phone_of_who_has_one(app) {
        app.pool(5).await;
        let (alice, bob, carol) = (app.person("alice").await, app.person("bob").await, app.person("carol").await);
        app.verify_mobile(&alice, "+12025550101").await;
        let (at_alice, at_bob) = alice.befriends(&bob).await;
        let seen = contact(&alice, &at_alice).await;
        assert_eq!(seen["number_state"], "assigned");
        let number = seen["number"].as_str().unwrap().to_owned();
        assert!(number.starts_with("+1202555"));
        assert!(contact(&bob, &at_bob).await["number"].is_null(), "bob has no phone to dial from");

        // Friends made before a mobile is verified get their numbers then; the same friend has the same number.
        let (at_carol, _) = carol.befriends(&bob).await;
        assert_eq!(contact(&carol, &at_carol).await["number_state"], "none");
        app.verify_mobile(&carol, "+12025550102").await;
        assert_eq!(contact(&carol, &at_carol).await["number"], number.as_str());
    }

    async fn when_the_pool_runs_out_friends_wait(app) {
        app.pool(1).await;
        let alice = app.person("alice").await;
        app.verify_mobile(&alice, "+12025550101").await;
        for handle in ["bob", "carol", "dave"] {
            alice.befriends(&app.person(handle).await).await;
        }
        let states = |items: &[Value]| items.iter().map(|c| c["number_state"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
        assert_eq!(states(&all(&alice).await), ["assigned", "waiting", "waiting"]);
        app.pool(3).await;
        let now = app.app.now();
        app.app.db.write(Lane::Any, move |db| {
            meari::queue::enqueue(db, now, contacts::jobs::FILL_WAITING, None, &contacts::jobs::FillWaiting::default())
        }).await.unwrap();
        app.settle().await;
        let items = all(&alice).await;
        assert_eq!(states(&items), ["assigned", "assigned", "assigned"]);
        let numbers: HashSet<&str> = items.iter().map(|c| c["number"].as_str().unwrap()).collect();
        assert_eq!(numbers.len(), 3);
    }

    async fn a_number_that_is_taken_away_is_replaced(app) {
        app.pool(2).await;
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        app.verify_mobile(&alice, "+12025550101").await;
        let (at_alice, _) = alice.befriends(&bob).await;
        let first = contact(&alice, &at_alice).await["number"].as_str().unwrap().to_owned();
        retire(app, &first).await;
        let second = contact(&alice, &at_alice).await["number"].as_str().unwrap().to_owned();
        assert_ne!(first, second);
        assert!(cards(app, &alice).await[0].contains(&second));
        retire(app, &second).await;
        assert_eq!(contact(&alice, &at_alice).await["number_state"], "waiting");
        assert!(cards(app, &alice).await.is_empty(), "no card names a number that is gone");
    }

    async fn a_thousand_friends_get_their_numbers_at_once(app) {
        app.pool(1).await;
        let alice = app.person("alice").await;
        crowd(app, 1_200).await;
        let list: Vec<Value> = (0..1_200).map(|n| json!({ "address": format!("meari:crowd{n}") })).collect();
        alice.post("/v1/contacts/import", json!({ "contacts": list })).await.expect(200);
        let (owner, now) = (account_of(&alice), app.app.now());
        let numbers = || (0..1_300).map(|n| format!("+1{}55501{:02}", 201 + n / 100, n % 100));
        for number in numbers() {
            app.carrier.add_number(meari::phone::E164::parse(&number).unwrap()).unwrap();
        }
        app.app.db.write(Lane::Any, move |db| {
            for n in 0..1_200 {
                let person = accounts::find_by_handle(db, &format!("crowd{n}"))?.unwrap();
                let request = contacts::list(db, person.id, &contacts::Filter::default(), None, 1)?.remove(0);
                contacts::accept(db, now, person.id, request.id)?;
            }
            let capabilities = meari::numbers::Capabilities::SMS;
            let to_import = |number: String| meari::numbers::Import {
                number: meari::phone::E164::parse(&number).unwrap(),
                carrier_id: "sim".to_owned(),
                capabilities,
            };
            meari::numbers::import(db, now, &numbers().map(to_import).collect::<Vec<_>>())
        }).await.unwrap();
        app.verify_mobile(&alice, "+12145550101").await;
        let held = app.app.db.read(move |db| contacts::list(db, owner, &contacts::Filter::default(), None, 2_000)).await.unwrap();
        let numbers: HashSet<_> = held.iter().filter_map(|c| c.number.clone()).collect();
        assert_eq!(numbers.len(), 1_200);
        assert_eq!(cards(app, &alice).await.len(), 1_200);
    }

    async fn a_block_is_silent_and_can_be_taken_back(app) {
        app.pool(3).await;
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        app.verify_mobile(&alice, "+12025550101").await;
        let (at_alice, at_bob) = alice.befriends(&bob).await;
        let number = contact(&alice, &at_alice).await["number"].clone();
        let (before, bobs_view) = (history(app, &bob, &at_bob).await, contact(&bob, &at_bob).await);
        assert_eq!(bobs_view["presence"]["state"], "available");

        let blocked = act(&alice, &at_alice, "block").await;
        assert_eq!((&blocked["state"], &blocked["number_state"]), (&json!("blocked"), &json!("none")));
        assert!(blocked["number"].is_null());
        assert_eq!(history(app, &bob, &at_bob).await, before, "bob is not told");
        let view = contact(&bob, &at_bob).await;
        assert_eq!(view["state"], "accepted");
        assert_eq!(view["presence"]["state"], "offline", "and sees nothing of her");
        let (owner, id) = (account_of(&alice), at_alice.parse().unwrap());
        assert!(app.app.db.read(move |db| contacts::is_blocked(db, owner, id)).await.unwrap());

        // Starting over does not get round it, and asking her looks as it always does.
        bob.delete(&format!("/v1/contacts/{at_bob}")).await.expect(204);
        alice.post(&format!("/v1/contacts/{at_alice}/unblock"), json!({})).await.refused(409, "contact_gone");
        let again = ask(&bob, "alice").await;
        assert_eq!(again["state"], "requested");
        assert_eq!(contact(&alice, &at_alice).await["state"], "blocked");
        alice.post("/v1/contacts", json!({ "address": "meari:bob" })).await.refused(409, "contact_blocked");
        alice.post(&format!("/v1/contacts/{at_alice}/accept"), json!({})).await.refused(409, "contact_blocked");

        let unblocked = act(&alice, &at_alice, "unblock").await;
        assert_eq!((&unblocked["state"], &unblocked["direction"]), (&json!("requested"), &json!("incoming")));
        let accepted = act(&alice, &at_alice, "accept").await;
        assert_eq!(accepted["number"], number, "the number it had before");
        assert_eq!(contact(&bob, again["id"].as_str().unwrap()).await["state"], "accepted");
        app.settle().await;
    }

    async fn a_friend_who_is_unblocked_has_his_number_again(app) {
        app.pool(3).await;
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        app.verify_mobile(&alice, "+12025550101").await;
        let (at_alice, _) = alice.befriends(&bob).await;
        let before = contact(&alice, &at_alice).await;
        act(&alice, &at_alice, "block").await;
        let after = act(&alice, &at_alice, "unblock").await;
        assert_eq!((&after["state"], &after["number"]), (&json!("accepted"), &before["number"]));
        assert_eq!(after["conversation_id"], before["conversation_id"]);
    }

    async fn parting_leaves_nothing_dangling(app) {
        app.pool(3).await;
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        app.verify_mobile(&alice, "+12025550101").await;
        let (at_alice, at_bob) = alice.befriends(&bob).await;
        bob.delete(&format!("/v1/contacts/{at_bob}")).await.expect(204);
        app.settle().await;
        assert!(all(&alice).await.is_empty() && all(&bob).await.is_empty());
        assert_eq!(history(app, &alice, &at_alice).await.last(), Some(&"contact.deleted"));
        assert_eq!(history(app, &bob, &at_bob).await.last(), Some(&"contact.deleted"));
        alice.delete(&format!("/v1/contacts/{at_alice}")).await.refused(404, "not_found");

        // The pair rests: a new friend gets another number, until the rest is over.
        let (owner, id) = (account_of(&alice), at_alice.parse::<ContactId>().unwrap());
        let held = app.app.db.read(move |db| meari::numbers::numbers_of(db, owner, &[id])).await.unwrap();
        assert!(held.is_empty());
        let now = app.app.now();
        let early = app.app.db.read(move |db| meari::numbers::rested(db, now, 10)).await.unwrap();
        assert!(early.is_empty());
        app.advance(contacts::REST + Duration::from_secs(1));
        let now = app.app.now();
        let freed = app.app.db.write(Lane::Any, move |db| contacts::free_rested(db, now, 10)).await.unwrap();
        assert_eq!(freed, 1);
    }

    async fn a_pair_rests_until_every_device_knows_that_the_card_is_gone(app) {
        app.pool(1).await;
        let (alice, bob, carol) = (app.person("alice").await, app.person("bob").await, app.person("carol").await);
        app.verify_mobile(&alice, "+12025550101").await;
        let (at_alice, _) = alice.befriends(&bob).await;
        let made = alice.post("/v1/me/app-passwords", json!({ "label": "phone" })).await.expect(201);
        let device: AppPasswordId = made["id"].as_str().unwrap().parse().unwrap();
        hands(app, &alice, device, Handed::Cards).await;
        alice.delete(&format!("/v1/contacts/{at_alice}")).await.expect(204);
        let (at_carol, _) = alice.befriends(&carol).await;
        app.advance(contacts::REST + Duration::from_secs(1));
        let free = async || {
            let now = app.app.now();
            app.app.db.write(Lane::Any, move |db| contacts::free_rested(db, now, 10)).await.unwrap()
        };
        assert_eq!(free().await, 0, "the phone would still dial it");
        hands(app, &alice, device, Handed::List).await;
        assert_eq!(free().await, 0, "it is looked at again in a day");
        app.advance(Duration::from_secs(25 * 3600));
        assert_eq!(free().await, 1);
        app.settle().await;
        let (owner, id) = (account_of(&alice), at_carol.parse().unwrap());
        let seen = app.app.db.read(move |db| contacts::views(db, owner, &[id])).await.unwrap().remove(0);
        assert_eq!(seen.number_state, contacts::NumberState::Assigned, "who waited has it now");
    }

    async fn a_phone_that_has_long_had_a_card_is_waited_for_from_its_end_on(app) {
        app.pool(3).await;
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        app.verify_mobile(&alice, "+12025550101").await;
        let (at_alice, _) = alice.befriends(&bob).await;
        let phone = crate::support::dav::device(&alice, "phone").await;
        let cards = "<prop><C:address-data/></prop><C:filter/>";
        let query = async |book: &str| drop(phone.report(&phone.book(book), "C:addressbook-query", cards).await.expect(207));
        query("messenger").await;
        // A friend on a card of her own, which the phone has with his number.
        let carol = app.person("carol").await;
        let (with_carol, _) = alice.befriends(&carol).await;
        let own = phone.book("personal") + "carol.vcf";
        phone.put(&own, &crate::support::dav::card("c", "Carol", "IMPP:meari:carol\r\n"), &[]).await.expect(201);
        app.settle().await;
        assert!(phone.get(&own).await.expect(200).body.contains("TEL"));
        app.advance(Duration::from_secs(170 * 24 * 3600));
        let alice = alice.signs_in_again().await;
        // The phone comes, and nothing has changed for half a year: it is handed nothing anew.
        phone.propfind(&phone.book("messenger"), "0", "<sync-token/>").await.expect(207);
        for friend in [&at_alice, &with_carol] {
            alice.delete(&format!("/v1/contacts/{friend}")).await.expect(204);
        }
        app.settle().await;
        let free = async || {
            let now = app.app.now();
            app.app.db.write(Lane::Any, move |db| contacts::free_rested(db, now, 10)).await.unwrap()
        };
        app.advance(contacts::REST + Duration::from_secs(1));
        assert_eq!(free().await, 0, "the phone would still dial both");
        let listed = phone.sync(&phone.book("messenger"), "", "").await.expect(207);
        assert!(listed.present().is_empty());
        app.advance(Duration::from_secs(25 * 3600));
        assert_eq!(free().await, 1, "Bob's card it knows to be gone, Carol's own still has the number");
        assert!(!phone.get(&own).await.expect(200).body.contains("TEL"));
        app.advance(Duration::from_secs(25 * 3600));
        assert_eq!(free().await, 1);
    }

    async fn a_lost_phone_is_not_waited_for_beyond_half_a_year(app) {
        app.pool(3).await;
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        app.verify_mobile(&alice, "+12025550101").await;
        let (at_alice, _) = alice.befriends(&bob).await;
        let phone = crate::support::dav::device(&alice, "phone").await;
        phone.report(&phone.book("messenger"), "C:addressbook-query", "<prop><C:address-data/></prop><C:filter/>").await.expect(207);
        alice.delete(&format!("/v1/contacts/{at_alice}")).await.expect(204);
        app.settle().await;
        let free = async || {
            let now = app.app.now();
            app.app.db.write(Lane::Any, move |db| contacts::free_rested(db, now, 10)).await.unwrap()
        };
        // A phone whose password is taken away shows what it has all the same.
        app.advance(contacts::REST + Duration::from_secs(3600));
        let alice = alice.signs_in_again().await;
        let id = alice.get("/v1/me/app-passwords").await.expect(200)["items"][0]["id"].as_str().unwrap().to_owned();
        alice.delete(&format!("/v1/me/app-passwords/{id}")).await.expect(204);
        assert_eq!(free().await, 0);
        app.advance(contacts::REST_MAX - contacts::REST - Duration::from_secs(2 * 3600));
        assert_eq!(free().await, 0);
        app.advance(Duration::from_secs(25 * 3600));
        assert_eq!(free().await, 1);
    }

    async fn what_a_phone_wrote_itself_it_has(app) {
        app.pool(3).await;
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        app.verify_mobile(&alice, "+12025550101").await;
        let phone = crate::support::dav::device(&alice, "phone").await;
        let own = phone.book("personal") + "bob.vcf";
        let (at_alice, _) = alice.befriends(&bob).await;
        phone.put(&own, &crate::support::dav::card("b", "Bob", "IMPP:meari:bob\r\n"), &[]).await.expect(201);
        app.settle().await;
        phone.report(&phone.book("messenger"), "C:addressbook-query", "<prop><C:address-data/></prop><C:filter/>").await.expect(207);
        alice.delete(&format!("/v1/contacts/{at_alice}")).await.expect(204);
        app.settle().await;
        let without = phone.get(&own).await.expect(200);
        assert!(!without.body.contains("TEL"));
        phone.sync(&phone.book("messenger"), "", "").await.expect(207);
        // The phone's own next edit is stored exactly: it never reads that again.
        let edited = without.body.replace("END:VCARD", "NOTE:mine\r\nEND:VCARD");
        let etag = without.header("etag").unwrap().to_owned();
        assert!(phone.put(&own, &edited, &[("if-match", &etag)]).await.expect(204).header("etag").is_some());
        app.advance(contacts::REST + Duration::from_secs(3600));
        let now = app.app.now();
        assert_eq!(app.app.db.write(Lane::Any, move |db| contacts::free_rested(db, now, 10)).await.unwrap(), 1);
    }

    async fn a_request_can_be_declined_and_taken_back(app) {
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        let mine = ask(&alice, "bob").await;
        let his = all(&bob).await[0]["id"].as_str().unwrap().to_owned();
        bob.delete(&format!("/v1/contacts/{his}")).await.expect(204);
        assert!(all(&alice).await.is_empty());
        bob.post(&format!("/v1/contacts/{his}/accept"), json!({})).await.refused(404, "not_found");
        let second = ask(&alice, "bob").await;
        assert_ne!(mine["id"], second["id"]);
        alice.delete(&format!("/v1/contacts/{}", second["id"].as_str().unwrap())).await.expect(204);
        assert!(all(&bob).await.is_empty());
    }

    async fn a_contact_can_be_renamed_and_hidden_on_the_phone(app) {
        app.pool(3).await;
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        app.verify_mobile(&alice, "+12025550101").await;
        let (at_alice, _) = alice.befriends(&bob).await;
        let path = format!("/v1/contacts/{at_alice}");
        let before = contact(&alice, &at_alice).await;

        let renamed = alice.patch(&path, json!({ "display_name": " 밥 " })).await.expect(200);
        assert_eq!((&renamed["display_name"], &renamed["custom_name"]), (&json!("밥"), &json!("밥")));
        bob.patch("/v1/me", json!({ "display_name": "Robert" })).await.expect(200);
        assert_eq!(contact(&alice, &at_alice).await["display_name"], "밥", "her own name for him wins");
        let plain = alice.patch(&path, json!({ "display_name": "" })).await.expect(200);
        assert_eq!(plain["display_name"], "Robert");
        alice.patch(&path, json!({ "display_name": "a\u{7}b" })).await.refused(422, "invalid_name");

        let hidden = alice.patch(&path, json!({ "hidden_on_phone": true })).await.expect(200);
        assert_eq!((&hidden["number_state"], &hidden["hidden_on_phone"]), (&json!("none"), &json!(true)));
        assert_eq!(hidden["state"], "accepted");
        let shown = alice.patch(&path, json!({ "hidden_on_phone": false })).await.expect(200);
        assert_eq!(shown["number"], before["number"]);
    }

    async fn without_a_mobile_nobody_has_a_number(app) {
        app.pool(3).await;
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        app.verify_mobile(&alice, "+12025550101").await;
        let (at_alice, _) = alice.befriends(&bob).await;
        let number = contact(&alice, &at_alice).await["number"].clone();
        let (owner, now) = (account_of(&alice), app.app.now());
        app.app.db.write(owner, move |db| contacts::handset_removed(db, now, owner)).await.unwrap();
        assert_eq!(contact(&alice, &at_alice).await["number"], number, "there still is a mobile");
        remove_mobiles(app, owner).await;
        app.app.db.write(owner, move |db| contacts::handset_removed(db, now, owner)).await.unwrap();
        let without = contact(&alice, &at_alice).await;
        assert_eq!((&without["number"], &without["number_state"]), (&Value::Null, &json!("none")));
    }

    async fn contacts_are_searched_and_paged(app) {
        let alice = app.person("alice").await;
        for handle in ["bob", "bobby", "carol"] {
            app.person(handle).await;
            ask(&alice, handle).await;
        }
        let carol = alice.get("/v1/contacts?q=CAR").await.expect(200);
        let id = carol["items"][0]["id"].as_str().unwrap();
        alice.patch(&format!("/v1/contacts/{id}"), json!({ "display_name": "100% Bob" })).await.expect(200);
        let count = async |query: &str| {
            alice.get(&format!("/v1/contacts?{query}")).await.expect(200)["items"].as_array().unwrap().len()
        };
        assert_eq!(count("q=bob").await, 3);
        assert_eq!(count("q=100%25").await, 1);
        assert_eq!(count("q=%25").await, 1, "signs are taken literally");
        assert_eq!(count("state=requested").await, 3);
        assert_eq!(count("state=accepted").await, 0);
        alice.get("/v1/contacts?state=friends").await.refused(422, "invalid_query");
        alice.get("/v1/contacts?limit=0").await.refused(422, "out_of_range");

        let first = alice.get("/v1/contacts?limit=2").await.expect(200);
        let next = first["next"].as_str().unwrap();
        let second = alice.get(&format!("/v1/contacts?limit=2&after={next}")).await.expect(200);
        assert_eq!(first["items"].as_array().unwrap().len(), 2);
        assert_eq!(second["items"].as_array().unwrap().len(), 1);
        assert!(second["next"].is_null());
    }

    async fn an_import_answers_for_each(app) {
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        ask(&bob, "alice").await;
        app.person("carol").await;
        let dave = app.person("dave").await;
        ask(&alice, "dave").await;
        let list = json!([
            { "address": "meari:bob" }, { "address": "meari:carol", "display_name": "C" }, { "address": "meari:dave" },
            { "address": "meari:carol" }, { "address": "meari:nobody" }, { "address": "xmpp:x@example.org" },
            { "address": "meari:alice" }, { "address": "??" }
        ]);
        let refused = alice.post("/v1/contacts/import", json!({ "contacts": list, "all_or_nothing": true })).await
            .refused(422, "invalid_input");
        let fields: Vec<&str> = refused["fields"].as_array().unwrap().iter().map(|f| f["field"].as_str().unwrap()).collect();
        assert_eq!(fields, ["contacts.4.address", "contacts.5.address", "contacts.6.address", "contacts.7.address"]);
        assert_eq!(all(&alice).await.len(), 2, "nothing has changed");

        let answer = alice.post("/v1/contacts/import", json!({ "contacts": list })).await.expect(200);
        let got: Vec<String> = answer["items"].as_array().unwrap().iter()
            .map(|i| i["code"].as_str().or(i["result"].as_str()).unwrap().to_owned()).collect();
        assert_eq!(got, ["created", "created", "already", "already", "no_such_address", "network_not_available", "yourself", "invalid_address"]);
        assert_eq!((&answer["created"], &answer["already"], &answer["invalid"]), (&json!(2), &json!(2), &json!(4)));
        let states: Vec<String> = all(&alice).await.iter().map(|c| c["state"].as_str().unwrap().to_owned()).collect();
        assert_eq!(states, ["accepted", "requested", "requested"], "bob had asked before");
        assert_eq!(all(&dave).await.len(), 1);
    }

    async fn an_import_may_be_large_but_not_endless(app) {
        app.pool(3).await;
        let alice = app.person("alice").await;
        crowd(app, 1_500).await;
        let list: Vec<Value> = (0..1_500).map(|n| json!({ "address": format!("meari:crowd{n}") })).collect();
        let answer = alice.post("/v1/contacts/import", json!({ "contacts": list, "all_or_nothing": true })).await.expect(200);
        assert_eq!(answer["created"], 1_500);
        let again = alice.post("/v1/contacts/import", json!({ "contacts": list })).await.expect(200);
        assert_eq!(again["already"], 1_500);

        let list: Vec<Value> = (0..10_001).map(|n| json!({ "address": format!("meari:n{n}") })).collect();
        alice.post("/v1/contacts/import", json!({ "contacts": list })).await.refused(422, "too_many");
        let guesses: Vec<Value> = list[..10_000].to_vec();
        alice.post("/v1/contacts/import", json!({ "contacts": guesses })).await.expect(200);
        alice.post("/v1/contacts/import", json!({ "contacts": [{ "address": "meari:nobody" }] })).await
            .refused(429, "too_many_unknown_addresses");
    }

    async fn a_closed_account_is_gone_from_everybodys_contacts(app) {
        app.pool(3).await;
        let (alice, bob, carol) = (app.person("alice").await, app.person("bob").await, app.person("carol").await);
        app.verify_mobile(&alice, "+12025550101").await;
        let (at_alice, at_bob) = alice.befriends(&bob).await;
        let (_, at_carol) = bob.befriends(&carol).await;
        act(&carol, &at_carol, "block").await;
        let body = json!({ "password": crate::support::client::PASSWORD });
        bob.call(reqwest::Method::DELETE, "/v1/me", Some(&body)).await.expect(204);
        app.settle().await;
        assert!(all(&alice).await.is_empty() && all(&carol).await.is_empty());
        assert_eq!(history(app, &alice, &at_alice).await.last(), Some(&"contact.deleted"));
        bob.get(&format!("/v1/contacts/{at_bob}")).await.expect(401);
        let owner = account_of(&alice);
        let export = app.app.db.read(move |db| contacts::export(db, owner)).await.unwrap();
        assert_eq!(export["contacts"], json!([]));
        assert!(export["address_books"].as_array().unwrap().iter().all(|book| book["cards"] == json!([])));
    }

    async fn both_asking_at_the_same_moment_makes_friends(app) {
        for n in 0..5 {
            let (a, b) = (app.person(&format!("anna{n}")).await, app.person(&format!("ben{n}")).await);
            futures_util::join!(ask(&a, &b.handle), ask(&b, &a.handle));
            assert_eq!(all(&a).await[0]["state"], "accepted");
            assert_eq!(all(&b).await[0]["state"], "accepted");
        }
    }
}

/// What a device is given.
#[derive(Clone, Copy)]
enum Handed {
    Cards,
    List,
}

async fn hands(app: &TestApp, person: &Person, device: AppPasswordId, what: Handed) {
    let (account, now) = (account_of(person), app.app.now());
    let body = move |db: &mut meari::db::Db| {
        let book = books::list(db, account)?.into_iter().find(|book| book.is_messenger()).unwrap();
        let fetch =
            |name: String, seq| books::Fetch { account, app_password: device, book: book.id, name, seq };
        let fetches: Vec<books::Fetch> = match what {
            Handed::List => vec![fetch(String::new(), book.seq)],
            Handed::Cards => {
                let listed = books::list_objects(db, account, book.id)?;
                listed.into_iter().map(|object| fetch(object.name, object.seq)).collect()
            }
        };
        books::note_fetches(db, now, &fetches)
    };
    app.app.db.write(account, body).await.unwrap();
}

async fn retire(app: &TestApp, number: &str) {
    let (number, now) = (meari::phone::E164::parse(number).unwrap(), app.app.now());
    let body = move |db: &mut meari::db::Db| {
        let number = meari::numbers::find(db, &number)?.unwrap();
        let holders = meari::numbers::retire(db, now, number.id)?;
        contacts::jobs::enqueue_replacements(db, now, &holders)
    };
    app.app.db.write(Lane::Any, body).await.unwrap();
    app.settle().await;
}

async fn remove_mobiles(app: &TestApp, owner: AccountId) {
    use diesel::prelude::*;
    use meari::schema::handsets;
    let delete = move |db: &mut meari::db::Db| {
        meari::each!(db, |c| diesel::delete(handsets::table)
            .filter(handsets::account_id.eq(owner))
            .execute(c))?;
        Ok(())
    };
    app.app.db.write(owner, delete).await.unwrap();
}
