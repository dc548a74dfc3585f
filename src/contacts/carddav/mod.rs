//! The address books over CardDAV (RFC 6352): the door through which phones see everything of Meari.
//!
//! A request is read once (place, headers, body), answered by one function for its method, and written in one piece.
//! What may be refused is a [`Fault`] with its precondition; `Error`s of the core become statuses here.

mod answer;
mod collections;
mod gzip;
mod objects;
mod place;
mod principals;
mod properties;
mod propfind;
mod push;
mod reports;
mod scribe;
mod search;
mod shelf;
mod terms;
mod token;

pub(super) use token::render as sync_token;

use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::{Method, StatusCode, header};
use actix_web::web::{Bytes, BytesMut, Data};
use actix_web::{FromRequest, HttpRequest, HttpResponse, guard, web};
use futures_util::StreamExt as _;

use self::answer::Stop;
use self::place::Place;
use self::shelf::{AnswerKey, Shelf, Shelves};
use self::terms::{NOT_SO, Terms};
use crate::accounts::auth::PhoneLogin;
use crate::app::App;
use crate::clock::Timestamp;
use crate::contacts::books::{self, AddressBook, Fetch};
use crate::contacts::sharing::Right;
use crate::contacts::vcard::CARD_BYTES_MAX;
use crate::dav::headers::EntityTags;
use crate::dav::{Depth, EntityCondition, Fault, Name, Precondition, Preferences, href};
use crate::ids::{AccountId, AddressBookId, AppPasswordId};

/// Bytes of an XML body at most: a multiget of 20,000 addresses fits.
const XML_MAX: usize = 4 * 1024 * 1024;
/// What is too large is read up to here and thrown away, so that the client hears why instead of a broken connection.
const DISCARD_MAX: usize = 32 * 1024 * 1024;
/// How long a body may pause.
const BODY_PAUSE: Duration = Duration::from_secs(20);
/// How long a body may take.
const BODY_TIME: Duration = Duration::from_secs(300);
/// Hand-outs remembered at most, so that they are written down once.
const FETCHES_MAX: u64 = 200_000;

/// Below this everything is.
pub const ROOT: &str = "/dav";

type FetchKey = (AppPasswordId, AddressBookId, String);

/// What the edge keeps in memory. One for each process.
pub struct CardDav {
    app: App,
    shelves: Arc<Shelves>,
    fetched: moka::sync::Cache<FetchKey, i64>,
}

impl CardDav {
    /// Opens the door; it hears of every commit from now on.
    pub fn open(app: &App) -> Arc<CardDav> {
        let fetched = moka::sync::Cache::builder().max_capacity(FETCHES_MAX).build();
        Arc::new(CardDav { app: app.clone(), shelves: Shelves::open(app), fetched })
    }

    /// The answer, after which it is written down what a device has been handed with it.
    fn tell(
        self: &Arc<Self>,
        now: Timestamp,
        account: AccountId,
        fetches: Vec<Fetch>,
        response: HttpResponse,
    ) -> HttpResponse {
        if !fetches.iter().any(|fetch| self.is_new(fetch)) {
            return response;
        }
        let dav = self.clone();
        answer::followed_by(response, async move { dav.told(now, account, fetches).await })
    }

    /// Writes down what a device has taken. That it could not be is no harm: the device is only believed to have less.
    async fn told(&self, now: Timestamp, account: AccountId, fetches: Vec<Fetch>) {
        if let Err(Stop::Error(error)) = self.note_fetches(now, account, fetches).await {
            tracing::warn!(reason = %error.report(), "what a device has fetched was not written down");
        }
    }

    fn is_new(&self, fetch: &Fetch) -> bool {
        let key = (fetch.app_password, fetch.book, fetch.name.clone());
        self.fetched.get(&key).is_none_or(|seq| seq < fetch.seq)
    }

