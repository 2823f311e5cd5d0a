//! The inline engine: reads, writes and syncs in the calling thread.
//!
//! It has two kinds of outcome, as in the kernel: an error of the submission (no event ever), and a
//! result for the event. `preadv2` and `pwritev2` mix them, so the file is asked in a way that
//! keeps them apart: a flag that changes nothing for the operation makes the kernel refuse files
//! without `read_iter` or `write_iter` (EOPNOTSUPP) instead of falling back to their older
//! functions.

use core::ffi::c_int;

use libc::{
    RWF_APPEND, RWF_ATOMIC, RWF_DONTCACHE, RWF_DSYNC, RWF_NOWAIT, S_IFBLK, S_IFDIR, S_IFREG,
    S_IFSOCK, iovec,
};
use once_cell::race::OnceBool;

use crate::engine::stream::{self, PendingSignals};
use crate::files::pins;
use crate::request::decode::Transfer;
use crate::sys::errno::{Errno, Result};
use crate::sys::fd::{self, StatusFlags};
use crate::sys::file::{self, Direction, NO_OFFSET, RWF_NOAPPEND, RWF_NOSIGNAL};
use crate::sys::file_info::FileInfo;

/// A flag without effect on reads: see the module.
const READ_DETECTOR: c_int = RWF_DSYNC;

/// The smallest unit of direct I/O. Devices with a larger one refuse by themselves, later.
pub const SECTOR: usize = 512;

/// An offset behind the end of any file.
const FAR: i64 = i64::MAX - 4096;

/// Does a read or write. `Ok` is the event's result, `Err` an error of the submission.
#[inline]
pub fn transfer(
    fd: c_int,
    status: StatusFlags,
    transfer: &Transfer,
    pending_signals: &mut PendingSignals,
) -> Result<i64> {
    if transfer.buffer.is_empty() {
        return empty_transfer(fd, status, transfer, pending_signals);
    }
    // Where the kernel does not know the flag, it must be asked beforehand.
    if transfer.direction == Direction::Write
        && !may_use_nosignal()
        && !has_iter(fd, Direction::Write)
    {
        return Err(Errno::INVAL);
    }
    match perform(fd, transfer) {
        Ok(count) => Ok(count as i64),
        Err(Errno::SPIPE) => stream::transfer(fd, status, transfer, pending_signals),
        Err(error) => {
            pending_signals.note(error, transfer);
            refused(fd, transfer, error)
        }
    }
}

/// Does a read or write of a file of which nothing is known. `None`: nothing was done, and the file
/// has to be looked at to say what is wrong.
#[inline]
pub fn attempt(
    fd: c_int,
    transfer: &Transfer,
    pending_signals: &mut PendingSignals,
) -> Option<i64> {
    let is_loud = transfer.direction == Direction::Write && !may_use_nosignal();
    if transfer.buffer.is_empty() || is_loud {
        return None;
    }
    match perform(fd, transfer) {
        Ok(count) => Some(count as i64),
        Err(
            Errno::BADF
            | Errno::SPIPE
            | Errno::OPNOTSUPP
            | Errno::INVAL
            | Errno::PERM
            | Errno::AGAIN
            | Errno::NOSYS
            | Errno::ACCES,
        ) => None,
        Err(error) => {
            pending_signals.note(error, transfer);
            Some(error.to_res())
        }
    }
}

/// Moves bytes, with the flag that makes the kernel refuse what this engine must not do.
#[inline]
fn perform(fd: c_int, transfer: &Transfer) -> Result<usize> {
    let detector = match transfer.direction {
        Direction::Read => READ_DETECTOR,
        Direction::Write if may_use_nosignal() => RWF_NOSIGNAL,
        Direction::Write => 0,
    };
    let flags = transfer.flags.bits() | detector;
    // SAFETY: the elements are a private copy; the buffers are the program's.
    unsafe {
        file::vectored(transfer.direction, fd, transfer.buffer.as_slice(), transfer.offset, flags)
    }
}

/// Sorts an error of a transfer into submission and event.
#[cold]
pub(super) fn refused(fd: c_int, transfer: &Transfer, error: Errno) -> Result<i64> {
    let flags = transfer.flags;
    match error {
        Errno::BADF => Err(error),
        // fs/aio.c, aio_read and aio_write.
        Errno::OPNOTSUPP | Errno::INVAL if !has_iter(fd, transfer.direction) => Err(Errno::INVAL),
        // include/linux/fs.h, kiocb_set_rw_flags: the file does not do that.
        Errno::OPNOTSUPP if flags.is_file_dependent() => Err(error),
        Errno::OPNOTSUPP if flags.is_nowait() && !supports_nowait(fd) => Err(error),
        // kiocb_set_rw_flags as well: an append-only inode.
        Errno::PERM if flags.is_noappend() && fd::is_append_only(fd) => Err(error),
        _ => Ok(error.to_res()),
    }
}

