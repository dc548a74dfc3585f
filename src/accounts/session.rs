//! Sessions: a browser or app that is signed in, and the family of refresh tokens it has had.
//!
//! Each refresh token is good once. Whoever uses an old one again either stole it or was robbed; we cannot tell which,
//! so the whole session ends and the owner signs in anew. There is no period of grace: tabs of one browser take turns.
//! An answer can be lost on its way (a page that is left, a network that is gone), and the owner then has nothing but the
//! old token. So he may name his attempt by a secret that he made beforehand; who repeats it is told again what he was
//! told, as long as that is still the newest.

use std::time::Duration;

use super::store;
use super::tokens::RefreshToken;
use crate::clock::Timestamp;
use crate::db::{Db, Signal, Topics};
use crate::error::{Error, Result};
use crate::events;
use crate::ids::{AccountId, SessionId};
use crate::keys::{Keys, same};
use crate::push;

/// A session ends when it has not been used for this long.
pub const LIFETIME: Duration = Duration::from_secs(60 * 24 * 3600);
/// Sessions of an account at most; a further one ends the oldest.
pub const SESSIONS_MAX: usize = 30;
/// Characters of a label at most.
const LABEL_MAX: usize = 120;

/// One row.
#[derive(Clone)]
pub struct Session {
    /// Names it.
    pub id: SessionId,
    /// Refresh tokens before the one that is good now.
    pub generation: i32,
    /// Keyed hash of the refresh token that is good now.
    pub(super) secret_hash: Vec<u8>,
    /// The User-Agent that signed in.
    pub label: String,
    /// Signed in.
    pub created_at: Timestamp,
    /// Last refreshed.
    pub last_used_at: Timestamp,
    /// Ends unless it is refreshed before.
    pub expires_at: Timestamp,
}

/// What became of a refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refreshed {
    /// It was good, or this very attempt was; here is the next one.
    Rotated(RefreshToken),
    /// The session is over, or there is none.
    Over,
    /// It had been used before; the session has been ended.
    Reused,
}

/// Signs in: the caller has checked the password.
pub fn open(
    db: &mut Db,
    now: Timestamp,
    keys: &Keys,
    account: AccountId,
    label: &str,
) -> Result<RefreshToken> {
    // An SMS that comes in meanwhile is either stored before this session begins, or has its event in the log.
    events::await_writers(db, account)?;
    events::lock(db, &[account])?;
    let sessions = store::list_sessions(db, account)?;
    if sessions.is_empty() {
        events::begin_anew(db, account)?;
    }
    let surplus = (sessions.len() + 1).saturating_sub(SESSIONS_MAX);
    for old in sessions.iter().take(surplus) {
        end(db, account, old.id)?;
    }
    let token = RefreshToken::random(account, SessionId::new(now), 0);
    let session = Session {
        id: token.session,
        generation: 0,
        secret_hash: token.stored_hash(keys).to_vec(),
        label: label.chars().filter(|c| !c.is_control()).take(LABEL_MAX).collect(),
        created_at: now,
        last_used_at: now,
        expires_at: now.plus(LIFETIME),
    };
    store::insert_session(db, account, &session)?;
    Ok(token)
}

/// Exchanges a refresh token for the next one; a repeated `attempt` gets the same again. A reuse must be committed, so it
/// is an answer and not an error.
pub fn refresh(
    db: &mut Db,
    now: Timestamp,
    keys: &Keys,
    token: &RefreshToken,
    attempt: Option<&str>,
) -> Result<Refreshed> {
    let Some(session) = store::find_session(db, token.account, token.session)? else {
        return Ok(Refreshed::Over);
    };
    if session.expires_at <= now {
        end_if_open(db, token.account, token.session)?;
        return Ok(Refreshed::Over);
    }
    let is_current = |token: &RefreshToken| {
        token.generation == session.generation && same(&token.stored_hash(keys), &session.secret_hash)
    };
    let next = token.next(keys, attempt);
    if attempt.is_some() && is_current(&next) {
        return Ok(Refreshed::Rotated(next));
    }
    if !is_current(token) {
        end_if_open(db, token.account, token.session)?;
        return Ok(Refreshed::Reused);
    }
    let rotated = Session {
        generation: next.generation,
        secret_hash: next.stored_hash(keys).to_vec(),
        last_used_at: now,
        expires_at: now.plus(LIFETIME),
        ..session
    };
    if store::rotate_session(db, token.account, token.generation, &rotated)? {
        Ok(Refreshed::Rotated(next))
    } else {
        // Another transaction used the same token between our two statements.
        end_if_open(db, token.account, token.session)?;
        Ok(Refreshed::Reused)
    }
}

/// The session, when it is open.
pub fn find_open(db: &mut Db, now: Timestamp, account: AccountId, id: SessionId) -> Result<Option<Session>> {
    Ok(store::find_session(db, account, id)?.filter(|s| s.expires_at > now))
}

/// The open sessions of an account, oldest first.
pub fn list(db: &mut Db, now: Timestamp, account: AccountId) -> Result<Vec<Session>> {
    let mut sessions = store::list_sessions(db, account)?;
    sessions.retain(|s| s.expires_at > now);
    Ok(sessions)
}

/// Whether anybody is signed in to the account, or was and may come back.
pub fn has_any(db: &mut Db, account: AccountId) -> Result<bool> {
    store::has_session(db, account)
}

/// Signs a session out; its access tokens are refused from the commit on.
pub fn end(db: &mut Db, account: AccountId, id: SessionId) -> Result<()> {
    if !store::delete_session(db, account, id)? {
        return Err(Error::not_found("session"));
    }
    push::forget_credential(db, account, id.as_bytes())?;
    close_doors(db, account)
}

fn end_if_open(db: &mut Db, account: AccountId, id: SessionId) -> Result<()> {
    store::delete_session(db, account, id)?;
    push::forget_credential(db, account, id.as_bytes())?;
    close_doors(db, account)
}

/// Signs out everywhere, but for one session.
pub fn end_others(db: &mut Db, account: AccountId, but: Option<SessionId>) -> Result<()> {
    for session in store::list_sessions(db, account)?.into_iter().filter(|s| Some(s.id) != but) {
        push::forget_credential(db, account, session.id.as_bytes())?;
    }
    store::delete_other_sessions(db, account, but)?;
    close_doors(db, account)
}

/// Forgets sessions that have run out; nobody can use them any more, so nobody is told.
pub fn prune(db: &mut Db, now: Timestamp) -> Result<usize> {
    store::delete_expired_sessions(db, now)
}

/// Lets every node read the account's credentials again.
pub(super) fn close_doors(db: &mut Db, account: AccountId) -> Result<()> {
    let seq = events::newest(db, account)?;
    db.signal(Signal::Account { account, seq, topics: Topics::DOORS });
    Ok(())
}
