//! What carriers say of SMS that left. A word may come before the carrier has answered the request that it is about, and
//! not every word carries our own id: those that fit nothing yet are kept for a while and taken when the SMS is known.

use std::time::Duration;

use diesel::prelude::*;

use super::consenting;
use super::outbox::{self, Settled};
use super::receive::CLAIM_SENT;
use super::routes::handset_of;
use crate::carriers::{CarrierError, DeliveryReceipt, ReceiptState, StopScope};
use crate::clock::Timestamp;
use crate::db::Db;
use crate::each;
use crate::error::Result;
use crate::presence;
use crate::schema::{carrier_callbacks, early_receipts};

/// How long a word on an unknown SMS is kept: an answer comes within a minute or never.
const KEPT: Duration = Duration::from_secs(3_600);
/// Such words at most. Other programs may use the same account at the carrier, and all of theirs come here.
const KEPT_MAX: i64 = 50_000;
/// Characters of a carrier's id at most.
const SID_CHARS_MAX: usize = 200;

/// Takes a carrier's word; answers whether it was news. One that fits no SMS is kept for [`take_early`].
pub fn take(
    db: &mut Db,
    now: Timestamp,
    carrier_id: &str,
    receipt: &DeliveryReceipt,
    scope: StopScope,
) -> Result<bool> {
    let sms = match outbox::delivery_receipt(db, now, carrier_id, receipt)? {
        Settled::News(sms) => sms,
        Settled::Duplicate => return Ok(false),
        Settled::NotOurs => {
            keep(db, now, carrier_id, receipt)?;
            return Ok(false);
        }
    };
    if receipt.error.as_ref().is_some_and(|error| error.opted_out) {
        consenting::refused(db, now, &sms, scope)?;
    }
    let Some(account) = sms.account else { return Ok(true) };
    let Some(handset) = handset_of(db, account, &sms.to)? else { return Ok(true) };
    if receipt.error.as_ref().is_some_and(|error| error.handset_absent) {
        presence::absent(db, now, account, handset)?;
    } else if receipt.state == ReceiptState::Delivered {
        presence::reached(db, now, account, handset)?;
    }
    Ok(true)
}

fn keep(db: &mut Db, now: Timestamp, carrier_id: &str, receipt: &DeliveryReceipt) -> Result<()> {
    let sid = &receipt.carrier_message_id;
    if sid.is_empty() || sid.len() > SID_CHARS_MAX {
        return Ok(());
    }
    let count: i64 = each!(db, |c| early_receipts::table.count().get_result(c))?;
    if count >= KEPT_MAX {
        return Ok(());
    }
    let error = receipt.error.as_ref();
    each!(db, |c| diesel::insert_into(early_receipts::table)
        .values((
            early_receipts::carrier_id.eq(carrier_id),
            early_receipts::sid.eq(sid),
            early_receipts::state.eq(receipt.state.as_str()),
            early_receipts::error_code.eq(error.map(|e| e.code.as_str())),
            early_receipts::is_absent.eq(error.is_some_and(|e| e.handset_absent)),
            early_receipts::is_opted_out.eq(error.is_some_and(|e| e.opted_out)),
            early_receipts::at.eq(now),
        ))
        .on_conflict_do_nothing()
        .execute(c))?;
    Ok(())
}

/// The SMS that a carrier's ids (with spaces between) mean is known now: takes what was said about it before.
pub fn take_early(
    db: &mut Db,
    now: Timestamp,
    carrier_id: &str,
    carrier_message_id: &str,
    scope: StopScope,
) -> Result<()> {
    type Row = (String, String, Option<String>, bool, bool);
    let ids: Vec<&str> = carrier_message_id.split(' ').collect();
    let rows: Vec<Row> = each!(db, |c| early_receipts::table
        .filter(early_receipts::carrier_id.eq(carrier_id))
        .filter(early_receipts::sid.eq_any(&ids))
        .select((
            early_receipts::sid,
            early_receipts::state,
            early_receipts::error_code,
            early_receipts::is_absent,
            early_receipts::is_opted_out,
        ))
        .load(c))?;
    if rows.is_empty() {
        return Ok(());
    }
    each!(db, |c| diesel::delete(early_receipts::table)
        .filter(early_receipts::carrier_id.eq(carrier_id))
        .filter(early_receipts::sid.eq_any(&ids))
        .execute(c))?;
    for (sid, state, code, handset_absent, opted_out) in rows {
        let Some(state) = ReceiptState::ALL.into_iter().find(|known| known.as_str() == state) else {
            continue;
        };
        let error = code.map(|code| CarrierError {
            code,
            permanent: false,
            handset_absent,
            opted_out,
            carrier_code: String::new(),
        });
        let receipt = DeliveryReceipt { carrier_message_id: sid, whole: None, reference: None, state, error };
        take(db, now, carrier_id, &receipt, scope)?;
    }
    Ok(())
}

/// Words whose SMS became known at the very moment when they came, so that neither saw the other: (carrier, its id).
pub fn overlooked(db: &mut Db) -> Result<Vec<(String, String)>> {
    Ok(each!(db, |c| early_receipts::table
        .inner_join(
            carrier_callbacks::table.on(carrier_callbacks::carrier_id
                .eq(early_receipts::carrier_id)
                .and(carrier_callbacks::sid.eq(early_receipts::sid))
                .and(carrier_callbacks::kind.eq(CLAIM_SENT)))
        )
        .select((early_receipts::carrier_id, early_receipts::sid))
        .distinct()
        .limit(1_000)
        .load(c))?)
}

/// Forgets words that nobody came for.
pub fn prune(db: &mut Db, now: Timestamp) -> Result<usize> {
    Ok(each!(db, |c| diesel::delete(early_receipts::table)
        .filter(early_receipts::at.lt(now.minus(KEPT)))
        .execute(c))?)
}
