//! Web Push: who wants to be woken for what, and how a message reaches a push service that may not read it.
//!
//! Whoever changes something calls [`note`] in the transaction of the change; that marks the registrations that want
//! to know and enqueues one job for each, however many changes follow before it runs. The job ([`deliver`]) says what
//! is true then. What a push is about and what it says is the business of whoever registers.
//!
//! RFC 8030 (delivery), 8291 (encryption), 8292 (VAPID).

mod delivery;
mod encrypt;
mod sender;
mod store;
mod vapid;

use std::time::Duration;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::{Deserialize, Serialize};

pub use delivery::{Rendered, deliver};
pub use encrypt::PLAIN_MAX;
pub use sender::{Message, Outcome, Sender};
pub use store::Registration;

use crate::clock::Timestamp;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::ids::{AccountId, PushRegistrationId};
use crate::queue;

/// Bytes of a subscriber's public key: a point of P-256, uncompressed.
pub const PUBLIC_KEY_BYTES: usize = 65;
/// Bytes of the secret that subscriber and sender share.
pub const AUTH_SECRET_BYTES: usize = 16;
/// Bytes of a push service's address for one subscription at most.
pub const ENDPOINT_BYTES_MAX: usize = 2_048;
/// Registrations of one account at most: a dozen devices with a few books each.
pub const REGISTRATIONS_MAX: i64 = 100;

/// The first push follows a change after this time, with everything that has happened by then.
const GATHER: Duration = Duration::from_secs(1);
/// Between two pushes to one registration lies at least this time.
const SPACING: Duration = Duration::from_secs(10);

/// Keys and secrets as people write them: base64url, with or without padding.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Whether a device should wake for a message (RFC 8030 5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// When it is awake anyway and has power to spare.
    Low,
    /// When it is awake.
    Normal,
    /// At once.
    High,
}

impl Urgency {
    fn as_str(self) -> &'static str {
        match self {
            Urgency::Low => "low",
            Urgency::Normal => "normal",
            Urgency::High => "high",
        }
    }
}

/// Where and how to reach one browser or phone.
#[derive(Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The push service's address for it. A secret of the account's: whoever has it can send.
    pub endpoint: String,
    /// The subscriber's public key.
    pub public_key: [u8; PUBLIC_KEY_BYTES],
    /// The secret that it shares with us.
    pub auth_secret: [u8; AUTH_SECRET_BYTES],
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Subscription(…)")
    }
}

impl Subscription {
    /// Reads an address and two words in base64url; `None` when they cannot be a subscription. Whether we would send
    /// there is for [`Sender::accepts`] to say.
    pub fn parse(endpoint: &str, public_key: &str, auth_secret: &str) -> Option<Subscription> {
        let endpoint = endpoint.trim();
        if endpoint.is_empty() || endpoint.len() > ENDPOINT_BYTES_MAX {
            return None;
        }
        let public_key: [u8; PUBLIC_KEY_BYTES] = BASE64URL.decode(public_key.trim()).ok()?.try_into().ok()?;
        let auth_secret = BASE64URL.decode(auth_secret.trim()).ok()?.try_into().ok()?;
        // A point that is not on the curve must not be stored, it could never be sent to.
        p256::PublicKey::from_sec1_bytes(&public_key).ok()?;
        Some(Subscription { endpoint: endpoint.to_owned(), public_key, auth_secret })
    }
}

/// What a push is about.
#[derive(Debug, Clone, Copy)]
pub struct Subject {
    /// A word of whoever registers for this kind of thing.
    pub kind: &'static str,
    /// Whose it is.
    pub owner: AccountId,
    /// Which.
    pub id: [u8; 16],
}

/// Sends what is pending for one registration: [`PushJob`].
pub const SEND: &str = "push.send";

/// The payload of [`SEND`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PushJob {
    /// The kind of the subject: who knows what to say.
    pub kind: String,
    /// Who registered.
    pub account: AccountId,
    /// The registration.
    pub registration: PushRegistrationId,
}

/// A registration as it is asked for.
#[derive(Debug, Clone)]
pub struct NewRegistration {
    /// Who asks.
    pub account: AccountId,
    /// What for.
    pub subject: Subject,
    /// With which app password or in which session, for when that ends.
    pub credential: Option<[u8; 16]>,
    /// Where to.
    pub subscription: Subscription,
    /// Bits of what is wanted; the meaning is the subject's.
    pub wants: i16,
    /// Until when.
    pub expires_at: Timestamp,
}

/// Registers a subscription for a subject, or renews it: there is one for each address and subject. `None` when the
/// account has too many already.
pub fn register(db: &mut Db, now: Timestamp, new: &NewRegistration) -> Result<Option<PushRegistrationId>> {
    let hash = *blake3::hash(new.subscription.endpoint.as_bytes()).as_bytes();
    if let Some(id) = store::find_by_endpoint(db, new, &hash)? {
        store::renew(db, id, new)?;
        return Ok(Some(id));
    }
    store::delete_expired_of(db, now, new.account)?;
    if store::count(db, new.account)? >= REGISTRATIONS_MAX {
        return Ok(None);
    }
    let id = PushRegistrationId::new(now);
    store::insert(db, now, id, new, &hash)?;
    Ok(Some(id))
}

