//! The protocol of a ring: posting events, taking them, and when a slot can be used again.
//!
//! The program may move `head` by itself, so it is read anew each time and reduced modulo `nr`.
//! Nothing else in the shared memory is believed: `nr` and `tail` have private copies (fs/aio.c
//! does the same, but reads `tail` back from the ring in aio_read_events_ring).
//!
//! *Who may touch what*: `post` holds the producer lock, `take` the consumer lock; both run at the
//! same time. A slot in [head, tail) is never written: the slots that requests hold, see
//! [`Queue::reserve`], are fewer than the ring has.
//!
//! *Orderings*: an event is written before the Release store of `tail`, and read after an Acquire
//! load of it, here and in programs. An event is copied out before the Release store of `head`,
//! which whoever gives the slot back loads with Acquire, under the producer lock.
//! `tests/models/ring.rs` runs this file under loom.

use bytemuck::Zeroable;

use crate::aio_abi::Event;
use crate::completion::ring::memory::Memory;
use crate::lock::{Guard, Lock};
use crate::sync::{AtomicU32, Ordering};
use crate::sys::errno::{Errno, Result};

/// See the module. All-zero memory is a queue that is not open.
#[derive(Debug, Default)]
pub struct Queue {
    memory: Memory,
    nr: AtomicU32,
    /// Private copy of the tail.
    tail: AtomicU32,
    /// Slots that requests can take. A counter: slots come back under the producer lock, which
    /// whoever writes to one holds as well.
    available: AtomicU32,
    /// Events posted whose slots have not come back (fs/aio.c, completed_events).
    producer: Lock<u32>,
    consumer: Lock<()>,
}

// SAFETY: integers, locks around such, and `Memory`, of which it is proved.
unsafe impl Zeroable for Queue {}

impl Queue {
    /// Empty, with `nr` slots, of which requests may hold `capacity`: fewer. The caller has the
    /// queue to itself.
    pub fn open(&self, nr: u32, capacity: u32) {
        self.nr.store(nr, Ordering::Relaxed);
        self.tail.store(0, Ordering::Relaxed);
        self.available.store(capacity, Ordering::Relaxed);
        *self.producer.lock() = 0;
    }

    /// Continues another ring of the same size, in which the events from `head` to `tail` are those
    /// that `visit` passes on, and no request holds a slot. The caller has the queue to itself.
    pub fn adopt(&self, head: u32, tail: u32, visit: impl FnOnce(&mut dyn FnMut(&Event))) {
        let nr = self.nr();
        let mut completed = self.producer.lock();
        let mut index = head;
        visit(&mut |event| {
            // SAFETY: `index < nr`, and the caller has the queue to itself.
            unsafe { self.memory.write(index, *event) };
            index = if index + 1 == nr { 0 } else { index + 1 };
        });
        debug_assert_eq!(index, tail);
        self.memory.head().store(head, Ordering::Relaxed);
        self.memory.tail().store(tail, Ordering::Relaxed);
        self.tail.store(tail, Ordering::Relaxed);
        let count = distance(head, tail, nr);
        let held = core::mem::replace(&mut *completed, count);
        self.available.fetch_add(held, Ordering::Relaxed);
        self.available.fetch_sub(count, Ordering::Relaxed);
    }

    /// Where the events are.
    #[inline]
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Event slots.
    #[inline]
    pub fn nr(&self) -> u32 {
        self.nr.load(Ordering::Relaxed)
    }

    /// Where the next event goes.
    pub fn position(&self) -> u32 {
        self.tail.load(Ordering::Relaxed)
    }

    /// Events that wait to be taken.
    #[inline]
    pub fn occupancy(&self) -> u32 {
        let nr = self.nr();
        // Acquire: pairs with the Release store in `take` and in programs that move head.
        let head = self.memory.head().load(Ordering::Acquire) % nr;
        // A number only: `take` loads the tail again before it reads events.
        let tail = self.tail.load(Ordering::Relaxed);
        distance(head, tail, nr)
    }

    /// Takes a slot for a request: EAGAIN if all are held by requests in flight or by events that
    /// were not taken. The slot comes back when `head` passes the event, whoever moves it.
    #[inline]
    pub fn reserve(&self) -> Result<()> {
        self.reserve_all(1)
    }

    /// Takes slots for `count` requests, or none.
    #[inline]
    pub fn reserve_all(&self, count: u32) -> Result<()> {
        if self.try_reserve(count) {
            return Ok(());
        }
        // fs/aio.c, user_refill_reqs_available: only now is it looked how far the program is.
        self.refill(&mut self.producer.lock());
        if self.try_reserve(count) { Ok(()) } else { Err(Errno::AGAIN) }
    }

