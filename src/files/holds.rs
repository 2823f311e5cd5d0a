//! Pins that requests share: one for each file of a batch, closed when the last of them has
//! completed; as long as it is there, later batches share it, too.
//!
//! A pin may be closed by the program, and its number used again; so its file is looked at from
//! time to time ([`Holds::is_believed`]), and before it is closed. A request that finds it lost
//! makes one of its own.
//!
//! *Who may touch what*: `source` is written before the hold is shared, and only read until the
//! last user has left.
//!
//! *Locks*: `free` is a leaf.

use bytemuck::Zeroable;

use crate::files::pins;
use crate::lock::Lock;
use crate::memory::chunked::Chunked;
use crate::memory::late::Late;
use crate::process::fork_gate::{self, Section};
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use crate::sys::atomic_fd::AtomicFd;
use crate::sys::errno::{Errno, Result};
use crate::sys::fd::{self, OwnedFd, StatusFlags};
use crate::sys::file_info::Identity;

/// How long a look at a pin is believed, in nanoseconds: as long as io_submit believes what it has
/// asked.
const MAX_AGE: u64 = 50_000;
/// How many holds are remembered for later batches, by descriptor.
const LATEST: usize = 8;

/// What a pin was made of.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// The program's descriptor.
    pub fd: i32,
    /// The file behind it, if it is known.
    pub file: Option<Identity>,
    /// Its flags.
    pub status: StatusFlags,
}

/// A pin that is shared.
#[derive(Debug, Zeroable)]
struct Hold {
    /// A forked child reads it.
    pin: AtomicFd,
    users: AtomicU32,
    /// When the pin was last seen to hold the file, in nanoseconds.
    seen: AtomicU64,
    /// Index + 1 of the next free one, under the lock.
    next_free: AtomicU32,
    source: Late<Option<Source>>,
}

// SAFETY: `source` follows the rule of the module; everything else is atomic.
unsafe impl Sync for Hold {}

impl Hold {
    /// Closes the pin, unless it is not ours any more. The last user calls it, in a section.
    fn close(&self, share: Share) {
        if share.file.is_none_or(|file| file.is_behind(share.pin)) {
            pins::release(OwnedFd::from_raw(share.pin));
        }
        self.pin.set(None, Ordering::Relaxed);
    }
}

#[derive(Debug, Default, Zeroable)]
struct Free {
    /// Index + 1 of the first free one; 0 is none.
    head: u32,
    /// Holds below this index exist.
    high: u32,
}

/// A user's share of a pin, to be given back with [`Holds::release`].
#[derive(Clone, Copy, Debug)]
pub struct Share {
    index: u32,
    /// The descriptor.
    pub pin: i32,
    /// The file behind it, if it is known.
    pub file: Option<Identity>,
}

/// The shared pins of one context. All-zero memory has none.
#[derive(Debug, Default, Zeroable)]
pub struct Holds {
    free: Lock<Free>,
    holds: Chunked<Hold>,
    /// Index + 1 of the last hold of a descriptor.
    latest: [AtomicU32; LATEST],
}

impl Holds {
    /// Shares `pin`, which was seen to be what `source` says at the time `now`. EAGAIN: no memory.
    pub fn begin(
        &self,
        pin: OwnedFd,
        source: Source,
        now: u64,
        _section: &Section,
    ) -> Result<Share> {
        let Ok((index, hold)) = self.take_free() else {
            pins::release(pin);
            return Err(Errno::AGAIN);
        };
        let pin = pin.into_raw();
        // SAFETY: it has no users.
        unsafe { hold.source.get().write(Some(source)) };
        hold.seen.store(now, Ordering::Relaxed);
        hold.pin.set(Some(pin), Ordering::Relaxed);
        // Release: pairs with the Acquire in `find`.
        hold.users.store(1, Ordering::Release);
        if let Some(latest) = self.latest.get(source.fd as usize % LATEST) {
            latest.store(index + 1, Ordering::Relaxed);
        }
        Ok(Share { index, pin, file: source.file })
    }

