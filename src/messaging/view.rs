//! Messages and conversations as a client sees them: by one of the two sides.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extras::Extras;
use super::groups::{self, Participant};
use super::replies::{self, ReplyView};
use super::{Message, Source, Via, notes, reactions, store};
use crate::accounts::idempotency::CLIENT_ID_PREFIX;
use crate::attachments::view::{self as files, MediaView};
use crate::db::Db;
use crate::each;
use crate::error::{Error, Result};
use crate::ids::{AccountId, CallId, ContactId, ConversationId, MessageId};
use crate::schema::{accounts, contacts};

/// Why a message did not arrive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MessageError {
    /// A stable word, or the carrier's own number.
    pub code: String,
    /// A sentence.
    pub detail: String,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MessageView {
    /// `msg_…`
    #[schema(value_type = String)]
    pub id: MessageId,
    /// `cnv_…`
    #[schema(value_type = String)]
    pub conversation_id: ConversationId,
    /// The writer's address, `meari:bob`.
    pub sender: String,
    /// Whether the asking account wrote it.
    pub mine: bool,
    /// `inbound` came from the telephone network, `outbound` goes there, `internal` does neither.
    pub direction: String,
    /// `sms` when the telephone network carries it, else `chat`.
    pub via: String,
    /// `text`, or `call` or `voicemail` for what was spoken.
    #[serde(default = "text_kind")]
    pub kind: String,
    /// The call, when it is one.
    #[serde(default)]
    pub call: Option<CallNote>,
    /// The voicemail, when it is one; the one who left it does not see it.
    #[serde(default)]
    pub voicemail: Option<VoicemailNote>,
    /// Who wrote it, when it was written into a group on the telephone.
    #[serde(default)]
    pub group_sender: Option<ParticipantView>,
    /// What it says.
    pub text: String,
    /// Pictures and files.
    pub media: Vec<MediaView>,
    /// `received`, `queued`, `sent`, `delivered`, `undelivered`, `failed`, `unknown` or `read`.
    pub state: String,
    /// Why it did not arrive.
    pub error: Option<MessageError>,
    /// What it costs, in SMS segments.
    pub segments: Option<i16>,
    /// The writer's own id; only he sees it.
    pub client_id: Option<String>,
    /// The message it answers, in short.
    #[serde(default)]
    pub reply_to: Option<ReplyView>,
    /// What the two sides have put on it.
    #[serde(default)]
    pub reactions: Vec<ReactionView>,
    /// When it was written, RFC 3339.
    pub sent_at: String,
}

fn text_kind() -> String {
    "text".to_owned()
}

/// Somebody who takes part in a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = GroupParticipant)]
pub struct ParticipantView {
    /// His number in the group, E.164.
    pub number: String,
    /// What you call him, else his number.
    pub name: String,
    /// Which of your contacts he is, `con_…`.
    pub contact_id: Option<String>,
    /// Whether it is you.
    pub you: bool,
}

/// A group of phones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Group)]
pub struct GroupView {
    /// Everybody in it, you too.
    pub participants: Vec<ParticipantView>,
    /// What an answer does: `phones` (it goes to every phone, as one group MMS where the number's carrier sends such, else
    /// as an SMS to each in its thread with you; a preview tells), or `none`: you
    /// wrote this group on your phone, write there.
    pub reply: String,
    /// To how many phones an answer goes.
    pub sms: usize,
}

/// A call that was, in a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallNote {
    /// `call_…`
    pub id: String,
    /// Where it stands: `ended`.
    pub state: String,
    /// How long they talked.
    pub seconds: i64,
    /// Whether the asking account missed it.
    pub missed: bool,
    /// Why it was over, as in the call itself.
    pub end_reason: Option<String>,
    /// What was recorded of it.
    #[serde(default)]
    pub recording: Option<RecordingNote>,
}

/// What was recorded of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RecordingNote {
    /// Where it can be heard, with the account's token.
    pub url: String,
    /// How long it is.
    pub seconds: i64,
}

/// A voicemail, in a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VoicemailNote {
    /// `vml_…`
    pub id: String,
    /// How long it is.
    pub seconds: i64,
    /// Where it can be heard, with the account's token.
    pub url: String,
    /// Whether it was.
    pub listened: bool,
}

