//! The pool engine: threads that do what the kernel would do asynchronously.
//!
//! One pool serves the process. It grows on demand to a bound; a worker that finds nothing to do for
//! a second leaves; io_destroy of the last context sends all home. Requests queue in the *lane* of
//! their context; lanes with work queue for the workers, who take one request from each in turn.
//!
//! *Rights*: a worker has those of the thread that started it. A submitter with others does its work
//! itself ([`Refused`]). glibc changes ids in all threads at once, so a worker compares again before
//! it starts, and adopts the submitter's if they differ.
//!
//! *Who may touch what*: a lane's queue, under its lock, by submitters, workers and cancellation; a
//! request on it is claimed under that lock, so that who takes it off is who decides its outcome.
//!
//! *Locks (order)*: `ready` (workers only), then a lane's `queue`. `staff` is taken alone, and only
//! to start or end a thread. Submission takes no process-wide lock but for that.
//!
//! *Orderings*: a submitter queues, then looks for sleepers; a worker says that it sleeps, then looks
//! at the queue: `queued` and `idle` are SeqCst on both sides, so that one sees the other. The same
//! holds for `queued` and `workers` when a worker leaves.

use core::ffi::c_void;
use core::ptr;

use libc::timespec;

use crate::completion::Completions;
use crate::engine::work;
use crate::lock::Lock;
use crate::request::Request;
use crate::request::list::List;
use crate::request::state::Claim;
use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use crate::sys::cred::Credentials;
use crate::sys::errno::Errno;
use crate::sys::{clock, futex, thread};

/// The most workers: as many as a disk keeps busy; more only cost.
const MOST: usize = 16;
/// How long a worker waits for something to do.
const PATIENCE: timespec = timespec { tv_sec: 1, tv_nsec: 0 };

/// The pool does not take the request: the caller has to do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Refused;

#[derive(Debug)]
struct Queue {
    requests: List,
    /// The lane waits for a worker, or a worker is about to put it back.
    is_scheduled: bool,
}

/// The queue of one context. It stays at its address for ever. All-zero memory is one without work.
#[derive(Debug)]
pub struct Lane {
    queue: Lock<Queue, true>,
    /// The next lane on `arrived` or `ready`.
    next: AtomicPtr<Lane>,
    completions: AtomicPtr<Completions>,
}

impl Lane {
    /// Says where the events of this lane go.
    pub fn open(&self, completions: &'static Completions) {
        self.completions.store(ptr::from_ref(completions).cast_mut(), Ordering::Relaxed);
    }

    fn completions(&self) -> &'static Completions {
        // SAFETY: `open` came before the first request and stored a `&'static`.
        unsafe { &*self.completions.load(Ordering::Relaxed) }
    }

    /// Queues a request that is pinned, to be done with the rights of `credentials`. Refused: the
    /// caller does the work; it has claimed nothing.
    pub fn submit(
        &'static self,
        request: &Request,
        credentials: Credentials,
    ) -> Result<(), Refused> {
        request.set_credentials(credentials);
        if !POOL.may_serve(credentials) {
            return Err(Refused);
        }
        {
            let mut queue = self.queue.lock();
            request.state.arm();
            request.is_queued.store(true, Ordering::Relaxed);
            queue.requests.push_back(&self.completions().slab, request);
            // SeqCst: see the module.
            POOL.queued.fetch_add(1, Ordering::SeqCst);
            if !core::mem::replace(&mut queue.is_scheduled, true) {
                POOL.arrive(self);
            }
        }
        if POOL.call_worker(credentials) || !self.remove(request) { Ok(()) } else { Err(Refused) }
    }

    /// Takes a request off the queue if no worker has it yet. Claims nothing.
    fn remove(&self, request: &Request) -> bool {
        let mut queue = self.queue.lock();
        let removed = request.is_queued.swap(false, Ordering::Relaxed)
            && queue.requests.remove(&self.completions().slab, request);
        if removed {
            POOL.queued.fetch_sub(1, Ordering::Relaxed);
        }
        removed
    }

    /// Claims a request that no worker has started. The caller holds a reference and no lock.
    pub fn cancel(&self, request: &Request) -> Claim {
        let mut queue = self.queue.lock();
        if !request.is_queued.swap(false, Ordering::Relaxed) {
            // A worker has it, or a submitter; or it is on its way from one to the other.
            return Claim::Lost;
        }
        let claim = request.state.claim();
        if claim == Claim::Won && queue.requests.remove(&self.completions().slab, request) {
            POOL.queued.fetch_sub(1, Ordering::Relaxed);
        }
        claim
    }

    /// The next request, claimed; and whether there are more.
    fn pop(&self) -> (Option<&'static Request>, bool) {
        let completions = self.completions();
        let mut queue = self.queue.lock();
        let request = queue.requests.first(&completions.slab);
        if let Some(request) = request {
            queue.requests.remove(&completions.slab, request);
            request.is_queued.store(false, Ordering::Relaxed);
            // Relaxed: `finish_all` reads both, `running` last.
            POOL.running.fetch_add(1, Ordering::Relaxed);
            // Release: who sees the queue empty sees the request running.
            POOL.queued.fetch_sub(1, Ordering::Release);
            // Whoever claims a queued request takes it off the queue, under the same lock.
            let _ = request.state.claim();
        }
        queue.is_scheduled = !queue.requests.is_empty();
        (request, queue.is_scheduled)
    }
}

