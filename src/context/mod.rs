//! A context: what a program's `io_context_t` stands for.
//!
//! Contexts are made in memory that is never unmapped, and used again after io_destroy, so that a
//! thread that comes late finds an old context closed, not gone; see the registry.
//!
//! *Locks (order)*: there is none between contexts. Inside one: the slab's lock (the context lock)
//! and the poller's and lane's locks are taken one at a time; requests are completed, which takes
//! the ring's locks and the waiters', with none of them held.

#![deny(clippy::indexing_slicing)]

mod cancel;
mod destroy;
mod reap;
mod submit;

use crate::completion::Completions;
use crate::engine::pool::Lane;
use crate::poller::Poller;
use crate::sync::{AtomicBool, Ordering};
use crate::sys::fd;

pub use reap::{Caller, MaskArgument, Reap, Wait, deliver};

/// See the module. All-zero memory is a closed context that was never opened.
#[derive(Debug)]
pub struct Context {
    /// Where requests complete.
    pub completions: Completions,
    poller: Poller,
    lane: Lane,
    /// io_destroy has begun.
    is_dead: AtomicBool,
}

impl Context {
    /// Ready for requests; the ring is open.
    pub fn open(&'static self) {
        self.lane.open(&self.completions);
        self.poller.open(&self.completions);
        self.is_dead.store(false, Ordering::Relaxed);
    }

    /// Events that wait to be taken, after a look at the polls.
    pub fn occupancy(&self) -> u32 {
        if self.poller.needs_harvest() && self.completions.ring.occupancy() == 0 {
            self.poller.harvest();
        }
        self.completions.ring.occupancy()
    }

    /// Closes the descriptors that a forked child inherited.
    ///
    /// # Safety
    /// The caller is that child's only thread.
    pub unsafe fn close_after_fork(&self) {
        self.poller.close_after_fork();
        self.completions.slab.for_each_pin(fd::close);
        // SAFETY: the caller's promise.
        unsafe { self.completions.resfds.force_unlock() };
        self.completions.resfds.for_each_pin(fd::close);
    }
}
