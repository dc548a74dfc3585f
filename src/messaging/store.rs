//! Queries of `messages`, `outbound_sms`, `carrier_callbacks` and the messaging half of `conversation_members`.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Nullable, SmallInt, Text};

use super::{Message, MessageState, Source, Via};
use crate::clock::Timestamp;
use crate::db::{Db, Keep};
use crate::error::Result;
use crate::ids::{AccountId, ContactId, ConversationId, MessageId};
use crate::schema::{
    accounts, carrier_callbacks, contacts, conversation_members, conversations, message_replies, messages,
};
use crate::{each, written};

#[derive(Queryable, Selectable)]
#[diesel(table_name = messages)]
struct MessageRow {
    id: MessageId,
    conversation_id: ConversationId,
    sender_account_id: AccountId,
    recipient_account_id: AccountId,
    source: String,
    via: String,
    text: String,
    state: String,
    error_code: Option<String>,
    segment_count: Option<i16>,
    client_id: Option<String>,
    sent_at: Timestamp,
    updated_at: Timestamp,
}

impl From<MessageRow> for Message {
    fn from(row: MessageRow) -> Self {
        Message {
            id: row.id,
            conversation: row.conversation_id,
            sender: row.sender_account_id,
            recipient: row.recipient_account_id,
            source: Source::parse(&row.source),
            via: Via::parse(&row.via),
            text: row.text,
            state: MessageState::parse(&row.state),
            error_code: row.error_code,
            segment_count: row.segment_count,
            client_id: row.client_id,
            sent_at: row.sent_at,
            updated_at: row.updated_at,
        }
    }
}

pub fn insert_message(db: &mut Db, message: &Message) -> QueryResult<usize> {
    let insert = InsertMessage {
        id: message.id,
        conversation: message.conversation,
        sender: message.sender,
        recipient: message.recipient,
        source: message.source.as_str(),
        via: message.via.as_str(),
        text: message.text.clone(),
        state: message.state.as_str(),
        error_code: message.error_code.clone(),
        segment_count: message.segment_count,
        client_id: message.client_id.clone(),
        sent_at: message.sent_at,
        updated_at: message.updated_at,
    };
    each!(db, |c| insert.execute(c))
}

written! {
    struct InsertMessage {
        "INSERT INTO messages (id, conversation_id, sender_account_id, recipient_account_id, source, via, text, state, \
         error_code, segment_count, client_id, sent_at, updated_at) VALUES (" id: MessageId => Binary,
        ", " conversation: ConversationId => Binary,
        ", " sender: AccountId => Binary,
        ", " recipient: AccountId => Binary,
        ", " source: &'static str => Text,
        ", " via: &'static str => Text,
        ", " text: String => Text,
        ", " state: &'static str => Text,
        ", " error_code: Option<String> => Nullable<Text>,
        ", " segment_count: Option<i16> => Nullable<SmallInt>,
        ", " client_id: Option<String> => Nullable<Text>,
        ", " sent_at: Timestamp => BigInt,
        ", " updated_at: Timestamp => BigInt,
    } ")"
}

pub fn find_message(db: &mut Db, id: MessageId) -> Result<Option<Message>> {
    let row: Option<MessageRow> = each!(db, |c| messages::table
        .filter(messages::id.eq(id))
        .select(MessageRow::as_select())
        .first(c)
        .optional())?;
    Ok(row.map(Message::from))
}

pub fn find_by_client_id(db: &mut Db, sender: AccountId, client_id: &str) -> Result<Option<Message>> {
    let row: Option<MessageRow> = each!(db, |c| messages::table
        .filter(messages::sender_account_id.eq(sender))
        .filter(messages::client_id.eq(client_id))
        .select(MessageRow::as_select())
        .first(c)
        .optional())?;
    Ok(row.map(Message::from))
}

