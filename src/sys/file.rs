//! Reading, writing, syncing, and asking where the blocks are.

use libc::{
    RWF_APPEND, RWF_ATOMIC, RWF_DONTCACHE, RWF_DSYNC, RWF_HIPRI, RWF_NOWAIT, RWF_SYNC,
    SYS_fdatasync, SYS_fsync, SYS_ioctl, SYS_pread64, SYS_preadv2, SYS_pwrite64, SYS_pwritev2,
    SYS_read, SYS_write, c_int, iovec,
};

use crate::sys::errno::{Errno, Result};
use crate::sys::poll;
use crate::sys::raw::syscall;
use crate::sys::refusal;

/// `preadv2` and `pwritev2` take -1 as "at the file's own position".
pub const NO_OFFSET: i64 = -1;

/// Ignore O_APPEND. This and the next: <linux/fs.h>.
pub const RWF_NOAPPEND: c_int = 0x20;
/// Do not send SIGPIPE.
pub const RWF_NOSIGNAL: c_int = 0x100;

/// Which way the data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the file to memory.
    Read,
    /// From memory to the file.
    Write,
}

/// `preadv2` or `pwritev2`. The memory is the program's: the kernel checks it.
///
/// # Safety
/// `iov` must be readable; what a read does to the buffers is the program's wish.
#[inline]
pub unsafe fn vectored(
    direction: Direction,
    fd: c_int,
    iov: &[iovec],
    offset: i64,
    flags: c_int,
) -> Result<usize> {
    let number = match direction {
        Direction::Read => SYS_preadv2,
        Direction::Write => SYS_pwritev2,
    };
    // SAFETY: the caller's promise; bad buffers give EFAULT.
    let moved = unsafe { syscall!(number, fd, iov.as_ptr(), iov.len(), offset, 0, flags) };
    match moved {
        Err(error) if refusal::is_refused(number, error) => {
            // SAFETY: the caller's promise.
            unsafe { vectored_without_flags(direction, fd, iov, offset, flags) }
        }
        result => result,
    }
}

