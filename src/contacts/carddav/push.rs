//! WebDAV-Push: registering for a book, the home or the principal, and taking that back.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header;

use super::answer::{self, Stop};
use super::place::Place;
use super::properties::http_date;
use super::{Call, MISSING};
use crate::clock::Timestamp;
use crate::contacts::pushes::{self, Watched, Wish};
use crate::dav::push::{DontNotify, NOT_AVAILABLE, dont_notify, invalid_subscription, register as read};
use crate::dav::{Fault, href};
use crate::db::Hush;
use crate::ids::{AccountId, PushRegistrationId};
use crate::push::{self as web_push, Subscription};

/// How long a registration lasts when its maker does not say.
const LIFE: Duration = Duration::from_secs(14 * 24 * 3_600);
/// How long it may last at most; clients renew theirs every few days.
const LIFE_MAX: Duration = Duration::from_secs(60 * 24 * 3_600);

/// What of ours can be watched at a place, and whose it is.
pub fn watched_at(call: &Call) -> Option<(Watched, AccountId)> {
    match &call.place {
        Place::Book(_, slug) => call.shelf.book(slug).map(|b| (Watched::Book(b.id), b.account_id)),
        Place::Home(_) => Some((Watched::Home, call.account())),
        Place::Principal(_) => Some((Watched::Principal, call.account())),
        _ => None,
    }
}

/// POST of a `push-register`.
pub async fn register(call: Call) -> Result<HttpResponse, Stop> {
    let Some(asked) = read(&call.body)? else { return Ok(answer::not_allowed(&call.place)) };
    let unavailable = |detail| Fault::violated(403, NOT_AVAILABLE, detail);
    if matches!(&call.place, Place::Book(_, slug) if call.shelf.book(slug).is_none()) {
        return Err(MISSING.into());
    }
    let (watched, owner) =
        watched_at(&call).ok_or(unavailable("Address books, homes and principals can be watched."))?;
    let triggers = asked.triggers.within(watched.triggers())?;
    let app = &call.dav.app;
    let subscription = Subscription::parse(&asked.push_resource, &asked.public_key, &asked.auth_secret)
        .filter(|s| app.push.accepts(&s.endpoint))
        .ok_or(invalid_subscription())?;
    let (now, account) = (call.now, call.account());
    let expires_at = expiry(now, asked.expires.as_deref())?;
    let wish =
        Wish { watched, owner, app_password: call.login.app_password, subscription, triggers, expires_at };
    let registered = app.db.write(account, move |db| pushes::register(db, now, account, &wish)).await?;
    let id = registered.ok_or(unavailable("There are too many registrations already."))?;
    Ok(HttpResponse::NoContent()
        .insert_header((header::LOCATION, address(&call, id)))
        .insert_header((header::EXPIRES, http_date(expires_at)))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .finish())
}

/// The one spelling of a registration's address.
fn address(call: &Call, id: PushRegistrationId) -> String {
    format!("{}{}", call.dav.app.settings.public_url, Place::Registration(id.to_string()).href())
}

/// When a registration ends: when it was asked to, but no later than we like.
fn expiry(now: Timestamp, asked: Option<&str>) -> Result<Timestamp, Fault> {
    let Some(asked) = asked else { return Ok(now.plus(LIFE)) };
    let at = parse_http_date(asked).ok_or(Fault::malformed("The date of expires cannot be read."))?;
    if at <= now {
        return Err(Fault::malformed("The date of expires is over."));
    }
    Ok(at.min(now.plus(LIFE_MAX)))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 5.6.7).
pub fn parse_http_date(text: &str) -> Option<Timestamp> {
    let text = text.strip_suffix(" GMT")?;
    let date = jiff::civil::DateTime::strptime("%a, %d %b %Y %H:%M:%S", text).ok()?;
    let instant = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    Some(Timestamp(instant.as_microsecond()))
}

/// DELETE of a registration.
pub async fn unregister(call: Call) -> Result<HttpResponse, Stop> {
    let Place::Registration(id) = &call.place else { return Err(MISSING.into()) };
    let id: PushRegistrationId = id.parse().map_err(|_| MISSING)?;
    let (now, account) = (call.now, call.account());
    match call.dav.app.db.write(account, move |db| web_push::unregister(db, now, account, id)).await? {
        true => Ok(HttpResponse::NoContent().finish()),
        false => Err(MISSING.into()),
    }
}

/// Whom a request asks not to tell of what it changes. Whoever knows another's registration gains nothing: only that
/// account's own changes of its own books can be kept from it.
pub fn hush(call: &Call) -> Hush {
    let lines = call.request.headers().get_all("push-dont-notify").filter_map(|v| v.to_str().ok());
    let id = |url: String| -> Option<[u8; 16]> {
        let path = url.strip_prefix(&call.dav.app.settings.public_url)?;
        match Place::parse(href::parse(path)?)? {
            Place::Registration(id) => id.parse::<PushRegistrationId>().ok().map(|id| *id.as_bytes()),
            _ => None,
        }
    };
    match dont_notify(lines) {
        DontNotify::Everybody => Hush::Everybody,
        DontNotify::These(urls) if urls.is_empty() => Hush::Nobody,
        DontNotify::These(urls) => Hush::These(urls.into_iter().filter_map(id).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_http_are_read() {
        let now = Timestamp(784_111_777_000_000);
        assert_eq!(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(now));
        assert_eq!(parse_http_date("1994-11-06T08:49:37Z"), None);
        assert_eq!(parse_http_date("Sun, 06 Nov 1994 08:49:37 +0100"), None);
    }

    #[test]
    fn registrations_last_as_long_as_asked_within_reason() {
        let now = Timestamp(784_111_777_000_000);
        assert_eq!(expiry(now, None), Ok(now.plus(LIFE)));
        let day = now.plus(Duration::from_secs(24 * 3_600));
        assert_eq!(expiry(now, Some(&http_date(day))), Ok(day));
        assert_eq!(expiry(now, Some("Fri, 06 Nov 2099 08:49:37 GMT")), Ok(now.plus(LIFE_MAX)));
        assert!(expiry(now, Some("Sun, 06 Nov 1994 08:49:37 GMT")).is_err());
        assert!(expiry(now, Some("tomorrow")).is_err());
    }
}
