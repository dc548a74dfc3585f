//! What a friend is reached by: a network and an address on it (`meari:bob`, `xmpp:bob@example.org`). Pure.

use std::fmt;

use crate::error::{Error, Result};

/// An address at most, in bytes (two Jabber parts of RFC 7622 §3.1 would be more; nobody has such).
pub const ADDRESS_BYTES_MAX: usize = 320;

/// Where a friend lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Network {
    /// Here: an account of this service.
    Meari,
    /// XMPP (RFC 6120).
    Xmpp,
    /// Matrix.
    Matrix,
    /// A program that answers.
    Bot,
}

impl Network {
    const ALL: [Network; 4] = [Network::Meari, Network::Xmpp, Network::Matrix, Network::Bot];

    /// As stored, and as it stands before the colon.
    pub const fn as_str(self) -> &'static str {
        match self {
            Network::Meari => "meari",
            Network::Xmpp => "xmpp",
            Network::Matrix => "matrix",
            Network::Bot => "bot",
        }
    }

    /// Whether contacts there can be had today.
    pub fn is_available(self) -> bool {
        match self {
            Network::Meari => true,
            Network::Xmpp | Network::Matrix | Network::Bot => false,
        }
    }
}

/// A friend's address, in its one canonical spelling.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ContactAddress {
    /// Where.
    pub network: Network,
    /// Who there; for Meari the handle.
    pub address: String,
}

impl ContactAddress {
    /// Reads `network:address`. Letters that networks do not tell apart are made small.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        if text.len() > ADDRESS_BYTES_MAX {
            return Err(bad("The address is too long."));
        }
        let Some((network, address)) = text.split_once(':') else {
            return Err(bad(
                "An address looks like meari:bob, xmpp:bob@example.org or matrix:@bob:example.org.",
            ));
        };
        let known = Network::ALL.into_iter().find(|n| n.as_str().eq_ignore_ascii_case(network));
        let Some(network) = known else {
            return Err(Error::invalid(
                "address",
                "unknown_network",
                "The part before the colon must be meari, xmpp, matrix or bot.",
            ));
        };
        let address = match network {
            Network::Meari => handle(address),
            Network::Xmpp => bare_jid(address),
            Network::Matrix => matrix_id(address),
            Network::Bot => handle(address),
        };
        let address =
            address.ok_or_else(|| bad("The part after the colon is not an address of that network."))?;
        Ok(ContactAddress { network, address })
    }

    /// Refuses networks that this installation cannot reach.
    pub fn require_available(&self) -> Result<()> {
        if self.network.is_available() {
            return Ok(());
        }
        Err(Error::invalid(
            "address",
            "network_not_available",
            format!("This service has no connection to {} yet.", self.network.as_str()),
        ))
    }
}

impl fmt::Display for ContactAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.network.as_str(), self.address)
    }
}

/// What a contact is, the same for every account: the preference for a number hangs on it.
pub fn identity(network: &str, address: &str) -> [u8; 16] {
    let hash = blake3::hash(format!("{network}:{address}").as_bytes());
    let mut identity = [0; 16];
    identity.iter_mut().zip(hash.as_bytes()).for_each(|(to, from)| *to = *from);
    identity
}

fn bad(detail: &'static str) -> Error {
    Error::invalid("address", "invalid_address", detail)
}

/// A name of letters, digits and `._-`. Whether somebody has it is another question.
fn handle(text: &str) -> Option<String> {
    let text = text.to_ascii_lowercase();
    let good = (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    good.then_some(text)
}

/// `local@domain` without a resource (RFC 7622 §3.2 and §3.3, without its tables of characters).
fn bare_jid(text: &str) -> Option<String> {
    let (local, domain) = text.split_once('@')?;
    let local_ok = !local.is_empty() && !local.contains(['/', '"', '\'', '<', '>', '&', ':', ' ', '@']);
    (local_ok && is_domain(domain))
        .then(|| format!("{}@{}", local.to_lowercase(), domain.to_ascii_lowercase()))
}

/// `@local:server` (Matrix specification, appendices, user identifiers).
fn matrix_id(text: &str) -> Option<String> {
    let (local, server) = text.strip_prefix('@')?.split_once(':')?;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'=' | b'-' | b'/' | b'+');
    let host = server.split_once(':').map_or(server, |(host, _)| host);
    let good = !local.is_empty() && local.bytes().all(allowed) && is_domain(host);
    good.then(|| format!("@{}:{}", local.to_ascii_lowercase(), server.to_ascii_lowercase()))
}

fn is_domain(text: &str) -> bool {
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_one_spelling() {
        let table = [
            ("meari:bob", "meari:bob"),
            (" MEARI:Bob ", "meari:bob"),
            ("xmpp:Bob@Example.org", "xmpp:bob@example.org"),
            ("matrix:@bob:example.org", "matrix:@bob:example.org"),
            ("matrix:@bob:example.org:8448", "matrix:@bob:example.org:8448"),
            ("bot:weather", "bot:weather"),
        ];
        for (typed, wanted) in table {
            assert_eq!(ContactAddress::parse(typed).unwrap().to_string(), wanted);
        }
    }

    #[test]
    fn what_is_not_an_address_is_refused() {
        let table = [
            ("bob", "invalid_address"),
            ("meari:", "invalid_address"),
            ("meari:bob smith", "invalid_address"),
            ("meari:bo/b", "invalid_address"),
            ("xmpp:bob", "invalid_address"),
            ("xmpp:bob@example.org/phone", "invalid_address"),
            ("xmpp:@example.org", "invalid_address"),
            ("matrix:bob:example.org", "invalid_address"),
            ("matrix:@bob", "invalid_address"),
            ("icq:12345", "unknown_network"),
        ];
        for (typed, code) in table {
            let error = ContactAddress::parse(typed).unwrap_err();
            let crate::error::Kind::Invalid(fields) = error.kind() else { panic!("{typed}") };
            assert_eq!(fields[0].code, code, "{typed}");
            assert_eq!(fields[0].field, "address");
        }
        assert!(ContactAddress::parse(&format!("meari:{}", "x".repeat(400))).is_err());
    }

    #[test]
    fn other_networks_are_understood_but_not_available() {
        for typed in ["xmpp:bob@example.org", "matrix:@bob:example.org", "bot:weather"] {
            let error = ContactAddress::parse(typed).unwrap().require_available().unwrap_err();
            assert_eq!(error.code(), "network_not_available");
        }
    }

    #[test]
    fn the_same_friend_is_the_same_for_everybody() {
        assert_eq!(identity("xmpp", "bob@example.org"), identity("xmpp", "bob@example.org"));
        assert_ne!(identity("xmpp", "bob@example.org"), identity("xmpp", "eve@example.org"));
    }

    proptest::proptest! {
        #[test]
        fn reading_never_panics_and_is_stable(text in ".{0,80}") {
            if let Ok(address) = ContactAddress::parse(&text) {
                let again = ContactAddress::parse(&address.to_string());
                proptest::prop_assert_eq!(again.unwrap(), address);
            }
        }
    }
}