/// What the older calls can do of [`vectored`]. EOPNOTSUPP: not this flag; ENOSYS: such flags only
/// ask what a file can do, and there is no answer.
///
/// # Safety
/// As [`vectored`].
#[cold]
unsafe fn vectored_without_flags(
    direction: Direction,
    fd: c_int,
    iov: &[iovec],
    offset: i64,
    flags: c_int,
) -> Result<usize> {
    const SYNCED: c_int = RWF_DSYNC | RWF_SYNC;
    const OTHERS: c_int = RWF_NOWAIT | RWF_APPEND | RWF_NOAPPEND | RWF_ATOMIC | RWF_DONTCACHE;
    const CONTRADICTION: c_int = RWF_APPEND | RWF_NOAPPEND;
    if flags & !(RWF_HIPRI | RWF_NOSIGNAL | SYNCED | OTHERS) != 0
        || flags & CONTRADICTION == CONTRADICTION
    {
        return Err(Errno::NOSYS);
    }
    if flags & OTHERS != 0 {
        return Err(Errno::OPNOTSUPP);
    }
    if flags & RWF_NOSIGNAL != 0 && offset == NO_OFFSET && has_no_reader(fd) {
        return Err(Errno::PIPE);
    }
    let number = match (direction, offset == NO_OFFSET) {
        (Direction::Read, false) => libc::SYS_preadv,
        (Direction::Write, false) => libc::SYS_pwritev,
        (Direction::Read, true) => libc::SYS_readv,
        (Direction::Write, true) => libc::SYS_writev,
    };
    // SAFETY: the caller's promise; bad buffers give EFAULT.
    let moved = unsafe { syscall!(number, fd, iov.as_ptr(), iov.len(), offset, 0) }?;
    if direction == Direction::Write && flags & SYNCED != 0 && moved > 0 {
        match sync(fd, flags & RWF_SYNC == 0) {
            // A stream.
            Ok(()) | Err(Errno::INVAL) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(moved)
}

/// Whether a write to a pipe or socket would raise SIGPIPE.
fn has_no_reader(fd: c_int) -> bool {
    let gone = libc::POLLERR | libc::POLLHUP;
    poll::one(fd, libc::POLLOUT).is_ok_and(|ready| ready & gone != 0 && ready & libc::POLLNVAL == 0)
}

/// `pread`, `pwrite`, or with [`NO_OFFSET`] `read`, `write`: unlike the vectored calls these reach
/// the file even when `len` is 0.
///
/// # Safety
/// What a read does to the buffer must be the program's wish.
pub unsafe fn plain(
    direction: Direction,
    fd: c_int,
    buf: u64,
    len: u64,
    offset: i64,
) -> Result<usize> {
    let number = match (direction, offset == NO_OFFSET) {
        (Direction::Read, false) => SYS_pread64,
        (Direction::Write, false) => SYS_pwrite64,
        (Direction::Read, true) => SYS_read,
        (Direction::Write, true) => SYS_write,
    };
    // SAFETY: the caller's promise; a bad buffer gives EFAULT.
    let moved = unsafe { syscall!(number, fd, buf, len, offset) };
    refusal::or_else(number, moved, || {
        let base = core::ptr::with_exposed_provenance_mut(buf as usize);
        let iov = [iovec { iov_base: base, iov_len: len as usize }];
        // SAFETY: the caller's promise.
        unsafe { vectored(direction, fd, &iov, offset, 0) }
    })
}

/// `fsync`, or `fdatasync` with `data_only`.
pub fn sync(fd: c_int, data_only: bool) -> Result<()> {
    let number = if data_only { SYS_fdatasync } else { SYS_fsync };
    // SAFETY: no pointer.
    let synced = unsafe { syscall!(number, fd) };
    refusal::or_else(number, synced, || {
        let other = if data_only { SYS_fsync } else { SYS_fdatasync };
        // Where there is no sync, either says so.
        // SAFETY: no pointer.
        let synced = unsafe { syscall!(other, fd) }?;
        match data_only {
            true => Ok(synced),
            // SAFETY: no pointer.
            false => unsafe { syscall!(libc::SYS_syncfs, fd) },
        }
    })
    .map(|_| ())
}

/// Drops cached pages around a range of a file, if they are clean.
///
/// A page may be part of a large one, and those go as a whole or not at all: so the range is
/// widened to the largest that there are.
pub fn forget_cached(fd: c_int, offset: u64, len: u64) {
    const LARGEST: u64 = 2 << 20;
    let start = offset / LARGEST * LARGEST;
    let end = offset.saturating_add(len).next_multiple_of(LARGEST);
    // SAFETY: no pointer.
    let _: Result<usize> =
        unsafe { syscall!(libc::SYS_fadvise64, fd, start, end - start, libc::POSIX_FADV_DONTNEED) };
}

/// What lies under a range of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocks {
    /// Every byte has a block with data.
    Mapped,
    /// Some bytes have one.
    Partly,
    /// None has: a hole, or blocks that were never written.
    None,
}

/// How many extents one question covers. More than these under one request: they are mapped.
const EXTENTS: usize = 4;

/// `struct fiemap_extent`, <linux/fiemap.h>.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Extent {
    logical: u64,
    physical: u64,
    length: u64,
    reserved64: [u64; 2],
    flags: u32,
    reserved: [u32; 3],
}

/// `struct fiemap`, <linux/fiemap.h>.
#[derive(Default)]
#[repr(C)]
struct Fiemap {
    start: u64,
    length: u64,
    flags: u32,
    mapped_extents: u32,
    extent_count: u32,
    reserved: u32,
    extents: [Extent; EXTENTS],
}

/// `_IOWR('f', 11, struct fiemap)`, of 32 bytes.
const FS_IOC_FIEMAP: u32 = 0xc020_660b;
const FIEMAP_EXTENT_UNWRITTEN: u32 = 0x800;

/// What lies under `len` bytes at `offset`; an error where the file system cannot tell.
pub fn blocks(fd: c_int, offset: u64, len: u64) -> Result<Blocks> {
    let mut map =
        Fiemap { start: offset, length: len, extent_count: EXTENTS as u32, ..Fiemap::default() };
    // SAFETY: the kernel writes at most `extent_count` extents into `map`.
    unsafe { syscall!(SYS_ioctl, fd, FS_IOC_FIEMAP, &raw mut map) }?;
    let found = map.extents.get(..map.mapped_extents as usize).unwrap_or(&map.extents);
    let end = offset.saturating_add(len);
    let mut covered = offset;
    let mut any = false;
    for extent in found {
        if extent.flags & FIEMAP_EXTENT_UNWRITTEN != 0 {
            continue;
        }
        any = true;
        if extent.logical <= covered {
            covered = covered.max(extent.logical.saturating_add(extent.length));
        }
    }
    Ok(match any {
        _ if covered >= end || (any && found.len() == EXTENTS) => Blocks::Mapped,
        true => Blocks::Partly,
        false => Blocks::None,
    })
}
