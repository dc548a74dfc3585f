//! Messages between telephone and chat.
//!
//! A conversation has two sides, an account each, and every side sees the same messages. A message that comes by SMS
//! enters through [`receive`] (hot, set-based); one that is written in a client enters through [`submit`]. Either way
//! one transaction writes the message, both sides' events and, when the other side is reached by SMS, the row in the
//! outbox with its job. Nothing here talks to the outside.
//!
//! States only move forward (see [`MessageState::merge`]); a send that may have gone out is `unknown` and is never
//! sent again by itself.

pub mod api;
pub mod arrivals;
pub mod bridge;
mod consenting;
mod erase;
mod extras;
pub mod fetch;
pub mod groups;
pub mod guard;
pub mod held;
mod intake;
pub mod jobs;
pub mod ledger;
pub mod links;
pub mod lookalikes;
mod moving;
pub mod notes;
pub mod outbox;
pub mod pace;
mod parcel;
mod parts;
mod price;
pub mod pushes;
mod reactions;
pub mod receipts;
mod receive;
mod replies;
pub mod rounds;
pub mod routes;
mod search;
pub mod segments;
mod store;
mod submit;
pub mod tapbacks;
mod typing;
pub mod view;

pub use erase::{erase, export};
pub use moving::port_number;
pub use reactions::react;
pub use receive::{Arrived, Received, receive, receive_and_forward};
pub use search::{Query, search};
pub use submit::{Draft, Submitted, Waited, place_waiting, read_up_to, submit, submit_to_contact};
pub use typing::whisper;

use crate::clock::Timestamp;
use crate::db::Db;
use crate::error::Result;
use crate::ids::{AccountId, ConversationId, MessageId};

/// How a message came to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// From a telephone.
    Sms,
    /// From a client.
    Chat,
}

impl Source {
    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Source::Sms => "sms",
            Source::Chat => "chat",
        }
    }

    fn parse(text: &str) -> Self {
        if text == "sms" { Source::Sms } else { Source::Chat }
    }
}

/// How a message reaches its recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// As an SMS to his handset.
    Sms,
    /// In his client.
    Chat,
}

impl Via {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Via::Sms => "sms",
            Via::Chat => "chat",
        }
    }

    fn parse(text: &str) -> Self {
        if text == "sms" { Via::Sms } else { Via::Chat }
    }
}

/// Where a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageState {
    /// Came by SMS and is in the recipient's client.
    Received,
    /// Waits to be sent.
    Queued,
    /// Left us.
    Sent,
    /// On the handset.
    Delivered,
    /// Left us and did not arrive.
    Undelivered,
    /// Never left us.
    Failed,
    /// May have left us.
    Unknown,
    /// Seen by the recipient.
    Read,
}

impl MessageState {
    /// All of them.
    pub const ALL: [MessageState; 8] = [
        MessageState::Received,
        MessageState::Queued,
        MessageState::Sent,
        MessageState::Delivered,
        MessageState::Undelivered,
        MessageState::Failed,
        MessageState::Unknown,
        MessageState::Read,
    ];

    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            MessageState::Received => "received",
            MessageState::Queued => "queued",
            MessageState::Sent => "sent",
            MessageState::Delivered => "delivered",
            MessageState::Undelivered => "undelivered",
            MessageState::Failed => "failed",
            MessageState::Unknown => "unknown",
            MessageState::Read => "read",
        }
    }

    /// Reads what [`MessageState::as_str`] wrote; anything else is `unknown`.
    pub fn parse(text: &str) -> Self {
        MessageState::ALL.into_iter().find(|state| state.as_str() == text).unwrap_or(MessageState::Unknown)
    }

    fn rank(self) -> u8 {
        match self {
            MessageState::Queued => 0,
            // `unknown` gives way to any certainty about the message, and to nothing less.
            MessageState::Unknown => 1,
            MessageState::Sent => 2,
            MessageState::Failed | MessageState::Undelivered => 3,
            // A carrier does correct itself: a handset that was written off got the message after all.
            MessageState::Delivered | MessageState::Received => 4,
            MessageState::Read => 5,
        }
    }

    /// The state after news of `next`: never back, and of two equals the first.
    #[must_use]
    pub fn merge(self, next: MessageState) -> MessageState {
        if next.rank() > self.rank() { next } else { self }
    }
}

/// One message between two accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Which.
    pub id: MessageId,
    /// Between whom.
    pub conversation: ConversationId,
    /// Who wrote it.
    pub sender: AccountId,
    /// Whom it is for; the sender himself when the other side has blocked him and nobody hears it.
    pub recipient: AccountId,
    /// How it came.
    pub source: Source,
    /// How it goes.
    pub via: Via,
    /// What it says, normalised.
    pub text: String,
    /// Where it stands.
    pub state: MessageState,
    /// Why it did not arrive.
    pub error_code: Option<String>,
    /// What it cost on the way out, in segments.
    pub segment_count: Option<i16>,
    /// The sender's own id, by which a repeated request is recognised.
    pub client_id: Option<String>,
    /// When it was written.
    pub sent_at: Timestamp,
    /// When its state moved last.
    pub updated_at: Timestamp,
}

/// Who is in a conversation: the other side's account, when `account` is one of the two.
pub fn peer_in(db: &mut Db, account: AccountId, conversation: ConversationId) -> Result<Option<AccountId>> {
    let Some(member) = store::find_member(db, account, conversation)? else { return Ok(None) };
    let line = store::find_line(db, account, member.contact_id)?;
    Ok(line.and_then(|line| line.peer_account_id))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_state() -> impl Strategy<Value = MessageState> {
        proptest::sample::select(MessageState::ALL.to_vec())
    }

    #[test]
    fn states_move_as_the_table_says() {
        use MessageState::*;
        let table = [
            (Queued, Sent, Sent),
            (Sent, Queued, Sent),
            (Sent, Delivered, Delivered),
            (Delivered, Sent, Delivered),
            (Delivered, Failed, Delivered),
            (Undelivered, Delivered, Delivered),
            (Failed, Undelivered, Failed),
            (Unknown, Sent, Sent),
            (Unknown, Failed, Failed),
            (Sent, Unknown, Sent),
            (Queued, Unknown, Unknown),
            (Delivered, Read, Read),
        ];
        for (before, news, after) in table {
            assert_eq!(before.merge(news), after, "{before:?} and then {news:?}");
        }
    }

    proptest! {
        #[test]
        fn no_news_ever_moves_a_state_back(news in proptest::collection::vec(any_state(), 0..12)) {
            let mut state = MessageState::Queued;
            for next in news {
                let merged = state.merge(next);
                prop_assert!(merged.rank() >= state.rank());
                prop_assert_eq!(merged.merge(next), merged);
                state = merged;
            }
        }

        #[test]
        fn states_survive_the_database(state in any_state()) {
            prop_assert_eq!(MessageState::parse(state.as_str()), state);
        }
    }
}
