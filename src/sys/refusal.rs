//! Calls that a sandbox answers in the kernel's place.
//!
//! A seccomp filter refuses a call whatever its arguments are, with an error that the kernel itself
//! may give for some of them: EPERM is also what an append-only file says. So after such an error
//! the call is made again, about no file: only a filter gives the same answer then. It costs a call
//! more where there was an error, and nothing elsewhere.
//!
//! Each call of this library has another one to take its place, or is listed in the README; those
//! that have none are few.

use libc::c_long;

use crate::sys::errno::{Errno, Result};
use crate::sys::raw::syscall;

/// Whether `error`, of a call whose first argument is a descriptor, comes from a filter.
#[inline]
pub fn is_refused(number: c_long, error: Errno) -> bool {
    matches!(error, Errno::PERM | Errno::NOSYS | Errno::ACCES)
        && is_answered_by_filter(number, error)
}

#[cold]
fn is_answered_by_filter(number: c_long, error: Errno) -> bool {
    const NO_FILE: isize = -1;
    // Where epoll_ctl has its event: valgrind looks at it before the kernel looks at the
    // descriptor.
    let event = [0u64; 2];
    // SAFETY: there is no such descriptor: the call has no effect.
    let answer: Result<usize> = unsafe { syscall!(number, NO_FILE, 0, 0, event.as_ptr(), 0, 0) };
    answer == Err(error)
}

/// Makes a call about a descriptor, and another one where a filter refuses it.
#[inline]
pub fn or_else<T>(
    number: c_long,
    result: Result<T>,
    other: impl FnOnce() -> Result<T>,
) -> Result<T> {
    match result {
        Err(error) if is_refused(number, error) => other(),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_kernel_are_no_refusals() {
        assert!(!is_refused(libc::SYS_preadv2, Errno::BADF));
        assert!(!is_refused(libc::SYS_preadv2, Errno::PERM));
        assert!(!is_refused(libc::SYS_close, Errno::PERM));
        /// No kernel has so many.
        const NO_CALL: c_long = 9999;
        assert!(is_refused(NO_CALL, Errno::NOSYS));
        assert!(!is_refused(NO_CALL, Errno::PERM));
        assert_eq!(or_else(NO_CALL, Err(Errno::NOSYS), || Ok(1)), Ok(1));
        assert_eq!(or_else(libc::SYS_close, Err(Errno::PERM), || Ok(1)), Err(Errno::PERM));
    }
}
