//! The doors: who is asking, decided before a handler runs.
//!
//! [`Doors`] keeps what was found good for a minute at most and forgets it the moment its account's credentials change
//! on this node (elsewhere: when the doorbell rings). A handler that has a [`SignedIn`], an [`Admin`] or a
//! [`PhoneLogin`] in its signature needs no check of its own.

use std::future::{Ready, ready};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse, ResponseError, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::{Either, LocalBoxFuture};
use moka::sync::Cache;
use secrecy::ExposeSecret;

use super::app_passwords::{self, Found};
use super::passwords::Hasher;
use super::tokens::AccessTokens;
use super::{limits, session};
use crate::app::App;
use crate::clock::Timestamp;
use crate::db::{Lane, Signal, Topics};
use crate::error::{Error, Kind, Result};
use crate::http::status_of;
use crate::ids::{AccountId, AppPasswordId, SessionId};
use crate::keys::{Purpose, same};

/// How long a good credential is believed without a look at the database.
const BELIEF: Duration = Duration::from_secs(60);
/// How long a change of credentials is remembered: longer than any belief that began before it.
const MEMORY: Duration = Duration::from_secs(300);
/// Credentials kept at most, of each kind.
const CACHE_MAX: u64 = 200_000;
/// How often the use of an app password is written down.
const NOTE_EVERY: Duration = Duration::from_secs(300);
/// Who has tried too many wrong app passwords is refused for this long without another look at the counters.
const OVER_FOR: Duration = Duration::from_secs(10);
/// Bytes of an Authorization header at most.
const HEADER_MAX: usize = 2048;

/// The caches before the doors, and what opens them. One for each process, see [`Doors::open`].
pub struct Doors {
    app: App,
    /// Makes and reads access tokens.
    pub tokens: AccessTokens,
    /// Runs argon2.
    pub hasher: Hasher,
    sessions: Cache<SessionId, OpenSession>,
    phones: Cache<[u8; 32], OpenPhone>,
    /// Accounts whose credentials changed lately, and the turn at which they did.
    changed: Cache<AccountId, u64>,
    turn: AtomicU64,
    over: Cache<String, ()>,
}

#[derive(Clone)]
struct OpenSession {
    account: AccountId,
    admin: bool,
    turn: u64,
}

#[derive(Clone)]
struct OpenPhone {
    account: AccountId,
    app_password: AppPasswordId,
    handle: Arc<str>,
    noted_at: Arc<AtomicI64>,
    turn: u64,
}

impl Doors {
    /// Hangs the doors: they hear of every commit from now on.
    pub fn open(app: &App) -> Arc<Doors> {
        let doors = Arc::new(Doors {
            app: app.clone(),
            tokens: AccessTokens::new(&app.keys),
            hasher: Hasher::default(),
            sessions: cache(BELIEF),
            phones: cache(BELIEF),
            changed: cache(MEMORY),
            turn: AtomicU64::new(0),
            over: cache(OVER_FOR),
        });
        // Weak: the listener lives in the app, which the doors hold.
        let weak = Arc::downgrade(&doors);
        app.on_signal(move |signal| {
            if let (Some(doors), Signal::Account { account, topics, .. }) = (weak.upgrade(), signal)
                && topics.has(Topics::DOORS)
            {
                doors.forget(*account);
            }
        });
        doors
    }

    /// Forgets what is known of an account's credentials.
    fn forget(&self, account: AccountId) {
        // What was read before this turn is not believed any more, even if its reader is still on the way back.
        let turn = self.turn.fetch_add(1, Ordering::AcqRel) + 1;
        self.changed.insert(account, turn);
    }

    fn is_fresh(&self, account: AccountId, turn: u64) -> bool {
        self.changed.get(&account).is_none_or(|changed| turn >= changed)
    }

    fn now(&self) -> Timestamp {
        self.app.now()
    }

