//! The forms of LIBAIO_0.1, for programs linked before 2002.

use core::ffi::{c_int, c_long};

use libc::timespec;

use crate::abi::entry::{self, io_context_t};
use crate::aio_abi::{Event as io_event, Iocb as iocb};

/// `io_cancel` without a place for the event.
///
/// # Safety
/// As [`entry::io_cancel`].
pub unsafe extern "C" fn io_cancel_0_1(ctx: io_context_t, iocb: *mut iocb) -> c_int {
    // SAFETY: io_cancel asks nothing of its arguments.
    unsafe { entry::io_cancel(ctx, iocb, core::ptr::null_mut()) }
}

/// `io_getevents` that waits for one event.
///
/// # Safety
/// As [`entry::io_getevents`].
pub unsafe extern "C" fn io_getevents_0_1(
    ctx: io_context_t,
    nr: c_long,
    events: *mut io_event,
    timeout: *const timespec,
) -> c_int {
    // SAFETY: io_getevents asks nothing of its arguments, and does not write the timeout.
    unsafe { entry::io_getevents(ctx, 1, nr, events, timeout.cast_mut()) }
}

/// `io_queue_wait` with a timeout that is not written.
///
/// # Safety
/// As [`entry::io_queue_wait`].
pub unsafe extern "C" fn io_queue_wait_0_1(ctx: io_context_t, timeout: *const timespec) -> c_int {
    // SAFETY: io_queue_wait asks nothing of its arguments.
    unsafe { entry::io_queue_wait(ctx, timeout.cast_mut()) }
}
