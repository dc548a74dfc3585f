//! The whole promise, seen from a phone: friends appear in its own address book, and messages under their names.

use meari::simulator::{CardDavAccount, PhoneView};
use serde_json::json;

use crate::story;

/// The people in the phone's address book: (name, number).
fn book(phone: &PhoneView) -> Vec<(&str, &str)> {
    phone.contacts.iter().map(|contact| (contact.name.as_str(), contact.numbers[0].as_str())).collect()
}

story! {
    async fn a_friend_appears_in_the_address_book_and_writes_under_his_name(app) {
        app.pool(20).await;
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        let phone = app.verify_mobile(&alice, "+12025550101").await;
        let login = alice.post("/v1/me/app-passwords", json!({ "label": "Phone" })).await.expect(201);
        let part = |name: &str| login[name].as_str().unwrap().to_owned();
        let account = CardDavAccount { url: app.url.clone(), username: part("username"), password: part("password") };
        app.carrier.set_address_book(&phone, account).unwrap();
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
}
