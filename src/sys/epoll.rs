//! epoll(7).

use libc::{
    EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EPOLLET, EPOLLIN,
    SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait, c_int, epoll_event, pollfd, timespec,
};

use crate::sys::bell;
use crate::sys::errno::{Errno, Result};
use crate::sys::fd::{self, OwnedFd};
use crate::sys::poll::SigSet;
use crate::sys::raw::syscall;
use crate::sys::refusal;

/// The token under which the bell of [`create_marked`] is registered.
pub const MARK: u64 = 0;
/// Once for each time it rings, so that nobody has to silence it.
const MARK_EVENTS: u32 = (EPOLLIN | EPOLLET) as u32;
/// What a file without a poll function is ready for: include/linux/poll.h, DEFAULT_POLLMASK.
const ALWAYS_READY: i16 = libc::POLLIN | libc::POLLOUT | libc::POLLRDNORM | libc::POLLWRNORM;

/// A new epoll instance.
pub fn create() -> Result<OwnedFd> {
    create_low().map(OwnedFd::raised)
}

/// The same with any number, for a moment.
fn create_low() -> Result<OwnedFd> {
    // SAFETY: no pointer.
    let made = unsafe { syscall!(SYS_epoll_create1, EPOLL_CLOEXEC) };
    #[cfg(target_arch = "x86_64")]
    let made = refusal::or_else(SYS_epoll_create1, made, || {
        // The size that it asks for means nothing.
        // SAFETY: no pointer.
        let fd = unsafe { syscall!(libc::SYS_epoll_create, 1) }?;
        fd::close_on_exec(fd as c_int);
        Ok(fd)
    });
    made.map(|fd| OwnedFd::from_raw(fd as c_int))
}

/// A new epoll instance and a bell registered with it. The bell wakes the thread that sleeps there,
/// and tells later whether the two numbers still mean the same files.
pub fn create_marked() -> Result<(OwnedFd, OwnedFd)> {
    let (epoll, mark) = (create()?, bell::make()?);
    add(epoll.raw(), mark.raw(), MARK_EVENTS, MARK)?;
    Ok((epoll, mark))
}

/// Whether two numbers still mean what [`create_marked`] made, and not what the program opened
/// after it had closed them.
pub fn is_intact(epoll: c_int, mark: c_int) -> bool {
    // All such pairs have the same registration: if the numbers mean another one, nothing changes.
    match modify(epoll, mark, MARK_EVENTS, MARK) {
        Ok(()) => true,
        Err(Errno::BADF | Errno::NOENT | Errno::INVAL) => false,
        // No memory, or a filter: it has not been looked at.
        Err(_) => fd::is_link_to(epoll, c"anon_inode:[eventpoll]") && bell::is_one(mark),
    }
}

/// Whether an error of [`add`] or [`modify`] says nothing of the file: a filter refuses the call.
pub fn is_refused(error: Errno) -> bool {
    refusal::is_refused(SYS_epoll_ctl, error)
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
    let (room, len) = (events.as_mut_ptr(), events.len());
    // SAFETY: the kernel writes at most `events.len()` events; no mask.
    let taken = unsafe { syscall!(SYS_epoll_pwait, epoll, room, len, timeout_ms, 0, 8) };
    // SAFETY: as above.
    #[cfg(target_arch = "x86_64")]
    let other = || unsafe { syscall!(libc::SYS_epoll_wait, epoll, room, len, timeout_ms) };
    #[cfg(not(target_arch = "x86_64"))]
    let other = || wait_precisely(epoll, events, timeout_ms);
    refusal::or_else(SYS_epoll_pwait, taken, other)
}

/// The same by a newer call (Linux 5.11).
#[cfg(not(target_arch = "x86_64"))]
#[cold]
fn wait_precisely(epoll: c_int, events: &mut [epoll_event], timeout_ms: c_int) -> Result<usize> {
    let span = timespec {
        tv_sec: i64::from(timeout_ms / 1000),
        tv_nsec: i64::from(timeout_ms % 1000) * 1_000_000,
    };
    let span = if timeout_ms < 0 { core::ptr::null() } else { core::ptr::from_ref(&span) };
    let (room, len) = (events.as_mut_ptr(), events.len());
    // SAFETY: the kernel writes at most `events.len()` events, and reads the time; no mask.
    unsafe { syscall!(libc::SYS_epoll_pwait2, epoll, room, len, span, 0, 8) }
}

/// What ppoll does, for where a filter refuses that.
///
/// Of several entries for one descriptor those after the first are looked at once, not waited for:
/// our own sleeps have none.
#[cold]
pub(super) fn poll(
    fds: &mut [pollfd],
    timeout: Option<&timespec>,
    mask: Option<&SigSet>,
) -> Result<usize> {
    const MAX_FDS: usize = 32;
    const NOW: timespec = timespec { tv_sec: 0, tv_nsec: 0 };
    if fds.len() > MAX_FDS {
        return fds.chunks_mut(MAX_FDS).map(|some| poll(some, Some(&NOW), mask)).sum();
    }
    let epoll = create_low()?;
    for index in 0..fds.len() {
        let (before, rest) = fds.split_at_mut(index);
        let Some(one) = rest.first_mut().filter(|one| one.fd >= 0) else { continue };
        one.revents = match add(epoll.raw(), one.fd, one.events as u32, index as u64) {
            Ok(()) => 0,
            Err(Errno::BADF) => libc::POLLNVAL,
            Err(Errno::EXIST) if before.iter().any(|other| other.fd == one.fd) => {
                poll(core::slice::from_mut(one), Some(&NOW), None)?;
                one.revents
            }
            // A file without a function for it is always ready.
            Err(error) if error == Errno::PERM && !is_refused(error) => one.events & ALWAYS_READY,
            Err(error) => return Err(error),
        };
    }
    let ready = fds.iter().filter(|one| one.fd >= 0 && one.revents != 0).count();
    sleep(epoll.raw(), if ready > 0 { Some(&NOW) } else { timeout }, mask)?;
    let mut events = [epoll_event { events: 0, u64: 0 }; MAX_FDS];
    let count = wait(epoll.raw(), &mut events, 0)?;
    for event in events.iter().take(count) {
        if let Some(one) = fds.get_mut(event.u64 as usize) {
            one.revents = event.events as i16;
        }
    }
    Ok(ready + count)
}

/// Sleeps until something is ready, `timeout` has passed, or a handler runs: EINTR. Unlike
/// epoll_pwait, pselect6 tells of nothing else (fs/select.c, poll_select_finish).
fn sleep(epoll: c_int, timeout: Option<&timespec>, mask: Option<&SigSet>) -> Result<()> {
    const BITS: usize = u64::BITS as usize;
    let mut set = [0u64; 4096 / BITS];
    let word = set.get_mut(epoll as usize / BITS).ok_or(Errno::NOMEM)?;
    *word = 1 << (epoll as usize % BITS);
    let mut left = timeout.copied();
    let left = left.as_mut().map_or(core::ptr::null_mut(), core::ptr::from_mut);
    let mask = [mask.map_or(0, |mask| core::ptr::from_ref(mask).expose_provenance()), 8];
    let (count, set, mask) = (epoll + 1, set.as_mut_ptr(), mask.as_ptr());
    // SAFETY: the kernel reads and writes the bits below `count`, writes the time in our copy, and
    // reads the mask through its address and size.
    unsafe { syscall!(libc::SYS_pselect6, count, set, 0, 0, left, mask) }.map(|_| ())
}
