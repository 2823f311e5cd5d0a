//! The end of the process: what was submitted is carried out, as kernel AIO does it.
//!
//! Nothing is torn down: calls from later destructors still work. `_exit` and signals that kill
//! come without this.

use crate::engine;
use crate::process::fork_generation;
use crate::process::reentrancy;
use crate::registry;

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
