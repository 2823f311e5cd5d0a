//! What the machine and the administrator say: CPUs, limits, environment.

use core::ffi::{CStr, c_char};

use libc::{AT_FDCWD, O_CLOEXEC, O_RDONLY, SYS_openat};
use once_cell::race::OnceNonZeroUsize;

use crate::sys::errno::Result;
use crate::sys::fd::OwnedFd;
use crate::sys::file::{self, Direction, NO_OFFSET};
use crate::sys::raw::syscall;

/// Opens a file of /proc or /sys, whose path ends with NUL.
fn open(path: &[u8]) -> Result<OwnedFd> {
    debug_assert!(path.contains(&0));
    // SAFETY: the path is NUL-terminated, say the callers.
    let fd = unsafe { syscall!(SYS_openat, AT_FDCWD, path.as_ptr(), O_RDONLY | O_CLOEXEC) }?;
    Ok(OwnedFd::from_raw(fd as i32))
}

/// Reads on; 0: the file has ended.
fn read_on(file: &OwnedFd, text: &mut [u8]) -> Result<usize> {
    let room = text.as_mut_ptr().expose_provenance() as u64;
    // SAFETY: the kernel writes at most `text.len()` bytes.
    unsafe { file::plain(Direction::Read, file.raw(), room, text.len() as u64, NO_OFFSET) }
}

/// Reads a short file of /proc or /sys, whose path ends with NUL.
pub(super) fn read_short(path: &[u8], text: &mut [u8]) -> Result<usize> {
    read_on(&open(path)?, text)
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

/// What one context may be made for: fs.aio-max-nr.
pub fn aio_max_nr() -> Option<u64> {
    read_number(c"/proc/sys/fs/aio-max-nr")
}

/// What the contexts of the host are charged with: fs.aio-nr.
pub fn aio_nr() -> Option<u64> {
    read_number(c"/proc/sys/fs/aio-nr")
}

/// Whether a filter looks at the system calls of the calling thread.
pub fn has_filter() -> bool {
    const LINE: &[u8] = b"\nSeccomp:\t2";
    let Ok(status) = open(c"/proc/thread-self/status".to_bytes_with_nul()) else { return false };
    // The file is longer than what a small stack has room for.
    let mut text = [0u8; 256];
    let mut kept = 0;
    loop {
        let Some(room) = text.get_mut(kept..) else { return false };
        let Ok(read @ 1..) = read_on(&status, room) else { return false };
        let end = kept + read;
        let seen = text.get(..end).unwrap_or_default();
        if seen.windows(LINE.len()).any(|part| part == LINE) {
            return true;
        }
        // The line may have begun.
        kept = end.min(LINE.len() - 1);
        text.copy_within(end - kept..end, 0);
    }
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
}
