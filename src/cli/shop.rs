//! `meari numbers search` and `order`: what a carrier offers, and ordering some of it.

use std::path::Path;

use clap::Args;

use super::{Failure, Outcome, open, table};
use crate::app::App;
use crate::carriers::{NumberKind, NumberQuery, SendError, goods};
use crate::contacts::jobs::serve_waiting;
use crate::db::Lane;
use crate::numbers::orders::{self, Chosen};
use crate::numbers::{Capabilities, reserve};
use crate::phone::E164;

#[derive(Debug, Args)]
pub struct Search {
    /// The carrier's id in the settings
    #[arg(long)]
    carrier: String,
    /// ISO 3166 region
    #[arg(long, default_value = "US")]
    region: String,
    /// The first digits after the country code
    #[arg(long, value_name = "DIGITS")]
    area: Option<String>,
    /// What it must be able to do: sms, mms, voice, joined by +
    #[arg(long, default_value = "sms")]
    capabilities: String,
}

#[derive(Debug, Args)]
pub struct Order {
    /// The carrier's id in the settings
    #[arg(long)]
    carrier: String,
    /// What they can do, as `meari numbers search` says: sms, mms, voice, joined by +
    #[arg(long, default_value = "sms")]
    capabilities: String,
    /// The numbers, like +12025550150
    #[arg(required = true)]
    numbers: Vec<String>,
}

fn refused(carrier: &str, error: &SendError) -> Failure {
    let advice = if error.is_unsupported() {
        "Order it in the carrier's own console and add it with `meari numbers import`."
    } else {
        "Try again; `meari doctor` checks the carrier."
    };
    Failure::new(format!("{carrier} did not answer as it should: {error}."), advice)
}

fn carrier_of(app: &App, id: &str) -> Result<std::sync::Arc<dyn crate::carriers::Carrier>, Failure> {
    app.carriers.get(id).cloned().ok_or_else(|| {
        let known: Vec<&str> = app.carriers.iter().map(|carrier| carrier.id()).collect();
        let problem = format!("There is no carrier {id:?} in the settings.");
        Failure::new(problem, format!("Name one of: {}.", known.join(", ")))
    })
}

pub async fn search(config: Option<&Path>, asked: &Search) -> Outcome {
    let app = open::app(open::settings(config)?)?;
    let carrier = carrier_of(&app, &asked.carrier)?;
    let wanted = Capabilities::parse(&asked.capabilities)?;
    let query = NumberQuery {
        region: asked.region.to_ascii_uppercase(),
        kind: NumberKind::Local,
        area: asked.area.clone(),
        features: wanted.features(),
        limit: goods::OFFERS_MAX,
    };
    let offers = carrier.search_numbers(&query).await.map_err(|error| refused(&asked.carrier, &error))?;
    if offers.is_empty() {
        println!("{} offers no such number just now.", asked.carrier);
        return Ok(());
    }
    let rows: Vec<[String; 4]> = offers
        .into_iter()
        .map(|offer| {
            let cost = reserve::cost_of(&offer).map_or_else(|| "?".to_owned(), |cost| cost.to_string());
            let able = Capabilities::of(offer.features).names().join("+");
            [offer.number.to_string(), able, cost, offer.place.unwrap_or_default()]
        })
        .collect();
    print!("{}", table::render(["E164", "CAPABILITIES", "FIRST MONTH", "PLACE"], &rows));
    Ok(())
}

pub async fn order(config: Option<&Path>, asked: &Order) -> Outcome {
    let parse = |text: &String| {
        E164::parse(text).map_err(|_| {
            Failure::new(format!("{text:?} is not a number in E.164 form."), "Example: +12025550150")
        })
    };
    let wanted: Vec<E164> = asked.numbers.iter().map(parse).collect::<Result<_, _>>()?;
    let capabilities = Capabilities::parse(&asked.capabilities)?;
    let app = open::app(open::settings(config)?)?;
    let carrier = carrier_of(&app, &asked.carrier)?;
    if !carrier.capabilities().numbers.order {
        return Err(refused(&asked.carrier, &SendError::unsupported("be asked for numbers")));
    }
    let (mut has_grown, mut rows) = (false, Vec::new());
    for number in wanted {
        let chosen =
            Chosen { carrier_id: asked.carrier.clone(), number: number.clone(), capabilities, cost: None };
        let placed = orders::place(&app, chosen).await?;
        has_grown |= placed.has_grown;
        rows.push([number.to_string(), placed.order.state, placed.problem.unwrap_or_default()]);
    }
    if has_grown {
        let now = app.now();
        app.db.write(Lane::Any, move |db| serve_waiting(db, now)).await?;
    }
    print!("{}", table::render(["E164", "STATE", "WHY"], &rows));
    println!("The same command again orders nothing twice: it asks how far the orders are.");
    Ok(())
}
