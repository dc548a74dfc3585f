//! An account's e-mail addresses, each proved by a code that came by letter. A verified one may be used to sign in.

use std::net::IpAddr;

use super::jobs::{self, VerificationLetter};
use super::limits::{self, CHECKS_ACCOUNT, LETTERS_ACCOUNT, LETTERS_ADDRESS, LETTERS_EMAIL};
use super::proofs::{CODE_LIFETIME, Guess, ProofState, busy};
use super::store_proofs as store;
use crate::clock::Timestamp;
use crate::db::{Db, Topics};
use crate::error::{Error, Result};
use crate::events::{self, EventKind};
use crate::ids::{AccountId, EmailId};
use crate::keys::{Keys, Purpose, same};
use crate::mail;

/// Addresses of an account at most.
pub const EMAILS_MAX: usize = 5;

/// An e-mail address of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email {
    /// Names it.
    pub id: EmailId,
    /// The address, in small letters.
    pub address: String,
    /// Whether it has been proved.
    pub state: ProofState,
    /// Whether its owner may be found by it, from a card on a friend's phone.
    pub findable: bool,
}

/// The addresses of an account, oldest first.
pub fn list(db: &mut Db, account: AccountId) -> Result<Vec<Email>> {
    store::list_emails(db, account)
}

/// Reads an address as somebody typed it.
pub fn parse(text: &str) -> Result<String> {
    let address = text.trim().to_lowercase();
    if mail::is_address(&address) {
        return Ok(address);
    }
    Err(Error::invalid("address", "invalid_email", "This is not an e-mail address."))
}

/// Adds an address, or asks anew for one that is not proved yet. The letter with the code follows by a job.
pub fn ask(
    db: &mut Db,
    now: Timestamp,
    keys: &Keys,
    account: AccountId,
    address: &str,
    from: IpAddr,
) -> Result<Email> {
    let held = list(db, account)?;
    let known = held.iter().find(|email| email.address == address);
    if known.is_some_and(|email| email.state == ProofState::Verified) {
        return Err(Error::conflict("already_verified", "This address is yours already."));
    }
    if known.is_none() && held.len() >= EMAILS_MAX {
        return Err(Error::conflict(
            "too_many_addresses",
            "There are five addresses already. Remove one first.",
        ));
    }
    limits::take(db, now, &LETTERS_EMAIL, address)?;
    limits::take(db, now, &LETTERS_ACCOUNT, &account.to_string())?;
    limits::take(db, now, &LETTERS_ADDRESS, &limits::subject_of(from))?;
    let id = known.map_or_else(|| EmailId::new(now), |email| email.id);
    if known.is_none() {
        store::insert_email(db, now, account, id, address)?;
        changed(db, now, account)?;
    }
    let letter = VerificationLetter { account, email: id, nonce: rand::random() };
    let code = code_of(keys, &letter);
    store::set_email_code(db, account, id, &hash(keys, id, &code), now.plus(CODE_LIFETIME))?;
    jobs::enqueue_code(db, now, &letter)?;
    Ok(Email { id, address: address.to_owned(), state: ProofState::Pending, findable: false })
}

/// The code of a letter: six digits that follow from the installation's key, so that no table holds them and a letter
/// that is sent twice says the same.
fn code_of(keys: &Keys, letter: &VerificationLetter) -> String {
    let hash = keys.hash(Purpose::Verification, format!("code {} {}", letter.email, letter.nonce).as_bytes());
    let number = hash.iter().take(8).fold(0u64, |sum, byte| (sum << 8) | u64::from(*byte));
    format!("{:06}", number % 1_000_000)
}

/// Where to send a letter and the code in it; `None` when it is not wanted any more: the address is proved or gone, or
/// a later letter has another code.
///
/// # Errors
/// `Conflict` when the code has expired before it could be sent: there is no sense in sending it.
pub fn code_to_mail(
    db: &mut Db,
    now: Timestamp,
    keys: &Keys,
    letter: &VerificationLetter,
) -> Result<Option<(String, String)>> {
    let email = list(db, letter.account)?.into_iter().find(|email| email.id == letter.email);
    let Some(email) = email.filter(|email| email.state == ProofState::Pending) else { return Ok(None) };
    let code = code_of(keys, letter);
    let pending = store::find_email_code(db, letter.account, letter.email)?;
    let wanted = pending.filter(|p| p.hash.as_ref().is_some_and(|h| same(h, &hash(keys, email.id, &code))));
    match wanted.map(|pending| pending.expires_at) {
        Some(Some(at)) if at > now => Ok(Some((email.address, code))),
        Some(_) => Err(Error::conflict("letter_too_late", "The code expired before it could be mailed.")),
        None => Ok(None),
    }
}

