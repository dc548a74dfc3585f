//! Whether a vCard matches the filter of addressbook-query (RFC 6352 10.5).

use std::cell::OnceCell;

use super::vcard::{Card, Line};
use crate::dav::filter::{
    Collation, Filter, ParameterCondition, ParameterFilter, PropertyCondition, PropertyFilter, TextMatch,
};

/// Properties whose value is a list: an item counts as much as the whole.
const LISTS: [&str; 2] = ["CATEGORIES", "NICKNAME"];

/// Characters that conditions may look at in one query: a thousand times what an honest one does, and some seconds.
pub const WORK_MAX: u64 = 2 * 1024 * 1024 * 1024;
/// What it takes to fold a character, against what it takes to look at it.
const FOLDING: u64 = 16;
/// What it takes to look at a value that has no characters at all.
const GLANCE: u64 = 64;

/// What is left of the work that a query may make; once it is used up nothing matches any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work(u64);

impl Work {
    /// For one query.
    pub fn new() -> Work {
        Work(WORK_MAX)
    }

    /// Whether it is used up.
    pub fn is_spent(self) -> bool {
        self.0 == 0
    }

    /// How much was done since it was `before`.
    pub fn since(self, before: Work) -> u64 {
        before.0.saturating_sub(self.0)
    }

    fn spend(&mut self, characters: u64) {
        self.0 = self.0.saturating_sub(characters);
    }
}

impl Default for Work {
    fn default() -> Self {
        Work::new()
    }
}

/// Whether the card matches.
pub fn matches(card: &Card, filter: &Filter, work: &mut Work) -> bool {
    let lines: Vec<Folding<'_>> = card.lines.iter().map(Folding::of).collect();
    filter.test.combine(filter.properties.iter().map(|p| property_matches(&lines, p, work)))
}

