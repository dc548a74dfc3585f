//! A reserve of numbers in each region, ordered from a carrier within a monthly budget.
//!
//! Once an hour: what is missing is searched at the carrier and ordered one by one. An order is a row before it is a
//! request, and its reference follows from region and number, so that neither a crash nor a second node orders twice:
//! the carrier is asked with the same reference again until it has said what became of it. The usual is a dry run, which
//! only says what it would order.

use std::time::Duration;

use diesel::prelude::*;

use super::{Capabilities, Import};
use crate::alarms;
use crate::app::App;
use crate::carriers::{Carrier, Features, NumberKind, NumberOrder, NumberQuery, OfferedNumber, OrderState};
use crate::clock::Timestamp;
use crate::config::Wish;
use crate::db::{Db, Lane};
use crate::each;
use crate::error::Result;
use crate::money::Money;
use crate::phone::E164;
use crate::schema::number_orders;

/// How often the reserve is looked at.
pub const EVERY: Duration = Duration::from_secs(3_600);
/// Numbers ordered in one round at most: a mistake in the settings must not empty the purse at once.
const ORDERS_PER_ROUND: i64 = 10;
/// Rows of [`list`] at most.
const LIST_MAX: i64 = 500;

/// How a region stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stock {
    /// Numbers that can be given.
    pub available: i64,
    /// Pairs of the account with the most.
    pub held: i64,
    /// Orders that are under way.
    pub pending: i64,
}

/// How many numbers are to be ordered now.
pub fn missing(wish: &Wish, stock: Stock) -> i64 {
    (wish.spare - (stock.available - stock.held) - stock.pending).clamp(0, ORDERS_PER_ROUND)
}

/// What an offer costs within the first month; `None` when the carrier does not say.
fn cost_of(offer: &OfferedNumber) -> Option<Money> {
    match (offer.monthly, offer.upfront) {
        (Some(monthly), Some(upfront)) => monthly.plus(upfront),
        (monthly, None) => monthly,
        (None, Some(_)) => None,
    }
}

/// Whether an offer fits into what is left of the budget.
pub fn is_affordable(cost: Option<Money>, spent: i64, budget: Option<Money>) -> bool {
    match (cost, budget) {
        (Some(cost), Some(budget)) => {
            cost.currency == budget.currency && spent.saturating_add(cost.micros) <= budget.micros
        }
        (_, None) => false,
        (None, Some(_)) => false,
    }
}

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
    /// `planned` (a dry run), `pending`, `done` or `refused`.
    pub state: String,
    /// What it costs in the first month, in millionths.
    pub cost_micros: i64,
    /// Of which currency.
    pub currency: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Orders, newest first.
pub fn list(db: &mut Db) -> Result<Vec<Order>> {
    Ok(each!(db, |c| number_orders::table
        .order((number_orders::created_at.desc(), number_orders::reference.asc()))
        .limit(LIST_MAX)
        .load(c))?)
}

fn list_pending(db: &mut Db) -> Result<Vec<Order>> {
    Ok(each!(db, |c| number_orders::table
        .filter(number_orders::state.eq("pending"))
        .order(number_orders::created_at.asc())
        .limit(ORDERS_PER_ROUND)
        .load(c))?)
}

/// What was ordered since the month began, in millionths.
fn spent(db: &mut Db, now: Timestamp) -> Result<i64> {
    let month = now.to_rfc3339().chars().take(7).collect::<String>();
    let from = Timestamp::from_rfc3339(&format!("{month}-01T00:00:00Z")).unwrap_or_default();
    let costs: Vec<i64> = each!(db, |c| number_orders::table
        .filter(number_orders::created_at.ge(from))
        .filter(number_orders::state.eq_any(["pending", "done"]))
        .select(number_orders::cost_micros)
        .load(c))?;
    Ok(costs.into_iter().fold(0, i64::saturating_add))
}

fn stock_of(db: &mut Db, region: &str) -> Result<Stock> {
    let counts = super::counts(db)?;
    let available = counts.iter().find(|(r, state, _)| r == region && state == "available");
    let pending: i64 = each!(db, |c| number_orders::table
        .filter(number_orders::region.eq(region))
        .filter(number_orders::state.eq("pending"))
        .count()
        .get_result(c))?;
    Ok(Stock {
        available: available.map_or(0, |(_, _, count)| *count),
        held: super::largest_holding(db)?,
        pending,
    })
}

/// Notes an order before it is made; false when there is one already.
fn note(db: &mut Db, now: Timestamp, order: &Order) -> Result<bool> {
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
        ))
        .on_conflict_do_nothing()
        .execute(c))?;
    Ok(count > 0)
}

fn settle(db: &mut Db, now: Timestamp, order: &Order, state: OrderState) -> Result<bool> {
    let word = match state {
        OrderState::Pending => return Ok(false),
        OrderState::Done => "done",
        OrderState::Refused => "refused",
    };
    each!(db, |c| diesel::update(number_orders::table)
        .filter(number_orders::reference.eq(&order.reference))
        .set(number_orders::state.eq(word))
        .execute(c))?;
    if state != OrderState::Done {
        return Ok(false);
    }
    let import = Import {
        number: order.number.clone(),
        carrier_id: order.carrier_id.clone(),
        capabilities: Capabilities::SMS,
    };
    Ok(super::import(db, now, &[import])? > 0)
}

