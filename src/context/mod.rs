//! A context: what a program's `io_context_t` stands for.
//!
//! Contexts are made in memory that is never unmapped, and used again after io_destroy, so that a
//! thread that comes late finds an old context closed, not gone; see the registry.
//!
//! *Locks (order)*: there is none between contexts. Inside one: the slab's lock (the context lock)
//! and the poller's and lane's locks are taken one at a time; requests are completed, which takes
//! the ring's locks and the waiters', with none of them held.

#![deny(clippy::indexing_slicing)]

mod batch;
mod cancel;
mod destroy;
mod flush;
mod getevents;
mod help;
mod in_place;
mod left;
mod polls;
mod start;
mod submit;
mod wait;

use crate::completion::Completions;
use crate::config;
use crate::engine::Harvest;
use crate::engine::kernel::Kernel;
use crate::engine::kernel::in_place::InPlace;
use crate::engine::pool::Lane;
use crate::engine::uring::Uring;
use crate::files::beliefs::Beliefs;
use crate::harvester::{self, Source};
use crate::poller::Poller;
use crate::process::reentrancy::{self, Owner};
use crate::sync::{AtomicBool, Ordering};
use crate::sys::{fd, thread};

pub use getevents::{Caller, MaskArgument, Reap, Wait, deliver};
pub use in_place::{is_empty, is_kernels};
pub use submit::Submitted;

/// See the module. All-zero memory is a closed context that was never opened.
#[derive(Debug)]
pub struct Context {
    /// Where requests complete.
    pub completions: Completions,
    poller: Poller,
    lane: Lane,
    kernel: Kernel,
    in_place: InPlace,
    uring: Uring,
    /// Completions come to the ring without a call from now on.
    is_background: AtomicBool,
    beliefs: Beliefs,
    /// Its program makes system calls by itself.
    is_raw: AtomicBool,
    /// The last array of io_submit lay in one page with its first iocb.
    has_iocbs_beside_array: AtomicBool,
    /// io_destroy has begun.
    is_dead: AtomicBool,
}

impl Context {
    /// Ready for requests; the ring is open. `maker`: who has called io_setup.
    pub fn open(&'static self, maker: Caller) {
        self.in_place.open();
        self.beliefs.clear();
        self.is_raw.store(maker == Caller::Raw, Ordering::Relaxed);
        self.lane.open(&self.completions);
        self.poller.open(&self.completions);
        self.kernel.open(&self.completions);
        self.uring.open(&self.completions, &self.lane);
        let is_background = config::wants_background();
        self.is_background.store(is_background, Ordering::Relaxed);
        if is_background {
            self.completions.ring.announce();
        }
        self.is_dead.store(false, Ordering::Relaxed);
    }

    /// Events that wait to be taken, after a look at what has completed.
    pub fn occupancy(&self) -> u32 {
        if self.completions.ring.occupancy() == 0 {
            self.harvest().tell(&self.completions);
        }
        self.completions.ring.occupancy()
    }

    /// Completes what is ready. [`Harvest::tell`] is due.
    #[inline]
    fn harvest(&self) -> Harvest {
        if self.poller.needs_harvest() {
            self.poller.harvest();
        }
        let mut harvest = Harvest::default();
        if self.kernel.has_news() {
            harvest = self.kernel.harvest();
        }
        if self.uring.has_news() {
            harvest = harvest.and(self.uring.harvest());
        }
        harvest
    }

    /// Whether the harvester completes everything.
    #[inline]
    fn is_background(&self) -> bool {
        self.is_background.load(Ordering::Relaxed)
    }

    /// Lets the harvester complete polls, and from now on everything. False: it cannot.
    fn serve_polls(&'static self) -> bool {
        self.is_served(Source::Poller(&self.poller)) && self.serve_rest()
    }

    /// The same for what is in io_uring.
    fn serve_uring(&'static self) -> bool {
        self.uring.background.note_cpu(thread::current_cpu());
        self.is_served(Source::Uring(&self.uring)) && self.serve_rest()
    }

    fn is_served(&self, source: Source) -> bool {
        let is_served = harvester::serve(source);
        if !is_served {
            // They may have seen that it would be.
            self.completions.waiters.wake_followers();
        }
        is_served
    }

    fn serve_rest(&'static self) -> bool {
        if !self.is_background.swap(true, Ordering::Relaxed) {
            // What is in flight already. Where that fails, callers go on looking.
            if self.poller.epoll().is_some() {
                harvester::serve(Source::Poller(&self.poller));
            }
            if self.uring.instance().is_some() {
                harvester::serve(Source::Uring(&self.uring));
            }
            if !self.kernel.is_idle() {
                harvester::serve(Source::Kernel(&self.kernel));
            }
            self.completions.ring.announce();
        }
        true
    }

    /// Waits until nothing is in io_uring: the program ends.
    pub fn finish(&self) {
        self.uring.finish();
    }

    /// Closes the descriptors that a forked child inherited, but those of its own calls, which go on when
    /// the handler returns that has called fork: `own` is the thread.
    ///
    /// # Safety
    /// The caller is that child's only thread.
    pub unsafe fn close_after_fork(&self, own: u32) {
        self.poller.close_after_fork();
        self.kernel.forget();
        self.in_place.forget();
        self.uring.close_after_fork();
        self.completions.slab.for_each_pin(fd::close_inherited);
        self.completions.holds.for_each_pin(fd::close_inherited);
        // SAFETY: the caller's promise.
        unsafe {
            let goes_on = |owner: Owner| owner.task == own && !reentrancy::is_left(owner.frame);
            self.completions.waiters.for_each_pin(goes_on, |number, file| {
                if file.is_behind(number) {
                    fd::close_inherited(number);
                }
            });
            self.completions.resfds.force_unlock();
        }
        self.completions.resfds.for_each_pin(fd::close_inherited);
    }
}
