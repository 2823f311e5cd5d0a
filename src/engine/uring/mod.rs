//! The io_uring engine: the calling thread submits, and any thread that looks harvests the
//! completions.
//!
//! *RWF_NOWAIT first.* A transfer is first submitted with RWF_NOWAIT: on blocks that exist it is on
//! its way to the device when io_submit returns. What would block (a write that extends the file or
//! fills a hole, a page in the cache, a file system that cannot) completes with -EAGAIN at once,
//! and is retried ([`retry`], [`crate::request::retry`]). Without that flag the kernel would punt
//! it to io-wq, which is slow, delivers no signals, and is lost if the process is killed or the
//! thread ends.
//!
//! *io-wq* gets the files whose attempts keep failing, and syncs. Such requests have a pin, because
//! the kernel may give them up (-ECANCELED, when the submitting thread has ended); then the
//! harvester hands them to the pool.
//!
//! *The file* is held by the kernel from submission on.
//!
//! *Orderings*: see `needs_watch`; the rest is that of the completion queue.

mod hints;
mod queue;
mod retry;
mod sqe;
mod start;

use core::ptr;

use bytemuck::Zeroable;
use libc::timespec;

use crate::completion::{Completions, CompletionsRef};
use crate::engine::Harvest;
use crate::engine::pool::PoolQueue;
use crate::engine::uring::hints::WriteHints;
use crate::engine::uring::sqe::{CANCELLATION, entry, request_of, token};
use crate::engine::work;
use crate::files::pins;
use crate::files::resfd::EventfdNotifier;
use crate::lock::Lock;
use crate::process::background::Background;
use crate::process::fork_gate;
use crate::request::list::List;
use crate::request::retry::RetryBy;
use crate::request::state::Claim;
use crate::request::{Owner, Request, Task};
use crate::sync::{AtomicPtr, AtomicU32, Ordering};
use crate::sys::cred::Credentials;
use crate::sys::errno::Errno;
use crate::sys::file_info::FileInfo;
use crate::sys::uring::{Cqe, Sqe};
use crate::uring::{self, Instance, cache};

pub use queue::SubmitBatch;

/// The one of a context. All-zero memory has no instance.
#[derive(Debug, Zeroable)]
pub struct Uring {
    /// Null before the first request that needs it; then until the context is closed.
    instance: AtomicPtr<Instance>,
    making: Lock<()>,
    /// Requests to go without an instance, after one could not be made.
    pause: AtomicU32,
    /// Requests in the instance whose completions were not taken.
    in_flight: AtomicU32,
    /// The harvester harvests, or does not.
    pub background: Background,
    completions: CompletionsRef,
    queue: AtomicPtr<PoolQueue>,
    hints: WriteHints,
}

/// How long to sleep for completions without a look around.
const MAX_SLEEP: timespec = timespec { tv_sec: 0, tv_nsec: 20_000_000 };
/// In [`crate::request::RingNotes::answer`]: the kernel has not answered.
const NO_ANSWER: i32 = 1;

impl Uring {
    /// Says where the events of this engine go, and which pool queue gets what it cannot do.
    pub fn open(&self, completions: &'static Completions, queue: &'static PoolQueue) {
        self.completions.set(completions);
        self.queue.store(ptr::from_ref(queue).cast_mut(), Ordering::Relaxed);
        self.pause.store(0, Ordering::Relaxed);
        self.hints.clear();
        self.background.reset();
    }

