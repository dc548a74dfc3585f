//! The load driver: floods and paces the real service, and says how that compares to what the machine can do at all.
//!
//! Every figure stands beside a ceiling that was measured in the same run: a server that reads the same body and does
//! nothing. After each run the database is asked whether everything that was answered is there, exactly once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    missing_docs
)]

mod assign;
mod callbacks;
mod client;
mod database;
mod inbound;
mod live;
mod machine;
mod memory;
mod population;
mod report;
mod rings;
mod server;
mod verify;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Drives a `meari` server and prints what it can do beside what the machine can do.
///
/// Goals: 10,000 inbound SMS a second on two cores, p99 below 25 ms at half of that, 2 ms from the callback to a
/// friend's WebSocket, 50 ms from an announced call to its ring, 50,000 numbers assigned a second, 40 MiB idle, 400 MiB with 10,000 sockets.
#[derive(Parser)]
#[command(name = "drive", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Given by `cargo bench`; means nothing.
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Inbound SMS callbacks: a flood (closed loop) and a steady stream (open loop) of signed forms
    Inbound(Options),
    /// From a callback to the friend's WebSocket
    Live(Options),
    /// From a call's announcement to the ring in the friend's client
    Rings(Options),
    /// Assigning numbers in bulk while a million assignments exist
    Assign(Options),
    /// Memory: idle, and with ten thousand sockets
    Memory(Options),
    /// Everything
    All(Options),
    /// The ceiling: a server that reads the body and answers
    #[command(hide = true)]
    Nothing { port: u16 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineChoice {
    Sqlite,
    Postgres,
    Both,
}

#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Which database
    #[arg(long, value_enum, default_value = "both")]
    pub engine: EngineChoice,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    /// Connections of the flood
    #[arg(long, default_value_t = 64)]
    pub connections: usize,
    /// Callbacks a second of the steady stream
    #[arg(long, default_value_t = 5_000)]
    pub rate: u64,
    /// Phone users, with twenty friends each
    #[arg(long, default_value_t = 10_000)]
    pub users: usize,
    /// WebSockets of the memory measurement
    #[arg(long, default_value_t = 10_000)]
    pub sockets: usize,
    /// Where databases are made; must be on the disk that is to be measured [default: a temporary folder]
    #[arg(long)]
    pub data: Option<PathBuf>,
}

impl Options {
    pub fn time(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    pub fn engines(&self) -> Vec<database::Kind> {
        match self.engine {
            EngineChoice::Sqlite => vec![database::Kind::Sqlite],
            EngineChoice::Postgres => vec![database::Kind::Postgres],
            EngineChoice::Both => vec![database::Kind::Sqlite, database::Kind::Postgres],
        }
    }
}

/// Which measurements.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Plan {
    inbound: bool,
    live: bool,
    rings: bool,
    assign: bool,
    memory: bool,
}

fn main() -> Result<()> {
    let none = Plan { inbound: false, live: false, rings: false, assign: false, memory: false };
    match Cli::parse().command {
        None => Cli::command().print_help().map_err(Into::into),
        Some(Command::Nothing { port }) => server::nothing(port),
        Some(Command::Inbound(options)) => drive(&options, Plan { inbound: true, ..none }),
        Some(Command::Live(options)) => drive(&options, Plan { live: true, ..none }),
        Some(Command::Rings(options)) => drive(&options, Plan { rings: true, ..none }),
        Some(Command::Assign(options)) => drive(&options, Plan { assign: true, ..none }),
        Some(Command::Memory(options)) => drive(&options, Plan { memory: true, ..none }),
        Some(Command::All(options)) => {
            drive(&options, Plan { inbound: true, live: true, rings: true, assign: true, memory: true })
        }
    }
}

fn drive(options: &Options, plan: Plan) -> Result<()> {
    let temporary = tempfile::tempdir()?;
    let folder = options.data.clone().unwrap_or_else(|| temporary.path().to_owned());
    std::fs::create_dir_all(&folder)?;
    let mut report = report::Report::new(machine::describe(&folder)?);
    // One thread: the driver must leave the machine to what it measures.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for kind in options.engines() {
        let database = database::Provided::make(kind, &folder)?;
        runtime.block_on(measure(options, plan, &database, &folder, &mut report))?;
    }
    report.print();
    Ok(())
}

async fn measure(
    options: &Options,
    plan: Plan,
    database: &database::Provided,
    folder: &std::path::Path,
    report: &mut report::Report,
) -> Result<()> {
    if plan.memory {
        memory::idle(&database.fresh("idle")?, folder, report).await?;
    }
    if plan.inbound || plan.live || plan.rings || plan.memory {
        let place = database.fresh("service")?;
        let people = population::seed(&place, options.users).await?;
        if plan.inbound {
            inbound::run(options, &place, folder, &people, report).await?;
        }
        if plan.live {
            live::run(options, &place, folder, &people, report).await?;
        }
        if plan.rings {
            rings::run(&place, folder, &people, report).await?;
        }
        if plan.memory {
            memory::sockets(options, &place, folder, &people, report).await?;
        }
        place.remove()?;
    }
    if plan.assign {
        let place = database.fresh("assign")?;
        assign::run(options, &place, report).await?;
        place.remove()?;
    }
    Ok(())
}
