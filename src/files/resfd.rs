//! Eventfds that programs name in `aio_resfd`, kept open while a request refers to them.
//!
//! Nothing is ever written to a number of the program's: whatever was found there, another thread
//! may put a file of its own in its place. Only a duplicate is asked what it is, and written to.
//!
//! Programs name the same eventfd again and again: a context shares one duplicate among all
//! requests in flight, as long as the number still means the same file (kcmp). The duplicate is
//! closed with the last of them, because a descriptor that stays open would keep registrations in
//! the program's own epoll alive after the program has closed the eventfd.
//!
//! The program may close the duplicate, too, or put a file of its own at that number: before it is
//! written to or closed it is compared with the program's number, and if it is lost and that is an
//! eventfd, that one is signalled.
//!
//! divergence: between that look and the call that follows, the file may change once more.

use bytemuck::Zeroable;

use crate::files::pins;
use crate::lock::Lock;
use crate::process::fork_gate::{self, Section};
use crate::sys::errno::{Errno, Result};
use crate::sys::fd::{self, OwnedFd};
use crate::sys::poll;

const ENTRIES: usize = 4;
/// How often another descriptor is looked for, if what was found is closed before it is written to.
const MAX_ATTEMPTS: usize = 8;

/// An eventfd to add 1 to: one of the program's that is open now, or one that is pinned.
#[derive(Clone, Copy, Debug)]
pub struct EventfdRef {
    fd: i32,
    /// The program's number for it.
    number: i32,
    may_block: bool,
}

impl EventfdRef {
    /// The eventfd `number`. EBADF or EINVAL unless it is one: fs/aio.c, __io_submit_one,
    /// eventfd_ctx_fdget. If the number is the program's, that may be out of date at once.
    pub fn to_number(number: i32) -> Result<EventfdRef> {
        let status = fd::status_flags(number)?;
        if !fd::is_eventfd(number) {
            return Err(Errno::INVAL);
        }
        Ok(EventfdRef { fd: number, number, may_block: !status.is_nonblocking() })
    }

    /// Adds 1: fs/aio.c, aio_complete, eventfd_signal.
    pub fn send(self) {
        self.send_count(1);
    }

    /// Adds 1 for each of `count` events.
    fn send_count(self, count: u64) {
        if !self.may_block {
            return self.write(|target| fd::eventfd_add(target, count));
        }
        for _ in 0..count {
            // Only for 1 it is known whether there is room.
            // divergence: a full counter blocks the writer, where the kernel saturates it to its
            // maximum. It counts no more either way.
            self.write(|target| {
                let is_full = |ready| ready & (libc::POLLOUT | libc::POLLNVAL) == 0;
                poll::one(target, libc::POLLOUT).is_ok_and(is_full) || fd::eventfd_add(target, 1)
            });
        }
    }

    /// Finds a descriptor to write to, and another one if that is closed before `write` comes to
    /// it, which is false then.
    fn write(self, write: impl Fn(i32) -> bool) {
        for _ in 0..MAX_ATTEMPTS {
            if self.target().is_none_or(&write) {
                return;
            }
        }
    }

    /// The descriptor to write to. `None`: the program has closed all that lead to the eventfd.
    fn target(self) -> Option<i32> {
        if self.number == self.fd || self.is_held() {
            return Some(self.fd);
        }
        fd::is_eventfd(self.number).then_some(self.number)
    }

    /// Whether the duplicate is there still, and not the program's by now.
    fn is_held(self) -> bool {
        // The program may have closed its own; dup2 clears the flag that ours have.
        fd::is_same_file(self.fd, self.number) == Ok(true)
            || (fd::is_eventfd(self.fd) && fd::is_closed_on_exec(self.fd))
    }
}

/// Signals of eventfds for events that are in the ring, to be sent together. A reader of the eventfd
/// cannot tell: several may have been sent before it looks. [`EventfdNotifier::send`] is due.
#[derive(Debug, Default)]
#[must_use]
pub struct EventfdNotifier {
    resfd: Option<Resfd>,
    count: u64,
}

impl EventfdNotifier {
    /// Adds one for `resfd`, which is given back to `resfds` when it is sent.
    pub fn add(&mut self, resfd: Resfd, resfds: &Resfds) {
        match &self.resfd {
            Some(held) if held.signal.fd == resfd.signal.fd => resfds.release(resfd),
            _ => {
                self.send(resfds);
                self.resfd = Some(resfd);
            }
        }
        self.count += 1;
    }

