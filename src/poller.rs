//! Polls that wait for readiness, on epoll.
//!
//! A context has one epoll instance, made for its first poll that is not ready. The program's own
//! descriptor numbers are registered, one-shot, and the registration is kept for the next poll on
//! the same number: changing it (MOD) costs a fraction of making a new one. The file itself is
//! pinned by a duplicate while a poll is armed, so that close() neither loses the poll nor shows the
//! peer an end of file.
//!
//! A number may come to mean another file at any time, so a kept registration is never trusted:
//! - MOD on a number whose file is not registered fails with ENOENT: then ADD.
//! - Polls that are armed at the same time share the registration of their number only if kcmp says
//!   that the number still means their file. A poll that must not share is registered under the
//!   number of its own pin (*private*), which nobody else can take over.
//! - A registration that cannot be reached any more may fire once. Its token is out of date, and
//!   the event is dropped.
//!
//! Events are harvested by threads in io_getevents; or by the reaper, once the poller is in
//! background mode.
//!
//! divergence: epoll forgets a signalfd whose process is gone (POLLFREE); its polls stay pending,
//! where the kernel's AIO completes them.
//!
//! *Locks*: `table` protects registrations and the lists of armed requests. A request is claimed
//! under it and completed after it is released. epoll_ctl does not block.

use core::cell::UnsafeCell;
use core::ptr;

use libc::{
    EPOLLONESHOT, POLLERR, POLLHUP, S_IFCHR, S_IFIFO, S_IFMT, epoll_event, pollfd, timespec,
};

use crate::completion::Completions;
use crate::request::list::List;
use crate::request::state::Claim;
use crate::request::{Request, Slab, Task};
use crate::stable::{Stable, Zeroed};
use crate::sync::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, Guard, Lock, Ordering, fence};
use crate::sys::errno::{Errno, Result};
use crate::sys::fd::{self, OwnedFd};
use crate::sys::poll::SigSet;
use crate::sys::{epoll, futex, poll};

/// What completes every poll: fs/aio.c, aio_poll adds them to the request's mask.
const ALWAYS: u16 = (POLLERR | POLLHUP) as u16;

/// Marks the token of a private registration.
const PRIVATE: u64 = 1 << 63;
const GENERATION_MASK: u32 = 0x7fff_ffff;

/// The registration of one descriptor number.
#[derive(Debug, Default)]
struct Registration {
    /// Part of the token; changes whenever the registration is armed.
    generation: u32,
    /// The number was registered before; MOD has a chance.
    is_known: bool,
    /// Requests that wait for it, the youngest first.
    armed: List,
}

/// A [`Registration`] in the table.
#[derive(Debug)]
struct Place(UnsafeCell<Registration>);

// SAFETY: touched under the poller's lock only.
unsafe impl Sync for Place {}
// SAFETY: integers, a bool and a list allow zero.
unsafe impl Zeroed for Place {}

#[derive(Debug)]
struct Table {
    places: Stable<Place>,
    /// Requests with a registration of their own.
    private: List,
}

/// See the module.
#[derive(Debug)]
pub struct Poller {
    /// Descriptor + 1; 0 before the first poll.
    epoll: AtomicI32,
    /// Eventfd that gets the leading waiter out of its sleep; descriptor + 1.
    kick: AtomicI32,
    table: Lock<Table, true>,
    /// Polls that are armed.
    armed: AtomicU32,
    /// A waiter sleeps on the epoll.
    is_led: AtomicBool,
    /// The reaper harvests.
    is_background: AtomicBool,
    /// Threads of the reaper inside, and [`SHUT`].
    visitors: AtomicU32,
    completions: AtomicPtr<Completions>,
}

/// No reaper may come in.
const SHUT: u32 = 1 << 31;

/// How a request is registered, in [`Request::registration`].
const BY_NUMBER: u32 = 1;
const BY_PIN: u32 = 2;

fn number_token(fd: i32, generation: u32) -> u64 {
    u64::from(generation & GENERATION_MASK) << 32 | u64::from(fd as u32)
}

fn private_token(request: &Request) -> u64 {
    PRIVATE | u64::from(request.generation() & GENERATION_MASK) << 32 | u64::from(request.index())
}

