//! The little that a phone reads of a vCard: name, telephone numbers, picture, groups (RFC 2426, RFC 6350).

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// More numbers than this on one card are left out.
const NUMBERS_MAX: usize = 50;
/// More groups than this on one card are left out.
const CATEGORIES_MAX: usize = 50;
/// A larger picture is not kept.
const PHOTO_BYTES_MAX: usize = 512 * 1024;
/// Names and numbers are cut here, in characters.
const TEXT_MAX: usize = 256;

/// A picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Photo {
    /// `image/jpeg` and its kin; nothing that a browser would run.
    pub content_type: &'static str,
    /// The octets.
    pub bytes: Vec<u8>,
}

/// One card as a phone understands it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Card {
    /// Given by whoever stored the card.
    pub id: String,
    /// FN, else what N says, else ORG.
    pub name: String,
    /// TEL, as written.
    pub numbers: Vec<String>,
    /// CATEGORIES.
    pub categories: Vec<String>,
    /// PHOTO, when it is inside the card.
    pub photo: Option<Arc<Photo>>,
}

/// Reads one card; none when it is no card, or that of a group.
pub fn parse(octets: &[u8]) -> Option<Card> {
    let text = String::from_utf8_lossy(&unfold(octets)).into_owned();
    let (mut card, mut structured, mut organization) = (Card::default(), String::new(), String::new());
    let mut begun = false;
    for line in text.lines() {
        let Some(line) = Line::parse(line) else { continue };
        match line.name.as_str() {
            "BEGIN" => begun = line.value.trim().eq_ignore_ascii_case("VCARD"),
            "FN" if card.name.is_empty() => card.name = cut(&unescape(line.value)),
            "N" => structured = name_of(line.value),
            "ORG" => organization = cut(&unescape(line.value.split(';').next().unwrap_or_default())),
            "TEL" if card.numbers.len() < NUMBERS_MAX => {
                let number = cut(telephone(&unescape(line.value)));
                if !number.is_empty() && !card.numbers.contains(&number) {
                    card.numbers.push(number);
                }
            }
            "CATEGORIES" => {
                let groups = split(line.value, ',').into_iter().map(|group| cut(unescape(&group).trim()));
                card.categories.extend(groups.filter(|group| !group.is_empty()));
                card.categories.truncate(CATEGORIES_MAX);
            }
            "PHOTO" if card.photo.is_none() => card.photo = photo(&line).map(Arc::new),
            "KIND" | "X-ADDRESSBOOKSERVER-KIND" if line.value.trim().eq_ignore_ascii_case("group") => {
                return None;
            }
            _ => {}
        }
    }
    if card.name.trim().is_empty() {
        card.name = if structured.is_empty() { organization } else { structured };
    }
    begun.then_some(card)
}

/// Takes line folding away, in octets: a fold may stand inside a character (RFC 6350 §3.2).
fn unfold(octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len());
    let mut rest = octets;
    while let Some((&first, tail)) = rest.split_first() {
        let after = match rest {
            [b'\r', b'\n', b' ' | b'\t', after @ ..] | [b'\n', b' ' | b'\t', after @ ..] => Some(after),
            _ => None,
        };
        match after {
            Some(after) => rest = after,
            None => {
                out.push(first);
                rest = tail;
            }
        }
    }
    out
}

struct Line<'a> {
    /// In capitals, without its group.
    name: String,
    /// In capitals up to `=`.
    params: Vec<(String, String)>,
    value: &'a str,
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let colon = unquoted(line, ':')?;
        let (head, value) = (line.get(..colon)?, line.get(colon + 1..)?);
        let mut parts = split_unquoted(head, ';').into_iter();
        let name = parts.next()?;
        let name = name.rsplit('.').next().unwrap_or(name).trim().to_ascii_uppercase();
        let params = parts
            .map(|param| match param.split_once('=') {
                Some((key, value)) => (key.trim().to_ascii_uppercase(), value.trim_matches('"').to_owned()),
                // vCard 2.1 style: the bare type.
                None => ("TYPE".to_owned(), param.to_owned()),
            })
            .collect();
        Some(Line { name, params, value })
    }

    fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The place of the first `wanted` outside of double quotes.
fn unquoted(text: &str, wanted: char) -> Option<usize> {
    let mut quoted = false;
    text.char_indices().find_map(|(at, c)| {
        quoted ^= c == '"';
        (c == wanted && !quoted).then_some(at)
    })
}

fn split_unquoted(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some(at) = unquoted(rest, separator) {
        parts.push(rest.get(..at).unwrap_or_default());
        rest = rest.get(at + separator.len_utf8()..).unwrap_or_default();
    }
    parts.push(rest);
    parts
}

/// Splits at separators that no backslash precedes; the parts keep their escapes.
fn split(text: &str, separator: char) -> Vec<String> {
    let (mut parts, mut part, mut escaped) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        if c == separator && !escaped {
            parts.push(std::mem::take(&mut part));
            continue;
        }
        escaped = c == '\\' && !escaped;
        part.push(c);
    }
    parts.push(part);
    parts
}

fn unescape(text: &str) -> String {
    let (mut out, mut chars) = (String::with_capacity(text.len()), text.chars());
    while let Some(c) = chars.next() {
        match (c, chars.as_str().chars().next()) {
            ('\\', Some(next)) => {
                chars.next();
                out.push(if matches!(next, 'n' | 'N') { '\n' } else { next });
            }
            _ => out.push(c),
        }
    }
    out
}

