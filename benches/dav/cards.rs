//! What phones send and read: vCards, the questions of a sync, and just enough of the answers.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use base64::Engine as _;
use memchr::memmem;

/// Every how many-th card has a picture.
const PICTURE_EVERY: usize = 5;
const PICTURE_BYTES: usize = 8_192;

/// A picture as a 3.0 property, folded as Apple's and Google's programs do.
fn picture() -> &'static str {
    static PICTURE: OnceLock<String> = OnceLock::new();
    PICTURE.get_or_init(|| {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let bytes: Vec<u8> = (0..PICTURE_BYTES)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 32) as u8
            })
            .collect();
        let line =
            format!("PHOTO;ENCODING=b;TYPE=JPEG:{}", base64::engine::general_purpose::STANDARD.encode(bytes));
        let mut folded = String::with_capacity(line.len() + line.len() / 32);
        for (n, chunk) in line.as_bytes().chunks(74).enumerate() {
            folded.push_str(if n == 0 { "" } else { "\r\n " });
            folded.push_str(std::str::from_utf8(chunk).unwrap());
        }
        folded.push_str("\r\n");
        folded
    })
}

/// The n-th card of a book; `name` makes its text another one.
pub fn card(uid: &str, n: usize, name: &str) -> String {
    let picture = if n.is_multiple_of(PICTURE_EVERY) { picture() } else { "" };
    format!(
        "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nFN:{name} Number {n}\r\nN:Number {n};{name};;;\r\n\
         TEL;TYPE=CELL:+1202555{:04}\r\nEMAIL;TYPE=HOME:person{n}@example.org\r\n{picture}\
         REV:2026-01-01T00:00:00Z\r\nEND:VCARD\r\n",
        n % 10_000
    )
}

pub const XML: &str = "Content-Type: application/xml; charset=utf-8\r\n";
pub const VCARD: &str = "Content-Type: text/vcard; charset=utf-8\r\n";
const NAMESPACES: &str = "xmlns=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:carddav\"";

/// The poll of a phone: has anything changed?
pub const POLL: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\
    <propfind xmlns=\"DAV:\" xmlns:CS=\"http://calendarserver.org/ns/\"><prop><sync-token/><CS:getctag/></prop></propfind>";

/// A listing of names and tags.
pub const LIST: &str =
    "<?xml version=\"1.0\" encoding=\"utf-8\"?><propfind xmlns=\"DAV:\"><prop><getetag/></prop></propfind>";

/// What changed since `token`; with the cards themselves when wanted.
pub fn changes(token: &str, cards: bool) -> String {
    let data = if cards { "<C:address-data/>" } else { "" };
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><sync-collection {NAMESPACES}><sync-token>{token}</sync-token>\
         <sync-level>1</sync-level><prop><getetag/>{data}</prop></sync-collection>"
    )
}

/// These cards.
pub fn multiget<'a>(hrefs: impl Iterator<Item = &'a str>) -> String {
    let mut body = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><C:addressbook-multiget {NAMESPACES}>\
         <prop><getetag/><C:address-data/></prop>"
    );
    for href in hrefs {
        body.push_str("<href>");
        body.push_str(href);
        body.push_str("</href>");
    }
    body.push_str("</C:addressbook-multiget>");
    body
}

/// The texts of all elements with this local name, whatever their prefix.
fn texts<'a>(xml: &'a str, local: &str) -> Vec<(usize, &'a str)> {
    let closing = format!("{local}>");
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = xml[from..].find(&closing) {
        let start = from + at + closing.len();
        // An opening tag: nothing but a prefix between `<` and the name.
        let before = &xml[..from + at];
        let opens = before.ends_with('<')
            || before.ends_with(':')
                && before[..before.len() - 1]
                    .rsplit_once('<')
                    .is_some_and(|(_, p)| !p.is_empty() && p.bytes().all(|b| b.is_ascii_alphanumeric()));
        let end = xml[start..].find('<').map_or(xml.len(), |n| start + n);
        if opens {
            found.push((from + at, &xml[start..end]));
        }
        from = end;
    }
    found
}

/// The sync token of an answer.
pub fn token(xml: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(xml).ok()?;
    texts(text, "sync-token").pop().map(|(_, t)| t.trim().replace("&amp;", "&"))
}

/// Address and tag of each member in an answer; no tag for what is gone.
pub fn members(xml: &[u8], book: &str) -> BTreeMap<String, Option<String>> {
    let text = String::from_utf8_lossy(xml);
    let hrefs = texts(&text, "href");
    let tags = texts(&text, "getetag");
    let mut members = BTreeMap::new();
    let mut tags = tags.into_iter().peekable();
    for (n, (at, href)) in hrefs.iter().enumerate() {
        let end = hrefs.get(n + 1).map_or(text.len(), |(at, _)| *at);
        let mut tag = None;
        while let Some((_, value)) = tags.next_if(|(place, _)| *place < end) {
            tag = Some(value.trim().replace("&quot;", "\""));
        }
        let is_member = href.trim_end_matches('/') != book.trim_end_matches('/');
        if is_member && *at < end {
            members.insert(href.trim().to_owned(), tag.filter(|t| !t.is_empty()));
        }
    }
    members
}

/// How many cards are in an answer.
pub fn cards_in(xml: &[u8]) -> usize {
    memmem::find_iter(xml, b"BEGIN:VCARD").count()
}

#[test]
fn answers_are_read() {
    let xml = b"<D:multistatus xmlns:D='DAV:'><D:response><D:href>/b/</D:href></D:response><D:response><D:href>/b/1.vcf\
        </D:href><D:propstat><D:prop><D:getetag>&quot;x&quot;</D:getetag></D:prop></D:propstat></D:response><D:response>\
        <D:href>/b/2.vcf</D:href><D:status>HTTP/1.1 404 Not Found</D:status></D:response><D:sync-token>t</D:sync-token>\
        </D:multistatus>";
    let found = members(xml, "/b/");
    assert_eq!(found.len(), 2);
    assert_eq!(found["/b/1.vcf"].as_deref(), Some("\"x\""));
    assert_eq!(found["/b/2.vcf"], None);
    assert_eq!(token(xml).as_deref(), Some("t"));
}
