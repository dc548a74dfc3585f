//! What each resource says of itself: the live properties of RFC 4918, 3744, 4331, 5397, 5995, 6352 and 6578, and the
//! kept ones.

use super::place::{self, Place};
use super::shelf::Shelf;
use super::token;
use crate::clock::Timestamp;
use crate::contacts::books::{
    ACCOUNT_BYTES_MAX, AddressBook, AddressObject, KeptProperty, ObjectText, Traits,
};
use crate::contacts::pushes::Watched;
use crate::contacts::sharing::Right;
use crate::contacts::vcard::CARD_BYTES_MAX;
use crate::dav::filter::Collation;
use crate::dav::multistatus::{close_tag, escape_into, href_element, open_tag, text_element};
use crate::dav::names::{CALENDAR_SERVER, CARDDAV, DAV, Name, PUSH};
use crate::dav::push::{write_transports, write_triggers};
use crate::dav::{Multistatus, Precondition, PropertyRequest};

/// The media type of an object.
pub const CARD_TYPE: &str = "text/vcard; charset=utf-8";

/// A resource with all that is needed to speak of it.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// Where it is.
    pub place: &'a Place,
    /// Who asks: the handle.
    pub viewer: &'a str,
    /// The books of who asks.
    pub shelf: &'a Shelf,
    /// The object, when it is one.
    pub object: Option<ObjectView<'a>>,
    /// Its kept properties.
    pub kept: &'a [KeptProperty],
}

/// An object as far as properties need it.
#[derive(Debug, Clone, Copy)]
pub struct ObjectView<'a> {
    /// The quoted tag.
    pub etag: &'a str,
    /// Bytes.
    pub size_bytes: i32,
    /// When it came to be.
    pub created_at: Timestamp,
    /// When it changed last.
    pub updated_at: Timestamp,
}

impl<'a> From<&'a Traits> for ObjectView<'a> {
    fn from(o: &'a Traits) -> Self {
        ObjectView {
            etag: &o.etag,
            size_bytes: o.size_bytes,
            created_at: o.created_at,
            updated_at: o.updated_at,
        }
    }
}

impl<'a> From<&'a ObjectText> for ObjectView<'a> {
    fn from(o: &'a ObjectText) -> Self {
        ObjectView {
            etag: &o.etag,
            size_bytes: o.size_bytes,
            created_at: o.created_at,
            updated_at: o.updated_at,
        }
    }
}

impl<'a> From<&'a AddressObject> for ObjectView<'a> {
    fn from(o: &'a AddressObject) -> Self {
        ObjectView {
            etag: &o.etag,
            size_bytes: o.size_bytes,
            created_at: o.created_at,
            updated_at: o.updated_at,
        }
    }
}

/// Live properties that `allprop` shows: RFC 4918's own.
const USUAL: [&str; 7] = [
    "resourcetype",
    "displayname",
    "getetag",
    "getcontenttype",
    "getcontentlength",
    "getlastmodified",
    "creationdate",
];

/// All other live properties, for `propname`.
const MORE: [(&str, &str); 30] = [
    (DAV, "sync-token"),
    (CALENDAR_SERVER, "getctag"),
    (DAV, "current-user-principal"),
    (DAV, "current-user-privilege-set"),
    (DAV, "owner"),
    (DAV, "group"),
    (DAV, "acl"),
    (DAV, "acl-restrictions"),
    (DAV, "inherited-acl-set"),
    (DAV, "supported-privilege-set"),
    (DAV, "principal-collection-set"),
    (DAV, "supported-report-set"),
    (DAV, "add-member"),
    (DAV, "quota-available-bytes"),
    (DAV, "quota-used-bytes"),
    (DAV, "principal-URL"),
    (DAV, "alternate-URI-set"),
    (DAV, "group-member-set"),
    (DAV, "group-membership"),
    (CARDDAV, "addressbook-home-set"),
    (CARDDAV, "addressbook-description"),
    (CARDDAV, "supported-address-data"),
    (CARDDAV, "supported-collation-set"),
    (CARDDAV, "max-resource-size"),
    (CALENDAR_SERVER, "email-address-set"),
    (DAV, "supportedlock"),
    (DAV, "lockdiscovery"),
    (PUSH, "transports"),
    (PUSH, "topic"),
    (PUSH, "supported-triggers"),
];

