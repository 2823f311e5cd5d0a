//! The pool engine: threads that do what the kernel would do asynchronously.
//!
//! One pool serves the process. Requests wait in the [`PoolQueue`] of their context; queues that
//! have work form a list, from which workers take one request of each queue in turn.
//!
//! *How many workers*: the first request starts one. Another one is started whenever something is
//! queued and all workers are busy, most often in the device; up to a bound, which is higher while
//! much is queued. A batch wakes as many idle workers as it needs, in one call ([`Idle`]). An idle
//! worker exits after a second; io_destroy of the last context ends all.
//!
//! *Waits that work*: a program that submits one request and waits for it runs it itself, in the
//! wait ([`PoolQueue::help`]); a worker that is woken for it would only be in the way. So for a
//! thread that has come to wait again and again nobody is woken ([`PoolQueue::wake_workers`]), as
//! long as one worker, the *watchman*, looks after a millisecond whether the thread has come this
//! time, too.
//!
//! *Credentials*: a worker has those of the thread that started it. A submitter with others runs
//! its requests itself ([`Refused`]). glibc changes ids in all threads at once, so a worker
//! compares again before it starts, and adopts the submitter's if they differ.
//!
//! *Who may touch what*: a queue's list, under its lock, by submitters, workers and cancellation; a
//! request is claimed under that lock when it is taken off.
//!
//! *Locks (order)*: `ready` (workers only), then a queue's. That of the [`Crew`] is taken alone,
//! and only to start or end a thread. Submission takes no process-wide lock but for that.
//!
//! *Orderings*: a submitter queues; SeqCst fence; looks at the counts of idle, busy and all
//! workers. A worker notes that it is idle, busy or about to exit; SeqCst fence; looks at the
//! queue. The two fences are ordered, so that one sees the other: either the submitter wakes a
//! worker, or a worker that is awake finds the request, or wakes another one for it. AcqRel would
//! let both read old values.

mod queue;
mod start;

use core::ffi::c_void;
use core::ptr;

use libc::timespec;

use crate::completion::Completions;
use crate::engine::idle::{Idle, MAX_WORKERS, Rest};
use crate::engine::work::{self, Shield};
use crate::lock::Lock;
use crate::process::crew::{Crew, MemberId};
use crate::request::Request;
use crate::sync::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering, fence};
use crate::sys::cred::Credentials;
use crate::sys::{clock, futex, thread};
use queue::Party;

pub use queue::PoolQueue;

/// How many workers there are at most, unless more requests than that are queued besides: some
/// twenty do what a disk can, and more sleep and are called more often.
const USUAL_WORKERS: u32 = 16;
/// How long a worker waits for something to do.
const IDLE_TIMEOUT: timespec = timespec { tv_sec: 1, tv_nsec: 0 };
/// How long a request waits for a thread that does not come to do it; and how long a worker that
/// has nothing to do keeps signals off.
const WATCHMAN_TIMEOUT: timespec = timespec { tv_sec: 0, tv_nsec: 1_000_000 };

/// The pool does not take the request: the caller has to do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Refused;

/// Queues that wait for workers, in order.
#[derive(Debug)]
struct Ready {
    head: *const PoolQueue,
    tail: *const PoolQueue,
}

// SAFETY: queues stay at their addresses for ever, and their links belong to the holder of the
// lock.
unsafe impl Send for Ready {}

#[derive(Debug)]
struct Pool {
    /// Queues that were given work and that no worker has seen yet, last one first.
    arrived: AtomicPtr<PoolQueue>,
    ready: Lock<Ready>,
    workers: Crew<thread::Thread, MAX_WORKERS>,
    /// Requests on all queues.
    queued: AtomicU32,
    /// Requests that workers are at.
    busy: AtomicU32,
    /// Requests of queues that others are at.
    helping: AtomicU32,
    /// The program ends, and waits for both.
    is_ending: AtomicBool,
    idle: Idle,
    /// Requests for which nobody was called.
    uncalled: AtomicU32,
    /// How many there were when a worker has looked last.
    looked: AtomicU32,
    /// There is a watchman.
    has_watchman: AtomicBool,
    /// Credentials of the workers, in two halves; a torn value only sends work back to its
    /// submitter, or to a worker that compares again.
    credentials: [AtomicU64; 2],
}

