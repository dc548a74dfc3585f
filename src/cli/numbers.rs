//! `meari numbers`: the pool, from the operator's side.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::{Failure, Outcome, open, shop, table};
use crate::app::App;
use crate::contacts::jobs::serve_waiting;
use crate::db::Lane;
use crate::error::Error;
use crate::messaging;
use crate::numbers::plan::{Demand, plan};
use crate::numbers::{self, Capabilities, Import};
use crate::phone::E164;

/// Lines of a file at most: ten times the largest pool that plan has ever asked for.
const LINES_MAX: usize = 100_000;
/// Rows in one transaction, so that the service goes on beside an import.
const CHUNK: usize = 1_000;
/// Faults that are shown; the file has more of the same kind.
const FAULTS_SHOWN: usize = 20;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add numbers from a CSV file with the columns e164,carrier,capabilities
    ///
    /// The first line names the columns. `carrier` is the id of a carrier in the settings; capabilities are sms, mms and
    /// voice, joined by +. Numbers that are there already stay as they are. When one line is wrong, nothing is imported.
    /// Contacts that wait for a number are served at once.
    ///
    ///   e164,carrier,capabilities
    ///   +12025550150,main,sms+voice
    #[command(verbatim_doc_comment)]
    Import {
        /// The file; - reads standard input
        file: PathBuf,
    },
    /// List the numbers of the pool
    List,
    /// Say that numbers are another carrier's now, because they were ported
    ///
    /// Whoever has them keeps them, and what waits leaves through that carrier.
    Port {
        /// The carrier's id in the settings
        #[arg(long)]
        to: String,
        /// The numbers, like +12025550150
        #[arg(required = true)]
        numbers: Vec<String>,
    },
    /// Show numbers that can be had from a carrier
    Search(shop::Search),
    /// Order numbers from a carrier; they join the pool as soon as they are ours
    Order(shop::Order),
    /// Say how many numbers one region needs, and why
    ///
    /// A number must differ only among the contacts of one account, so the pool follows the account with the most
    /// contacts and not the number of accounts:
    ///
    ///   numbers = (most contacts of an account + pairs that rest) x (1 + headroom)
    ///
    /// and at least what the carrier's rate for one number asks for. Options that are left out are taken from the
    /// database.
    #[command(verbatim_doc_comment)]
    Plan(PlanOptions),
}

#[derive(Debug, Args)]
pub struct PlanOptions {
    /// Contacts of the account with the most contacts [default: what the database holds]
    #[arg(long, value_name = "N")]
    contacts_max: Option<u32>,
    /// Contacts such an account drops while a released pair rests [default: 0 with the database, else 5 % of the
    /// contacts]
    #[arg(long, value_name = "N")]
    resting: Option<u32>,
    /// Room for growth, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 15)]
    headroom: u32,
    /// People whose phones will dial, to compare with a number for each of their contacts
    #[arg(long, value_name = "N")]
    handsets: Option<u32>,
    /// SMS per second of all together in the busy hour
    #[arg(long, value_name = "RATE", default_value_t = 0.0)]
    sms_per_second: f64,
    /// SMS per second that the carrier takes from one number
    #[arg(long, value_name = "RATE", default_value_t = 1.0)]
    sms_per_number: f64,
}

pub async fn run(config: Option<&Path>, command: Command) -> Outcome {
    match command {
        Command::Import { file } => import(config, &file).await,
        Command::List => list(config).await,
        Command::Port { to, numbers } => port(config, &to, &numbers).await,
        Command::Search(asked) => shop::search(config, &asked).await,
        Command::Order(asked) => shop::order(config, &asked).await,
        Command::Plan(options) => show_plan(config, &options).await,
    }
}

async fn import(config: Option<&Path>, file: &Path) -> Outcome {
    let settings = open::settings(config)?;
    let text = if file == Path::new("-") {
        std::io::read_to_string(std::io::stdin())?
    } else {
        std::fs::read_to_string(file).map_err(|e| {
            Failure::new(format!("{} cannot be read: {e}.", file.display()), "Name a CSV file.")
        })?
    };
    let carriers: Vec<&str> = settings.carriers.iter().map(|carrier| carrier.id.as_str()).collect();
    let imports = parse(&text, &carriers).map_err(|lines| Failure { lines })?;
    let app = open::app(settings)?;
    let (count, now) = (imports.len(), app.now());
    let mut imported = 0;
    for chunk in imports.chunks(CHUNK).map(<[Import]>::to_vec) {
        imported += app.db.write(Lane::Any, move |db| numbers::import(db, now, &chunk)).await?;
    }
    if imported > 0 {
        app.db.write(Lane::Any, move |db| serve_waiting(db, now)).await?;
    }
    println!("{imported} numbers are new, {} were there already.", count - imported);
    Ok(())
}

