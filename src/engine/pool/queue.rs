//! The queue of one context: what submitters, waits and cancellation do with it.

use bytemuck::Zeroable;

use crate::completion::{Completions, CompletionsRef};
use crate::engine::pool::{POOL, Refused, run};
use crate::engine::work::Shield;
use crate::lock::Lock;
use crate::process::reentrancy;
use crate::request::list::List;
use crate::request::state::Claim;
use crate::request::{Owner, Request};
use crate::sync::{AtomicPtr, AtomicU32, Ordering};
use crate::sys::cred::Credentials;
use crate::sys::errno::Errno;

/// How often in a row a thread has to have come to wait.
const HABITUAL_WAITS: u32 = 8;

#[derive(Debug, Zeroable)]
struct Requests {
    list: List,
    /// The queue waits for a worker, or a worker is about to put it back.
    is_scheduled: bool,
}

/// The queue of one context. It stays at its address for ever. All-zero memory is one without work.
#[derive(Debug, Zeroable)]
pub struct PoolQueue {
    requests: Lock<Requests, true>,
    /// Requests on it.
    waiting: AtomicU32,
    /// The thread that has called last.
    caller: AtomicU32,
    /// How often in a row it has come to wait for its only request.
    habit: AtomicU32,
    /// The next queue on `arrived` or `ready`.
    pub(super) next: AtomicPtr<PoolQueue>,
    completions: CompletionsRef,
}

impl PoolQueue {
    /// Says where the events of this queue go.
    pub fn open(&self, completions: &'static Completions) {
        self.completions.set(completions);
        self.habit.store(0, Ordering::Relaxed);
    }

