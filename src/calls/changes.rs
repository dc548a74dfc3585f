//! What happens to a call becomes rows: one UPDATE guarded by the version that was read, and in the same transaction
//! the events that clients see, the jobs that reach carriers, and what stands in the conversation afterwards.

use serde_json::json;

use super::machine::{Effect, End, EndReason, Event, Hears, Refusal, Side, State};
use super::{Call, Leg, LegKind, LegState, jobs, sounds, store};
use crate::clock::Timestamp;
use crate::db::{Db, Topics};
use crate::error::{Error, Result};
use crate::events::{self, EventKind};
use crate::ids::{AccountId, CallId};
use crate::messaging::notes::{self, Note};
use crate::queue;

/// Who loses a race reads anew so often; two sides and a carrier cannot collide more.
const TRIES_MAX: usize = 16;
/// Calls swept up in one transaction.
const SWEEP_ROWS: i64 = 100;
/// No call lasts longer; the carrier is told so too.
pub(super) const CALL_MAX: std::time::Duration = std::time::Duration::from_secs(4 * 3_600);
/// A carrier hangs up a caller who hears the busy tone after so long, should the tone's own end not do it.
const BUSY_TONE_FOR: std::time::Duration = std::time::Duration::from_secs(8);
/// What was taken by a client whose sound failed rings again for so long.
const RINGS_AGAIN: std::time::Duration = std::time::Duration::from_secs(20);
/// A node that has not touched its calls for so long is dead.
pub(super) const ALIVE: std::time::Duration = std::time::Duration::from_secs(60);

/// The error for an event that comes too late.
pub(super) fn refused(refusal: Refusal) -> Error {
    match refusal {
        Refusal::AnsweredElsewhere => {
            Error::conflict("answered_elsewhere", "The call was answered on another device.")
        }
        Refusal::Over => Error::conflict("call_over", "The call is over."),
        Refusal::NotNow => Error::conflict("not_now", "That cannot be done in this state of the call."),
    }
}

/// Whether it only means that an event came too late to matter.
pub fn is_late(error: &Error) -> bool {
    matches!(error.code(), "answered_elsewhere" | "call_over" | "not_now")
}

/// An error that only means that an event came too late is none.
pub fn unless_late(error: Error) -> Result<()> {
    if is_late(&error) { Ok(()) } else { Err(error) }
}

/// Lets something happen to a call; answers what it has become.
///
/// # Errors
/// `answered_elsewhere`, `call_over`, `not_now`: it came too late, and nothing changed.
pub fn apply(db: &mut Db, now: Timestamp, id: CallId, event: Event) -> Result<Call> {
    change(db, now, id, |call| {
        let (machine, effects) = call.facts.machine.after(event).map_err(refused)?;
        call.facts.machine = machine;
        Ok(effects)
    })
}

/// A side hangs up. A caller who speaks after the beep does not take back what he has said: his sound ends, what was
/// said comes with its end, and that ends the call.
pub fn hang_up(db: &mut Db, now: Timestamp, id: CallId, side: Side) -> Result<Call> {
    change(db, now, id, |call| {
        let machine = &call.facts.machine;
        if side == Side::Caller && machine.state == State::Voicemail && machine.caller.up {
            call.facts.caller_gone = true;
            return Ok(Vec::new());
        }
        let (machine, effects) = machine.after(Event::HangsUp(side)).map_err(refused)?;
        call.facts.machine = machine;
        Ok(effects)
    })
}

