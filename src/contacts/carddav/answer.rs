//! Answers as HTTP: multistatus, refusals, and what is allowed where.

use std::future::{Future, ready};
use std::time::Duration;

use actix_web::body::{BodySize, BodyStream, BoxBody, MessageBody};
use actix_web::http::{StatusCode, header};
use actix_web::web::Bytes;
use actix_web::{HttpResponse, HttpResponseBuilder};

use futures_util::{Stream, StreamExt as _, stream};

use super::place::Place;
use crate::dav::{Fault, Preferences};
use crate::error::{Error, Kind};
use crate::http::status_of;

/// RFC 4918 classes 1 and 3, 3744, 6352, 5689.
const CLASSES: &str = "1, 3, access-control, addressbook, extended-mkcol";
/// The same where registrations for pushes are taken.
const CLASSES_WITH_PUSH: &str = "1, 3, access-control, addressbook, extended-mkcol, webdav-push";
const XML: &str = "application/xml; charset=utf-8";

/// Why a request is not carried out.
#[derive(Debug)]
pub enum Stop {
    /// The protocol says no.
    Fault(Fault),
    /// The core says no.
    Error(Error),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Stop::Fault(fault)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Error(error)
    }
}

impl Stop {
    /// As an error, where an answer has begun already and can only be broken off.
    pub fn into_error(self) -> Error {
        match self {
            Stop::Fault(fault) => Error::internal(fault.detail),
            Stop::Error(error) => error,
        }
    }

    /// Whether a fresh look at the account's books could answer otherwise.
    pub fn may_be_outdated(&self) -> bool {
        match self {
            Stop::Fault(fault) => matches!(fault.status, 403 | 404 | 409),
            Stop::Error(error) => matches!(error.kind(), Kind::Forbidden | Kind::NotFound),
        }
    }

    /// As an answer.
    pub fn into_response(self) -> HttpResponse {
        match self {
            Stop::Fault(fault) => refusal(&fault),
            Stop::Error(error) => failure(&error),
        }
    }
}

/// A refusal with its precondition element.
pub fn refusal(fault: &Fault) -> HttpResponse {
    let status = StatusCode::from_u16(fault.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    HttpResponse::build(status).content_type(XML).body(fault.render())
}

/// RFC 9110 15.5.16: a body is taken as it is, and not packed.
pub fn refusal_of_coding() -> HttpResponse {
    let mut response = refusal(&Fault::new(415, "A body must not be packed."));
    let plain = header::HeaderValue::from_static("identity");
    response.headers_mut().insert(header::ACCEPT_ENCODING, plain);
    response
}

fn failure(error: &Error) -> HttpResponse {
    let status = match error.kind() {
        Kind::Invalid(_) => StatusCode::BAD_REQUEST,
        kind => status_of(kind),
    };
    if matches!(error.kind(), Kind::Internal | Kind::Unavailable) {
        tracing::error!(reason = %error.report(), "a CardDAV request failed");
    }
    let mut response = HttpResponse::build(status);
    match error.kind() {
        Kind::Limited { retry_after } => {
            response.insert_header((header::RETRY_AFTER, retry_after.max(&Duration::from_secs(1)).as_secs()));
        }
        Kind::Unavailable => {
            response.insert_header((header::RETRY_AFTER, 2));
        }
        _ => {}
    }
    response.content_type("text/plain; charset=utf-8").body(error.message().to_owned())
}

/// 207.
pub fn multistatus(body: impl Into<Bytes>, preferences: Preferences) -> HttpResponse {
    multistatus_head(preferences).body(body.into())
}

/// 207 that comes in parts.
pub fn multistatus_stream(
    parts: impl Stream<Item = Result<Bytes, Error>> + 'static,
    preferences: Preferences,
) -> HttpResponse {
    multistatus_head(preferences).streaming(parts)
}

fn multistatus_head(preferences: Preferences) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(StatusCode::MULTI_STATUS);
    response
        .content_type(XML)
        .insert_header(("DAV", CLASSES))
        .insert_header((header::VARY, "Accept-Encoding, Brief, Prefer"));
    // RFC 7240 3.
    match (preferences.minimal, preferences.no_root) {
        (true, true) => response.insert_header(("Preference-Applied", "return=minimal, depth-noroot")),
        (true, false) => response.insert_header(("Preference-Applied", "return=minimal")),
        (false, true) => response.insert_header(("Preference-Applied", "depth-noroot")),
        (false, false) => &mut response,
    };
    response
}