static POOL: Pool = Pool {
    arrived: AtomicPtr::new(ptr::null_mut()),
    ready: Lock::new(Ready { head: ptr::null(), tail: ptr::null() }),
    workers: Crew {
        members: Lock::new([None; MAX_WORKERS]),
        count: AtomicU32::new(0),
        epoch: AtomicU32::new(0),
    },
    queued: AtomicU32::new(0),
    busy: AtomicU32::new(0),
    helping: AtomicU32::new(0),
    is_ending: AtomicBool::new(false),
    idle: Idle { workers: AtomicU32::new(0), calls: AtomicU32::new(0) },
    uncalled: AtomicU32::new(0),
    looked: AtomicU32::new(0),
    has_watchman: AtomicBool::new(false),
    credentials: [AtomicU64::new(0), AtomicU64::new(0)],
};

impl Pool {
    /// Whether the workers that are there have these credentials; with none there, one can be
    /// started.
    fn may_serve(&self, credentials: Credentials) -> bool {
        self.credentials().is_none_or(|own| own == credentials)
    }

    /// The credentials of the workers, if there are any.
    fn credentials(&self) -> Option<Credentials> {
        let [low, high] = &self.credentials;
        let words = [low.load(Ordering::Relaxed), high.load(Ordering::Relaxed)];
        (self.workers.count() > 0).then(|| Credentials::from_words(words))
    }

    /// Puts a queue where workers look.
    fn arrive(&self, queue: &'static PoolQueue) {
        let queue = ptr::from_ref(queue).cast_mut();
        let mut head = self.arrived.load(Ordering::Relaxed);
        loop {
            // SAFETY: a `&'static PoolQueue`.
            unsafe { (*queue).next.store(head, Ordering::Relaxed) };
            // Release: publishes `next` to the Acquire swap in `take`.
            match self.arrived.compare_exchange_weak(
                head,
                queue,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(current) => head = current,
            }
        }
    }

    /// Calls as many idle workers as are missing for what is queued. False: there are not enough,
    /// and nobody else is on the way.
    fn wake_idle(&self) -> bool {
        // SeqCst: see the module.
        fence(Ordering::SeqCst);
        // Those that are awake and have nothing yet will find it.
        let missing = self.queued.load(Ordering::Relaxed).saturating_sub(self.searching());
        missing == 0 || self.idle.wake(missing) > 0 || self.searching() > 0
    }

    /// For a request for which no worker is to be woken: whether the watchman looks after it. If not,
    /// a worker has to be woken, which becomes the watchman.
    fn is_watched(&self) -> bool {
        self.uncalled.fetch_add(1, Ordering::Relaxed);
        // SeqCst: see the module; the watchman leaves before it looks how many there were.
        fence(Ordering::SeqCst);
        self.has_watchman.load(Ordering::Relaxed)
    }

    /// Starts one more worker, if there are not too many.
    fn add_worker(&self, credentials: Option<Credentials>) -> bool {
        let workers = self.workers.count();
        let most = if self.queued.load(Ordering::Relaxed) > workers {
            MAX_WORKERS as u32
        } else {
            USUAL_WORKERS
        };
        workers < most && self.spawn_worker(credentials)
    }

    /// The same, by a thread whose credentials a new worker gets: not if the others have others.
    fn add_worker_like(&self, credentials: impl FnOnce() -> Credentials) -> bool {
        if self.workers.count() >= MAX_WORKERS as u32 {
            return false;
        }
        let own = credentials();
        self.may_serve(own) && self.add_worker(Some(own))
    }

    /// Whether somebody comes for what is queued, sooner or later.
    fn has_workers(&self) -> bool {
        self.workers.count() > 0
    }

    /// How many workers are looking for work, or on their way to it.
    fn searching(&self) -> u32 {
        let at_work = self.busy.load(Ordering::Relaxed) + self.idle.count();
        self.workers.count().saturating_sub(at_work)
    }

    /// Starts one more worker, with the credentials of the calling thread; none: that is a worker
    /// itself.
    #[cold]
    fn spawn_worker(&self, credentials: Option<Credentials>) -> bool {
        self.workers.add(|id| {
            let thread = thread::spawn(worker, id.to_word()).ok()?;
            if let Some(credentials) = credentials {
                self.note_credentials(credentials);
            }
            Some(thread)
        })
    }

