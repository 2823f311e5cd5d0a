//! io_submit: iocbs in order, each to the end of its submission before the next.
//!
//! Three kinds wait for each other for a moment. Polls that follow each other ([`super::polls`]).
//! Iocbs that follow each other and that an engine gets as they are ([`Run`]). Requests that an
//! engine has started and keeps until the end of the batch ([`crate::engine::Engines::flush`]).
//! What can be submitted without questions does not come here ([`super::believed`]).

use crate::aio_abi::Iocb;
use crate::context::Context;
use crate::context::polls::Polls;
use crate::engine::batch::{Batch, Checked};
use crate::engine::{Placement, Started, inline, placement};
use crate::files::beliefs::Belief;
use crate::harvester::Source;
use crate::memory::user::{self, Pages};
use crate::process::fork_generation;
use crate::request::Task;
use crate::request::decode;
use crate::sync::Ordering;
use crate::sys::errno::{Errno, Result};
use crate::sys::fd::StatusFlags;

/// What became of an io_submit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// It is over.
    Done(Result<usize>),
    /// Nothing was done: the context may become the kernel's first.
    NotInPlace,
}

impl Context {
    /// Submits up to `nr` iocbs, whose addresses are in the array at `iocbs`. Returns how many were
    /// accepted; the error of the first one, if none was. `stays`: the context becomes the kernel's
    /// not for now.
    pub fn submit(&'static self, nr: usize, iocbs: usize, stays: bool) -> Submitted {
        // fs/aio.c, io_submit: more than the ring holds are silently left.
        let nr = nr.min(self.completions.ring.nr() as usize);
        let mut pages = Pages::new();
        let submitted = self.submit_believed(&mut pages, nr, iocbs);
        if submitted == nr && nr > 0 {
            return Submitted::Done(Ok(nr));
        }
        if self.is_dead() {
            // A handler in the submission, or another thread, has begun io_destroy.
            return Submitted::Done(answer(submitted, Some(Errno::INVAL)));
        }
        self.submit_rest(pages, submitted, nr, iocbs, stays)
    }

    /// Submits iocbs of an array from `first` on, which need questions; those before are on their
    /// way. Not inlined: it needs a large frame.
    #[inline(never)]
    fn submit_rest(
        &'static self,
        pages: Pages,
        first: usize,
        nr: usize,
        iocbs: usize,
        stays: bool,
    ) -> Submitted {
        let mut batch = Batch::new(nr, pages);
        let submitted = self.submit_batch(&mut batch, first, nr, iocbs, stays);
        self.engines.flush(&mut batch);
        batch.end(&self.completions.resfds);
        submitted
    }

    fn submit_batch(
        &'static self,
        batch: &mut Batch,
        first: usize,
        nr: usize,
        iocbs: usize,
        stays: bool,
    ) -> Submitted {
        let mut polls = Polls::new();
        let mut run = Run { iocbs, first: 0, count: 0 };
        let mut submitted = first;
        let mut failure = None;
        if first > 0 {
            self.engines.end_iocbs_in(batch);
        }
        for index in first..nr {
            if self.is_over(batch) {
                break;
            }
            let checked = match self.accept(batch, iocbs, index) {
                Ok(checked) => checked,
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            };
            let is_served = checked.has_resfd() || self.is_raw.load(Ordering::Relaxed);
            if is_served && index == 0 && !stays && self.may_go_in_place() {
                self.completions.ring.unreserve(1);
                return Submitted::NotInPlace;
            }
            let kind = self.kind(batch, &checked, index, nr);
            // What came before is submitted before.
            let mut result = Ok(());
            if kind != Kind::Poll {
                result = self.submit_polls(batch, &mut polls, &mut submitted);
            }
            if kind != Kind::AsItIs && result.is_ok() {
                result = self.submit_run(batch, &mut run, &mut submitted);
                if self.is_over(batch) {
                    break;
                }
            }
            match kind {
                _ if result.is_err() => self.completions.ring.unreserve(1),
                Kind::AsItIs => run.add(index),
                Kind::Poll => {
                    polls.push(checked);
                    if polls.is_full() {
                        result = self.submit_polls(batch, &mut polls, &mut submitted);
                    }
                }
                Kind::Attempt(believed) if self.attempt(batch, &checked, believed) => {
                    submitted += 1;
                }
                Kind::Attempt(_) | Kind::Other => {
                    result = self.submit_one(batch, &checked);
                    match result {
                        Ok(()) => submitted += 1,
                        Err(_) => self.completions.ring.unreserve(1),
                    }
                }
            }
            if let Err(error) = result {
                return Submitted::Done(answer(submitted, Some(error)));
            }
        }
        if fork_generation::is_forked() {
            // What is left is the parent's, and accepted, as far as this process can tell.
            return Submitted::Done(Ok(nr));
        }
        let last = self
            .submit_polls(batch, &mut polls, &mut submitted)
            .and_then(|()| self.submit_run(batch, &mut run, &mut submitted));
        Submitted::Done(match fork_generation::is_forked() {
            true => Ok(nr),
            false => answer(submitted, last.err().or(failure)),
        })
    }

