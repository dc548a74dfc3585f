//! The filter of addressbook-query as written (RFC 6352 10.5), and text matching by collation (8.3, RFC 4790, 5051).

use unicode_normalization::UnicodeNormalization;

use super::names::Name;
use super::xml::Element;
use super::{Fault, Precondition};

/// Conditions of one filter at most, all levels together.
const CONDITIONS_MAX: usize = 200;
/// Bytes of a text to look for at most.
const TEXT_MAX: usize = 1_024;

/// Whether one or all conditions must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Test {
    /// One is enough; what is meant when nothing is said.
    #[default]
    AnyOf,
    /// All.
    AllOf,
}

impl Test {
    /// Combines; no conditions at all hold.
    pub fn combine(self, mut outcomes: impl ExactSizeIterator<Item = bool>) -> bool {
        match self {
            Test::AnyOf => outcomes.len() == 0 || outcomes.any(|b| b),
            Test::AllOf => outcomes.all(|b| b),
        }
    }
}

/// A whole filter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// How the properties' conditions combine.
    pub test: Test,
    /// One for each property asked about; none match everything.
    pub properties: Vec<PropertyFilter>,
}

/// Conditions on one property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropertyFilter {
    /// Its name; with a group (`ITEM1.EMAIL`) only that group's.
    pub name: String,
    /// Which.
    pub condition: PropertyCondition,
}

/// What is asked of a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PropertyCondition {
    /// There is none.
    NotDefined,
    /// There is one with these marks.
    Defined {
        /// How the marks combine.
        test: Test,
        /// On its value.
        texts: Vec<TextMatch>,
        /// On its parameters.
        parameters: Vec<ParameterFilter>,
    },
}

/// Conditions on one parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterFilter {
    /// Its name.
    pub name: String,
    /// Which.
    pub condition: ParameterCondition,
}

/// What is asked of a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParameterCondition {
    /// It is not there.
    NotDefined,
    /// It is there.
    Defined,
    /// It is there and one of its values matches.
    Matches(TextMatch),
}

/// How letters compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collation {
    /// Byte by byte.
    Octet,
    /// Case of ASCII letters does not count.
    AsciiCasemap,
    /// Case of no letter counts, and composed letters equal decomposed ones.
    UnicodeCasemap,
}

impl Collation {
    /// All of them, by their registered names.
    pub const ALL: [(&'static str, Collation); 3] = [
        ("i;ascii-casemap", Collation::AsciiCasemap),
        ("i;octet", Collation::Octet),
        ("i;unicode-casemap", Collation::UnicodeCasemap),
    ];

    /// The text as it compares: two texts are equal when these are, byte by byte.
    pub fn fold(self, text: &str) -> String {
        match self {
            Collation::Octet => text.to_owned(),
            Collation::AsciiCasemap => text.to_ascii_uppercase(),
            Collation::UnicodeCasemap if text.is_ascii() => text.to_ascii_uppercase(),
            Collation::UnicodeCasemap => text.nfkd().map(upper).collect(),
        }
    }
}

/// The simple mapping only: RFC 5051 maps one character to one.
fn upper(c: char) -> char {
    let mut mapped = c.to_uppercase();
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

/// Where the text must stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatchKind {
    /// It is the whole value.
    Equals,
    /// Anywhere.
    Contains,
    /// At the beginning.
    StartsWith,
    /// At the end.
    EndsWith,
}

/// One comparison of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextMatch {
    folded: String,
    collation: Collation,
    kind: MatchKind,
    negated: bool,
}

impl TextMatch {
    /// A comparison with `text`.
    pub fn new(text: &str, collation: Collation, kind: MatchKind, negated: bool) -> Self {
        TextMatch { folded: collation.fold(text), collation, kind, negated }
    }

    /// Whether the text must not be found.
    pub fn is_negated(&self) -> bool {
        self.negated
    }

    /// How it compares.
    pub fn collation(&self) -> Collation {
        self.collation
    }

