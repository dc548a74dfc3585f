//! What a signed-in browser or app holds: a short access token (JWT, RFC 7519) and a long refresh token that changes
//! with every use.
//!
//! A refresh token names its session, says which generation of the session's tokens it is, and carries a tag that only
//! we can make: a forged one is refused without a look at the database, and a genuine old one can be told from it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::ids::{AccountId, SessionId};
use crate::keys::{Keys, Purpose, same};

/// How long an access token is good.
pub const ACCESS_LIFETIME: Duration = Duration::from_secs(15 * 60);

const AUDIENCE: &str = "meari";

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    sub: AccountId,
    sid: SessionId,
    iat: i64,
    exp: i64,
    aud: String,
}

/// Makes and reads access tokens.
pub struct AccessTokens {
    header: Header,
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
}

impl AccessTokens {
    /// With the installation's key.
    pub fn new(keys: &Keys) -> Self {
        let key = keys.key(Purpose::AccessToken);
        let mut validation = Validation::new(Algorithm::HS256);
        // The expiry is compared with the service's clock below, not with the machine's.
        validation.validate_exp = false;
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "aud", "sub"]);
        AccessTokens {
            header: Header::new(Algorithm::HS256),
            encoding: EncodingKey::from_secret(key),
            decoding: DecodingKey::from_secret(key),
            validation,
        }
    }

    /// A token for a session.
    pub fn issue(&self, now: Timestamp, account: AccountId, session: SessionId) -> Result<String> {
        let claims = Claims {
            sub: account,
            sid: session,
            iat: now.unix_secs(),
            exp: now.plus(ACCESS_LIFETIME).unix_secs(),
            aud: AUDIENCE.to_owned(),
        };
        jsonwebtoken::encode(&self.header, &claims, &self.encoding)
            .map_err(|e| Error::caused("signing an access token", e))
    }

    /// Whose token it is, when its signature is ours and it has not expired.
    pub fn check(&self, now: Timestamp, token: &str) -> Option<(AccountId, SessionId)> {
        if token.len() > 1024 {
            return None;
        }
        let claims = jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation).ok()?.claims;
        (claims.exp > now.unix_secs()).then_some((claims.sub, claims.sid))
    }
}

/// A refresh token, taken apart.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken {
    /// Whose.
    pub account: AccountId,
    /// Which session.
    pub session: SessionId,
    /// How many there were before it.
    pub generation: i32,
    secret: [u8; 32],
}

impl std::fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RefreshToken({}, {})", self.session, self.generation)
    }
}

impl RefreshToken {
    /// A new one.
    pub fn random(account: AccountId, session: SessionId, generation: i32) -> Self {
        RefreshToken { account, session, generation, secret: rand::random() }
    }

    /// The one after it. Who names his `attempt` gets the same one each time he asks, and nobody who does not know the
    /// attempt can name it.
    pub fn next(&self, keys: &Keys, attempt: Option<&str>) -> Self {
        let generation = self.generation.saturating_add(1);
        let Some(attempt) = attempt else {
            return RefreshToken::random(self.account, self.session, generation);
        };
        let told = format!("after {} by {attempt}", self.body());
        RefreshToken { generation, secret: keys.hash(Purpose::RefreshToken, told.as_bytes()), ..*self }
    }

    /// What the session stores in its place.
    pub fn stored_hash(&self, keys: &Keys) -> [u8; 32] {
        keys.hash(Purpose::RefreshToken, &self.secret)
    }

    /// `ses_….account.generation.secret.tag`.
    pub fn render(&self, keys: &Keys) -> String {
        let body = self.body();
        format!("{body}.{}", URL_SAFE_NO_PAD.encode(tag(keys, &body)))
    }

    /// Reads a token that we made; anything else is `None`.
    pub fn parse(keys: &Keys, text: &str) -> Option<Self> {
        if text.len() > 256 {
            return None;
        }
        let (body, given) = text.rsplit_once('.')?;
        let given = URL_SAFE_NO_PAD.decode(given).ok()?;
        if !same(&given, &tag(keys, body)) {
            return None;
        }
        let mut parts = body.split('.');
        let session = parts.next()?.parse().ok()?;
        let account = AccountId(Uuid::try_parse(parts.next()?).ok()?);
        let generation = parts.next()?.parse().ok()?;
        let secret = URL_SAFE_NO_PAD.decode(parts.next()?).ok()?.try_into().ok()?;
        parts.next().is_none().then_some(RefreshToken { account, session, generation, secret })
    }

    fn body(&self) -> String {
        let secret = URL_SAFE_NO_PAD.encode(self.secret);
        format!("{}.{}.{}.{secret}", self.session, self.account.0.simple(), self.generation)
    }
}

fn tag(keys: &Keys, body: &str) -> [u8; 16] {
    let hash = keys.hash(Purpose::RefreshToken, format!("tag of {body}").as_bytes());
    let mut tag = [0; 16];
    tag.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_760_000_000_000_000);

    fn someone() -> (Keys, AccountId, SessionId) {
        (Keys::from_secret(&[7; 32]), AccountId::new(NOW), SessionId::new(NOW))
    }

    #[test]
    fn access_tokens_end_after_a_quarter_of_an_hour() {
        let (keys, account, session) = someone();
        let tokens = AccessTokens::new(&keys);
        let token = tokens.issue(NOW, account, session).unwrap();
        assert_eq!(tokens.check(NOW.plus(Duration::from_secs(899)), &token), Some((account, session)));
        assert_eq!(tokens.check(NOW.plus(Duration::from_secs(900)), &token), None);
        assert_eq!(tokens.check(NOW, &format!("{token}x")), None);
        assert_eq!(AccessTokens::new(&Keys::from_secret(&[8; 32])).check(NOW, &token), None);
    }

    #[test]
    fn unsigned_tokens_are_refused() {
        let (keys, account, session) = someone();
        let claims =
            format!(r#"{{"sub":"{account}","sid":"{session}","iat":0,"exp":9999999999,"aud":"meari"}}"#);
        let forged = format!(
            "{}.{}.",
            URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#),
            URL_SAFE_NO_PAD.encode(claims)
        );
        assert_eq!(AccessTokens::new(&keys).check(NOW, &forged), None);
    }

    #[test]
    fn refresh_tokens_are_read_back_and_cannot_be_altered() {
        let (keys, account, session) = someone();
        let token = RefreshToken::random(account, session, 3);
        let text = token.render(&keys);
        assert!(text.starts_with("ses_"));
        assert_eq!(RefreshToken::parse(&keys, &text), Some(token));
        assert_eq!(RefreshToken::parse(&keys, &text.replacen(".3.", ".4.", 1)), None);
        assert_eq!(RefreshToken::parse(&keys, ""), None);
        assert_eq!(RefreshToken::parse(&Keys::from_secret(&[8; 32]), &text), None);
    }
}
