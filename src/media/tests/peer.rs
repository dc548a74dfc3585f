//! A browser for tests and benchmarks: the same library as the engine's, at the other end, over real sockets.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::format::{Codec, CodecExtra, FormatParams};
use str0m::media::{Direction, Frequency, MediaKind, MediaTime, Mid, Pt, TelephoneEvent};
use str0m::net::{DatagramRecv, Protocol, Receive, TcpType};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};

/// A frame that arrived.
pub struct Arrived {
    /// When its datagram was taken from the socket.
    pub at: Instant,
    /// RTP time.
    pub time: u64,
    /// What was in it.
    pub data: std::sync::Arc<[u8]>,
}

/// A connection by TCP, for whom UDP is blocked.
struct Tcp {
    stream: TcpStream,
    unread: Vec<u8>,
    to: SocketAddr,
}

/// One browser.
pub struct Peer {
    rtc: Rtc,
    socket: UdpSocket,
    tcp: Option<Tcp>,
    address: SocketAddr,
    pending: Option<SdpPendingOffer>,
    mid: Mid,
    codec: Codec,
    deadline: Instant,
    time: u64,
    /// Whether ICE and DTLS are done.
    pub is_connected: bool,
    /// Whether the other end said good-bye.
    pub is_closed: bool,
    /// Frames, oldest first.
    pub arrived: Vec<Arrived>,
    /// Keys (RFC 4733 events), each with its RTP time, as often as they came.
    pub keys: Vec<(u8, MediaTime)>,
    /// Datagrams that were sent.
    pub sent: u64,
}

impl Peer {
    /// A browser that offers to speak `codec`.
    pub fn new(codec: Codec) -> (Peer, String) {
        Peer::with(codec, None)
    }

    /// One that reaches `to` by TCP only.
    pub fn over_tcp(codec: Codec, to: SocketAddr) -> (Peer, String) {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_nonblocking(true).unwrap();
        Peer::with(codec, Some(Tcp { stream, unread: Vec::new(), to }))
    }

