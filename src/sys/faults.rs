//! Planned failures of system calls, for the test `faults`; only with the feature
//! `fault-injection`, which no shipped library has.
//!
//! The test program shares a [`Plan`] with the library, whose address the environment tells. A call
//! that fails by plan is not made; a short one is made with less.

use core::ffi::{CStr, c_char};

use libc::{c_long, iovec};

use crate::sync::{AtomicU32, AtomicUsize, Ordering};
use crate::sys::errno::{Errno, Result};
use crate::sys::raw::syscall6;

/// Stands for the creation of a thread among the numbers of calls.
const THREAD: c_long = -1;

/// What shall fail. c-tests/tools/faults.c has the same.
#[repr(C)]
struct Plan {
    /// Number of the system call, or [`THREAD`].
    call: i64,
    /// Which of these calls fails, counted from 1.
    nth: u32,
    /// With what; 0: it transfers less than was asked for.
    error: i32,
    /// How many have been seen.
    seen: AtomicU32,
    /// How many have failed.
    injected: AtomicU32,
}

fn plan() -> Option<&'static Plan> {
    const UNKNOWN: usize = 0;
    const NONE: usize = 1;
    static PLAN: AtomicUsize = AtomicUsize::new(UNKNOWN);
    let mut address = PLAN.load(Ordering::Relaxed);
    if address == UNKNOWN {
        address = address_in_environment().unwrap_or(NONE);
        PLAN.store(address, Ordering::Relaxed);
    }
    // SAFETY: the test program keeps the plan where it has said.
    (address != NONE).then(|| unsafe { &*core::ptr::with_exposed_provenance(address) })
}

/// `UAIO_FAULTS`, a decimal number.
fn address_in_environment() -> Option<usize> {
    unsafe extern "C" {
        fn secure_getenv(name: *const c_char) -> *const c_char;
    }
    // SAFETY: the name is NUL-terminated.
    let found = unsafe { secure_getenv(c"UAIO_FAULTS".as_ptr()) };
    if found.is_null() {
        return None;
    }
    // SAFETY: the environment's strings are NUL-terminated.
    unsafe { CStr::from_ptr(found) }.to_str().ok()?.parse().ok()
}

impl Plan {
    /// Whether this is the call that shall fail.
    fn is_due(&self) -> bool {
        let is_due = self.seen.fetch_add(1, Ordering::Relaxed) + 1 == self.nth;
        if is_due {
            self.injected.fetch_add(1, Ordering::Relaxed);
        }
        is_due
    }
}

/// Whether the thread that is to be made shall not be.
pub fn refuses_thread() -> bool {
    plan().is_some_and(|plan| plan.call == THREAD && plan.is_due())
}

/// Makes a system call, unless it shall fail.
///
/// # Safety
/// As [`syscall6`].
pub unsafe fn call(number: c_long, args: [usize; 6]) -> Result<usize> {
    // SAFETY: the caller's promise; a short call touches a part of what the whole one does.
    let make = |args| Errno::check(unsafe { syscall6(number, args) });
    let Some(plan) = plan().filter(|plan| plan.call == number) else { return make(args) };
    if plan.error != 0 {
        if !plan.is_due() {
            return make(args);
        }
        if number == libc::SYS_close {
            // fs/open.c, close: whatever it answers, the number is free.
            let _ = make(args);
        }
        return Errno::check(-plan.error as isize);
    }
    let mut part = iovec { iov_base: core::ptr::null_mut(), iov_len: 0 };
    match shortened(number, args, &mut part) {
        Some(less) if plan.is_due() => make(less),
        _ => make(args),
    }
}

/// The arguments of a call that does a part of what it was asked for; `None` if there is no part.
fn shortened(number: c_long, mut args: [usize; 6], part: &mut iovec) -> Option<[usize; 6]> {
    match number {
        libc::SYS_preadv2 | libc::SYS_pwritev2 => {
            // SAFETY: the library passes arrays of its own.
            let first = unsafe { core::ptr::with_exposed_provenance::<iovec>(args[1]).as_ref() }?;
            *part = iovec { iov_base: first.iov_base, iov_len: first.iov_len / 2 };
            if args[2] == 0 || part.iov_len == 0 {
                return None;
            }
            (args[1], args[2]) = (core::ptr::from_ref(part).expose_provenance(), 1);
        }
        libc::SYS_read | libc::SYS_pread64 | libc::SYS_pwrite64 if args[2] > 8 => args[2] /= 2,
        libc::SYS_io_uring_enter | libc::SYS_io_submit if args[1] > 1 => args[1] /= 2,
        libc::SYS_epoll_pwait if args[2] > 1 => args[2] = 1,
        _ => return None,
    }
    Some(args)
}
