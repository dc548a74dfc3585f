//! The installation's own key, and what is derived from it: hashes of credentials, token signatures, random words.
//!
//! Tokens and app passwords are random (128 bits or more), so a keyed BLAKE3 is all they need and costs under a
//! microsecond; passwords that people choose go through argon2 elsewhere.

use std::io::Write;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;

use crate::error::{Error, Result};

/// What a derived key is for. Each purpose has a key of its own, so that a hash for one is worthless for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// App passwords.
    AppPassword,
    /// Refresh tokens.
    RefreshToken,
    /// Access tokens (JWT).
    AccessToken,
    /// Verification codes and links.
    Verification,
    /// Tickets, cursors and signed links.
    Ticket,
    /// The key pair by which push services know us.
    Vapid,
    /// The names of what pushes are about.
    PushTopic,
    /// What rests in a table for a while and must not be read there.
    Veil,
}

impl Purpose {
    fn context(self) -> &'static str {
        match self {
            Purpose::AppPassword => "meari 2026-11 app passwords",
            Purpose::RefreshToken => "meari 2026-11 refresh tokens",
            Purpose::AccessToken => "meari 2026-11 access tokens",
            Purpose::Verification => "meari 2026-11 verification codes",
            Purpose::Ticket => "meari 2026-11 tickets",
            Purpose::Vapid => "meari 2026-11 web push identity",
            Purpose::PushTopic => "meari 2026-11 push topics",
            Purpose::Veil => "meari 2026-11 veils",
        }
    }
}

/// The key of this installation. Never shown, never logged.
#[derive(Clone)]
pub struct Keys {
    app_password: [u8; 32],
    refresh_token: [u8; 32],
    access_token: [u8; 32],
    verification: [u8; 32],
    ticket: [u8; 32],
    vapid: [u8; 32],
    push_topic: [u8; 32],
    veil: [u8; 32],
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(…)")
    }
}

impl Keys {
    /// Derives everything from 32 secret bytes.
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        let derive = |purpose: Purpose| blake3::derive_key(purpose.context(), secret);
        Keys {
            app_password: derive(Purpose::AppPassword),
            refresh_token: derive(Purpose::RefreshToken),
            access_token: derive(Purpose::AccessToken),
            verification: derive(Purpose::Verification),
            ticket: derive(Purpose::Ticket),
            vapid: derive(Purpose::Vapid),
            push_topic: derive(Purpose::PushTopic),
            veil: derive(Purpose::Veil),
        }
    }

    /// Reads the secret file (64 hex digits); makes one that only its owner can read when there is none.
    pub fn load_or_create(path: &Path) -> Result<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => {
                let secret = blake3::Hash::from_hex(text.trim()).map_err(|_| {
                    Error::invalid(
                        "secret_file",
                        "not_a_key",
                        format!("{} must hold 64 hexadecimal digits.", path.display()),
                    )
                })?;
                Ok(Keys::from_secret(secret.as_bytes()))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let secret: [u8; 32] = rand::random();
                write_secret(path, &secret)
                    .map_err(|e| Error::caused(format!("writing the secret file {}", path.display()), e))?;
                Ok(Keys::from_secret(&secret))
            }
            Err(error) => Err(Error::caused(format!("reading the secret file {}", path.display()), error)),
        }
    }

    /// The 32 bytes for one purpose.
    pub fn key(&self, purpose: Purpose) -> &[u8; 32] {
        match purpose {
            Purpose::AppPassword => &self.app_password,
            Purpose::RefreshToken => &self.refresh_token,
            Purpose::AccessToken => &self.access_token,
            Purpose::Verification => &self.verification,
            Purpose::Ticket => &self.ticket,
            Purpose::Vapid => &self.vapid,
            Purpose::PushTopic => &self.push_topic,
            Purpose::Veil => &self.veil,
        }
    }

    /// A keyed hash, to be stored in place of the credential.
    pub fn hash(&self, purpose: Purpose, credential: &[u8]) -> [u8; 32] {
        *blake3::keyed_hash(self.key(purpose), credential).as_bytes()
    }
}

