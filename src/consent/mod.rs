//! Who wants to be written to, and from which number.
//!
//! STOP to a friend's number means this friend; carriers that obey by themselves take it more widely (their pool, their
//! account), and then it is kept as widely here, so that both sides agree. What was said last counts, and every word is
//! in a log that is never changed. It goes with the person it was said to: when his number is replaced by another one or
//! goes to another carrier, it holds there too. Nothing is sent to who said stop, except the one answer that says so. A word stays
//! an ordinary text too: the friend reads it.

pub mod api;
mod words;

use diesel::prelude::*;

pub use self::words::{Word, word};
use crate::carriers::{ConsentWord, StopScope};
use crate::clock::Timestamp;
use crate::db::Db;
use crate::each;
use crate::error::Result;
use crate::ids::{ConsentId, NumberId};
use crate::phone::E164;
use crate::schema::{assignments, consent_log, consents, handsets, numbers};

/// Stands for all numbers of a carrier; no number begins with it.
const ALL_OF: char = '*';

impl From<ConsentWord> for Word {
    fn from(word: ConsentWord) -> Self {
        match word {
            ConsentWord::Stop => Word::Stop,
            ConsentWord::Start => Word::Start,
            ConsentWord::Help => Word::Help,
        }
    }
}

/// From whom we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The person texted it.
    Handset,
    /// The carrier told us, or refused a message for it.
    Carrier,
    /// The operator wrote it down.
    Operator,
    /// It was said to another number, or by way of another carrier, before the one was replaced by the other.
    Carried,
}

impl Source {
    /// As stored and exported.
    pub fn as_str(self) -> &'static str {
        match self {
            Source::Handset => "handset",
            Source::Carrier => "carrier",
            Source::Operator => "operator",
            Source::Carried => "carried",
        }
    }
}

/// A word that somebody said.
#[derive(Debug, Clone)]
pub struct Said<'a> {
    /// Whose telephone it is.
    pub handset: &'a E164,
    /// To which number of ours.
    pub number: &'a E164,
    /// Through which carrier.
    pub carrier_id: &'a str,
    /// Who is silenced at the carrier.
    pub scope: StopScope,
    /// The word.
    pub word: Word,
    /// How we know.
    pub source: Source,
    /// As it was written, when it was.
    pub keyword: Option<&'a str>,
}

/// The row that a word is about: the number, or all of the carrier's.
fn subject(number: &E164, carrier_id: &str, scope: StopScope) -> String {
    match scope {
        StopScope::None | StopScope::Number => number.as_str().to_owned(),
        StopScope::Pool | StopScope::Account => format!("{ALL_OF}{carrier_id}"),
    }
}

/// Writes down what was said; answers whether it changes anything.
pub fn record(db: &mut Db, now: Timestamp, said: &Said<'_>) -> Result<bool> {
    let changed = match said.word {
        Word::Stop => {
            let known = is_stopped(db, said.handset, said.number, said.carrier_id)?;
            if !known {
                put(db, now, said, &subject(said.number, said.carrier_id, said.scope), "stopped")?;
            }
            !known
        }
        Word::Start => restore(db, now, said)?,
        Word::Help => false,
    };
    // A “yes” that restores nothing is an ordinary word.
    if changed || said.word != Word::Start {
        log(db, now, said)?;
    }
    Ok(changed)
}

/// Whether this telephone does not want to be written to from this number.
pub fn is_stopped(db: &mut Db, handset: &E164, number: &E164, carrier_id: &str) -> Result<bool> {
    let all = format!("{ALL_OF}{carrier_id}");
    let found: i64 = each!(db, |c| consents::table
        .filter(consents::handset.eq(handset))
        .filter(consents::number.eq_any([number.as_str(), all.as_str()]))
        .filter(consents::state.eq("stopped"))
        .count()
        .get_result(c))?;
    Ok(found > 0)
}

/// A number of ours and the carrier by which it is reached.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// The number.
    pub number: &'a E164,
    /// The carrier.
    pub carrier_id: &'a str,
}

