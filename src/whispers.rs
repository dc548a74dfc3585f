//! What is told once and kept nowhere: that somebody types. It reaches the clients that are connected now, on every
//! node, and a lost one costs nothing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use moka::sync::Cache;
use tokio::sync::watch;

use crate::ids::{AccountId, ContactId, ConversationId};

/// How often an account may say that it types, in [`WINDOW`]: clients do so every few seconds, in one conversation.
const TIMES_MAX: u32 = 20;
const WINDOW: Duration = Duration::from_secs(10);
/// Accounts counted at most.
const COUNTED_MAX: u64 = 100_000;
/// Listeners that are gone are looked for whenever this many have come.
const CLEAN_EVERY: usize = 256;

/// Somebody has begun or ended to type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whisper {
    /// Who is told.
    pub to: AccountId,
    /// Where.
    pub conversation: ConversationId,
    /// Who types, as he is known there.
    pub contact: ContactId,
    /// Whether he does.
    pub typing: bool,
}

type Ring = Box<dyn Fn(&Whisper) + Send + Sync>;

/// Who listens on this node, and the way to the others.
pub struct Whispers {
    /// The newest for each account: who does not listen in time misses the ones before.
    listeners: Mutex<HashMap<AccountId, watch::Sender<Option<Whisper>>>>,
    ring: OnceLock<Ring>,
    said: Cache<AccountId, Arc<AtomicU32>>,
}

impl Default for Whispers {
    fn default() -> Self {
        Whispers {
            listeners: Mutex::default(),
            ring: OnceLock::new(),
            said: Cache::builder().max_capacity(COUNTED_MAX).time_to_live(WINDOW).build(),
        }
    }
}

impl Whispers {
    fn listeners(&self) -> MutexGuard<'_, HashMap<AccountId, watch::Sender<Option<Whisper>>>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens for an account.
    pub fn listen(&self, account: AccountId) -> watch::Receiver<Option<Whisper>> {
        let mut listeners = self.listeners();
        if listeners.len() % CLEAN_EVERY == CLEAN_EVERY - 1 {
            listeners.retain(|_, sender| !sender.is_closed());
        }
        let mut receiver = listeners.entry(account).or_insert_with(|| watch::channel(None).0).subscribe();
        receiver.mark_unchanged();
        receiver
    }

    /// Whether `account` may say something now; counts it.
    pub fn may_say(&self, account: AccountId) -> bool {
        self.said.get_with(account, Arc::default).fetch_add(1, Ordering::Relaxed) < TIMES_MAX
    }

    /// Tells everybody who listens, on every node.
    pub fn tell(&self, whisper: &Whisper) {
        self.hear(whisper);
        if let Some(ring) = self.ring.get() {
            ring(whisper);
        }
    }

    /// Tells those who listen here.
    pub fn hear(&self, whisper: &Whisper) {
        if let Some(sender) = self.listeners().get(&whisper.to) {
            sender.send_replace(Some(*whisper));
        }
    }

    /// Has other nodes told of what is said here; once for each process.
    pub fn ring_by(&self, ring: impl Fn(&Whisper) + Send + Sync + 'static) {
        // A second doorbell would ring the same line.
        let _ = self.ring.set(Box::new(ring));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn who_listens_hears_and_nobody_else() {
        let (whispers, now) = (Whispers::default(), Timestamp(1));
        let (bob, carol) = (AccountId::new(now), AccountId::new(now));
        let whisper = Whisper {
            to: bob,
            conversation: ConversationId::new(now),
            contact: ContactId::new(now),
            typing: true,
        };
        whispers.tell(&whisper);
        let (mut his, hers) = (whispers.listen(bob), whispers.listen(carol));
        assert!(!his.has_changed().unwrap(), "what was before is not told");
        whispers.tell(&whisper);
        assert_eq!(*his.borrow_and_update(), Some(whisper));
        assert!(!hers.has_changed().unwrap());
    }

    #[test]
    fn nobody_says_it_without_end() {
        let (whispers, account) = (Whispers::default(), AccountId::new(Timestamp(1)));
        let allowed = (0..50).filter(|_| whispers.may_say(account)).count();
        assert_eq!(allowed, 20);
    }
}