    /// The next request for a worker, claimed.
    fn take(&self) -> Option<(&'static PoolQueue, &'static Request)> {
        let mut ready = self.ready.lock();
        loop {
            // Acquire: pairs with the Release in `arrive`.
            let mut queue = self.arrived.swap(ptr::null_mut(), Ordering::Acquire);
            let mut first: *mut PoolQueue = ptr::null_mut();
            while !queue.is_null() {
                // SAFETY: queues live for ever; an arrived one is linked by nobody else.
                let next = unsafe { (*queue).next.swap(first, Ordering::Relaxed) };
                first = queue;
                queue = next;
            }
            while !first.is_null() {
                // SAFETY: as above.
                let next = unsafe { (*first).next.load(Ordering::Relaxed) };
                ready.push(first);
                first = next;
            }
            let queue = ready.pop()?;
            // SAFETY: queues live for ever.
            let queue: &'static PoolQueue = unsafe { &*queue };
            let (request, has_more) = queue.pop(Party::Worker, |_| true);
            if has_more {
                ready.push(queue);
            }
            if let Some(request) = request {
                return Some((queue, request));
            }
        }
    }

    /// Waits for something to do. None: nothing came for too long, or the pool is sent home.
    fn wait(
        &self,
        id: MemberId,
        shield: &mut Shield,
    ) -> Option<(&'static PoolQueue, &'static Request)> {
        let is_sent_home = || self.workers.is_over(id);
        // A short rest: signals stay blocked, so the credentials need no second look.
        let mut is_short = true;
        loop {
            if is_sent_home() {
                return None;
            }
            if let Some(found) = self.take() {
                return Some(found);
            }
            if is_short {
                // The thread that reaps this result may submit the next request.
                thread::give_way();
                if let Some(found) = self.take() {
                    return Some(found);
                }
            }
            let has_work = || self.queued.load(Ordering::Relaxed) > 0 || is_sent_home();
            let uncalled = self.uncalled.load(Ordering::Relaxed);
            let is_watchman = self.looked.swap(uncalled, Ordering::Relaxed) != uncalled
                && !self.has_watchman.swap(true, Ordering::Relaxed);
            is_short |= is_watchman;
            let deadline = clock::after(if is_short { &WATCHMAN_TIMEOUT } else { &IDLE_TIMEOUT });
            if !is_short {
                shield.lower();
            }
            let rest = self.idle.sleep(id.number, &deadline, has_work);
            if is_watchman {
                self.has_watchman.store(false, Ordering::Relaxed);
                // SeqCst: see the module, before the look at the queue, or how many were not called
                // for.
                fence(Ordering::SeqCst);
            }
            if !is_short || rest == Rest::TimedOut {
                shield.lower();
                self.renew(shield);
            }
            if rest == Rest::TimedOut && !core::mem::take(&mut is_short) {
                return None;
            }
        }
    }

    /// After a time in which the credentials of a worker may have changed.
    fn renew(&self, shield: &mut Shield) {
        let before = shield.credentials();
        *shield = Shield::raise();
        if shield.credentials() != before {
            self.note_credentials(shield.credentials());
        }
    }

    fn note_credentials(&self, credentials: Credentials) {
        for (word, value) in self.credentials.iter().zip(credentials.to_words()) {
            word.store(value, Ordering::Relaxed);
        }
    }

    /// The calling worker stops being one. False: it has to stay, somebody needs it.
    fn try_exit(&self, id: MemberId) -> bool {
        let is_needed = || self.queued.load(Ordering::Relaxed) > 0;
        self.workers.try_exit(id, is_needed, thread::detach_self)
    }
}

impl Ready {
    fn push(&mut self, queue: *const PoolQueue) {
        // SAFETY: queues live for ever; the links are ours under the lock.
        unsafe {
            (*queue).next.store(ptr::null_mut(), Ordering::Relaxed);
            if self.tail.is_null() {
                self.head = queue;
            } else {
                (*self.tail).next.store(queue.cast_mut(), Ordering::Relaxed);
            }
        }
        self.tail = queue;
    }

