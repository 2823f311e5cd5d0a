//! What one call of io_submit remembers from iocb to iocb.

use libc::timespec;

use crate::aio_abi::{Event, IOCB_FLAG_RESFD, Iocb};
use crate::completion::Completions;
use crate::completion::waiters::{Errand, Waiters};
use crate::engine::inline;
use crate::engine::stream::{Desk, PendingSignals};
use crate::engine::uring::SubmitBatch;
use crate::files::holds::{Holds, Share, Source};
use crate::files::pins::{self, Pin};
use crate::files::resfd::{EventfdRef, Resfd, Resfds};
use crate::memory::user::{KeyAccess, Pages};
use crate::process::fork_gate::{self, Section};
use crate::process::fork_generation;
use crate::request::{Request, Task, Work};
use crate::sys::clock;
use crate::sys::cred::Credentials;
use crate::sys::errno::{Errno, Result};
use crate::sys::fd::{self, StatusFlags};
use crate::sys::file_info::{FileInfo, Identity};

/// How many files are remembered.
const MAX_FILES: usize = 4;
/// What takes longer than this may have slept, in nanoseconds: two threads had their turns
/// meanwhile.
const MIN_SLEEP: i64 = 5_000;
/// How long something that was asked is believed without a sleep.
const MAX_AGE: i64 = 50_000;

/// An iocb that has passed the checks before the look-up of its file, and holds a slot.
#[derive(Clone, Copy)]
pub struct Checked {
    pub iocb: Iocb,
    pub address: usize,
    pub key: KeyAccess,
}

impl Checked {
    pub fn event(&self, res: i64) -> Event {
        Event { data: self.iocb.data, obj: self.address as u64, res, res2: 0 }
    }

    pub fn has_resfd(&self) -> bool {
        self.iocb.flags & IOCB_FLAG_RESFD != 0
    }

    /// Makes a request of it: see [`Completions::begin`].
    pub fn begin(
        &self,
        completions: &'static Completions,
        resfd: Option<Resfd>,
        task: Task,
    ) -> Result<&'static Request> {
        let fd = self.iocb.fildes;
        let work = Work { data: self.iocb.data, iocb: self.address, fd, task };
        completions.begin(work, resfd)
    }
}

/// A descriptor that was looked up.
#[derive(Clone, Copy)]
struct File {
    fd: i32,
    status: StatusFlags,
    info: Option<FileInfo>,
    /// Whether RWF_NOWAIT is for it.
    has_nowait: Option<bool>,
}

/// An eventfd, held from the look-up of its fd on.
struct Target {
    fd: i32,
    /// None: no descriptor is free.
    resfd: Option<Resfd>,
    /// The fd has been looked up since the batch has slept.
    is_current: bool,
}

/// See the module.
pub struct Batch {
    pub pages: Pages,
    pub pending_signals: PendingSignals,
    pub(super) queue: SubmitBatch,
    /// The descriptor whose iocbs go to an engine as they are, as was found out last.
    pub known: Option<i32>,
    /// The last eventfd.
    signal: Option<Target>,
    /// When what is known was asked, at the latest.
    since: timespec,
    /// The last look at the clock.
    looked: timespec,
    /// Something was done that may have taken long.
    may_have_slept: bool,
    credentials: Option<Credentials>,
    /// Requests are on the queue, and nobody has been called for them.
    pub(super) has_queued: bool,
    files: [Option<File>; MAX_FILES],
    next_file: usize,
    /// Pins that requests of the batch share, by the program's descriptors.
    holds: [Option<(i32, Share)>; MAX_FILES],
    /// The descriptors may mean other files by now.
    are_pins_old: bool,
}

impl Batch {
    /// For up to `nr` iocbs; `pages`: what is known of the program's memory.
    #[inline]
    pub fn new(nr: usize, pages: Pages) -> Batch {
        // A single iocb has no use for it.
        let now = if nr > 1 { clock::now() } else { timespec { tv_sec: 0, tv_nsec: 0 } };
        Batch {
            pages,
            pending_signals: PendingSignals::default(),
            queue: SubmitBatch::new(),
            known: None,
            signal: None,
            since: now,
            looked: now,
            may_have_slept: false,
            credentials: None,
            has_queued: false,
            files: [None; MAX_FILES],
            next_file: 0,
            holds: [None; MAX_FILES],
            are_pins_old: false,
        }
    }

