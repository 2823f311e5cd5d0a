//! io_cancel.
//!
//! The request is found under the context lock and cancelled outside it: the poller's or the
//! engine's cancellation may complete it, which takes completion's own locks.

use crate::context::Context;
use crate::request::{Request, Task};
use crate::sys::errno::{Errno, Result};

/// What became of a request that was to be cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Its event says so, or will.
    Cancelled,
    /// Somebody is at work on it.
    Running,
    /// It had ended just now.
    Decided,
}

impl Outcome {
    fn of(request: &Request, is_cancelled: bool) -> Outcome {
        match is_cancelled {
            true => Outcome::Cancelled,
            false if request.state.is_open() => Outcome::Running,
            false => Outcome::Decided,
        }
    }
}

impl Context {
    /// Cancels the oldest request made from the iocb at `iocb`; its event follows.
    ///
    /// EINVAL: there is none in flight, or it cannot be cancelled any more.
    pub fn cancel(&self, iocb: usize) -> Result<()> {
        // A poll that is ready has completed, for the kernel.
        self.poller.harvest();
        self.harvest(usize::MAX).wake_waiters(&self.completions);
        if self.engines.cancel_iocb(iocb) {
            return Ok(());
        }
        while let Some(request) = self.completions.slab.hold_oldest(iocb) {
            match self.cancel_held(request) {
                Outcome::Cancelled => return Ok(()),
                Outcome::Running => break,
                // Another one of the same iocb may be waiting.
                Outcome::Decided => {}
            }
        }
        Err(Errno::INVAL)
    }

    /// Cancels a request to which the caller holds a reference, and drops that.
    pub(super) fn cancel_held(&self, request: &Request) -> Outcome {
        let is_cancelled = match request.work().map(|work| &work.task) {
            Some(Task::Poll { .. }) => self.poller.cancel(request),
            _ => self.engines.cancel(request),
        };
        let outcome = Outcome::of(request, is_cancelled);
        self.completions.put(request);
        outcome
    }
}
