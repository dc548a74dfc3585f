//! Message encryption for Web Push (RFC 8291): only the subscriber can read what the push service carries.
//!
//! One record of the content coding `aes128gcm` (RFC 8188), with a key agreement of our own for each message.

use p256::elliptic_curve::sec1::ToEncodedPoint;
use p256::{PublicKey, SecretKey};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};

use super::{AUTH_SECRET_BYTES, PUBLIC_KEY_BYTES, Subscription};
use crate::error::{Error, Result};

/// Bytes that go out at most: push services must take 4,096 (RFC 8030 7.2).
const BODY_MAX: usize = 4_096;
/// Salt, record size, length of the key and the key (RFC 8188 2.1).
const HEAD_BYTES: usize = 16 + 4 + 1 + PUBLIC_KEY_BYTES;
/// The tag of AES-GCM and the delimiter.
const TAIL_BYTES: usize = 16 + 1;
/// Bytes of a message at most.
pub const PLAIN_MAX: usize = BODY_MAX - HEAD_BYTES - TAIL_BYTES;
/// Messages are filled up to a multiple of this, so that their length tells little.
const STEP: usize = 128;

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// A random private key. One in four thousand million random words is none; the next one is.
pub(super) fn random_key() -> SecretKey {
    loop {
        if let Ok(key) = SecretKey::from_slice(&rand::random::<[u8; 32]>()) {
            return key;
        }
    }
}

/// Encrypts a message for one subscription.
///
/// # Errors
/// When the message is longer than [`PLAIN_MAX`], or the subscription's key is none.
pub fn encrypt(to: &Subscription, message: &[u8]) -> Result<Vec<u8>> {
    if message.len() > PLAIN_MAX {
        return Err(Error::internal("a push message is too long"));
    }
    let filled = (message.len() + 1).next_multiple_of(STEP).min(PLAIN_MAX + 1);
    let mut record = Vec::with_capacity(filled + 16);
    record.extend_from_slice(message);
    // The last record's delimiter, then padding (RFC 8188 2).
    record.push(2);
    record.resize(filled, 0);
    seal(to, record, &random_key(), &rand::random())
}

fn seal(to: &Subscription, mut record: Vec<u8>, own: &SecretKey, salt: &[u8; 16]) -> Result<Vec<u8>> {
    let bad = || Error::internal("a push message could not be encrypted");
    let theirs = PublicKey::from_sec1_bytes(&to.public_key).map_err(|_| bad())?;
    let own_point = own.public_key().to_encoded_point(false);
    let shared = p256::ecdh::diffie_hellman(own.to_nonzero_scalar(), theirs.as_affine());
    let (key, nonce) = keys(to, own_point.as_bytes(), shared.raw_secret_bytes(), salt)?;
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).map_err(|_| bad())?);
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut record)
        .map_err(|_| bad())?;
    let mut body = Vec::with_capacity(HEAD_BYTES + record.len());
    body.extend_from_slice(salt);
    body.extend_from_slice(&u32::try_from(BODY_MAX).unwrap_or(u32::MAX).to_be_bytes());
    body.push(u8::try_from(PUBLIC_KEY_BYTES).unwrap_or(u8::MAX));
    body.extend_from_slice(own_point.as_bytes());
    body.extend_from_slice(&record);
    Ok(body)
}

/// RFC 8291 3.4: the content encryption key and the nonce.
fn keys(to: &Subscription, own_point: &[u8], shared: &[u8], salt: &[u8]) -> Result<([u8; 16], [u8; 12])> {
    let auth: &[u8; AUTH_SECRET_BYTES] = &to.auth_secret;
    let combined = Salt::new(HKDF_SHA256, auth).extract(shared);
    let mut input = [0u8; 32];
    expand(&combined, &[b"WebPush: info\0", &to.public_key, own_point], &mut input)?;
    let prk = Salt::new(HKDF_SHA256, salt).extract(&input);
    let (mut key, mut nonce) = ([0u8; 16], [0u8; 12]);
    expand(&prk, &[b"Content-Encoding: aes128gcm\0"], &mut key)?;
    expand(&prk, &[b"Content-Encoding: nonce\0"], &mut nonce)?;
    Ok((key, nonce))
}

fn expand(prk: &Prk, info: &[&[u8]], out: &mut [u8]) -> Result<()> {
    let derived = prk.expand(info, Length(out.len()));
    derived.and_then(|d| d.fill(out)).map_err(|_| Error::internal("a push key could not be derived"))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn bytes(text: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(text).unwrap()
    }

    /// RFC 8291 5 and Appendix A.
    #[test]
    fn the_example_of_the_specification() {
        let to = Subscription::parse(
            "https://push.example.net/push/JzLQ3raZJfFBR0aqvOMsLrt54w4rJUsV",
            "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
            "BTBZMqHH6r4Tts7J_aSIgg",
        )
        .unwrap();
        let own = SecretKey::from_slice(&bytes("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")).unwrap();
        let salt: [u8; 16] = bytes("DGv6ra1nlYgDCS1FRnbzlw").try_into().unwrap();
        let mut record = b"When I grow up, I want to be a watermelon".to_vec();
        record.push(2);
        let body = seal(&to, record, &own, &salt).unwrap();
        let want = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";
        assert_eq!(URL_SAFE_NO_PAD.encode(&body), want);
    }

    #[test]
    fn lengths_tell_little_and_have_an_end() {
        let key = random_key().public_key().to_encoded_point(false);
        let to = Subscription::parse(
            "https://push.example.net/a",
            &URL_SAFE_NO_PAD.encode(key.as_bytes()),
            "BTBZMqHH6r4Tts7J_aSIgg",
        )
        .unwrap();
        assert_eq!(encrypt(&to, b"a").unwrap().len(), encrypt(&to, &[7; 100]).unwrap().len());
        assert_eq!(encrypt(&to, &[7; PLAIN_MAX]).unwrap().len(), BODY_MAX);
        assert!(encrypt(&to, &[7; PLAIN_MAX + 1]).is_err());
        assert_ne!(encrypt(&to, b"a").unwrap(), encrypt(&to, b"a").unwrap());
    }
}
