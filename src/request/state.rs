//! The state word of a request: its references, and whether its outcome is decided.
//!
//! A request is born with two references, the submitter's and the asynchronous side's (poller or
//! engine), as in fs/aio.c since 5.1. Whoever decides the outcome claims the request first, stores
//! the result, and then drops the reference it has taken over. Whoever drops the last reference
//! posts the event. So an event never comes before the end of its submission, and submission,
//! wake-up and cancellation may come in any order.
//!
//! *Rules*
//! 1. The outcome is decided by exactly one party: the one whose [`State::claim`] wins. It owns the
//!    asynchronous side's reference from then on.
//! 2. The result is written between a won claim and the `put` that follows it, by the winner only;
//!    after that the submitter may change it, if it holds the last reference
//!    ([`State::references`]).
//! 3. A third party (cancellation) holds a reference of its own while it works, so that the request
//!    does not end under its hands.
//! 4. Cancellation looks only at requests that are armed: the submission may still fail before.
//! 5. All transitions are read-modify-write operations on the one word.

use bytemuck::Zeroable;

use crate::sync::{AtomicU32, Ordering};

/// The outcome is decided or being decided. Set once, never unset until rebirth.
const CLAIMED: u32 = 1;
/// The asynchronous side has it. Set once, under the lock of the list that it goes on.
const ARMED: u32 = 2;
/// One reference.
const REFERENCE: u32 = 4;

/// What [`State::claim`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Claim {
    /// The caller decides the outcome.
    Won,
    /// Somebody else does.
    Lost,
}

/// What [`State::put`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Put {
    /// The caller was the last one and completes the request.
    Last,
    /// Others still hold it.
    Shared,
}

/// See the module. Zero is a request that does not exist.
#[derive(Debug, Default)]
pub struct State(AtomicU32);

// SAFETY: an integer.
unsafe impl Zeroable for State {}

impl State {
    /// A request begins: two references, no outcome.
    pub fn begin(&self) {
        // Release: whoever finds the request alive (`try_hold`) sees its fields.
        self.0.store(2 * REFERENCE, Ordering::Release);
    }

    /// The asynchronous side takes the request over; the submission can no longer fail.
    pub fn arm(&self) {
        // Release: pairs with the Acquire in `is_open`.
        self.0.fetch_or(ARMED, Ordering::Release);
    }

    /// Tries to win the decision about the outcome.
    pub fn claim(&self) -> Claim {
        // AcqRel: the winner sees what the submitter wrote before it armed the request; a loser
        // orders nothing.
        match self.0.fetch_or(CLAIMED, Ordering::AcqRel) & CLAIMED {
            0 => Claim::Won,
            _ => Claim::Lost,
        }
    }

    /// Whether it is armed and its outcome is not decided.
    pub fn is_open(&self) -> bool {
        // Acquire: pairs with the Release in `arm`.
        self.0.load(Ordering::Acquire) & (ARMED | CLAIMED) == ARMED
    }

    /// How many references there are.
    pub fn references(&self) -> u32 {
        // Acquire: pairs with the Release in `put`: what those did that are gone is done.
        self.0.load(Ordering::Acquire) / REFERENCE
    }

    /// Takes one more reference, unless the last one is gone.
    #[must_use]
    pub fn try_hold(&self) -> bool {
        let mut word = self.0.load(Ordering::Relaxed);
        while word >= REFERENCE {
            // Acquire: pairs with the Release in `begin`.
            match self.0.compare_exchange_weak(
                word,
                word + REFERENCE,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(current) => word = current,
            }
        }
        false
    }

    /// Drops a reference.
    pub fn put(&self) -> Put {
        // AcqRel: Release publishes the result of the winner to the last one, which sees it by
        // Acquire, and with it everything that the others did with the request.
        let word = self.0.fetch_sub(REFERENCE, Ordering::AcqRel);
        debug_assert!(word >= REFERENCE, "a reference was dropped twice");
        if word / REFERENCE == 1 { Put::Last } else { Put::Shared }
    }
}
