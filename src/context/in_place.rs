//! Contexts that are the kernel's, at their own address: when they become that, and what their calls do.

use crate::context::{Context, MaskArgument, Reap};
use crate::engine::kernel::in_place;
use crate::harvester::{self, Source};
use crate::memory::arena::Region;
use crate::process::reentrancy;
use crate::sync::Ordering;
use crate::sys::errno::{Errno, Result};
use crate::sys::kaio::GetEvents;
use crate::sys::poll::SigSet;

impl Context {
    /// Whether the calls of this context are the kernel's.
    #[inline]
    pub fn is_in_place(&self) -> bool {
        self.in_place.is_taken()
    }

    /// Whether they have been.
    pub fn was_in_place(&self) -> bool {
        self.in_place.was_taken()
    }

    /// Whether it can become the kernel's now, and is better so: its program waits for events without a
    /// call, which without the kernel takes a thread.
    #[cold]
    pub(super) fn may_go_in_place(&'static self) -> bool {
        !reentrancy::is_nested()
            && !crate::config::wants_background()
            && self.is_idle()
            && self.in_place.is_possible()
    }

    /// Whether nothing is in flight and no event waits.
    fn is_idle(&self) -> bool {
        self.harvest().tell(&self.completions);
        self.completions.in_flight() == 0
            && !self.kernel.needs_watch()
            && self.uring.in_flight() == 0
            && self.completions.ring.occupancy() == 0
    }

    /// Becomes the kernel's. The caller has the context to itself. False: it stays as it is.
    pub fn go_in_place(&'static self, region: &Region, requested: u32) -> bool {
        let ring = &self.completions.ring;
        if !self.is_idle() || !self.in_place.enter(region, requested, ring.nr(), ring.position()) {
            return false;
        }
        harvester::release(Source::Poller(&self.poller));
        harvester::release(Source::Uring(&self.uring));
        harvester::release(Source::Kernel(&self.kernel));
        self.is_background.store(false, Ordering::Relaxed);
        true
    }

    /// It could not become that, and shall not try for a while.
    pub fn stay(&self) {
        self.in_place.put_off();
    }

    /// The end of a context that is the kernel's: see [`in_place::InPlace::leave`].
    pub fn leave_in_place(&self, address: usize, region: &Region, is_busy: bool) {
        self.in_place.leave(address, region, is_busy);
    }

    /// Whether an error of a call on it says that the calls are forbidden by now.
    pub fn is_forbidden(&self, address: usize, error: Errno) -> bool {
        self.in_place.is_forbidden(address, error)
    }

    /// Waits until nothing is in flight, for a while.
    pub fn settle_in_place(&self) {
        self.in_place.settle();
    }

    /// Is the kernel's no more: see [`in_place::InPlace::give_back`].
    pub fn come_back(&self, address: usize, region: &Region) -> bool {
        self.in_place.give_back(address, region, &self.completions.ring)
    }

    /// What the kernel calls it.
    pub fn kernels_id(&self) -> Option<u32> {
        self.in_place.id()
    }

    /// io_submit.
    #[inline]
    pub fn submit_in_place(&self, address: usize, nr: usize, iocbs: usize) -> Result<usize> {
        self.in_place.submit(address, nr, iocbs)
    }

    /// io_cancel.
    pub fn cancel_in_place(&self, address: usize, iocb: usize) -> Result<()> {
        self.in_place.cancel(address, iocb)
    }

    /// io_getevents and io_pgetevents.
    pub fn reap_in_place(&self, address: usize, reap: &Reap) -> Result<usize> {
        // What libaio makes of the mask.
        let argument;
        let mask = match reap.mask {
            MaskArgument::Absent => None,
            MaskArgument::Sized(address) => Some(address),
            MaskArgument::Set(set) => {
                argument = [set, size_of::<SigSet>()];
                Some((&raw const argument).addr())
            }
        };
        let Reap { min_nr, nr, events, timeout, .. } = *reap;
        self.in_place.getevents(&GetEvents { context: address, min_nr, nr, events, timeout, mask })
    }
}

/// Whether the kernel has a context at an address.
pub fn is_kernels(address: usize) -> bool {
    in_place::is_one(address)
}

/// Whether the ring at an address is empty.
pub fn is_empty(address: usize) -> bool {
    in_place::is_empty(address)
}