    fn known_session(&self, account: AccountId, id: SessionId) -> Option<OpenSession> {
        self.sessions.get(&id).filter(|s| s.account == account && self.is_fresh(account, s.turn))
    }

    async fn load_session(&self, account: AccountId, id: SessionId) -> Result<OpenSession> {
        let (turn, now) = (self.turn.load(Ordering::Acquire), self.now());
        let found = self.app.db.read(move |db| {
            let open = session::find_open(db, now, account, id)?.is_some();
            if open { super::load(db, account).map(|a| Some(a.admin)) } else { Ok(None) }
        });
        let Some(admin) = found.await? else { return Err(signed_out()) };
        let open = OpenSession { account, admin, turn };
        self.sessions.insert(id, open.clone());
        Ok(open)
    }

    /// Whether a session is still open; for connections that outlive a request.
    pub async fn is_open(&self, account: AccountId, id: SessionId) -> Result<bool> {
        if self.known_session(account, id).is_some() {
            return Ok(true);
        }
        match self.load_session(account, id).await {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.kind(), Kind::Unauthenticated) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn is_admin_token(&self, token: &str) -> bool {
        let Some(wanted) = &self.app.settings.admin_token else { return false };
        // Hashed first, so that not even the length can be measured.
        let hash = |text: &str| self.app.keys.hash(Purpose::Ticket, text.as_bytes());
        same(&hash(token), &hash(wanted.expose_secret()))
    }

    fn known_phone(&self, key: &[u8; 32]) -> Option<OpenPhone> {
        self.phones.get(key).filter(|p| self.is_fresh(p.account, p.turn))
    }

    async fn load_phone(&self, key: [u8; 32], login: BasicLogin, from: IpAddr) -> Result<OpenPhone> {
        let turn = self.turn.load(Ordering::Acquire);
        let (keys, wanted) = (self.app.keys.clone(), login.clone());
        let read =
            self.app.db.read(move |db| app_passwords::check(db, &keys, &wanted.username, &wanted.password));
        let Some(Found { account, app_password, handle, noted_at }) = read.await? else {
            return Err(self.wrong_phone(&login.username, from).await);
        };
        let noted_at = Arc::new(AtomicI64::new(noted_at.unwrap_or_default().0));
        let phone = OpenPhone { account, app_password, handle: handle.into(), noted_at, turn };
        self.phones.insert(key, phone.clone());
        Ok(phone)
    }

    /// Counts a wrong app password, where all nodes see it. Only wrong ones are ever refused for being many: the owner
    /// is never locked out.
    async fn wrong_phone(&self, username: &str, from: IpAddr) -> Error {
        let login: String = username.trim().to_lowercase().chars().take(254).collect();
        let (address, now) = (limits::subject_of(from), self.now());
        let keys = [format!("login {login}"), format!("address {address}")];
        if keys.iter().any(|key| self.over.contains_key(key)) {
            return Error::limited("too_many_sign_ins", OVER_FOR);
        }
        let counted = self.app.db.write(Lane::Any, move |db| {
            let by_login = limits::try_take(db, now, &limits::APP_PASSWORDS_LOGIN, &login)?;
            let by_address = limits::try_take(db, now, &limits::APP_PASSWORDS_ADDRESS, &address)?;
            Ok([by_login, by_address])
        });
        let waits = match counted.await {
            Ok(waits) => waits,
            Err(error) => return error,
        };
        for (key, _) in keys.into_iter().zip(waits).filter(|(_, wait)| wait.is_some()) {
            self.over.insert(key, ());
        }
        match waits.into_iter().flatten().max() {
            Some(wait) => Error::limited("too_many_sign_ins", wait),
            None => Error::unauthenticated("wrong_login", "The user name or the app password is wrong."),
        }
    }

    /// Writes the use of an app password down, once in a while and without making anybody wait.
    fn note_use(&self, phone: &OpenPhone, request: &HttpRequest) {
        request.extensions_mut().insert(WhoCalled(phone.account));
        let now = self.now();
        let before = phone.noted_at.load(Ordering::Relaxed);
        let due = now.0.saturating_sub(before) >= i64::try_from(NOTE_EVERY.as_micros()).unwrap_or(i64::MAX);
        let mine = due
            && phone.noted_at.compare_exchange(before, now.0, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if !mine {
            return;
        }
        let (app, account, id) = (self.app.clone(), phone.account, phone.app_password);
        let agent = Some(user_agent(request)).filter(|a| !a.is_empty());
        actix_web::rt::spawn(async move {
            let noted = app
                .db
                .write(account, move |db| app_passwords::note_use(db, now, account, id, agent.as_deref()));
            if let Err(error) = noted.await {
                tracing::warn!(account.id = %account, reason = %error.report(), "the use of an app password was not noted");
            }
        });
    }
}

fn cache<K, V>(lifetime: Duration) -> Cache<K, V>
where
    K: std::hash::Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    Cache::builder().max_capacity(CACHE_MAX).time_to_live(lifetime).build()
}

fn signed_out() -> Error {
    Error::unauthenticated("signed_out", "Please sign in.")
}

fn doors_of(request: &HttpRequest) -> Result<web::Data<Doors>> {
    request.app_data::<web::Data<Doors>>().cloned().ok_or_else(|| Error::internal("no doors in this server"))
}

/// What stands after the scheme in `Authorization`.
fn credentials<'a>(request: &'a HttpRequest, scheme: &str) -> Option<&'a str> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (given, rest) = value.split_once(' ')?;
    (value.len() <= HEADER_MAX && given.eq_ignore_ascii_case(scheme)).then(|| rest.trim())
}

