//! SMS that arrive: the hot path. One call stores many, exactly once each.
//!
//! A repeated callback is recognised by the claim in `carrier_callbacks`, never by looking first. On PostgreSQL the
//! whole batch is one statement that is prepared once; on SQLite a loop inside the lane's transaction is as quick.
//!
//! The sender's own log is written only when somebody can read it: most senders have a phone and no session. Whoever
//! signs in later begins with what is there and the counter's present value. Opening a session waits for the batches
//! that look at that moment (`events::await_writers`), so that none falls in between.

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Binary, Bool, Nullable, SmallInt, Text};

use super::routes::Route;
use super::{Message, MessageState, Source, Via, outbox, pushes, store, submit};
use crate::accounts::session;
use crate::attachments::{self, Sides};
use crate::carriers::InboundMedia;
use crate::clock::Timestamp;
use crate::db::{Conn, Db, Signal, Topics};
use crate::error::{Error, Result};
use crate::events::{self, EventKind};
use crate::ids::{AccountId, MessageId};
use crate::schema::carrier_callbacks;
use crate::{each, written};

/// What a row of `carrier_callbacks` claims. The numbers are stored: never reuse one.
pub(super) const CLAIM_INBOUND: i16 = 1;
pub(super) const CLAIM_RECEIPT: i16 = 2;
pub(super) const CLAIM_SENT: i16 = 3;
pub(super) const CLAIM_CONSENT: i16 = 4;

/// An SMS from a user's handset, with its route.
#[derive(Debug, Clone)]
pub struct Arrived {
    /// When.
    pub now: Timestamp,
    /// Through which carrier.
    pub carrier_id: String,
    /// The carrier's id of it.
    pub carrier_message_id: String,
    /// Who is meant.
    pub route: Route,
    /// What it says, normalised.
    pub text: String,
    /// What it cost the sender, in segments.
    pub segment_count: i16,
}

/// What became of an [`Arrived`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// It is stored now.
    Stored(MessageId),
    /// It was stored before; nothing changed.
    Duplicate,
    /// The route no longer holds; resolve again. Nothing was stored.
    Stale,
}

/// Claims a carrier's word; false when it was claimed before.
pub(super) fn claim(
    db: &mut Db,
    carrier_id: &str,
    kind: i16,
    sid: &str,
    status: &str,
    subject: Option<&[u8]>,
    now: Timestamp,
) -> Result<bool> {
    let claim = Claim {
        carrier: carrier_id.to_owned(),
        kind,
        sid: sid.to_owned(),
        status: status.to_owned(),
        subject: subject.map(<[u8]>::to_vec),
        at: now,
    };
    Ok(each!(db, |c| claim.execute(c))? == 1)
}

written! {
    struct Claim {
        "INSERT INTO carrier_callbacks (carrier_id, kind, sid, status, ref, at) VALUES (" carrier: String => Text,
        ", " kind: i16 => SmallInt,
        ", " sid: String => Text,
        ", " status: String => Text,
        ", " subject: Option<Vec<u8>> => Nullable<Binary>,
        ", " at: Timestamp => BigInt,
    } ") ON CONFLICT DO NOTHING"
}

/// The ids that begin with `start` under which SMS were stored from `since` until `until`, oldest first.
pub(super) fn claimed(
    db: &mut Db,
    carrier_id: &str,
    start: &str,
    since: Timestamp,
    until: Timestamp,
) -> Result<Vec<String>> {
    // `~` stands behind everything that follows the start.
    let end = format!("{start}~");
    Ok(each!(db, |c| carrier_callbacks::table
        .filter(carrier_callbacks::carrier_id.eq(carrier_id))
        .filter(carrier_callbacks::sid.ge(start))
        .filter(carrier_callbacks::sid.lt(&end))
        .filter(carrier_callbacks::kind.eq(CLAIM_INBOUND))
        .filter(carrier_callbacks::at.ge(since))
        .filter(carrier_callbacks::at.le(until))
        .select(carrier_callbacks::sid)
        .order((carrier_callbacks::at.asc(), carrier_callbacks::sid.asc()))
        .load(c))?)
}

