//! Carriers call us about calls: a call comes in, asks what next, has news; and the socket over which its sound comes.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use actix_ws::AggregatedMessage;
use futures_util::StreamExt;
use tokio::time::Instant;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{CALLBACK_MAX, RequestHeaders};
use crate::app::App;
use crate::calls::control::Switchboard;
use crate::calls::{Leg, hooks};
use crate::carriers::voice::{CallEvent, FromWire, HeldCall, MediaWire, ToWire, WireFrame};
use crate::carriers::{CallbackRequest, Carrier, Headers as _, ParseError, Retry};
use crate::db::Lane;
use crate::error::{Error, Result};
use crate::http::Problems;
use crate::media::{SocketLeg, WireIn, WireOut, is_end_of_sound};
use crate::phone::E164;

/// Bytes of one frame: a second of sound in base64 has eleven thousand.
const FRAME_MAX: usize = 64 * 1024;
/// On carriers that do not tell when a sound has been heard, the way to the telephone takes so long.
const PLAYED_WITHIN: Duration = Duration::from_millis(250);
/// The first frames must say which call it is.
const START_WITHIN: Duration = Duration::from_secs(10);

/// Between two looks at whether a carrier is still there.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// A carrier of which nothing came for so long, not even the answer to a ping (RFC 6455 section 5.5.2), is cut off; and
/// so is one that takes nothing any more.
const GONE_AFTER: Duration = Duration::from_secs(30);

/// The doors for calls.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(create_incoming_call)
        .service(create_call_status)
        .service(create_next_step)
        .service(create_hidden_caller)
        .service(open_media);
}

/// Why a callback is not answered.
enum Refusal {
    /// With an error.
    Error(Error),
    /// Its carrier shall say who it is.
    Challenge(&'static str),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::Error(error)
    }
}

impl Refusal {
    fn answer(self) -> Result<HttpResponse> {
        match self {
            Refusal::Error(error) => Err(error),
            Refusal::Challenge(challenge) => {
                Ok(HttpResponse::Unauthorized().insert_header((header::WWW_AUTHENTICATE, challenge)).finish())
            }
        }
    }
}

/// Finds the carrier and checks the signature before anything is read; the scheme of a socket is its own.
fn verified(
    app: &App,
    carrier_id: &str,
    request: &HttpRequest,
    body: &[u8],
    is_socket: bool,
) -> Result<(Arc<dyn Carrier>, String), Refusal> {
    let carrier = app.carriers.get(carrier_id).cloned().ok_or_else(|| Error::not_found("carrier"))?;
    let voice = carrier.voice().ok_or_else(|| Error::not_found("carrier"))?;
    if body.len() > CALLBACK_MAX {
        return Err(Error::invalid("body", "too_large", "A callback has at most 256 KiB.").into());
    }
    let uri = request.uri();
    let path = uri.path_and_query().map_or(uri.path(), |p| p.as_str());
    let url = format!("{}{path}", app.settings.public_url);
    // “https” and “http” become “wss” and “ws”.
    let url = if is_socket { url.replacen("http", "ws", 1) } else { url };
    let headers = RequestHeaders(request);
    let method = request.method().as_str();
    let callback = CallbackRequest { method, url: &url, headers: &headers, body, now: app.now() };
    let checked = if is_socket { voice.verify_socket(&callback) } else { carrier.verify(&callback) };
    if let Err(reason) = checked {
        tracing::warn!(carrier = carrier_id, %reason, "a callback was refused");
        let asks = carrier.challenge().filter(|_| headers.get("authorization").is_none());
        return Err(match asks {
            Some(challenge) => Refusal::Challenge(challenge),
            None => Error::forbidden("bad_signature", "The signature is missing or not good.").into(),
        });
    }
    Ok((carrier, url))
}

