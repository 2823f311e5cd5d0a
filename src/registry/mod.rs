//! From `io_context_t` to a context: set-up, look-up, destruction.
//!
//! A context is named by the address of its ring, in the program's view. Look-up walks a radix tree
//! over the page number, takes a reference, and checks the address again; nothing is locked and the
//! address is not followed. Nodes and contexts are never unmapped, so a thread that comes late
//! finds a dead context, or another one with another address, and leaves with EINVAL, as it does
//! with any stranger.
//!
//! The root lies in a page that a forked child finds empty: the child has no contexts.
//!
//! *Locks*: `SETUP` serialises set-up, destruction and moved rings. Look-up of a context takes
//! none; of an address that is none, it takes `SETUP` for a moment if readable memory begins there
//! with a number other than 0: it might be a ring that the program has moved.
//!
//! *Orderings*: a slot is filled before the Release store of its leaf; references are taken with
//! Acquire and dropped with Release, io_destroy waits for them with Acquire.

mod calls;
mod destroy;
mod moved;

pub use calls::{cancel, reap, submit};
pub use destroy::{Destroyed, destroy};

pub use crate::context::Caller;

use core::ptr;

use bytemuck::Zeroable;

use crate::completion::ring::Geometry;
use crate::config;
use crate::context::Context;
use crate::kaio;
use crate::lock::Lock;
use crate::memory::arena::{Arenas, PAGE, Region, View};
use crate::memory::chunked::Chunked;
use crate::memory::radix::Radix;
use crate::memory::{known, user};
use crate::process::fork_generation;
use crate::process::reentrancy::{self, Left};
use crate::sync::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use crate::sys::errno::{Errno, Result};
use crate::sys::mmap::Protection;
use crate::sys::{futex, host, mmap};

/// io_destroy has begun, or the slot is free. (A slot that was never used has no address.)
const DEAD: u32 = 1 << 31;
/// The context is about to become the kernel's: calls that come wait for that, under `SETUP`.
const BUSY: u32 = 1 << 29;
/// io_destroy has ended, and left the memory to calls that are inside: the last one gives it back.
const ABANDONED: u32 = 1 << 30;

/// A place for a context.
#[derive(Debug, Zeroable)]
struct Slot {
    /// Where the program sees the ring.
    address: AtomicUsize,
    /// Calls in progress, [`DEAD`] and [`ABANDONED`].
    references: AtomicU32,
    /// Set-up only: index of this slot, and of the next free one + 1.
    index: AtomicU32,
    next_free: AtomicU32,
    /// Set-up only: memory of the ring, and the requested number of events.
    region: Lock<Region>,
    requested: AtomicU32,
    /// Where the program saw the ring when io_destroy came.
    last_address: AtomicUsize,
    context: Context,
}

impl Slot {
    /// What the header of its ring says; never 0.
    fn id(&self) -> u32 {
        self.index.load(Ordering::Relaxed) + 1
    }
}

/// A page that a forked child finds empty.
#[derive(Debug)]
struct Epoch {
    slots: Radix<Slot>,
}

static EPOCH: AtomicPtr<Epoch> = AtomicPtr::new(ptr::null_mut());
static SLOTS: Chunked<Slot> = Chunked::new();

#[derive(Debug)]
struct Setup {
    arenas: Arenas,
    /// Index + 1 of the first free slot.
    free: u32,
    /// Slots below this index exist.
    high: u32,
    /// Contexts that live.
    live: u32,
    /// Sum of what they were asked for.
    requested: u64,
}

impl Setup {
    const NOTHING: Setup = Setup { arenas: Arenas::new(), free: 0, high: 0, live: 0, requested: 0 };
}

static SETUP: Lock<Setup> = Lock::new(Setup::NOTHING);

/// A reference to a living context: io_destroy waits until it is dropped.
#[derive(Debug)]
pub struct Reference {
    slot: &'static Slot,
}

impl core::ops::Deref for Reference {
    type Target = Context;
    #[inline]
    fn deref(&self) -> &Context {
        &self.slot.context
    }
}

impl Reference {
    /// The context, for as long as the process lives; use it only while the reference is held.
    #[inline]
    pub fn context(&self) -> &'static Context {
        &self.slot.context
    }
}

impl Drop for Reference {
    #[inline]
    fn drop(&mut self) {
        reentrancy::note(0);
        leave(self.slot);
    }
}

#[inline]
fn leave(slot: &'static Slot) {
    // Release: what this call did is done for io_destroy, which waits with Acquire.
    let references = slot.references.fetch_sub(1, Ordering::Release);
    if references & DEAD != 0 {
        futex::wake(&slot.references, u32::MAX);
        if references == DEAD | ABANDONED | 1 {
            destroy::reclaim(slot);
        }
    }
}

