//! vCard text (RFC 2426, RFC 6350): read into lines that keep every octet's meaning, and written back folded.
//!
//! Nothing is interpreted that need not be: a line keeps its value as written, so that what Meari does not know comes
//! back as it went in. Conversion, filters and merging stand on these lines.

use crate::dav::xml::is_xml_char;

/// Bytes of one vCard at most; told to clients as `max-resource-size`.
pub const CARD_BYTES_MAX: usize = 1024 * 1024;
/// Lines of one vCard at most.
const LINES_MAX: usize = 20_000;
/// Parameters of one line at most.
const PARAMETERS_MAX: usize = 100;
/// Octets of an output line at most, without the line break (RFC 6350 3.2).
const FOLD_AT: usize = 75;

/// Which vCard it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// RFC 2426.
    V3,
    /// RFC 6350.
    V4,
}

impl Version {
    /// As it stands in `VERSION`.
    pub fn as_str(self) -> &'static str {
        match self {
            Version::V3 => "3.0",
            Version::V4 => "4.0",
        }
    }
}

/// Why a text is not taken as a vCard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CardFault {
    /// It is one, but of a version that is not supported.
    #[error("Only vCard 3.0 and 4.0 are supported.")]
    UnsupportedVersion,
    /// It is not valid.
    #[error("{0}")]
    Invalid(&'static str),
    /// It is too large.
    #[error("The vCard is too large.")]
    TooLarge,
}

/// A parameter of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name in capitals.
    pub name: String,
    /// Its values, without quotes and with RFC 6868's escapes undone.
    pub values: Vec<String>,
}

/// One property of a vCard, unfolded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The group as written (`item1`).
    pub group: Option<String>,
    /// The name in capitals.
    pub name: String,
    /// The parameters in their order.
    pub parameters: Vec<Parameter>,
    /// The value as written, with its escapes.
    pub value: String,
    /// The whole line as written; empty when it was made here.
    pub text: String,
}

/// A whole vCard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// Its version.
    pub version: Version,
    /// Everything between BEGIN and END.
    pub lines: Vec<Line>,
}

impl Line {
    /// A line made here.
    pub fn new(name: &str, value: impl Into<String>) -> Self {
        Line {
            group: None,
            name: name.to_owned(),
            parameters: Vec::new(),
            value: value.into(),
            text: String::new(),
        }
    }

    /// The same with a parameter more.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.parameters.push(Parameter { name: name.to_owned(), values: vec![value.to_owned()] });
        self.text.clear();
        self
    }

    /// All values of a parameter.
    pub fn parameter(&self, name: &str) -> impl Iterator<Item = &str> {
        let name = name.to_owned();
        self.parameters
            .iter()
            .filter(move |p| p.name == name)
            .flat_map(|p| p.values.iter().map(String::as_str))
    }

    /// Whether a parameter has a value, whatever the case.
    pub fn has(&self, name: &str, value: &str) -> bool {
        self.parameter(name).any(|v| v.eq_ignore_ascii_case(value))
    }

    /// The value as a person reads it: `\n`, `\,`, `\;` and `\\` undone.
    pub fn text_value(&self) -> String {
        unescape(&self.value)
    }

    /// The components of a structured value (`N`, `ADR`, `ORG`), or the items of a list, still escaped.
    pub fn components(&self, separator: char) -> Vec<&str> {
        split_unescaped(&self.value, separator)
    }

    /// The line as it is written in `version`, unfolded.
    pub fn render(&self, version: Version) -> String {
        if !self.text.is_empty() {
            return self.text.clone();
        }
        let mut out = String::with_capacity(self.value.len() + 32);
        if let Some(group) = &self.group {
            out.push_str(group);
            out.push('.');
        }
        out.push_str(&self.name);
        for parameter in &self.parameters {
            // What was sent as a name need not be one; on a line that is made anew it would break the line.
            let name = parameter.name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-' || *c == '_');
            let before = out.len();
            out.push(';');
            out.extend(name);
            if out.len() == before + 1 {
                out.truncate(before);
                continue;
            }
            for (index, value) in parameter.values.iter().enumerate() {
                out.push(if index == 0 { '=' } else { ',' });
                write_parameter_value(&mut out, value, version);
            }
        }
        out.push(':');
        out.push_str(&self.value);
        out
    }
}

