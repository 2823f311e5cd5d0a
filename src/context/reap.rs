//! io_getevents and io_pgetevents: taking events, and sleeping until there are enough.
//!
//! fs/aio.c, read_events: what is there is taken at once. Then the caller sleeps until the ring
//! holds as many as it still wants; until then they stay in the ring, for anyone to take.
//!
//! Sleepers with polls to wait for share the work: one of them, the leader, sleeps on the epoll and
//! completes what becomes ready; the others sleep on a word of their own. A leader that leaves calls
//! another one.

use core::ffi::c_long;

use libc::{pollfd, timespec};

use crate::abi::types::Event;
use crate::context::Context;
use crate::lineage;
use crate::poller::leader::Leader;
use crate::sys::clock::{self, Timeout};
use crate::sys::errno::{Errno, Result};
use crate::sys::poll::SigSet;
use crate::sys::user::Pages;
use crate::sys::{fd, futex, poll};
use crate::waiters::{Sleep, Waiter};

/// Who calls: the library's wrapper has a short cut that the system call has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// io_getevents and its relatives.
    Library,
    /// syscall(SYS_io_getevents, …).
    Raw,
}

/// A signal mask as the caller passes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaskArgument {
    /// None.
    Absent,
    /// Address of a `sigset_t`, or 0.
    Set(usize),
    /// Address of `struct __aio_sigset`, {address, size of the set}, or 0.
    Sized(usize),
}

/// The arguments of io_getevents and io_pgetevents.
#[derive(Clone, Copy, Debug)]
pub struct Reap {
    /// Events to wait for.
    pub min_nr: c_long,
    /// Room in `events`.
    pub nr: c_long,
    /// Address of an array of events.
    pub events: usize,
    /// Address of a `timespec`, or 0 for no limit.
    pub timeout: usize,
    /// The mask.
    pub mask: MaskArgument,
    /// Who calls.
    pub caller: Caller,
}

/// How long to wait, and with which signals blocked.
#[derive(Clone, Copy, Debug)]
pub struct Wait {
    /// How long.
    pub timeout: Timeout,
    /// The mask, if it changes.
    pub mask: Option<SigSet>,
}

/// Why a sleeper came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awake {
    /// There may be enough events.
    Enough,
    /// The time is over.
    TimedOut,
    /// A signal handler ran.
    Interrupted,
    /// io_destroy began.
    Dead,
    /// Another way of sleeping is called for.
    NewRole,
}

/// How long a leader sleeps without a look around.
const MOMENT: timespec = timespec { tv_sec: 1, tv_nsec: 0 };

/// When to give up, and with which mask to sleep.
struct Limits {
    deadline: Option<timespec>,
    mask: Option<SigSet>,
}

impl Limits {
    fn left(&self) -> Option<timespec> {
        self.deadline.as_ref().map(clock::until)
    }
}

impl Reap {
    /// Copies the timeout: EFAULT. Tells whether it is {0, 0}, for which the library's wrapper has
    /// its short cut.
    #[inline]
    pub fn timeout(&self) -> Result<(Timeout, bool)> {
        if self.timeout == 0 {
            return Ok((Timeout::Never, false));
        }
        // SAFETY: a `timespec` is two integers.
        let timeout: timespec = unsafe { Pages::new().read(self.timeout) }?;
        let is_plain_zero = timeout.tv_sec == 0 && timeout.tv_nsec == 0;
        Ok((Timeout::from_timespec(&timeout), is_plain_zero))
    }

    /// Copies the mask: EFAULT; EINVAL for a set of another size. fs/aio.c, io_pgetevents, and
    /// kernel/signal.c, set_user_sigmask.
    pub fn mask(&self) -> Result<Option<SigSet>> {
        let set = match self.mask {
            MaskArgument::Absent | MaskArgument::Set(0) | MaskArgument::Sized(0) => {
                return Ok(None);
            }
            MaskArgument::Set(set) => set,
            MaskArgument::Sized(argument) => {
                // SAFETY: two integers.
                let [set, size]: [usize; 2] = unsafe { Pages::new().read(argument) }?;
                if set == 0 {
                    return Ok(None);
                }
                if size != size_of::<SigSet>() {
                    return Err(Errno::INVAL);
                }
                set
            }
        };
        // SAFETY: an integer.
        unsafe { Pages::new().read(set) }.map(Some)
    }

