//! The carrier simulator: a server that speaks the Twilio wire both ways, with phones to drive by REST, in the browser
//! and from tests.
//!
//! To a customer's program it is the carrier: messages are taken by [`api`], go their way in `state`, and signed
//! callbacks tell what became of them. To a person it is a drawer full of phones: each has a number, sends and shows
//! messages, and syncs its own address book with a real CardDAV client. It shares nothing with the rest of the crate but
//! the vocabulary, so that it is a second reading of the carrier's documents and not a mirror of our own.
//!
//! Everything is in memory, everything has a limit. Without [`Settings::manual`] a task follows the clock; with it
//! nothing moves until [`Simulator::step`] or [`Simulator::drain`].

pub mod api;
pub mod behaviour;
mod callback;
pub mod calls;
mod carddav_client;
mod message;
mod opt_out;
mod phones;
mod pool;
mod refusal;
mod schedule;
mod segments;
mod send;
pub mod signature;
mod state;
#[cfg(test)]
mod tests;
mod twiml;
mod vcard;
mod xml;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};

pub use self::api::{routes, server};
pub use self::behaviour::{AfterAccept, Behaviour, Handset, Refuse, Requests};
pub use self::callback::{CallbackKind, CallbackRecord, Outcome};
pub use self::calls::{PhoneCall, PhoneCallState};
use self::carddav_client::CardDavClient;
pub use self::message::{Direction, Media, Message, Status};
use self::phones::Phone;
pub use self::phones::{
    CardDavAccount, NewPhone, PhoneContact, PhoneMessage, PhoneMessageState, PhoneView, Power, SyncState,
    ThreadView,
};
use self::pool::OwnedNumber;
use self::state::State;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::phone::E164;

/// Callbacks under way at once.
const CALLS_MAX: usize = 256;
/// The longest text that a phone sends, in characters: the carrier's own limit.
const TEXT_MAX: usize = 1_600;
/// Files with one message.
const MEDIA_MAX: usize = 10;

/// How long things take.
#[derive(Debug, Clone)]
pub struct Delays {
    /// From accepted to sent.
    pub sent: Duration,
    /// From sent to delivered.
    pub delivered: Duration,
    /// From a phone to us, and from phone to phone.
    pub inbound: Duration,
    /// Until a callback that failed is tried again.
    pub retry: Duration,
    /// How long a callback waits for its answer.
    pub callback_timeout: Duration,
}

impl Default for Delays {
    fn default() -> Self {
        Delays {
            sent: Duration::from_millis(250),
            delivered: Duration::from_millis(750),
            inbound: Duration::from_millis(150),
            retry: Duration::from_millis(500),
            callback_timeout: Duration::from_secs(15),
        }
    }
}

/// How a simulated carrier is set up.
#[derive(Clone)]
pub struct Settings {
    /// The customer's account: `AC` and 32 hex digits.
    pub account_sid: String,
    /// The customer's secret: for Basic authentication, and the key of signatures.
    pub auth_token: String,
    /// Where inbound messages go when their number has no `SmsUrl`: this and `/messages`.
    pub callback_base: Option<String>,
    /// The numbers that the customer rents from the beginning.
    pub numbers: Vec<E164>,
    /// How long things take.
    pub delays: Delays,
    /// How often an inbound message that was not taken is tried again.
    pub inbound_retries: u32,
    /// How often a receipt that was not taken is tried again.
    pub status_retries: u32,
    /// How often a phone syncs its address book; none: only when asked for and before it shows a message.
    pub sync_every: Option<Duration>,
    /// The error code for numbers that no phone has; none: messages to them are delivered to nowhere.
    pub unknown_handset_error: Option<u32>,
    /// Whether the carrier heeds STOP, START and HELP by itself.
    pub opt_out_words: bool,
    /// No clock: steps are taken by [`Simulator::step`] and [`Simulator::drain`].
    pub manual: bool,
    /// The time.
    pub clock: Clock,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            account_sid: "AC5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e".to_owned(),
            auth_token: "simulator-only-token".to_owned(),
            callback_base: None,
            numbers: Vec::new(),
            delays: Delays::default(),
            inbound_retries: 1,
            status_retries: 0,
            sync_every: Some(Duration::from_secs(5)),
            unknown_handset_error: Some(30005),
            opt_out_words: true,
            manual: false,
            clock: Clock::system(),
        }
    }
}

impl Settings {
    /// Fifty numbers of the fictional range, for a carrier that is tried out: +1 202 555 0150 to 0199.
    pub fn fictional_numbers() -> Vec<E164> {
        (150..200).filter_map(|line| E164::parse(&format!("+12025550{line}")).ok()).collect()
    }
}

/// The token stays out of logs.
impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("account_sid", &self.account_sid)
            .field("callback_base", &self.callback_base)
            .field("number_count", &self.numbers.len())
            .field("delays", &self.delays)
            .field("manual", &self.manual)
            .finish_non_exhaustive()
    }
}

/// A simulated carrier with its phones; clones share everything.
#[derive(Clone)]
pub struct Simulator {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Arc<Settings>,
    state: Mutex<State>,
    http: reqwest::Client,
    calls: Semaphore,
    streams: Arc<Semaphore>,
    wake: Notify,
    exchange: calls::Exchange,
    started: AtomicBool,
}

