//! Which requests wait for which fd, and their registrations with epoll.

use core::cell::UnsafeCell;

use bytemuck::Zeroable;
use libc::{
    EPOLLONESHOT, POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM, S_IFCHR, S_IFIFO,
    S_IFSOCK,
};

use crate::memory::chunked::Chunked;
use crate::poller::hold;
use crate::process::fork_generation;
use crate::request::list::List;
use crate::request::state::Claim;
use crate::request::{Request, Slab, Task};
use crate::sync::Ordering;
use crate::sys::errno::{Errno, Result};
use crate::sys::fd::OwnedFd;
use crate::sys::file_info::{FileInfo, Identity};
use crate::sys::{epoll, fd};
use crate::uring::files::FileTable;

/// What completes every poll: fs/aio.c, aio_poll adds them to the request's mask.
const ALWAYS: u16 = (POLLERR | POLLHUP) as u16;

/// Marks the token of a private registration.
const PRIVATE: u64 = 1 << 63;
/// Marks the token of a process whose end completes a request.
const END: u64 = 1 << 62;
const GENERATION_MASK: u32 = 0x3fff_ffff;

/// The registration of one fd.
#[derive(Debug, Default, Zeroable)]
struct Registration {
    /// Part of the token; changes whenever the registration is armed.
    generation: u32,
    /// The fd was registered before; MOD has a chance.
    is_known: bool,
    /// What the file registered last is: [`UNLOCKED`], [`PIPE`].
    kind: u32,
    /// Which file that is; all-zero: none yet.
    file: Identity,
    /// There were several: which of them MOD finds is not known.
    had_others: bool,
    /// What it is armed for: all that the requests on it wait for, and perhaps what some waited for
    /// that have left. While no request is on it this means nothing.
    events: u16,
    /// Requests that wait for it, the youngest first.
    armed: List,
}

/// A [`Registration`] in the table.
#[derive(Debug, Zeroable)]
struct TableCell(UnsafeCell<Registration>);

// SAFETY: touched under the poller's lock only.
unsafe impl Sync for TableCell {}

/// See the module. All-zero memory is an empty table.
#[derive(Debug, Zeroable)]
pub(super) struct Table {
    places: Chunked<TableCell>,
    /// Requests with a registration of their own.
    private: List,
}

/// What one visit to the table works with, and what it leaves to be completed outside the lock.
pub(super) struct Visit<'a> {
    pub(super) slab: &'a Slab,
    pub(super) files: Option<&'a FileTable>,
    pub(super) epoll: i32,
    /// The bell that is registered with it.
    pub(super) kick: i32,
    /// io_submit looks for what was ready all the time: fs/aio.c, aio_poll, gives only what was
    /// asked for.
    pub(super) is_submission: bool,
    /// Requests that were taken off: to be subtracted from the poller's count.
    pub(super) unlisted: u32,
    /// Claimed requests with a result.
    pub(super) done: List,
}

/// How a request is registered, in [`Request::registration`].
const BY_NUMBER: u32 = 1;
const BY_PIN: u32 = 2;
const HOW: u32 = 3;
/// There, too: the file is held by a slot of the table of files.
pub(super) const IN_TABLE: u32 = 4;
/// There, too: a file that nobody locks, so that its pin needs no care.
pub(super) const UNLOCKED: u32 = 8;
/// There, too: a pipe, whose wake-ups tell more than was asked for.
const PIPE: u32 = 16;

fn number_token(fd: i32, generation: u32) -> u64 {
    u64::from(generation & GENERATION_MASK) << 32 | u64::from(fd as u32)
}

fn private_token(request: &Request) -> u64 {
    PRIVATE | u64::from(request.generation() & GENERATION_MASK) << 32 | u64::from(request.index())
}

/// How often something is tried that another thread may have thwarted.
const MAX_ATTEMPTS: usize = 8;

