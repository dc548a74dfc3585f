//! Plivo: bytes to our values and back.
//!
//! Messaging, Voice and Number API, version 1; callbacks signed by V3. Set-up for operators: `docs/carriers/plivo.md`.

mod errors;
mod numbers;
mod parse;
mod send;
mod signature;
mod voice;

use async_trait::async_trait;

use self::send::Api;
use self::signature::{Keys, is_get, query_of};
use super::capabilities::{Capabilities, NumberTrade, StopScope};
use super::form::Form;
use super::registry::{OptionReader, is_host_of};
use super::{
    Accepted, BadSignature, CallbackError, CallbackRequest, Carrier, CarrierEvent, CarrierSettings, Door,
    Found, MediaAccess, NumberOrder, NumberQuery, OfferedNumber, Ordered, OwnedNumbers, ParseError,
    SendError, SentQuery, SmsToSend, Voice,
};
use crate::net::Net;
use crate::phone::E164;

const API_BASE: &str = "https://api.plivo.com";
/// Hosts whose media may need our credentials.
const OWN_DOMAINS: [&str; 1] = ["plivo.com"];
const OPTIONS: [&str; 5] = ["auth_id", "auth_token", "auth_token_secondary", "main_auth_token", "app_id"];
const TOO_MANY: &str = "too many fields";

/// One Plivo account or subaccount.
pub struct Plivo {
    id: String,
    keys: Keys,
    api: Api,
}

impl Plivo {
    /// A carrier from its settings.
    ///
    /// # Errors
    /// A sentence that names the key and what to write.
    pub fn new(settings: &CarrierSettings, net: Net) -> Result<Plivo, String> {
        let options = OptionReader::new(settings, &OPTIONS)?;
        let auth_id = options.required("auth_id", "the Auth ID (MA… or SA…) from the console")?;
        if auth_id.len() > 64 || !auth_id.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(
                "auth_id must be the Auth ID, letters and digits like MAXXXXXXXXXXXXXXXXXX".to_owned()
            );
        }
        let auth_token = options.required("auth_token", "the Auth Token from the console")?;
        let more =
            ["auth_token_secondary", "main_auth_token"].into_iter().filter_map(|key| options.optional(key));
        let keys = Keys::new(std::iter::once(auth_token).chain(more))?;
        let app_id = options.optional("app_id").map(str::to_owned);
        if app_id.as_ref().is_some_and(|id| id.len() > 64 || !id.bytes().all(|b| b.is_ascii_alphanumeric())) {
            return Err("app_id must be the application's id, digits".to_owned());
        }
        let base = options.api_base(API_BASE)?;
        let (auth_id, auth_token) = (auth_id.to_owned(), auth_token.into());
        Ok(Plivo { id: settings.id.clone(), keys, api: Api { net, base, auth_id, auth_token, app_id } })
    }
}

/// The fields that a callback brings: a GET has them in its address.
fn fields_of(request: &CallbackRequest<'_>) -> Option<Form> {
    if is_get(request) { Form::parse(query_of(request.url).as_bytes()) } else { Form::parse(request.body) }
}

fn events_of(
    door: Door,
    request: &CallbackRequest<'_>,
    form: &Form,
) -> Result<Vec<CarrierEvent>, ParseError> {
    match door {
        Door::Messages => parse::inbound(form),
        Door::Status => {
            let query = Form::parse(query_of(request.url).as_bytes());
            parse::receipt(&query.unwrap_or_else(Form::empty), form)
        }
        Door::Voice | Door::VoiceStatus => Ok(Vec::new()),
    }
}

#[async_trait]
impl Carrier for Plivo {
    fn id(&self) -> &str {
        &self.id
    }

    fn kind(&self) -> &'static str {
        "plivo"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            inbound_media: true,
            outbound_media: true,
            media_count_max: 10,
            // It takes 5 MB, but no network of North America carries more than this on long codes.
            media_bytes_max: 1_000_000,
            media_types: &["image/", "video/", "audio/", "text/vcard", "application/pdf"],
            delivery_receipts: true,
            voice: true,
            text_chars_max: 1_600,
            stop_scope: StopScope::Number,
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
        events_of(door, request, &form)
    }

    /// Decodes the form once for both.
    fn receive(&self, door: Door, request: &CallbackRequest<'_>) -> Result<Vec<CarrierEvent>, CallbackError> {
        let form = fields_of(request).ok_or(BadSignature(TOO_MANY))?;
        self.keys.verify(request, &form)?;
        Ok(events_of(door, request, &form)?)
    }

    fn acknowledgement(&self, _door: Door) -> (&'static str, &'static [u8]) {
        // A document with verbs would be carried out; this one has none.
        ("application/xml", b"<Response/>")
    }

    async fn media_access(&self, url: &str) -> Result<MediaAccess, SendError> {
        if !is_host_of(url, &self.api.base, &OWN_DOMAINS) {
            return Ok(MediaAccess::Open);
        }
        Ok(MediaAccess::Basic { user: self.api.auth_id.clone(), password: self.api.auth_token.clone() })
    }

    async fn send(&self, sms: &SmsToSend) -> Result<Accepted, SendError> {
        self.api.send(sms).await
    }

    async fn find(&self, query: &SentQuery) -> Result<Found, SendError> {
        self.api.find(query).await
    }

    async fn check(&self) -> Result<String, SendError> {
        self.api.check(&self.id).await
    }

    /// The one for messages is a part of the check.
    async fn check_addresses(&self, callback_base: &str) -> Result<Option<Vec<String>>, SendError> {
        self.api.check_voice_addresses(callback_base).await
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
