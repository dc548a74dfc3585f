//! SMS, carriers and jobs over REST, for operators. Nothing here shows what anybody wrote.

use std::time::Duration;

use actix_web::{get, post, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::preview::PriceView;
use crate::accounts::auth::Admin;
use crate::app::App;
use crate::carriers::CarrierSettings;
use crate::clock::Timestamp;
use crate::error::{Error, Kind, Result};
use crate::http::{Page, Paging, Problems};
use crate::ids::{AccountId, JobId, MessageId, OutboundSmsId};
use crate::messaging::ledger::{self, Entry, Filter, Traffic, Word};
use crate::messaging::price::Price;
use crate::queue;

/// Hours that a series reaches back at most: three months.
const HOURS_MAX: u32 = 24 * 92;
const HOUR: Duration = Duration::from_secs(3_600);

/// An SMS that leaves or has left, without its text.
#[derive(Serialize, ToSchema)]
pub(super) struct SmsView {
    /// `sms_…`
    #[schema(value_type = String)]
    id: OutboundSmsId,
    /// The message of a conversation that it carries, when it does.
    #[schema(required, value_type = Option<String>)]
    message_id: Option<MessageId>,
    /// `message`, `verification` or `notice`.
    purpose: String,
    /// The carrier.
    carrier: String,
    /// Our number.
    from: String,
    /// The handset's number, masked.
    to: String,
    /// `queued`, `sending`, `sent`, `delivered`, `undelivered`, `failed` or `unknown`.
    state: String,
    /// Segments.
    segments: i16,
    /// How often it was tried.
    attempts: i32,
    /// Why it did not arrive, or is not known to.
    #[schema(required)]
    error: Option<String>,
    /// When it was queued.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When something was last heard of it.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<&Entry> for SmsView {
    fn from(entry: &Entry) -> Self {
        SmsView {
            id: entry.id,
            message_id: entry.message,
            purpose: entry.purpose.clone(),
            carrier: entry.carrier_id.clone(),
            from: entry.from.as_str().to_owned(),
            to: entry.to.masked(),
            state: entry.state.clone(),
            segments: entry.segment_count,
            attempts: entry.attempts,
            error: entry.error_code.clone(),
            created_at: entry.created_at,
            updated_at: entry.updated_at,
        }
    }
}

/// Which SMS are wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListSms {
    /// States, with commas between: `queued,sending,unknown`.
    state: Option<String>,
    /// A carrier's id.
    carrier: Option<String>,
    /// `message`, `verification` or `notice`.
    purpose: Option<String>,
    /// An error's code.
    error: Option<String>,
}

/// List the SMS that leave or have left
///
/// Newest first, without their texts.
#[utoipa::path(tag = "admin", security(("bearer" = [])), params(Paging, ListSms),
    responses((status = 200, body = Page<SmsView>), Problems))]
#[get("/v1/admin/messages")]
pub(super) async fn list_sms(
    _: Admin,
    app: web::Data<App>,
    paging: web::Query<Paging>,
    wanted: web::Query<ListSms>,
) -> Result<web::Json<Page<SmsView>>> {
    let (limit, before) = (paging.limit()?, paging.after::<OutboundSmsId>()?);
    let ListSms { state, carrier, purpose, error } = wanted.into_inner();
    let states = state.iter().flat_map(|text| text.split(',')).map(str::to_owned).collect();
    let filter = Filter { states, carrier, purpose, error };
    let found = app.db.read(move |db| ledger::list(db, &filter, before, limit + 1)).await?;
    let items = found.iter().map(SmsView::from).collect();
    Ok(web::Json(Page::from_extra(items, limit, |sms: &SmsView| sms.id.to_string())))
}

/// One step of an SMS on its way.
#[derive(Serialize, ToSchema)]
pub(super) struct StepView {
    /// `written`, `queued`, `accepted` (the carrier took it), a receipt's state, or where it stands now.
    step: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

/// How an SMS has travelled.
#[derive(Serialize, ToSchema)]
pub(super) struct TraceView {
    /// The SMS.
    sms: SmsView,
    /// The carrier's own id of it, for asking the carrier.
    #[schema(required)]
    carrier_message_id: Option<String>,
    /// The steps, oldest first.
    steps: Vec<StepView>,
}

/// Show how an SMS has travelled
///
/// Every step and every word of the carrier's, without the text.
#[utoipa::path(tag = "admin", security(("bearer" = [])), params(("id" = String, Path, description = "`sms_…`")),
    responses((status = 200, body = TraceView), Problems))]