/// Reads the file; the error is a line for each fault.
fn parse(text: &str, carriers: &[&str]) -> Result<Vec<Import>, Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let wrong_head = |found: &str| {
        vec![
            format!("The first line must be e164,carrier,capabilities, not {found:?}."),
            "Add that line, and put the columns into that order.".to_owned(),
        ]
    };
    let head = reader.headers().map_err(|e| vec![e.to_string()])?;
    if head.iter().ne(["e164", "carrier", "capabilities"]) {
        return Err(wrong_head(&head.iter().collect::<Vec<_>>().join(",")));
    }
    let mut imports = Vec::new();
    let mut faults = Vec::new();
    for record in reader.records().take(LINES_MAX + 1) {
        match record.map_err(|e| e.to_string()).and_then(|record| row(&record, carriers)) {
            Ok(import) => imports.push(import),
            Err(fault) => faults.push(fault),
        }
    }
    if imports.len() + faults.len() > LINES_MAX {
        return Err(vec![format!("The file has more than {LINES_MAX} lines."), "Split it.".to_owned()]);
    }
    if faults.is_empty() {
        return Ok(imports);
    }
    let count = faults.len();
    faults.truncate(FAULTS_SHOWN);
    faults.insert(0, format!("Nothing was imported, because {count} lines are wrong:"));
    if count > FAULTS_SHOWN {
        faults.push(format!("… and {} more.", count - FAULTS_SHOWN));
    }
    Err(faults)
}

fn row(record: &csv::StringRecord, carriers: &[&str]) -> Result<Import, String> {
    let line = record.position().map_or(0, csv::Position::line);
    let field = |index: usize| record.get(index).unwrap_or_default();
    let number = E164::parse(field(0)).map_err(|_| {
        format!("  line {line}: {:?} is not a number in E.164 form. Example: +12025550150", field(0))
    })?;
    if number.region().is_empty() {
        return Err(format!("  line {line}: {number} belongs to no country."));
    }
    if !carriers.contains(&field(1)) {
        let known = if carriers.is_empty() { "none".to_owned() } else { carriers.join(", ") };
        return Err(format!(
            "  line {line}: there is no carrier {:?} in the settings (known: {known}).",
            field(1)
        ));
    }
    let capabilities =
        Capabilities::parse(field(2)).map_err(|error| format!("  line {line}: {}", error.message()))?;
    Ok(Import { number, carrier_id: field(1).to_owned(), capabilities })
}

async fn list(config: Option<&Path>) -> Outcome {
    let app = open::app(open::settings(config)?)?;
    let mut rows = Vec::new();
    let mut after = None;
    loop {
        let page = app.db.read(move |db| numbers::list(db, after, 1_000)).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        rows.extend(page.into_iter().map(|n| {
            let capabilities = n.capabilities.names().join("+");
            [n.number.to_string(), n.region, n.carrier_id, capabilities, n.state.as_str().to_owned()]
        }));
    }
    if rows.is_empty() {
        println!("The pool is empty. Fill it with `meari numbers import FILE.csv`.");
    } else {
        print!("{}", table::render(["E164", "REGION", "CARRIER", "CAPABILITIES", "STATE"], &rows));
    }
    Ok(())
}

async fn port(config: Option<&Path>, to: &str, listed: &[String]) -> Outcome {
    let settings = open::settings(config)?;
    if !settings.carriers.iter().any(|carrier| carrier.id == to) {
        let known: Vec<&str> = settings.carriers.iter().map(|carrier| carrier.id.as_str()).collect();
        return Err(Failure::new(
            format!("There is no carrier {to:?} in the settings."),
            format!("Name one of: {}.", known.join(", ")),
        ));
    }
    let parse = |text: &String| {
        E164::parse(text).map_err(|_| {
            Failure::new(format!("{text:?} is not a number in E.164 form."), "Example: +12025550150")
        })
    };
    let wanted: Vec<E164> = listed.iter().map(parse).collect::<Result<_, _>>()?;
    let app = open::app(settings)?;
    let (now, to, count) = (app.now(), to.to_owned(), wanted.len());
    let write = move |db: &mut crate::db::Db| {
        for number in &wanted {
            let found = numbers::find(db, number)?.ok_or_else(|| Error::not_found("number"))?;
            messaging::port_number(db, now, found.id, &to)?;
        }
        Ok(())
    };
    app.db.write(Lane::Any, write).await?;
    println!(
        "{count} numbers leave through the new carrier; enter our addresses there (`meari doctor` checks them)."
    );
    Ok(())
}

