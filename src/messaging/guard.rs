//! Texts that claim a known handset but do not come the way its texts always do. Senders of SMS can be forged, so such
//! a text waits until the owner has said that it is his: with the account's PIN, or, where there is none, with a code
//! that came by letter. What is his then goes its way in the order in which it was written.
//!
//! The question goes to the handset itself and not to whoever forged it. A PIN or a letter, and not a code in the same
//! SMS, because the other reason for a new pattern is a phone or SIM in somebody else's hand, who would read that too.
//! Only an account that has neither is asked for a code by SMS: it still proves that the handset got it.

use std::time::Duration;

use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::outbox::{self, NewSms, Purpose};
use super::receive::{self, Arrived, CLAIM_INBOUND};
use super::routes::{self, Meaning, Route, SmsLine};
use super::{bridge, groups, held, reactions, store, tapbacks};
use crate::accounts::limits::{self, Limit};
use crate::accounts::proofs::ProofState;
use crate::accounts::{self, emails, mobiles, pins};
use crate::carriers::{InboundSms, Origin};
use crate::clock::Timestamp;
use crate::db::{Db, Topics};
use crate::each;
use crate::error::{Error, Result};
use crate::events::{self, EventKind};
use crate::ids::{AccountId, HandsetId};
use crate::keys::{Keys, Purpose as Key, same};
use crate::phone::E164;
use crate::queue;
use crate::schema::handset_guards;
use crate::texts::{GuardText, Locale};

/// The kind of the job that mails a code: [`CodeLetter`].
pub const MAIL_CODE: &str = "guard_mail_code";

/// How long a question can be answered.
const ASKED_FOR: Duration = Duration::from_secs(24 * 3_600);
/// Guesses at one question.
const GUESSES_MAX: i32 = 5;
/// How long a right answer is good for texts that would be asked about again.
const TRUSTED_FOR: Duration = Duration::from_secs(12 * 3_600);
/// Questions to one handset: whoever forges its number must not make us write to it all day.
const ASKS_HANDSET: Limit =
    Limit { name: "guard_asks", code: "too_many_codes", max: 3, window: Duration::from_secs(24 * 3_600) };
/// Questions altogether, so that nobody makes us send by forged senders.
const ASKS_ALL: Limit =
    Limit { name: "guard_asks_all", code: "too_many_codes", max: 300, window: Duration::from_secs(3_600) };
/// Digits of an answer.
const ANSWER_DIGITS: std::ops::RangeInclusive<usize> = 4..=8;

/// How the texts of a handset come. A part of its route.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guard {
    /// Whether the owner wants to be asked about every text.
    pub always: bool,
    /// From which network they came when it was sure that they were his.
    pub network: Option<String>,
    /// Until when he need not be asked again.
    pub trusted_until: Option<Timestamp>,
    /// Since when he is asked.
    pub asked_at: Option<Timestamp>,
}

impl Guard {
    /// Whether a question waits for its answer.
    pub fn is_asked(&self, now: Timestamp) -> bool {
        self.asked_at.is_some_and(|asked_at| now.since(asked_at) < ASKED_FOR)
    }
}

/// What a text's way says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It comes as always, or nothing is told.
    Pass,
    /// It is the first that tells where it comes from.
    Learn,
    /// It may be forged.
    Doubt,
}

/// Judges a text by the way it came.
pub fn judge(now: Timestamp, guard: &Guard, origin: &Origin) -> Verdict {
    if let (Some(known), Some(network)) = (&guard.network, &origin.network)
        && known != network
    {
        return Verdict::Doubt;
    }
    let is_trusted = guard.trusted_until.is_some_and(|until| now < until);
    if !is_trusted && (guard.always || origin.attestation == Some('C')) {
        return Verdict::Doubt;
    }
    if guard.network.is_none() && origin.network.is_some() { Verdict::Learn } else { Verdict::Pass }
}

/// What somebody answers who was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The texts are not his.
    No,
    /// A PIN or a code.
    Digits(String),
}

