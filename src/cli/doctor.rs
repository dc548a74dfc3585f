//! `meari doctor`: looks at everything that a service needs, one line each with a verdict and what to do.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use secrecy::ExposeSecret;

use super::{Failure, Outcome, open};
use crate::carriers::{Carrier, Registry};
use crate::config::Settings;
use crate::keys::Keys;
use crate::mail::Mailer;
use crate::net::{Limits, Net, Policy};
use crate::{contacts, db, numbers};

/// How long anything outside may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    /// Works, but will surprise.
    Look,
    Bad,
    /// Not set, not needed.
    Unused,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Verdict::Good => "good",
            Verdict::Look => "look",
            Verdict::Bad => "BAD",
            Verdict::Unused => "-",
        })
    }
}

struct Finding {
    verdict: Verdict,
    subject: String,
    says: String,
}

fn finding(verdict: Verdict, subject: impl Into<String>, says: impl Into<String>) -> Finding {
    Finding { verdict, subject: subject.into(), says: says.into() }
}

/// Looks at everything, and fails when anything is bad.
pub async fn run(config: Option<&Path>) -> Outcome {
    let settings = open::settings(config)?;
    show(&finding(Verdict::Good, "settings", "every key is known and has a value that can be"));
    let mut bad = 0;
    let mut note = |found: Finding| {
        show(&found);
        bad += usize::from(found.verdict == Verdict::Bad);
    };
    note(secret_file(&settings));
    note(media_folder(&settings));
    note(nats(&settings).await);
    note(public_address(&settings).await);
    note(mail(&settings).await);
    for found in carriers(&settings).await {
        note(found);
    }
    let (schema, usable) = schema(&settings);
    note(schema);
    if usable {
        note(pool(settings).await?);
    }
    match bad {
        0 => Ok(()),
        n => Err(Failure::new(format!("{n} of these must be put right."), "Then run `meari doctor` again.")),
    }
}

fn show(found: &Finding) {
    println!("{:<5} {:<14} {}", found.verdict, found.subject, found.says);
}

fn secret_file(settings: &Settings) -> Finding {
    let path = settings.secret_file.display();
    let fresh = !settings.secret_file.exists();
    match Keys::load_or_create(&settings.secret_file) {
        Ok(_) if fresh => finding(Verdict::Good, "secret_file", format!("made {path}; keep a copy of it")),
        Ok(_) => finding(Verdict::Good, "secret_file", format!("{path} is readable")),
        Err(error) => finding(Verdict::Bad, "secret_file", error.report()),
    }
}

fn media_folder(settings: &Settings) -> Finding {
    let path = settings.media_dir.display();
    let probe = || {
        std::fs::create_dir_all(&settings.media_dir)?;
        tempfile::tempfile_in(&settings.media_dir)
    };
    match probe() {
        Ok(_) => finding(Verdict::Good, "media_dir", format!("{path} can be written to")),
        Err(error) => finding(Verdict::Bad, "media_dir", format!("{path} cannot be written to: {error}")),
    }
}

/// The finding, and whether the tables can be used.
fn schema(settings: &Settings) -> (Finding, bool) {
    let engine = settings.database_url.split(':').next().unwrap_or_default();
    match db::pending_migrations(&settings.database_url) {
        Ok(false) => {
            (finding(Verdict::Good, "database", format!("{engine}, the schema is up to date")), true)
        }
        Ok(true) => {
            let says = format!(
                "{engine} answers, the schema is not up to date; `meari migrate` or `meari serve` brings it up"
            );
            (finding(Verdict::Look, "database", says), false)
        }
        Err(error) => {
            let says = format!("{}; check database_url, and that the database runs", error.report());
            (finding(Verdict::Bad, "database", says), false)
        }
    }
}

async fn nats(settings: &Settings) -> Finding {
    let Some(url) = &settings.nats_url else {
        return finding(Verdict::Unused, "nats_url", "not set; nodes ring each other by PostgreSQL");
    };
    let connect = async_nats::ConnectOptions::new().connection_timeout(PATIENCE).connect(url);
    match connect.await {
        Ok(client) => match client.flush().await {
            Ok(()) => finding(Verdict::Good, "nats_url", "answers"),
            Err(error) => finding(Verdict::Bad, "nats_url", format!("does not answer: {error}")),
        },
        Err(error) => finding(Verdict::Bad, "nats_url", format!("cannot be reached: {error}")),
    }
}