    /// Writes down what a device has been handed, what was not written down before.
    async fn note_fetches(
        &self,
        now: Timestamp,
        account: AccountId,
        fetches: Vec<Fetch>,
    ) -> Result<(), Stop> {
        let key = |f: &Fetch| (f.app_password, f.book, f.name.clone());
        let new: Vec<Fetch> = fetches.into_iter().filter(|f| self.is_new(f)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let rows = new.clone();
        self.app.db.write(account, move |db| books::note_fetches(db, now, &rows)).await?;
        for fetch in &new {
            self.fetched.insert(key(fetch), fetch.seq);
        }
        Ok(())
    }
}

/// All addresses of CardDAV. Must stand before whatever else answers `/`; the application's data must hold the
/// [`CardDav`] in a `Data`.
pub fn routes(cfg: &mut web::ServiceConfig) {
    let asks_dav = |ctx: &guard::GuardContext<'_>| {
        matches!(ctx.head().method.as_str(), "PROPFIND" | "REPORT" | "PROPPATCH")
    };
    // Nothing here is matched by a regular expression, and all of it before anything that is: phones ask all day.
    cfg.service(web::scope(ROOT).default_service(web::to(answer)))
        .service(web::resource("/.well-known/carddav").to(well_known))
        .service(web::resource("/.well-known/carddav/").to(well_known))
        .service(web::resource("/").guard(guard::fn_guard(asks_dav)).to(answer))
        .service(web::resource("/").guard(guard::Options()).to(answer));
}

/// RFC 6764 5, for every method: phones ask with PROPFIND.
async fn well_known() -> HttpResponse {
    HttpResponse::MovedPermanently()
        .insert_header((header::LOCATION, "/dav/"))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .finish()
}

/// A request, read.
#[derive(Clone)]
struct Call {
    dav: Arc<CardDav>,
    now: Timestamp,
    login: PhoneLogin,
    place: Place,
    /// What stands after the question mark.
    query: String,
    condition: EntityCondition,
    preferences: Preferences,
    body: Bytes,
    shelf: Arc<Shelf>,
    /// For questions whose answer holds until the next change.
    answer_key: Option<AnswerKey>,
    request: HttpRequest,
}

impl Call {
    fn header(&self, name: &str) -> Option<&str> {
        self.request.headers().get(name)?.to_str().ok()
    }

    fn depth(&self, absent: Depth) -> Result<Depth, Fault> {
        Depth::parse(self.header("depth"), absent)
    }

    /// On which terms it changes something.
    fn terms(&self) -> Result<Terms, Fault> {
        Terms::of(self)
    }

    /// The same with the books as they are now.
    async fn freshened(mut self) -> Result<Call, Stop> {
        if self.shelf.is_stale() {
            self.shelf = self.dav.shelves.of(self.now, self.login.account).await?;
        }
        Ok(self)
    }

    /// Refuses whoever may only read a book; the transaction of the write asks once more.
    fn require_write(&self, book: &AddressBook, privilege: &'static str) -> Result<(), Fault> {
        if self.shelf.right(book) != Right::Read {
            return Ok(());
        }
        // To put into a book or take out of it is a right on the book (RFC 3744 3.9, 3.10).
        let href = match privilege {
            "bind" | "unbind" => place::book_href(&self.login.handle, &book.slug),
            _ => self.place.href(),
        };
        let precondition = Precondition::NeedPrivileges { href, privilege: Name::dav(privilege) };
        Err(Fault::violated(403, precondition, "This address book may be read only."))
    }

    /// Keeps the answer for whoever asks the same before anything changes.
    fn keep_answer(&self, body: Vec<u8>) -> Bytes {
        match self.answer_key {
            Some(key) => self.shelf.keep_answer(key, body),
            None => body.into(),
        }
    }

    fn account(&self) -> AccountId {
        self.login.account
    }

    fn fetch(&self, book: AddressBookId, name: &str, seq: i64) -> Fetch {
        Fetch {
            account: self.login.account,
            app_password: self.login.app_password,
            book,
            name: name.to_owned(),
            seq,
        }
    }
}

async fn answer(request: HttpRequest, payload: web::Payload, dav: Data<CardDav>) -> HttpResponse {
    let dav = dav.into_inner();
    if request.method() == Method::OPTIONS {
        return answer::options(Place::parse_href(request.path()).as_ref());
    }
    let login = match PhoneLogin::from_request(&request, &mut Payload::None).await {
        Ok(login) => login,
        Err(error) => {
            // The password may come with the next try; the body of this one has to be out of the way by then.
            let _ = read_body(payload, 0).await;
            return actix_web::ResponseError::error_response(&error);
        }
    };
    let is_head = request.method() == Method::HEAD;
    let takes_gzip = gzip::is_taken(request.headers().get("accept-encoding").and_then(|v| v.to_str().ok()));
    let response = match respond(request, payload, dav, login).await {
        Ok(response) => response,
        Err(stop) => stop.into_response(),
    };
    match response.status() {
        StatusCode::MULTI_STATUS if takes_gzip => gzip::packed(response).await,
        _ if is_head => answer::without_body(response),
        _ => response,
    }
}

