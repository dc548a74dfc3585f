//! Replies: a message that quotes another one of its conversation.
//!
//! A telephone has no such thing. Its text begins with a line of what is answered (`> See you at eight?`) where that
//! costs no segment more; else it is the text alone. The preview counts the same words.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::segments::Segments;
use super::{Message, notes, store};
use crate::accounts;
use crate::db::Db;
use crate::each;
use crate::error::{Error, Result};
use crate::ids::{AccountId, ConversationId, MessageId};
use crate::schema::message_replies;

/// Characters of a quoted message that clients are shown.
const EXCERPT_CHARS_MAX: usize = 140;
/// Characters of a quoted message that a telephone is shown.
const PHONE_CHARS_MAX: usize = 40;

/// A message that another one answers, in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Reply)]
pub struct ReplyView {
    /// `msg_…`
    #[schema(value_type = String)]
    pub id: MessageId,
    /// The address of who wrote it, `meari:bob`.
    pub sender: String,
    /// Whether the asking account wrote it.
    pub mine: bool,
    /// `text`, `call`, `voicemail`, or `media` when it has no words.
    pub kind: String,
    /// The beginning of what it says, in one line.
    pub text: String,
}

/// The message that is to be answered: of this conversation, and seen by the account.
pub(super) fn find(
    db: &mut Db,
    account: AccountId,
    conversation: ConversationId,
    id: MessageId,
) -> Result<Message> {
    let found =
        store::find_message(db, id)?.filter(|m| m.conversation == conversation && is_seen(m, account));
    found.ok_or_else(|| {
        Error::invalid("reply_to", "unknown_message", "reply_to names no message of this conversation.")
    })
}

/// Notes what a message answers.
pub(super) fn write(db: &mut Db, message: MessageId, reply_to: MessageId) -> Result<()> {
    each!(db, |c| diesel::insert_into(message_replies::table)
        .values((message_replies::message_id.eq(message), message_replies::reply_to_id.eq(reply_to)))
        .execute(c))?;
    Ok(())
}

/// What a message answers.
pub(super) fn quoted_by(db: &mut Db, message: MessageId) -> Result<Option<Message>> {
    match of(db, &[message])?.remove(&message) {
        Some(id) => store::find_message(db, id),
        None => Ok(None),
    }
}

/// What these messages answer, as one side sees it; what it never saw is left out.
pub(super) fn of_messages(
    db: &mut Db,
    viewer: AccountId,
    ids: &[MessageId],
) -> Result<HashMap<MessageId, ReplyView>> {
    let pairs = of(db, ids)?;
    if pairs.is_empty() {
        return Ok(HashMap::new());
    }
    let wanted: HashSet<MessageId> = pairs.values().copied().collect();
    let wanted: Vec<MessageId> = wanted.into_iter().collect();
    let notes = notes::of_messages(db, &wanted)?;
    let mut quoted = HashMap::new();
    for chunk in wanted.chunks(500) {
        for message in store::list_messages(db, chunk)?.into_iter().filter(|m| is_seen(m, viewer)) {
            let kind = match notes.get(&message.id) {
                Some((kind, _)) => kind.as_str(),
                None if message.text.is_empty() => "media",
                None => "text",
            };
            let view = ReplyView {
                id: message.id,
                sender: format!("meari:{}", accounts::load(db, message.sender)?.handle),
                mine: message.sender == viewer,
                kind: kind.to_owned(),
                text: one_line(&message.text, EXCERPT_CHARS_MAX, "…"),
            };
            quoted.insert(message.id, view);
        }
    }
    Ok(pairs.into_iter().filter_map(|(id, to)| Some((id, quoted.get(&to)?.clone()))).collect())
}

fn of(db: &mut Db, ids: &[MessageId]) -> Result<HashMap<MessageId, MessageId>> {
    let mut all = HashMap::new();
    for chunk in ids.chunks(500) {
        let rows: Vec<(MessageId, MessageId)> = each!(db, |c| message_replies::table
            .filter(message_replies::message_id.eq_any(chunk))
            .select((message_replies::message_id, message_replies::reply_to_id))
            .load(c))?;
        all.extend(rows);
    }
    Ok(all)
}

fn is_seen(message: &Message, by: AccountId) -> bool {
    message.sender == by || message.recipient == by
}

fn one_line(text: &str, chars_max: usize, more: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}{more}", line.get(..end).unwrap_or_default().trim_end()),
        None => line,
    }
}

/// The text for a telephone: below a line of what it answers when that costs no more than the text alone. `words` makes
/// of a text what is sent.
pub(super) fn for_phone(text: &str, quoted: Option<&str>, words: impl Fn(&str) -> String) -> String {
    let plain = words(text);
    let line = one_line(quoted.unwrap_or_default(), PHONE_CHARS_MAX, "...");
    if line.is_empty() || text.is_empty() {
        return plain;
    }
    let whole = words(&format!("> {line}\n{text}"));
    let cost = |text: &str| Segments::count(text).segment_count;
    if cost(&whole) > cost(&plain) { plain } else { whole }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_telephone_sees_what_is_answered_when_it_costs_nothing() {
        let long = "x".repeat(150);
        let table = [
            ("Yes", Some("Dinner at\n eight?"), "> Dinner at eight?\nYes".to_owned()),
            ("Yes", None, "Yes".to_owned()),
            ("", Some("Dinner?"), String::new()),
            // Korean makes the whole text UCS-2: still one segment of 70 here, two there.
            ("Yes", Some("저녁 먹을까?"), "> 저녁 먹을까?\nYes".to_owned()),
            (&long, Some("저녁 먹을까?"), long.clone()),
            (&long, Some("Dinner at eight?"), long.clone()),
        ];
        for (text, quoted, expected) in table {
            assert_eq!(for_phone(text, quoted, str::to_owned), expected);
        }
        let far = "a word and another ".repeat(9);
        assert_eq!(
            for_phone("No", Some(&far), str::to_owned),
            "> a word and another a word and another a...\nNo"
        );
    }
}
