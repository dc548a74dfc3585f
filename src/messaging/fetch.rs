//! The job that brings an MMS's pictures and files in, and tells both sides.

use super::receive::announce;
use crate::app::App;
use crate::attachments::fetch::{Trouble, fetch};
use crate::attachments::{self, Attachment, Checked, FetchJob, State};
use crate::error::Result;
use crate::events::EventKind;
use crate::queue::{self, Claimed, Next};

/// How often a carrier is asked for a file: for about four minutes.
const ATTEMPTS_MAX: i32 = 8;

/// Fetches one file. Safe to run twice: what is settled stays so.
pub async fn run(app: &App, claimed: &Claimed) -> Result<Next> {
    let job: FetchJob = serde_json::from_str(&claimed.payload)?;
    let id = job.id;
    let wanted = app.db.read(move |db| attachments::find(db, id)).await?;
    let Some(wanted) = wanted.filter(|wanted| wanted.state == State::Pending) else { return Ok(Next::Done) };
    match fetch(app, &wanted).await {
        Ok(checked) => settle(app, wanted, Ok(checked)).await?,
        Err(Trouble::Later(why)) if claimed.attempts + 1 < ATTEMPTS_MAX => {
            return Ok(Next::Again { at: app.now().plus(queue::backoff(claimed.attempts)), why });
        }
        Err(trouble) => {
            let code = match trouble {
                Trouble::Later(why) => {
                    tracing::warn!(media.id = %id, reason = %why, "a picture or file could not be fetched");
                    "media_lost"
                }
                Trouble::Never(code) => code,
            };
            settle(app, wanted, Err(code)).await?;
        }
    }
    Ok(Next::Done)
}

async fn settle(
    app: &App,
    wanted: Attachment,
    outcome: std::result::Result<Checked, &'static str>,
) -> Result<()> {
    let now = app.now();
    let lane = wanted.account;
    app.db
        .write(lane, move |db| {
            let outcome = outcome.as_ref().map_err(|code| *code);
            if attachments::fetched(db, now, wanted.id, outcome)?
                && let (Some(message), Some(peer)) = (wanted.message, wanted.peer)
            {
                announce(db, now, EventKind::MessageUpdated, message, wanted.account, peer)?;
            }
            Ok(())
        })
        .await
}
