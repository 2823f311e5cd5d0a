//! One sleeping call.

use core::cell::Cell;
use core::ptr;

use bytemuck::Zeroable;

use crate::completion::waiters::Kick;
use crate::files::resfd::Note;
use crate::kaio;
use crate::process::reentrancy::Owner;
use crate::sync::{AtomicU32, Ordering, fence};
use crate::sys::file_info::Identity;
use crate::sys::{bell, futex};

/// How a waiter sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sleep {
    /// On the node's word, or for a moment at a time.
    Futex,
    /// In ppoll, with this bell to wake it.
    Bell(i32),
    /// In io_uring_enter.
    Ring,
    /// In io_getevents of the kernel's AIO.
    Kernel,
    /// For something else than events: nobody wakes it, and io_destroy waits for it.
    Elsewhere,
}

/// [`Sleep`] without its number; all-zero memory is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    #[default]
    Futex = 0,
    Bell,
    Ring,
    Kernel,
    Elsewhere,
}

/// Nobody has the node.
pub(super) const FREE: u32 = 0;
/// The call has it.
pub(super) const AWAKE: u32 = 1;
/// Whoever finds the call left may take it, or the call when it wakes.
pub(super) const ASLEEP: u32 = 2;
/// It was taken from the call.
const REVOKED: u32 = 3;

/// What a call was at when it fell asleep: a request that it has accepted and was doing itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Errand {
    /// What its event says.
    pub data: u64,
    /// What its event says.
    pub iocb: u64,
    /// Bytes that were moved.
    pub done: u64,
    /// The eventfd that the call holds.
    pub resfd: Note,
    /// The event signals it.
    pub is_signalled: bool,
}

/// What a call that was left has owned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leftover {
    /// A descriptor of ours to be closed.
    pub descriptor: Option<i32>,
    /// Which file of the program's that holds, if it is one.
    pub file: Option<Identity>,
    /// Its time as the leader of the poller; 0 if it was not.
    pub term: u32,
    /// What it was doing.
    pub errand: Option<Errand>,
    /// The instance of the kernel's AIO in whose bag it was taking events; or null.
    pub bed: *const kaio::Instance,
}

/// A node. All-zero memory is a free one.
#[derive(Debug, Default)]
pub struct Waiter {
    /// Set when woken.
    pub(super) woken: AtomicU32,
    /// Completions that it sleeps for in the kernel; 0 while it does not.
    pub(super) min_complete: AtomicU32,
    pub(super) phase: AtomicU32,
    /// Under the lock: the next free one's index + 1, and its own.
    pub(super) next_free: Cell<u32>,
    pub(super) index: Cell<u32>,
    /// Under the lock: whose call it is.
    pub(super) owner: Cell<Owner>,
    /// Under the lock: events that must be in the ring before it is woken.
    pub(super) need: Cell<u32>,
    pub(super) kind: Cell<Kind>,
    /// Under the lock: the bell to wake it.
    pub(super) bell: Cell<i32>,
    /// Under the lock: kicks since it was woken.
    pub(super) repeats: Cell<u32>,
    /// Under the lock: neighbours on the list.
    pub(super) is_listed: Cell<bool>,
    pub(super) prev: Cell<*const Waiter>,
    pub(super) next: Cell<*const Waiter>,
    /// Of the call: where its stack ends while it sleeps.
    pub(super) stack: Cell<usize>,
    /// Of the call: descriptor + 1.
    pub(super) descriptor: Cell<i32>,
    /// Of the call: which file the descriptor holds; all 0 if it is no file of the program's.
    pub(super) file: Cell<Identity>,
    pub(super) term: Cell<u32>,
    /// Of the call: the instance of the kernel's AIO whose bag it has, or null.
    pub(super) bed: Cell<*const kaio::Instance>,
    pub(super) has_errand: Cell<bool>,
    pub(super) errand: Cell<Errand>,
}

// SAFETY: integers, atomics, `Kind`, null pointers and `false` are all zeros.
unsafe impl Zeroable for Waiter {}