/// Stores many at once. None of them goes on to another phone: see [`receive_and_forward`].
pub fn receive(db: &mut Db, items: &[Arrived]) -> Result<Vec<Received>> {
    let (outcomes, wakes): (Vec<Received>, bool) = match db.conn() {
        Conn::Sqlite(_) => (items.iter().map(|item| receive_one(db, item)).collect::<Result<_>>()?, true),
        Conn::Pg(_) => receive_batch(db, items)?,
    };
    if !wakes {
        return Ok(outcomes);
    }
    let stored = items.iter().zip(&outcomes).filter(|(_, outcome)| matches!(outcome, Received::Stored(_)));
    let mut woken: Vec<AccountId> = stored.map(|(item, _)| item.route.peer).collect();
    woken.sort_unstable();
    woken.dedup();
    let now = items.iter().map(|item| item.now).max().unwrap_or_default();
    pushes::message_came(db, now, &woken)?;
    Ok(outcomes)
}

/// Stores one and, when the other side is a phone user too, sends it on from the number the sender has over there.
/// Its pictures and files are fetched by jobs, and what goes on waits for them.
pub fn receive_and_forward(db: &mut Db, item: &Arrived, media: &[InboundMedia]) -> Result<Received> {
    forward(db, item, media, false)
}

/// The same for a text that has waited for its owner's word ([`super::held`]): it counts like any other, and is never one
/// too many, for he has said that it is his, and no more of them wait than [`super::held::HELD_MAX`].
pub(super) fn receive_released(db: &mut Db, item: &Arrived, media: &[InboundMedia]) -> Result<Received> {
    forward(db, item, media, true)
}

fn forward(db: &mut Db, item: &Arrived, media: &[InboundMedia], is_vouched: bool) -> Result<Received> {
    events::lock(db, &[item.route.account, item.route.peer])?;
    let received = receive_one(db, item)?;
    let Received::Stored(message) = received else { return Ok(received) };
    let sides = Sides { message, writer: item.route.account, reader: item.route.peer };
    attachments::expect(db, item.now, sides, &item.carrier_id, media)?;
    let Some(line) = &item.route.onward else {
        pushes::message_came(db, item.now, &[item.route.peer])?;
        return Ok(received);
    };
    if !submit::try_limits(db, item.now, item.route.account)? && !is_vouched {
        // Two phones that answer each other by themselves would never end, and a forged sender costs him nothing. It is
        // stored, so the carrier need not say it again.
        let (now, sender, reader) = (item.now, item.route.account, item.route.peer);
        store::update_message_state(db, message, MessageState::Failed, Some("too_many_sms"), None, now)?;
        announce(db, now, EventKind::MessageUpdated, message, sender, reader)?;
        return Ok(received);
    }
    let sms = outbox::NewSms {
        account: Some(item.route.peer),
        by: Some(item.route.account),
        message: Some(message),
        purpose: outbox::Purpose::Message,
        order_key: item.route.conversation.to_string(),
        line: line.clone(),
        text: item.text.clone(),
    };
    match media {
        [] => outbox::enqueue(db, item.now, &sms)?,
        _ => outbox::enqueue_with_media(db, item.now, &sms)?,
    };
    Ok(received)
}

fn receive_one(db: &mut Db, item: &Arrived) -> Result<Received> {
    let (now, route) = (item.now, &item.route);
    let id = MessageId::new(now);
    if !claim(db, &item.carrier_id, CLAIM_INBOUND, &item.carrier_message_id, "", Some(id.as_bytes()), now)? {
        return Ok(Received::Duplicate);
    }
    let there = store::touch_member(db, route.peer, route.conversation, id, now, 1)?
        && store::touch_member(db, route.account, route.conversation, id, now, 0)?;
    if !there {
        // The conversation ended meanwhile: whoever resolves again must find the claim free.
        store::delete_claim(db, &item.carrier_id, CLAIM_INBOUND, &item.carrier_message_id)?;
        return Ok(Received::Stale);
    }
    let via = if route.onward.is_some() { Via::Sms } else { Via::Chat };
    let message = Message {
        id,
        conversation: route.conversation,
        sender: route.account,
        recipient: route.peer,
        source: Source::Sms,
        via,
        text: item.text.clone(),
        state: if via == Via::Sms { MessageState::Queued } else { MessageState::Received },
        error_code: None,
        segment_count: Some(item.segment_count),
        client_id: None,
        sent_at: now,
        updated_at: now,
    };
    store::insert_message(db, &message)?;
    if session::has_any(db, route.account)? {
        announce(db, now, EventKind::MessageCreated, id, route.account, route.peer)?;
    } else {
        let subject = Some(id.as_bytes());
        events::append(db, now, route.peer, EventKind::MessageCreated, subject, Topics::EVENTS)?;
    }
    Ok(Received::Stored(id))
}

