//! The kernel's own AIO: io_setup(2), io_submit(2), io_getevents(2), io_cancel(2), io_destroy(2).

use core::mem::MaybeUninit;

use libc::{
    SYS_io_cancel, SYS_io_destroy, SYS_io_getevents, SYS_io_setup, SYS_io_submit, c_long, timespec,
};

use crate::aio_abi::Event;
use crate::sys::errno::Result;
use crate::sys::poll::SigSet;
use crate::sys::raw::syscall;

/// io_pgetevents(2), which the libc crate does not have.
#[cfg(target_arch = "x86_64")]
pub const SYS_IO_PGETEVENTS: c_long = 333;
/// io_pgetevents(2), which the libc crate does not have.
#[cfg(target_arch = "aarch64")]
pub const SYS_IO_PGETEVENTS: c_long = 292;

/// Makes a context for `requested` events; the address of its ring, which is its name.
pub fn setup(requested: u32) -> Result<usize> {
    let mut context = 0usize;
    // SAFETY: the kernel writes one word.
    unsafe { syscall!(SYS_io_setup, requested, &raw mut context) }.map(|_| context)
}

/// Destroys a context and unmaps its ring; waits for its requests, and some 30 ms in any case.
pub fn destroy(context: usize) -> Result<()> {
    // SAFETY: the callers have a context from `setup` whose ring nobody looks at any more.
    unsafe { syscall!(SYS_io_destroy, context) }.map(|_| ())
}

/// Submits `count` iocbs whose addresses are in the array at `iocbs`; how many were accepted.
/// Errors are those of the first one. Nothing of the caller's memory is believed: the kernel checks
/// it.
#[inline]
pub fn submit(context: usize, count: usize, iocbs: usize) -> Result<usize> {
    // SAFETY: the kernel checks the addresses; what the iocbs ask for is their maker's matter.
    unsafe { syscall!(SYS_io_submit, context, count, iocbs) }
}

/// Cancels the request that was made of the iocb at an address. EINPROGRESS: its event will come;
/// EINVAL: it cannot be.
pub fn cancel(context: usize, iocb: usize) -> Result<()> {
    let mut unused = Event::default();
    // SAFETY: the kernel reads the key of the iocb, if it is there; and writes at most the event.
    unsafe { syscall!(SYS_io_cancel, context, iocb, &raw mut unused) }.map(|_| ())
}

/// The arguments of io_getevents and io_pgetevents as the program has given them.
#[derive(Clone, Copy, Debug)]
pub struct GetEvents {
    /// The context.
    pub context: usize,
    /// Events to wait for.
    pub min_nr: c_long,
    /// Room for events.
    pub nr: c_long,
    /// Address of the events.
    pub events: usize,
    /// Address of the timeout, or 0.
    pub timeout: usize,
    /// Address of a `struct __aio_sigset`, or 0; none: io_getevents.
    pub mask: Option<usize>,
}

/// Calls io_getevents or io_pgetevents for the program.
#[inline]
pub fn getevents(arguments: &GetEvents) -> Result<usize> {
    let GetEvents { context, min_nr, nr, events, timeout, mask } = *arguments;
    match mask {
        // SAFETY: the program's own call: the kernel checks its addresses.
        None => unsafe { syscall!(SYS_io_getevents, context, min_nr, nr, events, timeout) },
        // SAFETY: as above.
        Some(mask) => unsafe {
            syscall!(SYS_IO_PGETEVENTS, context, min_nr, nr, events, timeout, mask)
        },
    }
}

/// Takes events, and sleeps until there are `count` of them, at most `timeout`, with `mask` in
/// force meanwhile. Fewer: it took too long, or a signal came. EINTR: a signal came, and there are
/// none.
///
/// Task work of the thread counts as a signal. If there are no events then, a sleep with
/// `is_restarted` begins again.
pub fn take(
    context: usize,
    count: usize,
    events: &mut [MaybeUninit<Event>],
    timeout: Option<&timespec>,
    mask: Option<&SigSet>,
    is_restarted: bool,
) -> Result<usize> {
    let (room, events) = (events.len(), events.as_mut_ptr());
    let count = count.min(room);
    let timeout = timeout.map_or(core::ptr::null(), core::ptr::from_ref);
    match mask {
        // fs/aio.c: io_getevents fails with EINTR, io_pgetevents with ERESTARTNOHAND.
        // SAFETY: the kernel reads the timeout and writes at most `room` events.
        None if is_restarted => unsafe {
            syscall!(SYS_IO_PGETEVENTS, context, count, room, events, timeout, 0usize)
        },
        // SAFETY: as above.
        None => unsafe { syscall!(SYS_io_getevents, context, count, room, events, timeout) },
        Some(mask) => {
            // struct __aio_sigset
            let argument = [core::ptr::from_ref(mask).addr(), size_of::<SigSet>()];
            let argument = &raw const argument;
            // SAFETY: as above; it reads the argument and the mask as well.
            unsafe { syscall!(SYS_IO_PGETEVENTS, context, count, room, events, timeout, argument) }
        }
    }
}
