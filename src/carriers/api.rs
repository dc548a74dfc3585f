//! Carriers call us: verify, parse, hand over, answer. A carrier is answered only after the commit.

mod voice;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, post, web};
use utoipa_actix_web::service_config::ServiceConfig;

use super::{CallbackError, CallbackRequest, Carrier, Door, Headers};
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::Problems;
use crate::messaging::arrivals::Arrivals;

/// Bytes of a callback at most; the longest SMS with all its fields has a twentieth of it, and some carriers gather
/// several events.
const CALLBACK_MAX: usize = 256 * 1024;

/// The doors for carriers.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(create_inbound_message).service(create_delivery_receipt).configure(voice::routes);
}

struct RequestHeaders<'a>(&'a HttpRequest);

impl Headers for RequestHeaders<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.headers().get(name).and_then(|value| value.to_str().ok())
    }
}

/// Finds the carrier and checks the signature over the raw body, before anything is read from it; then stores what it
/// says, and only then answers.
async fn called(
    app: &App,
    arrivals: &Arrivals,
    carrier_id: &str,
    door: Door,
    request: &HttpRequest,
    body: &[u8],
) -> Result<HttpResponse> {
    let carrier = app.carriers.get(carrier_id).cloned().ok_or_else(|| Error::not_found("carrier"))?;
    if body.len() > CALLBACK_MAX {
        return Err(Error::invalid("body", "too_large", "A callback has at most 256 KiB."));
    }
    // The address as the carrier called it: proxies in front of us may have changed scheme and host.
    let uri = request.uri();
    let path = uri.path_and_query().map_or(uri.path(), |p| p.as_str());
    let url = format!("{}{path}", app.settings.public_url);
    let headers = RequestHeaders(request);
    let method = request.method().as_str();
    let callback = CallbackRequest { method, url: &url, headers: &headers, body, now: app.now() };
    let events = match carrier.receive(door, &callback) {
        Ok(events) => events,
        Err(CallbackError::BadSignature(reason)) => {
            tracing::warn!(carrier = carrier_id, %reason, "a callback was refused");
            let asks = carrier.challenge().filter(|_| headers.get("authorization").is_none());
            return match asks {
                Some(challenge) => Ok(HttpResponse::Unauthorized()
                    .insert_header((header::WWW_AUTHENTICATE, challenge))
                    .finish()),
                None => Err(Error::forbidden("bad_signature", "The signature is missing or not good.")),
            };
        }
        Err(CallbackError::Unreadable(reason)) => {
            tracing::warn!(carrier = carrier_id, %reason, "a genuine callback cannot be read");
            let detail = format!("The callback cannot be read: {reason}.");
            return Err(Error::invalid("body", "bad_callback", detail));
        }
    };
    arrivals.take(app, carrier_id, events).await?;
    Ok(acknowledged(carrier.as_ref(), door))
}

fn acknowledged(carrier: &dyn Carrier, door: Door) -> HttpResponse {
    let (content_type, body) = carrier.acknowledgement(door);
    HttpResponse::Ok().insert_header(("content-type", content_type)).body(body)
}

/// An SMS has come in.
#[utoipa::path(tag = "carriers", params(("carrier_id" = String, Path, description = "The carrier's id in the settings.")),
    request_body(content = String, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "Stored; in the carrier's own language."), Problems))]
#[post("/carriers/{carrier_id}/messages")]
async fn create_inbound_message(
    app: web::Data<App>,
    arrivals: web::Data<Arrivals>,
    path: web::Path<String>,
    request: HttpRequest,
    body: web::Bytes,
) -> Result<HttpResponse> {
    called(&app, &arrivals, &path, Door::Messages, &request, &body).await
}

/// The network has a word on an SMS of ours.
#[utoipa::path(tag = "carriers", params(("carrier_id" = String, Path, description = "The carrier's id in the settings.")),
    request_body(content = String, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "Noted; in the carrier's own language."), Problems))]
#[post("/carriers/{carrier_id}/status")]
async fn create_delivery_receipt(
    app: web::Data<App>,
    arrivals: web::Data<Arrivals>,
    path: web::Path<String>,
    request: HttpRequest,
    body: web::Bytes,
) -> Result<HttpResponse> {
    called(&app, &arrivals, &path, Door::Status, &request, &body).await
}
