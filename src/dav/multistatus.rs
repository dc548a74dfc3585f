//! Writing multistatus answers (RFC 4918 13) straight into bytes: nothing is built up and copied again.
//!
//! `DAV:` is the default namespace of everything we write, `C:` and `CS:` are declared at the root.

use memchr::{memchr, memchr3};

use super::Precondition;
use super::names::{CALENDAR_SERVER, CARDDAV, DAV, Name};

/// The beginning of a document whose root is `root` of `DAV:`.
pub fn xml_head(root: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(1_024);
    out.extend_from_slice(b"<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<");
    out.extend_from_slice(root.as_bytes());
    out.extend_from_slice(
        b" xmlns=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:carddav\" xmlns:CS=\"http://calendarserver.org/ns/\">",
    );
    out
}

/// Appends text with its markup characters escaped. Carriage returns are written as references: an XML reader would
/// otherwise drop them, and a vCard would not come back as it was stored.
pub fn escape_into(out: &mut Vec<u8>, text: &[u8]) {
    // `>` must be escaped in `]]>` only; it is rare enough to look for once.
    let has_gt = memchr(b'>', text).is_some();
    let mut rest = text;
    while let Some(at) = memchr3(b'<', b'&', b'\r', rest) {
        let (plain, tail) = rest.split_at(at);
        push_plain(out, plain, has_gt);
        let Some((byte, after)) = tail.split_first() else { break };
        out.extend_from_slice(match byte {
            b'<' => b"&lt;",
            b'&' => b"&amp;",
            _ => b"&#13;",
        });
        rest = after;
    }
    push_plain(out, rest, has_gt);
}

fn push_plain(out: &mut Vec<u8>, plain: &[u8], has_gt: bool) {
    if !has_gt {
        out.extend_from_slice(plain);
        return;
    }
    for part in plain.split_inclusive(|b| *b == b'>') {
        match part.split_last() {
            Some((b'>', before)) => {
                out.extend_from_slice(before);
                out.extend_from_slice(b"&gt;");
            }
            _ => out.extend_from_slice(part),
        }
    }
}

fn prefix(name: &Name) -> Option<&'static [u8]> {
    match &*name.ns {
        DAV => Some(b""),
        CARDDAV => Some(b"C:"),
        CALENDAR_SERVER => Some(b"CS:"),
        _ => None,
    }
}

/// Appends `<name/>`.
pub fn empty_element(out: &mut Vec<u8>, name: &Name) {
    open_tag(out, name);
    // `open_tag` ends with `>`.
    out.pop();
    out.extend_from_slice(b"/>");
}

/// Appends `<name>`.
pub fn open_tag(out: &mut Vec<u8>, name: &Name) {
    out.push(b'<');
    match prefix(name) {
        Some(prefix) => {
            out.extend_from_slice(prefix);
            out.extend_from_slice(name.local.as_bytes());
        }
        None => {
            out.extend_from_slice(name.local.as_bytes());
            out.extend_from_slice(b" xmlns=\"");
            let mut ns = Vec::new();
            escape_into(&mut ns, name.ns.as_bytes());
            for byte in ns {
                if byte == b'"' { out.extend_from_slice(b"&quot;") } else { out.push(byte) }
            }
            out.push(b'"');
        }
    }
    out.push(b'>');
}

/// Appends `</name>`.
pub fn close_tag(out: &mut Vec<u8>, name: &Name) {
    out.extend_from_slice(b"</");
    out.extend_from_slice(prefix(name).unwrap_or(b""));
    out.extend_from_slice(name.local.as_bytes());
    out.push(b'>');
}

/// Appends `<name>text</name>`.
pub fn text_element(out: &mut Vec<u8>, name: &Name, text: &str) {
    open_tag(out, name);
    escape_into(out, text.as_bytes());
    close_tag(out, name);
}

