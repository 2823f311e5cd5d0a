//! Keeps fork and the changes of our descriptors apart.
//!
//! fork copies the descriptors first and the memory later. What is opened or closed between the two
//! is open in the child, and the child's memory does not say so; it could not close it, and would
//! keep a peer of the program waiting for the end of the data. So a change of descriptors and of
//! the note of them is a *section*: fork waits until no thread is in one, and no thread enters one
//! while a fork is on its way.
//!
//! A fork from a signal handler may have interrupted a section of its own thread: it does not wait
//! for long. A handler that has interrupted fork does not wait for that: fork copies what it
//! leaves.
//!
//! *Orderings*: a thread says that it is inside, then looks for forks; a fork says that it is
//! there, then looks at those inside. Both are SeqCst, so that one sees the other.

use core::cell::Cell;

use libc::timespec;

use crate::sync::{AtomicU32, Ordering, thread_local};
use crate::sys::{clock, futex};

/// Forks on their way.
static FORKS: AtomicU32 = AtomicU32::new(0);
/// Threads in sections.
static INSIDE: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// Forks of this thread on their way: more than one if a handler forks that has interrupted
    /// fork.
    static OWN: Cell<u32> = const { Cell::new(0) };
}

/// How long fork waits for sections to end; they take microseconds.
const MAX_WAIT: timespec = timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// A section, until dropped.
#[derive(Debug)]
#[must_use]
pub struct Section(());

/// Begins a section.
#[inline]
pub fn enter() -> Section {
    loop {
        // SeqCst, both: see the module.
        INSIDE.fetch_add(1, Ordering::SeqCst);
        let forks = FORKS.load(Ordering::SeqCst);
        if forks == 0 || OWN.with(Cell::get) > 0 {
            return Section(());
        }
        drop(Section(()));
        futex::wait(&FORKS, forks);
    }
}

impl Drop for Section {
    #[inline]
    fn drop(&mut self) {
        // Release: what was done is seen by the thread that finds nobody inside.
        INSIDE.fetch_sub(1, Ordering::Release);
    }
}

/// Before fork, in the parent.
pub extern "C" fn prepare() {
    OWN.with(|own| own.set(own.get() + 1));
    // SeqCst: see the module.
    FORKS.fetch_add(1, Ordering::SeqCst);
    let deadline = clock::after(&MAX_WAIT);
    // SeqCst: see the module.
    while INSIDE.load(Ordering::SeqCst) != 0 {
        let left = clock::until(&deadline);
        if left.tv_sec == 0 && left.tv_nsec == 0 {
            return;
        }
        core::hint::spin_loop();
    }
}

/// After fork, in the parent.
pub extern "C" fn parent() {
    // Release: pairs with nothing but the order of the handlers.
    FORKS.fetch_sub(1, Ordering::Release);
    OWN.with(|own| own.set(own.get().saturating_sub(1)));
    futex::wake(&FORKS, u32::MAX);
}

/// After fork, in the child.
pub fn child() {
    OWN.with(|own| own.set(own.get().saturating_sub(1)));
    FORKS.store(0, Ordering::Relaxed);
    INSIDE.store(0, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::AtomicBool;

    #[test]
    fn no_section_begins_while_a_fork_is_on_its_way() {
        let entered = AtomicBool::new(false);
        prepare();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _section = enter();
                entered.store(true, Ordering::Relaxed);
            });
            std::thread::sleep(std::time::Duration::from_millis(30));
            assert!(!entered.load(Ordering::Relaxed));
            parent();
        });
        assert!(entered.load(Ordering::Relaxed));
    }
}
