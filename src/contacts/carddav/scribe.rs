//! Speaking of cards in a report, away from the request that asked: their properties, their text in the wanted version
//! and to the wanted extent, and what is gone.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use super::Call;
use super::objects::{in_version, stored_version};
use super::place::{Place, book_href};
use super::properties::{ObjectView, Subject};
use super::propfind::needs_kept;
use super::shelf::Shelf;
use crate::accounts::auth::PhoneLogin;
use crate::contacts::books::{
    self, AddressBook, AddressObject, Change, Changed, Fetch, KeptProperty, Listed, NAMES_MAX,
};
use crate::contacts::card_convert::to_version;
use crate::contacts::sharing;
use crate::contacts::vcard::{Card, Line, Shown, Version};
use crate::dav::href::encode_segment_into;
use crate::dav::multistatus::escape_into;
use crate::dav::report::{AddressData, Wanted};
use crate::dav::{Fault, Multistatus, Name, Precondition, Preferences};
use crate::db::Db;
use crate::error::{Kind, Result};
use crate::ids::AddressBookId;

/// Kept properties by the names of their objects.
pub type Kept = HashMap<String, Vec<KeptProperty>>;

/// What is needed to speak of objects, away from the request.
pub struct Scribe {
    pub ms: Multistatus,
    pub wanted: Wanted,
    pub version: Version,
    pub shelf: Arc<Shelf>,
    pub login: PhoneLogin,
    pub preferences: Preferences,
    pub needs_kept: bool,
    pub fetches: Vec<Fetch>,
    spot: Option<Spot>,
}

impl Scribe {
    pub fn new(call: &Call, wanted: Wanted) -> Result<Self, Fault> {
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
            spot: None,
        })
    }

    pub fn place(&self, book: &AddressBook, name: &str) -> Place {
        Place::Object(self.login.handle.to_string(), book.slug.clone(), name.to_owned())
    }

    /// The kept properties of these objects, when they are asked for.
    pub fn kept(&self, db: &mut Db, book: &AddressBook, names: &[&str]) -> Result<Kept> {
        match self.needs_kept && !names.is_empty() {
            true => books::kept_properties_of(db, book.account_id, book.id, names),
            false => Ok(Kept::new()),
        }
    }

    /// Speaks of an object whose text is at hand.
    pub fn whole(&mut self, book: &AddressBook, object: &AddressObject, kept: &Kept) {
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
    pub fn whole_book(&mut self, book: &AddressBook, seq: i64) {
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
    pub fn brief(&mut self, book: &AddressBook, object: &Listed, kept: &Kept) {
        self.object(book, &object.name, object.into(), None, kept);
    }

    fn object(
        &mut self,
        book: &AddressBook,
        name: &str,
        view: ObjectView<'_>,
        body: Option<&[u8]>,
        kept: &Kept,
    ) {
        let own = kept.get(name).map_or(&[][..], Vec::as_slice);
        let Scribe { ms, wanted, version, shelf, login, preferences, spot, .. } = self;
        let spot = Spot::at(spot, &login.handle, book, name);
        let subject =
            Subject { place: &spot.place, viewer: &login.handle, shelf, object: Some(view), kept: own };
        subject.respond(ms, &spot.href, &wanted.properties, preferences.minimal, |out| {
            if let (Some(data), Some(body)) = (&wanted.address_data, body) {
                write_address_data(out, body, data, *version);
            }
        });
    }

    pub fn gone(&mut self, book: &AddressBook, name: &str) {
        let href = self.place(book, name).href();
        self.ms.status_response(&href, 404, None);
    }

    /// Makes room for these objects, so that nothing is moved while they are written.
    fn make_room<'a>(&mut self, objects: impl Iterator<Item = &'a AddressObject>) {
        let bytes = objects.map(|o| o.body.len() + o.body.len() / 16 + ENTRY_BYTES).sum();
        self.ms.reserve(bytes);
    }
}

/// What an entry takes beside its card, roughly.
const ENTRY_BYTES: usize = 400;

/// Where the object is that is spoken of: made anew only when the book changes.
pub struct Spot {
    book: AddressBookId,
    place: Place,
    href: String,
    /// Bytes of the address that are the book's.
    base: usize,
}

impl Spot {
    fn at<'a>(spot: &'a mut Option<Spot>, handle: &str, book: &AddressBook, name: &str) -> &'a Spot {
        if spot.as_ref().is_some_and(|s| s.book != book.id) {
            *spot = None;
        }
        let spot = spot.get_or_insert_with(|| {
            let href = book_href(handle, &book.slug);
            let place = Place::Object(handle.to_owned(), book.slug.clone(), String::new());
            Spot { book: book.id, place, base: href.len(), href }
        });
        if let Place::Object(_, _, current) = &mut spot.place {
            name.clone_into(current);
        }
        spot.href.truncate(spot.base);
        encode_segment_into(&mut spot.href, name);
        spot
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
pub struct Asked {
    pub text: String,
    pub place: Option<Place>,
}