    fn pop(&mut self) -> Option<*const PoolQueue> {
        if self.head.is_null() {
            return None;
        }
        let queue = self.head;
        // SAFETY: as in `push`.
        self.head = unsafe { (*queue).next.load(Ordering::Relaxed) };
        if self.head.is_null() {
            self.tail = ptr::null();
        }
        Some(queue)
    }
}

extern "C" fn worker(id: *mut c_void) -> *mut c_void {
    thread::name_self(c"uaio-pool");
    let id = MemberId::from_word(id.addr());
    let mut shield = Shield::raise();
    POOL.note_credentials(shield.credentials());
    loop {
        match POOL.wait(id, &mut shield) {
            Some((queue, request)) => {
                // glibc sets its own mask when it starts a thread.
                if !POOL.wake_idle() && POOL.add_worker(None) {
                    POOL.renew(&mut shield);
                }
                run(queue.completions(), request, Party::Worker, &shield);
                if shield.breathe() {
                    POOL.note_credentials(shield.credentials());
                }
            }
            None if POOL.try_exit(id) => {
                // glibc may wait for its signal at the end of a thread.
                shield.lower();
                return ptr::null_mut();
            }
            None => {}
        }
    }
}

/// Does a request that `party` has taken off a queue, and completes it.
fn run(completions: &Completions, request: &Request, party: Party, shield: &Shield) {
    request.set_result(work::perform_shielded(request, &completions.holds, shield));
    completions.put(request);
    // SeqCst, both: orders our leaving before our look at the flag; pairs with `finish_all`, which
    // sets the flag before it counts.
    let at_work = party.at_work();
    if at_work.fetch_sub(1, Ordering::SeqCst) == 1 && POOL.is_ending.load(Ordering::SeqCst) {
        futex::wake(at_work, u32::MAX);
    }
}

/// Waits until everything that was submitted has been done: the program ends, and the kernel would
/// finish it (fs/aio.c, exit_aio).
pub fn finish_all() {
    // SeqCst: see `run`.
    POOL.is_ending.store(true, Ordering::SeqCst);
    loop {
        // Acquire: pairs with the Release in `pop`.
        let queued = POOL.queued.load(Ordering::Acquire);
        // SeqCst: see `run`.
        let [busy, helping] = [&POOL.busy, &POOL.helping].map(|count| count.load(Ordering::SeqCst));
        match (busy, helping) {
            (0, 0) if queued == 0 => break,
            // Between two requests: workers are on their way.
            (0, 0) => thread::give_way(),
            (0, _) => futex::wait(&POOL.helping, helping),
            _ => futex::wait(&POOL.busy, busy),
        }
    }
    POOL.is_ending.store(false, Ordering::Relaxed);
}

/// Ends all workers and waits until they are gone: there is no context left.
pub fn shutdown() {
    let wake = || {
        POOL.idle.wake(u32::MAX);
        // Another thread may have made a context and queued something for the workers that leave.
        serve_late_comers();
    };
    if POOL.workers.end(wake, thread::Thread::join) {
        serve_late_comers();
    }
}

/// Sees to requests that were queued for workers that have left.
fn serve_late_comers() {
    // SeqCst: see the module; the workers were taken from it.
    fence(Ordering::SeqCst);
    if POOL.queued.load(Ordering::Relaxed) == 0
        || POOL.wake_idle()
        || POOL.add_worker(Some(Credentials::current()))
        || POOL.has_workers()
    {
        return;
    }
    let mut shield = Shield::raise();
    while let Some((queue, request)) = POOL.take() {
        run(queue.completions(), request, Party::Worker, &shield);
        shield.breathe();
    }
    shield.lower();
}

/// A forked child has no workers.
///
/// # Safety
/// No other thread exists, and no queue of before the fork is used again.
pub unsafe fn reset_after_fork() {
    // SAFETY: the caller's promise.
    unsafe {
        POOL.ready.force_unlock();
        POOL.workers.reset_after_fork();
    }
    *POOL.ready.lock() = Ready { head: ptr::null(), tail: ptr::null() };
    POOL.arrived.store(ptr::null_mut(), Ordering::Relaxed);
    for count in [&POOL.queued, &POOL.busy, &POOL.helping] {
        count.store(0, Ordering::Relaxed);
    }
    POOL.idle.reset_after_fork();
    POOL.has_watchman.store(false, Ordering::Relaxed);
}