impl Simulator {
    /// A carrier with no phones, that stands still until [`Simulator::start`] or a step by hand.
    pub fn new(settings: Settings) -> Self {
        let settings = Arc::new(settings);
        // A redirect would carry signatures and passwords elsewhere, and a proxy has no place between two local servers.
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            // Servers close idle connections after some seconds; one that dies under a callback would lose it.
            .pool_idle_timeout(Duration::from_secs(2))
            // As the vendor writes them; some customers look for exactly that.
            .http1_title_case_headers()
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(30))
            .build()
            .unwrap_or_default();
        let inner = Inner {
            state: Mutex::new(State::new(Arc::clone(&settings))),
            settings,
            http,
            calls: Semaphore::new(CALLS_MAX),
            streams: Arc::new(Semaphore::new(api::STREAMS_MAX)),
            wake: Notify::new(),
            exchange: calls::Exchange::default(),
            started: AtomicBool::new(false),
        };
        Simulator { inner: Arc::new(inner) }
    }

    /// How it is set up.
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rents a number; nothing changes when it is rented already.
    pub fn add_number(&self, number: E164) -> Result<()> {
        let now = self.settings().clock.now();
        let mut state = self.state();
        if state.phones.contains_key(&number) {
            return Err(Error::conflict("number_taken", "A phone has this number."));
        }
        if state.numbers.len() >= state::NUMBERS_MAX {
            return Err(Error::conflict("too_many_numbers", "The account rents too many numbers."));
        }
        state.numbers.entry(number.clone()).or_insert_with(|| OwnedNumber::new(number, now));
        Ok(())
    }

    /// Adds a phone.
    pub fn add_phone(&self, phone: NewPhone) -> Result<()> {
        let (number, account) = (phone.number.clone(), phone.carddav.clone());
        // Checked before the phone is there, so that a bad account leaves nothing behind.
        let client =
            account.map(|account| CardDavClient::new(self.inner.http.clone(), account)).transpose()?;
        self.state().add_phone(Phone::new(phone, client)?)?;
        self.sync_soon(number);
        Ok(())
    }

    /// Sets a phone up with an address book account, as its owner would in the phone's settings; takes the place of
    /// the one before, whose contacts leave the phone.
    pub fn set_address_book(&self, number: &E164, account: CardDavAccount) -> Result<()> {
        let client = CardDavClient::new(self.inner.http.clone(), account.clone())?;
        {
            let mut state = self.state();
            let phone = state.phones.get_mut(number).ok_or_else(|| Error::not_found("phone"))?;
            phone.set_account(account, client);
        }
        self.sync_soon(number.clone());
        Ok(())
    }

    /// Plans a phone's first sync; those after it follow from one another.
    fn sync_soon(&self, number: E164) {
        if self.settings().manual {
            return;
        }
        let now = self.settings().clock.now();
        let mut state = self.state();
        if state.phones.get_mut(&number).is_some_and(Phone::begin_syncing) {
            state.schedule(now, state::Task::Sync { phone: number });
            self.inner.wake.notify_one();
        }
    }

    /// Takes a phone away, with everything on it.
    pub fn remove_phone(&self, number: &E164) -> Result<()> {
        self.state().phones.remove(number).map(|_| ()).ok_or_else(|| Error::not_found("phone"))
    }

    /// Switches a phone on or off.
    pub fn set_power(&self, number: &E164, power: Power) -> Result<()> {
        let mut state = self.state();
        let phone = state.phones.get_mut(number).ok_or_else(|| Error::not_found("phone"))?;
        phone.set_power(power);
        Ok(())
    }

    /// What a phone shows.
    pub fn phone(&self, number: &E164) -> Result<PhoneView> {
        self.state().phones.get(number).map(Phone::view).ok_or_else(|| Error::not_found("phone"))
    }

    /// The numbers of the phones, in order.
    pub fn phones(&self) -> Vec<E164> {
        self.state().phones.keys().cloned().collect()
    }

    /// A person writes `text` on a phone. Answers with the carrier's id when `to` is one of the rented numbers.
    pub fn phone_texts(&self, phone: &E164, to: &E164, text: &str) -> Result<Option<String>> {
        self.phone_sends(phone, to, text, Vec::new())
    }

    /// A person sends text and files from a phone.
    pub fn phone_sends(
        &self,
        phone: &E164,
        to: &E164,
        text: &str,
        media: Vec<Media>,
    ) -> Result<Option<String>> {
        if text.chars().count() > TEXT_MAX {
            return Err(Error::invalid("text", "too_long", format!("At most {TEXT_MAX} characters.")));
        }
        if text.is_empty() && media.is_empty() {
            return Err(Error::invalid("text", "required", "A message needs a text or a file."));
        }
        if media.len() > MEDIA_MAX {
            return Err(Error::invalid("media", "too_many", format!("At most {MEDIA_MAX} files.")));
        }
        let now = self.settings().clock.now();
        let sid = self.state().text(phone, to, text.to_owned(), media, now)?;
        self.inner.wake.notify_one();
        Ok(sid)
    }

    /// Every message that passed through the carrier, oldest first.
    pub fn messages(&self) -> Vec<Message> {
        let state = self.state();
        state.order.iter().filter_map(|sid| state.messages.get(sid)).cloned().collect()
    }

    /// The messages that the customer sent, oldest first.
    pub fn messages_sent(&self) -> Vec<Message> {
        self.messages().into_iter().filter(|message| message.direction != Direction::Inbound).collect()
    }

    /// The tries of callbacks, oldest first.
    pub fn callbacks(&self) -> Vec<CallbackRecord> {
        self.state().callbacks.iter().cloned().collect()
    }

    /// Makes the carrier behave badly: from now on, or with `times` for the next requests.
    pub fn set_behaviour(&self, behaviour: Behaviour) -> Result<()> {
        self.state().behaviours.set(behaviour)
    }

    /// Back to a good day.
    pub fn reset_behaviour(&self) {
        self.state().behaviours = Default::default();
    }
}
