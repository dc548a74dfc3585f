//! One vCard by its address: GET, PUT, DELETE, COPY, MOVE, and POST to make one (RFC 5995).

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, HttpResponseBuilder};

use super::answer::{self, Stop};
use super::place::Place;
use super::properties::{CARD_TYPE, http_date};
use super::push;
use super::terms::NOT_SO;
use super::{Call, MISSING, NO_PARENT, TOO_LARGE, own_place};
use crate::contacts::books::{self, AddressObject, NAME_MAX, Put, Refusal, Target, Written};
use crate::contacts::card_convert::to_version;
use crate::contacts::card_friends::Wish;
use crate::contacts::sharing;
use crate::contacts::vcard::{Card, CardFault, Version};
use crate::dav::headers::EntityTags;

use crate::dav::{EntityCondition, Fault, Name, Precondition, href};

/// Objects read at once while a whole book is written out.
const PAGE: i64 = 200;

/// GET and HEAD: a card, a whole book as one file, or a word about where one is.
pub async fn get(call: Call) -> Result<HttpResponse, Stop> {
    match &call.place {
        Place::Object(_, slug, name) => {
            let book = call.shelf.book(slug).ok_or(MISSING)?;
            let (owner, id, name) = (book.account_id, book.id, name.clone());
            let account = call.account();
            let read = call.dav.app.db.read(move |db| {
                sharing::check_read(db, owner, id, account)?;
                books::find(db, owner, id, &name)
            });
            let object = read.await?;
            let object = object.ok_or(MISSING)?;
            let is_about_a_friend = book.is_messenger() || object.contact_id.is_some();
            if is_about_a_friend && call.request.method() == actix_web::http::Method::GET {
                let fetch = call.fetch(id, &object.name, object.seq);
                call.dav.note_fetches(call.now, call.account(), vec![fetch]).await?;
            }
            show(&call, &object)
        }
        Place::Book(_, slug) => export(&call, slug).await,
        _ => {
            let text = "Address books over CardDAV. Give this address to the contacts app of your phone.\n";
            Ok(HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(text))
        }
    }
}

fn show(call: &Call, object: &AddressObject) -> Result<HttpResponse, Stop> {
    let headers = |response: &mut HttpResponseBuilder| {
        response
            .insert_header((header::ETAG, object.etag.as_str()))
            .insert_header((header::LAST_MODIFIED, http_date(object.updated_at)))
            .insert_header((header::CACHE_CONTROL, "private, no-cache, no-transform"))
            .insert_header((header::VARY, "Accept"));
    };
    if let Some(tags) = &call.condition.if_none_match {
        if tags.has_weak(&object.etag) {
            let mut response = HttpResponse::build(StatusCode::NOT_MODIFIED);
            headers(&mut response);
            return Ok(response.finish());
        }
    } else if call.header("if-modified-since").is_some_and(|since| since == http_date(object.updated_at)) {
        let mut response = HttpResponse::build(StatusCode::NOT_MODIFIED);
        headers(&mut response);
        return Ok(response.finish());
    }
    EntityCondition { if_match: call.condition.if_match.clone(), if_none_match: None }
        .check(Some(&object.etag))?;
    let body = match accepted_version(call.header("accept").unwrap_or(""))? {
        Some(version) => in_version(&object.body, version),
        None => object.body.clone(),
    };
    let mut response = HttpResponse::Ok();
    headers(&mut response);
    Ok(response.content_type(CARD_TYPE).body(body))
}

