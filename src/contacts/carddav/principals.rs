//! Reports about principals (RFC 3744 9) and expand-property (RFC 3253 3.8). Nobody finds anybody but himself here:
//! a directory would tell strangers who is a member.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

use super::answer::{self, Stop};
use super::place::Place;
use super::properties::Subject;
use super::{Call, MISSING};
use crate::contacts::books::{self, AddressObject, KeptProperty};
use crate::contacts::sharing;
use crate::dav::multistatus::{close_tag, empty_element, open_tag, xml_head};
use crate::dav::report::{Expand, Report};
use crate::dav::xml::{Element, parse};
use crate::dav::{Depth, Fault, Multistatus, Name, Precondition, PropertyRequest};
use crate::db::Db;

/// Answers a report that is not about cards.
pub async fn report(call: Call, report: &Report) -> Result<HttpResponse, Stop> {
    let here = find(&call).await?;
    // RFC 3744 9.2 to 9.5 define their reports for Depth 0 and no other.
    if !matches!(report, Report::ExpandProperty(_)) && call.depth(Depth::Zero)? != Depth::Zero {
        return Err(Fault::malformed("Depth must be 0 for this report.").into());
    }
    match report {
        Report::ExpandProperty(list) => Ok(expand(&call, &here, list)),
        Report::PrincipalSearchPropertySet if !call.place.is_about_principals() => Err(unsupported().into()),
        Report::PrincipalSearchPropertySet => {
            let mut out = xml_head("principal-search-property-set");
            out.extend_from_slice(
                b"<principal-search-property><prop><displayname/></prop><description xml:lang=\"en\">Name</description>\
                  </principal-search-property></principal-search-property-set>",
            );
            Ok(answer::document(StatusCode::OK, out))
        }
        Report::PrincipalPropertySearch { any, searches, properties, everywhere } => {
            let name = call.shelf.display_name().to_lowercase();
            let hit = |(names, text): &(Vec<Name>, String)| {
                names.iter().all(|n| n.is_dav("displayname"))
                    && !names.is_empty()
                    && name.contains(&text.to_lowercase())
            };
            let found = if *any { searches.iter().any(hit) } else { searches.iter().all(hit) };
            let mut places = if *everywhere { vec![oneself(&call)] } else { below(&call) };
            places.retain(|place| found && matches!(place, Place::Principal(_)));
            Ok(about(&call, &places, properties))
        }
        Report::PrincipalMatch { property, properties } => {
            let mut places = below(&call);
            places.retain(|place| match property {
                None => matches!(place, Place::Principal(_)),
                Some(property) => names_oneself(&call, place, property),
            });
            Ok(about(&call, &places, properties))
        }
        Report::AclPrincipalPropSet(properties) => Ok(about_access(&call, properties)),
        Report::Query { .. } | Report::Multiget { .. } | Report::Sync { .. } => Err(unsupported().into()),
    }
}

/// ACL (RFC 3744 8.1). Nobody has `write-acl`: who may do what in a book is said by invitations.
pub async fn acl(call: Call) -> Result<HttpResponse, Stop> {
    find(&call).await?;
    if !parse(&call.body)?.is_dav("acl") {
        return Err(Fault::malformed("The body is no acl.").into());
    }
    let precondition =
        Precondition::NeedPrivileges { href: call.place.href(), privilege: Name::dav("write-acl") };
    Err(Fault::violated(403, precondition, "Books are shared by invitation.").into())
}

const fn unsupported() -> Fault {
    Fault::violated(403, Precondition::Named(Name::dav("supported-report")), "That report is not known here.")
}

/// What is at the place that was asked: the card, when it is one.
#[derive(Default)]
struct Here {
    object: Option<AddressObject>,
    kept: Vec<KeptProperty>,
}

async fn find(call: &Call) -> Result<Here, Stop> {
    let (slug, name) = match &call.place {
        Place::Book(_, slug) => (slug, None),
        Place::Object(_, slug, name) => (slug, Some(name.clone())),
        _ => return Ok(Here::default()),
    };
    let book = call.shelf.book(slug).ok_or(MISSING)?;
    let Some(name) = name else { return Ok(Here::default()) };
    let (owner, id, reader) = (book.account_id, book.id, call.account());
    let read = move |db: &mut Db| {
        sharing::check_read(db, owner, id, reader)?;
        let object = books::find(db, owner, id, &name)?;
        Ok(Here { object, kept: books::kept_properties(db, owner, id, Some(&name))? })
    };
    let here = call.dav.app.db.read(read).await?;
    if here.object.is_some() { Ok(here) } else { Err(MISSING.into()) }
}

