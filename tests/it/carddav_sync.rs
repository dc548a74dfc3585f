//! Following a book: deltas by token, tokens that are not known, pages, and the same picture on every phone however
//! writes and syncs interleave.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use meari::dav::Name;

use crate::support::dav::{DavAnswer, Device, card, device};

const LIMIT: &str = "<limit><nresults>3</nresults></limit>";

fn take(picture: &mut BTreeMap<String, String>, answer: &DavAnswer) {
    for item in answer.items() {
        match item.status {
            None => {
                picture.insert(item.href.clone(), item.etag());
            }
            Some(404) => {
                picture.remove(&item.href);
            }
            Some(507) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn listing(phone: &Device, book: &str) -> BTreeMap<String, String> {
    let answer = phone.propfind(book, "1", "<getetag/>").await.expect(207);
    answer.items().into_iter().filter(|i| i.href != book).map(|i| (i.href.clone(), i.etag())).collect()
}

story! {
    async fn a_token_of_any_age_tells_what_changed_since_and_how_it_is_now(app) {
        let alice = app.person("alice").await;
        let (phone, other) = (device(&alice, "phone").await, device(&alice, "other").await);
        let book = phone.book("personal");
        let path = |n: usize| format!("{book}{n}.vcf");
        let mut known = vec![(other.sync(&book, "", "").await.expect(207).token(), BTreeMap::new())];
        // Twelve writes, some of the same card, and a deletion and a move between: more than anybody remembers.
        for step in 0..14 {
            match step {
                7 => drop(phone.delete(&path(1), &[]).await.expect(204)),
                10 => drop(phone.send("MOVE", &path(2), &[("destination", &path(90))], b"").await.expect(201)),
                _ => drop(phone.put(&path(step % 5), &card(&format!("u{}", step % 5), &format!("x{step}"), ""), &[]).await),
            }
            let now = listing(&other, &book).await;
            for (token, picture) in &known {
                let delta = other.sync(&book, token, "").await.expect(207);
                let mut picture = picture.clone();
                take(&mut picture, &delta);
                assert_eq!(picture, now, "after {step}");
                let unique: std::collections::BTreeSet<_> = delta.items().into_iter().map(|i| i.href).collect();
                assert_eq!(unique.len(), delta.items().len(), "each once");
                let again = other.sync(&book, &delta.token(), "").await.expect(207);
                assert!(again.items().is_empty());
                // In pages it is the same.
                let (mut picture, mut token) = (known.iter().find(|(t, _)| t == token).unwrap().1.clone(), token.clone());
                loop {
                    let part = other.sync(&book, &token, LIMIT).await.expect(207);
                    take(&mut picture, &part);
                    token = part.token();
                    if part.items().iter().all(|i| i.status != Some(507)) {
                        break;
                    }
                }
                assert_eq!(picture, now, "in pages, after {step}");
            }
            known.push((other.sync(&book, &known[0].0, "").await.token(), now));
        }
    }

    async fn a_phone_hears_of_every_change_once(app) {
        let phone = device(&app.person("alice").await, "phone").await;
        let book = phone.book("personal");
        let path = |n: usize| format!("{book}{n}.vcf");
        let start = phone.sync(&book, "", "").await.expect(207);
        assert!(start.items().is_empty());
        let mut token = start.token();
        for n in 0..3 {
            phone.put(&path(n), &card(&format!("u{n}"), "x", ""), &[]).await.expect(201);
        }
        let delta = phone.sync(&book, &token, "").await.expect(207);
        assert_eq!(delta.present(), [path(0), path(1), path(2)]);
        token = delta.token();
        assert!(phone.sync(&book, &token, "").await.expect(207).items().is_empty());
        phone.put(&path(1), &card("u1", "y", ""), &[]).await.expect(204);
        phone.delete(&path(0), &[]).await.expect(204);
        let delta = phone.sync(&book, &token, "").await.expect(207);
        assert_eq!((delta.present(), delta.gone()), (vec![path(1)], vec![path(0)]));
        // Deleted and made again: only the new one is told.
        phone.put(&path(0), &card("u0", "z", ""), &[]).await.expect(201);
        let delta = phone.sync(&book, &token, "").await.expect(207);
        assert_eq!((delta.present(), delta.gone()), (vec![path(1), path(0)], vec![]));
        // The same bytes again are no change.
        token = delta.token();
        phone.put(&path(0), &card("u0", "z", ""), &[]).await.expect(204);
        assert_eq!(phone.sync(&book, &token, "").await.token(), token);
        let props = "<sync-token/><CS:getctag/>";
        let polled = phone.propfind(&book, "0", props).await.expect(207).item(&book);
        assert_eq!(polled.text(&Name::dav("sync-token")).unwrap(), token);
        let ctag = polled.text(&Name::calendar_server("getctag")).unwrap();
        phone.delete(&path(2), &[]).await.expect(204);
        let polled = phone.propfind(&book, "0", props).await.expect(207).item(&book);
        assert_ne!(polled.text(&Name::calendar_server("getctag")).unwrap(), ctag);
        assert_ne!(polled.text(&Name::dav("sync-token")).unwrap(), token);
    }

    async fn unknown_tokens_are_said_to_be_so(app) {
        let phone = device(&app.person("alice").await, "phone").await;
        let book = phone.book("personal");
        let token = phone.sync(&book, "", "").await.token();
        let other = phone.sync(&phone.book("messenger"), "", "").await.token();
        for bad in [format!("{token}9"), other, "http://sabre.io/ns/sync/1".into(), "x".into(), token.replace("data:,", "data:")] {
            phone.sync(&book, &bad, "").await.refused(403, &Name::dav("valid-sync-token"));
        }
        phone.report(&phone.home(), "sync-collection", "<sync-token/><sync-level>1</sync-level><prop/>").await.expect(403);
        let body = "<sync-collection xmlns='DAV:'><sync-token/><sync-level>1</sync-level><prop/></sync-collection>";
        phone.send("REPORT", &book, &[("depth", "1")], body.as_bytes()).await.expect(400);
        phone.send("REPORT", &book, &[], body.as_bytes()).await.expect(207);
        phone.report(&book, "sync-collection", "<sync-level>1</sync-level><prop/>").await.expect(400);
    }

    async fn pages_lead_to_the_whole(app) {
        let phone = device(&app.person("alice").await, "phone").await;
        let book = phone.book("personal");
        for n in 0..8 {
            phone.put(&format!("{book}{n}.vcf"), &card(&format!("u{n}"), "x", ""), &[]).await.expect(201);
        }
        let (mut picture, mut token, mut pages) = (BTreeMap::new(), String::new(), 0);
        loop {
            let page = phone.sync(&book, &token, LIMIT).await.expect(207);
            take(&mut picture, &page);
            token = page.token();
            pages += 1;
            // Changes between the pages: one behind, one ahead of where the listing is.
            if pages == 1 {
                phone.delete(&format!("{book}0.vcf"), &[]).await.expect(204);
                phone.delete(&format!("{book}7.vcf"), &[]).await.expect(204);
                phone.put(&format!("{book}1.vcf"), &card("u1", "changed", ""), &[]).await.expect(204);
            }
            if !page.items().iter().any(|i| i.status == Some(507)) {
                break;
            }
            assert!(page.body.contains("number-of-matches-within-limits"));
            assert!(page.items().len() <= 4 && pages < 10);
        }
        assert!(pages > 2);
        assert_eq!(picture, listing(&phone, &book).await);
        let whole = phone.sync(&book, &token, "").await.expect(207);
        assert!(whole.items().is_empty(), "{}", whole.body);
    }

    async fn cards_may_come_with_the_delta(app) {
        let phone = device(&app.person("alice").await, "phone").await;
        let book = phone.book("personal");
        let body = card("u", "x", "NOTE:n\r\n");
        phone.put(&format!("{book}a.vcf"), &body, &[]).await.expect(201);
        let inner = "<sync-token/><sync-level>1</sync-level><prop><getetag/><C:address-data/></prop>";
        let answer = phone.report(&book, "sync-collection", inner).await.expect(207);
        assert_eq!(answer.items()[0].card(), body);
        // No properties at all: the members are still told.
        let answer = phone.report(&book, "sync-collection", "<sync-token/><sync-level>infinite</sync-level><prop/>").await.expect(207);
        assert!(answer.items()[0].has_status(200));
    }

    async fn who_was_away_too_long_lists_anew(app) {
        let alice = app.person("alice").await;
        let phone = device(&alice, "phone").await;
        let book = phone.book("personal");
        let path = |n: usize| format!("{book}{n}.vcf");
        for n in 0..6 {
            phone.put(&path(n), &card(&format!("u{n}"), "x", ""), &[]).await.expect(201);
        }
        let old = phone.sync(&book, "", "").await.token();
        phone.delete(&path(0), &[]).await.expect(204);
        phone.delete(&path(1), &[]).await.expect(204);
        let recent = phone.sync(&book, "", "").await.token();
        phone.delete(&path(2), &[]).await.expect(204);
        let account = alice.id.parse().unwrap();
        let prune = move |db: &mut meari::db::Db| meari::contacts::books::prune_tombstones(db, account, 1);
        app.app.db.write(account, prune).await.unwrap();
        phone.sync(&book, &old, "").await.refused(403, &Name::dav("valid-sync-token"));
        assert_eq!(phone.sync(&book, &recent, "").await.expect(207).gone(), [path(2)]);
        // A first listing in pages needs no old tombstones.
        let page = phone.sync(&book, "", "<limit><nresults>1</nresults></limit>").await.expect(207);
        let rest = phone.sync(&book, &page.token(), "").await.expect(207);
        assert_eq!((page.present().len(), rest.present().len(), rest.gone().len()), (1, 2, 0));
    }

    async fn long_answers_come_in_parts_and_are_whole(app) {
        let phone = device(&app.person("alice").await, "phone").await;
        let book = phone.book("personal");
        let path = |n: usize| format!("{book}{n}.vcf");
        let body = |n: usize| card(&format!("u{n}"), &format!("Number {n}"), "NOTE:n\r\n");
        for start in (0..450).step_by(25) {
            let writes = (start..start + 25).map(|n| {
                let (phone, path, body) = (phone.clone(), path(n), body(n));
                async move { phone.put(&path, &body, &[]).await.expect(201) }
            });
            futures_util::future::join_all(writes).await;
        }
        let inner = "<sync-token/><sync-level>1</sync-level><prop><getetag/><C:address-data/></prop>";
        let answer = phone.report(&book, "sync-collection", inner).await.expect(207);
        assert_eq!(answer.header("content-length"), None, "it comes in parts");
        let cards: BTreeMap<String, String> = answer.items().iter().map(|i| (i.href.clone(), i.card())).collect();
        assert_eq!(cards, (0..450).map(|n| (path(n), body(n))).collect());
        assert!(phone.sync(&book, &answer.token(), "").await.expect(207).items().is_empty());
        let hrefs: String = (0..450).rev().map(|n| format!("<href>{}</href>", path(n))).collect();
        let inner = format!("<prop><C:address-data/></prop>{hrefs}");
        let answer = phone.report(&book, "C:addressbook-multiget", &inner).await.expect(207);
        let items = answer.items();
        assert_eq!((items.len(), items[0].card()), (450, body(449)));
    }

    async fn every_interleaving_ends_in_the_same_picture(app) {
        let phone = device(&app.person("alice").await, "phone").await;
        let book = phone.book("personal");
        let over = Arc::new(AtomicBool::new(false));
        let syncers: Vec<_> = (0..4).map(|n| actix_web::rt::spawn(follow(phone.clone(), book.clone(), over.clone(), n % 2 == 1))).collect();
        let writers: Vec<_> = (0..4).map(|w| actix_web::rt::spawn(write(phone.clone(), book.clone(), w))).collect();
        for writer in writers {
            writer.await.unwrap();
        }
        over.store(true, Ordering::SeqCst);
        let truth = listing(&phone, &book).await;
        assert!(!truth.is_empty());
        for syncer in syncers {
            assert_eq!(syncer.await.unwrap(), truth);
        }
    }
}

/// Follows tokens until nobody writes any more, and once after that.
async fn follow(phone: Device, book: String, over: Arc<AtomicBool>, paged: bool) -> BTreeMap<String, String> {
    let (mut picture, mut token) = (BTreeMap::new(), String::new());
    loop {
        let last = over.load(Ordering::SeqCst);
        let answer = phone.sync(&book, &token, if paged { LIMIT } else { "" }).await.expect(207);
        take(&mut picture, &answer);
        token = answer.token();
        let more = answer.items().iter().any(|i| i.status == Some(507));
        if last && !more {
            return picture;
        }
    }
}

/// Puts and deletes cards, some of them the same as other writers'.
async fn write(phone: Device, book: String, writer: usize) {
    for round in 0..40 {
        let n = (round * 7 + writer * 3) % 17;
        let path = format!("{book}{n}.vcf");
        if (round + writer).is_multiple_of(3) {
            let status = phone.delete(&path, &[]).await.status;
            assert!(matches!(status, 204 | 404), "{status}");
        } else {
            let body = card(&format!("u{n}"), &format!("{writer}-{round}"), "");
            let status = phone.put(&path, &body, &[]).await.status;
            assert!(matches!(status, 201 | 204), "{status}");
        }
    }
}