async fn respond(
    request: HttpRequest,
    payload: web::Payload,
    dav: Arc<CardDav>,
    login: PhoneLogin,
) -> Result<HttpResponse, Stop> {
    let coding = request.headers().get(header::CONTENT_ENCODING).map_or(&b"identity"[..], |v| v.as_bytes());
    let is_plain = coding.eq_ignore_ascii_case(b"identity");
    let is_card = matches!(*request.method(), Method::PUT | Method::POST);
    let body = read_body(payload, if is_card { CARD_BYTES_MAX } else { XML_MAX }).await?;
    let body = body.ok_or(if is_card { TOO_LARGE } else { Fault::new(413, "The body is too large.") })?;
    if !is_plain {
        return Ok(answer::refusal_of_coding());
    }
    // The URI's own text: the router's copy is decoded already.
    let path = href::parse(request.uri().path()).ok_or(MISSING)?;
    let makes = matches!(request.method().as_str(), "PUT" | "MKCOL");
    let place = own_place(path, &login, if makes { NO_PARENT } else { MISSING })?;
    let now = dav.app.now();
    let headers = request.headers();
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    let mut preferences =
        Preferences::parse(headers.get_all("prefer").filter_map(|v| v.to_str().ok()), text("brief"));
    // Only a listing has a root to leave out (RFC 8144 4).
    preferences.no_root &= request.method().as_str() == "PROPFIND" && text("depth") != Some("0");
    // What is asked on a condition is not answered from memory.
    let asks = matches!(request.method().as_str(), "PROPFIND" | "REPORT") && !headers.contains_key("if");
    // Cards are where they were a moment ago; a report knows itself what it must see afresh.
    let late_will_do = match request.method().as_str() {
        "PUT" | "POST" | "GET" | "DELETE" => true,
        "REPORT" => asks,
        _ => false,
    };
    let shelf = match late_will_do {
        true => dav.shelves.of_late(now, login.account).await?,
        false => dav.shelves.of(now, login.account).await?,
    };
    let answer_key =
        (asks && body.len() <= KEYED_MAX).then(|| answer_key(&request, &login, &preferences, &body));
    if let Some(known) = answer_key.filter(|_| !shelf.is_stale()).and_then(|key| shelf.known_answer(&key)) {
        return Ok(answer::multistatus(known, preferences));
    }
    let condition = EntityCondition {
        if_match: text("if-match").map(EntityTags::parse).map(objects::of_stored),
        if_none_match: text("if-none-match").map(EntityTags::parse).map(objects::of_stored),
    };
    let call = Call {
        dav,
        now,
        place,
        query: query_of(&request),
        condition,
        preferences,
        body,
        shelf,
        login,
        answer_key,
        request,
    };
    if !call.shelf.is_stale() {
        return dispatch(call).await;
    }
    match dispatch(call.clone()).await {
        // A book may have been made, or made anew, since, or access to it given or taken.
        Err(stop) if stop.may_be_outdated() => dispatch(call.freshened().await?).await,
        answered => answered,
    }
}

fn query_of(request: &HttpRequest) -> String {
    request.uri().query().unwrap_or("").to_owned()
}

/// Bodies of questions whose answers are kept at most, in bytes.
const KEYED_MAX: usize = 4_096;

