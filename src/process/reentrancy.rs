//! Calls of the library by signal handlers that have interrupted another call of their thread; and
//! calls that were left by such a handler, which jumped out of them (siglongjmp).
//!
//! To the program a system call is one step: a handler runs before it, after it, or while it
//! sleeps. A call of ours can be interrupted anywhere, also while it holds a lock, for which the
//! handler's call would wait for ever. To block all signals in each call would cost two system
//! calls more, and few programs have such handlers. So it is done only in processes that have shown
//! one:
//!
//! - A call begins *open* to handlers as long as there was none.
//! - It is *safe* while it sleeps: it holds no lock then, and what it owns is written down where
//!   others can undo it ([`crate::completion::waiters`]).
//! - A handler's call that finds an open one under it is refused. From then on all calls of the
//!   process begin *shielded*, with all signals blocked but while they sleep, as in the kernel.
//! - A call that finds an older one of its thread left has it undone. From then on as above.
//!
//! divergence: that first call gets the answer of a moment without resources.
//!
//! *Which calls were left*: each has a [`StackMark`] on its stack. Those of a thread lie one below
//! the other, since a call is above another one only by a handler that has interrupted it, with
//! what the kernel saves in between (`SAVED`). So one whose mark is overwritten, or lies too near
//! to the caller's or below it, has been left. One that was left and whose mark nobody has
//! overwritten is taken for one that sleeps below a handler, until somebody does.
//!
//! *Who may touch what*: a thread's variables belong to it and to its handlers, which put
//! everything back before they return. A child of clone(CLONE_VM) may use them too, one after the
//! other as after vfork: it undoes nothing, its number is another one.
//!
//! *Orderings*: everything is relaxed: a thread whose calls are not shielded yet is refused itself
//! when it comes to it.

use core::cell::Cell;
use core::ptr;

use crate::sync::{AtomicBool, Ordering, compiler_fence, thread_local};
use crate::sys::errno::Errno;
use crate::sys::poll::SigSet;
use crate::sys::{mmap, signal, task};

/// A handler has called the library in the middle of a call, or has left one.
static IS_SHIELDED: AtomicBool = AtomicBool::new(false);

/// Bytes between a stack pointer and a handler that has interrupted there: x86-64's red zone, its
/// `rt_sigframe` and the smallest state of the floating point unit are 1,080; others' are larger.
const SAVED: usize = 1024;

/// How many calls of a thread may be on its stack, each but the last interrupted in its sleep.
const DEPTH: usize = 8;

/// How far the innermost call of a thread has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// There has never been one.
    New,
    /// There is none.
    Outside,
    /// It may hold locks.
    Open,
    /// It holds none, or no handler can come.
    Safe,
}

/// A call of a thread.
struct Frame {
    /// Address of its [`StackMark`].
    mark: Cell<usize>,
    /// The caller's signal mask; `None` for an open call.
    mask: Cell<Option<SigSet>>,
    /// What it holds: see [`note`].
    note: Cell<usize>,
    /// While it sleeps: an address at the end of its stack; else 0.
    end: Cell<usize>,
}

impl Frame {
    /// Whether the call was left; `here`: where the stack of the thread is.
    fn is_left(&self, here: usize) -> bool {
        let address = self.mark.get();
        // Stacks grow downwards: a call that is not above us has been left, too.
        let end = match self.end.get() {
            0 => address,
            end => end,
        };
        !StackMark::is_alive(address) || (here + SAVED > end && !signal::is_on_alternate_stack())
    }
}

struct Thread {
    /// Its number.
    task: Cell<u32>,
    /// Of the innermost call.
    state: Cell<State>,
    /// Calls under the innermost one: its place.
    under: Cell<usize>,
    frames: [Frame; DEPTH],
}

impl Thread {
    fn innermost(&self) -> &Frame {
        // `under` is below DEPTH.
        &self.frames[self.under.get() % DEPTH]
    }
}

