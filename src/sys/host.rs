//! What the machine and the administrator say: CPUs, limits, environment.

use core::ffi::{CStr, c_char};

use libc::{AT_FDCWD, O_CLOEXEC, O_RDONLY, SYS_openat};
use once_cell::race::{OnceBool, OnceNonZeroUsize};

use crate::sys::errno::Result;
use crate::sys::fd::OwnedFd;
use crate::sys::file::{self, Direction, NO_OFFSET};
use crate::sys::raw::syscall;

/// The kernel's default of fs.aio-max-nr: one context never gets more than this or what the
/// administrator allows.
const DEFAULT_MAX_NR: u64 = 0x10000;

/// Reads a short file of /proc or /sys, whose path ends with NUL.
pub(super) fn read_short(path: &[u8], text: &mut [u8]) -> Result<usize> {
    debug_assert!(path.contains(&0));
    // SAFETY: the path is NUL-terminated, say the callers.
    let fd = unsafe { syscall!(SYS_openat, AT_FDCWD, path.as_ptr(), O_RDONLY | O_CLOEXEC) }?;
    let short = OwnedFd::from_raw(fd as i32);
    let room = text.as_mut_ptr().expose_provenance() as u64;
    // SAFETY: the kernel writes at most `text.len()` bytes.
    unsafe { file::plain(Direction::Read, short.raw(), room, text.len() as u64, NO_OFFSET) }
}

/// The last decimal number in `text`.
fn last_number(text: &[u8]) -> Option<u64> {
    let digits = text.split(|byte| !byte.is_ascii_digit()).rfind(|digits| !digits.is_empty())?;
    digits.iter().try_fold(0u64, |number, digit| {
        number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })
}

fn read_number(path: &CStr) -> Option<u64> {
    let mut text = [0u8; 64];
    let len = read_short(path.to_bytes_with_nul(), &mut text).ok()?;
    last_number(text.get(..len)?)
}

/// CPUs that the machine can have, from which the kernel computes the size of rings.
pub fn possible_cpus() -> u32 {
    static CPUS: OnceNonZeroUsize = OnceNonZeroUsize::new();
    let cpus = CPUS.get_or_init(|| {
        let highest = read_number(c"/sys/devices/system/cpu/possible");
        let cpus = match highest {
            Some(highest) => highest as usize + 1,
            // SAFETY: no preconditions.
            None => unsafe { libc::sysconf(libc::_SC_NPROCESSORS_CONF) }.max(1) as usize,
        };
        core::num::NonZeroUsize::new(cpus).unwrap_or(core::num::NonZeroUsize::MIN)
    });
    u32::try_from(cpus.get()).unwrap_or(u32::MAX)
}

/// Whether a context for `requested` events may be made when the process has `sum` already.
///
/// divergence: what the process has is not charged against fs.aio-max-nr, unless the environment
/// says UAIO_MAX_NR=kernel. One context alone is held to the limit, or to its default if that is
/// higher, so that absurd numbers fail as they do with the kernel.
pub fn may_request(requested: u32, sum: u64) -> bool {
    static IS_CHARGED: OnceBool = OnceBool::new();
    let requested = u64::from(requested);
    let limit = || read_number(c"/proc/sys/fs/aio-max-nr");
    if IS_CHARGED.get_or_init(|| is_set(c"UAIO_MAX_NR", b"kernel")) {
        let used = read_number(c"/proc/sys/fs/aio-nr").unwrap_or(0);
        return requested + sum + used <= limit().unwrap_or(DEFAULT_MAX_NR);
    }
    requested <= DEFAULT_MAX_NR || limit().is_some_and(|limit| requested <= limit)
}

/// Whether every context shall be served in the background: UAIO_RING=always.
pub fn wants_background() -> bool {
    static WANTED: OnceBool = OnceBool::new();
    WANTED.get_or_init(|| is_set(c"UAIO_RING", b"always"))
}

/// Whether the environment variable `name` has this value. In programs with more rights than their
/// user the environment says nothing.
pub fn is_set(name: &CStr, value: &[u8]) -> bool {
    unsafe extern "C" {
        fn secure_getenv(name: *const c_char) -> *const c_char;
    }
    // SAFETY: the name is NUL-terminated.
    let found = unsafe { secure_getenv(name.as_ptr()) };
    if found.is_null() {
        return false;
    }
    // SAFETY: the environment's strings are NUL-terminated.
    unsafe { CStr::from_ptr(found) }.to_bytes() == value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_number_counts() {
        assert_eq!(last_number(b"0-1\n"), Some(1));
        assert_eq!(last_number(b"0,2-127\n"), Some(127));
        assert_eq!(last_number(b"65536"), Some(65536));
        assert_eq!(last_number(b"none"), None);
    }

    #[test]
    fn there_is_a_cpu() {
        assert!((1..10_000).contains(&possible_cpus()));
    }

    #[test]
    fn one_context_may_not_ask_for_more_than_the_limit() {
        assert!(may_request(65_536, u64::MAX / 2));
        assert!(!may_request(0x40_0000, 0));
    }
}
