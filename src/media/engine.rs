//! The engine as the rest of the service sees it: a cheap handle that sends commands to the thread with the legs.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use str0m::config::DtlsCert;
use tokio::sync::{mpsc, oneshot};

use super::browser::{Browser, Ground, parse_offer};
use super::leg::{End, Leg};
use super::outlet::Outlet;
use super::record::RecordLimits;
use super::socket::Socket;
use super::sound::{Sound, Times};
use super::wire::{OUT_WAITING_MAX, SocketLeg, WireSender};
use super::worker::{Command, Worker};
use super::{Codec, LegEvent, LegId, MediaSettings, tcp};
use crate::error::{Error, Result};

/// What an owner may leave unheard before it misses things.
const EVENTS_MAX: usize = 256;
/// A second of 600 calls: a thread that was held up for a moment loses nothing.
const RECEIVE_BYTES: usize = 4 * 1024 * 1024;
/// Ports that are tried until one is free for UDP and for TCP.
const PORT_TRIES: usize = 20;

/// What is counted for the operator.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Legs that are open.
    pub legs: usize,
    /// Legs opened since the start.
    pub opened: u64,
    /// Frames that came from legs.
    pub frames_in: u64,
    /// Frames that went to legs.
    pub frames_out: u64,
    /// Frames for legs that could not be given: a stuck socket, a full buffer, a browser not yet connected.
    pub frames_dropped: u64,
    /// Datagrams that were for no leg.
    pub strangers: u64,
}

#[derive(Default)]
pub(super) struct Counters {
    pub(super) opened: AtomicU64,
    pub(super) frames_in: AtomicU64,
    pub(super) frames_out: AtomicU64,
    pub(super) frames_dropped: AtomicU64,
    pub(super) strangers: AtomicU64,
}

/// What handles and the worker both see.
pub(super) struct Shared {
    pub(super) settings: MediaSettings,
    pub(super) counters: Counters,
    pub(super) outlet: Arc<Outlet>,
    legs: Mutex<HashMap<LegId, Entry>>,
    next: AtomicU64,
}

struct Entry {
    events: Option<mpsc::Receiver<LegEvent>>,
}

impl Shared {
    fn legs(&self) -> MutexGuard<'_, HashMap<LegId, Entry>> {
        self.legs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A leg is over. Whoever opened it and has not listened yet can still hear what happened.
    pub(super) fn closed(&self, leg: LegId) {
        self.legs().remove(&leg);
    }
}

struct Running {
    shared: Arc<Shared>,
    ground: Arc<Ground>,
    commands: mpsc::UnboundedSender<Command>,
    address: SocketAddr,
}

struct Parts {
    settings: MediaSettings,
    running: OnceLock<Running>,
    starting: Mutex<()>,
}

impl Drop for Parts {
    fn drop(&mut self) {
        if let Some(running) = self.running.get() {
            let _ = running.commands.send(Command::Shutdown);
        }
    }
}

/// The real-time audio of this process. Cheap to clone; when the last one is dropped, every leg is closed.
#[derive(Clone)]
pub struct Engine(Arc<Parts>);

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Engine({:?})", self.figures())
    }
}

impl Engine {
    /// An engine that binds its port and starts its thread at the first leg: one that is never used costs nothing.
    pub fn idle(settings: MediaSettings) -> Engine {
        Engine(Arc::new(Parts { settings, running: OnceLock::new(), starting: Mutex::new(()) }))
    }

    /// An engine that runs.
    ///
    /// # Errors
    /// `Unavailable` with the code `media_port` when the port cannot be bound.
    pub fn start(settings: MediaSettings) -> Result<Engine> {
        let engine = Engine::idle(settings);
        engine.running()?;
        Ok(engine)
    }

    fn running(&self) -> Result<&Running> {
        if let Some(running) = self.0.running.get() {
            return Ok(running);
        }
        let _only_one = self.0.starting.lock().unwrap_or_else(PoisonError::into_inner);
        if self.0.running.get().is_none() {
            let running = start(&self.0.settings)?;
            let _ = self.0.running.set(running);
        }
        self.0.running.get().ok_or_else(|| Error::internal("the media engine did not start"))
    }

