//! Addresses of resources: decoded segments inside, one canonical spelling outside.
//!
//! Clients re-encode what they were given in their own way, so addresses are compared decoded and written in one form:
//! everything but RFC 3986's unreserved characters is escaped.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What is escaped in a segment.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Segments of an address at most; ours have four.
const SEGMENTS_MAX: usize = 16;
/// Bytes of an address at most.
const LENGTH_MAX: usize = 4_096;

/// One segment as it stands in an address.
pub fn encode_segment(segment: &str) -> String {
    utf8_percent_encode(segment, ESCAPED).to_string()
}

/// Appends one segment as it stands in an address.
pub fn encode_segment_into(out: &mut String, segment: &str) {
    out.extend(utf8_percent_encode(segment, ESCAPED));
}

/// Whether a segment stands for itself: nothing in it is escaped, ends it, or could be written in another way.
pub fn is_plain_segment(segment: &str) -> bool {
    let is_unreserved = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    !segment.is_empty() && segment.bytes().all(is_unreserved) && !matches!(segment, "." | "..")
}

/// A path: its decoded segments, and whether it ends with a slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// Without the empty ones.
    pub segments: Vec<String>,
    /// Whether it is written like a collection.
    pub ends_with_slash: bool,
}

/// Reads the path of a request, of an `href` element or of `Destination`: an absolute path or a whole URI.
///
/// `None` for what can be no address of ours: relative, not UTF-8 once decoded, with `.` or `..`, a slash or control
/// characters inside a segment, or too long.
pub fn parse(text: &str) -> Option<Path> {
    let text = text.trim();
    if text.len() > LENGTH_MAX {
        return None;
    }
    let (_, path) = split_authority(text);
    let path = path.split(['?', '#']).next().unwrap_or("");
    let inner = path.strip_prefix('/')?;
    let mut segments = Vec::new();
    for raw in inner.split('/').filter(|s| !s.is_empty()) {
        let segment = percent_decode_str(raw).decode_utf8().ok()?;
        let bad = matches!(&*segment, "." | "..") || segment.chars().any(|c| c == '/' || c.is_control());
        if bad || segments.len() >= SEGMENTS_MAX {
            return None;
        }
        segments.push(segment.into_owned());
    }
    Some(Path { segments, ends_with_slash: path.ends_with('/') })
}

/// Splits `scheme://authority/path` into authority and path; what has none is all path.
pub fn split_authority(text: &str) -> (Option<&str>, &str) {
    let Some((scheme, rest)) = text.split_once("://") else { return (None, text) };
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return (None, text);
    }
    match rest.find('/') {
        Some(at) => {
            let (authority, path) = rest.split_at(at);
            (Some(authority), path)
        }
        None => (Some(rest), "/"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn segments(text: &str) -> Option<Vec<String>> {
        parse(text).map(|p| p.segments)
    }

    #[test]
    fn spellings_of_one_address_are_one() {
        let want = Some(vec!["dav".to_owned(), "a=b@c.vcf".to_owned()]);
        for text in [
            "/dav/a=b@c.vcf",
            "/dav/a%3Db%40c.vcf",
            "//dav//a%3db@c.vcf",
            "https://example.org/dav/a=b@c.vcf",
            "/dav/a=b@c.vcf?x#y",
        ] {
            assert_eq!(segments(text), want, "{text}");
        }
        assert_eq!(encode_segment("a=b@c.vcf"), "a%3Db%40c.vcf");
        assert_eq!(encode_segment("50%25 é"), "50%2525%20%C3%A9");
        assert!(parse("/dav/").unwrap().ends_with_slash);
        assert_eq!(segments("https://example.org"), Some(vec![]));
    }

    #[test]
    fn tricks_are_no_addresses() {
        for text in [
            "",
            "dav/a",
            "/dav/../x",
            "/dav/%2e%2E/x",
            "/dav/a%2Fb",
            "/dav/%00",
            "/dav/%ff",
            "/dav/./a",
            "mailto:a",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse(&format!("/{}", "a/".repeat(SEGMENTS_MAX + 1))), None);
        assert_eq!(parse(&format!("/{}", "a".repeat(LENGTH_MAX))), None);
    }

    #[test]
    fn a_plain_segment_is_what_it_means() {
        for (segment, plain) in [
            ("card-1.vcf", true),
            ("A_b~c", true),
            ("", false),
            (".", false),
            ("..", false),
            ("...", true),
            ("a%20b", false),
            ("a b", false),
            ("a/b", false),
            ("a?b", false),
            ("é", false),
        ] {
            assert_eq!(is_plain_segment(segment), plain, "{segment}");
            if plain {
                assert_eq!(
                    segments(&format!("/x/{segment}")),
                    Some(vec!["x".to_owned(), segment.to_owned()])
                );
            }
        }
    }

    proptest! {
        #[test]
        fn segments_come_back(segment in "[^/\\p{Cc}]{1,40}") {
            prop_assume!(segment != "." && segment != "..");
            let path = format!("/x/{}", encode_segment(&segment));
            prop_assert_eq!(segments(&path), Some(vec!["x".to_owned(), segment]));
        }

        #[test]
        fn never_panics(text in "\\PC{0,60}") {
            let _ = parse(&text);
        }
    }
}
