//! io_getevents and io_pgetevents: taking events, and sleeping until there are enough.
//!
//! fs/aio.c, read_events: what is there is taken at once. Then the caller sleeps until the ring
//! holds as many as it still wants; until then they stay in the ring, for anyone to take.
//!
//! How callers sleep is in [`super::wait`].

use core::ffi::c_long;

use libc::timespec;

use crate::aio_abi::Event;
use crate::context::Context;
use crate::context::wait::{Awake, Sleeper};
use crate::memory::user::Pages;
use crate::process::fork_generation;
use crate::process::reentrancy;
use crate::sys::clock::Timeout;
use crate::sys::errno::{Errno, Result};
use crate::sys::poll::{self, SigSet};

/// By which function: the library's wrapper has a short cut that the system call has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// io_getevents and its relatives.
    Library,
    /// syscall(SYS_io_getevents, …).
    Raw,
}

/// A signal mask as the caller passes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaskArgument {
    /// None.
    Absent,
    /// Address of a `sigset_t`, or 0.
    Set(usize),
    /// Address of `struct __aio_sigset`, {address, size of the set}, or 0.
    Sized(usize),
}

/// The arguments of io_getevents and io_pgetevents.
#[derive(Clone, Copy, Debug)]
pub struct Reap {
    /// Events to wait for.
    pub min_nr: c_long,
    /// Room in `events`.
    pub nr: c_long,
    /// Address of an array of events.
    pub events: usize,
    /// Address of a `timespec`, or 0 for no limit.
    pub timeout: usize,
    /// The mask.
    pub mask: MaskArgument,
    /// By which function.
    pub caller: Caller,
}

/// How long to wait, and with which signals blocked.
#[derive(Clone, Copy, Debug)]
pub struct Wait {
    /// How long.
    pub timeout: Timeout,
    /// The mask, if it changes.
    pub mask: Option<SigSet>,
}

impl Reap {
    /// Copies the timeout: EFAULT. Tells whether it is {0, 0}, for which the library's wrapper has
    /// its short cut.
    #[inline]
    pub fn timeout(&self) -> Result<(Timeout, bool)> {
        if self.timeout == 0 {
            return Ok((Timeout::Never, false));
        }
        // SAFETY: a `timespec` is two integers.
        let timeout: timespec = unsafe { Pages::new().read(self.timeout) }?;
        let is_plain_zero = timeout.tv_sec == 0 && timeout.tv_nsec == 0;
        Ok((Timeout::from_timespec(&timeout), is_plain_zero))
    }

    /// Copies the mask: EFAULT; EINVAL for a set of another size. fs/aio.c, io_pgetevents, and
    /// kernel/signal.c, set_user_sigmask.
    pub fn mask(&self) -> Result<Option<SigSet>> {
        let set = match self.mask {
            MaskArgument::Absent | MaskArgument::Set(0) | MaskArgument::Sized(0) => {
                return Ok(None);
            }
            MaskArgument::Set(set) => set,
            MaskArgument::Sized(argument) => {
                // SAFETY: two integers.
                let [set, size]: [usize; 2] = unsafe { Pages::new().read(argument) }?;
                if set == 0 {
                    return Ok(None);
                }
                if size != size_of::<SigSet>() {
                    return Err(Errno::INVAL);
                }
                set
            }
        };
        // SAFETY: an integer.
        unsafe { Pages::new().read(set) }.map(Some)
    }

    /// `0 <= min_nr <= nr`, else EINVAL.
    fn range(&self) -> Result<(usize, usize)> {
        let min = usize::try_from(self.min_nr).map_err(|_| Errno::INVAL)?;
        let max = usize::try_from(self.nr).map_err(|_| Errno::INVAL)?;
        if min <= max { Ok((min, max)) } else { Err(Errno::INVAL) }
    }
}

impl Context {
    /// Takes events as `reap` asks; the timeout and the mask are copied already.
    pub fn reap(&self, reap: &Reap, wait: &Wait) -> Result<usize> {
        let result = reap.range().and_then(|(min, max)| self.read_events(reap, min, max, wait));
        match wait.mask {
            Some(mask) if result != Err(Errno::INTR) => deliver(mask, result),
            _ => result,
        }
    }

    /// fs/aio.c, read_events and aio_read_events.
    fn read_events(&self, reap: &Reap, min: usize, max: usize, wait: &Wait) -> Result<usize> {
        let ring = &self.completions.ring;
        self.note_reaper();
        let mut pages = Pages::new();
        let mut taken = 0;
        // Programs that ask for no events may look into the ring afterwards: all must be there.
        let room = if max == 0 { usize::MAX } else { max };
        let sleeper = Sleeper::new(self, wait, room);
        if (ring.occupancy() as usize) < room {
            sleeper.harvest();
        }
        loop {
            let events = reap.events.wrapping_add(taken * size_of::<Event>());
            match ring.take(max - taken, events, &mut pages) {
                Ok(count) => {
                    taken += count;
                    sleeper.note_taken(count);
                }
                Err(error) => return if taken > 0 { Ok(taken) } else { Err(error) },
            }
            if taken >= min || wait.timeout == Timeout::Zero {
                if taken == 0 {
                    self.engines.note_wait(false);
                }
                return Ok(taken);
            }
            let awake = sleeper.sleep(u32::try_from(min - taken).unwrap_or(u32::MAX));
            if fork_generation::is_forked() {
                // A handler has forked, and this is the child: the ring is not here any more.
                sleeper.forget();
                return Err(Errno::INTR);
            }
            if let Awake::Revoked(error) = awake {
                sleeper.forget();
                return if taken > 0 { Ok(taken) } else { Err(error) };
            }
            // The program may have unmapped anything meanwhile.
            pages = Pages::new();
            if awake != Awake::Enough {
                let events = reap.events.wrapping_add(taken * size_of::<Event>());
                // A handler may have destroyed the context: what that cancelled is lost.
                let is_over = awake == Awake::Interrupted && self.is_dead();
                let last = match is_over {
                    true => Ok(0),
                    false => {
                        sleeper.harvest();
                        ring.take(max - taken, events, &mut pages)
                    }
                };
                taken += last.unwrap_or(0);
                return match awake {
                    _ if taken > 0 => Ok(taken),
                    Awake::Interrupted => Err(last.err().unwrap_or(Errno::INTR)),
                    Awake::Dead => Err(last.err().unwrap_or(Errno::INVAL)),
                    _ => last,
                };
            }
        }
    }
}

/// Lets signals that `mask` leaves open be delivered under it, as the kernel does when it restores
/// the old mask only after the handler: fs/aio.c, io_pgetevents, restore_saved_sigmask_unless.
pub fn deliver(mask: SigSet, result: Result<usize>) -> Result<usize> {
    let now = timespec { tv_sec: 0, tv_nsec: 0 };
    match reentrancy::blocking(|| poll::wait(&mut [], Some(&now), Some(&mask))) {
        Err(Errno::INTR) if result == Ok(0) => Err(Errno::INTR),
        _ => result,
    }
}
