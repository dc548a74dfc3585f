//! The table at the end.

use std::time::Duration;

/// What was measured, against what was wanted and what the machine gives.
pub struct Row {
    pub engine: &'static str,
    pub what: String,
    pub goal: String,
    pub measured: String,
    /// What a server that does nothing gives on the same machine in the same run.
    pub ceiling: String,
    pub good: bool,
    pub remark: String,
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
        println!("{:8} {}: {} ({})", row.engine, row.what, row.measured, row.remark);
        self.rows.push(row);
    }

    pub fn print(&self) {
        println!("\n{}\n", self.machine);
        let mut table =
            vec![["database", "what", "goal", "measured", "ceiling", "", "remark"].map(str::to_owned)];
        for row in &self.rows {
            let verdict = if row.good { "met" } else { "MISSED" };
            table.push([
                row.engine.to_owned(),
                row.what.clone(),
                row.goal.clone(),
                row.measured.clone(),
                row.ceiling.clone(),
                verdict.to_owned(),
                row.remark.clone(),
            ]);
        }
        let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..7).map(width).collect();
        for (n, row) in table.iter().enumerate() {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            println!("| {} |", cells.collect::<Vec<_>>().join(" | "));
            if n == 0 {
                let lines = widths.iter().map(|width| "-".repeat(*width));
                println!("| {} |", lines.collect::<Vec<_>>().join(" | "));
            }
        }
    }
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

    /// In milliseconds; the times are sorted on the way.
    pub fn percentile(&mut self, part: f64) -> f64 {
        self.0.sort_unstable();
        let at = (self.0.len() as f64 * part) as usize;
        f64::from(self.0.get(at.min(self.0.len().saturating_sub(1))).copied().unwrap_or(0)) / 1e3
    }

    /// `p50 / p99 / max` in milliseconds.
    pub fn summary(&mut self) -> String {
        let [half, most, all] = [0.5, 0.99, 1.0].map(|part| self.percentile(part));
        format!("p50 {half:.2} p99 {most:.2} max {all:.1} ms")
    }
}
