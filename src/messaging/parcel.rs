//! What becomes of a message's pictures and files on their way to a phone: MMS where the carrier carries them, made to
//! fit; a link in the text where it does not.

use std::time::Duration;

use super::outbox::SmsJob;
use crate::app::App;
use crate::attachments::link::{Link, ORIGINAL};
use crate::attachments::picture::Picture;
use crate::attachments::sniff::FileType;
use crate::attachments::{self, Attachment, State, fetch};
use crate::carriers::Capabilities;
use crate::clock::Timestamp;
use crate::db::Lane;
use crate::error::Result;
use crate::ids::MediaId;

/// The longest link without its line end: the public address has at most half of it.
pub const LINK_CHARS_MAX: usize = 150;
/// How long a carrier may take to fetch, with all its queues.
const FETCH_LIFETIME: Duration = Duration::from_secs(3 * 24 * 3600);
/// How long a person may follow a link.
const LINK_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);

/// What goes to the carrier beside the words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parcel {
    /// Where the carrier fetches what it carries.
    pub media_urls: Vec<String>,
    /// What is said in place of the rest, each on a line of its own.
    pub links: Vec<String>,
}

impl Parcel {
    /// The text with the links; `None` when there are none.
    pub fn reworded(&self, text: &str) -> Option<String> {
        if self.links.is_empty() {
            return None;
        }
        let lines = std::iter::once(text).filter(|text| !text.is_empty());
        Some(lines.chain(self.links.iter().map(String::as_str)).collect::<Vec<_>>().join("\n"))
    }
}

/// How one file goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// As it is.
    AsIs,
    /// As a copy that fits.
    Fitted,
    /// As a link.
    Link,
}

/// Chooses the way of a file when so many bytes may go.
fn way_of(able: &Capabilities, kind: FileType, size: i64, budget: u64) -> Way {
    // WebP is a picture of browsers; few phones show it in a message.
    let carried = able.carries(kind.media_type()) && kind != FileType::Webp;
    if carried && u64::try_from(size).is_ok_and(|size| size <= budget) {
        return Way::AsIs;
    }
    // A moving picture would stand still as a copy.
    let still = kind.is_picture() && kind != FileType::Gif;
    if still && able.carries(FileType::Jpeg.media_type()) { Way::Fitted } else { Way::Link }
}

/// How the files of a message go, in their order, and how many bytes each may have.
pub fn plan(able: &Capabilities, files: &[(FileType, i64)]) -> (Vec<Way>, u64) {
    let carried = files.len().min(able.media_count_max);
    let budget = able.media_bytes_max / u64::try_from(carried.max(1)).unwrap_or(1);
    let way = |(at, (kind, size)): (usize, &(FileType, i64))| match able.outbound_media && at < carried {
        true => way_of(able, *kind, *size, budget),
        false => Way::Link,
    };
    (files.iter().enumerate().map(way).collect(), budget)
}

/// Makes a message's files ready to go; `None` while some are still on their way in.
pub async fn prepare(app: &App, job: &SmsJob, able: &Capabilities) -> Result<Option<Parcel>> {
    let sms = job.sms;
    let files = app.db.read(move |db| attachments::of_outbound(db, sms)).await?;
    if files.iter().any(|file| file.state == State::Pending) {
        return Ok(None);
    }
    let ready = files.into_iter().filter(|file| file.state == State::Ready);
    let files: Vec<(Attachment, FileType)> =
        ready.filter_map(|file| Some((file.clone(), file.kind?))).collect();
    let sizes: Vec<(FileType, i64)> = files.iter().map(|(file, kind)| (*kind, file.size_bytes)).collect();
    let (ways, budget) = plan(able, &sizes);
    let mut parcel = Parcel::default();
    for ((file, kind), way) in files.iter().zip(ways) {
        let kind = *kind;
        let fits = way != Way::Fitted || fit(app, job, file, budget).await?;
        let now = app.now();
        match way {
            Way::AsIs => parcel.media_urls.push(url(app, now, file.id, ORIGINAL, kind)),
            Way::Fitted if fits => parcel.media_urls.push(url(app, now, file.id, budget, FileType::Jpeg)),
            Way::Fitted | Way::Link => {
                let link = Link::new(now, file.id, ORIGINAL, LINK_LIFETIME);
                parcel.links.push(format!("{}{}", app.settings.public_url, link.path(&app.keys, kind)));
            }
        }
    }
    Ok(Some(parcel))
}

fn url(app: &App, now: Timestamp, id: MediaId, bytes_max: u64, kind: FileType) -> String {
    let link = Link::new(now, id, bytes_max, FETCH_LIFETIME);
    format!("{}{}", app.settings.public_url, link.path(&app.keys, kind))
}

/// Makes the copy that fits, unless it is there; false when none can be so small.
async fn fit(app: &App, job: &SmsJob, file: &Attachment, budget: u64) -> Result<bool> {
    let id = file.id;
    let for_read = file.clone();
    let found = app.db.read(move |db| {
        if attachments::read(db, &for_read, budget)?.is_some() {
            return Ok((true, None));
        }
        Ok((false, attachments::read(db, &for_read, ORIGINAL)?))
    });
    let (there, body) = found.await?;
    let Some(body) = body.filter(|_| !there) else { return Ok(there) };
    let limit = usize::try_from(budget).unwrap_or(usize::MAX);
    let copy = fetch::slowly(move || Picture::decode(&body.bytes).ok()?.fitted(limit)).await?;
    let Some(copy) = copy else { return Ok(false) };
    let now = app.now();
    let lane = job.account.map_or(Lane::Any, Lane::Of);
    app.db.write(lane, move |db| attachments::put_copy(db, now, id, budget, &copy)).await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_go_as_the_carrier_can() {
        let able = Capabilities {
            outbound_media: true,
            media_types: &["image/", "video/mp4"],
            ..Capabilities::TEXT_ONLY
        };
        let table = [
            (FileType::Jpeg, 500, Way::AsIs),
            (FileType::Jpeg, 1_001, Way::Fitted),
            (FileType::Png, 1_001, Way::Fitted),
            (FileType::Webp, 500, Way::Fitted),
            (FileType::Gif, 500, Way::AsIs),
            (FileType::Gif, 1_001, Way::Link),
            (FileType::Mp4, 1_000, Way::AsIs),
            (FileType::Mp4, 1_001, Way::Link),
            (FileType::Pdf, 10, Way::Link),
        ];
        for (kind, size, wanted) in table {
            assert_eq!(way_of(&able, kind, size, 1_000), wanted, "{kind:?} {size}");
        }
        assert_eq!(way_of(&Capabilities::TEXT_ONLY, FileType::Jpeg, 1, 1_000), Way::Link);
    }

    #[test]
    fn links_stand_below_the_words() {
        let links = vec!["https://a".to_owned(), "https://b".to_owned()];
        let parcel = Parcel { links, ..Parcel::default() };
        assert_eq!(parcel.reworded("Look").as_deref(), Some("Look\nhttps://a\nhttps://b"));
        assert_eq!(parcel.reworded("").as_deref(), Some("https://a\nhttps://b"));
        assert_eq!(Parcel::default().reworded("Look"), None);
    }
}