/// An emoji on a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Reaction)]
pub struct ReactionView {
    /// The emoji.
    pub emoji: String,
    /// Whether the asking account put it there.
    pub mine: bool,
}

/// The other side of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ConversationContact {
    /// `con_…`
    #[schema(value_type = String)]
    pub id: ContactId,
    /// The name the account sees.
    pub display_name: String,
    /// `meari:alice`
    pub address: String,
}

/// A conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ConversationView {
    /// `cnv_…`
    #[schema(value_type = String)]
    pub id: ConversationId,
    /// With whom. Of a group: who opened it, under the names of all.
    pub contact: ConversationContact,
    /// The group, when it is one.
    #[serde(default)]
    pub group: Option<GroupView>,
    /// The newest message.
    pub last_message: Option<MessageView>,
    /// Messages not read yet.
    pub unread: i64,
    /// The newest message that was read.
    #[schema(value_type = Option<String>)]
    pub read_up_to: Option<MessageId>,
    /// When something was last said, RFC 3339.
    pub updated_at: Option<String>,
}

fn detail_of(code: &str) -> &'static str {
    match code {
        "interrupted" | "timed_out" => "It may have been sent; the carrier has not said.",
        "30003" | "handset_absent" => "The phone is switched off or out of reach.",
        "21610" | "opted_out" => "The phone has asked not to be written to from this number.",
        "30007" | "30034" => "The carrier filtered the message.",
        "no_number" => "There was no number for a day from which it could be sent.",
        "carrier_misconfigured" => "The carrier refuses our account at the moment.",
        _ => "The carrier could not deliver the message.",
    }
}

fn to_view(
    message: Message,
    viewer: AccountId,
    handles: &HashMap<AccountId, String>,
    media: Vec<MediaView>,
) -> MessageView {
    let mine = message.sender == viewer;
    let by_sms = message.source == Source::Sms || message.via == Via::Sms;
    let direction = match (message.source, message.via) {
        (Source::Sms, _) => "inbound",
        (Source::Chat, Via::Sms) => "outbound",
        (Source::Chat, Via::Chat) => "internal",
    };
    let sender = handles.get(&message.sender).map_or_else(String::new, |handle| format!("meari:{handle}"));
    let error = message.error_code.map(|code| MessageError { detail: detail_of(&code).to_owned(), code });
    MessageView {
        id: message.id,
        conversation_id: message.conversation,
        sender,
        mine,
        direction: direction.to_owned(),
        via: if by_sms { "sms" } else { "chat" }.to_owned(),
        kind: text_kind(),
        call: None,
        voicemail: None,
        group_sender: None,
        text: message.text,
        media,
        state: message.state.as_str().to_owned(),
        error,
        segments: message.segment_count,
        client_id: message.client_id.filter(|id| mine && !id.starts_with(CLIENT_ID_PREFIX)),
        reply_to: None,
        reactions: Vec::new(),
        sent_at: message.sent_at.to_rfc3339(),
    }
}

/// Shows messages to one side; messages of others are left out. In the order given.
pub fn show(db: &mut Db, viewer: AccountId, messages: Vec<Message>) -> Result<Vec<MessageView>> {
    let mut senders: Vec<AccountId> = messages.iter().map(|m| m.sender).collect();
    senders.sort_unstable();
    senders.dedup();
    let handles = handles(db, &senders)?;
    show_named(db, viewer, messages, &handles)
}

fn show_named(
    db: &mut Db,
    viewer: AccountId,
    messages: Vec<Message>,
    handles: &HashMap<AccountId, String>,
) -> Result<Vec<MessageView>> {
    let ids: Vec<MessageId> = messages.iter().map(|m| m.id).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let extras = Extras::of(db, &ids)?;
    let mut media = if extras.media { files::of_messages(db, &ids)? } else { HashMap::new() };
    let seen = messages.into_iter().filter(|m| m.sender == viewer || m.recipient == viewer);
    let view = |m: Message| {
        let files = media.remove(&m.id).unwrap_or_default();
        to_view(m, viewer, handles, files)
    };
    let mut views: Vec<MessageView> = seen.map(view).collect();
    if extras.reactions {
        let mut all = reactions::of_messages(db, &ids)?;
        for view in &mut views {
            let put = all.remove(&view.id).unwrap_or_default().into_iter();
            view.reactions = put.map(|(who, emoji)| ReactionView { emoji, mine: who == viewer }).collect();
        }
    }
    if extras.quotes {
        let mut quoted = replies::of_messages(db, viewer, &ids)?;
        views.iter_mut().for_each(|view| view.reply_to = quoted.remove(&view.id));
    }
    if extras.group_senders {
        show_group_senders(db, viewer, &mut views)?;
    }
    if extras.notes {
        show_notes(db, viewer, &ids, &mut views)?;
    }
    Ok(views)
}

