//! How many messages a second the SMPP client submits, with a receipt for each, against an SMSC in a process of its own.
//!
//! The SMSC takes a submit, answers it, and sends a delivery receipt, which the client acknowledges after its sink has
//! taken it; the run counts what was submitted *and* receipted. Client and SMSC share the machine. Before that the
//! ceiling is measured: the same octets over the same kind of connection, with nobody who looks into them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    missing_docs
)]

mod smsc;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use clap::Parser;
use meari::carriers::link::SessionNumber;
use meari::carriers::smpp::Smpp;
use meari::carriers::{Carrier, CarrierSettings, EventSink, LinkEvent, ReceiptState, SmsToSend};
use meari::clock::Timestamp;
use meari::ids::OutboundSmsId;
use meari::phone::E164;
use tokio::sync::{Notify, watch};

/// Drives the SMPP client against a local SMSC.
///
/// Goal: 20,000 submits a second with receipts on two cores.
#[derive(Parser)]
#[command(name = "smpp", max_term_width = 100)]
struct Options {
    /// How long each run takes.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Submits that wait for their answers, on each session.
    #[arg(long, default_value_t = 200)]
    window: usize,
    /// Sessions at the same time.
    #[arg(long, default_value_t = 1)]
    sessions: usize,
    /// Threads of the client.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// A text of so many characters; more than 160 are several parts.
    #[arg(long, default_value_t = 60)]
    characters: usize,
    /// The SMSC waits so long before it answers, in milliseconds.
    #[arg(long, default_value_t = 0)]
    delay: u64,
    /// Given by `cargo bench`; means nothing.
    #[arg(long, hide = true)]
    bench: bool,
    /// Be the SMSC.
    #[arg(long, hide = true)]
    smsc: bool,
}

/// Counts receipts.
#[derive(Default)]
struct Counter {
    delivered: AtomicU64,
    other: AtomicU64,
    news: Notify,
}

#[async_trait]
impl EventSink for Counter {
    async fn hear(&self, _: &str, _: SessionNumber, event: LinkEvent) -> meari::error::Result<()> {
        match event {
            LinkEvent::Receipt { receipt, .. } if receipt.state == ReceiptState::Delivered => {
                self.delivered.fetch_add(1, Ordering::Relaxed);
                self.news.notify_one();
            }
            LinkEvent::Bound => {}
            _ => drop(self.other.fetch_add(1, Ordering::Relaxed)),
        }
        Ok(())
    }
}

fn carrier(options: &Options, port: u16) -> Arc<Smpp> {
    let settings = [
        ("host", "127.0.0.1".to_owned()),
        ("port", port.to_string()),
        ("system_id", "bench".to_owned()),
        ("password", "bench".to_owned()),
        ("window", options.window.to_string()),
        ("sessions", options.sessions.to_string()),
    ];
    let options: BTreeMap<_, _> = settings.into_iter().map(|(k, v)| (k.to_owned(), v.into())).collect();
    let entry = CarrierSettings { id: "smsc".into(), kind: "smpp".into(), api_base: None, options };
    Arc::new(Smpp::new(&entry).unwrap())
}

fn sms(text: &str) -> SmsToSend {
    SmsToSend {
        id: OutboundSmsId::new(Timestamp(1_760_000_000_000_000)),
        from: E164::parse("+12025550200").unwrap(),
        to: E164::parse("+12025550101").unwrap(),
        text: text.to_owned(),
        media_urls: Vec::new(),
        status_callback: "wanted".to_owned(),
    }
}

/// What a run gave.
struct Outcome {
    submitted: u64,
    failed: u64,
    delivered: u64,
    elapsed: Duration,
    latencies: Vec<u32>,
}

