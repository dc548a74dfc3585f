//! The doors of the simulator: the carrier's API, the phones, the bad days, and the page.

mod account;
mod calls;
mod events;
mod messages;
mod numbers;
mod page;
mod paging;
mod phones;
mod world;

use std::net::TcpListener;

use actix_web::dev::Server;
use actix_web::web::{self, ServiceConfig};
use actix_web::{App, HttpServer};

use super::Simulator;

/// Pages that listen at once.
pub(super) const STREAMS_MAX: usize = 128;
/// A whole form of the carrier's API: 1,600 characters percent-encoded, ten URLs, and room.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Everything that the simulator serves, to mount where one likes: alone, or below `/simulator` of another server.
///
/// Starts the simulator, so it must be called where a tokio runtime runs, as inside the factory of an `HttpServer`.
pub fn routes(simulator: Simulator) -> impl FnOnce(&mut ServiceConfig) {
    move |config| {
        simulator.start();
        config
            .app_data(web::Data::new(simulator))
            .app_data(web::PayloadConfig::new(BODY_BYTES_MAX))
            // Before the scope, whose prefix would match it too.
            .route("/2010-04-01/Accounts/{account}.json", web::get().to(account::find_account))
            .service(
                web::scope("/2010-04-01/Accounts/{account}")
                    .configure(messages::routes)
                    .configure(numbers::routes)
                    .configure(calls::carrier_routes)
                    .default_service(web::to(account::not_found)),
            )
            .configure(phones::routes)
            .configure(calls::phone_routes)
            .configure(events::routes)
            .configure(world::routes)
            .configure(page::routes);
    }
}

/// The simulator as a server of its own, on a listener that is bound already.
pub fn server(simulator: Simulator, listener: TcpListener) -> std::io::Result<Server> {
    let server = HttpServer::new(move || App::new().configure(routes(simulator.clone())))
        .workers(2)
        // Pages listen for ever; nobody waits for them at the end.
        .shutdown_timeout(1)
        .disable_signals()
        .listen(listener)?;
    Ok(server.run())
}
