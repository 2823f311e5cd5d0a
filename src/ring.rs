//! The completion ring, in the kernel's `struct aio_ring` layout.
//!
//! It lies in memory that the program sees at the context's address and may change at any time:
//! QEMU, fio and others take events and move `head` by themselves. So `head` is read anew each time
//! and reduced modulo `nr`, and nothing else is believed: `nr` and `tail` have private copies
//! (fs/aio.c does the same, but reads `tail` back from the ring in aio_read_events_ring).
//!
//! *Who may touch what*: `post` holds the producer lock, `take` the consumer lock; both run at the
//! same time. A slot in [head, tail) is never written: the slots that requests hold, see
//! [`Ring::reserve`], are fewer than the ring has.
//!
//! *Orderings*: an event is written before the Release store of `tail`, and read after an Acquire
//! load of it, here and in programs. An event is copied out before the Release store of `head`.

use crate::abi::types::{AIO_RING_MAGIC, AioRing, Event};
use crate::arena::{PAGE, Region};
use crate::sync::{AtomicU32, AtomicUsize, Lock, Ordering};
use crate::sys::errno::{Errno, Result};
use crate::sys::user::Pages;

/// `compat_features` of the kernel's rings.
const COMPAT_FEATURES: u32 = 1;

/// How many events a ring has room for, and how many requests may hold a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Pages of memory.
    pub pages: usize,
    /// Event slots in them.
    pub nr: u32,
    /// Slots that requests may hold: at least what io_setup was asked for, at most `nr - 1`.
    pub capacity: u32,
}

impl Geometry {
    /// The ring that the kernel makes for `requested` events on a machine with `cpus` possible CPUs.
    ///
    /// fs/aio.c, ioctx_alloc and aio_setup_ring. EINVAL: far too large; EAGAIN: so large that the
    /// doubling wraps to nothing.
    pub fn new(requested: u32, cpus: u32) -> Result<Geometry> {
        const HEADER: usize = size_of::<AioRing>();
        const EVENT: usize = size_of::<Event>();
        const LARGEST: u32 = 0x1000_0000 / EVENT as u32;
        let doubled = requested.max(cpus.saturating_mul(4)).wrapping_mul(2);
        if doubled > LARGEST {
            return Err(Errno::INVAL);
        }
        if doubled == 0 || requested > LARGEST {
            // The wrapped size; the kernel compares the original one with aio-max-nr next.
            return Err(Errno::AGAIN);
        }
        // Two more, so that a full ring differs from an empty one.
        let pages = (HEADER + EVENT * (doubled as usize + 2)).div_ceil(PAGE);
        let nr = ((pages * PAGE - HEADER) / EVENT) as u32;
        // Slots are handed to CPUs in batches; one CPU can collect all whole batches.
        let batch = ((nr - 1) / cpus.saturating_mul(4).max(1)).max(1);
        Ok(Geometry { pages, nr, capacity: (nr - 1) / batch * batch })
    }
}

/// See the module. All-zero memory is a ring that is not open.
#[derive(Debug, Default)]
pub struct Ring {
    /// Address of our view.
    base: AtomicUsize,
    nr: AtomicU32,
    /// Private copy of the tail.
    tail: AtomicU32,
    /// Slots that requests can take.
    available: AtomicU32,
    /// Events posted whose slots have not come back (fs/aio.c, completed_events).
    producer: Lock<u32>,
    consumer: Lock<()>,
}

impl Ring {
    /// Lays out an empty ring in `region`. The caller has the ring to itself.
    pub fn open(&self, region: &Region, geometry: Geometry, id: u32) {
        self.base.store(region.library, Ordering::Relaxed);
        self.nr.store(geometry.nr, Ordering::Relaxed);
        self.tail.store(0, Ordering::Relaxed);
        self.available.store(geometry.capacity, Ordering::Relaxed);
        *self.producer.lock() = 0;
        // SAFETY: `region.library` is our own view of at least a page that no context uses yet.
        unsafe {
            self.header().write(AioRing {
                id,
                nr: geometry.nr,
                head: 0,
                tail: 0,
                // divergence: the kernel's rings always have it. Without it programs that would
                // take events by themselves call io_getevents, which looks for ready polls.
                magic: 0,
                compat_features: COMPAT_FEATURES,
                incompat_features: 0,
                header_length: size_of::<AioRing>() as u32,
            });
        }
    }

