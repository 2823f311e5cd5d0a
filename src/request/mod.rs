//! Requests: our copies of iocbs in flight, and the slab that a context keeps them in.
//!
//! Only what completes asynchronously becomes a [`Request`]; what the caller finishes itself needs
//! none. A request is named by its index while it lives. The same iocb may be in flight many times,
//! so an iocb's address names nothing but "the oldest request made from it".
//!
//! *Who may touch what*: `work` is written before the request is shared and only read afterwards,
//! until the last reference is gone. `links` belong to the list that the request is on, under that
//! list's lock (poller or pool queue). `pin` and `resfd` belong to the submitter until the request
//! is armed, and to the last reference in the end. `result` belongs to whoever won the claim.
//!
//! *Locks*: `Slab::free` (the context lock) protects the free list and the keys; nothing else is
//! locked inside it.

pub mod buffer;
pub mod decode;
mod hold;
mod keys;
pub mod list;
pub mod retry;
pub mod state;

use bytemuck::Zeroable;

use crate::files::holds::Share;
use crate::files::resfd::Resfd;
use crate::lock::Lock;
use crate::memory::chunked::Chunked;
use crate::memory::late::Late;
use crate::request::decode::Transfer;
use crate::request::keys::Keys;
use crate::request::list::Links;
use crate::request::retry::RetryHandoff;
use crate::request::state::State;
use crate::sync::{AtomicBool, AtomicI32, AtomicU8, AtomicU32, AtomicU64, Ordering};
use crate::sys::atomic_fd::AtomicFd;
use crate::sys::cred::Credentials;
use crate::sys::errno::{Errno, Result};
use crate::sys::fd::OwnedFd;
use crate::sys::file_info::Identity;

/// What an asynchronous request has to do.
#[derive(Debug)]
pub enum Task {
    /// Wait for `events` (`POLL*`, with errors and hang-ups).
    Poll {
        /// The bits that complete it.
        events: u16,
    },
    /// Read or write.
    Transfer(Transfer),
    /// `fsync` or `fdatasync`.
    Sync {
        /// `fdatasync`: leave out metadata that reading back does not need.
        data_only: bool,
    },
}

/// The engine that can cancel a request which is neither decided nor at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Owner {
    /// Nobody, or a list that is not an engine's.
    Nobody,
    /// It is in an instance of io_uring.
    Uring,
    /// It waits for a worker of the pool; changed under the lock of the queue that it is on.
    Pool,
}

/// What the io_uring engine notes of a request.
#[derive(Debug, Default, Zeroable)]
pub struct RingNotes {
    /// Which side retries if the attempt fails.
    pub retry: RetryHandoff,
    /// It was submitted with RWF_NOWAIT, for which the program has not asked.
    pub adds_nowait: AtomicBool,
    /// Somebody tries to cancel it.
    pub is_cancelled: AtomicBool,
    /// What the kernel said to that, under the harvest's lock; 1: nothing yet.
    pub answer: AtomicI32,
}

/// What a request is made of.
#[derive(Debug)]
pub struct Work {
    /// The program's own value.
    pub data: u64,
    /// Address of the iocb.
    pub iocb: usize,
    /// The program's descriptor, which may mean another file once the submission has ended.
    pub fd: i32,
    /// What to do.
    pub task: Task,
}

/// See the module.
#[derive(Debug, Zeroable)]
pub struct Request {
    /// References and claim.
    pub state: State,
    /// Position on the poller's or the pool's list.
    pub links: Links,
    index: AtomicU32,
    /// Changes with every life; part of a poller token.
    generation: AtomicU32,
    /// Our duplicate of the file.
    pin: AtomicFd,
    /// The file, if it was noted: what is behind the pin, unless the program has closed our
    /// descriptor and opened its own.
    pinned: Late<Option<Identity>>,
    /// What the request has of a pin that others use, too; then `pin` is only its fd, unless
    /// the program has closed that.
    share: Late<Option<Share>>,
    /// See [`Request::size`].
    size: AtomicU64,
    result: AtomicU64,
    /// The process whose end completes a poll. Under the poller's lock.
    pub watch: AtomicFd,
    /// The poller's note how the request is registered, under the poller's lock.
    pub registration: AtomicU32,
    /// See [`Request::owner`].
    owner: AtomicU8,
    /// For the io_uring engine.
    pub ring: RingNotes,
    /// The submitter's credentials, for a worker of the pool.
    credentials: [AtomicU64; 2],
    resfd: Late<Option<Resfd>>,
    work: Late<Option<Work>>,
}

