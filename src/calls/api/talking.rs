//! What can be done while a call lasts.

use actix_web::{HttpResponse, delete, get, post, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{AnsweredCall, Offer, happen, shown, to_the_end};
use crate::accounts::auth::SignedIn;
use crate::accounts::limits::{self, Limit};
use crate::app::App;
use crate::calls::control::Switchboard;
use crate::calls::machine::{Event, Side, State};
use crate::calls::quality::{self, Reported};
use crate::calls::view::CallView;
use crate::calls::{self, move_to_client, sounds};
use crate::db::Db;
use crate::error::{Error, Result};
use crate::http::Problems;
use crate::ids::CallId;

/// Keys pressed at once.
const DIGITS_MAX: usize = 32;
/// What one account tells of its calls' sound: every few seconds, in two calls.
const REPORTS: Limit = Limit {
    name: "call_quality",
    code: "too_many_reports",
    max: 60,
    window: std::time::Duration::from_secs(60),
};

/// The doors of a call that lasts.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(hold_call)
        .service(mute_call)
        .service(create_digits)
        .service(restart_call)
        .service(move_call)
        .service(record_call)
        .service(answer_recording)
        .service(find_recording)
        .service(delete_recording)
        .service(create_quality_report);
}

/// A switch.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Switch {
    /// On or off.
    pub on: bool,
}

/// Puts the other side on hold, or takes it back.
#[utoipa::path(tag = "calls", security(("bearer" = [])), params(("id" = String, Path)),
    responses((status = 200, body = CallView), Problems))]
#[post("/v1/calls/{id}/hold")]
async fn hold_call(
    app: web::Data<App>,
    who: SignedIn,
    id: web::Path<CallId>,
    body: web::Json<Switch>,
) -> Result<web::Json<CallView>> {
    let on = body.on;
    Ok(web::Json(happen(&app, who, *id, move |side| Event::Holds(side, on)).await?))
}

/// Keeps this side from being heard, whatever its client does, or lets it be heard again.
#[utoipa::path(tag = "calls", security(("bearer" = [])), params(("id" = String, Path)),
    responses((status = 200, body = CallView), Problems))]
#[post("/v1/calls/{id}/mute")]
async fn mute_call(
    app: web::Data<App>,
    who: SignedIn,
    id: web::Path<CallId>,
    body: web::Json<Switch>,
) -> Result<web::Json<CallView>> {
    let on = body.on;
    Ok(web::Json(happen(&app, who, *id, move |side| Event::Mutes(side, on)).await?))
}

/// Keys to be pressed.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateDigits {
    /// `0`–`9`, `*`, `#`, at most 32.
    pub digits: String,
}

/// Presses keys towards the other side. While one leaves a message (`voicemail`), `#` ends it.
#[utoipa::path(tag = "calls", security(("bearer" = [])), params(("id" = String, Path)),
    responses((status = 204, description = "Pressed."), Problems))]
#[post("/v1/calls/{id}/digits")]
async fn create_digits(
    app: web::Data<App>,
    board: web::Data<Switchboard>,
    who: SignedIn,
    id: web::Path<CallId>,
    body: web::Json<CreateDigits>,
) -> Result<HttpResponse> {
    let id = *id;
    let call = app.db.read(move |db| calls::find(db, who.account, id)).await?;
    let known = |b: u8| b.is_ascii_digit() || matches!(b, b'*' | b'#');
    if body.digits.is_empty() || body.digits.len() > DIGITS_MAX || !body.digits.bytes().all(known) {
        let detail = "Keys are 0 to 9, * and #, at most 32 of them.";
        return Err(Error::invalid("digits", "bad_digits", detail));
    }
    let side = call.side_of(who.account).ok_or_else(|| Error::not_found("call"))?;
    let nobody = || Error::conflict("not_now", "There is nobody who could hear keys.");
    let leaves_message = call.machine().state == State::Voicemail && side == Side::Caller;
    if call.machine().state != State::InProgress && !(leaves_message && body.digits == "#") {
        return Err(nobody());
    }
    calls::only_at(&call, board.node())?;
    if !leaves_message {
        board.send_digits(id, side, &body.digits);
    } else if !board.end_message(id) {
        return Err(nobody());
    }
    Ok(HttpResponse::NoContent().finish())
}

/// The server's answer to an offer.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct SdpAnswer {
    /// SDP.
    pub answer: String,
}

