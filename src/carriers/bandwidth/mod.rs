//! Bandwidth: bytes to our values and back.
//!
//! Messaging and Voice API version 2 with OAuth 2.0, and the numbers API, which speaks XML. Facts are from the vendor's OpenAPI
//! document, SDK and guides. Set-up for operators: `docs/carriers/bandwidth.md`.

mod access;
mod errors;
mod numbers;
mod parse;
mod send;
mod voice;
mod xml;

use async_trait::async_trait;
use secrecy::SecretString;

use self::access::{Door as Lock, Tokens};
use self::send::Api;
use self::voice::VoiceSettings;
use super::callback::MEDIA_MAX;
use super::registry::{OptionReader, is_host_of};
use super::{
    Accepted, BadSignature, CallbackRequest, Capabilities, Carrier, CarrierEvent, CarrierSettings, Door,
    Found, GroupToSend, MediaAccess, NumberOrder, NumberQuery, NumberTrade, OfferedNumber, Ordered,
    OwnedNumbers, ParseError, Rates, SendError, SentQuery, SmsToSend, StopScope, Voice,
};
use crate::net::Net;
use crate::phone::E164;

const API_BASE: &str = "https://api.bandwidth.com";
const MESSAGING_BASE: &str = "https://messaging.bandwidth.com";
const VOICE_BASE: &str = "https://voice.bandwidth.com";
const DASHBOARD_BASE: &str = "https://dashboard.bandwidth.com";
const OPTIONS: &[&str] = &[
    "account_id",
    "client_id",
    "client_secret",
    "application_id",
    "callback_user",
    "callback_password",
    "callback_password_secondary",
    "site_id",
    "sippeer_id",
    "voice_application_id",
];
const TEXT_CHARS_MAX: usize = 2_048;
/// Participants of a group, our number among them.
const GROUP_MAX: usize = 9;
/// What may be uploaded; networks make it smaller.
const MEDIA_BYTES_MAX: u64 = 3_750_000;
const MEDIA_TYPES: &[&str] =
    &["image/", "audio/", "video/", "text/vcard", "text/x-vcard", "text/calendar", "application/pdf"];

/// One Bandwidth account.
pub struct Bandwidth {
    id: String,
    lock: Lock,
    api: Api,
    voice: Option<VoiceSettings>,
}

impl Bandwidth {
    /// A carrier from its settings.
    ///
    /// # Errors
    /// A sentence that names the key and what to write.
    pub fn new(settings: &CarrierSettings, net: Net) -> Result<Bandwidth, String> {
        let options = OptionReader::new(settings, OPTIONS)?;
        let digits = |key: &str, value: &str| {
            let good = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
            if good {
                Ok(value.to_owned())
            } else {
                Err(format!("{key} must be the number that the App shows"))
            }
        };
        let optional_digits = |key: &str| options.optional(key).map(|value| digits(key, value)).transpose();
        let account =
            digits("account_id", options.required("account_id", "the account's number, 7 digits")?)?;
        let client_id = options.required("client_id", "the id of an API credential (OAuth 2.0)")?;
        let client_secret = options.required("client_secret", "the secret of that API credential")?;
        let application = options.required("application_id", "the id of the messaging application")?;
        let user = options.required("callback_user", "a user name that you enter at the application too")?;
        let password =
            options.required("callback_password", "a password that you enter at the application too")?;
        let passwords = [Some(password), options.optional("callback_password_secondary")];
        let base = |usual: &str| options.api_base(usual);
        let tokens = Tokens::new(net.clone(), base(API_BASE)?, client_id, SecretString::from(client_secret));
        let api = Api {
            net,
            messaging: base(MESSAGING_BASE)?,
            dashboard: base(DASHBOARD_BASE)?,
            tokens,
            account,
            application: application.to_owned(),
            site: optional_digits("site_id")?,
            peer: optional_digits("sippeer_id")?,
        };
        let voice_application = options.optional("voice_application_id");
        let lock = Lock::new(user, passwords.into_iter().flatten(), application, voice_application);
        let voice = match voice_application {
            Some(application) => Some(VoiceSettings {
                base: base(VOICE_BASE)?,
                application: application.to_owned(),
                user: user.to_owned(),
                password: SecretString::from(password),
            }),
            None => None,
        };
        Ok(Bandwidth { id: settings.id.clone(), lock, api, voice })
    }
}

#[async_trait]
impl Carrier for Bandwidth {
    fn id(&self) -> &str {
        &self.id
    }

    fn kind(&self) -> &'static str {
        "bandwidth"
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
            voice: self.voice.is_some(),
            text_chars_max: TEXT_CHARS_MAX,
            stop_scope: StopScope::None,
            rates: Rates { number_per_minute: Some(60), account_per_minute: Some(60), ..Rates::NONE },
            numbers: NumberTrade {
                search: true,
                order: self.api.site.is_some(),
                release: true,
                list: true,
                idempotent_order: false,
            },
            ..Capabilities::TEXT_ONLY
        }
    }

    fn verify(&self, request: &CallbackRequest<'_>) -> Result<(), BadSignature> {
        self.lock.verify(request)
    }

    fn parse(&self, door: Door, request: &CallbackRequest<'_>) -> Result<Vec<CarrierEvent>, ParseError> {
        match door {
            Door::Messages | Door::Status => parse::events(request.body),
            Door::Voice | Door::VoiceStatus => Ok(Vec::new()),
        }
    }

    /// Whether it logs in at once or waits to be asked is not documented: both are right.
    fn challenge(&self) -> Option<&'static str> {
        Some("Basic realm=\"callbacks\", charset=\"UTF-8\"")
    }

    fn acknowledgement(&self, _door: Door) -> (&'static str, &'static [u8]) {
        ("application/json", b"{}")
    }

    async fn media_access(&self, url: &str) -> Result<MediaAccess, SendError> {
        if !is_host_of(url, &self.api.messaging, &[]) {
            return Ok(MediaAccess::Open);
        }
        Ok(MediaAccess::Bearer(self.api.tokens.current().await?))
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
        let mut wrong = self.api.check_addresses(callback_base).await?;
        if let (Some(wrong), Some(voice)) = (&mut wrong, &self.voice) {
            wrong.extend(self.api.check_voice_addresses(voice, callback_base).await?);
        }
        Ok(wrong)
    }

    fn voice(&self) -> Option<&dyn Voice> {
        self.voice.as_ref().map(|_| self as &dyn Voice)
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
