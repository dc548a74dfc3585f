//! Who signed a callback: `X-Twilio-Signature`.
//!
//! Twilio, “Security / Validating requests”: base64(HMAC-SHA1(auth token, address + sorted parameters)). A form is
//! covered by its parameters, a GET by its query alone, a JSON body by its hash in the query (`bodySHA256`). Products
//! disagree on whether the address holds a port, so it is tried with and without. Accounts that use shared keys are
//! signed with HMAC-SHA256, and a header cannot talk us out of that.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::carriers::form::Form;
use crate::carriers::{BadSignature, CallbackRequest};

const SIGNATURE: &str = "X-Twilio-Signature";
const SETTINGS: &str = "X-Twilio-Webhooks-Signature-Settings";

/// The keys that sign this account's callbacks; a second one during rotation.
pub(super) enum Keys {
    /// HMAC-SHA1 with the auth token.
    AuthTokens(Vec<Hmac<Sha1>>),
    /// HMAC-SHA256 with shared keys, by their ids.
    Shared(Vec<(String, Hmac<Sha256>)>),
}

impl Keys {
    /// Keys from auth tokens.
    pub(super) fn from_tokens<'a>(tokens: impl IntoIterator<Item = &'a str>) -> Result<Keys, String> {
        let key = |token: &str| Hmac::new_from_slice(token.as_bytes()).map_err(|error| error.to_string());
        Ok(Keys::AuthTokens(tokens.into_iter().map(key).collect::<Result<_, _>>()?))
    }

    /// Keys from ids and secrets of shared keys.
    pub(super) fn from_shared<'a>(
        keys: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Keys, String> {
        let key = |(id, secret): (&str, &str)| match Hmac::new_from_slice(secret.as_bytes()) {
            Ok(key) => Ok((id.to_owned(), key)),
            Err(error) => Err(error.to_string()),
        };
        Ok(Keys::Shared(keys.into_iter().map(key).collect::<Result<_, _>>()?))
    }

    /// Checks the signature of a request whose fields are `form`.
    pub(super) fn verify(&self, request: &CallbackRequest<'_>, form: &Form) -> Result<(), BadSignature> {
        let header = request.headers.get(SIGNATURE).ok_or(BadSignature("no signature"))?;
        let mut buffer = [0; 48];
        let length = BASE64
            .decode_slice(header.trim(), &mut buffer)
            .map_err(|_| BadSignature("the signature is not base64"))?;
        let wanted = buffer.get(..length).unwrap_or_default();
        let covered = match Covered::of(request) {
            Covered::Fields => {
                let mut pairs = form.sorted();
                // The same pair counts once.
                pairs.dedup();
                pairs
            }
            Covered::Address => Vec::new(),
            Covered::Hash => {
                check_body_hash(request)?;
                Vec::new()
            }
        };
        let address = Address::of(request.url);
        let declared = Declared::of(request)?;
        let good = match self {
            Keys::AuthTokens(keys) => {
                if declared.algorithm.is_some_and(|algorithm| algorithm != "HMAC_SHA1") {
                    return Err(BadSignature("signed with another algorithm than configured"));
                }
                keys.iter().any(|key| address.signed_by(key, &covered, wanted))
            }
            Keys::Shared(keys) => {
                if declared.algorithm != Some("HMAC_SHA256") {
                    return Err(BadSignature("not signed with a shared key"));
                }
                let meant = keys.iter().filter(|(id, _)| declared.key == Some(id.as_str()));
                meant.into_iter().any(|(_, key)| address.signed_by(key, &covered, wanted))
            }
        };
        if good { Ok(()) } else { Err(BadSignature("the signature does not match")) }
    }
}

/// What the signature covers besides the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Covered {
    /// The fields of the form in the body.
    Fields,
    /// Nothing: a GET has its fields in the address.
    Address,
    /// The body, by its hash in the address.
    Hash,
}

