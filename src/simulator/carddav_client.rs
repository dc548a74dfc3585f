//! A CardDAV client as phones have one: it finds the books, then asks only for what changed.
//!
//! Discovery by RFC 6764 (`/.well-known/carddav`, current-user-principal, addressbook-home-set), changes by RFC 6578
//! (sync-collection with a token, 507 for more, 403 valid-sync-token to begin anew), cards by RFC 6352 (multiget).

use std::collections::{BTreeMap, BTreeSet};

use percent_encoding::percent_decode_str;
use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Client, Method, StatusCode, Url};

use super::phones::CardDavAccount;
use super::vcard::{self, Card};
use super::xml::{self, CARDDAV, DAV, Element};
use crate::error::{Error, Result};

/// Redirects that are followed for one request.
const REDIRECTS_MAX: usize = 5;
/// The largest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Cards asked for at once, as phones do.
const MULTIGET_MAX: usize = 100;
/// Pages of changes in one sync; with a server that makes progress no book is that long.
const PAGES_MAX: usize = 10_000;
/// Books of one account.
const BOOKS_MAX: usize = 50;
/// The books are looked for again after so many syncs, so that new ones are seen.
const REDISCOVER_EVERY: u32 = 60;

/// One account on one server, with everything that the phone knows of it.
pub struct CardDavClient {
    http: Client,
    start: Url,
    account: CardDavAccount,
    books: Vec<Book>,
    syncs: u32,
}

struct Book {
    url: Url,
    token: String,
    /// By decoded path; none for cards that a phone does not show (groups, nonsense).
    cards: BTreeMap<String, Option<Card>>,
    /// While the book is read from its beginning: what was named so far. Everything else is gone then.
    seen: Option<BTreeSet<String>>,
}

impl Book {
    fn new(url: Url) -> Self {
        Book { url, token: String::new(), cards: BTreeMap::new(), seen: Some(BTreeSet::new()) }
    }

    fn begin_anew(&mut self) {
        self.token.clear();
        self.seen = Some(BTreeSet::new());
    }

    fn apply(&mut self, page: &Changes, changed: BTreeMap<String, Option<Card>>) {
        if let Some(seen) = &mut self.seen {
            seen.extend(changed.keys().cloned());
            seen.retain(|path| !page.removed.contains(path));
        }
        self.cards.retain(|path, _| !page.removed.contains(path));
        self.cards.extend(changed);
        // Stored only now: a sync that breaks off before asks for the same changes again.
        self.token.clone_from(&page.token);
        if !page.more
            && let Some(seen) = self.seen.take()
        {
            self.cards.retain(|path, _| seen.contains(path));
        }
    }
}

struct Answer {
    status: StatusCode,
    url: Url,
    body: Vec<u8>,
}

fn unreachable(error: reqwest::Error) -> Error {
    Error::unavailable("carddav_unreachable", "The address book's server cannot be reached.")
        .with_source(error)
}

fn unexpected(what: &str, status: StatusCode) -> Error {
    let sentence = format!("The address book's server answered {} to {what}.", status.as_u16());
    Error::unavailable("carddav_unexpected", sentence)
}

impl CardDavClient {
    /// A client for `account`. `http` must not follow redirects by itself.
    pub fn new(http: Client, account: CardDavAccount) -> Result<Self> {
        let bad =
            || Error::invalid("carddav.url", "not_a_url", "The address of the server is not a http(s) URL.");
        let start = Url::parse(&account.url).map_err(|_| bad())?;
        if !matches!(start.scheme(), "http" | "https") || start.host().is_none() {
            return Err(bad());
        }
        Ok(CardDavClient { http, start, account, books: Vec::new(), syncs: 0 })
    }

    /// Brings the copy up to date. What was read before an error stays.
    pub async fn sync(&mut self) -> Result<()> {
        if self.syncs.is_multiple_of(REDISCOVER_EVERY) || self.books.is_empty() {
            self.discover().await?;
        }
        for at in 0..self.books.len() {
            if let Err(error) = self.sync_book(at).await {
                // The books may have moved: look for them again next time.
                self.syncs = 0;
                return Err(error);
            }
        }
        self.syncs = self.syncs.wrapping_add(1);
        Ok(())
    }

    /// The cards of all books.
    pub fn cards(&self) -> Vec<Card> {
        self.books.iter().flat_map(|book| book.cards.values().flatten().cloned()).collect()
    }

