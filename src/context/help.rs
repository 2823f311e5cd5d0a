//! A caller of io_getevents does what is queued for workers, instead of sleeping until they have
//! come to it: when nothing else can bring its events, to sleep and be woken would only take
//! longer.
//!
//! It is done like a worker's work, with all signals blocked. Those that come meanwhile are
//! delivered between two operations, in a call that tells whether a handler ran, and lets it call
//! the library and leave the call, as in any other sleep.
//!
//! divergence: while it works at a device that does not answer, the caller cannot be interrupted.
//! So it is done in waits without a timeout only, and no other wait is longer than it has to be.

use libc::{RLIMIT_FSIZE, timespec};

use crate::completion::waiters::Sleep;
use crate::context::wait::{Awake, Sleeper};
use crate::engine::bed::doze;
use crate::engine::work::Shield;
use crate::request::{Request, Task};
use crate::sys::clock::Timeout;
use crate::sys::errno::Errno;
use crate::sys::file::Direction;
use crate::sys::{fd, poll};

impl Sleeper<'_> {
    /// Does queued work until there are `need` events, or others can bring them. `None`: there was
    /// none to be done here.
    pub(super) fn help(&self, need: u32) -> Option<Awake> {
        let can_help = self.timeout == Timeout::Never
            && self.mask().is_none()
            && !self.context.is_background();
        self.context.engines.note_wait(can_help);
        if !can_help || !self.is_help_needed() {
            return None;
        }
        let mut shield = Shield::raise();
        let mut awake = None;
        // A write beyond a limit would have its signal here.
        let may_write = fd::limit(RLIMIT_FSIZE).is_none();
        while self.context.engines.help(&shield, |request| is_wanted(request, may_write)) {
            awake = Some(match self.admit_signals(need, &shield) {
                Awake::NewRole => self.end_of_wait(need).unwrap_or(Awake::NewRole),
                awake => awake,
            });
            if awake != Some(Awake::NewRole) || !self.is_help_needed() {
                break;
            }
            shield.renew();
        }
        shield.lower();
        if awake.is_none() {
            // It is not for us.
            self.context.engines.note_wait(false);
        }
        awake
    }

    /// Whether all that can bring events is queued for workers.
    fn is_help_needed(&self) -> bool {
        let waiting = self.context.engines.waiting();
        waiting > 0 && waiting == self.context.completions.in_flight()
    }

    /// Lets signals come; [`Awake::NewRole`] if there were none for a handler.
    fn admit_signals(&self, need: u32, shield: &Shield) -> Awake {
        const NOW: timespec = timespec { tv_sec: 0, tv_nsec: 0 };
        let Some(waiter) = self.join(need, Sleep::Futex) else { return Awake::NewRole };
        match doze(&waiter, || poll::wait(&mut [], Some(&NOW), Some(&shield.mask()))) {
            Err(over) => over.into(),
            Ok(Err(Errno::INTR)) => Awake::Interrupted,
            Ok(_) => Awake::NewRole,
        }
    }
}

/// What may be done in place of a worker.
fn is_wanted(request: &Request, may_write: bool) -> bool {
    match request.work().map(|work| &work.task) {
        // The priority is the thread's while it works.
        Some(Task::Transfer(transfer)) => {
            transfer.priority.is_none() && (may_write || transfer.direction == Direction::Read)
        }
        Some(Task::Sync { .. }) => true,
        _ => false,
    }
}