/// Names a call, in this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// Number of its thread.
    pub task: u32,
    /// Address of its [`StackMark`].
    pub frame: usize,
}

/// A call that was left.
#[derive(Clone, Copy, Debug)]
pub struct Left {
    /// Which.
    pub owner: Owner,
    /// What it had noted; not 0.
    pub note: usize,
}

/// Lies on the stack of a call, and tells whether that is still there: a handler may have left it
/// by longjmp.
#[derive(Debug, Default)]
pub struct StackMark(Cell<usize>);

impl StackMark {
    const ALIVE: usize = 0x5f75_6169_6f5f_696e;

    /// Of a call that has not begun.
    pub fn new() -> StackMark {
        StackMark(Cell::new(0))
    }

    fn address(&self) -> usize {
        ptr::from_ref(self).expose_provenance()
    }

    fn set(&self, value: usize) {
        // SAFETY: a word of our own. Volatile: it is read by its address alone.
        unsafe { self.0.as_ptr().write_volatile(value) };
    }

    fn is_alive(address: usize) -> bool {
        match mmap::read_safely::<usize>(address) {
            Ok(value) => value == StackMark::ALIVE ^ address,
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
            task: Cell::new(0),
            state: Cell::new(State::New),
            under: Cell::new(0),
            frames: [const {
                Frame {
                    mark: Cell::new(0),
                    mask: Cell::new(None),
                    note: Cell::new(0),
                    end: Cell::new(0),
                }
            }; DEPTH],
        }
    };
}

/// A call, until dropped.
#[derive(Debug)]
#[must_use]
pub struct Call<'a> {
    mark: &'a StackMark,
    /// The caller's signal mask, if the call is shielded. Here, because a child of clone(CLONE_VM)
    /// may use the thread's variables at the same time.
    mask: Option<SigSet>,
    /// Its place, and what the thread's variables were before.
    place: usize,
    state: State,
    under: usize,
    frame: usize,
}

/// Begins a call, whose frame holds `mark`. `None`: a handler makes it, and has interrupted an open
/// one. `undo` gets the calls that were left.
#[inline]
pub fn enter(mark: &StackMark, undo: fn(Left)) -> Option<Call<'_>> {
    let here = mark.address();
    mark.set(StackMark::ALIVE ^ here);
    THREAD.with(|thread| {
        if thread.state.get() != State::Outside || IS_SHIELDED.load(Ordering::Relaxed) {
            return enter_with_care(thread, mark, undo);
        }
        Some(enter_open(thread, mark))
    })
}

/// As [`enter`], with all signals blocked: for what the kernel does without a break, and where two
/// system calls more do not count.
pub fn enter_shielded(mark: &StackMark, undo: fn(Left)) -> Option<Call<'_>> {
    mark.set(StackMark::ALIVE ^ mark.address());
    THREAD.with(|thread| enter_blocked(thread, mark, undo))
}

#[inline]
fn enter_open<'a>(thread: &Thread, mark: &'a StackMark) -> Call<'a> {
    let frame = thread.frames[0].mark.replace(mark.address());
    thread.frames[0].note.set(0);
    // SeqCst: for handlers of this thread only; a handler that sees the state sees the frame. A
    // handler that comes in between puts the frame back.
    compiler_fence(Ordering::SeqCst);
    thread.state.set(State::Open);
    // SeqCst: the state comes before the first lock.
    compiler_fence(Ordering::SeqCst);
    Call { mark, mask: None, place: 0, state: State::Outside, under: 0, frame }
}

#[cold]
fn enter_with_care<'a>(thread: &Thread, mark: &'a StackMark, undo: fn(Left)) -> Option<Call<'a>> {
    if thread.state.get() == State::New && !IS_SHIELDED.load(Ordering::Relaxed) {
        thread.task.set(task::id());
        thread.state.set(State::Outside);
        return Some(enter_open(thread, mark));
    }
    enter_blocked(thread, mark, undo)
}