async fn show_plan(config: Option<&Path>, options: &PlanOptions) -> Outcome {
    let (contacts_max, source, available) = match options.contacts_max {
        Some(contacts) => (contacts, "as you said", None),
        None => {
            let app = open::app(open::settings(config)?)?;
            let (largest, available) = held(&app).await?;
            (largest, "the largest account now, active and resting", Some(available))
        }
    };
    let guess = if options.contacts_max.is_some() { contacts_max.div_ceil(20) } else { 0 };
    let demand = Demand {
        contacts_max,
        resting_max: options.resting.unwrap_or(guess),
        headroom_percent: options.headroom,
        sms_per_second: options.sms_per_second,
        sms_per_number: options.sms_per_number,
    };
    print!("{}", explain(&demand, source, options.handsets));
    if let Some(available) = available {
        for (region, count) in available {
            println!("The pool of {region} has {count} available numbers now.");
        }
    }
    Ok(())
}

/// The largest holding of an account, and the available numbers by region.
async fn held(app: &App) -> Result<(u32, Vec<(String, i64)>), Failure> {
    let (largest, counts) =
        app.db.read(|db| Ok((numbers::largest_holding(db)?, numbers::counts(db)?))).await?;
    let available = counts.into_iter().filter(|(_, state, _)| state == "available");
    let available = available.map(|(region, _, count)| (region, count)).collect();
    Ok((u32::try_from(largest).unwrap_or(u32::MAX), available))
}

fn explain(demand: &Demand, source: &str, handsets: Option<u32>) -> String {
    let plan = plan(demand);
    let rows = [
        ["contacts of the largest account", &demand.contacts_max.to_string(), source],
        [
            "pairs that rest",
            &demand.resting_max.to_string(),
            "released, but may still stand in the phone's address book",
        ],
        ["headroom", &format!("{} %", demand.headroom_percent), "so that the next contact finds a number"],
        [
            "numbers for contacts",
            &plan.for_contacts.to_string(),
            "(contacts + resting) x (1 + headroom), rounded up",
        ],
        [
            "numbers for traffic",
            &plan.for_traffic.to_string(),
            &format!("{} SMS/s in all, {} SMS/s each", demand.sms_per_second, demand.sms_per_number),
        ],
        ["numbers for one region", &plan.numbers.to_string(), "the larger of the two"],
    ]
    .map(|row| row.map(str::to_owned));
    let mut text = table::render(["WHAT", "COUNT", "WHY"], &rows);
    text.push_str(&match handsets {
        Some(handsets) => {
            let each = u64::from(handsets) * u64::from(demand.contacts_max);
            format!(
                "\n{handsets} phones share these {} numbers, because a number names a contact only together with \
                 the phone that dials it.\nA number for each contact of each phone would be {each}.\n",
                plan.numbers
            )
        }
        None => "\nThe number of accounts does not matter: a number names a contact only together with the phone \
                 that dials it.\n"
            .to_owned(),
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_gives_its_reasons() {
        let demand = Demand {
            contacts_max: 500,
            resting_max: 20,
            headroom_percent: 15,
            sms_per_second: 0.0,
            sms_per_number: 1.0,
        };
        let text = explain(&demand, "as you said", Some(10_000));
        assert!(text.contains("numbers for one region           598"), "{text}");
        assert!(text.contains("would be 5000000"), "{text}");
    }

    #[test]
    fn a_file_is_read_whole_or_not_at_all() {
        let good = "e164,carrier,capabilities\n+12025550150,main,sms+voice\n +12025550151 , main , SMS\n";
        assert_eq!(parse(good, &["main"]).unwrap().len(), 2);
        let bad = "e164,carrier,capabilities\n12025550150,main,sms\n+12025550151,other,sms\n+12025550152,main,fax\n+12025550153,main\n";
        let lines = parse(bad, &["main"]).unwrap_err();
        assert_eq!(lines.len(), 5, "{lines:#?}");
        assert!(lines[1].contains("line 2") && lines[1].contains("Example: +12025550150"));
        assert!(lines[2].contains("line 3") && lines[2].contains("known: main"));
        assert!(lines[3].contains("line 4") && lines[3].contains("sms, mms and voice"));
        assert!(parse("number\n+12025550150", &[]).unwrap_err()[0].contains("e164,carrier,capabilities"));
    }
}
