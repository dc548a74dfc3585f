//! Signing up, signing in, staying signed in, signing out.

use std::net::IpAddr;

use actix_web::web::{Data, Json, Path};
use actix_web::{HttpRequest, HttpResponse, delete, get, post};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{TokensView, Whole};
use crate::accounts::auth::{Doors, SignedIn, remote_address, user_agent};
use crate::accounts::session::{self, Refreshed, Session};
use crate::accounts::tokens::{ACCESS_LIFETIME, RefreshToken};
use crate::accounts::view::{self, AccountView};
use crate::accounts::{self, Handle, NewAccount, invites, limits, passwords};
use crate::app::App;
use crate::clock::Timestamp;
use crate::config::Registration;
use crate::db::Lane;
use crate::error::{Error, Result};
use crate::http::Problems;
use crate::ids::SessionId;
use crate::texts::Locale;

/// Who wants an account.
#[derive(Deserialize, ToSchema)]
pub(super) struct CreateAccount {
    /// 3 to 32 of `a-z`, `0-9`, `.`, `_`, `-`; for good.
    #[schema(example = "alice")]
    handle: String,
    /// At least 10 characters.
    password: String,
    /// The name friends see, at most 64 characters.
    #[schema(example = "Alice")]
    display_name: String,
    /// `en` or `ko`; otherwise the browser's language.
    locale: Option<String>,
    /// An IANA time zone; UTC when not given.
    time_zone: Option<String>,
    /// An invitation, when they are needed.
    invite: Option<String>,
}

impl CreateAccount {
    /// The account without its password; says every field that is wrong.
    fn check(&self, spoken: Option<Locale>) -> Result<NewAccount> {
        let mut wrong = Vec::new();
        let (mut handle, mut display_name) = (None, String::new());
        let (mut locale, mut time_zone) = (spoken.unwrap_or_default(), "UTC".to_owned());
        accounts::replace(&mut handle, Some(Handle::parse(&self.handle).map(Some)), &mut wrong);
        accounts::replace(&mut display_name, Some(accounts::display_name(&self.display_name)), &mut wrong);
        accounts::replace(&mut locale, self.locale.as_deref().map(accounts::locale), &mut wrong);
        accounts::replace(&mut time_zone, self.time_zone.as_deref().map(accounts::time_zone), &mut wrong);
        accounts::replace(&mut (), Some(passwords::check_shape(&self.password)), &mut wrong);
        match handle {
            Some(handle) if wrong.is_empty() => Ok(NewAccount {
                handle,
                display_name,
                password_hash: String::new(),
                locale,
                time_zone,
                admin: false,
            }),
            _ => Err(Error::invalid_fields(wrong)),
        }
    }
}

/// Sign up
///
/// Creates an account and signs in. Whether anybody may, an invitation is needed, or only the operator creates
/// accounts, is the operator's choice.
#[utoipa::path(tag = "accounts", responses((status = 201, body = TokensView), Problems))]
#[post("/v1/accounts")]
pub(super) async fn create_account(
    request: HttpRequest,
    app: Data<App>,
    doors: Data<Doors>,
    body: Json<CreateAccount>,
) -> Result<HttpResponse> {
    let (now, from) = (app.now(), remote_address(&request));
    let Json(body) = body;
    if app.settings.registration == Registration::Closed {
        return Err(Error::forbidden(
            "registration_closed",
            "New accounts are created by the operator only.",
        ));
    }
    let new = body.check(spoken_locale(&request))?;
    let invite = match app.settings.registration {
        Registration::Invite => Some(invites::check(&app.keys, now, body.invite.as_deref())?),
        Registration::Open | Registration::Closed => None,
    };
    let wanted = new.handle.clone();
    app.db
        .write(Lane::Any, move |db| {
            limits::take(db, now, &limits::SIGN_UPS_ADDRESS, &limits::subject_of(from))?;
            match accounts::find_by_handle(db, wanted.as_str())? {
                Some(_) => Err(Error::conflict("handle_taken", "This handle is taken.")),
                None => Ok(()),
            }
        })
        .await?;
    let password_hash = doors.hasher.hash(body.password).await?;
    let new = NewAccount { password_hash, ..new };
    let (keys, label) = (app.keys.clone(), user_agent(&request));
    let written = app.db.write(Lane::Any, move |db| {
        if let Some(invite) = &invite {
            invites::spend(db, now, invite)?;
        }
        let account = accounts::create(db, now, &new)?;
        let token = session::open(db, now, &keys, account.id, &label)?;
        Ok((view::load(db, account.id)?, token))
    });
    let (account, token) = written.await?;
    tracing::info!(account.id = %account.id, "somebody signed up");
    Ok(HttpResponse::Created().json(tokens_view(&app, &doors, now, account, &token)?))
}

