//! Media streams: JSON text frames with base64 µ-law (`rtp` mode, PCMU). All numbers in what comes are strings.

use serde::Deserialize;
use serde_json::json;

use crate::carriers::ParseError;
use crate::carriers::sound::{self, Dtmf, Mark, Media, unreadable};
use crate::carriers::voice::{FromWire, MediaWire, ToWire, WireFrame};

/// One stream. What goes out names no stream.
pub(super) struct MediaStream;

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
struct Start<'a> {
    call_control_id: &'a str,
    #[serde(borrow, default)]
    media_format: Option<Format<'a>>,
}

#[derive(Deserialize)]
struct Format<'a> {
    encoding: &'a str,
}

impl MediaWire for MediaStream {
    fn read(&mut self, frame: &str) -> Result<FromWire, ParseError> {
        let frame: Frame<'_> =
            serde_json::from_str(frame).map_err(|_| unreadable("a media frame is not readable"))?;
        match frame.event {
            "start" => {
                let start = frame.start.ok_or_else(|| unreadable("start without its facts"))?;
                if start.media_format.is_some_and(|format| format.encoding != "PCMU") {
                    return Err(unreadable("the stream is not PCMU"));
                }
                Ok(FromWire::Started { carrier_call_id: start.call_control_id.to_owned() })
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
        Some(WireFrame::Text(match out {
            ToWire::Audio(mulaw) => {
                sound::framed(r#"{"event":"media","media":{"payload":""#, mulaw, r#""}}"#)
            }
            ToWire::Mark(name) => json!({ "event": "mark", "mark": { "name": name } }).to_string(),
            ToWire::Clear => r#"{"event":"clear"}"#.to_owned(),
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
        let mut wire = MediaStream;
        let table = [
            (r#"{"event":"connected","version":"1.0.0"}"#, FromWire::Nothing),
            (
                r#"{"event":"start","sequence_number":"1","stream_id":"32DE","start":{"user_id":"3E6F","call_control_id":"v2:T02","call_session_id":"ff55","from":"+13122010094","to":"+13122123456","tags":[],"client_state":"aGF2","custom_parameters":{},"media_format":{"encoding":"PCMU","sample_rate":8000,"channels":1}}}"#,
                FromWire::Started { carrier_call_id: "v2:T02".to_owned() },
            ),
            (
                r#"{"event":"media","sequence_number":"4","media":{"track":"inbound","chunk":"2","timestamp":"25","payload":"AQID"},"stream_id":"32DE"}"#,
                FromWire::Audio { timestamp_ms: 25, mulaw: vec![1, 2, 3] },
            ),
            (r#"{"event":"media","media":{"track":"outbound","payload":"AQID"}}"#, FromWire::Nothing),
            (
                r#"{"event":"dtmf","stream_id":"32DE","occurred_at":"x","sequence_number":"5","dtmf":{"digit":"1"}}"#,
                FromWire::Digit('1'),
            ),
            (
                r#"{"event":"mark","sequence_number":"9","stream_id":"32DE","mark":{"name":"m1"}}"#,
                FromWire::Mark("m1".to_owned()),
            ),
            (
                r#"{"event":"error","stream_id":"32DE","payload":{"code":100005,"title":"rate_limit_reached"}}"#,
                FromWire::Nothing,
            ),
            (r#"{"event":"stop","stop":{"user_id":"3E6F","call_control_id":"v2:T02"}}"#, FromWire::Stopped),
        ];
        for (frame, wanted) in table {
            assert_eq!(wire.read(frame).unwrap(), wanted, "{frame}");
        }
        let opus =
            r#"{"event":"start","start":{"call_control_id":"v2:T02","media_format":{"encoding":"OPUS"}}}"#;
        for bad in
            ["", "{}", "[1]", r#"{"event":"media"}"#, r#"{"event":"media","media":{"payload":"!"}}"#, opus]
        {
            assert!(wire.read(bad).is_err(), "{bad}");
        }
        let media = r#"{"event":"media","media":{"payload":"AQID"}}"#.to_owned();
        assert_eq!(wire.write(&ToWire::Audio(&[1, 2, 3])), Some(WireFrame::Text(media)));
        assert_eq!(wire.write(&ToWire::Digit('1')), None);
    }
}
