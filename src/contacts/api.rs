//! The edges of the roster over HTTP.

mod books;
mod cards;
mod devices;
mod imports;
mod photos;

use std::time::Duration;

use actix_web::web::{Data, Json, Path, Payload, Query};
use actix_web::{HttpResponse, delete, get, patch, post};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::import::{self, IMPORT_MAX, Item, Outcome};
use super::{Answer, Asked, ContactAddress, ContactState, Filter};
use crate::accounts::auth::SignedIn;
use crate::accounts::limits::{self, Limit};
use crate::app::App;
use crate::clock::Timestamp;
use crate::contacts;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::http::{Page, Paging, Problems};
use crate::ids::{AccountId, ContactId};
use crate::presence::{self, ContactWithPresence};

/// The body of an import at most, in bytes.
const IMPORT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Characters of a search at most.
const SEARCH_CHARS_MAX: usize = 100;

/// Requests by one account. Every one is counted, known address or not: otherwise the refusal would tell them apart.
const REQUESTS: Limit = Limit {
    name: "contact_requests",
    code: "too_many_requests",
    max: 300,
    window: Duration::from_secs(3_600),
};
/// Imports by one account.
const IMPORTS: Limit = Limit {
    name: "contact_imports",
    code: "too_many_imports",
    max: 20,
    window: Duration::from_secs(24 * 3_600),
};
/// Addresses that nobody answers to, in imports by one account; counted in tens.
const UNKNOWN_TENS: Limit = Limit {
    name: "contact_unknown",
    code: "too_many_unknown_addresses",
    max: 1_000,
    window: Duration::from_secs(24 * 3_600),
};

/// All routes of the roster.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(create_contact)
        .service(import_contacts)
        .service(list_contacts)
        .service(find_contact)
        .service(update_contact)
        .service(delete_contact)
        .service(accept_contact)
        .service(block_contact)
        .service(unblock_contact)
        .service(devices::list_devices)
        .service(devices::list_device_contacts)
        .service(books::list_books)
        .service(books::create_book)
        .service(books::find_book)
        .service(books::update_book)
        .service(books::delete_book)
        .service(books::leave_book)
        .service(books::list_members)
        .service(books::invite_member)
        .service(books::update_member)
        .service(books::remove_member)
        .service(books::list_invitations)
        .service(books::accept_invitation)
        .service(books::decline_invitation)
        .service(photos::find_contact_photo)
        .service(cards::export_cards)
        .service(cards::export_book)
        .service(cards::export_friend)
        .service(cards::mail_cards)
        .service(imports::create_import)
        .service(imports::find_import)
        .service(imports::list_import_rows)
        .service(imports::apply_import)
        .service(imports::delete_import);
}

/// Whom to ask.
#[derive(Deserialize, ToSchema)]
struct CreateContact {
    /// Network and address: `meari:bob`.
    #[schema(example = "meari:bob")]
    address: String,
    /// What to call him; without it his own name is shown.
    display_name: Option<String>,
}

/// Ask somebody to be a contact
///
/// The other side sees a request. When it has asked before, both are friends at once. An address that is a contact
/// already is answered with that contact and status 200.
#[utoipa::path(
    tag = "contacts", security(("bearer" = [])),
    responses((status = 201, body = ContactWithPresence), (status = 200, body = ContactWithPresence), Problems)
)]
#[post("/v1/contacts")]
async fn create_contact(me: SignedIn, app: Data<App>, body: Json<CreateContact>) -> Result<HttpResponse> {
    let (now, Json(body)) = (app.now(), body);
    let address = ContactAddress::parse(&body.address)?;
    let custom_name = body.display_name.as_deref().map(contacts::parse_name).transpose()?.flatten();
    let account = me.account;
    app.db.write(account, move |db| limits::take(db, now, &REQUESTS, &account.to_string())).await?;
    let written = app.db.write(account, move |db| {
        let person = contacts::resolve(db, account, &address)?;
        let answer = contacts::request(db, now, account, Asked { person, custom_name: custom_name.clone() })?;
        let (id, is_new) = match answer {
            Answer::Created(id) => (id, true),
            Answer::Already(id) => (id, false),
            Answer::Blocked => {
                return Err(Error::conflict(
                    "contact_blocked",
                    "You have blocked this contact. Unblock it first.",
                ));
            }
            Answer::Full => {
                return Err(Error::conflict(
                    "too_many_contacts",
                    "You have as many contacts as an account may have.",
                ));
            }
        };
        Ok((presence::contact_view(db, now, account, id)?, is_new))
    });
    let (view, is_new) = written.await?;
    let mut answer = if is_new { HttpResponse::Created() } else { HttpResponse::Ok() };
    Ok(answer.json(view))
}

