//! A friend's photo.

use actix_web::http::header::{
    self, CacheControl, CacheDirective, ETag, EntityTag, Header as _, IfNoneMatch,
};
use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse, get};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::accounts::auth::SignedIn;
use crate::app::App;
use crate::contacts;
use crate::error::Result;
use crate::http::Problems;
use crate::ids::ContactId;

/// A photo with an address of its own stays the same for ever; kept for a day, since friends may part.
const KEPT_SECONDS: u32 = 24 * 3_600;

/// Which photo.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Version {
    /// As in `photo_url`: then the answer may be kept for a day without asking.
    v: Option<String>,
}

/// Show a friend's photo
///
/// 404 for whoever is not a friend, and when there is none.
#[utoipa::path(
    tag = "contacts", security(("bearer" = [])),
    params(("id" = String, Path, description = "The contact"), Version),
    responses(
        (status = 200, description = "The picture", content((Vec<u8> = "image/jpeg"), (Vec<u8> = "image/png"), (Vec<u8> = "image/webp"))),
        (status = 304, description = "It is still the one named by If-None-Match"),
        Problems
    )
)]
#[get("/v1/contacts/{id}/photo")]
pub(super) async fn find_contact_photo(
    me: SignedIn,
    app: Data<App>,
    id: Path<ContactId>,
    version: Query<Version>,
    request: HttpRequest,
) -> Result<HttpResponse> {
    let id = id.into_inner();
    let photo = app.db.read(move |db| contacts::photos::find(db, me.account, id)).await?;
    let name = format!("{:x}", photo.updated_at.0);
    let kept = if version.v.as_deref() == Some(name.as_str()) {
        vec![CacheDirective::Private, CacheDirective::MaxAge(KEPT_SECONDS)]
    } else {
        vec![CacheDirective::Private, CacheDirective::NoCache]
    };
    let tag = EntityTag::new_strong(name);
    let unchanged = match IfNoneMatch::parse(&request) {
        Ok(IfNoneMatch::Any) => request.headers().contains_key(header::IF_NONE_MATCH),
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|known| known.weak_eq(&tag)),
        Err(_) => false,
    };
    let mut answer = if unchanged { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    answer
        .insert_header(ETag(tag))
        .insert_header(CacheControl(kept))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
    if unchanged {
        return Ok(answer.finish());
    }
    Ok(answer.content_type(photo.content_type).body(photo.body))
}
