//! The jobs of calls: what must reach carriers, and what time brings. Read → talk to the world → write; all can run twice.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::changes::{self, CALL_MAX};
use super::machine::{End, EndReason, Event};
use super::{Leg, LegState, hooks, pushes, store, voicemail};
use crate::app::App;
use crate::carriers::voice::{CallToMake, Step};
use crate::clock::Timestamp;
use crate::db::{Db, Lane};
use crate::error::{Error, Result};
use crate::ids::{CallId, CallLegId};
use crate::queue::{self, Claimed, Next};

/// Dials a telephone.
pub const DIAL: &str = "calls.dial";
/// Makes a telephone stop ringing or talking.
pub const HANG_UP: &str = "calls.hang_up";
/// It has rung for long enough.
pub const RING_OVER: &str = "calls.ring_over";
/// The sound of a telephone that calls should be there by now.
pub const SOUND_DUE: &str = "calls.sound_due";
/// A voicemail goes out by mail.
pub const MAIL_VOICEMAIL: &str = "calls.mail_voicemail";

/// A device of the one who is called is woken.
pub const WAKE: &str = "calls.wake";

/// All of them.
pub const KINDS: [&str; 6] = [DIAL, HANG_UP, RING_OVER, SOUND_DUE, MAIL_VOICEMAIL, WAKE];

/// A telephone whose carrier has not told its id yet is looked at again after this time.
const ID_PAUSE: Duration = Duration::from_secs(2);
/// A carrier opens the socket for a call's sound at once; when it has not by then, the caller is gone.
pub(super) const SOUND_PATIENCE: Duration = Duration::from_secs(10);
/// The same while the carrier speaks a greeting first.
const GREETING_PATIENCE: Duration = Duration::from_secs(50);
/// After so long the carrier never had the call.
const ID_PATIENCE: Duration = Duration::from_secs(120);
/// A phone that is picked up opens its sound within this time after it has rung out.
const SOUND_WITHIN: Duration = Duration::from_secs(60);

/// A payload about one leg.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OfLeg {
    /// Which.
    pub leg: CallLegId,
}

/// A payload about one call.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OfCall {
    /// Which.
    pub call: CallId,
}

/// Runs one job of this slice.
pub async fn run(app: &App, job: &Claimed) -> Result<Next> {
    match job.kind.as_str() {
        DIAL => dial(app, serde_json::from_str::<OfLeg>(&job.payload)?.leg).await,
        HANG_UP => hang_up(app, serde_json::from_str::<OfLeg>(&job.payload)?.leg).await,
        RING_OVER => ring_over(app, serde_json::from_str::<OfCall>(&job.payload)?.call).await,
        SOUND_DUE => sound_due(app, serde_json::from_str::<OfLeg>(&job.payload)?.leg).await,
        WAKE => pushes::wake(app, job).await,
        MAIL_VOICEMAIL => voicemail::mail(app, job).await.map(|()| Next::Done),
        other => Err(Error::internal(format!("no job of calls is called {other}"))),
    }
}

/// A leg that is about to be dialled, with the seconds that are left for ringing.
struct Wanted {
    leg: Leg,
    seconds: u16,
}

/// Takes a leg for dialling: once, and only while the call still rings.
fn take(db: &mut Db, now: Timestamp, id: CallLegId, token: &[u8]) -> Result<Option<Wanted>> {
    let Some(leg) = store::find_leg(db, id)?.filter(|leg| leg.state == LegState::Waiting) else {
        return Ok(None);
    };
    let call = store::find(db, leg.call)?.filter(|call| call.machine().phones.contains(&id));
    let Some(until) = call.and_then(|call| call.ring_until) else { return Ok(None) };
    if !store::begin_dialling(db, id)? {
        return Ok(None);
    }
    let seconds = u16::try_from(until.since(now).as_secs()).unwrap_or(60).clamp(5, 60);
    store::set_token(db, id, token, until.plus(SOUND_WITHIN))?;
    Ok(Some(Wanted { leg, seconds }))
}

