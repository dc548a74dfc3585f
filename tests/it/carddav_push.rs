//! WebDAV-Push: a phone that wants to be told is told, once, in secret, and only of what it wanted.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use meari::dav::Name;
use meari::dav::xml::Element;
use p256::ecdsa::signature::Verifier as _;

use crate::support::TestApp;
use crate::support::dav::{DavAnswer, Device, card, device};
use crate::support::push::{Delivery, PushService, Subscriber};

const CONTENT: &str = "<content-update><D:depth>1</D:depth></content-update>";
const PROPERTY: &str = "<property-update><D:depth>0</D:depth></property-update>";

fn push(local: &'static str) -> Name {
    Name::push(local)
}

async fn register(phone: &Device, path: &str, body: &str) -> DavAnswer {
    phone.send("POST", path, &[("content-type", "application/xml; charset=utf-8")], body.as_bytes()).await
}

/// Registers and answers the registration's address.
async fn registered(phone: &Device, path: &str, who: &Subscriber, triggers: &str) -> String {
    let answer = register(phone, path, &who.register(triggers, "")).await.expect(204);
    answer.header("location").unwrap().to_owned()
}

async fn prop(phone: &Device, path: &str, name: &'static str) -> Option<Element> {
    let asked = format!("<P:{name} xmlns:P='https://bitfire.at/webdav-push'/>");
    phone.propfind(path, "0", &asked).await.expect(207).item(path).prop(200, &push(name))
}

/// Lets time pass and what is due go out.
async fn later(app: &TestApp, service: &PushService, seconds: u64) -> Vec<Delivery> {
    app.advance(Duration::from_secs(seconds));
    app.settle().await;
    service.deliveries()
}

fn part<'a>(document: &'a Element, local: &'static str) -> Option<&'a Element> {
    document.elements().find(|e| e.name.as_ref() == Some(&push(local)))
}

