//! Calls: the carrier's API for its customer, and the phones' for people, with their sound.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, Data, Path, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use actix_ws::AggregatedMessage;
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{broadcast, mpsc};

use super::account::{enter, form, resource};
use super::phones::number_of;
use super::world::{Problem, json_body};
use crate::error::Error;
use crate::phone::E164;
use crate::simulator::Simulator;
use crate::simulator::calls::{self, Command, Placing, Ring, Verb};
use crate::simulator::message::{API_VERSION, new_sid, rfc2822};
use crate::simulator::refusal::Refusal;
use crate::simulator::send::{field, number};

/// The carrier's own limit for a document in a parameter.
const TWIML_CHARS_MAX: usize = 4_000;
/// How long a phone rings when nobody says.
const TIMEOUT: u64 = 60;
/// Bytes of sound in one frame of a page.
const FRAME_MAX: usize = 8_000;

/// The carrier's doors, below the account.
pub fn carrier_routes(config: &mut ServiceConfig) {
    config.route("/Calls.json", web::post().to(create_call)).service(
        web::resource("/Calls/{sid}.json").route(web::get().to(find_call)).route(web::post().to(update_call)),
    );
}

/// The phones' doors.
pub fn phone_routes(config: &mut ServiceConfig) {
    config
        .service(
            web::resource("/phones/{number}/calls")
                .route(web::get().to(list_phone_calls))
                .route(web::post().to(create_phone_call)),
        )
        .route("/phones/{number}/calls/{id}/answer", web::post().to(answer_phone_call))
        .route("/phones/{number}/calls/{id}/hang-up", web::post().to(hang_up_phone_call))
        .route("/phones/{number}/calls/{id}/digits", web::post().to(press_digits))
        .route("/phones/{number}/calls/{id}/audio", web::get().to(open_audio));
}

fn call_resource(simulator: &Simulator, account: &str, sid: &str) -> Result<Value, Refusal> {
    let lines = simulator.inner.exchange.lines();
    let line = lines.get(sid).ok_or_else(|| Refusal::not_found(&format!("/Calls/{sid}.json")))?;
    let (from, to) = if line.outbound { (&line.number, &line.phone) } else { (&line.phone, &line.number) };
    Ok(json!({
        "sid": sid,
        "account_sid": account,
        "api_version": API_VERSION,
        "date_created": rfc2822(line.created_at),
        "direction": if line.outbound { "outbound-api" } else { "inbound" },
        "from": from,
        "to": to,
        "status": line.status,
        "uri": format!("/{API_VERSION}/Accounts/{account}/Calls/{sid}.json"),
    }))
}

fn document_of(form: &[(String, String)]) -> Result<Vec<Verb>, Refusal> {
    if let Some(twiml) = field(form, "Twiml") {
        if twiml.chars().count() > TWIML_CHARS_MAX {
            return Err(Refusal::bad(21220, "Twiml is longer than 4000 characters"));
        }
        return calls::read_document(twiml).ok_or_else(|| Refusal::bad(12100, "Document parse failure"));
    }
    match field(form, "Url") {
        Some(url) => Ok(vec![Verb::Redirect(url.to_owned())]),
        None => Err(Refusal::bad(21205, "Url parameter is required.")),
    }
}

