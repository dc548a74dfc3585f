//! Books that several accounts use: invited, in everybody's home, followed by token, guarded, and gone with the owner.

use meari::dav::Name;
use serde_json::{Value, json};

use crate::support::dav::{Device, NAMESPACES, card, device};
use crate::support::{Person, TestApp};

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// A book of Alice's that Bob has joined: its id, its address in Alice's home, in Bob's, and the membership.
async fn family(alice: &Person, bob: &Person, access: &str) -> (String, String, String, String) {
    let book = alice.post("/v1/books", json!({ "name": "Family" })).await.expect(201);
    let (id, own) = (text(&book["id"]), text(&book["address"]));
    let invite = json!({ "address": "meari:bob", "access": access });
    let invited = alice.post(&format!("/v1/books/{id}/members"), invite).await.expect(201);
    let member = text(&invited["id"]);
    let accepted = bob.post(&format!("/v1/book-invitations/{member}/accept"), json!({})).await.expect(200);
    (id, own, text(&accepted["address"]), member)
}

async fn people(app: &TestApp) -> (Person, Device, Person, Device) {
    let (alice, bob) = (app.person("alice").await, app.person("bob").await);
    let (at_alice, at_bob) = (device(&alice, "phone").await, device(&bob, "phone").await);
    (alice, at_alice, bob, at_bob)
}

async fn privileges(phone: &Device, path: &str) -> Vec<String> {
    let asked = phone.propfind(path, "0", "<current-user-privilege-set/>").await.expect(207);
    let set = asked.items()[0].prop(200, &Name::dav("current-user-privilege-set")).unwrap();
    let words = set.elements().flat_map(|p| p.elements().cloned().collect::<Vec<_>>());
    words.map(|w| w.name.unwrap().local.to_string()).collect()
}

