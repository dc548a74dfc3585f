//! Twilio: bytes to our values and back. The simulator speaks the same wire.
//!
//! Programmable Messaging, API version 2010-04-01. Set-up for operators: `docs/carriers/twilio.md`.

mod errors;
mod numbers;
mod parse;
mod send;
mod signature;
mod voice;

use async_trait::async_trait;

use self::send::Api;
use self::signature::{Covered, Keys, query_of};
use super::callback::MEDIA_MAX;
use super::form::Form;
use super::registry::{OptionReader, is_host_of};
use super::{
    Accepted, BadSignature, CallbackError, CallbackRequest, Capabilities, Carrier, CarrierEvent,
    CarrierSettings, Door, Found, MediaAccess, NumberOrder, NumberQuery, NumberTrade, OfferedNumber, Ordered,
    OwnedNumbers, ParseError, Rates, SendError, SentQuery, SmsToSend, StopScope, Voice,
};
use crate::net::Net;
use crate::phone::E164;

const API_BASE: &str = "https://api.twilio.com";
const SIMULATOR_BASE: &str = "http://127.0.0.1:8090";
/// Body takes 1,600 characters (error 21617 beyond).
const TEXT_CHARS_MAX: usize = 1_600;
/// Of one message, all media together (error 11751 beyond).
const MEDIA_BYTES_MAX: u64 = 5_000_000;
/// What it accepts for MMS; larger pictures are made smaller by it.
const MEDIA_TYPES: &[&str] =
    &["image/", "audio/", "video/", "text/vcard", "text/calendar", "application/pdf"];
const OPTIONS: [&str; 10] = [
    "account_sid",
    "auth_token",
    "auth_token_secondary",
    "api_key",
    "api_secret",
    "shared_key",
    "shared_key_secret",
    "shared_key_secondary",
    "shared_key_secondary_secret",
    "connection_overrides",
];
const XML: &str = "text/xml";
/// No answer to the sender. Anything but TwiML here would be sent to him as an SMS.
const NO_REPLY: &[u8] = b"<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response/>";
/// Refuses the call before it is answered, so that it costs nobody anything.
const NO_CALL: &[u8] = b"<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response><Reject/></Response>";

/// One Twilio account.
pub struct Twilio {
    id: String,
    kind: &'static str,
    keys: Keys,
    api: Api,
}

impl Twilio {
    /// A carrier from its settings.
    ///
    /// # Errors
    /// A sentence that names the key and what to write.
    pub fn new(kind: &'static str, settings: &CarrierSettings, net: Net) -> Result<Twilio, String> {
        let options = OptionReader::new(settings, &OPTIONS)?;
        let account_sid = options.required("account_sid", "the account's SID (AC…) from the console")?;
        if !account_sid.starts_with("AC") || !account_sid.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err("account_sid must be the account's SID, AC and letters and digits".to_owned());
        }
        let auth_token = options.required("auth_token", "the account's auth token from the console")?;
        let shared = [
            options.pair("shared_key", "shared_key_secret")?,
            options.pair("shared_key_secondary", "shared_key_secondary_secret")?,
        ];
        let keys = match shared {
            [None, None] => Keys::from_tokens(
                [Some(auth_token), options.optional("auth_token_secondary")].into_iter().flatten(),
            ),
            some => Keys::from_shared(some.into_iter().flatten()),
        };
        let (user, password) = options.pair("api_key", "api_secret")?.unwrap_or((account_sid, auth_token));
        let base = options.api_base(if kind == "simulator" { SIMULATOR_BASE } else { API_BASE })?;
        let api = Api {
            net,
            base,
            account_sid: account_sid.to_owned(),
            user: user.to_owned(),
            password: password.into(),
            overrides: options.optional("connection_overrides").map(|o| o.trim_start_matches('#').to_owned()),
        };
        Ok(Twilio { id: settings.id.clone(), kind, keys: keys?, api })
    }
}

/// The fields that a callback brings, from where its signature covers them.
fn fields_of(request: &CallbackRequest<'_>) -> Option<Form> {
    match Covered::of(request) {
        Covered::Fields => Form::parse(request.body),
        Covered::Address => Form::parse(query_of(request.url).as_bytes()),
        Covered::Hash => Some(Form::empty()),
    }
}

