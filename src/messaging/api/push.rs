//! Devices that are woken for messages, over REST.

use actix_web::http::header;
use actix_web::web::{Data, Json, Path};
use actix_web::{HttpResponse, delete, get, post};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::accounts::auth::SignedIn;
use crate::app::App;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::http::Problems;
use crate::ids::PushRegistrationId;
use crate::messaging::pushes::{self, Device};
use crate::push::Subscription;

/// The keys of a subscription, in base64url.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct SubscriptionKeys {
    /// The device's public key: a point of P-256.
    pub p256dh: String,
    /// The secret that it shares with us, 16 bytes.
    pub auth: String,
}

/// A subscription as browsers give it (`PushSubscription.toJSON()`).
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct CreatePushSubscription {
    /// The push service's address for the device.
    #[schema(example = "https://push.example.net/send/abc")]
    pub endpoint: String,
    /// For encryption.
    pub keys: SubscriptionKeys,
    /// Whether pushes say who wrote, and what. Without it they say only how much there is to read.
    #[serde(default)]
    pub show_content: bool,
}

/// A device that is woken for messages.
#[derive(Debug, Serialize, ToSchema)]
pub struct PushSubscriptionView {
    /// `psh_…`
    #[schema(value_type = String)]
    pub id: PushRegistrationId,
    /// Whether this very session made it.
    pub current: bool,
    /// Whether pushes say who wrote, and what.
    pub show_content: bool,
    /// Registered.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Ends unless it is registered again before, or the session ends.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

impl PushSubscriptionView {
    fn of(device: &Device, who: &SignedIn) -> Self {
        PushSubscriptionView {
            id: device.id,
            current: device.session == Some(who.session),
            show_content: device.show_content,
            created_at: device.created_at,
            expires_at: device.expires_at,
        }
    }
}

/// All devices that are woken.
#[derive(Debug, Serialize, ToSchema)]
pub struct PushSubscriptions {
    /// Oldest first.
    pub items: Vec<PushSubscriptionView>,
    /// There is no next page.
    #[schema(value_type = Option<String>)]
    pub next: Option<()>,
}

/// The key that subscriptions must be bound to.
#[derive(Debug, Serialize, ToSchema)]
pub struct PushKeyView {
    /// `applicationServerKey` for browsers: a point of P-256, uncompressed, in base64url.
    pub public_key: String,
}

/// Wake a device for messages
///
/// It gets a push when a message comes while no client of the account is connected: encrypted JSON
/// `{type: "messages", unread}`, with `show_content` also `conversation_id`, `sender` and `text`. In quiet hours
/// pushes wait. The same endpoint again renews it. It ends with the session, and 60 days after it was last renewed.
#[utoipa::path(tag = "messages", security(("bearer" = [])),
    responses((status = 201, body = PushSubscriptionView), Problems))]
#[post("/v1/me/push-subscriptions")]
pub(super) async fn create_push_subscription(
    app: Data<App>,
    who: SignedIn,
    body: Json<CreatePushSubscription>,
) -> Result<HttpResponse> {
    let bad = || {
        Error::invalid(
            "endpoint",
            "bad_push_subscription",
            "This is no subscription that can be sent to: an https address and the two keys of RFC 8291.",
        )
    };
    let subscription = Subscription::parse(&body.endpoint, &body.keys.p256dh, &body.keys.auth)
        .filter(|s| app.push.accepts(&s.endpoint))
        .ok_or_else(bad)?;
    let (now, of, show_content) = (app.now(), (who.account, who.session), body.show_content);
    let device = app
        .db
        .write(who.account, move |db| pushes::register(db, now, of, subscription.clone(), show_content))
        .await?;
    Ok(HttpResponse::Created().json(PushSubscriptionView::of(&device, &who)))
}

/// List the devices that are woken
#[utoipa::path(tag = "messages", security(("bearer" = [])),
    responses((status = 200, body = PushSubscriptions), Problems))]
#[get("/v1/me/push-subscriptions")]
pub(super) async fn list_push_subscriptions(
    app: Data<App>,
    who: SignedIn,
) -> Result<Json<PushSubscriptions>> {
    let (now, account) = (app.now(), who.account);
    let devices = app.db.read(move |db| pushes::list(db, now, account)).await?;
    let items = devices.iter().map(|device| PushSubscriptionView::of(device, &who)).collect();
    Ok(Json(PushSubscriptions { items, next: None }))
}

/// Wake a device no more
#[utoipa::path(tag = "messages", security(("bearer" = [])),
    params(("id" = String, Path, description = "`psh_…`")), responses((status = 204), Problems))]
#[delete("/v1/me/push-subscriptions/{id}")]
pub(super) async fn delete_push_subscription(
    app: Data<App>,
    who: SignedIn,
    id: Path<String>,
) -> Result<HttpResponse> {
    let id: PushRegistrationId = super::id(&id, "push subscription")?;
    let (now, account) = (app.now(), who.account);
    app.db.write(account, move |db| pushes::unregister(db, now, account, id)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Find the key that subscriptions must be bound to
#[utoipa::path(tag = "messages", security(("bearer" = [])), responses((status = 200, body = PushKeyView), Problems))]
#[get("/v1/me/push-key")]
pub(super) async fn find_push_key(app: Data<App>, _who: SignedIn) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "private, max-age=3600"))
        .json(PushKeyView { public_key: app.push.public_key().to_owned() })
}
