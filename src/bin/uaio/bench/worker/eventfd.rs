//! An eventfd announces completions, and the events are taken out of the ring memory without a
//! call, as QEMU does.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use aio::aio_abi::{AioRing, Event, Iocb};

use super::super::job::{Access, Job};
use super::libaio::{Context, Libaio};
use super::phase::{Phase, now};
use super::requests::{self, Requests};
use super::slots::Slots;
use super::{Load, Outcome, Stop, fail_last, file};

/// Direct random reads.
pub struct Peeking<'a> {
    context: Context<'a>,
    requests: Requests,
    slots: Slots,
    eventfd: OwnedFd,
    /// Keeps the file open.
    _file: File,
}

impl<'a> Peeking<'a> {
    /// `depth` requests in flight.
    pub fn prepare(job: &Job, depth: usize, library: &'a Libaio) -> Outcome<Peeking<'a>> {
        let file = file::open_data(job, Access::Direct)?;
        let eventfd = requests::eventfd(libc::EFD_NONBLOCK)?;
        let mut requests = Requests::random_reads(&file, job.data_bytes, 0);
        requests.announce(eventfd.as_raw_fd());
        let slots = requests.slots(depth);
        Ok(Peeking { context: library.setup(depth)?, requests, slots, eventfd, _file: file })
    }

    /// Sleeps until the eventfd is readable, and takes its count.
    fn wait(&self) -> Outcome<u64> {
        let fd = self.eventfd.as_raw_fd();
        let mut ready = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let mut count = 0_u64;
        // SAFETY: one pollfd, and room for the eight bytes that an eventfd gives.
        unsafe {
            if libc::poll(&raw mut ready, 1, -1) != 1 {
                return fail_last("poll");
            }
            if libc::read(fd, (&raw mut count).cast(), 8) != 8 {
                return fail_last("read of the eventfd");
            }
        }
        Ok(count)
    }

    /// Moves all events of the ring to `events`.
    fn take(&self, events: &mut Vec<Event>) -> Outcome {
        let ring = self.context.ring();
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
            // Release: the slots may be filled again, by who loads it with Acquire.
            head.store(next, Ordering::Release);
        }
        Ok(())
    }
}

impl Load for Peeking<'_> {
    fn run(&mut self, phase: &mut Phase) -> Outcome {
        self.requests.verifies = phase.is_warm_up;
        let deadline = phase.deadline();
        let recorder = &mut phase.recorder;
        let mut free: Vec<usize> = (0..self.slots.len()).collect();
        let mut pointers: Vec<*mut Iocb> = Vec::with_capacity(free.len());
        let mut events = Vec::with_capacity(free.len());
        let (mut announced, mut reaped) = (0, 0);
        loop {
            if !deadline.is_over() {
                let start = recorder.start();
                pointers.clear();
                for index in free.drain(..) {
                    let slot = self.slots.get(index)?;
                    self.requests.prepare(slot);
                    slot.start = start;
                    pointers.push(self.slots.iocb(index));
                }
                // The events of the last wake-up may all have been taken at the one before.
                if !pointers.is_empty() {
                    let before = now();
                    // SAFETY: slots and their buffers live as long as the process.
                    unsafe { self.context.submit(&pointers)? };
                    recorder.submit.add(now() - before);
                }
            } else if free.len() == self.slots.len() {
                break;
            }
            announced += self.wait()?;
            events.clear();
            self.take(&mut events)?;
            let end = now();
            for event in &events {
                let (index, slot) = self.slots.claim(event)?;
                if let Some(start) = slot.start {
                    recorder.latency.add(end - start);
                }
                self.requests.verify(slot)?;
                free.push(index);
            }
            reaped += events.len() as u64;
            // An event is in the ring before the eventfd tells.
            if reaped < announced {
                return Err(Stop::Fail(format!(
                    "the eventfd announced {announced} events, {reaped} were in the ring"
                )));
            }
        }
        while announced < reaped {
            announced += self.wait()?;
        }
        recorder.ops += reaped;
        recorder.events += reaped;
        if announced == reaped {
            return Ok(());
        }
        Err(Stop::Fail(format!("the eventfd announced {announced} events instead of {reaped}")))
    }
}