    /// A share of the pin that requests in flight have of the same open file.
    pub fn find(&self, wanted: &Source, section: &Section) -> Option<Share> {
        let latest = self.latest.get(wanted.fd as usize % LATEST)?;
        let index = latest.load(Ordering::Relaxed).checked_sub(1)?;
        let hold = self.holds.get(index)?;
        let more = |users: u32| (users > 0).then_some(users + 1);
        // Acquire: pairs with the Release in `begin`.
        hold.users.fetch_update(Ordering::Acquire, Ordering::Relaxed, more).ok()?;
        // SAFETY: written before it had users; now it has one more.
        let source = unsafe { *hold.source.get() }?;
        let pin = hold.pin.get(Ordering::Relaxed).unwrap_or(-1);
        let share = Share { index, pin, file: source.file };
        let is_alike = (source.fd, source.status) == (wanted.fd, wanted.status)
            && source.file.is_some()
            && source.file == wanted.file;
        // The program may have closed its descriptor and opened the file again, which has locks of
        // its own then; or it has closed the pin.
        if is_alike && fd::query_same_file(share.pin, wanted.fd) == Some(Ok(true)) {
            return Some(share);
        }
        self.release_within(share, section);
        None
    }

    fn take_free(&self) -> Result<(u32, &Hold)> {
        let mut free = self.free.lock();
        let Some(index) = free.head.checked_sub(1) else {
            let index = free.high;
            let hold = self.holds.reserve(index)?;
            free.high += 1;
            return Ok((index, hold));
        };
        let hold = self.holds.get(index).ok_or(Errno::NOMEM)?;
        free.head = hold.next_free.load(Ordering::Relaxed);
        Ok((index, hold))
    }

    /// One more share, by a holder of one.
    pub fn share(&self, share: &Share) -> Share {
        if let Some(hold) = self.holds.get(share.index) {
            hold.users.fetch_add(1, Ordering::Relaxed);
        }
        *share
    }

    /// Whether the pin was seen to hold its file a moment before `now`.
    pub fn is_believed(&self, share: &Share, now: u64) -> bool {
        let seen = self.holds.get(share.index).map_or(0, |hold| hold.seen.load(Ordering::Relaxed));
        now.saturating_sub(seen) < MAX_AGE
    }

    /// The pin was seen to hold its file.
    pub fn note_sight(&self, share: &Share, now: u64) {
        if let Some(hold) = self.holds.get(share.index) {
            hold.seen.store(now, Ordering::Relaxed);
        }
    }

    /// Gives a share back; the last one closes the pin, if it is ours still.
    pub fn release(&self, share: Share) {
        if let Some(hold) = self.leave(share) {
            let section = fork_gate::enter();
            hold.close(share);
            drop(section);
            self.put_back(hold, share.index);
        }
    }

    /// The same, by a thread that is in a section already.
    fn release_within(&self, share: Share, _section: &Section) {
        if let Some(hold) = self.leave(share) {
            hold.close(share);
            self.put_back(hold, share.index);
        }
    }

    /// One user less; the hold, if that was the last one.
    fn leave(&self, share: Share) -> Option<&Hold> {
        let hold = self.holds.get(share.index)?;
        // AcqRel: the last one comes after everything that the others did with the pin.
        (hold.users.fetch_sub(1, Ordering::AcqRel) == 1).then_some(hold)
    }

    fn put_back(&self, hold: &Hold, index: u32) {
        let mut free = self.free.lock();
        hold.next_free.store(free.head, Ordering::Relaxed);
        free.head = index + 1;
    }

    /// Calls `visit` with every descriptor that is shared: for a forked child.
    pub fn for_each_pin(&self, mut visit: impl FnMut(i32)) {
        self.holds.for_each(|_, hold| {
            if let Some(pin) = hold.pin.get(Ordering::Relaxed) {
                // SAFETY: written before the pin was.
                let file = unsafe { *hold.source.get() }.and_then(|source| source.file);
                if file.is_none_or(|file| file.is_behind(pin)) {
                    visit(pin);
                }
            }
        });
    }

