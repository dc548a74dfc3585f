//! What is rung: `NODE ACCOUNT:SEQ:TOPICS ACCOUNT:SEQ:TOPICS jobs pool typing:TO:CONVERSATION:CONTACT:1`. Pure but for the waiting.

use std::collections::HashMap;
use std::sync::Mutex;

use tokio::sync::Notify;

use crate::db::{Signal, Topics};
use crate::ids::{AccountId, ContactId, ConversationId};
use crate::whispers::Whisper;

/// NOTIFY takes 8,000 bytes (PostgreSQL manual, NOTIFY); NATS a megabyte.
const MESSAGE_BYTES_MAX: usize = 7_900;
/// Accounts that may wait to be sent. When the line has been down for so long, the others look for themselves anyway.
const ACCOUNTS_MAX: usize = 50_000;
/// Whispers that may wait; they are stale soon anyway.
const WHISPERS_MAX: usize = 1_000;

/// Changes that wait to be told, one entry for each account.
#[derive(Default)]
pub struct Outbox {
    waiting: Mutex<Waiting>,
    wake: Notify,
}

#[derive(Default)]
struct Waiting {
    accounts: HashMap<AccountId, (i64, Topics)>,
    jobs: bool,
    pool: bool,
    whispers: Vec<Whisper>,
}

impl Outbox {
    /// Called on the database's thread after a commit.
    pub fn add(&self, signal: &Signal) {
        let mut waiting = self.lock();
        match signal {
            Signal::Account { account, seq, topics } => {
                if waiting.accounts.len() >= ACCOUNTS_MAX {
                    waiting.accounts.clear();
                }
                // Where there are no news, what they tell of must be read again.
                let topics = if topics.has(Topics::CARDS) { topics.and(Topics::BOOKS) } else { *topics };
                let entry = waiting.accounts.entry(*account).or_insert((*seq, topics));
                *entry = (entry.0.max(*seq), entry.1.and(topics));
            }
            Signal::Jobs => waiting.jobs = true,
            Signal::Pool => waiting.pool = true,
            Signal::News(_) => return,
        }
        drop(waiting);
        self.wake.notify_one();
    }

    /// Told once and kept nowhere; beyond the limit it is lost.
    pub fn add_whisper(&self, whisper: &Whisper) {
        let mut waiting = self.lock();
        if waiting.whispers.len() < WHISPERS_MAX {
            waiting.whispers.push(*whisper);
        }
        drop(waiting);
        self.wake.notify_one();
    }

    /// Waits until there is something. May be given up at any point without losing a ring.
    pub async fn wait(&self) {
        loop {
            {
                let waiting = self.lock();
                if !waiting.is_empty() {
                    return;
                }
            }
            self.wake.notified().await;
        }
    }

