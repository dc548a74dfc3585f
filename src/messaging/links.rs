//! Carriers that are connected for good, brought to the same entrance as callbacks.
//!
//! Such a carrier gives an SMS no id, so a repetition has to be told from the same words said twice. Only what was
//! stored shortly before a session began and comes again soon after it is taken for a repetition (our answer to it was
//! lost with the session before), and each stored one only once. A receipt has no reference of ours either: it finds
//! its SMS by the carrier's id, or, when the answer to the submit was lost, by the two numbers and the first words.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::arrivals::Arrivals;
use super::outbox::{self, Awaited};
use super::parts::{self, Added, Group};
use super::receive;
use crate::app::App;
use crate::carriers::link::{EventSink, InboundPart, LinkEvent, SessionNumber};
use crate::carriers::{DeliveryReceipt, InboundSms};
use crate::clock::Timestamp;
use crate::db::{Db, Engine, Lane};
use crate::error::Result;
use crate::phone::E164;

/// A repetition comes at most so long after the session began, or after the first one was stored: carriers empty their
/// queues at once.
const REPEATED_WITHIN: Duration = Duration::from_secs(300);
/// And the first one at most so long before.
const STORED_WITHIN: Duration = Duration::from_secs(600);
/// Sessions remembered; older ones have ended.
const SESSIONS_MAX: usize = 64;
/// Storing that takes longer than this may have made the carrier lose its patience and repeat itself.
const SLOW: Duration = Duration::from_secs(4);
/// A receipt may be quicker than the answer to the submit: how often and how soon we look again.
const LOOKS: u32 = 100;
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often overdue pieces are looked for.
const OVERDUE_EVERY: Duration = Duration::from_secs(60);

/// A long text that may have gone out, and one of whose parts is told of: the other parts' ids are lost. A part that no
/// receipt will ever tell of stands for them, so that the text does not count as delivered.
fn with_unknown_rest(part: &str) -> String {
    format!("{part} {part}+")
}

#[derive(Debug, Default)]
struct Session {
    bound_at: Timestamp,
    /// Stored messages that a repetition was matched with.
    matched: HashSet<String>,
    slow: Slow,
}

/// Fingerprints of what took too long to store, and since when it is stored: the carrier may have lost its patience.
#[derive(Debug, Default)]
struct Slow(HashMap<String, Timestamp>);

impl Slow {
    fn note(&mut self, now: Timestamp, fingerprint: String) {
        self.0.retain(|_, at| now.since(*at) <= REPEATED_WITHIN);
        self.0.insert(fingerprint, now);
    }

    /// Whether this is the repetition of one; each has one only. Later the same words are another text.
    fn is_repeated(&mut self, now: Timestamp, fingerprint: &str) -> bool {
        self.0.remove(fingerprint).is_some_and(|at| now.since(at) <= REPEATED_WITHIN)
    }
}

/// Hears what connected carriers say.
pub struct Links {
    app: App,
    arrivals: Arc<Arrivals>,
    sessions: Mutex<HashMap<(String, SessionNumber), Session>>,
}

#[async_trait]
impl EventSink for Links {
    async fn hear(&self, carrier_id: &str, session: SessionNumber, event: LinkEvent) -> Result<()> {
        match event {
            LinkEvent::Bound => {
                self.note_session(carrier_id, session);
                Ok(())
            }
            LinkEvent::Sms(sms) => self.sms(carrier_id, session, sms).await,
            LinkEvent::Part(part) => self.part(carrier_id, part).await,
            LinkEvent::Receipt { receipt, ends, text_start } => {
                self.receipt(carrier_id, receipt, ends, text_start).await
            }
        }
    }
}

impl Links {
    /// Hears on behalf of `arrivals`.
    pub fn new(app: &App, arrivals: &Arc<Arrivals>) -> Links {
        Links { app: app.clone(), arrivals: arrivals.clone(), sessions: Mutex::default() }
    }

    fn with_session<T>(
        &self,
        carrier_id: &str,
        session: SessionNumber,
        body: impl FnOnce(&mut Session) -> T,
    ) -> T {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        body(sessions.entry((carrier_id.to_owned(), session)).or_default())
    }

    fn note_session(&self, carrier_id: &str, session: SessionNumber) {
        let now = self.app.now();
        self.with_session(carrier_id, session, |session| session.bound_at = now);
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.len() > SESSIONS_MAX
            && let Some(oldest) = sessions.iter().min_by_key(|(_, s)| s.bound_at).map(|(key, _)| key.clone())
        {
            sessions.remove(&oldest);
        }
    }

    async fn sms(&self, carrier_id: &str, session: SessionNumber, mut sms: InboundSms) -> Result<()> {
        let begun = tokio::time::Instant::now();
        let fingerprint = sms.carrier_message_id.clone();
        let now = self.app.now();
        if self.with_session(carrier_id, session, |s| s.slow.is_repeated(now, &fingerprint)) {
            return Ok(());
        }
        sms.carrier_message_id = self.identify(carrier_id, session, &fingerprint).await?;
        self.arrivals.sms(&self.app, carrier_id, sms).await?;
        if begun.elapsed() > SLOW {
            let now = self.app.now();
            self.with_session(carrier_id, session, |s| s.slow.note(now, fingerprint));
        }
        Ok(())
    }

