//! STOP, START and HELP, where texts come in and where carriers refuse.
//!
//! Where the carrier obeys by itself it has answered too, and nobody is answered twice. Where it does not, each word is
//! answered: STOP and START when they change something, HELP once a day.

use std::time::Duration;

use super::outbox::{self, NewSms, OutboundSms, Purpose};
use super::receive::{self, CLAIM_CONSENT};
use super::routes::{Meaning, SmsLine, resolve};
use crate::accounts::limits;
use crate::app::App;
use crate::carriers::{InboundSms, StopScope};
use crate::clock::Timestamp;
use crate::consent::{self, Said, Source, Word};
use crate::contacts;
use crate::db::{Db, Lane};
use crate::error::Result;
use crate::phone::E164;
use crate::texts::{ConsentReply, Locale};

/// How often HELP is answered.
const HELP_EVERY: Duration = Duration::from_secs(24 * 3600);

/// The word that an SMS is, as the carrier took it or as we read it.
pub(super) fn word(sms: &InboundSms) -> Option<Word> {
    sms.consent.map(Word::from).or_else(|| consent::word(&sms.text))
}

/// Writes down what a telephone said, tells the friend, and answers where the carrier has not.
pub(super) async fn hear(
    app: &App,
    carrier_id: &str,
    sms: &InboundSms,
    from: &E164,
    word: Word,
) -> Result<()> {
    let now = app.now();
    let scope = app.carriers.get(carrier_id).map_or(StopScope::None, |c| c.capabilities().stop_scope);
    let service = app.settings.public_url.clone();
    let line = SmsLine { carrier_id: carrier_id.to_owned(), from: sms.to.clone(), to: from.clone() };
    let (sid, keyword) = (sms.carrier_message_id.clone(), sms.text.trim().to_owned());
    app.db
        .write(Lane::Any, move |db| {
            if !receive::claim(db, &line.carrier_id, CLAIM_CONSENT, &sid, "", None, now)? {
                return Ok(());
            }
            let said = Said {
                handset: &line.to,
                number: &line.from,
                carrier_id: &line.carrier_id,
                scope,
                word,
                source: Source::Handset,
                keyword: Some(&keyword),
            };
            let changed = consent::record(db, now, &said)?;
            let locale = if changed || word == Word::Help { tell(db, now, &line, word)? } else { Locale::En };
            if scope != StopScope::None {
                return Ok(());
            }
            let answer = match word {
                Word::Stop if changed => ConsentReply::Stopped,
                Word::Start if changed => ConsentReply::Started,
                Word::Help if limits::first_within(db, now, "help", line.to.as_str(), HELP_EVERY)? => {
                    ConsentReply::Help { service: &service }
                }
                Word::Stop | Word::Start | Word::Help => return Ok(()),
            };
            let text = answer.render(locale);
            let order_key = format!("notice:{}", line.to);
            let (account, message, purpose) = (None, None, Purpose::Consent);
            outbox::enqueue(
                db,
                now,
                &NewSms { account, by: None, message, purpose, order_key, line: line.clone(), text },
            )?;
            Ok(())
        })
        .await
}

/// Shows the friend, and answers in which language to speak.
fn tell(db: &mut Db, now: Timestamp, line: &SmsLine, word: Word) -> Result<Locale> {
    match resolve(db, &line.to, &line.from)? {
        Meaning::Contact(route) => {
            if word != Word::Help {
                contacts::note_texts_stopped(db, now, route.account, route.contact, word == Word::Stop)?;
            }
            Ok(crate::accounts::load(db, route.account)?.locale)
        }
        Meaning::Nobody { locale, .. } => Ok(Locale::parse(&locale).unwrap_or_default()),
        Meaning::Stranger if line.to.region() == "KR" => Ok(Locale::Ko),
        Meaning::Stranger | Meaning::Ourselves | Meaning::NotOurs => Ok(Locale::En),
    }
}

/// The carrier would not send because the person has told it STOP: it is written down here too.
pub(super) fn refused(db: &mut Db, now: Timestamp, sms: &OutboundSms, scope: StopScope) -> Result<()> {
    let said = Said {
        handset: &sms.to,
        number: &sms.from,
        carrier_id: &sms.carrier_id,
        scope,
        word: Word::Stop,
        source: Source::Carrier,
        keyword: None,
    };
    if consent::record(db, now, &said)? {
        let line = SmsLine { carrier_id: sms.carrier_id.clone(), from: sms.from.clone(), to: sms.to.clone() };
        tell(db, now, &line, Word::Stop)?;
    }
    Ok(())
}
