//! How callers of io_getevents sleep until there are enough events, each in one system call:
//!
//! - Requests are in the kernel's AIO, polls among them, or in io_uring: in io_getevents or
//!   io_uring_enter, until as many have completed as are missing ([`Sleeper::watch`]). See
//!   [`crate::completion::waiters`] for what happens if other events come all the same. In the
//!   kernel's AIO a sleeper can watch the epoll as well.
//! - Polls are armed in the epoll: one of the sleepers, the leader, sleeps in ppoll on the epoll and
//!   on the descriptor of the io_uring instance, and completes what becomes ready
//!   ([`Sleeper::lead`]). A leader that leaves calls another one.
//! - Requests are queued for the pool, and nothing else is in flight: they are done here
//!   ([`super::help`]).
//! - Else others bring the events (the leader, the harvester, workers, submitters): on a futex
//!   ([`Sleeper::follow`]).
//!
//! The last is allowed only as long as it is true: a thread that submits the first request to an
//! engine, or arms the first poll, wakes those sleepers.

use core::cell::Cell;
use libc::{pollfd, timespec};

use crate::completion::waiters::{Sleep, Waiter, WaiterGuard};
use crate::context::Context;
use crate::context::getevents::Wait;
use crate::engine::Harvest;
use crate::engine::bed::{Bed, Over, doze};
use crate::poller::leader::Leader;
use crate::process::fork_generation;
use crate::process::reentrancy;
use crate::sys::clock::{self, Timeout};
use crate::sys::errno::{Errno, Result};
use crate::sys::poll::SigSet;
use crate::sys::{bell, futex, poll};

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
    /// io_destroy has given this call up, and the context may be gone: with EINTR if a handler ran,
    /// else EINVAL.
    Revoked(Errno),
}

/// Longest sleep on our own descriptors: the program may close them, and no wake-up would come.
const MAX_SLEEP: timespec = timespec { tv_sec: 1, tv_nsec: 0 };
/// How many kicks meant for others a watcher takes in a row before it makes a pause, and how often
/// a leader wakes for nothing before it looks at its descriptors.
const MAX_KICKS_IN_A_ROW: u32 = 3;
const KICK_PAUSE: timespec = timespec { tv_sec: 0, tv_nsec: 100_000 };
/// How often to look when nothing can wake us.
const LOOK_INTERVAL: timespec = timespec { tv_sec: 0, tv_nsec: 5_000_000 };
/// How often that is doubled where other threads look, too: 640 ms.
const MAX_DOUBLINGS: u32 = 7;

impl From<Over> for Awake {
    fn from(over: Over) -> Awake {
        match over {
            Over::Forked => Awake::Interrupted,
            Over::Revoked(error) => Awake::Revoked(error),
        }
    }
}

/// A call of io_getevents.
pub(super) struct Sleeper<'a> {
    pub(super) context: &'a Context,
    pub(super) timeout: Timeout,
    /// How many events the caller has room for.
    room: Cell<usize>,
    /// Known from the first sleep on.
    deadline: Cell<Option<Option<timespec>>>,
    mask: Option<SigSet>,
    /// What was harvested, of which other waiters have not been told.
    unnotified: Cell<Harvest>,
    /// The call has slept in the kernel's AIO.
    has_slept: Cell<bool>,
}

