//! addressbook-query (RFC 6352 8.6), book by book and page by page: what is found leaves before the next page is read,
//! and no query takes the time of others.

use std::collections::{HashSet, VecDeque};

use super::scribe::Scribe;
use crate::contacts::books::{self, AddressBook, ObjectText};
use crate::contacts::card_filter::{self, Work};
use crate::contacts::sharing;
use crate::contacts::vcard::Card;
use crate::dav::filter::Filter;
use crate::dav::{Name, Precondition};
use crate::db::Db;
use crate::error::{Kind, Result};

/// Objects read at once.
const PAGE: i64 = 200;
/// Bytes of cards looked at before others have their turn at the database.
const TURN_BYTES: usize = 4 * 1024 * 1024;
/// Work of conditions in one turn, beside the card with which it is done: a tenth of a second or two.
const TURN_WORK: u64 = 128 * 1024 * 1024;

/// A query and how far it is.
pub struct Search {
    pub filter: Filter,
    /// Whether it looks through several books.
    pub is_wide: bool,
    /// Only this object, where a query asks of one.
    pub only: Option<String>,
    /// The books that are still to be looked through.
    pub books: VecDeque<AddressBook>,
    /// Up to which counter the first of them has been.
    pub after: i64,
    /// Up to which name, where names give the order: who wants the first few only gets the same ones each time.
    pub after_name: Option<String>,
    /// How many more may be shown.
    pub room: usize,
    /// How much more may be compared.
    pub work: Work,
    /// What was shown of the first book: a card that is changed meanwhile is met again, and shown once.
    pub shown: HashSet<String>,
    /// The address of what was asked, to say there that this is not all.
    pub itself: String,
}

impl Search {
    /// Looks through the next cards; answers whether it is done.
    pub fn step(&mut self, db: &mut Db, scribe: &mut Scribe) -> Result<bool> {
        let mut turn = Turn { bytes: 0, before: self.work };
        while let Some(book) = self.books.front().cloned() {
            match sharing::check_read(db, book.account_id, book.id, scribe.login.account) {
                // Closed to who asks since he began: of the others he is told all the same.
                Err(error) if self.is_wide && matches!(error.kind(), Kind::NotFound) => {
                    self.next_book();
                    continue;
                }
                checked => checked?,
            }
            let page = match &self.only {
                Some(name) => {
                    books::find(db, book.account_id, book.id, name)?.into_iter().map(Into::into).collect()
                }
                None => match &self.after_name {
                    Some(after) => books::page_by_name(db, book.account_id, book.id, after, PAGE)?,
                    None => books::page(db, book.account_id, book.id, self.after, PAGE)?,
                },
            };
            if page.is_empty() {
                self.next_book();
                continue;
            }
            let found = self.look_at(page, &mut turn);
            let fit = found.len() <= self.room && !self.work.is_spent();
            let names: Vec<&str> = found.iter().map(|o| o.name.as_str()).collect();
            let kept = scribe.kept(db, &book, &names)?;
            for object in found.iter().take(self.room) {
                scribe.whole(&book, object, &kept);
            }
            self.room = self.room.saturating_sub(found.len());
            if !fit {
                // RFC 6352 8.6.2: what is shown is not all.
                let why = Precondition::Named(Name::dav("number-of-matches-within-limits"));
                scribe.ms.status_response(&self.itself, 507, Some(&why));
                return Ok(true);
            }
            if self.only.is_some() {
                self.next_book();
            }
            if turn.is_over(self.work) {
                return Ok(self.books.is_empty());
            }
        }
        Ok(true)
    }

    fn next_book(&mut self) {
        self.books.pop_front();
        self.shown.clear();
        self.after = -1;
        self.after_name.iter_mut().for_each(String::clear);
    }

    /// What matches of a page and was not shown yet, up to where the turn or all work is over.
    fn look_at(&mut self, page: Vec<ObjectText>, turn: &mut Turn) -> Vec<ObjectText> {
        let mut found = Vec::new();
        for object in page {
            if turn.is_over(self.work) || self.work.is_spent() {
                break;
            }
            turn.bytes += object.body.len();
            self.after = object.seq;
            if let Some(after) = &mut self.after_name {
                after.clone_from(&object.name);
            }
            if self.is_match(&object) && self.shown.insert(object.name.clone()) {
                found.push(object);
            }
        }
        found
    }

    fn is_match(&mut self, object: &ObjectText) -> bool {
        // One card that cannot be read must not fail the report.
        self.filter.properties.is_empty()
            || Card::parse(&object.body)
                .is_ok_and(|card| card_filter::matches(&card, &self.filter, &mut self.work))
    }
}

/// What has been done since the database was asked for its time.
struct Turn {
    bytes: usize,
    before: Work,
}

impl Turn {
    fn is_over(&self, work: Work) -> bool {
        self.bytes >= TURN_BYTES || work.since(self.before) >= TURN_WORK
    }
}
