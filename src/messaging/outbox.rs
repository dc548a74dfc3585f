//! Every SMS that leaves: queued in the transaction that causes it, sent by a job, settled by receipts.
//!
//! `sending` is committed before the request is made. A process that dies after that leaves the row in `sending`, and
//! whoever finds it there makes it `unknown`: it may have gone out, so it is never sent again by itself. What settles
//! it is the carrier's callback, which carries our id, or asking the carrier.

use std::time::Duration;

use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::receive::{CLAIM_RECEIPT, CLAIM_SENT, announce, claim};
use super::routes::SmsLine;
use super::{Message, MessageState, segments, store};
use crate::accounts;
use crate::carriers::{DeliveryReceipt, ReceiptState};
use crate::clock::Timestamp;
use crate::consent;
use crate::db::{Conn, Db, Keep};
use crate::each;
use crate::error::Result;
use crate::events::EventKind;
use crate::ids::{AccountId, MessageId, OutboundSmsId};
use crate::phone::E164;
use crate::queue;
use crate::schema::{carrier_callbacks, outbound_sms, sms_refused};

/// The kind of the job that sends.
pub const SEND_SMS: &str = "send_sms";
/// The kind of the job that asks the carrier about an unknown.
pub const SETTLE_SMS: &str = "settle_sms";

/// How long a callback may take before the carrier is asked.
const SETTLE_AFTER: Duration = Duration::from_secs(30);

/// Why an SMS leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A message of a conversation.
    Message,
    /// A verification code.
    Verification,
    /// A word from the service itself, in answer to one.
    Notice,
    /// A word from the service that nobody has asked for just now: it waits for the end of its reader's night.
    Unasked,
    /// From one of our numbers to another, to see whether it arrives.
    Loop,
    /// The answer to STOP, START or HELP; the only thing that goes to who said STOP.
    Consent,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Purpose::Message => "message",
            Purpose::Verification => "verification",
            Purpose::Notice | Purpose::Unasked => "notice",
            Purpose::Loop => "loop",
            Purpose::Consent => "consent",
        }
    }
}

/// An SMS to be sent.
#[derive(Debug, Clone)]
pub struct NewSms {
    /// Whose handset it goes to, when it is a user's.
    pub account: Option<AccountId>,
    /// Who causes it: where there is a queue, everybody has the same share of it. `None`: the service.
    pub by: Option<AccountId>,
    /// The message it carries.
    pub message: Option<MessageId>,
    /// Why.
    pub purpose: Purpose,
    /// What it may not overtake.
    pub order_key: String,
    /// From where to where, and through whom.
    pub line: SmsLine,
    /// The text as the phone shows it.
    pub text: String,
}

/// A row of the outbox.
#[derive(Debug, Clone)]
pub struct OutboundSms {
    /// Which.
    pub id: OutboundSmsId,
    /// Whose handset it goes to.
    pub account: Option<AccountId>,
    /// The message it carries.
    pub message: Option<MessageId>,
    /// Through which carrier.
    pub carrier_id: String,
    /// From which of our numbers.
    pub from: E164,
    /// To whom.
    pub to: E164,
    /// The text.
    pub text: String,
    /// Where it stands; `sending` is an intent that is committed before the request.
    pub state: String,
    /// What it costs.
    pub segment_count: i16,
    /// How often it was tried.
    pub attempts: i32,
    /// The carrier's id, once known.
    pub carrier_message_id: Option<String>,
    /// When it was queued.
    pub created_at: Timestamp,
}

/// What the job that sends is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SmsJob {
    /// Which SMS.
    pub sms: OutboundSmsId,
    /// Whose handset it goes to; the write lane.
    pub account: Option<AccountId>,
    /// Who causes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<AccountId>,
    /// Whether it lets others go first: a notice.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_patient: bool,
    /// Whether it may leave from any number: a code.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_code: bool,
    /// Its message has pictures or files.
    #[serde(default)]
    pub media: bool,
    /// The other phones, when it is one MMS to a group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub group: Vec<E164>,
    /// The message that it shall carry, when it is not in the outbox before there is a number for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<MessageId>,
}

