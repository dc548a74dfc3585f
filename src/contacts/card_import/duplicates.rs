//! Who is in the book already: by UID, by number (compared as E.164 of the user's country), by e-mail address, by name
//! (Unicode NFKD, without marks, in small letters). And how two cards of one person become one.

use std::collections::HashMap;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use crate::contacts::card_convert::to_version;
use crate::contacts::vcard::{Card, Line, unescape};
use crate::phone::E164;

/// Keys of one card at most: nobody has more numbers.
const KEYS_MAX: usize = 200;

/// Why two cards are taken for one person's; the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// They have the same UID.
    Uid,
    /// They share a number.
    Number,
    /// They share an e-mail address.
    Email,
    /// They have the same name.
    Name,
}

impl Reason {
    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Uid => "uid",
            Reason::Number => "number",
            Reason::Email => "email",
            Reason::Name => "name",
        }
    }
}

/// A name as it compares.
pub fn folded(name: &str) -> String {
    let plain: String = name.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase).collect();
    plain.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// A number as it compares: E.164, or its digits when it is none.
pub fn number_key(value: &str, region: &str) -> Option<String> {
    let value = value.strip_prefix("tel:").unwrap_or(value);
    if let Ok(number) = E164::parse_human(value, Some(region)) {
        return Some(number.as_str().to_owned());
    }
    let digits: String = value.chars().filter(char::is_ascii_digit).collect();
    // Short codes are everybody's.
    (digits.len() >= 6).then_some(digits)
}

fn keys(card: &Card, region: &str) -> Vec<(Reason, String)> {
    let mut keys = vec![(Reason::Uid, card.uid())];
    let numbers = card.named("TEL").filter_map(|l| number_key(&l.text_value(), region));
    keys.extend(numbers.map(|number| (Reason::Number, number)));
    let emails =
        card.named("EMAIL").map(|l| l.text_value().trim().to_lowercase()).filter(|e| e.contains('@'));
    keys.extend(emails.map(|email| (Reason::Email, email)));
    let name = card.first("FN").map(|l| folded(&l.text_value())).filter(|name| !name.is_empty());
    keys.extend(name.map(|name| (Reason::Name, name)));
    keys.truncate(KEYS_MAX);
    keys
}

/// Cards by what they are found by; `T` says which.
pub struct Index<T> {
    region: String,
    by_key: HashMap<(Reason, String), T>,
}

impl<T: Clone + PartialEq> Index<T> {
    /// An empty one, for numbers of a country (ISO 3166).
    pub fn new(region: &str) -> Self {
        Index { region: region.to_owned(), by_key: HashMap::new() }
    }

    /// Adds a card; who came first is found first.
    pub fn add(&mut self, card: &Card, which: &T) {
        for key in keys(card, &self.region) {
            self.by_key.entry(key).or_insert_with(|| which.clone());
        }
    }

    /// The card that is most likely the same person's, and all that speaks for it.
    pub fn find(&self, card: &Card) -> Option<(T, Vec<Reason>)> {
        let hits: Vec<(Reason, &T)> = keys(card, &self.region)
            .into_iter()
            .filter_map(|key| self.by_key.get(&key).map(|which| (key.0, which)))
            .collect();
        let (_, which) = hits.iter().min_by_key(|(reason, _)| *reason)?;
        let mut reasons: Vec<Reason> = hits.iter().filter(|(_, w)| w == which).map(|(r, _)| *r).collect();
        reasons.sort();
        reasons.dedup();
        Some(((*which).clone(), reasons))
    }
}

/// What a card has once.
const SINGLE: [&str; 14] = [
    "BDAY",
    "ANNIVERSARY",
    "X-ANNIVERSARY",
    "PHOTO",
    "LOGO",
    "SOUND",
    "ORG",
    "TITLE",
    "ROLE",
    "NICKNAME",
    "GENDER",
    "GEO",
    "TZ",
    "KEY",
];
/// What names a card and is never taken from another one.
const OWN: [&str; 12] = [
    "VERSION",
    "PRODID",
    "UID",
    "REV",
    "FN",
    "N",
    "SORT-STRING",
    "KIND",
    "MEMBER",
    "SOURCE",
    "X-ADDRESSBOOKSERVER-KIND",
    "X-ADDRESSBOOKSERVER-MEMBER",
];

/// What stands on either card, once: the names of `existing`, everybody's numbers and addresses, both notes.
pub fn merged(existing: &Card, new: &Card, region: &str) -> Card {
    let new = to_version(new, existing.version);
    let mut out = existing.clone();
    let mut groups = 0;
    for line in &new.lines {
        let name = line.name.as_str();
        if OWN.contains(&name) || name == "X-ABLABEL" || line.value.trim().is_empty() {
            continue;
        }
        if SINGLE.contains(&name) {
            if existing.named(name).all(|l| l.value.trim().is_empty()) {
                out.lines.push(Line { group: None, text: String::new(), ..line.clone() });
            }
            continue;
        }
        match name {
            "NOTE" => add_note(&mut out, line),
            "CATEGORIES" => add_categories(&mut out, line),
            _ if out.named(name).any(|l| says_the_same(l, line, region)) => {}
            _ => {
                let labels = new
                    .lines
                    .iter()
                    .filter(|l| line.group.is_some() && l.group == line.group && l.name == "X-ABLABEL");
                let group = line.group.as_ref().map(|_| {
                    groups += 1;
                    format!("import{groups}")
                });
                let moved = |l: &Line| Line { group: group.clone(), text: String::new(), ..l.clone() };
                out.lines.push(moved(line));
                out.lines.extend(labels.map(moved));
            }
        }
    }
    out
}

