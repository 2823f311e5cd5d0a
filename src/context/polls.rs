//! Polls of a batch: those that follow each other are submitted together.
//!
//! One poll(2) asks for the readiness of all of them. What is not ready goes to the kernel's AIO as
//! it is, or into the epoll of the context, where one look-up holds their files. Where polls have
//! had to wait so far they go to the kernel's AIO without that question ([`super::believed`]), if
//! no thread waits.
//!
//! To the program they are submitted one by one all the same: the key of an iocb is cleared when
//! those before it are accepted, and an event comes after the key is cleared.

use libc::pollfd;

use crate::context::Context;
use crate::engine::batch::{Batch, Checked};
use crate::harvester::Source;
use crate::memory::user::{self, KeyAccess};
use crate::process::{fork_gate, fork_generation};
use crate::request::decode;
use crate::request::state::Claim;
use crate::request::{Request, Task, Work};
use crate::sys::errno::{Errno, Result};
use crate::sys::poll;

/// How many polls are looked at together.
const MAX_POLLS: usize = 32;
/// With fewer of them looking before arming costs no more than after.
const MIN_ARMED_FIRST: usize = 4;

/// Polls that are about to be armed together.
struct Pending {
    requests: [Option<&'static Request>; MAX_POLLS],
    count: usize,
    /// The harvester serves the poller.
    is_background: bool,
    /// What is ready was looked for.
    has_looked: bool,
}

/// Polls in a row.
pub(super) struct Polls {
    checked: [Option<Checked>; MAX_POLLS],
    count: usize,
}

impl Polls {
    pub(super) fn new() -> Polls {
        Polls { checked: [None; MAX_POLLS], count: 0 }
    }

    /// Adds one; there is room.
    pub(super) fn push(&mut self, checked: Checked) {
        if let Some(slot) = self.checked.get_mut(self.count) {
            *slot = Some(checked);
            self.count += 1;
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.count == MAX_POLLS
    }
}

impl Context {
    /// Submits the polls that wait, in order; counts those that are accepted. At an error the rest
    /// are forgotten.
    ///
    /// What is ready completes before this ends: it is looked for first; or, where polls have had
    /// to wait so far, they are armed first and those that were ready are harvested.
    pub(super) fn submit_polls(
        &'static self,
        batch: &mut Batch,
        polls: &mut Polls,
        submitted: &mut usize,
    ) -> Result<()> {
        let count = core::mem::take(&mut polls.count);
        if count == 0 {
            return Ok(());
        }
        // The harvester may take what is ready in the moment between arming and looking.
        let is_left_to_us = !self.is_background()
            && !polls.checked.iter().take(count).flatten().any(Checked::has_resfd);
        let looks_first = count < MIN_ARMED_FIRST
            || !is_left_to_us
            || self.engines.take_iocbs()
            || !self.poller.expects_wait();
        let mut pending = Pending {
            requests: [None; MAX_POLLS],
            count: 0,
            is_background: false,
            has_looked: looks_first,
        };
        let mut fds = [pollfd { fd: -1, events: 0, revents: 0 }; MAX_POLLS];
        if looks_first && let Some(fds) = fds.get_mut(..count) {
            for (slot, checked) in fds.iter_mut().zip(polls.checked.iter().flatten()) {
                let events = decode::poll_events(&checked.iocb).unwrap_or(0);
                *slot = pollfd { fd: checked.iocb.fildes, events: events as i16, revents: 0 };
            }
            look(fds);
            self.poller.learn(fds.iter().filter(|fd| fd.revents != 0).count(), count);
        }
        let mut done = 0;
        let mut result = Ok(());
        for (ready, checked) in fds.iter().zip(polls.checked.iter().take(count).flatten()) {
            result = self.submit_poll(batch, checked, ready.revents, &mut pending, &mut done);
            if self.is_over(batch) {
                break;
            }
            if result.is_err() {
                // fs/aio.c, io_submit_one: whether the file is open comes before everything else.
                if !looks_first && is_closed(checked.iocb.fildes) {
                    result = Err(Errno::BADF);
                }
                break;
            }
        }
        if fork_generation::is_forked() {
            // What is pending is the parent's.
            *submitted += done;
            return Ok(());
        }
        if self.is_over(batch) {
            let pending = pending.requests.iter().take(pending.count).flatten();
            pending.for_each(|request| self.completions.release_unarmed(request));
            *submitted += done;
            return result;
        }
        let armed = self.arm(&mut pending, &mut done);
        if !looks_first {
            self.poller.learn(self.poller.harvest_submitted(), count);
        }
        self.completions.ring.unreserve((count - done) as u32);
        *submitted += done;
        armed.and(result)
    }

