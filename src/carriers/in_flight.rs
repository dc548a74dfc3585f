//! Which carriers keep our senders waiting. Whoever does not answer must not hold up what goes to the others: his
//! requests stop counting among the running jobs, and no more are begun than are needed to see when he is back.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A request that takes longer is slow: carriers answer within some hundred milliseconds.
const SLOW: Duration = Duration::from_secs(2);
/// So many slow requests at a time and no more are begun.
const STUCK: usize = 16;

#[derive(Debug, Default)]
struct State {
    next: u64,
    begun: BTreeMap<String, BTreeMap<u64, Instant>>,
}

/// The requests of this process that carriers have not answered yet.
#[derive(Debug, Default)]
pub struct InFlight(Mutex<State>);

/// A request; it is over when this is dropped.
#[derive(Debug)]
pub struct Request<'a> {
    all: &'a InFlight,
    carrier_id: String,
    number: u64,
}

impl InFlight {
    /// A request begins.
    pub fn begin(&self, carrier_id: &str) -> Request<'_> {
        self.begin_at(carrier_id, Instant::now())
    }

    fn begin_at(&self, carrier_id: &str, now: Instant) -> Request<'_> {
        let mut state = self.lock();
        state.next += 1;
        let number = state.next;
        state.begun.entry(carrier_id.to_owned()).or_default().insert(number, now);
        Request { all: self, carrier_id: carrier_id.to_owned(), number }
    }

    /// How many requests are slow, at all carriers together.
    pub fn slow(&self) -> usize {
        self.slow_at(Instant::now()).into_values().sum()
    }

    /// The carriers to which nothing more should be sent for the moment.
    pub fn stuck(&self) -> Vec<String> {
        let slow = self.slow_at(Instant::now());
        slow.into_iter().filter(|(_, count)| *count >= STUCK).map(|(id, _)| id).collect()
    }

    /// Whether this is one of them.
    pub fn is_stuck(&self, carrier_id: &str) -> bool {
        self.slow_at(Instant::now()).get(carrier_id).is_some_and(|count| *count >= STUCK)
    }

    fn slow_at(&self, now: Instant) -> BTreeMap<String, usize> {
        let is_slow = |begun: &&Instant| now.saturating_duration_since(**begun) >= SLOW;
        let state = self.lock();
        state.begun.iter().map(|(id, all)| (id.clone(), all.values().filter(is_slow).count())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        let mut state = self.all.lock();
        if let Some(all) = state.begun.get_mut(&self.carrier_id) {
            all.remove(&self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_carrier_is_stuck_while_many_of_its_answers_are_late() {
        let all = InFlight::default();
        let now = Instant::now();
        let mut requests: Vec<Request<'_>> = (0..STUCK).map(|_| all.begin_at("silent", now)).collect();
        requests.extend((0..100).map(|_| all.begin_at("quick", now + SLOW)));
        let slow = |at: Instant| all.slow_at(at);
        assert_eq!(slow(now + SLOW / 2).values().sum::<usize>(), 0);
        assert_eq!(slow(now + SLOW)["silent"], STUCK);
        assert_eq!(slow(now + SLOW)["quick"], 0);
        drop(requests.remove(0));
        assert_eq!(slow(now + SLOW)["silent"], STUCK - 1, "one more may try");
        requests.clear();
        assert_eq!((all.slow(), all.stuck()), (0, Vec::new()));
    }
}
