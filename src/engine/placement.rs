//! Which operations the kernel would finish inside io_submit.
//!
//! Buffered I/O always is. Direct I/O is asynchronous only when a device has to work: not for
//! holes, not past the end, not when it is refused for its alignment. A write that extends the file
//! or fills a hole runs in the caller too, so that it survives a SIGKILL as it does with the
//! kernel: io_uring finds out by an attempt, the pool by asking for the blocks. Some file systems
//! accept O_DIRECT and do nothing about it: there all is done in the caller. Syncs are asynchronous
//! on files and directories; a file without an `fsync` refuses at once.

use libc::{RLIMIT_FSIZE, S_IFBLK, S_IFDIR, S_IFREG};

use crate::engine::Placement;
use crate::engine::inline::SECTOR;
use crate::request::decode::Transfer;
use crate::sys::fd::{self, StatusFlags};
use crate::sys::file::{self, Blocks, Direction};
use crate::sys::file_info::FileInfo;

/// The place of a read or write, without a look at the file.
#[inline]
pub fn of_transfer(status: StatusFlags, transfer: &Transfer) -> Placement {
    let may_be_asynchronous =
        status.is_direct() && !is_refused_or_special(transfer) && !is_append(status, transfer);
    if may_be_asynchronous { Placement::Asynchronous } else { Placement::Caller }
}

fn is_append(status: StatusFlags, transfer: &Transfer) -> bool {
    let appends = status.is_append() || transfer.flags.is_append();
    transfer.direction == Direction::Write && appends
}

fn is_refused_or_special(transfer: &Transfer) -> bool {
    let buffer = &transfer.buffer;
    buffer.is_empty()
        || !buffer.is_aligned(SECTOR)
        || !(transfer.offset as usize).is_multiple_of(SECTOR)
        || transfer.flags.is_file_dependent()
        || transfer.flags.is_noappend()
}

/// The place of a direct read or write, without a look at blocks.
pub fn direct(status: StatusFlags, transfer: &Transfer, info: &FileInfo) -> Placement {
    match info.kind {
        S_IFBLK => {}
        S_IFREG if is_beyond(status, transfer, info) => return Placement::Caller,
        S_IFREG => {}
        // O_DIRECT on a pipe means packets.
        _ => return Placement::Caller,
    }
    Placement::Asynchronous
}

fn is_beyond(status: StatusFlags, transfer: &Transfer, info: &FileInfo) -> bool {
    let offset = transfer.offset as u64;
    match transfer.direction {
        Direction::Read => offset >= info.size,
        Direction::Write => {
            is_append(status, transfer) || offset.saturating_add(transfer.buffer.len()) > info.size
        }
    }
}

/// The place of a direct read or write after a look at the blocks.
#[cold]
pub fn by_blocks(fd: i32, status: StatusFlags, transfer: &Transfer, info: &FileInfo) -> Placement {
    if direct(status, transfer, info) == Placement::Caller || info.kind == S_IFBLK {
        return direct(status, transfer, info);
    }
    // divergence: a worker reads blocks that were reserved and not written, and holes that storage
    // beyond the end makes up for.
    if transfer.direction == Direction::Read && info.is_on_device && info.seems_full() {
        return Placement::Asynchronous;
    }
    let (offset, len) = (transfer.offset as u64, transfer.buffer.len());
    let blocks = file::blocks(fd, offset, len);
    if blocks.is_err() && fd::is_on_synchronous_file_system(fd) {
        return Placement::Caller;
    }
    let is_synchronous = match transfer.direction {
        Direction::Read => blocks == Ok(Blocks::None),
        Direction::Write => {
            matches!(blocks, Ok(Blocks::None | Blocks::Partly))
                || fd::limit(RLIMIT_FSIZE).is_some_and(|limit| offset + len > limit)
        }
    };
    if is_synchronous { Placement::Caller } else { Placement::Asynchronous }
}

