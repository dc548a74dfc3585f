//! Calls for clients: place, answer, talk, look back.

mod mailbox;
mod map;
mod settings;
mod talking;

pub use map::Map;

use std::sync::Arc;

use actix_web::{HttpResponse, get, post, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::control::Switchboard;
use super::machine::{EndReason, Event, Side};
use super::view::{self, CallView};
use super::{Call, Caller, Placed};
use crate::accounts::auth::SignedIn;
use crate::app::App;
use crate::clock::Timestamp;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::http::{Page, Paging, Problems};
use crate::ids::{AccountId, CallId, ContactId, SessionId};

/// Characters of an SDP at most; a browser's has three thousand.
const SDP_MAX: usize = 32_768;

/// Everything about calls.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(create_call)
        .service(list_calls)
        .service(find_call)
        .service(accept_call)
        .service(listen_to_call)
        .service(decline_call)
        .service(hang_up_call)
        .configure(talking::routes)
        .configure(settings::routes)
        .configure(mailbox::routes)
        .configure(map::routes);
}

/// A call to a friend.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateCall {
    /// Whom, `con_…`.
    #[schema(value_type = String)]
    pub contact_id: ContactId,
    /// The browser's offer (SDP), complete or not: the server's address is in the answer.
    pub offer: String,
}

/// A browser's offer.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// SDP.
    pub offer: String,
}

impl Offer {
    fn check(offer: &str) -> Result<()> {
        if offer.is_empty() || offer.len() > SDP_MAX {
            return Err(Error::invalid("offer", "bad_offer", "The offer must be SDP of at most 32 KiB."));
        }
        Ok(())
    }
}

/// A call whose sound is being set up.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct AnsweredCall {
    /// The call.
    pub call: CallView,
    /// SDP.
    pub answer: String,
}

/// How to decline.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeclineCall {
    /// Whether the caller may leave a message; without it as the account has set.
    #[serde(default)]
    pub to_voicemail: Option<bool>,
}

/// A call as this session sees it now.
async fn shown(app: &App, who: SignedIn, call: Call) -> Result<CallView> {
    let view = app.db.read(move |db| view::show_one(db, who.account, Some(who.session), &call)).await?;
    view.ok_or_else(|| Error::not_found("call"))
}

/// Lets something happen on the asking account's side, and shows what the call has become.
async fn happen(
    app: &App,
    who: SignedIn,
    id: CallId,
    event: impl Fn(Side) -> Event + Send + 'static,
) -> Result<CallView> {
    changed(app, who, id, move |db, now, id, side| super::apply(db, now, id, event(side))).await
}

/// Changes a call on the asking account's side, and shows what it has become.
async fn changed(
    app: &App,
    who: SignedIn,
    id: CallId,
    change: impl Fn(&mut Db, Timestamp, CallId, Side) -> Result<Call> + Send + 'static,
) -> Result<CallView> {
    let now = app.now();
    let write = move |db: &mut Db| {
        let call = super::find(db, who.account, id)?;
        let side = call.side_of(who.account).ok_or_else(|| Error::not_found("call"))?;
        change(db, now, id, side)
    };
    let call = app.db.write(who.account, write).await?;
    shown(app, who, call).await
}

/// Does its work to the end also when the client that has asked is gone: the rows would be there, and no sound that
/// could be missed.
async fn to_the_end<T: 'static>(work: impl Future<Output = Result<T>> + 'static) -> Result<T> {
    let done = actix_web::rt::spawn(work).await;
    done.map_err(|error| Error::internal("a call was not set up to the end").with_source(error))?
}

/// Connects the asking client to a call that it has placed, taken or moved to.
async fn connected(
    app: &App,
    board: &Arc<Switchboard>,
    who: SignedIn,
    placed: Placed,
    offer: &str,
) -> Result<AnsweredCall> {
    let id = placed.call.id;
    match board.connect_browser(&placed, offer).await {
        Ok(answer) => {
            let call = app.db.read(move |db| super::find(db, who.account, id)).await?;
            Ok(AnsweredCall { call: shown(app, who, call).await?, answer })
        }
        Err(error) => {
            let now = app.now();
            let event = match placed.side {
                Side::Callee if placed.call.machine().listens() => Event::HangsUp(Side::Callee),
                Side::Callee if placed.call.answered_at.is_none() => Event::AcceptFails(who.session),
                Side::Callee | Side::Caller => Event::Swept(EndReason::Failed),
            };
            let undo = app.db.write(who.account, move |db| super::apply(db, now, id, event)).await;
            if let Err(undone) = undo.map(drop).or_else(super::unless_late) {
                tracing::warn!(call.id = %id, reason = %undone.report(), "a call that failed is not undone");
            }
            Err(error)
        }
    }
}

/// How a client comes into a call: for whom, which and at which node, and by which session.
type Join = fn(&mut Db, Timestamp, AccountId, (CallId, &str), SessionId) -> Result<Placed>;

/// Lets the asking client into a call, and connects it.
async fn joined(
    (app, board): (web::Data<App>, web::Data<Switchboard>),
    who: SignedIn,
    id: CallId,
    offer: Offer,
    join: Join,
) -> Result<web::Json<AnsweredCall>> {
    Offer::check(&offer.offer)?;
    let (now, board) = (app.now(), board.into_inner());
    let node = board.node().to_owned();
    let enter = move |db: &mut Db| join(db, now, who.account, (id, &node), who.session);
    let answered = to_the_end(async move {
        let placed = app.db.write(who.account, enter).await?;
        connected(&app, &board, who, placed, &offer.offer).await
    });
    Ok(web::Json(answered.await?))
}