/// Takes another offer of the same browser, whose network has changed (ICE restart); nobody hears a gap.
#[utoipa::path(tag = "calls", security(("bearer" = [])), params(("id" = String, Path)),
    responses((status = 200, body = SdpAnswer), Problems))]
#[post("/v1/calls/{id}/restart")]
async fn restart_call(
    app: web::Data<App>,
    board: web::Data<Switchboard>,
    who: SignedIn,
    id: web::Path<CallId>,
    body: web::Json<Offer>,
) -> Result<web::Json<SdpAnswer>> {
    let id = *id;
    let call = app.db.read(move |db| calls::find(db, who.account, id)).await?;
    Offer::check(&body.offer)?;
    let side = call.side_of(who.account).ok_or_else(|| Error::not_found("call"))?;
    let mine = Some(calls::machine::End::Client(who.session));
    if call.machine().state == State::Ended {
        return Err(Error::conflict("call_over", "The call is over."));
    }
    if call.machine().party(side).end != mine {
        return Err(Error::conflict("answered_elsewhere", "Another device has the call."));
    }
    calls::only_at(&call, board.node())?;
    let answer = board.reconnect_browser(id, side, &body.offer).await?;
    Ok(web::Json(SdpAnswer { answer }))
}

/// This client takes the running call over from another device of the same person. When that fails, whyever, the call
/// goes on where it was.
#[utoipa::path(tag = "calls", security(("bearer" = [])), params(("id" = String, Path)),
    responses((status = 200, body = AnsweredCall), Problems))]
#[post("/v1/calls/{id}/move")]
async fn move_call(
    app: web::Data<App>,
    board: web::Data<Switchboard>,
    who: SignedIn,
    id: web::Path<CallId>,
    body: web::Json<Offer>,
) -> Result<web::Json<AnsweredCall>> {
    let (now, id, board, offer) = (app.now(), *id, board.into_inner(), body.into_inner().offer);
    let (here, node) = (board.node().to_owned(), board.node().to_owned());
    // A call of others is not there, whatever is offered.
    app.db.read(move |db| calls::find(db, who.account, id)).await?;
    Offer::check(&offer)?;
    let movable = move |db: &mut Db| calls::movable(db, who.account, (id, &here), who.session);
    let (call, _) = app.db.read(movable).await?;
    let answered = to_the_end(async move {
        let (leg, answer) = board.open_browser(&call, &offer).await?;
        let enter = move |db: &mut Db| move_to_client(db, now, who.account, (id, &node), who.session);
        let moved = app.db.write(who.account, enter).await.inspect_err(|_| board.let_go(leg))?;
        board.join_browser(&moved, leg).await?;
        let call = app.db.read(move |db| calls::find(db, who.account, id)).await?;
        Ok(AnsweredCall { call: shown(&app, who, call).await?, answer })
    });
    Ok(web::Json(answered.await?))
}

/// Asks the other side whether the call may be recorded, or ends the recording. 409 `recordings_full` when one of the two
/// has ten hours of recordings already.
#[utoipa::path(tag = "calls", security(("bearer" = [])), params(("id" = String, Path)),
    responses((status = 200, body = CallView), Problems))]
#[post("/v1/calls/{id}/recording")]
async fn record_call(
    app: web::Data<App>,
    who: SignedIn,
    id: web::Path<CallId>,
    body: web::Json<Switch>,
) -> Result<web::Json<CallView>> {
    let (id, on) = (*id, body.on);
    let call = app.db.read(move |db| calls::find(db, who.account, id)).await?;
    if on && call.facts.wideband {
        return Err(Error::conflict("cannot_record", "This call's sound cannot be recorded."));
    }
    if on {
        app.db.read(move |db| calls::check_room(db, &call)).await?;
    }
    Ok(web::Json(happen(&app, who, id, move |side| Event::Records(side, on)).await?))
}

/// The answer to a wish to record.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordingAnswer {
    /// Whether it may be recorded.
    pub agree: bool,
}

/// Agrees to a recording that the other side has asked for, or does not.
#[utoipa::path(tag = "calls", security(("bearer" = [])), params(("id" = String, Path)),
    responses((status = 200, body = CallView), Problems))]
