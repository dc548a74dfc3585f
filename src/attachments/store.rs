//! Queries of `attachments`, `attachment_bodies` and `attachment_copies`.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary};

use super::picture::Copy;
use super::{Attachment, Body, Checked, State};
use crate::attachments::sniff::FileType;
use crate::clock::Timestamp;
use crate::db::{Db, Engine};
use crate::each;
use crate::error::Result;
use crate::ids::{AccountId, MediaId, MessageId, OutboundSmsId};
use crate::schema::{attachment_bodies, attachment_copies, attachments, outbound_sms};

#[derive(Queryable, Selectable)]
#[diesel(table_name = attachments)]
struct Row {
    id: MediaId,
    account_id: AccountId,
    peer_account_id: Option<AccountId>,
    message_id: Option<MessageId>,
    state: String,
    name: Option<String>,
    media_type: Option<String>,
    size_bytes: i64,
    width: Option<i32>,
    height: Option<i32>,
    body_hash: Option<Vec<u8>>,
    error_code: Option<String>,
    carrier_id: Option<String>,
    source_url: Option<String>,
    created_at: Timestamp,
}

impl From<Row> for Attachment {
    fn from(row: Row) -> Self {
        Attachment {
            id: row.id,
            account: row.account_id,
            peer: row.peer_account_id,
            message: row.message_id,
            state: State::parse(&row.state),
            name: row.name,
            kind: row.media_type.as_deref().and_then(FileType::from_media_type),
            declared: row.media_type,
            size_bytes: row.size_bytes,
            dimensions: row.width.zip(row.height),
            body_hash: row.body_hash,
            error_code: row.error_code,
            carrier_id: row.carrier_id,
            source_url: row.source_url,
            created_at: row.created_at,
        }
    }
}

pub fn insert(db: &mut Db, new: &Attachment, position: i16) -> Result<()> {
    let media_type = new.kind.map(FileType::media_type).or(new.declared.as_deref());
    each!(db, |c| diesel::insert_into(attachments::table)
        .values((
            attachments::id.eq(new.id),
            attachments::account_id.eq(new.account),
            attachments::peer_account_id.eq(new.peer),
            attachments::message_id.eq(new.message),
            attachments::position.eq(position),
            attachments::state.eq(new.state.as_str()),
            attachments::name.eq(new.name.as_deref()),
            attachments::media_type.eq(media_type),
            attachments::size_bytes.eq(new.size_bytes),
            attachments::width.eq(new.dimensions.map(|(width, _)| width)),
            attachments::height.eq(new.dimensions.map(|(_, height)| height)),
            attachments::body_hash.eq(new.body_hash.as_deref()),
            attachments::carrier_id.eq(new.carrier_id.as_deref()),
            attachments::source_url.eq(new.source_url.as_deref()),
            attachments::created_at.eq(new.created_at),
        ))
        .execute(c))?;
    Ok(())
}

pub fn find(db: &mut Db, id: MediaId) -> Result<Option<Attachment>> {
    let row: Option<Row> = each!(db, |c| attachments::table
        .filter(attachments::id.eq(id))
        .select(Row::as_select())
        .first(c)
        .optional())?;
    Ok(row.map(Attachment::from))
}

/// In the order of the messages' own lists.
pub fn list_of_messages(db: &mut Db, messages: &[MessageId]) -> Result<Vec<Attachment>> {
    let mut all = Vec::new();
    for chunk in messages.chunks(500) {
        let rows: Vec<Row> = each!(db, |c| attachments::table
            .filter(attachments::message_id.eq_any(chunk.iter().map(Some).collect::<Vec<_>>()))
            .order((attachments::message_id, attachments::position))
            .select(Row::as_select())
            .load(c))?;
        all.extend(rows.into_iter().map(Attachment::from));
    }
    Ok(all)
}

pub fn message_of_outbound(db: &mut Db, sms: OutboundSmsId) -> Result<Option<MessageId>> {
    let found: Option<Option<MessageId>> = each!(db, |c| outbound_sms::table
        .filter(outbound_sms::id.eq(sms))
        .select(outbound_sms::message_id)
        .first(c)
        .optional())?;
    Ok(found.flatten())
}