/// Queues an SMS and its job in the caller's transaction.
pub fn enqueue(db: &mut Db, now: Timestamp, sms: &NewSms) -> Result<OutboundSmsId> {
    enqueue_parcel(db, now, sms, false, &[])
}

/// Queues one MMS to a group: to the phone of `sms` and to `others`.
pub fn enqueue_to_group(db: &mut Db, now: Timestamp, sms: &NewSms, others: &[E164]) -> Result<OutboundSmsId> {
    enqueue_parcel(db, now, sms, false, others)
}

/// Queues one whose message has pictures or files: it goes as MMS, or with links in their place.
pub fn enqueue_with_media(db: &mut Db, now: Timestamp, sms: &NewSms) -> Result<OutboundSmsId> {
    enqueue_parcel(db, now, sms, true, &[])
}

fn enqueue_parcel(
    db: &mut Db,
    now: Timestamp,
    sms: &NewSms,
    media: bool,
    group: &[E164],
) -> Result<OutboundSmsId> {
    let id = OutboundSmsId::new(now);
    insert(db, now, id, sms)?;
    let job = SmsJob {
        sms: id,
        account: sms.account,
        by: sms.by,
        is_patient: matches!(sms.purpose, Purpose::Notice | Purpose::Unasked | Purpose::Loop),
        is_code: sms.purpose == Purpose::Verification,
        media,
        group: group.to_vec(),
        waits: None,
    };
    let at = match sms.account {
        Some(account) if sms.purpose == Purpose::Unasked => accounts::load(db, account)?.awake_at(now),
        _ => now,
    };
    queue::enqueue_at(db, now, at, SEND_SMS, Some(&sms.order_key), &job)?;
    Ok(id)
}

/// Queues the job of a message that has no number yet; it keeps the message's place in the conversation.
pub fn enqueue_waiting(db: &mut Db, now: Timestamp, message: &Message, media: bool) -> Result<()> {
    let (sms, account) = (OutboundSmsId::new(now), Some(message.recipient));
    let by = Some(message.sender);
    let job = SmsJob {
        sms,
        account,
        by,
        is_patient: false,
        is_code: false,
        media,
        group: Vec::new(),
        waits: Some(message.id),
    };
    queue::enqueue(db, now, SEND_SMS, Some(&message.conversation.to_string()), &job).map(drop)
}

/// The row alone; its job is there already.
pub fn insert(db: &mut Db, now: Timestamp, id: OutboundSmsId, sms: &NewSms) -> Result<()> {
    let count = segments::Segments::count(&sms.text).segment_count;
    let segment_count = i16::try_from(count).unwrap_or(i16::MAX);
    each!(db, |c| diesel::insert_into(outbound_sms::table)
        .values((
            outbound_sms::id.eq(id),
            outbound_sms::account_id.eq(sms.account),
            outbound_sms::message_id.eq(sms.message),
            outbound_sms::purpose.eq(sms.purpose.as_str()),
            outbound_sms::order_key.eq(&sms.order_key),
            outbound_sms::carrier_id.eq(&sms.line.carrier_id),
            outbound_sms::from_number.eq(&sms.line.from),
            outbound_sms::to_number.eq(&sms.line.to),
            outbound_sms::text.eq(&sms.text),
            outbound_sms::state.eq("queued"),
            outbound_sms::segment_count.eq(segment_count),
            outbound_sms::attempts.eq(0),
            outbound_sms::created_at.eq(now),
            outbound_sms::updated_at.eq(now),
        ))
        .execute(c))?;
    Ok(())
}

type Row = (
    OutboundSmsId,
    Option<AccountId>,
    Option<MessageId>,
    String,
    E164,
    E164,
    String,
    String,
    i16,
    i32,
    Option<String>,
    Timestamp,
);