/// Whether a text is an answer; everything else is a text.
pub fn read_answer(text: &str) -> Option<Answer> {
    let text = text.trim();
    if ANSWER_DIGITS.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) {
        return Some(Answer::Digits(text.to_owned()));
    }
    let is_no = text.eq_ignore_ascii_case("no") || text == "아니요" || text == "아니오";
    is_no.then_some(Answer::No)
}

/// A text that [`judge`] did not let pass, or one that may be an answer.
#[derive(Debug, Clone)]
pub struct Suspect {
    /// Whom it would reach.
    pub route: Route,
    /// Through which carrier it came.
    pub carrier_id: String,
    /// Whose handset it claims.
    pub from: E164,
    /// The text.
    pub sms: InboundSms,
}

/// What the installation can do.
#[derive(Debug, Clone)]
pub struct Means {
    /// Its keys.
    pub keys: Keys,
    /// Whether it sends letters.
    pub mails: bool,
    /// Its address, for texts.
    pub service: String,
}

/// Takes a text in hand; true when it may go its way after all.
pub fn take(db: &mut Db, now: Timestamp, means: &Means, suspect: &Suspect) -> Result<bool> {
    let Suspect { route, sms, .. } = suspect;
    let (guard, _) = find(db, route.account, route.handset)?;
    let answer = read_answer(&sms.text).filter(|_| guard.is_asked(now));
    let verdict = judge(now, &guard, &sms.origin);
    match (&answer, verdict) {
        (None, Verdict::Pass) => return Ok(true),
        (None, Verdict::Learn) => {
            set_network(db, now, route.account, route.handset, sms.origin.network.as_deref())?;
            return Ok(true);
        }
        _ => {}
    }
    let subject = Some(route.handset.as_bytes().as_slice());
    let (carrier, sid) = (&suspect.carrier_id, &sms.carrier_message_id);
    if !receive::claim(db, carrier, CLAIM_INBOUND, sid, "", subject, now)? {
        return Ok(false);
    }
    match answer {
        Some(answer) => hear(db, now, means, suspect, &answer)?,
        None => hold(db, now, means, suspect, &guard)?,
    }
    Ok(false)
}

fn hold(db: &mut Db, now: Timestamp, means: &Means, suspect: &Suspect, guard: &Guard) -> Result<()> {
    let Route { account, handset, .. } = suspect.route;
    if !held::insert(db, now, suspect)? {
        tracing::warn!(handset.id = %handset, "a doubtful text was dropped: too many wait already");
        return Ok(());
    }
    if guard.is_asked(now) || limits::try_take(db, now, &ASKS_HANDSET, &handset.to_string())?.is_some() {
        return changed(db, now, account);
    }
    if limits::try_take(db, now, &ASKS_ALL, "all")?.is_some() {
        return changed(db, now, account);
    }
    ensure(db, account, handset)?;
    each!(db, |c| diesel::update(handset_guards::table)
        .filter(handset_guards::account_id.eq(account))
        .filter(handset_guards::handset_id.eq(handset))
        .set((handset_guards::asked_at.eq(Some(now)), handset_guards::attempts.eq(0)))
        .execute(c))?;
    let code = code(&means.keys, handset, now);
    let proved = |email: &emails::Email| email.state == ProofState::Verified;
    let words = if pins::is_set(db, account)? {
        GuardText::AskPin
    } else if means.mails && emails::list(db, account)?.iter().any(proved) {
        let letter = CodeLetter { account, handset, asked_at: now };
        queue::enqueue(db, now, MAIL_CODE, None, &letter)?;
        GuardText::AskMailed
    } else {
        GuardText::AskCode { code: &code }
    };
    tell(db, now, suspect, words)?;
    changed(db, now, account)
}

