//! The driver engine: one thread of the library owns an instance of io_uring, and submitters hand
//! their requests to it. It serves with UAIO_URING=driver.
//!
//! Completions of io_uring run as task work of the thread that submitted: when that is the program's,
//! they can make its `epoll_wait` or its `recv` with a time-out return EINTR. Here they never touch a
//! thread of the program, for the price of two switches of threads a request.
//!
//! Requests queue in the *lane* of their context; lanes with requests queue for the driver, which takes
//! one from each in turn, submits what it has taken and sleeps, all in one call, until something has
//! completed or somebody has called. It leaves after a second without work, and with the last context.
//!
//! *Attempts*: as in [`super::uring`] a transfer is submitted with RWF_NOWAIT; what would block goes to
//! the pool, and so does everything when there is no io_uring. Requests have a pin for that, and since
//! the driver cannot know what the program has done to its descriptors.
//!
//! *Rights*: the driver has those of the thread that started it; a submitter with others is
//! [`Refused`]. It compares again before it submits, and leaves to the pool what has changed meanwhile.
//!
//! *Who decides*: a request is claimed under the lock of the queue by who takes it off, the driver or
//! cancellation. Nobody cancels what is in the instance.
//!
//! *If the kernel begins to refuse*, what is in the instance still completes: it is one whose
//! completions are posted when the driver is in any system call, not in io_uring_enter alone
//! ([`Sharing::Driver`]). The driver looks now and then until it has all, and the pool gets the rest.
//!
//! *Locks (order)*: `STAFF` to start or end the thread, `QUEUE`, a lane's `line`.
//!
//! *Orderings*: the driver says that it sleeps under the lock of the queue, if it finds that empty. Who
//! queues something later takes the lock later, and sees it asleep, or that another submitter calls.
//! So `CALL` is Relaxed throughout.

mod flights;

use core::ffi::c_void;
use core::ptr;

use libc::timespec;

use crate::completion::Completions;
use crate::engine::driver::flights::Flights;
use crate::engine::pool::{self, Refused};
use crate::engine::{uring, work};
use crate::lock::Lock;
use crate::process::fork_gate;
use crate::request::list::List;
use crate::request::state::Claim;
use crate::request::{Request, Task};
use crate::sync::{AtomicBool, AtomicPtr, AtomicU32, Ordering};
use crate::sys::cred::Credentials;
use crate::sys::errno::Errno;
use crate::sys::uring::Sqe;
use crate::sys::{futex, poll, thread};
use crate::uring::{Instance, Sharing, cache, may_work};

/// Requests in the instance at most; more wait in their lanes.
const MOST: usize = 1024;
/// Requests that are submitted together at most; with the call they fill a submission queue.
const BATCH: usize = 63;
/// How long the driver waits for something to do.
const PATIENCE: timespec = timespec { tv_sec: 1, tv_nsec: 0 };
/// How often it looks for completions when it may not ask for them.
const STEP: timespec = timespec { tv_sec: 0, tv_nsec: 1_000_000 };
/// Requests that go to the pool before an instance is tried again.
const PAUSE: u32 = 256;

/// `user_data` of the call; others are places in `Flights`.
const CALLED: u64 = u64::MAX;

/// The queue of one context. It stays at its address for ever. All-zero memory is one without work.
#[derive(Debug)]
pub struct Lane {
    line: Lock<Line, true>,
    /// The next lane in the queue, under its lock.
    next: AtomicPtr<Lane>,
    completions: AtomicPtr<Completions>,
    pool: AtomicPtr<pool::Lane>,
    /// Requests that the driver was given and has not completed or passed on.
    pending: AtomicU32,
    /// Threads that wait until `pending` is 0.
    awaited: AtomicU32,
    /// A request was passed on to the pool.
    has_passed_on: AtomicBool,
}

#[derive(Debug)]
struct Line {
    requests: List,
    /// The lane is in the queue.
    is_scheduled: bool,
}

impl Lane {
    /// Says where the events of this lane go, and who does what the driver does not.
    pub fn open(&self, completions: &'static Completions, pool: &'static pool::Lane) {
        self.completions.store(ptr::from_ref(completions).cast_mut(), Ordering::Relaxed);
        self.pool.store(ptr::from_ref(pool).cast_mut(), Ordering::Relaxed);
        self.has_passed_on.store(false, Ordering::Relaxed);
    }

