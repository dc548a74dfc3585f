//! The one thread on which all legs live: takes commands and datagrams, moves frames from leg to leg, looks after time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot};

use super::browser::Offer;
use super::demux::{Table, Wire, canonical, local_ufrag};
use super::engine::Shared;
use super::leg::{End, Heard, Leg, Packet};
use super::record::{EndedBy, RecordLimits, Recorder};
use super::sound::{Sound, Times};
use super::tcp::ToPeer;
use super::wire::WireIn;
use super::{CloseReason, Codec, LegEvent, LegId};
use crate::error::{Error, Result};

/// Commands and datagrams taken before the others have their turn.
const BATCH: usize = 128;
/// Larger than any packet of ours; what is cut off is not for us.
const DATAGRAM_BYTES_MAX: usize = 2_048;
/// A connection that no leg has claimed by then is closed.
const STRANGER_FOR: Duration = Duration::from_secs(10);

/// What the worker is told.
pub enum Command {
    /// A new leg.
    Open(Box<Leg>),
    /// The browser changes its network.
    Renegotiate(LegId, Offer, oneshot::Sender<Result<String>>),
    /// Two legs hear each other.
    Bridge(LegId, LegId),
    /// One hears the other, who does not hear him.
    Overhear {
        /// Who is heard.
        speaker: LegId,
        /// Who hears him.
        listener: LegId,
    },
    /// They do not any more.
    Unbridge(LegId),
    /// The leg hears a sound.
    Play(LegId, Sound, Times),
    /// It does not any more.
    StopPlaying(LegId),
    /// The leg is recorded.
    Record(LegId, RecordLimits),
    /// It is not any more.
    StopRecording(LegId),
    /// Others hear silence from it.
    Mute(LegId, bool),
    /// A key is pressed towards it.
    SendDigit(LegId, char),
    /// It is over.
    Close(LegId),
    /// A socket leg's wire gave something.
    Wire(LegId, WireIn),
    /// A socket leg's wire is gone.
    WireEnded(LegId),
    /// Somebody connected.
    TcpOpened(SocketAddr, ToPeer, Arc<AtomicUsize>),
    /// He sent a frame.
    TcpFrame(SocketAddr, Vec<u8>),
    /// He is gone.
    TcpEnded(SocketAddr),
    /// Tells how much is remembered of browsers.
    #[cfg(test)]
    Remembered(oneshot::Sender<usize>),
    /// Nobody holds the engine any more.
    Shutdown,
}

struct TcpPeer {
    waiting: Arc<AtomicUsize>,
    since: Instant,
}

/// Everything the thread has.
pub struct Worker {
    shared: Arc<Shared>,
    legs: HashMap<LegId, Leg>,
    table: Table,
    tcp: HashMap<SocketAddr, TcpPeer>,
    timers: BinaryHeap<Reverse<(Instant, LegId)>>,
    scratch: Vec<Heard>,
    strangers_at: Instant,
}

impl Worker {
    /// A worker with no legs.
    pub fn new(shared: Arc<Shared>, now: Instant) -> Worker {
        Worker {
            shared,
            legs: HashMap::new(),
            table: Table::default(),
            tcp: HashMap::new(),
            timers: BinaryHeap::new(),
            scratch: Vec::new(),
            strangers_at: now,
        }
    }

