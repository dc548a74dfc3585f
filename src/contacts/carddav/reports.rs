//! REPORT: addressbook-query, addressbook-multiget (RFC 6352 8) and sync-collection (RFC 6578).

use std::collections::VecDeque;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::Bytes;
use futures_util::StreamExt as _;

use super::answer::{self, Stop};
use super::place::Place;
use super::scribe::{Asked, Scribe, answer_part, sync_part};
use super::shelf::Shelf;
use super::{Call, CardDav, MISSING, principals, token, with_own_handle};
use crate::clock::Timestamp;
use crate::contacts::books::{self, AddressBook, AddressObject, Change, KeptProperty, SyncState};
use crate::contacts::card_filter;
use crate::contacts::vcard::Card;
use crate::dav::filter::Filter;
use crate::dav::report::{Report, Wanted};
use crate::dav::{Depth, Fault, Name, Precondition, Preferences, report as reports};
use crate::db::Db;
use crate::error::{Error, Result as CoreResult};
use crate::ids::AccountId;

/// Objects read at once.
const PAGE: i64 = 200;
/// Addresses looked up at once.
const LOOKUP: usize = 200;

/// REPORT.
pub async fn report(call: Call) -> Result<HttpResponse, Stop> {
    let report = reports::parse(&call.body)?;
    match report {
        Report::Multiget { wanted, hrefs } => multiget(call, wanted, hrefs).await,
        Report::Sync { wanted, token, limit, .. } => sync(call, wanted, &token, limit).await,
        Report::Query { wanted, filter, limit } => {
            query(call.freshened().await?, wanted, filter, limit).await
        }
        other => principals::report(&call.freshened().await?, &other),
    }
}

async fn multiget(call: Call, wanted: Wanted, hrefs: Vec<String>) -> Result<HttpResponse, Stop> {
    match &call.place {
        Place::Book(_, slug) | Place::Object(_, slug, _) => {
            call.shelf.book(slug).ok_or(MISSING)?;
        }
        Place::Home(_) => {}
        _ => return Err(unsupported().into()),
    }
    let scribe = Scribe::new(&call, wanted)?;
    let asked: Vec<Asked> = hrefs
        .into_iter()
        .map(|text| {
            let own =
                |place: &Place| place.handle().is_some_and(|h| h.eq_ignore_ascii_case(&call.login.handle));
            let place = Place::parse_href(&text).filter(own).map(|p| with_own_handle(p, &call.login));
            Asked { text, place }
        })
        .collect();
    let parts = parts_of(asked, LOOKUP).map(Part::Asked).collect();
    Writing::new(&call, scribe, parts, None).respond(call.preferences).await
}

const fn unsupported() -> Fault {
    Fault::violated(403, Precondition::Named(Name::dav("supported-report")), "That report is not known here.")
}

async fn query(
    call: Call,
    wanted: Wanted,
    filter: Filter,
    limit: Option<usize>,
) -> Result<HttpResponse, Stop> {
    // RFC 6352 8.6 assumes 0 when there is none.
    let depth = call.depth(Depth::Zero)?;
    let mut scribe = Scribe::new(&call, wanted)?;
    let scope: Vec<AddressBook> = match (&call.place, depth) {
        (Place::Book(_, slug), Depth::Zero) => call.shelf.book(slug).map(|_| Vec::new()).ok_or(MISSING)?,
        (Place::Book(_, slug) | Place::Object(_, slug, _), _) => {
            vec![call.shelf.book(slug).cloned().ok_or(MISSING)?]
        }
        (Place::Home(_), Depth::Infinity) => call.shelf.books.clone(),
        (Place::Home(_), _) => Vec::new(),
        _ => return Err(unsupported().into()),
    };
    let only = match &call.place {
        Place::Object(_, _, name) => Some(name.clone()),
        _ => None,
    };
    let (now, account, preferences, dav) = (call.now, call.account(), call.preferences, call.dav.clone());
    let itself = call.place.href();
    let (body, fetches) = dav
        .app
        .db
        .read(move |db| {
            db.snapshot(|db| {
                let mut room = limit.unwrap_or(usize::MAX);
                let mut complete = true;
                for book in &scope {
                    complete &= match &only {
                        Some(name) => query_one(db, &mut scribe, book, name, &filter)?,
                        None => query_book(db, &mut scribe, book, &filter, &mut room)?,
                    };
                }
                if !complete {
                    // RFC 6352 8.6.2: what is shown is not all.
                    let why = Precondition::Named(Name::dav("number-of-matches-within-limits"));
                    scribe.ms.status_response(&itself, 507, Some(&why));
                }
                Ok(())
            })?;
            Ok((scribe.ms.finish(None), scribe.fetches))
        })
        .await?;
    dav.note_fetches(now, account, fetches).await?;
    Ok(answer::multistatus(body, preferences))
}

