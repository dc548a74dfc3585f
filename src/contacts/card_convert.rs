//! vCard 3.0 to 4.0 and back, for clients that ask for the other version than is stored (RFC 6352 5.1.1).
//!
//! What the other version has no word for goes under the `X-` name that is used for it in the wild and comes back from
//! there; parameters that only 4.0 knows are left out of 3.0, since phones garble names by them. The stored text never
//! changes by this.

use super::vcard::{Card, Line, Parameter, Version, escape, unescape};

/// Properties of 4.0 that 3.0 says by another name.
const RENAMED: [(&str, &str); 8] = [
    ("ANNIVERSARY", "X-ANNIVERSARY"),
    ("GENDER", "X-GENDER"),
    ("RELATED", "X-RELATED"),
    ("LANG", "X-LANG"),
    ("XML", "X-XML"),
    ("CLIENTPIDMAP", "X-CLIENTPIDMAP"),
    ("MEMBER", "X-ADDRESSBOOKSERVER-MEMBER"),
    ("CONTACT-URI", "X-CONTACT-URI"),
];

/// Properties of 3.0 that 4.0 has dropped.
const DROPPED: [(&str, &str); 6] = [
    ("CLASS", "X-CLASS"),
    ("MAILER", "X-MAILER"),
    ("NAME", "X-NAME"),
    ("LABEL", "X-LABEL"),
    ("AGENT", "X-AGENT"),
    ("PROFILE", "X-PROFILE"),
];

/// Parameters of 4.0 and its extensions that 3.0 does not know.
pub(super) const ONLY_4: [&str; 19] = [
    "ALTID",
    "PID",
    "PREF",
    "CALSCALE",
    "SORT-AS",
    "MEDIATYPE",
    "LABEL",
    "GEO",
    "TZ",
    "LEVEL",
    "INDEX",
    "JSCOMPS",
    "JSPTR",
    "PROP-ID",
    "DERIVED",
    "CREATED",
    "AUTHOR",
    "AUTHOR-NAME",
    "CC",
];

const BINARY: [&str; 4] = ["PHOTO", "LOGO", "SOUND", "KEY"];

/// The card in `version`; as it is when it has that version already.
pub fn to_version(card: &Card, version: Version) -> Card {
    if card.version == version {
        return card.clone();
    }
    let lines = match version {
        Version::V3 => to_3(card),
        Version::V4 => to_4(card),
    };
    Card { version, lines }
}

fn to_3(card: &Card) -> Vec<Line> {
    let mut lines = vec![Line::new("VERSION", Version::V3.as_str())];
    for line in card.lines.iter().filter(|l| l.name != "VERSION") {
        lines.extend(shown_in_3(card, line));
    }
    if card.first("N").is_none() {
        lines.push(made_name(card));
    }
    lines
}

/// 3.0 wants N; the whole name in the first place shows well everywhere.
pub(super) fn made_name(card: &Card) -> Line {
    let name = card.first("FN").map(|l| escape(&l.text_value())).unwrap_or_default();
    Line::new("N", format!("{name};;;;"))
}

/// Whether the lines say in Apple's words that this is a company.
pub(super) fn is_company(lines: &[Line]) -> bool {
    lines.iter().any(|l| l.name == "X-ABSHOWAS" && l.value.trim().eq_ignore_ascii_case("COMPANY"))
}

/// What 3.0 shows of a line of a 4.0 card: the line itself first, then what has no place on it there. Nothing for what
/// goes without saying, or is said by another line.
pub(super) fn shown_in_3(card: &Card, line: &Line) -> Vec<Line> {
    if is_org(line) && is_company(&card.lines) { Vec::new() } else { line_to_3(line) }
}

/// Whether a line says in 4.0's word that this is a company.
pub(super) fn is_org(line: &Line) -> bool {
    line.name == "KIND" && line.value.trim().eq_ignore_ascii_case("org")
}

