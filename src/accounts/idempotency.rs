//! `Idempotency-Key`: a POST that is sent again with its key is answered like the first time and does nothing again
//! (draft-ietf-httpapi-idempotency-key-header-07).
//!
//! A key belongs to an account and to one request: the same key with another path or body is refused (422), a second
//! request while the first one runs too (409). Only success is kept, for a day and veiled; a refusal has changed nothing
//! and may be tried again with the same key. A process that dies between the change and the note of its answer leaves
//! the key free after a minute; for messages the key is a `client_id` as well, so that even then none is doubled.

use std::time::Duration;

use actix_web::body::{EitherBody, MessageBody, to_bytes};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpResponse, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use futures_util::StreamExt as _;

use super::auth::{Admin, SignedIn};
use super::limits::{self, Limit};
use super::store_tickets as store;
use crate::app::App;
use crate::clock::Timestamp;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::ids::AccountId;
use crate::keys::Keys;

/// The header.
pub const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer was given before.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// How long an answer is kept.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// After this time a request that has not answered is taken for dead: longer than any may run.
const RUNS_MAX: Duration = Duration::from_secs(60);
/// Keys of an account, which bounds what is kept for it.
const KEYS_ACCOUNT: Limit =
    Limit { name: "idempotency_keys", code: "too_many_keys", max: 10_000, window: KEPT };
/// Characters of a key: a UUID has 36.
const KEY_MAX: usize = 255;
/// Bytes of a request's body, those of the largest import.
const BODY_MAX: usize = 4 * 1024 * 1024;
/// Bytes of an answer that is kept. Whoever repeats a larger one (of an import) has it done again, which changes nothing.
const ANSWER_MAX: usize = 256 * 1024;
/// Paths under which POST makes nothing that lasts, or is open to those who are not signed in.
const PASSED_OVER: [&str; 4] = ["/v1/accounts", "/v1/sessions", "/v1/events", "/v1/messages/preview"];
/// Whose keys the bearer of `admin_token` uses.
const OPERATOR: AccountId = AccountId(uuid::Uuid::nil());

/// Whether keys are honoured for POSTs to this path.
pub fn is_honoured(path: &str) -> bool {
    path.starts_with("/v1/") && !path.ends_with("/typing") && !PASSED_OVER.iter().any(|p| path.starts_with(p))
}

/// Left on a request that has a key; for handlers that can do better than repeat an answer.
#[derive(Debug, Clone)]
pub struct Key(String);

impl Key {
    /// The key as a client's own id of a message.
    pub fn as_client_id(&self) -> String {
        let hash = blake3::hash(self.0.as_bytes()).to_hex();
        format!("{CLIENT_ID_PREFIX}{}", hash.get(..32).unwrap_or_default())
    }
}

/// What such client ids begin with; no client chose them, so none is shown them.
pub const CLIENT_ID_PREFIX: &str = "idempotency-key:";

/// One request with its key.
struct Turn {
    app: web::Data<App>,
    account: AccountId,
    key: String,
    request_hash: [u8; 32],
}

/// What is known of a key.
enum Begun {
    /// Nothing: go ahead.
    Fresh,
    /// It was answered before.
    Answered(StatusCode, Vec<u8>),
    /// The first request still runs.
    Running,
    /// It was another request's.
    Different,
}

/// Middleware: answers a repeated POST from what was kept.
pub async fn once<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    let honoured = request.method() == Method::POST
        && request.headers().contains_key(HEADER)
        && is_honoured(request.path());
    if !honoured {
        return Ok(next.call(request).await?.map_into_left_body());
    }
    let turn = match Turn::of(&mut request).await {
        // Nobody who may do anything: the handler says so.
        Ok(None) => return Ok(next.call(request).await?.map_into_left_body()),
        Ok(Some(turn)) => turn,
        Err(error) => return Ok(request.error_response(error).map_into_right_body()),
    };
    match turn.begin().await {
        Ok(Begun::Fresh) => turn.finish(next.call(request).await?).await,
        Ok(Begun::Answered(status, body)) => {
            let mut answer = HttpResponse::build(status);
            answer.insert_header((header::CONTENT_TYPE, "application/json"));
            answer.insert_header((REPLAYED, HeaderValue::from_static("true")));
            Ok(request.into_response(answer.body(body)).map_into_right_body())
        }
        Ok(Begun::Running) => Ok(request.error_response(still_running()).map_into_right_body()),
        Ok(Begun::Different) => Ok(request.error_response(another_request()).map_into_right_body()),
        Err(error) => Ok(request.error_response(error).map_into_right_body()),
    }
}

fn still_running() -> Error {
    Error::conflict("request_in_progress", "The first request with this Idempotency-Key is still running.")
}

fn another_request() -> Error {
    Error::invalid(
        "Idempotency-Key",
        "idempotency_key_reused",
        "This Idempotency-Key was used for another request. Take a new one for each request.",
    )
}

impl Turn {
    /// Reads the request and puts its body back; `None` when nobody is signed in.
    async fn of(request: &mut ServiceRequest) -> Result<Option<Turn>> {
        let key = read_key(request)?;
        let app = request.app_data::<web::Data<App>>().cloned();
        let app = app.ok_or_else(|| Error::internal("no app in this server"))?;
        let Some(account) = caller(request).await else { return Ok(None) };
        let body = read_body(request.take_payload()).await?;
        let path = request.uri().path_and_query().map_or("", |path| path.as_str());
        let mut hasher = blake3::Hasher::new();
        hasher.update(path.as_bytes()).update(&[0]).update(&body);
        let request_hash = *hasher.finalize().as_bytes();
        request.set_payload(Payload::from(body));
        request.extensions_mut().insert(Key(key.clone()));
        Ok(Some(Turn { app, account, key, request_hash }))
    }

