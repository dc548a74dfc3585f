//! Time: instants as integer microseconds UTC, and the one clock that edges ask. Operations take `now` as an argument.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use diesel::deserialize::FromSqlRow;
use diesel::expression::AsExpression;
use serde::{Deserialize, Serialize};

/// An instant: microseconds since 1970-01-01 UTC. Shown as RFC 3339 with a `Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, AsExpression, FromSqlRow)]
#[diesel(sql_type = diesel::sql_types::BigInt)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This instant plus `duration`, saturating.
    pub fn plus(self, duration: Duration) -> Self {
        Timestamp(self.0.saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }

    /// This instant minus `duration`, saturating.
    pub fn minus(self, duration: Duration) -> Self {
        Timestamp(self.0.saturating_sub(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }

    /// How long since `earlier`; zero when `earlier` is later.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Whole seconds since 1970.
    pub fn unix_secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Milliseconds since 1970, as UUIDv7 wants them; zero before 1970.
    pub fn unix_millis(self) -> u64 {
        u64::try_from(self.0.div_euclid(1_000)).unwrap_or(0)
    }

    /// RFC 3339 with microseconds only when there are any.
    pub fn to_rfc3339(self) -> String {
        jiff::Timestamp::from_microsecond(self.0).map(|t| t.to_string()).unwrap_or_default()
    }

    /// Reads RFC 3339.
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        text.parse::<jiff::Timestamp>().ok().map(|t| Timestamp(t.as_microsecond()))
    }

    /// When the day of `zone` (an IANA name) began in which this lies, and when the next one does; UTC when the zone is
    /// not known.
    pub fn day_in(self, zone: &str) -> (Timestamp, Timestamp) {
        let zone = jiff::tz::TimeZone::get(zone).unwrap_or(jiff::tz::TimeZone::UTC);
        let bounds = || {
            let wall = jiff::Timestamp::from_microsecond(self.0).ok()?.to_zoned(zone);
            let start = wall.start_of_day().ok()?;
            let next = wall.tomorrow().ok()?.start_of_day().ok()?;
            Some((
                Timestamp(start.timestamp().as_microsecond()),
                Timestamp(next.timestamp().as_microsecond()),
            ))
        };
        bounds().unwrap_or((self, self))
    }

    /// Minutes since midnight on the wall of `zone` (an IANA name); UTC when the zone is not known.
    pub fn minute_of_day_in(self, zone: &str) -> u16 {
        let Ok(instant) = jiff::Timestamp::from_microsecond(self.0) else { return 0 };
        let zone = jiff::tz::TimeZone::get(zone).unwrap_or(jiff::tz::TimeZone::UTC);
        let wall = instant.to_zoned(zone);
        u16::try_from(i32::from(wall.hour()) * 60 + i32::from(wall.minute())).unwrap_or(0)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_rfc3339())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Timestamp::from_rfc3339(&text).ok_or_else(|| serde::de::Error::custom("not an RFC 3339 time"))
    }
}

impl<DB> diesel::serialize::ToSql<diesel::sql_types::BigInt, DB> for Timestamp
where
    DB: diesel::backend::Backend,
    i64: diesel::serialize::ToSql<diesel::sql_types::BigInt, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut diesel::serialize::Output<'b, '_, DB>) -> diesel::serialize::Result {
        self.0.to_sql(out)
    }
}

impl<DB> diesel::deserialize::FromSql<diesel::sql_types::BigInt, DB> for Timestamp
where
    DB: diesel::backend::Backend,
    i64: diesel::deserialize::FromSql<diesel::sql_types::BigInt, DB>,
{
    fn from_sql(bytes: DB::RawValue<'_>) -> diesel::deserialize::Result<Self> {
        i64::from_sql(bytes).map(Timestamp)
    }
}

/// The system's clock, or one that a test moves by hand.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    manual: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The machine's time.
    pub fn system() -> Self {
        Clock { manual: None }
    }

    /// A clock that stands still at `at` until [`Clock::advance`].
    pub fn manual(at: Timestamp) -> Self {
        Clock { manual: Some(Arc::new(AtomicI64::new(at.0))) }
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        match &self.manual {
            Some(at) => Timestamp(at.load(Ordering::SeqCst)),
            None => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
            }
        }
    }

    /// Moves a manual clock; does nothing to the system's.
    pub fn advance(&self, by: Duration) {
        if let Some(at) = &self.manual {
            at.fetch_add(i64::try_from(by.as_micros()).unwrap_or(0), Ordering::SeqCst);
        }
    }

    /// Whether the clock is moved by hand.
    pub fn is_manual(&self) -> bool {
        self.manual.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_and_reads_rfc3339() {
        let at = Timestamp(1_760_000_000_123_456);
        assert_eq!(at.to_rfc3339(), "2025-10-09T08:53:20.123456Z");
        assert_eq!(Timestamp::from_rfc3339("2025-10-09T08:53:20.123456Z"), Some(at));
        assert_eq!(Timestamp::from_rfc3339("yesterday"), None);
    }

    #[test]
    fn the_wall_clock_follows_the_zone() {
        let noon_utc = Timestamp::from_rfc3339("2026-01-15T12:00:00Z").unwrap();
        assert_eq!(noon_utc.minute_of_day_in("UTC"), 12 * 60);
        assert_eq!(noon_utc.minute_of_day_in("Asia/Seoul"), 21 * 60);
        assert_eq!(noon_utc.minute_of_day_in("America/New_York"), 7 * 60);
        assert_eq!(noon_utc.minute_of_day_in("Nowhere/None"), 12 * 60);
    }

    #[test]
    fn a_manual_clock_moves_only_by_hand() {
        let clock = Clock::manual(Timestamp(5));
        clock.advance(Duration::from_micros(7));
        assert_eq!(clock.now(), Timestamp(12));
    }
}
