//! Where codes may go, and ranges of numbers to which somebody has them pumped.
//!
//! Whoever earns from texts to a range has codes sent to many numbers of it and proves none of them. So codes asked for
//! and numbers proved are counted by range; when many were asked for within a day and hardly any was proved, no more
//! codes go there until an operator has looked. Proving by texting us stays open: it costs nobody anything.

use diesel::prelude::*;

use crate::alarms;
use crate::clock::Timestamp;
use crate::db::Db;
use crate::each;
use crate::error::{Error, Result};
use crate::phone::E164;
use crate::schema::code_ranges;

/// Digits that numbers of one range share, with the plus: calling code and the beginning of the number.
const RANGE_CHARS: usize = 8;
/// New numbers of a range within a day before their owners must have proved some of them.
const ASKED_MAX: i64 = 12;
/// Of so many one at least must be proved.
const PROVED_ONE_OF: i64 = 6;
/// Microseconds in an hour.
const HOUR: i64 = 3_600_000_000;
/// Hours that are looked at.
const HOURS: i64 = 24;

/// The range that a number belongs to.
pub fn range_of(number: &E164) -> String {
    number.as_str().chars().take(RANGE_CHARS).collect()
}

/// Whether codes may go to a number at all. `countries`: ISO 3166 regions that are served; empty: all.
///
/// # Errors
/// `premium_number`, `country_not_served`.
pub fn check(number: &E164, countries: &[String]) -> Result<()> {
    if number.is_premium() {
        let detail = "Texts to this number cost extra. Use your mobile number.";
        return Err(Error::invalid("number", "premium_number", detail));
    }
    if !countries.is_empty() && !countries.contains(&number.region()) {
        let detail = "This service sends no texts to that country.";
        return Err(Error::invalid("number", "country_not_served", detail));
    }
    Ok(())
}

/// A code is asked for, for a number that was not asked about before when `is_new`. Answers whether it may be sent:
/// not while the range is pumped.
pub fn asked(db: &mut Db, now: Timestamp, number: &E164, is_new: bool) -> Result<bool> {
    let range = range_of(number);
    if is_new {
        count(db, now, &range, 1, 0)?;
    }
    let (asked, proved) = counted(db, now, &range)?;
    if !is_pumped(asked, proved) {
        return Ok(true);
    }
    let detail =
        format!("{asked} new numbers of this range within a day, {proved} proved: no codes go there");
    alarms::raise(db, now, alarms::CODES_PUMPED, &range, &detail)?;
    Ok(false)
}

/// Somebody has proved a number.
pub fn proved(db: &mut Db, now: Timestamp, number: &E164) -> Result<()> {
    count(db, now, &range_of(number), 0, 1)
}

/// An operator has looked: the range begins anew.
pub fn forgive(db: &mut Db, range: &str) -> Result<()> {
    each!(db, |c| diesel::delete(code_ranges::table).filter(code_ranges::range.eq(range)).execute(c))?;
    Ok(())
}

/// Forgets what nobody looks at any more.
pub fn prune(db: &mut Db, now: Timestamp) -> Result<usize> {
    let before = now.0.div_euclid(HOUR) - HOURS;
    Ok(each!(db, |c| diesel::delete(code_ranges::table).filter(code_ranges::hour.lt(before)).execute(c))?)
}

fn is_pumped(asked: i64, proved: i64) -> bool {
    asked >= ASKED_MAX && proved * PROVED_ONE_OF < asked
}

fn counted(db: &mut Db, now: Timestamp, range: &str) -> Result<(i64, i64)> {
    let rows: Vec<(i64, i64)> = each!(db, |c| code_ranges::table
        .filter(code_ranges::range.eq(range))
        .filter(code_ranges::hour.gt(now.0.div_euclid(HOUR) - HOURS))
        .select((code_ranges::asked, code_ranges::proved))
        .load(c))?;
    Ok(rows.into_iter().fold((0, 0), |(a, p), (asked, proved)| (a + asked, p + proved)))
}

fn count(db: &mut Db, now: Timestamp, range: &str, asked: i64, proved: i64) -> Result<()> {
    each!(db, |c| diesel::insert_into(code_ranges::table)
        .values((
            code_ranges::range.eq(range),
            code_ranges::hour.eq(now.0.div_euclid(HOUR)),
            code_ranges::asked.eq(asked),
            code_ranges::proved.eq(proved),
        ))
        .on_conflict((code_ranges::range, code_ranges::hour))
        .do_update()
        .set((
            code_ranges::asked.eq(code_ranges::asked + asked),
            code_ranges::proved.eq(code_ranges::proved + proved),
        ))
        .execute(c))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_pumped_when_hardly_anybody_proves_his_number() {
        let table = [
            (1, 0, false),
            (11, 0, false),
            (12, 0, true),
            (12, 1, true),
            (12, 2, false),
            (600, 99, true),
            (600, 100, false),
        ];
        for (asked, proved, wanted) in table {
            assert_eq!(is_pumped(asked, proved), wanted, "{asked} asked, {proved} proved");
        }
    }

    #[test]
    fn codes_go_where_the_operator_serves_and_never_to_premium_numbers() {
        let code = |number: &str, countries: &[&str]| {
            let countries: Vec<String> = countries.iter().map(|c| (*c).to_owned()).collect();
            check(&E164::parse(number).unwrap(), &countries).err().map(|error| error.code())
        };
        assert_eq!(code("+12025550101", &[]), None);
        assert_eq!(code("+12025550101", &["US", "KR"]), None);
        assert_eq!(code("+4915112345678", &["US", "KR"]), Some("country_not_served"));
        assert_eq!(code("+611900123456", &[]), Some("premium_number"));
        assert_eq!(code("+19005550101", &["US"]), Some("premium_number"));
    }
}