    /// Arms the polls that are pending, and clears their keys. At an error the rest are forgotten.
    fn arm(&'static self, pending: &mut Pending, submitted: &mut usize) -> Result<()> {
        let mut from = 0;
        let mut result = Ok(());
        while from < pending.count {
            let requests = pending.requests.get(from..pending.count).unwrap_or_default();
            let (armed, armed_all) = self.poller.arm(requests);
            for request in requests.iter().take(armed).flatten() {
                clear_key(request);
                self.completions.put(request);
            }
            from += armed;
            let Err(error) = armed_all else { continue };
            let Some(request) = requests.get(armed).copied().flatten() else { break };
            let ready = if pending.has_looked { 0 } else { look_at(request) };
            if ready & libc::POLLNVAL != 0 {
                result = Err(Errno::BADF);
                break;
            }
            // fs/aio.c, __io_submit_one: before aio_poll, which refuses it, but not if there is no
            // memory or no file.
            if ready != 0 || error == Errno::INVAL {
                clear_key(request);
            }
            if ready == 0 {
                result = Err(error);
                break;
            }
            // It was ready all the time.
            if request.state.claim() == Claim::Won {
                request.set_result(i64::from(ready));
                self.completions.put(request);
            }
            self.completions.put(request);
            from += 1;
        }
        *submitted += from;
        for request in pending.requests.iter().take(pending.count).skip(from).flatten() {
            self.completions.release_unarmed(request);
        }
        // Not any more if the program has closed our descriptors.
        if pending.count > 0 && pending.is_background {
            self.serve(Source::Poller(&self.poller));
        }
        pending.count = 0;
        result
    }

    /// fs/aio.c, __io_submit_one and aio_poll. `ready`: what is known of its file.
    fn submit_poll(
        &'static self,
        batch: &mut Batch,
        checked: &Checked,
        ready: i16,
        pending: &mut Pending,
        submitted: &mut usize,
    ) -> Result<()> {
        let fd = checked.iocb.fildes;
        // poll(2) ignores negative numbers.
        if fd < 0 || ready & libc::POLLNVAL != 0 {
            return Err(Errno::BADF);
        }
        let completions = &self.completions;
        batch.check_signal(checked, &completions.resfds)?;
        let events = match (checked.key, decode::poll_events(&checked.iocb)) {
            (KeyAccess::Writable, Ok(events)) if ready == 0 => events,
            (access, events) => {
                // It ends here: what came before is submitted before.
                self.arm(pending, submitted)?;
                if !pending.has_looked && is_closed(fd) {
                    return Err(Errno::BADF);
                }
                user::write_key(checked.address, access)?;
                events?;
                self.engines.end_iocbs();
                completions.post(checked.event(i64::from(ready)), batch.signal(checked));
                *submitted += 1;
                return Ok(());
            }
        };
        if self.submit_as_it_is(batch, checked, pending, submitted)? {
            return Ok(());
        }
        let resfd = batch.share_signal(checked, &completions.resfds, &fork_gate::enter())?;
        // Without somebody to signal the eventfd the program would wait for ever.
        if !pending.is_background && (resfd.is_some() || self.is_background()) {
            pending.is_background = self.serve(Source::Poller(&self.poller));
            if !pending.is_background {
                if let Some(resfd) = resfd {
                    completions.resfds.release(resfd);
                }
                return Err(Errno::AGAIN);
            }
        }
        let request = checked.begin(completions, resfd, Task::Poll { events })?;
        if let Some(place) = pending.requests.get_mut(pending.count) {
            *place = Some(request);
            pending.count += 1;
        }
        Ok(())
    }

    /// Submits a poll as it is, if an engine takes it. False: nothing was done.
    fn submit_as_it_is(
        &'static self,
        batch: &mut Batch,
        checked: &Checked,
        pending: &mut Pending,
        submitted: &mut usize,
    ) -> Result<bool> {
        let is_served = checked.has_resfd() || self.is_background();
        if is_served || !self.engines.take_poll(checked.address) {
            return Ok(false);
        }
        // What came before is submitted before.
        self.arm(pending, submitted)?;
        batch.may_sleep();
        let address = checked.address;
        let taken = self.engines.submit_iocbs(1, (&raw const address).addr());
        if fork_generation::is_forked() || self.is_dead() {
            // By a handler in the submission. In a child it is the parent's, and accepted.
            batch.pending_signals.note_handler();
            *submitted += usize::from(taken.is_ok());
            let is_childs = fork_generation::is_forked();
            return if is_childs || taken.is_ok() { Ok(true) } else { Err(Errno::INVAL) };
        }
        match taken {
            Ok(_) => {
                *submitted += 1;
                // It may have become ready.
                self.engines.end_iocbs_in(batch);
            }
            Err(refusal) => self.engines.note_refusal(refusal),
        }
        Ok(taken.is_ok())
    }
}

/// Clears the key of an iocb that was found writable.
fn clear_key(request: &Request) {
    if let Some(work) = request.work() {
        // It cannot fail: that is known beforehand.
        let _ = user::write_key(work.iocb, KeyAccess::Writable);
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
        Some(Work { fd, task: Task::Poll { events }, .. }) => {
            poll::one(*fd, *events as i16).unwrap_or(0)
        }
        _ => 0,
    }
}
