//! A phone and its address book, against a small CardDAV server with the habits of big ones: it redirects, pages its
//! changes, forgets tokens, spells hrefs its own way.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::http::StatusCode;

use super::*;

/// The book: card name → vCard; and the log of changes, whose length is the token.
#[derive(Clone, Default)]
struct Book {
    cards: Arc<Mutex<BTreeMap<String, String>>>,
    log: Arc<Mutex<Vec<String>>>,
    /// A token below this is refused, once.
    oldest: Arc<Mutex<usize>>,
    requests: Arc<Mutex<Vec<String>>>,
    broken: Arc<AtomicBool>,
}

const MULTISTATUS: &str = "<d:multistatus xmlns:d=\"DAV:\" xmlns:c=\"urn:ietf:params:xml:ns:carddav\">";

fn multistatus(inside: &str) -> HttpResponse {
    HttpResponse::build(StatusCode::MULTI_STATUS)
        .content_type("application/xml; charset=utf-8")
        .body(format!("<?xml version=\"1.0\"?>{MULTISTATUS}{inside}</d:multistatus>"))
}

fn propstat(href: &str, prop: &str) -> String {
    format!(
        "<d:response><d:href>{href}</d:href><d:propstat><d:prop>{prop}</d:prop><d:status>HTTP/1.1 200 OK</d:status>\
         </d:propstat><d:propstat><d:prop><d:nothing/></d:prop><d:status>HTTP/1.1 404 Not Found</d:status></d:propstat>\
         </d:response>"
    )
}

impl Book {
    fn put(&self, name: &str, card: &str) {
        self.cards
            .lock()
            .unwrap()
            .insert(name.to_owned(), format!("BEGIN:VCARD\r\nVERSION:3.0\r\n{card}\r\nEND:VCARD\r\n"));
        self.log.lock().unwrap().push(name.to_owned());
    }

    fn delete(&self, name: &str) {
        self.cards.lock().unwrap().remove(name);
        self.log.lock().unwrap().push(name.to_owned());
    }

    fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let book = self.clone();
        let app =
            move || App::new().app_data(web::Data::new(book.clone())).default_service(web::to(Book::answer));
        actix_web::rt::spawn(
            HttpServer::new(app).workers(1).disable_signals().listen(listener).unwrap().run(),
        );
        url
    }

    async fn answer(book: web::Data<Book>, request: HttpRequest, body: Bytes) -> HttpResponse {
        let body = String::from_utf8(body.to_vec()).unwrap();
        book.requests.lock().unwrap().push(format!("{} {}", request.method(), request.path()));
        if !request.headers().contains_key("Authorization") {
            return HttpResponse::Unauthorized().finish();
        }
        if book.broken.load(Ordering::SeqCst) {
            return HttpResponse::InternalServerError().finish();
        }
        match request.path() {
            "/.well-known/carddav" => {
                HttpResponse::MovedPermanently().insert_header(("Location", "/dav/")).finish()
            }
            "/dav/" => multistatus(&propstat(
                "/dav/",
                "<d:current-user-principal><d:href>/dav/p/a/</d:href></d:current-user-principal>",
            )),
            "/dav/p/a/" => multistatus(&propstat(
                "/dav/p/a/",
                "<c:addressbook-home-set><d:href>/dav/h/a%40b/</d:href></c:addressbook-home-set>",
            )),
            "/dav/h/a%40b/" | "/dav/h/a@b/" => multistatus(&format!(
                "{}{}",
                propstat("/dav/h/a%40b/", "<d:resourcetype><d:collection/></d:resourcetype>"),
                propstat(
                    "/dav/h/a%40b/book/",
                    "<d:resourcetype><d:collection/><c:addressbook/></d:resourcetype>"
                ),
            )),
            _ if body.contains("sync-collection") => book.sync(&body),
            _ => book.multiget(&body),
        }
    }

    /// Two changes on a page.
    fn sync(&self, body: &str) -> HttpResponse {
        let token = body.split_once("<d:sync-token>").unwrap().1.split_once('<').unwrap().0;
        let log = self.log.lock().unwrap();
        let since: usize = token.strip_prefix("urn:t:").map_or(0, |n| n.parse().unwrap());
        let oldest = std::mem::take(&mut *self.oldest.lock().unwrap());
        if !token.is_empty() && since < oldest {
            return HttpResponse::Forbidden()
                .body("<d:error xmlns:d=\"DAV:\"><d:valid-sync-token/></d:error>");
        }
        let page = &log[since..log.len().min(since + 2)];
        let cards = self.cards.lock().unwrap();
        let mut names = page.to_vec();
        names.dedup();
        let mut inside: String = names
            .iter()
            .map(|name| match cards.contains_key(name) {
                true => propstat(&format!("/dav/h/a@b/book/{name}"), "<d:getetag>\"1\"</d:getetag>"),
                false => format!("<d:response><d:href>/dav/h/a%40b/book/{name}</d:href><d:status>HTTP/1.1 404 Not Found</d:status></d:response>"),
            })
            .collect();
        let upto = since + page.len();
        if upto < log.len() {
            inside += "<d:response><d:href>/dav/h/a%40b/book/</d:href><d:status>HTTP/1.1 507 Insufficient Storage</d:status></d:response>";
        }
        multistatus(&format!("{inside}<d:sync-token>urn:t:{upto}</d:sync-token>"))
    }

    fn multiget(&self, body: &str) -> HttpResponse {
        let cards = self.cards.lock().unwrap();
        let hrefs = body.split("<d:href>").skip(1).map(|rest| rest.split_once('<').unwrap().0);
        let found = hrefs.filter_map(|href| {
            let card = cards.get(href.rsplit('/').next().unwrap())?;
            Some(propstat(href, &format!("<c:address-data>{}</c:address-data>", xml::escape(card))))
        });
        multistatus(&found.collect::<String>())
    }
}

