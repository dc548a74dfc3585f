//! The carriers that the operator has set, by their ids.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use secrecy::ExposeSecret as _;

use super::{CampaignDay, Carrier, CarrierSettings, Rates, bandwidth, plivo, smpp, telnyx, twilio, vonage};
use crate::clock::Timestamp;
use crate::money::{Currency, Money};
use crate::net::{Net, Url};

/// Makes a carrier from its kind's name and its settings, or says what is wrong with them.
type Build = fn(&'static str, &CarrierSettings, Net) -> Result<Arc<dyn Carrier>, String>;

/// A kind of carrier that can be named in the settings.
struct Kind {
    name: &'static str,
    build: Build,
}

/// All kinds, one line each. The simulator speaks the first one's wire.
const KINDS: &[Kind] = &[
    Kind { name: "twilio", build: |kind, entry, net| Ok(Arc::new(twilio::Twilio::new(kind, entry, net)?)) },
    Kind { name: "smpp", build: |_, entry, _| Ok(Arc::new(smpp::Smpp::new(entry)?)) },
    Kind { name: "vonage", build: |_, entry, net| Ok(Arc::new(vonage::Vonage::new(entry, net)?)) },
    Kind { name: "plivo", build: |_, entry, net| Ok(Arc::new(plivo::Plivo::new(entry, net)?)) },
    Kind { name: "telnyx", build: |_, entry, net| Ok(Arc::new(telnyx::Telnyx::new(entry, net)?)) },
    Kind { name: "bandwidth", build: |_, entry, net| Ok(Arc::new(bandwidth::Bandwidth::new(entry, net)?)) },
    Kind {
        name: "simulator",
        build: |kind, entry, net| Ok(Arc::new(twilio::Twilio::new(kind, entry, net)?)),
    },
];

/// What every kind may have: the price of a segment, like `0.0079 USD`, for previews.
pub const PRICE_PER_SEGMENT: &str = "price_per_segment";

/// How many segments may leave in a minute: from the whole account, from one number, within the campaign. `0`: no limit.
/// What is not set is as [`super::Capabilities::rates`] says.
pub const SEGMENTS_PER_MINUTE: [&str; 3] =
    ["segments_per_minute", "number_segments_per_minute", "campaign_segments_per_minute"];

/// How many segments may leave within the campaign on one day; `0`: no limit.
const SEGMENTS_PER_DAY: &str = "campaign_segments_per_day";
/// The time zone (an IANA name) in which that day begins at midnight.
const CAMPAIGN_ZONE: &str = "campaign_time_zone";
/// Where the networks count by days, they count by those of the Pacific coast.
const USUAL_ZONE: &str = "America/Los_Angeles";

/// An id is a part of an address that people type into a carrier's console.
const ID_CHARS_MAX: usize = 32;

/// All carriers, by id.
#[derive(Clone, Default)]
pub struct Registry {
    carriers: BTreeMap<String, Arc<dyn Carrier>>,
    rates: BTreeMap<String, Rates>,
    /// Segments of a campaign's day, and its zone.
    days: BTreeMap<String, (u32, String)>,
    prices: BTreeMap<String, Money>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.carriers.keys()).finish()
    }
}

impl Registry {
    /// Builds every carrier of the settings. `net` must allow whatever addresses the operator may enter
    /// (`Policy::Operator`).
    ///
    /// # Errors
    /// A sentence for the operator that names the carrier, the key and what to write.
    pub fn build(settings: &[CarrierSettings], net: &Net) -> Result<Registry, String> {
        let mut registry = Registry::default();
        for entry in settings {
            let named = |error: String| format!("carrier “{}”: {error}", entry.id);
            let kind = KINDS.iter().find(|kind| kind.name == entry.kind);
            let kind = kind.ok_or_else(|| named(unknown_kind(&entry.kind)))?;
            let carrier = (kind.build)(kind.name, entry, net.clone()).map_err(named)?;
            let rates = rates_of(entry, carrier.capabilities().rates).map_err(named)?;
            let day = day_of(entry).map_err(named)?;
            registry.add(carrier)?;
            registry.days.extend(day.map(|day| (entry.id.clone(), day)));
            registry.rates.insert(entry.id.clone(), rates);
            registry.prices.extend(price_of(entry).map(|price| (entry.id.clone(), price)));
        }
        Ok(registry)
    }

