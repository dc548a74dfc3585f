//! Pictures and files of messages: kept by the hash of their bytes, known by what they really are.
//!
//! A file comes in two ways: somebody uploads it and gives it to a message later, or it came with an MMS and waits at
//! the carrier until a job fetches it. Either way it is looked at before it is kept: its size, its first bytes, the
//! virus scanner when there is one, and for a picture its pixels. What is kept never changes.
//!
//! The bytes lie in the database, since nodes share nothing else, a backup has them with the messages they belong to,
//! and one transaction makes both or neither.

pub mod api;
pub mod fetch;
pub mod link;
pub mod picture;
pub mod scanner;
pub mod sniff;
mod store;
pub mod view;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use self::picture::{Copy, Picture, PictureError};
use self::sniff::FileType;
use crate::carriers::InboundMedia;
use crate::clock::Timestamp;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::ids::{AccountId, MediaId, MessageId, OutboundSmsId};
use crate::queue;

/// The kind of the job that fetches a file from a carrier.
pub const FETCH: &str = "fetch_attachment";
/// Bytes of one file at most: MMS carry a megabyte, and links a film of half a minute.
pub const FILE_BYTES_MAX: usize = 8 << 20;
/// Bytes of everything that one account has put in.
const ACCOUNT_BYTES_MAX: i64 = 1 << 30;
/// Files of one message at most, as carriers have it.
pub const COUNT_MAX: usize = 10;
/// The copy that is a thumbnail; no limit is so small.
pub const THUMBNAIL: u64 = 1;
/// Letters of a file's name that are kept.
const NAME_CHARS_MAX: usize = 120;
/// A file that no message has taken is forgotten after this.
const LOOSE_KEPT: Duration = Duration::from_secs(24 * 3600);
/// Bytes that nothing needs any more lie at least so long before the sweep takes them.
const UNUSED_KEPT: Duration = Duration::from_secs(3600);
/// The same when an account goes: longer than any transaction takes that may just want the same bytes.
const ERASED_KEPT: Duration = Duration::from_secs(60);

/// How far a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is still at the carrier.
    Pending,
    /// It is here.
    Ready,
    /// It could not be had, or may not be kept.
    Failed,
}

impl State {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Ready => "ready",
            State::Failed => "failed",
        }
    }

    fn parse(text: &str) -> Self {
        match text {
            "ready" => State::Ready,
            "pending" => State::Pending,
            _ => State::Failed,
        }
    }
}

/// A picture or file.
#[derive(Debug, Clone)]
pub struct Attachment {
    /// Which.
    pub id: MediaId,
    /// Who put it in: the writer.
    pub account: AccountId,
    /// The other side of the conversation.
    pub peer: Option<AccountId>,
    /// The message that has it.
    pub message: Option<MessageId>,
    /// How far it is.
    pub state: State,
    /// What its writer calls it.
    pub name: Option<String>,
    /// What it is, once we know.
    pub kind: Option<FileType>,
    /// Its media type: what the carrier says until we know.
    pub declared: Option<String>,
    /// Its size.
    pub size_bytes: i64,
    /// Width and height, when it is a picture.
    pub dimensions: Option<(i32, i32)>,
    /// The SHA-256 of its bytes.
    pub body_hash: Option<Vec<u8>>,
    /// Why it is not here.
    pub error_code: Option<String>,
    /// The carrier that has it.
    pub carrier_id: Option<String>,
    /// Where it lies there.
    pub source_url: Option<String>,
    /// When it came.
    pub created_at: Timestamp,
}

impl Attachment {
    /// Whether an account may look at it.
    pub fn is_for(&self, account: AccountId) -> bool {
        self.account == account || self.peer == Some(account)
    }
}

/// Bytes with their type.
#[derive(Clone)]
pub struct Body {
    /// The media type.
    pub media_type: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// A file that was looked at and may be kept.
pub struct Checked {
    /// What it is.
    pub kind: FileType,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Their SHA-256.
    pub hash: [u8; 32],
    /// Width and height, when it is a picture.
    pub dimensions: Option<(i32, i32)>,
    /// A small copy, when it is a picture.
    pub thumbnail: Option<Copy>,
}

impl Checked {
    fn size(&self) -> i64 {
        i64::try_from(self.bytes.len()).unwrap_or(i64::MAX)
    }
}

/// Why a file is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Over the limit of bytes or pixels.
    TooLarge,
    /// Nothing that we keep.
    UnsupportedType,
    /// Not what its sender says it is.
    TypeMismatch,
    /// A picture that cannot be read.
    BadPicture,
    /// The virus scanner does not like it.
    Infected,
}

