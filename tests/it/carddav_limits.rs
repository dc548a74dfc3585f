//! What clients do that no client should: too much, too deep, too slow, somewhere else, with the wrong key. It is
//! refused, changes nothing and delays nobody.

use std::time::Duration;

use meari::dav::Name;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::TestApp;
use crate::support::dav::{DavAnswer, Device, NAMESPACES, card, device};

/// Sends bytes as they are, without a library's corrections, and answers status and text.
async fn raw(app: &TestApp, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(app.url.trim_start_matches("http://")).await.unwrap();
    // A server that has heard enough may close before it has heard all.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status = text.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    (status, text)
}

fn authorization(of: &Device) -> String {
    use base64::Engine as _;
    let word = base64::engine::general_purpose::STANDARD.encode(format!("{}:{}", of.username, of.password));
    format!("Authorization: Basic {word}\r\n")
}

async fn propfind(phone: &Device, path: &str, body: &str) -> DavAnswer {
    phone.send("PROPFIND", path, &[("depth", "0")], body.as_bytes()).await
}

/// A request without a body, as it is.
async fn asks(app: &TestApp, who: &Device, method: &str, target: &str, more: &str) -> (u16, String) {
    let head =
        format!("{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{}{more}", authorization(who));
    raw(app, &format!("{head}Content-Length: 0\r\n\r\n")).await
}

