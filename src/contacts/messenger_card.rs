//! The card of a messenger friend, as it goes to the phone, and merging it with what the user changed on the phone.
//!
//! Three texts meet: what we rendered last (`base`), what the phone has made of it (`theirs`), and what the messenger
//! says now (`ours`). Field by field the one that changed wins; where both did, the user's name, note, picture and
//! groups stay, while the number and the address always are ours.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::vcard::{Card, Line, Version, escape};
use crate::clock::Timestamp;
use crate::phone::E164;

/// A picture for the card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardPhoto {
    /// Its media type (`image/jpeg`).
    pub content_type: String,
    /// Its bytes.
    pub body: Vec<u8>,
}

/// What a messenger friend's card says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessengerCard {
    /// The UID: the same for the life of the contact.
    pub uid: String,
    /// The name to show.
    pub display_name: String,
    /// The number that reaches the friend from this account's handsets.
    pub number: Option<E164>,
    /// The friend's address with its network (`meari:bob`).
    pub address: String,
    /// Groups the friend is in.
    pub categories: Vec<String>,
    /// A picture.
    pub photo: Option<CardPhoto>,
    /// A note.
    pub note: Option<String>,
    /// When any of this changed last.
    pub rev: Timestamp,
}

/// Who made the card.
const PRODID: &str = "-//Meari//CardDAV//EN";

/// Renders the card as vCard 3.0, which every phone reads.
pub fn render_messenger_card(card: &MessengerCard) -> String {
    let name = escape(&card.display_name);
    // The whole name as the given name: phones that show N and not FN then show the name as it is.
    let mut lines = vec![
        Line::new("VERSION", "3.0"),
        Line::new("PRODID", PRODID),
        Line::new("UID", escape(&card.uid)),
        Line::new("FN", name.clone()),
        Line::new("N", format!(";{name};;;")),
    ];
    if let Some(number) = &card.number {
        lines.push(Line::new("TEL", number.as_str()).with("TYPE", "CELL"));
    }
    lines.push(Line::new("IMPP", escape_uri(&card.address)).with("X-SERVICE-TYPE", "Meari"));
    if !card.categories.is_empty() {
        let list: Vec<String> = card.categories.iter().map(|c| escape(c)).collect();
        lines.push(Line::new("CATEGORIES", list.join(",")));
    }
    if let Some(note) = card.note.as_deref().filter(|n| !n.is_empty()) {
        lines.push(Line::new("NOTE", escape(note)));
    }
    if let Some(photo) = card.photo.as_ref().filter(|p| !p.body.is_empty()) {
        let kind = photo.content_type.rsplit('/').next().unwrap_or("jpeg").to_ascii_uppercase();
        lines
            .push(Line::new("PHOTO", STANDARD.encode(&photo.body)).with("ENCODING", "b").with("TYPE", &kind));
    }
    let rev = card.rev.unix_secs();
    lines.push(Line::new("REV", Timestamp(rev.saturating_mul(1_000_000)).to_rfc3339()));
    Card { version: Version::V3, lines }.render()
}

/// An address as a URI: white space and control characters cannot stand in one.
fn escape_uri(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && !c.is_control()).collect()
}

/// The fields that are always as the messenger says.
const OURS: [&str; 5] = ["VERSION", "PRODID", "UID", "REV", "IMPP"];

/// Merges; `None` when `theirs` is no vCard. The result is vCard 3.0, or 4.0 when the phone wrote that.
pub fn merge(base: &str, theirs: &Card, ours: &str) -> Option<Card> {
    let base = Card::parse(base.as_bytes()).ok()?;
    let ours = Card::parse(ours.as_bytes()).ok()?;
    let theirs_in_ours = super::card_convert::to_version(theirs, ours.version);
    let mut names: Vec<&str> = Vec::new();
    for line in ours.lines.iter().chain(&theirs_in_ours.lines).chain(&base.lines) {
        // Labels of Apple's go with the group they belong to; they are kept as they are.
        if !names.contains(&line.name.as_str()) {
            names.push(&line.name);
        }
    }
    let mut lines: Vec<Line> = Vec::new();
    let of = |card: &Card, name: &str| card.named(name).cloned().collect::<Vec<Line>>();
    let named = |card: &Card| of(card, "FN");
    // FN and N are one name: where ours is taken for one, the other must not go on saying something else.
    let has_our_name = same(&named(&theirs_in_ours), &named(&base)) && !same(&named(&ours), &named(&base));
    for name in names {
        let (b, t, o) = (of(&base, name), of(&theirs_in_ours, name), of(&ours, name));
        let merged = match name {
            "TEL" => merge_numbers(&b, t, o),
            "CATEGORIES" => merge_groups(&b, t, &o),
            "N" if has_our_name => o,
            name if OURS.contains(&name) => merge_ours(name, &b, t, o),
            // A card cannot be without a name.
            "FN" if t.iter().all(|l| l.value.trim().is_empty()) => o,
            _ if same(&t, &b) => o,
            _ => t,
        };
        lines.extend(merged);
    }
    Some(Card { version: ours.version, lines })
}

