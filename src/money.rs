//! Money: exact amounts with their currency. No floating point, no conversion between currencies.

use std::fmt;

/// Millionths of a currency unit in one unit.
const MICROS: i64 = 1_000_000;

/// An ISO 4217 currency (`USD`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// The dollar of the United States, in which most carriers bill.
    pub const USD: Currency = Currency(*b"USD");

    /// Reads three letters, whatever their case.
    pub fn parse(text: &str) -> Option<Currency> {
        let letters: [u8; 3] = text.as_bytes().try_into().ok()?;
        let known = letters.iter().all(u8::is_ascii_alphabetic);
        known.then(|| Currency(letters.map(|letter| letter.to_ascii_uppercase())))
    }

    /// The three letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An amount in millionths of a currency unit: carriers bill fractions of a cent.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    /// Millionths of the unit.
    pub micros: i64,
    /// Of which currency.
    pub currency: Currency,
}

impl Money {
    /// Reads a decimal as carriers write it (`1.15`, `0.0075`, `-0.5`). More than six decimals are refused rather than
    /// rounded away.
    pub fn parse(amount: &str, currency: Currency) -> Option<Money> {
        let (negative, digits) = match amount.trim().strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, amount.trim()),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let fraction = fraction.trim_end_matches('0');
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !plain(whole) || !plain(fraction) || fraction.len() > 6 {
            return None;
        }
        let fraction: i64 = format!("{fraction:0<6}").parse().ok()?;
        let micros = whole.parse::<i64>().ok()?.checked_mul(MICROS)?.checked_add(fraction)?;
        Some(Money { micros: if negative { -micros } else { micros }, currency })
    }

    /// The sum, when both are of one currency and it fits.
    pub fn plus(self, other: Money) -> Option<Money> {
        let micros = self.micros.checked_add(other.micros).filter(|_| self.currency == other.currency)?;
        Some(Money { micros, ..self })
    }
}

/// `1.15 USD`: at least two decimals, no needless zeros after them.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.micros < 0 { "-" } else { "" };
        let (whole, fraction) =
            (self.micros.unsigned_abs() / 1_000_000, self.micros.unsigned_abs() % 1_000_000);
        let fraction = format!("{fraction:06}");
        let fraction = fraction.trim_end_matches('0');
        write!(f, "{sign}{whole}.{fraction:0<2} {}", self.currency.as_str())
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_are_read_and_shown_exactly() {
        let table = [
            ("1", 1_000_000, "1.00 USD"),
            ("1.15", 1_150_000, "1.15 USD"),
            ("0.0075", 7_500, "0.0075 USD"),
            ("-0.5", -500_000, "-0.50 USD"),
            ("1.1500000000", 1_150_000, "1.15 USD"),
        ];
        for (text, micros, shown) in table {
            let read = Money::parse(text, Currency::USD).unwrap();
            assert_eq!((read.micros, read.to_string().as_str()), (micros, shown), "{text}");
        }
        for text in ["", ".5", "1,5", "1e3", "0.1234567", "--1", "99999999999999999"] {
            assert_eq!(Money::parse(text, Currency::USD), None, "{text}");
        }
    }

    #[test]
    fn currencies_do_not_mix() {
        let euro = Currency::parse("eur").unwrap();
        let one = |currency| Money { micros: 1, currency };
        assert_eq!(one(euro).plus(one(Currency::USD)), None);
        assert_eq!(one(euro).plus(one(euro)), Some(Money { micros: 2, currency: euro }));
        assert!(Currency::parse("€").is_none() && Currency::parse("EURO").is_none());
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(micros in -1_000_000_000_000_i64..1_000_000_000_000) {
            let money = Money { micros, currency: Currency::USD };
            let shown = money.to_string();
            prop_assert_eq!(Money::parse(shown.trim_end_matches(" USD"), Currency::USD), Some(money));
        }
    }
}