    /// Gives all memory back.
    ///
    /// # Safety
    /// Nothing is shared and no other thread is inside.
    pub unsafe fn clear(&self) {
        *self.free.lock() = Free::default();
        for latest in &self.latest {
            latest.store(0, Ordering::Relaxed);
        }
        // SAFETY: the caller's promise.
        unsafe { self.holds.clear() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(fd: i32) -> Source {
        let status = fd::status_flags(fd).unwrap();
        Source { fd, file: Some(Identity::of(fd).unwrap()), status }
    }

    #[test]
    fn the_last_share_closes_the_pin() {
        let holds = Holds::default();
        let file = fd::memory_file().unwrap();
        let identity = Identity::of(file.raw()).unwrap();
        let pin = fd::duplicate(file.raw()).unwrap();
        let first = holds.begin(pin, source(file.raw()), 1_000_000, &fork_gate::enter()).unwrap();
        let second = holds.share(&first);
        assert!(holds.is_believed(&second, 1_040_000));
        assert!(!holds.is_believed(&second, 1_060_000));
        holds.note_sight(&second, 1_060_000);
        assert!(holds.is_believed(&first, 1_060_000));
        let mut pins = Vec::new();
        holds.release(first);
        holds.for_each_pin(|pin| pins.push(pin));
        assert_eq!(pins, [second.pin]);
        assert!(identity.is_behind(second.pin));
        holds.release(second);
        assert!(!identity.is_behind(second.pin));
        holds.for_each_pin(|_| unreachable!());
    }

    #[test]
    fn what_the_program_has_put_there_stays() {
        let holds = Holds::default();
        let (file, other) = (fd::memory_file().unwrap(), fd::memory_file().unwrap());
        let pin = fd::duplicate(file.raw()).unwrap();
        let share = holds.begin(pin, source(file.raw()), 1, &fork_gate::enter()).unwrap();
        // SAFETY: both numbers are the test's.
        unsafe { libc::dup2(other.raw(), share.pin) };
        holds.release(share);
        assert!(Identity::of(other.raw()).unwrap().is_behind(share.pin));
        drop(OwnedFd::from_raw(share.pin));
    }

    #[test]
    fn a_pin_is_found_as_long_as_it_is_shared() {
        let holds = Holds::default();
        let file = fd::memory_file().unwrap();
        let wanted = source(file.raw());
        let find = |wanted: &Source| holds.find(wanted, &fork_gate::enter());
        assert!(find(&wanted).is_none());
        let pin = fd::duplicate(file.raw()).unwrap();
        let first = holds.begin(pin, wanted, 1, &fork_gate::enter()).unwrap();
        if fd::query_same_file(file.raw(), file.raw()).is_none() {
            return holds.release(first);
        }
        let second = find(&wanted).unwrap();
        assert_eq!(second.pin, first.pin);
        assert!(find(&Source { status: StatusFlags::from_bits(0), ..wanted }).is_none());
        assert!(find(&Source { fd: wanted.fd + LATEST as i32, ..wanted }).is_none());
        holds.release(first);
        holds.release(find(&wanted).unwrap());

        // The same file at the same descriptor, opened again.
        let again = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(format!("/proc/self/fd/{}", file.raw()))
            .unwrap();
        // SAFETY: both numbers are the test's.
        unsafe { libc::dup2(std::os::fd::AsRawFd::as_raw_fd(&again), file.raw()) };
        assert_eq!(source(file.raw()).file, wanted.file);
        assert!(find(&Source { status: wanted.status, ..source(file.raw()) }).is_none());

        holds.release(second);
        assert!(find(&wanted).is_none());
        assert!(!wanted.file.unwrap().is_behind(second.pin));
        // It was given back once.
        let [one, other] = [(); 2].map(|()| {
            let pin = fd::duplicate(file.raw()).unwrap();
            holds.begin(pin, source(file.raw()), 1, &fork_gate::enter()).unwrap()
        });
        assert_ne!(one.index, other.index);
        for share in [one, other] {
            holds.release(share);
        }
    }
}
