//! Calls of the library by signal handlers that have interrupted another call of their thread.
//!
//! To the program a system call is one step: a handler runs before it, after it, or while it sleeps.
//! A call of ours can be interrupted anywhere, also while it holds a lock, for which the handler's
//! call would wait for ever. To block all signals in each call would cost two system calls more, and
//! few programs have such handlers. So it is done only in processes that have shown one:
//!
//! - A call begins *open* to handlers as long as there was none.
//! - It is *safe* while it sleeps: it holds no lock then.
//! - A handler's call that finds an open one under it is refused. From then on all calls of the
//!   process begin *shielded*, with all signals blocked but while they sleep, as in the kernel.
//!
//! divergence: that first call gets the answer of a moment without resources.
//!
//! *Who may touch what*: a thread's variables belong to it and to its handlers, which put everything
//! back before they return.
//!
//! *Orderings*: everything is relaxed: a thread whose calls are not shielded yet is refused itself
//! when it comes to it.

use core::cell::Cell;

use crate::sync::{AtomicBool, Ordering, compiler_fence, thread_local};
use crate::sys::poll::SigSet;
use crate::sys::signal;

/// A handler has called the library in the middle of a call.
static IS_CALLED_BY_HANDLERS: AtomicBool = AtomicBool::new(false);

/// How far the innermost call of a thread has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// There is none.
    Outside,
    /// It may hold locks.
    Open,
    /// It holds none, or no handler can come.
    Safe,
}

/// What a shielded call knows.
#[derive(Clone, Copy, Debug)]
struct Shield {
    /// The caller's signal mask.
    mask: SigSet,
    /// A handler made the call.
    is_nested: bool,
}

struct Thread {
    state: Cell<State>,
    /// Where on the stack the innermost call is.
    frame: Cell<usize>,
    /// `None` for an open call.
    shield: Cell<Option<Shield>>,
    /// Calls that were refused in a row.
    refusals: Cell<u32>,
}

/// After so many the open call is taken for one that a handler has left by longjmp.
const MOST_REFUSALS: u32 = 100;

thread_local! {
    static THREAD: Thread = const {
        Thread {
            state: Cell::new(State::Outside),
            frame: Cell::new(0),
            shield: Cell::new(None),
            refusals: Cell::new(0),
        }
    };
}

/// A call, until dropped.
#[derive(Debug)]
#[must_use]
pub struct Call {
    is_shielded: bool,
    /// What the thread's variables were before a shielded call.
    state: State,
    frame: usize,
    shield: Option<Shield>,
}

/// Begins a call. `None`: a handler makes it, and has interrupted an open one.
#[inline]
pub fn enter() -> Option<Call> {
    let here = address_of_frame();
    THREAD.with(|thread| {
        if thread.state.get() != State::Outside || IS_CALLED_BY_HANDLERS.load(Ordering::Relaxed) {
            return enter_shielded(thread, here);
        }
        thread.frame.set(here);
        // SeqCst: for handlers of this thread only; who sees the state sees the frame.
        compiler_fence(Ordering::SeqCst);
        thread.state.set(State::Open);
        // SeqCst: the state comes before the first lock.
        compiler_fence(Ordering::SeqCst);
        Some(Call { is_shielded: false, state: State::Outside, frame: 0, shield: None })
    })
}

/// An address on the stack, below all frames of the caller's callers.
#[inline(always)]
fn address_of_frame() -> usize {
    let here = 0u8;
    core::hint::black_box(&raw const here).addr()
}

#[cold]
fn enter_shielded(thread: &Thread, here: usize) -> Option<Call> {
    let mut under = thread.state.get();
    // Stacks grow downwards: a call that is not above us has been left by longjmp.
    if under != State::Outside && here >= thread.frame.get() && !signal::is_on_alternate_stack() {
        under = State::Outside;
    }
    if under != State::Outside {
        IS_CALLED_BY_HANDLERS.store(true, Ordering::Relaxed);
    }
    if under == State::Open {
        thread.refusals.set(thread.refusals.get() + 1);
        if thread.refusals.get() <= MOST_REFUSALS {
            return None;
        }
        under = State::Outside;
    }
    let is_nested = under != State::Outside;
    let mask = signal::block_all();
    thread.refusals.set(0);
    let before = thread.shield.replace(Some(Shield { mask, is_nested }));
    let frame = thread.frame.replace(here);
    thread.state.set(State::Safe);
    Some(Call { is_shielded: true, state: under, frame, shield: before.filter(|_| is_nested) })
}

