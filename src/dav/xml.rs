//! Request bodies as small trees. No document type, no entity beyond the five of XML itself, so nothing can blow up;
//! depth and count are limited.

use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;

use super::multistatus::escape_into;
use super::names::Name;
use super::{Fault, Precondition};

/// Elements inside elements at most; CardDAV's deepest body needs seven.
const DEPTH_MAX: usize = 32;
/// Elements and texts of one body at most: a multiget of 20,000 addresses fits.
const NODES_MAX: usize = 100_000;
/// Namespaces in force at most, and attributes of one element.
const ATTRIBUTES_MAX: usize = 64;

/// An element with everything in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Element {
    /// Its name.
    pub name: Option<Name>,
    /// Its attributes without namespace declarations.
    pub attributes: Vec<(Name, String)>,
    /// What it holds, in order.
    pub children: Vec<Node>,
}

/// What an element holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// Another element.
    Element(Element),
    /// Text, entities resolved.
    Text(String),
}

impl Element {
    /// Whether it is `local` in `DAV:`.
    pub fn is_dav(&self, local: &str) -> bool {
        self.name.as_ref().is_some_and(|n| n.is_dav(local))
    }

    /// Whether it is `local` in CardDAV's namespace.
    pub fn is_carddav(&self, local: &str) -> bool {
        self.name.as_ref().is_some_and(|n| n.is_carddav(local))
    }

    /// The elements in it.
    pub fn elements(&self) -> impl Iterator<Item = &Element> {
        self.children.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    /// The names of the elements in it.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.elements().filter_map(|e| e.name.as_ref())
    }

    /// The first `local` of `DAV:` in it.
    pub fn dav(&self, local: &str) -> Option<&Element> {
        self.elements().find(|e| e.is_dav(local))
    }

    /// The first `local` of CardDAV's in it.
    pub fn carddav(&self, local: &str) -> Option<&Element> {
        self.elements().find(|e| e.is_carddav(local))
    }

    /// The value of an attribute without a namespace.
    pub fn attribute(&self, local: &str) -> Option<&str> {
        self.attributes.iter().find(|(n, _)| n.ns.is_empty() && n.local == local).map(|(_, v)| v.as_str())
    }

    /// The language that it says it is in.
    pub fn language(&self) -> Option<&str> {
        let is_lang = |n: &Name| n.ns == "http://www.w3.org/XML/1998/namespace" && n.local == "lang";
        self.attributes.iter().find(|(n, _)| is_lang(n)).map(|(_, v)| v.as_str())
    }

    /// All text directly in it.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for node in &self.children {
            if let Node::Text(part) = node {
                text.push_str(part);
            }
        }
        text
    }

    /// The same, trimmed, when nothing else of it is wanted.
    pub fn into_text(mut self) -> String {
        let mut text = match self.children.as_mut_slice() {
            [Node::Text(only)] => std::mem::take(only),
            _ => self.text(),
        };
        if text.trim().len() < text.len() {
            text = text.trim().to_owned();
        }
        text
    }

    /// Writes it so that it can stand anywhere: every element declares its own namespace where it changes.
    pub fn write(&self, out: &mut Vec<u8>) {
        self.write_in(out, super::names::DAV);
    }

    fn write_in(&self, out: &mut Vec<u8>, around: &str) {
        let Some(name) = &self.name else { return };
        out.push(b'<');
        out.extend_from_slice(name.local.as_bytes());
        if name.ns != around {
            out.extend_from_slice(b" xmlns=\"");
            escape_attribute(out, &name.ns);
            out.push(b'"');
        }
        for (index, (attribute, value)) in self.attributes.iter().enumerate() {
            out.push(b' ');
            match &*attribute.ns {
                "" => {}
                "http://www.w3.org/XML/1998/namespace" => out.extend_from_slice(b"xml:"),
                ns => {
                    out.extend_from_slice(format!("xmlns:a{index}=\"").as_bytes());
                    escape_attribute(out, ns);
                    out.extend_from_slice(format!("\" a{index}:").as_bytes());
                }
            }
            out.extend_from_slice(attribute.local.as_bytes());
            out.extend_from_slice(b"='");
            escape_attribute(out, value);
            out.push(b'\'');
        }
        if self.children.is_empty() {
            out.extend_from_slice(b"/>");
            return;
        }
        out.push(b'>');
        for child in &self.children {
            match child {
                Node::Element(element) => element.write_in(out, &name.ns),
                Node::Text(text) => escape_into(out, text.as_bytes()),
            }
        }
        out.extend_from_slice(b"</");
        out.extend_from_slice(name.local.as_bytes());
        out.push(b'>');
    }
}