    async fn discover(&mut self) -> Result<()> {
        let principal = self.find_principal().await?;
        let answer = self.propfind(&principal, "0", "<c:addressbook-home-set/>").await?;
        let homes: Vec<Url> = properties(&answer)?
            .iter()
            .flat_map(|(_, props)| props.iter())
            .filter(|prop| prop.is(CARDDAV, "addressbook-home-set"))
            .flat_map(|prop| prop.all(DAV, "href"))
            .filter_map(|href| answer.url.join(href.trimmed()).ok())
            .collect();
        let mut found = Vec::new();
        for home in &homes {
            let answer = self.propfind(home, "1", "<d:resourcetype/><d:sync-token/>").await?;
            for (href, props) in properties(&answer)? {
                let kind = props.iter().find(|prop| prop.is(DAV, "resourcetype"));
                if kind.is_some_and(|kind| kind.child(CARDDAV, "addressbook").is_some()) {
                    found.extend(answer.url.join(&href).ok());
                }
            }
        }
        if found.is_empty() {
            return Err(Error::unavailable("carddav_no_book", "The account has no address book."));
        }
        found.truncate(BOOKS_MAX);
        self.books.retain(|book| found.contains(&book.url));
        for url in found {
            if !self.books.iter().any(|book| book.url == url) {
                self.books.push(Book::new(url));
            }
        }
        Ok(())
    }

