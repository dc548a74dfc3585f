//! Passwords that people choose: what is accepted, and argon2id (RFC 9106) behind a bounded door.

use std::sync::LazyLock;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;

use crate::error::{Error, Result};

/// Characters at least.
pub const MIN_CHARS: usize = 10;
/// Bytes at most: the hash reads all of them.
pub const MAX_BYTES: usize = 256;

/// Hashes computed at once: each takes 19 MiB and a core.
const AT_ONCE: usize = 4;
/// Callers that may wait for their turn; more are told to come back, or a flood of sign-ins would hold everything up.
const WAITING_MAX: usize = 64;

/// What the dummy stands for is known to nobody: it makes unknown logins cost as much as known ones.
static DUMMY: LazyLock<String> = LazyLock::new(|| hash_now(&crate::keys::random_token()).unwrap_or_default());

/// Whether a password is acceptable at all.
pub fn check_shape(password: &str) -> Result<()> {
    if password.chars().count() < MIN_CHARS {
        return Err(Error::invalid("password", "too_short", "A password has at least 10 characters."));
    }
    if password.len() > MAX_BYTES {
        return Err(Error::invalid("password", "too_long", "A password has at most 256 bytes."));
    }
    Ok(())
}

/// Hashes on the caller's thread (tens of milliseconds): for the command line. Edges use [`Hasher`].
pub fn hash_now(password: &str) -> Result<String> {
    // Argon2id v19 with 19 MiB and two passes, the first choice of OWASP's password storage cheat sheet.
    let hash: argon2::password_hash::phc::PasswordHash = Argon2::default()
        .hash_password(password.as_bytes())
        .map_err(|e| Error::internal(format!("hashing a password: {e}")))?;
    Ok(hash.to_string())
}

fn matches_now(password: &str, hash: &str) -> bool {
    let Ok(hash) = PasswordHash::new(hash) else { return false };
    Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
}

/// Runs argon2 off the event loop, a few at a time.
#[derive(Debug)]
pub struct Hasher {
    turns: Semaphore,
    places: Semaphore,
}

impl Default for Hasher {
    fn default() -> Self {
        Hasher { turns: Semaphore::new(AT_ONCE), places: Semaphore::new(AT_ONCE + WAITING_MAX) }
    }
}

impl Hasher {
    /// The hash to store.
    pub async fn hash(&self, password: String) -> Result<String> {
        self.run(move || hash_now(&password)).await?
    }

    /// Whether the password is the one of `hash`; without a hash the same work is done, and the answer is no.
    pub async fn matches(&self, password: String, hash: Option<String>) -> Result<bool> {
        if password.len() > MAX_BYTES {
            return Ok(false);
        }
        self.run(move || {
            let known = hash.is_some();
            let matches = matches_now(&password, hash.as_deref().unwrap_or(&DUMMY));
            known && matches
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let busy = || Error::unavailable("busy", "Too many are signing in. Try again in a moment.");
        let _place = self.places.try_acquire().map_err(|_| busy())?;
        let _turn = self.turns.acquire().await.map_err(|_| busy())?;
        tokio::task::spawn_blocking(work).await.map_err(|e| Error::caused("hashing a password", e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shape_is_checked() {
        assert!(check_shape("열글자는넘는비밀번호").is_ok());
        assert_eq!(check_shape("123456789").unwrap_err().code(), "too_short");
        assert_eq!(check_shape(&"x".repeat(257)).unwrap_err().code(), "too_long");
    }

    #[actix_rt::test]
    async fn only_the_right_password_matches() {
        let hasher = Hasher::default();
        let hash = hasher.hash("correct horse".to_owned()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(hasher.matches("correct horse".to_owned(), Some(hash.clone())).await.unwrap());
        assert!(!hasher.matches("correct house".to_owned(), Some(hash)).await.unwrap());
        assert!(!hasher.matches("correct horse".to_owned(), None).await.unwrap());
    }
}
