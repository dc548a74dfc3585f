//! Group MMS: what is said between several phones, one conversation for each of our members in it.
//!
//! A group is the set of its participants' numbers and nothing else: whoever of them writes, in whatever order the
//! carrier names them, it is the same group. The first text that a user sends into it opens it, because only his handset
//! says whom our numbers in the set mean; from then on anybody in the set can write, also somebody who is no user.
//!
//! To its member a group is a conversation with the one who opened it, with a title and the names of all. His answer
//! goes to every phone in the group from the number that he has there: as one group MMS where the number's carrier sends
//! such and all phones can get it, else as an SMS for each, in that phone's thread with him. What it takes is said before.

use std::collections::HashMap;

use diesel::prelude::*;

use super::outbox::{self, NewSms, Purpose, SmsJob};
use super::receive::{Arrived, Received, announce};
use super::routes::{self, Meaning, Route, SmsLine};
use super::submit::{self, Draft, Submitted};
use super::{Message, MessageState, Source, Via, bridge, pushes, receive_and_forward, segments, store};
use crate::accounts::mobiles;
use crate::carriers::InboundSms;
use crate::clock::Timestamp;
use crate::consent;
use crate::contacts;
use crate::contacts::jobs::{PURGE_CONVERSATIONS, PurgeConversations};
use crate::db::Db;
use crate::each;
use crate::error::{Error, Result};
use crate::events::{self, EventKind};
use crate::ids::{AccountId, ContactId, ConversationId, MessageId};
use crate::numbers::{self, Capabilities, Number, NumberState};
use crate::phone::E164;
use crate::queue;
use crate::schema::{contacts as people, group_conversations, group_participants, group_senders, messages};
use crate::texts::Locale;

/// Phones that an answer goes to at most: what carriers allow a group.
const PHONES_MAX: usize = 10;

/// Ends the order key of what goes to a group at once.
const GROUP_THREAD: &str = ":group";

/// A group, as one of our members has it.
#[derive(Debug, Clone, Queryable)]
pub struct Group {
    /// Where it is said.
    pub conversation: ConversationId,
    /// The member.
    pub account: AccountId,
    /// The number that he has in it.
    pub number: E164,
    /// The user whose text opened it.
    pub opener: AccountId,
    /// What the set of participants is called.
    key: Vec<u8>,
}

/// Who takes part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Participant {
    /// His number in the group.
    pub number: E164,
    /// Who he is, when he is a user.
    pub account: Option<AccountId>,
    /// Which of the viewer's contacts he is.
    pub contact: Option<ContactId>,
    /// What the viewer calls him; else his number.
    pub name: String,
}

/// A text into a group.
#[derive(Debug, Clone)]
pub struct GroupText {
    /// Through which carrier.
    pub carrier_id: String,
    /// Who wrote it.
    pub from: E164,
    /// The text.
    pub sms: InboundSms,
    /// Whom it names, when its writer is a user.
    pub route: Option<Route>,
}

/// What a set of participants is called.
fn key_of(text: &GroupText) -> Vec<u8> {
    let mut all: Vec<&str> = text.sms.others.iter().map(E164::as_str).collect();
    all.extend([text.from.as_str(), text.sms.to.as_str()]);
    all.sort_unstable();
    all.dedup();
    blake3::hash(all.join(" ").as_bytes()).as_bytes().to_vec()
}

type Columns = (
    group_conversations::conversation_id,
    group_conversations::account_id,
    group_conversations::number,
    group_conversations::opener_id,
    group_conversations::key,
);
const COLUMNS: Columns = (
    group_conversations::conversation_id,
    group_conversations::account_id,
    group_conversations::number,
    group_conversations::opener_id,
    group_conversations::key,
);

fn find_by_key(db: &mut Db, key: &[u8], number: &E164) -> Result<Option<Group>> {
    Ok(each!(db, |c| group_conversations::table
        .filter(group_conversations::key.eq(key))
        .filter(group_conversations::number.eq(number))
        .select(COLUMNS)
        .first(c)
        .optional())?)
}