impl Asked {
    /// The same for every spelling of one address.
    pub fn key(&self, hasher: &RandomState) -> u64 {
        match &self.place {
            Some(place) => hasher.hash_one(place),
            None => hasher.hash_one(&self.text),
        }
    }
}

/// Speaks of the cards at the first of these addresses, as many as one read brings; answers the others, of which nothing
/// is said yet.
pub fn answer_part(db: &mut Db, scribe: &mut Scribe, mut asked: VecDeque<Asked>) -> Result<VecDeque<Asked>> {
    let shelf = scribe.shelf.clone();
    let part: Vec<Asked> = asked.drain(..asked.len().min(NAMES_MAX)).collect();
    let mut names: HashMap<&str, Vec<&str>> = HashMap::new();
    for asked in &part {
        if let Some(Place::Object(_, slug, name)) = &asked.place {
            names.entry(slug).or_default().push(name);
        }
    }
    let mut found: HashMap<(&str, String), AddressObject> = HashMap::new();
    let mut kept: HashMap<&str, Kept> = HashMap::new();
    let mut unread: HashSet<&str> = HashSet::new();
    for (slug, names) in names {
        let Some(book) = shelf.book(slug) else { continue };
        if !unread.is_empty() {
            unread.insert(slug);
            continue;
        }
        // Somebody else's book may have been closed to who asks, and the shelf not have heard of it.
        match sharing::check_read(db, book.account_id, book.id, scribe.login.account) {
            Err(error) if matches!(error.kind(), Kind::NotFound) => continue,
            checked => checked?,
        }
        let (objects, complete) = books::find_some(db, book.account_id, book.id, &names)?;
        if !complete {
            unread.insert(slug);
        }
        scribe.make_room(objects.iter());
        kept.insert(slug, scribe.kept(db, book, &names)?);
        found.extend(objects.into_iter().map(|object| ((slug, object.name.clone()), object)));
    }
    let mut later: Vec<usize> = Vec::new();
    for (at, asked) in part.iter().enumerate() {
        let Some(Place::Object(_, slug, name)) = &asked.place else {
            scribe.ms.status_response(&canonical(asked), 404, None);
            continue;
        };
        match (shelf.book(slug), found.remove(&(slug.as_str(), name.clone()))) {
            (Some(book), Some(object)) => {
                scribe.whole(book, &object, kept.get(slug.as_str()).unwrap_or(&Kept::new()));
            }
            _ if unread.contains(slug.as_str()) => later.push(at),
            _ => scribe.ms.status_response(&canonical(asked), 404, None),
        }
    }
    if !later.is_empty() {
        let rest = part.into_iter().enumerate().filter(|(at, _)| later.binary_search(at).is_ok());
        for (_, again) in rest.collect::<Vec<_>>().into_iter().rev() {
            asked.push_front(again);
        }
    }
    Ok(asked)
}

fn canonical(asked: &Asked) -> String {
    match &asked.place {
        Some(place) => place.href(),
        None => asked.text.clone(),
    }
}

/// Speaks of the first of these changes, as many as one read brings when cards are wanted; answers the others.
pub fn sync_part(
    db: &mut Db,
    scribe: &mut Scribe,
    book: &AddressBook,
    mut changes: VecDeque<Change>,
) -> Result<VecDeque<Change>> {
    let wants_cards = scribe.wanted.address_data.is_some();
    let most = if wants_cards { NAMES_MAX } else { changes.len() };
    let mut part: Vec<Change> = changes.drain(..changes.len().min(most)).collect();
    let mut read = Changed::default();
    if wants_cards {
        read = books::find_changed(db, book.account_id, book.id, &part)?;
        let unread = part.split_off(part.partition_point(|c| c.seq <= read.until));
        unread.into_iter().rev().for_each(|change| changes.push_front(change));
        scribe.make_room(read.objects.iter());
    }
    let names: Vec<&str> = part.iter().filter(|c| c.object.is_some()).map(|c| c.name.as_str()).collect();
    let kept = scribe.kept(db, book, &names)?;
    let bodies: HashMap<&str, &AddressObject> = read.objects.iter().map(|o| (o.name.as_str(), o)).collect();
    for change in &part {
        match (&change.object, bodies.get(change.name.as_str())) {
            (_, Some(object)) => scribe.whole(book, object, &kept),
            (Some(listed), None) if !wants_cards => scribe.brief(book, listed, &kept),
            (Some(_), None) if !read.complete => {}
            // Also what went away after the list was read: the next list will say so once more.
            (_, None) => scribe.gone(book, &change.name),
        }
    }
    Ok(changes)
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
