//! The times of frames: whoever speaks to a leg has a clock of his own, and the leg must hear one that never jumps.

use std::time::{Duration, Instant};

/// Ticks of a second. Both codecs' clocks (8 and 48 kHz) divide it.
pub const TICKS_PER_SEC: u64 = 48_000;
const TICKS_PER_MILLI: u64 = TICKS_PER_SEC / 1_000;
/// A source whose clock runs away from ours by more is not believed.
const ASTRAY: u64 = 10 * TICKS_PER_SEC;

/// Who speaks: another number is another clock.
pub type Source = u64;

/// One listener's clock.
#[derive(Debug)]
pub struct Timeline {
    source: Option<Source>,
    /// What is added to the source's time.
    shift: u64,
    last: u64,
    last_at: Instant,
}

/// Where a frame stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// In ticks.
    pub at: u64,
    /// Whether a new source begins to speak: the marker bit of RTP.
    pub begins: bool,
}

impl Timeline {
    /// A clock that shows `first` now.
    pub fn new(first: u64, now: Instant) -> Timeline {
        Timeline { source: None, shift: 0, last: first, last_at: now }
    }

    /// Where the frame that `source` calls `time` stands for the listener.
    pub fn place(&mut self, source: Source, time: u64, now: Instant) -> Place {
        let here = self.now(now);
        let placed = time.wrapping_add(self.shift);
        // Distances, not sizes: a source may begin near the end of its numbers.
        let astray = placed.wrapping_sub(here).min(here.wrapping_sub(placed)) > ASTRAY;
        let begins = self.source != Some(source) || astray;
        let at = if begins {
            self.source = Some(source);
            self.shift = here.wrapping_sub(time);
            here
        } else {
            placed
        };
        if at.wrapping_sub(self.last) < u64::MAX / 2 {
            (self.last, self.last_at) = (at, now);
        }
        Place { at, begins }
    }

    /// The listener's time now: never before what was last heard.
    fn now(&self, now: Instant) -> u64 {
        self.last.wrapping_add(ticks(now.saturating_duration_since(self.last_at)))
    }
}

/// A duration in ticks.
pub fn ticks(duration: Duration) -> u64 {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    micros.saturating_mul(TICKS_PER_MILLI) / 1_000
}

/// Milliseconds in ticks.
pub fn from_millis(millis: u64) -> u64 {
    millis.saturating_mul(TICKS_PER_MILLI)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: u64 = TICKS_PER_SEC / 50;

    #[test]
    fn gaps_stay_gaps_and_a_new_voice_goes_on_where_the_old_one_was() {
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        let mut timeline = Timeline::new(0, start);
        let first = timeline.place(1, 1_000_000, start);
        assert_eq!(first, Place { at: 0, begins: true });
        assert_eq!(timeline.place(1, 1_000_000 + FRAME, after(20)).at, FRAME);
        // Three frames are missing.
        assert_eq!(
            timeline.place(1, 1_000_000 + 5 * FRAME, after(100)),
            Place { at: 5 * FRAME, begins: false }
        );
        // A tone with a clock of its own follows after 40 ms.
        assert_eq!(timeline.place(2, 0, after(140)), Place { at: 7 * FRAME, begins: true });
        assert_eq!(timeline.place(2, FRAME, after(160)), Place { at: 8 * FRAME, begins: false });
    }

    #[test]
    fn a_burst_keeps_its_times_and_reordering_does_not_turn_the_clock_back() {
        let start = Instant::now();
        let mut timeline = Timeline::new(0, start);
        timeline.place(1, 0, start);
        for n in [2_u64, 1, 3, 5, 4] {
            assert_eq!(timeline.place(1, n * FRAME, start).at, n * FRAME);
        }
        assert_eq!(timeline.place(7, 0, start).at, 5 * FRAME);
    }

    #[test]
    fn a_clock_that_runs_astray_is_set_anew() {
        let start = Instant::now();
        let mut timeline = Timeline::new(0, start);
        timeline.place(1, 0, start);
        let far = timeline.place(1, 3_600 * TICKS_PER_SEC, start + Duration::from_millis(20));
        assert_eq!(far, Place { at: FRAME, begins: true });
        let on = timeline.place(1, 3_600 * TICKS_PER_SEC + FRAME, start + Duration::from_millis(40));
        assert_eq!(on, Place { at: 2 * FRAME, begins: false });
        let back = timeline.place(1, 5, start + Duration::from_millis(60));
        assert_eq!(back, Place { at: 3 * FRAME, begins: true });
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_source_says_the_listener_stays_near_the_clock_on_the_wall(
            times in proptest::collection::vec(proptest::num::u64::ANY, 1..50)
        ) {
            let start = Instant::now();
            let mut timeline = Timeline::new(0, start);
            let mut reach = 0_u64;
            for (n, time) in times.into_iter().enumerate() {
                let now = start + Duration::from_millis(20 * n as u64);
                let at = timeline.place(1, time, now).at;
                reach += ASTRAY + FRAME;
                proptest::prop_assert!(at.min(at.wrapping_neg()) <= reach);
            }
        }
    }
}
