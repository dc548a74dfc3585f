//! An account's own mobile numbers, each proved by a code that was sent to it.
//!
//! A verified number is one account's: whoever proves it takes it away from an earlier holder, because the phone is in
//! his hand now. The caller lets the contacts follow (`contacts::give_numbers`, `contacts::handset_removed`).

use std::net::IpAddr;

use super::limits::{
    self, CHECKS_ACCOUNT, CHECKS_ADDRESS, CHECKS_NUMBER, CODES_ACCOUNT, CODES_ADDRESS, CODES_COUNTRY,
    CODES_NUMBER, CODES_NUMBER_DAY, CODES_PREFIX,
};
use super::proofs::{CODE_LIFETIME, Guess, ProofState, busy};
use super::ranges;
use super::store_proofs as store;
use crate::clock::Timestamp;
use crate::db::{Db, Topics};
use crate::error::{Error, Result};
use crate::events::{self, EventKind};
use crate::ids::{AccountId, HandsetId};
use crate::keys::{Keys, Purpose, random_code, random_word};
use crate::phone::E164;

/// Mobiles of an account at most: who has more phones than that is not a person.
pub const MOBILES_MAX: usize = 5;

/// A mobile number of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mobile {
    /// Names it.
    pub id: HandsetId,
    /// The number.
    pub number: E164,
    /// Whether it has been proved.
    pub state: ProofState,
}

/// The mobiles of an account, oldest first.
pub fn list(db: &mut Db, account: AccountId) -> Result<Vec<Mobile>> {
    store::list_mobiles(db, account)
}

/// Those of them that are proved.
pub fn list_verified(db: &mut Db, account: AccountId) -> Result<Vec<Mobile>> {
    let mut mobiles = list(db, account)?;
    mobiles.retain(|mobile| mobile.state == ProofState::Verified);
    Ok(mobiles)
}

/// Whose verified mobile a number is.
pub fn holder_of(db: &mut Db, number: &E164) -> Result<Option<AccountId>> {
    Ok(store::find_mobile_holder(db, number)?.map(|(account, _)| account))
}

/// A number that is to be proved, and what proves it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The mobile, pending.
    pub mobile: Mobile,
    /// To be sent to it by the caller, and shown to nobody.
    pub code: String,
    /// To be shown to the owner: texting it from the mobile to one of our numbers proves the number too, and costs us
    /// nothing that could be pumped.
    pub word: String,
    /// Whether the code may be sent: not to a range that somebody has pumped, and not too often in a day.
    pub may_send: bool,
}

/// Adds a number, or asks anew for one that is not proved yet.
pub fn ask(
    db: &mut Db,
    now: Timestamp,
    keys: &Keys,
    account: AccountId,
    number: &E164,
    from: IpAddr,
) -> Result<Asked> {
    let held = list(db, account)?;
    let known = held.iter().find(|mobile| mobile.number == *number);
    if known.is_some_and(|mobile| mobile.state == ProofState::Verified) {
        return Err(Error::conflict("already_verified", "This number is yours already."));
    }
    if known.is_none() && held.len() >= MOBILES_MAX {
        return Err(Error::conflict("too_many_mobiles", "There are five numbers already. Remove one first."));
    }
    limits::take(db, now, &CODES_NUMBER, number.as_str())?;
    limits::take(db, now, &CODES_ACCOUNT, &account.to_string())?;
    limits::take(db, now, &CODES_PREFIX, &ranges::range_of(number))?;
    limits::take(db, now, &CODES_COUNTRY, &number.region())?;
    limits::take(db, now, &CODES_ADDRESS, &limits::subject_of(from))?;
    let may_send = ranges::asked(db, now, number, known.is_none())?
        && limits::try_take(db, now, &CODES_NUMBER_DAY, number.as_str())?.is_none();
    let id = known.map_or_else(|| HandsetId::new(now), |mobile| mobile.id);
    if known.is_none() {
        store::insert_mobile(db, now, account, id, number)?;
        changed(db, now, account)?;
    }
    let (code, word) = (random_code(), random_word());
    let hashes = (hash(keys, id, &code), word_hash(keys, &word));
    store::set_mobile_code(db, account, id, &hashes, now.plus(CODE_LIFETIME))?;
    Ok(Asked {
        mobile: Mobile { id, number: number.clone(), state: ProofState::Pending },
        code,
        word,
        may_send,
    })
}

/// Spaces and capitals do not matter in what a person types on a phone.
fn word_hash(keys: &Keys, word: &str) -> [u8; 32] {
    let bare: String = word.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
    keys.hash(Purpose::Verification, bare.to_ascii_uppercase().as_bytes())
}

