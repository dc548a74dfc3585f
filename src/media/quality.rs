//! How good a leg sounds: what was measured, and the opinion the E-model would give (ITU-T G.107, reduced to delay and
//! random loss of G.711 with concealment).

/// What is not seen from here and comes on top of the delay: the phone network and the phone itself. An assumption.
pub const FAR_SIDE_DELAY_MS: f64 = 80.0;
/// A frame has to be complete before it can go.
const FRAME_MS: f64 = 20.0;
/// What a browser's jitter buffer holds at least.
const JITTER_BUFFER_MS_MIN: f64 = 30.0;
/// G.711 with concealment: how robust it is against random loss (ITU-T G.113, Bpl).
const LOSS_ROBUSTNESS: f64 = 25.1;
const RATING_BEST: f64 = 93.2;

/// How a leg did since the sample before.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct QualitySample {
    /// Frames that came from this end.
    pub frames_in: u64,
    /// Frames that went to this end.
    pub frames_out: u64,
    /// What was lost on the way from this end to us, 0 to 1.
    pub loss_in: Option<f64>,
    /// What was lost on the way from us to this end, as that end says, 0 to 1.
    pub loss_out: Option<f64>,
    /// How unevenly frames came from this end (RFC 3550 §6.4.1), in milliseconds.
    pub jitter_in_ms: Option<f64>,
    /// How unevenly they arrive there, as that end says.
    pub jitter_out_ms: Option<f64>,
    /// There and back, in milliseconds. For a socket: how late the carrier played what it was given.
    pub rtt_ms: Option<f64>,
    /// The opinion, 1 (bad) to 4.4 (as good as a telephone gets).
    pub mos: f64,
}

impl QualitySample {
    /// Fills in the opinion from the worse direction of what was measured.
    pub fn judged(mut self) -> Self {
        let worse = |a: Option<f64>, b: Option<f64>| a.unwrap_or(0.0).max(b.unwrap_or(0.0));
        let buffer = (2.0 * worse(self.jitter_in_ms, self.jitter_out_ms)).max(JITTER_BUFFER_MS_MIN);
        self.mos = mos(delay_ms(buffer, self.rtt_ms.unwrap_or(0.0)), worse(self.loss_in, self.loss_out));
        self
    }
}

/// The delay from mouth to ear when `buffer_ms` waits in the jitter buffer.
pub fn delay_ms(buffer_ms: f64, rtt_ms: f64) -> f64 {
    FRAME_MS + buffer_ms.max(0.0) + rtt_ms.max(0.0) / 2.0 + FAR_SIDE_DELAY_MS
}

/// The mean opinion score for a one-way delay and a share of lost (or concealed) sound, 0 to 1.
pub fn mos(delay_ms: f64, loss: f64) -> f64 {
    let delay = if delay_ms.is_finite() { delay_ms.clamp(0.0, 10_000.0) } else { 10_000.0 };
    let percent = if loss.is_finite() { loss.clamp(0.0, 1.0) * 100.0 } else { 100.0 };
    let late = (delay - 177.3).max(0.0);
    let from_delay = 0.024 * delay + 0.11 * late;
    let from_loss = 95.0 * percent / (percent + LOSS_ROBUSTNESS);
    let rating = (RATING_BEST - from_delay - from_loss).clamp(0.0, 100.0);
    (1.0 + 0.035 * rating + 7e-6 * rating * (rating - 60.0) * (100.0 - rating)).clamp(1.0, 4.5)
}

/// The jitter estimate of RFC 3550 §6.4.1 over frames that carry their own time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Jitter {
    transit_ms: Option<f64>,
    estimate_ms: f64,
}

impl Jitter {
    /// A frame that says `sent_ms` arrived at `arrived_ms` (each on a clock of its own).
    pub fn arrival(&mut self, sent_ms: f64, arrived_ms: f64) {
        let transit = arrived_ms - sent_ms;
        if let Some(before) = self.transit_ms.replace(transit) {
            self.estimate_ms += ((transit - before).abs() - self.estimate_ms) / 16.0;
        }
    }

    /// In milliseconds.
    pub fn millis(&self) -> f64 {
        self.estimate_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Buffers and losses as a browser had them behind impaired networks; the last two are bad on purpose.
    #[test]
    fn opinions_for_known_networks() {
        for (buffer, rtt, loss, low, high) in [
            (28.0, 0.0, 0.0, 4.30, 4.40),
            (11.0, 0.0, 0.024, 4.05, 4.20),
            (16.0, 0.0, 0.105, 3.1, 3.3),
            (69.0, 0.0, 0.010, 4.15, 4.30),
            (62.0, 0.0, 0.067, 3.45, 3.70),
            (30.0, 600.0, 0.0, 2.5, 3.4),
            (30.0, 0.0, 1.0, 1.0, 1.6),
        ] {
            let mos = mos(delay_ms(buffer, rtt), loss);
            assert!((low..=high).contains(&mos), "buffer {buffer} rtt {rtt} loss {loss}: {mos}");
        }
    }

    #[test]
    fn nonsense_is_the_worst_and_never_out_of_range() {
        for (delay, loss) in
            [(f64::NAN, 0.0), (0.0, f64::NAN), (f64::INFINITY, 2.0), (-5.0, -1.0), (1e300, 0.5)]
        {
            let mos = mos(delay, loss);
            assert!((1.0..=4.5).contains(&mos), "{delay} {loss}: {mos}");
        }
    }

    #[test]
    fn the_worse_direction_decides() {
        let clean = QualitySample::default().judged();
        let lossy = QualitySample { loss_out: Some(0.1), loss_in: Some(0.0), ..clean }.judged();
        let other = QualitySample { loss_in: Some(0.1), ..clean }.judged();
        assert!(clean.mos > 4.3);
        assert!(lossy.mos < 3.5 && (lossy.mos - other.mos).abs() < 1e-9);
    }

    #[test]
    fn even_frames_have_no_jitter_and_uneven_ones_do() {
        let (mut even, mut uneven) = (Jitter::default(), Jitter::default());
        for n in 0..200 {
            let sent = f64::from(n) * 20.0;
            even.arrival(sent, sent + 5_000.0);
            uneven.arrival(sent, sent + if n % 2 == 0 { 0.0 } else { 16.0 });
        }
        assert!(even.millis() < 1e-9);
        assert!((14.0..=16.1).contains(&uneven.millis()), "{}", uneven.millis());
    }

    proptest::proptest! {
        #[test]
        fn more_loss_and_more_delay_never_sound_better(delay in 0.0..2000.0_f64, loss in 0.0..1.0_f64) {
            let here = mos(delay, loss);
            proptest::prop_assert!(mos(delay + 50.0, loss) <= here + 1e-9);
            proptest::prop_assert!(mos(delay, (loss + 0.05).min(1.0)) <= here + 1e-9);
        }
    }
}
