//! Pictures and files as a client sees them.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Attachment, State, THUMBNAIL, store};
use crate::db::Db;
use crate::error::Result;
use crate::ids::{MediaId, MessageId};

/// A picture or file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MediaView {
    /// `med_…`
    #[schema(value_type = String)]
    pub id: MediaId,
    /// Its media type (`image/jpeg`); unknown while it is still at the carrier.
    #[serde(rename = "type")]
    pub media_type: Option<String>,
    /// Its size in bytes; 0 while it is still at the carrier.
    pub size: i64,
    /// In pixels, of pictures.
    pub width: Option<i32>,
    /// In pixels, of pictures.
    pub height: Option<i32>,
    /// What its writer calls it.
    pub name: Option<String>,
    /// `pending` (still at the carrier), `ready` or `failed`.
    pub state: String,
    /// Where it can be fetched, with the access token; absent until it is ready.
    pub url: Option<String>,
    /// The same for a small copy, of pictures.
    pub thumbnail_url: Option<String>,
}

/// Shows one, and says whether it has a thumbnail.
fn to_view(attachment: Attachment, has_thumbnail: bool) -> MediaView {
    let ready = attachment.state == State::Ready;
    let url = format!("/v1/media/{}", attachment.id);
    MediaView {
        id: attachment.id,
        media_type: attachment.kind.map(|kind| kind.media_type().to_owned()),
        size: attachment.size_bytes,
        width: attachment.dimensions.map(|(width, _)| width),
        height: attachment.dimensions.map(|(_, height)| height),
        name: attachment.name,
        state: attachment.state.as_str().to_owned(),
        thumbnail_url: (ready && has_thumbnail).then(|| format!("{url}/thumbnail")),
        url: ready.then_some(url),
    }
}

/// Shows one that was just uploaded.
pub fn one(db: &mut Db, attachment: Attachment) -> Result<MediaView> {
    let has_thumbnail = !store::list_with_copy(db, &[attachment.id], copy_number())?.is_empty();
    Ok(to_view(attachment, has_thumbnail))
}

fn copy_number() -> i64 {
    i64::try_from(THUMBNAIL).unwrap_or(1)
}

/// The files of messages, in their order.
pub fn of_messages(db: &mut Db, messages: &[MessageId]) -> Result<HashMap<MessageId, Vec<MediaView>>> {
    let found = store::list_of_messages(db, messages)?;
    if found.is_empty() {
        return Ok(HashMap::new());
    }
    let ids: Vec<MediaId> = found.iter().map(|attachment| attachment.id).collect();
    let with_thumbnail: HashSet<MediaId> =
        store::list_with_copy(db, &ids, copy_number())?.into_iter().collect();
    let mut views: HashMap<MessageId, Vec<MediaView>> = HashMap::new();
    for attachment in found {
        let Some(message) = attachment.message else { continue };
        let has_thumbnail = with_thumbnail.contains(&attachment.id);
        views.entry(message).or_default().push(to_view(attachment, has_thumbnail));
    }
    Ok(views)
}
