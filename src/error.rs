//! The one error of the crate: what a caller may do about it, a stable code, a sentence for people and a private
//! report for the log. There is no HTTP here; `http.rs` maps kinds to statuses, `contacts/carddav` to DAV elements.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// What the rest of the crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One thing that is wrong with one field of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The field as the caller wrote it, with dots for nesting (`contacts.3.address`).
    pub field: Cow<'static, str>,
    /// A stable snake_case word for programs.
    pub code: &'static str,
    /// A sentence for people.
    pub detail: Cow<'static, str>,
}

/// What a caller can do about an error. Eight, because a caller acts differently on each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// The input is wrong; sending it again unchanged is useless.
    Invalid(Vec<FieldError>),
    /// Nobody is signed in, or the credential is not good (any more).
    Unauthenticated,
    /// Signed in, but not allowed, about a thing the caller may know of.
    Forbidden,
    /// There is no such thing, or it belongs to somebody else.
    NotFound,
    /// The state of things does not permit it.
    Conflict,
    /// Too much, too often.
    Limited {
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// Something we need is away; trying again later helps.
    Unavailable,
    /// Our fault.
    Internal,
}

/// An error with a public half (`code`, `message`) and a private half (`context`, `source`).
///
/// `Display` prints the public half only, so that the private half cannot leak by accident; the log uses
/// [`Error::report`].
pub struct Error {
    kind: Kind,
    code: &'static str,
    message: Cow<'static, str>,
    context: Vec<Cow<'static, str>>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    fn new(kind: Kind, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Error { kind, code, message: message.into(), context: Vec::new(), source: None }
    }

    /// One field of the input is wrong.
    pub fn invalid(
        field: impl Into<Cow<'static, str>>,
        code: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        let detail = detail.into();
        let field = FieldError { field: field.into(), code, detail: detail.clone() };
        Error::new(Kind::Invalid(vec![field]), code, detail)
    }

    /// Several fields of the input are wrong.
    pub fn invalid_fields(fields: Vec<FieldError>) -> Self {
        Error::new(Kind::Invalid(fields), "invalid_input", "Some fields are not valid.")
    }

    /// The credential is missing, wrong or no longer good.
    pub fn unauthenticated(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Error::new(Kind::Unauthenticated, code, message)
    }

    /// Known, but not permitted.
    pub fn forbidden(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Error::new(Kind::Forbidden, code, message)
    }

    /// There is no such `thing` for this caller.
    pub fn not_found(thing: &'static str) -> Self {
        Error::new(Kind::NotFound, "not_found", format!("There is no such {thing}."))
    }

    /// There is no such thing, said with a code and a sentence of its own.
    pub fn missing(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Error::new(Kind::NotFound, code, message)
    }

    /// The state of things does not permit it.
    pub fn conflict(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Error::new(Kind::Conflict, code, message)
    }

    /// Too often; try again after `retry_after`.
    pub fn limited(code: &'static str, retry_after: Duration) -> Self {
        let secs = retry_after.as_secs().max(1);
        Error::new(Kind::Limited { retry_after }, code, format!("Too many attempts. Try again in {secs} s."))
    }

    /// Something we depend on is away.
    pub fn unavailable(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Error::new(Kind::Unavailable, code, message)
    }

    /// Our fault; the text goes to the log only.
    pub fn internal(context: impl Into<Cow<'static, str>>) -> Self {
        Error::new(Kind::Internal, "internal", "Something went wrong on our side.").context(context)
    }

    /// Our fault, with its cause.
    pub fn caused(
        context: impl Into<Cow<'static, str>>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        let mut error = Error::internal(context);
        error.source = Some(source.into());
        error
    }

    /// Adds private context on the way up.
    pub fn context(mut self, context: impl Into<Cow<'static, str>>) -> Self {
        self.context.push(context.into());
        self
    }

    /// Adds the private cause.
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The stable word for programs and translations.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The public sentence.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether a job that met this error should be run again later.
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind, Kind::Unavailable | Kind::Limited { .. })
    }

    /// Everything, for the log and for nobody else.
    pub fn report(&self) -> String {
        let mut text = format!("{}: {}", self.code, self.message);
        for line in self.context.iter().rev() {
            text.push_str("; ");
            text.push_str(line);
        }
        let mut cause: Option<&(dyn std::error::Error + 'static)> = match &self.source {
            Some(source) => Some(source.as_ref()),
            None => None,
        };
        while let Some(error) = cause {
            text.push_str("; because: ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.report())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.source {
            Some(source) => Some(source.as_ref()),
            None => None,
        }
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Error::caused("input or output failed", error)
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Error::caused("JSON that we wrote ourselves could not be handled", error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_private_half_stays_out_of_the_public_sentence() {
        let cause = std::io::Error::other("disk on fire");
        let error = Error::caused("loading contact con_1", cause).context("answering a request");
        assert_eq!(error.to_string(), "Something went wrong on our side.");
        assert!(error.report().contains("disk on fire"));
        assert!(error.report().contains("loading contact con_1"));
    }

    #[test]
    fn only_absence_and_limits_are_worth_a_second_try() {
        assert!(Error::unavailable("carrier_away", "Later.").is_retryable());
        assert!(Error::limited("too_many", Duration::from_secs(3)).is_retryable());
        assert!(!Error::not_found("contact").is_retryable());
        assert!(!Error::internal("bug").is_retryable());
    }
}
