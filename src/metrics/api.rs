//! What the machinery around us asks: is it alive, is it ready, how is it doing; and the middleware that counts.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::middleware::Next;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpMessage, HttpResponse};

use super::Snapshot;
use crate::accounts::auth::WhoCalled;
use crate::app::App;
use crate::carriers::health::Health;
use crate::contacts::carddav;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::http::RequestId;
use crate::live::Live;
use crate::messaging::pace;
use crate::watch::{self, CarrierState};
use crate::{alarms, contacts, numbers, queue};

/// A database that takes longer is not one to send people to.
const PATIENCE: Duration = Duration::from_secs(2);

/// The operator's doors. They tell nothing about anybody, so they need no key; a reverse proxy need not show them.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.route("/healthz", web::get().to(healthz))
        .route("/readyz", web::get().to(readyz))
        .route("/metrics", web::get().to(metrics));
}

/// Whether this process is on its way out.
#[derive(Debug, Default)]
pub struct Readiness {
    stopping: AtomicBool,
}

impl Readiness {
    /// From now on `/readyz` says no, so that nobody new is sent here.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }
}

async fn healthz() -> HttpResponse {
    plain("alive\n")
}

async fn readyz(app: web::Data<App>, readiness: web::Data<Readiness>) -> Result<HttpResponse> {
    if readiness.stopping.load(Ordering::Relaxed) {
        return Err(Error::unavailable("stopping", "The service is stopping."));
    }
    let asked = app.db.read(|db: &mut Db| queue::next_due(db).map(|_| ()));
    let answered = tokio::time::timeout(PATIENCE, asked).await;
    let slow = |_| Error::unavailable("database_slow", "The database does not answer in time.");
    // The tables are there (this one was read), because `serve` migrates before it listens.
    answered.map_err(slow)?.map_err(|e| match e.kind() {
        crate::error::Kind::Unavailable => e,
        _ => Error::unavailable("database_not_ready", "The database is not ready.").with_source(e),
    })?;
    Ok(plain("ready\n"))
}

fn plain(text: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .content_type("text/plain; charset=utf-8")
        .body(text)
}

async fn metrics(app: web::Data<App>, live: web::Data<Live>) -> Result<HttpResponse> {
    let snapshot = app.db.read(read_snapshot).await?;
    let figures = app.db.figures();
    let waiting = figures.waiting.load(Ordering::Relaxed);
    let calls = app.media.figures();
    let snapshot = Snapshot {
        commits: figures.commits.load(Ordering::Relaxed),
        operations: figures.operations.load(Ordering::Relaxed),
        replays: figures.replays.load(Ordering::Relaxed),
        waiting: i64::try_from(waiting).unwrap_or(i64::MAX),
        sockets: live.open_count(),
        call_legs: i64::try_from(calls.legs).unwrap_or(i64::MAX),
        call_frames: [("in", calls.frames_in), ("out", calls.frames_out), ("dropped", calls.frames_dropped)],
        call_strangers: calls.strangers,
        ..snapshot
    };
    let text = app.metrics.render(&snapshot)?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(text))
}

fn read_snapshot(db: &mut Db) -> Result<Snapshot> {
    Ok(Snapshot {
        jobs: queue::counts(db)?,
        numbers: numbers::counts(db)?,
        contacts_waiting: contacts::count_waiting(db)?,
        largest_holding: numbers::largest_holding(db)?,
        carriers: watch::states(db)?.iter().map(|s| (s.carrier_id.clone(), health(s))).collect(),
        sms_waiting: pace::waiting(db)?.into_iter().map(|(carrier, count, _)| (carrier, count)).collect(),
        alarms: alarms::counts(db)?,
        ..Snapshot::default()
    })
}

fn health(state: &CarrierState) -> i64 {
    match state.health {
        _ if state.is_avoided() => 0,
        Health::Down => 0,
        Health::Degraded => 1,
        Health::Well => 2,
    }
}

/// Middleware, the outermost: counts every request and logs a line for it, with its route and without its path.
pub async fn observe<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let began = Instant::now();
    let app = request.app_data::<web::Data<App>>().cloned();
    let response = next.call(request).await?;
    let took = began.elapsed();
    let request = response.request();
    let (method, status) = (request.method().as_str(), response.status());
    let route = match request.path().starts_with(carddav::ROOT) {
        // Phones ask all day: no table of patterns is gone through for them a second time.
        true => carddav::ROOT.to_owned(),
        false => request.match_pattern().unwrap_or_else(|| "unknown".to_owned()),
    };
    if let Some(app) = app {
        app.metrics.request(method, &route, status.as_u16(), took);
    }
    let extensions = request.extensions();
    let id = extensions.get::<RequestId>().map_or("", |id| id.0.as_str());
    let account = extensions.get::<WhoCalled>().map(|who| tracing::field::display(who.0));
    let took_ms = took.as_secs_f64() * 1_000.0;
    if status.is_success() || status.is_redirection() || status.is_informational() {
        tracing::debug!(
            request.id = id,
            account.id = account,
            method,
            route,
            status = status.as_u16(),
            took_ms,
            "answered"
        );
    } else {
        tracing::info!(
            request.id = id,
            account.id = account,
            method,
            route,
            status = status.as_u16(),
            took_ms,
            "answered"
        );
    }
    drop(extensions);
    Ok(response)
}