story! {
    async fn whose_access_is_taken_reads_no_more_in_whatever_way(app) {
        let (alice, at_alice, bob, at_bob) = people(app).await;
        let (id, own, shared, member) = family(&alice, &bob, "read").await;
        let (own, shared) = (at_alice.book(&own), at_bob.book(&shared));
        at_alice.put(&format!("{own}aunt.vcf"), &card("aunt", "Aunt", ""), &[]).await.expect(201);
        let mine = at_bob.book("personal");
        at_bob.put(&format!("{mine}own.vcf"), &card("own", "Own", ""), &[]).await.expect(201);
        let hrefs = format!("<href>{shared}aunt.vcf</href><href>{mine}own.vcf</href>");
        let cards = format!("<prop><C:address-data/></prop>{hrefs}");
        let many = async |path: &str| at_bob.report(path, "C:addressbook-multiget", &cards).await;
        for path in [&at_bob.home(), &shared] {
            assert_eq!(many(path).await.expect(207).present().len(), 2);
        }
        let token = at_bob.sync(&shared, "", "").await.token();
        alice.delete(&format!("/v1/books/{id}/members/{member}")).await.expect(204);
        // Asked for at once, while the books are remembered as they were.
        let answer = many(&at_bob.home()).await.expect(207);
        assert_eq!((answer.present(), answer.gone()), (vec![format!("{mine}own.vcf")], vec![format!("{shared}aunt.vcf")]));
        assert!(!many(&shared).await.body.contains("Aunt"));
        let everywhere = [("depth", "infinity")];
        let search = format!("<C:addressbook-query {NAMESPACES}><prop><getetag/></prop><C:filter/></C:addressbook-query>");
        let found = at_bob.send("REPORT", &at_bob.home(), &everywhere, search.as_bytes()).await.expect(207);
        assert!(found.body.contains("own.vcf") && !found.body.contains("aunt.vcf"), "{}", found.body);
        at_bob.sync(&shared, &token, "").await.expect(404);
        at_bob.report(&shared, "C:addressbook-query", "<prop><C:address-data/></prop><C:filter/>").await.expect(404);
        at_bob.get(&format!("{shared}aunt.vcf")).await.expect(404);
        at_bob.get(&shared).await.expect(404);
    }

    async fn an_invitation_is_answered(app) {
        let (alice, _, bob, at_bob) = people(app).await;
        let carol = app.person("carol").await;
        let book = alice.post("/v1/books", json!({ "name": " Family ", "description": "All of us" })).await.expect(201);
        let id = text(&book["id"]);
        assert_eq!((book["name"].as_str(), book["kind"].as_str(), book["access"].as_str()), (Some("Family"), Some("personal"), Some("owner")));
        let members = format!("/v1/books/{id}/members");
        let invite = |who: &str| json!({ "address": format!("meari:{who}"), "access": "read" });
        alice.post(&members, invite("nobody")).await.refused(404, "no_such_address");
        alice.post(&members, invite("alice")).await.expect(422);
        let invited = alice.post(&members, invite("bob")).await.expect(201);
        alice.post(&members, invite("bob")).await.refused(409, "already_a_member");
        let asked = bob.get("/v1/book-invitations").await.expect(200);
        assert_eq!(asked["items"][0]["name"], "Family");
        assert_eq!((&asked["items"][0]["owner"], &asked["items"][0]["card_count"]), (&json!("alice"), &json!(0)));
        let invitation = text(&asked["items"][0]["membership_id"]);
        assert_eq!(invitation, text(&invited["id"]));
        // Not answered: not in the home, and nothing can be read.
        assert_eq!(bob.get("/v1/books").await["items"].as_array().unwrap().len(), 2);
        bob.get(&members).await.expect(404);
        carol.post(&format!("/v1/book-invitations/{invitation}/accept"), json!({})).await.expect(404);
        bob.post(&format!("/v1/book-invitations/{invitation}/decline"), json!({})).await.expect(204);
        assert_eq!(alice.get(&members).await["items"], json!([]));
        // Asked again and accepted.
        alice.post(&members, invite("bob")).await.expect(201);
        let invitation = text(&bob.get("/v1/book-invitations").await["items"][0]["membership_id"]);
        let joined = bob.post(&format!("/v1/book-invitations/{invitation}/accept"), json!({})).await.expect(200);
        assert_eq!((&joined["access"], &joined["state"], &joined["kind"]), (&json!("read"), &json!("accepted"), &json!("shared")));
        bob.post(&format!("/v1/book-invitations/{invitation}/accept"), json!({})).await.expect(404);
        let path = at_bob.book(joined["address"].as_str().unwrap());
        let home = at_bob.propfind(&at_bob.home(), "1", "<displayname/><resourcetype/>").await.expect(207);
        assert_eq!(home.item(&path).text(&Name::dav("displayname")).as_deref(), Some("Family"));
        assert_eq!(alice.get(&members).await["items"][0]["state"], "accepted");
        bob.get(&members).await.refused(403, "not_the_owner");
        bob.delete(&format!("/v1/books/{id}")).await.refused(403, "not_the_owner");
        bob.patch(&format!("/v1/books/{id}"), json!({ "name": "Mine" })).await.refused(403, "read_only_book");
        carol.get(&format!("/v1/books/{id}")).await.expect(404);
        // A blocked person's invitation is not heard.
        let (_, his) = bob.befriends(&carol).await;
        carol.post(&format!("/v1/contacts/{his}/block"), json!({})).await.expect(200);
        let second = bob.post("/v1/books", json!({ "name": "Spam" })).await.expect(201);
        bob.post(&format!("/v1/books/{}/members", text(&second["id"])), invite("carol")).await.expect(201);
        assert_eq!(carol.get("/v1/book-invitations").await["items"], json!([]));
    }

    async fn every_member_follows_the_same_book(app) {
        let (alice, at_alice, bob, at_bob) = people(app).await;
        let (_, own, shared, _) = family(&alice, &bob, "write").await;
        let (own, shared) = (at_alice.book(&own), at_bob.book(&shared));
        let (mut a, mut b) = (at_alice.sync(&own, "", "").await.token(), at_bob.sync(&shared, "", "").await.token());
        assert_eq!(a, b, "the token is the book's");
        // The owner writes; the member hears of it, though no counter of his own has moved.
        at_alice.put(&format!("{own}aunt.vcf"), &card("aunt", "Aunt", ""), &[]).await.expect(201);
        let delta = at_bob.sync(&shared, &b, "").await.expect(207);
        assert_eq!(delta.present(), [format!("{shared}aunt.vcf")]);
        b = delta.token();
        assert_ne!(a, b);
        a = at_alice.sync(&own, &a, "").await.token();
        assert_eq!(at_bob.get(&format!("{shared}aunt.vcf")).await.expect(200).body, card("aunt", "Aunt", ""));
        // The member writes; the owner hears of it, by poll and by token.
        let polled = async |phone: &Device, path: &str| phone.propfind(path, "0", "<CS:getctag/>").await.expect(207).body;
        let before = polled(&at_alice, &own).await;
        let put = at_bob.put(&format!("{shared}uncle.vcf"), &card("uncle", "Uncle", ""), &[]).await.expect(201);
        assert!(put.header("etag").is_some());
        at_bob.delete(&format!("{shared}aunt.vcf"), &[]).await.expect(204);
        assert_ne!(polled(&at_alice, &own).await, before);
        let delta = at_alice.sync(&own, &a, "").await.expect(207);
        assert_eq!((delta.present(), delta.gone()), (vec![format!("{own}uncle.vcf")], vec![format!("{own}aunt.vcf")]));
        assert_eq!(at_bob.sync(&shared, &b, "").await.token(), delta.token());
        // A conflict is one, whoever the other is.
        let etag = put.header("etag").unwrap().to_owned();
        at_alice.put(&format!("{own}uncle.vcf"), &card("uncle", "Uncle A", ""), &[("if-match", &etag)]).await.expect(204);
        at_bob.put(&format!("{shared}uncle.vcf"), &card("uncle", "Uncle B", ""), &[("if-match", &etag)]).await.expect(412);
        // Reports answer under the member's own address.
        let body = format!("<prop><getetag/><C:address-data/></prop><href>{shared}uncle.vcf</href>");
        let got = at_bob.report(&shared, "C:addressbook-multiget", &body).await.expect(207);
        assert_eq!((got.items()[0].href.as_str(), got.items()[0].card().contains("Uncle A")), (format!("{shared}uncle.vcf").as_str(), true));
        let query = "<prop><getetag/></prop><C:filter><C:prop-filter name='FN'><C:text-match>uncle</C:text-match></C:prop-filter></C:filter>";
        assert_eq!(at_bob.report(&shared, "C:addressbook-query", query).await.present(), [format!("{shared}uncle.vcf")]);
        let listed = at_bob.propfind(&shared, "1", "<getetag/>").await.expect(207);
        assert_eq!(listed.items().len(), 2);
        // What it takes is the owner's, and a new name is everybody's.
        assert_eq!(alice.get("/v1/books").await["items"][2]["card_count"], 1);
        let rename = "<propertyupdate xmlns='DAV:'><set><prop><displayname>Clan</displayname></prop></set></propertyupdate>";
        at_bob.send("PROPPATCH", &shared, &[], rename.as_bytes()).await.expect(207);
        assert_eq!(alice.get("/v1/books").await["items"][2]["name"], "Clan");
        let quota = at_bob.propfind(&at_bob.home(), "0", "<quota-used-bytes/>").await.expect(207);
        assert_eq!(quota.items()[0].text(&Name::dav("quota-used-bytes")).as_deref(), Some("0"));
    }

    async fn who_may_only_read_writes_nothing(app) {
        let (alice, at_alice, bob, at_bob) = people(app).await;
        let (id, own, shared, member) = family(&alice, &bob, "read").await;
        let (own, shared) = (at_alice.book(&own), at_bob.book(&shared));
        at_alice.put(&format!("{own}aunt.vcf"), &card("aunt", "Aunt", ""), &[]).await.expect(201);
        let (need, aunt) = (Name::dav("need-privileges"), format!("{shared}aunt.vcf"));
        at_bob.put(&aunt, &card("aunt", "Mine", ""), &[]).await.refused(403, &need);
        at_bob.put(&format!("{shared}new.vcf"), &card("new", "New", ""), &[]).await.refused(403, &need);
        at_bob.delete(&aunt, &[]).await.refused(403, &need);
        at_bob.send("POST", &format!("{shared}?add-member"), &[("content-type", "text/vcard")], card("n", "N", "").as_bytes()).await.refused(403, &need);
        let target = format!("{}aunt.vcf", at_bob.book("personal"));
        at_bob.send("MOVE", &aunt, &[("destination", &target)], b"").await.refused(403, &need);
        let mine = format!("{}mine.vcf", at_bob.book("personal"));
        at_bob.put(&mine, &card("mine", "Mine", ""), &[]).await.expect(201);
        at_bob.send("COPY", &mine, &[("destination", &format!("{shared}mine.vcf"))], b"").await.refused(403, &need);
        let rename = "<propertyupdate xmlns='DAV:'><set><prop><displayname>X</displayname></prop></set></propertyupdate>";
        at_bob.send("PROPPATCH", &shared, &[], rename.as_bytes()).await.refused(403, &need);
        // A copy of one's own is allowed.
        at_bob.send("COPY", &aunt, &[("destination", &target)], b"").await.expect(201);
        assert_eq!(at_bob.get(&target).await.body, card("aunt", "Aunt", ""));
        assert_eq!(privileges(&at_bob, &shared).await, ["read", "read-acl", "read-current-user-privilege-set"]);
        assert!(privileges(&at_alice, &own).await.contains(&"all".to_owned()));
        let props = at_bob.propfind(&shared, "0", "<owner/><acl/>").await.expect(207);
        assert_eq!(props.items()[0].prop(200, &Name::dav("owner")).unwrap().dav("href").unwrap().text(), "/dav/principals/alice/");
        let acl = at_alice.propfind(&own, "0", "<acl/>").await.expect(207);
        assert!(acl.body.contains("/dav/principals/bob/") && acl.body.contains("/dav/principals/alice/"), "{}", acl.body);
        // More is given, and taken.
        let path = format!("/v1/books/{id}/members/{member}");
        alice.patch(&path, json!({ "access": "write" })).await.expect(204);
        at_bob.put(&aunt, &card("aunt", "Mine", ""), &[]).await.expect(204);
        assert!(privileges(&at_bob, &shared).await.contains(&"write-content".to_owned()));
        alice.patch(&path, json!({ "access": "read" })).await.expect(204);
        at_bob.put(&aunt, &card("aunt", "Again", ""), &[]).await.refused(403, &need);
        alice.delete(&path).await.expect(204);
        at_bob.get(&aunt).await.expect(404);
        at_bob.propfind(&shared, "0", "<displayname/>").await.expect(404);
        alice.delete(&path).await.expect(404);
    }

    async fn a_card_moves_between_ones_own_book_and_the_familys(app) {
        let (alice, at_alice, bob, at_bob) = people(app).await;
        let (_, own, shared, _) = family(&alice, &bob, "write").await;
        let (own, shared) = (at_alice.book(&own), at_bob.book(&shared));
        let mine = format!("{}mine.vcf", at_bob.book("personal"));
        at_bob.put(&mine, &card("mine", "Mine", ""), &[]).await.expect(201);
        let token = at_alice.sync(&own, "", "").await.token();
        at_bob.send("MOVE", &mine, &[("destination", &format!("{shared}ours.vcf"))], b"").await.expect(201);
        at_bob.get(&mine).await.expect(404);
        assert_eq!(at_alice.sync(&own, &token, "").await.present(), [format!("{own}ours.vcf")]);
        at_bob.send("MOVE", &format!("{shared}ours.vcf"), &[("destination", &mine)], b"").await.expect(201);
        assert_eq!(at_alice.get(&format!("{own}ours.vcf")).await.status, 404);
        assert_eq!(at_bob.get(&mine).await.body, card("mine", "Mine", ""));
    }

    async fn numbers_of_one_account_do_not_stand_on_shared_cards(app) {
        let pair = app.alice_and_bob().await;
        let carol = app.person("carol").await;
        let (at_alice, at_carol) = (device(&pair.alice, "phone").await, device(&carol, "phone").await);
        let book = pair.alice.post("/v1/books", json!({ "name": "Family" })).await.expect(201);
        let (id, path) = (text(&book["id"]), at_alice.book(book["address"].as_str().unwrap()));
        let body = card("bob", "Bob", "IMPP:meari:bob\r\nTEL:+12025550155\r\n");
        at_alice.put(&format!("{path}bob.vcf"), &body, &[]).await.expect(201);
        assert!(at_alice.get(&format!("{path}bob.vcf")).await.body.contains(&pair.number), "while it is her own");
        let invite = json!({ "address": "meari:carol", "access": "write" });
        let invited = pair.alice.post(&format!("/v1/books/{id}/members"), invite).await.expect(201);
        assert_eq!(at_alice.get(&format!("{path}bob.vcf")).await.body, body, "the number is gone, the rest stays");
        let joined = carol.post(&format!("/v1/book-invitations/{}/accept", text(&invited["id"])), json!({})).await.expect(200);
        let shared = at_carol.book(joined["address"].as_str().unwrap());
        // Nobody is asked in the owner's name, and no number comes.
        at_carol.put(&format!("{shared}dave.vcf"), &card("dave", "Dave", "IMPP:meari:bob\r\n"), &[]).await.expect(201);
        at_carol.put(&format!("{shared}bob.vcf"), &body.replace("0155", "0156"), &[]).await.expect(204);
        assert!(!at_carol.get(&format!("{shared}bob.vcf")).await.body.contains(&pair.number));
        assert_eq!(carol.get("/v1/contacts").await["items"], json!([]));
        let friends = at_alice.report(&at_alice.book("messenger"), "C:addressbook-query", "<prop><getetag/></prop><C:filter/>").await.present();
        at_alice.send("COPY", &friends[0], &[("destination", &format!("{path}copy.vcf"))], b"").await.expect(201);
        let copy = at_alice.get(&format!("{path}copy.vcf")).await.expect(200).body;
        assert!(copy.contains("FN:Bob") && !copy.contains(&pair.number), "{copy}");
    }

    async fn a_book_goes_with_its_owner_and_members_are_told(app) {
        let (alice, at_alice, bob, at_bob) = people(app).await;
        let (_, own, shared, _) = family(&alice, &bob, "write").await;
        at_alice.put(&format!("{}aunt.vcf", at_alice.book(&own)), &card("aunt", "Aunt", ""), &[]).await.expect(201);
        let export = alice.get("/v1/me/export").await.expect(200);
        assert!(export.text.contains("FN:Aunt") && export.text.contains(r#""member":"bob""#), "{}", export.text);
        let export = bob.get("/v1/me/export").await.expect(200);
        assert!(!export.text.contains("FN:Aunt") && export.text.contains(r#""owner":"alice""#), "{}", export.text);
        let account: meari::ids::AccountId = bob.id.parse().unwrap();
        let told = || async { app.app.db.read(move |db| meari::events::since(db, account, 0)).await.unwrap() };
        let before = told().await.iter().filter(|e| e.kind.name() == "book.changed").count();
        alice.call(reqwest::Method::DELETE, "/v1/me", Some(&json!({ "password": crate::support::client::PASSWORD }))).await.expect(204);
        assert_eq!(told().await.iter().filter(|e| e.kind.name() == "book.changed").count(), before + 1);
        at_bob.propfind(&at_bob.book(&shared), "0", "<displayname/>").await.expect(404);
        assert_eq!(bob.get("/v1/books").await["items"].as_array().unwrap().len(), 2);
        app.settle().await;
    }

    async fn a_member_leaves_by_phone_or_closes_his_account(app) {
        let (alice, at_alice, bob, at_bob) = people(app).await;
        let (id, own, shared, _) = family(&alice, &bob, "write").await;
        at_alice.put(&format!("{}aunt.vcf", at_alice.book(&own)), &card("aunt", "Aunt", ""), &[]).await.expect(201);
        at_bob.delete(&at_bob.book(&shared), &[]).await.expect(204);
        at_bob.propfind(&at_bob.book(&shared), "0", "<displayname/>").await.expect(404);
        at_alice.get(&format!("{}aunt.vcf", at_alice.book(&own))).await.expect(200);
        let members = format!("/v1/books/{id}/members");
        assert_eq!(alice.get(&members).await["items"], json!([]));
        let invited = alice.post(&members, json!({ "address": "meari:bob", "access": "read" })).await.expect(201);
        bob.post(&format!("/v1/book-invitations/{}/accept", text(&invited["id"])), json!({})).await.expect(200);
        bob.post(&format!("/v1/books/{id}/leave"), json!({})).await.expect(204);
        bob.post(&format!("/v1/books/{id}/leave"), json!({})).await.expect(404);
        alice.post(&members, json!({ "address": "meari:bob", "access": "read" })).await.expect(201);
        bob.call(reqwest::Method::DELETE, "/v1/me", Some(&json!({ "password": crate::support::client::PASSWORD }))).await.expect(204);
        app.settle().await;
        assert_eq!(alice.get(&members).await["items"], json!([]));
        alice.delete(&format!("/v1/books/{id}")).await.expect(204);
        alice.delete(&format!("/v1/books/{id}")).await.expect(404);
        let first = text(&alice.get("/v1/books").await["items"][0]["id"]);
        alice.delete(&format!("/v1/books/{first}")).await.refused(409, "book_stays");
        alice.post(&format!("/v1/books/{first}/members"), json!({ "address": "meari:bob", "access": "read" })).await.expect(404);
    }

    async fn a_book_made_on_the_phone_can_be_shared(app) {
        let (alice, at_alice, bob, at_bob) = people(app).await;
        let body = "<mkcol xmlns='DAV:' xmlns:C='urn:ietf:params:xml:ns:carddav'><set><prop><resourcetype><collection/><C:addressbook/></resourcetype><displayname>Work</displayname></prop></set></mkcol>";
        at_alice.send("MKCOL", &at_alice.book("work"), &[], body.as_bytes()).await.expect(201);
        let books = alice.get("/v1/books").await.expect(200);
        let work = books["items"].as_array().unwrap().iter().find(|b| b["address"] == "work").unwrap().clone();
        let invite = json!({ "address": "meari:bob", "access": "write" });
        let invited = alice.post(&format!("/v1/books/{}/members", text(&work["id"])), invite.clone()).await.expect(201);
        let joined = bob.post(&format!("/v1/book-invitations/{}/accept", text(&invited["id"])), json!({})).await.expect(200);
        let slug = text(&joined["address"]);
        at_bob.put(&format!("{}a.vcf", at_bob.book(&slug)), &card("a", "A", ""), &[]).await.expect(201);
        at_alice.get(&format!("{}a.vcf", at_alice.book("work"))).await.expect(200);
        // The address is taken in Bob's home.
        at_bob.send("MKCOL", &at_bob.book(&slug), &[], b"").await.expect(405);
        for own in books["items"].as_array().unwrap().iter().take(2) {
            alice.post(&format!("/v1/books/{}/members", text(&own["id"])), invite.clone()).await.refused(409, "book_not_shareable");
        }
    }
}
