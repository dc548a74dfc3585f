//! SMS as an operator sees them: what is in flight, how one has travelled, how many there are, and the decision on one
//! that stayed undecided. Never what they say.

use diesel::dsl::{count_star, max, sql};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};
use uuid::Uuid;

use super::outbox;
use super::receive::{CLAIM_RECEIPT, CLAIM_SENT};
use crate::clock::Timestamp;
use crate::db::Db;
use crate::each;
use crate::error::{Error, Result};
use crate::ids::{MessageId, OutboundSmsId};
use crate::phone::E164;
use crate::schema::{carrier_callbacks, messages, outbound_sms};

/// Microseconds in an hour, the step of [`traffic`].
const HOUR: i64 = 3_600_000_000;

/// One SMS that leaves or has left.
#[derive(Debug, Clone, Queryable)]
pub struct Entry {
    /// Which.
    pub id: OutboundSmsId,
    /// The message of a conversation that it carries, when it does.
    pub message: Option<MessageId>,
    /// `message`, `verification` or `notice`.
    pub purpose: String,
    /// Through which carrier.
    pub carrier_id: String,
    /// From which of our numbers.
    pub from: E164,
    /// To whom.
    pub to: E164,
    /// Where it stands.
    pub state: String,
    /// What it costs.
    pub segment_count: i16,
    /// How often it was tried.
    pub attempts: i32,
    /// Why it did not arrive, or is not known to.
    pub error_code: Option<String>,
    /// The carrier's id, once known.
    pub carrier_message_id: Option<String>,
    /// When it was queued.
    pub created_at: Timestamp,
    /// When something was last heard of it.
    pub updated_at: Timestamp,
}

/// Which SMS are wanted; all when empty.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// In one of these states.
    pub states: Vec<String>,
    /// Through this carrier.
    pub carrier: Option<String>,
    /// For this purpose.
    pub purpose: Option<String>,
    /// With this error.
    pub error: Option<String>,
}

/// SMS that leave or have left, newest first, older than `before`.
pub fn list(db: &mut Db, filter: &Filter, before: Option<OutboundSmsId>, limit: i64) -> Result<Vec<Entry>> {
    each!(db, |c| {
        let mut query =
            outbound_sms::table.select(COLUMNS).order(outbound_sms::id.desc()).limit(limit).into_boxed();
        if let Some(before) = before {
            query = query.filter(outbound_sms::id.lt(before));
        }
        if !filter.states.is_empty() {
            query = query.filter(outbound_sms::state.eq_any(&filter.states));
        }
        if let Some(carrier) = &filter.carrier {
            query = query.filter(outbound_sms::carrier_id.eq(carrier));
        }
        if let Some(purpose) = &filter.purpose {
            query = query.filter(outbound_sms::purpose.eq(purpose));
        }
        if let Some(error) = &filter.error {
            query = query.filter(outbound_sms::error_code.eq(error));
        }
        Ok(query.load(c)?)
    })
}

type Columns = (
    outbound_sms::id,
    outbound_sms::message_id,
    outbound_sms::purpose,
    outbound_sms::carrier_id,
    outbound_sms::from_number,
    outbound_sms::to_number,
    outbound_sms::state,
    outbound_sms::segment_count,
    outbound_sms::attempts,
    outbound_sms::error_code,
    outbound_sms::carrier_message_id,
    outbound_sms::created_at,
    outbound_sms::updated_at,
);
const COLUMNS: Columns = (
    outbound_sms::id,
    outbound_sms::message_id,
    outbound_sms::purpose,
    outbound_sms::carrier_id,
    outbound_sms::from_number,
    outbound_sms::to_number,
    outbound_sms::state,
    outbound_sms::segment_count,
    outbound_sms::attempts,
    outbound_sms::error_code,
    outbound_sms::carrier_message_id,
    outbound_sms::created_at,
    outbound_sms::updated_at,
);

/// One SMS.
pub fn load(db: &mut Db, id: OutboundSmsId) -> Result<Entry> {
    let found: Option<Entry> = each!(db, |c| outbound_sms::table
        .filter(outbound_sms::id.eq(id))
        .select(COLUMNS)
        .first(c)
        .optional())?;
    found.ok_or_else(|| Error::not_found("SMS"))
}

/// A word of the carrier's on an SMS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// `accepted`, or the state of a receipt.
    pub state: String,
    /// When we heard it.
    pub at: Timestamp,
}

