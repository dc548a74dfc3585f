//! Files of vCards: one or thousands, 3.0 and 4.0 as they are, 2.1 (old phones, Outlook) turned into 3.0.
//!
//! Lenient where a person's address book depends on it: a card without UID or FN gets one, control characters are left
//! out, and one bad card spoils no other.

use super::draft::{Draft, Fault, UNREADABLE, made_uid};
use super::text;
use crate::contacts::vcard::{CARD_BYTES_MAX, Card, CardFault, Line, Version, escape};
use crate::dav::xml::is_xml_char;

/// Reads all cards of a text.
pub fn read(text: &str, seed: &[u8; 16]) -> Vec<Draft> {
    let mut drafts: Vec<Draft> = Vec::new();
    let mut open: Option<(i32, Vec<&str>)> = None;
    let mut stray = false;
    let fault = |line, fault| Draft { line, card: Err(fault) };
    for (line, raw) in (1i32..).zip(text.split('\n')) {
        let raw = raw.strip_suffix('\r').unwrap_or(raw);
        let word = raw.trim();
        if word.eq_ignore_ascii_case("BEGIN:VCARD") {
            if let Some((begun, _)) = open.replace((line, Vec::new())) {
                drafts.push(fault(begun, UNFINISHED));
            }
            stray = false;
        } else if word.eq_ignore_ascii_case("END:VCARD") {
            if let Some((begun, lines)) = open.take() {
                let card = one(&lines, seed, drafts.len());
                drafts.push(Draft { line: begun, card });
            }
        } else if let Some((_, lines)) = &mut open {
            lines.push(raw);
        } else if !word.is_empty() && !stray {
            stray = true;
            drafts.push(fault(line, NOT_A_CARD));
        }
    }
    if let Some((begun, _)) = open {
        drafts.push(fault(begun, UNFINISHED));
    }
    drafts
}

const UNFINISHED: Fault = Fault { code: "unfinished", detail: "This card has no END:VCARD." };
const NOT_A_CARD: Fault = Fault { code: "not_a_card", detail: "This belongs to no card." };
const TOO_LARGE: Fault = Fault { code: "too_large", detail: "This card is larger than 1 MiB." };

fn one(lines: &[&str], seed: &[u8; 16], place: usize) -> Result<Card, Fault> {
    if lines.iter().map(|line| line.len() + 2).sum::<usize>() > CARD_BYTES_MAX {
        return Err(TOO_LARGE);
    }
    let starts =
        |line: &&&str, name: &str| line.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name));
    let version =
        lines.iter().find(|l| starts(l, "VERSION:")).and_then(|l| l.split_once(':')).map(|(_, v)| v.trim());
    let mut body: Vec<String> = match version {
        Some("3.0" | "4.0") => lines.iter().map(|line| (*line).to_owned()).collect(),
        _ => from_2_1(lines)?,
    };
    let has = |body: &[String], wanted: &str| body.iter().any(|line| name_of(line) == wanted);
    if !has(&body, "UID") {
        body.push(format!("UID:{}", made_uid(seed, place)));
    }
    if !has(&body, "FN") {
        let name = stand_in(&body).ok_or(Fault { code: "empty", detail: "There is nobody's name here." })?;
        body.push(format!("FN:{}", escape(&name)));
    }
    let mut whole = String::from("BEGIN:VCARD\r\n");
    for line in &body {
        whole.extend(line.chars().filter(|c| is_xml_char(*c)));
        whole.push_str("\r\n");
    }
    whole.push_str("END:VCARD\r\n");
    Card::parse(whole.as_bytes()).map_err(|fault| match fault {
        CardFault::TooLarge => TOO_LARGE,
        CardFault::Invalid(detail) => Fault { code: "invalid_card", detail },
        CardFault::UnsupportedVersion => UNREADABLE,
    })
}

/// The property's name in capitals, without its group.
fn name_of(line: &str) -> String {
    let head = line.split([';', ':']).next().unwrap_or("");
    head.rsplit('.').next().unwrap_or(head).to_ascii_uppercase()
}

