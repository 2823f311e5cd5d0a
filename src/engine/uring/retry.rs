//! The end of a batch: its requests enter io_uring, and those that fail at once, because they would
//! block, are retried: inline, by io-wq, or by the pool.
//!
//! The kernel's io_submit does one iocb after the other. Here a write that extends a file is done
//! after the attempts of the requests behind it in the batch. Reads that have met the old end of
//! the file are done again ([`Growth`]).

use crate::engine::batch::Batch;
use crate::engine::uring::{Uring, hold_file};
use crate::engine::{Placement, inline, placement};
use crate::process::fork_generation;
use crate::request::decode::Transfer;
use crate::request::retry::RetryBy;
use crate::request::state::Claim;
use crate::request::{Request, Task, Work};
use crate::sync::Ordering;
use crate::sys::errno::Errno;
use crate::sys::fd;
use crate::sys::file::{self, Direction};
use crate::sys::file_info::{FileInfo, Identity};

/// What writes of a batch have added to files.
struct Growth {
    /// The file; none: several.
    file: Option<Identity>,
    /// Its size before, or the smallest.
    from: u64,
}

impl Growth {
    fn note(growth: &mut Option<Growth>, info: &FileInfo) {
        let before = growth.take();
        let is_one = before.as_ref().is_none_or(|before| before.file == Some(info.identity));
        *growth = Some(Growth {
            file: is_one.then_some(info.identity),
            from: before.map_or(info.size, |before| before.from.min(info.size)),
        });
    }
}

impl Uring {
    /// Submits what is queued, and retries what fails at once.
    pub fn flush(&'static self, batch: &mut Batch) {
        batch.may_sleep();
        // Each request has its own share. A program that has closed the file finds it closed when it
        // has taken the last event.
        batch.release_pins(&self.completions().holds);
        let (requests, count) = batch.queue.take();
        let requests = requests.get(..count).unwrap_or_default();
        let submitted = self.submit(requests);
        self.look_after_submission();
        let mut growth = None;
        for (index, request) in requests.iter().flatten().enumerate() {
            if fork_generation::is_forked() {
                return;
            }
            let is_refused = index >= submitted;
            if is_refused || request.ring.retry.submitter_done() == RetryBy::Submitter {
                self.retry(batch, request, is_refused, &mut growth);
            } else if let Some(growth) = &growth {
                self.look_again(batch, request, growth);
            } else if !request.state.is_open()
                && request.result() == Errno::FBIG.to_res()
                && let Some(Work { task: Task::Transfer(transfer), .. }) = request.work()
            {
                // The kernel has sent its signal, in the submission.
                batch.pending_signals.note(Errno::FBIG, transfer);
            }
            self.completions().put(request);
        }
    }

    /// Retries a request that io_uring has refused, or whose attempt has failed: inline if it
    /// blocks in the kernel's io_submit, too; else by io-wq or the pool.
    #[cold]
    fn retry(
        &'static self,
        batch: &mut Batch,
        request: &'static Request,
        is_refused: bool,
        growth: &mut Option<Growth>,
    ) {
        let Some(work) = request.work() else { return };
        let fd = work.fd;
        if let Task::Transfer(transfer) = &work.task {
            let is_synchronous = match (batch.status(fd), is_refused) {
                (Ok(status), true) => !FileInfo::of(fd).is_ok_and(|info| {
                    placement::by_blocks(fd, status, transfer, &info) == Placement::Asynchronous
                }),
                (Ok(status), false) => match FileInfo::of(fd) {
                    Ok(info) if placement::direct(status, transfer, &info) == Placement::Caller => {
                        let is_write = transfer.direction == Direction::Write;
                        self.hints.note_growth(fd, is_write);
                        if is_write {
                            Growth::note(growth, &info);
                        }
                        true
                    }
                    _ if has_no_nowait(request) && fd::is_on_synchronous_file_system(fd) => true,
                    _ if self.attempt_without_cache(request, transfer) => return,
                    Ok(info) => self.hints.is_first_failure(info.identity),
                    Err(_) => false,
                },
                (Err(_), _) => return self.complete_with(request, Errno::BADF.to_res()),
            };
            if is_synchronous || is_beyond_limit(transfer) || !hold_file(request) {
                return self.run_inline(batch, request, transfer);
            }
            batch.queue.note_punted(transfer);
            if let Some((index, generation)) = batch.queue.remember_punted(request) {
                self.wait_for(index, generation, 0);
            }
        }
        request.ring.adds_nowait.store(false, Ordering::Relaxed);
        request.ring.retry.begin_detached();
        self.expect_io_wq();
        if is_refused || self.submit(&[Some(request)]) == 0 {
            self.hand_to_pool(request, batch.credentials());
        }
    }

