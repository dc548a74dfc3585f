//! Pictures and files both ways: from a carrier's store to the messenger, from the messenger to the carrier, and what
//! must not get through.

use std::io::Cursor;
use std::time::Duration;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::wires::Mood;
use crate::vendors::Friends;

/// A picture that does not compress.
fn picture(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
    let mut seed = 7u32;
    let noise = DynamicImage::ImageRgb8(RgbImage::from_fn(width, height, |_, _| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let [_, r, g, b] = seed.to_be_bytes();
        Rgb([r, g, b])
    }));
    let mut bytes = Cursor::new(Vec::new());
    noise.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn dimensions(bytes: &[u8]) -> (u32, u32) {
    let picture = image::load_from_memory(bytes).unwrap();
    (picture.width(), picture.height())
}

async fn uploaded(friends: &Friends, content_type: &str, bytes: Vec<u8>) -> String {
    friends.bob.upload("", content_type, bytes).await.expect(201)["id"].as_str().unwrap().to_owned()
}

/// What the carrier gets when it follows a link of ours, without any account.
async fn followed(url: &str) -> (u16, String, Vec<u8>) {
    let answer = reqwest::get(url).await.unwrap();
    let kind = answer.headers().get("content-type").map(|v| v.to_str().unwrap().to_owned());
    (answer.status().as_u16(), kind.unwrap_or_default(), answer.bytes().await.unwrap().to_vec())
}

fn media(message: &Value) -> &Vec<Value> {
    message["media"].as_array().unwrap()
}