    /// `0 <= min_nr <= nr`, else EINVAL.
    fn range(&self) -> Result<(usize, usize)> {
        let min = usize::try_from(self.min_nr).map_err(|_| Errno::INVAL)?;
        let max = usize::try_from(self.nr).map_err(|_| Errno::INVAL)?;
        if min <= max { Ok((min, max)) } else { Err(Errno::INVAL) }
    }
}

impl Context {
    /// Takes events as `reap` asks; the timeout and the mask are copied already.
    pub fn reap(&self, reap: &Reap, wait: &Wait) -> Result<usize> {
        let result = reap.range().and_then(|(min, max)| self.read_events(reap, min, max, wait));
        match wait.mask {
            Some(mask) if result != Err(Errno::INTR) => deliver(mask, result),
            _ => result,
        }
    }

    /// fs/aio.c, read_events and aio_read_events.
    fn read_events(&self, reap: &Reap, min: usize, max: usize, wait: &Wait) -> Result<usize> {
        let ring = &self.completions.ring;
        let mut pages = Pages::new();
        let mut taken = 0;
        if self.poller.needs_harvest() && (ring.occupancy() as usize) < max {
            self.poller.harvest();
        }
        let mut limits = None;
        loop {
            let events = reap.events.wrapping_add(taken * size_of::<Event>());
            match ring.take(max - taken, events, &mut pages) {
                Ok(count) => taken += count,
                Err(error) => return if taken > 0 { Ok(taken) } else { Err(error) },
            }
            if taken >= min || wait.timeout == Timeout::Zero {
                return Ok(taken);
            }
            let limits = limits.get_or_insert_with(|| Limits {
                deadline: wait.timeout.deadline(),
                mask: wait.mask,
            });
            let awake = self.sleep(u32::try_from(min - taken).unwrap_or(u32::MAX), limits);
            if lineage::is_forked() {
                // A handler has forked, and this is the child: the ring is not here any more.
                return Err(Errno::INTR);
            }
            // The program may have unmapped anything meanwhile.
            pages = Pages::new();
            if awake != Awake::Enough {
                let events = reap.events.wrapping_add(taken * size_of::<Event>());
                // A handler may have destroyed the context: what that cancelled is lost.
                let is_over = awake == Awake::Interrupted && self.is_dead();
                let last = if is_over { Ok(0) } else { ring.take(max - taken, events, &mut pages) };
                taken += last.unwrap_or(0);
                return match awake {
                    _ if taken > 0 => Ok(taken),
                    Awake::Interrupted => Err(last.err().unwrap_or(Errno::INTR)),
                    Awake::Dead => Err(last.err().unwrap_or(Errno::INVAL)),
                    _ => last,
                };
            }
        }
    }

    /// Sleeps until the ring holds `need` events, or something else ends the wait.
    fn sleep(&self, need: u32, limits: &Limits) -> Awake {
        loop {
            let leader = match self.poller.needs_harvest() {
                true => self.poller.lead(),
                false => None,
            };
            let awake = match leader {
                Some(leader) => self.lead(need, limits, &leader),
                None => self.follow(need, limits),
            };
            // We may have been woken to lead and leave instead.
            self.poller.find_leader();
            if awake != Awake::NewRole {
                return awake;
            }
        }
    }

    /// What ends a wait for `need` events, if something does.
    fn news(&self, need: u32) -> Option<Awake> {
        if self.is_dead() {
            return Some(Awake::Dead);
        }
        (self.completions.ring.occupancy() >= need).then_some(Awake::Enough)
    }

