//! Accounts: people using the service, how they prove who they are, and what of theirs we hold.
//!
//! Invariants: a handle is one account's for good; a mobile number or e-mail address that is *verified* belongs to one
//! account (proving it takes it away from an earlier holder); passwords people choose are argon2id, everything random
//! is stored as a keyed hash; whatever sends or guesses is limited in the same transaction.

pub mod api;
pub mod app_passwords;
pub mod auth;
pub mod emails;
pub mod export;
pub mod handle;
pub mod idempotency;
pub mod invites;
pub mod jobs;
mod leaf;
pub mod limits;
pub mod mobiles;
pub mod pages;
pub mod passwords;
pub mod pins;
pub mod proofs;
pub mod ranges;
pub mod session;
pub mod setup;
pub mod setup_tickets;
pub mod tokens;
pub mod view;
mod store;
mod store_proofs;
mod store_tickets;

use std::time::Duration;

use crate::clock::Timestamp;
use crate::db::{Db, Signal, Topics};
use crate::error::{Error, FieldError, Result};
use crate::events::{self, EventKind};
use crate::ids::{AccountId, AppPasswordId, SessionId};
use crate::push;
use crate::texts::Locale;

pub use handle::Handle;

/// Characters of a display name at most.
pub const DISPLAY_NAME_MAX: usize = 64;
/// Bytes of a photo at most.
pub const PHOTO_MAX_BYTES: usize = 1024 * 1024;

/// A person using the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Names it.
    pub id: AccountId,
    /// The name under which it is known and signs in.
    pub handle: String,
    /// The name friends see.
    pub display_name: String,
    /// The language of our letters and SMS.
    pub locale: Locale,
    /// An IANA time zone.
    pub time_zone: String,
    /// When not to disturb, on the wall of the time zone.
    pub quiet_hours: Option<QuietHours>,
    /// May use `/v1/admin`.
    pub admin: bool,
    /// Signed up.
    pub created_at: Timestamp,
}

/// When texts that nobody has asked for are not sent to somebody who has set no quiet hours: at night, as the rules of
/// the North American networks have it (before 8 and after 21 o'clock of the reader's time).
const NIGHT: QuietHours = QuietHours { from: 21 * 60, to: 8 * 60 };

impl Account {
    /// From when on it may be sent what it has not asked for: now, or at the end of its quiet hours.
    pub fn awake_at(&self, now: Timestamp) -> Timestamp {
        let minute = now.minute_of_day_in(&self.time_zone);
        let left = self.quiet_hours.unwrap_or(NIGHT).minutes_left(minute).unwrap_or(0);
        now.plus(Duration::from_secs(u64::from(left) * 60))
    }
}

/// A part of every day, which may go past midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuietHours {
    from: i16,
    to: i16,
}

impl QuietHours {
    /// Reads two times of day like `22:00`; equal ones are refused, because they could mean all or nothing.
    pub fn parse(from: &str, to: &str) -> Result<Self> {
        let bad = |field: &'static str| {
            Error::invalid(field, "bad_time", "A time of day is written HH:MM, from 00:00 to 23:59.")
        };
        let from = minute_of_day(from).ok_or_else(|| bad("quiet_hours.from"))?;
        let to = minute_of_day(to).ok_or_else(|| bad("quiet_hours.to"))?;
        if from == to {
            return Err(Error::invalid("quiet_hours.to", "empty_range", "The two times must differ."));
        }
        Ok(QuietHours { from, to })
    }

    fn from_minutes(from: i16, to: i16) -> Self {
        QuietHours { from, to }
    }

    /// How many minutes are left at a minute of the day that lies in it; `None` at any other.
    pub fn minutes_left(self, minute: u16) -> Option<u16> {
        let (from, to) = (u16::try_from(self.from).ok()?, u16::try_from(self.to).ok()?);
        let is_in = if from < to { (from..to).contains(&minute) } else { minute >= from || minute < to };
        is_in.then(|| (to + 1_440 - minute) % 1_440)
    }

    fn first_minute(self) -> i16 {
        self.from
    }

    fn last_minute(self) -> i16 {
        self.to
    }

    /// The two times as `HH:MM`.
    pub fn to_texts(self) -> (String, String) {
        let show = |minute: i16| format!("{:02}:{:02}", minute / 60, minute % 60);
        (show(self.from), show(self.to))
    }

    /// Whether they are on at `minute` of the day.
    pub fn contains(self, minute: u16) -> bool {
        let minute = i16::try_from(minute).unwrap_or(0);
        if self.from < self.to {
            (self.from..self.to).contains(&minute)
        } else {
            minute >= self.from || minute < self.to
        }
    }
}