/// The version that `Accept` names (RFC 6352 5.1.1); none when any will do.
fn accepted_version(accept: &str) -> Result<Option<Version>, Fault> {
    let mut refused = false;
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or("").to_ascii_lowercase();
        let version = parts.find_map(|p| {
            let (name, value) = p.split_once('=')?;
            name.trim().eq_ignore_ascii_case("version").then(|| value.trim().trim_matches('"').to_owned())
        });
        match (media.as_str(), version.as_deref()) {
            ("text/vcard" | "text/x-vcard" | "text/directory", Some("3.0")) => return Ok(Some(Version::V3)),
            ("text/vcard" | "text/x-vcard" | "text/directory", Some("4.0")) => return Ok(Some(Version::V4)),
            ("text/vcard" | "text/x-vcard" | "text/directory", Some(_)) => refused = true,
            _ => return Ok(None),
        }
    }
    match refused {
        true => Err(Fault::violated(
            406,
            Precondition::Named(Name::carddav("supported-address-data-conversion")),
            "vCards come in version 3.0 or 4.0.",
        )),
        false => Ok(None),
    }
}

/// The version of a stored text, seen without reading all of it.
pub fn stored_version(body: &[u8]) -> Version {
    let at = memchr::memmem::find(body, b"\nVERSION:");
    match at.and_then(|at| body.get(at + b"\nVERSION:".len()..)).and_then(|v| v.first()) {
        Some(b'4') => Version::V4,
        Some(b'3') => Version::V3,
        _ => Card::parse(body).map_or(Version::V3, |card| card.version),
    }
}

/// The text in the wanted version; as stored when it is that already.
pub fn in_version(body: &[u8], version: Version) -> Vec<u8> {
    if stored_version(body) == version {
        return body.to_vec();
    }
    match Card::parse(body) {
        Ok(card) => to_version(&card, version).render().into_bytes(),
        // It was valid when it was taken; should it not be any more, the client still gets what there is.
        Err(_) => body.to_vec(),
    }
}

async fn export(call: &Call, slug: &str) -> Result<HttpResponse, Stop> {
    let book = call.shelf.book(slug).ok_or(MISSING)?;
    let (account, book, reader) = (book.account_id, book.id, call.account());
    let body = call
        .dav
        .app
        .db
        .read(move |db| {
            sharing::check_read(db, account, book, reader)?;
            let (mut out, mut after) = (Vec::new(), -1);
            loop {
                let page = books::page(db, account, book, after, PAGE)?;
                let Some(last) = page.last() else { return Ok(out) };
                after = last.seq;
                for object in &page {
                    out.extend_from_slice(&in_version(&object.body, Version::V3));
                    if !out.ends_with(b"\n") {
                        out.extend_from_slice(b"\r\n");
                    }
                }
            }
        })
        .await?;
    Ok(HttpResponse::Ok()
        .content_type(CARD_TYPE)
        .insert_header((header::CONTENT_DISPOSITION, "attachment; filename=\"contacts.vcf\""))
        .insert_header((header::CACHE_CONTROL, "private, no-cache, no-transform"))
        .body(body))
}

/// PUT.
pub async fn put(call: Call) -> Result<HttpResponse, Stop> {
    let Place::Object(_, slug, name) = call.place.clone() else {
        return Ok(answer::not_allowed(&call.place));
    };
    if call.header("content-range").is_some() {
        return Err(Fault::malformed("A card is written whole.").into());
    }
    write(call, &slug, &name, None).await
}

fn is_xml(content_type: Option<&str>) -> bool {
    let media = content_type.and_then(|t| t.split(';').next()).unwrap_or("").trim().to_ascii_lowercase();
    media == "application/xml" || media == "text/xml"
}

/// POST of a registration for pushes, or to the book's `add-member` address (RFC 5995): the server chooses the name.
pub async fn post(call: Call) -> Result<HttpResponse, Stop> {
    if is_xml(call.header("content-type")) {
        return push::register(call).await;
    }
    let Place::Book(_, slug) = call.place.clone() else {
        return Ok(answer::not_allowed(&call.place));
    };
    if !call.query.split('&').any(|q| q == "add-member" || q.starts_with("add-member=")) {
        return Ok(answer::not_allowed(&call.place));
    }
    let name = format!("{}.vcf", uuid::Uuid::new_v4().simple());
    let place = Place::Object(call.login.handle.to_string(), slug.clone(), name.clone());
    write(call, &slug, &name, Some(place.href())).await
}