    fn with(codec: Codec, tcp: Option<Tcp>) -> (Peer, String) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = match &tcp {
            Some(tcp) => tcp.stream.local_addr().unwrap(),
            None => socket.local_addr().unwrap(),
        };
        let now = Instant::now();
        let mut config = RtcConfig::new().clear_codecs();
        config = match codec {
            Codec::Opus => config.enable_opus(true, false),
            Codec::PCMA => config.enable_pcma(true, false),
            _ => config.enable_pcmu(true, false),
        };
        config.codec_config().add_config(
            Pt::from(126),
            None,
            Codec::Tele,
            Frequency::EIGHT_KHZ,
            None,
            FormatParams::parse_line("0-16"),
        );
        let mut rtc = config.build(now);
        rtc.add_local_candidate(candidate(address, tcp.is_some()));
        let mut api = rtc.sdp_api();
        let mid = api.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None);
        let (offer, pending) = api.apply().unwrap();
        let peer = Peer {
            rtc,
            socket,
            tcp,
            address,
            pending: Some(pending),
            mid,
            codec,
            deadline: now,
            time: 0,
            is_connected: false,
            is_closed: false,
            arrived: Vec::new(),
            keys: Vec::new(),
            sent: 0,
        };
        (peer, offer.to_sdp_string())
    }

    /// Takes the answer.
    pub fn accept(&mut self, answer: &str) {
        let answer = SdpAnswer::from_sdp_string(answer).unwrap();
        let pending = self.pending.take().unwrap();
        self.rtc.sdp_api().accept_answer(pending, answer).unwrap();
        // A restart has just thrown the old ones away.
        self.rtc.add_local_candidate(candidate(self.address, self.tcp.is_some()));
        self.flush(Instant::now());
    }

    /// Changes its network: another socket, and an offer with new credentials.
    pub fn restart(&mut self) -> String {
        let before = Candidate::host(self.address, "udp").unwrap();
        self.socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        self.socket.set_nonblocking(true).unwrap();
        self.address = self.socket.local_addr().unwrap();
        self.rtc.direct_api().invalidate_candidate(&before);
        let mut api = self.rtc.sdp_api();
        api.ice_restart(false);
        let (offer, pending) = api.apply().unwrap();
        self.pending = Some(pending);
        offer.to_sdp_string()
    }

    /// Says 20 ms.
    pub fn say(&mut self, data: &[u8], now: Instant) {
        let rate = if self.codec == Codec::Opus { Frequency::FORTY_EIGHT_KHZ } else { Frequency::EIGHT_KHZ };
        let at = MediaTime::new(self.time, rate);
        self.time += u64::from(rate.get()) / 50;
        let Some(writer) = self.rtc.writer(self.mid) else { return };
        let Some(pt) = writer.payload_params().find(|p| p.spec().codec == self.codec).map(|p| p.pt()) else {
            return;
        };
        let _ = writer.write(pt, now, at, data);
        self.flush(now);
    }

    /// Presses a key.
    pub fn press(&mut self, event: u8, now: Instant) {
        let at = MediaTime::new(self.time, Frequency::EIGHT_KHZ);
        let event = TelephoneEvent { event, end: true, volume: 10, duration: Duration::from_millis(100) };
        let writer = self.rtc.writer(self.mid).unwrap();
        let pt = writer.payload_params().find(|p| p.spec().codec == self.codec).unwrap().pt();
        writer.telephone_event(event).write(pt, now, at, Vec::new()).unwrap();
        self.flush(now);
    }

    /// Hangs up properly.
    pub fn close(&mut self) {
        let _ = self.rtc.close();
        self.drain();
    }

    /// Takes what has arrived and does what is due; true when something arrived.
    pub fn pump(&mut self) -> bool {
        let mut buffer = [0; 2_048];
        let mut any = false;
        for _ in 0..64 {
            match self.socket.recv_from(&mut buffer) {
                Ok((length, from)) => {
                    any = true;
                    self.take(&buffer[..length], from, Protocol::Udp);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => break,
            }
        }
        any |= self.pump_tcp();
        let now = Instant::now();
        if self.deadline <= now {
            self.flush(now);
        }
        any
    }

    fn pump_tcp(&mut self) -> bool {
        let Some(tcp) = &mut self.tcp else { return false };
        let mut chunk = [0; 8_192];
        while let Ok(length @ 1..) = tcp.stream.read(&mut chunk) {
            tcp.unread.extend_from_slice(&chunk[..length]);
        }
        let mut frames = Vec::new();
        while let Some(head) = tcp.unread.get(..2) {
            let end = 2 + usize::from(u16::from_be_bytes([head[0], head[1]]));
            if tcp.unread.len() < end {
                break;
            }
            frames.push(tcp.unread.drain(..end).skip(2).collect::<Vec<u8>>());
        }
        let from = tcp.to;
        for frame in &frames {
            self.take(frame, from, Protocol::Tcp);
        }
        !frames.is_empty()
    }

    fn send(&mut self, proto: Protocol, content: &[u8], to: SocketAddr) {
        self.sent += 1;
        match (&mut self.tcp, proto) {
            (Some(tcp), Protocol::Tcp) => {
                let mut framed = u16::try_from(content.len()).unwrap().to_be_bytes().to_vec();
                framed.extend_from_slice(content);
                let _ = tcp.stream.write_all(&framed);
            }
            _ => drop(self.socket.send_to(content, to)),
        }
    }

    fn take(&mut self, datagram: &[u8], from: SocketAddr, proto: Protocol) {
        let now = Instant::now();
        let Ok(contents) = DatagramRecv::try_from(datagram) else { return };
        let receive = Receive { proto, source: from, destination: self.address, contents };
        let _ = self.rtc.handle_input(Input::Receive(now, receive));
        self.drain();
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
                    self.send(transmit.proto, &transmit.contents, transmit.destination);
                }
                Ok(Output::Event(Event::Connected)) => self.is_connected = true,
                Ok(Output::Event(Event::Closed)) => self.is_closed = true,
                Ok(Output::Event(Event::MediaData(data))) => {
                    if let CodecExtra::Tele(event) = &data.codec_extra {
                        self.keys.push((event.event, data.time));
                    } else {
                        let (at, time) = (data.network_time, data.time.numer());
                        self.arrived.push(Arrived { at, time, data: data.data });
                    }
                }
                Ok(Output::Event(_)) => {}
                Err(_) => return,
            }
        }
    }
}

fn candidate(address: SocketAddr, is_tcp: bool) -> Candidate {
    match is_tcp {
        true => Candidate::builder().tcp().host(address).tcptype(TcpType::Active).build().unwrap(),
        false => Candidate::host(address, "udp").unwrap(),
    }
}
