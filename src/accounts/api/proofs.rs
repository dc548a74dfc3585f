//! Mobile numbers and e-mail addresses: added, proved by a code, taken away.

use actix_web::http::header;
use actix_web::web::{Data, Json, Path};
use actix_web::{HttpRequest, HttpResponse, delete, get, patch, post};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::accounts::auth::{SignedIn, remote_address};
use crate::accounts::emails;
use crate::accounts::limits::{self, CHECKS_ADDRESS};
use crate::accounts::mobiles::{self, Asked};
use crate::accounts::proofs::Guess;
use crate::accounts::view::{EmailView, MobileView};
use crate::accounts::{leaf, pages, ranges};
use crate::app::App;
use crate::clock::Timestamp;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::http::Problems;
use crate::ids::{AccountId, EmailId, HandsetId};
use crate::messaging::outbox::{self, NewSms, Purpose};
use crate::messaging::routes::SmsLine;
use crate::numbers::Sender;
use crate::phone::E164;
use crate::texts::{Locale, Text};
use crate::{accounts, contacts, numbers};

/// A mobile number to be proved.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateMobile {
    /// International, with a plus: `+12025550101`.
    number: String,
}

/// A code that came by SMS or letter.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct VerificationCode {
    /// Six digits.
    #[schema(example = "482913")]
    code: String,
}

/// An e-mail address to be proved.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateEmail {
    /// `nadia@example.org`
    address: String,
}

/// An SMS for the owner to send.
#[derive(Serialize, ToSchema)]
pub(super) struct TextTo {
    /// To this number of ours.
    number: String,
    /// These words.
    #[schema(example = "MEARI K7PW4XQ2")]
    text: String,
}

/// A mobile number that is to be proved.
#[derive(Serialize, ToSchema)]
pub(super) struct NewMobileView {
    /// The mobile.
    #[serde(flatten)]
    mobile: MobileView,
    /// In place of typing the code in: text this from the mobile.
    #[schema(required)]
    text_to: Option<TextTo>,
    /// Whether a code is on its way. Not to ranges of numbers to which somebody has had codes pumped: there the text
    /// is the way.
    code_sent: bool,
}

/// Add a mobile number
///
/// Sends a code by SMS, and answers words that may be texted from the mobile instead; adding a number that is still pending sends a new one.
#[utoipa::path(
    tag = "accounts", security(("bearer" = [])), responses((status = 201, body = NewMobileView), Problems)
)]
#[post("/v1/me/mobiles")]
pub(super) async fn create_mobile(
    me: SignedIn,
    app: Data<App>,
    request: HttpRequest,
    body: Json<CreateMobile>,
) -> Result<HttpResponse> {
    let number = read_number(&body.number)?;
    ranges::check(&number, &app.settings.countries)?;
    let cheapest_first = app.carriers.cheapest_first();
    let (now, keys, from) = (app.now(), app.keys.clone(), remote_address(&request));
    let written = app.db.write(me.account, move |db| {
        if numbers::find(db, &number)?.is_some() {
            return Err(invalid_number());
        }
        let asked = mobiles::ask(db, now, &keys, me.account, &number, from)?;
        let locale = accounts::load(db, me.account)?.locale;
        let sender = sender_of(db, me.account, &asked.mobile.number, &cheapest_first)?;
        let from = sender.number.clone();
        if asked.may_send {
            send_code(db, now, me.account, &asked, sender, locale)?;
        }
        let text_to = TextTo { number: from.as_str().to_owned(), text: asked.word };
        Ok(NewMobileView {
            mobile: MobileView::from(asked.mobile),
            text_to: Some(text_to),
            code_sent: asked.may_send,
        })
    });
    Ok(HttpResponse::Created().json(written.await?))
}

fn read_number(text: &str) -> Result<E164> {
    let number = E164::parse_human(text, None).map_err(|_| invalid_number())?;
    if number.region().is_empty() {
        return Err(Error::invalid(
            "number",
            "no_region",
            "Begin with a plus and the country's calling code.",
        ));
    }
    Ok(number)
}

fn invalid_number() -> Error {
    Error::invalid("number", "invalid_number", "This is not a mobile number. Example: +12025550101")
}