impl<'a> Sleeper<'a> {
    pub(super) fn new(context: &'a Context, wait: &Wait, room: usize) -> Sleeper<'a> {
        Sleeper {
            context,
            timeout: wait.timeout,
            room: Cell::new(room),
            deadline: Cell::new(None),
            mask: wait.mask,
            unnotified: Cell::new(Harvest::default()),
            has_slept: Cell::new(false),
        }
    }

    /// The caller has taken `count` events.
    pub(super) fn note_taken(&self, count: usize) {
        self.room.set(self.room.get().saturating_sub(count).max(1));
    }

    /// Completes what is ready, for this call first of all.
    #[inline]
    pub(super) fn harvest(&self) {
        // What is more would be for other waiters, which would have to be woken.
        let most = self.room.get().saturating_sub(self.occupancy() as usize);
        let now = self.context.harvest(most);
        if now != Harvest::default() {
            self.unnotified.set(self.unnotified.get().and(now));
        }
    }

    /// Tells others of what was harvested and is left.
    fn wake_waiters(&self) {
        self.unnotified.take().wake_waiters(&self.context.completions);
    }

    /// Tells nobody: this is a forked child, or the context is gone.
    pub(super) fn forget(&self) {
        let _ = self.unnotified.take();
    }

    fn deadline(&self) -> Option<timespec> {
        self.deadline.get().unwrap_or_else(|| {
            let deadline = self.timeout.deadline();
            self.deadline.set(Some(deadline));
            deadline
        })
    }

    /// The signal mask to be in force while it sleeps, if another one is.
    pub(super) fn mask(&self) -> Option<SigSet> {
        self.mask.or_else(reentrancy::mask)
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
        let Context { poller, engines, .. } = self.context;
        if reentrancy::is_nested() {
            // The leader may be the call that this thread's handler has interrupted.
            return self.look_around(need);
        }
        loop {
            let leader = match poller.needs_harvest() {
                true => poller.lead(),
                false => None,
            };
            let is_leader = leader.is_some();
            let awake = match (engines.bed(), leader) {
                (Some(bed), leader) if bed.can_watch_polls() => match self.can_use(&bed, need) {
                    true => self.watch(need, &bed, leader.as_ref()),
                    false => {
                        drop(leader);
                        self.look_around(need)
                    }
                },
                (_, Some(leader)) => self.lead(need, &leader),
                (Some(bed), None) if !poller.needs_harvest() => self.watch(need, &bed, None),
                _ => self.help(need).unwrap_or_else(|| self.follow(need)),
            };
            if let Awake::Revoked(_) = awake {
                return awake;
            }
            if is_leader && engines.bed().is_some_and(|bed| !bed.can_watch_polls()) {
                self.context.completions.waiters.wake_non_ring_waiters();
            }
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

    pub(super) fn join(&self, need: u32, sleep: Sleep) -> Option<WaiterGuard<'a>> {
        self.context.completions.waiters.join(reentrancy::owner(), need, sleep)
    }

    /// What ends a wait for `need` events, if something does.
    pub(super) fn end_of_wait(&self, need: u32) -> Option<Awake> {
        if fork_generation::is_forked() {
            // A handler has forked, and this is the child, which has no ring.
            return Some(Awake::Interrupted);
        }
        if self.context.is_dead() {
            return Some(Awake::Dead);
        }
        (self.occupancy() >= need).then_some(Awake::Enough)
    }

    /// Whether this call can sleep in a bed that watches polls as well: no sleep there ends for
    /// reasons that look like a signal, or hide one.
    ///
    /// fs/aio.c, io_pgetevents: a handler that the mask lets through runs also if events end the
    /// sleep before there are enough, and nobody would know that the call has to end, too.
    fn can_use(&self, bed: &Bed<'_>, need: u32) -> bool {
        let Context { completions, poller, engines, .. } = self.context;
        let may_end_early = || completions.in_flight() > 0 || poller.needs_harvest();
        let would_hide_one = need > 1 && self.mask().is_some() && may_end_early();
        !would_hide_one && !engines.disturb(bed)
    }

    /// Sleeps in the kernel until requests complete; with a leader, or polls.
    fn watch(&self, need: u32, bed: &Bed<'_>, leader: Option<&Leader<'_>>) -> Awake {
        let Some(waiter) = self.join(need, bed.kind()) else { return self.look_around(need) };
        if let Some(leader) = leader {
            waiter.lead(leader.term());
        }
        let mut kicks = 0;
        loop {
            self.harvest();
            if let Some(awake) = self.end_of_wait(need) {
                return awake;
            }
            // Not enough for us; perhaps for others.
            let unnotified = self.unnotified.get();
            let has_kicks = unnotified.has_kicks;
            if leader.is_some() {
                // It is ours, and armed again below.
                self.unnotified.set(Harvest { has_watch: false, ..unnotified });
            }
            self.wake_waiters();
            // Whom they were meant for has to get at them.
            kicks = if has_kicks { kicks + 1 } else { 0 };
            if kicks > MAX_KICKS_IN_A_ROW {
                let _ = poll::wait(&mut [], Some(&KICK_PAUSE), None);
            }
            if !self.is_made(bed, leader, need) {
                return Awake::NewRole;
            }
            let occupancy = self.occupancy();
            // fs/aio.c, read_events: what is there when a call begins is taken for it alone. What
            // comes later anybody may take, until there is enough.
            let would_hide =
                self.has_slept.get() && bed.can_watch_polls() && self.context.is_shared();
            let min_complete = match would_hide || self.context.engines.have_others(bed) {
                true => 1,
                false => need.saturating_sub(occupancy).max(1),
            };
            let (span, is_last) = match self.longest(bed, leader, min_complete) {
                Some(longest) => self.span(longest),
                None => (self.left(), true),
            };
            waiter.set_min_complete(min_complete);
            let min_complete = self.lower_min_complete(bed, &waiter, min_complete);
            let is_changed = waiter.is_woken()
                || bed.has_events()
                || self.occupancy() != occupancy
                || self.end_of_wait(need).is_some()
                || !self.is_made(bed, leader, need);
            let waited = match is_changed {
                true => Ok(()),
                false => match self.sleep_in(bed, &waiter, min_complete, span.as_ref()) {
                    Ok(waited) => waited,
                    Err(over) => return over.into(),
                },
            };
            waiter.clear_min_complete();
            match waited {
                Ok(()) | Err(Errno::BUSY) => waiter.rearm(),
                Err(Errno::TIME) if is_last => return Awake::TimedOut,
                // Nothing was in flight: there are better ways to wait.
                Err(Errno::TIME) if self.context.engines.note_vain_sleep() => waiter.rearm(),
                Err(Errno::TIME) => {
                    self.context.look_after_leader();
                    if leader.is_some() {
                        self.context.poller.repair();
                    }
                    waiter.rearm();
                }
                Err(Errno::INTR) => return Awake::Interrupted,
                Err(_) => return self.look_now_and_then(need, &waiter),
            }
        }
    }

    fn sleep_in(
        &self,
        bed: &Bed<'_>,
        waiter: &Waiter,
        count: u32,
        span: Option<&timespec>,
    ) -> core::result::Result<Result<()>, Over> {
        let engines = &self.context.engines;
        self.has_slept.set(true);
        let (waited, brought) =
            bed.sleep(engines, waiter, (count, self.room.get()), span, self.mask().as_ref())?;
        self.unnotified.set(self.unnotified.get().and(brought));
        Ok(waited)
    }

    /// Whether a bed is still the right one for a waiter for `need` events.
    fn is_made(&self, bed: &Bed<'_>, leader: Option<&Leader<'_>>, need: u32) -> bool {
        let Context { poller, engines, .. } = self.context;
        let are_polls_watched = match leader {
            Some(leader) => leader.is_in_office(),
            None => !poller.needs_harvest() || (bed.can_watch_polls() && poller.is_led()),
        };
        are_polls_watched
            && (!bed.can_watch_polls() || self.can_use(bed, need))
            && engines.bed().as_ref() == Some(bed)
    }

    /// What it asks for in a bed where others may be called at this moment.
    fn lower_min_complete(&self, bed: &Bed<'_>, waiter: &Waiter, min_complete: u32) -> u32 {
        let waiters = &self.context.completions.waiters;
        let may_keep = match bed.can_watch_polls() {
            true => !waiters.are_others_called(waiter),
            // io_uring/io_uring.c, io_wake_function: it would keep those behind it asleep.
            false => !waiters.has_several(),
        };
        if min_complete == 1 || may_keep {
            return min_complete;
        }
        waiter.set_min_complete(1);
        1
    }

    /// How long to sleep in a bed before a look around; `None`: a sleeper there is woken in any
    /// case. Sees to it that polls wake it, if that is its task.
    fn longest(
        &self,
        bed: &Bed<'_>,
        leader: Option<&Leader<'_>>,
        min_complete: u32,
    ) -> Option<timespec> {
        let engines = &self.context.engines;
        let may_miss_kicks = min_complete > bed.sure_kicks() || !engines.is_reachable(bed);
        if may_miss_kicks || !bed.sees_all() || !engines.need_watch() {
            return Some(LOOK_INTERVAL);
        }
        if leader.is_some() {
            let epoll = self.context.poller.numbered_epoll();
            let is_watched = epoll.is_none_or(|(epoll, number)| bed.watch(epoll, number));
            return Some(if is_watched { MAX_SLEEP } else { LOOK_INTERVAL });
        }
        let is_alone = min_complete == 1 && !self.context.is_shared();
        (!is_alone || !engines.is_safe(bed)).then_some(MAX_SLEEP)
    }

    /// Sleeps on the epoll, completing polls, as the only thread that does.
    fn lead(&self, need: u32, leader: &Leader<'_>) -> Awake {
        let Context { poller, engines, .. } = self.context;
        let Some(waiter) = self.join(need, Sleep::Bell(leader.kick())) else {
            return self.look_around(need);
        };
        waiter.lead(leader.term());
        let (mut occupancy, mut in_vain) = (0, 0);
        loop {
            self.harvest();
            if let Some(awake) = self.end_of_wait(need) {
                return awake;
            }
            self.wake_waiters();
            let before = core::mem::replace(&mut occupancy, self.occupancy());
            in_vain = if before == occupancy { in_vain + 1 } else { 0 };
            // What is always ready may be the program's, under a number of ours.
            if in_vain > MAX_KICKS_IN_A_ROW && core::mem::take(&mut in_vain) > 0 && poller.repair()
            {
                return Awake::NewRole;
            }
            let is_over = !poller.needs_harvest() || !leader.is_in_office();
            let bed = engines.bed();
            if is_over || bed.is_some_and(|bed| bed.can_watch_polls()) {
                return Awake::NewRole;
            }
            let ring = engines.descriptor();
            let is_blind = ring.is_none() && bed.is_some();
            let (span, is_last) = self.span(if is_blind { LOOK_INTERVAL } else { MAX_SLEEP });
            let mask = self.mask();
            match doze(&waiter, || leader.sleep(span.as_ref(), mask.as_ref(), ring)) {
                Err(over) => return over.into(),
                Ok(Ok(0)) if is_last => return Awake::TimedOut,
                Ok(Ok(0)) if poller.repair() => return Awake::NewRole,
                Ok(Err(Errno::INTR)) => return Awake::Interrupted,
                // With another bell in the node; or without descriptors at all.
                Ok(Err(_)) if poller.repair() => return Awake::NewRole,
                Ok(Err(_)) => return self.look_now_and_then(need, &waiter),
                Ok(Ok(_)) => waiter.rearm(),
            }
        }
    }

    /// Sleeps until another thread posts an event or wakes this one.
    fn follow(&self, need: u32) -> Awake {
        let Some(mask) = self.mask() else {
            let Some(waiter) = self.join(need, Sleep::Futex) else { return self.look_around(need) };
            return self.wait_as(need, &waiter, |watch| {
                let Some((Some(span), false)) = watch else {
                    return futex::wait_until(waiter.word(), 0, self.deadline().as_ref());
                };
                match futex::wait_until(waiter.word(), 0, Some(&clock::after(&span))) {
                    Err(Errno::TIMEDOUT) => Err(Errno::TIME),
                    result => result,
                }
            });
        };
        // Only ppoll exchanges the mask and goes to sleep in one step.
        let Ok(own) = bell::make() else { return self.look_around(need) };
        let Some(waiter) = self.join(need, Sleep::Bell(own.raw())) else {
            return self.look_around(need);
        };
        waiter.own(own.raw());
        let awake = self.wait_as(need, &waiter, |watch| {
            let mut fds = [pollfd { fd: own.raw(), events: libc::POLLIN, revents: 0 }];
            // The program may take the bell away, and then nobody can ring it.
            let (span, is_last) = watch.unwrap_or_else(|| self.span(MAX_SLEEP));
            let woken = poll::wait(&mut fds, span.as_ref(), Some(&mask));
            if woken == Ok(1) && !bell::is_one(own.raw()) {
                return Err(Errno::BADF);
            }
            match woken {
                Ok(0) if !is_last => Err(Errno::TIME),
                Ok(0) => Err(Errno::TIMEDOUT),
                result => result.map(|_| bell::silence(own.raw())),
            }
        });
        bell::close(own.into_raw());
        awake
    }

    /// How long a follower trusts others, and whether its time is over then; `rounds`: how often it
    /// has looked around. The harvester ends if the program closes its descriptors, and tells
    /// nobody; the leader may be in a signal handler, or have left its call, and then the one that
    /// comes next shall not wait for long.
    fn watch_over(&self, rounds: u32) -> Option<(Option<timespec>, bool)> {
        let poller = &self.context.poller;
        if poller.needs_harvest() || poller.is_led() {
            let longest = LOOK_INTERVAL.tv_nsec << rounds.min(MAX_DOUBLINGS);
            return Some(self.span(timespec { tv_sec: 0, tv_nsec: longest }));
        }
        self.context.is_background().then(|| self.span(MAX_SLEEP))
    }

    /// `sleep` gets what `watch_over` says. ETIME: only that time is over.
    fn wait_as(
        &self,
        need: u32,
        waiter: &Waiter,
        sleep: impl Fn(Option<(Option<timespec>, bool)>) -> Result<()>,
    ) -> Awake {
        let Context { poller, engines, .. } = self.context;
        let mut rounds = 0;
        loop {
            if let Some(awake) = self.end_of_wait(need) {
                return awake;
            }
            let is_free = match engines.bed() {
                Some(bed) if bed.can_watch_polls() => true,
                bed => (bed.is_some() || poller.needs_harvest()) && !poller.is_led(),
            };
            if is_free {
                return Awake::NewRole;
            }
            let watch = self.watch_over(rounds);
            match doze(waiter, || sleep(watch)) {
                Err(over) => return over.into(),
                Ok(Err(Errno::TIME)) => {
                    rounds += 1;
                    self.harvest();
                    self.context.look_after_leader();
                    waiter.rearm();
                }
                Ok(Err(Errno::TIMEDOUT)) => return Awake::TimedOut,
                Ok(Err(Errno::INTR)) => return Awake::Interrupted,
                Ok(Ok(()) | Err(Errno::AGAIN)) => waiter.rearm(),
                Ok(Err(_)) => return self.look_now_and_then(need, waiter),
            }
        }
    }

    /// For a call that cannot be woken, for want of a descriptor or memory, or because it must not
    /// lead.
    #[cold]
    fn look_around(&self, need: u32) -> Awake {
        // Without memory for a node, io_destroy may have to wait for it.
        let place = self.join(need, Sleep::Futex);
        match place.as_deref() {
            Some(waiter) => self.look_now_and_then(need, waiter),
            None => self.look_now_and_then(need, &Waiter::default()),
        }
    }

    #[cold]
    fn look_now_and_then(&self, need: u32, waiter: &Waiter) -> Awake {
        loop {
            self.harvest();
            if let Some(awake) = self.end_of_wait(need) {
                return awake;
            }
            self.wake_waiters();
            let left = self.left().unwrap_or(LOOK_INTERVAL);
            if left.tv_sec == 0 && left.tv_nsec == 0 {
                return Awake::TimedOut;
            }
            let is_short = left.tv_sec == 0 && left.tv_nsec < LOOK_INTERVAL.tv_nsec;
            let step = if is_short { left } else { LOOK_INTERVAL };
            let mask = self.mask();
            match doze(waiter, || poll::wait(&mut [], Some(&step), mask.as_ref())) {
                Err(over) => return over.into(),
                Ok(Err(Errno::INTR)) => return Awake::Interrupted,
                Ok(_) => {}
            }
        }
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        self.wake_waiters();
    }
}