/// Everything the carrier has said of an SMS, oldest first.
pub fn words(db: &mut Db, entry: &Entry) -> Result<Vec<Word>> {
    let Some(sid) = &entry.carrier_message_id else { return Ok(Vec::new()) };
    let mut rows: Vec<(i16, String, Timestamp)> = each!(db, |c| carrier_callbacks::table
        .filter(carrier_callbacks::carrier_id.eq(&entry.carrier_id))
        .filter(carrier_callbacks::sid.eq(sid))
        .filter(carrier_callbacks::kind.eq_any([CLAIM_RECEIPT, CLAIM_SENT]))
        .select((carrier_callbacks::kind, carrier_callbacks::status, carrier_callbacks::at))
        .load(c))?;
    // Within one instant in the order of a message's life.
    rows.sort_by_key(|(kind, state, at)| (*at, *kind != CLAIM_SENT, stage(state)));
    let word = |(kind, state, at)| Word {
        state: if kind == CLAIM_SENT { "accepted".to_owned() } else { state },
        at,
    };
    Ok(rows.into_iter().map(word).collect())
}

fn stage(state: &str) -> usize {
    ["queued", "sending", "sent"].iter().position(|known| *known == state).unwrap_or(3)
}

/// When the message that an SMS carries was written.
pub fn written_at(db: &mut Db, message: MessageId) -> Result<Option<Timestamp>> {
    Ok(each!(db, |c| messages::table
        .filter(messages::id.eq(message))
        .select(messages::sent_at)
        .first(c)
        .optional())?)
}

/// An operator says what has become of an SMS that is `unknown`. A later word of the carrier's still counts.
pub fn decide(db: &mut Db, now: Timestamp, id: OutboundSmsId, arrived: bool) -> Result<Entry> {
    if load(db, id)?.state != "unknown" {
        return Err(Error::conflict("not_undecided", "This SMS is decided already."));
    }
    outbox::decide(db, now, id, arrived)?;
    load(db, id)
}

/// Which SMS an operator decides on at once.
#[derive(Debug, Clone)]
pub struct Undecided {
    /// Through this carrier; all when empty.
    pub carrier: Option<String>,
    /// Queued at this time or later.
    pub since: Option<Timestamp>,
    /// Queued before this time.
    pub until: Option<Timestamp>,
}

/// The SMS that are `unknown`, oldest first.
pub fn list_undecided(db: &mut Db, which: &Undecided, limit: i64) -> Result<Vec<OutboundSmsId>> {
    each!(db, |c| {
        let mut query = outbound_sms::table
            .filter(outbound_sms::state.eq("unknown"))
            .select(outbound_sms::id)
            .order(outbound_sms::id.asc())
            .limit(limit)
            .into_boxed();
        if let Some(carrier) = &which.carrier {
            query = query.filter(outbound_sms::carrier_id.eq(carrier));
        }
        if let Some(since) = which.since {
            query = query.filter(outbound_sms::id.ge(OutboundSmsId(floor_of(since))));
            query = query.filter(outbound_sms::created_at.ge(since));
        }
        if let Some(until) = which.until {
            query = query.filter(outbound_sms::created_at.lt(until));
        }
        Ok(query.load(c)?)
    })
}

/// How many SMS there were in an hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traffic {
    /// When the hour began.
    pub at: Timestamp,
    /// The carrier, for what left; inbound SMS are counted together.
    pub carrier_id: Option<String>,
    /// Where they stand now; `received` for inbound ones.
    pub state: String,
    /// SMS.
    pub count: i64,
    /// Segments; of inbound SMS nobody tells us.
    pub segments: i64,
}

/// What left and came since an instant, by hour, carrier and state.
pub fn traffic(db: &mut Db, since: Timestamp) -> Result<Vec<Traffic>> {
    let floor = floor_of(since);
    type Row = (i64, String, String, i64, i64);
    let left: Vec<Row> = each!(db, |c| outbound_sms::table
        .filter(outbound_sms::id.ge(OutboundSmsId(floor)))
        .group_by(sql::<BigInt>("created_at / 3600000000, carrier_id, state"))
        .select(sql::<(BigInt, Text, Text, BigInt, BigInt)>(
            "created_at / 3600000000, carrier_id, state, COUNT(*), SUM(segment_count)",
        ))
        .load(c))?;
    let came: Vec<(i64, i64)> = each!(db, |c| messages::table
        .filter(messages::id.ge(MessageId(floor)))
        .filter(messages::source.eq("sms"))
        .group_by(sql::<BigInt>("sent_at / 3600000000"))
        .select(sql::<(BigInt, BigInt)>("sent_at / 3600000000, COUNT(*)"))
        .load(c))?;
    let left = left.into_iter().map(|(hour, carrier, state, count, segments)| Traffic {
        at: Timestamp(hour * HOUR),
        carrier_id: Some(carrier),
        state,
        count,
        segments,
    });
    let came = came.into_iter().map(|(hour, count)| Traffic {
        at: Timestamp(hour * HOUR),
        carrier_id: None,
        state: "received".to_owned(),
        count,
        segments: 0,
    });
    let mut all: Vec<Traffic> = left.chain(came).collect();
    all.sort_by(|a, b| (a.at, &a.carrier_id, &a.state).cmp(&(b.at, &b.carrier_id, &b.state)));
    Ok(all)
}