    /// Whether a handler has ended what it has interrupted: it has forked, and this is the child,
    /// or it has destroyed the context.
    #[inline]
    pub(super) fn is_over(&self, batch: &Batch) -> bool {
        fork_generation::is_forked() || (batch.pending_signals.is_pending() && self.is_dead())
    }

    /// How an iocb is submitted, the one at `index` of `nr`.
    #[inline]
    fn kind(&'static self, batch: &mut Batch, checked: &Checked, index: usize, nr: usize) -> Kind {
        let iocb = &checked.iocb;
        let may_go_as_it_is = !self.is_background() && self.engines.take_iocbs();
        if may_go_as_it_is && self.goes_as_it_is(iocb, checked.address, nr, &mut batch.known) {
            return Kind::AsItIs;
        }
        if decode::is_poll(iocb) {
            return Kind::Poll;
        }
        if decode::direction(iocb).is_none() {
            return Kind::Other;
        }
        if index + 1 == nr
            && let Some(belief) = self.beliefs.of(iocb.fildes)
            && belief.status().is_opened_by_path()
            && !belief.status().is_direct()
        {
            return Kind::Attempt(belief.status());
        }
        match self.ask(batch, iocb.fildes, may_go_as_it_is && nr > 1) {
            Ok(belief)
                if may_go_as_it_is
                    && !checked.has_resfd()
                    && belief.goes_as_it_is(self.together(nr)) =>
            {
                Kind::AsItIs
            }
            _ => Kind::Other,
        }
    }

    /// Asks about an iocb's file: EBADF. `has_company`: what kind of file it is may matter.
    #[inline]
    fn ask(&self, batch: &mut Batch, number: i32, has_company: bool) -> Result<Belief> {
        let status = batch.status(number)?;
        let is_regular = has_company
            && status.is_opened_by_path()
            && !status.is_direct()
            && batch.info(number).is_ok_and(|info| info.kind == libc::S_IFREG);
        let belief = Belief::new(status, is_regular);
        self.beliefs.note(number, belief);
        Ok(belief)
    }

    /// Does a transfer at once, by what is believed of its file.
    fn attempt(&'static self, batch: &mut Batch, checked: &Checked, status: StatusFlags) -> bool {
        self.engines.settle(batch);
        batch.may_sleep();
        self.engines.attempt(&mut batch.pages, &mut batch.pending_signals, checked, status)
    }

    /// Gives a run to the kernel's AIO. What that refuses is looked at here: it is refused here,
    /// too, or done otherwise.
    #[inline]
    fn submit_run(
        &'static self,
        batch: &mut Batch,
        run: &mut Run,
        submitted: &mut usize,
    ) -> Result<()> {
        if run.count == 0 {
            return Ok(());
        }
        self.engines.flush(batch);
        batch.may_sleep();
        while run.count > 0 {
            let taken = self.engines.submit_iocbs(run.count, run.address());
            let count = taken.unwrap_or(0);
            *submitted += count;
            run.pass(count);
            if fork_generation::is_forked() || self.is_dead() {
                batch.pending_signals.note_handler();
                run.count = 0;
                return answer(*submitted, Some(Errno::INVAL)).map(|_| ());
            }
            // What is done already comes before what is done next, also after a refusal.
            self.engines.end_iocbs_in(batch);
            // Why the kernel has left some, it says when it is asked for those alone.
            if count == 0 {
                self.submit_refused(batch, run, taken.err())?;
                *submitted += 1;
                if self.is_over(batch) {
                    run.count = 0;
                }
            }
        }
        Ok(())
    }

    /// The first iocb of a run was refused by the kernel, or there was no room. At an error the
    /// slots of the run are given back.
    #[cold]
    fn submit_refused(
        &'static self,
        batch: &mut Batch,
        run: &mut Run,
        refusal: Option<Errno>,
    ) -> Result<()> {
        batch.forget();
        let entry = run.address();
        run.pass(1);
        let result = self.submit_otherwise(batch, entry);
        if result.is_err() {
            self.completions.ring.unreserve(core::mem::take(&mut run.count));
        }
        if let (Ok(()), Some(refusal)) = (result, refusal) {
            self.engines.note_refusal(refusal);
        }
        result
    }

    /// Submits an iocb that holds a slot and was to go as it is, the one whose address is in the
    /// program's array at `entry`. At an error the slot is given back.
    fn submit_otherwise(&'static self, batch: &mut Batch, entry: usize) -> Result<()> {
        let result = match self.read(&mut batch.pages, entry, false) {
            Ok(checked) if decode::is_poll(&checked.iocb) => {
                let mut polls = Polls::new();
                polls.push(checked);
                return self.submit_polls(batch, &mut polls, &mut 0);
            }
            // What was believed of it may be wrong.
            Ok(checked) => self
                .ask(batch, checked.iocb.fildes, true)
                .and_then(|_| self.submit_one(batch, &checked)),
            Err(error) => Err(error),
        };
        result.inspect_err(|_| self.completions.ring.unreserve(1))
    }

