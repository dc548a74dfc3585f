//! Tables of contacts as Google and Outlook export them. The columns are the programs' own English ones: Google's of
//! today ("First Name", "E-mail 1 - Value") and of before 2024 ("Given Name", "Group Membership"), Outlook's of the desktop
//! program and of the web. Several values in one of Google's cells stand between ` ::: `.

use std::collections::HashMap;

use super::draft::{Builder, Draft, Fault, UNREADABLE, made_uid};

/// Numbered columns of one kind at most.
const NUMBERED_MAX: usize = 30;
/// Columns of a table at most.
const COLUMNS_MAX: usize = 1_000;

/// Who wrote a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// Google Contacts.
    Google,
    /// Outlook or outlook.com.
    Outlook,
}

/// Reads a table; none when its first line names no columns that we know.
pub fn read(text: &str, seed: &[u8; 16]) -> Option<(Table, Vec<Draft>)> {
    let first = text.lines().find(|line| !line.trim().is_empty())?;
    let delimiter =
        [b',', b';', b'\t'].into_iter().max_by_key(|d| first.bytes().filter(|b| b == d).count())?;
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .flexible(true)
        .has_headers(false)
        .from_reader(text.as_bytes());
    let mut records = reader.records();
    let header = records.next()?.ok()?;
    let mut columns: HashMap<String, usize> = HashMap::new();
    for (at, name) in header.iter().enumerate().take(COLUMNS_MAX) {
        columns.entry(name.trim().to_lowercase()).or_insert(at);
    }
    let table = table_of(&columns)?;
    let mut drafts = Vec::new();
    for record in records {
        let place = drafts.len();
        let (line, card) = match record {
            Ok(record) => {
                let line = record.position().map_or(0, csv::Position::line);
                let row = Row { columns: &columns, record: &record };
                let builder = Builder::new(&made_uid(seed, place));
                let card = match table {
                    Table::Google => google(&row, builder),
                    Table::Outlook => outlook(&row, builder),
                };
                (line, card)
            }
            Err(error) => (error.position().map_or(0, csv::Position::line), Err(UNREADABLE)),
        };
        drafts.push(Draft { line: i32::try_from(line).unwrap_or(i32::MAX), card });
    }
    Some((table, drafts))
}

fn table_of(columns: &HashMap<String, usize>) -> Option<Table> {
    let has = |name: &str| columns.contains_key(name);
    let google = [
        "e-mail 1 - value",
        "phone 1 - value",
        "group membership",
        "labels",
        "given name",
        "organization 1 - name",
        "organization name",
    ];
    let outlook = [
        "e-mail address",
        "mobile phone",
        "business phone",
        "home phone",
        "primary phone",
        "company",
        "job title",
    ];
    if google.iter().any(|name| has(name)) {
        return Some(Table::Google);
    }
    (outlook.iter().any(|name| has(name)) && has("first name") || has("e-mail address"))
        .then_some(Table::Outlook)
}

struct Row<'a> {
    columns: &'a HashMap<String, usize>,
    record: &'a csv::StringRecord,
}

impl<'a> Row<'a> {
    /// A cell; empty when there is no such column.
    fn get(&self, column: &str) -> &'a str {
        let cell = self.columns.get(column).and_then(|at| self.record.get(*at)).unwrap_or("").trim();
        // A spreadsheet's way to keep a number from being a formula.
        match cell.strip_prefix('\'') {
            Some(rest) if rest.starts_with('+') => rest,
            _ => cell,
        }
    }

    /// The first of several columns that has something in it.
    fn either(&self, columns: &[&str]) -> &'a str {
        columns.iter().map(|column| self.get(column)).find(|cell| !cell.is_empty()).unwrap_or("")
    }
}

/// Several values of one of Google's cells.
fn values(cell: &str) -> impl Iterator<Item = &str> {
    cell.split(":::").map(str::trim).filter(|value| !value.is_empty())
}

