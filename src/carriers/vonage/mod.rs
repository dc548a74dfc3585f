//! Vonage: bytes to our values and back.
//!
//! Messages and Voice API, version 1, with an application's tokens outward and signed webhooks inward; Numbers API. Set-up
//! for operators: `docs/carriers/vonage.md`.

mod errors;
mod numbers;
mod parse;
mod send;
mod signature;
mod voice;

use async_trait::async_trait;

use self::send::Api;
use self::signature::{CallbackKeys, Signer};
use super::capabilities::{Capabilities, NumberTrade, Rates};
use super::registry::{OptionReader, is_host_of};
use super::{
    Accepted, BadSignature, CallbackRequest, Carrier, CarrierEvent, CarrierSettings, Door, Found,
    MediaAccess, NumberOrder, NumberQuery, OfferedNumber, Ordered, OwnedNumbers, ParseError, SendError,
    SentQuery, SmsToSend, Voice,
};
use crate::clock::Clock;
use crate::net::Net;
use crate::phone::E164;

const API_BASE: &str = "https://api.nexmo.com";
const NUMBERS_BASE: &str = "https://rest.nexmo.com";
/// Hosts whose media may need our token.
const OWN_DOMAINS: [&str; 2] = ["nexmo.com", "vonage.com"];
/// A private key file has less than 4 KiB.
const KEY_FILE_MAX: usize = 16 * 1024;
const OPTIONS: [&str; 8] = [
    "api_key",
    "api_secret",
    "application_id",
    "private_key",
    "private_key_file",
    "signature_secret",
    "signature_secret_secondary",
    "numbers_api_base",
];

/// One application of one Vonage account.
pub struct Vonage {
    id: String,
    keys: CallbackKeys,
    api: Api,
}

impl Vonage {
    /// A carrier from its settings. Reads the private key's file when it is in one.
    ///
    /// # Errors
    /// A sentence that names the key and what to write.
    pub fn new(settings: &CarrierSettings, net: Net) -> Result<Vonage, String> {
        let options = OptionReader::new(settings, &OPTIONS)?;
        let plain = |text: &str| !text.is_empty() && text.len() <= 64 && text.bytes().all(is_word);
        let api_key = options.required("api_key", "the account's API key from the dashboard")?;
        let application_id = options.required("application_id", "the application's id from the dashboard")?;
        if !plain(api_key) || !plain(application_id) {
            return Err("api_key and application_id hold only letters, digits and hyphens".to_owned());
        }
        let api_secret = options.required("api_secret", "the account's API secret from the dashboard")?;
        let secret =
            options.required("signature_secret", "the account's signature secret from the dashboard")?;
        let secrets = [Some(secret), options.optional("signature_secret_secondary")];
        let keys = CallbackKeys::new(secrets.into_iter().flatten(), api_key, application_id)?;
        let pem = match (options.optional("private_key"), options.optional("private_key_file")) {
            (Some(pem), None) => pem.to_owned(),
            (None, Some(path)) => read_key(path)?,
            (None, None) => {
                return Err(
                    "private_key is missing: the application's private key in PEM, or private_key_file with \
                            the path to it"
                        .to_owned(),
                );
            }
            (Some(_), Some(_)) => return Err("private_key and private_key_file: one of the two".to_owned()),
        };
        let base = options.api_base(API_BASE)?;
        let numbers_base = options.address_or("numbers_api_base", NUMBERS_BASE)?;
        let api = Api {
            net,
            base,
            numbers_base,
            api_key: api_key.to_owned(),
            api_secret: api_secret.into(),
            application_id: application_id.to_owned(),
            signer: Signer::new(application_id, &pem)?,
            clock: Clock::system(),
        };
        Ok(Vonage { id: settings.id.clone(), keys, api })
    }
}

fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'-'
}

fn read_key(path: &str) -> Result<String, String> {
    let advice = |what: &str| format!("private_key_file “{path}” {what}");
    let text = std::fs::read_to_string(path).map_err(|error| advice(&format!("cannot be read: {error}")))?;
    if text.len() > KEY_FILE_MAX { Err(advice("is too long for a key")) } else { Ok(text) }
}

#[async_trait]
impl Carrier for Vonage {
    fn id(&self) -> &str {
        &self.id
    }

    fn kind(&self) -> &'static str {
        "vonage"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            inbound_media: true,
            outbound_media: true,
            media_count_max: 10,
            // What the networks of North America carry on every kind of number.
            media_bytes_max: 600_000,
            media_types: &["image/jpeg", "image/png", "image/gif", "video/mp4", "audio/mpeg", "text/vcard"],
            delivery_receipts: true,
            voice: true,
            text_chars_max: 3_200,
            rates: Rates { number_per_minute: Some(60), account_per_minute: Some(1_800), ..Rates::NONE },
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
            Door::Messages => parse::inbound(request.body),
            Door::Status => parse::receipt(request.body),
            Door::Voice | Door::VoiceStatus => Ok(Vec::new()),
        }
    }

    fn acknowledgement(&self, door: Door) -> (&'static str, &'static [u8]) {
        match door {
            Door::Messages | Door::Status | Door::VoiceStatus => ("application/json", b"{}"),
            // A call control object without actions: the call ends.
            Door::Voice => ("application/json", b"[]"),
        }
    }

    async fn media_access(&self, url: &str) -> Result<MediaAccess, SendError> {
        if !is_host_of(url, &self.api.base, &OWN_DOMAINS) {
            return Ok(MediaAccess::Open);
        }
        Ok(MediaAccess::Bearer(self.api.token()?))
    }

    async fn send(&self, sms: &SmsToSend) -> Result<Accepted, SendError> {
        self.api.send(sms).await
    }

    /// The API cannot be asked; the status callback with our id settles it.
    async fn find(&self, _query: &SentQuery) -> Result<Found, SendError> {
        Ok(Found::CannotTell)
    }

    async fn check(&self) -> Result<String, SendError> {
        self.api.check(&self.id).await
    }

    /// Those for messages are a part of the check.
    async fn check_addresses(&self, callback_base: &str) -> Result<Option<Vec<String>>, SendError> {
        self.api.check_voice_addresses(callback_base).await.map(Some)
    }

    fn voice(&self) -> Option<&dyn Voice> {
        Some(self)
    }

    async fn search_numbers(&self, query: &NumberQuery) -> Result<Vec<OfferedNumber>, SendError> {
        numbers::search(&self.api, query).await
    }

    async fn order_number(&self, order: &NumberOrder) -> Result<Ordered, SendError> {
        numbers::order(&self.api, order).await
    }

    async fn release_number(&self, number: &E164) -> Result<(), SendError> {
        numbers::release(&self.api, number).await
    }

    async fn list_numbers(&self, next: Option<&str>) -> Result<OwnedNumbers, SendError> {
        numbers::list(&self.api, next).await
    }
}