/// One event at each side, the accounts in the order of their ids.
pub(super) fn announce(
    db: &mut Db,
    now: Timestamp,
    kind: EventKind,
    message: MessageId,
    one: AccountId,
    other: AccountId,
) -> Result<()> {
    let (first, second) = if one <= other { (one, other) } else { (other, one) };
    events::append(db, now, first, kind, Some(message.as_bytes()), Topics::EVENTS)?;
    if first != second {
        events::append(db, now, second, kind, Some(message.as_bytes()), Topics::EVENTS)?;
    }
    Ok(())
}

/// The batch as columns, for `unnest`.
#[derive(QueryId, Default)]
struct StoreBatch {
    carriers: Vec<String>,
    sids: Vec<String>,
    ids: Vec<Vec<u8>>,
    conversations: Vec<Vec<u8>>,
    senders: Vec<Vec<u8>>,
    recipients: Vec<Vec<u8>>,
    texts: Vec<String>,
    segments: Vec<i16>,
    times: Vec<i64>,
    /// Whether every conversation is taken to be there still. If one is not, the batch fails and each is tried alone.
    trusting: bool,
}

impl QueryFragment<Pg> for StoreBatch {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("WITH t AS (SELECT * FROM unnest(");
        out.push_bind_param::<Array<Text>, _>(&self.carriers)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.sids)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Binary>, _>(&self.ids)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Binary>, _>(&self.conversations)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Binary>, _>(&self.senders)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Binary>, _>(&self.recipients)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.texts)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<SmallInt>, _>(&self.segments)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.times)?;
        out.push_sql(
            ") WITH ORDINALITY AS t(carrier, sid, id, conversation, sender, recipient, body, segments, at, n)), \
             there AS (SELECT t.* FROM t WHERE ",
        );
        out.push_bind_param::<Bool, _>(&self.trusting)?;
        out.push_sql(
            " OR (EXISTS (SELECT 1 FROM conversation_members m WHERE m.account_id = t.recipient AND m.conversation_id = t.conversation) \
                 AND EXISTS (SELECT 1 FROM conversation_members m WHERE m.account_id = t.sender AND m.conversation_id = t.conversation))), \
             claimed AS (INSERT INTO carrier_callbacks (carrier_id, kind, sid, status, ref, at) \
               SELECT carrier, 1, sid, '', id, at FROM there ON CONFLICT DO NOTHING RETURNING ref), \
             fresh AS (SELECT there.* FROM there JOIN claimed ON claimed.ref = there.id), \
             stored AS (INSERT INTO messages (id, conversation_id, sender_account_id, recipient_account_id, source, via, \
                 text, state, segment_count, sent_at, updated_at) \
               SELECT id, conversation, sender, recipient, 'sms', 'chat', body, 'received', segments, at, at FROM fresh), \
             sides AS (SELECT recipient AS account, conversation, id, at, n, 1 AS unread FROM fresh \
               UNION ALL SELECT sender, conversation, id, at, n, 0 FROM fresh), \
             newest AS (SELECT account, conversation, sum(unread) AS unread, \
                 (array_agg(id ORDER BY n DESC))[1] AS id, (array_agg(at ORDER BY n DESC))[1] AS at \
               FROM sides GROUP BY account, conversation), \
             touched AS (UPDATE conversation_members m SET last_message_id = newest.id, last_message_at = newest.at, \
                 unread_count = m.unread_count + newest.unread \
               FROM newest WHERE m.account_id = newest.account AND m.conversation_id = newest.conversation RETURNING 1), \
             heard AS (SELECT s.* FROM sides s WHERE s.unread = 1 \
               OR EXISTS (SELECT 1 FROM sessions x WHERE x.account_id = s.account)), \
             counts AS (SELECT account, count(*) AS k FROM heard GROUP BY account ORDER BY account), \
             bumped AS (UPDATE account_counters c SET seq = c.seq + counts.k FROM counts \
               WHERE c.account_id = counts.account RETURNING c.account_id, c.seq, counts.k), \
             placed AS (SELECT s.account, s.id, s.at, b.seq - b.k + row_number() OVER (PARTITION BY s.account ORDER BY s.n) AS seq \
               FROM heard s JOIN bumped b ON b.account_id = s.account), \
             logged AS (INSERT INTO account_events (account_id, seq, kind, ref, at) SELECT account, seq, 1, id, at FROM placed) \
             SELECT t.n, (CASE WHEN f.id IS NOT NULL THEN 0 WHEN e.id IS NOT NULL THEN 1 ELSE 2 END)::int8, \
               COALESCE((SELECT seq FROM bumped WHERE account_id = t.sender), 0), \
               COALESCE((SELECT seq FROM bumped WHERE account_id = t.recipient), 0), \
               (SELECT count(*) FROM newest) - (SELECT count(*) FROM touched), \
               EXISTS (SELECT 1 FROM push_registrations WHERE owner_id IN (SELECT recipient FROM t)) \
             FROM t LEFT JOIN fresh f ON f.id = t.id LEFT JOIN there e ON e.id = t.id ORDER BY t.n",
        );
        Ok(())
    }
}