/// These telephones reach by `to` whom they have reached by `from` since a time, until it was somebody else's: which of
/// them has said STOP there in that time has said it here.
pub fn carry_over(
    db: &mut Db,
    now: Timestamp,
    handsets: &[E164],
    (from, since, until): (Line<'_>, Timestamp, Option<Timestamp>),
    to: Line<'_>,
) -> Result<()> {
    for handset in handsets {
        if was_stopped(db, handset, from, since, until)?
            && !is_stopped(db, handset, to.number, to.carrier_id)?
        {
            carry(db, now, handset, to)?;
        }
    }
    Ok(())
}

/// Whether STOP, said to this number since a time or to all of its carrier's, and before another one, still holds.
fn was_stopped(
    db: &mut Db,
    handset: &E164,
    line: Line<'_>,
    since: Timestamp,
    until: Option<Timestamp>,
) -> Result<bool> {
    let all = format!("{ALL_OF}{}", line.carrier_id);
    let said: Vec<(String, Timestamp)> = each!(db, |c| consents::table
        .filter(consents::handset.eq(handset))
        .filter(consents::number.eq_any([line.number.as_str(), all.as_str()]))
        .filter(consents::state.eq("stopped"))
        .select((consents::number, consents::updated_at))
        .load(c))?;
    let is_meant = |(subject, at): &(String, Timestamp)| {
        (*subject == all || *at >= since) && until.is_none_or(|until| *at < until)
    };
    Ok(said.iter().any(is_meant))
}

/// A number was ported away from `from_carrier`: those who reach somebody by it and have said STOP to all numbers of
/// that carrier have said it to this one.
pub fn carry_with_number(
    db: &mut Db,
    now: Timestamp,
    id: NumberId,
    from_carrier: &str,
    to: Line<'_>,
) -> Result<()> {
    let users = assignments::table
        .filter(assignments::number_id.eq(id))
        .filter(assignments::state.ne("past"))
        .select(assignments::account_id);
    let theirs = handsets::table.filter(handsets::account_id.eq_any(users)).select(handsets::number);
    let stopped: Vec<E164> = each!(db, |c| consents::table
        .filter(consents::number.eq(format!("{ALL_OF}{from_carrier}")))
        .filter(consents::state.eq("stopped"))
        .filter(consents::handset.eq_any(theirs))
        .select(consents::handset)
        .load(c))?;
    for handset in stopped {
        if !is_stopped(db, &handset, to.number, to.carrier_id)? {
            carry(db, now, &handset, to)?;
        }
    }
    Ok(())
}

fn carry(db: &mut Db, now: Timestamp, handset: &E164, to: Line<'_>) -> Result<()> {
    let said = Said {
        handset,
        number: to.number,
        carrier_id: to.carrier_id,
        scope: StopScope::Number,
        word: Word::Stop,
        source: Source::Carried,
        keyword: None,
    };
    put(db, now, &said, to.number.as_str(), "stopped")?;
    log(db, now, &said)
}

/// Through which carrier a number of ours is reached.
pub fn carrier_of(db: &mut Db, number: &E164) -> Result<Option<String>> {
    Ok(each!(db, |c| numbers::table
        .filter(numbers::number.eq(number))
        .select(numbers::carrier_id)
        .first(c)
        .optional())?)
}

fn restore(db: &mut Db, now: Timestamp, said: &Said<'_>) -> Result<bool> {
    let all = format!("{ALL_OF}{}", said.carrier_id);
    let count = each!(db, |c| diesel::update(consents::table)
        .filter(consents::handset.eq(said.handset))
        .filter(consents::number.eq_any([said.number.as_str(), all.as_str()]))
        .filter(consents::state.eq("stopped"))
        .set((consents::state.eq("started"), consents::updated_at.eq(now)))
        .execute(c))?;
    Ok(count > 0)
}

fn put(db: &mut Db, now: Timestamp, said: &Said<'_>, number: &str, state: &str) -> Result<()> {
    each!(db, |c| diesel::insert_into(consents::table)
        .values((
            consents::handset.eq(said.handset),
            consents::number.eq(number),
            consents::carrier_id.eq(said.carrier_id),
            consents::state.eq(state),
            consents::updated_at.eq(now),
        ))
        .on_conflict((consents::handset, consents::number))
        .do_update()
        .set((consents::state.eq(state), consents::updated_at.eq(now)))
        .execute(c))?;
    Ok(())
}

fn log(db: &mut Db, now: Timestamp, said: &Said<'_>) -> Result<()> {
    each!(db, |c| diesel::insert_into(consent_log::table)
        .values((
            consent_log::id.eq(ConsentId::new(now)),
            consent_log::at.eq(now),
            consent_log::handset.eq(said.handset),
            consent_log::number.eq(said.number),
            consent_log::carrier_id.eq(said.carrier_id),
            consent_log::word.eq(said.word.as_str()),
            consent_log::source.eq(said.source.as_str()),
            consent_log::keyword.eq(said.keyword),
        ))
        .execute(c))?;
    Ok(())
}

/// A line of the log.
#[derive(Debug, Clone, Queryable)]
pub struct Entry {
    /// Which.
    pub id: ConsentId,
    /// When.
    pub at: Timestamp,
    /// Whose telephone.
    pub handset: E164,
    /// To which number of ours.
    pub number: E164,
    /// Through which carrier.
    pub carrier_id: String,
    /// `stop`, `start` or `help`.
    pub word: String,
    /// `handset`, `carrier`, `operator` or `carried`.
    pub source: String,
    /// As it was written.
    pub keyword: Option<String>,
}

/// The log, oldest first, after a line; of one telephone when asked.
pub fn list(db: &mut Db, handset: Option<&E164>, after: Option<ConsentId>, limit: i64) -> Result<Vec<Entry>> {
    let entries = each!(db, |c| {
        let mut query = consent_log::table.order(consent_log::id.asc()).limit(limit).into_boxed();
        if let Some(handset) = handset {
            query = query.filter(consent_log::handset.eq(handset));
        }
        if let Some(after) = after {
            query = query.filter(consent_log::id.gt(after));
        }
        query.load(c)
    })?;
    Ok(entries)
}