story! {
    async fn what_is_too_much_is_refused(app) {
        let phone = device(&app.person("alice").await, "phone").await;
        let book = phone.book("personal");
        let path = format!("{book}1.vcf");
        let too_large = card("u", "x", &format!("NOTE:{}\r\n", "x".repeat(1024 * 1024)));
        phone.put(&path, &too_large, &[]).await.refused(403, &Name::carddav("max-resource-size"));
        let large = card("u", "x", &format!("NOTE:{}\r\n", "x".repeat(1000 * 1000)));
        phone.put(&path, &large, &[]).await.expect(201);
        phone.put(&format!("{book}{}.vcf", "n".repeat(252)), &card("v", "x", ""), &[]).await.expect(403);
        phone.put(&format!("{book}{}", "n".repeat(255)), &card("v", "x", ""), &[]).await.expect(201);
        propfind(&phone, &book, &" ".repeat(5 * 1024 * 1024)).await.expect(413);
        let many = |what: &str, n: usize| what.repeat(n);
        let deep = format!("<propfind xmlns='DAV:'>{}{}</propfind>", many("<prop>", 40), many("</prop>", 40));
        propfind(&phone, &book, &deep).await.expect(400);
        let wide: String = (0..300).map(|n| format!("<p{n}/>")).collect();
        propfind(&phone, &book, &format!("<propfind xmlns='DAV:'><prop>{wide}</prop></propfind>")).await.expect(400);
        propfind(&phone, &book, &format!("<propfind xmlns='DAV:'>{}</propfind>", many("<x/>", 100_001))).await.expect(413);
        let attributes: String = (0..100).map(|n| format!(" a{n}='1'")).collect();
        propfind(&phone, &book, &format!("<propfind xmlns='DAV:'{attributes}/>")).await.expect(400);
        let hrefs = many("<href>/dav/</href>", 20_001);
        let body = format!("<prop><getetag/></prop>{hrefs}");
        phone.report(&book, "C:addressbook-multiget", &body).await.expect(413);
        let filters = many("<C:prop-filter name='FN'/>", 300);
        let refused = phone.report(&book, "C:addressbook-query", &format!("<prop/><C:filter>{filters}</C:filter>")).await;
        assert!((400..500).contains(&refused.status), "{}", refused.body);
        let set = |n: usize, value: &str| format!("<propertyupdate {NAMESPACES}><set><prop><p{n} xmlns='urn:x'>{value}</p{n}></prop></set></propertyupdate>");
        let patched = phone.send("PROPPATCH", &book, &[], set(0, &many("x", 20_000)).as_bytes()).await.expect(207);
        assert!(patched.item(&book).has_status(507), "{}", patched.body);
        for n in 0..100 {
            let patched = phone.send("PROPPATCH", &book, &[], set(n, "x").as_bytes()).await.expect(207);
            assert!(patched.item(&book).has_status(200));
        }
        let over = phone.send("PROPPATCH", &book, &[], set(100, "x").as_bytes()).await;
        assert!(over.status == 409 || over.status == 507 || over.item(&book).has_status(507), "{}", over.body);
        for n in 0..48 {
            phone.send("MKCOL", &phone.book(&format!("b{n}")), &[], b"").await.expect(201);
        }
        phone.send("MKCOL", &phone.book("more"), &[], b"").await.expect(507);
    }

    async fn an_answer_is_never_in_memory_whole(app) {
        let phone = device(&app.person("alice").await, "phone").await;
        let book = phone.book("personal");
        let large = |n: usize| card(&format!("u{n}"), "x", &format!("NOTE:{}\r\n", "ö".repeat(500_000)));
        for n in 0..12 {
            phone.put(&format!("{book}{n}.vcf"), &large(n), &[]).await.expect(201);
        }
        let all = |answer: &DavAnswer| {
            // Whose length was known beforehand was in memory in one piece.
            assert_eq!(answer.header("content-length"), None);
            let mut present = answer.present();
            present.sort();
            present.dedup();
            assert_eq!((present.len(), answer.items().len()), (12, 12));
        };
        let cards = "<prop><getetag/><C:address-data/></prop>";
        let hrefs: String = (0..12).map(|n| format!("<href>{book}{n}.vcf</href>")).collect();
        all(&phone.report(&book, "C:addressbook-multiget", &format!("{cards}{hrefs}")).await.expect(207));
        all(&phone.report(&book, "C:addressbook-query", &format!("{cards}<C:filter/>")).await.expect(207));
        let inner = format!("<sync-token/><sync-level>1</sync-level>{cards}");
        let synced = phone.report(&book, "sync-collection", &inner).await.expect(207);
        all(&synced);
        assert!(phone.sync(&book, &synced.token(), "").await.items().is_empty());
        let file = phone.get(&book).await.expect(200);
        assert_eq!(file.header("content-length"), None);
        assert_eq!(file.body.matches("BEGIN:VCARD").count(), 12);

        // One card under ten thousand spellings and repetitions of its address is one answer.
        let hrefs = format!("<href>{book}1.vcf</href><href>{book}%31.vcf</href>").repeat(5_000);
        let one = phone.report(&book, "C:addressbook-multiget", &format!("{cards}{hrefs}")).await.expect(207);
        assert_eq!((one.items().len(), one.body.len() < 1_100_000), (1, true));

        // Conditions may look at much, and not at everything two hundred times.
        for n in 12..16 {
            phone.put(&format!("{book}{n}.vcf"), &large(n), &[]).await.expect(201);
        }
        let condition = |n: usize| format!("<C:prop-filter name='NOTE'><C:text-match>ö{n}</C:text-match></C:prop-filter>");
        let search = async |count: usize| {
            let conditions: String = (0..count).map(condition).collect();
            phone.report(&book, "C:addressbook-query", &format!("<prop><getetag/></prop><C:filter>{conditions}</C:filter>")).await.expect(207)
        };
        assert!(search(3).await.items().is_empty());
        let most = search(100).await;
        assert!(most.item(&book).status == Some(507) && most.body.contains("number-of-matches-within-limits"), "{}", most.body);
    }

    async fn kept_properties_count_for_the_account(app) {
        let phone = device(&app.person("alice").await, "phone").await;
        let book = phone.book("personal");
        let path = |n: usize| format!("{book}{n}.vcf");
        for n in 0..6 {
            phone.put(&path(n), &card(&format!("u{n}"), "x", ""), &[]).await.expect(201);
        }
        let value = "x".repeat(16_000);
        let set: String = (0..100).map(|p| format!("<p{p} xmlns='urn:x'>{value}</p{p}>")).collect();
        let set = format!("<propertyupdate {NAMESPACES}><set><prop>{set}</prop></set></propertyupdate>");
        let set_on = async |n: usize| phone.send("PROPPATCH", &path(n), &[], set.as_bytes()).await;
        for n in 0..4 {
            set_on(n).await.expect(207);
        }
        // A copy has them too, and a copy over a copy makes no more of them.
        let copy = format!("{}copy.vcf", phone.book("messenger"));
        for status in [201, 204] {
            phone.send("COPY", &path(0), &[("destination", &copy)], b"").await.expect(status);
        }
        phone.delete(&copy, &[]).await.expect(204);
        set_on(4).await.expect(207);
        let full = Name::dav("quota-not-exceeded");
        set_on(5).await.refused(507, &full);
        let asked = phone.propfind(&path(5), "0", "<p1 xmlns='urn:x'/>").await.expect(207);
        assert!(asked.item(&path(5)).prop(200, &Name::from_clark("{urn:x}p1").unwrap()).is_none(), "all or nothing");
        phone.send("COPY", &path(0), &[("destination", &copy)], b"").await.refused(507, &full);
        phone.get(&copy).await.expect(404);
        // What is set anew, moved or taken away makes no more of them.
        set_on(4).await.expect(207);
        phone.send("MOVE", &path(4), &[("destination", &copy)], b"").await.expect(201);
        phone.delete(&path(0), &[]).await.expect(204);
        set_on(5).await.expect(207);
    }

    async fn who_has_a_card_already_is_told_so_and_not_a_byte_more(app) {
        app.pool(3).await;
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        app.verify_mobile(&alice, "+12025550101").await;
        alice.befriends(&bob).await;
        app.settle().await;
        let phone = device(&alice, "phone").await;
        let listed = phone.propfind(&phone.book("messenger"), "1", "<getetag/>").await.expect(207);
        let path = listed.items().iter().map(|i| i.href.clone()).find(|href| href.ends_with(".vcf")).unwrap();
        let etag = phone.get(&path).await.expect(200).header("etag").unwrap().to_owned();
        // A second phone that has the card from elsewhere: nothing is known of it, and it is written down now.
        let second = device(&alice, "second").await;
        let known = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{}If-None-Match: {etag}\r\n\r\n", authorization(&second));
        let more = format!("OPTIONS {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let (status, text) = raw(app, &(known + &more)).await;
        assert_eq!(status, 304, "{text}");
        let (_, rest) = text.split_once("\r\n\r\n").unwrap();
        assert!(rest.starts_with("HTTP/1.1 200"), "{text}");
    }

    async fn xml_cannot_blow_up_or_reach_out(app) {
        let phone = device(&app.person("alice").await, "phone").await;
        let book = phone.book("personal");
        let entities: String = (1..10).map(|n| format!("<!ENTITY l{n} \"{}\">", format!("&l{};", n - 1).repeat(10))).collect();
        let laughs = format!("<!DOCTYPE l [<!ENTITY l0 \"ha\">{entities}]><propfind xmlns='DAV:'><prop>&l9;</prop></propfind>");
        propfind(&phone, &book, &laughs).await.expect(400);
        let quadratic = format!("<!DOCTYPE q [<!ENTITY a \"{}\">]><propfind xmlns='DAV:'>{}</propfind>", "a".repeat(100_000), "&a;".repeat(10_000));
        propfind(&phone, &book, &quadratic).await.expect(400);
        for outside in ["SYSTEM \"file:///etc/passwd\"", "SYSTEM \"http://127.0.0.1:1/\"", "PUBLIC \"x\" \"http://127.0.0.1:1/\""] {
            let body = format!("<!DOCTYPE x [<!ENTITY x {outside}>]><propfind xmlns='DAV:'><prop>&x;</prop></propfind>");
            let answer = propfind(&phone, &book, &body).await.refused(403, &Name::dav("no-external-entities"));
            assert!(!answer.body.contains("root:"));
            let patch = format!("<!DOCTYPE x [<!ENTITY x {outside}>]><propertyupdate xmlns='DAV:'><set><prop><displayname>&x;</displayname></prop></set></propertyupdate>");
            phone.send("PROPPATCH", &book, &[], patch.as_bytes()).await.expect(403);
        }
        phone.send("PROPFIND", &book, &[("depth", "0")], b"<propfind xmlns='DAV:'>\xff\xfe</propfind>").await.expect(400);
        phone.send("PROPFIND", &book, &[("depth", "0")], b"<propfind xmlns='DAV:'>\x00</propfind>").await.expect(400);
        assert_eq!(phone.propfind(&book, "0", "<displayname/>").await.item(&book).text(&Name::dav("displayname")).unwrap(), "Contacts");
    }

    async fn paths_lead_nowhere_else(app) {
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        let (phone, victim) = (device(&alice, "phone").await, device(&bob, "phone").await);
        let secret = format!("{}1.vcf", victim.book("personal"));
        victim.put(&secret, &card("u", "Secret", ""), &[]).await.expect(201);
        let home = "/dav/addressbooks/alice";
        for target in [
            "/dav/addressbooks/alice/../bob/personal/1.vcf",
            "/dav/addressbooks/alice/personal/../../bob/personal/1.vcf",
            "/dav/addressbooks/alice/%2e%2e/bob/personal/1.vcf",
            "/dav/addressbooks/alice/%2E%2E/bob/personal/1.vcf",
            "/dav/addressbooks/alice/.%2e/bob/personal/1.vcf",
            "/dav/addressbooks/alice/..%2fbob%2fpersonal%2f1.vcf",
            "/dav/addressbooks/alice%2f..%2fbob/personal/1.vcf",
            "/dav/addressbooks/alice/%252e%252e/bob/personal/1.vcf",
            "/dav/addressbooks/alice/%c0%ae%c0%ae/bob/personal/1.vcf",
            "/dav/addressbooks/bob%00alice/personal/1.vcf",
            "/dav/addressbooks/alice%00/../bob/personal/1.vcf",
            "/dav/addressbooks/alice/..\\bob/personal/1.vcf",
            "/dav/addressbooks/alice;/../bob/personal/1.vcf",
            "/dav/addressbooks//bob/personal/1.vcf",
            "/dav/./addressbooks/bob/personal/1.vcf",
            "/dav/addressbooks/bob/personal/1.vcf?alice",
            "/dav/addressbooks/BOB/personal/1.vcf",
            "/dav/addressbooks/%62ob/personal/1.vcf",
        ] {
            for method in ["GET", "DELETE", "PROPFIND"] {
                let (status, text) = asks(app, &phone, method, target, "").await;
                assert!((400..500).contains(&status) && !text.contains("Secret"), "{method} {target}: {text}");
            }
        }
        for name in ["%00.vcf", "a%00b.vcf", "%2e%2e", "%2e", "a%2fb.vcf", "%0d%0aX.vcf", "%c0%ae.vcf", "%ff.vcf", "%ed%a0%80.vcf"] {
            let body = card("w", "x", "");
            let head = format!("PUT {home}/personal/{name} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{}", authorization(&phone));
            let (status, text) = raw(app, &format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())).await;
            assert!((400..500).contains(&status), "{name}: {text}");
        }
        let own = format!("{home}/personal/own.vcf");
        phone.put(&own, &card("own", "Mine", ""), &[]).await.expect(201);
        for destination in ["/dav/addressbooks/bob/personal/x.vcf", "/dav/addressbooks/alice/../bob/personal/x.vcf", "/dav/addressbooks/%62ob/personal/x.vcf", "http://elsewhere.example/dav/addressbooks/alice/personal/x.vcf", "/etc/passwd", "x", ""] {
            for method in ["COPY", "MOVE"] {
                let (status, _) = asks(app, &phone, method, &own, &format!("Destination: {destination}\r\n")).await;
                assert!((400..=502).contains(&status) && status != 500, "{method} {destination}: {status}");
            }
        }
        phone.get(&own).await.expect(200);
        assert_eq!(victim.get(&secret).await.expect(200).body, card("u", "Secret", ""));
        assert_eq!(victim.propfind(&victim.book("personal"), "1", "<getetag/>").await.items().len(), 2);
        let long = format!("{home}/personal/{}", "a".repeat(5_000));
        assert!((400..500).contains(&asks(app, &phone, "GET", &long, "").await.0));
        let padded = format!("X-Pad: {}\r\n", "a".repeat(300_000));
        let (status, _) = asks(app, &phone, "GET", &own, &padded).await;
        assert!((400..500).contains(&status) || status == 0, "{status}");
    }

    async fn a_slow_client_delays_nobody(app) {
        let alice = app.person("alice").await;
        let (phone, slow) = (device(&alice, "phone").await, device(&alice, "slow").await);
        let book = phone.book("personal");
        let address = app.url.trim_start_matches("http://").to_owned();
        let mut open = Vec::new();
        for n in 0..60 {
            let mut stream = TcpStream::connect(&address).await.unwrap();
            let begun = match n % 3 {
                // Half a head, a head without its body, half a body.
                0 => format!("PUT {book}s{n}.vcf HTTP/1.1\r\nHost: x\r\nX-Slow: "),
                1 => format!("PUT {book}s{n}.vcf HTTP/1.1\r\nHost: x\r\n{}Content-Length: 500\r\n\r\n", authorization(&slow)),
                _ => format!("PROPFIND {book} HTTP/1.1\r\nHost: x\r\n{}Content-Length: 500\r\n\r\n<propfind", authorization(&slow)),
            };
            stream.write_all(begun.as_bytes()).await.unwrap();
            open.push(stream);
        }
        let work = async {
            for n in 0..10 {
                phone.put(&format!("{book}{n}.vcf"), &card(&format!("u{n}"), "x", ""), &[]).await.expect(201);
                phone.propfind(&book, "0", "<sync-token/>").await.expect(207);
            }
        };
        tokio::time::timeout(Duration::from_secs(10), work).await.expect("nobody waits for the slow ones");
        drop(open);
        let listed = phone.propfind(&book, "1", "<getetag/>").await.expect(207);
        assert_eq!(listed.items().len(), 11, "what never came whole is not there");
    }

    async fn a_wrong_key_is_slow_and_the_right_one_works(app) {
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        let (phone, other) = (device(&alice, "phone").await, device(&bob, "phone").await);
        let with = |username: &str, n: usize| {
            let mut device = phone.clone();
            device.username = username.to_owned();
            device.password = format!("guess-{n}");
            device
        };
        let mut statuses = Vec::new();
        for n in 0..25 {
            statuses.push(with("alice", n).propfind("/dav/", "0", "<displayname/>").await.status);
        }
        assert!(statuses.iter().all(|s| [401, 429].contains(s)) && statuses.last() == Some(&429), "{statuses:?}");
        // The owner gets in all the while, from a device that was there before and from a new one.
        phone.propfind("/dav/", "0", "<displayname/>").await.expect(207);
        device(&alice, "tablet").await.propfind("/dav/", "0", "<displayname/>").await.expect(207);
        other.propfind("/dav/", "0", "<displayname/>").await.expect(207);
        // By address too: one machine that tries many names.
        let mut last = 0;
        for n in 0..70 {
            let nobody = with(&format!("nobody{n}"), n);
            last = nobody.propfind("/dav/", "0", "<displayname/>").await.status;
        }
        assert_eq!(last, 429);
        phone.propfind("/dav/", "0", "<displayname/>").await.expect(207);
        for header in ["Basic", "Basic !!!", "Basic YWxpY2U=", "Bearer x", "Digest username=alice", "\u{1}"] {
            let (status, _) = raw(app, &format!("PROPFIND /dav/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: {header}\r\nContent-Length: 0\r\n\r\n")).await;
            assert!([400, 401, 429].contains(&status), "{header:?}: {status}");
        }
    }
}