/// Whether a living context at `address` only has to be waited for.
fn is_busy(address: usize) -> bool {
    // SAFETY: as in `look_up`.
    let slot = epoch().and_then(|epoch| unsafe { epoch.slots.get(address).as_ref() });
    slot.is_some_and(|slot| slot.references.load(Ordering::Relaxed) & DEAD == 0)
}

/// Undoes a call of the calling thread that was left.
pub fn undo(left: Left) {
    // SAFETY: `enter` noted the address of a slot, which is never unmapped.
    let slot: &'static Slot = unsafe { &*ptr::with_exposed_provenance(left.note) };
    slot.context.undo(left.owner);
    leave(slot);
}

/// The context at `address`: EINVAL for anything else, fs/aio.c, lookup_ioctx.
///
/// divergence: the kernel reads the id through the program's view and does not find a context whose
/// ring the program has unmapped; here it goes on until io_destroy.
#[inline]
pub fn find(address: usize) -> Result<Reference> {
    match look_up(address) {
        Some(reference) => Ok(reference),
        None => moved::find(address),
    }
}

#[inline]
fn look_up(address: usize) -> Option<Reference> {
    let slot = epoch()?.slots.get(address);
    // SAFETY: what is stored in the tree are slots, which are never unmapped.
    enter(unsafe { slot.as_ref() }?, address)
}

/// The page with the tree; none before the first io_setup.
#[inline]
fn epoch() -> Option<&'static Epoch> {
    // Acquire: pairs with the Release in `first_use`.
    let epoch = EPOCH.load(Ordering::Acquire);
    // SAFETY: null, or a page that stays mapped for ever.
    unsafe { epoch.as_ref() }
}

/// Takes a reference, if the slot is that of a living context at `address`.
#[inline]
fn enter(slot: &'static Slot, address: usize) -> Option<Reference> {
    // Acquire: pairs with the Release that brings a slot to life in `setup`.
    let references = slot.references.fetch_add(1, Ordering::Acquire);
    let is_it = references & (DEAD | BUSY) == 0
        && slot.address.load(Ordering::Relaxed) == address
        // fs/aio.c, lookup_ioctx goes by the id in the ring: a program that changes it loses the
        // context until it is restored.
        && slot.id() == slot.context.completions.ring.shared_id().load(Ordering::Relaxed);
    if !is_it {
        leave(slot);
        return None;
    }
    reentrancy::note(ptr::from_ref(slot).expose_provenance());
    Some(Reference { slot })
}

/// Removes `address` if it still leads to `slot`.
fn remove(address: usize, slot: &'static Slot) {
    if let Some(epoch) = epoch()
        && ptr::eq(epoch.slots.get(address), slot)
    {
        // It was set before, so there is nothing that could fail.
        let _ = epoch.slots.set(address, ptr::null_mut());
    }
}

/// What has to be done before the first context; the caller of [`setup`] knows how.
#[derive(Debug)]
pub struct FirstUse {
    /// Sees to it that forks are noticed.
    pub handle_forks: fn(),
    /// In a forked child whose fork was not noticed: gives up what belongs to the parent, but for
    /// its contexts. No other thread uses the library then.
    pub forget_parent: unsafe fn(),
}

/// Makes the tree's root, at the first io_setup of the process; in a forked child, once more.
fn begin(setup: &mut Setup, first_use: &FirstUse) -> Result<&'static Epoch> {
    let epoch = match epoch() {
        Some(epoch) => epoch,
        None => {
            let page = mmap::anonymous(PAGE, Protection::ReadWrite)?;
            // Where the kernel does not know it (before 4.14) `forget_parent` does the work.
            let _ = mmap::wipe_on_fork(page, PAGE);
            (first_use.handle_forks)();
            let page = ptr::with_exposed_provenance_mut::<Epoch>(page);
            // Release: pairs with the Acquire in `epoch`.
            EPOCH.store(page, Ordering::Release);
            // SAFETY: a fresh page, zeroed, which is an `Epoch` without a root; it stays mapped.
            unsafe { &*page }
        }
    };
    if epoch.slots.is_empty() && setup.high > 0 {
        // divergence: a child of a bare clone system call, in which no handler ran. If another
        // thread of the parent was in io_setup or io_destroy, the lock is held for ever.
        // SAFETY: it is the child's only thread that was ever here.
        unsafe {
            forget_contexts(setup, reentrancy::owner().task);
            (first_use.forget_parent)();
        }
    }
    fork_generation::begin()?;
    epoch.slots.plant()?;
    Ok(epoch)
}

/// Gives up the contexts of the parent, of whose threads `own` has called fork. Async-signal-safe.
///
/// # Safety
/// The caller is a forked child, and no other thread uses the library.
pub unsafe fn forget_parent(own: u32) {
    // SAFETY: the caller's promise.
    unsafe {
        SETUP.force_unlock();
        forget_contexts(&mut SETUP.lock(), own);
    }
    // For kernels without MADV_WIPEONFORK.
    if let Some(epoch) = epoch() {
        epoch.slots.uproot();
    }
}

