//! The pool over REST, for operators.

mod orders;

use actix_web::{HttpResponse, delete, get, patch, post, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::forecast::{self, Held};
use super::{Capabilities, Import, Number, NumberState};
use crate::accounts::auth::Admin;
use crate::app::App;
use crate::clock::Timestamp;
use crate::contacts::jobs::serve_waiting;
use crate::db::Lane;
use crate::error::{Error, Result};
use crate::http::{Page, Paging, Problems};
use crate::ids::NumberId;
use crate::phone::E164;
use crate::{contacts, messaging, numbers};

/// Numbers in one import at most.
const IMPORT_MAX: usize = 10_000;

/// The operator's numbers.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(list_numbers)
        .service(create_numbers)
        .service(list_usage)
        .service(list_forecasts)
        .service(update_number)
        .service(create_port)
        .service(delete_number)
        .configure(orders::routes);
}

/// A number of the pool.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct NumberView {
    /// `num_…`
    #[schema(value_type = String)]
    pub id: NumberId,
    /// E.164.
    pub number: String,
    /// ISO 3166 region.
    pub region: String,
    /// The carrier it is reached through.
    pub carrier: String,
    /// `sms`, `mms`, `voice`.
    pub capabilities: Vec<String>,
    /// `available`, `suspended` or `retired`.
    pub state: String,
    /// When it joined the pool, RFC 3339.
    pub created_at: String,
    /// When it was taken out of service, RFC 3339. A suspended number that has this came back and ages
    /// (`number_ageing_days`) before it is given to anybody.
    #[serde(default)]
    pub retired_at: Option<String>,
}

impl From<Number> for NumberView {
    fn from(number: Number) -> Self {
        NumberView {
            id: number.id,
            number: number.number.as_str().to_owned(),
            region: number.region,
            carrier: number.carrier_id,
            capabilities: number.capabilities.names().into_iter().map(str::to_owned).collect(),
            state: number.state.as_str().to_owned(),
            created_at: number.created_at.to_rfc3339(),
            retired_at: number.retired_at.map(Timestamp::to_rfc3339),
        }
    }
}

/// A number to add.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateNumber {
    /// E.164.
    pub number: String,
    /// The carrier's id in the settings.
    pub carrier: String,
    /// `sms`, `mms`, `voice`.
    pub capabilities: Vec<String>,
}

/// Numbers to add.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateNumbers {
    /// Up to 10,000.
    pub numbers: Vec<CreateNumber>,
}

/// What came of an import.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ImportView {
    /// Numbers that are new.
    pub imported: usize,
    /// Numbers that were there already.
    pub already: usize,
}

/// How many numbers of a region are in a state.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct UsageCount {
    /// ISO 3166 region.
    pub region: String,
    /// `available`, `suspended` or `retired`.
    pub state: String,
    /// Numbers.
    pub count: i64,
}

/// The pool at a glance.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct UsageView {
    /// By region and state.
    pub numbers: Vec<UsageCount>,
    /// The most pairs any account has in use or at rest: the pool of its region must be larger.
    pub largest_holding: i64,
    /// Contacts that wait for a number because the pool has run out.
    pub waiting: i64,
}

/// Lists the numbers of the pool.
#[utoipa::path(tag = "admin", params(Paging), security(("bearer" = [])),
    responses((status = 200, body = Page<NumberView>), Problems))]
#[get("/v1/admin/numbers")]
async fn list_numbers(
    app: web::Data<App>,
    _admin: Admin,
    paging: web::Query<Paging>,
) -> Result<web::Json<Page<NumberView>>> {
    let (limit, after) = (paging.limit()?, paging.after::<NumberId>()?);
    let found = app.db.read(move |db| numbers::list(db, after, limit + 1)).await?;
    let items = found.into_iter().map(NumberView::from).collect();
    Ok(web::Json(Page::from_extra(items, limit, |n: &NumberView| n.id.to_string())))
}