fn says_the_same(a: &Line, b: &Line, region: &str) -> bool {
    match a.name.as_str() {
        "TEL" => {
            let key = |l: &Line| number_key(&l.text_value(), region).unwrap_or_else(|| l.text_value());
            key(a) == key(b)
        }
        _ => {
            let key = |l: &Line| unescape(l.value.trim().trim_end_matches('/')).to_lowercase();
            key(a) == key(b)
        }
    }
}

fn add_note(card: &mut Card, note: &Line) {
    let more = note.value.trim();
    match card.lines.iter_mut().find(|l| l.name == "NOTE") {
        Some(line) if line.value.contains(more) => {}
        Some(line) => {
            line.value = format!("{}\\n{more}", line.value.trim_end());
            line.text.clear();
        }
        None => card.lines.push(Line { group: None, text: String::new(), ..note.clone() }),
    }
}

fn add_categories(card: &mut Card, more: &Line) {
    let held: Vec<String> = card
        .named("CATEGORIES")
        .flat_map(|l| l.components(',').into_iter().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let missing: Vec<&str> = more
        .components(',')
        .into_iter()
        .filter(|item| !item.trim().is_empty() && !held.iter().any(|h| folded(h) == folded(item)))
        .collect();
    if missing.is_empty() {
        return;
    }
    match card.lines.iter_mut().find(|l| l.name == "CATEGORIES") {
        Some(line) => {
            line.value = format!("{},{}", line.value, missing.join(","));
            line.text.clear();
        }
        None => card.lines.push(Line::new("CATEGORIES", missing.join(","))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(uid: &str, name: &str, more: &str) -> Card {
        let text = format!("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nFN:{name}\r\n{more}END:VCARD\r\n");
        Card::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn names_fold() {
        for (a, b) in [
            ("Zoë  Müller", "zoe muller"),
            ("ＡＢＣ", "abc"),
            ("Ångström-Smith", "angstrom smith"),
            ("김철수", "김철수"),
            ("O’Neil", "o neil"),
        ] {
            assert_eq!(folded(a), folded(b), "{a}");
        }
        assert_ne!(folded("Ann Lee"), folded("Anne Lee"));
        assert_ne!(folded("김철수"), folded("김철주"));
    }

    #[test]
    fn one_person_is_found_by_any_of_four() {
        let mut index = Index::new("KR");
        index.add(&card("a", "Ann Lee", "TEL:010-1234-5678\r\nEMAIL:Ann@Example.org\r\n"), &1);
        index.add(&card("b", "Bob", ""), &2);
        let found = |card: &Card| index.find(card);
        assert_eq!(found(&card("x", "N", "TEL:+82 10 1234 5678\r\n")), Some((1, vec![Reason::Number])));
        assert_eq!(
            found(&card("x", "ann LEE", "EMAIL:ann@example.org\r\n")),
            Some((1, vec![Reason::Email, Reason::Name]))
        );
        assert_eq!(
            found(&card("b", "Ann Lee", "")),
            Some((2, vec![Reason::Uid])),
            "the UID is stronger than a name"
        );
        assert_eq!(found(&card("x", "Carol", "TEL:112\r\n")), None);
        index.add(&card("c", "C", "TEL:112\r\n"), &3);
        assert_eq!(index.find(&card("x", "D", "TEL:112\r\n")), None, "everybody calls the police");
    }

    #[test]
    fn two_cards_become_one() {
        let held = card(
            "a",
            "Ann",
            "TEL;TYPE=HOME:010-1234-5678\r\nNOTE:old\r\nCATEGORIES:Band\r\nitem1.URL:https://example.org\r\nBDAY:1990-01-01\r\nX-OWN;P=q:v\r\n",
        );
        let new = card(
            "b",
            "Ann Lee",
            "TEL:+821012345678\r\nTEL:+12025550123\r\nNOTE:new\r\nCATEGORIES:band,Work\r\nitem1.EMAIL:ann@example.org\r\nitem1.X-ABLabel:secret\r\nBDAY:1991-01-01\r\nORG:Acme\r\nURL:https://example.org/\r\n",
        );
        let out = merged(&held, &new, "KR").render();
        let wanted = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:a\r\nFN:Ann\r\nTEL;TYPE=HOME:010-1234-5678\r\nNOTE:old\\nnew\r\nCATEGORIES:Band,Work\r\nitem1.URL:https://example.org\r\nBDAY:1990-01-01\r\nX-OWN;P=q:v\r\nTEL:+12025550123\r\nimport1.EMAIL:ann@example.org\r\nimport1.X-ABLABEL:secret\r\nORG:Acme\r\nEND:VCARD\r\n";
        assert_eq!(out, wanted);
        let again = merged(&Card::parse(out.as_bytes()).unwrap(), &new, "KR").render();
        assert_eq!(again, out, "merging twice adds nothing");
    }
}