/// Whether `pwritev2` takes RWF_NOSIGNAL (Linux 6.18).
#[inline]
pub(super) fn may_use_nosignal() -> bool {
    static SUPPORTED: OnceBool = OnceBool::new();
    SUPPORTED.get().unwrap_or_else(|| {
        // A pipe has no limit of its size, and so no signal for it.
        let Ok((_read, write)) = fd::pipe() else { return false };
        let byte = [0u8; 1];
        let iov = [iovec { iov_base: byte.as_ptr().cast_mut().cast(), iov_len: 1 }];
        // SAFETY: one readable byte goes to a pipe of our own.
        let is_supported =
            unsafe { file::vectored(Direction::Write, write.raw(), &iov, NO_OFFSET, RWF_NOSIGNAL) }
                .is_ok();
        let _ = SUPPORTED.set(is_supported);
        is_supported
    })
}

pub(super) fn file_type(fd: c_int) -> u32 {
    FileInfo::of(fd).map_or(0, |info| info.kind)
}

/// Whether a file that answered EOPNOTSUPP to RWF_NOWAIT has FMODE_NOWAIT, so that the answer came
/// from the operation. A read far behind the end tells without moving data.
#[cold]
fn supports_nowait(fd: c_int) -> bool {
    file_type(fd) == S_IFREG && supports(fd, RWF_NOWAIT)
}

/// Whether a regular file refuses RWF_NOWAIT whatever is asked of it.
#[cold]
pub fn refuses_nowait(fd: c_int) -> bool {
    file_type(fd) == S_IFREG && !supports(fd, RWF_NOWAIT)
}

/// Whether a regular file takes `flags`, which read and write have in common.
fn supports(fd: c_int, flags: c_int) -> bool {
    let mut byte = [0u8; 1];
    let iov = [iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 }];
    // SAFETY: one writable byte of our own.
    let read = |fd| unsafe { file::vectored(Direction::Read, fd, &iov, FAR, flags) };
    match read(fd) {
        // Open for writing only.
        Err(Errno::BADF) => match fd::reopen_for_reading(fd) {
            Ok(file) => {
                let supports = read(file.raw()) != Err(Errno::OPNOTSUPP);
                pins::release(file);
                supports
            }
            Err(_) => true,
        },
        result => result != Err(Errno::OPNOTSUPP),
    }
}

/// No bytes to move: the vectored calls would return before they look at the file.
#[cold]
fn empty_transfer(
    fd: c_int,
    status: StatusFlags,
    transfer: &Transfer,
    pending_signals: &mut PendingSignals,
) -> Result<i64> {
    let direction = transfer.direction;
    if !has_iter(fd, direction) {
        return Err(Errno::INVAL);
    }
    let kind = file_type(fd);
    if let Some(refusal) = empty_refusal(fd, kind, status, transfer) {
        return refusal;
    }
    let buf = transfer.buffer.as_slice().first().map_or(0, |first| first.iov_base.addr() as u64);
    // SAFETY: no byte is moved.
    let at = |offset| unsafe { file::plain(direction, fd, buf, 0, offset) };
    // net/socket.c, sock_read_iter and sock_write_iter. A write of nothing to a datagram socket
    // sends an empty datagram; a read of nothing returns at once.
    if kind == S_IFSOCK {
        if transfer.offset != 0 {
            return Ok(Errno::SPIPE.to_res());
        }
        if direction == Direction::Read {
            return Ok(0);
        }
    }
    let moved = match kind {
        S_IFSOCK => stream::write_nothing_to_socket(fd, transfer, pending_signals),
        _ => match at(transfer.offset) {
            Err(Errno::SPIPE) => at(NO_OFFSET),
            result => result,
        },
    };
    match moved {
        Ok(count) => Ok(count as i64),
        Err(Errno::BADF) => Err(Errno::BADF),
        Err(error) => Ok(error.to_res()),
    }
}

