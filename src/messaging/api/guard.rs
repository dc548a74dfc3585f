//! Texts that wait because they may be forged: what waits, and what is to become of it.

use actix_web::{HttpResponse, get, post, put, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::accounts::auth::SignedIn;
use crate::accounts::mobiles;
use crate::accounts::proofs::ProofState;
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::Problems;
use crate::ids::{HandsetId, HeldTextId};
use crate::messaging::guard::{self, Asking};
use crate::messaging::held::{self, Held};

/// A text that waits for its owner's word.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct HeldTextView {
    /// `hld_…`
    #[schema(value_type = String)]
    pub id: HeldTextId,
    /// From which of your mobiles it claims to be, `mob_…`.
    #[schema(value_type = String)]
    pub mobile_id: HandsetId,
    /// To which number, E.164.
    pub to: String,
    /// What it says.
    pub text: String,
    /// How many pictures and files it has.
    pub media: usize,
    /// When it came, RFC 3339.
    pub at: String,
}

impl From<Held> for HeldTextView {
    fn from(held: Held) -> Self {
        HeldTextView {
            id: held.id,
            mobile_id: held.handset,
            to: held.to.as_str().to_owned(),
            text: held.text,
            media: held.media.len(),
            at: held.at.to_rfc3339(),
        }
    }
}

/// How the texts of a mobile are looked at.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct GuardedMobileView {
    /// `mob_…`
    #[schema(value_type = String)]
    pub id: HandsetId,
    /// E.164.
    pub number: String,
    /// About which texts you are asked.
    pub ask: Asking,
    /// Whether a question by SMS waits for your answer.
    pub asked: bool,
}

/// What waits, and of which mobiles.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct TextGuardView {
    /// Your verified mobiles.
    pub mobiles: Vec<GuardedMobileView>,
    /// Texts that wait, oldest first; at most 100, each for seven days.
    pub held: Vec<HeldTextView>,
}

/// About which texts you want to be asked.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateTextGuard {
    /// `in_doubt` (as it is) or `always`: every text, unless you have answered within the last twelve hours.
    pub ask: Asking,
}

/// What is to become of texts that wait.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecideHeldTexts {
    /// Of one mobile, `mob_…`; of all when it is left out.
    #[serde(default)]
    pub mobile_id: Option<String>,
    /// `true`: they are mine, send them. `false`: they are not, delete them.
    pub mine: bool,
}

/// What became of them.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct DecidedHeldTexts {
    /// How many texts it was about.
    pub count: usize,
}

fn view(db: &mut crate::db::Db, me: &SignedIn, now: crate::clock::Timestamp) -> Result<TextGuardView> {
    let mut shown = Vec::new();
    for mobile in mobiles::list(db, me.account)? {
        if mobile.state != ProofState::Verified {
            continue;
        }
        let (guard, _) = guard::find(db, me.account, mobile.id)?;
        shown.push(GuardedMobileView {
            id: mobile.id,
            number: mobile.number.as_str().to_owned(),
            ask: if guard.always { Asking::Always } else { Asking::InDoubt },
            asked: guard.is_asked(now),
        });
    }
    let held = held::list(db, me.account, None)?.into_iter().map(HeldTextView::from).collect();
    Ok(TextGuardView { mobiles: shown, held })
}

/// Shows the texts in your name that wait because they came in an unusual way.
#[utoipa::path(tag = "messages", security(("bearer" = [])), responses((status = 200, body = TextGuardView), Problems))]
#[get("/v1/me/text-guard")]
pub(super) async fn find_text_guard(app: web::Data<App>, me: SignedIn) -> Result<web::Json<TextGuardView>> {
    let now = app.now();
    Ok(web::Json(app.db.read(move |db| view(db, &me, now)).await?))
}

/// Says about which texts of a mobile you want to be asked.
#[utoipa::path(tag = "messages", params(("id" = String, Path)), security(("bearer" = [])),
    responses((status = 200, body = TextGuardView), Problems))]
#[put("/v1/me/text-guard/{id}")]
pub(super) async fn update_text_guard(
    app: web::Data<App>,
    me: SignedIn,
    id: web::Path<HandsetId>,
    body: web::Json<UpdateTextGuard>,
) -> Result<web::Json<TextGuardView>> {
    let (now, id, ask) = (app.now(), *id, body.ask);
    let write = move |db: &mut crate::db::Db| {
        guard::set_always(db, now, me.account, id, ask)?;
        view(db, &me, now)
    };
    Ok(web::Json(app.db.write(me.account, write).await?))
}

/// Sends the texts that wait, or deletes them: whoever is signed in has proved who he is.
#[utoipa::path(tag = "messages", security(("bearer" = [])),
    responses((status = 200, body = DecidedHeldTexts), Problems))]
#[post("/v1/me/text-guard/decide")]
pub(super) async fn decide_held_texts(
    app: web::Data<App>,
    me: SignedIn,
    body: web::Json<DecideHeldTexts>,
) -> Result<HttpResponse> {
    let (now, mine) = (app.now(), body.mine);
    let read = |id: &String| id.parse::<HandsetId>().map_err(|_| Error::not_found("mobile"));
    let mobile = body.mobile_id.as_ref().map(read).transpose()?;
    let write = move |db: &mut crate::db::Db| {
        if let Some(mobile) = mobile
            && mobiles::list(db, me.account)?.iter().all(|known| known.id != mobile)
        {
            return Err(Error::not_found("mobile"));
        }
        if mine {
            guard::release(db, now, me.account, mobile)
        } else {
            guard::drop_held(db, now, me.account, mobile)
        }
    };
    let count = app.db.write(me.account, write).await?;
    Ok(HttpResponse::Ok().json(DecidedHeldTexts { count }))
}
