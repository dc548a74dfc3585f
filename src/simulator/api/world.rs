//! The simulator's own door to bad days, and what became of callbacks; and its errors.

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, ContentType};
use actix_web::web::{self, Bytes, Data, Query, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::error::{Error, Kind, Result};
use crate::simulator::Simulator;
use crate::simulator::behaviour::Behaviour;

/// Tries of callbacks in one answer.
const CALLBACKS_MAX: usize = 1_000;

pub fn routes(config: &mut ServiceConfig) {
    config
        .service(
            web::resource("/behaviour")
                .route(web::get().to(find_behaviour))
                .route(web::put().to(update_behaviour))
                .route(web::delete().to(delete_behaviour)),
        )
        .route("/callbacks", web::get().to(list_callbacks));
}

/// An error of the simulator's own doors: RFC 9457.
#[derive(Debug)]
pub struct Problem(Error);

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Problem(error)
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        match self.0.kind() {
            Kind::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
            Kind::Forbidden => StatusCode::FORBIDDEN,
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::Conflict => StatusCode::CONFLICT,
            Kind::Limited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        let fields: Vec<_> = match self.0.kind() {
            Kind::Invalid(fields) => fields
                .iter()
                .map(|field| json!({ "field": field.field, "code": field.code, "detail": field.detail }))
                .collect(),
            _ => Vec::new(),
        };
        let body = json!({
            "type": "about:blank",
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "code": self.0.code(),
            "detail": self.0.message(),
            "fields": fields,
        });
        HttpResponse::build(status)
            .insert_header((CONTENT_TYPE, "application/problem+json"))
            .body(body.to_string())
    }
}

/// Reads a JSON body. The type must be named: a page of another origin cannot send it without being asked.
pub fn json_body<T: DeserializeOwned>(request: &HttpRequest, body: &Bytes) -> Result<T> {
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !content_type.is_some_and(|value| value.starts_with(ContentType::json().essence_str())) {
        return Err(Error::invalid("body", "not_json", "The body must be application/json."));
    }
    serde_json::from_slice(body).map_err(|error| Error::invalid("body", "bad_json", error.to_string()))
}

async fn find_behaviour(simulator: Data<Simulator>) -> HttpResponse {
    HttpResponse::Ok().json(&simulator.state().behaviours)
}

async fn update_behaviour(
    simulator: Data<Simulator>,
    request: HttpRequest,
    body: Bytes,
) -> Result<HttpResponse, Problem> {
    simulator.set_behaviour(json_body::<Behaviour>(&request, &body)?)?;
    Ok(find_behaviour(simulator).await)
}

async fn delete_behaviour(simulator: Data<Simulator>) -> HttpResponse {
    simulator.reset_behaviour();
    HttpResponse::NoContent().finish()
}

#[derive(Deserialize)]
struct ListCallbacks {
    limit: Option<usize>,
}

/// The newest first.
async fn list_callbacks(simulator: Data<Simulator>, query: Query<ListCallbacks>) -> HttpResponse {
    let limit = query.limit.unwrap_or(100).min(CALLBACKS_MAX);
    let state = simulator.state();
    let items: Vec<_> = state.callbacks.iter().rev().take(limit).collect();
    HttpResponse::Ok().json(json!({ "items": items }))
}
