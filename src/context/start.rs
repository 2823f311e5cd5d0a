//! Starting what completes asynchronously: in io_uring, in the pool, or after all here.

use crate::context::Context;
use crate::context::batch::{Accepted, Batch};
use crate::engine::{Place, choose, inline, pool, uring};
use crate::fork_gate::{self, Section};
use crate::pins::{self, Pin};
use crate::request::decode::Transfer;
use crate::request::progress::Turn;
use crate::request::state::Claim;
use crate::request::{Origin, Request, Task, Work};
use crate::sync::Ordering;
use crate::sys::errno::{Errno, Result};
use crate::sys::fd::{self, Identity, StatusFlags};

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
        let Ok(facts) = batch.facts(fd) else {
            return self.transfer_here(batch, accepted, status, &transfer);
        };
        let place = choose::direct(status, &transfer, &facts);
        if place == Place::Caller {
            return self.transfer_here(batch, accepted, status, &transfer);
        }
        if !self.can_use_uring(accepted) {
            self.flush(batch);
            if choose::by_blocks(fd, status, &transfer) == Place::Asynchronous
                && let Ok(file) = pin(fd)
            {
                let task = |origin| Task::Transfer(transfer, origin);
                return self.submit_to_pool(batch, accepted, file, task);
            }
            return self.transfer_here(batch, accepted, status, &transfer);
        }
        if batch.queue.is_in_the_way_of(&transfer) {
            self.flush(batch);
        }
        let origin = Origin { number: fd, file: facts.identity };
        let section = fork_gate::enter();
        let request = self.begin(accepted, &section, Task::Transfer(transfer, origin))?;
        drop(section);
        request.ring.is_gentle.store(place == Place::Attempt, Ordering::Relaxed);
        request.ring.progress.begin();
        let transfer = match request.work().map(|work| &work.task) {
            Some(Task::Transfer(transfer, _)) => Some(transfer),
            _ => None,
        };
        batch.queue.push(request, transfer);
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
        let fd = accepted.iocb.fildes;
        // A sync in io_uring goes to a worker of the kernel, which looks for the file when it starts.
        let Ok((file, section)) = pin(fd) else {
            return self.sync_here(batch, accepted, data_only);
        };
        if !can_use_uring {
            let task = |origin| Task::Sync { data_only, origin };
            return self.submit_to_pool(batch, accepted, (file, section), task);
        }
        let origin = Origin { number: fd, file: Identity::of(file.raw())? };
        let request = self.begin(accepted, &section, Task::Sync { data_only, origin })?;
        if let Some(file) = file.into_inner() {
            request.set_pin(file);
        }
        drop(section);
        request.ring.is_gentle.store(false, Ordering::Relaxed);
        request.ring.progress.begin();
        batch.queue.push(request, None);
        Ok(())
    }

    /// Whether a request can go to io_uring: there is an instance, and the reaper if it needs one.
    fn can_use_uring(&'static self, accepted: &Accepted) -> bool {
        self.uring.is_ready()
            && (!(accepted.has_resfd() || self.is_background()) || self.serve_uring())
    }

    fn begin(
        &'static self,
        accepted: &Accepted,
        section: &Section,
        task: Task,
    ) -> Result<&'static Request> {
        let completions = &self.completions;
        let resfd = match accepted.has_resfd() {
            true => Some(completions.resfds.acquire(accepted.iocb.resfd, section)?),
            false => None,
        };
        completions.begin(Work { data: accepted.iocb.data, iocb: accepted.address, task }, resfd)
    }

    /// Lets what is queued enter the kernel, and sees to what comes back at once.
    #[inline]
    pub(super) fn flush(&'static self, batch: &mut Batch) {
        if batch.queue.count > 0 {
            self.flush_queue(batch);
        }
    }

    fn flush_queue(&'static self, batch: &mut Batch) {
        let (requests, count) = batch.queue.take();
        let requests = requests.get(..count).unwrap_or_default();
        let is_attempt = |request: &&Request| request.ring.is_gentle.load(Ordering::Relaxed);
        let has_attempts = requests.iter().flatten().any(is_attempt);
        let submitted = self.uring.submit(requests);
        if has_attempts {
            self.uring.look_for_setbacks();
        }
        for (index, request) in requests.iter().flatten().enumerate() {
            let is_back = index >= submitted || request.ring.progress.end_submission() == Turn::Own;
            if is_back {
                self.go_on(batch, request);
            }
            self.completions.put(request);
        }
    }

    /// A request that io_uring has not taken, or has given back: does it here, if it blocks as it
    /// would in the kernel's io_submit, or elsewhere.
    #[cold]
    fn go_on(&'static self, batch: &mut Batch, request: &'static Request) {
        let Some(work) = request.work() else { return };
        if let Task::Transfer(transfer, origin) = &work.task {
            let fd = origin.number;
            let Ok(status) = batch.status(fd) else {
                return self.decide(request, Errno::BADF.to_res());
            };
            if choose::by_blocks(fd, status, transfer) == Place::Caller {
                if request.state.claim() == Claim::Won {
                    let result = inline::transfer(fd, status, transfer, &mut batch.interruption);
                    request.set_result(result.unwrap_or_else(Errno::to_res));
                    self.completions.put(request);
                }
                return;
            }
        }
        if !uring::hold_file(request) {
            return self.decide(request, Errno::BADF.to_res());
        }
        request.ring.is_gentle.store(false, Ordering::Relaxed);
        request.ring.progress.begin_alone();
        if !self.uring.is_ready() || self.uring.submit(&[Some(request)]) == 0 {
            self.uring.submit_elsewhere(request, batch.credentials());
        }
    }

    /// Completes a request that nobody works at.
    fn decide(&self, request: &Request, result: i64) {
        if request.state.claim() == Claim::Won {
            request.set_result(result);
            self.completions.put(request);
        }
    }

    /// Hands a request to the workers; without any, does it here.
    #[cold]
    fn submit_to_pool(
        &'static self,
        batch: &mut Batch,
        accepted: &Accepted,
        (file, section): (Pin, Section),
        task: impl FnOnce(Origin) -> Task,
    ) -> Result<()> {
        let origin = Origin { number: accepted.iocb.fildes, file: Identity::of(file.raw())? };
        let credentials = batch.credentials();
        let request = self.begin(accepted, &section, task(origin))?;
        if let Some(file) = file.into_inner() {
            request.set_pin(file);
        }
        drop(section);
        if self.lane.submit(request, credentials).is_err() && request.state.claim() == Claim::Won {
            request.set_result(pool::perform(request));
            self.completions.put(request);
        }
        self.completions.put(request);
        Ok(())
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