fn hear(db: &mut Db, now: Timestamp, means: &Means, suspect: &Suspect, answer: &Answer) -> Result<()> {
    let Route { account, handset, .. } = suspect.route;
    let Answer::Digits(digits) = answer else {
        return drop_held(db, now, account, Some(handset)).map(drop);
    };
    // Counted before it is looked at: of two that come at once both count.
    let counted = each!(db, |c| diesel::update(handset_guards::table)
        .filter(handset_guards::account_id.eq(account))
        .filter(handset_guards::handset_id.eq(handset))
        .filter(handset_guards::attempts.lt(GUESSES_MAX))
        .set(handset_guards::attempts.eq(handset_guards::attempts + 1))
        .execute(c))?;
    if counted == 0 {
        return Ok(());
    }
    let (guard, attempts) = find(db, account, handset)?;
    let asked_at = guard.asked_at.unwrap_or_default();
    let is_right = if pins::is_set(db, account)? {
        pins::check(db, now, &means.keys, account, digits)?
    } else {
        same(code(&means.keys, handset, asked_at).as_bytes(), digits.as_bytes())
    };
    if is_right {
        return release(db, now, account, Some(handset)).map(drop);
    }
    let words =
        if attempts < GUESSES_MAX { GuardText::Wrong } else { GuardText::Locked { service: &means.service } };
    tell(db, now, suspect, words)
}

/// The code of one question: it follows from the installation's key, so that it lies nowhere.
fn code(keys: &Keys, handset: HandsetId, asked_at: Timestamp) -> String {
    let hash = keys.hash(Key::Verification, format!("guard:{handset}:{}", asked_at.0).as_bytes());
    let number = hash.iter().take(8).fold(0u64, |sum, byte| (sum << 8) | u64::from(*byte));
    format!("{:06}", number % 1_000_000)
}

fn tell(db: &mut Db, now: Timestamp, suspect: &Suspect, words: GuardText<'_>) -> Result<()> {
    let locale: Locale = accounts::load(db, suspect.route.account)?.locale;
    let sms = NewSms {
        account: Some(suspect.route.account),
        by: None,
        message: None,
        purpose: Purpose::Notice,
        order_key: format!("notice:{}", suspect.from),
        line: SmsLine {
            carrier_id: suspect.carrier_id.clone(),
            from: suspect.sms.to.clone(),
            to: suspect.from.clone(),
        },
        text: words.render(locale),
    };
    outbox::enqueue(db, now, &sms).map(drop)
}

/// What waits is the owner's: it goes its way, in its order. All handsets when none is named. Answers how many went.
pub fn release(db: &mut Db, now: Timestamp, account: AccountId, handset: Option<HandsetId>) -> Result<usize> {
    let texts = held::list(db, account, handset)?;
    let mut routes = Vec::with_capacity(texts.len());
    let mut touched = vec![account];
    for text in &texts {
        let meaning = routes::resolve(db, &text.from, &text.to)?;
        let route = if let Meaning::Contact(route) = meaning { Some(*route) } else { None };
        touched.extend(route.as_ref().map(|route| route.peer));
        routes.push(route.filter(|route| route.open && route.account == account));
    }
    events::lock(db, &touched)?;
    let mut count = 0;
    for (text, route) in texts.iter().zip(routes) {
        held::delete(db, account, text.id)?;
        let Some(route) = route else { continue };
        store::delete_claim(db, &text.carrier_id, CLAIM_INBOUND, &text.sid)?;
        if !text.others.is_empty() && groups::receive(db, now, &text.clone().into_group(&route))? {
            count += 1;
            continue;
        }
        if let Some(tapback) = tapbacks::parse(&text.text).filter(|_| route.onward.is_none())
            && reactions::receive(db, now, &text.carrier_id, &text.sid, &route, &tapback)?
        {
            count += 1;
            continue;
        }
        let arrived = Arrived {
            now,
            carrier_id: text.carrier_id.clone(),
            carrier_message_id: text.sid.clone(),
            route,
            text: bridge::normalize(&text.text),
            segment_count: text.segment_count,
        };
        receive::receive_released(db, &arrived, &text.media)?;
        count += 1;
    }
    let mut trusted: Vec<HandsetId> = texts.iter().map(|text| text.handset).chain(handset).collect();
    trusted.sort_unstable();
    trusted.dedup();
    for handset in trusted {
        trust(db, now, account, handset)?;
        let newest = texts.iter().rev().find(|text| text.handset == handset && text.network.is_some());
        if let Some(network) = newest.and_then(|text| text.network.as_deref()) {
            set_network(db, now, account, handset, Some(network))?;
        }
    }
    changed(db, now, account)?;
    Ok(count)
}