/// Lanes that wait for workers, in order.
#[derive(Debug)]
struct Ready {
    head: *const Lane,
    tail: *const Lane,
}

// SAFETY: lanes stay at their addresses for ever, and their links belong to the holder of the lock.
unsafe impl Send for Ready {}

/// Threads that were started and have not left.
#[derive(Debug)]
struct Staff {
    threads: [Option<thread::Thread>; MOST],
}

#[derive(Debug)]
struct Pool {
    /// Lanes that were given work and that no worker has seen yet, last one first.
    arrived: AtomicPtr<Lane>,
    ready: Lock<Ready>,
    staff: Lock<Staff>,
    /// Requests on all queues.
    queued: AtomicU32,
    /// Requests that workers are at.
    running: AtomicU32,
    /// Workers that sleep or are about to.
    idle: AtomicU32,
    /// Workers of this epoch.
    workers: AtomicU32,
    /// Changes to call sleepers.
    calls: AtomicU32,
    /// Workers of an older epoch go home.
    epoch: AtomicU32,
    /// Rights of the workers, in two halves; a torn value only sends work back to its submitter, or
    /// to a worker that compares again.
    rights: [AtomicU64; 2],
}

static POOL: Pool = Pool {
    arrived: AtomicPtr::new(ptr::null_mut()),
    ready: Lock::new(Ready { head: ptr::null(), tail: ptr::null() }),
    staff: Lock::new(Staff { threads: [None; MOST] }),
    queued: AtomicU32::new(0),
    running: AtomicU32::new(0),
    idle: AtomicU32::new(0),
    workers: AtomicU32::new(0),
    calls: AtomicU32::new(0),
    epoch: AtomicU32::new(0),
    rights: [AtomicU64::new(0), AtomicU64::new(0)],
};

impl Pool {
    /// Whether the workers that are there have these rights; with none there, one can be started.
    fn may_serve(&self, credentials: Credentials) -> bool {
        let [low, high] = credentials.to_words();
        self.workers.load(Ordering::Relaxed) == 0
            || (self.rights[0].load(Ordering::Relaxed) == low
                && self.rights[1].load(Ordering::Relaxed) == high)
    }

    /// Puts a lane where workers look.
    fn arrive(&self, lane: &'static Lane) {
        let lane = ptr::from_ref(lane).cast_mut();
        let mut head = self.arrived.load(Ordering::Relaxed);
        loop {
            // SAFETY: a `&'static Lane`.
            unsafe { (*lane).next.store(head, Ordering::Relaxed) };
            // Release: publishes `next` to the Acquire swap in `take`.
            match self.arrived.compare_exchange_weak(
                head,
                lane,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(current) => head = current,
            }
        }
    }

