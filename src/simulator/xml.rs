//! XML as a small tree: what a CardDAV client needs to read a multistatus, and no more.
//!
//! Document types are refused, so no entity can grow; depth and number of elements are limited.

use quick_xml::NsReader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::ResolveResult;

use crate::error::{Error, Result};

/// The namespace of WebDAV (RFC 4918).
pub const DAV: &str = "DAV:";
/// The namespace of CardDAV (RFC 6352).
pub const CARDDAV: &str = "urn:ietf:params:xml:ns:carddav";

/// Deeper documents are refused.
const DEPTH_MAX: usize = 32;
/// Documents of more elements are refused: 10,000 cards take about 80,000.
const ELEMENTS_MAX: usize = 1_000_000;

/// An element with its namespace resolved.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// The namespace; empty for none.
    pub namespace: String,
    /// The local name.
    pub name: String,
    /// The character data directly inside, joined.
    pub text: String,
    /// The elements directly inside.
    pub children: Vec<Element>,
    /// Attributes without a namespace, as they are written.
    pub attributes: Vec<(String, String)>,
}

impl Element {
    /// Whether this is the element `name` of `namespace`.
    pub fn is(&self, namespace: &str, name: &str) -> bool {
        self.name == name && self.namespace == namespace
    }

    /// The first child of that name.
    pub fn child(&self, namespace: &str, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.is(namespace, name))
    }

    /// All children of that name.
    pub fn all<'a>(&'a self, namespace: &'a str, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.is(namespace, name))
    }

    /// An attribute's value.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The text without white space around it.
    pub fn trimmed(&self) -> &str {
        self.text.trim()
    }
}

fn broken(why: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::unavailable("carddav_bad_answer", "The address book's server sent an answer that is not good XML.")
        .context(why)
}

/// Reads a document.
pub fn parse(octets: &[u8]) -> Result<Element> {
    let text = std::str::from_utf8(octets).map_err(|_| broken("not UTF-8"))?;
    let mut reader = NsReader::from_str(text);
    // The bottom of the stack is the document itself; its only child is the root.
    let mut open = vec![Element::default()];
    let mut count = 0usize;
    loop {
        let (namespace, event) = reader.read_resolved_event().map_err(|e| broken(e.to_string()))?;
        match event {
            Event::Start(ref start) | Event::Empty(ref start) => {
                count += 1;
                if count > ELEMENTS_MAX || open.len() > DEPTH_MAX {
                    return Err(broken("too large or too deep"));
                }
                let namespace = match namespace {
                    ResolveResult::Bound(namespace) => namespace.as_ref().to_owned(),
                    ResolveResult::Unbound => String::new(),
                    ResolveResult::Unknown(prefix) => return Err(broken(format!("unknown prefix {prefix}"))),
                };
                let name = start.local_name().as_ref().to_owned();
                let attributes = attributes(start)?;
                open.push(Element { namespace, name, attributes, ..Element::default() });
                if matches!(event, Event::Empty(_)) {
                    close(&mut open)?;
                }
            }
            Event::End(_) => close(&mut open)?,
            Event::Text(text) => append(&mut open, &text.xml10_content()),
            Event::CData(text) => append(&mut open, &text.xml10_content()),
            Event::GeneralRef(reference) => append(&mut open, &resolve(&reference)?),
            Event::DocType(_) => return Err(broken("a document type")),
            Event::Eof => break,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
    let mut document = open.pop().filter(|_| open.is_empty()).ok_or_else(|| broken("ends too early"))?;
    document.children.pop().ok_or_else(|| broken("empty"))
}

/// Attributes of one element at most.
const ATTRIBUTES_MAX: usize = 32;

fn attributes(start: &BytesStart<'_>) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for attribute in start.attributes().take(ATTRIBUTES_MAX) {
        let attribute = attribute.map_err(|e| broken(e.to_string()))?;
        let value = attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0);
        let value = value.map_err(|e| broken(e.to_string()))?.into_owned();
        found.push((attribute.key.as_ref().to_owned(), value));
    }
    Ok(found)
}

fn close(open: &mut Vec<Element>) -> Result<()> {
    let element = open.pop().ok_or_else(|| broken("closes too much"))?;
    open.last_mut().ok_or_else(|| broken("closes too much"))?.children.push(element);
    Ok(())
}

fn append(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

fn resolve(reference: &BytesRef<'_>) -> Result<String> {
    if let Some(c) = reference.resolve_char_ref().map_err(|e| broken(e.to_string()))? {
        return Ok(c.to_string());
    }
    let name: &str = reference;
    resolve_predefined_entity(name).map(str::to_owned).ok_or_else(|| broken("an unknown entity"))
}

/// Text that can stand inside an element.
pub fn escape(text: &str) -> std::borrow::Cow<'_, str> {
    quick_xml::escape::escape(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_resolved_and_text_is_whole() {
        let root = parse(
            b"<?xml version=\"1.0\"?><d:a xmlns:d=\"DAV:\" xmlns:c=\"urn:ietf:params:xml:ns:carddav\">\
              <c:b>one &amp; <![CDATA[<two>]]>&#33;</c:b><e xmlns=\"DAV:\"/></d:a>",
        )
        .unwrap();
        assert!(root.is(DAV, "a"));
        assert_eq!(root.child(CARDDAV, "b").unwrap().text, "one & <two>!");
        assert!(root.child(DAV, "e").is_some());
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            "",
            "<a>",
            "<a></b>",
            "</a>",
            "<x:a/>",
            "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>",
            "<a>&b;</a>",
            &"<a>".repeat(100),
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(parse(b"\xff").is_err());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in ".{0,200}") {
            let _ = parse(text.as_bytes());
        }
    }
}