story! {
    async fn a_phone_is_told_once_of_many_changes(app) {
        let phone = device(&app.person("alice").await, "phone").await;
        let book = phone.book("personal");
        let (service, other) = (PushService::start(), device(&app.person("bob").await, "phone").await);
        let me = service.subscribe("me");
        registered(&phone, &book, &me, CONTENT).await;
        for n in 0..5 {
            phone.put(&format!("{book}{n}.vcf"), &card(&format!("u{n}"), "x", ""), &[]).await.expect(201);
        }
        other.put(&format!("{}1.vcf", other.book("personal")), &card("u", "x", ""), &[]).await.expect(201);
        assert!(later(app, &service, 0).await.is_empty());
        let deliveries = later(app, &service, 5).await;
        assert_eq!(deliveries.len(), 1);
        let delivery = &deliveries[0];
        assert_eq!(delivery.path, "/me");
        assert_eq!(delivery.header("content-type"), "application/xml; charset=\"UTF-8\"");
        assert_eq!((delivery.header("ttl"), delivery.header("urgency")), ("86400", "normal"));
        assert!(delivery.header("topic").len() <= 32);
        let said = me.document(delivery);
        assert_eq!(part(&said, "topic").unwrap().text(), prop(&phone, &book, "topic").await.unwrap().text());
        let token = phone.sync(&book, "", "").await.token();
        assert_eq!(part(&said, "content-update").unwrap().dav("sync-token").unwrap().text(), token);
        assert!(part(&said, "property-update").is_none());
        // The next one is spaced out; a deletion is a change too.
        phone.delete(&format!("{book}0.vcf"), &[]).await.expect(204);
        assert!(later(app, &service, 2).await.is_empty());
        assert_eq!(later(app, &service, 10).await.len(), 1);
        // Nothing has changed: nothing is said.
        phone.put(&format!("{book}1.vcf"), &card("u1", "x", ""), &[]).await.expect(204);
        phone.get(&format!("{book}1.vcf")).await.expect(200);
        assert!(later(app, &service, 60).await.is_empty());
    }

    async fn the_push_service_knows_who_sends(app) {
        let phone = device(&app.person("alice").await, "phone").await;
        let book = phone.book("personal");
        let service = PushService::start();
        registered(&phone, &book, &service.subscribe("me"), CONTENT).await;
        phone.put(&format!("{book}1.vcf"), &card("u", "x", ""), &[]).await.expect(201);
        let deliveries = later(app, &service, 5).await;
        let header = deliveries[0].header("authorization");
        let (token, key) = header.strip_prefix("vapid t=").unwrap().split_once(", k=").unwrap();
        let transports = prop(&phone, &book, "transports").await.unwrap();
        let shown = part(part(&transports, "web-push").unwrap(), "vapid-public-key").unwrap();
        assert_eq!((shown.attribute("type"), shown.text().as_str()), (Some("p256ecdsa"), key));
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&URL_SAFE_NO_PAD.decode(key).unwrap()).unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        key.verify(signed.as_bytes(), &p256::ecdsa::Signature::from_slice(&signature).unwrap()).unwrap();
        let claims = URL_SAFE_NO_PAD.decode(signed.split_once('.').unwrap().1).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(claims["aud"], service.url);
    }

    async fn what_can_be_watched_is_told(app) {
        let phone = device(&app.person("alice").await, "phone").await;
        let (book, home) = (phone.book("personal"), phone.home());
        let principal = format!("/dav/principals/{}/", phone.username);
        let mut topics = Vec::new();
        for (path, content, property) in
            [(&book, Some("1"), Some("0")), (&home, Some("1"), None), (&principal, None, Some("0"))]
        {
            let triggers = prop(&phone, path, "supported-triggers").await.unwrap();
            let depth = |local| part(&triggers, local).map(|t| t.dav("depth").unwrap().text());
            assert_eq!(depth("content-update").as_deref(), content);
            assert_eq!(depth("property-update").as_deref(), property);
            topics.push(prop(&phone, path, "topic").await.unwrap().text());
            let options = phone.send("OPTIONS", path, &[], b"").await.expect(200);
            assert!(options.header("dav").unwrap().contains("webdav-push"));
            assert!(options.header("allow").unwrap().contains("POST"));
        }
        topics.push(prop(&phone, &phone.book("messenger"), "topic").await.unwrap().text());
        topics.dedup();
        assert_eq!(topics.len(), 4);
        let object = format!("{book}1.vcf");
        phone.put(&object, &card("u", "x", ""), &[]).await.expect(201);
        assert!(prop(&phone, &object, "topic").await.is_none());
        assert!(prop(&phone, "/dav/", "transports").await.is_none());
        let patch = "<propertyupdate xmlns='DAV:'><set><prop><topic xmlns='https://bitfire.at/webdav-push'>x</topic></prop></set></propertyupdate>";
        let refused = phone.send("PROPPATCH", &book, &[], patch.as_bytes()).await.expect(207);
        assert!(refused.item(&book).prop(403, &push("topic")).is_some());
    }

    async fn names_and_books_are_watched_too(app) {
        let alice = app.person("alice").await;
        let phone = device(&alice, "phone").await;
        let (book, home, service) = (phone.book("family"), phone.home(), PushService::start());
        phone.send("MKCOL", &book, &[], b"").await.expect(201);
        let (b, h, p) = (service.subscribe("book"), service.subscribe("home"), service.subscribe("principal"));
        registered(&phone, &book, &b, &format!("{CONTENT}{PROPERTY}")).await;
        registered(&phone, &home, &h, CONTENT).await;
        registered(&phone, &format!("/dav/principals/{}/", phone.username), &p, PROPERTY).await;
        let rename = "<propertyupdate xmlns='DAV:'><set><prop><displayname>Family</displayname></prop></set></propertyupdate>";
        phone.send("PROPPATCH", &book, &[], rename.as_bytes()).await.expect(207);
        let said = later(app, &service, 30).await;
        assert_eq!(said.len(), 1);
        let document = b.document(&said[0]);
        assert!(part(&document, "property-update").is_some() && part(&document, "content-update").is_none());
        // Both at once make one push.
        phone.send("PROPPATCH", &book, &[], rename.replace("Family", "Folks").as_bytes()).await.expect(207);
        phone.put(&format!("{book}1.vcf"), &card("u", "x", ""), &[]).await.expect(201);
        let said = later(app, &service, 30).await;
        assert_eq!(said.len(), 1);
        let document = b.document(&said[0]);
        assert!(part(&document, "property-update").is_some() && part(&document, "content-update").is_some());
        alice.patch("/v1/me", serde_json::json!({ "display_name": "Al" })).await.expect(200);
        let said = later(app, &service, 30).await;
        assert_eq!(said.iter().map(|d| d.path.as_str()).collect::<Vec<_>>(), ["/principal"]);
        assert!(part(&p.document(&said[0]), "property-update").is_some());
        // A book that goes tells those who watch it, once more and never again, and those who watch the home.
        phone.delete(&book, &[]).await.expect(204);
        let mut said = later(app, &service, 30).await;
        said.sort_by(|a, b| a.path.cmp(&b.path));
        assert_eq!(said.iter().map(|d| d.path.as_str()).collect::<Vec<_>>(), ["/book", "/home"]);
        let update = b.document(&said[0]);
        assert!(part(&update, "content-update").unwrap().dav("sync-token").is_none());
        phone.send("MKCOL", &book, &[], b"").await.expect(201);
        phone.put(&format!("{book}1.vcf"), &card("u", "x", ""), &[]).await.expect(201);
        let said = later(app, &service, 30).await;
        assert_eq!(said.iter().map(|d| d.path.as_str()).collect::<Vec<_>>(), ["/home"]);
    }

    async fn whoever_changes_need_not_be_told(app) {
        let alice = app.person("alice").await;
        let (phone, tablet) = (device(&alice, "phone").await, device(&alice, "tablet").await);
        let (book, service) = (phone.book("personal"), PushService::start());
        let (a, b) = (service.subscribe("phone"), service.subscribe("tablet"));
        let mine = registered(&phone, &book, &a, CONTENT).await;
        registered(&tablet, &book, &b, CONTENT).await;
        let path = format!("{book}1.vcf");
        let quoted = format!("\"https://elsewhere.example/x\", \"{mine}\"");
        phone.put(&path, &card("u", "1", ""), &[("push-dont-notify", &quoted)]).await.expect(201);
        let told: Vec<String> = later(app, &service, 30).await.into_iter().map(|d| d.path).collect();
        assert_eq!(told, ["/tablet"]);
        for header in ["*", "\"*\", *"] {
            phone.put(&path, &card("u", header, ""), &[("push-dont-notify", header)]).await.expect(204);
            assert!(later(app, &service, 30).await.is_empty());
        }
        phone.delete(&path, &[("push-dont-notify", "*")]).await.expect(204);
        assert!(later(app, &service, 30).await.is_empty());
        // What is no quoted address is ignored.
        phone.put(&path, &card("u", "2", ""), &[("push-dont-notify", &mine)]).await.expect(201);
        assert_eq!(later(app, &service, 30).await.len(), 2);
    }

    async fn a_registration_is_renewed_ended_and_expires(app) {
        let alice = app.person("alice").await;
        let (phone, tablet) = (device(&alice, "phone").await, device(&alice, "tablet").await);
        let mallory = device(&app.person("mallory").await, "phone").await;
        let (book, service) = (phone.book("personal"), PushService::start());
        let me = service.subscribe("me");
        let expires = |text: &str| me.register(CONTENT, &format!("<expires>{text}</expires>"));
        let answer = register(&phone, &book, &expires("Sat, 17 Jan 2026 12:00:00 GMT")).await.expect(204);
        assert_eq!(answer.header("expires"), Some("Sat, 17 Jan 2026 12:00:00 GMT"));
        let address = answer.header("location").unwrap().to_owned();
        assert!(address.starts_with(&app.url), "{address}");
        let path = address.strip_prefix(&app.url).unwrap().to_owned();
        // The same subscription again: the same registration, with what is asked for now.
        let answer = register(&phone, &book, &expires("Thu, 01 Jan 2099 00:00:00 GMT")).await.expect(204);
        assert_eq!(answer.header("location"), Some(address.as_str()));
        assert_eq!(answer.header("expires"), Some("Mon, 16 Mar 2026 12:00:00 GMT"));
        register(&phone, &book, &expires("Thu, 01 Jan 2015 00:00:00 GMT")).await.expect(400);
        register(&phone, &book, &expires("soon")).await.expect(400);
        register(&phone, &book, &expires("Sat, 17 Jan 2026 12:00:00 GMT")).await.expect(204);
        phone.put(&format!("{book}1.vcf"), &card("u1", "x", ""), &[]).await.expect(201);
        assert_eq!(later(app, &service, 30).await.len(), 1);
        // Nobody else ends it.
        mallory.delete(&path, &[]).await.expect(404);
        phone.get(&path).await.expect(405);
        phone.put(&format!("{book}2.vcf"), &card("u2", "x", ""), &[]).await.expect(201);
        app.advance(Duration::from_secs(3 * 24 * 3_600));
        app.settle().await;
        assert!(service.deliveries().is_empty(), "it had expired by then");
        phone.delete(&path, &[]).await.expect(404);
        // Ended by hand, and with the device's password.
        let path = registered(&phone, &book, &me, CONTENT).await.strip_prefix(&app.url).unwrap().to_owned();
        phone.delete(&path, &[]).await.expect(204);
        phone.delete(&path, &[]).await.expect(404);
        registered(&phone, &book, &me, CONTENT).await;
        let alice = alice.signs_in_again().await;
        let passwords = alice.get("/v1/me/app-passwords").await.expect(200);
        let first = passwords["items"].as_array().unwrap().iter().find(|p| p["label"] == "phone").unwrap();
        alice.delete(&format!("/v1/me/app-passwords/{}", first["id"].as_str().unwrap())).await.expect(204);
        tablet.put(&format!("{book}3.vcf"), &card("u3", "x", ""), &[]).await.expect(201);
        assert!(later(app, &service, 30).await.is_empty());
    }

    async fn a_push_service_that_says_no_is_heard(app) {
        let phone = device(&app.person("alice").await, "phone").await;
        let (book, service) = (phone.book("personal"), PushService::start());
        let me = service.subscribe("me");
        registered(&phone, &book, &me, CONTENT).await;
        let path = format!("{book}1.vcf");
        // Busy: later, with what is true then.
        service.refuses(429, Some("120"));
        phone.put(&path, &card("u", "1", ""), &[]).await.expect(201);
        assert!(later(app, &service, 5).await.is_empty());
        phone.put(&path, &card("u", "2", ""), &[]).await.expect(204);
        assert!(later(app, &service, 60).await.is_empty());
        let said = later(app, &service, 120).await;
        assert_eq!(said.len(), 1);
        let token = phone.sync(&book, "", "").await.token();
        let update = me.document(&said[0]);
        assert_eq!(part(&update, "content-update").unwrap().dav("sync-token").unwrap().text(), token);
        // Down: tried again by itself.
        service.refuses(503, None);
        phone.put(&path, &card("u", "3", ""), &[]).await.expect(204);
        assert!(later(app, &service, 20).await.is_empty());
        assert_eq!(later(app, &service, 5).await.len(), 1);
        // This message not: the next one goes out.
        service.refuses(413, None);
        phone.put(&path, &card("u", "4", ""), &[]).await.expect(204);
        assert!(later(app, &service, 600).await.is_empty());
        phone.put(&path, &card("u", "5", ""), &[]).await.expect(204);
        assert_eq!(later(app, &service, 20).await.len(), 1);
        // Gone: never again.
        service.refuses(410, None);
        phone.put(&path, &card("u", "6", ""), &[]).await.expect(204);
        assert!(later(app, &service, 20).await.is_empty());
        phone.put(&path, &card("u", "7", ""), &[]).await.expect(204);
        assert!(later(app, &service, 600).await.is_empty());
    }

    async fn what_cannot_be_registered_is_refused_by_name(app) {
        let phone = device(&app.person("alice").await, "phone").await;
        let mallory = device(&app.person("mallory").await, "phone").await;
        let (book, service) = (phone.book("personal"), PushService::start());
        let me = service.subscribe("me");
        let good = me.register(CONTENT, "");
        let invalid = push("invalid-subscription");
        for (from, to) in [
            ("aes128gcm", "aesgcm"),
            ("p256dh", "x25519"),
            ("<push-resource>", "<push-resource>ftp://"),
            (me.auth_secret().as_str(), "short"),
            (me.p256dh().as_str(), "BCVxsr7N"),
            ("web-push-subscription", "carrier-pigeon"),
        ] {
            register(&phone, &book, &good.replace(from, to)).await.refused(403, &invalid);
        }
        let none = push("no-supported-trigger");
        register(&phone, &book, &me.register("", "")).await.refused(403, &none);
        register(&phone, &phone.home(), &me.register(PROPERTY, "")).await.refused(403, &none);
        register(&phone, &book, &me.register("<other/>", "")).await.refused(403, &none);
        let unavailable = push("push-not-available");
        register(&phone, "/dav/", &good).await.refused(403, &unavailable);
        register(&phone, &format!("{book}1.vcf"), &good).await.refused(403, &unavailable);
        register(&phone, &phone.book("nowhere"), &good).await.expect(404);
        register(&mallory, &book, &good).await.expect(403);
        register(&phone, &book, "<push-register").await.expect(400);
        register(&phone, &book, "<something xmlns='DAV:'/>").await.expect(405);
        // Deeper than can be had is cut down, not refused.
        let deep = "<content-update><D:depth>infinity</D:depth></content-update><property-update><D:depth>1</D:depth></property-update>";
        register(&phone, &book, &me.register(deep, "")).await.expect(204);
        for n in 1..100 {
            register(&phone, &book, &service.subscribe(&n.to_string()).register(CONTENT, "")).await.expect(204);
        }
        register(&phone, &book, &service.subscribe("more").register(CONTENT, "")).await.refused(403, &unavailable);
        register(&phone, &book, &good).await.expect(204);
    }

    async fn a_friend_that_is_renamed_wakes_the_phone(app) {
        let pair = app.alice_and_bob().await;
        let phone = device(&pair.alice, "phone").await;
        let service = PushService::start();
        let me = service.subscribe("me");
        registered(&phone, &phone.book("messenger"), &me, CONTENT).await;
        pair.bob.patch("/v1/me", serde_json::json!({ "display_name": "Robert" })).await.expect(200);
        app.settle().await;
        let said = later(app, &service, 30).await;
        assert_eq!(said.len(), 1);
        assert!(part(&me.document(&said[0]), "content-update").is_some());
    }
}

