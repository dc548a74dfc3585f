//! The media stream of a call: a WebSocket that the carrier opens to its customer. The phone's sound goes out in frames
//! of 20 ms, silence when nobody speaks; what comes back is played in real time, with marks when it has been heard.

use std::collections::VecDeque;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::Command;
use super::session::Session;
use crate::simulator::message::new_sid;
use crate::simulator::signature;

/// 20 ms of µ-law.
const FRAME: usize = 160;
/// Silence in µ-law.
const SILENCE: u8 = 0xff;
/// Sound that waits to be played: ten seconds; the carrier throws away what is beyond.
const BUFFER_MAX: usize = 80_000;
/// Frames that wait before a phone begins to speak, and again after it had nothing to say: pages are not punctual.
const PATIENCE: usize = 3;
/// How long the customer has to take the socket.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Why a stream is over.
pub(super) enum End {
    /// The socket closed, or never opened.
    Closed,
    /// Somebody wants something that ends it.
    Order(Option<Command>),
}

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

/// What waits to be played.
#[derive(Default)]
struct Playback {
    buffer: VecDeque<u8>,
    /// Marks, and how many bytes are before each.
    marks: VecDeque<(usize, String)>,
}

impl Playback {
    fn push(&mut self, mulaw: &[u8]) {
        let room = BUFFER_MAX.saturating_sub(self.buffer.len());
        self.buffer.extend(mulaw.iter().take(room));
    }

    /// The next 20 ms, and the marks that are reached with it.
    fn play(&mut self) -> (Option<Bytes>, Vec<String>) {
        let count = FRAME.min(self.buffer.len());
        let mut frame: Vec<u8> = self.buffer.drain(..count).collect();
        let mut reached = Vec::new();
        for (before, _) in &mut self.marks {
            *before = before.saturating_sub(count);
        }
        while self.marks.front().is_some_and(|(before, _)| *before == 0) {
            reached.extend(self.marks.pop_front().map(|(_, name)| name));
        }
        frame.resize(if count == 0 { 0 } else { FRAME }, SILENCE);
        ((count > 0).then(|| Bytes::from(frame)), reached)
    }

    /// Throws everything away; outstanding marks come back at once.
    fn clear(&mut self) -> Vec<String> {
        self.buffer.clear();
        self.marks.drain(..).map(|(_, name)| name).collect()
    }
}

struct Stream<'a> {
    session: &'a mut Session,
    socket: Socket,
    sid: String,
    sequence: u64,
    playback: Playback,
    /// Whether what the phone says goes out as it comes.
    speaks: bool,
}

/// Carries a call's sound until the socket closes or somebody wants something else.
pub(super) async fn carry(session: &mut Session, url: &str) -> End {
    let Ok(Some(socket)) = tokio::time::timeout(CONNECT_WITHIN, connect(session, url)).await else {
        return End::Closed;
    };
    let mut stream = Stream {
        session,
        socket,
        sid: new_sid("MZ"),
        sequence: 1,
        playback: Playback::default(),
        speaks: false,
    };
    let end = stream.run().await;
    let (account, call) = (stream.account(), stream.session.placing.sid.clone());
    let stop = json!({ "accountSid": account, "callSid": call });
    // Whoever has closed already does not hear it.
    let _ = stream.send(json!({ "event": "stop", "stop": stop })).await;
    let _ = stream.socket.close(None).await;
    end
}

async fn connect(session: &Session, url: &str) -> Option<Socket> {
    let mut request = url.into_client_request().ok()?;
    let signature = signature::sign(&session.simulator.settings().auth_token, url, &[]);
    request.headers_mut().insert("X-Twilio-Signature", signature.parse().ok()?);
    let (socket, _) = tokio_tungstenite::connect_async(request).await.ok()?;
    Some(socket)
}