/// The smallest identifier of an instant: the tables have no index by time, and their keys begin with it.
fn floor_of(at: Timestamp) -> Uuid {
    Uuid::from_u64_pair(at.unix_millis() << 16, 0)
}

/// What became of the SMS from one of our numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberFigures {
    /// Which.
    pub number: E164,
    /// That arrived.
    pub delivered: i64,
    /// That did not.
    pub undelivered: i64,
    /// Of those: blocked or filtered on the way.
    pub blocked: i64,
}

impl NumberFigures {
    /// The part that arrived; `None` while nothing is known.
    pub fn delivery_rate(&self) -> Option<f64> {
        let count = |n: i64| u32::try_from(n).map(f64::from).unwrap_or(f64::MAX);
        let decided = self.delivered + self.undelivered;
        (decided > 0).then(|| count(self.delivered) / count(decided))
    }

    /// Whether carriers seem to hold something against the number. A few failures say nothing.
    pub fn is_unwell(&self) -> bool {
        let decided = self.delivered + self.undelivered;
        decided >= 20 && (self.undelivered * 2 > decided || self.blocked * 5 > decided)
    }
}

/// What became of the SMS since an instant, by number; of all numbers, or of some.
pub fn by_number(db: &mut Db, since: Timestamp, only: Option<&[E164]>) -> Result<Vec<NumberFigures>> {
    type Row = (E164, String, Option<String>, i64);
    macro_rules! figures {
        ($of:expr, $c:expr) => {
            outbound_sms::table
                .filter(outbound_sms::id.ge(OutboundSmsId(floor_of(since))))
                .filter(outbound_sms::state.eq_any(["delivered", "read", "undelivered", "failed"]))
                .filter($of)
                .group_by((outbound_sms::from_number, outbound_sms::state, outbound_sms::error_code))
                .select((
                    outbound_sms::from_number,
                    outbound_sms::state,
                    outbound_sms::error_code,
                    count_star(),
                ))
                .order(outbound_sms::from_number.asc())
                .load($c)
        };
    }
    let rows: Vec<Row> = match only {
        Some(only) => each!(db, |c| figures!(outbound_sms::from_number.eq_any(only), c))?,
        None => each!(db, |c| figures!(sql::<Bool>("TRUE"), c))?,
    };
    let mut all: Vec<NumberFigures> = Vec::new();
    for (number, state, error, count) in rows {
        if all.last().is_none_or(|last| last.number != number) {
            all.push(NumberFigures { number, delivered: 0, undelivered: 0, blocked: 0 });
        }
        let Some(last) = all.last_mut() else { continue };
        match state.as_str() {
            "delivered" | "read" => last.delivered += count,
            _ => last.undelivered += count,
        }
        if matches!(error.as_deref(), Some("blocked" | "filtered")) {
            last.blocked += count;
        }
    }
    Ok(all)
}

/// When each carrier last called us.
pub fn last_calls(db: &mut Db) -> Result<Vec<(String, Timestamp)>> {
    let rows: Vec<(String, Option<Timestamp>)> = each!(db, |c| carrier_callbacks::table
        .filter(carrier_callbacks::kind.ne(CLAIM_SENT))
        .group_by(carrier_callbacks::carrier_id)
        .select((carrier_callbacks::carrier_id, max(carrier_callbacks::at)))
        .load(c))?;
    Ok(rows.into_iter().filter_map(|(carrier, at)| Some((carrier, at?))).collect())
}

/// SMS that are on their way, by carrier and state.
pub fn in_flight(db: &mut Db) -> Result<Vec<(String, String, i64)>> {
    Ok(each!(db, |c| outbound_sms::table
        .filter(outbound_sms::state.eq_any(["queued", "sending", "unknown"]))
        .group_by((outbound_sms::carrier_id, outbound_sms::state))
        .select((outbound_sms::carrier_id, outbound_sms::state, count_star()))
        .load(c))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unwell_when_half_is_lost_or_a_fifth_blocked() {
        let table = [
            (100, 0, 0, false),
            (5, 14, 14, false),
            (9, 11, 0, true),
            (10, 10, 4, false),
            (75, 25, 21, true),
        ];
        for (delivered, undelivered, blocked, wanted) in table {
            let number = E164::parse("+12025550123").unwrap();
            let figures = NumberFigures { number, delivered, undelivered, blocked };
            assert_eq!(figures.is_unwell(), wanted, "{figures:?}");
        }
    }

    #[test]
    fn the_floor_is_below_every_identifier_of_its_instant() {
        let now = Timestamp(1_760_000_000_123_456);
        assert!(floor_of(now) <= OutboundSmsId::new(now).0);
        assert!(floor_of(Timestamp(now.0 + 1_000)) > OutboundSmsId::new(now).0);
    }
}
