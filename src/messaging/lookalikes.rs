//! Characters that make a text dear and have a cheap one that looks the same: ’ and ', – and -, … and three dots.
//! Pure.
//!
//! One curly quote makes a whole SMS UCS-2 and can double its price. Replacing is worth it only when all of them can
//! go, so it is done then and not otherwise. Letters of other scripts are replaced only where they cannot be meant as
//! such: in a word that is otherwise Latin, or in capitals of Greek, which GSM-7 has for this very purpose.

use std::borrow::Cow;

use crate::gsm7::Shift;

/// What was replaced by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// As it was written.
    pub from: String,
    /// As it is sent; may be empty for what cannot be seen.
    pub to: String,
    /// How often.
    pub count: u32,
}

/// Marks and spaces: they mean the same wherever they stand.
fn mark(c: char) -> Option<&'static str> {
    Some(match c {
        '‘' | '’' | '‚' | '‛' | '′' | '‹' | '›' | '`' | '´' | 'ʼ' | '＇' => "'",
        '“' | '”' | '„' | '‟' | '″' | '«' | '»' | '＂' => "\"",
        '‐' | '‑' | '‒' | '–' | '—' | '―' | '−' | '﹣' | '－' => "-",
        '…' => "...",
        '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' | '\t' => " ",
        '\u{200b}' | '\u{2060}' | '\u{feff}' | '\u{ad}' | '\u{200e}' | '\u{200f}' => "",
        '\u{2028}' | '\u{2029}' => "\n",
        '•' | '·' | '‧' | '●' => "*",
        '×' => "x",
        '÷' => ":",
        '⁄' | '∕' => "/",
        '‼' => "!!",
        '⁇' => "??",
        '№' => "No",
        '™' => "(TM)",
        '©' => "(C)",
        '®' => "(R)",
        '½' => "1/2",
        '¼' => "1/4",
        '¾' => "3/4",
        '°' => "o",
        'ﬁ' => "fi",
        'ﬂ' => "fl",
        'ç' => "Ç",
        _ => return None,
    })
}

/// Letters of other scripts that look like Latin ones.
fn letter(c: char) -> Option<char> {
    Some(match c {
        // Cyrillic
        'А' => 'A',
        'В' => 'B',
        'Е' => 'E',
        'К' => 'K',
        'М' => 'M',
        'Н' => 'H',
        'О' => 'O',
        'Р' => 'P',
        'С' => 'C',
        'Т' => 'T',
        'Х' => 'X',
        'У' => 'Y',
        'І' => 'I',
        'Ј' => 'J',
        'Ѕ' => 'S',
        'а' => 'a',
        'е' => 'e',
        'о' => 'o',
        'р' => 'p',
        'с' => 'c',
        'у' => 'y',
        'х' => 'x',
        'і' => 'i',
        'ј' => 'j',
        'ѕ' => 's',
        // Greek
        'Α' => 'A',
        'Β' => 'B',
        'Ε' => 'E',
        'Ζ' => 'Z',
        'Η' => 'H',
        'Ι' => 'I',
        'Κ' => 'K',
        'Μ' => 'M',
        'Ν' => 'N',
        'Ο' => 'O',
        'Ρ' => 'P',
        'Τ' => 'T',
        'Υ' => 'Y',
        'Χ' => 'X',
        'ο' => 'o',
        'ν' => 'v',
        _ => return None,
    })
}

/// Whether letters of other scripts may be replaced in this word.
fn is_safe(word: &str) -> bool {
    let latin = word.chars().any(|c| c.is_ascii_alphabetic());
    let greek_capitals = word.chars().all(|c| ('Α'..='Ω').contains(&c) || !c.is_alphabetic());
    let foreign =
        word.chars().any(|c| c.is_alphabetic() && letter(c).is_none() && Shift::NONE.septets(c).is_none());
    !foreign && (latin || greek_capitals)
}

/// The text with cheap characters, when that makes it GSM-7; else as it is. And what was replaced.
pub fn economize(text: &str) -> (Cow<'_, str>, Vec<Replaced>) {
    if text.chars().all(|c| Shift::NONE.septets(c).is_some()) {
        return (Cow::Borrowed(text), Vec::new());
    }
    let mut cheap = String::with_capacity(text.len());
    let mut replaced: Vec<Replaced> = Vec::new();
    let mut note = |from: char, to: &str| match replaced.iter_mut().find(|r| r.from.chars().eq([from])) {
        Some(known) => known.count += 1,
        None => replaced.push(Replaced { from: from.to_string(), to: to.to_owned(), count: 1 }),
    };
    for word in text.split_inclusive(|c: char| !c.is_alphabetic()) {
        let safe = is_safe(word);
        for c in word.chars() {
            if Shift::NONE.septets(c).is_some() {
                cheap.push(c);
            } else if let Some(to) = mark(c) {
                note(c, to);
                cheap.push_str(to);
            } else if let Some(to) = letter(c).filter(|_| safe) {
                note(c, to.encode_utf8(&mut [0; 4]));
                cheap.push(to);
            } else {
                return (Cow::Borrowed(text), Vec::new());
            }
        }
    }
    (Cow::Owned(cheap), replaced)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_looks_the_same_is_replaced() {
        let table = [
            ("It’s “fine” – really…", "It's \"fine\" - really..."),
            ("a\u{a0}b\u{200b}c", "a bc"),
            ("naïve", "naïve"),
            ("ТEST", "TEST"),
            ("Hеllo there", "Hello there"),
            ("ΚΑΛΗΜΕΡΑ ΣΟΥ", "KAΛHMEPA ΣOY"),
            ("plain", "plain"),
            ("Ça va, garçon", "Ça va, garÇon"),
        ];
        for (written, sent) in table {
            assert_eq!(economize(written).0, sent, "{written}");
        }
    }

    #[test]
    fn what_is_meant_is_kept() {
        // A word of another script, whether or not each of its letters has a twin; and what cannot be saved anyway.
        for kept in ["Привет", "сор", "СОРОК", "καλημέρα", "’가", "“안녕”", "😀…", "тест test"]
        {
            let (text, replaced) = economize(kept);
            assert_eq!((text.as_ref(), replaced), (kept, Vec::new()));
        }
    }

    #[test]
    fn the_difference_is_told() {
        let (_, replaced) = economize("‘a’ – ‘b’");
        let told: Vec<(&str, &str, u32)> =
            replaced.iter().map(|r| (r.from.as_str(), r.to.as_str(), r.count)).collect();
        assert_eq!(told, [("‘", "'", 2), ("’", "'", 2), ("–", "-", 1)]);
    }

    proptest! {
        #[test]
        fn a_text_gets_cheap_or_stays_as_it_is(chars in proptest::collection::vec(prop_oneof![
            8 => proptest::char::range(' ', '~'),
            1 => prop_oneof![Just('’'), Just('…'), Just('А'), Just('Α'), Just('ç'), Just('\u{a0}')],
            1 => any::<char>(),
        ], 0..80)) {
            let text: String = chars.into_iter().collect();
            let (sent, replaced) = economize(&text);
            let cheap = sent.chars().all(|c| Shift::NONE.septets(c).is_some());
            prop_assert!(cheap || (sent == text && replaced.is_empty()));
            prop_assert_eq!(economize(&sent).0, sent.clone());
        }
    }
}
