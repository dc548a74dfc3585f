//! Queries of push registrations. No decisions.

use diesel::prelude::*;

use super::{AUTH_SECRET_BYTES, NewRegistration, PUBLIC_KEY_BYTES, Subject, Subscription};
use crate::clock::Timestamp;
use crate::db::{Conn, Db};
use crate::each;
use crate::error::Result;
use crate::ids::{AccountId, PushRegistrationId};
use crate::schema::push_registrations as table;

/// Who wants a push for what.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = table)]
pub struct Registration {
    /// Who registered.
    pub account_id: AccountId,
    /// Which.
    pub id: PushRegistrationId,
    /// The kind of the subject.
    pub kind: String,
    /// Whose the subject is.
    pub owner_id: AccountId,
    /// The subject.
    pub subject: Vec<u8>,
    /// The app password or session with which it was made.
    pub credential: Option<Vec<u8>>,
    endpoint: String,
    subscriber_keys: Vec<u8>,
    /// Bits of what is wanted.
    pub wants: i16,
    /// Bits of what has happened and is not on its way yet.
    pub pending: i16,
    /// Bits of what is on its way.
    pub sending: i16,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When something was sent last.
    pub last_sent_at: Option<Timestamp>,
    /// Since when nothing could be sent.
    pub failing_since: Option<Timestamp>,
}

impl Registration {
    /// Where to.
    pub fn subscription(&self) -> Subscription {
        let (public_key, secret) =
            self.subscriber_keys.split_at_checked(PUBLIC_KEY_BYTES).unwrap_or_default();
        Subscription {
            endpoint: self.endpoint.clone(),
            public_key: public_key.try_into().unwrap_or([0; PUBLIC_KEY_BYTES]),
            auth_secret: secret.try_into().unwrap_or([0; AUTH_SECRET_BYTES]),
        }
    }
}

fn keys_of(subscription: &Subscription) -> Vec<u8> {
    [subscription.public_key.as_slice(), &subscription.auth_secret].concat()
}

pub fn insert(
    db: &mut Db,
    now: Timestamp,
    id: PushRegistrationId,
    new: &NewRegistration,
    endpoint_hash: &[u8; 32],
) -> Result<()> {
    each!(db, |c| diesel::insert_into(table::table)
        .values((
            (
                table::account_id.eq(new.account),
                table::id.eq(id),
                table::kind.eq(new.subject.kind),
                table::owner_id.eq(new.subject.owner),
                table::subject.eq(new.subject.id.as_slice()),
                table::credential.eq(new.credential.as_ref().map(|c| c.as_slice())),
                table::endpoint.eq(&new.subscription.endpoint),
                table::endpoint_hash.eq(endpoint_hash.as_slice()),
            ),
            (
                table::subscriber_keys.eq(keys_of(&new.subscription)),
                table::wants.eq(new.wants),
                table::pending.eq(0i16),
                table::sending.eq(0i16),
                table::created_at.eq(now),
                table::expires_at.eq(new.expires_at),
            ),
        ))
        .execute(c))?;
    Ok(())
}

/// What may change when the same subscription is registered again.
pub fn renew(db: &mut Db, id: PushRegistrationId, new: &NewRegistration) -> Result<()> {
    each!(db, |c| diesel::update(table::table.find((new.account, id)))
        .set((
            table::credential.eq(new.credential.as_ref().map(|c| c.as_slice())),
            table::subscriber_keys.eq(keys_of(&new.subscription)),
            table::wants.eq(new.wants),
            table::expires_at.eq(new.expires_at),
            table::failing_since.eq(None::<Timestamp>),
        ))
        .execute(c))?;
    Ok(())
}

pub fn find_by_endpoint(
    db: &mut Db,
    new: &NewRegistration,
    endpoint_hash: &[u8; 32],
) -> Result<Option<PushRegistrationId>> {
    Ok(each!(db, |c| table::table
        .filter(table::account_id.eq(new.account))
        .filter(table::kind.eq(new.subject.kind))
        .filter(table::subject.eq(new.subject.id.as_slice()))
        .filter(table::endpoint_hash.eq(endpoint_hash.as_slice()))
        .select(table::id)
        .first(c)
        .optional())?)
}

pub fn find(db: &mut Db, account: AccountId, id: PushRegistrationId) -> Result<Option<Registration>> {
    Ok(each!(db, |c| table::table.find((account, id)).select(Registration::as_select()).first(c).optional())?)
}

/// The same, kept from others until the transaction ends.
pub fn lock(db: &mut Db, account: AccountId, id: PushRegistrationId) -> Result<Option<Registration>> {
    Ok(match db.conn() {
        // The one writer of SQLite is alone anyway.
        Conn::Sqlite(c) => {
            table::table.find((account, id)).select(Registration::as_select()).first(c).optional()?
        }
        Conn::Pg(c) => table::table
            .find((account, id))
            .select(Registration::as_select())
            .for_update()
            .first(c)
            .optional()?,
    })
}

