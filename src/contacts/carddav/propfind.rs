//! PROPFIND and PROPPATCH.

use std::collections::HashMap;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

use super::answer::{self, Stop};
use super::place::Place;
use super::properties::{ObjectView, PROTECTED, Subject, is_protected};
use super::terms::NOT_SO;
use super::{Call, MISSING};
use crate::contacts::books::{self, KeptProperty, PROPERTY_BYTES_MAX, PropertyEdit, Refusal};
use crate::contacts::sharing;
use crate::dav::{
    Depth, Element, Fault, Multistatus, Name, Precondition, PropertyChange, PropertyRequest, href, requests,
};

/// Characters of a book's name or description at most.
const NAME_CHARS_MAX: usize = 1_000;

/// PROPFIND. Everything but the objects of a book is answered from memory.
pub async fn propfind(call: Call) -> Result<HttpResponse, Stop> {
    let request = requests::propfind(&call.body)?;
    let depth = call.depth(Depth::One)?;
    // RFC 4918 9.1: what holds others is listed level by level.
    let is_single = matches!(call.place, Place::Object(..) | Place::Principal(_));
    if depth == Depth::Infinity && !is_single {
        let precondition = Precondition::Named(Name::dav("propfind-finite-depth"));
        return Err(Fault::violated(403, precondition, "Depth must be 0 or 1 here.").into());
    }
    match &call.place {
        Place::Object(_, book, name) => {
            let book = call.shelf.book(book).ok_or(MISSING)?;
            let (account, book, name) = (book.account_id, book.id, name.clone());
            let (object, kept) = call
                .dav
                .app
                .db
                .read(move |db| {
                    let object = books::find(db, account, book, &name)?;
                    Ok((object, books::kept_properties(db, account, book, Some(&name))?))
                })
                .await?;
            let object = object.ok_or(MISSING)?;
            let mut ms = Multistatus::new();
            let view = ObjectView::from(&object);
            subject(&call, &call.place, Some(view), &kept).respond(
                &mut ms,
                &call.place.href(),
                &request,
                call.preferences.minimal,
                |_| {},
            );
            Ok(answer::multistatus(ms.finish(None), call.preferences))
        }
        Place::Book(_, slug) => {
            if call.shelf.book(slug).is_none() {
                return Err(MISSING.into());
            }
            if depth == Depth::Zero {
                return Ok(from_memory(&call, &request, depth));
            }
            list_book(call, request).await
        }
        _ => Ok(from_memory(&call, &request, depth)),
    }
}

fn subject<'a>(
    call: &'a Call,
    place: &'a Place,
    object: Option<ObjectView<'a>>,
    kept: &'a [KeptProperty],
) -> Subject<'a> {
    Subject { place, viewer: &call.login.handle, shelf: &call.shelf, object, kept }
}

fn from_memory(call: &Call, request: &PropertyRequest, depth: Depth) -> HttpResponse {
    let mut ms = Multistatus::new();
    let handle = || call.login.handle.to_string();
    let members = match (depth, &call.place) {
        (Depth::Zero, _) => Vec::new(),
        (_, Place::Root) => vec![Place::Principals, Place::Homes],
        (_, Place::Principals) => vec![Place::Principal(handle())],
        (_, Place::Homes) => vec![Place::Home(handle())],
        (_, Place::Home(_)) => {
            call.shelf.books.iter().map(|b| Place::Book(handle(), b.slug.clone())).collect()
        }
        _ => Vec::new(),
    };
    let itself = if call.preferences.no_root && depth != Depth::Zero { None } else { Some(&call.place) };
    for place in itself.into_iter().chain(&members) {
        let kept = match place {
            Place::Book(_, slug) => call.shelf.kept_of(slug),
            _ => &[],
        };
        subject(call, place, None, kept).respond(
            &mut ms,
            &place.href(),
            request,
            call.preferences.minimal,
            |_| {},
        );
    }
    answer::multistatus(call.keep_answer(ms.finish(None)), call.preferences)
}

