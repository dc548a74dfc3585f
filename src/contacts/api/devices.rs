//! What one's phones have fetched, over HTTP.

use actix_web::get;
use actix_web::web::{Data, Json, Path, Query};
use serde::Serialize;
use utoipa::ToSchema;

use crate::accounts::auth::SignedIn;
use crate::app::App;
use crate::clock::Timestamp;
use crate::contacts::arrivals::{self, Arrival, Arrivals, Device};
use crate::error::Result;
use crate::http::{Page, Paging, Problems};
use crate::ids::{AppPasswordId, ContactId};

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

/// Whether a contact has arrived on a device.
#[derive(Serialize, ToSchema)]
pub(super) struct ArrivalView {
    /// The contact.
    #[schema(value_type = String)]
    contact_id: ContactId,
    /// The name to show.
    display_name: String,
    /// When the device last fetched its card.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    fetched_at: Option<Timestamp>,
    /// Whether the device has the card as it is now; false while it has none or an old one.
    is_current: bool,
}

impl From<Arrival> for ArrivalView {
    fn from(arrival: Arrival) -> Self {
        let Arrival { contact, display_name, fetched_at, is_current } = arrival;
        ArrivalView { contact_id: contact, display_name, fetched_at, is_current }
    }
}

/// Show which contacts have arrived on a phone
///
/// Contacts that have a card now, in the order in which they came to be.
#[utoipa::path(
    tag = "contacts", security(("bearer" = [])),
    params(("id" = String, Path, description = "The device's app password"), Paging),
    responses((status = 200, body = Page<ArrivalView>), Problems)
)]
#[get("/v1/me/devices/{id}/contacts")]
pub(super) async fn list_device_contacts(
    me: SignedIn,
    app: Data<App>,
    id: Path<AppPasswordId>,
    paging: Query<Paging>,
) -> Result<Json<Page<ArrivalView>>> {
    let (id, limit, after) = (id.into_inner(), paging.limit()?, paging.after()?);
    let rows = usize::try_from(limit).unwrap_or(0) + 1;
    let arrivals = app.db.read(move |db| arrivals::of_device(db, me.account, id, after, rows)).await?;
    let items: Vec<ArrivalView> = arrivals.into_iter().map(ArrivalView::from).collect();
    Ok(Json(Page::from_extra(items, limit, |item| item.contact_id.to_string())))
}
