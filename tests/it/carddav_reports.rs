//! Asking for cards by what is in them, and for many at once.

use std::io::Read as _;

use meari::dav::Name;

use crate::support::dav::{Device, NAMESPACES, card, device};

async fn fill(phone: &Device) -> String {
    let book = phone.book("personal");
    let cards = [
        ("ann", "Ann Ångström", "EMAIL;TYPE=INTERNET:ann@example.org\r\nTEL;TYPE=HOME:+12025550101\r\n"),
        ("ben", "Ben", "item1.EMAIL:ben@example.org\r\nitem1.X-ABLabel:x\r\nTEL;TYPE=CELL:+12025550102\r\n"),
        ("cat", "Cat", "NOTE:likes Ann\r\n"),
    ];
    for (uid, name, more) in cards {
        phone.put(&format!("{book}{uid}.vcf"), &card(uid, name, more), &[]).await.expect(201);
    }
    book
}

async fn find(phone: &Device, book: &str, filter: &str) -> Vec<String> {
    let inner = format!("<prop><getetag/></prop>{filter}");
    let answer = phone.report(book, "C:addressbook-query", &inner).await.expect(207);
    let mut names: Vec<String> =
        answer.present().iter().map(|h| h[book.len()..].trim_end_matches(".vcf").to_owned()).collect();
    names.sort();
    names
}

