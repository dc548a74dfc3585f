//! Numbers: those that the customer rents and those that he could.
//!
//! What can be rented is fictional: NPA-555-0100 to 0199 in North America, and what Ofcom sets aside for drama in the
//! United Kingdom.

use serde_json::{Value, json};

use super::message::{API_VERSION, new_sid, rfc2822};
use crate::clock::Timestamp;
use crate::phone::E164;

/// A number that the customer rents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedNumber {
    /// The carrier's id: `PN` and 32 hex digits.
    pub sid: String,
    /// The number.
    pub number: E164,
    /// When it was rented.
    pub created_at: Timestamp,
    /// When its settings last changed.
    pub updated_at: Timestamp,
    /// The settings that the customer gave, by their form name (`SmsUrl`).
    pub settings: Vec<(&'static str, String)>,
}

/// The settings of a number: form name, member of the resource, value when not set.
const SETTINGS: &[(&str, &str, Option<&str>)] = &[
    ("AddressSid", "address_sid", None),
    ("BundleSid", "bundle_sid", None),
    ("EmergencyAddressSid", "emergency_address_sid", None),
    ("EmergencyStatus", "emergency_status", Some("Inactive")),
    ("FriendlyName", "friendly_name", None),
    ("IdentitySid", "identity_sid", None),
    ("SmsApplicationSid", "sms_application_sid", Some("")),
    ("SmsFallbackMethod", "sms_fallback_method", Some("POST")),
    ("SmsFallbackUrl", "sms_fallback_url", Some("")),
    ("SmsMethod", "sms_method", Some("POST")),
    ("SmsUrl", "sms_url", Some("")),
    ("StatusCallback", "status_callback", Some("")),
    ("StatusCallbackMethod", "status_callback_method", Some("POST")),
    ("TrunkSid", "trunk_sid", None),
    ("VoiceApplicationSid", "voice_application_sid", Some("")),
    ("VoiceFallbackMethod", "voice_fallback_method", Some("POST")),
    ("VoiceFallbackUrl", "voice_fallback_url", Some("")),
    ("VoiceMethod", "voice_method", Some("POST")),
    ("VoiceReceiveMode", "voice_receive_mode", Some("voice")),
    ("VoiceUrl", "voice_url", Some("")),
];

impl OwnedNumber {
    /// Rents `number`.
    pub fn new(number: E164, now: Timestamp) -> Self {
        OwnedNumber { sid: new_sid("PN"), number, created_at: now, updated_at: now, settings: Vec::new() }
    }

    /// The value of a setting; empty values count as not set.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings.iter().find(|(key, _)| *key == name).map(|(_, v)| v.as_str()).filter(|v| !v.is_empty())
    }

    /// Takes over the settings among `form`.
    pub fn update(&mut self, form: &[(String, String)], now: Timestamp) {
        for (name, _, _) in SETTINGS {
            if let Some((_, value)) = form.iter().rev().find(|(key, _)| key == name) {
                self.settings.retain(|(key, _)| key != name);
                self.settings.push((name, value.clone()));
            }
        }
        self.updated_at = now;
    }

    /// The resource as the carrier's API shows it.
    pub fn resource(&self, account_sid: &str) -> Value {
        let uri = format!("/{API_VERSION}/Accounts/{account_sid}/IncomingPhoneNumbers/{}", self.sid);
        let mut shown = json!({
            "account_sid": account_sid,
            "address_requirements": "none",
            "api_version": API_VERSION,
            "beta": false,
            "capabilities": { "fax": false, "mms": true, "sms": true, "voice": true },
            "date_created": rfc2822(self.created_at),
            "date_updated": rfc2822(self.updated_at),
            "emergency_address_status": "unregistered",
            "origin": "twilio",
            "phone_number": self.number.as_str(),
            "sid": self.sid,
            "status": "in-use",
            "subresource_uris": { "assigned_add_ons": format!("{uri}/AssignedAddOns.json") },
            "type": "local",
            "uri": format!("{uri}.json"),
            "voice_caller_id_lookup": false,
        });
        if let Some(members) = shown.as_object_mut() {
            for (name, member, default) in SETTINGS {
                let value =
                    self.settings.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
                members.insert((*member).to_owned(), json!(value.or(*default)));
            }
            if self.setting("FriendlyName").is_none() {
                members.insert("friendly_name".to_owned(), json!(friendly_name(&self.number)));
            }
        }
        shown
    }
}

/// What a customer looks for.
#[derive(Debug, Default)]
pub struct Search {
    /// ISO 3166 country, like `US`.
    pub country: String,
    /// `Local`, `Mobile`, `TollFree`.
    pub kind: String,
    /// The North American area code.
    pub area_code: Option<String>,
    /// Digits, `*` for any one.
    pub contains: Option<String>,
}

/// Area codes that are shown first, with their place: city, state.
const AREAS: &[(&str, &str, &str, &str)] = &[
    ("US", "202", "Washington", "DC"),
    ("US", "212", "New York", "NY"),
    ("US", "303", "Denver", "CO"),
    ("US", "312", "Chicago", "IL"),
    ("US", "404", "Atlanta", "GA"),
    ("US", "415", "San Francisco", "CA"),
    ("US", "512", "Austin", "TX"),
    ("US", "617", "Boston", "MA"),
    ("US", "702", "Las Vegas", "NV"),
    ("US", "808", "Honolulu", "HI"),
    ("CA", "416", "Toronto", "ON"),
    ("CA", "514", "Montreal", "QC"),
    ("CA", "604", "Vancouver", "BC"),
];

