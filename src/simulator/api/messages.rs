//! Messages of the carrier's API: send, read, list, take the text away, cancel, delete.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, Data, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream;
use serde_json::{Value, json};

use super::account::{authenticate, be_slow, enter, form, no_content, query, refusal, resource};
use super::paging::Paging;
use crate::clock::Timestamp;
use crate::simulator::Simulator;
use crate::simulator::message::{Message, Status, rfc2822};
use crate::simulator::refusal::Refusal;
use crate::simulator::send::{check, field, number};

pub fn routes(config: &mut ServiceConfig) {
    config
        .service(
            web::resource("/Messages.json")
                .route(web::post().to(create_message))
                .route(web::get().to(list_messages)),
        )
        .service(
            web::resource("/Messages/{sid}.json")
                .route(web::get().to(find_message))
                .route(web::post().to(update_message))
                .route(web::delete().to(delete_message)),
        )
        .route("/Messages/{sid}/Media.json", web::get().to(list_media));
}

async fn create_message(
    simulator: Data<Simulator>,
    request: HttpRequest,
    account: Path<String>,
    body: Bytes,
) -> Result<HttpResponse, Refusal> {
    authenticate(&simulator, &request, &account)?;
    let form = form(&body);
    let now = simulator.settings().clock.now();
    let (behaviour, outcome) = {
        let mut state = simulator.state();
        let behaviour = state.behaviours.take(field(&form, "To").and_then(number).as_ref());
        let outcome = match refusal(&behaviour) {
            Some(refusal) => Err(refusal),
            None => check(&state, &form, now).map(|mut send| {
                send.message.behaviour = Arc::clone(&behaviour);
                state.accept(send.message, send.send_at, now)
            }),
        };
        (behaviour, outcome)
    };
    simulator.inner.wake.notify_one();
    be_slow(&behaviour).await;
    let message = outcome?;
    if behaviour.drop_answer {
        return Ok(dropped());
    }
    Ok(resource(StatusCode::CREATED, &message.resource(&account)))
}

/// An answer whose body breaks before its first octet: the server closes the connection and says nothing.
fn dropped() -> HttpResponse {
    let broken = std::io::Error::new(std::io::ErrorKind::ConnectionAborted, "dropped on demand");
    HttpResponse::Created().streaming(stream::once(std::future::ready(Err::<Bytes, _>(broken))))
}

async fn list_messages(
    simulator: Data<Simulator>,
    request: HttpRequest,
    account: Path<String>,
) -> Result<HttpResponse, Refusal> {
    enter(&simulator, &request, &account).await?;
    let paging = Paging::read(request.path().to_owned(), query(&request))?;
    let state = simulator.state();
    let newest_first = state.order.iter().rev().filter_map(|sid| state.messages.get(sid));
    let list = paging.render(
        "messages",
        newest_first.filter(|message| fits(&paging, message)),
        |message| &message.sid,
        |message| message.resource(&account),
    );
    Ok(resource(StatusCode::OK, &list))
}

/// The filters of the list; dates by UTC day, or exact when a time is given.
fn fits(paging: &Paging, message: &Message) -> bool {
    let same =
        |name: &str, value: &str| paging.filter(name).and_then(number).is_none_or(|n| n.as_str() == value);
    let sent = message.sent_at.unwrap_or(message.created_at).to_rfc3339();
    let day = |wanted: &str| sent.get(..wanted.len().min(10)).unwrap_or_default().to_owned();
    let exact = |wanted: &str| Timestamp::from_rfc3339(wanted);
    let at = message.sent_at.unwrap_or(message.created_at);
    let compare = |name: &str, good: fn(std::cmp::Ordering) -> bool| {
        paging.filter(name).is_none_or(|wanted| match exact(wanted) {
            Some(instant) => good(at.cmp(&instant)),
            None => good(day(wanted).as_str().cmp(wanted)),
        })
    };
    same("To", message.to.as_str())
        && same("From", message.from.as_str())
        && compare("DateSent", std::cmp::Ordering::is_eq)
        && compare("DateSent>", std::cmp::Ordering::is_ge)
        && compare("DateSent<", std::cmp::Ordering::is_le)
}

