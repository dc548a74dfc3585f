//! Who signed a callback: `X-Plivo-Signature-V3`, `X-Plivo-Signature-Ma-V3`.
//!
//! Signature V3 as Plivo's published server libraries compute it: base64(HMAC-SHA256(auth token, text + "." + nonce)).
//! The text of a POST is the address without its query, `?`, the sorted query, a dot when there was a query, and the
//! sorted fields of the form without separators; without fields, and for a GET, it is the address with its sorted
//! query. Both headers may hold several signatures. The one with `Ma` is made with the main account's token.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac};
use sha2::Sha256;

use crate::carriers::form::Form;
use crate::carriers::{BadSignature, CallbackRequest};

const SIGNATURES: [&str; 2] = ["X-Plivo-Signature-V3", "X-Plivo-Signature-Ma-V3"];
const NONCE: &str = "X-Plivo-Signature-V3-Nonce";
/// A nonce has some twenty digits.
const NONCE_BYTES_MAX: usize = 128;
/// Signatures in one header at most.
const SIGNATURES_MAX: usize = 8;

/// The tokens whose holders may call us.
pub(super) struct Keys(Vec<Hmac<Sha256>>);

impl Keys {
    /// Keys from auth tokens: the account's, a second one during rotation, the main account's.
    pub(super) fn new<'a>(tokens: impl IntoIterator<Item = &'a str>) -> Result<Keys, String> {
        let key = |token: &str| Hmac::new_from_slice(token.as_bytes()).map_err(|error| error.to_string());
        Ok(Keys(tokens.into_iter().map(key).collect::<Result<_, _>>()?))
    }

    /// Checks a request whose fields, from where the method puts them, are `form`.
    pub(super) fn verify(&self, request: &CallbackRequest<'_>, form: &Form) -> Result<(), BadSignature> {
        let nonce = request.headers.get(NONCE).unwrap_or_default();
        if nonce.is_empty() || nonce.len() > NONCE_BYTES_MAX {
            return Err(BadSignature("no nonce"));
        }
        let text =
            signed_text(request, form, nonce).ok_or(BadSignature("the address has too many fields"))?;
        let mut seen = false;
        for header in SIGNATURES.iter().filter_map(|name| request.headers.get(name)) {
            for signature in header.split(',').take(SIGNATURES_MAX) {
                seen = true;
                let Ok(wanted) = BASE64.decode(signature.trim()) else { continue };
                // `verify_slice` compares in constant time.
                let good = |key: &Hmac<Sha256>| key.clone().chain_update(&text).verify_slice(&wanted).is_ok();
                if self.0.iter().any(good) {
                    return Ok(());
                }
            }
        }
        Err(BadSignature(if seen { "the signature does not match" } else { "no signature" }))
    }
}

/// The query of an address, without `?` and fragment.
pub(super) fn query_of(url: &str) -> &str {
    let url = url.split('#').next().unwrap_or_default();
    url.split_once('?').map_or("", |(_, query)| query)
}

/// What is signed. Names and values of the query are taken decoded.
fn signed_text(request: &CallbackRequest<'_>, form: &Form, nonce: &str) -> Option<Vec<u8>> {
    let bare = request.url.split(['?', '#']).next().unwrap_or_default();
    let mut text = bare.as_bytes().to_vec();
    let query = Form::parse(query_of(request.url).as_bytes())?;
    let query = query.sorted();
    let fields = if is_get(request) { Vec::new() } else { form.sorted() };
    if !query.is_empty() || !fields.is_empty() {
        text.push(b'?');
    }
    for (at, (name, value)) in query.iter().enumerate() {
        if at > 0 {
            text.push(b'&');
        }
        text.extend_from_slice(name);
        text.push(b'=');
        text.extend_from_slice(value);
    }
    if !query.is_empty() && !fields.is_empty() {
        text.push(b'.');
    }
    for (name, value) in fields {
        text.extend_from_slice(name);
        text.extend_from_slice(value);
    }
    text.push(b'.');
    text.extend_from_slice(nonce.as_bytes());
    Some(text)
}

/// Whether the fields stand in the address.
pub(super) fn is_get(request: &CallbackRequest<'_>) -> bool {
    request.method.eq_ignore_ascii_case("GET")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    const BODY: &str = "Text=Gr%C3%BC%C3%9Fe+%26+%2B&From=15005550001&To=15005550006";
    const LONG_NONCE: &str = "05429567804466091622";

    fn check(method: &str, url: &str, body: &str, headers: &[(&str, &str)]) -> Result<(), BadSignature> {
        let keys = Keys::new(["PLIVOTOKEN", "another"]).unwrap();
        let headers: Vec<(String, String)> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let now = Timestamp(0);
        let request = CallbackRequest { method, url, headers: &headers, body: body.as_bytes(), now };
        let form = if is_get(&request) { query_of(url) } else { body };
        keys.verify(&request, &Form::parse(form.as_bytes()).unwrap())
    }

    /// Vectors made with the vendor's own libraries.
    const VECTORS: [(&str, &str, &str, &str, &str); 3] = [
        ("POST", "https://example.com/p", BODY, LONG_NONCE, "LZCuGJchC2tmUhJnyvloQlVZ+9oxCiimE34I/wKQKvo="),
        (
            "POST",
            "https://example.com/p?b=2&a=1%202",
            BODY,
            LONG_NONCE,
            "UHqyjFuqtR6pm5CWFs5+2gU9zRbISM6osvDWCaUfif8=",
        ),
        ("GET", "https://example.com/p?b=2&a=1", "", "1", "wWsz2vHNXx4Vbl1rH83f1K+fkmyZuqegEbOx4wLJYGg="),
    ];

    #[test]
    fn genuine_ones_are_taken() {
        for (method, url, body, nonce, signature) in VECTORS {
            for name in SIGNATURES {
                check(method, url, body, &[(NONCE, nonce), (name, signature)]).unwrap();
                let several = format!("AAAA,{signature}, BBBB");
                check(method, url, body, &[(NONCE, nonce), (name, &several)]).unwrap();
            }
        }
    }

    #[test]
    fn all_others_are_refused() {
        for (method, url, body, nonce, signature) in VECTORS {
            let good = [(NONCE, nonce), (SIGNATURES[0], signature)];
            let altered = body.replace("15005550001", "15005550002");
            let elsewhere = url.replace("/p", "/q");
            assert!(check(method, &elsewhere, body, &good).is_err());
            assert!(check(method, url, body, &good[..1]).is_err(), "no signature");
            assert!(check(method, url, body, &good[1..]).is_err(), "no nonce");
            assert!(check(method, url, body, &[(NONCE, "2"), good[1]]).is_err(), "another nonce");
            assert!(check(method, url, body, &[good[0], (SIGNATURES[0], "")]).is_err());
            let foreign = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
            assert!(check(method, url, body, &[good[0], (SIGNATURES[0], foreign)]).is_err());
            if !body.is_empty() {
                assert!(check(method, url, &altered, &good).is_err());
                assert!(check(method, url, &format!("{body}&More=1"), &good).is_err());
            }
        }
    }
}