    async fn begin(&self) -> Result<Begun> {
        let (now, keys) = (self.app.now(), self.app.keys.clone());
        let (account, key, hash) = (self.account, self.key.clone(), self.request_hash);
        self.app.db.write(account, move |db| begin(db, now, &keys, account, &key, &hash)).await
    }

    /// Keeps a success and frees the key of anything else.
    async fn finish<B: MessageBody + 'static>(
        self,
        response: ServiceResponse<B>,
    ) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
        let status = response.status();
        if !status.is_success() {
            self.keep(None).await;
            return Ok(response.map_into_left_body());
        }
        let (request, response) = response.into_parts();
        let (head, body) = response.into_parts();
        let Ok(body) = to_bytes(body).await else {
            self.keep(None).await;
            let error = HttpResponse::from_error(Error::internal("an answer could not be read"));
            return Ok(ServiceResponse::new(request, error.map_into_right_body()));
        };
        self.keep((body.len() <= ANSWER_MAX).then(|| (status, body.to_vec()))).await;
        Ok(ServiceResponse::new(request, head.set_body(body).map_into_boxed_body().map_into_right_body()))
    }

    async fn keep(self, answer: Option<(StatusCode, Vec<u8>)>) {
        let Turn { app, account, key, .. } = self;
        let answer = answer.map(|(status, body)| {
            let nonce: [u8; 16] = rand::random();
            let mut veiled = body;
            app.keys.veil(&nonce, &mut veiled);
            (
                i16::try_from(status.as_u16()).unwrap_or(200),
                STANDARD_NO_PAD.encode([&nonce[..], &veiled].concat()),
            )
        });
        let kept = app.db.write(account, move |db| match &answer {
            Some((status, body)) => store::keep_answer(db, account, &key, *status, body),
            None => store::free_key(db, account, &key),
        });
        if let Err(error) = kept.await {
            tracing::warn!(account.id = %account, reason = %error.report(), "an answer could not be kept for its Idempotency-Key");
        }
    }
}

/// The key, with or without the quotes that the draft wants.
fn read_key(request: &ServiceRequest) -> Result<String> {
    let bad = || {
        Error::invalid(
            "Idempotency-Key",
            "bad_idempotency_key",
            "An Idempotency-Key has 1 to 255 visible ASCII characters, like a UUID, and stands there once.",
        )
    };
    let mut values = request.headers().get_all(HEADER);
    let (Some(value), None) = (values.next(), values.next()) else { return Err(bad()) };
    let text = value.to_str().map_err(|_| bad())?.trim();
    let bare = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    let plain = !bare.is_empty() && bare.len() <= KEY_MAX && bare.bytes().all(|b| b.is_ascii_graphic());
    if plain { Ok(bare.to_owned()) } else { Err(bad()) }
}

async fn caller(request: &mut ServiceRequest) -> Option<AccountId> {
    if let Ok(me) = request.extract::<SignedIn>().await {
        return Some(me.account);
    }
    request.extract::<Admin>().await.ok().map(|admin| admin.account.unwrap_or(OPERATOR))
}

async fn read_body(mut payload: Payload) -> Result<web::Bytes> {
    let mut body = web::BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk =
            chunk.map_err(|_| Error::invalid("body", "not_received", "The body did not arrive whole."))?;
        if body.len() + chunk.len() > BODY_MAX {
            return Err(Error::invalid("body", "too_large", "The body is too large."));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn begin(
    db: &mut Db,
    now: Timestamp,
    keys: &Keys,
    account: AccountId,
    key: &str,
    request_hash: &[u8; 32],
) -> Result<Begun> {
    store::forget_key_before(db, account, key, now.minus(KEPT))?;
    // The row is the lock: of two at once one makes it.
    if store::insert_key(db, account, key, request_hash, now)? {
        limits::take(db, now, &KEYS_ACCOUNT, &account.to_string())?;
        return Ok(Begun::Fresh);
    }
    let Some(row) = store::find_key(db, account, key)? else { return Ok(Begun::Running) };
    if row.request_hash != request_hash {
        return Ok(Begun::Different);
    }
    if row.status == 0 {
        let dead = now.since(row.at) > RUNS_MAX && store::take_key_over(db, account, key, row.at, now)?;
        return Ok(if dead { Begun::Fresh } else { Begun::Running });
    }
    let unreadable = || Error::internal("a kept answer cannot be read");
    let status = u16::try_from(row.status).ok().and_then(|s| StatusCode::from_u16(s).ok());
    let bytes = STANDARD_NO_PAD.decode(&row.body).map_err(|_| unreadable())?;
    let (nonce, veiled) = bytes.split_at_checked(16).ok_or_else(unreadable)?;
    let mut body = veiled.to_vec();
    keys.veil(nonce, &mut body);
    Ok(Begun::Answered(status.ok_or_else(unreadable)?, body))
}

/// Forgets keys that have expired, at most `rows`; answers how many.
pub fn prune(db: &mut Db, now: Timestamp, rows: i64) -> Result<usize> {
    store::delete_keys_before(db, now.minus(KEPT), rows)
}