    /// Before an iocb: forgets what was asked before a sleep, and what was asked too long ago. The
    /// kernel asks for each iocb when it comes to it.
    ///
    /// Any read or write may sleep, for a page of its buffer at least; the clock tells.
    ///
    /// divergence: what another thread does without that is noticed when it is too old.
    #[inline]
    pub fn renew(&mut self) {
        let has_slept = self.pending_signals.take_slept();
        if !core::mem::take(&mut self.may_have_slept) {
            return;
        }
        let now = clock::now();
        let is_old = clock::between(&self.looked, &now) > MIN_SLEEP
            || clock::between(&self.since, &now) > MAX_AGE;
        self.looked = now;
        if has_slept || is_old {
            self.forget();
        }
    }

    /// Whether the file behind a descriptor has FMODE_NOWAIT, asked for once in a batch.
    #[cold]
    pub fn has_nowait(&mut self, fd: i32) -> bool {
        let ask = || !inline::refuses_nowait(fd);
        match self.files.iter_mut().flatten().find(|file| file.fd == fd) {
            Some(file) => *file.has_nowait.get_or_insert_with(ask),
            None => ask(),
        }
    }

    /// Something is about to be done that may take long.
    #[inline]
    pub fn may_sleep(&mut self) {
        self.may_have_slept = true;
    }

    /// Forgets what was asked.
    #[cold]
    pub fn forget(&mut self) {
        self.pages = Pages::new();
        self.known = None;
        self.files = [None; MAX_FILES];
        self.are_pins_old = true;
        self.credentials = None;
        if let Some(target) = &mut self.signal {
            target.is_current = false;
        }
        self.since = self.looked;
    }

    /// The status flags of an iocb's file: EBADF. They are asked for once in a batch: what another
    /// thread changes meanwhile might as well have come later.
    #[inline]
    pub fn status(&mut self, fd: i32) -> Result<StatusFlags> {
        if let Some(file) = self.files.iter().flatten().find(|file| file.fd == fd) {
            return Ok(file.status);
        }
        let status = fd::status_flags(fd)?;
        if let Some(place) = self.files.get_mut(self.next_file % MAX_FILES) {
            *place = Some(File { fd, status, info: None, has_nowait: None });
            self.next_file += 1;
        }
        Ok(status)
    }

    /// Which file is behind a descriptor, asked for once in a batch.
    pub fn identity(&mut self, fd: i32) -> Option<Identity> {
        self.info(fd).ok().map(|info| info.identity)
    }

    /// The same, and what it is.
    pub fn info(&mut self, fd: i32) -> Result<FileInfo> {
        match self.files.iter_mut().flatten().find(|file| file.fd == fd) {
            Some(File { info: Some(info), .. }) => Ok(*info),
            Some(file) => FileInfo::of(fd).inspect(|info| file.info = Some(*info)),
            None => FileInfo::of(fd),
        }
    }

    /// A file may have another size now.
    pub fn forget_sizes(&mut self) {
        for file in self.files.iter_mut().flatten() {
            file.info = None;
        }
    }

    /// A share of the pin that the batch has of a file for all its requests; `source`: what was
    /// seen a moment before.
    pub fn hold(&mut self, holds: &Holds, source: &Source, section: &Section) -> Result<Share> {
        let is_it = |(held, _): &&(i32, Share)| *held == source.fd;
        if let Some((_, share)) = self.holds.iter().flatten().find(is_it) {
            return Ok(holds.share(share));
        }
        let share = match holds.find(source, section) {
            Some(share) => share,
            None => pin(holds, source, section)?,
        };
        match self.holds.iter_mut().find(|place| place.is_none()) {
            Some(place) => {
                *place = Some((source.fd, share));
                Ok(holds.share(&share))
            }
            // It is for one request.
            None => Ok(share),
        }
    }

