//! Looking for old messages.

use std::time::Duration;

use actix_web::{get, web};
use serde::Deserialize;
use utoipa::IntoParams;

use super::id;
use crate::accounts::auth::SignedIn;
use crate::accounts::limits::{self, Limit};
use crate::app::App;
use crate::db::Db;
use crate::error::Result;
use crate::http::{Page, Paging, Problem};
use crate::ids::{ConversationId, MessageId};
use crate::messaging::view::MessageView;
use crate::messaging::{Query, search};

/// Searches of one account: each letter that is typed may be one.
const SEARCHES: Limit =
    Limit { name: "searches_account", code: "too_many_searches", max: 120, window: Duration::from_secs(60) };

/// What to look for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct SearchQuery {
    /// One to eight words, at most 100 characters; all of them must be in the message, each may be a part of a word.
    q: String,
    /// Only in this conversation, `cnv_…`.
    conversation_id: Option<String>,
}

/// Looks for words in the messages of your conversations, newest first. Case, accents and width do not matter.
///
/// A request reads 20,000 messages at most: `next` may be there although few or no messages were found so far. At most
/// 120 requests in a minute.
#[utoipa::path(tag = "messages", security(("bearer" = [])), params(SearchQuery, Paging), responses(
    (status = 200, body = Page<MessageView>),
    (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[get("/v1/messages/search")]
pub(super) async fn search_messages(
    app: web::Data<App>,
    who: SignedIn,
    asked: web::Query<SearchQuery>,
    paging: web::Query<Paging>,
) -> Result<web::Json<Page<MessageView>>> {
    let (now, account) = (app.now(), who.account);
    let query = Query::parse(&asked.q)?;
    let only = asked
        .conversation_id
        .as_deref()
        .map(|text| id::<ConversationId>(text, "conversation"))
        .transpose()?;
    let (limit, before) = (usize::try_from(paging.limit()?).unwrap_or(1), paging.after::<MessageId>()?);
    app.db.write(account, move |db| limits::take(db, now, &SEARCHES, &account.to_string())).await?;
    let read = move |db: &mut Db| search(db, now, account, &query, (only, before), limit);
    let found = app.db.read(read).await?;
    Ok(web::Json(Page { items: found.items, next: found.next.map(|id| id.to_string()) }))
}
