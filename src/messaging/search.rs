//! Finding old messages by their words.
//!
//! There is no index of words, on purpose: it would have to be written with each inbound SMS, which is what this
//! service must be fast at, and one that forgives case and accents and finds a syllable inside of a Korean word is
//! larger than the texts. Instead the account's own messages are read and compared, the newest first, in windows of
//! time that grow while little is found in them. One request reads at most [`READ_MAX`] messages (some tens of
//! milliseconds) and then answers with what it has and where to go on; who has a hundred thousand messages and looks for
//! the oldest asks five times.

use std::time::Duration;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use super::store;
use super::view::{self, MessageView};
use crate::clock::Timestamp;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::ids::{AccountId, ConversationId, MessageId};

/// Characters of a question at most.
const QUERY_CHARS_MAX: usize = 100;
/// Words of a question at most.
const WORDS_MAX: usize = 8;
/// Messages that one request reads at most.
const READ_MAX: usize = 20_000;
/// Messages that are read at once.
const READ_AT_ONCE: i64 = 2_000;
/// The window that is read first; each one that is read to its end is followed by a longer one.
const WINDOW: Duration = Duration::from_secs(3_600);
const WINDOW_GROWS: u32 = 4;
/// Conversations in one query.
const CONVERSATIONS_AT_ONCE: usize = 500;

/// What somebody looks for: words that must all be there, in any order, in any case, with or without their accents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    words: Vec<String>,
}

impl Query {
    /// Reads a question.
    ///
    /// # Errors
    ///
    /// `invalid` when it has no word, more than eight, or more than a hundred characters.
    pub fn parse(text: &str) -> Result<Query> {
        let words: Vec<String> = text.split_whitespace().map(fold).filter(|word| !word.is_empty()).collect();
        if words.is_empty() || words.len() > WORDS_MAX || text.chars().count() > QUERY_CHARS_MAX {
            return Err(Error::invalid(
                "q",
                "bad_query",
                "A search has one to eight words and at most 100 characters.",
            ));
        }
        Ok(Query { words })
    }

    /// Whether a text has all the words.
    pub fn matches(&self, text: &str) -> bool {
        let folded = fold(text);
        self.words.iter().all(|word| folded.contains(word.as_str()))
    }
}

/// A text for comparing: small letters without accents and width. Korean is compared by its letters (jamo), so that a
/// syllable that is still being typed finds what it will become.
fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase).collect()
}

/// What was found, newest first, and from where to go on.
pub struct Found {
    /// The messages.
    pub items: Vec<MessageView>,
    /// Where to go on, when there may be more; also when nothing was found so far.
    pub next: Option<MessageId>,
}

/// Looks for messages in the conversations of an account, or in one of them, older than `before`.
pub fn search(
    db: &mut Db,
    now: Timestamp,
    viewer: AccountId,
    query: &Query,
    (only, before): (Option<ConversationId>, Option<MessageId>),
    limit: usize,
) -> Result<Found> {
    let members = match only {
        Some(id) => {
            vec![store::find_member(db, viewer, id)?.ok_or_else(|| Error::not_found("conversation"))?]
        }
        None => store::list_members(db, viewer)?,
    };
    let (ids, next) = find(db, now, viewer, query, &members, before, limit)?;
    let mut items = view::messages(db, viewer, &ids)?;
    // Calls have words for clients that do not know calls; nobody looks for those.
    items.retain(|item| item.kind == "text");
    items.sort_by_key(|item| std::cmp::Reverse(item.id));
    Ok(Found { items, next })
}

