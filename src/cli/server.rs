//! The running service: HTTP, jobs and doorbell in one process, started and stopped together.

use std::net::TcpListener;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::middleware::from_fn;
use actix_web::web::ServiceConfig;
use actix_web::{App as WebApp, HttpServer, rt};
use rustls::ServerConfig;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::stop::Stop;
use super::{Failure, Outcome};
use crate::accounts::idempotency;
use crate::app::App;
use crate::metrics::api::observe;
use crate::router::Edges;
use crate::{doorbell, http, worker};

/// How long requests and jobs may take to finish when the process is asked to stop.
const GRACE: Duration = Duration::from_secs(20);
/// Connections that the system may keep for us while we are busy.
const BACKLOG: u32 = 2_048;

/// How long a connection may rest: longer than the minute that carriers, proxies and balancers keep theirs, so that it is
/// they who close it, and no request is sent into a connection that we are closing.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// What runs, and the ways to stop it.
pub struct Running {
    edges: Edges,
    http: Option<(ServerHandle, JoinHandle<std::io::Result<()>>)>,
    tasks: Vec<JoinHandle<()>>,
    stop: watch::Sender<bool>,
    signals: Stop,
}

/// Binds an address, or says what to do.
pub fn listen(address: &str) -> Result<TcpListener, Failure> {
    let advice = "Choose another `listen` address; port 0 takes any that is free.";
    let failed =
        |error: std::io::Error| Failure::new(format!("Cannot listen on {address}: {error}."), advice);
    let addresses: Vec<_> = std::net::ToSocketAddrs::to_socket_addrs(address).map_err(failed)?.collect();
    let listener = TcpListener::bind(addresses.as_slice()).map_err(failed)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl Running {
    /// Puts the edges in front of `app`; nothing runs yet.
    pub fn new(app: &App) -> Result<Running, Failure> {
        let (edges, stop) = (Edges::open(app), watch::channel(false).0);
        // Whoever carries calls must say so, with or without jobs.
        let tasks = vec![rt::spawn(edges.calls.clone().keep(stop.subscribe()))];
        Ok(Running { edges, http: None, tasks, stop, signals: Stop::listen()? })
    }

    /// Serves HTTP on `listener`, with TLS when it is given; `more` mounts what only this command has.
    pub fn serve_http(
        &mut self,
        listener: TcpListener,
        tls: Option<ServerConfig>,
        grace: Duration,
        more: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
    ) -> Outcome {
        let edges = self.edges.clone();
        let server = HttpServer::new(move || {
            let (edges, more) = (edges.clone(), more.clone());
            WebApp::new()
                .wrap(from_fn(idempotency::once))
                .wrap(from_fn(http::with_request_id))
                .wrap(from_fn(observe))
                .configure(move |cfg| {
                    more(cfg);
                    edges.configure(cfg);
                })
        })
        .backlog(BACKLOG)
        .keep_alive(KEEP_ALIVE)
        .shutdown_timeout(grace.as_secs())
        .disable_signals();
        let server = match tls {
            Some(tls) => server.listen_rustls_0_23(listener, tls)?,
            None => server.listen(listener)?,
        }
        .run();
        self.http = Some((server.handle(), rt::spawn(server)));
        Ok(())
    }

    /// Runs jobs and carriers' connections, and sweeps up now and then.
    pub fn work(&mut self) {
        let app = &self.edges.app;
        self.tasks.push(rt::spawn(worker::work(app.clone(), self.stop.subscribe())));
        self.tasks.push(rt::spawn(worker::sweep_regularly(app.clone(), self.stop.subscribe())));
        let arrivals = self.edges.arrivals.clone();
        self.tasks.push(rt::spawn(worker::listen(app.clone(), arrivals, self.stop.subscribe())));
    }

    /// Listens to the other nodes and rings for them.
    pub fn ring(&mut self) {
        self.tasks.extend(doorbell::start(&self.edges.app, &self.stop.subscribe()));
    }

    /// Runs until somebody asks to stop; then takes nothing new, finishes what is there and closes the database.
    pub async fn until_stopped(mut self) -> Outcome {
        let died = async {
            match &mut self.http {
                Some((_, task)) => task.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.signals.asked() => {}
            ended = died => {
                return Err(Failure::new(format!("The HTTP server ended by itself: {ended:?}."), "Start it again."));
            }
        }
        tracing::info!("stopping: finishing what has begun; ask again to stop at once");
        let Running { edges, http, tasks, stop, mut signals } = self;
        tokio::select! {
            () = wind_down(edges, http, tasks, stop) => Ok(()),
            () = signals.asked() => Err(Failure::new("Stopped at once.", "Jobs that ran will be run again.")),
        }
    }
}

async fn wind_down(
    edges: Edges,
    http: Option<(ServerHandle, JoinHandle<std::io::Result<()>>)>,
    tasks: Vec<JoinHandle<()>>,
    stop: watch::Sender<bool>,
) {
    edges.readiness.stop();
    let _ = stop.send(true);
    if let Some((handle, task)) = http {
        handle.stop(true).await;
        if let Ok(Err(error)) = task.await {
            tracing::warn!(%error, "the HTTP server did not end well");
        }
    }
    if tokio::time::timeout(GRACE, futures_util::future::join_all(tasks)).await.is_err() {
        tracing::warn!("some jobs did not finish in time; they will be run again");
    }
    // The last handle: the lanes finish what they took and close the database.
    drop(edges);
    tracing::info!("stopped");
}
