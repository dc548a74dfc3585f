//! The little XML that the numbers API speaks: texts of elements by their names.

use quick_xml::Reader;
use quick_xml::events::Event;

/// Elements of one name at most; a page of numbers has a thousand.
const FOUND_MAX: usize = 2_000;

/// The texts of all elements of this local name that hold nothing but text, in their order.
pub(super) fn all(xml: &[u8], name: &str) -> Vec<String> {
    let mut found = Vec::new();
    let xml = String::from_utf8_lossy(xml);
    let mut reader = Reader::from_str(&xml);
    let mut text: Option<String> = None;
    while found.len() < FOUND_MAX {
        match reader.read_event() {
            Ok(Event::Start(start)) => {
                text = (start.local_name().as_ref() == name).then(String::new);
            }
            Ok(Event::Text(piece)) => {
                if let Some(text) = &mut text {
                    text.push_str(&piece.xml10_content());
                }
            }
            Ok(Event::GeneralRef(entity)) => {
                let plain = match entity.as_ref() {
                    "amp" => "&",
                    "lt" => "<",
                    "gt" => ">",
                    "quot" => "\"",
                    "apos" => "'",
                    _ => "",
                };
                if let Some(text) = &mut text {
                    text.push_str(plain);
                }
            }
            Ok(Event::End(_)) => found.extend(text.take().map(|text| text.trim().to_owned())),
            Ok(Event::Eof) | Err(_) => break,
            Ok(_) => {}
        }
    }
    found
}

/// The text of the first such element.
pub(super) fn first(xml: &[u8], name: &str) -> Option<String> {
    all(xml, name).into_iter().next()
}

/// Makes a text safe between tags.
pub(super) fn escaped(text: &str) -> std::borrow::Cow<'_, str> {
    quick_xml::escape::escape(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_by_name() {
        let xml = br#"<?xml version="1.0"?><A xmlns="u"><N>1</N><B><n:N xmlns:n="v"> 2&amp;3 </n:N></B><N><C>x</C></N><N/></A>"#;
        assert_eq!(all(xml, "N"), ["1", "2&3"]);
        assert_eq!(first(xml, "C").as_deref(), Some("x"));
        assert_eq!(first(xml, "D"), None);
        assert_eq!(all(b"<A><N>1</N><B", "N"), ["1"], "what is broken ends the reading");
        assert_eq!(escaped("a<b&c"), "a&lt;b&amp;c");
    }
}
