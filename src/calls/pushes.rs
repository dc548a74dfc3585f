//! A call that rings wakes the browsers of the one who is called: those that are registered for messages. A push says
//! that somebody calls and until when it rings; who it is only when its device has asked for that. It goes to every
//! device at once, whoever is connected: a page in the background may sleep. What was missed is told like a message.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;

use super::machine::State;
use super::{Call, jobs, store};
use crate::app::App;
use crate::clock::Timestamp;
use crate::contacts;
use crate::db::Db;
use crate::error::Result;
use crate::ids::{CallId, PushRegistrationId};
use crate::keys::{Keys, Purpose};
use crate::messaging::pushes as devices;
use crate::push::{self, Message, Outcome, Subscription, Urgency};
use crate::queue::{self, Claimed, Next};

/// A push service that is busy is asked again after this time, while it rings.
const AGAIN: Duration = Duration::from_secs(2);

/// The payload of [`jobs::WAKE`].
#[derive(Debug, Serialize, Deserialize)]
struct Wake {
    call: CallId,
    device: PushRegistrationId,
}

/// The callee's clients ring. In the transaction of that.
pub(super) fn rings(db: &mut Db, now: Timestamp, call: &Call) -> Result<()> {
    for device in devices::list(db, now, call.callee)? {
        queue::enqueue(db, now, jobs::WAKE, None, &Wake { call: call.id, device: device.id })?;
    }
    Ok(())
}

/// What is said to a device, and where; `None` when it does not ring any more or may not be told.
fn said(
    db: &mut Db,
    now: Timestamp,
    keys: &Keys,
    wake: &Wake,
) -> Result<Option<(Call, Subscription, Message)>> {
    let Some(call) = store::find(db, wake.call)? else { return Ok(None) };
    let rings = call.machine().state == State::Ringing && call.machine().clients_ring;
    let Some(until) = call.ring_until.filter(|until| rings && *until > now) else { return Ok(None) };
    let Some((device, subscription)) = devices::reach(db, now, call.callee, wake.device)? else {
        return Ok(None);
    };
    let mut said = json!({ "type": "call", "call_id": call.id, "expires_at": until });
    if device.show_content
        && let Some(said) = said.as_object_mut()
    {
        let contact = contacts::load(db, call.callee, call.facts.callee_contact)?;
        said.insert("sender".to_owned(), json!(contact.shown_name()));
    }
    let slot = keys.hash(Purpose::PushTopic, call.id.as_bytes());
    let message = Message {
        body: said.to_string().into_bytes(),
        content_type: "application/json",
        // Nobody shall be woken for a call that is over.
        ttl: until.since(now).max(Duration::from_secs(1)),
        urgency: Urgency::High,
        topic: Some(URL_SAFE_NO_PAD.encode(slot.get(..16).unwrap_or(&slot))),
    };
    Ok(Some((call, subscription, message)))
}

/// Wakes one device.
pub(super) async fn wake(app: &App, job: &Claimed) -> Result<Next> {
    let wake: Wake = serde_json::from_str(&job.payload)?;
    let (now, keys, device) = (app.now(), app.keys.clone(), wake.device);
    let read = app.db.read(move |db| said(db, now, &keys, &wake)).await?;
    let Some((call, subscription, message)) = read else { return Ok(Next::Done) };
    match app.push.send(now, call.callee, &subscription, &message).await {
        Outcome::Sent => Ok(Next::Done),
        Outcome::Busy => Ok(Next::Again { at: now.plus(AGAIN), why: "too much is on its way".to_owned() }),
        Outcome::Later(pause, why) => {
            let at = now.plus(pause.unwrap_or(AGAIN).max(AGAIN));
            let rings = call.ring_until.is_some_and(|until| at < until);
            Ok(if rings { Next::Again { at, why } } else { Next::Done })
        }
        Outcome::Gone(why) => {
            tracing::info!(account.id = %call.callee, push.id = %device, reason = %why, "a push registration is gone");
            app.db.write(call.callee, move |db| push::unregister(db, now, call.callee, device)).await?;
            Ok(Next::Done)
        }
        Outcome::Refused(why) => {
            tracing::info!(account.id = %call.callee, push.id = %device, reason = %why, "a push did not go out");
            Ok(Next::Done)
        }
    }
}
