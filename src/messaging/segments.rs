//! How many SMS segments a text costs, which character makes it expensive, and where it is cut.
//!
//! The arithmetic is [`crate::gsm7`]'s; here stand our limit and the form in which a text is counted.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization as _;

use crate::error::{Error, Result};
use crate::gsm7::{self, Cost, Joint};
pub use crate::gsm7::{Encoding, Language};

/// The most segments that one outbound message may cost: enough for 1,530 characters, cheap enough to be a mistake.
pub const OUTBOUND_SEGMENTS_MAX: u16 = 10;

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
    /// The first character that GSM-7 cannot say; without national tables it makes the whole text UCS-2.
    pub culprit: Option<char>,
}

impl From<Cost> for Segments {
    fn from(cost: Cost) -> Self {
        let Cost { encoding, units, segment_count, units_left, culprit, .. } = cost;
        Segments { encoding, units, segment_count, units_left, culprit }
    }
}

impl Segments {
    /// Counts `text` as it is; call [`normalize`] first, because both line ends and accents change the bill.
    pub fn count(text: &str) -> Segments {
        gsm7::cost(text, Joint::Short).into()
    }

    /// The same where the national tables of `languages` may be used.
    pub fn count_with(text: &str, languages: &[Language]) -> Segments {
        gsm7::cost_with(text, Joint::Short, languages).into()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::texts::{ConsentReply, GuardText, Locale, Text};
    use proptest::prelude::*;

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
        let replies = [
            ConsentReply::Stopped,
            ConsentReply::Started,
            ConsentReply::Help { service: "https://meari.example.org" },
        ];
        let guards = [
            GuardText::AskPin,
            GuardText::AskMailed,
            GuardText::AskCode { code: "482913" },
            GuardText::Wrong,
            GuardText::Locked { service: "https://meari.example.org" },
            GuardText::NumberChanged { name, number: "+12025550123" },
        ];
        for (text, locale) in guards.into_iter().flat_map(|t| Locale::ALL.map(|l| (t, l))) {
            let rendered = text.render(locale);
            assert_eq!(Segments::count(&rendered).segment_count, 1, "{rendered}");
        }
        for (reply, locale) in replies.into_iter().flat_map(|r| Locale::ALL.map(|l| (r, l))) {
            let rendered = reply.render(locale);
            assert_eq!(Segments::count(&rendered).segment_count, 1, "{rendered}");
        }
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

    proptest! {
        #[test]
        fn normal_form_is_stable(text in proptest::collection::vec(any::<char>(), 0..200)) {
            let text: String = text.into_iter().collect();
            let once = normalize(&text).into_owned();
            prop_assert_eq!(normalize(&once).into_owned(), once.clone());
            prop_assert!(!once.contains('\r'));
        }
    }
}
