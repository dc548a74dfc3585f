//! Inbound SMS: a flood to see how many, a steady stream to see how late.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::callbacks;
use crate::client::{self, Outcome, Requests};
use crate::database::Place;
use crate::machine::Load;
use crate::population::{FRIENDS_EACH, People};
use crate::report::{Report, Row};
use crate::server::Server;
use crate::{Options, Result, verify};

/// Wanted at least, a second.
const GOAL: f64 = 10_000.0;
/// Wanted at most at half of that, in milliseconds.
const GOAL_P99: f64 = 25.0;
/// Callbacks that one run can use up at most, a second.
const PREPARED: u64 = 40_000;
/// Before the clock runs: routes and pages come into memory, as they are on a machine that has been up for a while.
const WARM_UP: Duration = Duration::from_secs(8);
const CEILING_TIME: Duration = Duration::from_secs(3);

pub async fn run(
    options: &Options,
    place: &Place,
    folder: &Path,
    people: &People,
    report: &mut Report,
) -> Result<()> {
    let all =
        |random: u64| (random as usize % people.users, favourite((random >> 40) as f64 / (1 << 24) as f64));
    let prepared =
        |run, seconds: u64| Arc::new(callbacks::make(people, run, (seconds * PREPARED) as usize, all));
    let flood = prepared(1, options.seconds + WARM_UP.as_secs());
    let ceiling = ceiling(options, folder, &flood).await?;

    let server = Server::meari(place, folder).await?;
    let pids: Vec<u32> = [Some(server.pid()), place.server].into_iter().flatten().collect();
    let warm = client::flood(server.address, flood.clone(), 0, options.connections, WARM_UP).await?;
    let used = warm.statuses.len() + options.connections;
    let before = Load::now(&pids);
    let mut outcome = client::flood(server.address, flood, used, options.connections, options.time()).await?;
    let after = Load::now(&pids);
    let mut answered = answered(1, &[&warm, &outcome]);
    let spent = after.served_since(&before).as_secs_f64() * 1e6 / outcome.good().max(1) as f64;
    report.add(Row {
        engine: place.name(),
        what: format!("inbound SMS, {} connections", options.connections),
        goal: format!("{GOAL:.0}/s"),
        measured: format!("{:.0}/s", outcome.per_second()),
        ceiling: format!("{:.0}/s ({:.3})", ceiling.0, outcome.per_second() / ceiling.0),
        good: outcome.per_second() >= GOAL,
        remark: format!(
            "{}; {spent:.0} µs CPU each; others used {:.0} %; {} refused",
            outcome.times.summary(),
            after.foreign_since(&before),
            outcome.statuses.len() - outcome.good()
        ),
    });

    tokio::time::sleep(Duration::from_secs(2)).await;
    let paced = Arc::new(callbacks::make(people, 2, (options.seconds * options.rate) as usize, all));
    let before = Load::now(&pids);
    let mut outcome = client::stream(
        server.address,
        paced,
        0,
        options.connections,
        options.rate,
        options.time(),
        |_, _| (),
    )
    .await?;
    let after = Load::now(&pids);
    answered.extend(self::answered(2, &[&outcome]));
    let spent = after.served_since(&before).as_secs_f64() * 1e6 / outcome.good().max(1) as f64;
    server.stop()?;
    let found = verify::check(place, &answered).await?;
    let remark = format!(
        "{spent:.0} µs CPU each; others used {:.0} %; {} answered, {} stored, none twice",
        after.foreign_since(&before),
        found.answered,
        found.stored
    );
    let steady = outcome.times.percentile(0.99) < GOAL_P99 && outcome.good() == outcome.statuses.len();
    report.add(steady_row(options, place, outcome.times.summary(), ceiling.1, steady, remark));
    Ok(())
}

fn steady_row(
    options: &Options,
    place: &Place,
    measured: String,
    ceiling: String,
    good: bool,
    remark: String,
) -> Row {
    Row {
        engine: place.name(),
        what: format!("inbound SMS, {}/s", options.rate),
        goal: format!("p99 < {GOAL_P99} ms"),
        measured,
        ceiling,
        good,
        remark,
    }
}

/// What the machine does when nothing is done with the same requests: per second, and times at the steady rate.
async fn ceiling(options: &Options, folder: &Path, requests: &Arc<Requests>) -> Result<(f64, String)> {
    let server = Server::nothing(folder).await?;
    let flood = client::flood(server.address, requests.clone(), 0, options.connections, CEILING_TIME).await?;
    let mut steady = client::stream(
        server.address,
        requests.clone(),
        0,
        options.connections,
        options.rate,
        CEILING_TIME,
        |_, _| (),
    )
    .await?;
    Ok((flood.per_second(), steady.times.summary()))
}

/// Which of his friends somebody writes to: everybody has favourites, the n-th is written to 1/n as often as the first
/// (Zipf). `random` is from 0 to 1.
fn favourite(random: f64) -> usize {
    let weights = (1..=FRIENDS_EACH).map(|n| 1.0 / n as f64);
    let mut left = random * weights.clone().sum::<f64>();
    for (n, weight) in weights.enumerate() {
        left -= weight;
        if left < 0.0 {
            return n;
        }
    }
    FRIENDS_EACH - 1
}

pub fn answered(run: u64, outcomes: &[&Outcome]) -> Vec<(u64, u32)> {
    let statuses = outcomes.iter().flat_map(|outcome| &outcome.statuses);
    statuses.filter(|(_, status)| *status == 200).map(|(n, _)| (run, *n)).collect()
}
