//! Sound in the JSON frames of media sockets: base64 of G.711 µ-law.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::ParseError;

/// Sound in one frame at most: a second.
const AUDIO_BYTES_MAX: usize = 8_000;

/// Reads the sound of a frame.
pub(super) fn decode(payload: &str) -> Result<Vec<u8>, ParseError> {
    if payload.len() > AUDIO_BYTES_MAX * 4 / 3 + 4 {
        return Err(ParseError("more sound than a frame has".to_owned()));
    }
    STANDARD.decode(payload).map_err(|_| ParseError("sound is not base64".to_owned()))
}

/// A frame with sound between what comes before and after it, which is not escaped: fifty times a second.
pub(super) fn framed(before: &str, mulaw: &[u8], after: &str) -> String {
    let mut frame = String::with_capacity(mulaw.len() * 4 / 3 + before.len() + after.len() + 4);
    frame.push_str(before);
    STANDARD.encode_string(mulaw, &mut frame);
    frame.push_str(after);
    frame
}
