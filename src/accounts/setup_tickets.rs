//! Tickets for setting up a phone: what an app password's links carry in place of the password.
//!
//! The password is shown once and never stored, so what a phone needs waits in memory: ten minutes, a few uses, and on
//! the node that made it. A ticket that stands in a log afterwards opens nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use moka::sync::Cache;

use super::setup::Setup;
use crate::error::{Error, Result};
use crate::keys::random_token;

/// How long a ticket is good.
pub const LIFETIME: Duration = Duration::from_secs(600);
/// How often a ticket shows the password: phones load a profile twice, and people tap twice.
const USES_MAX: u32 = 6;
/// Tickets kept at most.
const TICKETS_MAX: u64 = 10_000;

struct Ticket {
    setup: Setup,
    uses: AtomicU32,
}

/// The tickets of this node.
pub struct SetupTickets(Cache<String, Arc<Ticket>>);

impl Default for SetupTickets {
    fn default() -> Self {
        SetupTickets(Cache::builder().max_capacity(TICKETS_MAX).time_to_live(LIFETIME).build())
    }
}

impl SetupTickets {
    /// Keeps `setup` and answers the word that opens it.
    pub fn issue(&self, setup: Setup) -> String {
        let word = random_token();
        self.0.insert(word.clone(), Arc::new(Ticket { setup, uses: AtomicU32::new(0) }));
        word
    }

    /// Whether the word opens something; counts as no use.
    pub fn check(&self, word: &str) -> Result<()> {
        self.0.get(word).map(|_| ()).ok_or_else(over)
    }

    /// What the word opens.
    pub fn open(&self, word: &str) -> Result<Setup> {
        let ticket = self.0.get(word).ok_or_else(over)?;
        if ticket.uses.fetch_add(1, Ordering::Relaxed) >= USES_MAX {
            self.0.invalidate(word);
            return Err(over());
        }
        Ok(ticket.setup.clone())
    }
}

fn over() -> Error {
    Error::not_found("link any more; links for setting up a phone are good for ten minutes")
}
