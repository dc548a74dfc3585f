//! A call as one of its two sides sees it.

use std::collections::HashMap;

use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::machine::{End, Recording, Screening, Side, State};
use super::{Call, quality, sounds, store, voicemail};
use crate::clock::Timestamp;
use crate::db::Db;
use crate::each;
use crate::error::Result;
use crate::ids::{AccountId, CallId, ContactId, SessionId};
use crate::schema::contacts;

/// The other side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallContact {
    /// `con_…`
    #[schema(value_type = String)]
    pub id: ContactId,
    /// The name the account sees.
    pub display_name: String,
    /// `meari:alice`
    pub address: String,
}

/// What the caller said when he was asked for his name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ScreeningView {
    /// Where it can be heard; none until he has said it.
    pub said_url: Option<String>,
}

/// What the caller left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallVoicemail {
    /// `vml_…`
    pub id: String,
    /// How long it is.
    pub seconds: i32,
    /// Where it can be heard, with the account's token.
    pub url: String,
    /// Whether it was.
    pub listened: bool,
}

/// How good the sound was, at the worse of the two ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallQuality {
    /// The opinion (E-model), 1 to 4.5.
    pub mos: f64,
    /// What was lost, 0 to 1.
    pub loss: f64,
    /// How unevenly it came.
    pub jitter_ms: i32,
    /// There and back.
    pub rtt_ms: Option<i32>,
}

/// What was recorded of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Recorded)]
pub struct RecordedView {
    /// Where it can be heard, with the account's token.
    pub url: String,
    /// How long it is.
    pub seconds: i32,
}

/// A call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Call)]
pub struct CallView {
    /// `call_…`
    #[schema(value_type = String)]
    pub id: CallId,
    /// `incoming` or `outgoing`.
    pub direction: String,
    /// `ringing`, `connecting`, `in_progress`, `held`, `voicemail` or `ended`.
    pub state: String,
    /// With whom; none when the contact is gone.
    pub contact: Option<CallContact>,
    /// How the other side takes part: `phone` or `chat`.
    pub via: String,
    /// When it began, RFC 3339.
    pub started_at: String,
    /// When the two heard each other first.
    pub answered_at: Option<String>,
    /// When it was over.
    pub ended_at: Option<String>,
    /// While it rings: stop ringing then, whatever you hear of it.
    pub expires_at: Option<String>,
    /// Whether the asking session is the one that talks; always false in events, which go to all of them.
    pub here: bool,
    /// The session that talks on this side, `ses_…`.
    pub session_id: Option<String>,
    /// Why it was over: `hung_up`, `declined`, `no_answer`, `busy`, `cancelled`, `answered_elsewhere`, `failed`,
    /// `blocked`, `voicemail` or `lost`.
    pub end_reason: Option<String>,
    /// Whether this side has missed it.
    pub missed: bool,
    /// Whether this side is not to be heard.
    pub muted: bool,
    /// Whether one of the two has put it on hold.
    pub held: bool,
    /// Whether nothing comes from the other side's device just now: it may be on its way to another network. When it
    /// stays away, the call ends by itself (`lost`).
    #[serde(default)]
    pub wavering: bool,
    /// `off`, `asked` or `on`.
    pub recording: String,
    /// Whether this side has to answer [`recording`](Self::recording).
    pub recording_asked_of_me: bool,
    /// What was recorded of it and is kept.
    #[serde(default)]
    pub recorded: Option<RecordedView>,
    /// Whether the caller's number is his, as the network says (SHAKEN: `A`, `B`, `C`).
    pub attestation: Option<String>,
    /// When callers say their name first.
    pub screening: Option<ScreeningView>,
    /// Whether one of this side's clients (`session_id`) listens while the caller leaves a message; the caller is not told.
    #[serde(default)]
    pub listening: bool,
    /// What the caller left; only for who was called.
    pub voicemail: Option<CallVoicemail>,
    /// How good it was, once it is known.
    pub quality: Option<CallQuality>,
}

fn shown_state(call: &Call) -> String {
    let machine = call.machine();
    if machine.state == State::InProgress && machine.is_held() {
        return "held".to_owned();
    }
    machine.state.as_str().to_owned()
}

fn shown_recording(recording: Recording) -> &'static str {
    match recording {
        Recording::Off => "off",
        Recording::Asked(_) => "asked",
        Recording::On(_) => "on",
    }
}

fn rfc(at: Option<Timestamp>) -> Option<String> {
    at.map(Timestamp::to_rfc3339)
}

/// Everything that is read beside the calls.
#[derive(Default)]
struct Beside {
    contacts: HashMap<ContactId, CallContact>,
    voicemails: HashMap<CallId, CallVoicemail>,
    qualities: HashMap<CallId, CallQuality>,
    recordings: HashMap<CallId, i32>,
}