/// Verifies and reads a callback about a call.
fn read(
    app: &App,
    carrier_id: &str,
    request: &HttpRequest,
    body: &[u8],
) -> Result<(Arc<dyn Carrier>, CallEvent), Refusal> {
    let (carrier, url) = verified(app, carrier_id, request, body, false)?;
    let headers = RequestHeaders(request);
    let method = request.method().as_str();
    let callback = CallbackRequest { method, url: &url, headers: &headers, body, now: app.now() };
    let voice = carrier.voice().ok_or_else(|| Error::not_found("carrier"))?;
    let event = voice.parse_call(&callback).map_err(|reason| {
        tracing::warn!(carrier = carrier_id, %reason, "a genuine callback cannot be read");
        Error::invalid("body", "bad_callback", format!("The callback cannot be read: {reason}."))
    })?;
    Ok((carrier, event))
}

/// Reads a callback about a call, and tells the carrier what follows from it. `hidden`: the number that was dialled, when
/// this is the address for those who hide theirs.
async fn called(
    app: &App,
    board: &Switchboard,
    (carrier_id, hidden): (&str, Option<&E164>),
    request: &HttpRequest,
    body: &[u8],
) -> Result<HttpResponse> {
    let (carrier, event) = match read(app, carrier_id, request, body) {
        Ok(found) => found,
        Err(refusal) => return refusal.answer(),
    };
    let voice = carrier.voice().ok_or_else(|| Error::not_found("carrier"))?;
    let carrier_call_id = event.carrier_call_id().to_owned();
    let call =
        HeldCall { carrier_call_id: &carrier_call_id, is_new: matches!(event, CallEvent::Incoming(_)) };
    if let CallEvent::Key { digit, .. } = event
        && let Some(leg) = hooks::leg_of_call(app, carrier_id, &carrier_call_id).await?
    {
        board.send_digits(leg.call, leg.side, digit.encode_utf8(&mut [0; 4]));
    }
    let steps = match hidden {
        Some(to) => hooks::hidden(app, board.node(), carrier_id, to, event).await?,
        None => hooks::called(app, board.node(), carrier_id, event).await?,
    };
    match voice.carry_out(call, &steps).await {
        Ok(document) => Ok(HttpResponse::Ok()
            .insert_header((header::CONTENT_TYPE, document.content_type))
            .body(document.body)),
        Err(error) if error.retry == Retry::Never => {
            tracing::warn!(carrier = carrier_id, reason = %error, "a call could not be told what to do");
            Ok(HttpResponse::Ok().finish())
        }
        // The carrier says it again, and then it is told again.
        Err(error) => {
            Err(Error::unavailable("carrier_away", "The carrier cannot be reached.").with_source(error))
        }
    }
}

/// A call comes in: who is meant rings, and the caller hears it.
#[utoipa::path(tag = "carriers", params(("carrier_id" = String, Path, description = "The carrier's id in the settings.")),
    request_body(content = String, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "What to do with the call, in the carrier's own language."), Problems))]
#[post("/carriers/{carrier_id}/voice")]
async fn create_incoming_call(
    app: web::Data<App>,
    board: web::Data<Switchboard>,
    carrier_id: web::Path<String>,
    request: HttpRequest,
    body: web::Bytes,
) -> Result<HttpResponse> {
    called(&app, &board, (&carrier_id, None), &request, &body).await
}

/// News of a call.
#[utoipa::path(tag = "carriers", params(("carrier_id" = String, Path, description = "The carrier's id in the settings.")),
    request_body(content = String, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "Noted; in the carrier's own language."), Problems))]
#[post("/carriers/{carrier_id}/call-status")]
async fn create_call_status(
    app: web::Data<App>,
    board: web::Data<Switchboard>,
    carrier_id: web::Path<String>,
    request: HttpRequest,
    body: web::Bytes,
) -> Result<HttpResponse> {
    called(&app, &board, (&carrier_id, None), &request, &body).await
}

/// A call that we hold asks what next.
#[utoipa::path(tag = "carriers",
    params(("carrier_id" = String, Path, description = "The carrier's id in the settings."),
        ("leg_id" = String, Path, description = "Our name for the call.")),
    request_body(content = String, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "What to do with the call, in the carrier's own language."), Problems))]
