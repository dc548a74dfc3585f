//! What may happen to a call, and what follows: pure. Two accounts, one of them calls; the other's clients and phones
//! ring, the first to answer has it. Times, rows and sound are elsewhere: [`Machine::after`] takes a state and an event
//! and answers the next state and what has to be done, or why the event comes too late.

use serde::{Deserialize, Serialize};

use crate::ids::{CallLegId, SessionId};

/// Where a call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Somebody is called.
    Ringing,
    /// Answered; the sound is not there yet.
    Connecting,
    /// They talk.
    InProgress,
    /// Nobody answered; the caller hears the greeting or speaks after the beep.
    Voicemail,
    /// Over.
    Ended,
}

impl State {
    /// All of them.
    pub const ALL: [State; 5] =
        [State::Ringing, State::Connecting, State::InProgress, State::Voicemail, State::Ended];

    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Ringing => "ringing",
            State::Connecting => "connecting",
            State::InProgress => "in_progress",
            State::Voicemail => "voicemail",
            State::Ended => "ended",
        }
    }

    /// Reads what [`State::as_str`] wrote; anything else is over.
    pub fn parse(text: &str) -> State {
        State::ALL.into_iter().find(|state| state.as_str() == text).unwrap_or(State::Ended)
    }
}

/// Why a call is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// One of the two hung up.
    HungUp,
    /// The one who was called did not want to.
    Declined,
    /// Nobody answered in time.
    NoAnswer,
    /// He talks to somebody else.
    Busy,
    /// The caller gave up.
    Cancelled,
    /// It could not be set up.
    Failed,
    /// The caller may not call.
    Blocked,
    /// The caller left a message.
    Voicemail,
    /// An end went away without a word.
    Lost,
}

impl EndReason {
    /// All of them.
    pub const ALL: [EndReason; 9] = [
        EndReason::HungUp,
        EndReason::Declined,
        EndReason::NoAnswer,
        EndReason::Busy,
        EndReason::Cancelled,
        EndReason::Failed,
        EndReason::Blocked,
        EndReason::Voicemail,
        EndReason::Lost,
    ];

    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            EndReason::HungUp => "hung_up",
            EndReason::Declined => "declined",
            EndReason::NoAnswer => "no_answer",
            EndReason::Busy => "busy",
            EndReason::Cancelled => "cancelled",
            EndReason::Failed => "failed",
            EndReason::Blocked => "blocked",
            EndReason::Voicemail => "voicemail",
            EndReason::Lost => "lost",
        }
    }

    /// Reads what [`EndReason::as_str`] wrote.
    pub fn parse(text: &str) -> Option<EndReason> {
        EndReason::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Who calls.
    Caller,
    /// Who is called.
    Callee,
}

impl Side {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Side {
        match self {
            Side::Caller => Side::Callee,
            Side::Callee => Side::Caller,
        }
    }

    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Side::Caller => "caller",
            Side::Callee => "callee",
        }
    }

    /// Reads what [`Side::as_str`] wrote; anything else is the callee.
    pub fn parse(text: &str) -> Side {
        if text == "caller" { Side::Caller } else { Side::Callee }
    }
}

/// What stands at one end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// A client, by the session that it is signed in with.
    Client(SessionId),
    /// A telephone, by its leg.
    Phone(CallLegId),
}

/// One side of a call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// Who speaks there, once that is known.
    pub end: Option<End>,
    /// Whether its sound is there.
    pub up: bool,
    /// Whether it is not to be heard.
    pub muted: bool,
    /// Whether it has put the call on hold.
    pub held: bool,
    /// Whether nothing comes from it just now: it may be on its way from one network to another.
    #[serde(default)]
    pub wavers: bool,
}

/// Whether what is said is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recording {
    /// No.
    #[default]
    Off,
    /// This side has asked, the other has not answered.
    Asked(Side),
    /// Yes, and both know.
    On(Side),
}