    /// Sleeps on the epoll, completing polls, as the only thread that does.
    fn lead(&self, need: u32, limits: &Limits, leader: &Leader<'_>) -> Awake {
        let waiter = Waiter::new(need, Sleep::Eventfd(leader.kick()));
        self.completions.waiters.join(waiter, |waiter| {
            loop {
                self.poller.harvest();
                if let Some(awake) = self.news(need) {
                    return awake;
                }
                if !self.poller.needs_harvest() {
                    return Awake::NewRole;
                }
                // Not longer than a moment: the program may have closed the descriptors that we
                // sleep on, and then nobody can wake us.
                let left = limits.left();
                let (span, is_last) = match &left {
                    // Between two sleeps a mask would not be in force.
                    _ if limits.mask.is_some() => (left.as_ref(), true),
                    Some(left) if left.tv_sec < MOMENT.tv_sec => (Some(left), true),
                    _ => (Some(&MOMENT), false),
                };
                match leader.sleep(span, limits.mask.as_ref()) {
                    Ok(0) if is_last => return Awake::TimedOut,
                    Ok(0) if self.poller.repair() => return Awake::NewRole,
                    Err(Errno::INTR) => return Awake::Interrupted,
                    // With another eventfd in the node; or without descriptors at all.
                    Err(_) if self.poller.repair() => return Awake::NewRole,
                    Err(_) => return self.look_now_and_then(need, limits),
                    Ok(_) => waiter.rest(),
                }
            }
        })
    }

    /// Sleeps until somebody brings news.
    fn follow(&self, need: u32, limits: &Limits) -> Awake {
        match limits.mask {
            None => {
                let waiter = Waiter::new(need, Sleep::Futex);
                self.wait_as(need, limits, waiter, |waiter| {
                    futex::wait_until(waiter.word(), 0, limits.deadline.as_ref())
                })
            }
            // Only ppoll exchanges the mask and goes to sleep in one step.
            Some(mask) => match fd::eventfd() {
                Ok(own) => {
                    let waiter = Waiter::new(need, Sleep::Eventfd(own.raw()));
                    self.wait_as(need, limits, waiter, |_| {
                        let mut fds = [pollfd { fd: own.raw(), events: libc::POLLIN, revents: 0 }];
                        let woken = poll::wait(&mut fds, limits.left().as_ref(), Some(&mask));
                        fd::eventfd_drain(own.raw());
                        match woken {
                            Ok(0) => Err(Errno::TIMEDOUT),
                            result => result.map(|_| ()),
                        }
                    })
                }
                Err(_) => self.look_now_and_then(need, limits),
            },
        }
    }

    fn wait_as(
        &self,
        need: u32,
        limits: &Limits,
        waiter: Waiter,
        sleep: impl Fn(&Waiter) -> Result<()>,
    ) -> Awake {
        self.completions.waiters.join(waiter, |waiter| {
            loop {
                if let Some(awake) = self.news(need) {
                    return awake;
                }
                if self.poller.needs_harvest() && !self.poller.is_led() {
                    return Awake::NewRole;
                }
                match sleep(waiter) {
                    Err(Errno::TIMEDOUT) => return Awake::TimedOut,
                    Err(Errno::INTR) => return Awake::Interrupted,
                    Ok(()) | Err(Errno::AGAIN) => waiter.rest(),
                    Err(_) => return self.look_now_and_then(need, limits),
                }
            }
        })
    }

    /// No descriptor is left to be woken by.
    #[cold]
    fn look_now_and_then(&self, need: u32, limits: &Limits) -> Awake {
        const STEP: timespec = timespec { tv_sec: 0, tv_nsec: 5_000_000 };
        loop {
            self.poller.harvest();
            if let Some(awake) = self.news(need) {
                return awake;
            }
            let left = limits.left().unwrap_or(STEP);
            if left.tv_sec == 0 && left.tv_nsec == 0 {
                return Awake::TimedOut;
            }
            let is_short = left.tv_sec == 0 && left.tv_nsec < STEP.tv_nsec;
            let step = if is_short { left } else { STEP };
            if poll::wait(&mut [], Some(&step), limits.mask.as_ref()) == Err(Errno::INTR) {
                return Awake::Interrupted;
            }
        }
    }
}

/// Lets signals that `mask` leaves open be delivered under it, as the kernel does when it restores
/// the old mask only after the handler: fs/aio.c, io_pgetevents, restore_saved_sigmask_unless.
pub fn deliver(mask: SigSet, result: Result<usize>) -> Result<usize> {
    let now = timespec { tv_sec: 0, tv_nsec: 0 };
    match poll::wait(&mut [], Some(&now), Some(&mask)) {
        Err(Errno::INTR) if result == Ok(0) => Err(Errno::INTR),
        _ => result,
    }
}
