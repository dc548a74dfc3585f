//! A call begins, is answered by a client, or moves to another: the operations that make legs.

use std::time::Duration;

use super::changes::{self, ALIVE};
use super::machine::{End, EndReason, Event, Machine, Screening, Side, State};
use super::policy::{self, Plan};
use super::{Call, Facts, Leg, LegKind, LegState, Via, jobs, pushes, quality, store};
use crate::accounts::limits::{self, Limit};
use crate::clock::Timestamp;
use crate::contacts::{self, Contact, ContactState};
use crate::db::Db;
use crate::error::{Error, Result};
use crate::events;
use crate::ids::{AccountId, CallId, CallLegId, ContactId, SessionId};
use crate::phone::E164;
use crate::queue;

/// Calls of one account that are not over: one that is held, one that waits, and some that were just begun.
const OPEN_MAX: usize = 4;
/// Calls that one account begins.
const CALLS_MINUTE: Limit =
    Limit { name: "calls_minute", code: "too_many_calls", max: 20, window: Duration::from_secs(60) };
/// The same in a day.
const CALLS_DAY: Limit =
    Limit { name: "calls_day", code: "too_many_calls", max: 500, window: Duration::from_secs(86_400) };

/// The telephone that calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhoneCaller {
    /// Through which carrier.
    pub carrier_id: String,
    /// The carrier's name for the call.
    pub carrier_call_id: String,
    /// The handset.
    pub from: E164,
    /// Our number, that it dialled.
    pub to: E164,
    /// Whether the number is the caller's, as the network says.
    pub attestation: Option<char>,
    /// Whether we have taken the call already, to ask who he is: his network plays him nothing any more.
    pub answered: bool,
}

/// Who calls whom.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who calls.
    pub account: AccountId,
    /// Whom, as he sees him.
    pub contact: ContactId,
    /// By which client; none when it is a telephone.
    pub session: Option<SessionId>,
    /// By which telephone.
    pub phone: Option<PhoneCaller>,
    /// The node that will carry the sound.
    pub node: String,
}

/// A call that was placed.
#[derive(Debug, Clone)]
pub struct Placed {
    /// The call.
    pub call: Call,
    /// The asking side's leg.
    pub leg: Leg,
    /// On which side that is: the callee's, when both called each other at once and the other was first.
    pub side: Side,
}

/// Two who are friends, as each sees the other.
struct Friends {
    mine: Contact,
    theirs: Contact,
}

fn friends(db: &mut Db, caller: &Caller) -> Result<Friends> {
    let not_friends =
        || Error::conflict("not_accepted", "You can call each other once the request is accepted.");
    let mine = contacts::load(db, caller.account, caller.contact)?;
    let (Some(peer), Some(peer_contact)) = (mine.peer_account_id, mine.peer_contact_id) else {
        return Err(not_friends());
    };
    if mine.state != ContactState::Accepted {
        return Err(not_friends());
    }
    let theirs = contacts::load(db, peer, peer_contact)?;
    Ok(Friends { mine, theirs })
}

fn new_leg(now: Timestamp, call: CallId, side: Side, kind: LegKind, state: LegState) -> Leg {
    Leg {
        id: CallLegId::new(now),
        call,
        side,
        kind,
        carrier_id: None,
        carrier_call_id: None,
        from: None,
        to: None,
        state,
        cause: None,
        sequence: -1,
        created_at: now,
        answered_at: None,
        ended_at: None,
    }
}

/// Begins a call. When the other side is calling this one at the same moment, that call is answered instead: two people
/// who call each other want to talk.
pub fn place(db: &mut Db, now: Timestamp, caller: &Caller) -> Result<Placed> {
    let Friends { mine, theirs } = friends(db, caller)?;
    let callee = theirs.account_id;
    // Both counters first, in the order of the ids: two who call each other at once must see one another.
    events::lock(db, &[caller.account, callee])?;
    let open = store::list_open(db, caller.account)?;
    if let Some(session) = caller.session
        && let Some(glare) = open.iter().find(|call| {
            call.caller == callee && call.callee == caller.account && call.machine().state == State::Ringing
        })
    {
        return answer_by_client(db, now, caller.account, (glare.id, &caller.node), session);
    }
    if open.len() >= OPEN_MAX {
        return Err(Error::conflict("too_many_calls", "There are too many calls at once already."));
    }
    limits::take(db, now, &CALLS_MINUTE, &caller.account.to_string())?;
    limits::take(db, now, &CALLS_DAY, &caller.account.to_string())?;
    let blocked = theirs.state != ContactState::Accepted;
    let plan = if blocked { unheard_plan() } else { policy::plan(db, now, callee, theirs.id)? };
    let region = tone_region(db, caller, callee, &plan)?;
    let (call, leg, phones) = prepare(now, caller, &Friends { mine, theirs }, (&plan, region));
    store::insert(db, &call)?;
    store::insert_leg(db, &leg)?;
    ring(db, now, &call, &phones)?;
    if plan.clients {
        pushes::rings(db, now, &call)?;
    }
    changes::tell(db, now, &call)?;
    let call = if plan.busy || (!plan.clients && plan.phones.is_empty() && !blocked) {
        // Nothing rings: at once what would follow.
        let event = if plan.busy { Event::PhoneRefuses(leg.id, EndReason::Busy) } else { Event::RingsOut };
        skip_ringing(db, now, call.id, event)?
    } else {
        call
    };
    Ok(Placed { call, leg, side: Side::Caller })
}

