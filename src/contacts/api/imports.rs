//! Importing files of cards over HTTP: upload, look, apply.

use actix_web::web::{Data, Json, Path, Payload, Query};
use actix_web::{HttpResponse, delete, get, post, web};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::accounts::auth::SignedIn;
use crate::app::App;
use crate::contacts::card_import::{
    self, CardImportView, DuplicateChoice, FILE_BYTES_MAX, ImportRowView, RowsWanted,
};
use crate::error::{Error, Result};
use crate::http::{Page, Paging, Problems};
use crate::ids::{AddressBookId, CardImportId};

/// Where a file shall go.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Upload {
    /// The address book; the account's own contacts when none is named.
    #[param(value_type = Option<String>)]
    book: Option<AddressBookId>,
    /// The country of numbers that name none (ISO 3166, `KR`); that of the account's mobile when it is not given.
    region: Option<String>,
}

/// Upload a file of contacts
///
/// A vCard file (2.1, 3.0, 4.0; one card or 10,000), or the table that Google Contacts or Outlook exports (CSV), in UTF-8,
/// UTF-16 or Latin-1, at most 20 MiB. Nothing is written yet: the answer says what is in it, and `rows` show its faults
/// and whom the address book has already. It is kept for a day.
#[utoipa::path(
    tag = "books", security(("bearer" = [])), params(Upload),
    request_body(content = String, content_type = "application/octet-stream"),
    responses((status = 201, body = CardImportView), Problems)
)]
#[post("/v1/imports")]
pub(super) async fn create_import(
    me: SignedIn,
    app: Data<App>,
    wanted: Query<Upload>,
    body: Payload,
) -> Result<HttpResponse> {
    let Query(Upload { book, region }) = wanted;
    let region = region.map(|r| r.trim().to_ascii_uppercase());
    if region.as_ref().is_some_and(|r| r.len() != 2 || !r.bytes().all(|b| b.is_ascii_uppercase())) {
        return Err(Error::invalid("region", "invalid_region", "A region is two letters, like KR."));
    }
    let bytes = body
        .to_bytes_limited(FILE_BYTES_MAX)
        .await
        .map_err(|_| Error::invalid("body", "too_large", "A file has at most 20 MiB."))?
        .map_err(|_| Error::invalid("body", "incomplete", "The file did not arrive whole."))?;
    let id = CardImportId::new(app.now());
    let parsed = web::block(move || card_import::parse(&bytes, id))
        .await
        .map_err(|error| Error::caused("reading an import", error))??;
    let view = card_import::preview(&app, me.account, id, parsed, book, region).await?;
    Ok(HttpResponse::Created().json(view))
}

/// Show an import and how far it has come
#[utoipa::path(
    tag = "books", security(("bearer" = [])), params(("id" = String, Path, description = "The import")),
    responses((status = 200, body = CardImportView), Problems)
)]
#[get("/v1/imports/{id}")]
pub(super) async fn find_import(
    me: SignedIn,
    app: Data<App>,
    id: Path<CardImportId>,
) -> Result<Json<CardImportView>> {
    let id = id.into_inner();
    Ok(Json(app.db.read(move |db| card_import::view(db, me.account, id)).await?))
}

/// Which rows a list wants.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct RowFilter {
    /// `all`, `problems` or `duplicates`.
    #[serde(default)]
    #[param(inline)]
    only: RowsWanted,
}

/// List the rows of an import
#[utoipa::path(
    tag = "books", security(("bearer" = [])), params(("id" = String, Path, description = "The import"), Paging, RowFilter),
    responses((status = 200, body = Page<ImportRowView>), Problems)
)]
#[get("/v1/imports/{id}/rows")]
pub(super) async fn list_import_rows(
    me: SignedIn,
    app: Data<App>,
    id: Path<CardImportId>,
    paging: Query<Paging>,
    wanted: Query<RowFilter>,
) -> Result<Json<Page<ImportRowView>>> {
    let (id, limit, after) = (id.into_inner(), paging.limit()?, paging.after::<i32>()?.unwrap_or(-1));
    let only = wanted.only;
    let rows = app.db.read(move |db| card_import::rows(db, me.account, id, only, after, limit + 1)).await?;
    Ok(Json(Page::from_extra(rows, limit, |row| row.row.to_string())))
}

/// What shall happen to one row.
#[derive(Deserialize, ToSchema)]
pub(super) struct RowChoice {
    /// The row.
    row: i32,
    /// What shall happen to it.
    choice: DuplicateChoice,
}

/// What shall happen to duplicates.
#[derive(Deserialize, ToSchema)]
pub(super) struct ApplyImport {
    /// To those about which `rows` say nothing.
    duplicates: DuplicateChoice,
    /// To single ones.
    #[serde(default)]
    rows: Vec<RowChoice>,
}

/// Write an import into its address book
///
/// Happens in the background: look at `state` and `done`. Asked for twice, it is done once.
#[utoipa::path(
    tag = "books", security(("bearer" = [])), params(("id" = String, Path, description = "The import")),
    responses((status = 202, body = CardImportView), Problems)
)]
#[post("/v1/imports/{id}/apply")]
pub(super) async fn apply_import(
    me: SignedIn,
    app: Data<App>,
    id: Path<CardImportId>,
    body: Json<ApplyImport>,
) -> Result<HttpResponse> {
    let (now, id, Json(body)) = (app.now(), id.into_inner(), body);
    if body.rows.len() > card_import::ROWS_MAX {
        return Err(Error::invalid("rows", "too_many", "There are at most 10000 choices."));
    }
    let choices: Vec<(i32, DuplicateChoice)> = body.rows.iter().map(|one| (one.row, one.choice)).collect();
    let written = app.db.write(me.account, move |db| {
        card_import::apply(db, now, me.account, id, body.duplicates, &choices)?;
        card_import::view(db, me.account, id)
    });
    Ok(HttpResponse::Accepted().json(written.await?))
}

/// Forget an import
///
/// What it has written stays.
#[utoipa::path(
    tag = "books", security(("bearer" = [])), params(("id" = String, Path, description = "The import")),
    responses((status = 204), Problems)
)]
#[delete("/v1/imports/{id}")]
pub(super) async fn delete_import(
    me: SignedIn,
    app: Data<App>,
    id: Path<CardImportId>,
) -> Result<HttpResponse> {
    let id = id.into_inner();
    app.db.write(me.account, move |db| card_import::delete(db, me.account, id)).await?;
    Ok(HttpResponse::NoContent().finish())
}
