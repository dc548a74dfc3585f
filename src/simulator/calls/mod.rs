//! Calls of the simulated carrier: phones dial the customer's numbers, the customer dials phones, and both talk.
//!
//! Every call is a task of its own that asks the customer what to do, carries out the TwiML that comes back and tells
//! what happened, as “TwiML Voice”, “Call resource” and “Media Streams” describe it. Calls are heard while they last, so
//! they follow the clock even where messages wait for a step by hand.

mod document;
mod line;
mod session;
mod stream;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::{broadcast, mpsc, watch};

pub use self::document::Verb;
pub(super) use self::document::read_document;
pub(super) use self::session::{Placing, Ring};
use super::Simulator;
use super::message::new_sid;
use super::phones::Power;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::phone::E164;

/// Calls at once.
const CALLS_MAX: usize = 2_000;
/// Calls that are over and can still be looked at.
const OVER_MAX: usize = 5_000;
/// Sound that waits for a page: two seconds.
const HEARD_MAX: usize = 100;
/// Sound that waits for the line: a fifth of a second.
const SPOKEN_MAX: usize = 10;

/// Where a call stands, as a phone shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PhoneCallState {
    /// The phone calls.
    Dialling,
    /// The phone rings.
    Ringing,
    /// They talk.
    Talking,
    /// It is over.
    Ended,
}

/// A call as a phone shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PhoneCall {
    /// The carrier's id.
    pub id: String,
    /// `outgoing` or `incoming`.
    pub direction: &'static str,
    /// The other number.
    pub with: E164,
    /// Its name in the phone's address book.
    pub name: Option<String>,
    /// Where it stands.
    pub state: PhoneCallState,
    /// Why it is over.
    pub reason: Option<String>,
    /// Since when.
    pub since: Timestamp,
    /// What the carrier's voice has said.
    pub spoken: Vec<String>,
}

/// What somebody wants from a call that lasts.
#[derive(Debug)]
pub(super) enum Command {
    /// The phone is picked up.
    Answer,
    /// The phone hangs up, or declines.
    HangUp,
    /// Keys of the phone.
    Digits(String),
    /// The customer ends it.
    Complete,
    /// The customer wants it to go on elsewhere.
    Document(Vec<Verb>),
}

/// A call, as everybody can reach it.
pub(super) struct Line {
    pub phone: E164,
    pub number: E164,
    pub outbound: bool,
    pub status: &'static str,
    pub created_at: Timestamp,
    pub commands: mpsc::UnboundedSender<Command>,
    /// What the phone hears.
    pub heard: broadcast::Sender<Bytes>,
    /// What is said into the phone.
    pub spoken: mpsc::Sender<Bytes>,
}

/// All calls.
#[derive(Default)]
pub(super) struct Exchange {
    lines: Mutex<BTreeMap<String, Line>>,
}

impl Exchange {
    pub fn lines(&self) -> MutexGuard<'_, BTreeMap<String, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Simulator {
    /// Somebody dials a number on a phone. Answers the carrier's id.
    pub fn phone_calls(&self, phone: &E164, to: &E164) -> Result<String> {
        let now = self.settings().clock.now();
        let sid = new_sid("CA");
        let ours = {
            let state = self.state();
            let caller = state.phones.get(phone).ok_or_else(|| Error::not_found("phone"))?;
            if caller.power == Power::Off {
                return Err(Error::conflict("phone_off", "The phone is switched off."));
            }
            state.numbers.contains_key(to)
        };
        let placing = Placing { sid: sid.clone(), phone: phone.clone(), number: to.clone(), at: now };
        self.open_line(&placing, false, |ends| {
            let (simulator, placing) = (self.clone(), placing.clone());
            tokio::spawn(async move { simulator.run_incoming(placing, ends, ours).await });
        })?;
        Ok(sid)
    }

    /// The customer dials a phone. Answers the carrier's id.
    pub(super) fn customer_calls(&self, ring: Ring) -> Result<String> {
        let sid = ring.placing.sid.clone();
        let placing = ring.placing.clone();
        self.open_line(&placing, true, |ends| {
            let simulator = self.clone();
            tokio::spawn(async move { simulator.run_outgoing(ring, ends).await });
        })?;
        Ok(sid)
    }