/// The first language of `Accept-Language` that we speak.
fn spoken_locale(request: &HttpRequest) -> Option<Locale> {
    let header = request.headers().get("accept-language")?.to_str().ok()?;
    header.split(',').take(10).find_map(|tag| Locale::parse(tag.split(';').next().unwrap_or_default()))
}

fn tokens_view(
    app: &App,
    doors: &Doors,
    now: Timestamp,
    account: AccountView,
    token: &RefreshToken,
) -> Result<TokensView> {
    Ok(TokensView {
        access_token: doors.tokens.issue(now, token.account, token.session)?,
        refresh_token: token.render(&app.keys),
        expires_in: ACCESS_LIFETIME.as_secs(),
        account,
    })
}

/// Who wants in.
#[derive(Deserialize, ToSchema)]
pub(super) struct CreateSession {
    /// A handle or a verified e-mail address.
    #[schema(example = "alice")]
    login: String,
    /// The account's password.
    password: String,
}

/// Sign in
#[utoipa::path(tag = "accounts", responses((status = 200, body = TokensView), Problems))]
#[post("/v1/sessions")]
pub(super) async fn create_session(
    request: HttpRequest,
    app: Data<App>,
    doors: Data<Doors>,
    body: Json<CreateSession>,
) -> Result<HttpResponse> {
    let (now, from) = (app.now(), remote_address(&request));
    let Json(CreateSession { login, password }) = body;
    // Counted and committed before the password is tried, so that many at once do not count as one.
    let found = app.db.write(Lane::Any, move |db| {
        take_sign_in(db, now, &login, from)?;
        let Some(account) = accounts::find_by_login(db, &login)? else { return Ok(None) };
        let hash = accounts::find_password_hash(db, account.id)?;
        Ok(hash.map(|hash| (account.id, hash)))
    });
    let found = found.await?;
    let hash = found.as_ref().map(|(_, hash)| hash.clone());
    let matches = doors.hasher.matches(password, hash).await?;
    let Some((account, _)) = found.filter(|_| matches) else {
        return Err(Error::unauthenticated("wrong_login", "The login or the password is wrong."));
    };
    let (keys, label) = (app.keys.clone(), user_agent(&request));
    let written = app.db.write(account, move |db| {
        let token = session::open(db, now, &keys, account, &label)?;
        Ok((view::load(db, account)?, token))
    });
    let (account, token) = written.await?;
    Ok(HttpResponse::Ok().json(tokens_view(&app, &doors, now, account, &token)?))
}

fn take_sign_in(db: &mut crate::db::Db, now: Timestamp, login: &str, from: IpAddr) -> Result<()> {
    let login = login.trim().to_lowercase();
    let from = limits::subject_of(from);
    limits::take(db, now, &limits::SIGN_INS_ADDRESS, &from)?;
    limits::take(db, now, &limits::SIGN_INS_LOGIN_ADDRESS, &format!("{login} {from}"))?;
    limits::take(db, now, &limits::SIGN_INS_LOGIN, &login)
}

/// The token that is to be exchanged.
#[derive(Deserialize, ToSchema)]
pub(super) struct RefreshSession {
    /// The newest refresh token; each is good once.
    refresh_token: String,
    /// A secret of yours, made and kept before the first try: when the answer is lost, the same token with the same
    /// attempt is answered once more, and ends nothing.
    #[schema(min_length = 22, max_length = 86, pattern = "^[A-Za-z0-9_-]*$")]
    attempt: Option<String>,
}

