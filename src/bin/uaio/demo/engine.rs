//! Which engine the library uses in a process, seen from outside: by its threads and descriptors.

use std::fmt;
use std::fs;

/// What was seen so far.
#[derive(Default)]
pub struct Engine {
    workers: usize,
    uring: bool,
}

impl Engine {
    /// Looks at process `pid`. It may be gone, and then there is nothing to see.
    pub fn observe(&mut self, pid: u32) {
        let process = format!("/proc/{pid}");
        let threads = fs::read_dir(format!("{process}/task")).into_iter().flatten().count();
        self.workers = self.workers.max(threads.saturating_sub(1));
        self.uring |= fs::read_dir(format!("{process}/fd"))
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|fd| fs::read_link(fd.path()).ok())
            .any(|file| file.as_os_str() == "anon_inode:[io_uring]");
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match (self.uring, self.workers) {
            (true, _) => write!(f, "uring"),
            (false, 0) => write!(f, "inline, no thread was started"),
            (false, 1) => write!(f, "pool, 1 thread"),
            (false, workers) => write!(f, "pool, up to {workers} threads"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_threads_are_workers() {
        let mut engine = Engine::default();
        engine.observe(u32::MAX);
        assert_eq!(engine.to_string(), "inline, no thread was started");
        // The test runner has a thread beside this one.
        engine.observe(std::process::id());
        assert!(engine.to_string().starts_with("pool, "), "{engine}");
    }
}
