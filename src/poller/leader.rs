//! The thread that sleeps on the epoll for all waiters of a context.

use libc::{POLLIN, POLLNVAL, pollfd, timespec};

use crate::poller::Poller;
use crate::sync::{Ordering, fence};
use crate::sys::errno::{Errno, Result};
use crate::sys::poll::SigSet;
use crate::sys::{bell, poll};

/// The right to sleep on the epoll, held by one thread at a time. It can be taken from a thread
/// that has left its call.
#[derive(Debug)]
pub struct Leader<'a> {
    poller: &'a Poller,
    /// Tells it from others that come later; not 0.
    term: u32,
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
        if self.is_led() {
            return None;
        }
        let term = self.last_term.fetch_add(1, Ordering::Relaxed).wrapping_add(1).max(1);
        // SeqCst: orders our leading before our look at the polls; pairs with `find_leader`.
        match self.leader.compare_exchange(0, term, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => Some(Leader { poller: self, term }),
            Err(_) => None,
        }
    }

    /// The term of a leader is over, if it is not already.
    pub fn end_term(&self, term: u32) {
        // SeqCst: see `find_leader`, which is due then. The leader has left the list.
        let _ = self.leader.compare_exchange(term, 0, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// Whether a thread sleeps on the epoll.
    pub fn is_led(&self) -> bool {
        // SeqCst: see `find_leader`.
        self.leader.load(Ordering::SeqCst) != 0
    }
}

impl Leader<'_> {
    /// Which leader it is.
    pub fn term(&self) -> u32 {
        self.term
    }

    /// Whether it is the leader still.
    pub fn is_in_office(&self) -> bool {
        // Relaxed: two may sleep on the epoll for a moment.
        self.poller.leader.load(Ordering::Relaxed) == self.term
    }

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
        self.poller.end_term(self.term);
    }
}
