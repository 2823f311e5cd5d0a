//! How far the demonstration is: a bar on a terminal, a few lines elsewhere.

use std::io::{self, IsTerminal};

use crate::output;

const WIDTH: u64 = 32;
/// Lines per run where there is no terminal.
const LINES: u64 = 4;

/// Progress on standard error.
pub struct Progress {
    total: u64,
    is_terminal: bool,
    step: Option<u64>,
}

impl Progress {
    /// Nothing is done of `total` bytes.
    pub fn new(total: u64) -> Progress {
        Progress { total, is_terminal: io::stderr().is_terminal(), step: None }
    }

    /// Says what happens next.
    pub fn phase(&self, text: &str) {
        output::remark(&format!("{text}\n"));
    }

    /// `done` bytes are done. Prints only what differs from before.
    pub fn update(&mut self, done: u64) {
        let steps = if self.is_terminal { WIDTH } else { LINES };
        let step = done.min(self.total) * steps / self.total.max(1);
        if self.step == Some(step) {
            return;
        }
        self.step = Some(step);
        output::remark(&if self.is_terminal {
            bar(step, done, self.total)
        } else {
            format!("{:3} %\n", step * 100 / LINES)
        });
    }

    /// Ends the bar's line, also when it is not full.
    pub fn finish(&mut self) {
        if self.is_terminal && self.step.take().is_some() {
            output::remark("\n");
        }
    }
}

fn bar(step: u64, done: u64, total: u64) -> String {
    let (full, empty) = ("#".repeat(step as usize), "-".repeat((WIDTH - step) as usize));
    format!("\r[{full}{empty}] {:3} %, {} of {} MiB", step * 100 / WIDTH, done >> 20, total >> 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_grows_to_its_full_width() {
        assert!(bar(0, 0, 64 << 20).contains(&format!("[{}]", "-".repeat(32))));
        let full = bar(WIDTH, 64 << 20, 64 << 20);
        assert!(full.contains(&format!("[{}] 100 %, 64 of 64 MiB", "#".repeat(32))), "{full}");
    }
}