/// The group behind a conversation, when it is one.
pub fn find(db: &mut Db, conversation: ConversationId) -> Result<Option<Group>> {
    Ok(each!(db, |c| group_conversations::table
        .filter(group_conversations::conversation_id.eq(conversation))
        .select(COLUMNS)
        .first(c)
        .optional())?)
}

/// Which of these conversations are groups.
pub(super) fn among(db: &mut Db, ids: &[ConversationId]) -> Result<Vec<ConversationId>> {
    let mut found = Vec::new();
    for chunk in ids.chunks(500) {
        let rows: Vec<ConversationId> = each!(db, |c| group_conversations::table
            .filter(group_conversations::conversation_id.eq_any(chunk))
            .select(group_conversations::conversation_id)
            .load(c))?;
        found.extend(rows);
    }
    Ok(found)
}

/// Takes a text into a group; false when it is none of ours and may be an ordinary text.
pub fn receive(db: &mut Db, now: Timestamp, text: &GroupText) -> Result<bool> {
    let key = key_of(text);
    let group = match (find_by_key(db, &key, &text.sms.to)?, &text.route) {
        (Some(group), _) => group,
        (None, Some(route)) => open(db, now, key, text, route)?,
        (None, None) => return Ok(false),
    };
    let Some(contact) = open_contact(db, &group)? else {
        // One of the two has removed or blocked the other: nobody hears it, and nobody is told.
        return Ok(true);
    };
    let route = Route {
        account: group.opener,
        handset: text.route.as_ref().map_or_else(|| crate::ids::HandsetId::floor(now), |route| route.handset),
        contact,
        conversation: group.conversation,
        peer: group.account,
        open: true,
        onward: None,
        guard: Default::default(),
        retired: false,
    };
    let arrived = Arrived {
        now,
        carrier_id: text.carrier_id.clone(),
        carrier_message_id: text.sms.carrier_message_id.clone(),
        route,
        text: bridge::normalize(&text.sms.text),
        segment_count: i16::try_from(text.sms.segment_count).unwrap_or(i16::MAX),
    };
    if let Received::Stored(message) = receive_and_forward(db, &arrived, &text.sms.media)? {
        insert_sender(db, message, &text.from)?;
    }
    Ok(true)
}

/// The opener's contact that the member is, when both still have each other.
fn open_contact(db: &mut Db, group: &Group) -> Result<Option<ContactId>> {
    let Some(member) = store::find_member(db, group.opener, group.conversation)? else { return Ok(None) };
    let Some(line) = store::find_line(db, group.opener, member.contact_id)? else { return Ok(None) };
    let (Some(peer), Some(contact)) = (line.peer_account_id, line.peer_contact_id) else { return Ok(None) };
    let back = store::find_line(db, peer, contact)?;
    let is_open = line.state == "accepted" && back.is_some_and(|back| back.state == "accepted");
    Ok(is_open.then_some(member.contact_id))
}

fn open(db: &mut Db, now: Timestamp, key: Vec<u8>, text: &GroupText, route: &Route) -> Result<Group> {
    let (opener, member) = (route.account, route.peer);
    let line = store::find_line(db, opener, route.contact)?.ok_or_else(|| Error::not_found("contact"))?;
    let theirs = line.peer_contact_id.ok_or_else(|| Error::not_found("contact"))?;
    let conversation = ConversationId::new(now);
    contacts::open_conversation(db, now, &[(conversation, [(opener, route.contact), (member, theirs)])])?;
    let number = text.sms.to.clone();
    each!(db, |c| diesel::insert_into(group_conversations::table)
        .values((
            group_conversations::conversation_id.eq(conversation),
            group_conversations::account_id.eq(member),
            group_conversations::number.eq(&number),
            group_conversations::opener_id.eq(opener),
            group_conversations::key.eq(&key),
            group_conversations::created_at.eq(now),
        ))
        .execute(c))?;
    let mut all = vec![(text.from.clone(), Some(opener)), (number.clone(), Some(member))];
    for other in &text.sms.others {
        // A number of ours means for this group whom it means for the one who opened it.
        let account = match routes::resolve(db, &text.from, other)? {
            Meaning::Contact(route) => Some(route.peer),
            _ => mobiles::holder_of(db, other)?,
        };
        all.push((other.clone(), account));
    }
    for (number, account) in all {
        each!(db, |c| diesel::insert_into(group_participants::table)
            .values((
                group_participants::conversation_id.eq(conversation),
                group_participants::number.eq(&number),
                group_participants::account_id.eq(account),
            ))
            .on_conflict_do_nothing()
            .execute(c))?;
    }
    Ok(Group { conversation, account: member, number, opener, key })
}

