//! Opening and closing the conversation of two friends. What is said in it belongs to `messaging`.

use diesel::prelude::*;

use crate::clock::Timestamp;
use crate::db::Db;
use crate::each;
use crate::error::Result;
use crate::ids::{AccountId, ContactId, ConversationId, MessageId};
use crate::schema::{conversation_members, conversations, messages};

/// Who takes part, and as which of his contacts he sees the other one.
pub type Member = (AccountId, ContactId);

#[derive(Insertable)]
#[diesel(table_name = conversations)]
#[diesel(treat_none_as_default_value = false)]
struct NewConversation {
    id: ConversationId,
    created_at: Timestamp,
}

#[derive(Insertable)]
#[diesel(table_name = conversation_members)]
#[diesel(treat_none_as_default_value = false)]
struct NewMember {
    account_id: AccountId,
    conversation_id: ConversationId,
    contact_id: ContactId,
    unread_count: i64,
    read_up_to: Option<MessageId>,
    last_message_id: Option<MessageId>,
    last_message_at: Option<Timestamp>,
}

/// Opens a conversation for each pair of members, in their order.
pub fn open(db: &mut Db, now: Timestamp, pairs: &[(ConversationId, [Member; 2])]) -> Result<()> {
    let rooms: Vec<NewConversation> =
        pairs.iter().map(|(id, _)| NewConversation { id: *id, created_at: now }).collect();
    let to_member = |id: ConversationId, (account_id, contact_id): Member| NewMember {
        account_id,
        conversation_id: id,
        contact_id,
        unread_count: 0,
        read_up_to: None,
        last_message_id: None,
        last_message_at: None,
    };
    let members: Vec<NewMember> =
        pairs.iter().flat_map(|(id, both)| both.map(|member| to_member(*id, member))).collect();
    each!(db, |c| diesel::insert_into(conversations::table).values(&rooms).execute(c))?;
    each!(db, |c| diesel::insert_into(conversation_members::table).values(&members).execute(c))?;
    Ok(())
}

/// Takes everybody out of a conversation. Nobody can read it any more; [`purge`] deletes what was said.
pub fn close(db: &mut Db, id: ConversationId, members: &[AccountId]) -> Result<()> {
    each!(db, |c| diesel::delete(conversation_members::table)
        .filter(conversation_members::account_id.eq_any(members))
        .filter(conversation_members::conversation_id.eq(id))
        .execute(c))?;
    Ok(())
}

/// Deletes at most `limit` messages of a closed conversation, and the conversation itself when none is left. Answers
/// whether it is gone.
pub fn purge(db: &mut Db, id: ConversationId, limit: i64) -> Result<bool> {
    let ids: Vec<MessageId> = each!(db, |c| messages::table
        .filter(messages::conversation_id.eq(id))
        .order(messages::id.asc())
        .limit(limit)
        .select(messages::id)
        .load(c))?;
    each!(db, |c| diesel::delete(messages::table).filter(messages::id.eq_any(&ids)).execute(c))?;
    let done = i64::try_from(ids.len()).unwrap_or(limit) < limit;
    if done {
        each!(db, |c| diesel::delete(conversations::table).filter(conversations::id.eq(id)).execute(c))?;
    }
    Ok(done)
}