/// Changes a call by hand, guarded like every other change. `body` may run several times.
pub(super) fn change(
    db: &mut Db,
    now: Timestamp,
    id: CallId,
    mut body: impl FnMut(&mut Call) -> Result<Vec<Effect>>,
) -> Result<Call> {
    for _ in 0..TRIES_MAX {
        let before = store::find(db, id)?.ok_or_else(|| Error::not_found("call"))?;
        let mut after = before.clone();
        let effects = body(&mut after)?;
        if after == before && effects.is_empty() {
            return Ok(before);
        }
        stamp(&mut after, now);
        if after != before && !store::update(db, &after)? {
            continue;
        }
        if after != before {
            after.version += 1;
        }
        if let (None, Some(until)) = (before.ring_until, after.ring_until) {
            queue::enqueue_at(db, now, until, jobs::RING_OVER, None, &jobs::OfCall { call: id })?;
        }
        for effect in &effects {
            carry_out(db, now, &mut after, *effect)?;
        }
        tell(db, now, &after)?;
        return Ok(after);
    }
    Err(Error::unavailable("call_busy", "Too much happens to this call at once. Try again."))
}

/// The sound of a call is at one node. While the caller alone has any, that is the node which his socket reaches; once
/// somebody else's is there, `None` at any other.
pub(super) fn settle_at(db: &mut Db, now: Timestamp, leg: &Leg, node: &str) -> Result<Option<Call>> {
    let Some(call) = store::find(db, leg.call)? else { return Ok(None) };
    if call.node == node {
        return Ok(Some(call));
    }
    let alone = matches!(call.machine().state, State::Ringing | State::Voicemail);
    if leg.side != Side::Caller || !alone {
        return Ok(None);
    }
    let moved = change(db, now, call.id, |call| {
        node.clone_into(&mut call.node);
        // Whoever listened to the message did so at the node before.
        if !call.facts.machine.listens() {
            return Ok(Vec::new());
        }
        let (machine, effects) = call.facts.machine.after(Event::HangsUp(Side::Callee)).map_err(refused)?;
        call.facts.machine = machine;
        Ok(effects)
    });
    moved.map(Some)
}

/// Only the node that carries a call's sound can join somebody to it; any other says so, and nothing changes.
pub fn only_at(call: &Call, node: &str) -> Result<()> {
    if call.node == node {
        return Ok(());
    }
    Err(Error::unavailable("other_node", "Another server carries the sound of this call. Try again."))
}

/// The times that follow from the state.
fn stamp(call: &mut Call, now: Timestamp) {
    let machine = &call.facts.machine;
    if machine.state == State::InProgress && call.answered_at.is_none() {
        call.answered_at = Some(now);
    }
    if machine.state == State::Ended && call.ended_at.is_none() {
        call.ended_at = Some(now);
    }
    match machine.state {
        State::Ringing if call.ring_until.is_none() => call.ring_until = Some(now.plus(RINGS_AGAIN)),
        State::Ringing => {}
        State::Connecting | State::InProgress | State::Voicemail | State::Ended => call.ring_until = None,
    }
}

/// Both sides hear that the call has changed; who has left the service hears nothing.
pub(super) fn tell(db: &mut Db, now: Timestamp, call: &Call) -> Result<()> {
    let subject = Some(*call.id.as_bytes());
    let news: Vec<_> = living_sides(db, call)?
        .into_iter()
        .map(|account| (account, EventKind::CallChanged, subject))
        .collect();
    events::append_each(db, now, &news, Topics::EVENTS)
}

/// The two accounts of a call, or what is left of them: one can be deleted while its calls stay with the other.
pub(super) fn living_sides(db: &mut Db, call: &Call) -> Result<Vec<AccountId>> {
    let mut sides = vec![call.caller, call.callee];
    sides.dedup();
    Ok(events::newest_of(db, &sides)?.into_iter().map(|(account, _)| account).collect())
}

fn carry_out(db: &mut Db, now: Timestamp, call: &mut Call, effect: Effect) -> Result<()> {
    match effect {
        Effect::StopPhones => {
            let keep = call.facts.machine.callee.end;
            for leg in store::list_legs(db, &[call.id])? {
                if leg.side == Side::Callee && leg.kind == LegKind::Phone && keep != Some(End::Phone(leg.id))
                {
                    stop_leg(db, now, &leg, "cancelled")?;
                }
            }
            Ok(())
        }
        Effect::StopPhone(id) => match store::find_leg(db, id)? {
            Some(leg) => stop_leg(db, now, &leg, "cancelled"),
            None => Ok(()),
        },
        Effect::StopListening => {
            for leg in store::list_legs(db, &[call.id])? {
                if leg.side == Side::Callee && leg.kind == LegKind::Browser && leg.state != LegState::Ended {
                    stop_leg(db, now, &leg, "listened")?;
                }
            }
            Ok(())
        }
        Effect::Close => close(db, now, call),
    }
}

