//! How callers of io_getevents sleep until there are enough events, each in one system call:
//!
//! - Only requests in io_uring can bring events: in io_uring_enter, until as many have completed as
//!   are missing ([`Sleeper::watch`]). See [`crate::waiters`] for what happens if other events come
//!   all the same.
//! - Polls are armed: one of the sleepers, the leader, sleeps in ppoll on the epoll and on the
//!   descriptor of the io_uring instance, and completes what becomes ready ([`Sleeper::lead`]). A
//!   leader that leaves calls another one.
//! - Else others bring the events (the leader, the reaper, workers, submitters): on a futex
//!   ([`Sleeper::follow`]).
//!
//! The last is allowed only as long as it is true: who submits the first request to io_uring, or
//! arms the first poll, wakes those sleepers.

use core::cell::Cell;

use libc::{pollfd, timespec};

use crate::context::Context;
use crate::context::reap::Wait;
use crate::engine::uring::Harvest;
use crate::lineage;
use crate::poller::leader::Leader;
use crate::shield;
use crate::sys::clock::{self, Timeout};
use crate::sys::errno::{Errno, Result};
use crate::sys::poll::SigSet;
use crate::sys::{bell, futex, poll};
use crate::waiters::{Sleep, Waiter};

/// Why a sleeper came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awake {
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

/// How long who sleeps on descriptors does so without a look around: the program may close them, and
/// then nobody can wake us.
const MOMENT: timespec = timespec { tv_sec: 1, tv_nsec: 0 };
/// How many kicks meant for others a watcher takes in a row before it makes a pause.
const PATIENCE: u32 = 3;
const PAUSE: timespec = timespec { tv_sec: 0, tv_nsec: 100_000 };
/// How often to look when nothing can wake us.
const STEP: timespec = timespec { tv_sec: 0, tv_nsec: 5_000_000 };

/// A call of io_getevents.
pub(super) struct Sleeper<'a> {
    context: &'a Context,
    timeout: Timeout,
    /// Known from the first sleep on.
    deadline: Cell<Option<Option<timespec>>>,
    mask: Option<SigSet>,
    /// What was taken from io_uring and not told to others, who may be glad of what we leave.
    untold: Cell<Harvest>,
}

