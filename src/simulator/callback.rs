//! Callbacks: the signed requests by which the carrier tells its customer what happened.
//!
//! Time-outs, retries and their overrides in the URL's fragment (`#rc=2&rp=5xx,ct`) follow Twilio's "Webhooks:
//! connection overrides"; without them an inbound message is tried again as [`super::Settings`] says.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, USER_AGENT};
use reqwest::{Client, Url};
use serde::Serialize;

use super::message::Status;
use super::signature;
use crate::clock::Timestamp;
use crate::phone::E164;

/// More of an answer is not read; the carrier's own limit for a document.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Retries that a fragment can ask for.
const RETRIES_MAX: u32 = 5;

/// What a callback is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CallbackKind {
    /// An inbound message.
    Message,
    /// A receipt of an outbound message.
    Status,
    /// A call.
    Call,
}

/// How a callback is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verb {
    /// Parameters in the query.
    Get,
    /// Parameters in a form.
    Post,
}

impl Verb {
    /// Reads a setting like `SmsMethod`.
    pub fn parse(text: Option<&str>) -> Self {
        if text.is_some_and(|text| text.eq_ignore_ascii_case("GET")) { Verb::Get } else { Verb::Post }
    }
}

/// The message on a phone that waits for the outcome.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub phone: E164,
    pub party: E164,
    pub id: u64,
}

/// A callback to be made.
#[derive(Debug, Clone)]
pub(super) struct CallbackRequest {
    pub kind: CallbackKind,
    pub sid: String,
    pub status: Status,
    pub url: String,
    pub verb: Verb,
    pub params: Vec<(String, String)>,
    /// The same for every try of one callback.
    pub token: String,
    /// Counts from 1.
    pub attempt: u32,
    pub retries: u32,
    pub fallback: Option<(String, Verb)>,
    pub origin: Option<Origin>,
}

/// How a try of a callback went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// An answer with this HTTP status.
    Answered(u16),
    /// No answer in time.
    TimedOut,
    /// No connection, or it broke.
    Unreachable,
    /// The URL is none.
    BadUrl,
}

impl Outcome {
    /// Whether the customer has taken the callback.
    pub fn is_taken(&self) -> bool {
        matches!(self, Outcome::Answered(200..=299))
    }

    /// The error code that the fallback URL is told: 11205 no connection, 11200 a bad answer.
    pub fn error_code(&self) -> &'static str {
        match self {
            Outcome::Answered(_) => "11200",
            Outcome::TimedOut | Outcome::Unreachable => "11205",
            Outcome::BadUrl => "11100",
        }
    }
}

/// One try of a callback, for those who watch.
#[derive(Debug, Clone, Serialize)]
pub struct CallbackRecord {
    /// When it was answered or given up.
    pub at: Timestamp,
    /// What it is about.
    pub kind: CallbackKind,
    /// The message.
    pub message_sid: String,
    /// The status that it reports.
    pub message_status: Status,
    /// Where it went.
    pub url: String,
    /// Counts from 1.
    pub attempt: u32,
    /// How it went.
    pub outcome: Outcome,
}

/// What came back.
pub(super) struct CallbackAnswer {
    pub outcome: Outcome,
    pub content_type: String,
    pub body: String,
}

impl CallbackAnswer {
    fn failed(outcome: Outcome) -> Self {
        CallbackAnswer { outcome, content_type: String::new(), body: String::new() }
    }
}

/// What a URL's fragment says about tries.
#[derive(Debug, PartialEq, Eq)]
struct Overrides {
    retries: Option<u32>,
    read_timeout: Option<Duration>,
    policy: Option<String>,
}

fn overrides(url: &str) -> Overrides {
    let fragment = url.split_once('#').map(|(_, fragment)| fragment).unwrap_or_default();
    let value = |name: &str| {
        fragment
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|pair| pair.1)
    };
    Overrides {
        retries: value("rc").and_then(|count| count.parse().ok()).map(|count: u32| count.min(RETRIES_MAX)),
        read_timeout: value("rt")
            .and_then(|ms| ms.parse().ok())
            .map(|ms: u64| Duration::from_millis(ms.clamp(100, 15_000))),
        policy: value("rp").map(str::to_owned),
    }
}

impl CallbackRequest {
    /// Whether to try again after `outcome`.
    pub fn wants_retry(&self, outcome: &Outcome) -> bool {
        let overrides = overrides(&self.url);
        if outcome.is_taken() || self.attempt > overrides.retries.unwrap_or(self.retries) {
            return false;
        }
        let Some(policy) = overrides.policy else { return *outcome != Outcome::BadUrl };
        policy.split(',').any(|word| match outcome {
            Outcome::Answered(400..=499) => matches!(word, "all" | "4xx"),
            Outcome::Answered(500..=599) => matches!(word, "all" | "5xx"),
            Outcome::Unreachable => matches!(word, "all" | "ct"),
            Outcome::TimedOut => matches!(word, "all" | "rt"),
            Outcome::Answered(_) | Outcome::BadUrl => word == "all",
        })
    }

