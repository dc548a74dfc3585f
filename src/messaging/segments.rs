//! How many SMS segments a text costs, which character makes it expensive, and where it is cut.
//!
//! 3GPP TS 23.038 (GSM 7 bit default alphabet and its extension table) and TS 23.040 (concatenation): 160 septets or
//! 70 UTF-16 units alone, 153 or 67 each when several belong together. An escape pair and a surrogate pair never
//! stand across a border. Counting is one pass without allocation.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization as _;

use crate::error::{Error, Result};

/// The most segments that one outbound message may cost: enough for 1,530 characters, cheap enough to be a mistake.
pub const OUTBOUND_SEGMENTS_MAX: u16 = 10;

/// How the characters travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Seven bits a character, a small alphabet.
    Gsm7,
    /// Sixteen bits, everything (UTF-16 in truth).
    Ucs2,
}

impl Encoding {
    /// Units that a message of one segment holds.
    pub const fn units_alone(self) -> u32 {
        match self {
            Encoding::Gsm7 => 160,
            Encoding::Ucs2 => 70,
        }
    }

    /// Units that each segment of a longer message holds; the rest is the header that joins them.
    pub const fn units_joined(self) -> u32 {
        match self {
            Encoding::Gsm7 => 153,
            Encoding::Ucs2 => 67,
        }
    }

    /// The units of one character; `None` when this encoding cannot say it.
    fn units_of(self, c: char) -> Option<u32> {
        match self {
            Encoding::Gsm7 => septets(c),
            Encoding::Ucs2 => Some(utf16_units(c)),
        }
    }
}

/// What a text costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segments {
    /// How it travels.
    pub encoding: Encoding,
    /// Septets (GSM-7) or UTF-16 units (UCS-2) of the whole text.
    pub units: u32,
    /// What the carrier bills; 1 for an empty text.
    pub segment_count: u16,
    /// Units that fit before another segment is billed.
    pub units_left: u32,
    /// The first character that GSM-7 cannot say and that made the whole text UCS-2.
    pub culprit: Option<char>,
}

impl Segments {
    /// Counts `text` as it is; call [`normalize`] first, because both line ends and accents change the bill.
    pub fn count(text: &str) -> Segments {
        let mut gsm7 = Counter::new(Encoding::Gsm7);
        let mut ucs2 = Counter::new(Encoding::Ucs2);
        let mut culprit = None;
        for c in text.chars() {
            ucs2.add(utf16_units(c));
            if culprit.is_none() {
                match septets(c) {
                    Some(units) => gsm7.add(units),
                    None => culprit = Some(c),
                }
            }
        }
        if culprit.is_some() { ucs2.finish(culprit) } else { gsm7.finish(None) }
    }

    /// Counts, and refuses what is longer than [`OUTBOUND_SEGMENTS_MAX`] segments with `message_too_long`.
    pub fn check(text: &str) -> Result<Segments> {
        let segments = Segments::count(text);
        if segments.segment_count <= OUTBOUND_SEGMENTS_MAX {
            return Ok(segments);
        }
        let (count, max) = (segments.segment_count, OUTBOUND_SEGMENTS_MAX);
        let mut detail = format!("The text needs {count} SMS segments; at most {max} are sent.");
        if let Some(c) = segments.culprit {
            detail.push_str(&format!(" The character “{c}” makes each segment hold fewer characters."));
        }
        Err(Error::invalid("text", "message_too_long", detail))
    }
}

/// The form in which a text is counted and sent: composed characters (NFC) and `\n` as the only line end.
pub fn normalize(text: &str) -> Cow<'_, str> {
    let lines: Cow<'_, str> = if text.contains('\r') {
        Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(text)
    };
    if unicode_normalization::is_nfc(&lines) { lines } else { Cow::Owned(lines.nfc().collect()) }
}

/// The text of each segment, in order; joined they are `text` again. One piece when it fits, also when it is empty.
pub fn split(text: &str) -> Vec<&str> {
    let segments = Segments::count(text);
    if segments.segment_count <= 1 {
        return vec![text];
    }
    let (encoding, room) = (segments.encoding, segments.encoding.units_joined());
    let mut pieces = Vec::new();
    let (mut rest, mut at, mut used) = (text, 0, 0);
    for c in text.chars() {
        let units = encoding.units_of(c).unwrap_or(1);
        if used + units > room {
            let (piece, after) = rest.split_at_checked(at).unwrap_or((rest, ""));
            pieces.push(piece);
            (rest, at, used) = (after, 0, 0);
        }
        at += c.len_utf8();
        used += units;
    }
    pieces.push(rest);
    pieces
}

