//! A context: what a program's `io_context_t` stands for.
//!
//! Contexts are made in memory that is never unmapped, and used again after io_destroy, so that a
//! thread that comes late finds an old context closed, not gone; see the registry.
//!
//! *Locks (order)*: there is none between contexts. Inside one: the slab's lock (the context lock)
//! and the poller's and queue's locks are taken one at a time; requests are completed, which takes
//! the ring's locks and the waiters', with none of them held.

#![deny(clippy::indexing_slicing)]

mod believed;
mod cancel;
mod destroy;
mod getevents;
mod help;
mod in_place;
mod left;
mod polls;
mod submit;
mod wait;

use bytemuck::Zeroable;

use crate::completion::Completions;
use crate::config;
use crate::engine::{Engines, Harvest, InPlace};
use crate::files::beliefs::Beliefs;
use crate::harvester::{self, Source};
use crate::poller::Poller;
use crate::process::reentrancy::{self, Owner};
use crate::sync::{AtomicBool, AtomicU32, Ordering};
use crate::sys::{fd, thread};

pub use getevents::{Caller, MaskArgument, Reap, Wait, deliver};
pub use submit::Submitted;

/// See the module. All-zero memory is a closed context that was never opened.
#[derive(Debug, Zeroable)]
pub struct Context {
    /// Where requests complete.
    pub completions: Completions,
    poller: Poller,
    engines: Engines,
    /// Its calls are the kernel's, or not.
    pub in_place: InPlace,
    /// Completions come to the ring without a call from now on.
    is_background: AtomicBool,
    beliefs: Beliefs,
    /// Its program makes system calls by itself.
    is_raw: AtomicBool,
    /// The last array of io_submit lay in one page with its first iocb.
    has_iocbs_beside_array: AtomicBool,
    /// The thread that has called io_getevents last; 0: none.
    reaper: AtomicU32,
    /// There have been several.
    is_shared: AtomicBool,
    /// io_destroy has begun.
    is_dead: AtomicBool,
}

impl Context {
    /// Ready for requests; the ring is open. `maker`: by which function io_setup was called.
    pub fn open(&'static self, maker: Caller) {
        self.in_place.open();
        self.beliefs.clear();
        self.is_raw.store(maker == Caller::Raw, Ordering::Relaxed);
        self.poller.open(&self.completions);
        self.engines.open(&self.completions);
        let is_background = config::wants_background();
        self.is_background.store(is_background, Ordering::Relaxed);
        if is_background {
            self.completions.ring.announce();
        }
        self.reaper.store(0, Ordering::Relaxed);
        self.is_shared.store(false, Ordering::Relaxed);
        self.is_dead.store(false, Ordering::Relaxed);
    }

    /// The calling thread wants events.
    #[inline]
    fn note_reaper(&self) {
        let task = reentrancy::owner().task;
        if self.reaper.load(Ordering::Relaxed) != task
            && self.reaper.swap(task, Ordering::Relaxed) != 0
            && !self.is_shared.swap(true, Ordering::Relaxed)
        {
            // It has a fence between the flag and the look at the sleepers; theirs is in `join`.
            self.completions.waiters.wake_kernel_waiters();
        }
    }

    /// Whether several threads take events.
    fn is_shared(&self) -> bool {
        self.is_shared.load(Ordering::Relaxed)
    }

    /// Events that wait to be taken, after a look at what has completed.
    pub fn occupancy(&self) -> u32 {
        self.note_reaper();
        if self.completions.ring.occupancy() == 0 {
            self.harvest(usize::MAX).wake_waiters(&self.completions);
        }
        self.completions.ring.occupancy()
    }

    /// Completes what is ready, for a caller with room for `most` events. [`Harvest::wake_waiters`]
    /// is due.
    #[inline]
    fn harvest(&self, most: usize) -> Harvest {
        if self.poller.needs_harvest() {
            self.poller.harvest();
        }
        self.engines.harvest(most)
    }

    /// Whether the harvester completes everything.
    #[inline]
    fn is_background(&self) -> bool {
        self.is_background.load(Ordering::Relaxed)
    }

    /// Lets the harvester complete what comes from a source, and from now on everything. False: it
    /// cannot.
    fn serve(&'static self, source: Source) -> bool {
        if let Source::Engine(engine) = source
            && let Some(background) = engine.background()
        {
            background.note_cpu(thread::current_cpu());
        }
        if !harvester::serve(source) {
            // They may have seen that it would be.
            self.completions.waiters.wake_non_ring_waiters();
            return false;
        }
        if !self.is_background.swap(true, Ordering::Relaxed) {
            // What is in flight already. Where that fails, callers go on looking.
            if self.poller.epoll().is_some() {
                harvester::serve(Source::Poller(&self.poller));
            }
            for engine in self.engines.all().into_iter().filter(|engine| engine.is_in_use()) {
                harvester::serve(Source::Engine(engine));
            }
            self.completions.ring.announce();
        }
        true
    }

    /// The harvester leaves the context alone.
    fn release(&'static self) {
        harvester::release(Source::Poller(&self.poller));
        for engine in self.engines.all() {
            harvester::release(Source::Engine(engine));
        }
    }

    /// Waits for what the kernel does not finish by itself: the program ends.
    pub fn finish(&self) {
        self.engines.drain_at_exit();
    }

    /// Closes the descriptors that a forked child inherited, but those of its own calls, which go
    /// on when the handler returns that has called fork: `own` is the thread.
    ///
    /// # Safety
    /// The caller is that child's only thread.
    pub unsafe fn close_after_fork(&self, own: u32) {
        self.poller.close_after_fork();
        self.engines.forget();
        self.in_place.forget();
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
