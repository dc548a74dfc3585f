//! Queries of `calls` and `call_legs`.

use diesel::prelude::*;

use super::machine::{EndReason, Side, State};
use super::{Call, Leg, LegKind, LegState};
use crate::clock::Timestamp;
use crate::db::{Db, Keep, OnConflict};
use crate::each;
use crate::error::{Error, Result};
use crate::ids::{AccountId, CallId, CallLegId, ConversationId, MessageId};
use crate::phone::E164;
use crate::schema::{call_legs, calls, voicemails};

#[derive(Queryable, Selectable)]
#[diesel(table_name = calls)]
struct CallRow {
    id: CallId,
    caller_account_id: AccountId,
    callee_account_id: AccountId,
    conversation_id: Option<ConversationId>,
    version: i64,
    node: String,
    ring_until: Option<Timestamp>,
    created_at: Timestamp,
    answered_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    alive_until: Timestamp,
    message_id: Option<MessageId>,
    facts: String,
}

impl TryFrom<CallRow> for Call {
    type Error = Error;
    fn try_from(row: CallRow) -> Result<Call> {
        Ok(Call {
            id: row.id,
            caller: row.caller_account_id,
            callee: row.callee_account_id,
            conversation: row.conversation_id,
            version: row.version,
            node: row.node,
            ring_until: row.ring_until,
            created_at: row.created_at,
            answered_at: row.answered_at,
            ended_at: row.ended_at,
            alive_until: row.alive_until,
            message: row.message_id,
            facts: serde_json::from_str(&row.facts)?,
        })
    }
}

fn read(rows: Vec<CallRow>) -> Result<Vec<Call>> {
    rows.into_iter().map(Call::try_from).collect()
}

pub fn insert(db: &mut Db, call: &Call) -> Result<()> {
    let facts = serde_json::to_string(&call.facts)?;
    each!(db, |c| diesel::insert_into(calls::table)
        .values((
            calls::id.eq(call.id),
            calls::caller_account_id.eq(call.caller),
            calls::callee_account_id.eq(call.callee),
            calls::conversation_id.eq(call.conversation),
            calls::state.eq(call.facts.machine.state.as_str()),
            calls::end_reason.eq(call.facts.machine.reason.map(EndReason::as_str)),
            calls::version.eq(call.version),
            calls::node.eq(&call.node),
            calls::ring_until.eq(call.ring_until),
            calls::created_at.eq(call.created_at),
            calls::answered_at.eq(call.answered_at),
            calls::ended_at.eq(call.ended_at),
            calls::alive_until.eq(call.alive_until),
            calls::message_id.eq(call.message),
            calls::facts.eq(&facts),
        ))
        .execute(c))?;
    Ok(())
}

/// Stores what `call` has become, unless somebody else changed it since it was read; false then.
pub fn update(db: &mut Db, call: &Call) -> Result<bool> {
    let facts = serde_json::to_string(&call.facts)?;
    let count = each!(db, |c| diesel::update(calls::table)
        .filter(calls::id.eq(call.id))
        .filter(calls::version.eq(call.version))
        .set((
            calls::version.eq(call.version + 1),
            calls::node.eq(&call.node),
            calls::state.eq(call.facts.machine.state.as_str()),
            calls::end_reason.eq(call.facts.machine.reason.map(EndReason::as_str)),
            calls::ring_until.eq(call.ring_until),
            calls::answered_at.eq(call.answered_at),
            calls::ended_at.eq(call.ended_at),
            calls::message_id.eq(call.message),
            calls::facts.eq(&facts),
        ))
        .kept()
        .execute(c))?;
    Ok(count == 1)
}

pub fn find(db: &mut Db, id: CallId) -> Result<Option<Call>> {
    let row: Option<CallRow> = each!(db, |c| calls::table
        .filter(calls::id.eq(id))
        .select(CallRow::as_select())
        .first(c)
        .optional())?;
    row.map(Call::try_from).transpose()
}

pub fn list_by_ids(db: &mut Db, ids: &[CallId]) -> Result<Vec<Call>> {
    let rows: Vec<CallRow> =
        each!(db, |c| calls::table.filter(calls::id.eq_any(ids)).select(CallRow::as_select()).load(c))?;
    read(rows)
}

