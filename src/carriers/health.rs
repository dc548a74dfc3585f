//! Whether a carrier is well, judged by what it does with real messages. Pure, but for the counting at the bottom.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use super::SendError;

/// What an adapter says when there were too many.
const BUSY: [&str; 3] = ["carrier_busy", "carrier_queue_full", "daily_cap"];

/// What an adapter says when there is no way to the carrier.
const AWAY: [&str; 2] = ["carrier_unreachable", "carrier_away"];

/// What a carrier did within some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Messages that it took.
    pub accepted: i64,
    /// Messages that it refused for a reason of the message's own.
    pub refused: i64,
    /// Messages that it refused because there were too many.
    pub busy: i64,
    /// Requests that broke, or that nobody answered.
    pub broken: i64,
    /// Refusals of our account or our settings.
    pub ours: i64,
    /// Receipts of messages that arrived.
    pub delivered: i64,
    /// Receipts of messages that did not.
    pub undelivered: i64,
    /// Messages that came in.
    pub inbound: i64,
    /// Milliseconds that it took for the answers to all requests.
    pub answer_ms: i64,
}

impl Tally {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Tally) -> Tally {
        Tally {
            accepted: self.accepted + other.accepted,
            refused: self.refused + other.refused,
            busy: self.busy + other.busy,
            broken: self.broken + other.broken,
            ours: self.ours + other.ours,
            delivered: self.delivered + other.delivered,
            undelivered: self.undelivered + other.undelivered,
            inbound: self.inbound + other.inbound,
            answer_ms: self.answer_ms + other.answer_ms,
        }
    }

    /// Counts what came of a message that was handed over.
    pub fn note_send(&mut self, outcome: Result<(), &SendError>, took: Duration) {
        self.answer_ms += i64::try_from(took.as_millis()).unwrap_or(i64::MAX);
        match outcome {
            Ok(()) => self.accepted += 1,
            Err(error) if error.whole_carrier => self.ours += 1,
            Err(error) if BUSY.contains(&error.code.as_str()) => self.busy += 1,
            Err(error) if !error.certain || AWAY.contains(&error.code.as_str()) => self.broken += 1,
            Err(_) => self.refused += 1,
        }
    }

    fn requests(self) -> i64 {
        self.accepted + self.refused + self.busy + self.broken + self.ours
    }
}

/// How a carrier is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// It takes nothing; what may leave elsewhere does.
    Down,
    /// Something is wrong with it.
    Degraded,
    /// Nothing is known to be wrong.
    Well,
}

impl Health {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Health::Down => "down",
            Health::Degraded => "degraded",
            Health::Well => "well",
        }
    }

    /// Reads what [`Health::as_str`] wrote; anything else is well.
    pub fn parse(text: &str) -> Health {
        [Health::Down, Health::Degraded].into_iter().find(|h| h.as_str() == text).unwrap_or(Health::Well)
    }
}

/// What the messages between our own numbers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoopResult {
    /// None was sent lately.
    Untried,
    /// The last one arrived.
    Arrived,
    /// So many of the last ones did not, one after the other.
    Lost(u32),
}

/// What a judgement rests on.
#[derive(Debug, Clone, Copy)]
pub struct Signs {
    /// The last minutes.
    pub recent: Tally,
    /// The hours before them: what is usual.
    pub usual: Tally,
    /// How many times longer `usual` lasted than `recent`.
    pub usual_spans: i64,
    /// Whether it tells what became of messages.
    pub tells: bool,
    /// The messages between our own numbers.
    pub loops: LoopResult,
    /// As it was judged before.
    pub before: Health,
}

/// Fewer requests than these say nothing.
const REQUESTS_MIN: i64 = 8;
/// Fewer receipts than these say nothing.
const RECEIPTS_MIN: i64 = 20;
/// Messages between our own numbers that may get lost in a row; networks lose one now and then.
const LOOPS_LOST_MAX: u32 = 2;
/// An answer that takes longer on average.
const ANSWER_MS_MAX: i64 = 5_000;

/// How a carrier is, and why. What was down is well again only when something went through it.
pub fn judge(signs: &Signs) -> (Health, &'static str) {
    let Tally { accepted, busy, broken, ours, delivered, undelivered, inbound, answer_ms, .. } = signs.recent;
    let (requests, receipts) = (signs.recent.requests(), delivered + undelivered);
    if ours > 0 && accepted == 0 {
        return (Health::Down, "it refuses our account");
    }
    if matches!(signs.loops, LoopResult::Lost(lost) if lost >= LOOPS_LOST_MAX) {
        return (Health::Down, "messages between our own numbers do not arrive");
    }
    if requests >= REQUESTS_MIN && broken * 2 > requests {
        return (Health::Down, "more than half of the requests break");
    }
    if requests >= REQUESTS_MIN && broken * 10 > requests {
        return (Health::Degraded, "more than a tenth of the requests break");
    }
    if requests >= REQUESTS_MIN && busy * 2 > requests {
        return (Health::Degraded, "more than half of the requests are too many for it");
    }
    if requests >= REQUESTS_MIN && answer_ms > ANSWER_MS_MAX * requests {
        return (Health::Degraded, "it takes more than five seconds to answer");
    }
    if receipts >= RECEIPTS_MIN && undelivered * 2 > receipts {
        return (Health::Degraded, "more than half of the messages do not arrive");
    }
    let usually_told = signs.usual.delivered + signs.usual.undelivered;
    let told_share_halved = usually_told * accepted > 4 * receipts * signs.usual.accepted;
    if signs.tells && accepted >= RECEIPTS_MIN && usually_told >= RECEIPTS_MIN && told_share_halved {
        return (Health::Degraded, "it tells of far fewer messages than usual");
    }
    // Three quiet spans in a row are left to chance when fewer than one message is usual.
    let usually_came = signs.usual.inbound / signs.usual_spans.max(1);
    if inbound == 0 && usually_came >= RECEIPTS_MIN {
        return (Health::Degraded, "nothing comes in any more");
    }
    let proven = accepted > 0 || signs.loops == LoopResult::Arrived;
    match signs.before {
        Health::Down if !proven => (Health::Down, "nothing has gone through it since it was down"),
        _ => (Health::Well, ""),
    }
}

