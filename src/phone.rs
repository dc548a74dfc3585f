//! Telephone numbers: E.164 numbers, and who may stand at the other end of a line.
//!
//! Parsing follows ITU-T E.164 and the numbering plans of libphonenumber (crate `phonenumber`).

use std::fmt;
use std::str::FromStr;

use phonenumber::Mode;
use phonenumber::country;
use phonenumber::metadata::DATABASE;
use serde::{Deserialize, Serialize};

/// A telephone number in E.164 form: `+` and 7 to 15 digits, the first not zero.
#[derive(
    Clone,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    diesel::expression::AsExpression,
    diesel::deserialize::FromSqlRow,
)]
#[diesel(sql_type = diesel::sql_types::Text)]
#[serde(transparent)]
pub struct E164(String);

/// A text that is not a telephone number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a telephone number in international form, like +12025550123")]
pub struct ParsePhoneError;

impl E164 {
    /// Reads exact E.164 (`+12025550123`), the form carriers use. Nothing is guessed.
    pub fn parse(text: &str) -> Result<Self, ParsePhoneError> {
        let digits = text.strip_prefix('+').ok_or(ParsePhoneError)?;
        let shape = (7..=15).contains(&digits.len())
            && digits.bytes().all(|b| b.is_ascii_digit())
            && !digits.starts_with('0');
        if shape { Ok(E164(text.to_owned())) } else { Err(ParsePhoneError) }
    }

    /// Reads what a person typed: national with `region` (ISO 3166, like `KR`), or international.
    pub fn parse_human(text: &str, region: Option<&str>) -> Result<Self, ParsePhoneError> {
        if text.len() > 64 {
            return Err(ParsePhoneError);
        }
        let text = text.trim();
        // The crate takes the home's trunk prefix off foreign numbers, too: a number that names its country is read
        // without a home.
        let region = if text.starts_with(['+', '＋']) { None } else { region };
        let region = region.and_then(|r| country::Id::from_str(r).ok());
        let mut number = phonenumber::parse(region, text).map_err(|_| ParsePhoneError)?;
        if let Some(home) = region.and_then(|region| DATABASE.by_id(region.as_ref()))
            && number.country().code() != home.country_code()
        {
            let digits: String = text.chars().filter(char::is_ascii_digit).collect();
            let code = number.country().code().to_string();
            let (_, rest) = digits.split_once(&code).ok_or(ParsePhoneError)?;
            number = phonenumber::parse(None, format!("+{code}{rest}")).map_err(|_| ParsePhoneError)?;
        }
        E164::parse(&number.format().mode(Mode::E164).to_string())
    }

    /// The number with its `+`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The digits without the `+`, as some carriers write it.
    pub fn digits(&self) -> &str {
        self.0.strip_prefix('+').unwrap_or(&self.0)
    }

    /// The ISO 3166 region of the numbering plan (`US`, `KR`); empty for numbers of no country.
    ///
    /// Numbers of the North American fictional range (NPA-555-01xx) belong to the United States.
    pub fn region(&self) -> String {
        let Ok(number) = phonenumber::parse(None, &self.0) else { return String::new() };
        if let Some(region) = number.country().id() {
            return region.as_ref().to_owned();
        }
        // Metadata lists several countries for some calling codes and refuses fictional numbers; the main one counts.
        match number.country().code() {
            1 => "US".to_owned(),
            7 => "RU".to_owned(),
            44 => "GB".to_owned(),
            code => main_region(code).to_owned(),
        }
    }

    /// The area code of a North American number (`202`), as a hint for closeness.
    pub fn area(&self) -> Option<&str> {
        match self.0.strip_prefix("+1") {
            Some(rest) if rest.len() == 10 => rest.get(..3),
            _ => None,
        }
    }

    /// Whether calls and texts to it cost extra, as far as numbering plans say.
    pub fn is_premium(&self) -> bool {
        if matches!(self.area(), Some("900" | "976")) {
            return true;
        }
        let Ok(number) = phonenumber::parse(None, &self.0) else { return false };
        number.number_type(&phonenumber::metadata::DATABASE) == phonenumber::Type::PremiumRate
    }

    /// The form people read: `+1 202-555-0123`.
    pub fn to_human(&self) -> String {
        match phonenumber::parse(None, &self.0) {
            Ok(number) => number.format().mode(Mode::International).to_string(),
            Err(_) => self.0.clone(),
        }
    }

    /// The form logs may hold: calling code and the last two digits (`+1…23`).
    pub fn masked(&self) -> String {
        let head = self.0.get(..2).unwrap_or("+");
        let tail = self.0.get(self.0.len().saturating_sub(2)..).unwrap_or("");
        format!("{head}…{tail}")
    }
}

