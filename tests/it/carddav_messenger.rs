//! The messenger's own book: friends appear with their numbers, what the user changes on the phone is kept, and what is
//! the messenger's is put back.

use serde_json::json;

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

    async fn what_the_user_wrote_on_a_card_outlives_hiding(app) {
        let (alice, phone, friend) = friends(app).await;
        let (path, _, text) = only_card(&phone).await;
        let tel = |text: &str| text.lines().find(|l| l.starts_with("TEL")).unwrap().to_owned();
        let mine = text
            .replace("FN:Bob", "FN:Bobby")
            .replace("N:;Bob;;;", "N:Builder;Bobby;;;")
            .replace("CATEGORIES:Meari", "CATEGORIES:Meari,Band")
            .replace("END:VCARD", "NOTE:plays the tuba\r\nPHOTO;ENCODING=b;TYPE=JPEG:AAAABBBB\r\nitem1.URL:https://example.org\r\nitem1.X-ABLabel:home\r\nEND:VCARD");
        let number = tel(&text);
        phone.put(&path, &mine, &[]).await.expect(204);
        let kept = ["FN:Bobby\r\n", "N:Builder;Bobby;;;\r\n", "CATEGORIES:Meari,Band\r\n", "NOTE:plays the tuba\r\n", "PHOTO;ENCODING=b;TYPE=JPEG:AAAABBBB\r\n", "item1.X-ABLabel:home\r\n"];
        let has_all = |text: &str| {
            for line in kept {
                assert!(text.contains(line), "{line} is missing: {text}");
            }
        };
        let contact = format!("/v1/contacts/{friend}");
        let hide = async |hidden: bool| alice.patch(&contact, json!({ "hidden_on_phone": hidden })).await;
        // By the client.
        for _ in 0..2 {
            assert_eq!(hide(true).await.expect(200)["number"], json!(null));
            phone.get(&path).await.expect(404);
            hide(false).await.expect(200);
            let text = phone.get(&path).await.expect(200).body;
            has_all(&text);
            assert_eq!(tel(&text), number);
        }
        // On the phone; meanwhile the friend takes another name, which the user's own for him outlives.
        phone.delete(&path, &[]).await.expect(204);
        let export = alice.get("/v1/me/export").await.expect(200);
        assert!(export.text.contains("plays the tuba"), "the user's words are the user's");
        hide(false).await.expect(200);
        has_all(&phone.get(&path).await.expect(200).body);
        // Without a mobile the cards go, and come back with it.
        let mobile = alice.get("/v1/me").await["mobiles"][0]["id"].as_str().unwrap().to_owned();
        alice.delete(&format!("/v1/me/mobiles/{mobile}")).await.expect(204);
        app.settle().await;
        phone.get(&path).await.expect(404);
        app.verify_mobile(&alice, "+12025550102").await;
        let text = phone.get(&path).await.expect(200).body;
        has_all(&text);
        // Blocked and not any more.
        alice.post(&format!("/v1/contacts/{friend}/block"), json!({})).await.expect(200);
        phone.get(&path).await.expect(404);
        alice.post(&format!("/v1/contacts/{friend}/unblock"), json!({})).await.expect(200);
        has_all(&phone.get(&path).await.expect(200).body);
        // Parting is for good.
        alice.delete(&format!("/v1/contacts/{friend}")).await.expect(204);
        assert!(!alice.get("/v1/me/export").await.text.contains("plays the tuba"));
        app.settle().await;
    }

    async fn a_deletion_is_undone_on_the_phone(app) {
        let (alice, phone, friend) = friends(app).await;
        let (path, _, text) = only_card(&phone).await;
        phone.delete(&path, &[]).await.expect(204);
        let contact = || async { alice.get(&format!("/v1/contacts/{friend}")).await.expect(200) };
        assert_eq!(contact().await["hidden_on_phone"], true);
        let again = text.replace("END:VCARD", "NOTE:back\r\nEND:VCARD");
        phone.put(&path, &again, &[("if-none-match", "*")]).await.expect(201);
        assert_eq!((contact().await["hidden_on_phone"].as_bool(), contact().await["number_state"].as_str()), (Some(false), Some("assigned")));
        let stored = phone.get(&path).await.expect(200).body;
        let number = contact().await["number"].as_str().unwrap().to_owned();
        assert!(stored.contains("NOTE:back\r\n") && stored.contains(&number), "{stored}");
        // A card that never was his is the user's own, also under such a name.
        let other = path.replace(&path[path.len() - 8..], "0000.vcf");
        phone.put(&other, &card("own", "Aunt", ""), &[]).await.expect(201);
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

    async fn a_friend_written_down_on_the_phone_is_asked_and_gets_his_number_there(app) {
        app.pool(20).await;
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        app.verify_mobile(&alice, "+12025550101").await;
        let phone = device(&alice, "phone").await;
        let path = format!("{}uncle.vcf", phone.book("personal"));
        let body = card("uncle", "Uncle Bob", "IMPP;X-SERVICE-TYPE=Meari:x-apple:Bob\r\nTEL;TYPE=HOME:+12025550155\r\n");
        let put = phone.put(&path, &body, &[]).await.expect(201);
        assert!(put.header("etag").is_some(), "nothing to add yet");
        let token = phone.sync(&phone.book("personal"), "", "").await.token();
        let asked = bob.get("/v1/contacts?state=requested").await.expect(200);
        assert_eq!(asked["items"][0]["address"], "meari:alice");
        // Writing the card again asks nobody again.
        phone.put(&path, &body.replace("Uncle Bob", "Bob"), &[]).await.expect(204);
        assert_eq!(bob.get("/v1/contacts").await["items"].as_array().unwrap().len(), 1);
        phone.put(&path, &body, &[]).await.expect(204);

        let id = asked["items"][0]["id"].as_str().unwrap();
        bob.post(&format!("/v1/contacts/{id}/accept"), json!({})).await.expect(200);
        app.settle().await;
        let delta = phone.sync(&phone.book("personal"), &token, "").await.expect(207);
        assert_eq!(delta.present(), std::slice::from_ref(&path));
        let mine = alice.get("/v1/contacts").await["items"][0].clone();
        let number = mine["number"].as_str().unwrap().to_owned();
        assert_eq!(mine["display_name"], "Uncle Bob");
        let text = phone.get(&path).await.expect(200).body;
        assert_eq!(text, body.replace("END:", &format!("TEL;TYPE=CELL:{number}\r\nEND:")));
        // Taken off the card it comes back; and with it the card is as sent.
        let put = phone.put(&path, &body, &[]).await.expect(204);
        assert_eq!(put.header("etag"), None);
        assert_eq!(phone.get(&path).await.body, text);
        let put = phone.put(&path, &text.replace("HOME", "WORK"), &[]).await.expect(204);
        assert!(put.header("etag").is_some());
        // The card is the user's own: throwing it away ends no friendship.
        phone.delete(&path, &[]).await.expect(204);
        assert_eq!(alice.get("/v1/contacts").await["items"][0]["hidden_on_phone"], false);
    }

    async fn a_jabber_address_at_our_host_means_the_same(app) {
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        let phone = device(&alice, "phone").await;
        let there = phone.book("personal");
        let elsewhere = card("far", "Far", "X-JABBER:bob@example.org\r\n");
        phone.put(&format!("{there}far.vcf"), &elsewhere, &[]).await.expect(201);
        assert!(bob.get("/v1/contacts").await["items"].as_array().unwrap().is_empty());
        let here = card("bob", "Bob", "X-JABBER;TYPE=HOME:Bob@127.0.0.1/phone\r\n");
        phone.put(&format!("{there}bob.vcf"), &here, &[]).await.expect(201);
        let asked = bob.get("/v1/contacts?state=requested").await.expect(200);
        assert_eq!(asked["items"][0]["address"], "meari:alice");
    }

    async fn a_card_is_no_way_to_find_out_who_is_here(app) {
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        let phone = device(&alice, "phone").await;
        for (name, address) in [("nobody", "meari:nobody"), ("self", "meari:alice"), ("bob", "meari:bob"), ("far", "xmpp:bob@example.org")] {
            let body = card(name, name, &format!("IMPP:{address}\r\n"));
            let put = phone.put(&format!("{}{name}.vcf", phone.book("personal")), &body, &[]).await.expect(201);
            assert!(put.header("etag").is_some(), "all look the same");
        }
        let mine = alice.get("/v1/contacts").await.expect(200);
        assert_eq!(mine["items"].as_array().unwrap().len(), 1);
        let id = mine["items"][0]["id"].as_str().unwrap();
        alice.post(&format!("/v1/contacts/{id}/block"), json!({})).await.expect(200);
        let body = card("bob", "Bob again", "IMPP:meari:bob\r\n");
        phone.put(&format!("{}bob.vcf", phone.book("personal")), &body, &[]).await.expect(204);
        assert_eq!(alice.get(&format!("/v1/contacts/{id}")).await["state"], "blocked");
        assert!(bob.get("/v1/contacts").await["items"].as_array().unwrap().len() == 1);
    }

    async fn guesses_on_cards_are_counted_whether_they_hit_or_miss(app) {
        app.pool(20).await;
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        let phone = device(&alice, "phone").await;
        let book = phone.book("personal");
        let put = async |name: &str, line: &str| phone.put(&format!("{book}{name}.vcf"), &card(name, name, line), &[]).await;
        // A big address book is stored whole, whatever stands in it; a card that comes twice is one.
        for n in 0..60 {
            put(&format!("m{n}"), &format!("EMAIL:person{n}@example.org\r\n")).await.expect(201);
            put(&format!("m{n}"), &format!("EMAIL:person{n}@example.org\r\n")).await.expect(204);
        }
        for n in 0..39 {
            put(&format!("g{n}"), &format!("IMPP:meari:guess{n}\r\n")).await.expect(201);
        }
        put("bob", "IMPP:meari:bob\r\n").await.expect(201);
        let asked = bob.get("/v1/contacts").await["items"][0].clone();
        assert_eq!(asked["address"], "meari:alice", "the hundredth is looked at");
        app.person("carol").await;
        let made = put("carol", "IMPP:meari:carol\r\n").await.expect(201);
        assert!(made.header("etag").is_some(), "stored all the same");
        put("carol", "IMPP:meari:carol\r\nNOTE:again\r\n").await.expect(204);
        let known = async || alice.get("/v1/contacts").await["items"].as_array().unwrap().len();
        assert_eq!(known().await, 1, "and looked at no more");
        // What is a friend's already stays his: with another note, and with an address more.
        bob.post(&format!("/v1/contacts/{}/accept", asked["id"].as_str().unwrap()), json!({})).await.expect(200);
        app.verify_mobile(&alice, "+12025550101").await;
        app.settle().await;
        let text = phone.get(&format!("{book}bob.vcf")).await.body;
        assert!(text.contains("TEL;TYPE=CELL:+1202"), "{text}");
        for more in ["NOTE:x\r\n", "EMAIL:bob@example.org\r\n", ""] {
            put("bob", &format!("IMPP:meari:bob\r\n{more}")).await.expect(204);
            let text = phone.get(&format!("{book}bob.vcf")).await.body;
            assert!(text.contains("TEL;TYPE=CELL:+1202"), "{text}");
        }
        app.advance(std::time::Duration::from_secs(2 * 24 * 3600));
        put("carol", "IMPP:meari:carol\r\nNOTE:later\r\n").await.expect(204);
        let later = alice.signs_in_again().await.get("/v1/contacts").await.expect(200);
        assert_eq!(later["items"].as_array().unwrap().len(), 2);
    }

    async fn a_copy_of_a_friends_card_is_the_users_own_whatever_its_name(app) {
        let (alice, phone, friend) = friends(app).await;
        let (path, _, text) = only_card(&phone).await;
        let copy = path.replace("/messenger/", "/personal/");
        phone.send("COPY", &path, &[("destination", &copy)], b"").await.expect(201);
        // Written twice: with the first it is known whom it means.
        for note in ["one", "two"] {
            let etag = phone.get(&copy).await.expect(200).header("etag").unwrap().to_owned();
            let mine = text.replace("END:VCARD", &format!("NOTE:{note}\r\nEND:VCARD"));
            phone.put(&copy, &mine, &[("if-match", &etag)]).await.expect(204);
            assert!(phone.get(&copy).await.body.contains(&format!("NOTE:{note}\r\n")));
        }
        let aside = phone.book("personal") + "aside.vcf";
        phone.send("MOVE", &copy, &[("destination", &aside)], b"").await.expect(201);
        phone.send("MOVE", &aside, &[("destination", &copy)], b"").await.expect(201);
        phone.delete(&copy, &[]).await.expect(204);
        assert_eq!(phone.get(&path).await.expect(200).body, text, "the friend's own card is as it was");
        let contact = alice.get(&format!("/v1/contacts/{friend}")).await.expect(200);
        assert!(contact["number"].is_string() && contact["hidden_on_phone"] == false, "{}", contact.text);
    }

    async fn who_consents_is_found_by_the_e_mail_address_on_a_card(app) {
        app.pool(20).await;
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        app.verify_mobile(&alice, "+12025550101").await;
        let address = "bob@example.org";
        let (account, now) = (bob.id.parse().unwrap(), app.app.now());
        let add = move |db: &mut meari::db::Db| meari::accounts::emails::add_verified(db, now, account, address);
        app.app.db.write(account, add).await.unwrap();
        let email = bob.get("/v1/me").await.expect(200)["emails"][0].clone();
        assert_eq!(email["findable"], false, "nobody is found who was not asked");
        let consent = format!("/v1/me/emails/{}", email["id"].as_str().unwrap());
        let phone = device(&alice, "phone").await;
        let path = format!("{}bob.vcf", phone.book("personal"));
        let body = card("bob", "Bob", "EMAIL;TYPE=WORK:nobody@example.org\r\nEMAIL;TYPE=HOME:Bob@Example.org\r\n");
        let write = async |body: &str, status| drop(phone.put(&path, body, &[]).await.expect(status));
        let number_on_the_card = async || phone.get(&path).await.body.contains("TEL;TYPE=CELL:+1202");
        write(&body, 201).await;
        assert_eq!(alice.get("/v1/contacts").await["items"], json!([]));

        alice.patch(&consent, json!({ "findable": true })).await.refused(404, "not_found");
        assert_eq!(bob.patch(&consent, json!({ "findable": true })).await.expect(200)["findable"], true);
        write(&body.replace("FN:Bob", "FN:Bob!"), 204).await;
        let asked = bob.get("/v1/contacts").await.expect(200)["items"][0].clone();
        assert_eq!((&asked["address"], &asked["state"]), (&json!("meari:alice"), &json!("requested")));
        assert!(!number_on_the_card().await);
        bob.post(&format!("/v1/contacts/{}/accept", asked["id"].as_str().unwrap()), json!({})).await.expect(200);
        app.settle().await;
        assert!(number_on_the_card().await, "the number is on the card that the user wrote");

        // Consent was for being found; friends stay friends on the card when it is taken back.
        bob.patch(&consent, json!({ "findable": false })).await.expect(200);
        let written = phone.get(&path).await.body.replace("FN:Bob!", "FN:Bobby");
        write(&written, 204).await;
        assert!(number_on_the_card().await);
        assert_eq!(alice.get("/v1/contacts").await["items"][0]["state"], "accepted");
        let carol = app.person("carol").await;
        let other = device(&carol, "phone").await;
        other.put(&format!("{}bob.vcf", other.book("personal")), &body, &[]).await.expect(201);
        assert_eq!(carol.get("/v1/contacts").await["items"], json!([]));
    }

    async fn a_name_changed_on_the_phone_is_the_name_everywhere(app) {
        let (alice, phone, friend) = friends(app).await;
        let (path, _, text) = only_card(&phone).await;
        phone.put(&path, &text.replace("FN:Bob", "FN:Bobby"), &[]).await.expect(204);
        assert_eq!(alice.get(&format!("/v1/contacts/{friend}")).await["display_name"], "Bobby");
        alice.patch(&format!("/v1/contacts/{friend}"), json!({ "display_name": "Robert" })).await.expect(200);
        let (_, _, text) = only_card(&phone).await;
        assert!(text.contains("FN:Robert\r\n") && text.contains("N:;Robert;;;\r\n"), "{text}");
    }

    async fn what_a_phone_has_fetched_is_shown_to_its_owner(app) {
        let (alice, phone, friend) = friends(app).await;
        let before = alice.get("/v1/me/devices").await.expect(200);
        assert_eq!(before["contacts"], 1);
        let arrived = format!("/v1/me/devices/{}/contacts", before["items"][0]["app_password_id"].as_str().unwrap());
        let arrival = async || alice.get(&arrived).await.expect(200)["items"][0].clone();
        assert_eq!((arrival().await["contact_id"].as_str(), &arrival().await["is_current"]), (Some(friend.as_str()), &json!(false)));
        assert!(arrival().await["fetched_at"].is_null());
        assert_eq!((&before["items"][0]["label"], &before["items"][0]["contacts_current"]), (&json!("phone"), &json!(0)));
        assert!(before["items"][0]["last_fetched_at"].is_null());

        only_card(&phone).await;
        let after = alice.get("/v1/me/devices").await.expect(200);
        assert_eq!(after["items"][0]["contacts_current"], 1);
        assert_eq!((&arrival().await["is_current"], arrival().await["fetched_at"].is_string()), (&json!(true), true));
        assert!(after["items"][0]["last_fetched_at"].is_string());

        alice.patch(&format!("/v1/contacts/{friend}"), json!({ "display_name": "Bobby" })).await.expect(200);
        app.settle().await;
        assert_eq!(alice.get("/v1/me/devices").await["items"][0]["contacts_current"], 0, "the phone has an old card");
        assert_eq!((&arrival().await["display_name"], &arrival().await["is_current"]), (&json!("Bobby"), &json!(false)));
        only_card(&phone).await;
        assert_eq!(alice.get("/v1/me/devices").await["items"][0]["contacts_current"], 1);
    }
}