    fn completions(&self) -> &'static Completions {
        // SAFETY: `open` came before the first request and stored a `&'static`.
        unsafe { &*self.completions.load(Ordering::Relaxed) }
    }

    fn pool(&self) -> &'static pool::Lane {
        // SAFETY: as in `completions`.
        unsafe { &*self.pool.load(Ordering::Relaxed) }
    }

    /// Queues a request that is pinned, to be done with the rights of `credentials`. [`call`] is due.
    /// Refused: somebody else does it; nothing was claimed.
    pub fn submit(
        &'static self,
        request: &Request,
        credentials: Credentials,
    ) -> Result<(), Refused> {
        request.set_credentials(credentials);
        while may_work() && !is_paused() {
            let mut queue = QUEUE.lock();
            match queue.rights {
                Some(rights) if rights == credentials => {
                    request.ring.is_inside.store(true, Ordering::Relaxed);
                    request.state.arm();
                    self.pending.fetch_add(1, Ordering::Relaxed);
                    queue.push(self, request);
                    return Ok(());
                }
                Some(_) => break,
                None => drop(queue),
            }
            if !hire(credentials) {
                break;
            }
        }
        Err(Refused)
    }

    /// Claims a request that the driver has not taken. The caller holds a reference and no lock.
    pub fn cancel(&self, request: &Request) -> Claim {
        let claim = {
            let _queue = QUEUE.lock();
            let claim = request.state.claim();
            if claim == Claim::Won {
                // A lane may be in the queue without a request.
                self.line.lock().requests.remove(&self.completions().slab, request);
            }
            claim
        };
        if claim == Claim::Won {
            self.left();
        }
        claim
    }

    /// A request has been dealt with.
    fn left(&self) {
        // SeqCst, both: we count, then look for who waits; who waits says so, then looks at the count.
        // With less both might miss the other.
        if self.pending.fetch_sub(1, Ordering::SeqCst) == 1
            && self.awaited.load(Ordering::SeqCst) > 0
        {
            futex::wake(&self.pending, u32::MAX);
        }
    }

    /// Waits until everything that this lane was given is completed, or with the pool.
    pub fn finish(&self) {
        if self.pending.load(Ordering::Relaxed) == 0 {
            return;
        }
        call();
        // SeqCst: see `left`.
        self.awaited.fetch_add(1, Ordering::SeqCst);
        loop {
            // SeqCst: see `left`.
            match self.pending.load(Ordering::SeqCst) {
                0 => break,
                pending => futex::wait(&self.pending, pending),
            }
        }
        self.awaited.fetch_sub(1, Ordering::Relaxed);
    }

    /// Waits until everything that this lane was given is done, by whomever: for a write that has to
    /// come after it.
    pub fn settle(&self) {
        self.finish();
        if self.has_passed_on.load(Ordering::Relaxed) {
            pool::finish_all();
        }
    }
}

/// A request that the driver has taken: claimed, and to be completed.
#[derive(Clone, Copy, Debug)]
struct Flight {
    lane: &'static Lane,
    request: &'static Request,
}

impl Flight {
    fn complete(self, result: i64) {
        self.request.set_result(result);
        self.lane.completions().put(self.request);
        self.lane.left();
    }

    /// Hands the request to the pool; without any, does it here.
    #[cold]
    fn pass_on(self) {
        let request = self.request;
        self.lane.has_passed_on.store(true, Ordering::Relaxed);
        // It is claimed: cancellation leaves it alone.
        request.ring.is_inside.store(false, Ordering::Relaxed);
        match self.lane.pool().submit(request, request.credentials()) {
            Ok(()) => self.lane.left(),
            Err(Refused) => self.complete(work::perform(request)),
        }
    }

