//! Instances of io_uring: a submission queue that callers fill and enter by themselves, and a
//! completion queue that any thread may empty.
//!
//! An instance serves one context at a time. It is made when a context first needs it and kept for
//! others when the context is destroyed ([`cache`]). Nothing here knows what is submitted.
//!
//! *The program may close or replace our descriptor.* The mappings hold the instance, so
//! completions come in any case. Threads enter it by a place that they have registered it in
//! (`places`), which no program can replace, or by its number after a look whether it is still
//! ours. An instance is *broken* when the kernel has begun to refuse entries: nothing is submitted
//! to it any more.
//!
//! *Who may touch what*: the submission queue under `submission`, with the entry to the kernel, so
//! that each thread submits only what it has filled in, with its own credentials; the head of the
//! completion queue under `harvest`.
//!
//! *Locks*: both are leaves, and never held together.
//!
//! *Orderings*: the kernel is the partner. Entries are written before the Release store of the
//! submission tail; completions are read after an Acquire load of the completion tail, and before
//! the Release store of the completion head.

pub mod cache;
pub mod files;
mod places;

use libc::timespec;
use linux_raw_sys::io_uring::{
    IORING_FEAT_EXT_ARG, IORING_FEAT_NODROP, IORING_FEAT_REG_REG_RING, IORING_FEAT_SINGLE_MMAP,
    IORING_FEAT_SUBMIT_STABLE, IORING_OFF_SQ_RING, IORING_OFF_SQES, IORING_SETUP_CLAMP,
    IORING_SETUP_CQSIZE, IORING_SETUP_NO_SQARRAY, IORING_SETUP_SUBMIT_ALL, IORING_SQ_CQ_OVERFLOW,
    io_uring_params,
};

use crate::config::{self, Choice};
use crate::lock::Lock;
use crate::sync::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use crate::sys::errno::{Errno, Result};
use crate::sys::fd::{self, OwnedFd};
use crate::sys::file_info::Identity;
use crate::sys::poll::SigSet;
use crate::sys::uring::{self, Cqe, Name, Sqe};
use crate::sys::{host, mmap};

/// `user_data` of completions that only wake sleepers.
pub const KICK: u64 = u64::MAX;

/// Entries of a submission queue: what one entry to the kernel takes at most.
const SUBMISSIONS: u32 = 64;
/// The most entries of a completion queue. What does not fit is kept by the kernel.
const MAX_COMPLETIONS: u32 = 4096;
/// Without these the engine does not work: they came with Linux 5.11.
const NEEDED: u32 =
    IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE | IORING_FEAT_EXT_ARG;
/// Flags of an instance, from the newest kernels (6.6) to the oldest. The caller enters the kernel
/// for nothing but to submit and to sleep, so completions must be posted without its help: no
/// IORING_SETUP_COOP_TASKRUN, with which a thread that computes would hold up others that wait.
const FLAGS: [u32; 3] = [
    IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_NO_SQARRAY,
    IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL,
    IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE,
];

/// Instances that exist. They may take half of the descriptors that the process may have: the
/// program needs the others.
static LIVE: AtomicU32 = AtomicU32::new(0);
/// The id of the next instance.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// Whether this process has ever had an instance. What its requests and its end leave behind runs
/// in threads that have used it, whenever they are in the kernel.
#[inline]
pub fn was_used() -> bool {
    NEXT.load(Ordering::Relaxed) > 1
}

fn may_make_more() -> bool {
    let limit = fd::limit(libc::RLIMIT_NOFILE).unwrap_or(u64::MAX);
    u64::from(LIVE.load(Ordering::Relaxed)) < limit / 2
}

/// A mapped range.
#[derive(Debug)]
struct Range {
    start: usize,
    len: usize,
}

impl Range {
    fn map(fd: &OwnedFd, len: usize, offset: u32) -> Result<Range> {
        let start = mmap::device(fd.raw(), len, u64::from(offset))?;
        let range = Range { start, len };
        // The kernel goes on writing there for the parent.
        mmap::dont_fork(start, len)?;
        Ok(range)
    }