/// In [`Request::watch`]: the descriptors of the request are those of another process.
const ELSEWHERE: i32 = -2;

/// Watches the calling process for the end of a poll of its signalfd, if it is not the process that
/// waits: a child of clone(CLONE_VM), whose signals go with it.
///
/// fs/signalfd.c, signalfd_cleanup (POLLFREE), and fs/aio.c, aio_poll_wake: the poll completes
/// then. epoll would forget the file.
#[cold]
fn watch_process(visit: &Visit<'_>, fd: i32, request: &Request) {
    if !fork_generation::is_other_process() || !fd::is_link_to(fd, c"anon_inode:[signalfd]") {
        return;
    }
    if !fork_generation::shares_descriptors() {
        // Pin and epoll go with the process, and their fds mean nothing to the one that waits;
        // it finds its epoll missing.
        let _ = request.unpin().map(OwnedFd::into_raw);
        hold::empty_slot(visit.files, request);
        request.watch.set(Some(ELSEWHERE), Ordering::Relaxed);
        return;
    }
    if let Ok(process) = fd::own_process()
        && let token = private_token(request) | END
        && epoll::add(visit.epoll, process.raw(), libc::EPOLLIN as u32, token).is_ok()
    {
        request.watch.set(Some(process.into_raw()), Ordering::Relaxed);
    }
}

fn wanted(request: &Request) -> u16 {
    match request.work().map(|work| &work.task) {
        Some(Task::Poll { events }) => *events | ALWAYS,
        _ => 0,
    }
}

fn one_shot(events: u16) -> u32 {
    u32::from(events) | EPOLLONESHOT as u32
}

/// [`BY_NUMBER`], [`BY_PIN`], or 0: not registered.
fn how(request: &Request) -> u32 {
    request.registration.load(Ordering::Relaxed) & HOW
}

/// Notes how a request is registered, beside how its file is held.
fn note(request: &Request, registration: u32) {
    let held = request.registration.load(Ordering::Relaxed) & IN_TABLE;
    request.registration.store(registration | held, Ordering::Relaxed);
}

/// Whether two descriptors are the same open file.
fn is_same_file(a: i32, b: i32) -> bool {
    fd::is_same_file(a, b) == Ok(true)
}

fn fd(request: &Request) -> i32 {
    request.work().map_or(-1, |work| work.fd)
}

impl Registration {
    /// What the requests on it wait for, together.
    fn wanted(&self, slab: &Slab) -> u16 {
        let mut events = 0;
        let mut next = self.armed.first(slab);
        while let Some(request) = next {
            events |= wanted(request);
            next = self.armed.next(slab, request);
        }
        events
    }

    /// Whether its fd still means the file of the requests on it.
    fn is_current(&self, visit: &Visit<'_>, fd: i32) -> bool {
        // The oldest: it stays the same while others come.
        let Some(oldest) = self.armed.last(visit.slab) else { return false };
        hold::give_pin(visit.files, oldest).is_ok()
            && oldest.pin().is_some_and(|pin| is_same_file(pin, fd))
    }

    /// Notes what was registered just now.
    fn note(&mut self, (kind, file): (u32, Identity)) {
        self.kind = kind;
        self.had_others |= self.file != file && self.file != Identity::default();
        self.file = file;
    }

    /// For the next time it is armed. To be stored once the kernel has it.
    fn next_generation(&self) -> u32 {
        // Never 0: `epoll::MARK` would be the token of fd 0.
        (self.generation.wrapping_add(1) & GENERATION_MASK).max(1)
    }
}

impl Table {
    fn place(&mut self, fd: i32) -> Option<&mut Registration> {
        let place = self.places.get(fd.unsigned_abs())?;
        // SAFETY: the lock is held, as `&mut self` shows, and the borrow ends with it.
        Some(unsafe { &mut *place.0.get() })
    }

