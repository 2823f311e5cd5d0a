//! Which side retries a transfer that io_uring did not do without blocking.
//!
//! A transfer is first submitted with RWF_NOWAIT. If its CQE is -EAGAIN, exactly one side retries:
//! the submitter while it is still in io_submit (its credentials, its signals), else the harvester.
//! This word decides: either the completion comes first, and the submitter finds it; or the
//! submission ends first, and whoever harvests the completion retries.

use bytemuck::Zeroable;

use crate::sync::{AtomicU32, Ordering};

/// The submitter is inside io_submit.
const SUBMITTING: u32 = 0;
/// The submitter has left the request.
const SUBMITTED: u32 = 1;
/// The attempt has failed, and the submitter is to retry.
const NOWAIT_FAILED: u32 = 2;

/// The side that retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum RetryBy {
    /// The thread inside io_submit; or nobody, if the attempt does not fail.
    Submitter,
    /// Whoever harvests the completion, if the attempt fails.
    Harvester,
}

/// See the module.
#[derive(Debug, Default)]
pub struct RetryHandoff(AtomicU32);

// SAFETY: an integer.
unsafe impl Zeroable for RetryHandoff {}

impl RetryHandoff {
    /// An attempt begins in io_submit. Nobody else knows the request.
    pub fn begin(&self) {
        self.0.store(SUBMITTING, Ordering::Relaxed);
    }

    /// An attempt begins whose end the submitter does not wait for.
    pub fn begin_detached(&self) {
        self.0.store(SUBMITTED, Ordering::Relaxed);
    }

    /// The harvester has found that the attempt failed.
    pub fn nowait_failed(&self) -> RetryBy {
        // AcqRel: Release, so that the result is there for the submitter; pairs with the Acquire in
        // `submitter_done`. Acquire, so that its last writes are there for us if it has left.
        let handed_over =
            self.0.compare_exchange(SUBMITTING, NOWAIT_FAILED, Ordering::AcqRel, Ordering::Acquire);
        if handed_over.is_ok() { RetryBy::Submitter } else { RetryBy::Harvester }
    }

    /// The submitter is about to leave the request.
    pub fn submitter_done(&self) -> RetryBy {
        // AcqRel: pairs with both orders in `nowait_failed`: Acquire for the result of an attempt
        // that failed, Release for who retries.
        match self.0.swap(SUBMITTED, Ordering::AcqRel) {
            NOWAIT_FAILED => RetryBy::Submitter,
            _ => RetryBy::Harvester,
        }
    }
}