fn wanted(request: &Request) -> u16 {
    match request.work().map(|work| &work.task) {
        Some(Task::Poll { events, .. }) => *events | ALWAYS,
        _ => 0,
    }
}

fn number(request: &Request) -> i32 {
    match request.work().map(|work| &work.task) {
        Some(Task::Poll { fd, .. }) => *fd,
        _ => -1,
    }
}

impl Table {
    /// The registration of a number.
    fn place(&mut self, fd: i32) -> Result<&mut Registration> {
        let place = self.places.reserve(fd.unsigned_abs()).map_err(|_| Errno::AGAIN)?;
        // SAFETY: the lock is held, as `&mut self` shows, and the borrow ends with it.
        Ok(unsafe { &mut *place.0.get() })
    }

    fn known_place(&mut self, fd: i32) -> Option<&mut Registration> {
        let place = self.places.get(fd.unsigned_abs())?;
        // SAFETY: as in `place`.
        Some(unsafe { &mut *place.0.get() })
    }
}

impl Poller {
    /// A poller that never polled.
    pub const fn new() -> Poller {
        Poller {
            epoll: AtomicI32::new(0),
            kick: AtomicI32::new(0),
            table: Lock::new(Table { places: Stable::new(), private: List::EMPTY }),
            armed: AtomicU32::new(0),
            is_led: AtomicBool::new(false),
            is_background: AtomicBool::new(false),
            visitors: AtomicU32::new(SHUT),
            completions: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Says where the events go.
    pub fn open(&self, completions: &'static Completions) {
        self.completions.store(ptr::from_ref(completions).cast_mut(), Ordering::Relaxed);
        self.is_background.store(false, Ordering::Relaxed);
    }

    fn completions(&self) -> &'static Completions {
        // SAFETY: `open` came before the first request and stored a `&'static`.
        unsafe { &*self.completions.load(Ordering::Relaxed) }
    }

    fn slab(&self) -> &'static Slab {
        &self.completions().slab
    }

    /// Descriptor of the epoll instance, if there is one.
    pub fn epoll(&self) -> Option<i32> {
        // Acquire: pairs with the Release in `prepare`: the eventfd is there as well.
        self.epoll.load(Ordering::Acquire).checked_sub(1).filter(|fd| *fd >= 0)
    }

    /// Whether callers of io_getevents have to look for ready polls.
    #[inline]
    pub fn needs_harvest(&self) -> bool {
        // SeqCst: a waiter that joined the list before it looks here is seen by `arm`, or sees the
        // poll; see `Waiters::wake_one_to_lead`.
        self.armed.load(Ordering::SeqCst) != 0 && !self.is_background()
    }

    /// Whether the reaper harvests.
    pub fn is_background(&self) -> bool {
        self.is_background.load(Ordering::Relaxed)
    }

    /// From here on the reaper harvests.
    pub fn set_background(&self) {
        self.visitors.fetch_and(!SHUT, Ordering::Relaxed);
        self.is_background.store(true, Ordering::Relaxed);
    }

    /// Harvests for the reaper, unless [`Poller::shut`] came first.
    pub fn visit(&self) {
        // Acquire: pairs with the Release of the `open` that made this poller usable.
        if self.visitors.fetch_add(1, Ordering::Acquire) & SHUT == 0 {
            self.harvest();
        }
        // Release: our harvest is over for who waits in `shut`.
        if self.visitors.fetch_sub(1, Ordering::Release) == SHUT + 1 {
            futex::wake(&self.visitors, u32::MAX);
        }
    }

    /// Keeps the reaper out and waits until it has left.
    pub fn shut(&self) {
        // AcqRel: pairs with both sides of `visit`.
        let mut visitors = self.visitors.fetch_or(SHUT, Ordering::AcqRel) | SHUT;
        while visitors != SHUT {
            futex::wait(&self.visitors, visitors);
            // Acquire: pairs with the Release in `visit`.
            visitors = self.visitors.load(Ordering::Acquire);
        }
        self.is_background.store(false, Ordering::Relaxed);
    }