pub fn list_messages(db: &mut Db, ids: &[MessageId]) -> Result<Vec<Message>> {
    let rows: Vec<MessageRow> = each!(db, |c| messages::table
        .filter(messages::id.eq_any(ids))
        .select(MessageRow::as_select())
        .load(c))?;
    Ok(rows.into_iter().map(Message::from).collect())
}

/// A message and its writer's handle, by a statement that is kept: what every event of a message asks for.
pub fn find_with_handle(db: &mut Db, id: MessageId) -> Result<Option<(Message, Option<String>)>> {
    let row: Option<(MessageRow, Option<String>)> = each!(db, |c| messages::table
        .left_join(accounts::table.on(accounts::id.eq(messages::sender_account_id)))
        .filter(messages::id.eq(id))
        .select((MessageRow::as_select(), accounts::handle.nullable()))
        .first(c)
        .optional())?;
    Ok(row.map(|(message, handle)| (Message::from(message), handle)))
}

/// What one side sees, newest first, older than `before`.
pub fn list_thread(
    db: &mut Db,
    viewer: AccountId,
    conversation: ConversationId,
    before: Option<MessageId>,
    limit: i64,
) -> Result<Vec<Message>> {
    let rows: Vec<MessageRow> = each!(db, |c| {
        let mut query = messages::table
            .filter(messages::conversation_id.eq(conversation))
            .filter(messages::sender_account_id.eq(viewer).or(messages::recipient_account_id.eq(viewer)))
            .select(MessageRow::as_select())
            .order(messages::id.desc())
            .limit(limit)
            .into_boxed();
        if let Some(before) = before {
            query = query.filter(messages::id.lt(before));
        }
        query.load(c)
    })?;
    Ok(rows.into_iter().map(Message::from).collect())
}

/// What one side sees from a message on, newest first: the `limit` that follow it, and itself.
pub fn list_thread_from(
    db: &mut Db,
    viewer: AccountId,
    conversation: ConversationId,
    from: MessageId,
    limit: i64,
) -> Result<Vec<Message>> {
    let rows: Vec<MessageRow> = each!(db, |c| messages::table
        .filter(messages::conversation_id.eq(conversation))
        .filter(messages::sender_account_id.eq(viewer).or(messages::recipient_account_id.eq(viewer)))
        .filter(messages::id.ge(from))
        .select(MessageRow::as_select())
        .order(messages::id.asc())
        .limit(limit)
        .load(c))?;
    Ok(rows.into_iter().rev().map(Message::from).collect())
}

/// The texts that one side sees in these conversations, newest first, from `lower` up to and without `upper`.
pub fn list_texts(
    db: &mut Db,
    viewer: AccountId,
    conversations: &[ConversationId],
    (lower, upper): (MessageId, MessageId),
    limit: i64,
) -> Result<Vec<(MessageId, String)>> {
    Ok(each!(db, |c| messages::table
        .filter(messages::conversation_id.eq_any(conversations))
        .filter(messages::sender_account_id.eq(viewer).or(messages::recipient_account_id.eq(viewer)))
        .filter(messages::id.ge(lower))
        .filter(messages::id.lt(upper))
        .select((messages::id, messages::text))
        .order(messages::id.desc())
        .limit(limit)
        .load(c))?)
}

pub fn update_message_state(
    db: &mut Db,
    id: MessageId,
    state: MessageState,
    error_code: Option<&str>,
    segment_count: Option<i16>,
    now: Timestamp,
) -> Result<()> {
    each!(db, |c| diesel::update(messages::table)
        .filter(messages::id.eq(id))
        .set((
            messages::state.eq(state.as_str()),
            messages::error_code.eq(error_code),
            messages::segment_count.eq(segment_count),
            messages::updated_at.eq(now),
        ))
        .kept()
        .execute(c))?;
    Ok(())
}

/// One side of a conversation.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = conversation_members)]
pub struct Member {
    pub conversation_id: ConversationId,
    pub contact_id: ContactId,
    pub unread_count: i64,
    pub read_up_to: Option<MessageId>,
    pub last_message_id: Option<MessageId>,
    pub last_message_at: Option<Timestamp>,
}