/// What to call a row: given, middle and family name together.
fn full_name(parts: &[&str]) -> String {
    parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

fn google(row: &Row<'_>, mut card: Builder) -> Result<crate::contacts::vcard::Card, Fault> {
    let given = row.either(&["first name", "given name"]);
    let middle = row.either(&["middle name", "additional name"]);
    let family = row.either(&["last name", "family name"]);
    let (prefix, suffix) = (row.get("name prefix"), row.get("name suffix"));
    card.parts("N", &[family, given, middle, prefix, suffix], &[]);
    card.text("NICKNAME", row.get("nickname"));
    let organization = row.either(&["organization name", "organization 1 - name"]);
    let department = row.either(&["organization department", "organization 1 - department"]);
    match department {
        "" => card.parts("ORG", &[organization], &[]),
        department => card.parts("ORG", &[organization, department], &[]),
    }
    card.text("TITLE", row.either(&["organization title", "organization 1 - title"]));
    if let Some(day) = date(row.get("birthday")) {
        card.date("BDAY", &day);
    }
    for n in 1..=NUMBERED_MAX {
        let label = |kind: &str| row.either(&[&format!("{kind} {n} - label"), &format!("{kind} {n} - type")]);
        for value in values(row.get(&format!("e-mail {n} - value"))) {
            google_field(&mut card, "EMAIL", value, label("e-mail"));
        }
        for value in values(row.get(&format!("phone {n} - value"))) {
            google_field(&mut card, "TEL", value, label("phone"));
        }
        for value in values(row.get(&format!("website {n} - value"))) {
            card.text("URL", value);
        }
        let address = |part: &str| row.get(&format!("address {n} - {part}"));
        let parts = [
            address("po box"),
            address("extended address"),
            address("street"),
            address("city"),
            address("region"),
            address("postal code"),
            address("country"),
        ];
        let types = types_of(label("address"), "ADR").unwrap_or_default();
        match parts.iter().all(|part| part.is_empty()) {
            true => card.parts("ADR", &["", "", address("formatted"), "", "", "", ""], &types),
            false => card.parts("ADR", &parts, &types),
        }
        if row.either(&[&format!("event {n} - label"), &format!("event {n} - type")]).contains("nniversary")
            && let Some(day) = date(row.get(&format!("event {n} - value")))
        {
            card.date("X-ANNIVERSARY", &day);
        }
    }
    let groups = row.either(&["labels", "group membership"]);
    let groups =
        values(groups).map(|g| g.trim_start_matches("* ")).filter(|g| *g != "myContacts" && *g != "*");
    card.list("CATEGORIES", &groups.map(str::to_owned).collect::<Vec<_>>());
    card.text("X-PHONETIC-FIRST-NAME", row.either(&["phonetic first name", "given name yomi"]));
    card.text("X-PHONETIC-LAST-NAME", row.either(&["phonetic last name", "family name yomi"]));
    card.text("NOTE", &google_note(row));
    let composed = full_name(&[prefix, given, middle, family, suffix]);
    card.finish(&[row.get("name"), &composed, row.get("file as")])
}

/// The note, with the user's own fields behind it.
fn google_note(row: &Row<'_>) -> String {
    let mut note = row.get("notes").to_owned();
    for n in 1..=NUMBERED_MAX {
        let label = row.either(&[&format!("custom field {n} - label"), &format!("custom field {n} - type")]);
        let value = row.get(&format!("custom field {n} - value"));
        if !value.is_empty() {
            note = full_line(&note, &format!("{label}: {value}"));
        }
    }
    note
}

fn full_line(note: &str, line: &str) -> String {
    if note.is_empty() { line.to_owned() } else { format!("{note}\n{line}") }
}

/// A value under one of Google's labels; a star before it says that it is the first of its kind.
fn google_field(card: &mut Builder, name: &str, value: &str, label: &str) {
    let preferred = label.starts_with('*');
    let label = label.trim_start_matches('*').trim();
    match types_of(label, name) {
        Some(mut types) => {
            if preferred {
                types.push("PREF");
            }
            card.typed(name, value, &types);
        }
        None => card.labelled(name, value, label),
    }
}

/// A label as types; none when it is one of the user's own.
fn types_of(label: &str, name: &str) -> Option<Vec<&'static str>> {
    let label = label.trim_start_matches('*').trim().to_lowercase();
    let base: Vec<&'static str> = if name == "EMAIL" { vec!["INTERNET"] } else { Vec::new() };
    let more: &[&'static str] = match label.as_str() {
        "" | "other" | "obsolete" => &[],
        "home" => &["HOME"],
        "work" => &["WORK"],
        "mobile" => &["CELL"],
        "work mobile" => &["CELL", "WORK"],
        "main" => &["VOICE"],
        "work fax" => &["WORK", "FAX"],
        "home fax" => &["HOME", "FAX"],
        "fax" | "other fax" => &["FAX"],
        "pager" => &["PAGER"],
        _ => return None,
    };
    Some(base.into_iter().chain(more.iter().copied()).collect())
}

