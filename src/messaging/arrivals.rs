//! What carriers hand over, brought to the operations: routes from memory, batches, polite answers to the lost.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use super::groups::{self, GroupText};
use super::guard::{self, Means, Suspect, Verdict};
use super::intake::{self, Coming, Taken, Whom};
use super::outbox::{self, NewSms, Purpose};
use super::receive::{self, Received};
use super::routes::{Meaning, Route, Routes, SmsLine, resolve_many, sms_line};
use super::{bridge, consenting, reactions, receipts, receive_and_forward, rounds, tapbacks};
use crate::accounts::limits::{self, Limit};
use crate::accounts::mobiles;
use crate::app::App;
use crate::carriers::{CarrierEvent, DeliveryReceipt, InboundSms, ReceiptState, StopScope};
use crate::clock::Timestamp;
use crate::db::{Db, HotOperation, HotRead, Lane};
use crate::error::{Error, Kind, Result};
use crate::ids::{AccountId, ContactId, HandsetId};
use crate::phone::E164;
use crate::texts::{GuardText, Locale, Text};
use crate::{accounts, contacts, presence};

/// The lost are told once a day what the number is.
const NOTICE_EVERY: Duration = Duration::from_secs(24 * 3600);
/// Answers to strangers altogether, so that nobody makes us send by forged senders.
const NOTICES_ALL: Limit =
    Limit { name: "notices_all", code: "too_many_notices", max: 600, window: Duration::from_secs(3600) };
/// A sign of life is written down once a minute at most.
const HEARD_EVERY: Duration = Duration::from_secs(60);

/// A handset that was heard from.
type Heard = (Timestamp, AccountId, HandsetId);

/// The carriers' way in. One for each process.
pub struct Arrivals {
    routes: Arc<Routes>,
    resolve: HotRead<(E164, E164), Meaning>,
    receive: HotOperation<Coming, Taken>,
    heard: HotOperation<Heard, ()>,
    heard_lately: Cache<HandsetId, ()>,
}

impl Arrivals {
    /// Puts the caches in front of the database and has them told of changes.
    pub fn open(app: &App) -> Arrivals {
        let routes = Arc::new(Routes::default());
        let listener = routes.clone();
        app.on_signal(move |signal| listener.hear(signal));
        Arrivals {
            routes,
            resolve: HotRead::new(&app.db, resolve_many),
            receive: HotOperation::new(&app.db, intake::take),
            heard: HotOperation::new(&app.db, note_heard),
            heard_lately: Cache::builder().max_capacity(200_000).time_to_live(HEARD_EVERY).build(),
        }
    }

    /// What a carrier says at once. Returns when all of it is durable, or was before; one event that cannot be stored
    /// does not hold up the others, and the carrier says all of them again.
    pub async fn take(&self, app: &App, carrier_id: &str, events: Vec<CarrierEvent>) -> Result<()> {
        let mut outcome = Ok(());
        for event in events {
            let taken = match event {
                CarrierEvent::Sms(sms) => self.sms(app, carrier_id, sms).await,
                CarrierEvent::DeliveryReceipt(receipt) => self.receipt(app, carrier_id, receipt).await,
            };
            outcome = outcome.and(taken);
        }
        outcome
    }

    /// An SMS from the telephone network. Returns when it is durable, or was before.
    pub async fn sms(&self, app: &App, carrier_id: &str, sms: InboundSms) -> Result<()> {
        let Some(from) = sms.from.phone().cloned() else {
            // Short codes and names cannot be anybody's handset and cannot be answered.
            tracing::info!(carrier = carrier_id, "an SMS from no telephone was passed over");
            return Ok(());
        };
        app.tallies.note(carrier_id, |tally| tally.inbound += 1);
        if let Some(word) = consenting::word(&sms) {
            consenting::hear(app, carrier_id, &sms, &from, word).await?;
        }
        if !sms.others.is_empty() && self.to_group(app, carrier_id, &sms, &from).await? {
            return Ok(());
        }
        let known = self.routes.get(&from, &sms.to);
        if known.is_none() && self.to_unknown(app, carrier_id, &sms, &from).await? {
            return Ok(());
        }
        // A route may be as old as a minute when another node changed it; the second look is fresh.
        let mut known = known.map(|route| Meaning::Contact(Box::new(route)));
        for _ in 0..2 {
            let meaning = match known.take() {
                Some(meaning) => meaning,
                None => self.meaning(&from, &sms.to).await?,
            };
            let Meaning::Contact(route) = meaning else {
                return self.lost(app, carrier_id, &sms, &from, meaning).await;
            };
            if self.to_contact(app, carrier_id, &sms, *route).await? != Received::Stale {
                return Ok(());
            }
            self.routes.forget(&from, &sms.to);
        }
        // Nothing was stored: the carrier shall say it again.
        Err(Error::unavailable(
            "route_changes",
            "Whom this is for is being changed. Say it again in a moment.",
        ))
    }

