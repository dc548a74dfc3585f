//! From the command line's arguments to an open service.

use std::path::Path;

use super::Failure;
use crate::app::App;
use crate::clock::Clock;
use crate::config::Settings;
use crate::db;
use crate::keys::Keys;

/// The settings of this process.
pub fn settings(config: Option<&Path>) -> Result<Settings, Failure> {
    Ok(Settings::from_environment(config)?)
}

/// Brings the schema up and says what was run.
pub fn migrate(settings: &Settings) -> Result<Vec<String>, Failure> {
    db::migrate_up(&settings.database_url).map_err(|error| unreachable(&error))
}

/// Opens the service for one command; its database must be up to date.
pub fn app(settings: Settings) -> Result<App, Failure> {
    let pending = db::pending_migrations(&settings.database_url).map_err(|error| unreachable(&error))?;
    if pending {
        return Err(Failure::new("The database is not up to date.", "Run `meari migrate` first."));
    }
    let keys = Keys::load_or_create(&settings.secret_file)?;
    Ok(App::open(settings, Clock::system(), keys)?)
}

fn unreachable(error: &crate::error::Error) -> Failure {
    Failure::new(error.report(), "Check database_url, and that the database runs and lets us in.")
}

/// Whether only this machine reaches the address.
pub fn is_local(public_url: &str) -> bool {
    let host = reqwest::Url::parse(public_url).ok().and_then(|url| url.host_str().map(str::to_owned));
    host.is_some_and(|host| host == "localhost" || host.starts_with("127.") || host == "[::1]")
}