    /// Where browsers' audio arrives; starts the engine.
    ///
    /// # Errors
    /// As [`Engine::start`].
    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.running()?.address)
    }

    fn admit(&self, running: &Running) -> Result<(LegId, mpsc::Sender<LegEvent>)> {
        let (tell, events) = mpsc::channel(EVENTS_MAX);
        let shared = &running.shared;
        let mut legs = shared.legs();
        if legs.len() >= shared.settings.legs_max {
            return Err(Error::unavailable("calls_full", "No more calls can be carried just now."));
        }
        let leg = LegId(shared.next.fetch_add(1, Ordering::Relaxed));
        legs.insert(leg, Entry { events: Some(events) });
        shared.counters.opened.fetch_add(1, Ordering::Relaxed);
        Ok((leg, tell))
    }

    /// Opens a leg to a browser. `offer` is the text of its SDP with one audio section, `codecs` what the call can use,
    /// in order of liking: [`Codec::Pcmu`] alone whenever a phone takes part, the leg is recorded or hears voicemail.
    /// Returns the text of the answer; [`LegEvent::Up`] tells when the browser is connected.
    ///
    /// # Errors
    /// `Invalid` with the codes `offer_too_large`, `bad_offer`, `offer_not_audio`, `no_common_codec`; `Unavailable` with
    /// `calls_full` or `media_port`.
    pub async fn open_browser(&self, offer: &str, codecs: &[Codec]) -> Result<(LegId, String)> {
        let running = self.running()?;
        let offer = parse_offer(offer)?;
        let (leg, tell) = self.admit(running)?;
        let now = Instant::now();
        // Here and not on the media thread: it takes as long as a hundred frames.
        let ground = running.ground.clone();
        let answered = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            Browser::answer(offer, codecs, ground, now)
        }));
        let bad = || Err(Error::invalid("offer", "bad_offer", "The offer is not SDP that can be answered."));
        match answered.unwrap_or_else(|_| bad()) {
            Ok((browser, answer)) => {
                let end = End::Browser(Box::new(browser));
                self.tell(Command::Open(Box::new(Leg::new(leg, end, tell, now))));
                Ok((leg, answer))
            }
            Err(error) => {
                running.shared.closed(leg);
                Err(error)
            }
        }
    }

    /// Answers another offer of the same browser, which changes its network (ICE restart). Sound goes on meanwhile.
    ///
    /// # Errors
    /// As [`Engine::open_browser`]; `NotFound` when the leg is over or no browser's.
    pub async fn renegotiate(&self, leg: LegId, offer: &str) -> Result<String> {
        let offer = parse_offer(offer)?;
        let (answer, answered) = oneshot::channel();
        self.tell(Command::Renegotiate(leg, offer, answer));
        answered.await.unwrap_or_else(|_| Err(Error::not_found("leg")))
    }

    /// Opens a leg whose frames somebody else carries: a carrier's media stream, a test.
    ///
    /// # Errors
    /// `Unavailable` with `calls_full` or `media_port`.
    pub fn open_socket(&self) -> Result<(LegId, SocketLeg)> {
        let running = self.running()?;
        let (leg, tell) = self.admit(running)?;
        let (wire, to_wire) = mpsc::channel(OUT_WAITING_MAX);
        let waiting = Arc::new(AtomicUsize::new(0));
        let now = Instant::now();
        let end = End::Socket(Box::new(Socket::new(wire, waiting.clone(), now)));
        self.tell(Command::Open(Box::new(Leg::new(leg, end, tell, now))));
        let from_wire = WireSender { leg, commands: running.commands.clone(), waiting };
        Ok((leg, SocketLeg { from_wire, to_wire }))
    }

    /// What happens to a leg, for whoever opened it: can be taken once, and only while the leg is open.
    pub fn events(&self, leg: LegId) -> Option<mpsc::Receiver<LegEvent>> {
        self.0.running.get()?.shared.legs().get_mut(&leg)?.events.take()
    }

    fn exists(&self, leg: LegId) -> Result<()> {
        let known = self.0.running.get().is_some_and(|running| running.shared.legs().contains_key(&leg));
        if known { Ok(()) } else { Err(Error::not_found("leg")) }
    }

    fn tell(&self, command: Command) {
        if let Some(running) = self.0.running.get() {
            let _ = running.commands.send(command);
        }
    }

    /// From now on the two hear each other, and nobody else. Sounds at both stop. Keys pressed at one go to the other.
    ///
    /// # Errors
    /// `NotFound` when one of them is over, `Conflict` when they are one.
    pub fn bridge(&self, a: LegId, b: LegId) -> Result<()> {
        self.are_two(a, b)?;
        self.tell(Command::Bridge(a, b));
        Ok(())
    }

    fn are_two(&self, a: LegId, b: LegId) -> Result<()> {
        if a == b {
            return Err(Error::conflict("same_leg", "A leg cannot be bridged to itself."));
        }
        self.exists(a)?;
        self.exists(b)
    }

    /// From now on `listener` hears `speaker`, who hears nothing of him and whose sounds and recording go on.
    ///
    /// # Errors
    /// As [`Engine::bridge`].
    pub fn overhear(&self, speaker: LegId, listener: LegId) -> Result<()> {
        self.are_two(speaker, listener)?;
        self.tell(Command::Overhear { speaker, listener });
        Ok(())
    }

    /// The leg and its partner do not hear each other any more; play something to them, or they hear nothing.
    pub fn unbridge(&self, leg: LegId) {
        self.tell(Command::Unbridge(leg));
    }

    /// The leg hears a sound, instead of its partner if it has one, until the sound ends ([`LegEvent::Played`], not told
    /// for keys), is stopped, or the leg is bridged. Keys wait for one another; any other sound takes the place of the
    /// one before.
    ///
    /// # Errors
    /// `NotFound` when the leg is over.
    pub fn play(&self, leg: LegId, sound: Sound, times: Times) -> Result<()> {
        self.exists(leg)?;
        self.tell(Command::Play(leg, sound, times));
        Ok(())
    }

    /// Ends the sound.
    pub fn stop_playing(&self, leg: LegId) {
        self.tell(Command::StopPlaying(leg));
    }

    /// Records what is said at the leg, until a limit of `limits`; [`LegEvent::Recorded`] brings it. Only µ-law can be
    /// recorded. A recording that was being made is thrown away.
    ///
    /// # Errors
    /// `NotFound` when the leg is over.
    pub fn record(&self, leg: LegId, limits: RecordLimits) -> Result<()> {
        self.exists(leg)?;
        self.tell(Command::Record(leg, limits));
        Ok(())
    }

    /// Ends the recording; it comes as an event.
    pub fn stop_recording(&self, leg: LegId) {
        self.tell(Command::StopRecording(leg));
    }

    /// Others hear silence from this leg, and so does its recording.
    pub fn mute(&self, leg: LegId, on: bool) {
        self.tell(Command::Mute(leg, on));
    }

    /// Presses a key towards the leg: RFC 4733 to a browser, [`super::WireOut::Digit`] to a socket. A carrier whose
    /// socket takes no keys is given [`Sound::Key`] instead.
    pub fn send_digit(&self, leg: LegId, digit: char) {
        self.tell(Command::SendDigit(leg, digit));
    }

    /// Ends the leg.
    pub fn close(&self, leg: LegId) {
        self.tell(Command::Close(leg));
    }

    /// What the engine still knows of browsers' names and addresses, for tests of what is left behind.
    #[cfg(test)]
    pub(super) async fn remembered(&self) -> usize {
        let (answer, answered) = oneshot::channel();
        self.tell(Command::Remembered(answer));
        answered.await.unwrap()
    }

    /// What is counted for the operator.
    pub fn figures(&self) -> Figures {
        let Some(running) = self.0.running.get() else { return Figures::default() };
        let counters = &running.shared.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Figures {
            legs: running.shared.legs().len(),
            opened: read(&counters.opened),
            frames_in: read(&counters.frames_in),
            frames_out: read(&counters.frames_out),
            frames_dropped: read(&counters.frames_dropped) + read(&running.shared.outlet.full),
            strangers: read(&counters.strangers),
        }
    }
}

