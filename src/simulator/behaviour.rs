//! Bad days on demand: what the carrier shall do wrong, for all messages or for the next few.
//!
//! Nothing here is random: the same behaviour and the same requests give the same story every time.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::phone::E164;

/// At most so many behaviours wait for their requests.
const WAITING_MAX: usize = 100;
/// An answer is held back for at most two minutes: longer than any client waits.
const SLOW_MAX_MS: u64 = 120_000;
/// Receipts come at most a day late.
const LATE_MAX_MS: u64 = 86_400_000;
/// A callback is repeated at most so often.
const REPEAT_MAX: u32 = 20;

/// Which requests a behaviour meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Requests {
    /// Only the sending of messages.
    #[default]
    Messages,
    /// Every request to the carrier's API.
    All,
}

/// What becomes of a message after it was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterAccept {
    /// It goes its way and receipts come.
    #[default]
    Deliver,
    /// It goes its way, but no receipt ever comes.
    LoseReceipts,
    /// The carrier dies: the message stays queued for ever.
    Die,
}

/// What the handset at the other end is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Handset {
    /// On and in reach.
    #[default]
    Reachable,
    /// Switched off or out of reach: 30003.
    Absent,
    /// A landline, or its carrier cannot be reached: 30006.
    Unreachable,
    /// The number is not in use: 30005.
    Unknown,
    /// The message was blocked: 30004.
    Blocked,
    /// The message was filtered as spam: 30007.
    Filtered,
}

impl Handset {
    /// The error code of the final receipt; none when the message arrives.
    pub fn error_code(self) -> Option<u32> {
        match self {
            Handset::Reachable => None,
            Handset::Absent => Some(30003),
            Handset::Unreachable => Some(30006),
            Handset::Unknown => Some(30005),
            Handset::Blocked => Some(30004),
            Handset::Filtered => Some(30007),
        }
    }
}

/// A refusal to answer with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refuse {
    /// HTTP status, 400 to 599.
    pub status: u16,
    /// Twilio's error code, like 20429.
    pub code: u32,
    /// Sends `Retry-After` with so many seconds.
    #[serde(default)]
    pub retry_after_secs: Option<u32>,
}

/// How the carrier behaves. The default is a good day.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// Only the next so many requests; absent: from now on.
    pub times: Option<u32>,
    /// Only messages to this number.
    pub to: Option<E164>,
    /// Which requests are met.
    pub requests: Requests,
    /// Answers so many milliseconds late. What was asked is done at once.
    pub slow_ms: u64,
    /// Refuses instead of accepting.
    pub refuse: Option<Refuse>,
    /// Accepts, then closes the connection without an answer. The message is sent and delivered.
    pub drop_answer: bool,
    /// What follows an accepted message.
    pub after_accept: AfterAccept,
    /// Sends each callback so many times more.
    pub repeat_callbacks: u32,
    /// Sends the last receipt before the one that should precede it.
    pub reorder_callbacks: bool,
    /// Receipts come so many milliseconds later than they should.
    pub late_ms: u64,
    /// The handset at the other end.
    pub handset: Handset,
    /// What the network says of who sent a message that comes in: `TN-Validation-Passed-C`. Absent: nothing.
    pub verstat: Option<String>,
}

impl Behaviour {
    /// Checks the limits.
    pub fn check(&self) -> Result<()> {
        if self.slow_ms > SLOW_MAX_MS {
            return Err(Error::invalid("slow_ms", "too_large", format!("At most {SLOW_MAX_MS} ms.")));
        }
        if self.late_ms > LATE_MAX_MS {
            return Err(Error::invalid("late_ms", "too_large", format!("At most {LATE_MAX_MS} ms.")));
        }
        if self.repeat_callbacks > REPEAT_MAX {
            return Err(Error::invalid("repeat_callbacks", "too_large", format!("At most {REPEAT_MAX}.")));
        }
        if self.times == Some(0) {
            return Err(Error::invalid("times", "too_small", "At least 1; leave it out for always."));
        }
        match &self.refuse {
            Some(refuse) if !(400..600).contains(&refuse.status) => {
                Err(Error::invalid("refuse.status", "out_of_range", "An error status is 400 to 599."))
            }
            _ => Ok(()),
        }
    }