fn cut(text: &str) -> String {
    text.trim().chars().take(TEXT_MAX).collect()
}

/// `Family;Given;Middle;Prefix;Suffix` as people say it.
fn name_of(value: &str) -> String {
    let parts: Vec<String> = split(value, ';').iter().map(|part| unescape(part).trim().to_owned()).collect();
    let order = [3, 1, 2, 0, 4];
    let words: Vec<&str> =
        order.iter().filter_map(|at| parts.get(*at)).map(String::as_str).filter(|p| !p.is_empty()).collect();
    cut(&words.join(" "))
}

/// A telephone number without the `tel:` and the parameters of its URI (RFC 3966).
fn telephone(value: &str) -> &str {
    let value = value.trim();
    match value.get(..4) {
        Some(scheme) if scheme.eq_ignore_ascii_case("tel:") => {
            value.get(4..).and_then(|rest| rest.split(';').next()).unwrap_or_default()
        }
        _ => value,
    }
}

/// A picture inside the card: base64 (3.0) or a `data:` URI (4.0). Pictures elsewhere are not fetched.
fn photo(line: &Line<'_>) -> Option<Photo> {
    let value = line.value.trim();
    let (kind, encoded) = match value.strip_prefix("data:") {
        Some(uri) => {
            let (kind, data) = uri.split_once(',').or_else(|| uri.split_once("\\,"))?;
            (kind.trim_end_matches('\\').split(';').next()?.to_owned(), data)
        }
        None => {
            let encoding = line.param("ENCODING")?;
            if !encoding.eq_ignore_ascii_case("b") && !encoding.eq_ignore_ascii_case("base64") {
                return None;
            }
            (line.param("TYPE").unwrap_or("jpeg").to_owned(), value)
        }
    };
    let kind = kind.to_ascii_lowercase();
    let content_type = match kind.strip_prefix("image/").unwrap_or(&kind) {
        "jpeg" | "jpg" => "image/jpeg",
        "png" => "image/png",
        "gif" => "image/gif",
        "webp" => "image/webp",
        _ => return None,
    };
    let encoded: String = encoded.chars().filter(|c| !c.is_whitespace()).collect();
    if encoded.len() / 4 * 3 > PHOTO_BYTES_MAX {
        return None;
    }
    let bytes = STANDARD.decode(encoded).ok()?;
    (!bytes.is_empty()).then_some(Photo { content_type, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_a_phone_shows() {
        let card = parse(
            "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:1\r\nFN:Bob \\, Jr\r\nN:Jr;Bob;;;\r\nitem1.TEL;TYPE=\"cell,voice\":+1 202 \
             555 0150\r\nTEL;VALUE=uri:tel:+12025550151;ext=7\r\nCATEGORIES:Meari,Work\\, old\r\n\
             PHOTO;ENCODING=b;TYPE=PNG:iVBO\r\n Rw==\r\nEND:VCARD\r\n"
                .as_bytes(),
        )
        .unwrap();
        assert_eq!(card.name, "Bob , Jr");
        assert_eq!(card.numbers, ["+1 202 555 0150", "+12025550151"]);
        assert_eq!(card.categories, ["Meari", "Work, old"]);
        let photo = card.photo.unwrap();
        assert_eq!((photo.content_type, photo.bytes.as_slice()), ("image/png", b"\x89PNG".as_slice()));
    }

    #[test]
    fn a_fold_may_stand_inside_a_character() {
        let mut octets = b"BEGIN:VCARD\nFN:".to_vec();
        let name = "메아리".as_bytes();
        octets.extend(&name[..4]);
        octets.extend(b"\n ");
        octets.extend(&name[4..]);
        octets.extend(b"\nEND:VCARD\n");
        assert_eq!(parse(&octets).unwrap().name, "메아리");
    }

    #[test]
    fn the_name_is_found_somewhere() {
        let name = |lines: &str| parse(format!("BEGIN:VCARD\n{lines}\nEND:VCARD").as_bytes()).unwrap().name;
        assert_eq!(name("N:Kim;Minsu;;Dr.;"), "Dr. Minsu Kim");
        assert_eq!(name("FN:\nORG:Example;Sales"), "Example");
        assert_eq!(name("TEL:1"), "");
    }

    #[test]
    fn groups_foreign_pictures_and_nonsense_are_left_out() {
        assert!(parse(b"BEGIN:VCARD\nX-ADDRESSBOOKSERVER-KIND:group\nFN:All\nEND:VCARD").is_none());
        assert!(parse(b"hello").is_none());
        assert!(parse(b"\xff\xfe").is_none());
        for photo in
            ["PHOTO;VALUE=uri:https://example.org/a.png", "PHOTO:data:text/html;base64,AAAA", "PHOTO:"]
        {
            let card = parse(format!("BEGIN:VCARD\nFN:x\n{photo}\nEND:VCARD").as_bytes()).unwrap();
            assert!(card.photo.is_none(), "{photo}");
        }
        let card = parse(b"BEGIN:VCARD\nFN:x\nPHOTO:data:image/jpeg;base64,/9j/\nEND:VCARD").unwrap();
        assert_eq!(card.photo.unwrap().content_type, "image/jpeg");
    }

    proptest::proptest! {
        #[test]
        fn never_panics(octets: Vec<u8>) {
            parse(&octets);
            let mut framed = b"BEGIN:VCARD\n".to_vec();
            framed.extend(octets);
            parse(&framed);
        }
    }
}
