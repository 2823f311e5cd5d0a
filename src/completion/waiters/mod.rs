//! Threads that sleep in a call on a context, above all in io_getevents, and how they are woken.
//!
//! A sleeper takes a *waiter*, a node that belongs to the context. One in io_getevents is on the
//! list of those who wait for events: it looks at the ring once more, and sleeps on the node. A thread
//! that posts an event, or changes what waiters have to look at, wakes every waiter whose need is
//! met: as in fs/aio.c, aio_complete, there is no queueing and no promise who gets the event.
//!
//! *The sleep protocol.* Waiter: join the list; SeqCst fence; look at the ring; sleep while the
//! node is not woken. Poster: publish the event; SeqCst fence; look whether there are waiters. The
//! two fences are ordered: either the poster sees the waiter, or the waiter sees the event.
//!
//! *Sleeping in io_uring.* A waiter may sleep in the kernel until a number of completions
//! ([`min_complete`]) has been added to those that were taken when it went to sleep. The kernel
//! cannot compare anything else, so:
//! - the waiter says how many it asks for before its last look, and nothing when it is awake;
//! - who adds an event from elsewhere, or takes completions and leaves events in the ring, wakes
//!   those whose need is met, and those that ask for more than one: they count anew;
//! - to wake is to mark the waiter and to post as many completions as it asks for (`Kick`);
//! - a thread that takes such completions out of the queue may have taken them from a marked waiter
//!   that had not fallen asleep yet, so it posts them again while the waiter asks. Not for ever: a
//!   waiter that does not come is in a signal handler, and wakes by itself after that, or has been
//!   left.
//!
//! *Sleeping in the kernel's AIO* is the same, but that a sleeper takes what is there when it falls
//! asleep, and sleeps on for the rest. So kicks count what all sleepers may keep in this way; and
//! who falls asleep while kicks are on their way to another one asks for one event only. The marks
//! of those come before the look at what others ask for, and the other way round here.
//!
//! *Calls that are left.* A signal handler may jump out of a sleeping call, or end its thread. So a
//! node is never on a stack, and says all that the sleeping call owns, for whoever undoes it: the
//! thread's next call ([`Waiters::undo`]); or io_destroy, which may find the thread gone, or take
//! the node away from a call of which it is not known whether it goes on ([`Waiters::revoke`]). A
//! call that wakes takes its node back first; if it has been taken away, the call ends and touches
//! nothing.
//!
//! *Who may touch what*: fields in cells belong to the holder of the lock, or to the call while it
//! is awake, as they say. The phase passes a node from the call that falls asleep to who undoes it,
//! and back to the call, if it comes first.
//!
//! *Locks*: `list` is a leaf; kicks are made when it is released.
//!
//! [`min_complete`]: Waiter::set_min_complete

mod node;

use core::ops::Deref;
use core::ptr;

use bytemuck::Zeroable;

use crate::kaio;
use crate::lock::Lock;
use crate::memory::chunked::Chunked;
use crate::process::reentrancy::Owner;
use crate::sync::{AtomicPtr, AtomicU32, Ordering, fence};
use crate::sys::file_info::Identity;
use crate::uring;
use node::{ASLEEP, AWAKE, FREE, Kind};

pub use node::{Errand, Leftover, Sleep, Waiter};

/// How many completions have to be posted to wake those that sleep in the kernel and were marked.
#[derive(Debug, Default)]
#[must_use]
pub(super) struct Kick {
    /// In io_uring.
    ring: u32,
    /// Some of them are in the kernel's AIO.
    kernel: bool,
}

impl Kick {
    /// Adds what a waiter of a kind asks for.
    fn add(&mut self, kind: Kind, min_complete: u32) {
        match kind {
            Kind::Ring => self.ring = self.ring.max(min_complete),
            Kind::Kernel => self.kernel |= min_complete > 0,
            _ => {}
        }
    }
}

/// How many instances of the kernel's AIO a context has at most.
pub const INSTANCES: usize = 3;

/// How often a kick is repeated for a waiter that does not come.
const REPEATS: u32 = 200;
/// After so many only those repeat it that have taken one, with pauses.
const REPEATS_AT_ONCE: u32 = 100;