fn handles(db: &mut Db, of: &[AccountId]) -> Result<HashMap<AccountId, String>> {
    let rows: Vec<(AccountId, String)> = each!(db, |c| accounts::table
        .filter(accounts::id.eq_any(of))
        .select((accounts::id, accounts::handle))
        .load(c))?;
    Ok(rows.into_iter().collect())
}

fn show_notes(db: &mut Db, viewer: AccountId, ids: &[MessageId], views: &mut [MessageView]) -> Result<()> {
    let mut notes = notes::of_messages(db, ids)?;
    for view in &mut *views {
        let Some((kind, data)) = notes.remove(&view.id) else { continue };
        match kind.as_str() {
            "voicemail" if !view.mine => view.voicemail = serde_json::from_value(data)?,
            "voicemail" => {}
            _ => {
                let mut call: CallNote = serde_json::from_value(data)?;
                call.missed = call.missed && !view.mine;
                view.call = Some(call);
            }
        }
        view.kind = kind;
    }
    // Each side deletes its own, and in time both are forgotten.
    let call_of = |view: &MessageView| {
        view.call.as_ref().filter(|call| call.recording.is_some()).and_then(|call| call.id.parse().ok())
    };
    let calls: Vec<CallId> = views.iter().filter_map(call_of).collect();
    if calls.is_empty() {
        return Ok(());
    }
    let recorded = notes::recorded(db, viewer, &calls)?;
    for view in views {
        let is_gone = call_of(view).is_some_and(|id: CallId| !recorded.contains(&id));
        if let Some(call) = view.call.as_mut().filter(|_| is_gone) {
            call.recording = None;
        }
    }
    Ok(())
}

fn show_participant(viewer: AccountId, participant: &Participant) -> ParticipantView {
    ParticipantView {
        number: participant.number.as_str().to_owned(),
        name: participant.name.clone(),
        contact_id: participant.contact.map(|id| id.to_string()),
        you: participant.account == Some(viewer),
    }
}

/// Who wrote what came from the telephone into a group: the row of a message knows the two sides of a conversation only.
fn show_group_senders(db: &mut Db, viewer: AccountId, views: &mut [MessageView]) -> Result<()> {
    let ids: Vec<MessageId> = views.iter().map(|view| view.id).collect();
    let senders = groups::senders_of(db, &ids)?;
    let mut known: HashMap<ConversationId, Vec<Participant>> = HashMap::new();
    for view in views {
        let Some(number) = senders.get(&view.id) else { continue };
        let all = match known.entry(view.conversation_id) {
            Entry::Occupied(found) => found.into_mut(),
            Entry::Vacant(free) => free.insert(groups::participants(db, viewer, view.conversation_id)?),
        };
        let Some(sender) = all.iter().find(|p| p.number == *number) else { continue };
        let shown = show_participant(viewer, sender);
        view.mine = shown.you;
        if !shown.you && sender.contact.is_none() {
            view.sender = format!("tel:{}", shown.number);
        }
        view.group_sender = Some(shown);
    }
    Ok(())
}

fn group_view(
    db: &mut Db,
    viewer: AccountId,
    conversation: ConversationId,
) -> Result<Option<(GroupView, String)>> {
    let Some(group) = groups::find(db, conversation)? else { return Ok(None) };
    let all = groups::participants(db, viewer, conversation)?;
    let can_answer = group.account == viewer;
    let sms = if can_answer { groups::phones(db, &all, viewer)?.len() } else { 0 };
    let title: Vec<String> =
        all.iter().filter(|p| p.account != Some(viewer)).map(|p| p.name.clone()).collect();
    let view = GroupView {
        participants: all.iter().map(|p| show_participant(viewer, p)).collect(),
        reply: if can_answer { "phones" } else { "none" }.to_owned(),
        sms,
    };
    Ok(Some((view, title.join(", "))))
}

