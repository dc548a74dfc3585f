//! The switchboard: this node's live calls. It hears what was committed, reads the call anew and makes the sound match:
//! who hears ringing, who hears whom, what is recorded. And it tells the call what happens to its legs. A change may
//! come from anywhere (a client, a carrier, a job, another node): the way here is always the database.

mod news;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::changes;
use super::machine::{End, Event, Hears, Machine, Recording as Wish, Side, State};
use super::{Call, Leg, LegKind, Placed, hooks, settings, store};
use crate::app::App;
use crate::db::{Db, Lane, Signal};
use crate::error::{Error, Result};
use crate::ids::{AccountId, CallId, CallLegId, SessionId};
use crate::media::{Codec, Engine, LegId, RecordLimits, SocketLeg, Sound, Times};

/// How often this node says that it lives, and looks for calls of nodes that do not.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// Nobody speaks for so long: the message after the beep is over.
const SILENCE_MILLIS: u32 = 5_000;
/// A name is short.
const NAME_MILLIS_MAX: u32 = 4_000;
/// And followed by silence.
const NAME_SILENCE_MILLIS: u32 = 1_500;
/// How often the busy tone is heard before the line is hung up: some four seconds.
const BUSY_TIMES: Times = Times::Count(4);
/// A recording of a whole call.
const RECORDING_MILLIS_MAX: u32 = 2 * 3_600 * 1_000;

/// One end that is connected here.
#[derive(Debug)]
struct Joined {
    row: CallLegId,
    leg: LegId,
    side: Side,
    end: End,
    kind: LegKind,
    /// Whether it was opened to listen to a message only.
    listens: bool,
    up: bool,
    hears: Option<Hears>,
    muted: bool,
    /// Whether nothing comes from it just now.
    silent: bool,
    /// Whether its client has let go of its events and has not come back: a tab that is closed does, a device on its way
    /// to another network cannot.
    left: bool,
}

/// How far the caller is with what he hears and says while nobody talks to him.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing of the kind.
    None,
    /// He hears the greeting.
    Greeting,
    /// The beep before his message.
    Beep,
    /// His message.
    Message,
    /// The beep before his name.
    NameBeep,
    /// His name.
    Name,
    /// The busy tone, and nothing after it.
    Busy,
}

/// Who hears whom just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bridged {
    caller: LegId,
    callee: LegId,
    /// Both hear each other, or only the callee the caller.
    both: bool,
}

/// A call whose sound is here.
#[derive(Debug)]
struct Live {
    caller: AccountId,
    callee: AccountId,
    version: i64,
    answered: bool,
    wideband: bool,
    ends: Vec<Joined>,
    bridged: Option<Bridged>,
    stage: Stage,
    recording: Option<LegId>,
}

impl Live {
    fn end(&self, side: Side) -> Option<&Joined> {
        self.ends.iter().find(|joined| joined.side == side)
    }
}

/// What is read of a call to make its sound match.
struct Picture {
    call: Call,
    greeting: Option<Vec<u8>>,
    seconds_max: u16,
}

/// This node's live calls.
pub struct Switchboard {
    app: App,
    engine: Engine,
    node: String,
    calls: Mutex<HashMap<CallId, Live>>,
    /// Legs whose whole call is recorded by consent; anything else that was recorded and comes late is thrown away.
    consented: Mutex<HashSet<LegId>>,
    /// How many connections each session has on which it hears its account's events.
    clients: Mutex<HashMap<SessionId, u32>>,
}

impl Switchboard {
    /// A switchboard that listens to the app's changes. Needs a tokio runtime around it.
    pub fn open(app: &App) -> Arc<Switchboard> {
        let board = Arc::new(Switchboard {
            app: app.clone(),
            engine: app.media.clone(),
            node: format!("{:016x}", rand::random::<u64>()),
            calls: Mutex::default(),
            consented: Mutex::default(),
            clients: Mutex::default(),
        });
        let (sender, receiver) = mpsc::unbounded_channel();
        app.on_signal(move |signal| {
            if let Signal::Account { account, .. } = signal {
                // Closed only when the process ends.
                let _ = sender.send(*account);
            }
        });
        tokio::spawn(listen(Arc::downgrade(&board), receiver));
        board
    }

