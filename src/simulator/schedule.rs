//! What makes the simulator move: a task that follows the clock, or a test that takes step after step.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Simulator;
use super::phones::{Power, SyncState};
use super::state::{Arrival, Effect, Task};
use crate::error::{Error, Result};
use crate::phone::E164;

/// Steps that are taken before others get a turn.
const BATCH_MAX: usize = 256;
/// The longest sleep: a clock that jumps is noticed after it.
const SLEEP_MAX: Duration = Duration::from_secs(1);
/// A handset waits so long for its address book before it shows a message under the bare number.
const SHOW_PATIENCE: Duration = Duration::from_secs(3);
/// A sync that takes longer is given up.
const SYNC_PATIENCE: Duration = Duration::from_secs(60);
/// A drain ends here even if every step brings another.
const DRAIN_MAX: usize = 1_000_000;

impl Simulator {
    /// Starts to follow the clock, once; must be called inside a tokio runtime. Does nothing in manual mode.
    ///
    /// [`super::server`] and [`super::routes`] do this by themselves.
    pub fn start(&self) {
        if self.settings().manual || self.inner.started.swap(true, Ordering::SeqCst) {
            return;
        }
        tokio::spawn(self.clone().follow_the_clock());
    }

    async fn follow_the_clock(self) {
        loop {
            // Registered before the look, so that no wake-up between look and sleep is lost.
            let woken = self.inner.wake.notified();
            let mut effects = Vec::new();
            let sleep = {
                let mut state = self.state();
                let now = self.settings().clock.now();
                for _ in 0..BATCH_MAX {
                    let Some(task) = state.take_due(now) else { break };
                    effects.extend(state.run(task, now));
                }
                state.next_due().map_or(SLEEP_MAX, |due| due.since(now)).min(SLEEP_MAX)
            };
            for effect in effects {
                let simulator = self.clone();
                tokio::spawn(async move { simulator.carry_out(effect).await });
            }
            // A wake-up and the end of the sleep mean the same.
            let _ = tokio::time::timeout(sleep, woken).await;
        }
    }

    /// Takes the next step at once, whatever its time; says whether there was one. For tests in manual mode.
    pub async fn step(&self) -> bool {
        let effect = {
            let mut state = self.state();
            let Some(task) = state.take_first() else { return false };
            let now = self.settings().clock.now();
            state.run(task, now)
        };
        if let Some(effect) = effect {
            self.carry_out(effect).await;
        }
        true
    }

    /// Takes steps until there are none left, in the order of their times; says how many. For tests in manual mode.
    pub async fn drain(&self) -> usize {
        let mut count = 0;
        while count < DRAIN_MAX && self.step().await {
            count += 1;
        }
        count
    }

    /// Takes the steps whose time has come by the clock; says how many. For tests in manual mode that move a clock.
    pub async fn deliver_due(&self) -> usize {
        let mut count = 0;
        while count < DRAIN_MAX {
            let now = self.settings().clock.now();
            let effect = {
                let mut state = self.state();
                let Some(task) = state.take_due(now) else { break };
                state.run(task, now)
            };
            count += 1;
            if let Some(effect) = effect {
                self.carry_out(effect).await;
            }
        }
        count
    }

    async fn carry_out(&self, effect: Effect) {
        match effect {
            Effect::Call(request) => {
                let Ok(_permit) = self.inner.calls.acquire().await else { return };
                let settings = self.settings();
                let answer = request
                    .send(&self.inner.http, &settings.auth_token, settings.delays.callback_timeout)
                    .await;
                let now = settings.clock.now();
                self.state().called(*request, answer, now);
                self.inner.wake.notify_one();
            }
            Effect::Show(arrival) => self.show(arrival).await,
            Effect::Sync(number) => {
                let is_on = self.state().phones.get(&number).is_some_and(|phone| phone.power == Power::On);
                // The phone tells its page what went wrong; it tries again either way.
                if is_on {
                    let _ = self.sync_phone(&number).await;
                }
                self.schedule_sync(&number);
            }
        }
    }

    /// The name under which a message appears is in the book before the message is on the screen.
    async fn show(&self, arrival: Arrival) {
        let has_book = self.state().phones.get(&arrival.phone).is_some_and(|phone| phone.client.is_some());
        if has_book {
            let _ = tokio::time::timeout(SHOW_PATIENCE, self.sync_phone(&arrival.phone)).await;
        }
        let now = self.settings().clock.now();
        self.state().show(arrival, now);
    }

    /// Plans the next sync of a phone, unless syncs happen only when asked for.
    pub(super) fn schedule_sync(&self, number: &E164) {
        let settings = self.settings();
        let Some(every) = settings.sync_every.filter(|_| !settings.manual) else { return };
        let at = settings.clock.now().plus(every);
        self.state().schedule(at, Task::Sync { phone: number.clone() });
        self.inner.wake.notify_one();
    }

    /// Brings a phone's copy of its address book up to date, with its real CardDAV client.
    pub async fn sync_phone(&self, number: &E164) -> Result<SyncState> {
        let used = {
            let state = self.state();
            let phone = state.phones.get(number).ok_or_else(|| Error::not_found("phone"))?;
            let client = phone.client.as_ref().map(Arc::clone);
            client.ok_or_else(|| {
                Error::conflict("no_address_book", "This phone has no address book account.")
            })?
        };
        let mut client = used.lock().await;
        let outcome = match tokio::time::timeout(SYNC_PATIENCE, client.sync()).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::unavailable("carddav_slow", "The address book's server is too slow.")),
        };
        let cards = client.cards();
        let now = self.settings().clock.now();
        let mut state = self.state();
        let phone = state.phones.get_mut(number).ok_or_else(|| Error::not_found("phone"))?;
        if !phone.client.as_ref().is_some_and(|current| Arc::ptr_eq(current, &used)) {
            return Err(Error::conflict(
                "account_changed",
                "The phone has another address book account now.",
            ));
        }
        let changed = phone.set_contacts(&cards, &number.region());
        match &outcome {
            Ok(()) => phone.sync = SyncState { synced_at: Some(now), error: None },
            Err(error) => phone.sync.error = Some(error.message().to_owned()),
        }
        phone.tell_synced(changed);
        outcome.map(|()| phone.sync.clone())
    }
}