    pub(super) fn completions(&self) -> &'static Completions {
        self.completions.get()
    }

    /// Queues a request that is pinned, to be done with `credentials`; a
    /// [`PoolQueue::wake_workers`] is due. Refused: the caller does the work; it has claimed
    /// nothing.
    pub fn push(&'static self, request: &Request, credentials: Credentials) -> Result<(), Refused> {
        request.set_credentials(credentials);
        if !POOL.may_serve(credentials) {
            return Err(Refused);
        }
        let mut queue = self.requests.lock();
        request.state.arm();
        request.set_owner(Owner::Pool);
        queue.list.push_back(&self.completions().slab, request);
        self.waiting.fetch_add(1, Ordering::Relaxed);
        POOL.queued.fetch_add(1, Ordering::Relaxed);
        if !core::mem::replace(&mut queue.is_scheduled, true) {
            POOL.arrive(self);
        }
        Ok(())
    }

    /// Sees to it that what was queued is done: by workers, or here if there are none. The caller
    /// holds no lock.
    ///
    /// divergence: if the thread that is expected to do it does not come, the request starts late.
    pub fn wake_workers(&'static self, credentials: impl FnOnce() -> Credentials) {
        if self.will_help() && POOL.is_watched() {
            return;
        }
        if POOL.wake_idle() || POOL.add_worker_like(credentials) || POOL.has_workers() {
            return;
        }
        let mut shield = Shield::raise();
        while let Some(request) = self.pop(Party::Helper, |_| true).0 {
            run(self.completions(), request, Party::Helper, &shield);
            shield.breathe();
        }
        shield.lower();
    }

    /// The credentials that the workers have, or would have.
    pub fn usual_credentials(&self) -> Credentials {
        POOL.credentials().unwrap_or_else(Credentials::current)
    }

    /// Queues a single request and calls for it.
    pub fn submit(
        &'static self,
        request: &Request,
        credentials: Credentials,
    ) -> Result<(), Refused> {
        self.push(request, credentials)?;
        self.wake_workers(|| credentials);
        Ok(())
    }

    /// Cancels a request that no worker has started. The caller holds a reference and no lock.
    /// True: its event says so, or will.
    ///
    /// divergence: the kernel cannot cancel a read, write or sync.
    pub fn cancel(&self, request: &Request) -> bool {
        {
            let mut queue = self.requests.lock();
            // A worker has it, or a submitter; or it is on its way from one to the other.
            if request.owner() != Owner::Pool {
                return false;
            }
            request.set_owner(Owner::Nobody);
            if request.state.claim() == Claim::Lost {
                return false;
            }
            if queue.list.remove(&self.completions().slab, request) {
                self.waiting.fetch_sub(1, Ordering::Relaxed);
                POOL.queued.fetch_sub(1, Ordering::Relaxed);
            }
        }
        request.set_result(Errno::CANCELED.to_res());
        self.completions().put(request);
        true
    }

    /// Whether the calling thread, which has submitted the only request, is likely to do it.
    fn will_help(&self) -> bool {
        let completions = self.completions();
        let caller = reentrancy::owner().task;
        let is_same = self.caller.swap(caller, Ordering::Relaxed) == caller;
        let habit = self.habit.load(Ordering::Relaxed);
        if is_same && (self.waiting(), completions.in_flight()) == (1, 1) {
            return habit >= HABITUAL_WAITS && completions.waiters.is_empty();
        }
        // Once it happens: a worker whose event has been taken may not have left its request.
        self.habit.store(habit.min(HABITUAL_WAITS) / 2, Ordering::Relaxed);
        false
    }

    /// The calling thread is about to wait for requests, one of which may be on the queue;
    /// `can_help`: it would do that.
    pub fn note_wait(&self, can_help: bool) {
        let is_caller = || self.caller.load(Ordering::Relaxed) == reentrancy::owner().task;
        if can_help && self.completions().in_flight() == 1 && is_caller() {
            self.habit.fetch_add(1, Ordering::Relaxed);
        } else if self.waiting() > 0 && self.habit.swap(0, Ordering::Relaxed) >= HABITUAL_WAITS {
            POOL.wake_idle();
        }
    }

    /// Requests that nobody is at.
    pub fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Does the next request in a thread of the program's that waits, if it has the credentials for
    /// it, and the request is such as it wants.
    pub fn help(&self, shield: &Shield, is_wanted: impl Fn(&Request) -> bool) -> bool {
        let own = shield.credentials();
        let may_do = |request: &Request| request.credentials() == own && is_wanted(request);
        let Some(request) = self.pop(Party::Helper, may_do).0 else { return false };
        run(self.completions(), request, Party::Helper, shield);
        true
    }

    /// The first request, claimed, for `party`, which [`run`]s it, if that is wanted; and whether
    /// the queue is to be put back.
    pub(super) fn pop(
        &self,
        party: Party,
        is_wanted: impl Fn(&Request) -> bool,
    ) -> (Option<&'static Request>, bool) {
        let completions = self.completions();
        let mut queue = self.requests.lock();
        let first = queue.list.first(&completions.slab);
        let request = first.filter(|request| is_wanted(request));
        if let Some(request) = request {
            queue.list.remove(&completions.slab, request);
            request.set_owner(Owner::Nobody);
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            party.at_work().fetch_add(1, Ordering::Relaxed);
            // Release: a thread that sees the queue empty sees the request at work.
            POOL.queued.fetch_sub(1, Ordering::Release);
            // Whoever claims a queued request takes it off the queue, under the same lock.
            let _ = request.state.claim();
        }
        if party == Party::Worker {
            queue.is_scheduled = !queue.list.is_empty();
        }
        (request, queue.is_scheduled)
    }
}

/// What kind of thread takes a request off a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Party {
    /// A worker, to whom a queue has come.
    Worker,
    /// Another thread that has the queue.
    Helper,
}

impl Party {
    /// How many of these are at work on requests.
    pub(super) fn at_work(self) -> &'static AtomicU32 {
        match self {
            Party::Worker => &POOL.busy,
            Party::Helper => &POOL.helping,
        }
    }
}