    /// What a pair means now.
    async fn meaning(&self, from: &E164, to: &E164) -> Result<Meaning> {
        let stamp = self.routes.stamp();
        let meaning = self.resolve.call((from.clone(), to.clone())).await?;
        if let Meaning::Contact(route) = &meaning {
            self.routes.put(from, to, route, stamp);
        }
        Ok(meaning)
    }

    /// A text of which nothing is known but the two numbers; false when it wants a closer look.
    async fn to_unknown(&self, app: &App, carrier_id: &str, sms: &InboundSms, from: &E164) -> Result<bool> {
        if !sms.media.is_empty() || tapbacks::parse(&sms.text).is_some() {
            return Ok(false);
        }
        let stamp = self.routes.stamp();
        let origin = sms.origin.clone();
        let whom = Whom::Pair { from: from.clone(), to: sms.to.clone(), origin };
        let taken =
            self.receive.call(Lane::of_word(from.as_str()), coming(app, carrier_id, sms, whom)).await?;
        let Taken::Found(received, route) = taken else { return Ok(false) };
        self.note_heard(app, route.account, route.handset);
        self.routes.put(from, &sms.to, &route, stamp);
        if matches!(received, Received::Stored(_)) {
            app.metrics.message("inbound", "received");
        }
        Ok(received != Received::Stale)
    }

    /// Takes a text of a group; false when it is an ordinary one for us: our number in it names nobody, or somebody
    /// who has no client and is reached by SMS.
    async fn to_group(&self, app: &App, carrier_id: &str, sms: &InboundSms, from: &E164) -> Result<bool> {
        let meaning = self.meaning(from, &sms.to).await?;
        let route = if let Meaning::Contact(route) = meaning { Some(*route) } else { None };
        if let Some(route) = &route {
            if route.onward.is_some() || !route.open {
                return Ok(false);
            }
            if !self.is_his(app, carrier_id, sms, route).await? {
                return Ok(true);
            }
            self.note_heard(app, route.account, route.handset);
        }
        let (now, lane) = (app.now(), route.as_ref().map_or(Lane::Any, |route| Lane::Of(route.account)));
        let text =
            GroupText { carrier_id: carrier_id.to_owned(), from: from.clone(), sms: sms.clone(), route };
        let taken = app.db.write(lane, move |db| groups::receive(db, now, &text)).await?;
        if taken {
            app.metrics.message("inbound", "received");
        }
        Ok(taken)
    }