impl Stream<'_> {
    fn account(&self) -> String {
        self.session.simulator.settings().account_sid.clone()
    }

    async fn send(&mut self, mut frame: Value) -> bool {
        if let Some(map) = frame.as_object_mut() {
            map.insert("streamSid".to_owned(), self.sid.clone().into());
            map.insert("sequenceNumber".to_owned(), self.sequence.to_string().into());
        }
        self.sequence += 1;
        self.socket.send(Message::text(frame.to_string())).await.is_ok()
    }

    async fn begin(&mut self) -> bool {
        let connected = json!({ "event": "connected", "protocol": "Call", "version": "1.0.0" });
        if self.socket.send(Message::text(connected.to_string())).await.is_err() {
            return false;
        }
        let start = json!({
            "accountSid": self.account(),
            "streamSid": self.sid,
            "callSid": self.session.placing.sid,
            "tracks": ["inbound"],
            "mediaFormat": { "encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1 },
            "customParameters": {},
        });
        self.send(json!({ "event": "start", "start": start })).await
    }

    async fn run(&mut self) -> End {
        if !self.begin().await {
            return End::Closed;
        }
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        // Late ticks are made up for: a frame is 20 ms of somebody's voice.
        tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut chunk = 0u64;
        loop {
            tokio::select! {
                biased;
                order = self.session.ends.orders.recv() => match order {
                    Some(Command::Digits(digits)) => {
                        for digit in digits.chars() {
                            let dtmf = json!({ "track": "inbound_track", "digit": digit.to_string() });
                            if !self.send(json!({ "event": "dtmf", "dtmf": dtmf })).await {
                                return End::Closed;
                            }
                        }
                    }
                    Some(Command::Answer) => {}
                    other => return End::Order(other),
                },
                frame = self.socket.next() => match frame {
                    Some(Ok(Message::Text(text))) => {
                        if !self.take(&text).await {
                            return End::Closed;
                        }
                    }
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return End::Closed,
                    Some(Ok(_)) => {}
                },
                _ = tick.tick() => {
                    chunk += 1;
                    // The time of the sound, not of the clock: a frame follows the one before without gap or overlap.
                    if !self.beat(chunk, chunk.saturating_sub(1) * 20).await {
                        return End::Closed;
                    }
                }
            }
        }
    }

    /// 20 ms: something is said, something is heard.
    async fn beat(&mut self, chunk: u64, timestamp: u64) -> bool {
        let microphone = &mut self.session.ends.microphone;
        self.speaks = (self.speaks && !microphone.is_empty()) || microphone.len() >= PATIENCE;
        let said = if self.speaks { microphone.try_recv().ok() } else { None };
        let spoken = said.map_or_else(|| STANDARD.encode([SILENCE; FRAME]), |frame| STANDARD.encode(&frame));
        let media = json!({
            "track": "inbound",
            "chunk": chunk.to_string(),
            "timestamp": timestamp.to_string(),
            "payload": spoken,
        });
        if !self.send(json!({ "event": "media", "media": media })).await {
            return false;
        }
        let (frame, reached) = self.playback.play();
        if let Some(frame) = frame {
            // Nobody may listen.
            let _ = self.session.ends.heard.send(frame);
        }
        self.mark(reached).await
    }

    async fn mark(&mut self, names: Vec<String>) -> bool {
        for name in names {
            if !self.send(json!({ "event": "mark", "mark": { "name": name } })).await {
                return false;
            }
        }
        true
    }

    /// Takes one frame of the customer's; a malformed one ends the stream, as the carrier warns.
    async fn take(&mut self, text: &str) -> bool {
        let Ok(frame) = serde_json::from_str::<Value>(text) else { return false };
        let text = |at: &str| frame.pointer(at).and_then(Value::as_str);
        if text("/streamSid") != Some(&self.sid) {
            return false;
        }
        match text("/event") {
            Some("media") => {
                let payload = text("/media/payload").and_then(|text| STANDARD.decode(text).ok());
                let Some(mulaw) = payload else { return false };
                self.playback.push(&mulaw);
                true
            }
            Some("mark") => {
                let Some(name) = text("/mark/name") else { return false };
                self.playback.marks.push_back((self.playback.buffer.len(), name.to_owned()));
                true
            }
            Some("clear") => {
                let names = self.playback.clear();
                self.mark(names).await
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_come_back_when_what_was_before_them_has_been_played() {
        let mut playback = Playback::default();
        playback.push(&[1; 320]);
        playback.marks.push_back((320, "a".to_owned()));
        playback.push(&[2; 160]);
        playback.marks.push_back((480, "b".to_owned()));
        assert_eq!(playback.play().1, Vec::<String>::new());
        assert_eq!(playback.play().1, ["a"]);
        assert_eq!(playback.clear(), ["b"]);
        assert_eq!(playback.play(), (None, Vec::new()));
    }
}