/// Adds numbers to the pool; contacts that wait are served.
#[utoipa::path(tag = "admin", security(("bearer" = [])), responses((status = 201, body = ImportView), Problems))]
#[post("/v1/admin/numbers")]
async fn create_numbers(
    app: web::Data<App>,
    _admin: Admin,
    body: web::Json<CreateNumbers>,
) -> Result<HttpResponse> {
    let imports = checked(&app, &body.numbers)?;
    let (now, count, ageing) = (app.now(), imports.len(), app.settings.number_ageing());
    let imported = app
        .db
        .write(Lane::Any, move |db| {
            let imported = numbers::import(db, now, &imports)?;
            numbers::end_ageing(db, now, ageing)?;
            if imported > 0 {
                serve_waiting(db, now)?;
            }
            Ok(imported)
        })
        .await?;
    Ok(HttpResponse::Created().json(ImportView { imported, already: count - imported }))
}

fn checked(app: &App, numbers: &[CreateNumber]) -> Result<Vec<Import>> {
    if numbers.is_empty() || numbers.len() > IMPORT_MAX {
        return Err(Error::invalid("numbers", "out_of_range", "An import has 1 to 10,000 numbers."));
    }
    let check = |(place, number): (usize, &CreateNumber)| {
        let e164 = E164::parse(&number.number).map_err(|_| {
            Error::invalid(
                format!("numbers.{place}.number"),
                "not_a_phone_number",
                "It must be like +12025550123.",
            )
        })?;
        if app.carriers.get(&number.carrier).is_none() {
            let field = format!("numbers.{place}.carrier");
            return Err(Error::invalid(
                field,
                "unknown_carrier",
                "No carrier of this id is in the settings.",
            ));
        }
        let capabilities = Capabilities::parse(&number.capabilities.join("+"))?;
        Ok(Import { number: e164, carrier_id: number.carrier.clone(), capabilities })
    };
    numbers.iter().enumerate().map(check).collect()
}

/// Shows how full the pool is.
#[utoipa::path(tag = "admin", security(("bearer" = [])), responses((status = 200, body = UsageView), Problems))]
#[get("/v1/admin/numbers/usage")]
async fn list_usage(app: web::Data<App>, _admin: Admin) -> Result<web::Json<UsageView>> {
    let usage = app
        .db
        .read(|db| {
            let counts = numbers::counts(db)?;
            let to_view = |(region, state, count)| UsageCount { region, state, count };
            Ok(UsageView {
                numbers: counts.into_iter().map(to_view).collect(),
                largest_holding: numbers::largest_holding(db)?,
                waiting: contacts::count_waiting(db)?,
            })
        })
        .await?;
    Ok(web::Json(usage))
}

/// What the largest holding was at the end of a day.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct HoldingView {
    /// The end of the day, RFC 3339.
    pub at: String,
    /// Pairs in use or at rest.
    pub held: i64,
}

/// How long the pool of a region will do.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ForecastView {
    /// ISO 3166 region.
    pub region: String,
    /// Numbers that can be given.
    pub numbers: i64,
    /// The account with the most pairs, on each of the last 30 days.
    pub days: Vec<HoldingView>,
    /// In how many days the pool is full if the holding grows on as it did; null when it does not grow.
    pub full_in_days: Option<i64>,
}

/// How long the pools will do.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ForecastsView {
    /// By region.
    pub items: Vec<ForecastView>,
}

