//! One vCard by its address: GET, PUT, DELETE, COPY, MOVE, and POST to make one (RFC 5995).

use actix_web::http::{StatusCode, header};
use actix_web::web::Bytes;
use actix_web::{HttpResponse, HttpResponseBuilder};

use super::answer::{self, Stop};
use super::place::Place;
use super::properties::{CARD_TYPE, http_date};
use super::push::{self, parse_http_date};
use super::terms::NOT_SO;
use super::{Call, MISSING, NO_PARENT, TOO_LARGE, own_place};
use crate::clock::Timestamp;
use crate::contacts::books::{self, AddressObject, NAME_MAX, Put, Refusal, Target, Written};
use crate::contacts::card_export;
use crate::contacts::card_friends::Wish;
use crate::contacts::card_versions::{in_version, stored_version};
use crate::contacts::sharing;
use crate::contacts::vcard::{Card, CardFault, Version};
use crate::dav::headers::EntityTags;

use crate::dav::{EntityCondition, Fault, Name, Precondition, href};
use crate::db::Db;
use crate::error::Error;

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
            let response = show(&call, &object)?;
            if is_about_a_friend && call.request.method() == actix_web::http::Method::GET {
                let fetch = call.fetch(id, &object.name, object.seq);
                if response.status() == StatusCode::NOT_MODIFIED {
                    // It has the card already, and an answer without a body has no end to wait for.
                    call.dav.told(call.now, account, vec![fetch]).await;
                    return Ok(response);
                }
                return Ok(call.dav.tell(call.now, call.account(), vec![fetch], response));
            }
            Ok(response)
        }
        Place::Book(_, slug) => export(&call, slug).await,
        _ => {
            let text = "Address books over CardDAV. Give this address to the contacts app of your phone.\n";
            Ok(HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(text))
        }
    }
}

fn show(call: &Call, object: &AddressObject) -> Result<HttpResponse, Stop> {
    let (etag, other) = match call.header("accept").map(str::trim) {
        None | Some("" | "*/*") => (object.etag.clone(), None),
        Some(accept) => {
            let stored = stored_version(&object.body);
            match accepted_version(accept, stored)? {
                version if version == stored => (object.etag.clone(), None),
                version => (converted_etag(&object.etag, version), Some(version)),
            }
        }
    };
    let headers = |response: &mut HttpResponseBuilder| {
        response
            .insert_header((header::ETAG, etag.as_str()))
            .insert_header((header::LAST_MODIFIED, http_date(object.updated_at)))
            .insert_header((header::CACHE_CONTROL, "private, no-cache, no-transform"))
            .insert_header((header::VARY, "Accept"));
    };
    if is_known(call, object, &etag)? {
        let mut response = HttpResponse::build(StatusCode::NOT_MODIFIED);
        headers(&mut response);
        return Ok(response.finish());
    }
    let body = match other {
        Some(version) => in_version(&object.body, version),
        None => object.body.clone(),
    };
    let mut response = HttpResponse::Ok();
    headers(&mut response);
    Ok(response.content_type(CARD_TYPE).body(body))
}

/// How tags of cards end that are shown in 3.0 and not so stored.
const IN_THREE: &str = ".v3\"";
/// The same for 4.0.
const IN_FOUR: &str = ".v4\"";

/// Another text has another tag (RFC 9110 8.8.3): the card's own, and in which version it is shown.
fn converted_etag(etag: &str, version: Version) -> String {
    let mark = match version {
        Version::V3 => IN_THREE,
        Version::V4 => IN_FOUR,
    };
    format!("{}{mark}", etag.trim_end_matches('"'))
}

/// The tag of the card that the text with this tag was made of: who changes a card on the condition that it is as he has
/// read it may have read it in another version.
pub fn stored_tag(tag: &str) -> String {
    match tag.strip_suffix(IN_THREE).or_else(|| tag.strip_suffix(IN_FOUR)) {
        Some(start) => format!("{start}\""),
        None => tag.to_owned(),
    }
}