/// Whether kept properties must be read to answer.
pub fn needs_kept(request: &PropertyRequest, place: &Place) -> bool {
    match request {
        PropertyRequest::All(_) | PropertyRequest::Names => true,
        PropertyRequest::These(names) => names.iter().any(|n| !is_protected(n, place)),
    }
}

async fn list_book(call: Call, request: PropertyRequest) -> Result<HttpResponse, Stop> {
    let db = call.dav.app.db.clone();
    let (account, shelf, login) = (call.account(), call.shelf.clone(), call.login.clone());
    let (place, preferences) = (call.place.clone(), call.preferences);
    let messenger = match &call.place {
        Place::Book(_, slug) => {
            shelf.book(slug).filter(|b| b.is_messenger()).map(|b| call.fetch(b.id, "", b.seq))
        }
        _ => None,
    };
    let body = db
        .read(move |db| {
            let Place::Book(handle, slug) = &place else { return Ok(Vec::new()) };
            let Some(book) = shelf.book(slug) else { return Ok(Vec::new()) };
            let objects = books::list_objects(db, book.account_id, book.id)?;
            let mut object_place = Place::Object(handle.clone(), slug.clone(), String::new());
            let kept = match needs_kept(&request, &object_place) {
                true => {
                    let names: Vec<&str> = objects.iter().map(|o| o.name.as_str()).collect();
                    books::kept_properties_of(db, book.account_id, book.id, &names)?
                }
                false => HashMap::new(),
            };
            let mut ms = Multistatus::new();
            ms.reserve(objects.len() * 320);
            let base = place.href();
            if !preferences.no_root {
                let own = shelf.kept_of(slug);
                let subject =
                    Subject { place: &place, viewer: &login.handle, shelf: &shelf, object: None, kept: own };
                subject.respond(&mut ms, &base, &request, preferences.minimal, |_| {});
            }
            let mut address = base.clone();
            for listed in &objects {
                let Some(traits) = &listed.object else { continue };
                address.truncate(base.len());
                href::encode_segment_into(&mut address, &listed.name);
                if let Place::Object(_, _, name) = &mut object_place {
                    name.clone_from(&listed.name);
                }
                let subject = Subject {
                    place: &object_place,
                    viewer: &login.handle,
                    shelf: &shelf,
                    object: Some(traits.into()),
                    kept: kept.get(&listed.name).map_or(&[], Vec::as_slice),
                };
                subject.respond(&mut ms, &address, &request, preferences.minimal, |_| {});
            }
            Ok(ms.finish(None))
        })
        .await?;
    // A device that has the whole list knows what is gone.
    let answer = answer::multistatus(body, preferences);
    Ok(call.dav.tell(call.now, account, messenger.into_iter().collect(), answer))
}

/// PROPPATCH: all or nothing (RFC 4918 9.2).
pub async fn proppatch(call: Call) -> Result<HttpResponse, Stop> {
    let changes = requests::proppatch(&call.body)?;
    let (book, name) = match &call.place {
        Place::Book(_, slug) => (call.shelf.book(slug).ok_or(MISSING)?, String::new()),
        Place::Object(_, slug, name) => (call.shelf.book(slug).ok_or(MISSING)?, name.clone()),
        _ => return Ok(all_refused(&call, &changes)),
    };
    call.require_write(book, "write-properties")?;
    let (owner, book) = (book.account_id, book.id);
    let edit = match edit_of(&changes, &call.place) {
        Ok(edit) => edit,
        Err(guilty) => return Ok(refused(&call, &changes, &guilty)),
    };
    let (account, now, terms) = (call.account(), call.now, call.terms()?.with_entity_tags(&call));
    let outcome = call
        .dav
        .app
        .db
        .write(owner, move |db| {
            sharing::check_write(db, owner, book, account)?;
            terms.keep(db, |db| books::edit_properties(db, now, owner, book, &name, &edit))
        })
        .await?
        .ok_or(NOT_SO)?;
    match outcome {
        Ok(()) => {}
        Err(Refusal::Full) => {
            let precondition = Precondition::Named(Name::dav("quota-not-exceeded"));
            return Err(Fault::violated(507, precondition, "There are too many properties.").into());
        }
        Err(_) => return Err(MISSING.into()),
    }
    if call.preferences.minimal {
        let mut response = HttpResponse::build(StatusCode::OK);
        return Ok(response.insert_header(("Preference-Applied", "return=minimal")).finish());
    }
    let mut ms = Multistatus::new();
    ms.open_response(&call.place.href());
    ms.named_propstat(distinct(&changes).into_iter(), 200, None);
    ms.close_response();
    Ok(answer::multistatus(ms.finish(None), call.preferences))
}

