//! What happens to legs, told to their calls: sound comes up, a name or a message is said, a line wavers or ends. And
//! what clients do that says whether a silent one is gone.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use super::super::changes::{self, is_late};
use super::super::machine::{End, Event, Side};
use super::super::quality::{self, Measured};
use super::super::{Leg, LegKind, LegState, Sound as KeptSound, sounds, store, voicemail};
use super::{Joined, NAME_MILLIS_MAX, NAME_SILENCE_MILLIS, SILENCE_MILLIS, Stage, Switchboard, picture};
use crate::clock::Timestamp;
use crate::db::{Db, Lane};
use crate::error::{Kind, Result};
use crate::ids::{CallId, CallLegId, SessionId, SoundId};
use crate::media::{CloseReason, LegEvent, LegId, QualitySample, RecordLimits, Recording, Sound, Times};

/// How often it is tried to write that sound is up, and how much longer is waited each time.
const UP_TRIES: u32 = 6;
const UP_PAUSE: Duration = Duration::from_millis(250);

impl Switchboard {
    /// Tells the call what happens to one leg, until it is over.
    pub(super) async fn follow(
        self: Arc<Self>,
        call: CallId,
        row: Leg,
        side: Side,
        leg: LegId,
        mut events: mpsc::Receiver<LegEvent>,
    ) {
        let mut sample = None;
        // Who says too much at once is not heard to the end: then the channel's end is the leg's.
        let mut why = CloseReason::Failed;
        while let Some(event) = events.recv().await {
            let outcome = match event {
                LegEvent::Up => self.up_patiently(call, row.id, side, leg).await,
                LegEvent::Silent => self.wavers(call, leg, true).await,
                LegEvent::Sounding => self.wavers(call, leg, false).await,
                LegEvent::Digit(_) => Ok(()),
                LegEvent::Played => {
                    self.played(call, leg).await;
                    Ok(())
                }
                LegEvent::Recorded(recording) => self.recorded(call, leg, recording).await,
                LegEvent::Quality(newest) => {
                    sample = Some(newest);
                    Ok(())
                }
                LegEvent::Closed(reason) => {
                    why = reason;
                    break;
                }
            };
            if let Err(error) = outcome {
                tracing::warn!(call.id = %call, reason = %error.report(), "a leg's news is not written");
            }
        }
        let kept = self.keep_quality(&row, sample).await;
        let told = self.closed(call, side, leg, why).await;
        if let Err(error) = kept.and(told) {
            tracing::warn!(call.id = %call, reason = %error.report(), "a leg's end is not written");
        }
    }

    fn is_current(&self, call: CallId, leg: LegId) -> bool {
        self.calls().get(&call).is_some_and(|live| live.ends.iter().any(|joined| joined.leg == leg))
    }

    /// Nothing comes from a browser any more, or again. Whether it changes its network or was closed is not to be seen in
    /// its sound: the other side is told, and the engine gives the leg up when it stays away. When its client is gone,
    /// too, the call is over at once.
    async fn wavers(&self, call: CallId, leg: LegId, on: bool) -> Result<()> {
        let (side, left) = {
            let mut calls = self.calls();
            let ends = calls.get_mut(&call).map(|live| live.ends.iter_mut()).into_iter().flatten();
            let mut mine = ends.filter(|joined| joined.leg == leg && joined.kind == LegKind::Browser);
            let Some(joined) = mine.next() else { return Ok(()) };
            joined.silent = on;
            (joined.side, joined.left)
        };
        if on && left { self.loses(call, side).await } else { self.tell(call, Event::Wavers(side, on)).await }
    }

    /// A client is gone without a word. Who was speaking after the beep has said what he has said, as if he had hung up.
    async fn loses(&self, call: CallId, side: Side) -> Result<()> {
        let speaks =
            side == Side::Caller && self.calls().get(&call).is_some_and(|live| live.stage == Stage::Message);
        if !speaks {
            return self.tell(call, Event::Loses(side)).await;
        }
        let now = self.app.now();
        let left =
            self.app.db.write(Lane::Any, move |db| changes::hang_up(db, now, call, Side::Caller)).await;
        self.settle(call).await;
        left.map(drop).or_else(changes::unless_late)
    }