    /// Makes the epoll instance if there is none. EAGAIN: no descriptor or memory.
    pub fn prepare(&self) -> Result<i32> {
        if let Some(epoll) = self.epoll() {
            return Ok(epoll);
        }
        let _table = self.table.lock();
        if let Some(epoll) = self.epoll() {
            return Ok(epoll);
        }
        let epoll = epoll::create().map_err(|_| Errno::AGAIN)?;
        let kick = fd::eventfd().map_err(|_| Errno::AGAIN)?;
        let number = epoll.into_raw();
        self.kick.store(kick.into_raw() + 1, Ordering::Relaxed);
        // Release: pairs with the Acquire in `epoll`.
        self.epoll.store(number + 1, Ordering::Release);
        Ok(number)
    }

    /// Arms a poll whose file is pinned.
    ///
    /// EBADF: the number is not open any more; EINVAL: such a file cannot be waited for, as in
    /// fs/aio.c, aio_poll; EAGAIN: no memory. The request is on no list then.
    pub fn arm(&self, request: &Request) -> Result<()> {
        let epoll = self.prepare()?;
        {
            let mut table = self.table.lock();
            // SeqCst: see `needs_harvest`. Before the registration, which may fire at once.
            self.armed.fetch_add(1, Ordering::SeqCst);
            let registered = self.register(&mut table, epoll, request);
            if let Err(error) = registered {
                self.armed.fetch_sub(1, Ordering::Relaxed);
                return Err(error);
            }
            request.state.arm();
        }
        self.find_leader();
        Ok(())
    }

    fn register(
        &self,
        table: &mut Guard<'_, Table, true>,
        epoll: i32,
        request: &Request,
    ) -> Result<()> {
        let slab = self.slab();
        let fd = number(request);
        let place = table.place(fd)?;
        let mut events = wanted(request);
        if let Some(other) = place.armed.first(slab) {
            let is_same = other.pin().is_some_and(|pin| fd::is_same_file(pin, fd) == Ok(true));
            if !is_same {
                return self.register_private(table, epoll, request);
            }
            let mut next = Some(other);
            while let Some(request) = next {
                events |= wanted(request);
                next = place.armed.next(slab, request);
            }
        }
        place.generation = place.generation.wrapping_add(1) & GENERATION_MASK;
        let token = number_token(fd, place.generation);
        let bits = u32::from(events) | EPOLLONESHOT as u32;
        let result = match place.is_known {
            true => epoll::modify(epoll, fd, bits, token),
            false => Err(Errno::NOENT),
        };
        match result {
            Err(Errno::NOENT) => add_checked(epoll, fd, bits, token)?,
            result => result?,
        }
        place.is_known = true;
        place.armed.push_front(slab, request);
        request.registration.store(BY_NUMBER, Ordering::Relaxed);
        Ok(())
    }

    fn register_private(
        &self,
        table: &mut Guard<'_, Table, true>,
        epoll: i32,
        request: &Request,
    ) -> Result<()> {
        let pin = request.pin().ok_or(Errno::BADF)?;
        let bits = u32::from(wanted(request)) | EPOLLONESHOT as u32;
        add_checked(epoll, pin, bits, private_token(request))?;
        table.private.push_front(self.slab(), request);
        request.registration.store(BY_PIN, Ordering::Relaxed);
        Ok(())
    }

    /// Claims a poll that has not fired. The caller holds a reference and no lock.
    pub fn cancel(&self, request: &Request) -> Claim {
        let mut table = self.table.lock();
        let claim = request.state.claim();
        if claim == Claim::Won {
            self.unlist(&mut table, request);
        }
        claim
    }

    /// Takes a claimed request off its list.
    fn unlist(&self, table: &mut Guard<'_, Table, true>, request: &Request) {
        let slab = self.slab();
        match request.registration.swap(0, Ordering::Relaxed) {
            BY_NUMBER => {
                // The registration stays armed. It fires for nobody at worst.
                if let Some(place) = table.known_place(number(request)) {
                    place.armed.remove(slab, request);
                }
            }
            BY_PIN => {
                table.private.remove(slab, request);
                // The program may have the file open elsewhere: closing the pin would not do.
                if let (Some(epoll), Some(pin)) = (self.epoll(), request.pin()) {
                    let _ = epoll::delete(epoll, pin);
                }
            }
            _ => return,
        }
        self.armed.fetch_sub(1, Ordering::Relaxed);
    }

