//! SMS that cannot leave as they were queued: the number was replaced meanwhile, or the carrier is down.
//!
//! What somebody wrote leaves from the number that names him on the reader's phone and from no other; so it waits for
//! its carrier, until an operator takes the number away and the pair has another one. A code may leave from any number.

use diesel::prelude::*;

use super::outbox::{self, OutboundSms};
use super::routes::{self, SmsLine};
use super::store;
use crate::clock::Timestamp;
use crate::consent;
use crate::db::Db;
use crate::each;
use crate::error::Result;
use crate::ids::{NumberId, OutboundSmsId};
use crate::numbers::{self, Number, NumberState};
use crate::schema::outbound_sms;
use crate::watch;

/// What is to be done with an SMS before it leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// Nothing.
    None,
    /// It leaves by another line.
    To(SmsLine),
    /// The pair has no number just now.
    Wait,
}

/// Looks whether an SMS should leave by another line; `cheapest_first`: carriers in the order of their prices.
pub fn look(db: &mut Db, sms: &OutboundSms, is_code: bool, cheapest_first: &[String]) -> Result<Move> {
    if sms.state != "queued" {
        return Ok(Move::None);
    }
    if is_code {
        return look_for_code(db, sms, cheapest_first);
    }
    let Some(message) = sms.message else { return Ok(Move::None) };
    let is_retired = numbers::find(db, &sms.from)?.is_some_and(|number| number.state == NumberState::Retired);
    if !is_retired {
        return Ok(Move::None);
    }
    let Some(message) = store::find_message(db, message)? else { return Ok(Move::None) };
    let Some(member) = store::find_member(db, message.recipient, message.conversation)? else {
        return Ok(Move::None);
    };
    Ok(match routes::sms_line(db, message.recipient, member.contact_id)? {
        Some(line) if line.from == sms.from => Move::None,
        Some(line) => Move::To(line),
        None => Move::Wait,
    })
}

fn look_for_code(db: &mut Db, sms: &OutboundSms, cheapest_first: &[String]) -> Result<Move> {
    let avoided = watch::avoided(db)?;
    let (true, Some(account)) = (avoided.contains(&sms.carrier_id), sms.account) else {
        return Ok(Move::None);
    };
    let sender = numbers::sender_for(db, account, &sms.to, cheapest_first)?;
    Ok(match sender.filter(|sender| !avoided.contains(&sender.carrier_id)) {
        Some(sender) => {
            Move::To(SmsLine { carrier_id: sender.carrier_id, from: sender.number, to: sms.to.clone() })
        }
        None => Move::None,
    })
}

/// Lets a queued SMS leave by another line.
pub fn move_to(db: &mut Db, now: Timestamp, id: OutboundSmsId, line: &SmsLine) -> Result<()> {
    each!(db, |c| diesel::update(outbound_sms::table)
        .filter(outbound_sms::id.eq(id))
        .filter(outbound_sms::state.eq("queued"))
        .set((
            outbound_sms::carrier_id.eq(&line.carrier_id),
            outbound_sms::from_number.eq(&line.from),
            outbound_sms::to_number.eq(&line.to),
            outbound_sms::updated_at.eq(now),
        ))
        .execute(c))?;
    Ok(())
}

/// Reads an SMS and what is to be done with it.
pub fn find(
    db: &mut Db,
    id: OutboundSmsId,
    is_code: bool,
    cheapest_first: &[String],
) -> Result<Option<(OutboundSms, Move)>> {
    let Some(sms) = outbox::find(db, id)? else { return Ok(None) };
    let found = look(db, &sms, is_code, cheapest_first)?;
    Ok(Some((sms, found)))
}

/// A number is another carrier's now: what waits leaves through that one, and everybody keeps his number.
pub fn port_number(db: &mut Db, now: Timestamp, id: NumberId, carrier_id: &str) -> Result<Number> {
    let before = numbers::list_by_ids(db, &[id])?.pop();
    let number = numbers::port(db, id, carrier_id)?;
    if let Some(before) = before.filter(|before| before.carrier_id != carrier_id) {
        let to = consent::Line { number: &number.number, carrier_id };
        consent::carry_with_number(db, now, id, &before.carrier_id, to)?;
    }
    each!(db, |c| diesel::update(outbound_sms::table)
        .filter(outbound_sms::from_number.eq(&number.number))
        .filter(outbound_sms::state.eq("queued"))
        .set((outbound_sms::carrier_id.eq(carrier_id), outbound_sms::updated_at.eq(now)))
        .execute(c))?;
    Ok(number)
}