    /// RFC 6764 §6: a server's bare address means its well-known one; anything more is tried as it is first.
    async fn find_principal(&self) -> Result<Url> {
        let well_known = self.start.join("/.well-known/carddav");
        let well_known = well_known.map_err(|error| Error::caused("joining the well-known path", error))?;
        let tries =
            if self.start.path() == "/" { [&well_known, &self.start] } else { [&self.start, &well_known] };
        let mut last = None;
        for url in tries {
            let answer = match self.propfind(url, "0", "<d:current-user-principal/>").await {
                Ok(answer) => answer,
                Err(error) if error.code() == "carddav_unexpected" => {
                    last = Some(error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let props = properties(&answer)?;
            let href = props
                .iter()
                .flat_map(|(_, props)| props.iter())
                .filter(|prop| prop.is(DAV, "current-user-principal"))
                .find_map(|prop| prop.child(DAV, "href"));
            if let Some(principal) = href.and_then(|href| answer.url.join(href.trimmed()).ok()) {
                return Ok(principal);
            }
        }
        let sentence = "The server does not say where the account's address books are.";
        Err(last.unwrap_or_else(|| Error::unavailable("carddav_no_principal", sentence)))
    }

    async fn sync_book(&mut self, at: usize) -> Result<()> {
        let mut began_anew = false;
        for _ in 0..PAGES_MAX {
            let Some(book) = self.books.get(at) else { return Ok(()) };
            let (url, token) = (book.url.clone(), book.token.clone());
            let answer = self.send("REPORT", &url, None, &sync_collection(&token)).await?;
            // Once: a server that forgets the token which it gave a moment ago gets no second chance.
            let invalid_token = !token.is_empty() && !began_anew && is_invalid_token(&answer);
            if !invalid_token && answer.status != StatusCode::MULTI_STATUS {
                return Err(unexpected("sync-collection", answer.status));
            }
            if invalid_token {
                began_anew = true;
                self.books.iter_mut().skip(at).take(1).for_each(Book::begin_anew);
                continue;
            }
            let page = Changes::read(&answer)?;
            let changed = self.multiget(&url, &page.changed).await?;
            let Some(book) = self.books.get_mut(at) else { return Ok(()) };
            book.apply(&page, changed);
            if !page.more {
                return Ok(());
            }
            if page.token == token {
                return Err(Error::unavailable("carddav_stuck", "The server gives the same page for ever."));
            }
        }
        Err(Error::unavailable("carddav_stuck", "The server has more pages than a book can have."))
    }

    async fn multiget(&self, book: &Url, hrefs: &[String]) -> Result<BTreeMap<String, Option<Card>>> {
        let mut cards = BTreeMap::new();
        for chunk in hrefs.chunks(MULTIGET_MAX) {
            let list: String =
                chunk.iter().map(|href| format!("<d:href>{}</d:href>", xml::escape(href))).collect();
            let body = format!(
                "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<c:addressbook-multiget xmlns:d=\"DAV:\" \
                 xmlns:c=\"{CARDDAV}\"><d:prop><d:getetag/><c:address-data/></d:prop>{list}</c:addressbook-multiget>"
            );
            let answer = self.send("REPORT", book, None, &body).await?;
            if answer.status != StatusCode::MULTI_STATUS {
                return Err(unexpected("addressbook-multiget", answer.status));
            }
            for (href, props) in properties(&answer)? {
                let Some(data) = props.iter().find(|prop| prop.is(CARDDAV, "address-data")) else { continue };
                let path = path_of(&answer.url, &href);
                let id = blake3::hash(path.as_bytes()).to_hex().chars().take(16).collect();
                let card = vcard::parse(data.text.as_bytes()).map(|card| Card { id, ..card });
                cards.insert(path, card);
            }
        }
        Ok(cards)
    }

    async fn propfind(&self, url: &Url, depth: &'static str, props: &str) -> Result<Answer> {
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<d:propfind xmlns:d=\"DAV:\" \
             xmlns:c=\"{CARDDAV}\"><d:prop>{props}</d:prop></d:propfind>"
        );
        let answer = self.send("PROPFIND", url, Some(depth), &body).await?;
        if answer.status == StatusCode::MULTI_STATUS {
            return Ok(answer);
        }
        Err(unexpected("PROPFIND", answer.status))
    }

    /// Sends a request and follows redirects on the same server; the password goes nowhere else.
    async fn send(&self, method: &str, url: &Url, depth: Option<&'static str>, body: &str) -> Result<Answer> {
        let mut url = url.clone();
        for _ in 0..=REDIRECTS_MAX {
            if url.origin() != self.start.origin() {
                let sentence = "The server sends the phone to another server, which gets no password.";
                return Err(Error::unavailable("carddav_foreign", sentence));
            }
            let verb = Method::from_bytes(method.as_bytes());
            let verb = verb.map_err(|error| Error::caused("an unknown method", error))?;
            let mut request = self
                .http
                .request(verb, url.clone())
                .basic_auth(&self.account.username, Some(&self.account.password))
                .header(CONTENT_TYPE, "application/xml; charset=utf-8")
                .body(body.to_owned());
            if let Some(depth) = depth {
                request = request.header("Depth", depth);
            }
            let response = request.send().await.map_err(unreachable)?;
            let status = response.status();
            if status.is_redirection() {
                let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
                let next = location.and_then(|location| url.join(location).ok());
                url = next.ok_or_else(|| unexpected(method, status))?;
                continue;
            }
            if status == StatusCode::UNAUTHORIZED {
                let sentence = "The address book's server refuses this name and password.";
                return Err(Error::unavailable("carddav_unauthenticated", sentence));
            }
            return Ok(Answer { status, url, body: read_body(response).await? });
        }
        Err(Error::unavailable("carddav_redirects", "The server redirects for ever."))
    }
}

async fn read_body(mut response: reqwest::Response) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(Error::unavailable("carddav_too_large", "The address book's server says too much."));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn sync_collection(token: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<d:sync-collection xmlns:d=\"DAV:\"><d:sync-token>{}</d:sync-token>\
         <d:sync-level>1</d:sync-level><d:prop><d:getetag/></d:prop></d:sync-collection>",
        xml::escape(token)
    )
}

/// RFC 6578 §3.2: the precondition valid-sync-token tells the client to begin anew.
fn is_invalid_token(answer: &Answer) -> bool {
    let refused = matches!(
        answer.status,
        StatusCode::FORBIDDEN | StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED
    );
    refused && xml::parse(&answer.body).is_ok_and(|root| root.child(DAV, "valid-sync-token").is_some())
}

/// One page of changes.
struct Changes {
    token: String,
    changed: Vec<String>,
    removed: BTreeSet<String>,
    more: bool,
}

impl Changes {
    fn read(answer: &Answer) -> Result<Self> {
        let root = xml::parse(&answer.body)?;
        let token = root.child(DAV, "sync-token").map(|token| token.trimmed().to_owned()).unwrap_or_default();
        if token.is_empty() {
            return Err(Error::unavailable("carddav_no_token", "The server gives no sync token."));
        }
        let own = path_of(&answer.url, answer.url.path());
        let mut changes = Changes { token, changed: Vec::new(), removed: BTreeSet::new(), more: false };
        for response in root.all(DAV, "response") {
            let Some(href) = response.child(DAV, "href").map(Element::trimmed) else { continue };
            let path = path_of(&answer.url, href);
            match (response.child(DAV, "status").and_then(status_of), path == own) {
                (Some(507), true) => changes.more = true,
                (Some(404), false) => {
                    changes.removed.insert(path);
                }
                (None, false) => changes.changed.push(href.to_owned()),
                _ => {}
            }
        }
        Ok(changes)
    }
}

/// The properties that are there (status 200), by the href of their resource.
fn properties(answer: &Answer) -> Result<Vec<(String, Vec<Element>)>> {
    let mut root = xml::parse(&answer.body)?;
    let mut found = Vec::new();
    for mut response in root.children.drain(..).filter(|child| child.is(DAV, "response")) {
        let Some(href) = response.child(DAV, "href").map(|href| href.trimmed().to_owned()) else { continue };
        let mut props = Vec::new();
        for propstat in response.children.drain(..).filter(|child| child.is(DAV, "propstat")) {
            if propstat.child(DAV, "status").and_then(status_of) == Some(200) {
                props.extend(
                    propstat.children.into_iter().filter(|c| c.is(DAV, "prop")).flat_map(|p| p.children),
                );
            }
        }
        found.push((href, props));
    }
    Ok(found)
}

/// The number in `HTTP/1.1 404 Not Found`.
fn status_of(status: &Element) -> Option<u16> {
    status.trimmed().split_whitespace().nth(1)?.parse().ok()
}

/// The decoded path: servers and clients spell the same href differently.
fn path_of(base: &Url, href: &str) -> String {
    let path = base.join(href).map(|url| url.path().to_owned()).unwrap_or_else(|_| href.to_owned());
    percent_decode_str(&path).decode_utf8_lossy().into_owned()
}