/// How often these calls have changed; those that are no more are left out.
pub fn list_versions(db: &mut Db, ids: &[CallId]) -> Result<Vec<(CallId, i64)>> {
    Ok(each!(db, |c| calls::table.filter(calls::id.eq_any(ids)).select((calls::id, calls::version)).load(c))?)
}

/// What an account has called and been called, newest first, older than `before`.
pub fn list(db: &mut Db, account: AccountId, before: Option<CallId>, limit: i64) -> Result<Vec<Call>> {
    let rows: Vec<CallRow> = each!(db, |c| {
        let mut query = calls::table
            .filter(calls::caller_account_id.eq(account).or(calls::callee_account_id.eq(account)))
            .select(CallRow::as_select())
            .order(calls::id.desc())
            .limit(limit)
            .into_boxed();
        if let Some(before) = before {
            query = query.filter(calls::id.lt(before));
        }
        query.load(c)
    })?;
    read(rows)
}

/// Calls of an account that are not over.
pub fn list_open(db: &mut Db, account: AccountId) -> Result<Vec<Call>> {
    let rows: Vec<CallRow> = each!(db, |c| calls::table
        .filter(calls::caller_account_id.eq(account).or(calls::callee_account_id.eq(account)))
        .filter(calls::state.ne(State::Ended.as_str()))
        .select(CallRow::as_select())
        .load(c))?;
    read(rows)
}

/// Calls that are not over. Written out: a partial index is of use only to a statement that says for itself which part
/// it wants.
const OPEN: &str = "calls.state <> 'ended'";

/// Calls that nobody has taken care of since `now`.
pub fn list_stuck(db: &mut Db, now: Timestamp, limit: i64) -> Result<Vec<CallId>> {
    Ok(each!(db, |c| calls::table
        .filter(diesel::dsl::sql::<diesel::sql_types::Bool>(OPEN))
        .filter(calls::alive_until.lt(now))
        .select(calls::id)
        .limit(limit)
        .load(c))?)
}

/// Calls that last longer than any should.
pub fn list_endless(db: &mut Db, before: Timestamp, limit: i64) -> Result<Vec<CallId>> {
    Ok(each!(db, |c| calls::table
        .filter(diesel::dsl::sql::<diesel::sql_types::Bool>(OPEN))
        .filter(calls::created_at.lt(before))
        .select(calls::id)
        .limit(limit)
        .load(c))?)
}

/// Whether an open call is still due, looked at anew; until the transaction ends nobody says that it lives after all.
pub fn hold_due(db: &mut Db, id: CallId, now: Timestamp, before: Timestamp) -> Result<bool> {
    let held = each!(db, |c| diesel::update(calls::table)
        .filter(calls::id.eq(id))
        .filter(diesel::dsl::sql::<diesel::sql_types::Bool>(OPEN))
        .filter(calls::alive_until.lt(now).or(calls::created_at.lt(before)))
        .set(calls::alive_until.eq(calls::alive_until))
        .execute(c))?;
    Ok(held > 0)
}

/// The node still takes care of these.
pub fn keep_alive(db: &mut Db, ids: &[CallId], until: Timestamp) -> Result<()> {
    each!(db, |c| diesel::update(calls::table)
        .filter(calls::id.eq_any(ids))
        .set(calls::alive_until.eq(until))
        .execute(c))?;
    Ok(())
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = call_legs)]
struct LegRow {
    id: CallLegId,
    call_id: CallId,
    side: String,
    kind: String,
    carrier_id: Option<String>,
    carrier_call_id: Option<String>,
    from_number: Option<E164>,
    to_number: Option<E164>,
    state: String,
    cause: Option<String>,
    sequence: i32,
    created_at: Timestamp,
    answered_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
}

impl From<LegRow> for Leg {
    fn from(row: LegRow) -> Leg {
        Leg {
            id: row.id,
            call: row.call_id,
            side: Side::parse(&row.side),
            kind: LegKind::parse(&row.kind),
            carrier_id: row.carrier_id,
            carrier_call_id: row.carrier_call_id,
            from: row.from_number,
            to: row.to_number,
            state: LegState::parse(&row.state),
            cause: row.cause,
            sequence: row.sequence,
            created_at: row.created_at,
            answered_at: row.answered_at,
            ended_at: row.ended_at,
        }
    }
}