/// A line whose texts are folded once for each collation, however many conditions look at them.
struct Folding<'a> {
    line: &'a Line,
    values: [OnceCell<Vec<String>>; COLLATIONS],
    parameters: [OnceCell<Vec<(&'a str, String)>>; COLLATIONS],
}

const COLLATIONS: usize = Collation::ALL.len();

impl<'a> Folding<'a> {
    fn of(line: &'a Line) -> Self {
        Folding { line, values: Default::default(), parameters: Default::default() }
    }

    fn values(&self, collation: Collation, work: &mut Work) -> &[String] {
        let Some(cell) = self.values.get(collation as usize) else { return &[] };
        cell.get_or_init(|| {
            let values = values_of(self.line);
            work.spend(values.iter().map(|v| GLANCE + v.len() as u64 * FOLDING).sum());
            values.iter().map(|value| collation.fold(value)).collect()
        })
    }

    fn parameters(&self, collation: Collation, work: &mut Work) -> &[(&'a str, String)] {
        let Some(cell) = self.parameters.get(collation as usize) else { return &[] };
        cell.get_or_init(|| {
            let all = self.line.parameters.iter();
            let all = all.flat_map(|p| p.values.iter().map(|value| (p.name.as_str(), value)));
            all.map(|(name, value)| {
                work.spend(GLANCE + value.len() as u64 * FOLDING);
                (name, collation.fold(value))
            })
            .collect()
        })
    }
}

fn property_matches(card: &[Folding<'_>], filter: &PropertyFilter, work: &mut Work) -> bool {
    work.spend(card.len() as u64);
    let lines: Vec<&Folding<'_>> = card.iter().filter(|l| is_named(l.line, &filter.name)).collect();
    match &filter.condition {
        PropertyCondition::NotDefined => lines.is_empty(),
        PropertyCondition::Defined { test, texts, parameters } => {
            // The marks must be found on one and the same property; what a negated text forbids is forbidden on all.
            let forbidden: Vec<bool> =
                texts.iter().map(|t| !t.is_negated() || text_matches(t, &lines, work)).collect();
            lines.iter().any(|line| {
                work.spend(GLANCE);
                if work.is_spent() {
                    return false;
                }
                let by_text = texts.iter().zip(&forbidden).map(|(text, allowed)| match text.is_negated() {
                    true => *allowed,
                    false => text_matches(text, std::slice::from_ref(line), work),
                });
                let mut outcomes: Vec<bool> = by_text.collect();
                outcomes.extend(parameters.iter().map(|p| parameter_matches(line, p, work)));
                test.combine(outcomes.into_iter())
            })
        }
    }
}

/// A name without a group means any; with a group only that one (10.5.1).
fn is_named(line: &Line, wanted: &str) -> bool {
    match wanted.split_once('.') {
        None => line.name == wanted,
        Some((group, name)) => {
            line.name == name && line.group.as_deref().is_some_and(|g| g.eq_ignore_ascii_case(group))
        }
    }
}

fn values_of(line: &Line) -> Vec<String> {
    let mut values = vec![line.text_value()];
    if LISTS.contains(&line.name.as_str()) {
        values.extend(line.components(',').into_iter().map(super::vcard::unescape));
    }
    values
}

fn text_matches(text: &TextMatch, lines: &[&Folding<'_>], work: &mut Work) -> bool {
    work.spend(GLANCE * lines.len() as u64);
    if work.is_spent() {
        return false;
    }
    let values: Vec<&String> = lines.iter().flat_map(|l| l.values(text.collation(), work)).collect();
    work.spend(values.iter().map(|value| GLANCE + value.len() as u64).sum());
    text.holds(values.into_iter().map(String::as_str))
}

fn parameter_matches(line: &Folding<'_>, filter: &ParameterFilter, work: &mut Work) -> bool {
    work.spend(GLANCE);
    if work.is_spent() {
        return false;
    }
    let is_there = line.line.parameters.iter().any(|p| p.name == filter.name && !p.values.is_empty());
    match &filter.condition {
        ParameterCondition::NotDefined => !is_there,
        ParameterCondition::Defined => is_there,
        ParameterCondition::Matches(text) => {
            let all = line.parameters(text.collation(), work);
            let values: Vec<&str> = all
                .iter()
                .filter(|(name, _)| *name == filter.name)
                .map(|(_, value)| value.as_str())
                .collect();
            work.spend(values.iter().map(|value| GLANCE + value.len() as u64).sum());
            is_there && text.holds(values.into_iter())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dav::xml;

    const CARD: &str = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:u1\r\nFN:Åsa Öberg\r\nN:Öberg;Åsa;;;\r\nitem1.EMAIL;TYPE=INTERNET:asa@example.org\r\n\
        TEL;TYPE=HOME,VOICE:+12025550101\r\nTEL;TYPE=CELL:+12025550199\r\nCATEGORIES:Friends,Work\\, old\r\nNOTE:one\\, two\r\nEND:VCARD\r\n";

    fn found(test: &str, inner: &str) -> bool {
        let body =
            format!("<C:filter xmlns:C='urn:ietf:params:xml:ns:carddav' test='{test}'>{inner}</C:filter>");
        let filter = Filter::parse(&xml::parse(body.as_bytes()).unwrap()).unwrap();
        matches(&Card::parse(CARD.as_bytes()).unwrap(), &filter, &mut Work::new())
    }

    fn text(name: &str, attributes: &str, value: &str) -> String {
        format!(
            "<C:prop-filter name='{name}'><C:text-match {attributes}>{value}</C:text-match></C:prop-filter>"
        )
    }

    #[test]
    fn properties_and_texts() {
        for (inner, want) in [
            (String::new(), true),
            ("<C:prop-filter name='EMAIL'/>".into(), true),
            ("<C:prop-filter name='item1.email'/>".into(), true),
            ("<C:prop-filter name='item2.EMAIL'/>".into(), false),
            ("<C:prop-filter name='URL'/>".into(), false),
            ("<C:prop-filter name='URL'><C:is-not-defined/></C:prop-filter>".into(), true),
            ("<C:prop-filter name='TEL'><C:is-not-defined/></C:prop-filter>".into(), false),
            (text("FN", "", "ÅSA"), true),
            (text("FN", "collation='i;ascii-casemap'", "åsa"), false),
            (text("FN", "collation='i;octet'", "Åsa"), true),
            (text("FN", "match-type='equals'", "åsa öberg"), true),
            (text("FN", "match-type='starts-with'", "öberg"), false),
            (text("FN", "match-type='ends-with'", "ÖBERG"), true),
            (text("NOTE", "match-type='equals'", "one, two"), true),
            (text("CATEGORIES", "match-type='equals'", "work, old"), true),
            (text("TEL", "negate-condition='yes'", "0101"), false),
            (text("TEL", "negate-condition='yes'", "0177"), true),
            (text("URL", "negate-condition='yes'", "x"), false),
        ] {
            assert_eq!(found("anyof", &inner), want, "{inner}");
        }
    }

    #[test]
    fn parameters_belong_to_the_same_property() {
        let both = |kind: &str, number: &str, test: &str| {
            format!(
                "<C:prop-filter name='TEL' test='{test}'><C:text-match>{number}</C:text-match><C:param-filter name='type'><C:text-match match-type='equals'>{kind}</C:text-match></C:param-filter></C:prop-filter>"
            )
        };
        assert!(found("anyof", &both("home", "0101", "allof")));
        assert!(!found("anyof", &both("cell", "0101", "allof")));
        assert!(found("anyof", &both("cell", "0101", "anyof")));
        assert!(found(
            "anyof",
            "<C:prop-filter name='EMAIL'><C:param-filter name='X-Q'><C:is-not-defined/></C:param-filter></C:prop-filter>"
        ));
        assert!(!found("anyof", "<C:prop-filter name='EMAIL'><C:param-filter name='X-Q'/></C:prop-filter>"));
    }

    #[test]
    fn one_or_all() {
        let two = text("FN", "", "åsa") + &text("FN", "", "nobody");
        assert!(found("anyof", &two));
        assert!(!found("allof", &two));
    }

    #[test]
    fn lines_without_a_character_cost_too() {
        let card = CARD.replace("NOTE:one\\, two", &["X-A:"; 19_000].join("\r\n"));
        let card = Card::parse(card.as_bytes()).unwrap();
        let texts = |n: usize| "<C:text-match>q</C:text-match>".repeat(n);
        let filter = |n: usize| {
            let body = format!(
                "<C:filter xmlns:C='urn:ietf:params:xml:ns:carddav'><C:prop-filter name='X-A'>{}</C:prop-filter></C:filter>",
                texts(n)
            );
            Filter::parse(&xml::parse(body.as_bytes()).unwrap())
        };
        let (filter, too_many) = (filter(199).unwrap(), filter(200));
        assert!(too_many.is_err(), "a text is a condition");
        let mut work = Work::new();
        assert!(!matches(&card, &filter, &mut work));
        assert!(work.since(Work::new()) > WORK_MAX / 6, "four million looks: {work:?}");
    }

    #[test]
    fn a_text_is_folded_once_and_what_is_looked_at_is_counted() {
        let long = "ö".repeat(500_000);
        let card = CARD.replace("NOTE:one\\, two", &format!("NOTE:{long}"));
        let card = Card::parse(card.as_bytes()).unwrap();
        let many: String = (0..95).map(|n| text("NOTE", "", &format!("x{n}"))).collect();
        let body = format!("<C:filter xmlns:C='urn:ietf:params:xml:ns:carddav'>{many}</C:filter>");
        let filter = Filter::parse(&xml::parse(body.as_bytes()).unwrap()).unwrap();
        let mut work = Work::new();
        assert!(!matches(&card, &filter, &mut work));
        let bytes = 1_000_000;
        // Once folded (to three bytes a letter) and looked at 95 times; folding it each time would be ten times as much.
        assert!(work.since(Work::new()) < bytes * FOLDING + 96 * bytes * 3 / 2, "{work:?}");
        let mut cards = 1;
        while !work.is_spent() {
            matches(&card, &filter, &mut work);
            cards += 1;
        }
        assert!((10..40).contains(&cards), "{cards}");
        let all = Filter::default();
        assert!(matches(&card, &all, &mut work), "what asks nothing costs nothing");
    }
}