/// Reads a row.
pub fn find(db: &mut Db, id: OutboundSmsId) -> Result<Option<OutboundSms>> {
    let row: Option<Row> = each!(db, |c| outbound_sms::table
        .filter(outbound_sms::id.eq(id))
        .select((
            outbound_sms::id,
            outbound_sms::account_id,
            outbound_sms::message_id,
            outbound_sms::carrier_id,
            outbound_sms::from_number,
            outbound_sms::to_number,
            outbound_sms::text,
            outbound_sms::state,
            outbound_sms::segment_count,
            outbound_sms::attempts,
            outbound_sms::carrier_message_id,
            outbound_sms::created_at,
        ))
        .first(c)
        .optional())?;
    let to_sms = |(
        id,
        account,
        message,
        carrier_id,
        from,
        to,
        text,
        state,
        segment_count,
        attempts,
        carrier_message_id,
        created_at,
    ): Row| {
        OutboundSms {
            id,
            account,
            message,
            carrier_id,
            from,
            to,
            text,
            state,
            segment_count,
            attempts,
            carrier_message_id,
            created_at,
        }
    };
    Ok(row.map(to_sms))
}

/// Reads a row in order to change it: on PostgreSQL two lanes may have news of one SMS at the same moment, and the later
/// one must see what the earlier one wrote, or a state would move back.
fn find_to_change(db: &mut Db, id: OutboundSmsId) -> Result<Option<OutboundSms>> {
    if let Conn::Pg(c) = db.conn() {
        let _: Option<OutboundSmsId> = outbound_sms::table
            .filter(outbound_sms::id.eq(id))
            .select(outbound_sms::id)
            .for_update()
            .first(c)
            .optional()?;
    }
    find(db, id)
}

/// What the job found when it came to send.
#[derive(Debug, Clone)]
pub enum Turn {
    /// Send it now; `sending` is committed when the caller's transaction is.
    Send(OutboundSms),
    /// An earlier attempt died after it had begun: it may have gone out.
    MayHaveGone(OutboundSms),
    /// Nothing to do.
    Settled,
}

/// Takes the SMS in hand: from here on a crash leaves a trace.
pub fn begin_sending(db: &mut Db, now: Timestamp, id: OutboundSmsId) -> Result<Turn> {
    let Some(sms) = find_to_change(db, id)? else { return Ok(Turn::Settled) };
    match sms.state.as_str() {
        "queued" => {
            if consent::is_stopped(db, &sms.to, &sms.from, &sms.carrier_id)?
                && purpose_of(db, id)? != "consent"
            {
                settle(db, now, &sms, MessageState::Failed, Some("opted_out"), None)?;
                return Ok(Turn::Settled);
            }
            each!(db, |c| diesel::update(outbound_sms::table)
                .filter(outbound_sms::id.eq(id))
                .set((
                    outbound_sms::state.eq("sending"),
                    outbound_sms::attempts.eq(outbound_sms::attempts + 1),
                    outbound_sms::updated_at.eq(now),
                ))
                .kept()
                .execute(c))?;
            Ok(Turn::Send(sms))
        }
        "sending" => {
            settle(db, now, &sms, MessageState::Unknown, Some("interrupted"), None)?;
            Ok(Turn::MayHaveGone(sms))
        }
        _ => Ok(Turn::Settled),
    }
}

fn purpose_of(db: &mut Db, id: OutboundSmsId) -> Result<String> {
    Ok(each!(db, |c| outbound_sms::table
        .filter(outbound_sms::id.eq(id))
        .select(outbound_sms::purpose)
        .first(c))?)
}

/// What it says is another text than was queued: links stand for its pictures.
pub fn reword(db: &mut Db, id: OutboundSmsId, text: &str) -> Result<()> {
    let count = segments::Segments::count(text).segment_count;
    each!(db, |c| diesel::update(outbound_sms::table)
        .filter(outbound_sms::id.eq(id))
        .set((
            outbound_sms::text.eq(text),
            outbound_sms::segment_count.eq(i16::try_from(count).unwrap_or(i16::MAX)),
        ))
        .kept()
        .execute(c))?;
    Ok(())
}

/// The carrier refused for now and certainly did not send: back to the queue.
pub fn put_back(db: &mut Db, now: Timestamp, id: OutboundSmsId) -> Result<()> {
    each!(db, |c| diesel::update(outbound_sms::table)
        .filter(outbound_sms::id.eq(id))
        .filter(outbound_sms::state.eq("sending"))
        .set((outbound_sms::state.eq("queued"), outbound_sms::updated_at.eq(now)))
        .kept()
        .execute(c))?;
    each!(db, |c| diesel::insert_into(sms_refused::table)
        .values((sms_refused::sms_id.eq(id), sms_refused::since.eq(now)))
        .on_conflict_do_nothing()
        .execute(c))?;
    Ok(())
}

