//! io_destroy, seen from inside: fs/aio.c, kill_ioctx, free_ioctx_users and free_ioctx_reqs.

use crate::context::Context;
use crate::files::pins;
use crate::request::Task;
use crate::sync::Ordering;

impl Context {
    /// Refuses new waits and wakes the waiters, which return what they have, or EINVAL. Callers
    /// that look the context up do not find it any more.
    pub fn shutdown(&self) {
        // Relaxed: `wake_all` has the fence that pairs with the waiters'.
        self.is_dead.store(true, Ordering::Relaxed);
        self.completions.waiters.wake_all();
    }

    /// Whether io_destroy has begun.
    pub(super) fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::Relaxed)
    }

    /// Cancels polls, waits for the rest and closes everything. No call is inside any more, but for
    /// those that the calling thread, in a signal handler, has interrupted, and those that were
    /// given up: they may go on to use what belongs to the engines, which stays until
    /// [`Context::close`].
    ///
    /// Reads, writes and syncs that no worker has started are not cancelled but done: the kernel's
    /// are on their way when io_submit returns, and programs rely on that.
    pub fn drain(&'static self, may_be_inside: bool) {
        self.release();
        self.poller.harvest();
        let mut next = 0;
        while let Some((request, following)) = self.completions.slab.hold_next(next) {
            match request.work().map(|work| &work.task) {
                Some(Task::Poll { .. }) => {
                    self.cancel_held(request);
                }
                _ => self.completions.put(request),
            }
            next = following;
        }
        if may_be_inside {
            self.engines.doubt();
        }
        self.engines.drain();
        self.completions.drain();
        pins::sweep();
        self.poller.close();
        if !may_be_inside {
            self.close();
        }
    }

    /// Closes what [`Context::drain`] has kept. No call is inside any more.
    pub fn close(&self) {
        self.engines.close();
    }

    /// Gives the memory of requests back, after [`Context::drain`]. No call is inside any more.
    pub fn clear(&self) {
        // SAFETY: every request is gone, no call is inside, and no worker holds a request.
        unsafe {
            self.completions.slab.clear();
            self.completions.holds.clear();
            self.completions.waiters.clear();
        }
    }
}