    fn header(&self) -> *mut AioRing {
        core::ptr::with_exposed_provenance_mut(self.base.load(Ordering::Relaxed))
    }

    /// A field of the header, shared with the program.
    fn field(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: the ring is open, says every caller's `&Context`; our view stays mapped until the
        // context is destroyed; the offsets below are aligned fields of the header.
        unsafe { AtomicU32::from_ptr(self.header().byte_add(offset).cast()) }
    }

    fn shared_head(&self) -> &AtomicU32 {
        self.field(core::mem::offset_of!(AioRing, head))
    }

    fn shared_tail(&self) -> &AtomicU32 {
        self.field(core::mem::offset_of!(AioRing, tail))
    }

    /// The id in the header, by which a moved ring is found.
    pub fn shared_id(&self) -> &AtomicU32 {
        self.field(core::mem::offset_of!(AioRing, id))
    }

    /// A field of the header that means nothing to anybody, by which a view is recognised.
    pub fn shared_compat_features(&self) -> &AtomicU32 {
        self.field(core::mem::offset_of!(AioRing, compat_features))
    }

    fn shared_magic(&self) -> &AtomicU32 {
        self.field(core::mem::offset_of!(AioRing, magic))
    }

    fn slot(&self, index: u32) -> *mut Event {
        // SAFETY: callers pass `index < nr`, and the region has room for the header and nr events.
        unsafe { self.header().add(1).cast::<Event>().add(index as usize) }
    }

    /// Event slots.
    #[inline]
    pub fn nr(&self) -> u32 {
        self.nr.load(Ordering::Relaxed)
    }

    /// Tells programs that they may take events by themselves: somebody fills the ring in the
    /// background.
    pub fn announce(&self) {
        // Release: a program that reads the magic finds the rest of the header.
        self.shared_magic().store(AIO_RING_MAGIC, Ordering::Release);
    }

    /// Events that wait to be taken.
    #[inline]
    pub fn occupancy(&self) -> u32 {
        let nr = self.nr();
        // Acquire: pairs with the Release store in `take` and in programs that move head.
        let head = self.shared_head().load(Ordering::Acquire) % nr;
        // Acquire: pairs with the Release store in `post`.
        let tail = self.tail.load(Ordering::Acquire);
        distance(head, tail, nr)
    }

    /// Takes a slot for a request: EAGAIN if all are held by requests in flight or by events that
    /// were not taken. The slot comes back when `head` passes the event, whoever moves it.
    #[inline]
    pub fn reserve(&self) -> Result<()> {
        if self.try_reserve() {
            return Ok(());
        }
        // fs/aio.c, user_refill_reqs_available: only now is it looked how far the program is.
        self.refill(&mut self.producer.lock());
        if self.try_reserve() { Ok(()) } else { Err(Errno::AGAIN) }
    }

    #[inline]
    fn try_reserve(&self) -> bool {
        let mut available = self.available.load(Ordering::Relaxed);
        while available > 0 {
            // Acquire: pairs with the Release in `refill`: the slot's last event has been taken.
            match self.available.compare_exchange_weak(
                available,
                available - 1,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(current) => available = current,
            }
        }
        false
    }

    /// Gives back a slot whose request was refused.
    #[inline]
    pub fn unreserve(&self) {
        // Release: pairs with the Acquire in `try_reserve`.
        self.available.fetch_add(1, Ordering::Release);
    }

