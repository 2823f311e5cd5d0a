//! Signals to the calling thread.

use libc::{SYS_getpid, SYS_gettid, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_tgkill, c_int};

use crate::sys::errno::Result;
use crate::sys::host;
use crate::sys::poll::SigSet;
use crate::sys::raw::syscall;

/// Sends a signal to the calling thread, as the kernel does for its own writes.
pub fn send_to_self(signal: c_int) {
    // SAFETY: no pointers.
    let _: Result<usize> = unsafe {
        let (process, thread) = (syscall!(SYS_getpid), syscall!(SYS_gettid));
        let thread = thread.unwrap_or_else(|_| thread_in_proc());
        syscall!(SYS_tgkill, process.unwrap_or(0), thread, signal).or_else(|_| {
            // Where a filter refuses it, or getpid: the thread is the caller, which lives.
            syscall!(libc::SYS_tkill, thread, signal)
        })
    };
}

/// The calling thread's number as /proc shows it; 0 where that is missing.
#[cold]
fn thread_in_proc() -> usize {
    let mut text = [0u8; 64];
    let len = host::read_short(b"/proc/thread-self/stat\0", &mut text).unwrap_or(0);
    let digits =
        text.get(..len).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'))
}

/// Whether the signal would end a wait of the calling thread: neither ignored nor blocked, by
/// `mask` or, without one, by the thread's own.
pub fn would_interrupt(signal: c_int, mask: Option<SigSet>) -> bool {
    /// The kernel's `struct sigaction`: handler, flags, restorer where there is one, mask.
    const ACTION_WORDS: usize = 4;
    let mut action = [0usize; ACTION_WORDS];
    // SAFETY: the kernel writes at most four words of action.
    let asked: Result<usize> =
        unsafe { syscall!(SYS_rt_sigaction, signal, 0, action.as_mut_ptr(), 8) };
    let blocked = mask.unwrap_or_else(own_mask);
    asked.is_ok() && blocked & 1 << (signal - 1) == 0 && action[0] != libc::SIG_IGN
}

/// Blocks all signals in the calling thread, also those that glibc keeps for itself, by which it
/// cancels threads and changes ids: setuid in another thread waits until the mask is set back, as
/// it does for one in the kernel. Returns the mask before.
pub fn block_all() -> SigSet {
    exchange_mask(SigSet::MAX)
}

/// Sets the calling thread's signal mask.
pub fn set_mask(mask: SigSet) {
    exchange_mask(mask);
}

fn exchange_mask(mask: SigSet) -> SigSet {
    let mut before: SigSet = 0;
    // SAFETY: the kernel reads and writes 8 bytes.
    let done = unsafe {
        syscall!(SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const mask, &raw mut before, 8)
    };
    // Where a filter refuses it, all masks are what they are.
    done.map_or_else(|_| mask_in_proc(), |_| before)
}

/// The calling thread's signal mask.
fn own_mask() -> SigSet {
    let mut mask: SigSet = 0;
    // SAFETY: the kernel writes 8 bytes.
    let asked = unsafe { syscall!(SYS_rt_sigprocmask, libc::SIG_BLOCK, 0, &raw mut mask, 8) };
    asked.map_or_else(|_| mask_in_proc(), |_| mask)
}

/// The same as /proc shows it; where that is missing, nothing is blocked.
#[cold]
fn mask_in_proc() -> SigSet {
    let mut text = [0u8; 2048];
    let len = host::read_short(b"/proc/thread-self/status\0", &mut text).unwrap_or(0);
    let mut lines = text.get(..len).unwrap_or_default().split(|byte| *byte == b'\n');
    let line = lines.find_map(|line| line.strip_prefix(b"SigBlk:\t")).unwrap_or_default();
    let digits = line.iter().filter_map(|byte| char::from(*byte).to_digit(16));
    digits.fold(0, |mask, digit| mask << 4 | SigSet::from(digit))
}

/// Whether the calling thread runs on its stack for signal handlers.
pub fn is_on_alternate_stack() -> bool {
    let mut stack = libc::stack_t { ss_sp: core::ptr::null_mut(), ss_flags: 0, ss_size: 0 };
    // SAFETY: the kernel writes one `stack_t`.
    let asked: Result<usize> = unsafe { syscall!(libc::SYS_sigaltstack, 0, &raw mut stack) };
    asked.is_ok() && stack.ss_flags & libc::SS_ONSTACK != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_shows_the_thread() {
        // SAFETY: no arguments.
        let number = unsafe { syscall!(SYS_gettid) }.unwrap();
        assert_eq!(thread_in_proc(), number);
    }

    #[test]
    fn proc_shows_the_mask() {
        let before = block_all();
        assert_eq!(mask_in_proc(), own_mask());
        assert_ne!(mask_in_proc() & 1 << (libc::SIGUSR1 - 1), 0);
        set_mask(before);
        assert_eq!(mask_in_proc(), before);
    }
}