/// All that an answer from the books depends on.
fn answer_key(
    request: &HttpRequest,
    login: &PhoneLogin,
    preferences: &Preferences,
    body: &[u8],
) -> AnswerKey {
    let mut hasher = blake3::Hasher::new();
    let depth = request.headers().get("depth").map_or(&b""[..], |v| v.as_bytes());
    let flags = [preferences.minimal, preferences.no_root].map(u8::from);
    // Each device for itself: what it has been handed is written down.
    let device = login.app_password.as_bytes().as_slice();
    let (method, path) = (request.method().as_str().as_bytes(), request.uri().path().as_bytes());
    for part in [device, method, path, depth, &flags, body] {
        hasher.update(&part.len().to_le_bytes());
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

const MISSING: Fault = Fault::new(404, "There is nothing at this address.");
/// RFC 4918 9.3.1, 9.7.1, 9.8.5: what would have to be there first is not.
const NO_PARENT: Fault = Fault::new(409, "There is no collection to make it in.");
const TOO_LARGE: Fault =
    Fault::violated(403, Precondition::Named(Name::carddav("max-resource-size")), "The vCard is too large.");

async fn dispatch(call: Call) -> Result<HttpResponse, Stop> {
    let only_asks = matches!(call.request.method().as_str(), "GET" | "HEAD" | "PROPFIND" | "REPORT");
    if only_asks && call.header("if").is_some() {
        let terms = call.terms()?;
        if !call.dav.app.db.read(move |db| terms.hold(db)).await? {
            return Err(NOT_SO.into());
        }
    }
    match call.request.method().as_str() {
        "DELETE" if matches!(call.place, Place::Registration(_)) => push::unregister(call).await,
        _ if matches!(call.place, Place::Registration(_)) => Ok(answer::not_allowed(&call.place)),
        "PROPFIND" => propfind::propfind(call).await,
        "PROPPATCH" => propfind::proppatch(call).await,
        "REPORT" => reports::report(call).await,
        "GET" | "HEAD" => objects::get(call).await,
        "PUT" => objects::put(call).await,
        "POST" => objects::post(call).await,
        "DELETE" => match call.place {
            Place::Object(..) => objects::delete(call).await,
            _ => collections::delete(call).await,
        },
        "MKCOL" => collections::mkcol(call).await,
        "COPY" | "MOVE" => objects::transfer(call).await,
        "ACL" => principals::acl(call).await,
        _ => Ok(answer::not_allowed(&call.place)),
    }
}

/// Segments of a card's address; what is deeper has no parent.
const SEGMENTS_MAX: usize = 5;

/// Nobody reaches what is another's, whether it exists or not. `too_deep` is said of addresses below a card's.
fn own_place(path: href::Path, login: &PhoneLogin, too_deep: Fault) -> Result<Place, Fault> {
    let is_deep = path.segments.len() > SEGMENTS_MAX;
    let place = Place::parse(path).ok_or(if is_deep { too_deep } else { MISSING })?;
    check_owner(&place, login)?;
    Ok(with_own_handle(place, login))
}

fn check_owner(place: &Place, login: &PhoneLogin) -> Result<(), Fault> {
    match place.handle() {
        Some(handle) if !handle.eq_ignore_ascii_case(&login.handle) => {
            let precondition =
                Precondition::NeedPrivileges { href: place.href(), privilege: Name::dav("read") };
            Err(Fault::violated(403, precondition, "This belongs to somebody else."))
        }
        _ => Ok(()),
    }
}

/// Whatever capitals the client wrote, the address is one.
fn with_own_handle(place: Place, login: &PhoneLogin) -> Place {
    let handle = || login.handle.to_string();
    match place {
        Place::Principal(_) => Place::Principal(handle()),
        Place::Home(_) => Place::Home(handle()),
        Place::Book(_, book) => Place::Book(handle(), book),
        Place::Object(_, book, name) => Place::Object(handle(), book, name),
        other => other,
    }
}

/// Reads a body; `None` when it is larger than `limit`.
async fn read_body(mut payload: web::Payload, limit: usize) -> Result<Option<Bytes>, Stop> {
    let read = async {
        let mut body = BytesMut::new();
        let mut discarded = 0;
        loop {
            let next = tokio::time::timeout(BODY_PAUSE, payload.next()).await;
            match next.map_err(|_| Fault::new(408, "The body did not come."))? {
                None => break,
                Some(Err(_)) => return Err(Fault::malformed("The body ended too early.")),
                Some(Ok(part)) if discarded > 0 || body.len() + part.len() > limit => {
                    discarded += body.len() + part.len();
                    body.clear();
                    if discarded > DISCARD_MAX {
                        break;
                    }
                }
                Some(Ok(part)) if body.is_empty() && body.capacity() == 0 => body = BytesMut::from(part),
                Some(Ok(part)) => body.extend_from_slice(&part),
            }
        }
        Ok(if discarded > 0 { None } else { Some(body.freeze()) })
    };
    let body = tokio::time::timeout(BODY_TIME, read).await;
    Ok(body.map_err(|_| Fault::new(408, "The body took too long."))??)
}
