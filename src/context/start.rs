//! Starting what completes asynchronously: in io_uring, in the pool, or after all here.

use crate::context::Context;
use crate::context::batch::{Accepted, Batch};
use crate::engine::choose::Facts;
use crate::engine::{Place, choose, driver, inline, pool, uring};
use crate::fork_gate::{self, Section};
use crate::pins::{self, Pin};
use crate::request::decode::Transfer;
use crate::request::progress::Turn;
use crate::request::state::Claim;
use crate::request::{Request, Task, Work};
use crate::resfd::Resfd;
use crate::sync::Ordering;
use crate::sys::errno::{Errno, Result};
use crate::sys::fd::{self, Identity, StatusFlags};
use crate::sys::file::{self, Direction};
use crate::sys::host;

impl Context {
    /// Submits a direct read or write.
    pub(super) fn submit_direct(
        &'static self,
        batch: &mut Batch,
        accepted: &Accepted,
        status: StatusFlags,
        transfer: Transfer,
    ) -> Result<()> {
        let fd = accepted.iocb.fildes;
        let is_append = status.is_append() || transfer.flags.is_append();
        if transfer.direction == Direction::Write && is_append {
            return self.transfer_here(batch, accepted, status, &transfer);
        }
        if !status.is_opened_by_path() || !self.can_use_uring(accepted) {
            self.flush(batch);
            if choose::by_blocks(fd, status, &transfer) == Place::Asynchronous
                && let Ok((file, section)) = pin(fd)
                && let Ok(resfd) = batch.share_signal(accepted, &self.completions.resfds, &section)
            {
                if host::wants_driver() {
                    batch.queue.leave_behind(&transfer);
                }
                let task = Task::Transfer(transfer);
                return self.submit_to_pool(batch, accepted, (file, resfd, section), task);
            }
            if host::wants_driver() && batch.queue.is_left_behind(&transfer) {
                self.driver.settle();
            }
            return self.transfer_here(batch, accepted, status, &transfer);
        }
        if transfer.direction == Direction::Write
            && self.uring.is_growing(fd)
            && let Ok(facts) = Facts::of(fd)
        {
            if choose::direct(status, &transfer, &facts) == Place::Caller {
                return self.transfer_here(batch, accepted, status, &transfer);
            }
            self.uring.note_growth(fd, false);
        }
        if batch.queue.is_in_the_way_of(&transfer) {
            self.flush(batch);
        }
        if batch.queue.is_left_behind(&transfer) {
            self.flush(batch);
            self.wait_for_rest(batch);
        }
        let section = fork_gate::enter();
        let Ok(resfd) = batch.share_signal(accepted, &self.completions.resfds, &section) else {
            drop(section);
            return self.transfer_here(batch, accepted, status, &transfer);
        };
        drop(section);
        // An attempt may be refused late: io_uring tells by task work, which waits if a completion on
        // another CPU is about to announce its own; and a device may refuse a part. By then the
        // number may mean another file.
        let file = batch.identity(fd);
        // An answer that it would block is for us, unless the program has asked for it.
        let is_gentle = !transfer.flags.is_nowait();
        batch.queue.note(&transfer);
        let request = self.begin(accepted, resfd, Task::Transfer(transfer))?;
        if let Some(file) = file {
            request.set_file(file);
        }
        request.ring.is_gentle.store(is_gentle, Ordering::Relaxed);
        request.ring.progress.begin();
        batch.queue.push(request);
        Ok(())
    }

