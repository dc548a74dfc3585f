//! Conversations and messages over REST.

mod admin;
mod carriers;
mod guard;
mod health;
mod preview;
mod push;
mod search;

use std::time::Duration;

use actix_web::{HttpResponse, delete, get, post, put, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::view::{self, ConversationView, MessageView};
use super::{Draft, Submitted};
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
        .service(preview::create_preview)
        .service(search::search_messages)
        .service(push::create_push_subscription)
        .service(push::list_push_subscriptions)
        .service(push::delete_push_subscription)
        .service(push::find_push_key)
        .service(admin::list_sms)
        .service(admin::find_sms)
        .service(admin::decide_many_sms)
        .service(admin::decide_sms)
        .service(admin::list_traffic)
        .service(carriers::list_carriers)
        .service(carriers::update_carrier)
        .service(admin::list_jobs)
        .service(update_reaction)
        .service(delete_reaction)
        .service(create_typing)
        .service(guard::find_text_guard)
        .service(guard::decide_held_texts)
        .service(guard::update_text_guard)
        .service(health::list_number_health);
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
    /// The message of this conversation that it answers, `msg_…`. A telephone gets a line of it above the text, when
    /// that costs no SMS segment more.
    #[serde(default)]
    pub reply_to: Option<String>,
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

/// From where a conversation is read the other way.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Forward {
    /// A message: the page has it and those that follow it, newest first, and `next` is the `from` of the page after.
    /// `after` has no meaning then.
    from: Option<String>,
}

/// Lists the messages of a conversation, newest first.
#[utoipa::path(tag = "messages", security(("bearer" = [])), params(("id" = String, Path), Paging, Forward), responses(
    (status = 200, body = Page<MessageView>),
    (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[get("/v1/conversations/{id}/messages")]
async fn list_messages(
    app: web::Data<App>,
    who: SignedIn,
    path: web::Path<String>,
    paging: web::Query<Paging>,
    forward: web::Query<Forward>,
) -> Result<web::Json<Page<MessageView>>> {
    let (account, conversation) = (who.account, id::<ConversationId>(&path, "conversation")?);
    if let Some(from) = &forward.from {
        let (limit, from) = (paging.limit()?, id::<MessageId>(from, "message")?);
        let read = move |db: &mut Db| view::thread_from(db, account, conversation, from, limit + 1);
        let mut items = app.db.read(read).await?;
        let more = i64::try_from(items.len()).is_ok_and(|count| count > limit);
        // The one too many is the newest: where the next page begins.
        let next = if more { Some(items.remove(0).id.to_string()) } else { None };
        return Ok(web::Json(Page { items, next }));
    }
    let (limit, before) = (paging.limit()?, paging.after::<MessageId>()?);
    let items = app.db.read(move |db| view::thread(db, account, conversation, before, limit + 1)).await?;
    Ok(web::Json(Page::from_extra(items, limit, |m| m.id.to_string())))
}

fn named_reply(text: &str) -> Result<MessageId> {
    text.parse()
        .map_err(|_| Error::invalid("reply_to", "unknown_message", "reply_to is the id of a message."))
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
    let reply_to = body.reply_to.as_deref().map(named_reply).transpose()?;
    let client_id = body.client_id.clone().or_else(|| key.map(|key| key.as_client_id()));
    Ok(Draft { text: body.text.clone(), media, reply_to, client_id })
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
    let (draft, able) = (draft_of(&body, key)?, app.carriers.group_max());
    let outcome = app
        .db
        .write(account, move |db| {
            let submitted = super::submit(db, now, account, conversation, &draft, &able)?;
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