fn insert_sender(db: &mut Db, message: MessageId, number: &E164) -> Result<()> {
    each!(db, |c| diesel::insert_into(group_senders::table)
        .values((group_senders::message_id.eq(message), group_senders::number.eq(number)))
        .execute(c))?;
    Ok(())
}

/// The numbers from which messages of groups among these were written.
pub(super) fn senders_of(db: &mut Db, ids: &[MessageId]) -> Result<HashMap<MessageId, E164>> {
    let rows: Vec<(MessageId, E164)> = each!(db, |c| group_senders::table
        .filter(group_senders::message_id.eq_any(ids))
        .select((group_senders::message_id, group_senders::number))
        .load(c))?;
    Ok(rows.into_iter().collect())
}

/// Who takes part, in the order of their numbers, as `viewer` knows them.
pub fn participants(
    db: &mut Db,
    viewer: AccountId,
    conversation: ConversationId,
) -> Result<Vec<Participant>> {
    let rows: Vec<(E164, Option<AccountId>)> = each!(db, |c| group_participants::table
        .filter(group_participants::conversation_id.eq(conversation))
        .select((group_participants::number, group_participants::account_id))
        .order(group_participants::number.asc())
        .load(c))?;
    let accounts: Vec<AccountId> = rows.iter().filter_map(|(_, account)| *account).collect();
    let known: Vec<(Option<AccountId>, ContactId, String, Option<String>)> = each!(db, |c| people::table
        .filter(people::account_id.eq(viewer))
        .filter(people::peer_account_id.eq_any(&accounts))
        .select((people::peer_account_id, people::id, people::display_name, people::custom_name))
        .load(c))?;
    let to_participant = |(number, account): (E164, Option<AccountId>)| {
        let friend = known.iter().find(|(peer, ..)| account.is_some() && *peer == account);
        let name = friend.map(|(_, _, name, custom)| custom.clone().unwrap_or_else(|| name.clone()));
        Participant {
            name: name.unwrap_or_else(|| number.as_str().to_owned()),
            contact: friend.map(|(_, contact, ..)| *contact),
            number,
            account,
        }
    };
    Ok(rows.into_iter().map(to_participant).collect())
}

/// The phones that an answer of `writer` goes to: everybody who is not one of our numbers, and not himself.
pub(super) fn phones(db: &mut Db, all: &[Participant], writer: AccountId) -> Result<Vec<Participant>> {
    let mut phones = Vec::new();
    for participant in all {
        if participant.account != Some(writer) && numbers::find(db, &participant.number)?.is_none() {
            phones.push(participant.clone());
        }
    }
    Ok(phones)
}

