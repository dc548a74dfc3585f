//! The cards by mail: a letter with the same file that can be downloaded, to a proved address of the account.

use serde::{Deserialize, Serialize};

use super::card_export::{self, Wanted};
use super::jobs;
use super::vcard::Version;
use crate::accounts;
use crate::accounts::emails;
use crate::accounts::limits::{self, LETTERS_ACCOUNT};
use crate::accounts::proofs::ProofState;
use crate::app::App;
use crate::clock::Timestamp;
use crate::db::Db;
use crate::error::{Error, Kind, Result};
use crate::ids::{AccountId, AddressBookId, EmailId};
use crate::mail::{Attachment, Letter};
use crate::queue::{self, Claimed};
use crate::texts::Text;

/// Bytes of cards in a letter at most: with base64 it is what common mail servers still take.
const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Payload of the job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MailCards {
    account: AccountId,
    email: EmailId,
    version: String,
    since: Option<i64>,
    book: Option<AddressBookId>,
}

/// Has the cards mailed to an address of the account (its first proved one when none is named).
///
/// # Errors
/// `Conflict` when the account has no proved address, `Invalid` when there are too many cards for a letter.
pub fn ask(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    email: Option<EmailId>,
    wanted: &Wanted,
) -> Result<()> {
    let mut proved = emails::list(db, account)?.into_iter().filter(|e| e.state == ProofState::Verified);
    let found = match email {
        Some(id) => proved.find(|e| e.id == id).ok_or_else(|| Error::not_found("e-mail address"))?,
        None => proved.next().ok_or_else(|| {
            Error::conflict("no_verified_email", "Add an e-mail address to your account and verify it first.")
        })?,
    };
    file(db, account, wanted)?;
    limits::take(db, now, &LETTERS_ACCOUNT, &account.to_string())?;
    let payload = MailCards {
        account,
        email: found.id,
        version: wanted.version.as_str().to_owned(),
        since: wanted.since.map(|since| since.0),
        book: wanted.book,
    };
    queue::enqueue(db, now, jobs::MAIL_CARDS, Some(&format!("mail_cards:{account}")), &payload)?;
    Ok(())
}

/// The file and its name without the ending.
fn file(db: &mut Db, account: AccountId, wanted: &Wanted) -> Result<(String, Vec<u8>)> {
    let mut listing = card_export::list(db, account, wanted)?;
    let mut bytes = Vec::new();
    while let Some(part) = listing.parts.pop_front() {
        let (text, rest) = card_export::read(db, part, wanted.version)?;
        bytes.extend(text);
        rest.into_iter().for_each(|rest| listing.parts.push_front(rest));
        if bytes.len() > FILE_BYTES_MAX {
            return Err(Error::conflict(
                "too_large_for_mail",
                "These cards are too large for a letter. Download them.",
            ));
        }
    }
    Ok((file_stem(listing.book_name.as_deref(), wanted.since), bytes))
}

/// What a file of cards is called: after its book, and with the day from which on.
pub fn file_stem(book: Option<&str>, since: Option<Timestamp>) -> String {
    let stem = book.map_or_else(|| "contacts".to_owned(), card_export::file_stem);
    match since {
        Some(since) => format!("{stem}-since-{}", since.to_rfc3339().chars().take(10).collect::<String>()),
        None => stem,
    }
}

/// Writes the letter as the cards are now, and sends it.
pub async fn run(app: &App, job: &Claimed) -> Result<()> {
    let payload: MailCards = serde_json::from_str(&job.payload)?;
    let account = payload.account;
    let version = if payload.version == Version::V4.as_str() { Version::V4 } else { Version::V3 };
    let wanted = Wanted { version, since: payload.since.map(Timestamp), book: payload.book };
    let read = app.db.read(move |db| {
        let email = emails::list(db, account)?.into_iter().find(|e| e.id == payload.email);
        let Some(email) = email.filter(|e| e.state == ProofState::Verified) else { return Ok(None) };
        let locale = accounts::load(db, account)?.locale;
        Ok(Some((email.address, locale, file(db, account, &wanted)?)))
    });
    let (to, locale, (stem, bytes)) = match read.await {
        Ok(Some(found)) => found,
        // The address, the book or the account is gone, or it has grown too large: nobody waits for the letter.
        Ok(None) => return Ok(()),
        Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Conflict) => return Ok(()),
        Err(error) => return Err(error),
    };
    let link = format!("{}/", app.settings.public_url);
    let attachment = Attachment {
        name: format!("{stem}.vcf"),
        content_type: "text/vcard; charset=utf-8".to_owned(),
        bytes,
    };
    app.mail
        .send(Letter {
            id: Some(job.id.0.simple().to_string()),
            to,
            subject: Text::AddressBookMailSubject.render(locale),
            text: Text::AddressBookMailBody { link: &link }.render(locale),
            html: None,
            attachments: vec![attachment],
        })
        .await
}