pub fn find_member(db: &mut Db, account: AccountId, conversation: ConversationId) -> Result<Option<Member>> {
    Ok(each!(db, |c| conversation_members::table
        .filter(conversation_members::account_id.eq(account))
        .filter(conversation_members::conversation_id.eq(conversation))
        .select(Member::as_select())
        .first(c)
        .optional())?)
}

pub fn list_members(db: &mut Db, account: AccountId) -> Result<Vec<Member>> {
    Ok(each!(db, |c| conversation_members::table
        .filter(conversation_members::account_id.eq(account))
        .select(Member::as_select())
        .load(c))?)
}

/// Notes the newest message at one side; answers whether that side is still there.
pub fn touch_member(
    db: &mut Db,
    account: AccountId,
    conversation: ConversationId,
    message: MessageId,
    at: Timestamp,
    unread: i64,
) -> Result<bool> {
    let touch = TouchMember { message, at, unread, account, conversation };
    Ok(each!(db, |c| touch.execute(c))? == 1)
}

written! {
    struct TouchMember {
        "UPDATE conversation_members SET last_message_id = " message: MessageId => Binary,
        ", last_message_at = " at: Timestamp => BigInt,
        ", unread_count = unread_count + " unread: i64 => BigInt,
        " WHERE account_id = " account: AccountId => Binary,
        " AND conversation_id = " conversation: ConversationId => Binary,
    } ""
}

pub fn mark_read(
    db: &mut Db,
    account: AccountId,
    conversation: ConversationId,
    up_to: MessageId,
    unread: i64,
) -> Result<()> {
    each!(db, |c| diesel::update(conversation_members::table)
        .filter(conversation_members::account_id.eq(account))
        .filter(conversation_members::conversation_id.eq(conversation))
        .set((conversation_members::read_up_to.eq(up_to), conversation_members::unread_count.eq(unread)))
        .execute(c))?;
    Ok(())
}

/// Messages of others newer than `after`.
pub fn count_unread(
    db: &mut Db,
    account: AccountId,
    conversation: ConversationId,
    after: MessageId,
) -> Result<i64> {
    Ok(each!(db, |c| messages::table
        .filter(messages::conversation_id.eq(conversation))
        .filter(messages::recipient_account_id.eq(account))
        .filter(messages::sender_account_id.ne(account))
        .filter(messages::id.gt(after))
        .count()
        .get_result(c))?)
}

/// Chat messages to `reader` up to `up_to` that he has not been seen to read: (message, sender).
pub fn list_unread_chat(
    db: &mut Db,
    reader: AccountId,
    conversation: ConversationId,
    up_to: MessageId,
    limit: i64,
) -> Result<Vec<(MessageId, AccountId)>> {
    Ok(each!(db, |c| messages::table
        .filter(messages::conversation_id.eq(conversation))
        .filter(messages::recipient_account_id.eq(reader))
        .filter(messages::sender_account_id.ne(reader))
        .filter(messages::id.le(up_to))
        .filter(messages::state.eq(MessageState::Sent.as_str()))
        .filter(messages::via.eq(Via::Chat.as_str()))
        .select((messages::id, messages::sender_account_id))
        .order(messages::id.desc())
        .limit(limit)
        .load(c))?)
}

/// How this account's contact can be written to.
#[derive(Debug, Clone, Queryable)]
pub struct Line {
    pub state: String,
    pub conversation_id: Option<ConversationId>,
    pub peer_account_id: Option<AccountId>,
    pub peer_contact_id: Option<ContactId>,
}

pub fn find_line(db: &mut Db, account: AccountId, contact: ContactId) -> Result<Option<Line>> {
    Ok(each!(db, |c| contacts::table
        .filter(contacts::account_id.eq(account))
        .filter(contacts::id.eq(contact))
        .select((
            contacts::state,
            contacts::conversation_id,
            contacts::peer_account_id,
            contacts::peer_contact_id,
        ))
        .first(c)
        .optional())?)
}

