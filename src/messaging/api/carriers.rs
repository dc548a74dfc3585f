//! Carriers over REST, for operators: how they are, what is on its way through them, and writing one off.

use std::sync::Arc;

use actix_web::{get, patch, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::accounts::auth::Admin;
use crate::app::App;
use crate::carriers::health::Health;
use crate::carriers::{CampaignDay, Carrier};
use crate::clock::Timestamp;
use crate::contacts::jobs::{RETIRE_CARRIER, RetireCarrier};
use crate::db::{Db, Lane};
use crate::error::{Error, Result};
use crate::http::Problems;
use crate::messaging::{ledger, pace};
use crate::{queue, watch};

/// SMS of a carrier that are on their way.
#[derive(Serialize, ToSchema)]
struct InFlightView {
    /// `queued`, `sending` or `unknown`.
    state: String,
    /// SMS.
    count: i64,
}

/// A message from one of our numbers to another one.
#[derive(Serialize, ToSchema)]
struct LoopView {
    /// When it was queued.
    #[schema(value_type = String, format = DateTime)]
    sent_at: Timestamp,
    /// When it came back; null while it is on its way, or lost.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    arrived_at: Option<Timestamp>,
}

/// A carrier of the settings.
#[derive(Serialize, ToSchema)]
pub(super) struct CarrierView {
    /// Its name in the settings.
    id: String,
    /// The wire it speaks.
    kind: String,
    /// `well`, `degraded` or `down`, from what it did with the messages of the last ten minutes.
    state: String,
    /// Since when.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Why it is not well.
    #[schema(required)]
    why: Option<String>,
    /// Since when it is written off.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    dead_since: Option<Timestamp>,
    /// When it last called us.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    last_callback_at: Option<Timestamp>,
    /// The last message between our own numbers, when such are sent (`carrier_loop_minutes`).
    #[schema(required)]
    last_loop: Option<LoopView>,
    /// SMS that wait for their turn, because the carrier takes no more just now.
    waiting: i64,
    /// Since when the first of them waits.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    waiting_since: Option<Timestamp>,
    /// What is on its way through it.
    in_flight: Vec<InFlightView>,
    /// The day of its campaign, when `campaign_segments_per_day` is set.
    #[schema(required)]
    campaign_day: Option<CampaignDayView>,
}

/// What a campaign has sent today.
#[derive(Serialize, ToSchema)]
struct CampaignDayView {
    /// Segments that have left.
    segments: i64,
    /// Segments that may leave.
    segments_max: u32,
    /// When the next day begins in the campaign's zone: what is over the limit waits until then.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
}

/// The carriers.
#[derive(Serialize, ToSchema)]
struct CarriersView {
    /// In the order of their names.
    items: Vec<CarrierView>,
}

fn view_all(db: &mut Db, carriers: &[Named]) -> Result<Vec<CarrierView>> {
    let (calls, flying) = (ledger::last_calls(db)?, ledger::in_flight(db)?);
    let (states, waiting) = (watch::states(db)?, pace::waiting(db)?);
    let mut items = Vec::with_capacity(carriers.len());
    for (id, kind, day) in carriers {
        let state = states.iter().find(|state| state.carrier_id == *id);
        let queue = waiting.iter().find(|(carrier, _, _)| carrier == id);
        let health = state.map_or(Health::Well, |state| state.health);
        let on_their_way = flying.iter().filter(|(carrier, _, _)| carrier == id);
        let last_loop = watch::last_loop(db, id)?;
        let campaign_day = match day {
            Some(day) => Some(CampaignDayView {
                segments: pace::left_today(db, id, *day)?,
                segments_max: day.segments,
                until: day.until,
            }),
            None => None,
        };
        items.push(CarrierView {
            id: id.clone(),
            kind: kind.clone(),
            state: health.as_str().to_owned(),
            since: state.map(|state| state.since),
            why: state.map(|state| state.why.clone()).filter(|why| !why.is_empty()),
            dead_since: state.and_then(|state| state.dead_since),
            last_callback_at: calls.iter().find(|(carrier, _)| carrier == id).map(|(_, at)| *at),
            last_loop: last_loop.map(|l| LoopView { sent_at: l.sent_at, arrived_at: l.arrived_at }),
            waiting: queue.map_or(0, |(_, count, _)| *count),
            waiting_since: queue.and_then(|(_, _, since)| *since),
            in_flight: on_their_way
                .map(|(_, state, count)| InFlightView { state: state.clone(), count: *count })
                .collect(),
            campaign_day,
        });
    }
    items.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(items)
}

/// A carrier's name, its wire, and the day of its campaign.
type Named = (String, String, Option<CampaignDay>);

fn named(app: &App) -> Vec<Named> {
    let now = app.now();
    let named = |carrier: &Arc<dyn Carrier>| {
        let id = carrier.id().to_owned();
        let day = app.carriers.rates(&id, now).campaign_day;
        (id, carrier.kind().to_owned(), day)
    };
    app.carriers.iter().map(named).collect()
}

/// Show how the carriers are, and what is on its way through them
#[utoipa::path(tag = "admin", security(("bearer" = [])), responses((status = 200, body = CarriersView), Problems))]
#[get("/v1/admin/carriers")]
pub(super) async fn list_carriers(_: Admin, app: web::Data<App>) -> Result<web::Json<CarriersView>> {
    let carriers = named(&app);
    let items = app.db.read(move |db| view_all(db, &carriers)).await?;
    Ok(web::Json(CarriersView { items }))
}

/// What is to change about a carrier.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateCarrier {
    /// `true`: it is written off. Its numbers are taken out of service, and every contact that had one gets another one,
    /// of another carrier; messages that wait leave from there. `false`: it is used again; its numbers come back by an
    /// import.
    dead: bool,
}

/// Write a carrier off, or take it on again
#[utoipa::path(tag = "admin", security(("bearer" = [])), params(("id" = String, Path, description = "Its name in the settings.")),
    responses((status = 200, body = CarrierView), Problems))]
#[patch("/v1/admin/carriers/{id}")]
pub(super) async fn update_carrier(
    admin: Admin,
    app: web::Data<App>,
    id: web::Path<String>,
    body: web::Json<UpdateCarrier>,
) -> Result<web::Json<CarrierView>> {
    let (now, id, dead) = (app.now(), id.into_inner(), body.dead);
    let mut carriers = named(&app);
    carriers.retain(|(carrier, ..)| *carrier == id);
    if carriers.is_empty() {
        return Err(Error::not_found("carrier"));
    }
    tracing::warn!(carrier = %id, dead, by = ?admin.account, "an operator decided on a carrier");
    let written = app.db.write(Lane::Any, move |db| {
        watch::write_off(db, now, &id, dead)?;
        if dead {
            let job = RetireCarrier { carrier_id: id.clone() };
            queue::enqueue(db, now, RETIRE_CARRIER, None, &job)?;
        }
        view_all(db, &carriers)
    });
    let view = written.await?.into_iter().next().ok_or_else(|| Error::not_found("carrier"))?;
    Ok(web::Json(view))
}
