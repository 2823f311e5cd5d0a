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
//! *Locks*: `list` is a leaf.

use core::cell::Cell;
use core::ptr;

use crate::sync::{AtomicU32, Lock, Ordering, fence};
use crate::sys::{fd, futex};

/// How a waiter sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sleep {
    /// On the node's word.
    Futex,
    /// In ppoll, with this eventfd to wake it.
    Eventfd(i32),
}

/// One sleeping thread. It lives on that thread's stack and does not move while it is listed.
#[derive(Debug)]
pub struct Waiter {
    /// Events that must be in the ring before it is woken.
    need: u32,
    sleep: Sleep,
    /// Set when woken.
    woken: AtomicU32,
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
}

impl Waiter {
    /// A waiter for `need` more events.
    pub fn new(need: u32, sleep: Sleep) -> Waiter {
        let (prev, next) = (Cell::new(ptr::null()), Cell::new(ptr::null()));
        Waiter { need, sleep, woken: AtomicU32::new(0), prev, next }
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

    fn wake(&self) {
        // Release: pairs with the Acquire in `is_woken` and in the futex wait.
        if self.woken.swap(1, Ordering::Release) == 0 {
            match self.sleep {
                Sleep::Futex => futex::wake(&self.woken, 1),
                // Not if the program has put a file of its own there.
                Sleep::Eventfd(number) if fd::is_anonymous(number) => fd::eventfd_signal(number),
                Sleep::Eventfd(_) => {}
            }
        }
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

    /// Wakes the waiters that `occupancy` events satisfy. To be called after the events are
    /// published.
    #[inline]
    pub fn news(&self, occupancy: impl FnOnce() -> u32) {
        // SeqCst: orders the event before our look at the list; pairs with the fence in `join` and
        // `rest`. AcqRel would let both sides read before their writes are seen.
        fence(Ordering::SeqCst);
        if self.count.load(Ordering::Relaxed) != 0 {
            self.wake_where(occupancy());
        }
    }

    #[cold]
    fn wake_where(&self, occupancy: u32) {
        self.each(|waiter| {
            if waiter.need <= occupancy {
                waiter.wake();
            }
            true
        });
    }

    /// Wakes everybody: the context is going away.
    pub fn wake_all(&self) {
        // SeqCst: as in `news`, for the flag that the caller has set.
        fence(Ordering::SeqCst);
        self.each(|waiter| {
            waiter.wake();
            true
        });
    }

    /// Wakes one waiter that sleeps on its futex, whatever it needs: there is a task for it.
    pub fn wake_one_to_lead(&self) {
        // SeqCst: as in `news`, for the poll that the caller has armed.
        fence(Ordering::SeqCst);
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        self.each(|waiter| {
            waiter.wake();
            false
        });
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
