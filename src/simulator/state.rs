//! Everything that the simulated carrier knows, and how a message goes its way.
//!
//! Nothing here reaches the outside: a step changes the state and may name an [`Effect`], which `schedule` carries out.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::Settings;
use super::behaviour::{AfterAccept, Behaviour, Behaviours};
use super::callback::{CallbackAnswer, CallbackKind, CallbackRecord, CallbackRequest, Origin, Outcome, Verb};
use super::message::{Direction, Media, Message, NewMessage, Status};
use super::opt_out::{self, Word};
use super::phones::{Phone, PhoneMessage, PhoneMessageState, Power};
use super::pool::OwnedNumber;
use super::twiml;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::phone::E164;

/// The oldest messages are forgotten beyond this.
const MESSAGES_MAX: usize = 50_000;
/// Numbers that can be rented at once.
pub(super) const NUMBERS_MAX: usize = 20_000;
/// Phones that can be simulated at once.
const PHONES_MAX: usize = 200;
/// Steps that can wait; beyond that the carrier's queue is full.
const TASKS_MAX: usize = 200_000;
/// The oldest tries of callbacks are forgotten beyond this.
const CALLBACKS_MAX: usize = 5_000;
/// Callbacks about one message that would go out at once keep this distance.
const GAP: Duration = Duration::from_millis(20);

/// A step that waits for its time.
#[derive(Debug)]
pub(super) enum Task {
    /// A message's turn has come: out of the schedule or the messaging service, into the queue.
    Queue { sid: String },
    /// It leaves the carrier.
    Dispatch { sid: String },
    /// The network reports about the handset.
    Land { sid: String },
    /// A receipt is due.
    Announce { sid: String, status: Status },
    /// An inbound message is handed over to the customer.
    HandOver { sid: String, origin: Option<Origin> },
    /// A callback is made, or made again.
    Call(Box<CallbackRequest>),
    /// A handset shows a message.
    Show(Arrival),
    /// A phone learns what became of its own message.
    Settle { origin: Origin, state: PhoneMessageState },
    /// A phone syncs its address book.
    Sync { phone: E164 },
}

/// A message that reaches a handset.
#[derive(Debug, Clone)]
pub(super) struct Arrival {
    pub phone: E164,
    pub party: E164,
    pub text: String,
    pub media: Vec<Media>,
}

/// What a step wants from the outside.
#[derive(Debug)]
pub(super) enum Effect {
    Call(Box<CallbackRequest>),
    Show(Arrival),
    Sync(E164),
}

/// Who has a number.
enum Route {
    Ours,
    Phone(Power),
    Nobody,
}

pub(super) struct State {
    pub settings: Arc<Settings>,
    pub numbers: BTreeMap<E164, OwnedNumber>,
    pub messages: HashMap<String, Message>,
    /// Oldest first.
    pub order: VecDeque<String>,
    pub phones: BTreeMap<E164, Phone>,
    pub behaviours: Behaviours,
    pub callbacks: VecDeque<CallbackRecord>,
    /// Our number and the phone that wants nothing more from it.
    opted_out: HashSet<(E164, E164)>,
    tasks: BTreeMap<(Timestamp, u64), Task>,
    next_task: u64,
}

impl State {
    pub fn new(settings: Arc<Settings>) -> Self {
        let now = settings.clock.now();
        let numbers = settings.numbers.iter().take(NUMBERS_MAX);
        State {
            numbers: numbers.map(|number| (number.clone(), OwnedNumber::new(number.clone(), now))).collect(),
            settings,
            messages: HashMap::new(),
            order: VecDeque::new(),
            phones: BTreeMap::new(),
            behaviours: Behaviours::default(),
            callbacks: VecDeque::new(),
            opted_out: HashSet::new(),
            tasks: BTreeMap::new(),
            next_task: 0,
        }
    }

    pub fn schedule(&mut self, at: Timestamp, task: Task) {
        self.next_task += 1;
        self.tasks.insert((at, self.next_task), task);
    }

    /// Takes the first step, whatever its time.
    pub fn take_first(&mut self) -> Option<Task> {
        self.tasks.pop_first().map(|(_, task)| task)
    }

    /// Takes the first step whose time has come.
    pub fn take_due(&mut self, now: Timestamp) -> Option<Task> {
        self.next_due().filter(|due| *due <= now).and_then(|_| self.take_first())
    }