/// Whom to ask, many at once.
#[derive(Deserialize, ToSchema)]
struct ImportContacts {
    /// At most 10,000.
    contacts: Vec<ImportItem>,
    /// When one cannot be had, change nothing and answer 422 with the faults.
    #[serde(default)]
    all_or_nothing: bool,
}

/// One of many.
#[derive(Deserialize, ToSchema)]
struct ImportItem {
    /// Network and address: `meari:bob`.
    address: String,
    /// What to call him.
    display_name: Option<String>,
}

/// What came of one of many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ImportState {
    /// It is a contact now.
    Created,
    /// It was one before.
    Already,
    /// It cannot be had; `code` says why.
    Invalid,
}

/// The answer to one of many.
#[derive(Serialize, ToSchema)]
struct ImportResult {
    /// The address as it came.
    address: String,
    /// What came of it.
    result: ImportState,
    /// The contact.
    #[schema(value_type = Option<String>)]
    id: Option<ContactId>,
    /// Why it cannot be had: a stable word.
    code: Option<&'static str>,
    /// Why it cannot be had: a sentence.
    detail: Option<String>,
}

/// The answers, in the order of the contacts.
#[derive(Serialize, ToSchema)]
struct ImportAnswer {
    /// One for each.
    items: Vec<ImportResult>,
    /// How many are contacts now.
    created: usize,
    /// How many were before.
    already: usize,
    /// How many cannot be had.
    invalid: usize,
}

/// Ask many people to be contacts
///
/// Up to 10,000, each answered for itself. With `all_or_nothing` one fault keeps all of them out.
#[utoipa::path(
    tag = "contacts", security(("bearer" = [])), request_body = ImportContacts,
    responses((status = 200, body = ImportAnswer), Problems)
)]
#[post("/v1/contacts/import")]
async fn import_contacts(me: SignedIn, app: Data<App>, body: Payload) -> Result<Json<ImportAnswer>> {
    let body = read_import(body).await?;
    let (now, account) = (app.now(), me.account);
    app.db.write(account, move |db| limits::take(db, now, &IMPORTS, &account.to_string())).await?;
    let to_item = |one: ImportItem| Item { address: one.address, display_name: one.display_name };
    let items: Vec<Item> = body.contacts.into_iter().map(to_item).collect();
    let addresses: Vec<String> = items.iter().map(|item| item.address.chars().take(320).collect()).collect();
    let checked = app.db.read(move |db| import::check(db, account, &items)).await?;
    let unknown = import::unknown_count(&checked);
    app.db.write(account, move |db| count_unknown(db, now, account, unknown)).await?;
    let outcomes = if body.all_or_nothing {
        app.db.write(account, move |db| import::write_all_or_none(db, now, account, &checked)).await?
    } else {
        let mut outcomes = Vec::with_capacity(checked.len());
        for chunk in checked.chunks(import::CHUNK) {
            let chunk = chunk.to_vec();
            outcomes.extend(app.db.write(account, move |db| import::write(db, now, account, &chunk)).await?);
        }
        outcomes
    };
    Ok(Json(to_answer(addresses, outcomes)))
}