/// Shows messages by their ids, in no particular order.
pub fn messages(db: &mut Db, viewer: AccountId, ids: &[MessageId]) -> Result<Vec<MessageView>> {
    if let [one] = ids {
        let Some((message, handle)) = store::find_with_handle(db, *one)? else { return Ok(Vec::new()) };
        let handles = handle.map(|handle| (message.sender, handle)).into_iter().collect();
        return show_named(db, viewer, vec![message], &handles);
    }
    let found = store::list_messages(db, ids)?;
    show(db, viewer, found)
}

/// A page of a conversation, newest first.
pub fn thread(
    db: &mut Db,
    viewer: AccountId,
    conversation: ConversationId,
    before: Option<MessageId>,
    limit: i64,
) -> Result<Vec<MessageView>> {
    if store::find_member(db, viewer, conversation)?.is_none() {
        return Err(Error::not_found("conversation"));
    }
    let found = store::list_thread(db, viewer, conversation, before, limit)?;
    show(db, viewer, found)
}

/// The messages of a conversation from one on, newest first: itself and those that follow.
pub fn thread_from(
    db: &mut Db,
    viewer: AccountId,
    conversation: ConversationId,
    from: MessageId,
    limit: i64,
) -> Result<Vec<MessageView>> {
    if store::find_member(db, viewer, conversation)?.is_none() {
        return Err(Error::not_found("conversation"));
    }
    let found = store::list_thread_from(db, viewer, conversation, from, limit)?;
    show(db, viewer, found)
}

/// All conversations of an account, or one, the liveliest first.
pub fn conversations(
    db: &mut Db,
    viewer: AccountId,
    only: Option<ConversationId>,
) -> Result<Vec<ConversationView>> {
    let mut members = match only {
        Some(conversation) => store::find_member(db, viewer, conversation)?.into_iter().collect(),
        None => store::list_members(db, viewer)?,
    };
    members.sort_by_key(|m| std::cmp::Reverse((m.last_message_at, m.conversation_id)));
    let last: Vec<MessageId> = members.iter().filter_map(|m| m.last_message_id).collect();
    let mut shown: HashMap<MessageId, MessageView> = HashMap::new();
    for chunk in last.chunks(500) {
        shown.extend(messages(db, viewer, chunk)?.into_iter().map(|m| (m.id, m)));
    }
    let people = contacts_of(db, viewer, &members)?;
    let ids: Vec<ConversationId> = members.iter().map(|m| m.conversation_id).collect();
    let mut shown_groups = HashMap::new();
    for id in groups::among(db, &ids)? {
        if let Some(group) = group_view(db, viewer, id)? {
            shown_groups.insert(id, group);
        }
    }
    let mut to_view = |m: store::Member| {
        let mut contact = people.get(&m.contact_id)?.clone();
        let group = shown_groups.remove(&m.conversation_id).map(|(group, title)| {
            contact.display_name = title;
            group
        });
        Some(ConversationView {
            id: m.conversation_id,
            contact,
            group,
            last_message: m.last_message_id.and_then(|id| shown.get(&id).cloned()),
            unread: m.unread_count,
            read_up_to: m.read_up_to,
            updated_at: m.last_message_at.map(|at| at.to_rfc3339()),
        })
    };
    Ok(members.into_iter().filter_map(&mut to_view).collect())
}

fn contacts_of(
    db: &mut Db,
    viewer: AccountId,
    members: &[store::Member],
) -> Result<HashMap<ContactId, ConversationContact>> {
    let ids: Vec<ContactId> = members.iter().map(|m| m.contact_id).collect();
    let mut people = HashMap::with_capacity(ids.len());
    for chunk in ids.chunks(500) {
        let rows: Vec<(ContactId, String, Option<String>, String, String)> = each!(db, |c| contacts::table
            .filter(contacts::account_id.eq(viewer))
            .filter(contacts::id.eq_any(chunk))
            .select((
                contacts::id,
                contacts::display_name,
                contacts::custom_name,
                contacts::network,
                contacts::address,
            ))
            .load(c))?;
        for (id, display_name, custom_name, network, address) in rows {
            let display_name = custom_name.unwrap_or(display_name);
            people.insert(
                id,
                ConversationContact { id, display_name, address: format!("{network}:{address}") },
            );
        }
    }
    Ok(people)
}
