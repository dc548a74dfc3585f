//! Speaking of cards in a report, away from the request that asked: their properties, their text in the wanted version
//! and to the wanted extent, and what is gone.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::place::{Place, book_href};
use super::properties::{ObjectView, Subject};
use super::propfind::needs_kept;
use super::shelf::Shelf;
use super::{Call, with_own_handle};
use crate::accounts::auth::PhoneLogin;
use crate::contacts::books::{
    self, AddressBook, Change, Fetch, KeptProperty, NAMES_MAX, ObjectText, READ_BYTES_MAX, Traits,
};
use crate::contacts::card_convert::to_version;
use crate::contacts::card_versions::{in_version, stored_version};
use crate::contacts::sharing;
use crate::contacts::vcard::{Card, Line, Shown, Version};
use crate::dav::href::{encode_segment_into, is_plain_segment};
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
    pub fn whole(&mut self, book: &AddressBook, object: &ObjectText, kept: &Kept) {
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
    pub fn brief(&mut self, book: &AddressBook, name: &str, traits: &Traits, kept: &Kept) {
        self.object(book, name, traits.into(), None, kept);
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

    /// Makes room for so many objects of a book, so that little is moved while they are written.
    fn make_room(&mut self, book: &AddressBook, objects: usize) {
        let each = book.size_bytes.checked_div(book.object_count).and_then(|b| usize::try_from(b).ok());
        let each = each.unwrap_or(0);
        let bytes = objects.saturating_mul(each + each / 8 + ENTRY_BYTES);
        self.ms.reserve(bytes.min(READ_BYTES_MAX));
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

/// The book a multiget goes to.
pub struct Here {
    /// Its slug.
    pub slug: Arc<str>,
    /// Its address.
    pub base: String,
}

/// One address of a multiget.
#[derive(Hash)]
pub enum Asked {
    /// Where a card may be: the book's slug, the object's name.
    Object(Arc<str>, String),
    /// Where none can be, in the spelling of its answer.
    Elsewhere(String),
}

impl Asked {
    /// Reads an address as it was written.
    pub fn read(mut href: String, here: Option<&Here>, login: &PhoneLogin) -> Asked {
        // What nearly all are: ours, as we write them.
        if let Some(here) = here
            && href.strip_prefix(&here.base).is_some_and(is_plain_segment)
        {
            href.drain(..here.base.len());
            return Asked::Object(here.slug.clone(), href);
        }
        let is_own = |place: &Place| place.handle().is_some_and(|h| h.eq_ignore_ascii_case(&login.handle));
        match Place::parse_href(&href).filter(is_own).map(|place| with_own_handle(place, login)) {
            Some(Place::Object(_, slug, name)) => {
                let here = here.filter(|here| *here.slug == *slug);
                Asked::Object(here.map_or_else(|| slug.as_str().into(), |here| here.slug.clone()), name)
            }
            Some(place) => Asked::Elsewhere(place.href()),
            None => Asked::Elsewhere(href),
        }
    }

    fn href(&self, login: &PhoneLogin) -> String {
        match self {
            Asked::Object(slug, name) => {
                Place::Object(login.handle.to_string(), slug.to_string(), name.clone()).href()
            }
            Asked::Elsewhere(href) => href.clone(),
        }
    }
}

/// Those of one book among the addresses of a part: their places in it, and their names.
type OfBook<'a> = (&'a str, Vec<usize>, Vec<&'a str>);

fn by_book(part: &[Asked]) -> Vec<OfBook<'_>> {
    let mut books: Vec<OfBook<'_>> = Vec::new();
    for (at, asked) in part.iter().enumerate() {
        let Asked::Object(slug, name) = asked else { continue };
        let known = books.iter_mut().find(|(of, ..)| *of == &**slug);
        match known {
            Some((_, places, names)) => {
                places.push(at);
                names.push(name);
            }
            None => books.push((slug, vec![at], vec![name])),
        }
    }
    books
}

/// Speaks of the cards at the first of these addresses, as many as one read brings; answers the others, of which nothing
/// is said yet.
pub fn answer_part(db: &mut Db, scribe: &mut Scribe, mut asked: VecDeque<Asked>) -> Result<VecDeque<Asked>> {
    let shelf = scribe.shelf.clone();
    let part: Vec<Asked> = asked.drain(..asked.len().min(NAMES_MAX)).collect();
    let mut fates = vec![Fate::Missing; part.len()];
    let mut is_full = false;
    for (slug, places, names) in by_book(&part) {
        let Some(book) = shelf.book(slug) else { continue };
        if is_full {
            set(&mut fates, &places, |_| Fate::Later);
            continue;
        }
        // Somebody else's book may have been closed to who asks, and the shelf not have heard of it.
        match sharing::check_read(db, book.account_id, book.id, scribe.login.account) {
            Err(error) if matches!(error.kind(), Kind::NotFound) => continue,
            checked => checked?,
        }
        let kept = scribe.kept(db, book, &names)?;
        scribe.make_room(book, names.len());
        let complete = books::visit_some(db, book.account_id, book.id, &names, |n, object| {
            scribe.whole(book, &object, &kept);
            set(&mut fates, places.get(n..=n).unwrap_or_default(), |_| Fate::Said);
        })?;
        if !complete {
            is_full = true;
            set(&mut fates, &places, |fate| if fate == Fate::Said { fate } else { Fate::Later });
        }
    }
    let mut later = Vec::new();
    for (asked, fate) in part.into_iter().zip(fates) {
        match fate {
            Fate::Said => {}
            Fate::Later => later.push(asked),
            Fate::Missing => scribe.ms.status_response(&asked.href(&scribe.login), 404, None),
        }
    }
    later.into_iter().rev().for_each(|again| asked.push_front(again));
    Ok(asked)
}

/// What became of an address of a part.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Nothing is there.
    Missing,
    /// It has its answer.
    Said,
    /// The read was full before it.
    Later,
}

fn set(fates: &mut [Fate], places: &[usize], to: impl Fn(Fate) -> Fate) {
    for at in places {
        if let Some(fate) = fates.get_mut(*at) {
            *fate = to(*fate);
        }
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
    let kept = match scribe.needs_kept {
        true => {
            let here = part.iter().filter(|c| c.object.is_some());
            scribe.kept(db, book, &here.map(|c| c.name.as_str()).collect::<Vec<_>>())?
        }
        false => Kept::new(),
    };
    if wants_cards {
        let looked_at = cards_part(db, scribe, book, &part, &kept)?;
        let unread = part.split_off(looked_at);
        unread.into_iter().rev().for_each(|change| changes.push_front(change));
        return Ok(changes);
    }
    for change in &part {
        match &change.object {
            Some(traits) => scribe.brief(book, &change.name, traits, &kept),
            None => scribe.gone(book, &change.name),
        }
    }
    Ok(changes)
}

/// Speaks of the cards among these changes, in their order on the disk, as far as one read brings; how many of the
/// changes were looked at. Only what has changed since the list was made is looked up by name.
fn cards_part(
    db: &mut Db,
    scribe: &mut Scribe,
    book: &AddressBook,
    part: &[Change],
    kept: &Kept,
) -> Result<usize> {
    let (Some(first), Some(last)) = (part.first(), part.last()) else { return Ok(0) };
    scribe.make_room(book, part.len());
    let (mut rest, mut moved) = (part.iter().peekable(), Vec::new());
    let range = (first.seq - 1, last.seq);
    let all = books::visit_between(db, book.account_id, book.id, range, |object| {
        while let Some(change) = rest.next_if(|change| change.seq < object.seq) {
            pass(scribe, book, change, &mut moved);
        }
        if rest.next_if(|change| change.seq == object.seq).is_some() {
            scribe.whole(book, &object, kept);
        }
    })?;
    if all {
        rest.by_ref().for_each(|change| pass(scribe, book, change, &mut moved));
    }
    let looked_at = part.len() - rest.len();
    let mut said = vec![false; moved.len()];
    let complete = books::visit_some(db, book.account_id, book.id, &moved, |n, object| {
        scribe.whole(book, &object, kept);
        if let Some(said) = said.get_mut(n) {
            *said = true;
        }
    })?;
    // What did not fit is spoken of by the next list. So is what went away meanwhile, and it costs nothing to say it.
    for (name, _) in moved.iter().zip(said).filter(|(_, said)| complete && !said) {
        scribe.gone(book, name);
    }
    Ok(looked_at)
}

/// A change of which no card was met where the list has it.
fn pass<'a>(scribe: &mut Scribe, book: &AddressBook, change: &'a Change, moved: &mut Vec<&'a str>) {
    match change.object {
        Some(_) => moved.push(&change.name),
        None => scribe.gone(book, &change.name),
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
