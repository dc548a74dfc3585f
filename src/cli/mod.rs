//! The command line: one binary, one file for each group of commands.
//!
//! Exit codes: 0 done, 1 failed, 2 not understood. What failed says what to do next. Output that programs may read goes
//! to standard output, everything else to standard error.

mod accounts;
mod demo;
mod doctor;
mod numbers;
mod open;
mod serve;
mod server;
mod shop;
mod simulator;
mod stop;
mod table;
mod tls;

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Fault;
use crate::error::{Error, Kind};

/// Everything we print for people fits a terminal of this width.
const ABOUT: &str = "Makes messenger friends reachable from any phone: every friend gets a telephone number, the \
numbers come into the phone's own address book, and SMS go to the messenger and back.";

const AFTER: &str = "Begin with `meari demo`: it needs nothing and shows everything.\n\
Settings are read from meari.toml (or --config FILE) and from MEARI_… variables; meari.example.toml explains each.";

#[derive(Debug, Parser)]
#[command(name = "meari", version, about = ABOUT, after_help = AFTER, max_term_width = 100)]
struct Cli {
    /// The file with the settings [default: meari.toml, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show everything on this machine, with nothing else needed
    ///
    /// SQLite in a temporary folder, a simulated carrier with two phones, three people who are friends, a pool of
    /// fictional numbers. Prints where to look and what to try.
    Demo(demo::Options),
    /// Serve: the web client, the API, phones, carriers, and (unless told not to) jobs
    ///
    /// Brings the schema up first, and refuses to start on a setting that cannot work. SIGTERM or Ctrl-C stop it: it
    /// takes nothing new, finishes what has begun, and closes the database; a second one stops it at once.
    Serve,
    /// Run only jobs, when they are scaled apart from `serve`
    Worker,
    /// Look at settings, database, carriers, mail, NATS and the public address, one line each
    Doctor,
    /// Print the OpenAPI document
    Openapi,
    /// Bring the database's schema up to date
    ///
    /// `serve` does it by itself; this is for those who want it done before.
    Migrate,
    /// Create and list accounts, make app passwords
    #[command(subcommand)]
    Accounts(accounts::Command),
    /// Import, list and plan the pool of telephone numbers
    #[command(subcommand)]
    Numbers(numbers::Command),
    /// Run the carrier simulator alone
    Simulator(simulator::Options),
}

/// Why a command did not do what it was asked: lines for people.
#[derive(Debug)]
pub struct Failure {
    lines: Vec<String>,
}

impl Failure {
    /// One sentence that says what is wrong and one that says what to do.
    pub fn new(problem: impl fmt::Display, advice: impl fmt::Display) -> Self {
        Failure { lines: vec![format!("{problem}"), format!("{advice}")] }
    }
}

impl From<Vec<Fault>> for Failure {
    fn from(faults: Vec<Fault>) -> Self {
        let mut lines = vec!["The settings are not right:".to_owned()];
        lines.extend(faults.iter().map(|fault| format!("  {fault}")));
        lines.push("Correct them and try again; `meari doctor` checks the rest.".to_owned());
        Failure { lines }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        // The operator owns the machine, so he may see the private half, when it is ours or our surroundings' fault.
        match error.kind() {
            Kind::Internal | Kind::Unavailable => Failure { lines: vec![error.report()] },
            Kind::Invalid(fields) if fields.len() > 1 => {
                Failure { lines: fields.iter().map(|f| format!("{}: {}", f.field, f.detail)).collect() }
            }
            _ => Failure { lines: vec![error.message().to_owned()] },
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Failure { lines: vec![error.to_string()] }
    }
}

type Outcome = Result<(), Failure>;

/// Reads the arguments, does what they say and answers the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody reads it when this fails.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let outcome = actix_web::rt::System::new().block_on(perform(cli));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            for (index, line) in failure.lines.iter().enumerate() {
                let prefix = if index == 0 { "meari: " } else { "       " };
                eprintln!("{prefix}{line}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn perform(cli: Cli) -> Outcome {
    let config = cli.config.as_deref();
    match cli.command {
        Command::Demo(options) => demo::run(options).await,
        Command::Serve => serve::serve(config).await,
        Command::Worker => serve::work(config).await,
        Command::Doctor => doctor::run(config).await,
        Command::Openapi => openapi(),
        Command::Migrate => migrate(config),
        Command::Accounts(command) => accounts::run(config, command).await,
        Command::Numbers(command) => numbers::run(config, command).await,
        Command::Simulator(options) => simulator::run(options).await,
    }
}

fn migrate(config: Option<&std::path::Path>) -> Outcome {
    let settings = open::settings(config)?;
    let names = open::migrate(&settings)?;
    for name in &names {
        println!("ran {name}");
    }
    if names.is_empty() {
        println!("The schema is up to date.");
    }
    Ok(())
}

fn openapi() -> Outcome {
    let document = crate::router::openapi().to_pretty_json();
    println!("{}", document.map_err(|e| Error::caused("rendering the OpenAPI document", e))?);
    Ok(())
}
