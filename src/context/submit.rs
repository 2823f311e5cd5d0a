//! io_submit: iocbs in order, each to the end of its submission before the next.
//!
//! Two kinds wait for each other for a moment. Polls that follow each other: one poll(2) asks for the
//! readiness of all of them. Requests for io_uring: they enter the kernel together, unless one could
//! be overtaken by what follows it ([`super::batch::Queue`]).

use libc::pollfd;

use crate::abi::types::Iocb;
use crate::context::Context;
use crate::context::batch::{Accepted, Batch};
use crate::engine::{Place, choose, inline};
use crate::fork_gate;
use crate::pins::Pin;
use crate::request::decode::{self, Operation, Transfer};
use crate::request::{Task, Work};
use crate::sys::errno::{Errno, Result};
use crate::sys::fd::{self, StatusFlags};
use crate::sys::poll;
use crate::sys::user;

/// How many polls are looked at together.
const POLLS: usize = 16;

/// Polls in a row.
struct Polls {
    accepted: [Option<Accepted>; POLLS],
    count: usize,
}

impl Context {
    /// Submits up to `nr` iocbs, whose addresses are in the array at `iocbs`. Returns how many were
    /// accepted; the error of the first one, if none was.
    pub fn submit(&'static self, nr: usize, iocbs: usize) -> Result<usize> {
        let mut batch = Batch::new();
        // fs/aio.c, io_submit: more than the ring holds are silently left.
        let nr = nr.min(self.completions.ring.nr() as usize);
        let submitted = self.submit_batch(&mut batch, nr, iocbs);
        self.flush(&mut batch);
        batch.interruption.end();
        submitted
    }

    fn submit_batch(&'static self, batch: &mut Batch, nr: usize, iocbs: usize) -> Result<usize> {
        let ring = &self.completions.ring;
        let mut polls = Polls { accepted: [None; POLLS], count: 0 };
        let mut submitted = 0;
        let mut failure = None;
        for index in 0..nr {
            if batch.interruption.is_pending() && self.is_dead() {
                // The handler has destroyed the context.
                break;
            }
            let accepted = match self.accept(batch, iocbs, index) {
                Ok(accepted) => accepted,
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            };
            if decode::is_poll(&accepted.iocb) {
                polls.push(accepted);
                if polls.count < POLLS {
                    continue;
                }
            }
            // What came before completes before.
            if let Err(error) = self.submit_polls(batch, &mut polls, &mut submitted) {
                if !decode::is_poll(&accepted.iocb) {
                    ring.unreserve();
                }
                return answer(submitted, Some(error));
            }
            if decode::is_poll(&accepted.iocb) {
                continue;
            }
            if let Err(error) = self.submit_one(batch, &accepted) {
                ring.unreserve();
                return answer(submitted, Some(error));
            }
            submitted += 1;
        }
        let polled = self.submit_polls(batch, &mut polls, &mut submitted);
        answer(submitted, polled.err().or(failure))
    }

    /// fs/aio.c, io_submit and io_submit_one, up to the slot.
    #[inline]
    fn accept(&self, batch: &mut Batch, iocbs: usize, index: usize) -> Result<Accepted> {
        let entry = iocbs.wrapping_add(index.wrapping_mul(size_of::<usize>()));
        // SAFETY: an address.
        let address: usize = unsafe { batch.pages.read(entry) }?;
        let (iocb, key) = batch.pages.read_iocb(address)?;
        decode::check_header(&iocb)?;
        self.completions.ring.reserve()?;
        Ok(Accepted { iocb, address, key })
    }

    /// fs/aio.c, __io_submit_one, for anything but a poll.
    #[inline]
    fn submit_one(&'static self, batch: &mut Batch, accepted: &Accepted) -> Result<()> {
        let fd = accepted.iocb.fildes;
        let status = batch.status(fd)?;
        batch.signal(accepted)?;
        user::write_key(accepted.address, accepted.key)?;
        let operation = decode::operation(&accepted.iocb, status, &mut batch.pages)
            .map_err(|error| order_of_errors(&accepted.iocb, error))?;
        match operation {
            Operation::Transfer(transfer) => {
                if choose::may_be_asynchronous(status, &transfer) {
                    return self.submit_direct(batch, accepted, status, transfer);
                }
                self.transfer_here(batch, accepted, status, &transfer)
            }
            Operation::Sync { data_only } => {
                if choose::sync(fd) == Place::Asynchronous {
                    return self.submit_sync(batch, accepted, data_only);
                }
                self.sync_here(batch, accepted, data_only)
            }
            // `submit` takes polls out.
            Operation::Poll { .. } => Err(Errno::INVAL),
        }
    }

    /// Does a transfer in the calling thread.
    #[inline]
    pub(super) fn transfer_here(
        &'static self,
        batch: &mut Batch,
        accepted: &Accepted,
        status: StatusFlags,
        transfer: &Transfer,
    ) -> Result<()> {
        // What came before starts before.
        self.flush(batch);
        self.wait_for_rest(batch);
        let signal = batch.signal(accepted)?;
        let fd = accepted.iocb.fildes;
        let res = inline::transfer(fd, status, transfer, &mut batch.interruption)?;
        let signal = batch.current_signal(accepted, signal);
        self.completions.post(accepted.event(res), signal);
        Ok(())
    }

