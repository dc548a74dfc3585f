//! What the specifications demand in so many words, one demand after the other.

use meari::dav::{Element, Name};

use crate::support::dav::{Device, NAMESPACES, card, device};

/// A report with a Depth of one's own, or none.
async fn ask(
    phone: &Device,
    path: &str,
    root: &str,
    inner: &str,
    depth: Option<&str>,
) -> crate::support::dav::DavAnswer {
    let body = format!("<{root} {NAMESPACES}>{inner}</{root}>");
    let headers: Vec<(&str, &str)> = depth.map(|d| ("depth", d)).into_iter().collect();
    phone.send("REPORT", path, &headers, body.as_bytes()).await
}

story! {
    async fn reports_about_principals_are_defined_for_depth_0_only(app) {
        // RFC 3744 9.2 to 9.5: other values of Depth result in 400, and none means 0.
        let phone = device(&app.person("alice").await, "phone").await;
        let search = "<property-search><prop><displayname/></prop><match>a</match></property-search>";
        for (root, inner) in [
            ("acl-principal-prop-set", "<prop><displayname/></prop>"),
            ("principal-match", "<self/>"),
            ("principal-property-search", search),
            ("principal-search-property-set", ""),
        ] {
            for depth in ["1", "infinity"] {
                ask(&phone, "/dav/principals/", root, inner, Some(depth)).await.expect(400);
            }
            for depth in [Some("0"), None] {
                let status = ask(&phone, "/dav/principals/", root, inner, depth).await.status;
                assert!(matches!(status, 200 | 207), "{root} {depth:?} {status}");
            }
        }
        // 9.5: on what holds principals.
        ask(&phone, &phone.home(), "principal-search-property-set", "", None).await.refused(403, &Name::dav("supported-report"));
    }

    async fn whoever_an_acl_names_is_told_of_once(app) {
        // RFC 3744 9.2: a response for each principal in the acl of the resource.
        let alice = app.person("alice").await;
        let bob = app.person("bob").await;
        let shared = alice.post("/v1/books", serde_json::json!({ "name": "Family" })).await.expect(201);
        let members = format!("/v1/books/{}/members", shared["id"].as_str().unwrap());
        let invited = alice.post(&members, serde_json::json!({ "address": "meari:bob", "access": "write" })).await.expect(201);
        bob.post(&format!("/v1/book-invitations/{}/accept", invited["id"].as_str().unwrap()), serde_json::json!({})).await.expect(200);
        let phone = device(&alice, "phone").await;
        let listed = phone.propfind(&phone.home(), "1", "<displayname/>").await.expect(207);
        let family = listed.items().into_iter().find(|i| i.text(&Name::dav("displayname")).as_deref() == Some("Family")).unwrap().href;
        let named = ask(&phone, &family, "acl-principal-prop-set", "<prop><displayname/></prop>", None).await.expect(207);
        assert_eq!(named.item("/dav/principals/alice/").text(&Name::dav("displayname")).as_deref(), Some("Alice"));
        assert_eq!(named.item("/dav/principals/bob/").status, Some(403), "{}", named.body);
        assert_eq!(named.items().len(), 2);
    }

    async fn every_resource_has_the_properties_of_access_control(app) {
        let phone = device(&app.person("alice").await, "phone").await;
        let path = phone.book("personal") + "a.vcf";
        phone.put(&path, &card("u", "x", ""), &[]).await.expect(201);
        let names = ["owner", "group", "supported-privilege-set", "current-user-privilege-set", "acl", "acl-restrictions", "inherited-acl-set", "principal-collection-set"];
        let props: String = names.iter().map(|n| format!("<{n}/>")).collect();
        for place in ["/dav/", "/dav/principals/", "/dav/principals/alice/", &phone.home(), &phone.book("messenger"), &phone.book("personal"), &path] {
            // RFC 3744 5: resources must have all of these.
            let item = phone.propfind(place, "0", &props).await.expect(207).item(place);
            let of = |name: &'static str| item.prop(200, &Name::dav(name)).unwrap_or_else(|| panic!("{place} {name}"));
            for name in names {
                of(name);
            }
            // 5.3: each privilege is described in a language that is named; 5.4, 5.5: what is granted is not abstract.
            let mut grantable = Vec::new();
            let mut open: Vec<Element> = of("supported-privilege-set").elements().cloned().collect();
            while let Some(privilege) = open.pop() {
                let description = privilege.dav("description").unwrap();
                assert!(description.attributes.iter().any(|(n, v)| n.local == "lang" && v == "en"), "{place}");
                if privilege.dav("abstract").is_none() {
                    grantable.extend(privilege.dav("privilege").unwrap().names().cloned());
                }
                open.extend(privilege.elements().filter(|e| e.is_dav("supported-privilege")).cloned());
            }
            let granted: Vec<Name> = of("current-user-privilege-set").elements().flat_map(|p| p.names().cloned().collect::<Vec<_>>()).collect();
            assert!(!granted.is_empty() && granted.iter().all(|p| grantable.contains(p)), "{place} {granted:?} {grantable:?}");
        }
    }

    async fn a_query_of_a_book_that_names_no_depth_is_of_its_cards(app) {
        // RFC 6352 8.6 demands a Depth; with 0 it is the book alone, and holds no card.
        let phone = device(&app.person("alice").await, "phone").await;
        let book = phone.book("personal");
        phone.put(&(book.clone() + "a.vcf"), &card("u", "x", ""), &[]).await.expect(201);
        for (depth, count) in [(Some("0"), 0), (None, 1), (Some("1"), 1), (Some("infinity"), 1)] {
            let found = ask(&phone, &book, "C:addressbook-query", "<prop><getetag/></prop><C:filter/>", depth).await.expect(207);
            assert_eq!(found.items().len(), count, "{depth:?}");
        }
        // 8.3.1: what can be asked so says which collations there are.
        for place in [phone.home(), book.clone(), book.clone() + "a.vcf"] {
            let item = phone.propfind(&place, "0", "<C:supported-collation-set/>").await.expect(207).item(&place);
            let set = item.prop(200, &Name::carddav("supported-collation-set")).unwrap();
            let known: Vec<String> = set.elements().map(Element::text).collect();
            assert!(["i;ascii-casemap", "i;unicode-casemap"].iter().all(|c| known.iter().any(|k| k == c)), "{known:?}");
        }
    }

    async fn a_multiget_that_names_nothing_is_of_the_card_itself(app) {
        // RFC 6352 8.7.
        let phone = device(&app.person("alice").await, "phone").await;
        let path = phone.book("personal") + "a.vcf";
        phone.put(&path, &card("u", "x", ""), &[]).await.expect(201);
        let cards = "<prop><C:address-data/></prop>";
        let itself = ask(&phone, &path, "C:addressbook-multiget", cards, Some("0")).await.expect(207);
        assert_eq!(itself.item(&path).card(), card("u", "x", ""));
        ask(&phone, &phone.book("personal"), "C:addressbook-multiget", cards, Some("0")).await.expect(400);
        let odd = "<prop><C:address-data version='2.1'/></prop>";
        ask(&phone, &phone.book("personal"), "C:addressbook-multiget", odd, None).await.refused(403, &Name::carddav("supported-address-data"));
    }

    async fn a_refusal_holds_preconditions_and_nothing_else(app) {
        // RFC 4918 16: the elements of a DAV:error are the conditions that do not hold.
        let phone = device(&app.person("alice").await, "phone").await;
        let refused = phone.put(&(phone.book("personal") + "a.vcf"), "no card", &[]).await.expect(403);
        let names: Vec<Name> = refused.root().names().cloned().collect();
        assert_eq!(names, [Name::carddav("valid-address-data")]);
        assert!(refused.body.contains("<!-- "), "people read why: {}", refused.body);
        // 9.1: what holds others is not listed to any depth.
        for place in ["/", "/dav/", &phone.home(), &phone.book("personal")] {
            phone.send("PROPFIND", place, &[("depth", "infinity")], b"").await.refused(403, &Name::dav("propfind-finite-depth"));
        }
    }

    async fn a_limit_cuts_the_same_cards_each_time(app) {
        // RFC 6352 8.6.1, 8.6.2.
        let phone = device(&app.person("alice").await, "phone").await;
        let book = phone.book("personal");
        for name in ["c", "a", "d", "b"] {
            phone.put(&format!("{book}{name}.vcf"), &card(name, "x", ""), &[]).await.expect(201);
        }
        phone.put(&format!("{book}a.vcf"), &card("a", "y", ""), &[]).await.expect(204);
        let limited = "<prop><getetag/></prop><C:filter/><C:limit><C:nresults>2</C:nresults></C:limit>";
        let found = ask(&phone, &book, "C:addressbook-query", limited, Some("1")).await.expect(207);
        assert_eq!(found.present(), [format!("{book}a.vcf"), format!("{book}b.vcf")]);
        assert_eq!(found.item(&book).status, Some(507));
    }

    async fn who_may_do_what_is_not_for_clients_to_change(app) {
        // RFC 3744 7.1.1, 8.1: without write-acl the answer to ACL names it.
        let phone = device(&app.person("alice").await, "phone").await;
        let body = format!("<acl {NAMESPACES}><ace><principal><all/></principal><grant><privilege><read/></privilege></grant></ace></acl>");
        for place in [phone.home(), phone.book("personal")] {
            let refused = phone.send("ACL", &place, &[], body.as_bytes()).await.refused(403, &Name::dav("need-privileges"));
            let lacking = refused.root().dav("need-privileges").unwrap().dav("resource").unwrap().clone();
            assert_eq!(lacking.dav("href").unwrap().text(), place);
            assert!(lacking.dav("privilege").unwrap().dav("write-acl").is_some());
            let allowed = phone.send("OPTIONS", &place, &[], b"").await;
            assert!(allowed.header("allow").unwrap().split(", ").any(|m| m == "ACL"));
        }
        phone.send("ACL", &phone.book("nope"), &[], body.as_bytes()).await.expect(404);
        phone.send("ACL", &phone.home(), &[], b"<acl").await.expect(400);
    }

    async fn the_language_of_a_name_is_kept(app) {
        // RFC 4918 4.3: xml:lang must be stored with the property and come back with it; the nearest one counts.
        let alice = app.person("alice").await;
        let phone = device(&alice, "phone").await;
        let path = phone.book("work");
        let body = format!("<mkcol {NAMESPACES}><set xml:lang='fr'><prop><resourcetype><collection/><C:addressbook/></resourcetype><displayname>Travail</displayname><C:addressbook-description xml:lang='de'>Arbeit &amp; \"mehr\"</C:addressbook-description></prop></set></mkcol>");
        phone.send("MKCOL", &path, &[], body.as_bytes()).await.expect(201);
        let props = "<displayname/><C:addressbook-description/><color xmlns='urn:x'/>";
        let look = async || phone.propfind(&path, "0", props).await.expect(207).item(&path);
        let of = |item: &crate::support::dav::Item, name: &Name| {
            let element = item.prop(200, name).unwrap();
            (element.text(), element.language().map(str::to_owned))
        };
        let (name, description) = (Name::dav("displayname"), Name::carddav("addressbook-description"));
        let made = look().await;
        assert_eq!(of(&made, &name), ("Travail".to_owned(), Some("fr".to_owned())));
        assert_eq!(of(&made, &description), ("Arbeit & \"mehr\"".to_owned(), Some("de".to_owned())));
        // It does not make the description one of all properties (RFC 6352 6.2.1), nor name anything twice.
        let all = phone.send("PROPFIND", &path, &[("depth", "0")], b"").await.expect(207);
        assert!(!all.body.contains("addressbook-description"), "{}", all.body);
        let names = format!("<propfind {NAMESPACES}><propname/></propfind>");
        let names = phone.send("PROPFIND", &path, &[("depth", "0")], names.as_bytes()).await.expect(207);
        assert_eq!(names.body.matches("displayname").count(), 1, "{}", names.body);
        let patch = format!("<propertyupdate {NAMESPACES} xml:lang='en'><set><prop><displayname>Work</displayname><color xmlns='urn:x'>red</color></prop></set></propertyupdate>");
        phone.send("PROPPATCH", &path, &[], patch.as_bytes()).await.expect(207);
        let changed = look().await;
        assert_eq!(of(&changed, &name), ("Work".to_owned(), Some("en".to_owned())));
        assert_eq!(of(&changed, &Name::read("urn:x", "color")), ("red".to_owned(), Some("en".to_owned())));
        assert_eq!(of(&changed, &description).1.as_deref(), Some("de"));
        let patch = patch.replace(" xml:lang='en'", "").replace("Work", "Job");
        phone.send("PROPPATCH", &path, &[], patch.as_bytes()).await.expect(207);
        assert_eq!(of(&look().await, &name), ("Job".to_owned(), None));
    }

    async fn whatever_is_protected_is_named(app) {
        // RFC 4918 9.2: what failed by itself, and what only failed with it.
        let phone = device(&app.person("alice").await, "phone").await;
        let book = phone.book("personal");
        let patch = |inner: &str| format!("<propertyupdate {NAMESPACES}>{inner}</propertyupdate>");
        let body = patch("<set><prop><color xmlns='urn:x'>red</color><getetag>1</getetag><sync-token>2</sync-token></prop></set>");
        let refused = phone.send("PROPPATCH", &book, &[], body.as_bytes()).await.expect(207).item(&book);
        for name in ["getetag", "sync-token"] {
            assert!(refused.prop(403, &Name::dav(name)).is_some(), "{name}");
        }
        assert!(refused.prop(424, &Name::read("urn:x", "color")).is_some());
        let body = format!("<mkcol {NAMESPACES}><set><prop><resourcetype><collection/><C:addressbook/></resourcetype><displayname>x</displayname><getetag>1</getetag><acl/></prop></set></mkcol>");
        let refused = phone.send("MKCOL", &phone.book("work"), &[], body.as_bytes()).await.expect(403);
        let stats: Vec<(String, usize)> = refused.root().elements().map(|p| (p.dav("status").unwrap().text(), p.dav("prop").unwrap().elements().count())).collect();
        assert!(stats[0].0.contains("403") && stats[0].1 == 2 && stats[1].0.contains("424"), "{stats:?}");
        // A name that was taken away is not there.
        let gone = patch("<remove><prop><displayname/></prop></remove>");
        phone.send("PROPPATCH", &book, &[], gone.as_bytes()).await.expect(207);
        let now = phone.propfind(&book, "0", "<displayname/>").await.expect(207).item(&book);
        assert!(now.prop(404, &Name::dav("displayname")).is_some());
    }

    async fn what_is_asked_must_be_there_and_readable(app) {
        let phone = device(&app.person("alice").await, "phone").await;
        let book = phone.book("personal");
        let path = book.clone() + "a.vcf";
        let query = "<prop><getetag/></prop><C:filter/>";
        ask(&phone, &path, "C:addressbook-query", query, Some("0")).await.expect(404);
        // RFC 9110 15.5.16: nothing is taken for what it is not.
        let packed = phone.put(&path, &card("u", "x", ""), &[("content-encoding", "gzip")]).await.expect(415);
        assert_eq!(packed.header("accept-encoding"), Some("identity"));
        phone.get(&path).await.expect(404);
        phone.put(&path, &card("u", "x", ""), &[("content-encoding", "identity")]).await.expect(201);
        assert_eq!(ask(&phone, &path, "C:addressbook-query", query, Some("0")).await.expect(207).present(), [path.as_str()]);
        // RFC 6352 10.6.1: any unsigned number.
        let many = format!("{query}<C:limit><C:nresults>99999999999999999999999</C:nresults></C:limit>");
        assert_eq!(ask(&phone, &book, "C:addressbook-query", &many, Some("1")).await.expect(207).present().len(), 1);
        // RFC 5995 3.2: where the new card is, also when all of it is sent back.
        let add = format!("{book}?add-member");
        let made = phone.send("POST", &add, &[("prefer", "return=representation")], card("v", "y", "").as_bytes()).await.expect(201);
        assert_eq!(phone.get(made.header("location").unwrap()).await.expect(200).body, made.body);
    }
}