impl Refusal {
    /// A stable word.
    pub fn code(self) -> &'static str {
        match self {
            Refusal::TooLarge => "too_large",
            Refusal::UnsupportedType => "unsupported_type",
            Refusal::TypeMismatch => "type_mismatch",
            Refusal::BadPicture => "bad_picture",
            Refusal::Infected => "infected",
        }
    }

    /// A sentence.
    pub fn detail(self) -> &'static str {
        match self {
            Refusal::TooLarge => "The file is too large.",
            Refusal::UnsupportedType => "Files of this kind cannot be sent.",
            Refusal::TypeMismatch => "The file is not what its content type says.",
            Refusal::BadPicture => "The picture cannot be read.",
            Refusal::Infected => "The file was refused by the virus scanner.",
        }
    }
}

/// Looks at a file. Slow for pictures: call it on a thread for it.
///
/// # Errors
/// Why it is not kept.
pub fn inspect(bytes: Vec<u8>, declared: Option<&str>) -> std::result::Result<Checked, Refusal> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(Refusal::TooLarge);
    }
    let kind = FileType::of(&bytes).ok_or(Refusal::UnsupportedType)?;
    if !kind.agrees_with(declared) {
        return Err(Refusal::TypeMismatch);
    }
    let hash = Sha256::digest(&bytes).into();
    if !kind.is_picture() {
        return Ok(Checked { kind, bytes, hash, dimensions: None, thumbnail: None });
    }
    let picture = Picture::decode(&bytes).map_err(|error| match error {
        PictureError::TooLarge => Refusal::TooLarge,
        PictureError::Unreadable => Refusal::BadPicture,
    })?;
    let (width, height) = picture.dimensions();
    let dimensions = i32::try_from(width).ok().zip(i32::try_from(height).ok());
    Ok(Checked { kind, bytes, hash, dimensions, thumbnail: picture.thumbnail() })
}

/// What the job that fetches is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FetchJob {
    /// Which file.
    pub id: MediaId,
    /// Whose it is; the write lane.
    pub account: AccountId,
}

/// The two sides of a message.
#[derive(Debug, Clone, Copy)]
pub struct Sides {
    /// Which message.
    pub message: MessageId,
    /// Its writer.
    pub writer: AccountId,
    /// Its reader.
    pub reader: AccountId,
}

/// Notes the files of an MMS that came in, and queues the jobs that fetch them.
pub fn expect(
    db: &mut Db,
    now: Timestamp,
    sides: Sides,
    carrier_id: &str,
    media: &[InboundMedia],
) -> Result<()> {
    let wanted = media.iter().filter(|media| !is_layout(media)).take(COUNT_MAX);
    for (position, media) in (0i16..).zip(wanted) {
        let id = MediaId::new(now);
        let attachment = Attachment {
            id,
            account: sides.writer,
            peer: Some(sides.reader),
            message: Some(sides.message),
            state: State::Pending,
            name: None,
            kind: None,
            declared: media.content_type.clone(),
            size_bytes: 0,
            dimensions: None,
            body_hash: None,
            error_code: None,
            carrier_id: Some(carrier_id.to_owned()),
            source_url: Some(media.url.clone()),
            created_at: now,
        };
        store::insert(db, &attachment, position)?;
        queue::enqueue(db, now, FETCH, None, &FetchJob { id, account: sides.writer })?;
    }
    Ok(())
}

/// SMIL says where the pictures of an MMS stand on a screen of 2003.
fn is_layout(media: &InboundMedia) -> bool {
    media.content_type.as_deref().is_some_and(|kind| kind.starts_with("application/smil"))
}

/// Keeps a file that somebody uploaded.
pub fn upload(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    name: Option<&str>,
    checked: &Checked,
) -> Result<Attachment> {
    if store::size_of_account(db, account)?.saturating_add(checked.size()) > ACCOUNT_BYTES_MAX {
        return Err(Error::conflict("media_quota", "You have used up your room for pictures and files."));
    }
    let attachment = Attachment {
        id: MediaId::new(now),
        account,
        peer: None,
        message: None,
        state: State::Ready,
        name: name.and_then(clean_name),
        kind: Some(checked.kind),
        declared: None,
        size_bytes: checked.size(),
        dimensions: checked.dimensions,
        body_hash: Some(checked.hash.to_vec()),
        error_code: None,
        carrier_id: None,
        source_url: None,
        created_at: now,
    };
    put(db, now, attachment.id, checked)?;
    store::insert(db, &attachment, 0)?;
    Ok(attachment)
}

/// The last part of a path without what could confuse a screen or a shell.
fn clean_name(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last.chars().filter(|c| !c.is_control() && *c != '"').take(NAME_CHARS_MAX).collect();
    Some(clean.trim().trim_start_matches('.').to_owned()).filter(|name| !name.is_empty())
}

fn put(db: &mut Db, now: Timestamp, id: MediaId, checked: &Checked) -> Result<()> {
    store::put_body(db, now, &checked.hash, checked.kind.media_type(), &checked.bytes)?;
    match &checked.thumbnail {
        Some(thumbnail) => put_copy(db, now, id, THUMBNAIL, thumbnail),
        None => Ok(()),
    }
}

