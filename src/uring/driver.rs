//! An instance in the hands of the driver, which submits and sleeps in one call.

use libc::timespec;

use crate::sync::Ordering;
use crate::sys::errno::{Errno, Result};
use crate::sys::uring::{self, Sqe};
use crate::uring::Instance;

impl Instance {
    /// Submits `entries`, no more than the queue holds, and then waits until a completion is there, at
    /// most `timeout`; without one it does not wait. How many entries the kernel took.
    ///
    /// ETIME and EINTR: as for [`Instance::wait`], but only if there was nothing to submit.
    pub fn submit_and_wait(
        &self,
        entries: &[Sqe],
        timeout: Option<&timespec>,
    ) -> (usize, Result<()>) {
        let head = self.rings.word(self.params.sq_off.head);
        let tail = self.rings.word(self.params.sq_off.tail);
        let mask = self.params.sq_entries - 1;
        let mut submission = self.submission.lock();
        if self.is_broken() || entries.len() > self.params.sq_entries as usize {
            return (0, Err(Errno::BADF));
        }
        let (first, count) = (*submission, entries.len() as u32);
        for (index, entry) in (0..).zip(entries) {
            let place = (first.wrapping_add(index) & mask) as usize;
            let slots = core::ptr::with_exposed_provenance_mut::<Sqe>(self.entries.start);
            // SAFETY: as in `Instance::submit`: `place` is below the number of entries, and nothing is
            // left there between two calls.
            unsafe { slots.add(place).write_volatile(*entry) };
        }
        // Release: publishes the entries to the kernel.
        tail.store(first.wrapping_add(count), Ordering::Release);
        let wanted = u32::from(timeout.is_some());
        let entered = self.enter(|name| {
            // Acquire: pairs with the kernel's Release. A second attempt goes on where the first ended.
            let left = count - head.load(Ordering::Acquire).wrapping_sub(first).min(count);
            uring::enter(name, left, wanted, timeout, None)
        });
        // Acquire: as above: consumed entries may be written again.
        let consumed = head.load(Ordering::Acquire).wrapping_sub(first).min(count);
        *submission = first.wrapping_add(consumed);
        // Release: takes the rest back.
        tail.store(*submission, Ordering::Release);
        (consumed as usize, entered.map(|_| ()))
    }

    /// Takes as many completions as `taken` has room for: what marks them, and their results. How many
    /// there were.
    pub fn take(&self, taken: &mut [(u64, i32)]) -> usize {
        let head = self.rings.word(self.params.cq_off.head);
        let tail = self.rings.word(self.params.cq_off.tail);
        let _harvest = self.harvest.lock();
        let position = head.load(Ordering::Relaxed);
        // Acquire: pairs with the kernel's Release: the completions are there.
        let there = tail.load(Ordering::Acquire).wrapping_sub(position) as usize;
        let count = there.min(taken.len());
        for (index, place) in (0..count as u32).zip(taken) {
            let cqe = self.completion(position.wrapping_add(index));
            *place = (cqe.user_data, cqe.res);
        }
        // Release: the completions are read before the kernel may overwrite them.
        head.store(position.wrapping_add(count as u32), Ordering::Release);
        count
    }
}
