//! What a leg hears when nobody speaks to it: telephone tones, made sample by sample, and sounds that lie ready.
//!
//! Frequencies and cadences are those of ITU-T E.180 Supplement 2 (tones in national networks).

use std::f64::consts::TAU;
use std::sync::Arc;

use super::g711;
use super::{FRAME_SAMPLES, Frame};

const SAMPLES_PER_MILLI: u64 = 8;
/// About -16 dBm0 for each of two frequencies: clear and not loud.
const AMPLITUDE: f64 = 4_000.0;

/// Something a leg can be given to hear.
#[derive(Debug, Clone, PartialEq)]
pub enum Sound {
    /// The other side's bell, as it sounds in that country (ISO 3166, two letters; unknown ones get Europe's).
    Ringback([u8; 2]),
    /// Speak now.
    Beep,
    /// The other side is talking to somebody else, as that country says it.
    Busy([u8; 2]),
    /// Two soft pips, every few seconds: you are not forgotten.
    HoldTone,
    /// One key's tones (ITU-T Q.23), as a phone makes them.
    Key(char),
    /// µ-law at 8 kHz that lies ready, such as a greeting.
    Pcmu(Arc<[u8]>),
}

/// How often a sound is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// So many times, then [`super::LegEvent::Played`].
    Count(u32),
    /// Until it is stopped or the leg is bridged.
    Forever,
}

impl Times {
    /// One time.
    pub const ONCE: Times = Times::Count(1);
}

/// Two frequencies at once (0: none) and how long; no frequency at all is silence.
type Step = (f64, f64, u64);

fn ringback(country: [u8; 2]) -> Vec<Step> {
    let single = |hz: f64, on: u64, off: u64| vec![(hz, 0.0, on), (0.0, 0.0, off)];
    let pair = |a: f64, b: f64, on: u64, off: u64| vec![(a, b, on), (0.0, 0.0, off)];
    let double = |a: f64, b: f64| vec![(a, b, 400), (0.0, 0.0, 200), (a, b, 400), (0.0, 0.0, 2_000)];
    match &country {
        b"US" | b"CA" | b"PR" => pair(440.0, 480.0, 2_000, 4_000),
        b"KR" => pair(440.0, 480.0, 1_000, 2_000),
        b"JP" => pair(392.0, 408.0, 1_000, 2_000),
        b"GB" | b"IE" | b"NZ" => double(400.0, 450.0),
        b"AU" => double(400.0, 425.0),
        b"FR" => single(440.0, 1_500, 3_500),
        b"CN" | b"IN" | b"TW" => single(450.0, 1_000, 4_000),
        b"ES" => single(425.0, 1_500, 3_000),
        _ => single(425.0, 1_000, 4_000),
    }
}

fn busy(country: [u8; 2]) -> Vec<Step> {
    let single = |hz: f64, half: u64| vec![(hz, 0.0, half), (0.0, 0.0, half)];
    match &country {
        b"US" | b"CA" | b"PR" | b"KR" => vec![(480.0, 620.0, 500), (0.0, 0.0, 500)],
        b"GB" | b"IE" => single(400.0, 375),
        b"JP" => single(400.0, 500),
        b"AU" => single(425.0, 375),
        b"CN" => single(450.0, 350),
        b"ES" => single(425.0, 200),
        _ => single(425.0, 500),
    }
}

/// Row and column of a key (ITU-T Q.23).
fn key(digit: char) -> Option<(f64, f64)> {
    const ROWS: [&str; 4] = ["123A", "456B", "789C", "*0#D"];
    const LOW: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
    const HIGH: [f64; 4] = [1_209.0, 1_336.0, 1_477.0, 1_633.0];
    ROWS.iter().zip(LOW).find_map(|(row, low)| {
        let column = row.chars().position(|c| c == digit.to_ascii_uppercase())?;
        Some((low, *HIGH.get(column)?))
    })
}

fn steps(sound: &Sound) -> Vec<Step> {
    match sound {
        Sound::Ringback(country) => ringback(*country),
        Sound::Busy(country) => busy(*country),
        Sound::Beep => vec![(1_000.0, 0.0, 400)],
        Sound::HoldTone => {
            vec![(425.0, 0.0, 150), (0.0, 0.0, 250), (425.0, 0.0, 150), (0.0, 0.0, 7_450)]
        }
        Sound::Key(digit) => match key(*digit) {
            Some((low, high)) => vec![(low, high, 160), (0.0, 0.0, 80)],
            None => Vec::new(),
        },
        Sound::Pcmu(_) => Vec::new(),
    }
}

/// A sound on its way to a leg, frame by frame.
#[derive(Debug)]
pub struct Player {
    sound: Sound,
    steps: Vec<Step>,
    samples: u64,
    times: Times,
    at: u64,
}