/// Since when the carrier refuses it for now, if it does.
pub fn refused_since(db: &mut Db, id: OutboundSmsId) -> Result<Option<Timestamp>> {
    Ok(each!(db, |c| sms_refused::table
        .filter(sms_refused::sms_id.eq(id))
        .select(sms_refused::since)
        .first(c)
        .optional())?)
}

/// The carrier took it and gave it an id.
pub fn sent(
    db: &mut Db,
    now: Timestamp,
    id: OutboundSmsId,
    carrier_message_id: &str,
    state: MessageState,
    segment_count: Option<i16>,
) -> Result<()> {
    let Some(sms) = find_to_change(db, id)? else { return Ok(()) };
    if !claim_carrier_id(db, now, &sms, carrier_message_id)? {
        tracing::error!(sms.id = %id, carrier = %sms.carrier_id, "the carrier gave an id that another SMS has");
    }
    settle(db, now, &sms, state.merge(MessageState::Sent), None, segment_count)
}

/// The carrier was asked about an unknown and shows a message that looks like it; answers whether it is this one.
///
/// It is not when its id is another SMS's already, and cannot be told when another one with the same words to the same
/// phone is under way: then it stays unknown.
pub fn found(
    db: &mut Db,
    now: Timestamp,
    id: OutboundSmsId,
    carrier_message_id: &str,
    state: MessageState,
) -> Result<bool> {
    let Some(sms) = find_to_change(db, id)? else { return Ok(true) };
    if sms.state != "unknown" {
        return Ok(true);
    }
    if has_twin(db, &sms)? || !claim_carrier_id(db, now, &sms, carrier_message_id)? {
        return Ok(false);
    }
    settle(db, now, &sms, state.merge(MessageState::Sent), None, None)?;
    Ok(true)
}

/// How far back another SMS with the same words may have been queued.
const TWIN_WITHIN: Duration = Duration::from_secs(3_600);

fn has_twin(db: &mut Db, sms: &OutboundSms) -> Result<bool> {
    // Ids begin with their time, so this reads the part of the table since then and nothing else.
    let since = OutboundSmsId::floor(sms.created_at.minus(TWIN_WITHIN));
    let twin: Option<OutboundSmsId> = each!(db, |c| outbound_sms::table
        .filter(outbound_sms::id.ge(since))
        .filter(outbound_sms::id.ne(sms.id))
        .filter(outbound_sms::carrier_id.eq(&sms.carrier_id))
        .filter(outbound_sms::from_number.eq(&sms.from))
        .filter(outbound_sms::to_number.eq(&sms.to))
        .filter(outbound_sms::text.eq(&sms.text))
        .filter(outbound_sms::state.eq_any(["sending", "unknown"]))
        .select(outbound_sms::id)
        .first(c)
        .optional())?;
    Ok(twin.is_some())
}

/// It certainly did not go out and will not.
pub fn failed(db: &mut Db, now: Timestamp, id: OutboundSmsId, code: &str) -> Result<()> {
    let Some(sms) = find_to_change(db, id)? else { return Ok(()) };
    settle(db, now, &sms, MessageState::Failed, Some(code), None)
}

/// Asks for an unknown to be settled by asking the carrier, some time after its callback should have come.
pub fn enqueue_settling(db: &mut Db, now: Timestamp, sms: &OutboundSms) -> Result<()> {
    let account = sms.account;
    let job = SmsJob {
        sms: sms.id,
        account,
        by: None,
        is_patient: false,
        is_code: false,
        media: false,
        group: Vec::new(),
        waits: None,
    };
    queue::enqueue_at(db, now, now.plus(SETTLE_AFTER), SETTLE_SMS, None, &job)?;
    Ok(())
}

/// It may have gone out.
pub fn unknown(db: &mut Db, now: Timestamp, id: OutboundSmsId, code: &str) -> Result<()> {
    let Some(sms) = find_to_change(db, id)? else { return Ok(()) };
    settle(db, now, &sms, MessageState::Unknown, Some(code), None)
}

