//! How much calls cost, and how late sound is: N browsers (WebRTC with its encryption, each on a socket of its own) and N
//! carriers (a TCP connection each) talk through the engine, which runs in a process of its own.
//!
//! Every frame carries the time at which it was given to the sender's encryption, and is counted when it arrives. The
//! delay therefore holds the sender's and the receiver's work and the system's loopback as well as ours: it is an upper
//! limit. Frames that were sent and did not arrive are lost, whoever lost them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    missing_docs
)]

#[path = "../../src/media/tests/peer.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod peer;
mod server;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use clap::Parser;
use peer::Peer;

/// Drives the media engine with browsers and carriers.
///
/// Goals: p50 below 1 ms and p99 below 10 ms with 100 calls as with one; 500 calls on one core with p99 below 20 ms and
/// 250 kB each; no frame lost.
#[derive(Parser)]
#[command(name = "media", max_term_width = 100)]
struct Options {
    /// Calls at the same time.
    #[arg(long, default_values_t = [1, 100, 500], value_delimiter = ',')]
    calls: Vec<usize>,
    /// How long they talk, after two seconds that are not counted.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Keep the engine on the first processor and the load on the second.
    #[arg(long)]
    pin: bool,
    /// Given by `cargo bench`; means nothing.
    #[arg(long, hide = true)]
    bench: bool,
    /// Be the engine.
    #[arg(long, hide = true)]
    server: bool,
}

const FRAME: Duration = Duration::from_millis(20);

/// One call: the browser, and the phone behind its carrier.
struct Call {
    browser: Peer,
    carrier: TcpStream,
    unread: Vec<u8>,
    next: Instant,
    number: u64,
    begun: Instant,
    two_way: Option<Duration>,
    sent: [u64; 2],
    came: [u64; 2],
}

/// What is measured, in microseconds: to the browser, to the carrier.
#[derive(Default)]
struct Delays([Vec<u32>; 2]);

impl Call {
    fn open(port: u16) -> Call {
        let (mut browser, offer) = Peer::new(str0m::format::Codec::PCMU);
        let begun = Instant::now();
        let mut carrier = TcpStream::connect(("127.0.0.1", port)).unwrap();
        carrier.set_nodelay(true).unwrap();
        carrier.write_all(&u16::try_from(offer.len()).unwrap().to_be_bytes()).unwrap();
        carrier.write_all(offer.as_bytes()).unwrap();
        let mut length = [0; 2];
        carrier.read_exact(&mut length).unwrap();
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        carrier.read_exact(&mut answer).unwrap();
        browser.accept(&String::from_utf8(answer).unwrap());
        carrier.set_nonblocking(true).unwrap();
        Call {
            browser,
            carrier,
            unread: Vec::new(),
            next: begun,
            number: 0,
            begun,
            two_way: None,
            sent: [0; 2],
            came: [0; 2],
        }
    }

    fn speak(&mut self, epoch: Instant) {
        self.next += FRAME;
        let mut mulaw = [0x55; 160];
        let stamp = |mulaw: &mut [u8; 160]| {
            let nanos = u64::try_from(epoch.elapsed().as_nanos()).unwrap();
            mulaw[..8].copy_from_slice(&nanos.to_le_bytes());
        };
        if self.browser.is_connected {
            stamp(&mut mulaw);
            self.browser.say(&mulaw, Instant::now());
            self.sent[1] += 1;
        }
        stamp(&mut mulaw);
        let mut frame = vec![0, 169, server::AUDIO];
        frame.extend_from_slice(&(self.number * 20).to_be_bytes());
        frame.extend_from_slice(&mulaw);
        self.number += 1;
        // The buffer of a connection holds seconds; a full one would be the engine's fault.
        self.carrier.write_all(&frame).expect("the engine takes what the carrier sends");
        self.sent[0] += 1;
    }

