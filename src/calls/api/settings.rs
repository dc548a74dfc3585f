//! How the account wants to be called, over REST.

use actix_web::{HttpResponse, get, put, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::accounts::auth::SignedIn;
use crate::app::App;
use crate::calls::settings::{self, CallSettings, ForwardWhen, RingOrder, Voicemail, Wanted};
use crate::error::{Error, Result};
use crate::http::Problems;
use crate::ids::HandsetId;

/// The doors of the settings.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(find_call_settings).service(put_call_settings).service(put_greeting).service(put_pin);
}

fn yes() -> bool {
    true
}

fn seconds_max() -> u16 {
    settings::VOICEMAIL_SECONDS_MAX
}

fn ring_seconds() -> u16 {
    25
}

fn together() -> RingOrder {
    RingOrder::Together
}

fn no_answer() -> ForwardWhen {
    ForwardWhen::NoAnswer
}

/// What happens when nobody answers.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct VoicemailSettings {
    /// Whether callers can leave a message.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// What is spoken to callers on a phone; empty: the usual words.
    #[serde(default)]
    pub greeting_text: String,
    /// Whether a greeting was recorded, which takes the place of the spoken one. Not to be set here.
    #[serde(default)]
    pub greeting_recorded: bool,
    /// How long a message may be, 10 to 180 seconds.
    #[serde(default = "seconds_max")]
    pub seconds_max: u16,
    /// Whether it comes by mail too.
    #[serde(default = "yes")]
    pub by_mail: bool,
    /// Whether the account's phone is told by SMS.
    #[serde(default = "yes")]
    pub by_sms: bool,
}

/// How an account wants to be called.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[schema(as = CallSettings)]
pub struct CallSettingsView {
    /// Nothing rings; callers come to voicemail.
    #[serde(default)]
    pub do_not_disturb: bool,
    /// Whether clients and phones ring at once.
    #[serde(default = "together")]
    pub ring: RingOrder,
    /// Which of the own phones ring, `mob_…`; without it the one that was heard from last.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub also_ring: Option<Vec<HandsetId>>,
    /// Where calls go.
    #[serde(default)]
    pub forward_to: Option<String>,
    /// When they do.
    #[serde(default = "no_answer")]
    pub forward_when: ForwardWhen,
    /// Whether callers on a phone say their name first. Clients hear it before they take the call; one's own phone that
    /// is picked up has the call at once.
    #[serde(default)]
    pub screening: bool,
    /// What happens when nobody answers.
    pub voicemail: VoicemailSettings,
    /// Whether there is a PIN for calls from phones that hide their number. Not to be set here.
    #[serde(default)]
    pub pin_set: bool,
    /// How long it rings, 5 to 60 seconds.
    #[serde(default = "ring_seconds")]
    pub ring_seconds: u16,
}

impl From<CallSettings> for CallSettingsView {
    fn from(settings: CallSettings) -> Self {
        CallSettingsView {
            do_not_disturb: settings.do_not_disturb,
            ring: settings.ring,
            also_ring: settings.also_ring,
            forward_to: settings.forward_to.map(|number| number.as_str().to_owned()),
            forward_when: settings.forward_when,
            screening: settings.screening,
            voicemail: VoicemailSettings {
                enabled: settings.voicemail.enabled,
                greeting_text: settings.voicemail.greeting_text,
                greeting_recorded: settings.voicemail.greeting.is_some(),
                seconds_max: settings.voicemail.seconds_max,
                by_mail: settings.voicemail.by_mail,
                by_sms: settings.voicemail.by_sms,
            },
            pin_set: settings.pin_set,
            ring_seconds: settings.ring_seconds,
        }
    }
}

impl From<CallSettingsView> for Wanted {
    fn from(view: CallSettingsView) -> Self {
        let settings = CallSettings {
            do_not_disturb: view.do_not_disturb,
            ring: view.ring,
            also_ring: view.also_ring,
            forward_to: None,
            forward_when: view.forward_when,
            screening: view.screening,
            voicemail: Voicemail {
                enabled: view.voicemail.enabled,
                greeting_text: view.voicemail.greeting_text,
                greeting: None,
                seconds_max: view.voicemail.seconds_max,
                by_mail: view.voicemail.by_mail,
                by_sms: view.voicemail.by_sms,
            },
            pin_set: false,
            ring_seconds: view.ring_seconds,
        };
        Wanted { settings, forward_to: view.forward_to.filter(|text| !text.trim().is_empty()) }
    }
}

/// Shows how the account wants to be called.
#[utoipa::path(tag = "calls", security(("bearer" = [])),
    responses((status = 200, body = CallSettingsView), Problems))]
#[get("/v1/me/call-settings")]
async fn find_call_settings(app: web::Data<App>, who: SignedIn) -> Result<web::Json<CallSettingsView>> {
    Ok(web::Json(app.db.read(move |db| settings::load(db, who.account)).await?.into()))
}

/// Says how the account wants to be called. Emergency numbers, numbers that cost extra and unexpected countries are
/// refused as a place to forward to: calls go only to countries in which the account has a verified number, which is
/// looked at again at each call.
#[utoipa::path(tag = "calls", security(("bearer" = [])),
    responses((status = 200, body = CallSettingsView), Problems))]
#[put("/v1/me/call-settings")]
async fn put_call_settings(
    app: web::Data<App>,
    who: SignedIn,
    body: web::Json<CallSettingsView>,
) -> Result<web::Json<CallSettingsView>> {
    let (now, wanted) = (app.now(), Wanted::from(body.into_inner()));
    let stored = app.db.write(who.account, move |db| settings::put(db, now, who.account, &wanted)).await?;
    Ok(web::Json(stored.into()))
}

/// Puts a recorded greeting in the place of the spoken one: a WAV file with µ-law, one channel, 8 kHz, at most 60
/// seconds. An empty body takes it away.
#[utoipa::path(tag = "calls", security(("bearer" = [])), request_body(content = Vec<u8>, content_type = "audio/wav"),
    responses((status = 204, description = "Stored."), Problems))]
#[put("/v1/me/call-settings/greeting")]
async fn put_greeting(app: web::Data<App>, who: SignedIn, body: web::Payload) -> Result<HttpResponse> {
    let broken = |_| Error::invalid("body", "not_received", "The greeting did not arrive whole.");
    let body = body.to_bytes_limited(settings::GREETING_BYTES_MAX).await;
    let (now, body) = (app.now(), body.map_err(|_| settings::bad_greeting())?.map_err(broken)?);
    let store = move |db: &mut crate::db::Db| {
        let wav = Some(body.as_ref()).filter(|wav| !wav.is_empty());
        settings::set_greeting(db, now, who.account, wav)
    };
    app.db.write(who.account, store).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// A PIN.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutPin {
    /// 4 to 8 digits; none takes it away.
    pub pin: Option<String>,
}

/// Sets the PIN by which the account is known when its phone hides the number.
#[utoipa::path(tag = "calls", security(("bearer" = [])),
    responses((status = 204, description = "Stored."), Problems))]
#[put("/v1/me/call-settings/pin")]
async fn put_pin(app: web::Data<App>, who: SignedIn, body: web::Json<PutPin>) -> Result<HttpResponse> {
    let (now, keys, pin) = (app.now(), app.keys.clone(), body.into_inner().pin);
    let store = move |db: &mut crate::db::Db| settings::set_pin(db, now, &keys, who.account, pin.as_deref());
    app.db.write(who.account, store).await?;
    Ok(HttpResponse::NoContent().finish())
}