async fn dial(app: &App, id: CallLegId) -> Result<Next> {
    let (token, hash) = hooks::new_token(app);
    let now = app.now();
    let Some(Wanted { leg, seconds }) = app.db.write(Lane::Any, move |db| take(db, now, id, &hash)).await?
    else {
        // Taken before: what came of it is told by the carrier's callbacks, which bring our own name.
        return Ok(Next::Done);
    };
    let (Some(carrier_id), Some(from), Some(to)) = (leg.carrier_id.clone(), leg.from.clone(), leg.to.clone())
    else {
        return refuse(app, &leg, EndReason::Failed).await;
    };
    let carrier = app.carriers.get(&carrier_id).cloned();
    let Some(voice) = carrier.as_ref().and_then(|carrier| carrier.voice()) else {
        return refuse(app, &leg, EndReason::Failed).await;
    };
    if super::policy::check_destination(&to).is_err() {
        return refuse(app, &leg, EndReason::Failed).await;
    }
    let base = format!("{}/carriers/{carrier_id}", app.settings.public_url);
    let steps = vec![
        Step::Sound { url: hooks::media_url(app, &carrier_id, &token) },
        Step::GoTo { url: hooks::next_url(app, &carrier_id, id) },
    ];
    let call = CallToMake {
        id,
        from,
        to,
        steps,
        status_callback: format!("{base}/call-status"),
        ring_seconds: seconds,
        seconds_max: u32::try_from(CALL_MAX.as_secs()).unwrap_or(14_400),
    };
    match voice.dial(&call).await {
        Ok(carrier_call_id) => {
            let now = app.now();
            let write = move |db: &mut Db| {
                store::set_carrier_call(db, id, &carrier_call_id)?;
                // It was taken back while the carrier was asked.
                if store::find_leg(db, id)?.is_none_or(|leg| leg.state == LegState::Ended) {
                    queue::enqueue(db, now, HANG_UP, None, &OfLeg { leg: id })?;
                }
                Ok(())
            };
            app.db.write(Lane::Any, write).await?;
            Ok(Next::Done)
        }
        Err(error) if error.certain => {
            tracing::warn!(leg.id = %id, reason = %error, "a phone could not be dialled");
            refuse(app, &leg, EndReason::Failed).await
        }
        // It may ring: its callbacks tell, and its end is when ringing is over.
        Err(error) => {
            tracing::warn!(leg.id = %id, reason = %error, "whether a phone was dialled is not known");
            Ok(Next::Done)
        }
    }
}

async fn refuse(app: &App, leg: &Leg, reason: EndReason) -> Result<Next> {
    let (now, id, call) = (app.now(), leg.id, leg.call);
    let write = move |db: &mut Db| {
        store::end_leg(db, id, reason.as_str(), now)?;
        late(changes::apply(db, now, call, Event::PhoneRefuses(id, reason)).map(drop))
    };
    app.db.write(Lane::Any, write).await?;
    Ok(Next::Done)
}

/// What comes too late is no error for a job.
pub(super) fn late(outcome: Result<()>) -> Result<()> {
    match outcome {
        Err(error) if changes::is_late(&error) => Ok(()),
        other => other,
    }
}

async fn hang_up(app: &App, id: CallLegId) -> Result<Next> {
    let Some(leg) = app.db.read(move |db| store::find_leg(db, id)).await? else { return Ok(Next::Done) };
    if leg.state != LegState::Ended {
        // Who hears the busy tone has the end of his leg only now.
        let now = app.now();
        app.db.write(Lane::Any, move |db| store::end_leg(db, id, "busy", now)).await?;
    }
    let carrier = leg.carrier_id.as_deref().and_then(|id| app.carriers.get(id)).cloned();
    let Some(voice) = carrier.as_ref().and_then(|carrier| carrier.voice()) else { return Ok(Next::Done) };
    let Some(carrier_call_id) = &leg.carrier_call_id else {
        let now = app.now();
        if now.since(leg.created_at) > ID_PATIENCE {
            return Ok(Next::Done);
        }
        return Ok(Next::Again {
            at: now.plus(ID_PAUSE),
            why: "the carrier's id is not known yet".to_owned(),
        });
    };
    match voice.hang_up(carrier_call_id).await {
        Ok(()) => Ok(Next::Done),
        Err(error) if error.retry == crate::carriers::Retry::Never => {
            tracing::warn!(leg.id = %id, reason = %error, "a phone could not be hung up");
            Ok(Next::Done)
        }
        // Ending twice does no harm: here even what may have happened is tried again.
        Err(error) => {
            Err(Error::unavailable("carrier_away", "The carrier cannot be reached.").with_source(error))
        }
    }
}

/// Nobody may ring for a caller who left before he was there: a carrier's word on that can come before the call itself.
/// And nobody waits for a phone that was picked up without a sound.
async fn sound_due(app: &App, id: CallLegId) -> Result<Next> {
    let now = app.now();
    let write = move |db: &mut Db| {
        let Some(leg) = store::find_leg(db, id)?.filter(|leg| leg.state != LegState::Ended) else {
            return Ok(None);
        };
        let Some(call) = store::find(db, leg.call)? else { return Ok(None) };
        let party = call.machine().party(leg.side);
        if party.end != Some(End::Phone(id)) || party.up {
            return Ok(None);
        }
        let spoken = leg.created_at.plus(GREETING_PATIENCE);
        if call.facts.greeted && spoken > now {
            return Ok(Some(spoken));
        }
        late(changes::apply(db, now, leg.call, Event::HangsUp(leg.side)).map(drop)).map(|()| None)
    };
    Ok(match app.db.write(Lane::Any, write).await? {
        Some(at) => Next::Again { at, why: "the carrier speaks the greeting".to_owned() },
        None => Next::Done,
    })
}

async fn ring_over(app: &App, id: CallId) -> Result<Next> {
    let now = app.now();
    let write = move |db: &mut Db| {
        let Some(call) = store::find(db, id)? else { return Ok(None) };
        match call.ring_until {
            Some(until) if until > now => Ok(Some(until)),
            Some(_) => late(changes::apply(db, now, id, Event::RingsOut).map(drop)).map(|()| None),
            None => Ok(None),
        }
    };
    Ok(match app.db.write(Lane::Any, write).await? {
        Some(at) => Next::Again { at, why: "it still rings".to_owned() },
        None => Next::Done,
    })
}
