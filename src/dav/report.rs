//! Bodies of REPORT: what is asked, whichever report it is.

use super::filter::Filter;
use super::names::{CARDDAV, Name};
use super::requests::{PROPERTIES_MAX, PropertyRequest, property_request};
use super::xml::{self, Element, Node};
use super::{Fault, Precondition};

/// Addresses in one multiget at most.
pub const HREFS_MAX: usize = 20_000;
/// Nested levels of expand-property at most.
const EXPAND_DEPTH_MAX: usize = 4;

/// What an answer shall say about each resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its properties, without `address-data`.
    pub properties: PropertyRequest,
    /// Its vCard.
    pub address_data: Option<AddressData>,
}

/// How the vCard shall look (RFC 6352 10.4).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AddressData {
    /// The media type, when named.
    pub content_type: Option<String>,
    /// The version, when named; 3.0 is meant otherwise.
    pub version: Option<String>,
    /// Only these properties, when named: name and whether the value stays away.
    pub properties: Option<Vec<(String, bool)>>,
}

/// A report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// RFC 6352 8.6.
    Query {
        /// What to say of each.
        wanted: Wanted,
        /// Which.
        filter: Filter,
        /// How many at most.
        limit: Option<usize>,
    },
    /// RFC 6352 8.7.
    Multiget {
        /// What to say of each.
        wanted: Wanted,
        /// Which, as written; none mean the resource that is asked.
        hrefs: Vec<String>,
    },
    /// RFC 6578 3.2.
    Sync {
        /// What to say of each.
        wanted: Wanted,
        /// The state the client has; empty for none.
        token: String,
        /// Whether members of members count too.
        deep: bool,
        /// How many at most.
        limit: Option<usize>,
    },
    /// RFC 3253 3.8.
    ExpandProperty(Vec<Expand>),
    /// RFC 3744 9.4.
    PrincipalPropertySearch {
        /// Whether one matching search is enough.
        any: bool,
        /// What to look for: the properties and the text.
        searches: Vec<(Vec<Name>, String)>,
        /// What to say of each.
        properties: PropertyRequest,
        /// Whether all principals are meant, wherever the request went.
        everywhere: bool,
    },
    /// RFC 3744 9.5.
    PrincipalSearchPropertySet,
    /// RFC 3744 9.3.
    PrincipalMatch {
        /// The property that must name the client, or the resource itself.
        property: Option<Name>,
        /// What to say of each.
        properties: PropertyRequest,
    },
    /// RFC 3744 9.2.
    AclPrincipalPropSet(PropertyRequest),
}

/// A property to show and, of the resources it names, more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expand {
    /// Which.
    pub name: Name,
    /// What to show of the resources it names.
    pub inside: Vec<Expand>,
}

/// Reads a body.
pub fn parse(body: &[u8]) -> Result<Report, Fault> {
    let root = xml::parse(body)?;
    let Some(name) = &root.name else { return Err(unknown()) };
    match (&*name.ns, &*name.local) {
        (CARDDAV, "addressbook-query") => {
            let filter = root.carddav("filter").ok_or(Fault::malformed("The query has no filter."))?;
            let limit = limit_of(root.carddav("limit").and_then(|l| l.carddav("nresults")))?;
            Ok(Report::Query { wanted: wanted(&root)?, filter: Filter::parse(filter)?, limit })
        }
        (CARDDAV, "addressbook-multiget") => {
            let wanted = wanted(&root)?;
            let elements = root.children.into_iter().filter_map(|node| match node {
                Node::Element(element) if element.is_dav("href") => Some(element.into_text()),
                _ => None,
            });
            let hrefs: Vec<String> = elements.collect();
            match hrefs.len() > HREFS_MAX {
                true => Err(Fault::new(413, "The multiget names too many resources.")),
                false => Ok(Report::Multiget { wanted, hrefs }),
            }
        }
        ("DAV:", "sync-collection") => sync(&root),
        ("DAV:", "expand-property") => Ok(Report::ExpandProperty(expand(&root, 0)?)),
        ("DAV:", "principal-property-search") => property_search(&root),
        ("DAV:", "principal-search-property-set") => Ok(Report::PrincipalSearchPropertySet),
        ("DAV:", "principal-match") => {
            let property = root.dav("principal-property").and_then(|p| p.names().next()).cloned();
            if property.is_none() && root.dav("self").is_none() {
                return Err(Fault::malformed("principal-match needs self or principal-property."));
            }
            Ok(Report::PrincipalMatch { property, properties: properties_or_none(&root)? })
        }
        ("DAV:", "acl-principal-prop-set") => Ok(Report::AclPrincipalPropSet(properties_or_none(&root)?)),
        _ => Err(unknown()),
    }
}

