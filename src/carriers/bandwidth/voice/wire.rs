//! Media streams: JSON text frames with base64 µ-law. Nothing tells what has been played.

use serde::Deserialize;

use crate::carriers::ParseError;
use crate::carriers::sound::{self, unreadable};
use crate::carriers::voice::{FromWire, MediaWire, ToWire, WireFrame};

/// Samples of a millisecond.
const MILLI_SAMPLES: u64 = 8;

/// One stream.
#[derive(Default)]
pub(super) struct MediaStream {
    /// What came: frames say no time.
    samples: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Frame<'a> {
    event_type: &'a str,
    #[serde(borrow, default)]
    metadata: Option<Metadata<'a>>,
    #[serde(default)]
    track: Option<&'a str>,
    #[serde(default)]
    payload: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    call_id: &'a str,
}

impl MediaWire for MediaStream {
    fn read(&mut self, frame: &str) -> Result<FromWire, ParseError> {
        let frame: Frame<'_> =
            serde_json::from_str(frame).map_err(|_| unreadable("a media frame is not readable"))?;
        match frame.event_type {
            "start" => {
                let facts = frame.metadata.ok_or_else(|| unreadable("start without its facts"))?;
                Ok(FromWire::Started { carrier_call_id: facts.call_id.to_owned() })
            }
            "media" => {
                if frame.track.is_some_and(|track| track == "outbound") {
                    return Ok(FromWire::Nothing);
                }
                let payload = frame.payload.ok_or_else(|| unreadable("media without sound"))?;
                let mulaw = sound::decode(payload)?;
                let timestamp_ms = self.samples / MILLI_SAMPLES;
                self.samples = self.samples.wrapping_add(mulaw.len() as u64);
                Ok(FromWire::Audio { timestamp_ms, mulaw })
            }
            "stop" => Ok(FromWire::Stopped),
            _ => Ok(FromWire::Nothing),
        }
    }

    fn write(&mut self, out: &ToWire<'_>) -> Option<WireFrame> {
        Some(WireFrame::Text(match out {
            ToWire::Audio(mulaw) => sound::framed(
                r#"{"eventType":"playAudio","media":{"contentType":"audio/pcmu","payload":""#,
                mulaw,
                r#""}}"#,
            ),
            ToWire::Clear => r#"{"eventType":"clear"}"#.to_owned(),
            // There are no marks, and the tones of keys are played by the switchboard.
            ToWire::Mark(_) | ToWire::Digit(_) => return None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_as_documented() {
        let mut wire = MediaStream::default();
        let table = [
            (
                r#"{"eventType":"start","metadata":{"accountId":"5555555","callId":"c-1","streamId":"s-1","streamName":"sound","tracks":[{"name":"inbound","mediaFormat":{"encoding":"PCMU","sampleRate":8000}}]},"streamParams":{"call":"c-1"}}"#,
                FromWire::Started { carrier_call_id: "c-1".to_owned() },
            ),
            (
                r#"{"eventType":"media","track":"inbound","sequenceNumber":1,"payload":"AQIDBAUGBwgJCgsMDQ4PEA=="}"#,
                FromWire::Audio { timestamp_ms: 0, mulaw: (1..=16).collect() },
            ),
            (
                r#"{"eventType":"media","track":"inbound","sequenceNumber":2,"payload":"AQID"}"#,
                FromWire::Audio { timestamp_ms: 2, mulaw: vec![1, 2, 3] },
            ),
            (r#"{"eventType":"media","track":"outbound","payload":"AQID"}"#, FromWire::Nothing),
            (r#"{"eventType":"stop","metadata":{"callId":"c-1"}}"#, FromWire::Stopped),
        ];
        for (frame, wanted) in table {
            assert_eq!(wire.read(frame).unwrap(), wanted, "{frame}");
        }
        for bad in ["", "{}", "[1]", r#"{"eventType":"media"}"#, r#"{"eventType":"start"}"#] {
            assert!(wire.read(bad).is_err(), "{bad}");
        }
        let play = r#"{"eventType":"playAudio","media":{"contentType":"audio/pcmu","payload":"AQID"}}"#;
        assert_eq!(wire.write(&ToWire::Audio(&[1, 2, 3])), Some(WireFrame::Text(play.to_owned())));
        assert_eq!((wire.write(&ToWire::Mark("t1")), wire.write(&ToWire::Digit('1'))), (None, None));
    }
}
