//! Request headers of WebDAV and the conditional headers of HTTP.

use super::Fault;

/// How far a request reaches (RFC 4918 10.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// The resource only.
    Zero,
    /// And its members.
    One,
    /// And theirs.
    Infinity,
}

impl Depth {
    /// Reads the header; `absent` is what a missing one means for the method.
    pub fn parse(value: Option<&str>, absent: Depth) -> Result<Depth, Fault> {
        match value.map(str::trim) {
            None => Ok(absent),
            Some("0") => Ok(Depth::Zero),
            Some("1") => Ok(Depth::One),
            Some(text) if text.eq_ignore_ascii_case("infinity") => Ok(Depth::Infinity),
            Some(_) => Err(Fault::malformed("Depth must be 0, 1 or infinity.")),
        }
    }
}

/// `If-Match` and `If-None-Match` (RFC 9110 13.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntityCondition {
    /// The state must be one of these.
    pub if_match: Option<EntityTags>,
    /// The state must be none of these.
    pub if_none_match: Option<EntityTags>,
}

/// What a conditional header lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntityTags {
    /// `*`: any state at all.
    Any,
    /// These tags, each with its quotes and, when weak, its `W/`.
    These(Vec<String>),
}

impl EntityTags {
    /// Reads a header; what cannot be read is no tag at all, and so matches nothing.
    pub fn parse(value: &str) -> EntityTags {
        if value.trim() == "*" {
            return EntityTags::Any;
        }
        let mut tags = Vec::new();
        let mut rest = value;
        // A comma may stand inside a tag, so tags are taken by their quotes.
        while let Some((before, from)) = rest.split_once('"') {
            let Some((tag, after)) = from.split_once('"') else { break };
            let weak = if before.trim_end().ends_with("W/") { "W/" } else { "" };
            tags.push(format!("{weak}\"{tag}\""));
            rest = after;
        }
        EntityTags::These(tags)
    }

    /// Strong comparison, as `If-Match` wants it.
    fn has_strong(&self, etag: &str) -> bool {
        match self {
            EntityTags::Any => true,
            EntityTags::These(tags) => tags.iter().any(|tag| tag == etag),
        }
    }

    /// Weak comparison, as `If-None-Match` wants it.
    pub fn has_weak(&self, etag: &str) -> bool {
        match self {
            EntityTags::Any => true,
            EntityTags::These(tags) => tags.iter().any(|tag| tag.strip_prefix("W/").unwrap_or(tag) == etag),
        }
    }
}

impl EntityCondition {
    /// Whether anything is asked.
    pub fn is_empty(&self) -> bool {
        self.if_match.is_none() && self.if_none_match.is_none()
    }

    /// Whether a change may go on; `current` is the quoted tag of what is there, if anything is.
    pub fn check(&self, current: Option<&str>) -> Result<(), Fault> {
        const FAILED: Fault = Fault::new(412, "It has changed since you read it.");
        if let Some(tags) = &self.if_match
            && !current.is_some_and(|etag| tags.has_strong(etag))
        {
            return Err(FAILED);
        }
        if let Some(tags) = &self.if_none_match
            && current.is_some_and(|etag| tags.has_weak(etag))
        {
            return Err(FAILED);
        }
        Ok(())
    }
}

/// What a client would rather have (RFC 7240, RFC 8144, and `Brief` of older clients).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Preferences {
    /// Leave out what is not there, and empty confirmations.
    pub minimal: bool,
    /// Answer a change with the new state.
    pub representation: bool,
    /// Leave the collection itself out of a listing.
    pub no_root: bool,
}

impl Preferences {
    /// Reads all `Prefer` headers and `Brief`.
    pub fn parse<'a>(prefer: impl Iterator<Item = &'a str>, brief: Option<&str>) -> Preferences {
        let mut found = Preferences::default();
        for token in prefer.flat_map(|value| value.split(',')) {
            let word =
                token.split(';').next().unwrap_or("").replace([' ', '"', '\t'], "").to_ascii_lowercase();
            match word.as_str() {
                // The first of two that contradict each other counts (RFC 7240 2).
                "return=minimal" if !found.representation => found.minimal = true,
                "return=representation" if !found.minimal => found.representation = true,
                "depth-noroot" => found.no_root = true,
                _ => {}
            }
        }
        found.minimal |= brief.is_some_and(|b| b.trim().eq_ignore_ascii_case("t"));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_one_of_three() {
        assert_eq!(Depth::parse(None, Depth::Infinity), Ok(Depth::Infinity));
        assert_eq!(Depth::parse(Some(" 1 "), Depth::Zero), Ok(Depth::One));
        assert_eq!(Depth::parse(Some("Infinity"), Depth::Zero), Ok(Depth::Infinity));
        assert!(Depth::parse(Some("2"), Depth::Zero).is_err());
    }

    fn condition(if_match: Option<&str>, if_none_match: Option<&str>) -> EntityCondition {
        EntityCondition {
            if_match: if_match.map(EntityTags::parse),
            if_none_match: if_none_match.map(EntityTags::parse),
        }
    }

    #[test]
    fn conditions_follow_rfc_9110() {
        let here = Some("\"a\"");
        for (if_match, if_none_match, current, passes) in [
            (Some("\"a\""), None, here, true),
            (Some("\"b\", \"a\""), None, here, true),
            (Some("\"b\""), None, here, false),
            (Some("W/\"a\""), None, here, false),
            (Some("*"), None, here, true),
            (Some("*"), None, None, false),
            (Some("\"a\""), None, None, false),
            (Some("a"), None, here, false),
            (None, Some("*"), here, false),
            (None, Some("*"), None, true),
            (None, Some("W/\"a\""), here, false),
            (None, Some("\"b\""), here, true),
            (None, None, here, true),
        ] {
            let outcome = condition(if_match, if_none_match).check(current);
            assert_eq!(outcome.is_ok(), passes, "{if_match:?} {if_none_match:?} {current:?}");
        }
    }

    #[test]
    fn a_comma_may_stand_in_a_tag() {
        assert_eq!(
            EntityTags::parse("\"a,b\" , W/\"c\""),
            EntityTags::These(vec!["\"a,b\"".into(), "W/\"c\"".into()])
        );
    }

    #[test]
    fn preferences_are_words_in_any_order() {
        let p = Preferences::parse(["depth-noroot, return=minimal", "wait=5"].into_iter(), None);
        assert!(p.minimal && p.no_root && !p.representation);
        assert!(Preferences::parse(std::iter::empty(), Some("t")).minimal);
        let p = Preferences::parse(["return=\"representation\", return=minimal"].into_iter(), None);
        assert!(p.representation && !p.minimal);
    }
}