    /// What io_uring shall do; none: it is not for the driver.
    fn entry(self, own: Credentials) -> Option<Sqe> {
        let request = self.request;
        if request.credentials() != own {
            return None;
        }
        // Without its file, or with one that has become shorter, it is for the pool.
        let pinned = request.look_at_pin()?;
        if pinned.size_now < pinned.size_then && pinned.size_then != u64::MAX {
            return None;
        }
        // An answer that it would block is for us, unless the program has asked for it.
        let is_gentle = match request.work().map(|work| &work.task) {
            Some(Task::Transfer(transfer)) => !transfer.flags.is_nowait(),
            _ => false,
        };
        request.ring.is_gentle.store(is_gentle, Ordering::Relaxed);
        Some(uring::entry(request))
    }
}

#[derive(Debug)]
struct Queue {
    /// Lanes with requests, in order.
    head: *const Lane,
    tail: *const Lane,
    /// Rights of the driver; none: there is no driver, and nothing may be queued.
    rights: Option<Credentials>,
    /// A driver of an older epoch goes home.
    epoch: u32,
}

// SAFETY: lanes stay at their addresses for ever, and their links belong to the holder of the lock.
unsafe impl Send for Queue {}

impl Queue {
    const NOTHING: Queue = Queue { head: ptr::null(), tail: ptr::null(), rights: None, epoch: 0 };

    fn push(&mut self, lane: &'static Lane, request: &Request) {
        let mut line = lane.line.lock();
        line.requests.push_back(&lane.completions().slab, request);
        if !core::mem::replace(&mut line.is_scheduled, true) {
            self.schedule(lane);
        }
    }

    fn schedule(&mut self, lane: &'static Lane) {
        lane.next.store(ptr::null_mut(), Ordering::Relaxed);
        // SAFETY: lanes live for ever.
        match unsafe { self.tail.as_ref() } {
            Some(tail) => tail.next.store(ptr::from_ref(lane).cast_mut(), Ordering::Relaxed),
            None => self.head = lane,
        }
        self.tail = lane;
    }

    /// The next request, claimed.
    fn pop(&mut self) -> Option<Flight> {
        loop {
            // SAFETY: lanes live for ever.
            let lane: &'static Lane = unsafe { self.head.as_ref() }?;
            self.head = lane.next.load(Ordering::Relaxed);
            if self.head.is_null() {
                self.tail = ptr::null();
            }
            let slab = &lane.completions().slab;
            let mut line = lane.line.lock();
            let request = line.requests.first(slab);
            if let Some(request) = request {
                line.requests.remove(slab, request);
                // Cancellation, which has the lock of the queue, takes off what it claims.
                let claim = request.state.claim();
                debug_assert_eq!(claim, Claim::Won);
            }
            line.is_scheduled = !line.requests.is_empty();
            if line.is_scheduled {
                self.schedule(lane);
            }
            if let Some(request) = request {
                return Some(Flight { lane, request });
            }
        }
    }
}

static QUEUE: Lock<Queue, true> = Lock::new(Queue::NOTHING);
static STAFF: Lock<Option<thread::Thread>> = Lock::new(None);
/// Requests to pass on, after an instance could not be made.
static PAUSED: AtomicU32 = AtomicU32::new(0);
/// The instance, for a forked child to close.
static INSTANCE: AtomicPtr<Instance> = AtomicPtr::new(ptr::null_mut());

/// On this word the driver sleeps, while it is [`ASLEEP`].
static CALL: AtomicU32 = AtomicU32::new(AWAKE);
const AWAKE: u32 = 0;
const ASLEEP: u32 = 1;

/// Wakes the driver, if it sleeps: something was queued.
#[inline]
pub fn call() {
    // Relaxed, both: see the module.
    if CALL.load(Ordering::Relaxed) == ASLEEP && CALL.swap(AWAKE, Ordering::Relaxed) == ASLEEP {
        futex::wake(&CALL, u32::MAX);
    }
}

fn is_paused() -> bool {
    let paused = PAUSED.load(Ordering::Relaxed);
    if paused > 0 {
        PAUSED.store(paused - 1, Ordering::Relaxed);
    }
    paused > 0
}

