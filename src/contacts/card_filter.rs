//! Whether a vCard matches the filter of addressbook-query (RFC 6352 10.5).

use super::vcard::{Card, Line};
use crate::dav::filter::{
    Filter, ParameterCondition, ParameterFilter, PropertyCondition, PropertyFilter, TextMatch,
};

/// Properties whose value is a list: an item counts as much as the whole.
const LISTS: [&str; 2] = ["CATEGORIES", "NICKNAME"];

/// Whether the card matches.
pub fn matches(card: &Card, filter: &Filter) -> bool {
    filter.test.combine(filter.properties.iter().map(|p| property_matches(card, p)))
}

fn property_matches(card: &Card, filter: &PropertyFilter) -> bool {
    let lines: Vec<&Line> = card.lines.iter().filter(|l| is_named(l, &filter.name)).collect();
    match &filter.condition {
        PropertyCondition::NotDefined => lines.is_empty(),
        PropertyCondition::Defined { test, texts, parameters } => {
            // The marks must be found on one and the same property; what a negated text forbids is forbidden on all.
            let values: Vec<Vec<String>> = lines.iter().map(|l| values_of(l)).collect();
            lines.iter().zip(&values).any(|(line, own)| {
                let by_text = texts.iter().map(|t| text_matches(t, own, &values));
                let by_parameter = parameters.iter().map(|p| parameter_matches(line, p));
                let outcomes: Vec<bool> = by_text.chain(by_parameter).collect();
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

fn text_matches(text: &TextMatch, own: &[String], all: &[Vec<String>]) -> bool {
    if text.is_negated() {
        text.holds(all.iter().flatten().map(String::as_str))
    } else {
        text.holds(own.iter().map(String::as_str))
    }
}

fn parameter_matches(line: &Line, filter: &ParameterFilter) -> bool {
    let mut values = line.parameter(&filter.name).peekable();
    match &filter.condition {
        ParameterCondition::NotDefined => values.peek().is_none(),
        ParameterCondition::Defined => values.peek().is_some(),
        ParameterCondition::Matches(text) => values.peek().is_some() && text.holds(values),
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
        matches(&Card::parse(CARD.as_bytes()).unwrap(), &filter)
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
}