/// What waits is not the owner's. Answers how many texts there were.
pub fn drop_held(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    handset: Option<HandsetId>,
) -> Result<usize> {
    let texts = held::list(db, account, handset)?;
    for text in &texts {
        held::delete(db, account, text.id)?;
    }
    let meant: Vec<HandsetId> = texts.iter().map(|text| text.handset).chain(handset).collect();
    each!(db, |c| diesel::update(handset_guards::table)
        .filter(handset_guards::account_id.eq(account))
        .filter(handset_guards::handset_id.eq_any(&meant))
        .set(handset_guards::asked_at.eq(None::<Timestamp>))
        .execute(c))?;
    changed(db, now, account)?;
    Ok(texts.len())
}

fn trust(db: &mut Db, now: Timestamp, account: AccountId, handset: HandsetId) -> Result<()> {
    ensure(db, account, handset)?;
    each!(db, |c| diesel::update(handset_guards::table)
        .filter(handset_guards::account_id.eq(account))
        .filter(handset_guards::handset_id.eq(handset))
        .set((
            handset_guards::asked_at.eq(None::<Timestamp>),
            handset_guards::attempts.eq(0),
            handset_guards::trusted_until.eq(Some(now.plus(TRUSTED_FOR))),
        ))
        .execute(c))?;
    Ok(())
}

fn set_network(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    handset: HandsetId,
    network: Option<&str>,
) -> Result<()> {
    ensure(db, account, handset)?;
    each!(db, |c| diesel::update(handset_guards::table)
        .filter(handset_guards::account_id.eq(account))
        .filter(handset_guards::handset_id.eq(handset))
        .set(handset_guards::network.eq(network))
        .execute(c))?;
    changed(db, now, account)
}

/// Whether the owner is asked about every text of a handset, or only about doubtful ones.
pub fn set_always(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    handset: HandsetId,
    ask: Asking,
) -> Result<()> {
    if mobiles::list(db, account)?.iter().all(|mobile| mobile.id != handset) {
        return Err(Error::not_found("mobile"));
    }
    ensure(db, account, handset)?;
    each!(db, |c| diesel::update(handset_guards::table)
        .filter(handset_guards::account_id.eq(account))
        .filter(handset_guards::handset_id.eq(handset))
        .set((
            handset_guards::always.eq(ask == Asking::Always),
            handset_guards::trusted_until.eq(None::<Timestamp>),
        ))
        .execute(c))?;
    changed(db, now, account)
}

/// About which texts of a handset its owner is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Asking {
    /// Those that do not come as they always do.
    InDoubt,
    /// All, unless he has answered within the last twelve hours.
    Always,
}

/// How the texts of a handset come, and the guesses at the question that is open.
pub fn find(db: &mut Db, account: AccountId, handset: HandsetId) -> Result<(Guard, i32)> {
    type Row = (bool, Option<String>, Option<Timestamp>, Option<Timestamp>, i32);
    let row: Option<Row> = each!(db, |c| handset_guards::table
        .filter(handset_guards::account_id.eq(account))
        .filter(handset_guards::handset_id.eq(handset))
        .select((
            handset_guards::always,
            handset_guards::network,
            handset_guards::trusted_until,
            handset_guards::asked_at,
            handset_guards::attempts,
        ))
        .first(c)
        .optional())?;
    let to_guard = |(always, network, trusted_until, asked_at, attempts): Row| {
        (Guard { always, network, trusted_until, asked_at }, attempts)
    };
    Ok(row.map(to_guard).unwrap_or_default())
}