async fn write(call: Call, slug: &str, name: &str, location: Option<String>) -> Result<HttpResponse, Stop> {
    let book = call.shelf.book(slug).ok_or(Fault::new(409, "There is no such book."))?;
    if name.len() > NAME_MAX {
        return Err(Fault::new(403, "The name is too long.").into());
    }
    check_media_type(call.header("content-type"))?;
    let card = Card::parse(&call.body).map_err(card_fault)?;
    call.require_write(book, if location.is_some() { "bind" } else { "write-content" })?;
    let (account, owner, now) = (call.account(), book.account_id, call.now);
    let (id, messenger) = (book.id, book.is_messenger());
    let terms = call.terms()?;
    let (body, condition, owned_name) = (call.body.clone(), call.condition.clone(), name.to_owned());
    // Whatever can be known beforehand is: the lane's time is everybody's.
    let (tag, uid) = (books::etag_of(&body), card.uid());
    let wish = Wish::on(&card, call.dav.app.settings.host());
    let written = call
        .dav
        .app
        .db
        .write(owner, move |db| {
            sharing::check_write(db, owner, id, account)?;
            let put = Put {
                name: &owned_name,
                body: &body,
                etag: &tag,
                uid: &uid,
                wish: wish.as_ref(),
                condition: &condition,
            };
            terms.keep(db, |db| books::put(db, now, owner, id, &put))
        })
        .await?
        .ok_or(NOT_SO)?;
    let (created, etag, seq) = match written {
        Written::Done { created, etag, seq } => (created, etag, seq),
        Written::Refused(refusal) => return refused(&call, slug, name, refusal).await,
    };
    if messenger && etag.is_some() {
        // Who has sent exactly what is stored has the card.
        call.dav.note_fetches(now, account, vec![call.fetch(id, name, seq)]).await?;
    }
    let mut response = match created {
        true => HttpResponse::Created(),
        false => HttpResponse::NoContent(),
    };
    // No tag when what is stored is not what was sent: the client must read it (RFC 6352 6.3.2.3).
    if let Some(etag) = &etag {
        response.insert_header((header::ETAG, etag.as_str()));
    }
    if let Some(location) = location {
        response.insert_header((header::LOCATION, location));
    }
    if call.preferences.representation {
        let status = if created { StatusCode::CREATED } else { StatusCode::OK };
        return with_representation(&call, slug, name, status).await;
    }
    Ok(response.finish())
}

/// An answer that carries the card as it is now (RFC 8144 3).
async fn with_representation(
    call: &Call,
    slug: &str,
    name: &str,
    status: StatusCode,
) -> Result<HttpResponse, Stop> {
    let book = call.shelf.book(slug).ok_or(MISSING)?;
    let (owner, book, owned) = (book.account_id, book.id, name.to_owned());
    let object = call.dav.app.db.read(move |db| books::find(db, owner, book, &owned)).await?;
    let object = object.ok_or(MISSING)?;
    let place = Place::Object(call.login.handle.to_string(), slug.to_owned(), name.to_owned());
    Ok(HttpResponse::build(status)
        .content_type(CARD_TYPE)
        .insert_header((header::ETAG, object.etag))
        .insert_header((header::CONTENT_LOCATION, place.href()))
        .insert_header(("Preference-Applied", "return=representation"))
        .body(object.body))
}

async fn refused(call: &Call, slug: &str, name: &str, refusal: Refusal) -> Result<HttpResponse, Stop> {
    if refusal == Refusal::Changed && call.preferences.representation {
        // RFC 8144 3.2: what is there instead.
        if let Ok(response) = with_representation(call, slug, name, StatusCode::PRECONDITION_FAILED).await {
            return Ok(response);
        }
    }
    let handle = call.login.handle.to_string();
    let place = |name: String| Place::Object(handle.clone(), slug.to_owned(), name).href();
    Err(refusal_fault(refusal, place).into())
}

