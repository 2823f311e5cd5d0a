//! poll(2).

use libc::{SYS_ppoll, pollfd, timespec};

use crate::sys::epoll;
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
    let set = mask.map_or(core::ptr::null(), core::ptr::from_ref);
    // SAFETY: the kernel writes `revents` in `fds` and the time in our copy, and reads 8 bytes of
    // mask.
    match unsafe {
        syscall!(SYS_ppoll, fds.as_mut_ptr(), fds.len(), left, set, size_of::<SigSet>())
    } {
        // The kernel does not say so.
        Err(Errno::PERM | Errno::NOSYS | Errno::ACCES) => epoll::poll(fds, timeout, mask),
        result => result,
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fd;

    #[test]
    fn epoll_answers_as_poll_does() {
        let (read, write) = fd::pipe().unwrap();
        let full = fd::eventfd().unwrap();
        let file = fd::memory_file().unwrap();
        let numbers = [read.raw(), write.raw(), full.raw(), file.raw(), 99_999, -1, read.raw()];
        let entry = |fd| pollfd { fd, events: libc::POLLIN | libc::POLLOUT, revents: 0 };
        let zero = timespec { tv_sec: 0, tv_nsec: 0 };
        for round in 0..2 {
            // More than epoll is asked for at a time.
            let mut fds: Vec<_> = (0..10).flat_map(|_| numbers).map(entry).collect();
            let count = now(&mut fds).unwrap();
            let wanted: Vec<_> = fds.iter().map(|one| one.revents).collect();
            fds.iter_mut().for_each(|one| one.revents = 0);
            assert_eq!(epoll::poll(&mut fds, Some(&zero), None), Ok(count), "{round}");
            let found: Vec<_> = fds.iter().map(|one| one.revents).collect();
            assert_eq!(found, wanted, "{round}");
            fd::eventfd_signal(write.raw());
        }
        let moment = timespec { tv_sec: 0, tv_nsec: 1_000_000 };
        assert_eq!(epoll::poll(&mut [], Some(&moment), Some(&0)), Ok(0));
    }
}