/// What to call somebody who has no name on his card.
fn stand_in(body: &[String]) -> Option<String> {
    let value = |name: &str| {
        let line = body.iter().find(|line| name_of(line) == name)?;
        let (_, value) = line.split_once(':')?;
        let words = value.replace("\\,", ",").replace(';', " ").replace("\\ ", " ");
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        (!words.is_empty()).then_some(words)
    };
    ["N", "ORG", "NICKNAME", "EMAIL", "TEL"].into_iter().find_map(value)
}

/// The lines of a vCard 2.1 as those of a 3.0: quoted-printable undone, bare parameters named, texts escaped.
fn from_2_1(lines: &[&str]) -> Result<Vec<String>, Fault> {
    let mut out = vec!["VERSION:3.0".to_owned()];
    for logical in unfold_2_1(lines) {
        let Some((head, value)) = split_head(&logical) else { continue };
        let mut parts = head.split(';');
        let name = parts.next().unwrap_or("");
        let (group, name) = match name.split_once('.') {
            Some((group, name)) => (Some(group.to_owned()), name.to_ascii_uppercase()),
            None => (None, name.to_ascii_uppercase()),
        };
        if name == "VERSION" || name.is_empty() {
            continue;
        }
        let mut line = Line { group, ..Line::new(&name, "") };
        let (mut encoding, mut charset) = (String::new(), String::new());
        for parameter in parts {
            let (key, word) = parameter.split_once('=').unwrap_or(("TYPE", parameter));
            let word = word.trim();
            match (key.trim().to_ascii_uppercase().as_str(), word.to_ascii_uppercase().as_str()) {
                ("ENCODING", word) => encoding = word.to_owned(),
                ("TYPE", word @ ("QUOTED-PRINTABLE" | "BASE64" | "8BIT" | "7BIT")) => {
                    encoding = word.to_owned()
                }
                ("CHARSET", word) => charset = word.to_owned(),
                ("TYPE", _) => line = line.with("TYPE", word),
                (key, _) => line = line.with(key, word),
            }
        }
        let value = match encoding.as_str() {
            "QUOTED-PRINTABLE" => unquote(value, &charset),
            _ => value.to_owned(),
        };
        line.value = match (encoding.as_str(), name.as_str()) {
            ("BASE64" | "B", _) => value.split_whitespace().collect(),
            (_, "N" | "ADR" | "ORG") => structured(&value),
            (_, "TEL" | "EMAIL" | "URL" | "UID" | "REV" | "BDAY" | "GEO" | "TZ") => {
                value.replace(['\r', '\n'], " ").trim().to_owned()
            }
            _ => escape(&value.replace("\\;", ";")),
        };
        if matches!(encoding.as_str(), "BASE64" | "B") {
            line = line.with("ENCODING", "b");
        }
        out.push(line.render(Version::V3));
    }
    if out.len() > 1 { Ok(out) } else { Err(UNREADABLE) }
}

/// A line of quoted-printable goes on where it ends with `=`; any other where the next begins with white space.
fn unfold_2_1(lines: &[&str]) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut goes_on = false;
    for raw in lines {
        let folded = raw.strip_prefix([' ', '\t']);
        match (out.last_mut(), goes_on, folded) {
            (Some(last), true, _) => last.push_str(raw),
            (Some(last), false, Some(rest)) => last.push_str(rest),
            _ => out.push((*raw).to_owned()),
        }
        goes_on = false;
        if let Some(last) = out.last_mut()
            && last.ends_with('=')
            && split_head(last)
                .is_some_and(|(head, _)| head.to_ascii_uppercase().contains("QUOTED-PRINTABLE"))
        {
            last.pop();
            goes_on = true;
        }
    }
    out
}

/// Name and parameters before the first colon outside quotes, and what follows.
fn split_head(line: &str) -> Option<(&str, &str)> {
    let mut quoted = false;
    let at = line.bytes().position(|b| {
        quoted ^= b == b'"';
        b == b':' && !quoted
    })?;
    Some((line.get(..at)?, line.get(at + 1..)?))
}

/// Parts between semicolons, each escaped anew; `\\;` is a semicolon of a part.
fn structured(value: &str) -> String {
    let kept = value.replace("\\;", "\u{1}");
    let part = |part: &str| part.split('\u{1}').map(escape).collect::<Vec<_>>().join("\\;");
    kept.split(';').map(part).collect::<Vec<_>>().join(";")
}

