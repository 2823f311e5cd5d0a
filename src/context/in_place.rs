//! Contexts that are the kernel's, at their own address: when they become that, and what their
//! calls do.

use crate::context::{Context, MaskArgument, Reap};
use crate::memory::arena::Region;
use crate::process::reentrancy;
use crate::sync::Ordering;
use crate::sys::errno::Result;
use crate::sys::kaio::GetEvents;
use crate::sys::poll::SigSet;

impl Context {
    /// Whether it can become the kernel's now, and is better so: its program waits for events
    /// without a call, which without the kernel takes a thread.
    #[cold]
    pub(super) fn may_go_in_place(&'static self) -> bool {
        !reentrancy::is_nested()
            && !crate::config::wants_background()
            && self.is_idle()
            && self.in_place.is_possible()
    }

    /// Whether nothing is in flight and no event waits.
    fn is_idle(&self) -> bool {
        self.harvest(usize::MAX).wake_waiters(&self.completions);
        self.completions.in_flight() == 0
            && self.engines.is_idle()
            && self.completions.ring.occupancy() == 0
    }

    /// Becomes the kernel's. The caller has the context to itself. False: it stays as it is.
    pub fn go_in_place(&'static self, region: &Region, requested: u32) -> bool {
        let ring = &self.completions.ring;
        if !self.is_idle() || !self.in_place.enter(region, requested, ring.nr(), ring.position()) {
            return false;
        }
        self.release();
        self.is_background.store(false, Ordering::Relaxed);
        true
    }

    /// Is the kernel's no more: see [`crate::engine::InPlace::give_back`].
    pub fn come_back(&self, address: usize, region: &Region) -> bool {
        self.in_place.give_back(address, region, &self.completions.ring)
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
