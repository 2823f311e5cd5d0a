//! Bells: descriptors by which one thread wakes another that sleeps in ppoll or epoll.
//!
//! The program may close a bell and put a file of its own at the number in any moment, also between
//! a look at the number and its use. So nothing is ever written to a bell or read from it. It is a
//! timerfd: the calls that set it are refused by every other file (fs/timerfd.c, timerfd_fget:
//! EINVAL), and do not change one.
//!
//! A sandbox may forbid timers. Then bells are eventfds, written to after a look. If it does so
//! later, those that were made cannot be rung: sleepers look around after a second.

use core::mem::MaybeUninit;

use libc::{
    CLOCK_MONOTONIC, SYS_timerfd_create, SYS_timerfd_gettime, SYS_timerfd_settime, TFD_CLOEXEC,
    TFD_NONBLOCK, TFD_TIMER_ABSTIME, c_int, itimerspec, timespec,
};

use crate::sync::{AtomicBool, Ordering};
use crate::sys::errno::{Errno, Result};
use crate::sys::fd::{self, OwnedFd};
use crate::sys::raw::syscall;
use crate::sys::refusal;

/// Timers are refused.
static IS_EVENTFD: AtomicBool = AtomicBool::new(false);

const NEVER: timespec = timespec { tv_sec: 0, tv_nsec: 0 };

/// A bell that is silent.
pub fn make() -> Result<OwnedFd> {
    if !IS_EVENTFD.load(Ordering::Relaxed) {
        // SAFETY: no pointer.
        let made =
            unsafe { syscall!(SYS_timerfd_create, CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK) };
        match made {
            Ok(fd) => return Ok(OwnedFd::from_raw(fd as c_int).raised()),
            Err(error) if error.number() == libc::EMFILE || error.number() == libc::ENFILE => {
                return Err(error);
            }
            Err(_) => IS_EVENTFD.store(true, Ordering::Relaxed),
        }
    }
    fd::eventfd()
}

/// Makes it readable, until [`silence`].
pub fn ring(bell: c_int) {
    // A moment that has passed.
    let moment = timespec { tv_sec: 0, tv_nsec: 1 };
    if !set(bell, moment) && is_eventfd(bell) {
        fd::eventfd_signal(bell);
    }
}

/// Makes it unreadable.
pub fn silence(bell: c_int) {
    if !set(bell, NEVER) && is_eventfd(bell) {
        fd::eventfd_drain(bell);
    }
}

/// False: it is not a timer.
fn set(bell: c_int, moment: timespec) -> bool {
    let value = itimerspec { it_interval: NEVER, it_value: moment };
    // SAFETY: the kernel reads one `struct itimerspec`.
    let set: Result<usize> =
        unsafe { syscall!(SYS_timerfd_settime, bell, TFD_TIMER_ABSTIME, &raw const value, 0) };
    set.inspect_err(|error| {
        if refusal::is_refused(SYS_timerfd_settime, *error) {
            IS_EVENTFD.store(true, Ordering::Relaxed);
        }
    })
    .is_ok()
}

fn is_eventfd(bell: c_int) -> bool {
    IS_EVENTFD.load(Ordering::Relaxed) && fd::is_eventfd(bell)
}

/// Whether a bell, or something that looks like one, is there.
pub fn is_one(bell: c_int) -> bool {
    let mut value = MaybeUninit::<itimerspec>::uninit();
    // SAFETY: the kernel writes one `struct itimerspec`.
    let asked: Result<usize> = unsafe { syscall!(SYS_timerfd_gettime, bell, value.as_mut_ptr()) };
    match asked {
        Ok(_) => true,
        Err(Errno::BADF | Errno::INVAL) => is_eventfd(bell),
        // A filter, or nothing that the kernel says: it has not been looked at.
        Err(_) => fd::is_link_to(bell, c"anon_inode:[timerfd]") || is_eventfd(bell),
    }
}

/// Closes a bell, unless the program has taken its number.
pub fn close(bell: c_int) {
    if is_one(bell) {
        fd::close(bell);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::poll;

    fn is_readable(fd: &OwnedFd) -> bool {
        poll::one(fd.raw(), libc::POLLIN) == Ok(libc::POLLIN)
    }

    #[test]
    fn a_bell_rings_until_it_is_silenced() {
        let bell = make().unwrap();
        assert!(is_one(bell.raw()) && !is_readable(&bell));
        ring(bell.raw());
        assert!(is_readable(&bell) && is_readable(&bell));
        silence(bell.raw());
        assert!(!is_readable(&bell));
        ring(bell.raw());
        ring(bell.raw());
        assert!(is_readable(&bell));
    }

    #[test]
    fn nothing_is_written_to_another_file_or_read_from_it() {
        let (event, (out, into)) = (fd::eventfd().unwrap(), fd::pipe().unwrap());
        fd::eventfd_add(event.raw(), 7);
        for other in [event.raw(), out.raw(), into.raw()] {
            ring(other);
            silence(other);
            close(other);
        }
        let mut count = 0u64;
        // SAFETY: 8 bytes.
        let read = unsafe { libc::read(event.raw(), (&raw mut count).cast(), 8) };
        assert_eq!((read, count), (8, 7));
        assert!(!is_readable(&out), "and it is open");
    }
}