    /// Works until the engine is dropped.
    pub async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>, udp: UdpSocket) {
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        loop {
            let mut is_busy = self.datagrams(&udp, &mut buffer);
            let mut now = Instant::now();
            for taken in 0..BATCH {
                match commands.try_recv() {
                    Ok(Command::Shutdown) | Err(mpsc::error::TryRecvError::Disconnected) => {
                        return self.stop();
                    }
                    Ok(command) => self.obey(command, now),
                    Err(mpsc::error::TryRecvError::Empty) => break,
                }
                is_busy |= taken + 1 == BATCH;
                if taken % 16 == 15 {
                    now = Instant::now();
                }
            }
            self.look_after(Instant::now());
            if is_busy {
                tokio::task::yield_now().await;
                continue;
            }
            let next = self.timers.peek().map_or(now + Duration::from_secs(1), |Reverse((at, _))| *at);
            tokio::select! {
                command = commands.recv() => match command {
                    None | Some(Command::Shutdown) => return self.stop(),
                    Some(command) => self.obey(command, Instant::now()),
                },
                _ = udp.readable() => {}
                () = tokio::time::sleep_until(next.into()) => {}
            }
        }
    }

    fn stop(&mut self) {
        let now = Instant::now();
        for leg in self.legs.keys().copied().collect::<Vec<_>>() {
            self.close(leg, CloseReason::Failed, now);
        }
    }

    /// Takes what has arrived; true when there may be more.
    fn datagrams(&mut self, udp: &UdpSocket, buffer: &mut [u8]) -> bool {
        for _ in 0..BATCH {
            match udp.try_recv_from(buffer) {
                Ok((length, from)) => {
                    if let Some(datagram) = buffer.get(..length) {
                        self.datagram(Wire::Udp, canonical(from), datagram, Instant::now());
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return false,
                // An ICMP error of an earlier send: says nothing about the next datagram.
                Err(_) => {}
            }
        }
        true
    }

    fn datagram(&mut self, wire: Wire, from: SocketAddr, datagram: &[u8], now: Instant) {
        // A name counts more than an address: the address may have been somebody else's a minute ago.
        let named = local_ufrag(datagram).and_then(|ufrag| self.table.named(ufrag));
        let Some(id) = named.or_else(|| self.table.at(wire, from)) else {
            self.shared.counters.strangers.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let End::Browser(browser) = &mut leg.end else { return };
        let heard = &mut self.scratch;
        // The library guards itself against malformed packets; should it ever fail, one leg fails and not all.
        let taken = catch_unwind(AssertUnwindSafe(|| browser.receive(wire, from, datagram, now, heard)));
        match taken {
            Ok(true) if named.is_some() => self.table.found(id, wire, from),
            Ok(true) => {}
            Ok(false) => drop(self.shared.counters.strangers.fetch_add(1, Ordering::Relaxed)),
            Err(_) => self.scratch.push(Heard::Failed),
        }
        self.handle(id, now);
    }

    fn obey(&mut self, command: Command, now: Instant) {
        match command {
            Command::Open(leg) => self.open(*leg, now),
            Command::Renegotiate(id, offer, answer) => self.renegotiate(id, offer, answer, now),
            Command::Bridge(a, b) => self.bridge(a, b, now),
            Command::Overhear { speaker, listener } => self.overhear(speaker, listener),
            Command::Unbridge(id) => self.unbridge(id),
            Command::Play(id, sound, times) => {
                if let Some(leg) = self.legs.get_mut(&id) {
                    leg.play(sound, times, now);
                    self.touch(id, now);
                }
            }
            Command::StopPlaying(id) => {
                if let Some(leg) = self.legs.get_mut(&id) {
                    leg.cut_short();
                }
            }
            Command::Record(id, limits) => {
                if let Some(leg) = self.legs.get_mut(&id) {
                    leg.recorder = Some(Recorder::new(limits, now));
                    self.touch(id, now);
                }
            }
            Command::StopRecording(id) => self.stop_recording(id, EndedBy::Asked, now),
            Command::Mute(id, on) => {
                if let Some(leg) = self.legs.get_mut(&id) {
                    leg.muted = on;
                }
            }
            Command::SendDigit(id, digit) => self.send_digit(id, digit, now),
            Command::Close(id) => self.close(id, CloseReason::Asked, now),
            Command::Wire(id, what) => {
                if let Some(Leg { end: End::Socket(socket), .. }) = self.legs.get_mut(&id) {
                    socket.receive(what, now, &mut self.scratch);
                    self.handle(id, now);
                }
            }
            Command::WireEnded(id) => self.close(id, CloseReason::HungUp, now),
            Command::TcpOpened(from, to_peer, waiting) => {
                self.shared.outlet.connected(from, to_peer);
                self.tcp.insert(from, TcpPeer { waiting, since: now });
            }
            Command::TcpFrame(from, frame) => {
                if let Some(peer) = self.tcp.get(&from) {
                    peer.waiting.fetch_sub(1, Ordering::Relaxed);
                    self.datagram(Wire::Tcp, from, &frame, now);
                }
            }
            Command::TcpEnded(from) => {
                self.tcp.remove(&from);
                self.shared.outlet.disconnected(from);
                self.table.lost(Wire::Tcp, from);
            }
            #[cfg(test)]
            Command::Remembered(answer) => drop(answer.send(self.table.size() + self.legs.len())),
            Command::Shutdown => {}
        }
    }

    fn open(&mut self, mut leg: Leg, now: Instant) {
        let id = leg.id;
        if let End::Browser(browser) = &mut leg.end {
            self.table.name(id, browser.ufrag());
        }
        self.legs.insert(id, leg);
        self.touch(id, now);
    }

    fn renegotiate(
        &mut self,
        id: LegId,
        offer: Offer,
        answer: oneshot::Sender<Result<String>>,
        now: Instant,
    ) {
        let result = match self.legs.get_mut(&id) {
            Some(Leg { end: End::Browser(browser), .. }) => {
                catch_unwind(AssertUnwindSafe(|| browser.renegotiate(offer, now)))
                    .unwrap_or_else(|_| Err(Error::internal("the WebRTC library failed on an offer")))
                    .inspect(|_| self.table.name(id, browser.ufrag()))
            }
            _ => Err(Error::not_found("leg")),
        };
        let _ = answer.send(result);
        self.touch(id, now);
    }

    fn bridge(&mut self, a: LegId, b: LegId, now: Instant) {
        if a == b || !self.legs.contains_key(&a) || !self.legs.contains_key(&b) {
            return;
        }
        self.unbridge(a);
        self.unbridge(b);
        for (id, partner) in [(a, b), (b, a)] {
            if let Some(leg) = self.legs.get_mut(&id) {
                leg.partner = Some(partner);
                leg.cut_short();
            }
            self.touch(id, now);
        }
    }

    fn overhear(&mut self, speaker: LegId, listener: LegId) {
        if speaker == listener || !self.legs.contains_key(&listener) || !self.legs.contains_key(&speaker) {
            return;
        }
        self.unbridge(speaker);
        self.unbridge(listener);
        if let Some(leg) = self.legs.get_mut(&listener) {
            leg.cut_short();
        }
        if let Some(leg) = self.legs.get_mut(&speaker) {
            leg.partner = Some(listener);
        }
    }

    fn unbridge(&mut self, id: LegId) {
        let partner = self.legs.get_mut(&id).and_then(|leg| leg.partner.take());
        // Who was only heard by the other may have been joined to somebody else since.
        if let Some(partner) = partner.and_then(|partner| self.legs.get_mut(&partner))
            && partner.partner == Some(id)
        {
            partner.partner = None;
        }
    }

    fn send_digit(&mut self, id: LegId, digit: char, now: Instant) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        match &mut leg.end {
            End::Browser(browser) => browser.digit(digit, now),
            End::Socket(socket) => socket.digit(digit),
        }
        self.touch(id, now);
    }

    fn stop_recording(&mut self, id: LegId, ended_by: EndedBy, now: Instant) {
        if let Some(leg) = self.legs.get_mut(&id)
            && let Some(recorder) = leg.recorder.take()
        {
            leg.tell(LegEvent::Recorded(recorder.finish(ended_by, now)));
        }
    }

    fn close(&mut self, id: LegId, reason: CloseReason, now: Instant) {
        self.unbridge(id);
        self.stop_recording(id, EndedBy::Closed, now);
        let Some(mut leg) = self.legs.remove(&id) else { return };
        let last = match &mut leg.end {
            End::Browser(browser) => {
                let _ = catch_unwind(AssertUnwindSafe(|| browser.close(now)));
                None
            }
            End::Socket(socket) => {
                socket.stop();
                Some(socket.quality())
            }
        };
        if let Some(last) = last.filter(|sample| sample.frames_in > 0) {
            leg.tell(LegEvent::Quality(last));
        }
        for from in self.table.forget(id) {
            self.tcp.remove(&from);
            self.shared.outlet.disconnected(from);
        }
        self.shared.closed(id);
        leg.tell(LegEvent::Closed(reason));
    }

    /// Acts on what `id` said, which stands in the scratch.
    fn handle(&mut self, id: LegId, now: Instant) {
        let mut heard = std::mem::take(&mut self.scratch);
        let mut over = None;
        for what in heard.drain(..) {
            match what {
                Heard::Sound { codec, time, data } => {
                    self.relay(id, Packet { source: id.0, codec, time, data }, now);
                }
                Heard::Digit(digit) => self.pressed(id, digit, now),
                Heard::HungUp => over = Some(CloseReason::HungUp),
                Heard::Failed => over = Some(CloseReason::Failed),
                other => self.note(id, other),
            }
        }
        // Relaying may have put something there for another leg; it was handled there.
        heard.append(&mut self.scratch);
        heard.clear();
        self.scratch = heard;
        match over {
            Some(reason) => self.close(id, reason, now),
            None => self.touch(id, now),
        }
    }

    fn note(&mut self, id: LegId, what: Heard) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        match what {
            Heard::Up if !leg.up => {
                leg.up = true;
                leg.tell(LegEvent::Up);
            }
            Heard::Played => leg.tell(LegEvent::Played),
            Heard::Quality(sample) => leg.tell(LegEvent::Quality(sample)),
            _ => {}
        }
    }

    /// A frame of `id` goes to whoever hears it.
    fn relay(&mut self, id: LegId, packet: Packet, now: Instant) {
        let counters = &self.shared.counters;
        counters.frames_in.fetch_add(1, Ordering::Relaxed);
        let Some(leg) = self.legs.get_mut(&id) else { return };
        if !leg.up {
            leg.up = true;
            leg.tell(LegEvent::Up);
        }
        leg.heard = Some(now);
        if std::mem::take(&mut leg.silent) {
            leg.tell(LegEvent::Sounding);
        }
        let packet = leg.spoken(packet);
        if packet.codec == Codec::Pcmu
            && let Some(recorder) = &mut leg.recorder
        {
            recorder.hear(packet.source, packet.time, &packet.data, now);
        }
        let Some(partner) = leg.partner else { return };
        let Some(listener) = self.legs.get_mut(&partner) else { return };
        if listener.is_playing() {
            return;
        }
        let given = catch_unwind(AssertUnwindSafe(|| listener.hear(&packet, now)));
        let counter =
            if given.is_ok_and(|given| given) { &counters.frames_out } else { &counters.frames_dropped };
        counter.fetch_add(1, Ordering::Relaxed);
        self.touch(partner, now);
    }

    /// A key was pressed at `id`: its owner is told, its recording may end, and its partner gets it.
    fn pressed(&mut self, id: LegId, digit: char, now: Instant) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        leg.tell(LegEvent::Digit(digit));
        let is_end = digit == '#' && leg.recorder.as_ref().is_some_and(|r| r.limits().stop_on_hash);
        let partner = leg.partner;
        if is_end {
            self.stop_recording(id, EndedBy::Hash, now);
        }
        match partner.and_then(|partner| self.legs.get_mut(&partner)).map(|leg| &mut leg.end) {
            Some(End::Browser(browser)) => browser.digit(digit, now),
            Some(End::Socket(socket)) => socket.digit(digit),
            None => {}
        }
        if let Some(partner) = partner {
            self.touch(partner, now);
        }
    }

    /// Sets the leg's alarm when it is earlier than the one that stands.
    fn touch(&mut self, id: LegId, now: Instant) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let at = leg.deadline(now);
        if leg.scheduled.is_none_or(|scheduled| at < scheduled) {
            leg.scheduled = Some(at);
            self.timers.push(Reverse((at, id)));
        }
    }

    fn look_after(&mut self, now: Instant) {
        while let Some(Reverse((at, id))) = self.timers.peek().copied() {
            if at > now {
                break;
            }
            self.timers.pop();
            if let Some(leg) = self.legs.get_mut(&id)
                && leg.scheduled == Some(at)
            {
                leg.scheduled = None;
                self.care(id, now);
            }
        }
        if now.saturating_duration_since(self.strangers_at) > Duration::from_secs(1) {
            self.strangers_at = now;
            self.show_strangers_out(now);
        }
    }

    /// A leg's alarm went off.
    fn care(&mut self, id: LegId, now: Instant) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let (given, dropped) = catch_unwind(AssertUnwindSafe(|| leg.play_on(now))).unwrap_or((0, 0));
        self.shared.counters.frames_out.fetch_add(given, Ordering::Relaxed);
        self.shared.counters.frames_dropped.fetch_add(dropped, Ordering::Relaxed);
        let heard = &mut self.scratch;
        match &mut leg.end {
            End::Browser(browser) => {
                if catch_unwind(AssertUnwindSafe(|| browser.tick(now, heard))).is_err() {
                    heard.push(Heard::Failed);
                }
            }
            End::Socket(socket) => {
                if socket.played_by(now) {
                    heard.push(Heard::Played);
                }
            }
        }
        let patience = &self.shared.settings.patience;
        if now.saturating_duration_since(leg.judged) >= patience.quality_every {
            leg.judged = now;
            let sample = match &mut leg.end {
                End::Browser(browser) => browser.quality(),
                End::Socket(socket) => socket.quality(),
            };
            if leg.up {
                heard.push(Heard::Quality(sample));
            }
        }
        if !leg.silent
            && leg.heard.is_some_and(|at| now.saturating_duration_since(at) >= patience.silent_after)
        {
            leg.silent = true;
            leg.tell(LegEvent::Silent);
        }
        let ended = leg.recorder.as_ref().and_then(|recorder| recorder.due(now));
        let over = self.overdue(id, now);
        if let Some(ended_by) = ended {
            self.stop_recording(id, ended_by, now);
        }
        self.handle(id, now);
        if let Some(reason) = over {
            self.close(id, reason, now);
        }
    }

    /// Whether a browser has been given up.
    fn overdue(&self, id: LegId, now: Instant) -> Option<CloseReason> {
        let leg = self.legs.get(&id)?;
        let End::Browser(browser) = &leg.end else { return None };
        let patience = &self.shared.settings.patience;
        let since = |at: Instant| now.saturating_duration_since(at);
        if !leg.up {
            return (since(leg.born) >= patience.connect_within).then_some(CloseReason::NeverConnected);
        }
        (since(browser.last_packet()) >= patience.gone_after).then_some(CloseReason::Gone)
    }

    fn show_strangers_out(&mut self, now: Instant) {
        let table = &self.table;
        let outlet = &self.shared.outlet;
        self.tcp.retain(|from, peer| {
            let stays = table.at(Wire::Tcp, *from).is_some()
                || now.saturating_duration_since(peer.since) < STRANGER_FOR;
            if !stays {
                outlet.disconnected(*from);
            }
            stays
        });
    }
}