/// The row that is about to be changed.
fn ensure(db: &mut Db, account: AccountId, handset: HandsetId) -> Result<()> {
    each!(db, |c| diesel::insert_into(handset_guards::table)
        .values((
            handset_guards::account_id.eq(account),
            handset_guards::handset_id.eq(handset),
            handset_guards::always.eq(false),
            handset_guards::attempts.eq(0),
        ))
        .on_conflict_do_nothing()
        .execute(c))?;
    Ok(())
}

/// Forgets how an account's texts came.
pub(super) fn erase(db: &mut Db, account: AccountId) -> Result<()> {
    each!(db, |c| diesel::delete(handset_guards::table)
        .filter(handset_guards::account_id.eq(account))
        .execute(c))?;
    Ok(())
}

fn changed(db: &mut Db, now: Timestamp, account: AccountId) -> Result<()> {
    events::append(db, now, account, EventKind::AccountUpdated, None, Topics::ROUTES).map(drop)
}

/// Payload of [`MAIL_CODE`]. The code itself is not in it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct CodeLetter {
    /// Whose handset.
    pub account: AccountId,
    /// Which.
    pub handset: HandsetId,
    /// Names the question.
    pub asked_at: Timestamp,
}

/// To whom and what a letter says; nobody when the question is answered already.
pub fn code_to_mail(
    db: &mut Db,
    now: Timestamp,
    keys: &Keys,
    letter: &CodeLetter,
) -> Result<(Vec<String>, String)> {
    let (guard, _) = find(db, letter.account, letter.handset)?;
    let is_open = guard.asked_at == Some(letter.asked_at) && guard.is_asked(now);
    let all = if is_open { emails::list(db, letter.account)? } else { Vec::new() };
    let proved = all.into_iter().filter(|email| email.state == ProofState::Verified);
    let addresses = proved.map(|email| email.address).collect();
    Ok((addresses, code(keys, letter.handset, letter.asked_at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_judged_by_the_way_they_come() {
        let now = Timestamp(1_000_000_000_000);
        let (before, after) = (Timestamp(now.0 - 1), Timestamp(now.0 + 1));
        let table = [
            (false, None, None, None, None, Verdict::Pass),
            (false, None, None, None, Some("a"), Verdict::Learn),
            (false, Some("a"), None, None, Some("a"), Verdict::Pass),
            (false, Some("a"), None, None, None, Verdict::Pass),
            (false, Some("a"), None, None, Some("b"), Verdict::Doubt),
            (false, Some("a"), Some(after), None, Some("b"), Verdict::Doubt),
            (false, None, None, Some('A'), None, Verdict::Pass),
            (false, None, None, Some('C'), None, Verdict::Doubt),
            (false, None, Some(after), Some('C'), None, Verdict::Pass),
            (false, None, Some(before), Some('C'), None, Verdict::Doubt),
            (true, None, None, None, None, Verdict::Doubt),
            (true, None, Some(after), None, None, Verdict::Pass),
        ];
        for (always, known, trusted_until, attestation, network, wanted) in table {
            let guard = Guard { always, network: known.map(str::to_owned), trusted_until, asked_at: None };
            let origin = Origin { attestation, network: network.map(str::to_owned) };
            assert_eq!(judge(now, &guard, &origin), wanted, "{guard:?} {origin:?}");
        }
    }

    #[test]
    fn answers_are_digits_alone_or_no() {
        for text in ["123", "123456789", "12 34", "Yes", "1234!", "NOPE", ""] {
            assert_eq!(read_answer(text), None, "{text}");
        }
        assert_eq!(read_answer(" 1234\n"), Some(Answer::Digits("1234".to_owned())));
        assert_eq!(read_answer("no"), Some(Answer::No));
        assert_eq!(read_answer("아니요"), Some(Answer::No));
    }
}
