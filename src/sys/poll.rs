//! poll(2).

use libc::{SYS_ppoll, pollfd, timespec};

use crate::sys::errno::{Errno, Result};
use crate::sys::raw::syscall;

/// A signal mask, in the kernel's 64-bit form.
pub type SigSet = u64;

/// Waits until one of `fds` is ready or `timeout` has passed, with `mask` in force meanwhile.
/// Returns how many are ready.
///
/// fs/select.c, ppoll: EINTR only when a signal handler runs; SIGCONT restarts the wait.
pub fn wait(
    fds: &mut [pollfd],
    timeout: Option<&timespec>,
    mask: Option<&SigSet>,
) -> Result<usize> {
    // The kernel writes the remaining time back: it gets a copy.
    let mut left = timeout.copied();
    let left = left.as_mut().map_or(core::ptr::null_mut(), core::ptr::from_mut);
    let mask = mask.map_or(core::ptr::null(), core::ptr::from_ref);
    // SAFETY: the kernel writes `revents` in `fds` and the time in our copy, and reads 8 bytes of
    // mask.
    unsafe { syscall!(SYS_ppoll, fds.as_mut_ptr(), fds.len(), left, mask, size_of::<SigSet>()) }
}

/// What of `fds` is ready at this moment.
///
/// A signal that comes is handled and is no reason to fail. EINVAL: there are more of them than the
/// process may have open.
pub fn now(fds: &mut [pollfd]) -> Result<usize> {
    loop {
        match wait(fds, Some(&timespec { tv_sec: 0, tv_nsec: 0 }), None) {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}

/// What of `events` is ready on `fd` at this moment; POLLNVAL if it is not open.
pub fn one(fd: i32, events: i16) -> Result<i16> {
    let mut fds = [pollfd { fd, events, revents: 0 }];
    now(&mut fds)?;
    Ok(fds[0].revents)
}