/// The numbers that match, in order, before those that are taken are left out; none for an unknown country.
pub fn candidates(search: &Search) -> Option<Vec<E164>> {
    let texts: Vec<String> = match (search.country.as_str(), search.kind.as_str()) {
        ("US" | "CA", "Local") => areas(search)
            .iter()
            .flat_map(|area| (100..200).map(move |line| format!("+1{area}5550{line}")))
            .collect(),
        ("US" | "CA", "TollFree") => (100..200).map(|line| format!("+18005550{line}")).collect(),
        ("GB", "Local") => (0..1000).map(|line| format!("+442079460{line:03}")).collect(),
        ("GB", "Mobile") => (0..1000).map(|line| format!("+447700900{line:03}")).collect(),
        ("US" | "CA" | "GB", _) => Vec::new(),
        _ => return None,
    };
    let fits = |text: &String| search.contains.as_ref().is_none_or(|pattern| contains(text, pattern));
    Some(texts.iter().filter(|text| fits(text)).filter_map(|text| E164::parse(text).ok()).collect())
}

/// Whether a number could be rented at all, taken or not.
pub fn is_offered(number: &E164) -> bool {
    let text = number.as_str();
    match number.area() {
        Some(_) => text.get(5..9) == Some("5550") && text.get(9..10) == Some("1"),
        None => text.starts_with("+442079460") || text.starts_with("+447700900"),
    }
}

fn areas(search: &Search) -> Vec<String> {
    match &search.area_code {
        Some(area)
            if area.len() == 3 && area.bytes().all(|b| b.is_ascii_digit()) && area.as_str() >= "200" =>
        {
            vec![area.clone()]
        }
        Some(_) => Vec::new(),
        None => AREAS.iter().filter(|a| a.0 == search.country).map(|a| a.1.to_owned()).collect(),
    }
}

/// Whether `pattern` stands somewhere in the digits of `number`.
pub fn contains(number: &str, pattern: &str) -> bool {
    let pattern: Vec<u8> = pattern.bytes().filter(|b| b.is_ascii_digit() || *b == b'*').collect();
    let fits =
        |window: &[u8]| window.iter().zip(&pattern).all(|(digit, wanted)| *wanted == b'*' || digit == wanted);
    pattern.is_empty() || number.as_bytes().windows(pattern.len()).any(fits)
}

/// A number that could be rented, as the carrier's API shows it.
pub fn available_resource(number: &E164, country: &str) -> Value {
    let place = AREAS.iter().find(|area| Some(area.1) == number.area());
    json!({
        "address_requirements": "none",
        "beta": false,
        "capabilities": { "MMS": true, "SMS": true, "voice": true },
        "friendly_name": friendly_name(number),
        "iso_country": country,
        "lata": null,
        "latitude": null,
        "locality": place.map(|area| area.2),
        "longitude": null,
        "phone_number": number.as_str(),
        "postal_code": null,
        "rate_center": null,
        "region": place.map(|area| area.3),
    })
}

/// `(202) 555-0150` for North America, E.164 elsewhere.
fn friendly_name(number: &E164) -> String {
    let text = number.as_str();
    match (number.area(), text.get(5..8), text.get(8..)) {
        (Some(area), Some(exchange), Some(line)) => format!("({area}) {exchange}-{line}"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_fictional_numbers_are_offered() {
        for (country, kind, count) in
            [("US", "Local", 1000), ("CA", "Local", 300), ("GB", "Local", 1000), ("GB", "Mobile", 1000)]
        {
            let search = Search { country: country.to_owned(), kind: kind.to_owned(), ..Search::default() };
            let found = candidates(&search).unwrap();
            assert_eq!(found.len(), count, "{country} {kind}");
            assert!(found.iter().all(is_offered), "{country} {kind}");
        }
        assert!(candidates(&Search { country: "ZZ".to_owned(), ..Search::default() }).is_none());
        assert!(!is_offered(&E164::parse("+12025551100").unwrap()));
        assert!(!is_offered(&E164::parse("+821012345678").unwrap()));
    }

    #[test]
    fn a_search_narrows() {
        let search = |area: Option<&str>, contains: Option<&str>| Search {
            country: "US".to_owned(),
            kind: "Local".to_owned(),
            area_code: area.map(str::to_owned),
            contains: contains.map(str::to_owned),
        };
        assert_eq!(candidates(&search(Some("202"), None)).unwrap()[0].as_str(), "+12025550100");
        assert_eq!(candidates(&search(Some("202"), Some("555017*"))).unwrap().len(), 10);
        assert!(candidates(&search(Some("x"), None)).unwrap().is_empty());
    }

    #[test]
    fn settings_are_kept_and_shown() {
        let mut number = OwnedNumber::new(E164::parse("+12025550150").unwrap(), Timestamp(0));
        assert_eq!(number.resource("AC1")["friendly_name"], "(202) 555-0150");
        assert_eq!(number.resource("AC1")["sms_method"], "POST");
        let form = [("SmsUrl".to_owned(), "https://example.org/sms".to_owned())];
        number.update(&form, Timestamp(1));
        assert_eq!(number.setting("SmsUrl"), Some("https://example.org/sms"));
        assert_eq!(number.resource("AC1")["sms_url"], "https://example.org/sms");
    }
}