/// Quotes what must be quoted; RFC 6868's escapes exist in 4.0 only, 3.0 cannot say a quote at all.
fn write_parameter_value(out: &mut String, value: &str, version: Version) {
    let quoted = value.contains([',', ';', ':']);
    if quoted {
        out.push('"');
    }
    for c in value.chars() {
        match (c, version) {
            ('"', Version::V4) => out.push_str("^'"),
            ('\n', Version::V4) => out.push_str("^n"),
            ('^', Version::V4) => out.push_str("^^"),
            ('"', Version::V3) => out.push('\''),
            ('\n', Version::V3) => out.push(' '),
            (c, _) => out.push(c),
        }
    }
    if quoted {
        out.push('"');
    }
}

impl Card {
    /// Reads one vCard and checks what RFC 6352 5.1 and 6.3.2.1 want checked.
    pub fn parse(body: &[u8]) -> Result<Card, CardFault> {
        if body.len() > CARD_BYTES_MAX {
            return Err(CardFault::TooLarge);
        }
        let lines = read_lines(body)?;
        let mut lines = lines.into_iter();
        let begin = lines.next().ok_or(CardFault::Invalid("There is no vCard in the body."))?;
        if begin.name != "BEGIN" || !begin.value.trim().eq_ignore_ascii_case("VCARD") {
            return Err(CardFault::Invalid("The body does not begin with BEGIN:VCARD."));
        }
        let mut inner: Vec<Line> = lines.collect();
        match inner.pop() {
            Some(end) if end.name == "END" && end.value.trim().eq_ignore_ascii_case("VCARD") => {}
            _ => return Err(CardFault::Invalid("The body does not end with END:VCARD.")),
        }
        if inner.iter().any(|l| matches!(l.name.as_str(), "BEGIN" | "END")) {
            return Err(CardFault::Invalid("The body must hold exactly one vCard."));
        }
        let version = version_of(&inner)?;
        let card = Card { version, lines: inner };
        card.check()?;
        Ok(card)
    }

    fn check(&self) -> Result<(), CardFault> {
        let uids: Vec<&Line> = self.named("UID").collect();
        match uids.as_slice() {
            [one] if !one.value.trim().is_empty() => {}
            [] | [_] => return Err(CardFault::Invalid("The vCard has no UID.")),
            _ => return Err(CardFault::Invalid("The vCard has more than one UID.")),
        }
        if self.named("FN").next().is_none() {
            return Err(CardFault::Invalid("The vCard has no FN."));
        }
        Ok(())
    }

    /// The lines of a name (in capitals), whatever their group.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Line> {
        self.lines.iter().filter(move |l| l.name == name)
    }

    /// The first line of a name.
    pub fn first(&self, name: &str) -> Option<&Line> {
        self.lines.iter().find(|l| l.name == name)
    }

    /// The UID as it compares: without `urn:uuid:`, which clients put on and take off as they like.
    pub fn uid(&self) -> String {
        self.first("UID").map(|l| comparable_uid(&l.text_value())).unwrap_or_default()
    }

    /// The whole text, folded, with CRLF.
    pub fn render(&self) -> String {
        self.render_where(|_| Shown::Whole)
    }

    /// The text with some lines left out or without their values (RFC 6352 10.4.2).
    pub fn render_where(&self, shown: impl Fn(&Line) -> Shown) -> String {
        let mut out =
            String::with_capacity(self.lines.iter().map(|l| l.value.len() + 48).sum::<usize>() + 32);
        out.push_str("BEGIN:VCARD\r\n");
        for line in &self.lines {
            match shown(line) {
                Shown::Whole => fold_into(&mut out, &line.render(self.version)),
                Shown::NameOnly => {
                    let bare = Line { value: String::new(), text: String::new(), ..line.clone() };
                    fold_into(&mut out, &bare.render(self.version));
                }
                Shown::Not => {}
            }
        }
        out.push_str("END:VCARD\r\n");
        out
    }
}

/// How much of a line is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// All of it.
    Whole,
    /// Everything but the value.
    NameOnly,
    /// Nothing.
    Not,
}

/// A UID as it compares: DAVx5 and others add and drop `urn:uuid:` between edits.
pub fn comparable_uid(uid: &str) -> String {
    let uid = uid.trim();
    match uid.get(..9) {
        Some(head) if head.eq_ignore_ascii_case("urn:uuid:") => {
            uid.get(9..).unwrap_or("").to_ascii_lowercase()
        }
        _ => match uuid::Uuid::try_parse(uid) {
            Ok(_) => uid.to_ascii_lowercase(),
            Err(_) => uid.to_owned(),
        },
    }
}

