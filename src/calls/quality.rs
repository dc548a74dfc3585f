//! How good calls were: kept by leg, shown to the two, and to everybody as averages of groups that are large enough to
//! hide any single one.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use diesel::prelude::*;

use super::machine::Side;
use super::view::CallQuality;
use super::{Call, Leg, LegKind, changes};
use crate::accounts::{self, mobiles};
use crate::clock::Timestamp;
use crate::db::Db;
use crate::each;
use crate::error::{Kind, Result};
use crate::ids::{AccountId, CallId, CallLegId};
use crate::media::{QualitySample, quality as figures};
use crate::schema::{call_quality, calls};
use crate::texts::Locale;

/// Fewer calls of one network in one region are not shown: nobody shall find his own in the picture.
pub const MINIMUM_CALLS: i64 = 20;
/// Nor are calls of fewer people, however many: nobody shall paint it alone.
pub const MINIMUM_PEOPLE: usize = 5;
/// What a client tells of a call that is over is taken for so long.
pub const REPORTED_WITHIN: Duration = Duration::from_secs(60);
/// A region that nobody knows (ISO 3166 leaves this one to users; CLDR calls it unknown).
const NOWHERE: &str = "ZZ";
/// How a device can be connected (W3C Network Information and webrtc-stats); whatever else is told is `unknown`.
const NETWORKS: [&str; 7] = ["wifi", "cellular", "ethernet", "bluetooth", "wimax", "vpn", "other"];
/// What the public picture looks back on.
pub const WINDOW: Duration = Duration::from_secs(30 * 24 * 3_600);
/// How long figures of single calls are kept.
pub const KEPT: Duration = Duration::from_secs(180 * 24 * 3_600);
/// Legs read for one picture.
const ROWS_MAX: i64 = 50_000;
/// Characters of a network's name.
const NAME_MAX: usize = 32;

/// What was measured at one leg.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// The opinion, 1 to 4.5.
    pub mos: f64,
    /// What was lost, 0 to 1.
    pub loss: f64,
    /// How unevenly it came.
    pub jitter_ms: f64,
    /// There and back.
    pub rtt_ms: Option<f64>,
    /// What the client is connected by (`wifi`, `cellular`, …), when it says.
    pub network: Option<String>,
}

impl Measured {
    /// What the engine saw of a leg.
    pub fn of_sample(sample: &QualitySample) -> Measured {
        let worse = |a: Option<f64>, b: Option<f64>| a.unwrap_or(0.0).max(b.unwrap_or(0.0));
        Measured {
            mos: sample.mos,
            loss: worse(sample.loss_in, sample.loss_out),
            jitter_ms: worse(sample.jitter_in_ms, sample.jitter_out_ms),
            rtt_ms: sample.rtt_ms,
            network: None,
        }
    }
}

/// What a browser tells of the sound that it got (reduced `getStats`, W3C webrtc-stats).
#[derive(Debug, Clone, Copy, Default)]
pub struct Reported {
    /// `packetsReceived`.
    pub packets_received: u64,
    /// `packetsLost`.
    pub packets_lost: u64,
    /// `jitter`, in milliseconds.
    pub jitter_ms: f64,
    /// `jitterBufferDelay / jitterBufferEmittedCount`, in milliseconds.
    pub jitter_buffer_ms: f64,
    /// `concealedSamples`: what had to be invented.
    pub concealed: u64,
    /// `totalSamplesReceived`.
    pub samples: u64,
    /// `roundTripTime`, in milliseconds.
    pub rtt_ms: Option<f64>,
}

