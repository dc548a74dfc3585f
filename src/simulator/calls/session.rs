//! One call from its beginning to its end: rings, carries out documents, tells what happened.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{broadcast, mpsc};
use tokio::time::Instant;

use super::document::Verb;
use super::line::News;
use super::{Command, PhoneCall, PhoneCallState, stream};
use crate::clock::Timestamp;
use crate::phone::E164;
use crate::simulator::Simulator;
use crate::simulator::phones::Power;

/// Documents that may follow one another.
const DOCUMENTS_MAX: usize = 200;
/// A spoken sentence, for somebody who only reads it.
const SPEAKING: Duration = Duration::from_millis(60);
/// A beep and somebody who speaks after it.
const RECORDING_MAX: u64 = 5;

/// Who calls whom.
#[derive(Debug, Clone)]
pub struct Placing {
    /// The carrier's id.
    pub sid: String,
    /// The phone.
    pub phone: E164,
    /// The customer's number.
    pub number: E164,
    /// When it began.
    pub at: Timestamp,
}

/// A call that the customer wants.
#[derive(Debug, Clone)]
pub struct Ring {
    /// Who calls whom.
    pub placing: Placing,
    /// What to do when it is picked up.
    pub document: Vec<Verb>,
    /// Where news go.
    pub news: News,
    /// How long it rings.
    pub timeout: Duration,
}

impl Ring {
    /// A call with news for `url` about `events`.
    pub fn new(
        placing: Placing,
        document: Vec<Verb>,
        (url, events): (Option<String>, Vec<String>),
        timeout: Duration,
    ) -> Ring {
        Ring { placing, document, news: News::new(url, events), timeout }
    }
}

/// The session's ends of a line.
pub struct Ends {
    /// What everybody wants.
    pub orders: mpsc::UnboundedReceiver<Command>,
    /// What is said into the phone.
    pub microphone: mpsc::Receiver<Bytes>,
    /// What the phone hears.
    pub heard: broadcast::Sender<Bytes>,
}

/// What follows a verb.
enum Turn {
    /// The next one.
    Next,
    /// Another document.
    Document(Vec<Verb>),
    /// The end, and why.
    Over(&'static str),
}

/// A call that is carried out.
pub(super) struct Session {
    pub simulator: Simulator,
    pub placing: Placing,
    pub outbound: bool,
    pub ends: Ends,
    pub answered: Option<Instant>,
    digits: String,
}

impl Simulator {
    fn begin_call(&self, placing: &Placing, direction: &'static str, state: PhoneCallState) {
        let now = self.settings().clock.now();
        let mut phones = self.state();
        let Some(phone) = phones.phones.get_mut(&placing.phone) else { return };
        let name = phone.contact_of(&placing.number).map(|contact| contact.name.clone());
        phone.add_call(PhoneCall {
            id: placing.sid.clone(),
            direction,
            with: placing.number.clone(),
            name,
            state,
            reason: None,
            since: now,
            spoken: Vec::new(),
        });
    }

    /// A phone calls one of the customer's numbers, or one that nobody has.
    pub(super) async fn run_incoming(&self, placing: Placing, ends: Ends, ours: bool) {
        self.begin_call(&placing, "outgoing", PhoneCallState::Dialling);
        let mut session = Session::new(self, &placing, false, ends);
        let (url, status_callback) = {
            let state = self.state();
            let number = state.numbers.get(&placing.number);
            let setting = |name| number.and_then(|number| number.setting(name)).map(str::to_owned);
            let base = self.settings().callback_base.as_deref().map(|base| base.trim_end_matches('/'));
            let voice = base.map(|base| format!("{base}/voice"));
            let status = base.map(|base| format!("{base}/call-status"));
            (setting("VoiceUrl").or(voice), setting("StatusCallback").or(status))
        };
        let mut news = News::new(status_callback, vec!["completed".to_owned()]);
        let first = match url.filter(|_| ours) {
            Some(url) => session.or_hang_up(self.ask(&placing, false, "ringing", &url, &[])).await,
            None => None,
        };
        let status = match first {
            Some(Some(document)) => session.run(document).await,
            Some(None) => "failed",
            None => {
                if ours {
                    "canceled"
                } else {
                    "failed"
                }
            }
        };
        session.end(&mut news, status).await;
    }

