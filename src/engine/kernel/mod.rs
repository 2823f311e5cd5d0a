//! The kernel engine: the kernel's own AIO does direct I/O and syncs, and waits for polls. It looks
//! at the program's iocbs by itself, in its order of errors, and completes requests in an
//! interrupt, in no thread of the program.
//!
//! The program's iocbs are submitted as they are. An event in the kernel's ring is the program's
//! event already: whoever looks copies it to the ring of the context. So there is nothing to
//! remember of a request but that it is one more in flight.
//!
//! *Room.* A context begins with the smallest instance there is, which is charged with one event of
//! fs.aio-max-nr. When it is full a larger one takes the submissions over, and the smaller one
//! stays until its requests are done. Polls may stay for ever, and no sleep is for two instances:
//! the first one goes to an instance that has room for all that the program has asked for.
//!
//! *Polls* are the only requests here that can be cancelled. The kernel finds them by the address
//! of their iocb (fs/aio.c, io_cancel); io_destroy cancels those that are remembered ([`polls`]).
//!
//! *Calls that are left* by a signal handler that jumps out of io_submit, or by io_destroy, which
//! does not wait for a handler above them: how many requests they have submitted, or events taken,
//! nobody knows. The count is in doubt from then on, and only the kernel can tell when nothing is
//! in flight: it destroys the instances.
//!
//! *Orderings*: see `needs_watch`.

pub mod in_place;
mod polls;

use core::ptr;

use bytemuck::Zeroable;
use libc::timespec;

use crate::aio_abi::Iocb;
use crate::completion::ring::Posting;
use crate::completion::waiters::INSTANCES;
use crate::completion::{Completions, CompletionsRef};
use crate::engine::Harvest;
use crate::engine::kernel::polls::Polled;
use crate::kaio::{Bag, Found, Instance, RESERVED, cache};
use crate::lock::Lock;
use crate::process::background::Background;
use crate::process::{fork_generation, reentrancy};
use crate::sync::{AtomicBool, AtomicPtr, AtomicU32, Ordering};
use crate::sys::errno::{Errno, Result};
use crate::sys::{clock, poll};

/// Submissions to go without a larger instance, after one could not be made.
const RETRY_AFTER: u32 = 256;
/// The most requests that an instance is made for, but for polls.
const MAX_CAPACITY: u32 = 4096;

/// The one of a context. All-zero memory has no instance.
#[derive(Debug, Zeroable)]
pub struct Kernel {
    /// The last one that is not null takes submissions. They stay until the context is closed. Each
    /// is larger than those before.
    instances: [AtomicPtr<Instance>; INSTANCES],
    making: Lock<()>,
    pause: AtomicU32,
    /// The harvester takes what is left, once the context is completed in the background.
    pub background: Background,
    /// The counts of requests in flight may be wrong.
    is_in_doubt: AtomicBool,
    /// The next events are likely to come from here: waiters sleep here before anything is in
    /// flight, so that nobody has to be woken for the submission.
    is_expected: AtomicBool,
    polled: Polled,
    has_no_cancel: AtomicBool,
    completions: CompletionsRef,
}

impl Kernel {
    /// Says where the events of this engine go.
    pub fn open(&self, completions: &'static Completions) {
        self.completions.set(completions);
        self.pause.store(0, Ordering::Relaxed);
        self.is_in_doubt.store(false, Ordering::Relaxed);
        self.is_expected.store(false, Ordering::Relaxed);
        self.polled.clear();
        self.has_no_cancel.store(false, Ordering::Relaxed);
        self.background.reset();
    }