fn port_taken(bind: SocketAddr, error: std::io::Error) -> Error {
    let detail = "The port for calls cannot be bound.";
    Error::unavailable("media_port", detail).context(format!("binding {bind}")).with_source(error)
}

/// One port for UDP and TCP.
fn bind(bind: SocketAddr) -> Result<(UdpSocket, TcpListener)> {
    let mut last = None;
    for _ in 0..PORT_TRIES {
        let tcp = TcpListener::bind(bind).map_err(|e| port_taken(bind, e))?;
        let address = tcp.local_addr().map_err(|e| port_taken(bind, e))?;
        match UdpSocket::bind(address) {
            Ok(udp) => return Ok((udp, tcp)),
            Err(error) if bind.port() == 0 => last = Some(error),
            Err(error) => return Err(port_taken(bind, error)),
        }
    }
    Err(port_taken(bind, last.unwrap_or_else(|| std::io::ErrorKind::AddrInUse.into())))
}

/// What browsers are told to send to.
fn addresses(settings: &MediaSettings, bound: SocketAddr) -> Vec<SocketAddr> {
    let at = |ip: &IpAddr| SocketAddr::new(*ip, bound.port());
    if !settings.public_ips.is_empty() {
        return settings.public_ips.iter().map(at).collect();
    }
    if !bound.ip().is_unspecified() {
        return vec![bound];
    }
    // Connecting a UDP socket sends nothing and tells which of our addresses leads out (TEST-NET-1, RFC 5737).
    let own = UdpSocket::bind(("0.0.0.0", 0)).and_then(|socket| {
        socket.connect(("192.0.2.1", 9))?;
        socket.local_addr()
    });
    let loopback = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    let mut ips = vec![loopback];
    ips.extend(own.map(|own| own.ip()).ok().filter(|ip| !ip.is_unspecified() && *ip != loopback));
    ips.iter().rev().map(at).collect()
}