/// Checks a code. A wrong guess is counted, so the transaction must be committed all the same.
pub fn check(
    db: &mut Db,
    now: Timestamp,
    keys: &Keys,
    account: AccountId,
    id: EmailId,
    code: &str,
) -> Result<(Email, Guess)> {
    let email = list(db, account)?.into_iter().find(|email| email.id == id);
    let email = email.ok_or_else(|| Error::not_found("e-mail address"))?;
    if email.state == ProofState::Verified {
        return Ok((email, Guess::Right));
    }
    limits::take(db, now, &CHECKS_ACCOUNT, &account.to_string())?;
    let pending =
        store::find_email_code(db, account, id)?.ok_or_else(|| Error::not_found("e-mail address"))?;
    let guess = pending.judge(now, &hash(keys, id, code.trim()));
    if guess != Guess::Right {
        store::count_email_attempt(db, account, id)?;
        return Ok((email, guess));
    }
    verify(db, now, account, &email)?;
    Ok((Email { state: ProofState::Verified, ..email }, guess))
}

/// Adds an address that an operator vouches for.
pub fn add_verified(db: &mut Db, now: Timestamp, account: AccountId, address: &str) -> Result<()> {
    let known = list(db, account)?.into_iter().find(|email| email.address == address);
    let email = match known {
        Some(email) if email.state == ProofState::Verified => return Ok(()),
        Some(email) => email,
        None => {
            let id = EmailId::new(now);
            store::insert_email(db, now, account, id, address)?;
            Email { id, address: address.to_owned(), state: ProofState::Pending, findable: false }
        }
    };
    verify(db, now, account, &email)
}

fn verify(db: &mut Db, now: Timestamp, account: AccountId, email: &Email) -> Result<()> {
    let before = store::find_email_holder(db, &email.address)?;
    let touched: Vec<AccountId> = std::iter::once(account).chain(before.map(|(other, _)| other)).collect();
    events::lock(db, &touched)?;
    let holder = store::find_email_holder(db, &email.address)?;
    if holder != before {
        return Err(busy());
    }
    if let Some((other, id)) = holder {
        store::delete_email(db, other, id)?;
        changed(db, now, other)?;
    }
    store::verify_email(db, now, account, email.id)?;
    changed(db, now, account)
}

/// Gives or takes back the consent to be found by a proved address. Nobody was asked for it before it was given, so it
/// begins without.
pub fn set_findable(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    id: EmailId,
    findable: bool,
) -> Result<Email> {
    let email = list(db, account)?.into_iter().find(|email| email.id == id);
    let email = email.ok_or_else(|| Error::not_found("e-mail address"))?;
    if email.state != ProofState::Verified {
        return Err(Error::conflict("not_verified", "Prove the address first."));
    }
    if email.findable != findable {
        store::set_email_findable(db, account, id, findable)?;
        changed(db, now, account)?;
    }
    Ok(Email { findable, ..email })
}

/// Who holds these addresses, proved, and whether he may be found by them; in their order.
pub fn holders(db: &mut Db, addresses: &[String]) -> Result<Vec<(AccountId, bool)>> {
    let held = store::list_email_holders(db, addresses)?;
    let of = |address: &String| {
        held.iter().find(|(held, ..)| held == address).map(|&(_, id, findable)| (id, findable))
    };
    Ok(addresses.iter().filter_map(of).collect())
}

/// Takes an address off the account.
pub fn remove(db: &mut Db, now: Timestamp, account: AccountId, id: EmailId) -> Result<()> {
    if !store::delete_email(db, account, id)? {
        return Err(Error::not_found("e-mail address"));
    }
    changed(db, now, account)
}

/// A verified address is a login, so doors are looked at again.
fn changed(db: &mut Db, now: Timestamp, account: AccountId) -> Result<()> {
    events::append(db, now, account, EventKind::AccountUpdated, None, Topics::DOORS).map(|_| ())
}

fn hash(keys: &Keys, id: EmailId, code: &str) -> [u8; 32] {
    keys.hash(Purpose::Verification, format!("{id}:{code}").as_bytes())
}