    /// Completes the polls that are ready. Never waits.
    pub fn harvest(&self) {
        const BATCH: usize = 32;
        let Some(epoll) = self.epoll() else { return };
        let mut ready = [epoll_event { events: 0, u64: 0 }; BATCH];
        loop {
            let count = epoll::wait(epoll, &mut ready, 0).unwrap_or(0);
            let mut done = List::EMPTY;
            if count > 0 {
                let mut table = self.table.lock();
                for event in ready.iter().take(count) {
                    self.fire(&mut table, epoll, event.u64, event.events as u16, &mut done);
                }
            }
            self.complete(done);
            if count < BATCH {
                return;
            }
        }
    }

    fn complete(&self, mut done: List) {
        let completions = self.completions();
        while let Some(request) = done.first(&completions.slab) {
            done.remove(&completions.slab, request);
            completions.put(request);
        }
    }

    /// Sorts one event of the epoll; requests that it completes go to `done`, claimed.
    fn fire(
        &self,
        table: &mut Guard<'_, Table, true>,
        epoll: i32,
        token: u64,
        events: u16,
        done: &mut List,
    ) {
        let slab = self.slab();
        let generation = (token >> 32) as u32 & GENERATION_MASK;
        if token & PRIVATE != 0 {
            let Some(request) = slab.get(token as u32) else { return };
            let is_current = request.generation() & GENERATION_MASK == generation
                && request.registration.load(Ordering::Relaxed) == BY_PIN;
            if is_current && !self.finish(table, request, events, done) {
                let pin = request.pin().unwrap_or(-1);
                let bits = u32::from(wanted(request)) | EPOLLONESHOT as u32;
                let _ = epoll::modify(epoll, pin, bits, token);
            }
            return;
        }
        let fd = token as u32 as i32;
        let Some(place) = table.known_place(fd) else { return };
        if place.generation != generation {
            return;
        }
        // All that wait on one file are woken by one event, the youngest first, as the kernel's
        // wait queues do.
        let mut next = place.armed.first(slab);
        let mut list = place.armed;
        while let Some(request) = next {
            next = list.next(slab, request);
            self.finish(table, request, events, done);
        }
        list = table.known_place(fd).map_or(List::EMPTY, |place| place.armed);
        if !list.is_empty() {
            self.arm_rest(table, epoll, fd, done);
        }
    }

    /// Claims a request if `events` completes it.
    fn finish(
        &self,
        table: &mut Guard<'_, Table, true>,
        request: &Request,
        events: u16,
        done: &mut List,
    ) -> bool {
        // divergence: a wake-up with a key gives the whole key in the kernel, not only what was
        // asked for; and it counts even if the data is gone when somebody looks.
        let result = events & wanted(request);
        if result == 0 || request.state.claim() == Claim::Lost {
            return false;
        }
        request.set_result(i64::from(result));
        self.unlist(table, request);
        done.push_back(self.slab(), request);
        true
    }

    /// Arms a number again for requests that the last event did not complete.
    #[cold]
    fn arm_rest(&self, table: &mut Guard<'_, Table, true>, epoll: i32, fd: i32, done: &mut List) {
        let slab = self.slab();
        let Some(place) = table.known_place(fd) else { return };
        let Some(first) = place.armed.first(slab) else { return };
        if first.pin().is_some_and(|pin| fd::is_same_file(pin, fd) == Ok(true)) {
            let mut events = 0;
            let mut next = Some(first);
            while let Some(request) = next {
                events |= wanted(request);
                next = place.armed.next(slab, request);
            }
            place.generation = place.generation.wrapping_add(1) & GENERATION_MASK;
            let token = number_token(fd, place.generation);
            let bits = u32::from(events) | EPOLLONESHOT as u32;
            if epoll::modify(epoll, fd, bits, token).is_ok() {
                return;
            }
        }
        // The number means another file: each of them gets a registration of its own.
        while let Some(request) = table.known_place(fd).and_then(|place| place.armed.first(slab)) {
            if let Some(place) = table.known_place(fd) {
                place.armed.remove(slab, request);
            }
            if let Err(error) = self.register_private(table, epoll, request)
                && request.state.claim() == Claim::Won
            {
                request.registration.store(0, Ordering::Relaxed);
                self.armed.fetch_sub(1, Ordering::Relaxed);
                request.set_result(error.to_res());
                done.push_back(slab, request);
            }
        }
    }