fn line_to_3(line: &Line) -> Vec<Line> {
    let mut new = Line { text: String::new(), ..line.clone() };
    let mut more = Vec::new();
    if let Some((_, other)) = RENAMED.iter().find(|(four, _)| *four == new.name) {
        (*other).clone_into(&mut new.name);
    } else if let Some((other, _)) = DROPPED.iter().find(|(_, x)| *x == new.name) {
        (*other).clone_into(&mut new.name);
    }
    match line.name.as_str() {
        "KIND" => match line.value.trim().to_ascii_lowercase().as_str() {
            "group" => "X-ADDRESSBOOKSERVER-KIND".clone_into(&mut new.name),
            "org" => new = Line { group: line.group.clone(), ..Line::new("X-ABSHOWAS", "COMPANY") },
            "individual" => return Vec::new(),
            _ => "X-KIND".clone_into(&mut new.name),
        },
        "N" => {
            if let Some(sort) = line.parameter("SORT-AS").next() {
                more.push(Line::new("SORT-STRING", escape(sort)));
            }
        }
        "ADR" => {
            if let Some(label) = line.parameter("LABEL").next() {
                // Older programs write its lines as in a text (RFC 6350 6.3.1), newer ones as in a parameter (RFC 6868).
                let mut printed = Line::new("LABEL", escape(&unescape(label)));
                printed.parameters = line.parameters.iter().filter(|p| p.name == "TYPE").cloned().collect();
                more.push(printed);
            }
        }
        "X-SORT-STRING" => "SORT-STRING".clone_into(&mut new.name),
        "BDAY" | "ANNIVERSARY" | "DEATHDATE" => date_to_3(&mut new),
        "REV" => new.value = extended(&new.value).unwrap_or(new.value),
        "TEL" => {
            if let Some(number) = strip_scheme(&new.value, "tel:") {
                new.value = number.to_owned();
                remove(&mut new, "VALUE");
            }
        }
        "GEO" => {
            if let Some((latitude, longitude)) =
                strip_scheme(&new.value, "geo:").and_then(|g| g.split_once(','))
            {
                let longitude = longitude.split([';', ',']).next().unwrap_or(longitude);
                new.value = format!("{latitude};{longitude}");
                remove(&mut new, "VALUE");
            }
        }
        name if BINARY.contains(&name) => binary_to_3(&mut new),
        _ => {}
    }
    if line.parameter("PREF").any(|p| p == "1") && !new.has("TYPE", "PREF") {
        new = new.with("TYPE", "PREF");
    }
    new.parameters.retain(|p| !ONLY_4.contains(&p.name.as_str()));
    if new.has("VALUE", "text") {
        remove(&mut new, "VALUE");
    }
    rename_parameter(&mut new, "X-CONTEXT", "CONTEXT");
    if is_untouched(&new, line) {
        new.text.clone_from(&line.text);
    }
    let mut lines = vec![new];
    lines.append(&mut more);
    lines
}

fn to_4(card: &Card) -> Vec<Line> {
    let mut lines = vec![Line::new("VERSION", Version::V4.as_str())];
    lines.extend(card.lines.iter().filter(|l| l.name != "VERSION").map(line_to_4));
    put_sorting(&mut lines);
    put_kind(&mut lines);
    lines
}

/// `SORT-STRING` has its place on N; where that is taken, or where it says more than a text, it stays a line.
pub(super) fn put_sorting(lines: &mut Vec<Line>) {
    let is_plain = |line: &Line| line.group.is_none() && line.parameters.is_empty();
    let sorting = lines.iter().filter(|l| l.name == "SORT-STRING" && is_plain(l)).map(Line::text_value);
    let sorting: Vec<String> = sorting.collect();
    let names = lines.iter_mut().filter(|l| l.name == "N" && l.parameter("SORT-AS").next().is_none());
    let mut moved = 0;
    for (name, text) in names.zip(&sorting) {
        *name = name.clone().with("SORT-AS", text);
        moved += 1;
    }
    lines.retain_mut(|line| {
        if line.name == "SORT-STRING" {
            if moved > 0 && is_plain(line) {
                moved -= 1;
                return false;
            }
            "X-SORT-STRING".clone_into(&mut line.name);
            line.text.clear();
        }
        true
    });
}

