//! REPORT: addressbook-query, addressbook-multiget (RFC 6352 8) and sync-collection (RFC 6578).

use std::collections::HashMap;

use actix_web::HttpResponse;

use super::answer::{self, Stop};
use super::objects::{in_version, stored_version};
use super::place::Place;
use super::properties::{ObjectView, Subject};
use super::propfind::needs_kept;
use super::shelf::Shelf;
use super::{Call, MISSING, principals, token, with_own_handle};
use crate::accounts::auth::PhoneLogin;
use crate::contacts::books::{self, AddressBook, AddressObject, Fetch, KeptProperty, Listed, SyncState};
use crate::contacts::card_convert::to_version;
use crate::contacts::card_filter;
use crate::contacts::vcard::{Card, Line, Shown, Version};
use crate::dav::filter::Filter;
use crate::dav::multistatus::escape_into;
use crate::dav::report::{AddressData, Report, Wanted};
use crate::dav::{Depth, Fault, Multistatus, Name, Precondition, Preferences, report as reports};
use crate::db::Db;
use crate::error::Result as CoreResult;

/// Objects read at once.
const PAGE: i64 = 200;
/// Addresses looked up at once.
const LOOKUP: usize = 200;

/// REPORT.
pub async fn report(call: Call) -> Result<HttpResponse, Stop> {
    let report = reports::parse(&call.body)?;
    match report {
        Report::Multiget { wanted, hrefs } => multiget(call, wanted, hrefs).await,
        Report::Query { wanted, filter, limit } => query(call, wanted, filter, limit).await,
        Report::Sync { wanted, token, limit, .. } => sync(call, wanted, &token, limit).await,
        other => principals::report(&call, &other),
    }
}

/// What is needed to speak of objects, away from the request.
struct Scribe {
    ms: Multistatus,
    wanted: Wanted,
    version: Version,
    shelf: std::sync::Arc<Shelf>,
    login: PhoneLogin,
    preferences: Preferences,
    needs_kept: bool,
    fetches: Vec<Fetch>,
}

impl Scribe {
    fn new(call: &Call, wanted: Wanted) -> Result<Self, Fault> {
        let version = match &wanted.address_data {
            Some(data) => wanted_version(data)?,
            None => Version::V3,
        };
        let object = Place::Object(String::new(), String::new(), String::new());
        Ok(Scribe {
            ms: Multistatus::new(),
            needs_kept: needs_kept(&wanted.properties, &object),
            wanted,
            version,
            shelf: call.shelf.clone(),
            login: call.login.clone(),
            preferences: call.preferences,
            fetches: Vec::new(),
        })
    }

    fn place(&self, book: &AddressBook, name: &str) -> Place {
        Place::Object(self.login.handle.to_string(), book.slug.clone(), name.to_owned())
    }

    fn kept(&self, db: &mut Db, book: &AddressBook) -> CoreResult<Vec<KeptProperty>> {
        match self.needs_kept {
            true => books::kept_properties(db, book.account_id, book.id, None),
            false => Ok(Vec::new()),
        }
    }

    /// Speaks of an object whose text is at hand.
    fn whole(&mut self, book: &AddressBook, object: &AddressObject, kept: &[KeptProperty]) {
        if self.wanted.address_data.is_some() && (book.is_messenger() || object.contact_id.is_some()) {
            self.fetches.push(Fetch {
                account: self.login.account,
                app_password: self.login.app_password,
                book: book.id,
                name: object.name.clone(),
                seq: object.seq,
            });
        }
        self.object(book, &object.name, object.into(), Some(&object.body), kept);
    }

    /// The device knows now what is not in the book (any more) as it stands at `seq`.
    fn whole_book(&mut self, book: &AddressBook, seq: i64) {
        if book.is_messenger() {
            self.fetches.push(Fetch {
                account: self.login.account,
                app_password: self.login.app_password,
                book: book.id,
                name: String::new(),
                seq,
            });
        }
    }

    /// Speaks of an object without its text.
    fn brief(&mut self, book: &AddressBook, object: &Listed, kept: &[KeptProperty]) {
        self.object(book, &object.name, object.into(), None, kept);
    }

    fn object(
        &mut self,
        book: &AddressBook,
        name: &str,
        view: ObjectView<'_>,
        body: Option<&[u8]>,
        kept: &[KeptProperty],
    ) {
        let place = self.place(book, name);
        let own: Vec<KeptProperty> = kept.iter().filter(|k| k.name == name).cloned().collect();
        let subject = Subject {
            place: &place,
            viewer: &self.login.handle,
            shelf: &self.shelf,
            object: Some(view),
            kept: &own,
        };
        let (data, version) = (self.wanted.address_data.as_ref(), self.version);
        subject.respond(
            &mut self.ms,
            &place.href(),
            &self.wanted.properties,
            self.preferences.minimal,
            |out| {
                if let (Some(data), Some(body)) = (data, body) {
                    write_address_data(out, body, data, version);
                }
            },
        );
    }