fn oneself(call: &Call) -> Place {
    Place::Principal(call.login.handle.to_string())
}

/// The collections and principals below the place that was asked, at any depth, as far as they are the client's to see.
fn below(call: &Call) -> Vec<Place> {
    let handle = || call.login.handle.to_string();
    let books = || call.shelf.books.iter().map(|b| Place::Book(handle(), b.slug.clone()));
    match &call.place {
        Place::Site | Place::Root => [Place::Principals, oneself(call), Place::Homes, Place::Home(handle())]
            .into_iter()
            .chain(books())
            .collect(),
        Place::Principals | Place::Principal(_) => vec![oneself(call)],
        Place::Homes => std::iter::once(Place::Home(handle())).chain(books()).collect(),
        Place::Home(_) => books().collect(),
        Place::Book(..) | Place::Object(..) | Place::Registration(_) => Vec::new(),
    }
}

/// Whether a property of a resource names who asks (RFC 3744 9.3).
fn names_oneself(call: &Call, place: &Place, property: &Name) -> bool {
    let mut value = Vec::new();
    subject(call, place).write(&mut value, property)
        && hrefs_in(&value).iter().any(|href| Place::parse_href(href) == Some(oneself(call)))
}

fn about(call: &Call, places: &[Place], properties: &PropertyRequest) -> HttpResponse {
    let mut ms = Multistatus::new();
    for place in places {
        subject(call, place).respond(&mut ms, &place.href(), properties, call.preferences.minimal, |_| {});
    }
    answer::multistatus(ms.finish(None), call.preferences)
}

/// Each principal that `acl` names, once (RFC 3744 9.2). What others have on themselves stays theirs.
fn about_access(call: &Call, properties: &PropertyRequest) -> HttpResponse {
    let mut acl = Vec::new();
    subject(call, &call.place).write(&mut acl, &Name::dav("acl"));
    let acl = read_back(&acl).unwrap_or_default();
    let entries = acl.elements().flat_map(Element::elements);
    let named = entries.filter_map(|ace| ace.dav("principal")?.dav("href")).map(Element::text);
    let mut ms = Multistatus::new();
    for place in named.filter_map(|href| Place::parse_href(&href)) {
        if place == oneself(call) {
            let itself = subject(call, &place);
            itself.respond(&mut ms, &place.href(), properties, call.preferences.minimal, |_| {});
        } else {
            ms.status_response(&place.href(), 403, None);
        }
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

fn expand(call: &Call, here: &Here, list: &[Expand]) -> HttpResponse {
    let mut ms = Multistatus::new();
    let mut subject = subject(call, &call.place);
    if let Some(object) = &here.object {
        subject = Subject { object: Some(object.into()), kept: &here.kept, ..subject };
    }
    expand_place(call, &mut ms, &subject, list);
    answer::multistatus(ms.finish(None), call.preferences)
}

fn expand_place(call: &Call, ms: &mut Multistatus, subject: &Subject<'_>, list: &[Expand]) {
    ms.open_response(&subject.place.href());
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

/// A property as it was written into an answer, read again.
fn read_back(value: &[u8]) -> Option<Element> {
    let mut wrapped = b"<v xmlns=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:carddav\" xmlns:CS=\"http://calendarserver.org/ns/\">".to_vec();
    wrapped.extend_from_slice(value);
    wrapped.extend_from_slice(b"</v>");
    parse(&wrapped).ok()
}

/// The addresses that stand in a property, as it was written into an answer.
fn hrefs_in(value: &[u8]) -> Vec<String> {
    let Some(root) = read_back(value) else { return Vec::new() };
    let inside = root.elements().flat_map(Element::elements);
    inside.filter(|e| e.is_dav("href")).map(Element::text).collect()
}

/// The answers about the resources that a property names, to stand inside it.
fn expanded(call: &Call, value: &[u8], list: &[Expand]) -> Vec<u8> {
    let mut inner = Multistatus::new();
    let head = inner.len();
    for place in hrefs_in(value).iter().filter_map(|href| Place::parse_href(href)) {
        match (&place, place.handle()) {
            // The owner of a shared book has a name on it; the rest is the owner's own.
            (_, Some(handle)) if handle != &*call.login.handle => {
                inner.status_response(&place.href(), 403, None)
            }
            (Place::Book(_, slug), _) if call.shelf.book(slug).is_none() => {
                inner.status_response(&place.href(), 404, None)
            }
            // No property of ours names a card.
            (Place::Object(..), _) => inner.status_response(&place.href(), 404, None),
            _ => expand_place(call, &mut inner, &subject(call, &place), list),
        }
    }
    inner.take().split_off(head)
}
