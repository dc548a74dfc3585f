//! Who we are, for push services (RFC 8292): a token signed with a key that belongs to this installation.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::SecretKey;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::elliptic_curve::sec1::ToEncodedPoint;
use serde_json::json;

use crate::clock::Timestamp;
use crate::keys::{Keys, Purpose};

/// How long a token is good; push services refuse more than a day.
const TOKEN_LIFE: Duration = Duration::from_secs(12 * 3_600);

/// The key pair, and how an operator can be reached.
#[derive(Clone)]
pub struct Vapid {
    key: SigningKey,
    public_key: String,
    contact: Option<String>,
}

impl Vapid {
    /// Derived from the installation's key, so that all nodes have the same one. `contact` is a `mailto:` or `https:`
    /// address.
    pub fn new(keys: &Keys, contact: Option<String>) -> Vapid {
        let mut turn = 0u64;
        let secret = loop {
            let word = keys.hash(Purpose::Vapid, &turn.to_be_bytes());
            // One in four thousand million words is no key; then the next one is taken, on every node.
            match SecretKey::from_slice(&word) {
                Ok(secret) => break secret,
                Err(_) => turn += 1,
            }
        };
        let public_key = URL_SAFE_NO_PAD.encode(secret.public_key().to_encoded_point(false).as_bytes());
        Vapid { key: SigningKey::from(secret), public_key, contact }
    }

    /// The public key, uncompressed and in base64url.
    pub fn public_key(&self) -> &str {
        &self.public_key
    }

    /// The value of `Authorization` for a push service; `origin` is its scheme, host and port.
    pub fn authorization(&self, now: Timestamp, origin: &str) -> String {
        let mut claims = json!({ "aud": origin, "exp": now.plus(TOKEN_LIFE).unix_secs() });
        if let (Some(contact), Some(claims)) = (&self.contact, claims.as_object_mut()) {
            claims.insert("sub".to_owned(), json!(contact));
        }
        let head = URL_SAFE_NO_PAD.encode(json!({ "typ": "JWT", "alg": "ES256" }).to_string());
        let signed = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature: Signature = self.key.sign(signed.as_bytes());
        format!("vapid t={signed}.{}, k={}", URL_SAFE_NO_PAD.encode(signature.to_bytes()), self.public_key)
    }
}

#[cfg(test)]
mod tests {
    use p256::ecdsa::VerifyingKey;
    use p256::ecdsa::signature::Verifier as _;

    use super::*;

    #[test]
    fn a_token_names_the_service_and_is_signed() {
        let vapid = Vapid::new(&Keys::from_secret(&[7; 32]), Some("mailto:boss@example.org".to_owned()));
        assert_eq!(vapid.public_key(), Vapid::new(&Keys::from_secret(&[7; 32]), None).public_key());
        let now = Timestamp(1_760_000_000_000_000);
        let header = vapid.authorization(now, "https://push.example.net");
        let token = header.strip_prefix("vapid t=").unwrap().split(", k=").next().unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let key = URL_SAFE_NO_PAD.decode(vapid.public_key()).unwrap();
        assert_eq!(key.len(), 65);
        let signature = Signature::from_slice(&URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
        VerifyingKey::from_sec1_bytes(&key).unwrap().verify(signed.as_bytes(), &signature).unwrap();
        let claims = URL_SAFE_NO_PAD.decode(signed.split_once('.').unwrap().1).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(claims["aud"], "https://push.example.net");
        assert_eq!(claims["sub"], "mailto:boss@example.org");
        assert_eq!(claims["exp"], 1_760_000_000 + 12 * 3_600);
    }
}
