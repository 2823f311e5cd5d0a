//! The thread that sleeps on the epoll for all waiters of a context.

use libc::{POLLIN, POLLNVAL, pollfd, timespec};

use crate::poller::Poller;
use crate::sync::{Ordering, fence};
use crate::sys::errno::{Errno, Result};
use crate::sys::poll::SigSet;
use crate::sys::{bell, poll};

/// The right to sleep on the epoll, held by one thread at a time.
#[derive(Debug)]
pub struct Leader<'a> {
    poller: &'a Poller,
}

impl Poller {
    /// Makes sure that somebody sleeps on the epoll if somebody sleeps.
    pub fn find_leader(&self) {
        // SeqCst: orders the poll before our look at the flag and the waiters; pairs with the fence
        // in `Waiters::join` and with `lead`.
        fence(Ordering::SeqCst);
        if self.needs_harvest() && !self.is_led() {
            self.completions().waiters.wake_one_to_lead();
        }
    }

    /// Tries to become the thread that sleeps on the epoll.
    pub fn lead(&self) -> Option<Leader<'_>> {
        self.epoll()?;
        // SeqCst: orders our leading before our look at the polls; pairs with `find_leader`.
        match self.is_led.compare_exchange(false, true, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => Some(Leader { poller: self }),
            Err(_) => None,
        }
    }

    /// Whether a thread sleeps on the epoll.
    pub fn is_led(&self) -> bool {
        // SeqCst: see `find_leader`.
        self.is_led.load(Ordering::SeqCst)
    }
}

impl Leader<'_> {
    /// The bell that ends its sleep.
    pub fn kick(&self) -> i32 {
        self.poller.kick().unwrap_or(-1)
    }

    /// Sleeps until a poll may be ready, somebody kicks, or `timeout` has passed, with `mask` in
    /// force meanwhile; or `other`, a descriptor, is readable. Returns 0 for the timeout. EINTR: a
    /// handler ran; EBADF: the program has closed a descriptor of ours.
    pub fn sleep(
        &self,
        timeout: Option<&timespec>,
        mask: Option<&SigSet>,
        other: Option<i32>,
    ) -> Result<usize> {
        let (Some(epoll), Some(kick)) = (self.poller.epoll(), self.poller.kick()) else {
            return Err(Errno::BADF);
        };
        let on = |fd| pollfd { fd, events: POLLIN, revents: 0 };
        // poll(2) ignores negative numbers.
        let mut fds = [on(epoll), on(kick), on(other.unwrap_or(-1))];
        let woken = poll::wait(&mut fds, timeout, mask)?;
        let [on_epoll, on_kick, _] = fds;
        if (on_epoll.revents | on_kick.revents) & POLLNVAL != 0 {
            return Err(Errno::BADF);
        }
        if on_kick.revents != 0 {
            bell::silence(kick);
        }
        Ok(woken)
    }
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        // SeqCst: see `find_leader`, which the waiter calls when it has left the list.
        self.poller.is_led.store(false, Ordering::SeqCst);
    }
}