#[derive(Debug)]
struct List {
    head: *const Waiter,
    /// Index + 1 of the first free node.
    free: u32,
    /// Nodes below this index exist.
    high: u32,
}

// SAFETY: the pointers lead to nodes that stay in place.
unsafe impl Send for List {}

/// How many nodes need no memory of their own.
const AT_HAND: u32 = 2;

/// The waiters of one context. All-zero memory has none.
#[derive(Debug)]
pub struct Waiters {
    /// Nodes on the list; posters look here first.
    count: AtomicU32,
    list: Lock<List>,
    /// Where [`Sleep::Ring`] waiters sleep; null before there is one.
    ring: AtomicPtr<uring::Instance>,
    /// Where [`Sleep::Kernel`] waiters sleep: in any of these.
    kernel: [AtomicPtr<kaio::Instance>; INSTANCES],
    at_hand: [Waiter; AT_HAND as usize],
    more: Chunked<Waiter>,
}

// SAFETY: integers, null pointers, a lock around such, and `Waiter`.
unsafe impl Zeroable for Waiters {}

/// A node that a call has, until dropped.
#[derive(Debug)]
pub struct WaiterGuard<'a> {
    waiters: &'a Waiters,
    waiter: &'a Waiter,
}

/// What is known of a sleeping call, to judge whether it goes on.
#[derive(Clone, Copy, Debug)]
pub struct Sleeper {
    /// Its node.
    pub index: u32,
    /// Whose it is.
    pub owner: Owner,
    /// It waits for events.
    pub is_listed: bool,
    /// Its time as the leader of the poller; 0 if it is not.
    pub term: u32,
    /// About where its stack ends.
    pub stack: usize,
}

impl Default for Waiters {
    fn default() -> Waiters {
        let list = Lock::new(List { head: ptr::null(), free: 0, high: 0 });
        Waiters {
            count: AtomicU32::new(0),
            list,
            ring: AtomicPtr::new(ptr::null_mut()),
            kernel: Default::default(),
            at_hand: Default::default(),
            more: Chunked::default(),
        }
    }
}

