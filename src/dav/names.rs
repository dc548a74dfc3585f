//! Qualified names and the namespaces that CardDAV clients use.

use std::borrow::Cow;

/// RFC 4918.
pub const DAV: &str = "DAV:";
/// RFC 6352.
pub const CARDDAV: &str = "urn:ietf:params:xml:ns:carddav";
/// CTag and other habits of Apple's Calendar Server.
pub const CALENDAR_SERVER: &str = "http://calendarserver.org/ns/";
/// WebDAV-Push, draft of bitfire.
pub const PUSH: &str = "https://bitfire.at/webdav-push";

/// A namespace and a local name; equal whatever the prefix was.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    /// The namespace; empty for none.
    pub ns: Cow<'static, str>,
    /// The local name.
    pub local: Cow<'static, str>,
}

impl Name {
    /// A name in `DAV:`.
    pub const fn dav(local: &'static str) -> Self {
        Name { ns: Cow::Borrowed(DAV), local: Cow::Borrowed(local) }
    }

    /// A name in CardDAV's namespace.
    pub const fn carddav(local: &'static str) -> Self {
        Name { ns: Cow::Borrowed(CARDDAV), local: Cow::Borrowed(local) }
    }

    /// A name in Calendar Server's namespace.
    pub const fn calendar_server(local: &'static str) -> Self {
        Name { ns: Cow::Borrowed(CALENDAR_SERVER), local: Cow::Borrowed(local) }
    }

    /// A name as read; well-known namespaces cost no memory.
    pub fn read(ns: &str, local: &str) -> Self {
        let ns = match [DAV, CARDDAV, CALENDAR_SERVER, PUSH, ""].into_iter().find(|known| *known == ns) {
            Some(known) => Cow::Borrowed(known),
            None => Cow::Owned(ns.to_owned()),
        };
        Name { ns, local: Cow::Owned(local.to_owned()) }
    }

    /// Whether this is `local` in `DAV:`.
    pub fn is_dav(&self, local: &str) -> bool {
        self.ns == DAV && self.local == local
    }

    /// Whether this is `local` in CardDAV's namespace.
    pub fn is_carddav(&self, local: &str) -> bool {
        self.ns == CARDDAV && self.local == local
    }

    /// The form in which a kept property's name is stored: `{namespace}local`.
    pub fn to_clark(&self) -> String {
        format!("{{{}}}{}", self.ns, self.local)
    }

    /// Reads [`Name::to_clark`].
    pub fn from_clark(text: &str) -> Option<Self> {
        let (ns, local) = text.strip_prefix('{')?.rsplit_once('}')?;
        Some(Name::read(ns, local))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clark_notation_comes_back() {
        for name in [Name::dav("getetag"), Name::read("urn:x}y", "z"), Name::read("", "plain")] {
            assert_eq!(Name::from_clark(&name.to_clark()), Some(name));
        }
        assert_eq!(Name::from_clark("getetag"), None);
    }
}