    /// Sends what has been added.
    pub fn send(&mut self, resfds: &Resfds) {
        if let Some(resfd) = self.resfd.take() {
            resfd.signal.send_count(core::mem::take(&mut self.count));
            resfds.release(resfd);
        }
    }
}

/// A [`Resfd`] in a form in which all-zero memory is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Note {
    is_there: bool,
    may_block: bool,
    /// Index + 1; 0 for none.
    entry: u8,
    fd: i32,
    number: i32,
}

impl Note {
    /// The eventfd that was noted. To be called once.
    pub fn resfd(self) -> Option<Resfd> {
        let Note { fd, number, may_block, entry, is_there } = self;
        let signal = EventfdRef { fd, number, may_block };
        is_there.then(|| Resfd { signal, entry: entry.checked_sub(1) })
    }
}

/// A pinned eventfd. Given back with [`Resfds::release`].
#[derive(Debug)]
pub struct Resfd {
    signal: EventfdRef,
    /// The shared entry it belongs to, if any.
    entry: Option<u8>,
}

impl Resfd {
    /// How to add 1 to it.
    pub fn signal(&self) -> EventfdRef {
        self.signal
    }

    /// A copy, to be given back if its holder cannot.
    pub fn to_note(&self) -> Note {
        let EventfdRef { fd, number, may_block } = self.signal;
        Note {
            is_there: true,
            fd,
            number,
            may_block,
            entry: self.entry.map_or(0, |entry| entry + 1),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Zeroable)]
struct Entry {
    number: i32,
    pin: i32,
    users: u32,
    may_block: bool,
}

/// The pinned eventfds of one context. All-zero memory holds none.
#[derive(Debug, Default, Zeroable)]
pub struct Resfds {
    entries: Lock<[Entry; ENTRIES]>,
}

impl Resfds {
    /// Keeps the eventfd `number` open. EBADF, EINVAL: see [`EventfdRef::to_number`]; EAGAIN: no
    /// descriptor is free.
    pub fn acquire(&self, number: i32, _section: &Section) -> Result<Resfd> {
        if let Some(shared) = self.find(number) {
            return Ok(shared);
        }
        let pin = fd::duplicate(number).map_err(|error| match error {
            Errno::BADF => error,
            _ => Errno::AGAIN,
        })?;
        // The duplicate is asked: the number may mean another file by now.
        match EventfdRef::to_number(pin.raw()) {
            Ok(signal) => Ok(self.enter(pin, EventfdRef { number, ..signal })),
            Err(error) => {
                pins::release(pin);
                Err(error)
            }
        }
    }

    /// One more user of an eventfd that is held. EAGAIN: no descriptor is free.
    pub fn share(&self, resfd: &Resfd, _section: &Section) -> Result<Resfd> {
        let signal = resfd.signal;
        let Some(index) = resfd.entry else {
            let pin = fd::duplicate(signal.fd).map_err(|_| Errno::AGAIN)?;
            return Ok(Resfd { signal: EventfdRef { fd: pin.into_raw(), ..signal }, entry: None });
        };
        if let Some(entry) = self.entries.lock().get_mut(usize::from(index)) {
            entry.users += 1;
        }
        Ok(Resfd { signal, entry: Some(index) })
    }

    /// One more user of the eventfd `number`, if it is held and still the same file.
    fn find(&self, number: i32) -> Option<Resfd> {
        let mut entries = self.entries.lock();
        for (index, entry) in entries.iter_mut().enumerate() {
            if entry.users > 0
                && entry.number == number
                && fd::is_same_file(entry.pin, number) == Ok(true)
            {
                entry.users += 1;
                let signal = EventfdRef { fd: entry.pin, number, may_block: entry.may_block };
                return Some(Resfd { signal, entry: Some(index as u8) });
            }
        }
        None
    }

    /// The first user of an eventfd. Without a free entry it shares with nobody.
    fn enter(&self, pin: OwnedFd, signal: EventfdRef) -> Resfd {
        let pin = pin.into_raw();
        let EventfdRef { number, may_block, .. } = signal;
        let mut entries = self.entries.lock();
        let free = entries.iter_mut().enumerate().find(|(_, entry)| entry.users == 0);
        let entry = free.map(|(index, entry)| {
            *entry = Entry { number, pin, users: 1, may_block };
            index as u8
        });
        Resfd { signal, entry }
    }

    /// Lets go of an eventfd.
    pub fn release(&self, resfd: Resfd) {
        let _section = fork_gate::enter();
        if let Some(index) = resfd.entry {
            let mut entries = self.entries.lock();
            let Some(entry) = entries.get_mut(usize::from(index)) else { return };
            entry.users -= 1;
            if entry.users > 0 {
                return;
            }
        }
        if resfd.signal.is_held() {
            drop(OwnedFd::from_raw(resfd.signal.fd));
        }
    }