impl Drop for Call {
    #[inline]
    fn drop(&mut self) {
        THREAD.with(|thread| {
            if self.is_shielded {
                return self.leave_shielded(thread);
            }
            // SeqCst: for handlers of this thread only; the last lock comes before the state.
            compiler_fence(Ordering::SeqCst);
            thread.state.set(State::Outside);
        });
    }
}

impl Call {
    #[cold]
    fn leave_shielded(&self, thread: &Thread) {
        let mine = thread.shield.replace(self.shield);
        thread.frame.set(self.frame);
        thread.state.set(self.state);
        // Handlers of what has come meanwhile run now.
        if let Some(mine) = mine {
            signal::set_mask(mine.mask);
        }
    }
}

/// The caller's signal mask, if the call is shielded: the one for its sleep.
#[inline]
pub fn mask() -> Option<SigSet> {
    THREAD.with(|thread| thread.shield.get()).map(|shield| shield.mask)
}

/// Whether a handler makes the call, and the thread has another one that cannot go on meanwhile.
#[inline]
pub fn is_nested() -> bool {
    THREAD.with(|thread| thread.shield.get()).is_some_and(|shield| shield.is_nested)
}

/// Sleeps. The thread holds no lock; [`mask`] is in force meanwhile, which is the callee's business.
pub fn asleep<R>(sleep: impl FnOnce() -> R) -> R {
    let before = THREAD.with(|thread| thread.state.replace(State::Safe));
    // SeqCst: for handlers of this thread only; they come after the state and before its return.
    compiler_fence(Ordering::SeqCst);
    let result = sleep();
    // SeqCst: as above.
    compiler_fence(Ordering::SeqCst);
    THREAD.with(|thread| thread.state.set(before));
    result
}

/// Makes a system call that blocks and takes no mask. The thread holds no lock.
pub fn lifted<R>(call: impl FnOnce() -> R) -> R {
    asleep(|| match mask() {
        Some(mask) => {
            signal::set_mask(mask);
            let result = call();
            signal::block_all();
            result
        }
        None => call(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tests share the process's flag.
    static ALONE: crate::sync::Lock<()> = crate::sync::Lock::new(());

    fn is_blocked() -> bool {
        let before = signal::block_all();
        signal::set_mask(before);
        before & (1 << (libc::SIGUSR1 - 1)) != 0
    }

    #[inline(never)]
    fn deeper<R>(call: impl FnOnce() -> R) -> R {
        let room = [0u8; 256];
        core::hint::black_box(&room);
        let result = call();
        core::hint::black_box(&room);
        result
    }

    #[test]
    fn a_handlers_call_is_refused_once_and_all_calls_are_shielded_then() {
        let _alone = ALONE.lock();
        IS_CALLED_BY_HANDLERS.store(false, Ordering::Relaxed);
        let open = enter().unwrap();
        assert!(!is_blocked() && mask().is_none());
        // As a handler would.
        assert!(deeper(enter).is_none());
        drop(open);
        let shielded = enter().unwrap();
        assert!(is_blocked() && !is_nested());
        let nested = deeper(enter).unwrap();
        assert!(is_nested());
        drop(nested);
        assert!(!is_nested() && is_blocked());
        lifted(|| assert!(!is_blocked()));
        assert!(is_blocked());
        drop(shielded);
        assert!(!is_blocked() && mask().is_none());
    }

    #[test]
    fn a_call_asleep_lets_handlers_call() {
        let _alone = ALONE.lock();
        IS_CALLED_BY_HANDLERS.store(false, Ordering::Relaxed);
        let open = enter().unwrap();
        asleep(|| {
            let nested = deeper(enter).unwrap();
            assert!(is_blocked() && is_nested());
            drop(nested);
            assert!(!is_blocked());
        });
        assert!(deeper(enter).is_none(), "it is awake");
        drop(open);
    }

    #[test]
    fn a_call_that_was_left_by_longjmp_is_forgotten() {
        let _alone = ALONE.lock();
        IS_CALLED_BY_HANDLERS.store(false, Ordering::Relaxed);
        deeper(|| deeper(|| core::mem::forget(enter().unwrap())));
        let call = enter().unwrap();
        assert!(!is_nested());
        drop(call);
        // Where the place does not tell, it takes a while.
        IS_CALLED_BY_HANDLERS.store(false, Ordering::Relaxed);
        core::mem::forget(enter().unwrap());
        assert_eq!((0..200).filter(|_| deeper(enter).is_none()).count(), MOST_REFUSALS as usize);
        assert!(!is_blocked());
    }
}