fn version_of(lines: &[Line]) -> Result<Version, CardFault> {
    let mut found = None;
    for line in lines.iter().filter(|l| l.name == "VERSION") {
        let version = match line.value.trim() {
            "3.0" => Version::V3,
            "4.0" => Version::V4,
            _ => return Err(CardFault::UnsupportedVersion),
        };
        if found.replace(version).is_some_and(|before| before != version) {
            return Err(CardFault::Invalid("The vCard names two versions."));
        }
    }
    found.ok_or(CardFault::Invalid("The vCard has no VERSION."))
}

/// Unfolds octets first and decodes then: some clients fold in the middle of a character.
fn read_lines(body: &[u8]) -> Result<Vec<Line>, CardFault> {
    let body = body.strip_prefix(&[0xEF, 0xBB, 0xBF]).unwrap_or(body);
    let mut lines = Vec::new();
    let mut current: Vec<u8> = Vec::new();
    let ends = memchr::memchr_iter(b'\n', body).chain([body.len()]);
    let mut start = 0;
    for end in ends {
        let raw = body.get(start..end).unwrap_or_default();
        start = end + 1;
        let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
        if let Some((b' ' | b'\t', rest)) = raw.split_first()
            && !current.is_empty()
        {
            current.extend_from_slice(rest);
            continue;
        }
        finish_line(&mut lines, &mut current)?;
        current.extend_from_slice(raw);
    }
    finish_line(&mut lines, &mut current)?;
    Ok(lines)
}

fn finish_line(lines: &mut Vec<Line>, octets: &mut Vec<u8>) -> Result<(), CardFault> {
    let octets = std::mem::take(octets);
    if octets.iter().all(u8::is_ascii_whitespace) {
        return Ok(());
    }
    if lines.len() >= LINES_MAX {
        return Err(CardFault::TooLarge);
    }
    let text = String::from_utf8(octets).map_err(|_| CardFault::Invalid("The vCard is not valid UTF-8."))?;
    // One such character makes some phones repeat the same request for ever.
    if has_doubtful_byte(text.as_bytes()) && !text.chars().all(|c| is_xml_char(c) && c != '\r') {
        return Err(CardFault::Invalid("The vCard holds a control character."));
    }
    lines.push(read_line(text)?);
    Ok(())
}

/// Whether anything but plain ASCII is there; looks at all bytes at once, since most lines and all pictures are plain.
fn has_doubtful_byte(bytes: &[u8]) -> bool {
    bytes.iter().fold(false, |doubt, b| doubt | !matches!(b, b' '..=b'~'))
}

/// One line, unfolded.
pub(super) fn read_line(text: String) -> Result<Line, CardFault> {
    const BAD: CardFault = CardFault::Invalid("The vCard holds a line that is no property.");
    let head_end = text.find([';', ':']).ok_or(BAD)?;
    let (head, mut rest) = text.split_at(head_end);
    let (group, name) = match head.split_once('.') {
        Some((group, name)) => (Some(group), name),
        None => (None, head),
    };
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if !is_word(name) || !group.is_none_or(is_word) {
        return Err(BAD);
    }
    let mut parameters = Vec::new();
    while let Some(after) = rest.strip_prefix(';') {
        if parameters.len() >= PARAMETERS_MAX {
            return Err(CardFault::TooLarge);
        }
        let end = unquoted_position(after, b";:").ok_or(BAD)?;
        let (one, tail) = after.split_at(end);
        parameters.push(read_parameter(one));
        rest = tail;
    }
    let value = rest.strip_prefix(':').ok_or(BAD)?.to_owned();
    Ok(Line { group: group.map(str::to_owned), name: name.to_ascii_uppercase(), parameters, value, text })
}

/// The first of `stops` outside quotes.
fn unquoted_position(text: &str, stops: &[u8]) -> Option<usize> {
    let mut quoted = false;
    text.bytes().position(|b| {
        if b == b'"' {
            quoted = !quoted;
        }
        !quoted && stops.contains(&b)
    })
}

fn read_parameter(text: &str) -> Parameter {
    let Some((name, list)) = text.split_once('=') else {
        // vCard 2.1's habit, still met: `TEL;HOME:`.
        return Parameter { name: "TYPE".to_owned(), values: vec![text.to_owned()] };
    };
    let mut values = Vec::new();
    let mut rest = list;
    loop {
        let end = unquoted_position(rest, b",");
        let (one, tail) = rest.split_at(end.unwrap_or(rest.len()));
        let bare = one.strip_prefix('"').and_then(|o| o.strip_suffix('"')).unwrap_or(one);
        values.push(undo_carets(bare));
        match tail.strip_prefix(',') {
            Some(after) => rest = after,
            None => break,
        }
    }
    Parameter { name: name.trim().to_ascii_uppercase(), values }
}