fn minute_of_day(text: &str) -> Option<i16> {
    let (hours, minutes) = text.split_once(':').filter(|(h, m)| h.len() == 2 && m.len() == 2)?;
    let digits = |t: &str| t.parse::<i16>().ok().filter(|_| t.bytes().all(|b| b.is_ascii_digit()));
    let (hours, minutes) = (digits(hours)?, digits(minutes)?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

/// A picture of the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Photo {
    /// `image/jpeg`, `image/png` or `image/webp`, as its first bytes say.
    pub content_type: String,
    /// The file.
    pub body: Vec<u8>,
    /// Put there.
    pub updated_at: Timestamp,
}

/// A password made for one phone or program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppPassword {
    /// Names it.
    pub id: AppPasswordId,
    /// What the owner calls it.
    pub label: String,
    /// The program that used it last.
    pub user_agent: Option<String>,
    /// Made.
    pub created_at: Timestamp,
    /// Last used, to five minutes.
    pub last_used_at: Option<Timestamp>,
}

/// What a new account needs; the caller has checked that signing up is allowed.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// The name for good.
    pub handle: Handle,
    /// The name friends see; checked by [`display_name`].
    pub display_name: String,
    /// From [`passwords::Hasher`].
    pub password_hash: String,
    /// The language of our letters and SMS; read by [`locale`].
    pub locale: Locale,
    /// Checked by [`time_zone`].
    pub time_zone: String,
    /// May use `/v1/admin`.
    pub admin: bool,
}

/// Creates an account and its counter.
pub fn create(db: &mut Db, now: Timestamp, new: &NewAccount) -> Result<Account> {
    let account = Account {
        id: AccountId::new(now),
        handle: new.handle.as_str().to_owned(),
        display_name: new.display_name.clone(),
        locale: new.locale,
        time_zone: new.time_zone.clone(),
        quiet_hours: None,
        admin: new.admin,
        created_at: now,
    };
    store::insert_account(db, &account, &new.password_hash)?;
    events::open(db, account.id)?;
    Ok(account)
}

/// The account, which must exist.
pub fn load(db: &mut Db, id: AccountId) -> Result<Account> {
    store::find_account(db, id)?.ok_or_else(|| Error::not_found("account"))
}

/// The account of a handle, in any spelling of capitals.
pub fn find_by_handle(db: &mut Db, handle: &str) -> Result<Option<Account>> {
    store::find_account_by_handle(db, &handle.trim().to_ascii_lowercase())
}

/// The account of a handle or of a verified e-mail address.
pub fn find_by_login(db: &mut Db, login: &str) -> Result<Option<Account>> {
    let login = login.trim().to_lowercase();
    if login.is_empty() || login.len() > 254 {
        return Ok(None);
    }
    if !login.contains('@') {
        return store::find_account_by_handle(db, &login);
    }
    match store::find_account_id_by_email(db, &login)? {
        Some(id) => store::find_account(db, id),
        None => Ok(None),
    }
}

/// Accounts in the order in which they signed up.
pub fn list(db: &mut Db, after: Option<AccountId>, limit: i64) -> Result<Vec<Account>> {
    store::list_accounts(db, after, limit)
}

/// How many accounts there are.
pub fn count(db: &mut Db) -> Result<i64> {
    store::count_accounts(db)
}

/// The argon2 hash to compare a password with.
pub fn find_password_hash(db: &mut Db, id: AccountId) -> Result<Option<String>> {
    store::find_password_hash(db, id)
}

/// Stores a new password and signs everybody else out.
pub fn change_password(db: &mut Db, id: AccountId, hash: &str, keep: Option<SessionId>) -> Result<()> {
    store::update_password_hash(db, id, hash)?;
    session::end_others(db, id, keep)
}