    /// Registers a poll. The errors are those of `Poller::arm`.
    pub(super) fn register(&mut self, visit: &Visit<'_>, request: &Request) -> Result<()> {
        let fd = fd(request);
        self.places.reserve(fd.unsigned_abs()).map_err(|_| Errno::AGAIN)?;
        let place = self.place(fd).ok_or(Errno::AGAIN)?;
        // Not the walk of `Registration::wanted`: each of many polls on one file would make it.
        let mut events = wanted(request);
        if !place.armed.is_empty() {
            if !place.is_current(visit, fd) {
                return self.register_private(visit, request);
            }
            events |= place.events;
        }
        let bits = one_shot(events);
        let generation = place.next_generation();
        let token = number_token(fd, generation);
        let changed = match place.is_known {
            true => epoll::modify(visit.epoll, fd, bits, token),
            false => Err(Errno::NOENT),
        };
        if changed.is_err() {
            if !place.armed.is_empty() {
                // The fd has changed just now: the others keep what they have.
                return self.register_private(visit, request);
            }
            place.note(add_checked(visit.epoll, fd, bits, token)?);
            watch_process(visit, fd, request);
        }
        // To find it again if the program closes what holds it.
        match request.pin() {
            Some(pin) if place.had_others => {
                request.set_file(Identity::of(pin).unwrap_or_default())
            }
            None if place.had_others => {}
            _ => request.set_file(place.file),
        }
        place.generation = generation;
        place.events = events;
        place.is_known = true;
        place.armed.push_front(visit.slab, request);
        note(request, BY_NUMBER | place.kind);
        Ok(())
    }

    fn register_private(&mut self, visit: &Visit<'_>, request: &Request) -> Result<()> {
        hold::give_pin(visit.files, request)?;
        let pin = request.pin().ok_or(Errno::BADF)?;
        let bits = one_shot(wanted(request));
        let (kind, file) = add_checked(visit.epoll, pin, bits, private_token(request))?;
        request.set_file(file);
        self.private.push_front(visit.slab, request);
        note(request, BY_PIN | kind);
        Ok(())
    }

    /// Takes a claimed request off its list.
    pub(super) fn unlist(&mut self, visit: &mut Visit<'_>, request: &Request) {
        let how = how(request);
        let held = request.registration.load(Ordering::Relaxed) & !HOW;
        request.registration.store(held, Ordering::Relaxed);
        match how {
            BY_NUMBER => {
                // The registration stays armed. It fires for nobody at worst.
                if let Some(place) = self.place(fd(request)) {
                    place.armed.remove(visit.slab, request);
                }
            }
            BY_PIN => {
                self.private.remove(visit.slab, request);
                // The program may have the file open elsewhere: closing the pin would not do.
                if let Some(pin) = request.pin() {
                    let _ = epoll::delete(visit.epoll, pin);
                }
            }
            _ => return,
        }
        if request.watch.get(Ordering::Relaxed).is_some()
            && let Some(watch @ 0..) = request.watch.replace(None, Ordering::Relaxed)
        {
            fd::close(watch);
        }
        visit.unlisted += 1;
    }

    /// Sorts one event of the epoll.
    pub(super) fn fire(&mut self, visit: &mut Visit<'_>, token: u64, events: u16) {
        if token == epoll::MARK {
            return;
        }
        let generation = (token >> 32) as u32 & GENERATION_MASK;
        if token & PRIVATE != 0 {
            let Some(request) = visit.slab.get(token as u32) else { return };
            let is_alive = request.generation() & GENERATION_MASK == generation;
            let registration = how(request);
            if token & END != 0 {
                if is_alive && registration != 0 {
                    self.complete_with(visit, request, i64::from(POLLHUP));
                }
                return;
            }
            let is_current = is_alive && registration == BY_PIN;
            if is_current && !self.finish(visit, request, events) {
                let pin = request.pin().unwrap_or(-1);
                let bits = one_shot(wanted(request));
                if epoll::modify(visit.epoll, pin, bits, token).is_err() {
                    // The program has closed the pin.
                    self.private.remove(visit.slab, request);
                    self.privatise(visit, request);
                }
            }
            return;
        }
        let fd = token as u32 as i32;
        let Some(place) = self.place(fd) else { return };
        if place.generation != generation {
            return;
        }
        // All that wait on one file are woken by one event, the youngest first, as the kernel's
        // wait queues do.
        let list = place.armed;
        let mut next = list.first(visit.slab);
        while let Some(request) = next {
            next = list.next(visit.slab, request);
            self.finish(visit, request, events);
        }
        if self.place(fd).is_some_and(|place| !place.armed.is_empty()) {
            self.arm_rest(visit, fd);
        }
    }

