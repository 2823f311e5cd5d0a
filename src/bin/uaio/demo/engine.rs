//! Which engine the library uses in a process, seen from outside: by its memory, threads and
//! descriptors.

use std::fmt;
use std::fs;

/// The name that the library gives to the threads of its pool.
const WORKER: &str = "uaio-pool\n";

/// What was seen so far.
#[derive(Default)]
pub struct Engine {
    workers: usize,
    uring: bool,
    kernel: bool,
}

impl Engine {
    /// Looks at process `pid`. It may be gone, and then there is nothing to see.
    pub fn observe(&mut self, pid: u32) {
        let process = format!("/proc/{pid}");
        let entries = |directory| {
            fs::read_dir(format!("{process}/{directory}")).into_iter().flatten().flatten()
        };
        let workers = entries("task")
            .filter_map(|task| fs::read_to_string(task.path().join("comm")).ok())
            .filter(|name| name == WORKER)
            .count();
        self.workers = self.workers.max(workers);
        self.kernel |= fs::read_to_string(format!("{process}/maps"))
            .is_ok_and(|maps| maps.lines().any(|line| line.contains(" /[aio]")));
        self.uring |= entries("fd")
            .filter_map(|fd| fs::read_link(fd.path()).ok())
            .any(|file| file.as_os_str() == "anon_inode:[io_uring]");
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.workers {
            _ if self.kernel => write!(f, "kernel"),
            _ if self.uring => write!(f, "uring"),
            0 => write!(f, "inline, no thread was started"),
            1 => write!(f, "pool, 1 thread"),
            workers => write!(f, "pool, up to {workers} threads"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_of_the_library_are_seen() {
        let mut engine = Engine::default();
        engine.observe(std::process::id());
        assert_eq!(engine.to_string(), "inline, no thread was started");
        let (stop, wait) = std::sync::mpsc::channel::<()>();
        let worker = std::thread::Builder::new()
            .name(WORKER.trim_end().to_string())
            .spawn(move || wait.recv())
            .unwrap();
        // The name is set by the thread itself.
        while engine.to_string() != "pool, 1 thread" {
            engine.observe(std::process::id());
        }
        drop(stop);
        assert!(worker.join().unwrap().is_err());
    }
}