/// Adds a leg; a carrier's call has one.
pub fn insert_leg(db: &mut Db, leg: &Leg) -> Result<()> {
    let inserted = each!(db, |c| diesel::insert_into(call_legs::table)
        .values((
            call_legs::id.eq(leg.id),
            call_legs::call_id.eq(leg.call),
            call_legs::side.eq(leg.side.as_str()),
            call_legs::kind.eq(leg.kind.as_str()),
            call_legs::carrier_id.eq(leg.carrier_id.as_deref()),
            call_legs::carrier_call_id.eq(leg.carrier_call_id.as_deref()),
            call_legs::from_number.eq(leg.from.as_ref()),
            call_legs::to_number.eq(leg.to.as_ref()),
            call_legs::state.eq(leg.state.as_str()),
            call_legs::cause.eq(leg.cause.as_deref()),
            call_legs::sequence.eq(leg.sequence),
            call_legs::created_at.eq(leg.created_at),
            call_legs::answered_at.eq(leg.answered_at),
            call_legs::ended_at.eq(leg.ended_at),
        ))
        .execute(c));
    inserted.on_unique_violation(|| Error::conflict("call_known", "The carrier's call is known already."))?;
    Ok(())
}

pub fn find_leg(db: &mut Db, id: CallLegId) -> Result<Option<Leg>> {
    let row: Option<LegRow> = each!(db, |c| call_legs::table
        .filter(call_legs::id.eq(id))
        .select(LegRow::as_select())
        .first(c)
        .optional())?;
    Ok(row.map(Leg::from))
}

pub fn find_leg_of_carrier(db: &mut Db, carrier_id: &str, carrier_call_id: &str) -> Result<Option<Leg>> {
    let row: Option<LegRow> = each!(db, |c| call_legs::table
        .filter(call_legs::carrier_id.eq(carrier_id))
        .filter(call_legs::carrier_call_id.eq(carrier_call_id))
        .select(LegRow::as_select())
        .first(c)
        .optional())?;
    Ok(row.map(Leg::from))
}

/// The legs of some calls, oldest first.
pub fn list_legs(db: &mut Db, calls: &[CallId]) -> Result<Vec<Leg>> {
    let rows: Vec<LegRow> = each!(db, |c| call_legs::table
        .filter(call_legs::call_id.eq_any(calls))
        .select(LegRow::as_select())
        .order(call_legs::id.asc())
        .load(c))?;
    Ok(rows.into_iter().map(Leg::from).collect())
}

/// All legs that are over, the records, or those that are not (`open`); newest first, older than `before`.
pub fn list_records(db: &mut Db, open: bool, before: Option<CallLegId>, limit: i64) -> Result<Vec<Leg>> {
    let rows: Vec<LegRow> = each!(db, |c| {
        let mut query = call_legs::table
            .select(LegRow::as_select())
            .order(call_legs::id.desc())
            .limit(limit)
            .into_boxed();
        query = if open {
            let calls =
                calls::table.filter(diesel::dsl::sql::<diesel::sql_types::Bool>(OPEN)).select(calls::id);
            query.filter(call_legs::state.ne("ended")).filter(call_legs::call_id.eq_any(calls))
        } else {
            query.filter(call_legs::state.eq("ended"))
        };
        if let Some(before) = before {
            query = query.filter(call_legs::id.lt(before));
        }
        query.load(c)
    })?;
    Ok(rows.into_iter().map(Leg::from).collect())
}

/// Moves a leg on, unless it is over; false then.
pub fn set_leg_state(db: &mut Db, id: CallLegId, state: LegState, now: Timestamp) -> Result<bool> {
    let open = call_legs::table.filter(call_legs::id.eq(id)).filter(call_legs::state.ne("ended"));
    let count = match state {
        LegState::Up => each!(db, |c| diesel::update(open)
            .set((call_legs::state.eq(state.as_str()), call_legs::answered_at.eq(now)))
            .kept()
            .execute(c))?,
        LegState::Waiting | LegState::Dialling | LegState::Ringing | LegState::Ended => {
            each!(db, |c| diesel::update(open).set(call_legs::state.eq(state.as_str())).kept().execute(c))?
        }
    };
    Ok(count == 1)
}

/// A leg that waits is dialled now; false when it was taken before or is no longer wanted.
pub fn begin_dialling(db: &mut Db, id: CallLegId) -> Result<bool> {
    let waiting = call_legs::table.filter(call_legs::id.eq(id)).filter(call_legs::state.eq("waiting"));
    Ok(each!(db, |c| diesel::update(waiting).set(call_legs::state.eq("dialling")).kept().execute(c))? == 1)
}