    /// Claims a request if `events` completes it.
    fn finish(&mut self, visit: &mut Visit<'_>, request: &Request, events: u16) -> bool {
        // divergence: a wake-up with a key gives the whole key in the kernel, here only with pipes;
        // and it counts even if the data is gone when somebody looks.
        let result = events & wanted(request);
        let is_pipe = request.registration.load(Ordering::Relaxed) & PIPE != 0;
        let key = if is_pipe && !visit.is_submission { key_of_pipe(result) } else { 0 };
        result != 0 && self.complete_with(visit, request, i64::from(result | key))
    }

    /// Claims a request with a result.
    fn complete_with(&mut self, visit: &mut Visit<'_>, request: &Request, result: i64) -> bool {
        if request.state.claim() == Claim::Lost {
            return false;
        }
        request.set_result(result);
        self.unlist(visit, request);
        visit.done.push_back(visit.slab, request);
        true
    }

    /// Arms an fd again for requests that the last event did not complete.
    #[cold]
    fn arm_rest(&mut self, visit: &mut Visit<'_>, fd: i32) {
        let Some(place) = self.place(fd) else { return };
        if place.is_current(visit, fd) {
            let events = place.wanted(visit.slab);
            let generation = place.next_generation();
            let token = number_token(fd, generation);
            if epoll::modify(visit.epoll, fd, one_shot(events), token).is_ok() {
                place.generation = generation;
                place.events = events;
                return;
            }
        }
        self.make_private(visit, fd);
    }

    /// Gives each request on an fd a registration of its own, since the fd means another
    /// file.
    fn make_private(&mut self, visit: &mut Visit<'_>, fd: i32) {
        while let Some(place) = self.place(fd) {
            let Some(request) = place.armed.first(visit.slab) else { return };
            place.armed.remove(visit.slab, request);
            self.privatise(visit, request);
        }
    }

    /// Gives an armed request that is on no list a registration of its own. If the program has
    /// closed its pin as well, and its own fd does not mean the file any more, it ends with
    /// EBADF.
    fn privatise(&mut self, visit: &mut Visit<'_>, request: &Request) {
        let mut result = Err(Errno::BADF);
        for _ in 0..MAX_ATTEMPTS {
            result = hold::secure(request).and_then(|()| self.register_private(visit, request));
            if result.is_ok() || !epoll::is_intact(visit.epoll, visit.kick) {
                break;
            }
        }
        if let Err(error) = result {
            // On the list all the same, for `complete_with` to take it off, or `rebuild` to try again.
            self.private.push_front(visit.slab, request);
            note(request, BY_PIN);
            if !epoll::is_intact(visit.epoll, visit.kick) {
                return;
            }
            let result = match request.watch.get(Ordering::Relaxed) {
                Some(ELSEWHERE) => i64::from(POLLHUP),
                _ => error.to_res(),
            };
            self.complete_with(visit, request, result);
        }
    }

