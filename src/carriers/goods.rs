//! Numbers as goods: what a carrier offers, what we order, what we have there.

use crate::money::Money;
use crate::phone::E164;

/// What a number can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Features {
    /// SMS both ways.
    pub sms: bool,
    /// MMS both ways.
    pub mms: bool,
    /// Calls both ways.
    pub voice: bool,
}

impl Features {
    /// Whether everything that `wanted` names is there.
    pub fn cover(self, wanted: Features) -> bool {
        (self.sms || !wanted.sms) && (self.mms || !wanted.mms) && (self.voice || !wanted.voice)
    }
}

/// What sort of number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberKind {
    /// Of a place.
    Local,
    /// Of a mobile network.
    Mobile,
    /// Free for the caller.
    TollFree,
}

/// What we look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberQuery {
    /// ISO 3166 region (`US`).
    pub region: String,
    /// What sort.
    pub kind: NumberKind,
    /// The first digits after the country code (`202`), when a place is wanted.
    pub area: Option<String>,
    /// What it must be able to do.
    pub features: Features,
    /// How many at most, 1 to [`OFFERS_MAX`].
    pub limit: u8,
}

/// Offers of one search at most.
pub const OFFERS_MAX: u8 = 50;

/// A number that can be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedNumber {
    /// The number.
    pub number: E164,
    /// What it can do.
    pub features: Features,
    /// Its price each month, when the carrier says.
    pub monthly: Option<Money>,
    /// Its price once, when the carrier says.
    pub upfront: Option<Money>,
    /// Where it belongs, for people.
    pub place: Option<String>,
}

/// An order for one number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberOrder {
    /// Which.
    pub number: E164,
    /// Our own reference, up to 40 letters, digits, `-` and `_`: the same order again is not a second one.
    pub reference: String,
    /// Our callback addresses up to the carrier's id, without a slash at the end
    /// (`https://meari.example.org/carriers/main`), for carriers that keep them with the number.
    pub callback_base: String,
}

/// How far an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderState {
    /// The number is ours.
    Done,
    /// The carrier works on it; the same order again asks how far it is.
    Pending,
    /// The carrier could not get it.
    Refused,
}

/// What came of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ordered {
    /// How far.
    pub state: OrderState,
    /// The carrier's id of the number or of the order, for its support.
    pub carrier_ref: Option<String>,
}

/// A number that we have at a carrier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedNumber {
    /// The number.
    pub number: E164,
    /// What it can do, as far as the carrier says.
    pub features: Features,
    /// The carrier's id of it.
    pub carrier_ref: Option<String>,
}

/// A part of the list of our numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OwnedNumbers {
    /// These.
    pub items: Vec<OwnedNumber>,
    /// What to ask for to get those after them.
    pub next: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_cover_what_is_wanted() {
        let all = Features { sms: true, mms: true, voice: true };
        let texts = Features { sms: true, ..Features::default() };
        assert!(all.cover(texts) && all.cover(Features::default()) && texts.cover(texts));
        assert!(!texts.cover(all) && !Features::default().cover(texts));
    }
}