fn escape_attribute(out: &mut Vec<u8>, value: &str) {
    for byte in value.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"&quot;"),
            b'\'' => out.extend_from_slice(b"&#39;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'\t' => out.extend_from_slice(b"&#9;"),
            b'\n' => out.extend_from_slice(b"&#10;"),
            b'\r' => out.extend_from_slice(b"&#13;"),
            other => out.push(other),
        }
    }
}

/// Whether XML 1.0 allows a character (2.2).
pub fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

fn is_xml_text(text: &str) -> bool {
    if !text.is_ascii() {
        return text.chars().all(is_xml_char);
    }
    // All of them, whatever is found: many bytes are looked at in one step then.
    let is_bad = |b: u8| b < b' ' && !matches!(b, b'\t' | b'\n' | b'\r');
    !text.bytes().fold(false, |bad, b| bad | is_bad(b))
}

/// Whether it is a name without a colon; beyond ASCII all characters will do, as in XML 1.1.
fn is_name(text: &str) -> bool {
    let is_start = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
    let is_inner = |c: char| is_start(c) || c.is_ascii_digit() || matches!(c, '-' | '.');
    text.chars().next().is_some_and(is_start) && text.chars().all(is_inner)
}

/// Reads a whole body.
pub fn parse(body: &[u8]) -> Result<Element, Fault> {
    let text = to_text(body)?;
    if !is_xml_text(&text) {
        return Err(Fault::malformed("The XML holds a character that XML does not allow."));
    }
    let mut reader = NsReader::from_str(&text);
    let config = reader.config_mut();
    config.check_end_names = true;
    config.expand_empty_elements = false;
    let mut builder = Builder::default();
    loop {
        let event = reader.read_event().map_err(|_| Fault::malformed("The XML is not well formed."))?;
        match event {
            Event::Start(start) => {
                let element = read_start(&reader, &start)?;
                builder.open(element)?;
            }
            Event::Empty(start) => {
                let element = read_start(&reader, &start)?;
                builder.open(element)?;
                builder.close()?;
            }
            Event::End(_) => builder.close()?,
            Event::Text(text) => builder.text(&text.xml10_content())?,
            Event::CData(data) => builder.text(&data.xml10_content())?,
            Event::GeneralRef(reference) => {
                let mut buffer = [0u8; 4];
                builder.text(resolve(&reference)?.encode_utf8(&mut buffer))?;
            }
            Event::DocType(doctype) => return Err(refuse_doctype(&doctype.into_inner())),
            Event::Comment(_) | Event::PI(_) | Event::Decl(_) => {}
            Event::Eof => return builder.finish(),
        }
    }
}

fn refuse_doctype(text: &str) -> Fault {
    if text.contains("SYSTEM") || text.contains("PUBLIC") {
        let precondition = Precondition::Named(Name::dav("no-external-entities"));
        return Fault::violated(403, precondition, "External entities are not allowed.");
    }
    Fault::malformed("Document types and entities are not allowed.")
}

fn to_text(body: &[u8]) -> Result<std::borrow::Cow<'_, str>, Fault> {
    const BAD: Fault = Fault::malformed("The XML is not valid UTF-8.");
    match body {
        [0xEF, 0xBB, 0xBF, rest @ ..] => std::str::from_utf8(rest).map(Into::into).map_err(|_| BAD),
        [0xFE, 0xFF, rest @ ..] => from_utf16(rest, u16::from_be_bytes),
        [0xFF, 0xFE, rest @ ..] => from_utf16(rest, u16::from_le_bytes),
        _ => std::str::from_utf8(body).map(Into::into).map_err(|_| BAD),
    }
}

/// XML processors must read UTF-16 too (XML 1.0 4.3.3).
fn from_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<std::borrow::Cow<'_, str>, Fault> {
    let units = bytes.chunks_exact(2).filter_map(|pair| <[u8; 2]>::try_from(pair).ok()).map(unit);
    char::decode_utf16(units)
        .collect::<Result<String, _>>()
        .map(Into::into)
        .map_err(|_| Fault::malformed("The XML is not valid UTF-16."))
}

fn resolve(reference: &BytesRef<'_>) -> Result<char, Fault> {
    const BAD: Fault = Fault::malformed("The XML uses an entity that it may not.");
    if let Some(c) = reference.resolve_char_ref().map_err(|_| BAD)? {
        return if is_xml_char(c) { Ok(c) } else { Err(BAD) };
    }
    match &*reference.xml10_content() {
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "amp" => Ok('&'),
        "apos" => Ok('\''),
        "quot" => Ok('"'),
        _ => Err(BAD),
    }
}

