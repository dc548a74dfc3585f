//! Calls: dial a friend's number on any phone, and his client rings; and the other way round.
//!
//! A call has two sides, an account each, and every side has an end: a client (a browser), or a telephone that the
//! carrier connects. [`machine`] is pure and decides; [`apply`] makes one guarded UPDATE of it and writes, in the same
//! transaction, the events that clients see and the jobs that must reach the carrier. Whoever loses a race reads anew.
//! Sound is not here: `control` listens to what was committed and makes this node's legs match.
//!
//! A call that nobody takes care of any more (its node died, its carrier fell silent) is ended by [`sweep`].

pub mod api;
mod changes;
pub mod control;
pub mod hooks;
pub mod jobs;
pub mod machine;
mod place;
pub mod policy;
mod pushes;
pub mod quality;
pub mod records;
pub mod settings;
pub mod sounds;
mod store;
pub mod view;
pub mod voicemail;

pub use changes::{
    apply, browser_leg, check_room, delete_recording, erase, find, hang_up, keep_alive, list, list_due,
    only_at, sweep, unless_late,
};
pub use place::{
    Caller, PhoneCaller, Placed, answer_by_client, listen_by_client, movable, move_to_client, place,
};

use serde::{Deserialize, Serialize};

use self::machine::{Machine, Side};
use crate::clock::Timestamp;
use crate::ids::{AccountId, CallId, CallLegId, ContactId, ConversationId, MessageId, SoundId};
use crate::phone::E164;

/// How a side takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// By telephone.
    Phone,
    /// By a client.
    Chat,
}

impl Via {
    /// As shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Via::Phone => "phone",
            Via::Chat => "chat",
        }
    }
}

/// What is known of a call besides its times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Where it stands.
    pub machine: Machine,
    /// Who is called, as the caller sees him.
    pub caller_contact: ContactId,
    /// Who calls, as the callee sees him.
    pub callee_contact: ContactId,
    /// How the caller calls.
    pub caller_via: Via,
    /// The carrier's word on whether the caller's number is his (SHAKEN attestation `A`, `B` or `C`).
    pub attestation: Option<String>,
    /// Whose ringing tone the caller hears: the region (ISO 3166) of the number that was called.
    pub region: String,
    /// Whether the callee never hears of it: he has blocked the caller, who is not told.
    pub unheard: bool,
    /// Whether the carrier has spoken the greeting.
    pub greeted: bool,
    /// Whether the carrier has said that the caller is gone: what he said after the beep may still be on its way.
    pub caller_gone: bool,
    /// Whether the telephone at one end has been asked to agree to a recording.
    pub consent_asked: bool,
    /// Whether both ends are browsers that take Opus; else everything is G.711, which can be recorded.
    pub wideband: bool,
    /// What stands of the caller's name that he said, when he was asked to.
    pub said: Option<SoundId>,
}

/// A call between two accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Which.
    pub id: CallId,
    /// Who calls.
    pub caller: AccountId,
    /// Who is called; the caller himself when the other side has blocked him and nobody hears it.
    pub callee: AccountId,
    /// Where it is told afterwards.
    pub conversation: Option<ConversationId>,
    /// Counts its changes; every UPDATE is guarded by it.
    pub version: i64,
    /// The node that carries its sound.
    pub node: String,
    /// When ringing ends.
    pub ring_until: Option<Timestamp>,
    /// When it began.
    pub created_at: Timestamp,
    /// When the two heard each other first.
    pub answered_at: Option<Timestamp>,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
    /// Its node is believed to live until then.
    pub alive_until: Timestamp,
    /// What stands of it in the conversation.
    pub message: Option<MessageId>,
    /// Everything else.
    pub facts: Facts,
}

impl Call {
    /// Where it stands.
    pub fn machine(&self) -> &Machine {
        &self.facts.machine
    }

    /// On which side an account is.
    pub fn side_of(&self, account: AccountId) -> Option<Side> {
        if self.caller == account {
            Some(Side::Caller)
        } else if self.callee == account {
            Some(Side::Callee)
        } else {
            None
        }
    }

    /// Seconds that the two have talked.
    pub fn seconds(&self) -> i64 {
        match (self.answered_at, self.ended_at) {
            (Some(from), Some(to)) => i64::try_from(to.since(from).as_secs()).unwrap_or(0),
            _ => 0,
        }
    }
}

/// What stands behind a leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LegKind {
    /// A client in a browser.
    Browser,
    /// A telephone, through a carrier.
    Phone,
}

impl LegKind {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            LegKind::Browser => "browser",
            LegKind::Phone => "phone",
        }
    }

    fn parse(text: &str) -> LegKind {
        if text == "phone" { LegKind::Phone } else { LegKind::Browser }
    }
}

/// How far a leg is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LegState {
    /// To be dialled later.
    Waiting,
    /// The carrier is being asked.
    Dialling,
    /// It rings.
    Ringing,
    /// Answered.
    Up,
    /// Over.
    Ended,
}

impl LegState {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            LegState::Waiting => "waiting",
            LegState::Dialling => "dialling",
            LegState::Ringing => "ringing",
            LegState::Up => "up",
            LegState::Ended => "ended",
        }
    }

    fn parse(text: &str) -> LegState {
        match text {
            "waiting" => LegState::Waiting,
            "dialling" => LegState::Dialling,
            "ringing" => LegState::Ringing,
            "up" => LegState::Up,
            _ => LegState::Ended,
        }
    }
}

/// One end of a call, and the record that is left of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leg {
    /// Which.
    pub id: CallLegId,
    /// Of which call.
    pub call: CallId,
    /// On which side.
    pub side: Side,
    /// What stands behind it.
    pub kind: LegKind,
    /// Through which carrier.
    pub carrier_id: Option<String>,
    /// The carrier's name for it.
    pub carrier_call_id: Option<String>,
    /// Who calls whom there.
    pub from: Option<E164>,
    /// Who is called there.
    pub to: Option<E164>,
    /// How far it is.
    pub state: LegState,
    /// Why it ended.
    pub cause: Option<String>,
    /// The place of the carrier's newest word.
    pub sequence: i32,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was answered.
    pub answered_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// Sound that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sound {
    /// Which.
    pub id: SoundId,
    /// Whose.
    pub account: AccountId,
    /// Of which call.
    pub call: Option<CallId>,
    /// `voicemail`, `greeting`, `recording` or `name`.
    pub purpose: &'static str,
    /// How long it is.
    pub millis: i32,
    /// µ-law at 8 kHz.
    pub mulaw: Vec<u8>,
    /// When.
    pub created_at: Timestamp,
}