    fn meets(&self, to: Option<&E164>) -> bool {
        match (&self.to, to) {
            (None, _) => true,
            (Some(wanted), Some(to)) => wanted == to,
            (Some(_), None) => false,
        }
    }
}

/// The behaviour for always, and those for the next requests, in order.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Behaviours {
    /// For always.
    #[serde(serialize_with = "inner")]
    pub always: Arc<Behaviour>,
    /// For the next requests; each has `times`.
    pub next: VecDeque<Behaviour>,
}

fn inner<S: serde::Serializer>(
    behaviour: &Arc<Behaviour>,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    behaviour.as_ref().serialize(serializer)
}

impl Behaviours {
    /// Takes over a behaviour: with `times` it waits for its turn; without, it replaces everything.
    pub fn set(&mut self, behaviour: Behaviour) -> Result<()> {
        behaviour.check()?;
        if behaviour.times.is_none() {
            self.always = Arc::new(behaviour);
            self.next.clear();
            return Ok(());
        }
        if self.next.len() >= WAITING_MAX {
            return Err(Error::conflict(
                "too_many_behaviours",
                "Too many behaviours wait for their requests.",
            ));
        }
        self.next.push_back(behaviour);
        Ok(())
    }

    /// The behaviour for one message to `to`; counts down those for the next requests.
    pub fn take(&mut self, to: Option<&E164>) -> Arc<Behaviour> {
        let Some(at) = self.next.iter().position(|behaviour| behaviour.meets(to)) else {
            return if self.always.meets(to) { Arc::clone(&self.always) } else { Arc::default() };
        };
        let Some(behaviour) = self.next.get_mut(at) else { return Arc::default() };
        let taken = Arc::new(behaviour.clone());
        let left = behaviour.times.unwrap_or(1).saturating_sub(1);
        behaviour.times = Some(left);
        if left == 0 {
            self.next.remove(at);
        }
        taken
    }

    /// The behaviour for a request that sends nothing: only those for [`Requests::All`] meet it.
    pub fn take_other(&mut self) -> Arc<Behaviour> {
        let applies = match self.next.front() {
            Some(next) => next.requests == Requests::All && next.to.is_none(),
            None => self.always.requests == Requests::All,
        };
        if applies { self.take(None) } else { Arc::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusing(status: u16) -> Behaviour {
        let refuse = Refuse { status, code: 20429, retry_after_secs: None };
        Behaviour { refuse: Some(refuse), ..Behaviour::default() }
    }

    #[test]
    fn the_next_requests_are_counted_down_in_order() {
        let mut all = Behaviours::default();
        all.set(Behaviour { times: Some(2), ..refusing(429) }).unwrap();
        all.set(Behaviour { times: Some(1), ..refusing(503) }).unwrap();
        let statuses: Vec<Option<u16>> =
            (0..4).map(|_| all.take(None).refuse.as_ref().map(|r| r.status)).collect();
        assert_eq!(statuses, [Some(429), Some(429), Some(503), None]);
    }

    #[test]
    fn a_behaviour_for_one_number_leaves_others_alone() {
        let (alice, bob) = (E164::parse("+12025550101").unwrap(), E164::parse("+12025550102").unwrap());
        let mut all = Behaviours::default();
        all.set(Behaviour { times: Some(1), to: Some(alice.clone()), ..refusing(429) }).unwrap();
        assert!(all.take(Some(&bob)).refuse.is_none());
        assert!(all.take(Some(&alice)).refuse.is_some());
        assert!(all.take(Some(&alice)).refuse.is_none());
    }

    #[test]
    fn reading_is_disturbed_only_when_asked_for() {
        let mut all = Behaviours::default();
        all.set(refusing(503)).unwrap();
        assert!(all.take_other().refuse.is_none());
        all.set(Behaviour { requests: Requests::All, ..refusing(503) }).unwrap();
        assert!(all.take_other().refuse.is_some());
    }

    #[test]
    fn limits_are_checked() {
        assert!(refusing(200).check().is_err());
        assert!(Behaviour { slow_ms: 120_001, ..Behaviour::default() }.check().is_err());
        assert!(Behaviour { times: Some(0), ..Behaviour::default() }.check().is_err());
        assert!(serde_json::from_str::<Behaviour>(r#"{"slo_ms": 3}"#).is_err());
    }
}
