//! Numbers: search, order, release, list. XML, ten digits without country code: numbers of North America.

use super::send::Api;
use super::xml;
use crate::carriers::goods::OFFERS_MAX;
use crate::carriers::{
    Features, NumberKind, NumberOrder, NumberQuery, OfferedNumber, OrderState, Ordered, OwnedNumber,
    OwnedNumbers, Retry, SendError,
};
use crate::net::{Answer, Method, Url};
use crate::phone::E164;

const XML: &str = "application/xml; charset=utf-8";
/// The largest page of our numbers.
const PAGE_SIZE: &str = "500";
/// Every local number can do these; toll-free ones text once they are verified.
const FEATURES: Features = Features { sms: true, mms: true, voice: true };

fn national(number: &E164) -> Result<&str, SendError> {
    let digits = number.as_str().strip_prefix("+1").filter(|digits| digits.len() == 10);
    digits.ok_or_else(|| SendError::unsupported("trade numbers outside North America"))
}

fn international(digits: &str) -> Option<E164> {
    E164::parse(&format!("+1{digits}")).ok().filter(|_| digits.len() == 10)
}

/// A search needs a place: this carrier shows no numbers of everywhere.
fn place_needed() -> SendError {
    SendError {
        retry: Retry::Never,
        certain: true,
        code: "area_needed".to_owned(),
        whole_carrier: false,
        detail: "an area code (3 digits) or its beginning with an exchange (6 digits) must be named"
            .to_owned(),
    }
}

fn state_of(answer: &Answer) -> OrderState {
    match xml::first(&answer.body, "OrderStatus").unwrap_or_default().as_str() {
        "COMPLETE" => OrderState::Done,
        "FAILED" | "PARTIAL" => OrderState::Refused,
        _ => OrderState::Pending,
    }
}

impl Api {
    /// Shows numbers that can be had.
    pub(super) async fn search_numbers(&self, query: &NumberQuery) -> Result<Vec<OfferedNumber>, SendError> {
        if !matches!(query.region.as_str(), "US" | "CA") || query.kind == NumberKind::Mobile {
            return Ok(Vec::new());
        }
        let quantity = query.limit.clamp(1, OFFERS_MAX).to_string();
        let place = match (query.kind, query.area.as_deref()) {
            (NumberKind::TollFree, _) => ("tollFreeWildCardPattern", "8**"),
            (_, Some(area)) if area.len() == 3 => ("areaCode", area),
            (_, Some(area)) if area.len() == 6 => ("npaNxx", area),
            _ => return Err(place_needed()),
        };
        let pairs = [place, ("quantity", quantity.as_str())];
        let answer = self.ask(|| self.dashboard(Method::GET, "/availableNumbers").query(&pairs)).await?;
        let offer = |digits: String| {
            let number = international(&digits)?;
            Some(OfferedNumber { number, features: FEATURES, monthly: None, upfront: None, place: None })
        };
        let found = xml::all(&answer.body, "TelephoneNumber").into_iter().filter_map(offer);
        Ok(found.take(usize::from(query.limit)).collect())
    }

    /// Orders a number, unless an order of this reference is there.
    pub(super) async fn order_number(&self, order: &NumberOrder) -> Result<Ordered, SendError> {
        let Some(site) = &self.site else { return Err(SendError::unsupported("order: site_id is not set")) };
        let number = national(&order.number)?;
        let known = [("customerOrderId", order.reference.as_str())];
        let known = self.ask(|| self.dashboard(Method::GET, "/orders").query(&known)).await?;
        let id = xml::first(&known.body, "orderId").or_else(|| xml::first(&known.body, "OrderId"));
        if let Some(id) = id.filter(|id| is_id(id)) {
            return self.order_state(&id).await;
        }
        let peer = self.peer.as_deref().map(|peer| format!("<PeerId>{}</PeerId>", xml::escaped(peer)));
        let reference = xml::escaped(&order.reference);
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Order><CustomerOrderId>{reference}</CustomerOrderId>\
             <Name>{reference}</Name><ExistingTelephoneNumberOrderType><TelephoneNumberList><TelephoneNumber>{number}\
             </TelephoneNumber></TelephoneNumberList></ExistingTelephoneNumberOrderType><SiteId>{}</SiteId>{}</Order>",
            xml::escaped(site),
            peer.unwrap_or_default(),
        );
        let made = self.ask(|| self.dashboard(Method::POST, "/orders").body(XML, body.clone())).await?;
        let id = xml::first(&made.body, "id").filter(|id| is_id(id));
        Ok(Ordered { state: state_of(&made), carrier_ref: id })
    }

    async fn order_state(&self, id: &str) -> Result<Ordered, SendError> {
        let path = format!("/orders/{id}");
        let answer = self.ask(|| self.dashboard(Method::GET, &path)).await?;
        Ok(Ordered { state: state_of(&answer), carrier_ref: Some(id.to_owned()) })
    }

    /// Gives a number back.
    pub(super) async fn release_number(&self, number: &E164) -> Result<(), SendError> {
        let digits = national(number)?;
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><DisconnectTelephoneNumberOrder><CustomerOrderId>release-{digits}\
             </CustomerOrderId><DisconnectTelephoneNumberOrderType><TelephoneNumberList><TelephoneNumber>{digits}\
             </TelephoneNumber></TelephoneNumberList></DisconnectTelephoneNumberOrderType></DisconnectTelephoneNumberOrder>"
        );
        let gone = |error: &SendError| error.detail.starts_with("HTTP 404");
        match self.ask(|| self.dashboard(Method::POST, "/disconnects").body(XML, body.clone())).await {
            Err(error) if !gone(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// Shows the numbers that we have.
    pub(super) async fn list_numbers(&self, next: Option<&str>) -> Result<OwnedNumbers, SendError> {
        let pairs = [("page", next.unwrap_or("1")), ("size", PAGE_SIZE)];
        let answer = self.ask(|| self.dashboard(Method::GET, "/inserviceNumbers").query(&pairs)).await?;
        let owned = |digits: String| {
            Some(OwnedNumber { number: international(&digits)?, features: FEATURES, carrier_ref: None })
        };
        let items = xml::all(&answer.body, "TelephoneNumber").into_iter().filter_map(owned).collect();
        Ok(OwnedNumbers { items, next: xml::first(&answer.body, "next").as_deref().and_then(page_of) })
    }
}

fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// The page that a link leads to: `Link=<https://…?size=500&page=9195551234>;rel="next";`.
fn page_of(link: &str) -> Option<String> {
    let address = link.split_once('<').map_or(link, |(_, rest)| rest).split('>').next()?;
    let url = Url::parse(address).ok()?;
    let page = url.query_pairs().find(|(name, _)| name == "page")?.1.into_owned();
    Some(page).filter(|page| !page.is_empty() && page.len() <= 16 && page.bytes().all(|b| b.is_ascii_digit()))
}