/// Whose tones the caller hears: those of the number that he dialled or that rings, else those of where the callee is at
/// home, or he himself.
fn tone_region(db: &mut Db, caller: &Caller, callee: AccountId, plan: &Plan) -> Result<String> {
    let number = caller.phone.as_ref().map(|phone| &phone.to).or(plan.phones.first().map(|phone| &phone.to));
    if let Some(number) = number {
        return Ok(number.region());
    }
    let home = match quality::home(db, callee)? {
        Some(home) => Some(home),
        None => quality::home(db, caller.account)?,
    };
    Ok(home.unwrap_or_else(|| "US".to_owned()))
}

/// The rows of a call that is about to ring.
fn prepare(
    now: Timestamp,
    caller: &Caller,
    Friends { mine, theirs }: &Friends,
    (plan, region): (&Plan, String),
) -> (Call, Leg, Vec<(Leg, Duration)>) {
    let blocked = theirs.state != ContactState::Accepted;
    let call_id = CallId::new(now);
    let (leg, via) = caller_leg(now, call_id, caller);
    let phones: Vec<(Leg, Duration)> =
        plan.phones.iter().map(|phone| phone_leg(now, call_id, phone)).collect();
    let end = match caller.session {
        Some(session) => End::Client(session),
        None => End::Phone(leg.id),
    };
    let ids = phones.iter().map(|(leg, _)| leg.id).collect();
    let mut machine = Machine::ringing(Some(end), plan.clients, ids, plan.voicemail);
    if plan.screening && via == Via::Phone {
        machine.screening = Screening::Asking;
    }
    // It ends before he has sound of ours, and then he has it only to hear that.
    machine.caller.up = plan.busy && !plan.voicemail && caller.phone.as_ref().is_some_and(|p| p.answered);
    let call = Call {
        id: call_id,
        caller: caller.account,
        callee: if blocked { caller.account } else { theirs.account_id },
        conversation: mine.conversation_id,
        version: 1,
        node: caller.node.clone(),
        ring_until: Some(now.plus(plan.rings)),
        created_at: now,
        answered_at: None,
        ended_at: None,
        alive_until: now.plus(ALIVE),
        message: None,
        facts: Facts {
            wideband: via == Via::Chat && plan.phones.is_empty() && !plan.voicemail,
            machine,
            caller_contact: mine.id,
            callee_contact: theirs.id,
            caller_via: via,
            attestation: caller.phone.as_ref().and_then(|p| p.attestation).map(String::from),
            region,
            unheard: blocked,
            greeted: false,
            caller_gone: false,
            consent_asked: false,
            said: None,
        },
    };
    (call, leg, phones)
}

fn skip_ringing(db: &mut Db, now: Timestamp, id: CallId, event: Event) -> Result<Call> {
    match event {
        Event::PhoneRefuses(_, reason) => changes::change(db, now, id, |call| {
            // As if the last phone had said so.
            call.facts.machine.phones = vec![CallLegId::floor(now)];
            let refused = Event::PhoneRefuses(CallLegId::floor(now), reason);
            let (machine, effects) = call.facts.machine.after(refused).map_err(changes::refused)?;
            call.facts.machine = machine;
            Ok(effects)
        }),
        other => changes::apply(db, now, id, other),
    }
}

/// Nobody hears of it, and it rings until the caller gives up.
fn unheard_plan() -> Plan {
    Plan {
        clients: false,
        phones: Vec::new(),
        rings: Duration::from_secs(25),
        voicemail: false,
        busy: false,
        screening: false,
    }
}

