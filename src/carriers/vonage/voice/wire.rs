//! The socket of a WebSocket endpoint: binary frames of 20 ms of linear sound (16 bits, little-endian, 8 kHz) and JSON
//! text frames.

use serde::Deserialize;
use serde_json::json;

use crate::carriers::ParseError;
use crate::carriers::sound::unreadable;
use crate::carriers::voice::{FromWire, MediaWire, ToWire, WireFrame};
use crate::media::g711;

/// Bytes of a second.
const SECOND_BYTES: usize = 16_000;
/// Bytes of a millisecond.
const MILLI_BYTES: u64 = 16;

/// One socket.
#[derive(Default)]
pub(super) struct LinearSocket {
    /// What came: frames say no time.
    bytes: u64,
}

#[derive(Deserialize)]
struct Frame {
    event: String,
    #[serde(default)]
    call: Option<String>,
    #[serde(default)]
    digit: Option<String>,
    #[serde(default)]
    payload: Option<Payload>,
    #[serde(default, rename = "content-type")]
    content_type: Option<String>,
}

#[derive(Deserialize)]
struct Payload {
    #[serde(default)]
    mark: Option<String>,
}

impl MediaWire for LinearSocket {
    fn read(&mut self, frame: &str) -> Result<FromWire, ParseError> {
        let frame: Frame =
            serde_json::from_str(frame).map_err(|_| unreadable("a media frame is not readable"))?;
        Ok(match frame.event.as_str() {
            "websocket:connected" => {
                if frame.content_type.is_some_and(|kind| !kind.ends_with("rate=8000")) {
                    return Err(unreadable("the sound is not at 8 kHz"));
                }
                // Our own header, from the document.
                FromWire::Started { carrier_call_id: frame.call.unwrap_or_default() }
            }
            "websocket:dtmf" => {
                let digit = frame.digit.and_then(|digit| digit.chars().next());
                digit.map_or(FromWire::Nothing, FromWire::Digit)
            }
            "websocket:notify" => {
                let mark = frame.payload.and_then(|payload| payload.mark);
                mark.map_or(FromWire::Nothing, FromWire::Mark)
            }
            _ => FromWire::Nothing,
        })
    }

    fn read_binary(&mut self, frame: &[u8]) -> Result<FromWire, ParseError> {
        if frame.len() > SECOND_BYTES || !frame.len().is_multiple_of(2) {
            return Err(unreadable("a frame is no sound"));
        }
        let timestamp_ms = self.bytes / MILLI_BYTES;
        self.bytes = self.bytes.wrapping_add(frame.len() as u64);
        let sample = |pair: &[u8]| <[u8; 2]>::try_from(pair).map_or(0, i16::from_le_bytes);
        let mulaw = frame.chunks_exact(2).map(|pair| g711::encode(sample(pair))).collect();
        Ok(FromWire::Audio { timestamp_ms, mulaw })
    }

    fn write(&mut self, out: &ToWire<'_>) -> Option<WireFrame> {
        Some(match out {
            ToWire::Audio(mulaw) => {
                let linear = mulaw.iter().flat_map(|code| g711::decode(*code).to_le_bytes()).collect();
                WireFrame::Binary(linear)
            }
            ToWire::Mark(name) => {
                WireFrame::Text(json!({ "action": "notify", "payload": { "mark": name } }).to_string())
            }
            ToWire::Clear => WireFrame::Text(r#"{"action":"clear"}"#.to_owned()),
            // A socket takes no digits; the switchboard plays their tones.
            ToWire::Digit(_) => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_as_documented() {
        let mut wire = LinearSocket::default();
        let table = [
            (
                r#"{"event":"websocket:connected","content-type":"audio/l16;rate=8000","caller-id":"447700900123","call":"u-1"}"#,
                FromWire::Started { carrier_call_id: "u-1".to_owned() },
            ),
            (r#"{"event":"websocket:dtmf","digit":"5","duration":260}"#, FromWire::Digit('5')),
            (r#"{"event":"websocket:notify","payload":{"mark":"t1"}}"#, FromWire::Mark("t1".to_owned())),
            (r#"{"event":"websocket:cleared"}"#, FromWire::Nothing),
        ];
        for (frame, wanted) in table {
            assert_eq!(wire.read(frame).unwrap(), wanted, "{frame}");
        }
        for bad in ["", "[]", r#"{"event":"websocket:connected","content-type":"audio/l16;rate=16000"}"#] {
            assert!(wire.read(bad).is_err(), "{bad}");
        }
        assert!(wire.read_binary(&[0; 3]).is_err() && wire.read_binary(&[0; 16_002]).is_err());
    }

    #[test]
    fn sound_survives_both_ways() {
        let mut wire = LinearSocket::default();
        let mulaw: Vec<u8> = (0..160).map(|n| g711::encode((n * 150 - 12_000) as i16)).collect();
        let Some(WireFrame::Binary(linear)) = wire.write(&ToWire::Audio(&mulaw)) else { panic!() };
        assert_eq!(linear.len(), 320, "20 ms, neither more nor less");
        let times: Vec<u64> = (0..3)
            .map(|_| {
                let Ok(FromWire::Audio { timestamp_ms, mulaw: back }) = wire.read_binary(&linear) else {
                    panic!()
                };
                assert_eq!(back, mulaw);
                timestamp_ms
            })
            .collect();
        assert_eq!(times, [0, 20, 40]);
    }
}