    fn gone(&mut self, book: &AddressBook, name: &str) {
        let href = self.place(book, name).href();
        self.ms.status_response(&href, 404, None);
    }
}

/// The version that is asked for; 3.0 when nothing is said, whatever is stored (RFC 6352 10.4).
fn wanted_version(data: &AddressData) -> Result<Version, Fault> {
    let known_type = data.content_type.as_deref().is_none_or(|t| t.eq_ignore_ascii_case("text/vcard"));
    match (known_type, data.version.as_deref()) {
        (true, None | Some("3.0")) => Ok(Version::V3),
        (true, Some("4.0")) => Ok(Version::V4),
        _ => {
            let precondition = Precondition::Named(Name::carddav("supported-address-data"));
            Err(Fault::violated(403, precondition, "vCards come in version 3.0 or 4.0."))
        }
    }
}

fn write_address_data(out: &mut Vec<u8>, body: &[u8], data: &AddressData, version: Version) {
    out.extend_from_slice(match version {
        Version::V3 => b"<C:address-data>".as_slice(),
        Version::V4 => b"<C:address-data content-type=\"text/vcard\" version=\"4.0\">".as_slice(),
    });
    match &data.properties {
        None if stored_version(body) == version => escape_into(out, body),
        None => escape_into(out, &in_version(body, version)),
        Some(names) => match Card::parse(body) {
            Ok(card) => {
                let text = to_version(&card, version).render_where(|line| shown(line, names));
                escape_into(out, text.as_bytes());
            }
            Err(_) => escape_into(out, body),
        },
    }
    out.extend_from_slice(b"</C:address-data>");
}

/// RFC 6352 10.4.2; the version always goes along, since without it nobody could read the rest.
fn shown(line: &Line, names: &[(String, bool)]) -> Shown {
    if line.name == "VERSION" {
        return Shown::Whole;
    }
    let group = line.group.as_deref().map(str::to_ascii_uppercase);
    let is_asked = |wanted: &str| match wanted.split_once('.') {
        Some((wanted_group, name)) => name == line.name && group.as_deref() == Some(wanted_group),
        None => wanted == line.name,
    };
    match names.iter().find(|(name, _)| is_asked(name)) {
        Some((_, true)) => Shown::NameOnly,
        Some((_, false)) => Shown::Whole,
        None => Shown::Not,
    }
}

/// One address of a multiget: as it was written, and what it means.
struct Asked {
    text: String,
    place: Option<Place>,
}

async fn multiget(call: Call, wanted: Wanted, hrefs: Vec<String>) -> Result<HttpResponse, Stop> {
    match &call.place {
        Place::Book(_, slug) | Place::Object(_, slug, _) => {
            call.shelf.book(slug).ok_or(MISSING)?;
        }
        Place::Home(_) => {}
        _ => return Err(unsupported().into()),
    }
    let mut scribe = Scribe::new(&call, wanted)?;
    let asked: Vec<Asked> = hrefs
        .into_iter()
        .map(|text| {
            let own =
                |place: &Place| place.handle().is_some_and(|h| h.eq_ignore_ascii_case(&call.login.handle));
            let place = Place::parse_href(&text).filter(own).map(|p| with_own_handle(p, &call.login));
            Asked { text, place }
        })
        .collect();
    let (now, account, preferences, dav) = (call.now, call.account(), call.preferences, call.dav.clone());
    let (body, fetches) = dav
        .app
        .db
        .read(move |db| {
            db.snapshot(|db| {
                for part in asked.chunks(LOOKUP) {
                    answer_part(db, &mut scribe, part)?;
                }
                Ok(())
            })?;
            Ok((scribe.ms.finish(None), scribe.fetches))
        })
        .await?;
    dav.note_fetches(now, account, fetches).await?;
    Ok(answer::multistatus(body, preferences))
}

fn answer_part(db: &mut Db, scribe: &mut Scribe, part: &[Asked]) -> CoreResult<()> {
    let shelf = scribe.shelf.clone();
    let mut names: HashMap<&str, Vec<&str>> = HashMap::new();
    for asked in part {
        if let Some(Place::Object(_, slug, name)) = &asked.place {
            names.entry(slug).or_default().push(name);
        }
    }
    let mut found: HashMap<(&str, String), AddressObject> = HashMap::new();
    let mut kept: HashMap<&str, Vec<KeptProperty>> = HashMap::new();
    for (slug, names) in names {
        let Some(book) = shelf.book(slug) else { continue };
        for object in books::find_many(db, book.account_id, book.id, &names)? {
            found.insert((slug, object.name.clone()), object);
        }
        kept.insert(slug, scribe.kept(db, book)?);
    }
    for asked in part {
        let Some(Place::Object(_, slug, name)) = &asked.place else {
            scribe.ms.status_response(&canonical(asked), 404, None);
            continue;
        };
        match (shelf.book(slug), found.remove(&(slug.as_str(), name.clone()))) {
            (Some(book), Some(object)) => {
                scribe.whole(book, &object, kept.get(slug.as_str()).map_or(&[], Vec::as_slice));
                // A second question after the same address is answered as well.
                found.insert((slug.as_str(), name.clone()), object);
            }
            _ => scribe.ms.status_response(&canonical(asked), 404, None),
        }
    }
    Ok(())
}