/// Starts the driver, with the rights of the calling thread. False: there can be none.
#[cold]
fn hire(credentials: Credentials) -> bool {
    let mut staff = STAFF.lock();
    if QUEUE.lock().rights.is_some() {
        return true;
    }
    // Passed on: by the time it runs, it may belong to an older epoch already.
    let epoch = QUEUE.lock().epoch;
    let Ok(thread) = thread::spawn(driver, epoch as usize) else { return false };
    *staff = Some(thread);
    // It cannot have left: `leave` takes the lock that we hold.
    QUEUE.lock().rights = Some(credentials);
    true
}

/// The calling driver stops being one. False: it has to stay, something was queued.
fn leave(epoch: u32) -> bool {
    let mut staff = STAFF.lock();
    let mut queue = QUEUE.lock();
    if queue.epoch != epoch {
        // `retire` has our handle and waits for us.
        return true;
    }
    if !queue.head.is_null() {
        return false;
    }
    queue.rights = None;
    CALL.store(AWAKE, Ordering::Relaxed);
    *staff = None;
    thread::detach_self();
    true
}

/// What the driver found in the queue.
struct Orders {
    /// How many requests it has taken.
    count: usize,
    /// There are no more, and it has said that it sleeps.
    is_asleep: bool,
    /// It was sent home.
    is_over: bool,
}

/// Takes up to `room` requests off the queue.
fn take(epoch: u32, room: usize, taken: &mut [Option<Flight>; BATCH]) -> Orders {
    let mut queue = QUEUE.lock();
    let mut count = 0;
    for place in taken.iter_mut().take(room) {
        *place = queue.pop();
        if place.is_none() {
            break;
        }
        count += 1;
    }
    let is_empty = queue.head.is_null();
    let is_over = queue.epoch != epoch && (is_empty || queue.rights.is_some());
    let is_asleep = is_empty && queue.epoch == epoch;
    if is_asleep {
        CALL.store(ASLEEP, Ordering::Relaxed);
    }
    Orders { count, is_asleep, is_over }
}

/// How the work of a driver ended.
#[derive(PartialEq, Eq)]
enum End {
    /// It may go: somebody else takes what is queued from now on.
    Left,
    /// It cannot use io_uring any more.
    Broken,
}

/// Works until there is nothing to do.
fn drive(instance: &Instance, epoch: u32, flights: &mut Flights) -> End {
    let mut is_listening = false;
    loop {
        let mut taken = [None; BATCH];
        let orders = take(epoch, flights.free_count, &mut taken);
        let mut entries = [Sqe::nop(); BATCH + 1];
        let mut count = 0;
        if orders.count > 0 {
            let own = Credentials::current();
            for flight in taken.iter().take(orders.count).copied().flatten() {
                let entry = flight.entry(own);
                let marked = entry.and_then(|entry| Some(entry.marked(flights.add(flight)?)));
                match (marked, entries.get_mut(count)) {
                    (Some(entry), Some(place)) => {
                        *place = entry;
                        count += 1;
                    }
                    // There is room: it is not for the driver.
                    _ => flight.pass_on(),
                }
            }
        }
        if orders.is_asleep
            && !is_listening
            && let Some(place) = entries.get_mut(count)
        {
            *place = Sqe::futex_wait(&CALL, ASLEEP).marked(CALLED);
            count += 1;
            is_listening = true;
        }
        let is_full = flights.free_count == 0;
        let is_waiting = orders.is_asleep || is_full || (orders.is_over && !flights.is_empty());
        if count == 0 && !is_waiting {
            if orders.is_over {
                return End::Left;
            }
            continue;
        }
        let entries = entries.get(..count).unwrap_or_default();
        let (submitted, result) =
            instance.submit_and_wait(entries, is_waiting.then_some(&PATIENCE));
        if orders.is_asleep {
            CALL.store(AWAKE, Ordering::Relaxed);
        }
        for entry in entries.iter().skip(submitted) {
            match flights.remove(entry.mark()) {
                Some(flight) => flight.pass_on(),
                None => is_listening = false,
            }
        }
        let call = harvest(instance, flights);
        is_listening &= call.is_none();
        match result {
            // Linux before 6.7 has no such operation.
            _ if call == Some(Errno::INVAL.to_return()) => return End::Broken,
            Ok(()) | Err(Errno::INTR | Errno::BUSY) => {}
            Err(Errno::TIME) => {
                if count == 0 && flights.is_empty() && orders.is_asleep && leave(epoch) {
                    return End::Left;
                }
            }
            Err(_) => return End::Broken,
        }
    }
}

