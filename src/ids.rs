//! Typed identifiers: UUIDv7, 16 bytes in the database, a prefix and 32 hex digits outside (`msg_0197…`).
//!
//! The prefix says what a thing is wherever it is met: in a log, in a URL, in a bug report.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use uuid::Uuid;

use crate::clock::Timestamp;

/// A text that is not an identifier of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid identifier")]
pub struct ParseIdError;

/// Counts every identifier of this process, from a random start.
static COUNTER: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(rand::random::<u64>() >> 25));

/// A UUIDv7 (RFC 9562 §5.7): 48 bits of milliseconds, 12 of the fraction (method 3 of §6.2), then a 40-bit counter and
/// 22 random bits. The counter keeps identifiers of one instant in the order they were made.
fn new_v7(now: Timestamp) -> Uuid {
    let fraction = u64::try_from(now.0.rem_euclid(1_000)).unwrap_or(0) * 4;
    let counter = COUNTER.fetch_add(1, Ordering::Relaxed) & ((1 << 40) - 1);
    let random = u64::from(rand::random::<u32>() >> 10);
    let high = (now.unix_millis() << 16) | 0x7000 | fraction;
    let low = (0b10 << 62) | (counter << 22) | random;
    Uuid::from_u64_pair(high, low)
}

fn parse(prefix: &str, text: &str) -> Result<Uuid, ParseIdError> {
    let hex = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_')).ok_or(ParseIdError)?;
    if hex.len() != 32 || hex.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(ParseIdError);
    }
    Uuid::try_parse(hex).map_err(|_| ParseIdError)
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash,
            diesel::expression::AsExpression, diesel::deserialize::FromSqlRow,
        )]
        #[diesel(sql_type = diesel::sql_types::Binary)]
        pub struct $name(pub Uuid);

        impl $name {
            /// What stands before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// A new identifier that sorts by `now`.
            pub fn new(now: Timestamp) -> Self {
                $name(new_v7(now))
            }

            /// Sorts before every identifier made at `at` or later, and after those of earlier milliseconds.
            pub fn floor(at: Timestamp) -> Self {
                $name(Uuid::from_u64_pair(at.unix_millis() << 16, 0))
            }

            /// When it was made, to the millisecond.
            pub fn made_at(&self) -> Timestamp {
                let (high, _) = self.0.as_u64_pair();
                Timestamp(i64::try_from(high >> 16).unwrap_or_default() * 1_000)
            }

            /// The 16 bytes as stored.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}_{}", $prefix, self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse($prefix, text).map($name)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl<DB> diesel::serialize::ToSql<diesel::sql_types::Binary, DB> for $name
        where
            DB: diesel::backend::Backend,
            [u8]: diesel::serialize::ToSql<diesel::sql_types::Binary, DB>,
        {
            fn to_sql<'b>(
                &'b self,
                out: &mut diesel::serialize::Output<'b, '_, DB>,
            ) -> diesel::serialize::Result {
                self.0.as_bytes().as_slice().to_sql(out)
            }
        }

        impl<DB> diesel::deserialize::FromSql<diesel::sql_types::Binary, DB> for $name
        where
            DB: diesel::backend::Backend,
            Vec<u8>: diesel::deserialize::FromSql<diesel::sql_types::Binary, DB>,
        {
            fn from_sql(bytes: DB::RawValue<'_>) -> diesel::deserialize::Result<Self> {
                let bytes = Vec::<u8>::from_sql(bytes)?;
                Ok($name(Uuid::from_slice(&bytes)?))
            }
        }
    };
}

id!(
    /// A person using the service.
    AccountId, "acc"
);
id!(
    /// A person's own mobile number.
    HandsetId, "mob"
);
id!(
    /// A person's e-mail address.
    EmailId, "eml"
);
id!(
    /// A browser or app that is signed in.
    SessionId, "ses"
);
id!(
    /// A password made for one phone or program.
    AppPasswordId, "app"
);
id!(
    /// A friend, as one account sees him.
    ContactId, "con"
);
id!(
    /// One of our telephone numbers.
    NumberId, "num"
);
id!(
    /// A pair of account and number, for as long as it names a contact or rests.
    AssignmentId, "asg"
);
id!(
    /// What two people say to each other.
    ConversationId, "cnv"
);
id!(
    /// One message.
    MessageId, "msg"
);
id!(
    /// One SMS on its way out.
    OutboundSmsId, "sms"
);
id!(
    /// A text that waits for its owner's word.
    HeldTextId, "hld"
);
id!(
    /// A word about being written to.
    ConsentId, "cst"
);
id!(
    /// Queued work.
    JobId, "job"
);
id!(
    /// A collection of vCards.
    AddressBookId, "bok"
);
id!(
    /// Somebody who wants a push for something.
    PushRegistrationId, "psh"
);
id!(
    /// Somebody else's access to a collection of vCards.
    BookMemberId, "bkm"
);
id!(
    /// A file of vCards on its way into a book.
    CardImportId, "imp"
);
id!(
    /// A picture or file.
    MediaId, "med"
);
id!(
    /// Something that an operator should look at.
    AlarmId, "alm"
);
id!(
    /// One conversation by voice.
    CallId, "call"
);
id!(
    /// One end of a call.
    CallLegId, "leg"
);
id!(
    /// Sound that is kept: a greeting, a recording.
    SoundId, "snd"
);
id!(
    /// What a caller left when nobody answered.
    VoicemailId, "vml"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_a_prefix_and_reads_it_back() {
        let id = MessageId::new(Timestamp(1_760_000_000_000_000));
        let text = id.to_string();
        assert!(text.starts_with("msg_") && text.len() == 36);
        assert_eq!(text.parse::<MessageId>(), Ok(id));
    }

    #[test]
    fn refuses_another_kind_and_other_spellings() {
        let id = MessageId::new(Timestamp(1_760_000_000_000_000)).to_string();
        assert!(id.parse::<ContactId>().is_err());
        assert!(id.to_uppercase().parse::<MessageId>().is_err());
        assert!("msg_".parse::<MessageId>().is_err());
        assert!(id.replace('_', "-").parse::<MessageId>().is_err());
    }

    #[test]
    fn later_identifiers_sort_later() {
        let early = MessageId::new(Timestamp(1_760_000_000_000_000));
        let late = MessageId::new(Timestamp(1_760_000_000_002_000));
        assert!(early < late);
    }

    #[test]
    fn identifiers_of_one_instant_keep_their_order() {
        let now = Timestamp(1_760_000_000_123_456);
        let ids: Vec<MessageId> = (0..1_000).map(|_| MessageId::new(now)).collect();
        assert!(ids.is_sorted());
        assert_eq!(ids[0].0.get_version_num(), 7);
    }
}