fn canonical(asked: &Asked) -> String {
    match &asked.place {
        Some(place) => place.href(),
        None => asked.text.clone(),
    }
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
    let depth = call.depth(Depth::One)?;
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

async fn sync(call: Call, wanted: Wanted, text: &str, limit: Option<usize>) -> Result<HttpResponse, Stop> {
    let Place::Book(_, slug) = &call.place else { return Err(unsupported().into()) };
    let book = call.shelf.book(slug).cloned().ok_or(MISSING)?;
    if call.depth(Depth::Zero)? != Depth::Zero && call.body_has_level() {
        return Err(Fault::malformed("Depth must be 0 for sync-collection.").into());
    }
    let since: Option<SyncState> = match text {
        "" => None,
        text => Some(token::parse(book.id, text).ok_or(INVALID_TOKEN)?),
    };
    let mut scribe = Scribe::new(&call, wanted)?;
    let (now, account, preferences, dav) = (call.now, call.account(), call.preferences, call.dav.clone());
    let itself = call.place.href();
    let answered = dav
        .app
        .db
        .read(move |db| {
            // One snapshot for the changes and their token: what is committed between would be missed for ever.
            let state = db.snapshot(|db| {
                let Some(delta) = books::delta(db, account, book.id, since, limit)? else { return Ok(None) };
                if !delta.truncated {
                    scribe.whole_book(&book, delta.state.seq);
                }
                let kept = scribe.kept(db, &book)?;
                for part in delta.changes.chunks(LOOKUP) {
                    sync_part(db, &mut scribe, &book, part, &kept)?;
                }
                if delta.truncated {
                    let why = Precondition::Named(Name::dav("number-of-matches-within-limits"));
                    scribe.ms.status_response(&itself, 507, Some(&why));
                }
                Ok(Some(delta.state))
            })?;
            let Some(state) = state else { return Ok(None) };
            let token = token::render(book.id, state);
            Ok(Some((scribe.ms.finish(Some(&token)), scribe.fetches)))
        })
        .await?;
    let Some((body, fetches)) = answered else { return Err(INVALID_TOKEN.into()) };
    dav.note_fetches(now, account, fetches).await?;
    Ok(answer::multistatus(body, preferences))
}

fn sync_part(
    db: &mut Db,
    scribe: &mut Scribe,
    book: &AddressBook,
    part: &[books::Change],
    kept: &[KeptProperty],
) -> CoreResult<()> {
    let mut bodies: HashMap<String, AddressObject> = HashMap::new();
    if scribe.wanted.address_data.is_some() {
        let names: Vec<&str> = part.iter().filter(|c| c.object.is_some()).map(|c| c.name.as_str()).collect();
        let found = books::find_many(db, book.account_id, book.id, &names)?;
        bodies = found.into_iter().map(|o| (o.name.clone(), o)).collect();
    }
    for change in part {
        match (&change.object, bodies.get(&change.name)) {
            (_, Some(object)) => scribe.whole(book, object, kept),
            (Some(listed), None) => scribe.brief(book, listed, kept),
            (None, None) => scribe.gone(book, &change.name),
        }
    }
    Ok(())
}

impl Call {
    /// Clients of the draft, which knew no sync-level, put the depth into the header.
    fn body_has_level(&self) -> bool {
        memchr::memmem::find(&self.body, b"sync-level").is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partial_data_keeps_the_version_and_what_was_asked() {
        let body = b"BEGIN:VCARD\r\nVERSION:3.0\r\nUID:1\r\nFN:A\r\nitem1.EMAIL:a@example.org\r\nitem2.EMAIL:b@example.org\r\nNOTE:x\r\nEND:VCARD\r\n";
        let data = AddressData {
            properties: Some(vec![
                ("UID".into(), false),
                ("ITEM1.EMAIL".into(), false),
                ("NOTE".into(), true),
            ]),
            ..AddressData::default()
        };
        let mut out = Vec::new();
        write_address_data(&mut out, body, &data, Version::V3);
        let text = String::from_utf8(out).unwrap().replace("&#13;", "");
        assert_eq!(
            text,
            "<C:address-data>BEGIN:VCARD\nVERSION:3.0\nUID:1\nitem1.EMAIL:a@example.org\nNOTE:\nEND:VCARD\n</C:address-data>"
        );
    }

    #[test]
    fn other_versions_are_refused_by_name() {
        let ask = |version: Option<&str>, kind: Option<&str>| AddressData {
            version: version.map(str::to_owned),
            content_type: kind.map(str::to_owned),
            properties: None,
        };
        assert_eq!(wanted_version(&ask(None, None)), Ok(Version::V3));
        assert_eq!(wanted_version(&ask(Some("4.0"), Some("text/vcard"))), Ok(Version::V4));
        assert!(wanted_version(&ask(Some("2.1"), None)).is_err());
        assert!(wanted_version(&ask(None, Some("application/json"))).is_err());
    }
}