impl Reported {
    /// As an opinion. Concealed samples are the honest loss: they include what came too late.
    pub fn measured(&self, network: Option<String>) -> Measured {
        let part = |some: u64, all: u64| if all == 0 { 0.0 } else { some as f64 / all as f64 };
        let lost = part(self.packets_lost, self.packets_lost.saturating_add(self.packets_received));
        let loss = part(self.concealed, self.samples).max(lost).clamp(0.0, 1.0);
        let bounded = |ms: f64| if ms.is_finite() { ms.clamp(0.0, 60_000.0) } else { 0.0 };
        let rtt_ms = self.rtt_ms.map(bounded);
        let delay = figures::delay_ms(bounded(self.jitter_buffer_ms), rtt_ms.unwrap_or(0.0));
        Measured {
            mos: figures::mos(delay, loss),
            loss,
            jitter_ms: bounded(self.jitter_ms),
            rtt_ms,
            network: network.map(|name| known_network(&name).to_owned()),
        }
    }
}

/// What a client says ends up in a public picture: words that we know, and no others.
fn known_network(name: &str) -> &'static str {
    NETWORKS.into_iter().find(|known| known.eq_ignore_ascii_case(name)).unwrap_or("unknown")
}

/// Where an account is at home: the region of its verified phone, else that of its language when it is spoken in one
/// only; none when nothing says so.
pub fn home(db: &mut Db, account: AccountId) -> Result<Option<String>> {
    if let Some(phone) = mobiles::list_verified(db, account)?.into_iter().next() {
        return Ok(Some(phone.number.region()));
    }
    match accounts::load(db, account) {
        Ok(account) => Ok((account.locale == Locale::Ko).then(|| "KR".to_owned())),
        Err(error) if *error.kind() == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A carrier's id in a public picture: small letters, digits and dashes.
fn plain(name: &str) -> String {
    let kept =
        name.chars().map(|c| c.to_ascii_lowercase()).filter(|c| c.is_ascii_alphanumeric() || *c == '-');
    let name: String = kept.take(NAME_MAX).collect();
    if name.is_empty() { "unknown".to_owned() } else { name }
}

#[derive(Debug, Clone, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = call_quality)]
#[diesel(treat_none_as_default_value = false)]
struct Row {
    leg_id: CallLegId,
    call_id: CallId,
    at: Timestamp,
    codec: String,
    network: String,
    region: String,
    mos_hundredths: i32,
    loss_ppm: i32,
    jitter_ms: i32,
    rtt_ms: Option<i32>,
    account_id: Option<AccountId>,
}

fn whole(value: f64) -> i32 {
    // Every figure here is small and was bounded before; what is not a number is nothing.
    if value.is_finite() { value.round().clamp(0.0, 1_000_000.0) as i32 } else { 0 }
}

/// Keeps what is known of a leg so far; what is known later takes its place.
pub fn keep(db: &mut Db, now: Timestamp, call: &Call, leg: &Leg, measured: &Measured) -> Result<()> {
    let network = match leg.kind {
        LegKind::Phone => leg.carrier_id.as_deref().map(plain),
        LegKind::Browser => measured.network.clone().or_else(|| find_network(db, leg.id)),
    };
    let (account, handset) = match leg.side {
        Side::Caller => (call.caller, leg.from.as_ref()),
        Side::Callee => (call.callee, leg.to.as_ref()),
    };
    // A browser is where its owner is, wherever the other end may be.
    let region = match handset.filter(|_| leg.kind == LegKind::Phone) {
        Some(number) => number.region(),
        None => home(db, account)?.unwrap_or_else(|| NOWHERE.to_owned()),
    };
    let row = Row {
        leg_id: leg.id,
        call_id: call.id,
        at: now,
        codec: if call.facts.wideband { "opus" } else { "pcmu" }.to_owned(),
        network: network.unwrap_or_else(|| "unknown".to_owned()),
        region,
        mos_hundredths: whole(measured.mos * 100.0),
        loss_ppm: whole(measured.loss * 1_000_000.0),
        jitter_ms: whole(measured.jitter_ms),
        rtt_ms: measured.rtt_ms.map(whole),
        // What is told after an account was deleted is about nobody.
        account_id: changes::living_sides(db, call)?.contains(&account).then_some(account),
    };
    each!(db, |c| diesel::insert_into(call_quality::table)
        .values(&row)
        .on_conflict(call_quality::leg_id)
        .do_update()
        .set(&row)
        .execute(c))?;
    Ok(())
}

/// The network that the leg's client has told before.
fn find_network(db: &mut Db, leg: CallLegId) -> Option<String> {
    let found: QueryResult<Option<String>> = each!(db, |c| call_quality::table
        .filter(call_quality::leg_id.eq(leg))
        .select(call_quality::network)
        .first(c)
        .optional());
    found.ok().flatten()
}

/// The figures of some calls' legs.
pub fn of_legs(db: &mut Db, legs: &[CallLegId]) -> Result<HashMap<CallLegId, (String, CallQuality)>> {
    let rows: Vec<Row> = each!(db, |c| call_quality::table
        .filter(call_quality::leg_id.eq_any(legs))
        .select(Row::as_select())
        .load(c))?;
    Ok(rows.into_iter().map(|row| (row.leg_id, (row.codec.clone(), shown(&row)))).collect())
}

fn shown(row: &Row) -> CallQuality {
    CallQuality {
        mos: f64::from(row.mos_hundredths) / 100.0,
        loss: f64::from(row.loss_ppm) / 1_000_000.0,
        jitter_ms: row.jitter_ms,
        rtt_ms: row.rtt_ms,
    }
}

/// The worse leg of each call.
pub fn of_calls(db: &mut Db, calls: &[CallId]) -> Result<HashMap<CallId, CallQuality>> {
    let rows: Vec<Row> = each!(db, |c| call_quality::table
        .filter(call_quality::call_id.eq_any(calls))
        .select(Row::as_select())
        .load(c))?;
    let mut worst: HashMap<CallId, Row> = HashMap::new();
    for row in rows {
        match worst.get(&row.call_id) {
            Some(known) if known.mos_hundredths <= row.mos_hundredths => {}
            _ => drop(worst.insert(row.call_id, row)),
        }
    }
    Ok(worst.into_iter().map(|(id, row)| (id, shown(&row))).collect())
}

/// One network in one region, seen over many calls.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// The network.
    pub network: String,
    /// The region (ISO 3166).
    pub region: String,
    /// How many calls.
    pub calls: i64,
    /// Their mean opinion.
    pub mos: f64,
    /// What they lost on average, 0 to 1.
    pub loss: f64,
    /// How unevenly they came on average.
    pub jitter_ms: f64,
}

/// The groups of a time, largest first; those of fewer than [`MINIMUM_CALLS`] or [`MINIMUM_PEOPLE`] are left out.
pub fn groups(db: &mut Db, since: Timestamp) -> Result<Vec<Group>> {
    let rows: Vec<Row> = each!(db, |c| call_quality::table
        .filter(call_quality::at.ge(since))
        .select(Row::as_select())
        .order(call_quality::at.desc())
        .limit(ROWS_MAX)
        .load(c))?;
    Ok(grouped(&rows))
}

/// Figures stay when an account goes, and are nobody's then.
pub fn erase(db: &mut Db, account: AccountId) -> Result<()> {
    let mine = calls::table
        .filter(calls::caller_account_id.eq(account).or(calls::callee_account_id.eq(account)))
        .select(calls::id);
    each!(db, |c| diesel::update(call_quality::table)
        .filter(call_quality::call_id.eq_any(mine))
        .filter(call_quality::account_id.eq(account))
        .set(call_quality::account_id.eq(None::<AccountId>))
        .execute(c))?;
    Ok(())
}

/// The sums of one group.
#[derive(Default)]
struct Sums {
    calls: HashSet<CallId>,
    people: HashSet<AccountId>,
    legs: f64,
    mos: f64,
    loss: f64,
    jitter: f64,
}

fn grouped(rows: &[Row]) -> Vec<Group> {
    let mut groups: BTreeMap<(&str, &str), Sums> = BTreeMap::new();
    for row in rows {
        let sums = groups.entry((&row.network, &row.region)).or_default();
        // Both ends of one call are one call: the minimum counts calls.
        sums.calls.insert(row.call_id);
        sums.people.extend(row.account_id);
        sums.legs += 1.0;
        sums.mos += f64::from(row.mos_hundredths) / 100.0;
        sums.loss += f64::from(row.loss_ppm) / 1_000_000.0;
        sums.jitter += f64::from(row.jitter_ms);
    }
    let mut shown: Vec<Group> = groups
        .into_iter()
        .filter(|(_, sums)| sums.people.len() >= MINIMUM_PEOPLE)
        .map(|((network, region), sums)| Group {
            network: network.to_owned(),
            region: region.to_owned(),
            calls: i64::try_from(sums.calls.len()).unwrap_or(i64::MAX),
            mos: (sums.mos / sums.legs * 100.0).round() / 100.0,
            loss: (sums.loss / sums.legs * 10_000.0).round() / 10_000.0,
            jitter_ms: (sums.jitter / sums.legs * 10.0).round() / 10.0,
        })
        .filter(|group| group.calls >= MINIMUM_CALLS)
        .collect();
    shown.sort_by_key(|group| std::cmp::Reverse(group.calls));
    shown
}

/// Forgets old figures.
pub fn prune(db: &mut Db, now: Timestamp) -> Result<()> {
    each!(db, |c| diesel::delete(call_quality::table)
        .filter(call_quality::at.lt(now.minus(KEPT)))
        .execute(c))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(network: &str, mos: i32, call: CallId, account: AccountId) -> Row {
        Row {
            leg_id: CallLegId::new(Timestamp(0)),
            call_id: call,
            at: Timestamp(0),
            codec: "pcmu".to_owned(),
            network: network.to_owned(),
            region: "US".to_owned(),
            mos_hundredths: mos,
            loss_ppm: 10_000,
            jitter_ms: 4,
            rtt_ms: None,
            account_id: Some(account),
        }
    }

    #[test]
    fn small_groups_are_hidden_and_legs_of_one_call_count_once() {
        let people: Vec<AccountId> = (0..5).map(|_| AccountId::new(Timestamp(0))).collect();
        let call = || CallId::new(Timestamp(0));
        let mut rows: Vec<Row> =
            people.iter().cycle().take(20).map(|who| row("wifi", 400, call(), *who)).collect();
        let twice = call();
        rows.extend(people.iter().cycle().take(40).map(|who| row("cellular", 300, twice, *who)));
        // Four people with many calls.
        rows.extend(people.iter().take(4).cycle().take(400).map(|who| row("ethernet", 100, call(), *who)));
        let shown = grouped(&rows);
        assert_eq!(shown.len(), 1);
        assert_eq!((shown[0].network.as_str(), shown[0].calls, shown[0].mos), ("wifi", 20, 4.0));
    }

    #[test]
    fn what_browsers_say_is_bounded() {
        let nonsense = Reported {
            packets_lost: u64::MAX,
            jitter_ms: f64::NAN,
            jitter_buffer_ms: f64::INFINITY,
            rtt_ms: Some(-5.0),
            ..Reported::default()
        };
        let measured = nonsense.measured(Some("<script>".to_owned()));
        assert!((0.0..=1.0).contains(&measured.loss) && measured.jitter_ms == 0.0);
        assert_eq!((measured.network.as_deref(), measured.rtt_ms), (Some("unknown"), Some(0.0)));
        assert_eq!(nonsense.measured(Some("WiFi".to_owned())).network.as_deref(), Some("wifi"));
        let clean = Reported { packets_received: 500, samples: 80_000, ..Reported::default() };
        assert!(clean.measured(None).mos > 4.2);
    }
}