/// The same for all tags of a header.
pub fn of_stored(tags: EntityTags) -> EntityTags {
    match tags {
        EntityTags::Any => EntityTags::Any,
        EntityTags::These(tags) => EntityTags::These(tags.iter().map(|tag| stored_tag(tag)).collect()),
    }
}

/// Whether the client has the card as it is shown; a fault when it wants another one than there is. In the order of
/// RFC 9110 13.2.2: what must be so first, then what the client knows; tags before times.
fn is_known(call: &Call, object: &AddressObject, shown: &str) -> Result<bool, Fault> {
    let changed = object.updated_at.unix_secs();
    let time = |name: &str| call.header(name).and_then(parse_http_date).map(Timestamp::unix_secs);
    if call.condition.if_match.is_some() {
        let must = EntityCondition { if_match: call.condition.if_match.clone(), if_none_match: None };
        must.check(Some(&object.etag))?;
    } else if time("if-unmodified-since").is_some_and(|since| changed > since) {
        return Err(NOT_SO);
    }
    Ok(match call.header("if-none-match").map(EntityTags::parse) {
        Some(tags) => tags.has_weak(shown),
        None => time("if-modified-since").is_some_and(|since| changed <= since),
    })
}

/// The version that `Accept` likes best (RFC 6352 5.1.1, RFC 9110 12.5.1): by its weights, then what is named before
/// what is only allowed, then the card as it is stored. What speaks of other media types only asks for nothing.
fn accepted_version(accept: &str, stored: Version) -> Result<Version, Fault> {
    // By version: how closely a range names it, and with which weight.
    let (mut three, mut four, mut speaks) = ((0, 0), (0, 0), false);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or("").to_ascii_lowercase();
        let (mut version, mut weight) = (None, 1_000);
        for (name, value) in parts.filter_map(|p| p.split_once('=')) {
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "version" => version = Some(value),
                "q" => weight = value.parse::<f32>().map_or(0, |q| (q.clamp(0.0, 1.0) * 1_000.0) as i32),
                _ => {}
            }
        }
        let closeness = match (media.as_str(), version) {
            ("text/vcard" | "text/x-vcard" | "text/directory", Some(_)) => 4,
            ("text/vcard" | "text/x-vcard" | "text/directory", None) => 3,
            ("text/*", _) => 2,
            ("*/*", _) => 1,
            _ => continue,
        };
        speaks = true;
        for (wanted, best) in [("3.0", &mut three), ("4.0", &mut four)] {
            if (closeness < 4 || version == Some(wanted)) && closeness >= best.0 {
                *best = (closeness, weight);
            }
        }
    }
    let (as_stored, converted, other) = match stored {
        Version::V3 => (three, four, Version::V4),
        Version::V4 => (four, three, Version::V3),
    };
    // The weight first.
    let rank = |(closeness, weight): (i32, i32)| (weight, i32::from(closeness == 4));
    match (rank(as_stored), rank(converted)) {
        _ if !speaks => Ok(stored),
        (this, that) if this.0 > 0 && this >= that => Ok(stored),
        (_, that) if that.0 > 0 => Ok(other),
        _ => Err(Fault::violated(
            406,
            Precondition::Named(Name::carddav("supported-address-data-conversion")),
            "vCards come in version 3.0 or 4.0.",
        )),
    }
}