    /// Adds one that was made by hand.
    ///
    /// # Errors
    /// When its id is not usable in an address, or taken.
    pub fn add(&mut self, carrier: Arc<dyn Carrier>) -> Result<(), String> {
        let id = carrier.id().to_owned();
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if id.is_empty() || id.len() > ID_CHARS_MAX || !id.bytes().all(plain) {
            return Err(format!(
                "carrier “{id}”: id must be 1 to {ID_CHARS_MAX} of a-z, 0-9 and -, because it is a part of the \
                 callback addresses"
            ));
        }
        if self.carriers.contains_key(&id) {
            return Err(format!("carrier “{id}”: two carriers have this id; each needs its own"));
        }
        self.rates.insert(id.clone(), carrier.capabilities().rates);
        self.carriers.insert(id, carrier);
        Ok(())
    }

    /// One of them.
    pub fn get(&self, id: &str) -> Option<&Arc<dyn Carrier>> {
        self.carriers.get(id)
    }

    /// All of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Carrier>> {
        self.carriers.values()
    }

    /// To how many phones at once each of them can send a group MMS; who cannot is left out.
    pub fn group_max(&self) -> HashMap<String, usize> {
        let of =
            |carrier: &Arc<dyn Carrier>| (carrier.id().to_owned(), carrier.capabilities().outbound_group_max);
        self.carriers.values().map(of).filter(|(_, max)| *max > 0).collect()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.carriers.is_empty()
    }

    /// How fast a carrier may be used: as the operator says, else as it usually takes messages.
    pub fn rates(&self, id: &str, now: Timestamp) -> Rates {
        let rates = self.rates.get(id).copied().unwrap_or(Rates::NONE);
        let campaign_day = self.days.get(id).map(|(segments, zone)| {
            let (from, until) = now.day_in(zone);
            CampaignDay { segments: *segments, from, until }
        });
        Rates { campaign_day, ..rates }
    }

    /// The carriers with a price for a segment, the cheapest first; none when the prices cannot be compared.
    pub fn cheapest_first(&self) -> Vec<String> {
        let mut all: Vec<(&String, &Money)> = self.prices.iter().collect();
        all.sort_by_key(|(_, price)| price.micros);
        let mut currencies = all.iter().map(|(_, price)| price.currency);
        let first = currencies.next();
        if currencies.any(|currency| Some(currency) != first) {
            return Vec::new();
        }
        all.into_iter().map(|(id, _)| id.clone()).collect()
    }

    /// The carriers whose speed has a limit.
    pub fn limited(&self, now: Timestamp) -> impl Iterator<Item = (&str, Rates)> {
        let all = self.rates.keys().map(move |id| (id.as_str(), self.rates(id, now)));
        all.filter(|(_, rates)| *rates != Rates::NONE)
    }
}

fn price_of(entry: &CarrierSettings) -> Option<Money> {
    let (amount, currency) = entry.options.get(PRICE_PER_SEGMENT)?.expose_secret().trim().split_once(' ')?;
    Money::parse(amount, Currency::parse(currency)?)
}

fn rates_of(entry: &CarrierSettings, usual: Rates) -> Result<Rates, String> {
    let read = |key: &str, usual: Option<u32>| {
        let Some(text) = entry.options.get(key) else { return Ok(usual) };
        match text.expose_secret().trim().parse::<u32>() {
            Ok(0) => Ok(None),
            Ok(rate) => Ok(Some(rate)),
            Err(_) => Err(format!("{key} must be a whole number of segments each minute, 0 for no limit")),
        }
    };
    let [account, number, campaign] = SEGMENTS_PER_MINUTE;
    Ok(Rates {
        account_per_minute: read(account, usual.account_per_minute)?,
        number_per_minute: read(number, usual.number_per_minute)?,
        campaign_per_minute: read(campaign, usual.campaign_per_minute)?,
        campaign_day: None,
    })
}

fn day_of(entry: &CarrierSettings) -> Result<Option<(u32, String)>, String> {
    let zone = entry.options.get(CAMPAIGN_ZONE).map_or(USUAL_ZONE, |zone| zone.expose_secret().trim());
    if jiff::tz::TimeZone::get(zone).is_err() {
        return Err(format!("{CAMPAIGN_ZONE} must be a time zone like {USUAL_ZONE}"));
    }
    let Some(text) = entry.options.get(SEGMENTS_PER_DAY) else { return Ok(None) };
    match text.expose_secret().trim().parse::<u32>() {
        Ok(0) => Ok(None),
        Ok(segments) => Ok(Some((segments, zone.to_owned()))),
        Err(_) => {
            Err(format!("{SEGMENTS_PER_DAY} must be a whole number of segments each day, 0 for no limit"))
        }
    }
}