/// Outlook's columns of numbers.
const OUTLOOK_NUMBERS: [(&str, &[&str]); 18] = [
    ("mobile phone", &["CELL"]),
    ("primary phone", &["PREF"]),
    ("home phone", &["HOME"]),
    ("home phone 2", &["HOME"]),
    ("business phone", &["WORK"]),
    ("business phone 2", &["WORK"]),
    ("company main phone", &["WORK"]),
    ("other phone", &["VOICE"]),
    ("car phone", &["CAR"]),
    ("radio phone", &["VOICE"]),
    ("callback", &["VOICE"]),
    ("business fax", &["WORK", "FAX"]),
    ("home fax", &["HOME", "FAX"]),
    ("other fax", &["FAX"]),
    ("pager", &["PAGER"]),
    ("isdn", &["ISDN"]),
    ("telex", &["MSG"]),
    ("tty/tdd phone", &["VOICE"]),
];

fn outlook(row: &Row<'_>, mut card: Builder) -> Result<crate::contacts::vcard::Card, Fault> {
    let (given, middle, family) = (row.get("first name"), row.get("middle name"), row.get("last name"));
    let (prefix, suffix) = (row.get("title"), row.get("suffix"));
    card.parts("N", &[family, given, middle, prefix, suffix], &[]);
    card.text("NICKNAME", row.get("nickname"));
    match row.get("department") {
        "" => card.parts("ORG", &[row.get("company")], &[]),
        department => card.parts("ORG", &[row.get("company"), department], &[]),
    }
    card.text("TITLE", row.get("job title"));
    for column in ["e-mail address", "e-mail 2 address", "e-mail 3 address"] {
        card.typed("EMAIL", row.get(column), &["INTERNET"]);
    }
    for (column, types) in OUTLOOK_NUMBERS {
        card.typed("TEL", row.get(column), types);
    }
    for (kind, types) in [("business", &["WORK"][..]), ("home", &["HOME"]), ("other", &[])] {
        let part = |name: &str| row.get(&format!("{kind} {name}"));
        let street = [part("street"), part("street 2"), part("street 3")];
        let street: Vec<&str> = street.into_iter().filter(|line| !line.is_empty()).collect();
        let country = row.either(&[&format!("{kind} country/region"), &format!("{kind} country")]);
        let parts = [
            part("address po box"),
            "",
            &street.join("\n"),
            part("city"),
            part("state"),
            part("postal code"),
            country,
        ];
        card.parts("ADR", &parts, types);
    }
    for column in ["web page", "personal web page", "business web page"] {
        card.text("URL", row.get(column));
    }
    for (column, name) in [("birthday", "BDAY"), ("anniversary", "X-ANNIVERSARY")] {
        if let Some(day) = date(row.get(column)) {
            card.date(name, &day);
        }
    }
    let groups: Vec<String> = row.get("categories").split(';').map(|g| g.trim().to_owned()).collect();
    card.list("CATEGORIES", &groups);
    card.text("X-PHONETIC-FIRST-NAME", row.get("given yomi"));
    card.text("X-PHONETIC-LAST-NAME", row.get("surname yomi"));
    card.text("NOTE", row.get("notes"));
    let composed = full_name(&[prefix, given, middle, family, suffix]);
    card.finish(&[&composed, row.get("e-mail display name")])
}

