//! How our numbers are doing, for operators: what arrived from each, and what carriers hold against it.

use std::time::Duration;

use actix_web::{get, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::accounts::auth::Admin;
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::{Page, Paging, Problems};
use crate::ids::NumberId;
use crate::messaging::ledger::{self, NumberFigures};
use crate::numbers;
use crate::phone::E164;

/// Days that are looked back at most: as long as SMS are kept.
const DAYS_MAX: u32 = 90;

/// How far back.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct LookedBack {
    /// Days, 1 to 90, by default 7.
    days: Option<u32>,
}

/// How a number is doing.
#[derive(Serialize, ToSchema)]
pub(super) struct NumberHealthView {
    /// `num_…`
    #[schema(value_type = String)]
    id: NumberId,
    /// E.164.
    number: String,
    /// The carrier it is reached through.
    carrier: String,
    /// `available`, `suspended` or `retired`.
    state: String,
    /// SMS from it that arrived.
    delivered: i64,
    /// SMS that did not.
    undelivered: i64,
    /// Of those: blocked or filtered on the way.
    blocked: i64,
    /// The part that arrived, 0 to 1; null while nothing is known.
    #[schema(required)]
    delivery_rate: Option<f64>,
    /// Whether carriers seem to hold something against it: half is lost or a fifth blocked, of 20 and more.
    unwell: bool,
}

/// Show how the numbers are doing
///
/// What became of the SMS from each number, oldest number first.
#[utoipa::path(tag = "admin", security(("bearer" = [])), params(Paging, LookedBack),
    responses((status = 200, body = Page<NumberHealthView>), Problems))]
#[get("/v1/admin/numbers/health")]
pub(super) async fn list_number_health(
    _: Admin,
    app: web::Data<App>,
    paging: web::Query<Paging>,
    back: web::Query<LookedBack>,
) -> Result<web::Json<Page<NumberHealthView>>> {
    let (limit, after) = (paging.limit()?, paging.after::<NumberId>()?);
    let days = back.days.unwrap_or(7);
    if !(1..=DAYS_MAX).contains(&days) {
        return Err(Error::invalid("days", "out_of_range", "days must be between 1 and 90."));
    }
    let since = app.now().minus(Duration::from_secs(u64::from(days) * 24 * 3_600));
    let read = app.db.read(move |db| {
        let page = numbers::list(db, after, limit + 1)?;
        let only: Vec<E164> = page.iter().map(|number| number.number.clone()).collect();
        Ok((page, ledger::by_number(db, since, Some(&only))?))
    });
    let (page, figures) = read.await?;
    let items = page.into_iter().map(|number| {
        let none = NumberFigures { number: number.number.clone(), delivered: 0, undelivered: 0, blocked: 0 };
        let found = figures.iter().find(|figures| figures.number == number.number).unwrap_or(&none);
        NumberHealthView {
            id: number.id,
            number: number.number.as_str().to_owned(),
            carrier: number.carrier_id,
            state: number.state.as_str().to_owned(),
            delivered: found.delivered,
            undelivered: found.undelivered,
            blocked: found.blocked,
            delivery_rate: found.delivery_rate(),
            unwell: found.is_unwell(),
        }
    });
    Ok(web::Json(Page::from_extra(items.collect(), limit, |n: &NumberHealthView| n.id.to_string())))
}