/// Keeps a copy of a picture, made to fit.
pub fn put_copy(db: &mut Db, now: Timestamp, id: MediaId, bytes_max: u64, copy: &Copy) -> Result<()> {
    let hash: [u8; 32] = Sha256::digest(&copy.bytes).into();
    store::put_body(db, now, &hash, FileType::Jpeg.media_type(), &copy.bytes)?;
    store::put_copy(db, id, i64::try_from(bytes_max).unwrap_or(i64::MAX), &hash, copy)
}

/// A file that a job fetched, or why it could not. False when it was settled before.
pub fn fetched(
    db: &mut Db,
    now: Timestamp,
    id: MediaId,
    outcome: std::result::Result<&Checked, &str>,
) -> Result<bool> {
    if !store::settle(db, id, outcome)? {
        return Ok(false);
    }
    if let Ok(checked) = outcome {
        put(db, now, id, checked)?;
    }
    Ok(true)
}

/// Gives uploaded files to a message, in this order.
///
/// # Errors
/// When there are too many, or one is not there, not the writer's, or used already.
pub fn attach(db: &mut Db, sides: Sides, ids: &[MediaId]) -> Result<()> {
    if ids.len() > COUNT_MAX {
        let detail = format!("A message has at most {COUNT_MAX} pictures and files.");
        return Err(Error::invalid("media", "too_many", detail));
    }
    for (position, id) in (0i16..).zip(ids) {
        if !store::attach(db, *id, sides.writer, sides.reader, sides.message, position)? {
            let detail = "Each must be a file that you uploaded and have not sent yet.";
            return Err(Error::invalid("media", "no_such_media", detail));
        }
    }
    Ok(())
}

/// One file.
pub fn find(db: &mut Db, id: MediaId) -> Result<Option<Attachment>> {
    store::find(db, id)
}

/// The files of a message that goes out by SMS.
pub fn of_outbound(db: &mut Db, sms: OutboundSmsId) -> Result<Vec<Attachment>> {
    match store::message_of_outbound(db, sms)? {
        Some(message) => store::list_of_messages(db, &[message]),
        None => Ok(Vec::new()),
    }
}

/// The bytes of a file, or of the copy of it that was made to fit `bytes_max`.
pub fn read(db: &mut Db, attachment: &Attachment, bytes_max: u64) -> Result<Option<Body>> {
    let hash = match bytes_max {
        link::ORIGINAL => attachment.body_hash.clone().filter(|_| attachment.state == State::Ready),
        bytes_max => store::find_copy(db, attachment.id, i64::try_from(bytes_max).unwrap_or(i64::MAX))?,
    };
    match hash {
        Some(hash) => store::find_body(db, &hash),
        None => Ok(None),
    }
}

/// Forgets what an account has put in or got.
pub fn erase(db: &mut Db, now: Timestamp, account: AccountId) -> Result<()> {
    store::erase(db, account)?;
    // What others still have stays.
    store::delete_unused_bodies(db, now.minus(ERASED_KEPT), i64::from(i32::MAX))?;
    Ok(())
}

/// How many different contents are kept, for the operator and for stories.
pub fn count_bodies(db: &mut Db) -> Result<i64> {
    store::count_bodies(db)
}

/// Sweeps up files that no message took, and bytes that nothing needs; at most `rows` of each.
pub fn prune(db: &mut Db, now: Timestamp, rows: i64) -> Result<usize> {
    let loose = store::delete_loose(db, now.minus(LOOSE_KEPT), rows)?;
    Ok(loose + store::delete_unused_bodies(db, now.minus(UNUSED_KEPT), rows)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_harmless() {
        let table = [
            ("holiday.jpg", Some("holiday.jpg")),
            ("../../etc/passwd", Some("passwd")),
            ("C:\\temp\\a b.png", Some("a b.png")),
            (".hidden", Some("hidden")),
            ("a\"b\r\n.txt", Some("ab.txt")),
            ("휴가.jpg", Some("휴가.jpg")),
            ("..", None),
            ("", None),
        ];
        for (name, wanted) in table {
            assert_eq!(clean_name(name).as_deref(), wanted, "{name}");
        }
    }

    #[test]
    fn files_are_looked_at() {
        let refused = |bytes: &[u8], declared| inspect(bytes.to_vec(), declared).err();
        assert_eq!(refused(b"MZ\x90\0", None), Some(Refusal::UnsupportedType));
        assert_eq!(refused(b"Hello", Some("image/png")), Some(Refusal::TypeMismatch));
        assert_eq!(refused(b"\xff\xd8\xff\xe0 not much of a picture", None), Some(Refusal::BadPicture));
        assert_eq!(refused(&vec![b'a'; FILE_BYTES_MAX + 1], None), Some(Refusal::TooLarge));
        let text = inspect(b"Hello".to_vec(), Some("text/plain")).ok();
        assert_eq!(text.map(|checked| checked.kind), Some(FileType::Text));
    }
}