fn sender_of(db: &mut Db, account: AccountId, handset: &E164, cheapest_first: &[String]) -> Result<Sender> {
    numbers::sender_for(db, account, handset, cheapest_first)?.ok_or_else(|| {
        Error::unavailable("no_sender", "There is no number yet that the code could be sent from.")
    })
}

/// Sends a code.
fn send_code(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    asked: &Asked,
    sender: Sender,
    locale: Locale,
) -> Result<()> {
    let (mobile, code) = (&asked.mobile, asked.code.as_str());
    let sms = NewSms {
        account: Some(account),
        by: Some(account),
        message: None,
        purpose: Purpose::Verification,
        order_key: format!("code:{}", mobile.id),
        line: SmsLine { carrier_id: sender.carrier_id, from: sender.number, to: mobile.number.clone() },
        text: Text::VerificationCode { code }.render(locale),
    };
    outbox::enqueue(db, now, &sms).map(drop)
}

/// Prove a mobile number
///
/// Every accepted contact gets a number then, and a card in the phone's address book.
#[utoipa::path(
    tag = "accounts", security(("bearer" = [])), params(("id" = String, Path, description = "The mobile's id")),
    responses((status = 200, body = MobileView), Problems)
)]
#[post("/v1/me/mobiles/{id}/verify")]
pub(super) async fn verify_mobile(
    me: SignedIn,
    app: Data<App>,
    request: HttpRequest,
    id: Path<HandsetId>,
    body: Json<VerificationCode>,
) -> Result<Json<MobileView>> {
    let (now, keys, id, code) = (app.now(), app.keys.clone(), id.into_inner(), body.into_inner().code);
    let from = remote_address(&request);
    let written = app.db.write(me.account, move |db| {
        let checked = mobiles::check(db, now, &keys, me.account, (id, &code), from)?;
        if checked.guess.refusal().is_none() {
            let_contacts_follow(db, now, me.account, checked.taken_from)?;
        }
        Ok(checked)
    });
    let checked = written.await?;
    match checked.guess.refusal() {
        Some(refusal) => Err(refusal),
        None => Ok(Json(MobileView::from(checked.mobile))),
    }
}

/// After an account has proved a mobile: its contacts get numbers, and those of who had it before lose theirs.
fn let_contacts_follow(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    taken_from: Option<AccountId>,
) -> Result<()> {
    if let Some(other) = taken_from {
        contacts::handset_removed(db, now, other)?;
    }
    contacts::give_numbers(db, now, account).map(|_| ())
}

/// Take a mobile number away
///
/// With the last one the contacts' numbers leave the phone; they come back when one is proved in time.
#[utoipa::path(
    tag = "accounts", security(("bearer" = [])), params(("id" = String, Path, description = "The mobile's id")),
    responses((status = 204), Problems)
)]
#[delete("/v1/me/mobiles/{id}")]
pub(super) async fn delete_mobile(me: SignedIn, app: Data<App>, id: Path<HandsetId>) -> Result<HttpResponse> {
    let (now, id) = (app.now(), id.into_inner());
    let written = app.db.write(me.account, move |db| {
        mobiles::remove(db, now, me.account, id)?;
        contacts::handset_removed(db, now, me.account)
    });
    written.await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Add an e-mail address
///
/// A letter with a code and a link follows; adding an address that is still pending sends a new one.
#[utoipa::path(
    tag = "accounts", security(("bearer" = [])), responses((status = 201, body = EmailView), Problems)
)]
#[post("/v1/me/emails")]
pub(super) async fn create_email(
    me: SignedIn,
    app: Data<App>,
    request: HttpRequest,
    body: Json<CreateEmail>,
) -> Result<HttpResponse> {
    let address = emails::parse(&body.address)?;
    if !app.mail.is_configured() {
        return Err(Error::unavailable("mail_not_configured", "This installation cannot send e-mail."));
    }
    let (now, keys, from) = (app.now(), app.keys.clone(), remote_address(&request));
    let written = app.db.write(me.account, move |db| emails::ask(db, now, &keys, me.account, &address, from));
    Ok(HttpResponse::Created().json(EmailView::from(written.await?)))
}