    /// Sees to it that a worker comes for a request that was queued. False: there is none.
    fn call_worker(&self, credentials: Credentials) -> bool {
        // SeqCst: see the module.
        let idle = self.idle.load(Ordering::SeqCst);
        if idle > 0 {
            self.calls.fetch_add(1, Ordering::Relaxed);
            futex::wake(&self.calls, 1);
        }
        // SeqCst: see the module.
        let workers = self.workers.load(Ordering::SeqCst) as usize;
        if workers < MOST && self.queued.load(Ordering::Relaxed) > idle {
            // Without one more, those that are there come; if there are any.
            // SeqCst: see the module.
            return self.hire(credentials) || self.workers.load(Ordering::SeqCst) > 0;
        }
        workers > 0
    }

    /// Starts one more worker, with the rights of the calling thread.
    #[cold]
    fn hire(&self, credentials: Credentials) -> bool {
        let mut staff = self.staff.lock();
        let Some(place) = staff.threads.iter_mut().find(|thread| thread.is_none()) else {
            return false;
        };
        // Passed on: by the time it runs, it may belong to an older epoch already.
        let epoch = self.epoch.load(Ordering::Relaxed);
        let Ok(thread) = thread::spawn(worker, epoch as usize) else { return false };
        *place = Some(thread);
        let [low, high] = credentials.to_words();
        self.rights[0].store(low, Ordering::Relaxed);
        self.rights[1].store(high, Ordering::Relaxed);
        // Counted once it is there, so that nobody relies on a worker that never comes; it cannot
        // have left: `leave` takes the lock that we hold.
        // SeqCst: see the module.
        self.workers.fetch_add(1, Ordering::SeqCst);
        true
    }

    /// The next request for a worker, claimed.
    fn take(&self) -> Option<(&'static Lane, &'static Request)> {
        let mut ready = self.ready.lock();
        loop {
            // Acquire: pairs with the Release in `arrive`.
            let mut lane = self.arrived.swap(ptr::null_mut(), Ordering::Acquire);
            let mut first: *mut Lane = ptr::null_mut();
            while !lane.is_null() {
                // SAFETY: lanes live for ever; an arrived one is linked by nobody else.
                let next = unsafe { (*lane).next.swap(first, Ordering::Relaxed) };
                first = lane;
                lane = next;
            }
            while !first.is_null() {
                // SAFETY: as above.
                let next = unsafe { (*first).next.load(Ordering::Relaxed) };
                ready.push(first);
                first = next;
            }
            let lane = ready.pop()?;
            // SAFETY: lanes live for ever.
            let lane: &'static Lane = unsafe { &*lane };
            let (request, has_more) = lane.pop();
            if has_more {
                ready.push(lane);
            }
            if let Some(request) = request {
                return Some((lane, request));
            }
        }
    }

    /// Waits for something to do. None: nothing came for too long, or the pool is sent home.
    fn wait(&self, epoch: u32) -> Option<(&'static Lane, &'static Request)> {
        loop {
            // Acquire: pairs with the Release in `retire`.
            if self.epoch.load(Ordering::Acquire) != epoch {
                return None;
            }
            let calls = self.calls.load(Ordering::Relaxed);
            if let Some(found) = self.take() {
                return Some(found);
            }
            // SeqCst, both: see the module.
            self.idle.fetch_add(1, Ordering::SeqCst);
            let slept = match self.queued.load(Ordering::SeqCst) {
                0 => futex::wait_until(&self.calls, calls, Some(&clock::after(&PATIENCE))),
                _ => Ok(()),
            };
            self.idle.fetch_sub(1, Ordering::Relaxed);
            if slept == Err(Errno::TIMEDOUT) {
                return None;
            }
        }
    }

    /// The calling worker stops being one. False: it has to stay, somebody needs it.
    fn leave(&self, epoch: u32) -> bool {
        {
            let mut staff = self.staff.lock();
            if self.epoch.load(Ordering::Relaxed) != epoch {
                // `retire` has our handle and waits for us.
                return true;
            }
            // SeqCst: see the module.
            self.workers.fetch_sub(1, Ordering::SeqCst);
            if self.queued.load(Ordering::SeqCst) == 0 {
                let own = staff.threads.iter_mut().find(|t| t.is_some_and(|t| t.is_self()));
                if let Some(own) = own {
                    *own = None;
                }
                thread::detach_self();
                return true;
            }
            // SeqCst: see the module.
            self.workers.fetch_add(1, Ordering::SeqCst);
        }
        false
    }
}

