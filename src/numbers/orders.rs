//! Numbers that are ordered from carriers: for the reserve, or by an operator who has chosen one.
//!
//! An order is a row before it is a request, and its reference follows from the number, so that neither a crash, a lost
//! answer nor a second node orders twice: the carrier is asked with the same reference again until it has said what
//! became of it.

use diesel::prelude::*;

use super::{Capabilities, Import, NumberState};
use crate::app::App;
use crate::carriers::{NumberOrder, OrderState, Retry, SendError};
use crate::clock::Timestamp;
use crate::db::{Db, Lane};
use crate::each;
use crate::error::{Error, Result};
use crate::money::Money;
use crate::phone::E164;
use crate::schema::number_orders;

/// Rows of [`list`] at most.
const LIST_MAX: i64 = 500;
/// Orders that are asked for again in one round.
const OPEN_MAX: i64 = 10;
/// Orders of one number by hand, the refused ones among them: who needs more has another trouble.
const TRIES_MAX: usize = 20;
/// What a dry run would have ordered.
pub(super) const PLANNED: &str = "planned";
/// Of which nobody knows yet what becomes of them.
const OPEN: [&str; 2] = ["pending", "unknown"];

/// An order.
#[derive(Debug, Clone, Queryable)]
pub struct Order {
    /// Our reference.
    pub reference: String,
    /// Through which carrier.
    pub carrier_id: String,
    /// ISO 3166 region.
    pub region: String,
    /// Which number.
    pub number: E164,
    /// `planned` (a dry run), `pending`, `unknown` (its answer was lost), `done` or `refused`.
    pub state: String,
    /// What it costs in the first month, in millionths.
    pub cost_micros: i64,
    /// Of which currency.
    pub currency: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// What the number can do, as bits of [`Capabilities`].
    pub capabilities: i32,
}

/// A number that an operator has chosen.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// At which carrier.
    pub carrier_id: String,
    /// Which.
    pub number: E164,
    /// What it can do.
    pub capabilities: Capabilities,
    /// What he was told that it costs in the first month.
    pub cost: Option<Money>,
}

/// What came of an order by hand.
#[derive(Debug, Clone)]
pub struct Placed {
    /// The order as it stands.
    pub order: Order,
    /// Whether this request made it, or an earlier one.
    pub is_new: bool,
    /// Whether the pool has grown.
    pub has_grown: bool,
    /// Why the carrier has not done it (yet): our word.
    pub problem: Option<String>,
}

/// Orders, newest first.
pub fn list(db: &mut Db) -> Result<Vec<Order>> {
    Ok(each!(db, |c| number_orders::table
        .order((number_orders::created_at.desc(), number_orders::reference.asc()))
        .limit(LIST_MAX)
        .load(c))?)
}

fn list_open(db: &mut Db) -> Result<Vec<Order>> {
    Ok(each!(db, |c| number_orders::table
        .filter(number_orders::state.eq_any(OPEN))
        .order(number_orders::created_at.asc())
        .limit(OPEN_MAX)
        .load(c))?)
}

fn list_of(db: &mut Db, number: &E164) -> Result<Vec<Order>> {
    Ok(each!(db, |c| number_orders::table
        .filter(number_orders::number.eq(number))
        .order((number_orders::created_at.desc(), number_orders::reference.desc()))
        .load(c))?)
}

fn find(db: &mut Db, reference: &str) -> Result<Order> {
    let found: Option<Order> = each!(db, |c| number_orders::table
        .filter(number_orders::reference.eq(reference))
        .first(c)
        .optional())?;
    found.ok_or_else(|| Error::not_found("order"))
}

/// What was ordered since `from`, in millionths.
pub(super) fn spent(db: &mut Db, from: Timestamp) -> Result<i64> {
    let costs: Vec<i64> = each!(db, |c| number_orders::table
        .filter(number_orders::created_at.ge(from))
        .filter(number_orders::state.eq_any(["pending", "unknown", "done"]))
        .select(number_orders::cost_micros)
        .load(c))?;
    Ok(costs.into_iter().fold(0, i64::saturating_add))
}

/// Orders of a region that are under way.
pub(super) fn count_open(db: &mut Db, region: &str) -> Result<i64> {
    Ok(each!(db, |c| number_orders::table
        .filter(number_orders::region.eq(region))
        .filter(number_orders::state.eq_any(OPEN))
        .count()
        .get_result(c))?)
}

/// Where the order of this reference stands, if there is one.
pub(super) fn find_state(db: &mut Db, reference: &str) -> Result<Option<String>> {
    Ok(each!(db, |c| number_orders::table
        .filter(number_orders::reference.eq(reference))
        .select(number_orders::state)
        .first(c)
        .optional())?)
}

/// Notes an order before it is made, in the place of what a dry run has planned; false when there is one of this
/// reference already.
pub(super) fn note(db: &mut Db, now: Timestamp, order: &Order) -> Result<bool> {
    if order.state != PLANNED {
        each!(db, |c| diesel::delete(number_orders::table)
            .filter(number_orders::reference.eq(&order.reference))
            .filter(number_orders::state.eq(PLANNED))
            .execute(c))?;
    }
    let count = each!(db, |c| diesel::insert_into(number_orders::table)
        .values((
            number_orders::reference.eq(&order.reference),
            number_orders::carrier_id.eq(&order.carrier_id),
            number_orders::region.eq(&order.region),
            number_orders::number.eq(&order.number),
            number_orders::state.eq(&order.state),
            number_orders::cost_micros.eq(order.cost_micros),
            number_orders::currency.eq(&order.currency),
            number_orders::created_at.eq(now),
            number_orders::capabilities.eq(order.capabilities),
        ))
        .on_conflict_do_nothing()
        .execute(c))?;
    Ok(count > 0)
}