/// Prove an e-mail address
#[utoipa::path(
    tag = "accounts", security(("bearer" = [])), params(("id" = String, Path, description = "The address's id")),
    responses((status = 200, body = EmailView), Problems)
)]
#[post("/v1/me/emails/{id}/verify")]
pub(super) async fn verify_email(
    me: SignedIn,
    app: Data<App>,
    id: Path<EmailId>,
    body: Json<VerificationCode>,
) -> Result<Json<EmailView>> {
    let (now, keys, id, code) = (app.now(), app.keys.clone(), id.into_inner(), body.into_inner().code);
    let (email, guess) =
        app.db.write(me.account, move |db| emails::check(db, now, &keys, me.account, id, &code)).await?;
    match guess.refusal() {
        Some(refusal) => Err(refusal),
        None => Ok(Json(EmailView::from(email))),
    }
}

/// The page behind the link in the letter
///
/// It changes nothing, because programs that look into letters follow links: its button does.
#[utoipa::path(
    tag = "accounts",
    params(("account" = String, Path), ("id" = String, Path), ("code" = String, Path)),
    responses((status = 200, body = String, content_type = "text/html"), Problems)
)]
#[get("/verify/{account}/{id}/{code}")]
pub(super) async fn open_email_link(
    app: Data<App>,
    path: Path<(AccountId, EmailId, String)>,
) -> Result<HttpResponse> {
    let (account, _, _) = path.into_inner();
    let locale = app.db.read(move |db| accounts::load(db, account)).await?.locale;
    Ok(page(pages::confirm(locale, &app.settings.service_name)))
}

/// Prove an e-mail address by the link in the letter
///
/// What the button of the page behind the link does, for whoever opened it, signed in or not.
#[utoipa::path(
    tag = "accounts",
    params(("account" = String, Path), ("id" = String, Path), ("code" = String, Path)),
    responses((status = 200, body = String, content_type = "text/html"), Problems)
)]
#[post("/verify/{account}/{id}/{code}")]
pub(super) async fn verify_email_link(
    app: Data<App>,
    request: HttpRequest,
    path: Path<(AccountId, EmailId, String)>,
) -> Result<HttpResponse> {
    let (account, id, code) = path.into_inner();
    let (now, keys, from) = (app.now(), app.keys.clone(), remote_address(&request));
    let written = app.db.write(account, move |db| {
        limits::take(db, now, &CHECKS_ADDRESS, &limits::subject_of(from))?;
        let locale = accounts::load(db, account)?.locale;
        Ok((emails::check(db, now, &keys, account, id, &code)?.1, locale))
    });
    let (guess, locale) = written.await?;
    Ok(page(pages::outcome(locale, &app.settings.service_name, guess == Guess::Right)))
}

fn page(body: String) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::X_FRAME_OPTIONS, "DENY"))
        .insert_header((header::CONTENT_SECURITY_POLICY, leaf::CONTENT_SECURITY_POLICY))
        .content_type("text/html; charset=utf-8")
        .body(body)
}

/// What may change of an e-mail address.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateEmail {
    /// Whether people who have this address on a card in their phone may find the account by it.
    findable: bool,
}

/// Consent to be found by an e-mail address, or take that back
///
/// Whoever writes the address on a card in his own book asks for friendship with it. Without consent such a card does
/// nothing, and nobody can tell from it whether the address is known here.
#[utoipa::path(
    tag = "accounts", security(("bearer" = [])), params(("id" = String, Path, description = "The address's id")),
    responses((status = 200, body = EmailView), Problems)
)]
#[patch("/v1/me/emails/{id}")]
pub(super) async fn update_email(
    me: SignedIn,
    app: Data<App>,
    id: Path<EmailId>,
    body: Json<UpdateEmail>,
) -> Result<Json<EmailView>> {
    let (now, id, findable) = (app.now(), id.into_inner(), body.findable);
    let written = app.db.write(me.account, move |db| emails::set_findable(db, now, me.account, id, findable));
    Ok(Json(EmailView::from(written.await?)))
}

/// Take an e-mail address away
#[utoipa::path(
    tag = "accounts", security(("bearer" = [])), params(("id" = String, Path, description = "The address's id")),
    responses((status = 204), Problems)
)]
#[delete("/v1/me/emails/{id}")]
pub(super) async fn delete_email(me: SignedIn, app: Data<App>, id: Path<EmailId>) -> Result<HttpResponse> {
    let (now, id) = (app.now(), id.into_inner());
    app.db.write(me.account, move |db| emails::remove(db, now, me.account, id)).await?;
    Ok(HttpResponse::NoContent().finish())
}