async fn run(options: &Options, port: u16) -> Outcome {
    let carrier = carrier(options, port);
    let counter = Arc::new(Counter::default());
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(carrier.clone().run(counter.clone(), stopped));
    let text = "m".repeat(options.characters);
    // Two callers for each place in the window keep it full.
    let callers = options.window * options.sessions * 2;
    let (submitted, failed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    carrier.send(&sms(&text)).await.unwrap();
    let warm = Instant::now() + Duration::from_secs(1);
    let end = warm + Duration::from_secs(options.seconds);
    let mut tasks = Vec::new();
    for _ in 0..callers {
        let (carrier, message) = (carrier.clone(), sms(&text));
        let (submitted, failed) = (submitted.clone(), failed.clone());
        tasks.push(tokio::spawn(async move {
            let mut latencies = Vec::new();
            while Instant::now() < end {
                let begun = Instant::now();
                match carrier.send(&message).await {
                    Ok(_) => drop(submitted.fetch_add(1, Ordering::Relaxed)),
                    Err(_) => drop(failed.fetch_add(1, Ordering::Relaxed)),
                }
                latencies.push(u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX));
            }
            latencies
        }));
    }
    tokio::time::sleep_until(warm.into()).await;
    let (from, delivered_from, begun) =
        (submitted.load(Ordering::Relaxed), counter.delivered.load(Ordering::Relaxed), Instant::now());
    tokio::time::sleep_until(end.into()).await;
    let elapsed = begun.elapsed();
    let outcome_submitted = submitted.load(Ordering::Relaxed) - from;
    let outcome_delivered = counter.delivered.load(Ordering::Relaxed) - delivered_from;
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.unwrap());
    }
    // Every submit that was answered must have its receipt in the end.
    let parts = if options.characters > 160 { options.characters.div_ceil(153) as u64 } else { 1 };
    let wanted = (submitted.load(Ordering::Relaxed) + 1) * parts;
    let all = async {
        while counter.delivered.load(Ordering::Relaxed) < wanted {
            counter.news.notified().await;
        }
    };
    let whole = tokio::time::timeout(Duration::from_secs(10), all).await.is_ok();
    assert!(whole, "{} of {wanted} receipts came", counter.delivered.load(Ordering::Relaxed));
    assert_eq!(counter.other.load(Ordering::Relaxed), 0);
    stop.send_replace(true);
    running.await.unwrap();
    latencies.sort_unstable();
    Outcome {
        submitted: outcome_submitted,
        failed: failed.load(Ordering::Relaxed),
        delivered: outcome_delivered,
        elapsed,
        latencies,
    }
}

fn per_second(count: u64, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64()
}

fn main() {
    let options = Options::parse();
    if options.smsc {
        return smsc::main(Duration::from_millis(options.delay));
    }
    let mut process = std::process::Command::new(std::env::current_exe().unwrap());
    process.args(["--smsc", "--delay", &options.delay.to_string()]);
    let mut server = process.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let port = smsc::port_of(&mut server);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(options.threads).enable_all().build().unwrap();
    let before = smsc::cpu_of(std::process::id());
    let server_before = smsc::cpu_of(server.id());
    let outcome = runtime.block_on(run(&options, port));
    let (client, smsc) =
        (smsc::cpu_of(std::process::id()) - before, smsc::cpu_of(server.id()) - server_before);
    let _ = server.kill();
    let _ = server.wait();
    let at = |part: f64| {
        let place = (outcome.latencies.len() as f64 * part) as usize;
        f64::from(outcome.latencies.get(place).copied().unwrap_or(0)) / 1000.0
    };
    println!(
        "{:.0} submits/s, {:.0} receipts/s; p50 {:.1} ms, p99 {:.1} ms; {} failed; client {client:.1} s and SMSC \
         {smsc:.1} s of processor in {:.1} s (window {}, {} sessions, {} threads, {} characters, answers after {} ms)",
        per_second(outcome.submitted, outcome.elapsed),
        per_second(outcome.delivered, outcome.elapsed),
        at(0.5),
        at(0.99),
        outcome.failed,
        outcome.elapsed.as_secs_f64() + 1.0,
        options.window,
        options.sessions,
        options.threads,
        options.characters,
        options.delay,
    );
}
