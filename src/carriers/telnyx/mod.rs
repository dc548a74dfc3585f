//! Telnyx: bytes to our values and back.
//!
//! API version 2: Messaging, Numbers and Call Control. Facts are from the vendor's OpenAPI document and SDK of 2026. Set-up for
//! operators: `docs/carriers/telnyx.md`.

mod errors;
mod numbers;
mod parse;
mod send;
mod signature;
mod voice;

use async_trait::async_trait;
use secrecy::SecretString;

use self::send::Api;
use self::signature::Keys;
use super::callback::MEDIA_MAX;
use super::registry::OptionReader;
use super::{
    Accepted, BadSignature, CallbackRequest, Capabilities, Carrier, CarrierEvent, CarrierSettings, Door,
    Found, GroupToSend, NumberOrder, NumberQuery, NumberTrade, OfferedNumber, Ordered, OwnedNumbers,
    ParseError, Rates, SendError, SentQuery, SmsToSend, StopScope, Voice,
};
use crate::net::Net;
use crate::phone::E164;

const API_BASE: &str = "https://api.telnyx.com";
const OPTIONS: &[&str] =
    &["api_key", "public_key", "public_key_secondary", "messaging_profile_id", "connection_id"];
/// Ten parts of 153 septets.
const TEXT_CHARS_MAX: usize = 1_530;
/// Destinations of a group MMS.
const GROUP_MAX: usize = 8;
/// Of one message, all media together (error 40317 beyond).
const MEDIA_BYTES_MAX: u64 = 1_000_000;
const MEDIA_TYPES: &[&str] = &["image/", "audio/", "video/", "text/vcard", "text/x-vcard", "application/pdf"];

/// One Telnyx account.
pub struct Telnyx {
    id: String,
    keys: Keys,
    api: Api,
}

impl Telnyx {
    /// A carrier from its settings.
    ///
    /// # Errors
    /// A sentence that names the key and what to write.
    pub fn new(settings: &CarrierSettings, net: Net) -> Result<Telnyx, String> {
        let options = OptionReader::new(settings, OPTIONS)?;
        let api_key = options.required("api_key", "an API v2 key (KEY…) from the portal")?;
        let public = options.required("public_key", "the account's public key from Keys & Credentials")?;
        let keys = Keys::new([Some(public), options.optional("public_key_secondary")].into_iter().flatten())?;
        let text = |key| options.optional(key).map(str::to_owned);
        let api = Api {
            net,
            base: options.api_base(API_BASE)?,
            api_key: SecretString::from(api_key),
            profile: text("messaging_profile_id"),
            connection: text("connection_id"),
        };
        Ok(Telnyx { id: settings.id.clone(), keys, api })
    }
}

#[async_trait]
impl Carrier for Telnyx {
    fn id(&self) -> &str {
        &self.id
    }

    fn kind(&self) -> &'static str {
        "telnyx"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            inbound_media: true,
            outbound_media: true,
            media_count_max: MEDIA_MAX,
            media_bytes_max: MEDIA_BYTES_MAX,
            media_types: MEDIA_TYPES,
            inbound_groups: true,
            outbound_group_max: GROUP_MAX,
            delivery_receipts: true,
            settles_unknown: true,
            voice: true,
            text_chars_max: TEXT_CHARS_MAX,
            stop_scope: StopScope::Pool,
            // A long code outside the United States; inside it the campaign decides.
            rates: Rates { number_per_minute: Some(6), account_per_minute: Some(3_000), ..Rates::NONE },
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
        self.keys.verify(request)
    }

    fn parse(&self, door: Door, request: &CallbackRequest<'_>) -> Result<Vec<CarrierEvent>, ParseError> {
        match door {
            // One address may take both: a profile has one for everything that a message does not redirect.
            Door::Messages | Door::Status => parse::events(request),
            Door::Voice | Door::VoiceStatus => Ok(Vec::new()),
        }
    }

    fn acknowledgement(&self, _door: Door) -> (&'static str, &'static [u8]) {
        ("application/json", b"{}")
    }

    async fn send(&self, sms: &SmsToSend) -> Result<Accepted, SendError> {
        self.api.send(sms).await
    }

    async fn send_group(&self, group: &GroupToSend) -> Result<Accepted, SendError> {
        self.api.send_group(group).await
    }

    async fn find(&self, query: &SentQuery) -> Result<Found, SendError> {
        self.api.find(query).await
    }

    async fn check(&self) -> Result<String, SendError> {
        self.api.check().await
    }

    async fn check_addresses(&self, callback_base: &str) -> Result<Option<Vec<String>>, SendError> {
        let messages = self.api.check_addresses(callback_base).await?;
        if messages.is_none() && self.api.connection.is_none() {
            return Ok(None);
        }
        let mut wrong = messages.unwrap_or_default();
        wrong.extend(self.api.check_voice_addresses(callback_base).await?);
        Ok(Some(wrong))
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