/// Shows how long the pools will do: a pool is full when its largest account has all of its numbers.
#[utoipa::path(tag = "admin", security(("bearer" = [])), responses((status = 200, body = ForecastsView), Problems))]
#[get("/v1/admin/numbers/forecast")]
async fn list_forecasts(app: web::Data<App>, _admin: Admin) -> Result<web::Json<ForecastsView>> {
    let now = app.now();
    let read = app.db.read(move |db| Ok((numbers::counts(db)?, numbers::largest_holder(db, now)?)));
    let (counts, held) = read.await?;
    let mut items: Vec<ForecastView> = counts
        .iter()
        .filter(|(_, state, _)| state == "available")
        .map(|(region, _, count)| {
            let own: Vec<Held> = held.iter().filter(|(r, _)| r == region).map(|(_, h)| *h).collect();
            let days = forecast::days(now, &own);
            ForecastView {
                region: region.clone(),
                numbers: *count,
                full_in_days: forecast::full_in_days(&days, *count),
                days: days.iter().map(|d| HoldingView { at: d.at.to_rfc3339(), held: d.held }).collect(),
            }
        })
        .collect();
    items.sort_by(|a, b| a.region.cmp(&b.region));
    Ok(web::Json(ForecastsView { items }))
}

/// What is to change about a number.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateNumber {
    /// `suspended`: those who have it keep it, nobody else gets it. `available`: as before.
    pub state: String,
}

/// Suspends a number, or makes it available again.
#[utoipa::path(tag = "admin", params(("id" = String, Path)), security(("bearer" = [])),
    responses((status = 200, body = NumberView), Problems))]
#[patch("/v1/admin/numbers/{id}")]
async fn update_number(
    app: web::Data<App>,
    _admin: Admin,
    path: web::Path<String>,
    body: web::Json<UpdateNumber>,
) -> Result<web::Json<NumberView>> {
    let id: NumberId = path.parse().map_err(|_| Error::not_found("number"))?;
    let now = app.now();
    let state = match body.state.as_str() {
        "available" => NumberState::Available,
        "suspended" => NumberState::Suspended,
        _ => return Err(Error::invalid("state", "bad_state", "A state is available or suspended.")),
    };
    let written = app.db.write(Lane::Any, move |db| {
        let number = numbers::suspend(db, now, id, state)?;
        if state == NumberState::Available {
            serve_waiting(db, now)?;
        }
        Ok(number)
    });
    Ok(web::Json(NumberView::from(written.await?)))
}

/// Where a number went.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreatePort {
    /// The carrier's id in the settings.
    pub carrier: String,
}

/// Says that a number is another carrier's now. Whoever has it keeps it, and what waits leaves through that one.
#[utoipa::path(tag = "admin", params(("id" = String, Path)), security(("bearer" = [])),
    responses((status = 200, body = NumberView), Problems))]
#[post("/v1/admin/numbers/{id}/port")]
async fn create_port(
    app: web::Data<App>,
    _admin: Admin,
    path: web::Path<String>,
    body: web::Json<CreatePort>,
) -> Result<web::Json<NumberView>> {
    let id: NumberId = path.parse().map_err(|_| Error::not_found("number"))?;
    let (now, carrier) = (app.now(), body.into_inner().carrier);
    if app.carriers.get(&carrier).is_none() {
        let detail = "No carrier of this id is in the settings.";
        return Err(Error::invalid("carrier", "unknown_carrier", detail));
    }
    let written = app.db.write(Lane::Any, move |db| messaging::port_number(db, now, id, &carrier));
    Ok(web::Json(NumberView::from(written.await?)))
}

/// Takes a number out of service for good. Its contacts get another one, and their cards are updated.
#[utoipa::path(tag = "admin", params(("id" = String, Path)), security(("bearer" = [])),
    responses((status = 204, description = "Retired; replacements are on their way."), Problems))]
#[delete("/v1/admin/numbers/{id}")]
async fn delete_number(app: web::Data<App>, _admin: Admin, path: web::Path<String>) -> Result<HttpResponse> {
    let id: NumberId = path.parse().map_err(|_| Error::not_found("number"))?;
    let now = app.now();
    app.db.write(Lane::Any, move |db| contacts::jobs::retire_number(db, now, id)).await?;
    Ok(HttpResponse::NoContent().finish())
}
