//! The CardDAV driver: does what phones do to the real service, to a bare server and to the peers, in one run, and says
//! what it cost each server.
//!
//! Processor time per unit is the figure to compare: it holds on a busy machine. A figure counts only while the race
//! check is at zero.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    missing_docs
)]

mod cards;
#[path = "../drive/database.rs"]
mod database;
mod http;
#[path = "../drive/machine.rs"]
#[allow(dead_code)]
mod machine;
mod peers;
mod race;
mod report;
mod target;
mod works;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::peers::Peer;
use crate::report::Report;
use crate::target::Target;
use crate::works::Goals;

pub type Failure = Box<dyn std::error::Error + Send + Sync>;
pub type Result<T> = std::result::Result<T, Failure>;

/// Measures the address books over CardDAV: what a request costs the server, beside a bare server and the peers.
///
/// Peers are made ready by `scripts/bench-peers FOLDER` and take part with `--peers FOLDER`.
#[derive(Parser)]
#[command(name = "dav", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Given by `cargo bench`; means nothing.
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the works, or those that are named
    Run(RunOptions),
    /// The bare server
    #[command(hide = true)]
    Nothing { port: u16 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Engine {
    Sqlite,
    Postgres,
    Both,
    None,
}

/// What phones do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Work {
    /// Asking whether anything has changed
    Idle,
    /// What has changed
    Delta,
    /// A phone's first sync
    First,
    /// Uploads
    Put,
    /// A thousand users polling
    Users,
    /// Memory
    Memory,
    /// Four writers and four syncers: is every picture right?
    Race,
}

#[derive(Debug, Clone, Args)]
struct RunOptions {
    /// Which works; all when none is named
    works: Vec<Work>,
    /// Which database
    #[arg(long, value_enum, default_value = "sqlite")]
    engine: Engine,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// How large the books are
    #[arg(long, value_delimiter = ',', default_value = "150,1000,10000")]
    sizes: Vec<usize>,
    /// How many users poll, with ten cards each
    #[arg(long, default_value_t = 1_000)]
    users: usize,
    /// How often the race check runs
    #[arg(long, default_value_t = 10)]
    races: usize,
    /// Where `scripts/bench-peers` has put the peers
    #[arg(long)]
    peers: Option<PathBuf>,
    /// Which peers, when not all
    #[arg(long, value_delimiter = ',', default_value = "radicale,xandikos,cyrus")]
    only: Vec<Peer>,
    /// Where data lies; must be on the disk that is to be measured [default: a temporary folder]
    #[arg(long)]
    data: Option<PathBuf>,
}

impl RunOptions {
    fn has(&self, work: Work) -> bool {
        self.works.is_empty() || self.works.contains(&work)
    }

    fn time(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    fn engines(&self) -> &'static [database::Kind] {
        match self.engine {
            Engine::Sqlite => &[database::Kind::Sqlite],
            Engine::Postgres => &[database::Kind::Postgres],
            Engine::Both => &[database::Kind::Sqlite, database::Kind::Postgres],
            Engine::None => &[],
        }
    }
}

/// Cards of each of the many.
const CARDS_EACH: usize = 10;
/// Users of the peers, which are made one by one.
const PEER_USERS: usize = 100;

fn main() -> Result<()> {
    match Cli::parse().command {
        None => Cli::command().print_help().map_err(Into::into),
        Some(Command::Nothing { port }) => target::serve_nothing(port),
        Some(Command::Run(options)) => {
            let temporary = tempfile::tempdir()?;
            let folder = options.data.clone().unwrap_or_else(|| temporary.path().to_owned());
            std::fs::create_dir_all(&folder)?;
            let mut report = Report::new(machine::describe(&folder)?);
            // One thread: the driver must leave the machine to what it measures.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let outcome = runtime.block_on(run(&options, &folder, &mut report));
            report.print();
            outcome
        }
    }
}