/// One registration of the account; expired ones are none.
pub fn find(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    id: PushRegistrationId,
) -> Result<Option<Registration>> {
    Ok(store::find(db, account, id)?.filter(|r| r.expires_at > now))
}

/// The account's registrations of one kind, oldest first.
pub fn list(db: &mut Db, now: Timestamp, account: AccountId, kind: &str) -> Result<Vec<Registration>> {
    let all = store::list(db, account, kind)?;
    Ok(all.into_iter().filter(|r| r.expires_at > now).collect())
}

/// All registrations of an account, oldest first, with those that have expired and not been cleared away.
pub fn list_all(db: &mut Db, account: AccountId) -> Result<Vec<Registration>> {
    store::list_all(db, account)
}

/// Takes a registration away; says whether it was there.
pub fn unregister(db: &mut Db, now: Timestamp, account: AccountId, id: PushRegistrationId) -> Result<bool> {
    let was_there = find(db, now, account, id)?.is_some();
    store::delete(db, account, id)?;
    Ok(was_there)
}

/// Something has happened to the subject: whoever wants one of the `happened` bits will hear of it, but for those who
/// are [hushed](Db::hushed). In the transaction of the change. Says whether anybody is registered at all.
pub fn note(db: &mut Db, now: Timestamp, subject: &Subject, happened: i16) -> Result<bool> {
    let registrations = store::list_for(db, subject)?;
    mark(db, now, &registrations, happened)?;
    Ok(!registrations.is_empty())
}

/// The same for many owners at once, each with all that he has of a kind.
pub fn note_owners(
    db: &mut Db,
    now: Timestamp,
    kind: &str,
    owners: &[AccountId],
    happened: i16,
) -> Result<()> {
    if owners.is_empty() {
        return Ok(());
    }
    let registrations = store::list_for_owners(db, kind, owners)?;
    mark(db, now, &registrations, happened)
}

fn mark(db: &mut Db, now: Timestamp, registrations: &[Registration], happened: i16) -> Result<()> {
    for registration in registrations {
        let news = registration.wants & happened;
        if news == 0 || registration.expires_at <= now || db.is_hushed(registration.id.as_bytes()) {
            continue;
        }
        let known = registration.pending;
        if known & news == news {
            continue;
        }
        store::set_pending(db, registration, known | news)?;
        if known == 0 {
            let job = PushJob {
                kind: registration.kind.clone(),
                account: registration.account_id,
                registration: registration.id,
            };
            let spaced = registration.last_sent_at.map_or(now, |at| at.plus(SPACING));
            let due = now.plus(GATHER).max(spaced);
            // What is pending waits for what is on its way: the order of the jobs is that of the changes.
            queue::enqueue_at(db, now, due, SEND, Some(&registration.id.to_string()), &job)?;
        }
    }
    Ok(())
}

/// Forgets registrations that were made with a credential that is no more.
pub fn forget_credential(db: &mut Db, account: AccountId, credential: &[u8; 16]) -> Result<()> {
    store::delete_of_credential(db, account, credential)
}

/// Forgets expired registrations, at most `limit`.
pub fn prune(db: &mut Db, now: Timestamp, limit: i64) -> Result<()> {
    store::delete_expired(db, now, limit)
}

/// Forgets everything of a closing account, and of whoever registered for what was its.
pub fn erase(db: &mut Db, account: AccountId) -> Result<()> {
    store::delete_all_of(db, account)
}

/// Reads the payload of a job.
pub fn payload(text: &str) -> Result<PushJob> {
    serde_json::from_str(text).map_err(Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";

    #[test]
    fn subscriptions_are_read_or_refused() {
        let address = "https://push.example.net/a";
        assert!(Subscription::parse(address, KEY, "BTBZMqHH6r4Tts7J_aSIgg").is_some());
        assert!(Subscription::parse(address, &format!(" {KEY}= "), "BTBZMqHH6r4Tts7J_aSIgg==").is_some());
        let off_the_curve = KEY.replace("Aiw4", "AiwY");
        for (key, secret) in [
            ("", "BTBZMqHH6r4Tts7J_aSIgg"),
            (KEY, ""),
            (KEY, "BTBZMqHH6r4Tts7J"),
            ("BCVxsr7N", "BTBZMqHH6r4Tts7J_aSIgg"),
            (&off_the_curve, "BTBZMqHH6r4Tts7J_aSIgg"),
            ("not base64!", "BTBZMqHH6r4Tts7J_aSIgg"),
        ] {
            assert!(Subscription::parse(address, key, secret).is_none(), "{key} {secret}");
        }
        assert!(Subscription::parse("", KEY, "BTBZMqHH6r4Tts7J_aSIgg").is_none());
        let long = format!("https://push.example.net/{}", "a".repeat(ENDPOINT_BYTES_MAX));
        assert!(Subscription::parse(&long, KEY, "BTBZMqHH6r4Tts7J_aSIgg").is_none());
    }
}
