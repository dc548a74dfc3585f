//! Refusals in the carrier's own words: HTTP status, Twilio error code, sentence.
//!
//! Codes and sentences follow Twilio's error dictionary (<https://www.twilio.com/docs/api/errors>).

use serde_json::{Value, json};

/// A request that the carrier does not carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// Twilio's error code.
    pub code: u32,
    /// The sentence of the body.
    pub message: String,
    /// Seconds for a `Retry-After` header.
    pub retry_after_secs: Option<u32>,
}

impl Refusal {
    /// A refusal with its own sentence.
    pub fn new(status: u16, code: u32, message: impl Into<String>) -> Self {
        Refusal { status, code, message: message.into(), retry_after_secs: None }
    }

    /// Bad input: status 400.
    pub fn bad(code: u32, message: impl Into<String>) -> Self {
        Refusal::new(400, code, message)
    }

    /// There is no such resource.
    pub fn not_found(path: &str) -> Self {
        Refusal::new(404, 20404, format!("The requested resource {path} was not found"))
    }

    /// The credentials are missing or wrong.
    pub fn unauthenticated(message: &str) -> Self {
        Refusal::new(401, 20003, message)
    }

    /// The carrier's own sentence for `code`, for refusals made on demand.
    pub fn on_demand(status: u16, code: u32, retry_after_secs: Option<u32>) -> Self {
        let message = sentence(code).unwrap_or("The request was refused.");
        Refusal { retry_after_secs, ..Refusal::new(status, code, message) }
    }

    /// The body as the carrier writes it.
    pub fn body(&self) -> Value {
        json!({
            "code": self.code,
            "message": self.message,
            "more_info": format!("https://www.twilio.com/docs/errors/{}", self.code),
            "status": self.status,
        })
    }
}

/// What Twilio says for a code, where the sentence holds nothing of the request.
pub fn sentence(code: u32) -> Option<&'static str> {
    Some(match code {
        20001 => "Unknown parameters",
        20003 => "Authenticate",
        20005 => "Account not active",
        20009 => "Cannot update this resource before it is complete",
        20404 => "The requested resource was not found",
        20429 => "Too Many Requests",
        20500 => "Internal Server Error",
        20503 => "Service unavailable",
        21211 => "Invalid 'To' Phone Number",
        21212 => "Invalid 'From' Phone Number",
        21408 => "Permission to send an SMS has not been enabled for the region indicated by the 'To' number",
        21602 => "Message body is required.",
        21603 => "A 'From' phone number is required.",
        21604 => "A 'To' phone number is required.",
        21608 => "The number is unverified. Trial accounts cannot send messages to unverified numbers.",
        21610 => "Attempt to send to unsubscribed recipient",
        21611 => "This 'From' number has exceeded the maximum number of queued messages",
        21612 => "The 'To' phone number is not currently reachable using the 'From' phone number via SMS",
        21614 => "'To' number is not a valid mobile number",
        21617 => "The concatenated message body exceeds the 1600 character limit",
        30001 => "Queue overflow",
        30002 => "Account suspended",
        30003 => "Unreachable destination handset",
        30004 => "Message blocked",
        30005 => "Unknown destination handset",
        30006 => "Landline or unreachable carrier",
        30007 => "Message filtered",
        30008 => "Unknown error",
        30022 => "US A2P 10DLC - Rate Limits Exceeded",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_has_the_four_members_of_the_vendor() {
        let body = Refusal::bad(21211, "Invalid 'To' Phone Number: x").body();
        assert_eq!(
            body,
            json!({
                "code": 21211,
                "message": "Invalid 'To' Phone Number: x",
                "more_info": "https://www.twilio.com/docs/errors/21211",
                "status": 400,
            })
        );
    }
}