story! {
    async fn filters_find_what_they_say(app) {
        let phone = device(&app.person("alice").await, "phone").await;
        let book = fill(&phone).await;
        let text = |name: &str, attributes: &str, value: &str| {
            format!("<C:prop-filter name='{name}'><C:text-match {attributes}>{value}</C:text-match></C:prop-filter>")
        };
        let filter = |test: &str, inner: &str| format!("<C:filter test='{test}'>{inner}</C:filter>");
        let all = ["ann", "ben", "cat"];
        assert_eq!(find(&phone, &book, "<C:filter/>").await, all);
        assert_eq!(find(&phone, &book, &filter("anyof", &text("FN", "", "ÅNGSTRÖM"))).await, ["ann"]);
        assert_eq!(find(&phone, &book, &filter("anyof", &text("FN", "collation='i;ascii-casemap'", "ångström"))).await, [""; 0]);
        assert_eq!(find(&phone, &book, &filter("anyof", &text("EMAIL", "match-type='ends-with'", "EXAMPLE.ORG"))).await, ["ann", "ben"]);
        assert_eq!(find(&phone, &book, &filter("anyof", "<C:prop-filter name='item1.EMAIL'/>")).await, ["ben"]);
        assert_eq!(find(&phone, &book, &filter("anyof", "<C:prop-filter name='EMAIL'><C:is-not-defined/></C:prop-filter>")).await, ["cat"]);
        let home = "<C:prop-filter name='TEL'><C:param-filter name='TYPE'><C:text-match>home</C:text-match></C:param-filter></C:prop-filter>";
        assert_eq!(find(&phone, &book, &filter("anyof", home)).await, ["ann"]);
        let both = text("FN", "", "ann") + &text("NOTE", "", "ann");
        assert_eq!(find(&phone, &book, &filter("anyof", &both)).await, ["ann", "cat"]);
        assert_eq!(find(&phone, &book, &filter("allof", &both)).await, [""; 0]);
        assert_eq!(find(&phone, &book, &filter("anyof", &text("FN", "negate-condition='yes'", "ann"))).await, ["ben", "cat"]);
        let odd = format!("<prop/>{}", filter("anyof", &text("FN", "collation='i;martian'", "x")));
        phone.report(&book, "C:addressbook-query", &odd).await.refused(403, &Name::carddav("supported-collation"));
        phone.report(&book, "C:addressbook-query", "<prop/>").await.expect(400);
        let body = "<C:addressbook-query xmlns='DAV:' xmlns:C='urn:ietf:params:xml:ns:carddav'><prop><getetag/></prop><C:filter/></C:addressbook-query>";
        assert!(phone.send("REPORT", &book, &[("depth", "0")], body.as_bytes()).await.expect(207).items().is_empty());
        let over_all = phone.send("REPORT", &phone.home(), &[("depth", "infinity")], body.as_bytes()).await.expect(207);
        assert_eq!(over_all.present().len(), 3);
    }

    async fn a_limit_is_kept_and_said(app) {
        let phone = device(&app.person("alice").await, "phone").await;
        let book = fill(&phone).await;
        let inner = |n: usize| format!("<prop><getetag/></prop><C:filter/><C:limit><C:nresults>{n}</C:nresults></C:limit>");
        let cut = phone.report(&book, "C:addressbook-query", &inner(2)).await.expect(207);
        assert_eq!(cut.present().len(), 2);
        assert_eq!(cut.item(&book).status, Some(507));
        let whole = phone.report(&book, "C:addressbook-query", &inner(3)).await.expect(207);
        assert_eq!((whole.present().len(), whole.body.contains("507")), (3, false));
    }

    async fn parts_of_cards_on_demand(app) {
        let phone = device(&app.person("alice").await, "phone").await;
        let book = fill(&phone).await;
        let inner = "<prop><C:address-data><C:prop name='UID'/><C:prop name='email'/><C:prop name='TEL' novalue='yes'/></C:address-data></prop><C:filter/>";
        let answer = phone.report(&book, "C:addressbook-query", inner).await.expect(207);
        let ben = answer.item(&format!("{book}ben.vcf")).card();
        assert_eq!(ben, "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:ben\r\nitem1.EMAIL:ben@example.org\r\nTEL;TYPE=CELL:\r\nEND:VCARD\r\n");
    }

    async fn long_answers_are_packed_for_who_takes_it(app) {
        let phone = device(&app.person("alice").await, "phone").await;
        let book = fill(&phone).await;
        let ask = async |accept: &str, inner: &str| {
            let body = format!("<C:addressbook-query {NAMESPACES}>{inner}<C:filter/></C:addressbook-query>");
            let request = reqwest::Client::new()
                .request(reqwest::Method::from_bytes(b"REPORT").unwrap(), format!("{}{book}", phone.base))
                .basic_auth(&phone.username, Some(&phone.password))
                .header("depth", "1")
                .header("accept-encoding", accept);
            let answer = request.body(body).send().await.unwrap();
            assert_eq!((answer.status().as_u16(), answer.headers()["vary"].to_str().unwrap()), (207, "Accept-Encoding, Brief, Prefer"));
            let is_packed = answer.headers().get("content-encoding").is_some_and(|c| c == "gzip");
            (is_packed, answer.bytes().await.unwrap().to_vec())
        };
        let unpacked = |bytes: &[u8]| {
            let mut text = Vec::new();
            flate2::read::GzDecoder::new(bytes).read_to_end(&mut text).unwrap();
            text
        };
        let cards = "<prop><getetag/><C:address-data/></prop>";
        let (packed, short) = ask("gzip", "<prop><getetag/></prop>").await;
        assert!(!packed && short.len() < 1_200, "what is short goes as it is");
        // In one piece, and in parts.
        for count in [20, 6] {
            for n in 0..count {
                let note = format!("NOTE:{}\r\n", if count == 6 { "line of a long note ".repeat(50_000) } else { n.to_string() });
                phone.put(&format!("{book}{count}-{n}.vcf"), &card(&format!("{count}-{n}"), "x", &note), &[]).await.expect(201);
            }
            let (packed, plain) = ask("identity", cards).await;
            assert!(!packed);
            assert!(!ask("gzip;q=0", cards).await.0);
            let (packed, short) = ask("deflate, gzip", cards).await;
            assert!(packed && short.len() * 3 < plain.len(), "{} of {}", short.len(), plain.len());
            assert_eq!(unpacked(&short), plain);
        }
        // A card's tag is of exactly its bytes.
        let one = phone.send("GET", &format!("{book}6-1.vcf"), &[("accept-encoding", "gzip")], b"").await.expect(200);
        assert_eq!(one.header("content-encoding"), None);
    }

    async fn many_at_once_in_any_spelling(app) {
        let phone = device(&app.person("alice").await, "phone").await;
        let book = fill(&phone).await;
        let hrefs = format!(
            "<href>{}{book}ann.vcf</href><href>{}</href><href>{book}nope.vcf</href><href>/dav/addressbooks/bob/personal/x.vcf</href><href>nonsense</href>",
            phone.base,
            book.clone() + "b%65n.vcf",
        );
        let inner = format!("<prop><getetag/><C:address-data/></prop>{hrefs}");
        let answer = phone.report(&book, "C:addressbook-multiget", &inner).await.expect(207);
        assert_eq!(answer.present(), [format!("{book}ann.vcf"), format!("{book}ben.vcf")]);
        assert_eq!(answer.gone(), [format!("{book}nope.vcf"), "/dav/addressbooks/bob/personal/x.vcf".into(), "nonsense".into()]);
        phone.report(&book, "C:addressbook-multiget", "<prop/>").await.expect(400);
        phone.report(&phone.book("nope"), "C:addressbook-multiget", &inner).await.expect(404);
    }
}
