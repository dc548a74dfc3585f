//! What one's phones have fetched, over HTTP.

use actix_web::get;
use actix_web::web::{Data, Json};
use serde::Serialize;
use utoipa::ToSchema;

use crate::accounts::auth::SignedIn;
use crate::app::App;
use crate::clock::Timestamp;
use crate::contacts::arrivals::{self, Arrivals, Device};
use crate::error::Result;
use crate::http::Problems;
use crate::ids::AppPasswordId;

/// A phone or program that fetches one's contacts.
#[derive(Serialize, ToSchema)]
pub(super) struct DeviceView {
    /// Its app password, `app_…`.
    #[schema(value_type = String)]
    app_password_id: AppPasswordId,
    /// What the owner calls it.
    label: String,
    /// What it calls itself.
    #[schema(required)]
    user_agent: Option<String>,
    /// When it last signed in, to five minutes.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    last_seen_at: Option<Timestamp>,
    /// When it last fetched messenger contacts.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    last_fetched_at: Option<Timestamp>,
    /// Contacts that it has as they are now.
    contacts_current: i64,
}

impl From<Device> for DeviceView {
    fn from(device: Device) -> Self {
        let Device { app_password, label, user_agent, last_seen_at, last_fetched_at, cards_current } = device;
        DeviceView {
            app_password_id: app_password,
            label,
            user_agent,
            last_seen_at,
            last_fetched_at,
            contacts_current: cards_current,
        }
    }
}

/// What one's phones have fetched.
#[derive(Serialize, ToSchema)]
pub(super) struct DevicesView {
    /// The devices, oldest first; one that never came is there too.
    items: Vec<DeviceView>,
    /// Contacts in the messenger's address book.
    contacts: i64,
}

/// Show what one's phones have fetched
///
/// One row for each app password: how many messenger contacts that phone or program has as they are now, and when it
/// fetched them.
#[utoipa::path(
    tag = "contacts", security(("bearer" = [])), responses((status = 200, body = DevicesView), Problems)
)]
#[get("/v1/me/devices")]
pub(super) async fn list_devices(me: SignedIn, app: Data<App>) -> Result<Json<DevicesView>> {
    let Arrivals { devices, cards } = app.db.read(move |db| arrivals::list(db, me.account)).await?;
    Ok(Json(DevicesView { items: devices.into_iter().map(DeviceView::from).collect(), contacts: cards }))
}