fn caller_leg(now: Timestamp, call: CallId, caller: &Caller) -> (Leg, Via) {
    match &caller.phone {
        Some(phone) => {
            let leg = Leg {
                carrier_id: Some(phone.carrier_id.clone()),
                carrier_call_id: Some(phone.carrier_call_id.clone()),
                from: Some(phone.from.clone()),
                to: Some(phone.to.clone()),
                ..new_leg(now, call, Side::Caller, LegKind::Phone, LegState::Ringing)
            };
            (leg, Via::Phone)
        }
        None => (new_leg(now, call, Side::Caller, LegKind::Browser, LegState::Ringing), Via::Chat),
    }
}

fn phone_leg(now: Timestamp, call: CallId, phone: &policy::PhoneToRing) -> (Leg, Duration) {
    let leg = Leg {
        carrier_id: Some(phone.carrier_id.clone()),
        from: Some(phone.from.clone()),
        to: Some(phone.to.clone()),
        ..new_leg(now, call, Side::Callee, LegKind::Phone, LegState::Waiting)
    };
    (leg, phone.after)
}

/// Rows and jobs for what rings, and for its end.
fn ring(db: &mut Db, now: Timestamp, call: &Call, phones: &[(Leg, Duration)]) -> Result<()> {
    for (leg, after) in phones {
        store::insert_leg(db, leg)?;
        queue::enqueue_at(db, now, now.plus(*after), jobs::DIAL, None, &jobs::OfLeg { leg: leg.id })?;
    }
    if let Some(End::Phone(leg)) = call.machine().caller.end {
        let due = now.plus(jobs::SOUND_PATIENCE);
        queue::enqueue_at(db, now, due, jobs::SOUND_DUE, None, &jobs::OfLeg { leg })?;
    }
    if let Some(until) = call.ring_until {
        queue::enqueue_at(db, now, until, jobs::RING_OVER, None, &jobs::OfCall { call: call.id })?;
    }
    Ok(())
}

/// A client of the callee takes the call, at a node: the first has it.
pub fn answer_by_client(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    at: (CallId, &str),
    session: SessionId,
) -> Result<Placed> {
    callee_joins(db, now, account, at, Event::Accepts(session))
}

/// A client of the callee listens to the message that the caller leaves, at the node where he speaks.
pub fn listen_by_client(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    at: (CallId, &str),
    session: SessionId,
) -> Result<Placed> {
    callee_joins(db, now, account, at, Event::Listens(session))
}

fn callee_joins(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    (id, node): (CallId, &str),
    event: Event,
) -> Result<Placed> {
    let call = changes::find(db, account, id)?;
    if call.callee != account || call.facts.unheard {
        return Err(Error::conflict("not_now", "You are the one who calls."));
    }
    // Who is late hears that first, wherever he asks.
    call.machine().after(event).map_err(changes::refused)?;
    changes::only_at(&call, node)?;
    let call = changes::apply(db, now, id, event)?;
    joined(db, now, call, Side::Callee)
}

/// A client's leg on a side of a call that is its own now.
fn joined(db: &mut Db, now: Timestamp, call: Call, side: Side) -> Result<Placed> {
    let leg = new_leg(now, call.id, side, LegKind::Browser, LegState::Ringing);
    store::insert_leg(db, &leg)?;
    Ok(Placed { call, leg, side })
}

/// A running call that another client of the same person may take over at this node, and his side of it.
pub fn movable(
    db: &mut Db,
    account: AccountId,
    (id, node): (CallId, &str),
    session: SessionId,
) -> Result<(Call, Side)> {
    let call = changes::find(db, account, id)?;
    let side = call.side_of(account).ok_or_else(|| Error::not_found("call"))?;
    call.machine().after(Event::Moves(side, session)).map_err(changes::refused)?;
    changes::only_at(&call, node)?;
    Ok((call, side))
}

/// Another client of the same person takes a running call over. Once its sound is answered for: the end that was there is
/// over with this.
pub fn move_to_client(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    (id, node): (CallId, &str),
    session: SessionId,
) -> Result<Placed> {
    let (_, side) = movable(db, account, (id, node), session)?;
    let call = changes::apply(db, now, id, Event::Moves(side, session))?;
    // The end that was left is over; a telephone of it is hung up.
    for old in store::list_legs(db, &[id])? {
        if old.side == side && old.state != LegState::Ended {
            store::end_leg(db, old.id, "moved", now)?;
            if old.kind == LegKind::Phone {
                queue::enqueue(db, now, jobs::HANG_UP, None, &jobs::OfLeg { leg: old.id })?;
            }
        }
    }
    joined(db, now, call, side)
}