    /// Gives back the slots of events that were taken: fs/aio.c, refill_reqs_available.
    #[inline]
    fn refill(&self, completed: &mut u32) {
        let taken = completed.saturating_sub(self.occupancy());
        if taken > 0 {
            *completed -= taken;
            // Release: pairs with the Acquire in `try_reserve`.
            self.available.fetch_add(taken, Ordering::Release);
        }
    }

    /// Puts an event into the ring; its request holds a slot from [`Ring::reserve`].
    #[inline]
    pub fn post(&self, event: Event) {
        let mut completed = self.producer.lock();
        let tail = self.tail.load(Ordering::Relaxed);
        // SAFETY: `tail < nr`, and nobody reads the slot until the tail has moved: it is outside
        // [head, tail), because requests hold fewer slots than there are.
        unsafe { self.slot(tail).write_volatile(event) };
        let next = if tail + 1 == self.nr() { 0 } else { tail + 1 };
        // Release: publishes the event to the Acquire loads of programs that read the ring.
        self.shared_tail().store(next, Ordering::Release);
        // Release: publishes the event to the Acquire load in `occupancy` and `take`.
        self.tail.store(next, Ordering::Release);
        // fs/aio.c, aio_complete.
        *completed += 1;
        if *completed > 1 {
            self.refill(&mut completed);
        }
    }

    /// Moves up to `max` events to the program's array at `events`; returns how many.
    ///
    /// EFAULT: the array cannot be written; nothing is taken then.
    pub fn take(&self, max: usize, events: usize, pages: &mut Pages) -> Result<usize> {
        if max == 0 {
            return Ok(0);
        }
        let nr = self.nr();
        let _consumer = self.consumer.lock();
        let head = self.shared_head().load(Ordering::Relaxed) % nr;
        // Acquire: pairs with the Release in `post`; the events up to the tail are complete.
        let tail = self.tail.load(Ordering::Acquire);
        let count = distance(head, tail, nr).min(u32::try_from(max).unwrap_or(u32::MAX));
        if count == 0 {
            return Ok(0);
        }
        pages.check_writable(events, count as usize * size_of::<Event>())?;
        let mut index = head;
        for taken in 0..count as usize {
            // SAFETY: `index < nr`, and the slot is in [head, tail).
            let event = unsafe { self.slot(index).read_volatile() };
            pages.write(events + taken * size_of::<Event>(), event)?;
            index = if index + 1 == nr { 0 } else { index + 1 };
        }
        // Release: the events are copied before their slots can be used again; pairs with the
        // Acquire in `occupancy`.
        self.shared_head().store(index, Ordering::Release);
        Ok(count as usize)
    }
}

