//! A browser for calls: another WebRTC stack at the other end of real sockets, on a thread of its own, that says a tone
//! and listens for others.

use std::f64::consts::TAU;
use std::net::UdpSocket;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use meari::media::g711;
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::format::{Codec, CodecExtra, FormatParams};
use str0m::media::{Direction, Frequency, MediaKind, MediaTime, Mid, Pt, TelephoneEvent};
use str0m::net::{DatagramRecv, Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};

/// How much of a sound is at `hz`: a tone of ours has about 0.5, silence 0.
pub fn strength(mulaw: &[u8], hz: f64) -> f64 {
    let step = 2.0 * (TAU * hz / 8_000.0).cos();
    let (mut before, mut last) = (0.0, 0.0);
    for code in mulaw {
        let now = f64::from(g711::decode(*code)) + step * last - before;
        (before, last) = (last, now);
    }
    let power = before * before + last * last - step * before * last;
    power.max(0.0).sqrt() * 2.0 / mulaw.len().max(1) as f64 / 8_000.0
}

/// The best fifth of a second of a sound for a tone: who speaks may stumble.
pub fn best(mulaw: &[u8], hz: f64) -> f64 {
    mulaw.chunks(1_600).map(|part| strength(part, hz)).fold(0.0, f64::max)
}

/// 20 ms of a tone; `number` is the frame's place in it.
pub fn tone(hz: f64, number: u64) -> Vec<u8> {
    let at = |n: u64| (number * 160 + n) as f64 / 8_000.0;
    (0..160).map(|n| g711::encode(((at(n) * hz * TAU).sin() * 4_000.0) as i16)).collect()
}

/// The newest second of what somebody hears.
#[derive(Clone, Default)]
pub struct Ear(Arc<Mutex<Vec<u8>>>);

impl Ear {
    pub fn hear(&self, mulaw: &[u8]) {
        let mut heard = self.0.lock().unwrap();
        heard.extend_from_slice(mulaw);
        let surplus = heard.len().saturating_sub(8_000);
        heard.drain(..surplus);
    }

    pub fn clear(&self) {
        self.0.lock().unwrap().clear();
    }

    /// Whether a tone is anywhere in what is heard.
    pub fn has(&self, hz: f64) -> bool {
        best(&self.0.lock().unwrap(), hz) > 0.1
    }

    /// Waits until a tone is heard, a fifth of a second of it.
    pub async fn hears(&self, hz: f64) {
        let what = format!("{hz} Hz are heard");
        super::eventually(&what, async || {
            let heard = self.0.lock().unwrap();
            let newest = &heard[heard.len().saturating_sub(1_600)..];
            newest.len() == 1_600 && strength(newest, hz) > 0.2
        })
        .await;
    }
}

enum Order {
    Answer(String),
    Restart(Sender<String>),
    Press(u8),
    Cut(Duration),
    Close,
    Vanish,
}

/// One browser.
pub struct Browser {
    orders: Sender<Order>,
    pub ear: Ear,
    keys: Arc<Mutex<Vec<u8>>>,
}

impl Browser {
    /// A browser that says a tone; answers its offer too.
    pub fn new(hz: f64) -> (Browser, String) {
        let (orders, receiver) = channel();
        let (ear, keys) = (Ear::default(), Arc::<Mutex<Vec<u8>>>::default());
        let (peer, offer) = Peer::new(hz, ear.clone(), keys.clone());
        std::thread::spawn(move || peer.run(&receiver));
        (Browser { orders, ear, keys }, offer)
    }

    pub fn takes(&self, answer: &str) {
        self.orders.send(Order::Answer(answer.to_owned())).unwrap();
    }

    /// Another network: answers the offer for it.
    pub fn changes_network(&self) -> String {
        let (sender, receiver) = channel();
        self.orders.send(Order::Restart(sender)).unwrap();
        receiver.recv().unwrap()
    }

    pub fn presses(&self, event: u8) {
        self.orders.send(Order::Press(event)).unwrap();
    }

    /// The keys that came, each once.
    pub fn keys(&self) -> Vec<u8> {
        self.keys.lock().unwrap().clone()
    }

    /// No network for so long: nothing goes out, nothing comes in.
    pub fn is_cut_off(&self, time: Duration) {
        self.orders.send(Order::Cut(time)).unwrap();
    }

    /// Leaves the page.
    pub fn closes(self) {
        let _ = self.orders.send(Order::Close);
    }

    /// Dies without a word.
    pub fn vanishes(self) {
        let _ = self.orders.send(Order::Vanish);
    }
}

struct Peer {
    rtc: Rtc,
    socket: UdpSocket,
    pending: Option<SdpPendingOffer>,
    mid: Mid,
    deadline: Instant,
    hz: f64,
    frames: u64,
    ear: Ear,
    keys: Arc<Mutex<Vec<u8>>>,
    last_key: Option<MediaTime>,
}