#[cold]
fn enter_blocked<'a>(thread: &Thread, mark: &'a StackMark, undo: fn(Left)) -> Option<Call<'a>> {
    let mask = signal::block_all();
    if matches!(thread.state.get(), State::New | State::Outside) {
        thread.task.set(task::id());
        thread.state.set(State::Outside);
    }
    let is_free = forget_left(thread, mark, undo);
    let state = thread.state.get();
    let under = thread.under.get();
    let place = if state == State::Outside { 0 } else { under + 1 };
    if state != State::Outside {
        IS_SHIELDED.store(true, Ordering::Relaxed);
    }
    let is_refused = state == State::Open && !is_free;
    let Some(own) = thread.frames.get(place).filter(|_| !is_refused) else {
        mark.set(0);
        signal::set_mask(mask);
        return None;
    };
    let frame = own.mark.replace(mark.address());
    own.note.set(0);
    own.mask.set(Some(mask));
    thread.under.set(place);
    thread.state.set(State::Safe);
    Some(Call { mark, mask: Some(mask), place, state, under, frame })
}

/// Has the thread's calls undone that were left, from the innermost on. True: the innermost one
/// that there is was left, but it is not ours to undo.
fn forget_left(thread: &Thread, mark: &StackMark, undo: fn(Left)) -> bool {
    loop {
        let state = thread.state.get();
        let frame = thread.innermost();
        let address = frame.mark.get();
        if state == State::Outside {
            return false;
        }
        if !frame.is_left(mark.address()) {
            return false;
        }
        let owner = Owner { task: thread.task.get(), frame: address };
        if owner.task != task::id() {
            return true;
        }
        IS_SHIELDED.store(true, Ordering::Relaxed);
        let note = frame.note.replace(0);
        frame.end.set(0);
        frame.mask.set(None);
        match thread.under.get() {
            0 => thread.state.set(State::Outside),
            under => {
                // Only a sleeping call has others above it.
                thread.under.set(under - 1);
                thread.state.set(State::Safe);
            }
        }
        if note != 0 {
            undo(Left { owner, note });
        }
    }
}

impl Drop for Call<'_> {
    #[inline]
    fn drop(&mut self) {
        THREAD.with(|thread| {
            let Some(own) = thread.frames.get(self.place) else { return };
            own.note.set(0);
            if self.mask.is_some() {
                own.mask.set(None);
                thread.under.set(self.under);
            }
            // SeqCst: for handlers of this thread only; the last lock comes before the state.
            compiler_fence(Ordering::SeqCst);
            thread.state.set(self.state);
            // SeqCst: as above; while a state is seen, its frame is.
            compiler_fence(Ordering::SeqCst);
            own.mark.set(self.frame);
        });
        self.mark.set(0);
        if let Some(mask) = self.mask {
            // Handlers of what has come meanwhile run now.
            signal::set_mask(mask);
        }
    }
}

/// Notes what the innermost call holds, which whoever undoes it has to give back; 0 for nothing.
#[inline]
pub fn note(what: usize) {
    THREAD.with(|thread| thread.innermost().note.set(what));
}

/// How many of the thread's calls have noted `what`.
pub fn noted(what: usize) -> u32 {
    THREAD.with(|thread| {
        let frames = thread.frames.iter().take(thread.under.get() + 1);
        frames.filter(|frame| frame.note.get() == what).count() as u32
    })
}

/// This is a forked child: what its calls hold belongs to the parent. Returns which of the parent's
/// threads it comes from.
pub fn forget_notes() -> u32 {
    THREAD.with(|thread| {
        thread.frames.iter().for_each(|frame| frame.note.set(0));
        thread.task.replace(task::id())
    })
}

/// Whether the thread's call whose mark is at `address` was left. The thread makes no other one.
pub fn is_left(address: usize) -> bool {
    let here = 0u8;
    THREAD.with(|thread| {
        let depth = match thread.state.get() {
            State::New | State::Outside => 0,
            State::Open | State::Safe => thread.under.get() + 1,
        };
        let mut frames = thread.frames.iter().take(depth);
        let frame = frames.find(|frame| frame.mark.get() == address);
        frame.is_none_or(|frame| frame.is_left((&raw const here).addr()))
    })
}

