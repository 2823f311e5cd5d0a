//! How the files of armed polls are held: by slots of a table in io_uring, a batch by one system
//! call, or by duplicates of the program's descriptors.
//!
//! A slot has the number of its request. Slots have no fd, so a request that has to
//! be registered by itself, or compared with a new one on its fd, gets a duplicate first
//! ([`give_pin`]): where several polls wait on one fd, the oldest of them.

use core::ptr;

use libc::RLIMIT_NOFILE;

use crate::files::pins::{self, Pin};
use crate::files::resfd::EventfdNotifier;
use crate::poller::Poller;
use crate::poller::table::{IN_TABLE, UNLOCKED};
use crate::process::fork_gate::{self, Section};
use crate::process::fork_generation;
use crate::request::Request;
use crate::request::list::List;
use crate::sync::Ordering;
use crate::sys::errno::{Errno, Result};
use crate::sys::fd::{self, OwnedFd};
use crate::sys::file_info::Identity;
use crate::uring::files::{EMPTY, FileTable, KEEP};

/// So many polls at once are held by slots from the first time on.
const MIN_SLOT_BATCH: usize = 4;
/// Others when there have been so many: they cost the same, but no program can close them. A
/// context with a poll now and then needs no instance.
const MAX_SINGLES: u32 = 32;
/// The most slots of a table. Requests beyond them get duplicates.
const MAX_SLOTS: u32 = 16_384;
/// Slots that one system call can change.
const WINDOW: u32 = 128;

/// Changes to slots that are near each other.
struct Window<'a> {
    files: &'a FileTable,
    base: u32,
    fds: [i32; WINDOW as usize],
    /// Offsets of the first change and the one after the last.
    from: usize,
    to: usize,
}