// SAFETY: the cells follow the rules of the module; everything else is atomic.
unsafe impl Sync for Request {}

impl Request {
    /// Its place in the slab.
    pub fn index(&self) -> u32 {
        self.index.load(Ordering::Relaxed)
    }

    /// Which of the lives of this place it is.
    pub fn generation(&self) -> u32 {
        self.generation.load(Ordering::Relaxed)
    }

    /// Which engine has it.
    pub fn owner(&self) -> Owner {
        // Relaxed, as in `set_owner`: cancellation looks again under the owner's lock.
        match self.owner.load(Ordering::Relaxed) {
            owner if owner == Owner::Uring as u8 => Owner::Uring,
            owner if owner == Owner::Pool as u8 => Owner::Pool,
            _ => Owner::Nobody,
        }
    }

    /// An engine has it from now on, or has not any more.
    pub fn set_owner(&self, owner: Owner) {
        self.owner.store(owner as u8, Ordering::Relaxed);
    }

    /// What it has to do. The caller holds a reference.
    pub fn work(&self) -> Option<&Work> {
        // SAFETY: written before the request was shared, and not again while a reference is held.
        unsafe { (*self.work.get()).as_ref() }
    }

    /// Notes the submitter's credentials, before a worker gets the request.
    pub fn set_credentials(&self, credentials: Credentials) {
        // Relaxed: the lock of the queue publishes them.
        for (word, value) in self.credentials.iter().zip(credentials.to_words()) {
            word.store(value, Ordering::Relaxed);
        }
    }

    /// The submitter's credentials, in the pool.
    pub fn credentials(&self) -> Credentials {
        let [low, high] = &self.credentials;
        Credentials::from_words([low.load(Ordering::Relaxed), high.load(Ordering::Relaxed)])
    }

    /// Keeps the file open until [`Request::unpin`]; `identity` for a later look whether the pin is
    /// still ours. The caller is the only one at work on the request.
    pub fn set_pin(&self, file: OwnedFd, identity: Option<Identity>) {
        // SAFETY: those that look at the cell come later: a worker, or the last reference.
        unsafe { *self.pinned.get() = identity };
        // Relaxed: a forked child reads it, in a copy of this thread's memory.
        self.pin.set(Some(file.into_raw()), Ordering::Relaxed);
    }

    /// As [`Request::set_pin`], with a pin that others use, too.
    pub fn set_share(&self, share: Share) {
        // SAFETY: as in `set_pin`.
        unsafe { (*self.share.get(), *self.pinned.get()) = (Some(share), share.file) };
        // Relaxed: as in `set_pin`.
        self.pin.set(Some(share.pin), Ordering::Relaxed);
    }

    /// The share, as long as the file is held by that. The caller is the only one at work on the
    /// request.
    pub fn share(&self) -> Option<Share> {
        // SAFETY: see `set_pin`.
        unsafe { *self.share.get() }.filter(|share| self.pin() == Some(share.pin))
    }

    /// Takes the share out. The caller dropped the last reference.
    pub fn take_share(&self) -> Option<Share> {
        if self.share().is_some() {
            self.pin.set(None, Ordering::Relaxed);
        }
        // SAFETY: see `set_pin`.
        unsafe { (*self.share.get()).take() }
    }

    /// Our duplicate of the file.
    pub fn pin(&self) -> Option<i32> {
        self.pin.get(Ordering::Relaxed)
    }

    /// Notes which file it is, without a pin. The caller is the only one at work on the request.
    pub fn set_file(&self, file: Identity) {
        // SAFETY: see `set_pin`.
        unsafe { *self.pinned.get() = Some(file) };
    }

    /// Which file it is, if that was noted. The caller is the only one at work on the request.
    pub fn file(&self) -> Option<Identity> {
        // SAFETY: see `set_pin`.
        unsafe { *self.pinned.get() }
    }

    /// Takes the pin out, whatever it is by now.
    pub fn take_pin(&self) -> Option<OwnedFd> {
        self.pin.replace(None, Ordering::Relaxed).map(OwnedFd::from_raw)
    }

    /// Whether the pin still holds the file. The caller is the only one at work on the request.
    pub fn is_pin_intact(&self) -> bool {
        // SAFETY: see `set_pin`.
        let pinned = unsafe { *self.pinned.get() };
        match (self.pin(), pinned) {
            (Some(pin), Some(file)) => file.is_behind(pin),
            (pin, _) => pin.is_some(),
        }
    }

    /// Notes where the file ends, before a worker gets the request.
    pub fn set_size(&self, size: u64) {
        // Relaxed: the lock of the queue publishes it.
        self.size.store(size, Ordering::Relaxed);
    }

