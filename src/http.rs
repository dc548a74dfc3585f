//! What every HTTP answer of ours has in common: errors as RFC 9457 problems, a request id, paging, limits.

use std::borrow::Cow;

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpResponse, ResponseError, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::{Error, Kind};

/// JSON bodies at most, in bytes; imports and cards have limits of their own.
pub const JSON_MAX: usize = 256 * 1024;
/// Items on one page at most.
pub const PAGE_MAX: u32 = 200;
/// Items on one page when nobody says how many.
pub const PAGE_DEFAULT: u32 = 50;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of one request, for the log and for whoever reports a fault.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// What is wrong with one field.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ProblemField {
    /// The field, with dots for nesting.
    pub field: String,
    /// A stable word.
    pub code: String,
    /// A sentence.
    pub detail: String,
}

/// An error as RFC 9457 wants it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// A name for the kind of problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// A sentence for people.
    pub detail: String,
    /// A stable word for programs.
    pub code: String,
    /// The fields that are wrong, if any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<ProblemField>,
    /// Name it when you report a fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// The problems that any operation may answer, for its description: name it among the `responses(…)`.
#[derive(utoipa::IntoResponses)]
pub enum Problems {
    /// Not signed in, or the credential is not good any more.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthenticated(Problem),
    /// Not permitted.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
    /// There is no such thing for this caller.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(Problem),
    /// The state of things does not permit it.
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(Problem),
    /// The input is wrong; `fields` says where.
    #[response(status = 422, content_type = "application/problem+json")]
    Invalid(Problem),
    /// Too often; `Retry-After` says when again.
    #[response(status = 429, content_type = "application/problem+json")]
    Limited(Problem),
    /// Our fault.
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(Problem),
    /// Something we need is away; try again later.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// The HTTP status of a kind.
pub fn status_of(kind: &Kind) -> StatusCode {
    match kind {
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

fn render(error: &Error, request_id: Option<&str>) -> HttpResponse {
    let status = status_of(error.kind());
    let fields = match error.kind() {
        Kind::Invalid(fields) => fields.as_slice(),
        _ => &[],
    };
    let to_view = |f: &crate::error::FieldError| ProblemField {
        field: f.field.to_string(),
        code: f.code.to_owned(),
        detail: f.detail.to_string(),
    };
    let problem = Problem {
        kind: format!("urn:meari:problem:{}", error.code()),
        title: status.canonical_reason().unwrap_or("Error").to_owned(),
        status: status.as_u16(),
        detail: error.message().to_owned(),
        code: error.code().to_owned(),
        fields: fields.iter().map(to_view).collect(),
        request_id: request_id.map(str::to_owned),
    };
    let mut answer = HttpResponse::build(status);
    answer.insert_header((header::CONTENT_TYPE, "application/problem+json"));
    match error.kind() {
        Kind::Limited { retry_after } => {
            answer.insert_header((header::RETRY_AFTER, retry_after.as_secs().max(1)));
        }
        Kind::Unavailable => {
            answer.insert_header((header::RETRY_AFTER, 2));
        }
        Kind::Unauthenticated => {
            answer.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        _ => {}
    }
    answer.body(serde_json::to_vec(&problem).unwrap_or_default())
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        status_of(self.kind())
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        render(self, None)
    }
}

/// Middleware: gives every request an id, writes it into problems, and logs what was our fault.
pub async fn with_request_id<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    let id = RequestId(format!("req_{:016x}", rand::random::<u64>()));
    request.extensions_mut().insert(id.clone());
    let response = next.call(request).await?;
    let problem = match response.response().error() {
        Some(error) => match error.as_error::<Error>() {
            Some(error) => {
                if matches!(error.kind(), Kind::Internal | Kind::Unavailable) {
                    let path = response.request().match_pattern().unwrap_or_default();
                    tracing::error!(request.id = %id.0, route = %path, reason = %error.report(), "a request failed");
                }
                Some(render(error, Some(&id.0)))
            }
            None => None,
        },
        None => None,
    };
    let mut response = match problem {
        Some(problem) => {
            let (request, _) = response.into_parts();
            ServiceResponse::new(request, problem.map_into_right_body())
        }
        None => response.map_into_left_body(),
    };
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    Ok(response)
}

/// How JSON bodies are read: limited, and their faults are problems.
pub fn json_config() -> web::JsonConfig {
    web::JsonConfig::default().limit(JSON_MAX).error_handler(|error, _| bad_body(&error.to_string()).into())
}

/// How query strings are read.
pub fn query_config() -> web::QueryConfig {
    web::QueryConfig::default().error_handler(|error, _| {
        Error::invalid("query", "invalid_query", format!("The query could not be read: {error}.")).into()
    })
}

/// How path segments are read: an id that cannot be one names nothing.
pub fn path_config() -> web::PathConfig {
    web::PathConfig::default().error_handler(|_, _| Error::not_found("thing").into())
}

fn bad_body(reason: &str) -> Error {
    let short: String = reason.chars().take(200).collect();
    Error::invalid("body", "invalid_json", Cow::Owned(format!("The body could not be read: {short}.")))
}

/// For paths that lead nowhere.
pub async fn no_such_path() -> Result<HttpResponse, Error> {
    Err(Error::not_found("address"))
}

/// `?limit=&after=` of every list.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// Items at most: 1 to 200, by default 50.
    pub limit: Option<u32>,
    /// `next` of the page before.
    pub after: Option<String>,
}

impl Paging {
    /// The number of items wanted, checked.
    pub fn limit(&self) -> Result<i64, Error> {
        match self.limit {
            None => Ok(i64::from(PAGE_DEFAULT)),
            Some(n) if (1..=PAGE_MAX).contains(&n) => Ok(i64::from(n)),
            Some(_) => Err(Error::invalid("limit", "out_of_range", "limit must be between 1 and 200.")),
        }
    }

    /// The cursor as an id.
    pub fn after<T: std::str::FromStr>(&self) -> Result<Option<T>, Error> {
        match &self.after {
            None => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| {
                Error::invalid("after", "bad_cursor", "after must be `next` of an earlier page.")
            }),
        }
    }
}

/// A page of a list.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Give it as `after` to get what follows; null on the last page.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// A page of at most `limit` from `limit + 1` items that were read; `key` names the last one.
    pub fn from_extra(mut items: Vec<T>, limit: i64, key: impl Fn(&T) -> String) -> Self {
        let limit = usize::try_from(limit).unwrap_or(0);
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(key) } else { None };
        Page { items, next }
    }
}
