//! A card that a file wants to become, or why it cannot.

use crate::contacts::vcard::{Card, Line, Version, escape};

/// Characters of one field at most; what is longer is cut.
const FIELD_CHARS_MAX: usize = 20_000;

/// Why a part of a file becomes no card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// A stable word.
    pub code: &'static str,
    /// A sentence.
    pub detail: &'static str,
}

/// One card of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The line of the file on which it begins, from 1.
    pub line: i32,
    /// The card, or why it is none.
    pub card: Result<Card, Fault>,
}

/// A UID for a card that has none: the same whenever the same file is read for the same import.
pub fn made_uid(seed: &[u8; 16], place: usize) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(seed).update(&place.to_le_bytes());
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(hasher.finalize().as_bytes()).for_each(|(to, from)| *to = *from);
    uuid::Builder::from_custom_bytes(bytes).into_uuid().hyphenated().to_string()
}

/// Puts a card together, field by field; fields without a value leave nothing.
pub struct Builder {
    lines: Vec<Line>,
    groups: usize,
}

impl Builder {
    /// Begins a card.
    pub fn new(uid: &str) -> Self {
        Builder { lines: vec![Line::new("VERSION", "3.0"), Line::new("UID", escape(uid))], groups: 0 }
    }

    /// A field of one text.
    pub fn text(&mut self, name: &str, value: &str) {
        self.typed(name, value, &[]);
    }

    /// A field of one text with types (`CELL`, `WORK`).
    pub fn typed(&mut self, name: &str, value: &str, types: &[&str]) {
        let value = clean(value);
        if !value.is_empty() {
            self.push(Line::new(name, escape(&value)), types);
        }
    }

    /// The same with a label of the user's own, as Apple writes it.
    pub fn labelled(&mut self, name: &str, value: &str, label: &str) {
        let (value, label) = (clean(value), clean(label));
        if value.is_empty() {
            return;
        }
        if label.is_empty() {
            return self.push(Line::new(name, escape(&value)), &[]);
        }
        self.groups += 1;
        let group = format!("item{}", self.groups);
        let with_group = |line: Line| Line { group: Some(group.clone()), ..line };
        self.lines.push(with_group(Line::new(name, escape(&value))));
        self.lines.push(with_group(Line::new("X-ABLABEL", escape(&label))));
    }

    /// A field of several parts (`N`, `ADR`, `ORG`).
    pub fn parts(&mut self, name: &str, parts: &[&str], types: &[&str]) {
        let parts: Vec<String> = parts.iter().map(|part| escape(&clean(part))).collect();
        if parts.iter().any(|part| !part.is_empty()) {
            self.push(Line::new(name, parts.join(";")), types);
        }
    }

    /// A day: `1990-02-28`, or `--02-28` without a year, which vCard 3.0 can say in Apple's way only.
    pub fn date(&mut self, name: &str, day: &str) {
        match day.strip_prefix("--") {
            Some(rest) if name == "BDAY" => {
                self.lines.push(Line::new(name, format!("1604-{rest}")).with("X-APPLE-OMIT-YEAR", "1604"));
            }
            Some(_) => {}
            None => self.lines.push(Line::new(name, day)),
        }
    }

    /// A field that is a list.
    pub fn list(&mut self, name: &str, items: &[String]) {
        let items: Vec<String> =
            items.iter().map(|item| escape(&clean(item))).filter(|item| !item.is_empty()).collect();
        if !items.is_empty() {
            self.push(Line::new(name, items.join(",")), &[]);
        }
    }

    fn push(&mut self, line: Line, types: &[&str]) {
        self.lines.push(types.iter().fold(line, |line, kind| line.with("TYPE", kind)));
    }

    /// The card, checked as every card is. Its name is the first of these that is not empty.
    pub fn finish(mut self, names: &[&str]) -> Result<Card, Fault> {
        let first = |name: &str| self.lines.iter().find(|l| l.name == name).map(Line::text_value);
        let organization = first("ORG").map(|org| org.replace(';', " "));
        let stand_ins = [organization, first("NICKNAME"), first("EMAIL"), first("TEL")];
        let named = names.iter().map(|name| clean(name)).chain(stand_ins.into_iter().flatten());
        let Some(name) = named.into_iter().find(|name| !name.is_empty()) else {
            return Err(Fault { code: "empty", detail: "There is nobody's name, number or address here." });
        };
        let at = 2.min(self.lines.len());
        self.lines.insert(at, Line::new("FN", escape(&name)));
        if !self.lines.iter().any(|l| l.name == "N") {
            self.lines.insert(at, Line::new("N", format!(";{};;;", escape(&name))));
        }
        let text = Card { version: Version::V3, lines: self.lines }.render();
        Card::parse(text.as_bytes()).map_err(|_| UNREADABLE)
    }
}

/// What cannot be a card for a reason of its own.
pub const UNREADABLE: Fault = Fault { code: "unreadable", detail: "This could not be read as a card." };

/// A field without what no card can carry.
fn clean(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let plain = text.chars().filter(|c| !c.is_control() || *c == '\n').take(FIELD_CHARS_MAX);
    plain.collect::<String>().trim().to_owned()
}