async fn create_call(
    simulator: Data<Simulator>,
    request: HttpRequest,
    account: Path<String>,
    body: Bytes,
) -> Result<HttpResponse, Refusal> {
    enter(&simulator, &request, &account).await?;
    let form = form(&body);
    let to = field(&form, "To").ok_or_else(|| Refusal::bad(21201, "No 'To' number is specified"))?;
    let to = number(to).ok_or_else(|| Refusal::bad(21211, "Invalid 'To' Phone Number"))?;
    let from = field(&form, "From").ok_or_else(|| Refusal::bad(21213, "'From' phone number not provided"))?;
    let from = number(from).ok_or_else(|| Refusal::bad(21212, "Invalid 'From' Phone Number"))?;
    if !simulator.state().numbers.contains_key(&from) {
        return Err(Refusal::bad(21210, "'From' phone number not verified"));
    }
    let document = document_of(&form)?;
    let timeout = field(&form, "Timeout").and_then(|text| text.parse().ok()).unwrap_or(TIMEOUT);
    let callback = field(&form, "StatusCallback").map(str::to_owned);
    let mut events: Vec<String> = form
        .iter()
        .filter(|(key, _)| key == "StatusCallbackEvent")
        .flat_map(|(_, value)| value.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    if events.is_empty() {
        events.push("completed".to_owned());
    }
    let at = simulator.settings().clock.now();
    let placing = Placing { sid: new_sid("CA"), phone: to, number: from, at };
    let ring = Ring::new(placing, document, (callback, events), Duration::from_secs(timeout.min(600)));
    let full = |_| Refusal::new(429, 20429, "Too many requests");
    let sid = simulator.customer_calls(ring).map_err(full)?;
    Ok(resource(StatusCode::CREATED, &call_resource(&simulator, &account, &sid)?))
}

async fn find_call(
    simulator: Data<Simulator>,
    request: HttpRequest,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Refusal> {
    let (account, sid) = path.into_inner();
    enter(&simulator, &request, &account).await?;
    Ok(resource(StatusCode::OK, &call_resource(&simulator, &account, &sid)?))
}

async fn update_call(
    simulator: Data<Simulator>,
    request: HttpRequest,
    path: Path<(String, String)>,
    body: Bytes,
) -> Result<HttpResponse, Refusal> {
    let (account, sid) = path.into_inner();
    enter(&simulator, &request, &account).await?;
    let form = form(&body);
    let command = match field(&form, "Status") {
        Some("completed" | "canceled") => Command::Complete,
        Some(_) => return Err(Refusal::bad(21218, "Invalid ApplicationSid or Status")),
        None => Command::Document(document_of(&form)?),
    };
    let known = simulator.inner.exchange.lines().get(&sid).map(|line| line.commands.send(command).is_ok());
    match known {
        None => Err(Refusal::not_found(&format!("/Calls/{sid}.json"))),
        Some(false) => Err(Refusal::bad(21220, "Call is not in-progress. Cannot redirect.")),
        Some(true) => Ok(resource(StatusCode::OK, &call_resource(&simulator, &account, &sid)?)),
    }
}

async fn list_phone_calls(simulator: Data<Simulator>, number: Path<String>) -> Result<HttpResponse, Problem> {
    let calls = simulator.phone_call_list(&number_of(&number)?)?;
    Ok(HttpResponse::Ok().json(json!({ "items": calls })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreatePhoneCall {
    to: String,
}

async fn create_phone_call(
    simulator: Data<Simulator>,
    request: HttpRequest,
    number: Path<String>,
    body: Bytes,
) -> Result<HttpResponse, Problem> {
    let number = number_of(&number)?;
    let wanted: CreatePhoneCall = json_body(&request, &body)?;
    // Phones dial the way people write, in their own country.
    let to = E164::parse_human(&wanted.to, Some(&number.region()))
        .map_err(|_| Error::invalid("to", "not_a_phone_number", "This is not a telephone number."))?;
    let id = simulator.phone_calls(&number, &to)?;
    Ok(HttpResponse::Created().json(json!({ "id": id })))
}

async fn answer_phone_call(
    simulator: Data<Simulator>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    simulator.phone_answers(&number_of(&path.0)?, &path.1)?;
    Ok(HttpResponse::NoContent().finish())
}

async fn hang_up_phone_call(
    simulator: Data<Simulator>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    simulator.phone_hangs_up(&number_of(&path.0)?, &path.1)?;
    Ok(HttpResponse::NoContent().finish())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Digits {
    digits: String,
}

async fn press_digits(
    simulator: Data<Simulator>,
    request: HttpRequest,
    path: Path<(String, String)>,
    body: Bytes,
) -> Result<HttpResponse, Problem> {
    let number = number_of(&path.0)?;
    let Digits { digits } = json_body(&request, &body)?;
    let known = |c: char| c.is_ascii_digit() || matches!(c, '*' | '#');
    if digits.is_empty() || digits.len() > 32 || !digits.chars().all(known) {
        let detail = "Keys are 0 to 9, * and #, at most 32 of them.";
        return Err(Error::invalid("digits", "bad_digits", detail).into());
    }
    simulator.phone_presses(&number, &path.1, &digits)?;
    Ok(HttpResponse::NoContent().finish())
}

/// The sound of a phone: binary frames both ways, µ-law at 8 kHz, 160 bytes each.
async fn open_audio(
    simulator: Data<Simulator>,
    path: Path<(String, String)>,
    request: HttpRequest,
    body: Payload,
) -> Result<HttpResponse, Problem> {
    let (hears, speaks) = simulator.phone_sound(&number_of(&path.0)?, &path.1)?;
    let (response, session, stream) = actix_ws::handle(&request, body)
        .map_err(|_| Error::invalid("upgrade", "not_a_websocket", "This address speaks WebSocket only."))?;
    let stream = stream.max_frame_size(FRAME_MAX).aggregate_continuations().max_continuation_size(FRAME_MAX);
    actix_web::rt::spawn(carry(session, stream, hears, speaks));
    Ok(response)
}

async fn carry(
    mut session: actix_ws::Session,
    mut stream: actix_ws::AggregatedMessageStream,
    mut hears: broadcast::Receiver<bytes::Bytes>,
    speaks: mpsc::Sender<bytes::Bytes>,
) {
    loop {
        tokio::select! {
            heard = hears.recv() => match heard {
                Ok(frame) => {
                    if session.binary(frame).await.is_err() {
                        return;
                    }
                }
                // A page that is too slow misses some of it.
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => break,
            },
            message = stream.next() => match message {
                Some(Ok(AggregatedMessage::Binary(frame))) => drop(speaks.try_send(frame)),
                Some(Ok(AggregatedMessage::Ping(bytes))) => {
                    if session.pong(&bytes).await.is_err() {
                        return;
                    }
                }
                Some(Ok(AggregatedMessage::Text(_) | AggregatedMessage::Pong(_))) => {}
                Some(Ok(AggregatedMessage::Close(_)) | Err(_)) | None => break,
            },
        }
    }
    let _ = session.close(None).await;
}
