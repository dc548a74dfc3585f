//! Numbers: search, order, release, list.

use serde::{Deserialize, Serialize};

use super::send::{Api, Data};
use crate::carriers::goods::OFFERS_MAX;
use crate::carriers::{
    Features, NumberKind, NumberOrder, NumberQuery, OfferedNumber, OrderState, Ordered, OwnedNumber,
    OwnedNumbers, SendError,
};
use crate::money::{Currency, Money};
use crate::net::Method;
use crate::phone::E164;

/// The largest page of our numbers.
const PAGE_SIZE: &str = "250";

#[derive(Deserialize)]
struct Available {
    #[serde(default)]
    phone_number: String,
    #[serde(default)]
    features: Option<Vec<Feature>>,
    #[serde(default)]
    cost_information: Option<Cost>,
    #[serde(default)]
    region_information: Option<Vec<Region>>,
}

#[derive(Deserialize)]
struct Feature {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Cost {
    #[serde(default)]
    monthly_cost: Option<String>,
    #[serde(default)]
    upfront_cost: Option<String>,
    #[serde(default)]
    currency: Option<String>,
}

#[derive(Deserialize)]
struct Region {
    #[serde(default)]
    region_name: Option<String>,
}

#[derive(Serialize)]
struct NewOrder<'a> {
    phone_numbers: [Wanted<'a>; 1],
    customer_reference: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    messaging_profile_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Wanted<'a> {
    phone_number: &'a str,
}

#[derive(Deserialize)]
struct Order {
    #[serde(default)]
    id: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    phone_numbers: Vec<OrderedNumber>,
}

#[derive(Deserialize)]
struct OrderedNumber {
    #[serde(default)]
    phone_number: String,
}

#[derive(Deserialize)]
struct Owned {
    #[serde(default)]
    id: String,
    #[serde(default)]
    phone_number: String,
    #[serde(default)]
    messaging_profile_id: Option<String>,
    #[serde(default)]
    connection_id: Option<String>,
}

#[derive(Deserialize)]
struct OwnedPage {
    data: Vec<Owned>,
    #[serde(default)]
    meta: Meta,
}

#[derive(Default, Deserialize)]
struct Meta {
    #[serde(default)]
    page_number: u32,
    #[serde(default)]
    total_pages: u32,
}

impl Available {
    fn into_offer(self, wanted: Features) -> Option<OfferedNumber> {
        let names = self.features.unwrap_or_default();
        let has = |name| names.iter().any(|feature| feature.name == name);
        let features = Features { sms: has("sms"), mms: has("mms"), voice: has("voice") };
        let price = |amount: &Option<String>, cost: &Cost| {
            Money::parse(amount.as_deref()?, Currency::parse(cost.currency.as_deref()?)?)
        };
        let cost = self.cost_information.as_ref();
        let places = self.region_information.unwrap_or_default();
        Some(OfferedNumber {
            number: E164::parse(&self.phone_number).ok()?,
            features,
            monthly: cost.and_then(|cost| price(&cost.monthly_cost, cost)),
            upfront: cost.and_then(|cost| price(&cost.upfront_cost, cost)),
            place: places.into_iter().find_map(|region| region.region_name),
        })
        .filter(|offer| offer.features.cover(wanted))
    }
}

impl Order {
    fn outcome(self) -> Ordered {
        let state = match self.status.as_str() {
            "success" => OrderState::Done,
            "failure" => OrderState::Refused,
            _ => OrderState::Pending,
        };
        Ordered { state, carrier_ref: Some(self.id).filter(|id| !id.is_empty()) }
    }
}

impl Api {
    /// Shows numbers that can be had.
    pub(super) async fn search_numbers(&self, query: &NumberQuery) -> Result<Vec<OfferedNumber>, SendError> {
        let limit = query.limit.clamp(1, OFFERS_MAX).to_string();
        let kind = match query.kind {
            NumberKind::Local => "local",
            NumberKind::Mobile => "mobile",
            NumberKind::TollFree => "toll_free",
        };
        let mut pairs = vec![
            ("filter[country_code]", query.region.as_str()),
            ("filter[phone_number_type]", kind),
            ("filter[limit]", limit.as_str()),
        ];
        if let Some(area) = &query.area {
            pairs.push(("filter[national_destination_code]", area));
        }
        let Features { sms, mms, voice } = query.features;
        let wanted = [(sms, "sms"), (mms, "mms"), (voice, "voice")];
        pairs.extend(wanted.into_iter().filter(|(is, _)| *is).map(|(_, name)| ("filter[features][]", name)));
        let request = self.request(Method::GET, "/available_phone_numbers").query(&pairs);
        let found: Data<Vec<Available>> = self.ask(request).await?;
        let offers = found.data.into_iter().filter_map(|number| number.into_offer(query.features));
        Ok(offers.take(usize::from(query.limit)).collect())
    }

    /// Orders a number, unless an order of this reference is there.
    pub(super) async fn order_number(&self, order: &NumberOrder) -> Result<Ordered, SendError> {
        let request = self
            .request(Method::GET, "/number_orders")
            .query(&[("filter[customer_reference]", order.reference.as_str())]);
        let known: Data<Vec<Order>> = self.ask(request).await?;
        let is_it = |known: &Order| {
            let mut numbers = known.phone_numbers.iter();
            known.status != "failure" && numbers.any(|n| n.phone_number == order.number.as_str())
        };
        if let Some(known) = known.data.into_iter().find(is_it) {
            return Ok(known.outcome());
        }
        let new = NewOrder {
            phone_numbers: [Wanted { phone_number: order.number.as_str() }],
            customer_reference: &order.reference,
            messaging_profile_id: self.profile.as_deref(),
            connection_id: self.connection.as_deref(),
        };
        let made: Data<Order> = self.ask(self.request(Method::POST, "/number_orders").json(&new)).await?;
        Ok(made.data.outcome())
    }

    /// Gives a number back.
    pub(super) async fn release_number(&self, number: &E164) -> Result<(), SendError> {
        let request =
            self.request(Method::GET, "/phone_numbers").query(&[("filter[phone_number]", number.as_str())]);
        let page: OwnedPage = self.ask(request).await?;
        let Some(owned) = page.data.into_iter().find(|owned| owned.phone_number == number.as_str()) else {
            return Ok(());
        };
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        if owned.id.is_empty() || !owned.id.bytes().all(plain) {
            return Err(SendError::unsupported("name the number's id"));
        }
        self.ask_raw(self.request(Method::DELETE, &format!("/phone_numbers/{}", owned.id))).await?;
        Ok(())
    }

    /// Shows the numbers that we have.
    pub(super) async fn list_numbers(&self, next: Option<&str>) -> Result<OwnedNumbers, SendError> {
        let request = self
            .request(Method::GET, "/phone_numbers")
            .query(&[("page[number]", next.unwrap_or("1")), ("page[size]", PAGE_SIZE)]);
        let page: OwnedPage = self.ask(request).await?;
        let more = page.meta.page_number < page.meta.total_pages;
        let next = more.then(|| (page.meta.page_number + 1).to_string());
        let filled = |id: &Option<String>| id.as_deref().is_some_and(|id| !id.is_empty());
        let owned = |owned: Owned| {
            let sms = filled(&owned.messaging_profile_id);
            Some(OwnedNumber {
                number: E164::parse(&owned.phone_number).ok()?,
                features: Features { sms, mms: sms, voice: filled(&owned.connection_id) },
                carrier_ref: Some(owned.id).filter(|id| !id.is_empty()),
            })
        };
        Ok(OwnedNumbers { items: page.data.into_iter().filter_map(owned).collect(), next })
    }
}