impl Query for StoreBatch {
    type SqlType = (BigInt, BigInt, BigInt, BigInt, BigInt, Bool);
}

impl<C> RunQueryDsl<C> for StoreBatch {}

/// Stores a batch by one statement; answers also whether somebody in it may have to be woken.
///
/// The counters are bumped in the order of their ids, as everybody else takes them, and before anything else that is
/// changed and not new: the answer asks for them first.
fn receive_batch(db: &mut Db, items: &[Arrived]) -> Result<(Vec<Received>, bool)> {
    let mut batch = StoreBatch { trusting: items.len() > 1, ..StoreBatch::default() };
    let mut ids = Vec::with_capacity(items.len());
    for item in items {
        let id = MessageId::new(item.now);
        ids.push(id);
        batch.carriers.push(item.carrier_id.clone());
        batch.sids.push(item.carrier_message_id.clone());
        batch.ids.push(id.as_bytes().to_vec());
        batch.conversations.push(item.route.conversation.as_bytes().to_vec());
        batch.senders.push(item.route.account.as_bytes().to_vec());
        batch.recipients.push(item.route.peer.as_bytes().to_vec());
        batch.texts.push(item.text.clone());
        batch.segments.push(item.segment_count);
        batch.times.push(item.now.0);
    }
    events::hold_readers(db, items.iter().map(|item| item.route.account))?;
    let Conn::Pg(c) = db.conn() else { return Ok((Vec::new(), false)) };
    let rows: Vec<(i64, i64, i64, i64, i64, bool)> = batch.load(c)?;
    let mut wakes = false;
    let mut outcomes = Vec::with_capacity(items.len());
    for (row, (item, id)) in rows.into_iter().zip(items.iter().zip(ids)) {
        let (_, outcome, sender_seq, recipient_seq, missing, registered) = row;
        if missing > 0 {
            return Err(Error::conflict("stale_route", "A conversation ended meanwhile."));
        }
        wakes |= registered;
        outcomes.push(match outcome {
            0 => {
                let topics = Topics::EVENTS;
                if sender_seq > 0 {
                    db.signal(Signal::Account { account: item.route.account, seq: sender_seq, topics });
                }
                db.signal(Signal::Account { account: item.route.peer, seq: recipient_seq, topics });
                Received::Stored(id)
            }
            1 => Received::Duplicate,
            _ => Received::Stale,
        });
    }
    Ok((outcomes, wakes))
}
