//! Completion: the event goes into the ring, then the resfd is signalled, then waiters are woken.
//! That order is fs/aio.c's, aio_complete: who reads the eventfd finds the event in the ring.
//!
//! [`Completions`] is what engines and poller know of a context. Each accepted request goes through
//! here exactly once: [`Completions::post`] for what the caller finished itself,
//! [`Completions::put`] for a reference to what completes asynchronously.
//!
//! *Locks*: callers hold no context lock, which debug builds check; those inside are leaves.

use crate::abi::types::Event;
use crate::fork_gate;
use crate::pins;
use crate::request::state::Put;
use crate::request::{Request, Slab, Task, Work};
use crate::resfd::{Resfd, Resfds, Signal};
use crate::ring::Ring;
use crate::sync::{AtomicBool, AtomicU32, Ordering, assert_no_context_lock};
use crate::sys::errno::Result;
use crate::sys::futex;
use crate::waiters::Waiters;

/// The completing side of a context. All-zero memory is a closed one.
#[derive(Debug)]
pub struct Completions {
    /// Where events go.
    pub ring: Ring,
    /// Requests that complete asynchronously.
    pub slab: Slab,
    /// Who waits for events.
    pub waiters: Waiters,
    /// Eventfds of requests in flight.
    pub resfds: Resfds,
    /// Requests in `slab` that are not completely gone.
    in_flight: AtomicU32,
    /// io_destroy waits for `in_flight` to become 0.
    is_draining: AtomicBool,
}

impl Completions {
    /// Posts the event of a request that holds a slot. Nothing may be done for the request
    /// afterwards.
    #[inline]
    pub fn post(&self, event: Event, signal: Option<Signal>) {
        assert_no_context_lock();
        self.ring.post(event);
        if let Some(signal) = signal {
            signal.send();
        }
        self.waiters.news(|| self.ring.occupancy());
    }

    /// Makes an asynchronous request, which holds a slot. Its two references are the caller's and
    /// the asynchronous side's. EAGAIN: no memory; `resfd` is given back.
    pub fn begin(&self, work: Work, resfd: Option<Resfd>) -> Result<&Request> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        match self.slab.insert(work) {
            Ok(request) => {
                request.set_resfd(resfd);
                Ok(request)
            }
            Err(error) => {
                if let Some(resfd) = resfd {
                    self.resfds.release(resfd);
                }
                self.left();
                Err(error)
            }
        }
    }

    /// Drops a reference to a request; the last one posts its event.
    pub fn put(&self, request: &Request) {
        if request.state.put() == Put::Last {
            self.finish(request, true);
        }
    }

    /// Drops the last two references to a request that the submission could not arm: there is no
    /// event, and its slot stays with the submitter.
    pub fn abandon(&self, request: &Request) {
        let _ = request.state.put();
        if request.state.put() == Put::Last {
            self.finish(request, false);
        }
    }

    fn finish(&self, request: &Request, is_accepted: bool) {
        // The file first: who has the event finds it closed if the program closed it, as a peer
        // that waits for the end of the data expects.
        let section = fork_gate::enter();
        match (request.unpin(), request.work().map(|work| &work.task)) {
            // The program has closed the pin and opened its own there.
            (Some(pin), Some(Task::Transfer(_, origin) | Task::Sync { origin, .. }))
                if !origin.file.is_behind(pin.raw()) =>
            {
                let _ = pin.into_raw();
            }
            (Some(pin), _) => pins::release(pin),
            (None, _) => {}
        }
        drop(section);
        let resfd = request.take_resfd();
        if is_accepted && let Some(work) = request.work() {
            let event =
                Event { data: work.data, obj: work.iocb as u64, res: request.result(), res2: 0 };
            // The place goes back before the event is seen, so that there is one for the request
            // that the program submits next.
            self.slab.remove(request);
            self.post(event, resfd.as_ref().map(Resfd::signal));
        } else {
            self.slab.remove(request);
        }
        if let Some(resfd) = resfd {
            self.resfds.release(resfd);
        }
        self.left();
    }

    /// The last touch of a completing thread: the context may be gone afterwards.
    fn left(&self) {
        // SeqCst: orders our leaving before our look at the flag; pairs with `drain`, which orders
        // its flag before its look at the count. AcqRel would let both miss the other.
        if self.in_flight.fetch_sub(1, Ordering::SeqCst) == 1
            && self.is_draining.load(Ordering::SeqCst)
        {
            // The memory of a context is never unmapped: a wake-up that comes late is harmless.
            futex::wake(&self.in_flight, u32::MAX);
        }
    }

    /// Waits until no asynchronous request is left, whatever signals come.
    pub fn drain(&self) {
        // SeqCst: see `left`.
        self.is_draining.store(true, Ordering::SeqCst);
        loop {
            // SeqCst: see `left`.
            match self.in_flight.load(Ordering::SeqCst) {
                0 => break,
                count => futex::wait(&self.in_flight, count),
            }
        }
        self.is_draining.store(false, Ordering::Relaxed);
    }
}
