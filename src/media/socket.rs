//! The socket end of a leg: frames cut to 20 ms on the way in, marks and clears against standing delay on the way out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::leg::Heard;
use super::quality::{Jitter, QualitySample};
use super::timeline::{TICKS_PER_SEC, from_millis};
use super::wire::{WireIn, WireOut};
use super::{Codec, FRAME_SAMPLES, FRAME_TIME, Frame, g711};

const TICKS_PER_SAMPLE: u64 = TICKS_PER_SEC / 8_000;
/// A mark for every second of sound.
const FRAMES_PER_MARK: u32 = 50;
/// Sound that waits longer than this at the carrier is thrown away.
const STANDING_MAX: Duration = Duration::from_millis(300);
/// What the way to the carrier and back may take without being called standing delay.
const WAY_MAX: Duration = Duration::from_millis(250);
/// Whoever answers none of so many marks knows no marks.
const MARKS_OPEN_MAX: usize = 10;
/// A sound has been heard by then, marks or not.
const PLAYED_WITHIN: Duration = Duration::from_millis(1_500);

/// Whether a mark tells the end of a sound, and not how long sound waits.
pub fn is_end_of_sound(mark: &str) -> bool {
    mark.starts_with('p')
}

/// Measures how long sound waits at the carrier before it is played.
#[derive(Debug, Default)]
pub struct Standing {
    frames: u32,
    number: u64,
    open: VecDeque<(u64, Instant)>,
    least: Option<Duration>,
    latest: Option<Duration>,
    deaf: bool,
}

impl Standing {
    /// A frame goes out; returns the mark that goes after it.
    pub fn sent(&mut self, now: Instant) -> Option<String> {
        self.frames += 1;
        if self.frames < FRAMES_PER_MARK || self.deaf {
            return None;
        }
        self.frames = 0;
        if self.open.len() >= MARKS_OPEN_MAX {
            self.deaf = self.latest.is_none();
            self.open.pop_front();
        }
        self.number += 1;
        self.open.push_back((self.number, now));
        Some(format!("t{}", self.number))
    }

    /// A mark came back; true when what waits there must be cleared.
    pub fn returned(&mut self, name: &str, now: Instant) -> bool {
        let Some(number) = name.strip_prefix('t').and_then(|number| number.parse::<u64>().ok()) else {
            return false;
        };
        let Some(place) = self.open.iter().position(|(open, _)| *open == number) else { return false };
        let Some((_, at)) = self.open.get(place).copied() else { return false };
        self.open.drain(..=place);
        let late = now.saturating_duration_since(at);
        self.latest = Some(late);
        let least = self.least.map_or(late, |least| least.min(late));
        self.least = Some(least);
        late.saturating_sub(least.min(WAY_MAX)) > STANDING_MAX
    }

    /// Everything that waited there is gone, and marks on the way say nothing any more.
    pub fn cleared(&mut self) {
        self.open.clear();
    }

    /// How late the last mark was.
    pub fn latest(&self) -> Option<Duration> {
        self.latest
    }
}

/// A piece of sound from the wire: 20 ms and its time in ticks.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// In ticks of the wire's clock.
    pub time: u64,
    /// 160 bytes.
    pub frame: Frame,
}

/// Cuts sound of any length into frames.
#[derive(Debug, Default)]
pub struct Cutter {
    rest: Vec<u8>,
    rest_time: u64,
}

impl Cutter {
    /// Sound that was heard at `timestamp_ms`; `take` gets what is complete.
    pub fn cut(&mut self, timestamp_ms: u64, mulaw: &[u8], mut take: impl FnMut(Piece)) {
        let mut time = from_millis(timestamp_ms);
        let mut new = mulaw;
        if !self.rest.is_empty() {
            let expected = self.rest_time.wrapping_add(self.rest.len() as u64 * TICKS_PER_SAMPLE);
            let gap = time.abs_diff(expected);
            let missing = FRAME_SAMPLES.saturating_sub(self.rest.len());
            // Milliseconds are coarser than samples; a real gap is a frame or more.
            if gap < FRAME_SAMPLES as u64 * TICKS_PER_SAMPLE {
                let (head, tail) = new.split_at(missing.min(new.len()));
                self.rest.extend_from_slice(head);
                time = expected.wrapping_add(head.len() as u64 * TICKS_PER_SAMPLE);
                new = tail;
            } else {
                self.rest.resize(FRAME_SAMPLES, g711::SILENCE);
            }
            if self.rest.len() >= FRAME_SAMPLES {
                take(Piece { time: self.rest_time, frame: Frame::from(self.rest.as_slice()) });
                self.rest.clear();
            }
        }
        let mut frames = new.chunks_exact(FRAME_SAMPLES);
        for frame in &mut frames {
            take(Piece { time, frame: Frame::from(frame) });
            time = time.wrapping_add(FRAME_SAMPLES as u64 * TICKS_PER_SAMPLE);
        }
        if !frames.remainder().is_empty() {
            self.rest.extend_from_slice(frames.remainder());
            self.rest_time = time;
        }
    }
}

