//! The io_uring engine: the calling thread submits, and whoever looks takes the completions.
//!
//! *Attempts.* A read or write is first submitted with RWF_NOWAIT: on blocks that exist it is on its
//! way to the device when io_submit returns. What would block (a write that extends the file or fills
//! a hole, a page in the cache, a file system that cannot) comes back at once, is *set back*, and the
//! submitter decides what to do: see [`crate::request::progress`]. Without that flag the kernel would
//! hand it to a worker of its own, which is slow, has no signals, and is lost if the process is killed
//! or the thread ends.
//!
//! *Workers of the kernel* get what is set back again and again. Such requests have a pin, because
//! the kernel may give them up (-ECANCELED, when the submitting thread has ended), and then whoever
//! learns of it hands them to the pool.
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

use libc::timespec;

use crate::completion::{Completions, CompletionsRef};
use crate::engine::Harvest;
use crate::engine::pool::Lane;
use crate::engine::uring::hints::Hints;
use crate::engine::uring::sqe::{CANCELLATION, entry, request_of, token};
use crate::engine::work;
use crate::files::pins;
use crate::files::resfd::Signals;
use crate::lock::Lock;
use crate::process::background::Background;
use crate::process::fork_gate;
use crate::request::list::List;
use crate::request::progress::Turn;
use crate::request::state::Claim;
use crate::request::{Owner, Request, Task};
use crate::sync::{AtomicPtr, AtomicU32, Ordering};
use crate::sys::cred::Credentials;
use crate::sys::errno::Errno;
use crate::sys::fd;
use crate::sys::uring::{Cqe, Sqe};
use crate::uring::{self, Instance, cache};

pub use queue::Queue;

/// The one of a context. All-zero memory has no instance.
#[derive(Debug)]
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
    lane: AtomicPtr<Lane>,
    hints: Hints,
}

/// In [`crate::request::RingNotes::answer`]: the kernel has not answered.
const NO_ANSWER: i32 = 1;

impl Uring {
    /// Says where the events of this engine go, and who does what it cannot do.
    pub fn open(&self, completions: &'static Completions, lane: &'static Lane) {
        self.completions.set(completions);
        self.lane.store(ptr::from_ref(lane).cast_mut(), Ordering::Relaxed);
        self.pause.store(0, Ordering::Relaxed);
        self.hints.clear();
        self.background.reset();
    }

