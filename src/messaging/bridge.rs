//! What becomes of words on their way between chat and telephone. Pure.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

use super::lookalikes::economize;
use crate::error::{Error, Result};
use crate::texts::{Locale, Text};

/// Characters in one message at most; ten segments of plain SMS hold less.
pub const TEXT_MAX: usize = 4_000;

/// A message as we keep it: NFC (a decomposed é would make the SMS dearer), LF for line ends, no other control
/// characters, nothing around it.
pub fn normalize(text: &str) -> String {
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return text.trim_matches(' ').to_owned();
    }
    let lines = text.replace("\r\n", "\n").replace('\r', "\n");
    let kept: String = lines.nfc().filter(|c| *c == '\n' || *c == '\t' || !c.is_control()).collect();
    kept.trim_matches(['\n', ' ', '\t']).to_owned()
}

/// Checks what a person wrote in a client.
pub fn check_draft(text: &str) -> Result<String> {
    let text = normalize(text);
    if text.is_empty() {
        return Err(Error::invalid("text", "empty_message", "A message needs some text."));
    }
    if text.chars().count() > TEXT_MAX {
        return Err(Error::invalid(
            "text",
            "message_too_long",
            format!("A message has at most {TEXT_MAX} characters."),
        ));
    }
    Ok(text)
}

/// The SMS for a chat message: introduced by name when the phone does not know the number yet, and with cheap
/// characters in place of dear ones that look the same. The chat keeps what was written.
pub fn to_sms(text: &str, introduce: Option<&str>, locale: Locale) -> String {
    let whole = match introduce {
        Some(name) => Cow::Owned(format!("{}{text}", Text::Introduction { name }.render(locale))),
        None => Cow::Borrowed(text),
    };
    economize(&whole).0.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_kept_in_its_cheapest_equal_form() {
        let table = [
            ("e\u{301}", "é"),
            ("a\r\nb\rc", "a\nb\nc"),
            ("  hi \n", "hi"),
            ("bell\u{7}", "bell"),
            ("👩\u{200d}🚀", "👩\u{200d}🚀"),
        ];
        for (written, kept) in table {
            assert_eq!(normalize(written), kept);
        }
    }

    #[test]
    fn nothing_and_too_much_are_refused() {
        assert_eq!(check_draft(" \r\n ").unwrap_err().code(), "empty_message");
        assert_eq!(check_draft(&"x".repeat(4_001)).unwrap_err().code(), "message_too_long");
        assert_eq!(check_draft("안녕").unwrap(), "안녕");
    }
}