fn unknown_kind(kind: &str) -> String {
    let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    let known = names.join(", ");
    let near = names.iter().find(|known| strsim::damerau_levenshtein(known, kind) <= 2);
    let hint = near.map(|near| format!("; did you mean “{near}”?")).unwrap_or_default();
    format!("kind “{kind}” is not one of {known}{hint}")
}

/// Reads a carrier's own options and complains in a way that helps.
pub(super) struct OptionReader<'a> {
    settings: &'a CarrierSettings,
}

impl<'a> OptionReader<'a> {
    /// Checks that every key is one of `known`.
    pub(super) fn new(settings: &'a CarrierSettings, known: &[&str]) -> Result<Self, String> {
        for key in settings.options.keys() {
            let common = [PRICE_PER_SEGMENT, SEGMENTS_PER_DAY, CAMPAIGN_ZONE].contains(&key.as_str())
                || SEGMENTS_PER_MINUTE.contains(&key.as_str());
            if !known.contains(&key.as_str()) && !common {
                let near = known.iter().min_by_key(|known| strsim::damerau_levenshtein(known, key));
                let hint = near.map(|near| format!("; the nearest known one is {near}")).unwrap_or_default();
                return Err(format!("{key} is not a setting of kind {}{hint}", settings.kind));
            }
        }
        Ok(OptionReader { settings })
    }

    /// An option that may be absent; an empty one counts as absent.
    pub(super) fn optional(&self, key: &str) -> Option<&'a str> {
        self.settings.options.get(key).map(|value| value.expose_secret()).filter(|value| !value.is_empty())
    }

    /// An option that must be there.
    pub(super) fn required(&self, key: &str, what: &str) -> Result<&'a str, String> {
        self.optional(key)
            .ok_or_else(|| format!("{key} is missing: {what} (kind {} needs it)", self.settings.kind))
    }

    /// The operator's `api_base`, or the usual one; never with a slash at the end.
    pub(super) fn api_base(&self, usual: &str) -> Result<String, String> {
        let Some(base) = &self.settings.api_base else { return Ok(usual.to_owned()) };
        self.address("api_base", base, usual)
    }

    /// Another address of the vendor, or the usual one.
    pub(super) fn address_or(&self, key: &str, usual: &str) -> Result<String, String> {
        self.optional(key).map_or_else(|| Ok(usual.to_owned()), |base| self.address(key, base, usual))
    }

    fn address(&self, key: &str, base: &str, usual: &str) -> Result<String, String> {
        let advice = || format!("{key} “{base}” is not usable; write it like {usual}");
        let url = Url::parse(base).map_err(|_| advice())?;
        let bare = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !bare {
            return Err(advice());
        }
        Ok(base.trim_end_matches('/').to_owned())
    }

    /// Two options that make sense only together.
    pub(super) fn pair(&self, first: &str, second: &str) -> Result<Option<(&'a str, &'a str)>, String> {
        match (self.optional(first), self.optional(second)) {
            (Some(a), Some(b)) => Ok(Some((a, b))),
            (None, None) => Ok(None),
            (Some(_), None) => Err(format!("{second} is missing: {first} is set and needs it")),
            (None, Some(_)) => Err(format!("{first} is missing: {second} is set and needs it")),
        }
    }
}

