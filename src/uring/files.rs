//! A table of open files inside an instance of io_uring: files that are held without descriptors.
//!
//! A batch of files is put in, or let go, by one system call. A file that is held so is not open in
//! a forked child, and letting it go drops no record locks. The instance serves for nothing else.
//!
//! Not every kernel lets a file go at once when its slot is emptied: before Linux 6.13 that could
//! wait for other requests. A peer would wait for the end of the data meanwhile, so the first table
//! of a process is made only after a trial (`works`).
//!
//! *Locks*: none of its own, but [`FileTable::install`] is for one thread at a time.

use core::mem::transmute;

use libc::{POLLHUP, POLLIN, SYS_io_uring_register, SYS_pipe2, c_int};
use linux_raw_sys::io_uring::{
    IORING_REGISTER_FILES_SKIP, IORING_RSRC_REGISTER_SPARSE, io_uring_op, io_uring_register_op,
    io_uring_rsrc_register, io_uring_rsrc_update, io_uring_sqe,
};
use once_cell::race::OnceBool;

use crate::process::fork_gate;
use crate::sys::errno::{Errno, Result};
use crate::sys::fd::{self, OwnedFd};
use crate::sys::poll;
use crate::sys::raw::syscall;
use crate::sys::uring::{Name, Sqe};
use crate::uring::{Instance, cache};

/// In [`FileTable::update`]: the slot stays as it is.
pub const KEEP: i32 = IORING_REGISTER_FILES_SKIP;
/// In [`FileTable::update`]: the slot lets its file go.
pub const EMPTY: i32 = -1;

/// Entries of the completion queue: there is never more than one completion.
const COMPLETIONS: u32 = 128;
/// `user_data` of an [`FileTable::install`].
const INSTALLED: u64 = 1;
/// io_uring_register(2): the number is a place in which the thread has registered the instance.
const BY_PLACE: u32 = io_uring_register_op::IORING_REGISTER_USE_REGISTERED_RING as u32;

/// See the module.
#[derive(Debug)]
pub struct FileTable {
    /// Taken out when dropped.
    instance: Option<Box<Instance>>,
    slots: u32,
}

/// io_uring_register(2).
fn register(
    name: Name,
    operation: io_uring_register_op,
    argument: usize,
    nr: usize,
) -> Result<usize> {
    let operation = operation as u32;
    let (number, operation) = match name {
        Name::Descriptor(fd) => (fd as usize, operation),
        Name::Registered(place) => (place as usize, operation | BY_PLACE),
    };
    // SAFETY: the callers, below, pass what the operation expects.
    unsafe { syscall!(SYS_io_uring_register, number, operation, argument, nr) }
}

impl FileTable {
    /// A table with `slots` empty slots; `None` where there is no such thing.
    pub fn new(slots: u32) -> Option<FileTable> {
        works().then(|| FileTable::make(slots).ok()).flatten()
    }

    fn make(slots: u32) -> Result<FileTable> {
        let section = fork_gate::enter();
        let instance = cache::acquire(COMPLETIONS, &section)?;
        let table = FileTable { instance: Some(instance), slots };
        let argument = io_uring_rsrc_register {
            nr: slots,
            flags: IORING_RSRC_REGISTER_SPARSE,
            resv2: 0,
            data: 0,
            tags: 0,
        };
        let operation = io_uring_register_op::IORING_REGISTER_FILES2;
        let address = (&raw const argument).addr();
        table.enter(|name| register(name, operation, address, size_of_val(&argument)))?;
        Ok(table)
    }

    /// How many slots there are.
    pub fn slots(&self) -> u32 {
        self.slots
    }

    fn enter<R>(&self, enter: impl Fn(Name) -> Result<R>) -> Result<R> {
        self.instance.as_ref().ok_or(Errno::BADF)?.enter(enter)
    }

    /// Puts the files behind `numbers` into the slots from `first` on, or [`EMPTY`] or [`KEEP`].
    /// Returns how many of `numbers` were done: the rest did not work.
    pub fn update(&self, first: u32, numbers: &[i32]) -> usize {
        let argument =
            io_uring_rsrc_update { offset: first, resv: 0, data: numbers.as_ptr().addr() as u64 };
        let operation = io_uring_register_op::IORING_REGISTER_FILES_UPDATE;
        let address = (&raw const argument).addr();
        let update = || self.enter(|name| register(name, operation, address, numbers.len()));
        match update() {
            Ok(done) => done,
            // A number that is not open.
            Err(Errno::BADF) => 0,
            // A slot that is not emptied keeps its file open, and nobody comes back to it.
            Err(_) => update().unwrap_or(0),
        }
    }

