//! App passwords: made, listed, taken back; and the links that set a phone up with one.

use actix_web::http::header;
use actix_web::web::{Data, Json, Path};
use actix_web::{HttpResponse, HttpResponseBuilder, delete, get, post};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Whole;
use crate::accounts::auth::SignedIn;
use crate::accounts::setup::{self, Server, Setup};
use crate::accounts::setup_tickets::{self, Opened};
use crate::accounts::{self, AppPassword, app_passwords, leaf};
use crate::app::App;
use crate::clock::Timestamp;
use crate::db::Lane;
use crate::error::Result;
use crate::http::Problems;
use crate::ids::AppPasswordId;

/// A phone or program that shall have a password of its own.
#[derive(Deserialize, ToSchema)]
pub(super) struct CreateAppPassword {
    /// What the owner calls it, at most 64 characters.
    #[schema(example = "My iPhone")]
    label: String,
}

/// A new app password. This is the only time it is shown.
#[derive(Serialize, ToSchema)]
pub(super) struct NewAppPasswordView {
    /// `app_…`
    #[schema(value_type = String)]
    id: AppPasswordId,
    /// What the owner calls it.
    label: String,
    /// The user name for the phone.
    username: String,
    /// The password for the phone; hyphens and capitals do not matter.
    #[schema(example = "abcde-fghjk-mnpqr-stuvw-xyz23")]
    password: String,
    /// The server's address for the phone.
    carddav_url: String,
    /// A configuration profile for iPhones, iPads and Macs; good for ten minutes.
    mobileconfig_url: String,
    /// A QR code that opens a page with everything for the phone that scans it; good for ten minutes.
    qr_svg_url: String,
}

/// Make an app password
#[utoipa::path(
    tag = "accounts", security(("bearer" = [])), responses((status = 201, body = NewAppPasswordView), Problems)
)]
#[post("/v1/me/app-passwords")]
pub(super) async fn create_app_password(
    me: SignedIn,
    app: Data<App>,
    body: Json<CreateAppPassword>,
) -> Result<HttpResponse> {
    let (now, keys, label) = (app.now(), app.keys.clone(), body.into_inner().label);
    Server::parse(&app.settings.public_url)?;
    let written = app.db.write(me.account, move |db| {
        let account = accounts::load(db, me.account)?;
        let (made, password) = app_passwords::create(db, now, &keys, me.account, &label)?;
        let opened = Opened { account: me.account, app_password: made.id, password };
        let ticket = setup_tickets::issue(db, now, &keys, &opened)?;
        Ok((account, made, opened.password, ticket))
    });
    let (account, made, password, ticket) = written.await?;
    let base = &app.settings.public_url;
    let view = NewAppPasswordView {
        id: made.id,
        label: made.label,
        username: account.handle,
        password,
        carddav_url: format!("{base}/dav/"),
        mobileconfig_url: format!("{base}/setup/{ticket}/meari.mobileconfig"),
        qr_svg_url: format!("{base}/setup/{ticket}/qr.svg"),
    };
    Ok(HttpResponse::Created().insert_header((header::CACHE_CONTROL, "no-store")).json(view))
}

/// An app password without the password.
#[derive(Serialize, ToSchema)]
pub(super) struct AppPasswordView {
    /// `app_…`
    #[schema(value_type = String)]
    id: AppPasswordId,
    /// What the owner calls it.
    label: String,
    /// The program that used it last, as it calls itself.
    #[schema(required)]
    user_agent: Option<String>,
    /// Made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Last used, to five minutes.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
}

impl From<AppPassword> for AppPasswordView {
    fn from(password: AppPassword) -> Self {
        let AppPassword { id, label, user_agent, created_at, last_used_at } = password;
        AppPasswordView { id, label, user_agent, created_at, last_used_at }
    }
}

/// List the app passwords
#[utoipa::path(
    tag = "accounts", security(("bearer" = [])),
    responses((status = 200, body = Whole<AppPasswordView>), Problems)
)]
#[get("/v1/me/app-passwords")]
pub(super) async fn list_app_passwords(me: SignedIn, app: Data<App>) -> Result<Json<Whole<AppPasswordView>>> {
    let passwords = app.db.read(move |db| app_passwords::list(db, me.account)).await?;
    Ok(Json(Whole::of(passwords.into_iter().map(AppPasswordView::from).collect())))
}

