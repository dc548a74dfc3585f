//! The jobs that talk to carriers: read, talk to the world, write.

use std::time::Duration;

use super::consenting;
use super::moving::{self, Move};
use super::outbox::{self, OutboundSms, SmsJob, Turn};
use super::parcel::{self, Parcel};
use super::{Waited, groups, guard, pace, place_waiting, receipts, segments, store};
use crate::accounts;
use crate::app::App;
use crate::carriers::{Found, GroupToSend, Rates, Retry, SendError, SentQuery, SmsToSend, StopScope};
use crate::clock::Timestamp;
use crate::db::{Db, Lane};
use crate::error::Result;
use crate::mail::Letter;
use crate::queue::{self, Claimed, Next};
use crate::texts::{GuardText, Locale};

/// When a message that has no number yet is looked at again.
const NUMBER_PAUSE: Duration = Duration::from_secs(60);
/// How often a carrier is asked about an unknown before it stays unknown.
const ASK_MAX: i32 = 7;
/// How long a sender waits at least when the whole carrier refuses us.
const CARRIER_PAUSE: Duration = Duration::from_secs(60);

/// When a message is looked at again whose pictures are still on their way in.
const PICTURES_PAUSE: Duration = Duration::from_secs(2);

/// When a message is looked at again whose carrier leaves many others without an answer.
const STUCK_PAUSE: Duration = Duration::from_secs(5);

/// How long a message is offered to a carrier that refuses it for now, from the first attempt on: what it waited for
/// before (a number, its turn) is not the carrier's doing. Carriers themselves queue for as long.
const PATIENCE: Duration = Duration::from_secs(4 * 3600);

fn lane(job: &SmsJob) -> Lane {
    job.account.map_or(Lane::Any, Lane::Of)
}

/// What the job of a message says that has no number yet, or is not wanted any more.
async fn wait_for_number(app: &App, job: &SmsJob, now: Timestamp) -> Result<Option<Next>> {
    let Some(message) = job.waits else { return Ok(None) };
    let id = job.sms;
    Ok(match app.db.write(lane(job), move |db| place_waiting(db, now, id, message)).await? {
        Waited::Placed => None,
        Waited::Gone => Some(Next::Done),
        Waited::Still => Some(Next::Waits { until: now.plus(NUMBER_PAUSE), why: "no number yet".to_owned() }),
    })
}

/// Before an SMS leaves: by which line, and whether it is its turn. What is to be done in place of sending it.
async fn before_leaving(app: &App, claimed: &Claimed, job: &SmsJob) -> Result<Option<Next>> {
    let (id, is_code, cheapest_first) = (job.sms, job.is_code, app.carriers.cheapest_first());
    let read = app.db.read(move |db| moving::find(db, id, is_code, &cheapest_first));
    let Some((mut sms, wanted)) = read.await? else { return Ok(None) };
    let now = app.now();
    match wanted {
        Move::None => {}
        Move::Wait => {
            return Ok(Some(Next::Waits {
                until: now.plus(NUMBER_PAUSE),
                why: "no number any more".to_owned(),
            }));
        }
        Move::To(line) => {
            (sms.carrier_id, sms.from) = (line.carrier_id.clone(), line.from.clone());
            app.db.write(lane(job), move |db| moving::move_to(db, now, id, &line)).await?;
        }
    }
    if claimed.granted || sms.state != "queued" {
        return Ok(None);
    }
    let is_stuck = app.in_flight.is_stuck(&sms.carrier_id);
    let rates = app.carriers.rates(&sms.carrier_id, now);
    if rates == Rates::NONE {
        let jitter = STUCK_PAUSE.mul_f64(f64::from(rand::random::<u8>()) / 255.0);
        return Ok(is_stuck.then(|| Next::Waits {
            until: now.plus(STUCK_PAUSE + jitter),
            why: "the carrier does not answer".to_owned(),
        }));
    }
    let asks = pace::Asks {
        job: claimed.id,
        in_campaign: pace::is_in_campaign(&sms.from, &sms.to),
        carrier_id: sms.carrier_id,
        number: sms.from,
        rank: i16::from(job.is_patient),
        share: job.by.map_or_else(String::new, |account| account.to_string()),
        segments: sms.segment_count.max(1),
        is_stuck,
    };
    let granted = app.db.write(Lane::Any, move |db| pace::ask(db, now, rates, &asks)).await?;
    Ok((!granted).then_some(Next::Parked))
}