/// What of an account may change; `None` leaves it.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// A new display name, unchecked.
    pub display_name: Option<String>,
    /// A new language, unchecked.
    pub locale: Option<String>,
    /// A new time zone, unchecked.
    pub time_zone: Option<String>,
    /// New quiet hours, or none any more.
    pub quiet_hours: Option<Option<QuietHours>>,
    /// Makes or unmakes an admin.
    pub admin: Option<bool>,
}

/// Changes an account; says every field that is wrong at once.
pub fn update(db: &mut Db, now: Timestamp, id: AccountId, changes: &Changes) -> Result<Account> {
    let mut account = load(db, id)?;
    let before = account.clone();
    let mut wrong = Vec::new();
    let changes_to = changes.clone();
    replace(&mut account.display_name, changes_to.display_name.map(|t| display_name(&t)), &mut wrong);
    replace(&mut account.locale, changes_to.locale.map(|t| locale(&t)), &mut wrong);
    replace(&mut account.time_zone, changes_to.time_zone.map(|t| time_zone(&t)), &mut wrong);
    if !wrong.is_empty() {
        return Err(Error::invalid_fields(wrong));
    }
    account.quiet_hours = changes.quiet_hours.unwrap_or(account.quiet_hours);
    account.admin = changes.admin.unwrap_or(account.admin);
    if account != before {
        if account.display_name != before.display_name {
            push::note(db, now, &push_subject(id), RENAMED)?;
        }
        store::update_account(db, &account)?;
        let topics = if account.admin == before.admin { Topics::EVENTS } else { Topics::DOORS };
        events::append(db, now, id, EventKind::AccountUpdated, None, topics)?;
    }
    Ok(account)
}

/// An account's name has changed, for pushes.
const RENAMED: i16 = 2;

/// The account as a principal, for pushes.
pub fn push_subject(account: AccountId) -> push::Subject {
    push::Subject { kind: "principal", owner: account, id: *account.as_bytes() }
}

/// Puts a checked value in its place, or what is wrong with it to the rest.
pub(crate) fn replace<T>(place: &mut T, new: Option<Result<T>>, wrong: &mut Vec<FieldError>) {
    match new {
        Some(Ok(value)) => *place = value,
        Some(Err(error)) => wrong.extend(fields_of(&error)),
        None => {}
    }
}

/// The fields that an error is about.
pub(crate) fn fields_of(error: &Error) -> Vec<FieldError> {
    match error.kind() {
        crate::error::Kind::Invalid(fields) => fields.clone(),
        _ => Vec::new(),
    }
}

/// Deletes the account's own rows: credentials, numbers, addresses, photo, events. Other slices erase theirs before, in
/// the same transaction.
pub fn erase(db: &mut Db, id: AccountId) -> Result<()> {
    let seq = events::bump(db, id, 1)?;
    store_tickets::delete_setups_of(db, id)?;
    store::delete_account(db, id)?;
    db.signal(Signal::Account {
        account: id,
        seq,
        topics: Topics::DOORS.and(Topics::ROUTES).and(Topics::BOOKS),
    });
    Ok(())
}

/// Stores a photo after a look at its first bytes.
pub fn put_photo(db: &mut Db, now: Timestamp, id: AccountId, body: &[u8]) -> Result<()> {
    let content_type = photo_type(body)?;
    let photo = Photo { content_type: content_type.to_owned(), body: body.to_vec(), updated_at: now };
    store::replace_photo(db, id, &photo)?;
    events::append(db, now, id, EventKind::AccountUpdated, None, Topics::EVENTS)?;
    Ok(())
}

/// The photo, if there is one.
pub fn find_photo(db: &mut Db, id: AccountId) -> Result<Option<Photo>> {
    store::find_photo(db, id)
}

/// Removes the photo.
pub fn delete_photo(db: &mut Db, now: Timestamp, id: AccountId) -> Result<()> {
    if !store::delete_photo(db, id)? {
        return Err(Error::not_found("photo"));
    }
    events::append(db, now, id, EventKind::AccountUpdated, None, Topics::EVENTS)?;
    Ok(())
}