/// Our number is put back whatever was done to it; numbers that the user added stay. When ours was taken away or
/// changed, the first number that is new stands in its place and is not kept.
fn merge_numbers(base: &[Line], theirs: Vec<Line>, ours: Vec<Line>) -> Vec<Line> {
    let is_in = |line: &Line, list: &[Line]| list.iter().any(|l| digits(l) == digits(line));
    let kept = base.iter().filter(|b| is_in(b, &theirs)).count();
    let mut replaced = base.len() - kept;
    // A number of ours keeps the labels that the user gave it, also where another one takes its place.
    let labelled = |(at, line): (usize, Line)| {
        if let Some(as_it_is) = theirs.iter().find(|t| digits(t) == digits(&line)) {
            return as_it_is.clone();
        }
        let before = base.get(at).and_then(|b| theirs.iter().find(|t| digits(t) == digits(b)));
        match before {
            Some(before) => Line { value: line.value, text: String::new(), ..before.clone() },
            None => line,
        }
    };
    let mut merged: Vec<Line> = ours.into_iter().enumerate().map(labelled).collect();
    for line in theirs {
        if is_in(&line, base) || is_in(&line, &merged) {
            continue;
        }
        if replaced > 0 {
            replaced -= 1;
            continue;
        }
        merged.push(line);
    }
    merged
}

/// A field that is ours, and what the user put beside it.
fn merge_ours(name: &str, base: &[Line], theirs: Vec<Line>, ours: Vec<Line>) -> Vec<Line> {
    if name != "IMPP" {
        return ours;
    }
    let mut merged = ours;
    for line in theirs {
        let known = base.iter().chain(&merged).any(|l| l.value == line.value);
        if !known {
            merged.push(line);
        }
    }
    merged
}

/// Groups are a set: what either side has put in or taken out since stays in or out.
fn merge_groups(base: &[Line], theirs: Vec<Line>, ours: &[Line]) -> Vec<Line> {
    let set = |lines: &[Line]| -> Vec<String> {
        let items =
            lines.iter().flat_map(|l| l.components(',').into_iter().map(str::to_owned).collect::<Vec<_>>());
        items.filter(|item| !item.trim().is_empty()).collect()
    };
    let (b, t, o) = (set(base), set(&theirs), set(ours));
    let added: Vec<String> = o.iter().filter(|g| !b.contains(g) && !t.contains(g)).cloned().collect();
    let is_taken = |group: &String| b.contains(group) && !o.contains(group);
    if added.is_empty() && !t.iter().any(is_taken) {
        return theirs;
    }
    let list: Vec<String> = t.into_iter().filter(|g| !is_taken(g)).chain(added).collect();
    if list.is_empty() { Vec::new() } else { vec![Line::new("CATEGORIES", list.join(","))] }
}

fn digits(line: &Line) -> String {
    let value = line.value.strip_prefix("tel:").unwrap_or(&line.value);
    value.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect()
}

