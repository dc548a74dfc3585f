//! Alarms over REST, for operators.

use actix_web::{get, post, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::Alarm;
use crate::accounts::auth::Admin;
use crate::accounts::ranges;
use crate::app::App;
use crate::clock::Timestamp;
use crate::db::Lane;
use crate::error::{Error, Result};
use crate::http::{Page, Paging, Problems};
use crate::ids::AlarmId;

/// The operator's alarms.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(list_alarms).service(acknowledge_alarm);
}

/// Something that an operator should look at.
#[derive(Serialize, ToSchema)]
struct AlarmView {
    /// `alm_…`
    #[schema(value_type = String)]
    id: AlarmId,
    /// `carrier_down`, `carrier_degraded`, `codes_pumped`, `number_unwell` or `reserve_short`.
    kind: String,
    /// About what: a carrier, a range of numbers, one of our numbers.
    subject: String,
    /// A sentence.
    detail: String,
    /// How often it was noticed.
    count: i64,
    /// When first.
    #[schema(value_type = String, format = DateTime)]
    first_at: Timestamp,
    /// When last.
    #[schema(value_type = String, format = DateTime)]
    last_at: Timestamp,
    /// When somebody said that he has seen it.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    acknowledged_at: Option<Timestamp>,
}

impl From<Alarm> for AlarmView {
    fn from(alarm: Alarm) -> Self {
        let Alarm { id, kind, subject, detail, count, first_at, last_at, acknowledged_at } = alarm;
        AlarmView { id, kind, subject, detail, count, first_at, last_at, acknowledged_at }
    }
}

/// Which alarms are wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListAlarms {
    /// `open` (the usual) or `all`.
    state: Option<String>,
}

/// List the alarms
///
/// Newest first.
#[utoipa::path(tag = "admin", security(("bearer" = [])), params(Paging, ListAlarms),
    responses((status = 200, body = Page<AlarmView>), Problems))]
#[get("/v1/admin/alarms")]
async fn list_alarms(
    _: Admin,
    app: web::Data<App>,
    paging: web::Query<Paging>,
    wanted: web::Query<ListAlarms>,
) -> Result<web::Json<Page<AlarmView>>> {
    let (limit, before) = (paging.limit()?, paging.after::<AlarmId>()?);
    let open = match wanted.state.as_deref() {
        None | Some("open") => true,
        Some("all") => false,
        Some(_) => return Err(Error::invalid("state", "bad_state", "A state is open or all.")),
    };
    let found = app.db.read(move |db| super::list(db, open, before, limit + 1)).await?;
    let items = found.into_iter().map(AlarmView::from).collect();
    Ok(web::Json(Page::from_extra(items, limit, |alarm: &AlarmView| alarm.id.to_string())))
}

/// Acknowledge an alarm
///
/// It is open no longer; the same thing noticed again opens a new one. For `codes_pumped` this also lets codes go to that
/// range again.
#[utoipa::path(tag = "admin", security(("bearer" = [])), params(("id" = String, Path, description = "`alm_…`")),
    responses((status = 200, body = AlarmView), Problems))]
#[post("/v1/admin/alarms/{id}/acknowledge")]
async fn acknowledge_alarm(
    admin: Admin,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<web::Json<AlarmView>> {
    let id: AlarmId = id.parse().map_err(|_| Error::not_found("alarm"))?;
    let now = app.now();
    let write = app.db.write(Lane::Any, move |db| {
        let alarm = super::acknowledge(db, now, id)?;
        if alarm.kind == super::CODES_PUMPED {
            ranges::forgive(db, &alarm.subject)?;
        }
        Ok(alarm)
    });
    let alarm = write.await?;
    tracing::info!(alarm.id = %id, by = ?admin.account, "an operator has seen an alarm");
    Ok(web::Json(alarm.into()))
}