/// Who is registered for a subject, kept from others until the transaction ends.
pub fn list_for(db: &mut Db, subject: &Subject) -> Result<Vec<Registration>> {
    macro_rules! query {
        () => {
            table::table
                .filter(table::owner_id.eq(subject.owner))
                .filter(table::kind.eq(subject.kind))
                .filter(table::subject.eq(subject.id.to_vec()))
                .order((table::account_id.asc(), table::id.asc()))
                .select(Registration::as_select())
        };
    }
    Ok(match db.conn() {
        Conn::Sqlite(c) => query!().load(c)?,
        Conn::Pg(c) => query!().for_update().load(c)?,
    })
}

/// Everything of a kind that these owners are registered for, kept from others until the transaction ends.
pub fn list_for_owners(db: &mut Db, kind: &str, owners: &[AccountId]) -> Result<Vec<Registration>> {
    macro_rules! query {
        ($whose:expr) => {
            table::table
                .filter($whose)
                .filter(table::kind.eq(kind))
                .order((table::account_id.asc(), table::id.asc()))
                .select(Registration::as_select())
        };
    }
    match db.conn() {
        // A list of owners would be another statement for each length; one alone is prepared once.
        Conn::Sqlite(c) => {
            let mut all = Vec::new();
            for owner in owners {
                all.extend(query!(table::owner_id.eq(owner)).load::<Registration>(c)?);
            }
            Ok(all)
        }
        Conn::Pg(c) => Ok(query!(table::owner_id.eq_any(owners)).for_update().load(c)?),
    }
}

pub fn list(db: &mut Db, account: AccountId, kind: &str) -> Result<Vec<Registration>> {
    Ok(each!(db, |c| table::table
        .filter(table::account_id.eq(account))
        .filter(table::kind.eq(kind))
        .order(table::id.asc())
        .select(Registration::as_select())
        .load(c))?)
}

pub fn list_all(db: &mut Db, account: AccountId) -> Result<Vec<Registration>> {
    Ok(each!(db, |c| table::table
        .filter(table::account_id.eq(account))
        .order(table::id.asc())
        .select(Registration::as_select())
        .load(c))?)
}

pub fn count(db: &mut Db, account: AccountId) -> Result<i64> {
    Ok(each!(db, |c| table::table.filter(table::account_id.eq(account)).count().get_result(c))?)
}

pub fn set_pending(db: &mut Db, registration: &Registration, pending: i16) -> Result<()> {
    each!(db, |c| diesel::update(table::table.find((registration.account_id, registration.id)))
        .set(table::pending.eq(pending))
        .execute(c))?;
    Ok(())
}

/// What was pending is on its way.
pub fn set_sending(db: &mut Db, registration: &Registration, sending: i16) -> Result<()> {
    each!(db, |c| diesel::update(table::table.find((registration.account_id, registration.id)))
        .set((table::pending.eq(0i16), table::sending.eq(sending)))
        .execute(c))?;
    Ok(())
}

pub fn sent(db: &mut Db, account: AccountId, id: PushRegistrationId, at: Timestamp) -> Result<()> {
    each!(db, |c| diesel::update(table::table.find((account, id)))
        .set((
            table::sending.eq(0i16),
            table::last_sent_at.eq(at),
            table::failing_since.eq(None::<Timestamp>),
        ))
        .execute(c))?;
    Ok(())
}

pub fn failed(db: &mut Db, account: AccountId, id: PushRegistrationId, since: Timestamp) -> Result<()> {
    each!(db, |c| diesel::update(table::table.find((account, id)))
        .set((table::sending.eq(0i16), table::failing_since.eq(since)))
        .execute(c))?;
    Ok(())
}

pub fn delete(db: &mut Db, account: AccountId, id: PushRegistrationId) -> Result<()> {
    each!(db, |c| diesel::delete(table::table.find((account, id))).execute(c))?;
    Ok(())
}

pub fn delete_of_credential(db: &mut Db, account: AccountId, credential: &[u8; 16]) -> Result<()> {
    each!(db, |c| diesel::delete(table::table)
        .filter(table::account_id.eq(account))
        .filter(table::credential.eq(credential.as_slice()))
        .execute(c))?;
    Ok(())
}

pub fn delete_expired_of(db: &mut Db, now: Timestamp, account: AccountId) -> Result<()> {
    each!(db, |c| diesel::delete(table::table)
        .filter(table::account_id.eq(account))
        .filter(table::expires_at.le(now))
        .execute(c))?;
    Ok(())
}

pub fn delete_expired(db: &mut Db, now: Timestamp, limit: i64) -> Result<()> {
    let old: Vec<(AccountId, PushRegistrationId)> = each!(db, |c| table::table
        .filter(table::expires_at.le(now))
        .select((table::account_id, table::id))
        .limit(limit)
        .load(c))?;
    old.into_iter().try_for_each(|(account, id)| delete(db, account, id))
}

pub fn delete_all_of(db: &mut Db, account: AccountId) -> Result<()> {
    each!(db, |c| diesel::delete(table::table)
        .filter(table::account_id.eq(account).or(table::owner_id.eq(account)))
        .execute(c))?;
    Ok(())
}