#[actix_web::test]
async fn nobody_makes_us_knock_at_private_doors() {
    let database = crate::support::database::TestDatabase::sqlite();
    let app = TestApp::start(database, |settings| settings.push_to_private_addresses = false).await;
    let phone = device(&app.person("alice").await, "phone").await;
    let (book, service) = (phone.book("personal"), PushService::start());
    let me = service.subscribe("me");
    for address in
        ["http://push.example.org/a", "https://127.0.0.1/a", "https://[::1]/a", "https://10.0.0.1/a"]
    {
        let who = Subscriber { endpoint: address.to_owned(), ..me.clone() };
        register(&phone, &book, &who.register(CONTENT, "")).await.refused(403, &push("invalid-subscription"));
    }
    // A name that leads to a private address is found out when it is asked for, and forgotten.
    let who = Subscriber { endpoint: "https://localhost/a".to_owned(), ..me.clone() };
    registered(&phone, &book, &who, CONTENT).await;
    phone.put(&format!("{book}1.vcf"), &card("u", "x", ""), &[]).await.expect(201);
    assert!(later(&app, &service, 30).await.is_empty());
    phone.put(&format!("{book}1.vcf"), &card("u", "y", ""), &[]).await.expect(204);
    assert!(later(&app, &service, 300).await.is_empty());
    app.finish().await;
}