fn distinct(changes: &[PropertyChange]) -> Vec<&Name> {
    let mut names: Vec<&Name> = Vec::new();
    for name in changes.iter().filter_map(PropertyChange::name) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// What is wrong with the instructions: the properties that cannot be as they say.
struct Guilty {
    names: Vec<Name>,
    status: u16,
    precondition: Option<Precondition>,
}

/// The edit that the instructions amount to, or why they cannot be.
fn edit_of(changes: &[PropertyChange], place: &Place) -> Result<PropertyEdit, Box<Guilty>> {
    let names = distinct(changes);
    let names: Vec<Name> = names.into_iter().filter(|name| is_protected(name, place)).cloned().collect();
    if !names.is_empty() {
        return Err(Box::new(Guilty { names, status: 403, precondition: Some(PROTECTED) }));
    }
    let mut edit = PropertyEdit::default();
    for change in changes {
        let Some(name) = change.name() else { continue };
        let guilty =
            |status, precondition| Box::new(Guilty { names: vec![name.clone()], status, precondition });
        let is_book = matches!(place, Place::Book(..));
        let text = match change {
            PropertyChange::Set(element) => element.text(),
            PropertyChange::Remove(_) => String::new(),
        };
        if is_book && (name.is_dav("displayname") || name.is_carddav("addressbook-description")) {
            if text.chars().count() > NAME_CHARS_MAX {
                return Err(guilty(403, None));
            }
            let field =
                if name.is_dav("displayname") { &mut edit.display_name } else { &mut edit.description };
            *field = Some(text);
            // Its language is kept beside it (RFC 4918 4.3).
            let spoken = match change {
                PropertyChange::Set(element) if element.language().is_some() => Some(to_text(element)),
                _ => None,
            };
            edit.kept.push((name.to_clark(), spoken));
            continue;
        }
        let value = match change {
            PropertyChange::Set(element) => {
                let value = to_text(element);
                if value.len() > PROPERTY_BYTES_MAX {
                    return Err(guilty(507, None));
                }
                Some(value)
            }
            PropertyChange::Remove(_) => None,
        };
        edit.kept.push((name.to_clark(), value));
    }
    Ok(edit)
}

fn to_text(element: &Element) -> String {
    let mut out = Vec::new();
    element.write(&mut out);
    String::from_utf8(out).unwrap_or_default()
}

fn refused(call: &Call, changes: &[PropertyChange], guilty: &Guilty) -> HttpResponse {
    let mut ms = Multistatus::new();
    ms.open_response(&call.place.href());
    ms.named_propstat(guilty.names.iter(), guilty.status, guilty.precondition.as_ref());
    ms.named_propstat(distinct(changes).into_iter().filter(|n| !guilty.names.contains(n)), 424, None);
    ms.close_response();
    answer::multistatus(ms.finish(None), call.preferences)
}

fn all_refused(call: &Call, changes: &[PropertyChange]) -> HttpResponse {
    let mut ms = Multistatus::new();
    ms.open_response(&call.place.href());
    ms.named_propstat(distinct(changes).into_iter(), 403, Some(&PROTECTED));
    ms.close_response();
    answer::multistatus(ms.finish(None), call.preferences)
}

/// The edit and the rest for a book that is made with these properties (RFC 5689 3).
pub fn initial_edit(elements: Vec<Element>, place: &Place) -> Result<PropertyEdit, (Vec<Name>, Vec<Name>)> {
    let changes: Vec<PropertyChange> = elements.into_iter().map(PropertyChange::Set).collect();
    edit_of(&changes, place).map_err(|guilty| {
        let others = distinct(&changes).into_iter().filter(|n| !guilty.names.contains(n)).cloned().collect();
        (guilty.names, others)
    })
}