/// Answers into a group: to every phone from the writer's number there, and the same words to our other members.
pub(super) fn reply(
    db: &mut Db,
    now: Timestamp,
    writer: AccountId,
    group: &Group,
    draft: &Draft,
    able: &HashMap<String, usize>,
) -> Result<Submitted> {
    if !draft.media.is_empty() {
        return Err(Error::invalid("media", "group_media", "Only words can be sent to a group."));
    }
    if draft.reply_to.is_some() {
        return Err(Error::invalid("reply_to", "group_reply", "An answer to a group quotes nothing."));
    }
    let text = bridge::check_draft(&draft.text)?;
    if let Some(found) = submit::find_sent(db, writer, draft)? {
        return Ok(found);
    }
    let (number, phones) = check_reply(db, writer, group)?;
    let words = bridge::to_sms(&text, None, Locale::En);
    segments::Segments::check(&words)?;
    let together = goes_together(db, &number, &phones, able)?;
    for _ in &phones {
        submit::take_limits(db, now, writer)?;
    }
    let others = other_members(db, group)?;
    let mut touched = vec![writer, group.opener];
    touched.extend(others.iter().flat_map(|other| [other.account, other.opener]));
    events::lock(db, &touched)?;
    let each = if together { 1 } else { usize::from(segments::Segments::count(&words).segment_count) };
    let count = each * phones.len();
    let message = Message {
        id: MessageId::new(now),
        conversation: group.conversation,
        sender: writer,
        recipient: group.opener,
        source: Source::Chat,
        via: Via::Sms,
        text: text.clone(),
        state: MessageState::Queued,
        error_code: None,
        segment_count: i16::try_from(count).ok(),
        client_id: draft.client_id.clone(),
        sent_at: now,
        updated_at: now,
    };
    submit::store_at_both(db, now, &message)?;
    let letter = Letter { group, number: &number, writer, message: message.id, words };
    if together {
        letter.post_together(db, now, phones)?
    } else {
        letter.post_to_each(db, now, phones)?
    }
    for other in others {
        tell(db, now, &other, &group.number, &text)?;
    }
    Ok(Submitted { message, created: true })
}

/// Whether an answer is one group MMS: its carrier sends such, only within North America, and nobody in the group has
/// said STOP, for a group cannot leave one of its members out.
fn goes_together(
    db: &mut Db,
    number: &Number,
    phones: &[Participant],
    able: &HashMap<String, usize>,
) -> Result<bool> {
    let max = able.get(&number.carrier_id).copied().unwrap_or(0);
    let is_near = |number: &E164| number.as_str().starts_with("+1");
    if !(2..=max).contains(&phones.len())
        || !is_near(&number.number)
        || !number.capabilities.has(Capabilities::MMS)
        || !phones.iter().all(|phone| is_near(&phone.number))
    {
        return Ok(false);
    }
    for phone in phones {
        if consent::is_stopped(db, &phone.number, &number.number, &number.carrier_id)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// An answer on its way to the phones of a group. The state of the answer is that of what goes to the one who opened it.
struct Letter<'a> {
    group: &'a Group,
    number: &'a Number,
    writer: AccountId,
    message: MessageId,
    words: String,
}

impl Letter<'_> {
    fn to(&self, phone: &Participant, order_key: String) -> NewSms {
        let is_opener = phone.account == Some(self.group.opener);
        NewSms {
            account: is_opener.then_some(self.group.opener),
            by: Some(self.writer),
            message: is_opener.then_some(self.message),
            purpose: Purpose::Message,
            order_key,
            line: SmsLine {
                carrier_id: self.number.carrier_id.clone(),
                from: self.group.number.clone(),
                to: phone.number.clone(),
            },
            text: self.words.clone(),
        }
    }

    fn post_to_each(&self, db: &mut Db, now: Timestamp, phones: Vec<Participant>) -> Result<()> {
        for phone in phones {
            let sms = self.to(&phone, format!("{}:{}", self.group.conversation, phone.number));
            outbox::enqueue(db, now, &sms)?;
        }
        Ok(())
    }

    /// One MMS, in the name of the opener's phone when it is among them.
    fn post_together(&self, db: &mut Db, now: Timestamp, mut phones: Vec<Participant>) -> Result<()> {
        phones.sort_by_key(|phone| phone.account != Some(self.group.opener));
        let Some((first, others)) = phones.split_first() else { return Ok(()) };
        let sms = NewSms {
            message: Some(self.message),
            ..self.to(first, format!("{}{GROUP_THREAD}", self.group.conversation))
        };
        let others: Vec<E164> = others.iter().map(|phone| phone.number.clone()).collect();
        outbox::enqueue_to_group(db, now, &sms, &others).map(drop)
    }
}