    /// Whether one of the values matches, which its collation has folded; negated: whether none does.
    pub fn holds<'a>(&self, mut folded: impl Iterator<Item = &'a str>) -> bool {
        folded.any(|value| self.finds(value)) != self.negated
    }

    fn finds(&self, folded: &str) -> bool {
        match self.kind {
            MatchKind::Equals => folded == self.folded,
            MatchKind::Contains => folded.contains(&self.folded),
            MatchKind::StartsWith => folded.starts_with(&self.folded),
            MatchKind::EndsWith => folded.ends_with(&self.folded),
        }
    }

    fn parse(element: &Element) -> Result<Self, Fault> {
        let collation = match element.attribute("collation") {
            None | Some("default") => Collation::UnicodeCasemap,
            Some(name) => {
                let known = Collation::ALL.into_iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
                known.map(|(_, c)| c).ok_or(Fault::violated(
                    403,
                    Precondition::Named(Name::carddav("supported-collation")),
                    "That collation is not known here.",
                ))?
            }
        };
        let kind = match element.attribute("match-type") {
            None | Some("contains") => MatchKind::Contains,
            Some("equals") => MatchKind::Equals,
            Some("starts-with") => MatchKind::StartsWith,
            Some("ends-with") => MatchKind::EndsWith,
            Some(_) => return Err(bad_filter("The filter has an unknown match-type.")),
        };
        let negated = match element.attribute("negate-condition") {
            None | Some("no") => false,
            Some("yes") => true,
            Some(_) => return Err(bad_filter("negate-condition must be yes or no.")),
        };
        let text = element.text();
        if text.len() > TEXT_MAX {
            return Err(bad_filter("The filter looks for too long a text."));
        }
        Ok(TextMatch::new(&text, collation, kind, negated))
    }
}

const fn bad_filter(detail: &'static str) -> Fault {
    Fault::violated(403, Precondition::Named(Name::carddav("supported-filter")), detail)
}

impl Filter {
    /// Reads `CARDDAV:filter`.
    pub fn parse(element: &Element) -> Result<Filter, Fault> {
        let mut count = 0;
        let mut filter = Filter { test: test_of(element)?, properties: Vec::new() };
        for child in element.elements() {
            if !child.is_carddav("prop-filter") {
                return Err(bad_filter("The filter has an unknown part."));
            }
            filter.properties.push(property_filter(child, &mut count)?);
        }
        Ok(filter)
    }
}

fn property_filter(element: &Element, count: &mut usize) -> Result<PropertyFilter, Fault> {
    let name = name_of(element, count)?;
    let mut texts = Vec::new();
    let mut parameters = Vec::new();
    let mut not_defined = false;
    for child in element.elements() {
        if child.is_carddav("is-not-defined") {
            not_defined = true;
        } else if child.is_carddav("text-match") {
            one_more(count)?;
            texts.push(TextMatch::parse(child)?);
        } else if child.is_carddav("param-filter") {
            parameters.push(parameter_filter(child, count)?);
        } else {
            return Err(bad_filter("The filter has an unknown part."));
        }
    }
    let condition = match (not_defined, texts.is_empty() && parameters.is_empty()) {
        (true, true) => PropertyCondition::NotDefined,
        (true, false) => return Err(bad_filter("is-not-defined must stand alone.")),
        (false, _) => PropertyCondition::Defined { test: test_of(element)?, texts, parameters },
    };
    Ok(PropertyFilter { name, condition })
}

fn parameter_filter(element: &Element, count: &mut usize) -> Result<ParameterFilter, Fault> {
    let name = name_of(element, count)?;
    let mut condition = ParameterCondition::Defined;
    for child in element.elements() {
        if condition != ParameterCondition::Defined {
            return Err(bad_filter("A param-filter has one condition at most."));
        }
        condition = if child.is_carddav("is-not-defined") {
            ParameterCondition::NotDefined
        } else if child.is_carddav("text-match") {
            one_more(count)?;
            ParameterCondition::Matches(TextMatch::parse(child)?)
        } else {
            return Err(bad_filter("The filter has an unknown part."));
        };
    }
    Ok(ParameterFilter { name, condition })
}

