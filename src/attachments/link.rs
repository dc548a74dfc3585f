//! Links to pictures and files for whoever has no account here: carriers that fetch them, people who get a text.
//!
//! A link names one file, one copy of it and the second at which it ends, and all of that is signed. Links need no
//! table; they end by themselves and with the file.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::sniff::FileType;
use crate::clock::Timestamp;
use crate::ids::MediaId;
use crate::keys::{Keys, Purpose, same};

/// Bytes of the signature: 96 bits, since links that go by SMS are paid by the character.
const SIGNATURE_BYTES: usize = 12;
/// A copy in its original form.
pub const ORIGINAL: u64 = 0;

/// What a link leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Which file.
    pub id: MediaId,
    /// Which copy: made to fit so many bytes, or [`ORIGINAL`].
    pub bytes_max: u64,
    /// When it ends, in seconds since 1970.
    pub ends: i64,
}

impl Link {
    /// A link that is good for `lifetime`.
    pub fn new(now: Timestamp, id: MediaId, bytes_max: u64, lifetime: Duration) -> Link {
        Link { id, bytes_max, ends: now.plus(lifetime).0.div_euclid(1_000_000) }
    }

    fn signature(&self, keys: &Keys) -> String {
        let text = format!("attachment {} {} {}", self.id, self.bytes_max, self.ends);
        let hash = keys.hash(Purpose::Ticket, text.as_bytes());
        URL_SAFE_NO_PAD.encode(hash.get(..SIGNATURE_BYTES).unwrap_or_default())
    }

    /// Path and query, below the public address. The ending is for carriers that go by it.
    pub fn path(&self, keys: &Keys, kind: FileType) -> String {
        let copy = if self.bytes_max == ORIGINAL { String::new() } else { format!("&v={}", self.bytes_max) };
        let (end, ends) = (kind.extension(), self.ends);
        format!("/media/{}.{end}?e={ends:x}{copy}&s={}", self.id, self.signature(keys))
    }

    /// Reads a link as it comes back: the last segment of its path and the fields of its query. `None` when it is not
    /// one of ours or has ended.
    pub fn read(keys: &Keys, now: Timestamp, name: &str, query: &LinkQuery) -> Option<Link> {
        let id: MediaId = name.split('.').next()?.parse().ok()?;
        let link = Link {
            id,
            bytes_max: query.v.unwrap_or(ORIGINAL),
            ends: i64::from_str_radix(&query.e, 16).ok()?,
        };
        let good = same(link.signature(keys).as_bytes(), query.s.as_bytes());
        (good && now.0.div_euclid(1_000_000) < link.ends).then_some(link)
    }
}

/// The query of a link.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct LinkQuery {
    /// When it ends, hexadecimal.
    e: String,
    /// Which copy.
    v: Option<u64>,
    /// The signature.
    s: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str, now: Timestamp) -> Option<Link> {
        let (name, query) = path.strip_prefix("/media/")?.split_once('?')?;
        Link::read(&Keys::from_secret(&[7; 32]), now, name, &serde_urlencoded::from_str(query).ok()?)
    }

    #[test]
    fn links_lead_back_until_they_end() {
        let (now, day) = (Timestamp(1_760_000_000_000_000), Duration::from_secs(86_400));
        let keys = Keys::from_secret(&[7; 32]);
        for bytes_max in [ORIGINAL, 600_000] {
            let link = Link::new(now, MediaId::new(now), bytes_max, day);
            let path = link.path(&keys, FileType::Jpeg);
            assert!(path.len() < 100 && path.contains(".jpg?"), "{path}");
            assert_eq!(read(&path, now), Some(link));
            assert_eq!(read(&path, now.plus(day)), None, "ended");
        }
    }

    #[test]
    fn altered_links_lead_nowhere() {
        let now = Timestamp(1_760_000_000_000_000);
        let link = Link::new(now, MediaId::new(now), 600_000, Duration::from_secs(60));
        let path = link.path(&Keys::from_secret(&[7; 32]), FileType::Png);
        let other = MediaId::new(now).to_string();
        let longer = format!("e={:x}", link.ends + 1);
        for altered in [
            path.replace("v=600000", "v=600001"),
            path.replace("&v=600000", ""),
            path.replace(&format!("e={:x}", link.ends), &longer),
            path.replace(&link.id.to_string(), &other),
            path.replace("&s=", "&s=A"),
            link.path(&Keys::from_secret(&[8; 32]), FileType::Png),
        ] {
            assert_ne!(altered, path);
            assert_eq!(read(&altered, now), None, "{altered}");
        }
        assert_eq!(read(&path.replace(".png", ".jpg"), now), Some(link), "the ending is only for show");
    }
}