/// Events between `head` and `tail` in a ring of `nr`.
fn distance(head: u32, tail: u32, nr: u32) -> u32 {
    if head <= tail { tail - head } else { nr - head + tail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::{Arenas, View};

    struct Fixture {
        arenas: Arenas,
        region: Region,
        ring: Ring,
    }

    impl Fixture {
        fn new(requested: u32) -> Fixture {
            let geometry = Geometry::new(requested, 2).unwrap();
            let mut arenas = Arenas::new();
            let region = arenas.allocate(geometry.pages).unwrap();
            let ring = Ring::default();
            ring.open(&region, geometry, 1);
            Fixture { arenas, region, ring }
        }

        /// What a program sees.
        fn program(&self) -> &AtomicU32 {
            // SAFETY: the program's view of a live ring.
            unsafe {
                AtomicU32::from_ptr(core::ptr::with_exposed_provenance_mut(self.region.user + 8))
            }
        }

        fn take(&self, max: usize) -> Vec<i64> {
            let mut events = [Event::default(); 200];
            let count = self.ring.take(max, (&raw mut events).addr(), &mut Pages::new()).unwrap();
            events[..count].iter().map(|event| event.res).collect()
        }
    }

    impl Drop for Fixture {
        fn drop(&mut self) {
            self.arenas.release(&self.region, View::AtHome);
        }
    }

    fn event(res: i64) -> Event {
        Event { res, ..Event::default() }
    }

    #[test]
    fn geometry_is_the_kernels() {
        let nr = |requested| Geometry::new(requested, 2).map(|geometry| geometry.nr);
        for (requested, expected) in [
            (1, 127),
            (62, 127),
            (63, 255),
            (126, 255),
            (128, 383),
            (256, 639),
            (1024, 2175),
            (4096, 8319),
            (65536, 131_199),
        ] {
            assert_eq!(nr(requested), Ok(expected), "{requested}");
        }
        assert_eq!(nr(0x40_0001), Err(Errno::INVAL));
        assert_eq!(nr(u32::MAX), Err(Errno::INVAL));
        assert_eq!(nr(0x8000_0000), Err(Errno::AGAIN));
        assert_eq!(nr(0x8000_0001), Err(Errno::AGAIN));
        let capacity = |requested| Geometry::new(requested, 2).map(|geometry| geometry.capacity);
        assert_eq!(capacity(8), Ok(120));
        assert_eq!(capacity(100), Ok(248));
        assert_eq!(capacity(4096), Ok(8312));
    }

    #[test]
    fn slots_come_back_on_reap_not_on_completion() {
        let fixture = Fixture::new(8);
        for _ in 0..120 {
            fixture.ring.reserve().unwrap();
        }
        assert_eq!(fixture.ring.reserve(), Err(Errno::AGAIN));
        for res in 0..120 {
            fixture.ring.post(event(res));
        }
        assert_eq!(fixture.ring.reserve(), Err(Errno::AGAIN));
        assert_eq!(fixture.take(1), [0]);
        assert_eq!(fixture.ring.reserve(), Ok(()));
        assert_eq!(fixture.ring.reserve(), Err(Errno::AGAIN));
        // The program takes ten by itself.
        fixture.program().store(11, Ordering::Release);
        for _ in 0..10 {
            assert_eq!(fixture.ring.reserve(), Ok(()));
        }
        assert_eq!(fixture.ring.reserve(), Err(Errno::AGAIN));
    }

    #[test]
    fn events_come_in_order_and_wrap() {
        let fixture = Fixture::new(8);
        let mut expected = 0;
        for round in 0..50 {
            for res in 0..7 {
                fixture.ring.reserve().unwrap();
                fixture.ring.post(event(round * 7 + res));
            }
            for res in fixture.take(100) {
                assert_eq!(res, expected);
                expected += 1;
            }
        }
        assert_eq!(expected, 350);
    }

    #[test]
    fn a_wild_head_is_reduced_and_nothing_is_read_out_of_bounds() {
        let fixture = Fixture::new(8);
        fixture.program().store(u32::MAX, Ordering::Relaxed);
        let occupancy = fixture.ring.occupancy();
        assert_eq!(occupancy, 127 - u32::MAX % 127);
        assert_eq!(fixture.take(200).len(), occupancy as usize);
        assert_eq!(fixture.ring.occupancy(), 0);
    }

    #[test]
    fn a_bad_array_takes_nothing() {
        let fixture = Fixture::new(8);
        fixture.ring.reserve().unwrap();
        fixture.ring.post(event(5));
        assert_eq!(fixture.ring.take(1, 8, &mut Pages::new()), Err(Errno::FAULT));
        assert_eq!(fixture.take(1), [5]);
    }

    #[test]
    fn producers_and_a_consumer_lose_nothing() {
        const EACH: i64 = 20_000;
        let fixture = Fixture::new(64);
        let mut sum = 0;
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for res in 1..=EACH {
                        while fixture.ring.reserve().is_err() {
                            std::thread::yield_now();
                        }
                        fixture.ring.post(event(res));
                    }
                });
            }
            let mut count = 0;
            while count < 2 * EACH {
                for res in fixture.take(50) {
                    sum += res;
                    count += 1;
                }
            }
        });
        assert_eq!(sum, EACH * (EACH + 1));
        assert_eq!(fixture.ring.occupancy(), 0);
    }
}
