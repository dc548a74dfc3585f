//! Recordings: µ-law bytes in the order of their times, several voices mixed, silence where nothing came.

use std::time::{Duration, Instant};

use super::g711;
use super::timeline::{Source, TICKS_PER_SEC, Timeline};

/// Bytes of a millisecond.
const BYTES_PER_MILLI: u64 = 8;
/// One byte for so many ticks of a timeline.
const TICKS_PER_BYTE: u64 = TICKS_PER_SEC / 8_000;
/// No recording is longer, whatever is asked for: it is held in memory, 29 MB an hour.
const MILLIS_MAX: u32 = 2 * 60 * 60 * 1_000;
/// Mean of the absolute samples under which a frame is silence: about -42 dBm0, above the hiss of a phone line.
const SILENCE_LEVEL: u32 = 180;

/// When a recording ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordLimits {
    /// At this length; two hours at most.
    pub millis_max: u32,
    /// When nobody has spoken for so long; `None` waits for ever.
    pub silence_millis: Option<u32>,
    /// When `#` is pressed at the recorded end.
    pub stop_on_hash: bool,
    /// Whether what the leg hears is recorded too: its partner, and sounds that are played to it.
    pub both: bool,
}

/// Why a recording ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// It reached its length.
    Length,
    /// Nobody spoke.
    Silence,
    /// `#` was pressed.
    Hash,
    /// [`super::Engine::stop_recording`].
    Asked,
    /// The leg was closed.
    Closed,
}

/// What was said.
#[derive(Clone, PartialEq, Eq)]
pub struct Recording {
    /// µ-law, 8,000 bytes a second.
    pub mulaw: Vec<u8>,
    /// How long.
    pub millis: u32,
    /// Why it ended.
    pub ended_by: EndedBy,
    /// Whether anybody spoke at all.
    pub heard: bool,
}

impl std::fmt::Debug for Recording {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Recording {{ {} ms, ended by {:?}, heard: {} }}", self.millis, self.ended_by, self.heard)
    }
}

/// µ-law bytes as a WAV file: [`wav_header`] before them, and one byte after them when their number is odd.
pub fn wav(mulaw: &[u8]) -> Vec<u8> {
    let mut file = wav_header(mulaw.len());
    file.extend_from_slice(mulaw);
    if mulaw.len() % 2 == 1 {
        file.push(0);
    }
    file
}

/// What stands before so many µ-law bytes in a WAV file of format 7 (Microsoft's Multimedia Data Standards Update, 1994):
/// browsers play it, and nothing is decoded. 58 bytes.
pub fn wav_header(bytes: usize) -> Vec<u8> {
    let length = u32::try_from(bytes).unwrap_or(u32::MAX - 64);
    let pad = length % 2;
    let mut file = Vec::with_capacity(58);
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&(50 + length + pad).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt ");
    file.extend_from_slice(&18_u32.to_le_bytes());
    // Format, channels.
    file.extend_from_slice(&[7, 0, 1, 0]);
    // Samples and bytes a second.
    file.extend_from_slice(&8_000_u32.to_le_bytes());
    file.extend_from_slice(&8_000_u32.to_le_bytes());
    // Bytes of a sample in all channels, bits of a sample, no more fields.
    file.extend_from_slice(&[1, 0, 8, 0, 0, 0]);
    file.extend_from_slice(b"fact");
    file.extend_from_slice(&4_u32.to_le_bytes());
    file.extend_from_slice(&length.to_le_bytes());
    file.extend_from_slice(b"data");
    file.extend_from_slice(&length.to_le_bytes());
    file
}

