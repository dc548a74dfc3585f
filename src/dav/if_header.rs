//! The header `If` (RFC 4918 10.4): what must be true of this and other resources. Its tokens are sync tokens here (RFC
//! 6578 5), since nothing can be locked.

use super::Fault;

/// Lists and conditions of one header at most.
const CONDITIONS_MAX: usize = 100;
const BAD: Fault = Fault::malformed("The If header cannot be read.");

/// One list: it holds when all its conditions do. The header holds when one of its lists does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IfList {
    /// The resource that it speaks of; none for the one of the request.
    pub resource: Option<String>,
    /// What must be true.
    pub conditions: Vec<IfCondition>,
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IfCondition {
    /// Whether the opposite must be true.
    pub negated: bool,
    /// What the resource must have.
    pub state: IfState,
}

/// A state of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfState {
    /// A state token.
    Token(String),
    /// An entity tag, with its quotes.
    Etag(String),
}

/// Reads the header.
///
/// # Errors
/// When it is not as RFC 4918 10.4.2 has it, or far too long.
pub fn parse(text: &str) -> Result<Vec<IfList>, Fault> {
    let mut rest = text.trim();
    let (mut lists, mut resource, mut count) = (Vec::new(), None, 0);
    while !rest.is_empty() {
        if let Some(tagged) = rest.strip_prefix('<') {
            let (uri, after) = tagged.split_once('>').ok_or(BAD)?;
            resource = Some(uri.to_owned());
            rest = after.trim_start();
        }
        let mut inner = rest.strip_prefix('(').ok_or(BAD)?.trim_start();
        let mut conditions = Vec::new();
        while !inner.starts_with(')') {
            let (condition, after) = condition(inner)?;
            conditions.push(condition);
            count += 1;
            inner = after.trim_start();
            if count > CONDITIONS_MAX {
                return Err(BAD);
            }
        }
        if conditions.is_empty() {
            return Err(BAD);
        }
        lists.push(IfList { resource: resource.clone(), conditions });
        rest = inner.strip_prefix(')').unwrap_or(inner).trim_start();
    }
    if lists.is_empty() { Err(BAD) } else { Ok(lists) }
}

fn condition(text: &str) -> Result<(IfCondition, &str), Fault> {
    let (negated, text) = match text.split_at_checked(3) {
        Some((word, after)) if word.eq_ignore_ascii_case("not") => (true, after.trim_start()),
        _ => (false, text),
    };
    if let Some(token) = text.strip_prefix('<') {
        let (token, after) = token.split_once('>').ok_or(BAD)?;
        return Ok((IfCondition { negated, state: IfState::Token(token.to_owned()) }, after));
    }
    // A bracket may stand inside a tag, so its end is the quote before one.
    let (tag, after) = text.strip_prefix('[').and_then(|t| t.split_once("\"]")).ok_or(BAD)?;
    let state = IfState::Etag(format!("{}\"", tag.trim_start()));
    Ok((IfCondition { negated, state }, after))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token(text: &str, negated: bool) -> IfCondition {
        IfCondition { negated, state: IfState::Token(text.to_owned()) }
    }

    #[test]
    fn lists_are_read_with_and_without_a_resource() {
        let etag = |text: &str| IfCondition { negated: false, state: IfState::Etag(text.to_owned()) };
        let list =
            |resource: Option<&str>, conditions| IfList { resource: resource.map(str::to_owned), conditions };
        assert_eq!(parse("(<urn:a>)"), Ok(vec![list(None, vec![token("urn:a", false)])]));
        assert_eq!(
            parse("(Not <DAV:no-lock> [\"x]y\"]) (<urn:b>)"),
            Ok(vec![
                list(None, vec![token("DAV:no-lock", true), etag("\"x]y\"")]),
                list(None, vec![token("urn:b", false)])
            ])
        );
        assert_eq!(parse("<http://x/a> (<urn:a>)(NOT[W/\"1\"]) </b/> (<urn:b>)").map(|l| l.len()), Ok(3));
        for bad in ["", "x", "()", "(", "(<a", "([\"x\")", "<http://x/a>", "(<a>) y", "(Not)"] {
            assert_eq!(parse(bad), Err(BAD), "{bad}");
        }
        assert_eq!(parse(&"(<a>)".repeat(CONDITIONS_MAX + 1)), Err(BAD));
    }

    proptest! {
        #[test]
        fn never_panics(text in "[()<>\\[\\]\"a /notNOTé]{0,40}") {
            let _ = parse(&text);
        }
    }
}