/// Appends `<href>…</href>`; addresses are encoded, so there is nothing to escape.
pub fn href_element(out: &mut Vec<u8>, href: &str) {
    out.extend_from_slice(b"<href>");
    escape_into(out, href.as_bytes());
    out.extend_from_slice(b"</href>");
}

/// The status line inside an answer.
fn status_text(status: u16) -> &'static [u8] {
    match status {
        200 => b"<status>HTTP/1.1 200 OK</status>",
        204 => b"<status>HTTP/1.1 204 No Content</status>",
        401 => b"<status>HTTP/1.1 401 Unauthorized</status>",
        403 => b"<status>HTTP/1.1 403 Forbidden</status>",
        404 => b"<status>HTTP/1.1 404 Not Found</status>",
        409 => b"<status>HTTP/1.1 409 Conflict</status>",
        424 => b"<status>HTTP/1.1 424 Failed Dependency</status>",
        507 => b"<status>HTTP/1.1 507 Insufficient Storage</status>",
        _ => b"<status>HTTP/1.1 500 Internal Server Error</status>",
    }
}

/// A multistatus answer in the making.
#[derive(Debug)]
pub struct Multistatus {
    out: Vec<u8>,
    propstat_at: usize,
    propstats: usize,
}

impl Default for Multistatus {
    fn default() -> Self {
        Multistatus::new()
    }
}

impl Multistatus {
    /// An empty one.
    pub fn new() -> Self {
        Multistatus::with_root("multistatus")
    }

    /// One whose root is `mkcol-response` (RFC 5689 5.2).
    pub fn with_root(root: &str) -> Self {
        Multistatus { out: xml_head(root), propstat_at: 0, propstats: 0 }
    }

    /// How many bytes are written.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing is written; never, since there is always a head.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Room for so many more bytes.
    pub fn reserve(&mut self, bytes: usize) {
        self.out.reserve(bytes);
    }

    /// Takes what is written so far, to be sent ahead.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// Where property elements go, between [`Multistatus::open_propstat`] and [`Multistatus::close_propstat`].
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Begins the answer about one resource.
    pub fn open_response(&mut self, href: &str) {
        self.out.extend_from_slice(b"<response>");
        href_element(&mut self.out, href);
        self.propstats = 0;
    }

    /// Begins properties of one status.
    pub fn open_propstat(&mut self) {
        self.propstat_at = self.out.len();
        self.out.extend_from_slice(b"<propstat><prop>");
    }

    /// Ends properties of one status; takes the frame back when there were none.
    pub fn close_propstat(&mut self, status: u16, precondition: Option<&Precondition>) {
        if self.out.len() == self.propstat_at + b"<propstat><prop>".len() {
            self.out.truncate(self.propstat_at);
            return;
        }
        self.finish_propstat(status, precondition);
    }

    fn finish_propstat(&mut self, status: u16, precondition: Option<&Precondition>) {
        self.out.extend_from_slice(b"</prop>");
        self.out.extend_from_slice(status_text(status));
        if let Some(precondition) = precondition {
            self.out.extend_from_slice(b"<error>");
            precondition.write(&mut self.out);
            self.out.extend_from_slice(b"</error>");
        }
        self.out.extend_from_slice(b"</propstat>");
        self.propstats += 1;
    }

