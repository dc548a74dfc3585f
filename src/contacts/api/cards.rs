//! Cards as plain files over HTTP, and by mail.

use actix_web::http::header;
use actix_web::web::{Bytes, Data, Json, Path, Query};
use actix_web::{HttpRequest, HttpResponse, get, post};
use futures_util::stream;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::accounts::auth::SignedIn;
use crate::app::App;
use crate::clock::Timestamp;
use crate::contacts::card_export::{self, Listing, Wanted};
use crate::contacts::card_mail;
use crate::contacts::vcard::Version;
use crate::error::{Error, Result};
use crate::http::Problems;
use crate::ids::{AccountId, AddressBookId, ContactId, EmailId};

const CARDS: &str = "text/vcard; charset=utf-8";

/// Which cards, and how.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct CardsWanted {
    /// `3.0` (the default, which every phone reads) or `4.0`; `Accept: text/vcard; version=4.0` says the same.
    version: Option<String>,
    /// Only cards that changed at or after this instant (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<String>,
}

impl CardsWanted {
    fn read(&self, request: &HttpRequest, book: Option<AddressBookId>) -> Result<Wanted> {
        let accept = request.headers().get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or("");
        let version = match &self.version {
            Some(text) => version(text)?,
            None if accept.replace(['"', ' '], "").contains("version=4.0") => Version::V4,
            None => Version::V3,
        };
        Ok(Wanted { version, since: self.since.as_deref().map(instant).transpose()?, book })
    }
}

fn version(text: &str) -> Result<Version> {
    match text {
        "3.0" | "3" => Ok(Version::V3),
        "4.0" | "4" => Ok(Version::V4),
        _ => Err(Error::invalid("version", "unknown_version", "vCards come in version 3.0 or 4.0.")),
    }
}

fn instant(text: &str) -> Result<Timestamp> {
    // A plus sign of an offset that nobody has escaped arrives as a space.
    Timestamp::from_rfc3339(&text.replace(' ', "+"))
        .ok_or_else(|| Error::invalid("since", "invalid_time", "since must look like 2026-01-15T12:00:00Z."))
}

/// Download all cards as one file
///
/// Of all address books that the account may read: friends with their numbers, its own, and shared ones.
#[utoipa::path(
    tag = "books", security(("bearer" = [])), params(CardsWanted),
    responses((status = 200, description = "The cards", body = String, content_type = "text/vcard"), Problems)
)]
#[get("/v1/cards.vcf")]
pub(super) async fn export_cards(
    me: SignedIn,
    app: Data<App>,
    request: HttpRequest,
    wanted: Query<CardsWanted>,
) -> Result<HttpResponse> {
    export(&app, me.account, wanted.read(&request, None)?).await
}

/// Download the cards of an address book as one file
#[utoipa::path(
    tag = "books", security(("bearer" = [])),
    params(("id" = String, Path, description = "The address book"), CardsWanted),
    responses((status = 200, description = "The cards", body = String, content_type = "text/vcard"), Problems)
)]
#[get("/v1/books/{id}/cards.vcf")]
pub(super) async fn export_book(
    me: SignedIn,
    app: Data<App>,
    request: HttpRequest,
    id: Path<AddressBookId>,
    wanted: Query<CardsWanted>,
) -> Result<HttpResponse> {
    export(&app, me.account, wanted.read(&request, Some(id.into_inner()))?).await
}

async fn export(app: &App, account: AccountId, wanted: Wanted) -> Result<HttpResponse> {
    let listing = app.db.read(move |db| db.snapshot(|db| card_export::list(db, account, &wanted))).await?;
    let Listing { book_name, parts } = listing;
    let stem = card_mail::file_stem(book_name.as_deref(), wanted.since);
    let (db, version) = (app.db.clone(), wanted.version);
    let body = stream::try_unfold(parts, move |mut parts| {
        let db = db.clone();
        async move {
            let Some(part) = parts.pop_front() else { return Ok::<_, Error>(None) };
            let (bytes, rest) = db.read(move |db| card_export::read(db, part, version)).await?;
            rest.into_iter().for_each(|rest| parts.push_front(rest));
            Ok(Some((Bytes::from(bytes), parts)))
        }
    });
    Ok(HttpResponse::Ok()
        .content_type(CARDS)
        .insert_header((header::CONTENT_DISPOSITION, card_export::disposition(&stem)))
        .insert_header((header::CACHE_CONTROL, "private, no-store"))
        .streaming(body))
}

/// Download a friend's card
///
/// With the number that reaches him. A contact without a number has no card.
#[utoipa::path(
    tag = "contacts", security(("bearer" = [])),
    params(("id" = String, Path, description = "The contact"), CardsWanted),
    responses((status = 200, description = "The card", body = String, content_type = "text/vcard"), Problems)
)]
#[get("/v1/contacts/{id}/card.vcf")]
pub(super) async fn export_friend(
    me: SignedIn,
    app: Data<App>,
    request: HttpRequest,
    id: Path<ContactId>,
    wanted: Query<CardsWanted>,
) -> Result<HttpResponse> {
    let (id, version) = (id.into_inner(), wanted.read(&request, None)?.version);
    let (name, body) = app.db.read(move |db| card_export::friend(db, me.account, id, version)).await?;
    Ok(HttpResponse::Ok()
        .content_type(CARDS)
        .insert_header((
            header::CONTENT_DISPOSITION,
            card_export::disposition(&card_export::file_stem(&name)),
        ))
        .insert_header((header::CACHE_CONTROL, "private, no-store"))
        .body(body))
}

/// Which cards to mail, and where.
#[derive(Deserialize, ToSchema)]
pub(super) struct MailCards {
    /// A verified address of the account; its first one when none is named.
    #[schema(value_type = Option<String>)]
    email_id: Option<EmailId>,
    /// Only the cards of one address book.
    #[schema(value_type = Option<String>)]
    book_id: Option<AddressBookId>,
    /// `3.0` (the default) or `4.0`.
    version: Option<String>,
    /// Only cards that changed at or after this instant (RFC 3339).
    #[schema(format = DateTime)]
    since: Option<String>,
}

/// Mail the cards to oneself
///
/// A letter with the file, for phones that open one more easily than an account. To a verified address of the account
/// only. More than 4 MB do not go by mail; download them.
#[utoipa::path(tag = "books", security(("bearer" = [])), responses((status = 202), Problems))]
#[post("/v1/cards/mail")]
pub(super) async fn mail_cards(me: SignedIn, app: Data<App>, body: Json<MailCards>) -> Result<HttpResponse> {
    let (now, account, Json(body)) = (app.now(), me.account, body);
    let wanted = Wanted {
        version: body.version.as_deref().map_or(Ok(Version::V3), version)?,
        since: body.since.as_deref().map(instant).transpose()?,
        book: body.book_id,
    };
    if !app.mail.is_configured() {
        return Err(Error::unavailable("mail_not_configured", "This installation cannot send e-mail."));
    }
    app.db.write(account, move |db| card_mail::ask(db, now, account, body.email_id, &wanted)).await?;
    Ok(HttpResponse::Accepted().finish())
}
