//! Phones by REST: add, look at, write, switch, sync, take away.

use actix_web::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use actix_web::web::{self, Bytes, Data, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::json;

use super::world::{Problem, json_body};
use crate::error::{Error, Result};
use crate::phone::E164;
use crate::simulator::Simulator;
use crate::simulator::message::Media;
use crate::simulator::phones::{CardDavAccount, NewPhone, Phone, Power};

pub fn routes(config: &mut ServiceConfig) {
    config
        .service(
            web::resource("/phones").route(web::get().to(list_phones)).route(web::post().to(create_phone)),
        )
        .service(
            web::resource("/phones/{number}")
                .route(web::get().to(find_phone))
                .route(web::delete().to(delete_phone)),
        )
        .route("/phones/{number}/messages", web::post().to(create_phone_message))
        .route("/phones/{number}/power", web::put().to(update_power))
        .route("/phones/{number}/carddav", web::put().to(update_carddav))
        .route("/phones/{number}/sync", web::post().to(create_sync))
        .route("/phones/{number}/contacts/{contact}/photo", web::get().to(find_photo));
}

/// The number of a path: with its `+`, percent-encoded or not, or without.
pub fn number_of(text: &str) -> Result<E164> {
    E164::parse(text)
        .or_else(|_| E164::parse(&format!("+{}", text.trim())))
        .map_err(|_| Error::not_found("phone"))
}

async fn list_phones(simulator: Data<Simulator>) -> HttpResponse {
    let items: Vec<_> = simulator.state().phones.values().map(Phone::summary).collect();
    HttpResponse::Ok().json(json!({ "items": items }))
}

async fn create_phone(
    simulator: Data<Simulator>,
    request: HttpRequest,
    body: Bytes,
) -> Result<HttpResponse, Problem> {
    let phone: NewPhone = json_body(&request, &body)?;
    let number = phone.number.clone();
    simulator.add_phone(phone)?;
    Ok(HttpResponse::Created().json(simulator.phone(&number)?))
}

async fn find_phone(simulator: Data<Simulator>, number: Path<String>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(simulator.phone(&number_of(&number)?)?))
}

async fn delete_phone(simulator: Data<Simulator>, number: Path<String>) -> Result<HttpResponse, Problem> {
    simulator.remove_phone(&number_of(&number)?)?;
    Ok(HttpResponse::NoContent().finish())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreatePhoneMessage {
    to: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    media: Vec<Media>,
}

async fn create_phone_message(
    simulator: Data<Simulator>,
    request: HttpRequest,
    number: Path<String>,
    body: Bytes,
) -> Result<HttpResponse, Problem> {
    let number = number_of(&number)?;
    let message: CreatePhoneMessage = json_body(&request, &body)?;
    // Phones dial the way people write, in their own country.
    let to = E164::parse_human(&message.to, Some(&number.region()))
        .map_err(|_| Error::invalid("to", "not_a_phone_number", "This is not a telephone number."))?;
    let sid = simulator.phone_sends(&number, &to, &message.text, message.media)?;
    Ok(HttpResponse::Created().json(json!({ "to": to, "message_sid": sid })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UpdatePower {
    on: bool,
}

async fn update_power(
    simulator: Data<Simulator>,
    request: HttpRequest,
    number: Path<String>,
    body: Bytes,
) -> Result<HttpResponse, Problem> {
    let number = number_of(&number)?;
    let power = if json_body::<UpdatePower>(&request, &body)?.on { Power::On } else { Power::Off };
    simulator.set_power(&number, power)?;
    Ok(HttpResponse::Ok().json(json!({ "power": power })))
}

async fn update_carddav(
    simulator: Data<Simulator>,
    request: HttpRequest,
    number: Path<String>,
    body: Bytes,
) -> Result<HttpResponse, Problem> {
    let number = number_of(&number)?;
    simulator.set_address_book(&number, json_body::<CardDavAccount>(&request, &body)?)?;
    Ok(HttpResponse::Ok().json(simulator.phone(&number)?))
}

async fn create_sync(simulator: Data<Simulator>, number: Path<String>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(simulator.sync_phone(&number_of(&number)?).await?))
}

async fn find_photo(
    simulator: Data<Simulator>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let (number, contact) = path.into_inner();
    let number = number_of(&number)?;
    let state = simulator.state();
    let phone = state.phones.get(&number).ok_or_else(|| Error::not_found("phone"))?;
    let stored = phone.contacts.iter().find(|stored| stored.shown.id == contact);
    let photo = stored.and_then(|stored| stored.photo.as_ref()).ok_or_else(|| Error::not_found("picture"))?;
    Ok(HttpResponse::Ok()
        .content_type(photo.content_type)
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(photo.bytes.clone()))
}