    /// Properties of one status by name only.
    pub fn named_propstat<'a>(
        &mut self,
        names: impl Iterator<Item = &'a Name>,
        status: u16,
        precondition: Option<&Precondition>,
    ) {
        self.open_propstat();
        for name in names {
            empty_element(&mut self.out, name);
        }
        self.close_propstat(status, precondition);
    }

    /// Ends the answer about one resource. One without any property still says that the resource is there.
    pub fn close_response(&mut self) {
        if self.propstats == 0 {
            self.out.extend_from_slice(b"<propstat><prop>");
            self.finish_propstat(200, None);
        }
        self.out.extend_from_slice(b"</response>");
    }

    /// The answer about a resource that has only a status.
    pub fn status_response(&mut self, href: &str, status: u16, precondition: Option<&Precondition>) {
        self.out.extend_from_slice(b"<response>");
        href_element(&mut self.out, href);
        self.out.extend_from_slice(status_text(status));
        if let Some(precondition) = precondition {
            self.out.extend_from_slice(b"<error>");
            precondition.write(&mut self.out);
            self.out.extend_from_slice(b"</error>");
        }
        self.out.extend_from_slice(b"</response>");
    }

    /// The end, with the token of RFC 6578 when there is one.
    pub fn finish(self, sync_token: Option<&str>) -> Vec<u8> {
        self.finish_root("multistatus", sync_token)
    }

    /// The end of a document with another root.
    pub fn finish_root(mut self, root: &str, sync_token: Option<&str>) -> Vec<u8> {
        if let Some(token) = sync_token {
            text_element(&mut self.out, &Name::dav("sync-token"), token);
        }
        self.out.extend_from_slice(b"</");
        self.out.extend_from_slice(root.as_bytes());
        self.out.push(b'>');
        self.out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::xml;
    use super::*;

    #[test]
    fn an_answer_reads_back() {
        let mut ms = Multistatus::new();
        ms.open_response("/dav/a%20b");
        ms.open_propstat();
        text_element(ms.buffer(), &Name::dav("getetag"), "\"x<&>\"");
        text_element(ms.buffer(), &Name::carddav("address-data"), "A\r\nB]]>");
        text_element(ms.buffer(), &Name::read("urn:\"odd\"&", "own"), "v");
        ms.close_propstat(200, None);
        ms.named_propstat([Name::dav("nope"), Name::read("", "bare")].iter(), 404, None);
        ms.close_response();
        ms.status_response("/dav/gone", 404, None);
        let precondition = Precondition::Named(Name::dav("number-of-matches-within-limits"));
        ms.status_response("/dav/", 507, Some(&precondition));
        let bytes = ms.finish(Some("data:1"));
        let root = xml::parse(&bytes).unwrap();
        let responses: Vec<_> = root.elements().filter(|e| e.is_dav("response")).collect();
        assert_eq!(responses.len(), 3);
        let propstats: Vec<_> =
            responses.first().unwrap().elements().filter(|e| e.is_dav("propstat")).collect();
        let prop = propstats.first().unwrap().dav("prop").unwrap();
        assert_eq!(prop.carddav("address-data").unwrap().text(), "A\r\nB]]>");
        assert!(prop.elements().any(|e| e.name == Some(Name::read("urn:\"odd\"&", "own"))));
        let missing: Vec<_> = propstats.get(1).unwrap().dav("prop").unwrap().names().cloned().collect();
        assert_eq!(missing, [Name::dav("nope"), Name::read("", "bare")]);
        assert_eq!(root.dav("sync-token").unwrap().text(), "data:1");
        assert!(
            responses.get(2).unwrap().dav("error").unwrap().dav("number-of-matches-within-limits").is_some()
        );
    }

    #[test]
    fn a_resource_without_properties_is_still_there() {
        let mut ms = Multistatus::new();
        ms.open_response("/x");
        ms.open_propstat();
        ms.close_propstat(404, None);
        ms.close_response();
        let text = String::from_utf8(ms.finish(None)).unwrap();
        assert!(
            text.contains("<propstat><prop></prop><status>HTTP/1.1 200 OK</status></propstat>"),
            "{text}"
        );
    }

    proptest! {
        #[test]
        fn escaped_text_reads_back(text in "[\\PC\\r\\n\\t<>&\\]]{0,80}") {
            let mut out = b"<a>".to_vec();
            escape_into(&mut out, text.as_bytes());
            out.extend_from_slice(b"</a>");
            prop_assert_eq!(xml::parse(&out).unwrap().text(), text);
        }
    }
}
