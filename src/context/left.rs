//! Calls that were left by a signal handler that jumped out of them, or whose thread has ended:
//! what they owned goes back.
//!
//! A thread knows of its own calls ([`crate::process::reentrancy`]) and undoes them when it calls
//! the next time. Of others' calls it can only be told where their thread sleeps: if not where the
//! call would, a handler runs above the call, or has left it. In the kernel the call is over in
//! both cases. So whoever is kept waiting goes on without it: a follower without its leader,
//! io_destroy without calls that do not come out. A call that goes on after all finds its node
//! taken away and ends.

use crate::aio_abi::Event;
use crate::completion::waiters::{Errand, Leftover, Sleeper};
use crate::context::Context;
use crate::engine::Harvest;
use crate::files::pins;
use crate::files::resfd::Resfd;
use crate::process::fork_gate;
use crate::process::reentrancy::{self, Owner};
use crate::sys::bell;
use crate::sys::errno::Errno;
use crate::sys::fd::OwnedFd;
use crate::sys::task::{self, Doing};

/// How far below a sleeping call's note of it the stack pointer may be; a signal handler's is
/// further down, below what the kernel saves (x86-64: at least 1,100 bytes).
const MAX_STACK_DISTANCE: usize = 1024;

/// What is known of a call that sleeps, or did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whereabouts {
    /// It sleeps.
    Here,
    Unknown,
    /// Its thread sleeps elsewhere.
    Away,
    /// Its thread has ended.
    Gone,
}

fn whereabouts(sleeper: &Sleeper) -> Whereabouts {
    if task::is_gone(sleeper.owner.task) {
        return Whereabouts::Gone;
    }
    match task::doing(sleeper.owner.task) {
        Doing::Unknown => Whereabouts::Unknown,
        Doing::Sleeping(stack) if stack.abs_diff(sleeper.stack) < MAX_STACK_DISTANCE => {
            Whereabouts::Here
        }
        Doing::Sleeping(_) => Whereabouts::Away,
    }
}

impl Context {
    /// Undoes a call of the calling thread.
    pub fn undo(&self, owner: Owner) {
        let mut is_counted = false;
        while let Some(leftover) = take(|| self.completions.waiters.undo(owner)) {
            is_counted |= !leftover.bed.is_null();
            self.settle(&leftover);
        }
        if !is_counted {
            self.engines.doubt();
            self.in_place.doubt();
        }
    }

    fn settle(&self, leftover: &Leftover) {
        // SAFETY: the instances of a context live until the context is closed, and the call that
        // was left holds it still.
        if let Some(bed) = unsafe { leftover.bed.as_ref() } {
            // It is told of below.
            let _ = self.engines.unpack_left(bed);
        }
        if leftover.term != 0 {
            self.poller.end_term(leftover.term);
        }
        if let Some(errand) = leftover.errand {
            self.end_errand(&errand);
        }
        if self.is_dead() {
            return;
        }
        // What a call does when it leaves.
        self.poller.find_leader();
        if self.engines.need_watch() {
            self.completions.waiters.wake_non_ring_waiters();
        }
        Harvest { has_taken: true, has_kicks: true, has_watch: true }
            .wake_waiters(&self.completions);
    }

    /// Posts the event of a transfer that a handler has interrupted: fs/aio.c, aio_rw_done.
    fn end_errand(&self, errand: &Errand) {
        let res = match errand.done {
            0 => Errno::INTR.to_res(),
            done => done as i64,
        };
        let resfd = errand.resfd.resfd();
        let signal = resfd.as_ref().filter(|_| errand.is_signalled).map(Resfd::signal);
        let event = Event { data: errand.data, obj: errand.iocb, res, res2: 0 };
        self.completions.post(event, signal);
        if let Some(resfd) = resfd {
            self.completions.resfds.release(resfd);
        }
    }

    /// Ends the term of a leader that does not sleep on the epoll.
    pub(super) fn look_after_leader(&self) {
        if !self.poller.is_led() {
            return;
        }
        let mut next = 0;
        while let Some(sleeper) = self.completions.waiters.next_sleeper(next) {
            next = sleeper.index + 1;
            let is_left = || matches!(whereabouts(&sleeper), Whereabouts::Away | Whereabouts::Gone);
            if sleeper.term != 0 && is_left() {
                self.poller.end_term(sleeper.term);
            }
        }
    }

    /// Gives up calls of other threads that do not come out, though io_destroy has woken them;
    /// `has_waited`: for long, so that those in io_getevents are given up whatever they do. Returns
    /// how many of their threads have ended; of the others, [`Context::given_up`] counts those
    /// that are inside.
    pub fn give_up(&self, has_waited: bool) -> u32 {
        let waiters = &self.completions.waiters;
        let own = reentrancy::owner().task;
        let mut gone = 0;
        let mut next = 0;
        while let Some(sleeper) = waiters.next_sleeper(next) {
            next = sleeper.index + 1;
            if sleeper.owner.task == own {
                continue;
            }
            match whereabouts(&sleeper) {
                Whereabouts::Gone => {
                    self.engines.doubt();
                    self.in_place.doubt();
                    if let Some(leftover) = take(|| waiters.undo_dead(&sleeper)) {
                        self.settle(&leftover);
                        gone += 1;
                    }
                }
                Whereabouts::Here | Whereabouts::Unknown if !(has_waited && sleeper.is_listed) => {}
                _ => waiters.revoke(&sleeper),
            }
        }
        gone
    }

    /// How many calls are inside that were given up.
    pub fn given_up(&self) -> u32 {
        self.completions.waiters.revoked()
    }
}

/// Takes what a call that was left has owned, and closes its descriptor, unless the program has put
/// one of its own there. A fork in between would find the descriptor, and nobody who knows of it.
fn take(find: impl FnOnce() -> Option<Leftover>) -> Option<Leftover> {
    let _section = fork_gate::enter();
    let leftover = find()?;
    match (leftover.descriptor, leftover.file) {
        (Some(pin), Some(file)) if pins::is_intact(pin, -1, &file) => {
            pins::release(OwnedFd::from_raw(pin));
        }
        (Some(bell), None) => bell::close(bell),
        _ => {}
    }
    Some(leftover)
}
