//! Settings: read once, checked, then data. The environment is read here and nowhere else.
//!
//! `meari.toml` first, then `MEARI_…` variables over it. [`read`] holds the table of keys, what each expects, and the
//! checks; every fault of a file is reported at once, with an example of what would be right.

mod read;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;

pub use read::Fault;

use crate::money::Money;

/// Where settings are looked for when nobody says.
pub const DEFAULT_FILE: &str = "meari.toml";

/// Who may sign up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// Anybody.
    Open,
    /// Whoever has an invitation.
    Invite,
    /// Nobody; the operator creates accounts.
    Closed,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object per line.
    Json,
}

/// What an operator wants to have at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// ISO 3166 region.
    pub region: String,
    /// Numbers that even the account with the most contacts could still be given.
    pub spare: i64,
}

/// One carrier as the operator wrote it down.
#[derive(Debug, Clone)]
pub struct CarrierSettings {
    /// Our name for it; a part of the callback addresses.
    pub id: String,
    /// Which wire it speaks.
    pub kind: String,
    /// Where its API is, when not at the usual place.
    pub api_base: Option<String>,
    /// The kind's own settings and credentials under the vendor's own names.
    pub options: BTreeMap<String, SecretString>,
}

/// A certificate chain and its key, as PEM files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PemFiles {
    /// The chain, our own certificate first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Everything an operator can set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Address and port to listen on.
    pub listen: String,
    /// A certificate chain and its key (PEM), when we speak TLS ourselves and no proxy does it for us.
    pub tls: Option<PemFiles>,
    /// What configuration profiles are signed with, when not with `tls`.
    pub profile_signer: Option<PemFiles>,
    /// How clients, phones and carriers reach us, without a trailing slash.
    pub public_url: String,
    /// `sqlite://PATH` or `postgres://…`.
    pub database_url: String,
    /// Where the key of this installation lies.
    pub secret_file: PathBuf,
    /// A NATS server for doorbells between nodes.
    pub nats_url: Option<String>,
    /// The SMTP server, as lettre reads it.
    pub smtp_url: Option<SecretString>,
    /// The sender of our letters.
    pub mail_from: Option<String>,
    /// Who may sign up.
    pub registration: Registration,
    /// A token that may do what an admin account may.
    pub admin_token: Option<SecretString>,
    /// Where recordings and other large files lie.
    pub media_dir: PathBuf,
    /// The virus scanner: a command that reads a file from its standard input, or `icap://host/service`.
    pub media_scanner: Option<String>,
    /// Where the audio of browsers arrives, by UDP and by TCP at the same port; none takes the host of `listen` and any
    /// port.
    pub calls_listen: Option<SocketAddr>,
    /// The addresses browsers are told to send audio to, when they are not those of `calls_listen`.
    pub calls_addresses: Vec<IpAddr>,
    /// Legs (ends of calls) that this node carries at the same time.
    pub calls_legs_max: usize,
    /// How logs are written.
    pub log: LogFormat,
    /// What is logged: `info`, or directives such as `info,meari=debug`.
    pub log_level: String,
    /// The telephone side.
    pub carriers: Vec<CarrierSettings>,
    /// The service's name in SMS and mail.
    pub service_name: String,
    /// Whether `serve` runs jobs too.
    pub run_worker: bool,
    /// Countries (ISO 3166) to whose mobiles codes are sent; empty: all.
    pub countries: Vec<String>,
    /// How often a message goes from one of our numbers to another one, in minutes; 0: never.
    pub carrier_loop_minutes: u32,
    /// Numbers that are kept at hand in each region, ordered automatically.
    pub number_reserve: Vec<Wish>,
    /// Which carrier they are ordered from; by default the first that sells numbers.
    pub number_reserve_carrier: Option<String>,
    /// What they may cost in a month; none are ordered without it.
    pub number_reserve_budget: Option<Money>,
    /// Whether orders are only written down and not made.
    pub number_reserve_dry_run: bool,
    /// Days for which a number that was retired and comes back is given to nobody.
    pub number_ageing_days: u32,
    /// Seconds between two pings on a live connection; one that left the last unanswered is let go.
    pub live_ping_seconds: u64,
    /// Days for which voicemails and recordings of calls are kept; 0: until they are deleted.
    pub call_sounds_days: u32,
    /// Whether pushes may go to addresses inside the operator's network, and without TLS.
    pub push_to_private_addresses: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            listen: "127.0.0.1:8080".to_owned(),
            tls: None,
            profile_signer: None,
            public_url: "http://127.0.0.1:8080".to_owned(),
            database_url: "sqlite://data/meari.db".to_owned(),
            secret_file: PathBuf::from("data/secret.key"),
            nats_url: None,
            smtp_url: None,
            mail_from: None,
            registration: Registration::Open,
            admin_token: None,
            media_dir: PathBuf::from("data/media"),
            media_scanner: None,
            calls_listen: None,
            calls_addresses: Vec::new(),
            calls_legs_max: 2_000,
            log: LogFormat::Pretty,
            log_level: "info".to_owned(),
            carriers: Vec::new(),
            service_name: "Meari".to_owned(),
            run_worker: true,
            countries: Vec::new(),
            carrier_loop_minutes: 0,
            number_reserve: Vec::new(),
            number_reserve_carrier: None,
            number_reserve_budget: None,
            number_reserve_dry_run: true,
            number_ageing_days: 45,
            live_ping_seconds: 25,
            call_sounds_days: 365,
            push_to_private_addresses: false,
        }
    }
}

