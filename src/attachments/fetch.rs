//! Files on their way in: fetched from a carrier, looked at, scanned.
//!
//! The carrier's credentials go with the first request, to the carrier, and never to where it redirects. An address
//! that a callback names may lie anywhere, so only public ones are asked, except at the address that the operator
//! himself entered for the carrier's API.

use std::time::Duration;

use secrecy::ExposeSecret as _;
use tokio::sync::Semaphore;

use super::scanner::{self, Verdict};
use super::{Attachment, Checked, FILE_BYTES_MAX, Refusal, inspect};
use crate::app::App;
use crate::carriers::MediaAccess;
use crate::error::{Error, Result};
use crate::net::{Answer, Limits, NetFault, Url};

/// A film over a slow line.
const LIMITS: Limits = Limits { total: Duration::from_secs(60), answer_bytes_max: FILE_BYTES_MAX };
/// Carriers redirect once, to where they keep files.
const REDIRECTS_MAX: usize = 3;
/// Pictures decoded at the same time: each may take some hundred megabytes for a moment.
static DECODERS: Semaphore = Semaphore::const_new(2);

/// Why a file is not here.
#[derive(Debug)]
pub enum Trouble {
    /// It may come yet.
    Later(String),
    /// It will not; a stable word.
    Never(&'static str),
}

/// Fetches a file that waits at a carrier, and looks at it.
///
/// # Errors
/// When it is not to be had, now or ever.
pub async fn fetch(app: &App, wanted: &Attachment) -> std::result::Result<Checked, Trouble> {
    let carrier = wanted.carrier_id.as_deref().and_then(|id| app.carriers.get(id));
    let (Some(carrier), Some(url)) = (carrier, wanted.source_url.as_deref()) else {
        return Err(Trouble::Never("media_lost"));
    };
    let settings = app.settings.carriers.iter().find(|settings| settings.id == carrier.id());
    let base =
        settings.and_then(|settings| settings.api_base.as_deref()).and_then(|base| Url::parse(base).ok());
    let access = carrier.media_access(url).await.map_err(|error| Trouble::Later(error.to_string()))?;
    let answer = follow(app, url, &access, base.as_ref()).await?;
    let told = answer.header("content-type").filter(|told| !told.starts_with("application/octet-stream"));
    let declared = told.map(str::to_owned).or_else(|| wanted.declared.clone());
    match check(app, answer.body.to_vec(), declared).await {
        Ok(Ok(checked)) => Ok(checked),
        Ok(Err(refusal)) => Err(Trouble::Never(refusal.code())),
        Err(error) => Err(Trouble::Later(error.report())),
    }
}

async fn follow(
    app: &App,
    url: &str,
    access: &MediaAccess,
    base: Option<&Url>,
) -> std::result::Result<Answer, Trouble> {
    let lost = || Trouble::Never("media_lost");
    let mut url = Url::parse(url).map_err(|_| lost())?;
    for hop in 0..=REDIRECTS_MAX {
        // The operator's own address may be inside his network; everything else must be outside.
        let net =
            if base.is_some_and(|base| base.origin() == url.origin()) { &app.net } else { &app.public_net };
        let request = net.get(url.as_str());
        let request = match access {
            _ if hop > 0 => request,
            MediaAccess::Open => request,
            MediaAccess::Basic { user, password } => request.basic_auth(user, password.expose_secret()),
            MediaAccess::Bearer(token) => request.bearer_auth(token.expose_secret()),
        };
        let answer = request.send(LIMITS).await.map_err(|error| match error.fault {
            NetFault::Refused | NetFault::Invalid => Trouble::Never("media_lost"),
            NetFault::TooLarge => Trouble::Never(Refusal::TooLarge.code()),
            NetFault::Connect | NetFault::Timeout | NetFault::Broken => Trouble::Later(error.to_string()),
        })?;
        match answer.status {
            200..=299 => return Ok(answer),
            301 | 302 | 303 | 307 | 308 => {
                let to = answer.header("location").and_then(|to| url.join(to).ok()).ok_or_else(lost)?;
                if url.scheme() == "https" && to.scheme() != "https" {
                    return Err(lost());
                }
                url = to;
            }
            // Right after the callback some carriers do not have it yet.
            404 | 408 | 425 | 429 | 500.. => return Err(Trouble::Later(format!("HTTP {}", answer.status))),
            401 | 403 => return Err(Trouble::Later("the carrier refuses our credentials".to_owned())),
            _ => return Err(lost()),
        }
    }
    Err(lost())
}

/// Has a file scanned and looks at it, on a thread for slow work.
///
/// # Errors
/// Outer: it could not be looked at now. Inner: it may not be kept.
pub async fn check(
    app: &App,
    bytes: Vec<u8>,
    declared: Option<String>,
) -> Result<std::result::Result<Checked, Refusal>> {
    if bytes.len() > FILE_BYTES_MAX {
        return Ok(Err(Refusal::TooLarge));
    }
    if let Some(scanner) = &app.settings.media_scanner
        && scanner::scan(scanner, &bytes).await? == Verdict::Infected
    {
        return Ok(Err(Refusal::Infected));
    }
    slowly(move || inspect(bytes, declared.as_deref())).await
}

/// Runs what decodes pictures: on a thread of its own, a few at a time.
///
/// # Errors
/// When the process is ending.
pub async fn slowly<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let _permit = DECODERS.acquire().await.map_err(|error| Error::caused("waiting for a decoder", error))?;
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::caused("looking at a picture", error))
}
