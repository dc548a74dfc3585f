//! What an SMS costs, as far as the operator has said (`price_per_segment = "0.0079 USD"` of a carrier). Pure.

use secrecy::ExposeSecret as _;

use crate::carriers::CarrierSettings;
use crate::carriers::registry::PRICE_PER_SEGMENT;

/// Parts of a unit of money that are counted: prices have up to six places.
const PARTS: u64 = 1_000_000;

/// An amount in millionths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    millionths: u64,
    /// ISO 4217.
    pub currency: String,
}

impl Price {
    /// Reads `0.0079 USD`.
    pub fn parse(text: &str) -> Option<Price> {
        let (amount, currency) = text.trim().split_once(' ')?;
        let (whole, places) = amount.split_once('.').unwrap_or((amount, ""));
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let known = currency.len() == 3 && currency.bytes().all(|b| b.is_ascii_uppercase());
        if whole.is_empty()
            || whole.len() > 6
            || places.len() > 6
            || !digits(whole)
            || !digits(places)
            || !known
        {
            return None;
        }
        let places: u64 = format!("{places:0<6}").parse().ok()?;
        let millionths = whole.parse::<u64>().ok()? * PARTS + places;
        Some(Price { millionths, currency: currency.to_owned() })
    }

    /// The price of a segment through this carrier; without one, when only one carrier has a price, that.
    pub fn of(carriers: &[CarrierSettings], carrier_id: Option<&str>) -> Option<Price> {
        let price =
            |entry: &CarrierSettings| Price::parse(entry.options.get(PRICE_PER_SEGMENT)?.expose_secret());
        match carrier_id {
            Some(id) => carriers.iter().find(|entry| entry.id == id).and_then(price),
            None => {
                let mut all = carriers.iter().filter_map(price);
                all.next().filter(|_| all.next().is_none())
            }
        }
    }

    /// Of so many segments.
    #[must_use]
    pub fn times(self, count: impl Into<u64>) -> Price {
        Price { millionths: self.millionths.saturating_mul(count.into()), currency: self.currency }
    }

    /// With a point and without needless noughts, but with two places at least.
    pub fn amount(&self) -> String {
        let (whole, rest) = (self.millionths / PARTS, self.millionths % PARTS);
        let places = format!("{rest:06}");
        let short = places.trim_end_matches('0');
        format!("{whole}.{short:0<2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_read_multiplied_and_written() {
        let table = [
            ("0.0079 USD", 2u16, Some("0.0158")),
            ("1 EUR", 3, Some("3.00")),
            ("0.5 KRW", 1, Some("0.50")),
            ("9 won", 1, None),
            ("0.0079", 1, None),
            (".5 USD", 1, None),
            ("0.00000001 USD", 1, None),
            ("-1 USD", 1, None),
        ];
        for (text, count, wanted) in table {
            assert_eq!(Price::parse(text).map(|p| p.times(count).amount()).as_deref(), wanted, "{text}");
        }
    }
}