    /// The id under which an SMS with this fingerprint is stored, or was.
    async fn identify(&self, carrier_id: &str, session: SessionNumber, fingerprint: &str) -> Result<String> {
        let now = self.app.now();
        let fresh = format!("{fingerprint}.{}", uuid::Uuid::now_v7().simple());
        let bound_at = self.with_session(carrier_id, session, |s| s.bound_at);
        if now.since(bound_at) > REPEATED_WITHIN {
            return Ok(fresh);
        }
        let (carrier, start) = (carrier_id.to_owned(), format!("{fingerprint}."));
        let since = bound_at.minus(STORED_WITHIN);
        let stored =
            self.app.db.read(move |db| receive::claimed(db, &carrier, &start, since, bound_at)).await?;
        let repeated = self.with_session(carrier_id, session, |s| {
            let id = stored.into_iter().find(|id| !s.matched.contains(id))?;
            s.matched.insert(id.clone());
            Some(id)
        });
        Ok(repeated.unwrap_or(fresh))
    }

    async fn part(&self, carrier_id: &str, part: InboundPart) -> Result<()> {
        let (now, carrier, read) = (self.app.now(), carrier_id.to_owned(), part.read);
        let added = self.app.db.write(Lane::Any, move |db| parts::add(db, now, &carrier, &part)).await?;
        match added {
            // Two pieces that are stored at the same moment do not see each other; whoever is committed last does.
            Added::Waiting(key) if self.app.db.engine() == Engine::Postgres => {
                let look = move |db: &mut Db| parts::find_whole(db, key, read);
                match self.app.db.read(look).await? {
                    Some(group) => self.hand_over(carrier_id, group).await,
                    None => Ok(()),
                }
            }
            Added::Waiting(_) | Added::Repeated => Ok(()),
            Added::Whole(group) => self.hand_over(carrier_id, *group).await,
        }
    }

    async fn hand_over(&self, carrier_id: &str, group: Group) -> Result<()> {
        let Group { key, sms } = group;
        self.arrivals.sms(&self.app, carrier_id, sms).await?;
        self.app.db.write(Lane::Any, move |db| parts::done(db, &key)).await
    }

    /// Looks for overdue pieces of a carrier until `stop` turns true.
    pub async fn hand_over_regularly(self: Arc<Self>, carrier_id: String, mut stop: watch::Receiver<bool>) {
        let mut tick = tokio::time::interval(OVERDUE_EVERY);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                _ = stop.changed() => return,
            }
            if let Err(error) = self.hand_over_overdue(&carrier_id).await {
                tracing::warn!(carrier = %carrier_id, reason = %error.report(), "pieces that wait for others could not be handed over");
            }
        }
    }

    /// Hands over what has waited too long for its missing pieces.
    pub async fn hand_over_overdue(&self, carrier_id: &str) -> Result<()> {
        let (now, carrier) = (self.app.now(), carrier_id.to_owned());
        let Some(read) = self.app.carriers.get(carrier_id).and_then(|c| c.part_reader()) else {
            return Ok(());
        };
        let groups = self.app.db.write(Lane::Any, move |db| parts::overdue(db, now, &carrier, read)).await?;
        for group in groups {
            self.hand_over(carrier_id, group).await?;
        }
        Ok(())
    }

    async fn receipt(
        &self,
        carrier_id: &str,
        mut receipt: DeliveryReceipt,
        ends: Option<(E164, E164)>,
        text_start: Option<String>,
    ) -> Result<()> {
        let by_segment =
            self.app.carriers.get(carrier_id).is_some_and(|c| c.capabilities().receipts_by_segment);
        for _ in 0..LOOKS {
            let (carrier, sid) = (carrier_id.to_owned(), receipt.carrier_message_id.clone());
            let (line, start) = (ends.clone(), text_start.clone());
            let look = move |db: &mut crate::db::Db| {
                outbox::awaited(db, &carrier, &sid, line.as_ref(), start.as_deref())
            };
            match self.app.db.read(look).await? {
                Awaited::Known | Awaited::Nobody => break,
                Awaited::Unknown { id, is_long } => {
                    receipt.reference = Some(id);
                    if is_long && by_segment {
                        receipt.whole = Some(with_unknown_rest(&receipt.carrier_message_id));
                    }
                    break;
                }
                // The answer to the submit is on its way, and with it the id.
                Awaited::Sending => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
        self.arrivals.receipt(&self.app, carrier_id, receipt).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_words_weeks_later_are_another_text() {
        let (mut slow, now) = (Slow::default(), Timestamp(1_000_000));
        slow.note(now, "a".to_owned());
        slow.note(now, "b".to_owned());
        assert!(!slow.is_repeated(now, "c"));
        assert!(slow.is_repeated(now.plus(Duration::from_secs(60)), "a"));
        assert!(!slow.is_repeated(now.plus(Duration::from_secs(61)), "a"), "once");
        let weeks = now.plus(Duration::from_secs(14 * 24 * 3600));
        assert!(!slow.is_repeated(weeks, "b"));
        slow.note(now, "d".to_owned());
        slow.note(weeks, "e".to_owned());
        assert_eq!(slow.0.len(), 1, "what nobody asks for any more is forgotten");
    }
}