impl Waiters {
    /// Takes a node for the call of `owner`, which then sleeps until there are `need` more events.
    /// `None`: no memory.
    pub fn join(&self, owner: Owner, need: u32, sleep: Sleep) -> Option<WaiterGuard<'_>> {
        let waiter = {
            let mut list = self.list.lock();
            let waiter = self.take_free(&mut list)?;
            let (kind, bell) = match sleep {
                Sleep::Futex => (Kind::Futex, -1),
                Sleep::Bell(number) => (Kind::Bell, number),
                Sleep::Ring => (Kind::Ring, -1),
                Sleep::Kernel => (Kind::Kernel, -1),
                Sleep::Elsewhere => (Kind::Elsewhere, -1),
            };
            waiter.kind.set(kind);
            waiter.bell.set(bell);
            waiter.owner.set(owner);
            waiter.need.set(need);
            waiter.repeats.set(0);
            waiter.descriptor.set(0);
            waiter.file.set(Identity::default());
            waiter.term.set(0);
            waiter.bed.set(ptr::null());
            waiter.has_errand.set(false);
            waiter.woken.store(0, Ordering::Relaxed);
            waiter.min_complete.store(0, Ordering::Relaxed);
            waiter.phase.store(AWAKE, Ordering::Relaxed);
            if kind != Kind::Elsewhere {
                self.link(&mut list, waiter);
            }
            waiter
        };
        // SeqCst: orders our joining before our look at the ring; pairs with the fence in
        // `notify`. AcqRel would let both sides read before their writes are seen.
        fence(Ordering::SeqCst);
        if self.has_several() {
            // io_uring/io_uring.c, io_wake_function: a waiter for more keeps those behind it
            // asleep.
            self.wake_each(|other| other.kind.get() == Kind::Ring && other.min_complete() > 1);
        }
        Some(WaiterGuard { waiters: self, waiter })
    }

    fn node(&self, index: u32) -> Option<&Waiter> {
        match index.checked_sub(AT_HAND) {
            None => self.at_hand.get(index as usize),
            Some(index) => self.more.get(index),
        }
    }

    fn take_free(&self, list: &mut List) -> Option<&Waiter> {
        if let Some(index) = list.free.checked_sub(1) {
            let waiter = self.node(index)?;
            list.free = waiter.next_free.get();
            return Some(waiter);
        }
        let index = list.high;
        let waiter = match index.checked_sub(AT_HAND) {
            None => self.at_hand.get(index as usize)?,
            Some(more) => self.more.reserve(more).ok()?,
        };
        waiter.index.set(index);
        list.high += 1;
        Some(waiter)
    }

    fn link(&self, list: &mut List, waiter: &Waiter) {
        let node = ptr::from_ref(waiter);
        waiter.prev.set(ptr::null());
        waiter.next.set(list.head);
        // SAFETY: nodes stay in place, and their links are only touched under the lock.
        if let Some(next) = unsafe { list.head.as_ref() } {
            next.prev.set(node);
        }
        list.head = node;
        waiter.is_listed.set(true);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    fn unlink(&self, list: &mut List, waiter: &Waiter) {
        if !waiter.is_listed.replace(false) {
            return;
        }
        let (prev, next) = (waiter.prev.get(), waiter.next.get());
        // SAFETY: as in `link`.
        match unsafe { prev.as_ref() } {
            Some(prev) => prev.next.set(next),
            None => list.head = next,
        }
        // SAFETY: as in `link`.
        if let Some(next) = unsafe { next.as_ref() } {
            next.prev.set(prev);
        }
        self.count.fetch_sub(1, Ordering::Relaxed);
    }

    /// Nobody has the node any more.
    fn free(&self, list: &mut List, waiter: &Waiter) {
        self.unlink(list, waiter);
        waiter.phase.store(FREE, Ordering::Relaxed);
        waiter.next_free.set(list.free);
        list.free = waiter.index.get() + 1;
    }

    /// Frees a node of a call that was left; what the call has owned.
    fn clear_up(&self, list: &mut List, waiter: &Waiter) -> Leftover {
        self.free(list, waiter);
        Leftover {
            descriptor: waiter.descriptor.get().checked_sub(1).filter(|number| *number >= 0),
            file: Some(waiter.file.get()).filter(|file| *file != Identity::default()),
            term: waiter.term.get(),
            errand: waiter.has_errand.get().then(|| waiter.errand.get()),
            bed: waiter.bed.get(),
        }
    }

    /// Frees a node of the call of `owner`, which was left: the caller is its thread.
    pub fn undo(&self, owner: Owner) -> Option<Leftover> {
        let mut list = self.list.lock();
        let mut nodes = (0..list.high).filter_map(|index| self.node(index));
        let waiter = nodes.find(|waiter| waiter.is_of(owner))?;
        Some(self.clear_up(&mut list, waiter))
    }

    /// The first call that sleeps in a node from `from` on.
    pub fn next_sleeper(&self, from: u32) -> Option<Sleeper> {
        let list = self.list.lock();
        (from..list.high).find_map(|index| {
            let waiter = self.node(index)?;
            // Acquire: pairs with the Release in `fall_asleep`.
            (waiter.phase.load(Ordering::Acquire) == ASLEEP).then(|| Sleeper {
                index,
                owner: waiter.owner.get(),
                is_listed: waiter.is_listed.get(),
                term: waiter.term.get(),
                stack: waiter.stack.get(),
            })
        })
    }

    /// Frees the node of a call whose thread has ended.
    pub fn undo_dead(&self, sleeper: &Sleeper) -> Option<Leftover> {
        let mut list = self.list.lock();
        let waiter = self.node(sleeper.index).filter(|waiter| waiter.is_of(sleeper.owner))?;
        waiter.take_away().then(|| self.clear_up(&mut list, waiter))
    }

    /// Takes the node away from a call of which it is not known whether it goes on: it, or its
    /// thread's next call, frees the node. Not if it is awake.
    pub fn revoke(&self, sleeper: &Sleeper) {
        let mut list = self.list.lock();
        let waiter = self.node(sleeper.index).filter(|waiter| waiter.is_of(sleeper.owner));
        if let Some(waiter) = waiter.filter(|waiter| waiter.take_away()) {
            self.unlink(&mut list, waiter);
        }
    }

    /// How many nodes were taken away by [`Waiters::revoke`] and not given back.
    pub fn revoked(&self) -> u32 {
        let list = self.list.lock();
        let nodes = (0..list.high).filter_map(|index| self.node(index));
        nodes.filter(|waiter| waiter.is_revoked()).count() as u32
    }

    /// Visits the descriptors that hold files for calls, but those that are `spared`.
    ///
    /// # Safety
    /// No other thread exists: this is a forked child.
    pub unsafe fn for_each_pin(
        &self,
        spared: impl Fn(Owner) -> bool,
        mut visit: impl FnMut(i32, &Identity),
    ) {
        // SAFETY: the caller's promise.
        unsafe { self.list.force_unlock() };
        let list = self.list.lock();
        for waiter in (0..list.high).filter_map(|index| self.node(index)) {
            let (file, number) = (waiter.file.get(), waiter.descriptor.get() - 1);
            let is_used = waiter.phase.load(Ordering::Relaxed) != FREE;
            if is_used && file != Identity::default() && !spared(waiter.owner.get()) {
                visit(number, &file);
            }
        }
    }

    /// Gives the memory of nodes back.
    ///
    /// # Safety
    /// No node is in use, and no other thread is inside.
    pub unsafe fn clear(&self) {
        let mut list = self.list.lock();
        (list.free, list.high) = (0, 0);
        // SAFETY: the caller's promise.
        unsafe { self.more.clear() };
    }

    /// Whether nobody waits, or nobody has for long.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// Whether more than one waits.
    pub fn has_several(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 1
    }

    /// Says where waiters sleep in io_uring; it stays there until the context is closed.
    pub fn set_ring(&self, instance: *const uring::Instance) {
        // Release: pairs with the Acquire in `kick`.
        self.ring.store(instance.cast_mut(), Ordering::Release);
    }

    /// The same for the kernel's AIO.
    pub fn add_kernel(&self, instance: *const kaio::Instance) {
        let free = self.kernel.iter().find(|place| place.load(Ordering::Relaxed).is_null());
        if let Some(place) = free {
            // Release: pairs with the Acquire in `kick`.
            place.store(instance.cast_mut(), Ordering::Release);
        }
    }

    /// Nobody sleeps in the kernel's AIO any more.
    pub fn clear_kernel(&self) {
        self.kernel.iter().for_each(|place| place.store(ptr::null_mut(), Ordering::Relaxed));
    }

    /// Wakes the waiters that `occupancy` events satisfy. To be called after the events are
    /// published.
    #[inline]
    pub fn notify(&self, occupancy: impl FnOnce() -> u32) {
        // SeqCst: orders the event before our look at the list; pairs with the fence in `join`,
        // `rearm` and `set_min_complete`. AcqRel would let both sides read before their writes are
        // seen.
        fence(Ordering::SeqCst);
        if self.count.load(Ordering::Relaxed) != 0 {
            let _ = self.wake_where(occupancy(), false);
        }
    }

    /// As [`Waiters::notify`], after completions were taken out of the queue; `kicks`: among them
    /// some that were to wake somebody. True: that has happened often, and the caller has to pause,
    /// so that it does not take them again before they are seen.
    #[inline]
    #[must_use]
    pub fn notify_after_harvest(&self, kicks: bool, occupancy: impl FnOnce() -> u32) -> bool {
        // SeqCst: as in `notify`.
        fence(Ordering::SeqCst);
        self.count.load(Ordering::Relaxed) != 0 && self.wake_where(occupancy(), kicks)
    }

    /// Whether kicks were repeated too often.
    #[cold]
    fn wake_where(&self, occupancy: u32, kicks: bool) -> bool {
        let mut kick = Kick::default();
        let mut is_late = false;
        self.each(|waiter| {
            let min_complete = waiter.min_complete();
            // In the kernel's AIO there may have been no room for the first ones.
            let repeats = match waiter.kind.get() {
                _ if kicks => REPEATS,
                Kind::Kernel => REPEATS_AT_ONCE,
                _ => 0,
            };
            if min_complete > 0 && waiter.is_woken() && waiter.repeats.get() < repeats {
                waiter.repeats.set(waiter.repeats.get() + 1);
                is_late |= waiter.repeats.get() > REPEATS_AT_ONCE;
                kick.add(waiter.kind.get(), min_complete);
            }
            if waiter.need.get() <= occupancy || (min_complete > 1 && occupancy > 0) {
                waiter.wake(&mut kick);
            }
            true
        });
        self.kick(&kick);
        is_late
    }

    /// Wakes everybody: the context is going away.
    pub fn wake_all(&self) {
        self.wake_each(|_| true);
    }

    /// Wakes those that do not sleep in io_uring: from now on one has to look there.
    pub fn wake_non_ring_waiters(&self) {
        self.wake_each(|waiter| waiter.kind.get() != Kind::Ring);
    }

    /// The same for the kernel's AIO.
    pub fn wake_non_kernel_waiters(&self) {
        self.wake_each(|waiter| waiter.kind.get() != Kind::Kernel);
    }

    /// Wakes the waiters that sleep in the kernel's AIO: what one of them watched there is not
    /// watched any more.
    pub fn wake_kernel_waiters(&self) {
        self.wake_each(|waiter| waiter.kind.get() == Kind::Kernel);
    }

    fn wake_each(&self, is_meant: impl Fn(&Waiter) -> bool) {
        // SeqCst: as in `notify`, for what the caller has changed.
        fence(Ordering::SeqCst);
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut kick = Kick::default();
        self.each(|waiter| {
            if is_meant(waiter) {
                waiter.wake(&mut kick);
            }
            true
        });
        self.kick(&kick);
    }

    /// Wakes one waiter, whatever it needs: there is a task for it. One that is woken already will
    /// look for tasks, too.
    pub fn wake_one_to_lead(&self) {
        // SeqCst: as in `notify`, for the poll that the caller has armed.
        fence(Ordering::SeqCst);
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut kick = Kick::default();
        self.each(|waiter| {
            let is_asleep = !waiter.is_woken();
            waiter.wake(&mut kick);
            !is_asleep
        });
        self.kick(&kick);
    }

    #[inline]
    fn kick(&self, kick: &Kick) {
        // Acquire: pairs with the Release in `set_ring`.
        // SAFETY: the instances of a context live until the context is closed, and who calls holds
        // the context.
        let ring = unsafe { self.ring.load(Ordering::Acquire).as_ref() };
        if let Some(instance) = ring.filter(|_| kick.ring > 0) {
            instance.kick(kick.ring);
        }
        if kick.kernel {
            self.kick_in_kernel();
        }
    }

    /// Gets at all who are marked, even if each of the others takes what it can without coming
    /// back.
    #[cold]
    fn kick_in_kernel(&self) {
        let mut count = 1;
        self.each(|waiter| {
            if waiter.kind.get() == Kind::Kernel {
                count += waiter.min_complete().saturating_sub(1);
            }
            true
        });
        for place in &self.kernel {
            // Acquire: pairs with the Release in `add_kernel`.
            // SAFETY: the instances of a context live until the context is closed, and who calls
            // holds the context.
            if let Some(instance) = unsafe { place.load(Ordering::Acquire).as_ref() } {
                instance.kick(count);
            }
        }
    }

    /// Whether kicks may be on their way to another sleeper in the kernel's AIO than `own`, which
    /// has set for its events: they would count among them.
    pub fn are_others_called(&self, own: &Waiter) -> bool {
        let mut is_called = false;
        self.each(|waiter| {
            is_called = waiter.kind.get() == Kind::Kernel
                && waiter.is_woken()
                && waiter.min_complete() > 0
                && !ptr::eq(waiter, own);
            !is_called
        });
        is_called
    }

    /// Calls `visit` for the listed waiters until it returns false.
    fn each(&self, mut visit: impl FnMut(&Waiter) -> bool) {
        let list = self.list.lock();
        let mut node = list.head;
        while !node.is_null() {
            // SAFETY: nodes stay in place.
            let waiter = unsafe { &*node };
            if !visit(waiter) {
                return;
            }
            node = waiter.next.get();
        }
    }
}

impl Deref for WaiterGuard<'_> {
    type Target = Waiter;
    fn deref(&self) -> &Waiter {
        self.waiter
    }
}

impl Drop for WaiterGuard<'_> {
    fn drop(&mut self) {
        self.waiters.free(&mut self.waiters.list.lock(), self.waiter);
    }
}