    /// The name of this node, as stored with its calls.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Calls whose sound is here.
    pub fn live_count(&self) -> usize {
        self.calls().len()
    }

    fn calls(&self) -> MutexGuard<'_, HashMap<CallId, Live>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connects a browser as one end of a call; answers the SDP.
    pub async fn connect_browser(self: &Arc<Self>, placed: &Placed, offer: &str) -> Result<String> {
        let (leg, answer) = self.open_browser(&placed.call, offer).await?;
        self.join_browser(placed, leg).await?;
        Ok(answer)
    }

    /// Answers a browser's offer before anything of a call changes; [`Switchboard::join_browser`] makes it an end of the
    /// call, or [`Switchboard::let_go`] forgets it.
    pub async fn open_browser(&self, call: &Call, offer: &str) -> Result<(LegId, String)> {
        let codecs: &[Codec] = if call.facts.wideband { &[Codec::Opus] } else { &[Codec::Pcmu] };
        self.engine.open_browser(offer, codecs).await
    }

    /// Makes a browser whose offer was answered an end of its call; whoever was that end before is let go.
    pub async fn join_browser(self: &Arc<Self>, placed: &Placed, leg: LegId) -> Result<()> {
        self.join(&placed.call, &placed.leg, placed.side, leg).await
    }

    /// Forgets a browser that became no end of a call.
    pub fn let_go(&self, leg: LegId) {
        self.engine.close(leg);
    }

    /// A browser's network has changed.
    pub async fn reconnect_browser(&self, call: CallId, side: Side, offer: &str) -> Result<String> {
        let leg = self.calls().get(&call).and_then(|live| live.end(side)).map(|joined| joined.leg);
        let leg = leg.ok_or_else(|| Error::conflict("not_here", "This call has lost its sound."))?;
        self.engine.renegotiate(leg, offer).await
    }

    /// Connects a telephone's media socket; `None` when nobody waits for it any more.
    pub async fn connect_phone(self: &Arc<Self>, leg: &Leg) -> Result<Option<SocketLeg>> {
        let (now, row, node) = (self.app.now(), leg.clone(), self.node.clone());
        let write = move |db: &mut Db| {
            // Its sound comes only when it was picked up, and may come before that is told.
            if row.side == Side::Callee {
                hooks::picked_up(db, now, &row)?;
            }
            hooks::answer_consent(db, now, &row, false)?;
            changes::settle_at(db, now, &row, &node)
        };
        let call = self.app.db.write(Lane::Any, write).await?;
        let Some(call) = call.filter(|call| {
            let machine = call.machine();
            let hears = machine.state != State::Ended || machine.hears(leg.side) == Hears::BusyTone;
            hears && machine.party(leg.side).end == Some(End::Phone(leg.id))
        }) else {
            return Ok(None);
        };
        let (id, socket) = self.engine.open_socket()?;
        self.join(&call, leg, leg.side, id).await?;
        Ok(Some(socket))
    }

    /// Presses keys towards the other side.
    pub fn send_digits(&self, call: CallId, from: Side, digits: &str) {
        let leg = self.calls().get(&call).and_then(|live| live.end(from.other())).map(|joined| joined.leg);
        if let Some(leg) = leg {
            digits.chars().for_each(|digit| self.engine.send_digit(leg, digit));
        }
    }

    /// The caller ends his message by a key, which is no sound of it; false when he leaves none.
    pub fn end_message(&self, call: CallId) -> bool {
        let calls = self.calls();
        let speaks = calls.get(&call).filter(|live| live.stage == Stage::Message);
        let leg = speaks.and_then(|live| live.end(Side::Caller)).map(|joined| joined.leg);
        leg.map(|leg| self.engine.stop_recording(leg)).is_some()
    }

    /// A telephone's socket has no way for keys: they are heard instead.
    pub fn play_key(&self, row: CallLegId, digit: char) {
        let calls = self.calls();
        let leg = calls.values().flat_map(|live| &live.ends).find(|joined| joined.row == row);
        if let Some(leg) = leg.map(|joined| joined.leg) {
            // The leg may be over: then nobody waits for the tone.
            let _ = self.engine.play(leg, Sound::Key(digit), Times::ONCE);
        }
    }

