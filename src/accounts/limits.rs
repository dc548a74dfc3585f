//! Sliding limits on whatever sends or guesses, kept in the database so that a restart or another node forgets nothing.
//!
//! Two counters approximate a sliding window: the one of the running window in full, and the one before it by the part
//! that still lies within the last window. Buckets are named by a hash: the table holds no address and no number.

use std::net::IpAddr;
use std::time::Duration;

use super::store;
use crate::clock::Timestamp;
use crate::db::Db;
use crate::error::{Error, Kind, Result};

/// How often something may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Names the counters; part of the stored bucket, so changing it forgets.
    pub name: &'static str,
    /// The stable word of the error.
    pub code: &'static str,
    /// Times within the window at most.
    pub max: u32,
    /// The window.
    pub window: Duration,
}

const fn limit(name: &'static str, code: &'static str, max: u32, minutes: u64) -> Limit {
    Limit { name, code, max, window: Duration::from_secs(minutes * 60) }
}

/// Codes to one number: an owner needs one or two, a prankster wants many.
pub const CODES_NUMBER: Limit = limit("codes_number", "too_many_codes", 3, 10);
/// Codes sent to one number in a day, whoever asks: each costs money and wakes a stranger. Beyond it the owner can still
/// text the word from his phone.
pub const CODES_NUMBER_DAY: Limit = limit("codes_number_day", "too_many_codes", 8, 24 * 60);
/// Codes asked for by one account.
pub const CODES_ACCOUNT: Limit = limit("codes_account", "too_many_codes", 10, 60);
/// Codes to numbers with the same first digits: premium ranges are pumped this way.
pub const CODES_PREFIX: Limit = limit("codes_prefix", "too_many_codes", 30, 60);
/// Codes to one country, so that a flood to a far one is noticed before its bill.
pub const CODES_COUNTRY: Limit = limit("codes_country", "too_many_codes", 600, 60);
/// Codes asked for from one address of the internet.
pub const CODES_ADDRESS: Limit = limit("codes_address", "too_many_codes", 30, 60);
/// Guesses at codes by one account, beyond the few that each code allows.
pub const CHECKS_ACCOUNT: Limit = limit("checks_account", "too_many_checks", 30, 60);
/// Guesses at codes for one number in a day, by whatever accounts: more accounts are no more guesses.
pub const CHECKS_NUMBER: Limit = limit("checks_number", "too_many_checks", 30, 24 * 60);
/// Guesses at codes and at links that came by mail, from one address of the internet.
pub const CHECKS_ADDRESS: Limit = limit("checks_address", "too_many_checks", 60, 60);
/// New accounts from one address of the internet: a household or a school may share one.
pub const SIGN_UPS_ADDRESS: Limit = limit("sign_ups_address", "too_many_sign_ups", 20, 60);
/// Passwords tried for one login from one address of the internet.
pub const SIGN_INS_LOGIN_ADDRESS: Limit = limit("sign_ins_login_address", "too_many_sign_ins", 10, 15);
/// Passwords tried for one login from anywhere; generous, because it also stops the owner for a while.
pub const SIGN_INS_LOGIN: Limit = limit("sign_ins_login", "too_many_sign_ins", 100, 60);
/// Passwords tried from one address of the internet.
pub const SIGN_INS_ADDRESS: Limit = limit("sign_ins_address", "too_many_sign_ins", 100, 15);
/// Wrong app passwords for one user name, before the answer becomes "too many".
pub const APP_PASSWORDS_LOGIN: Limit = limit("app_passwords_login", "too_many_sign_ins", 20, 10);
/// Wrong app passwords from one address of the internet.
pub const APP_PASSWORDS_ADDRESS: Limit = limit("app_passwords_address", "too_many_sign_ins", 60, 10);
/// Passwords tried by somebody who is signed in, to delete the account or change the password.
pub const CONFIRMS_ACCOUNT: Limit = limit("confirms_account", "too_many_attempts", 10, 15);
/// Letters to one e-mail address.
pub const LETTERS_EMAIL: Limit = limit("letters_email", "too_many_emails", 3, 10);
/// Letters asked for by one account.
pub const LETTERS_ACCOUNT: Limit = limit("letters_account", "too_many_emails", 10, 60);
/// Letters asked for from one address of the internet.
pub const LETTERS_ADDRESS: Limit = limit("letters_address", "too_many_emails", 30, 60);
/// Exports of everything: each reads a lot.
pub const EXPORTS_ACCOUNT: Limit = limit("exports_account", "too_many_exports", 5, 60);

/// Counters that no window can still want.
const FORGET_AFTER: Duration = Duration::from_secs(62 * 24 * 3600);

/// Counts one attempt of `subject`, or answers `Limited` and counts nothing.
///
/// The count becomes part of the caller's transaction. When the attempt may fail and must be counted all the same,
/// the caller commits and fails afterwards.
pub fn take(db: &mut Db, now: Timestamp, limit: &Limit, subject: &str) -> Result<()> {
    let bucket = bucket(limit, subject);
    // Another node may count at the same moment: the update only succeeds on the row as it was read.
    for _ in 0..8 {
        let found = store::find_counter(db, &bucket)?;
        let counter = found.unwrap_or_default().moved_to(now, limit.window);
        if let Some(wait) = counter.wait(now, limit) {
            return Err(Error::limited(limit.code, wait));
        }
        let next = Counter { count: counter.count + 1, ..counter };
        if store::replace_counter(db, &bucket, found, next)? {
            return Ok(());
        }
    }
    Err(Error::unavailable("busy", "Too many at once. Try again in a moment."))
}