/// What the flags of a transfer of no bytes lead to, if not to the same as none.
///
/// divergence: whether anything but a regular file has RWF_NOWAIT, only a transfer that moves
/// something would tell; and under a limit of the file size no write is attempted.
fn empty_refusal(
    fd: c_int,
    kind: u32,
    status: StatusFlags,
    transfer: &Transfer,
) -> Option<Result<i64>> {
    let flags = transfer.flags;
    if kind != S_IFREG {
        // Block devices may have RWF_ATOMIC, no other file anything of it.
        let is_refused = flags.is_file_dependent() && kind != S_IFBLK;
        return is_refused.then_some(Err(Errno::OPNOTSUPP));
    }
    // include/linux/fs.h, kiocb_set_rw_flags, in its order.
    let common = flags.bits() & (RWF_NOWAIT | RWF_DONTCACHE);
    if common != 0 && !supports(fd, common) {
        return Some(Err(Errno::OPNOTSUPP));
    }
    let is_atomic = flags.bits() & RWF_ATOMIC != 0;
    let may_be_refused = is_atomic || (flags.is_nowait() && !status.is_direct());
    // The signal for a write beyond the limit would be ours.
    if transfer.direction == Direction::Write
        && may_be_refused
        && fd::limit(libc::RLIMIT_FSIZE).is_none()
    {
        // fs/ext4/file.c: buffered writes with RWF_NOWAIT are refused before anything else is
        // looked at. One byte from nowhere to where none can be: no file takes it, and with these
        // flags nothing of the file is changed on the way.
        let iov = [iovec { iov_base: core::ptr::null_mut(), iov_len: 1 }];
        // SAFETY: the kernel reads no memory but the element.
        let asked = unsafe { file::vectored(Direction::Write, fd, &iov, FAR, flags.bits()) };
        if let Err(error @ Errno::OPNOTSUPP) = asked {
            return Some(if is_atomic { Err(error) } else { Ok(error.to_res()) });
        }
    }
    let is_refused = flags.is_noappend() && status.is_append() && fd::is_append_only(fd);
    is_refused.then_some(Err(Errno::PERM))
}

/// Whether a file has `read_iter` or `write_iter`, without which fs/aio.c refuses it.
///
/// fs/read_write.c, vfs_readv and vfs_writev: a file with neither the old nor the new function
/// gives EINVAL; one with the old function only gives EOPNOTSUPP for any flag; for the others the
/// flags are checked before the function is called. So calls with impossible flags tell, and move
/// nothing.
#[cold]
pub fn has_iter(fd: c_int, direction: Direction) -> bool {
    /// A flag that does not exist: EOPNOTSUPP.
    const UNKNOWN: c_int = 1 << 30;
    let is_exact = may_use_noappend();
    let ask = |fd, flags| impossible(fd, direction, flags);
    match ask(fd, UNKNOWN) {
        Err(Errno::INVAL) => return false,
        // A filter refuses such calls: there is no answer.
        Err(Errno::NOSYS) => {}
        _ if is_exact => return ask(fd, CONTRADICTION) != Err(Errno::OPNOTSUPP),
        _ => {}
    }
    // There, and with older kernels: what usually lacks it.
    match file_type(fd) {
        S_IFDIR => false,
        S_IFREG => !fd::is_on_pseudo_file_system(fd),
        // Anonymous inodes: an eventfd is not written, an inotify not read that way.
        0 if direction == Direction::Write => false,
        0 => !fd::is_link_to(fd, c"anon_inode:inotify"),
        _ => true,
    }
}

/// Flags that exclude each other: EINVAL (Linux 6.9).
const CONTRADICTION: c_int = RWF_APPEND | RWF_NOAPPEND;

/// Asks for a transfer with flags that cannot be.
fn impossible(fd: c_int, direction: Direction, flags: c_int) -> Result<usize> {
    let mut byte = [0u8; 1];
    let iov = [iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 }];
    // SAFETY: one byte of our own, which no call gets to.
    unsafe { file::vectored(direction, fd, &iov, NO_OFFSET, flags) }
}

/// Whether the kernel knows RWF_NOAPPEND.
pub fn may_use_noappend() -> bool {
    static KNOWN: OnceBool = OnceBool::new();
    KNOWN.get_or_init(|| {
        fd::memory_file().is_ok_and(|file| {
            impossible(file.raw(), Direction::Read, CONTRADICTION) == Err(Errno::INVAL)
        })
    })
}

/// Syncs a file whose sync is over at once, or that has none: then EINVAL for the submission.
pub fn sync(fd: c_int, data_only: bool) -> Result<i64> {
    match file::sync(fd, data_only) {
        Ok(()) => Ok(0),
        // fs/aio.c, aio_fsync: no fsync function.
        Err(error @ (Errno::INVAL | Errno::BADF)) => Err(error),
        Err(error) => Ok(error.to_res()),
    }
}
