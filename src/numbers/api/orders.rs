//! Numbers at the carriers: what is offered, what was ordered, and ordering one by hand.

use actix_web::{HttpResponse, get, post, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::accounts::auth::Admin;
use crate::app::App;
use crate::carriers::{NumberKind, NumberQuery, OfferedNumber, SendError, goods};
use crate::contacts::jobs::serve_waiting;
use crate::db::Lane;
use crate::error::{Error, Result};
use crate::http::Problems;
use crate::money::{Currency, Money};
use crate::numbers::orders::{self, Chosen, Order};
use crate::numbers::{Capabilities, reserve};
use crate::phone::E164;

/// Offers of one answer when nothing is asked for.
const OFFERS: u8 = 20;
/// Digits that are looked for at most.
const DIGITS_MAX: usize = 10;

/// The doors of orders.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(list_offers).service(list_orders).service(create_order);
}

/// What is looked for at a carrier.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OffersAsked {
    /// ISO 3166 region (`US`).
    region: String,
    /// The first digits after the country code (`202`).
    area: Option<String>,
    /// Digits that the number has somewhere.
    contains: Option<String>,
    /// `local` (as it is), `mobile` or `toll_free`.
    kind: Option<String>,
    /// What it must be able to do: `sms`, `mms`, `voice`, joined by `+`; `sms` when it is left out.
    capabilities: Option<String>,
    /// 1 to 50; 20 when it is left out.
    limit: Option<u8>,
}

/// A number that can be had.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct OfferView {
    /// E.164.
    pub number: String,
    /// `sms`, `mms`, `voice`.
    pub capabilities: Vec<String>,
    /// Where it belongs, for people.
    pub place: Option<String>,
    /// Its price each month, `1.00 USD`; null when the carrier does not say.
    pub monthly: Option<String>,
    /// Its price once.
    pub upfront: Option<String>,
    /// Both together: what [`CreateOrder::cost`] is.
    pub cost: Option<String>,
}

/// Numbers that can be had.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct OffersView {
    /// As the carrier shows them.
    pub items: Vec<OfferView>,
}

fn names(capabilities: Capabilities) -> Vec<String> {
    capabilities.names().into_iter().map(str::to_owned).collect()
}

impl From<OfferedNumber> for OfferView {
    fn from(offer: OfferedNumber) -> Self {
        OfferView {
            cost: reserve::cost_of(&offer).map(|cost| cost.to_string()),
            number: offer.number.as_str().to_owned(),
            capabilities: names(Capabilities::of(offer.features)),
            place: offer.place,
            monthly: offer.monthly.map(|price| price.to_string()),
            upfront: offer.upfront.map(|price| price.to_string()),
        }
    }
}

/// Some digits, or an error.
fn digits(field: &'static str, text: Option<&String>) -> Result<Option<String>> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    if text.len() > DIGITS_MAX || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Error::invalid(field, "bad_digits", "Up to ten digits."));
    }
    Ok(Some(text.clone()))
}

impl OffersAsked {
    fn query(&self) -> Result<NumberQuery> {
        let region = self.region.to_ascii_uppercase();
        if region.len() != 2 || !region.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err(Error::invalid("region", "bad_region", "A region has two letters, like US."));
        }
        let kind = match self.kind.as_deref() {
            None | Some("local") => NumberKind::Local,
            Some("mobile") => NumberKind::Mobile,
            Some("toll_free") => NumberKind::TollFree,
            Some(_) => {
                return Err(Error::invalid("kind", "bad_kind", "A kind is local, mobile or toll_free."));
            }
        };
        let limit = self.limit.unwrap_or(OFFERS);
        if !(1..=goods::OFFERS_MAX).contains(&limit) {
            return Err(Error::invalid("limit", "out_of_range", "A limit is 1 to 50."));
        }
        let wanted = Capabilities::parse(self.capabilities.as_deref().unwrap_or("sms"))?;
        let area = digits("area", self.area.as_ref())?;
        Ok(NumberQuery { region, kind, area, features: wanted.features(), limit })
    }
}

/// What a carrier says that cannot be asked just now.
fn refused(error: &SendError) -> Error {
    if error.is_unsupported() {
        return Error::conflict("not_sold", "This carrier sells no numbers through its interface.");
    }
    let detail = format!("The carrier could not be asked ({}). Try again.", error.code);
    Error::unavailable("carrier_away", detail).context(error.to_string())
}

/// Shows numbers that can be had from a carrier.
///
/// `contains` chooses among what the carrier shows, 50 at most; `area` is asked of the carrier itself.
#[utoipa::path(tag = "admin", params(("id" = String, Path), OffersAsked), security(("bearer" = [])),
    responses((status = 200, body = OffersView), Problems))]
