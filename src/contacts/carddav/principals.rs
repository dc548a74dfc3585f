//! Reports about principals (RFC 3744 9) and expand-property (RFC 3253 3.8). Nobody finds anybody but himself here:
//! a directory would tell strangers who is a member.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

use super::Call;
use super::answer::{self, Stop};
use super::place::Place;
use super::properties::Subject;
use crate::contacts::books::KeptProperty;
use crate::dav::multistatus::{close_tag, empty_element, open_tag, xml_head};
use crate::dav::report::{Expand, Report};
use crate::dav::xml::{Element, parse};
use crate::dav::{Fault, Multistatus, Name, Precondition, PropertyRequest};

/// Answers a report that is not about cards.
pub fn report(call: &Call, report: &Report) -> Result<HttpResponse, Stop> {
    match report {
        Report::ExpandProperty(list) => Ok(expand(call, list)),
        Report::PrincipalSearchPropertySet => {
            let mut out = xml_head("principal-search-property-set");
            out.extend_from_slice(
                b"<principal-search-property><prop><displayname/></prop><description xml:lang=\"en\">Name</description>\
                  </principal-search-property></principal-search-property-set>",
            );
            Ok(answer::document(StatusCode::OK, out))
        }
        Report::PrincipalPropertySearch { any, searches, properties, .. } => {
            let name = call.shelf.display_name.to_lowercase();
            let hit = |(names, text): &(Vec<Name>, String)| {
                names.iter().all(|n| n.is_dav("displayname"))
                    && !names.is_empty()
                    && name.contains(&text.to_lowercase())
            };
            let found = if *any { searches.iter().any(hit) } else { searches.iter().all(hit) };
            Ok(about_oneself(call, properties, found))
        }
        Report::PrincipalMatch { property, properties } => {
            let found = property.as_ref().is_none_or(|p| p.is_dav("principal-URL") || p.is_dav("owner"));
            Ok(about_oneself(call, properties, found))
        }
        Report::AclPrincipalPropSet(properties) => Ok(about_oneself(call, properties, true)),
        Report::Query { .. } | Report::Multiget { .. } | Report::Sync { .. } => {
            let precondition = Precondition::Named(Name::dav("supported-report"));
            Err(Fault::violated(403, precondition, "That report is not known here.").into())
        }
    }
}

fn about_oneself(call: &Call, properties: &PropertyRequest, found: bool) -> HttpResponse {
    let mut ms = Multistatus::new();
    if found {
        let place = Place::Principal(call.login.handle.to_string());
        subject(call, &place).respond(&mut ms, &place.href(), properties, call.preferences.minimal, |_| {});
    }
    answer::multistatus(ms.finish(None), call.preferences)
}

fn subject<'a>(call: &'a Call, place: &'a Place) -> Subject<'a> {
    let kept: &[KeptProperty] = match place {
        Place::Book(_, slug) => call.shelf.kept_of(slug),
        _ => &[],
    };
    Subject { place, viewer: &call.login.handle, shelf: &call.shelf, object: None, kept }
}

fn expand(call: &Call, list: &[Expand]) -> HttpResponse {
    let mut ms = Multistatus::new();
    let is_there = match &call.place {
        Place::Book(_, slug) => call.shelf.book(slug).is_some(),
        Place::Object(..) => false,
        _ => true,
    };
    if is_there {
        expand_place(call, &mut ms, &call.place, list);
    } else {
        ms.status_response(&call.place.href(), 404, None);
    }
    answer::multistatus(ms.finish(None), call.preferences)
}

fn expand_place(call: &Call, ms: &mut Multistatus, place: &Place, list: &[Expand]) {
    let subject = subject(call, place);
    ms.open_response(&place.href());
    ms.open_propstat();
    let mut missing = Vec::new();
    for wanted in list {
        let mut value = Vec::new();
        if !subject.write(&mut value, &wanted.name) {
            missing.push(&wanted.name);
        } else if wanted.inside.is_empty() {
            ms.buffer().extend_from_slice(&value);
        } else {
            let inner = expanded(call, &value, &wanted.inside);
            let out = ms.buffer();
            if inner.is_empty() {
                empty_element(out, &wanted.name);
            } else {
                open_tag(out, &wanted.name);
                out.extend_from_slice(&inner);
                close_tag(out, &wanted.name);
            }
        }
    }
    ms.close_propstat(200, None);
    ms.named_propstat(missing.into_iter(), 404, None);
    ms.close_response();
}

/// The answers about the resources that a property names, to stand inside it.
fn expanded(call: &Call, value: &[u8], list: &[Expand]) -> Vec<u8> {
    let mut wrapped = b"<v xmlns=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:carddav\" xmlns:CS=\"http://calendarserver.org/ns/\">".to_vec();
    wrapped.extend_from_slice(value);
    wrapped.extend_from_slice(b"</v>");
    let Ok(root) = parse(&wrapped) else { return Vec::new() };
    let hrefs = root.elements().flat_map(Element::elements).filter(|e| e.is_dav("href")).map(Element::text);
    let mut inner = Multistatus::new();
    let head = inner.len();
    for place in hrefs.filter_map(|href| Place::parse_href(&href)) {
        match place.handle() {
            // The owner of a shared book has a name on it; the rest is the owner's own.
            Some(handle) if handle != &*call.login.handle => inner.status_response(&place.href(), 403, None),
            _ => expand_place(call, &mut inner, &place, list),
        }
    }
    inner.take().split_off(head)
}
