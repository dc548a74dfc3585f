//! How an account wants to be called. Without a row everything is as [`CallSettings::default`] says.

use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::policy;
use super::{Sound, policy::Refused, sounds};
use crate::accounts::{mobiles, pins};
use crate::clock::Timestamp;
use crate::db::Db;
use crate::each;
use crate::error::{Error, Result};
use crate::ids::{AccountId, HandsetId, SoundId};
use crate::keys::Keys;
use crate::media;
use crate::phone::E164;
use crate::schema::call_settings;

/// Seconds of a voicemail at most.
pub const VOICEMAIL_SECONDS_MAX: u16 = 180;
/// Characters of a spoken greeting at most: half a minute.
pub const GREETING_CHARS_MAX: usize = 300;
/// Seconds of a recorded greeting at most.
pub const GREETING_SECONDS_MAX: usize = 60;
/// Bytes of its file at most: 8 kB a second, and what stands before the sound.
pub const GREETING_BYTES_MAX: usize = GREETING_SECONDS_MAX * 8_000 + 4_096;
/// How long it may ring.
const RING_SECONDS: std::ops::RangeInclusive<u16> = 5..=60;
/// Digits of a PIN.
const PIN_DIGITS: std::ops::RangeInclusive<usize> = 4..=8;

/// In which order an account's ends ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RingOrder {
    /// Clients and phones at once.
    Together,
    /// Clients first, phones when nobody answers there.
    InOrder,
}

/// When a call goes elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ForwardWhen {
    /// At once.
    Always,
    /// When it has rung long enough.
    NoAnswer,
    /// When the account is in another call.
    Busy,
}

/// What happens when nobody answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voicemail {
    /// Whether callers can leave a message.
    pub enabled: bool,
    /// What is spoken; empty: the usual words.
    pub greeting_text: String,
    /// What was recorded in its place.
    pub greeting: Option<SoundId>,
    /// How long a message may be.
    pub seconds_max: u16,
    /// Whether it comes by mail too.
    pub by_mail: bool,
    /// Whether the account's phone is told.
    pub by_sms: bool,
}

/// How an account wants to be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallSettings {
    /// Nothing rings.
    pub do_not_disturb: bool,
    /// In which order.
    pub ring: RingOrder,
    /// The own phones that ring; `None`: the one that was heard from last.
    pub also_ring: Option<Vec<HandsetId>>,
    /// Where calls go.
    pub forward_to: Option<E164>,
    /// When they do.
    pub forward_when: ForwardWhen,
    /// Whether callers say their name first.
    pub screening: bool,
    /// What happens when nobody answers.
    pub voicemail: Voicemail,
    /// Whether there is a PIN for calls from phones that hide their number.
    pub pin_set: bool,
    /// How long it rings.
    pub ring_seconds: u16,
}

impl Default for CallSettings {
    fn default() -> Self {
        CallSettings {
            do_not_disturb: false,
            ring: RingOrder::Together,
            also_ring: None,
            forward_to: None,
            forward_when: ForwardWhen::NoAnswer,
            screening: false,
            voicemail: Voicemail {
                enabled: true,
                greeting_text: String::new(),
                greeting: None,
                seconds_max: VOICEMAIL_SECONDS_MAX,
                by_mail: true,
                by_sms: true,
            },
            pin_set: false,
            ring_seconds: 25,
        }
    }
}

#[derive(Debug, Clone, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = call_settings)]
#[diesel(treat_none_as_default_value = false)]
#[diesel(treat_none_as_null = true)]
struct Row {
    account_id: AccountId,
    do_not_disturb: bool,
    ring: String,
    also_ring: Option<String>,
    forward_to: Option<E164>,
    forward_when: String,
    screening: bool,
    voicemail_enabled: bool,
    greeting_text: String,
    greeting_sound_id: Option<SoundId>,
    voicemail_seconds_max: i16,
    voicemail_by_mail: bool,
    voicemail_by_sms: bool,
    pin_hash: Option<Vec<u8>>,
    ring_seconds: i16,
    updated_at: Timestamp,
}

