//! Starting what completes asynchronously: in io_uring, in the pool, or after all here.

use crate::completion::Completions;
use crate::context::Context;
use crate::context::batch::{Accepted, Batch};
use crate::engine::pool::Refused;
use crate::engine::{Place, choose, work};
use crate::files::holds::Share;
use crate::files::pins::{self, Pin};
use crate::files::resfd::Resfd;
use crate::process::fork_gate::{self, Section};
use crate::request::decode::Transfer;
use crate::request::state::Claim;
use crate::request::{Request, Task, Work};
use crate::sync::Ordering;
use crate::sys::clock;
use crate::sys::errno::{Errno, Result};
use crate::sys::fd::{self, OwnedFd, StatusFlags};
use crate::sys::file::Direction;
use crate::sys::file_info::{FileInfo, Identity};

/// What a request for a worker holds.
struct Held {
    file: Share,
    resfd: Option<Resfd>,
    section: Section,
    /// See [`Request::set_size`].
    size: u64,
}

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
        if transfer.flags.is_nowait() && !batch.has_nowait(fd) {
            return Err(Errno::OPNOTSUPP);
        }
        let is_append = status.is_append() || transfer.flags.is_append();
        if transfer.direction == Direction::Write && is_append {
            return self.transfer_here(batch, accepted, status, &transfer);
        }
        if !status.is_opened_by_path() || !self.can_use_uring(accepted) {
            self.flush_ring(batch);
            batch.let_old_pins_go(&self.completions.holds);
            if let Ok(info) = batch.info(fd)
                && choose::by_blocks(fd, status, &transfer, &info) == Place::Asynchronous
                && let Ok(held) = self.hold(batch, accepted, info.identity, info.end())
            {
                return self.submit_to_pool(batch, accepted, held, Task::Transfer(transfer));
            }
            return self.transfer_here(batch, accepted, status, &transfer);
        }
        if transfer.direction == Direction::Write
            && self.uring.is_growing(fd)
            && let Ok(info) = FileInfo::of(fd)
        {
            if choose::direct(status, &transfer, &info) == Place::Caller {
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
        identity: Identity,
    ) -> Result<()> {
        let can_use_uring = self.can_use_uring(accepted);
        if !can_use_uring || batch.queue.is_in_the_way_of_syncs() {
            self.flush_ring(batch);
        }
        self.wait_for_rest(batch);
        let task = Task::Sync { data_only };
        if !can_use_uring {
            batch.let_old_pins_go(&self.completions.holds);
            return match self.hold(batch, accepted, identity, u64::MAX) {
                Ok(held) => self.submit_to_pool(batch, accepted, held, task),
                Err(_) => self.sync_here(batch, accepted, data_only),
            };
        }
        let fd = accepted.iocb.fildes;
        // A sync in io_uring goes to a worker of the kernel, which looks for the file when it starts.
        let held = pin(fd).and_then(|(file, section)| {
            let resfd = batch.share_signal(accepted, &self.completions.resfds, &section)?;
            Ok((file, resfd, section))
        });
        let Ok((file, resfd, section)) = held else {
            return self.sync_here(batch, accepted, data_only);
        };
        let request = self.begin(accepted, resfd, task)?;
        give_pin(request, accepted.iocb.fildes, file, identity);
        drop(section);
        self.uring.expect_worker();
        request.ring.is_gentle.store(false, Ordering::Relaxed);
        request.ring.progress.begin();
        batch.queue.push(request);
        Ok(())
    }

    /// Whether a request can go to io_uring: there is an instance, and the harvester if there is an
    /// eventfd to signal; without that, callers can look.
    fn can_use_uring(&'static self, accepted: &Accepted) -> bool {
        self.uring.is_ready()
            && (!(accepted.has_resfd() || self.is_background())
                || self.serve_uring()
                || !accepted.has_resfd())
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

    /// What a request for a worker needs; `identity`: which file it was a moment before, and `size` where
    /// that ended.
    fn hold(
        &'static self,
        batch: &mut Batch,
        accepted: &Accepted,
        identity: Identity,
        size: u64,
    ) -> Result<Held> {
        let Completions { holds, resfds, .. } = &self.completions;
        let number = accepted.iocb.fildes;
        let section = fork_gate::enter();
        let file = batch.hold(number, holds, || {
            let pin = Pin::new(duplicate(number)?);
            let file = pins::look(pin.raw(), number, Some(identity)).map(|info| info.identity);
            let now = clock::nanoseconds(&clock::now());
            holds.begin(pin.into_inner().ok_or(Errno::BADF)?, file, now, &section)
        })?;
        match batch.share_signal(accepted, resfds, &section) {
            Ok(resfd) => Ok(Held { file, resfd, section, size }),
            Err(error) => {
                drop(section);
                holds.release(file);
                Err(error)
            }
        }
    }

    /// Hands a request to the workers; without any, does it here.
    #[cold]
    fn submit_to_pool(
        &'static self,
        batch: &mut Batch,
        accepted: &Accepted,
        Held { file, resfd, section, size }: Held,
        task: Task,
    ) -> Result<()> {
        let credentials = batch.credentials();
        let request = match self.begin(accepted, resfd, task) {
            Ok(request) => request,
            Err(error) => {
                drop(section);
                self.completions.holds.release(file);
                return Err(error);
            }
        };
        request.set_share(file);
        request.set_size(size);
        drop(section);
        match self.lane.queue(request, credentials) {
            Ok(()) => batch.has_queued = true,
            Err(Refused) if request.state.claim() == Claim::Won => {
                // What came before starts before.
                self.flush(batch);
                request.set_result(work::perform(request, &self.completions.holds));
                self.completions.put(request);
            }
            Err(Refused) => {}
        }
        self.completions.put(request);
        Ok(())
    }
}

fn give_pin(request: &Request, fd: i32, pin: Pin, before: Identity) {
    let identity = pins::look(pin.raw(), fd, Some(before)).map(|info| info.identity);
    if let Some(pin) = pin.into_inner() {
        request.set_pin(pin, identity);
    }
}

/// A descriptor that holds the file behind `fd`, to be noted before the section ends.
fn pin(fd: i32) -> Result<(Pin, Section)> {
    let section = fork_gate::enter();
    Ok((Pin::new(duplicate(fd)?), section))
}

fn duplicate(fd: i32) -> Result<OwnedFd> {
    match pins::reuse(fd) {
        Some(kept) => Ok(kept),
        None => fd::duplicate(fd),
    }
}
