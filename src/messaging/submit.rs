//! What people write in a client.

use std::collections::HashMap;
use std::time::Duration;

use super::receive::announce;
use super::routes::{self};
use super::{
    Message, MessageState, Source, Via, bridge, groups, outbox, parcel, pushes, replies, segments, store,
};
use crate::accounts::limits::{self, Limit};
use crate::attachments::sniff::FileType;
use crate::attachments::{self, Sides};
use crate::clock::Timestamp;
use crate::db::{Db, OnConflict, Topics};
use crate::error::{Error, Result};
use crate::events::{self, EventKind};
use crate::ids::{AccountId, ContactId, ConversationId, MediaId, MessageId, OutboundSmsId};
use crate::{accounts, contacts};

/// Characters in a client's own id at most.
const CLIENT_ID_MAX: usize = 64;
/// Read marks written at once; older ones are implied.
const READ_MAX: i64 = 200;

/// SMS that one account causes: people type slower, and each of them costs money.
const SMS_MINUTE: Limit =
    Limit { name: "sms_minute", code: "too_many_sms", max: 90, window: Duration::from_secs(60) };
/// The same for a day: ten hours of lively talk.
const SMS_DAY: Limit =
    Limit { name: "sms_day", code: "too_many_sms", max: 2_000, window: Duration::from_secs(24 * 3600) };

/// How long a message waits for a number from which it can be sent.
const WAITS_MAX: Duration = Duration::from_secs(24 * 3600);

/// A message as a client hands it in.
#[derive(Debug, Clone)]
pub struct Draft {
    /// What it says; may be empty when there are pictures or files.
    pub text: String,
    /// Pictures and files that the writer uploaded, in their order.
    pub media: Vec<MediaId>,
    /// The message of the same conversation that this one answers.
    pub reply_to: Option<MessageId>,
    /// The client's own id, by which a repeated request is recognised.
    pub client_id: Option<String>,
}

/// What came of a [`Draft`].
#[derive(Debug, Clone)]
pub struct Submitted {
    /// The message as it stands.
    pub message: Message,
    /// Whether this request made it, or an earlier one with the same id.
    pub created: bool,
}

/// Writes to a conversation; `groups_able`: to how many phones at once each carrier sends a group MMS.
pub fn submit(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    conversation: ConversationId,
    draft: &Draft,
    groups_able: &HashMap<String, usize>,
) -> Result<Submitted> {
    let member =
        store::find_member(db, account, conversation)?.ok_or_else(|| Error::not_found("conversation"))?;
    if let Some(group) = groups::find(db, conversation)? {
        return groups::reply(db, now, account, &group, draft, groups_able);
    }
    submit_to_contact(db, now, account, member.contact_id, draft)
}

/// Through which carrier a contact is written to, when it is reached by SMS.
pub(super) fn carrier_to(db: &mut Db, account: AccountId, contact: ContactId) -> Result<Option<String>> {
    let line = store::find_line(db, account, contact)?.ok_or_else(|| Error::not_found("contact"))?;
    let (Some(peer), Some(peer_contact)) = (line.peer_account_id, line.peer_contact_id) else {
        return Ok(None);
    };
    Ok(routes::sms_line(db, peer, peer_contact)?.map(|line| line.carrier_id))
}

/// Writes to a contact.
pub fn submit_to_contact(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    contact: ContactId,
    draft: &Draft,
) -> Result<Submitted> {
    let text = match draft.text.trim() {
        "" if !draft.media.is_empty() => String::new(),
        _ => bridge::check_draft(&draft.text)?,
    };
    if let Some(found) = find_sent(db, account, draft)? {
        return Ok(found);
    }
    let line = store::find_line(db, account, contact)?.ok_or_else(|| Error::not_found("contact"))?;
    let (Some(conversation), Some(peer), Some(peer_contact)) =
        (line.conversation_id, line.peer_account_id, line.peer_contact_id)
    else {
        return Err(not_friends());
    };
    // Both sides' counters first, in the order of the ids: two who write to each other at once must not wait in a ring.
    events::lock(db, &[account, peer])?;
    let back = store::find_line(db, peer, peer_contact)?.ok_or_else(not_friends)?;
    if line.state != "accepted" {
        return Err(not_friends());
    }
    let quoted = draft.reply_to.map(|id| replies::find(db, account, conversation, id)).transpose()?;
    let mut message = Message {
        id: MessageId::new(now),
        conversation,
        sender: account,
        recipient: peer,
        source: Source::Chat,
        via: Via::Chat,
        text,
        state: MessageState::Sent,
        error_code: None,
        segment_count: None,
        client_id: draft.client_id.clone(),
        sent_at: now,
        updated_at: now,
    };
    if back.state == "blocked" {
        // Who is blocked is not told; his words stay on his side.
        let sides = Sides { message: message.id, writer: account, reader: account };
        attachments::attach(db, sides, &draft.media)?;
        message.recipient = account;
        return store_unheard(db, now, message, quoted.as_ref());
    }
    store_heard(db, now, message, peer_contact, &draft.media, quoted.as_ref())
}

