//! Bodies of PROPFIND, PROPPATCH and extended MKCOL.

use super::Fault;
use super::names::Name;
use super::xml::{self, Element};

/// Properties of one request at most.
pub const PROPERTIES_MAX: usize = 200;

/// Which properties are asked for (RFC 4918 14.20).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PropertyRequest {
    /// The usual ones, and these.
    All(Vec<Name>),
    /// Only what there is, without values.
    Names,
    /// These.
    These(Vec<Name>),
}

/// One instruction of PROPPATCH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PropertyChange {
    /// Set it to this element.
    Set(Element),
    /// Take it away.
    Remove(Name),
}

impl PropertyChange {
    /// Which property it is about.
    pub fn name(&self) -> Option<&Name> {
        match self {
            PropertyChange::Set(element) => element.name.as_ref(),
            PropertyChange::Remove(name) => Some(name),
        }
    }
}

/// Reads PROPFIND; no body means all (RFC 4918 9.1).
pub fn propfind(body: &[u8]) -> Result<PropertyRequest, Fault> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(PropertyRequest::All(Vec::new()));
    }
    let root = xml::parse(body)?;
    if !root.is_dav("propfind") {
        return Err(Fault::malformed("The body is no propfind."));
    }
    property_request(&root)?.ok_or(Fault::malformed("The propfind asks for nothing."))
}

/// The `prop`, `allprop` or `propname` in an element; reports have them too.
pub(super) fn property_request(parent: &Element) -> Result<Option<PropertyRequest>, Fault> {
    let mut found = None;
    for element in parent.elements() {
        let request = if element.is_dav("prop") {
            PropertyRequest::These(distinct(element.names())?)
        } else if element.is_dav("allprop") {
            let include = parent.dav("include").map(|i| distinct(i.names())).transpose()?;
            PropertyRequest::All(include.unwrap_or_default())
        } else if element.is_dav("propname") {
            PropertyRequest::Names
        } else {
            continue;
        };
        if found.replace(request).is_some() {
            return Err(Fault::malformed("Only one of prop, allprop and propname may be asked."));
        }
    }
    Ok(found)
}

fn distinct<'a>(names: impl Iterator<Item = &'a Name>) -> Result<Vec<Name>, Fault> {
    let mut list: Vec<Name> = Vec::new();
    for name in names {
        if list.len() >= PROPERTIES_MAX {
            return Err(Fault::malformed("Too many properties are asked for."));
        }
        if !list.contains(name) {
            list.push(name.clone());
        }
    }
    Ok(list)
}

/// Reads PROPPATCH; the order of the instructions counts (RFC 4918 9.2).
pub fn proppatch(body: &[u8]) -> Result<Vec<PropertyChange>, Fault> {
    let root = xml::parse(body)?;
    if !root.is_dav("propertyupdate") {
        return Err(Fault::malformed("The body is no propertyupdate."));
    }
    let mut changes = Vec::new();
    for instruction in root.elements() {
        let is_set = instruction.is_dav("set");
        if !is_set && !instruction.is_dav("remove") {
            continue;
        }
        for (element, prop) in properties_in(instruction) {
            let change = match (&element.name, is_set) {
                (_, true) => PropertyChange::Set(with_language(element, [prop, instruction, &root])),
                (Some(name), false) => PropertyChange::Remove(name.clone()),
                (None, false) => continue,
            };
            changes.push(change);
        }
    }
    if changes.is_empty() {
        return Err(Fault::malformed("The propertyupdate changes nothing."));
    }
    if changes.len() > PROPERTIES_MAX {
        return Err(Fault::malformed("Too many properties are changed."));
    }
    Ok(changes)
}

/// The properties of an instruction, each with the `prop` around it.
fn properties_in(instruction: &Element) -> impl Iterator<Item = (&Element, &Element)> {
    let props = instruction.elements().filter(|e| e.is_dav("prop"));
    props.flat_map(|prop| prop.elements().map(move |element| (element, prop)))
}

