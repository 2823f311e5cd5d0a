//! io_submit without questions. What a context believes of descriptors decides how their iocbs are
//! attempted: the kernel looks each of them up in any case before something is done.
//!
//! What a single transfer needs is inlined into one function: to move it from frame to frame would
//! cost more than to decode it.

use crate::aio_abi::{IOCB_FLAG_RESFD, Iocb};
use crate::context::Context;
use crate::engine::batch::Checked;
use crate::engine::stream::PendingSignals;
use crate::files::beliefs::Belief;
use crate::memory::user::{self, Pages};
use crate::process::fork_generation;
use crate::request::decode;
use crate::sync::Ordering;

impl Context {
    /// Submits iocbs whose addresses are in an array, from the first on; how many. 0: nothing was
    /// done, and why will be found out by questions.
    #[inline]
    pub(super) fn submit_believed(
        &'static self,
        pages: &mut Pages,
        nr: usize,
        iocbs: usize,
    ) -> usize {
        if nr == 0 || self.is_background() || self.is_raw.load(Ordering::Relaxed) {
            return 0;
        }
        let Ok(first) = self.read(pages, iocbs, true) else { return 0 };
        if nr == 1
            && decode::direction(&first.iocb).is_some()
            && let Some(belief) = self.beliefs.of(first.iocb.fildes)
            && belief.status().is_opened_by_path()
            && !belief.status().is_direct()
        {
            return usize::from(self.attempt_alone(pages, &first, belief));
        }
        let mut known = None;
        if !self.engines.take_iocbs()
            || !self.goes_as_it_is(&first.iocb, first.address, nr, &mut known)
            || pages.check_readable(iocbs, nr.saturating_mul(size_of::<usize>())).is_err()
        {
            return 0;
        }
        for index in 1..nr {
            // SAFETY: the array was found to be readable; an address.
            let address = unsafe { user::read::<usize>(iocbs + index * size_of::<usize>()) };
            let known_iocb = pages.known_iocb(address);
            let Some(iocb) = known_iocb.or_else(|| pages.read_iocb(address).ok().map(|it| it.0))
            else {
                return 0;
            };
            let is_sound = decode::check_header(&iocb).is_ok();
            if !is_sound || !self.goes_as_it_is(&iocb, address, nr, &mut known) {
                return 0;
            }
        }
        let slots = nr as u32;
        if self.completions.ring.reserve_all(slots).is_err() {
            return 0;
        }
        let submitted = self.engines.submit_iocbs(slots, iocbs).unwrap_or(0);
        if fork_generation::is_forked() {
            // A handler has forked, and this is the child.
            return nr;
        }
        match submitted == nr {
            // What a handler has destroyed has nothing to look at.
            true if self.is_dead() => {}
            true => {
                if decode::is_poll(&first.iocb) {
                    self.poller.learn(self.engines.events_of_iocbs() as usize, nr);
                }
                self.engines.end_iocbs();
            }
            false => self.completions.ring.unreserve(slots - submitted as u32),
        }
        submitted
    }

    /// Whether an iocb at `address` may go to an engine as it is, as one of `nr`. `known`: the
    /// descriptor for which that was found out last.
    #[inline]
    pub(super) fn goes_as_it_is(
        &self,
        iocb: &Iocb,
        address: usize,
        nr: usize,
        known: &mut Option<i32>,
    ) -> bool {
        if iocb.flags & IOCB_FLAG_RESFD != 0 {
            return false;
        }
        if decode::direction(iocb).is_none() {
            return match decode::is_poll(iocb) {
                true => self.expects_wait() && self.engines.take_poll(address),
                false => decode::is_sync(iocb),
            };
        }
        if *known != Some(iocb.fildes) {
            let belief = self.beliefs.of(iocb.fildes);
            let goes = |belief: &Belief| belief.goes_as_it_is(self.together(nr));
            *known = belief.filter(goes).map(|_| iocb.fildes);
        }
        *known == Some(iocb.fildes)
    }

    /// Whether polls are not looked at before they are submitted: they have had to wait so far. If
    /// a thread waits for events, it is as with [`Context::together`] for those that are ready.
    #[inline]
    fn expects_wait(&self) -> bool {
        self.poller.expects_wait() && self.completions.waiters.is_empty()
    }

    /// How many of `nr` iocbs an engine may do together. A thread that sleeps there takes their
    /// events before they are in the ring, and what the submitter posts next would come first.
    ///
    /// divergence: one that begins to wait during the submission may do so.
    #[inline]
    pub(super) fn together(&self, nr: usize) -> usize {
        if self.completions.waiters.is_empty() { nr } else { nr.min(1) }
    }

    /// Does the only iocb of an array at once. False: nothing was done.
    #[inline(always)]
    fn attempt_alone(&'static self, pages: &mut Pages, checked: &Checked, belief: Belief) -> bool {
        if self.completions.ring.reserve().is_err() {
            return false;
        }
        let status = belief.status();
        let is_done = self.engines.attempt(pages, &mut PendingSignals::default(), checked, status);
        if !is_done {
            self.completions.ring.unreserve(1);
        }
        is_done
    }
}