/// Ends a leg, at the carrier too when it may ring or talk there.
fn stop_leg(db: &mut Db, now: Timestamp, leg: &Leg, cause: &str) -> Result<()> {
    store::end_leg(db, leg.id, cause, now)?;
    if leg.kind == LegKind::Phone && leg.state != LegState::Waiting {
        // Also when it counts as over: whoever tells us of it now says that it is not.
        queue::enqueue(db, now, jobs::HANG_UP, None, &jobs::OfLeg { leg: leg.id })?;
    }
    Ok(())
}

fn close(db: &mut Db, now: Timestamp, call: &mut Call) -> Result<()> {
    let reason = call.facts.machine.reason.unwrap_or(EndReason::Lost);
    let hears_busy = call.machine().hears(Side::Caller) == Hears::BusyTone;
    for leg in store::list_legs(db, &[call.id])? {
        if leg.state != LegState::Ended {
            if hears_busy && leg.side == Side::Caller {
                // His leg goes on as long as the tone.
                let at = now.plus(BUSY_TONE_FOR);
                queue::enqueue_at(db, now, at, jobs::HANG_UP, None, &jobs::OfLeg { leg: leg.id })?;
                continue;
            }
            stop_leg(db, now, &leg, reason.as_str())?;
        }
    }
    // What was left after the beep stands there itself.
    let Some(conversation) = call.conversation.filter(|_| reason != EndReason::Voicemail) else {
        return Ok(());
    };
    let missed = call.facts.machine.is_missed() && !call.facts.unheard;
    let note = Note {
        conversation,
        sender: call.caller,
        recipient: call.callee,
        kind: "call",
        data: json!({
            "id": call.id,
            "state": State::Ended.as_str(),
            "seconds": call.seconds(),
            "missed": missed,
            "end_reason": reason.as_str(),
            "recording": recording_note(db, call.id)?,
        }),
        text: summary(call, reason),
        unread: missed,
    };
    let message = notes::write(db, now, &note)?;
    if message.is_some() {
        call.message = message;
        if store::update(db, call)? {
            call.version += 1;
        }
    }
    Ok(())
}

/// What a conversation says of what was recorded, and where it is to be had.
fn recording_note(db: &mut Db, id: CallId) -> Result<serde_json::Value> {
    let found = sounds::recorded_millis(db, None, &[id])?.into_values().next();
    Ok(found.map_or(
        json!(null),
        |millis| json!({ "url": recording_url(id), "seconds": millis.div_euclid(1_000) }),
    ))
}

/// Where what was recorded of a call can be heard, with the account's token.
pub(super) fn recording_url(id: CallId) -> String {
    format!("/v1/calls/{id}/recording")
}

/// Something was recorded and is kept: both sides see that they can hear it.
pub(super) fn recorded(db: &mut Db, now: Timestamp, call: &Call) -> Result<()> {
    if let Some(message) = call.message {
        let said = recording_note(db, call.id)?;
        notes::rewrite(db, now, message, |data| {
            if let Some(map) = data.as_object_mut() {
                map.insert("recording".to_owned(), said);
            }
        })?;
    }
    tell(db, now, call)
}

/// For clients that do not know calls.
fn summary(call: &Call, reason: EndReason) -> String {
    let seconds = call.seconds();
    match reason {
        EndReason::HungUp | EndReason::Lost if call.answered_at.is_some() => {
            format!("Call, {}:{:02}", seconds / 60, seconds % 60)
        }
        EndReason::Declined => "Declined call".to_owned(),
        _ => "Missed call".to_owned(),
    }
}