async fn public_address(settings: &Settings) -> Finding {
    let (subject, url) = ("public_url", settings.public_url.as_str());
    if open::is_local(url) {
        let says = format!("{url} is this machine only: no phone and no carrier reaches it");
        return finding(Verdict::Look, subject, says);
    }
    if url.starts_with("http://") {
        let says = format!("{url} is not https: phones send passwords over it, and most refuse");
        return finding(Verdict::Look, subject, says);
    }
    let Ok(net) = Net::new(Policy::Operator) else {
        return finding(Verdict::Bad, subject, "the HTTP client could not be made");
    };
    let limits = Limits { total: PATIENCE, ..Limits::default() };
    match net.get(&format!("{url}/healthz")).send(limits).await {
        Ok(answer) if answer.is_success() => finding(Verdict::Good, subject, format!("{url} answers")),
        Ok(_) => {
            finding(Verdict::Look, subject, format!("{url} answers, but not as Meari does; see the proxy"))
        }
        Err(error) => {
            let says =
                format!("{url} does not answer from here ({error:?}); that is well while nothing serves");
            finding(Verdict::Look, subject, says)
        }
    }
}

async fn mail(settings: &Settings) -> Finding {
    let (Some(url), Some(from)) = (&settings.smtp_url, &settings.mail_from) else {
        return finding(Verdict::Unused, "smtp_url", "not set; nobody can verify an e-mail address");
    };
    let mailer = match Mailer::from_url(url.expose_secret(), from) {
        Ok(mailer) => mailer,
        Err(error) => return finding(Verdict::Bad, "smtp_url", error.report()),
    };
    match mailer.check().await {
        Ok(()) => finding(Verdict::Good, "smtp_url", "the server takes us"),
        Err(error) => finding(Verdict::Bad, "smtp_url", error.report()),
    }
}

async fn carriers(settings: &Settings) -> Vec<Finding> {
    let net = Net::new(Policy::Operator).map_err(|error| error.report());
    let registry = match net.and_then(|net| Registry::build(&settings.carriers, &net)) {
        Ok(registry) => registry,
        Err(fault) => return vec![finding(Verdict::Bad, "carriers", fault)],
    };
    let mut found = Vec::new();
    for carrier in registry.iter() {
        let subject = format!("carrier {}", carrier.id());
        found.push(match tokio::time::timeout(PATIENCE, carrier.check()).await {
            Ok(Ok(sentence)) => finding(Verdict::Good, subject, sentence),
            Ok(Err(error)) => finding(Verdict::Bad, subject, format!("{} ({})", error.detail, error.code)),
            Err(_) => finding(Verdict::Bad, subject, "does not answer in time"),
        });
        found.extend(addresses(settings, carrier.as_ref()).await);
    }
    if found.is_empty() {
        found.push(finding(Verdict::Look, "carriers", "none is set: no SMS goes out or comes in"));
    }
    found
}

/// Whether the addresses that are entered at a carrier are ours; nothing when it does not tell.
async fn addresses(settings: &Settings, carrier: &dyn Carrier) -> Vec<Finding> {
    if !carrier.calls_our_addresses() {
        return Vec::new();
    }
    let base = format!("{}/carriers/{}", settings.public_url, carrier.id());
    let subject = format!("carrier {} calls us", carrier.id());
    match tokio::time::timeout(PATIENCE, carrier.check_addresses(&base)).await {
        Ok(Ok(Some(wrong))) if wrong.is_empty() => {
            vec![finding(Verdict::Good, subject, format!("the addresses below {base} are entered there"))]
        }
        Ok(Ok(Some(wrong))) => {
            wrong.into_iter().map(|w| finding(Verdict::Look, subject.clone(), w)).collect()
        }
        Ok(Ok(None)) => {
            let mut says =
                format!("cannot be asked: messages must go to {base}/messages and receipts to {base}/status");
            if carrier.voice().is_some() {
                says.push_str(&format!(", calls to {base}/voice and their news to {base}/call-status"));
            }
            vec![finding(Verdict::Look, subject, says)]
        }
        // That it does not answer was said before.
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}

async fn pool(settings: Settings) -> Result<Finding, Failure> {
    let app = open::app(settings)?;
    let read = |db: &mut db::Db| {
        Ok((numbers::counts(db)?, numbers::largest_holding(db)?, contacts::count_waiting(db)?))
    };
    let (counts, largest, waiting) = app.db.read(read).await?;
    let available: i64 = counts.iter().filter(|(_, state, _)| state == "available").map(|(_, _, n)| n).sum();
    Ok(match (available, waiting) {
        (0, _) => finding(Verdict::Look, "numbers", "the pool is empty; fill it with `meari numbers import`"),
        (_, 0) => {
            let says = format!("{available} available; the largest account holds {largest}");
            finding(Verdict::Good, "numbers", says)
        }
        (_, waiting) => {
            let says = format!("{waiting} contacts wait for a number: import more; see `meari numbers plan`");
            finding(Verdict::Bad, "numbers", says)
        }
    })
}
