//! The entry points of `libaio.so.1`: each one maps its arguments to one call below and folds the
//! result into a count or a negated errno. `errno` itself is never touched: no system call of this
//! library goes through libc.
//!
//! The documentation of the functions is copied into `include/libaio.h`; it is written for C.

#![allow(non_camel_case_types)]

use core::ffi::{c_int, c_long, c_void};

use libc::{sigset_t, timespec};

use crate::abi::calls;
use crate::aio_abi::{Event as io_event, Iocb as iocb};
use crate::context::{Caller, MaskArgument, Reap};
use crate::memory::user;
use crate::sys::errno::{Errno, Result};

/// Completion ring of a context; opaque to programs that use the functions below.
#[repr(C)]
pub struct io_context {
    _opaque: [u8; 0],
}

/// A context: completion queue and requests in flight. 0 is "no context".
pub type io_context_t = *mut io_context;

/// Called by io_queue_run() for each event: context, iocb, and the event's res and res2.
pub type io_callback_t =
    Option<unsafe extern "C" fn(ctx: io_context_t, iocb: *mut iocb, res: c_long, res2: c_long)>;

/// Operations: values of `aio_lio_opcode`.
#[allow(dead_code, reason = "for the C header")]
#[repr(C)]
pub enum io_iocb_cmd {
    /// Read into one buffer.
    IO_CMD_PREAD = 0,
    /// Write from one buffer.
    IO_CMD_PWRITE = 1,
    /// Write the file's data and metadata to the device.
    IO_CMD_FSYNC = 2,
    /// Write the file's data to the device.
    IO_CMD_FDSYNC = 3,
    /// Wait until the file is ready, once.
    IO_CMD_POLL = 5,
    /// Reserved by the kernel; submitting it fails with -EINVAL.
    IO_CMD_NOOP = 6,
    /// Read into the buffers of an iovec array.
    IO_CMD_PREADV = 7,
    /// Write from the buffers of an iovec array.
    IO_CMD_PWRITEV = 8,
}

/// An operation, as `io_prep_*` store it.
#[allow(dead_code, reason = "for the C header")]
pub type io_iocb_cmd_t = io_iocb_cmd;

fn fold(result: Result<usize>) -> c_int {
    match result {
        Ok(count) => c_int::try_from(count).unwrap_or(c_int::MAX),
        Err(errno) => errno.to_return(),
    }
}

/// Creates a context and stores it in `*ctxp`.
///
/// `*ctxp` must be 0 before the call. At least `maxevents` requests can be submitted before the
/// first event is taken. The context must be given to io_destroy() in the end; a forked child
/// does not inherit it.
///
/// Returns 0; -EFAULT: `ctxp` cannot be read or written; -EINVAL: `*ctxp` is not 0, or `maxevents`
/// is 0 or far too large; -EAGAIN: `maxevents` exceeds the limit; -ENOMEM: no memory.
///
/// # Safety
/// None beyond C's: `ctxp` is probed before use.
pub unsafe extern "C" fn io_setup(maxevents: c_int, ctxp: *mut io_context_t) -> c_int {
    fold(calls::setup(maxevents as u32, ctxp.addr(), Caller::Library))
}

/// Destroys a context.
///
/// Cancels what can be cancelled, waits for the rest, and wakes threads that wait in
/// io_getevents(), which return -EINVAL or what they have. When it returns, no buffer is touched
/// any more, and events that were not taken are lost.
///
/// Returns 0, or -EINVAL: `ctx` is not a context of this process.
///
/// # Safety
/// None beyond C's: unknown contexts are refused without being read.
pub unsafe extern "C" fn io_destroy(ctx: io_context_t) -> c_int {
    fold(calls::destroy(ctx.addr()))
}

/// Submits `nr` requests, in order.
///
/// Buffered reads and writes, and everything that can be told at once, have completed when the call
/// returns; direct I/O, fsync and polls complete later. The iocbs and iovec arrays may be reused
/// after the call, the buffers only after the event.
///
/// Returns how many requests were accepted, which may be fewer than `nr`; or, when the first one
/// is refused: -EAGAIN: no free slot, take events first; -EBADF: no such file, or not open for this
/// operation; -EFAULT: unreadable iocb or array; -EINVAL: no such context, negative `nr`, or a
/// field of the iocb is invalid; -EOPNOTSUPP: unknown `aio_rw_flags`; -EPERM: the priority is not
/// allowed.
///
/// # Safety
/// Buffers named by the iocbs must be as the operations need them until their events.
pub unsafe extern "C" fn io_submit(ctx: io_context_t, nr: c_long, ios: *mut *mut iocb) -> c_int {
    fold(calls::submit(ctx.addr(), nr, ios.addr()))
}

/// Asks to cancel a request that is in flight.
///
/// A request that is cancelled still completes: its event follows through io_getevents(), with res
/// 0 for a poll and -ECANCELED for work that had not been started. `evt` is not used.
///
/// Returns -EINPROGRESS: cancelled, the event follows; -EINVAL: no such context, no such request,
/// or too late, nothing changes and its event comes as usual; -EFAULT: unreadable iocb. Never 0.
///
/// # Safety
/// None beyond C's: `iocb` is probed before use and otherwise only compared.
pub unsafe extern "C" fn io_cancel(
    ctx: io_context_t,
    iocb: *mut iocb,
    evt: *mut io_event,
) -> c_int {
    let _ = evt;
    fold(calls::cancel(ctx.addr(), iocb.addr()))
}