    /// Makes the request and reads the answer.
    pub async fn send(&self, http: &Client, auth_token: &str, timeout: Duration) -> CallbackAnswer {
        let Some(prepared) = self.prepare(auth_token) else { return CallbackAnswer::failed(Outcome::BadUrl) };
        let timeout = overrides(&self.url).read_timeout.unwrap_or(timeout);
        let mut request = match self.verb {
            Verb::Get => http.get(prepared.url),
            Verb::Post => http
                .post(prepared.url)
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded; charset=UTF-8")
                .body(prepared.body),
        };
        if let Some((name, password)) = prepared.user {
            request = request.basic_auth(name, password);
        }
        let sent = request
            .header("X-Twilio-Signature", prepared.signature)
            .header("I-Twilio-Idempotency-Token", &self.token)
            .header(USER_AGENT, "TwilioProxy/1.1")
            .header("Accept", "*/*")
            .timeout(timeout)
            .send()
            .await;
        match sent {
            Ok(response) => read_answer(response).await,
            Err(error) if error.is_timeout() => CallbackAnswer::failed(Outcome::TimedOut),
            Err(_) => CallbackAnswer::failed(Outcome::Unreachable),
        }
    }

    fn prepare(&self, auth_token: &str) -> Option<Prepared> {
        let mut url = Url::parse(&self.url).ok()?;
        if !matches!(url.scheme(), "http" | "https") {
            return None;
        }
        url.set_fragment(None);
        // A user in the URL travels as a header and is not part of what is signed.
        let user = (!url.username().is_empty())
            .then(|| (url.username().to_owned(), url.password().map(str::to_owned)));
        url.set_username("").ok()?;
        url.set_password(None).ok()?;
        let body = serde_urlencoded::to_string(&self.params).ok()?;
        let signed: &[(String, String)] = match self.verb {
            Verb::Post => &self.params,
            Verb::Get => {
                let query = [url.query().unwrap_or_default(), &body].join("&");
                url.set_query(Some(query.trim_start_matches('&')));
                &[]
            }
        };
        let signature = signature::sign(auth_token, url.as_str(), signed);
        Some(Prepared { url, user, body, signature })
    }
}

struct Prepared {
    url: Url,
    user: Option<(String, Option<String>)>,
    body: String,
    signature: String,
}

async fn read_answer(mut response: reqwest::Response) -> CallbackAnswer {
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let mut answer = CallbackAnswer {
        outcome: Outcome::Answered(response.status().as_u16()),
        content_type: header(CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase(),
        body: String::new(),
    };
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= ANSWER_BYTES_MAX => body.extend_from_slice(&chunk),
            Ok(Some(_)) | Ok(None) => break,
            Err(error) if error.is_timeout() => return CallbackAnswer::failed(Outcome::TimedOut),
            Err(_) => return CallbackAnswer::failed(Outcome::Unreachable),
        }
    }
    answer.body = String::from_utf8_lossy(&body).into_owned();
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(url: &str, verb: Verb) -> CallbackRequest {
        CallbackRequest {
            kind: CallbackKind::Message,
            sid: "SM1".to_owned(),
            status: Status::Received,
            url: url.to_owned(),
            verb,
            params: vec![("Body".to_owned(), "a b+ü".to_owned()), ("Empty".to_owned(), String::new())],
            token: "t".to_owned(),
            attempt: 1,
            retries: 1,
            fallback: None,
            origin: None,
        }
    }

    #[test]
    fn the_signed_url_has_no_fragment_and_no_user() {
        let prepared = request("https://me:pw@example.org/a?b=1#rc=2", Verb::Post).prepare("12345").unwrap();
        assert_eq!(prepared.url.as_str(), "https://example.org/a?b=1");
        assert_eq!(prepared.user, Some(("me".to_owned(), Some("pw".to_owned()))));
        assert_eq!(prepared.body, "Body=a+b%2B%C3%BC&Empty=");
        let params = [("Body".to_owned(), "a b+ü".to_owned()), ("Empty".to_owned(), String::new())];
        assert_eq!(prepared.signature, signature::sign("12345", "https://example.org/a?b=1", &params));
    }

    #[test]
    fn a_get_carries_and_signs_its_parameters_in_the_query() {
        let prepared = request("https://example.org/a", Verb::Get).prepare("12345").unwrap();
        assert_eq!(prepared.url.as_str(), "https://example.org/a?Body=a+b%2B%C3%BC&Empty=");
        assert_eq!(prepared.signature, signature::sign("12345", prepared.url.as_str(), &[]));
    }

    #[test]
    fn tries_follow_the_settings_unless_the_fragment_says_otherwise() {
        let table = [
            ("http://example.org/", Outcome::Answered(500), true),
            ("http://example.org/", Outcome::Answered(200), false),
            ("http://example.org/", Outcome::TimedOut, true),
            ("http://example.org/#rc=0", Outcome::Answered(500), false),
            ("http://example.org/#rc=1&rp=4xx", Outcome::Answered(500), false),
            ("http://example.org/#rc=1&rp=4xx,5xx", Outcome::Answered(500), true),
            ("http://example.org/#rp=ct", Outcome::TimedOut, false),
        ];
        for (url, outcome, wanted) in table {
            assert_eq!(request(url, Verb::Post).wants_retry(&outcome), wanted, "{url} {outcome:?}");
        }
        let second = CallbackRequest { attempt: 2, ..request("http://example.org/", Verb::Post) };
        assert!(!second.wants_retry(&Outcome::Answered(500)));
    }
}
