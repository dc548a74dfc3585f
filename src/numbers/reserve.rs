//! A reserve of numbers in each region, ordered from a carrier within a monthly budget.
//!
//! Once an hour: what is missing is searched at the carrier and ordered one by one ([`super::orders`]). The usual is a dry
//! run, which only says what it would order.

use std::time::Duration;

use super::Capabilities;
use super::orders::{self, Order};
use crate::alarms;
use crate::app::App;
use crate::carriers::goods::OFFERS_MAX;
use crate::carriers::{Carrier, Features, NumberKind, NumberQuery, OfferedNumber};
use crate::clock::Timestamp;
use crate::config::Wish;
use crate::db::{Db, Lane};
use crate::error::Result;
use crate::money::Money;

/// How often the reserve is looked at.
pub const EVERY: Duration = Duration::from_secs(3_600);
/// Numbers ordered in one round at most: a mistake in the settings must not empty the purse at once.
const ORDERS_PER_ROUND: i64 = 10;

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

/// How many numbers are missing.
pub fn missing(wish: &Wish, stock: Stock) -> i64 {
    (wish.spare - (stock.available - stock.held) - stock.pending).max(0)
}

/// What an offer costs within the first month; `None` when the carrier does not say.
pub fn cost_of(offer: &OfferedNumber) -> Option<Money> {
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

/// When the month began.
fn month_of(now: Timestamp) -> Timestamp {
    let month = now.to_rfc3339().chars().take(7).collect::<String>();
    Timestamp::from_rfc3339(&format!("{month}-01T00:00:00Z")).unwrap_or_default()
}

fn stock_of(db: &mut Db, region: &str) -> Result<Stock> {
    let counts = super::counts(db)?;
    let available = counts.iter().find(|(r, state, _)| r == region && state == "available");
    Ok(Stock {
        available: available.map_or(0, |(_, _, count)| *count),
        held: super::largest_holding(db)?,
        pending: orders::count_open(db, region)?,
    })
}

/// One round. Answers whether the pool has grown, so that the caller serves those who wait.
pub async fn keep(app: &App) -> Result<bool> {
    let mut has_grown = orders::pursue_all(app).await?;
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
    // More than are missing: some of them may have been refused before, and are offered again and again.
    let query = NumberQuery {
        region: wish.region.clone(),
        kind: NumberKind::Local,
        area: None,
        features: Features { sms: true, ..Features::default() },
        limit: OFFERS_MAX,
    };
    let offers = match carrier.search_numbers(&query).await {
        Ok(offers) => offers,
        Err(error) => return short(app, wish, &format!("the search failed: {}", error.code)).await,
    };
    let is_dry = app.settings.number_reserve_dry_run;
    // What a dry run has planned and is still offered counts as if it were there: in number and in money.
    let (mut has_grown, mut ordered, mut planned, mut planned_micros) = (false, 0, 0, 0_i64);
    for offer in offers {
        if ordered + planned >= count || ordered == ORDERS_PER_ROUND {
            break;
        }
        let now = app.now();
        let reference = format!("reserve-{}-{}", wish.region, offer.number.digits());
        let asked = reference.clone();
        let read =
            move |db: &mut Db| Ok((orders::find_state(db, &asked)?, orders::spent(db, month_of(now))?));
        let (state, spent) = app.db.read(read).await?;
        let cost = cost_of(&offer);
        match state.as_deref() {
            Some(orders::PLANNED) if is_dry => {
                planned += 1;
                planned_micros = planned_micros.saturating_add(cost.map_or(0, |cost| cost.micros));
                continue;
            }
            None | Some(orders::PLANNED) => {}
            Some(_) => continue,
        }
        if !is_affordable(cost, spent.saturating_add(planned_micros), app.settings.number_reserve_budget) {
            return short(app, wish, "the budget of the month does not allow it").await.map(|_| has_grown);
        }
        let order = Order {
            reference,
            carrier_id: carrier.id().to_owned(),
            region: wish.region.clone(),
            number: offer.number,
            state: if is_dry { orders::PLANNED } else { "pending" }.to_owned(),
            cost_micros: cost.map_or(0, |cost| cost.micros),
            currency: cost.map(|cost| cost.currency.as_str().to_owned()).unwrap_or_default(),
            created_at: now,
            capabilities: Capabilities::of(offer.features).0,
        };
        let noted = order.clone();
        if !app.db.write(Lane::Any, move |db| orders::note(db, now, &noted)).await? {
            continue;
        }
        ordered += 1;
        if is_dry {
            planned_micros = planned_micros.saturating_add(order.cost_micros);
        }
        tracing::info!(number = %order.number.masked(), region = %wish.region, dry_run = is_dry,
            "a number for the reserve");
        if !is_dry {
            has_grown |= orders::pursue(app, order).await?.0;
        }
    }
    if ordered == 0 && !is_dry {
        return short(app, wish, "the carrier offers no number that was not ordered before").await;
    }
    Ok(has_grown)
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
    fn what_is_missing_follows_from_wish_and_stock() {
        let wish = Wish { region: "US".to_owned(), spare: 20 };
        let table =
            [((100, 80, 0), 0), ((100, 85, 0), 5), ((100, 85, 5), 0), ((100, 85, 3), 2), ((0, 0, 0), 20)];
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
