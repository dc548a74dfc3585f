//! One's own account: what it is, how it changes, its photo, and its end.

use actix_web::http::header::{self, CacheControl, CacheDirective, ETag, EntityTag, IfNoneMatch};
use actix_web::web::{Data, Header, Json, Payload};
use actix_web::{HttpResponse, delete, get, patch, put};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use super::Confirmation;
use crate::accounts::auth::{Doors, SignedIn};
use crate::accounts::view::{self, AccountView, QuietHoursView};
use crate::accounts::{self, Changes, PHOTO_MAX_BYTES, QuietHours, limits, passwords};
use crate::app::App;
use crate::clock::Timestamp;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::http::Problems;
use crate::ids::AccountId;
use crate::{calls, contacts, messaging, numbers, presence, push};

/// Show one's own account
#[utoipa::path(
    tag = "accounts", security(("bearer" = [])), responses((status = 200, body = AccountView), Problems)
)]
#[get("/v1/me")]
pub(super) async fn find_me(me: SignedIn, app: Data<App>) -> Result<Json<AccountView>> {
    Ok(Json(app.db.read(move |db| view::load(db, me.account)).await?))
}

/// What is to change; what is not mentioned stays.
#[derive(Deserialize, ToSchema)]
pub(super) struct UpdateMe {
    /// The name friends see.
    display_name: Option<String>,
    /// `en` or `ko`.
    locale: Option<String>,
    /// An IANA time zone.
    time_zone: Option<String>,
    /// When not to disturb; null for never.
    #[serde(default, deserialize_with = "mentioned")]
    #[schema(value_type = Option<QuietHoursView>)]
    quiet_hours: Option<Option<QuietHoursView>>,
}

/// Tells `null` from not mentioned.
fn mentioned<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// Change one's own account
#[utoipa::path(
    tag = "accounts", security(("bearer" = [])), responses((status = 200, body = AccountView), Problems)
)]
#[patch("/v1/me")]
pub(super) async fn update_me(
    me: SignedIn,
    app: Data<App>,
    body: Json<UpdateMe>,
) -> Result<Json<AccountView>> {
    let (now, Json(body)) = (app.now(), body);
    let quiet_hours = match body.quiet_hours {
        Some(Some(hours)) => Some(Some(QuietHours::parse(&hours.from, &hours.to)?)),
        Some(None) => Some(None),
        None => None,
    };
    let changes = Changes {
        display_name: body.display_name,
        locale: body.locale,
        time_zone: body.time_zone,
        quiet_hours,
        admin: None,
    };
    let written = app.db.write(me.account, move |db| {
        accounts::update(db, now, me.account, &changes)?;
        if changes.display_name.is_some() {
            contacts::peer_changed(db, now, me.account)?;
        }
        view::load(db, me.account)
    });
    Ok(Json(written.await?))
}

/// Fails unless `password` is the account's.
async fn confirm(app: &App, doors: &Doors, account: AccountId, password: String) -> Result<()> {
    let now = app.now();
    let read = app.db.write(account, move |db| {
        limits::take(db, now, &limits::CONFIRMS_ACCOUNT, &account.to_string())?;
        accounts::find_password_hash(db, account)
    });
    let hash = read.await?;
    if doors.hasher.matches(password, hash).await? {
        Ok(())
    } else {
        Err(Error::forbidden("wrong_password", "The password is wrong."))
    }
}

/// Two passwords.
#[derive(Deserialize, ToSchema)]
pub(super) struct UpdatePassword {
    /// The one that is good now.
    old_password: String,
    /// At least 10 characters.
    new_password: String,
}