const fn unknown() -> Fault {
    Fault::violated(403, Precondition::Named(Name::dav("supported-report")), "That report is not known here.")
}

fn properties_or_none(root: &Element) -> Result<PropertyRequest, Fault> {
    Ok(property_request(root)?.unwrap_or(PropertyRequest::These(Vec::new())))
}

fn sync(root: &Element) -> Result<Report, Fault> {
    let token = root.dav("sync-token").ok_or(Fault::malformed("The report has no sync-token."))?.text();
    let level = root.dav("sync-level").map(Element::text);
    let deep = match level.as_deref().map(str::trim) {
        // Clients of the draft put the depth into the header only.
        None | Some("1") => false,
        Some("infinite") => true,
        Some(_) => return Err(Fault::malformed("sync-level must be 1 or infinite.")),
    };
    let limit = limit_of(root.dav("limit").and_then(|l| l.dav("nresults")))?;
    Ok(Report::Sync { wanted: wanted(root)?, token: token.trim().to_owned(), deep, limit })
}

fn limit_of(element: Option<&Element>) -> Result<Option<usize>, Fault> {
    let Some(element) = element else { return Ok(None) };
    let text = element.text();
    let digits = text.trim();
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Fault::malformed("nresults must be a positive number."));
    }
    // What is too large a number is no limit to us.
    match digits.parse().unwrap_or(usize::MAX) {
        0 => Err(Fault::malformed("nresults must be a positive number.")),
        n => Ok(Some(n)),
    }
}

fn wanted(root: &Element) -> Result<Wanted, Fault> {
    let mut properties = properties_or_none(root)?;
    let mut address_data = None;
    if let Some(element) = root.dav("prop").and_then(|p| p.carddav("address-data")) {
        if let PropertyRequest::These(names) = &mut properties {
            names.retain(|n| !n.is_carddav("address-data"));
        }
        address_data = Some(read_address_data(element)?);
    }
    Ok(Wanted { properties, address_data })
}

fn read_address_data(element: &Element) -> Result<AddressData, Fault> {
    let all = element.carddav("allprop").is_some();
    let mut properties = Vec::new();
    for prop in element.elements().filter(|e| e.is_carddav("prop")) {
        let name = prop.attribute("name").ok_or(Fault::malformed("A prop of address-data has no name."))?;
        if properties.len() >= PROPERTIES_MAX {
            return Err(Fault::malformed("address-data names too many properties."));
        }
        properties.push((name.to_ascii_uppercase(), prop.attribute("novalue") == Some("yes")));
    }
    Ok(AddressData {
        content_type: element.attribute("content-type").map(str::to_owned),
        version: element.attribute("version").map(str::to_owned),
        properties: if all || properties.is_empty() { None } else { Some(properties) },
    })
}

fn expand(parent: &Element, depth: usize) -> Result<Vec<Expand>, Fault> {
    if depth > EXPAND_DEPTH_MAX {
        return Err(Fault::malformed("expand-property is too deep."));
    }
    let mut list = Vec::new();
    for property in parent.elements().filter(|e| e.is_dav("property")) {
        let local = property.attribute("name").ok_or(Fault::malformed("A property has no name."))?;
        let name = Name::read(property.attribute("namespace").unwrap_or("DAV:"), local);
        if list.len() >= PROPERTIES_MAX {
            return Err(Fault::malformed("Too many properties are asked for."));
        }
        list.push(Expand { name, inside: expand(property, depth + 1)? });
    }
    Ok(list)
}