fn find(
    db: &mut Db,
    now: Timestamp,
    viewer: AccountId,
    query: &Query,
    members: &[store::Member],
    before: Option<MessageId>,
    limit: usize,
) -> Result<(Vec<MessageId>, Option<MessageId>)> {
    // A conversation's name says when it began; nothing was said in it before.
    let begun = members.iter().map(|member| instant(member.conversation_id.as_bytes()));
    let Some(oldest) = begun.min() else { return Ok((Vec::new(), None)) };
    // A message of this very millisecond is found, too.
    let mut upper = before.unwrap_or_else(|| MessageId::floor(now.plus(WINDOW)));
    let mut window = WINDOW;
    let (mut found, mut read) = (Vec::new(), 0);
    loop {
        let lower_at = instant(upper.as_bytes()).minus(window);
        let lower = MessageId::floor(lower_at);
        let texts = list_texts(db, viewer, members, (lower, upper))?;
        let whole = texts.len() < usize::try_from(READ_AT_ONCE).unwrap_or(usize::MAX);
        read += texts.len();
        let last = texts.last().map(|(id, _)| *id);
        for (id, text) in texts {
            if query.matches(&text) {
                found.push(id);
                if found.len() >= limit {
                    return Ok((found, Some(id)));
                }
            }
        }
        if whole {
            if lower_at <= oldest.minus(WINDOW) {
                return Ok((found, None));
            }
            (upper, window) = (lower, window.saturating_mul(WINDOW_GROWS));
        } else if let Some(last) = last {
            // The next one is about as full as this one was.
            window = instant(upper.as_bytes()).since(instant(last.as_bytes())).max(Duration::from_secs(1));
            upper = last;
        }
        if read >= READ_MAX {
            return Ok((found, Some(upper)));
        }
    }
}

/// When an id was made, to the millisecond (RFC 9562, section 5.7).
fn instant(id: &[u8; 16]) -> Timestamp {
    let millis = id.iter().take(6).fold(0i64, |sum, byte| (sum << 8) | i64::from(*byte));
    Timestamp(millis.saturating_mul(1_000))
}

fn list_texts(
    db: &mut Db,
    viewer: AccountId,
    members: &[store::Member],
    (lower, upper): (MessageId, MessageId),
) -> Result<Vec<(MessageId, String)>> {
    let alive = members.iter().filter(|member| member.last_message_id.is_some_and(|last| last >= lower));
    let conversations: Vec<ConversationId> = alive.map(|member| member.conversation_id).collect();
    let mut texts = Vec::new();
    for chunk in conversations.chunks(CONVERSATIONS_AT_ONCE) {
        texts.extend(store::list_texts(db, viewer, chunk, (lower, upper), READ_AT_ONCE)?);
    }
    if conversations.len() > CONVERSATIONS_AT_ONCE {
        texts.sort_by_key(|(id, _)| std::cmp::Reverse(*id));
        texts.truncate(usize::try_from(READ_AT_ONCE).unwrap_or(usize::MAX));
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_whatever_their_case_and_accents() {
        let table = [
            ("cafe", "Am CAFÉ um acht", true),
            ("CAFÉ acht", "um acht am café", true),
            ("café neun", "um acht am café", false),
            ("녕하", "안녕하세요", true),
            ("안녀", "안녕하세요", true),
            ("안녕히", "안녕하세요", false),
            ("ｍｅａｒｉ", "Meari", true),
            ("ΣΟΦΙΑ", "σοφία", true),
            ("%", "100 percent", false),
            ("%_", "a%_b", true),
        ];
        for (query, text, expected) in table {
            assert_eq!(Query::parse(query).unwrap().matches(text), expected, "{query} in {text}");
        }
    }

    #[test]
    fn questions_have_limits() {
        let long = "x".repeat(101);
        for bad in ["", "  ", "a b c d e f g h i", long.as_str(), "\u{301}"] {
            assert_eq!(Query::parse(bad).unwrap_err().code(), "bad_query", "{bad}");
        }
    }

    #[test]
    fn an_id_tells_when_it_was_made() {
        let at = Timestamp(1_795_000_000_123_000);
        assert_eq!(instant(MessageId::floor(at).as_bytes()), at);
        assert_eq!(instant(MessageId::new(at).as_bytes()), at);
    }
}
