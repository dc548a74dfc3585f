//! Figures of one process, for `/metrics`: what is counted as it happens, and gauges that are read when asked for.

pub mod api;

use std::sync::atomic::AtomicI64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::error::{Error, Result};

/// Upper ends of the classes of answer times, in seconds.
const SECONDS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

/// Requests are told apart by route, never by path: paths hold ids, and there is no end to ids.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MessageLabels {
    direction: &'static str,
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FrameLabels {
    fate: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NumberLabels {
    region: String,
    state: String,
}

/// What is counted as it happens.
#[derive(Debug)]
pub struct Metrics {
    requests: Family<RequestLabels, Counter>,
    seconds: Family<RouteLabels, Histogram, fn() -> Histogram>,
    messages: Family<MessageLabels, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics {
            requests: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            messages: Family::default(),
        }
    }
}

/// What is read at the moment somebody asks.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Transactions committed.
    pub commits: u64,
    /// Operations in them.
    pub operations: u64,
    /// Batches that had to be run again.
    pub replays: u64,
    /// Operations that wait for a write lane.
    pub waiting: i64,
    /// Live connections of this node.
    pub sockets: i64,
    /// Jobs: (state, count).
    pub jobs: Vec<(String, i64)>,
    /// Numbers: (region, state, count).
    pub numbers: Vec<(String, String, i64)>,
    /// Contacts that have no number because the pool has run out.
    pub contacts_waiting: i64,
    /// The most pairs any account has in use or at rest.
    pub largest_holding: i64,
    /// Carriers: (id, 0 down or written off, 1 degraded, 2 well).
    pub carriers: Vec<(String, i64)>,
    /// SMS that wait for their turn: (carrier, count).
    pub sms_waiting: Vec<(String, i64)>,
    /// Open alarms: (kind, count).
    pub alarms: Vec<(String, i64)>,
    /// Ends of calls that are open on this node.
    pub call_legs: i64,
    /// 20 ms frames of calls: what became of them, and how many.
    pub call_frames: [(&'static str, u64); 3],
    /// Datagrams at the port for calls that were for no call.
    pub call_strangers: u64,
}

impl Metrics {
    /// Counts an answered request.
    pub fn request(&self, method: &str, route: &str, status: u16, took: Duration) {
        let labels = RequestLabels { method: method.to_owned(), route: route.to_owned(), status };
        self.requests.get_or_create(&labels).inc();
        self.seconds.get_or_create(&RouteLabels { route: route.to_owned() }).observe(took.as_secs_f64());
    }

    /// Counts a message that reached a state.
    pub fn message(&self, direction: &'static str, state: &'static str) {
        self.messages.get_or_create(&MessageLabels { direction, state }).inc();
    }

    /// Everything as OpenMetrics text.
    pub fn render(&self, now: &Snapshot) -> Result<String> {
        let mut registry = Registry::with_prefix("meari");
        registry.register("http_requests", "Answered requests", self.requests.clone());
        registry.register_with_unit(
            "http_request_duration",
            "Time to the head of the answer",
            Unit::Seconds,
            self.seconds.clone(),
        );
        registry.register("messages", "Messages that reached a state", self.messages.clone());
        register_snapshot(&mut registry, now);
        register_process(&mut registry);
        let mut text = String::with_capacity(8 * 1024);
        encode(&mut text, &registry).map_err(|e| Error::caused("rendering the metrics", e))?;
        Ok(text)
    }
}

fn register_snapshot(registry: &mut Registry, now: &Snapshot) {
    let counters = [
        ("db_commits", "Transactions committed", now.commits),
        ("db_operations", "Writing operations in them", now.operations),
        ("db_replays", "Batches of operations that had to be run again", now.replays),
        ("call_strangers", "Datagrams at the port for calls that were for no call", now.call_strangers),
    ];
    for (name, help, value) in counters {
        registry.register(name, help, ConstCounter::<u64>::new(value));
    }
    let exhausted = i64::from(now.contacts_waiting > 0);
    let gauges = [
        ("db_waiting", "Operations that wait for a write lane", now.waiting),
        ("sockets", "Live connections of this node", now.sockets),
        ("call_legs", "Ends of calls that are open on this node", now.call_legs),
        ("contacts_waiting", "Contacts that wait for a number", now.contacts_waiting),
        ("pool_exhausted", "1 while contacts wait because the pool has run out: import numbers", exhausted),
        ("largest_holding", "Pairs in use or at rest of the account with the most", now.largest_holding),
    ];
    for (name, help, value) in gauges {
        registry.register(name, help, ConstGauge::<i64>::new(value));
    }
    let frames = Family::<FrameLabels, Counter>::default();
    for (fate, count) in now.call_frames.iter().filter(|(fate, _)| !fate.is_empty()) {
        frames.get_or_create(&FrameLabels { fate }).inc_by(*count);
    }
    registry.register("call_frames", "20 ms of sound: came in, went out, could not be given", frames);
    let jobs = Family::<StateLabels, Gauge>::default();
    for (state, count) in &now.jobs {
        jobs.get_or_create(&StateLabels { state: state.clone() }).set(*count);
    }
    registry.register("jobs", "Queued work by state; dead jobs want an operator", jobs);
    let numbers = Family::<NumberLabels, Gauge>::default();
    for (region, state, count) in &now.numbers {
        numbers.get_or_create(&NumberLabels { region: region.clone(), state: state.clone() }).set(*count);
    }
    registry.register("numbers", "Numbers of the pool", numbers);
    let named = [
        (
            "carrier_health",
            "How a carrier is: 0 down or written off, 1 degraded, 2 well",
            "carrier",
            &now.carriers,
        ),
        ("sms_waiting", "SMS that wait for their turn at a carrier", "carrier", &now.sms_waiting),
        ("alarms", "Open alarms; they want an operator", "kind", &now.alarms),
    ];
    for (name, help, label, values) in named {
        let family: Family<Vec<(String, String)>, Gauge> = Family::default();
        for (value, count) in values {
            family.get_or_create(&vec![(label.to_owned(), value.clone())]).set(*count);
        }
        registry.register(name, help, family);
    }
}

fn register_process(registry: &mut Registry) {
    let build: Family<Vec<(String, String)>, Gauge<i64, AtomicI64>> = Family::default();
    build.get_or_create(&vec![("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]).set(1);
    registry.register("build", "The version that runs", build);
    if let Some(bytes) = resident_bytes() {
        let gauge = ConstGauge::<i64>::new(bytes);
        registry.register_with_unit("process_resident_memory", "Memory in use", Unit::Bytes, gauge);
    }
    let files = std::fs::read_dir("/proc/self/fd").map(Iterator::count).unwrap_or_default();
    let gauge = ConstGauge::<i64>::new(i64::try_from(files).unwrap_or(i64::MAX));
    registry.register("process_open_fds", "Open files and sockets", gauge);
}

/// Memory of this process, where the system tells (Linux).
fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: i64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_rendered_with_its_labels() {
        let metrics = Metrics::default();
        metrics.request("GET", "/v1/me", 200, Duration::from_millis(3));
        metrics.message("inbound", "received");
        let now = Snapshot {
            commits: 7,
            jobs: vec![("dead".to_owned(), 2)],
            numbers: vec![("US".to_owned(), "available".to_owned(), 60)],
            contacts_waiting: 1,
            ..Snapshot::default()
        };
        let text = metrics.render(&now).unwrap();
        for line in [
            "meari_http_requests_total{method=\"GET\",route=\"/v1/me\",status=\"200\"} 1",
            "meari_http_request_duration_seconds_count{route=\"/v1/me\"} 1",
            "meari_messages_total{direction=\"inbound\",state=\"received\"} 1",
            "meari_db_commits_total 7",
            "meari_jobs{state=\"dead\"} 2",
            "meari_numbers{region=\"US\",state=\"available\"} 60",
            "meari_pool_exhausted 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing from:\n{text}");
        }
        assert!(text.contains("meari_process_resident_memory_bytes "));
        assert!(text.ends_with("# EOF\n"));
    }
}