// SAFETY: see "Who may touch what".
unsafe impl Sync for Waiter {}

impl Waiter {
    /// The word on which it sleeps while it is 0.
    pub fn word(&self) -> &AtomicU32 {
        &self.woken
    }

    /// Whether somebody woke it since [`Waiter::rearm`].
    pub fn is_woken(&self) -> bool {
        // Acquire: pairs with the Release in `wake`.
        self.woken.load(Ordering::Acquire) != 0
    }

    /// Ready to be woken again. To be followed by a look at the ring.
    pub fn rearm(&self) {
        self.woken.store(0, Ordering::Relaxed);
        // SeqCst: as in `Waiters::join`.
        fence(Ordering::SeqCst);
    }

    /// About to sleep for `count` completions, more than 0. To be followed by a look at everything.
    pub fn set_min_complete(&self, count: u32) {
        self.min_complete.store(count, Ordering::Relaxed);
        // SeqCst: as in `Waiters::join`.
        fence(Ordering::SeqCst);
    }

    /// Awake again.
    pub fn clear_min_complete(&self) {
        self.min_complete.store(0, Ordering::Relaxed);
    }

    pub(super) fn min_complete(&self) -> u32 {
        self.min_complete.load(Ordering::Relaxed)
    }

    /// Notes a descriptor of ours that the call closes when it leaves. It is awake.
    pub fn own(&self, descriptor: i32) {
        self.descriptor.set(descriptor + 1);
    }

    /// The same for a duplicate of the program's. A forked child closes it.
    pub fn own_pin(&self, descriptor: i32, file: Identity) {
        self.file.set(file);
        self.own(descriptor);
    }

    /// Notes that the call leads the poller. It is awake.
    pub fn lead(&self, term: u32) {
        self.term.set(term);
    }

    /// Notes in which instance of the kernel's AIO the call is about to take events into the bag
    /// there. It is awake.
    pub fn lie_down(&self, bed: Option<&kaio::Instance>) {
        self.bed.set(bed.map_or(ptr::null(), ptr::from_ref));
    }

    /// Notes what the call is doing. It is awake.
    pub fn run(&self, errand: Errand) {
        self.errand.set(errand);
        self.has_errand.set(true);
    }

    /// From here on the call may be found left.
    #[inline]
    pub fn fall_asleep(&self) {
        let here = 0u8;
        self.stack.set((&raw const here).addr());
        // Release: what the call owns is written down; pairs with the Acquire in `take_away`.
        self.phase.store(ASLEEP, Ordering::Release);
    }

    /// The call goes on. False: its node was taken away, it has to end.
    pub fn wake_up(&self) -> bool {
        // Relaxed, both: only this decides, and what the call owns is its own.
        self.phase.compare_exchange(ASLEEP, AWAKE, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    pub(super) fn take_away(&self) -> bool {
        // Acquire: pairs with the Release in `fall_asleep`.
        self.phase.compare_exchange(ASLEEP, REVOKED, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Under the lock, under which nodes are revoked and freed.
    pub(super) fn is_revoked(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == REVOKED
    }

    pub(super) fn is_of(&self, owner: Owner) -> bool {
        self.phase.load(Ordering::Relaxed) != FREE && self.owner.get() == owner
    }

    /// Wakes it; for a sleeper in the kernel, adds what it asks for to what the caller posts.
    pub(super) fn wake(&self, kick: &mut Kick) {
        // Release: pairs with the Acquire in `is_woken` and in the futex wait.
        if self.woken.swap(1, Ordering::Release) == 0 {
            self.repeats.set(0);
            match self.kind.get() {
                Kind::Futex => futex::wake(&self.woken, 1),
                Kind::Bell => bell::ring(self.bell.get()),
                Kind::Elsewhere => {}
                kind @ (Kind::Ring | Kind::Kernel) => {
                    // SeqCst: the mark comes before our look; pairs with the fence in
                    // `set_min_complete`, after which the waiter looks for the mark.
                    fence(Ordering::SeqCst);
                    kick.add(kind, self.min_complete());
                }
            }
        }
    }
}
