//! Engines: how reads, writes and syncs are done.
//!
//! *The contract.* A context knows [`Engines`] and [`Engine`], and not what is behind them. An iocb
//! goes one of three ways:
//! - As it is, with its neighbours, to an engine that reads the program's iocbs by itself
//!   ([`Engines::submit_iocbs`]). There is no request of ours; the engine brings the event.
//! - Decoded, and the calling thread does it ([`Engines::transfer_here`], [`Engines::sync_here`]).
//! - Decoded, and an engine starts it ([`Engines::start`]). The engine makes a request with two
//!   references and puts one of them when the outcome is decided, in any thread: it claims the
//!   request, stores the result and puts its reference.
//!
//! An engine may keep what it has started until [`Engines::flush`], which ends every io_submit and
//! precedes everything that must not overtake it. It posts events when somebody calls
//! [`Engine::harvest`], or by itself if [`Engine::background`] is `None`. Waiters sleep
//! in its [`Bed`].
//!
//! What the kernel does inside io_submit is done in the caller, in the same order, with the same
//! signals and credentials; what it does asynchronously goes to an asynchronous engine
//! ([`placement`]).

pub mod batch;
pub mod bed;
mod caller;
mod idle;
pub mod inline;
mod kernel;
pub mod placement;
mod pool;
pub mod stream;
mod uring;
pub mod work;

use bytemuck::Zeroable;
use libc::timespec;

use crate::completion::Completions;
use crate::engine::batch::{Batch, Checked};
use crate::engine::bed::Bed;
use crate::engine::kernel::Kernel;
use crate::engine::pool::PoolQueue;
use crate::engine::uring::Uring;
use crate::engine::work::Shield;
use crate::kaio;
use crate::process::background::Background;
use crate::process::reentrancy;
use crate::request::{Owner, Request, Task};
use crate::sys::errno::{Errno, Result};
use crate::sys::fd::StatusFlags;
use crate::sys::poll;

pub use kernel::in_place::{InPlace, is_empty, is_kernels};

/// A thread that takes kicks meant for other threads again and again sleeps for so long in between.
const KICK_PAUSE: timespec = timespec { tv_sec: 0, tv_nsec: 1_000_000 };

/// How one operation is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// By the caller, before io_submit returns.
    Caller,
    /// By an asynchronous engine.
    Asynchronous,
}

/// What became of an operation that an engine was to start.
#[derive(Debug)]
#[must_use]
pub enum Started {
    /// Its event will come.
    Asynchronous,
    /// Nothing was done: the caller has to do it.
    Caller(Task),
}

/// What a harvest of completions found. Waiters have to be woken for it
/// ([`Harvest::wake_waiters`]), once the caller has taken its events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Harvest {
    /// Completions were taken.
    pub has_taken: bool,
    /// Some of them were meant to wake somebody.
    pub has_kicks: bool,
    /// The watch has fired that a sleeper in the kernel's AIO relies on.
    pub has_watch: bool,
}

impl Harvest {
    /// Both together.
    pub fn and(self, other: Harvest) -> Harvest {
        Harvest {
            has_taken: self.has_taken || other.has_taken,
            has_kicks: self.has_kicks || other.has_kicks,
            has_watch: self.has_watch || other.has_watch,
        }
    }

    /// Wakes whom the events that are left satisfy.
    #[inline]
    pub fn wake_waiters(self, completions: &Completions) {
        if self.has_taken {
            let occupancy = || completions.ring.occupancy();
            if completions.waiters.notify_after_harvest(self.has_kicks, occupancy) {
                let _ = reentrancy::blocking(|| poll::wait(&mut [], Some(&KICK_PAUSE), None));
            }
            if self.has_watch {
                completions.waiters.wake_kernel_waiters();
            }
        }
    }
}

