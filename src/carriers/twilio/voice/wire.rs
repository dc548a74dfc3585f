//! Media Streams: JSON text frames with base64 µ-law. All numbers in them are strings.

use serde::Deserialize;
use serde_json::json;

use crate::carriers::ParseError;
use crate::carriers::sound::{self, Dtmf, Mark, Media, unreadable};
use crate::carriers::voice::{FromWire, MediaWire, ToWire, WireFrame};

/// One stream.
#[derive(Default)]
pub(super) struct MediaStream {
    /// Known from the start frame on; nothing can be written before.
    stream_sid: Option<String>,
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
    mark: Option<Mark>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Start<'a> {
    stream_sid: &'a str,
    call_sid: &'a str,
}

impl MediaWire for MediaStream {
    fn read(&mut self, frame: &str) -> Result<FromWire, ParseError> {
        let frame: Frame<'_> =
            serde_json::from_str(frame).map_err(|_| unreadable("a media frame is not readable"))?;
        match frame.event {
            "start" => {
                let start = frame.start.ok_or_else(|| unreadable("start without its facts"))?;
                self.stream_sid = Some(start.stream_sid.to_owned());
                Ok(FromWire::Started { carrier_call_id: start.call_sid.to_owned() })
            }
            "media" => {
                let media = frame.media.ok_or_else(|| unreadable("media without sound"))?;
                if media.is_ours() {
                    return Ok(FromWire::Nothing);
                }
                Ok(FromWire::Audio { timestamp_ms: media.at_ms(), mulaw: media.mulaw()? })
            }
            "dtmf" => Ok(sound::digit(frame.dtmf)),
            "mark" => Ok(sound::mark(frame.mark)),
            "stop" => Ok(FromWire::Stopped),
            _ => Ok(FromWire::Nothing),
        }
    }

    fn write(&mut self, out: &ToWire<'_>) -> Option<WireFrame> {
        let sid = self.stream_sid.as_deref()?;
        let text = match out {
            // The sid comes from the carrier.
            ToWire::Audio(mulaw) => {
                let sid = serde_json::Value::from(sid);
                let before = format!(r#"{{"event":"media","streamSid":{sid},"media":{{"payload":""#);
                sound::framed(&before, mulaw, r#""}}"#)
            }
            ToWire::Mark(name) => {
                json!({ "event": "mark", "streamSid": sid, "mark": { "name": name } }).to_string()
            }
            ToWire::Clear => json!({ "event": "clear", "streamSid": sid }).to_string(),
            // A stream takes no digits; the switchboard plays their tones.
            ToWire::Digit(_) => return None,
        };
        Some(WireFrame::Text(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_as_documented() {
        let mut wire = MediaStream::default();
        assert_eq!(wire.write(&ToWire::Audio(&[1, 2])), None, "no stream yet");
        let table = [
            (r#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#, FromWire::Nothing),
            (
                r#"{"event":"start","sequenceNumber":"1","start":{"accountSid":"AC1","streamSid":"MZ1","callSid":"CA1","tracks":["inbound"],"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1},"customParameters":{}},"streamSid":"MZ1"}"#,
                FromWire::Started { carrier_call_id: "CA1".to_owned() },
            ),
            (
                r#"{"event":"media","sequenceNumber":"3","media":{"track":"inbound","chunk":"1","timestamp":"25","payload":"AQID"},"streamSid":"MZ1"}"#,
                FromWire::Audio { timestamp_ms: 25, mulaw: vec![1, 2, 3] },
            ),
            (
                r#"{"event":"media","media":{"track":"outbound","payload":"AQID"},"streamSid":"MZ1"}"#,
                FromWire::Nothing,
            ),
            (
                r#"{"event":"dtmf","streamSid":"MZ1","sequenceNumber":"5","dtmf":{"track":"inbound_track","digit":"5"}}"#,
                FromWire::Digit('5'),
            ),
            (
                r#"{"event":"mark","sequenceNumber":"4","streamSid":"MZ1","mark":{"name":"m1"}}"#,
                FromWire::Mark("m1".to_owned()),
            ),
            (r#"{"event":"stop","stop":{"accountSid":"AC1","callSid":"CA1"}}"#, FromWire::Stopped),
        ];
        for (frame, wanted) in table {
            assert_eq!(wire.read(frame).unwrap(), wanted, "{frame}");
        }
        let media = r#"{"event":"media","streamSid":"MZ1","media":{"payload":"AQID"}}"#.to_owned();
        assert_eq!(wire.write(&ToWire::Audio(&[1, 2, 3])), Some(WireFrame::Text(media)));
        let clear = r#"{"event":"clear","streamSid":"MZ1"}"#.to_owned();
        assert_eq!(wire.write(&ToWire::Clear), Some(WireFrame::Text(clear)));
        for bad in ["", "{}", "[1]", r#"{"event":"media"}"#, r#"{"event":"media","media":{"payload":"!"}}"#] {
            assert!(wire.read(bad).is_err(), "{bad}");
        }
    }
}
