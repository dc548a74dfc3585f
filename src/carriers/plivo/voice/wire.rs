//! Audio streams: JSON text frames with base64 µ-law.

use serde::Deserialize;
use serde_json::json;

use crate::carriers::ParseError;
use crate::carriers::sound::{self, Dtmf, Media, unreadable};
use crate::carriers::voice::{FromWire, MediaWire, ToWire, WireFrame};

/// One stream.
#[derive(Default)]
pub(super) struct AudioStream {
    /// Known from the start frame on; nothing can be written before.
    stream_id: Option<String>,
    /// When the first sound was heard: frames say the time of day.
    began: Option<u64>,
}

#[derive(Deserialize)]
struct Frame<'a> {
    event: &'a str,
    #[serde(borrow, default)]
    start: Option<Start<'a>>,
    #[serde(borrow, default)]
    media: Option<Media<'a>>,
    #[serde(borrow, default)]
    dtmf: Option<Dtmf<'a>>,
    #[serde(default)]
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Start<'a> {
    call_id: &'a str,
    stream_id: &'a str,
    #[serde(borrow, default)]
    media_format: Option<Format<'a>>,
}

#[derive(Deserialize)]
struct Format<'a> {
    encoding: &'a str,
}

impl MediaWire for AudioStream {
    fn read(&mut self, frame: &str) -> Result<FromWire, ParseError> {
        let frame: Frame<'_> =
            serde_json::from_str(frame).map_err(|_| unreadable("a media frame is not readable"))?;
        match frame.event {
            "start" => {
                let start = frame.start.ok_or_else(|| unreadable("start without its facts"))?;
                if start.media_format.is_some_and(|format| format.encoding != "audio/x-mulaw") {
                    return Err(unreadable("the stream is not µ-law"));
                }
                self.stream_id = Some(start.stream_id.to_owned());
                Ok(FromWire::Started { carrier_call_id: start.call_id.to_owned() })
            }
            "media" => {
                let media = frame.media.ok_or_else(|| unreadable("media without sound"))?;
                if media.is_ours() {
                    return Ok(FromWire::Nothing);
                }
                let at = media.at_ms();
                let timestamp_ms = at.saturating_sub(*self.began.get_or_insert(at));
                Ok(FromWire::Audio { timestamp_ms, mulaw: media.mulaw()? })
            }
            "dtmf" => Ok(sound::digit(frame.dtmf)),
            "playedStream" => Ok(frame.name.map_or(FromWire::Nothing, FromWire::Mark)),
            "stop" => Ok(FromWire::Stopped),
            _ => Ok(FromWire::Nothing),
        }
    }

    fn write(&mut self, out: &ToWire<'_>) -> Option<WireFrame> {
        let id = self.stream_id.as_deref()?;
        Some(WireFrame::Text(match out {
            ToWire::Audio(mulaw) => sound::framed(
                r#"{"event":"playAudio","media":{"contentType":"audio/x-mulaw","sampleRate":8000,"payload":""#,
                mulaw,
                r#""}}"#,
            ),
            ToWire::Mark(name) => json!({ "event": "checkpoint", "streamId": id, "name": name }).to_string(),
            ToWire::Clear => json!({ "event": "clearAudio", "streamId": id }).to_string(),
            // A stream takes no digits; the switchboard plays their tones.
            ToWire::Digit(_) => return None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_as_documented() {
        let mut wire = AudioStream::default();
        assert_eq!(wire.write(&ToWire::Clear), None, "no stream yet");
        let table = [
            (
                r#"{"sequenceNumber":0,"event":"start","start":{"callId":"c-1","streamId":"s-1","accountId":"1","tracks":["inbound"],"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000}},"extra_headers":"{}"}"#,
                FromWire::Started { carrier_call_id: "c-1".to_owned() },
            ),
            (
                r#"{"sequenceNumber":1,"streamId":"s-1","event":"media","media":{"track":"inbound","timestamp":"1700000000000","chunk":1,"payload":"AQID"}}"#,
                FromWire::Audio { timestamp_ms: 0, mulaw: vec![1, 2, 3] },
            ),
            (
                r#"{"sequenceNumber":2,"streamId":"s-1","event":"media","media":{"track":"inbound","timestamp":"1700000000020","chunk":2,"payload":"AQID"}}"#,
                FromWire::Audio { timestamp_ms: 20, mulaw: vec![1, 2, 3] },
            ),
            (
                r#"{"event":"dtmf","streamId":"s-1","sequenceNumber":2,"dtmf":{"track":"inbound","digit":"5","timestamp":"1"}}"#,
                FromWire::Digit('5'),
            ),
            (r#"{"event":"playedStream","streamId":"s-1","name":"t1"}"#, FromWire::Mark("t1".to_owned())),
            (r#"{"event":"clearedAudio","streamId":"s-1"}"#, FromWire::Nothing),
            (r#"{"event":"stop","reason":"x"}"#, FromWire::Stopped),
        ];
        for (frame, wanted) in table {
            assert_eq!(wire.read(frame).unwrap(), wanted, "{frame}");
        }
        let linear = r#"{"event":"start","start":{"callId":"c","streamId":"s","mediaFormat":{"encoding":"audio/x-l16"}}}"#;
        for bad in ["", "{}", "[1]", r#"{"event":"media"}"#, linear] {
            assert!(wire.read(bad).is_err(), "{bad}");
        }
        let play = r#"{"event":"playAudio","media":{"contentType":"audio/x-mulaw","sampleRate":8000,"payload":"AQID"}}"#;
        assert_eq!(wire.write(&ToWire::Audio(&[1, 2, 3])), Some(WireFrame::Text(play.to_owned())));
        let clear = r#"{"event":"clearAudio","streamId":"s-1"}"#.to_owned();
        assert_eq!(wire.write(&ToWire::Clear), Some(WireFrame::Text(clear)));
    }
}