    /// Attempts a write once more, after its cached pages were dropped, which may have been the
    /// reason for -EAGAIN: to drop them may block. True: it is on its way, or done.
    fn attempt_without_cache(&self, request: &Request, transfer: &Transfer) -> bool {
        let Some(fd) = request.work().map(|work| work.fd) else { return false };
        if transfer.direction == Direction::Read || !self.hints.may_be_cached() {
            return false;
        }
        file::forget_cached(fd, transfer.offset as u64, transfer.buffer.len());
        request.ring.retry.begin();
        if self.submit(&[Some(request)]) == 0 {
            return false;
        }
        self.look_after_submission();
        let is_on_its_way = request.ring.retry.submitter_done() == RetryBy::Harvester;
        if is_on_its_way {
            self.hints.was_cached();
        }
        is_on_its_way
    }

    fn run_inline(&self, batch: &mut Batch, request: &Request, transfer: &Transfer) {
        let Some(fd) = request.work().map(|work| work.fd) else { return };
        if request.state.claim() == Claim::Won {
            let result = batch.status(fd).and_then(|status| {
                inline::transfer(fd, status, transfer, &mut batch.pending_signals)
            });
            if fork_generation::is_forked() {
                // A handler has forked, and this is the child.
                return;
            }
            request.set_result(result.unwrap_or_else(Errno::to_res));
            self.completions().put(request);
        }
    }

    /// Waits for the writes that were punted to io-wq, as the kernel's io_submit waits for their
    /// blocks: what follows must not overtake them.
    pub fn wait_for_punted(&self, batch: &mut Batch) {
        if let Some(punted) = batch.queue.take_punted() {
            for (index, generation) in punted.into_iter().flatten() {
                self.wait_for(index, generation, 0);
            }
        }
    }

    /// A request behind a write that has extended a file, and was done before that for the reason
    /// above. If it reads what the write has added, it reads again: the kernel's io_submit would
    /// have found it.
    #[cold]
    fn look_again(&self, batch: &mut Batch, request: &Request, growth: &Growth) {
        let Some(Work { fd, task: Task::Transfer(transfer), .. }) = request.work() else {
            return;
        };
        let end = (transfer.offset as u64).saturating_add(transfer.buffer.len());
        let is_other = matches!((request.file(), growth.file), (Some(a), Some(b)) if a != b);
        if transfer.direction == Direction::Write || end <= growth.from || is_other {
            return;
        }
        self.wait_for(request.index(), request.generation(), 1);
        let is_short = (0..transfer.buffer.len() as i64).contains(&request.result());
        if is_short && let Ok(status) = batch.status(*fd) {
            let again = inline::transfer(*fd, status, transfer, &mut batch.pending_signals);
            request.set_result(again.unwrap_or_else(Errno::to_res));
        }
    }

    /// Completes a request that nobody else works on.
    fn complete_with(&self, request: &Request, result: i64) {
        if request.state.claim() == Claim::Won {
            request.set_result(result);
            self.completions().put(request);
        }
    }
}

/// Whether the kernel has refused the attempt because the file has no FMODE_NOWAIT.
fn has_no_nowait(request: &Request) -> bool {
    request.result() == Errno::OPNOTSUPP.to_res()
}

/// Whether a write may raise SIGXFSZ, which is for the submitter and not for a worker.
fn is_beyond_limit(transfer: &Transfer) -> bool {
    let end = (transfer.offset as u64).saturating_add(transfer.buffer.len());
    transfer.direction == Direction::Write
        && fd::limit(libc::RLIMIT_FSIZE).is_some_and(|limit| limit < end)
}