/// Whether an address lies at the vendor, so that its credentials may go there: at the API's own address, or under one
/// of the vendor's domains by TLS.
pub(super) fn is_host_of(url: &str, base: &str, domains: &[&str]) -> bool {
    let (Ok(url), Ok(base)) = (Url::parse(url), Url::parse(base)) else { return false };
    let under = |host: &str| {
        domains.iter().any(|domain| {
            host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
    };
    url.origin() == base.origin() || (url.scheme() == "https" && url.host_str().is_some_and(under))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Policy;

    fn entry(id: &str, kind: &str, options: &[(&str, &str)]) -> CarrierSettings {
        let options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect();
        CarrierSettings { id: id.to_owned(), kind: kind.to_owned(), api_base: None, options }
    }

    fn build(entries: &[CarrierSettings]) -> Result<Registry, String> {
        Registry::build(entries, &Net::new(Policy::Operator).unwrap())
    }

    const GOOD: [(&str, &str); 2] = [("account_sid", "AC0123456789abcdef"), ("auth_token", "geheim")];

    #[test]
    fn carriers_are_found_by_id() {
        let registry = build(&[entry("main", "twilio", &GOOD), entry("sim", "simulator", &GOOD)]).unwrap();
        assert_eq!(registry.get("main").map(|c| (c.id(), c.kind())), Some(("main", "twilio")));
        assert_eq!(registry.get("sim").map(|c| c.kind()), Some("simulator"));
        assert!(registry.get("other").is_none() && registry.iter().count() == 2);
    }

    #[test]
    fn credentials_go_to_the_vendor_only() {
        let table = [
            ("https://api.example.org/media/1", true),
            ("https://media.example.org/1", true),
            ("https://example.org/1", true),
            ("http://media.example.org/1", false),
            ("https://badexample.org/1", false),
            ("https://example.org.evil.example/1", false),
            ("https://evil.example/?https://api.example.org", false),
            ("http://127.0.0.1:9000/1", true),
            ("http://127.0.0.1:9001/1", false),
            ("x", false),
        ];
        for (url, wanted) in table {
            let base = if url.contains("127") { "http://127.0.0.1:9000" } else { "https://api.example.org" };
            assert_eq!(is_host_of(url, base, &["example.org"]), wanted, "{url}");
        }
    }

    #[test]
    fn rates_are_the_operators_or_the_usual_ones() {
        let rates = |options: &[(&str, &str)]| {
            let all: Vec<_> = GOOD.iter().chain(options).copied().collect();
            build(&[entry("main", "twilio", &all)]).map(|registry| registry.rates("main", Timestamp(0)))
        };
        assert_eq!(rates(&[]).unwrap(), Rates { number_per_minute: Some(60), ..Rates::NONE });
        let agreed = rates(&[("number_segments_per_minute", "0"), ("campaign_segments_per_minute", "240")]);
        assert_eq!(agreed.unwrap(), Rates { campaign_per_minute: Some(240), ..Rates::NONE });
        assert!(rates(&[("segments_per_minute", "many")]).unwrap_err().contains("segments_per_minute"));
        let smpp = |options: &[(&str, &str)]| {
            let good = [("host", "smpp.example.org"), ("system_id", "meari"), ("password", "secret")];
            let all: Vec<_> = good.iter().chain(options).copied().collect();
            build(&[entry("smsc", "smpp", &all)]).unwrap().rates("smsc", Timestamp(0)).account_per_minute
        };
        assert_eq!(smpp(&[]), None);
        assert_eq!(smpp(&[("submits_per_second", "50")]), Some(3_000));
        assert_eq!(smpp(&[("submits_per_second", "50"), ("segments_per_minute", "600")]), Some(600));
        let simulator = build(&[entry("sim", "simulator", &GOOD)]).unwrap();
        assert_eq!(simulator.limited(Timestamp(0)).count(), 0);
    }

    #[test]
    fn mistakes_are_named() {
        let with = |key: &'static str, value: &'static str| [GOOD[0], GOOD[1], (key, value)];
        let bad_base = CarrierSettings { api_base: Some("twilio.com".into()), ..entry("a", "twilio", &GOOD) };
        let table: [(Vec<CarrierSettings>, &[&str]); 11] = [
            (vec![entry("a", "twillio", &GOOD)], &["a", "twillio", "twilio, ", "did you mean"]),
            (vec![entry("a", "sigfox", &GOOD)], &["sigfox", "twilio, ", "plivo", "simulator"]),
            (vec![entry("a", "twilio", &GOOD[..1])], &["auth_token is missing"]),
            (vec![entry("a", "twilio", &GOOD[1..])], &["account_sid is missing"]),
            (vec![entry("a", "twilio", &[("account_sid", ""), GOOD[1]])], &["account_sid is missing"]),
            (vec![entry("a", "twilio", &[("account_sid", "SK01"), GOOD[1]])], &["account_sid", "AC"]),
            (vec![entry("a", "twilio", &with("auth_tokn", "x"))], &["auth_tokn", "nearest", "auth_token"]),
            (vec![entry("a", "twilio", &with("api_key", "SK1"))], &["api_secret is missing"]),
            (vec![entry("A b", "twilio", &GOOD)], &["A b", "a-z"]),
            (vec![entry("a", "twilio", &GOOD), entry("a", "simulator", &GOOD)], &["two carriers"]),
            (vec![bad_base], &["api_base", "https://"]),
        ];
        for (entries, words) in table {
            let error = build(&entries).unwrap_err();
            for word in words {
                assert!(error.contains(word), "{error:?} should say {word:?}");
            }
            assert!(!error.contains("geheim"), "{error}");
        }
    }
}