#[post("/carriers/{carrier_id}/voice/{leg_id}/next")]
async fn create_next_step(
    app: web::Data<App>,
    board: web::Data<Switchboard>,
    path: web::Path<(String, String)>,
    request: HttpRequest,
    body: web::Bytes,
) -> Result<HttpResponse> {
    let (carrier_id, _) = path.into_inner();
    called(&app, &board, (&carrier_id, None), &request, &body).await
}

/// A caller who hides his number has typed who he is.
#[utoipa::path(tag = "carriers",
    params(("carrier_id" = String, Path, description = "The carrier's id in the settings."),
        ("number" = String, Path, description = "The number that was dialled, digits only.")),
    request_body(content = String, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "What to do with the call, in the carrier's own language."), Problems))]
#[post("/carriers/{carrier_id}/voice/{number}/hidden")]
async fn create_hidden_caller(
    app: web::Data<App>,
    board: web::Data<Switchboard>,
    path: web::Path<(String, String)>,
    request: HttpRequest,
    body: web::Bytes,
) -> Result<HttpResponse> {
    let (carrier_id, number) = path.into_inner();
    let to = E164::parse(&format!("+{number}")).map_err(|_| Error::not_found("number"))?;
    called(&app, &board, (&carrier_id, Some(&to)), &request, &body).await
}

/// The socket for a call's sound: signed by the carrier, opened once with the key that was made for this call.
#[utoipa::path(tag = "carriers",
    params(("carrier_id" = String, Path, description = "The carrier's id in the settings."),
        ("token" = String, Path, description = "The key, good once and for a minute.")),
    responses((status = 101, description = "A WebSocket in the carrier's own language."), Problems))]
