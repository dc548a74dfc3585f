//! What edges and jobs can reach: settings, database, clock, keys, sockets that wait. Operations never receive it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::sync::{Arc, RwLock};

use secrecy::ExposeSecret;
use tokio::sync::Notify;

use crate::carriers::Registry;
use crate::carriers::health::Tallies;
use crate::carriers::in_flight::InFlight;
use crate::clock::{Clock, Timestamp};
use crate::config::Settings;
use crate::db::{Database, Options, Signal};
use crate::error::{Error, Result};
use crate::events::Hub;
use crate::keys::Keys;
use crate::mail::Mailer;
use crate::media::{Engine, MediaSettings};
use crate::metrics::Metrics;
use crate::net::{Net, Policy};
use crate::profile_signer::ProfileSigner;
use crate::push;
use crate::whispers::Whispers;

type SignalListener = Box<dyn Fn(&Signal) + Send + Sync>;

/// The running service. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// What an [`App`] is made of.
pub struct Parts {
    /// What the operator set.
    pub settings: Settings,
    /// The database.
    pub db: Database,
    /// The time.
    pub clock: Clock,
    /// The installation's key.
    pub keys: Keys,
    /// Who waits for which account on this node.
    pub hub: Hub,
    /// Who listens here for what is kept nowhere.
    pub whispers: Whispers,
    /// The telephone side.
    pub carriers: Registry,
    /// Requests to where the operator's settings point.
    pub net: Net,
    /// Requests to where others say: public addresses only.
    pub public_net: Net,
    /// Letters.
    pub mail: Mailer,
    /// Pushes to phones and browsers.
    pub push: push::Sender,
    /// Signs configuration profiles, when there is a key to sign with.
    pub profile_signer: Option<ProfileSigner>,
    /// The audio of calls; it starts at the first leg.
    pub media: Engine,
    /// What the carriers did, until the next round takes it.
    pub tallies: Tallies,
    /// What the carriers have not answered yet.
    pub in_flight: InFlight,
    /// What is counted for the operator.
    pub metrics: Metrics,
    /// Rung when there is work in the queue.
    pub jobs: Notify,
    listeners: RwLock<Vec<SignalListener>>,
    local_listeners: RwLock<Vec<SignalListener>>,
}

impl Deref for App {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl App {
    /// Opens the database (its schema must be up to date) and puts the parts together.
    pub fn open(settings: Settings, clock: Clock, keys: Keys) -> Result<App> {
        let net = Net::new(Policy::Operator)?;
        let carriers = Registry::build(&settings.carriers, &net)
            .map_err(|fault| Error::invalid("carriers", "bad_carrier", fault))?;
        let mail = match (&settings.smtp_url, &settings.mail_from) {
            (Some(url), Some(from)) => Mailer::from_url(url.expose_secret(), from)?,
            _ => Mailer::none(),
        };
        let db = Database::open(&settings.database_url, &Options::default())?;
        let push = push::Sender::new(&settings, &keys)?;
        let profile_signer = profile_signer(&settings)?;
        let media = Engine::idle(media_settings(&settings));
        let parts = Parts {
            settings,
            db,
            clock,
            keys,
            hub: Hub::default(),
            whispers: Whispers::default(),
            carriers,
            net,
            public_net: Net::new(Policy::Public)?,
            mail,
            push,
            profile_signer,
            media,
            tallies: Tallies::default(),
            in_flight: InFlight::default(),
            metrics: Metrics::default(),
            jobs: Notify::new(),
            listeners: RwLock::default(),
            local_listeners: RwLock::default(),
        };
        let app = App(Arc::new(parts));
        // Weak: the database must not keep the service alive that owns it.
        let weak = Arc::downgrade(&app.0);
        app.db.on_commit(move |signals| {
            let Some(parts) = weak.upgrade() else { return };
            for signal in signals {
                parts.dispatch(signal);
                if let Ok(listeners) = parts.local_listeners.read() {
                    listeners.iter().for_each(|listener| listener(signal));
                }
            }
        });
        Ok(app)
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// The key set for it, or else the one of our own TLS; that one may be of a kind that phones do not know, and then profiles
/// go out unsigned.
fn profile_signer(settings: &Settings) -> Result<Option<ProfileSigner>> {
    match (&settings.profile_signer, &settings.tls) {
        (Some(files), _) => ProfileSigner::read(files).map(Some),
        (None, Some(files)) => Ok(ProfileSigner::read(files)
            .inspect_err(|error| tracing::warn!(reason = %error.report(), "profiles are not signed"))
            .ok()),
        (None, None) => Ok(None),
    }
}

/// Without a port of its own, audio arrives at the host of the HTTP server, at any port.
fn media_settings(settings: &Settings) -> MediaSettings {
    let host = settings.listen.rsplit_once(':').map_or("", |(host, _)| host).trim_matches(['[', ']']);
    let host = host.parse().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    MediaSettings {
        bind: settings.calls_listen.unwrap_or(SocketAddr::new(host, 0)),
        public_ips: settings.calls_addresses.clone(),
        legs_max: settings.calls_legs_max,
        ..MediaSettings::default()
    }
}

impl Parts {
    /// Tells everybody on this node what was committed, here or on another node.
    pub fn dispatch(&self, signal: &Signal) {
        // Caches first: a socket that wakes must not meet the old state.
        if let Ok(listeners) = self.listeners.read() {
            for listener in listeners.iter() {
                listener(signal);
            }
        }
        match signal {
            Signal::Account { account, seq, .. } => self.hub.ring(*account, *seq),
            Signal::Jobs => self.jobs.notify_one(),
            Signal::Pool | Signal::News(_) => {}
        }
    }

    /// Calls `listener` after every commit, on the database's thread: it must be quick and must not block.
    pub fn on_signal(&self, listener: impl Fn(&Signal) + Send + Sync + 'static) {
        if let Ok(mut listeners) = self.listeners.write() {
            listeners.push(Box::new(listener));
        }
    }

    /// Calls `listener` after every commit of this node, and not for those of others; the same limits.
    pub fn on_local_signal(&self, listener: impl Fn(&Signal) + Send + Sync + 'static) {
        if let Ok(mut listeners) = self.local_listeners.write() {
            listeners.push(Box::new(listener));
        }
    }
}