fn set_state(db: &mut Db, reference: &str, state: &str) -> Result<()> {
    each!(db, |c| diesel::update(number_orders::table)
        .filter(number_orders::reference.eq(reference))
        .filter(number_orders::state.eq_any(OPEN))
        .set(number_orders::state.eq(state))
        .execute(c))?;
    Ok(())
}

fn settle(db: &mut Db, now: Timestamp, order: &Order, state: OrderState) -> Result<bool> {
    match state {
        OrderState::Pending => set_state(db, &order.reference, "pending").map(|()| false),
        OrderState::Refused => set_state(db, &order.reference, "refused").map(|()| false),
        OrderState::Done => {
            set_state(db, &order.reference, "done")?;
            let import = Import {
                number: order.number.clone(),
                carrier_id: order.carrier_id.clone(),
                capabilities: Capabilities(order.capabilities),
            };
            Ok(super::import(db, now, &[import])? > 0)
        }
    }
}

/// Asks for every order that is open once more; answers whether the pool has grown.
pub(super) async fn pursue_all(app: &App) -> Result<bool> {
    let mut has_grown = false;
    for order in app.db.read(list_open).await? {
        has_grown |= pursue(app, order).await?.0;
    }
    Ok(has_grown)
}

/// Makes an order, or asks how far it is: whether the pool has grown, and why not, when the carrier refuses us.
pub(super) async fn pursue(app: &App, order: Order) -> Result<(bool, Option<String>)> {
    let Some(carrier) = app.carriers.get(&order.carrier_id) else { return Ok((false, None)) };
    let request = NumberOrder {
        number: order.number.clone(),
        reference: order.reference.clone(),
        callback_base: format!("{}/carriers/{}", app.settings.public_url, order.carrier_id),
    };
    match carrier.order_number(&request).await {
        Ok(ordered) => {
            let now = app.now();
            let write = move |db: &mut Db| settle(db, now, &order, ordered.state);
            Ok((app.db.write(Lane::Any, write).await?, None))
        }
        Err(error) => {
            tracing::warn!(reference = %order.reference, reason = %error, "an order was not answered as it should");
            let state = state_after(&error);
            app.db.write(Lane::Any, move |db| set_state(db, &order.reference, state)).await?;
            Ok((false, Some(error.code)))
        }
    }
}

/// Where an order stands after the carrier has not answered as it should.
fn state_after(error: &SendError) -> &'static str {
    match error.retry {
        _ if !error.certain => "unknown",
        Retry::Never if !error.whole_carrier => "refused",
        Retry::Never | Retry::After(_) | Retry::Backoff => "pending",
    }
}

/// Takes a chosen number's order in hand: the one that is there, or a new one. Only after a refusal is there another.
fn begin(db: &mut Db, now: Timestamp, chosen: &Chosen) -> Result<(Order, bool)> {
    let ours = super::find(db, &chosen.number)?;
    let earlier = list_of(db, &chosen.number)?;
    let open_or_done = |order: &&Order| order.state == "done" || OPEN.contains(&order.state.as_str());
    if let Some(order) = earlier.iter().find(open_or_done)
        && order.carrier_id == chosen.carrier_id
        && (order.state != "done" || ours.as_ref().is_some_and(|n| n.state != NumberState::Retired))
    {
        return Ok((order.clone(), false));
    }
    if ours.is_some_and(|number| number.state != NumberState::Retired) {
        return Err(Error::conflict("number_is_ours", "This number is in the pool already."));
    }
    let by_hand = |order: &&Order| order.reference.starts_with("hand-");
    let tries = earlier.iter().filter(by_hand).count();
    if tries >= TRIES_MAX {
        return Err(Error::conflict("too_many_orders", "This number was ordered too often in vain."));
    }
    let order = Order {
        reference: format!("hand-{}-{}", chosen.number.digits(), tries + 1),
        carrier_id: chosen.carrier_id.clone(),
        region: chosen.number.region(),
        number: chosen.number.clone(),
        state: "pending".to_owned(),
        cost_micros: chosen.cost.map_or(0, |cost| cost.micros),
        currency: chosen.cost.map(|cost| cost.currency.as_str().to_owned()).unwrap_or_default(),
        created_at: now,
        capabilities: chosen.capabilities.0,
    };
    let is_new = note(db, now, &order)?;
    Ok((find(db, &order.reference)?, is_new))
}

/// Orders a number that an operator has chosen, or asks how far the order is that was made for it before.
///
/// # Errors
/// `number_is_ours`; `too_many_orders`.
pub async fn place(app: &App, chosen: Chosen) -> Result<Placed> {
    let now = app.now();
    let (order, is_new) = app.db.write(Lane::Any, move |db| begin(db, now, &chosen)).await?;
    let reference = order.reference.clone();
    let (has_grown, problem) =
        if OPEN.contains(&order.state.as_str()) { pursue(app, order).await? } else { (false, None) };
    let order = app.db.read(move |db| find(db, &reference)).await?;
    Ok(Placed { order, is_new, has_grown, problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_certainly_was_not_ordered_is_given_up() {
        let error = |retry, certain, whole_carrier| SendError {
            retry,
            certain,
            code: "x".to_owned(),
            whole_carrier,
            detail: String::new(),
        };
        let table = [
            (error(Retry::Never, true, false), "refused"),
            (error(Retry::Never, true, true), "pending"),
            (error(Retry::Backoff, true, false), "pending"),
            (error(Retry::Backoff, false, false), "unknown"),
            (error(Retry::Never, false, true), "unknown"),
        ];
        for (error, wanted) in table {
            assert_eq!(state_after(&error), wanted, "{error:?}");
        }
    }
}