/// The same answer, and when all of it has been taken off our hands, `then`; the client hears the end after that. When
/// the connection breaks before, `then` never happens.
pub fn followed_by(response: HttpResponse, then: impl Future<Output = ()> + 'static) -> HttpResponse {
    let (head, body) = response.into_parts();
    match body.try_into_bytes() {
        Ok(bytes) => {
            let whole = stream::once(ready(Ok::<_, Error>(bytes)));
            let after = stream::once(then).filter_map(|()| ready(None));
            head.set_body(BoxBody::new(BodyStream::new(whole.chain(after))))
        }
        Err(body) => head.set_body(body),
    }
}

/// An XML document that is no multistatus.
pub fn document(status: StatusCode, body: Vec<u8>) -> HttpResponse {
    HttpResponse::build(status).content_type(XML).insert_header(("DAV", CLASSES)).body(body)
}

/// What may be done at a place; at one that is not there yet, what would make it.
fn methods(place: Option<&Place>) -> &'static str {
    match place {
        Some(Place::Object(..)) => {
            "OPTIONS, GET, HEAD, PUT, DELETE, COPY, MOVE, PROPFIND, PROPPATCH, REPORT, ACL"
        }
        Some(Place::Book(..)) => "OPTIONS, GET, HEAD, POST, DELETE, MKCOL, PROPFIND, PROPPATCH, REPORT, ACL",
        Some(Place::Home(_) | Place::Principal(_)) => {
            "OPTIONS, GET, HEAD, POST, PROPFIND, PROPPATCH, REPORT, ACL"
        }
        Some(Place::Registration(_)) => "OPTIONS, DELETE",
        _ => "OPTIONS, GET, HEAD, PROPFIND, PROPPATCH, REPORT, ACL",
    }
}

/// OPTIONS; needs no password, so that a client learns where it is before it has one.
pub fn options(place: Option<&Place>) -> HttpResponse {
    let classes = match place {
        Some(Place::Book(..) | Place::Home(_) | Place::Principal(_)) => CLASSES_WITH_PUSH,
        _ => CLASSES,
    };
    HttpResponse::Ok()
        .insert_header(("DAV", classes))
        .insert_header((header::ALLOW, methods(place)))
        .insert_header((header::CONTENT_LENGTH, 0))
        .finish()
}

/// 405.
pub fn not_allowed(place: &Place) -> HttpResponse {
    HttpResponse::MethodNotAllowed().insert_header((header::ALLOW, methods(Some(place)))).finish()
}

/// The same answer for HEAD: the length stays, the body goes.
pub fn without_body(response: HttpResponse) -> HttpResponse {
    let size = response.body().size();
    let mut response = response.set_body(BoxBody::new(NoBody(size)));
    response.headers_mut().remove(header::TRANSFER_ENCODING);
    response
}

/// A body of which only the size is told.
struct NoBody(BodySize);

impl MessageBody for NoBody {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        self.0
    }

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Bytes, Self::Error>>> {
        std::task::Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::poll_fn;
    use std::rc::Rc;

    use super::*;

    #[actix_web::test]
    async fn what_follows_an_answer_waits_until_it_is_taken() {
        let told = Rc::new(Cell::new(0));
        let answer = |body: &'static str| {
            let told = told.clone();
            let response =
                followed_by(HttpResponse::Ok().body(body), async move { told.set(told.get() + 1) });
            response.into_body()
        };
        let mut broken = answer("one");
        let first = poll_fn(|cx| broken.as_pin_mut().poll_next(cx)).await.unwrap().unwrap();
        assert_eq!((&first[..], told.get()), (&b"one"[..], 0));
        drop(broken);
        assert_eq!(told.get(), 0);
        let whole = actix_web::body::to_bytes(answer("two")).await.unwrap();
        assert_eq!((&whole[..], told.get()), (&b"two"[..], 1));
    }
}