/// The region that most numbers of a calling code belong to; empty when we hold no opinion.
fn main_region(calling_code: u16) -> &'static str {
    const MAIN: &[(u16, &str)] = &[
        (20, "EG"),
        (27, "ZA"),
        (30, "GR"),
        (31, "NL"),
        (32, "BE"),
        (33, "FR"),
        (34, "ES"),
        (36, "HU"),
        (39, "IT"),
        (40, "RO"),
        (41, "CH"),
        (43, "AT"),
        (45, "DK"),
        (46, "SE"),
        (47, "NO"),
        (48, "PL"),
        (49, "DE"),
        (52, "MX"),
        (55, "BR"),
        (60, "MY"),
        (61, "AU"),
        (62, "ID"),
        (63, "PH"),
        (64, "NZ"),
        (65, "SG"),
        (66, "TH"),
        (81, "JP"),
        (82, "KR"),
        (84, "VN"),
        (86, "CN"),
        (90, "TR"),
        (91, "IN"),
        (351, "PT"),
        (353, "IE"),
        (358, "FI"),
        (420, "CZ"),
        (852, "HK"),
        (886, "TW"),
        (972, "IL"),
    ];
    MAIN.iter().find(|(code, _)| *code == calling_code).map_or("", |(_, region)| region)
}

impl fmt::Display for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Logs show numbers through `Debug`, so it is masked.
impl fmt::Debug for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl FromStr for E164 {
    type Err = ParsePhoneError;
    fn from_str(text: &str) -> Result<Self, ParsePhoneError> {
        E164::parse(text)
    }
}

impl<'de> Deserialize<'de> for E164 {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        E164::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl<DB> diesel::serialize::ToSql<diesel::sql_types::Text, DB> for E164
where
    DB: diesel::backend::Backend,
    str: diesel::serialize::ToSql<diesel::sql_types::Text, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut diesel::serialize::Output<'b, '_, DB>) -> diesel::serialize::Result {
        self.0.as_str().to_sql(out)
    }
}

impl<DB> diesel::deserialize::FromSql<diesel::sql_types::Text, DB> for E164
where
    DB: diesel::backend::Backend,
    String: diesel::deserialize::FromSql<diesel::sql_types::Text, DB>,
{
    fn from_sql(bytes: DB::RawValue<'_>) -> diesel::deserialize::Result<Self> {
        Ok(E164(String::from_sql(bytes)?))
    }
}

/// Who is at the other end of an SMS or call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RemoteParty {
    /// A telephone.
    Phone(E164),
    /// A short code of one country (3 to 8 digits); it can be answered only inside that country.
    ShortCode(String),
    /// A name in place of a number (`MYBANK`, at most 11 characters); it cannot be answered.
    Alphanumeric(String),
    /// The caller hides his number.
    Hidden,
}

impl RemoteParty {
    /// Reads a sender as carriers write it.
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        if let Ok(number) = E164::parse(text) {
            return RemoteParty::Phone(number);
        }
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        match text.len() {
            0 => RemoteParty::Hidden,
            3..=8 if digits => RemoteParty::ShortCode(text.to_owned()),
            _ if text.eq_ignore_ascii_case("anonymous") || text.eq_ignore_ascii_case("restricted") => {
                RemoteParty::Hidden
            }
            _ => RemoteParty::Alphanumeric(text.chars().take(32).collect()),
        }
    }

    /// The telephone, when it is one.
    pub fn phone(&self) -> Option<&E164> {
        match self {
            RemoteParty::Phone(number) => Some(number),
            RemoteParty::ShortCode(_) | RemoteParty::Alphanumeric(_) | RemoteParty::Hidden => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_form_is_exact() {
        for good in ["+12025550123", "+821012345678", "+4930123456"] {
            assert!(E164::parse(good).is_ok(), "{good}");
        }
        for bad in
            ["12025550123", "+0123456789", "+1202555012x", "+", "", "+1234567890123456", "+ 12025550123"]
        {
            assert!(E164::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn people_write_national_numbers() {
        let table = [
            ("010-1234-5678", Some("KR"), "+821012345678"),
            ("(202) 555-0123", Some("US"), "+12025550123"),
            ("030 123456", Some("DE"), "+4930123456"),
            ("+44 7700 900123", None, "+447700900123"),
            // Begins with what is a trunk prefix at home.
            ("+82 10 1234 5678", Some("US"), "+821012345678"),
            ("011 82 10 1234 5678", Some("US"), "+821012345678"),
            ("00 1 202 555 0123", Some("DE"), "+12025550123"),
        ];
        for (typed, region, wanted) in table {
            assert_eq!(E164::parse_human(typed, region).unwrap().as_str(), wanted);
        }
        assert!(E164::parse_human("hello", Some("US")).is_err());
        assert!(E164::parse_human("2025550123", None).is_err());
    }

    #[test]
    fn a_number_knows_its_region() {
        let table = [
            ("+12025550123", "US"),
            ("+821012345678", "KR"),
            ("+447700900123", "GB"),
            ("+4915112345678", "DE"),
        ];
        for (number, region) in table {
            assert_eq!(E164::parse(number).unwrap().region(), region, "{number}");
        }
    }

    #[test]
    fn logs_never_hold_a_whole_number() {
        assert_eq!(format!("{:?}", E164::parse("+12025550123").unwrap()), "+1…23");
    }

    #[test]
    fn senders_are_not_always_phones() {
        assert!(matches!(RemoteParty::parse("+12025550123"), RemoteParty::Phone(_)));
        assert!(matches!(RemoteParty::parse("72345"), RemoteParty::ShortCode(_)));
        assert!(matches!(RemoteParty::parse("MYBANK"), RemoteParty::Alphanumeric(_)));
        assert!(matches!(RemoteParty::parse("Anonymous"), RemoteParty::Hidden));
    }
}