#[get("/v1/admin/carriers/{id}/available-numbers")]
async fn list_offers(
    app: web::Data<App>,
    _admin: Admin,
    id: web::Path<String>,
    asked: web::Query<OffersAsked>,
) -> Result<web::Json<OffersView>> {
    let carrier = app.carriers.get(&id).cloned().ok_or_else(|| Error::not_found("carrier"))?;
    let query = asked.query()?;
    let contains = digits("contains", asked.contains.as_ref())?.unwrap_or_default();
    let widest = if contains.is_empty() { query.limit } else { goods::OFFERS_MAX };
    let wide = NumberQuery { limit: widest, ..query.clone() };
    let offers = carrier.search_numbers(&wide).await.map_err(|error| refused(&error))?;
    let fits = |offer: &OfferedNumber| offer.number.digits().contains(&contains);
    let items = offers.into_iter().filter(fits).take(usize::from(query.limit)).map(OfferView::from);
    Ok(web::Json(OffersView { items: items.collect() }))
}

/// A number that was ordered.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct OrderView {
    /// Our reference at the carrier.
    pub reference: String,
    /// The carrier.
    pub carrier: String,
    /// ISO 3166 region.
    pub region: String,
    /// E.164.
    pub number: String,
    /// `sms`, `mms`, `voice`.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// `planned` (a dry run), `pending`, `unknown` (its answer was lost; the carrier is asked again), `done` or
    /// `refused`.
    pub state: String,
    /// What it costs in the first month.
    pub cost: String,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// Why the carrier has not done it, in the answer to the request that has asked it.
    #[serde(default)]
    pub problem: Option<String>,
}

impl From<Order> for OrderView {
    fn from(order: Order) -> Self {
        OrderView {
            cost: Currency::parse(&order.currency)
                .map(|currency| Money { micros: order.cost_micros, currency }.to_string())
                .unwrap_or_default(),
            reference: order.reference,
            carrier: order.carrier_id,
            region: order.region,
            number: order.number.as_str().to_owned(),
            capabilities: names(Capabilities(order.capabilities)),
            state: order.state,
            created_at: order.created_at.to_rfc3339(),
            problem: None,
        }
    }
}

/// Numbers that were ordered.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct OrdersView {
    /// The newest first, at most 500.
    pub items: Vec<OrderView>,
}

/// Lists the numbers that were ordered, by hand or for the reserve, or would have been.
#[utoipa::path(tag = "admin", security(("bearer" = [])), responses((status = 200, body = OrdersView), Problems))]
#[get("/v1/admin/numbers/orders")]
async fn list_orders(app: web::Data<App>, _admin: Admin) -> Result<web::Json<OrdersView>> {
    let items = app.db.read(orders::list).await?.into_iter().map(OrderView::from).collect();
    Ok(web::Json(OrdersView { items }))
}

/// A number to order.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateOrder {
    /// The carrier's id in the settings.
    pub carrier: String,
    /// E.164.
    pub number: String,
    /// `sms`, `mms`, `voice`: what the offer has.
    pub capabilities: Vec<String>,
    /// What the offer said that it costs, `1.50 USD`; counted to what the month has cost.
    #[serde(default)]
    pub cost: Option<String>,
}

impl CreateOrder {
    fn check(&self, app: &App) -> Result<Chosen> {
        let carrier = app.carriers.get(&self.carrier);
        let Some(carrier) = carrier else {
            let detail = "No carrier of this id is in the settings.";
            return Err(Error::invalid("carrier", "unknown_carrier", detail));
        };
        if !carrier.capabilities().numbers.order {
            return Err(refused(&SendError::unsupported("be asked for numbers")));
        }
        let number = E164::parse(&self.number).ok().filter(|number| !number.region().is_empty());
        let bad = || Error::invalid("number", "not_a_phone_number", "It must be like +12025550123.");
        let money = |text: &String| {
            let (amount, currency) = text.split_once(' ')?;
            Money::parse(amount, Currency::parse(currency)?)
        };
        let cost = match &self.cost {
            None => None,
            Some(text) => {
                let bad = || Error::invalid("cost", "bad_amount", "An amount is like 1.50 USD.");
                Some(money(text).filter(|cost| cost.micros >= 0).ok_or_else(bad)?)
            }
        };
        Ok(Chosen {
            carrier_id: self.carrier.clone(),
            number: number.ok_or_else(bad)?,
            capabilities: Capabilities::parse(&self.capabilities.join("+"))?,
            cost,
        })
    }
}

/// Orders a number; it joins the pool as soon as it is ours, and contacts that wait are served.
///
/// The same request again orders nothing twice: it asks the carrier how far the order is (200). Only after a refusal is
/// there a new one.
#[utoipa::path(tag = "admin", security(("bearer" = [])),
    responses((status = 201, body = OrderView), (status = 200, body = OrderView), Problems))]
#[post("/v1/admin/numbers/orders")]
async fn create_order(
    app: web::Data<App>,
    _admin: Admin,
    body: web::Json<CreateOrder>,
) -> Result<HttpResponse> {
    let chosen = body.check(&app)?;
    let placed = orders::place(&app, chosen).await?;
    if placed.has_grown {
        let (now, ageing) = (app.now(), app.settings.number_ageing());
        let serve = move |db: &mut crate::db::Db| {
            crate::numbers::end_ageing(db, now, ageing)?;
            serve_waiting(db, now)
        };
        app.db.write(Lane::Any, serve).await?;
    }
    let view = OrderView { problem: placed.problem, ..OrderView::from(placed.order) };
    let mut answer = if placed.is_new { HttpResponse::Created() } else { HttpResponse::Ok() };
    Ok(answer.json(view))
}