async fn run(options: &RunOptions, folder: &Path, report: &mut Report) -> Result<()> {
    let bare_p99 = {
        let bare = target::start_bare(folder).await?;
        works::bare(&bare, options.time(), report).await?
    };
    for kind in options.engines() {
        let provided = database::Provided::make(*kind, folder)?;
        let place = provided.fresh("dav")?;
        let target = meari(options, &place, folder).await?;
        let target = measure(options, target, bare_p99, &Goals { ours: true }, report).await?;
        if options.has(Work::Memory) {
            let target = again(target, &place, folder).await?;
            let largest = target.people[target.large - 1].clone();
            let size = options.sizes[target.large - 1];
            works::memory(&target, &largest, size, &Goals { ours: true }, report).await?;
        }
        place.remove()?;
    }
    if let Some(ready) = &options.peers {
        for peer in &options.only {
            let users = options.users.min(PEER_USERS);
            match peers::start(*peer, ready, folder, &options.sizes, users, CARDS_EACH).await {
                Ok(target) => {
                    if let Err(error) =
                        measure(options, target, bare_p99, &Goals { ours: false }, report).await
                    {
                        println!("{peer:?} ended early: {error}");
                    }
                }
                Err(error) => println!("{peer:?} takes no part: {error}"),
            }
        }
    }
    Ok(())
}

/// `meari serve` with everybody in it.
async fn meari(options: &RunOptions, place: &database::Place, folder: &Path) -> Result<Target> {
    let large = options.sizes.len();
    let people = target::make_people(place, folder, large + options.users).await?;
    let (server, address) = target::start_meari(place, folder).await?;
    let mut pids = vec![server.pid()];
    pids.extend(place.server);
    let target = Target { name: format!("Meari, {}", place.name()), address, pids, people, large, server };
    seed(&target, &options.sizes, if options.has(Work::Users) { CARDS_EACH } else { 0 }).await?;
    Ok(target)
}

/// The same data in a new process.
async fn again(target: Target, place: &database::Place, folder: &Path) -> Result<Target> {
    let Target { name, people, large, server, .. } = target;
    drop(server);
    let (server, address) = target::start_meari(place, folder).await?;
    Ok(Target { name, address, pids: vec![server.pid()], people, large, server })
}

/// Fills all books over the wire.
async fn seed(target: &Target, sizes: &[usize], cards_each: usize) -> Result<()> {
    for (person, size) in target.people.iter().zip(sizes) {
        target::fill(target.address, person, *size).await?;
    }
    for person in target.many() {
        target::fill(target.address, person, cards_each).await?;
    }
    Ok(())
}

async fn measure(
    options: &RunOptions,
    target: Target,
    bare_p99: f64,
    goals: &Goals,
    report: &mut Report,
) -> Result<Target> {
    let time = options.time();
    if options.has(Work::Memory) && !goals.ours {
        let largest = target.people[target.large - 1].clone();
        works::memory(&target, &largest, options.sizes[target.large - 1], goals, report).await?;
    }
    for (person, size) in target.people.iter().zip(&options.sizes) {
        works::check(&target, person, *size).await?;
        if options.has(Work::Idle) {
            works::idle(&target, &format!(", {size} cards"), person, time, bare_p99, goals, report).await?;
        }
        if options.has(Work::Delta) {
            works::delta(&target, *size, person, time, goals, report).await?;
        }
        if options.has(Work::First) {
            works::first(&target, *size, person, time, goals, report).await?;
        }
    }
    if options.has(Work::Users) {
        works::users(&target, time, goals, report).await?;
    }
    if options.has(Work::Put) {
        works::upload(&target, 8, time, goals, report).await?;
        works::upload(&target, 64, time, goals, report).await?;
    }
    if options.has(Work::Race) {
        race::run(&target, options.races, time.min(Duration::from_secs(8)), report).await?;
    }
    Ok(target)
}
