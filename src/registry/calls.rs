//! The calls on a context that is looked up.

use crate::aio_abi::AioRing;
use crate::context::{Caller, Reap, Submitted, Wait, deliver};
use crate::engine::is_empty;
use crate::memory::arena::Region;
use crate::process::fork_generation;
use crate::registry::moved::shows_ring;
use crate::registry::{BUSY, Reference, SETUP, find};
use crate::sync::Ordering;
use crate::sys::errno::{Errno, Result};
use crate::sys::mmap;

/// io_submit.
#[inline]
pub fn submit(address: usize, nr: usize, iocbs: usize) -> Result<usize> {
    let reference = find(address)?;
    let context = reference.context();
    if context.in_place.is_taken() {
        let submitted = context.in_place.submit(address, nr, iocbs);
        if !comes_back(&reference, address, submitted) {
            return submitted;
        }
    }
    let mut submitted = context.submit(nr, iocbs, false);
    if submitted == Submitted::NotInPlace {
        if go_in_place(&reference) {
            return context.in_place.submit(address, nr, iocbs);
        }
        context.in_place.put_off();
        submitted = context.submit(nr, iocbs, true);
    }
    match submitted {
        Submitted::Done(result) => result,
        Submitted::NotInPlace => Err(Errno::AGAIN),
    }
}

/// Runs `work` while no other call is inside a context; `None`: one is.
#[cold]
fn alone<R>(reference: &Reference, work: impl FnOnce(&Region) -> R) -> Option<R> {
    let slot = reference.slot;
    // A call that comes now waits for the lock.
    let _setup = SETUP.lock();
    // Acquire: pairs with the Release in `leave`: what other calls did is done.
    slot.references
        .compare_exchange(1, 1 | BUSY, Ordering::Acquire, Ordering::Relaxed)
        .is_ok()
        .then(|| {
            let done = work(&slot.region.lock());
            // Release: pairs with the Acquire in `enter`.
            slot.references.fetch_and(!BUSY, Ordering::Release);
            done
        })
}

/// Whether a context is the kernel's no more, after an error that says that its calls are
/// forbidden.
///
/// divergence: while other calls are inside, which sleep in the kernel, or a poll is pending there,
/// it stays, and its calls are refused as the filter says.
#[inline]
fn comes_back(reference: &Reference, address: usize, result: Result<usize>) -> bool {
    match result {
        Err(error) if reference.in_place.is_forbidden(address, error) => {
            reference.in_place.settle();
            alone(reference, |region| reference.come_back(address, region)).unwrap_or(false)
        }
        _ => false,
    }
}

/// Makes a context the kernel's, at its own address, unless other calls are inside.
#[cold]
fn go_in_place(reference: &Reference) -> bool {
    let slot = reference.slot;
    alone(reference, |region| {
        slot.address.load(Ordering::Relaxed) == region.user
            // The program may have put something else there.
            && shows_ring(slot, region.user)
            && reference.context().go_in_place(region, slot.requested.load(Ordering::Relaxed))
    })
    .unwrap_or(false)
}

/// io_cancel.
pub fn cancel(address: usize, iocb: usize) -> Result<()> {
    let reference = find(address)?;
    match reference.in_place.is_taken() {
        true => reference.in_place.cancel(address, iocb),
        false => reference.cancel(iocb),
    }
}

/// io_getevents and io_pgetevents, with the order of checks of the wrapper or of the system call.
pub fn reap(address: usize, reap: &Reap) -> Result<usize> {
    let reference = find(address);
    if let Ok(reference) = &reference
        && reference.in_place.is_taken()
    {
        let is_short_cut = reap.caller == Caller::Library && reap.timeout()?.1;
        if is_short_cut && is_empty(address) {
            return Ok(0);
        }
        let reaped = reference.reap_in_place(address, reap);
        if !comes_back(reference, address, reaped) {
            return reaped;
        }
    }
    let (timeout, is_plain_zero) = reap.timeout()?;
    if is_plain_zero && reap.caller == Caller::Library {
        // src/aio_ring.h of libaio: nothing else is looked at when the ring is empty.
        let is_empty = match &reference {
            Ok(reference) => reference.occupancy() == 0,
            Err(_) => is_inherited_and_empty(address),
        };
        if is_empty {
            return Ok(0);
        }
    }
    let mask = reap.mask()?;
    match (reference, mask) {
        (Ok(reference), mask) => reference.reap(reap, &Wait { timeout, mask }),
        (Err(error), Some(mask)) => deliver(mask, Err(error)),
        (Err(error), None) => Err(error),
    }
}

/// A forked child sees its parent's rings, and libaio's wrapper looks no further.
#[cold]
fn is_inherited_and_empty(address: usize) -> bool {
    let Ok(ring) = (match fork_generation::has_parent() {
        true => mmap::read_safely::<AioRing>(address),
        false => Err(Errno::INVAL),
    }) else {
        return false;
    };
    ring.header_length as usize == size_of::<AioRing>()
        && ring.compat_features == 1
        && ring.incompat_features == 0
        && ring.nr > 0
        && ring.head == ring.tail
}
