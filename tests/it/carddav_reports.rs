//! Asking for cards by what is in them, and for many at once.

use meari::dav::Name;

use crate::support::dav::{Device, card, device};

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
