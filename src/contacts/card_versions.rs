//! A card that is stored in 4.0 and comes back in 3.0: what 3.0 cannot say was never shown to the program that wrote it,
//! and stays where the program has left the line that it belongs to.
//!
//! The rule that holds whatever comes in: read in 3.0, the merged card says exactly what was sent. That is looked at
//! before it is given out; where it would not be so, what was sent is stored as it is.

use std::collections::HashMap;
use std::hash::Hash;

use super::card_convert::{
    ONLY_4, is_company, is_org, line_to_4, made_name, put_kind, put_sorting, shown_in_3, to_version,
};
use super::card_meaning::Meaning;
use super::vcard::{Card, Line, Parameter, Version, read_line};

/// The version of a stored text, or of the beginning of one; none when it cannot be seen at a glance.
pub fn version_seen(text: &[u8]) -> Option<Version> {
    let at = memchr::memmem::find(text, b"\nVERSION:")?;
    match text.get(at + b"\nVERSION:".len()) {
        Some(b'4') => Some(Version::V4),
        Some(b'3') => Some(Version::V3),
        _ => None,
    }
}

/// The version of a stored text, seen without reading all of it.
pub fn stored_version(body: &[u8]) -> Version {
    let read = || Card::parse(body).map_or(Version::V3, |card| card.version);
    version_seen(body).unwrap_or_else(read)
}

/// The text in the wanted version; as stored when it is that already.
pub fn in_version(body: &[u8], version: Version) -> Vec<u8> {
    if stored_version(body) == version {
        return body.to_vec();
    }
    match Card::parse(body) {
        Ok(card) => to_version(&card, version).render().into_bytes(),
        // It was valid when it was taken; should it not be any more, the client still gets what there is.
        Err(_) => body.to_vec(),
    }
}

/// What is to be stored when `sent`, in 3.0, takes the place of `stored`, in 4.0. `None` when that is what was sent:
/// in all other cases, and when 3.0 says everything that is stored.
pub fn merge(stored: &[u8], sent: &[u8]) -> Option<Vec<u8>> {
    let (stored, sent) = (Card::parse(stored).ok()?, Card::parse(sent).ok()?);
    if (stored.version, sent.version) != (Version::V4, Version::V3) || !loses_in_3(&stored) {
        return None;
    }
    let text = Card { version: Version::V4, lines: merged_lines(&stored, &sent) }.render();
    let merged = Card::parse(text.as_bytes()).ok()?;
    says_in_3(&merged, &sent).then(|| text.into_bytes())
}

/// The card as a 3.0 program has read it.
fn read_in_3(card: &Card) -> Option<Card> {
    Card::parse(to_version(card, Version::V3).render().as_bytes()).ok()
}

fn but_version(card: &Card) -> impl Iterator<Item = &Line> {
    card.lines.iter().filter(|line| line.name != "VERSION")
}

/// Whether a line of a 4.0 card says something else after 3.0 and back.
fn loses_in_3(card: &Card) -> bool {
    let Some(shown) = read_in_3(card) else { return false };
    let mut left: HashMap<Meaning, usize> = HashMap::new();
    for line in to_version(&shown, Version::V4).lines {
        *left.entry(Meaning::of(&line)).or_default() += 1;
    }
    but_version(card).any(|line| match left.get_mut(&Meaning::of(line)) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    })
}

/// Whether a 4.0 card, read in 3.0, says what was sent.
fn says_in_3(card: &Card, sent: &Card) -> bool {
    let has_name = sent.first("N").is_some();
    let meanings = |card: &Card| {
        let all = but_version(card).map(|line| Meaning::of(&line_to_4(line)));
        // What goes without saying, and the name that 3.0 demands.
        let said = all.filter(|m| !is_default_kind(&m.name, &m.value) && (has_name || m.name != "N"));
        let mut said: Vec<Meaning> = said.collect();
        said.sort_unstable();
        // Who says something twice says it.
        said.dedup();
        said
    };
    read_in_3(card).is_some_and(|shown| meanings(&shown) == meanings(sent))
}

fn is_default_kind(name: &str, value: &str) -> bool {
    name == "KIND" && value.trim().eq_ignore_ascii_case("individual")
}

/// A line that is stored.
struct Stored<'a> {
    line: &'a Line,
    /// What of it was read in 3.0: itself first, then what came along with it.
    shown: Vec<Meaning>,
}

