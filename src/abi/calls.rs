//! The six calls, behind the functions of the library and behind `syscall`.
//!
//! Each is refused if a signal handler makes it at a moment at which it cannot be made
//! ([`crate::process::reentrancy`]).

use core::ffi::c_long;

use crate::context::{Caller, Reap};
use crate::lifecycle;
use crate::memory::user;
use crate::process::reentrancy;
use crate::registry;
use crate::sys::errno::{Errno, Result};

/// Makes a call, or answers `refusal`.
#[inline]
fn guarded(refusal: Errno, call: impl FnOnce() -> Result<usize>) -> Result<usize> {
    let mark = reentrancy::StackMark::new();
    match reentrancy::enter(&mark, registry::undo) {
        Some(_call) => call(),
        None => Err(refusal),
    }
}

/// The same for a call that no signal interrupts in the kernel, whatever it waits for.
fn uninterrupted(call: impl FnOnce() -> Result<usize>) -> Result<usize> {
    let mark = reentrancy::StackMark::new();
    match reentrancy::enter_shielded(&mark, registry::undo) {
        Some(_call) => call(),
        None => Err(Errno::AGAIN),
    }
}

/// io_setup.
pub fn setup(requested: u32, target: usize, caller: Caller) -> Result<usize> {
    uninterrupted(|| lifecycle::setup(requested, target, caller).map(|()| 0))
}

/// io_destroy.
pub fn destroy(context: usize) -> Result<usize> {
    uninterrupted(|| lifecycle::destroy(context).map(|()| 0))
}

/// io_submit.
#[inline]
pub fn submit(context: usize, nr: c_long, iocbs: usize) -> Result<usize> {
    guarded(Errno::AGAIN, || {
        // fs/aio.c, io_submit: the context is looked up after the sign of nr; both are EINVAL.
        let nr = usize::try_from(nr).map_err(|_| Errno::INVAL)?;
        registry::submit(context, nr, iocbs)
    })
}

/// io_cancel: EINPROGRESS if it is cancelled.
pub fn cancel(context: usize, iocb: usize) -> Result<usize> {
    guarded(Errno::AGAIN, || {
        // fs/aio.c, io_cancel: the key is read before the context is looked up.
        user::check_cancel_key(iocb)?;
        registry::cancel(context, iocb)?;
        Err(Errno::INPROGRESS)
    })
}

/// io_getevents and io_pgetevents.
#[inline]
pub fn reap(context: usize, reap: &Reap) -> Result<usize> {
    guarded(Errno::INTR, || registry::reap(context, reap))
}
