//! Invitations: signed words that an operator hands out; each opens one account within two weeks.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::limits::{self, Limit};
use crate::clock::Timestamp;
use crate::db::Db;
use crate::error::{Error, Kind, Result};
use crate::keys::{Keys, Purpose, same};

/// How long an invitation is good.
pub const LIFETIME: Duration = Duration::from_secs(14 * 24 * 3600);

/// A spent invitation is a counter that stands at its maximum for longer than the invitation lives.
const SPENT: Limit = Limit { name: "invite", code: "invite_spent", max: 1, window: LIFETIME };

/// An invitation that is ours and has not expired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite(String);

/// A new invitation.
pub fn issue(keys: &Keys, now: Timestamp) -> String {
    let body = format!("{}.{:016x}", now.plus(LIFETIME).unix_secs(), rand::random::<u64>());
    format!("{body}.{}", tag(keys, &body))
}

/// Reads an invitation.
pub fn check(keys: &Keys, now: Timestamp, text: Option<&str>) -> Result<Invite> {
    let bad = |detail: &'static str| Error::invalid("invite", "invite_needed", detail);
    let text = text.map(str::trim).filter(|t| !t.is_empty() && t.len() <= 128);
    let text = text.ok_or_else(|| bad("An invitation is needed to sign up."))?;
    let (body, given) = text.rsplit_once('.').ok_or_else(|| bad("This is not an invitation of ours."))?;
    if !same(given.as_bytes(), tag(keys, body).as_bytes()) {
        return Err(bad("This is not an invitation of ours."));
    }
    let until = body.split_once('.').and_then(|(until, _)| until.parse::<i64>().ok()).unwrap_or(0);
    if until <= now.unix_secs() {
        return Err(bad("This invitation has expired."));
    }
    Ok(Invite(body.to_owned()))
}

/// Uses an invitation up, in the transaction that creates the account.
pub fn spend(db: &mut Db, now: Timestamp, invite: &Invite) -> Result<()> {
    limits::take(db, now, &SPENT, &invite.0).map_err(|error| match error.kind() {
        Kind::Limited { .. } => Error::conflict("invite_spent", "This invitation has been used."),
        _ => error,
    })
}

fn tag(keys: &Keys, body: &str) -> String {
    let hash = keys.hash(Purpose::Ticket, format!("invite {body}").as_bytes());
    URL_SAFE_NO_PAD.encode(hash.get(..16).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ours_and_only_for_two_weeks() {
        let (keys, now) = (Keys::from_secret(&[7; 32]), Timestamp(1_760_000_000_000_000));
        let text = issue(&keys, now);
        assert!(check(&keys, now, Some(&text)).is_ok());
        assert!(check(&keys, now.plus(LIFETIME), Some(&text)).is_err());
        assert!(check(&Keys::from_secret(&[8; 32]), now, Some(&text)).is_err());
        for bad in [None, Some(""), Some("x"), Some("1.2.3")] {
            assert_eq!(check(&keys, now, bad).unwrap_err().code(), "invite_needed");
        }
    }
}