fn certificate() -> Result<DtlsCert> {
    let provider = str0m::crypto::from_feature_flags();
    provider.install_process_default();
    str0m::crypto::from_feature_flags()
        .dtls_provider
        .generate_certificate()
        .ok_or_else(|| Error::internal("no certificate for DTLS could be made"))
}

fn start(settings: &MediaSettings) -> Result<Running> {
    let failed = |what: &'static str| move |e: std::io::Error| Error::caused(what, e);
    let (udp, tcp) = bind(settings.bind)?;
    udp.set_nonblocking(true).map_err(failed("preparing the UDP socket"))?;
    tcp.set_nonblocking(true).map_err(failed("preparing the TCP socket"))?;
    // As much as the system permits; Linux says how much in net.core.rmem_max.
    let _ = socket2::SockRef::from(&udp).set_recv_buffer_size(RECEIVE_BYTES);
    let _ = socket2::SockRef::from(&udp).set_send_buffer_size(RECEIVE_BYTES);
    let address = udp.local_addr().map_err(failed("asking for the port"))?;
    let outlet = Arc::new(Outlet::new(udp.try_clone().map_err(failed("sharing the UDP socket"))?));
    let ground = Arc::new(Ground {
        certificate: certificate()?,
        addresses: addresses(settings, address),
        outlet: outlet.clone(),
    });
    let shared = Arc::new(Shared {
        settings: settings.clone(),
        counters: Counters::default(),
        outlet,
        legs: Mutex::default(),
        next: AtomicU64::new(1),
    });
    let (commands, received) = mpsc::unbounded_channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(failed("starting the media runtime"))?;
    let worker = Worker::new(shared.clone(), Instant::now());
    let to_worker = commands.downgrade();
    let connections_max = settings.legs_max.saturating_add(64);
    let work = move || {
        runtime.block_on(async move {
            let (Ok(udp), Ok(tcp)) =
                (tokio::net::UdpSocket::from_std(udp), tokio::net::TcpListener::from_std(tcp))
            else {
                return tracing::error!("the media sockets cannot be used");
            };
            tokio::spawn(tcp::listen(tcp, to_worker, connections_max));
            worker.run(received, udp).await;
        });
    };
    std::thread::Builder::new()
        .name("media".to_owned())
        .spawn(work)
        .map_err(failed("starting the media thread"))?;
    Ok(Running { shared, ground, commands, address })
}
