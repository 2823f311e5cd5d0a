//! A context whose requests are announced by an eventfd, and whose events are taken out of the ring
//! memory without a call.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU32, Ordering};

use aio::aio_abi::{AioRing, Event, Iocb};

use super::libaio::{Context, Libaio};
use super::{Outcome, Stop, fail_last, requests};

/// A context and its eventfd. An event is in the ring before the eventfd counts it.
pub struct Announced<'a> {
    context: Context<'a>,
    eventfd: OwnedFd,
    announced: u64,
    taken: u64,
}

impl<'a> Announced<'a> {
    /// A context for `events` requests, which have to name [`Announced::fd`].
    pub fn prepare(events: usize, library: &'a Libaio) -> Outcome<Announced<'a>> {
        let eventfd = requests::eventfd(libc::EFD_NONBLOCK)?;
        Ok(Announced { context: library.setup(events)?, eventfd, announced: 0, taken: 0 })
    }

    /// The eventfd.
    pub fn fd(&self) -> RawFd {
        self.eventfd.as_raw_fd()
    }

    /// Submits all of `iocbs`.
    ///
    /// # Safety
    /// The iocbs, and the buffers that they name, are valid until their events are taken.
    pub unsafe fn submit(&self, iocbs: &[*mut Iocb]) -> Outcome {
        // SAFETY: the caller vouches for the same.
        unsafe { self.context.submit(iocbs) }
    }

    /// Reads the eventfd, which may have nothing to say.
    pub fn read(&mut self) -> Outcome {
        let mut count = 0_u64;
        // SAFETY: there is room for the eight bytes that an eventfd gives.
        match unsafe { libc::read(self.fd(), (&raw mut count).cast(), 8) } {
            8 => self.announced += count,
            _ if std::io::Error::last_os_error().raw_os_error() == Some(libc::EAGAIN) => {}
            _ => return fail_last("read of the eventfd"),
        }
        Ok(())
    }

    /// Moves all events of the ring to `events`, of which there must be as many as were announced.
    pub fn take(&mut self, events: &mut Vec<Event>) -> Outcome {
        let ring = self.context.ring();
        events.clear();
        // SAFETY: a context's address is that of a ring with a header and `nr` events, which lives
        // until io_destroy. Head and tail are 32-bit words that both sides access atomically.
        unsafe {
            let nr = (&raw const (*ring).nr).read();
            let head = AtomicU32::from_ptr(&raw mut (*ring).head);
            let tail = AtomicU32::from_ptr(&raw mut (*ring).tail);
            let slots = ring.byte_add(size_of::<AioRing>()).cast::<Event>();
            // Acquire: pairs with the Release store of whoever puts events into the ring.
            let end = tail.load(Ordering::Acquire);
            // Relaxed: only this thread moves it.
            let mut next = head.load(Ordering::Relaxed);
            if nr == 0 || end >= nr || next >= nr {
                let what = format!("the ring has head {next}, tail {end}, nr {nr}");
                return Err(Stop::Fail(what));
            }
            while next != end {
                events.push(slots.add(next as usize).read());
                next = if next + 1 == nr { 0 } else { next + 1 };
            }
            if !events.is_empty() {
                // Release: the slots may be filled again, by who loads it with Acquire.
                head.store(next, Ordering::Release);
            }
        }
        self.taken += events.len() as u64;
        if self.taken < self.announced {
            return Err(self.miscounted());
        }
        Ok(())
    }

    /// Whether some of the events taken are still to be announced.
    pub fn is_early(&self) -> bool {
        self.announced < self.taken
    }

    /// The eventfd has counted more than there was.
    fn miscounted(&self) -> Stop {
        let Announced { announced, taken, .. } = self;
        Stop::Fail(format!("the eventfd announced {announced} events, {taken} were in the ring"))
    }
}