/// The place of an `fsync`. In the caller it is only a question whether the file has one.
pub fn of_sync(fd: i32, info: &FileInfo) -> Placement {
    let may_take_long = matches!(info.kind, S_IFREG | S_IFDIR | S_IFBLK);
    match may_take_long && !fd::is_on_pseudo_file_system(fd) {
        true => Placement::Asynchronous,
        false => Placement::Caller,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::buffer::Buffer;
    use crate::request::decode::RwFlags;
    use std::fs::{File, OpenOptions};
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::{FileExt, OpenOptionsExt};

    const BLOCK: u64 = 4096;

    /// Blocks 0 and 1 with data, 2 and 3 a hole, on a file system with direct I/O.
    fn sparse(name: &str) -> Option<File> {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target").join(name);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .custom_flags(libc::O_DIRECT)
            .open(&path)
            .ok()?;
        let _ = std::fs::remove_file(&path);
        let plain = OpenOptions::new()
            .write(true)
            .open(format!("/proc/self/fd/{}", file.as_raw_fd()))
            .unwrap();
        plain.write_all_at(&[1; 8192], 0).unwrap();
        plain.set_len(4 * BLOCK).unwrap();
        plain.sync_all().unwrap();
        Some(file)
    }

    fn place(file: &File, direction: Direction, offset: u64, len: u64) -> Placement {
        let wanted = Transfer {
            direction,
            buffer: Buffer::one(1 << 20, len).unwrap(),
            offset: offset as i64,
            flags: RwFlags::default(),
            priority: None,
        };
        let fd = file.as_raw_fd();
        let status = fd::status_flags(fd).unwrap();
        match of_transfer(status, &wanted) {
            Placement::Asynchronous => by_blocks(fd, status, &wanted, &FileInfo::of(fd).unwrap()),
            Placement::Caller => Placement::Caller,
        }
    }

    #[test]
    fn what_changes_the_size_is_done_here() {
        let Some(file) = sparse("choose-size") else { return };
        let facts = FileInfo::of(file.as_raw_fd()).unwrap();
        let status = fd::status_flags(file.as_raw_fd()).unwrap();
        let place = |direction, offset, flags| {
            let buffer = Buffer::one(1 << 20, BLOCK).unwrap();
            let flags = RwFlags::from_bits(flags);
            let wanted = Transfer { direction, buffer, offset, flags, priority: None };
            direct(status, &wanted, &facts)
        };
        let size = 4 * BLOCK as i64;
        assert_eq!(place(Direction::Write, 0, 0), Placement::Asynchronous);
        assert_eq!(place(Direction::Write, 0, libc::RWF_APPEND), Placement::Caller);
        assert_eq!(place(Direction::Write, size, 0), Placement::Caller);
        assert_eq!(place(Direction::Read, 0, 0), Placement::Asynchronous);
        assert_eq!(place(Direction::Read, size, 0), Placement::Caller);
    }

    #[test]
    fn direct_reads_of_data_are_asynchronous_and_holes_are_not() {
        let Some(file) = sparse("choose-read") else { return };
        for (offset, len, expected) in [
            (0, BLOCK, Placement::Asynchronous),
            (BLOCK, 2 * BLOCK, Placement::Asynchronous),
            (2 * BLOCK, BLOCK, Placement::Caller),
            (4 * BLOCK, BLOCK, Placement::Caller),
            (0, 100, Placement::Caller),
            (0, 0, Placement::Caller),
        ] {
            assert_eq!(place(&file, Direction::Read, offset, len), expected, "{offset} {len}");
        }
    }

    #[test]
    fn direct_overwrites_are_asynchronous_and_growth_is_not() {
        let Some(file) = sparse("choose-write") else { return };
        for (offset, len, expected) in [
            (0, 2 * BLOCK, Placement::Asynchronous),
            (BLOCK, 2 * BLOCK, Placement::Caller),
            (2 * BLOCK, BLOCK, Placement::Caller),
            (3 * BLOCK, 2 * BLOCK, Placement::Caller),
        ] {
            assert_eq!(place(&file, Direction::Write, offset, len), expected, "{offset} {len}");
        }
    }

    #[test]
    fn buffered_files_and_files_without_fsync_stay_with_the_caller() {
        let file = File::open("/proc/self/status").unwrap();
        assert_eq!(place(&file, Direction::Read, 0, 16), Placement::Caller);
        let sync = |path: &str| {
            let file = File::open(path).unwrap();
            of_sync(file.as_raw_fd(), &FileInfo::of(file.as_raw_fd()).unwrap())
        };
        assert_eq!(sync("/proc/self/status"), Placement::Caller);
        assert_eq!(sync("/dev/null"), Placement::Caller);
        assert_eq!(sync("/"), Placement::Asynchronous);
    }
}