/// What an earlier request with the same client id made.
pub(super) fn find_sent(db: &mut Db, account: AccountId, draft: &Draft) -> Result<Option<Submitted>> {
    let Some(client_id) = &draft.client_id else { return Ok(None) };
    if client_id.is_empty() || client_id.len() > CLIENT_ID_MAX {
        return Err(Error::invalid("client_id", "bad_client_id", "client_id has 1 to 64 characters."));
    }
    let found = store::find_by_client_id(db, account, client_id)?;
    Ok(found.map(|message| Submitted { message, created: false }))
}

/// Counts one SMS that an account causes.
pub(super) fn take_limits(db: &mut Db, now: Timestamp, account: AccountId) -> Result<()> {
    limits::take(db, now, &SMS_MINUTE, &account.to_string())?;
    limits::take(db, now, &SMS_DAY, &account.to_string())
}

/// The same for one that is on its way already and cannot be refused any more; false when it is one too many.
pub(super) fn try_limits(db: &mut Db, now: Timestamp, account: AccountId) -> Result<bool> {
    for limit in [&SMS_MINUTE, &SMS_DAY] {
        if limits::try_take(db, now, limit, &account.to_string())?.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Stores a message at its writer's and its reader's side, and tells both.
pub(super) fn store_at_both(db: &mut Db, now: Timestamp, message: &Message) -> Result<()> {
    let (id, account, peer) = (message.id, message.sender, message.recipient);
    insert(db, message, None)?;
    if !store::touch_member(db, account, message.conversation, id, now, 0)?
        || !store::touch_member(db, peer, message.conversation, id, now, 1)?
    {
        return Err(not_friends());
    }
    announce(db, now, EventKind::MessageCreated, id, account, peer)
}

/// Stores a message at both sides and sends it on when the other one is reached by SMS.
fn store_heard(
    db: &mut Db,
    now: Timestamp,
    mut message: Message,
    peer_contact: ContactId,
    media: &[MediaId],
    quoted: Option<&Message>,
) -> Result<Submitted> {
    let (id, account, peer) = (message.id, message.sender, message.recipient);
    let way = way_to_phone(db, peer, peer_contact)?;
    let mut text = String::new();
    if !matches!(way, WayToPhone::None) {
        take_limits(db, now, account)?;
        text = compose_sms(db, &message, peer_contact, quoted)?;
        // Where no MMS goes, a link stands for each picture: the text must leave room for some. More of them is seldom,
        // and told when the carrier is known.
        let links = format!("\n{}", "x".repeat(parcel::LINK_CHARS_MAX)).repeat(media.len().min(2));
        segments::Segments::check(&format!("{text}{links}"))?;
        message.via = Via::Sms;
        message.state = MessageState::Queued;
        message.segment_count = i16::try_from(segments::Segments::count(&text).segment_count).ok();
    }
    insert(db, &message, quoted)?;
    attachments::attach(db, Sides { message: id, writer: account, reader: peer }, media)?;
    if !store::touch_member(db, account, message.conversation, id, now, 0)?
        || !store::touch_member(db, peer, message.conversation, id, now, 1)?
    {
        return Err(not_friends());
    }
    announce(db, now, EventKind::MessageCreated, id, account, peer)?;
    match way {
        WayToPhone::Line(line) if media.is_empty() => {
            outbox::enqueue(db, now, &to_sms(&message, line, text))?;
        }
        WayToPhone::Line(line) => {
            outbox::enqueue_with_media(db, now, &to_sms(&message, line, text))?;
        }
        WayToPhone::Waits => outbox::enqueue_waiting(db, now, &message, !media.is_empty())?,
        WayToPhone::None => pushes::message_came(db, now, &[peer])?,
    }
    Ok(Submitted { message, created: true })
}

fn not_friends() -> Error {
    Error::conflict("not_accepted", "You can write to each other once the request is accepted.")
}

fn insert(db: &mut Db, message: &Message, quoted: Option<&Message>) -> Result<()> {
    // Two requests with one client id at the same moment: the loser is run again and finds the winner's message.
    store::insert_message(db, message).on_unique_violation(|| {
        Error::conflict("sent_before", "A message with this client_id is being sent.")
    })?;
    if let Some(quoted) = quoted {
        replies::write(db, message.id, quoted.id)?;
    }
    Ok(())
}

fn store_unheard(
    db: &mut Db,
    now: Timestamp,
    message: Message,
    quoted: Option<&Message>,
) -> Result<Submitted> {
    insert(db, &message, quoted)?;
    store::touch_member(db, message.sender, message.conversation, message.id, now, 0)?;
    events::append(
        db,
        now,
        message.sender,
        EventKind::MessageCreated,
        Some(message.id.as_bytes()),
        Topics::EVENTS,
    )?;
    Ok(Submitted { message, created: true })
}

/// Whether and how a contact's words reach the phone of `peer`.
enum WayToPhone {
    /// As SMS from the contact's number.
    Line(routes::SmsLine),
    /// As SMS, once the contact has a number: the pool has run out, or the number was just taken away.
    Waits,
    /// Not at all.
    None,
}

fn way_to_phone(db: &mut Db, peer: AccountId, peer_contact: ContactId) -> Result<WayToPhone> {
    if let Some(line) = routes::sms_line(db, peer, peer_contact)? {
        return Ok(WayToPhone::Line(line));
    }
    Ok(match contacts::load(db, peer, peer_contact)?.number_state {
        contacts::NumberState::Waiting | contacts::NumberState::Assigned => WayToPhone::Waits,
        contacts::NumberState::None => WayToPhone::None,
    })
}

/// The message as the phone shows it: introduced by name when the phone does not know the number yet, below what it
/// answers when that costs nothing.
fn compose_sms(
    db: &mut Db,
    message: &Message,
    peer_contact: ContactId,
    quoted: Option<&Message>,
) -> Result<String> {
    let peer = message.recipient;
    let known = contacts::books::card_is_on_phone(db, peer, peer_contact)?
        || store::has_sms_before(db, message.conversation, peer, message.id)?;
    let locale = accounts::load(db, peer)?.locale;
    let contact = contacts::load(db, peer, peer_contact)?;
    let name = (!known).then(|| contact.shown_name());
    let words = |text: &str| bridge::to_sms(text, name, locale);
    // What the other side has never seen is not shown to it now.
    let seen = quoted.filter(|quoted| quoted.sender == peer || quoted.recipient == peer);
    Ok(replies::for_phone(&message.text, seen.map(|quoted| quoted.text.as_str()), words))
}

/// What these uploads of the account are, and how large.
pub(super) fn preview_media(
    db: &mut Db,
    account: AccountId,
    ids: &[MediaId],
) -> Result<Vec<(MediaId, FileType, i64)>> {
    if ids.len() > attachments::COUNT_MAX {
        return Err(Error::invalid("media", "too_many", "A message has at most ten pictures and files."));
    }
    let mut files = Vec::with_capacity(ids.len());
    for id in ids {
        let found = attachments::find(db, *id)?.filter(|file| file.account == account);
        let found = found.ok_or_else(|| Error::not_found("media"))?;
        files.extend(found.kind.map(|kind| (*id, kind, found.size_bytes)));
    }
    Ok(files)
}

/// A draft as a phone would show it; `None` when the contact is not reached by SMS.
pub(super) fn preview_sms(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    contact: ContactId,
    draft: &Draft,
) -> Result<Option<String>> {
    let line = store::find_line(db, account, contact)?.ok_or_else(|| Error::not_found("contact"))?;
    let (Some(conversation), Some(peer), Some(peer_contact)) =
        (line.conversation_id, line.peer_account_id, line.peer_contact_id)
    else {
        return Ok(None);
    };
    let quoted = draft.reply_to.map(|id| replies::find(db, account, conversation, id)).transpose()?;
    if matches!(way_to_phone(db, peer, peer_contact)?, WayToPhone::None) {
        return Ok(None);
    }
    let message = Message {
        id: MessageId::new(now),
        conversation,
        sender: account,
        recipient: peer,
        source: Source::Chat,
        via: Via::Sms,
        text: draft.text.clone(),
        state: MessageState::Queued,
        error_code: None,
        segment_count: None,
        client_id: None,
        sent_at: now,
        updated_at: now,
    };
    compose_sms(db, &message, peer_contact, quoted.as_ref()).map(Some)
}

fn to_sms(message: &Message, line: routes::SmsLine, text: String) -> outbox::NewSms {
    outbox::NewSms {
        account: Some(message.recipient),
        by: Some(message.sender),
        message: Some(message.id),
        purpose: outbox::Purpose::Message,
        order_key: message.conversation.to_string(),
        line,
        text,
    }
}

/// What became of a message that waits for a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// Its SMS is in the outbox.
    Placed,
    /// There is no number yet.
    Still,
    /// Nobody wants it any more.
    Gone,
}

/// Puts a message that waited into the outbox, under the id that was set aside for it, when there is a number now. Gives
/// it up a day after it was written.
pub fn place_waiting(db: &mut Db, now: Timestamp, id: OutboundSmsId, message: MessageId) -> Result<Waited> {
    if outbox::find(db, id)?.is_some() {
        return Ok(Waited::Placed);
    }
    let Some(message) = store::find_message(db, message)?.filter(|m| m.state == MessageState::Queued) else {
        return Ok(Waited::Gone);
    };
    let Some(member) = store::find_member(db, message.recipient, message.conversation)? else {
        return Ok(Waited::Gone);
    };
    if let Some(line) = routes::sms_line(db, message.recipient, member.contact_id)? {
        let quoted = replies::quoted_by(db, message.id)?;
        let text = compose_sms(db, &message, member.contact_id, quoted.as_ref())?;
        outbox::insert(db, now, id, &to_sms(&message, line, text))?;
        return Ok(Waited::Placed);
    }
    if now.since(message.sent_at) < WAITS_MAX {
        return Ok(Waited::Still);
    }
    store::update_message_state(db, message.id, MessageState::Failed, Some("no_number"), None, now)?;
    announce(db, now, EventKind::MessageUpdated, message.id, message.sender, message.recipient)?;
    Ok(Waited::Gone)
}

/// Notes how far an account has read, and tells the writers.
pub fn read_up_to(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    conversation: ConversationId,
    up_to: MessageId,
) -> Result<()> {
    // What comes in meanwhile waits for the counters, so that it is neither counted twice nor forgotten.
    let peer = super::peer_in(db, account, conversation)?;
    let sides: Vec<AccountId> = std::iter::once(account).chain(peer).collect();
    events::lock(db, &sides)?;
    let member =
        store::find_member(db, account, conversation)?.ok_or_else(|| Error::not_found("conversation"))?;
    let message = store::find_message(db, up_to)?.filter(|m| m.conversation == conversation);
    let message = message.ok_or_else(|| Error::not_found("message"))?;
    if member.read_up_to.is_some_and(|read| read >= message.id) {
        return Ok(());
    }
    let unread = store::count_unread(db, account, conversation, message.id)?;
    store::mark_read(db, account, conversation, message.id, unread)?;
    events::append(
        db,
        now,
        account,
        EventKind::ConversationUpdated,
        Some(conversation.as_bytes()),
        Topics::EVENTS,
    )?;
    for (message, writer) in store::list_unread_chat(db, account, conversation, up_to, READ_MAX)? {
        store::update_message_state(db, message, MessageState::Read, None, None, now)?;
        events::append(db, now, writer, EventKind::MessageUpdated, Some(message.as_bytes()), Topics::EVENTS)?;
    }
    Ok(())
}