    /// The customer calls a phone.
    pub(super) async fn run_outgoing(&self, ring: Ring, ends: Ends) {
        let Ring { placing, document, mut news, timeout } = ring;
        let mut session = Session::new(self, &placing, true, ends);
        self.announce_call(&placing, true, &mut news, "initiated", "initiated", None).await;
        let power = self.state().phones.get(&placing.phone).map(|phone| (phone.power, phone.is_talking()));
        match power {
            None => return session.end(&mut news, "failed").await,
            Some((Power::Off, _)) => return session.end(&mut news, "no-answer").await,
            Some((Power::On, true)) => return session.end(&mut news, "busy").await,
            Some((Power::On, false)) => {}
        }
        self.begin_call(&placing, "incoming", PhoneCallState::Ringing);
        self.announce_call(&placing, true, &mut news, "ringing", "ringing", None).await;
        let status = match tokio::time::timeout(timeout, session.picked_up()).await {
            Ok(Ok(())) => {
                session.answer();
                self.announce_call(&placing, true, &mut news, "answered", "in-progress", None).await;
                session.run(document).await
            }
            Ok(Err(status)) => status,
            Err(_) => "no-answer",
        };
        session.end(&mut news, status).await;
    }
}

impl Session {
    fn new(simulator: &Simulator, placing: &Placing, outbound: bool, ends: Ends) -> Session {
        Session {
            simulator: simulator.clone(),
            placing: placing.clone(),
            outbound,
            ends,
            answered: None,
            digits: String::new(),
        }
    }

    /// Waits for the customer's answer, unless the phone hangs up before: `None` then.
    async fn or_hang_up<T>(&mut self, answer: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(answer);
        loop {
            tokio::select! {
                answer = &mut answer => return Some(answer),
                order = self.ends.orders.recv() => match order {
                    Some(Command::Digits(digits)) => self.digits.push_str(&digits),
                    Some(Command::Answer | Command::Document(_)) => {}
                    Some(Command::HangUp | Command::Complete) | None => return None,
                },
            }
        }
    }

    /// Waits until the phone is picked up; else the status that the call ends with.
    async fn picked_up(&mut self) -> Result<(), &'static str> {
        loop {
            match self.ends.orders.recv().await {
                Some(Command::Answer) => return Ok(()),
                Some(Command::HangUp) => return Err("busy"),
                Some(Command::Complete) | None => return Err("canceled"),
                Some(Command::Digits(_) | Command::Document(_)) => {}
            }
        }
    }

    /// From now on it is talked, and paid for.
    fn answer(&mut self) {
        if self.answered.is_some() {
            return;
        }
        self.answered = Some(Instant::now());
        let now = self.simulator.settings().clock.now();
        self.simulator.show_call(&self.placing, "in-progress", |call| {
            call.state = PhoneCallState::Talking;
            call.since = now;
        });
    }

