//! Numbers: search, order, release, list, and whether they call our addresses.

use serde::Deserialize;

use super::send::Api;
use crate::carriers::goods::OFFERS_MAX;
use crate::carriers::{
    Features, NumberKind, NumberOrder, NumberQuery, OfferedNumber, OrderState, Ordered, OwnedNumber,
    OwnedNumbers, SendError, answers,
};
use crate::phone::E164;

/// The largest page is 1,000; a smaller one stays within the limit of an answer.
const PAGE_SIZE: &str = "200";

#[derive(Default, Deserialize)]
struct Abilities {
    #[serde(default, alias = "SMS")]
    sms: bool,
    #[serde(default, alias = "MMS")]
    mms: bool,
    #[serde(default)]
    voice: bool,
}

impl From<Abilities> for Features {
    fn from(able: Abilities) -> Features {
        Features { sms: able.sms, mms: able.mms, voice: able.voice }
    }
}

#[derive(Deserialize)]
struct Available {
    #[serde(default)]
    phone_number: String,
    #[serde(default)]
    locality: Option<String>,
    #[serde(default)]
    region: Option<String>,
    #[serde(default)]
    capabilities: Abilities,
}

#[derive(Deserialize)]
struct AvailableList {
    #[serde(default)]
    available_phone_numbers: Vec<Available>,
}

#[derive(Deserialize)]
struct Incoming {
    #[serde(default)]
    sid: String,
    #[serde(default)]
    phone_number: String,
    #[serde(default)]
    capabilities: Abilities,
    #[serde(default)]
    sms_url: Option<String>,
    #[serde(default)]
    sms_application_sid: Option<String>,
    #[serde(default)]
    voice_url: Option<String>,
    #[serde(default)]
    voice_application_sid: Option<String>,
    #[serde(default)]
    trunk_sid: Option<String>,
}

#[derive(Deserialize)]
struct IncomingList {
    #[serde(default)]
    incoming_phone_numbers: Vec<Incoming>,
    #[serde(default)]
    next_page_uri: Option<String>,
}

