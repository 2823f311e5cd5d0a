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
use core::ptr;

use crate::sync::{AtomicBool, Ordering, compiler_fence, thread_local};
use crate::sys::errno::Errno;
use crate::sys::poll::SigSet;
use crate::sys::{mmap, signal};

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
    /// Address of the [`Mark`] of the innermost call.
    frame: Cell<usize>,
    /// `None` for an open call.
    shield: Cell<Option<Shield>>,
}

/// Lies on the stack of a call, and tells whether that is still there: a handler may have left it by
/// longjmp.
#[derive(Debug, Default)]
pub struct Mark(Cell<usize>);

impl Mark {
    const ALIVE: usize = 0x5f75_6169_6f5f_696e;

    /// Of a call that has not begun.
    pub fn new() -> Mark {
        Mark(Cell::new(0))
    }

    fn address(&self) -> usize {
        ptr::from_ref(self).expose_provenance()
    }

    fn set(&self, value: usize) {
        // SAFETY: a word of our own. Volatile: it is read by who has only the address.
        unsafe { self.0.as_ptr().write_volatile(value) };
    }

    fn is_alive(address: usize) -> bool {
        match mmap::read_safely::<usize>(address) {
            Ok(value) => value == Mark::ALIVE ^ address,
            // A stack that was left may have been unmapped.
            Err(Errno::FAULT) => false,
            // A sandbox may forbid to look: into a call that runs nobody may be let.
            Err(_) => true,
        }
    }
}

thread_local! {
    static THREAD: Thread = const {
        Thread {
            state: Cell::new(State::Outside),
            frame: Cell::new(0),
            shield: Cell::new(None),
        }
    };
}

/// A call, until dropped.
#[derive(Debug)]
#[must_use]
pub struct Call<'a> {
    mark: &'a Mark,
    /// The caller's signal mask, if the call is shielded. Here, because a child of clone(CLONE_VM) may
    /// use the thread's variables at the same time.
    mask: Option<SigSet>,
    /// What the thread's variables were before.
    state: State,
    frame: usize,
    shield: Option<Shield>,
}

/// Begins a call, whose frame holds `mark`. `None`: a handler makes it, and has interrupted an open
/// one.
#[inline]
pub fn enter(mark: &Mark) -> Option<Call<'_>> {
    let here = mark.address();
    mark.set(Mark::ALIVE ^ here);
    THREAD.with(|thread| {
        if thread.state.get() != State::Outside || IS_CALLED_BY_HANDLERS.load(Ordering::Relaxed) {
            return enter_shielded(thread, mark);
        }
        let frame = thread.frame.replace(here);
        // SeqCst: for handlers of this thread only; who sees the state sees the frame. A handler that
        // comes in between puts the frame back.
        compiler_fence(Ordering::SeqCst);
        thread.state.set(State::Open);
        // SeqCst: the state comes before the first lock.
        compiler_fence(Ordering::SeqCst);
        Some(Call { mark, mask: None, state: State::Outside, frame, shield: None })
    })
}

#[cold]
fn enter_shielded<'a>(thread: &Thread, mark: &'a Mark) -> Option<Call<'a>> {
    let mut under = thread.state.get();
    let frame = thread.frame.get();
    if under != State::Outside {
        // Stacks grow downwards: a call that is not above us has been left, too.
        let is_left =
            !Mark::is_alive(frame) || (mark.address() >= frame && !signal::is_on_alternate_stack());
        if is_left {
            under = State::Outside;
        } else {
            IS_CALLED_BY_HANDLERS.store(true, Ordering::Relaxed);
        }
    }
    if under == State::Open {
        mark.set(0);
        return None;
    }
    let is_nested = under != State::Outside;
    let mask = signal::block_all();
    let before = thread.shield.replace(Some(Shield { mask, is_nested }));
    thread.frame.set(mark.address());
    thread.state.set(State::Safe);
    let shield = before.filter(|_| is_nested);
    Some(Call { mark, mask: Some(mask), state: under, frame, shield })
}

impl Drop for Call<'_> {
    #[inline]
    fn drop(&mut self) {
        THREAD.with(|thread| {
            // SeqCst: for handlers of this thread only; the last lock comes before the state.
            compiler_fence(Ordering::SeqCst);
            if self.mask.is_some() {
                thread.shield.set(self.shield);
            }
            thread.frame.set(self.frame);
            // SeqCst: who sees the state sees the frame.
            compiler_fence(Ordering::SeqCst);
            thread.state.set(self.state);
        });
        self.mark.set(0);
        if let Some(mask) = self.mask {
            // Handlers of what has come meanwhile run now.
            signal::set_mask(mask);
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

    /// Whether a call would be refused, made from further down the stack.
    fn is_refused() -> bool {
        deeper(|| enter(&Mark::new()).is_none())
    }

    #[test]
    fn a_handlers_call_is_refused_until_the_open_one_ends() {
        let _alone = ALONE.lock();
        IS_CALLED_BY_HANDLERS.store(false, Ordering::Relaxed);
        let mark = Mark::new();
        let open = enter(&mark).unwrap();
        assert!(!is_blocked() && mask().is_none());
        // As a handler would, over and over.
        assert!((0..1000).all(|_| is_refused()));
        drop(open);
        let shielded = enter(&mark).unwrap();
        assert!(is_blocked() && !is_nested());
        deeper(|| {
            let mark = Mark::new();
            let nested = enter(&mark).unwrap();
            assert!(is_nested());
            drop(nested);
        });
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
        let mark = Mark::new();
        let open = enter(&mark).unwrap();
        asleep(|| {
            deeper(|| {
                let mark = Mark::new();
                let nested = enter(&mark).unwrap();
                assert!(is_blocked() && is_nested());
                drop(nested);
            });
            assert!(!is_blocked());
        });
        assert!(is_refused(), "it is awake");
        drop(open);
    }

    #[test]
    fn a_call_that_was_left_by_longjmp_is_forgotten() {
        let _alone = ALONE.lock();
        IS_CALLED_BY_HANDLERS.store(false, Ordering::Relaxed);
        // Left behind further down.
        deeper(|| deeper(|| core::mem::forget(enter(&Mark::new()).unwrap())));
        let mark = Mark::new();
        let call = enter(&mark).unwrap();
        assert!(!is_nested());
        drop(call);
        // Left behind further up, and overwritten.
        IS_CALLED_BY_HANDLERS.store(false, Ordering::Relaxed);
        core::mem::forget(enter(&mark).unwrap());
        assert!(is_refused());
        mark.set(1);
        assert!(!is_refused());
        assert!(!is_blocked());
    }
}
