//! When to stop: SIGTERM from the machine, Ctrl-C from a person.

use actix_web::dev::Server;
use tokio::signal::unix::{SignalKind, signal};

/// Waits until somebody asks the process to stop.
pub async fn asked() {
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminated) => drop(terminated.recv().await),
            // Without a handler the signal ends the process by itself.
            Err(_) => std::future::pending::<()>().await,
        }
    };
    let interrupt = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = terminate => {}
        () = interrupt => {}
    }
}

/// Runs a server until somebody asks the process to stop; then it takes no new requests and finishes the ones it has.
pub async fn serve_until_asked(server: Server) -> std::io::Result<()> {
    let handle = server.handle();
    // A task of its own: stopping waits for the server, and the server must be driven meanwhile.
    let mut running = actix_web::rt::spawn(server);
    tokio::select! {
        ended = &mut running => ended?,
        () = asked() => {
            handle.stop(true).await;
            running.await?
        }
    }
}
