//! Completion: the event goes into the ring, then the resfd is signalled, then waiters are woken.
//! That order is fs/aio.c's, aio_complete: a program that reads the eventfd finds the event in the
//! ring.
//!
//! [`Completions`] is what engines and poller know of a context. Each accepted request goes through
//! here exactly once: [`Completions::post`] for what the caller finished itself,
//! [`Completions::put`] for a reference to what completes asynchronously.
//!
//! *Locks*: callers hold no context lock, which debug builds check; those inside are leaves.

pub mod ring;
pub mod waiters;

use core::ptr;

use bytemuck::Zeroable;

use crate::aio_abi::Event;
use crate::completion::ring::Ring;
use crate::completion::waiters::Waiters;
use crate::files::holds::Holds;
use crate::files::pins;
use crate::files::resfd::{EventfdNotifier, EventfdRef, Resfd, Resfds};
use crate::lock::assert_no_context_lock;
use crate::process::fork_gate;
use crate::request::state::Put;
use crate::request::{Request, Slab, Work};
use crate::sync::{AtomicBool, AtomicPtr, AtomicU32, Ordering};
use crate::sys::errno::Result;
use crate::sys::futex;

/// The completing side of a context. All-zero memory is a closed one.
#[derive(Debug, Zeroable)]
pub struct Completions {
    /// Where events go.
    pub ring: Ring,
    /// Requests that complete asynchronously.
    pub slab: Slab,
    /// The threads that wait for events.
    pub waiters: Waiters,
    /// Eventfds of requests in flight.
    pub resfds: Resfds,
    /// Pins that requests in flight share.
    pub holds: Holds,
    /// Requests in `slab` that are not completely gone.
    in_flight: AtomicU32,
    /// io_destroy waits for `in_flight` to become 0.
    is_draining: AtomicBool,
}

/// Where the events of an engine go. All-zero memory is one that was never set.
#[derive(Debug, Zeroable)]
pub struct CompletionsRef(AtomicPtr<Completions>);

impl CompletionsRef {
    /// Before the first request.
    pub fn set(&self, completions: &'static Completions) {
        // Relaxed, both: a thread that has a request has come after `set`.
        self.0.store(ptr::from_ref(completions).cast_mut(), Ordering::Relaxed);
    }

    /// They.
    #[inline]
    pub fn get(&self) -> &'static Completions {
        // SAFETY: `set` came before the first request and stored a `&'static`.
        unsafe { &*self.0.load(Ordering::Relaxed) }
    }
}

impl Completions {
    /// Posts the event of a request that holds a slot. Nothing may be done for the request
    /// afterwards.
    #[inline]
    pub fn post(&self, event: Event, signal: Option<EventfdRef>) {
        self.publish(event, signal);
        self.wake_waiters();
    }

    /// The first two thirds of [`Completions::post`]; [`Completions::wake_waiters`] is due.
    #[inline]
    fn publish(&self, event: Event, signal: Option<EventfdRef>) {
        assert_no_context_lock();
        self.ring.post(event);
        if let Some(signal) = signal {
            signal.send();
        }
    }

    /// Wakes the waiters whose needs are met.
    #[inline]
    pub fn wake_waiters(&self) {
        self.waiters.notify(|| self.ring.occupancy());
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

    /// Requests that complete asynchronously and have not.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Drops a reference to a request; the last one posts its event.
    pub fn put(&self, request: &Request) {
        if request.state.put() == Put::Last {
            self.finish(request, true);
            self.wake_waiters();
            self.left();
        }
    }

    /// As [`Completions::put`], by a thread that takes the events afterwards, then wakes the waiters
    /// for which events are left ([`Waiters::notify_after_harvest`]), and sends `signals`.
    #[inline]
    pub fn put_without_wake(&self, request: &Request, signals: &mut EventfdNotifier) {
        if request.state.put() == Put::Last {
            if let Some(resfd) = self.finish_unsignalled(request, true) {
                signals.add(resfd, &self.resfds);
            }
            self.left();
        }
    }

    /// Drops the last two references to a request that the submission could not arm: there is no
    /// event, and its slot stays with the submitter.
    pub fn release_unarmed(&self, request: &Request) {
        let _ = request.state.put();
        if request.state.put() == Put::Last {
            self.finish(request, false);
            self.left();
        }
    }

    fn finish(&self, request: &Request, is_accepted: bool) {
        if let Some(resfd) = self.finish_unsignalled(request, is_accepted) {
            if is_accepted {
                resfd.signal().send();
            }
            self.resfds.release(resfd);
        }
    }

    /// Posts the event, if there is one; the eventfd to be signalled then.
    fn finish_unsignalled(&self, request: &Request, is_accepted: bool) -> Option<Resfd> {
        // The file first: with the event it is closed if the program closed it, as a peer
        // that waits for the end of the data expects.
        if request.pin().is_some() {
            self.unpin(request);
        }
        let resfd = request.take_resfd();
        if is_accepted && let Some(work) = request.work() {
            let event =
                Event { data: work.data, obj: work.iocb as u64, res: request.result(), res2: 0 };
            // The place goes back before the event is seen, so that there is one for the request
            // that the program submits next.
            self.slab.remove(request);
            self.publish(event, None);
        } else {
            self.slab.remove(request);
        }
        resfd
    }

    fn unpin(&self, request: &Request) {
        if let Some(share) = request.take_share() {
            self.holds.release(share);
        }
        if request.pin().is_none() {
            return;
        }
        let _section = fork_gate::enter();
        if let Some(pin) = request.unpin() {
            pins::release(pin);
        }
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
