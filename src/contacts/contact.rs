//! A contact: one thing with an address on a network, as one account sees it.
//!
//! Two accounts that are friends hold a row each. The rows point at each other (`peer_account_id`, `peer_contact_id`)
//! and share a conversation. They need not agree: one side may have blocked the other, who is not told.

use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::address;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::ids::{AccountId, ContactId, ConversationId};
use crate::phone::E164;
use crate::schema::contacts;

/// A closed set of words, stored as text.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema,
            diesel::expression::AsExpression, diesel::deserialize::FromSqlRow,
        )]
        #[diesel(sql_type = diesel::sql_types::Text)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$vdoc])* $variant),+
        }

        impl $name {
            /// As stored and shown.
            pub fn as_str(self) -> &'static str {
                match self {
                    $($name::$variant => $text),+
                }
            }
        }

        impl std::str::FromStr for $name {
            type Err = Error;
            fn from_str(text: &str) -> Result<Self, Error> {
                match text {
                    $($text => Ok($name::$variant),)+
                    _ => Err(Error::internal(concat!("an unknown word is stored for ", stringify!($name)))),
                }
            }
        }

        impl<DB> diesel::serialize::ToSql<diesel::sql_types::Text, DB> for $name
        where
            DB: diesel::backend::Backend,
            str: diesel::serialize::ToSql<diesel::sql_types::Text, DB>,
        {
            fn to_sql<'b>(
                &'b self,
                out: &mut diesel::serialize::Output<'b, '_, DB>,
            ) -> diesel::serialize::Result {
                self.as_str().to_sql(out)
            }
        }

        impl<DB> diesel::deserialize::FromSql<diesel::sql_types::Text, DB> for $name
        where
            DB: diesel::backend::Backend,
            String: diesel::deserialize::FromSql<diesel::sql_types::Text, DB>,
        {
            fn from_sql(bytes: DB::RawValue<'_>) -> diesel::deserialize::Result<Self> {
                Ok(String::from_sql(bytes)?.parse()?)
            }
        }
    };
}

pub(super) use words;

words! {
    /// How far two people have come.
    ContactState {
        /// One has asked, the other has not answered yet.
        Requested = "requested",
        /// Both want it.
        Accepted = "accepted",
        /// This account wants to hear nothing more; the other side is not told.
        Blocked = "blocked",
    }
}

words! {
    /// Who asked. Known until the request is answered.
    Direction {
        /// This account did.
        Outgoing = "outgoing",
        /// The other one did.
        Incoming = "incoming",
    }
}

words! {
    /// Whether the contact can be dialed from this account's handset.
    NumberState {
        /// It needs no number: not accepted, hidden on the phone, or there is no verified mobile.
        None = "none",
        /// It should have one, but the pool has run out; it gets one as soon as the pool grows.
        Waiting = "waiting",
        /// It has one.
        Assigned = "assigned",
    }
}

/// A friend, as one account sees him.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = contacts)]
#[diesel(treat_none_as_default_value = false)]
pub struct Contact {
    /// Whose contact it is.
    pub account_id: AccountId,
    /// The contact.
    pub id: ContactId,
    /// Where the friend lives (`meari`).
    pub network: String,
    /// Who there; for Meari the handle.
    pub address: String,
    /// The friend's account, when the friend lives here.
    pub peer_account_id: Option<AccountId>,
    /// The friend's row about this account; absent when the friend has taken this account off the list.
    pub peer_contact_id: Option<ContactId>,
    /// The friend's own name.
    pub display_name: String,
    /// What this account calls the friend.
    pub custom_name: Option<String>,
    /// How far they have come.
    pub state: ContactState,
    /// Who asked, until it is answered.
    pub direction: Option<Direction>,
    /// Whether it can be dialed.
    pub number_state: NumberState,
    /// Whether the account wants no card of it on the phone.
    pub hidden_on_phone: bool,
    /// What they say to each other, once they may.
    pub conversation_id: Option<ConversationId>,
    /// Whether the friend has said by SMS that he wants no more of them from here.
    pub texts_stopped: bool,
    /// When the row came to be.
    pub created_at: Timestamp,
    /// When it changed last.
    pub updated_at: Timestamp,
}

impl Contact {
    /// The name to show: the account's own for the friend, else the friend's.
    pub fn shown_name(&self) -> &str {
        self.custom_name.as_deref().unwrap_or(&self.display_name)
    }

    /// The address with its network.
    pub fn full_address(&self) -> String {
        format!("{}:{}", self.network, self.address)
    }

    /// What the contact is, the same for every account: the peer's account, else its address.
    pub fn identity(&self) -> [u8; 16] {
        match self.peer_account_id {
            Some(peer) => *peer.as_bytes(),
            None => address::identity(&self.network, &self.address),
        }
    }

    /// Whether it should have a number, provided that the account has a verified mobile.
    pub fn wants_number(&self) -> bool {
        self.state == ContactState::Accepted && !self.hidden_on_phone
    }
}

/// A contact as clients see it, without its presence (`presence` adds that).
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ContactView {
    /// `con_…`
    #[schema(value_type = String)]
    pub id: ContactId,
    /// Network and address: `meari:bob`.
    pub address: String,
    /// The network alone.
    pub network: String,
    /// The name to show.
    pub display_name: String,
    /// What the account calls the friend, if it has chosen a name of its own.
    pub custom_name: Option<String>,
    /// How far they have come.
    pub state: ContactState,
    /// Who asked, while it is not answered.
    pub direction: Option<Direction>,
    /// The number that reaches the friend from the account's handset.
    #[schema(value_type = Option<String>)]
    pub number: Option<E164>,
    /// Whether there is a number.
    pub number_state: NumberState,
    /// Whether the account wants no card of it on the phone.
    pub hidden_on_phone: bool,
    /// Their conversation, once they are friends.
    #[schema(value_type = Option<String>)]
    pub conversation_id: Option<ConversationId>,
    /// Whether the friend has texted STOP: what goes by SMS is not sent until he texts START.
    #[serde(default)]
    pub texts_stopped: bool,
    /// Where the friend's photo is, with the account's token; another photo has another address.
    #[serde(default)]
    pub photo_url: Option<String>,
    /// When it came to be.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

impl ContactView {
    /// The view of a contact with its number.
    pub fn new(contact: Contact, number: Option<E164>) -> Self {
        ContactView {
            id: contact.id,
            address: contact.full_address(),
            display_name: contact.shown_name().to_owned(),
            network: contact.network,
            custom_name: contact.custom_name,
            state: contact.state,
            direction: contact.direction.filter(|_| contact.state == ContactState::Requested),
            number,
            number_state: contact.number_state,
            hidden_on_phone: contact.hidden_on_phone,
            conversation_id: contact.conversation_id,
            texts_stopped: contact.texts_stopped,
            photo_url: None,
            created_at: contact.created_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_stored_as_they_are_shown() {
        for state in [ContactState::Requested, ContactState::Accepted, ContactState::Blocked] {
            assert_eq!(state.as_str().parse::<ContactState>().unwrap(), state);
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
        assert!("friends".parse::<ContactState>().is_err());
    }
}