/// One round. Answers whether the pool has grown, so that the caller serves those who wait.
pub async fn keep(app: &App) -> Result<bool> {
    if app.settings.number_reserve.is_empty() {
        return Ok(false);
    }
    let mut has_grown = false;
    for order in app.db.read(list_pending).await? {
        has_grown |= pursue(app, order).await?;
    }
    for wish in app.settings.number_reserve.clone() {
        let region = wish.region.clone();
        let stock = app.db.read(move |db| stock_of(db, &region)).await?;
        let count = missing(&wish, stock);
        if count > 0 {
            has_grown |= fill(app, &wish, count).await?;
        }
    }
    Ok(has_grown)
}

/// From whom numbers are ordered: whom the operator has named, else the first who sells them.
fn seller(app: &App) -> Option<&std::sync::Arc<dyn Carrier>> {
    match &app.settings.number_reserve_carrier {
        Some(id) => app.carriers.get(id),
        None => app.carriers.iter().find(|carrier| carrier.capabilities().numbers.order),
    }
}

async fn fill(app: &App, wish: &Wish, count: i64) -> Result<bool> {
    let Some(carrier) = seller(app) else { return short(app, wish, "no carrier sells numbers").await };
    let query = NumberQuery {
        region: wish.region.clone(),
        kind: NumberKind::Local,
        area: None,
        features: Features { sms: true, ..Features::default() },
        limit: u8::try_from(count).unwrap_or(1),
    };
    let offers = match carrier.search_numbers(&query).await {
        Ok(offers) => offers,
        Err(error) => return short(app, wish, &format!("the search failed: {}", error.code)).await,
    };
    let mut has_grown = false;
    for offer in offers.into_iter().take(usize::try_from(count).unwrap_or(0)) {
        let now = app.now();
        let spent = app.db.read(move |db| spent(db, now)).await?;
        let cost = cost_of(&offer);
        if !is_affordable(cost, spent, app.settings.number_reserve_budget) {
            return short(app, wish, "the budget of the month does not allow it").await.map(|_| has_grown);
        }
        let is_dry = app.settings.number_reserve_dry_run;
        let order = Order {
            reference: format!("reserve-{}-{}", wish.region, offer.number.digits()),
            carrier_id: carrier.id().to_owned(),
            region: wish.region.clone(),
            number: offer.number,
            state: if is_dry { "planned" } else { "pending" }.to_owned(),
            cost_micros: cost.map_or(0, |cost| cost.micros),
            currency: cost.map(|cost| cost.currency.as_str().to_owned()).unwrap_or_default(),
            created_at: now,
        };
        let noted = order.clone();
        let is_new = app.db.write(Lane::Any, move |db| note(db, now, &noted)).await?;
        tracing::info!(number = %order.number.as_str(), region = %wish.region, dry_run = is_dry, is_new,
            "a number for the reserve");
        if is_new && !is_dry {
            has_grown |= pursue(app, order).await?;
        }
    }
    Ok(has_grown)
}

/// Makes an order, or asks how far it is.
async fn pursue(app: &App, order: Order) -> Result<bool> {
    let Some(carrier) = app.carriers.get(&order.carrier_id) else { return Ok(false) };
    let request = NumberOrder {
        number: order.number.clone(),
        reference: order.reference.clone(),
        callback_base: format!("{}/carriers/{}", app.settings.public_url, order.carrier_id),
    };
    match carrier.order_number(&request).await {
        Ok(ordered) => {
            let now = app.now();
            app.db.write(Lane::Any, move |db| settle(db, now, &order, ordered.state)).await
        }
        Err(error) => {
            tracing::warn!(reference = %order.reference, reason = %error, "an order is asked for again");
            Ok(false)
        }
    }
}

async fn short(app: &App, wish: &Wish, why: &str) -> Result<bool> {
    let (now, region, why) = (app.now(), wish.region.clone(), why.to_owned());
    let raise = move |db: &mut Db| alarms::raise(db, now, alarms::RESERVE_SHORT, &region, &why);
    app.db.write(Lane::Any, raise).await?;
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Currency;

    #[test]
    fn what_is_missing_is_ordered_a_few_at_a_time() {
        let wish = Wish { region: "US".to_owned(), spare: 20 };
        let table =
            [((100, 80, 0), 0), ((100, 85, 0), 5), ((100, 85, 5), 0), ((100, 85, 3), 2), ((0, 0, 0), 10)];
        for ((available, held, pending), wanted) in table {
            assert_eq!(
                missing(&wish, Stock { available, held, pending }),
                wanted,
                "{available} {held} {pending}"
            );
        }
    }

    #[test]
    fn the_budget_holds() {
        let money = |amount, currency| Money::parse(amount, Currency::parse(currency).unwrap());
        let budget = money("5.00", "USD");
        assert!(is_affordable(money("1.15", "USD"), 3_850_000, budget));
        assert!(!is_affordable(money("1.15", "USD"), 3_850_001, budget));
        assert!(!is_affordable(money("1.15", "EUR"), 0, budget), "another currency");
        assert!(!is_affordable(None, 0, budget), "no price is told");
        assert!(!is_affordable(money("0.01", "USD"), 0, None), "nothing is allowed");
    }
}
