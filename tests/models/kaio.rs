//! A ring of the kernel's AIO: who sleeps is woken when there are as many events as it wants, takes what
//! is there, and sleeps again if others were quicker (fs/aio.c, read_events).

use loom::sync::{Condvar, Mutex};

use crate::sync::{AtomicU32, Ordering};
use crate::uring::Taken;

/// What is in the kernel's hands while somebody sleeps.
#[derive(Debug, Default)]
struct Ring {
    events: u32,
    kicks: u32,
}

#[derive(Debug)]
pub struct Instance {
    ring: Mutex<Ring>,
    /// What is to be seen without a call.
    count: AtomicU32,
    posted: Condvar,
    /// Threads that sleep, or are about to.
    harvest: Mutex<u32>,
}

impl Instance {
    pub fn new() -> Instance {
        Instance {
            ring: Mutex::new(Ring::default()),
            count: AtomicU32::new(0),
            posted: Condvar::new(),
            harvest: Mutex::new(0),
        }
    }

    fn post(&self, add: impl FnOnce(&mut Ring)) {
        let mut ring = self.ring.lock().unwrap();
        add(&mut ring);
        // Release: as the kernel's.
        self.count.store(ring.events + ring.kicks, Ordering::Release);
        self.posted.notify_all();
    }

    /// A request is done.
    pub fn complete(&self) {
        self.post(|ring| ring.events += 1);
    }

    /// What `src/completion/waiters` calls.
    pub fn kick(&self, count: u32) {
        self.post(|ring| ring.kicks += count);
    }

    pub fn has_events(&self) -> bool {
        // Acquire: as in `src/kaio/mod.rs`.
        self.count.load(Ordering::Acquire) != 0
    }

    fn take(&self, ring: &mut Ring) -> Taken {
        self.count.store(0, Ordering::Relaxed);
        let Ring { events, kicks } = core::mem::take(ring);
        Taken { completions: events, kicks }
    }

    /// Takes everything that is there.
    pub fn harvest(&self) -> Taken {
        if !self.has_events() {
            return Taken::default();
        }
        let _sleepers = self.harvest.lock().unwrap();
        self.take(&mut self.ring.lock().unwrap())
    }

    /// Takes events, and sleeps until there were `count` of them.
    pub fn sleep(&self, count: u32) -> Taken {
        *self.harvest.lock().unwrap() += 1;
        let mut all = Taken::default();
        let mut ring = self.ring.lock().unwrap();
        loop {
            let taken = self.take(&mut ring);
            all.completions += taken.completions;
            all.kicks += taken.kicks;
            let got = all.completions + all.kicks;
            if got >= count {
                break;
            }
            // The kernel wakes only if there are enough.
            while ring.events + ring.kicks < count - got {
                ring = self.posted.wait(ring).unwrap();
            }
        }
        drop(ring);
        *self.harvest.lock().unwrap() -= 1;
        all
    }
}
