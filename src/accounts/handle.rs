//! Handles: the name under which an account is known and signs in.

use std::fmt;

use crate::error::{Error, Result};

/// 3 to 32 of `a`–`z`, `0`–`9`, `.`, `_`, `-`; begins and ends with a letter or digit; not reserved.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Handle(String);

/// Names that would pass for us, for a role every domain has (RFC 2142), or for a part of an address.
const RESERVED: &[&str] = &[
    "abuse",
    "account",
    "accounts",
    "admin",
    "administrator",
    "all",
    "anonymous",
    "api",
    "billing",
    "bot",
    "carddav",
    "contact",
    "dav",
    "everyone",
    "help",
    "hostmaster",
    "info",
    "mail",
    "mailer-daemon",
    "matrix",
    "me",
    "meari",
    "moderator",
    "news",
    "noc",
    "noreply",
    "no-reply",
    "nobody",
    "null",
    "official",
    "operator",
    "owner",
    "postmaster",
    "privacy",
    "root",
    "sales",
    "security",
    "service",
    "simulator",
    "sms",
    "staff",
    "status",
    "support",
    "system",
    "telephone",
    "test",
    "undefined",
    "unknown",
    "usenet",
    "uucp",
    "webmaster",
    "www",
    "xmpp",
];

impl Handle {
    /// Reads what a person chose; capitals become small letters.
    pub fn parse(text: &str) -> Result<Handle> {
        let refuse = |code, detail: &'static str| Err(Error::invalid("handle", code, detail));
        let handle = text.trim().to_ascii_lowercase();
        if !(3..=32).contains(&handle.len()) {
            return refuse("bad_length", "A handle has 3 to 32 characters.");
        }
        if !handle.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b)) {
            return refuse("bad_characters", "A handle is made of a-z, 0-9, '.', '_' and '-'.");
        }
        let solid = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
        if !solid(handle.bytes().next()) || !solid(handle.bytes().next_back()) {
            return refuse("bad_characters", "A handle begins and ends with a letter or a digit.");
        }
        if RESERVED.contains(&handle.as_str()) {
            return refuse("handle_reserved", "This handle is reserved. Please choose another one.");
        }
        Ok(Handle(handle))
    }

    /// The handle as stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_and_refuses() {
        assert_eq!(Handle::parse(" Alice ").unwrap().as_str(), "alice");
        for good in ["bob", "a.b", "x_1-2", "abcdefghijklmnopqrstuvwxyz012345"] {
            assert!(Handle::parse(good).is_ok(), "{good}");
        }
        let cases = [
            ("ab", "bad_length"),
            ("abcdefghijklmnopqrstuvwxyz0123456", "bad_length"),
            ("al ice", "bad_characters"),
            ("앨리스", "bad_characters"),
            (".bob", "bad_characters"),
            ("bob-", "bad_characters"),
            ("a/b", "bad_characters"),
            ("Admin", "handle_reserved"),
        ];
        for (text, code) in cases {
            assert_eq!(Handle::parse(text).unwrap_err().code(), code, "{text}");
        }
    }
}