fn is_match(object: &AddressObject, filter: &Filter) -> bool {
    // One card that cannot be read must not fail the report.
    filter.properties.is_empty()
        || Card::parse(&object.body).is_ok_and(|card| card_filter::matches(&card, filter))
}

fn query_one(
    db: &mut Db,
    scribe: &mut Scribe,
    book: &AddressBook,
    name: &str,
    filter: &Filter,
) -> CoreResult<bool> {
    let kept = scribe.kept(db, book)?;
    if let Some(object) = books::find(db, book.account_id, book.id, name)?.filter(|o| is_match(o, filter)) {
        scribe.whole(book, &object, &kept);
    }
    Ok(true)
}

/// Answers whether all matches found room.
fn query_book(
    db: &mut Db,
    scribe: &mut Scribe,
    book: &AddressBook,
    filter: &Filter,
    room: &mut usize,
) -> CoreResult<bool> {
    let kept = scribe.kept(db, book)?;
    let mut after = -1;
    loop {
        let page = books::page(db, book.account_id, book.id, after, PAGE)?;
        let Some(last) = page.last() else { return Ok(true) };
        after = last.seq;
        for object in page.iter().filter(|o| is_match(o, filter)) {
            if *room == 0 {
                return Ok(false);
            }
            *room -= 1;
            scribe.whole(book, object, &kept);
        }
    }
}

const INVALID_TOKEN: Fault = Fault::violated(
    403,
    Precondition::Named(Name::dav("valid-sync-token")),
    "This token is not (any more) known; list everything anew.",
);

/// What a sync asks, away from the request.
struct SyncAsked {
    slug: String,
    token: String,
    limit: Option<usize>,
    itself: String,
}

/// What a sync has found: who speaks, the new token, and what is still to be spoken of.
type Synced = (Scribe, String, Option<(AddressBook, Vec<KeptProperty>, Vec<Change>)>);

async fn sync(call: Call, wanted: Wanted, text: &str, limit: Option<usize>) -> Result<HttpResponse, Stop> {
    let Place::Book(_, slug) = &call.place else { return Err(unsupported().into()) };
    if call.depth(Depth::Zero)? != Depth::Zero && call.body_has_level() {
        return Err(Fault::malformed("Depth must be 0 for sync-collection.").into());
    }
    let scribe = Scribe::new(&call, wanted)?;
    if !call.shelf.is_stale() {
        let book = call.shelf.book(slug).ok_or(MISSING)?;
        if token::parse(book.id, text) == Some(book.state()) {
            // Nothing has changed: known without a look at the database.
            let body = scribe.ms.finish(Some(&token::render(book.id, book.state())));
            return Ok(answer::multistatus(call.keep_answer(body), call.preferences));
        }
    }
    let asked = SyncAsked { slug: slug.clone(), token: text.to_owned(), limit, itself: call.place.href() };
    let read = move |db: &mut Db, shelf: &Arc<Shelf>| changes_since(db, shelf, scribe, &asked);
    // One snapshot for the changes and their token: what is committed between would be missed for ever.
    let found = call.dav.shelves.read_with(call.now, call.account(), read).await?;
    let (shelf, found) = found.ok_or(MISSING)?;
    let (scribe, token, rest) = found?;
    let call = Call { shelf, ..call };
    if rest.is_none() && scribe.fetches.is_empty() {
        let body = call.keep_answer(scribe.ms.finish(Some(&token)));
        return Ok(answer::multistatus(body, call.preferences));
    }
    let mut parts = VecDeque::new();
    if let Some((book, kept, changes)) = rest {
        let (book, kept) = (Arc::new(book), Arc::new(kept));
        parts.extend(parts_of(changes, LOOKUP).map(|c| Part::Changes(book.clone(), kept.clone(), c)));
    }
    Writing::new(&call, scribe, parts, Some(token)).respond(call.preferences).await
}

