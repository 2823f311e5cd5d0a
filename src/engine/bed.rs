//! Where a thread that waits for events sleeps in the kernel: in one system call of the engine that
//! has requests in flight, until as many have completed as are missing.

use core::ptr;

use libc::timespec;

use crate::completion::waiters::{Sleep, Waiter};
use crate::engine::{Engines, Harvest};
use crate::kaio::{self, Bag};
use crate::process::{fork_generation, reentrancy};
use crate::sys::clock;
use crate::sys::errno::{Errno, Result};
use crate::sys::poll::SigSet;
use crate::uring;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub enum Bed<'a> {
    /// In io_uring.
    Ring(&'a uring::Instance),
    /// In the kernel's AIO.
    Kernel {
        /// Where.
        instance: &'a kaio::Instance,
        /// No other instance has requests.
        is_only: bool,
    },
}

/// Why a call that has slept has to end at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// A handler has forked, and this is the child: what has come is the parent's.
    Forked,
    /// io_destroy has given the call up, and the context may be gone: with EINTR if a handler ran,
    /// else EINVAL.
    Revoked(Errno),
}

/// What a sleep was like: how it has ended, if the call goes on, and what it has brought.
pub type Slept = core::result::Result<(Result<()>, Harvest), Over>;

impl PartialEq for Bed<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Bed::Ring(a), Bed::Ring(b)) => ptr::eq(*a, *b),
            (Bed::Kernel { instance: a, is_only: x }, Bed::Kernel { instance: b, is_only: y }) => {
                ptr::eq(*a, *b) && x == y
            }
            _ => false,
        }
    }
}

impl Bed<'_> {
    /// How it is noted for those that wake sleepers.
    pub fn kind(&self) -> Sleep {
        match self {
            Bed::Ring(_) => Sleep::Ring,
            Bed::Kernel { .. } => Sleep::Kernel,
        }
    }

    /// Whether it can watch the epoll as well.
    pub fn can_watch_polls(&self) -> bool {
        matches!(self, Bed::Kernel { .. })
    }

    /// Watches the epoll of this number. False: it cannot.
    pub fn watch(&self, epoll: i32, number: u32) -> bool {
        match self {
            Bed::Ring(_) => false,
            Bed::Kernel { instance, .. } => instance.watch(epoll, number),
        }
    }

    /// How many kicks there is always room for, as long as they reach it.
    pub fn sure_kicks(&self) -> u32 {
        match self {
            Bed::Ring(_) => u32::MAX,
            Bed::Kernel { .. } => kaio::RESERVED,
        }
    }

    /// Whether it sees all that is in flight.
    pub fn sees_all(&self) -> bool {
        matches!(self, Bed::Ring(_) | Bed::Kernel { is_only: true, .. })
    }

    /// Whether a sleep would end at once.
    pub fn has_events(&self) -> bool {
        match self {
            Bed::Ring(instance) => instance.has_completions(),
            Bed::Kernel { instance, .. } => instance.has_events(),
        }
    }

    /// Sleeps until `count` completions are there, and may bring up to `most`; ETIME: `span` is
    /// over.
    pub fn sleep(
        &self,
        engines: &Engines,
        waiter: &Waiter,
        (count, most): (u32, usize),
        span: Option<&timespec>,
        mask: Option<&SigSet>,
    ) -> Slept {
        match self {
            Bed::Ring(instance) => {
                let slept = doze(waiter, || instance.wait(count, span, mask))?;
                Ok((slept, Harvest::default()))
            }
            Bed::Kernel { instance, .. } => {
                let mut bag = Bag::new();
                let end = span.map(clock::after);
                let has_theirs = instance.fall_asleep();
                let mut bag = (!has_theirs).then_some(&mut bag);
                waiter.lie_down(has_theirs.then_some(instance));
                let into = bag.as_deref_mut();
                let slept = doze(waiter, || instance.sleep(count, most, into, span, mask))?;
                waiter.lie_down(None);
                let brought = engines.kernel.unpack(instance, bag);
                let is_over = || end.as_ref().is_some_and(clock::is_over);
                let ended = match slept {
                    Ok(true) => Ok(()),
                    Ok(false) if is_over() => Err(Errno::TIME),
                    // fs/aio.c, read_events: only a signal is left.
                    Ok(false) => Err(Errno::INTR),
                    Err(error) => Err(error),
                };
                Ok((ended, brought))
            }
        }
    }
}

/// Sleeps as `waiter`; `Err` if the call has to end.
pub fn doze<R>(
    waiter: &Waiter,
    sleep: impl FnOnce() -> Result<R>,
) -> core::result::Result<Result<R>, Over> {
    waiter.fall_asleep();
    let slept = reentrancy::blocking(sleep);
    match (waiter.wake_up(), &slept) {
        _ if fork_generation::is_forked() => Err(Over::Forked),
        (true, _) => Ok(slept),
        (false, Err(Errno::INTR)) => Err(Over::Revoked(Errno::INTR)),
        (false, _) => Err(Over::Revoked(Errno::INVAL)),
    }
}
