//! Threads that sleep in io_getevents, and how they are woken.
//!
//! A waiter puts a node from its own stack on the list, looks at the ring once more, and sleeps on
//! the node. Who posts an event, or brings other news, wakes every waiter whose need is met: as in
//! fs/aio.c, aio_complete, there is no queueing and no promise who gets the event.
//!
//! *The sleep protocol.* Waiter: join the list; SeqCst fence; look at the ring; sleep while the node
//! is not woken. Poster: publish the event; SeqCst fence; look whether there are waiters. The two
//! fences are ordered: either the poster sees the waiter, or the waiter sees the event.
//!
//! *Sleeping in io_uring.* A waiter may sleep in the kernel until a number of completions ([`asked`])
//! has been added to those that were taken when it went to sleep. The kernel cannot compare anything
//! else, so:
//! - the waiter says how many it asks for before its last look, and nothing when it is awake;
//! - who adds an event from elsewhere, or takes completions and leaves events in the ring, wakes those
//!   whose need is met, and those that ask for more than one: they count anew;
//! - to wake is to mark the waiter and to post as many completions as it asks for (`Kick`);
//! - who takes such completions out of the queue may have taken them from a marked waiter that had not
//!   fallen asleep yet, so it posts them again while the waiter asks.
//!
//! *Locks*: `list` is a leaf; kicks are made when it is released.
//!
//! [`asked`]: Waiter::ask

use core::cell::Cell;
use core::ptr;

use crate::sync::{AtomicPtr, AtomicU32, Lock, Ordering, fence};
use crate::sys::{bell, futex};
use crate::uring::Instance;

/// How a waiter sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sleep {
    /// On the node's word.
    Futex,
    /// In ppoll, with this bell to wake it.
    Bell(i32),
    /// In io_uring_enter.
    Ring,
}

/// How many completions have to be posted to wake those that sleep in io_uring and were marked.
#[derive(Debug)]
#[must_use]
struct Kick(u32);

/// One sleeping thread. It lives on that thread's stack and does not move while it is listed.
#[derive(Debug)]
pub struct Waiter {
    /// Events that must be in the ring before it is woken.
    need: u32,
    sleep: Sleep,
    /// Set when woken.
    woken: AtomicU32,
    /// Completions that it sleeps for in io_uring; 0 while it does not.
    asked: AtomicU32,
    /// Neighbours on the list; touched under its lock only.
    prev: Cell<*const Waiter>,
    next: Cell<*const Waiter>,
}

#[derive(Debug)]
struct List {
    head: *const Waiter,
}

// SAFETY: the pointers lead to nodes that stay in place until they leave the list under its lock.
unsafe impl Send for List {}

/// The waiters of one context. All-zero memory has none.
#[derive(Debug)]
pub struct Waiters {
    /// Nodes on the list; posters look here first.
    count: AtomicU32,
    list: Lock<List>,
    /// Where [`Sleep::Ring`] waiters sleep; null before there is one.
    ring: AtomicPtr<Instance>,
}

impl Waiter {
    /// A waiter for `need` more events.
    pub fn new(need: u32, sleep: Sleep) -> Waiter {
        let (prev, next) = (Cell::new(ptr::null()), Cell::new(ptr::null()));
        let (woken, asked) = (AtomicU32::new(0), AtomicU32::new(0));
        Waiter { need, sleep, woken, asked, prev, next }
    }

    /// The word on which it sleeps while it is 0.
    pub fn word(&self) -> &AtomicU32 {
        &self.woken
    }

    /// Whether somebody woke it since [`Waiter::rest`].
    pub fn is_woken(&self) -> bool {
        // Acquire: pairs with the Release in `wake`.
        self.woken.load(Ordering::Acquire) != 0
    }

    /// Ready to be woken again. To be followed by a look at the ring.
    pub fn rest(&self) {
        self.woken.store(0, Ordering::Relaxed);
        // SeqCst: as in `Waiters::join`.
        fence(Ordering::SeqCst);
    }

    /// About to sleep for `count` completions, more than 0. To be followed by a look at everything.
    pub fn ask(&self, count: u32) {
        self.asked.store(count, Ordering::Relaxed);
        // SeqCst: as in `Waiters::join`.
        fence(Ordering::SeqCst);
    }