    fn completions(&self) -> &'static Completions {
        self.completions.get()
    }

    fn queue(&self) -> &'static PoolQueue {
        // SAFETY: as in `completions`.
        unsafe { &*self.queue.load(Ordering::Relaxed) }
    }

    /// The instance, if there is one.
    #[inline]
    pub fn instance(&self) -> Option<&Instance> {
        // Acquire: pairs with the Release in `make`.
        // SAFETY: it lives until `close`, which comes when no call is inside the context.
        unsafe { self.instance.load(Ordering::Acquire).as_ref() }
    }

    /// The descriptor that becomes readable with completions.
    pub fn descriptor(&self) -> Option<i32> {
        self.instance().filter(|instance| instance.is_ours()).map(Instance::descriptor)
    }

    /// Whether requests can be submitted; makes the instance if there is none.
    #[inline]
    pub fn is_ready(&self) -> bool {
        match self.instance() {
            Some(instance) => !instance.is_broken(),
            None => self.make(),
        }
    }

    #[cold]
    fn make(&self) -> bool {
        let pause = self.pause.load(Ordering::Relaxed);
        if pause > 0 {
            self.pause.store(pause - 1, Ordering::Relaxed);
            return false;
        }
        let _making = self.making.lock();
        if self.instance().is_some() {
            return true;
        }
        let completions = uring::completions_for(self.completions().ring.nr());
        let section = fork_gate::enter();
        let Ok(instance) = cache::acquire(completions, &section) else {
            // No descriptor or no memory; perhaps later.
            const RETRY_AFTER: u32 = 256;
            self.pause.store(RETRY_AFTER, Ordering::Relaxed);
            return false;
        };
        let instance = Box::into_raw(instance);
        self.completions().waiters.set_ring(instance);
        // Release: pairs with the Acquire in `instance`.
        self.instance.store(instance, Ordering::Release);
        // A waiter that sleeps on polls does not watch it yet.
        self.completions().waiters.wake_all();
        true
    }

    /// Whether waiters have to look for completions.
    #[inline]
    pub fn needs_watch(&self) -> bool {
        // SeqCst: a waiter that joined the list before it looks here is seen by `submit`, or sees
        // the request.
        self.in_flight.load(Ordering::SeqCst) != 0 && !self.background.is_served()
    }

    /// Before a request that io-wq will do.
    pub fn expect_io_wq(&self) {
        if let Some(instance) = self.instance() {
            instance.keep_io_wq_near();
        }
    }

    /// Requests in the instance.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Whether a look at the completion queue is worth while.
    #[inline]
    pub fn has_completions(&self) -> bool {
        self.instance().is_some_and(Instance::needs_harvest)
    }

    /// Submits requests to which the caller holds the submitter's references; how many were taken.
    /// The others are as before.
    pub fn submit(&self, requests: &[Option<&Request>]) -> usize {
        let Some(instance) = self.instance() else { return 0 };
        for request in requests.iter().flatten() {
            request.set_owner(Owner::Uring);
            request.state.arm();
        }
        let count = requests.len() as u32;
        // SeqCst: see `needs_watch`. Before the submission, which may complete at once.
        let before = self.in_flight.fetch_add(count, Ordering::SeqCst);
        let (taken, _) = instance.submit(requests.len(), |index| {
            requests.get(index).copied().flatten().map_or(Sqe::nop(), entry)
        });
        for request in requests.iter().skip(taken).flatten() {
            request.set_owner(Owner::Nobody);
        }
        if taken < requests.len() {
            self.in_flight.fetch_sub(count - taken as u32, Ordering::Relaxed);
        }
        if before == 0 {
            self.completions().waiters.wake_non_ring_waiters();
        }
        taken
    }

    /// After a submission: what is done already goes to the ring, as in the kernel, and the
    /// submitter is told of attempts that have failed.
    pub fn look_after_submission(&self) {
        let Some(instance) = self.instance().filter(|instance| instance.needs_harvest()) else {
            return;
        };
        if self.completions().waiters.is_empty() || instance.has_overflown() {
            return self.harvest_and_wake();
        }
        // Waiters will do it; they would have to be woken if we did.
        let is_setback = |cqe: Cqe| {
            is_retriable(cqe.res)
                && cqe.user_data & CANCELLATION == 0
                && request_of(self.completions(), cqe.user_data)
                    .is_some_and(|request| request.ring.adds_nowait.load(Ordering::Relaxed))
        };
        if instance.any(is_setback) {
            self.harvest_and_wake();
        }
    }

    /// Takes the completions that are there, and wakes whom their events satisfy.
    pub fn harvest_and_wake(&self) {
        self.harvest().wake_waiters(self.completions());
    }

    /// Takes the completions that are there. [`Harvest::wake_waiters`] is due.
    pub fn harvest(&self) -> Harvest {
        let mut harvest = Harvest::default();
        let Some(instance) = self.instance().filter(|instance| instance.needs_harvest()) else {
            return harvest;
        };
        let completions = self.completions();
        let (mut done, mut again) = (List::EMPTY, List::EMPTY);
        let mut count = 0;
        let mut signals = EventfdNotifier::default();
        instance.harvest(|cqe| {
            harvest.has_taken = true;
            if cqe.user_data == uring::KICK {
                harvest.has_kicks = true;
                return;
            }
            let Some(request) = request_of(completions, cqe.user_data & !CANCELLATION) else {
                return;
            };
            if cqe.user_data & CANCELLATION != 0 {
                // Release: pairs with the Acquire in `cancel`.
                request.ring.answer.store(cqe.res, Ordering::Release);
                return;
            }
            count += 1;
            request.set_owner(Owner::Nobody);
            request.set_result(i64::from(cqe.res));
            if is_final(request, cqe.res) {
                return done.push_back(&completions.slab, request);
            }
            self.hints.note_failure();
            if request.ring.retry.nowait_failed() == RetryBy::Harvester {
                again.push_back(&completions.slab, request);
            }
        });
        while let Some(request) = done.first(&completions.slab) {
            done.remove(&completions.slab, request);
            end(completions, request, &mut signals);
        }
        signals.send(&completions.resfds);
        while let Some(request) = again.first(&completions.slab) {
            again.remove(&completions.slab, request);
            self.resubmit(request);
        }
        if count > 0 {
            self.in_flight.fetch_sub(count, Ordering::Relaxed);
        }
        harvest
    }

    /// io-wq has given up a request, because the thread that submitted it has ended
    /// or no worker could be started: the pool does it.
    #[cold]
    fn resubmit(&self, request: &Request) {
        if !request.hold_again() {
            // divergence: the program has closed its descriptor, and the attempt was refused late;
            // or it has closed the pin. The result says what the kernel said.
            let mut signals = EventfdNotifier::default();
            end(self.completions(), request, &mut signals);
            return signals.send(&self.completions().resfds);
        }
        self.hand_to_pool(request, Credentials::current());
    }

    /// Hands a pinned request to the pool, or does it here.
    #[cold]
    pub fn hand_to_pool(&self, request: &Request, credentials: Credentials) {
        if self.queue().submit(request, credentials).is_err() && request.state.claim() == Claim::Won
        {
            request.set_result(work::perform(request, &self.completions().holds));
            self.completions().put(request);
        }
    }

    /// Tries to cancel a request. The caller holds a reference and no lock. True: its event will
    /// say, or says, -ECANCELED.
    pub fn cancel(&self, request: &Request) -> bool {
        let Some(instance) = self.instance() else { return false };
        let notes = &request.ring;
        if notes.is_cancelled.swap(true, Ordering::Relaxed) {
            // Another thread is at it.
            return false;
        }
        notes.answer.store(NO_ANSWER, Ordering::Relaxed);
        let user_data = token(request);
        let cancellation = Sqe::cancel(user_data).marked(user_data | CANCELLATION);
        let (submitted, _) = instance.submit(1, |_| cancellation);
        if submitted == 1 {
            self.harvest_and_wake();
        }
        // Acquire: pairs with the Release in `harvest`. The kernel answers inside the submission,
        // and harvests exclude each other: the answer is here.
        if submitted == 1 && notes.answer.load(Ordering::Acquire) == 0 {
            return true;
        }
        notes.is_cancelled.store(false, Ordering::Relaxed);
        // It may have given up for the reason that we asked, in the last moment.
        !request.state.is_open() && request.result() == Errno::CANCELED.to_res()
    }

    /// Waits for the end of a request, whatever signals come: `generation` is the life that is
    /// meant, `held` how many references the caller has.
    pub fn wait_for(&self, index: u32, generation: u32, held: u32) {
        let completions = self.completions();
        let is_over = || {
            completions.slab.get(index).is_none_or(|request| {
                request.generation() != generation || request.state.references() <= held
            })
        };
        // Another thread may have taken its completion, and not completed it yet.
        let mut span = timespec { tv_sec: 0, tv_nsec: 50_000 };
        loop {
            self.harvest_and_wake();
            if is_over() {
                return;
            }
            self.sleep(&span);
            span.tv_nsec = (2 * span.tv_nsec).min(MAX_SLEEP.tv_nsec);
        }
    }

    fn sleep(&self, span: &timespec) {
        const LOOK_INTERVAL: timespec = timespec { tv_sec: 0, tv_nsec: 1_000_000 };
        match self.instance().map(|instance| instance.wait(1, Some(span), None)) {
            Some(Ok(()) | Err(Errno::TIME | Errno::INTR)) => {}
            // The queue fills all the same.
            _ => {
                let _ = crate::sys::poll::wait(&mut [], Some(&LOOK_INTERVAL), None);
            }
        }
    }

    /// Waits until nothing is in the instance, whatever signals come.
    pub fn drain(&self) {
        while self.instance().is_some() {
            self.harvest_and_wake();
            if self.in_flight.load(Ordering::Relaxed) == 0 {
                return;
            }
            self.sleep(&MAX_SLEEP);
        }
    }

    /// Gives the instance back. Nothing is in flight and no call is inside.
    pub fn close(&self) {
        self.completions().waiters.set_ring(ptr::null());
        let section = fork_gate::enter();
        let instance = self.instance.swap(ptr::null_mut(), Ordering::Relaxed);
        if !instance.is_null() {
            // SAFETY: `make` took it out of a box, and nobody uses it any more.
            cache::release(unsafe { Box::from_raw(instance) }, &section);
        }
    }

    /// Closes what a forked child inherited, and forgets the rest.
    pub fn forget(&self) {
        if let Some(instance) = self.instance() {
            instance.close_after_fork();
        }
        self.instance.store(ptr::null_mut(), Ordering::Relaxed);
    }
}