    /// The leg of the client that talks on a side, for its figures.
    pub fn leg_of(&self, call: CallId, side: Side) -> Option<CallLegId> {
        self.calls().get(&call).and_then(|live| live.end(side)).map(|joined| joined.row)
    }

    async fn join(self: &Arc<Self>, call: &Call, row: &Leg, side: Side, leg: LegId) -> Result<()> {
        let end = call.machine().party(side).end;
        let events = self.engine.events(leg).ok_or_else(|| Error::internal("a new leg has no events"))?;
        let Some(end) = end else {
            self.engine.close(leg);
            return Err(changes::refused(super::machine::Refusal::Over));
        };
        let listens = side == Side::Callee && call.machine().listens();
        let kind = row.kind;
        let joined = Joined {
            row: row.id,
            leg,
            side,
            end,
            kind,
            listens,
            up: false,
            hears: None,
            muted: false,
            silent: false,
            left: false,
        };
        {
            let mut calls = self.calls();
            let live = calls.entry(call.id).or_insert_with(|| Live {
                caller: call.caller,
                callee: call.callee,
                version: 0,
                answered: false,
                wideband: call.facts.wideband,
                ends: Vec::new(),
                bridged: None,
                stage: Stage::None,
                recording: None,
            });
            // Whoever was there before has left: his leg is closed, and that is no news for the call.
            for old in live.ends.extract_if(.., |old| old.side == side) {
                self.engine.close(old.leg);
            }
            live.ends.push(joined);
        }
        tokio::spawn(Arc::clone(self).follow(call.id, row.clone(), side, leg, events));
        self.settle(call.id).await;
        Ok(())
    }

    /// Reads a call anew and makes the sound match.
    async fn settle(&self, id: CallId) {
        let read = self.app.db.read(move |db| picture(db, id)).await;
        match read {
            Ok(Some(picture)) => {
                let due = self.arrange(&picture);
                if let Some(event) = due
                    && let Err(error) = Box::pin(self.tell(id, event)).await
                {
                    tracing::warn!(call.id = %id, reason = %error.report(), "a call could not be ended");
                }
            }
            Ok(None) => self.drop_call(id),
            Err(error) => {
                tracing::warn!(call.id = %id, reason = %error.report(), "a call could not be read");
            }
        }
    }

    fn drop_call(&self, id: CallId) {
        if let Some(live) = self.calls().remove(&id) {
            live.ends.iter().for_each(|joined| self.engine.close(joined.leg));
        }
    }

    /// Makes the sound match; answers what follows from it, if anything.
    fn arrange(&self, picture: &Picture) -> Option<Event> {
        let call = &picture.call;
        let machine = call.machine();
        if machine.state == State::Ended {
            if machine.hears(Side::Caller) != Hears::BusyTone || !self.say_busy(picture) {
                self.drop_call(call.id);
            }
            return None;
        }
        let mut calls = self.calls();
        let live = calls.get_mut(&call.id).filter(|live| call.version >= live.version)?;
        live.version = call.version;
        live.answered = matches!(machine.state, State::Connecting | State::InProgress);
        let has_left = |joined: &mut Joined| {
            machine.party(joined.side).end != Some(joined.end) || (joined.listens && !machine.listens())
        };
        for gone in live.ends.extract_if(.., has_left) {
            self.engine.close(gone.leg);
        }
        self.bridge(live, machine);
        for side in [Side::Caller, Side::Callee] {
            self.sound(live, side, picture);
        }
        self.record(live, machine);
        self.ask_phone(live, call);
        // What he has said after the beep comes with the end of his leg.
        let waits = machine.state == State::Voicemail && live.end(Side::Caller).is_some();
        if let Some(caller) = live.end(Side::Caller).filter(|_| waits && call.facts.caller_gone) {
            self.engine.close(caller.leg);
        }
        (call.facts.caller_gone && call.node == self.node && !waits).then_some(Event::HangsUp(Side::Caller))
    }

    /// The call is over, and the caller hears why; false when he is not here.
    fn say_busy(&self, picture: &Picture) -> bool {
        let mut calls = self.calls();
        let Some(live) = calls.get_mut(&picture.call.id) else { return false };
        for callee in live.ends.extract_if(.., |joined| joined.side == Side::Callee) {
            self.engine.close(callee.leg);
        }
        if live.ends.is_empty() {
            return false;
        }
        live.version = picture.call.version;
        self.sound(live, Side::Caller, picture);
        true
    }

