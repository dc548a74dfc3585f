//! Voicemail: listen, mark, throw away.

use std::sync::Arc;

use actix_web::body::SizedStream;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, delete, get, post, web};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::accounts::auth::SignedIn;
use crate::app::App;
use crate::calls::sounds::Clip;
use crate::calls::voicemail;
use crate::error::Result;
use crate::http::Problems;
use crate::ids::{CallId, VoicemailId};

/// The doors of voicemail.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(find_name)
        .service(find_voicemail_audio)
        .service(mark_voicemail_listened)
        .service(delete_voicemail);
}

/// Which bytes are wanted (RFC 9110 §14.1.2): one range, from and to including; anything else is answered whole.
fn range_of(request: &HttpRequest, length: usize) -> Option<Result<(usize, usize), ()>> {
    let text = request.headers().get(header::RANGE)?.to_str().ok()?.strip_prefix("bytes=")?;
    let (from, to) = text.split_once('-').filter(|_| !text.contains(','))?;
    let last = length.checked_sub(1)?;
    let range = match (from.parse::<usize>(), to.parse::<usize>()) {
        (Ok(from), Ok(to)) if from <= to => (from, to.min(last)),
        (Ok(from), Err(_)) if to.is_empty() => (from, last),
        (Err(_), Ok(count)) if from.is_empty() && count > 0 => (length.saturating_sub(count), last),
        _ => return None,
    };
    Some(if range.0 > last { Err(()) } else { Ok(range) })
}

/// Answers a WAV file, or the part of it that a player asks for, piece by piece: two hours are never in memory at once.
pub(super) async fn wav(app: &web::Data<App>, request: &HttpRequest, clip: Clip) -> Result<HttpResponse> {
    let length = clip.bytes();
    let (mut answer, from, to) = match range_of(request, length) {
        None => (HttpResponse::Ok(), 0, length.saturating_sub(1)),
        Some(Ok((from, to))) => {
            let mut answer = HttpResponse::PartialContent();
            answer.insert_header((header::CONTENT_RANGE, format!("bytes {from}-{to}/{length}")));
            (answer, from, to)
        }
        Some(Err(())) => {
            return Ok(HttpResponse::RangeNotSatisfiable()
                .insert_header((header::CONTENT_RANGE, format!("bytes */{length}")))
                .finish());
        }
    };
    answer
        .insert_header((header::CONTENT_TYPE, "audio/wav"))
        .insert_header((header::ACCEPT_RANGES, "bytes"))
        .insert_header((header::CACHE_CONTROL, "private, no-cache"));
    let (app, clip) = (app.clone(), Arc::new(clip));
    let pieces = futures_util::stream::try_unfold(from, move |at| {
        let (app, clip) = (app.clone(), clip.clone());
        async move {
            if at > to {
                return Ok(None);
            }
            let mut piece = app.db.read(move |db| clip.read(db, at)).await?;
            piece.truncate(to + 1 - at);
            let next = at + piece.len();
            Ok::<_, actix_web::Error>(Some((web::Bytes::from(piece), next)))
        }
    });
    let length = u64::try_from(to + 1 - from).unwrap_or(0);
    Ok(answer.body(SizedStream::new(length, Box::pin(pieces))))
}

/// Plays the name that the caller said when he was asked for it.
#[utoipa::path(tag = "calls", security(("bearer" = [])), params(("id" = String, Path)),
    responses((status = 200, description = "A WAV file.", content_type = "audio/wav"),
        (status = 206, description = "A part of it."), (status = 416, description = "No such part."), Problems))]
#[get("/v1/calls/{id}/name")]
async fn find_name(
    app: web::Data<App>,
    who: SignedIn,
    id: web::Path<CallId>,
    request: HttpRequest,
) -> Result<HttpResponse> {
    let id = *id;
    let found = app.db.read(move |db| voicemail::name_said(db, who.account, id)).await?;
    wav(&app, &request, found).await
}

/// Plays a voicemail; takes byte ranges.
#[utoipa::path(tag = "calls", security(("bearer" = [])), params(("id" = String, Path)),
    responses((status = 200, description = "A WAV file.", content_type = "audio/wav"),
        (status = 206, description = "A part of it."), (status = 416, description = "No such part."), Problems))]
#[get("/v1/voicemails/{id}/audio")]
async fn find_voicemail_audio(
    app: web::Data<App>,
    who: SignedIn,
    id: web::Path<VoicemailId>,
    request: HttpRequest,
) -> Result<HttpResponse> {
    let id = *id;
    let found = app.db.read(move |db| voicemail::sound(db, who.account, id)).await?;
    wav(&app, &request, found).await
}

/// Marks a voicemail as listened to.
#[utoipa::path(tag = "calls", security(("bearer" = [])), params(("id" = String, Path)),
    responses((status = 204, description = "Marked."), Problems))]
#[post("/v1/voicemails/{id}/listened")]
async fn mark_voicemail_listened(
    app: web::Data<App>,
    who: SignedIn,
    id: web::Path<VoicemailId>,
) -> Result<HttpResponse> {
    let (now, id) = (app.now(), *id);
    app.db.write(who.account, move |db| voicemail::listened(db, now, who.account, id)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Throws a voicemail away.
#[utoipa::path(tag = "calls", security(("bearer" = [])), params(("id" = String, Path)),
    responses((status = 204, description = "Gone."), Problems))]
#[delete("/v1/voicemails/{id}")]
async fn delete_voicemail(
    app: web::Data<App>,
    who: SignedIn,
    id: web::Path<VoicemailId>,
) -> Result<HttpResponse> {
    let id = *id;
    app.db.write(who.account, move |db| voicemail::delete(db, who.account, id)).await?;
    Ok(HttpResponse::NoContent().finish())
}