/// The socket end.
#[derive(Debug)]
pub struct Socket {
    to_wire: mpsc::Sender<WireOut>,
    waiting: Arc<AtomicUsize>,
    cutter: Cutter,
    standing: Standing,
    ends: u64,
    ending: Option<(u64, Instant)>,
    jitter: Jitter,
    born: Instant,
    next_time: Option<u64>,
    came: u64,
    missing: u64,
    sent: u64,
}

impl Socket {
    /// The engine's half of a [`super::SocketLeg`].
    pub fn new(to_wire: mpsc::Sender<WireOut>, waiting: Arc<AtomicUsize>, now: Instant) -> Socket {
        Socket {
            to_wire,
            waiting,
            cutter: Cutter::default(),
            standing: Standing::default(),
            ends: 0,
            ending: None,
            jitter: Jitter::default(),
            born: now,
            next_time: None,
            came: 0,
            missing: 0,
            sent: 0,
        }
    }

    /// Takes what the wire gave.
    pub fn receive(&mut self, what: WireIn, now: Instant, heard: &mut Vec<Heard>) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        match what {
            WireIn::Audio { timestamp_ms, mulaw } => {
                let arrived = now.saturating_duration_since(self.born).as_secs_f64() * 1_000.0;
                self.jitter.arrival(timestamp_ms as f64, arrived);
                let (came, missing, next) = (&mut self.came, &mut self.missing, &mut self.next_time);
                self.cutter.cut(timestamp_ms, &mulaw, |piece| {
                    const TICKS: u64 = FRAME_SAMPLES as u64 * TICKS_PER_SAMPLE;
                    let gap = next.map_or(0, |next| piece.time.saturating_sub(next) / TICKS);
                    // A pause of seconds is no loss but a carrier that does not send silence.
                    *missing += if gap <= 100 { gap } else { 0 };
                    *next = Some(piece.time.wrapping_add(TICKS));
                    *came += 1;
                    heard.push(Heard::Sound { codec: Codec::Pcmu, time: piece.time, data: piece.frame });
                });
            }
            WireIn::Digit(digit) => heard.push(Heard::Digit(digit)),
            WireIn::Mark(name) => {
                let end = name.strip_prefix('p').and_then(|number| number.parse::<u64>().ok());
                if end.is_some() && end == self.ending.map(|(number, _)| number) {
                    self.ending = None;
                    heard.push(Heard::Played);
                } else if self.standing.returned(&name, now) {
                    self.clear();
                }
            }
            WireIn::Stop => heard.push(Heard::HungUp),
        }
    }

    /// Gives a frame to the wire; false when it was dropped because the wire is stuck.
    pub fn write(&mut self, frame: Frame, now: Instant) -> bool {
        if self.to_wire.try_send(WireOut::Audio(frame)).is_err() {
            return false;
        }
        self.sent += 1;
        if let Some(mark) = self.standing.sent(now) {
            let _ = self.to_wire.try_send(WireOut::Mark(mark));
        }
        true
    }

    /// Throws away what waits at the carrier.
    pub fn clear(&mut self) {
        let _ = self.to_wire.try_send(WireOut::Clear);
        self.standing.cleared();
    }

    /// A sound has been given whole; asks to be told when it has been heard.
    pub fn sound_ends(&mut self, now: Instant) {
        self.ends += 1;
        self.ending = Some((self.ends, now + PLAYED_WITHIN));
        let _ = self.to_wire.try_send(WireOut::Mark(format!("p{}", self.ends)));
    }

    /// When somebody has to look whether the sound was heard.
    pub fn deadline(&self) -> Option<Instant> {
        self.ending.map(|(_, at)| at)
    }

    /// Whether a sound has been heard that no mark told of.
    pub fn played_by(&mut self, now: Instant) -> bool {
        let is_due = self.ending.is_some_and(|(_, at)| at <= now);
        if is_due {
            self.ending = None;
        }
        is_due
    }

    /// Presses a key.
    pub fn digit(&self, digit: char) {
        let _ = self.to_wire.try_send(WireOut::Digit(digit));
    }

    /// Says good-bye.
    pub fn stop(&self) {
        let _ = self.to_wire.try_send(WireOut::Stop);
    }

    /// How the leg did since the last time.
    pub fn quality(&mut self) -> QualitySample {
        let (came, missing) = (std::mem::take(&mut self.came), std::mem::take(&mut self.missing));
        let all = came + missing;
        let sample = QualitySample {
            frames_in: came,
            frames_out: std::mem::take(&mut self.sent),
            loss_in: (all > 0).then(|| missing as f64 / all as f64),
            jitter_in_ms: (came > 0).then(|| self.jitter.millis()),
            rtt_ms: self
                .standing
                .latest()
                .map(|late| late.saturating_sub(FRAME_TIME).as_secs_f64() * 1_000.0),
            ..QualitySample::default()
        };
        sample.judged()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pieces: &[(u64, usize)]) -> Vec<(u64, Vec<u8>)> {
        let mut cutter = Cutter::default();
        let mut got = Vec::new();
        for (n, (at, length)) in pieces.iter().enumerate() {
            cutter
                .cut(*at, &vec![n as u8; *length], |piece| got.push((piece.time / 48, piece.frame.to_vec())));
        }
        got
    }

    #[test]
    fn frames_pass_and_other_lengths_are_cut() {
        let whole = cut(&[(0, 160), (20, 160), (100, 160)]);
        assert_eq!(whole.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 20, 100]);
        let halves = cut(&[(0, 80), (10, 80), (20, 80), (30, 240)]);
        assert_eq!(halves.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 20, 40]);
        assert_eq!(halves[0].1, [[0_u8; 80], [1; 80]].concat());
        let long = cut(&[(5, 800)]);
        assert_eq!(long.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [5, 25, 45, 65, 85]);
    }

    #[test]
    fn a_rest_before_a_gap_is_filled_with_silence() {
        let got = cut(&[(0, 80), (500, 160)]);
        assert_eq!(got[0], (0, [[0_u8; 80], [g711::SILENCE; 80]].concat()));
        assert_eq!(got[1], (500, vec![1; 160]));
    }

    proptest::proptest! {
        #[test]
        fn nothing_is_lost_and_every_frame_is_whole(
            pieces in proptest::collection::vec((0_u64..u64::MAX, 0_usize..700), 0..20)
        ) {
            let given: usize = pieces.iter().map(|(_, length)| length).sum();
            let got = cut(&pieces);
            proptest::prop_assert!(got.iter().all(|(_, frame)| frame.len() == 160));
            proptest::prop_assert!(got.len() * 160 + 160 > given);
        }
    }

    #[test]
    fn sound_that_waits_at_the_carrier_is_cleared_and_a_long_way_is_not() {
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        let mut standing = Standing::default();
        let mark = |standing: &mut Standing, at| (0..50).find_map(|_| standing.sent(after(at))).unwrap();
        let first = mark(&mut standing, 1_000);
        assert!(!standing.returned(&first, after(1_200)), "the way there and back");
        let second = mark(&mut standing, 2_000);
        assert!(!standing.returned(&second, after(2_450)), "250 ms more");
        let third = mark(&mut standing, 3_000);
        assert!(standing.returned(&third, after(3_600)), "400 ms more");
        standing.cleared();
        assert!(!standing.returned(&third, after(9_000)), "already told");
        assert!(!standing.returned("whatever", after(9_000)));
        let from_the_start = mark(&mut Standing::default(), 0);
        let mut standing = Standing::default();
        let same = mark(&mut standing, 0);
        assert_eq!(from_the_start, same);
        assert!(standing.returned(&same, after(700)), "late from the first mark on");
    }

    #[test]
    fn a_carrier_without_marks_is_left_alone() {
        let start = Instant::now();
        let mut standing = Standing::default();
        let marks = (0..10_000).filter_map(|_| standing.sent(start)).count();
        assert!(marks <= MARKS_OPEN_MAX + 1, "{marks}");
    }
}
