//! Starting what completes asynchronously: in io_uring, in the pool, or after all here.

use crate::context::Context;
use crate::context::batch::{Accepted, Batch};
use crate::engine::pool::Refused;
use crate::engine::{Place, choose, work};
use crate::files::pins::{self, Pin};
use crate::files::resfd::Resfd;
use crate::process::fork_gate::{self, Section};
use crate::request::decode::Transfer;
use crate::request::state::Claim;
use crate::request::{Request, Task, Work};
use crate::sync::Ordering;
use crate::sys::errno::{Errno, Result};
use crate::sys::fd::{self, StatusFlags};
use crate::sys::file::Direction;
use crate::sys::file_info::{FileInfo, Identity};

/// What a request for a worker holds.
struct Held {
    file: Pin,
    /// Which file it was a moment before.
    identity: Identity,
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
            if let Ok(info) = FileInfo::of(fd)
                && choose::by_blocks(fd, status, &transfer, &info) == Place::Asynchronous
                && let Ok((file, section)) = pin(fd)
                && let Ok(resfd) = batch.share_signal(accepted, &self.completions.resfds, &section)
            {
                let task = Task::Transfer(transfer);
                let (identity, size) = (info.identity, info.end());
                let held = Held { file, identity, resfd, section, size };
                return self.submit_to_pool(batch, accepted, held, task);
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
            let held = Held { file, identity, resfd, section, size: u64::MAX };
            return self.submit_to_pool(batch, accepted, held, task);
        }
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

    /// Hands a request to the workers; without any, does it here.
    #[cold]
    fn submit_to_pool(
        &'static self,
        batch: &mut Batch,
        accepted: &Accepted,
        Held { file, identity, resfd, section, size }: Held,
        task: Task,
    ) -> Result<()> {
        let credentials = batch.credentials();
        let request = self.begin(accepted, resfd, task)?;
        give_pin(request, accepted.iocb.fildes, file, identity);
        request.set_size(size);
        drop(section);
        match self.lane.queue(request, credentials) {
            Ok(()) => batch.has_queued = true,
            Err(Refused) if request.state.claim() == Claim::Won => {
                // What came before starts before.
                self.flush(batch);
                request.set_result(work::perform(request));
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
    let file = match pins::reuse(fd) {
        Some(kept) => kept,
        None => fd::duplicate(fd)?,
    };
    Ok((Pin::new(file), section))
}