/// Counts one attempt like [`take`]; when it is one too many, answers how long to wait and is no error, so that what
/// else the transaction does stays.
pub fn try_take(db: &mut Db, now: Timestamp, limit: &Limit, subject: &str) -> Result<Option<Duration>> {
    match take(db, now, limit, subject) {
        Ok(()) => Ok(None),
        Err(error) => match error.kind() {
            Kind::Limited { retry_after } => Ok(Some(*retry_after)),
            _ => Err(error),
        },
    }
}

/// Whether this is the first time within `every`, to the microsecond; counts it when it is. For words that are said
/// once a day, where an approximation would be noticed.
pub fn first_within(db: &mut Db, now: Timestamp, name: &str, subject: &str, every: Duration) -> Result<bool> {
    let bucket = bucket_named(name, subject);
    let found = store::find_counter(db, &bucket)?;
    if found.is_some_and(|counter| now.since(counter.window_at) < every) {
        return Ok(false);
    }
    let next = Counter { window_at: now, count: 1, previous_count: 0 };
    store::replace_counter(db, &bucket, found, next)
}

/// Forgets counters that are long over, at most `rows`; answers how many went.
pub fn prune(db: &mut Db, now: Timestamp, rows: i64) -> Result<usize> {
    store::delete_counters(db, now.minus(FORGET_AFTER), rows)
}

/// What an internet address counts as: itself, or its /64 for IPv6, since a household has a whole one.
pub fn subject_of(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

fn bucket(limit: &Limit, subject: &str) -> String {
    bucket_named(limit.name, subject)
}

fn bucket_named(name: &str, subject: &str) -> String {
    let hash = blake3::hash(subject.as_bytes()).to_hex();
    format!("{name}:{}", hash.get(..24).unwrap_or_default())
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counter {
    /// When the running window began.
    pub window_at: Timestamp,
    /// In the running window.
    pub count: i64,
    /// In the one before.
    pub previous_count: i64,
}

impl Counter {
    fn moved_to(self, now: Timestamp, window: Duration) -> Counter {
        let length = micros(window);
        let start = now.0 - now.0.rem_euclid(length);
        if start <= self.window_at.0 {
            return self;
        }
        let previous_count = if self.window_at.0 == start - length { self.count } else { 0 };
        Counter { window_at: Timestamp(start), count: 0, previous_count }
    }

    /// How long to wait until one more is allowed; `None` when it is allowed now.
    fn wait(self, now: Timestamp, limit: &Limit) -> Option<Duration> {
        let (length, room) = (micros(limit.window), i64::from(limit.max) - 1);
        let gone = now.0.saturating_sub(self.window_at.0).clamp(0, length);
        // Microseconds into a window until `earlier` of the one before it weigh no more than `rest`.
        let until = |earlier: i64, rest: i64| {
            if earlier <= rest { 0 } else { length - length.saturating_mul(rest.max(0)) / earlier.max(1) }
        };
        let micros = if self.count <= room {
            until(self.previous_count, room - self.count) - gone
        } else {
            length - gone + until(self.count, room)
        };
        (micros > 0).then(|| Duration::from_micros(micros.unsigned_abs()))
    }
}

fn micros(window: Duration) -> i64 {
    i64::try_from(window.as_micros()).unwrap_or(i64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const THREE: Limit = limit("test", "too_many", 3, 10);

    /// Plays attempts at the given seconds and tells which were allowed.
    fn play(seconds: &[i64]) -> Vec<bool> {
        let mut counter = Counter::default();
        seconds
            .iter()
            .map(|s| {
                let now = Timestamp(s * 1_000_000);
                let moved = counter.moved_to(now, THREE.window);
                let allowed = moved.wait(now, &THREE).is_none();
                counter = if allowed { Counter { count: moved.count + 1, ..moved } } else { moved };
                allowed
            })
            .collect()
    }

    #[test]
    fn the_fourth_in_ten_minutes_waits() {
        assert_eq!(play(&[0, 1, 2, 3]), [true, true, true, false]);
        assert_eq!(play(&[0, 1, 2, 1_200]), [true, true, true, true]);
        // Right after the window's edge the three still weigh almost fully.
        assert_eq!(play(&[597, 598, 599, 601]), [true, true, true, false]);
    }

    #[test]
    fn households_count_once() {
        let subject = |text: &str| subject_of(text.parse().unwrap());
        assert_eq!(subject("2001:db8:1:2:3::4"), subject("2001:db8:1:2:ffff::1"));
        assert_ne!(subject("2001:db8:1:2::1"), subject("2001:db8:1:3::1"));
        assert_eq!(subject("::ffff:192.0.2.7"), "192.0.2.7");
    }

    proptest! {
        #[test]
        fn after_the_wait_it_is_allowed(count in 0i64..12, previous_count in 0i64..12, gone in 0i64..600) {
            let counter = Counter { window_at: Timestamp(600_000_000), count, previous_count };
            let now = Timestamp(600_000_000 + gone * 1_000_000);
            if let Some(wait) = counter.wait(now, &THREE) {
                prop_assert!(wait <= THREE.window * 2);
                let later = now.plus(wait);
                prop_assert_eq!(counter.moved_to(later, THREE.window).wait(later, &THREE), None);
            }
        }
    }
}