/// Sends one SMS. Safe to run twice: whoever finds the intent of a dead attempt does not send again.
pub async fn send_sms(app: &App, claimed: &Claimed) -> Result<Next> {
    let job: SmsJob = serde_json::from_str(&claimed.payload)?;
    let (now, id) = (app.now(), job.sms);
    if let Some(next) = wait_for_number(app, &job, now).await? {
        return Ok(next);
    }
    if let Some(next) = before_leaving(app, claimed, &job).await? {
        return Ok(next);
    }
    let Some(parcel) = parcel_of(app, &job).await? else {
        let until = app.now().plus(PICTURES_PAUSE);
        return Ok(Next::Waits { until, why: "its pictures are still on their way in".to_owned() });
    };
    let media_urls = parcel.media_urls.clone();
    let turn = take_in_hand(app, &job, parcel).await?;
    let Turn::Send(sms) = turn else { return Ok(Next::Done) };
    let Some(carrier) = app.carriers.get(&sms.carrier_id) else {
        // A slip in the settings, as a rule: nothing is lost while it is put right.
        let error = SendError {
            retry: Retry::Backoff,
            certain: true,
            code: "no_such_carrier".to_owned(),
            whole_carrier: true,
            detail: "it is not in the settings any more".to_owned(),
        };
        return after_refusal(app, &job, sms, error).await;
    };
    let outgoing = SmsToSend {
        id,
        from: sms.from.clone(),
        to: sms.to.clone(),
        text: sms.text.clone(),
        media_urls,
        status_callback: format!("{}/carriers/{}/status", app.settings.public_url, sms.carrier_id),
    };
    let request = app.in_flight.begin(&sms.carrier_id);
    let outcome = if job.group.is_empty() {
        carrier.send_in_turn(&outgoing, &request).await
    } else {
        let _asked = request.asks();
        carrier.send_group(&GroupToSend { sms: outgoing, others: job.group.clone() }).await
    };
    drop(request);
    let took = app.now().since(now);
    app.tallies.note(&sms.carrier_id, |tally| tally.note_send(outcome.as_ref().map(drop), took));
    match outcome {
        Ok(accepted) => {
            let now = app.now();
            let state = outbox::state_from_receipt(accepted.state);
            let segments = accepted.segment_count.and_then(|n| i16::try_from(n).ok());
            let scope = carrier.capabilities().stop_scope;
            app.db
                .write(lane(&job), move |db| {
                    let sid = &accepted.carrier_message_id;
                    outbox::sent(db, now, id, sid, state, segments)?;
                    // Carriers are quick: what became of it may be known already.
                    receipts::take_early(db, now, &sms.carrier_id, sid, scope)
                })
                .await?;
            app.metrics.message("outbound", "sent");
            Ok(Next::Done)
        }
        Err(error) => after_refusal(app, &job, sms, error).await,
    }
}

/// Commits the intent to send, or finds out why not to.
async fn take_in_hand(app: &App, job: &SmsJob, parcel: Parcel) -> Result<Turn> {
    let (now, id, asked) = (app.now(), job.sms, job.clone());
    app.db
        .write(lane(job), move |db| {
            if groups::split_where_stopped(db, now, &asked)? {
                return Ok(Turn::Settled);
            }
            let mut turn = outbox::begin_sending(db, now, id)?;
            match &mut turn {
                Turn::MayHaveGone(sms) => outbox::enqueue_settling(db, now, sms)?,
                // Later attempts find the links in the text already.
                Turn::Send(sms) if sms.attempts == 0 => {
                    if let Some(text) = parcel.reworded(&sms.text) {
                        if segments::Segments::check(&text).is_err() {
                            outbox::failed(db, now, id, "message_too_long")?;
                            return Ok(Turn::Settled);
                        }
                        outbox::reword(db, id, &text)?;
                        sms.text = text;
                    }
                }
                Turn::Send(_) | Turn::Settled => {}
            }
            Ok(turn)
        })
        .await
}

/// What goes beside the words; `None` while it is not there yet.
async fn parcel_of(app: &App, job: &SmsJob) -> Result<Option<Parcel>> {
    let id = job.sms;
    if !job.media {
        return Ok(Some(Parcel::default()));
    }
    let sms = app.db.read(move |db| outbox::find(db, id)).await?;
    match sms.and_then(|sms| app.carriers.get(&sms.carrier_id)) {
        Some(carrier) => parcel::prepare(app, job, &carrier.capabilities()).await,
        None => Ok(Some(Parcel::default())),
    }
}

async fn after_refusal(app: &App, job: &SmsJob, sms: OutboundSms, error: SendError) -> Result<Next> {
    let (now, id) = (app.now(), sms.id);
    if error.whole_carrier {
        tracing::error!(carrier = %sms.carrier_id, code = %error.code, "the carrier refuses our account: check its settings");
    }
    if !error.certain {
        app.db
            .write(lane(job), move |db| {
                outbox::unknown(db, now, id, &error.code)?;
                outbox::enqueue_settling(db, now, &sms)
            })
            .await?;
        app.metrics.message("outbound", "unknown");
        return Ok(Next::Done);
    }
    let pause = match error.retry {
        _ if error.whole_carrier => Some(queue::backoff(sms.attempts).max(CARRIER_PAUSE)),
        Retry::Never => None,
        Retry::After(pause) => Some(pause),
        Retry::Backoff => Some(queue::backoff(sms.attempts)),
    };
    let since = app.db.read(move |db| outbox::refused_since(db, id)).await?.unwrap_or(now);
    match pause.filter(|_| now.since(since) < PATIENCE) {
        Some(pause) => {
            // Jitter of a quarter, so that those who were refused together do not come back together.
            let jitter = pause.mul_f64(f64::from(rand::random::<u8>()) / 1020.0);
            let why = error.code.clone();
            app.db.write(lane(job), move |db| outbox::put_back(db, now, id)).await?;
            // The outbox counts these; the patience above is their end.
            Ok(Next::Waits { until: now.plus(pause + jitter), why })
        }
        None => {
            let scope =
                app.carriers.get(&sms.carrier_id).map_or(StopScope::None, |c| c.capabilities().stop_scope);
            app.db
                .write(lane(job), move |db| {
                    outbox::failed(db, now, id, &error.code)?;
                    if error.code == "opted_out" {
                        consenting::refused(db, now, &sms, scope)?;
                    }
                    Ok(())
                })
                .await?;
            app.metrics.message("outbound", "failed");
            Ok(Next::Done)
        }
    }
}