/// Whether the caller has to say his name first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Screening {
    /// No.
    #[default]
    Off,
    /// He is asked for it.
    Asking,
    /// He has said it.
    Said,
}

/// Everything that decides what may happen next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Where it stands.
    pub state: State,
    /// Why it is over.
    pub reason: Option<EndReason>,
    /// Who calls.
    pub caller: Party,
    /// Who is called.
    pub callee: Party,
    /// Whether clients ring.
    pub clients_ring: bool,
    /// Telephones that are called for the callee and have not refused.
    pub phones: Vec<CallLegId>,
    /// Whether nobody's answering leads to voicemail.
    pub voicemail: bool,
    /// Whether what is said is kept.
    pub recording: Recording,
    /// Whether the caller says his name first.
    pub screening: Screening,
    /// Whether the two have talked.
    pub talked: bool,
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A client of the callee takes the call.
    Accepts(SessionId),
    /// Its sound could not be set up; the others ring on.
    AcceptFails(SessionId),
    /// A client of the callee does not want it: voicemail (`Some(true)`), none, or as he has set.
    Declines(Option<bool>),
    /// A client of the callee listens to what the caller says to the voicemail.
    Listens(SessionId),
    /// A telephone of the callee was picked up.
    PhoneAnswers(CallLegId),
    /// A telephone of the callee was not.
    PhoneRefuses(CallLegId, EndReason),
    /// It rang for long enough.
    RingsOut,
    /// The sound of a side is there.
    SoundUp(Side),
    /// A side hangs up.
    HangsUp(Side),
    /// A side went away without a word.
    Loses(Side),
    /// Nothing comes from a side any more, or again; nobody knows yet whether it is gone.
    Wavers(Side, bool),
    /// A side puts the other on hold, or takes it back.
    Holds(Side, bool),
    /// A side is not to be heard, or again.
    Mutes(Side, bool),
    /// Another client of the same person takes over.
    Moves(Side, SessionId),
    /// A side wants what is said to be kept, or no longer.
    Records(Side, bool),
    /// The other side's answer to that.
    Agrees(Side, bool),
    /// The caller has said his name.
    NameSaid,
    /// The caller left a message after the beep.
    MessageLeft,
    /// Nobody takes care of the call any more, or it lasts too long.
    Swept(EndReason),
}

/// What has to be done outside, in the transaction of the change. What the two hear follows from [`Machine::hears`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The telephones that still ring shall stop.
    StopPhones,
    /// This telephone shall stop: it came too late.
    StopPhone(CallLegId),
    /// Whoever listened in does no longer.
    StopListening,
    /// Both ends are closed, the records are written.
    Close,
}

/// What somebody hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hears {
    /// Nothing.
    Silence,
    /// That it rings elsewhere.
    Ringback,
    /// The other one.
    TheOther,
    /// That he waits.
    HoldTone,
    /// The greeting, the beep, and then nothing while he speaks.
    Greeting,
    /// That he shall say his name.
    NamePrompt,
    /// That the other one is busy; a few times, and then his line is hung up.
    BusyTone,
}

/// Why an event changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Somebody else has the call.
    AnsweredElsewhere,
    /// It is over.
    Over,
    /// Not in this state.
    NotNow,
}

/// The next state and what has to be done, in order.
pub type Outcome = Result<(Machine, Vec<Effect>), Refusal>;

impl Machine {
    /// A call that rings.
    pub fn ringing(
        caller: Option<End>,
        clients_ring: bool,
        phones: Vec<CallLegId>,
        voicemail: bool,
    ) -> Machine {
        Machine {
            state: State::Ringing,
            reason: None,
            caller: Party { end: caller, ..Party::default() },
            callee: Party::default(),
            clients_ring,
            phones,
            voicemail,
            recording: Recording::Off,
            screening: Screening::Off,
            talked: false,
        }
    }