impl Covered {
    /// Decided by method and content type. Everything with a body that is not JSON counts as a form, so that no body
    /// goes unsigned.
    pub(super) fn of(request: &CallbackRequest<'_>) -> Covered {
        if request.method.eq_ignore_ascii_case("GET") {
            return Covered::Address;
        }
        let kind = request.headers.get("Content-Type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        let json = |kind: &str| kind.eq_ignore_ascii_case("application/json");
        if json(kind) { Covered::Hash } else { Covered::Fields }
    }
}

/// The query of an address, without `?` and fragment.
pub(super) fn query_of(url: &str) -> &str {
    let url = url.split('#').next().unwrap_or_default();
    url.split_once('?').map_or("", |(_, query)| query)
}

fn check_body_hash(request: &CallbackRequest<'_>) -> Result<(), BadSignature> {
    let missing = BadSignature("a JSON body without bodySHA256");
    let query = Form::parse(query_of(request.url).as_bytes()).ok_or(missing)?;
    // Some products append it twice; the first counts.
    let wanted = query.get("bodySHA256").ok_or(missing)?;
    let hash: String = Sha256::digest(request.body).iter().map(|byte| format!("{byte:02x}")).collect();
    let equal: bool = hash.as_bytes().ct_eq(wanted.to_ascii_lowercase().as_bytes()).into();
    if equal { Ok(()) } else { Err(BadSignature("the body is not the one that was hashed")) }
}

/// What the request says of its signature: `key=webhooks_sharedkey_…,algorithm=HMAC_SHA256`.
#[derive(Default)]
struct Declared<'a> {
    key: Option<&'a str>,
    algorithm: Option<&'a str>,
}

impl<'a> Declared<'a> {
    fn of(request: &CallbackRequest<'a>) -> Result<Declared<'a>, BadSignature> {
        let mut declared = Declared::default();
        let Some(header) = request.headers.get(SETTINGS).filter(|header| !header.trim().is_empty()) else {
            return Ok(declared);
        };
        for setting in header.split(',') {
            let (name, value) =
                setting.split_once('=').ok_or(BadSignature("unreadable signature settings"))?;
            match name.trim() {
                "key" => declared.key = Some(value.trim()),
                "algorithm" => declared.algorithm = Some(value.trim()),
                _ => {}
            }
        }
        Ok(declared)
    }
}

/// An address cut so that its port can be put in and taken out without copying.
struct Address<'a> {
    /// Up to and with `//`.
    scheme: &'a str,
    host: &'a str,
    /// With its colon.
    port: &'a str,
    /// From the path on, without the fragment.
    rest: &'a str,
}

impl<'a> Address<'a> {
    fn of(url: &'a str) -> Address<'a> {
        let url = url.split('#').next().unwrap_or_default();
        let (scheme, after) = match url.find("://") {
            Some(at) => url.split_at_checked(at + 3).unwrap_or((url, "")),
            None => ("", url),
        };
        let end = after.find(['/', '?']).unwrap_or(after.len());
        let (authority, rest) = after.split_at_checked(end).unwrap_or((after, ""));
        // User name and password are dropped on the wire and before signing.
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let colon =
            authority.rfind(':').filter(|at| !authority.get(*at..).is_some_and(|port| port.contains(']')));
        let (host, port) = match colon {
            Some(at) => authority.split_at_checked(at).unwrap_or((authority, "")),
            None => (authority, ""),
        };
        Address { scheme, host, port, rest }
    }

    /// Whether `key` signed this address, as it is or in its other spelling of the port.
    fn signed_by<M: Mac + Clone>(&self, key: &M, fields: &[(&[u8], &[u8])], wanted: &[u8]) -> bool {
        let other = match (self.port, self.scheme) {
            ("", "https://" | "wss://") => ":443",
            ("", "http://" | "ws://") => ":80",
            _ => "",
        };
        [self.port, other].into_iter().any(|port| {
            let mut mac = key.clone();
            for part in [self.scheme, self.host, port, self.rest] {
                mac.update(part.as_bytes());
            }
            for (name, value) in fields {
                mac.update(name);
                mac.update(value);
            }
            mac.finalize().into_bytes().as_slice().ct_eq(wanted).into()
        })
    }
}

#[cfg(test)]
mod tests;