fn view(call: &Call, side: Side, session: Option<SessionId>, beside: &mut Beside) -> CallView {
    let machine = call.machine();
    let (mine, other) = (machine.party(side), machine.party(side.other()));
    let contact = match side {
        Side::Caller => call.facts.caller_contact,
        Side::Callee => call.facts.callee_contact,
    };
    let via = match (side, other.end) {
        (Side::Callee, _) => call.facts.caller_via.as_str(),
        (Side::Caller, Some(End::Phone(_))) => "phone",
        (Side::Caller, Some(End::Client(_))) => "chat",
        (Side::Caller, None) => {
            if machine.phones.is_empty() {
                "chat"
            } else {
                "phone"
            }
        }
    };
    let talks = match mine.end {
        Some(End::Client(id)) => Some(id),
        Some(End::Phone(_)) | None => None,
    };
    let asked_of_me = matches!(machine.recording, Recording::Asked(asker) if asker != side);
    CallView {
        id: call.id,
        direction: if side == Side::Caller { "outgoing" } else { "incoming" }.to_owned(),
        state: shown_state(call),
        contact: beside.contacts.get(&contact).cloned(),
        via: via.to_owned(),
        started_at: call.created_at.to_rfc3339(),
        answered_at: rfc(call.answered_at),
        ended_at: rfc(call.ended_at),
        expires_at: rfc(call.ring_until.filter(|_| machine.state == State::Ringing)),
        here: talks.is_some() && talks == session && machine.state != State::Ended,
        session_id: talks.map(|id| id.to_string()),
        end_reason: machine.reason.map(|reason| reason.as_str().to_owned()),
        missed: side == Side::Callee && machine.is_missed(),
        muted: mine.muted,
        held: machine.is_held(),
        wavering: other.wavers && matches!(machine.state, State::Connecting | State::InProgress),
        recording: shown_recording(machine.recording).to_owned(),
        recording_asked_of_me: asked_of_me,
        recorded: beside.recordings.get(&call.id).map(|millis| RecordedView {
            url: super::changes::recording_url(call.id),
            seconds: millis.div_euclid(1_000),
        }),
        attestation: call.facts.attestation.clone(),
        screening: match machine.screening {
            Screening::Off => None,
            Screening::Asking | Screening::Said => {
                let said = call.facts.said.map(|_| format!("/v1/calls/{}/name", call.id));
                Some(ScreeningView { said_url: said.filter(|_| side == Side::Callee) })
            }
        },
        listening: side == Side::Callee && machine.listens(),
        voicemail: beside.voicemails.remove(&call.id).filter(|_| side == Side::Callee),
        quality: beside.qualities.remove(&call.id),
    }
}

/// Shows calls to one side, in the order given; calls of others are left out.
pub fn show(
    db: &mut Db,
    viewer: AccountId,
    session: Option<SessionId>,
    calls: &[Call],
) -> Result<Vec<CallView>> {
    let ids: Vec<CallId> = calls.iter().map(|call| call.id).collect();
    let mut people = Vec::with_capacity(calls.len());
    for call in calls {
        people.push(if call.caller == viewer {
            call.facts.caller_contact
        } else {
            call.facts.callee_contact
        });
    }
    let mut beside = Beside {
        contacts: contacts_of(db, viewer, &people)?,
        voicemails: voicemail::of_calls(db, viewer, &ids)?,
        qualities: quality::of_calls(db, &ids)?,
        recordings: sounds::recorded_millis(db, Some(viewer), &ids)?,
    };
    let sides = calls.iter().filter_map(|call| Some((call, call.side_of(viewer)?)));
    Ok(sides.map(|(call, side)| view(call, side, session, &mut beside)).collect())
}

/// Shows one call to one side.
pub fn show_one(
    db: &mut Db,
    viewer: AccountId,
    session: Option<SessionId>,
    call: &Call,
) -> Result<Option<CallView>> {
    Ok(show(db, viewer, session, std::slice::from_ref(call))?.pop())
}

/// Shows calls by their ids, for events.
pub fn calls(db: &mut Db, viewer: AccountId, ids: &[CallId]) -> Result<Vec<CallView>> {
    let found = store::list_by_ids(db, ids)?;
    show(db, viewer, None, &found)
}

/// Calls of an account in its archive, at most so many.
const EXPORT_MAX: i64 = 10_000;

/// The account's calls, for its owner.
pub fn export(db: &mut Db, account: AccountId) -> Result<serde_json::Value> {
    let calls = store::list(db, account, None, EXPORT_MAX)?;
    let mut views = Vec::with_capacity(calls.len());
    for chunk in calls.chunks(500) {
        views.extend(show(db, account, None, chunk)?);
    }
    Ok(serde_json::to_value(views)?)
}

fn contacts_of(db: &mut Db, viewer: AccountId, ids: &[ContactId]) -> Result<HashMap<ContactId, CallContact>> {
    let rows: Vec<(ContactId, String, Option<String>, String, String)> = each!(db, |c| contacts::table
        .filter(contacts::account_id.eq(viewer))
        .filter(contacts::id.eq_any(ids))
        .select((
            contacts::id,
            contacts::display_name,
            contacts::custom_name,
            contacts::network,
            contacts::address,
        ))
        .load(c))?;
    let show = |(id, name, custom, network, address): (ContactId, String, Option<String>, String, String)| {
        let display_name = custom.unwrap_or(name);
        (id, CallContact { id, display_name, address: format!("{network}:{address}") })
    };
    Ok(rows.into_iter().map(show).collect())
}