async fn read_import(body: Payload) -> Result<ImportContacts> {
    let bad = |detail: String| Error::invalid("body", "invalid_json", detail);
    let bytes = body
        .to_bytes_limited(IMPORT_BYTES_MAX)
        .await
        .map_err(|_| Error::invalid("body", "too_large", "An import has at most 4 MiB."))?
        .map_err(|_| bad("The import did not arrive whole.".to_owned()))?;
    let import: ImportContacts =
        serde_json::from_slice(&bytes).map_err(|e| bad(format!("The import could not be read: {e}.")))?;
    if import.contacts.len() > IMPORT_MAX {
        return Err(Error::invalid("contacts", "too_many", "An import has at most 10000 contacts."));
    }
    Ok(import)
}

fn count_unknown(db: &mut Db, now: Timestamp, account: AccountId, unknown: usize) -> Result<()> {
    for _ in 0..unknown.div_ceil(10) {
        limits::take(db, now, &UNKNOWN_TENS, &account.to_string())?;
    }
    Ok(())
}

fn to_answer(addresses: Vec<String>, outcomes: Vec<Outcome>) -> ImportAnswer {
    let to_result = |(address, outcome): (String, Outcome)| {
        let (result, id, fault) = match outcome {
            Outcome::Created(id) => (ImportState::Created, Some(id), None),
            Outcome::Already(id) => (ImportState::Already, Some(id), None),
            Outcome::Invalid(fault) => (ImportState::Invalid, None, Some(fault)),
        };
        let code = fault.as_ref().map(|f| f.code);
        ImportResult { address, result, id, code, detail: fault.map(|f| f.detail) }
    };
    let items: Vec<ImportResult> = addresses.into_iter().zip(outcomes).map(to_result).collect();
    let count = |state: ImportState| items.iter().filter(|item| item.result == state).count();
    let (created, already) = (count(ImportState::Created), count(ImportState::Already));
    let invalid = count(ImportState::Invalid);
    ImportAnswer { items, created, already, invalid }
}

/// Which contacts a list wants.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ContactFilter {
    /// How far they have come; all when it is not given.
    state: Option<ContactState>,
    /// A part of the name or of the address.
    q: Option<String>,
}

/// List contacts
///
/// In the order in which they came to be.
#[utoipa::path(
    tag = "contacts", security(("bearer" = [])), params(Paging, ContactFilter),
    responses((status = 200, body = Page<ContactWithPresence>), Problems)
)]
#[get("/v1/contacts")]
async fn list_contacts(
    me: SignedIn,
    app: Data<App>,
    paging: Query<Paging>,
    wanted: Query<ContactFilter>,
) -> Result<Json<Page<ContactWithPresence>>> {
    let (now, limit, after) = (app.now(), paging.limit()?, paging.after()?);
    let Query(wanted) = wanted;
    let text = wanted.q.map(|q| q.trim().to_lowercase()).filter(|q| !q.is_empty());
    if text.as_ref().is_some_and(|q| q.chars().count() > SEARCH_CHARS_MAX) {
        return Err(Error::invalid("q", "too_long", "A search has at most 100 characters."));
    }
    let filter = Filter { state: wanted.state, text };
    let read =
        move |db: &mut Db| presence::list_contact_views(db, now, me.account, &filter, (after, limit + 1));
    let items = app.db.read(read).await?;
    Ok(Json(Page::from_extra(items, limit, |item| item.contact.id.to_string())))
}

/// Show a contact
#[utoipa::path(
    tag = "contacts", security(("bearer" = [])), params(("id" = String, Path, description = "The contact")),
    responses((status = 200, body = ContactWithPresence), Problems)
)]
#[get("/v1/contacts/{id}")]
async fn find_contact(
    me: SignedIn,
    app: Data<App>,
    id: Path<ContactId>,
) -> Result<Json<ContactWithPresence>> {
    let (now, id) = (app.now(), id.into_inner());
    Ok(Json(app.db.read(move |db| presence::contact_view(db, now, me.account, id)).await?))
}

/// What is to change; what is not mentioned stays.
#[derive(Deserialize, ToSchema)]
struct UpdateContact {
    /// What to call the friend; an empty name goes back to the friend's own.
    #[serde(alias = "custom_name")]
    display_name: Option<String>,
    /// True takes the contact off the phone: its card goes and its number rests. False brings both back.
    hidden_on_phone: Option<bool>,
}