impl RefreshSession {
    fn check_attempt(&self) -> Result<()> {
        let Some(attempt) = &self.attempt else { return Ok(()) };
        let fits = (22..=86).contains(&attempt.len())
            && attempt.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        let told = "An attempt is 22 to 86 characters of base64url, random.";
        if fits { Ok(()) } else { Err(Error::invalid("attempt", "invalid_attempt", told)) }
    }
}

/// Stay signed in
///
/// Exchanges a refresh token for new tokens. A token that was used before ends the whole session, because one of its
/// two holders stole it; tabs of one browser must take turns. Send an `attempt` so that you may ask again when the answer
/// was lost on its way.
#[utoipa::path(tag = "accounts", responses((status = 200, body = TokensView), Problems))]
#[post("/v1/sessions/refresh")]
pub(super) async fn refresh_session(
    app: Data<App>,
    doors: Data<Doors>,
    body: Json<RefreshSession>,
) -> Result<HttpResponse> {
    let now = app.now();
    body.check_attempt()?;
    let over = || Error::unauthenticated("session_over", "This session is over. Please sign in again.");
    let Json(RefreshSession { refresh_token, attempt }) = body;
    let token = RefreshToken::parse(&app.keys, &refresh_token).ok_or_else(over)?;
    let (keys, account) = (app.keys.clone(), token.account);
    let written = app.db.write(account, move |db| {
        let outcome = session::refresh(db, now, &keys, &token, attempt.as_deref())?;
        let view = match &outcome {
            Refreshed::Rotated(_) => Some(view::load(db, account)?),
            Refreshed::Over | Refreshed::Reused => None,
        };
        Ok((outcome, view))
    });
    match written.await? {
        (Refreshed::Rotated(token), Some(account)) => {
            Ok(HttpResponse::Ok().json(tokens_view(&app, &doors, now, account, &token)?))
        }
        (Refreshed::Reused, _) => {
            tracing::warn!(account.id = %account, "a refresh token was used twice; the session is ended");
            Err(Error::unauthenticated(
                "token_reused",
                "This token was used before, so the session was ended. Please sign in again.",
            ))
        }
        _ => Err(over()),
    }
}

/// Sign out
#[utoipa::path(tag = "accounts", security(("bearer" = [])), responses((status = 204), Problems))]
#[delete("/v1/sessions/current")]
pub(super) async fn delete_current_session(me: SignedIn, app: Data<App>) -> Result<HttpResponse> {
    app.db.write(me.account, move |db| session::end(db, me.account, me.session)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// A browser or app that is signed in.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SessionView {
    /// `ses_…`
    #[schema(value_type = String)]
    id: SessionId,
    /// The program that signed in, as it calls itself.
    label: String,
    /// It is the one that asks.
    current: bool,
    /// Signed in.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Last refreshed.
    #[schema(value_type = String, format = DateTime)]
    last_used_at: Timestamp,
    /// Ends unless it is used before.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

impl SessionView {
    fn of(session: Session, current: SessionId) -> Self {
        SessionView {
            id: session.id,
            label: session.label,
            current: session.id == current,
            created_at: session.created_at,
            last_used_at: session.last_used_at,
            expires_at: session.expires_at,
        }
    }
}

/// List where one is signed in
#[utoipa::path(
    tag = "accounts", security(("bearer" = [])), responses((status = 200, body = Whole<SessionView>), Problems)
)]
#[get("/v1/sessions")]
pub(super) async fn list_sessions(me: SignedIn, app: Data<App>) -> Result<Json<Whole<SessionView>>> {
    let now = app.now();
    let sessions = app.db.read(move |db| session::list(db, now, me.account)).await?;
    Ok(Json(Whole::of(sessions.into_iter().map(|s| SessionView::of(s, me.session)).collect())))
}

/// Sign another browser or app out
#[utoipa::path(
    tag = "accounts", security(("bearer" = [])), params(("id" = String, Path, description = "`ses_…`")),
    responses((status = 204), Problems)
)]
#[delete("/v1/sessions/{id}")]
pub(super) async fn delete_session(
    me: SignedIn,
    app: Data<App>,
    id: Path<SessionId>,
) -> Result<HttpResponse> {
    let id = id.into_inner();
    app.db.write(me.account, move |db| session::end(db, me.account, id)).await?;
    Ok(HttpResponse::NoContent().finish())
}