/// A line that was sent.
struct Sent<'a> {
    line: &'a Line,
    four: Line,
    meaning: Meaning,
}

/// How a sent line is known to be a stored one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// It says the same.
    Same,
    /// It says the same in another group.
    Regrouped,
    /// Its value is the same, its parameters are not.
    Retyped,
    /// It is the same property with another value.
    Changed,
}

/// What a sent line is.
#[derive(Debug, Clone, Copy)]
enum Part {
    New,
    /// That stored line.
    Of(usize, Known),
    /// What 3.0 had beside a stored line.
    Companion,
}

/// By what lines are compared: group, name, value, parameters; empty what makes no difference.
type Key<'m> = (&'m str, &'m str, &'m str, &'m [(String, String)]);

fn in_any_group(m: &Meaning) -> Key<'_> {
    ("", &m.name, &m.value, &m.parameters)
}

/// Pairs what has the same key, in order.
fn pairs<K: Hash + Eq>(
    stored: impl Iterator<Item = (usize, K)>,
    sent: impl Iterator<Item = (usize, K)>,
    are_alone: bool,
) -> Vec<(usize, usize)> {
    let mut by_key: HashMap<K, (Vec<usize>, Vec<usize>)> = HashMap::new();
    for (at, key) in stored {
        by_key.entry(key).or_default().0.push(at);
    }
    for (at, key) in sent {
        if let Some((_, found)) = by_key.get_mut(&key) {
            found.push(at);
        }
    }
    let good = by_key.into_values().filter(|(a, b)| !are_alone || (a.len(), b.len()) == (1, 1));
    good.flat_map(|(a, b)| a.into_iter().zip(b)).collect()
}

struct Match<'m> {
    stored: &'m [Stored<'m>],
    sent: &'m [Sent<'m>],
    /// Of each stored line: how and as which sent one it was found again.
    found: Vec<Option<(Known, usize)>>,
    /// Of each stored line: whether what came along with it was sent, too.
    is_whole: Vec<bool>,
    parts: Vec<Part>,
}

impl<'m> Match<'m> {
    fn new(stored: &'m [Stored<'m>], sent: &'m [Sent<'m>]) -> Self {
        let (found, is_whole) = (vec![None; stored.len()], vec![false; stored.len()]);
        let mut all = Match { stored, sent, found, is_whole, parts: vec![Part::New; sent.len()] };
        all.find(Known::Same, false, |m| Some((&m.group, &m.name, &m.value, &m.parameters)));
        // Phones number their groups anew.
        all.find(Known::Regrouped, false, |m| Some(in_any_group(m)));
        all.find_companions();
        all.find(Known::Retyped, true, |m| Some(("", &m.name, &m.value, &[])));
        all.find_companions();
        let counts = all.counts();
        all.find(Known::Changed, true, |m| (!m.group.is_empty()).then_some((&m.group, &m.name, "", &[])));
        all.find(Known::Changed, true, |m| Some(("", &m.name, "", &m.parameters)));
        all.find(Known::Changed, true, |m| {
            (counts.get(m.name.as_str()) == Some(&(1, 1))).then_some(("", &m.name, "", &[]))
        });
        all
    }

    /// How many lines each property had when it was read, and has now.
    fn counts(&self) -> HashMap<&'m str, (usize, usize)> {
        let mut counts: HashMap<&str, (usize, usize)> = HashMap::new();
        for shown in self.stored.iter().filter_map(|s| s.shown.first()) {
            counts.entry(&shown.name).or_default().0 += 1;
        }
        for sent in self.sent {
            counts.entry(&sent.meaning.name).or_default().1 += 1;
        }
        counts
    }

    /// The sent lines that are not accounted for.
    fn free(&self) -> impl Iterator<Item = (usize, &'m Sent<'m>)> {
        let all = self.sent.iter().zip(&self.parts).enumerate();
        all.filter(|(_, (_, part))| matches!(part, Part::New)).map(|(at, (sent, _))| (at, sent))
    }

    fn find(&mut self, known: Known, are_alone: bool, key: impl Fn(&'m Meaning) -> Option<Key<'m>>) {
        // Apple's word for a company is another property than ours, and says nothing else.
        let is_candidate =
            |s: &Stored<'_>| matches!(known, Known::Same | Known::Regrouped) || !is_org(s.line);
        let open = self.stored.iter().zip(&self.found).enumerate();
        let open = open.filter(|(_, (s, found))| found.is_none() && is_candidate(s));
        let stored = open.filter_map(|(at, (s, _))| Some((at, key(s.shown.first()?)?)));
        let sent = self.free().filter_map(|(at, s)| Some((at, key(&s.meaning)?)));
        for (stored, sent) in pairs(stored, sent, are_alone) {
            if let (Some(found), Some(part)) = (self.found.get_mut(stored), self.parts.get_mut(sent)) {
                *found = Some((known, sent));
                *part = Part::Of(stored, known);
            }
        }
    }

    fn find_companions(&mut self) {
        let stored = self.stored.iter().zip(&self.found).zip(&self.is_whole).enumerate();
        let stored = stored.filter(|(_, (_, is_whole))| !**is_whole);
        let stored = stored.filter_map(|(at, ((s, found), _))| {
            let (companion, (known, place)) = (s.shown.get(1)?, (*found)?);
            // A printed address has the types of its address.
            let of_types = known == Known::Retyped && companion.name == "X-LABEL";
            let own = &self.sent.get(place)?.meaning.parameters;
            let types = || own.iter().filter(|(name, _)| name == "TYPE").collect();
            let parameters = if of_types { types() } else { companion.parameters.iter().collect::<Vec<_>>() };
            Some((at, (companion.name.as_str(), companion.value.as_str(), parameters)))
        });
        let sent = self.free().filter(|(_, s)| s.meaning.group.is_empty()).map(|(at, s)| {
            let m = &s.meaning;
            (at, (m.name.as_str(), m.value.as_str(), m.parameters.iter().collect::<Vec<_>>()))
        });
        for (stored, sent) in pairs(stored, sent, false) {
            if let (Some(is_whole), Some(part)) = (self.is_whole.get_mut(stored), self.parts.get_mut(sent)) {
                (*is_whole, *part) = (true, Part::Companion);
            }
        }
    }
}