/// Whether a client may not change a property: everything live but the two that name a book.
pub fn is_protected(name: &Name, place: &Place) -> bool {
    let is_book = matches!(place, Place::Book(..));
    if is_book && (name.is_dav("displayname") || name.is_carddav("addressbook-description")) {
        return false;
    }
    if name.is_dav("displayname") {
        return !matches!(place, Place::Object(..));
    }
    let live = |(ns, local): &(&str, &str)| name.ns == *ns && name.local == *local;
    name.ns == DAV && USUAL.contains(&&*name.local)
        || MORE.iter().any(live)
        || name.is_dav("getcontentlanguage")
        || name.is_carddav("address-data")
        || name.ns == PUSH && name.local == "push-transports"
}

impl Subject<'_> {
    fn book(&self) -> Option<&AddressBook> {
        match self.place {
            Place::Book(_, slug) | Place::Object(_, slug, _) => self.shelf.book(slug),
            _ => None,
        }
    }

    fn is_collection(&self) -> bool {
        self.object.is_none()
    }

    /// Appends a property's element; `false`, and nothing appended, when there is none.
    pub fn write(&self, out: &mut Vec<u8>, name: &Name) -> bool {
        let before = out.len();
        let is_there = match &*name.ns {
            DAV => self.write_dav(out, name),
            CARDDAV => self.write_carddav(out, name),
            CALENDAR_SERVER => self.write_calendar_server(out, name),
            PUSH => self.write_push(out, name),
            _ => false,
        };
        if is_there {
            return true;
        }
        out.truncate(before);
        let clark = name.to_clark();
        match self.kept.iter().find(|k| k.property == clark) {
            Some(kept) => {
                out.extend_from_slice(kept.value.as_bytes());
                true
            }
            None => false,
        }
    }

    fn write_dav(&self, out: &mut Vec<u8>, name: &Name) -> bool {
        match (&*name.local, &self.object) {
            ("getetag", Some(object)) => text_element(out, name, object.etag),
            ("getcontentlength", Some(object)) => text_element(out, name, &object.size_bytes.to_string()),
            ("getcontenttype", Some(_)) => text_element(out, name, CARD_TYPE),
            ("getlastmodified", Some(object)) => text_element(out, name, &http_date(object.updated_at)),
            ("creationdate", Some(object)) => text_element(out, name, &whole_seconds(object.created_at)),
            ("creationdate", None) => match (self.place, self.book()) {
                (Place::Book(..), Some(book)) => text_element(out, name, &whole_seconds(book.created_at)),
                _ => return false,
            },
            ("resourcetype", _) => self.resource_type(out),
            ("displayname", None) => match self.display_name() {
                Some(text) => self.named(out, name, text),
                None => return false,
            },
            ("sync-token", None) => match (self.place, self.book()) {
                (Place::Book(..), Some(book)) => {
                    text_element(out, name, &token::render(book.id, book.state()))
                }
                _ => return false,
            },
            ("current-user-principal", _) => {
                self.href_property(out, name, &place::principal_href(self.viewer))
            }
            ("supportedlock" | "lockdiscovery", _) => wrap(out, name, |_| {}),
            ("principal-collection-set", _) => self.href_property(out, name, &Place::Principals.href()),
            ("supported-report-set", _) => self.reports(out),
            _ => return self.write_access(out, name) || self.write_principal(out, name),
        }
        true
    }

    /// RFC 3744 and 4331.
    fn write_access(&self, out: &mut Vec<u8>, name: &Name) -> bool {
        let is_owned = self.place.handle().is_some();
        match &*name.local {
            "owner" if is_owned => {
                let owner = self.book().and_then(|b| self.shelf.owner(b)).unwrap_or(self.viewer);
                self.href_property(out, name, &place::principal_href(owner));
            }
            // What belongs to nobody still has them, and no groups, and rights that come from nowhere else.
            "owner" | "group" | "inherited-acl-set" => wrap(out, name, |_| {}),
            "current-user-privilege-set" => wrap(out, name, |out| {
                for privilege in self.privileges() {
                    out.extend_from_slice(format!("<privilege><{privilege}/></privilege>").as_bytes());
                }
            }),
            "supported-privilege-set" => out.extend_from_slice(SUPPORTED_PRIVILEGES.as_bytes()),
            "acl" => wrap(out, name, |out| self.access_list(out)),
            "acl-restrictions" => wrap(out, name, |out| out.extend_from_slice(b"<grant-only/><no-invert/>")),
            "add-member" if matches!(self.place, Place::Book(..)) => {
                self.href_property(out, name, &format!("{}?add-member", self.place.href()));
            }
            // What the owner of somebody else's book has left is the owner's business.
            "quota-available-bytes" | "quota-used-bytes"
                if self.book().is_some_and(|b| self.shelf.owner(b).is_some()) =>
            {
                return false;
            }
            "quota-available-bytes" if matches!(self.place, Place::Book(..) | Place::Home(_)) => {
                let free = (ACCOUNT_BYTES_MAX - self.shelf.used_bytes()).max(0);
                text_element(out, name, &free.to_string());
            }
            "quota-used-bytes" if matches!(self.place, Place::Book(..) | Place::Home(_)) => {
                text_element(out, name, &self.shelf.used_bytes().to_string());
            }
            _ => return false,
        }
        true
    }

    fn write_principal(&self, out: &mut Vec<u8>, name: &Name) -> bool {
        if !matches!(self.place, Place::Principal(_)) {
            return false;
        }
        match &*name.local {
            "principal-URL" => self.href_property(out, name, &self.place.href()),
            "alternate-URI-set" | "group-member-set" | "group-membership" => wrap(out, name, |_| {}),
            _ => return false,
        }
        true
    }

    fn write_carddav(&self, out: &mut Vec<u8>, name: &Name) -> bool {
        if let (Place::Principal(_), "addressbook-home-set") = (self.place, &*name.local) {
            self.href_property(out, name, &place::home_href(self.viewer));
            return true;
        }
        // RFC 6352 8.3.1: wherever reports compare texts.
        let compares = matches!(self.place, Place::Home(_) | Place::Book(..) | Place::Object(..));
        if compares && &*name.local == "supported-collation-set" {
            wrap(out, name, |out| {
                for (collation, _) in Collation::ALL {
                    text_element(out, &Name::carddav("supported-collation"), collation);
                }
            });
            return true;
        }
        let (Place::Book(..), Some(book)) = (self.place, self.book()) else { return false };
        match &*name.local {
            "addressbook-description" if !book.description.is_empty() => {
                self.named(out, name, &book.description)
            }
            // The first is the one that clients write when they have no opinion; some phones read no other.
            "supported-address-data" => wrap(out, name, |out| {
                for version in ["3.0", "4.0"] {
                    let entry =
                        format!("<C:address-data-type content-type=\"text/vcard\" version=\"{version}\"/>");
                    out.extend_from_slice(entry.as_bytes());
                }
            }),
            "max-resource-size" => text_element(out, name, &CARD_BYTES_MAX.to_string()),
            _ => return false,
        }
        true
    }

    fn write_calendar_server(&self, out: &mut Vec<u8>, name: &Name) -> bool {
        match (self.place, self.book(), &*name.local) {
            (Place::Book(..), Some(book), "getctag") => text_element(out, name, &token::ctag(book)),
            _ => return false,
        }
        true
    }

    /// What can be watched here, and its name for pushes.
    fn watched(&self) -> Option<(Watched, String)> {
        let (watched, owner) = match self.place {
            Place::Book(..) => self.book().map(|b| (Watched::Book(b.id), b.account_id))?,
            Place::Home(_) => (Watched::Home, self.shelf.account()),
            Place::Principal(_) => (Watched::Principal, self.shelf.account()),
            _ => return None,
        };
        Some((watched, watched.topic(&self.shelf.words().keys, owner)))
    }

    /// WebDAV-Push.
    fn write_push(&self, out: &mut Vec<u8>, name: &Name) -> bool {
        let Some((watched, topic)) = self.watched() else { return false };
        match &*name.local {
            "transports" | "push-transports" => {
                write_transports(out, name, &self.shelf.words().public_key);
            }
            "topic" => text_element(out, name, &topic),
            "supported-triggers" => write_triggers(out, watched.triggers()),
            _ => return false,
        }
        true
    }

    fn display_name(&self) -> Option<&str> {
        match self.place {
            Place::Principal(_) => Some(self.shelf.display_name()),
            // One that was taken away is not there.
            Place::Book(..) => self.book().map(|b| b.display_name.as_str()).filter(|name| !name.is_empty()),
            _ => None,
        }
    }

    /// What a book is called or described as, in the language it was said in, unless it was changed elsewhere since.
    fn named(&self, out: &mut Vec<u8>, name: &Name, text: &str) {
        let mut end = b">".to_vec();
        escape_into(&mut end, text.as_bytes());
        end.extend_from_slice(format!("</{}>", name.local).as_bytes());
        let clark = name.to_clark();
        let spoken = self.kept.iter().find(|k| k.property == clark && k.value.as_bytes().ends_with(&end));
        match spoken {
            Some(kept) => out.extend_from_slice(kept.value.as_bytes()),
            None => text_element(out, name, text),
        }
    }

    /// RFC 3744 5.5: the owner, and whoever has access; a member sees the owner and himself.
    fn access_list(&self, out: &mut Vec<u8>) {
        let viewer = (self.viewer, self.privileges());
        let Some(book) = self.book() else { return grant(out, viewer.0, viewer.1) };
        match self.shelf.owner(book) {
            Some(owner) => {
                grant(out, owner, privileges_in_book(Right::Owner));
                grant(out, viewer.0, viewer.1);
            }
            None => {
                grant(out, viewer.0, viewer.1);
                for (member, right) in self.shelf.members(book) {
                    grant(out, member, privileges_in_book(right));
                }
            }
        }
    }

    fn privileges(&self) -> &'static [&'static str] {
        match self.place {
            Place::Book(..) | Place::Object(..) => {
                privileges_in_book(self.book().map_or(Right::Owner, |book| self.shelf.right(book)))
            }
            Place::Home(_) => &["read", "bind", "unbind", "read-acl", "read-current-user-privilege-set"],
            _ => &["read", "read-acl", "read-current-user-privilege-set"],
        }
    }

    fn resource_type(&self, out: &mut Vec<u8>) {
        wrap(out, &Name::dav("resourcetype"), |out| {
            if self.is_collection() {
                out.extend_from_slice(b"<collection/>");
            }
            match self.place {
                Place::Principal(_) => out.extend_from_slice(b"<principal/>"),
                Place::Book(..) => out.extend_from_slice(b"<C:addressbook/>"),
                _ => {}
            }
        });
    }

    fn reports(&self, out: &mut Vec<u8>) {
        let mut names = vec!["expand-property", "acl-principal-prop-set"];
        if !matches!(self.place, Place::Object(..)) {
            names.extend(["principal-property-search", "principal-match"]);
        }
        if self.place.is_about_principals() {
            names.push("principal-search-property-set");
        }
        let mut carddav: &[&str] = &[];
        match self.place {
            Place::Book(..) => {
                names.push("sync-collection");
                carddav = &["addressbook-query", "addressbook-multiget"];
            }
            Place::Home(_) | Place::Object(..) => carddav = &["addressbook-query", "addressbook-multiget"],
            _ => {}
        }
        wrap(out, &Name::dav("supported-report-set"), |out| {
            for name in names {
                out.extend_from_slice(
                    format!("<supported-report><report><{name}/></report></supported-report>").as_bytes(),
                );
            }
            for name in carddav {
                let entry = format!("<supported-report><report><C:{name}/></report></supported-report>");
                out.extend_from_slice(entry.as_bytes());
            }
        });
    }

    fn href_property(&self, out: &mut Vec<u8>, name: &Name, href: &str) {
        wrap(out, name, |out| href_element(out, href));
    }

    /// All properties there are, by name.
    fn names(&self) -> Vec<Name> {
        let live = USUAL
            .iter()
            .map(|local| Name::dav(local))
            .chain(MORE.iter().map(|(ns, local)| Name::read(ns, local)));
        let kept = self.kept.iter().filter(|k| !is_live(&k.property));
        let kept = kept.filter_map(|k| Name::from_clark(&k.property));
        let mut scratch = Vec::new();
        live.chain(kept).filter(|name| self.write(&mut scratch, name)).collect()
    }

    /// Appends the whole answer about this resource. `extra` appends what is not a property of its own.
    pub fn respond(
        &self,
        ms: &mut Multistatus,
        href: &str,
        request: &PropertyRequest,
        minimal: bool,
        extra: impl FnOnce(&mut Vec<u8>),
    ) {
        ms.open_response(href);
        ms.open_propstat();
        let mut missing: Vec<&Name> = Vec::new();
        match request {
            PropertyRequest::These(names) => {
                for name in names {
                    if !self.write(ms.buffer(), name) {
                        missing.push(name);
                    }
                }
            }
            PropertyRequest::All(include) => {
                for name in USUAL.iter().map(|local| Name::dav(local)) {
                    self.write(ms.buffer(), &name);
                }
                for kept in self.kept.iter().filter(|k| !is_live(&k.property)) {
                    ms.buffer().extend_from_slice(kept.value.as_bytes());
                }
                for name in include.iter().filter(|n| !is_usual(&n.to_clark())) {
                    if !self.write(ms.buffer(), name) {
                        missing.push(name);
                    }
                }
            }
            PropertyRequest::Names => {
                for name in self.names() {
                    crate::dav::multistatus::empty_element(ms.buffer(), &name);
                }
            }
        }
        extra(ms.buffer());
        ms.close_propstat(200, None);
        if !minimal {
            ms.named_propstat(missing.into_iter(), 404, None);
        }
        ms.close_response();
    }
}

