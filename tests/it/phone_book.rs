//! The whole promise, seen from a phone: friends appear in its own address book, and messages under their names.

use meari::simulator::{CardDavAccount, PhoneView};
use serde_json::json;

use crate::support::client::Person;

/// Makes an app password for the phone.
async fn sign_in(person: &Person) -> CardDavAccount {
    let login = person.post("/v1/me/app-passwords", json!({ "label": "Phone" })).await.expect(201);
    let part = |name: &str| login[name].as_str().unwrap().to_owned();
    CardDavAccount { url: person.base.clone(), username: part("username"), password: part("password") }
}

/// The people in the phone's address book: (name, number).
fn book(phone: &PhoneView) -> Vec<(&str, &str)> {
    phone.contacts.iter().map(|contact| (contact.name.as_str(), contact.numbers[0].as_str())).collect()
}

story! {
    async fn a_friend_appears_in_the_address_book_and_writes_under_his_name(app) {
        app.pool(20).await;
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        let phone = app.verify_mobile(&alice, "+12025550101").await;
        app.carrier.set_address_book(&phone, sign_in(&alice).await).unwrap();
        app.carrier.sync_phone(&phone).await.unwrap();
        assert_eq!(book(&app.carrier.phone(&phone).unwrap()), []);

        let (friend, contact) = alice.befriends(&bob).await;
        app.settle().await;
        let number = alice.get(&format!("/v1/contacts/{friend}")).await["number"].as_str().unwrap().to_owned();
        app.carrier.sync_phone(&phone).await.unwrap();
        assert_eq!(book(&app.carrier.phone(&phone).unwrap()), [("Bob", number.as_str())]);

        bob.post(&format!("/v1/contacts/{contact}/messages"), json!({ "text": "It is me", "client_id": "1" }))
            .await
            .expect(201);
        app.settle().await;
        let shown = app.carrier.phone(&phone).unwrap();
        let thread = shown.threads.iter().find(|thread| thread.party.as_str() == number).unwrap();
        assert_eq!(thread.name.as_deref(), Some("Bob"));
        assert_eq!(thread.messages[0].text, "It is me");

        bob.patch("/v1/me", json!({ "display_name": "Robert" })).await.expect(200);
        app.settle().await;
        app.carrier.sync_phone(&phone).await.unwrap();
        assert_eq!(book(&app.carrier.phone(&phone).unwrap()), [("Robert", number.as_str())]);

        alice.delete(&format!("/v1/contacts/{friend}")).await;
        app.settle().await;
        app.carrier.sync_phone(&phone).await.unwrap();
        assert_eq!(book(&app.carrier.phone(&phone).unwrap()), []);
    }

    async fn what_the_owner_keeps_himself_is_on_the_phone_too(app) {
        let alice = app.person("alice").await;
        let account = sign_in(&alice).await;
        let phone = app.phone("+12025550101");
        app.carrier.set_address_book(&phone, account.clone()).unwrap();
        let card = |n: usize| format!("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:c{n}\r\nFN:Person {n}\r\nN:;Person {n};;;\r\nTEL:+1202555013{n}\r\nEND:VCARD\r\n");
        let at = |n: usize| format!("{}/dav/addressbooks/alice/personal/c{n}.vcf", app.url);
        let basic = |request: reqwest::RequestBuilder| request.basic_auth(&account.username, Some(&account.password));
        for n in 0..3 {
            let put = app.stranger().http().put(at(n)).header("content-type", "text/vcard").body(card(n));
            assert_eq!(basic(put).send().await.unwrap().status(), 201);
        }
        app.carrier.sync_phone(&phone).await.unwrap();
        let names = || -> Vec<String> { app.carrier.phone(&phone).unwrap().contacts.into_iter().map(|c| c.name).collect() };
        assert_eq!(names(), ["Person 0", "Person 1", "Person 2"]);
        assert_eq!(basic(app.stranger().http().delete(at(1))).send().await.unwrap().status(), 204);
        app.carrier.sync_phone(&phone).await.unwrap();
        assert_eq!(names(), ["Person 0", "Person 2"]);
    }
}