/// Change the password
///
/// Every other session is signed out. App passwords stay good.
#[utoipa::path(tag = "accounts", security(("bearer" = [])), responses((status = 204), Problems))]
#[put("/v1/me/password")]
pub(super) async fn update_password(
    me: SignedIn,
    app: Data<App>,
    doors: Data<Doors>,
    body: Json<UpdatePassword>,
) -> Result<HttpResponse> {
    let Json(UpdatePassword { old_password, new_password }) = body;
    passwords::check_shape(&new_password)?;
    confirm(&app, &doors, me.account, old_password).await?;
    let hash = doors.hasher.hash(new_password).await?;
    app.db
        .write(me.account, move |db| accounts::change_password(db, me.account, &hash, Some(me.session)))
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Delete one's own account
///
/// Erases the account and everything it has: contacts, numbers, messages, credentials. It cannot be undone.
#[utoipa::path(tag = "accounts", security(("bearer" = [])), responses((status = 204), Problems))]
#[delete("/v1/me")]
pub(super) async fn delete_me(
    me: SignedIn,
    app: Data<App>,
    doors: Data<Doors>,
    body: Json<Confirmation>,
) -> Result<HttpResponse> {
    let Json(Confirmation { password }) = body;
    confirm(&app, &doors, me.account, password).await?;
    let now = app.now();
    app.db.write(me.account, move |db| erase_everything(db, now, me.account)).await?;
    tracing::info!(account.id = %me.account, "an account was deleted by its owner");
    Ok(HttpResponse::NoContent().finish())
}

/// Every slice erases what it holds of the account; the account itself goes last.
pub(super) fn erase_everything(db: &mut Db, now: Timestamp, account: AccountId) -> Result<()> {
    push::erase(db, account)?;
    calls::erase(db, now, account)?;
    messaging::erase(db, now, account)?;
    contacts::erase(db, now, account)?;
    presence::erase(db, account)?;
    numbers::erase(db, account)?;
    accounts::erase(db, account)
}

/// Take everything along
///
/// One JSON archive of all we hold of the account: itself, contacts, cards, messages, presence.
#[utoipa::path(
    tag = "accounts", security(("bearer" = [])),
    responses((status = 200, description = "The archive", body = Object), Problems)
)]
#[get("/v1/me/export")]
pub(super) async fn export_me(me: SignedIn, app: Data<App>) -> Result<HttpResponse> {
    let (now, account) = (app.now(), me.account);
    let subject = account.to_string();
    app.db.write(account, move |db| limits::take(db, now, &limits::EXPORTS_ACCOUNT, &subject)).await?;
    let archive = app.db.read(move |db| db.snapshot(|db| export_everything(db, now, account))).await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::CONTENT_DISPOSITION, "attachment; filename=\"meari-export.json\""))
        .json(archive))
}

/// Every slice tells what it holds of the account.
fn export_everything(db: &mut Db, now: Timestamp, account: AccountId) -> Result<serde_json::Value> {
    Ok(serde_json::json!({
        "exported_at": now,
        "account": accounts::export::export(db, now, account)?,
        "contacts": contacts::export(db, account)?,
        "presence": presence::export(db, now, account)?,
        "messages": messaging::export(db, account)?,
        "calls": calls::view::export(db, account)?,
    }))
}

/// Set the photo
///
/// A JPEG, PNG or WebP picture of at most 1 MiB; what it is, is told by its first bytes.
#[utoipa::path(
    tag = "accounts", security(("bearer" = [])),
    request_body(content(
        (Vec<u8> = "image/jpeg"), (Vec<u8> = "image/png"), (Vec<u8> = "image/webp")
    )),
    responses((status = 204), Problems)
)]
#[put("/v1/me/photo")]
pub(super) async fn update_photo(me: SignedIn, app: Data<App>, body: Payload) -> Result<HttpResponse> {
    let too_large = || Error::invalid("body", "photo_too_large", "A photo has at most 1 MiB.");
    let broken = |_| Error::invalid("body", "not_received", "The photo did not arrive whole.");
    let body = body.to_bytes_limited(PHOTO_MAX_BYTES).await.map_err(|_| too_large())?.map_err(broken)?;
    accounts::photo_type(&body)?;
    let now = app.now();
    app.db
        .write(me.account, move |db| {
            accounts::put_photo(db, now, me.account, &body)?;
            contacts::peer_changed(db, now, me.account)
        })
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Show the photo
#[utoipa::path(
    tag = "accounts", security(("bearer" = [])),
    responses(
        (status = 200, description = "The picture", content((Vec<u8> = "image/jpeg"), (Vec<u8> = "image/png"), (Vec<u8> = "image/webp"))),
        (status = 304, description = "It is still the one named by If-None-Match"),
        Problems
    )
)]
#[get("/v1/me/photo")]
pub(super) async fn find_photo(
    me: SignedIn,
    app: Data<App>,
    known: Header<IfNoneMatch>,
) -> Result<HttpResponse> {
    let photo = app.db.read(move |db| accounts::find_photo(db, me.account)).await?;
    let photo = photo.ok_or_else(|| Error::not_found("photo"))?;
    let tag = EntityTag::new_strong(format!("{:x}", photo.updated_at.0));
    let unchanged = match known.into_inner() {
        IfNoneMatch::Any => true,
        IfNoneMatch::Items(tags) => tags.iter().any(|t| t.weak_eq(&tag)),
    };
    let mut answer = if unchanged { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    answer
        .insert_header(ETag(tag))
        .insert_header(CacheControl(vec![CacheDirective::Private, CacheDirective::NoCache]))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
    if unchanged {
        return Ok(answer.finish());
    }
    Ok(answer.content_type(photo.content_type).body(photo.body))
}

/// Remove the photo
#[utoipa::path(tag = "accounts", security(("bearer" = [])), responses((status = 204), Problems))]
#[delete("/v1/me/photo")]
pub(super) async fn delete_photo(me: SignedIn, app: Data<App>) -> Result<HttpResponse> {
    let now = app.now();
    app.db
        .write(me.account, move |db| {
            accounts::delete_photo(db, now, me.account)?;
            contacts::peer_changed(db, now, me.account)
        })
        .await?;
    Ok(HttpResponse::NoContent().finish())
}
