//! How far a request in io_uring has come, so that a first attempt that must not block can be
//! followed by another one: in the thread that submits, while it is still inside io_submit, because
//! what blocks is done there, with its rights and its signals; or later, by whoever learns of it.
//!
//! The submitter and who takes the completion meet in one word. Either the completion comes first and
//! the submitter finds the request *set back*; or the submission ends first, and who takes the
//! completion has to see to it.

use crate::sync::{AtomicU32, Ordering};

/// The submitter is inside io_submit.
const SUBMITTING: u32 = 0;
/// It has left the request.
const SUBMITTED: u32 = 1;
/// The attempt failed; the submitter will do something else.
const SET_BACK: u32 = 2;

/// Whose it is to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Turn {
    /// The caller's.
    Own,
    /// Somebody else's.
    Others,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Progress(AtomicU32);

impl Progress {
    /// An attempt begins, in io_submit; nobody else knows the request.
    pub fn begin(&self) {
        self.0.store(SUBMITTING, Ordering::Relaxed);
    }

    /// An attempt begins that nobody waits for.
    pub fn begin_alone(&self) {
        self.0.store(SUBMITTED, Ordering::Relaxed);
    }

    /// The attempt has failed, says its completion.
    pub fn set_back(&self) -> Turn {
        // AcqRel: Release, so that the result is there for the submitter; pairs with the Acquire in
        // `end_submission`. Acquire, so that its last writes are there for us if it has left.
        match self.0.compare_exchange(SUBMITTING, SET_BACK, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Turn::Others,
            Err(_) => Turn::Own,
        }
    }

    /// The submitter is about to leave the request.
    pub fn end_submission(&self) -> Turn {
        // AcqRel: pairs with both orders in `set_back`: Acquire for the result of a request that was
        // set back, Release for who takes over.
        match self.0.swap(SUBMITTED, Ordering::AcqRel) {
            SET_BACK => Turn::Own,
            _ => Turn::Others,
        }
    }
}
