//! A completion queue as the kernel keeps it: who waits sleeps until a number of completions has
//! been added to what had been taken when the wait began (io_uring/io_uring.c, io_cqring_wait),
//! whatever is taken meanwhile.

use std::sync::atomic::AtomicU64 as Bits;

use loom::sync::{Condvar, Mutex};

use crate::sync::{AtomicU32, Ordering};

#[derive(Debug)]
pub struct Instance {
    head: AtomicU32,
    tail: AtomicU32,
    /// Which completions are kicks. Not under test, so not loom's: the tail publishes it.
    kicks: Bits,
    kernel: Mutex<()>,
    posted: Condvar,
    harvest: Mutex<()>,
}

/// What a harvest took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Taken {
    pub completions: u32,
    pub kicks: u32,
}

impl Instance {
    pub fn new() -> Instance {
        Instance {
            head: AtomicU32::new(0),
            tail: AtomicU32::new(0),
            kicks: Bits::new(0),
            kernel: Mutex::new(()),
            posted: Condvar::new(),
            harvest: Mutex::new(()),
        }
    }

    fn post(&self, count: u32, are_kicks: bool) {
        let _kernel = self.kernel.lock().unwrap();
        let tail = self.tail.load(Ordering::Relaxed);
        assert!(tail + count < 64, "the model's queue is too short");
        if are_kicks {
            self.kicks.fetch_or(((1 << count) - 1) << tail, std::sync::atomic::Ordering::Relaxed);
        }
        // Release: as the kernel's.
        self.tail.store(tail + count, Ordering::Release);
        self.posted.notify_all();
    }

    /// A request is done.
    pub fn complete(&self) {
        self.post(1, false);
    }

    /// What `src/completion/waiters.rs` calls.
    pub fn kick(&self, count: u32) {
        self.post(count, true);
    }

    pub fn wait(&self, count: u32) {
        let mut kernel = self.kernel.lock().unwrap();
        let target = self.head.load(Ordering::Relaxed) + count;
        while self.tail.load(Ordering::Relaxed) < target {
            kernel = self.posted.wait(kernel).unwrap();
        }
    }

    /// What an epoll with EPOLLET tells: sleeps until the tail is another one than `seen`; the new
    /// tail, and how many of the completions before it are no kicks.
    pub fn edge(&self, seen: u32) -> (u32, u32) {
        let mut kernel = self.kernel.lock().unwrap();
        loop {
            let tail = self.tail.load(Ordering::Relaxed);
            if tail != seen {
                let kicks = self.kicks.load(std::sync::atomic::Ordering::Relaxed);
                return (tail, tail - kicks.count_ones());
            }
            kernel = self.posted.wait(kernel).unwrap();
        }
    }

    pub fn has_completions(&self) -> bool {
        // Acquire, both: as in `src/uring/mod.rs`.
        self.tail.load(Ordering::Acquire) != self.head.load(Ordering::Acquire)
    }

    /// Takes everything that is there.
    pub fn harvest(&self) -> Taken {
        let mut taken = Taken::default();
        if !self.has_completions() {
            return taken;
        }
        let _harvest = self.harvest.lock().unwrap();
        let head = self.head.load(Ordering::Relaxed);
        // Acquire: pairs with the Release in `post`.
        let tail = self.tail.load(Ordering::Acquire);
        for position in head..tail {
            match self.kicks.load(std::sync::atomic::Ordering::Relaxed) >> position & 1 {
                0 => taken.completions += 1,
                _ => taken.kicks += 1,
            }
        }
        // Release: as in `src/uring/mod.rs`.
        self.head.store(tail, Ordering::Release);
        taken
    }
}