/// What a right in a book is in RFC 3744's words.
fn privileges_in_book(right: Right) -> &'static [&'static str] {
    const ALL: &[&str] = &[
        "all",
        "read",
        "write",
        "write-content",
        "write-properties",
        "bind",
        "unbind",
        "read-acl",
        "read-current-user-privilege-set",
    ];
    match right {
        Right::Owner => ALL,
        Right::Write => ALL.get(1..).unwrap_or(ALL),
        Right::Read => &["read", "read-acl", "read-current-user-privilege-set"],
    }
}

fn grant(out: &mut Vec<u8>, handle: &str, privileges: &[&str]) {
    out.extend_from_slice(b"<ace><principal>");
    href_element(out, &place::principal_href(handle));
    out.extend_from_slice(b"</principal><grant>");
    for privilege in privileges {
        out.extend_from_slice(format!("<privilege><{privilege}/></privilege>").as_bytes());
    }
    out.extend_from_slice(b"</grant><protected/></ace>");
}

fn is_usual(clark: &str) -> bool {
    clark.strip_prefix("{DAV:}").is_some_and(|local| USUAL.contains(&local))
}

/// What is kept of a live property is its language only.
fn is_live(clark: &str) -> bool {
    is_usual(clark) || clark == "{urn:ietf:params:xml:ns:carddav}addressbook-description"
}