fn merged_lines(stored: &Card, sent: &Card) -> Vec<Line> {
    let reread = |line: Line| read_line(line.render(Version::V3)).unwrap_or(line);
    let before: Vec<Stored<'_>> = but_version(stored)
        .map(|line| {
            let shown = shown_in_3(stored, line).into_iter().map(|l| Meaning::of(&line_to_4(&reread(l))));
            Stored { line, shown: shown.collect() }
        })
        .collect();
    let now: Vec<Sent<'_>> = but_version(sent)
        .map(|line| {
            let four = line_to_4(line);
            Sent { line, meaning: Meaning::of(&four), four }
        })
        .collect();
    let all = Match::new(&before, &now);
    let has_made = stored.first("N").is_none() && sent.named("N").count() == 1;
    let made = has_made.then(|| Meaning::of(&made_name(sent)));
    let mut lines: Vec<Line> = stored.named("VERSION").take(1).cloned().collect();
    for (new, part) in now.iter().zip(&all.parts) {
        match part {
            Part::Companion => {}
            Part::New if made.as_ref() == Some(&new.meaning) => {}
            Part::New => lines.push(new.four.clone()),
            Part::Of(at, known) => {
                let Some(old) = before.get(*at) else { continue };
                let is_whole = old.shown.len() < 2 || all.is_whole.get(*at) == Some(&true);
                lines.push(kept(old.line, new, *known, is_whole));
            }
        }
    }
    put_sorting(&mut lines);
    restore_kind(&mut lines, stored, sent);
    lines
}

/// What stays of a stored line when it was sent like this.
fn kept(old: &Line, new: &Sent<'_>, known: Known, is_whole: bool) -> Line {
    let mut line = match known {
        Known::Same => old.clone(),
        Known::Regrouped => Line { group: new.line.group.clone(), text: String::new(), ..old.clone() },
        Known::Retyped => Line {
            group: new.line.group.clone(),
            // The value is the stored one, and so is its type.
            parameters: parameters(old, &without_type(&new.four), |n| ONLY_4.contains(&n) || n == "VALUE"),
            text: String::new(),
            ..old.clone()
        },
        Known::Changed => Line {
            parameters: parameters(old, &new.four, |name| OF_THE_PROPERTY.contains(&name)),
            text: String::new(),
            ..new.four.clone()
        },
    };
    if !is_whole {
        line.parameters.retain(|p| !matches!(p.name.as_str(), "LABEL" | "SORT-AS"));
        line.text.clear();
    }
    line
}