impl Keys {
    /// Veils bytes in place, or unveils them: with a pad from BLAKE3's output, keyed by this installation and `nonce`.
    /// One nonce is for one text only. That nobody altered the text it does not say.
    pub fn veil(&self, nonce: &[u8], bytes: &mut [u8]) {
        let mut pad = vec![0; bytes.len()];
        blake3::Hasher::new_keyed(&self.veil).update(nonce).finalize_xof().fill(&mut pad);
        bytes.iter_mut().zip(pad).for_each(|(byte, pad)| *byte ^= pad);
    }
}

fn write_secret(path: &Path, secret: &[u8; 32]) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{}", blake3::Hash::from_bytes(*secret).to_hex())?;
    file.sync_all()
}

/// Compares in constant time.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// A random word of 256 bits for tokens.
pub fn random_token() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// A password that a person can copy by eye into a phone: 5 groups of 5 letters and digits that cannot be mistaken for
/// each other, 122 bits and more.
pub fn random_app_password() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz23456789_";
    let mut word = String::with_capacity(32);
    let mut count = 0;
    while count < 25 {
        let pick = usize::from(rand::random::<u8>() & 31);
        let Some(letter) = LETTERS.get(pick).filter(|l| **l != b'_') else { continue };
        if count > 0 && count % 5 == 0 {
            word.push('-');
        }
        word.push(char::from(*letter));
        count += 1;
    }
    word
}

/// A word for people to send by SMS: `MEARI` and eight letters and digits that cannot be mistaken for each other, 39 bits.
pub fn random_word() -> String {
    let letters = random_app_password().replace('-', "").to_ascii_uppercase();
    format!("MEARI {}", letters.get(..8).unwrap_or(&letters))
}

/// A code of six digits.
pub fn random_code() -> String {
    // The remainder of 2^32 by a million is small: no digit is favoured by more than one in four thousand.
    format!("{:06}", rand::random::<u32>() % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_do_not_share_hashes() {
        let keys = Keys::from_secret(&[7; 32]);
        assert_ne!(keys.hash(Purpose::AppPassword, b"x"), keys.hash(Purpose::RefreshToken, b"x"));
        assert_eq!(
            keys.hash(Purpose::AppPassword, b"x"),
            Keys::from_secret(&[7; 32]).hash(Purpose::AppPassword, b"x")
        );
    }

    #[test]
    fn what_is_veiled_twice_is_as_before() {
        let keys = Keys::from_secret(&[7; 32]);
        let mut bytes = *b"abcde-fghjk";
        keys.veil(b"one", &mut bytes);
        assert_ne!(&bytes, b"abcde-fghjk");
        let mut elsewhere = bytes;
        keys.veil(b"two", &mut elsewhere);
        keys.veil(b"one", &mut bytes);
        assert_eq!(&bytes, b"abcde-fghjk");
        assert_ne!(&elsewhere, b"abcde-fghjk");
    }

    #[test]
    fn the_secret_file_is_made_once_and_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/secret.key");
        let first = Keys::load_or_create(&path).unwrap();
        let second = Keys::load_or_create(&path).unwrap();
        assert_eq!(first.hash(Purpose::Ticket, b"x"), second.hash(Purpose::Ticket, b"x"));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, "short").unwrap();
        assert_eq!(Keys::load_or_create(&path).unwrap_err().code(), "not_a_key");
    }

    #[test]
    fn app_passwords_are_long_and_legible() {
        let word = random_app_password();
        assert_eq!(word.len(), 29);
        assert!(word.bytes().all(|b| b == b'-' || b.is_ascii_lowercase() || b.is_ascii_digit()));
        assert!(!word.contains(['l', 'i', 'o', '0', '1', '_']));
    }
}
