//! Three clients with memories of their own, changing and syncing in whatever order: in the end all hold the same.

use std::collections::BTreeMap;

use crate::support::TestApp;
use crate::support::dav::{Device, card, device};

/// Orders tried, and steps of each.
const ORDERS: u64 = 12;
const STEPS: usize = 45;
/// Cards they meet over; few, so that they do meet.
const CARDS: u64 = 5;

/// A client as they are made: a copy of the book with tags, and the token it has got to.
struct Copy {
    phone: Device,
    book: String,
    cards: BTreeMap<String, (String, String)>,
    token: String,
}

impl Copy {
    async fn sync(&mut self) {
        loop {
            let inner = format!(
                "<sync-token>{}</sync-token><sync-level>1</sync-level><limit><nresults>2</nresults></limit><prop><getetag/></prop>",
                self.token
            );
            let page = self.phone.report(&self.book, "sync-collection", &inner).await.expect(207);
            for gone in page.gone() {
                self.cards.remove(&gone);
            }
            for item in page.items().into_iter().filter(|i| i.status.is_none()) {
                let got = self.phone.get(&item.href).await;
                match got.status {
                    200 => {
                        drop(self.cards.insert(item.href, (got.header("etag").unwrap().to_owned(), got.body)))
                    }
                    // Gone meanwhile: the next list says so.
                    status => assert_eq!(status, 404),
                }
            }
            self.token = page.token();
            if !page.items().iter().any(|i| i.status == Some(507)) {
                return;
            }
        }
    }

    /// Writes or deletes as a client does that has last synced some time ago; what it does not know of is not lost.
    async fn change(&mut self, dice: &mut Dice, who: usize) {
        let n = dice.roll(CARDS);
        let path = format!("{}{n}.vcf", self.book);
        let known = self.cards.get(&path).map(|(etag, _)| etag.clone());
        let condition = match &known {
            Some(etag) => ("if-match", etag.as_str()),
            None => ("if-none-match", "*"),
        };
        if known.is_some() && dice.roll(3) == 0 {
            if self.phone.delete(&path, &[condition]).await.status == 204 {
                self.cards.remove(&path);
            }
            return;
        }
        let body = card(&format!("uid-{n}"), &format!("client {who} turn {}", dice.turn), "");
        let put = self.phone.put(&path, &body, &[condition]).await;
        match put.status {
            201 | 204 => drop(self.cards.insert(path, (put.header("etag").unwrap().to_owned(), body))),
            status => assert_eq!(status, 412, "{}", put.body),
        }
    }
}

/// Numbers that look like chance and come again.
struct Dice {
    state: u64,
    turn: usize,
}

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.state =
            self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) % sides
    }
}

async fn one_order(app: &TestApp, seed: u64) {
    let person = app.person(&format!("alice{seed}")).await;
    let mut dice = Dice { state: seed, turn: 0 };
    let mut copies = Vec::new();
    for n in 0..3 {
        let phone = device(&person, &format!("phone {n}")).await;
        let book = phone.book("personal");
        copies.push(Copy { phone, book, cards: BTreeMap::new(), token: String::new() });
    }
    for turn in 0..STEPS {
        dice.turn = turn;
        let who = usize::try_from(dice.roll(3)).unwrap();
        match dice.roll(3) {
            0 => copies[who].sync().await,
            _ => copies[who].change(&mut dice, who).await,
        }
    }
    for copy in &mut copies {
        copy.sync().await;
    }
    let listed = copies[0].phone.propfind(&copies[0].book, "1", "<getetag/>").await.expect(207);
    let fresh: BTreeMap<String, String> = listed
        .items()
        .into_iter()
        .filter(|i| i.href != copies[0].book)
        .map(|i| (i.href.clone(), i.etag()))
        .collect();
    for (n, copy) in copies.iter().enumerate() {
        let held: BTreeMap<String, String> =
            copy.cards.iter().map(|(path, (etag, _))| (path.clone(), etag.clone())).collect();
        assert_eq!(held, fresh, "client {n} of order {seed}");
        assert_eq!(copy.cards, copies[0].cards, "client {n} of order {seed}");
    }
}

story! {
    async fn every_order_of_changes_and_syncs_ends_the_same(app) {
        for seed in 1..=ORDERS {
            one_order(app, seed).await;
        }
    }
}