vendor_story! {
    async fn a_picture_comes_in_by_mms(world) {
        let friends = world.friends().await;
        let bytes = picture(400, 300, ImageFormat::Jpeg);
        let url = world.fake.file("1.jpg", "image/jpeg", &bytes);
        world.texts(&friends, "Look", &[url]).await;
        let message = friends.newest().await;
        assert_eq!(message["text"], "Look");
        let shown = &media(&message)[0];
        assert_eq!((shown["state"].as_str(), shown["type"].as_str()), (Some("ready"), Some("image/jpeg")));
        assert_eq!((shown["width"].as_i64(), shown["height"].as_i64()), (Some(400), Some(300)));
        assert_eq!(shown["size"].as_u64(), Some(bytes.len() as u64));
        let (status, kind, body) = friends.bob.download(shown["url"].as_str().unwrap()).await;
        assert_eq!((status, kind.as_str(), &body), (200, "image/jpeg", &bytes));
        let (status, kind, body) = friends.bob.download(shown["thumbnail_url"].as_str().unwrap()).await;
        assert_eq!((status, kind.as_str(), dimensions(&body)), (200, "image/jpeg", (320, 240)));
        let mallory = world.app.person("mallory").await;
        assert_eq!(mallory.download(shown["url"].as_str().unwrap()).await.0, 404, "nobody else");
        // The carrier's store got our credentials and the place where it keeps its files did not.
        let seen = world.fake.seen();
        let at = |prefix: &str| seen.iter().find(|seen| seen.path.starts_with(prefix)).unwrap().authorization.clone();
        assert!(at("/store/").is_some() && at("/cdn/").is_none());
    }

    async fn a_picture_alone_is_a_message_and_one_that_fails_does_not_hide_the_words(world) {
        let friends = world.friends().await;
        let good = world.fake.file("good.png", "image/png", &picture(20, 10, ImageFormat::Png));
        world.texts(&friends, "", std::slice::from_ref(&good)).await;
        assert_eq!(media(&friends.newest().await)[0]["state"], "ready");
        let table = [
            ("private-1.jpg", "image/jpeg", picture(8, 8, ImageFormat::Jpeg)),
            ("lies.jpg", "image/jpeg", b"%PDF-1.7 not a picture".to_vec()),
            ("page.html", "text/html", b"<html><script>alert(1)</script>".to_vec()),
            ("program.exe", "application/octet-stream", b"MZ\x90\0\x03".to_vec()),
            ("broken.png", "image/png", picture(50, 50, ImageFormat::Png)[..900].to_vec()),
            ("large.jpg", "image/jpeg", [b"\xff\xd8\xff\xe0".as_slice(), &vec![0; 9 << 20]].concat()),
        ];
        for (name, kind, bytes) in table {
            let url = world.fake.file(name, kind, &bytes);
            world.texts(&friends, name, &[url, good.clone()]).await;
            let message = friends.newest().await;
            let states: Vec<_> = media(&message).iter().map(|m| m["state"].as_str().unwrap()).collect();
            assert_eq!((message["text"].as_str(), states), (Some(name), vec!["failed", "ready"]));
            assert_eq!(media(&message)[0]["url"], Value::Null);
        }
        let away = [format!("{}/store/never.jpg", world.fake.url), "http://169.254.169.254/latest".to_owned()];
        world.texts(&friends, "Not there", &away).await;
        assert_eq!(media(&friends.newest().await)[0]["state"], "pending", "it may come yet");
        for _ in 0..12 {
            world.app.advance(Duration::from_secs(300));
            world.app.settle().await;
        }
        let bob = friends.bob.signs_in_again().await;
        let all = bob.get("/v1/conversations").await.expect(200);
        let states: Vec<_> =
            media(&all["items"][0]["last_message"]).iter().map(|m| m["state"].clone()).collect();
        assert_eq!(states, ["failed", "failed"]);
    }

    async fn a_picture_goes_out_as_mms_and_the_carrier_fetches_it(world) {
        let friends = world.friends().await;
        let bytes = picture(300, 200, ImageFormat::Jpeg);
        let id = uploaded(&friends, "image/jpeg", bytes.clone()).await;
        let said = friends.bob_writes(json!({ "text": "From the beach", "media": [id] })).await;
        assert_eq!(media(&said)[0]["state"], "ready");
        world.app.settle().await;
        let sent = world.fake.last();
        assert!(sent.text.ends_with("From the beach"), "{}", sent.text);
        let [url] = sent.media.as_slice() else { panic!("{:?}", sent.media) };
        assert!(url.split('?').next().unwrap().ends_with(".jpg"), "{url}");
        assert_eq!(followed(url).await, (200, "image/jpeg".to_owned(), bytes));
        for altered in [url.replace("&s=", "&s=A"), url.replace("e=", "e=f"), url.split('&').next().unwrap().to_owned()] {
            assert_eq!(followed(&altered).await.0, 404, "{altered}");
        }
        world.app.advance(Duration::from_secs(4 * 24 * 3600));
        assert_eq!(followed(url).await.0, 404, "links end");
    }

    async fn a_large_picture_is_made_to_fit_and_the_same_after_a_refusal(world) {
        let friends = world.friends().await;
        let able = world.app.app.carriers.get("main").unwrap().capabilities();
        let bytes = picture(1_300, 1_000, ImageFormat::Png);
        assert!(bytes.len() as u64 > 2 * able.media_bytes_max);
        let id = uploaded(&friends, "image/png", bytes).await;
        world.fake.next(Mood::Refuse { status: 429, code: 1000, retry_after: None });
        friends.bob_writes(json!({ "media": [id] })).await;
        world.app.settle().await;
        world.app.advance(Duration::from_secs(60));
        world.app.settle().await;
        let sent = world.fake.last();
        let (status, kind, fitted) = followed(&sent.media[0]).await;
        assert_eq!((status, kind.as_str()), (200, "image/jpeg"));
        assert!(fitted.len() as u64 <= able.media_bytes_max, "{}", fitted.len());
        assert_eq!(sent.media.len(), 1);
    }

    async fn what_the_carrier_does_not_carry_becomes_a_link(world) {
        let friends = world.friends().await;
        let file = [b"PK".as_slice(), b" is how a list begins.\n", &vec![b'x'; 2_000]].concat();
        let id = uploaded(&friends, "text/plain", file.clone()).await;
        let photo = uploaded(&friends, "image/jpeg", picture(30, 20, ImageFormat::Jpeg)).await;
        world.fake.next(Mood::Refuse { status: 429, code: 1000, retry_after: None });
        friends.bob_writes(json!({ "text": "Both", "media": [id, photo] })).await;
        world.app.settle().await;
        world.app.advance(Duration::from_secs(60));
        world.app.settle().await;
        let sent = world.fake.last();
        assert_eq!(sent.media.len(), 1, "the photo goes as it is");
        let links: Vec<&str> = sent.text.lines().filter(|line| line.starts_with("http")).collect();
        assert_eq!(links.len(), 1, "once, although it was tried twice: {}", sent.text);
        assert_eq!(followed(links[0]).await, (200, "text/plain".to_owned(), file));
        assert!(friends.newest().await["text"] == "Both", "the messenger shows what was written");
    }
}

