//! The messenger's own book: friends appear with their numbers, what the user changes on the phone is kept, and what is
//! the messenger's is put back.

use serde_json::json;

use crate::story;
use crate::support::TestApp;
use crate::support::dav::{Device, card, device};

/// Alice with a verified mobile and her friend Bob: her phone, and the contact's id.
async fn friends(app: &TestApp) -> (crate::support::Person, Device, String) {
    app.pool(20).await;
    let (alice, bob) = (app.person("alice").await, app.person("bob").await);
    app.verify_mobile(&alice, "+12025550101").await;
    let (friend, _) = alice.befriends(&bob).await;
    app.settle().await;
    let phone = device(&alice, "phone").await;
    (alice, phone, friend)
}

async fn only_card(phone: &Device) -> (String, String, String) {
    let book = phone.book("messenger");
    let answer = phone
        .report(&book, "C:addressbook-query", "<prop><getetag/><C:address-data/></prop><C:filter/>")
        .await
        .expect(207);
    let items = answer.items();
    assert_eq!(items.len(), 1, "{}", answer.body);
    (items[0].href.clone(), items[0].etag(), items[0].card())
}

story! {
    async fn a_friend_appears_with_his_number(app) {
        let (alice, phone, friend) = friends(app).await;
        let number = alice.get(&format!("/v1/contacts/{friend}")).await["number"].as_str().unwrap().to_owned();
        let (_, _, text) = only_card(&phone).await;
        assert!(text.contains("FN:Bob\r\n") && text.contains(&format!("TEL;TYPE=CELL:{number}\r\n")), "{text}");
        assert!(text.contains("IMPP;X-SERVICE-TYPE=Meari:meari:bob\r\n"), "{text}");
    }

    async fn the_users_changes_stay_and_ours_are_put_back(app) {
        let (alice, phone, friend) = friends(app).await;
        let number = alice.get(&format!("/v1/contacts/{friend}")).await["number"].as_str().unwrap().to_owned();
        let (path, etag, text) = only_card(&phone).await;
        let mine = text.replace("FN:Bob", "FN:Bobby").replace(&number, "+12025550999").replace("END:VCARD", "NOTE:tuba\r\nEND:VCARD");
        let put = phone.put(&path, &mine, &[("if-match", &etag)]).await.expect(204);
        assert_eq!(put.header("etag"), None, "what is stored is not what was sent");
        let (_, _, text) = only_card(&phone).await;
        assert!(text.contains("FN:Bobby\r\n") && text.contains("NOTE:tuba\r\n"), "{text}");
        assert!(text.contains(&number) && !text.contains("+12025550999"), "{text}");
        let kept = text.replace("NOTE:tuba", "NOTE:violin");
        let put = phone.put(&path, &kept, &[]).await.expect(204);
        assert!(put.header("etag").is_some(), "stored as sent");
    }

    async fn a_friend_deleted_on_the_phone_is_hidden_and_comes_back(app) {
        let (alice, phone, friend) = friends(app).await;
        let book = phone.book("messenger");
        let token = phone.sync(&book, "", "").await.token();
        let (path, _, before) = only_card(&phone).await;
        phone.delete(&path, &[]).await.expect(204);
        let delta = phone.sync(&book, &token, "").await.expect(207);
        assert_eq!((delta.present().len(), delta.gone()), (0, vec![path.clone()]));
        let contact = alice.get(&format!("/v1/contacts/{friend}")).await.expect(200);
        assert_eq!((contact["state"].as_str(), contact["hidden_on_phone"].as_bool()), (Some("accepted"), Some(true)));
        assert!(contact["number"].is_null());
        alice.patch(&format!("/v1/contacts/{friend}"), json!({ "hidden_on_phone": false })).await.expect(200);
        let (again, _, after) = only_card(&phone).await;
        assert_eq!(again, path);
        let tel = |text: &str| text.lines().find(|l| l.starts_with("TEL")).unwrap().to_owned();
        assert_eq!(tel(&before), tel(&after), "the same number");
    }

    async fn a_contact_added_there_is_kept(app) {
        let (_, phone, _) = friends(app).await;
        let path = format!("{}own.vcf", phone.book("messenger"));
        let body = card("own", "Aunt", "TEL:+12025550155\r\n");
        assert!(phone.put(&path, &body, &[]).await.expect(201).header("etag").is_some());
        assert_eq!(phone.get(&path).await.body, body);
        phone.delete(&path, &[]).await.expect(204);
    }

    async fn it_is_known_which_card_is_on_the_phone(app) {
        let (alice, phone, friend) = friends(app).await;
        let (account, contact) = (alice.id.parse().unwrap(), friend.parse().unwrap());
        let on_phone = || async {
            app.app.db.read(move |db| meari::contacts::books::card_is_on_phone(db, account, contact)).await.unwrap()
        };
        assert!(!on_phone().await);
        phone.sync(&phone.book("messenger"), "", "").await.expect(207);
        assert!(!on_phone().await, "a listing is no card");
        only_card(&phone).await;
        assert!(on_phone().await);
        alice.patch(&format!("/v1/contacts/{friend}"), json!({ "display_name": "Robert" })).await.expect(200);
        assert!(!on_phone().await, "the phone has an old one");
        let (path, ..) = only_card(&phone).await;
        assert!(on_phone().await);
        phone.get(&path).await.expect(200);
    }
}