    /// Submits a sync of a file that has one.
    pub(super) fn submit_sync(
        &'static self,
        batch: &mut Batch,
        accepted: &Accepted,
        data_only: bool,
    ) -> Result<()> {
        let can_use_uring = self.can_use_uring(accepted);
        if !can_use_uring || batch.queue.is_in_the_way_of_syncs() {
            self.flush(batch);
        }
        self.wait_for_rest(batch);
        let fd = accepted.iocb.fildes;
        // A sync in io_uring goes to a worker of the kernel, which looks for the file when it starts.
        let held = pin(fd).and_then(|(file, section)| {
            let resfd = batch.share_signal(accepted, &self.completions.resfds, &section)?;
            Ok((file, resfd, section))
        });
        let Ok((file, resfd, section)) = held else {
            return self.sync_here(batch, accepted, data_only);
        };
        let task = Task::Sync { data_only };
        if !can_use_uring {
            return self.submit_to_pool(batch, accepted, (file, resfd, section), task);
        }
        let request = self.begin(accepted, resfd, task)?;
        give_pin(request, file);
        drop(section);
        self.uring.expect_worker();
        request.ring.is_gentle.store(false, Ordering::Relaxed);
        request.ring.progress.begin();
        batch.queue.push(request);
        Ok(())
    }

    /// Whether a request can go to io_uring: there is an instance, and the reaper if there is an
    /// eventfd to signal; without that, callers can look.
    fn can_use_uring(&'static self, accepted: &Accepted) -> bool {
        !host::wants_driver()
            && self.uring.is_ready()
            && (!(accepted.has_resfd() || self.is_background())
                || (!self.uring.is_owned() && (self.serve_uring() || !accepted.has_resfd())))
    }