/// The reader keeps namespaces as they are written; references in them are resolved here.
fn namespace(raw: &str) -> Result<std::borrow::Cow<'_, str>, Fault> {
    quick_xml::escape::unescape(raw).map_err(|_| Fault::malformed("The XML declares a broken namespace."))
}

fn read_start(reader: &NsReader<&[u8]>, start: &BytesStart<'_>) -> Result<Element, Fault> {
    const UNBOUND: Fault = Fault::malformed("The XML uses a prefix that it does not declare.");
    const BAD: Fault = Fault::malformed("The XML holds a broken attribute.");
    let resolver = reader.resolver();
    let (ns, local) = resolver.resolve_element(start.name());
    let name = match ns {
        ResolveResult::Bound(ns) => Name::read(&namespace(ns.into_inner())?, local.into_inner()),
        ResolveResult::Unbound => Name::read("", local.into_inner()),
        ResolveResult::Unknown(_) => return Err(UNBOUND),
    };
    const NO_NAME: Fault = Fault::malformed("The XML holds a name that is none.");
    if !is_name(&name.local) {
        return Err(NO_NAME);
    }
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|_| BAD)?;
        let value = attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0).map_err(|_| BAD)?;
        if let Some(declared) = attribute.key.as_namespace_binding() {
            // A prefix cannot be bound to nothing (Namespaces in XML 1.0, 2.2).
            if matches!(declared, quick_xml::name::PrefixDeclaration::Named(_)) && value.is_empty() {
                return Err(UNBOUND);
            }
            continue;
        }
        if attributes.len() >= ATTRIBUTES_MAX {
            return Err(Fault::malformed("The XML holds too many attributes."));
        }
        let name = match resolver.resolve_attribute(attribute.key) {
            (ResolveResult::Bound(ns), local) => Name::read(&namespace(ns.into_inner())?, local.into_inner()),
            (ResolveResult::Unbound, local) => Name::read("", local.into_inner()),
            (ResolveResult::Unknown(_), _) => return Err(UNBOUND),
        };
        if !is_name(&name.local) {
            return Err(NO_NAME);
        }
        attributes.push((name, value.into_owned()));
    }
    Ok(Element { name: Some(name), attributes, children: Vec::new() })
}

#[derive(Default)]
struct Builder {
    open: Vec<Element>,
    root: Option<Element>,
    nodes: usize,
}

impl Builder {
    fn count(&mut self) -> Result<(), Fault> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(Fault::new(413, "The XML holds too many elements."));
        }
        Ok(())
    }

    fn open(&mut self, element: Element) -> Result<(), Fault> {
        self.count()?;
        if self.open.len() >= DEPTH_MAX {
            return Err(Fault::malformed("The XML is too deep."));
        }
        if self.open.is_empty() && self.root.is_some() {
            return Err(Fault::malformed("The XML has more than one root."));
        }
        // White space between elements only lays them out.
        if let Some(parent) = self.open.last_mut()
            && matches!(parent.children.last(), Some(Node::Text(text)) if is_blank(text))
        {
            parent.children.pop();
        }
        self.open.push(element);
        Ok(())
    }

    fn close(&mut self) -> Result<(), Fault> {
        const BAD: Fault = Fault::malformed("The XML is not well formed.");
        let mut element = self.open.pop().ok_or(BAD)?;
        if element.children.len() > 1
            && matches!(element.children.last(), Some(Node::Text(text)) if is_blank(text))
        {
            element.children.pop();
        }
        match self.open.last_mut() {
            Some(parent) => parent.children.push(Node::Element(element)),
            None => self.root = Some(element),
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), Fault> {
        let Some(parent) = self.open.last_mut() else {
            return if is_blank(text) {
                Ok(())
            } else {
                Err(Fault::malformed("There is text outside the XML."))
            };
        };
        if let Some(Node::Text(before)) = parent.children.last_mut() {
            before.push_str(text);
            return Ok(());
        }
        parent.children.push(Node::Text(text.to_owned()));
        self.count()
    }

    fn finish(self) -> Result<Element, Fault> {
        if !self.open.is_empty() {
            return Err(Fault::malformed("The XML ends in the middle."));
        }
        self.root.ok_or(Fault::malformed("There is no XML in the body."))
    }
}

