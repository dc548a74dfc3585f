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

#[derive(Debug)]
struct Begun {
    at: Instant,
    /// Questions of it that the carrier has not answered, and since when there are any.
    open: usize,
    asked_at: Option<Instant>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    begun: BTreeMap<String, BTreeMap<u64, Begun>>,
}

/// The requests of this process that carriers have not answered yet.
#[derive(Debug, Default)]
pub struct InFlight(Mutex<State>);

/// A request; it is over when this is dropped. While nothing [`asks`](Request::asks), it waits for a turn that we give.
#[derive(Debug)]
pub struct Request<'a> {
    all: &'a InFlight,
    carrier_id: String,
    number: u64,
}

/// A question that the carrier has to answer; it has when this is dropped.
#[derive(Debug)]
pub struct Asked<'a>(&'a Request<'a>);

impl Request<'_> {
    /// Something leaves for the carrier: from now on he is the one who is slow.
    pub fn asks(&self) -> Asked<'_> {
        self.asks_at(Instant::now())
    }

    fn asks_at(&self, now: Instant) -> Asked<'_> {
        self.change(|begun| {
            begun.open += 1;
            begun.asked_at = begun.asked_at.or(Some(now));
        });
        Asked(self)
    }

    fn change(&self, change: impl FnOnce(&mut Begun)) {
        let mut state = self.all.lock();
        if let Some(begun) = state.begun.get_mut(&self.carrier_id).and_then(|all| all.get_mut(&self.number)) {
            change(begun);
        }
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.0.change(|begun| {
            begun.open = begun.open.saturating_sub(1);
            if begun.open == 0 {
                begun.asked_at = None;
            }
        });
    }
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
        state
            .begun
            .entry(carrier_id.to_owned())
            .or_default()
            .insert(number, Begun { at: now, open: 0, asked_at: None });
        Request { all: self, carrier_id: carrier_id.to_owned(), number }
    }

    /// How many requests take long, at all carriers together, whosever fault it is.
    pub fn slow(&self) -> usize {
        let now = Instant::now();
        self.lock().begun.values().flat_map(BTreeMap::values).filter(|begun| is_late(begun.at, now)).count()
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

    /// How many requests each carrier leaves without an answer for too long.
    fn slow_at(&self, now: Instant) -> BTreeMap<String, usize> {
        let is_slow = |begun: &&Begun| begun.asked_at.is_some_and(|at| is_late(at, now));
        let state = self.lock();
        state.begun.iter().map(|(id, all)| (id.clone(), all.values().filter(is_slow).count())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_late(since: Instant, now: Instant) -> bool {
    now.saturating_duration_since(since) >= SLOW
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
        let begin = |id: &str| all.begin_at(id, now);
        let (silent, quick): (Vec<_>, Vec<_>) =
            ((0..STUCK).map(|_| begin("silent")).collect(), (0..100).map(|_| begin("quick")).collect());
        let mut asked: Vec<Asked<'_>> = silent.iter().map(|request| request.asks_at(now)).collect();
        // They have waited for a turn of ours: that the others are asked late is not their doing.
        let turns: Vec<Asked<'_>> = quick.iter().map(|request| request.asks_at(now + SLOW)).collect();
        let slow = |at: Instant| all.slow_at(at);
        assert_eq!(slow(now + SLOW / 2).values().sum::<usize>(), 0);
        assert_eq!(slow(now + SLOW)["silent"], STUCK);
        assert_eq!(slow(now + SLOW)["quick"], 0);
        drop(asked.remove(0));
        assert_eq!(slow(now + SLOW)["silent"], STUCK - 1, "one more may try");
        drop((asked, turns));
        assert_eq!(slow(now + 9 * SLOW).values().sum::<usize>(), 0, "everything is answered");
        drop((silent, quick));
        assert_eq!((all.slow(), all.stuck()), (0, Vec::new()));
    }

    #[test]
    fn a_request_in_parts_is_late_since_the_first_that_waits() {
        let all = InFlight::default();
        let now = Instant::now();
        let requests: Vec<Request<'_>> = (0..STUCK).map(|_| all.begin_at("some", now)).collect();
        for request in &requests {
            let first = request.asks_at(now);
            let second = request.asks_at(now + SLOW);
            drop(first);
            assert_eq!(all.slow_at(now + SLOW)["some"], 1);
            drop(second);
            assert_eq!(all.slow_at(now + 9 * SLOW)["some"], 0);
        }
    }
}
