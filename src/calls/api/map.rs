//! The public call-quality map, and the operator's records.

use std::sync::Arc;
use std::time::Duration;

use actix_web::{get, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::accounts::auth::Admin;
use crate::app::App;
use crate::calls::quality::{self, Group, MINIMUM_CALLS, MINIMUM_PEOPLE, WINDOW};
use crate::calls::records::{self, Record};
use crate::calls::view::CallQuality;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::http::{Page, Paging, Problems};
use crate::ids::CallLegId;

/// The doors of figures.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(find_call_quality).service(list_call_records);
}

/// Which part of the map.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OfRegion {
    /// Only this region (ISO 3166, `US`).
    region: Option<String>,
}

/// One network in one region.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct NetworkQuality {
    /// The network: how the device was connected, or which carrier had the call.
    pub network: String,
    /// ISO 3166.
    pub region: String,
    /// How many calls.
    pub calls: i64,
    /// Their mean opinion (E-model), 1 to 4.5.
    pub mos: f64,
    /// What they lost on average, 0 to 1.
    pub loss: f64,
    /// How unevenly they came on average.
    pub jitter_ms: f64,
}

impl From<Group> for NetworkQuality {
    fn from(group: Group) -> Self {
        let Group { network, region, calls, mos, loss, jitter_ms } = group;
        NetworkQuality { network, region, calls, mos, loss, jitter_ms }
    }
}

/// How calls sound, network by network.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct CallQualityMap {
    /// RFC 3339.
    pub from: String,
    /// RFC 3339.
    pub to: String,
    /// Groups of fewer calls are left out, so that nobody finds a single one here.
    pub minimum_calls: i64,
    /// And groups of fewer people.
    pub minimum_people: usize,
    /// The largest group first.
    pub networks: Vec<NetworkQuality>,
}

/// The map as it was made last: anybody may ask for it, and what it is made of is tens of thousands of rows.
#[derive(Default)]
pub struct Map(tokio::sync::Mutex<Option<(Timestamp, Arc<Vec<Group>>)>>);

/// So long the map is as it was made.
const MAP_LASTS: Duration = Duration::from_secs(60);

impl Map {
    /// The map, and when it was made. Whoever asks while it is being made waits for it.
    async fn made(&self, app: &App) -> Result<(Timestamp, Arc<Vec<Group>>)> {
        let now = app.now();
        let mut made = self.0.lock().await;
        if let Some((at, groups)) = made.as_ref().filter(|(at, _)| now.since(*at) < MAP_LASTS) {
            return Ok((*at, groups.clone()));
        }
        let since = now.minus(WINDOW);
        let groups = Arc::new(app.db.read(move |db| quality::groups(db, since)).await?);
        *made = Some((now, groups.clone()));
        Ok((now, groups))
    }
}

/// Shows how calls have sounded in the last 30 days, by network and region. Open to everybody; made anew once a minute.
#[utoipa::path(tag = "calls", params(OfRegion), responses((status = 200, body = CallQualityMap), Problems))]
#[get("/v1/call-quality")]
async fn find_call_quality(
    app: web::Data<App>,
    map: web::Data<Map>,
    of: web::Query<OfRegion>,
) -> Result<web::Json<CallQualityMap>> {
    let region = of.into_inner().region.map(|region| region.to_ascii_uppercase());
    let (at, groups) = map.made(&app).await?;
    let wanted = groups.iter().filter(|group| region.as_ref().is_none_or(|region| group.region == *region));
    Ok(web::Json(CallQualityMap {
        from: at.minus(WINDOW).to_rfc3339(),
        to: at.to_rfc3339(),
        minimum_calls: MINIMUM_CALLS,
        minimum_people: MINIMUM_PEOPLE,
        networks: wanted.cloned().map(NetworkQuality::from).collect(),
    }))
}

/// What is left of one end of a call.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct CallRecord {
    /// `leg_…`
    pub id: String,
    /// `call_…`
    pub call_id: String,
    /// `caller` or `callee`.
    pub side: String,
    /// `phone` or `browser`.
    pub kind: String,
    /// The carrier, or `browser`.
    pub route: String,
    /// The calling number, masked.
    pub from: Option<String>,
    /// The called number, masked.
    pub to: Option<String>,
    /// Why it ended.
    pub cause: Option<String>,
    /// RFC 3339.
    pub started_at: String,
    /// RFC 3339.
    pub answered_at: Option<String>,
    /// RFC 3339.
    pub ended_at: Option<String>,
    /// Seconds from its answer to its end.
    pub seconds: Option<i64>,
    /// `pcmu` or `opus`.
    pub codec: Option<String>,
    /// How good it was.
    pub quality: Option<CallQuality>,
}

impl From<Record> for CallRecord {
    fn from(record: Record) -> Self {
        let leg = record.leg;
        CallRecord {
            id: leg.id.to_string(),
            call_id: leg.call.to_string(),
            side: leg.side.as_str().to_owned(),
            kind: leg.kind.as_str().to_owned(),
            route: record.route,
            from: leg.from.map(|number| number.masked()),
            to: leg.to.map(|number| number.masked()),
            cause: leg.cause,
            started_at: leg.created_at.to_rfc3339(),
            answered_at: leg.answered_at.map(|at| at.to_rfc3339()),
            ended_at: leg.ended_at.map(|at| at.to_rfc3339()),
            seconds: record.seconds,
            codec: record.codec,
            quality: record.quality,
        }
    }
}

/// Which calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RecordState {
    /// Calls of this moment.
    Open,
    /// What is left of those that are over.
    Ended,
}

/// Which records.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListCallRecords {
    /// Those that are over, when nothing is said.
    #[param(inline)]
    pub state: Option<RecordState>,
}

/// Lists the ends of calls, newest first: what is left of those that are over, or those of this moment.
#[utoipa::path(tag = "admin", security(("bearer" = [])), params(ListCallRecords, Paging),
    responses((status = 200, body = Page<CallRecord>), Problems))]
#[get("/v1/admin/call-records")]
async fn list_call_records(
    app: web::Data<App>,
    _admin: Admin,
    of: web::Query<ListCallRecords>,
    paging: web::Query<Paging>,
) -> Result<web::Json<Page<CallRecord>>> {
    let open = of.state == Some(RecordState::Open);
    let (limit, before) = (paging.limit()?, paging.after::<CallLegId>()?);
    let found = app.db.read(move |db| records::list(db, open, before, limit + 1)).await?;
    let items = found.into_iter().map(CallRecord::from).collect();
    Ok(web::Json(Page::from_extra(items, limit, |record: &CallRecord| record.id.clone())))
}
