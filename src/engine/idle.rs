//! Workers of the pool that have nothing to do, and how they are called.
//!
//! A worker that finds nothing says that it is idle, looks once more, and sleeps. A submitter
//! takes as many off the list as there is work for, and wakes those and no others, in one system
//! call. So a worker that is on its way is idle no more, and nobody calls another one in its place.
//!
//! Those with the lowest numbers are called first: the others have the time to notice that they are
//! too many.
//!
//! *Orderings*: a submitter queues; SeqCst fence; looks at the idle workers. A worker says that it
//! is idle; SeqCst fence; looks at the queue. The two fences are ordered, so that one sees the
//! other.

use libc::timespec;

use crate::sync::{AtomicU32, Ordering, fence};
use crate::sys::errno::Errno;
use crate::sys::futex;

/// How many workers there can be: one for each bit of a futex's set.
pub const MAX_WORKERS: usize = u32::BITS as usize;

/// How a sleep has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Rest {
    /// There may be something to do.
    Called,
    /// The time is over, and nobody has called.
    TimedOut,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Idle {
    /// A bit for each worker that sleeps, or is about to, and that nobody has called.
    pub(super) workers: AtomicU32,
    /// Changes with every call.
    pub(super) calls: AtomicU32,
}

impl Idle {
    /// How many there are.
    pub fn count(&self) -> u32 {
        self.workers.load(Ordering::Relaxed).count_ones()
    }

    /// The worker `number` sleeps until it is called, unless there is work.
    pub fn sleep(&self, number: u32, deadline: &timespec, has_work: impl FnOnce() -> bool) -> Rest {
        let bit = 1 << number;
        self.workers.fetch_or(bit, Ordering::Relaxed);
        // SeqCst: see the module.
        fence(Ordering::SeqCst);
        if has_work() {
            self.workers.fetch_and(!bit, Ordering::Relaxed);
            return Rest::Called;
        }
        loop {
            // Acquire: pairs with the Release in `call`: a worker that sees the call sees whether
            // it is meant.
            let calls = self.calls.load(Ordering::Acquire);
            if self.workers.load(Ordering::Relaxed) & bit == 0 {
                return Rest::Called;
            }
            let slept = futex::wait_bits(&self.calls, calls, bit, deadline);
            if slept == Err(Errno::TIMEDOUT) {
                return match self.workers.fetch_and(!bit, Ordering::Relaxed) & bit {
                    0 => Rest::Called,
                    _ => Rest::TimedOut,
                };
            }
        }
    }

    /// Calls at most `most` of them; how many come. Between the work and this lies the caller's
    /// fence.
    pub fn wake(&self, most: u32) -> u32 {
        let mut idle = self.workers.load(Ordering::Relaxed);
        let (chosen, count) = loop {
            let (chosen, count) = lowest(idle, most);
            if count == 0 {
                return 0;
            }
            match self.workers.compare_exchange(
                idle,
                idle & !chosen,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => break (chosen, count),
                Err(current) => idle = current,
            }
        };
        // Release: pairs with the Acquire in `sleep`.
        self.calls.fetch_add(1, Ordering::Release);
        futex::wake_bits(&self.calls, count, chosen);
        count
    }

    /// A forked child has none.
    pub fn reset_after_fork(&self) {
        self.workers.store(0, Ordering::Relaxed);
    }
}

/// The lowest bits of `set`, at most `most`, and how many they are.
fn lowest(set: u32, most: u32) -> (u32, u32) {
    let (mut rest, mut count) = (set, 0);
    while rest != 0 && count < most {
        rest &= rest - 1;
        count += 1;
    }
    (set & !rest, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_bits_are_chosen() {
        assert_eq!(lowest(0b1011_0100, 2), (0b0001_0100, 2));
        assert_eq!(lowest(0b1000, 5), (0b1000, 1));
        assert_eq!(lowest(u32::MAX, 32), (u32::MAX, 32));
        assert_eq!(lowest(7, 0), (0, 0));
        assert_eq!(lowest(0, 3), (0, 0));
    }
}