    /// A field of the rings, shared with the kernel.
    fn word(&self, offset: u32) -> &AtomicU32 {
        let pointer = core::ptr::with_exposed_provenance_mut(self.start + offset as usize);
        // SAFETY: the kernel gave the offset, of an aligned word in this mapping, which lives as
        // long as `self`.
        unsafe { AtomicU32::from_ptr(pointer) }
    }
}

impl Drop for Range {
    fn drop(&mut self) {
        // SAFETY: `map` made it, and references into it borrow `self`.
        let _ = unsafe { mmap::unmap(self.start, self.len) };
    }
}

/// See the module.
#[derive(Debug)]
pub struct Instance {
    /// Never used again for another one.
    id: u64,
    fd: Option<OwnedFd>,
    identity: Identity,
    params: io_uring_params,
    rings: Range,
    entries: Range,
    is_broken: AtomicBool,
    /// Our tail of the submission queue.
    submission: Lock<u32>,
    harvest: Lock<()>,
}

/// The system does not want io_uring.
static IS_REFUSED: AtomicBool = AtomicBool::new(false);

/// Whether io_uring may be tried by the calling thread: not if the kernel has refused it, or the
/// environment has chosen another engine; and not under a filter of system calls, which may kill
/// for those that it does not know, if the environment does not ask for it.
pub fn may_work() -> bool {
    if IS_REFUSED.load(Ordering::Relaxed) || config::uring() == Choice::Excluded {
        return false;
    }
    if config::uring() != Choice::Chosen && host::has_filter() {
        refuse();
        return false;
    }
    true
}

/// Notes that io_uring is forbidden from now on.
fn refuse() {
    IS_REFUSED.store(true, Ordering::Relaxed);
}

/// Whether an error says that the system does not want io_uring, now or ever.
fn is_refusal(error: Errno) -> bool {
    matches!(error, Errno::NOSYS | Errno::PERM | Errno::ACCES)
}

/// Entries of the completion queue for a context of `capacity` slots.
pub fn completions_for(capacity: u32) -> u32 {
    capacity.clamp(2 * SUBMISSIONS, MAX_COMPLETIONS).next_power_of_two()
}

impl Instance {
    /// Makes an instance with `completions` entries, a power of two, in its completion queue. The
    /// caller is in a section of the fork gate.
    fn new(completions: u32) -> Result<Instance> {
        if !may_make_more() {
            return Err(Errno::AGAIN);
        }
        let mut made = Err(Errno::INVAL);
        // SAFETY: all-zero is a valid `io_uring_params`: integers.
        let mut params: io_uring_params = unsafe { core::mem::zeroed() };
        for flags in FLAGS {
            // SAFETY: as above.
            params = unsafe { core::mem::zeroed() };
            params.flags = flags;
            params.cq_entries = completions;
            made = uring::setup(SUBMISSIONS, &mut params);
            if made != Err(Errno::INVAL) {
                break;
            }
        }
        let fd = made?.raised();
        if params.features & NEEDED != NEEDED {
            return Err(Errno::NOSYS);
        }
        let sq_len = params.sq_off.array as usize + params.sq_entries as usize * size_of::<u32>();
        let cq_len = params.cq_off.cqes as usize + params.cq_entries as usize * size_of::<Cqe>();
        let entries_len = params.sq_entries as usize * size_of::<Sqe>();
        let instance = Instance {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            identity: Identity::of(fd.raw())?,
            rings: Range::map(&fd, sq_len.max(cq_len), IORING_OFF_SQ_RING)?,
            entries: Range::map(&fd, entries_len, IORING_OFF_SQES)?,
            fd: Some(fd),
            params,
            is_broken: AtomicBool::new(false),
            submission: Lock::new(0),
            harvest: Lock::new(()),
        };
        LIVE.fetch_add(1, Ordering::Relaxed);
        if params.flags & IORING_SETUP_NO_SQARRAY == 0 {
            for index in 0..params.sq_entries {
                let offset = params.sq_off.array + index * size_of::<u32>() as u32;
                instance.rings.word(offset).store(index, Ordering::Relaxed);
            }
        }
        Ok(instance)
    }

