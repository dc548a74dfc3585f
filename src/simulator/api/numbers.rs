//! Numbers of the carrier's API: search, rent, set up, give back.

use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, Data, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::account::{enter, form, no_content, query, resource};
use super::paging::Paging;
use crate::phone::E164;
use crate::simulator::Simulator;
use crate::simulator::pool::{self, OwnedNumber, Search};
use crate::simulator::refusal::Refusal;
use crate::simulator::send::{Form, field, number};
use crate::simulator::state::{NUMBERS_MAX, State};

/// The carrier shows so many free numbers when no page size is given.
const FOUND_MAX: usize = 30;

pub fn routes(config: &mut ServiceConfig) {
    config
        .service(
            web::resource(["/IncomingPhoneNumbers.json", "/IncomingPhoneNumbers/Local.json"])
                .route(web::get().to(list_numbers))
                .route(web::post().to(create_number)),
        )
        .service(
            web::resource("/IncomingPhoneNumbers/{sid}.json")
                .route(web::get().to(find_number))
                .route(web::post().to(update_number))
                .route(web::delete().to(delete_number)),
        )
        .route("/AvailablePhoneNumbers/{country}/{kind}.json", web::get().to(list_available_numbers));
}

async fn list_numbers(
    simulator: Data<Simulator>,
    request: HttpRequest,
    account: Path<String>,
) -> Result<HttpResponse, Refusal> {
    enter(&simulator, &request, &account).await?;
    let paging = Paging::read(request.path().to_owned(), query(&request))?;
    let wanted = paging.filter("PhoneNumber").unwrap_or_default().to_owned();
    let digits: String = wanted.chars().filter(|c| c.is_ascii_digit() || *c == '*').collect();
    let state = simulator.state();
    let list = paging.render(
        "incoming_phone_numbers",
        state.numbers.values().filter(|owned| pool::contains(owned.number.as_str(), &digits)),
        |owned| &owned.sid,
        |owned| owned.resource(&account),
    );
    Ok(resource(StatusCode::OK, &list))
}

async fn create_number(
    simulator: Data<Simulator>,
    request: HttpRequest,
    account: Path<String>,
    body: Bytes,
) -> Result<HttpResponse, Refusal> {
    enter(&simulator, &request, &account).await?;
    let form = form(&body);
    check_urls(&form)?;
    let mut state = simulator.state();
    if state.numbers.len() >= NUMBERS_MAX {
        return Err(Refusal::bad(21404, "The account rents as many numbers as it may"));
    }
    let number = choose(&state, &form)?;
    let now = simulator.settings().clock.now();
    let mut owned = OwnedNumber::new(number.clone(), now);
    owned.update(&form, now);
    let shown = owned.resource(&account);
    state.numbers.insert(number, owned);
    Ok(resource(StatusCode::CREATED, &shown))
}

/// The number that is named, or the first free one of the area.
fn choose(state: &State, form: &Form) -> Result<E164, Refusal> {
    if let Some(text) = field(form, "PhoneNumber") {
        let number =
            number(text).ok_or_else(|| Refusal::bad(21421, format!("{text} is not a valid number")))?;
        if !pool::is_offered(&number) || is_taken(state, &number) {
            return Err(Refusal::bad(21422, format!("{number} is not available.")));
        }
        return Ok(number);
    }
    let area_code = field(form, "AreaCode").map(str::to_owned);
    if area_code.is_none() {
        return Err(Refusal::bad(21421, "Either PhoneNumber or AreaCode is required"));
    }
    let search = Search { country: "US".to_owned(), kind: "Local".to_owned(), area_code, contains: None };
    let free =
        pool::candidates(&search).unwrap_or_default().into_iter().find(|number| !is_taken(state, number));
    free.ok_or_else(|| Refusal::bad(21452, "No phone numbers found in the area code"))
}

fn is_taken(state: &State, number: &E164) -> bool {
    state.numbers.contains_key(number) || state.phones.contains_key(number)
}

fn check_urls(form: &Form) -> Result<(), Refusal> {
    let urls = ["SmsUrl", "SmsFallbackUrl", "VoiceUrl", "VoiceFallbackUrl", "StatusCallback"];
    for name in urls {
        let Some(text) = field(form, name) else { continue };
        if !crate::simulator::send::is_url(text) {
            return Err(Refusal::bad(21402, format!("{name} is not a valid URL")));
        }
    }
    Ok(())
}

fn find<'a>(state: &'a mut State, sid: &str, path: &str) -> Result<&'a mut OwnedNumber, Refusal> {
    state.numbers.values_mut().find(|owned| owned.sid == sid).ok_or_else(|| Refusal::not_found(path))
}

async fn find_number(
    simulator: Data<Simulator>,
    request: HttpRequest,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Refusal> {
    let (account, sid) = path.into_inner();
    enter(&simulator, &request, &account).await?;
    let mut state = simulator.state();
    Ok(resource(StatusCode::OK, &find(&mut state, &sid, request.path())?.resource(&account)))
}

async fn update_number(
    simulator: Data<Simulator>,
    request: HttpRequest,
    path: Path<(String, String)>,
    body: Bytes,
) -> Result<HttpResponse, Refusal> {
    let (account, sid) = path.into_inner();
    enter(&simulator, &request, &account).await?;
    let form = form(&body);
    check_urls(&form)?;
    let now = simulator.settings().clock.now();
    let mut state = simulator.state();
    let owned = find(&mut state, &sid, request.path())?;
    owned.update(&form, now);
    Ok(resource(StatusCode::OK, &owned.resource(&account)))
}

async fn delete_number(
    simulator: Data<Simulator>,
    request: HttpRequest,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Refusal> {
    let (account, sid) = path.into_inner();
    enter(&simulator, &request, &account).await?;
    let mut state = simulator.state();
    let number = find(&mut state, &sid, request.path())?.number.clone();
    state.numbers.remove(&number);
    Ok(no_content())
}

async fn list_available_numbers(
    simulator: Data<Simulator>,
    request: HttpRequest,
    path: Path<(String, String, String)>,
) -> Result<HttpResponse, Refusal> {
    let (account, country, kind) = path.into_inner();
    enter(&simulator, &request, &account).await?;
    let query = query(&request);
    let wanted = |name: &str| field(&query, name).map(str::to_owned);
    let search = Search {
        country: country.clone(),
        kind,
        area_code: wanted("AreaCode"),
        contains: wanted("Contains"),
    };
    let size = wanted("PageSize").and_then(|size| size.parse().ok()).unwrap_or(FOUND_MAX).min(1_000);
    let found = pool::candidates(&search).ok_or_else(|| Refusal::not_found(request.path()))?;
    let state = simulator.state();
    let shown: Vec<Value> = found
        .iter()
        .filter(|number| !is_taken(&state, number))
        .take(size)
        .map(|number| pool::available_resource(number, &country))
        .collect();
    let uri = format!("{}?{}", request.path(), request.query_string());
    Ok(resource(StatusCode::OK, &json!({ "available_phone_numbers": shown, "uri": uri })))
}