/// Completes what has come back; what the call has brought, if there was one.
fn harvest(instance: &Instance, flights: &mut Flights) -> Option<i32> {
    /// How many are taken out of the completion queue before the first is completed.
    const CHUNK: usize = 64;
    let mut call = None;
    loop {
        let mut seen = [(CALLED, 0); CHUNK];
        let count = instance.take(&mut seen);
        for (number, res) in seen.iter().take(count).copied() {
            match flights.remove(number) {
                Some(flight) if uring::is_final(flight.request, res) => {
                    flight.complete(work::result(flight.request, res));
                }
                Some(flight) => flight.pass_on(),
                None => call = Some(res),
            }
        }
        if count < CHUNK {
            return call;
        }
    }
}

/// Passes on everything that is queued, and waits for what is in the instance.
#[cold]
fn give_up(epoch: u32, instance: Option<&Instance>, flights: &mut Flights) {
    PAUSED.store(PAUSE, Ordering::Relaxed);
    loop {
        loop {
            // Not in the condition: there the lock would be held.
            let flight = QUEUE.lock().pop();
            let Some(flight) = flight else { break };
            flight.pass_on();
        }
        if let Some(instance) = instance {
            harvest(instance, flights);
        }
        if flights.is_empty() {
            if leave(epoch) {
                return;
            }
        } else {
            let _ = poll::wait(&mut [], Some(&STEP), None);
        }
    }
}

/// Makes the instance, and notes it for a forked child.
fn make() -> Option<Box<Instance>> {
    let section = fork_gate::enter();
    let instance = cache::make(2 * MOST as u32, Sharing::Driver, &section).ok()?;
    INSTANCE.store(ptr::from_ref(&*instance).cast_mut(), Ordering::Relaxed);
    Some(instance)
}

extern "C" fn driver(epoch: *mut c_void) -> *mut c_void {
    thread::name_self(c"uaio-driver");
    let epoch = epoch.addr() as u32;
    let mut flights = Flights::new();
    let instance = make();
    let end = match instance.as_deref() {
        Some(instance) => drive(instance, epoch, &mut flights),
        None => End::Broken,
    };
    if end == End::Broken {
        give_up(epoch, instance.as_deref(), &mut flights);
    }
    if let Some(instance) = instance {
        let _section = fork_gate::enter();
        // Another driver may have noted its own.
        let own = ptr::from_ref(&*instance).cast_mut();
        let _ =
            INSTANCE.compare_exchange(own, ptr::null_mut(), Ordering::Relaxed, Ordering::Relaxed);
        drop(instance);
    }
    ptr::null_mut()
}

/// Sends the driver home and waits until it is gone: there is no context left.
pub fn retire() {
    let thread = {
        let mut staff = STAFF.lock();
        let thread = staff.take();
        if thread.is_some() {
            let mut queue = QUEUE.lock();
            queue.epoch = queue.epoch.wrapping_add(1);
            queue.rights = None;
            CALL.store(AWAKE, Ordering::Relaxed);
        }
        thread
    };
    PAUSED.store(0, Ordering::Relaxed);
    if let Some(thread) = thread {
        futex::wake(&CALL, u32::MAX);
        thread.join();
    }
}

/// A forked child has no driver.
///
/// # Safety
/// No other thread exists, and no lane of before the fork is used again.
pub unsafe fn reset_after_fork() {
    // SAFETY: the caller's promise.
    unsafe {
        STAFF.force_unlock();
        QUEUE.force_unlock();
    }
    *STAFF.lock() = None;
    *QUEUE.lock() = Queue::NOTHING;
    CALL.store(AWAKE, Ordering::Relaxed);
    PAUSED.store(0, Ordering::Relaxed);
    let instance = INSTANCE.swap(ptr::null_mut(), Ordering::Relaxed);
    // SAFETY: the parent's driver has not dropped it: it takes it out of the variable before, in a
    // section that no fork interrupts.
    if let Some(instance) = unsafe { instance.as_ref() } {
        cache::close_after_fork(instance);
    }
}

#[cfg(test)]
mod tests;
