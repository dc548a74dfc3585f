//! Pictures and files over REST, and the links that need no account.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use futures_util::StreamExt as _;
use serde::Deserialize;
use utoipa_actix_web::service_config::ServiceConfig;

use super::link::{self, Link, LinkQuery};
use super::view::{self, MediaView};
use super::{Body, FILE_BYTES_MAX, Refusal, THUMBNAIL, fetch};
use crate::accounts::auth::SignedIn;
use crate::accounts::limits::{self, Limit};
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::{Problem, Problems};
use crate::ids::MediaId;

/// Uploads of one account: each is decoded and scanned.
const UPLOADS_ACCOUNT: Limit = Limit {
    name: "uploads_account",
    code: "too_many_uploads",
    max: 120,
    window: std::time::Duration::from_secs(3600),
};
/// Kinds that a browser may show in place; everything else is handed over as a file.
const SHOWN: [&str; 3] = ["image/", "audio/", "video/"];

/// Uploads and downloads.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(create_media).service(find_media).service(find_thumbnail);
}

/// Links, which carriers and browsers follow; they are not for clients and so not in the document.
pub fn links(cfg: &mut web::ServiceConfig) {
    cfg.service(
        web::resource("/media/{name}").route(web::get().to(follow_link)).route(web::head().to(follow_link)),
    );
}

/// What the query of an upload says.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct UploadQuery {
    /// What the file is called.
    name: Option<String>,
}

async fn read_limited(mut payload: web::Payload) -> Result<Vec<u8>> {
    let too_large = || Error::invalid("body", "too_large", Refusal::TooLarge.detail());
    let mut bytes = Vec::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| Error::invalid("body", "incomplete", "The body ended too early."))?;
        if bytes.len().saturating_add(chunk.len()) > FILE_BYTES_MAX {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Uploads a picture or file, to be sent with a message within a day. The body is the file itself, up to 8 MiB; its
/// content type must agree with what it is. JPEG, PNG, GIF, WebP, MP4, 3GPP, QuickTime, MP3, AMR, Ogg, WAVE, PDF,
/// vCard and plain text are taken.
#[utoipa::path(tag = "messages", security(("bearer" = [])), params(UploadQuery),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, body = MediaView), Problems))]
#[post("/v1/media")]
async fn create_media(
    app: web::Data<App>,
    who: SignedIn,
    query: web::Query<UploadQuery>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse> {
    let (now, account) = (app.now(), who.account);
    app.db.write(account, move |db| limits::take(db, now, &UPLOADS_ACCOUNT, &account.to_string())).await?;
    let declared = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let declared = declared.map(str::to_owned);
    let bytes = read_limited(payload).await?;
    let checked = fetch::check(&app, bytes, declared).await?;
    let checked = checked.map_err(|why| Error::invalid("body", why.code(), why.detail()))?;
    let name = query.into_inner().name;
    let view = app
        .db
        .write(account, move |db| {
            let attachment = super::upload(db, now, account, name.as_deref(), &checked)?;
            view::one(db, attachment)
        })
        .await?;
    Ok(HttpResponse::Created().json(view))
}

/// Downloads a picture or file of a message that is yours.
#[utoipa::path(tag = "messages", security(("bearer" = [])), params(("id" = String, Path)), responses(
    (status = 200, body = Vec<u8>, content_type = "application/octet-stream", description = "The file."),
    (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[get("/v1/media/{id}")]
async fn find_media(app: web::Data<App>, who: SignedIn, path: web::Path<String>) -> Result<HttpResponse> {
    download(&app, who, &path, link::ORIGINAL).await
}

/// Downloads a small copy of a picture, as JPEG.
#[utoipa::path(tag = "messages", security(("bearer" = [])), params(("id" = String, Path)), responses(
    (status = 200, body = Vec<u8>, content_type = "image/jpeg", description = "The copy."),
    (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[get("/v1/media/{id}/thumbnail")]
async fn find_thumbnail(app: web::Data<App>, who: SignedIn, path: web::Path<String>) -> Result<HttpResponse> {
    download(&app, who, &path, THUMBNAIL).await
}

async fn download(app: &App, who: SignedIn, id: &str, bytes_max: u64) -> Result<HttpResponse> {
    let id: MediaId = id.parse().map_err(|_| Error::not_found("media"))?;
    let found = app.db.read(move |db| {
        let Some(found) = super::find(db, id)?.filter(|found| found.is_for(who.account)) else {
            return Ok(None);
        };
        Ok(super::read(db, &found, bytes_max)?.map(|body| (body, found.name)))
    });
    let (body, name) = found.await?.ok_or_else(|| Error::not_found("media"))?;
    Ok(answer(body, name.as_deref()))
}

/// Follows a link. Whoever has it may look until it ends.
async fn follow_link(
    app: web::Data<App>,
    path: web::Path<String>,
    query: Option<web::Query<LinkQuery>>,
) -> Result<HttpResponse> {
    let gone = || Error::not_found("media");
    let query = query.ok_or_else(gone)?;
    let link = Link::read(&app.keys, app.now(), &path, &query).ok_or_else(gone)?;
    let found = app.db.read(move |db| {
        let Some(found) = super::find(db, link.id)? else { return Ok(None) };
        Ok(super::read(db, &found, link.bytes_max)?.map(|body| (body, found.name)))
    });
    let (body, name) = found.await?.ok_or_else(gone)?;
    Ok(answer(body, name.as_deref()))
}

/// A file, so that no browser takes it for a page of ours.
fn answer(body: Body, name: Option<&str>) -> HttpResponse {
    let shown = SHOWN.iter().any(|family| body.media_type.starts_with(family));
    let name: String =
        percent_encoding::utf8_percent_encode(name.unwrap_or("file"), percent_encoding::NON_ALPHANUMERIC)
            .to_string();
    let way = if shown { "inline" } else { "attachment" };
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, body.media_type))
        .insert_header((header::CONTENT_DISPOSITION, format!("{way}; filename*=UTF-8''{name}")))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        // What is kept never changes.
        .insert_header((header::CACHE_CONTROL, "private, max-age=86400, immutable"))
        .body(body.bytes)
}