impl Api {
    /// Shows numbers that can be had. The API does not tell prices here.
    pub(super) async fn search_numbers(&self, query: &NumberQuery) -> Result<Vec<OfferedNumber>, SendError> {
        let region = query.region.as_str();
        if region.len() != 2 || !region.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err(SendError::unsupported("search a region that is not two capitals"));
        }
        let kind = match query.kind {
            NumberKind::Local => "Local",
            NumberKind::Mobile => "Mobile",
            NumberKind::TollFree => "TollFree",
        };
        let limit = query.limit.clamp(1, OFFERS_MAX).to_string();
        let mut pairs = vec![("PageSize", limit.as_str())];
        let pattern = query.area.as_ref().map(|area| format!("{area}*"));
        match (&query.area, &pattern) {
            // Area codes are known in North America; elsewhere the number's beginning says the same.
            (Some(area), _) if matches!(region, "US" | "CA") && area.len() == 3 => {
                pairs.push(("AreaCode", area))
            }
            (_, Some(pattern)) => pairs.push(("Contains", pattern)),
            _ => {}
        }
        let Features { sms, mms, voice } = query.features;
        let wanted = [(sms, "SmsEnabled"), (mms, "MmsEnabled"), (voice, "VoiceEnabled")];
        pairs.extend(wanted.into_iter().filter(|(is, _)| *is).map(|(_, name)| (name, "true")));
        let path = format!("{}/AvailablePhoneNumbers/{region}/{kind}.json", self.account_path());
        let answer = self.get(&path, &pairs).await?;
        let list: AvailableList = answer.json().map_err(|_| answers::unreadable(&answer))?;
        let offer = |found: Available| {
            let place = [found.locality, found.region].into_iter().flatten().collect::<Vec<_>>().join(", ");
            Some(OfferedNumber {
                number: E164::parse(&found.phone_number).ok()?,
                features: found.capabilities.into(),
                monthly: None,
                upfront: None,
                place: Some(place).filter(|place| !place.is_empty()),
            })
        };
        let offers = list.available_phone_numbers.into_iter().filter_map(offer);
        Ok(offers
            .filter(|offer| offer.features.cover(query.features))
            .take(usize::from(query.limit))
            .collect())
    }

    /// The number among ours, when it is.
    async fn own(&self, number: &E164) -> Result<Option<Incoming>, SendError> {
        let path = format!("{}/IncomingPhoneNumbers.json", self.account_path());
        let answer = self.get(&path, &[("PhoneNumber", number.as_str())]).await?;
        let list: IncomingList = answer.json().map_err(|_| answers::unreadable(&answer))?;
        Ok(list.incoming_phone_numbers.into_iter().find(|owned| owned.phone_number == number.as_str()))
    }

    /// Orders a number, with our addresses, unless we have it.
    pub(super) async fn order_number(&self, order: &NumberOrder) -> Result<Ordered, SendError> {
        if let Some(owned) = self.own(&order.number).await? {
            return Ok(Ordered { state: OrderState::Done, carrier_ref: Some(owned.sid) });
        }
        let (messages, voice) =
            (format!("{}/messages", order.callback_base), format!("{}/voice", order.callback_base));
        let voice_status = format!("{}/call-status", order.callback_base);
        let form = [
            ("PhoneNumber", order.number.as_str()),
            ("FriendlyName", order.reference.as_str()),
            ("SmsUrl", messages.as_str()),
            ("SmsMethod", "POST"),
            ("VoiceUrl", voice.as_str()),
            ("VoiceMethod", "POST"),
            ("StatusCallback", voice_status.as_str()),
        ];
        let answer = self.post(&format!("{}/IncomingPhoneNumbers.json", self.account_path()), &form).await?;
        let made: Incoming = answer.json().map_err(|_| answers::unreadable(&answer))?;
        Ok(Ordered { state: OrderState::Done, carrier_ref: Some(made.sid).filter(|sid| !sid.is_empty()) })
    }

    /// Gives a number back.
    pub(super) async fn release_number(&self, number: &E164) -> Result<(), SendError> {
        let Some(owned) = self.own(number).await? else { return Ok(()) };
        if owned.sid.is_empty() || !owned.sid.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(SendError::unsupported("name the number's id"));
        }
        self.delete(&format!("{}/IncomingPhoneNumbers/{}.json", self.account_path(), owned.sid)).await
    }

    async fn page(&self, next: Option<&str>) -> Result<IncomingList, SendError> {
        let path = format!("{}/IncomingPhoneNumbers.json", self.account_path());
        let answer = match next.filter(|next| next.starts_with(&path)) {
            Some(next) => self.get(next, &[]).await?,
            None => self.get(&path, &[("PageSize", PAGE_SIZE)]).await?,
        };
        answer.json().map_err(|_| answers::unreadable(&answer))
    }

    /// Shows the numbers that we have.
    pub(super) async fn list_numbers(&self, next: Option<&str>) -> Result<OwnedNumbers, SendError> {
        let page = self.page(next).await?;
        let owned = |owned: Incoming| {
            Some(OwnedNumber {
                number: E164::parse(&owned.phone_number).ok()?,
                features: owned.capabilities.into(),
                carrier_ref: Some(owned.sid).filter(|sid| !sid.is_empty()),
            })
        };
        let items = page.incoming_phone_numbers.into_iter().filter_map(owned).collect();
        Ok(OwnedNumbers { items, next: page.next_page_uri })
    }

    /// Whether the first page of our numbers calls our address.
    pub(super) async fn check_addresses(
        &self,
        callback_base: &str,
    ) -> Result<Option<Vec<String>>, SendError> {
        let (messages, calls) = (format!("{callback_base}/messages"), format!("{callback_base}/voice"));
        let page = self.page(None).await?;
        let is_empty = |sid: &Option<String>| sid.as_deref().is_none_or(str::is_empty);
        // Connection overrides stand behind `#`. An application's addresses are its own matter.
        let is_at = |address: &Option<String>, wanted: &str| {
            address.as_deref().unwrap_or_default().split('#').next() == Some(wanted)
        };
        let (mut no_messages, mut no_calls) = (0, 0);
        for owned in &page.incoming_phone_numbers {
            let texts = owned.capabilities.sms && is_empty(&owned.sms_application_sid);
            no_messages += u32::from(texts && !is_at(&owned.sms_url, &messages));
            let own = is_empty(&owned.voice_application_sid) && is_empty(&owned.trunk_sid);
            no_calls += u32::from(owned.capabilities.voice && own && !is_at(&owned.voice_url, &calls));
        }
        let mut wrong = Vec::new();
        if no_messages > 0 {
            wrong.push(format!(
                "{no_messages} of our numbers do not call {messages} when a message comes in (right, when a \
                 messaging service does it for them)"
            ));
        }
        if no_calls > 0 {
            wrong.push(format!("{no_calls} of our numbers do not call {calls} when a call comes in"));
        }
        Ok(Some(wrong))
    }
}
