//! Threads that are started on demand, exit one by one when they are idle, and are ended together.
//!
//! A member has a number, its place among the threads, and an epoch. [`Crew::end`] begins a new
//! epoch; members of an older one exit as soon as they look ([`Crew::is_over`]), and are joined. A
//! member that has nothing to do exits by itself, unless it is needed ([`Crew::try_exit`]).
//!
//! *Locks*: `members` is taken to start and to end a thread, and not while somebody waits for one.
//!
//! *Orderings*: a submitter queues; SeqCst fence; looks how many members there are. A member that
//! exits counts itself out; SeqCst fence; looks at the work. The two fences are ordered: either the
//! member sees the work and stays, or the submitter sees that nobody is there. AcqRel would let
//! both read old values. `tests/models/crew.rs` runs this file under loom.

use crate::lock::Lock;
use crate::sync::{AtomicU32, Ordering, fence};

/// Which member a thread is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberId {
    /// Its place; no other living thread of the crew has it, whatever its epoch.
    pub number: u32,
    epoch: u32,
}

impl MemberId {
    /// The same as the argument of a thread.
    pub fn to_word(self) -> usize {
        (self.epoch as usize) << 32 | self.number as usize
    }

    /// What [`MemberId::to_word`] was made of.
    pub fn from_word(word: usize) -> MemberId {
        MemberId { number: word as u32, epoch: (word >> 32) as u32 }
    }
}

/// A thread that was started and has not exited.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member<T> {
    thread: T,
    epoch: u32,
}

/// See the module. `T` is what joins a thread; there are `N` at most. It begins with no member,
/// count 0 and epoch 0, for which the atomics of a model have no constant; so a static says it
/// itself.
#[derive(Debug)]
pub struct Crew<T, const N: usize> {
    pub(crate) members: Lock<[Option<Member<T>>; N]>,
    /// Members of this epoch.
    pub(crate) count: AtomicU32,
    pub(crate) epoch: AtomicU32,
}

impl<T: Copy, const N: usize> Crew<T, N> {
    /// How many members there are.
    #[inline]
    pub fn count(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }

    /// Starts one more thread by `start`, which is told what it is. False: there are too many, or
    /// it could not be started.
    pub fn add(&self, start: impl FnOnce(MemberId) -> Option<T>) -> bool {
        let mut members = self.members.lock();
        let Some(number) = members.iter().position(Option::is_none) else { return false };
        // Passed on: by the time the thread runs, it may belong to an older epoch already.
        let epoch = self.epoch.load(Ordering::Relaxed);
        let Some(thread) = start(MemberId { number: number as u32, epoch }) else { return false };
        if let Some(place) = members.get_mut(number) {
            *place = Some(Member { thread, epoch });
        }
        // Counted once it is there, so that nobody relies on a member that never comes; it cannot
        // have exited: that takes the lock which is held here.
        self.count.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Whether a member has to exit.
    #[inline]
    pub fn is_over(&self, id: MemberId) -> bool {
        self.epoch.load(Ordering::Relaxed) != id.epoch
    }

    /// The calling thread, a member, exits, if nobody needs it by then. `detach`: nobody will join
    /// it. False: it has to stay.
    pub fn try_exit(
        &self,
        id: MemberId,
        is_needed: impl FnOnce() -> bool,
        detach: impl FnOnce(),
    ) -> bool {
        let mut members = self.members.lock();
        if self.is_over(id) {
            // `end` waits for it.
            return true;
        }
        self.count.fetch_sub(1, Ordering::Relaxed);
        // SeqCst: see the module.
        fence(Ordering::SeqCst);
        if is_needed() {
            self.count.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        if let Some(own) = members.get_mut(id.number as usize) {
            *own = None;
        }
        detach();
        true
    }

    /// Ends all members: `wake` gets them out of their sleep, `join` waits for one. False: there
    /// were none.
    pub fn end(&self, wake: impl FnOnce(), join: impl Fn(T)) -> bool {
        let ended = {
            let members = self.members.lock();
            if self.count.swap(0, Ordering::Relaxed) == 0 {
                return false;
            }
            let epoch = self.epoch.fetch_add(1, Ordering::Relaxed);
            // SeqCst: between the end of an epoch and the look at the sleepers; pairs with the
            // fence of a member that falls asleep, before its look whether its epoch is over.
            fence(Ordering::SeqCst);
            members.map(|member| member.filter(|member| member.epoch == epoch))
        };
        wake();
        for (number, member) in ended.iter().enumerate() {
            let Some(member) = member else { continue };
            join(member.thread);
            if let Some(place) = self.members.lock().get_mut(number) {
                *place = None;
            }
        }
        true
    }

    /// A forked child has no members.
    ///
    /// # Safety
    /// No other thread exists.
    pub unsafe fn reset_after_fork(&self) {
        // SAFETY: the caller's promise.
        unsafe { self.members.force_unlock() };
        *self.members.lock() = [None; N];
        self.count.store(0, Ordering::Relaxed);
    }
}