fn property_search(root: &Element) -> Result<Report, Fault> {
    let any = match root.attribute("test") {
        None | Some("allof") => false,
        Some("anyof") => true,
        Some(_) => return Err(Fault::malformed("test must be anyof or allof.")),
    };
    let mut searches = Vec::new();
    for search in root.elements().filter(|e| e.is_dav("property-search")) {
        let names = search.dav("prop").map(|p| p.names().cloned().collect()).unwrap_or_default();
        let text = search.dav("match").ok_or(Fault::malformed("A property-search has no match."))?.text();
        searches.push((names, text));
    }
    if searches.is_empty() || searches.len() > 20 {
        return Err(Fault::malformed("principal-property-search needs between 1 and 20 searches."));
    }
    let everywhere = root.dav("apply-to-principal-collection-set").is_some();
    Ok(Report::PrincipalPropertySearch { any, searches, properties: properties_or_none(root)?, everywhere })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn body(root: &str, inner: &str) -> Vec<u8> {
        let name = root.split(' ').next().unwrap();
        format!("<{root} xmlns='DAV:' xmlns:C='urn:ietf:params:xml:ns:carddav'>{inner}</{name}>").into_bytes()
    }

    #[test]
    fn a_multiget_names_resources() {
        let b = body(
            "C:addressbook-multiget",
            "<prop><getetag/><C:address-data version='4.0' content-type='text/vcard'><C:prop name='fn'/><C:prop name='PHOTO' novalue='yes'/></C:address-data></prop><href>/a.vcf</href>\n<href> /b.vcf </href>",
        );
        let Report::Multiget { wanted, hrefs } = parse(&b).unwrap() else { panic!("another report") };
        assert_eq!(hrefs, ["/a.vcf", "/b.vcf"]);
        assert_eq!(wanted.properties, PropertyRequest::These(vec![Name::dav("getetag")]));
        let data = wanted.address_data.unwrap();
        assert_eq!(data.version.as_deref(), Some("4.0"));
        assert_eq!(data.properties, Some(vec![("FN".into(), false), ("PHOTO".into(), true)]));
        assert!(
            matches!(parse(&body("C:addressbook-multiget", "<prop/>")), Ok(Report::Multiget { hrefs, .. }) if hrefs.is_empty())
        );
    }

    #[test]
    fn a_sync_has_token_level_and_limit() {
        let b = body(
            "sync-collection",
            "<sync-token>data:1</sync-token><sync-level>1</sync-level><limit><nresults>10</nresults></limit><prop><getetag/></prop>",
        );
        let Report::Sync { token, deep, limit, .. } = parse(&b).unwrap() else { panic!("another report") };
        assert_eq!((token.as_str(), deep, limit), ("data:1", false, Some(10)));
        for bad in [
            "",
            "<sync-token/><sync-level>2</sync-level>",
            "<sync-token/><limit><nresults>0</nresults></limit>",
        ] {
            assert_eq!(parse(&body("sync-collection", bad)).unwrap_err().status, 400, "{bad}");
        }
    }

    #[test]
    fn a_query_needs_a_filter() {
        assert!(parse(&body("C:addressbook-query", "<prop/>")).is_err());
        let b =
            body("C:addressbook-query", "<prop/><C:filter/><C:limit><C:nresults>2</C:nresults></C:limit>");
        assert!(matches!(parse(&b).unwrap(), Report::Query { limit: Some(2), .. }));
    }

    #[test]
    fn unknown_reports_are_named_so() {
        let fault = parse(&body("version-tree", "")).unwrap_err();
        assert_eq!(
            (fault.status, fault.precondition),
            (403, Some(Precondition::Named(Name::dav("supported-report"))))
        );
    }

    #[test]
    fn expansion_is_limited() {
        let nested = "<property name='a'>".repeat(8) + &"</property>".repeat(8);
        assert!(parse(&body("expand-property", &nested)).is_err());
        let b = body(
            "expand-property",
            "<property name='x' namespace='urn:y'><property name='href'/></property>",
        );
        let Report::ExpandProperty(list) = parse(&b).unwrap() else { panic!("another report") };
        assert_eq!(list.first().unwrap().name, Name::read("urn:y", "x"));
    }

    proptest! {
        #[test]
        fn never_panics(inner in "(</?(C:)?(prop|filter|prop-filter|text-match|limit|nresults|href|sync-token)( name='[a-z]{0,3}')?/?>|[0-9a-z ]{0,4}){0,30}") {
            let _ = parse(&body("C:addressbook-query", &inner));
            let _ = parse(&body("sync-collection", &inner));
        }
    }
}
