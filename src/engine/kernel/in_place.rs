//! Contexts that are the kernel's, at their own address.
//!
//! A program that has eventfds signalled, or looks into the ring by itself, wants events there that
//! nobody has asked for. The kernel can do that, and without a thread: an instance whose ring has
//! the size of the context's is moved to where the program sees its ring (mremap, which fs/aio.c,
//! aio_ring_mremap follows). `io_context_t` keeps its value. From then on the calls of such a
//! context are the kernel's, with all that they do; only io_setup and io_destroy are not: the
//! instance goes back to the cache, if nothing is in flight.
//!
//! *In flight* is what was accepted and has not come into the ring. The tail of the ring counts
//! modulo its size, which is more than can be in flight; it is looked at in each submission.
//!
//! *Who may touch what*: to enter and to leave, the caller has the context to itself.

use core::ptr;

use bytemuck::Zeroable;
use libc::timespec;

use crate::aio_abi::AioRing;
use crate::completion::ring::Ring;
use crate::kaio::{Instance, cache};
use crate::lock::Lock;
use crate::memory::arena::{PAGE, Region};
use crate::process::{fork_generation, reentrancy};
use crate::sync::{AtomicBool, AtomicPtr, AtomicU32, Ordering};
use crate::sys::errno::{Errno, Result};
use crate::sys::kaio::GetEvents;
use crate::sys::{kaio, mmap, poll};
use crate::uring;

/// Attempts to do without, after one has failed.
const RETRY_AFTER: u32 = 64;

/// What a context knows of its instance. All-zero memory is a context that is not in place.
#[derive(Debug, Zeroable)]
pub struct InPlace {
    /// Looked into under the lock of the accounts.
    instance: AtomicPtr<Instance>,
    /// What the kernel calls it.
    id: AtomicU32,
    accounts: Lock<Accounts>,
    pause: AtomicU32,
    /// It has been since the context began.
    was_taken: AtomicBool,
    /// A call may have been left: the accounts may be wrong.
    is_in_doubt: AtomicBool,
}

#[derive(Debug, Zeroable)]
struct Accounts {
    /// Accepted, and not in the ring as far as the tail was seen.
    in_flight: u32,
    tail: u32,
}

impl InPlace {
    /// A context begins: not in place.
    pub fn open(&self) {
        self.pause.store(0, Ordering::Relaxed);
        self.is_in_doubt.store(false, Ordering::Relaxed);
        self.was_taken.store(false, Ordering::Relaxed);
    }

    /// Whether it has been the kernel's since it began.
    pub fn was_taken(&self) -> bool {
        self.was_taken.load(Ordering::Relaxed)
    }

    /// Whether the context is the kernel's.
    #[inline]
    pub fn is_taken(&self) -> bool {
        // Acquire: pairs with the Release in `enter`.
        !self.instance.load(Ordering::Acquire).is_null()
    }

    /// Whether it may become the kernel's.
    pub fn is_possible(&self) -> bool {
        let pause = self.pause.load(Ordering::Relaxed);
        if pause > 0 {
            self.pause.store(pause - 1, Ordering::Relaxed);
        }
        pause == 0 && cache::may_work()
    }

    /// It was not possible: not to be tried at each of the next submissions.
    pub fn put_off(&self) {
        self.pause.store(RETRY_AFTER, Ordering::Relaxed);
    }

    /// Puts an instance where the program sees its ring, which is empty, made for `requested`
    /// events, with `nr` slots, the next of which is at `position`: it looks the same. False: it
    /// stays as it is.
    pub fn enter(&self, region: &Region, requested: u32, nr: u32, position: u32) -> bool {
        if region.has_one_view() {
            // There would be no way back.
            return false;
        }
        let Ok(mut instance) = cache::acquire_exact(requested, nr) else { return false };
        if !instance.turn(position) {
            cache::release(instance);
            return false;
        }
        let len = region.pages * PAGE;
        self.was_taken.store(true, Ordering::Relaxed);
        // SAFETY: the program's view of a ring that is empty, and nobody else is inside the
        // context.
        if unsafe { instance.move_to(region.user, len) }.is_err() {
            let _ = mmap::show_again(region.library, len, region.user);
            cache::release(instance);
            return false;
        }
        *self.accounts.lock() = Accounts { in_flight: 0, tail: instance.posted() };
        self.id.store(instance.id(), Ordering::Relaxed);
        // Release: pairs with the Acquire in `is_taken`.
        self.instance.store(Box::into_raw(instance), Ordering::Release);
        true
    }

    /// io_submit of the context at `address`.
    #[inline]
    pub fn submit(&self, address: usize, nr: usize, iocbs: usize) -> Result<usize> {
        let submitted = reentrancy::lifted(|| kaio::submit(address, nr, iocbs));
        if let Ok(count) = submitted
            // In a child of a handler that has forked a thread of the parent's may have the lock.
            && !fork_generation::is_forked()
        {
            self.count(count as u32);
        }
        submitted
    }

    fn count(&self, accepted: u32) {
        let mut accounts = self.accounts.lock();
        // SAFETY: it lives until `leave`, which takes it out under the lock.
        let Some(instance) = (unsafe { self.instance.load(Ordering::Relaxed).as_ref() }) else {
            return;
        };
        let posted = accounts.look(instance);
        accounts.in_flight = accounts.in_flight.wrapping_add(accepted).wrapping_sub(posted);
    }

    /// io_cancel.
    pub fn cancel(&self, address: usize, iocb: usize) -> Result<()> {
        kaio::cancel(address, iocb)
    }