    fn completions(&self) -> &'static Completions {
        self.completions.get()
    }

    fn lane(&self) -> &'static Lane {
        // SAFETY: as in `completions`.
        unsafe { &*self.lane.load(Ordering::Relaxed) }
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
            const PAUSE: u32 = 256;
            self.pause.store(PAUSE, Ordering::Relaxed);
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

    /// Whether somebody who waits has to look for completions.
    #[inline]
    pub fn needs_watch(&self) -> bool {
        // SeqCst: a waiter that joined the list before it looks here is seen by `submit`, or sees the
        // request.
        self.in_flight.load(Ordering::SeqCst) != 0 && !self.background.is_served()
    }

    /// Before a request that a worker of the kernel will do.
    pub fn expect_worker(&self) {
        if let Some(instance) = self.instance() {
            instance.keep_workers_near();
        }
    }

    /// Requests in the instance.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Whether a look at the completion queue is worth while.
    #[inline]
    pub fn has_news(&self) -> bool {
        self.instance().is_some_and(Instance::has_news)
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
            self.completions().waiters.wake_followers();
        }
        taken
    }

    /// After a submission: what is done already goes to the ring, as in the kernel, and what failed
    /// is set back.
    pub fn look_after_submission(&self) {
        let Some(instance) = self.instance().filter(|instance| instance.has_news()) else {
            return;
        };
        if self.completions().waiters.is_empty() || instance.has_overflown() {
            return self.harvest_and_tell();
        }
        // Those who wait will do it; they would have to be told if we did.
        let is_setback = |cqe: Cqe| {
            is_retriable(cqe.res)
                && cqe.user_data & CANCELLATION == 0
                && request_of(self.completions(), cqe.user_data)
                    .is_some_and(|request| request.ring.is_gentle.load(Ordering::Relaxed))
        };
        if instance.any(is_setback) {
            self.harvest_and_tell();
        }
    }

    /// Takes the completions that are there, and wakes whom their events satisfy.
    pub fn harvest_and_tell(&self) {
        self.harvest().tell(self.completions());
    }

    /// Takes the completions that are there. [`Harvest::tell`] is due.
    pub fn harvest(&self) -> Harvest {
        let mut harvest = Harvest::default();
        let Some(instance) = self.instance().filter(|instance| instance.has_news()) else {
            return harvest;
        };
        let completions = self.completions();
        let (mut done, mut again) = (List::EMPTY, List::EMPTY);
        let mut count = 0;
        let mut signals = Signals::default();
        instance.harvest(|cqe| {
            harvest.has_moved = true;
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
            match is_final(request, cqe.res) {
                true => done.push_back(&completions.slab, request),
                false if request.ring.progress.set_back() == Turn::Own => {
                    again.push_back(&completions.slab, request);
                }
                false => {}
            }
        });
        while let Some(request) = done.first(&completions.slab) {
            done.remove(&completions.slab, request);
            end(completions, request, &mut signals);
        }
        signals.send(&completions.resfds);
        while let Some(request) = again.first(&completions.slab) {
            again.remove(&completions.slab, request);
            self.submit_again(request);
        }
        if count > 0 {
            self.in_flight.fetch_sub(count, Ordering::Relaxed);
        }
        harvest
    }

    /// A worker of the kernel has given up a request, because the thread that submitted it has ended
    /// or no worker could be started: the pool does it.
    #[cold]
    fn submit_again(&self, request: &Request) {
        if !request.hold_again() {
            // divergence: the program has closed its descriptor, and the attempt was refused late; or it
            // has closed the pin. The result says what the kernel said.
            let mut signals = Signals::default();
            end(self.completions(), request, &mut signals);
            return signals.send(&self.completions().resfds);
        }
        self.submit_elsewhere(request, Credentials::current());
    }

    /// Hands a pinned request to the pool, or does it here.
    #[cold]
    pub fn submit_elsewhere(&self, request: &Request, credentials: Credentials) {
        if self.lane().submit(request, credentials).is_err() && request.state.claim() == Claim::Won
        {
            request.set_result(work::perform(request, &self.completions().holds));
            self.completions().put(request);
        }
    }

    /// Tries to cancel a request. The caller holds a reference and no lock. True: its event will say,
    /// or says, -ECANCELED.
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
            self.harvest_and_tell();
        }
        // Acquire: pairs with the Release in `harvest`. The kernel answers inside the submission, and
        // harvests exclude each other: the answer is here.
        if submitted == 1 && notes.answer.load(Ordering::Acquire) == 0 {
            return true;
        }
        notes.is_cancelled.store(false, Ordering::Relaxed);
        // It may have given up for the reason that we asked, in the last moment.
        !request.state.is_open() && request.result() == Errno::CANCELED.to_res()
    }

    /// Waits for the end of a request, whatever signals come: `generation` is the life that is meant, `held`
    /// how many references the caller has.
    pub fn wait_for(&self, index: u32, generation: u32, held: u32) {
        let completions = self.completions();
        let is_over = || {
            completions.slab.get(index).is_none_or(|request| {
                request.generation() != generation || request.state.references() <= held
            })
        };
        loop {
            self.harvest_and_tell();
            if is_over() {
                return;
            }
            self.sleep_a_moment();
        }
    }

    fn sleep_a_moment(&self) {
        const MOMENT: timespec = timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        const SHORT: timespec = timespec { tv_sec: 0, tv_nsec: 1_000_000 };
        match self.instance().map(|instance| instance.wait(1, Some(&MOMENT), None)) {
            Some(Ok(()) | Err(Errno::TIME | Errno::INTR)) => {}
            // The queue fills all the same.
            _ => {
                let _ = crate::sys::poll::wait(&mut [], Some(&SHORT), None);
            }
        }
    }

    /// Waits until nothing is in the instance, whatever signals come.
    pub fn drain(&self) {
        while self.instance().is_some() {
            self.harvest_and_tell();
            if self.in_flight.load(Ordering::Relaxed) == 0 {
                return;
            }
            self.sleep_a_moment();
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
fn end(completions: &Completions, request: &Request, signals: &mut Signals) {
    // Nobody else decides about a request in io_uring.
    let claim = request.state.claim();
    debug_assert_eq!(claim, Claim::Won);
    completions.put_quietly(request, signals);
}

/// Results after which an attempt is followed by another one.
fn is_retriable(res: i32) -> bool {
    [Errno::AGAIN, Errno::OPNOTSUPP, Errno::CANCELED, Errno::INTR]
        .iter()
        .any(|error| res == error.to_return())
}

/// Whether a request has failed because the kernel has not found its file: the program has closed what
/// holds it, or put something else there. Nothing was done.
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
    let is_gentle = request.ring.is_gentle.load(Ordering::Relaxed);
    let is_cancelled = request.ring.is_cancelled.load(Ordering::Relaxed);
    match res {
        _ if res == Errno::CANCELED.to_return() => is_cancelled,
        // A worker of the kernel was told to stop.
        _ if res == Errno::INTR.to_return() => false,
        _ => !is_gentle,
    }
}

/// Lets a request hold its file, by the program's descriptor: the caller is the submitter. False: it
/// is out of reach.
pub fn hold_file(request: &Request) -> bool {
    if request.pin().is_some() {
        return true;
    }
    let Some(number) = request.work().map(|work| work.number) else { return false };
    let _section = fork_gate::enter();
    let Ok(pin) = fd::duplicate(number) else { return false };
    let info = pins::look(pin.raw(), number, request.file());
    if let Some(info) = &info {
        request.set_size(info.end());
    }
    request.set_pin(pin, info.map(|info| info.identity));
    true
}
