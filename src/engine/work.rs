//! What a worker of the pool does for a request, or a caller in its place.
//!
//! The kernel starts a request in io_submit. Here some time goes by until a worker comes to it, in which
//! the program may have changed the file. What the request needs of it is that of its submission:
//! - the position of a write, though O_APPEND is set now;
//! - the end of the file: a read does not go beyond the one that was there, and a write does not bring
//!   back what the program has cut off since.

use libc::{RWF_NOWAIT, iovec, timespec};

use crate::engine::inline;
use crate::request::decode::Transfer;
use crate::request::{Request, Task};
use crate::sync::{AtomicU32, Ordering};
use crate::sys::cred::Credentials;
use crate::sys::errno::{Errno, Result};
use crate::sys::file::{self, Direction, RWF_NOAPPEND};
use crate::sys::file_info::FileInfo;
use crate::sys::{fd, poll, signal, thread};

/// How often a pin that is closed in mid-work is made anew.
const TRIES: usize = 8;

/// Does the work of a request that the caller has claimed; its result.
///
/// divergence: until it starts, the request is only queued: it is lost if the process is killed;
/// O_DIRECT is what the file has at this moment; a read finds nothing where the file was cut off; a file
/// that was cut off and made longer again gets the data of a write; and buffers are not held, so that
/// one that the program has unmapped gives EFAULT. The kernel looks at all that in io_submit.
pub fn perform(request: &Request) -> i64 {
    let mut result = perform_once(request);
    for _ in 0..TRIES {
        if result != Err(Errno::BADF) || request.is_pin_intact() {
            break;
        }
        // The program has closed the pin just now: nothing was done.
        result = perform_once(request);
    }
    result.map_or_else(Errno::to_res, |count| count as i64)
}

fn perform_once(request: &Request) -> Result<usize> {
    // First: it may bring another pin.
    if !request.hold_again() {
        return Err(Errno::BADF);
    }
    let (work, fd) = (request.work().ok_or(Errno::BADF)?, request.pin().ok_or(Errno::BADF)?);
    match &work.task {
        Task::Transfer(transfer) => undisturbed(|| {
            with_rights(request.credentials(), || {
                with_priority(transfer.priority, || move_bytes(fd, transfer, request.size()))
            })
        }),
        Task::Sync { data_only } => {
            with_rights(request.credentials(), || file::sync(fd, *data_only).map(|()| 0))
        }
        Task::Poll { .. } => Err(Errno::INVAL),
    }
}

/// `size`: where the file ended at submission.
fn move_bytes(fd: i32, transfer: &Transfer, size: u64) -> Result<usize> {
    let list = transfer.buffer.as_slice();
    let flags = transfer.flags.bits();
    let offset = transfer.offset as u64;
    if transfer.direction == Direction::Read {
        let count = vectored(fd, transfer, list, flags)?;
        return Ok(count.min(room(size, offset)));
    }
    let flags = flags | fixed_position(transfer);
    let len = transfer.buffer.len() as usize;
    if size == u64::MAX || transfer.flags.is_nowait() {
        return write(fd, transfer, list, flags);
    }
    // What has blocks is written without waiting for anything but the device; what makes the file
    // longer is not. So nobody can cut it off between a look at its end and the write.
    let attempts = attempts();
    for attempt in 1.. {
        let is_hopeless = match write(fd, transfer, list, flags | RWF_NOWAIT) {
            Ok(count) if count == len => {
                FUTILE.store(0, Ordering::Relaxed);
                return Ok(count);
            }
            Ok(_) | Err(Errno::OPNOTSUPP) => true,
            Err(Errno::AGAIN) => attempt >= attempts,
            Err(error) => return Err(error),
        };
        let left = room(FileInfo::of(fd).map_or(u64::MAX, |info| info.size), offset);
        if left < len {
            // It would have been written first, then cut off. Whole sectors are.
            return match left / inline::SECTOR * inline::SECTOR {
                0 => Ok(len),
                part => write(fd, transfer, &transfer.buffer.first(part), flags).map(|_| len),
            };
        }
        if is_hopeless {
            break;
        }
        match attempt {
            // Pages in the cache have to be dropped first, says the kernel, which may block.
            1 => file::forget_cached(fd, offset, len as u64),
            // Or somebody has the file's lock, perhaps to cut it off.
            _ => nap(attempt),
        }
    }
    FUTILE.fetch_add(1, Ordering::Relaxed);
    write(fd, transfer, list, flags)
}

/// Writes in a row that did not go without waiting.
static FUTILE: AtomicU32 = AtomicU32::new(0);

/// How often a write is attempted without waiting: for some eight milliseconds, and once where that
/// does not seem to be possible at all.
fn attempts() -> u32 {
    const MANY: u32 = 16;
    const PATIENCE: u32 = 8;
    const INTERVAL: u32 = 32;
    let futile = FUTILE.load(Ordering::Relaxed);
    if futile < PATIENCE || futile.is_multiple_of(INTERVAL) { MANY } else { 1 }
}

fn nap(attempt: u32) {
    let span = timespec { tv_sec: 0, tv_nsec: 12_500 << attempt.min(6) };
    let _ = poll::wait(&mut [], Some(&span), None);
}

/// How many bytes there are from `offset` to the end.
fn room(size: u64, offset: u64) -> usize {
    size.saturating_sub(offset).min(isize::MAX as u64) as usize
}

/// The flag that keeps a write at its position: those that append do not come here.
pub fn fixed_position(transfer: &Transfer) -> i32 {
    let is_needed = transfer.direction == Direction::Write && !transfer.flags.is_append();
    if is_needed && inline::may_use_noappend() { RWF_NOAPPEND } else { 0 }
}

fn write(fd: i32, transfer: &Transfer, list: &[iovec], flags: i32) -> Result<usize> {
    let moved = vectored(fd, transfer, list, flags);
    let is_refused = match moved {
        // include/linux/fs.h, kiocb_set_rw_flags: it was made append-only while it was open.
        Err(Errno::PERM) => fd::is_append_only(fd),
        // A sandbox that has come since forbids the flags.
        Err(Errno::OPNOTSUPP) => flags & RWF_NOWAIT == 0,
        _ => false,
    };
    if is_refused && flags & !transfer.flags.bits() & RWF_NOAPPEND != 0 {
        return vectored(fd, transfer, list, flags & !RWF_NOAPPEND);
    }
    moved
}

fn vectored(fd: i32, transfer: &Transfer, list: &[iovec], flags: i32) -> Result<usize> {
    // SAFETY: the elements are the request's own copy; the buffers are the program's, which keeps them
    // until the event.
    unsafe { file::vectored(transfer.direction, fd, list, transfer.offset, flags) }
}

fn with_priority<R>(wanted: Option<u16>, work: impl FnOnce() -> R) -> R {
    let Some(priority) = wanted else { return work() };
    let own = thread::io_priority();
    thread::set_io_priority(priority);
    let result = work();
    thread::set_io_priority(own);
    result
}

/// Runs `work` with the rights of the submitter.
fn with_rights<R>(wanted: Credentials, work: impl FnOnce() -> R) -> R {
    let own = Credentials::current();
    if own == wanted {
        return work();
    }
    wanted.adopt();
    let result = work();
    own.adopt();
    result
}

/// Runs `work` without a change of ids in between. glibc makes one by a signal to every thread, and
/// waits for each: it has to wait until `work` is done, which would go on with other rights.
fn undisturbed<R>(work: impl FnOnce() -> R) -> R {
    let mask = signal::block_all();
    let result = work();
    signal::set_mask(mask);
    result
}
