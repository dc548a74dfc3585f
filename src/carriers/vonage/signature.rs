//! Tokens in both directions: HS256 on what Vonage sends us, RS256 on what we ask of it.
//!
//! “Webhooks / Decoding signed webhooks”: `Authorization: Bearer <JWT>`, signed with the account's signature secret,
//! with the SHA-256 of the raw body in `payload_hash`. Nothing but HS256 is believed, whatever the token says. “Vonage
//! APIs / Authentication”: an application signs its own tokens with its private key (RFC 7519, RFC 7518 §3.3).

use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use hmac::{Hmac, KeyInit as _, Mac};
use ring::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer};
use secrecy::SecretString;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::carriers::{BadSignature, CallbackRequest};
use crate::clock::Timestamp;

/// Theirs has some 500 bytes.
const TOKEN_BYTES_MAX: usize = 4_096;
/// How old a callback's token may be, and how far its clock may be ahead. The vendor names no limit; this one is ours.
const TOLERANCE_SECS: i64 = 300;
/// How long a token of ours is good, as in the vendor's own libraries.
const LIFETIME_SECS: i64 = 900;
/// A token is used again until it is so old, well before it ends.
const REUSED_SECS: i64 = 600;

/// What checks callbacks.
pub(super) struct CallbackKeys {
    secrets: Vec<Hmac<Sha256>>,
    api_key: String,
    application_id: String,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Claims {
    iat: i64,
    #[serde(default)]
    exp: Option<i64>,
    #[serde(default)]
    iss: Option<String>,
    #[serde(default)]
    payload_hash: Option<String>,
    #[serde(default)]
    api_key: Option<String>,
    #[serde(default)]
    application_id: Option<String>,
}

impl CallbackKeys {
    /// Keys from signature secrets; a second one during rotation.
    pub(super) fn new<'a>(
        secrets: impl IntoIterator<Item = &'a str>,
        api_key: &str,
        application_id: &str,
    ) -> Result<CallbackKeys, String> {
        let key = |secret: &str| Hmac::new_from_slice(secret.as_bytes()).map_err(|error| error.to_string());
        Ok(CallbackKeys {
            secrets: secrets.into_iter().map(key).collect::<Result<_, _>>()?,
            api_key: api_key.to_owned(),
            application_id: application_id.to_owned(),
        })
    }

    /// Checks the token of a request and that it speaks of this body.
    pub(super) fn verify(&self, request: &CallbackRequest<'_>) -> Result<(), BadSignature> {
        let header = request.headers.get("Authorization").ok_or(BadSignature("no token"))?;
        let (scheme, token) = header.split_once(' ').ok_or(BadSignature("no token"))?;
        if !scheme.eq_ignore_ascii_case("bearer") || token.len() > TOKEN_BYTES_MAX {
            return Err(BadSignature("no token"));
        }
        let claims = self.claims(token.trim())?;
        let now = request.now.0.div_euclid(1_000_000);
        if claims.iat.abs_diff(now) > TOLERANCE_SECS.unsigned_abs() {
            return Err(BadSignature("the token is stale"));
        }
        if claims.exp.is_some_and(|exp| exp.saturating_add(TOLERANCE_SECS) < now) {
            return Err(BadSignature("the token has ended"));
        }
        if claims.iss.as_deref() != Some("Vonage") || claims.api_key.as_deref() != Some(&self.api_key) {
            return Err(BadSignature("the token speaks of another account"));
        }
        if claims.application_id.is_some_and(|id| id != self.application_id) {
            return Err(BadSignature("the token speaks of another application"));
        }
        let hash = hex(&Sha256::digest(request.body));
        let told = claims.payload_hash.unwrap_or_default();
        let equal: bool = hash.as_bytes().ct_eq(told.as_bytes()).into();
        if equal { Ok(()) } else { Err(BadSignature("the body is not the one that was hashed")) }
    }