impl Player {
    /// From the beginning.
    pub fn new(sound: Sound, times: Times) -> Player {
        let steps = steps(&sound);
        let samples = match &sound {
            Sound::Pcmu(bytes) => bytes.len() as u64,
            _ => steps.iter().map(|(_, _, millis)| millis * SAMPLES_PER_MILLI).sum(),
        };
        Player { sound, steps, samples, times, at: 0 }
    }

    fn sample(&self, at: u64) -> u8 {
        let mut within = at % self.samples.max(1);
        if let Sound::Pcmu(bytes) = &self.sound {
            let place = usize::try_from(within).unwrap_or(usize::MAX);
            return bytes.get(place).copied().unwrap_or(g711::SILENCE);
        }
        for (first, second, millis) in &self.steps {
            let length = millis * SAMPLES_PER_MILLI;
            if within >= length {
                within -= length;
                continue;
            }
            if *first == 0.0 {
                return g711::SILENCE;
            }
            // A click is heard where a tone begins or ends at full strength: 4 ms of slope.
            let edge = within.min(length - within).min(32) as f64 / 32.0;
            let wave = |hz: f64| if hz == 0.0 { 0.0 } else { (within as f64 / 8_000.0 * hz * TAU).sin() };
            let value = (wave(*first) + wave(*second)) * AMPLITUDE * edge;
            return g711::encode(value as i16);
        }
        g711::SILENCE
    }

    /// The next 20 ms, the last one filled up with silence; `None` when it has ended.
    pub fn next_frame(&mut self) -> Option<Frame> {
        let end = match self.times {
            Times::Count(count) => self.samples.saturating_mul(u64::from(count)),
            Times::Forever if self.samples == 0 => 0,
            Times::Forever => u64::MAX,
        };
        if self.at >= end {
            return None;
        }
        let from = self.at;
        self.at += FRAME_SAMPLES as u64;
        let frame: [u8; FRAME_SAMPLES] = std::array::from_fn(|n| {
            let at = from + n as u64;
            if at < end { self.sample(at) } else { g711::SILENCE }
        });
        Some(Frame::from(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::goertzel;
    use super::*;

    fn whole(sound: Sound, times: Times) -> Vec<u8> {
        let mut player = Player::new(sound, times);
        std::iter::from_fn(|| player.next_frame()).take(1_000).flat_map(|frame| frame.to_vec()).collect()
    }

    #[test]
    fn tones_have_the_frequencies_and_pauses_of_their_country() {
        for (sound, pair, on, all) in [
            (Sound::Ringback(*b"US"), (440.0, 480.0), 16_000, 48_000),
            (Sound::Ringback(*b"KR"), (440.0, 480.0), 8_000, 24_000),
            (Sound::Ringback(*b"DE"), (425.0, 425.0), 8_000, 40_000),
            (Sound::Busy(*b"US"), (480.0, 620.0), 4_000, 8_000),
            (Sound::Busy(*b"KR"), (480.0, 620.0), 4_000, 8_000),
        ] {
            let bytes = whole(sound.clone(), Times::ONCE);
            assert_eq!(bytes.len(), all, "{sound:?}");
            let tone = &bytes[800..on - 800];
            assert!(goertzel(tone, pair.0) > 0.2 && goertzel(tone, pair.1) > 0.2, "{sound:?}");
            assert!(goertzel(tone, 1_000.0) < 0.01, "{sound:?}");
            assert_eq!(g711::level(&bytes[on..]), 0, "{sound:?}");
        }
    }

    #[test]
    fn keys_are_two_tones() {
        for (digit, low, high) in [('1', 697.0, 1_209.0), ('#', 941.0, 1_477.0), ('d', 941.0, 1_633.0)] {
            let bytes = whole(Sound::Key(digit), Times::ONCE);
            assert!(goertzel(&bytes[..1_280], low) > 0.3, "{digit}");
            assert!(goertzel(&bytes[..1_280], high) > 0.3, "{digit}");
        }
        assert!(whole(Sound::Key('x'), Times::Forever).is_empty());
    }

    #[test]
    fn sounds_are_heard_as_often_as_asked_and_end_on_a_frame() {
        let sound = || Sound::Pcmu(Arc::from(vec![7_u8; 200]));
        assert_eq!(whole(sound(), Times::ONCE).len(), 320);
        assert_eq!(whole(sound(), Times::ONCE).iter().filter(|b| **b == 7).count(), 200);
        assert_eq!(whole(sound(), Times::Count(3)).iter().filter(|b| **b == 7).count(), 600);
        assert_eq!(whole(sound(), Times::Forever).len(), 160_000);
        assert!(whole(Sound::Pcmu(Arc::from([])), Times::Forever).is_empty());
    }
}
