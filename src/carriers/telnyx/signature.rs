//! Who signed a callback: Ed25519 (RFC 8032) over `timestamp|raw body`, the key being the account's.
//!
//! The address is not covered, so nothing is believed that stands only there.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signature, VerifyingKey};

use crate::carriers::{BadSignature, CallbackRequest};

const SIGNATURE: &str = "telnyx-signature-ed25519";
const TIMESTAMP: &str = "telnyx-timestamp";
/// A signature is good for so long before and after its time; the vendor's SDK has the same.
const TOLERANCE_SECS: u64 = 300;

/// The keys that sign this account's callbacks; a second one while the key is changed.
pub(super) struct Keys(Vec<VerifyingKey>);

impl Keys {
    /// Keys as the portal shows them: base64 of 32 bytes.
    pub(super) fn new<'a>(keys: impl IntoIterator<Item = &'a str>) -> Result<Keys, String> {
        let read = |text: &str| {
            let bytes: [u8; 32] = BASE64.decode(text.trim()).ok()?.try_into().ok()?;
            VerifyingKey::from_bytes(&bytes).ok()
        };
        let keys: Option<Vec<_>> = keys.into_iter().map(read).collect();
        keys.map(Keys).ok_or_else(|| {
            "public_key must be the 44 characters of base64 that Keys & Credentials shows".to_owned()
        })
    }

    /// Checks time and signature of a callback.
    pub(super) fn verify(&self, request: &CallbackRequest<'_>) -> Result<(), BadSignature> {
        let header = |name| request.headers.get(name).map(str::trim).ok_or(BadSignature("no signature"));
        let (signature, at) = (header(SIGNATURE)?, header(TIMESTAMP)?);
        let seconds: i64 = at.parse().map_err(|_| BadSignature("the time is not a number"))?;
        if request.now.unix_secs().abs_diff(seconds) > TOLERANCE_SECS {
            return Err(BadSignature("the signature is too old, or from the future"));
        }
        let mut bytes = [0; 66];
        let length = BASE64
            .decode_slice(signature, &mut bytes)
            .map_err(|_| BadSignature("the signature is not base64"))?;
        let signature = Signature::from_slice(bytes.get(..length).unwrap_or_default())
            .map_err(|_| BadSignature("the signature has the wrong length"))?;
        let mut signed = Vec::with_capacity(at.len() + 1 + request.body.len());
        signed.extend_from_slice(at.as_bytes());
        signed.push(b'|');
        signed.extend_from_slice(request.body);
        let good = self.0.iter().any(|key| key.verify_strict(&signed, &signature).is_ok());
        if good { Ok(()) } else { Err(BadSignature("the signature does not match")) }
    }
}