/// From which number and to which phones somebody answers, when he may.
fn check_reply(db: &mut Db, writer: AccountId, group: &Group) -> Result<(Number, Vec<Participant>)> {
    if writer != group.account {
        let detail = "You wrote this group on your phone: write there.";
        return Err(Error::conflict("group_on_phone", detail));
    }
    let number = numbers::find(db, &group.number)?.filter(|number| number.state != NumberState::Retired);
    let (Some(number), Some(_)) = (number, open_contact(db, group)?) else {
        let detail = "Your number in this group is not in use any more: write to its members one by one.";
        return Err(Error::conflict("group_over", detail));
    };
    let all = participants(db, writer, group.conversation)?;
    let phones = phones(db, &all, writer)?;
    if phones.len() > PHONES_MAX {
        let detail = "This group has too many phones to be answered.";
        return Err(Error::conflict("group_too_large", detail));
    }
    Ok((number, phones))
}

/// What an answer to a group will be.
#[derive(Debug, Clone)]
pub struct Outlook {
    /// Through which carrier it goes.
    pub carrier_id: String,
    /// To how many phones.
    pub phones: usize,
    /// Whether as one group MMS, and not as an SMS for each.
    pub together: bool,
}

/// What an answer of `writer` will be; `able`: to how many phones at once each carrier sends a group MMS.
///
/// # Errors
/// `not_found` when it is no group of his; else as for an answer.
pub fn preview(
    db: &mut Db,
    writer: AccountId,
    conversation: ConversationId,
    able: &HashMap<String, usize>,
) -> Result<Outlook> {
    let is_member = store::find_member(db, writer, conversation)?.is_some();
    let group = find(db, conversation)?.filter(|_| is_member);
    let group = group.ok_or_else(|| Error::not_found("conversation"))?;
    let (number, phones) = check_reply(db, writer, &group)?;
    let together = goes_together(db, &number, &phones, able)?;
    Ok(Outlook { carrier_id: number.carrier_id, phones: phones.len(), together })
}

/// The same group as our other members have it.
fn other_members(db: &mut Db, group: &Group) -> Result<Vec<Group>> {
    Ok(each!(db, |c| group_conversations::table
        .filter(group_conversations::key.eq(&group.key))
        .filter(group_conversations::number.ne(&group.number))
        .select(COLUMNS)
        .load(c))?)
}

/// Another of our members hears what one of them wrote.
fn tell(db: &mut Db, now: Timestamp, group: &Group, from: &E164, text: &str) -> Result<()> {
    if open_contact(db, group)?.is_none() {
        return Ok(());
    }
    let id = MessageId::new(now);
    let message = Message {
        id,
        conversation: group.conversation,
        sender: group.opener,
        recipient: group.account,
        source: Source::Chat,
        via: Via::Chat,
        text: text.to_owned(),
        state: MessageState::Sent,
        error_code: None,
        segment_count: None,
        client_id: None,
        sent_at: now,
        updated_at: now,
    };
    store::insert_message(db, &message)?;
    insert_sender(db, id, from)?;
    store::touch_member(db, group.account, group.conversation, id, now, 1)?;
    store::touch_member(db, group.opener, group.conversation, id, now, 0)?;
    announce(db, now, EventKind::MessageCreated, id, group.opener, group.account)?;
    pushes::message_came(db, now, &[group.account])
}

/// Looks once more before one MMS leaves for a group: somebody in it may have said STOP since it was written. Then each
/// phone gets an SMS of its own in its place, which asks for itself; true when that is so.
pub(super) fn split_where_stopped(db: &mut Db, now: Timestamp, job: &SmsJob) -> Result<bool> {
    if job.group.is_empty() {
        return Ok(false);
    }
    let Some(sms) = outbox::find(db, job.sms)?.filter(|sms| sms.state == "queued") else { return Ok(false) };
    let mut has_stopped = false;
    for phone in std::iter::once(&sms.to).chain(&job.group) {
        has_stopped = has_stopped || consent::is_stopped(db, phone, &sms.from, &sms.carrier_id)?;
    }
    if !has_stopped {
        return Ok(false);
    }
    let thread = outbox::give_place(db, now, &sms)?;
    for (n, phone) in std::iter::once(&sms.to).chain(&job.group).enumerate() {
        let is_first = n == 0;
        let line = SmsLine { carrier_id: sms.carrier_id.clone(), from: sms.from.clone(), to: phone.clone() };
        let each = NewSms {
            account: sms.account.filter(|_| is_first),
            by: job.by,
            message: sms.message.filter(|_| is_first),
            purpose: Purpose::Message,
            order_key: format!("{}:{phone}", thread.trim_end_matches(GROUP_THREAD)),
            line,
            text: sms.text.clone(),
        };
        outbox::enqueue(db, now, &each)?;
    }
    Ok(true)
}