/// `xml:lang` that stands around a property belongs to its value (RFC 4918 4.3); the nearest counts.
fn with_language(element: &Element, around: [&Element; 3]) -> Element {
    let mut element = element.clone();
    if element.language().is_none()
        && let Some(language) = around.iter().find_map(|e| e.language())
    {
        let name = Name::read("http://www.w3.org/XML/1998/namespace", "lang");
        element.attributes.push((name, language.to_owned()));
    }
    element
}

/// Reads extended MKCOL (RFC 5689 5.1): the properties to set. No body means none.
pub fn mkcol(body: &[u8]) -> Result<Vec<Element>, Fault> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Vec::new());
    }
    // A body that is not understood is 415 for MKCOL (RFC 4918 9.3), unless it is XML that is broken.
    if !body.trim_ascii_start().starts_with(b"<") && !body.starts_with(&[0xEF, 0xBB, 0xBF]) {
        return Err(Fault::new(415, "MKCOL takes no body but an XML mkcol."));
    }
    let root = xml::parse(body)?;
    if !root.is_dav("mkcol") {
        return Err(Fault::new(415, "The body is no mkcol."));
    }
    let sets = root.elements().filter(|e| e.is_dav("set"));
    let all = sets.flat_map(|set| properties_in(set).map(move |(element, prop)| (element, prop, set)));
    let list: Vec<Element> =
        all.map(|(element, prop, set)| with_language(element, [prop, set, &root])).collect();
    if list.len() > PROPERTIES_MAX {
        return Err(Fault::malformed("Too many properties are set."));
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_propfind_asks_for_all_names_or_some() {
        assert_eq!(propfind(b"").unwrap(), PropertyRequest::All(vec![]));
        let body = b"<propfind xmlns='DAV:'><allprop/><include><sync-token/></include></propfind>";
        assert_eq!(propfind(body).unwrap(), PropertyRequest::All(vec![Name::dav("sync-token")]));
        assert_eq!(
            propfind(b"<propfind xmlns='DAV:'><propname/></propfind>").unwrap(),
            PropertyRequest::Names
        );
        let body =
            b"<propfind xmlns='DAV:' xmlns:c='urn:x'><prop><getetag/><c:y/><getetag/></prop></propfind>";
        let want = vec![Name::dav("getetag"), Name::read("urn:x", "y")];
        assert_eq!(propfind(body).unwrap(), PropertyRequest::These(want));
        for bad in [
            "<a/>",
            "<propfind xmlns='DAV:'/>",
            "<propfind xmlns='DAV:'><prop/><allprop/></propfind>",
            "<propfind xmlns='DAV:'>",
        ] {
            assert_eq!(propfind(bad.as_bytes()).unwrap_err().status, 400, "{bad}");
        }
    }

    #[test]
    fn a_proppatch_keeps_its_order() {
        let body = b"<propertyupdate xmlns='DAV:'><remove><prop><a/></prop></remove><set><prop xml:lang='de'><b>1</b></prop></set></propertyupdate>";
        let changes = proppatch(body).unwrap();
        assert_eq!(changes.first(), Some(&PropertyChange::Remove(Name::dav("a"))));
        let Some(PropertyChange::Set(b)) = changes.get(1) else { panic!("no set") };
        assert_eq!((b.text().as_str(), b.attributes.len()), ("1", 1));
        assert!(proppatch(b"<propertyupdate xmlns='DAV:'/>").is_err());
    }

    #[test]
    fn mkcol_takes_an_xml_body_or_none() {
        assert!(mkcol(b"").unwrap().is_empty());
        let body = b"<mkcol xmlns='DAV:'><set><prop><displayname>x</displayname></prop></set></mkcol>";
        assert_eq!(mkcol(body).unwrap().len(), 1);
        assert_eq!(mkcol(b"afafafaf").unwrap_err().status, 415);
        assert_eq!(mkcol(b"<x/>").unwrap_err().status, 415);
        assert_eq!(mkcol(b"<mkcol").unwrap_err().status, 400);
    }
}