    fn open_line(&self, placing: &Placing, outbound: bool, start: impl FnOnce(session::Ends)) -> Result<()> {
        let (commands, orders) = mpsc::unbounded_channel();
        let (spoken, microphone) = mpsc::channel(SPOKEN_MAX);
        let heard = broadcast::Sender::new(HEARD_MAX);
        let line = Line {
            phone: placing.phone.clone(),
            number: placing.number.clone(),
            outbound,
            status: "queued",
            created_at: placing.at,
            commands,
            heard: heard.clone(),
            spoken,
        };
        {
            let mut lines = self.inner.exchange.lines();
            if lines.values().filter(|line| !line.commands.is_closed()).count() >= CALLS_MAX {
                return Err(Error::unavailable("too_many_calls", "There are too many calls at once."));
            }
            while lines.len() >= OVER_MAX {
                lines.pop_first();
            }
            lines.insert(placing.sid.clone(), line);
        }
        start(session::Ends { orders, microphone, heard });
        Ok(())
    }

    /// Tells a call what its phone's owner does.
    fn order(&self, phone: &E164, sid: &str, command: Command) -> Result<()> {
        let lines = self.inner.exchange.lines();
        let line = lines.get(sid).filter(|line| line.phone == *phone);
        let line = line.ok_or_else(|| Error::not_found("call"))?;
        line.commands.send(command).map_err(|_| Error::conflict("call_over", "The call is over."))
    }

    /// Picks up a phone that rings.
    pub fn phone_answers(&self, phone: &E164, sid: &str) -> Result<()> {
        self.order(phone, sid, Command::Answer)
    }

    /// Hangs up, or declines.
    pub fn phone_hangs_up(&self, phone: &E164, sid: &str) -> Result<()> {
        self.order(phone, sid, Command::HangUp)
    }

    /// Presses keys.
    pub fn phone_presses(&self, phone: &E164, sid: &str, digits: &str) -> Result<()> {
        self.order(phone, sid, Command::Digits(digits.to_owned()))
    }

    /// Both ways of a phone's sound: what it hears, and where to speak; 160 bytes of µ-law are 20 ms.
    pub fn phone_sound(
        &self,
        phone: &E164,
        sid: &str,
    ) -> Result<(broadcast::Receiver<Bytes>, mpsc::Sender<Bytes>)> {
        let lines = self.inner.exchange.lines();
        let line = lines.get(sid).filter(|line| line.phone == *phone && !line.commands.is_closed());
        let line = line.ok_or_else(|| Error::not_found("call"))?;
        Ok((line.heard.subscribe(), line.spoken.clone()))
    }

    /// The calls that a phone shows, newest last.
    pub fn phone_call_list(&self, phone: &E164) -> Result<Vec<PhoneCall>> {
        let state = self.state();
        let phone = state.phones.get(phone).ok_or_else(|| Error::not_found("phone"))?;
        Ok(phone.calls.iter().cloned().collect())
    }

    /// Changes whenever something happens on a phone; for those who wait for it.
    pub fn phone_news(&self, phone: &E164) -> Result<watch::Receiver<u64>> {
        let state = self.state();
        Ok(state.phones.get(phone).ok_or_else(|| Error::not_found("phone"))?.newest.subscribe())
    }

    /// Calls that are not over.
    pub fn open_calls(&self) -> usize {
        self.inner.exchange.lines().values().filter(|line| !line.commands.is_closed()).count()
    }

    /// Takes note of how a call stands, at the carrier and on its phone.
    fn show_call(&self, placing: &Placing, status: &'static str, change: impl FnOnce(&mut PhoneCall)) {
        if let Some(line) = self.inner.exchange.lines().get_mut(&placing.sid) {
            line.status = status;
        }
        let mut state = self.state();
        if let Some(phone) = state.phones.get_mut(&placing.phone) {
            phone.change_call(&placing.sid, change);
        }
    }
}