    #[inline]
    fn try_reserve(&self, count: u32) -> bool {
        let mut available = self.available.load(Ordering::Relaxed);
        while available >= count {
            match self.available.compare_exchange_weak(
                available,
                available - count,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(current) => available = current,
            }
        }
        false
    }

    /// Gives back the slots of `count` requests that were refused.
    #[inline]
    pub fn unreserve(&self, count: u32) {
        self.available.fetch_add(count, Ordering::Relaxed);
    }

    /// Gives back the slots of events that were taken: fs/aio.c, refill_reqs_available.
    #[inline]
    fn refill(&self, completed: &mut u32) {
        let taken = completed.saturating_sub(self.occupancy());
        if taken > 0 {
            *completed -= taken;
            self.available.fetch_add(taken, Ordering::Relaxed);
        }
    }

    /// Puts an event into the ring; its request holds a slot from [`Queue::reserve`].
    #[inline]
    pub fn post(&self, event: Event) {
        self.post_all().post(event);
    }

    /// The same for events that come one after the other.
    #[inline]
    pub fn post_all(&self) -> Posting<'_> {
        Posting { queue: self, completed: None, tail: 0, count: 0 }
    }

    /// Takes up to `max` events out of the ring; returns how many. `copy` gets each of them, after
    /// its position and the number of all. Its error ends the call, and nothing is taken then.
    #[inline]
    pub fn take(
        &self,
        max: usize,
        mut copy: impl FnMut(usize, usize, Event) -> Result<()>,
    ) -> Result<usize> {
        if max == 0 {
            return Ok(0);
        }
        let nr = self.nr();
        let _consumer = self.consumer.lock();
        let head = self.memory.head().load(Ordering::Relaxed) % nr;
        // Acquire: pairs with the Release in `post`; the events up to the tail are complete.
        let tail = self.tail.load(Ordering::Acquire);
        let count = distance(head, tail, nr).min(u32::try_from(max).unwrap_or(u32::MAX));
        if count == 0 {
            return Ok(0);
        }
        let mut index = head;
        for taken in 0..count as usize {
            // SAFETY: `index < nr`, and the slot is in [head, tail).
            let event = unsafe { self.memory.read(index) };
            copy(taken, count as usize, event)?;
            index = if index + 1 == nr { 0 } else { index + 1 };
        }
        // Release: the events are copied before their slots can be used again; pairs with the
        // Acquire in `occupancy`.
        self.memory.head().store(index, Ordering::Release);
        Ok(count as usize)
    }
}

/// Events on their way into a ring. They are seen when it is dropped.
#[derive(Debug)]
pub struct Posting<'a> {
    queue: &'a Queue,
    /// The producer lock, from the first event on.
    completed: Option<Guard<'a, u32>>,
    /// Where the next event goes.
    tail: u32,
    count: u32,
}

impl Posting<'_> {
    /// Adds one; its request holds a slot.
    #[inline]
    pub fn post(&mut self, event: Event) {
        let queue = self.queue;
        if self.completed.is_none() {
            self.completed = Some(queue.producer.lock());
            self.tail = queue.tail.load(Ordering::Relaxed);
        }
        // SAFETY: `tail < nr`, and nobody reads the slot until the tail has moved: it is outside
        // [head, tail), because requests hold fewer slots than there are.
        unsafe { queue.memory.write(self.tail, event) };
        self.tail = if self.tail + 1 == queue.nr() { 0 } else { self.tail + 1 };
        self.count += 1;
    }
}

impl Drop for Posting<'_> {
    #[inline]
    fn drop(&mut self) {
        let Some(completed) = &mut self.completed else { return };
        let queue = self.queue;
        // Release: publishes the events to the Acquire loads of programs that read the ring.
        queue.memory.tail().store(self.tail, Ordering::Release);
        // Release: publishes the events to the Acquire load in `occupancy` and `take`.
        queue.tail.store(self.tail, Ordering::Release);
        // fs/aio.c, aio_complete.
        **completed += self.count;
        if **completed > 1 {
            queue.refill(completed);
        }
    }
}

/// Events between `head` and `tail` in a ring of `nr`.
fn distance(head: u32, tail: u32, nr: u32) -> u32 {
    if head <= tail { tail - head } else { nr - head + tail }
}