#[get("/v1/admin/messages/{id}")]
pub(super) async fn find_sms(
    _: Admin,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<web::Json<TraceView>> {
    let id = sms_id(&id)?;
    let read = app.db.read(move |db| {
        let entry = ledger::load(db, id)?;
        let written = entry.message.map(|message| ledger::written_at(db, message)).transpose()?.flatten();
        let words = ledger::words(db, &entry)?;
        Ok((entry, written, words))
    });
    let (entry, written, words) = read.await?;
    Ok(web::Json(trace(&entry, written, &words)))
}

fn sms_id(text: &str) -> Result<OutboundSmsId> {
    text.parse().map_err(|_| Error::not_found("SMS"))
}

fn trace(entry: &Entry, written: Option<Timestamp>, words: &[Word]) -> TraceView {
    let step = |step: &str, at| StepView { step: step.to_owned(), at };
    let mut steps: Vec<StepView> = written.map(|at| step("written", at)).into_iter().collect();
    steps.push(step("queued", entry.created_at));
    steps.extend(words.iter().map(|word| step(&word.state, word.at)));
    let known = ["queued"].contains(&entry.state.as_str())
        || words.iter().any(|word| word.state == entry.state)
        || (entry.state == "sent" && !words.is_empty());
    if !known {
        steps.push(step(&entry.state, entry.updated_at));
    }
    TraceView { sms: entry.into(), carrier_message_id: entry.carrier_message_id.clone(), steps }
}

/// What has become of an SMS.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DecideSms {
    /// `sent` or `failed`.
    state: String,
}

/// Decide on an SMS that stayed `unknown`
///
/// For when neither a receipt came nor the carrier could tell. It is never sent again by this; `failed` lets the writer
/// try again. A later word of the carrier's still counts.
#[utoipa::path(tag = "admin", security(("bearer" = [])), params(("id" = String, Path, description = "`sms_…`")),
    responses((status = 200, body = SmsView), Problems))]
#[post("/v1/admin/messages/{id}/decide")]
pub(super) async fn decide_sms(
    admin: Admin,
    app: web::Data<App>,
    id: web::Path<String>,
    body: web::Json<DecideSms>,
) -> Result<web::Json<SmsView>> {
    let id = sms_id(&id)?;
    let arrived = decision(&body.state)?;
    let now = app.now();
    let decided = app.db.write(crate::db::Lane::Any, move |db| ledger::decide(db, now, id, arrived)).await?;
    tracing::info!(sms.id = %id, by = ?admin.account, arrived, "an operator decided on an SMS");
    Ok(web::Json(SmsView::from(&decided)))
}

/// SMS decided by one request at most.
const DECIDED_MAX: i64 = 500;

/// What has become of many SMS.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DecideMany {
    /// `sent` or `failed`.
    state: String,
    /// Only those through this carrier.
    carrier: Option<String>,
    /// Only those that were queued at this time or later.
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Only those that were queued before this time.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// How many at most, 1 to 500, by default 100; the oldest first.
    limit: Option<i64>,
}

/// How many were decided.
#[derive(Serialize, ToSchema)]
pub(super) struct DecidedView {
    /// SMS that are decided now.
    count: usize,
    /// Whether there are more of them.
    more: bool,
}

/// Decide on many SMS that stayed `unknown`
///
/// As for a single one, after a carrier had a bad hour. Ask again while there are `more`.
#[utoipa::path(tag = "admin", security(("bearer" = [])), responses((status = 200, body = DecidedView), Problems))]
#[post("/v1/admin/messages/decide")]
pub(super) async fn decide_many_sms(
    admin: Admin,
    app: web::Data<App>,
    body: web::Json<DecideMany>,
) -> Result<web::Json<DecidedView>> {
    let DecideMany { state, carrier, since, until, limit } = body.into_inner();
    let arrived = decision(&state)?;
    let limit = limit.unwrap_or(100);
    if !(1..=DECIDED_MAX).contains(&limit) {
        return Err(Error::invalid("limit", "out_of_range", "limit must be between 1 and 500."));
    }
    let which = ledger::Undecided { carrier, since, until };
    let mut ids = app.db.read(move |db| ledger::list_undecided(db, &which, limit + 1)).await?;
    let page = usize::try_from(limit).unwrap_or_default();
    let more = ids.len() > page;
    ids.truncate(page);
    let (app, by) = (app.get_ref().clone(), admin.account);
    // To the end also when whoever has asked is gone: what was asked for is done, and said of each in the log.
    let deciding = actix_web::rt::spawn(async move { decide_each(&app, by, ids, arrived).await });
    let broken = |error| Error::internal("not all SMS were decided").with_source(error);
    let count = deciding.await.map_err(broken)??;
    Ok(web::Json(DecidedView { count, more }))
}