    /// A descriptor for the file in a slot, which stays there. One thread at a time. The caller is
    /// in a section of the fork gate.
    pub fn install(&self, slot: u32) -> Result<OwnedFd> {
        let instance = self.instance.as_ref().ok_or(Errno::BADF)?;
        let (submitted, _) = instance.submit(1, |_| installation(slot));
        let mut installed = Err(Errno::AGAIN);
        if submitted == 1 {
            instance.harvest(|cqe| {
                if cqe.user_data == INSTALLED {
                    installed = Errno::check(cqe.res as isize);
                }
            });
        }
        installed.map(|fd| OwnedFd::from_raw(fd as c_int).raised())
    }

    /// Closes what a forked child inherited.
    pub fn close_after_fork(&self) {
        if let Some(instance) = &self.instance {
            instance.close_after_fork();
        }
    }
}

impl Drop for FileTable {
    fn drop(&mut self) {
        let operation = io_uring_register_op::IORING_UNREGISTER_FILES;
        let is_empty = self.enter(|name| register(name, operation, 0, 0)).is_ok();
        if let Some(instance) = self.instance.take() {
            let section = fork_gate::enter();
            match is_empty {
                true => cache::release(instance, &section),
                false => drop(instance),
            }
        }
    }
}

/// Makes a descriptor, closed on exec, of the file in a slot.
fn installation(slot: u32) -> Sqe {
    const FIXED_FILE: u8 = 1;
    // SAFETY: integers; all-zero is an entry.
    let mut sqe: io_uring_sqe = unsafe { core::mem::zeroed() };
    sqe.opcode = io_uring_op::IORING_OP_FIXED_FD_INSTALL as u8;
    sqe.flags = FIXED_FILE;
    sqe.fd = slot as i32;
    sqe.user_data = INSTALLED;
    // SAFETY: both are the kernel's 64 bytes, of integers only, as `sys::uring` asserts.
    unsafe { transmute::<io_uring_sqe, Sqe>(sqe) }
}

/// Whether tables do what is said here, found out once.
fn works() -> bool {
    static VERDICT: OnceBool = OnceBool::new();
    VERDICT.get_or_init(|| try_out().is_ok_and(|is_good| is_good))
}

/// Holds a pipe by a slot alone: its end comes with the slot's, not before and not after.
fn try_out() -> Result<bool> {
    let table = FileTable::make(1)?;
    let _section = fork_gate::enter();
    let mut ends: [c_int; 2] = [-1; 2];
    // SAFETY: the kernel writes two descriptors.
    unsafe { syscall!(SYS_pipe2, ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) }?;
    let [read, write] = ends.map(OwnedFd::from_raw);
    let is_over = || poll::one(read.raw(), POLLIN).is_ok_and(|ready| ready & POLLHUP != 0);
    let is_held = table.update(0, &[write.raw()]) == 1;
    drop(write);
    let is_open = !is_over();
    let installed = table.install(0)?;
    let is_the_end = fd::status_flags(installed.raw())?.is_writable();
    drop(installed);
    let is_open_still = !is_over();
    let is_emptied = table.update(0, &[EMPTY]) == 1;
    Ok(is_held && is_open && is_the_end && is_open_still && is_emptied && is_over())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_hold_files_and_let_them_go_at_once() {
        let Some(table) = FileTable::new(4) else { return };
        let event = fd::eventfd().unwrap();
        let other = fd::eventfd().unwrap();
        assert_eq!(table.update(1, &[event.raw(), KEEP, other.raw()]), 3);
        fd::eventfd_signal(event.raw());
        drop(event);
        let again = table.install(1).unwrap();
        assert_eq!(poll::one(again.raw(), POLLIN), Ok(POLLIN));
        assert!(table.install(2).is_err(), "nothing there");
        assert_eq!(table.update(1, &[EMPTY, KEEP, KEEP]), 3);
        assert!(table.install(1).is_err());
        assert_eq!(poll::one(table.install(3).unwrap().raw(), POLLIN), Ok(0));
    }

    #[test]
    fn what_follows_a_closed_number_is_not_held() {
        let Some(table) = FileTable::new(4) else { return };
        let event = fd::eventfd().unwrap();
        assert_eq!(table.update(0, &[event.raw(), 1_000_000, event.raw()]), 1);
        assert!(table.install(0).is_ok());
        assert!(table.install(2).is_err());
    }
}
