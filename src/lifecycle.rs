//! What happens when.
//!
//! - *Loading*: nothing.
//! - *First io_setup* of a process: the fork handlers are registered.
//! - *Last io_destroy*: threads, descriptors and instances of ours go. A later io_setup makes what
//!   it needs again.
//! - *Fork*: it waits until nobody is in a section of `fork_gate`. The child gives up what belongs
//!   to the parent, in `after_fork`; a child of a bare clone system call, in which no handler runs,
//!   at its first io_setup.
//! - *exit*, and dlclose: what was submitted is carried out, as kernel AIO does it. Nothing is torn
//!   down: calls from later destructors still work. `_exit` and signals that kill come without this.

use crate::context::Caller;
use crate::engine;
use crate::files::pins;
use crate::harvester;
use crate::process::fork_gate;
use crate::process::fork_generation;
use crate::process::reentrancy;
use crate::registry;
use crate::sys::errno::Result;

/// io_setup: a context for `requested` events, whose address goes to the program's variable at
/// `target`.
pub fn setup(requested: u32, target: usize, caller: Caller) -> Result<()> {
    registry::setup(requested, target, caller, &registry::FirstUse { handle_forks, forget_parent })
}

/// io_destroy: EINVAL if there is no such context, also when another thread destroys it.
pub fn destroy(address: usize) -> Result<()> {
    if registry::destroy(address)?.is_last {
        harvester::shutdown();
        engine::shutdown();
    }
    Ok(())
}

fn handle_forks() {
    // SAFETY: the handlers are `extern "C" fn()`s that may run around any fork.
    unsafe {
        libc::pthread_atfork(Some(fork_gate::prepare), Some(fork_gate::parent), Some(after_fork))
    };
}

/// What fork calls in the child. Async-signal-safe: only atomics, close and munmap.
extern "C" fn after_fork() {
    fork_generation::forked();
    let own = reentrancy::forget_notes();
    fork_gate::child();
    // SAFETY: the child has one thread.
    unsafe {
        registry::forget_parent(own);
        forget_parent();
    }
}

/// Gives up what belongs to the parent, but for its contexts.
///
/// # Safety
/// The caller is a forked child, and no other thread uses the library.
unsafe fn forget_parent() {
    // SAFETY: the caller's promise.
    unsafe {
        pins::reset_after_fork();
        engine::reset_after_fork();
        harvester::reset_after_fork();
    }
}

extern "C" fn at_exit() {
    // The parent's requests are the parent's.
    // A handler that has interrupted a call may have called exit: nothing can be waited for then.
    let mark = reentrancy::StackMark::new();
    if !fork_generation::is_forked()
        && let Some(_call) = reentrancy::enter(&mark, registry::undo)
    {
        registry::finish_all();
        engine::finish_all();
    }
}

/// exit(3) and dlclose call what is in this section.
#[used]
#[unsafe(link_section = ".fini_array")]
static AT_EXIT: extern "C" fn() = at_exit;