    /// One of the two.
    pub fn party(&self, side: Side) -> &Party {
        match side {
            Side::Caller => &self.caller,
            Side::Callee => &self.callee,
        }
    }

    fn party_mut(&mut self, side: Side) -> &mut Party {
        match side {
            Side::Caller => &mut self.caller,
            Side::Callee => &mut self.callee,
        }
    }

    /// What a side hears. Who listens in hears the other, who does not hear him.
    pub fn hears(&self, side: Side) -> Hears {
        match (self.state, side) {
            (State::Voicemail, Side::Callee) if self.listens() => Hears::TheOther,
            (State::Ended, Side::Caller) if self.was_busy() => Hears::BusyTone,
            (State::Ended, _)
            | (State::Ringing | State::Voicemail, Side::Callee)
            | (State::Connecting, _) => Hears::Silence,
            (State::Ringing, Side::Caller) if self.screening == Screening::Asking => Hears::NamePrompt,
            (State::Ringing, Side::Caller) => Hears::Ringback,
            (State::Voicemail, Side::Caller) => Hears::Greeting,
            (State::InProgress, _) if self.party(side.other()).held => Hears::HoldTone,
            (State::InProgress, _) if self.party(side).held => Hears::Silence,
            (State::InProgress, _) => Hears::TheOther,
        }
    }

    /// Whether one side has put the other on hold.
    pub fn is_held(&self) -> bool {
        self.caller.held || self.callee.held
    }

    /// Whether a telephone, whose own network plays it nothing any more because we had taken its call, found the other
    /// busy. A client shows it in words.
    fn was_busy(&self) -> bool {
        let by_phone = matches!(self.caller.end, Some(End::Phone(_)));
        self.reason == Some(EndReason::Busy) && by_phone && self.caller.up && !self.talked
    }

    /// Whether the callee listens to the message that is being left.
    pub fn listens(&self) -> bool {
        self.state == State::Voicemail && self.callee.end.is_some()
    }

    /// Whether the callee has missed it.
    pub fn is_missed(&self) -> bool {
        let unheard = matches!(
            self.reason,
            Some(
                EndReason::NoAnswer
                    | EndReason::Busy
                    | EndReason::Cancelled
                    | EndReason::Voicemail
                    | EndReason::Failed
                    | EndReason::Lost
            )
        );
        self.state == State::Ended && unheard && !self.talked
    }

    /// What an event leads to.
    pub fn after(&self, event: Event) -> Outcome {
        if self.state == State::Ended {
            return self.after_the_end(event);
        }
        let mut next = self.clone();
        let effects = match event {
            Event::Accepts(session) => return next.accept(session),
            Event::Listens(session) => next.listen(session)?,
            Event::PhoneAnswers(leg) => next.phone_answers(leg),
            Event::AcceptFails(session) => return next.accept_fails(session),
            Event::Declines(to_voicemail) => {
                next.only_in(&[State::Ringing])?;
                next.voicemail = to_voicemail.unwrap_or(next.voicemail) && next.voicemail;
                next.unanswered(EndReason::Declined)
            }
            Event::PhoneRefuses(leg, reason) => next.phone_refuses(leg, reason),
            Event::RingsOut => {
                next.only_in(&[State::Ringing])?;
                next.unanswered(EndReason::NoAnswer)
            }
            Event::SoundUp(side) => {
                next.sound_up(side);
                Vec::new()
            }
            Event::HangsUp(side) => next.hangs_up(side)?,
            Event::Loses(side) => next.loses(side),
            Event::Wavers(side, on) => {
                next.only_in(&[State::Connecting, State::InProgress])?;
                next.party_mut(side).wavers = on;
                Vec::new()
            }
            Event::Holds(side, on) => next.hold(side, on)?,
            Event::Mutes(side, on) => {
                next.party_mut(side).muted = on;
                Vec::new()
            }
            Event::Moves(side, session) => return next.moves(side, session),
            Event::Records(side, on) => next.record(side, on)?,
            Event::Agrees(side, agree) => next.agree(side, agree)?,
            Event::NameSaid => {
                next.only_in(&[State::Ringing])?;
                next.screening = Screening::Said;
                Vec::new()
            }
            Event::MessageLeft => {
                next.only_in(&[State::Voicemail])?;
                next.end(EndReason::Voicemail)
            }
            Event::Swept(reason) => next.end(reason),
        };
        Ok((next, effects))
    }

