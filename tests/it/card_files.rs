//! Files of cards: taken along, mailed, and brought in from elsewhere with a look before anything is written.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::dav::{Device, card, device};
use crate::support::{Person, TestApp};

/// Uploads a file; answers the preview.
async fn upload(person: &Person, query: &str, bytes: &[u8], status: u16) -> Value {
    let url = format!("{}/v1/imports{query}", person.base);
    let request = person.http().post(url).bearer_auth(person.token.as_deref().unwrap()).body(bytes.to_vec());
    let response = request.send().await.unwrap();
    let (got, text) = (response.status().as_u16(), response.text().await.unwrap());
    assert_eq!(got, status, "{text}");
    serde_json::from_str(&text).unwrap()
}

fn path(import: &Value) -> String {
    format!("/v1/imports/{}", import["id"].as_str().unwrap())
}

async fn names(phone: &Device, book: &str) -> Vec<String> {
    let cards = phone
        .report(book, "C:addressbook-query", "<prop><C:address-data/></prop><C:filter/>")
        .await
        .expect(207);
    let name = |text: String| text.lines().find(|l| l.starts_with("FN:")).unwrap()[3..].to_owned();
    let mut names: Vec<String> = cards.items().iter().map(|i| name(i.card())).collect();
    names.sort();
    names
}

/// Alice with a phone and two people in her own book.
async fn alice(app: &TestApp) -> (Person, Device, String) {
    let alice = app.person("alice").await;
    let phone = device(&alice, "phone").await;
    let book = phone.book("personal");
    let ann = card("ann", "Ann Lee", "TEL;TYPE=HOME:+1 202-555-0155\r\nNOTE:old\r\n");
    phone.put(&format!("{book}ann.vcf"), &ann, &[]).await.expect(201);
    phone.put(&format!("{book}zoe.vcf"), &card("zoe", "Zoë Müller", ""), &[]).await.expect(201);
    (alice, phone, book)
}

const FILE: &str = "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Dr. Ann Lee\r\nTEL:(202) 555-0155\r\nEMAIL:ann@example.org\r\nNOTE:new\r\nEND:VCARD\r\n\
BEGIN:VCARD\r\nVERSION:3.0\r\nFN:ZOE MULLER\r\nTEL:+12025550156\r\nEND:VCARD\r\n\
BEGIN:VCARD\r\nVERSION:2.1\r\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:M=C3=BC;J=C3=B6rg\r\nTEL;CELL:+12025550157\r\nEND:VCARD\r\n\
BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Broken\r\nno colon\r\nEND:VCARD\r\n\
BEGIN:VCARD\r\nVERSION:3.0\r\nFN:J. M.\r\nTEL:202-555-0157\r\nEND:VCARD\r\n";

