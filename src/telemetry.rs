//! Logs: lines for people or JSON for collectors, on standard error.
//!
//! A line is a sentence and fields, and the same thing has the same field name everywhere (`account.id`, `job.id`,
//! `request.id`). Bodies, codes, passwords and whole telephone numbers are never in them.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, Settings};

/// Starts logging for the whole process. A second call changes nothing.
pub fn start(settings: &Settings) {
    // The settings were checked; a filter that cannot be read all the same must not keep the service from starting.
    let filter = EnvFilter::builder().parse(&settings.log_level).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match settings.log {
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).try_init(),
        LogFormat::Pretty => {
            let colours = Settings::colours_wanted() && std::io::stderr().is_terminal();
            lines.with_ansi(colours).with_target(false).try_init()
        }
    };
    if started.is_err() {
        tracing::debug!("logging runs already");
    }
}