fn word<T: Serialize>(value: T) -> Result<String> {
    Ok(serde_json::to_value(value)?.as_str().unwrap_or_default().to_owned())
}

fn read<T: for<'a> Deserialize<'a>>(text: &str, otherwise: T) -> T {
    serde_json::from_value(serde_json::Value::from(text)).unwrap_or(otherwise)
}

fn find(db: &mut Db, account: AccountId) -> Result<Option<Row>> {
    Ok(each!(db, |c| call_settings::table
        .filter(call_settings::account_id.eq(account))
        .select(Row::as_select())
        .first(c)
        .optional())?)
}

fn from_row(row: Row) -> CallSettings {
    let number = |n: i16| u16::try_from(n).unwrap_or(0);
    CallSettings {
        do_not_disturb: row.do_not_disturb,
        ring: read(&row.ring, RingOrder::Together),
        also_ring: row.also_ring.and_then(|text| serde_json::from_str(&text).ok()),
        forward_to: row.forward_to,
        forward_when: read(&row.forward_when, ForwardWhen::NoAnswer),
        screening: row.screening,
        voicemail: Voicemail {
            enabled: row.voicemail_enabled,
            greeting_text: row.greeting_text,
            greeting: row.greeting_sound_id,
            seconds_max: number(row.voicemail_seconds_max),
            by_mail: row.voicemail_by_mail,
            by_sms: row.voicemail_by_sms,
        },
        pin_set: row.pin_hash.is_some(),
        ring_seconds: number(row.ring_seconds),
    }
}

fn to_row(
    settings: &CallSettings,
    account: AccountId,
    pin_hash: Option<Vec<u8>>,
    now: Timestamp,
) -> Result<Row> {
    let number = |n: u16| i16::try_from(n).unwrap_or(i16::MAX);
    Ok(Row {
        account_id: account,
        do_not_disturb: settings.do_not_disturb,
        ring: word(settings.ring)?,
        also_ring: settings.also_ring.as_ref().map(serde_json::to_string).transpose()?,
        forward_to: settings.forward_to.clone(),
        forward_when: word(settings.forward_when)?,
        screening: settings.screening,
        voicemail_enabled: settings.voicemail.enabled,
        greeting_text: settings.voicemail.greeting_text.clone(),
        greeting_sound_id: settings.voicemail.greeting,
        voicemail_seconds_max: number(settings.voicemail.seconds_max),
        voicemail_by_mail: settings.voicemail.by_mail,
        voicemail_by_sms: settings.voicemail.by_sms,
        pin_hash,
        ring_seconds: number(settings.ring_seconds),
        updated_at: now,
    })
}

/// The settings of an account.
pub fn load(db: &mut Db, account: AccountId) -> Result<CallSettings> {
    Ok(find(db, account)?.map(from_row).unwrap_or_default())
}

fn store(db: &mut Db, row: &Row) -> Result<()> {
    each!(db, |c| diesel::insert_into(call_settings::table)
        .values(row)
        .on_conflict(call_settings::account_id)
        .do_update()
        .set(row)
        .execute(c))?;
    Ok(())
}

/// What a client wants changed; the greeting that was recorded and the PIN have doors of their own.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// As it shall be; `forward_to`, `voicemail.greeting` and `pin_set` are not looked at.
    pub settings: CallSettings,
    /// As it was typed.
    pub forward_to: Option<String>,
}

