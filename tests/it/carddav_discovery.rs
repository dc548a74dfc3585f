//! A phone finds its books from nothing but the host, and nobody finds another's.

use meari::dav::Name;

use crate::support::dav::{NAMESPACES, device};

story! {
    async fn from_the_host_alone_to_the_books(app) {
        let alice = app.person("alice").await;
        let phone = device(&alice, "phone").await;
        for method in ["PROPFIND", "GET", "HEAD", "OPTIONS", "REPORT", "PUT"] {
            let answer = phone.send(method, "/.well-known/carddav", &[("depth", "0")], b"").await.expect(301);
            assert_eq!(answer.header("location"), Some("/dav/"), "{method}");
        }
        for start in ["/", "/dav/", "/dav"] {
            let answer = phone.propfind(start, "0", "<current-user-principal/><resourcetype/>").await.expect(207);
            let items = answer.items();
            let principal = items[0].prop(200, &Name::dav("current-user-principal")).unwrap();
            assert_eq!(principal.dav("href").unwrap().text(), "/dav/principals/alice/", "{start}");
        }
        let answer = phone.propfind("/dav/principals/alice/", "0", "<C:addressbook-home-set/><displayname/><resourcetype/>").await;
        let principal = answer.expect(207).item("/dav/principals/alice/");
        let home = principal.prop(200, &Name::carddav("addressbook-home-set")).unwrap().dav("href").unwrap().text();
        assert_eq!(home, "/dav/addressbooks/alice/");
        assert!(principal.prop(200, &Name::dav("resourcetype")).unwrap().dav("principal").is_some());
        assert_eq!(principal.text(&Name::dav("displayname")).as_deref(), Some("Alice"));

        let answer = phone
            .propfind(&home, "1", "<resourcetype/><displayname/><sync-token/><CS:getctag/><C:supported-address-data/><current-user-privilege-set/><supported-report-set/>")
            .await
            .expect(207);
        for slug in ["messenger", "personal"] {
            let book = answer.item(&phone.book(slug));
            let kind = book.prop(200, &Name::dav("resourcetype")).unwrap();
            assert!(kind.dav("collection").is_some() && kind.carddav("addressbook").is_some());
            assert!(book.text(&Name::dav("sync-token")).unwrap().starts_with("data:,"));
            assert!(book.text(&Name::calendar_server("getctag")).is_some());
            let versions = book.prop(200, &Name::carddav("supported-address-data")).unwrap();
            assert_eq!(versions.elements().next().unwrap().attribute("version"), Some("3.0"));
            let privileges = book.prop(200, &Name::dav("current-user-privilege-set")).unwrap();
            assert!(privileges.elements().any(|p| p.dav("write").is_some()));
        }
        let itself = answer.item(&home);
        assert!(itself.prop(404, &Name::dav("sync-token")).is_some());
        assert!(itself.prop(200, &Name::dav("resourcetype")).unwrap().carddav("addressbook").is_none());
    }

    async fn without_a_password_there_is_a_challenge_and_nothing_else(app) {
        let alice = app.person("alice").await;
        let mut phone = device(&alice, "phone").await;
        phone.password.push('x');
        for (method, path) in [("PROPFIND", "/"), ("PROPFIND", "/dav/"), ("GET", "/dav/addressbooks/alice/personal/"), ("PUT", "/dav/addressbooks/alice/personal/a.vcf")] {
            let answer = phone.send(method, path, &[("depth", "0")], b"x").await.expect(401);
            assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"Meari\", charset=\"UTF-8\""));
        }
        let open = phone.send("OPTIONS", "/dav/", &[], b"").await.expect(200);
        let classes = open.header("dav").unwrap();
        for word in ["1", "3", "addressbook", "access-control", "extended-mkcol"] {
            assert!(classes.split(", ").any(|c| c == word), "{classes}");
        }
        assert!(!classes.split(", ").any(|c| c == "2"), "no locks are promised");
    }

    async fn nobody_reaches_or_finds_another(app) {
        let alice = app.person("alice").await;
        app.person("bob").await;
        let phone = device(&alice, "phone").await;
        for path in ["/dav/addressbooks/bob/", "/dav/addressbooks/bob/personal/", "/dav/principals/bob/", "/dav/addressbooks/nobody/", "/dav/addressbooks/bob/personal/x.vcf"] {
            phone.propfind(path, "0", "<displayname/>").await.refused(403, &Name::dav("need-privileges"));
        }
        phone.put("/dav/addressbooks/bob/personal/x.vcf", "x", &[]).await.expect(403);
        let listed = phone.propfind("/dav/principals/", "1", "<displayname/>").await.expect(207);
        assert_eq!(listed.present(), ["/dav/principals/", "/dav/principals/alice/"]);
        let search = |text: &str| format!("<property-search><prop><displayname/></prop><match>{text}</match></property-search><prop><displayname/></prop>");
        let found = phone.report("/dav/principals/", "principal-property-search", &search("bo")).await.expect(207);
        assert!(found.items().is_empty());
        let found = phone.report("/dav/principals/", "principal-property-search", &search("ALI")).await.expect(207);
        assert_eq!(found.present(), ["/dav/principals/alice/"]);
    }

    async fn odd_questions_get_plain_answers(app) {
        let phone = device(&app.person("alice").await, "phone").await;
        // Clients ask the home set of anything, and properties nobody knows.
        let answer = phone.propfind(&phone.book("personal"), "0", "<C:addressbook-home-set/><x xmlns='urn:x'/><getetag/><displayname/>").await.expect(207);
        let book = answer.item(&phone.book("personal"));
        assert!(book.prop(404, &Name::carddav("addressbook-home-set")).is_some());
        assert!(book.prop(404, &Name::read("urn:x", "x")).is_some());
        assert!(book.text(&Name::dav("displayname")).is_some());
        let body = format!("<propfind {NAMESPACES}><prop><x xmlns='urn:x'/></prop></propfind>");
        for header in [("prefer", "return=minimal"), ("brief", "t")] {
            let answer = phone.send("PROPFIND", &phone.book("personal"), &[("depth", "0"), header], body.as_bytes()).await.expect(207);
            assert!(!answer.body.contains("404"), "{}", answer.body);
        }
        let names = format!("<propfind {NAMESPACES}><propname/></propfind>");
        let answer = phone.send("PROPFIND", &phone.book("personal"), &[("depth", "0")], names.as_bytes()).await.expect(207);
        assert!(answer.item(&phone.book("personal")).prop(200, &Name::dav("sync-token")).is_some());
        phone.send("PROPFIND", &phone.home(), &[("depth", "infinity")], b"").await.refused(403, &Name::dav("propfind-finite-depth"));
        phone.send("PROPFIND", &phone.home(), &[("depth", "7")], b"").await.expect(400);
        phone.send("PROPFIND", "/dav/nowhere/", &[("depth", "0")], b"").await.expect(404);
        phone.send("PROPFIND", &phone.book("nope"), &[("depth", "0")], b"").await.expect(404);
        phone.send("PROPFIND", &format!("{}x.vcf", phone.book("personal")), &[("depth", "0")], b"").await.expect(404);
        phone.send("PROPFIND", "/dav/%2e%2e/etc", &[("depth", "0")], b"").await.expect(404);
        phone.send("PROPFIND", "/dav/", &[("depth", "0")], b"<propfind").await.expect(400);
        phone.send("LOCK", &phone.book("personal"), &[], b"").await.expect(405);
        let bomb = b"<!DOCTYPE b [<!ENTITY a 'aaaaaaaaaa'><!ENTITY c '&a;&a;&a;&a;'>]><propfind xmlns='DAV:'><prop>&c;</prop></propfind>";
        phone.send("PROPFIND", "/dav/", &[("depth", "0")], bomb).await.expect(400);
        let no_root = phone.send("PROPFIND", &phone.home(), &[("depth", "1"), ("prefer", "depth-noroot")], b"").await.expect(207);
        assert!(!no_root.present().contains(&phone.home()));
        assert_eq!(no_root.header("preference-applied"), Some("depth-noroot"));
    }

    async fn a_principal_can_be_expanded(app) {
        let alice = app.person("alice").await;
        let phone = device(&alice, "phone").await;
        let inner = "<property name='current-user-principal'><property name='displayname'/><property name='addressbook-home-set' namespace='urn:ietf:params:xml:ns:carddav'/></property><property name='nope'/>";
        let answer = phone.report("/dav/", "expand-property", inner).await.expect(207);
        let principal = answer.items()[0].prop(200, &Name::dav("current-user-principal")).unwrap();
        let inside = principal.dav("response").unwrap();
        assert_eq!(inside.dav("href").unwrap().text(), "/dav/principals/alice/");
        let prop = inside.dav("propstat").unwrap().dav("prop").unwrap();
        assert_eq!(prop.dav("displayname").unwrap().text(), "Alice");
        let set = phone.report("/dav/principals/", "principal-search-property-set", "").await.expect(200);
        assert!(set.root().is_dav("principal-search-property-set"));
        let own = phone.report("/dav/principals/", "principal-match", "<self/><prop><displayname/></prop>").await.expect(207);
        assert_eq!(own.present(), ["/dav/principals/alice/"]);
        let owned = "<principal-property><owner/></principal-property><prop><displayname/></prop>";
        let books = [phone.book("messenger"), phone.book("personal")];
        let found = phone.report(&phone.home(), "principal-match", owned).await.expect(207);
        assert_eq!(found.present(), books, "what is owned, below what was asked");
        let all = phone.report("/dav/", "principal-match", owned).await.expect(207).present();
        assert!(all.contains(&phone.home()) && books.iter().all(|book| all.contains(book)), "{all:?}");
        // What belongs to another is his, also in one's own home.
        let bob = app.person("bob").await;
        let shared = alice.post("/v1/books", serde_json::json!({ "name": "Family" })).await.expect(201);
        let members = format!("/v1/books/{}/members", shared["id"].as_str().unwrap());
        let invited = alice.post(&members, serde_json::json!({ "address": "meari:bob", "access": "write" })).await.expect(201);
        bob.post(&format!("/v1/book-invitations/{}/accept", invited["id"].as_str().unwrap()), serde_json::json!({})).await.expect(200);
        let at_bob = device(&bob, "phone").await;
        let found = at_bob.report(&at_bob.home(), "principal-match", owned).await.expect(207);
        assert_eq!(found.present(), [at_bob.book("messenger"), at_bob.book("personal")]);
        // Where no principal is none is found, unless all of them are meant.
        let search = "<property-search><prop><displayname/></prop><match>ali</match></property-search><prop><displayname/></prop>";
        for (path, inner, count) in [
            (phone.home(), search.to_owned(), 0),
            (phone.home(), format!("<apply-to-principal-collection-set/>{search}"), 1),
            ("/dav/".to_owned(), search.to_owned(), 1),
        ] {
            let found = phone.report(&path, "principal-property-search", &inner).await.expect(207);
            assert_eq!(found.present().len(), count, "{path} {inner}");
        }
        let nobody = phone.report(&phone.home(), "principal-match", "<self/><prop><displayname/></prop>").await.expect(207);
        assert!(nobody.items().is_empty());
        // Cards too, with what is kept of them; and of what is not there nothing is said.
        let path = phone.book("personal") + "1.vcf";
        phone.put(&path, &crate::support::dav::card("u", "x", ""), &[]).await.expect(201);
        let inner = "<property name='getetag'/><property name='owner'><property name='displayname'/></property>";
        let card = phone.report(&path, "expand-property", inner).await.expect(207);
        assert_eq!(card.item(&path).etag(), phone.get(&path).await.header("etag").unwrap());
        let owner = card.item(&path).prop(200, &Name::dav("owner")).unwrap();
        assert_eq!(owner.dav("response").unwrap().dav("href").unwrap().text(), "/dav/principals/alice/");
        for (name, inner) in [("expand-property", inner), ("principal-match", owned), ("principal-property-search", search)] {
            for missing in [phone.book("nope"), phone.book("personal") + "nope.vcf", phone.book("nope") + "1.vcf"] {
                phone.report(&missing, name, inner).await.expect(404);
            }
        }
        phone.report("/dav/", "version-tree", "").await.refused(403, &Name::dav("supported-report"));
    }
}