#[post("/v1/calls/{id}/recording/answer")]
async fn answer_recording(
    app: web::Data<App>,
    who: SignedIn,
    id: web::Path<CallId>,
    body: web::Json<RecordingAnswer>,
) -> Result<web::Json<CallView>> {
    let agree = body.agree;
    Ok(web::Json(happen(&app, who, *id, move |side| Event::Agrees(side, agree)).await?))
}

/// What was recorded of a call, for either of the two: all of it in one file, however often it was turned off and on.
#[utoipa::path(tag = "calls", security(("bearer" = [])), params(("id" = String, Path)),
    responses((status = 200, description = "A WAV file.", content_type = "audio/wav"),
        (status = 206, description = "A part of it."), (status = 416, description = "No such part."), Problems))]
#[get("/v1/calls/{id}/recording")]
async fn find_recording(
    app: web::Data<App>,
    who: SignedIn,
    id: web::Path<CallId>,
    request: actix_web::HttpRequest,
) -> Result<HttpResponse> {
    let id = *id;
    let read = move |db: &mut Db| {
        calls::find(db, who.account, id)?;
        sounds::recording(db, who.account, id)?.ok_or_else(|| Error::not_found("recording"))
    };
    let clip = app.db.read(read).await?;
    super::mailbox::wav(&app, &request, clip).await
}

/// Throws away what was recorded of a call. The other side keeps what it has.
#[utoipa::path(tag = "calls", security(("bearer" = [])), params(("id" = String, Path)),
    responses((status = 204, description = "Gone."), Problems))]
#[delete("/v1/calls/{id}/recording")]
async fn delete_recording(app: web::Data<App>, who: SignedIn, id: web::Path<CallId>) -> Result<HttpResponse> {
    let (now, id) = (app.now(), *id);
    app.db.write(who.account, move |db| calls::delete_recording(db, now, who.account, id)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// What a browser tells of the sound that it got.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(default)]
pub struct QualityReport {
    /// `packetsReceived`.
    pub packets_received: u64,
    /// `packetsLost`; browsers may count below zero.
    pub packets_lost: i64,
    /// `jitter`.
    pub jitter_ms: f64,
    /// `jitterBufferDelay / jitterBufferEmittedCount`.
    pub jitter_buffer_ms: f64,
    /// `concealedSamples`.
    pub concealed: u64,
    /// `totalSamplesReceived`.
    pub samples: u64,
    /// `roundTripTime`.
    pub rtt_ms: Option<f64>,
    /// How the device is connected: `wifi`, `cellular`, `ethernet`, `bluetooth`, `wimax`, `vpn`, `other`; anything else
    /// is `unknown`.
    pub local_network: Option<String>,
    /// How the sound goes: `host`, `srflx`, `prflx`, `relay`.
    pub candidate_type: Option<String>,
}

/// Tells how the sound arrives: every few seconds while the call lasts, and once at its end. A minute later nothing more
/// is taken (409 `call_over`).
#[utoipa::path(tag = "calls", security(("bearer" = [])), params(("id" = String, Path)),
    responses((status = 204, description = "Noted."), Problems))]
#[post("/v1/calls/{id}/quality")]
async fn create_quality_report(
    app: web::Data<App>,
    who: SignedIn,
    id: web::Path<CallId>,
    body: web::Json<QualityReport>,
) -> Result<HttpResponse> {
    let (now, id, report) = (app.now(), *id, body.into_inner());
    let reported = Reported {
        packets_received: report.packets_received,
        packets_lost: u64::try_from(report.packets_lost).unwrap_or(0),
        jitter_ms: report.jitter_ms,
        jitter_buffer_ms: report.jitter_buffer_ms,
        concealed: report.concealed,
        samples: report.samples,
        rtt_ms: report.rtt_ms,
    };
    let measured = reported.measured(report.local_network);
    let write = move |db: &mut Db| {
        let call = calls::find(db, who.account, id)?;
        limits::take(db, now, &REPORTS, &who.account.to_string())?;
        if call.ended_at.is_some_and(|at| now.since(at) > quality::REPORTED_WITHIN) {
            return Err(Error::conflict("call_over", "The call is over."));
        }
        match calls::browser_leg(db, &call, who.account)? {
            Some(leg) => quality::keep(db, now, &call, &leg, &measured),
            None => Ok(()),
        }
    };
    app.db.write(who.account, write).await?;
    Ok(HttpResponse::NoContent().finish())
}
