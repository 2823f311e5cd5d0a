//! Rings that the program has moved or unmapped: where the context is, or was.

use core::ptr;

use crate::aio_abi::AioRing;
use crate::engine::is_kernels;
use crate::memory::arena::{Region, View};
use crate::memory::radix;
use crate::registry::{
    DEAD, Reference, SETUP, SLOTS, Slot, enter, epoch, is_busy, look_up, remove,
};
use crate::sync::Ordering;
use crate::sys::errno::{Errno, Result};
use crate::sys::mmap;

/// What is at the address that a context had last.
pub(super) fn view(slot: &Slot, region: &Region, current: usize) -> View {
    match () {
        () if !shows_ring(slot, current) => {
            let is_lost = slot.context.in_place.was_taken() && current == region.user;
            if is_lost { View::Lost } else { View::Gone }
        }
        () if current == region.user => View::AtHome,
        () => View::Moved(current),
    }
}

/// Whether `address` shows the ring of `slot`: what we change in our view changes there. The field
/// is one that no program looks at; a thread inside another call does not notice.
pub(super) fn shows_ring(slot: &Slot, address: usize) -> bool {
    let ring = &slot.context.completions.ring;
    let field = ring.shared_compat_features();
    let candidate = address + core::mem::offset_of!(AioRing, compat_features);
    let shows = |value| {
        field.store(value, Ordering::Relaxed);
        mmap::read_safely::<u32>(candidate) == Ok(value)
    };
    let before = field.load(Ordering::Relaxed);
    let is_it = shows(!before) && shows(before);
    field.store(before, Ordering::Relaxed);
    is_it
}

/// A ring that the program has moved (mremap) is found at its new address from now on.
///
/// fs/aio.c, aio_ring_mremap does that while moving. What is not readable, or is all zeros, is
/// refused without the lock; other strangers wait for it.
/// divergence: the old address answers until the new one is used.
#[cold]
pub(super) fn find(address: usize) -> Result<Reference> {
    if is_busy(address) {
        drop(SETUP.lock());
        if let Some(reference) = look_up(address) {
            return Ok(reference);
        }
    }
    let Some(epoch) = epoch().filter(|_| radix::is_possible(address) && address != 0) else {
        return Err(Errno::INVAL);
    };
    if epoch.slots.is_empty() {
        return Err(Errno::INVAL);
    }
    let header: AioRing = mmap::read_safely(address).map_err(|_| Errno::INVAL)?;
    if header.id == 0 && header.nr == 0 {
        return Err(Errno::INVAL);
    }
    let setup = SETUP.lock();
    let index = header.id.wrapping_sub(1);
    let slot = SLOTS
        .get(index)
        .filter(|slot| index < setup.high && is_alive(slot) && shows_ring(slot, address))
        .or_else(|| find_in_place(setup.high, address, header.id))
        .ok_or(Errno::INVAL)?;
    // SAFETY: slots are never unmapped.
    let slot: &'static Slot = unsafe { &*ptr::from_ref(slot) };
    let old = slot.address.load(Ordering::Relaxed);
    epoch.slots.set(address, ptr::from_ref(slot).cast_mut()).map_err(|_| Errno::INVAL)?;
    slot.address.store(address, Ordering::Relaxed);
    if old != address {
        remove(old, slot);
    }
    drop(setup);
    enter(slot, address).ok_or(Errno::INVAL)
}

fn is_alive(slot: &Slot) -> bool {
    // Acquire: pairs with the Release in `open`.
    slot.references.load(Ordering::Acquire) & DEAD == 0 && slot.address.load(Ordering::Relaxed) != 0
}

/// The same for a context that is the kernel's, which follows the program. Slots from `high` on
/// were never used.
fn find_in_place(high: u32, address: usize, id: u32) -> Option<&'static Slot> {
    (0..high)
        .filter_map(|index| SLOTS.get(index))
        .find(|slot| is_alive(slot) && slot.context.in_place.id() == Some(id))
        // Last: where no context is the kernel's, nothing may be asked of it.
        .filter(|_| is_kernels(address))
}
