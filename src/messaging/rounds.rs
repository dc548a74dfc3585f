//! What every node does once a minute: what it counted of the carriers is put together and judged, and now and then a
//! message goes from one of our numbers to another, because a carrier can take everything and deliver nothing.

use std::time::Duration;

use super::ledger::{self, NumberFigures};
use super::outbox::{self, NewSms, Purpose};
use super::routes::SmsLine;
use crate::accounts::limits;
use crate::app::App;
use crate::clock::Timestamp;
use crate::contacts::jobs::serve_waiting;
use crate::db::{Db, Lane};
use crate::error::Result;
use crate::numbers::{self, Number, NumberState};
use crate::{alarms, watch};

/// What tells whether a number is well.
const LOOKED_BACK: Duration = Duration::from_secs(7 * 24 * 3_600);
/// What such a message begins with.
const GREETING: &str = "Meari to Meari";

/// One round.
pub async fn watch_carriers(app: &App) -> Result<()> {
    let (now, counted) = (app.now(), app.tallies.take());
    let carriers: Vec<(String, bool)> = app
        .carriers
        .iter()
        .map(|carrier| (carrier.id().to_owned(), carrier.capabilities().delivery_receipts))
        .collect();
    let every = Duration::from_secs(u64::from(app.settings.carrier_loop_minutes) * 60);
    let write = move |db: &mut Db| {
        watch::note(db, now, &counted)?;
        for (id, tells) in &carriers {
            watch::judge_carrier(db, now, id, *tells)?;
            if !every.is_zero() && limits::first_within(db, now, "carrier_loop", id, every)? {
                send_loop(db, now, id)?;
            }
        }
        Ok(())
    };
    app.db.write(Lane::Any, write).await
}

/// A message from one number of the carrier to the next one; each time another pair.
fn send_loop(db: &mut Db, now: Timestamp, carrier_id: &str) -> Result<()> {
    let ours: Vec<Number> = numbers::list_of_carrier(db, carrier_id, 100)?
        .into_iter()
        .filter(|number| number.capabilities.has(numbers::Capabilities::SMS))
        .collect();
    let count = i64::try_from(ours.len()).unwrap_or(0);
    let place = usize::try_from(now.unix_secs().div_euclid(60).rem_euclid(count.max(1))).unwrap_or(0);
    let mut around = ours.iter().cycle().skip(place);
    let (Some(from), Some(to)) = (around.next(), around.next()) else { return Ok(()) };
    if from.id == to.id {
        return Ok(());
    }
    let text = format!("{GREETING} {:016x}", rand::random::<u64>());
    watch::loop_sent(db, now, carrier_id, &text)?;
    let sms = NewSms {
        account: None,
        by: None,
        message: None,
        purpose: Purpose::Loop,
        order_key: format!("loop:{carrier_id}"),
        line: SmsLine { carrier_id: carrier_id.to_owned(), from: from.number.clone(), to: to.number.clone() },
        text,
    };
    outbox::enqueue(db, now, &sms).map(drop)
}

/// Once an hour: numbers for the reserve, and those whose messages do not arrive.
pub async fn look_after_numbers(app: &App) -> Result<()> {
    let now = app.now();
    let hourly =
        move |db: &mut Db| limits::first_within(db, now, "number_round", "all", numbers::reserve::EVERY);
    if !app.db.write(Lane::Any, hourly).await? {
        return Ok(());
    }
    let ageing = app.settings.number_ageing();
    let aged = app.db.write(Lane::Any, move |db| numbers::end_ageing(db, now, ageing)).await?;
    if numbers::reserve::keep(app).await? || aged > 0 {
        app.db.write(Lane::Any, move |db| serve_waiting(db, now)).await?;
    }
    let figures = app.db.read(move |db| ledger::by_number(db, now.minus(LOOKED_BACK), None)).await?;
    let unwell: Vec<NumberFigures> = figures.into_iter().filter(|figures| figures.is_unwell()).collect();
    if unwell.is_empty() {
        return Ok(());
    }
    app.db.write(Lane::Any, move |db| unwell.iter().try_for_each(|figures| spare(db, now, figures))).await
}

/// An unwell number is given to nobody new; those who have it keep it until an operator takes it away.
fn spare(db: &mut Db, now: Timestamp, figures: &NumberFigures) -> Result<()> {
    let Some(number) = numbers::find(db, &figures.number)? else { return Ok(()) };
    if number.state != NumberState::Available {
        return Ok(());
    }
    numbers::suspend(db, now, number.id, NumberState::Suspended)?;
    let NumberFigures { delivered, undelivered, blocked, .. } = figures;
    let detail = format!(
        "{delivered} delivered, {undelivered} not, {blocked} blocked within a week: it gets no new contacts"
    );
    alarms::raise(db, now, alarms::NUMBER_UNWELL, figures.number.as_str(), &detail).map(drop)
}

/// A text from one of our numbers to another one came in.
pub fn heard_ourselves(db: &mut Db, now: Timestamp, text: &str) -> Result<bool> {
    if !text.starts_with(GREETING) {
        return Ok(false);
    }
    watch::loop_arrived(db, now, text.trim())
}
