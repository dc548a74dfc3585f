//! Numbers at Vonage (Numbers API, `/number/…` and `/account/numbers`): search, buy, cancel, list.

use serde::Deserialize;

use super::send::Api;
use super::{errors, parse};
use crate::carriers::answers;
use crate::carriers::{
    Features, NumberKind, NumberOrder, NumberQuery, OfferedNumber, OrderState, Ordered, OwnedNumber,
    OwnedNumbers, SendError,
};
use crate::money::{Currency, Money};
use crate::net::{Answer, Method};
use crate::phone::E164;

/// What a page of the list holds at most, by the API's own limit.
const PAGE: &str = "100";

#[derive(Deserialize)]
struct Listing {
    msisdn: String,
    #[serde(default)]
    cost: Option<String>,
    #[serde(default)]
    features: Vec<String>,
}

impl Listing {
    fn features(&self) -> Features {
        let has = |name: &str| self.features.iter().any(|feature| feature.eq_ignore_ascii_case(name));
        Features { sms: has("SMS"), mms: has("MMS"), voice: has("VOICE") }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Listings {
    count: usize,
    numbers: Vec<Listing>,
}

/// `{"error-code":"200","error-code-label":"success"}`
#[derive(Default, Deserialize)]
struct Outcome {
    #[serde(default, rename = "error-code")]
    code: String,
}

fn calling_code(region: &str) -> Option<u16> {
    let id = region.parse::<phonenumber::country::Id>().ok()?;
    Some(phonenumber::metadata::DATABASE.by_id(id.as_ref())?.country_code())
}

/// Shows numbers that can be had. Prices are in euros.
pub(super) async fn search(api: &Api, query: &NumberQuery) -> Result<Vec<OfferedNumber>, SendError> {
    let kind = match (query.kind, query.region.as_str()) {
        // Ordinary numbers of North America are listed as mobile ones.
        (NumberKind::Mobile, _) | (NumberKind::Local, "US" | "CA") => "mobile-lvn",
        (NumberKind::Local, _) => "landline",
        (NumberKind::TollFree, _) => "landline-toll-free",
    };
    let Features { sms, mms, voice } = query.features;
    let features = [("SMS", sms), ("MMS", mms), ("VOICE", voice)];
    let features: Vec<&str> =
        features.into_iter().filter(|(_, wanted)| *wanted).map(|(name, _)| name).collect();
    let features = features.join(",");
    let size = query.limit.clamp(1, 100).to_string();
    let mut pairs = vec![("country", query.region.as_str()), ("type", kind), ("size", size.as_str())];
    let pattern = match (&query.area, calling_code(&query.region)) {
        (Some(area), Some(code)) => format!("{code}{area}"),
        _ => String::new(),
    };
    if !pattern.is_empty() {
        pairs.extend([("pattern", pattern.as_str()), ("search_pattern", "0")]);
    }
    if !features.is_empty() {
        pairs.push(("features", &features));
    }
    let request = api.net.get(&format!("{}/number/search", api.numbers_base)).query(&pairs);
    let answer = api.must(api.basic(request)).await?;
    let found: Listings = answer.json().map_err(|_| answers::unreadable(&answer))?;
    let euro = Currency::parse("EUR");
    let offers = found.numbers.into_iter().filter_map(|listing| {
        Some(OfferedNumber {
            number: parse::number(&listing.msisdn)?,
            features: listing.features(),
            monthly: euro.and_then(|euro| Money::parse(listing.cost.as_deref()?, euro)),
            upfront: None,
            place: None,
        })
    });
    Ok(offers.collect())
}

async fn post(api: &Api, path: &str, pairs: &[(&str, &str)]) -> Result<Answer, SendError> {
    let request = api.net.request(Method::POST, &format!("{}{path}", api.numbers_base)).form(pairs);
    api.ask(api.basic(request)).await
}

fn succeeded(answer: &Answer) -> bool {
    answer.is_success() && answer.json::<Outcome>().is_ok_and(|outcome| outcome.code == "200")
}

/// Whether the API says that it will not do it for this number; everything else is an error of another kind.
fn refused(answer: &Answer) -> bool {
    answer.status == 420 || answer.json::<Outcome>().is_ok_and(|outcome| outcome.code == "420")
}

/// Whether we have a number.
async fn is_ours(api: &Api, number: &E164) -> Result<bool, SendError> {
    let pairs = [("pattern", number.digits()), ("search_pattern", "0"), ("size", "1")];
    let request = api.net.get(&format!("{}/account/numbers", api.numbers_base)).query(&pairs);
    let answer = api.must(api.basic(request)).await?;
    let found: Listings = answer.json().map_err(|_| answers::unreadable(&answer))?;
    Ok(found.numbers.iter().any(|listing| listing.msisdn == number.digits()))
}

/// Buys a number when we do not have it yet, and binds it to our application.
pub(super) async fn order(api: &Api, order: &NumberOrder) -> Result<Ordered, SendError> {
    let (region, digits) = (order.number.region(), order.number.digits());
    let pairs = [("country", region.as_str()), ("msisdn", digits)];
    let ordered = |state| Ok(Ordered { state, carrier_ref: Some(digits.to_owned()) });
    if !is_ours(api, &order.number).await? {
        let answer = post(api, "/number/buy", &pairs).await?;
        if refused(&answer) {
            return ordered(OrderState::Refused);
        }
        if !succeeded(&answer) {
            return Err(errors::from_answer(&answer));
        }
    }
    let bound = [pairs.as_slice(), &[("app_id", api.application_id.as_str())]].concat();
    let answer = post(api, "/number/update", &bound).await?;
    // Bought, but not bound: the same order again goes on from here.
    if succeeded(&answer) { ordered(OrderState::Done) } else { ordered(OrderState::Pending) }
}

/// Gives a number back.
pub(super) async fn release(api: &Api, number: &E164) -> Result<(), SendError> {
    let region = number.region();
    let answer =
        post(api, "/number/cancel", &[("country", region.as_str()), ("msisdn", number.digits())]).await?;
    if succeeded(&answer) || (refused(&answer) && !is_ours(api, number).await?) {
        return Ok(());
    }
    Err(errors::from_answer(&answer))
}

/// Shows our numbers, a page at a time.
pub(super) async fn list(api: &Api, next: Option<&str>) -> Result<OwnedNumbers, SendError> {
    let index: usize = next.and_then(|next| next.parse().ok()).unwrap_or(1);
    let page = index.to_string();
    let pairs = [("size", PAGE), ("index", page.as_str())];
    let request = api.net.get(&format!("{}/account/numbers", api.numbers_base)).query(&pairs);
    let answer = api.must(api.basic(request)).await?;
    let found: Listings = answer.json().map_err(|_| answers::unreadable(&answer))?;
    let more = !found.numbers.is_empty() && index.saturating_mul(100) < found.count;
    let items = found.numbers.into_iter().filter_map(|listing| {
        let number = parse::number(&listing.msisdn)?;
        Some(OwnedNumber { number, features: listing.features(), carrier_ref: Some(listing.msisdn) })
    });
    Ok(OwnedNumbers { items: items.collect(), next: more.then(|| index.saturating_add(1).to_string()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calling_codes_are_known() {
        assert_eq!((calling_code("US"), calling_code("KR"), calling_code("??")), (Some(1), Some(82), None));
    }
}