    /// Where the file ended at submission; `u64::MAX`: nobody has looked, or it has no end.
    pub fn size(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }

    /// Lets the file go; `None` if there is no pin, or it is the program's by now.
    pub fn unpin(&self) -> Option<OwnedFd> {
        let is_intact = self.is_pin_intact();
        let pin = self.take_pin()?;
        if is_intact {
            return Some(pin);
        }
        let _ = pin.into_raw();
        None
    }

    /// Decides the outcome, after a won claim and before the `put` that follows.
    pub fn set_result(&self, result: i64) {
        // Relaxed: `State::put` publishes it.
        self.result.store(result as u64, Ordering::Relaxed);
    }

    /// The outcome. The caller dropped the last reference.
    pub fn result(&self) -> i64 {
        self.result.load(Ordering::Relaxed) as i64
    }

    /// Gives the request an eventfd to signal. The caller is the submitter and has not armed it.
    pub fn set_resfd(&self, resfd: Option<Resfd>) {
        // SAFETY: until the request is armed only the submitter looks at the cell; cancellation,
        // which can find the request already, does not.
        unsafe { *self.resfd.get() = resfd };
    }

    /// Takes the resfd out. The caller dropped the last reference.
    pub fn take_resfd(&self) -> Option<Resfd> {
        // SAFETY: nobody else has a reference.
        unsafe { (*self.resfd.get()).take() }
    }
}

#[derive(Debug, Default, Zeroable)]
struct Free {
    /// Index + 1 of the first free request, linked by `links.next`; 0 is none.
    head: u32,
    /// Requests below this index exist.
    high: u32,
}

/// The requests of one context. All-zero memory is an empty slab.
#[derive(Debug, Default, Zeroable)]
pub struct Slab {
    free: Lock<Free, true>,
    requests: Chunked<Request>,
    keys: Keys,
}

impl Slab {
    /// Makes a request with two references: the caller's, and the one for the asynchronous side.
    /// EAGAIN: no memory.
    pub fn insert(&self, work: Work) -> Result<&Request> {
        let mut free = self.free.lock();
        let request = match free.head {
            0 => {
                let index = free.high;
                if index >= Chunked::<Request>::MAX {
                    return Err(Errno::AGAIN);
                }
                self.keys.reserve(index).map_err(|_| Errno::AGAIN)?;
                let request = self.requests.reserve(index).map_err(|_| Errno::AGAIN)?;
                request.index.store(index, Ordering::Relaxed);
                free.high += 1;
                request
            }
            head => {
                let request = self.requests.get(head - 1).ok_or(Errno::AGAIN)?;
                free.head = request.links.next_free();
                request
            }
        };
        request.generation.fetch_add(1, Ordering::Relaxed);
        request.pin.set(None, Ordering::Relaxed);
        request.size.store(u64::MAX, Ordering::Relaxed);
        request.registration.store(0, Ordering::Relaxed);
        request.watch.set(None, Ordering::Relaxed);
        request.set_owner(Owner::Nobody);
        request.ring.is_cancelled.store(false, Ordering::Relaxed);
        let iocb = work.iocb;
        // SAFETY: the place is free, so nobody else looks at the cells; what they hold is `None`
        // from `remove`, or zeros, neither of which needs dropping.
        unsafe {
            request.pinned.get().write(None);
            request.share.get().write(None);
            request.work.get().write(Some(work));
            request.resfd.get().write(None);
        }
        request.state.begin();
        self.keys.insert(request.index(), iocb);
        Ok(request)
    }

    /// Ends a request. The caller dropped the last reference.
    pub fn remove(&self, request: &Request) {
        // SAFETY: nobody else has a reference.
        let work = unsafe { (*request.work.get()).take() };
        drop(work);
        let mut free = self.free.lock();
        self.keys.remove(request.index());
        request.links.set_next_free(free.head);
        free.head = request.index() + 1;
    }

    /// The request at `index`.
    pub fn get(&self, index: u32) -> Option<&Request> {
        self.requests.get(index)
    }

    /// The oldest armed request made from `iocb` whose outcome is open, with a reference for the
    /// caller.
    pub fn hold_oldest(&self, iocb: usize) -> Option<&Request> {
        let _free = self.free.lock();
        let is_open = |index| self.get(index).is_some_and(|request| request.state.is_open());
        loop {
            let request = self.get(self.keys.oldest(iocb, is_open)?)?;
            // If its last reference is gone, it was decided just now, and is not found again.
            if request.state.try_hold() {
                return Some(request);
            }
        }
    }