/// # Safety
/// As for [`forget_parent`].
unsafe fn forget_contexts(setup: &mut Setup, own: u32) {
    SLOTS.for_each(|_, slot| {
        // The second: io_destroy has given up calls that are inside still.
        if slot.address.load(Ordering::Relaxed) != 0
            || slot.references.load(Ordering::Relaxed) & !DEAD != 0
        {
            // SAFETY: the caller's promise.
            unsafe { slot.context.close_after_fork(own) };
        }
    });
    SLOTS.forget();
    setup.arenas.forget();
    *setup = Setup::NOTHING;
}

/// io_setup: a context for `requested` events, whose address goes to the program's variable at
/// `target`.
pub fn setup(requested: u32, target: usize, caller: Caller, first_use: &FirstUse) -> Result<()> {
    known::note_thread();
    if user::read_word(target)? != 0 || requested == 0 {
        return Err(Errno::INVAL);
    }
    let geometry = Geometry::new(requested, host::possible_cpus())?;
    let slot = open(requested, geometry, caller, first_use)?;
    let address = slot.address.load(Ordering::Relaxed);
    user::write_word(target, address).inspect_err(|_| {
        let _ = destroy(address);
    })
}

/// Whether a context for `requested` events may be made when the process has `sum` already.
///
/// divergence: what the process has is not charged against fs.aio-max-nr, unless the environment
/// says UAIO_MAX_NR=kernel. One context alone is held to the limit, or to its default if that is
/// higher, so that absurd numbers fail as they do with the kernel.
fn may_request(requested: u32, sum: u64) -> bool {
    const DEFAULT_MAX_NR: u64 = 0x10000;
    let requested = u64::from(requested);
    if config::charges_contexts() {
        // What the engine has got from the kernel is charged to the same contexts.
        let used = host::aio_nr().unwrap_or(0).saturating_sub(kaio::cache::charged());
        return requested + sum + used <= host::aio_max_nr().unwrap_or(DEFAULT_MAX_NR);
    }
    requested <= DEFAULT_MAX_NR || host::aio_max_nr().is_some_and(|limit| requested <= limit)
}

fn open(
    requested: u32,
    geometry: Geometry,
    caller: Caller,
    first_use: &FirstUse,
) -> Result<&'static Slot> {
    let mut setup = SETUP.lock();
    if !may_request(requested, setup.requested) {
        return Err(Errno::AGAIN);
    }
    let epoch = begin(&mut setup, first_use).map_err(|_| Errno::NOMEM)?;
    let index = match setup.free {
        0 if setup.high >= Chunked::<Slot>::MAX => return Err(Errno::NOMEM),
        0 => setup.high,
        free => free - 1,
    };
    let slot = SLOTS.reserve(index).map_err(|_| Errno::NOMEM)?;
    // SAFETY: slots are unmapped never; `SLOTS` is cleared nowhere.
    let slot: &'static Slot = unsafe { &*ptr::from_ref(slot) };
    let region = setup.arenas.allocate(geometry.pages).map_err(|_| Errno::NOMEM)?;
    // The id only has to be ours: a moved ring is found by it. It is never 0.
    slot.context.completions.ring.open(&region, geometry, index + 1);
    slot.context.open(caller);
    *slot.region.lock() = region;
    slot.index.store(index, Ordering::Relaxed);
    slot.requested.store(requested, Ordering::Relaxed);
    slot.address.store(region.user, Ordering::Relaxed);
    if epoch.slots.set(region.user, ptr::from_ref(slot).cast_mut()).is_err() {
        setup.arenas.release(&region, View::AtHome);
        return Err(Errno::NOMEM);
    }
    match setup.free {
        0 => {
            setup.high += 1;
            // Release: the slot comes to life; pairs with the Acquire in `enter`.
            slot.references.fetch_and(!DEAD, Ordering::Release);
        }
        _ => {
            setup.free = slot.next_free.load(Ordering::Relaxed);
            // Release: as above. Threads that came late may hold references for a moment.
            slot.references.fetch_and(!DEAD, Ordering::Release);
        }
    }
    setup.live += 1;
    setup.requested += u64::from(requested);
    Ok(slot)
}

/// Waits until nothing is in io_uring in any context.
pub fn finish_all() {
    SLOTS.for_each(|_, slot| {
        let address = slot.address.load(Ordering::Relaxed);
        if address != 0
            && let Some(reference) = look_up(address)
        {
            reference.finish();
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_context_may_not_ask_for_more_than_the_limit() {
        assert!(may_request(65_536, u64::MAX / 2));
        assert!(!may_request(0x40_0000, 0));
    }
}