    async fn to_contact(
        &self,
        app: &App,
        carrier_id: &str,
        sms: &InboundSms,
        route: Route,
    ) -> Result<Received> {
        if !self.is_his(app, carrier_id, sms, &route).await? {
            return Ok(Received::Duplicate);
        }
        self.note_heard(app, route.account, route.handset);
        if !route.open {
            // Whoever is blocked is not told.
            return Ok(Received::Duplicate);
        }
        let retired = route.retired.then_some((route.account, route.contact));
        if let Some(tapback) = tapbacks::parse(&sms.text).filter(|_| route.onward.is_none()) {
            let (now, account) = (app.now(), route.account);
            let (route, carrier) = (route.clone(), carrier_id.to_owned());
            let sid = sms.carrier_message_id.clone();
            let react = move |db: &mut Db| reactions::receive(db, now, &carrier, &sid, &route, &tapback);
            if app.db.write(account, react).await? {
                return Ok(Received::Duplicate);
            }
        }
        // With pictures it is not the hot path either: their rows and jobs belong into the same transaction.
        let (lane, alone) = (route.account, route.onward.is_some() || !sms.media.is_empty());
        let received = if alone {
            let whom = Whom::Known(Box::new(route.clone()));
            let (arrived, media) = (coming(app, carrier_id, sms, whom).to(route), sms.media.clone());
            app.db.write(lane, move |db| receive_and_forward(db, &arrived, &media)).await?
        } else {
            let coming = coming(app, carrier_id, sms, Whom::Known(Box::new(route)));
            match self.receive.call(lane, coming).await? {
                Taken::Known(received) | Taken::Found(received, _) => received,
                Taken::NotPlain => Received::Stale,
            }
        };
        if matches!(received, Received::Stored(_)) {
            app.metrics.message("inbound", "received");
            if let Some((account, contact)) = retired {
                let (now, from, to) = (app.now(), sms.from.phone().cloned(), sms.to.clone());
                let tell = move |db: &mut Db| tell_new_number(db, now, account, contact, from.as_ref(), &to);
                app.db.write(account, tell).await?;
            }
        }
        Ok(received)
    }

    /// Whether a text may go its way: not one that may be forged, and not one that answers the question about it.
    async fn is_his(&self, app: &App, carrier_id: &str, sms: &InboundSms, route: &Route) -> Result<bool> {
        let now = app.now();
        let is_answer = route.guard.is_asked(now) && guard::read_answer(&sms.text).is_some();
        if !is_answer && guard::judge(now, &route.guard, &sms.origin) == Verdict::Pass {
            return Ok(true);
        }
        let Some(from) = sms.from.phone().cloned() else { return Ok(true) };
        let means = Means {
            keys: app.keys.clone(),
            mails: app.mail.is_configured(),
            service: app.settings.public_url.clone(),
        };
        let (account, carrier_id) = (route.account, carrier_id.to_owned());
        let suspect = Suspect { route: route.clone(), carrier_id, from, sms: sms.clone() };
        app.db.write(account, move |db| guard::take(db, now, &means, &suspect)).await
    }

    /// Notes a sign of life without making the SMS wait for it.
    fn note_heard(&self, app: &App, account: AccountId, handset: HandsetId) {
        if self.heard_lately.contains_key(&handset) {
            return;
        }
        self.heard_lately.insert(handset, ());
        let noted = self.heard.call_detached(account, (app.now(), account, handset));
        if let Err(error) = noted {
            tracing::warn!(reason = %error.report(), "a sign of life could not be noted");
        }
    }

    /// An SMS that means nothing here: a code that proves a handset, or somebody to be told what this number is.
    async fn lost(
        &self,
        app: &App,
        carrier_id: &str,
        sms: &InboundSms,
        from: &E164,
        meaning: Meaning,
    ) -> Result<()> {
        let locale = match &meaning {
            Meaning::Nobody { locale, .. } => Locale::parse(locale).unwrap_or_default(),
            Meaning::Stranger if from.region() == "KR" => Locale::Ko,
            Meaning::Stranger => Locale::En,
            Meaning::Ourselves => {
                let (now, text) = (app.now(), sms.text.clone());
                if !app.db.write(Lane::Any, move |db| rounds::heard_ourselves(db, now, &text)).await? {
                    tracing::warn!(carrier = carrier_id, "an SMS from one of our numbers was passed over");
                }
                return Ok(());
            }
            Meaning::Contact(_) | Meaning::NotOurs => {
                tracing::warn!(carrier = carrier_id, "an SMS for a number that is not ours was passed over");
                return Ok(());
            }
        };
        let now = app.now();
        let service = app.settings.public_url.clone();
        let line = SmsLine { carrier_id: carrier_id.to_owned(), from: sms.to.clone(), to: from.clone() };
        let (keys, text) = (app.keys.clone(), sms.text.clone());
        let (sid, stranger) = (sms.carrier_message_id.clone(), meaning == Meaning::Stranger);
        app.db
            .write(Lane::Any, move |db| {
                if !receive::claim(db, &line.carrier_id, receive::CLAIM_INBOUND, &sid, "", None, now)? {
                    return Ok(());
                }
                if let Some(account) = mobiles::check_text(db, now, &keys, &line.to, &text)? {
                    contacts::give_numbers(db, now, account)?;
                    return notice(db, now, &line, Text::VerifyByTextingConfirmed.render(locale));
                }
                if !may_tell(db, now, &line.to)? {
                    return Ok(());
                }
                let words =
                    if stranger { Text::UnknownHandset { service: &service } } else { Text::UnknownNumber };
                notice(db, now, &line, words.render(locale))
            })
            .await
    }