fn phone_with(world: &World, url: String) -> E164 {
    let account = CardDavAccount { url, username: "alice".to_owned(), password: "app password".to_owned() };
    let phone = number("+12025550104");
    let new = NewPhone { number: phone.clone(), name: None, carddav: Some(account) };
    world.simulator.add_phone(new).unwrap();
    phone
}

#[actix_web::test]
async fn the_book_is_found_copied_and_followed() {
    let (world, book) = (World::start(), Book::default());
    for n in 0..5 {
        book.put(&format!("{n}.vcf"), &format!("UID:{n}\r\nFN:Person {n}\r\nTEL:(202) 555-016{n}"));
    }
    let phone = phone_with(&world, book.start());
    world.simulator.sync_phone(&phone).await.unwrap();
    let names = || -> Vec<String> {
        world.simulator.phone(&phone).unwrap().contacts.into_iter().map(|contact| contact.name).collect()
    };
    assert_eq!(names(), ["Person 0", "Person 1", "Person 2", "Person 3", "Person 4"]);
    assert_eq!(world.simulator.phone(&phone).unwrap().contacts[0].numbers, ["+12025550160"]);

    book.requests.lock().unwrap().clear();
    world.simulator.sync_phone(&phone).await.unwrap();
    assert_eq!(
        book.requests.lock().unwrap().as_slice(),
        ["REPORT /dav/h/a%40b/book/"],
        "an idle sync asks once"
    );

    book.delete("0.vcf");
    book.put("1.vcf", "FN:Renamed\r\nTEL:+12025550161");
    world.simulator.sync_phone(&phone).await.unwrap();
    assert_eq!(names(), ["Person 2", "Person 3", "Person 4", "Renamed"]);

    // The server forgets the token, and a card went away meanwhile.
    book.delete("2.vcf");
    *book.oldest.lock().unwrap() = 1_000;
    world.simulator.sync_phone(&phone).await.unwrap();
    assert_eq!(names(), ["Person 3", "Person 4", "Renamed"]);
}

#[actix_web::test]
async fn a_message_appears_under_the_name_that_was_just_pushed() {
    let (world, book) = (World::start(), Book::default());
    book.put("x.vcf", "FN:Nobody\r\nTEL:+12025550199");
    let phone = phone_with(&world, book.start());
    world.simulator.sync_phone(&phone).await.unwrap();
    book.put("bob.vcf", &format!("FN:Bob\r\nTEL:{OURS}"));
    world.send(phone.as_str(), "it is me").await;
    world.simulator.drain().await;
    let view = world.simulator.phone(&phone).unwrap();
    assert_eq!(view.threads[0].name.as_deref(), Some("Bob"));
    assert_eq!(view.threads[0].messages[0].text, "it is me");
}

#[actix_web::test]
async fn a_phone_is_set_up_later_and_with_another_account() {
    let (world, first, second) = (World::start(), Book::default(), Book::default());
    first.put("x.vcf", "FN:Xenia\r\nTEL:+12025550199");
    second.put("y.vcf", "FN:Yuna\r\nTEL:+12025550198");
    let alice = number(ALICE);
    assert_eq!(world.simulator.sync_phone(&alice).await.unwrap_err().code(), "no_address_book");
    for (url, name) in [(first.start(), "Xenia"), (second.start(), "Yuna")] {
        let body = format!(r#"{{"url": "{url}", "username": "alice", "password": "x"}}"#);
        let request = world.http.put(format!("{}/phones/12025550101/carddav", world.base));
        let answer = request.header("Content-Type", "application/json").body(body).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert!(!answer.text().await.unwrap().contains("password"));
        world.simulator.sync_phone(&alice).await.unwrap();
        let contacts = world.simulator.phone(&alice).unwrap().contacts;
        assert_eq!(contacts.iter().map(|contact| contact.name.as_str()).collect::<Vec<_>>(), [name]);
    }
}

#[actix_web::test]
async fn a_book_out_of_reach_is_said_and_what_was_read_stays() {
    let (world, book) = (World::start(), Book::default());
    book.put("x.vcf", "FN:Xenia\r\nTEL:+12025550199");
    let url = book.start();
    let phone = phone_with(&world, format!("{url}/dav/"));
    world.simulator.sync_phone(&phone).await.unwrap();
    book.broken.store(true, Ordering::SeqCst);
    assert!(world.simulator.sync_phone(&phone).await.is_err());
    let view = world.simulator.phone(&phone).unwrap();
    assert_eq!(view.contacts.len(), 1);
    assert!(view.sync.error.is_some() && view.sync.synced_at.is_some());

    let bad = CardDavAccount { url: "ftp://x".to_owned(), username: String::new(), password: String::new() };
    let new = NewPhone { number: number("+12025550105"), name: None, carddav: Some(bad) };
    assert!(world.simulator.add_phone(new).is_err());
}
