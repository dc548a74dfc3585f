//! REPORT: addressbook-query, addressbook-multiget (RFC 6352 8) and sync-collection (RFC 6578).

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::Bytes;
use futures_util::StreamExt as _;

use super::answer::{self, Stop};
use super::place::Place;
use super::scribe::{Asked, Here, Kept, Scribe, answer_part, sync_part};
use super::search::Search;
use super::shelf::Shelf;
use super::{Call, CardDav, MISSING, principals, token};
use crate::clock::Timestamp;
use crate::contacts::books::{self, AddressBook, Change, SyncState};
use crate::contacts::card_filter::Work;
use crate::contacts::sharing;
use crate::dav::filter::Filter;
use crate::dav::report::{Report, Wanted};
use crate::dav::{Depth, Fault, Name, Precondition, Preferences, report as reports};
use crate::db::Db;
use crate::error::{Error, Result as CoreResult};
use crate::ids::AccountId;

/// REPORT.
pub async fn report(call: Call) -> Result<HttpResponse, Stop> {
    let report = reports::parse(&call.body)?;
    match report {
        Report::Multiget { wanted, hrefs } => multiget(call, wanted, hrefs).await,
        Report::Sync { wanted, token, limit, .. } => sync(call, wanted, &token, limit).await,
        Report::Query { wanted, filter, limit } => {
            query(call.freshened().await?, wanted, filter, limit).await
        }
        other => principals::report(call.freshened().await?, &other).await,
    }
}

