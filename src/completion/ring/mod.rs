//! The completion ring, in the kernel's `struct aio_ring` layout.
//!
//! It lies in memory that the program sees at the context's address and may change at any time:
//! QEMU, fio and others take events and move `head` by themselves (`memory`). The protocol between
//! those who post events and those who take them is in `queue`.

mod memory;
mod queue;

use core::ops::Deref;

use bytemuck::Zeroable;

use crate::aio_abi::{AIO_RING_MAGIC, AioRing, Event};
use crate::completion::ring::memory::Memory;
use crate::completion::ring::queue::Queue;
use crate::memory::arena::{PAGE, Region};
use crate::memory::user::{self, Pages};
use crate::sync::{AtomicU32, Ordering};
use crate::sys::errno::{Errno, Result};

pub use queue::Posting;

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
    /// The ring that the kernel makes for `requested` events on a machine with `cpus` possible
    /// CPUs.
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
#[derive(Debug, Default, Zeroable)]
pub struct Ring {
    queue: Queue,
}

impl Deref for Ring {
    type Target = Queue;
    #[inline]
    fn deref(&self) -> &Queue {
        &self.queue
    }
}

impl Ring {
    /// Lays out an empty ring in `region`. The caller has the ring to itself.
    pub fn open(&self, region: &Region, geometry: Geometry, id: u32) {
        self.memory().lay_out(
            region.library,
            AioRing {
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
            },
        );
        self.queue.open(geometry.nr, geometry.capacity);
    }

    fn memory(&self) -> &Memory {
        self.queue.memory()
    }

    /// The id in the header, by which a moved ring is found.
    pub fn shared_id(&self) -> &AtomicU32 {
        self.memory().field(core::mem::offset_of!(AioRing, id))
    }

    /// A field of the header that means nothing to anybody, by which a view is recognised.
    pub fn shared_compat_features(&self) -> &AtomicU32 {
        self.memory().field(core::mem::offset_of!(AioRing, compat_features))
    }

    /// Tells programs that they may take events by themselves: somebody fills the ring in the
    /// background.
    pub fn announce(&self) {
        let magic = self.memory().field(core::mem::offset_of!(AioRing, magic));
        // Release: a program that reads the magic finds the rest of the header.
        magic.store(AIO_RING_MAGIC, Ordering::Release);
    }

    /// Moves up to `max` events to the program's array at `events`; returns how many.
    ///
    /// EFAULT: the array cannot be written; nothing is taken then.
    pub fn take(&self, max: usize, events: usize, pages: &mut Pages) -> Result<usize> {
        let mut is_checked = false;
        self.queue.take(max, |position, count, event: Event| {
            if !is_checked {
                pages.check_writable(events, count * size_of::<Event>())?;
                is_checked = true;
            }
            // SAFETY: all of the array was checked, for the first event.
            unsafe { user::write(events + position * size_of::<Event>(), event) };
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::arena::{Arenas, View};

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