/// Asks the carrier what became of a send that may have gone out.
pub async fn settle_sms(app: &App, claimed: &Claimed) -> Result<Next> {
    let job: SmsJob = serde_json::from_str(&claimed.payload)?;
    let id = job.sms;
    let Some(sms) = app.db.read(move |db| outbox::find(db, id)).await? else { return Ok(Next::Done) };
    if sms.state != "unknown" {
        return Ok(Next::Done);
    }
    let Some(carrier) = app.carriers.get(&sms.carrier_id) else { return Ok(Next::Done) };
    let query = SentQuery {
        id,
        from: sms.from.clone(),
        to: sms.to.clone(),
        text: sms.text.clone(),
        not_before: sms.created_at,
    };
    let now = app.now();
    match carrier.find(&query).await {
        Ok(Found::Sent { carrier_message_id, state }) => {
            let state = outbox::state_from_receipt(state);
            let (scope, carrier_id) = (carrier.capabilities().stop_scope, sms.carrier_id.clone());
            let settled = app
                .db
                .write(lane(&job), move |db| {
                    let settled = outbox::found(db, now, id, &carrier_message_id, state)?;
                    if settled {
                        receipts::take_early(db, now, &carrier_id, &carrier_message_id, scope)?;
                    }
                    Ok(settled)
                })
                .await?;
            Ok(if settled { Next::Done } else { ask_again(now, claimed, &sms) })
        }
        Ok(Found::No | Found::CannotTell) | Err(_) => Ok(ask_again(now, claimed, &sms)),
    }
}

fn ask_again(now: Timestamp, claimed: &Claimed, sms: &OutboundSms) -> Next {
    if claimed.attempts + 1 < ASK_MAX {
        let pause = Duration::from_secs(30).mul_f64(f64::from(1 << claimed.attempts.clamp(0, 6)));
        return Next::Again { at: now.plus(pause), why: "the carrier does not know it (yet)".to_owned() };
    }
    tracing::warn!(sms.id = %sms.id, carrier = %sms.carrier_id, "an SMS stays unknown: the carrier cannot say whether it was sent");
    Next::Done
}

/// Mails the code that proves a text.
pub async fn mail_guard_code(app: &App, claimed: &Claimed) -> Result<()> {
    let letter: guard::CodeLetter = serde_json::from_str(&claimed.payload)?;
    let (now, keys) = (app.now(), app.keys.clone());
    let read = app.db.read(move |db| {
        let (to, code) = guard::code_to_mail(db, now, &keys, &letter)?;
        let locale = if to.is_empty() { Locale::En } else { accounts::load(db, letter.account)?.locale };
        Ok((to, code, locale))
    });
    let (to, code, locale) = read.await?;
    for (place, to) in to.into_iter().enumerate() {
        let letter = Letter {
            id: Some(format!("{}-{place}", claimed.id.0.simple())),
            to,
            subject: GuardText::MailSubject.render(locale),
            text: GuardText::MailBody { code: &code }.render(locale),
            ..Letter::default()
        };
        app.mail.send(letter).await?;
    }
    Ok(())
}

/// Takes words that were kept although their SMS is known, and forgets those that nobody came for.
pub async fn sweep_receipts(app: &App) -> Result<()> {
    let now = app.now();
    for (carrier_id, sid) in app.db.read(receipts::overlooked).await? {
        let scope = app.carriers.get(&carrier_id).map_or(StopScope::None, |c| c.capabilities().stop_scope);
        let take = move |db: &mut Db| receipts::take_early(db, now, &carrier_id, &sid, scope);
        app.db.write(Lane::Any, take).await?;
    }
    app.db.write(Lane::Any, move |db| receipts::prune(db, now)).await.map(drop)
}

/// Claims forgotten in one transaction.
const CLAIMS_AT_ONCE: i64 = 500;

/// Forgets what carriers told us before `before`. Read through on a reader, because no index serves it: an index would
/// cost every callback, and this happens once a day.
pub async fn forget_claims(app: &App, before: Timestamp) -> Result<()> {
    let mut after: Option<store::ClaimKey> = None;
    loop {
        let from = after.clone();
        let page = app
            .db
            .read(move |db| store::list_claims_before(db, before, from.as_ref(), CLAIMS_AT_ONCE))
            .await?;
        let Some(last) = page.last().cloned() else { return Ok(()) };
        after = Some(last);
        app.db.write(Lane::Any, move |db| store::delete_claims(db, before, &page)).await?;
    }
}
