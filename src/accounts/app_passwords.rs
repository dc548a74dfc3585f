//! App passwords: random, one for each phone or program, shown once, stored as a keyed hash.

use super::{AppPassword, session, store};
use crate::clock::Timestamp;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::ids::{AccountId, AppPasswordId};
use crate::keys::{Keys, Purpose, random_app_password};
use crate::push;

/// App passwords of an account at most: enough phones for anybody.
pub const APP_PASSWORDS_MAX: usize = 20;
/// Characters of a label at most.
const LABEL_MAX: usize = 64;
/// Characters of a User-Agent that are kept.
const USER_AGENT_MAX: usize = 200;

/// Makes an app password. The word itself is in the answer and nowhere else.
pub fn create(
    db: &mut Db,
    now: Timestamp,
    keys: &Keys,
    account: AccountId,
    label: &str,
) -> Result<(AppPassword, String)> {
    let label = check_label(label)?;
    if store::list_app_passwords(db, account)?.len() >= APP_PASSWORDS_MAX {
        return Err(Error::conflict(
            "too_many_app_passwords",
            "There are 20 app passwords already. Delete one that is no longer used.",
        ));
    }
    let word = random_app_password();
    let password = AppPassword {
        id: AppPasswordId::new(now),
        label,
        user_agent: None,
        created_at: now,
        last_used_at: None,
    };
    store::insert_app_password(db, account, &password, &stored_hash(keys, &word))?;
    Ok((password, word))
}

/// The app passwords of an account, oldest first.
pub fn list(db: &mut Db, account: AccountId) -> Result<Vec<AppPassword>> {
    store::list_app_passwords(db, account)
}

/// Takes an app password back; it is refused from the commit on.
pub fn delete(db: &mut Db, account: AccountId, id: AppPasswordId) -> Result<()> {
    if !store::delete_app_password(db, account, id)? {
        return Err(Error::not_found("app password"));
    }
    push::forget_credential(db, account, id.as_bytes())?;
    session::close_doors(db, account)
}

/// A login that was found good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Whose.
    pub account: AccountId,
    /// Which app password.
    pub app_password: AppPasswordId,
    /// The account's handle.
    pub handle: String,
    /// When its use was last written down.
    pub noted_at: Option<Timestamp>,
}

/// Checks a user name (handle or verified e-mail address) and an app password.
pub fn check(db: &mut Db, keys: &Keys, username: &str, word: &str) -> Result<Option<Found>> {
    let found = store::find_app_password_by_secret(db, &stored_hash(keys, word))?;
    let Some((account, app_password, handle, noted_at)) = found else { return Ok(None) };
    let username = username.trim().to_lowercase();
    let is_owner = username == handle || store::find_account_id_by_email(db, &username)? == Some(account);
    Ok(is_owner.then_some(Found { account, app_password, handle, noted_at }))
}

/// Writes down that it was used, and by which program.
pub fn note_use(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    id: AppPasswordId,
    user_agent: Option<&str>,
) -> Result<()> {
    let clean =
        |agent: &str| -> String { agent.chars().filter(|c| !c.is_control()).take(USER_AGENT_MAX).collect() };
    store::update_app_password_use(db, account, id, now, user_agent.map(clean).as_deref())
}

/// What is stored for a word: capitals, spaces and hyphens do not matter, because people copy it by hand.
fn stored_hash(keys: &Keys, word: &str) -> [u8; 32] {
    let plain: String = word
        .chars()
        .filter(|c| *c != '-' && !c.is_whitespace())
        .take(128)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    keys.hash(Purpose::AppPassword, plain.as_bytes())
}

fn check_label(label: &str) -> Result<String> {
    let label = label.trim();
    if label.is_empty() {
        return Err(Error::invalid("label", "required", "Give the app password a name, like the phone's."));
    }
    if label.chars().count() > LABEL_MAX || label.chars().any(char::is_control) {
        return Err(Error::invalid("label", "bad_label", "A label has at most 64 plain characters."));
    }
    Ok(label.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_does_not_matter() {
        let keys = Keys::from_secret(&[7; 32]);
        let hash = stored_hash(&keys, "abcde-fghjk");
        assert_eq!(stored_hash(&keys, "ABCDE FGHJK"), hash);
        assert_eq!(stored_hash(&keys, "abcdefghjk\n"), hash);
        assert_ne!(stored_hash(&keys, "abcdefghjm"), hash);
    }

    #[test]
    fn labels_are_checked() {
        assert_eq!(check_label(" iPhone ").unwrap(), "iPhone");
        assert!(check_label("").is_err());
        assert!(check_label(&"x".repeat(65)).is_err());
    }
}