/// What a picture is, by its first bytes; nobody's word is taken for it, since browsers will show it.
pub fn photo_type(body: &[u8]) -> Result<&'static str> {
    if body.len() > PHOTO_MAX_BYTES {
        return Err(Error::invalid("body", "photo_too_large", "A photo has at most 1 MiB."));
    }
    let webp = body.starts_with(b"RIFF") && body.get(8..12) == Some(b"WEBP".as_slice());
    match body {
        [0xff, 0xd8, 0xff, ..] => Ok("image/jpeg"),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Ok("image/png"),
        _ if webp => Ok("image/webp"),
        _ => Err(Error::invalid("body", "not_a_photo", "A photo is a JPEG, PNG or WebP picture.")),
    }
}

/// A display name, trimmed, or what is wrong with it.
pub fn display_name(text: &str) -> Result<String> {
    let text = text.trim();
    let refuse = |code, detail: &'static str| Err(Error::invalid("display_name", code, detail));
    if text.is_empty() {
        return refuse("required", "A display name is needed.");
    }
    if text.chars().count() > DISPLAY_NAME_MAX {
        return refuse("too_long", "A display name has at most 64 characters.");
    }
    if text.chars().any(|c| c.is_control() || is_direction_mark(c)) {
        return refuse("bad_characters", "A display name has no control characters.");
    }
    Ok(text.to_owned())
}

/// Marks that turn the direction of writing: with them a name can pass for another.
fn is_direction_mark(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A language we have, from a tag like `ko-KR` (RFC 5646).
pub fn locale(text: &str) -> Result<Locale> {
    Locale::parse(text).ok_or_else(|| Error::invalid("locale", "unknown_locale", "We speak en and ko."))
}

/// An IANA time zone, in its own spelling.
pub fn time_zone(text: &str) -> Result<String> {
    let zone = if text.len() <= 64 { jiff::tz::TimeZone::get(text).ok() } else { None };
    let name = zone.as_ref().and_then(|z| z.iana_name());
    name.map(str::to_owned).ok_or_else(|| {
        Error::invalid("time_zone", "unknown_time_zone", "A time zone is an IANA name like Europe/Berlin.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_hours_go_past_midnight() {
        let night = QuietHours::parse("22:00", "07:00").unwrap();
        assert_eq!(night.to_texts(), ("22:00".to_owned(), "07:00".to_owned()));
        assert!(night.contains(22 * 60) && night.contains(0) && night.contains(419));
        assert!(!night.contains(7 * 60) && !night.contains(12 * 60));
        let nap = QuietHours::parse("13:00", "14:30").unwrap();
        assert!(nap.contains(13 * 60) && !nap.contains(14 * 60 + 30));
        for (from, to) in
            [("24:00", "07:00"), ("7:00", "08:00"), ("08:00", "08:00"), ("+1:00", "08:00"), ("", "")]
        {
            assert!(QuietHours::parse(from, to).is_err(), "{from} {to}");
        }
    }

    #[test]
    fn names_languages_and_zones_are_checked() {
        assert_eq!(display_name("  앨리스 ").unwrap(), "앨리스");
        assert!(display_name(" ").is_err());
        assert!(display_name(&"x".repeat(65)).is_err());
        assert!(display_name("a\u{202e}b").is_err());
        assert_eq!(locale("ko-KR").unwrap(), Locale::Ko);
        assert_eq!(locale("fr").unwrap_err().code(), "unknown_locale");
        assert_eq!(time_zone("Asia/Seoul").unwrap(), "Asia/Seoul");
        assert!(time_zone("Mars/Base").is_err());
        assert!(time_zone("").is_err());
    }

    #[test]
    fn pictures_are_known_by_their_first_bytes() {
        assert_eq!(photo_type(b"\xff\xd8\xff\xe0....").unwrap(), "image/jpeg");
        assert_eq!(photo_type(b"\x89PNG\r\n\x1a\n....").unwrap(), "image/png");
        assert_eq!(photo_type(b"RIFF\0\0\0\0WEBPVP8 ").unwrap(), "image/webp");
        assert!(photo_type(b"<svg onload=alert(1)>").is_err());
        assert_eq!(photo_type(&vec![0xff; PHOTO_MAX_BYTES + 1]).unwrap_err().code(), "photo_too_large");
    }
}
