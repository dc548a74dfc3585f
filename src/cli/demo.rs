//! `meari demo`: everything on one machine with nothing else: SQLite, a simulated carrier with phones, people, numbers.
//!
//! All telephone numbers are of the fictional range +1 202 555 01xx.

mod seed;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use actix_web::rt;
use actix_web::web::{self, Data, ServiceConfig};
use clap::Args;
use secrecy::SecretString;
use serde_json::json;

use super::{Failure, Outcome, open, server};
use crate::config::{CarrierSettings, Settings};
use crate::phone::E164;
use crate::simulator::{self, CardDavAccount, NewPhone, Simulator};
use crate::telemetry;
use crate::web::DemoSheet;
use seed::Seeded;

/// The carrier's id; a part of its callback addresses.
const CARRIER: &str = "demo";
/// Where the simulator's phones are on the main server.
const SIMULATOR: &str = "/simulator";
/// Pages hold connections open for ever; nobody waits for them.
const GRACE: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub struct Options {
    /// Address and port to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: String,
    /// Keep everything in this folder [default: a new temporary one that goes away]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Log what happens, not only what goes wrong
    #[arg(long)]
    verbose: bool,
}

/// The folder of the demo; a temporary one ends with it.
enum Folder {
    Kept(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Folder::Kept(path) => path,
            Folder::Temporary(folder) => folder.path(),
        }
    }
}

pub async fn run(options: Options) -> Outcome {
    let folder = match options.data {
        Some(path) => Folder::Kept(path),
        None => Folder::Temporary(tempfile::Builder::new().prefix("meari-demo-").tempdir()?),
    };
    let listener = server::listen(&options.listen)?;
    let url = format!("http://{}", reachable(listener.local_addr()?));
    let carrier_listener = TcpListener::bind("127.0.0.1:0")?;
    let settings = settings(folder.path(), &url, &carrier_listener, options.verbose)?;
    telemetry::start(&settings);
    std::fs::create_dir_all(&settings.media_dir)?;
    open::migrate(&settings)?;
    let app = open::app(settings)?;
    let seeded = seed::seed(&app).await?;
    let carrier = carrier(&url, &seeded)?;

    let mut running = server::Running::new(&app)?;
    let sheet = Data::new(DemoSheet(sheet(&seeded, &url)));
    let phones = carrier.clone();
    running.serve_http(listener, None, GRACE, move |cfg: &mut ServiceConfig| {
        cfg.app_data(sheet.clone());
        cfg.service(web::scope(SIMULATOR).configure(simulator::routes(phones.clone())));
    })?;
    running.work();
    let carrier_server = simulator::server(carrier, carrier_listener)?;
    let carrier_handle = carrier_server.handle();
    rt::spawn(carrier_server);
    drop(app);
    print!("{}", welcome(&seeded, &url, &folder));
    let outcome = running.until_stopped().await;
    carrier_handle.stop(false).await;
    outcome
}

/// How a browser on this machine reaches what is bound to `address`.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => SocketAddr::from(([127, 0, 0, 1], v4.port())),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
            SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, v6.port()))
        }
        other => other,
    }
}

fn settings(folder: &Path, url: &str, carrier: &TcpListener, verbose: bool) -> Result<Settings, Failure> {
    let simulator = simulator::Settings::default();
    let options = [("account_sid", simulator.account_sid), ("auth_token", simulator.auth_token)];
    let carrier = CarrierSettings {
        id: CARRIER.to_owned(),
        kind: "simulator".to_owned(),
        api_base: Some(format!("http://{}", carrier.local_addr()?)),
        options: options
            .into_iter()
            .map(|(key, value)| (key.to_owned(), SecretString::from(value)))
            .collect(),
    };
    Ok(Settings {
        listen: url.trim_start_matches("http://").to_owned(),
        public_url: url.to_owned(),
        database_url: format!("sqlite://{}", folder.join("meari.db").display()),
        secret_file: folder.join("secret.key"),
        media_dir: folder.join("media"),
        log_level: if verbose { "info,meari=debug" } else { "warn" }.to_owned(),
        carriers: vec![carrier],
        ..Settings::default()
    })
}

/// The simulated carrier with the pool's numbers and two phones: Alice's, which syncs her address book, and a
/// stranger's.
fn carrier(url: &str, seeded: &Seeded) -> Result<Simulator, Failure> {
    let carrier = Simulator::new(simulator::Settings {
        callback_base: Some(format!("{url}/carriers/{CARRIER}")),
        numbers: seeded.pool.clone(),
        ..simulator::Settings::default()
    });
    let carddav = CardDavAccount {
        url: format!("{url}/"),
        username: "alice".to_owned(),
        password: seeded.phone_password.clone(),
    };
    let phone = |number: &E164, name: &str, carddav| NewPhone {
        number: number.clone(),
        name: Some(name.to_owned()),
        carddav,
    };
    carrier.add_phone(phone(&seeded.alice_mobile, "Alice", Some(carddav)))?;
    carrier.add_phone(phone(&seeded.dave_mobile, "Dave", None))?;
    Ok(carrier)
}

/// What the guided tour needs to know. Nothing in it is worth keeping secret: it opens a demo.
fn sheet(seeded: &Seeded, url: &str) -> serde_json::Value {
    let people = ["bob", "carol", "alice"];
    json!({
        "simulator": SIMULATOR,
        "phones": [
            {"name": "Alice", "number": seeded.alice_mobile.as_str()},
            {"name": "Dave", "number": seeded.dave_mobile.as_str()},
        ],
        "people": people.map(|handle| json!({"handle": handle, "password": seed::PASSWORD})),
        "alice": {
            "handle": "alice",
            "number": seeded.alice_mobile.as_str(),
            "carddav_url": format!("{url}/dav/"),
            "username": "alice",
            "app_password": seeded.phone_password,
            "bobs_number": seeded.bobs_number.as_ref().map(E164::as_str),
        },
    })
}

fn welcome(seeded: &Seeded, url: &str, folder: &Folder) -> String {
    let bob = seeded.bobs_number.as_ref().map(E164::to_human).unwrap_or_default();
    let (password, operator, phone_password) = (seed::PASSWORD, seed::OPERATOR, &seeded.phone_password);
    let kept = match folder {
        Folder::Kept(path) => format!("Everything is kept in {}.", path.display()),
        Folder::Temporary(_) => "Everything goes away when it stops.".to_owned(),
    };
    format!(
        "Meari is up.

  The tour        {url}/demo
  The messenger   {url}/        sign in as bob or carol; password: {password}
  The phones      {url}{SIMULATOR}/
  The console     {url}/admin   sign in as {operator}; password: {password}
  Address book    {url}/dav/    CardDAV; user: alice, password: {phone_password}
  The API         {url}/docs

Try this:
  1. Open the tour. Alice has no app, only a phone; in its address book Bob is {bob}.
  2. Write an SMS from Alice's phone to Bob. It is in Bob's messenger at once.
  3. Answer as Bob. Alice gets an SMS, from the same number.
  4. Write to that number from Dave's phone. He is a stranger: the number means nothing to him.
  5. Add {url} as a CardDAV account in a program of yours: the friends are there with their numbers.

{kept} Ctrl-C stops it.
"
    )
}