    /// Gives up the batch's own shares of pins, if their descriptors may mean other files by now.
    pub fn let_old_pins_go(&mut self, holds: &Holds) {
        if self.holds.iter().all(Option::is_none) {
            return;
        }
        self.looked = clock::now();
        if clock::between(&self.since, &self.looked) > MAX_AGE {
            self.forget();
        }
        if core::mem::take(&mut self.are_pins_old) {
            self.release_pins(holds);
        }
    }

    /// Gives up the batch's own shares of pins.
    pub fn release_pins(&mut self, holds: &Holds) {
        if self.holds.iter().all(Option::is_none) {
            return;
        }
        if fork_generation::is_forked() {
            // A handler has forked, and this is the child, which has closed them.
            self.holds = [None; MAX_FILES];
        }
        for (_, share) in self.holds.iter_mut().filter_map(Option::take) {
            holds.release(share);
        }
    }

    /// Looks up and holds the eventfd of an iocb, if it has one: EBADF, EINVAL.
    #[inline]
    pub fn check_signal(&mut self, checked: &Checked, resfds: &Resfds) -> Result<()> {
        if checked.has_resfd() { self.look_up(checked.iocb.resfd, resfds) } else { Ok(()) }
    }

    fn look_up(&mut self, fd: i32, resfds: &Resfds) -> Result<()> {
        if self.signal.as_ref().is_some_and(|known| known.fd == fd && known.is_current) {
            return Ok(());
        }
        let resfd = match resfds.acquire(fd, &fork_gate::enter()) {
            Ok(resfd) => Some(resfd),
            Err(Errno::AGAIN) => {
                EventfdRef::to_number(fd)?;
                None
            }
            Err(error) => return Err(error),
        };
        let before = self.signal.replace(Target { fd, resfd, is_current: true });
        if let Some(resfd) = before.and_then(|target| target.resfd) {
            resfds.release(resfd);
        }
        Ok(())
    }

    /// What is to be done if a handler jumps out of the transfer of an iocb.
    #[inline]
    pub fn set_desk(&mut self, checked: &Checked, waiters: &'static Waiters) {
        let resfd = self.signal.as_ref().and_then(|target| target.resfd.as_ref());
        let errand = Errand {
            data: checked.iocb.data,
            iocb: checked.address as u64,
            done: 0,
            resfd: resfd.map(Resfd::to_note).unwrap_or_default(),
            is_signalled: checked.has_resfd(),
        };
        self.pending_signals.desk = Some(Desk { waiters, errand });
    }

    /// The eventfd that [`Batch::check_signal`] has found, for an event that is posted now.
    pub fn signal(&self, checked: &Checked) -> Option<EventfdRef> {
        let target = self.signal.as_ref().filter(|_| checked.has_resfd())?;
        match &target.resfd {
            Some(resfd) => Some(resfd.signal()),
            // It could not be held: it counts if it is still there.
            None => EventfdRef::to_number(target.fd).ok(),
        }
    }

    /// The same for an event that comes later. EAGAIN: no descriptor is free.
    pub fn share_signal(
        &self,
        checked: &Checked,
        resfds: &Resfds,
        section: &Section,
    ) -> Result<Option<Resfd>> {
        match self.signal.as_ref().filter(|_| checked.has_resfd()) {
            Some(Target { resfd: Some(resfd), .. }) => resfds.share(resfd, section).map(Some),
            Some(_) => Err(Errno::AGAIN),
            None => Ok(None),
        }
    }

    /// The batch is over: sends what is due, lets go of what is held.
    #[inline]
    pub fn end(&mut self, resfds: &Resfds) {
        self.pending_signals.end();
        if let Some(resfd) = self.signal.take().and_then(|target| target.resfd) {
            resfds.release(resfd);
        }
    }

    /// The credentials that a worker has to use.
    pub fn credentials(&mut self) -> Credentials {
        *self.credentials.get_or_insert_with(Credentials::current)
    }
}

/// A new pin of the file behind a descriptor, to be shared.
fn pin(holds: &Holds, source: &Source, section: &Section) -> Result<Share> {
    let pin = Pin::new(pins::duplicate(source.fd)?);
    let file = pins::look(pin.raw(), source.fd, source.file).map(|info| info.identity);
    let now = clock::nanoseconds(&clock::now());
    holds.begin(pin.into_inner().ok_or(Errno::BADF)?, Source { file, ..*source }, now, section)
}
