//! Calls, in our words: what a carrier tells of them, what it shall do with them, and the sound that it sends and takes
//! over a socket of its own. A carrier that can do this answers [`Carrier::voice`](super::Carrier::voice).
//!
//! A call that comes in is answered with steps. Sound travels over a socket that the carrier opens to the address in
//! [`Step::Sound`]; when either side closes it, the carrier goes on with the next step, which is always
//! [`Step::GoTo`]: it asks us again, and we answer by where the call stands now. A carrier that takes no document but one
//! command after the other brings the steps that are left along with its callbacks ([`CallEvent::Go`]).

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{BadSignature, CallbackRequest, ParseError, SendError};
use crate::ids::CallLegId;
use crate::phone::{E164, RemoteParty};
use crate::texts::Locale;

/// A call that comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncomingCall {
    /// The carrier's name for it; the same when it asks again.
    pub carrier_call_id: String,
    /// Who calls.
    pub from: RemoteParty,
    /// Our number.
    pub to: E164,
    /// Whether the caller's number is his, as the network says: SHAKEN attestation `A`, `B` or `C` when it was verified.
    pub attestation: Option<char>,
    /// The number that was dialled first, when the call was forwarded to us.
    pub forwarded_from: Option<E164>,
}

/// How far a call that we asked for has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// On its way.
    Dialling,
    /// It rings.
    Ringing,
    /// It was picked up.
    Answered,
}

/// How a carrier's call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallEnd {
    /// After it was answered.
    Completed,
    /// The line is busy, or the person declined.
    Busy,
    /// Nobody picked up.
    NoAnswer,
    /// We took it back.
    Cancelled,
    /// It could not be set up.
    Failed,
}

/// A carrier's word on a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallNews {
    /// The carrier's name for the call.
    pub carrier_call_id: String,
    /// Our own name for it, which travelled with the address.
    pub reference: Option<CallLegId>,
    /// Its place among all words on this call, where the carrier counts them.
    pub sequence: Option<i32>,
    /// What it is.
    pub what: CallWord,
}

/// What a carrier says of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallWord {
    /// It comes along.
    Progress(Progress),
    /// It is over.
    Ended(CallEnd),
}

/// What a carrier tells us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallEvent {
    /// A call comes in and waits for our answer.
    Incoming(IncomingCall),
    /// News of one.
    News(CallNews),
    /// A call that we hold asks what next.
    Next(NextStep),
    /// A call goes on with what it was told before.
    Go {
        /// The carrier's name for the call.
        carrier_call_id: String,
        /// What else is new.
        news: Option<CallNews>,
        /// What is left of it.
        steps: Vec<Step>,
    },
    /// A key was pressed on a telephone, where the socket for its sound does not say so.
    Key {
        /// The carrier's name for the call.
        carrier_call_id: String,
        /// Which.
        digit: char,
    },
    /// Nothing that concerns us.
    Nothing,
}

impl CallEvent {
    /// The carrier's name for the call; empty when it does not matter.
    pub fn carrier_call_id(&self) -> &str {
        match self {
            CallEvent::Incoming(call) => &call.carrier_call_id,
            CallEvent::News(news) => &news.carrier_call_id,
            CallEvent::Next(next) => &next.carrier_call_id,
            CallEvent::Go { carrier_call_id, .. } | CallEvent::Key { carrier_call_id, .. } => carrier_call_id,
            CallEvent::Nothing => "",
        }
    }
}

/// A call that we hold asks what next, perhaps with the digits that were typed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NextStep {
    /// The carrier's name for the call.
    pub carrier_call_id: String,
    /// Our own name for it, which travelled with the address or with the call.
    pub reference: Option<CallLegId>,
    /// What was typed, if that was asked for.
    pub digits: Option<String>,
    /// The address in [`Step::Ask`], when the carrier answers at another one.
    pub asked_at: Option<String>,
}

/// Our own name for a call in an address that a carrier calls: `…?ref=leg_…`, or `…/voice/leg_…/next`.
pub fn reference_of(url: &str) -> Option<CallLegId> {
    let url = url.split('#').next().unwrap_or_default();
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let named = query.split('&').find_map(|pair| pair.strip_prefix("ref=")?.parse().ok());
    named.or_else(|| path.strip_suffix("/next")?.rsplit('/').next()?.parse().ok())
}

/// An address with our own name for a call.
pub fn with_reference(url: &str, id: CallLegId) -> String {
    let mark = if url.contains('?') { '&' } else { '?' };
    format!("{url}{mark}ref={id}")
}

/// A call that is told what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldCall<'a> {
    /// The carrier's name for it.
    pub carrier_call_id: &'a str,
    /// It comes in, and nobody has answered it yet.
    pub is_new: bool,
}