    /// When the next step is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.tasks.keys().next().map(|(at, _)| *at)
    }

    /// Whether the queue is full.
    pub fn is_full(&self) -> bool {
        self.tasks.len() >= TASKS_MAX
    }

    /// Whether a phone has told one of our numbers to stop.
    pub fn is_opted_out(&self, ours: &E164, phone: &E164) -> bool {
        self.opted_out.contains(&(ours.clone(), phone.clone()))
    }

    /// Adds a phone; none with this number may be there.
    pub fn add_phone(&mut self, phone: Phone) -> Result<()> {
        if self.phones.contains_key(&phone.number) || self.numbers.contains_key(&phone.number) {
            return Err(Error::conflict("number_taken", "This number is in use already."));
        }
        if self.phones.len() >= PHONES_MAX {
            return Err(Error::conflict("too_many_phones", format!("At most {PHONES_MAX} phones.")));
        }
        self.phones.insert(phone.number.clone(), phone);
        Ok(())
    }

    /// Takes an outbound message and plans its way.
    pub fn accept(&mut self, new: NewMessage, send_at: Option<Timestamp>, now: Timestamp) -> Message {
        let message = Message::new(new, now);
        self.keep(message.clone());
        if message.behaviour.after_accept == AfterAccept::Die {
            return message;
        }
        let sid = message.sid.clone();
        match message.status {
            Status::Scheduled => self.schedule(send_at.unwrap_or(now), Task::Queue { sid }),
            Status::Accepted => self.schedule(now.plus(GAP), Task::Queue { sid }),
            _ => self.schedule(now.plus(self.settings.delays.sent), Task::Dispatch { sid }),
        }
        message
    }

    fn keep(&mut self, message: Message) {
        self.order.push_back(message.sid.clone());
        self.messages.insert(message.sid.clone(), message);
        if self.order.len() > MESSAGES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.messages.remove(&oldest);
        }
    }

    /// Forgets a message.
    pub fn delete(&mut self, sid: &str) {
        self.messages.remove(sid);
        self.order.retain(|known| known != sid);
    }

    /// A person writes a message on a phone. Answers with the carrier's id when it goes to one of our numbers.
    pub fn text(
        &mut self,
        phone: &E164,
        to: &E164,
        text: String,
        media: Vec<Media>,
        now: Timestamp,
    ) -> Result<Option<String>> {
        let sender = self.phones.get_mut(phone).ok_or_else(|| Error::not_found("phone"))?;
        if sender.power == Power::Off {
            return Err(Error::conflict("phone_off", "The phone is switched off."));
        }
        if self.tasks.len() >= TASKS_MAX {
            return Err(Error::unavailable("queue_full", "The carrier's queue is full."));
        }
        let message = PhoneMessage::new(text.clone(), media.clone(), PhoneMessageState::Sending, now);
        let id = sender.add_message(to, message);
        let origin = Origin { phone: phone.clone(), party: to.clone(), id };
        let at = now.plus(self.settings.delays.inbound);
        match self.route(to) {
            Route::Ours => return Ok(Some(self.receive(phone, to, text, media, Some(origin), now))),
            Route::Phone(Power::On) => {
                let arrival = Arrival { phone: to.clone(), party: phone.clone(), text, media };
                self.schedule(at, Task::Show(arrival));
                self.schedule(at, Task::Settle { origin, state: PhoneMessageState::Sent });
            }
            Route::Phone(Power::Off) | Route::Nobody => {
                self.schedule(at, Task::Settle { origin, state: PhoneMessageState::Failed });
            }
        }
        Ok(None)
    }

    /// A message reaches one of our numbers.
    fn receive(
        &mut self,
        from: &E164,
        to: &E164,
        body: String,
        media: Vec<Media>,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> String {
        self.heed_opt_out(from, to, &body, now);
        let message = Message::new(
            NewMessage {
                direction: Direction::Inbound,
                from: from.clone(),
                to: to.clone(),
                body,
                media,
                status: Status::Received,
                service: None,
                status_callback: None,
                behaviour: Arc::clone(&self.behaviours.always),
            },
            now,
        );
        let sid = message.sid.clone();
        self.keep(message);
        let at = now.plus(self.settings.delays.inbound);
        self.schedule(at, Task::HandOver { sid: sid.clone(), origin });
        sid
    }

    /// STOP, START and HELP are heeded by the carrier itself; the message goes on to the customer all the same.
    fn heed_opt_out(&mut self, phone: &E164, ours: &E164, body: &str, now: Timestamp) {
        if !self.settings.opt_out_words {
            return;
        }
        let pair = (ours.clone(), phone.clone());
        let answer = match opt_out::word(body) {
            Some(Word::Stop) => self.opted_out.insert(pair).then_some(opt_out::STOPPED),
            Some(Word::Start) => self.opted_out.remove(&pair).then_some(opt_out::STARTED),
            Some(Word::Help) => Some(opt_out::HELP),
            None => None,
        };
        if let Some(text) = answer {
            let arrival = Arrival {
                phone: phone.clone(),
                party: ours.clone(),
                text: text.to_owned(),
                media: Vec::new(),
            };
            self.schedule(now.plus(self.settings.delays.inbound), Task::Show(arrival));
        }
    }

    fn route(&self, to: &E164) -> Route {
        match self.phones.get(to) {
            Some(phone) => Route::Phone(phone.power),
            None if self.numbers.contains_key(to) => Route::Ours,
            None => Route::Nobody,
        }
    }

    /// Carries out one step.
    pub fn run(&mut self, task: Task, now: Timestamp) -> Option<Effect> {
        match task {
            Task::Queue { sid } => self.queue(&sid, now),
            Task::Dispatch { sid } => self.dispatch(&sid, now),
            Task::Land { sid } => return self.land(&sid, now),
            Task::Announce { sid, status } => return self.announcement(&sid, status),
            Task::HandOver { sid, origin } => return self.hand_over(&sid, origin, now),
            Task::Call(request) => return Some(Effect::Call(request)),
            Task::Show(arrival) => return Some(Effect::Show(arrival)),
            Task::Settle { origin, state } => self.settle(&origin, state),
            Task::Sync { phone } => return self.phones.contains_key(&phone).then_some(Effect::Sync(phone)),
        }
        None
    }

    fn set_status(&mut self, sid: &str, status: Status, now: Timestamp) -> Option<Arc<Behaviour>> {
        let message = self.messages.get_mut(sid).filter(|message| !message.status.is_final())?;
        message.status = status;
        message.updated_at = now;
        Some(Arc::clone(&message.behaviour))
    }

    fn queue(&mut self, sid: &str, now: Timestamp) {
        let Some(behaviour) = self.set_status(sid, Status::Queued, now) else { return };
        self.announce(sid, &[Status::Queued], &behaviour, now);
        self.schedule(now.plus(self.settings.delays.sent), Task::Dispatch { sid: sid.to_owned() });
    }

    fn dispatch(&mut self, sid: &str, now: Timestamp) {
        let Some(behaviour) = self.set_status(sid, Status::Sent, now) else { return };
        if let Some(message) = self.messages.get_mut(sid) {
            message.sent_at = Some(now);
        }
        // When receipts are to come in the wrong order, this one waits for the next.
        if !behaviour.reorder_callbacks {
            self.announce(sid, &[Status::Sent], &behaviour, now);
        }
        self.schedule(now.plus(self.settings.delays.delivered), Task::Land { sid: sid.to_owned() });
    }

    fn land(&mut self, sid: &str, now: Timestamp) -> Option<Effect> {
        let message = self.messages.get(sid)?.clone();
        let route = self.route(&message.to);
        let error = message.behaviour.handset.error_code().or(match route {
            Route::Ours | Route::Phone(Power::On) => None,
            Route::Phone(Power::Off) => Some(30003),
            Route::Nobody => self.settings.unknown_handset_error,
        });
        let status = if error.is_some() { Status::Undelivered } else { Status::Delivered };
        let behaviour = self.set_status(sid, status, now)?;
        if let Some(message) = self.messages.get_mut(sid) {
            message.error_code = error;
        }
        let receipts: &[Status] =
            if behaviour.reorder_callbacks { &[status, Status::Sent] } else { &[status] };
        self.announce(sid, receipts, &behaviour, now);
        match (status, route) {
            (Status::Delivered, Route::Phone(_)) => Some(Effect::Show(Arrival {
                phone: message.to,
                party: message.from,
                text: message.body,
                media: message.media,
            })),
            (Status::Delivered, Route::Ours) => {
                self.receive(&message.from, &message.to, message.body, message.media, None, now);
                None
            }
            _ => None,
        }
    }

    /// Plans the callbacks of `receipts`, in this order, as the behaviour wants them.
    fn announce(&mut self, sid: &str, receipts: &[Status], behaviour: &Behaviour, now: Timestamp) {
        let wanted = self.messages.get(sid).is_some_and(|message| message.status_callback.is_some());
        if !wanted || behaviour.after_accept != AfterAccept::Deliver {
            return;
        }
        let mut at = now.plus(Duration::from_millis(behaviour.late_ms));
        for status in receipts {
            for _ in 0..=behaviour.repeat_callbacks {
                self.schedule(at, Task::Announce { sid: sid.to_owned(), status: *status });
                at = at.plus(GAP);
            }
        }
    }

    fn announcement(&self, sid: &str, status: Status) -> Option<Effect> {
        let message = self.messages.get(sid)?;
        Some(Effect::Call(Box::new(CallbackRequest {
            kind: CallbackKind::Status,
            sid: sid.to_owned(),
            status,
            url: message.status_callback.clone()?,
            verb: Verb::Post,
            params: message.receipt_params(&self.settings.account_sid, status),
            token: uuid::Uuid::new_v4().to_string(),
            attempt: 1,
            retries: self.settings.status_retries,
            fallback: None,
            origin: None,
        })))
    }

    fn hand_over(&mut self, sid: &str, origin: Option<Origin>, now: Timestamp) -> Option<Effect> {
        let message = self.messages.get(sid)?;
        let number = self.numbers.get(&message.to);
        let setting = |name| number.and_then(|number| number.setting(name));
        let base = self.settings.callback_base.as_deref();
        let default = base.map(|base| format!("{}/messages", base.trim_end_matches('/')));
        let Some(url) = setting("SmsUrl").map(str::to_owned).or(default) else {
            // The carrier keeps the message; for the phone it is delivered.
            if let Some(origin) = origin {
                self.settle(&origin, PhoneMessageState::Sent);
            }
            return None;
        };
        let request = CallbackRequest {
            kind: CallbackKind::Message,
            sid: sid.to_owned(),
            status: Status::Received,
            url,
            verb: Verb::parse(setting("SmsMethod")),
            params: message.inbound_params(&self.settings.account_sid),
            token: uuid::Uuid::new_v4().to_string(),
            attempt: 1,
            retries: self.settings.inbound_retries,
            fallback: setting("SmsFallbackUrl")
                .map(|url| (url.to_owned(), Verb::parse(setting("SmsFallbackMethod")))),
            origin,
        };
        for nth in 1..=message.behaviour.repeat_callbacks {
            let repeated = CallbackRequest { origin: None, ..request.clone() };
            self.schedule(now.plus(GAP.saturating_mul(nth)), Task::Call(Box::new(repeated)));
        }
        Some(Effect::Call(Box::new(request)))
    }

    /// A phone learns what became of its message.
    pub fn settle(&mut self, origin: &Origin, state: PhoneMessageState) {
        if let Some(phone) = self.phones.get_mut(&origin.phone) {
            phone.set_message_state(&origin.party, origin.id, state);
        }
    }

    /// A handset shows what arrived.
    pub fn show(&mut self, arrival: Arrival, now: Timestamp) {
        if let Some(phone) = self.phones.get_mut(&arrival.phone) {
            let message = PhoneMessage::new(arrival.text, arrival.media, PhoneMessageState::Received, now);
            phone.add_message(&arrival.party, message);
        }
    }

    /// Takes note of how a callback went, and plans what follows from it.
    pub fn called(&mut self, request: CallbackRequest, answer: CallbackAnswer, now: Timestamp) {
        self.record(&request, &answer.outcome, now);
        if answer.outcome.is_taken() {
            if let Some(origin) = &request.origin {
                self.settle(origin, PhoneMessageState::Sent);
            }
            if request.kind == CallbackKind::Message {
                self.reply(&request.sid, &answer, now);
            }
            return;
        }
        let at = now.plus(self.settings.delays.retry);
        if request.wants_retry(&answer.outcome) {
            let again = CallbackRequest { attempt: request.attempt + 1, ..request };
            self.schedule(at, Task::Call(Box::new(again)));
        } else if let Some((url, verb)) = request.fallback.clone() {
            let mut params = request.params.clone();
            params.push(("ErrorCode".to_owned(), answer.outcome.error_code().to_owned()));
            params.push(("ErrorUrl".to_owned(), request.url.clone()));
            let fallback =
                CallbackRequest { url, verb, params, attempt: 1, retries: 0, fallback: None, ..request };
            self.schedule(now, Task::Call(Box::new(fallback)));
        } else if let Some(origin) = &request.origin {
            self.settle(origin, PhoneMessageState::Failed);
        }
    }

    /// Takes note of a callback about a call.
    pub fn note_call(&mut self, request: &CallbackRequest, outcome: &Outcome, now: Timestamp) {
        self.record(request, outcome, now);
    }

    fn record(&mut self, request: &CallbackRequest, outcome: &Outcome, now: Timestamp) {
        self.callbacks.push_back(CallbackRecord {
            at: now,
            kind: request.kind,
            message_sid: request.sid.clone(),
            message_status: request.status,
            url: request.url.clone(),
            attempt: request.attempt,
            outcome: outcome.clone(),
        });
        if self.callbacks.len() > CALLBACKS_MAX {
            self.callbacks.pop_front();
        }
    }

    /// Sends what the answer to an inbound message asks for.
    fn reply(&mut self, sid: &str, answer: &CallbackAnswer, now: Timestamp) {
        let Some(message) = self.messages.get(sid) else { return };
        let (from, to) = (message.to.clone(), message.from.clone());
        for reply in twiml::replies(&answer.content_type, &answer.body) {
            let media =
                reply.media.into_iter().map(|url| Media { url, content_type: String::new() }).collect();
            let new = NewMessage {
                direction: Direction::OutboundReply,
                from: from.clone(),
                to: to.clone(),
                body: reply.body,
                media,
                status: Status::Queued,
                service: None,
                status_callback: None,
                behaviour: Arc::default(),
            };
            self.accept(new, None, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::Clock;
    use crate::simulator::behaviour::Handset;

    const PHONE: &str = "+12025550101";
    const OURS: &str = "+12025550150";

    fn behaviours() -> impl Strategy<Value = Behaviour> {
        let after = vec![AfterAccept::Deliver, AfterAccept::LoseReceipts, AfterAccept::Die];
        let handsets = vec![Handset::Reachable, Handset::Absent, Handset::Unreachable, Handset::Filtered];
        let (after, handsets) = (proptest::sample::select(after), proptest::sample::select(handsets));
        (after, handsets, 0..4u32, any::<bool>(), 0..5_000u64).prop_map(
            |(after_accept, handset, repeat_callbacks, reorder_callbacks, late_ms)| Behaviour {
                after_accept,
                handset,
                repeat_callbacks,
                reorder_callbacks,
                late_ms,
                ..Behaviour::default()
            },
        )
    }

    /// Sends one message and takes every step; the statuses of the receipts, and whether the phone shows it.
    fn send(state: &mut State, behaviour: &Behaviour) -> (Message, Vec<Status>, bool) {
        let new = NewMessage {
            direction: Direction::OutboundApi,
            from: E164::parse(OURS).unwrap(),
            to: E164::parse(PHONE).unwrap(),
            body: "x".to_owned(),
            media: Vec::new(),
            status: Status::Queued,
            service: None,
            status_callback: Some("http://127.0.0.1/status".to_owned()),
            behaviour: Arc::new(behaviour.clone()),
        };
        let message = state.accept(new, None, Timestamp(0));
        let (mut receipts, mut shown) = (Vec::new(), false);
        while let Some((at, _)) = state.tasks.keys().next().copied() {
            let task = state.take_first().unwrap();
            match state.run(task, at) {
                Some(Effect::Call(request)) => receipts.push(request.status),
                Some(Effect::Show(_)) => shown = true,
                Some(Effect::Sync(_)) | None => {}
            }
        }
        (state.messages.get(&message.sid).unwrap().clone(), receipts, shown)
    }

    proptest! {
        #[test]
        fn every_message_ends_once_and_says_so_as_often_as_it_should(behaviour in behaviours()) {
            let settings = Settings {
                numbers: vec![E164::parse(OURS).unwrap()],
                unknown_handset_error: None,
                clock: Clock::manual(Timestamp(0)),
                ..Settings::default()
            };
            let mut state = State::new(Arc::new(settings));
            let phone = crate::simulator::NewPhone { number: E164::parse(PHONE).unwrap(), name: None, carddav: None };
            state.add_phone(Phone::new(phone, None).unwrap()).unwrap();
            let (message, receipts, shown) = send(&mut state, &behaviour);
            let arrives = behaviour.handset == Handset::Reachable && behaviour.after_accept != AfterAccept::Die;
            prop_assert_eq!(shown, arrives);
            prop_assert_eq!(message.status == Status::Delivered, arrives);
            prop_assert_eq!(message.status.is_final(), behaviour.after_accept != AfterAccept::Die);
            let each = usize::try_from(behaviour.repeat_callbacks).unwrap() + 1;
            let wanted = if behaviour.after_accept == AfterAccept::Deliver { 2 * each } else { 0 };
            prop_assert_eq!(receipts.len(), wanted);
            if wanted > 0 {
                prop_assert_eq!(receipts.iter().filter(|status| **status == message.status).count(), each);
                let sent_last = receipts.last() == Some(&Status::Sent);
                prop_assert_eq!(sent_last, behaviour.reorder_callbacks);
            }
        }
    }
}
