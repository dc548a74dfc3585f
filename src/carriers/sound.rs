//! Sound in the JSON frames of media sockets: base64 of G.711 µ-law, and what several wires wrap it in.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use serde::Deserialize;

use super::ParseError;
use super::voice::FromWire;

/// Sound in one frame at most: a second.
const AUDIO_BYTES_MAX: usize = 8_000;

/// A frame's sound, with its time in milliseconds as text.
#[derive(Deserialize)]
pub(super) struct Media<'a> {
    #[serde(default)]
    track: Option<&'a str>,
    #[serde(default)]
    timestamp: Option<&'a str>,
    payload: &'a str,
}

impl Media<'_> {
    /// Our own sound may come back when both tracks are asked for.
    pub(super) fn is_ours(&self) -> bool {
        self.track.is_some_and(|track| track.starts_with("outbound"))
    }

    /// When, by the carrier's clock.
    pub(super) fn at_ms(&self) -> u64 {
        self.timestamp.and_then(|ms| ms.parse().ok()).unwrap_or(0)
    }

    /// The sound.
    pub(super) fn mulaw(&self) -> Result<Vec<u8>, ParseError> {
        decode(self.payload)
    }
}

/// A frame's key.
#[derive(Deserialize)]
pub(super) struct Dtmf<'a> {
    digit: &'a str,
}

/// The key that was pressed, if the frame says which.
pub(super) fn digit(dtmf: Option<Dtmf<'_>>) -> FromWire {
    dtmf.and_then(|dtmf| dtmf.digit.chars().next()).map_or(FromWire::Nothing, FromWire::Digit)
}

/// A frame's mark.
#[derive(Deserialize)]
pub(super) struct Mark {
    name: String,
}

/// The mark that was reached, if the frame says which.
pub(super) fn mark(mark: Option<Mark>) -> FromWire {
    mark.map_or(FromWire::Nothing, |mark| FromWire::Mark(mark.name))
}

/// What is wrong with a frame.
pub(super) fn unreadable(what: &str) -> ParseError {
    ParseError(what.to_owned())
}

/// Reads the sound of a frame.
pub(super) fn decode(payload: &str) -> Result<Vec<u8>, ParseError> {
    if payload.len() > AUDIO_BYTES_MAX * 4 / 3 + 4 {
        return Err(unreadable("more sound than a frame has"));
    }
    STANDARD.decode(payload).map_err(|_| unreadable("sound is not base64"))
}

/// A frame with sound between what comes before and after it, which is not escaped: fifty times a second.
pub(super) fn framed(before: &str, mulaw: &[u8], after: &str) -> String {
    let mut frame = String::with_capacity(mulaw.len() * 4 / 3 + before.len() + after.len() + 4);
    frame.push_str(before);
    STANDARD.encode_string(mulaw, &mut frame);
    frame.push_str(after);
    frame
}