/// A whole book as one file, which leaves while it is read.
async fn export(call: &Call, slug: &str) -> Result<HttpResponse, Stop> {
    let book = call.shelf.book(slug).ok_or(MISSING)?.id;
    let account = call.account();
    let wanted = card_export::Wanted { version: Version::V3, since: None, book: Some(book) };
    let read = move |db: &mut Db| db.snapshot(|db| card_export::list(db, account, &wanted));
    let listing = call.dav.app.db.read(read).await?;
    let mut response = HttpResponse::Ok();
    response
        .content_type(CARD_TYPE)
        .insert_header((header::CONTENT_DISPOSITION, "attachment; filename=\"contacts.vcf\""))
        .insert_header((header::CACHE_CONTROL, "private, no-cache, no-transform"));
    let db = call.dav.app.db.clone();
    let file = futures_util::stream::try_unfold(listing.parts, move |mut parts| {
        let db = db.clone();
        async move {
            let Some(part) = parts.pop_front() else { return Ok::<_, Error>(None) };
            let (bytes, rest) = db.read(move |db| card_export::read(db, part, Version::V3)).await?;
            rest.into_iter().for_each(|rest| parts.push_front(rest));
            Ok(Some((Bytes::from(bytes), parts)))
        }
    });
    Ok(response.streaming(file))
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
    let (created, etag, seq, bound) = match written {
        Written::Done { created, etag, seq, bound } => (created, etag, seq, bound),
        Written::Refused(refusal) => return refused(&call, slug, name, refusal).await,
    };
    if (messenger || bound) && etag.is_some() {
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
    let location = location.and_then(|place| header::HeaderValue::try_from(place).ok());
    if call.preferences.representation {
        let status = if created { StatusCode::CREATED } else { StatusCode::OK };
        let mut response = with_representation(&call, slug, name, status).await?;
        if let Some(place) = location {
            response.headers_mut().insert(header::LOCATION, place);
        }
        return Ok(response);
    }
    if let Some(place) = location {
        response.insert_header((header::LOCATION, place));
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
            Fault::violated(403, precondition, "Another card has this UID.")
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
        let asked = call.request.connection_info().host().to_owned();
        let (public, _) = href::split_authority(&call.dav.app.settings.public_url);
        let is_ours = |ours: &str| authority.eq_ignore_ascii_case(ours);
        if !is_ours(&asked) && !public.is_some_and(is_ours) {
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
        use Version::{V3, V4};
        for (accept, for_three, for_four) in [
            ("*/*", Ok(V3), Ok(V4)),
            ("text/vcard", Ok(V3), Ok(V4)),
            ("text/html, image/png", Ok(V3), Ok(V4)),
            ("text/vcard; version=4.0", Ok(V4), Ok(V4)),
            ("text/vcard;charset=utf-8;version=\"3.0\", */*", Ok(V3), Ok(V3)),
            ("text/vcard;version=2.1", Err(406), Err(406)),
            ("text/vcard;version=2.1, text/vcard;version=3.0", Ok(V3), Ok(V3)),
            ("text/html, text/vcard;version=3.0", Ok(V3), Ok(V3)),
            ("text/vcard;version=3.0;q=0.5, text/vcard;version=4.0", Ok(V4), Ok(V4)),
            ("text/vcard;version=4.0;q=0.2, text/vcard;q=0.8", Ok(V3), Ok(V3)),
            ("text/vcard;version=4.0, text/vcard;version=3.0", Ok(V3), Ok(V4)),
            ("text/vcard;version=3.0;q=0, */*", Ok(V4), Ok(V4)),
            ("text/vcard;q=0", Err(406), Err(406)),
        ] {
            let got = |stored| accepted_version(accept, stored).map_err(|f| f.status);
            assert_eq!((got(V3), got(V4)), (for_three, for_four), "{accept}");
        }
    }

    #[test]
    fn a_converted_card_has_a_tag_of_its_own() {
        let tags = |list: &[&str]| EntityTags::These(list.iter().map(|t| (*t).to_owned()).collect());
        let four = converted_etag("\"abc-7\"", Version::V4);
        assert_eq!(four, "\"abc-7.v4\"");
        assert_eq!(of_stored(tags(&[&four, "\"b.v3\"", "\"c\""])), tags(&["\"abc-7\"", "\"b\"", "\"c\""]));
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