/// Bytes of an SMS in which a word is looked for.
const TEXT_MAX: usize = 64;

/// An SMS from a handset: whether it is the word that proves it. Answers whose the number is now.
///
/// Senders of SMS can be forged, so this takes a number away from nobody: that needs the code, which only the phone
/// itself receives.
pub fn check_text(
    db: &mut Db,
    now: Timestamp,
    keys: &Keys,
    from: &E164,
    text: &str,
) -> Result<Option<AccountId>> {
    if text.len() > TEXT_MAX {
        return Ok(None);
    }
    let found = store::find_mobile_by_word(db, now, &word_hash(keys, text), from)?;
    let Some((account, mobile)) = found else { return Ok(None) };
    if store::find_mobile_holder(db, from)?.is_some() {
        return Ok(None);
    }
    verify(db, now, account, &mobile)?;
    Ok(Some(account))
}

/// What came of a code that somebody typed in.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The mobile, verified when the guess was right.
    pub mobile: Mobile,
    /// Whether it was right. A wrong guess is counted, so the transaction must be committed all the same.
    pub guess: Guess,
    /// Who had the number until now.
    pub taken_from: Option<AccountId>,
}

/// Checks a code that came from an address of the internet.
pub fn check(
    db: &mut Db,
    now: Timestamp,
    keys: &Keys,
    account: AccountId,
    (id, code): (HandsetId, &str),
    from: IpAddr,
) -> Result<Checked> {
    let mobile = list(db, account)?.into_iter().find(|mobile| mobile.id == id);
    let mobile = mobile.ok_or_else(|| Error::not_found("mobile number"))?;
    if mobile.state == ProofState::Verified {
        return Ok(Checked { mobile, guess: Guess::Right, taken_from: None });
    }
    limits::take(db, now, &CHECKS_ACCOUNT, &account.to_string())?;
    limits::take(db, now, &CHECKS_NUMBER, mobile.number.as_str())?;
    limits::take(db, now, &CHECKS_ADDRESS, &limits::subject_of(from))?;
    let pending =
        store::find_mobile_code(db, account, id)?.ok_or_else(|| Error::not_found("mobile number"))?;
    let guess = pending.judge(now, &hash(keys, id, code.trim()));
    if guess != Guess::Right {
        store::count_mobile_attempt(db, account, id)?;
        return Ok(Checked { mobile, guess, taken_from: None });
    }
    let taken_from = verify(db, now, account, &mobile)?;
    Ok(Checked { mobile: Mobile { state: ProofState::Verified, ..mobile }, guess, taken_from })
}

/// Adds a number that needs no proof, because an operator vouches for it; answers who had it until now.
pub fn add_verified(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    number: &E164,
) -> Result<Option<AccountId>> {
    let known = list(db, account)?.into_iter().find(|mobile| mobile.number == *number);
    let mobile = match known {
        Some(mobile) if mobile.state == ProofState::Verified => return Ok(None),
        Some(mobile) => mobile,
        None => {
            let id = HandsetId::new(now);
            store::insert_mobile(db, now, account, id, number)?;
            Mobile { id, number: number.clone(), state: ProofState::Pending }
        }
    };
    verify(db, now, account, &mobile)
}

fn verify(db: &mut Db, now: Timestamp, account: AccountId, mobile: &Mobile) -> Result<Option<AccountId>> {
    let before = store::find_mobile_holder(db, &mobile.number)?;
    let touched: Vec<AccountId> = std::iter::once(account).chain(before.map(|(other, _)| other)).collect();
    events::lock(db, &touched)?;
    let holder = store::find_mobile_holder(db, &mobile.number)?;
    if holder != before {
        return Err(busy());
    }
    if let Some((other, id)) = holder {
        store::delete_mobile(db, other, id)?;
        changed(db, now, other)?;
    }
    store::verify_mobile(db, now, account, mobile.id)?;
    ranges::proved(db, now, &mobile.number)?;
    changed(db, now, account)?;
    Ok(holder.map(|(other, _)| other))
}

/// Takes a number off the account.
pub fn remove(db: &mut Db, now: Timestamp, account: AccountId, id: HandsetId) -> Result<()> {
    if !store::delete_mobile(db, account, id)? {
        return Err(Error::not_found("mobile number"));
    }
    changed(db, now, account)
}

fn changed(db: &mut Db, now: Timestamp, account: AccountId) -> Result<()> {
    events::append(db, now, account, EventKind::AccountUpdated, None, Topics::ROUTES).map(|_| ())
}

fn hash(keys: &Keys, id: HandsetId, code: &str) -> [u8; 32] {
    keys.hash(Purpose::Verification, format!("{id}:{code}").as_bytes())
}