/// Rename a contact, or hide it on the phone
#[utoipa::path(
    tag = "contacts", security(("bearer" = [])), params(("id" = String, Path, description = "The contact")),
    responses((status = 200, body = ContactWithPresence), Problems)
)]
#[patch("/v1/contacts/{id}")]
async fn update_contact(
    me: SignedIn,
    app: Data<App>,
    id: Path<ContactId>,
    body: Json<UpdateContact>,
) -> Result<Json<ContactWithPresence>> {
    let (now, id, Json(body)) = (app.now(), id.into_inner(), body);
    let name = body.display_name.as_deref().map(contacts::parse_name).transpose()?;
    let hidden = body.hidden_on_phone;
    change(&app, me, id, move |db| {
        if let Some(name) = &name {
            contacts::rename(db, now, me.account, id, name.clone())?;
        }
        match hidden {
            Some(true) => contacts::hide_on_phone(db, now, me.account, id),
            Some(false) => contacts::show_on_phone(db, now, me.account, id),
            None => Ok(()),
        }
    })
    .await
}

/// Part from a contact, or decline a request
///
/// The other side loses the contact too, and what was said is deleted. It is also how a request is taken back.
#[utoipa::path(
    tag = "contacts", security(("bearer" = [])), params(("id" = String, Path, description = "The contact")),
    responses((status = 204), Problems)
)]
#[delete("/v1/contacts/{id}")]
async fn delete_contact(me: SignedIn, app: Data<App>, id: Path<ContactId>) -> Result<HttpResponse> {
    let (now, id) = (app.now(), id.into_inner());
    app.db.write(me.account, move |db| contacts::remove(db, now, me.account, id)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Accept a request
///
/// Both are friends then, with a conversation; who has a verified mobile gets a number for the other.
#[utoipa::path(
    tag = "contacts", security(("bearer" = [])), params(("id" = String, Path, description = "The contact")),
    responses((status = 200, body = ContactWithPresence), Problems)
)]
#[post("/v1/contacts/{id}/accept")]
async fn accept_contact(
    me: SignedIn,
    app: Data<App>,
    id: Path<ContactId>,
) -> Result<Json<ContactWithPresence>> {
    let (now, id) = (app.now(), id.into_inner());
    change(&app, me, id, move |db| contacts::accept(db, now, me.account, id)).await
}

/// Block a contact
///
/// Nothing of it arrives any more; it is not told. Its number rests and its card leaves the phone.
#[utoipa::path(
    tag = "contacts", security(("bearer" = [])), params(("id" = String, Path, description = "The contact")),
    responses((status = 200, body = ContactWithPresence), Problems)
)]
#[post("/v1/contacts/{id}/block")]
async fn block_contact(
    me: SignedIn,
    app: Data<App>,
    id: Path<ContactId>,
) -> Result<Json<ContactWithPresence>> {
    let (now, id) = (app.now(), id.into_inner());
    change(&app, me, id, move |db| contacts::block(db, now, me.account, id)).await
}

/// Take a block back
#[utoipa::path(
    tag = "contacts", security(("bearer" = [])), params(("id" = String, Path, description = "The contact")),
    responses((status = 200, body = ContactWithPresence), Problems)
)]
#[post("/v1/contacts/{id}/unblock")]
async fn unblock_contact(
    me: SignedIn,
    app: Data<App>,
    id: Path<ContactId>,
) -> Result<Json<ContactWithPresence>> {
    let (now, id) = (app.now(), id.into_inner());
    change(&app, me, id, move |db| contacts::unblock(db, now, me.account, id)).await
}

/// Changes a contact and answers what it is then.
async fn change(
    app: &App,
    me: SignedIn,
    id: ContactId,
    body: impl Fn(&mut Db) -> Result<()> + Send + 'static,
) -> Result<Json<ContactWithPresence>> {
    let now = app.now();
    let written = app.db.write(me.account, move |db| {
        body(db)?;
        presence::contact_view(db, now, me.account, id)
    });
    Ok(Json(written.await?))
}