story! {
    async fn a_file_is_looked_at_before_it_is_written(app) {
        let (alice, phone, book) = alice(app).await;
        let import = upload(&alice, "", FILE.as_bytes(), 201).await;
        let figures = |v: &Value| ["rows", "problems", "duplicates", "done"].map(|k| v[k].as_i64().unwrap());
        assert_eq!((figures(&import), &import["format"], &import["state"]), ([5, 1, 3, 1], &json!("vcard"), &json!("ready")));
        let rows = alice.get(&format!("{}/rows", path(&import))).await.expect(200);
        let rows = rows["items"].as_array().unwrap();
        assert_eq!((&rows[0]["name"], &rows[0]["duplicate_by"], &rows[0]["duplicate_name"]), (&json!("Dr. Ann Lee"), &json!(["number"]), &json!("Ann Lee")));
        assert_eq!((&rows[1]["duplicate_by"], &rows[1]["line"]), (&json!(["name"]), &json!(8)));
        assert_eq!((&rows[2]["name"], &rows[2]["duplicate_by"]), (&json!("Mü Jörg"), &json!([])));
        assert_eq!((&rows[3]["code"], &rows[3]["outcome"]), (&json!("invalid_card"), &json!("fault")));
        assert_eq!((&rows[4]["duplicate_row"], &rows[4]["duplicate_by"]), (&json!(2), &json!(["number"])));
        let problems = alice.get(&format!("{}/rows?only=problems", path(&import))).await.expect(200);
        assert_eq!(problems["items"].as_array().unwrap().len(), 1);
        let page = alice.get(&format!("{}/rows?only=duplicates&limit=2", path(&import))).await.expect(200);
        let next = page["next"].as_str().unwrap().to_owned();
        let page = alice.get(&format!("{}/rows?only=duplicates&limit=2&after={next}", path(&import))).await.expect(200);
        assert_eq!((page["items"].as_array().unwrap().len(), &page["next"]), (1, &json!(null)));
        assert_eq!(names(&phone, &book).await, ["Ann Lee", "Zoë Müller"], "nothing is written yet");

        let apply = format!("{}/apply", path(&import));
        alice.post(&apply, json!({ "duplicates": "skip", "rows": [{ "row": 77, "choice": "merge" }] })).await.expect(422);
        let choices = json!({ "duplicates": "skip", "rows": [{ "row": 0, "choice": "merge" }, { "row": 1, "choice": "keep_both" }] });
        alice.post(&apply, choices.clone()).await.expect(202);
        alice.post(&apply, choices).await.expect(202);
        app.settle().await;
        let done = alice.get(&path(&import)).await.expect(200);
        assert_eq!((figures(&done.body), &done["state"]), ([5, 1, 3, 5], &json!("done")));
        assert_eq!(["created", "merged", "skipped", "refused"].map(|k| done[k].as_i64().unwrap()), [2, 1, 1, 0]);
        assert_eq!(names(&phone, &book).await, ["Ann Lee", "Mü Jörg", "ZOE MULLER", "Zoë Müller"]);
        let ann = phone.get(&format!("{book}ann.vcf")).await.expect(200).body;
        for line in ["UID:ann\r\n", "TEL;TYPE=HOME:+1 202-555-0155\r\n", "NOTE:old\\nnew\r\n", "EMAIL:ann@example.org\r\n"] {
            assert!(ann.contains(line), "{line}: {ann}");
        }
        assert_eq!(ann.matches("TEL").count(), 1, "the same number, however it is written");
        // The same file once more: all are there; left out, nothing changes.
        let again = upload(&alice, "", FILE.as_bytes(), 201).await;
        assert_eq!(again["duplicates"], 4);
        alice.post(&format!("{}/apply", path(&again)), json!({ "duplicates": "skip" })).await.expect(202);
        app.settle().await;
        assert_eq!(names(&phone, &book).await.len(), 4);
        alice.delete(&path(&again)).await.expect(204);
        alice.get(&path(&again)).await.expect(404);
    }

    async fn tables_come_in_from_google_and_outlook(app) {
        let (alice, phone, _) = alice(app).await;
        let made = alice.post("/v1/books", json!({ "name": "Old phone" })).await.expect(201);
        let (query, book) = (format!("?region=KR&book={}", made["id"].as_str().unwrap()), phone.book(made["address"].as_str().unwrap()));
        let google = "First Name,Last Name,Labels,Phone 1 - Label,Phone 1 - Value\nCheol-su,Kim,* myContacts,Mobile,010-1234-5678\n";
        let units: Vec<u8> = [0xFF, 0xFE].into_iter().chain(google.encode_utf16().flat_map(u16::to_le_bytes)).collect();
        let import = upload(&alice, &query, &units, 201).await;
        assert_eq!((&import["format"], &import["charset"], &import["region"]), (&json!("google"), &json!("utf-16"), &json!("KR")));
        alice.post(&format!("{}/apply", path(&import)), json!({ "duplicates": "merge" })).await.expect(202);
        app.settle().await;
        let outlook = b"First Name;Last Name;Mobile Phone;E-mail Address\r\nJ\xF6rg;M\xFCller;+12025550157;j@example.org\r\nChulsoo;Kim;+82 10-1234-5678;\r\n;;;\r\n";
        let import = upload(&alice, &query, outlook, 201).await;
        assert_eq!((&import["format"], &import["charset"]), (&json!("outlook"), &json!("windows-1252")));
        assert_eq!((&import["duplicates"], &import["problems"]), (&json!(1), &json!(1)));
        alice.post(&format!("{}/apply", path(&import)), json!({ "duplicates": "skip" })).await.expect(202);
        app.settle().await;
        assert_eq!(names(&phone, &book).await, ["Cheol-su Kim", "Jörg Müller"]);
    }

    async fn what_cannot_be_imported_is_said(app) {
        let (alice, _, _) = alice(app).await;
        let bob = app.person("bob").await;
        assert_eq!(upload(&alice, "", b"Date,Amount\n1,2\n", 422).await["fields"][0]["code"], "unknown_format");
        assert_eq!(upload(&alice, "", b"", 422).await["fields"][0]["code"], "unknown_format");
        assert_eq!(upload(&alice, "?region=KOR", FILE.as_bytes(), 422).await["fields"][0]["code"], "invalid_region");
        let many = "BEGIN:VCARD\nEND:VCARD\n".repeat(10_001);
        assert_eq!(upload(&alice, "", many.as_bytes(), 422).await["fields"][0]["code"], "too_many");
        let books = alice.get("/v1/books").await.expect(200);
        let book = |n: usize| format!("?book={}", books["items"][n]["id"].as_str().unwrap());
        assert_eq!(upload(&alice, &book(0), FILE.as_bytes(), 409).await["code"], "book_is_kept");
        upload(&bob, &book(1), FILE.as_bytes(), 404).await;
        let import = upload(&alice, &book(1), FILE.as_bytes(), 201).await;
        bob.get(&path(&import)).await.expect(404);
        bob.post(&format!("{}/apply", path(&import)), json!({ "duplicates": "skip" })).await.expect(404);
        for _ in 0..4 {
            upload(&alice, "", FILE.as_bytes(), 201).await;
        }
        assert_eq!(upload(&alice, "", FILE.as_bytes(), 409).await["code"], "imports_open");
        // After a day they are forgotten.
        app.advance(std::time::Duration::from_secs(25 * 3_600));
        let alice = alice.signs_in_again().await;
        upload(&alice, "", FILE.as_bytes(), 201).await;
        alice.get(&path(&import)).await.expect(404);
        let deletion = json!({ "password": crate::support::client::PASSWORD });
        alice.call(Method::DELETE, "/v1/me", Some(&deletion)).await.expect(204);
        app.settle().await;
    }

    async fn thousands_of_cards_come_in(app) {
        let (alice, phone, book) = alice(app).await;
        let one = |n: usize| format!("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:u{n}\r\nFN:Person {n}\r\nTEL:+1202556{n:04}\r\nEND:VCARD\r\n");
        let file: String = (0..2_000).map(one).collect();
        let import = upload(&alice, "", file.as_bytes(), 201).await;
        assert_eq!((&import["rows"], &import["duplicates"], &import["problems"]), (&json!(2_000), &json!(0), &json!(0)));
        alice.post(&format!("{}/apply", path(&import)), json!({ "duplicates": "skip" })).await.expect(202);
        app.settle().await;
        let done = alice.get(&path(&import)).await.expect(200);
        assert_eq!((&done["created"], &done["state"]), (&json!(2_000), &json!("done")));
        assert_eq!(phone.sync(&book, "", "").await.expect(207).present().len(), 2_002);
        let all = alice.get("/v1/cards.vcf").await.expect(200);
        assert_eq!(all.text.matches("BEGIN:VCARD").count(), 2_002, "whole, though it came in parts");
    }

    async fn cards_are_taken_along_as_a_file(app) {
        let pair = app.alice_and_bob().await;
        let (alice, phone) = (&pair.alice, device(&pair.alice, "phone").await);
        phone.put(&format!("{}ann.vcf", phone.book("personal")), &card("ann", "Ann Lee", "BDAY:1990-02-28\r\n"), &[]).await.expect(201);
        app.advance(std::time::Duration::from_secs(3_600));
        let alice = &alice.signs_in_again().await;
        let since = app.app.now().to_rfc3339();
        phone.put(&format!("{}zoe.vcf", phone.book("personal")), &card("zoe", "Zoë", ""), &[]).await.expect(201);
        let all = alice.get("/v1/cards.vcf").await.expect(200);
        assert_eq!(all.headers["content-type"], "text/vcard; charset=utf-8");
        assert_eq!(all.headers["content-disposition"], "attachment; filename=\"contacts.vcf\"");
        assert_eq!((all.text.matches("BEGIN:VCARD").count(), all.text.matches("VERSION:3.0").count()), (3, 3));
        assert!(all.text.contains(&pair.number) && all.text.contains("BDAY:1990-02-28\r\n"), "{}", all.text);
        let four = alice.get("/v1/cards.vcf?version=4.0").await.expect(200);
        assert_eq!(four.text.matches("VERSION:4.0").count(), 3);
        assert!(four.text.contains("BDAY:19900228\r\n"), "{}", four.text);
        let recent = alice.get(&format!("/v1/cards.vcf?since={since}")).await.expect(200);
        assert_eq!((recent.text.matches("BEGIN:VCARD").count(), recent.text.contains("FN:Zoë")), (1, true));
        assert_eq!(recent.headers["content-disposition"], "attachment; filename=\"contacts-since-2026-01-15.vcf\"");
        let books = alice.get("/v1/books").await.expect(200);
        let personal = books["items"][1]["id"].as_str().unwrap().to_owned();
        let one = alice.get(&format!("/v1/books/{personal}/cards.vcf")).await.expect(200);
        assert_eq!((one.text.matches("BEGIN:VCARD").count(), one.text.contains(&pair.number)), (2, false));
        let friend = alice.get("/v1/contacts").await["items"][0]["id"].as_str().unwrap().to_owned();
        let single = alice.get(&format!("/v1/contacts/{friend}/card.vcf")).await.expect(200);
        assert_eq!(single.headers["content-disposition"], "attachment; filename=\"Bob.vcf\"");
        assert!(single.text.contains("FN:Bob\r\n") && single.text.contains(&pair.number));
        alice.patch(&format!("/v1/contacts/{friend}"), json!({ "hidden_on_phone": true })).await.expect(200);
        alice.get(&format!("/v1/contacts/{friend}/card.vcf")).await.refused(404, "no_card");
        alice.get("/v1/cards.vcf?version=2.1").await.expect(422);
        alice.get("/v1/cards.vcf?since=yesterday").await.expect(422);
        let bob = pair.bob.signs_in_again().await;
        bob.get(&format!("/v1/books/{personal}/cards.vcf")).await.expect(404);
        alice.post("/v1/cards/mail", json!({})).await.refused(503, "mail_not_configured");
    }
}

