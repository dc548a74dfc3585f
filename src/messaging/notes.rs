//! Messages that are more than words: a call that was, a voicemail. The slice that knows what it is writes the note;
//! here it is kept beside the message and shown with it.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;
use serde_json::Value;

use super::receive::announce;
use super::{Message, MessageState, Source, Via, pushes, store};
use crate::clock::Timestamp;
use crate::db::Db;
use crate::each;
use crate::error::Result;
use crate::events::EventKind;
use crate::ids::{AccountId, CallId, ConversationId, MessageId};
use crate::schema::{call_sounds, message_notes};

/// Something that happened between two people and stands in their conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Note {
    /// Where.
    pub conversation: ConversationId,
    /// Who did it.
    pub sender: AccountId,
    /// With whom.
    pub recipient: AccountId,
    /// `call` or `voicemail`.
    pub kind: &'static str,
    /// What it is, for clients that know the kind.
    pub data: Value,
    /// What it is, for those that do not.
    pub text: String,
    /// Whether the recipient has something to look at.
    pub unread: bool,
}

/// Puts a note into the conversation, and tells both sides; `None` when the conversation is gone.
pub fn write(db: &mut Db, now: Timestamp, note: &Note) -> Result<Option<MessageId>> {
    let id = MessageId::new(now);
    let message = Message {
        id,
        conversation: note.conversation,
        sender: note.sender,
        recipient: note.recipient,
        source: Source::Chat,
        via: Via::Chat,
        text: note.text.clone(),
        state: MessageState::Sent,
        error_code: None,
        segment_count: None,
        client_id: None,
        sent_at: now,
        updated_at: now,
    };
    let unread = i64::from(note.unread);
    let there = store::touch_member(db, note.sender, note.conversation, id, now, 0)?
        && (note.sender == note.recipient
            || store::touch_member(db, note.recipient, note.conversation, id, now, unread)?);
    if !there {
        return Ok(None);
    }
    store::insert_message(db, &message)?;
    let data = note.data.to_string();
    each!(db, |c| diesel::insert_into(message_notes::table)
        .values((
            message_notes::message_id.eq(id),
            message_notes::kind.eq(note.kind),
            message_notes::data.eq(&data),
        ))
        .execute(c))?;
    announce(db, now, EventKind::MessageCreated, id, note.sender, note.recipient)?;
    if note.unread {
        pushes::message_came(db, now, &[note.recipient])?;
    }
    Ok(Some(id))
}

/// Changes what a note says, and tells both sides.
pub fn rewrite(db: &mut Db, now: Timestamp, id: MessageId, change: impl FnOnce(&mut Value)) -> Result<()> {
    let found: Option<String> = each!(db, |c| message_notes::table
        .filter(message_notes::message_id.eq(id))
        .select(message_notes::data)
        .first(c)
        .optional())?;
    let (Some(data), Some(message)) = (found, store::find_message(db, id)?) else { return Ok(()) };
    let mut data: Value = serde_json::from_str(&data)?;
    change(&mut data);
    let data = data.to_string();
    each!(db, |c| diesel::update(message_notes::table)
        .filter(message_notes::message_id.eq(id))
        .set(message_notes::data.eq(&data))
        .execute(c))?;
    announce(db, now, EventKind::MessageUpdated, id, message.sender, message.recipient)
}

/// Those of some calls of which the account still has what was recorded.
pub(super) fn recorded(db: &mut Db, account: AccountId, calls: &[CallId]) -> Result<HashSet<CallId>> {
    let found: Vec<Option<CallId>> = each!(db, |c| call_sounds::table
        .filter(call_sounds::account_id.eq(account))
        .filter(call_sounds::call_id.eq_any(calls))
        .filter(call_sounds::purpose.eq("recording"))
        .select(call_sounds::call_id)
        .load(c))?;
    Ok(found.into_iter().flatten().collect())
}

/// The notes among some messages: kind and data.
pub(super) fn of_messages(db: &mut Db, ids: &[MessageId]) -> Result<HashMap<MessageId, (String, Value)>> {
    let rows: Vec<(MessageId, String, String)> = each!(db, |c| message_notes::table
        .filter(message_notes::message_id.eq_any(ids))
        .select((message_notes::message_id, message_notes::kind, message_notes::data))
        .load(c))?;
    rows.into_iter().map(|(id, kind, data)| Ok((id, (kind, serde_json::from_str(&data)?)))).collect()
}
