//! io_destroy.

use core::ptr;

use libc::timespec;

use crate::process::reentrancy;
use crate::registry::moved::view;
use crate::registry::{ABANDONED, DEAD, SETUP, Slot, find, leave, remove};
use crate::sync::Ordering;
use crate::sys::errno::{Errno, Result};
use crate::sys::{clock, futex};

/// How long io_destroy waits for calls before it looks whether they were left; it doubles that from
/// round to round.
const FIRST_WAIT: timespec = timespec { tv_sec: 0, tv_nsec: 5_000_000 };
const MAX_DOUBLINGS: u32 = 7;
/// After so many rounds it waits for no call in io_getevents.
const ROUNDS_BEFORE_GIVING_UP: u32 = 4;

/// What io_destroy has left.
#[derive(Debug)]
#[must_use]
pub struct Destroyed {
    /// There is no context: no thread or descriptor of ours shall be.
    pub is_last: bool,
}

/// io_destroy: EINVAL if there is no such context, also when another thread destroys it.
pub fn destroy(address: usize) -> Result<Destroyed> {
    let reference = find(address)?;
    let slot = reference.slot;
    // Acquire: we see what the set-up did. Only one thread finds the flag unset.
    if slot.references.fetch_or(DEAD, Ordering::Acquire) & DEAD != 0 {
        return Err(Errno::INVAL);
    }
    slot.context.shutdown();
    let was_kernels = slot.context.in_place.is_taken();
    if was_kernels {
        // Acquire: pairs with the Release in `leave`.
        let is_busy = slot.references.load(Ordering::Acquire) != DEAD | 1;
        let region = *slot.region.lock();
        slot.context.in_place.leave(slot.address.load(Ordering::Relaxed), &region, is_busy);
    }
    drop(reference);
    // Calls that a signal handler, which this is, has interrupted do not end before we do.
    let interrupted = reentrancy::noted(ptr::from_ref(slot).addr());
    let left_inside = wait_for_calls(slot, interrupted, was_kernels);
    slot.context.drain(left_inside > 0);
    let is_last = {
        let mut setup = SETUP.lock();
        let current = slot.address.swap(0, Ordering::Relaxed);
        remove(current, slot);
        slot.last_address.store(current, Ordering::Relaxed);
        setup.requested -= u64::from(slot.requested.load(Ordering::Relaxed));
        setup.live -= 1;
        setup.live == 0
    };
    if left_inside == 0 {
        give_back(slot);
    } else {
        // They go on in this memory, so nobody gets it yet.
        // AcqRel: pairs with the Release in `leave`, and with the Acquire in `reclaim`.
        let references = slot.references.fetch_or(ABANDONED, Ordering::AcqRel);
        if references == DEAD {
            reclaim(slot);
        }
    }
    Ok(Destroyed { is_last })
}

/// Waits until all calls but `interrupted`, of the calling thread, have left a dead context, or are
/// given up; how many may still be inside.
///
/// fs/aio.c, free_ioctx_users comes when all callers have left. Those in io_getevents have been
/// woken; those in a signal handler have left, for the kernel. If the context `was_kernels`, the
/// kernel has waited already: a call that does not come out is in a handler, or was left.
fn wait_for_calls(slot: &'static Slot, interrupted: u32, was_kernels: bool) -> u32 {
    let mut rounds = 0;
    loop {
        // Acquire: pairs with the Release in `leave`.
        let references = slot.references.load(Ordering::Acquire);
        // Counted afterwards: a call gives its node back, then its reference.
        let inside = interrupted + slot.context.given_up();
        if references <= DEAD + inside {
            return references - DEAD;
        }
        let span = FIRST_WAIT.tv_nsec << rounds;
        let deadline = clock::after(&timespec { tv_sec: 0, tv_nsec: span });
        if futex::wait_until(&slot.references, references, Some(&deadline)) == Err(Errno::TIMEDOUT)
        {
            if was_kernels && rounds >= ROUNDS_BEFORE_GIVING_UP {
                return references - DEAD;
            }
            let gone = slot.context.give_up(rounds >= ROUNDS_BEFORE_GIVING_UP);
            (0..gone).for_each(|_| leave(slot));
            rounds = (rounds + 1).min(MAX_DOUBLINGS);
        }
    }
}

/// The memory of a dead context that nobody is inside any more can be used again.
fn give_back(slot: &'static Slot) {
    slot.context.clear();
    let mut setup = SETUP.lock();
    let region = *slot.region.lock();
    let view = view(slot, &region, slot.last_address.load(Ordering::Relaxed));
    setup.arenas.release(&region, view);
    slot.next_free.store(setup.free, Ordering::Relaxed);
    setup.free = slot.index.load(Ordering::Relaxed) + 1;
}

/// The last call that io_destroy did not wait for is over.
#[cold]
pub(super) fn reclaim(slot: &'static Slot) {
    // Acquire: pairs with the Release of io_destroy. Late look-ups count for a moment, too: only
    // one of them finds the flag set.
    if slot.references.fetch_and(!ABANDONED, Ordering::Acquire) & ABANDONED != 0 {
        slot.context.close();
        give_back(slot);
    }
}
