//! When two lines of vCards say the same, however they are spelled: folding, the case of names and types, their order,
//! escapes that need not be, and what goes without saying make no difference. Everything is compared as 4.0 says it.

use super::vcard::{Line, escape, split_unescaped, unescape};

/// Properties of components or lists, in which `,` and `;` mean something.
const STRUCTURED: [&str; 6] = ["N", "ADR", "ORG", "NICKNAME", "CATEGORIES", "GENDER"];

/// Those of which the last components may be left out.
const OPEN_ENDED: [&str; 3] = ["N", "ADR", "ORG"];

/// Properties that are a date when nothing else is said (RFC 6350 6.2).
const DATES: [&str; 4] = ["BDAY", "ANNIVERSARY", "DEATHDATE", "REV"];

/// Properties that are an address when nothing else is said. What is no address in them is taken for text in any case:
/// UID and TEL are met either way.
const URIS: [&str; 15] = [
    "SOURCE",
    "PHOTO",
    "IMPP",
    "GEO",
    "LOGO",
    "MEMBER",
    "RELATED",
    "SOUND",
    "KEY",
    "URL",
    "FBURL",
    "CALADRURI",
    "CALURI",
    "CONTACT-URI",
    "ORG-DIRECTORY",
];

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Meaning {
    /// The property, in capitals.
    pub name: String,
    /// Its group in small letters; empty when it has none.
    pub group: String,
    /// The value in one spelling.
    pub value: String,
    /// The parameters and their values, one by one, in order.
    pub parameters: Vec<(String, String)>,
}

impl Meaning {
    /// What a line of a 4.0 card says.
    pub fn of(line: &Line) -> Meaning {
        let mut parameters: Vec<(String, String)> = Vec::new();
        for parameter in &line.parameters {
            for value in &parameter.values {
                match parameter.name.as_str() {
                    "CHARSET" => {}
                    "VALUE" if goes_without_saying(&line.name, value) => {}
                    "TYPE" if value.eq_ignore_ascii_case("PREF") => {
                        parameters.push(("PREF".to_owned(), "1".to_owned()));
                    }
                    "TYPE" | "VALUE" => parameters.push((parameter.name.clone(), value.to_ascii_lowercase())),
                    name => parameters.push((name.to_owned(), value.clone())),
                }
            }
        }
        parameters.sort_unstable();
        parameters.dedup();
        let group = line.group.as_deref().unwrap_or_default().to_ascii_lowercase();
        Meaning { name: line.name.clone(), group, value: value_of(line), parameters }
    }
}

/// Whether a property has this type of value in any case.
fn goes_without_saying(name: &str, value_type: &str) -> bool {
    let is = |wanted: &str| value_type.eq_ignore_ascii_case(wanted);
    match name {
        "TEL" | "UID" => is("text") || is("uri"),
        name if URIS.contains(&name) => is("uri"),
        name if DATES.contains(&name) => is("date-and-or-time") || is("date") || is("date-time"),
        _ => is("text"),
    }
}

fn value_of(line: &Line) -> String {
    let name = line.name.as_str();
    if STRUCTURED.contains(&name) {
        let list = |part: &str| {
            let items = split_unescaped(part, ',').into_iter().map(|item| escape(&unescape(item)));
            items.collect::<Vec<String>>().join(",")
        };
        let parts: Vec<String> = split_unescaped(&line.value, ';').into_iter().map(list).collect();
        let value = parts.join(";");
        return match OPEN_ENDED.contains(&name) {
            true => without_empty_end(&value),
            false => value,
        };
    }
    // What we do not know may have separators of its own.
    if name.starts_with("X-") && !matches!(name, "X-LABEL" | "X-SORT-STRING") {
        return line.value.clone();
    }
    let value = unescape(&line.value);
    // A plain number says the same as an address of one.
    let number = value.get(..4).filter(|head| name == "TEL" && head.eq_ignore_ascii_case("tel:"));
    match number.and_then(|_| value.get(4..)).filter(|number| !number.contains(';')) {
        Some(number) => number.to_owned(),
        None => value,
    }
}

/// Without the semicolons at the end, but for one that is escaped.
fn without_empty_end(value: &str) -> String {
    let bare = value.trim_end_matches(';');
    let backslashes = bare.len() - bare.trim_end_matches('\\').len();
    let is_escaped = backslashes % 2 == 1 && bare.len() < value.len();
    if is_escaped { format!("{bare};") } else { bare.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::vcard::read_line;
    use super::*;

    fn says(text: &str) -> Meaning {
        Meaning::of(&read_line(text.to_owned()).unwrap())
    }

    #[test]
    fn spelling_makes_no_difference() {
        for (one, other) in [
            ("item1.tel;type=CELL,Voice:+1", "ITEM1.TEL;TYPE=voice;TYPE=cell:+1"),
            ("TEL;VALUE=uri:tel:+1-202", "TEL:+1-202"),
            ("N:Lee;Ann", "N:Lee;Ann;;;"),
            ("ADR:;;1\\, Main St\\;;;", "ADR:;;1\\, Main St\\;;;;;"),
            ("NOTE:a\\,b\\Nc", "NOTE:a,b\\nc"),
            ("EMAIL;TYPE=pref:a@example.org", "EMAIL;PREF=1:a@example.org"),
            ("BDAY;VALUE=date:19960415", "BDAY:19960415"),
        ] {
            assert_eq!(says(one), says(other), "{one}");
        }
    }

    #[test]
    fn meaning_does() {
        for (one, other) in [
            ("item1.TEL:+1", "TEL:+1"),
            ("TEL;VALUE=uri:tel:+1;ext=5", "TEL:+1;ext=5"),
            ("N:Lee;Ann", "N:Lee\\;Ann"),
            ("ORG:A\\;", "ORG:A"),
            ("NICKNAME:a,b", "NICKNAME:a\\,b"),
            ("BDAY;VALUE=text:1996", "BDAY:1996"),
            ("EMAIL;PREF=2:a@example.org", "EMAIL:a@example.org"),
            ("X-OWN:a\\,b", "X-OWN:a,b"),
        ] {
            assert_ne!(says(one), says(other), "{one}");
        }
    }
}