#[get("/carriers/{carrier_id}/media/{token}")]
async fn open_media(
    app: web::Data<App>,
    board: web::Data<Switchboard>,
    path: web::Path<(String, String)>,
    request: HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse> {
    let (carrier_id, token) = path.into_inner();
    let (carrier, _) = match verified(&app, &carrier_id, &request, &[], true) {
        Ok(found) => found,
        Err(refusal) => return refusal.answer(),
    };
    let (now, keys) = (app.now(), app.keys.clone());
    let spend = move |db: &mut crate::db::Db| hooks::open_socket(db, now, &keys, &carrier_id, &token);
    let closed = || Error::forbidden("bad_token", "This address is good for one call, once, for a minute.");
    let leg = app.db.write(Lane::Any, spend).await?.ok_or_else(closed)?;
    let board = board.into_inner();
    let socket = board.connect_phone(&leg).await?.ok_or_else(closed)?;
    let wire = carrier.voice().ok_or_else(|| Error::not_found("carrier"))?.wire();
    let (response, session, stream) = actix_ws::handle(&request, body)
        .map_err(|_| Error::invalid("upgrade", "not_a_websocket", "This address speaks WebSocket only."))?;
    let stream = stream.max_frame_size(FRAME_MAX).aggregate_continuations().max_continuation_size(FRAME_MAX);
    let carried = Carried { board, leg, socket, wire, session, started: false, owed: None };
    actix_web::rt::spawn(carried.run(stream));
    Ok(response)
}

/// What comes of something within a time.
async fn within<T>(time: Duration, what: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(time, what).await.ok()
}

/// A socket that carries sound.
struct Carried {
    board: Arc<Switchboard>,
    leg: Leg,
    socket: SocketLeg,
    wire: Box<dyn MediaWire>,
    session: actix_ws::Session,
    started: bool,
    /// The end of a sound that no mark will tell.
    owed: Option<(Instant, String)>,
}

/// Waits for a moment; for ever when there is none.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

impl Carried {
    async fn run(mut self, mut stream: actix_ws::AggregatedMessageStream) {
        let start = tokio::time::sleep(START_WITHIN);
        tokio::pin!(start);
        let mut look = tokio::time::interval(LOOK_EVERY);
        let mut heard = Instant::now();
        loop {
            tokio::select! {
                out = self.socket.to_wire.recv() => match out {
                    Some(out) if within(GONE_AFTER, self.give(&out)).await == Some(true) => {}
                    _ => break,
                },
                _ = look.tick() => {
                    let pinged = within(GONE_AFTER, self.session.ping(b"")).await;
                    if heard.elapsed() >= GONE_AFTER || !matches!(pinged, Some(Ok(()))) {
                        break;
                    }
                }
                message = stream.next() => match message.inspect(|_| heard = Instant::now()) {
                    Some(Ok(AggregatedMessage::Text(text))) => {
                        let read = self.wire.read(&text);
                        if !self.take(read) {
                            break;
                        }
                    }
                    Some(Ok(AggregatedMessage::Binary(bytes))) => {
                        let read = self.wire.read_binary(&bytes);
                        if !self.take(read) {
                            break;
                        }
                    }
                    Some(Ok(AggregatedMessage::Ping(bytes))) => {
                        if self.session.pong(&bytes).await.is_err() {
                            break;
                        }
                    }
                    Some(Ok(AggregatedMessage::Pong(_))) => {}
                    Some(Ok(AggregatedMessage::Close(_)) | Err(_)) | None => break,
                },
                () = &mut start, if !self.started => break,
                () = until(self.owed.as_ref().map(|(at, _)| *at)) => {
                    if let Some((_, name)) = self.owed.take() {
                        let _ = self.socket.from_wire.send(WireIn::Mark(name));
                    }
                }
            }
        }
        // The way in is dropped with us: the leg has hung up, unless it was we who closed it.
        let _ = within(LOOK_EVERY, self.session.close(None)).await;
    }

    /// Writes one thing; false when the socket is to be closed.
    async fn give(&mut self, out: &WireOut) -> bool {
        let frame = match out {
            WireOut::Audio(mulaw) => self.wire.write(&ToWire::Audio(mulaw)),
            WireOut::Mark(name) => {
                let frame = self.wire.write(&ToWire::Mark(name));
                // Where nobody tells, a sound is over when it has had the time to be heard.
                if frame.is_none() && is_end_of_sound(name) {
                    self.owed = Some((Instant::now() + PLAYED_WITHIN, name.clone()));
                }
                frame
            }
            WireOut::Clear => self.wire.write(&ToWire::Clear),
            WireOut::Digit(digit) => {
                let frame = self.wire.write(&ToWire::Digit(*digit));
                if frame.is_none() {
                    self.board.play_key(self.leg.id, *digit);
                }
                frame
            }
            WireOut::Stop => return false,
        };
        match frame {
            Some(WireFrame::Text(text)) => self.session.text(text).await.is_ok(),
            Some(WireFrame::Binary(bytes)) => self.session.binary(bytes).await.is_ok(),
            None => true,
        }
    }

    /// Takes what was read; false when the socket is to be closed.
    fn take(&mut self, read: Result<FromWire, ParseError>) -> bool {
        let given = match read {
            Ok(FromWire::Started { carrier_call_id }) => {
                let known = self.leg.carrier_call_id.as_deref();
                if known.is_some_and(|known| known != carrier_call_id) {
                    tracing::warn!(leg.id = %self.leg.id, "a media socket belongs to another call");
                    return false;
                }
                self.started = true;
                return true;
            }
            Ok(FromWire::Audio { .. } | FromWire::Digit(_)) if !self.started => {
                tracing::warn!(leg.id = %self.leg.id, "a media socket does not say which call it is");
                return false;
            }
            Ok(FromWire::Audio { timestamp_ms, mulaw }) => WireIn::Audio { timestamp_ms, mulaw },
            Ok(FromWire::Digit(digit)) => WireIn::Digit(digit),
            Ok(FromWire::Mark(name)) => WireIn::Mark(name),
            Ok(FromWire::Nothing) => return true,
            Ok(FromWire::Stopped) => {
                let _ = self.socket.from_wire.send(WireIn::Stop);
                return false;
            }
            Err(reason) => {
                tracing::warn!(leg.id = %self.leg.id, %reason, "a media frame cannot be read");
                return false;
            }
        };
        // A frame that the engine does not take is lost: better than one that comes late.
        let _ = self.socket.from_wire.send(given);
        true
    }
}