/// The µ-law bytes of a WAV file of format 7 with one channel at 8 kHz; `None` for any other file.
pub fn from_wav(file: &[u8]) -> Option<Vec<u8>> {
    let mut rest = file.strip_prefix(b"RIFF")?.get(4..)?.strip_prefix(b"WAVE")?;
    let mut is_ours = false;
    while let Some((head, after)) = rest.split_at_checked(8) {
        let (name, size) = head.split_at_checked(4)?;
        let size = usize::try_from(u32::from_le_bytes(size.try_into().ok()?)).ok()?;
        let body = after.get(..size.min(after.len()))?;
        match name {
            b"fmt " => is_ours = body.starts_with(&[7, 0, 1, 0, 0x40, 0x1f, 0, 0]),
            b"data" if is_ours => return Some(body.to_vec()),
            _ => {}
        }
        rest = after.get(size.checked_add(size % 2)?..)?;
    }
    None
}

/// One voice of a recording.
struct Track {
    source: Source,
    timeline: Timeline,
}

/// A recording that is being made.
pub struct Recorder {
    limits: RecordLimits,
    begun: Instant,
    mulaw: Vec<u8>,
    tracks: Vec<Track>,
    spoke: Option<Instant>,
}

impl Recorder {
    /// From now on.
    pub fn new(mut limits: RecordLimits, now: Instant) -> Recorder {
        limits.millis_max = limits.millis_max.min(MILLIS_MAX);
        Recorder { limits, begun: now, mulaw: Vec::new(), tracks: Vec::new(), spoke: None }
    }

    /// What was asked for.
    pub fn limits(&self) -> &RecordLimits {
        &self.limits
    }

    fn bytes_max(&self) -> usize {
        usize::try_from(u64::from(self.limits.millis_max) * BYTES_PER_MILLI).unwrap_or(usize::MAX)
    }

    /// `source` said this at `time` of its own clock.
    pub fn hear(&mut self, source: Source, time: u64, mulaw: &[u8], now: Instant) {
        let begun = self.begun;
        let place = match self.tracks.iter_mut().find(|track| track.source == source) {
            Some(track) => track.timeline.place(source, time, now),
            // Voices come and go (tones, transfers); the one that was there first is the oldest.
            None => {
                if self.tracks.len() >= 8 {
                    self.tracks.remove(0);
                }
                let mut timeline = Timeline::new(0, begun);
                let place = timeline.place(source, time, now);
                self.tracks.push(Track { source, timeline });
                place
            }
        };
        if g711::level(mulaw) >= SILENCE_LEVEL {
            self.spoke = Some(now);
        }
        // A time before the beginning wraps around to far behind any end.
        let Ok(from) = usize::try_from(place.at / TICKS_PER_BYTE) else { return };
        let max = self.bytes_max();
        if from >= max {
            return;
        }
        if from > self.mulaw.len() {
            self.mulaw.resize(from, g711::SILENCE);
        }
        let overlap = self.mulaw.len().saturating_sub(from).min(mulaw.len());
        let (over, after) = mulaw.split_at(overlap);
        for (kept, new) in self.mulaw.iter_mut().skip(from).zip(over) {
            *kept = g711::mix(*kept, *new);
        }
        let room = max.saturating_sub(self.mulaw.len());
        self.mulaw.extend(after.iter().take(room));
    }

    /// Whether it has to end now.
    pub fn due(&self, now: Instant) -> Option<EndedBy> {
        let elapsed = now.saturating_duration_since(self.begun);
        let length = Duration::from_millis(u64::from(self.limits.millis_max));
        if self.mulaw.len() >= self.bytes_max() || elapsed >= length {
            return Some(EndedBy::Length);
        }
        let quiet = now.saturating_duration_since(self.spoke.unwrap_or(self.begun));
        let limit = self.limits.silence_millis?;
        (quiet >= Duration::from_millis(u64::from(limit))).then_some(EndedBy::Silence)
    }