/// Changes the settings, or says what is wrong with them.
pub fn put(db: &mut Db, now: Timestamp, account: AccountId, wanted: &Wanted) -> Result<CallSettings> {
    let mut settings = wanted.settings.clone();
    if !RING_SECONDS.contains(&settings.ring_seconds) {
        return Err(Error::invalid("ring_seconds", "out_of_range", "It rings 5 to 60 seconds."));
    }
    if !(10..=VOICEMAIL_SECONDS_MAX).contains(&settings.voicemail.seconds_max) {
        let detail = "A message has 10 to 180 seconds.";
        return Err(Error::invalid("voicemail.seconds_max", "out_of_range", detail));
    }
    if settings.voicemail.greeting_text.chars().count() > GREETING_CHARS_MAX {
        let detail = "A greeting has at most 300 characters.";
        return Err(Error::invalid("voicemail.greeting_text", "too_long", detail));
    }
    let mobiles = mobiles::list_verified(db, account)?;
    if let Some(chosen) = &settings.also_ring
        && chosen.iter().any(|id| mobiles.iter().all(|mobile| mobile.id != *id))
    {
        return Err(Error::invalid(
            "also_ring",
            "unknown_mobile",
            "Only your own verified numbers can ring.",
        ));
    }
    let homes: Vec<String> = mobiles.iter().map(|mobile| mobile.number.region()).collect();
    settings.forward_to = match &wanted.forward_to {
        Some(typed) => Some(policy::destination(typed, &homes).map_err(refused)?),
        None => None,
    };
    let before = find(db, account)?;
    settings.voicemail.greeting = before.as_ref().and_then(|row| row.greeting_sound_id);
    let pin = before.and_then(|row| row.pin_hash);
    settings.pin_set = pin.is_some();
    store(db, &to_row(&settings, account, pin, now)?)?;
    Ok(settings)
}

fn refused(refused: Refused) -> Error {
    let detail = match refused {
        Refused::Emergency => "Emergency numbers are not dialled here. Call them from your phone itself.",
        Refused::Premium => "Numbers that cost extra are not dialled.",
        Refused::Elsewhere => "Calls go only to countries in which you have a verified number.",
        Refused::NotANumber => "This is not a telephone number.",
    };
    Error::invalid("forward_to", refused.code(), detail)
}

/// Sets the PIN for calls from phones that hide their number; none takes it away.
pub fn set_pin(
    db: &mut Db,
    now: Timestamp,
    keys: &Keys,
    account: AccountId,
    pin: Option<&str>,
) -> Result<()> {
    let good = |pin: &str| PIN_DIGITS.contains(&pin.len()) && pin.bytes().all(|b| b.is_ascii_digit());
    if pin.is_some_and(|pin| !good(pin)) {
        return Err(Error::invalid("pin", "bad_pin", "A PIN has 4 to 8 digits."));
    }
    let settings = load(db, account)?;
    store(db, &to_row(&settings, account, pin.map(|pin| pins::hash(keys, account, pin)), now)?)
}

/// What is no greeting.
pub fn bad_greeting() -> Error {
    let detail = "A greeting is a WAV file with µ-law, one channel, 8 kHz, of at most 60 seconds.";
    Error::invalid("body", "bad_greeting", detail)
}

/// Puts a recorded greeting in the place of the spoken one; none takes it away.
pub fn set_greeting(db: &mut Db, now: Timestamp, account: AccountId, wav: Option<&[u8]>) -> Result<()> {
    let row = find(db, account)?;
    let mut settings = load(db, account)?;
    if let Some(old) = settings.voicemail.greeting.take() {
        sounds::delete(db, account, old)?;
    }
    if let Some(wav) = wav {
        let mulaw = media::from_wav(wav).ok_or_else(bad_greeting)?;
        if mulaw.is_empty() || mulaw.len() > GREETING_SECONDS_MAX * 8_000 {
            return Err(bad_greeting());
        }
        let id = SoundId::new(now);
        let millis = i32::try_from(mulaw.len() / 8).unwrap_or(i32::MAX);
        sounds::insert(
            db,
            &Sound { id, account, call: None, purpose: "greeting", millis, mulaw, created_at: now },
        )?;
        settings.voicemail.greeting = Some(id);
    }
    store(db, &to_row(&settings, account, row.and_then(|row| row.pin_hash), now)?)
}

/// The recorded greeting's µ-law.
pub fn greeting(db: &mut Db, account: AccountId) -> Result<Option<Vec<u8>>> {
    let Some(id) = load(db, account)?.voicemail.greeting else { return Ok(None) };
    Ok(sounds::find(db, account, id)?.filter(|mulaw| !mulaw.is_empty()))
}

/// The settings go with the account.
pub fn erase(db: &mut Db, account: AccountId) -> Result<()> {
    each!(db, |c| diesel::delete(call_settings::table)
        .filter(call_settings::account_id.eq(account))
        .execute(c))?;
    Ok(())
}