/// RFC 6868 3.2.
fn undo_carets(text: &str) -> String {
    if !text.contains('^') {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('^', Some('n')) => out.push('\n'),
            ('^', Some('\'')) => out.push('"'),
            ('^', Some('^')) => out.push('^'),
            _ => {
                out.push(c);
                continue;
            }
        }
        chars.next();
    }
    out
}

/// Undoes the escapes of a text value.
pub fn unescape(value: &str) -> String {
    if !value.contains('\\') {
        return value.to_owned();
    }
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n' | 'N') => out.push('\n'),
                Some(other) => out.push(other),
                None => out.push('\\'),
            },
            c => out.push(c),
        }
    }
    out
}

/// Escapes a text value; what XML cannot carry is left out.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            ',' => out.push_str("\\,"),
            ';' => out.push_str("\\;"),
            '\n' => out.push_str("\\n"),
            '\r' => {}
            c if is_xml_char(c) => out.push(c),
            _ => {}
        }
    }
    out
}

/// The parts of a value between unescaped separators, still escaped.
pub(super) fn split_unescaped(value: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut escaped = false;
    let mut start = 0;
    for (at, c) in value.char_indices() {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == separator {
            parts.push(value.get(start..at).unwrap_or(""));
            start = at + c.len_utf8();
        }
    }
    parts.push(value.get(start..).unwrap_or(""));
    parts
}

