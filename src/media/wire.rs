//! A leg whose frames somebody else carries: what goes in, what comes out, and the limit between.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

use super::LegId;
use super::worker::Command;

/// What may wait on the way in. A stuck engine loses audio instead of growing.
const WAITING_MAX: usize = 64;
/// What may wait on the way out: 64 frames are 1.3 s.
pub(super) const OUT_WAITING_MAX: usize = 64;
/// The largest piece of audio taken at once: ten seconds.
const AUDIO_BYTES_MAX: usize = 80_000;

/// What the carrier's socket gives us.
#[derive(Debug, Clone, PartialEq)]
pub enum WireIn {
    /// Sound.
    Audio {
        /// When it was heard, in milliseconds since the stream began: gaps stay gaps.
        timestamp_ms: u64,
        /// µ-law at 8 kHz, of any length.
        mulaw: Vec<u8>,
    },
    /// A key was pressed.
    Digit(char),
    /// Everything before the mark of this name has been played (or cleared).
    Mark(String),
    /// The stream is over.
    Stop,
}

/// What the carrier's socket must be given.
#[derive(Debug, Clone, PartialEq)]
pub enum WireOut {
    /// 20 ms of µ-law, to be played after what was given before.
    Audio(super::Frame),
    /// Say [`WireIn::Mark`] with this name when what was given before has been played. A carrier that knows no marks is
    /// simply not asked how late it is.
    Mark(String),
    /// Throw away what waits to be played.
    Clear,
    /// Press a key.
    Digit(char),
    /// The leg is over; nothing comes after it.
    Stop,
}

/// The engine is behind, or the leg is over: the frame was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the engine does not take this frame")]
pub struct WireFull;

/// The way into a socket leg. Not to be cloned: when it is dropped, the leg has hung up.
#[derive(Debug)]
pub struct WireSender {
    pub(super) leg: LegId,
    pub(super) commands: mpsc::UnboundedSender<Command>,
    pub(super) waiting: Arc<AtomicUsize>,
}

impl WireSender {
    /// Gives something to the engine and never waits.
    ///
    /// # Errors
    /// [`WireFull`] when 64 things wait already, the audio is longer than ten seconds, or the engine has stopped. What
    /// was not taken is lost: that is better than sound that comes late.
    pub fn send(&self, what: WireIn) -> Result<(), WireFull> {
        if matches!(&what, WireIn::Audio { mulaw, .. } if mulaw.len() > AUDIO_BYTES_MAX) {
            return Err(WireFull);
        }
        // Whoever stops is heard always.
        let is_stop = matches!(what, WireIn::Stop);
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX && !is_stop {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(WireFull);
        }
        self.commands.send(Command::Wire(self.leg, what)).map_err(|_| WireFull)
    }
}

impl Drop for WireSender {
    fn drop(&mut self) {
        let _ = self.commands.send(Command::WireEnded(self.leg));
    }
}

/// Both ways of a socket leg.
#[derive(Debug)]
pub struct SocketLeg {
    /// From the carrier to us.
    pub from_wire: WireSender,
    /// From us to the carrier; ends when the leg is closed.
    pub to_wire: mpsc::Receiver<WireOut>,
}