/// One of the engines of a context.
#[derive(Clone, Copy, Debug)]
pub enum Engine<'c> {
    /// The kernel's AIO.
    Kernel(&'c Kernel),
    /// io_uring.
    Uring(&'c Uring),
    /// Threads.
    Pool(&'c PoolQueue),
}

impl Engine<'_> {
    /// Whether the harvester serves it; `None`: its events need no harvest.
    pub fn background(&self) -> Option<&Background> {
        match self {
            Engine::Kernel(kernel) => Some(&kernel.background),
            Engine::Uring(uring) => Some(&uring.background),
            Engine::Pool(_) => None,
        }
    }

    /// Whether there may be something to harvest, now or later.
    pub fn is_in_use(self) -> bool {
        match self {
            Engine::Kernel(kernel) => kernel.needs_watch(),
            Engine::Uring(uring) => uring.instance().is_some(),
            Engine::Pool(_) => false,
        }
    }

    /// Whether it has a descriptor that becomes readable with completions, unless the program has
    /// closed that.
    pub fn has_descriptor(self) -> bool {
        matches!(self, Engine::Uring(_))
    }

    /// That descriptor, if it is there.
    pub fn descriptor(self) -> Option<i32> {
        match self {
            Engine::Uring(uring) => uring.descriptor(),
            Engine::Kernel(_) | Engine::Pool(_) => None,
        }
    }

    /// Whether waiters have to look for completions.
    #[inline]
    fn needs_watch(self) -> bool {
        match self {
            Engine::Kernel(kernel) => kernel.needs_watch(),
            Engine::Uring(uring) => uring.needs_watch(),
            Engine::Pool(_) => false,
        }
    }

    /// Takes completions that are there. Those beyond `most` events may be left to other threads.
    /// [`Harvest::wake_waiters`] is due.
    #[inline]
    pub fn harvest(self, most: usize) -> Harvest {
        match self {
            Engine::Kernel(kernel) if kernel.has_completions() => kernel.harvest(most),
            Engine::Uring(uring) if uring.has_completions() => uring.harvest(),
            _ => Harvest::default(),
        }
    }

    /// The same, and wakes whom their events satisfy.
    pub fn harvest_and_wake(self) {
        match self {
            Engine::Kernel(kernel) => kernel.harvest_and_wake(),
            Engine::Uring(uring) => uring.harvest_and_wake(),
            Engine::Pool(_) => {}
        }
    }

    /// Waits until nothing is in flight, whatever signals come. What workers are at completes by
    /// itself.
    fn drain(self) {
        match self {
            Engine::Kernel(kernel) => kernel.drain(),
            Engine::Uring(uring) => uring.drain(),
            Engine::Pool(_) => {}
        }
    }

    /// Gives back what belongs to the context. Nothing is in flight; no call is inside.
    fn close(self) {
        match self {
            Engine::Kernel(kernel) => kernel.close(),
            Engine::Uring(uring) => uring.close(),
            Engine::Pool(_) => {}
        }
    }

    /// Forgets what belongs to the parent of a forked child, and closes what it has inherited.
    fn forget(self) {
        match self {
            Engine::Kernel(kernel) => kernel.forget(),
            Engine::Uring(uring) => uring.forget(),
            Engine::Pool(_) => {}
        }
    }

    /// One word that means this engine: its address, which is a multiple of 4, and its kind.
    pub fn to_word(self) -> usize {
        match self {
            Engine::Kernel(kernel) => core::ptr::from_ref(kernel).expose_provenance() | 1,
            Engine::Uring(uring) => core::ptr::from_ref(uring).expose_provenance() | 2,
            Engine::Pool(queue) => core::ptr::from_ref(queue).expose_provenance() | 3,
        }
    }
}

impl Engine<'static> {
    /// The engine that a word means.
    ///
    /// # Safety
    /// The word came from [`Engine::to_word`] of an `Engine<'static>`.
    pub unsafe fn from_word(word: usize) -> Option<Engine<'static>> {
        fn at<T>(address: usize) -> *const T {
            core::ptr::with_exposed_provenance(address)
        }
        let (address, kind) = (word & !3, word & 3);
        match kind {
            // SAFETY: the caller's promise; the kind tells the type.
            1 => Some(Engine::Kernel(unsafe { &*at(address) })),
            // SAFETY: as above.
            2 => Some(Engine::Uring(unsafe { &*at(address) })),
            // SAFETY: as above.
            3 => Some(Engine::Pool(unsafe { &*at(address) })),
            _ => None,
        }
    }
}

/// The engines of a context. All-zero memory has nothing in them.
#[derive(Debug, Zeroable)]
pub struct Engines {
    kernel: Kernel,
    uring: Uring,
    pool: PoolQueue,
}

impl Engines {
    /// A context begins, whose events go to `completions`.
    pub fn open(&'static self, completions: &'static Completions) {
        self.kernel.open(completions);
        self.uring.open(completions, &self.pool);
        self.pool.open(completions);
    }

    /// All of them, the best one first.
    #[inline]
    pub fn all(&self) -> [Engine<'_>; 3] {
        [Engine::Kernel(&self.kernel), Engine::Uring(&self.uring), Engine::Pool(&self.pool)]
    }

