//! Cards one by one: written exactly, refused by name, never overwritten unseen; books made and taken away.

use meari::dav::Name;

use crate::support::dav::{NAMESPACES, card, device, name_of};

fn valid() -> Name {
    Name::carddav("valid-address-data")
}

story! {
    async fn what_is_sent_comes_back_to_the_byte(app) {
        let phone = device(&app.person("alice").await, "phone").await;
        let path = format!("{}a=b@c.vcf", phone.book("personal"));
        let odd = "item1.TEL;type=CELL;type=pref:+1 202-555-0123\r\nitem1.X-ABLabel:_$!<Mobile>!$_\r\nX-UNKNOWN;a=\"b,c\":d\\,e\r\nNOTE:a very long line that a client folded in its own\r\n  way\\nand & < > more\r\n";
        let body = card("u-1", "Ann", odd);
        let created = phone.put(&path, &body, &[("if-none-match", "*")]).await.expect(201);
        let etag = created.header("etag").unwrap().to_owned();
        assert!(etag.starts_with('"'), "strong");
        let got = phone.get(&path).await.expect(200);
        assert_eq!(got.body, body);
        assert_eq!(got.header("etag"), Some(etag.as_str()));
        assert_eq!(got.header("content-type"), Some("text/vcard; charset=utf-8"));
        let encoded = format!("{}a%3Db%40c.vcf", phone.book("personal"));
        let listed = phone.propfind(&phone.book("personal"), "1", "<getetag/><getcontentlength/><getcontenttype/><resourcetype/>").await;
        let item = listed.expect(207).item(&encoded);
        assert_eq!(item.etag(), etag);
        assert_eq!(item.text(&Name::dav("getcontentlength")), Some(body.len().to_string()));
        let hrefs = format!("<prop><getetag/><C:address-data/></prop><href>{encoded}</href>");
        let data = phone.report(&phone.book("personal"), "C:addressbook-multiget", &hrefs).await.expect(207);
        assert_eq!(data.item(&encoded).card(), body);
        let head = phone.send("HEAD", &path, &[], b"").await.expect(200);
        assert_eq!(head.header("content-length"), Some(body.len().to_string().as_str()));
        assert!(head.body.is_empty());
        phone.send("GET", &path, &[("if-none-match", &etag)], b"").await.expect(304);
        let since = got.header("last-modified").unwrap().to_owned();
        phone.send("GET", &path, &[("if-modified-since", &since)], b"").await.expect(304);
        phone.send("GET", &path, &[("if-match", "\"other\"")], b"").await.expect(412);
        phone.send("GET", "/dav/addressbooks/alice/personal/", &[], b"").await.expect(200).body.find("FN:Ann").unwrap();
    }

    async fn nothing_is_overwritten_unseen(app) {
        let phone = device(&app.person("alice").await, "phone").await;
        let path = format!("{}a.vcf", phone.book("personal"));
        let first = phone.put(&path, &card("u", "One", ""), &[]).await.expect(201);
        let first = first.header("etag").unwrap().to_owned();
        phone.put(&path, &card("u", "Two", ""), &[("if-none-match", "*")]).await.expect(412);
        let second = phone.put(&path, &card("u", "Two", ""), &[("if-match", &first)]).await.expect(204);
        let second = second.header("etag").unwrap().to_owned();
        phone.put(&path, &card("u", "Three", ""), &[("if-match", &first)]).await.expect(412);
        let told = phone.put(&path, &card("u", "Three", ""), &[("if-match", &first), ("prefer", "return=representation")]).await.expect(412);
        assert!(told.body.contains("FN:Two"), "the answer shows what is there instead");
        phone.delete(&path, &[("if-match", &first)]).await.expect(412);
        phone.delete(&path, &[("if-match", &second)]).await.expect(204);
        phone.get(&path).await.expect(404);
        phone.delete(&path, &[]).await.expect(404);
        phone.put(&path, &card("u", "Two", ""), &[("if-match", "*")]).await.expect(412);
    }

    async fn a_change_may_depend_on_other_states(app) {
        let phone = device(&app.person("alice").await, "phone").await;
        let book = phone.book("personal");
        let path = format!("{book}1.vcf");
        let made = phone.put(&path, &card("u", "1", ""), &[]).await.expect(201);
        let etag = made.header("etag").unwrap().to_owned();
        let token = phone.sync(&book, "", "").await.token();
        // By the book's sync token, as RFC 6578 5 has it; by tag; negated; by one list of several.
        let good = format!("<{}{book}> (<{token}>)", app.url);
        phone.put(&path, &card("u", "2", ""), &[("if", &good)]).await.expect(204);
        phone.put(&path, &card("u", "3", ""), &[("if", &good)]).await.expect(412);
        phone.delete(&path, &[("if", &good)]).await.expect(412);
        phone.put(&path, &card("u", "3", ""), &[("if", &format!("([{etag}])"))]).await.expect(412);
        let now = phone.get(&path).await.header("etag").unwrap().to_owned();
        phone.put(&path, &card("u", "3", ""), &[("if", &format!("([{etag}]) ([{now}])"))]).await.expect(204);
        phone.put(&path, &card("u", "4", ""), &[("if", "(Not <DAV:no-lock>)")]).await.expect(204);
        phone.put(&path, &card("u", "5", ""), &[("if", "(<DAV:no-lock>)")]).await.expect(412);
        phone.put(&path, &card("u", "5", ""), &[("if", "nonsense")]).await.expect(400);
        phone.send("MOVE", &path, &[("destination", &format!("{book}2.vcf")), ("if", &good)], b"").await.expect(412);
        phone.send("PROPFIND", &book, &[("depth", "0"), ("if", "(<urn:x>)")], b"").await.expect(412);
        assert_eq!(phone.get(&path).await.expect(200).body, card("u", "4", ""));
        let before = [("if-unmodified-since", "Thu, 15 Jan 2015 12:00:00 GMT")];
        phone.put(&path, &card("u", "5", ""), &before).await.expect(412);
        phone.delete(&path, &before).await.expect(412);
        let after = [("if-unmodified-since", "Fri, 15 Jan 2027 12:00:00 GMT")];
        phone.delete(&path, &after).await.expect(204);
        // What has no parent cannot come to be.
        for method in ["PUT", "MKCOL"] {
            phone.send(method, &format!("{book}no/parent.vcf"), &[], b"").await.expect(409);
        }
        let family = phone.book("family");
        phone.send("MKCOL", &family, &[], b"").await.expect(201);
        phone.send("DELETE", &family, &[("depth", "1")], b"").await.expect(400);
        phone.send("DELETE", &family, &[("if-match", "\"x\"")], b"").await.expect(412);
        phone.send("DELETE", &family, &[("depth", "infinity"), ("if-match", "*")], b"").await.expect(204);
    }

    async fn what_is_replaced_leaves_nothing_behind(app) {
        let phone = device(&app.person("alice").await, "phone").await;
        let book = phone.book("personal");
        let (from, to) = (format!("{book}from.vcf"), format!("{}to.vcf", phone.book("work")));
        phone.send("MKCOL", &phone.book("work"), &[], b"").await.expect(201);
        phone.put(&from, &card("u", "1", ""), &[]).await.expect(201);
        let set = async |path: &str, names: std::ops::Range<usize>| {
            let all: String = names.map(|n| format!("<p{n} xmlns='urn:x'>{n}</p{n}>")).collect();
            let body = format!("<propertyupdate {NAMESPACES}><set><prop>{all}</prop></set></propertyupdate>");
            assert!(phone.send("PROPPATCH", path, &[], body.as_bytes()).await.expect(207).item(path).has_status(200));
        };
        set(&from, 0..40).await;
        for method in ["COPY", "MOVE"] {
            phone.put(&to, &card("u", "2", ""), &[]).await;
            set(&to, 30..95).await;
            phone.send(method, &from, &[("destination", &to)], b"").await.expect(204);
            let asked = phone.propfind(&to, "0", "<p0 xmlns='urn:x'/><p39 xmlns='urn:x'/><p40 xmlns='urn:x'/><p94 xmlns='urn:x'/>").await.expect(207);
            let p = |n: usize| asked.item(&to).prop(200, &Name::from_clark(&format!("{{urn:x}}p{n}")).unwrap()).map(|e| e.text());
            assert_eq!([p(0), p(39), p(40), p(94)], [Some("0".into()), Some("39".into()), None, None], "{method}");
            let listed = phone.propfind(&phone.book("work"), "1", "<p7 xmlns='urn:x'/>").await.expect(207);
            assert_eq!(listed.item(&to).prop(200, &Name::from_clark("{urn:x}p7").unwrap()).unwrap().text(), "7");
        }
        // The whole name of the server counts, and not how it ends.
        phone.put(&from, &card("v", "1", ""), &[]).await.expect(201);
        let host = app.url.trim_start_matches("http://");
        let copy = phone.book("work") + "copy.vcf";
        for (authority, status) in [(host, 201), (&host[3..], 502), ("1", 502), ("elsewhere.example", 502)] {
            let destination = format!("http://{authority}{copy}");
            phone.delete(&copy, &[]).await;
            phone.send("COPY", &from, &[("destination", &destination)], b"").await.expect(status);
        }
    }

    async fn every_method_keeps_to_entity_tags(app) {
        let phone = device(&app.person("alice").await, "phone").await;
        let book = phone.book("personal");
        let path = format!("{book}1.vcf");
        let made = phone.put(&path, &card("u", "1", ""), &[]).await.expect(201);
        let etag = made.header("etag").unwrap().to_owned();
        let set = format!("<propertyupdate {NAMESPACES}><set><prop><q xmlns='urn:x'>1</q></prop></set></propertyupdate>");
        for (header, value, status) in [
            ("if-match", "\"other\"", 412),
            ("if-none-match", etag.as_str(), 412),
            ("if-none-match", "*", 412),
            ("if-match", etag.as_str(), 207),
            ("if-none-match", "\"other\"", 207),
        ] {
            phone.send("PROPPATCH", &path, &[(header, value)], set.as_bytes()).await.expect(status);
        }
        phone.send("PROPPATCH", &book, &[("if-none-match", "*")], set.as_bytes()).await.expect(412);
        phone.send("PROPPATCH", &book, &[("if-match", "\"x\"")], set.as_bytes()).await.expect(412);
        phone.send("PROPPATCH", &book, &[("if-match", "*")], set.as_bytes()).await.expect(207);
        let new = phone.book("new");
        phone.send("MKCOL", &new, &[("if-match", "*")], b"").await.expect(412);
        phone.send("MKCOL", &new, &[("if-none-match", "*")], b"").await.expect(201);
        phone.send("DELETE", &new, &[("if-none-match", "*")], b"").await.expect(412);
        phone.send("DELETE", &new, &[("if-match", "*")], b"").await.expect(204);

        // Reading: what must be so before what is known, tags before times (RFC 9110 13.2.2).
        let changed = phone.get(&path).await.header("last-modified").unwrap().to_owned();
        let (before, after) = ("Thu, 15 Jan 2015 12:00:00 GMT", "Thu, 15 Jan 2093 12:00:00 GMT");
        for (headers, status) in [
            (vec![("if-match", "\"other\""), ("if-none-match", etag.as_str())], 412),
            (vec![("if-match", etag.as_str()), ("if-none-match", etag.as_str())], 304),
            (vec![("if-unmodified-since", before)], 412),
            (vec![("if-unmodified-since", before), ("if-none-match", etag.as_str())], 412),
            (vec![("if-unmodified-since", before), ("if-match", etag.as_str())], 200),
            (vec![("if-unmodified-since", changed.as_str())], 200),
            (vec![("if-modified-since", after)], 304),
            (vec![("if-modified-since", changed.as_str())], 304),
            (vec![("if-modified-since", before)], 200),
            (vec![("if-modified-since", after), ("if-none-match", "\"other\"")], 200),
            (vec![("if-modified-since", "yesterday")], 200),
        ] {
            let answer = phone.send("GET", &path, &headers, b"").await;
            assert_eq!(answer.status, status, "{headers:?}");
        }
    }

    async fn what_cannot_be_kept_is_refused_by_name(app) {
        let phone = device(&app.person("alice").await, "phone").await;
        let book = phone.book("personal");
        let path = format!("{book}a.vcf");
        for bad in [
            "",
            "no card",
            &card("u", "x", "NOTE:a\u{1}b\r\n"),
            &card("u", "x", "").replace("UID:u\r\n", ""),
            &card("u", "x", "").replace("FN:x\r\n", ""),
            &(card("u", "x", "") + &card("v", "y", "")),
        ] {
            phone.put(&path, bad, &[]).await.refused(403, &valid());
        }
        phone.send("PUT", &path, &[("content-type", "text/vcard")], b"BEGIN:VCARD\r\nVERSION:3.0\r\nUID:a\r\nFN:\xff\r\nEND:VCARD\r\n").await.refused(403, &valid());
        let supported = Name::carddav("supported-address-data");
        phone.put(&path, &card("u", "x", "").replace("3.0", "2.1"), &[]).await.refused(403, &supported);
        phone.send("PUT", &path, &[("content-type", "text/calendar")], card("u", "x", "").as_bytes()).await.refused(403, &supported);
        let large = card("u", "x", &format!("NOTE:{}\r\n", "x".repeat(2 * 1024 * 1024)));
        phone.put(&path, &large, &[]).await.refused(403, &Name::carddav("max-resource-size"));
        phone.get(&path).await.expect(404);
        phone.put(&format!("{}nope/a.vcf", phone.home()), &card("u", "x", ""), &[]).await.expect(409);
        phone.put(&book, &card("u", "x", ""), &[]).await.expect(405);
        phone.put(&format!("{book}{}.vcf", "n".repeat(300)), &card("u", "x", ""), &[]).await.expect(403);

        phone.put(&path, &card("u", "x", ""), &[]).await.expect(201);
        let taken = phone.put(&format!("{book}b.vcf"), &card("u", "y", ""), &[]).await.refused(403, &Name::carddav("no-uid-conflict"));
        assert_eq!(taken.root().carddav("no-uid-conflict").unwrap().dav("href").unwrap().text(), path);
        phone.put(&path, &card("other", "x", ""), &[]).await.refused(403, &Name::carddav("no-uid-conflict"));
        let uuid = "4fbe8971-0bc3-424c-9c26-36c3e1eff6b1";
        phone.put(&format!("{book}c.vcf"), &card(uuid, "x", ""), &[]).await.expect(201);
        phone.put(&format!("{book}c.vcf"), &card(&format!("urn:uuid:{uuid}"), "x", ""), &[]).await.expect(204);
    }

    async fn the_server_may_choose_the_name(app) {
        let phone = device(&app.person("alice").await, "phone").await;
        let answer = phone.propfind(&phone.book("personal"), "0", "<add-member/>").await.expect(207);
        let add = answer.items()[0].prop(200, &Name::dav("add-member")).unwrap().dav("href").unwrap().text();
        let made = phone.send("POST", &add, &[("content-type", "text/vcard")], card("u", "New", "").as_bytes()).await.expect(201);
        let (location, etag) = (made.header("location").unwrap().to_owned(), made.header("etag").unwrap().to_owned());
        assert_eq!(phone.get(&location).await.expect(200).header("etag"), Some(etag.as_str()));
        phone.send("POST", &add, &[], card("u", "Again", "").as_bytes()).await.refused(403, &Name::carddav("no-uid-conflict"));
        phone.send("POST", &phone.book("personal"), &[], b"").await.expect(405);
    }

    async fn books_are_made_and_taken_away(app) {
        let phone = device(&app.person("alice").await, "phone").await;
        let path = phone.book("work");
        let body = format!("<mkcol {NAMESPACES}><set><prop><resourcetype><collection/><C:addressbook/></resourcetype><displayname>Work</displayname><C:addressbook-description>d</C:addressbook-description><color xmlns='urn:x'>red</color></prop></set></mkcol>");
        phone.send("MKCOL", &path, &[], body.as_bytes()).await.expect(201);
        phone.send("MKCOL", &path, &[], body.as_bytes()).await.expect(405);
        let props = "<displayname/><C:addressbook-description/><color xmlns='urn:x'/><resourcetype/><sync-token/>";
        let book = phone.propfind(&path, "0", props).await.expect(207).item(&path);
        assert_eq!(book.text(&Name::dav("displayname")).as_deref(), Some("Work"));
        assert_eq!(book.text(&Name::carddav("addressbook-description")).as_deref(), Some("d"));
        assert_eq!(book.text(&Name::read("urn:x", "color")).as_deref(), Some("red"));
        let token = book.text(&Name::dav("sync-token")).unwrap();
        phone.put(&format!("{path}a.vcf"), &card("u", "x", ""), &[]).await.expect(201);
        phone.send("MKCOL", &format!("{path}inner/"), &[], b"").await.refused(403, &Name::carddav("addressbook-collection-location-ok"));
        phone.send("MKCOL", &format!("{path}a.vcf"), &[], b"").await.expect(405);
        phone.send("MKCOL", &format!("{}no/inner/", phone.home()), &[], b"").await.expect(409);
        phone.send("MKCOL", &phone.book("odd"), &[], b"nonsense").await.expect(415);
        let calendar = format!("<mkcol {NAMESPACES}><set><prop><resourcetype><collection/><calendar xmlns='urn:ietf:params:xml:ns:caldav'/></resourcetype></prop></set></mkcol>");
        let refused = phone.send("MKCOL", &phone.book("odd"), &[], calendar.as_bytes()).await.expect(403);
        assert!(refused.body.contains("valid-resourcetype") && refused.root().is_dav("mkcol-response"), "{}", refused.body);
        phone.delete(&path, &[]).await.expect(204);
        phone.propfind(&path, "0", "<displayname/>").await.expect(404);
        phone.get(&format!("{path}a.vcf")).await.expect(404);
        // Made anew it is another book: what was known of the old one is worth nothing.
        phone.send("MKCOL", &path, &[], b"").await.expect(201);
        phone.sync(&path, &token, "").await.refused(403, &Name::dav("valid-sync-token"));
        for kept in ["messenger", "personal"] {
            phone.delete(&phone.book(kept), &[]).await.expect(403);
        }
        phone.delete(&phone.home(), &[]).await.expect(403);
    }

    async fn properties_change_all_or_none(app) {
        let phone = device(&app.person("alice").await, "phone").await;
        let book = phone.book("personal");
        let patch = |inner: &str| format!("<propertyupdate {NAMESPACES}>{inner}</propertyupdate>");
        let set = patch("<set><prop><displayname>Mine</displayname><x:a xmlns:x='urn:x' q='1'><x:b>1 &amp; 2</x:b></x:a></prop></set>");
        let done = phone.send("PROPPATCH", &book, &[], set.as_bytes()).await.expect(207);
        assert!(done.items()[0].prop(200, &Name::dav("displayname")).is_some());
        let both = patch("<set><prop><displayname>Other</displayname></prop></set><set><prop><resourcetype><collection/></resourcetype></prop></set>");
        let refused = phone.send("PROPPATCH", &book, &[], both.as_bytes()).await.expect(207);
        assert!(refused.items()[0].prop(403, &Name::dav("resourcetype")).is_some());
        assert!(refused.items()[0].prop(424, &Name::dav("displayname")).is_some());
        assert!(refused.body.contains("cannot-modify-protected-property"));
        let now = phone.propfind(&book, "0", "<displayname/><a xmlns='urn:x'/><resourcetype/>").await.expect(207).item(&book);
        assert_eq!(now.text(&Name::dav("displayname")).as_deref(), Some("Mine"));
        assert!(now.prop(200, &Name::dav("resourcetype")).unwrap().carddav("addressbook").is_some());
        let kept = now.prop(200, &Name::read("urn:x", "a")).unwrap();
        assert_eq!((kept.elements().next().unwrap().text().as_str(), kept.attribute("q")), ("1 & 2", Some("1")));
        let gone = patch("<remove><prop><a xmlns='urn:x'/><never xmlns='urn:x'/></prop></remove>");
        phone.send("PROPPATCH", &book, &[("prefer", "return=minimal")], gone.as_bytes()).await.expect(200);
        let now = phone.propfind(&book, "0", "<a xmlns='urn:x'/>").await.expect(207);
        assert!(now.items()[0].prop(404, &Name::read("urn:x", "a")).is_some());
        let path = format!("{book}a.vcf");
        phone.put(&path, &card("u", "x", ""), &[]).await.expect(201);
        let own = patch("<set><prop><mark xmlns='urn:x'>v</mark></prop></set>");
        phone.send("PROPPATCH", &path, &[], own.as_bytes()).await.expect(207);
        let listed = phone.propfind(&book, "1", "<mark xmlns='urn:x'/>").await.expect(207);
        assert_eq!(listed.item(&path).text(&Name::read("urn:x", "mark")).as_deref(), Some("v"));
        phone.send("PROPPATCH", &phone.home(), &[], own.as_bytes()).await.expect(207).body.find("403").unwrap();
    }

    async fn cards_are_copied_and_moved(app) {
        let phone = device(&app.person("alice").await, "phone").await;
        phone.send("MKCOL", &phone.book("work"), &[], b"").await.expect(201);
        let (here, there) = (format!("{}a.vcf", phone.book("personal")), format!("{}b.vcf", phone.book("work")));
        let url = |path: &str| format!("{}{path}", phone.base);
        phone.put(&here, &card("u", "x", ""), &[]).await.expect(201);
        phone.send("COPY", &here, &[("destination", &url(&there))], b"").await.expect(201);
        phone.send("COPY", &here, &[("destination", &there), ("overwrite", "F")], b"").await.expect(412);
        phone.send("COPY", &here, &[("destination", &there)], b"").await.expect(204);
        assert_eq!(phone.get(&there).await.body, phone.get(&here).await.body);
        let beside = format!("{}c.vcf", phone.book("personal"));
        phone.send("COPY", &here, &[("destination", &beside)], b"").await.refused(403, &Name::carddav("no-uid-conflict"));
        let token = phone.sync(&phone.book("personal"), "", "").await.expect(207).token();
        phone.send("MOVE", &here, &[("destination", &beside)], b"").await.expect(201);
        let delta = phone.sync(&phone.book("personal"), &token, "").await.expect(207);
        assert_eq!((delta.present(), delta.gone()), (vec![beside.clone()], vec![here.clone()]));
        phone.get(&here).await.expect(404);
        phone.send("MOVE", &beside, &[("destination", &there)], b"").await.expect(204);
        phone.get(&beside).await.expect(404);
        phone.send("MOVE", &there, &[("destination", "http://elsewhere.example.org/a")], b"").await.expect(502);
        phone.send("MOVE", &there, &[("destination", "/dav/addressbooks/bob/personal/a.vcf")], b"").await.expect(403);
        phone.send("MOVE", &there, &[("destination", &format!("{}nope/a.vcf", phone.home()))], b"").await.expect(409);
        phone.send("COPY", &there, &[("destination", &there)], b"").await.expect(403);
        phone.send("COPY", &there, &[], b"").await.expect(400);
        assert_eq!(name_of(&there), "b.vcf");
    }

    async fn the_version_is_what_was_asked_for(app) {
        let phone = device(&app.person("alice").await, "phone").await;
        let path = format!("{}a.vcf", phone.book("personal"));
        let four = "BEGIN:VCARD\r\nVERSION:4.0\r\nUID:u\r\nFN:Ann\r\nN:Ann;;;;\r\nBDAY:--0415\r\nTEL;VALUE=uri;TYPE=cell:tel:+1-202-555-0123\r\nEND:VCARD\r\n";
        phone.put(&path, four, &[]).await.expect(201);
        assert_eq!(phone.get(&path).await.body, four);
        let three = phone.send("GET", &path, &[("accept", "text/vcard;version=3.0")], b"").await.expect(200).body;
        assert!(three.contains("VERSION:3.0") && three.contains("BDAY;X-APPLE-OMIT-YEAR=1604:1604-04-15"), "{three}");
        phone.send("GET", &path, &[("accept", "text/vcard;version=2.1")], b"").await.expect(406);
        // Each text has a tag of its own, and either will do to change the card that was read.
        let get = async |accept: &str, known: &str| phone.send("GET", &path, &[("accept", accept), ("if-none-match", known)], b"").await;
        let tags: Vec<String> = [get("*/*", "").await, get("text/vcard;version=3.0;q=0.9, text/vcard;version=4.0;q=0.1", "").await]
            .map(|answer| answer.header("etag").unwrap().to_owned())
            .into();
        assert_ne!(tags[0], tags[1]);
        for (accept, own, other) in [("text/vcard;version=4.0", &tags[0], &tags[1]), ("text/vcard;version=3.0", &tags[1], &tags[0])] {
            let fresh = get(accept, other).await.expect(200);
            assert_eq!(fresh.header("etag"), Some(own.as_str()), "{accept}");
            get(accept, own).await.expect(304);
        }
        let written = phone.put(&path, &four.replace("FN:Ann", "FN:Anna"), &[("if-match", &tags[1])]).await.expect(204);
        phone.put(&path, four, &[("if-match", &tags[1])]).await.expect(412);
        let list = format!("([{}])", written.header("etag").unwrap().replace("\"]", ".v3\"]"));
        phone.put(&path, four, &[("if", &list)]).await.expect(204);
        for (attributes, want) in [("", "VERSION:3.0"), ("content-type='text/vcard' version='4.0'", "VERSION:4.0"), ("version='3.0'", "VERSION:3.0")] {
            let inner = format!("<prop><C:address-data {attributes}/></prop><href>{path}</href>");
            let answer = phone.report(&phone.book("personal"), "C:addressbook-multiget", &inner).await.expect(207);
            assert!(answer.item(&path).card().contains(want), "{attributes}");
        }
        let inner = format!("<prop><C:address-data version='2.1'/></prop><href>{path}</href>");
        phone.report(&phone.book("personal"), "C:addressbook-multiget", &inner).await.refused(403, &Name::carddav("supported-address-data"));
    }
}