/// The innermost call.
#[inline]
pub fn owner() -> Owner {
    THREAD.with(|thread| Owner { task: thread.task.get(), frame: thread.innermost().mark.get() })
}

/// The caller's signal mask, if the call is shielded: the one for its sleep.
#[inline]
pub fn mask() -> Option<SigSet> {
    THREAD.with(|thread| thread.innermost().mask.get())
}

/// Whether a handler makes the call, and the thread has another one that cannot go on meanwhile.
#[inline]
pub fn is_nested() -> bool {
    THREAD.with(|thread| thread.under.get() > 0)
}

/// Sleeps. The thread holds no lock; [`mask`] is in force meanwhile, which is the callee's
/// business.
pub fn blocking<R>(sleep: impl FnOnce() -> R) -> R {
    let here = 0u8;
    let before = THREAD.with(|thread| {
        thread.innermost().end.set((&raw const here).addr());
        thread.state.replace(State::Safe)
    });
    // SeqCst: for handlers of this thread only; they come after the state and before its return.
    compiler_fence(Ordering::SeqCst);
    let result = sleep();
    // SeqCst: as above.
    compiler_fence(Ordering::SeqCst);
    THREAD.with(|thread| {
        thread.state.set(before);
        thread.innermost().end.set(0);
    });
    result
}

/// Makes a system call that blocks and takes no mask. The thread holds no lock.
pub fn lifted<R>(call: impl FnOnce() -> R) -> R {
    blocking(|| match mask() {
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

    fn undone(_: Left) {}

    /// The tests share the process's flag.
    static ALONE: crate::lock::Lock<()> = crate::lock::Lock::new(());

    fn is_blocked() -> bool {
        let before = signal::block_all();
        signal::set_mask(before);
        before & (1 << (libc::SIGUSR1 - 1)) != 0
    }

    #[inline(never)]
    fn deeper<R>(call: impl FnOnce() -> R) -> R {
        let room = [0u8; 2 * SAVED];
        core::hint::black_box(&room);
        let result = call();
        core::hint::black_box(&room);
        result
    }

    /// Whether a call would be refused, made from further down the stack.
    fn is_refused() -> bool {
        deeper(|| enter(&StackMark::new(), undone).is_none())
    }

    #[test]
    fn a_handlers_call_is_refused_until_the_open_one_ends() {
        let _alone = ALONE.lock();
        IS_SHIELDED.store(false, Ordering::Relaxed);
        let mark = StackMark::new();
        let open = enter(&mark, undone).unwrap();
        assert!(!is_blocked() && mask().is_none());
        // As a handler would, over and over.
        assert!((0..1000).all(|_| is_refused()));
        drop(open);
        let shielded = enter(&mark, undone).unwrap();
        assert!(is_blocked() && !is_nested());
        deeper(|| {
            let mark = StackMark::new();
            let nested = enter(&mark, undone).unwrap();
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
        IS_SHIELDED.store(false, Ordering::Relaxed);
        let mark = StackMark::new();
        let open = enter(&mark, undone).unwrap();
        blocking(|| {
            deeper(|| {
                let mark = StackMark::new();
                let nested = enter(&mark, undone).unwrap();
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
        IS_SHIELDED.store(false, Ordering::Relaxed);
        // Left behind further down.
        deeper(|| deeper(|| core::mem::forget(enter(&StackMark::new(), undone).unwrap())));
        let mark = StackMark::new();
        let call = enter(&mark, undone).unwrap();
        assert!(!is_nested());
        drop(call);
        // Left behind further up, and overwritten.
        IS_SHIELDED.store(false, Ordering::Relaxed);
        core::mem::forget(enter(&mark, undone).unwrap());
        assert!(is_refused());
        mark.set(1);
        assert!(!is_refused());
        assert!(!is_blocked());
    }
}