    /// Makes sure that somebody sleeps on the epoll if somebody sleeps.
    pub fn find_leader(&self) {
        // SeqCst: orders the poll before our look at the flag and the waiters; pairs with the fence
        // in `Waiters::join` and with `lead`.
        fence(Ordering::SeqCst);
        if self.needs_harvest() && !self.is_led.load(Ordering::SeqCst) {
            self.completions().waiters.wake_one_to_lead();
        }
    }

    /// Tries to become the thread that sleeps on the epoll.
    pub fn lead(&self) -> Option<Leader<'_>> {
        let epoll = self.epoll()?;
        let kick = self.kick.load(Ordering::Relaxed) - 1;
        // SeqCst: orders our leading before our look at the polls; pairs with `find_leader`.
        match self.is_led.compare_exchange(false, true, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => Some(Leader { poller: self, epoll, kick }),
            Err(_) => None,
        }
    }

    /// Whether a thread sleeps on the epoll.
    pub fn is_led(&self) -> bool {
        // SeqCst: see `find_leader`.
        self.is_led.load(Ordering::SeqCst)
    }

    /// Closes everything. No request is armed and no thread is inside.
    pub fn close(&self) {
        for descriptor in [&self.epoll, &self.kick] {
            let fd = descriptor.swap(0, Ordering::Relaxed);
            if fd != 0 {
                drop(OwnedFd::from_raw(fd - 1));
            }
        }
        let table = self.table.lock();
        // SAFETY: no request is armed, so nobody looks at a registration.
        unsafe { table.places.clear() };
    }

    /// Closes what a forked child inherited.
    pub fn close_after_fork(&self) {
        for descriptor in [&self.epoll, &self.kick] {
            let fd = descriptor.swap(0, Ordering::Relaxed);
            if fd != 0 {
                fd::close(fd - 1);
            }
        }
    }
}

/// The right to sleep on the epoll, held by one thread at a time.
#[derive(Debug)]
pub struct Leader<'a> {
    poller: &'a Poller,
    epoll: i32,
    kick: i32,
}

impl Leader<'_> {
    /// The eventfd that ends its sleep.
    pub fn kick(&self) -> i32 {
        self.kick
    }

    /// Sleeps until a poll may be ready, somebody kicks, or `timeout` has passed, with `mask` in
    /// force meanwhile. EINTR: a handler ran.
    pub fn sleep(&self, timeout: Option<&timespec>, mask: Option<&SigSet>) -> Result<usize> {
        let on = |fd| pollfd { fd, events: libc::POLLIN, revents: 0 };
        let mut fds = [on(self.epoll), on(self.kick)];
        let result = poll::wait(&mut fds, timeout, mask);
        if fds[1].revents != 0 {
            fd::eventfd_drain(self.kick);
        }
        result
    }
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        // SeqCst: see `find_leader`, which the waiter calls when it has left the list.
        self.poller.is_led.store(false, Ordering::SeqCst);
    }
}

/// Registers a number that is not registered, unless fs/aio.c, aio_poll would refuse the file.
fn add_checked(epoll: i32, fd: i32, bits: u32, token: u64) -> Result<()> {
    // A file with two wait queues fails there once it is not ready at once: pipes open for both
    // directions, terminals.
    let stat = fd::stat(fd)?;
    let has_two_queues = match stat.st_mode & S_IFMT {
        S_IFIFO => fd::status_flags(fd)?.is_read_write(),
        S_IFCHR => fd::is_tty(fd),
        _ => false,
    };
    if has_two_queues {
        return Err(Errno::INVAL);
    }
    // Somebody else may close or replace the number at any time: either call may find it changed.
    for _ in 0..8 {
        match epoll::add(epoll, fd, bits, token) {
            Err(Errno::EXIST) => match epoll::modify(epoll, fd, bits, token) {
                Err(Errno::NOENT) => {}
                result => return result,
            },
            Ok(()) => return Ok(()),
            Err(Errno::BADF) => return Err(Errno::BADF),
            Err(Errno::NOMEM) => return Err(Errno::AGAIN),
            // EPERM: the file is always ready, and was not for this mask. ELOOP: too many epolls
            // inside each other. ENOSPC: the user's limit of registrations.
            Err(error) if error.number() == libc::ENOSPC => return Err(Errno::AGAIN),
            Err(_) => return Err(Errno::INVAL),
        }
    }
    Err(Errno::AGAIN)
}