/// Gives a loose file to a message; false when it is not there, not ready, somebody else's or used already.
pub fn attach(
    db: &mut Db,
    id: MediaId,
    account: AccountId,
    peer: AccountId,
    message: MessageId,
    position: i16,
) -> Result<bool> {
    let count = each!(db, |c| diesel::update(attachments::table)
        .filter(attachments::id.eq(id))
        .filter(attachments::account_id.eq(account))
        .filter(attachments::message_id.is_null())
        .filter(attachments::state.eq(State::Ready.as_str()))
        .set((
            attachments::peer_account_id.eq(peer),
            attachments::message_id.eq(message),
            attachments::position.eq(position),
        ))
        .execute(c))?;
    Ok(count == 1)
}

/// Moves a pending file on; false when it was moved before.
pub fn settle(db: &mut Db, id: MediaId, outcome: std::result::Result<&Checked, &str>) -> Result<bool> {
    let pending = attachments::table
        .filter(attachments::id.eq(id))
        .filter(attachments::state.eq(State::Pending.as_str()));
    let count = match outcome {
        Ok(checked) => each!(db, |c| diesel::update(pending)
            .set((
                attachments::state.eq(State::Ready.as_str()),
                attachments::media_type.eq(checked.kind.media_type()),
                attachments::size_bytes.eq(checked.size()),
                attachments::width.eq(checked.dimensions.map(|(width, _)| width)),
                attachments::height.eq(checked.dimensions.map(|(_, height)| height)),
                attachments::body_hash.eq(checked.hash.as_slice()),
                attachments::source_url.eq(None::<String>),
            ))
            .execute(c))?,
        Err(code) => each!(db, |c| diesel::update(pending)
            .set((attachments::state.eq(State::Failed.as_str()), attachments::error_code.eq(code)))
            .execute(c))?,
    };
    Ok(count == 1)
}

/// Keeps bytes; when they are there already, notes that they are still wanted.
pub fn put_body(db: &mut Db, now: Timestamp, hash: &[u8], media_type: &str, body: &[u8]) -> Result<()> {
    let size = i64::try_from(body.len()).unwrap_or(i64::MAX);
    // Touching first spares sending the bytes, and keeps the sweep from taking them in this moment.
    let there =
        each!(db, |c| diesel::update(attachment_bodies::table.filter(attachment_bodies::hash.eq(hash)))
            .set(attachment_bodies::used_at.eq(now))
            .execute(c))?;
    if there > 0 {
        return Ok(());
    }
    each!(db, |c| diesel::insert_into(attachment_bodies::table)
        .values((
            attachment_bodies::hash.eq(hash),
            attachment_bodies::media_type.eq(media_type),
            attachment_bodies::size_bytes.eq(size),
            attachment_bodies::used_at.eq(now),
            attachment_bodies::body.eq(body),
        ))
        .on_conflict(attachment_bodies::hash)
        .do_update()
        .set(attachment_bodies::used_at.eq(now))
        .execute(c))?;
    Ok(())
}

pub fn find_body(db: &mut Db, hash: &[u8]) -> Result<Option<Body>> {
    let row: Option<(String, Vec<u8>)> = each!(db, |c| attachment_bodies::table
        .filter(attachment_bodies::hash.eq(hash))
        .select((attachment_bodies::media_type, attachment_bodies::body))
        .first(c)
        .optional())?;
    Ok(row.map(|(media_type, bytes)| Body { media_type, bytes }))
}

pub fn put_copy(db: &mut Db, id: MediaId, bytes_max: i64, hash: &[u8], copy: &Copy) -> Result<()> {
    each!(db, |c| diesel::insert_into(attachment_copies::table)
        .values((
            attachment_copies::attachment_id.eq(id),
            attachment_copies::bytes_max.eq(bytes_max),
            attachment_copies::body_hash.eq(hash),
            attachment_copies::width.eq(i32::try_from(copy.width).unwrap_or(0)),
            attachment_copies::height.eq(i32::try_from(copy.height).unwrap_or(0)),
        ))
        .on_conflict_do_nothing()
        .execute(c))?;
    Ok(())
}