/// Appends a line, folded at 75 octets between characters, with CRLF (RFC 6350 3.2).
pub fn fold_into(out: &mut String, line: &str) {
    if line.len() <= FOLD_AT {
        out.push_str(line);
        out.push_str("\r\n");
        return;
    }
    let mut rest = line;
    let mut room = FOLD_AT;
    while rest.len() > room {
        let at =
            (0..=room).rev().find(|at| rest.is_char_boundary(*at)).filter(|at| *at > 0).unwrap_or(rest.len());
        let (head, tail) = rest.split_at(at);
        out.push_str(head);
        out.push_str("\r\n ");
        rest = tail;
        // The blank of a folded line counts.
        room = FOLD_AT - 1;
    }
    out.push_str(rest);
    out.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn card(inner: &str) -> String {
        format!("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:u1\r\nFN:Ann\r\n{inner}END:VCARD\r\n")
    }

    #[test]
    fn groups_parameters_and_values_are_told_apart() {
        let c = Card::parse(
            card(
                "item1.TEL;type=CELL;TYPE=\"a,b\",c;X-Q=\"x:y;z\":+1;x:y\r\nitem1.X-ABLabel:_$!<Home>!$_\r\n",
            )
            .as_bytes(),
        )
        .unwrap();
        let tel = c.first("TEL").unwrap();
        assert_eq!(tel.group.as_deref(), Some("item1"));
        assert_eq!(tel.parameter("TYPE").collect::<Vec<_>>(), ["CELL", "a,b", "c"]);
        assert_eq!(tel.parameter("X-Q").collect::<Vec<_>>(), ["x:y;z"]);
        assert_eq!(tel.value, "+1;x:y");
        assert_eq!(c.first("X-ABLABEL").unwrap().value, "_$!<Home>!$_");
    }

    #[test]
    fn a_fold_inside_a_character_is_undone_first() {
        let mut body = b"BEGIN:VCARD\r\nVERSION:4.0\r\nUID:x\r\nFN:J\xC3".to_vec();
        body.extend_from_slice(b"\r\n \xBCrgen\r\nEND:VCARD\r\n");
        assert_eq!(Card::parse(&body).unwrap().first("FN").unwrap().value, "Jürgen");
    }

    #[test]
    fn what_is_no_card_is_refused_with_its_reason() {
        let ok = card("");
        assert!(Card::parse(ok.as_bytes()).is_ok());
        assert!(Card::parse(ok.replace("\r\n", "\n").as_bytes()).is_ok());
        for bad in [
            "",
            "hello",
            "BEGIN:VCARD\r\nEND:VCARD\r\n",
            &ok.replace("UID:u1\r\n", ""),
            &ok.replace("UID:u1", "UID: "),
            &ok.replace("FN:Ann\r\n", ""),
            &ok.replace("VERSION:3.0\r\n", ""),
            &format!("{ok}{ok}"),
            &ok.replace("END:VCARD\r\n", ""),
            &card("UID:u2\r\n"),
            &card("NOTE:a\u{1}b\r\n"),
            &card("no colon\r\n"),
            &card("VERSION:4.0\r\n"),
            &card("a b:c\r\n"),
            &card("NOTE;X=\"open:c\r\n"),
            &card("NOTE:a\rb\r\n"),
        ] {
            assert!(matches!(Card::parse(bad.as_bytes()), Err(CardFault::Invalid(_))), "{bad:?}");
        }
        assert_eq!(Card::parse(ok.replace("3.0", "2.1").as_bytes()), Err(CardFault::UnsupportedVersion));
        assert!(Card::parse(b"BEGIN:VCARD\r\nVERSION:3.0\r\nUID:a\r\nFN:\xff\r\nEND:VCARD\r\n").is_err());
        assert_eq!(Card::parse(&vec![b'a'; CARD_BYTES_MAX + 1]), Err(CardFault::TooLarge));
    }

    #[test]
    fn repeated_harmless_lines_are_borne() {
        assert!(
            Card::parse(card("VERSION:3.0\r\nPRODID:a\r\nPRODID:b\r\nTEL;HOME;VOICE:+1\r\n\r\n").as_bytes())
                .is_ok()
        );
    }

    #[test]
    fn a_uid_compares_without_its_urn() {
        let uuid = "4FBE8971-0BC3-424C-9C26-36C3E1EFF6B1";
        assert_eq!(comparable_uid(&format!("urn:uuid:{uuid}")), comparable_uid(uuid));
        assert_eq!(comparable_uid(&format!("URN:UUID:{}", uuid.to_lowercase())), comparable_uid(uuid));
        assert_ne!(comparable_uid("Abc"), comparable_uid("abc"));
    }

    #[test]
    fn folds_between_characters() {
        let mut out = String::new();
        fold_into(&mut out, &format!("NOTE:{}", "ü".repeat(200)));
        for line in out.split("\r\n") {
            assert!(line.len() <= 75);
        }
        let unfolded = out.replace("\r\n ", "");
        assert_eq!(unfolded.trim_end(), format!("NOTE:{}", "ü".repeat(200)));
    }

    #[test]
    fn quotes_in_parameters_go_by_version() {
        let line = Line::new("ADR", ";;x").with("LABEL", "a\"b\nc:d^");
        assert_eq!(line.render(Version::V4), "ADR;LABEL=\"a^'b^nc:d^^\":;;x");
        assert_eq!(line.render(Version::V3), "ADR;LABEL=\"a'b c:d^\":;;x");
    }

    proptest! {
        #[test]
        fn never_panics(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Card::parse(&body);
        }

        #[test]
        fn lines_survive_writing_and_reading(
            names in proptest::collection::vec("(item[0-9]\\.)?[A-Za-z][A-Za-z0-9-]{0,8}", 0..6),
            values in proptest::collection::vec("[^\\p{Cc}\u{fffe}\u{ffff}]{0,120}", 6),
        ) {
            let mut body = String::from("BEGIN:VCARD\r\nVERSION:4.0\r\nUID:x\r\nFN:y\r\n");
            for (name, value) in names.iter().zip(&values) {
                prop_assume!(!matches!(name.to_ascii_uppercase().rsplit('.').next(), Some("UID" | "BEGIN" | "END" | "VERSION")));
                fold_into(&mut body, &format!("{name};X-P=1:{value}"));
            }
            body.push_str("END:VCARD\r\n");
            let first = Card::parse(body.as_bytes()).unwrap();
            prop_assert_eq!(first.render(), body);
            for (line, value) in first.lines.iter().skip(3).zip(&values) {
                prop_assert_eq!(&line.value, value);
            }
        }

        #[test]
        fn what_was_read_is_written_and_read_as_the_same(
            body in "((item1\\.)?[A-C]{1,2}(;[A-B](=\"?[x,^n:]{0,3}\"?)?)?:[yz\\\\ ,;é]{0,90}(\r?\n[ \t][ab]{0,3})?\r?\n){0,6}"
        ) {
            let body = format!("BEGIN:VCARD\nVERSION:4.0\nUID:x\nFN:y\n{body}END:VCARD");
            if let Ok(card) = Card::parse(body.as_bytes()) {
                let again = Card::parse(card.render().as_bytes()).unwrap();
                prop_assert_eq!(again.lines, card.lines);
            }
        }

        #[test]
        fn escapes_come_back(text in "[\\PC\\n]{0,60}") {
            prop_assert_eq!(unescape(&escape(&text)), text);
        }
    }
}