/// Take an app password back
///
/// The phone or program that uses it is refused at once.
#[utoipa::path(
    tag = "accounts", security(("bearer" = [])), params(("id" = String, Path, description = "`app_…`")),
    responses((status = 204), Problems)
)]
#[delete("/v1/me/app-passwords/{id}")]
pub(super) async fn delete_app_password(
    me: SignedIn,
    app: Data<App>,
    id: Path<AppPasswordId>,
) -> Result<HttpResponse> {
    let id = id.into_inner();
    app.db.write(me.account, move |db| app_passwords::delete(db, me.account, id)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Whatever shows a password must stay out of caches, frames and the next page's referrer.
fn guarded(mut answer: HttpResponseBuilder) -> HttpResponseBuilder {
    answer
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::X_FRAME_OPTIONS, "DENY"));
    answer
}

/// What a ticket opens, with all that a phone must know; counts as a use.
async fn open_setup(app: &App, ticket: &str) -> Result<Setup> {
    let server = Server::parse(&app.settings.public_url)?;
    let (now, keys, word) = (app.now(), app.keys.clone(), ticket.to_owned());
    let written = app.db.write(Lane::Any, move |db| {
        let opened = setup_tickets::open(db, now, &keys, &word)?;
        Ok((accounts::load(db, opened.account)?, opened))
    });
    let (account, opened) = written.await?;
    Ok(Setup {
        service_name: app.settings.service_name.clone(),
        server,
        username: account.handle,
        password: opened.password,
        id: opened.app_password,
        locale: account.locale,
    })
}

/// A page that sets up the phone that opens it
#[utoipa::path(
    tag = "accounts", params(("ticket" = String, Path, description = "From `qr_svg_url`")),
    responses((status = 200, description = "The page", body = String, content_type = "text/html"), Problems)
)]
#[get("/setup/{ticket}")]
pub(super) async fn find_setup_page(app: Data<App>, ticket: Path<String>) -> Result<HttpResponse> {
    let setup = open_setup(&app, &ticket).await?;
    let profile = format!("{}/setup/{ticket}/meari.mobileconfig", app.settings.public_url);
    Ok(guarded(HttpResponse::Ok())
        .insert_header((header::CONTENT_SECURITY_POLICY, leaf::CONTENT_SECURITY_POLICY))
        .content_type("text/html; charset=utf-8")
        .body(setup::page(&setup, &profile)))
}

/// A configuration profile for iPhones, iPads and Macs; signed (CMS) when the operator has set a key
#[utoipa::path(
    tag = "accounts", params(("ticket" = String, Path, description = "From `mobileconfig_url`")),
    responses(
        (status = 200, description = "The profile", body = String, content_type = "application/x-apple-aspen-config"),
        Problems
    )
)]
#[get("/setup/{ticket}/meari.mobileconfig")]
pub(super) async fn find_setup_profile(app: Data<App>, ticket: Path<String>) -> Result<HttpResponse> {
    let setup = open_setup(&app, &ticket).await?;
    let profile = setup::profile(&setup).into_bytes();
    let profile = match &app.profile_signer {
        Some(signer) => signer.sign(app.now(), &profile)?,
        None => profile,
    };
    Ok(guarded(HttpResponse::Ok())
        .content_type("application/x-apple-aspen-config")
        .insert_header((header::CONTENT_DISPOSITION, "attachment; filename=\"meari.mobileconfig\""))
        .body(profile))
}

/// A QR code that opens the page for the phone that scans it
#[utoipa::path(
    tag = "accounts", params(("ticket" = String, Path, description = "From `qr_svg_url`")),
    responses((status = 200, description = "The code", body = String, content_type = "image/svg+xml"), Problems)
)]
#[get("/setup/{ticket}/qr.svg")]
pub(super) async fn find_setup_code(app: Data<App>, ticket: Path<String>) -> Result<HttpResponse> {
    let (now, keys, word) = (app.now(), app.keys.clone(), ticket.clone());
    app.db.read(move |db| setup_tickets::check(db, now, &keys, &word)).await?;
    let svg = setup::qr_svg(&format!("{}/setup/{ticket}", app.settings.public_url))?;
    Ok(guarded(HttpResponse::Ok()).content_type("image/svg+xml").body(svg))
}
