//! Making and taking away address books: MKCOL (RFC 4918 9.3, RFC 5689) and DELETE.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

use super::answer::{self, Stop};
use super::place::Place;
use super::properties::PROTECTED;
use super::propfind::initial_edit;
use super::terms::NOT_SO;
use super::{Call, MISSING};
use crate::contacts::books::{self, NAME_MAX, Refusal};
use crate::contacts::sharing::{self, Right};
use crate::dav::{Depth, Element, Fault, Multistatus, Name, Precondition, requests};
use crate::db::Db;

/// MKCOL. A home holds address books and nothing else, so a plain MKCOL makes one too.
pub async fn mkcol(call: Call) -> Result<HttpResponse, Stop> {
    let mut properties = requests::mkcol(&call.body)?;
    let slug = match &call.place {
        Place::Book(_, slug) if call.shelf.book(slug).is_some() => {
            return Ok(answer::not_allowed(&call.place));
        }
        Place::Book(_, slug) => slug.clone(),
        Place::Object(_, slug, _) if call.shelf.book(slug).is_none() => {
            return Err(Fault::new(409, "There is no collection to make it in.").into());
        }
        Place::Object(_, slug, name) => {
            let book = call.shelf.book(slug).ok_or(MISSING)?;
            let (owner, book, name) = (book.account_id, book.id, name.clone());
            if call.dav.app.db.read(move |db| books::find(db, owner, book, &name)).await?.is_some() {
                return Ok(answer::not_allowed(&call.place));
            }
            let precondition = Precondition::Named(Name::carddav("addressbook-collection-location-ok"));
            return Err(Fault::violated(403, precondition, "A book holds no collections.").into());
        }
        _ => return Ok(answer::not_allowed(&call.place)),
    };
    if slug.len() > NAME_MAX {
        return Err(Fault::new(403, "The name is too long.").into());
    }
    if let Some(at) = properties.iter().position(|e| e.is_dav("resourcetype")) {
        let kind = properties.remove(at);
        if kind.carddav("addressbook").is_none()
            || kind.dav("collection").is_none()
            || kind.elements().count() > 2
        {
            return Ok(refused(&Name::dav("resourcetype"), "valid-resourcetype", &properties));
        }
    }
    let edit = match initial_edit(properties, &call.place) {
        Ok(edit) => edit,
        Err((guilty, others)) => return Ok(refused_names(guilty.iter(), &PROTECTED, others.iter())),
    };
    let (account, now, terms) = (call.account(), call.now, call.terms()?.with_entity_tags(&call));
    let made = call
        .dav
        .app
        .db
        .write(account, move |db| {
            let name = edit.display_name.as_deref().unwrap_or(&slug);
            let description = edit.description.as_deref().unwrap_or("");
            terms.keep(db, |db| {
                if !books::have_room_for(db, account, &edit)? {
                    return Ok(Err(Refusal::Full));
                }
                let book = match books::create_book(db, now, account, &slug, name, description)? {
                    Ok(book) => book,
                    Err(refusal) => return Ok(Err(refusal)),
                };
                books::edit_properties(db, now, account, book.id, "", &edit)
            })
        })
        .await?
        .ok_or(NOT_SO)?;
    match made {
        Ok(()) => Ok(HttpResponse::Created().insert_header(("Cache-Control", "no-cache")).finish()),
        Err(Refusal::Full) => {
            Err(Fault::new(507, "There are too many books, or too many properties.").into())
        }
        Err(_) => Ok(answer::not_allowed(&call.place)),
    }
}

fn refused(guilty: &Name, precondition: &'static str, others: &[Element]) -> HttpResponse {
    let precondition = Precondition::Named(Name::dav(precondition));
    refused_names([guilty].into_iter(), &precondition, others.iter().filter_map(|e| e.name.as_ref()))
}

/// RFC 5689 3: which properties were the reason, and which only went down with it.
fn refused_names<'a, 'b>(
    guilty: impl Iterator<Item = &'b Name>,
    why: &Precondition,
    others: impl Iterator<Item = &'a Name>,
) -> HttpResponse {
    let mut ms = Multistatus::with_root("mkcol-response");
    ms.named_propstat(guilty, 403, Some(why));
    ms.named_propstat(others, 424, None);
    answer::document(StatusCode::FORBIDDEN, ms.finish_root("mkcol-response", None))
}

/// DELETE of a book.
pub async fn delete(call: Call) -> Result<HttpResponse, Stop> {
    let Place::Book(_, slug) = &call.place else {
        return Err(Fault::new(403, "This cannot be taken away.").into());
    };
    let book = call.shelf.book(slug).ok_or(MISSING)?;
    let (right, book) = (call.shelf.right(book), book.id);
    if call.depth(Depth::Infinity)? != Depth::Infinity {
        return Err(
            Fault::malformed("A book goes with all that is in it: Depth can be infinity only.").into()
        );
    }
    let (account, now, terms) = (call.account(), call.now, call.terms()?.with_entity_tags(&call));
    let delete = move |db: &mut Db| {
        terms.keep(db, |db| match right {
            Right::Owner => books::delete_book(db, now, account, book),
            // Somebody else's book only leaves one's own home.
            Right::Write | Right::Read => sharing::leave(db, now, account, book).map(Ok),
        })
    };
    let outcome = call.dav.app.db.write(account, delete).await?.ok_or(NOT_SO)?;
    match outcome {
        Ok(()) => Ok(HttpResponse::NoContent().finish()),
        Err(Refusal::Protected) => {
            let precondition =
                Precondition::NeedPrivileges { href: call.place.href(), privilege: Name::dav("unbind") };
            Err(Fault::violated(403, precondition, "This book stays.").into())
        }
        Err(_) => Err(MISSING.into()),
    }
}
