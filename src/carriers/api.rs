//! Carriers call us: verify, parse, hand over, answer. A carrier is answered only after the commit.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, post, web};
use utoipa_actix_web::service_config::ServiceConfig;

use super::{CallbackError, CallbackRequest, Carrier, CarrierEvent, Door, Headers};
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::Problems;
use crate::messaging::arrivals::Arrivals;

/// Bytes of a callback at most; the longest SMS with all its fields has a fifth of it.
const CALLBACK_MAX: usize = 64 * 1024;

/// The doors for carriers.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(create_inbound_message).service(create_delivery_receipt);
}

struct RequestHeaders<'a>(&'a HttpRequest);

impl Headers for RequestHeaders<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.headers().get(name).and_then(|value| value.to_str().ok())
    }
}

/// Finds the carrier and checks the signature over the raw body, before anything is read from it.
fn verified(
    app: &App,
    carrier_id: &str,
    door: Door,
    request: &HttpRequest,
    body: &[u8],
) -> Result<(Arc<dyn Carrier>, CarrierEvent)> {
    let carrier = app.carriers.get(carrier_id).cloned().ok_or_else(|| Error::not_found("carrier"))?;
    if body.len() > CALLBACK_MAX {
        return Err(Error::invalid("body", "too_large", "A callback has at most 64 KiB."));
    }
    // The address as the carrier called it: proxies in front of us may have changed scheme and host.
    let uri = request.uri();
    let path = uri.path_and_query().map_or(uri.path(), |p| p.as_str());
    let url = format!("{}{path}", app.settings.public_url);
    let headers = RequestHeaders(request);
    let callback = CallbackRequest { method: request.method().as_str(), url: &url, headers: &headers, body };
    let event = carrier.receive(door, &callback).map_err(|error| match error {
        CallbackError::BadSignature(reason) => {
            tracing::warn!(carrier = carrier_id, %reason, "a callback was refused");
            Error::forbidden("bad_signature", "The signature is missing or not good.")
        }
        CallbackError::Unreadable(reason) => {
            tracing::warn!(carrier = carrier_id, %reason, "a genuine callback cannot be read");
            Error::invalid("body", "bad_callback", format!("The callback cannot be read: {reason}."))
        }
    })?;
    Ok((carrier, event))
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
    let (carrier, event) = verified(&app, &path, Door::Messages, &request, &body)?;
    hand_over(&app, &arrivals, &path, event).await?;
    Ok(acknowledged(carrier.as_ref(), Door::Messages))
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
    let (carrier, event) = verified(&app, &path, Door::Status, &request, &body)?;
    hand_over(&app, &arrivals, &path, event).await?;
    Ok(acknowledged(carrier.as_ref(), Door::Status))
}

async fn hand_over(app: &App, arrivals: &Arrivals, carrier_id: &str, event: CarrierEvent) -> Result<()> {
    match event {
        CarrierEvent::Sms(sms) => arrivals.sms(app, carrier_id, sms).await,
        CarrierEvent::DeliveryReceipt(receipt) => arrivals.receipt(app, carrier_id, receipt).await,
        CarrierEvent::Ignored => Ok(()),
    }
}
