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

/// Whether the signal would end a wait of the calling thread: neither blocked nor ignored.
pub fn would_interrupt(signal: c_int) -> bool {
    /// The kernel's `struct sigaction`: handler, flags, restorer where there is one, mask.
    const ACTION_WORDS: usize = 4;
    let mut blocked: SigSet = 0;
    let mut action = [0usize; ACTION_WORDS];
    // SAFETY: the kernel writes 8 bytes of mask, and at most four words of action.
    let asked = unsafe {
        syscall!(SYS_rt_sigprocmask, libc::SIG_BLOCK, 0, &raw mut blocked, 8)
            .and_then(|_| syscall!(SYS_rt_sigaction, signal, 0, action.as_mut_ptr(), 8))
    };
    asked.is_ok() && blocked & 1 << (signal - 1) == 0 && action[0] != libc::SIG_IGN
}