/// Others stand in for this one from now on, with its message; answers its order key.
pub(super) fn give_place(db: &mut Db, now: Timestamp, sms: &OutboundSms) -> Result<String> {
    let order_key = each!(db, |c| outbound_sms::table
        .filter(outbound_sms::id.eq(sms.id))
        .select(outbound_sms::order_key)
        .first(c))?;
    each!(db, |c| diesel::update(outbound_sms::table)
        .filter(outbound_sms::id.eq(sms.id))
        .set(outbound_sms::message_id.eq(None::<MessageId>))
        .execute(c))?;
    let alone = OutboundSms { message: None, ..sms.clone() };
    settle(db, now, &alone, MessageState::Failed, Some("opted_out"), None)?;
    Ok(order_key)
}

/// An operator's decision on an unknown.
pub fn decide(db: &mut Db, now: Timestamp, id: OutboundSmsId, arrived: bool) -> Result<()> {
    let Some(sms) = find_to_change(db, id)? else { return Ok(()) };
    let (state, code) = if arrived {
        (MessageState::Sent, None)
    } else {
        (MessageState::Failed, Some("decided_by_operator"))
    };
    settle(db, now, &sms, state, code, None)
}

/// Notes which SMS a carrier's id means; false when it means another one. The claim's key decides, not a look before.
fn claim_carrier_id(
    db: &mut Db,
    now: Timestamp,
    sms: &OutboundSms,
    carrier_message_id: &str,
) -> Result<bool> {
    let subject = Some(sms.id.as_bytes().as_slice());
    for part in parts_of(carrier_message_id) {
        if !claim(db, &sms.carrier_id, CLAIM_SENT, part, "", subject, now)?
            && find_by_carrier_id(db, &sms.carrier_id, part)? != Some(sms.id)
        {
            return Ok(false);
        }
    }
    each!(db, |c| diesel::update(outbound_sms::table)
        .filter(outbound_sms::id.eq(sms.id))
        .set(outbound_sms::carrier_message_id.eq(carrier_message_id))
        .kept()
        .execute(c))?;
    Ok(true)
}

/// Moves the row and the message it carries forward, and tells both sides.
fn settle(
    db: &mut Db,
    now: Timestamp,
    sms: &OutboundSms,
    news: MessageState,
    code: Option<&str>,
    segment_count: Option<i16>,
) -> Result<()> {
    let before = state_of(&sms.state);
    let after = before.merge(news);
    if after == before && sms.state != "sending" {
        return Ok(());
    }
    // Words and codes shall not lie about twice: the message has them, and a code has done its work. An unknown keeps
    // them, because the carrier is asked by them.
    let text =
        if matches!(after, MessageState::Queued | MessageState::Unknown) { sms.text.as_str() } else { "" };
    each!(db, |c| diesel::update(outbound_sms::table)
        .filter(outbound_sms::id.eq(sms.id))
        .set((
            outbound_sms::state.eq(after.as_str()),
            outbound_sms::text.eq(text),
            outbound_sms::error_code.eq(code),
            outbound_sms::updated_at.eq(now),
        ))
        .kept()
        .execute(c))?;
    let Some(message) = sms.message else { return Ok(()) };
    let Some(message) = store::find_message(db, message)? else { return Ok(()) };
    let state = message.state.merge(after);
    if state != message.state {
        // What the carrier bills, once it has said so.
        let segments = segment_count.or(message.segment_count);
        store::update_message_state(db, message.id, state, code, segments, now)?;
        announce(db, now, EventKind::MessageUpdated, message.id, message.sender, message.recipient)?;
    }
    Ok(())
}

/// The row's state as a message's: an intent counts as queued.
fn state_of(text: &str) -> MessageState {
    if text == "sending" { MessageState::Queued } else { MessageState::parse(text) }
}

/// What a receipt means for a message.
pub fn state_from_receipt(state: ReceiptState) -> MessageState {
    match state {
        ReceiptState::Queued | ReceiptState::Sending => MessageState::Queued,
        ReceiptState::Sent => MessageState::Sent,
        ReceiptState::Delivered => MessageState::Delivered,
        ReceiptState::Undelivered => MessageState::Undelivered,
        ReceiptState::Failed => MessageState::Failed,
    }
}