/// Both sides' words go: what one of two has deleted is not kept for the other.
pub fn erase_conversations(db: &mut Db, account: AccountId) -> Result<()> {
    let conversations: Vec<ConversationId> =
        list_members(db, account)?.into_iter().map(|member| member.conversation_id).collect();
    for chunk in conversations.chunks(500) {
        let said = messages::table.filter(messages::conversation_id.eq_any(chunk)).select(messages::id);
        each!(db, |c| diesel::delete(message_replies::table)
            .filter(message_replies::message_id.eq_any(said))
            .execute(c))?;
        each!(db, |c| diesel::delete(messages::table)
            .filter(messages::conversation_id.eq_any(chunk))
            .execute(c))?;
        each!(db, |c| diesel::delete(conversation_members::table)
            .filter(conversation_members::conversation_id.eq_any(chunk))
            .execute(c))?;
        each!(db, |c| diesel::delete(conversations::table)
            .filter(conversations::id.eq_any(chunk))
            .execute(c))?;
    }
    Ok(())
}

/// What names a row of `carrier_callbacks`: carrier, its id, kind, status.
pub type ClaimKey = (String, String, i16, String);

/// Claims made before `before`, in the order of their keys and after `after`.
pub fn list_claims_before(
    db: &mut Db,
    before: Timestamp,
    after: Option<&ClaimKey>,
    limit: i64,
) -> Result<Vec<ClaimKey>> {
    Ok(each!(db, |c| {
        let mut query = carrier_callbacks::table
            .filter(carrier_callbacks::at.lt(before))
            .select((
                carrier_callbacks::carrier_id,
                carrier_callbacks::sid,
                carrier_callbacks::kind,
                carrier_callbacks::status,
            ))
            .order((carrier_callbacks::carrier_id.asc(), carrier_callbacks::sid.asc()))
            .limit(limit)
            .into_boxed();
        if let Some((carrier, sid, _, _)) = after {
            query = query.filter(
                carrier_callbacks::carrier_id
                    .gt(carrier)
                    .or(carrier_callbacks::carrier_id.eq(carrier).and(carrier_callbacks::sid.ge(sid))),
            );
        }
        query.load(c)
    })?)
}

pub fn delete_claims(db: &mut Db, before: Timestamp, keys: &[ClaimKey]) -> Result<()> {
    for (carrier, sid, kind, status) in keys {
        each!(db, |c| diesel::delete(carrier_callbacks::table)
            .filter(carrier_callbacks::carrier_id.eq(carrier))
            .filter(carrier_callbacks::sid.eq(sid))
            .filter(carrier_callbacks::kind.eq(kind))
            .filter(carrier_callbacks::status.eq(status))
            .filter(carrier_callbacks::at.lt(before))
            .execute(c))?;
    }
    Ok(())
}

pub fn delete_claim(db: &mut Db, carrier_id: &str, kind: i16, sid: &str) -> Result<()> {
    each!(db, |c| diesel::delete(carrier_callbacks::table)
        .filter(carrier_callbacks::carrier_id.eq(carrier_id))
        .filter(carrier_callbacks::sid.eq(sid))
        .filter(carrier_callbacks::kind.eq(kind))
        .execute(c))?;
    Ok(())
}

/// Whether this account's phone has had an SMS of this conversation before this message.
pub fn has_sms_before(
    db: &mut Db,
    conversation: ConversationId,
    recipient: AccountId,
    before: MessageId,
) -> Result<bool> {
    let one: Option<MessageId> = each!(db, |c| messages::table
        .filter(messages::conversation_id.eq(conversation))
        .filter(messages::id.lt(before))
        .filter(
            messages::recipient_account_id
                .eq(recipient)
                .and(messages::via.eq(Via::Sms.as_str()))
                .or(messages::sender_account_id.eq(recipient).and(messages::source.eq(Source::Sms.as_str()))),
        )
        .select(messages::id)
        .limit(1)
        .first(c)
        .optional())?;
    Ok(one.is_some())
}