/// Takes up to `nr` events, waiting until at least `min_nr` are there or `timeout` has passed.
///
/// With `min_nr` 0 it never waits; with `timeout` NULL it waits as long as it takes.
///
/// Returns how many events were stored in `events`, fewer than `min_nr` after a timeout, a signal
/// or io_destroy(); -EINTR: a signal handler ran and nothing was taken; -EFAULT: bad `events` or
/// `timeout`; -EINVAL: no such context, or not 0 <= `min_nr` <= `nr`.
///
/// # Safety
/// None beyond C's: pointers are probed before use.
pub unsafe extern "C" fn io_getevents(
    ctx: io_context_t,
    min_nr: c_long,
    nr: c_long,
    events: *mut io_event,
    timeout: *mut timespec,
) -> c_int {
    let reap = Reap {
        min_nr,
        nr,
        events: events.addr(),
        timeout: timeout.addr(),
        mask: MaskArgument::Absent,
        caller: Caller::Library,
    };
    fold(calls::reap(ctx.addr(), &reap))
}

/// io_getevents() with the signal mask `sigmask` in force while it waits, as ppoll() has it.
///
/// `sigmask` NULL leaves the mask alone. Returns as io_getevents().
///
/// # Safety
/// None beyond C's: pointers are probed before use.
pub unsafe extern "C" fn io_pgetevents(
    ctx: io_context_t,
    min_nr: c_long,
    nr: c_long,
    events: *mut io_event,
    timeout: *mut timespec,
    sigmask: *mut sigset_t,
) -> c_int {
    let reap = Reap {
        min_nr,
        nr,
        events: events.addr(),
        timeout: timeout.addr(),
        mask: MaskArgument::Set(sigmask.addr()),
        caller: Caller::Library,
    };
    fold(calls::reap(ctx.addr(), &reap))
}

/// io_setup() that first stores 0 in `*ctxp`.
///
/// Returns as io_setup(); -EINVAL: `maxevents` is not positive (`*ctxp` is not touched then).
///
/// # Safety
/// None beyond C's: `ctxp` is probed before use.
pub unsafe extern "C" fn io_queue_init(maxevents: c_int, ctxp: *mut io_context_t) -> c_int {
    fold((|| {
        if maxevents <= 0 {
            return Err(Errno::INVAL);
        }
        user::write_word(ctxp.addr(), 0)?;
        calls::setup(maxevents as u32, ctxp.addr(), Caller::Library)
    })())
}

/// io_destroy() under its old name.
///
/// Returns 0, or -EINVAL: `ctx` is not a context of this process.
///
/// # Safety
/// None beyond C's: unknown contexts are refused without being read.
pub unsafe extern "C" fn io_queue_release(ctx: io_context_t) -> c_int {
    // SAFETY: io_destroy asks nothing of its argument.
    unsafe { io_destroy(ctx) }
}

/// Looks whether there are events, without taking any; it never waits.
///
/// This is io_getevents(ctx, 0, 0, NULL, timeout), as in every libaio since 0.3.
///
/// Returns 0; -EINVAL: no such context; -EFAULT: bad `timeout`.
///
/// # Safety
/// None beyond C's: pointers are probed before use.
pub unsafe extern "C" fn io_queue_wait(ctx: io_context_t, timeout: *mut timespec) -> c_int {
    // SAFETY: io_getevents asks nothing of its arguments.
    unsafe { io_getevents(ctx, 0, 0, core::ptr::null_mut(), timeout) }
}

/// Takes all events that are there and calls the callback of each, set by io_set_callback().
///
/// Returns 0, or the error of io_getevents().
///
/// # Safety
/// The data field of every iocb in flight on `ctx` must hold a callback.
pub unsafe extern "C" fn io_queue_run(ctx: io_context_t) -> c_int {
    loop {
        let mut event = io_event::default();
        let reap = Reap {
            min_nr: 0,
            nr: 1,
            events: (&raw mut event).expose_provenance(),
            timeout: user::ZERO_TIMEOUT.as_ptr().addr(),
            mask: MaskArgument::Absent,
            caller: Caller::Library,
        };
        match calls::reap(ctx.addr(), &reap) {
            Ok(0) => return 0,
            Ok(_) => {
                let data = event.data as usize as *const c_void;
                // SAFETY: the caller vouches that data holds an io_callback_t; both are one
                // pointer wide, and a null one is `None`.
                let callback: io_callback_t = unsafe { core::mem::transmute(data) };
                if let Some(callback) = callback {
                    // SAFETY: the program's own function, with the arguments it expects.
                    unsafe {
                        callback(ctx, event.obj as usize as *mut iocb, event.res, event.res2)
                    };
                }
            }
            Err(errno) => return errno.to_return(),
        }
    }
}