/// Says in 4.0's word, too, what is said in Apple's.
pub(super) fn put_kind(lines: &mut Vec<Line>) {
    if is_company(lines) && !lines.iter().any(|l| l.name == "KIND") {
        lines.push(Line::new("KIND", "org"));
    }
}

/// A line of a 3.0 card in 4.0; `SORT-STRING` as it is (see [`put_sorting`]).
pub(super) fn line_to_4(line: &Line) -> Line {
    let mut new = Line { text: String::new(), ..line.clone() };
    if let Some((other, _)) = RENAMED.iter().find(|(_, three)| *three == new.name) {
        (*other).clone_into(&mut new.name);
    } else if let Some((_, other)) = DROPPED.iter().find(|(three, _)| *three == new.name) {
        (*other).clone_into(&mut new.name);
    }
    match new.name.as_str() {
        "X-ADDRESSBOOKSERVER-KIND" | "X-KIND" => "KIND".clone_into(&mut new.name),
        "BDAY" | "ANNIVERSARY" | "DEATHDATE" => date_to_4(&mut new),
        "REV" => new.value = basic(&new.value).unwrap_or(new.value),
        "GEO" => {
            if let Some((latitude, longitude)) = new.value.split_once(';') {
                new.value = format!("geo:{},{}", latitude.trim(), longitude.trim());
            }
        }
        name if BINARY.contains(&name) => binary_to_4(&mut new),
        _ => {}
    }
    if new.has("TYPE", "PREF") {
        for parameter in new.parameters.iter_mut().filter(|p| p.name == "TYPE") {
            parameter.values.retain(|v| !v.eq_ignore_ascii_case("PREF"));
        }
        new.parameters.retain(|p| !p.values.is_empty());
        new = new.with("PREF", "1");
    }
    // The text is UTF-8 and nothing else, which has been seen to.
    remove(&mut new, "CHARSET");
    rename_parameter(&mut new, "CONTEXT", "X-CONTEXT");
    if is_untouched(&new, line) {
        new.text.clone_from(&line.text);
    }
    new
}

/// An untouched line keeps its spelling, unless its parameters are quoted in a way that only its own version knows.
fn is_untouched(new: &Line, line: &Line) -> bool {
    let same = new.name == line.name && new.value == line.value && new.parameters == line.parameters;
    same && !line.parameters.iter().flat_map(|p| &p.values).any(|v| v.contains(['^', '"', '\n']))
}

fn remove(line: &mut Line, parameter: &str) {
    line.parameters.retain(|p| p.name != parameter);
}

fn rename_parameter(line: &mut Line, name: &str, new: &str) {
    for parameter in line.parameters.iter_mut().filter(|p| p.name == name) {
        new.clone_into(&mut parameter.name);
    }
}

pub(super) fn strip_scheme<'a>(value: &'a str, scheme: &str) -> Option<&'a str> {
    let head = value.get(..scheme.len())?;
    if head.eq_ignore_ascii_case(scheme) { value.get(scheme.len()..) } else { None }
}

