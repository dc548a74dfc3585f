//! `meari simulator`: the simulated carrier as a server of its own.

use std::net::TcpListener;

use clap::Args;

use super::{Failure, Outcome, stop};
use crate::simulator::{Settings, Simulator, server};

#[derive(Debug, Args)]
pub struct Options {
    /// Address and port to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8090")]
    listen: String,
    /// Where inbound messages go: PUBLIC_URL/carriers/ID of a Meari that uses this carrier
    #[arg(long, value_name = "URL")]
    callback: Option<String>,
}

pub async fn run(options: Options) -> Outcome {
    let numbers = Settings::fictional_numbers();
    let settings = Settings { callback_base: options.callback, numbers, ..Settings::default() };
    let (account_sid, auth_token) = (settings.account_sid.clone(), settings.auth_token.clone());
    let listener = TcpListener::bind(&options.listen).map_err(|error| {
        Failure::new(
            format!("Cannot listen on {}: {error}.", options.listen),
            "Choose another address with --listen; port 0 takes any that is free.",
        )
    })?;
    let url = format!("http://{}", listener.local_addr()?);
    let server = server(Simulator::new(settings), listener)?;
    let stop = stop::Stop::listen()?;
    println!("The simulator is at {url} (phones to drive in the browser; API below /2010-04-01).");
    println!("The account rents +12025550150 to +12025550199, and more on request.");
    println!("Let Meari use it:\n");
    println!("[[carriers]]\nid = \"main\"\nkind = \"simulator\"\napi_base = \"{url}\"");
    println!("account_sid = \"{account_sid}\"\nauth_token = \"{auth_token}\"\n");
    println!("Ctrl-C stops it.");
    Ok(stop::serve_until_asked(server, stop).await?)
}