/// Forgets the groups of an account; their conversations go with the others.
pub(super) fn erase(db: &mut Db, account: AccountId) -> Result<()> {
    let gone: Vec<ConversationId> = each!(db, |c| group_conversations::table
        .filter(group_conversations::account_id.eq(account).or(group_conversations::opener_id.eq(account)))
        .select(group_conversations::conversation_id)
        .load(c))?;
    forget(db, &gone)?;
    each!(db, |c| diesel::update(group_participants::table)
        .filter(group_participants::account_id.eq(account))
        .set(group_participants::account_id.eq(None::<AccountId>))
        .execute(c))?;
    Ok(())
}

fn forget(db: &mut Db, gone: &[ConversationId]) -> Result<()> {
    for chunk in gone.chunks(500) {
        let said = messages::table.filter(messages::conversation_id.eq_any(chunk)).select(messages::id);
        each!(db, |c| diesel::delete(group_senders::table)
            .filter(group_senders::message_id.eq_any(said))
            .execute(c))?;
        each!(db, |c| diesel::delete(group_participants::table)
            .filter(group_participants::conversation_id.eq_any(chunk))
            .execute(c))?;
        each!(db, |c| diesel::delete(group_conversations::table)
            .filter(group_conversations::conversation_id.eq_any(chunk))
            .execute(c))?;
    }
    Ok(())
}

/// Closes the groups of those who are friends no more, at most `limit`; what was said in them goes with a job.
pub fn prune(db: &mut Db, now: Timestamp, limit: i64) -> Result<()> {
    let friends = diesel::dsl::exists(
        people::table
            .filter(people::account_id.eq(group_conversations::account_id))
            .filter(people::peer_account_id.eq(group_conversations::opener_id.nullable())),
    );
    let gone: Vec<(ConversationId, AccountId, AccountId)> = each!(db, |c| group_conversations::table
        .filter(diesel::dsl::not(friends))
        .select((
            group_conversations::conversation_id,
            group_conversations::account_id,
            group_conversations::opener_id,
        ))
        .limit(limit)
        .load(c))?;
    if gone.is_empty() {
        return Ok(());
    }
    let conversations: Vec<ConversationId> = gone.iter().map(|(id, ..)| *id).collect();
    forget(db, &conversations)?;
    for (id, account, opener) in gone {
        contacts::close_conversation(db, id, &[account, opener])?;
    }
    let purge = PurgeConversations { conversations };
    queue::enqueue(db, now, PURGE_CONVERSATIONS, None, &purge).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phone::RemoteParty;

    #[test]
    fn a_group_is_the_set_of_its_participants() {
        let number = |n: u8| E164::parse(&format!("+1202555010{n}")).unwrap();
        let text = |from: u8, to: u8, others: &[u8]| GroupText {
            carrier_id: "c".to_owned(),
            from: number(from),
            sms: InboundSms {
                carrier_message_id: "m".to_owned(),
                from: RemoteParty::Phone(number(from)),
                to: number(to),
                others: others.iter().map(|n| number(*n)).collect(),
                text: String::new(),
                media: Vec::new(),
                segment_count: 1,
                consent: None,
                origin: Default::default(),
            },
            route: None,
        };
        let one = key_of(&text(1, 2, &[3, 4]));
        assert_eq!(one, key_of(&text(1, 3, &[2, 4])), "as another of our numbers sees it");
        assert_eq!(one, key_of(&text(4, 2, &[1, 3, 3])), "when another one writes");
        assert_ne!(one, key_of(&text(1, 2, &[3])));
        assert_ne!(one, key_of(&text(1, 2, &[3, 4, 5])));
    }
}
