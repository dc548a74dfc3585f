//! Reactions: an emoji that one side puts on a message. A telephone sends it as a text and gets it as one.

use std::collections::HashMap;

use diesel::prelude::*;

use super::receive::{self, CLAIM_INBOUND, announce};
use super::routes::{self, Route};
use super::tapbacks::{self, Tapback};
use super::{Message, bridge, lookalikes, outbox, store};
use crate::clock::Timestamp;
use crate::contacts::ContactState;
use crate::db::Db;
use crate::each;
use crate::error::{Error, Result};
use crate::events::EventKind;
use crate::ids::{AccountId, MessageId};
use crate::schema::message_reactions as reactions;

/// How far back a telephone's reaction is looked for, in messages.
const LOOK_BACK: i64 = 50;
/// Characters of a message that a telephone is shown again; longer ones are cut, as they cost.
const QUOTED_MAX: usize = 80;

/// Puts a reaction on a message, in place of an earlier one of the same account; `None` takes it away.
pub fn react(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    id: MessageId,
    emoji: Option<&str>,
) -> Result<Message> {
    if emoji.is_some_and(|emoji| !tapbacks::is_reaction(emoji)) {
        return Err(Error::invalid("emoji", "not_an_emoji", "A reaction is one emoji."));
    }
    let message = store::find_message(db, id)?.ok_or_else(|| Error::not_found("message"))?;
    if message.sender != account && message.recipient != account {
        return Err(Error::not_found("message"));
    }
    let before = find(db, id, account)?;
    if before.as_deref() == emoji {
        return Ok(message);
    }
    put(db, now, &message, account, emoji)?;
    let said = match (emoji, before.as_deref()) {
        (Some(emoji), _) => Some((emoji, false)),
        (None, Some(before)) => Some((before, true)),
        (None, None) => None,
    };
    if let Some((emoji, removed)) = said {
        tell_phone(db, now, account, &message, emoji, removed)?;
    }
    Ok(message)
}

/// A telephone's text that is a reaction to something said in the conversation; `false` when it is a text like others.
pub(super) fn receive(
    db: &mut Db,
    now: Timestamp,
    carrier_id: &str,
    sid: &str,
    route: &Route,
    tapback: &Tapback,
) -> Result<bool> {
    let recent = store::list_thread(db, route.account, route.conversation, None, LOOK_BACK)?;
    let is_meant = |message: &&Message| {
        message.sender == route.peer
            && (tapbacks::is_meant(tapback, &message.text)
                || tapbacks::is_meant(tapback, &lookalikes::economize(&message.text).0)
                || tapbacks::is_meant(tapback, &bridge::normalize(&message.text)))
    };
    let Some(message) = recent.iter().find(is_meant) else { return Ok(false) };
    if !receive::claim(db, carrier_id, CLAIM_INBOUND, sid, "", Some(message.id.as_bytes()), now)? {
        return Ok(true);
    }
    let emoji = (!tapback.removed).then_some(tapback.emoji.as_str());
    put(db, now, message, route.account, emoji)?;
    Ok(true)
}

/// The reactions to these messages: who, and what.
pub(super) fn of_messages(
    db: &mut Db,
    ids: &[MessageId],
) -> Result<HashMap<MessageId, Vec<(AccountId, String)>>> {
    let mut all: HashMap<MessageId, Vec<(AccountId, String)>> = HashMap::new();
    for chunk in ids.chunks(500) {
        let rows: Vec<(MessageId, AccountId, String)> = each!(db, |c| reactions::table
            .filter(reactions::message_id.eq_any(chunk))
            .select((reactions::message_id, reactions::account_id, reactions::emoji))
            .order((reactions::message_id.asc(), reactions::at.asc()))
            .load(c))?;
        for (message, account, emoji) in rows {
            all.entry(message).or_default().push((account, emoji));
        }
    }
    Ok(all)
}

/// Forgets what an account has put on messages.
pub(super) fn erase(db: &mut Db, account: AccountId) -> Result<()> {
    each!(db, |c| diesel::delete(reactions::table).filter(reactions::account_id.eq(account)).execute(c))?;
    Ok(())
}

fn find(db: &mut Db, message: MessageId, account: AccountId) -> Result<Option<String>> {
    Ok(each!(db, |c| reactions::table
        .filter(reactions::message_id.eq(message))
        .filter(reactions::account_id.eq(account))
        .select(reactions::emoji)
        .first(c)
        .optional())?)
}

fn put(
    db: &mut Db,
    now: Timestamp,
    message: &Message,
    account: AccountId,
    emoji: Option<&str>,
) -> Result<()> {
    match emoji {
        Some(emoji) => {
            each!(db, |c| diesel::insert_into(reactions::table)
                .values((
                    reactions::message_id.eq(message.id),
                    reactions::account_id.eq(account),
                    reactions::emoji.eq(emoji),
                    reactions::at.eq(now),
                ))
                .on_conflict((reactions::message_id, reactions::account_id))
                .do_update()
                .set((reactions::emoji.eq(emoji), reactions::at.eq(now)))
                .execute(c))?;
        }
        None => {
            each!(db, |c| diesel::delete(reactions::table)
                .filter(reactions::message_id.eq(message.id))
                .filter(reactions::account_id.eq(account))
                .execute(c))?;
        }
    }
    announce(db, now, EventKind::MessageUpdated, message.id, message.sender, message.recipient)
}

/// Says it to the other side's telephone, when that is how the other side is reached.
fn tell_phone(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    message: &Message,
    emoji: &str,
    removed: bool,
) -> Result<()> {
    let peer = if message.sender == account { message.recipient } else { message.sender };
    let Some(member) = store::find_member(db, account, message.conversation)? else { return Ok(()) };
    let Some(line) = store::find_line(db, account, member.contact_id)? else { return Ok(()) };
    let Some(peer_contact) = line.peer_contact_id.filter(|_| line.state == ContactState::Accepted.as_str())
    else {
        return Ok(());
    };
    let back = store::find_line(db, peer, peer_contact)?;
    if back.is_none_or(|back| back.state != ContactState::Accepted.as_str()) {
        return Ok(());
    }
    let Some(line) = routes::sms_line(db, peer, peer_contact)? else { return Ok(()) };
    let cheap = lookalikes::economize(&message.text).0.into_owned();
    let quoted = match cheap.char_indices().nth(QUOTED_MAX) {
        Some((end, _)) => format!("{}…", cheap.get(..end).unwrap_or_default()),
        None => cheap,
    };
    let sms = outbox::NewSms {
        account: Some(peer),
        by: Some(account),
        message: None,
        purpose: outbox::Purpose::Message,
        order_key: message.conversation.to_string(),
        line,
        text: tapbacks::render(emoji, removed, &quoted),
    };
    outbox::enqueue(db, now, &sms)?;
    Ok(())
}