    /// Does a sync in the calling thread.
    pub(super) fn sync_here(
        &'static self,
        batch: &mut Batch,
        accepted: &Accepted,
        data_only: bool,
    ) -> Result<()> {
        self.flush(batch);
        let signal = batch.signal(accepted)?;
        let res = inline::sync(accepted.iocb.fildes, data_only)?;
        self.completions.post(accepted.event(res), signal);
        Ok(())
    }

    /// Submits the polls that wait, in order; counts those that are accepted. At an error the rest
    /// are forgotten.
    fn submit_polls(
        &'static self,
        batch: &mut Batch,
        polls: &mut Polls,
        submitted: &mut usize,
    ) -> Result<()> {
        let count = core::mem::take(&mut polls.count);
        if count == 0 {
            return Ok(());
        }
        let mut fds = [pollfd { fd: -1, events: 0, revents: 0 }; POLLS];
        for (slot, accepted) in fds.iter_mut().zip(polls.accepted.iter().take(count).flatten()) {
            let events = decode::poll_events(&accepted.iocb).unwrap_or(0);
            *slot = pollfd { fd: accepted.iocb.fildes, events: events as i16, revents: 0 };
        }
        // Where poll(2) fails, nothing is known to be ready, and epoll decides.
        if let Some(fds) = fds.get_mut(..count)
            && poll::now(fds).is_err()
        {
            for one in fds {
                one.revents = poll::one(one.fd, one.events).unwrap_or(0);
            }
        }
        let mut result = Ok(());
        for (ready, accepted) in fds.iter().zip(polls.accepted.iter().take(count).flatten()) {
            if result.is_ok() {
                result = self.submit_poll(batch, accepted, ready.revents);
            }
            match result {
                Ok(()) => *submitted += 1,
                Err(_) => self.completions.ring.unreserve(),
            }
        }
        result
    }

    /// fs/aio.c, __io_submit_one and aio_poll, for a file whose readiness is known.
    fn submit_poll(
        &'static self,
        batch: &mut Batch,
        accepted: &Accepted,
        ready: i16,
    ) -> Result<()> {
        let fd = accepted.iocb.fildes;
        // poll(2) ignores negative numbers.
        if fd < 0 || ready & libc::POLLNVAL != 0 {
            return Err(Errno::BADF);
        }
        let signal = batch.signal(accepted)?;
        user::write_key(accepted.address, accepted.key)?;
        let events = decode::poll_events(&accepted.iocb)?;
        if ready != 0 {
            self.completions.post(accepted.event(i64::from(ready)), signal);
            return Ok(());
        }
        let completions = &self.completions;
        let resfd = match accepted.has_resfd() {
            true => Some(completions.resfds.acquire(accepted.iocb.resfd, &fork_gate::enter())?),
            false => None,
        };
        let is_background = resfd.is_some() || self.is_background();
        if is_background
            && !self.serve_polls()
            // Without somebody to signal the eventfd the program would wait for ever.
            && let Some(resfd) = resfd
        {
            completions.resfds.release(resfd);
            return Err(Errno::AGAIN);
        }
        let section = fork_gate::enter();
        let file = match fd::duplicate(fd) {
            Ok(file) => Pin::new(file),
            Err(error) => {
                drop(section);
                if let Some(resfd) = resfd {
                    completions.resfds.release(resfd);
                }
                return Err(if error == Errno::BADF { error } else { Errno::AGAIN });
            }
        };
        let task = Task::Poll { events };
        let work = Work { data: accepted.iocb.data, iocb: accepted.address, number: fd, task };
        let request = completions.begin(work, resfd)?;
        if let Some(file) = file.into_inner() {
            request.set_pin(file, None);
        }
        drop(section);
        match self.poller.arm(request) {
            Ok(()) => {
                // Not any more if the program has closed our descriptors.
                if is_background {
                    self.serve_polls();
                }
                completions.put(request);
            }
            Err(error) => {
                completions.abandon(request);
                return Err(error);
            }
        }
        Ok(())
    }
}

impl Polls {
    fn push(&mut self, accepted: Accepted) {
        if let Some(slot) = self.accepted.get_mut(self.count) {
            *slot = Some(accepted);
            self.count += 1;
        }
    }
}

/// fs/aio.c, aio_read and aio_write: whether the file can be read or written at all comes before
/// what is wrong with the buffer.
#[cold]
fn order_of_errors(iocb: &Iocb, error: Errno) -> Errno {
    match decode::direction(iocb) {
        Some(direction) if error == Errno::FAULT && !inline::has_iter(iocb.fildes, direction) => {
            Errno::INVAL
        }
        _ => error,
    }
}

/// fs/aio.c, io_submit: the error of a later iocb is lost.
fn answer(submitted: usize, failure: Option<Errno>) -> Result<usize> {
    match failure {
        Some(error) if submitted == 0 => Err(error),
        _ => Ok(submitted),
    }
}
