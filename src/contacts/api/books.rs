//! Address books over HTTP: making them, and sharing them with others.

use actix_web::web::{Data, Json, Path};
use actix_web::{HttpResponse, delete, get, patch, post};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::accounts::auth::SignedIn;
use crate::app::App;
use crate::clock::Timestamp;
use crate::contacts::ContactAddress;
use crate::contacts::books::{self, PropertyEdit, Refusal};
use crate::contacts::sharing::{self, Access, BookView, MemberState, MemberView};
use crate::db::Db;
use crate::error::{Error, Result};
use crate::http::Problems;
use crate::ids::{AccountId, AddressBookId, BookMemberId};

/// Characters of a book's name at most.
const NAME_CHARS_MAX: usize = 100;
/// Characters of a book's description at most.
const DESCRIPTION_CHARS_MAX: usize = 1_000;

/// A whole list.
#[derive(Serialize, ToSchema)]
pub(super) struct BookList {
    /// All of them.
    items: Vec<BookView>,
    /// Always null: there is no further page.
    #[schema(required)]
    next: Option<String>,
}

/// A whole list.
#[derive(Serialize, ToSchema)]
pub(super) struct MemberList {
    /// All of them.
    items: Vec<MemberView>,
    /// Always null: there is no further page.
    #[schema(required)]
    next: Option<String>,
}

/// A new address book.
#[derive(Deserialize, ToSchema)]
pub(super) struct CreateBook {
    /// The name to show, at most 100 characters.
    #[schema(example = "Family")]
    name: String,
    /// A sentence about it.
    description: Option<String>,
}

/// What is to change; what is not mentioned stays.
#[derive(Deserialize, ToSchema)]
pub(super) struct UpdateBook {
    /// The name to show.
    name: Option<String>,
    /// A sentence about it.
    description: Option<String>,
}

/// Whom to invite.
#[derive(Deserialize, ToSchema)]
pub(super) struct Invite {
    /// Network and address: `meari:bob`.
    #[schema(example = "meari:bob")]
    address: String,
    /// What he may do.
    access: Access,
}

/// Another access.
#[derive(Deserialize, ToSchema)]
pub(super) struct UpdateMember {
    /// What the member may do from now on.
    access: Access,
}

fn name(text: &str) -> Result<String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > NAME_CHARS_MAX || text.chars().any(char::is_control) {
        let detail = "A name has 1 to 100 printable characters.";
        return Err(Error::invalid("name", "invalid_name", detail));
    }
    Ok(text.to_owned())
}

fn description(text: &str) -> Result<String> {
    let is_plain = |c: char| !c.is_control() || c == '\n';
    if text.chars().count() > DESCRIPTION_CHARS_MAX || !text.chars().all(is_plain) {
        let detail = "A description has at most 1000 printable characters.";
        return Err(Error::invalid("description", "invalid_description", detail));
    }
    Ok(text.trim().to_owned())
}

fn find(db: &mut Db, account: AccountId, book: AddressBookId) -> Result<BookView> {
    let found = sharing::views(db, account)?.into_iter().find(|view| view.id == book);
    found.ok_or_else(|| Error::not_found("address book"))
}

/// List the address books
///
/// The account's own, and those of others that it may use. Invitations are a list of their own.
#[utoipa::path(tag = "books", security(("bearer" = [])), responses((status = 200, body = BookList), Problems))]
#[get("/v1/books")]
pub(super) async fn list_books(me: SignedIn, app: Data<App>) -> Result<Json<BookList>> {
    let (now, account) = (app.now(), me.account);
    let known = app.db.read(move |db| books::list(db, account)).await?;
    if known.is_empty() {
        app.db.write(account, move |db| books::list_or_open(db, now, account)).await?;
    }
    list(&app, account, MemberState::Accepted).await
}

async fn list(app: &App, account: AccountId, state: MemberState) -> Result<Json<BookList>> {
    let mut items = app.db.read(move |db| sharing::views(db, account)).await?;
    items.retain(|view| view.state == state);
    Ok(Json(BookList { items, next: None }))
}

