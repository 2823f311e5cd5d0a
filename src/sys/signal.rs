//! Signals to the calling thread.

use libc::{SYS_getpid, SYS_gettid, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_tgkill, c_int};

use crate::sys::errno::Result;
use crate::sys::poll::SigSet;
use crate::sys::raw::syscall;

/// Sends a signal to the calling thread, as the kernel does for its own writes.
pub fn send_to_self(signal: c_int) {
    // SAFETY: no pointers.
    let _: Result<usize> = unsafe {
        let (process, thread) = (syscall!(SYS_getpid), syscall!(SYS_gettid));
        syscall!(SYS_tgkill, process.unwrap_or(0), thread.unwrap_or(0), signal)
    };
}

/// Whether the signal would end a wait of the calling thread: neither ignored nor blocked, by `mask` or,
/// without one, by the thread's own.
pub fn would_interrupt(signal: c_int, mask: Option<SigSet>) -> bool {
    /// The kernel's `struct sigaction`: handler, flags, restorer where there is one, mask.
    const ACTION_WORDS: usize = 4;
    let mut blocked: SigSet = 0;
    let mut action = [0usize; ACTION_WORDS];
    // SAFETY: the kernel writes 8 bytes of mask, and at most four words of action.
    let asked = unsafe {
        syscall!(SYS_rt_sigprocmask, libc::SIG_BLOCK, 0, &raw mut blocked, 8)
            .and_then(|_| syscall!(SYS_rt_sigaction, signal, 0, action.as_mut_ptr(), 8))
    };
    let blocked = mask.unwrap_or(blocked);
    asked.is_ok() && blocked & 1 << (signal - 1) == 0 && action[0] != libc::SIG_IGN
}

/// Blocks all signals in the calling thread but the two that glibc keeps for itself (cancellation, and
/// setuid in all threads). Returns the mask before.
pub fn block_all() -> SigSet {
    /// Signals 32 and 33, which have no names.
    const OF_GLIBC: SigSet = 0b11 << 31;
    exchange_mask(!OF_GLIBC)
}

/// Blocks all signals in the calling thread, also the one by which glibc changes ids: setuid in another
/// thread waits until the mask is set back. Returns the mask before.
pub fn block_all_and_glibcs() -> SigSet {
    exchange_mask(SigSet::MAX)
}

/// Sets the calling thread's signal mask.
pub fn set_mask(mask: SigSet) {
    exchange_mask(mask);
}

fn exchange_mask(mask: SigSet) -> SigSet {
    let mut before: SigSet = 0;
    // SAFETY: the kernel reads and writes 8 bytes.
    let _: Result<usize> = unsafe {
        syscall!(SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const mask, &raw mut before, 8)
    };
    before
}

/// Whether the calling thread runs on its stack for signal handlers.
pub fn is_on_alternate_stack() -> bool {
    let mut stack = libc::stack_t { ss_sp: core::ptr::null_mut(), ss_flags: 0, ss_size: 0 };
    // SAFETY: the kernel writes one `stack_t`.
    let asked: Result<usize> = unsafe { syscall!(libc::SYS_sigaltstack, 0, &raw mut stack) };
    asked.is_ok() && stack.ss_flags & libc::SS_ONSTACK != 0
}
