//! What QEMU's block layer does with a disk image, as in `qemu-img bench -i native`: an event loop
//! sleeps in ppoll on an eventfd; it takes the events out of the ring memory; each completion
//! queues the next request; and the queue is submitted once, at the end of the turn.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};

use aio::aio_abi::{Event, IOCB_CMD_PREAD, IOCB_CMD_PREADV, Iocb};

use super::super::job::{Access, Job};
use super::announced::Announced;
use super::libaio::Libaio;
use super::offsets::Offsets;
use super::phase::{Deadline, Phase, Recorder, now};
use super::requests::{self, Requests};
use super::slots::Slots;
use super::{Load, Outcome, fail_last, file};

/// Requests that QEMU makes its context for, whatever the depth.
const EVENTS: usize = 1024;
const SIZE: usize = 4096;

/// Direct vectored reads from the beginning of the file to its end, again and again.
pub struct EventLoop<'a> {
    context: Announced<'a>,
    requests: Requests,
    slots: Slots,
    /// The one buffer of each slot, as a vector. It lives as long as the slots.
    vectors: &'static [libc::iovec],
    queue: Vec<*mut Iocb>,
    events: Vec<Event>,
    in_flight: usize,
    /// Other threads of QEMU wake the event loop by it. Here there are none.
    wakeup: OwnedFd,
    /// Keeps the file open.
    _file: File,
}

impl<'a> EventLoop<'a> {
    /// `depth` requests in flight.
    pub fn prepare(job: &Job, depth: usize, library: &'a Libaio) -> Outcome<EventLoop<'a>> {
        let file = file::open_data(job, Access::Direct)?;
        let context = Announced::prepare(EVENTS, library)?;
        let blocks = job.data_bytes / SIZE as u64;
        let offsets = Offsets::Ascending { next: 0, blocks, endless: true };
        let mut requests = Requests::new(&file, IOCB_CMD_PREAD, offsets, SIZE);
        requests.announce(context.fd());
        let mut slots = requests.slots(depth);
        let vector = |index| -> Outcome<libc::iovec> {
            Ok(libc::iovec { iov_base: slots.get(index)?.buffer.cast(), iov_len: SIZE })
        };
        let vectors: Vec<libc::iovec> = (0..depth).map(vector).collect::<Outcome<_>>()?;
        Ok(EventLoop {
            context,
            requests,
            slots,
            vectors: vectors.leak(),
            queue: Vec::with_capacity(depth),
            events: Vec::with_capacity(depth),
            in_flight: 0,
            wakeup: requests::eventfd(libc::EFD_NONBLOCK)?,
            _file: file,
        })
    }

    /// Queues the next request, in this slot.
    fn enqueue(&mut self, index: usize, start: u64) -> Outcome {
        let slot = self.slots.get(index)?;
        self.requests.prepare(slot);
        slot.start = Some(start);
        if let Some(vector) = self.vectors.get(index) {
            slot.iocb.lio_opcode = IOCB_CMD_PREADV;
            (slot.iocb.buf, slot.iocb.nbytes) = (std::ptr::from_ref(vector) as u64, 1);
        }
        self.queue.push(self.slots.iocb(index));
        Ok(())
    }

    /// Submits what is queued, with one call.
    fn submit(&mut self, recorder: &mut Recorder) -> Outcome {
        let before = now();
        // SAFETY: slots, their buffers and vectors live as long as the process.
        unsafe { self.context.submit(&self.queue)? };
        recorder.submit.add(now() - before);
        self.in_flight += self.queue.len();
        self.queue.clear();
        Ok(())
    }

    /// Completes what is in the ring; each completion queues the next request.
    fn complete(&mut self, deadline: Deadline, recorder: &mut Recorder) -> Outcome {
        let mut events = std::mem::take(&mut self.events);
        loop {
            self.context.take(&mut events)?;
            if events.is_empty() {
                break;
            }
            let (end, is_over) = (now(), deadline.is_over());
            for event in &events {
                let index = self.requests.finish(&mut self.slots, event, end, recorder)?;
                if !is_over {
                    self.enqueue(index, end)?;
                }
            }
            self.in_flight -= events.len();
        }
        self.events = events;
        Ok(())
    }

    /// Sleeps until a descriptor of the event loop is readable, and reads the eventfd.
    fn sleep(&mut self) -> Outcome {
        let mut fds = [self.context.fd(), self.wakeup.as_raw_fd()].map(|fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        });
        let (limit, mask) = (std::ptr::null(), std::ptr::null());
        // SAFETY: there are two pollfds, no time limit, and no other mask of signals.
        if unsafe { libc::ppoll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, limit, mask) } < 1 {
            return fail_last("ppoll");
        }
        self.context.read()
    }
}

impl Load for EventLoop<'_> {
    fn run(&mut self, phase: &mut Phase) -> Outcome {
        self.requests.verifies = phase.is_warm_up;
        let deadline = phase.deadline();
        let start = now();
        for index in 0..self.slots.len() {
            self.enqueue(index, start)?;
        }
        loop {
            // QEMU looks into the ring after each io_submit as well, before it sleeps.
            while !self.queue.is_empty() {
                self.submit(&mut phase.recorder)?;
                self.complete(deadline, &mut phase.recorder)?;
            }
            if self.in_flight == 0 && !self.context.is_early() {
                return Ok(());
            }
            self.sleep()?;
            self.complete(deadline, &mut phase.recorder)?;
        }
    }
}