/// Make an address book
///
/// It is the account's own until others are invited. Phones see it with their next look.
#[utoipa::path(tag = "books", security(("bearer" = [])), responses((status = 201, body = BookView), Problems))]
#[post("/v1/books")]
pub(super) async fn create_book(
    me: SignedIn,
    app: Data<App>,
    body: Json<CreateBook>,
) -> Result<HttpResponse> {
    let (now, account, Json(body)) = (app.now(), me.account, body);
    let name = name(&body.name)?;
    let description = description(body.description.as_deref().unwrap_or(""))?;
    let slug = AddressBookId::new(now).0.simple().to_string();
    let made = app.db.write(account, move |db| {
        match books::create_book(db, now, account, &slug, &name, &description)? {
            Ok(book) => find(db, account, book.id),
            Err(Refusal::Full) => Err(Error::conflict(
                "too_many_books",
                "You have as many address books as an account may have.",
            )),
            Err(_) => Err(Error::conflict("book_exists", "There is such an address book already.")),
        }
    });
    Ok(HttpResponse::Created().json(made.await?))
}

/// Show an address book
#[utoipa::path(
    tag = "books", security(("bearer" = [])), params(("id" = String, Path, description = "The address book")),
    responses((status = 200, body = BookView), Problems)
)]
#[get("/v1/books/{id}")]
pub(super) async fn find_book(
    me: SignedIn,
    app: Data<App>,
    id: Path<AddressBookId>,
) -> Result<Json<BookView>> {
    let id = id.into_inner();
    Ok(Json(app.db.read(move |db| find(db, me.account, id)).await?))
}

/// Rename an address book
///
/// For everybody who uses it. Whoever may only read it may not.
#[utoipa::path(
    tag = "books", security(("bearer" = [])), params(("id" = String, Path, description = "The address book")),
    responses((status = 200, body = BookView), Problems)
)]
#[patch("/v1/books/{id}")]
pub(super) async fn update_book(
    me: SignedIn,
    app: Data<App>,
    id: Path<AddressBookId>,
    body: Json<UpdateBook>,
) -> Result<Json<BookView>> {
    let (now, account, id, Json(body)) = (app.now(), me.account, id.into_inner(), body);
    let edit = PropertyEdit {
        display_name: body.name.as_deref().map(name).transpose()?,
        description: body.description.as_deref().map(description).transpose()?,
        kept: Vec::new(),
    };
    let written = app.db.write(account, move |db| {
        sharing::rename(db, now, account, id, &edit)?;
        find(db, account, id)
    });
    Ok(Json(written.await?))
}

/// Delete an address book
///
/// With all its cards, for everybody who uses it; they are told. The first two books stay.
#[utoipa::path(
    tag = "books", security(("bearer" = [])), params(("id" = String, Path, description = "The address book")),
    responses((status = 204), Problems)
)]
#[delete("/v1/books/{id}")]
pub(super) async fn delete_book(
    me: SignedIn,
    app: Data<App>,
    id: Path<AddressBookId>,
) -> Result<HttpResponse> {
    let (now, account, id) = (app.now(), me.account, id.into_inner());
    let gone = app.db.write(account, move |db| {
        if sharing::owner_of(db, account, id)? != account {
            let detail = "Only the owner of this address book may delete it. You may leave it.";
            return Err(Error::forbidden("not_the_owner", detail));
        }
        books::delete_book(db, now, account, id)
    });
    match gone.await? {
        Ok(()) => Ok(HttpResponse::NoContent().finish()),
        Err(Refusal::Protected) => Err(Error::conflict("book_stays", "This address book cannot be deleted.")),
        Err(_) => Err(Error::not_found("address book")),
    }
}

/// Leave somebody else's address book
///
/// It leaves the phones of this account; the owner is told.
#[utoipa::path(
    tag = "books", security(("bearer" = [])), params(("id" = String, Path, description = "The address book")),
    responses((status = 204), Problems)
)]
#[post("/v1/books/{id}/leave")]
pub(super) async fn leave_book(
    me: SignedIn,
    app: Data<App>,
    id: Path<AddressBookId>,
) -> Result<HttpResponse> {
    let (now, id) = (app.now(), id.into_inner());
    app.db.write(me.account, move |db| sharing::leave(db, now, me.account, id)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// List who has access to an address book
///
/// For its owner.
#[utoipa::path(
    tag = "books", security(("bearer" = [])), params(("id" = String, Path, description = "The address book")),
    responses((status = 200, body = MemberList), Problems)
)]
#[get("/v1/books/{id}/members")]
pub(super) async fn list_members(
    me: SignedIn,
    app: Data<App>,
    id: Path<AddressBookId>,
) -> Result<Json<MemberList>> {
    let id = id.into_inner();
    let items = app.db.read(move |db| sharing::members(db, me.account, id)).await?;
    Ok(Json(MemberList { items, next: None }))
}

