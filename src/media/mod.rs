//! Real-time audio: the ends of calls and what flows between them. Knows no database, no carrier and no HTTP.
//!
//! Every end of a call is a **leg**, whatever is behind it: a browser (WebRTC, [`Engine::open_browser`]) or somebody
//! who carries frames over a socket of his own (a carrier's media stream, a test; [`Engine::open_socket`]). Two legs
//! are [`Engine::bridge`]d; a leg can hear a [`Sound`], be recorded, be muted. What happens to a leg is told as
//! [`LegEvent`]s.
//!
//! All legs live on one thread of their own named `media`, so that a frame goes from one end to the other without a lock
//! and without a second wake-up, and so that HTTP and the database never delay audio. Nothing is transcoded: frames are
//! µ-law (G.711, PCMU) whenever a phone takes part, else whatever codec both browsers took.

mod browser;
mod demux;
mod engine;
pub mod g711;
mod leg;
mod outlet;
pub mod quality;
mod record;
mod socket;
mod sound;
mod tcp;
mod timeline;
mod wire;
mod worker;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

pub use engine::{Engine, Figures};
pub use quality::QualitySample;
pub use record::{EndedBy, RecordLimits, Recording, from_wav, wav, wav_header};
pub use socket::is_end_of_sound;
pub use sound::{Sound, Times};
pub use wire::{SocketLeg, WireFull, WireIn, WireOut, WireSender};

/// 20 ms of sound: 160 bytes of µ-law at 8 kHz, or one Opus packet.
pub type Frame = Arc<[u8]>;

/// Samples of a µ-law frame.
pub const FRAME_SAMPLES: usize = 160;
/// How long a frame sounds.
pub const FRAME_TIME: Duration = Duration::from_millis(20);

/// What an operator decides about the engine.
#[derive(Debug, Clone)]
pub struct MediaSettings {
    /// Where browsers' audio arrives, by UDP and, at the same port, by TCP (ICE-TCP); port 0 takes any.
    pub bind: SocketAddr,
    /// The addresses browsers are told to send to; when empty, the address of `bind`, or when that is not one address,
    /// this machine's own.
    pub public_ips: Vec<IpAddr>,
    /// No more legs than this at the same time.
    pub legs_max: usize,
    /// How long the engine waits for what should come.
    pub patience: Patience,
}

impl Default for MediaSettings {
    fn default() -> Self {
        let bind = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        MediaSettings { bind, public_ips: Vec::new(), legs_max: 2_000, patience: Patience::default() }
    }
}

/// How long the engine waits for what should come.
#[derive(Debug, Clone)]
pub struct Patience {
    /// A leg that was heard and then gives no frame for so long is told [`LegEvent::Silent`]. Browsers send 50 packets a
    /// second even when muted, so this is how a closed tab is noticed; ICE alone takes 16 s and more.
    pub silent_after: Duration,
    /// A browser that has sent nothing at all for so long is closed. Longer than a change of network takes.
    pub gone_after: Duration,
    /// A browser's leg that is not connected by then is closed.
    pub connect_within: Duration,
    /// How often [`LegEvent::Quality`] is told.
    pub quality_every: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            silent_after: Duration::from_secs(4),
            gone_after: Duration::from_secs(20),
            connect_within: Duration::from_secs(30),
            quality_every: Duration::from_secs(5),
        }
    }
}

/// One end of a call, of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LegId(u64);

impl std::fmt::Display for LegId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "leg {}", self.0)
    }
}

/// How sound is written on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// G.711 µ-law at 8 kHz (RFC 3551): what telephone networks speak.
    Pcmu,
    /// Opus (RFC 7587): between browsers only; it can be neither recorded nor given to a phone here.
    Opus,
}

/// What happens to a leg. After [`LegEvent::Closed`], or when the channel ends, nothing more comes.
#[derive(Debug, Clone, PartialEq)]
pub enum LegEvent {
    /// Sound can flow: a browser is connected, or a socket gave its first frame.
    Up,
    /// It was heard, and now no frame has come for [`Patience::silent_after`].
    Silent,
    /// Frames come again.
    Sounding,
    /// A key was pressed at this end: `0`–`9`, `*`, `#`, `A`–`D`. Once for each press.
    Digit(char),
    /// What [`Engine::play`] was asked for has been heard to its end.
    Played,
    /// A recording is complete.
    Recorded(Recording),
    /// How the leg did lately.
    Quality(QualitySample),
    /// It is over.
    Closed(CloseReason),
}

/// Why a leg is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// [`Engine::close`].
    Asked,
    /// The other end said good-bye (DTLS close, the carrier's stop) or its socket ended.
    HungUp,
    /// The other end went silent for [`Patience::gone_after`] without a word.
    Gone,
    /// The browser never connected: no packet of it arrived.
    NeverConnected,
    /// The connection failed, or the engine stopped.
    Failed,
}