fn wrap(out: &mut Vec<u8>, name: &Name, inner: impl FnOnce(&mut Vec<u8>)) {
    open_tag(out, name);
    inner(out);
    close_tag(out, name);
}

/// RFC 3744 5.3.
const SUPPORTED_PRIVILEGES: &str = "<supported-privilege-set><supported-privilege><privilege><all/></privilege><description xml:lang=\"en\">Everything</description>\
<supported-privilege><privilege><read/></privilege><description xml:lang=\"en\">Read</description>\
<supported-privilege><privilege><read-acl/></privilege><description xml:lang=\"en\">Read who may do what</description></supported-privilege>\
<supported-privilege><privilege><read-current-user-privilege-set/></privilege><description xml:lang=\"en\">Read what one may do</description></supported-privilege>\
</supported-privilege>\
<supported-privilege><privilege><write/></privilege><description xml:lang=\"en\">Change</description>\
<supported-privilege><privilege><write-content/></privilege><description xml:lang=\"en\">Change cards</description></supported-privilege>\
<supported-privilege><privilege><write-properties/></privilege><description xml:lang=\"en\">Change properties</description></supported-privilege>\
<supported-privilege><privilege><bind/></privilege><description xml:lang=\"en\">Add cards</description></supported-privilege>\
<supported-privilege><privilege><unbind/></privilege><description xml:lang=\"en\">Take cards away</description></supported-privilege>\
</supported-privilege></supported-privilege></supported-privilege-set>";

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 5.6.7).
pub fn http_date(at: Timestamp) -> String {
    let Ok(instant) = jiff::Timestamp::from_second(at.unix_secs()) else { return String::new() };
    instant.to_zoned(jiff::tz::TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn whole_seconds(at: Timestamp) -> String {
    Timestamp(at.unix_secs().saturating_mul(1_000_000)).to_rfc3339()
}

/// What a refusal to change a protected property is called.
pub const PROTECTED: Precondition = Precondition::Named(Name::dav("cannot-modify-protected-property"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_http_dates() {
        assert_eq!(http_date(Timestamp(784_111_777_000_000)), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn only_the_names_of_a_book_may_be_changed() {
        let book = Place::Book("a".into(), "b".into());
        assert!(!is_protected(&Name::dav("displayname"), &book));
        assert!(!is_protected(&Name::read("urn:x", "color"), &book));
        assert!(is_protected(&Name::dav("resourcetype"), &book));
        assert!(is_protected(&Name::dav("sync-token"), &book));
        assert!(is_protected(&Name::dav("displayname"), &Place::Home("a".into())));
    }
}