    /// Where its events go.
    pub fn completions(&self) -> &'static Completions {
        self.completions.get()
    }

    fn instances(&self) -> impl DoubleEndedIterator<Item = &Instance> {
        // Acquire: pairs with the Release in `enlarge`.
        // SAFETY: they live until `close`, which comes when no call is inside the context.
        self.instances.iter().filter_map(|place| unsafe { place.load(Ordering::Acquire).as_ref() })
    }

    /// The instance where submissions go.
    #[inline]
    fn current(&self) -> Option<&Instance> {
        self.instances().next_back()
    }

    /// Where a thread has to sleep, or should: the first instance with requests, and whether it is
    /// the only one.
    pub fn bed(&self) -> Option<(&Instance, bool)> {
        let is_expected = self.is_expected.load(Ordering::Relaxed)
            // Others have something to do, and there are better ways to wait for that.
            && self.completions().in_flight() == 0;
        if !is_expected && !self.needs_watch() {
            return None;
        }
        let mut busy = self.instances().filter(|one| one.in_flight().load(Ordering::Relaxed) != 0);
        match busy.next() {
            Some(first) => Some((first, busy.next().is_none())),
            None => self.current().map(|current| (current, true)),
        }
    }

    /// Whether requests can be submitted; makes the first instance.
    #[inline]
    pub fn is_ready(&self) -> bool {
        cache::may_work() && (self.current().is_some() || self.enlarge(0))
    }

    /// Makes an instance for `wanted` requests, unless there is one; 0: a small one.
    #[cold]
    fn enlarge(&self, wanted: u32) -> bool {
        let pause = self.pause.load(Ordering::Relaxed);
        if pause > 0 {
            self.pause.store(pause - 1, Ordering::Relaxed);
            return false;
        }
        let _making = self.making.lock();
        if self.current().is_some_and(|current| current.capacity() >= wanted) {
            return true;
        }
        // SAFETY of the order: places are filled from the first on, under the lock.
        let place = self.instances.iter().find(|place| place.load(Ordering::Relaxed).is_null());
        let made = place.ok_or(Errno::AGAIN).and_then(|place| Ok((place, cache::acquire(wanted)?)));
        let Ok((place, instance)) = made else {
            self.pause.store(RETRY_AFTER, Ordering::Relaxed);
            return false;
        };
        let instance = Box::into_raw(instance);
        self.completions().waiters.add_kernel(instance);
        // Release: pairs with the Acquire in `instances`.
        place.store(instance, Ordering::Release);
        true
    }

    /// Makes an instance for more requests than fit `full`.
    #[cold]
    fn enlarge_beyond(&self, full: &Instance) -> bool {
        self.enlarge(self.room().min(MAX_CAPACITY).max(full.capacity() + 1))
    }

    /// As many requests as the program has asked for, or more.
    fn room(&self) -> u32 {
        self.completions().ring.nr().saturating_sub(2 * RESERVED)
    }

    /// Whether polls can be submitted, the one of the iocb at an address among others.
    #[inline]
    pub fn takes_poll(&self, iocb: usize) -> bool {
        let room = self.room();
        let has_room = self.current().is_some_and(|current| current.capacity() >= room);
        let takes = cache::may_work()
            && !self.has_no_cancel()
            && (has_room || self.enlarge(room))
            && (self.polled.is_used() || self.begin_polls());
        if takes {
            self.polled.note(iocb);
        }
        takes
    }

    /// The first poll comes. False: the kernel would not cancel it.
    #[cold]
    fn begin_polls(&self) -> bool {
        if !self.can_cancel() {
            return false;
        }
        // To make it later, when another thread runs, may take ten milliseconds (fs/file.c,
        // expand_fdtable waits for a grace period).
        cache::can_kick();
        self.polled.begin();
        // They sleep with a limit from now on: see `is_reachable`.
        self.completions().waiters.wake_kernel_waiters();
        true
    }

    /// Whether polls have been submitted: requests that may stay for ever.
    #[inline]
    pub fn has_polls(&self) -> bool {
        self.polled.is_used()
    }

    /// Whether kicks reach those that sleep in an instance. fs/aio.c, get_reqs_available: a CPU may
    /// find no slot though others keep some. Beside reads and syncs that is no matter: their events
    /// come and end the sleep. Polls may never come.
    pub fn is_reachable(&self, instance: &Instance) -> bool {
        // SeqCst: as in `needs_watch`, for `submit`, which wakes when it changes this.
        let now = instance.in_flight().load(Ordering::SeqCst);
        cache::can_kick() && !(self.has_polls() && now > instance.sure_capacity())
    }

    /// Whether the kernel would cancel polls.
    #[cold]
    fn can_cancel(&self) -> bool {
        if let Some(current) = self.current() {
            // fs/aio.c, io_cancel: EINVAL, this one was not submitted.
            let stranger = Iocb::default();
            let _ = self.cancel_in(current, (&raw const stranger).addr());
        }
        !self.has_no_cancel()
    }

    /// Cancels a poll that was made from the iocb at an address. True: its event will come.
    pub fn cancel_poll(&self, iocb: usize) -> bool {
        self.polled.is_used() && self.instances().any(|instance| self.cancel_in(instance, iocb))
    }

    fn cancel_in(&self, instance: &Instance, iocb: usize) -> bool {
        let cancelled = instance.cancel(iocb);
        if matches!(cancelled, Err(Errno::PERM | Errno::NOSYS | Errno::ACCES)) {
            // A sandbox forbids it.
            self.has_no_cancel.store(true, Ordering::Relaxed);
        }
        cancelled == Err(Errno::INPROGRESS)
    }

    /// Whether waiters have to look for events, or sleep in an instance.
    #[inline]
    pub fn needs_watch(&self) -> bool {
        // SeqCst: a waiter that joined the list before it looks here is seen by `submit`, or sees
        // the request.
        self.instances().any(|instance| instance.in_flight().load(Ordering::SeqCst) != 0)
            || self.is_in_doubt.load(Ordering::Relaxed)
    }

    /// Whether a look at the rings is worth while.
    #[inline]
    pub fn has_completions(&self) -> bool {
        self.instances().any(Instance::has_events)
    }

    /// Submits `count` iocbs, whose addresses are in the program's array at `iocbs`, and which hold
    /// slots; how many were accepted. Errors: the kernel's for the first one, EAGAIN if there is no
    /// room.
    pub fn submit(&self, count: u32, iocbs: usize) -> Result<usize> {
        let mut instance = self.current().ok_or(Errno::AGAIN)?;
        let now = instance.in_flight().load(Ordering::Relaxed);
        if now.saturating_add(count) > instance.capacity() && self.enlarge_beyond(instance) {
            instance = self.current().ok_or(Errno::AGAIN)?;
        }
        let now = instance.in_flight().load(Ordering::Relaxed);
        let count = count.min(instance.capacity().saturating_sub(now));
        if count == 0 {
            return Err(Errno::AGAIN);
        }
        // SeqCst: see `needs_watch`. Before the submission, which may complete at once.
        let before = instance.in_flight().fetch_add(count, Ordering::SeqCst);
        if before == 0 {
            self.call_waiters();
            if !self.is_expected.load(Ordering::Relaxed) {
                self.is_expected.store(true, Ordering::Relaxed);
            }
        }
        let sure = instance.sure_capacity();
        if self.has_polls() && before <= sure && before + count > sure {
            // As long as they can be: see `is_reachable`.
            self.completions().waiters.wake_kernel_waiters();
        }
        let submitted = reentrancy::lifted(|| instance.submit(count as usize, iocbs));
        let rest = count - submitted.unwrap_or(0) as u32;
        if rest > 0 {
            instance.in_flight().fetch_sub(rest, Ordering::Relaxed);
        }
        match submitted {
            // fs/aio.c, get_reqs_available: slots that other CPUs have are not to be had.
            Err(Errno::AGAIN) if !fork_generation::is_forked() && self.enlarge_beyond(instance) => {
                self.submit(count, iocbs)
            }
            submitted => submitted,
        }
    }

    /// Something is on its way to an instance that had nothing in flight. Waiters have to
    /// know that before it gets there: the next submission of another thread does not wake them, and
    /// this one may sleep.
    #[inline]
    fn call_waiters(&self) {
        let waiters = &self.completions().waiters;
        match self.instances().count() {
            1 => waiters.wake_non_kernel_waiters(),
            // Those in another instance shall not rely on that one.
            _ => waiters.wake_all(),
        }
    }

    /// The kernel has refused something that nothing seems to be wrong with: perhaps a sandbox has
    /// forbidden the call.
    #[cold]
    pub fn note_refusal(&self, refusal: Errno) {
        if matches!(refusal, Errno::PERM | Errno::NOSYS | Errno::ACCES)
            && self.current().is_some_and(|instance| instance.submit(0, 0) == Err(refusal))
        {
            cache::refuse();
        }
    }

    /// Visits the results of what nobody has taken.
    pub fn for_each_result(&self, mut visit: impl FnMut(i64)) {
        self.instances().for_each(|instance| instance.for_each(|event| visit(event.res)));
    }

    /// Events that nobody has taken, of what was submitted last and before.
    #[inline]
    pub fn events_there(&self) -> u32 {
        self.current().map_or(0, Instance::events_there)
    }

    /// After a submission: what is done already goes to the ring of the context, as in the kernel.
    pub fn submitter_done(&self) {
        // Waiters will do it; they would have to be woken if we did.
        if self.completions().waiters.is_empty() {
            self.harvest_and_wake();
        }
    }

    /// Takes the events that are there, and wakes whom they satisfy.
    pub fn harvest_and_wake(&self) {
        let harvest = self.harvest(usize::MAX);
        harvest.wake_waiters(self.completions());
    }

    /// Takes the events that are there; `most`: see [`Instance::harvest`].
    /// [`Harvest::wake_waiters`] is due.
    pub fn harvest(&self, most: usize) -> Harvest {
        let mut harvest = Harvest::default();
        for instance in self.instances().filter(|instance| instance.has_events()) {
            harvest = harvest.and(
                self.take(instance, |posting| instance.harvest(most, |event| posting.post(event))),
            );
        }
        harvest
    }

    /// Takes what a sleeper has brought. [`Harvest::wake_waiters`] is due.
    pub fn unpack(&self, instance: &Instance, bag: Option<&mut Bag>) -> Harvest {
        let has_theirs = bag.is_none();
        let harvest =
            self.take(instance, |posting| instance.unpack(bag, |event| posting.post(event)));
        // The lock of the ring is inside that of the instance.
        instance.get_up(has_theirs);
        harvest
    }

    /// Takes what a sleeper has left in the bag of the instance. [`Harvest::wake_waiters`] is due.
    pub fn unpack_left(&self, instance: &Instance) -> Harvest {
        instance.recount();
        self.unpack(instance, None)
    }

    /// Posts what `take` finds in an instance.
    #[inline]
    fn take(&self, instance: &Instance, take: impl FnOnce(&mut Posting<'_>) -> Found) -> Harvest {
        let mut posting = self.completions().ring.post_all();
        let found = take(&mut posting);
        // The events are there before nothing is in flight any more.
        drop(posting);
        if found.events > 0 {
            instance.in_flight().fetch_sub(found.events, Ordering::Relaxed);
        }
        if found.others > 0 && found.events == 0 {
            // Others may have brought what was waited for.
            self.note_vain_sleep();
        }
        Harvest {
            has_taken: found.events + found.others > 0,
            has_kicks: found.others > 0,
            has_watch: found.has_watch,
        }
    }

    /// A sleep here was not ended by an event: if nothing is in flight, nothing is expected.
    /// Whether that is so.
    pub fn note_vain_sleep(&self) -> bool {
        let is_idle = !self.needs_watch();
        if is_idle {
            self.is_expected.store(false, Ordering::Relaxed);
        }
        is_idle
    }

    /// A call may have been left in the middle of a submission, or with events that it has taken.
    pub fn doubt(&self) {
        if self.current().is_some() {
            self.is_in_doubt.store(true, Ordering::Relaxed);
        }
    }

    /// Waits until nothing is in flight, whatever signals come.
    pub fn drain(&self) {
        const MAX_SLEEP: timespec = timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        const LOOK_INTERVAL: timespec = timespec { tv_sec: 0, tv_nsec: 1_000_000 };
        /// fs/aio.c, aio_poll_cancel: a thread of the kernel sends the events of cancelled polls.
        const MAX_SLEEP_FOR_POLLS: timespec = timespec { tv_sec: 0, tv_nsec: 2_000_000 };
        self.harvest_and_wake();
        let may_have_polls = !self.cancel_polls();
        let longest = if may_have_polls { MAX_SLEEP_FOR_POLLS } else { MAX_SLEEP };
        loop {
            if self.is_in_doubt.load(Ordering::Relaxed) {
                return self.instances().for_each(Instance::end);
            }
            self.harvest_and_wake();
            if !self.needs_watch() {
                break;
            }
            let Some((bed, _)) = self.bed() else { return };
            let mut bag = Bag::new();
            let mut bag = (!bed.fall_asleep()).then_some(&mut bag);
            let slept = bed.sleep(1, usize::MAX, bag.as_deref_mut(), Some(&longest), None);
            self.unpack(bed, bag).wake_waiters(self.completions());
            if may_have_polls && slept != Ok(true) {
                // The kernel finds them, and waits for what else is slow.
                let is_busy = |one: &&Instance| one.in_flight().load(Ordering::Relaxed) != 0;
                return self.instances().filter(is_busy).for_each(Instance::end);
            } else if !matches!(slept, Ok(_) | Err(Errno::INTR)) {
                let _ = poll::wait(&mut [], Some(&LOOK_INTERVAL), None);
            }
        }
        if self.has_polls() {
            wait_for_files();
        }
    }

    /// Cancels the polls that are remembered. False: there may be others, or reads and syncs.
    fn cancel_polls(&self) -> bool {
        if !self.polled.is_used() {
            return true;
        }
        let in_flight = |one: &Instance| one.in_flight().load(Ordering::Relaxed);
        let before: u32 = self.instances().map(in_flight).sum();
        let cancelled = match before {
            0 => 0,
            _ => self.polled.iter().map(|iocb| self.cancel_all(iocb)).sum(),
        };
        cancelled >= before
    }

    /// Cancels all polls that were made from the iocb at an address; how many.
    fn cancel_all(&self, iocb: usize) -> u32 {
        core::iter::repeat_with(|| self.cancel_poll(iocb))
            .take_while(|&was_there| was_there)
            .count() as u32
    }

    fn has_no_cancel(&self) -> bool {
        self.has_no_cancel.load(Ordering::Relaxed)
    }

    /// Gives the instances back. Nothing is in flight; no call is inside.
    pub fn close(&self) {
        self.completions().waiters.clear_kernel();
        for place in &self.instances {
            let instance = place.swap(ptr::null_mut(), Ordering::Relaxed);
            if !instance.is_null() {
                // SAFETY: `enlarge` took it out of a box, and nobody uses it any more.
                let instance = unsafe { Box::from_raw(instance) };
                if !instance.has_ended() {
                    instance.clear();
                    cache::release(instance);
                }
            }
        }
    }

    /// Forgets what belongs to the parent of a forked child.
    pub fn forget(&self) {
        for place in &self.instances {
            place.store(ptr::null_mut(), Ordering::Relaxed);
        }
    }
}

/// Waits until the files of polls that have ended are let go: who calls io_destroy relies on it, as
/// the kernel's own takes longer than that. A thread of the kernel ends them, and what such a thread
/// puts away is closed at the third tick at the latest (fs/aio.c, aio_poll_complete_work;
/// fs/file_table.c, fput). Nothing tells when that is done.
fn wait_for_files() {
    let tick = clock::tick();
    let end = clock::after(&timespec { tv_sec: 0, tv_nsec: (3 * tick.tv_nsec).min(50_000_000) });
    while !clock::is_over(&end) {
        let _ = poll::wait(&mut [], Some(&clock::until(&end)), None);
    }
}