/// One call, for whoever takes part.
pub fn find(db: &mut Db, account: AccountId, id: CallId) -> Result<Call> {
    let call = store::find(db, id)?.filter(|call| call.side_of(account).is_some());
    call.ok_or_else(|| Error::not_found("call"))
}

/// What an account has called and been called, newest first.
pub fn list(db: &mut Db, account: AccountId, before: Option<CallId>, limit: i64) -> Result<Vec<Call>> {
    store::list(db, account, before, limit)
}

/// The newest browser's leg on an account's side.
pub fn browser_leg(db: &mut Db, call: &Call, account: AccountId) -> Result<Option<Leg>> {
    let side = call.side_of(account);
    let legs = store::list_legs(db, &[call.id])?;
    Ok(legs.into_iter().rfind(|leg| Some(leg.side) == side && leg.kind == LegKind::Browser))
}

/// Throws away what an account has recorded of a call; the other side keeps its own.
pub fn delete_recording(db: &mut Db, now: Timestamp, account: AccountId, id: CallId) -> Result<()> {
    let call = find(db, account, id)?;
    if !sounds::delete_recording(db, account, id)? {
        return Err(Error::not_found("recording"));
    }
    // What the conversation says of the call offers it no longer.
    if let Some(message) = call.message {
        let subject = Some(message.as_bytes());
        events::append(db, now, account, EventKind::MessageUpdated, subject, Topics::EVENTS)?;
    }
    events::append(db, now, account, EventKind::CallChanged, Some(id.as_bytes()), Topics::EVENTS).map(drop)
}

/// Whether both sides of a call have room for what is going to be recorded: both get it.
pub fn check_room(db: &mut Db, call: &Call) -> Result<()> {
    for account in [call.caller, call.callee] {
        if !sounds::has_room(db, account)? {
            let detail = "One of you has too many recordings already. Delete some first.";
            return Err(Error::conflict("recordings_full", detail));
        }
    }
    Ok(())
}

/// The node that carries these calls lives.
pub fn keep_alive(db: &mut Db, now: Timestamp, calls: &[CallId]) -> Result<()> {
    store::keep_alive(db, calls, now.plus(ALIVE))
}

/// Calls that nobody takes care of any more, and those that last too long: [`sweep`] each in a transaction of its own,
/// so that one which cannot be ended keeps no other open.
pub fn list_due(db: &mut Db, now: Timestamp) -> Result<Vec<CallId>> {
    let mut due = store::list_stuck(db, now, SWEEP_ROWS)?;
    due.extend(store::list_endless(db, now.minus(CALL_MAX), SWEEP_ROWS)?);
    due.sort_unstable();
    due.dedup();
    Ok(due)
}

/// Ends a call that nobody takes care of any more; false when it was over before, or its node has said meanwhile that it
/// lives.
pub fn sweep(db: &mut Db, now: Timestamp, id: CallId) -> Result<bool> {
    if !store::hold_due(db, id, now, now.minus(CALL_MAX))? {
        return Ok(false);
    }
    match apply(db, now, id, Event::Swept(EndReason::Lost)) {
        Ok(_) => Ok(true),
        Err(error) if is_late(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// What an account alone has of calls goes with it; those that still last end, so that nobody stays in a call with
/// nobody. Before the account itself goes: its events are still written.
pub fn erase(db: &mut Db, now: Timestamp, account: AccountId) -> Result<()> {
    for call in store::list_open(db, account)? {
        let reason = match call.side_of(account) {
            _ if call.machine().talked => EndReason::HungUp,
            Some(Side::Caller) => EndReason::Cancelled,
            Some(Side::Callee) | None => EndReason::NoAnswer,
        };
        apply(db, now, call.id, Event::Swept(reason)).map(drop).or_else(unless_late)?;
    }
    store::erase(db, account)
}
