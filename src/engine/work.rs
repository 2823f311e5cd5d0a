//! What a worker of the pool does for a request, or a caller in its place.
//!
//! The kernel starts a request in io_submit. Here some time goes by until a worker comes to it, in
//! which the program may have changed the file. What the request needs of it is that of its
//! submission:
//! - the position of a write, though O_APPEND is set now;
//! - the end of the file: a read does not go beyond the one that was there, and a write does not
//!   bring back what the program has cut off since.

use libc::{RWF_NOWAIT, iovec, timespec};

use crate::engine::inline;
use crate::files::holds::Holds;
use crate::request::decode::Transfer;
use crate::request::{Request, Task};
use crate::sync::{AtomicU32, Ordering};
use crate::sys::cred::Credentials;
use crate::sys::errno::{Errno, Result};
use crate::sys::file::{self, Direction, RWF_NOAPPEND};
use crate::sys::file_info::FileInfo;
use crate::sys::poll::SigSet;
use crate::sys::{clock, fd, poll, signal, thread};

/// How often a pin that is closed in mid-work is made anew.
const MAX_PIN_ATTEMPTS: usize = 8;

/// What a thread that works has seen to.
#[derive(Clone, Copy, Debug)]
pub struct Shield {
    /// The thread's signal mask. Now all signals are blocked, also those by which glibc changes the
    /// ids of all threads: who changes them waits until the mask is set back, and until then the
    /// thread's credentials stay what they are.
    mask: SigSet,
    /// The thread's credentials.
    own: Credentials,
    /// When that began.
    since: timespec,
}

/// How long others may have to wait for a thread that works: to change ids.
const MAX_SIGNAL_DELAY: i64 = 5_000_000;

impl Shield {
    /// Blocks all signals in the calling thread.
    pub fn raise() -> Shield {
        let mask = signal::block_all();
        Shield { mask, own: Credentials::current(), since: clock::now() }
    }

    /// Sets the mask back.
    pub fn lower(self) {
        signal::set_mask(self.mask);
    }

    /// The mask before.
    pub fn mask(&self) -> SigSet {
        self.mask
    }

    /// The credentials of the thread.
    pub fn credentials(&self) -> Credentials {
        self.own
    }

    /// Lets signals come that have waited for long, before the thread goes on; whether its
    /// credentials have changed.
    pub fn breathe(&mut self) -> bool {
        if clock::between(&self.since, &clock::now()) <= MAX_SIGNAL_DELAY {
            return false;
        }
        self.lower();
        let before = core::mem::replace(self, Shield::raise());
        before.own != self.own
    }

    /// Signals were let in.
    pub fn renew(&mut self) {
        self.own = Credentials::current();
    }
}

/// Does the work of a request that the caller has claimed; its result.
///
/// divergence: until it starts, the request is only queued: it is lost if the process is killed;
/// O_DIRECT is what the file has at this moment; a read finds nothing where the file was cut off; a
/// file that was cut off and made longer again gets the data of a write; and buffers are not held,
/// so that one that the program has unmapped gives EFAULT. The kernel looks at all that in
/// io_submit.
pub fn perform(request: &Request, holds: &Holds) -> i64 {
    let shield = Shield::raise();
    let result = perform_shielded(request, holds, &shield);
    shield.lower();
    result
}

/// The same by a thread that works on.
pub fn perform_shielded(request: &Request, holds: &Holds, shield: &Shield) -> i64 {
    let now = clock::nanoseconds(&clock::now());
    let is_believed = request.share().is_some_and(|share| holds.is_believed(&share, now));
    let mut result = match is_believed || is_held(request, holds, now) {
        true => perform_once(request, shield.own),
        false => Err(Errno::BADF),
    };
    for _ in 0..MAX_PIN_ATTEMPTS {
        if result.is_ok() || request.is_pin_intact() || !is_held(request, holds, now) {
            break;
        }
        // The program has closed the pin just now: nothing was done to the file.
        result = perform_once(request, shield.own);
    }
    result.map_or_else(Errno::to_res, |count| count as i64)
}

/// Whether the request holds its file, if need be by another pin.
fn is_held(request: &Request, holds: &Holds, now: u64) -> bool {
    let is_held = request.hold_again();
    if let Some(share) = request.share().filter(|_| is_held) {
        holds.note_sight(&share, now);
    }
    is_held
}

fn perform_once(request: &Request, own: Credentials) -> Result<usize> {
    let (work, fd) = (request.work().ok_or(Errno::BADF)?, request.pin().ok_or(Errno::BADF)?);
    match &work.task {
        Task::Transfer(transfer) => with_credentials(own, request.credentials(), || {
            with_priority(transfer.priority, || move_bytes(fd, transfer, request.size()))
        }),
        Task::Sync { data_only } => {
            with_credentials(own, request.credentials(), || file::sync(fd, *data_only).map(|()| 0))
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
    const MAX_NOWAIT_ATTEMPTS: u32 = 16;
    const FUTILE_BEFORE_PAUSE: u32 = 8;
    const RETRY_AFTER: u32 = 32;
    let futile = FUTILE.load(Ordering::Relaxed);
    if futile < FUTILE_BEFORE_PAUSE || futile.is_multiple_of(RETRY_AFTER) {
        MAX_NOWAIT_ATTEMPTS
    } else {
        1
    }
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
    // SAFETY: the elements are the request's own copy; the buffers are the program's, which keeps
    // them until the event.
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

/// Runs `work` with the credentials of the submitter, in a thread that has its own.
fn with_credentials<R>(own: Credentials, wanted: Credentials, work: impl FnOnce() -> R) -> R {
    if own == wanted {
        return work();
    }
    wanted.adopt();
    let result = work();
    own.adopt();
    result
}