    /// A client listens to its account's events.
    pub fn client_came(&self, session: SessionId) {
        *self.clients().entry(session).or_default() += 1;
        self.each_end_of(session, |joined| joined.left = false);
    }

    /// One does no longer; `closed` when it was its own doing, which a network that is gone cannot tell us.
    pub async fn client_went(&self, session: SessionId, closed: bool) {
        {
            let mut clients = self.clients();
            let Entry::Occupied(mut count) = clients.entry(session) else { return };
            *count.get_mut() -= 1;
            if *count.get() > 0 {
                return;
            }
            count.remove();
        }
        if !closed {
            return;
        }
        let mut lost = Vec::new();
        self.each_end_of(session, |joined| {
            joined.left = true;
            if joined.silent {
                lost.push((joined.leg, joined.side));
            }
        });
        for (leg, side) in lost {
            let call = self
                .calls()
                .iter()
                .find(|(_, live)| live.ends.iter().any(|j| j.leg == leg))
                .map(|(id, _)| *id);
            if let Some(call) = call
                && let Err(error) = self.loses(call, side).await
            {
                tracing::warn!(call.id = %call, reason = %error.report(), "a call that was left is not ended");
            }
        }
    }

    fn clients(&self) -> MutexGuard<'_, HashMap<SessionId, u32>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn each_end_of(&self, session: SessionId, change: impl FnMut(&mut Joined)) {
        let mut calls = self.calls();
        let ends = calls.values_mut().flat_map(|live| &mut live.ends);
        ends.filter(|joined| joined.end == End::Client(session)).for_each(change);
    }

    /// Lets something happen to a call; what comes too late is nothing.
    pub(super) async fn tell(&self, id: CallId, event: Event) -> Result<()> {
        let now = self.app.now();
        let applied = self.app.db.write(Lane::Any, move |db| changes::apply(db, now, id, event)).await;
        self.settle(id).await;
        match applied {
            Err(error) if !is_late(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// Sound comes up once. Were that not written, the two would be connecting for ever: a moment's trouble at the
    /// database is waited out.
    async fn up_patiently(&self, call: CallId, row: CallLegId, side: Side, leg: LegId) -> Result<()> {
        let mut tries = 1;
        loop {
            match self.up(call, row, side, leg).await {
                Err(error) if tries < UP_TRIES && matches!(error.kind(), Kind::Unavailable) => {
                    tokio::time::sleep(UP_PAUSE * tries).await;
                    tries += 1;
                }
                outcome => return outcome,
            }
        }
    }

    async fn up(&self, call: CallId, row: CallLegId, side: Side, leg: LegId) -> Result<()> {
        if let Some(live) = self.calls().get_mut(&call) {
            live.ends.iter_mut().filter(|joined| joined.leg == leg).for_each(|joined| joined.up = true);
        }
        let now = self.app.now();
        self.app.db.write(Lane::Any, move |db| store::set_leg_state(db, row, LegState::Up, now)).await?;
        if !self.is_current(call, leg) {
            return Ok(());
        }
        self.tell(call, Event::SoundUp(side)).await
    }

    /// The greeting is over, or the beep.
    async fn played(&self, call: CallId, leg: LegId) {
        let seconds = match self.app.db.read(move |db| picture(db, call)).await {
            Ok(Some(picture)) => picture.seconds_max,
            Ok(None) | Err(_) => return,
        };
        let mut calls = self.calls();
        let Some(live) =
            calls.get_mut(&call).filter(|live| live.end(Side::Caller).is_some_and(|j| j.leg == leg))
        else {
            return;
        };
        let outcome = match live.stage {
            Stage::Greeting => {
                live.stage = Stage::Beep;
                self.engine.play(leg, Sound::Beep, Times::ONCE)
            }
            Stage::Beep => {
                live.stage = Stage::Message;
                let limits = RecordLimits {
                    millis_max: u32::from(seconds) * 1_000,
                    silence_millis: Some(SILENCE_MILLIS),
                    stop_on_hash: true,
                    both: false,
                };
                self.engine.record(leg, limits)
            }
            Stage::NameBeep => {
                live.stage = Stage::Name;
                let limits = RecordLimits {
                    millis_max: NAME_MILLIS_MAX,
                    silence_millis: Some(NAME_SILENCE_MILLIS),
                    stop_on_hash: true,
                    both: false,
                };
                self.engine.record(leg, limits)
            }
            Stage::Busy => {
                self.engine.close(leg);
                Ok(())
            }
            Stage::None | Stage::Message | Stage::Name => Ok(()),
        };
        if let Err(error) = outcome {
            tracing::debug!(reason = %error.report(), "the caller left before the beep");
        }
    }

    async fn recorded(&self, id: CallId, leg: LegId, recording: Recording) -> Result<()> {
        let stage = {
            let mut calls = self.calls();
            let live = calls.get_mut(&id);
            let stage = live.as_ref().map_or(Stage::None, |live| live.stage);
            if let Some(live) = live.filter(|live| live.recording == Some(leg)) {
                live.recording = None;
            }
            stage
        };
        let now = self.app.now();
        if stage == Stage::Name {
            let Recording { mulaw, millis, .. } = recording;
            let keep = move |db: &mut Db| voicemail::keep_name(db, now, id, millis, &mulaw);
            let kept = self.app.db.write(Lane::Any, keep).await;
            self.settle(id).await;
            return kept.map(drop).or_else(changes::unless_late);
        }
        if stage != Stage::Message {
            if !self.consented.lock().unwrap_or_else(PoisonError::into_inner).remove(&leg) {
                return Ok(());
            }
            let (mulaw, millis) = (recording.mulaw, i32::try_from(recording.millis).unwrap_or(i32::MAX));
            return self.app.db.write(Lane::Any, move |db| keep_recording(db, now, id, &mulaw, millis)).await;
        }
        if !recording.heard || recording.millis < voicemail::MILLIS_MIN {
            return self.tell(id, Event::HangsUp(Side::Caller)).await;
        }
        let Recording { mulaw, millis, .. } = recording;
        let kept =
            self.app.db.write(Lane::Any, move |db| voicemail::keep(db, now, id, millis, mulaw.clone())).await;
        self.settle(id).await;
        match kept {
            Err(error) if !is_late(&error) => Err(error),
            _ => Ok(()),
        }
    }

    async fn closed(&self, call: CallId, side: Side, leg: LegId, reason: CloseReason) -> Result<()> {
        let current = {
            let mut calls = self.calls();
            let left = calls.get_mut(&call).map(|live| live.ends.extract_if(.., |j| j.leg == leg).count());
            left.is_some_and(|count| count > 0)
        };
        // Whoever was closed because he had left, or because it is over, is no news.
        if !current {
            return Ok(());
        }
        let event = match reason {
            CloseReason::Asked | CloseReason::HungUp => Event::HangsUp(side),
            CloseReason::Gone | CloseReason::NeverConnected | CloseReason::Failed => Event::Loses(side),
        };
        self.tell(call, event).await
    }

    async fn keep_quality(&self, row: &Leg, sample: Option<QualitySample>) -> Result<()> {
        let Some(sample) = sample else { return Ok(()) };
        let measured = Measured::of_sample(&sample);
        let (now, row) = (self.app.now(), row.clone());
        let write = move |db: &mut Db| {
            let Some(call) = store::find(db, row.call)? else { return Ok(()) };
            quality::keep(db, now, &call, &row, &measured)?;
            changes::tell(db, now, &call)
        };
        self.app.db.write(Lane::Any, write).await
    }
}

/// What both agreed to keep belongs to both.
fn keep_recording(db: &mut Db, now: Timestamp, id: CallId, mulaw: &[u8], millis: i32) -> Result<()> {
    let Some(call) = store::find(db, id)? else { return Ok(()) };
    for account in changes::living_sides(db, &call)? {
        let sound = KeptSound {
            id: SoundId::new(now),
            account,
            call: Some(id),
            purpose: "recording",
            millis,
            mulaw: mulaw.to_vec(),
            created_at: now,
        };
        sounds::insert(db, &sound)?;
    }
    changes::recorded(db, now, &call)
}
