//! Settings: read once, checked, then data. The environment is read here and nowhere else.

use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::SecretString;

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

/// Everything an operator can set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Address and port to listen on.
    pub listen: String,
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
    /// Where pictures and files lie.
    pub media_dir: PathBuf,
    /// How logs are written.
    pub log: LogFormat,
    /// The telephone side.
    pub carriers: Vec<CarrierSettings>,
    /// The service's name in SMS and mail.
    pub service_name: String,
    /// How long a released pair rests before the account may see its number for somebody else, in days.
    pub pair_rest_days: u32,
    /// Whether `serve` runs jobs too.
    pub run_worker: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            listen: "127.0.0.1:8080".to_owned(),
            public_url: "http://127.0.0.1:8080".to_owned(),
            database_url: "sqlite://data/meari.db".to_owned(),
            secret_file: PathBuf::from("data/secret.key"),
            nats_url: None,
            smtp_url: None,
            mail_from: None,
            registration: Registration::Open,
            admin_token: None,
            media_dir: PathBuf::from("data/media"),
            log: LogFormat::Pretty,
            carriers: Vec::new(),
            service_name: "Meari".to_owned(),
            pair_rest_days: 30,
            run_worker: true,
        }
    }
}