/// Invite somebody to an address book
///
/// He sees it when he has accepted. No number of ours stands on the cards of a book from its first invitation on: a
/// number means a friend only from the handset of the account that it was given to.
#[utoipa::path(
    tag = "books", security(("bearer" = [])), params(("id" = String, Path, description = "The address book")),
    responses((status = 201, body = MemberView), Problems)
)]
#[post("/v1/books/{id}/members")]
pub(super) async fn invite_member(
    me: SignedIn,
    app: Data<App>,
    id: Path<AddressBookId>,
    body: Json<Invite>,
) -> Result<HttpResponse> {
    let (now, account, id, Json(body)) = (app.now(), me.account, id.into_inner(), body);
    app.db.read(move |db| sharing::owner_of(db, account, id)).await?;
    let address = ContactAddress::parse(&body.address)?;
    // Counted on its own, so that a refusal counts too.
    app.db.write(account, move |db| sharing::count_invitation(db, now, account)).await?;
    let access = body.access;
    let invited = app.db.write(account, move |db| sharing::invite(db, now, account, id, &address, access));
    Ok(HttpResponse::Created().json(invited.await?))
}

/// Change what a member may do
#[utoipa::path(
    tag = "books", security(("bearer" = [])),
    params(
        ("id" = String, Path, description = "The address book"),
        ("member_id" = String, Path, description = "The member"),
    ),
    responses((status = 204), Problems)
)]
#[patch("/v1/books/{id}/members/{member_id}")]
pub(super) async fn update_member(
    me: SignedIn,
    app: Data<App>,
    ids: Path<(AddressBookId, BookMemberId)>,
    body: Json<UpdateMember>,
) -> Result<HttpResponse> {
    let (now, (book, member), access) = (app.now(), ids.into_inner(), body.access);
    set_access(&app, now, me.account, book, member, Some(access)).await
}

/// Take a member's access away
///
/// Also an invitation that is not answered yet. The book leaves his phones with their next look.
#[utoipa::path(
    tag = "books", security(("bearer" = [])),
    params(
        ("id" = String, Path, description = "The address book"),
        ("member_id" = String, Path, description = "The member"),
    ),
    responses((status = 204), Problems)
)]
#[delete("/v1/books/{id}/members/{member_id}")]
pub(super) async fn remove_member(
    me: SignedIn,
    app: Data<App>,
    ids: Path<(AddressBookId, BookMemberId)>,
) -> Result<HttpResponse> {
    let (now, (book, member)) = (app.now(), ids.into_inner());
    set_access(&app, now, me.account, book, member, None).await
}

async fn set_access(
    app: &App,
    now: Timestamp,
    account: AccountId,
    book: AddressBookId,
    member: BookMemberId,
    access: Option<Access>,
) -> Result<HttpResponse> {
    app.db.write(account, move |db| sharing::set_access(db, now, account, book, member, access)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// List invitations to other people's address books
#[utoipa::path(tag = "books", security(("bearer" = [])), responses((status = 200, body = BookList), Problems))]
#[get("/v1/book-invitations")]
pub(super) async fn list_invitations(me: SignedIn, app: Data<App>) -> Result<Json<BookList>> {
    list(&app, me.account, MemberState::Invited).await
}

/// Accept an invitation
///
/// The book is on the account's phones with their next look.
#[utoipa::path(
    tag = "books", security(("bearer" = [])),
    params(("id" = String, Path, description = "`membership_id` of the invitation")),
    responses((status = 200, body = BookView), Problems)
)]
#[post("/v1/book-invitations/{id}/accept")]
pub(super) async fn accept_invitation(
    me: SignedIn,
    app: Data<App>,
    id: Path<BookMemberId>,
) -> Result<Json<BookView>> {
    let (now, id) = (app.now(), id.into_inner());
    let accepted = app.db.write(me.account, move |db| {
        let book = sharing::accept(db, now, me.account, id)?;
        find(db, me.account, book)
    });
    Ok(Json(accepted.await?))
}

/// Decline an invitation
#[utoipa::path(
    tag = "books", security(("bearer" = [])),
    params(("id" = String, Path, description = "`membership_id` of the invitation")),
    responses((status = 204), Problems)
)]
#[post("/v1/book-invitations/{id}/decline")]
pub(super) async fn decline_invitation(
    me: SignedIn,
    app: Data<App>,
    id: Path<BookMemberId>,
) -> Result<HttpResponse> {
    let (now, id) = (app.now(), id.into_inner());
    app.db.write(me.account, move |db| sharing::decline(db, now, me.account, id)).await?;
    Ok(HttpResponse::NoContent().finish())
}