    /// fs/aio.c, io_submit and io_submit_one, up to the slot, for an iocb whose address is in the
    /// program's array at `entry`; `is_first`: at its beginning.
    #[inline(always)]
    pub(super) fn read(&self, pages: &mut Pages, entry: usize, is_first: bool) -> Result<Checked> {
        if is_first && self.has_iocbs_beside_array.load(Ordering::Relaxed) {
            // One question for both pages, which are one; if that was wrong, it is asked again.
            let _ = pages.check_writable(entry, size_of::<usize>());
        }
        // SAFETY: an address.
        let address: usize = unsafe { pages.read(entry) }?;
        let (iocb, key) = pages.read_iocb(address)?;
        if is_first {
            let is_beside = user::is_same_page(entry, address);
            if self.has_iocbs_beside_array.load(Ordering::Relaxed) != is_beside {
                self.has_iocbs_beside_array.store(is_beside, Ordering::Relaxed);
            }
        }
        decode::check_header(&iocb)?;
        Ok(Checked { iocb, address, key })
    }

    /// The same for the iocb at `index`, with the slot.
    #[inline]
    fn accept(&self, batch: &mut Batch, iocbs: usize, index: usize) -> Result<Checked> {
        let entry = iocbs.wrapping_add(index.wrapping_mul(size_of::<usize>()));
        batch.renew();
        let checked = self.read(&mut batch.pages, entry, index == 0)?;
        self.completions.ring.reserve()?;
        Ok(checked)
    }

    /// fs/aio.c, __io_submit_one, for anything but a poll.
    #[inline]
    fn submit_one(&'static self, batch: &mut Batch, checked: &Checked) -> Result<()> {
        let fd = checked.iocb.fildes;
        let status = batch.status(fd)?;
        batch.check_signal(checked, &self.completions.resfds)?;
        user::write_key(checked.address, checked.key)?;
        let task = decode::task(&checked.iocb, status, &mut batch.pages)
            .map_err(|error| order_of_errors(&checked.iocb, error))?;
        let placement = match &task {
            Task::Transfer(transfer) => placement::of_transfer(status, transfer),
            Task::Sync { .. } => match batch.info(fd) {
                Ok(info) => placement::of_sync(fd, &info),
                Err(_) => Placement::Caller,
            },
            Task::Poll { .. } => return Err(Errno::INVAL),
        };
        let started = match placement {
            Placement::Asynchronous => self.start(batch, checked, status, task)?,
            Placement::Caller => Started::Caller(task),
        };
        match started {
            Started::Caller(Task::Transfer(transfer)) => {
                self.engines.transfer_here(batch, checked, status, &transfer)
            }
            Started::Caller(Task::Sync { data_only }) => {
                self.engines.sync_here(batch, checked, data_only)
            }
            Started::Caller(Task::Poll { .. }) | Started::Asynchronous => Ok(()),
        }
    }

    /// Starts an operation on the engine for it.
    fn start(
        &'static self,
        batch: &mut Batch,
        checked: &Checked,
        status: StatusFlags,
        task: Task,
    ) -> Result<Started> {
        let is_transfer = match &task {
            // include/linux/fs.h, kiocb_set_rw_flags.
            Task::Transfer(transfer)
                if transfer.flags.is_nowait() && !batch.has_nowait(checked.iocb.fildes) =>
            {
                return Err(Errno::OPNOTSUPP);
            }
            Task::Transfer(_) => true,
            Task::Sync { .. } | Task::Poll { .. } => false,
        };
        let engine = self.engines.choose(status.is_opened_by_path() || !is_transfer);
        // Callers can look for what the harvester cannot serve, but nobody else signals an eventfd.
        let is_served = !(checked.has_resfd() || self.is_background())
            || engine.background().is_none()
            || self.serve(Source::Engine(engine));
        let engine = match is_served || !checked.has_resfd() {
            true => engine,
            false => self.engines.last_resort(),
        };
        self.engines.start(engine, batch, checked, status, task)
    }
}

/// How an iocb is submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// With other polls.
    Poll,
    /// As it is, with its neighbours.
    AsItIs,
    /// By itself, if the file is what it is believed to be.
    Attempt(StatusFlags),
    /// By itself.
    Other,
}

/// Iocbs that follow each other in the program's array, hold slots, and go to the kernel's AIO.
struct Run {
    /// Address of the array.
    iocbs: usize,
    first: usize,
    count: u32,
}

impl Run {
    fn add(&mut self, index: usize) {
        if self.count == 0 {
            self.first = index;
        }
        self.count += 1;
    }

    /// Where the address of the first iocb is.
    fn address(&self) -> usize {
        self.iocbs.wrapping_add(self.first.wrapping_mul(size_of::<usize>()))
    }

    fn pass(&mut self, count: usize) {
        self.first += count;
        self.count -= count as u32;
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