fn without_type(line: &Line) -> Line {
    let parameters = line.parameters.iter().filter(|p| p.name != "VALUE").cloned().collect();
    Line { parameters, ..line.clone() }
}

/// Parameters that 3.0 cannot say and that speak of the property, whatever its value.
const OF_THE_PROPERTY: [&str; 6] = ["ALTID", "PID", "PREF", "LEVEL", "INDEX", "PROP-ID"];

/// The parameters of a sent line, and those of the stored one that it could not say.
fn parameters(old: &Line, new: &Line, stays: impl Fn(&str) -> bool) -> Vec<Parameter> {
    // The first preference is said in 3.0: where it is not, it was taken away.
    let was_first = old.has("PREF", "1");
    let could_say =
        |p: &Parameter| p.name == "PREF" && was_first || new.parameters.iter().any(|n| n.name == p.name);
    let own = old.parameters.iter().filter(|p| stays(&p.name) && !could_say(p));
    new.parameters.iter().chain(own).cloned().collect()
}

/// What the card stands for, when that is not said in 3.0, or in another word.
fn restore_kind(lines: &mut Vec<Line>, stored: &Card, sent: &Card) {
    let (was_company, is_company_now) = (is_company(&shown(stored)), is_company(&sent.lines));
    let kind = stored.first("KIND").filter(|_| !lines.iter().any(|l| l.name == "KIND"));
    if let Some(kind) = kind {
        let stays = match is_default_kind(&kind.name, &kind.value) {
            true => was_company || !is_company_now,
            false => is_company(lines),
        };
        if stays && shown_in_3(stored, kind).is_empty() {
            lines.insert(lines.len().min(1), kind.clone());
        }
    }
    if is_company_now && !was_company {
        put_kind(lines);
    }
}

