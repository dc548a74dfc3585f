//! Somebody types: who is told.

use super::store;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::ids::{AccountId, ConversationId};
use crate::whispers::Whisper;

/// What to tell the other side; nothing when they cannot write to each other (any more).
pub fn whisper(
    db: &mut Db,
    account: AccountId,
    conversation: ConversationId,
    typing: bool,
) -> Result<Option<Whisper>> {
    let member =
        store::find_member(db, account, conversation)?.ok_or_else(|| Error::not_found("conversation"))?;
    let line = store::find_line(db, account, member.contact_id)?.filter(|line| line.state == "accepted");
    let Some((to, contact)) = line.and_then(|line| line.peer_account_id.zip(line.peer_contact_id)) else {
        return Ok(None);
    };
    let back = store::find_line(db, to, contact)?.filter(|line| line.state == "accepted");
    Ok(back.map(|_| Whisper { to, conversation, contact, typing }))
}