/// Each by itself: a carrier's word may settle one of them meanwhile, and it takes both its sides' locks.
async fn decide_each(
    app: &App,
    by: Option<AccountId>,
    ids: Vec<OutboundSmsId>,
    arrived: bool,
) -> Result<usize> {
    let (now, mut count) = (app.now(), 0);
    for id in ids {
        match app.db.write(crate::db::Lane::Any, move |db| ledger::decide(db, now, id, arrived)).await {
            Ok(_) => {
                count += 1;
                tracing::info!(sms.id = %id, ?by, arrived, "an operator decided on an SMS");
            }
            Err(error) if matches!(error.kind(), Kind::Conflict | Kind::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    tracing::info!(?by, arrived, count, "an operator decided on many SMS");
    Ok(count)
}

fn decision(state: &str) -> Result<bool> {
    match state {
        "sent" => Ok(true),
        "failed" => Ok(false),
        _ => Err(Error::invalid("state", "not_a_decision", "It is `sent` or `failed`.")),
    }
}

/// How far back.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Since {
    /// Hours, 1 to 2208, by default 24.
    hours: Option<u32>,
}

impl Since {
    fn from(&self, now: Timestamp) -> Result<Timestamp> {
        match self.hours.unwrap_or(24) {
            hours @ 1..=HOURS_MAX => Ok(now.minus(HOUR * hours)),
            _ => Err(Error::invalid("hours", "out_of_range", "hours must be between 1 and 2208.")),
        }
    }
}

/// How many SMS there were in an hour.
#[derive(Serialize, ToSchema)]
pub(super) struct TrafficView {
    /// When the hour began.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The carrier of what left; null for what came.
    #[schema(required)]
    carrier: Option<String>,
    /// Where they stand now; `received` for what came.
    state: String,
    /// SMS.
    count: i64,
    /// Segments of what left.
    segments: i64,
    /// What those segments cost at the price that is set for the carrier now, of what it has taken; absent without a
    /// price.
    #[schema(required)]
    cost: Option<PriceView>,
}

/// States in which a carrier has taken an SMS, and bills it: also what it could not deliver.
const BILLED: [&str; 5] = ["sent", "delivered", "read", "undelivered", "unknown"];

impl TrafficView {
    fn new(
        Traffic { at, carrier_id, state, count, segments }: Traffic,
        carriers: &[CarrierSettings],
    ) -> Self {
        let carrier = carrier_id.as_deref().filter(|_| BILLED.contains(&state.as_str()));
        let price = carrier.and_then(|id| Price::of(carriers, Some(id)));
        let cost = price.map(|price| price.times(u64::try_from(segments).unwrap_or(0)));
        let cost = cost.map(|cost| PriceView { amount: cost.amount(), currency: cost.currency });
        TrafficView { at, carrier: carrier_id, state, count, segments, cost }
    }
}

/// SMS by hour.
#[derive(Serialize, ToSchema)]
pub(super) struct TrafficSeriesView {
    /// From when on.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// Hours with nothing are left out.
    items: Vec<TrafficView>,
}

/// Count the SMS by hour
#[utoipa::path(tag = "admin", security(("bearer" = [])), params(Since),
    responses((status = 200, body = TrafficSeriesView), Problems))]
#[get("/v1/admin/traffic")]
pub(super) async fn list_traffic(
    _: Admin,
    app: web::Data<App>,
    since: web::Query<Since>,
) -> Result<web::Json<TrafficSeriesView>> {
    let since = since.from(app.now())?;
    let found = app.db.read(move |db| ledger::traffic(db, since)).await?;
    let items = found.into_iter().map(|row| TrafficView::new(row, &app.settings.carriers)).collect();
    Ok(web::Json(TrafficSeriesView { since, items }))
}

/// A piece of work that waits, runs or was given up.
#[derive(Serialize, ToSchema)]
pub(super) struct JobView {
    /// `job_…`
    #[schema(value_type = String)]
    id: JobId,
    /// What it does.
    kind: String,
    /// `ready`, `running`, `parked` (waits for its turn at a carrier) or `dead`.
    state: String,
    /// How often it was tried.
    attempts: i32,
    /// When it is due.
    #[schema(value_type = String, format = DateTime)]
    run_at: Timestamp,
    /// Why it failed the last time.
    #[schema(required)]
    last_error: Option<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// Which jobs are wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListJobs {
    /// `ready`, `running`, `parked` (waits for its turn at a carrier) or `dead`.
    state: Option<String>,
}

/// List the jobs, newest first
#[utoipa::path(tag = "admin", security(("bearer" = [])), params(Paging, ListJobs),
    responses((status = 200, body = Page<JobView>), Problems))]
#[get("/v1/admin/jobs")]
pub(super) async fn list_jobs(
    _: Admin,
    app: web::Data<App>,
    paging: web::Query<Paging>,
    wanted: web::Query<ListJobs>,
) -> Result<web::Json<Page<JobView>>> {
    let (limit, before, state) = (paging.limit()?, paging.after::<JobId>()?, wanted.into_inner().state);
    let found = app.db.read(move |db| queue::list(db, state.as_deref(), before, limit + 1)).await?;
    let view = |job: queue::Listed| JobView {
        id: job.id,
        kind: job.kind,
        state: job.state,
        attempts: job.attempts,
        run_at: job.run_at,
        last_error: job.last_error,
        created_at: job.created_at,
    };
    let items = found.into_iter().map(view).collect();
    Ok(web::Json(Page::from_extra(items, limit, |job: &JobView| job.id.to_string())))
}