/// `data:image/jpeg;base64,…` becomes `ENCODING=b;TYPE=JPEG`; other addresses need `VALUE=URI` in 3.0.
fn binary_to_3(line: &mut Line) {
    // Written by careful and careless programs: the comma of the address may be escaped.
    let value = line.value.replace("\\,", ",").replace("\\;", ";");
    let inline = strip_scheme(&value, "data:").and_then(|rest| rest.split_once(','));
    match inline {
        Some((media, data)) if media.to_ascii_lowercase().ends_with(";base64") => {
            let subtype =
                media.split(';').next().and_then(|m| m.rsplit_once('/')).map(|(_, s)| s.to_ascii_uppercase());
            line.value = data.to_owned();
            let mut types = types_of(line);
            types.retain(|t| NO_FORMATS.contains(&t.as_str()));
            types.splice(0..0, subtype.filter(|s| !s.is_empty()));
            line.parameters.retain(|p| !matches!(p.name.as_str(), "VALUE" | "TYPE"));
            line.parameters.push(Parameter { name: "ENCODING".into(), values: vec!["b".into()] });
            put_types(line, types);
        }
        _ if value.contains(':') && !line.parameters.iter().any(|p| p.name == "VALUE") => {
            line.parameters.push(Parameter { name: "VALUE".into(), values: vec!["URI".into()] });
        }
        _ => {}
    }
}

/// Types that say nothing of the format of a picture, a sound or a key.
const NO_FORMATS: [&str; 3] = ["HOME", "WORK", "PREF"];

fn types_of(line: &Line) -> Vec<String> {
    line.parameter("TYPE").map(str::to_ascii_uppercase).collect()
}

fn put_types(line: &mut Line, types: Vec<String>) {
    if !types.is_empty() {
        line.parameters.push(Parameter { name: "TYPE".into(), values: types });
    }
}

fn binary_to_4(line: &mut Line) {
    if !line.has("ENCODING", "b") && !line.has("ENCODING", "base64") {
        if line.has("VALUE", "uri") || line.has("VALUE", "url") {
            remove(line, "VALUE");
        }
        return;
    }
    let class = match line.name.as_str() {
        "PHOTO" | "LOGO" => "image",
        "SOUND" => "audio",
        _ => "application",
    };
    let fallback = if class == "image" { "jpeg" } else { "octet-stream" };
    let (types, formats): (Vec<String>, Vec<String>) =
        types_of(line).into_iter().partition(|t| NO_FORMATS.contains(&t.as_str()));
    let subtype = formats.first().map_or_else(|| fallback.to_owned(), |f| f.to_ascii_lowercase());
    let media = if subtype.contains('/') { subtype } else { format!("{class}/{subtype}") };
    let data: String = line.value.chars().filter(|c| !c.is_whitespace()).collect();
    // The comma of a data address is never escaped.
    line.value = format!("data:{media};base64,{data}");
    line.parameters.retain(|p| !matches!(p.name.as_str(), "ENCODING" | "TYPE" | "VALUE"));
    put_types(line, types);
}

/// The year that stands for none on Apple's phones.
const NO_YEAR: &str = "1604";

fn date_to_3(line: &mut Line) {
    let value = line.value.trim().to_owned();
    let days = value.strip_prefix("--").map(|rest| rest.replace('-', ""));
    if let Some(days) = days.filter(|d| d.len() == 4 && d.bytes().all(|b| b.is_ascii_digit())) {
        let (month, day) = days.split_at(2);
        line.value = format!("{NO_YEAR}-{month}-{day}");
        remove(line, "VALUE");
        line.parameters.push(Parameter { name: "X-APPLE-OMIT-YEAR".into(), values: vec![NO_YEAR.into()] });
    } else if let Some(date) = extended(&value) {
        line.value = date;
        if line.has("VALUE", "date-and-or-time") {
            remove(line, "VALUE");
        }
    } else if line.has("VALUE", "date-and-or-time") {
        remove(line, "VALUE");
    }
}

fn date_to_4(line: &mut Line) {
    let value = line.value.trim().to_owned();
    let omitted = line.parameter("X-APPLE-OMIT-YEAR").next().map(str::to_owned);
    if let Some(rest) = omitted.as_deref().and_then(|year| value.strip_prefix(year)) {
        let days: String = rest.chars().take_while(|c| *c != 'T').filter(char::is_ascii_digit).collect();
        if days.len() == 4 {
            line.value = format!("--{days}");
            line.parameters.retain(|p| !matches!(p.name.as_str(), "X-APPLE-OMIT-YEAR" | "VALUE"));
            return;
        }
    }
    if let Some(date) = basic(&value) {
        line.value = date;
    }
    if line.has("VALUE", "date") || line.has("VALUE", "date-time") {
        remove(line, "VALUE");
    }
}