story! {
    async fn pictures_go_between_messengers_and_are_used_once(app) {
        let (bob, carol) = (app.person("bob").await, app.person("carol").await);
        let (contact, _) = bob.befriends(&carol).await;
        let path = format!("/v1/contacts/{contact}/messages");
        let picture = picture(640, 480, ImageFormat::Png);
        let shown = bob.upload("?name=../holiday.png", "image/png", picture.clone()).await.expect(201);
        assert_eq!(shown["name"], "holiday.png");
        let id = shown["id"].as_str().unwrap();
        assert_eq!(carol.download(&format!("/v1/media/{id}")).await.0, 404, "not before it was sent");
        let said = bob.post(&path, json!({ "media": [id] })).await.expect(201);
        assert_eq!((said["text"].as_str(), said["media"][0]["id"].as_str()), (Some(""), Some(id)));
        assert_eq!(carol.download(&format!("/v1/media/{id}")).await, (200, "image/png".to_owned(), picture));
        bob.post(&path, json!({ "media": [id] })).await.refused(422, "no_such_media");
        carol.post(&format!("/v1/conversations/{}/messages", said["conversation_id"].as_str().unwrap()),
            json!({ "media": [id] })).await.refused(422, "no_such_media");
        bob.post(&path, json!({ "media": ["med_01970000000070008000000000000000"] })).await.refused(422, "no_such_media");
        bob.post(&path, json!({ "media": ["x"] })).await.refused(404, "not_found");
        bob.post(&path, json!({ "text": " ", "media": [] })).await.expect(422);
        let eleven = vec![id; 11];
        bob.post(&path, json!({ "text": "Many", "media": eleven })).await.refused(422, "too_many");
        app.settle().await;
    }

    async fn the_simulated_phone_gets_pictures_too(app) {
        let pair = app.alice_and_bob().await;
        let bytes = picture(40, 30, ImageFormat::Jpeg);
        let id = pair.bob.upload("", "image/jpeg", bytes.clone()).await.expect(201);
        let path = format!("/v1/contacts/{}/messages", pair.contact);
        pair.bob.post(&path, json!({ "text": "Look", "media": [id["id"]] })).await.expect(201);
        app.settle().await;
        let threads = app.carrier.phone(&pair.phone).unwrap().threads;
        let shown = threads.iter().flat_map(|thread| &thread.messages).find(|message| !message.media.is_empty());
        assert_eq!(followed(&shown.expect("an MMS arrived").media[0].url).await, (200, "image/jpeg".to_owned(), bytes));
    }

    async fn only_harmless_files_are_taken(app) {
        let bob = app.person("bob").await;
        let table = [
            ("text/html", b"<html>".to_vec(), "unsupported_type"),
            ("image/png", b"Hello".to_vec(), "type_mismatch"),
            ("image/png", b"\x89PNG\r\n\x1a\n and nothing more".to_vec(), "bad_picture"),
            ("image/jpeg", vec![0xff; (8 << 20) + 1], "too_large"),
            ("text/plain", Vec::new(), "unsupported_type"),
        ];
        for (kind, bytes, code) in table {
            let answer = bob.upload("", kind, bytes).await;
            assert_eq!(answer.body["fields"][0]["code"], code, "{}", answer.text);
        }
        app.stranger().upload("", "text/plain", b"Hello".to_vec()).await.expect(401);
    }

    async fn what_nobody_sends_is_swept_up(app) {
        let bob = app.person("bob").await;
        let id = bob.upload("", "text/plain", b"Never sent".to_vec()).await.expect(201);
        let path = format!("/v1/media/{}", id["id"].as_str().unwrap());
        assert_eq!(bob.download(&path).await.0, 200);
        app.advance(Duration::from_secs(25 * 3600));
        meari::worker::sweep(&app.app).await.unwrap();
        assert_eq!(bob.signs_in_again().await.download(&path).await.0, 404);
        let left: i64 = app.app.db.read(meari::attachments::count_bodies).await.unwrap();
        assert_eq!(left, 0, "the bytes too");
    }

    async fn pictures_go_with_the_account(app) {
        let (bob, carol) = (app.person("bob").await, app.person("carol").await);
        let (contact, _) = bob.befriends(&carol).await;
        let id = bob.upload("", "image/png", picture(9, 9, ImageFormat::Png)).await.expect(201);
        let id = id["id"].as_str().unwrap().to_owned();
        bob.post(&format!("/v1/contacts/{contact}/messages"), json!({ "media": [id] })).await.expect(201);
        app.advance(Duration::from_secs(120));
        let gone = bob
            .call(reqwest::Method::DELETE, "/v1/me", Some(&json!({ "password": crate::support::client::PASSWORD })))
            .await;
        assert!(gone.status < 300, "{}", gone.text);
        app.settle().await;
        assert_eq!(carol.download(&format!("/v1/media/{id}")).await.0, 404);
        let left: i64 = app.app.db.read(meari::attachments::count_bodies).await.unwrap();
        assert_eq!(left, 0, "the bytes too");
    }
}

async fn with_scanner(scanner: &str) -> TestApp {
    let scanner = scanner.to_owned();
    let database = crate::support::database::TestDatabase::sqlite();
    TestApp::start(database, |settings| settings.media_scanner = Some(scanner)).await
}

#[actix_web::test]
async fn a_virus_scanner_has_the_last_word() {
    let app = with_scanner("grep -qv EICAR").await;
    let bob = app.person("bob").await;
    bob.upload("", "text/plain", b"Harmless".to_vec()).await.expect(201);
    let refused = bob.upload("", "text/plain", b"EICAR".to_vec()).await;
    assert_eq!(refused.body["fields"][0]["code"], "infected", "{}", refused.text);
    app.finish().await;
    let app = with_scanner("no-such-scanner").await;
    let bob = app.person("bob").await;
    bob.upload("", "text/plain", b"Harmless".to_vec()).await.refused(503, "scanner_away");
    app.finish().await;
}