/// The outcome of a request is decided: completes it.
fn end(completions: &Completions, request: &Request, signals: &mut EventfdNotifier) {
    // Nobody else decides about a request in io_uring.
    let claim = request.state.claim();
    debug_assert_eq!(claim, Claim::Won);
    completions.put_without_wake(request, signals);
}

/// Results after which an attempt is followed by another one.
fn is_retriable(res: i32) -> bool {
    [Errno::AGAIN, Errno::OPNOTSUPP, Errno::CANCELED, Errno::INTR]
        .iter()
        .any(|error| res == error.to_return())
}

/// Whether a request has failed because the kernel has not found its file: the program has closed
/// what holds it, or put something else there. Nothing was done.
fn has_missed(request: &Request, res: i32) -> bool {
    let is_sync = || matches!(request.work().map(|work| &work.task), Some(Task::Sync { .. }));
    // What cannot be synced gives EINVAL.
    (res == Errno::BADF.to_return() || (res == Errno::INVAL.to_return() && is_sync()))
        && request.pin().is_some()
        && !request.is_pin_intact()
}

/// Whether a result is for the program.
fn is_final(request: &Request, res: i32) -> bool {
    if has_missed(request, res) {
        return false;
    }
    if !is_retriable(res) {
        return true;
    }
    let adds_nowait = request.ring.adds_nowait.load(Ordering::Relaxed);
    let is_cancelled = request.ring.is_cancelled.load(Ordering::Relaxed);
    match res {
        _ if res == Errno::CANCELED.to_return() => is_cancelled,
        // An io-wq worker was told to stop.
        _ if res == Errno::INTR.to_return() => false,
        _ => !adds_nowait,
    }
}

/// Lets a request hold its file, by the program's descriptor: the caller is the submitter. False:
/// it is out of reach.
pub fn hold_file(request: &Request) -> bool {
    if let Some(pin) = request.pin() {
        if let Ok(info) = FileInfo::of(pin) {
            request.set_size(info.end());
        }
        return true;
    }
    let Some(fd) = request.work().map(|work| work.fd) else { return false };
    let _section = fork_gate::enter();
    let Ok(pin) = pins::duplicate(fd) else { return false };
    let info = pins::look(pin.raw(), fd, request.file());
    if let Some(info) = &info {
        request.set_size(info.end());
    }
    request.set_pin(pin, info.map(|info| info.identity));
    true
}