/// What a refusal is in DAV's words; `place` gives the address of a name in the target book.
fn refusal_fault(refusal: Refusal, place: impl Fn(String) -> String) -> Fault {
    match refusal {
        Refusal::Missing => Fault::new(404, "There is nothing at this address."),
        Refusal::Changed => Fault::new(412, "It has changed since you read it."),
        Refusal::UidConflict { holder } => {
            let precondition = Precondition::NoUidConflict { holder: place(holder) };
            Fault::violated(409, precondition, "Another card has this UID.")
        }
        Refusal::Exists => Fault::new(412, "There is something already."),
        Refusal::Full => Fault::violated(
            507,
            Precondition::Named(Name::dav("quota-not-exceeded")),
            "The address book is full.",
        ),
        Refusal::NotACard => Fault::violated(
            403,
            Precondition::Named(Name::carddav("valid-address-data")),
            "This cannot be a messenger friend's card.",
        ),
        Refusal::Protected => {
            let precondition =
                Precondition::NeedPrivileges { href: place(String::new()), privilege: Name::dav("unbind") };
            Fault::violated(403, precondition, "A messenger friend's card stays where it is.")
        }
    }
}

fn check_media_type(content_type: Option<&str>) -> Result<(), Fault> {
    let Some(content_type) = content_type else { return Ok(()) };
    let media = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let known =
        ["", "text/vcard", "text/x-vcard", "text/directory", "application/vcard", "application/octet-stream"];
    if known.contains(&media.as_str()) {
        return Ok(());
    }
    Err(Fault::violated(403, SUPPORTED, "Only vCards are kept here."))
}

const SUPPORTED: Precondition = Precondition::Named(Name::carddav("supported-address-data"));

fn card_fault(fault: CardFault) -> Fault {
    match fault {
        CardFault::UnsupportedVersion => {
            Fault::violated(403, SUPPORTED, "Only vCard 3.0 and 4.0 are supported.")
        }
        CardFault::Invalid(detail) => {
            Fault::violated(403, Precondition::Named(Name::carddav("valid-address-data")), detail)
        }
        CardFault::TooLarge => TOO_LARGE,
    }
}

/// DELETE of a card.
pub async fn delete(call: Call) -> Result<HttpResponse, Stop> {
    let Place::Object(_, slug, name) = &call.place else { return Err(MISSING.into()) };
    let book = call.shelf.book(slug).ok_or(MISSING)?;
    call.require_write(book, "unbind")?;
    let (account, owner, book) = (call.account(), book.account_id, book.id);
    let (now, owned, condition) = (call.now, name.clone(), call.condition.clone());
    let terms = call.terms()?;
    let written = call
        .dav
        .app
        .db
        .write(owner, move |db| {
            sharing::check_write(db, owner, book, account)?;
            terms.keep(db, |db| books::delete(db, now, owner, book, &owned, &condition))
        })
        .await?
        .ok_or(NOT_SO)?;
    match written {
        Written::Done { .. } => Ok(HttpResponse::NoContent().finish()),
        Written::Refused(refusal) => refused(&call, slug, name, refusal).await,
    }
}

/// The header Overwrite (RFC 4918 10.6).
fn may_overwrite(call: &Call) -> Result<bool, Fault> {
    match call.header("overwrite").map(str::trim) {
        None | Some("T" | "t") => Ok(true),
        Some("F" | "f") => Ok(false),
        Some(_) => Err(Fault::malformed("Overwrite must be T or F.")),
    }
}

