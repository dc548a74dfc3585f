//! How quickly we submit: a rate the operator has set, and a slower one when the other side says that it is too much.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The first pause between submits after “too quick”; doubled with every further one.
const FIRST_STEP: Duration = Duration::from_millis(2);
/// The slowest: one submit a second.
const SLOWEST: Duration = Duration::from_secs(1);
/// How long nothing is sent after “too quick”.
const REST: Duration = Duration::from_millis(250);
/// A success takes this part of the pause away, so that a hundred of them take most of it.
const EASE: f64 = 0.98;
/// Below this there is no pause.
const NONE: Duration = Duration::from_micros(20);

struct State {
    next: Instant,
    step: Duration,
    /// When we were last told, and believed, that it is too much.
    slowed_at: Option<Instant>,
}

/// When a submit may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Now,
    At(Instant),
    TooLate,
}

/// Gives out the moments at which to submit.
pub struct Throttle {
    floor: Duration,
    state: Mutex<Option<State>>,
}

impl Throttle {
    /// `per_second` 0: as quickly as it goes.
    pub fn new(per_second: u32) -> Throttle {
        let floor = if per_second == 0 { Duration::ZERO } else { Duration::from_secs(1) / per_second };
        let state = (per_second > 0).then(|| State { next: Instant::now(), step: floor, slowed_at: None });
        Throttle { floor, state: Mutex::new(state) }
    }

    /// Waits for its turn; false, and no turn is taken, when that would not come before `until`.
    pub async fn turn(&self, until: Instant) -> bool {
        match self.reserve(Instant::now(), until) {
            Turn::Now => true,
            Turn::At(at) => {
                tokio::time::sleep_until(at).await;
                true
            }
            Turn::TooLate => false,
        }
    }

    fn reserve(&self, now: Instant, until: Instant) -> Turn {
        let mut state = self.lock();
        let Some(state) = state.as_mut() else { return Turn::Now };
        let at = state.next.max(now);
        if at > until {
            return Turn::TooLate;
        }
        state.next = at + state.step;
        if at > now { Turn::At(at) } else { Turn::Now }
    }

    /// The other side said of a submit that left at `left` that it is too much. What was under way when we were told
    /// before says nothing new: a whole window is refused at once, and it is slowed down for once.
    pub fn too_quick(&self, left: Instant) {
        let now = Instant::now();
        let mut state = self.lock();
        if state.as_ref().and_then(|s| s.slowed_at).is_some_and(|slowed_at| left <= slowed_at) {
            return;
        }
        let step = state.as_ref().map_or(FIRST_STEP, |s| (s.step * 2).clamp(FIRST_STEP, SLOWEST));
        *state = Some(State { next: now + REST, step: step.max(self.floor), slowed_at: Some(now) });
    }

    /// It was taken: a little quicker next time.
    pub fn taken(&self) {
        let mut state = self.lock();
        let Some(now) = state.as_mut() else { return };
        if now.step > self.floor {
            now.step = now.step.mul_f64(EASE).max(self.floor);
        }
        if now.step < NONE && self.floor.is_zero() {
            *state = None;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    fn ahead(seconds: u64) -> Instant {
        Instant::now() + Duration::from_secs(seconds)
    }

    #[test]
    fn a_rate_spreads_the_turns() {
        let throttle = Throttle::new(100);
        let now = ahead(1);
        let turn = || throttle.reserve(now, now + LONG);
        assert_eq!(turn(), Turn::Now);
        assert_eq!(turn(), Turn::At(now + Duration::from_millis(10)));
        assert_eq!(turn(), Turn::At(now + Duration::from_millis(20)));
        assert_eq!(Throttle::new(0).reserve(now, now), Turn::Now);
    }

    #[test]
    fn a_turn_that_would_come_too_late_is_not_taken() {
        let throttle = Throttle::new(1);
        let now = ahead(1);
        let turn = || throttle.reserve(now, now + Duration::from_secs(1));
        assert_eq!((turn(), turn()), (Turn::Now, Turn::At(now + Duration::from_secs(1))));
        for _ in 0..1_000 {
            assert_eq!(turn(), Turn::TooLate);
        }
        let later = now + Duration::from_secs(2);
        assert_eq!(throttle.reserve(later, later), Turn::Now, "those who left have not taken its turn");
    }

    #[test]
    fn too_quick_slows_down_and_success_speeds_up_again() {
        let throttle = Throttle::new(0);
        throttle.too_quick(ahead(0));
        throttle.too_quick(ahead(1));
        let now = ahead(5);
        let turn = || throttle.reserve(now, now + LONG);
        turn();
        assert_eq!(turn(), Turn::At(now + FIRST_STEP * 2));
        for _ in 0..400 {
            throttle.taken();
        }
        assert_eq!(turn(), Turn::Now);
        for n in 0..30 {
            throttle.too_quick(ahead(10 + n));
        }
        assert_eq!(throttle.lock().as_ref().map(|s| s.step), Some(SLOWEST));
    }

    #[test]
    fn a_whole_window_that_is_refused_slows_down_once() {
        let throttle = Throttle::new(0);
        let left = Instant::now();
        for _ in 0..100 {
            throttle.too_quick(left);
        }
        assert_eq!(throttle.lock().as_ref().map(|s| s.step), Some(FIRST_STEP));
        throttle.too_quick(ahead(1));
        assert_eq!(throttle.lock().as_ref().map(|s| s.step), Some(FIRST_STEP * 2));
    }
}
