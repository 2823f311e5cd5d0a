//! Engines: how reads, writes and syncs are done.
//!
//! *The contract.* [`inline::transfer`] and [`inline::sync`] run in the calling thread and return
//! the outcome. [`kernel`] takes the program's iocbs as they are and brings their events: for direct I/O
//! and syncs it comes first. The others take a request that has two references, and put one of them
//! when the outcome is decided, in any thread: they claim the request, store the result and put their
//! reference. [`uring`] submits in the calling thread and decides when a completion is taken; the
//! kernel holds the file. [`pool`] has threads and takes requests that are pinned; it serves where neither
//! of the others does. `cancel` may decide in place of the pool until it has started.
//!
//! What the kernel does inside io_submit is done in the caller, in the same order, with the same
//! signals and rights; what it does asynchronously goes to an asynchronous engine ([`choose`]).

use crate::completion::Completions;

pub mod choose;
mod idle;
pub mod inline;
pub mod kernel;
pub mod pool;
pub mod stream;
pub mod uring;
pub mod work;

/// How one operation is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// By the caller, before io_submit returns.
    Caller,
    /// By an asynchronous engine.
    Asynchronous,
}

/// What a harvest of completions found. Who waits has to be told of it ([`Harvest::tell`]), once the
/// caller has taken its events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Harvest {
    /// Completions were taken.
    pub has_moved: bool,
    /// Some of them were meant to wake somebody.
    pub has_kicks: bool,
    /// The watch has fired that a sleeper in the kernel's AIO relies on.
    pub has_watch: bool,
}

impl Harvest {
    /// Both together.
    pub fn and(self, other: Harvest) -> Harvest {
        Harvest {
            has_moved: self.has_moved || other.has_moved,
            has_kicks: self.has_kicks || other.has_kicks,
            has_watch: self.has_watch || other.has_watch,
        }
    }

    /// Wakes whom the events that are left satisfy.
    #[inline]
    pub fn tell(self, completions: &Completions) {
        if self.has_moved {
            completions.waiters.moved(self.has_kicks, || completions.ring.occupancy());
            if self.has_watch {
                completions.waiters.wake_kernel();
            }
        }
    }
}
