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
use crate::request::decode::{self, Operation, Transfer};
use crate::request::state::Claim;
use crate::request::{Request, Task, Work};
use crate::sync::Ordering;
use crate::sys::errno::{Errno, Result};
use crate::sys::fd::StatusFlags;
use crate::sys::poll;
use crate::sys::user;

/// How many polls are looked at together.
const POLLS: usize = 32;
/// With fewer of them looking before arming costs no more than after.
const FEW: usize = 4;

/// Polls that are about to be armed together.
struct Pending {
    requests: [Option<&'static Request>; POLLS],
    count: usize,
    /// The reaper serves the poller.
    is_background: bool,
}

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
        if index == 0 && self.has_iocbs_beside_array.load(Ordering::Relaxed) {
            // One question for both pages, which are one; if that was wrong, it is asked again.
            let _ = batch.pages.check_writable(entry, size_of::<usize>());
        }
        // SAFETY: an address.
        let address: usize = unsafe { batch.pages.read(entry) }?;
        let (iocb, key) = batch.pages.read_iocb(address)?;
        if index == 0 {
            let is_beside = user::is_same_page(entry, address);
            if self.has_iocbs_beside_array.load(Ordering::Relaxed) != is_beside {
                self.has_iocbs_beside_array.store(is_beside, Ordering::Relaxed);
            }
        }
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
    ///
    /// What is ready completes before this ends: it is looked for first; or, where polls have had to
    /// wait so far, they are armed first and those that were ready are harvested.
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
        let mut pending = Pending { requests: [None; POLLS], count: 0, is_background: false };
        // The reaper may take what is ready in the moment between arming and looking.
        let is_left_to_us = !self.is_background()
            && !polls.accepted.iter().take(count).flatten().any(Accepted::has_resfd);
        let looks_first = count < FEW || !is_left_to_us || !self.poller.expects_wait();
        let mut fds = [pollfd { fd: -1, events: 0, revents: 0 }; POLLS];
        if looks_first && let Some(fds) = fds.get_mut(..count) {
            for (slot, accepted) in fds.iter_mut().zip(polls.accepted.iter().flatten()) {
                let events = decode::poll_events(&accepted.iocb).unwrap_or(0);
                *slot = pollfd { fd: accepted.iocb.fildes, events: events as i16, revents: 0 };
            }
            look(fds);
            self.poller.learn(fds.iter().filter(|fd| fd.revents != 0).count(), count);
        }
        let mut done = 0;
        let mut result = Ok(());
        for (ready, accepted) in fds.iter().zip(polls.accepted.iter().take(count).flatten()) {
            if ready.revents != 0 {
                // What came before is submitted before.
                result = self.arm(&mut pending, looks_first, &mut done);
            }
            if result.is_ok() {
                result = self.submit_poll(batch, accepted, ready.revents, &mut pending);
            }
            if result.is_err() {
                // fs/aio.c, io_submit_one: whether the file is open comes before everything else.
                if !looks_first && is_closed(accepted.iocb.fildes) {
                    result = Err(Errno::BADF);
                }
                break;
            }
            done += usize::from(ready.revents != 0);
        }
        let armed = self.arm(&mut pending, looks_first, &mut done);
        if !looks_first {
            self.poller.learn(self.poller.harvest_submitted(), count);
        }
        for _ in done..count {
            self.completions.ring.unreserve();
        }
        *submitted += done;
        armed.and(result)
    }

    /// Arms the polls that are pending. At an error the rest are forgotten.
    fn arm(
        &'static self,
        pending: &mut Pending,
        has_looked: bool,
        submitted: &mut usize,
    ) -> Result<()> {
        let mut from = 0;
        let mut result = Ok(());
        while from < pending.count {
            let requests = pending.requests.get(from..pending.count).unwrap_or_default();
            let (armed, armed_all) = self.poller.arm(requests);
            for request in requests.iter().take(armed).flatten() {
                self.completions.put(request);
            }
            from += armed;
            let Err(error) = armed_all else { continue };
            let Some(request) = requests.get(armed).copied().flatten() else { break };
            match look_at(request) {
                ready if !has_looked && ready & !libc::POLLNVAL != 0 => {
                    // It was ready all the time.
                    if request.state.claim() == Claim::Won {
                        request.set_result(i64::from(ready));
                        self.completions.put(request);
                    }
                    self.completions.put(request);
                    from += 1;
                }
                ready if !has_looked && ready != 0 => result = Err(Errno::BADF),
                _ => result = Err(error),
            }
            if result.is_err() {
                break;
            }
        }
        *submitted += from;
        for request in pending.requests.iter().take(pending.count).skip(from).flatten() {
            self.completions.abandon(request);
        }
        // Not any more if the program has closed our descriptors.
        if pending.count > 0 && pending.is_background {
            self.serve_polls();
        }
        pending.count = 0;
        result
    }

    /// fs/aio.c, __io_submit_one and aio_poll. `ready`: what is known of its file.
    fn submit_poll(
        &'static self,
        batch: &mut Batch,
        accepted: &Accepted,
        ready: i16,
        pending: &mut Pending,
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
        // Without somebody to signal the eventfd the program would wait for ever.
        if !pending.is_background && (resfd.is_some() || self.is_background()) {
            pending.is_background = self.serve_polls();
            if !pending.is_background {
                if let Some(resfd) = resfd {
                    completions.resfds.release(resfd);
                }
                return Err(Errno::AGAIN);
            }
        }
        let task = Task::Poll { events };
        let work = Work { data: accepted.iocb.data, iocb: accepted.address, number: fd, task };
        let request = completions.begin(work, resfd)?;
        if let Some(place) = pending.requests.get_mut(pending.count) {
            *place = Some(request);
            pending.count += 1;
        }
        Ok(())
    }
}

/// Finds out what is ready. Where poll(2) fails, nothing is known to be, and epoll decides.
fn look(fds: &mut [pollfd]) {
    if poll::now(fds).is_err() {
        for one in fds {
            one.revents = poll::one(one.fd, one.events).unwrap_or(0);
        }
    }
}

fn is_closed(number: i32) -> bool {
    poll::one(number, 0).is_ok_and(|ready| ready & libc::POLLNVAL != 0)
}

/// What is ready for a poll at this moment.
fn look_at(request: &Request) -> i16 {
    match request.work() {
        Some(Work { number, task: Task::Poll { events }, .. }) => {
            poll::one(*number, *events as i16).unwrap_or(0)
        }
        _ => 0,
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