/// What came of a receipt.
#[derive(Debug, Clone)]
pub enum Settled {
    /// It was news about this SMS.
    News(Box<OutboundSms>),
    /// We had it before.
    Duplicate,
    /// We know of no such SMS.
    NotOurs,
}

/// Takes a carrier's word on an SMS. Repeated and late words change nothing.
pub fn delivery_receipt(
    db: &mut Db,
    now: Timestamp,
    carrier_id: &str,
    receipt: &DeliveryReceipt,
) -> Result<Settled> {
    let known = match receipt.reference {
        Some(reference) => find_to_change(db, reference)?,
        None => None,
    };
    let sms = match known {
        // A reference is only a claim: it must have been sent through this carrier.
        Some(sms) if sms.carrier_id == carrier_id => Some(sms),
        _ => match find_by_carrier_id(db, carrier_id, &receipt.carrier_message_id)? {
            Some(id) => find_to_change(db, id)?,
            None => None,
        },
    };
    let Some(sms) = sms else { return Ok(Settled::NotOurs) };
    let is_other = |id: &str| parts_of(id).all(|part| part != receipt.carrier_message_id);
    if sms.carrier_message_id.as_deref().is_some_and(is_other) {
        return Ok(Settled::NotOurs);
    }
    let word = receipt.state.as_str();
    let subject = Some(sms.id.as_bytes().as_slice());
    if !claim(db, carrier_id, CLAIM_RECEIPT, &receipt.carrier_message_id, word, subject, now)? {
        return Ok(Settled::Duplicate);
    }
    let all = receipt.whole.as_deref().unwrap_or(&receipt.carrier_message_id);
    if sms.carrier_message_id.is_none() && !claim_carrier_id(db, now, &sms, all)? {
        tracing::error!(sms.id = %sms.id, carrier = carrier_id, "a receipt has an id that another SMS has");
    }
    // The carrier knows the message, so it has left us, whatever the first word about it says.
    let state =
        state_of_whole(db, carrier_id, sms.carrier_message_id.as_deref().or(Some(all)), receipt.state)?;
    let news = MessageState::Sent.merge(state_from_receipt(state));
    let code = receipt.error.as_ref().map(|e| e.code.as_str());
    settle(db, now, &sms, news, code, None)?;
    Ok(Settled::News(Box::new(sms)))
}

/// The carrier's ids of an SMS; the parts of a long one may have one each.
fn parts_of(carrier_message_id: &str) -> impl Iterator<Item = &str> {
    carrier_message_id.split(' ')
}

/// What a receipt about one part says about the whole: delivered when all are, failed as soon as one is.
fn state_of_whole(
    db: &mut Db,
    carrier_id: &str,
    carrier_message_id: Option<&str>,
    state: ReceiptState,
) -> Result<ReceiptState> {
    let parts: Vec<&str> = carrier_message_id.map(|id| parts_of(id).collect()).unwrap_or_default();
    if parts.len() < 2 {
        return Ok(state);
    }
    let words: Vec<(String, String)> = each!(db, |c| carrier_callbacks::table
        .filter(carrier_callbacks::carrier_id.eq(carrier_id))
        .filter(carrier_callbacks::kind.eq(CLAIM_RECEIPT))
        .filter(carrier_callbacks::sid.eq_any(&parts))
        .select((carrier_callbacks::sid, carrier_callbacks::status))
        .load(c))?;
    let of_part = |part: &&str| {
        let words = words.iter().filter(|(sid, _)| sid == part);
        let states = words.filter_map(|(_, word)| ReceiptState::ALL.into_iter().find(|s| s.as_str() == word));
        states.reduce(ReceiptState::merge).unwrap_or(ReceiptState::Queued)
    };
    let states: Vec<ReceiptState> = parts.iter().map(of_part).collect();
    let failed = states.iter().find(|s| matches!(s, ReceiptState::Failed | ReceiptState::Undelivered));
    Ok(failed.or(states.iter().min()).copied().unwrap_or(state))
}

/// Whether somebody waits for a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaited {
    /// The carrier's id is known.
    Known,
    /// An SMS between these numbers is being sent right now; its id is not known yet.
    Sending,
    /// An SMS of which we do not know whether it was sent fits, and no other one: it was, or a part of it.
    Unknown {
        /// Which.
        id: OutboundSmsId,
        /// Whether it has several segments, so that the receipt may be about one of them only.
        is_long: bool,
    },
    /// No SMS fits.
    Nobody,
}