async fn find_message(
    simulator: Data<Simulator>,
    request: HttpRequest,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Refusal> {
    let (account, sid) = path.into_inner();
    enter(&simulator, &request, &account).await?;
    let state = simulator.state();
    let message = state.messages.get(&sid).ok_or_else(|| Refusal::not_found(request.path()))?;
    Ok(resource(StatusCode::OK, &message.resource(&account)))
}

/// `Body=` takes the text away; `Status=canceled` takes a scheduled message back.
async fn update_message(
    simulator: Data<Simulator>,
    request: HttpRequest,
    path: Path<(String, String)>,
    body: Bytes,
) -> Result<HttpResponse, Refusal> {
    let (account, sid) = path.into_inner();
    enter(&simulator, &request, &account).await?;
    let form = form(&body);
    let now = simulator.settings().clock.now();
    let mut state = simulator.state();
    let message = state.messages.get_mut(&sid).ok_or_else(|| Refusal::not_found(request.path()))?;
    if let Some(status) = field(&form, "Status") {
        if status != "canceled" {
            return Err(Refusal::bad(20001, "Status can only be set to canceled"));
        }
        if message.status != Status::Scheduled {
            return Err(Refusal::new(409, 30409, "Message cannot be canceled: it is not scheduled"));
        }
        message.status = Status::Canceled;
        message.updated_at = now;
    } else if let Some((_, text)) = form.iter().find(|(key, _)| key == "Body") {
        if !text.is_empty() {
            return Err(Refusal::bad(20001, "Body can only be set to an empty string"));
        }
        if !message.status.is_final() {
            return Err(Refusal::new(409, 20009, "Cannot update this resource before it is complete"));
        }
        message.body.clear();
        message.updated_at = now;
    }
    Ok(resource(StatusCode::OK, &message.resource(&account)))
}

async fn delete_message(
    simulator: Data<Simulator>,
    request: HttpRequest,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Refusal> {
    let (account, sid) = path.into_inner();
    enter(&simulator, &request, &account).await?;
    let mut state = simulator.state();
    let message = state.messages.get(&sid).ok_or_else(|| Refusal::not_found(request.path()))?;
    if !message.status.is_final() {
        return Err(Refusal::new(409, 20009, "Cannot delete this resource before it is complete"));
    }
    state.delete(&sid);
    Ok(no_content())
}

async fn list_media(
    simulator: Data<Simulator>,
    request: HttpRequest,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Refusal> {
    let (account, sid) = path.into_inner();
    enter(&simulator, &request, &account).await?;
    let paging = Paging::read(request.path().to_owned(), query(&request))?;
    let state = simulator.state();
    let message = state.messages.get(&sid).ok_or_else(|| Refusal::not_found(request.path()))?;
    let at = rfc2822(message.created_at);
    // The id of a file is made from the message's, so that it is the same in every list.
    let media: Vec<(String, Value)> = message
        .media
        .iter()
        .enumerate()
        .map(|(nth, media)| {
            let hash = blake3::hash(format!("{sid} {nth}").as_bytes()).to_hex();
            let id = format!("ME{}", hash.chars().take(32).collect::<String>());
            let uri = request.path().replace("/Media.json", &format!("/Media/{id}.json"));
            let shown = json!({
                "account_sid": account, "content_type": media.content_type, "date_created": at,
                "date_updated": at, "parent_sid": sid, "sid": id, "uri": uri,
            });
            (id, shown)
        })
        .collect();
    let list = paging.render("media_list", media.iter(), |item| &item.0, |item| item.1.clone());
    Ok(resource(StatusCode::OK, &list))
}