impl<'a> Window<'a> {
    fn new(files: &'a FileTable) -> Window<'a> {
        Window { files, base: 0, fds: [KEEP; WINDOW as usize], from: 0, to: 0 }
    }

    /// Whether a slot is out of reach of the changes that wait.
    fn is_beyond(&self, slot: u32) -> bool {
        self.to > 0 && slot & !(WINDOW - 1) != self.base
    }

    fn set(&mut self, slot: u32, fd: i32) {
        let offset = (slot % WINDOW) as usize;
        if self.to == 0 {
            (self.base, self.from) = (slot & !(WINDOW - 1), offset);
        }
        self.from = self.from.min(offset);
        self.to = self.to.max(offset + 1);
        if let Some(place) = self.fds.get_mut(offset) {
            *place = fd;
        }
    }

    /// Makes the changes. Those below the slot that is returned were made.
    fn flush(&mut self) -> u32 {
        let Some(fds) = self.fds.get_mut(self.from..self.to) else { return 0 };
        let first = self.base + self.from as u32;
        let done = if fds.is_empty() { 0 } else { self.files.update(first, fds) };
        fds.fill(KEEP);
        self.to = 0;
        first + done as u32
    }
}

fn is_in_table(request: &Request) -> bool {
    request.registration.load(Ordering::Relaxed) & IN_TABLE != 0
}

/// Empties the slot of a request whose file shall not be held. Under the poller's lock.
pub(super) fn empty_slot(files: Option<&FileTable>, request: &Request) {
    let note = request.registration.load(Ordering::Relaxed);
    if note & IN_TABLE != 0
        && let Some(files) = files
    {
        files.update(request.index(), &[EMPTY]);
        request.registration.store(note & !IN_TABLE, Ordering::Relaxed);
    }
}

/// Gives a request that is held by a slot a duplicate instead. Under the poller's lock.
pub(super) fn give_pin(files: Option<&FileTable>, request: &Request) -> Result<()> {
    let note = request.registration.load(Ordering::Relaxed);
    if note & IN_TABLE == 0 {
        return Ok(());
    }
    let files = files.ok_or(Errno::BADF)?;
    let _section = fork_gate::enter();
    let (file, identity) = match files.install(request.index()) {
        Ok(file) => {
            let identity = Identity::of(file.raw())?;
            (file, identity)
        }
        // The program has closed the fd of the table's instance, and this thread has never
        // entered it before.
        Err(error) => duplicate(request).ok_or(error)?,
    };
    request.set_pin(file, Some(identity));
    files.update(request.index(), &[EMPTY]);
    request.registration.store(note & !IN_TABLE, Ordering::Relaxed);
    Ok(())
}

/// Whether the duplicate that holds the file of an armed request is there still: the program may
/// have closed it and put a file of its own at the fd.
pub(super) fn has_pin(request: &Request) -> bool {
    let Some(pin) = request.pin() else { return false };
    let fd = request.work().map_or(-1, |work| work.fd);
    if fd::is_same_file(pin, fd) == Ok(true) {
        return true;
    }
    // The program has closed the fd, or uses it for another file. The objects of the kernel
    // have one inode, all of them, and dup2 clears the flag.
    request.file().is_some_and(|file| file.is_behind(pin)) && fd::is_closed_on_exec(pin)
}

/// Takes the duplicate of an armed request out, if it is there still.
fn take_pin(request: &Request) -> Option<OwnedFd> {
    let has_pin = has_pin(request);
    let pin = request.take_pin()?;
    if has_pin {
        return Some(pin);
    }
    let _ = pin.into_raw();
    None
}

/// A duplicate of the program's fd, if that means the file of an armed request still.
fn duplicate(request: &Request) -> Option<(OwnedFd, Identity)> {
    let (file, fd) = (request.file()?, request.work()?.fd);
    if !file.is_behind(fd) {
        return None;
    }
    let pin = fd::duplicate(fd).ok()?;
    if file.is_behind(pin.raw()) {
        return Some((pin, file));
    }
    // It has changed just now.
    pins::release(pin);
    None
}

/// Makes sure that the file of an armed request is held: if the duplicate is lost, by another one
/// of the program's fd, as long as that means the file. EBADF: nothing leads to it any more.
/// Under the poller's lock.
pub(super) fn secure(request: &Request) -> Result<()> {
    if is_in_table(request) || has_pin(request) {
        return Ok(());
    }
    let _section = fork_gate::enter();
    let (pin, file) = duplicate(request).ok_or(Errno::BADF)?;
    // What was there is the program's.
    let _ = request.take_pin().map(OwnedFd::into_raw);
    request.set_pin(pin, Some(file));
    Ok(())
}

impl Poller {
    /// The table of files, if there is one.
    pub(super) fn files(&self) -> Option<&FileTable> {
        // Acquire: pairs with the Release in `make_files`.
        // SAFETY: it lives until `drop_files`, when no request is armed and no thread is inside.
        unsafe { self.files.load(Ordering::Acquire).as_ref() }
    }

    #[cold]
    fn make_files(&self) -> Option<&FileTable> {
        if self.has_no_files.swap(true, Ordering::Relaxed) {
            return None;
        }
        let limit = fd::limit(RLIMIT_NOFILE).unwrap_or(u64::MAX);
        let slots = self.completions().ring.nr().min(MAX_SLOTS).min(limit as u32);
        let files = Box::into_raw(Box::new(FileTable::new(slots)?));
        // Release: pairs with the Acquire in `files`.
        self.files.store(files, Ordering::Release);
        self.files()
    }

    /// Gives the table back. No request is armed and no thread is inside.
    pub(super) fn drop_files(&self) {
        let files = self.files.swap(ptr::null_mut(), Ordering::Relaxed);
        if !files.is_null() {
            // SAFETY: `make_files` took it out of a box, and nobody uses it any more.
            drop(unsafe { Box::from_raw(files) });
        }
        self.has_no_files.store(false, Ordering::Relaxed);
        self.singles.store(0, Ordering::Relaxed);
    }

