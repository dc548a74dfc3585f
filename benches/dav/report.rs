//! The table at the end, and times that can be asked for percentiles.

use std::time::Duration;

/// One figure of one server.
pub struct Row {
    pub work: String,
    pub server: String,
    /// Processor time of the server for one unit, in microseconds.
    pub cpu: Option<f64>,
    pub figure: String,
    pub goal: String,
    /// None where there is no goal: the peers.
    pub good: Option<bool>,
}

pub struct Report {
    machine: String,
    rows: Vec<Row>,
}

impl Report {
    pub fn new(machine: String) -> Report {
        println!("{machine}");
        Report { machine, rows: Vec::new() }
    }

    pub fn add(&mut self, row: Row) {
        println!("{}", line(&row));
        self.rows.push(row);
    }

    pub fn print(&self) {
        println!("\n{}\n", self.machine);
        println!("| work | server | CPU a unit | measured | goal | |\n| --- | --- | --- | --- | --- | --- |");
        let mut works: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !works.contains(&row.work.as_str()) {
                works.push(&row.work);
            }
        }
        for work in works {
            self.rows.iter().filter(|r| r.work == work).for_each(|row| println!("{}", line(row)));
        }
    }
}

fn line(row: &Row) -> String {
    let cpu = match row.cpu {
        Some(cpu) if cpu >= 100.0 => format!("{cpu:.0} µs"),
        Some(cpu) => format!("{cpu:.1} µs"),
        None => String::new(),
    };
    let verdict = match row.good {
        Some(true) => "met",
        Some(false) => "MISSED",
        None => "",
    };
    format!("| {} | {} | {cpu} | {} | {} | {verdict} |", row.work, row.server, row.figure, row.goal)
}

/// Times, to be asked for percentiles.
#[derive(Default)]
pub struct Times(Vec<u32>);

impl Times {
    pub fn add(&mut self, time: Duration) {
        self.0.push(u32::try_from(time.as_micros()).unwrap_or(u32::MAX));
    }

    pub fn merge(&mut self, other: Times) {
        self.0.extend(other.0);
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// In milliseconds.
    pub fn percentile(&mut self, part: f64) -> f64 {
        self.0.sort_unstable();
        let at = (self.0.len() as f64 * part) as usize;
        f64::from(self.0.get(at.min(self.0.len().saturating_sub(1))).copied().unwrap_or(0)) / 1e3
    }

    pub fn summary(&mut self) -> String {
        let [half, most] = [0.5, 0.99].map(|part| self.percentile(part));
        format!("p50 {half:.2}, p99 {most:.2} ms")
    }
}