/// A day as the two write it: `1990-02-28`, `--02-28`, `2/28/1990` (American unless it cannot be), `28.2.1990`.
/// Outlook's `0/0/00` is none.
fn date(text: &str) -> Option<String> {
    let text = text.split([' ', 'T']).next().unwrap_or("");
    if let Some(rest) = text.strip_prefix("--") {
        let (month, day) = rest.split_once('-')?;
        return day_of(None, month.parse().ok()?, day.parse().ok()?);
    }
    let parts: Vec<u32> = text.split(['-', '/', '.']).map(str::parse).collect::<Result<_, _>>().ok()?;
    let [a, b, c] = *parts.as_slice() else { return None };
    if text.contains('-') {
        return day_of(Some(a), b, c);
    }
    let year = match c {
        0..=29 => c + 2_000,
        30..=99 => c + 1_900,
        c => c,
    };
    match text.contains('.') || a > 12 {
        true => day_of(Some(year), b, a),
        false => day_of(Some(year), a, b),
    }
}

fn day_of(year: Option<u32>, month: u32, day: u32) -> Option<String> {
    let known = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && year.is_none_or(|year| (1_000..=9_999).contains(&year));
    known.then(|| match year {
        Some(year) => format!("{year:04}-{month:02}-{day:02}"),
        None => format!("--{month:02}-{day:02}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: [u8; 16] = [7; 16];

    fn shown(text: &str) -> (Table, Vec<Result<String, &'static str>>) {
        let (table, drafts) = read(text, &SEED).unwrap();
        let show = |d: Draft| d.card.map(|c| c.render().replace("\r\n ", "")).map_err(|f| f.code);
        (table, drafts.into_iter().map(show).collect())
    }

    fn assert_lines(card: &str, lines: &[&str]) {
        for line in lines {
            assert!(card.contains(&format!("{line}\r\n")), "{line} is missing: {card}");
        }
    }

    #[test]
    fn googles_table_of_today() {
        let text = "First Name,Middle Name,Last Name,Name Prefix,Name Suffix,Nickname,File As,Organization Name,Organization Title,Organization Department,Birthday,Notes,Photo,Labels,E-mail 1 - Label,E-mail 1 - Value,Phone 1 - Label,Phone 1 - Value,Phone 2 - Label,Phone 2 - Value,Address 1 - Label,Address 1 - Formatted,Address 1 - Street,Address 1 - City,Address 1 - Country,Website 1 - Label,Website 1 - Value,Custom Field 1 - Label,Custom Field 1 - Value\nAnn,,Lee,,,Annie,,\"Acme, Inc\",Boss,R&D,--02-28,\"two\nlines\",https://example.org/p,* myContacts ::: Band,* Work,ann@example.org ::: a@example.com,Mobile,'+12025550123,Grandma's,02-123-4567,Home,,1 Main St,Seoul,Korea,Profile,https://example.org,Shoe,42\n,,,,,,,,,,,,,,,,,,,,,,,,,,,,\n";
        let (table, cards) = shown(text);
        assert_eq!((table, cards.len(), cards[1].clone()), (Table::Google, 2, Err("empty")));
        assert_lines(
            cards[0].as_ref().unwrap(),
            &[
                "FN:Ann Lee",
                "N:Lee;Ann;;;",
                "NICKNAME:Annie",
                "ORG:Acme\\, Inc;R&D",
                "TITLE:Boss",
                "BDAY;X-APPLE-OMIT-YEAR=1604:1604-02-28",
                "EMAIL;TYPE=INTERNET;TYPE=WORK;TYPE=PREF:ann@example.org",
                "EMAIL;TYPE=INTERNET;TYPE=WORK;TYPE=PREF:a@example.com",
                "TEL;TYPE=CELL:+12025550123",
                "item1.TEL:02-123-4567",
                "item1.X-ABLABEL:Grandma's",
                "ADR;TYPE=HOME:;;1 Main St;Seoul;;;Korea",
                "URL:https://example.org",
                "CATEGORIES:Band",
                "NOTE:two\\nlines\\nShoe: 42",
            ],
        );
    }

    #[test]
    fn googles_table_of_before() {
        let text = "Name,Given Name,Additional Name,Family Name,Group Membership,E-mail 1 - Type,E-mail 1 - Value,Phone 1 - Type,Phone 1 - Value,Organization 1 - Name,Organization 1 - Title\nBob Builder,Bob,,Builder,* myContacts,* Home,bob@example.org,Work Fax,+12025550124,Acme,Builder\n";
        let (table, cards) = shown(text);
        assert_eq!(table, Table::Google);
        assert_lines(
            cards[0].as_ref().unwrap(),
            &["FN:Bob Builder", "TEL;TYPE=WORK;TYPE=FAX:+12025550124", "ORG:Acme", "TITLE:Builder"],
        );
    }

    #[test]
    fn outlooks_table() {
        let text = "\"Title\";\"First Name\";\"Middle Name\";\"Last Name\";\"Suffix\";\"Company\";\"Department\";\"Job Title\";\"Business Street\";\"Business Street 2\";\"Business City\";\"Business Country/Region\";\"Mobile Phone\";\"Business Fax\";\"Birthday\";\"Anniversary\";\"Categories\";\"E-mail Address\";\"E-mail Type\";\"E-mail Display Name\";\"E-mail 2 Address\";\"Notes\";\"Web Page\"\r\n\"Dr.\";\"Jörg\";;\"Müller\";;\"Acme\";;\"Chief\";\"1 Main St\";\"Floor 2\";\"Berlin\";\"Germany\";\"+12025550125\";\"+12025550126\";\"28.2.1990\";\"0/0/00\";\"Work;Band\";\"j@example.org\";\"SMTP\";\"Jörg\";\"k@example.org\";;\r\n";
        let (table, cards) = shown(text);
        assert_eq!(table, Table::Outlook);
        let card = cards[0].as_ref().unwrap();
        assert_lines(
            card,
            &[
                "FN:Dr. Jörg Müller",
                "N:Müller;Jörg;;Dr.;",
                "TEL;TYPE=CELL:+12025550125",
                "TEL;TYPE=WORK;TYPE=FAX:+12025550126",
                "ADR;TYPE=WORK:;;1 Main St\\nFloor 2;Berlin;;;Germany",
                "BDAY:1990-02-28",
                "CATEGORIES:Work,Band",
                "EMAIL;TYPE=INTERNET:k@example.org",
            ],
        );
        assert!(!card.contains("ANNIVERSARY"), "{card}");
    }

    #[test]
    fn days_are_read_as_they_are_meant() {
        for (text, day) in [
            ("1990-02-28", Some("1990-02-28")),
            ("2/28/1990", Some("1990-02-28")),
            ("28/2/1990", Some("1990-02-28")),
            ("2/3/90", Some("1990-02-03")),
            ("28.02.1990 00:00", Some("1990-02-28")),
            ("--02-28", Some("--02-28")),
            ("0/0/00", None),
            ("", None),
            ("soon", None),
            ("1990-13-01", None),
        ] {
            assert_eq!(date(text).as_deref(), day, "{text}");
        }
    }

    #[test]
    fn other_tables_are_none_of_ours() {
        assert!(read("a,b\n1,2\n", &SEED).is_none() && read("", &SEED).is_none());
        assert!(read("Date,Amount\n1,2\n", &SEED).is_none());
    }

    proptest::proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "(First Name,Last Name,Mobile Phone,Birthday\n)?([ -~\n;\",]{0,60})") {
            let _ = read(&text, &SEED);
        }
    }
}