fn shown(stored: &Card) -> Vec<Line> {
    but_version(stored).flat_map(|line| shown_in_3(stored, line)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::{Index, select, subsequence};

    use super::*;

    fn card(version: Version, inner: &str) -> String {
        let version = version.as_str();
        format!("BEGIN:VCARD\r\nVERSION:{version}\r\nUID:u\r\n{inner}\r\nEND:VCARD\r\n")
    }

    fn read(text: &str) -> Card {
        Card::parse(text.as_bytes()).unwrap_or_else(|e| panic!("{e}: {text}"))
    }

    /// What is stored when a program reads `four` in 3.0 and sends it back after these edits.
    fn after(four: &str, edits: &[(&str, &str)]) -> Option<String> {
        let stored = card(Version::V4, four);
        let mut sent = to_version(&read(&stored), Version::V3).render().replace("\r\n ", "");
        for (from, to) in edits {
            assert!(sent.contains(from), "{from} is not in {sent}");
            sent = sent.replace(from, to);
        }
        let merged = String::from_utf8(merge(stored.as_bytes(), sent.as_bytes())?).unwrap();
        let merged = merged.replace("\r\n ", "").replace("UID:u\r\n", "");
        let inner = merged.strip_prefix("BEGIN:VCARD\r\nVERSION:4.0\r\n").unwrap();
        Some(inner.strip_suffix("\r\nEND:VCARD\r\n").unwrap().to_owned())
    }

    #[test]
    fn what_three_can_say_is_stored_as_it_was_sent() {
        for four in [
            "FN:Ann\r\nN:Lee;Ann;;;",
            "FN:Ann\r\nTEL;VALUE=uri;TYPE=cell:tel:+1-202-555-0123\r\nBDAY:--0415\r\nREV:19951031T222710Z",
            "FN:Ann\r\nN;SORT-AS=Dyke:van Dyke;;;;\r\nEMAIL;TYPE=work;PREF=1:a@example.org\r\nKIND:org",
            "FN:Ann\r\nPHOTO:data:image/png;base64,AAAA\r\nGENDER:F\r\nANNIVERSARY:20090808\r\nitem1.X-ABLabel:x",
        ] {
            assert_eq!(after(four, &[("FN:Ann", "FN:Anna")]), None, "{four}");
        }
        let (three, four) = (card(Version::V3, "FN:A"), card(Version::V4, "FN:A\r\nTEL;PREF=2:+1"));
        for (stored, sent) in [(&three, &four), (&three, &three), (&four, &four)] {
            assert_eq!(merge(stored.as_bytes(), sent.as_bytes()), None);
        }
    }

    #[test]
    fn what_three_cannot_say_stays_with_its_line() {
        let four = "KIND:individual\r\nFN:Ann\r\nN;ALTID=1;SORT-AS=Lee,Ann:Lee;Ann;;;\r\n\
            TEL;VALUE=uri;PREF=2;PID=1.1:tel:+1-202-555-0101;ext=5\r\nTEL;TYPE=home:+1-202-555-0102\r\n\
            EMAIL;PREF=1;PID=2.1:a@example.org\r\nADR;TYPE=home;LABEL=\"1 Main St^nTown\";GEO=\"geo:1,2\":;;1 Main St;Town;;;\r\n\
            EXPERTISE;LEVEL=expert;INDEX=1:maps\r\nORG;SORT-AS=Ex:Example\r\nBDAY;CALSCALE=gregorian:19960415\r\n\
            PHOTO;MEDIATYPE=image/png:https://example.org/a\r\nCLIENTPIDMAP:1;urn:uuid:03a0e51f-d1aa-4385-8a53-e29025acd8af\r\nNOTE:old";
        assert_eq!(after(four, &[]).as_deref(), Some(four));
        let with = |from: &str, to: &str| Some(four.replace(from, to));
        assert_eq!(after(four, &[("NOTE:old", "NOTE:new")]), with("NOTE:old", "NOTE:new"));
        // Gone with its line, and what came along when that is taken away.
        let no_label = [("LABEL;TYPE=home:1 Main St\\nTown\r\n", "")];
        assert_eq!(after(four, &no_label), with("LABEL=\"1 Main St^nTown\";", ""));
        assert_eq!(after(four, &[("SORT-STRING:Lee\r\n", "")]), with(";SORT-AS=Lee,Ann", ""));
        assert_eq!(
            after(four, &[("EXPERTISE:maps\r\n", "")]),
            with("EXPERTISE;LEVEL=expert;INDEX=1:maps\r\n", "")
        );
        // Another value of the same property.
        let moved = after(four, &[("1 Main St;", "2 Main St;")]).unwrap();
        assert!(
            moved.contains("ADR;TYPE=home:;;2 Main St;Town;;;\r\nX-LABEL;TYPE=home:1 Main St\\nTown\r\n"),
            "{moved}"
        );
        let renamed = after(four, &[("N:Lee;Ann", "N:Kim;Ann"), ("STRING:Lee", "STRING:Kim")]).unwrap();
        assert!(renamed.contains("N;ALTID=1;SORT-AS=Kim:Kim;Ann;;;\r\n"), "{renamed}");
        let level = after(four, &[("EXPERTISE:maps", "EXPERTISE:roads")]).unwrap();
        assert!(level.contains("EXPERTISE;LEVEL=expert;INDEX=1:roads"), "{level}");
        let number = after(four, &[("555-0101;ext=5", "555-0199")]).unwrap();
        assert!(number.contains("TEL;PREF=2;PID=1.1:+1-202-555-0199"), "{number}");
        // Other types, and what is preferred now.
        let typed =
            after(four, &[("TEL:+1-202-555-0101", "item4.TEL;type=WORK;type=pref:+1-202-555-0101")]).unwrap();
        assert!(
            typed.contains("item4.TEL;TYPE=WORK;PREF=1;VALUE=uri;PID=1.1:tel:+1-202-555-0101;ext=5"),
            "{typed}"
        );
        let plain = after(four, &[("EMAIL;TYPE=PREF", "EMAIL")]).unwrap();
        assert!(plain.contains("EMAIL;PID=2.1:a@example.org"), "{plain}");
        let address =
            after(four, &[("ADR;TYPE=home", "ADR;TYPE=WORK"), ("LABEL;TYPE=home", "LABEL;TYPE=WORK")])
                .unwrap();
        assert!(
            address.contains("ADR;TYPE=WORK;LABEL=1 Main St^nTown;GEO=\"geo:1,2\":;;1 Main St"),
            "{address}"
        );
    }

    #[test]
    fn a_made_name_is_not_kept_and_a_written_one_is() {
        let four = "FN:Ann Lee\r\nTEL;PREF=2:+1-202-555-0101";
        assert_eq!(after(four, &[]).as_deref(), Some(four));
        assert_eq!(after(four, &[("Ann Lee", "Ann Kim")]), Some(four.replace("Lee", "Kim")));
        let written = after(four, &[("N:Ann Lee;;;;", "N:Lee;Ann;;;")]).unwrap();
        assert!(written.contains("\r\nN:Lee;Ann;;;"), "{written}");
    }

    #[test]
    fn a_company_is_one_as_long_as_either_says_so() {
        let rest = "FN:Example\r\nTEL;PREF=2:+1-202-555-0101";
        let company = format!("KIND:org\r\n{rest}");
        assert_eq!(after(&company, &[("Example", "Sample")]), Some(company.replace("Example", "Sample")));
        assert_eq!(after(&company, &[("X-ABSHOWAS:COMPANY\r\n", "")]).as_deref(), Some(rest));
        let both = format!("KIND:org\r\nX-ABShowAs:COMPANY\r\n{rest}");
        assert_eq!(after(&both, &[]), Some(both.clone()));
        assert_eq!(after(&both, &[("X-ABShowAs:COMPANY\r\n", "")]).as_deref(), Some(rest));
        let person = format!("KIND:individual\r\n{rest}");
        let now = after(&person, &[("END:", "X-ABShowAs:COMPANY\r\nEND:")]).unwrap();
        assert!(now.contains("KIND:org") && !now.contains("individual"), "{now}");
    }

    #[test]
    fn the_version_is_seen_at_a_glance() {
        let card = |v: &str| format!("BEGIN:VCARD\r\n{v}\r\nUID:1\r\nFN:A\r\nEND:VCARD\r\n").into_bytes();
        assert_eq!(stored_version(&card("VERSION:4.0")), Version::V4);
        assert_eq!(stored_version(&card("VERSION:3.0")), Version::V3);
        assert_eq!(stored_version(&card("version:4.0")), Version::V4);
        assert_eq!(version_seen(&card("version:4.0")), None);
    }

    const FOURS: [&str; 30] = [
        "KIND:individual",
        "KIND:org",
        "KIND:group",
        "N;ALTID=1;LANGUAGE=en;SORT-AS=\"Lee,Ann\":Lee;Ann;;;",
        "N;ALTID=1;LANGUAGE=ko:Yi;An;;;",
        "item1.TEL;VALUE=uri;PREF=2;PID=1.1;TYPE=\"voice,home\":tel:+1-202-555-0101;ext=5",
        "TEL;PREF=1;TYPE=cell:+1-202-555-0102",
        "item1.X-ABLabel:_$!<Home>!$_",
        "item2.EMAIL;PREF=3;ALTID=2:a@example.org",
        "EMAIL;ALTID=2;TYPE=work:b@example.org",
        "ADR;TYPE=home;LABEL=\"1 Main St^nTown, A\";GEO=\"geo:1,2\";CC=US:;;1 Main St;Town;;;",
        "ADR;TYPE=home;LABEL=\"1 Main St^nTown, A\";TZ=x:;;1 Main St;Town;;;US",
        "X-LABEL;TYPE=home:1 Main St\\nTown\\, A",
        "LANG;PREF=1:ko",
        "GENDER:O;it is complicated",
        "BDAY;CALSCALE=gregorian:--0415",
        "BDAY;VALUE=text:circa 1800",
        "ANNIVERSARY:20090808T1430",
        "GEO:geo:37.5,127.0;u=10",
        "PHOTO;MEDIATYPE=image/png:https://example.org/a",
        "PHOTO;TYPE=home;PREF=1:data:image/jpeg;base64,AAAA",
        "KEY;VALUE=text:abc",
        "RELATED;TYPE=friend;VALUE=text:Bob",
        "CLIENTPIDMAP:1;urn:uuid:03a0e51f-d1aa-4385-8a53-e29025acd8af",
        "CATEGORIES;PID=1:a,b\\,c",
        "ORG;SORT-AS=Ex:Example;North",
        "NOTE;LANGUAGE=en;ALTID=3:a very long note which has to be folded somewhere, for it is long\\, really",
        "EXPERTISE;LEVEL=expert;INDEX=1:maps",
        "X-OWN;X-P=\"a^'b\":v\\,w",
        "X-ABShowAs:COMPANY",
    ];

    const THREES: [&str; 26] = [
        "N:Lee;Ann;;;",
        "SORT-STRING:Lee",
        "SORT-STRING;LANGUAGE=en:Lee",
        "X-ABShowAs:COMPANY",
        "X-ADDRESSBOOKSERVER-KIND:group",
        "item1.TEL;type=CELL;type=VOICE;type=pref:+1 202-555-0101",
        "item1.X-ABLabel:_$!<Home>!$_",
        "TEL;TYPE=HOME,FAX;CHARSET=UTF-8:+1 202-555-0102",
        "EMAIL;type=INTERNET;type=pref:a@example.org",
        "BDAY;VALUE=date:1996-04-15",
        "BDAY;X-APPLE-OMIT-YEAR=1604:1604-04-15",
        "BDAY:1953-10-15T23:10:00Z",
        "PHOTO;ENCODING=b;TYPE=JPEG,pref:AAAA",
        "LOGO;ENCODING=B;TYPE=HOME;TYPE=PNG:AAAA",
        "KEY;ENCODING=b;TYPE=PGP:AAAA",
        "PHOTO;VALUE=uri:https://example.org/a.jpg",
        "GEO:37.5;127.0",
        "LABEL;TYPE=home:1 Main St\\nTown",
        "ADR;TYPE=home:;;1 Main St;Town;;;",
        "CLASS:PRIVATE",
        "MAILER:x",
        "AGENT:BEGIN:VCARD\\nFN:B\\nEND:VCARD",
        "SOURCE;CONTEXT=LDAP:ldap://example.org/x",
        "REV:1995-10-31T22:27:10Z",
        "X-GENDER:F",
        "X-ANNIVERSARY:2009-08-08",
    ];

    fn said(card: &Card) -> Vec<Meaning> {
        let mut all: Vec<Meaning> = but_version(card).map(Meaning::of).collect();
        all.sort_unstable();
        all
    }

    fn lines_of(all: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
        subsequence(all.to_vec(), 0..=all.len()).prop_shuffle().prop_map(|mut lines| {
            // A card is of one kind.
            let mut kinds = 0;
            lines.retain(|l| !l.starts_with("KIND") || std::mem::replace(&mut kinds, 1) == 0);
            lines
        })
    }

    fn with(version: Version, lines: &[&str]) -> String {
        card(version, &["FN:Ann"].iter().chain(lines).copied().collect::<Vec<_>>().join("\r\n"))
    }

    proptest! {
        #[test]
        fn who_changes_nothing_changes_nothing(lines in lines_of(&FOURS)) {
            let stored = with(Version::V4, &lines);
            let sent = read_in_3(&read(&stored)).unwrap();
            match merge(stored.as_bytes(), sent.render().as_bytes()) {
                Some(merged) => prop_assert_eq!(said(&Card::parse(&merged).unwrap()), said(&read(&stored))),
                None => {
                    let (back, was) = (said(&to_version(&sent, Version::V4)), said(&read(&stored)));
                    prop_assert!(was.iter().all(|m| back.contains(m)), "{}", stored);
                }
            }
        }

        #[test]
        fn three_says_after_four_what_it_said(lines in lines_of(&THREES)) {
            let stored = read(&with(Version::V3, &lines));
            let four = read(&to_version(&stored, Version::V4).render());
            prop_assert!(says_in_3(&four, &stored), "{}", four.render());
        }

        /// Whatever is done to a card in 3.0: that is what 3.0 reads then.
        #[test]
        fn three_reads_what_three_wrote(
            lines in lines_of(&FOURS),
            new in lines_of(&THREES),
            edits in proptest::collection::vec((any::<Index>(), 0..5, select(vec!["item1", "item9"])), 0..6),
        ) {
            let stored = with(Version::V4, &lines);
            let mut sent = read_in_3(&read(&stored)).unwrap();
            let start = 3;
            for (index, edit, group) in edits {
                let Some(count) = sent.lines.len().checked_sub(start).filter(|c| *c > 0) else { break };
                let at = start + index.index(count);
                let line = &mut sent.lines[at];
                line.text.clear();
                match edit {
                    0 => drop(sent.lines.remove(at)),
                    1 => line.value.push('x'),
                    2 => line.group = Some(group.to_owned()),
                    3 => *line = line.clone().with("TYPE", "work"),
                    _ => sent.lines.extend(new.first().map(|l| read_line((*l).to_owned()).unwrap())),
                }
            }
            let merged = Card { version: Version::V4, lines: merged_lines(&read(&stored), &sent) };
            let merged = read(&merged.render());
            prop_assert!(says_in_3(&merged, &sent), "{}\n{}\n{}", stored, sent.render(), merged.render());
        }
    }
}