/// What one process has counted since somebody last took it.
#[derive(Debug, Default)]
pub struct Tallies(Mutex<BTreeMap<String, Tally>>);

impl Tallies {
    /// Counts something.
    pub fn note(&self, carrier_id: &str, count: impl FnOnce(&mut Tally)) {
        let Ok(mut all) = self.0.lock() else { return };
        match all.get_mut(carrier_id) {
            Some(tally) => count(tally),
            None => count(all.entry(carrier_id.to_owned()).or_default()),
        }
    }

    /// Takes what was counted and begins anew.
    pub fn take(&self) -> BTreeMap<String, Tally> {
        self.0.lock().map(|mut all| std::mem::take(&mut *all)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Health::{Degraded, Down, Well};

    const QUIET: Tally = Tally {
        accepted: 0,
        refused: 0,
        busy: 0,
        broken: 0,
        ours: 0,
        delivered: 0,
        undelivered: 0,
        inbound: 0,
        answer_ms: 0,
    };

    fn signs(recent: Tally, before: Health) -> Signs {
        let usual = Tally { accepted: 600, delivered: 540, undelivered: 30, inbound: 900, ..QUIET };
        Signs { recent, usual, usual_spans: 18, tells: true, loops: LoopResult::Untried, before }
    }

    #[test]
    fn a_carrier_is_judged_by_what_it_does() {
        let good = Tally { accepted: 30, delivered: 28, undelivered: 1, inbound: 50, ..QUIET };
        let some = Tally { inbound: 3, ..QUIET };
        let table = [
            (good, Well, Well),
            (good, Down, Well),
            (some, Well, Well),
            (some, Down, Down),
            (Tally { ours: 1, ..some }, Well, Down),
            (Tally { ours: 1, ..good }, Well, Well),
            (Tally { broken: 5, ..some }, Well, Well),
            (Tally { broken: 8, ..some }, Well, Down),
            (Tally { broken: 40, ..good }, Well, Down),
            (Tally { broken: 5, ..good }, Well, Degraded),
            (Tally { broken: 2, ..good }, Well, Well),
            (Tally { busy: 40, ..good }, Well, Degraded),
            (Tally { answer_ms: 30 * 6_000, ..good }, Well, Degraded),
            (Tally { undelivered: 40, ..good }, Well, Degraded),
            (Tally { refused: 40, ..good }, Well, Well),
            (Tally { delivered: 3, undelivered: 0, ..good }, Well, Degraded),
            (Tally { inbound: 0, ..good }, Well, Degraded),
        ];
        for (n, (recent, before, wanted)) in table.into_iter().enumerate() {
            assert_eq!(judge(&signs(recent, before)).0, wanted, "row {n}: {recent:?}");
        }
    }

    #[test]
    fn connected_but_dead_is_found_by_messages_to_ourselves() {
        let good = Tally { accepted: 30, delivered: 28, inbound: 50, ..QUIET };
        let with = |loops, before| judge(&Signs { loops, ..signs(good, before) }).0;
        assert_eq!(with(LoopResult::Lost(1), Well), Well);
        assert_eq!(with(LoopResult::Lost(2), Well), Down);
        assert_eq!(with(LoopResult::Arrived, Down), Well);
        let back = Signs { loops: LoopResult::Arrived, ..signs(Tally { inbound: 1, ..QUIET }, Down) };
        assert_eq!(judge(&back).0, Well);
    }

    #[test]
    fn a_send_counts_as_what_it_was() {
        let error =
            |code: &str, certain| SendError { code: code.to_owned(), certain, ..SendError::unsupported("") };
        let count = |error: SendError| {
            let mut tally = QUIET;
            tally.note_send(Err(&error), Duration::ZERO);
            tally
        };
        for away in ["carrier_unreachable", "carrier_away"] {
            assert_eq!(count(error(away, true)), Tally { broken: 1, ..QUIET }, "{away}");
        }
        assert_eq!(count(error("timed_out", false)), Tally { broken: 1, ..QUIET });
        assert_eq!(count(error("carrier_busy", true)), Tally { busy: 1, ..QUIET });
        assert_eq!(count(error("bad_number", true)), Tally { refused: 1, ..QUIET });
    }

    #[test]
    fn counts_are_taken_once() {
        let tallies = Tallies::default();
        tallies.note("a", |t| t.accepted += 1);
        tallies.note("a", |t| t.accepted += 1);
        assert_eq!(tallies.take().get("a").map(|t| t.accepted), Some(2));
        assert!(tallies.take().is_empty());
    }
}
