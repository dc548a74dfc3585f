//! The edges of presence over HTTP.

use actix_web::web::{Data, Json, Path};
use actix_web::{get, put};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{Choice, Presence, PresenceState};
use crate::accounts::auth::SignedIn;
use crate::app::App;
use crate::error::Result;
use crate::http::Problems;
use crate::ids::ContactId;
use crate::presence;

/// All routes of presence.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(update_presence).service(find_own_presence).service(find_contact_presence);
}

/// What to show.
#[derive(Deserialize, ToSchema)]
struct UpdatePresence {
    /// `offline` hides one's clients; that texts reach one's phone cannot be hidden.
    state: PresenceState,
    /// A few words, at most 140 characters.
    note: Option<String>,
}

/// Choose what friends see
///
/// It holds while a client is connected and twelve hours longer. Answers what friends see now.
#[utoipa::path(
    tag = "presence", security(("bearer" = [])), responses((status = 200, body = Presence), Problems)
)]
#[put("/v1/me/presence")]
async fn update_presence(me: SignedIn, app: Data<App>, body: Json<UpdatePresence>) -> Result<Json<Presence>> {
    let (now, Json(body)) = (app.now(), body);
    let note = body.note.as_deref().map(presence::parse_note).transpose()?.flatten();
    let choice = Choice { state: body.state, note };
    Ok(Json(app.db.write(me.account, move |db| presence::choose(db, now, me.account, &choice)).await?))
}

/// Show what friends see of oneself
#[utoipa::path(
    tag = "presence", security(("bearer" = [])), responses((status = 200, body = Presence), Problems)
)]
#[get("/v1/me/presence")]
async fn find_own_presence(me: SignedIn, app: Data<App>) -> Result<Json<Presence>> {
    let now = app.now();
    Ok(Json(app.db.read(move |db| presence::of_account(db, now, me.account)).await?))
}

/// Show whether a contact can be reached, and how
///
/// Who has a verified mobile always can. Who is not a friend shows `offline` without details.
#[utoipa::path(
    tag = "presence", security(("bearer" = [])), params(("id" = String, Path, description = "The contact")),
    responses((status = 200, body = Presence), Problems)
)]
#[get("/v1/contacts/{id}/presence")]
async fn find_contact_presence(me: SignedIn, app: Data<App>, id: Path<ContactId>) -> Result<Json<Presence>> {
    let (now, id) = (app.now(), id.into_inner());
    Ok(Json(app.db.read(move |db| presence::of_contact(db, now, me.account, id)).await?))
}