    /// The network's word on an SMS of ours.
    pub async fn receipt(&self, app: &App, carrier_id: &str, receipt: DeliveryReceipt) -> Result<()> {
        let now = app.now();
        let (carrier, carrier_id) = (carrier_id.to_owned(), carrier_id.to_owned());
        let state = receipt.state;
        let scope = app.carriers.get(&carrier_id).map_or(StopScope::None, |c| c.capabilities().stop_scope);
        let is_news =
            app.db.write(Lane::Any, move |db| receipts::take(db, now, &carrier_id, &receipt, scope)).await?;
        if is_news {
            app.tallies.note(&carrier, |tally| match state {
                ReceiptState::Delivered => tally.delivered += 1,
                ReceiptState::Undelivered | ReceiptState::Failed => tally.undelivered += 1,
                ReceiptState::Queued | ReceiptState::Sending | ReceiptState::Sent => {}
            });
            app.metrics.message("outbound", outbox::state_from_receipt(state).as_str());
        }
        Ok(())
    }
}

fn coming(app: &App, carrier_id: &str, sms: &InboundSms, whom: Whom) -> Coming {
    Coming {
        now: app.now(),
        carrier_id: carrier_id.to_owned(),
        carrier_message_id: sms.carrier_message_id.clone(),
        whom,
        text: bridge::normalize(&sms.text),
        segment_count: i16::try_from(sms.segment_count).unwrap_or(i16::MAX),
    }
}

/// Everybody who was heard from since the lane came by last, as one statement.
fn note_heard(db: &mut Db, items: &[Heard]) -> Result<Vec<()>> {
    let now = items.iter().map(|(now, _, _)| *now).max().unwrap_or_default();
    let handsets: Vec<_> = items.iter().map(|(_, account, handset)| (*account, *handset)).collect();
    presence::heard_from_many(db, now, &handsets)?;
    Ok(vec![(); items.len()])
}

/// Somebody wrote to a number that is not in use any more: once a day he is told the new one, from there.
fn tell_new_number(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    contact: ContactId,
    from: Option<&E164>,
    to: &E164,
) -> Result<()> {
    let Some(from) = from else { return Ok(()) };
    let Some(line) = sms_line(db, account, contact)?.filter(|line| line.from != *to) else { return Ok(()) };
    let pair = format!("{from} {to}");
    if !limits::first_within(db, now, "notice_retired", &pair, NOTICE_EVERY)? {
        return Ok(());
    }
    let locale = accounts::load(db, account)?.locale;
    let name = contacts::load(db, account, contact)?.shown_name().to_owned();
    let words = GuardText::NumberChanged { name: &name, number: line.from.as_str() }.render(locale);
    notice(db, now, &SmsLine { to: from.clone(), ..line }, words)
}

fn may_tell(db: &mut Db, now: Timestamp, handset: &E164) -> Result<bool> {
    if !limits::first_within(db, now, "notice_handset", handset.as_str(), NOTICE_EVERY)? {
        return Ok(false);
    }
    match limits::take(db, now, &NOTICES_ALL, "all") {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.kind(), Kind::Limited { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

fn notice(db: &mut Db, now: Timestamp, line: &SmsLine, text: String) -> Result<()> {
    let sms = NewSms {
        account: None,
        by: None,
        message: None,
        purpose: Purpose::Notice,
        order_key: format!("notice:{}", line.to),
        line: line.clone(),
        text,
    };
    outbox::enqueue(db, now, &sms)?;
    Ok(())
}