fn one_more(count: &mut usize) -> Result<(), Fault> {
    *count += 1;
    if *count > CONDITIONS_MAX { Err(bad_filter("The filter has too many parts.")) } else { Ok(()) }
}

fn name_of(element: &Element, count: &mut usize) -> Result<String, Fault> {
    one_more(count)?;
    match element.attribute("name") {
        Some(name) if !name.is_empty() => Ok(name.to_ascii_uppercase()),
        _ => Err(Fault::malformed("A part of the filter has no name.")),
    }
}

fn test_of(element: &Element) -> Result<Test, Fault> {
    match element.attribute("test") {
        None | Some("anyof") => Ok(Test::AnyOf),
        Some("allof") => Ok(Test::AllOf),
        Some(_) => Err(bad_filter("test must be anyof or allof.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collations_fold_as_registered() {
        for (collation, needle, value, found) in [
            (Collation::UnicodeCasemap, "ångström", "ÅNGSTRÖM", true),
            (Collation::UnicodeCasemap, "A\u{30a}", "å", true),
            (Collation::UnicodeCasemap, "ΣΟΣ", "σος", true),
            (Collation::AsciiCasemap, "ABC", "xabcx", true),
            (Collation::AsciiCasemap, "Å", "å", false),
            (Collation::Octet, "a", "A", false),
            (Collation::Octet, "é", "é", true),
        ] {
            let m = TextMatch::new(needle, collation, MatchKind::Contains, false);
            assert_eq!(
                m.holds([collation.fold(value).as_str()].into_iter()),
                found,
                "{collation:?} {needle} {value}"
            );
        }
    }

    #[test]
    fn kinds_and_negation() {
        let m = |kind, negated| TextMatch::new("ab", Collation::Octet, kind, negated);
        assert!(m(MatchKind::Equals, false).holds(["ab"].into_iter()));
        assert!(!m(MatchKind::Equals, false).holds(["abc"].into_iter()));
        assert!(m(MatchKind::StartsWith, false).holds(["abc"].into_iter()));
        assert!(m(MatchKind::EndsWith, false).holds(["cab"].into_iter()));
        assert!(m(MatchKind::Contains, true).holds(["x"].into_iter()));
        assert!(!m(MatchKind::Contains, true).holds(["x", "ab"].into_iter()));
    }

    fn filter(inner: &str) -> Result<Filter, Fault> {
        let body =
            format!("<C:filter xmlns:C='urn:ietf:params:xml:ns:carddav' test='allof'>{inner}</C:filter>");
        Filter::parse(&super::super::xml::parse(body.as_bytes()).unwrap())
    }

    #[test]
    fn reads_all_parts() {
        let f = filter(
            "<C:prop-filter name='tel'><C:param-filter name='type'><C:text-match match-type='equals'>home</C:text-match>\
             </C:param-filter></C:prop-filter><C:prop-filter name='NOTE'><C:is-not-defined/></C:prop-filter>",
        )
        .unwrap();
        assert_eq!(f.test, Test::AllOf);
        assert_eq!(f.properties.len(), 2);
        assert_eq!(f.properties.first().unwrap().name, "TEL");
        assert_eq!(f.properties.get(1).unwrap().condition, PropertyCondition::NotDefined);
    }

    #[test]
    fn refuses_what_it_does_not_know_by_name() {
        let collation = filter(
            "<C:prop-filter name='FN'><C:text-match collation='i;martian'>x</C:text-match></C:prop-filter>",
        );
        assert_eq!(
            collation.unwrap_err().precondition,
            Some(Precondition::Named(Name::carddav("supported-collation")))
        );
        for bad in ["<C:comp-filter name='X'/>", "<C:prop-filter name='FN' test='maybe'/>"] {
            assert_eq!(
                filter(bad).unwrap_err().precondition,
                Some(Precondition::Named(Name::carddav("supported-filter"))),
                "{bad}"
            );
        }
        assert_eq!(filter("<C:prop-filter/>").unwrap_err().status, 400);
        assert!(filter(&"<C:prop-filter name='FN'/>".repeat(CONDITIONS_MAX + 1)).is_err());
    }
}