/// Calls a friend: his clients ring, and his phone when he has one.
///
/// The caller's sound is set up while it rings, so that an answer is heard at once. When the friend is calling at the
/// same moment, that call is answered.
#[utoipa::path(tag = "calls", security(("bearer" = [])),
    responses((status = 201, body = AnsweredCall), Problems))]
#[post("/v1/calls")]
async fn create_call(
    app: web::Data<App>,
    board: web::Data<Switchboard>,
    who: SignedIn,
    body: web::Json<CreateCall>,
) -> Result<HttpResponse> {
    Offer::check(&body.offer)?;
    let (now, contact, board) = (app.now(), body.contact_id, board.into_inner());
    let node = board.node().to_owned();
    let place = move |db: &mut Db| {
        let caller = Caller {
            account: who.account,
            contact,
            session: Some(who.session),
            phone: None,
            node: node.clone(),
        };
        super::place(db, now, &caller)
    };
    let answered = to_the_end(async move {
        let placed = app.db.write(who.account, place).await?;
        connected(&app, &board, who, placed, &body.offer).await
    });
    Ok(HttpResponse::Created().json(answered.await?))
}

/// Lists calls, newest first.
#[utoipa::path(tag = "calls", security(("bearer" = [])), params(Paging),
    responses((status = 200, body = Page<CallView>), Problems))]
#[get("/v1/calls")]
async fn list_calls(
    app: web::Data<App>,
    who: SignedIn,
    paging: web::Query<Paging>,
) -> Result<web::Json<Page<CallView>>> {
    let (limit, before) = (paging.limit()?, paging.after::<CallId>()?);
    let read = move |db: &mut Db| {
        let calls = super::list(db, who.account, before, limit + 1)?;
        view::show(db, who.account, Some(who.session), &calls)
    };
    let items = app.db.read(read).await?;
    Ok(web::Json(Page::from_extra(items, limit, |call: &CallView| call.id.to_string())))
}

/// Shows a call.
#[utoipa::path(tag = "calls", security(("bearer" = [])), params(("id" = String, Path)),
    responses((status = 200, body = CallView), Problems))]
#[get("/v1/calls/{id}")]
async fn find_call(app: web::Data<App>, who: SignedIn, id: web::Path<CallId>) -> Result<web::Json<CallView>> {
    let id = *id;
    let call = app.db.read(move |db| super::find(db, who.account, id)).await?;
    Ok(web::Json(shown(&app, who, call).await?))
}

/// Takes a call that rings; the first client has it, the others get 409 `answered_elsewhere`.
#[utoipa::path(tag = "calls", security(("bearer" = [])), params(("id" = String, Path)),
    responses((status = 200, body = AnsweredCall), Problems))]
#[post("/v1/calls/{id}/accept")]
async fn accept_call(
    app: web::Data<App>,
    board: web::Data<Switchboard>,
    who: SignedIn,
    id: web::Path<CallId>,
    body: web::Json<Offer>,
) -> Result<web::Json<AnsweredCall>> {
    joined((app, board), who, *id, body.into_inner(), super::answer_by_client).await
}

/// Listens to the caller while he leaves a message (`voicemail`): he hears nothing of it.
///
/// The offer needs no microphone (`recvonly`). At any moment `accept` takes the call: the message ends, what was said of
/// it is thrown away, and the two talk. `hang-up` only stops listening. One client listens at a time, the newest.
#[utoipa::path(tag = "calls", security(("bearer" = [])), params(("id" = String, Path)),
    responses((status = 200, body = AnsweredCall), Problems))]
#[post("/v1/calls/{id}/listen")]
async fn listen_to_call(
    app: web::Data<App>,
    board: web::Data<Switchboard>,
    who: SignedIn,
    id: web::Path<CallId>,
    body: web::Json<Offer>,
) -> Result<web::Json<AnsweredCall>> {
    joined((app, board), who, *id, body.into_inner(), super::listen_by_client).await
}

/// Declines a call that rings: everything of this account stops ringing.
#[utoipa::path(tag = "calls", security(("bearer" = [])), params(("id" = String, Path)),
    responses((status = 200, body = CallView), Problems))]
#[post("/v1/calls/{id}/decline")]
async fn decline_call(
    app: web::Data<App>,
    who: SignedIn,
    id: web::Path<CallId>,
    body: web::Json<DeclineCall>,
) -> Result<web::Json<CallView>> {
    let to_voicemail = body.to_voicemail;
    let change = move |db: &mut Db, now, id, side| match side {
        Side::Callee => super::apply(db, now, id, Event::Declines(to_voicemail)),
        // Whoever calls takes it back.
        Side::Caller => super::hang_up(db, now, id, side),
    };
    Ok(web::Json(changed(&app, who, *id, change).await?))
}

/// Hangs up, gives up calling, or stops listening to a message that is being left.
///
/// Who calls and has spoken after the beep (`voicemail`) leaves his message with it: the answer still says `voicemail`,
/// and the call ends as soon as the message is kept.
#[utoipa::path(tag = "calls", security(("bearer" = [])), params(("id" = String, Path)),
    responses((status = 200, body = CallView), Problems))]
#[post("/v1/calls/{id}/hang-up")]
async fn hang_up_call(
    app: web::Data<App>,
    who: SignedIn,
    id: web::Path<CallId>,
) -> Result<web::Json<CallView>> {
    Ok(web::Json(changed(&app, who, *id, super::hang_up).await?))
}
