//! One socket for all browsers: which leg a datagram is for. By where it came from, else by the user name of a STUN
//! request (RFC 8489 §14.3, RFC 8445 §7.2.2), whose first half is the name we gave in the answer.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::LegId;

const STUN_HEAD: usize = 20;
const STUN_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const USERNAME: u16 = 0x0006;
/// Somebody who changes addresses for ever is not followed for ever.
const ADDRESSES_MAX: usize = 16;

/// How a datagram came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wire {
    /// UDP.
    Udp,
    /// ICE-TCP (RFC 6544), framed by RFC 4571.
    Tcp,
}

/// An address as the rest of the world writes it: IPv4, also when a socket of both families says it as a mapped one.
pub fn canonical(from: SocketAddr) -> SocketAddr {
    SocketAddr::new(from.ip().to_canonical(), from.port())
}

/// Our half of the user name in a STUN message; `None` when it is not one, or names nobody.
pub fn local_ufrag(datagram: &[u8]) -> Option<&str> {
    let (head, mut rest) = datagram.split_at_checked(STUN_HEAD)?;
    if head.first()? & 0xc0 != 0 || head.get(4..8)? != STUN_COOKIE {
        return None;
    }
    while let Some((kind, after)) = rest.split_at_checked(4) {
        let kind_of = u16::from_be_bytes(kind.get(..2)?.try_into().ok()?);
        let length = usize::from(u16::from_be_bytes(kind.get(2..)?.try_into().ok()?));
        let value = after.get(..length)?;
        if kind_of == USERNAME {
            return std::str::from_utf8(value).ok()?.split_once(':').map(|(ours, _)| ours);
        }
        rest = after.get(length.next_multiple_of(4)..)?;
    }
    None
}

/// Who is reached from where, and under which name.
#[derive(Debug, Default)]
pub struct Table {
    by_address: HashMap<(Wire, SocketAddr), LegId>,
    by_ufrag: HashMap<String, LegId>,
    of: HashMap<LegId, Known>,
}

#[derive(Debug, Default)]
struct Known {
    addresses: Vec<(Wire, SocketAddr)>,
    ufrags: Vec<String>,
}

impl Table {
    /// The leg answers to one more name.
    pub fn name(&mut self, leg: LegId, ufrag: String) {
        let known = self.of.entry(leg).or_default();
        if known.ufrags.contains(&ufrag) {
            return;
        }
        // The name before the last may still be asked for while the browser changes; older ones are done.
        if known.ufrags.len() >= 2 {
            self.by_ufrag.remove(&known.ufrags.remove(0));
        }
        known.ufrags.push(ufrag.clone());
        self.by_ufrag.insert(ufrag, leg);
    }

    /// Whose address this is.
    pub fn at(&self, wire: Wire, from: SocketAddr) -> Option<LegId> {
        self.by_address.get(&(wire, from)).copied()
    }

    /// Whose name this is.
    pub fn named(&self, ufrag: &str) -> Option<LegId> {
        self.by_ufrag.get(ufrag).copied()
    }

    /// The leg proved that it is there.
    pub fn found(&mut self, leg: LegId, wire: Wire, from: SocketAddr) {
        if !self.of.contains_key(&leg) {
            return;
        }
        if let Some(before) = self.by_address.insert((wire, from), leg)
            && before != leg
            && let Some(other) = self.of.get_mut(&before)
        {
            other.addresses.retain(|address| *address != (wire, from));
        }
        let Some(known) = self.of.get_mut(&leg) else { return };
        if known.addresses.contains(&(wire, from)) {
            return;
        }
        if known.addresses.len() >= ADDRESSES_MAX {
            self.by_address.remove(&known.addresses.remove(0));
        }
        known.addresses.push((wire, from));
    }

    /// The leg is over; returns the addresses it had by TCP.
    pub fn forget(&mut self, leg: LegId) -> Vec<SocketAddr> {
        let Some(known) = self.of.remove(&leg) else { return Vec::new() };
        for ufrag in &known.ufrags {
            self.by_ufrag.remove(ufrag);
        }
        for address in &known.addresses {
            self.by_address.remove(address);
        }
        let tcp = known.addresses.into_iter().filter(|(wire, _)| *wire == Wire::Tcp);
        tcp.map(|(_, address)| address).collect()
    }

    /// A connection is gone.
    pub fn lost(&mut self, wire: Wire, from: SocketAddr) {
        if let Some(leg) = self.by_address.remove(&(wire, from))
            && let Some(known) = self.of.get_mut(&leg)
        {
            known.addresses.retain(|address| *address != (wire, from));
        }
    }

    /// Everything that is remembered.
    #[cfg(test)]
    pub fn size(&self) -> usize {
        self.by_address.len() + self.by_ufrag.len() + self.of.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (kind, value) in attributes {
            body.extend_from_slice(&kind.to_be_bytes());
            body.extend_from_slice(&(value.len() as u16).to_be_bytes());
            body.extend_from_slice(value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        let mut message = vec![0, 1];
        message.extend_from_slice(&(body.len() as u16).to_be_bytes());
        message.extend_from_slice(&STUN_COOKIE);
        message.extend_from_slice(&[7; 12]);
        message.extend_from_slice(&body);
        message
    }

    #[test]
    fn the_name_is_found_wherever_it_stands() {
        assert_eq!(local_ufrag(&request(&[(USERNAME, b"ours:theirs")])), Some("ours"));
        assert_eq!(local_ufrag(&request(&[(0x8022, b"abc"), (USERNAME, b"o:t")])), Some("o"));
        assert_eq!(local_ufrag(&request(&[(0x8022, b"abc")])), None);
        assert_eq!(local_ufrag(&request(&[(USERNAME, b"nobody")])), None);
        assert_eq!(local_ufrag(&request(&[(USERNAME, b"\xff\xfe:x")])), None);
        assert_eq!(local_ufrag(&[0x80; 200]), None);
        assert_eq!(local_ufrag(&[]), None);
    }

    #[test]
    fn a_leg_that_is_over_leaves_nothing() {
        let mut table = Table::default();
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        table.found(LegId(9), Wire::Udp, at(1));
        assert_eq!(table.size(), 0, "who was never named is not remembered");
        for port in 0..100 {
            table.name(LegId(1), format!("name{port}"));
            table.found(LegId(1), Wire::Tcp, at(port));
        }
        assert!(table.size() < 30);
        assert_eq!(table.named("name99"), Some(LegId(1)));
        assert_eq!(table.named("name98"), Some(LegId(1)));
        assert_eq!(table.named("name97"), None);
        table.name(LegId(2), "other".to_owned());
        table.found(LegId(2), Wire::Tcp, at(99));
        assert_eq!(table.at(Wire::Tcp, at(99)), Some(LegId(2)));
        table.forget(LegId(1));
        assert_eq!(table.at(Wire::Tcp, at(99)), Some(LegId(2)));
        assert_eq!(table.forget(LegId(2)), [at(99)]);
        assert_eq!(table.size(), 0);
    }

    proptest::proptest! {
        #[test]
        fn any_datagram_is_no_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..80)) {
            let _ = local_ufrag(&bytes);
            let mut stun = request(&[(USERNAME, b"ours:theirs")]);
            for (at, byte) in bytes.iter().enumerate().filter(|(_, byte)| **byte > 200) {
                if let Some(place) = stun.get_mut(at) { *place = *byte; }
            }
            let _ = local_ufrag(&stun);
        }
    }
}