/// Where a request comes from. Behind a proxy of our own (a private address) the last `X-Forwarded-For` counts, since
/// that is the one the proxy wrote itself.
pub fn remote_address(request: &HttpRequest) -> IpAddr {
    let peer = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |a| a.ip().to_canonical());
    let is_ours = match peer {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local(),
    };
    let forwarded = request.headers().get_all("x-forwarded-for").last().and_then(|v| v.to_str().ok());
    let last = forwarded.and_then(|list| list.rsplit(',').next()).and_then(|text| text.trim().parse().ok());
    last.filter(|_| is_ours).unwrap_or(peer)
}

/// The program that asks, as it calls itself.
pub fn user_agent(request: &HttpRequest) -> String {
    let agent = request.headers().get(header::USER_AGENT).and_then(|v| v.to_str().ok());
    agent.unwrap_or_default().to_owned()
}

type Extracted<T, E = Error> = Either<Ready<Result<T, E>>, LocalBoxFuture<'static, Result<T, E>>>;

/// Left on a request by whoever was let in, for the log.
#[derive(Debug, Clone, Copy)]
pub struct WhoCalled(pub AccountId);

/// Somebody with a good access token of a session that is still open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedIn {
    /// Who.
    pub account: AccountId,
    /// By which session.
    pub session: SessionId,
}

impl FromRequest for SignedIn {
    type Error = Error;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let doors = match doors_of(request) {
            Ok(doors) => doors,
            Err(error) => return Either::Left(ready(Err(error))),
        };
        let token = credentials(request, "bearer");
        let Some((account, session)) = token.and_then(|t| doors.tokens.check(doors.now(), t)) else {
            return Either::Left(ready(Err(signed_out())));
        };
        let me = SignedIn { account, session };
        request.extensions_mut().insert(WhoCalled(account));
        if doors.known_session(account, session).is_some() {
            return Either::Left(ready(Ok(me)));
        }
        Either::Right(Box::pin(async move { doors.load_session(account, session).await.map(|_| me) }))
    }
}

/// An operator: an account with the admin flag, or the bearer of `admin_token`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admin {
    /// The account, when it is one.
    pub account: Option<AccountId>,
}