    fn begin(
        &'static self,
        accepted: &Accepted,
        resfd: Option<Resfd>,
        task: Task,
    ) -> Result<&'static Request> {
        let number = accepted.iocb.fildes;
        let work = Work { data: accepted.iocb.data, iocb: accepted.address, number, task };
        self.completions.begin(work, resfd)
    }

    /// Lets what is queued enter the kernel, and sees to what comes back at once.
    #[inline]
    pub(super) fn flush(&'static self, batch: &mut Batch) {
        if batch.queue.count > 0 {
            self.flush_queue(batch);
        }
        driver::call();
    }

    fn flush_queue(&'static self, batch: &mut Batch) {
        batch.may_sleep();
        let (requests, count) = batch.queue.take();
        let requests = requests.get(..count).unwrap_or_default();
        let submitted = self.uring.submit(requests);
        self.uring.look_after_submission();
        for (index, request) in requests.iter().flatten().enumerate() {
            let is_refused = index >= submitted;
            if is_refused || request.ring.progress.end_submission() == Turn::Own {
                self.go_on(batch, request, is_refused);
            } else if !request.state.is_open()
                && request.result() == Errno::FBIG.to_res()
                && let Some(Work { task: Task::Transfer(transfer), .. }) = request.work()
            {
                // The kernel has sent its signal, in the submission.
                batch.interruption.note(Errno::FBIG, transfer);
            }
            self.completions.put(request);
        }
    }

    /// A request that io_uring has not taken, or has given back: does it here, if it blocks as it
    /// would in the kernel's io_submit, or elsewhere.
    #[cold]
    fn go_on(&'static self, batch: &mut Batch, request: &'static Request, is_refused: bool) {
        let Some(work) = request.work() else { return };
        let fd = work.number;
        if let Task::Transfer(transfer) = &work.task {
            let is_synchronous = match (batch.status(fd), is_refused) {
                (Ok(status), true) => choose::by_blocks(fd, status, transfer) == Place::Caller,
                (Ok(status), false) => match Facts::of(fd) {
                    Ok(facts) if choose::direct(status, transfer, &facts) == Place::Caller => {
                        self.uring.note_growth(fd, transfer.direction == Direction::Write);
                        true
                    }
                    _ if self.attempt_without_cache(request, transfer) => return,
                    Ok(facts) => self.uring.is_first_setback(facts.identity),
                    Err(_) => false,
                },
                (Err(_), _) => return self.decide(request, Errno::BADF.to_res()),
            };
            if is_synchronous || is_beyond_limit(transfer) || !uring::hold_file(request) {
                return self.perform_here(batch, request, transfer);
            }
            batch.queue.leave_behind(transfer);
            if let Some((index, generation)) = batch.queue.remember(request) {
                self.uring.wait_for(index, generation);
            }
        }
        request.ring.is_gentle.store(false, Ordering::Relaxed);
        request.ring.progress.begin_alone();
        self.uring.expect_worker();
        if is_refused || self.uring.submit(&[Some(request)]) == 0 {
            self.uring.submit_elsewhere(request, batch.credentials());
        }
    }

    /// Attempts a write that was set back once more, without the cached pages that may have been the
    /// reason: to drop them may block, says the kernel. True: it is on its way, or done.
    fn attempt_without_cache(&self, request: &Request, transfer: &Transfer) -> bool {
        let Some(number) = request.work().map(|work| work.number) else { return false };
        if transfer.direction == Direction::Read || !self.uring.may_be_cached() {
            return false;
        }
        file::forget_cached(number, transfer.offset as u64, transfer.buffer.len());
        request.ring.progress.begin();
        if self.uring.submit(&[Some(request)]) == 0 {
            return false;
        }
        self.uring.look_after_submission();
        let is_on_its_way = request.ring.progress.end_submission() == Turn::Others;
        if is_on_its_way {
            self.uring.was_cached();
        }
        is_on_its_way
    }

    fn perform_here(&self, batch: &mut Batch, request: &Request, transfer: &Transfer) {
        let Some(number) = request.work().map(|work| work.number) else { return };
        if request.state.claim() == Claim::Won {
            let result = batch.status(number).and_then(|status| {
                inline::transfer(number, status, transfer, &mut batch.interruption)
            });
            request.set_result(result.unwrap_or_else(Errno::to_res));
            self.completions.put(request);
        }
    }

    /// Before something that must not overtake a write which a worker of the kernel has got: waits
    /// for it, as the kernel's io_submit waits for the blocks.
    pub(super) fn wait_for_rest(&self, batch: &mut Batch) {
        if !host::wants_driver()
            && let Some(behind) = batch.queue.take_rest()
        {
            for (index, generation) in behind.into_iter().flatten() {
                self.uring.wait_for(index, generation);
            }
        }
    }

    /// Completes a request that nobody works at.
    fn decide(&self, request: &Request, result: i64) {
        if request.state.claim() == Claim::Won {
            request.set_result(result);
            self.completions.put(request);
        }
    }

    /// Hands a request to the driver or the workers; without any, does it here.
    #[cold]
    fn submit_to_pool(
        &'static self,
        batch: &mut Batch,
        accepted: &Accepted,
        (file, resfd, section): (Pin, Option<Resfd>, Section),
        task: Task,
    ) -> Result<()> {
        let credentials = batch.credentials();
        let request = self.begin(accepted, resfd, task)?;
        give_pin(request, file);
        drop(section);
        let is_driven = host::wants_driver() && self.driver.submit(request, credentials).is_ok();
        if !is_driven
            && self.lane.submit(request, credentials).is_err()
            && request.state.claim() == Claim::Won
        {
            request.set_result(pool::perform(request));
            self.completions.put(request);
        }
        self.completions.put(request);
        Ok(())
    }
}

/// Whether a write may raise SIGXFSZ, which is for the submitter and not for a worker.
fn is_beyond_limit(transfer: &Transfer) -> bool {
    let end = (transfer.offset as u64).saturating_add(transfer.buffer.len());
    transfer.direction == Direction::Write
        && fd::limit(libc::RLIMIT_FSIZE).is_some_and(|limit| limit < end)
}

fn give_pin(request: &Request, file: Pin) {
    let identity = Identity::of(file.raw()).ok();
    if let Some(file) = file.into_inner() {
        request.set_pin(file, identity);
    }
}

/// A descriptor that holds the file behind `fd`, to be noted before the section ends.
fn pin(fd: i32) -> Result<(Pin, Section)> {
    let section = fork_gate::enter();
    let file = match pins::reuse(fd) {
        Some(kept) => kept,
        None => fd::duplicate(fd)?,
    };
    Ok((Pin::new(file), section))
}