impl Peer {
    fn new(hz: f64, ear: Ear, keys: Arc<Mutex<Vec<u8>>>) -> (Peer, String) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let now = Instant::now();
        // What Chromium offers for audio, as far as it matters here.
        let mut config = RtcConfig::new().clear_codecs().enable_opus(true, false).enable_pcmu(true, false);
        let keys_format = FormatParams::parse_line("0-16");
        config.codec_config().add_config(
            Pt::from(126),
            None,
            Codec::Tele,
            Frequency::EIGHT_KHZ,
            None,
            keys_format,
        );
        let mut rtc = config.build(now);
        rtc.add_local_candidate(Candidate::host(socket.local_addr().unwrap(), "udp").unwrap());
        let mut api = rtc.sdp_api();
        let mid = api.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None);
        let (offer, pending) = api.apply().unwrap();
        let peer = Peer {
            rtc,
            socket,
            pending: Some(pending),
            mid,
            deadline: now,
            hz,
            frames: 0,
            ear,
            keys,
            last_key: None,
        };
        (peer, offer.to_sdp_string())
    }

    fn run(mut self, orders: &Receiver<Order>) {
        let began = Instant::now();
        let mut buffer = [0; 2_048];
        loop {
            match orders.try_recv() {
                Ok(Order::Answer(answer)) => {
                    let answer = SdpAnswer::from_sdp_string(&answer).unwrap();
                    self.rtc.sdp_api().accept_answer(self.pending.take().unwrap(), answer).unwrap();
                    // A restart has just thrown the old ones away.
                    let here = Candidate::host(self.socket.local_addr().unwrap(), "udp").unwrap();
                    self.rtc.add_local_candidate(here);
                    self.flush(Instant::now());
                }
                Ok(Order::Restart(sender)) => drop(sender.send(self.restart())),
                Ok(Order::Press(event)) => self.press(event),
                Ok(Order::Cut(time)) => {
                    std::thread::sleep(time);
                    // What was sent to it meanwhile is lost, and what it did not say is not made up for.
                    self.socket.set_nonblocking(true).unwrap();
                    while self.socket.recv_from(&mut buffer).is_ok() {}
                    self.socket.set_nonblocking(false).unwrap();
                    self.frames = u64::try_from(began.elapsed().as_millis() / 20).unwrap();
                }
                Ok(Order::Close) => {
                    let _ = self.rtc.close();
                    self.drain();
                    return;
                }
                Ok(Order::Vanish) | Err(std::sync::mpsc::TryRecvError::Disconnected) => return,
                Err(std::sync::mpsc::TryRecvError::Empty) => {}
            }
            let next = began + Duration::from_millis(20) * u32::try_from(self.frames).unwrap();
            let now = Instant::now();
            if next <= now {
                self.say(now);
            }
            let wait = next
                .min(self.deadline)
                .saturating_duration_since(now)
                .clamp(Duration::from_micros(200), Duration::from_millis(5));
            self.socket.set_read_timeout(Some(wait)).unwrap();
            if let Ok((length, from)) = self.socket.recv_from(&mut buffer) {
                let Ok(contents) = DatagramRecv::try_from(&buffer[..length]) else { continue };
                let destination = self.socket.local_addr().unwrap();
                let receive = Receive { proto: Protocol::Udp, source: from, destination, contents };
                let _ = self.rtc.handle_input(Input::Receive(Instant::now(), receive));
                self.drain();
            }
            if self.deadline <= Instant::now() {
                self.flush(Instant::now());
            }
        }
    }

    fn restart(&mut self) -> String {
        let before = Candidate::host(self.socket.local_addr().unwrap(), "udp").unwrap();
        self.socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        self.rtc.direct_api().invalidate_candidate(&before);
        let mut api = self.rtc.sdp_api();
        api.ice_restart(false);
        let (offer, pending) = api.apply().unwrap();
        self.pending = Some(pending);
        offer.to_sdp_string()
    }

    fn say(&mut self, now: Instant) {
        let number = self.frames;
        self.frames += 1;
        let Some(writer) = self.rtc.writer(self.mid) else { return };
        let pt = writer.payload_params().find(|p| p.spec().codec == Codec::PCMU).map(|p| p.pt());
        let (pt, data, at) = match pt {
            Some(pt) => (pt, tone(self.hz, number), MediaTime::new(number * 160, Frequency::EIGHT_KHZ)),
            None => {
                let Some(pt) = writer.payload_params().find(|p| p.spec().codec == Codec::Opus) else {
                    return;
                };
                // Nobody here speaks Opus: a packet that names the browser passes as well.
                let at = MediaTime::new(number * 960, Frequency::FORTY_EIGHT_KHZ);
                (pt.pt(), format!("opus of {}", self.hz).into_bytes(), at)
            }
        };
        let _ = writer.write(pt, now, at, data);
        self.flush(now);
    }

    fn press(&mut self, event: u8) {
        let at = MediaTime::new(self.frames * 160, Frequency::EIGHT_KHZ);
        let event = TelephoneEvent { event, end: true, volume: 10, duration: Duration::from_millis(100) };
        let writer = self.rtc.writer(self.mid).unwrap();
        let pt = writer.payload_params().find(|p| p.spec().codec == Codec::PCMU).unwrap().pt();
        let now = Instant::now();
        writer.telephone_event(event).write(pt, now, at, Vec::new()).unwrap();
        self.flush(now);
    }

    fn flush(&mut self, now: Instant) {
        for _ in 0..64 {
            if self.rtc.handle_input(Input::Timeout(now)).is_err() {
                return;
            }
            self.drain();
            if self.deadline > now {
                return;
            }
        }
    }

    fn drain(&mut self) {
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    self.deadline = at;
                    return;
                }
                Ok(Output::Transmit(transmit)) => {
                    let _ = self.socket.send_to(&transmit.contents, transmit.destination);
                }
                Ok(Output::Event(Event::MediaData(data))) => match &data.codec_extra {
                    CodecExtra::Tele(event) => {
                        // The end of an event comes three times.
                        if self.last_key != Some(data.time) {
                            self.last_key = Some(data.time);
                            self.keys.lock().unwrap().push(event.event);
                        }
                    }
                    _ => self.ear.hear(&data.data),
                },
                Ok(Output::Event(_)) => {}
                Err(_) => return,
            }
        }
    }
}
