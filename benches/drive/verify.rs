//! After a run: is everything that was answered there, exactly once, and is every account's log without a gap?

use std::collections::HashSet;

use diesel::prelude::*;
use meari::db::{Database, Db, Options};
use meari::each;
use meari::schema::{account_counters, account_events, carrier_callbacks, messages};

use crate::Result;
use crate::callbacks::message_sid;
use crate::database::Place;

/// An account, how many events it has, and the first and last place of its log.
type LogEnds = (Vec<u8>, i64, Option<i64>, Option<i64>);

/// What was found; `Err` says what is wrong.
pub struct Found {
    pub answered: usize,
    pub stored: i64,
}

/// `answered` holds (run, index) of everything that was answered with 200.
pub async fn check(place: &Place, answered: &[(u64, u32)]) -> Result<Found> {
    let db = Database::open(&place.url, &Options { readers: 1, lanes: 1 })?;
    let (sids, messages, linked) = db.read(|db| Ok(stored(db))).await??;
    let distinct: HashSet<&String> = sids.iter().collect();
    let lost = answered.iter().filter(|(run, n)| !distinct.contains(&message_sid(*run, *n as usize))).count();
    if lost > 0 {
        return Err(format!("{lost} messages were answered with 200 and are not stored").into());
    }
    let claims = sids.len() as i64;
    if claims != messages || claims != linked || distinct.len() != sids.len() {
        return Err(format!("{claims} claims, {messages} messages, {linked} of them belong together").into());
    }
    let events = db.read(|db| Ok(gaps(db))).await??;
    // One for each friend; the senders have phones and no sessions, so nobody could read a log of theirs.
    if events != messages {
        return Err(format!("{messages} messages have {events} events").into());
    }
    Ok(Found { answered: answered.len(), stored: messages })
}

fn stored(db: &mut Db) -> Result<(Vec<String>, i64, i64)> {
    let sids: Vec<String> = each!(db, |c| carrier_callbacks::table
        .filter(carrier_callbacks::kind.eq(1i16))
        .select(carrier_callbacks::sid)
        .load(c))?;
    let count: i64 = each!(db, |c| messages::table.count().get_result(c))?;
    let linked: i64 = each!(db, |c| carrier_callbacks::table
        .inner_join(messages::table.on(carrier_callbacks::ref_id.eq(messages::id.nullable())))
        .count()
        .get_result(c))?;
    Ok((sids, count, linked))
}

/// Fails when an account's log has a gap or ends elsewhere than its counter; answers the number of message events.
fn gaps(db: &mut Db) -> Result<i64> {
    let logs: Vec<LogEnds> = each!(db, |c| account_events::table
        .group_by(account_events::account_id)
        .select((
            account_events::account_id,
            diesel::dsl::count_star(),
            diesel::dsl::min(account_events::seq),
            diesel::dsl::max(account_events::seq),
        ))
        .load(c))?;
    let counters: Vec<(Vec<u8>, i64)> = each!(db, |c| account_counters::table
        .filter(account_counters::seq.gt(0))
        .select((account_counters::account_id, account_counters::seq))
        .load(c))?;
    let counters: HashSet<(Vec<u8>, i64)> = counters.into_iter().collect();
    if counters.len() != logs.len() {
        return Err(
            format!("{} accounts have counters and {} have events", counters.len(), logs.len()).into()
        );
    }
    for (account, count, first, last) in logs {
        let whole = first == Some(1) && last == Some(count) && counters.contains(&(account.clone(), count));
        if !whole {
            return Err(format!("an account has {count} events from {first:?} to {last:?}").into());
        }
    }
    let count: i64 =
        each!(db, |c| account_events::table.filter(account_events::kind.eq(1i16)).count().get_result(c))?;
    Ok(count)
}