    /// Holds the files of polls that are to be armed; of how many, and why not of all.
    pub(super) fn hold(&self, requests: &[Option<&Request>]) -> (usize, Result<()>) {
        if self.holds_by_slots(requests.len()) {
            self.hold_by_slots(requests);
        }
        let mut section = None;
        for (index, request) in requests.iter().flatten().enumerate() {
            if !is_in_table(request)
                && let Err(error) = self.hold_by_duplicate(request, &mut section)
            {
                return (index, Err(error));
            }
        }
        (requests.len(), Ok(()))
    }

    fn holds_by_slots(&self, count: usize) -> bool {
        if count >= MIN_SLOT_BATCH {
            // The table is in the other process, too, but the end of this one empties nothing. Not
            // asked for each single poll.
            return !fork_generation::is_other_process();
        }
        self.files().is_some() || self.singles.fetch_add(1, Ordering::Relaxed) >= MAX_SINGLES
    }

    fn hold_by_duplicate(&self, request: &Request, section: &mut Option<Section>) -> Result<()> {
        section.get_or_insert_with(fork_gate::enter);
        let fd = request.work().map_or(-1, |work| work.fd);
        match fd::duplicate(fd) {
            Ok(file) => {
                request.set_pin(file, None);
                Ok(())
            }
            Err(Errno::BADF) => Err(Errno::BADF),
            Err(_) => Err(Errno::AGAIN),
        }
    }

    fn hold_by_slots(&self, requests: &[Option<&Request>]) {
        let Some(files) = self.files().or_else(|| self.make_files()) else { return };
        let mut window = Window::new(files);
        let mut first = 0;
        for (index, request) in requests.iter().enumerate() {
            let Some(request) = request else { continue };
            let slot = request.index();
            let Some(work) = request.work().filter(|_| slot < files.slots()) else { continue };
            if window.is_beyond(slot) {
                note_held(requests.get(first..index), window.base, window.flush());
                first = index;
            }
            window.set(slot, work.fd);
        }
        note_held(requests.get(first..), window.base, window.flush());
    }

    /// Lets go of the files of requests that are on no other list, all of them armed before or
    /// none.
    pub(super) fn release_files<'a>(&self, requests: impl Iterator<Item = &'a Request>) {
        let mut window = None;
        let mut section = None;
        for request in requests {
            let note = request.registration.load(Ordering::Relaxed);
            request.registration.store(0, Ordering::Relaxed);
            if note & IN_TABLE != 0
                && let Some(files) = self.files()
            {
                let window = window.get_or_insert_with(|| Window::new(files));
                if window.is_beyond(request.index()) {
                    window.flush();
                }
                window.set(request.index(), EMPTY);
            } else if request.pin().is_some() {
                section.get_or_insert_with(fork_gate::enter);
                match take_pin(request) {
                    Some(pin) if note & UNLOCKED != 0 => drop(pin),
                    pin => drop(pin.map(Pin::new)),
                }
            }
        }
        if let Some(mut window) = window {
            window.flush();
        }
    }

    /// Lets go of the files of decided requests, in one go, and completes them.
    pub(super) fn complete(&self, mut done: List) {
        let completions = self.completions();
        if done.is_empty() {
            return;
        }
        let mut next = done.first(&completions.slab);
        self.release_files(core::iter::from_fn(|| {
            let request = next?;
            next = done.next(&completions.slab, request);
            Some(request)
        }));
        let mut signals = EventfdNotifier::default();
        while let Some(request) = done.first(&completions.slab) {
            done.remove(&completions.slab, request);
            completions.put_without_wake(request, &mut signals);
        }
        signals.send(&completions.resfds);
        // The caller is inside the context, or is its harvester: it is still there.
        completions.wake_waiters();
    }
}

/// Notes which of the requests, whose slots were to be filled from `base` on, are held: the slots
/// below `end`.
fn note_held(requests: Option<&[Option<&Request>]>, base: u32, end: u32) {
    for request in requests.unwrap_or_default().iter().flatten() {
        if (base..end).contains(&request.index()) {
            request.registration.store(IN_TABLE, Ordering::Relaxed);
        }
    }
}
