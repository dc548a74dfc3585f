//! What people write in a client.

use super::receive::announce;
use super::routes::{self};
use super::{Message, MessageState, Source, Via, bridge, outbox, parcel, pushes, segments, store};
use crate::attachments::{self, Sides};
use crate::clock::Timestamp;
use crate::db::{Db, OnConflict, Topics};
use crate::error::{Error, Result};
use crate::events::{self, EventKind};
use crate::ids::{AccountId, ContactId, ConversationId, MediaId, MessageId};
use crate::{accounts, contacts};

/// Characters in a client's own id at most.
const CLIENT_ID_MAX: usize = 64;
/// Read marks written at once; older ones are implied.
const READ_MAX: i64 = 200;

/// A message as a client hands it in.
#[derive(Debug, Clone)]
pub struct Draft {
    /// What it says; may be empty when there are pictures or files.
    pub text: String,
    /// Pictures and files that the writer uploaded, in their order.
    pub media: Vec<MediaId>,
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

/// Writes to a conversation.
pub fn submit(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    conversation: ConversationId,
    draft: &Draft,
) -> Result<Submitted> {
    let member =
        store::find_member(db, account, conversation)?.ok_or_else(|| Error::not_found("conversation"))?;
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
    if draft.client_id.as_ref().is_some_and(|id| id.is_empty() || id.len() > CLIENT_ID_MAX) {
        return Err(Error::invalid("client_id", "bad_client_id", "client_id has 1 to 64 characters."));
    }
    if let Some(client_id) = &draft.client_id
        && let Some(message) = store::find_by_client_id(db, account, client_id)?
    {
        return Ok(Submitted { message, created: false });
    }
    let line = store::find_line(db, account, contact)?.ok_or_else(|| Error::not_found("contact"))?;
    let (Some(conversation), Some(peer), Some(peer_contact)) =
        (line.conversation_id, line.peer_account_id, line.peer_contact_id)
    else {
        return Err(not_friends());
    };
    let back = store::find_line(db, peer, peer_contact)?.ok_or_else(not_friends)?;
    if line.state != "accepted" {
        return Err(not_friends());
    }
    let id = MessageId::new(now);
    let mut message = Message {
        id,
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
    let sides = Sides { message: id, writer: account, reader: peer };
    if back.state == "blocked" {
        // Who is blocked is not told; his words stay on his side.
        attachments::attach(db, Sides { reader: account, ..sides }, &draft.media)?;
        return store_unheard(db, now, message);
    }
    let sms = match routes::sms_line(db, peer, peer_contact)? {
        Some(line) => Some(to_sms(db, &mut message, draft.media.len(), peer_contact, line)?),
        None => None,
    };
    insert(db, &message)?;
    attachments::attach(db, sides, &draft.media)?;
    if !store::touch_member(db, account, conversation, id, now, 0)?
        || !store::touch_member(db, peer, conversation, id, now, 1)?
    {
        return Err(not_friends());
    }
    announce(db, now, EventKind::MessageCreated, id, account, peer)?;
    match sms {
        Some(sms) if draft.media.is_empty() => drop(outbox::enqueue(db, now, &sms)?),
        Some(sms) => drop(outbox::enqueue_with_media(db, now, &sms)?),
        None => pushes::message_came(db, now, &[peer])?,
    }
    Ok(Submitted { message, created: true })
}

fn not_friends() -> Error {
    Error::conflict("not_accepted", "You can write to each other once the request is accepted.")
}

fn insert(db: &mut Db, message: &Message) -> Result<()> {
    // Two requests with one client id at the same moment: the loser is run again and finds the winner's message.
    store::insert_message(db, message).on_unique_violation(|| {
        Error::conflict("sent_before", "A message with this client_id is being sent.")
    })?;
    Ok(())
}

fn store_unheard(db: &mut Db, now: Timestamp, message: Message) -> Result<Submitted> {
    insert(db, &message)?;
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

/// Makes the message one that goes by SMS.
fn to_sms(
    db: &mut Db,
    message: &mut Message,
    media_count: usize,
    peer_contact: ContactId,
    line: routes::SmsLine,
) -> Result<outbox::NewSms> {
    let peer = message.recipient;
    let known = contacts::books::card_is_on_phone(db, peer, peer_contact)?
        || store::has_sms_before(db, message.conversation, peer)?;
    let locale = accounts::load(db, peer)?.locale;
    let contact = contacts::load(db, peer, peer_contact)?;
    let text = bridge::to_sms(&message.text, (!known).then(|| contact.shown_name()), locale);
    // Where no MMS goes, a link stands for each picture: the text must leave room for some. More of them is seldom, and
    // told when the carrier is known.
    let links = format!("\n{}", "x".repeat(parcel::LINK_CHARS_MAX)).repeat(media_count.min(2));
    segments::Segments::check(&format!("{text}{links}"))?;
    let cost = segments::Segments::count(&text);
    message.via = Via::Sms;
    message.state = MessageState::Queued;
    message.segment_count = i16::try_from(cost.segment_count).ok();
    Ok(outbox::NewSms {
        account: Some(peer),
        message: Some(message.id),
        purpose: outbox::Purpose::Message,
        order_key: message.conversation.to_string(),
        line,
        text,
    })
}

/// Notes how far an account has read, and tells the writers.
pub fn read_up_to(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    conversation: ConversationId,
    up_to: MessageId,
) -> Result<()> {
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
