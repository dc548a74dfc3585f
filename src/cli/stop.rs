//! When to stop: SIGTERM from the machine, Ctrl-C from a person.

use actix_web::dev::Server;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Hears the signals from the moment it is made, so that none ends the process unasked.
pub struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    /// Begins to listen.
    pub fn listen() -> std::io::Result<Stop> {
        Ok(Stop { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits until somebody asks the process to stop; may be asked again.
    pub async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Runs a server until somebody asks the process to stop; then it takes no new requests and finishes the ones it has.
pub async fn serve_until_asked(server: Server, mut stop: Stop) -> std::io::Result<()> {
    let handle = server.handle();
    // A task of its own: stopping waits for the server, and the server must be driven meanwhile.
    let mut running = actix_web::rt::spawn(server);
    tokio::select! {
        ended = &mut running => ended?,
        () = stop.asked() => {
            handle.stop(true).await;
            running.await?
        }
    }
}
