//! How far the measurements are: a bar on a terminal, a line for each workload elsewhere.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressStyle};

use super::results::{Measured, Status};
use crate::output;

/// Progress on standard error.
pub struct Progress {
    bar: Option<ProgressBar>,
    total: usize,
    /// Measurements of each workload.
    steps: usize,
    done: usize,
}

impl Progress {
    /// Of `total` workloads with `steps` measurements each.
    pub fn new(total: usize, steps: usize) -> Progress {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new((total * steps) as u64);
            let template = "[{bar:32}] {percent:>3} %, {eta} left: {msg}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("##-"));
            }
            bar
        });
        Progress { bar, total, steps, done: 0 }
    }

    /// A workload begins.
    pub fn begin(&mut self, name: &str) {
        if let Some(bar) = &self.bar {
            bar.set_position((self.done * self.steps) as u64);
            bar.set_message(name.to_string());
        }
    }

    /// A measurement is done.
    pub fn step(&mut self) {
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }

    /// A workload is done.
    pub fn end(&mut self, measured: &Measured) {
        self.done += 1;
        if self.bar.is_none() {
            let line = line(measured);
            output::remark(&format!("{}/{} {}: {line}\n", self.done, self.total, measured.name));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn line(measured: &Measured) -> String {
    match &measured.status {
        Status::Skipped(reason) => format!("skipped: {reason}"),
        Status::Failed(what) => format!("FAILED: {what}"),
        Status::NotReached(rounds) => format!("time for {rounds} rounds only"),
        Status::Measured if !measured.workload.is_compared() => {
            let sides = measured.blocking_calls.iter().map(|(side, calls)| {
                let cut: u64 = calls.iter().map(|it| it.short + it.eintr).sum();
                let of: u64 = calls.iter().map(|it| it.calls).sum();
                format!("{side} {cut} of {of} calls cut short")
            });
            sides.collect::<Vec<_>>().join("; ")
        }
        Status::Measured => {
            let sides = measured.comparisons.iter().map(|it| {
                let (throughput, cpu) = (it.throughput.summary.median, it.cpu.summary.median);
                format!("{} {throughput:.2}x operations, {cpu:.2}x CPU", it.engine)
            });
            sides.collect::<Vec<_>>().join("; ")
        }
    }
}