fn is_blank(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text_of(element: &Element) -> String {
        let mut out = Vec::new();
        element.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn reads_names_whatever_the_prefix() {
        let a = parse(b"<propfind xmlns='DAV:'><prop><getetag/></prop></propfind>").unwrap();
        let b = parse(b"<?xml version='1.0'?>\n<x:propfind xmlns:x='DAV:'>\n <x:prop> <x:getetag></x:getetag></x:prop>\r\n</x:propfind>").unwrap();
        assert_eq!(a, b);
        assert!(a.dav("prop").unwrap().dav("getetag").is_some());
    }

    #[test]
    fn resolves_the_five_entities_and_characters() {
        let e = parse(b"<a>&lt;&amp;&#65;&#x42;&quot;<![CDATA[<x>]]></a>").unwrap();
        assert_eq!(e.text(), "<&AB\"<x>");
    }

    #[test]
    fn refuses_what_could_harm_or_is_broken() {
        let deep = format!("{}{}", "<a>".repeat(100), "</a>".repeat(100));
        let wide = format!("<a>{}</a>", "<b/>".repeat(NODES_MAX + 1));
        let bomb = "<!DOCTYPE l [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><l>&b;</l>";
        let external = "<!DOCTYPE l [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><l>&x;</l>";
        for bad in [
            &deep,
            &wide,
            bomb,
            external,
            "",
            "   ",
            "<a>",
            "<a></b>",
            "</a>",
            "<a/><b/>",
            "<x:a/>",
            "text",
            "<a>&nope;</a>",
            "<a>&#1;</a>",
            "<a>\u{1}</a>",
            "<a b=\"1\" b=\"2\"/>",
            "<a\"b/>",
            "<1/>",
            "<a 1='x'/>",
            "<a xmlns:b=\"\"><b:c/></a>",
            "<a b:c=\"1\"/>",
        ] {
            let fault = parse(bad.as_bytes()).unwrap_err();
            assert!((400..414).contains(&fault.status), "{}", bad.get(..40).unwrap_or(bad));
        }
        assert!(parse(b"<a>\xff</a>").is_err());
        assert_eq!(parse(external.as_bytes()).unwrap_err().status, 403);
    }

    #[test]
    fn reads_utf16_with_a_mark() {
        let text = "<a xmlns=\"DAV:\">é</a>";
        let mut body = vec![0xFF, 0xFE];
        body.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
        assert_eq!(parse(&body).unwrap().text(), "é");
    }

    #[test]
    fn kept_properties_stand_anywhere() {
        let e = parse(b"<x:p xmlns:x='urn:a' xmlns:y='urn:b' y:q='1\"' xml:lang='de'><y:c/><d xmlns=''>t&amp;</d></x:p>").unwrap();
        let text = text_of(&e);
        let wrapped = format!("<prop xmlns=\"DAV:\">{text}</prop>");
        let again = parse(wrapped.as_bytes()).unwrap();
        assert_eq!(again.elements().next().unwrap(), &e, "{wrapped}");
    }

    proptest! {
        #[test]
        fn plain_text_is_judged_like_any_other(text in "[\\x00-\\x7f]{0,40}|[\\x00-\\u{10FFFF}]{0,10}") {
            prop_assert_eq!(is_xml_text(&text), text.chars().all(is_xml_char));
        }

        #[test]
        fn never_panics(body in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&body);
        }

        #[test]
        fn never_panics_on_xml_like_text(body in "(<[a-z:!/?\\[\\]&;#x\"'= 0-9]{0,12}>?|[a-z&;\\]> ]{0,5}){0,20}") {
            let _ = parse(body.as_bytes());
        }

        #[test]
        fn what_was_read_is_written_and_read_as_the_same(
            body in "(<[a-c]( xmlns='[d-e&;]{0,2}')?( xmlns:p='u')?( [a-b]='[x<&;\"]{0,2}')?/?>|</[a-c]>|<p:a/>|<!--x-->|<!\\[CDATA\\[[ y]\\]\\]>| |z|&lt;){0,12}"
        ) {
            let body = format!("<r xmlns:p='v'>{body}</r>");
            if let Ok(element) = parse(body.as_bytes()) {
                let written = format!("<w xmlns=\"DAV:\">{}</w>", text_of(&element));
                let again = parse(written.as_bytes()).unwrap();
                prop_assert_eq!(again.elements().next(), Some(&element), "{}", written);
            }
        }

        #[test]
        fn text_comes_back(text in "[\\PC\\r\\n\\t]{1,60}") {
            let element = Element { name: Some(Name::dav("a")), attributes: vec![(Name::read("", "b"), text.clone())], children: vec![Node::Text(text)] };
            let written = format!("<w xmlns=\"DAV:\">{}</w>", text_of(&element));
            let again = parse(written.as_bytes()).unwrap();
            prop_assert_eq!(again.elements().next().unwrap(), &element);
        }
    }
}