/// COPY and MOVE of a card (RFC 4918 9.8, 9.9).
pub async fn transfer(call: Call) -> Result<HttpResponse, Stop> {
    let Place::Object(_, slug, name) = &call.place else {
        return Err(Fault::new(403, "Only cards are copied and moved.").into());
    };
    let moves = call.request.method().as_str() == "MOVE";
    let source_book = call.shelf.book(slug).ok_or(MISSING)?;
    if moves {
        call.require_write(source_book, "unbind")?;
    }
    let (source, source_owner) = (source_book.id, source_book.account_id);
    let destination = call.header("destination").ok_or(Fault::malformed("There is no Destination."))?;
    if let (Some(authority), _) = href::split_authority(destination.trim()) {
        let ours = call.request.connection_info().host().to_owned();
        if !authority.eq_ignore_ascii_case(&ours) && !call.dav.app.settings.public_url.ends_with(authority) {
            return Err(Fault::new(502, "The Destination is on another server.").into());
        }
    }
    let path = href::parse(destination).ok_or(Fault::new(403, "Nothing can be at that Destination."))?;
    let Place::Object(_, target_slug, target_name) = own_place(path, &call.login, NO_PARENT)? else {
        return Err(Fault::new(403, "A card cannot stand at that Destination.").into());
    };
    let target_book = call.shelf.book(&target_slug).ok_or(Fault::new(409, "There is no such book."))?;
    call.require_write(target_book, "bind")?;
    let (target_owner, target_book) = (target_book.account_id, target_book.id);
    if target_name.len() > NAME_MAX {
        return Err(Fault::new(403, "The name is too long.").into());
    }
    if target_book == source && target_name == *name {
        return Err(Fault::new(403, "Source and Destination are the same.").into());
    }
    let overwrite = may_overwrite(&call)?;
    let (account, now, name) = (call.account(), call.now, name.clone());
    let condition = EntityCondition {
        if_match: call.condition.if_match.clone(),
        if_none_match: call.condition.if_none_match.clone().filter(|t| *t != EntityTags::Any),
    };
    let terms = call.terms()?;
    let (target, target_owned) = (target_book, target_name.clone());
    let written = call
        .dav
        .app
        .db
        .write(target_owner, move |db| {
            sharing::check_write(db, target_owner, target, account)?;
            if moves {
                sharing::check_write(db, source_owner, source, account)?;
            }
            let to = Target { account: target_owner, book: target, name: &target_owned, overwrite, moves };
            let from = (source_owner, source, name.as_str());
            terms.keep(db, |db| books::transfer(db, now, from, &to, &condition))
        })
        .await?
        .ok_or(NOT_SO)?;
    match written {
        Written::Done { created: true, etag, .. } => {
            let place = Place::Object(call.login.handle.to_string(), target_slug, target_name);
            let mut response = HttpResponse::Created();
            response.insert_header((header::LOCATION, place.href()));
            if let Some(etag) = etag {
                response.insert_header((header::ETAG, etag));
            }
            Ok(response.finish())
        }
        Written::Done { .. } => Ok(HttpResponse::NoContent().finish()),
        Written::Refused(refusal) => refused(&call, &target_slug, &target_name, refusal).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_may_be_asked_for() {
        for (accept, want) in [
            ("", Ok(None)),
            ("*/*", Ok(None)),
            ("text/vcard", Ok(None)),
            ("text/vcard; version=4.0", Ok(Some(Version::V4))),
            ("text/vcard;charset=utf-8;version=\"3.0\", */*", Ok(Some(Version::V3))),
            ("text/vcard;version=2.1", Err(406)),
            ("text/vcard;version=2.1, text/vcard;version=3.0", Ok(Some(Version::V3))),
        ] {
            assert_eq!(accepted_version(accept).map_err(|f| f.status), want, "{accept}");
        }
    }

    #[test]
    fn the_stored_version_is_seen_at_a_glance() {
        let card = |v: &str| format!("BEGIN:VCARD\r\n{v}\r\nUID:1\r\nFN:A\r\nEND:VCARD\r\n").into_bytes();
        assert_eq!(stored_version(&card("VERSION:4.0")), Version::V4);
        assert_eq!(stored_version(&card("VERSION:3.0")), Version::V3);
        assert_eq!(stored_version(&card("version:4.0")), Version::V4);
    }

    #[test]
    fn only_vcards_are_taken() {
        for good in
            ["text/vcard", "text/vcard; charset=utf-8", "TEXT/X-VCARD", "text/directory;profile=vcard"]
        {
            assert!(check_media_type(Some(good)).is_ok(), "{good}");
        }
        assert!(check_media_type(None).is_ok());
        assert!(check_media_type(Some("text/calendar")).is_err());
    }
}