    fn hear(&mut self, epoch: Instant, delays: &mut Delays) {
        self.browser.pump();
        for frame in self.browser.arrived.drain(..) {
            self.came[0] += 1;
            delays.0[0].push(age(&frame.data, frame.at, epoch));
        }
        let mut chunk = [0; 4_096];
        match self.carrier.read(&mut chunk) {
            Ok(0) => panic!("the engine ended a call"),
            Ok(length) => self.unread.extend_from_slice(&chunk[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
        let now = Instant::now();
        let mut at = 0;
        while let Some(head) = self.unread.get(at..at + 2) {
            let length = usize::from(u16::from_be_bytes([head[0], head[1]]));
            let Some(frame) = self.unread.get(at + 2..at + 2 + length) else { break };
            if frame[0] == server::AUDIO {
                self.came[1] += 1;
                delays.0[1].push(age(&frame[1..], now, epoch));
            } else {
                // A mark has been played the moment it comes.
                let mut back = frame.to_vec();
                back.splice(0..0, u16::try_from(length).unwrap().to_be_bytes());
                self.carrier.write_all(&back).unwrap();
            }
            at += 2 + length;
        }
        self.unread.drain(..at);
        if self.two_way.is_none() && self.came[0] > 0 && self.came[1] > 0 {
            self.two_way = Some(self.begun.elapsed());
        }
    }
}

/// How old a frame is, in microseconds.
fn age(data: &[u8], now: Instant, epoch: Instant) -> u32 {
    let sent = u64::from_le_bytes(data[..8].try_into().unwrap());
    let now = u64::try_from((now - epoch).as_nanos()).unwrap();
    u32::try_from(now.saturating_sub(sent) / 1_000).unwrap()
}

fn at(values: &mut [u32], part: f64) -> f64 {
    values.sort_unstable();
    let place = ((values.len() as f64 * part) as usize).min(values.len().saturating_sub(1));
    f64::from(values.get(place).copied().unwrap_or(0)) / 1_000.0
}

/// Opens `count` calls, ten at a time, each until it has sound both ways.
fn open(count: usize, port: u16, epoch: Instant) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    let mut unused = Delays::default();
    while calls.len() < count {
        for _ in 0..10.min(count - calls.len()) {
            calls.push(Call::open(port));
        }
        let begun = Instant::now();
        while calls.iter().any(|call| call.two_way.is_none()) {
            for call in &mut calls {
                call.hear(epoch, &mut unused);
                if call.two_way.is_none() && call.next <= Instant::now() {
                    call.speak(epoch);
                }
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "calls do not come up");
        }
    }
    calls
}

fn talk(calls: &mut [Call], until: Instant, epoch: Instant, delays: &mut Delays) {
    while Instant::now() < until {
        for call in calls.iter_mut() {
            if call.next <= Instant::now() {
                call.speak(epoch);
            }
            call.hear(epoch, delays);
        }
    }
}

fn run(count: usize, options: &Options, server: &mut server::Process) {
    let epoch = Instant::now();
    let idle = server.memory();
    let mut calls = open(count, server.port, epoch);
    let begun = Instant::now();
    for (number, call) in calls.iter_mut().enumerate() {
        // Spread over 20 ms, as calls are.
        call.next = begun + FRAME * u32::try_from(number).unwrap() / u32::try_from(count).unwrap();
        (call.sent, call.came) = ([0; 2], [0; 2]);
    }
    let mut delays = Delays::default();
    talk(&mut calls, begun + Duration::from_secs(2), epoch, &mut delays);
    delays = Delays::default();
    let (cpu, own, from) = (server.cpu(), server::cpu_of(std::process::id()), Instant::now());
    talk(&mut calls, from + Duration::from_secs(options.seconds), epoch, &mut delays);
    let elapsed = from.elapsed().as_secs_f64();
    let (cpu, own) = (server.cpu() - cpu, server::cpu_of(std::process::id()) - own);
    let memory = server.memory();
    let quiet = Instant::now();
    while quiet.elapsed() < Duration::from_millis(500) {
        for call in &mut calls {
            call.hear(epoch, &mut Delays::default());
        }
    }
    let total = |of: fn(&Call) -> [u64; 2]| {
        calls.iter().map(of).fold([0; 2], |sum, one| [sum[0] + one[0], sum[1] + one[1]])
    };
    let (sent, came) = (total(|call| call.sent), total(|call| call.came));
    let mut up: Vec<u32> =
        calls.iter().map(|call| u32::try_from(call.two_way.unwrap().as_micros()).unwrap()).collect();
    println!("{count} calls for {elapsed:.0} s:");
    for (name, way) in [("to the browser", 0), ("to the carrier", 1)] {
        let values = &mut delays.0[way];
        println!(
            "  {name}: p50 {:.2} ms, p90 {:.2} ms, p99 {:.2} ms, worst {:.1} ms; {} frames sent, {} lost",
            at(values, 0.5),
            at(values, 0.9),
            at(values, 0.99),
            at(values, 1.0),
            sent[way],
            sent[way].saturating_sub(came[way]),
        );
    }
    println!(
        "  engine: {:.1} % of a core, {:.3} % a call; {:.1} MB, {:.0} kB a call; offer to two-way sound p50 {:.0} ms, \
         p95 {:.0} ms; the load itself: {:.0} % of a core",
        100.0 * cpu / elapsed,
        100.0 * cpu / elapsed / count as f64,
        memory / 1_000.0,
        (memory - idle) / count as f64,
        at(&mut up, 0.5),
        at(&mut up, 0.95),
        100.0 * own / elapsed,
    );
}

fn main() {
    let options = Options::parse();
    if options.server {
        return server::main();
    }
    if options.pin {
        server::pin_own_threads(1);
    }
    for count in &options.calls {
        // A new engine each time, so that memory is that of these calls.
        let mut server = server::Process::start(options.pin);
        run(*count, &options, &mut server);
        println!("  {}", server.figures());
    }
}