/// `19531015T231000Z` as `1953-10-15T23:10:00Z`, `19531015` as `1953-10-15`.
fn extended(value: &str) -> Option<String> {
    let (date, time) = match value.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (value, None),
    };
    if date.len() != 8 || !date.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let date = format!("{}-{}-{}", date.get(..4)?, date.get(4..6)?, date.get(6..8)?);
    let Some(time) = time else { return Some(date) };
    let clock = time.get(..6).filter(|t| t.bytes().all(|b| b.is_ascii_digit()))?;
    let zone = time.get(6..)?;
    Some(format!("{date}T{}:{}:{}{zone}", clock.get(..2)?, clock.get(2..4)?, clock.get(4..6)?))
}

/// `1953-10-15T23:10:00Z` as `19531015T231000Z`.
fn basic(value: &str) -> Option<String> {
    let (date, time) = match value.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (value, None),
    };
    let shape = |text: &str, pattern: &str| {
        text.len() == pattern.len()
            && text
                .bytes()
                .zip(pattern.bytes())
                .all(|(b, p)| if p == b'0' { b.is_ascii_digit() } else { b == p })
    };
    if !shape(date, "0000-00-00") {
        return None;
    }
    let date = date.replace('-', "");
    let Some(time) = time else { return Some(date) };
    let clock = time.get(..8).filter(|t| shape(t, "00:00:00"))?;
    // A fraction has no place in 4.0.
    let zone = time.get(8..)?.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    Some(format!("{date}T{}{}", clock.replace(':', ""), zone.replace(':', "")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn convert(inner: &str, from: Version, to: Version) -> String {
        let text = format!(
            "BEGIN:VCARD\r\nVERSION:{}\r\nUID:u\r\nFN:A\r\nN:A;;;;\r\n{inner}\r\nEND:VCARD\r\n",
            from.as_str()
        );
        let out = to_version(&Card::parse(text.as_bytes()).unwrap(), to).render().replace("\r\n ", "");
        assert_eq!(Card::parse(out.as_bytes()).unwrap().version, to);
        let (_, rest) = out.split_once("N:A;;;;\r\n").unwrap();
        rest.trim_end_matches("END:VCARD\r\n").trim_end().to_owned()
    }

    #[test]
    fn the_two_versions_say_the_same_and_back() {
        for (four, three) in [
            ("BDAY:--0415", "BDAY;X-APPLE-OMIT-YEAR=1604:1604-04-15"),
            ("BDAY:19960415", "BDAY:1996-04-15"),
            ("REV:19951031T222710Z", "REV:1995-10-31T22:27:10Z"),
            ("PHOTO:data:image/jpeg;base64,AAAA", "PHOTO;ENCODING=b;TYPE=JPEG:AAAA"),
            ("KIND:group", "X-ADDRESSBOOKSERVER-KIND:group"),
            (
                "MEMBER:urn:uuid:03a0e51f-d1aa-4385-8a53-e29025acd8af",
                "X-ADDRESSBOOKSERVER-MEMBER:urn:uuid:03a0e51f-d1aa-4385-8a53-e29025acd8af",
            ),
            ("EMAIL;TYPE=work;PREF=1:a@example.org", "EMAIL;TYPE=work;TYPE=PREF:a@example.org"),
            ("ANNIVERSARY:20090808", "X-ANNIVERSARY:2009-08-08"),
            ("GENDER:M", "X-GENDER:M"),
            ("GEO:geo:37.386013,-122.082932", "GEO:37.386013;-122.082932"),
            ("item1.X-ABLabel:home", "item1.X-ABLabel:home"),
            ("NOTE:a\\, b\\; c\\nd", "NOTE:a\\, b\\; c\\nd"),
        ] {
            let three = if three.starts_with("X-ANNIVERSARY") { "X-ANNIVERSARY:20090808" } else { three };
            assert_eq!(
                convert(four, Version::V4, Version::V3).replace("2009-08-08", "20090808"),
                three,
                "to 3: {four}"
            );
            assert_eq!(convert(three, Version::V3, Version::V4), four, "to 4: {three}");
        }
    }

    #[test]
    fn what_only_four_knows_does_not_garble_three() {
        for (four, three) in [
            ("TEL;VALUE=uri;TYPE=cell:tel:+1-202-555-0123", "TEL;TYPE=cell:+1-202-555-0123"),
            ("NICKNAME;JSCOMPS=\";0;1\";PROP-ID=x:Al", "NICKNAME:Al"),
            ("EMAIL;PID=1.1;ALTID=1;PREF=20:a@example.org", "EMAIL:a@example.org"),
            ("ADR;LABEL=\"1 Main St\":;;1 Main St;;;;", "ADR:;;1 Main St;;;;\r\nLABEL:1 Main St"),
            ("PHOTO:https://example.org/a.jpg", "PHOTO;VALUE=URI:https://example.org/a.jpg"),
            ("PHOTO:data:image/png;base64\\,AAAA", "PHOTO;ENCODING=b;TYPE=PNG:AAAA"),
            ("KIND:individual", ""),
            ("KIND:org", "X-ABSHOWAS:COMPANY"),
        ] {
            assert_eq!(convert(four, Version::V4, Version::V3), three, "{four}");
        }
    }

    #[test]
    fn a_name_is_made_where_three_wants_one() {
        let text = "BEGIN:VCARD\r\nVERSION:4.0\r\nUID:u\r\nFN:Ann Lee\r\nEND:VCARD\r\n";
        let out = to_version(&Card::parse(text.as_bytes()).unwrap(), Version::V3).render();
        assert!(out.contains("N:Ann Lee;;;;\r\n"), "{out}");
    }

    #[test]
    fn sorting_goes_along() {
        let text = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:u\r\nFN:van Dyke\r\nN:van Dyke;;;;\r\nSORT-STRING:Dyke\r\nEND:VCARD\r\n";
        let four = to_version(&Card::parse(text.as_bytes()).unwrap(), Version::V4);
        assert!(four.render().contains("N;SORT-AS=Dyke:van Dyke;;;;"));
        assert!(to_version(&four, Version::V3).render().contains("SORT-STRING:Dyke"));
    }

    #[test]
    fn names_of_parameters_that_are_none_break_no_line() {
        let text = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:u\r\nFN:A\r\nTEL;#Ya,\"P=Eb\";TYPE=pref:+1\r\nX-A;\"=b\":c\r\nEND:VCARD\r\n";
        let card = Card::parse(text.as_bytes()).unwrap();
        let four = to_version(&card, Version::V4).render();
        let again = Card::parse(four.as_bytes()).unwrap_or_else(|e| panic!("{e}: {four}"));
        assert_eq!(again.first("TEL").unwrap().value, "+1");
    }

    proptest! {
        #[test]
        fn there_and_back_keeps_unknown_and_text_fields(
            note in "[\\PC\\n]{0,80}",
            label in "[A-Za-z ]{0,10}",
        ) {
            let text = format!("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:u\r\nFN:A\r\nN:A;;;;\r\nNOTE:{}\r\nitem1.EMAIL:a@example.org\r\nitem1.X-ABLabel:{label}\r\nX-OWN;X-P=q:v\r\nEND:VCARD\r\n", escape(&note));
            let card = Card::parse(text.as_bytes()).unwrap();
            let back = to_version(&to_version(&card, Version::V4), Version::V3);
            prop_assert_eq!(back.render(), card.render());
        }
    }
}