    /// Calls `visit` with every shared duplicate: for a forked child, where nobody holds the lock.
    pub fn for_each_pin(&self, mut visit: impl FnMut(i32)) {
        for entry in self.entries.lock().iter() {
            if entry.users > 0 && fd::is_eventfd(entry.pin) {
                visit(entry.pin);
            }
        }
    }

    /// Makes the lock of a copy made by fork usable.
    ///
    /// # Safety
    /// No other thread may use it.
    pub unsafe fn force_unlock(&self) {
        // SAFETY: the caller's promise.
        unsafe { self.entries.force_unlock() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsRawFd;

    fn acquire(resfds: &Resfds, eventfd: &OwnedFd) -> Resfd {
        resfds.acquire(eventfd.raw(), &fork_gate::enter()).unwrap()
    }

    fn count(fd: &OwnedFd) -> u64 {
        let mut count = [0u8; 8];
        // SAFETY: 8 bytes of our own.
        let read = unsafe { libc::read(fd.raw(), count.as_mut_ptr().cast(), 8) };
        if read == 8 { u64::from_ne_bytes(count) } else { 0 }
    }

    #[test]
    fn requests_share_a_duplicate_that_outlives_the_programs_descriptor() {
        let resfds = Resfds::default();
        let eventfd = fd::eventfd().unwrap();
        let other = fd::duplicate(eventfd.raw()).unwrap();
        let (first, second) = (acquire(&resfds, &eventfd), acquire(&resfds, &eventfd));
        assert_eq!(first.signal.fd, second.signal.fd);
        drop(eventfd);
        first.signal().send();
        resfds.release(first);
        second.signal().send();
        let pin = second.signal.fd;
        resfds.release(second.to_note().resfd().unwrap());
        assert_eq!(fd::status_flags(pin), Err(Errno::BADF));
        assert_eq!(count(&other), 2);
    }

    #[test]
    fn a_number_that_means_another_file_is_not_confused() {
        let resfds = Resfds::default();
        let (eventfd, other) = (fd::eventfd().unwrap(), fd::eventfd().unwrap());
        let first = acquire(&resfds, &eventfd);
        // SAFETY: both numbers are ours.
        unsafe { libc::dup2(other.raw(), eventfd.raw()) };
        let second = acquire(&resfds, &eventfd);
        assert_ne!(first.signal.fd, second.signal.fd);
        second.signal().send();
        assert_eq!(count(&other), 1);
        resfds.release(first);
        resfds.release(second);
    }

    #[test]
    fn a_duplicate_that_the_program_has_replaced_is_neither_written_to_nor_closed() {
        let resfds = Resfds::default();
        let (eventfd, other) = (fd::eventfd().unwrap(), fd::eventfd().unwrap());
        let held = acquire(&resfds, &eventfd);
        let pin = held.signal.fd;
        // SAFETY: both numbers are ours.
        unsafe { libc::dup2(other.raw(), pin) };
        held.signal().send();
        resfds.release(held);
        assert_eq!((count(&eventfd), count(&other)), (1, 0), "signalled by its own number");
        assert_eq!(fd::is_same_file(pin, other.raw()), Ok(true), "still there");
        drop(OwnedFd::from_raw(pin));
    }

    #[test]
    fn signals_sent_together_count_each() {
        let resfds = Resfds::default();
        let (eventfd, other) = (fd::eventfd().unwrap(), fd::eventfd().unwrap());
        let mut signals = EventfdNotifier::default();
        for target in [&eventfd, &eventfd, &other, &eventfd] {
            signals.add(acquire(&resfds, target), &resfds);
        }
        signals.send(&resfds);
        assert_eq!((count(&eventfd), count(&other)), (3, 1));
        assert!(resfds.entries.lock().iter().all(|entry| entry.users == 0));
    }

    #[test]
    fn only_eventfds_will_do() {
        let file = File::open("/dev/null").unwrap();
        let errno = |number| EventfdRef::to_number(number).map(|_| ());
        assert_eq!(errno(-1), Err(Errno::BADF));
        assert_eq!(errno(file.as_raw_fd()), Err(Errno::INVAL));
        let epoll = crate::sys::epoll::create().unwrap();
        assert_eq!(errno(epoll.raw()), Err(Errno::INVAL));
        assert!(EventfdRef::to_number(fd::eventfd().unwrap().raw()).is_ok());
    }
}