    /// Awake again.
    pub fn stop_asking(&self) {
        self.asked.store(0, Ordering::Relaxed);
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Wakes it; for a sleeper in io_uring the caller posts what it asks for, if that is not 0.
    fn wake(&self) -> u32 {
        // Release: pairs with the Acquire in `is_woken` and in the futex wait.
        if self.woken.swap(1, Ordering::Release) == 0 {
            match self.sleep {
                Sleep::Futex => futex::wake(&self.woken, 1),
                Sleep::Bell(number) => bell::ring(number),
                Sleep::Ring => {
                    // SeqCst: the mark comes before our look; pairs with the fence in `ask`, after
                    // which the waiter looks for the mark.
                    fence(Ordering::SeqCst);
                    return self.asked();
                }
            }
        }
        0
    }
}

impl Default for Waiters {
    fn default() -> Waiters {
        let (count, list) = (AtomicU32::new(0), Lock::new(List { head: ptr::null() }));
        Waiters { count, list, ring: AtomicPtr::new(ptr::null_mut()) }
    }
}

impl Waiters {
    /// Lists `waiter` while `sleep` runs.
    pub fn join<R>(&self, waiter: Waiter, sleep: impl FnOnce(&Waiter) -> R) -> R {
        {
            let mut list = self.list.lock();
            waiter.next.set(list.head);
            let node = ptr::from_ref(&waiter);
            if !list.head.is_null() {
                // SAFETY: listed nodes are alive, and their links are only touched under the lock.
                unsafe { (*list.head).prev.set(node) };
            }
            list.head = node;
            self.count.fetch_add(1, Ordering::Relaxed);
        }
        // SeqCst: orders our joining before our look at the ring; pairs with the fence in
        // `news`. AcqRel would let both sides read before their writes are seen.
        fence(Ordering::SeqCst);
        let _leave = Leave { waiters: self, waiter: &waiter };
        sleep(&waiter)
    }

    /// Whether nobody waits, or nobody has for long.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// Says where waiters sleep in io_uring; it stays there until the context is closed.
    pub fn set_ring(&self, instance: *const Instance) {
        // Release: pairs with the Acquire in `kick`.
        self.ring.store(instance.cast_mut(), Ordering::Release);
    }

    /// Wakes the waiters that `occupancy` events satisfy. To be called after the events are
    /// published.
    #[inline]
    pub fn news(&self, occupancy: impl FnOnce() -> u32) {
        // SeqCst: orders the event before our look at the list; pairs with the fence in `join`,
        // `rest` and `ask`. AcqRel would let both sides read before their writes are seen.
        fence(Ordering::SeqCst);
        if self.count.load(Ordering::Relaxed) != 0 {
            self.wake_where(occupancy(), false);
        }
    }

    /// As [`Waiters::news`], after completions were taken out of the queue; `kicks`: among them some
    /// that were to wake somebody.
    #[inline]
    pub fn moved(&self, kicks: bool, occupancy: impl FnOnce() -> u32) {
        // SeqCst: as in `news`.
        fence(Ordering::SeqCst);
        if self.count.load(Ordering::Relaxed) != 0 {
            self.wake_where(occupancy(), kicks);
        }
    }

    #[cold]
    fn wake_where(&self, occupancy: u32, kicks: bool) {
        let mut most = 0;
        self.each(|waiter| {
            let asked = waiter.asked();
            if kicks && asked > 0 && waiter.is_woken() {
                most = most.max(asked);
            }
            if waiter.need <= occupancy || (asked > 1 && occupancy > 0) {
                most = most.max(waiter.wake());
            }
            true
        });
        self.kick(Kick(most));
    }

    /// Wakes everybody: the context is going away.
    pub fn wake_all(&self) {
        self.wake_each(|_| true);
    }

    /// Wakes who does not sleep in io_uring: from now on somebody has to look there.
    pub fn wake_followers(&self) {
        self.wake_each(|waiter| waiter.sleep != Sleep::Ring);
    }

    fn wake_each(&self, is_meant: impl Fn(&Waiter) -> bool) {
        // SeqCst: as in `news`, for what the caller has changed.
        fence(Ordering::SeqCst);
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut most = 0;
        self.each(|waiter| {
            if is_meant(waiter) {
                most = most.max(waiter.wake());
            }
            true
        });
        self.kick(Kick(most));
    }

    /// Wakes one waiter, whatever it needs: there is a task for it.
    pub fn wake_one_to_lead(&self) {
        // SeqCst: as in `news`, for the poll that the caller has armed.
        fence(Ordering::SeqCst);
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut most = 0;
        self.each(|waiter| {
            most = waiter.wake();
            false
        });
        self.kick(Kick(most));
    }

    #[inline]
    fn kick(&self, Kick(count): Kick) {
        if count == 0 {
            return;
        }
        // Acquire: pairs with the Release in `set_ring`.
        // SAFETY: the instance of a context lives until the context is closed, and who calls holds
        // the context.
        if let Some(instance) = unsafe { self.ring.load(Ordering::Acquire).as_ref() } {
            instance.kick(count);
        }
    }

    /// Calls `visit` for the listed waiters until it returns false.
    fn each(&self, mut visit: impl FnMut(&Waiter) -> bool) {
        let list = self.list.lock();
        let mut node = list.head;
        while !node.is_null() {
            // SAFETY: listed nodes are alive until they leave under the lock that we hold.
            let waiter = unsafe { &*node };
            if !visit(waiter) {
                return;
            }
            node = waiter.next.get();
        }
    }
}

struct Leave<'a> {
    waiters: &'a Waiters,
    waiter: &'a Waiter,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let mut list = self.waiters.list.lock();
        let (prev, next) = (self.waiter.prev.get(), self.waiter.next.get());
        // SAFETY: the neighbours are listed, so alive; links are only touched under the lock.
        unsafe {
            if prev.is_null() {
                list.head = next;
            } else {
                (*prev).next.set(next);
            }
            if !next.is_null() {
                (*next).prev.set(prev);
            }
        }
        self.waiters.count.fetch_sub(1, Ordering::Relaxed);
    }
}