pub fn find_copy(db: &mut Db, id: MediaId, bytes_max: i64) -> Result<Option<Vec<u8>>> {
    Ok(each!(db, |c| attachment_copies::table
        .filter(attachment_copies::attachment_id.eq(id))
        .filter(attachment_copies::bytes_max.eq(bytes_max))
        .select(attachment_copies::body_hash)
        .first(c)
        .optional())?)
}

/// Of these, the ones that have a copy of this kind.
pub fn list_with_copy(db: &mut Db, ids: &[MediaId], bytes_max: i64) -> Result<Vec<MediaId>> {
    let mut all = Vec::new();
    for chunk in ids.chunks(500) {
        let found: Vec<MediaId> = each!(db, |c| attachment_copies::table
            .filter(attachment_copies::attachment_id.eq_any(chunk))
            .filter(attachment_copies::bytes_max.eq(bytes_max))
            .select(attachment_copies::attachment_id)
            .load(c))?;
        all.extend(found);
    }
    Ok(all)
}

/// Bytes of all files that an account has put in.
pub fn size_of_account(db: &mut Db, account: AccountId) -> Result<i64> {
    let sizes: Vec<i64> = each!(db, |c| attachments::table
        .filter(attachments::account_id.eq(account))
        .select(attachments::size_bytes)
        .load(c))?;
    Ok(sizes.into_iter().fold(0, i64::saturating_add))
}

fn delete(db: &mut Db, ids: &[MediaId]) -> Result<()> {
    for chunk in ids.chunks(500) {
        each!(db, |c| diesel::delete(attachment_copies::table)
            .filter(attachment_copies::attachment_id.eq_any(chunk))
            .execute(c))?;
        each!(db, |c| diesel::delete(attachments::table).filter(attachments::id.eq_any(chunk)).execute(c))?;
    }
    Ok(())
}

/// Forgets whatever an account has put in or got.
pub fn erase(db: &mut Db, account: AccountId) -> Result<()> {
    let ids: Vec<MediaId> = each!(db, |c| attachments::table
        .filter(attachments::account_id.eq(account).or(attachments::peer_account_id.eq(account)))
        .select(attachments::id)
        .load(c))?;
    delete(db, &ids)
}

/// Forgets loose files from before `until`, at most `rows`.
pub fn delete_loose(db: &mut Db, until: Timestamp, rows: i64) -> Result<usize> {
    let ids: Vec<MediaId> = each!(db, |c| attachments::table
        .filter(attachments::message_id.is_null())
        .filter(attachments::created_at.lt(until))
        .select(attachments::id)
        .limit(rows)
        .load(c))?;
    delete(db, &ids)?;
    Ok(ids.len())
}

/// Forgets bytes that nothing needs and that were not touched since `until`, at most `rows`.
pub fn delete_unused_bodies(db: &mut Db, until: Timestamp, rows: i64) -> Result<usize> {
    let (p1, p2) = if db.engine() == Engine::Postgres { ("$1", "$2") } else { ("?1", "?2") };
    let unused = format!(
        "SELECT hash FROM attachment_bodies b WHERE used_at < {p1} \
         AND NOT EXISTS (SELECT 1 FROM attachments a WHERE a.body_hash = b.hash) \
         AND NOT EXISTS (SELECT 1 FROM attachment_copies o WHERE o.body_hash = b.hash) LIMIT {p2}"
    );
    let query = diesel::sql_query(unused).bind::<BigInt, _>(until).bind::<BigInt, _>(rows);
    let found: Vec<Hash> = each!(db, |c| query.load(c))?;
    let hashes: Vec<Vec<u8>> = found.into_iter().map(|row| row.hash).collect();
    // The time is looked at again: whoever wants the bytes in this moment has touched them.
    let gone = each!(db, |c| diesel::delete(attachment_bodies::table)
        .filter(attachment_bodies::hash.eq_any(&hashes))
        .filter(attachment_bodies::used_at.lt(until))
        .execute(c))?;
    Ok(gone)
}

pub fn count_bodies(db: &mut Db) -> Result<i64> {
    Ok(each!(db, |c| attachment_bodies::table.count().get_result(c))?)
}

#[derive(QueryableByName)]
struct Hash {
    #[diesel(sql_type = Binary)]
    hash: Vec<u8>,
}
