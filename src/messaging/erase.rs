//! What an account may take with it, and what goes when it goes.

use serde_json::{Value, json};

use super::{groups, guard, held, outbox, reactions, store, view};
use crate::attachments;
use crate::clock::Timestamp;
use crate::db::Db;
use crate::error::Result;
use crate::events;
use crate::ids::AccountId;

/// Messages of one conversation read at once.
const PAGE: i64 = 500;

/// Everything this slice holds of an account, as JSON.
pub fn export(db: &mut Db, account: AccountId) -> Result<Value> {
    let mut conversations = Vec::new();
    for conversation in view::conversations(db, account, None)? {
        let mut messages = Vec::new();
        let mut before = None;
        loop {
            let page = view::thread(db, account, conversation.id, before, PAGE)?;
            let full = i64::try_from(page.len()).unwrap_or(0) == PAGE;
            before = page.last().map(|m| m.id);
            messages.extend(page);
            if !full {
                break;
            }
        }
        conversations.push(json!({ "conversation": conversation, "messages": messages }));
    }
    Ok(json!({ "conversations": conversations }))
}

/// Forgets everything this slice holds of an account.
pub fn erase(db: &mut Db, now: Timestamp, account: AccountId) -> Result<()> {
    // Before any message: whoever writes to the account at this moment takes the counters first, too.
    events::lock(db, &[account])?;
    reactions::erase(db, account)?;
    held::erase(db, account)?;
    guard::erase(db, account)?;
    groups::erase(db, account)?;
    store::erase_conversations(db, account)?;
    attachments::erase(db, now, account)?;
    outbox::erase(db, account)
}
