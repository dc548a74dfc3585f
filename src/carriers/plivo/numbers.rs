//! Numbers at Plivo: search, order, release, list. `/PhoneNumber/` is what can be had, `/Number/` what we have.

use serde::Deserialize;

use super::parse;
use super::send::Api;
use crate::carriers::answers;
use crate::carriers::{
    Features, NumberKind, NumberOrder, NumberQuery, OfferedNumber, OrderState, Ordered, OwnedNumber,
    OwnedNumbers, SendError,
};
use crate::money::{Currency, Money};
use crate::phone::E164;

/// What a page holds at most, by the API's own limit.
const PAGE: usize = 20;

#[derive(Deserialize)]
struct Listing {
    number: String,
    #[serde(default)]
    sms_enabled: bool,
    #[serde(default)]
    mms_enabled: bool,
    #[serde(default)]
    voice_enabled: bool,
    #[serde(default)]
    monthly_rental_rate: Option<String>,
    #[serde(default)]
    setup_rate: Option<String>,
    #[serde(default)]
    city: Option<String>,
    #[serde(default)]
    region: Option<String>,
}

impl Listing {
    fn features(&self) -> Features {
        Features { sms: self.sms_enabled, mms: self.mms_enabled, voice: self.voice_enabled }
    }
}

#[derive(Deserialize)]
struct Listings {
    #[serde(default)]
    objects: Vec<Listing>,
    #[serde(default)]
    meta: Meta,
}

#[derive(Default, Deserialize)]
struct Meta {
    #[serde(default)]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Bought {
    #[serde(default)]
    status: String,
}

fn price(text: Option<&str>) -> Option<Money> {
    Money::parse(text?, Currency::USD)
}

/// Shows numbers that can be had.
pub(super) async fn search(api: &Api, query: &NumberQuery) -> Result<Vec<OfferedNumber>, SendError> {
    let kind = match query.kind {
        NumberKind::Local => "local",
        NumberKind::Mobile => "mobile",
        NumberKind::TollFree => "tollfree",
    };
    let Features { sms, mms, voice } = query.features;
    let services = [("sms", sms), ("mms", mms), ("voice", voice)];
    let services: Vec<&str> =
        services.into_iter().filter(|(_, wanted)| *wanted).map(|(name, _)| name).collect();
    let services = services.join(",");
    let limit = usize::from(query.limit).clamp(1, PAGE).to_string();
    let mut pairs = vec![("country_iso", query.region.as_str()), ("type", kind), ("limit", limit.as_str())];
    if let Some(area) = &query.area {
        pairs.push(("pattern", area));
    }
    if !services.is_empty() {
        pairs.push(("services", &services));
    }
    let answer = api.must(api.net.get(&api.url("PhoneNumber/")).query(&pairs)).await?;
    let found: Listings = answer.json().map_err(|_| answers::unreadable(&answer))?;
    let offers = found.objects.into_iter().filter_map(|listing| {
        let place: Vec<&str> =
            [&listing.city, &listing.region].into_iter().flatten().map(String::as_str).collect();
        Some(OfferedNumber {
            number: parse::number(&listing.number)?,
            features: listing.features(),
            monthly: price(listing.monthly_rental_rate.as_deref()),
            upfront: price(listing.setup_rate.as_deref()),
            place: Some(place.join(", ")).filter(|place| !place.is_empty()),
        })
    });
    Ok(offers.collect())
}

/// Whether we have a number.
async fn is_ours(api: &Api, number: &E164) -> Result<bool, SendError> {
    let answer = api.ask(api.net.get(&api.url(&format!("Number/{}/", number.digits())))).await?;
    match answer.status {
        200..=299 => Ok(true),
        404 => Ok(false),
        _ => Err(super::errors::from_answer(&answer)),
    }
}

/// Orders a number; when we have it already, only sees that it is bound to our application.
pub(super) async fn order(api: &Api, order: &NumberOrder) -> Result<Ordered, SendError> {
    let digits = order.number.digits();
    let body = match &api.app_id {
        Some(app_id) => serde_json::json!({ "app_id": app_id }),
        None => serde_json::json!({}),
    };
    let ordered = |state| Ok(Ordered { state, carrier_ref: Some(digits.to_owned()) });
    if is_ours(api, &order.number).await? {
        if api.app_id.is_some() {
            api.must(api.net.post(&api.url(&format!("Number/{digits}/"))).json(&body)).await?;
        }
        return ordered(OrderState::Done);
    }
    let answer = api.ask(api.net.post(&api.url(&format!("PhoneNumber/{digits}/"))).json(&body)).await?;
    match answer.status {
        200..=299 => {
            let bought: Bought = answer.json().map_err(|_| answers::unreadable(&answer))?;
            match bought.status.as_str() {
                "fulfilled" => ordered(OrderState::Done),
                "pending" => ordered(OrderState::Pending),
                _ => ordered(OrderState::Refused),
            }
        }
        400 | 404 | 409 => ordered(OrderState::Refused),
        _ => Err(super::errors::from_answer(&answer)),
    }
}

/// Gives a number back.
pub(super) async fn release(api: &Api, number: &E164) -> Result<(), SendError> {
    let url = api.url(&format!("Number/{}/", number.digits()));
    let answer = api.ask(api.net.request(crate::net::Method::DELETE, &url)).await?;
    if answer.is_success() || answer.status == 404 {
        Ok(())
    } else {
        Err(super::errors::from_answer(&answer))
    }
}

/// Shows our numbers from an offset on.
pub(super) async fn list(api: &Api, next: Option<&str>) -> Result<OwnedNumbers, SendError> {
    let offset: usize = next.and_then(|next| next.parse().ok()).unwrap_or(0);
    let (limit, from) = (PAGE.to_string(), offset.to_string());
    let pairs = [("limit", limit.as_str()), ("offset", from.as_str())];
    let answer = api.must(api.net.get(&api.url("Number/")).query(&pairs)).await?;
    let found: Listings = answer.json().map_err(|_| answers::unreadable(&answer))?;
    let more = found.meta.next.is_some() && !found.objects.is_empty();
    let next = more.then(|| offset.saturating_add(found.objects.len()).to_string());
    let items = found.objects.into_iter().filter_map(|listing| {
        let number = parse::number(&listing.number)?;
        Some(OwnedNumber { number, features: listing.features(), carrier_ref: Some(listing.number) })
    });
    Ok(OwnedNumbers { items: items.collect(), next })
}
