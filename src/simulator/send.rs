//! The form by which a customer's program sends a message: read and checked as the carrier does it.

use super::message::{Direction, Media, NewMessage, Status, is_sid};
use super::refusal::Refusal;
use super::state::State;
use crate::clock::Timestamp;
use crate::phone::E164;

/// The longest text, in characters.
const BODY_MAX: usize = 1_600;
/// Files with one message.
const MEDIA_MAX: usize = 10;
/// A scheduled message is sent at the earliest after so many seconds, at the latest after 35 days.
const SCHEDULE_SECS: std::ops::RangeInclusive<i64> = 300..=35 * 86_400;

/// The decoded fields of a form or query, in their order.
pub type Form = Vec<(String, String)>;

/// The last non-empty value of a field.
pub fn field<'a>(form: &'a [(String, String)], name: &str) -> Option<&'a str> {
    form.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).filter(|v| !v.is_empty())
}

/// Reads a number as the carrier does: E.164 with the usual ornaments, or ten digits of North America.
pub fn number(text: &str) -> Option<E164> {
    let digits: String = text.chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')' | '.')).collect();
    match digits.len() {
        10 if !digits.starts_with('+') => E164::parse(&format!("+1{digits}")).ok(),
        11 if digits.starts_with('1') => E164::parse(&format!("+{digits}")).ok(),
        _ => E164::parse(&digits).ok(),
    }
}

/// A checked request to send a message, and when it is to go when not at once.
pub struct SendRequest {
    pub message: NewMessage,
    pub send_at: Option<Timestamp>,
}

/// Checks the form in the carrier's order; the first fault is the one that is told.
pub fn check(state: &State, form: &[(String, String)], now: Timestamp) -> Result<SendRequest, Refusal> {
    let to = field(form, "To").ok_or_else(|| Refusal::bad(21604, "A 'To' phone number is required."))?;
    let to =
        number(to).ok_or_else(|| Refusal::bad(21211, format!("Invalid 'To' Phone Number: {}", shown(to))))?;
    let service = field(form, "MessagingServiceSid").map(str::to_owned);
    let from = sender(state, form, service.as_deref(), &to)?;
    let media: Vec<Media> = form
        .iter()
        .filter(|(key, value)| key == "MediaUrl" && !value.is_empty())
        .map(|(_, url)| Media { url: url.clone(), content_type: String::new() })
        .collect();
    let body = field(form, "Body").unwrap_or_default().to_owned();
    if body.is_empty() && media.is_empty() && field(form, "ContentSid").is_none() {
        return Err(Refusal::bad(21602, "Message body is required."));
    }
    if body.chars().count() > BODY_MAX {
        return Err(Refusal::bad(21617, "The concatenated message body exceeds the 1600 character limit"));
    }
    if media.len() > MEDIA_MAX {
        return Err(Refusal::bad(21623, "Number of media files exceeds allowed limit"));
    }
    if let Some(bad) = media.iter().find(|media| !is_url(&media.url)) {
        return Err(Refusal::bad(21620, format!("Invalid media URL(s): {}", shown(&bad.url))));
    }
    let status_callback = field(form, "StatusCallback").map(str::to_owned);
    if let Some(bad) = status_callback.as_ref().filter(|url| !is_url(url)) {
        return Err(Refusal::bad(
            21609,
            format!("The 'StatusCallback' URL {} is not a valid URL.", shown(bad)),
        ));
    }
    let send_at = send_at(form, service.is_some(), now)?;
    if from == to {
        return Err(Refusal::bad(21266, "'To' and 'From' number cannot be the same"));
    }
    if state.is_opted_out(&from, &to) {
        return Err(Refusal::bad(21610, "Attempt to send to unsubscribed recipient"));
    }
    if state.is_full() {
        return Err(Refusal::new(
            429,
            21611,
            "This 'From' number has exceeded the maximum number of queued messages",
        ));
    }
    let status = match (&service, send_at) {
        (_, Some(_)) => Status::Scheduled,
        (Some(_), None) => Status::Accepted,
        (None, None) => Status::Queued,
    };
    let direction = Direction::OutboundApi;
    let behaviour = Default::default();
    let message =
        NewMessage { direction, from, to, body, media, status, service, status_callback, behaviour };
    Ok(SendRequest { message, send_at })
}

/// The number that sends: the one that is named, or the one that the messaging service always takes for this receiver.
fn sender(
    state: &State,
    form: &[(String, String)],
    service: Option<&str>,
    to: &E164,
) -> Result<E164, Refusal> {
    if let Some(service) = service.filter(|service| !is_sid("MG", service)) {
        return Err(Refusal::bad(21701, format!("The Messaging Service {} does not exist.", shown(service))));
    }
    let Some(from) = field(form, "From") else {
        if service.is_none() {
            return Err(Refusal::bad(21603, "A 'From' phone number is required."));
        }
        let count = state.numbers.len().max(1);
        let sticky =
            to.digits().bytes().fold(0usize, |sum, digit| sum.wrapping_mul(31).wrapping_add(digit.into()));
        let chosen = state.numbers.keys().nth(sticky % count);
        return chosen.cloned().ok_or_else(|| {
            Refusal::bad(
                21703,
                "The Messaging Service does not have a phone number available to send a message.",
            )
        });
    };
    let Some(number) = number(from) else {
        return Err(Refusal::bad(
            21212,
            format!(
                "The 'From' number {} is not a valid phone number, shortcode, or alphanumeric sender ID.",
                shown(from)
            ),
        ));
    };
    if state.numbers.contains_key(&number) {
        return Ok(number);
    }
    Err(Refusal::bad(
        21606,
        format!(
            "The 'From' phone number provided ({number}) is not a valid message-capable Twilio phone number for this \
             destination."
        ),
    ))
}

fn send_at(
    form: &[(String, String)],
    has_service: bool,
    now: Timestamp,
) -> Result<Option<Timestamp>, Refusal> {
    let Some(kind) = field(form, "ScheduleType") else { return Ok(None) };
    if kind != "fixed" {
        return Err(Refusal::bad(35112, "ScheduleType parameter value is unsupported"));
    }
    if !has_service {
        return Err(Refusal::bad(35118, "MessagingServiceSid is required to schedule a message"));
    }
    let at = field(form, "SendAt").and_then(Timestamp::from_rfc3339);
    let at = at.ok_or_else(|| Refusal::bad(35111, "SendAt is missing or not an ISO 8601 time"))?;
    if !SCHEDULE_SECS.contains(&(at.unix_secs() - now.unix_secs())) {
        return Err(Refusal::bad(35114, "SendAt must be between 300 seconds and 35 days in the future"));
    }
    Ok(Some(at))
}

/// Whether the carrier could call this address.
pub fn is_url(text: &str) -> bool {
    let url = reqwest::Url::parse(text);
    text.len() <= 4_000 && url.is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// What the request said, cut to a length that an error can hold.
fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}
