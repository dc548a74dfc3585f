//! The way out: one UDP socket and the TCP connections that are open.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use str0m::net::{Protocol, Transmit};

use super::tcp::ToPeer;

/// Sends what browsers' connections want sent.
pub struct Outlet {
    udp: UdpSocket,
    is_ipv6: bool,
    tcp: Mutex<HashMap<SocketAddr, ToPeer>>,
    /// What could not be sent because the system's buffers were full.
    pub full: AtomicU64,
}

impl Outlet {
    /// Sends by `udp`, which must not block.
    pub fn new(udp: UdpSocket) -> Outlet {
        let is_ipv6 = udp.local_addr().is_ok_and(|address| address.is_ipv6());
        Outlet { udp, is_ipv6, tcp: Mutex::default(), full: AtomicU64::new(0) }
    }

    /// A socket of both families knows IPv4 addresses as mapped ones (RFC 4291 §2.5.5.2).
    fn mapped(&self, to: SocketAddr) -> SocketAddr {
        match to.ip() {
            IpAddr::V4(ip) if self.is_ipv6 => SocketAddr::new(IpAddr::V6(ip.to_ipv6_mapped()), to.port()),
            _ => to,
        }
    }

    /// Sends one packet, or drops it: nobody waits for sound.
    pub fn send(&self, transmit: &Transmit) {
        let is_sent = match transmit.proto {
            Protocol::Udp => match self.udp.send_to(&transmit.contents, self.mapped(transmit.destination)) {
                Ok(_) => true,
                // Whoever cannot be reached is noticed by what does not come from him.
                Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
            },
            _ => {
                let peers = self.tcp.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                let peer = peers.get(&transmit.destination);
                peer.is_none_or(|peer| peer.try_send(transmit.contents.to_vec()).is_ok())
            }
        };
        if !is_sent {
            self.full.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Somebody connected.
    pub fn connected(&self, from: SocketAddr, peer: ToPeer) {
        self.tcp.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(from, peer);
    }

    /// He is gone, or shall go.
    pub fn disconnected(&self, from: SocketAddr) {
        self.tcp.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(&from);
    }
}