impl FromRequest for Admin {
    type Error = Error;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let doors = match doors_of(request) {
            Ok(doors) => doors,
            Err(error) => return Either::Left(ready(Err(error))),
        };
        let Some(token) = credentials(request, "bearer") else {
            return Either::Left(ready(Err(signed_out())));
        };
        if doors.is_admin_token(token) {
            return Either::Left(ready(Ok(Admin { account: None })));
        }
        let Some((account, session)) = doors.tokens.check(doors.now(), token) else {
            return Either::Left(ready(Err(signed_out())));
        };
        Either::Right(Box::pin(async move {
            let open = match doors.known_session(account, session) {
                Some(open) => open,
                None => doors.load_session(account, session).await?,
            };
            if open.admin {
                Ok(Admin { account: Some(account) })
            } else {
                Err(Error::forbidden("not_an_admin", "Only an operator may do this."))
            }
        }))
    }
}

/// A phone or program with an app password, by HTTP Basic (RFC 7617).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhoneLogin {
    /// Whose address books it may have.
    pub account: AccountId,
    /// Which of the account's phones and programs it is.
    pub app_password: AppPasswordId,
    /// The account's handle, as it stands in the addresses.
    pub handle: Arc<str>,
}

impl PhoneLogin {
    fn of(phone: OpenPhone) -> Self {
        PhoneLogin { account: phone.account, app_password: phone.app_password, handle: phone.handle }
    }
}

/// A user name and an app password as they came.
#[derive(Clone)]
struct BasicLogin {
    username: String,
    password: String,
}

impl BasicLogin {
    fn parse(text: &str) -> Option<Self> {
        let plain = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
        let (username, password) = plain.split_once(':')?;
        Some(BasicLogin { username: username.to_owned(), password: password.to_owned() })
    }
}

impl FromRequest for PhoneLogin {
    type Error = PhoneLoginError;
    type Future = Extracted<Self, PhoneLoginError>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let refuse = |error| Either::Left(ready(Err(PhoneLoginError(error))));
        let doors = match doors_of(request) {
            Ok(doors) => doors,
            Err(error) => return refuse(error),
        };
        let Some(text) = credentials(request, "basic") else { return refuse(signed_out()) };
        let key = doors.app.keys.hash(Purpose::AppPassword, text.as_bytes());
        if let Some(phone) = doors.known_phone(&key) {
            doors.note_use(&phone, request);
            return Either::Left(ready(Ok(PhoneLogin::of(phone))));
        }
        let Some(login) = BasicLogin::parse(text) else { return refuse(signed_out()) };
        let request = request.clone();
        Either::Right(Box::pin(async move {
            let from = remote_address(&request);
            let phone = doors.load_phone(key, login, from).await.map_err(PhoneLoginError)?;
            doors.note_use(&phone, &request);
            Ok(PhoneLogin::of(phone))
        }))
    }
}

/// Why a phone was not let in. Phones want a challenge and read no JSON.
#[derive(Debug)]
pub struct PhoneLoginError(pub Error);

impl std::fmt::Display for PhoneLoginError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for PhoneLoginError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// The challenge. The realm never changes: phones keep passwords by it.
pub const CHALLENGE: &str = r#"Basic realm="Meari", charset="UTF-8""#;

impl ResponseError for PhoneLoginError {
    fn status_code(&self) -> StatusCode {
        status_of(self.0.kind())
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let mut answer = HttpResponse::build(self.status_code());
        match self.0.kind() {
            Kind::Unauthenticated => {
                answer.insert_header((header::WWW_AUTHENTICATE, CHALLENGE));
            }
            Kind::Limited { retry_after } => {
                answer.insert_header((header::RETRY_AFTER, retry_after.as_secs().max(1)));
            }
            Kind::Unavailable => {
                answer.insert_header((header::RETRY_AFTER, 2));
            }
            _ => {}
        }
        answer.content_type("text/plain; charset=utf-8").body(self.0.message().to_owned())
    }
}
