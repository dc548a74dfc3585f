//! The job that sends what is pending for one registration: read, talk to the push service, write.

use std::time::Duration;

use super::sender::{Message, Outcome, Sender};
use super::store::{self, Registration};
use super::{PushJob, payload};
use crate::clock::{Clock, Timestamp};
use crate::db::{Database, Db};
use crate::error::Result;
use crate::ids::{AccountId, PushRegistrationId};
use crate::queue::{self, Claimed, Next};

/// How often a message is tried; the next change makes another one.
const ATTEMPTS_MAX: i32 = 10;
/// How long a registration may fail before it is forgotten; until then its service may just be down.
const FAILING_MAX: Duration = Duration::from_secs(3 * 24 * 3_600);
/// How long to wait while too much is on its way.
const BUSY_PAUSE: Duration = Duration::from_secs(2);

/// What is to be said of what happened.
#[derive(Debug, Clone)]
pub enum Rendered {
    /// This.
    Message(Message),
    /// This, and never again: the subject is no more.
    Last(Message),
    /// Nothing.
    Nothing,
    /// Nothing before then; what is pending stays so.
    NotBefore(Timestamp),
    /// Nothing, and never again: whoever registered may not know any more.
    Forget,
}

enum Turn {
    Send(Box<Registration>, Message, bool),
    Wait(Timestamp),
    Done,
}

/// Sends what is pending. `render` says what, from the registration and the bits of what happened; it runs in a
/// transaction, perhaps more than once.
pub async fn deliver(
    db: &Database,
    sender: &Sender,
    clock: &Clock,
    claimed: &Claimed,
    render: impl Fn(&mut Db, Timestamp, &Registration, i16) -> Result<Rendered> + Send + 'static,
) -> Result<Next> {
    let PushJob { account, registration: id, .. } = payload(&claimed.payload)?;
    let now = clock.now();
    let turn = db
        .write(account, move |db| {
            let Some(registration) = store::lock(db, account, id)? else {
                return Ok(Turn::Done);
            };
            if registration.expires_at <= now {
                store::delete(db, account, id)?;
                return Ok(Turn::Done);
            }
            let happened = registration.sending | registration.pending;
            if happened == 0 {
                return Ok(Turn::Done);
            }
            // First the mark, then a look at the state: what changes after this look is pending anew.
            store::set_sending(db, &registration, happened)?;
            Ok(match render(db, now, &registration, happened)? {
                Rendered::Message(message) => Turn::Send(Box::new(registration), message, false),
                Rendered::Last(message) => Turn::Send(Box::new(registration), message, true),
                Rendered::NotBefore(at) => Turn::Wait(at),
                Rendered::Nothing => {
                    store::set_sending(db, &registration, 0)?;
                    Turn::Done
                }
                Rendered::Forget => {
                    store::delete(db, account, id)?;
                    Turn::Done
                }
            })
        })
        .await?;
    match turn {
        Turn::Done => Ok(Next::Done),
        Turn::Wait(at) => Ok(Next::Again { at, why: "it is not the time for it".to_owned() }),
        Turn::Send(registration, message, is_last) => {
            let outcome = sender.send(now, account, &registration.subscription(), &message).await;
            settle(db, clock, claimed, (account, id), outcome, is_last).await
        }
    }
}

/// What follows from the push service's answer.
async fn settle(
    db: &Database,
    clock: &Clock,
    claimed: &Claimed,
    (account, id): (AccountId, PushRegistrationId),
    outcome: Outcome,
    is_last: bool,
) -> Result<Next> {
    let now = clock.now();
    match outcome {
        Outcome::Busy => {
            Ok(Next::Again { at: now.plus(BUSY_PAUSE), why: "too much is on its way".to_owned() })
        }
        Outcome::Later(pause, why) if claimed.attempts + 1 < ATTEMPTS_MAX => {
            let pause = pause.unwrap_or_else(|| queue::backoff(claimed.attempts)).max(Duration::from_secs(1));
            // Jitter of a quarter, so that those who were refused together do not come back together.
            let jitter = pause.mul_f64(f64::from(rand::random::<u8>()) / 1020.0);
            Ok(Next::Again { at: now.plus(pause + jitter), why })
        }
        Outcome::Sent if !is_last => {
            db.write(account, move |db| store::sent(db, account, id, now)).await?;
            Ok(Next::Done)
        }
        Outcome::Sent => {
            db.write(account, move |db| store::delete(db, account, id)).await?;
            Ok(Next::Done)
        }
        Outcome::Gone(why) => {
            tracing::info!(account.id = %account, push.id = %id, reason = %why, "a push registration is gone");
            db.write(account, move |db| store::delete(db, account, id)).await?;
            Ok(Next::Done)
        }
        Outcome::Later(_, why) | Outcome::Refused(why) => {
            tracing::info!(account.id = %account, push.id = %id, reason = %why, "a push did not go out");
            db.write(account, move |db| match store::find(db, account, id)? {
                Some(r) if is_last || r.failing_since.is_some_and(|since| now.since(since) > FAILING_MAX) => {
                    store::delete(db, account, id)
                }
                Some(r) => store::failed(db, account, id, r.failing_since.unwrap_or(now)),
                None => Ok(()),
            })
            .await?;
            Ok(Next::Done)
        }
    }
}