/// Fills segments of one encoding, both as if alone and as if joined, because one pass cannot know yet.
struct Counter {
    encoding: Encoding,
    units: u32,
    /// Segments that are full, if the text turns out to be a joined one.
    full: u16,
    /// Units in the segment after them.
    used: u32,
}

impl Counter {
    fn new(encoding: Encoding) -> Self {
        Counter { encoding, units: 0, full: 0, used: 0 }
    }

    fn add(&mut self, units: u32) {
        self.units = self.units.saturating_add(units);
        self.used += units;
        if self.used > self.encoding.units_joined() {
            self.full = self.full.saturating_add(1);
            self.used = units;
        }
    }

    fn finish(self, culprit: Option<char>) -> Segments {
        let alone = self.encoding.units_alone();
        let (segment_count, units_left) = if self.units <= alone {
            (1, alone - self.units)
        } else {
            (self.full.saturating_add(1), self.encoding.units_joined() - self.used)
        };
        Segments { encoding: self.encoding, units: self.units, segment_count, units_left, culprit }
    }
}

fn utf16_units(c: char) -> u32 {
    if c.len_utf16() == 2 { 2 } else { 1 }
}

/// The septets of a character: 1 in the default alphabet, 2 in the extension table, `None` outside of both.
fn septets(c: char) -> Option<u32> {
    match c {
        '\n' | '\r' | ' '..='Z' | '_' | 'a'..='z' => Some(1),
        '\u{c}' | '[' | '\\' | ']' | '^' | '{' | '|' | '}' | '~' | '€' => Some(2),
        '£' | '¥' | 'è' | 'é' | 'ù' | 'ì' | 'ò' | 'Ç' | 'Ø' | 'ø' | 'Å' | 'å' => Some(1),
        'Δ' | 'Φ' | 'Γ' | 'Λ' | 'Ω' | 'Π' | 'Ψ' | 'Σ' | 'Θ' | 'Ξ' => Some(1),
        'Æ' | 'æ' | 'ß' | 'É' | '¤' | '¡' | 'Ä' | 'Ö' | 'Ñ' | 'Ü' | '§' | '¿' => Some(1),
        'ä' | 'ö' | 'ñ' | 'ü' | 'à' => Some(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::texts::{Locale, Text};
    use proptest::prelude::*;

    /// 3GPP TS 23.038 §6.2.1, in code order, without the escape character.
    const DEFAULT_ALPHABET: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?\
        ¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
    /// §6.2.1.1.
    const EXTENSION_TABLE: &str = "\u{c}^{}\\[~]|€";

    #[test]
    fn the_alphabet_is_the_standards() {
        assert_eq!(DEFAULT_ALPHABET.chars().count(), 127);
        let mut known = 0;
        for c in (0..=char::MAX as u32).filter_map(char::from_u32) {
            let wanted = match (DEFAULT_ALPHABET.contains(c), EXTENSION_TABLE.contains(c)) {
                (true, _) => Some(1),
                (_, true) => Some(2),
                (false, false) => None,
            };
            assert_eq!(septets(c), wanted, "{c:?}");
            known += u32::from(wanted.is_some());
        }
        assert_eq!(known, 137);
        for outside in ['`', 'ç', '\t', '’', '“', '…', '\u{1b}', 'Α', 'á'] {
            assert_eq!(Segments::count(&outside.to_string()).culprit, Some(outside));
        }
    }

    #[test]
    fn borders_are_exact() {
        let a = |n: usize| "a".repeat(n);
        let ga = |n: usize| "가".repeat(n);
        // text, units, segments, units left
        let table = [
            (String::new(), 0, 1, 160),
            (a(160), 160, 1, 0),
            (a(161), 161, 2, 145),
            (a(306), 306, 2, 0),
            (a(307), 307, 3, 152),
            (a(1530), 1530, 10, 0),
            (a(1531), 1531, 11, 152),
            (format!("{}€", a(158)), 160, 1, 0),
            (format!("{}€", a(159)), 161, 2, 145),
            // The escape pair would stand on the border at 153, so it moves and one unit stays unused.
            (format!("{}€{}", a(152), a(10)), 164, 2, 141),
            (format!("{}€{}", a(152), a(151)), 305, 2, 0),
            (format!("{}€{}", a(152), a(152)), 306, 3, 152),
            (ga(70), 70, 1, 0),
            (ga(71), 71, 2, 63),
            (ga(134), 134, 2, 0),
            (ga(135), 135, 3, 66),
            (ga(670), 670, 10, 0),
            (format!("{}😀", ga(68)), 70, 1, 0),
            (format!("{}😀", ga(69)), 71, 2, 63),
            (format!("{}😀{}", ga(66), ga(66)), 134, 3, 66),
            (format!("{}😀{}", ga(66), ga(65)), 133, 2, 0),
            (format!("{}가", a(69)), 70, 1, 0),
        ];
        for (text, units, segment_count, units_left) in table {
            let counted = Segments::count(&text);
            assert_eq!(
                (counted.units, counted.segment_count, counted.units_left),
                (units, segment_count, units_left),
                "{} characters",
                text.chars().count()
            );
        }
    }

    #[test]
    fn the_first_foreign_character_is_named() {
        let counted = Segments::count("It’s 5 € – fine");
        assert_eq!((counted.encoding, counted.culprit), (Encoding::Ucs2, Some('’')));
        let error = Segments::check(&format!("{}’", "a".repeat(700))).unwrap_err();
        assert_eq!(error.code(), "message_too_long");
        assert!(error.message().contains('’') && error.message().contains("11"), "{error}");
        assert!(Segments::check(&"a".repeat(1530)).is_ok());
    }

    #[test]
    fn normal_form_saves_segments() {
        assert_eq!(normalize("a\r\nb\rc\n"), "a\nb\nc\n");
        assert_eq!(normalize("cafe\u{301}"), "café");
        assert!(Segments::count(&normalize("cafe\u{301}")).culprit.is_none());
        assert_eq!(normalize("\u{1112}\u{1161}\u{11ab}"), "한");
        assert!(matches!(normalize("plain 한글"), Cow::Borrowed(_)));
    }

    #[test]
    fn our_own_texts_are_one_segment() {
        let name = "Maximiliane Mustermann-K";
        let texts = [
            Text::VerificationCode { code: "482913" },
            Text::VerifyByTextingConfirmed,
            Text::UnknownHandset { service: "https://meari.example.org" },
            Text::UnknownNumber,
            Text::ReleasedContact,
            Text::Introduction { name },
            Text::RequestNotice { name },
            Text::AccountDeletedBody,
        ];
        for text in texts {
            for locale in Locale::ALL {
                let rendered = text.render(locale);
                let counted = Segments::count(&rendered);
                assert_eq!(counted.segment_count, 1, "{rendered}: {counted:?}");
                if locale == Locale::En {
                    assert_eq!(counted.encoding, Encoding::Gsm7, "{rendered}: {counted:?}");
                }
            }
        }
    }

    fn any_text() -> impl Strategy<Value = String> {
        let alphabet = prop_oneof![
            8 => proptest::char::range('a', 'z'),
            2 => Just('€'),
            1 => Just('\n'),
            1 => Just('😀'),
            1 => Just('가'),
        ];
        let gsm7_only = prop_oneof![6 => proptest::char::range(' ', 'Z'), 1 => Just('€'), 1 => Just('{')];
        prop_oneof![
            proptest::collection::vec(alphabet, 0..400),
            proptest::collection::vec(gsm7_only, 0..700),
            proptest::collection::vec(any::<char>(), 0..200),
        ]
        .prop_map(|chars| chars.into_iter().collect())
    }

    proptest! {
        #[test]
        fn pieces_are_the_text_and_as_many_as_counted(text in any_text()) {
            let counted = Segments::count(&text);
            let pieces = split(&text);
            prop_assert_eq!(pieces.concat(), text.clone());
            prop_assert_eq!(pieces.len(), usize::from(counted.segment_count));
            let room = match pieces.len() {
                1 => counted.encoding.units_alone(),
                _ => counted.encoding.units_joined(),
            };
            let units = |piece: &str| piece.chars().filter_map(|c| counted.encoding.units_of(c)).sum::<u32>();
            prop_assert!(pieces.iter().all(|piece| units(piece) <= room));
            prop_assert_eq!(pieces.iter().map(|piece| units(piece)).sum::<u32>(), counted.units);
            prop_assert_eq!(pieces.last().map(|last| room - units(last)), Some(counted.units_left));
        }

        #[test]
        fn more_text_never_costs_less(text in any_text(), more in any::<char>()) {
            let longer = format!("{text}{more}");
            prop_assert!(Segments::count(&longer).segment_count >= Segments::count(&text).segment_count);
        }

        #[test]
        fn normal_form_is_stable(text in any_text()) {
            let once = normalize(&text).into_owned();
            prop_assert_eq!(normalize(&once).into_owned(), once.clone());
            prop_assert!(!once.contains('\r'));
        }
    }
}