    /// Checks the signature, then reads the claims.
    fn claims(&self, token: &str) -> Result<Claims, BadSignature> {
        let malformed = BadSignature("the token is malformed");
        let (signed, signature) = token.rsplit_once('.').ok_or(malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(malformed)?;
        let decode = |part: &str| BASE64URL.decode(part).map_err(|_| malformed);
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| malformed)?;
        if header.alg != "HS256" {
            return Err(BadSignature("the token is signed in a way that we did not agree on"));
        }
        let signature = decode(signature)?;
        // `verify_slice` compares in constant time.
        let good = |key: &Hmac<Sha256>| key.clone().chain_update(signed).verify_slice(&signature).is_ok();
        if !self.secrets.iter().any(good) {
            return Err(BadSignature("the signature does not match"));
        }
        serde_json::from_slice(&decode(claims)?).map_err(|_| malformed)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What signs our own requests.
pub(super) struct Signer {
    application_id: String,
    key: RsaKeyPair,
    kept: Mutex<Option<(i64, String)>>,
}

impl Signer {
    /// A signer from the application's private key in PEM (PKCS#8 or PKCS#1).
    pub(super) fn new(application_id: &str, pem: &str) -> Result<Signer, String> {
        let advice = "private_key must be the application's private key in PEM, from BEGIN to END";
        // Settings in one line have the line ends written out.
        let pem = pem.replace("\\n", "\n");
        let der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| advice.to_owned())?;
        let key = match &der {
            PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
            _ => return Err(advice.to_owned()),
        };
        let key = key.map_err(|error| format!("{advice}; this one is refused ({error})"))?;
        Ok(Signer { application_id: application_id.to_owned(), key, kept: Mutex::new(None) })
    }

    /// A token that is good for the next minutes. `now` is the true time, since the vendor looks at it.
    pub(super) fn token(&self, now: Timestamp) -> Option<SecretString> {
        let now = now.0.div_euclid(1_000_000);
        let mut kept = self.kept.lock().ok()?;
        if let Some((since, token)) = kept.as_ref()
            && (*since..since.saturating_add(REUSED_SECS)).contains(&now)
        {
            return Some(token.clone().into());
        }
        let claims = serde_json::json!({
            "application_id": self.application_id,
            "iat": now,
            "exp": now.saturating_add(LIFETIME_SECS),
            "jti": uuid::Uuid::new_v4().to_string(),
        });
        let header = BASE64URL.encode(r#"{"alg":"RS256","typ":"JWT"}"#);
        let signed = format!("{header}.{}", BASE64URL.encode(claims.to_string()));
        let mut signature = vec![0; self.key.public().modulus_len()];
        let random = ring::rand::SystemRandom::new();
        self.key.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).ok()?;
        let token = format!("{signed}.{}", BASE64URL.encode(signature));
        *kept = Some((now, token.clone()));
        Some(token.into())
    }

    /// Whether a public key in PEM belongs to our private one.
    pub(super) fn matches(&self, public_pem: &str) -> bool {
        // The outer structure ends with the key itself (RFC 5280 §4.1.2.7).
        SubjectPublicKeyInfoDer::from_pem_slice(public_pem.as_bytes())
            .is_ok_and(|der| der.as_ref().ends_with(self.key.public_key().as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "test-signature-secret-0123456789abcdef";
    const BODY: &str = r#"{"message_uuid":"aaaaaaaa-bbbb-cccc-dddd-0123456789ab","text":"Grüße ✓"}"#;
    const HASH: &str = "204d410149d23a33a6b6d201e063f03e6c64906505a4f1cc8839cafec5d1e332";
    const NOW: i64 = 1_760_000_000;
    const PRIVATE: &str = include_str!("../../../tests/keys/application.pem");
    const PUBLIC: &str = include_str!("../../../tests/keys/application.pub.pem");

    fn token(alg: &str, secret: &str, claims: &serde_json::Value) -> String {
        let header = BASE64URL.encode(format!(r#"{{"alg":"{alg}","typ":"JWT"}}"#));
        let signed = format!("{header}.{}", BASE64URL.encode(claims.to_string()));
        let key: Hmac<Sha256> = Hmac::new_from_slice(secret.as_bytes()).unwrap();
        let mac = key.chain_update(&signed).finalize().into_bytes();
        format!("{signed}.{}", BASE64URL.encode(mac))
    }

    fn claims() -> serde_json::Value {
        serde_json::json!({
            "iat": NOW, "jti": "6f7a", "iss": "Vonage", "payload_hash": HASH, "api_key": "a1b2c3d4",
            "application_id": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab",
        })
    }

    fn check(header: Option<String>, body: &str) -> Result<(), BadSignature> {
        let keys = CallbackKeys::new([SECRET, "next"], "a1b2c3d4", "aaaaaaaa-bbbb-cccc-dddd-0123456789ab");
        let headers: Vec<_> = header.into_iter().map(|value| ("authorization".to_owned(), value)).collect();
        let now = Timestamp(NOW * 1_000_000);
        let url = "https://meari.example.org/carriers/main/messages";
        keys.unwrap().verify(&CallbackRequest {
            method: "POST",
            url,
            headers: &headers,
            body: body.as_bytes(),
            now,
        })
    }

    #[test]
    fn genuine_ones_are_taken() {
        let bearer = |token: String| Some(format!("Bearer {token}"));
        check(bearer(token("HS256", SECRET, &claims())), BODY).unwrap();
        check(bearer(token("HS256", "next", &claims())), BODY).unwrap();
        let mut without_application = claims();
        without_application.as_object_mut().unwrap().remove("application_id");
        check(bearer(token("HS256", SECRET, &without_application)), BODY).unwrap();
    }

    #[test]
    fn all_others_are_refused() {
        let with = |key: &str, value: serde_json::Value| {
            let mut claims = claims();
            claims[key] = value;
            token("HS256", SECRET, &claims)
        };
        let good = token("HS256", SECRET, &claims());
        let (signed, _) = good.rsplit_once('.').unwrap();
        let table = [
            token("HS256", "wrong", &claims()),
            token("none", SECRET, &claims()),
            token("HS384", SECRET, &claims()),
            token("RS256", SECRET, &claims()),
            format!("{signed}."),
            signed.to_owned(),
            "a.b.c".to_owned(),
            String::new(),
            with("iat", (NOW - 301).into()),
            with("iat", (NOW + 301).into()),
            with("iat", "soon".into()),
            with("exp", (NOW - 301).into()),
            with("iss", "Somebody".into()),
            with("api_key", "other".into()),
            with("application_id", "other".into()),
            with("payload_hash", serde_json::Value::Null),
            with("payload_hash", HASH.to_uppercase().into()),
        ];
        for token in table {
            assert!(check(Some(format!("Bearer {token}")), BODY).is_err(), "{token}");
        }
        assert!(check(Some(format!("Bearer {good}")), &BODY.replace('✓', "x")).is_err(), "another body");
        assert!(check(Some(format!("Basic {good}")), BODY).is_err());
        assert!(check(Some(good), BODY).is_err() && check(None, BODY).is_err());
    }

    #[test]
    fn our_own_tokens_are_signed_and_used_again() {
        let signer = Signer::new("app", PRIVATE).unwrap();
        let at = |secs: i64| {
            let token = signer.token(Timestamp(secs * 1_000_000)).unwrap();
            secrecy::ExposeSecret::expose_secret(&token).to_owned()
        };
        let first = at(NOW);
        assert_eq!(first, at(NOW + 599));
        assert_ne!(first, at(NOW + 601));
        assert_ne!(first, at(NOW - 1), "a clock that was set back");
        let (signed, signature) = first.rsplit_once('.').unwrap();
        let spki = SubjectPublicKeyInfoDer::from_pem_slice(PUBLIC.as_bytes()).unwrap();
        assert!(spki.as_ref().ends_with(signer.key.public_key().as_ref()));
        let public = ring::signature::UnparsedPublicKey::new(
            &ring::signature::RSA_PKCS1_2048_8192_SHA256,
            signer.key.public_key().as_ref(),
        );
        public.verify(signed.as_bytes(), &BASE64URL.decode(signature).unwrap()).unwrap();
        let claims = BASE64URL.decode(signed.split_once('.').unwrap().1).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(
            (claims["application_id"].as_str(), claims["exp"].as_i64()),
            (Some("app"), Some(NOW + 900))
        );
        assert!(signer.matches(PUBLIC) && !signer.matches("x"));
    }

    #[test]
    fn keys_that_cannot_be_are_refused() {
        for pem in ["", "x", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", PUBLIC] {
            assert!(Signer::new("app", pem).err().unwrap().contains("private_key"));
        }
        assert!(Signer::new("app", &PRIVATE.replace('\n', "\\n")).is_ok(), "written in one line");
    }
}
