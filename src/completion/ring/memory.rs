//! The memory of a ring, shared with the program.
//!
//! The program may write anything there at any time: nothing is believed that is read here, and
//! every access is one load or one store.

use bytemuck::Zeroable;

use crate::aio_abi::{AioRing, Event};
use crate::sync::{AtomicU32, AtomicUsize, Ordering};

/// Our view of a ring: its header, and the events behind it. All-zero memory is no ring.
#[derive(Debug, Default, Zeroable)]
pub struct Memory {
    /// Address of our view.
    base: AtomicUsize,
}

impl Memory {
    /// Writes the header of an empty ring at `base`, which the caller has to itself: at least a
    /// page, mapped until the context is destroyed.
    pub fn lay_out(&self, base: usize, header: AioRing) {
        self.base.store(base, Ordering::Relaxed);
        // SAFETY: the caller's own memory, of at least a page.
        unsafe { self.header().write(header) };
    }

    fn header(&self) -> *mut AioRing {
        core::ptr::with_exposed_provenance_mut(self.base.load(Ordering::Relaxed))
    }

    /// The field of the header at `offset`.
    #[inline]
    pub fn field(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: the ring is open, says every caller's `&Context`; our view stays mapped until the
        // context is destroyed; callers pass offsets of aligned fields of the header.
        unsafe { AtomicU32::from_ptr(self.header().byte_add(offset).cast()) }
    }

    /// The position of the next event to be taken, as the program sees and moves it.
    #[inline]
    pub fn head(&self) -> &AtomicU32 {
        self.field(core::mem::offset_of!(AioRing, head))
    }

    /// The position of the next event to be posted, as the program sees it.
    #[inline]
    pub fn tail(&self) -> &AtomicU32 {
        self.field(core::mem::offset_of!(AioRing, tail))
    }

    fn slot(&self, index: u32) -> *mut Event {
        // SAFETY: callers pass `index < nr`, and the region has room for the header and nr events.
        unsafe { self.header().add(1).cast::<Event>().add(index as usize) }
    }

    /// Puts an event into a slot.
    ///
    /// # Safety
    /// `index` is less than the ring's `nr`, and nobody of ours uses the slot at the same time.
    #[inline]
    pub unsafe fn write(&self, index: u32, event: Event) {
        // SAFETY: the slot exists, as the caller promises. Volatile: the program may look at it.
        unsafe { self.slot(index).write_volatile(event) };
    }

    /// Copies an event out of a slot.
    ///
    /// # Safety
    /// `index` is less than the ring's `nr`, and nobody of ours writes the slot at the same time.
    #[inline]
    pub unsafe fn read(&self, index: u32) -> Event {
        // SAFETY: the slot exists, as the caller promises, and any bits are an `Event`. Volatile:
        // the program may write there.
        unsafe { self.slot(index).read_volatile() }
    }
}