/// A mail server that takes every letter.
pub async fn mail_server() -> (String, tokio::sync::mpsc::UnboundedReceiver<String>) {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    let (letters, taken) = tokio::sync::mpsc::unbounded_channel();
    actix_web::rt::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let letters = letters.clone();
            actix_web::rt::spawn(async move {
                let (read, mut write) = stream.into_split();
                let mut lines = BufReader::new(read).lines();
                write.write_all(b"220 mail.example.org\r\n").await.unwrap();
                while let Ok(Some(line)) = lines.next_line().await {
                    if line.starts_with("DATA") {
                        write.write_all(b"354 go on\r\n").await.unwrap();
                        let mut letter = String::new();
                        while let Some(line) = lines.next_line().await.unwrap().filter(|line| line != ".") {
                            letter += &(line + "\n");
                        }
                        letters.send(letter).unwrap();
                    }
                    if write.write_all(b"250 ok\r\n").await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (url, taken)
}

#[actix_web::test]
async fn cards_come_by_mail() {
    let (url, mut letters) = mail_server().await;
    let app = TestApp::start(crate::support::database::TestDatabase::sqlite(), |settings| {
        settings.smtp_url = Some(secrecy::SecretString::from(url));
        settings.mail_from = Some("Meari <hello@example.org>".to_owned());
    })
    .await;
    let (alice, _, _) = alice(&app).await;
    alice.post("/v1/cards/mail", json!({})).await.refused(409, "no_verified_email");
    let email = alice.post("/v1/me/emails", json!({ "address": "alice@example.org" })).await.expect(201);
    app.settle().await;
    let letter = letters.recv().await.unwrap();
    let (_, body) = letter.split_once("\n\n").unwrap();
    let code = body
        .split(|c: char| !c.is_ascii_alphanumeric())
        .find(|w| w.len() == 6 && w.bytes().all(|b| b.is_ascii_digit()));
    let verify = format!("/v1/me/emails/{}/verify", email["id"].as_str().unwrap());
    alice.post(&verify, json!({ "code": code.expect("a code is in the letter") })).await.expect(200);
    alice.post("/v1/cards/mail", json!({ "version": "4.0" })).await.expect(202);
    app.settle().await;
    let letter = letters.recv().await.unwrap();
    for wanted in ["To: alice@example.org", "text/vcard", "contacts.vcf"] {
        assert!(letter.contains(wanted), "{wanted}: {letter}");
    }
    app.finish().await;
}