    /// Registers everything with a new epoll instance: the program has closed the old one, and
    /// perhaps what held the files.
    pub(super) fn rebuild(&mut self, visit: &mut Visit<'_>) {
        let mut fds = Vec::new();
        self.places.for_each(|fd, place| {
            // SAFETY: the lock is held, and no other borrow of the registration exists here.
            let registration = unsafe { &mut *place.0.get() };
            registration.is_known = false;
            if !registration.armed.is_empty() {
                fds.push(fd as i32);
            }
        });
        let mut rest = core::mem::replace(&mut self.private, List::EMPTY);
        while let Some(request) = rest.first(visit.slab) {
            rest.remove(visit.slab, request);
            self.privatise(visit, request);
        }
        for fd in fds {
            if !self.renew(visit, fd) {
                self.make_private(visit, fd);
            }
        }
    }

    /// Registers an fd with a new epoll instance for the requests on it. False: it does not mean
    /// their file any more.
    fn renew(&mut self, visit: &Visit<'_>, fd: i32) -> bool {
        let Some(place) = self.place(fd) else { return false };
        let mut next = place.armed.first(visit.slab);
        while let Some(request) = next {
            if hold::secure(request).is_err() {
                return false;
            }
            next = place.armed.next(visit.slab, request);
        }
        if !place.is_current(visit, fd) {
            return false;
        }
        let events = place.wanted(visit.slab);
        let generation = place.next_generation();
        let token = number_token(fd, generation);
        let Ok(what) = add_checked(visit.epoll, fd, one_shot(events), token) else { return false };
        place.note(what);
        place.generation = generation;
        place.events = events;
        place.is_known = true;
        true
    }

    /// Unmaps the table. No request is armed.
    pub(super) fn clear(&mut self) {
        // SAFETY: the lock is held, and nobody looks at a registration without it.
        unsafe { self.places.clear() };
    }
}

/// What a pipe's wake-up says besides: fs/pipe.c, pipe_write and pipe_read.
fn key_of_pipe(events: u16) -> u16 {
    let normal =
        |event: i16, normal: i16| if events & event as u16 != 0 { normal as u16 } else { 0 };
    normal(POLLIN, POLLRDNORM) | normal(POLLOUT, POLLWRNORM)
}

/// Registers an fd that is not registered, unless fs/aio.c, aio_poll would refuse the file.
/// Tells what it is: [`UNLOCKED`] for sockets and objects of the kernel, which nobody locks;
/// [`PIPE`].
fn add_checked(epoll: i32, fd: i32, bits: u32, token: u64) -> Result<(u32, Identity)> {
    // A file with two wait queues fails there once it is not ready at once: pipes open for both
    // directions, terminals.
    let info = FileInfo::of(fd)?;
    let has_two_queues = match info.kind {
        S_IFIFO => fd::status_flags(fd)?.is_read_write(),
        S_IFCHR => fd::is_tty(fd),
        _ => false,
    };
    if has_two_queues {
        return Err(Errno::INVAL);
    }
    let kind = match info.kind {
        0 | S_IFSOCK => UNLOCKED,
        S_IFIFO => PIPE,
        _ => 0,
    };
    let what = (kind, info.identity);
    // Somebody else may close or replace the fd at any time: either call may find it changed.
    for _ in 0..MAX_ATTEMPTS {
        match epoll::add(epoll, fd, bits, token) {
            Err(Errno::EXIST) => match epoll::modify(epoll, fd, bits, token) {
                Err(Errno::NOENT) => {}
                result => return result.map(|()| what),
            },
            Ok(()) => return Ok(what),
            Err(Errno::BADF) => return Err(Errno::BADF),
            // A sandbox: nothing is known of the file.
            Err(error) if epoll::is_refused(error) => return Err(Errno::AGAIN),
            // EPERM: the file is always ready, and was not for this mask. ELOOP: too many epolls
            // inside each other.
            Err(Errno::PERM | Errno::INVAL | Errno::LOOP) => return Err(Errno::INVAL),
            // ENOMEM, or ENOSPC: the user's limit of registrations.
            Err(_) => return Err(Errno::AGAIN),
        }
    }
    Err(Errno::AGAIN)
}

#[cfg(test)]
mod tests;