impl Ready {
    fn push(&mut self, lane: *const Lane) {
        // SAFETY: lanes live for ever; the links are ours under the lock.
        unsafe {
            (*lane).next.store(ptr::null_mut(), Ordering::Relaxed);
            if self.tail.is_null() {
                self.head = lane;
            } else {
                (*self.tail).next.store(lane.cast_mut(), Ordering::Relaxed);
            }
        }
        self.tail = lane;
    }

    fn pop(&mut self) -> Option<*const Lane> {
        if self.head.is_null() {
            return None;
        }
        let lane = self.head;
        // SAFETY: as in `push`.
        self.head = unsafe { (*lane).next.load(Ordering::Relaxed) };
        if self.head.is_null() {
            self.tail = ptr::null();
        }
        Some(lane)
    }
}

extern "C" fn worker(epoch: *mut c_void) -> *mut c_void {
    thread::name_self(c"uaio-pool");
    let epoch = epoch.addr() as u32;
    loop {
        match POOL.wait(epoch) {
            Some((lane, request)) => run(lane.completions(), request),
            None if POOL.leave(epoch) => return ptr::null_mut(),
            None => {}
        }
    }
}

/// Does a claimed request and completes it.
fn run(completions: &Completions, request: &Request) {
    request.set_result(work::perform(request));
    completions.put(request);
    // Release: what was done is done for `finish_all`.
    if POOL.running.fetch_sub(1, Ordering::Release) == 1 {
        futex::wake(&POOL.running, u32::MAX);
    }
}

/// Waits until everything that was submitted has been done: the program ends, and the kernel would
/// finish it (fs/aio.c, exit_aio).
pub fn finish_all() {
    loop {
        // Acquire, both: pair with the Release in `pop` and `run`.
        let queued = POOL.queued.load(Ordering::Acquire);
        match POOL.running.load(Ordering::Acquire) {
            0 if queued == 0 => return,
            // Between two requests: workers are on their way.
            0 => thread::give_way(),
            running => futex::wait(&POOL.running, running),
        }
    }
}

/// Sends all workers home and waits until they are gone: there is no context left.
pub fn retire() {
    let threads = {
        let mut staff = POOL.staff.lock();
        // SeqCst: see the module.
        if POOL.workers.load(Ordering::SeqCst) == 0 {
            return;
        }
        POOL.workers.store(0, Ordering::SeqCst);
        // Release: pairs with the Acquire in `wait`.
        POOL.epoch.fetch_add(1, Ordering::Release);
        core::mem::replace(&mut staff.threads, [None; MOST])
    };
    POOL.calls.fetch_add(1, Ordering::Relaxed);
    futex::wake(&POOL.calls, u32::MAX);
    // Another thread may have made a context and queued something for the workers that leave.
    serve_late_comers();
    for thread in threads.into_iter().flatten() {
        thread.join();
    }
    serve_late_comers();
}

/// Sees to requests that were queued for workers that have left.
fn serve_late_comers() {
    // SeqCst: see the module.
    if POOL.queued.load(Ordering::SeqCst) > 0 && !POOL.call_worker(Credentials::current()) {
        while let Some((lane, request)) = POOL.take() {
            run(lane.completions(), request);
        }
    }
}

/// A forked child has no workers.
///
/// # Safety
/// No other thread exists, and no lane of before the fork is used again.
pub unsafe fn reset_after_fork() {
    // SAFETY: the caller's promise.
    unsafe {
        POOL.ready.force_unlock();
        POOL.staff.force_unlock();
    }
    *POOL.ready.lock() = Ready { head: ptr::null(), tail: ptr::null() };
    POOL.staff.lock().threads = [None; MOST];
    POOL.arrived.store(ptr::null_mut(), Ordering::Relaxed);
    for count in [&POOL.queued, &POOL.running, &POOL.idle, &POOL.workers] {
        count.store(0, Ordering::Relaxed);
    }
}
