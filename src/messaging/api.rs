//! Conversations and messages over REST.

mod admin;
mod carriers;
mod push;

use std::time::Duration;

use actix_web::{HttpResponse, delete, get, post, put, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::price::Price;
use super::view::{self, ConversationView, MessageView};
use super::{Draft, Submitted, bridge, lookalikes, segments};
use crate::accounts::auth::SignedIn;
use crate::accounts::idempotency::Key;
use crate::app::App;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::http::{Page, Paging, Problem};
use crate::ids::{AccountId, ContactId, ConversationId, MessageId};

/// Conversations and messages.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(list_conversations)
        .service(find_conversation)
        .service(list_messages)
        .service(create_message)
        .service(create_message_to_contact)
        .service(update_read_mark)
        .service(create_preview)
        .service(push::create_push_subscription)
        .service(push::list_push_subscriptions)
        .service(push::delete_push_subscription)
        .service(push::find_push_key)
        .service(admin::list_sms)
        .service(admin::find_sms)
        .service(admin::decide_sms)
        .service(admin::list_traffic)
        .service(carriers::list_carriers)
        .service(carriers::update_carrier)
        .service(admin::list_jobs)
        .service(update_reaction)
        .service(delete_reaction)
        .service(create_typing);
}

/// What to say.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateMessage {
    /// Up to 4,000 characters; by SMS up to ten segments. May be empty when there is `media`.
    #[serde(default)]
    pub text: String,
    /// Pictures and files that you uploaded (`med_…`), at most ten; each can be sent once.
    #[serde(default)]
    pub media: Vec<String>,
    /// Your own id of it (a UUID): repeating the request with it sends nothing twice.
    pub client_id: Option<String>,
}

/// How far you have read.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateReadMark {
    /// The newest message you have seen, `msg_…`.
    pub up_to: String,
}

/// Whether you type.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateTyping {
    /// Say so every five seconds while you do, and `false` once when you stop without sending.
    pub typing: bool,
}

/// A text to be measured.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreatePreview {
    /// The text.
    pub text: String,
    /// For whom, `con_…`: the price may differ from contact to contact.
    #[serde(default)]
    pub contact_id: Option<String>,
}

/// What a text costs as an SMS.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct PreviewView {
    /// `gsm7` or `ucs2`.
    pub encoding: String,
    /// Segments.
    pub segments: u16,
    /// Units that are left in the last segment.
    pub units_left: u32,
    /// The character that makes it dear, if one does.
    pub culprit: Option<String>,
    /// The text as it is sent: with cheap characters in place of dear ones that look the same, when that saves
    /// anything.
    pub text: String,
    /// What was replaced.
    pub replaced: Vec<ReplacedView>,
    /// What all segments cost, when the operator has set a price.
    pub price: Option<PriceView>,
}

/// A character that is sent as another one.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct ReplacedView {
    /// As it was written.
    pub from: String,
    /// As it is sent.
    pub to: String,
    /// How often.
    pub count: u32,
}

/// An amount of money.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct PriceView {
    /// With a point: `0.0158`.
    pub amount: String,
    /// ISO 4217.
    pub currency: String,
}

fn id<T: std::str::FromStr>(text: &str, thing: &'static str) -> Result<T> {
    text.parse().map_err(|_| Error::not_found(thing))
}