    /// Lets the two hear each other, or one the other, or no longer.
    fn bridge(&self, live: &mut Live, machine: &Machine) {
        let both = machine.hears(Side::Caller) == Hears::TheOther;
        let legs = live.end(Side::Caller).zip(live.end(Side::Callee));
        let wanted = legs
            .filter(|(a, b)| a.up && b.up && machine.hears(Side::Callee) == Hears::TheOther)
            .filter(|_| both || machine.listens())
            .map(|(a, b)| Bridged { caller: a.leg, callee: b.leg, both });
        if wanted == live.bridged {
            return;
        }
        if let Some(before) = live.bridged {
            self.engine.unbridge(before.caller);
        }
        live.bridged = wanted;
        let joined = match wanted {
            Some(Bridged { caller, callee, both: true }) => self.engine.bridge(caller, callee),
            Some(Bridged { caller, callee, both: false }) => self.engine.overhear(caller, callee),
            None => Ok(()),
        };
        if let Err(error) = joined {
            tracing::warn!(reason = %error.report(), "two ends could not be joined");
        }
    }

    /// Gives one side what it has to hear, when that has changed.
    fn sound(&self, live: &mut Live, side: Side, picture: &Picture) {
        let machine = picture.call.machine();
        let hears = machine.hears(side);
        let muted = machine.party(side).muted;
        let Some(joined) = live.ends.iter_mut().find(|joined| joined.side == side) else { return };
        if joined.muted != muted {
            joined.muted = muted;
            self.engine.mute(joined.leg, muted);
        }
        if joined.hears == Some(hears) {
            return;
        }
        joined.hears = Some(hears);
        let (leg, kind) = (joined.leg, joined.kind);
        let region = region_code(&picture.call.facts.region);
        let play = |sound, times| {
            if let Err(error) = self.engine.play(leg, sound, times) {
                tracing::debug!(reason = %error.report(), "a leg ended before it was played to");
            }
        };
        if side == Side::Caller {
            if matches!(live.stage, Stage::Message | Stage::Name) {
                self.engine.stop_recording(leg);
            }
            live.stage = Stage::None;
        }
        match hears {
            Hears::TheOther => {}
            Hears::Silence => self.engine.stop_playing(leg),
            Hears::Ringback => play(Sound::Ringback(region), Times::Forever),
            Hears::NamePrompt => {
                live.stage = Stage::NameBeep;
                play(Sound::Beep, Times::ONCE);
            }
            Hears::HoldTone => play(Sound::HoldTone, Times::Forever),
            Hears::BusyTone => {
                live.stage = Stage::Busy;
                play(Sound::Busy(region), BUSY_TIMES);
            }
            Hears::Greeting => match (&picture.greeting, kind) {
                (Some(mulaw), _) => {
                    live.stage = Stage::Greeting;
                    play(Sound::Pcmu(mulaw.as_slice().into()), Times::ONCE);
                }
                // The carrier speaks: without its socket it asks what next, and comes back with another.
                (None, LegKind::Phone) if !picture.call.facts.greeted => {
                    live.ends.retain(|joined| joined.leg != leg);
                    self.engine.close(leg);
                }
                (None, _) => {
                    live.stage = Stage::Beep;
                    play(Sound::Beep, Times::ONCE);
                }
            },
        }
    }

    /// A telephone that shall agree to a recording is asked by its carrier: without its socket it asks what next.
    fn ask_phone(&self, live: &mut Live, call: &Call) {
        let Wish::Asked(asker) = call.machine().recording else { return };
        if call.facts.consent_asked {
            return;
        }
        let phone = |joined: &Joined| joined.side != asker && joined.kind == LegKind::Phone && joined.up;
        let Some(at) = live.ends.iter().position(phone) else { return };
        let joined = live.ends.remove(at);
        if let Some(bridged) = live.bridged.take() {
            self.engine.unbridge(bridged.caller);
        }
        self.engine.close(joined.leg);
    }