/// Looks for the SMS that a receipt without our reference is about; `ends` are our number and the handset.
pub fn awaited(
    db: &mut Db,
    carrier_id: &str,
    carrier_message_id: &str,
    ends: Option<&(E164, E164)>,
    text_start: Option<&str>,
) -> Result<Awaited> {
    if find_by_carrier_id(db, carrier_id, carrier_message_id)?.is_some() {
        return Ok(Awaited::Known);
    }
    let Some((from, to)) = ends else { return Ok(Awaited::Nobody) };
    let open: Vec<(OutboundSmsId, String, String, i16)> = each!(db, |c| outbound_sms::table
        .filter(outbound_sms::to_number.eq(to))
        .filter(outbound_sms::from_number.eq(from))
        // Written out, so that the index for it is of use.
        .filter(diesel::dsl::sql::<diesel::sql_types::Bool>("state IN ('sending', 'unknown')"))
        .filter(outbound_sms::carrier_id.eq(carrier_id))
        .filter(outbound_sms::carrier_message_id.is_null())
        .select((outbound_sms::id, outbound_sms::state, outbound_sms::text, outbound_sms::segment_count))
        .order(outbound_sms::id.asc())
        .limit(20)
        .load(c))?;
    let fits = |text: &str| text_start.is_none_or(|start| begins_like(text, start));
    // While one is under way, the receipt may be its own.
    if open.iter().any(|(_, state, text, _)| state == "sending" && fits(text)) {
        return Ok(Awaited::Sending);
    }
    if text_start.is_some_and(|start| plain(start).next().is_none()) {
        // `????`: words of which nothing is left fit everything.
        return Ok(Awaited::Nobody);
    }
    let mut unknown = open.iter().filter(|(_, state, text, _)| state == "unknown" && fits(text));
    Ok(match (unknown.next(), unknown.next()) {
        (Some((id, _, _, segments)), None) => Awaited::Unknown { id: *id, is_long: *segments > 1 },
        _ => Awaited::Nobody,
    })
}

/// Only letters and digits of ASCII travel well.
fn plain(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(char::is_ascii_alphanumeric)
}

/// Whether a text begins as a receipt says.
fn begins_like(text: &str, start: &str) -> bool {
    let mut text = plain(text);
    plain(start).all(|c| text.next() == Some(c))
}

fn find_by_carrier_id(db: &mut Db, carrier_id: &str, sid: &str) -> Result<Option<OutboundSmsId>> {
    let subject: Option<Option<OutboundSmsId>> = each!(db, |c| carrier_callbacks::table
        .filter(carrier_callbacks::carrier_id.eq(carrier_id))
        .filter(carrier_callbacks::sid.eq(sid))
        .filter(carrier_callbacks::kind.eq(CLAIM_SENT))
        .select(carrier_callbacks::ref_id.nullable())
        .first(c)
        .optional())?;
    Ok(subject.flatten())
}

/// Forgets SMS queued before `before`, at most `rows`; answers how many. What a message was, its row in `messages` knows.
pub fn prune(db: &mut Db, before: Timestamp, rows: i64) -> Result<usize> {
    each!(db, |c| diesel::delete(sms_refused::table).filter(sms_refused::since.lt(before)).execute(c))?;
    let old: Vec<OutboundSmsId> = each!(db, |c| outbound_sms::table
        .filter(outbound_sms::id.lt(OutboundSmsId::floor(before)))
        .filter(outbound_sms::state.ne("queued"))
        .select(outbound_sms::id)
        .limit(rows)
        .load(c))?;
    Ok(each!(db, |c| diesel::delete(outbound_sms::table).filter(outbound_sms::id.eq_any(&old)).execute(c))?)
}

/// Forgets what went to an account's handsets.
pub fn erase(db: &mut Db, account: AccountId) -> Result<()> {
    each!(db, |c| diesel::delete(outbound_sms::table)
        .filter(outbound_sms::account_id.eq(account))
        .execute(c))?;
    Ok(())
}
