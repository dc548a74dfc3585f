//! Where a request goes: our few kinds of resources, and the one spelling of their addresses.

use crate::dav::href::{self, Path};

/// A resource, as its address says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// `/`, which clients ask before they know better.
    Site,
    /// `/dav/`
    Root,
    /// `/dav/principals/`
    Principals,
    /// `/dav/principals/HANDLE/`
    Principal(String),
    /// `/dav/addressbooks/`
    Homes,
    /// `/dav/addressbooks/HANDLE/`
    Home(String),
    /// `/dav/addressbooks/HANDLE/BOOK/`
    Book(String, String),
    /// `/dav/addressbooks/HANDLE/BOOK/NAME`
    Object(String, String, String),
    /// `/dav/push/ID`: a registration for pushes. Nothing but DELETE is possible there.
    Registration(String),
}

impl Place {
    /// Reads an address; `None` when nothing can be there.
    pub fn parse(path: Path) -> Option<Place> {
        let mut segments = path.segments.into_iter();
        match segments.next().as_deref() {
            None => return Some(Place::Site),
            Some("dav") => {}
            Some(_) => return None,
        }
        let rest: Vec<String> = segments.collect();
        let mut rest = rest.into_iter();
        match (rest.next().as_deref(), rest.next(), rest.next(), rest.next(), rest.next()) {
            (None, ..) => Some(Place::Root),
            (Some("principals"), None, ..) => Some(Place::Principals),
            (Some("principals"), Some(handle), None, ..) => Some(Place::Principal(handle)),
            (Some("addressbooks"), None, ..) => Some(Place::Homes),
            (Some("addressbooks"), Some(handle), None, ..) => Some(Place::Home(handle)),
            (Some("addressbooks"), Some(handle), Some(book), None, _) => Some(Place::Book(handle, book)),
            (Some("addressbooks"), Some(handle), Some(book), Some(name), None) => {
                Some(Place::Object(handle, book, name))
            }
            (Some("push"), Some(id), None, ..) => Some(Place::Registration(id)),
            _ => None,
        }
    }

    /// Reads an `href` or `Destination` of a client.
    pub fn parse_href(text: &str) -> Option<Place> {
        Place::parse(href::parse(text)?)
    }

    /// Whose it is; none for what belongs to nobody.
    pub fn handle(&self) -> Option<&str> {
        match self {
            Place::Site | Place::Root | Place::Principals | Place::Homes | Place::Registration(_) => None,
            Place::Principal(handle)
            | Place::Home(handle)
            | Place::Book(handle, _)
            | Place::Object(handle, ..) => Some(handle),
        }
    }

    /// Whether it is a principal or holds some: there one may ask how to search them (RFC 3744 9.5).
    pub fn is_about_principals(&self) -> bool {
        matches!(self, Place::Site | Place::Root | Place::Principals | Place::Principal(_))
    }

    /// The canonical address.
    pub fn href(&self) -> String {
        match self {
            Place::Site => "/".to_owned(),
            Place::Root => "/dav/".to_owned(),
            Place::Principals => "/dav/principals/".to_owned(),
            Place::Principal(handle) => principal_href(handle),
            Place::Homes => "/dav/addressbooks/".to_owned(),
            Place::Home(handle) => home_href(handle),
            Place::Book(handle, book) => book_href(handle, book),
            Place::Object(handle, book, name) => {
                let mut href = book_href(handle, book);
                href::encode_segment_into(&mut href, name);
                href
            }
            Place::Registration(id) => format!("/dav/push/{}", href::encode_segment(id)),
        }
    }
}

/// The address of a principal.
pub fn principal_href(handle: &str) -> String {
    format!("/dav/principals/{}/", href::encode_segment(handle))
}

/// The address of the collection of an account's books.
pub fn home_href(handle: &str) -> String {
    format!("/dav/addressbooks/{}/", href::encode_segment(handle))
}

/// The address of a book.
pub fn book_href(handle: &str, book: &str) -> String {
    format!("{}{}/", home_href(handle), href::encode_segment(book))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_back() {
        for text in [
            "/",
            "/dav/",
            "/dav/principals/",
            "/dav/principals/alice/",
            "/dav/addressbooks/",
            "/dav/addressbooks/alice/",
            "/dav/addressbooks/alice/personal/",
            "/dav/addressbooks/alice/personal/a%20b.vcf",
        ] {
            assert_eq!(Place::parse_href(text).unwrap().href(), text);
        }
        assert_eq!(
            Place::parse_href("/dav/addressbooks/alice/personal").unwrap().href(),
            "/dav/addressbooks/alice/personal/"
        );
        for none in ["/x", "/dav/calendars/", "/dav/principals/a/b", "/dav/addressbooks/a/b/c/d", "/dav/../x"]
        {
            assert_eq!(Place::parse_href(none), None, "{none}");
        }
    }
}