/// RFC 2045 6.7, in the character set that the line names.
fn unquote(value: &str, charset: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes().iter().copied().peekable();
    while let Some(byte) = rest.next() {
        let digit = |b: Option<&u8>| b.and_then(|b| char::from(*b).to_digit(16));
        if byte != b'=' {
            bytes.push(byte);
            continue;
        }
        let Some(high) = digit(rest.peek()) else { continue };
        rest.next();
        let Some(low) = digit(rest.peek()) else { continue };
        rest.next();
        bytes.extend(u8::try_from(high * 16 + low));
    }
    let text = match charset {
        "UTF-8" | "" => String::from_utf8(bytes).unwrap_or_else(|e| text::decode(e.as_bytes()).text),
        _ => text::decode(&bytes).text,
    };
    text.replace("\r\n", "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: [u8; 16] = [7; 16];

    fn cards(text: &str) -> Vec<Draft> {
        read(text, &SEED)
    }

    fn shown(text: &str) -> String {
        cards(text).remove(0).card.unwrap().render()
    }

    #[test]
    fn one_bad_card_spoils_no_other() {
        let text = "\u{0}BEGIN:VCARD\r\nhello\r\nBEGIN:VCARD\nVERSION:3.0\nUID:a\nFN:A\nEND:VCARD\nBEGIN:VCARD\nVERSION:4.0\nFN:B\nbroken\nEND:VCARD\n\nBEGIN:VCARD\nVERSION:4.0\nN:Lee;Ann;;;\nEND:VCARD\nBEGIN:VCARD\nFN:cut";
        let all = cards(text);
        let codes: Vec<_> = all.iter().map(|d| (d.line, d.card.as_ref().err().map(|f| f.code))).collect();
        assert_eq!(
            codes,
            [
                (1, Some("not_a_card")),
                (3, None),
                (8, Some("invalid_card")),
                (14, None),
                (18, Some("unfinished"))
            ]
        );
        let made = all[3].card.as_ref().unwrap();
        assert_eq!(made.first("FN").unwrap().value, "Lee Ann");
        assert_eq!(made.uid(), cards(text)[3].card.as_ref().unwrap().uid(), "the same whenever it is read");
    }

    #[test]
    fn an_old_card_is_turned_into_a_new_one() {
        let text = "BEGIN:VCARD\r\nVERSION:2.1\r\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:M=C3=BCller;J=C3=B6rg=\r\n;;;\r\nFN;ENCODING=QUOTED-PRINTABLE;CHARSET=ISO-8859-1:J=F6rg M=FCller\r\nTEL;CELL;PREF:+1 202-555-0123\r\nADR;HOME:;;1 Main St, Apt 2;Town\\; North;;;\r\nNOTE;ENCODING=QUOTED-PRINTABLE:two=0D=0Alines, yes\r\nPHOTO;JPEG;ENCODING=BASE64:\r\n AAAA\r\n BBBB\r\n\r\nEND:VCARD\r\n";
        let out = shown(text).replace("\r\n ", "");
        for line in [
            "VERSION:3.0\r\n",
            "N:Müller;Jörg;;;\r\n",
            "FN:Jörg Müller\r\n",
            "TEL;TYPE=CELL;TYPE=PREF:+1 202-555-0123\r\n",
            "ADR;TYPE=HOME:;;1 Main St\\, Apt 2;Town\\; North;;;\r\n",
            "NOTE:two\\nlines\\, yes\r\n",
            "PHOTO;TYPE=JPEG;ENCODING=b:AAAABBBB\r\n",
        ] {
            assert!(out.contains(line), "{line}: {out}");
        }
    }

    #[test]
    fn what_is_a_card_already_stays_as_it_is() {
        let text =
            "BEGIN:VCARD\r\nVERSION:4.0\r\nUID:x\r\nFN:A\r\nX-OWN;P=q:v\r\nitem1.TEL:1\r\nEND:VCARD\r\n";
        assert_eq!(shown(text), text);
        assert!(cards("").is_empty() && cards("\r\n\r\n").is_empty());
    }

    proptest::proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "(BEGIN:VCARD\n|END:VCARD\n|VERSION:2.1\n|N;ENCODING=QUOTED-PRINTABLE:=\n|[ -~]{0,20}\n|=[0-9A-F]?|\\PC){0,12}") {
            cards(&text);
        }
    }
}