impl Settings {
    /// The name of this service's host, without a port: what stands behind the `@` of its addresses.
    pub fn host(&self) -> &str {
        let authority = self.public_url.split("://").nth(1).unwrap_or(&self.public_url);
        let authority = authority.split('/').next().unwrap_or(authority);
        match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            _ => authority,
        }
    }

    /// How long a number ages that was retired and comes back.
    pub fn number_ageing(&self) -> Duration {
        Duration::from_secs(u64::from(self.number_ageing_days) * 24 * 3_600)
    }

    /// How long what is said in calls is kept; none: until it is deleted.
    pub fn call_sounds_kept(&self) -> Option<Duration> {
        let days = u64::from(self.call_sounds_days);
        (days > 0).then(|| Duration::from_secs(days * 24 * 3_600))
    }

    /// Reads the file (`path`, else `MEARI_CONFIG`, else `meari.toml` when it exists) and then the variables of `env`.
    ///
    /// # Errors
    /// Every fault that was found, in the order of the file.
    pub fn load(
        path: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Settings, Vec<Fault>> {
        let mut env: Vec<(String, String)> = env.filter(|(name, _)| name.starts_with("MEARI_")).collect();
        env.sort();
        let named = env.iter().find(|(name, _)| name == read::FILE_VARIABLE).map(|(_, file)| file.clone());
        let asked = path.map(Path::to_path_buf).or(named.map(PathBuf::from));
        let file = match &asked {
            Some(path) => Some(std::fs::read_to_string(path).map_err(|error| {
                let advice = "Name an existing file with --config, or leave it out to use the defaults.";
                vec![Fault::new(path.display().to_string(), format!("cannot be read: {error}. {advice}"))]
            })?),
            None => match std::fs::read_to_string(DEFAULT_FILE) {
                Ok(text) => Some(text),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
                Err(error) => {
                    return Err(vec![Fault::new(DEFAULT_FILE, format!("cannot be read: {error}."))]);
                }
            },
        };
        read::settings(file.as_deref().unwrap_or_default(), &env)
    }

    /// [`Settings::load`] with the environment of this process.
    ///
    /// # Errors
    /// Every fault that was found.
    pub fn from_environment(path: Option<&Path>) -> Result<Settings, Vec<Fault>> {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Settings::load(path, std::env::vars_os().filter_map(text))
    }

    /// Where this program's log wants colours: `NO_COLOR` switches them off (no-color.org).
    pub fn colours_wanted() -> bool {
        std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
    }
}
