//! What callers leave when nobody answers: kept, put into the conversation, sent by mail, told to the phone.

use std::collections::HashMap;

use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::changes;
use super::machine::Event;
use super::sounds::{self, Clip};
use super::view::CallVoicemail;
use super::{Call, Sound, jobs, settings};
use crate::accounts::proofs::ProofState;
use crate::accounts::{self, emails};
use crate::app::App;
use crate::clock::Timestamp;
use crate::contacts;
use crate::db::Db;
use crate::each;
use crate::error::{Error, Result};
use crate::ids::{AccountId, CallId, ContactId, EmailId, MessageId, SoundId, VoicemailId};
use crate::mail::{Attachment, Letter};
use crate::media;
use crate::messaging::notes::{self, Note};
use crate::messaging::{outbox, routes};
use crate::queue::{self, Claimed};
use crate::schema::voicemails;
use crate::texts::CallText;

/// Shorter ones are coughs.
pub const MILLIS_MIN: u32 = 1_000;
/// Messages in one mailbox. Beyond it the oldest that was listened to goes; when nobody has listened to any of so many,
/// the mailbox is full, and who calls hears what he hears where there is no voicemail.
pub const MESSAGES_MAX: i64 = 100;

/// A message after the beep.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = voicemails)]
pub struct Voicemail {
    /// Which.
    pub id: VoicemailId,
    /// Whom it is for.
    pub account_id: AccountId,
    /// Of which call.
    pub call_id: CallId,
    /// From whom.
    pub contact_id: ContactId,
    /// What was said.
    pub sound_id: SoundId,
    /// Where it stands in the conversation.
    pub message_id: Option<MessageId>,
    /// How long it is.
    pub seconds: i32,
    /// When it was listened to.
    pub listened_at: Option<Timestamp>,
}

/// The payload of [`jobs::MAIL_VOICEMAIL`].
#[derive(Debug, Serialize, Deserialize)]
struct MailVoicemail {
    account: AccountId,
    voicemail: VoicemailId,
    email: EmailId,
}

/// Keeps what the caller said after the beep, and ends the call. Only while the call waits for it.
pub fn keep(db: &mut Db, now: Timestamp, call: CallId, millis: u32, mulaw: Vec<u8>) -> Result<Call> {
    let call = changes::apply(db, now, call, Event::MessageLeft)?;
    let account = call.callee;
    let sound = Sound {
        id: SoundId::new(now),
        account,
        call: Some(call.id),
        purpose: "voicemail",
        millis: i32::try_from(millis).unwrap_or(i32::MAX),
        mulaw,
        created_at: now,
    };
    sounds::insert(db, &sound)?;
    let id = VoicemailId::new(now);
    let seconds = i32::try_from(millis.div_ceil(1_000)).unwrap_or(i32::MAX);
    let message = match call.conversation {
        Some(conversation) => notes::write(
            db,
            now,
            &Note {
                conversation,
                sender: call.caller,
                recipient: account,
                kind: "voicemail",
                data: json!({ "id": id, "seconds": seconds, "url": url(id), "listened": false }),
                text: format!("Voicemail, {}:{:02}", seconds / 60, seconds % 60),
                unread: true,
            },
        )?,
        None => None,
    };
    each!(db, |c| diesel::insert_into(voicemails::table)
        .values((
            voicemails::id.eq(id),
            voicemails::account_id.eq(account),
            voicemails::call_id.eq(call.id),
            voicemails::contact_id.eq(call.facts.callee_contact),
            voicemails::sound_id.eq(sound.id),
            voicemails::message_id.eq(message),
            voicemails::seconds.eq(seconds),
            voicemails::listened_at.eq(None::<Timestamp>),
            voicemails::created_at.eq(now),
        ))
        .execute(c))?;
    make_room(db, account)?;
    changes::tell(db, now, &call)?;
    tell_others(db, now, &call, id, seconds)?;
    Ok(call)
}

/// Whether another message can be left: nobody throws away what was not listened to.
pub fn has_room(db: &mut Db, account: AccountId) -> Result<bool> {
    let new: i64 = each!(db, |c| voicemails::table
        .filter(voicemails::account_id.eq(account))
        .filter(voicemails::listened_at.is_null())
        .count()
        .get_result(c))?;
    Ok(new < MESSAGES_MAX)
}

/// The oldest messages that were listened to make room for newer ones.
fn make_room(db: &mut Db, account: AccountId) -> Result<()> {
    let all: i64 =
        each!(db, |c| voicemails::table.filter(voicemails::account_id.eq(account)).count().get_result(c))?;
    let old: Vec<VoicemailId> = each!(db, |c| voicemails::table
        .filter(voicemails::account_id.eq(account))
        .filter(voicemails::listened_at.is_not_null())
        .order(voicemails::id.asc())
        .limit((all - MESSAGES_MAX).max(0))
        .select(voicemails::id)
        .load(c))?;
    old.into_iter().try_for_each(|id| delete(db, account, id))
}

/// Keeps the name that the caller said, for who is called.
pub fn keep_name(db: &mut Db, now: Timestamp, id: CallId, millis: u32, mulaw: &[u8]) -> Result<Call> {
    let call = changes::apply(db, now, id, Event::NameSaid)?;
    let sound = Sound {
        id: SoundId::new(now),
        account: call.callee,
        call: Some(id),
        purpose: "name",
        millis: i32::try_from(millis).unwrap_or(i32::MAX),
        mulaw: mulaw.to_vec(),
        created_at: now,
    };
    sounds::insert(db, &sound)?;
    changes::change(db, now, id, |call| {
        call.facts.said = Some(sound.id);
        Ok(Vec::new())
    })
}

