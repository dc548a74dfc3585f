//! The one outgoing HTTP client: time-outs, sizes, no redirects, no private addresses.
//!
//! Names are resolved by us, and a connection goes only to the addresses that we have looked at, so an answer of the
//! name server cannot change between the check and the connection. Errors say whether the request can have gone out.

mod address;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
pub use reqwest::{Method, Url};

pub use self::address::is_public;

/// Name, connection and TLS handshake together; a server that needs longer is away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Shorter than the keep-alive of common servers, so that we seldom write into a closing connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// Idle connections kept per host.
const IDLE_PER_HOST: usize = 32;
/// The longest address we ask for; longer ones are mistakes or attacks.
const URL_BYTES_MAX: usize = 4_096;
/// Addresses of one name that we try.
const ADDRESSES_MAX: usize = 8;

/// Where a client may connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Wherever the operator's settings point, the own machine included.
    Operator,
    /// Public addresses only: for every URL that users, partners or strangers may choose.
    Public,
}

/// How long and how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From the first name query to the last byte of the answer.
    pub total: Duration,
    /// The longest body that is read, in bytes.
    pub answer_bytes_max: usize,
}

impl Default for Limits {
    /// 15 s and 1 MiB: a conversation with an API.
    fn default() -> Self {
        Limits { total: Duration::from_secs(15), answer_bytes_max: 1 << 20 }
    }
}

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetFault {
    /// The request cannot be made like this (address, header, body).
    Invalid,
    /// The address is not one that the policy allows.
    Refused,
    /// No connection: name, port, TLS.
    Connect,
    /// No answer in time.
    Timeout,
    /// The connection broke while we wrote or read.
    Broken,
    /// The answer is longer than the limit.
    TooLarge,
}

/// A request without a usable answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetError {
    /// What went wrong.
    pub fault: NetFault,
    /// True when not one byte of the request was written: sending it again is safe.
    pub certain_not_sent: bool,
    /// The status, when at least that much of the answer came.
    pub status: Option<u16>,
    /// For the log. Holds no URL, no header and no body.
    pub detail: String,
}

impl NetError {
    fn before(fault: NetFault, detail: impl Into<String>) -> Self {
        NetError { fault, certain_not_sent: true, status: None, detail: detail.into() }
    }
}

impl fmt::Display for NetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sent = if self.certain_not_sent { "nothing was sent" } else { "it may have been sent" };
        write!(f, "{} ({sent})", self.detail)
    }
}

impl std::error::Error for NetError {}

/// An answer, whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, within the limit.
    pub body: Bytes,
}

impl Answer {
    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// A header's value, when it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as JSON.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }

    /// The body as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// `Retry-After` in its form of seconds (RFC 9110 §10.2.3).
    pub fn retry_after(&self) -> Option<Duration> {
        self.header("retry-after")?.trim().parse().ok().map(Duration::from_secs)
    }
}