    fn record(&self, live: &mut Live, machine: &Machine) {
        let wanted = match machine.recording {
            Wish::On(_) if !live.wideband => live.bridged.map(|bridged| bridged.caller),
            Wish::On(_) | Wish::Asked(_) | Wish::Off => None,
        };
        match (wanted, live.recording) {
            (Some(leg), None) => {
                live.recording = Some(leg);
                self.consented.lock().unwrap_or_else(PoisonError::into_inner).insert(leg);
                let limits = RecordLimits {
                    millis_max: RECORDING_MILLIS_MAX,
                    silence_millis: None,
                    stop_on_hash: false,
                    both: true,
                };
                if let Err(error) = self.engine.record(leg, limits) {
                    tracing::debug!(reason = %error.report(), "a leg ended before it was recorded");
                }
            }
            (None, Some(leg)) if !matches!(machine.recording, Wish::On(_)) => {
                live.recording = None;
                self.engine.stop_recording(leg);
            }
            _ => {}
        }
    }

    /// Says that this node lives, and ends calls that nobody takes care of.
    pub async fn look_after(&self) -> Result<()> {
        let now = self.app.now();
        // A call whose ends do not come is not alive.
        let alive = |live: &Live| {
            live.end(Side::Caller).is_some() && (!live.answered || live.end(Side::Callee).is_some())
        };
        let all: Vec<(CallId, i64, bool)> =
            self.calls().iter().map(|(id, live)| (*id, live.version, alive(live))).collect();
        let mine: Vec<CallId> = all.iter().filter(|(_, _, alive)| *alive).map(|(id, _, _)| *id).collect();
        self.app.db.write(Lane::Any, move |db| changes::keep_alive(db, now, &mine)).await?;
        // What one call does wrong is told and holds up no other.
        let mut swept = 0;
        for id in self.app.db.read(move |db| changes::list_due(db, now)).await? {
            match self.app.db.write(Lane::Any, move |db| changes::sweep(db, now, id)).await {
                Ok(ended) => swept += usize::from(ended),
                Err(error) => {
                    tracing::error!(call.id = %id, reason = %error.report(), "a call that nobody takes care of cannot be ended");
                }
            }
        }
        // A change that was not told here, by whichever node it was made, is heard of now.
        let ids: Vec<CallId> = all.iter().map(|(id, _, _)| *id).collect();
        let versions: HashMap<CallId, i64> =
            self.app.db.read(move |db| store::list_versions(db, &ids)).await?.into_iter().collect();
        for (id, _, _) in all.iter().filter(|(id, version, _)| versions.get(id) != Some(version)) {
            self.settle(*id).await;
        }
        if swept > 0 {
            tracing::warn!(count = swept, "calls that nobody took care of were ended");
        }
        Ok(())
    }

    /// Looks after this node's calls until `stop` turns true.
    pub async fn keep(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut tick = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                _ = tick.tick() => {
                    if let Err(error) = self.look_after().await {
                        tracing::warn!(reason = %error.report(), "calls could not be looked after");
                    }
                }
                _ = stop.changed() => return,
            }
        }
    }
}

/// Settles every live call of an account that has changed.
async fn listen(board: Weak<Switchboard>, mut changed: mpsc::UnboundedReceiver<AccountId>) {
    while let Some(account) = changed.recv().await {
        let Some(board) = board.upgrade() else { return };
        let due: Vec<CallId> = board
            .calls()
            .iter()
            .filter(|(_, live)| live.caller == account || live.callee == account)
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            board.settle(id).await;
        }
    }
}

fn picture(db: &mut Db, id: CallId) -> Result<Option<Picture>> {
    let Some(call) = store::find(db, id)? else { return Ok(None) };
    let mut picture = Picture { call, greeting: None, seconds_max: settings::VOICEMAIL_SECONDS_MAX };
    if picture.call.machine().state == State::Voicemail {
        let callee = picture.call.callee;
        picture.greeting = settings::greeting(db, callee)?;
        picture.seconds_max = settings::load(db, callee)?.voicemail.seconds_max;
    }
    Ok(Some(picture))
}

/// Two letters for the engine.
fn region_code(region: &str) -> [u8; 2] {
    <[u8; 2]>::try_from(region.as_bytes()).unwrap_or(*b"US")
}
