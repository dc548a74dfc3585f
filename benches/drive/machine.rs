//! What the machine is doing: processor time from /proc, memory of a process, what the disk takes for an fsync.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::Result;

/// `/proc` counts in hundredths of a second on every Linux that matters here.
const TICK: Duration = Duration::from_millis(10);

/// Processor time of a process and, when it is a PostgreSQL server, of its children.
pub fn cpu_of(pid: u32) -> Duration {
    let mut ticks = 0;
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Some(fields) = stat(id) else { continue };
        if id == pid || fields.get(1).is_some_and(|parent| *parent == u64::from(pid)) {
            // utime and stime; children that have ended stand in cutime and cstime of the parent.
            let ended = if id == pid { fields[13] + fields[14] } else { 0 };
            ticks += fields[11] + fields[12] + ended;
        }
    }
    TICK * u32::try_from(ticks).unwrap_or(u32::MAX)
}

/// Fields of `/proc/PID/stat` from the third on, so that index 1 is the parent (field 4 of proc(5)).
fn stat(pid: u32) -> Option<Vec<u64>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(") ")?;
    Some(rest.split(' ').map(|field| field.trim().parse().unwrap_or(0)).collect())
}

/// Processor time that the whole machine has spent on anything.
pub fn cpu_of_all() -> Duration {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    let fields: Vec<u64> = line.split_whitespace().skip(1).filter_map(|f| f.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal
    let busy = [0, 1, 2, 5, 6, 7].into_iter().filter_map(|n| fields.get(n)).sum::<u64>();
    TICK * u32::try_from(busy).unwrap_or(u32::MAX)
}

/// Who spent how much processor time between two moments.
#[derive(Clone, Copy)]
pub struct Load {
    at: Instant,
    all: Duration,
    ours: Duration,
    served: Duration,
}

impl Load {
    /// `pids` serve; this process drives.
    pub fn now(pids: &[u32]) -> Load {
        let served: Duration = pids.iter().map(|pid| cpu_of(*pid)).sum();
        let driver = stat(std::process::id()).map_or(0, |fields| fields[11] + fields[12]);
        let ours = served + TICK * u32::try_from(driver).unwrap_or(0);
        Load { at: Instant::now(), all: cpu_of_all(), ours, served }
    }

    /// Processor time of the servers since then.
    pub fn served_since(&self, before: &Load) -> Duration {
        self.served.saturating_sub(before.served)
    }

    /// Which part of the whole machine others have used since then, in per cent.
    pub fn foreign_since(&self, before: &Load) -> f64 {
        let all = self.all.saturating_sub(before.all);
        let foreign = all.saturating_sub(self.ours.saturating_sub(before.ours));
        100.0 * foreign.as_secs_f64() / (self.at - before.at).as_secs_f64() / cores() as f64
    }
}

pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Memory of a process in KiB.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    pub rss: u64,
    pub pss: u64,
    /// What only the process itself can answer for: neither program text nor the page cache behind a mapped file.
    pub anonymous: u64,
}

pub fn memory_of(pid: u32) -> Memory {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0)
    };
    Memory { rss: field("Rss:"), pss: field("Pss:"), anonymous: field("Anonymous:") }
}

/// The median time of writing 4 KiB and making it durable.
fn sync_time(folder: &Path) -> Result<Duration> {
    let path = folder.join("sync-probe");
    let mut file = std::fs::File::create(&path)?;
    let mut times = Vec::new();
    let until = Instant::now() + Duration::from_secs(1);
    while Instant::now() < until {
        let begun = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        times.push(begun.elapsed());
    }
    std::fs::remove_file(&path)?;
    times.sort_unstable();
    Ok(times.get(times.len() / 2).copied().unwrap_or_default())
}

/// How long a read from memory takes when it needs the one before it, in 64 MiB that no cache holds. On a machine that
/// is shared it tells what the neighbours are doing: with it, a database's processor time goes up and down.
fn memory_time() -> Duration {
    const PLACES: usize = 1 << 24;
    const READS: u32 = 2_000_000;
    // Sattolo's shuffle: one ring through all places.
    let mut next: Vec<u32> = (0..).take(PLACES).collect();
    let mut seed = 88_172_645_463_325_252_u64;
    for last in (1..PLACES).rev() {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        next.swap(last, (seed % last as u64) as usize);
    }
    let begun = Instant::now();
    let end = (0..READS).fold(0, |place, _| next[place as usize]);
    std::hint::black_box(end);
    begun.elapsed() / READS
}

/// One line on what is measured on.
pub fn describe(folder: &Path) -> Result<String> {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, m)| m);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib: u64 = memory.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
    let sync = sync_time(folder)?;
    Ok(format!(
        "{} cores of {}, {} GiB, 4 KiB durable in {:.2} ms (median), a read from memory in {} ns",
        cores(),
        model.unwrap_or("an unknown make"),
        kib >> 20,
        sync.as_secs_f64() * 1e3,
        memory_time().as_nanos()
    ))
}
