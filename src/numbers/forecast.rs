//! How long a pool will do: what the largest holding was on each of the last days, and when the line through it meets
//! the number of numbers. Pure.

use crate::clock::Timestamp;

/// Days that are looked at.
pub const DAYS: i64 = 30;
const DAY: i64 = 24 * 3_600 * 1_000_000;

/// A pair that an account has or had: from when, and until when if it ended. Resting counts as having.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Given.
    pub from: Timestamp,
    /// Free again.
    pub until: Option<Timestamp>,
}

/// What was held at the end of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day {
    /// Its end.
    pub at: Timestamp,
    /// Pairs.
    pub held: i64,
}

/// The last [`DAYS`] days, the newest at `now`.
pub fn days(now: Timestamp, held: &[Held]) -> Vec<Day> {
    let at = |ago: i64| Timestamp(now.0 - ago * DAY);
    let count = |at: Timestamp| {
        held.iter().filter(|h| h.from <= at && h.until.is_none_or(|until| until > at)).count()
    };
    (0..DAYS)
        .rev()
        .map(|ago| Day { at: at(ago), held: i64::try_from(count(at(ago))).unwrap_or(i64::MAX) })
        .collect()
}

/// In how many days the holding reaches `numbers` if it goes on as it did; none when it does not grow.
pub fn full_in_days(days: &[Day], numbers: i64) -> Option<i64> {
    let held = days.last()?.held;
    if held >= numbers {
        return Some(0);
    }
    let count = days.len() as f64;
    let (mean_x, mean_y) = ((count - 1.0) / 2.0, days.iter().map(|d| d.held as f64).sum::<f64>() / count);
    let (mut above, mut below) = (0.0, 0.0);
    for (x, day) in days.iter().enumerate() {
        above += (x as f64 - mean_x) * (day.held as f64 - mean_y);
        below += (x as f64 - mean_x).powi(2);
    }
    let slope = if below > 0.0 { above / below } else { 0.0 };
    // Slower than one number in a hundred days is standing still.
    (slope > 0.01).then(|| ((numbers - held) as f64 / slope).ceil() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(100 * DAY);

    fn since(days_ago: i64) -> Held {
        Held { from: Timestamp(NOW.0 - days_ago * DAY), until: None }
    }

    #[test]
    fn what_ended_is_no_longer_held() {
        let ended = Held { from: Timestamp(NOW.0 - 10 * DAY), until: Some(Timestamp(NOW.0 - 5 * DAY)) };
        let days = days(NOW, &[since(20), ended]);
        assert_eq!(days.len(), 30);
        let held = |ago: usize| days[29 - ago].held;
        assert_eq!((held(25), held(15), held(10), held(6), held(5), held(0)), (0, 1, 2, 2, 1, 1));
    }

    #[test]
    fn growth_goes_on_as_it_did() {
        let one_a_day: Vec<Held> = (0..30).map(since).collect();
        let days = days(NOW, &one_a_day);
        assert_eq!(full_in_days(&days, 40), Some(10));
        assert_eq!(full_in_days(&days, 30), Some(0), "it is full");
    }

    #[test]
    fn what_does_not_grow_never_fills() {
        assert_eq!(full_in_days(&days(NOW, &[since(90), since(60)]), 40), None);
        assert_eq!(full_in_days(&days(NOW, &[]), 40), None);
        assert_eq!(full_in_days(&[], 40), None);
    }
}