/// The leg is over; the first cause counts. False when it was over before.
pub fn end_leg(db: &mut Db, id: CallLegId, cause: &str, now: Timestamp) -> Result<bool> {
    let open = call_legs::table.filter(call_legs::id.eq(id)).filter(call_legs::state.ne("ended"));
    let count = each!(db, |c| diesel::update(open)
        .set((
            call_legs::state.eq("ended"),
            call_legs::cause.eq(cause),
            call_legs::ended_at.eq(now),
            call_legs::token_hash.eq(None::<Vec<u8>>),
        ))
        .kept()
        .execute(c))?;
    Ok(count == 1)
}

/// The carrier's id of a leg that we dialled.
pub fn set_carrier_call(db: &mut Db, id: CallLegId, carrier_call_id: &str) -> Result<()> {
    each!(db, |c| diesel::update(call_legs::table)
        .filter(call_legs::id.eq(id))
        .filter(call_legs::carrier_call_id.is_null())
        .set(call_legs::carrier_call_id.eq(carrier_call_id))
        .execute(c))?;
    Ok(())
}

/// Notes the carrier's name for a call as its own callback says it: the answer to the request for the call may have been
/// another one.
pub fn correct_carrier_call(db: &mut Db, id: CallLegId, carrier_call_id: &str) -> Result<()> {
    each!(db, |c| diesel::update(call_legs::table)
        .filter(call_legs::id.eq(id))
        .set(call_legs::carrier_call_id.eq(carrier_call_id))
        .execute(c))?;
    Ok(())
}

/// Takes note of the place of the carrier's word; false when a later one was heard already.
pub fn advance_sequence(db: &mut Db, id: CallLegId, sequence: i32) -> Result<bool> {
    let count = each!(db, |c| diesel::update(call_legs::table)
        .filter(call_legs::id.eq(id))
        .filter(call_legs::sequence.lt(sequence))
        .set(call_legs::sequence.eq(sequence))
        .kept()
        .execute(c))?;
    Ok(count == 1)
}

/// Gives a leg the key of its media socket.
pub fn set_token(db: &mut Db, id: CallLegId, hash: &[u8], until: Timestamp) -> Result<()> {
    each!(db, |c| diesel::update(call_legs::table)
        .filter(call_legs::id.eq(id))
        .filter(call_legs::state.ne("ended"))
        .set((call_legs::token_hash.eq(hash), call_legs::token_until.eq(until)))
        .execute(c))?;
    Ok(())
}

/// Spends the key of a media socket: whose it is, once.
pub fn spend_token(db: &mut Db, carrier_id: &str, hash: &[u8], now: Timestamp) -> Result<Option<CallLegId>> {
    let id: Option<CallLegId> = each!(db, |c| diesel::update(call_legs::table)
        .filter(call_legs::token_hash.eq(hash))
        .filter(call_legs::token_until.gt(now))
        .filter(call_legs::carrier_id.eq(carrier_id))
        .filter(call_legs::state.ne("ended"))
        .set(call_legs::token_hash.eq(None::<Vec<u8>>))
        .returning(call_legs::id)
        .get_result(c)
        .optional())?;
    Ok(id)
}

/// What one account alone has of calls goes; calls stay with the other side, without this one's sounds and numbers.
pub fn erase(db: &mut Db, account: AccountId) -> Result<()> {
    each!(db, |c| diesel::delete(voicemails::table).filter(voicemails::account_id.eq(account)).execute(c))?;
    super::sounds::erase(db, account)?;
    super::quality::erase(db, account)?;
    let called = calls::table.filter(calls::caller_account_id.eq(account)).select(calls::id);
    let was_called = calls::table.filter(calls::callee_account_id.eq(account)).select(calls::id);
    let nothing = (call_legs::from_number.eq(None::<E164>), call_legs::to_number.eq(None::<E164>));
    each!(db, |c| diesel::update(call_legs::table)
        .filter(call_legs::side.eq(Side::Caller.as_str()))
        .filter(call_legs::call_id.eq_any(called))
        .set(nothing.clone())
        .execute(c))?;
    each!(db, |c| diesel::update(call_legs::table)
        .filter(call_legs::side.eq(Side::Callee.as_str()))
        .filter(call_legs::call_id.eq_any(was_called))
        .set(nothing.clone())
        .execute(c))?;
    super::settings::erase(db, account)
}