impl<'a> Sleeper<'a> {
    pub(super) fn new(context: &'a Context, wait: &Wait) -> Sleeper<'a> {
        let deadline = Cell::new(None);
        let untold = Cell::new(Harvest::default());
        Sleeper { context, timeout: wait.timeout, deadline, mask: wait.mask, untold }
    }

    /// Completes what is ready, for this call first of all.
    #[inline]
    pub(super) fn harvest(&self) {
        if self.context.poller.needs_harvest() {
            self.context.poller.harvest();
        }
        if self.context.uring.has_news() {
            let (before, now) = (self.untold.get(), self.context.uring.harvest());
            self.untold.set(Harvest {
                has_moved: before.has_moved || now.has_moved,
                has_kicks: before.has_kicks || now.has_kicks,
            });
        }
    }

    /// Tells others of what was harvested and is left.
    fn tell(&self) {
        self.context.uring.tell(self.untold.take());
    }

    /// Tells nobody: this is a forked child.
    pub(super) fn forget(&self) {
        let _ = self.untold.take();
    }

    fn deadline(&self) -> Option<timespec> {
        self.deadline.get().unwrap_or_else(|| {
            let deadline = self.timeout.deadline();
            self.deadline.set(Some(deadline));
            deadline
        })
    }

    /// The signal mask to be in force while it sleeps, if another one is.
    fn mask(&self) -> Option<SigSet> {
        self.mask.or_else(shield::mask)
    }

    fn left(&self) -> Option<timespec> {
        self.deadline().as_ref().map(clock::until)
    }

    /// How long to sleep at most, and whether the time is over then.
    fn span(&self, longest: timespec) -> (Option<timespec>, bool) {
        match self.left() {
            Some(left) if (left.tv_sec, left.tv_nsec) <= (longest.tv_sec, longest.tv_nsec) => {
                (Some(left), true)
            }
            _ => (Some(longest), false),
        }
    }

    /// Sleeps until the ring holds `need` events, or something else ends the wait.
    pub(super) fn sleep(&self, need: u32) -> Awake {
        let (poller, uring) = (&self.context.poller, &self.context.uring);
        if shield::is_nested() {
            // The leader may be the call that this thread's handler has interrupted.
            return self.look_now_and_then(need);
        }
        loop {
            let leader = match poller.needs_harvest() {
                true => poller.lead(),
                false => None,
            };
            let awake = match leader {
                Some(leader) => {
                    let awake = self.lead(need, &leader);
                    drop(leader);
                    if uring.needs_watch() {
                        self.context.completions.waiters.wake_followers();
                    }
                    awake
                }
                None if uring.needs_watch() && !poller.needs_harvest() => self.watch(need),
                None => self.follow(need),
            };
            // We may have been woken to lead and leave instead.
            poller.find_leader();
            if awake != Awake::NewRole {
                return awake;
            }
        }
    }

    fn occupancy(&self) -> u32 {
        self.context.completions.ring.occupancy()
    }

    /// What ends a wait for `need` events, if something does.
    fn news(&self, need: u32) -> Option<Awake> {
        if lineage::is_forked() {
            // A handler has forked, and this is the child, which has no ring.
            return Some(Awake::Interrupted);
        }
        if self.context.is_dead() {
            return Some(Awake::Dead);
        }
        (self.occupancy() >= need).then_some(Awake::Enough)
    }

    /// Sleeps in io_uring_enter.
    fn watch(&self, need: u32) -> Awake {
        let Context { completions, poller, uring, .. } = self.context;
        let Some(instance) = uring.instance() else { return Awake::NewRole };
        let mut kicks = 0;
        completions.waiters.join(Waiter::new(need, Sleep::Ring), |waiter| {
            loop {
                self.harvest();
                if let Some(awake) = self.news(need) {
                    return awake;
                }
                // Not enough for us; perhaps for others.
                let has_kicks = self.untold.get().has_kicks;
                self.tell();
                // Whom they were meant for has to get at them.
                kicks = if has_kicks { kicks + 1 } else { 0 };
                if kicks > PATIENCE {
                    let _ = poll::wait(&mut [], Some(&PAUSE), None);
                }
                if !uring.needs_watch() || poller.needs_harvest() {
                    return Awake::NewRole;
                }
                let occupancy = self.occupancy();
                let asked = match completions.in_flight() > uring.in_flight() {
                    // Others may bring some of the events.
                    true => 1,
                    false => need.saturating_sub(occupancy).max(1),
                };
                let (span, is_last) = self.span(MOMENT);
                waiter.ask(asked);
                let is_changed = waiter.is_woken()
                    || instance.has_completions()
                    || self.occupancy() != occupancy
                    || self.news(need).is_some()
                    || !uring.needs_watch();
                let waited = match is_changed {
                    true => Ok(()),
                    false => {
                        shield::asleep(|| instance.wait(asked, span.as_ref(), self.mask().as_ref()))
                    }
                };
                waiter.stop_asking();
                match waited {
                    Ok(()) | Err(Errno::BUSY) => waiter.rest(),
                    Err(Errno::TIME) if is_last => return Awake::TimedOut,
                    Err(Errno::TIME) => waiter.rest(),
                    Err(Errno::INTR) => return Awake::Interrupted,
                    Err(_) => return self.look_now_and_then(need),
                }
            }
        })
    }

    /// Sleeps on the epoll, completing polls, as the only thread that does.
    fn lead(&self, need: u32, leader: &Leader<'_>) -> Awake {
        let Context { completions, poller, uring, .. } = self.context;
        let waiter = Waiter::new(need, Sleep::Bell(leader.kick()));
        completions.waiters.join(waiter, |waiter| {
            loop {
                self.harvest();
                if let Some(awake) = self.news(need) {
                    return awake;
                }
                self.tell();
                if !poller.needs_harvest() {
                    return Awake::NewRole;
                }
                let ring = uring.descriptor();
                let is_blind = ring.is_none() && uring.needs_watch();
                let (span, is_last) = self.span(if is_blind { STEP } else { MOMENT });
                let mask = self.mask();
                match shield::asleep(|| leader.sleep(span.as_ref(), mask.as_ref(), ring)) {
                    Ok(0) if is_last => return Awake::TimedOut,
                    Ok(0) if poller.repair() => return Awake::NewRole,
                    Err(Errno::INTR) => return Awake::Interrupted,
                    // With another bell in the node; or without descriptors at all.
                    Err(_) if poller.repair() => return Awake::NewRole,
                    Err(_) => return self.look_now_and_then(need),
                    Ok(_) => waiter.rest(),
                }
            }
        })
    }

    /// Sleeps until somebody brings news.
    fn follow(&self, need: u32) -> Awake {
        match self.mask() {
            None => self.wait_as(need, Waiter::new(need, Sleep::Futex), |waiter| {
                let Some((Some(span), false)) = self.watch_over() else {
                    return futex::wait_until(waiter.word(), 0, self.deadline().as_ref());
                };
                match futex::wait_until(waiter.word(), 0, Some(&clock::after(&span))) {
                    Err(Errno::TIMEDOUT) => {
                        self.harvest();
                        Ok(())
                    }
                    result => result,
                }
            }),
            // Only ppoll exchanges the mask and goes to sleep in one step.
            Some(mask) => match bell::make() {
                Ok(own) => {
                    let waiter = Waiter::new(need, Sleep::Bell(own.raw()));
                    let awake = self.wait_as(need, waiter, |_| {
                        let mut fds = [pollfd { fd: own.raw(), events: libc::POLLIN, revents: 0 }];
                        // The program may take the bell away, and then nobody can ring it.
                        let (span, is_last) = self.span(MOMENT);
                        let woken = poll::wait(&mut fds, span.as_ref(), Some(&mask));
                        if woken == Ok(1) && !bell::is_one(own.raw()) {
                            return Err(Errno::BADF);
                        }
                        bell::silence(own.raw());
                        match woken {
                            Ok(0) if !is_last => {
                                self.harvest();
                                Ok(())
                            }
                            Ok(0) => Err(Errno::TIMEDOUT),
                            result => result.map(|_| ()),
                        }
                    });
                    bell::close(own.into_raw());
                    awake
                }
                Err(_) => self.look_now_and_then(need),
            },
        }
    }

    /// How long a follower trusts others, and whether its time is over then. The reaper ends if the
    /// program closes its descriptors, and tells nobody; the leader may be in a signal handler.
    fn watch_over(&self) -> Option<(Option<timespec>, bool)> {
        let is_due = self.context.is_background() || self.context.poller.is_led();
        is_due.then(|| self.span(MOMENT))
    }

    fn wait_as(&self, need: u32, waiter: Waiter, sleep: impl Fn(&Waiter) -> Result<()>) -> Awake {
        let Context { completions, poller, uring, .. } = self.context;
        completions.waiters.join(waiter, |waiter| {
            loop {
                if let Some(awake) = self.news(need) {
                    return awake;
                }
                let must_look = poller.needs_harvest() || uring.needs_watch();
                if must_look && !poller.is_led() {
                    return Awake::NewRole;
                }
                match shield::asleep(|| sleep(waiter)) {
                    Err(Errno::TIMEDOUT) => return Awake::TimedOut,
                    Err(Errno::INTR) => return Awake::Interrupted,
                    Ok(()) | Err(Errno::AGAIN) => waiter.rest(),
                    Err(_) => return self.look_now_and_then(need),
                }
            }
        })
    }

    /// For who has no descriptor to be woken by, or nobody.
    #[cold]
    fn look_now_and_then(&self, need: u32) -> Awake {
        loop {
            self.harvest();
            if let Some(awake) = self.news(need) {
                return awake;
            }
            self.tell();
            let left = self.left().unwrap_or(STEP);
            if left.tv_sec == 0 && left.tv_nsec == 0 {
                return Awake::TimedOut;
            }
            let is_short = left.tv_sec == 0 && left.tv_nsec < STEP.tv_nsec;
            let step = if is_short { left } else { STEP };
            let mask = self.mask();
            if shield::asleep(|| poll::wait(&mut [], Some(&step), mask.as_ref()))
                == Err(Errno::INTR)
            {
                return Awake::Interrupted;
            }
        }
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        self.tell();
    }
}