    /// What was recorded until `now`.
    pub fn finish(mut self, ended_by: EndedBy, now: Instant) -> Recording {
        // Silence at the end is a part of it, but the frame that is still on its way is not silence.
        let elapsed = now.saturating_duration_since(self.begun).as_millis();
        let elapsed = usize::try_from(elapsed).unwrap_or(usize::MAX).saturating_mul(8).min(self.bytes_max());
        if elapsed > self.mulaw.len().saturating_add(800) {
            self.mulaw.resize(elapsed, g711::SILENCE);
        }
        let millis = u32::try_from(self.mulaw.len() / 8).unwrap_or(u32::MAX);
        Recording { mulaw: self.mulaw, millis, ended_by, heard: self.spoke.is_some() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: RecordLimits =
        RecordLimits { millis_max: 10_000, silence_millis: Some(1_000), stop_on_hash: true, both: false };

    fn frame(code: u8) -> [u8; 160] {
        [code; 160]
    }

    #[test]
    fn what_was_sent_is_what_is_recorded_and_gaps_are_silence() {
        let start = Instant::now();
        let mut recorder = Recorder::new(LIMITS, start);
        for n in [0_u64, 1, 4] {
            recorder.hear(1, n * 960, &frame(10 + n as u8), start + Duration::from_millis(20 * n));
        }
        let recording = recorder.finish(EndedBy::Asked, start + Duration::from_millis(100));
        assert_eq!(recording.millis, 100);
        let wanted = [frame(10), frame(11), frame(0xff), frame(0xff), frame(14)].concat();
        assert_eq!(recording.mulaw, wanted);
        assert!(recording.heard);
    }

    #[test]
    fn two_voices_are_mixed() {
        let start = Instant::now();
        let mut recorder = Recorder::new(LIMITS, start);
        recorder.hear(1, 500, &frame(g711::encode(1_000)), start);
        recorder.hear(2, 9_000_000, &frame(g711::encode(2_000)), start);
        recorder.hear(2, 9_000_960, &frame(g711::encode(2_000)), start + Duration::from_millis(20));
        let mulaw = recorder.finish(EndedBy::Asked, start).mulaw;
        assert_eq!(mulaw.len(), 320);
        assert!((2_900..3_100).contains(&g711::decode(mulaw[0])));
        assert!((1_900..2_100).contains(&g711::decode(mulaw[200])));
    }

    #[test]
    fn it_ends_by_silence_and_by_length() {
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        let mut recorder = Recorder::new(LIMITS, start);
        assert_eq!(recorder.due(after(900)), None);
        recorder.hear(1, 0, &frame(g711::encode(9_000)), after(900));
        recorder.hear(1, 960, &frame(g711::encode(20)), after(1_000));
        assert_eq!(recorder.due(after(1_800)), None);
        assert_eq!(recorder.due(after(1_900)), Some(EndedBy::Silence));
        recorder.hear(1, 9_000 * 48, &[5; 16_000], after(9_900));
        assert_eq!(recorder.due(after(9_950)), Some(EndedBy::Length));
        assert_eq!(recorder.finish(EndedBy::Length, after(9_950)).millis, 10_000);
    }

    #[test]
    fn times_of_a_hostile_end_take_no_memory() {
        let start = Instant::now();
        let mut recorder = Recorder::new(LIMITS, start);
        for time in [0, u64::MAX, 1, u64::MAX / 2, 9 * 48_000, 18 * 48_000, 27 * 48_000] {
            recorder.hear(1, time, &frame(3), start);
        }
        assert!(recorder.finish(EndedBy::Asked, start).mulaw.len() <= 80_000);
    }

    #[test]
    fn the_file_can_be_read_again() {
        for length in [0_usize, 1, 160, 1_601] {
            let mulaw: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let file = wav(&mulaw);
            assert_eq!(file.len() % 2, 0);
            assert_eq!(file.len(), u32::from_le_bytes(file[4..8].try_into().unwrap()) as usize + 8);
            assert_eq!(from_wav(&file), Some(mulaw));
        }
        assert_eq!(from_wav(b"RIFF"), None);
        assert_eq!(from_wav(b"RIFF\x04\0\0\0WAVEfmt \xff\xff\xff\xff"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_no_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = from_wav(&bytes);
            let mut file = wav(&bytes);
            let cut = file.len().saturating_sub(bytes.len() / 2);
            file.truncate(cut);
            let _ = from_wav(&file);
        }
    }
}