    fn completions(&self) -> &'static Completions {
        self.kernel.completions()
    }

    /// Where an asynchronous operation is started now; `by_number`: the engine may look the file up
    /// by the program's number.
    #[inline]
    pub fn choose(&self, by_number: bool) -> Engine<'_> {
        match by_number && self.uring.is_ready() {
            true => Engine::Uring(&self.uring),
            false => self.last_resort(),
        }
    }

    /// The engine that is always there, and needs no harvest.
    pub fn last_resort(&self) -> Engine<'_> {
        Engine::Pool(&self.pool)
    }

    /// Whether the program's iocbs can be submitted as they are.
    #[inline]
    pub fn take_iocbs(&self) -> bool {
        self.kernel.is_ready()
    }

    /// Whether one that is a poll can, the one at this address.
    #[inline]
    pub fn take_poll(&self, iocb: usize) -> bool {
        self.kernel.takes_poll(iocb)
    }

    /// Submits `count` of the program's iocbs, whose addresses are in the array at `iocbs`, and
    /// which hold slots; how many were accepted. Errors: the kernel's for the first one, EAGAIN if
    /// there is no room. [`Engines::end_iocbs`] is due.
    #[inline]
    pub fn submit_iocbs(&self, count: u32, iocbs: usize) -> Result<usize> {
        self.kernel.submit(count, iocbs)
    }

    /// Events of such iocbs that nobody has taken.
    #[inline]
    pub fn events_of_iocbs(&self) -> u32 {
        self.kernel.events_there()
    }

    /// What is done already of such iocbs goes to the ring, as in the kernel.
    #[inline]
    pub fn end_iocbs(&self) {
        if self.kernel.has_completions() {
            self.kernel.submitter_done();
        }
    }

    /// The same, for a batch that goes on.
    #[inline]
    pub fn end_iocbs_in(&self, batch: &mut Batch) {
        if self.kernel.has_completions() {
            self.kernel.for_each_result(|res| batch.pending_signals.note_result(res));
            self.kernel.submitter_done();
        }
    }

    /// The engine has refused an iocb that nothing seems to be wrong with.
    pub fn note_refusal(&self, refusal: Errno) {
        self.kernel.note_refusal(refusal);
    }

    /// Starts an operation on an engine, for an iocb that holds a slot and whose file has the flags
    /// `status`. Errors are those of the submission; nothing was done then.
    pub fn start(
        &'static self,
        engine: Engine<'static>,
        batch: &mut Batch,
        checked: &Checked,
        status: StatusFlags,
        task: Task,
    ) -> Result<Started> {
        match engine {
            Engine::Kernel(_) => Ok(Started::Caller(task)),
            Engine::Uring(uring) => uring.start(batch, checked, status, task),
            Engine::Pool(queue) => {
                // Workers must not overtake what io_uring has been given of the batch.
                self.settle_uring(batch);
                queue.start(batch, checked, status, task)
            }
        }
    }

    #[inline]
    fn settle_uring(&'static self, batch: &mut Batch) {
        if batch.queue.has_requests() {
            self.uring.flush(batch);
        }
        self.uring.wait_for_punted(batch);
    }

    /// Everything that was started is on its way when this returns, or was done here.
    #[inline]
    pub fn flush(&'static self, batch: &mut Batch) {
        if batch.queue.has_requests() {
            self.uring.flush(batch);
        }
        self.pool.flush(batch);
    }

    /// The same, for something that must not overtake writes punted to io-wq.
    #[inline]
    pub fn settle(&'static self, batch: &mut Batch) {
        self.settle_uring(batch);
        self.pool.flush(batch);
    }

    /// Takes the completions that are there: see [`Engine::harvest`].
    #[inline]
    pub fn harvest(&self, most: usize) -> Harvest {
        let harvests = self.all().map(|engine| engine.harvest(most));
        harvests.into_iter().fold(Harvest::default(), Harvest::and)
    }

    /// Cancels a request to which the caller holds a reference. True: its event says so, or will.
    pub fn cancel(&self, request: &Request) -> bool {
        match request.owner() {
            Owner::Uring => self.uring.cancel(request),
            Owner::Pool => self.pool.cancel(request),
            Owner::Nobody => false,
        }
    }

    /// Cancels a poll that was submitted as it was, in the program's iocb at an address. True: its
    /// event will come.
    pub fn cancel_iocb(&self, iocb: usize) -> bool {
        self.kernel.cancel_poll(iocb)
    }

    /// Whether nothing is in flight, but for what completes by itself.
    pub fn is_idle(&self) -> bool {
        !self.kernel.needs_watch() && self.uring.in_flight() == 0
    }

    /// Whether waiters have to look for completions.
    #[inline]
    pub fn need_watch(&self) -> bool {
        self.all().into_iter().any(Engine::needs_watch)
    }

    /// The descriptor that becomes readable with completions, if there is one.
    pub fn descriptor(&self) -> Option<i32> {
        self.all().into_iter().find_map(Engine::descriptor)
    }

    /// Where a waiter sleeps for completions; `None`: other threads bring them.
    #[inline]
    pub fn bed(&self) -> Option<Bed<'_>> {
        if let Some((instance, is_only)) = self.kernel.bed() {
            return Some(Bed::Kernel { instance, is_only });
        }
        let instance = if self.uring.needs_watch() { self.uring.instance() } else { None };
        instance.map(Bed::Ring)
    }

    /// Whether events may come that a sleeper in `bed` is not woken by, when as many are there as
    /// it asked for; or whether it may be woken before.
    pub fn have_others(&self, bed: &Bed<'_>) -> bool {
        let in_flight = self.completions().in_flight();
        match bed {
            Bed::Ring(_) => in_flight > self.uring.in_flight(),
            // Task work of io_uring ends a sleep that has an event already.
            Bed::Kernel { is_only, .. } => in_flight > 0 || !is_only || crate::uring::was_used(),
        }
    }

    /// Whether a sleeper in a bed can be woken at this moment.
    pub fn is_reachable(&self, bed: &Bed<'_>) -> bool {
        match bed {
            Bed::Ring(_) => true,
            Bed::Kernel { instance, .. } => self.kernel.is_reachable(instance),
        }
    }

    /// Whether a sleeper for one event, with the bed to itself, sees all that is in flight and will
    /// end its sleep, whatever the program does with our descriptors and whatever is forbidden
    /// meanwhile.
    pub fn is_safe(&self, bed: &Bed<'_>) -> bool {
        match bed {
            Bed::Ring(_) => false,
            // A kick makes its descriptor anew if the program has closed it.
            Bed::Kernel { is_only, .. } => *is_only && !self.kernel.has_polls(),
        }
    }

    /// A sleep in a bed has ended without events. True: there was nothing in flight.
    pub fn note_vain_sleep(&self) -> bool {
        self.kernel.note_vain_sleep()
    }

    /// Whether completions of one engine end sleeps in another one's bed, as if a signal had come.
    pub fn disturb(&self, bed: &Bed<'_>) -> bool {
        matches!(bed, Bed::Kernel { .. }) && self.uring.in_flight() > 0
    }

    /// Takes what a sleeper has left in its bed. [`Harvest::wake_waiters`] is due.
    pub fn unpack_left(&self, bed: &kaio::Instance) -> Harvest {
        self.kernel.unpack_left(bed)
    }

    /// The calling thread is about to wait; `can_help`: it would do what is queued for workers.
    pub fn note_wait(&self, can_help: bool) {
        self.pool.note_wait(can_help);
    }

    /// Requests for workers that nobody is at.
    pub fn waiting(&self) -> u32 {
        self.pool.waiting()
    }

    /// Does one of those in the calling thread, if it is wanted. False: there was none.
    pub fn help(&self, shield: &Shield, is_wanted: impl Fn(&Request) -> bool) -> bool {
        self.pool.help(shield, is_wanted)
    }

    /// A call may have been left in the middle of a submission, or with events that it has taken.
    pub fn doubt(&self) {
        self.kernel.doubt();
    }

    /// Waits until nothing is in flight but for what completes by itself, whatever signals come.
    pub fn drain(&self) {
        self.all().into_iter().for_each(Engine::drain);
    }

    /// Waits until nothing is in flight of what the kernel does not finish by itself when the
    /// program ends.
    pub fn drain_at_exit(&self) {
        self.uring.drain();
    }

    /// Gives back what belongs to the context. Nothing is in flight; no call is inside.
    pub fn close(&self) {
        self.all().into_iter().for_each(Engine::close);
    }

    /// Forgets what belongs to the parent of a forked child, and closes what it has inherited.
    pub fn forget(&self) {
        self.all().into_iter().for_each(Engine::forget);
    }
}

/// Waits until what was handed to workers of ours is done: the program ends, and the kernel would
/// finish it (fs/aio.c, exit_aio).
pub fn finish_all() {
    pool::finish_all();
}

/// There is no context left: no thread or descriptor of an engine shall be.
pub fn shutdown() {
    pool::shutdown();
    kaio::cache::close_pipe();
    crate::uring::cache::clear();
}

/// A forked child has no threads, and none of the instances.
///
/// # Safety
/// No other thread exists, and no context of before the fork is used again.
pub unsafe fn reset_after_fork() {
    // SAFETY: the caller's promise.
    unsafe {
        kaio::cache::reset_after_fork();
        crate::uring::cache::reset_after_fork();
        pool::reset_after_fork();
    }
}
