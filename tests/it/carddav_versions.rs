//! Cards in two versions: what is stored in 4.0 outlives programs that read and write 3.0.

use serde_json::json;

use crate::support::dav::{Device, device};

/// A 4.0 card that says much of what 3.0 cannot.
const RICH: &str = "BEGIN:VCARD\r\nVERSION:4.0\r\nKIND:individual\r\nUID:u\r\nFN:Ann\r\nN;SORT-AS=\"Lee\":Lee;Ann;;;\r\n\
    TEL;VALUE=uri;PREF=2;PID=1.1;TYPE=cell:tel:+1-202-555-0123\r\nEMAIL;PREF=1:ann@example.org\r\n\
    ADR;ALTID=1;LANGUAGE=en;LABEL=\"1 Main St^nTown\";GEO=\"geo:12.3,45.6\":;;1 Main St;Town;;;\r\n\
    EXPERTISE;LEVEL=expert;INDEX=1:maps\r\nCLIENTPIDMAP:1;urn:uuid:53e374d9-337e-4727-8803-a1e9c14e0556\r\n\
    NOTE:old\r\nEND:VCARD\r\n";

/// The card and its tag as a phone reads them that knows 3.0 only.
async fn read_in_3(phone: &Device, path: &str) -> (String, String) {
    let inner = format!("<prop><getetag/><C:address-data/></prop><href>{path}</href>");
    let book = phone.book("personal");
    let item = phone.report(&book, "C:addressbook-multiget", &inner).await.expect(207).item(path);
    (item.card(), item.etag())
}

fn unfolded(text: &str) -> String {
    text.replace("\r\n ", "")
}

story! {
    async fn what_only_four_can_say_outlives_a_phone_that_knows_three(app) {
        let phone = device(&app.person("alice").await, "phone").await;
        let path = format!("{}a.vcf", phone.book("personal"));
        phone.put(&path, RICH, &[]).await.expect(201).header("etag").unwrap();
        let (three, etag) = read_in_3(&phone, &path).await;
        assert!(three.contains("VERSION:3.0") && !three.contains("ALTID"), "{three}");
        // The phone changes the note, and writes the rest in its own order and spelling.
        let note = three.replace("NOTE:old", "NOTE:new");
        let note = note.replace("EMAIL;TYPE=PREF:ann@example.org\r\n", "").replace("END:", "email;type=pref:ann@example.org\r\nEND:");
        let written = phone.put(&path, &note, &[("if-match", &etag)]).await.expect(204);
        assert_eq!(written.header("etag"), None, "what is stored is not what was sent");
        let stored = phone.get(&path).await.expect(200);
        assert_ne!(stored.header("etag"), Some(etag.as_str()), "whoever has read it reads it again");
        let four = unfolded(&stored.body);
        for line in unfolded(RICH).replace("NOTE:old", "NOTE:new").split("\r\n") {
            assert!(four.contains(&format!("{line}\r\n")) || line.is_empty(), "{line} is not in {four}");
        }
        let (again, _) = read_in_3(&phone, &path).await;
        let lines = |text: &str| {
            let mut lines: Vec<String> = unfolded(text).to_uppercase().lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(lines(&again), lines(&note));
        phone.put(&path, &note, &[("if-match", &etag)]).await.expect(412);

        // What is taken away is gone; a line that is changed keeps what is not about its value.
        let (three, etag) = read_in_3(&phone, &path).await;
        let cut = unfolded(&three).replace("EXPERTISE:maps\r\n", "").replace("+1-202-555-0123", "+1-202-555-0199");
        phone.put(&path, &cut, &[("if-match", &etag)]).await.expect(204);
        let four = unfolded(&phone.get(&path).await.body);
        assert!(!four.contains("EXPERTISE") && four.contains("ALTID=1"), "{four}");
        assert!(four.contains("TEL;TYPE=cell;PREF=2;PID=1.1:+1-202-555-0199"), "{four}");

        // It goes along wherever the card goes.
        let copy = format!("{}b.vcf", phone.book("personal"));
        phone.send("MOVE", &path, &[("destination", &copy)], b"").await.expect(201);
        assert_eq!(unfolded(&phone.get(&copy).await.body), four);
        let alice = phone.send("GET", &phone.book("personal"), &[], b"").await.expect(200).body;
        assert!(alice.contains("VERSION:3.0") && alice.contains("NOTE:new"), "{alice}");
    }

    async fn what_three_can_say_is_stored_as_it_is_sent(app) {
        let phone = device(&app.person("alice").await, "phone").await;
        let path = format!("{}a.vcf", phone.book("personal"));
        let four = "BEGIN:VCARD\r\nVERSION:4.0\r\nUID:u\r\nFN:Ann\r\nN:Ann;;;;\r\nTEL;VALUE=uri:tel:+1-202-555-0123\r\nBDAY:--0415\r\nEND:VCARD\r\n";
        phone.put(&path, four, &[]).await.expect(201);
        let (three, etag) = read_in_3(&phone, &path).await;
        let three = three.replace("FN:Ann", "fn:Anna");
        phone.put(&path, &three, &[("if-match", &etag)]).await.expect(204).header("etag").unwrap();
        assert_eq!(phone.get(&path).await.body, three);
        // 4.0 over anything, and 3.0 over 3.0, as ever.
        for text in [RICH, &RICH.replace("NOTE:old", "NOTE:new"), &RICH.replace(";PREF=2", ""), &three] {
            if text == three {
                phone.delete(&path, &[]).await.expect(204);
            }
            phone.put(&path, text, &[]).await.header("etag").unwrap();
            assert_eq!(phone.get(&path).await.body, *text);
        }
        let other = three.replace("fn:Anna", "FN:Anne");
        phone.put(&path, &other, &[]).await.expect(204).header("etag").unwrap();
        assert_eq!(phone.get(&path).await.body, other);
        phone.put(&path, RICH, &[]).await.expect(204).header("etag").unwrap();
        assert_eq!(phone.get(&path).await.body, RICH);
    }

    async fn a_card_that_names_a_friend_keeps_both_what_it_says_and_his_number(app) {
        app.pool(20).await;
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        app.verify_mobile(&alice, "+12025550101").await;
        let phone = device(&alice, "phone").await;
        let path = format!("{}bob.vcf", phone.book("personal"));
        let rich = RICH.replace("NOTE:old", "IMPP;PID=7.1:meari:bob\r\nNOTE:old");
        phone.put(&path, &rich, &[]).await.expect(201);
        let asked = bob.get("/v1/contacts").await.expect(200)["items"][0].clone();
        bob.post(&format!("/v1/contacts/{}/accept", asked["id"].as_str().unwrap()), json!({})).await.expect(200);
        app.settle().await;
        let (three, etag) = read_in_3(&phone, &path).await;
        let number = three.lines().find(|l| l.starts_with("TEL;TYPE=CELL:+1")).unwrap().to_owned();
        // The phone changes the note and takes the number off.
        let cut = three.replace("NOTE:old", "NOTE:new").replace(&format!("{number}\r\n"), "");
        phone.put(&path, &cut, &[("if-match", &etag)]).await.expect(204);
        let four = unfolded(&phone.get(&path).await.body);
        for part in ["NOTE:new", "IMPP;PID=7.1:meari:bob", "ALTID=1", "LEVEL=expert", &number, "VERSION:4.0"] {
            assert!(four.contains(part), "{part} is not in {four}");
        }
        assert_eq!(alice.get("/v1/contacts").await["items"][0]["state"], "accepted");
    }
}
