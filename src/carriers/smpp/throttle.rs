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
        let state = (per_second > 0).then(|| State { next: Instant::now(), step: floor });
        Throttle { floor, state: Mutex::new(state) }
    }

    /// Waits for its turn.
    pub async fn turn(&self) {
        if let Some(at) = self.reserve(Instant::now()) {
            tokio::time::sleep_until(at).await;
        }
    }

    fn reserve(&self, now: Instant) -> Option<Instant> {
        let mut state = self.lock();
        let state = state.as_mut()?;
        let at = state.next.max(now);
        state.next = at + state.step;
        (at > now).then_some(at)
    }

    /// The other side said that it is too much.
    pub fn too_quick(&self) {
        let now = Instant::now();
        let mut state = self.lock();
        let step = state.as_ref().map_or(FIRST_STEP, |s| (s.step * 2).clamp(FIRST_STEP, SLOWEST));
        *state = Some(State { next: now + REST, step: step.max(self.floor) });
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

    #[test]
    fn a_rate_spreads_the_turns() {
        let throttle = Throttle::new(100);
        let now = Instant::now() + Duration::from_secs(1);
        assert_eq!(throttle.reserve(now), None);
        assert_eq!(throttle.reserve(now), Some(now + Duration::from_millis(10)));
        assert_eq!(throttle.reserve(now), Some(now + Duration::from_millis(20)));
        assert_eq!(Throttle::new(0).reserve(now), None);
    }

    #[test]
    fn too_quick_slows_down_and_success_speeds_up_again() {
        let throttle = Throttle::new(0);
        throttle.too_quick();
        throttle.too_quick();
        let now = Instant::now() + Duration::from_secs(5);
        throttle.reserve(now);
        assert_eq!(throttle.reserve(now), Some(now + FIRST_STEP * 2));
        for _ in 0..400 {
            throttle.taken();
        }
        assert_eq!(throttle.reserve(now), None);
        for _ in 0..30 {
            throttle.too_quick();
        }
        assert_eq!(throttle.lock().as_ref().map(|s| s.step), Some(SLOWEST));
    }
}