async fn multiget(call: Call, wanted: Wanted, mut hrefs: Vec<String>) -> Result<HttpResponse, Stop> {
    match &call.place {
        Place::Book(_, slug) | Place::Object(_, slug, _) => {
            call.shelf.book(slug).ok_or(MISSING)?;
        }
        Place::Home(_) => {}
        _ => return Err(unsupported().into()),
    }
    let scribe = Scribe::new(&call, wanted)?;
    if hrefs.is_empty() {
        // RFC 6352 8.7: then the resource itself is meant, which must be a card.
        match &call.place {
            Place::Object(..) => hrefs.push(call.place.href()),
            _ => return Err(Fault::malformed("The multiget names no resource.").into()),
        }
    }
    let here = match &call.place {
        Place::Book(_, slug) => Some(Here { slug: slug.as_str().into(), base: call.place.href() }),
        _ => None,
    };
    let (mut seen, hasher) = (HashSet::with_capacity(hrefs.len()), RandomState::new());
    let asked: VecDeque<Asked> = hrefs
        .into_iter()
        .map(|href| Asked::read(href, here.as_ref(), &call.login))
        // Each resource has one answer (RFC 4918 14.24), however often it is asked for.
        .filter(|asked| seen.insert(hasher.hash_one(asked)))
        .collect();
    Writing::new(&call, scribe, Part::Asked(asked), None).respond(call.preferences).await
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
    // RFC 6352 8.6 wants a Depth; who asks a book without one means what is in it.
    let absent = if matches!(call.place, Place::Book(..)) { Depth::One } else { Depth::Zero };
    let depth = call.depth(absent)?;
    let scribe = Scribe::new(&call, wanted)?;
    let scope: Vec<AddressBook> = match (&call.place, depth) {
        (Place::Book(_, slug), Depth::Zero) => call.shelf.book(slug).map(|_| Vec::new()).ok_or(MISSING)?,
        (Place::Book(_, slug) | Place::Object(_, slug, _), _) => {
            vec![call.shelf.book(slug).cloned().ok_or(MISSING)?]
        }
        (Place::Home(_), Depth::Infinity) => {
            call.shelf.books.iter().map(|book| AddressBook::clone(book)).collect()
        }
        (Place::Home(_), _) => Vec::new(),
        _ => return Err(unsupported().into()),
    };
    let only = match &call.place {
        Place::Object(_, _, name) => Some(name.clone()),
        _ => None,
    };
    if let (Some(name), Some(book)) = (only.clone(), scope.first()) {
        let (owner, id, reader) = (book.account_id, book.id, call.account());
        let read = move |db: &mut Db| {
            sharing::check_read(db, owner, id, reader)?;
            books::find(db, owner, id, &name)
        };
        call.dav.app.db.read(read).await?.ok_or(MISSING)?;
    }
    let itself = call.place.href();
    let search = Search {
        filter,
        is_wide: scope.len() > 1,
        only,
        books: scope.into(),
        after: -1,
        after_name: limit.map(|_| String::new()),
        room: limit.unwrap_or(usize::MAX),
        work: Work::new(),
        shown: HashSet::new(),
        itself,
    };
    Writing::new(&call, scribe, Part::Search(Box::new(search)), None).respond(call.preferences).await
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
type Synced = (Scribe, String, Option<(AddressBook, VecDeque<Change>)>);

async fn sync(call: Call, wanted: Wanted, text: &str, limit: Option<usize>) -> Result<HttpResponse, Stop> {
    let Place::Book(_, slug) = &call.place else { return Err(unsupported().into()) };
    if call.depth(Depth::Zero)? != Depth::Zero && call.body_has_level() {
        return Err(Fault::malformed("Depth must be 0 for sync-collection.").into());
    }
    let mut scribe = Scribe::new(&call, wanted)?;
    if !call.shelf.is_stale() {
        let book = call.shelf.book(slug).ok_or(MISSING)?;
        if let Some(body) = known_delta(&call, &mut scribe, book, text, limit) {
            let knows = call.fetch(book.id, "", book.seq);
            if book.is_messenger() && call.dav.is_new(&knows) {
                // It was handed all that, and the note of it was lost.
                let answer = answer::multistatus(body, call.preferences);
                return Ok(call.dav.tell(call.now, call.account(), vec![knows], answer));
            }
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
    let part = rest.map_or(Part::Nothing, |(book, changes)| Part::Changes(Box::new(book), changes));
    Writing::new(&call, scribe, part, Some(token)).respond(call.preferences).await
}

/// The answer to a sync that needs no look at the database: nothing has changed, or a few cards of which all that is
/// asked is remembered.
fn known_delta(
    call: &Call,
    scribe: &mut Scribe,
    book: &AddressBook,
    text: &str,
    limit: Option<usize>,
) -> Option<Vec<u8>> {
    let since = token::parse(book.id, text)?;
    if since != book.state() {
        // What a device has seen of friends' cards is written down, and a listing in pages has a place of its own.
        let is_plain = scribe.wanted.address_data.is_none()
            && !scribe.needs_kept
            && !book.is_messenger()
            && since.seq == since.base
            && since.seq < book.seq;
        let changes = call.shelf.changes_since(book.id, since.seq).filter(|_| is_plain)?;
        if limit.is_some_and(|limit| changes.len() > limit) {
            return None;
        }
        for change in changes {
            match &change.object {
                Some(traits) => scribe.brief(book, &change.name, traits, &Kept::new()),
                None => scribe.gone(book, &change.name),
            }
        }
    }
    let spoken = std::mem::take(&mut scribe.ms);
    Some(spoken.finish(Some(&token::render(book.id, book.state()))))
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
    if delta.truncated {
        let why = Precondition::Named(Name::dav("number-of-matches-within-limits"));
        scribe.ms.status_response(&asked.itself, 507, Some(&why));
    } else {
        scribe.whole_book(book, delta.state.seq);
    }
    let token = token::render(book.id, delta.state);
    // Many whole cards are read and sent bit by bit, and no snapshot is held meanwhile: a card that changes until then
    // is told again by the next delta, which costs nothing but that.
    let rest = match scribe.wanted.address_data.is_some() && delta.changes.len() > books::NAMES_MAX {
        true => delta.changes.into(),
        false => sync_part(db, &mut scribe, book, delta.changes.into())?,
    };
    let rest = (!rest.is_empty()).then(|| (book.clone(), rest));
    Ok(Ok((scribe, token, rest)))
}

/// What is still to be said.
enum Part {
    Asked(VecDeque<Asked>),
    Changes(Box<AddressBook>, VecDeque<Change>),
    Search(Box<Search>),
    Nothing,
}

impl Part {
    /// Says what one read brings; answers what is left.
    fn say(self, db: &mut Db, scribe: &mut Scribe) -> CoreResult<Part> {
        Ok(match self {
            Part::Asked(asked) => match answer_part(db, scribe, asked)? {
                rest if rest.is_empty() => Part::Nothing,
                rest => Part::Asked(rest),
            },
            Part::Changes(book, changes) => {
                sharing::check_read(db, book.account_id, book.id, scribe.login.account)?;
                match sync_part(db, scribe, &book, changes)? {
                    rest if rest.is_empty() => Part::Nothing,
                    rest => Part::Changes(book, rest),
                }
            }
            Part::Search(mut search) => match search.step(db, scribe)? {
                true => Part::Nothing,
                false => Part::Search(search),
            },
            Part::Nothing => Part::Nothing,
        })
    }

    fn is_nothing(&self) -> bool {
        matches!(self, Part::Nothing)
    }
}

/// An answer that is written part by part. A short one leaves in one piece; of a long one only a part is in memory at
/// a time, and a slow client holds no database thread.
struct Writing {
    dav: Arc<CardDav>,
    now: Timestamp,
    account: AccountId,
    scribe: Scribe,
    rest: Part,
    token: Option<String>,
}

impl Writing {
    fn new(call: &Call, scribe: Scribe, rest: Part, token: Option<String>) -> Self {
        Writing { dav: call.dav.clone(), now: call.now, account: call.account(), scribe, rest, token }
    }

    /// Writes the next part behind what is written.
    async fn step(self) -> Result<Writing, Stop> {
        let Writing { dav, now, account, mut scribe, rest, token } = self;
        if rest.is_nothing() {
            return Ok(Writing { dav, now, account, scribe, rest, token });
        }
        let said = dav.app.db.read(move |db| {
            let rest = rest.say(db, &mut scribe)?;
            Ok((scribe, rest))
        });
        let (scribe, rest) = said.await?;
        Ok(Writing { dav, now, account, scribe, rest, token })
    }

    fn finish(self) -> Vec<u8> {
        self.scribe.ms.finish(self.token.as_deref())
    }

    /// What a device has been handed is written down when it has taken it: cards with the next part or the end, and what
    /// was said beforehand (that it knows the list) with the end.
    async fn respond(mut self, preferences: Preferences) -> Result<HttpResponse, Stop> {
        let mut at_the_end = std::mem::take(&mut self.scribe.fetches);
        let (dav, now, account) = (self.dav.clone(), self.now, self.account);
        let mut writing = self.step().await?;
        let mut handed = std::mem::take(&mut writing.scribe.fetches);
        if writing.rest.is_nothing() {
            handed.append(&mut at_the_end);
            let answer = answer::multistatus(writing.finish(), preferences);
            return Ok(dav.tell(now, account, handed, answer));
        }
        let first = writing.scribe.ms.take();
        let state = (Some((writing, at_the_end)), handed);
        let rest = futures_util::stream::try_unfold(state, move |(writing, handed)| {
            let dav = dav.clone();
            async move {
                dav.told(now, account, handed).await;
                let Some((writing, mut at_the_end)) = writing else { return Ok(None) };
                let mut writing = writing.step().await.map_err(Stop::into_error)?;
                let mut handed = std::mem::take(&mut writing.scribe.fetches);
                if writing.rest.is_nothing() {
                    handed.append(&mut at_the_end);
                    return Ok(Some((Bytes::from(writing.finish()), (None, handed))));
                }
                let bytes = Bytes::from(writing.scribe.ms.take());
                Ok(Some((bytes, (Some((writing, at_the_end)), handed))))
            }
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