    fn after_the_end(&self, event: Event) -> Outcome {
        match event {
            // A telephone that is picked up at the same moment must not stay with nobody behind it.
            Event::PhoneAnswers(leg) => Ok((self.clone(), vec![Effect::StopPhone(leg)])),
            _ => Err(Refusal::Over),
        }
    }

    fn only_in(&self, states: &[State]) -> Result<(), Refusal> {
        if states.contains(&self.state) { Ok(()) } else { Err(Refusal::NotNow) }
    }

    fn end(&mut self, reason: EndReason) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.recording = Recording::Off;
        self.state = State::Ended;
        self.reason = Some(reason);
        self.clients_ring = false;
        if !self.phones.is_empty() {
            effects.push(Effect::StopPhones);
            self.phones.clear();
        }
        effects.push(Effect::Close);
        effects
    }

    /// Nobody takes it: the greeting, or the end.
    fn unanswered(&mut self, reason: EndReason) -> Vec<Effect> {
        if !self.voicemail {
            return self.end(reason);
        }
        self.state = State::Voicemail;
        self.reason = None;
        self.clients_ring = false;
        let mut effects = Vec::new();
        if !self.phones.is_empty() {
            effects.push(Effect::StopPhones);
            self.phones.clear();
        }
        effects
    }

    fn accept(mut self, session: SessionId) -> Outcome {
        let mut effects = Vec::new();
        match self.state {
            State::Ringing if self.clients_ring => {}
            State::Ringing => return Err(Refusal::NotNow),
            // Whoever hears who it is may still pick up.
            State::Voicemail => {}
            State::Connecting | State::InProgress => return Err(Refusal::AnsweredElsewhere),
            State::Ended => return Err(Refusal::Over),
        }
        effects.extend(self.stop_listening());
        self.state = State::Connecting;
        self.callee = Party { end: Some(End::Client(session)), ..Party::default() };
        if !self.phones.is_empty() {
            effects.push(Effect::StopPhones);
            self.phones.clear();
        }
        Ok((self, effects))
    }

    /// The newest client that listens has it, so that one can go from one device to another.
    fn listen(&mut self, session: SessionId) -> Result<Vec<Effect>, Refusal> {
        self.only_in(&[State::Voicemail])?;
        let effects = self.stop_listening();
        self.callee.end = Some(End::Client(session));
        Ok(effects)
    }

    /// The message is left to itself, whoever has listened.
    fn stop_listening(&mut self) -> Vec<Effect> {
        if !self.listens() {
            return Vec::new();
        }
        self.callee = Party::default();
        vec![Effect::StopListening]
    }

    fn accept_fails(mut self, session: SessionId) -> Outcome {
        if self.state != State::Connecting || self.callee.end != Some(End::Client(session)) {
            return Err(Refusal::NotNow);
        }
        // Its telephones were stopped when it was taken; clients may try again until it has rung out.
        self.state = State::Ringing;
        self.callee.end = None;
        self.clients_ring = true;
        Ok((self, Vec::new()))
    }

    fn phone_answers(&mut self, leg: CallLegId) -> Vec<Effect> {
        if self.callee.end == Some(End::Phone(leg)) {
            return Vec::new();
        }
        if self.state != State::Ringing || !self.phones.contains(&leg) {
            return vec![Effect::StopPhone(leg)];
        }
        self.phones.retain(|other| *other != leg);
        self.state = State::Connecting;
        self.clients_ring = false;
        self.callee.end = Some(End::Phone(leg));
        let mut effects = Vec::new();
        if !self.phones.is_empty() {
            effects.push(Effect::StopPhones);
        }
        self.phones.clear();
        effects
    }

    fn phone_refuses(&mut self, leg: CallLegId, reason: EndReason) -> Vec<Effect> {
        if self.callee.end == Some(End::Phone(leg)) {
            return self.end(if self.talked { EndReason::HungUp } else { EndReason::Failed });
        }
        let known = self.phones.contains(&leg);
        self.phones.retain(|other| *other != leg);
        if known && self.state == State::Ringing && self.phones.is_empty() && !self.clients_ring {
            return self.unanswered(reason);
        }
        Vec::new()
    }

    fn sound_up(&mut self, side: Side) {
        self.party_mut(side).up = true;
        match self.state {
            State::Connecting if self.caller.up && self.callee.up => {
                self.state = State::InProgress;
                self.talked = true;
            }
            State::Ringing | State::Connecting | State::InProgress | State::Voicemail | State::Ended => {}
        }
    }

    fn hangs_up(&mut self, side: Side) -> Result<Vec<Effect>, Refusal> {
        if side == Side::Callee && self.listens() {
            return Ok(self.stop_listening());
        }
        let reason = match (self.state, side) {
            (State::Ringing, Side::Caller) => EndReason::Cancelled,
            (State::Ringing | State::Voicemail, Side::Callee) => return Err(Refusal::NotNow),
            // The caller did not speak after the beep.
            (State::Voicemail, Side::Caller) => EndReason::NoAnswer,
            (State::Connecting | State::InProgress, _) if self.talked => EndReason::HungUp,
            (State::Connecting | State::InProgress, Side::Caller) => EndReason::Cancelled,
            (State::Connecting | State::InProgress, Side::Callee) => EndReason::HungUp,
            (State::Ended, _) => return Err(Refusal::Over),
        };
        Ok(self.end(reason))
    }

    fn loses(&mut self, side: Side) -> Vec<Effect> {
        match (self.state, side) {
            // A client that was lost before it had the call.
            (State::Ringing, Side::Callee) => Vec::new(),
            (State::Voicemail, Side::Callee) => self.stop_listening(),
            (State::Ringing, Side::Caller) => self.end(EndReason::Cancelled),
            (State::Voicemail, Side::Caller) => self.end(EndReason::NoAnswer),
            _ => self.end(EndReason::Lost),
        }
    }

    fn hold(&mut self, side: Side, on: bool) -> Result<Vec<Effect>, Refusal> {
        self.only_in(&[State::InProgress])?;
        self.party_mut(side).held = on;
        Ok(Vec::new())
    }

    fn moves(mut self, side: Side, session: SessionId) -> Outcome {
        self.only_in(&[State::InProgress])?;
        let party = self.party_mut(side);
        party.end = Some(End::Client(session));
        party.up = false;
        party.muted = false;
        party.wavers = false;
        Ok((self, Vec::new()))
    }

    fn record(&mut self, side: Side, on: bool) -> Result<Vec<Effect>, Refusal> {
        self.only_in(&[State::InProgress])?;
        self.recording = match (on, self.recording) {
            (false, _) => Recording::Off,
            (true, Recording::Off) => Recording::Asked(side),
            // Both want it: that is consent.
            (true, Recording::Asked(asker)) if asker != side => Recording::On(asker),
            (true, as_it_is) => as_it_is,
        };
        Ok(Vec::new())
    }

    fn agree(&mut self, side: Side, agree: bool) -> Result<Vec<Effect>, Refusal> {
        self.only_in(&[State::InProgress])?;
        match self.recording {
            Recording::Asked(asker) if asker != side => {
                self.recording = if agree { Recording::On(asker) } else { Recording::Off };
                Ok(Vec::new())
            }
            _ => Err(Refusal::NotNow),
        }
    }
}

#[cfg(test)]
mod tests;
