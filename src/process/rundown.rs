//! Rundown protection: the harvester looks at a source of completions only while that is open, and
//! who closes it waits until the harvester has left.
//!
//! The harvester knows a source by its address, and may come late: the memory of a source is never
//! unmapped, and where the source is closed the harvester does nothing.

use bytemuck::Zeroable;

use crate::sync::{AtomicU32, Ordering};
use crate::sys::futex;

/// Nobody may enter.
const CLOSED: u32 = 1 << 31;

/// See the module. All-zero memory is open.
#[derive(Debug, Default)]
pub struct Rundown {
    /// How many threads are inside, and [`CLOSED`].
    state: AtomicU32,
}

// SAFETY: an integer.
unsafe impl Zeroable for Rundown {}

impl Rundown {
    /// Threads may enter from now on.
    pub fn open(&self) {
        // AcqRel: pairs with the Acquire in `enter`: a late thread that finds it open sees what was
        // made before. Acquire pairs with the Release there.
        self.state.fetch_and(!CLOSED, Ordering::AcqRel);
    }

    /// Does `work` inside, unless it is closed.
    pub fn enter(&self, work: impl FnOnce()) {
        // Acquire: pairs with the Release in `open`.
        if self.state.fetch_add(1, Ordering::Acquire) & CLOSED == 0 {
            work();
        }
        // Release: pairs with the Acquire in `close_and_wait`, which sees what `work` has done.
        if self.state.fetch_sub(1, Ordering::Release) == CLOSED + 1 {
            futex::wake(&self.state, u32::MAX);
        }
    }

    /// Lets nobody in any more, and waits until nobody is inside.
    pub fn close_and_wait(&self) {
        // AcqRel: pairs with both sides of `enter`: Acquire with its Release, Release with its
        // Acquire.
        let mut state = self.state.fetch_or(CLOSED, Ordering::AcqRel) | CLOSED;
        while state != CLOSED {
            futex::wait(&self.state, state);
            // Acquire: pairs with the Release in `enter`.
            state = self.state.load(Ordering::Acquire);
        }
    }
}
