//! Who may come in and how we come in: Basic credentials on callbacks, OAuth 2.0 tokens for the API.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};
use tokio::sync::Mutex;

use super::errors;
use crate::carriers::{BadSignature, CallbackRequest, SendError, answers};
use crate::net::{Limits, Net};

/// A token is renewed so long before it ends, so that none ends on its way.
const EARLY: Duration = Duration::from_secs(60);
/// A token whose life is not told, or told too long, is renewed after this.
const LIFE_MAX: Duration = Duration::from_secs(3_600);
const LIMITS: Limits = Limits { total: Duration::from_secs(10), answer_bytes_max: 64 << 10 };

/// What callbacks must bring (RFC 7617), and for whom they must be.
pub(super) struct Door {
    /// Hashes, so that comparing takes the same time whatever the lengths.
    credentials: Vec<[u8; 32]>,
    application: String,
    voice_application: Option<String>,
}

/// What comes: a list of events on messages, or one on a call.
#[derive(Deserialize)]
#[serde(untagged)]
enum Body {
    Messages(Vec<Owned>),
    Call {
        #[serde(rename = "applicationId")]
        application: String,
    },
}

/// The one field of an event that says whose it is.
#[derive(Deserialize)]
struct Owned {
    #[serde(default)]
    message: Option<Owner>,
}

#[derive(Deserialize)]
struct Owner {
    #[serde(default, rename = "applicationId")]
    application: Option<String>,
}

impl Door {
    pub(super) fn new<'a>(
        user: &str,
        passwords: impl Iterator<Item = &'a str>,
        application: &str,
        voice_application: Option<&str>,
    ) -> Door {
        let hash = |password: &str| Sha256::digest(format!("{user}:{password}").as_bytes()).into();
        Door {
            credentials: passwords.map(hash).collect(),
            application: application.to_owned(),
            voice_application: voice_application.map(str::to_owned),
        }
    }

    /// The scheme has no signature, so what it can tell is the credentials, and that the messages and calls are of our
    /// own applications.
    pub(super) fn verify(&self, request: &CallbackRequest<'_>) -> Result<(), BadSignature> {
        self.verify_login(request)?;
        let body: Body =
            serde_json::from_slice(request.body).map_err(|_| BadSignature("the body is no event of ours"))?;
        match body {
            Body::Messages(events) => {
                let owners = events.into_iter().filter_map(|event| event.message?.application);
                if owners.into_iter().any(|owner| owner != self.application) {
                    return Err(BadSignature("a message of another application"));
                }
            }
            Body::Call { application } => {
                if self.voice_application.as_ref() != Some(&application) {
                    return Err(BadSignature("a call of another application"));
                }
            }
        }
        Ok(())
    }

    /// The credentials alone.
    pub(super) fn verify_login(&self, request: &CallbackRequest<'_>) -> Result<(), BadSignature> {
        let header = request.headers.get("authorization").ok_or(BadSignature("no credentials"))?;
        let (scheme, encoded) =
            header.trim().split_once(' ').ok_or(BadSignature("the credentials are not Basic"))?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return Err(BadSignature("the credentials are not Basic"));
        }
        let given =
            BASE64.decode(encoded.trim()).map_err(|_| BadSignature("the credentials are not base64"))?;
        let given = Sha256::digest(&given);
        let matches = self.credentials.iter().map(|known| known.as_slice().ct_eq(given.as_slice()));
        if !bool::from(matches.fold(Choice::from(0), |any, one| any | one)) {
            return Err(BadSignature("the credentials are not ours"));
        }
        Ok(())
    }
}

/// Access tokens by client credentials (RFC 6749 §4.4).
pub(super) struct Tokens {
    net: Net,
    base: String,
    client_id: String,
    client_secret: SecretString,
    /// Held while a new one is fetched, so that many senders fetch one.
    current: Mutex<Option<Token>>,
}

struct Token {
    secret: SecretString,
    renew_at: Instant,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    #[serde(default)]
    expires_in: Option<u64>,
}

impl Tokens {
    pub(super) fn new(net: Net, base: String, client_id: &str, client_secret: SecretString) -> Tokens {
        Tokens { net, base, client_id: client_id.to_owned(), client_secret, current: Mutex::new(None) }
    }

    /// The token in use, or a new one.
    pub(super) async fn current(&self) -> Result<SecretString, SendError> {
        self.instead_of(None).await
    }

    /// A new token instead of one that was refused; when somebody renewed it meanwhile, that one.
    pub(super) async fn instead_of(&self, refused: Option<&SecretString>) -> Result<SecretString, SendError> {
        let mut current = self.current.lock().await;
        let is_refused =
            |token: &Token| refused.is_some_and(|old| old.expose_secret() == token.secret.expose_secret());
        if let Some(token) = current.as_ref().filter(|t| t.renew_at > Instant::now() && !is_refused(t)) {
            return Ok(token.secret.clone());
        }
        let request = self
            .net
            .post(&format!("{}/api/v1/oauth2/token", self.base))
            .basic_auth(&self.client_id, self.client_secret.expose_secret())
            .header("Accept", "application/json")
            .form(&[("grant_type", "client_credentials")]);
        // Whatever goes wrong here, no message has gone out.
        let certain = |error: SendError| SendError { certain: true, ..error };
        let answer = request.send(LIMITS).await.map_err(|error| certain(answers::from_net(&error)))?;
        if !answer.is_success() {
            let error = certain(errors::from_answer(&answer));
            // RFC 6749 §5.2: bad credentials are a 400 or a 401.
            let ours = matches!(answer.status, 400 | 401 | 403);
            let code = if ours { "carrier_refuses_credentials".to_owned() } else { error.code };
            return Err(SendError { code, whole_carrier: ours || error.whole_carrier, ..error });
        }
        let told: TokenAnswer = answer.json().map_err(|_| certain(answers::unreadable(&answer)))?;
        let life = told.expires_in.map_or(LIFE_MAX, Duration::from_secs).min(LIFE_MAX);
        let secret = SecretString::from(told.access_token);
        *current =
            Some(Token { secret: secret.clone(), renew_at: Instant::now() + life.saturating_sub(EARLY) });
        Ok(secret)
    }
}