/// Lists the conversations, the liveliest first.
#[utoipa::path(tag = "messages", params(Paging), security(("bearer" = [])), responses(
    (status = 200, body = Page<ConversationView>),
    (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[get("/v1/conversations")]
async fn list_conversations(
    app: web::Data<App>,
    who: SignedIn,
    paging: web::Query<Paging>,
) -> Result<web::Json<Page<ConversationView>>> {
    let (limit, account) = (paging.limit()?, who.account);
    let after: Option<ConversationId> = paging.after()?;
    let all = app.db.read(move |db| view::conversations(db, account, None)).await?;
    let start = after.and_then(|id| all.iter().position(|c| c.id == id)).map_or(0, |place| place + 1);
    let take = usize::try_from(limit).unwrap_or(0) + 1;
    let items: Vec<ConversationView> = all.into_iter().skip(start).take(take).collect();
    Ok(web::Json(Page::from_extra(items, limit, |c| c.id.to_string())))
}

/// Shows one conversation.
#[utoipa::path(tag = "messages", security(("bearer" = [])), params(("id" = String, Path)), responses(
    (status = 200, body = ConversationView),
    (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[get("/v1/conversations/{id}")]
async fn find_conversation(
    app: web::Data<App>,
    who: SignedIn,
    path: web::Path<String>,
) -> Result<web::Json<ConversationView>> {
    let (account, conversation) = (who.account, id::<ConversationId>(&path, "conversation")?);
    let found = app.db.read(move |db| view::conversations(db, account, Some(conversation))).await?;
    found.into_iter().next().map(web::Json).ok_or_else(|| Error::not_found("conversation"))
}

/// Lists the messages of a conversation, newest first.
#[utoipa::path(tag = "messages", security(("bearer" = [])), params(("id" = String, Path), Paging), responses(
    (status = 200, body = Page<MessageView>),
    (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[get("/v1/conversations/{id}/messages")]
async fn list_messages(
    app: web::Data<App>,
    who: SignedIn,
    path: web::Path<String>,
    paging: web::Query<Paging>,
) -> Result<web::Json<Page<MessageView>>> {
    let (account, conversation) = (who.account, id::<ConversationId>(&path, "conversation")?);
    let (limit, before) = (paging.limit()?, paging.after::<MessageId>()?);
    let items = app.db.read(move |db| view::thread(db, account, conversation, before, limit + 1)).await?;
    Ok(web::Json(Page::from_extra(items, limit, |m| m.id.to_string())))
}

fn shown(db: &mut Db, account: AccountId, submitted: Submitted) -> Result<(bool, MessageView)> {
    let created = submitted.created;
    let view = view::show(db, account, vec![submitted.message])?.into_iter().next();
    Ok((created, view.ok_or_else(|| Error::internal("the writer cannot see his own message"))?))
}

fn answer(app: &App, (created, view): (bool, MessageView)) -> HttpResponse {
    if !created {
        return HttpResponse::Ok().json(view);
    }
    match view.direction.as_str() {
        "outbound" => app.metrics.message("outbound", "queued"),
        _ => app.metrics.message("internal", "sent"),
    }
    HttpResponse::Created().json(view)
}

/// A message without an id of its own has the request's, so that it is stored once even when the process dies before it
/// could answer.
fn draft_of(body: &CreateMessage, key: Option<web::ReqData<Key>>) -> Result<Draft> {
    let media = body.media.iter().map(|text| id(text, "media")).collect::<Result<_>>()?;
    let client_id = body.client_id.clone().or_else(|| key.map(|key| key.as_client_id()));
    Ok(Draft { text: body.text.clone(), media, client_id })
}

/// Writes to a conversation.
#[utoipa::path(tag = "messages", security(("bearer" = [])), params(("id" = String, Path)), responses(
    (status = 201, body = MessageView),
    (status = 200, body = MessageView, description = "A message with this client_id was there already."),
    (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[post("/v1/conversations/{id}/messages")]
async fn create_message(
    app: web::Data<App>,
    who: SignedIn,
    path: web::Path<String>,
    key: Option<web::ReqData<Key>>,
    body: web::Json<CreateMessage>,
) -> Result<HttpResponse> {
    let (now, account) = (app.now(), who.account);
    let conversation: ConversationId = id(&path, "conversation")?;
    let draft = draft_of(&body, key)?;
    let outcome = app
        .db
        .write(account, move |db| {
            let submitted = super::submit(db, now, account, conversation, &draft)?;
            shown(db, account, submitted)
        })
        .await?;
    Ok(answer(&app, outcome))
}

/// Writes to a contact.
#[utoipa::path(tag = "messages", security(("bearer" = [])), params(("id" = String, Path)), responses(
    (status = 201, body = MessageView),
    (status = 200, body = MessageView, description = "A message with this client_id was there already."),
    (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[post("/v1/contacts/{id}/messages")]
async fn create_message_to_contact(
    app: web::Data<App>,
    who: SignedIn,
    path: web::Path<String>,
    key: Option<web::ReqData<Key>>,
    body: web::Json<CreateMessage>,
) -> Result<HttpResponse> {
    let (now, account) = (app.now(), who.account);
    let contact: ContactId = id(&path, "contact")?;
    let draft = draft_of(&body, key)?;
    let outcome = app
        .db
        .write(account, move |db| {
            let submitted = super::submit_to_contact(db, now, account, contact, &draft)?;
            shown(db, account, submitted)
        })
        .await?;
    Ok(answer(&app, outcome))
}

/// Notes how far you have read.
#[utoipa::path(tag = "messages", security(("bearer" = [])), params(("id" = String, Path)), responses(
    (status = 204, description = "Noted."),
    (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[post("/v1/conversations/{id}/read")]
async fn update_read_mark(
    app: web::Data<App>,
    who: SignedIn,
    path: web::Path<String>,
    body: web::Json<UpdateReadMark>,
) -> Result<HttpResponse> {
    let (now, account) = (app.now(), who.account);
    let conversation: ConversationId = id(&path, "conversation")?;
    let up_to: MessageId = id(&body.up_to, "message")?;
    app.db.write(account, move |db| super::read_up_to(db, now, account, conversation, up_to)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// An emoji for a message.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateReaction {
    /// One emoji.
    pub emoji: String,
}

async fn react(
    app: &App,
    account: AccountId,
    path: &str,
    emoji: Option<String>,
) -> Result<web::Json<MessageView>> {
    let (now, message) = (app.now(), id::<MessageId>(path, "message")?);
    let view = app
        .db
        .write(account, move |db| {
            let message = super::react(db, now, account, message, emoji.as_deref())?;
            let view = view::show(db, account, vec![message])?.into_iter().next();
            view.ok_or_else(|| Error::not_found("message"))
        })
        .await?;
    Ok(web::Json(view))
}

/// Puts an emoji on a message, in place of an earlier one of yours. A telephone gets it as a text.
#[utoipa::path(tag = "messages", security(("bearer" = [])), params(("id" = String, Path)), responses(
    (status = 200, body = MessageView),
    (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[put("/v1/messages/{id}/reaction")]
async fn update_reaction(
    app: web::Data<App>,
    who: SignedIn,
    path: web::Path<String>,
    body: web::Json<UpdateReaction>,
) -> Result<web::Json<MessageView>> {
    react(&app, who.account, &path, Some(body.into_inner().emoji)).await
}

/// Takes your emoji off a message.
#[utoipa::path(tag = "messages", security(("bearer" = [])), params(("id" = String, Path)), responses(
    (status = 200, body = MessageView),
    (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[delete("/v1/messages/{id}/reaction")]
async fn delete_reaction(
    app: web::Data<App>,
    who: SignedIn,
    path: web::Path<String>,
) -> Result<web::Json<MessageView>> {
    react(&app, who.account, &path, None).await
}

/// Tells the other side that you type.
///
/// Its clients get `typing.changed` if they are connected now; nothing is kept. At most twenty times in ten seconds.
#[utoipa::path(tag = "messages", security(("bearer" = [])), params(("id" = String, Path)), responses(
    (status = 204, description = "Told, if anybody is there."),
    (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[post("/v1/conversations/{id}/typing")]
async fn create_typing(
    app: web::Data<App>,
    who: SignedIn,
    path: web::Path<String>,
    body: web::Json<CreateTyping>,
) -> Result<HttpResponse> {
    let (account, typing) = (who.account, body.typing);
    let conversation: ConversationId = id(&path, "conversation")?;
    if !app.whispers.may_say(account) {
        return Err(Error::limited("too_many_signs", Duration::from_secs(10)));
    }
    let whisper = app.db.read(move |db| super::whisper(db, account, conversation, typing)).await?;
    if let Some(whisper) = whisper {
        app.whispers.tell(&whisper);
    }
    Ok(HttpResponse::NoContent().finish())
}

/// Says what a text costs as an SMS, before it is sent.
#[utoipa::path(tag = "messages", security(("bearer" = [])), responses(
    (status = 200, body = PreviewView),
    (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[post("/v1/messages/preview")]
async fn create_preview(
    app: web::Data<App>,
    who: SignedIn,
    body: web::Json<CreatePreview>,
) -> Result<web::Json<PreviewView>> {
    let draft = bridge::check_draft(&body.text)?;
    let contact = body.contact_id.as_deref().map(|text| id::<ContactId>(text, "contact")).transpose()?;
    let carrier = match contact {
        Some(contact) => {
            let account = who.account;
            app.db.read(move |db| super::submit::carrier_to(db, account, contact)).await?
        }
        None => None,
    };
    let (text, replaced) = lookalikes::economize(&draft);
    let cost = segments::Segments::count(&text);
    let encoding = match cost.encoding {
        segments::Encoding::Gsm7 => "gsm7",
        segments::Encoding::Ucs2 => "ucs2",
    };
    let replaced = replaced.into_iter().map(|r| ReplacedView { from: r.from, to: r.to, count: r.count });
    let price =
        Price::of(&app.settings.carriers, carrier.as_deref()).map(|price| price.times(cost.segment_count));
    Ok(web::Json(PreviewView {
        encoding: encoding.to_owned(),
        segments: cost.segment_count,
        units_left: cost.units_left,
        culprit: cost.culprit.map(String::from),
        replaced: replaced.collect(),
        price: price.map(|price| PriceView { amount: price.amount(), currency: price.currency }),
        text: text.into_owned(),
    }))
}
