//! The texts that wait for their owner's word: the rows of [`super::guard`].

use std::time::Duration;

use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::groups::GroupText;
use super::guard::Suspect;
use super::routes::Route;
use crate::carriers::{InboundMedia, InboundSms, Origin};
use crate::clock::Timestamp;
use crate::db::Db;
use crate::each;
use crate::error::Result;
use crate::ids::{AccountId, HandsetId, HeldTextId};
use crate::phone::{E164, RemoteParty};
use crate::schema::{handsets, held_texts};

/// Texts of one account that wait at most: a person writes fewer in a day, a machine must not fill the table.
pub const HELD_MAX: i64 = 100;
/// How long they wait.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3_600);

/// A text that waits.
#[derive(Debug, Clone)]
pub struct Held {
    /// Which.
    pub id: HeldTextId,
    /// Of which handset.
    pub handset: HandsetId,
    /// Its number.
    pub from: E164,
    /// To which of our numbers.
    pub to: E164,
    /// Who else got it, when it was written into a group.
    pub others: Vec<E164>,
    /// Through which carrier.
    pub carrier_id: String,
    /// The carrier's id of it.
    pub sid: String,
    /// What it says, as it came.
    pub text: String,
    /// What it cost the sender.
    pub segment_count: i16,
    /// Pictures and files, still at the carrier.
    pub media: Vec<InboundMedia>,
    /// From which network it came.
    pub network: Option<String>,
    /// When.
    pub at: Timestamp,
}

impl Held {
    /// As a text into the group that it was written to.
    pub(super) fn into_group(self, route: &Route) -> GroupText {
        let sms = InboundSms {
            carrier_message_id: self.sid,
            from: RemoteParty::Phone(self.from.clone()),
            to: self.to,
            others: self.others,
            text: self.text,
            media: self.media,
            segment_count: u16::try_from(self.segment_count).unwrap_or(1),
            consent: None,
            origin: Origin::default(),
        };
        let route = Some(route.clone()).filter(|route| route.onward.is_none());
        GroupText { carrier_id: self.carrier_id, from: self.from, sms, route }
    }
}

/// Media as stored.
#[derive(Serialize, Deserialize)]
struct StoredMedia {
    url: String,
    content_type: Option<String>,
}

/// Keeps a text; false when there are too many already.
pub(super) fn insert(db: &mut Db, now: Timestamp, suspect: &Suspect) -> Result<bool> {
    let account = suspect.route.account;
    let count: i64 =
        each!(db, |c| held_texts::table.filter(held_texts::account_id.eq(account)).count().get_result(c))?;
    if count >= HELD_MAX {
        return Ok(false);
    }
    let sms = &suspect.sms;
    let media =
        sms.media.iter().map(|m| StoredMedia { url: m.url.clone(), content_type: m.content_type.clone() });
    let media = serde_json::to_string(&media.collect::<Vec<_>>())?;
    let others: Vec<&str> = sms.others.iter().map(E164::as_str).collect();
    each!(db, |c| diesel::insert_into(held_texts::table)
        .values((
            held_texts::account_id.eq(account),
            held_texts::id.eq(HeldTextId::new(now)),
            held_texts::handset_id.eq(suspect.route.handset),
            held_texts::carrier_id.eq(&suspect.carrier_id),
            held_texts::sid.eq(&sms.carrier_message_id),
            held_texts::to_number.eq(&sms.to),
            held_texts::others.eq(others.join(" ")),
            held_texts::text.eq(&sms.text),
            held_texts::segment_count.eq(i16::try_from(sms.segment_count).unwrap_or(i16::MAX)),
            held_texts::media.eq(&media),
            held_texts::network.eq(sms.origin.network.as_deref()),
            held_texts::at.eq(now),
        ))
        .execute(c))?;
    Ok(true)
}

/// What waits, oldest first; of all handsets when none is named.
pub fn list(db: &mut Db, account: AccountId, handset: Option<HandsetId>) -> Result<Vec<Held>> {
    type Row = (
        HeldTextId,
        HandsetId,
        E164,
        E164,
        String,
        String,
        String,
        String,
        i16,
        String,
        Option<String>,
        Timestamp,
    );
    let rows: Vec<Row> =
        each!(db, |c| held_texts::table
            .inner_join(handsets::table.on(
                handsets::account_id.eq(held_texts::account_id).and(handsets::id.eq(held_texts::handset_id))
            ))
            .filter(held_texts::account_id.eq(account))
            .select((
                held_texts::id,
                held_texts::handset_id,
                handsets::number,
                held_texts::to_number,
                held_texts::others,
                held_texts::carrier_id,
                held_texts::sid,
                held_texts::text,
                held_texts::segment_count,
                held_texts::media,
                held_texts::network,
                held_texts::at,
            ))
            .order(held_texts::id.asc())
            .load(c))?;
    let is_meant = |row: &Row| handset.is_none_or(|handset| row.1 == handset);
    let to_held =
        |(id, handset, from, to, others, carrier_id, sid, text, segment_count, media, network, at): Row| {
            let others = others.split_whitespace().filter_map(|number| E164::parse(number).ok()).collect();
            let media: Vec<StoredMedia> = serde_json::from_str(&media)?;
            let media = media.into_iter().map(|m| InboundMedia { url: m.url, content_type: m.content_type });
            let media = media.collect();
            Ok(Held {
                id,
                handset,
                from,
                to,
                others,
                carrier_id,
                sid,
                text,
                segment_count,
                media,
                network,
                at,
            })
        };
    rows.into_iter().filter(is_meant).map(to_held).collect()
}

pub(super) fn delete(db: &mut Db, account: AccountId, id: HeldTextId) -> Result<()> {
    each!(db, |c| diesel::delete(held_texts::table)
        .filter(held_texts::account_id.eq(account))
        .filter(held_texts::id.eq(id))
        .execute(c))?;
    Ok(())
}

/// Forgets texts about which nobody has said anything for a week, and those of handsets that are gone.
pub fn prune(db: &mut Db, now: Timestamp, rows: i64) -> Result<usize> {
    let old: Vec<HeldTextId> = each!(db, |c| held_texts::table
        .filter(held_texts::at.lt(now.minus(KEPT)))
        .select(held_texts::id)
        .limit(rows)
        .load(c))?;
    Ok(each!(db, |c| diesel::delete(held_texts::table).filter(held_texts::id.eq_any(&old)).execute(c))?)
}

/// Forgets what waits for an account.
pub(super) fn erase(db: &mut Db, account: AccountId) -> Result<()> {
    each!(db, |c| diesel::delete(held_texts::table).filter(held_texts::account_id.eq(account)).execute(c))?;
    Ok(())
}