    /// Takes everything, as messages short enough for every way of sending.
    pub fn take(&self, node: &str) -> Vec<String> {
        let Waiting { accounts, jobs, pool, whispers } = std::mem::take(&mut *self.lock());
        let words = [("jobs", jobs), ("pool", pool)].into_iter().filter(|(_, rung)| *rung);
        let words = words.map(|(word, _)| word.to_owned());
        let accounts = accounts
            .into_iter()
            .map(|(account, (seq, topics))| format!("{}:{seq}:{}", account.0.simple(), topics.0));
        let mut messages: Vec<String> = Vec::new();
        let whispers = whispers.iter().map(whisper_word);
        for word in words.chain(accounts).chain(whispers) {
            match messages.last_mut().filter(|message| message.len() + word.len() < MESSAGE_BYTES_MAX) {
                Some(message) => {
                    message.push(' ');
                    message.push_str(&word);
                }
                None => messages.push(format!("{node} {word}")),
            }
        }
        messages
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Waiting {
    fn is_empty(&self) -> bool {
        !self.jobs && !self.pool && self.accounts.is_empty() && self.whispers.is_empty()
    }
}

fn whisper_word(whisper: &Whisper) -> String {
    let Whisper { to, conversation, contact, typing } = whisper;
    let (to, conversation, contact) = (to.0.simple(), conversation.0.simple(), contact.0.simple());
    format!("typing:{to}:{conversation}:{contact}:{}", u8::from(*typing))
}

/// What was said in passing.
pub fn whispers(message: &str) -> impl Iterator<Item = Whisper> {
    message.split(' ').skip(1).filter_map(whisper)
}

fn whisper(word: &str) -> Option<Whisper> {
    let mut parts = word.strip_prefix("typing:")?.split(':');
    let mut id = || uuid::Uuid::try_parse(parts.next()?).ok();
    let (to, conversation, contact) = (AccountId(id()?), ConversationId(id()?), ContactId(id()?));
    Some(Whisper { to, conversation, contact, typing: parts.next()? == "1" })
}

/// Who rang, and for what. Words of a newer version are passed over.
pub fn parse(message: &str) -> Option<(&str, Vec<Signal>)> {
    let mut words = message.split(' ');
    let node = words.next().filter(|node| !node.is_empty())?;
    Some((node, words.filter_map(signal).collect()))
}

fn signal(word: &str) -> Option<Signal> {
    match word {
        "jobs" => return Some(Signal::Jobs),
        "pool" => return Some(Signal::Pool),
        _ => {}
    }
    let mut parts = word.split(':');
    let account = AccountId(uuid::Uuid::try_parse(parts.next()?).ok()?);
    let seq = parts.next()?.parse().ok()?;
    let topics = Topics(parts.next()?.parse().ok()?);
    Some(Signal::Account { account, seq, topics })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    fn ring(account: AccountId, seq: i64, topics: Topics) -> Signal {
        Signal::Account { account, seq, topics }
    }

    #[test]
    fn changes_of_one_account_become_one_word() {
        let (outbox, account) = (Outbox::default(), AccountId::new(Timestamp(1)));
        outbox.add(&ring(account, 5, Topics::DOORS));
        outbox.add(&ring(account, 4, Topics::BOOKS));
        outbox.add(&Signal::Jobs);
        let messages = outbox.take("n1");
        assert_eq!(messages.len(), 1);
        let (node, signals) = parse(&messages[0]).unwrap();
        assert_eq!(node, "n1");
        assert_eq!(signals, [Signal::Jobs, ring(account, 5, Topics::DOORS.and(Topics::BOOKS))]);
        assert!(outbox.take("n1").is_empty());
    }

    #[test]
    fn many_accounts_become_messages_that_fit() {
        let outbox = Outbox::default();
        for n in 0..1_000 {
            outbox.add(&ring(AccountId::new(Timestamp(n)), i64::MAX, Topics(255)));
        }
        let messages = outbox.take("0123456789abcdef");
        assert!(messages.len() > 1 && messages.iter().all(|m| m.len() < 8_000));
        let heard: usize = messages.iter().map(|m| parse(m).unwrap().1.len()).sum();
        assert_eq!(heard, 1_000);
    }

    #[test]
    fn whispers_travel_beside_the_rings() {
        let (outbox, now) = (Outbox::default(), Timestamp(1));
        let whisper = Whisper {
            to: AccountId::new(now),
            conversation: ConversationId::new(now),
            contact: ContactId::new(now),
            typing: true,
        };
        outbox.add_whisper(&whisper);
        outbox.add(&Signal::Jobs);
        let messages = outbox.take("n1");
        assert_eq!(parse(&messages[0]), Some(("n1", vec![Signal::Jobs])));
        assert_eq!(whispers(&messages[0]).collect::<Vec<_>>(), [whisper]);
        assert_eq!(whispers("n1 typing:x:y").count(), 0);
    }

    #[test]
    fn what_cannot_be_read_is_passed_over() {
        assert_eq!(parse(""), None);
        assert_eq!(parse("n1 later x:1:2 jobs"), Some(("n1", vec![Signal::Jobs])));
    }
}