/// The name that the caller said, for who is called.
pub fn name_said(db: &mut Db, account: AccountId, id: CallId) -> Result<Clip> {
    let call = changes::find(db, account, id)?;
    let said = call.facts.said.map(|said| sounds::clip(db, account, said)).transpose()?.flatten();
    said.ok_or_else(|| Error::not_found("name"))
}

fn url(id: VoicemailId) -> String {
    format!("/v1/voicemails/{id}/audio")
}

/// By mail and by SMS, as the account has set.
fn tell_others(db: &mut Db, now: Timestamp, call: &Call, id: VoicemailId, seconds: i32) -> Result<()> {
    let (account, contact) = (call.callee, call.facts.callee_contact);
    let settings = settings::load(db, account)?.voicemail;
    if settings.by_mail
        && let Some(email) = emails::list(db, account)?.into_iter().find(|e| e.state == ProofState::Verified)
    {
        let payload = MailVoicemail { account, voicemail: id, email: email.id };
        queue::enqueue(db, now, jobs::MAIL_VOICEMAIL, None, &payload)?;
    }
    if settings.by_sms
        && let Some(line) = routes::sms_line(db, account, contact)?
    {
        let locale = accounts::load(db, account)?.locale;
        let name = contacts::load(db, account, contact)?.shown_name().to_owned();
        let text = CallText::VoicemailNotice { name: &name, seconds }.render(locale);
        let sms = outbox::NewSms {
            account: Some(account),
            by: None,
            message: None,
            purpose: outbox::Purpose::Unasked,
            order_key: line.to.as_str().to_owned(),
            line,
            text,
        };
        outbox::enqueue(db, now, &sms)?;
    }
    Ok(())
}

/// One voicemail of an account.
pub fn find(db: &mut Db, account: AccountId, id: VoicemailId) -> Result<Voicemail> {
    let found: Option<Voicemail> = each!(db, |c| voicemails::table
        .filter(voicemails::account_id.eq(account))
        .filter(voicemails::id.eq(id))
        .select(Voicemail::as_select())
        .first(c)
        .optional())?;
    found.ok_or_else(|| Error::not_found("voicemail"))
}

/// What was said, to be played.
pub fn sound(db: &mut Db, account: AccountId, id: VoicemailId) -> Result<Clip> {
    let voicemail = find(db, account, id)?;
    sounds::clip(db, account, voicemail.sound_id)?.ok_or_else(|| Error::not_found("voicemail"))
}

/// It was listened to.
pub fn listened(db: &mut Db, now: Timestamp, account: AccountId, id: VoicemailId) -> Result<()> {
    let voicemail = find(db, account, id)?;
    if voicemail.listened_at.is_some() {
        return Ok(());
    }
    each!(db, |c| diesel::update(voicemails::table)
        .filter(voicemails::id.eq(id))
        .set(voicemails::listened_at.eq(now))
        .execute(c))?;
    if let Some(message) = voicemail.message_id {
        notes::rewrite(db, now, message, |data| {
            if let Some(map) = data.as_object_mut() {
                map.insert("listened".to_owned(), true.into());
            }
        })?;
    }
    Ok(())
}

/// It is thrown away; that it was there stays in the conversation.
pub fn delete(db: &mut Db, account: AccountId, id: VoicemailId) -> Result<()> {
    let voicemail = find(db, account, id)?;
    sounds::delete(db, account, voicemail.sound_id)?;
    each!(db, |c| diesel::delete(voicemails::table).filter(voicemails::id.eq(id)).execute(c))?;
    Ok(())
}

/// The voicemails of some calls, for the one they are for.
pub fn of_calls(db: &mut Db, account: AccountId, calls: &[CallId]) -> Result<HashMap<CallId, CallVoicemail>> {
    let rows: Vec<Voicemail> = each!(db, |c| voicemails::table
        .filter(voicemails::account_id.eq(account))
        .filter(voicemails::call_id.eq_any(calls))
        .select(Voicemail::as_select())
        .load(c))?;
    let view = |row: Voicemail| {
        let listened = row.listened_at.is_some();
        let view = CallVoicemail { id: row.id.to_string(), seconds: row.seconds, url: url(row.id), listened };
        (row.call_id, view)
    };
    Ok(rows.into_iter().map(view).collect())
}

/// Sends the letter with the recording.
pub(super) async fn mail(app: &App, job: &Claimed) -> Result<()> {
    let payload: MailVoicemail = serde_json::from_str(&job.payload)?;
    let account = payload.account;
    let read = app.db.read(move |db| {
        let email = emails::list(db, account)?.into_iter().find(|e| e.id == payload.email);
        let Some(email) = email.filter(|e| e.state == ProofState::Verified) else { return Ok(None) };
        let voicemail = find(db, account, payload.voicemail)?;
        let name = contacts::load(db, account, voicemail.contact_id)?.shown_name().to_owned();
        let wav = media::wav(&sounds::find(db, account, voicemail.sound_id)?.unwrap_or_default());
        Ok(Some((email.address, accounts::load(db, account)?.locale, name, voicemail.seconds, wav)))
    });
    let (to, locale, name, seconds, bytes) = match read.await {
        Ok(Some(found)) => found,
        // The address, the voicemail or the account is gone: nobody waits for the letter.
        Ok(None) => return Ok(()),
        Err(error) if *error.kind() == crate::error::Kind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let attachment =
        Attachment { name: "voicemail.wav".to_owned(), content_type: "audio/wav".to_owned(), bytes };
    app.mail
        .send(Letter {
            id: Some(job.id.0.simple().to_string()),
            to,
            subject: CallText::VoicemailMailSubject { name: &name }.render(locale),
            text: CallText::VoicemailMailBody { name: &name, seconds }.render(locale),
            html: None,
            attachments: vec![attachment],
        })
        .await
}
