//! What operators do with accounts: see them, invite to them, close them.

use actix_web::web::{Data, Json, Path, Query};
use actix_web::{HttpResponse, delete, get, patch, post};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::me::erase_everything;
use crate::accounts::auth::Admin;
use crate::accounts::view::{self, AccountView};
use crate::accounts::{self, Changes, invites};
use crate::app::App;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::http::{Page, Paging, Problems};
use crate::ids::AccountId;

/// List accounts, in the order in which they signed up
#[utoipa::path(
    tag = "admin", security(("bearer" = [])), params(Paging),
    responses((status = 200, body = Page<AccountView>), Problems)
)]
#[get("/v1/admin/accounts")]
pub(super) async fn list_accounts(
    _: Admin,
    app: Data<App>,
    paging: Query<Paging>,
) -> Result<Json<Page<AccountView>>> {
    let (limit, after) = (paging.limit()?, paging.after::<AccountId>()?);
    let read = app.db.read(move |db| {
        let found = accounts::list(db, after, limit + 1)?;
        found.into_iter().map(|account| view::load(db, account.id)).collect::<Result<Vec<_>>>()
    });
    Ok(Json(Page::from_extra(read.await?, limit, |account: &AccountView| account.id.to_string())))
}

/// Show an account
#[utoipa::path(
    tag = "admin", security(("bearer" = [])), params(("id" = String, Path, description = "`acc_…`")),
    responses((status = 200, body = AccountView), Problems)
)]
#[get("/v1/admin/accounts/{id}")]
pub(super) async fn find_account(_: Admin, app: Data<App>, id: Path<AccountId>) -> Result<Json<AccountView>> {
    let id = id.into_inner();
    Ok(Json(app.db.read(move |db| view::load(db, id)).await?))
}

/// What is to change about somebody else's account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateAccount {
    /// May use `/v1/admin`.
    admin: bool,
}

/// Make an account an operator's, or an ordinary one
///
/// Nobody can take it from himself, so that one is always left.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])), params(("id" = String, Path, description = "`acc_…`")),
    responses((status = 200, body = AccountView), Problems)
)]
#[patch("/v1/admin/accounts/{id}")]
pub(super) async fn update_account(
    admin: Admin,
    app: Data<App>,
    id: Path<AccountId>,
    body: Json<UpdateAccount>,
) -> Result<Json<AccountView>> {
    let (now, id) = (app.now(), id.into_inner());
    if admin.account == Some(id) && !body.admin {
        return Err(Error::conflict("own_account", "Another operator has to do this."));
    }
    let changes = Changes { admin: Some(body.admin), ..Changes::default() };
    let written = app.db.write(id, move |db| {
        accounts::update(db, now, id, &changes)?;
        view::load(db, id)
    });
    let account = written.await?;
    tracing::info!(account.id = %id, admin = account.admin, by = ?admin.account, "an operator changed who is one");
    Ok(Json(account))
}

/// Close an account
///
/// Erases it like its owner would.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])), params(("id" = String, Path, description = "`acc_…`")),
    responses((status = 204), Problems)
)]
#[delete("/v1/admin/accounts/{id}")]
pub(super) async fn delete_account(_: Admin, app: Data<App>, id: Path<AccountId>) -> Result<HttpResponse> {
    let (now, id) = (app.now(), id.into_inner());
    app.db.write(id, move |db| erase_everything(db, now, id)).await?;
    tracing::info!(account.id = %id, "an account was closed by an operator");
    Ok(HttpResponse::NoContent().finish())
}

/// An invitation.
#[derive(Serialize, ToSchema)]
pub(super) struct InviteView {
    /// For `invite` of `POST /v1/accounts`; opens one account.
    invite: String,
    /// Worthless from then on.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// Make an invitation
///
/// Needed where `registration` is `invite`.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])), responses((status = 201, body = InviteView), Problems)
)]
#[post("/v1/admin/invites")]
pub(super) async fn create_invite(_: Admin, app: Data<App>) -> Result<HttpResponse> {
    let now = app.now();
    let view = InviteView { invite: invites::issue(&app.keys, now), expires_at: now.plus(invites::LIFETIME) };
    Ok(HttpResponse::Created().json(view))
}