    /// io_getevents or io_pgetevents.
    #[inline]
    pub fn getevents(&self, arguments: &GetEvents) -> Result<usize> {
        // What io_uring leaves behind in the thread would end io_getevents; the other one is
        // restarted.
        let mask = arguments.mask.or_else(|| uring::was_used().then_some(0));
        reentrancy::lifted(|| kaio::getevents(&GetEvents { mask, ..*arguments }))
    }

    /// What the kernel calls the instance.
    pub fn id(&self) -> Option<u32> {
        self.is_taken().then(|| self.id.load(Ordering::Relaxed))
    }

    /// A call may have been left in the middle of a submission.
    pub fn doubt(&self) {
        self.is_in_doubt.store(true, Ordering::Relaxed);
    }

    /// io_destroy of the context at `address`: the instance goes to the cache, and the program's
    /// view is what it was. If something is in flight or in doubt, or `is_busy`, because other
    /// calls are inside, the kernel destroys it, which ends them.
    pub fn leave(&self, address: usize, region: &Region, is_busy: bool) {
        let mut accounts = self.accounts.lock();
        let instance = self.instance.swap(ptr::null_mut(), Ordering::Relaxed);
        if instance.is_null() {
            return;
        }
        // SAFETY: `enter` took it out of a box.
        let mut instance = unsafe { Box::from_raw(instance) };
        // The kernel finds it, so it is there to look at.
        let is_there = is_kernels(address);
        instance.moved_to(address);
        let is_quiet = !is_busy
            && is_there
            && !self.is_in_doubt.load(Ordering::Relaxed)
            && accounts.look(&instance) == accounts.in_flight;
        drop(accounts);
        let len = region.pages * PAGE;
        // The place is taken again at once, before another thread maps something there.
        let is_away = is_there && instance.move_away(len).is_ok();
        if is_away && address == region.user {
            let _ = mmap::show_again(region.library, len, region.user);
        }
        match is_quiet && is_away {
            true => {
                instance.clear();
                cache::release(instance);
            }
            false => drop(instance),
        }
    }

    /// Whether an error of a call on the context at `address` comes from a filter of system calls.
    #[cold]
    pub fn is_forbidden(&self, address: usize, error: Errno) -> bool {
        if !matches!(error, Errno::PERM | Errno::NOSYS | Errno::ACCES) {
            return false;
        }
        let nothing =
            GetEvents { context: address, min_nr: 0, nr: 0, events: 0, timeout: 0, mask: None };
        kaio::submit(address, 0, 0) == Err(error) || kaio::getevents(&nothing) == Err(error)
    }

    /// Waits for what is in flight, but not for long: a poll may never come.
    #[cold]
    pub fn settle(&self) {
        const LOOK_INTERVAL: timespec = timespec { tv_sec: 0, tv_nsec: 1_000_000 };
        const MAX_LOOKS: u32 = 1_000;
        for _ in 0..MAX_LOOKS {
            self.count(0);
            if self.accounts.lock().in_flight == 0 {
                return;
            }
            let _ = poll::wait(&mut [], Some(&LOOK_INTERVAL), None);
        }
    }

    /// Gives the context at `address` back to `ring`, with the events that wait, because its calls
    /// are forbidden now. The caller has the context to itself. False: something is in flight or in
    /// doubt, or the program's view is lost.
    #[cold]
    pub fn give_back(&self, address: usize, region: &Region, ring: &Ring) -> bool {
        self.count(0);
        let accounts = self.accounts.lock();
        let instance = self.instance.load(Ordering::Relaxed);
        let is_known = accounts.in_flight == 0 && !self.is_in_doubt.load(Ordering::Relaxed);
        if instance.is_null() || !is_known || address != region.user {
            return false;
        }
        // SAFETY: `enter` took it out of a box; it goes back there if the ring does not move.
        let mut instance = unsafe { Box::from_raw(instance) };
        ring.adopt(instance.taken(), instance.posted(), |write| instance.for_each(write));
        let len = region.pages * PAGE;
        if instance.move_away(len).is_err() {
            let _ = Box::into_raw(instance);
            return false;
        }
        // The place is taken again at once, before another thread maps something there.
        let is_shown = mmap::show_again(region.library, len, region.user).is_ok();
        cache::refuse();
        self.instance.store(ptr::null_mut(), Ordering::Relaxed);
        // Not here: that takes 30 ms, and the caller may hold locks.
        cache::discard(*instance);
        is_shown
    }

    /// Forgets what belongs to the parent of a forked child.
    pub fn forget(&self) {
        self.instance.store(ptr::null_mut(), Ordering::Relaxed);
    }
}

impl Accounts {
    /// How many events have come since the last look.
    fn look(&mut self, instance: &Instance) -> u32 {
        let tail = instance.posted();
        let before = core::mem::replace(&mut self.tail, tail);
        (tail + instance.nr() - before) % instance.nr()
    }
}

/// Whether the kernel has a context at an address.
pub fn is_kernels(address: usize) -> bool {
    kaio::submit(address, 0, 0) == Ok(0)
}

/// Whether the ring at an address is empty, as far as it can be read.
pub fn is_empty(address: usize) -> bool {
    mmap::read_safely::<AioRing>(address).is_ok_and(|ring| ring.head == ring.tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_with_one_view_stays() {
        let Ok(instance) = cache::acquire(0) else { return };
        let nr = instance.nr();
        cache::release(instance);
        let in_place = InPlace::zeroed();
        let only = mmap::shared(PAGE).unwrap();
        let region = Region { user: only, library: only, pages: 1 };
        assert!(!in_place.enter(&region, 1, nr, 0));
        assert!(!in_place.is_taken() && !in_place.was_taken());
        // SAFETY: mapped above.
        unsafe { mmap::unmap(only, PAGE) }.unwrap();
    }
}
