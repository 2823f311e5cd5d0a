//! epoll(7).

use libc::{
    EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EPOLLET, EPOLLIN,
    SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait, c_int, epoll_event,
};

use crate::sys::errno::Result;
use crate::sys::fd::{self, OwnedFd};
use crate::sys::raw::syscall;

/// The token under which the eventfd of [`create_marked`] is registered.
pub const MARK: u64 = 0;
/// Once for each signal, so that nobody has to read the count to silence it.
const MARK_EVENTS: u32 = (EPOLLIN | EPOLLET) as u32;

/// A new epoll instance.
pub fn create() -> Result<OwnedFd> {
    // SAFETY: no pointer.
    let fd = unsafe { syscall!(SYS_epoll_create1, EPOLL_CLOEXEC) }?;
    Ok(OwnedFd::from_raw(fd as c_int).raised())
}

/// A new epoll instance and an eventfd registered with it: to wake who sleeps there, and to tell
/// later whether the two numbers still mean the same.
pub fn create_marked() -> Result<(OwnedFd, OwnedFd)> {
    let (epoll, mark) = (create()?, fd::eventfd()?);
    add(epoll.raw(), mark.raw(), MARK_EVENTS, MARK)?;
    Ok((epoll, mark))
}

/// Whether two numbers still mean what [`create_marked`] made, and not what the program opened after
/// it had closed them.
pub fn is_intact(epoll: c_int, mark: c_int) -> bool {
    // All such pairs have the same registration: if the numbers mean another one, nothing changes.
    modify(epoll, mark, MARK_EVENTS, MARK).is_ok()
}

fn control(epoll: c_int, operation: c_int, fd: c_int, events: u32, token: u64) -> Result<()> {
    let event = epoll_event { events, u64: token };
    // SAFETY: the kernel reads one `epoll_event`.
    unsafe { syscall!(SYS_epoll_ctl, epoll, operation, fd, &raw const event) }.map(|_| ())
}

/// Registers `fd`. EEXIST: it is registered already; EPERM: such files are always ready.
pub fn add(epoll: c_int, fd: c_int, events: u32, token: u64) -> Result<()> {
    control(epoll, EPOLL_CTL_ADD, fd, events, token)
}

/// Changes a registration. ENOENT: the number means a file that is not registered.
pub fn modify(epoll: c_int, fd: c_int, events: u32, token: u64) -> Result<()> {
    control(epoll, EPOLL_CTL_MOD, fd, events, token)
}

/// Removes a registration.
pub fn delete(epoll: c_int, fd: c_int) -> Result<()> {
    control(epoll, EPOLL_CTL_DEL, fd, 0, 0)
}

/// Takes ready registrations, waiting up to `timeout_ms` (-1: for ever).
pub fn wait(epoll: c_int, events: &mut [epoll_event], timeout_ms: c_int) -> Result<usize> {
    // SAFETY: the kernel writes at most `events.len()` events; no mask.
    unsafe { syscall!(SYS_epoll_pwait, epoll, events.as_mut_ptr(), events.len(), timeout_ms, 0, 8) }
}