/// The client. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Net {
    client: reqwest::Client,
    policy: Policy,
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Net").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl Net {
    /// A client for one kind of addresses.
    ///
    /// # Errors
    /// When the machine's TLS cannot be set up.
    pub fn new(policy: Policy) -> crate::error::Result<Net> {
        let client = reqwest::Client::builder()
            .user_agent(concat!("meari/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            // A proxy from the environment would make our look at the addresses worthless.
            .no_proxy()
            // hyper repeats a request by itself only when none of it was written, which is what we promise too.
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .tcp_nodelay(true)
            .dns_resolver(Arc::new(Resolver { policy }))
            .build()
            .map_err(|error| crate::error::Error::caused("setting up the HTTP client", error))?;
        Ok(Net { client, policy })
    }

    /// Begins a request.
    pub fn request(&self, method: Method, url: &str) -> Request {
        let url = self.check(url);
        Request { client: self.client.clone(), method, url, headers: HeaderMap::new(), body: None }
    }

    /// Begins a GET.
    pub fn get(&self, url: &str) -> Request {
        self.request(Method::GET, url)
    }

    /// Begins a POST.
    pub fn post(&self, url: &str) -> Request {
        self.request(Method::POST, url)
    }

    /// Whether an address may be asked, as far as can be seen without asking a name server.
    pub fn allows(&self, url: &str) -> bool {
        self.check(url).is_ok()
    }

    /// Reads an address and looks at what can be seen without asking a name server.
    fn check(&self, url: &str) -> Result<Url, NetError> {
        let invalid = |detail: &str| NetError::before(NetFault::Invalid, detail);
        if url.len() > URL_BYTES_MAX {
            return Err(invalid("the address is too long"));
        }
        let url = Url::parse(url).map_err(|error| invalid(&format!("not an address: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid("the address is neither http nor https"));
        }
        let literal = match url.host_str() {
            None | Some("") => return Err(invalid("the address has no host")),
            // The resolver is not asked about literal addresses. In a URL an IPv6 address stands in brackets.
            Some(host) => host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().ok(),
        };
        if self.policy == Policy::Public {
            if !url.username().is_empty() || url.password().is_some() {
                return Err(NetError::before(NetFault::Refused, "the address holds a user name or password"));
            }
            if literal.is_some_and(|ip| !is_public(ip)) {
                return Err(NetError::before(NetFault::Refused, NotPublic.to_string()));
            }
        }
        Ok(url)
    }
}

/// A request in the making. A mistake is kept and told by [`Request::send`].
#[must_use = "a request does nothing until it is sent"]
pub struct Request {
    client: reqwest::Client,
    method: Method,
    url: Result<Url, NetError>,
    headers: HeaderMap,
    body: Option<Bytes>,
}

impl Request {
    /// Sets a header; the second of a name replaces the first.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
            (Ok(name), Ok(value)) => {
                self.headers.insert(name, value);
            }
            _ => self.fail(format!("the header {name} cannot be written")),
        }
        self
    }

    /// HTTP Basic (RFC 7617).
    pub fn basic_auth(mut self, user: &str, password: &str) -> Self {
        let encoded = BASE64.encode(format!("{user}:{password}"));
        self.authorize(&format!("Basic {encoded}"));
        self
    }

    /// A bearer token (RFC 6750).
    pub fn bearer_auth(mut self, token: &str) -> Self {
        self.authorize(&format!("Bearer {token}"));
        self
    }

    /// Adds pairs to the query.
    pub fn query(mut self, pairs: &[(&str, &str)]) -> Self {
        if let Ok(url) = &mut self.url {
            url.query_pairs_mut().extend_pairs(pairs);
        }
        self
    }

    /// A form as body (`application/x-www-form-urlencoded`); names may repeat.
    pub fn form(mut self, pairs: &[(&str, &str)]) -> Self {
        match serde_urlencoded::to_string(pairs) {
            Ok(text) => self.set_body("application/x-www-form-urlencoded", text.into()),
            Err(error) => self.fail(format!("the form cannot be written: {error}")),
        }
        self
    }

    /// JSON as body.
    pub fn json<T: serde::Serialize + ?Sized>(mut self, value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(bytes) => self.set_body("application/json", bytes.into()),
            Err(error) => self.fail(format!("the JSON cannot be written: {error}")),
        }
        self
    }

    /// Bytes as body; a content type that was set before stays.
    pub fn body(mut self, content_type: &'static str, bytes: impl Into<Bytes>) -> Self {
        self.set_body(content_type, bytes.into());
        self
    }

    /// Sends it and reads the answer.
    ///
    /// # Errors
    /// No answer, or one over the limit. Every status is an answer.
    pub async fn send(self, limits: Limits) -> Result<Answer, NetError> {
        let mut request = self.client.request(self.method, self.url?);
        request = request.headers(self.headers).timeout(limits.total);
        if let Some(body) = self.body {
            request = request.body(body);
        }
        let response = request.send().await.map_err(|error| fault_of(error, None))?;
        read(response, limits.answer_bytes_max).await
    }

    fn fail(&mut self, detail: String) {
        if self.url.is_ok() {
            self.url = Err(NetError::before(NetFault::Invalid, detail));
        }
    }

    fn authorize(&mut self, value: &str) {
        match HeaderValue::from_str(value) {
            Ok(mut value) => {
                value.set_sensitive(true);
                self.headers.insert(AUTHORIZATION, value);
            }
            Err(_) => self.fail("the credentials cannot be written into a header".to_owned()),
        }
    }

    fn set_body(&mut self, content_type: &'static str, body: Bytes) {
        self.headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(content_type));
        self.body = Some(body);
    }
}

async fn read(mut response: reqwest::Response, bytes_max: usize) -> Result<Answer, NetError> {
    let status = response.status().as_u16();
    let too_large = || NetError {
        fault: NetFault::TooLarge,
        certain_not_sent: false,
        status: Some(status),
        detail: format!("the answer is longer than {bytes_max} bytes"),
    };
    let announced = response.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > bytes_max)) {
        return Err(too_large());
    }
    let mut body = bytes::BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| fault_of(error, Some(status)))? {
        if body.len().saturating_add(chunk.len()) > bytes_max {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, headers: std::mem::take(response.headers_mut()), body: body.freeze() })
}

/// Sorts an error of the library by what it means for the sender.
fn fault_of(error: reqwest::Error, status: Option<u16>) -> NetError {
    let error = error.without_url();
    let mut detail = error.to_string();
    let mut not_public = false;
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        not_public |= inner.is::<NotPublic>();
        detail.push_str(": ");
        detail.push_str(&inner.to_string());
        cause = inner.source();
    }
    let fault = if not_public {
        NetFault::Refused
    } else if error.is_builder() {
        NetFault::Invalid
    } else if error.is_connect() {
        NetFault::Connect
    } else if error.is_timeout() {
        NetFault::Timeout
    } else {
        NetFault::Broken
    };
    let certain_not_sent = matches!(fault, NetFault::Refused | NetFault::Invalid | NetFault::Connect);
    NetError { fault, certain_not_sent, status, detail }
}

/// Asks the system for the addresses of a name and keeps only those that the policy allows.
struct Resolver {
    policy: Policy,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.policy;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed = |at: &SocketAddr| policy == Policy::Operator || is_public(at.ip());
            let addresses: Vec<SocketAddr> = found.into_iter().filter(allowed).take(ADDRESSES_MAX).collect();
            if addresses.is_empty() {
                return Err(NotPublic.into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// A name or address inside somebody's network.
#[derive(Debug, thiserror::Error)]
#[error("the address is not a public one")]
struct NotPublic;

#[cfg(test)]
mod tests;
