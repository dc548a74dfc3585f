//! Letters of accounts: queued in the transaction that asks for them, sent here.

use serde::{Deserialize, Serialize};

use super::emails;
use crate::app::App;
use crate::clock::Timestamp;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::ids::{AccountId, EmailId};
use crate::mail::Letter;
use crate::queue::{self, Claimed};
use crate::texts::Text;

/// The letter that proves an e-mail address: [`VerificationLetter`].
pub const MAIL_CODE: &str = "accounts.mail_code";

/// All kinds this slice runs.
pub const KINDS: [&str; 1] = [MAIL_CODE];

/// Payload of [`MAIL_CODE`]. The code itself is not in it: it follows from the installation's key.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct VerificationLetter {
    /// Whose address.
    pub account: AccountId,
    /// Which.
    pub email: EmailId,
    /// Tells this request from earlier and later ones.
    pub nonce: u64,
}

pub(super) fn enqueue_code(db: &mut Db, now: Timestamp, letter: &VerificationLetter) -> Result<()> {
    queue::enqueue(db, now, MAIL_CODE, None, letter).map(drop)
}

/// Runs one job of this slice.
pub async fn run(app: &App, job: &Claimed) -> Result<()> {
    match job.kind.as_str() {
        MAIL_CODE => mail_code(app, job).await,
        other => Err(Error::internal(format!("no job of accounts is called {other}"))),
    }
}

/// Mails a code. Run twice it mails the same letter under the same id, which mail programs show once.
async fn mail_code(app: &App, job: &Claimed) -> Result<()> {
    let request: VerificationLetter = serde_json::from_str(&job.payload)?;
    let (now, keys) = (app.now(), app.keys.clone());
    let found = app.db.read(move |db| {
        let Some((address, code)) = emails::code_to_mail(db, now, &keys, &request)? else { return Ok(None) };
        Ok(Some((address, code, super::load(db, request.account)?.locale)))
    });
    let Some((address, code, locale)) = found.await? else { return Ok(()) };
    let (base, account, email) = (&app.settings.public_url, request.account, request.email);
    let link = format!("{base}/verify/{account}/{email}/{code}");
    let letter = Letter {
        id: Some(job.id.0.simple().to_string()),
        to: address,
        subject: Text::EmailVerificationSubject.render(locale),
        text: Text::EmailVerificationBody { link: &link, code: &code }.render(locale),
        ..Letter::default()
    };
    app.mail.send(letter).await
}