/// Whether two fields say the same, however they are spelled.
fn same(a: &[Line], b: &[Line]) -> bool {
    let meaning = |lines: &[Line]| {
        let mut list: Vec<String> = lines
            .iter()
            .map(|l| {
                let value = l.text_value();
                if l.has("ENCODING", "b") {
                    value.replace([' ', '\t'], "")
                } else {
                    value.trim_end_matches(';').to_owned()
                }
            })
            .filter(|value| !value.is_empty())
            .collect();
        list.sort();
        list
    };
    meaning(a) == meaning(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn friend() -> MessengerCard {
        MessengerCard {
            uid: "0197a0de-0000-7000-8000-000000000001".into(),
            display_name: "Bob, the \"builder\"".into(),
            number: E164::parse("+12025550123").ok(),
            address: "meari:bob".into(),
            categories: vec!["Meari".into()],
            photo: Some(CardPhoto { content_type: "image/jpeg".into(), body: vec![7; 300] }),
            note: None,
            rev: Timestamp(1_760_000_000_123_456),
        }
    }

    fn merged(base: &str, theirs: &str, ours: &str) -> String {
        merge(base, &Card::parse(theirs.as_bytes()).unwrap(), ours).unwrap().render()
    }

    #[test]
    fn a_card_is_a_valid_vcard_3() {
        let text = render_messenger_card(&friend());
        let card = Card::parse(text.as_bytes()).unwrap();
        assert_eq!(card.version, Version::V3);
        assert_eq!(card.first("FN").unwrap().text_value(), "Bob, the \"builder\"");
        assert_eq!(card.first("TEL").unwrap().value, "+12025550123");
        assert_eq!(card.first("REV").unwrap().value, "2025-10-09T08:53:20Z");
        assert!(card.first("PHOTO").unwrap().has("TYPE", "JPEG"));
        let mut none = friend();
        none.photo = Some(CardPhoto { content_type: "image/png".into(), body: vec![] });
        assert!(!render_messenger_card(&none).contains("PHOTO"));
    }

    #[test]
    fn what_the_user_renamed_stays_when_the_messenger_changes_something_else() {
        let base = render_messenger_card(&friend());
        let theirs = base
            .replace("FN:Bob\\, the \"builder\"", "FN:Bobby")
            .replace("END:", "NOTE:plays the tuba\r\nEND:");
        let mut now = friend();
        now.number = E164::parse("+12025550199").ok();
        let result = merged(&base, &theirs, &render_messenger_card(&now));
        assert!(result.contains("FN:Bobby\r\n"), "{result}");
        assert!(result.contains("NOTE:plays the tuba"), "{result}");
        assert!(result.contains("+12025550199") && !result.contains("+12025550123"), "{result}");
    }

    #[test]
    fn what_only_the_messenger_changed_is_taken() {
        let base = render_messenger_card(&friend());
        let mut now = friend();
        now.display_name = "Robert".into();
        let ours = render_messenger_card(&now);
        assert_eq!(merged(&base, &base, &ours), ours);
    }

    #[test]
    fn a_changed_or_removed_number_is_put_back_and_an_added_one_stays() {
        let base = render_messenger_card(&friend());
        let changed = base.replace("+12025550123", "+12025550177");
        assert_eq!(merged(&base, &changed, &base), base);
        let removed = base.replace("TEL;TYPE=CELL:+12025550123\r\n", "");
        assert_eq!(merged(&base, &removed, &base), base);
        let added = base.replace("TEL;", "TEL;TYPE=HOME:+12025550188\r\nTEL;");
        let result = merged(&base, &added, &base);
        assert!(result.contains("+12025550188") && result.contains("+12025550123"), "{result}");
        let respelled = base.replace("TEL;TYPE=CELL:+12025550123", "TEL;TYPE=CELL;TYPE=pref:+1 202-555-0123");
        assert!(merged(&base, &respelled, &base).contains("TYPE=pref:+1 202-555-0123"));
    }

    #[test]
    fn unknown_fields_and_removals_of_the_user_stay() {
        let base = render_messenger_card(&friend());
        let theirs = base
            .replace("CATEGORIES:Meari\r\n", "")
            .replace("END:", "item1.URL:https://example.org\r\nitem1.X-ABLabel:x\r\nEND:");
        let result = merged(&base, &theirs, &base);
        assert!(!result.contains("CATEGORIES"), "{result}");
        assert!(
            result.contains("item1.URL:https://example.org") && result.contains("item1.X-ABLabel:x"),
            "{result}"
        );
    }

    #[test]
    fn both_sides_put_into_groups() {
        let base = render_messenger_card(&friend());
        let theirs = base.replace("CATEGORIES:Meari", "CATEGORIES:Meari,Band");
        let mut now = friend();
        now.categories = vec!["Meari".into(), "Work".into()];
        let result = merged(&base, &theirs, &render_messenger_card(&now));
        assert!(result.contains("CATEGORIES:Meari,Band,Work\r\n"), "{result}");
        now.categories = Vec::new();
        let result = merged(&base, &theirs, &render_messenger_card(&now));
        assert!(result.contains("CATEGORIES:Band\r\n"), "{result}");
    }

    #[test]
    fn the_two_spellings_of_a_name_agree() {
        let base = render_messenger_card(&friend());
        let theirs = base.replace("N:;Bob\\, the \"builder\";;;", "N:Builder;Bob;;;");
        assert_ne!(theirs, base);
        let mut now = friend();
        now.number = E164::parse("+12025550199").ok();
        assert!(merged(&base, &theirs, &render_messenger_card(&now)).contains("\nN:Builder;Bob;;;\r\n"));
        now.display_name = "Robert".into();
        let result = merged(&base, &theirs, &render_messenger_card(&now));
        assert!(result.contains("FN:Robert\r\n") && result.contains("\nN:;Robert;;;\r\n"), "{result}");
    }

    #[test]
    fn a_new_number_keeps_the_label_of_the_old_one() {
        let base = render_messenger_card(&friend());
        let theirs = base.replace(
            "TEL;TYPE=CELL:+12025550123",
            "item1.TEL;TYPE=pref:+1 202-555-0123\r\nitem1.X-ABLabel:secret",
        );
        let mut now = friend();
        now.number = E164::parse("+12025550199").ok();
        let result = merged(&base, &theirs, &render_messenger_card(&now));
        assert!(result.contains("item1.TEL;TYPE=pref:+12025550199\r\n"), "{result}");
        assert!(!result.contains("0123"), "{result}");
    }

    #[test]
    fn a_name_cannot_be_taken_away() {
        let base = render_messenger_card(&friend());
        let theirs = base.replace("FN:Bob\\, the \"builder\"", "FN:");
        assert_eq!(merged(&base, &theirs, &base), base);
    }
}