/// One thing that a carrier shall do with a call; after the last one it hangs up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Speak.
    Say {
        /// What.
        text: String,
        /// In which language.
        locale: Locale,
    },
    /// Wait.
    Pause {
        /// How long.
        seconds: u8,
    },
    /// Send us the sound and play ours, until one side closes the socket.
    Sound {
        /// Where the carrier opens the socket, `wss://…` without a query.
        url: String,
    },
    /// Speak and take what is typed; without any digits the next step follows.
    Ask {
        /// What to say.
        text: String,
        /// In which language.
        locale: Locale,
        /// Where the digits go.
        url: String,
        /// How many there are at most.
        digits_max: u8,
        /// How long it waits for each.
        seconds: u8,
    },
    /// Ask us again.
    GoTo {
        /// Where.
        url: String,
    },
    /// Do not answer the call, so that it costs nobody anything. Only alone.
    Reject {
        /// Whether the caller hears that the line is busy.
        busy: bool,
    },
    /// Hang up.
    HangUp,
}

/// Steps in the carrier's language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its media type.
    pub content_type: &'static str,
    /// The document.
    pub body: String,
}

/// A call that a carrier shall make.
#[derive(Clone, PartialEq, Eq)]
pub struct CallToMake {
    /// Our name for it; comes back with every word on it.
    pub id: CallLegId,
    /// Our number.
    pub from: E164,
    /// The handset.
    pub to: E164,
    /// What happens when it is picked up.
    pub steps: Vec<Step>,
    /// Where news of it go, without the reference.
    pub status_callback: String,
    /// How long it may ring.
    pub ring_seconds: u16,
    /// How long it may last.
    pub seconds_max: u32,
}

impl CallToMake {
    /// Where the call asks what to do, for carriers that ask when it is picked up.
    pub fn next_address(&self) -> Option<&str> {
        self.steps.iter().find_map(|step| match step {
            Step::GoTo { url } => Some(url.as_str()),
            _ => None,
        })
    }
}

/// Something that came over a carrier's media socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromWire {
    /// The stream begins.
    Started {
        /// Which call the carrier says it is.
        carrier_call_id: String,
    },
    /// Sound of the caller.
    Audio {
        /// Since the stream began.
        timestamp_ms: u64,
        /// µ-law, 8 kHz.
        mulaw: Vec<u8>,
    },
    /// He typed a digit.
    Digit(char),
    /// What we sent before the mark has been played.
    Mark(String),
    /// The stream is over.
    Stopped,
    /// Nothing of interest.
    Nothing,
}

/// Something for a carrier's media socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToWire<'a> {
    /// Sound to play, µ-law at 8 kHz.
    Audio(&'a [u8]),
    /// Tell us when everything before it has been played.
    Mark(&'a str),
    /// Throw away what has not been played.
    Clear,
    /// A digit, where the carrier can send one.
    Digit(char),
}

/// A frame for a carrier's media socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WireFrame {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
}

/// A carrier's way of wrapping sound; one value for each socket.
pub trait MediaWire: Send {
    /// Reads one text frame.
    fn read(&mut self, frame: &str) -> Result<FromWire, ParseError>;

    /// Reads one binary frame, on wires that have them.
    fn read_binary(&mut self, _frame: &[u8]) -> Result<FromWire, ParseError> {
        Ok(FromWire::Nothing)
    }

    /// Writes one frame; `None` when the carrier has no way to say it, or not yet.
    fn write(&mut self, out: &ToWire<'_>) -> Option<WireFrame>;
}

/// What a carrier that does calls can do.
#[async_trait]
pub trait Voice: Send + Sync {
    /// Reads a callback that was verified.
    fn parse_call(&self, request: &CallbackRequest<'_>) -> Result<CallEvent, ParseError>;

    /// Whether the socket for a call's sound is opened by the carrier, before anything is read from it. Carriers that
    /// prove nothing here are held to the key in the address, which is good once and for a minute, and to the name of
    /// the call in the first frame.
    fn verify_socket(&self, request: &CallbackRequest<'_>) -> Result<(), BadSignature>;

    /// Tells a call what to do: in the answer to its callback, in the carrier's language, or by requests before it. No
    /// steps are for news: the call goes on as it did.
    async fn carry_out(&self, call: HeldCall<'_>, steps: &[Step]) -> Result<Document, SendError>;

    /// How sound is wrapped on a new socket.
    fn wire(&self) -> Box<dyn MediaWire>;

    /// Makes a call; answers the carrier's name for it.
    async fn dial(&self, call: &CallToMake) -> Result<String, SendError>;

    /// Ends a call, whether it rings or talks; one that is over is ended already.
    async fn hang_up(&self, carrier_call_id: &str) -> Result<(), SendError>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn our_name_for_a_call_is_read_from_addresses() {
        let leg = CallLegId::new(Timestamp(1));
        let base = "https://meari.example.org/carriers/a";
        assert_eq!(reference_of(&with_reference(&format!("{base}/call-status"), leg)), Some(leg));
        assert_eq!(reference_of(&with_reference(&format!("{base}/call-status?a=b"), leg)), Some(leg));
        assert_eq!(reference_of(&format!("{base}/voice/{leg}/next?sound=1")), Some(leg));
        for url in ["", base, "https://meari.example.org/carriers/a/voice/x/next", "?ref=x", "/next"] {
            assert_eq!(reference_of(url), None, "{url}");
        }
    }
}
