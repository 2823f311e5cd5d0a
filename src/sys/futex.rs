//! Sleeping on a word of memory, and waking the sleepers.

use libc::{
    FUTEX_PRIVATE_FLAG, FUTEX_WAIT_BITSET, FUTEX_WAKE, FUTEX_WAKE_BITSET, SYS_futex, timespec,
};

use crate::sync::AtomicU32;
use crate::sys::errno::Result;
use crate::sys::raw::syscall;

/// Sleeps while `*word == value`, without a limit. May return for no reason: callers look again.
pub fn wait(word: &AtomicU32, value: u32) {
    let _ = wait_until(word, value, None);
}

/// A deadline so far away that it never comes, 136 years after boot: see [`wait_until`].
const NEVER: timespec = timespec { tv_sec: u32::MAX as i64, tv_nsec: 0 };

/// Sleeps while `*word == value`, at most until `deadline` (CLOCK_MONOTONIC).
///
/// Errors: ETIMEDOUT, EINTR (a signal handler ran; SA_RESTART makes no difference), EAGAIN (the
/// word had another value).
pub fn wait_until(word: &AtomicU32, value: u32, deadline: Option<&timespec>) -> Result<()> {
    // kernel/futex/waitwake.c, futex_wait: without a timeout the call restarts after a handler with
    // SA_RESTART; with one it returns EINTR after any handler, and restarts after SIGCONT. So there
    // is always a timeout.
    wait_bits(word, value, u32::MAX, deadline.unwrap_or(&NEVER)) // FUTEX_BITSET_MATCH_ANY
}

/// As [`wait_until`], woken for one of `bits` only.
pub fn wait_bits(word: &AtomicU32, value: u32, bits: u32, deadline: &timespec) -> Result<()> {
    // SAFETY: both pointers are valid for reads during the call; the kernel writes nothing.
    unsafe {
        syscall!(
            SYS_futex,
            word.as_ptr(),
            FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG,
            value,
            core::ptr::from_ref(deadline),
            0,
            bits,
        )
    }
    .map(|_| ())
}

/// Wakes at most `count` sleepers.
pub fn wake(word: &AtomicU32, count: u32) {
    wake_by(FUTEX_WAKE, word, count, 0);
}

/// Wakes at most `count` of those that wait for one of `bits`.
pub fn wake_bits(word: &AtomicU32, count: u32, bits: u32) {
    wake_by(FUTEX_WAKE_BITSET, word, count, bits);
}

fn wake_by(operation: i32, word: &AtomicU32, count: u32, bits: u32) {
    let (operation, count) = (operation | FUTEX_PRIVATE_FLAG, count.min(i32::MAX as u32));
    // SAFETY: both operations use the address as a key and do not read it.
    let wake = || unsafe { syscall!(SYS_futex, word.as_ptr(), operation, count, 0, 0, bits) };
    // It does not fail; but a sleeper that is not woken sleeps for ever.
    let _: Result<usize> = wake().or_else(|_| wake());
}