    /// The number of its descriptor, at which to poll for completions.
    pub fn descriptor(&self) -> i32 {
        self.fd.as_ref().map_or(-1, OwnedFd::raw)
    }

    /// Whether the number still means this instance.
    pub fn is_ours(&self) -> bool {
        self.identity.is_behind(self.descriptor())
    }

    /// Whether nothing can be submitted any more.
    pub fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Relaxed)
    }

    fn can_register(&self) -> bool {
        self.params.features & IORING_FEAT_REG_REG_RING != 0
    }

    /// Looks at an error of an entry to the kernel. Others than refusals are for the moment, or for
    /// this thread, which may have lost the descriptor where others are registered.
    #[cold]
    fn failed(&self, error: Errno) -> Errno {
        if is_refusal(error) {
            refuse();
            self.is_broken.store(true, Ordering::Relaxed);
        }
        error
    }

    /// Runs `enter` with the name of this instance in the calling thread.
    #[inline]
    fn enter<R>(&self, enter: impl Fn(Name) -> Result<R>) -> Result<R> {
        let name = places::name(self).map_err(|error| self.failed(error))?;
        enter(name).or_else(|error| match name {
            // The place is another task's: a child of vfork has the parent's variables.
            Name::Registered(_) if matches!(error, Errno::INVAL | Errno::BADF) => {
                places::forget(self);
                let name = places::name(self).map_err(|error| self.failed(error))?;
                enter(name).map_err(|error| self.failed(error))
            }
            _ => Err(self.failed(error)),
        })
    }

    /// Submits `count` entries; how many the kernel took, and why not all.
    pub fn submit(&self, count: usize, entry: impl Fn(usize) -> Sqe) -> (usize, Result<()>) {
        match self.is_broken() {
            true => (0, Err(Errno::BADF)),
            false => self.submit_anyway(count, entry),
        }
    }

    fn submit_anyway(&self, count: usize, entry: impl Fn(usize) -> Sqe) -> (usize, Result<()>) {
        let mut done = 0;
        let mut has_flushed = false;
        let head = self.rings.word(self.params.sq_off.head);
        let tail = self.rings.word(self.params.sq_off.tail);
        let mask = self.params.sq_entries - 1;
        let mut submission = self.submission.lock();
        while done < count {
            let first = *submission;
            let chunk = (count - done).min(self.params.sq_entries as usize) as u32;
            for index in 0..chunk {
                let place = (first.wrapping_add(index) & mask) as usize;
                let entries = core::ptr::with_exposed_provenance_mut::<Sqe>(self.entries.start);
                // SAFETY: `place` is below the number of entries; the kernel has consumed the
                // entry, since all that is submitted is consumed or taken back before the lock is
                // released.
                unsafe { entries.add(place).write_volatile(entry(done + index as usize)) };
            }
            // Release: publishes the entries to the kernel.
            tail.store(first.wrapping_add(chunk), Ordering::Release);
            let entered = self.enter(|name| uring::submit(name, chunk));
            // Acquire: pairs with the kernel's Release: consumed entries may be written again.
            let consumed = head.load(Ordering::Acquire).wrapping_sub(first).min(chunk);
            done += consumed as usize;
            *submission = first.wrapping_add(consumed);
            if consumed == chunk {
                continue;
            }
            // Release: takes the rest back.
            tail.store(*submission, Ordering::Release);
            match entered {
                Ok(_) if consumed > 0 => {}
                // Whatever that was, it was not this instance.
                Ok(_) => return (done, Err(Errno::BADF)),
                Err(Errno::BUSY) if !has_flushed => {
                    has_flushed = true;
                    if let Err(error) = self.enter(uring::flush) {
                        return (done, Err(error));
                    }
                }
                Err(error) => return (done, Err(error)),
            }
        }
        (done, Ok(()))
    }

    /// Keeps the kernel's workers for the calling thread on its CPU, as the kernel's own work
    /// queues do: to wake one on another CPU can take longer than all the rest.
    pub fn keep_io_wq_near(&self) {
        places::keep_io_wq_near(|cpu| self.enter(|name| uring::set_io_wq_cpu(name, cpu)).is_ok());
    }

    /// Ends the sleep of threads that wait for up to `count` completions.
    pub fn kick(&self, count: u32) {
        let kick = Sqe::nop().marked(KICK);
        // Also if others are refused: this thread may not be.
        let _ = self.submit_anyway(count.min(self.params.cq_entries) as usize, |_| kick);
    }

    /// Waits until `count` more completions are posted: see [`uring::wait`].
    pub fn wait(
        &self,
        count: u32,
        timeout: Option<&timespec>,
        mask: Option<&SigSet>,
    ) -> Result<()> {
        let count = count.min(self.params.cq_entries);
        self.enter(|name| uring::wait(name, count, timeout, mask))
    }

    /// Whether there are completions to take, or the kernel has to be asked for them.
    #[inline]
    pub fn needs_harvest(&self) -> bool {
        self.has_completions() || self.has_overflown()
    }

    /// Whether there are completions to take.
    #[inline]
    pub fn has_completions(&self) -> bool {
        // Acquire, both: pair with the kernel's Release of the tail, and with ours of the head.
        let tail = self.rings.word(self.params.cq_off.tail).load(Ordering::Acquire);
        tail != self.rings.word(self.params.cq_off.head).load(Ordering::Acquire)
    }

    /// Whether the kernel keeps completions for which there was no room.
    pub fn has_overflown(&self) -> bool {
        let flags = self.rings.word(self.params.sq_off.flags).load(Ordering::Relaxed);
        flags & IORING_SQ_CQ_OVERFLOW != 0
    }

    fn completion(&self, position: u32) -> Cqe {
        let cqes = core::ptr::with_exposed_provenance::<Cqe>(
            self.rings.start + self.params.cq_off.cqes as usize,
        );
        let place = (position & (self.params.cq_entries - 1)) as usize;
        // SAFETY: `place` is below the number of entries; callers pass positions between head and
        // tail, which the kernel does not write, and hold the lock, so that nobody moves the head.
        unsafe { cqes.add(place).read_volatile() }
    }

    /// Takes all completions that are there.
    pub fn harvest(&self, mut visit: impl FnMut(Cqe)) {
        let head = self.rings.word(self.params.cq_off.head);
        let tail = self.rings.word(self.params.cq_off.tail);
        let _harvest = self.harvest.lock();
        loop {
            let mut position = head.load(Ordering::Relaxed);
            // Acquire: pairs with the kernel's Release: the completions are there.
            let end = tail.load(Ordering::Acquire);
            while position != end {
                visit(self.completion(position));
                position = position.wrapping_add(1);
            }
            // Release: the completions are read before the kernel may overwrite them.
            head.store(position, Ordering::Release);
            if !self.has_overflown() || self.enter(uring::flush).is_err() {
                return;
            }
        }
    }

    /// Whether some completion that nobody has taken is like that.
    pub fn any(&self, mut is_it: impl FnMut(Cqe) -> bool) -> bool {
        let _harvest = self.harvest.lock();
        let mut position = self.rings.word(self.params.cq_off.head).load(Ordering::Relaxed);
        // Acquire: as in `harvest`.
        let end = self.rings.word(self.params.cq_off.tail).load(Ordering::Acquire);
        while position != end {
            if is_it(self.completion(position)) {
                return true;
            }
            position = position.wrapping_add(1);
        }
        false
    }

    /// Closes the inherited descriptor in a forked child, which has no mapping.
    pub fn close_after_fork(&self) {
        if let Some(fd) = &self.fd
            && self.is_ours()
        {
            fd::close(fd.raw());
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, Ordering::Relaxed);
        places::forget(self);
        places::closed();
        let is_ours = self.is_ours();
        if let Some(fd) = self.fd.take()
            && !is_ours
        {
            // The program's by now.
            let _ = fd.into_raw();
        }
    }
}

#[cfg(test)]
mod tests;
