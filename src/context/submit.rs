//! io_submit: iocbs in order, each to the end of its submission before the next.
//!
//! Two kinds wait for each other for a moment. Polls that follow each other ([`super::polls`]).
//! Requests for io_uring: they enter the kernel together, unless one could be overtaken by what
//! follows it ([`super::batch::Queue`]).

use crate::aio_abi::Iocb;
use crate::context::Context;
use crate::context::batch::{Accepted, Batch};
use crate::context::polls::Polls;
use crate::engine::{choose, inline};
use crate::memory::user;
use crate::process::fork_generation;
use crate::request::decode::{self, Operation, Transfer};
use crate::sync::Ordering;
use crate::sys::errno::{Errno, Result};
use crate::sys::fd::StatusFlags;

impl Context {
    /// Submits up to `nr` iocbs, whose addresses are in the array at `iocbs`. Returns how many were
    /// accepted; the error of the first one, if none was.
    pub fn submit(&'static self, nr: usize, iocbs: usize) -> Result<usize> {
        // fs/aio.c, io_submit: more than the ring holds are silently left.
        let nr = nr.min(self.completions.ring.nr() as usize);
        let mut batch = Batch::new(nr);
        let submitted = self.submit_batch(&mut batch, nr, iocbs);
        self.flush(&mut batch);
        batch.end(&self.completions.resfds);
        submitted
    }

    fn submit_batch(&'static self, batch: &mut Batch, nr: usize, iocbs: usize) -> Result<usize> {
        let ring = &self.completions.ring;
        let mut polls = Polls::new();
        let mut submitted = 0;
        let mut failure = None;
        for index in 0..nr {
            if is_forked(batch) {
                // What is left is the parent's, and accepted, as far as this process can tell.
                return Ok(nr);
            }
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
                if !polls.is_full() {
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
        batch.renew();
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
        batch.check_signal(accepted, &self.completions.resfds)?;
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
            Operation::Sync { data_only } => match choose::sync(fd) {
                Some(identity) => self.submit_sync(batch, accepted, data_only, identity),
                None => self.sync_here(batch, accepted, data_only),
            },
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
        batch.may_sleep();
        batch.set_desk(accepted, &self.completions.waiters);
        let fd = accepted.iocb.fildes;
        let res = inline::transfer(fd, status, transfer, &mut batch.interruption);
        batch.interruption.desk = None;
        if is_forked(batch) {
            return Ok(());
        }
        let res = res?;
        self.completions.post(accepted.event(res), batch.signal(accepted));
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
        batch.may_sleep();
        let res = inline::sync(accepted.iocb.fildes, data_only)?;
        self.completions.post(accepted.event(res), batch.signal(accepted));
        Ok(())
    }
}

/// Whether a handler has forked while the batch slept, and this is the child: the ring is not here.
fn is_forked(batch: &Batch) -> bool {
    batch.interruption.is_pending() && fork_generation::is_forked()
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