fn event_of(door: Door, request: &CallbackRequest<'_>, form: &Form) -> Result<Vec<CarrierEvent>, ParseError> {
    if Covered::of(request) == Covered::Hash {
        // Event streams and the like: genuine, but not what comes to these doors.
        return Ok(Vec::new());
    }
    match door {
        Door::Messages => parse::inbound(form),
        Door::Status => parse::receipt(request, form),
        Door::Voice | Door::VoiceStatus => Ok(Vec::new()),
    }
}

const TOO_MANY: &str = "too many fields";

#[async_trait]
impl Carrier for Twilio {
    fn id(&self) -> &str {
        &self.id
    }

    fn kind(&self) -> &'static str {
        self.kind
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            inbound_media: true,
            outbound_media: true,
            media_count_max: MEDIA_MAX,
            media_bytes_max: MEDIA_BYTES_MAX,
            media_types: MEDIA_TYPES,
            inbound_groups: false,
            delivery_receipts: true,
            settles_unknown: true,
            voice: true,
            text_chars_max: TEXT_CHARS_MAX,
            stop_scope: StopScope::Number,
            // A long code; what goes out faster waits at the carrier, for four hours at most.
            rates: match self.kind {
                "simulator" => Rates::NONE,
                _ => Rates { number_per_minute: Some(60), ..Rates::NONE },
            },
            numbers: NumberTrade {
                search: true,
                order: true,
                release: true,
                list: true,
                idempotent_order: false,
            },
            ..Capabilities::TEXT_ONLY
        }
    }

    fn verify(&self, request: &CallbackRequest<'_>) -> Result<(), BadSignature> {
        let form = fields_of(request).ok_or(BadSignature(TOO_MANY))?;
        self.keys.verify(request, &form)
    }

    fn parse(&self, door: Door, request: &CallbackRequest<'_>) -> Result<Vec<CarrierEvent>, ParseError> {
        let form = fields_of(request).ok_or_else(|| ParseError(TOO_MANY.to_owned()))?;
        event_of(door, request, &form)
    }

    /// Decodes the form once for both.
    fn receive(&self, door: Door, request: &CallbackRequest<'_>) -> Result<Vec<CarrierEvent>, CallbackError> {
        let form = fields_of(request).ok_or(BadSignature(TOO_MANY))?;
        self.keys.verify(request, &form)?;
        Ok(event_of(door, request, &form)?)
    }

    fn acknowledgement(&self, door: Door) -> (&'static str, &'static [u8]) {
        match door {
            Door::Messages | Door::Status | Door::VoiceStatus => (XML, NO_REPLY),
            Door::Voice => (XML, NO_CALL),
        }
    }

    async fn send(&self, sms: &SmsToSend) -> Result<Accepted, SendError> {
        self.api.send(sms).await
    }

    async fn find(&self, query: &SentQuery) -> Result<Found, SendError> {
        self.api.find(query).await
    }

    async fn check(&self) -> Result<String, SendError> {
        self.api.check().await
    }

    async fn check_addresses(&self, callback_base: &str) -> Result<Option<Vec<String>>, SendError> {
        self.api.check_addresses(callback_base).await
    }

    /// Media lies at the API's own host and may need the account's login; it redirects to storage, which must not see
    /// it.
    async fn media_access(&self, url: &str) -> Result<MediaAccess, SendError> {
        if !is_host_of(url, &self.api.base, &[]) {
            return Ok(MediaAccess::Open);
        }
        Ok(MediaAccess::Basic { user: self.api.user.clone(), password: self.api.password.clone() })
    }

    fn voice(&self) -> Option<&dyn Voice> {
        Some(self)
    }

    async fn search_numbers(&self, query: &NumberQuery) -> Result<Vec<OfferedNumber>, SendError> {
        self.api.search_numbers(query).await
    }

    async fn order_number(&self, order: &NumberOrder) -> Result<Ordered, SendError> {
        self.api.order_number(order).await
    }

    async fn release_number(&self, number: &E164) -> Result<(), SendError> {
        self.api.release_number(number).await
    }

    async fn list_numbers(&self, next: Option<&str>) -> Result<OwnedNumbers, SendError> {
        self.api.list_numbers(next).await
    }
}

#[cfg(test)]
mod tests;