/// Must run in the snapshot in which the shelf was read.
fn changes_since(
    db: &mut Db,
    shelf: &Arc<Shelf>,
    mut scribe: Scribe,
    asked: &SyncAsked,
) -> CoreResult<Result<Synced, Fault>> {
    scribe.shelf = shelf.clone();
    let Some(book) = shelf.book(&asked.slug) else { return Ok(Err(MISSING)) };
    let since: Option<SyncState> = match asked.token.as_str() {
        "" => None,
        text => match token::parse(book.id, text) {
            Some(state) => Some(state),
            None => return Ok(Err(INVALID_TOKEN)),
        },
    };
    let Some(delta) = books::delta_of(db, book, since, asked.limit)? else { return Ok(Err(INVALID_TOKEN)) };
    let kept = scribe.kept(db, book)?;
    if delta.truncated {
        let why = Precondition::Named(Name::dav("number-of-matches-within-limits"));
        scribe.ms.status_response(&asked.itself, 507, Some(&why));
    } else {
        scribe.whole_book(book, delta.state.seq);
    }
    let token = token::render(book.id, delta.state);
    // Many whole cards are read and sent bit by bit, and no snapshot is held meanwhile: a card that changes until then
    // is told again by the next delta, which costs nothing but that.
    if scribe.wanted.address_data.is_some() && delta.changes.len() > LOOKUP {
        return Ok(Ok((scribe, token, Some((book.clone(), kept, delta.changes)))));
    }
    sync_part(db, &mut scribe, book, &delta.changes, &kept)?;
    Ok(Ok((scribe, token, None)))
}

fn parts_of<T>(items: Vec<T>, size: usize) -> impl Iterator<Item = Vec<T>> {
    let mut items = items.into_iter();
    std::iter::from_fn(move || {
        let part: Vec<T> = items.by_ref().take(size).collect();
        (!part.is_empty()).then_some(part)
    })
}

/// One read's worth of an answer.
enum Part {
    Asked(Vec<Asked>),
    Changes(Arc<AddressBook>, Arc<Vec<KeptProperty>>, Vec<Change>),
}

/// An answer that is written part by part. A short one leaves in one piece; of a long one only a part is in memory at
/// a time, and a slow client holds no database thread.
struct Writing {
    dav: Arc<CardDav>,
    now: Timestamp,
    account: AccountId,
    scribe: Scribe,
    parts: VecDeque<Part>,
    token: Option<String>,
}

impl Writing {
    fn new(call: &Call, scribe: Scribe, parts: VecDeque<Part>, token: Option<String>) -> Self {
        Writing { dav: call.dav.clone(), now: call.now, account: call.account(), scribe, parts, token }
    }

    /// Writes the next part behind what is written.
    async fn step(mut self) -> Result<Writing, Stop> {
        let Some(part) = self.parts.pop_front() else { return Ok(self) };
        let mut scribe = self.scribe;
        scribe = self
            .dav
            .app
            .db
            .read(move |db| {
                match &part {
                    Part::Asked(asked) => answer_part(db, &mut scribe, asked)?,
                    Part::Changes(book, kept, changes) => sync_part(db, &mut scribe, book, changes, kept)?,
                }
                Ok(scribe)
            })
            .await?;
        let fetches = std::mem::take(&mut scribe.fetches);
        self.dav.note_fetches(self.now, self.account, fetches).await?;
        self.scribe = scribe;
        Ok(self)
    }

    fn finish(self) -> Vec<u8> {
        self.scribe.ms.finish(self.token.as_deref())
    }

    async fn respond(mut self, preferences: Preferences) -> Result<HttpResponse, Stop> {
        let fetches = std::mem::take(&mut self.scribe.fetches);
        self.dav.note_fetches(self.now, self.account, fetches).await?;
        let mut writing = self.step().await?;
        if writing.parts.is_empty() {
            return Ok(answer::multistatus(writing.finish(), preferences));
        }
        let first = writing.scribe.ms.take();
        let rest = futures_util::stream::try_unfold(Some(writing), |writing| async move {
            let Some(writing) = writing else { return Ok(None) };
            let mut writing = writing.step().await.map_err(Stop::into_error)?;
            if writing.parts.is_empty() {
                return Ok(Some((Bytes::from(writing.finish()), None)));
            }
            let bytes = Bytes::from(writing.scribe.ms.take());
            Ok(Some((bytes, Some(writing))))
        });
        let first = futures_util::stream::once(async move { Ok::<_, Error>(Bytes::from(first)) });
        Ok(answer::multistatus_stream(first.chain(rest), preferences))
    }
}

impl Call {
    /// Clients of the draft, which knew no sync-level, put the depth into the header.
    fn body_has_level(&self) -> bool {
        memchr::memmem::find(&self.body, b"sync-level").is_some()
    }
}