    /// Carries out documents until the call ends; answers its last status.
    async fn run(&mut self, first: Vec<Verb>) -> &'static str {
        let mut document = first;
        for _ in 0..DOCUMENTS_MAX {
            match self.carry_out(document).await {
                Turn::Next => return "completed",
                Turn::Document(next) => document = next,
                Turn::Over(status) => return status,
            }
        }
        "failed"
    }

    async fn carry_out(&mut self, document: Vec<Verb>) -> Turn {
        for verb in document {
            match self.perform(verb).await {
                Turn::Next => {}
                other => return other,
            }
        }
        Turn::Next
    }

    async fn perform(&mut self, verb: Verb) -> Turn {
        match verb {
            Verb::Reject { busy } if self.answered.is_none() => {
                Turn::Over(if busy { "busy" } else { "no-answer" })
            }
            Verb::Reject { .. } | Verb::Hangup => Turn::Over("completed"),
            Verb::Say(text) => {
                self.answer();
                self.say(&text);
                self.pause(SPEAKING).await
            }
            // As the first verb it leaves the call ringing.
            Verb::Pause(seconds) => self.pause(Duration::from_secs(seconds)).await,
            Verb::Redirect(url) => self.follow(&url, &[]).await,
            Verb::Stream { url } => {
                self.answer();
                match stream::carry(self, &url).await {
                    stream::End::Closed => Turn::Next,
                    stream::End::Order(order) => self.obey(order),
                }
            }
            Verb::Gather { say, action, digits_max, finish, timeout } => {
                self.answer();
                say.iter().for_each(|text| self.say(text));
                let digits = match self.gather(digits_max, finish, Duration::from_secs(timeout)).await {
                    Ok(digits) => digits,
                    Err(turn) => return turn,
                };
                match (digits.is_empty(), action) {
                    (false, Some(url)) => self.follow(&url, &[("Digits", &digits)]).await,
                    _ => Turn::Next,
                }
            }
            Verb::Record { action, seconds_max } => {
                self.answer();
                let pause = Duration::from_secs(seconds_max.min(RECORDING_MAX));
                match (self.pause(pause).await, action) {
                    (Turn::Next, Some(url)) => self.follow(&url, &[("RecordingDuration", "1")]).await,
                    (turn, _) => turn,
                }
            }
        }
    }

    fn say(&self, text: &str) {
        let text = text.to_owned();
        self.simulator.show_call(&self.placing, "in-progress", |call| call.spoken.push(text));
    }

    fn status(&self) -> &'static str {
        match (self.answered, self.outbound) {
            (Some(_), _) => "in-progress",
            (None, _) => "ringing",
        }
    }

    async fn follow(&mut self, url: &str, more: &[(&str, &str)]) -> Turn {
        let (simulator, placing, status) = (self.simulator.clone(), self.placing.clone(), self.status());
        let outbound = self.outbound;
        match self.or_hang_up(simulator.ask(&placing, outbound, status, url, more)).await {
            Some(Some(document)) => Turn::Document(document),
            // The carrier says that something went wrong, and hangs up.
            Some(None) => Turn::Over("failed"),
            None => Turn::Over(self.given_up()),
        }
    }

    fn given_up(&self) -> &'static str {
        if self.answered.is_some() { "completed" } else { "canceled" }
    }

    /// What somebody's wish leads to.
    fn obey(&mut self, order: Option<Command>) -> Turn {
        match order {
            Some(Command::Digits(digits)) => {
                self.digits.push_str(&digits);
                Turn::Next
            }
            Some(Command::Answer) => Turn::Next,
            Some(Command::Document(document)) => Turn::Document(document),
            Some(Command::HangUp | Command::Complete) | None => Turn::Over(self.given_up()),
        }
    }

    async fn pause(&mut self, length: Duration) -> Turn {
        let until = Instant::now() + length;
        loop {
            let order = tokio::select! {
                () = tokio::time::sleep_until(until) => return Turn::Next,
                order = self.ends.orders.recv() => order,
            };
            match self.obey(order) {
                Turn::Next => {}
                other => return other,
            }
        }
    }

    async fn gather(
        &mut self,
        digits_max: usize,
        finish: Option<char>,
        timeout: Duration,
    ) -> Result<String, Turn> {
        loop {
            let ended = self.digits.chars().position(|digit| Some(digit) == finish);
            if let Some(at) = ended {
                let digits: String = self.digits.chars().take(at).collect();
                self.digits = self.digits.chars().skip(at + 1).collect();
                return Ok(digits);
            }
            if self.digits.len() >= digits_max {
                let rest = self.digits.split_off(digits_max);
                return Ok(std::mem::replace(&mut self.digits, rest));
            }
            let order = match tokio::time::timeout(timeout, self.ends.orders.recv()).await {
                Ok(order) => order,
                Err(_) => return Ok(std::mem::take(&mut self.digits)),
            };
            match self.obey(order) {
                Turn::Next => {}
                other => return Err(other),
            }
        }
    }

    /// Shows that it is over and tells the customer.
    async fn end(mut self, news: &mut News, status: &'static str) {
        self.ends.orders.close();
        let talked = self.answered.map(|since| since.elapsed());
        let now = self.simulator.settings().clock.now();
        self.simulator.show_call(&self.placing, status, |call| {
            call.state = PhoneCallState::Ended;
            call.reason = Some(status.to_owned());
            call.since = now;
        });
        let (simulator, placing, outbound) = (self.simulator.clone(), self.placing.clone(), self.outbound);
        drop(self);
        let duration = Some(talked.unwrap_or_default());
        simulator.announce_call(&placing, outbound, news, "completed", status, duration).await;
    }
}