    /// Some armed request at or after `from` whose outcome is open, with a reference for the
    /// caller, and where to go on.
    pub fn hold_next(&self, from: u32) -> Option<(&Request, u32)> {
        let free = self.free.lock();
        for index in from..free.high {
            if !self.keys.is_used(index) {
                continue;
            }
            let Some(request) = self.requests.get(index) else { continue };
            if request.state.is_open() && request.state.try_hold() {
                return Some((request, index + 1));
            }
        }
        None
    }

    /// Calls `visit` with every descriptor that pins a file: for a forked child.
    pub fn for_each_pin(&self, mut visit: impl FnMut(i32)) {
        self.requests.for_each(|_, request| {
            if let Some(pin) = request.pin().filter(|_| request.is_pin_intact()) {
                visit(pin);
            }
            if let Some(watch @ 0..) = request.watch.get(Ordering::Relaxed) {
                visit(watch);
            }
        });
    }

    /// Gives all memory back.
    ///
    /// # Safety
    /// No request is alive and no other thread uses the slab.
    pub unsafe fn clear(&self) {
        *self.free.lock() = Free::default();
        // SAFETY: the caller's promise.
        unsafe {
            self.requests.clear();
            self.keys.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::state::{Claim, Put, State};

    fn work(iocb: usize) -> Work {
        Work { data: 7, iocb, fd: 0, task: Task::Poll { events: 1 } }
    }

    fn end(slab: &Slab, request: &Request) {
        let _ = request.state.put();
        assert_eq!(request.state.put(), Put::Last);
        slab.remove(request);
    }

    #[test]
    fn the_oldest_of_one_iocb_is_found_first() {
        let slab = Slab::default();
        let others = slab.insert(work(0x9000)).unwrap();
        let first = slab.insert(work(0x1000)).unwrap();
        assert!(slab.hold_oldest(0x1000).is_none(), "not armed");
        first.state.arm();
        end(&slab, others);
        // Takes the place before `first`, yet is younger.
        let second = slab.insert(work(0x1000)).unwrap();
        second.state.arm();
        assert!(second.index() < first.index());
        assert_eq!(slab.hold_oldest(0x1000).unwrap().index(), first.index());
        assert_eq!(first.state.claim(), Claim::Won);
        assert_eq!(slab.hold_oldest(0x1000).unwrap().index(), second.index());
        assert!(slab.hold_oldest(0x2000).is_none());
    }

    #[test]
    fn places_are_used_again_with_a_new_generation() {
        let slab = Slab::default();
        let request = slab.insert(work(0x1000)).unwrap();
        let (index, generation) = (request.index(), request.generation());
        end(&slab, request);
        assert!(slab.hold_oldest(0x1000).is_none());
        let next = slab.insert(work(0x2000)).unwrap();
        assert_eq!(next.index(), index);
        assert_ne!(next.generation(), generation);
        assert_eq!(next.work().unwrap().iocb, 0x2000);
    }

    #[test]
    fn many_requests_live_at_once() {
        let slab = Slab::default();
        for index in 0..10_000 {
            let request = slab.insert(work(index + 1)).unwrap();
            request.state.arm();
            assert_eq!(request.index() as usize, index);
        }
        let mut seen = 0;
        let mut next = 0;
        while let Some((request, following)) = slab.hold_next(next) {
            assert_eq!(request.work().unwrap().iocb, seen + 1);
            seen += 1;
            next = following;
        }
        assert_eq!(seen, 10_000);
        // SAFETY: the test is the only user.
        unsafe { slab.clear() };
        assert!(slab.get(0).is_none());
    }

    #[test]
    fn the_second_of_two_references_is_the_last() {
        let state = State::default();
        state.begin();
        assert_eq!(state.put(), Put::Shared);
        assert_eq!(state.put(), Put::Last);
        assert!(!state.try_hold());
    }

    #[test]
    fn only_one_claim_wins_and_a_holder_delays_the_end() {
        let state = State::default();
        state.begin();
        assert!(state.try_hold());
        assert_eq!(state.claim(), Claim::Won);
        assert_eq!(state.claim(), Claim::Lost);
        assert_eq!(state.put(), Put::Shared);
        assert_eq!(state.put(), Put::Shared);
        assert_eq!(state.put(), Put::Last);
    }

    #[test]
    fn a_new_life_starts_unclaimed() {
        let state = State::default();
        state.begin();
        assert_eq!(state.claim(), Claim::Won);
        assert!(!state.is_open());
        state.begin();
        assert!(!state.is_open());
        state.arm();
        assert!(state.is_open());
    }
}
